"""A mesh as it was seen, in values: what `tagmesh.access` answers from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import Expression, Governance, Principal
from tagmesh.grants import Grant
from tagmesh.resolution import TableDecision

#: (action, resource ARN) of IAM: `("glue:GetTable", "arn:aws:glue:eu-west-1:333333333333:catalog")`.
Need = tuple[str, str]


@dataclass(frozen=True)
class Tagged:
    """A table of the central catalogue, and the LF-Tags that it and its columns carry."""

    table: Table
    tags: AssignedTags


@dataclass(frozen=True)
class Database:
    """A database of the central catalogue: its LF-Tags, its location (s3://..., empty if it has none), and name ->
    location of every table in it."""

    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    location: str = ""
    tables: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Link:
    """A database of an account's own catalogue. ``catalog`` and ``database`` are what a resource link leads to; of a
    real database they are empty."""

    name: str
    catalog: str = ""
    database: str = ""


@dataclass(frozen=True)
class Location:
    """How an S3 path is registered with Lake Formation: the role that it lends, and whether in hybrid mode (then only
    for those who were opted in)."""

    role: str
    hybrid: bool = False


@dataclass(frozen=True)
class OptIn:
    """A principal that the central account holds to Lake Formation on what is in hybrid mode: on a database (``table``
    is empty), on a table, or on all of a database's tables (``*``)."""

    principal: str
    database: str
    table: str = ""


@dataclass(frozen=True)
class Account:
    """What was seen in an account. ``grants``: explicit, on its own catalogue, made by the account. ``regrants``: on
    the central catalogue, made by the account. ``administrators``: its data lake administrators, read-only ones too.
    ``default_tags``: the account's own LF-Tags on its database ``default``. ``workgroups``: of Athena. ``problem``: why
    the account could not be looked at; then all the rest is empty."""

    id: str
    links: tuple[Link, ...] = ()
    grants: tuple[Grant, ...] = ()
    regrants: tuple[Grant, ...] = ()
    units: frozenset[str] = frozenset()
    """ARNs of the organization and the organizational units as which the central account's grants reach it."""
    administrators: frozenset[str] = frozenset()
    default_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    workgroups: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Who:
    """Somebody who was asked about. ``arn`` is None where the account has nobody of that name; then ``candidates`` are
    whom the governance files may have meant."""

    written: str
    account: str
    arn: str | None
    candidates: tuple[Principal, ...] = ()

    def is_one_of(self, principals: Iterable[Principal]) -> bool:
        """Whether some principals of governance files, of the same account, include this one."""
        if self.arn is None:
            return any(principal in self.candidates for principal in principals)
        return any(principal.includes(self.arn) for principal in principals)


@dataclass(frozen=True)
class Observed:
    """A mesh as it was seen.

    ``databases`` by name, ``tables`` by database and name. ``shares``: (account, ARN or organizational unit that the
    central account shares with, ``database`` or ``table``) -> ASSOCIATED where that has arrived, else why not.
    ``version``: the central account's cross-account version. ``locations``: ``bucket/prefix`` -> how it is registered.
    ``buckets``: bucket -> the account it belongs to. ``allowed``: ARN -> what IAM says of each need that was asked
    about. ``expressions``: named LF-Tag expressions of the central account; ``void``: LF-Tags that were deleted, whose
    policies give nothing. ``decisions``: what the rules say of tables. ``denied``: keys of approvals that were denied
    -> by whom, when and why.
    """

    central: str
    region: str
    governance: Governance
    databases: Mapping[str, Database]
    tables: Mapping[tuple[str, str], Tagged]
    accounts: Mapping[str, Account]
    shares: Mapping[tuple[str, str], str] = field(default_factory=dict)
    version: int = 4
    locations: Mapping[str, Location] = field(default_factory=dict)
    buckets: Mapping[str, str] = field(default_factory=dict)
    opt_ins: frozenset[OptIn] = frozenset()
    allowed: Mapping[str, Mapping[Need, bool]] = field(default_factory=dict)
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    void: frozenset[str] = frozenset()
    decisions: Mapping[tuple[str, str], TableDecision] = field(default_factory=dict)
    denied: Mapping[str, str] = field(default_factory=dict)

    def account(self, account: str) -> Account:
        """What was seen in an account; nothing of one that was not looked at."""
        return self.accounts.get(account) or Account(account, problem="nobody looked there")
