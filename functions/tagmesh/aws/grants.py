"""Observing and carrying out grants: values of `tagmesh.grants` here, Lake Formation and the ledger there.

The ledger tells accounts apart: a grant stands under the account as whose administrator it was made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from tagmesh.aws import governance_store, lakeformation, ledger, units
from tagmesh.catalog import Finding
from tagmesh.governance import Governance
from tagmesh.grants import Grant, Resource, Revoke, from_api, single_values, to_api

#: ResourceTypes of ListPermissions: what accounts are granted. A catalogue has rows for each table besides.
BY_TAG = ("LF_TAG", "LF_TAG_POLICY")


def observed(
    lf: Any, catalog: str, principals: Collection[str], kinds: Iterable[str] = ("",), void: Collection[str] = ()
) -> list[Grant]:
    """The explicit grants of these principals in one catalogue, on resources of these types; without any, on all.
    Policies that use an LF-Tag that is `void` are none.

    Listed whole and filtered here: lists by principal come back empty for some kinds of principals.
    """
    asked = [{"ResourceType": kind} if kind else {} for kind in kinds]
    rows = (row for kind in asked for row in lakeformation.permissions(lf, CatalogId=catalog, **kind))
    found = (from_api(row, catalog) for row in rows if row["Principal"]["DataLakePrincipalIdentifier"] in principals)
    return [grant for grant in found if not (void and _uses(grant.resource, void))]


def _uses(policy: Resource, keys: Collection[str]) -> bool:
    return any(pair["TagKey"] in keys for pair in policy.content.get("Expression", ()))


def made(dynamodb: Any, unit: str, account: str) -> list[Grant]:
    """The grants that the ledger says we made for a unit as an account's administrator."""
    return made_in(ledger.made_by(dynamodb, unit), account)


def made_in(entries: Mapping[str, Mapping[str, Any]], account: str) -> list[Grant]:
    """The same, of the ledger's entries of the unit."""
    return [_grant(entry["detail"]) for key, entry in entries.items() if key.startswith(f"grant/{account}/")]


def cut_off(entries: Mapping[str, Mapping[str, Any]], central: str, lost: Mapping[str, float]) -> set[str]:
    """The accounts and organizational units whose share was lost after the last grant that we made them: to be revoked
    and granted again, for which Lake Formation makes another share. Once for each time that one is lost.

    Args:
        entries: of a unit in the ledger.
        lost: account or unit -> when, in seconds since 1970.
    """
    granted: dict[str, float] = {}
    for key, entry in entries.items():
        if key.startswith(f"grant/{central}/"):
            recipient = entry["detail"]["principal"]
            granted[recipient] = max(entry["at"], granted.get(recipient, 0.0))
    return {recipient for recipient, at in granted.items() if recipient in lost and at <= lost[recipient]}


def accounts_of(entries: Iterable[str]) -> set[str]:
    """The accounts in which we made grants, links or workgroups, of the keys of a unit's entries in the ledger."""
    return {key.split("/")[1] for key in entries if key.startswith(("grant/", "link/", "workgroup/"))}


