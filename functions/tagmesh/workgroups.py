"""Athena workgroups of single principals, where results must not be shared: what is there -> what to do. Pure.

Whoever may use a workgroup, and read where its results go, reads what others queried with it. A consumer with
``results: apart`` has one for each of its principals, whose settings are enforced: results go to a prefix of its own.
Sources: Athena user guide, "Use workgroups to control query access and costs" and "Override client-side settings".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tagmesh.catalog import Finding
from tagmesh.governance import EVERYBODY, Governance, Principal

SHARED = "tagmesh"
"""The workgroup of accounts/consumer.yaml, for all whose results may be shared."""


@dataclass(frozen=True)
class Workgroup:
    """A workgroup as it is to be, or as observed. ``location`` is where results go: s3://bucket/prefix/."""

    name: str
    location: str
    enforced: bool = True
    enabled: bool = True


@dataclass(frozen=True)
class MakeWorkgroup:
    """Creates a workgroup; one that is there (``there``) is brought to what it should be."""

    workgroup: Workgroup
    there: bool


@dataclass(frozen=True)
class CloseWorkgroup:
    """Nobody is to query with it any more: deleted, or, where it has queries that people may want back, disabled."""

    name: str


@dataclass(frozen=True)
class ForgetWorkgroup:
    """It is gone without us, or closed: the ledger alone still knows it as one to be closed."""

    name: str


Action = MakeWorkgroup | CloseWorkgroup | ForgetWorkgroup


def name_of(principal: Principal) -> str:
    """The name of a principal's workgroup: `tagmesh-role-Analyst`. A path is left out, since no two of an account
    differ in it alone; of what no workgroup's name may have a fingerprint is left. [Athena API reference,
    CreateWorkGroup]"""
    name = principal.name.rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    if plain != name:
        plain += f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{SHARED}-{principal.kind.replace('_', '-')}-{plain}"


def prefix_of(workgroup: str) -> str:
    """Where in the results bucket the results of a principal's workgroup go."""
    return f"apart/{workgroup}/"


def bucket_of(account: str, region: str) -> str:
    """The results bucket of accounts/consumer.yaml."""
    return f"{SHARED}-athena-results-{account}-{region}"


def are_apart(governance: Governance, account: str) -> bool:
    """Whether the principals of a consuming account have a workgroup each. Consumers of one account agree on it."""
    return any(consumer.apart for consumer in governance.consumers if consumer.account == account)


def of_principal(governance: Governance, account: str, principal: Principal, central: str) -> str:
    """The name of the workgroup that a principal of an account is to query with. The central one has none of ours."""
    own = account != central and are_apart(governance, account) and principal != EVERYBODY
    return name_of(principal) if own else SHARED


def wanted(governance: Governance, account: str, region: str, principals: Iterable[Principal]) -> list[Workgroup]:
    """The workgroups of those principals of an account that are there."""
    if not are_apart(governance, account):
        return []
    names = sorted({name_of(principal) for principal in principals if principal != EVERYBODY})
    return [Workgroup(name, f"s3://{bucket_of(account, region)}/{prefix_of(name)}") for name in names]


def plan_workgroups(
    account: str, wanted: Iterable[Workgroup], made: Collection[str], observed: Mapping[str, Workgroup]
) -> tuple[list[Action], list[Finding]]:
    """What to do in an account, and what a person must mend.

    Args:
        made: names that the ledger says we made; no other workgroup is ever changed.
        observed: those of the wanted and the made ones that are there.
    """
    actions: list[Action] = []
    findings = []
    names = set()
    for each in wanted:
        names.add(each.name)
        there = observed.get(each.name)
        if there == each:
            continue
        if there is not None and each.name not in made:
            findings.append(_name_taken(account, each))
            continue
        actions.append(MakeWorkgroup(each, there is not None))
    for name in sorted(set(made) - names):
        there = observed.get(name)
        if there is None:
            actions.append(ForgetWorkgroup(name))
        elif there.enabled:
            actions.append(CloseWorkgroup(name))
    return actions, findings


def _name_taken(account: str, workgroup: Workgroup) -> Finding:
    return Finding(
        "workgroup-name-taken",
        f"{account}/{workgroup.name}",
        f"account {account} has a workgroup {workgroup.name} that tagmesh did not make, and that is not enabled, or "
        f"does not enforce results in {workgroup.location}",
        "rename or remove it there; tagmesh never touches it",
    )


def not_at_home(account: str) -> Finding:
    """A consumer in the central account, which has no results bucket of ours."""
    return Finding(
        "workgroups-not-made",
        account,
        f"account {account} is the central one, in which tagmesh has no results bucket, so its consumers get no "
        "workgroups of `results: apart`",
        "make workgroups for its principals yourself, and leave `results` out of the consumer's file",
    )


def not_allowed(account: str, why: str) -> Finding:
    """The consumer's stack is older than what it is to do."""
    return Finding(
        "workgroups-not-made",
        account,
        f"the workgroups of `results: apart` cannot be made in account {account}: {why}",
        f"deploy accounts/consumer.yaml in {account} again; the sweep then makes them",
    )
