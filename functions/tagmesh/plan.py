"""What to do: (desired, observed) -> actions, in an order that keeps design.md's section 2 after each one. Pure.

LF-Tags. Lake Formation reports failures per tag inside one answer, so a call that moves two keys may have moved
one. A plan is therefore safe only if every mixture of old and new is: of each column, every state on the way is
its old state, its final state, or one with some key at its default, which no subscription names. Nothing is
assumed about which expressions are granted, so it also holds against grants of an older governance version.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tagmesh.access import database_tags, sees_database
from tagmesh.catalog import AssignedTags, Finding
from tagmesh.governance import Consumer, DataProduct, Governance, LFTagKey, Principal
from tagmesh.rules import TableDecision


@dataclass(frozen=True)
class AssignTags:
    """One AddLFTagsToResource call: on the columns, on the table (no columns), or on the database (no table).

    ``loosens`` says that somebody may read more afterwards: check the lease and the version before it."""

    database: str
    table: str | None
    columns: tuple[str, ...]
    tags: Mapping[str, str] = field(hash=False)
    loosens: bool
    why: str


@dataclass(frozen=True, order=True)
class Resource:
    """A resource of a Lake Formation grant in normal form: ``kind`` is the API's member (LFTagPolicy, LFTag,
    Database, Table, ...), ``body`` its content as canonical JSON: keys, expressions and values sorted, what Lake
    Formation folds lower-case. Equal resources are equal values."""

    kind: str
    body: str

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass(frozen=True)
class Grant:
    """A grant, wanted or observed or to be made. ``principal`` is a DataLakePrincipalIdentifier: an account id
    or an ARN. ``grantable`` is the part of ``permissions`` that carries the grant option."""

    principal: str
    resource: Resource
    permissions: frozenset[str]
    grantable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Revoke:
    """The same fields as a Grant, to be taken away; ``permissions`` without those of which only the grant option goes."""

    principal: str
    resource: Resource
    permissions: frozenset[str]
    grantable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class CreateLink:
    """A resource link ``name`` in the consumer's catalogue to ``database`` of the catalogue ``catalog``."""

    name: str
    catalog: str
    database: str


@dataclass(frozen=True)
class DeleteLink:
    name: str


@dataclass(frozen=True)
class Link:
    """A database of the consumer's catalogue as observed: a link to ``database`` of ``catalog``, or, without
    those, a real database."""

    name: str
    catalog: str | None = None
    database: str | None = None


@dataclass(frozen=True)
class PrincipalPlan:
    """What to do in a consumer's account, in order, and what a person must mend."""

    actions: tuple[Grant | Revoke | CreateLink | DeleteLink, ...]
    findings: tuple[Finding, ...]


def plan_database_tags(
    governance: Governance, data_product: DataProduct, observed: Mapping[str, str]
) -> list[AssignTags]:
    """Close the database before a crawl: every key that has neither its final value nor its default gets the
    default. ``plan_tags`` assigns the data product's own tags, last. ``observed``: key -> value on the database."""
    raise NotImplementedError


def plan_tags(
    governance: Governance,
    data_product: DataProduct,
    database: Mapping[str, str],
    tables: Mapping[str, AssignedTags],
    decisions: Iterable[TableDecision],
) -> list[AssignTags]:
    """Everything that makes the database, its tables and columns carry what was decided.

    ``database``: key -> value observed on the database; ``tables``: table name -> observed tags; ``decisions``:
    one per table. Nothing to do gives []."""
    raise NotImplementedError


def tag_policy(catalog: str, resource_type: str, expression: Iterable[tuple[str, Iterable[str]]]) -> Resource:
    raise NotImplementedError


def lf_tag(catalog: str, key: str, values: Iterable[str]) -> Resource:
    raise NotImplementedError


def database(catalog: str, name: str) -> Resource:
    raise NotImplementedError


def from_api(row: Mapping[str, Any], catalog: str) -> Grant:
    """A Grant from a row of ListPermissions (PrincipalResourcePermissions). ``catalog``: the id that an omitted
    CatalogId stands for, that is, the account asked."""
    raise NotImplementedError


def to_api(entry: Grant | Revoke) -> dict[str, Any]:
    """The Principal, Resource, Permissions and PermissionsWithGrantOption of a GrantPermissions or
    RevokePermissions call or of an entry of the batch calls (add an Id there)."""
    raise NotImplementedError


def diff(wanted: Iterable[Grant], observed: Iterable[Grant], made: Iterable[Grant]) -> list[Grant | Revoke]:
    """Revokes, then grants, that turn ``observed`` into ``wanted``; only what is in ``made`` is ever revoked."""
    raise NotImplementedError


def plan_account_grants(
    governance: Governance, consumer: Consumer, central_account: str, observed: Iterable[Grant], made: Iterable[Grant]
) -> list[Grant | Revoke]:
    """In central: what the consumer's account is granted, with grant option (see from_api for ``observed``;
    ``made``: what the ledger says we granted). [] wanted for a consumer in the central account itself."""
    raise NotImplementedError


def plan_principal_grants(
    governance: Governance,
    consumer: Consumer,
    central_account: str,
    *,
    principals: Mapping[Principal, str],
    databases: Collection[str],
    catalog: Iterable[Link],
    observed: Iterable[Grant],
    made: Iterable[Grant],
    made_links: Collection[str],
) -> PrincipalPlan:
    """In the consumer's account (or, for a consumer in the central account, there): links, DESCRIBE on them and on
    ``default``, and each principal's regrants on the central catalogue.

    ``principals``: those that exist -> ARN. ``databases``: the central databases that exist and are published.
    ``catalog``: the databases and links of the consumer's catalogue. ``observed``: grants of the consumer's own
    catalogue and of the central one as listed in the consumer's account. ``made``, ``made_links``: the ledger's."""
    raise NotImplementedError