def to_json(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    """Grants as a plan carries them."""
    return [_detail(grant) for grant in grants]


def from_json(told: Iterable[Mapping[str, Any]]) -> list[Grant]:
    """The grants that `to_json` wrote."""
    return [_grant(detail) for detail in told]


def _key(account: str, entry: Grant | Revoke) -> str:
    named = json.dumps([entry.principal, entry.resource.kind, entry.resource.body])
    return f"grant/{account}/{hashlib.sha256(named.encode()).hexdigest()}"


def _grant(detail: Mapping[str, Any]) -> Grant:
    return Grant(
        detail["principal"],
        Resource(detail["kind"], detail["body"]),
        frozenset(detail["permissions"]),
        frozenset(detail["grantable"]),
    )


def _detail(entry: Grant) -> dict[str, Any]:
    return {
        "principal": entry.principal,
        "kind": entry.resource.kind,
        "body": entry.resource.body,
        "permissions": sorted(entry.permissions),
        "grantable": sorted(entry.grantable),
    }


def carry_out(
    dynamodb: Any,
    lf: Any,
    lease: units.Lease,
    governance: Governance,
    actions: Iterable[Grant | Revoke],
    account: str,
) -> list[Finding]:
    """Revokes and grants in the order given, as an account's administrator; what could not be revoked or granted.

    A grant stands in the ledger before it is made, each value of an LF-Tag by itself, and a revoked one until it is
    seen to be gone. The lease and the governance version are checked before each call that grants. A revocation that is
    refused does not stop the others, nor does a grant that is refused for good: that leaves the ledger as it was.

    Raises:
        LeaseLost: another run holds the unit.
        GovernanceChanged: another version is in force.
        LakeFormationRefused: with the first grant that was refused and may be made later.
    """
    known = {_key(account, entry): entry for entry in made(dynamodb, lease.unit, account)}
    findings: list[Finding] = []
    for kind, catalog, entries in _neighbours(actions):
        if kind is Revoke:
            findings += _revoke(dynamodb, lf, lease.unit, entries, catalog, account, known)
            continue
        for start in range(0, len(entries), lakeformation.BATCH):
            some = entries[start : start + lakeformation.BATCH]
            earlier: dict[str, Grant | None] = {}
            for entry in (replace(each, resource=one) for each in some for one in single_values(each.resource)):
                key = _key(account, entry)
                earlier.setdefault(key, known.get(key))
                before = known.get(key, replace(entry, permissions=frozenset(), grantable=frozenset()))
                known[key] = replace(
                    entry,
                    permissions=before.permissions | entry.permissions,
                    grantable=before.grantable | entry.grantable,
                )
                ledger.record(dynamodb, lease.unit, key, "grant", _detail(known[key]), entry.why, governance.digest)
            # Nothing comes between the two checks and the call.
            units.holds(dynamodb, lease)
            governance_store.check_in_force(dynamodb, governance)
            refused = lakeformation.grant_each(lf, [to_api(entry) for entry in some], CatalogId=catalog)
            for entry in (some[number] for number in refused):
                for one in single_values(entry.resource):
                    key = _key(account, replace(entry, resource=one))
                    _take_back(dynamodb, lease.unit, key, earlier[key], known)
            findings += _not_granted(lease.unit, account, {some[number]: why for number, why in refused.items()})
    return list({(each.code, each.subject): each for each in findings}.values())


def not_made(dynamodb: Any, unit: str, wanted: Iterable[Grant], account: str) -> list[Resource]:
    """The tag policies of these grants that the ledger does not have: they were refused."""
    there = {(entry.principal, entry.resource) for entry in made(dynamodb, unit, account)}
    policies = (each for each in wanted if each.resource.kind == "LFTagPolicy")
    return [each.resource for each in policies if (each.principal, each.resource) not in there]


def _take_back(dynamodb: Any, unit: str, key: str, earlier: Grant | None, known: dict[str, Grant]) -> None:
    """The ledger as it was before a grant that was not made."""
    if earlier is None:
        known.pop(key, None)
        ledger.forget(dynamodb, unit, key)
    else:
        known[key] = earlier
        ledger.record(dynamodb, unit, key, "grant", _detail(earlier), "as before a grant that was refused", "")


def _not_granted(unit: str, account: str, refused: Mapping[Grant, str]) -> list[Finding]:
    """What was refused for good, one finding for each principal."""
    findings = []
    for principal in sorted({entry.principal for entry in refused}):
        of = {entry: why for entry, why in refused.items() if entry.principal == principal}
        entry, reason = next(iter(of.items()))
        if ":organizations:" in principal:
            mend = (
                f"mend `organizational_unit`, put account {account} into that organization, or enable sharing with AWS "
                "Organizations in RAM, in its management account"
            )
        elif "invalid principal" in reason.lower():
            mend = f"create {principal} again, or take it out of the governance files"
        elif entry.resource.kind == "LFTagPolicy":
            mend = (
                "a principal holds at most 50 LF-Tag policies on databases and 50 on tables unless AWS has raised that "
                "quota, those that others granted it included: give it fewer subscriptions that differ in their tags, "
                "or ask AWS for more"
            )
        else:
            mend = f"grant it as a Lake Formation administrator of {account} to see what is amiss"
        what = "; ".join(dict.fromkeys(entry.why for entry in of))
        message = f"{len(of)} permissions of {what} could not be granted in account {account}: {reason}"
        findings.append(Finding("not-granted", f"{unit}/{principal}", message, f"{mend}; the sweep tries again"))
    return findings


def _revoke(
    dynamodb: Any,
    lf: Any,
    unit: str,
    entries: list[Revoke],
    catalog: str,
    account: str,
    known: dict[str, Grant],
) -> list[Finding]:
    refused = lakeformation.revoke(lf, [to_api(entry) for entry in entries], CatalogId=catalog)
    left = observed(lf, catalog, {entries[number].principal for number in refused}) if refused else []
    findings = []
    for number, entry in enumerate(entries):
        of = single_values(entry.resource)
        still = [
            grant
            for grant in left
            if grant.principal == entry.principal and not {*of}.isdisjoint(single_values(grant.resource))
        ]
        if number in refused and any(
            grant.permissions & entry.permissions or grant.grantable & entry.grantable for grant in still
        ):
            findings.append(
                Finding(
                    "not-revoked",
                    f"{unit}/{entry.principal}",
                    f"a permission that the governance files no longer give could not be revoked ({refused[number]})",
                    f"revoke it as a Lake Formation administrator of {account}; the sweep tries again",
                )
            )
            continue
        for one in of:
            _forget(dynamodb, unit, account, replace(entry, resource=one), known)
    return findings


def _forget(dynamodb: Any, unit: str, account: str, entry: Revoke, known: dict[str, Grant]) -> None:
    key = _key(account, entry)
    before = known.get(key)
    if before is None:
        return
    left = replace(
        before,
        permissions=before.permissions - entry.permissions,
        grantable=before.grantable - entry.grantable - entry.permissions,
    )
    if left.permissions:
        known[key] = left
        ledger.record(dynamodb, unit, key, "grant", _detail(left), "revoked in part", "")
    else:
        del known[key]
        ledger.forget(dynamodb, unit, key)


def _neighbours(
    actions: Iterable[Grant | Revoke],
) -> Iterator[tuple[type, str, list[Grant | Revoke]]]:
    for (kind, catalog), entries in groupby(actions, key=lambda action: (type(action), _catalog(action))):
        yield kind, catalog, list(entries)


def _catalog(entry: Grant | Revoke) -> str:
    """The catalogue that a grant's resource lies in: where the call must go."""
    content = entry.resource.content
    return content["CatalogId"]
