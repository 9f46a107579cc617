"""Observing and carrying out grants: values of `tagmesh.grants` here, Lake Formation and the ledger there.

`place` tells the two catalogues apart that one consumer's run writes to: "central" and "consumer".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from tagmesh.aws import governance_store, lakeformation, ledger, units
from tagmesh.grants import Grant, Resource, Revoke, from_api, to_api


def observed(lf: Any, catalog: str, principals: Collection[str]) -> list[Grant]:
    """The explicit grants of these principals in one catalogue.

    Listed whole and filtered here: lists by principal come back empty for some kinds of principals.
    """
    rows = lakeformation.permissions(lf, CatalogId=catalog)
    return [from_api(row, catalog) for row in rows if row["Principal"]["DataLakePrincipalIdentifier"] in principals]


def made(dynamodb: Any, unit: str, place: str) -> list[Grant]:
    """The grants that the ledger says we made for a unit in one place."""
    entries = ledger.made_by(dynamodb, unit)
    return [_grant(entry["detail"]) for key, entry in entries.items() if key.startswith(f"grant/{place}/")]


def _key(place: str, entry: Grant | Revoke) -> str:
    named = json.dumps([entry.principal, entry.resource.kind, entry.resource.body])
    return f"grant/{place}/{hashlib.sha256(named.encode()).hexdigest()}"


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
    version: str,
    actions: Iterable[Grant | Revoke],
    place: str,
) -> None:
    """Revokes and grants in the order given, neighbours of a kind in one batch.

    A grant stands in the ledger before it is made, and a revoked one until it is gone. Before each batch of grants
    the lease and the governance version are checked.

    Raises:
        LeaseLost: another run holds the unit, or another version is in force.
        LakeFormationRefused: with the first entry refused.
    """
    known = {_key(place, entry): entry for entry in made(dynamodb, lease.unit, place)}
    for kind, catalog, entries in _neighbours(actions):
        calls = [to_api(entry) for entry in entries]
        if kind is Revoke:
            lakeformation.revoke(lf, calls, CatalogId=catalog)
            for entry in entries:
                _forget(dynamodb, lease.unit, place, entry, known)
            continue
        units.holds(dynamodb, lease)
        if governance_store.version_in_force(dynamodb) != version:
            raise units.LeaseLost(f"{lease.unit}: another governance version is in force")
        for entry in entries:
            key = _key(place, entry)
            before = known.get(key, replace(entry, permissions=frozenset(), grantable=frozenset()))
            known[key] = replace(
                entry,
                permissions=before.permissions | entry.permissions,
                grantable=before.grantable | entry.grantable,
            )
            ledger.record(dynamodb, lease.unit, key, "grant", _detail(known[key]), entry.why, version)
        lakeformation.grant(lf, calls, CatalogId=catalog)


def _forget(dynamodb: Any, unit: str, place: str, entry: Revoke, known: dict[str, Grant]) -> None:
    key = _key(place, entry)
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
