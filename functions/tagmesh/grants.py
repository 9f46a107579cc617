"""Grants of Lake Formation as values: the same grant is an equal value, however the API wrote it. Pure.

``diff`` is the one place where grants are compared: it revokes only what the ledger says we made, and revokes
come before grants, so that what is granted at any time is old or wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tagmesh.wording import written_expression

IAM_ALLOWED = "IAM_ALLOWED_PRINCIPALS"
"""The group IAMAllowedPrincipals, as Lake Formation writes it in grants: whoever IAM admits."""


@dataclass(frozen=True, order=True)
class Resource:
    """A resource of a Lake Formation grant in normal form: ``kind`` is the API's member (LFTagPolicy, LFTag,
    Database, Table, ...), ``body`` its content as canonical JSON: sorted, and lower-case where Lake Formation
    folds. The same resource is an equal value, however the API wrote it."""

    kind: str
    body: str

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass(frozen=True)
class Grant:
    """A grant, wanted or observed or to be made. ``principal`` is a DataLakePrincipalIdentifier: an account
    id or an ARN. ``grantable`` is the part of ``permissions`` that carries the grant option; ``why`` names
    the subscription, for the ledger, and does not count when grants are compared."""

    principal: str
    resource: Resource
    permissions: frozenset[str]
    grantable: frozenset[str] = frozenset()
    why: str = field(default="", compare=False)


@dataclass(frozen=True)
class Revoke:
    """What is taken away: permissions, and grant options (also of permissions that stay)."""

    principal: str
    resource: Resource
    permissions: frozenset[str]
    grantable: frozenset[str] = frozenset()


def is_every_table(content: Mapping[str, Any]) -> bool:
    """The name ALL_TABLES is how Lake Formation lists a grant on every table of a database."""
    return content.get("TableWildcard") is not None or content.get("Name") == "all_tables"


def written(grant: Grant) -> str:
    """A grant as messages write it: `SELECT on tables with domain=sales`."""
    content = grant.resource.content
    permissions = "+".join(sorted(grant.permissions))
    if grant.resource.kind == "LFTagPolicy":
        of = content["ResourceType"].lower()
        if content.get("ExpressionName"):
            return f"{permissions} on {of}s of the LF-Tag expression {content['ExpressionName']}"
        pairs = ((pair["TagKey"], pair["TagValues"]) for pair in content["Expression"])
        return f"{permissions} on {of}s with {written_expression(pairs)}"
    if grant.resource.kind == "Database":
        return f"{permissions} on database {content['Name']} by name"
    if grant.resource.kind not in ("Table", "TableWithColumns"):
        return f"{permissions} on {grant.resource.kind}"
    if is_every_table(content):
        return f"{permissions} on all tables of {content['DatabaseName']} by name"
    return f"{permissions} on {content['DatabaseName']}.{content['Name']} by name"


def is_recipient(principal: str) -> bool:
    """Whether a principal stands for whole accounts, which pass on what they are granted: it is an account id, or the
    ARN of an organization or organizational unit."""
    return principal.isdigit() or ":organizations:" in principal


def tag_policy(catalog: str, resource_type: str, expression: Iterable[tuple[str, Iterable[str]]]) -> Resource:
    """Everything of a type (DATABASE or TABLE) in a catalogue that matches a tag expression."""
    pairs = [{"TagKey": key, "TagValues": list(values)} for key, values in expression]
    return _resource("LFTagPolicy", {"CatalogId": catalog, "ResourceType": resource_type, "Expression": pairs})


def lf_tag(catalog: str, key: str, values: Iterable[str]) -> Resource:
    """Values of an LF-Tag themselves: who may see and name them."""
    return _resource("LFTag", {"CatalogId": catalog, "TagKey": key, "TagValues": list(values)})


def database(catalog: str, name: str) -> Resource:
    """One database, or one resource link."""
    return _resource("Database", {"CatalogId": catalog, "Name": name})


def _resource(kind: str, content: Mapping[str, Any]) -> Resource:
    return Resource(kind, json.dumps(_normal(kind, content), sort_keys=True, separators=(",", ":")))


def _normal(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a resource, sorted, and lower-case where Lake Formation and Glue fold."""
    normal = dict(content)
    for name in ("TagKey", "Name", "DatabaseName", "TableName"):
        if isinstance(normal.get(name), str) and kind != "DataCellsFilter":
            normal[name] = normal[name].lower()
    for name in ("TagValues", "ColumnNames"):
        if normal.get(name) is not None:
            normal[name] = sorted({value.lower() for value in normal[name]})
    if normal.get("Expression") is not None:
        pairs = [_normal("LFTag", pair) for pair in normal["Expression"]]
        normal["Expression"] = sorted(pairs, key=lambda pair: pair["TagKey"])
    return normal


def from_api(row: Mapping[str, Any], catalog: str) -> Grant:
    """A Grant from a row of ListPermissions (PrincipalResourcePermissions). ``catalog``: the id that an omitted
    CatalogId stands for, that is, the account that was asked."""
    ((kind, content),) = row["Resource"].items()
    if kind != "Catalog":
        content = {"CatalogId": catalog, **content}
    permissions = frozenset(row.get("Permissions") or ())
    grantable = frozenset(row.get("PermissionsWithGrantOption") or ())
    principal = row["Principal"]["DataLakePrincipalIdentifier"]
    return Grant(principal, _resource(kind, content), permissions | grantable, grantable)


def to_api(entry: Grant | Revoke) -> dict[str, Any]:
    """The Principal, Resource, Permissions and PermissionsWithGrantOption of a GrantPermissions or
    RevokePermissions call, or of an entry of the batch calls (add an Id there)."""
    return {
        "Principal": {"DataLakePrincipalIdentifier": entry.principal},
        "Resource": {entry.resource.kind: entry.resource.content},
        "Permissions": sorted(entry.permissions),
        "PermissionsWithGrantOption": sorted(entry.grantable),
    }


def diff(wanted: Iterable[Grant], observed: Iterable[Grant], made: Iterable[Grant]) -> list[Grant | Revoke]:
    """Revokes, then grants, that turn ``observed`` into ``wanted``; [] if nothing is missing or in excess.

    Rows may come in any order and in parts. Only what is in ``made``, the ledger's, is ever revoked."""
    wanted_by, observed_by, made_by = _merged(wanted), _merged(observed), _merged(made)
    revokes, grants = [], []
    for place, present in observed_by.items():
        ours, right = made_by.get(place), wanted_by.get(place, _NOTHING)
        if ours is not None:
            permissions = (present.permissions & ours.permissions) - right.permissions
            grantable = (present.grantable & ours.grantable) - right.grantable
            if permissions or grantable:
                revokes.append(Revoke(*place, permissions, grantable))
    for place, right in wanted_by.items():
        present = observed_by.get(place, _NOTHING)
        everything = observed_by.get((place[0], _any_value(place[1])), _NOTHING)
        permissions = right.permissions - present.permissions - everything.permissions
        grantable = right.grantable - present.grantable - everything.grantable
        if permissions or grantable:
            grants.append(Grant(*place, permissions | grantable, grantable, right.why))
    return [*_grouped(revokes), *_grouped(grants)]


_NOTHING = Grant("", Resource("", "{}"), frozenset())


def _merged(grants: Iterable[Grant]) -> dict[tuple[str, Resource], Grant]:
    """(principal, resource) -> all that is granted there; an LF-Tag's values each by itself, since Lake
    Formation lists them together as it likes."""
    merged: dict[tuple[str, Resource], Grant] = {}
    for grant in grants:
        for resource in single_values(grant.resource):
            place = (grant.principal, resource)
            known = merged.get(place, _NOTHING)
            merged[place] = Grant(
                *place,
                known.permissions | grant.permissions,
                known.grantable | grant.grantable,
                "; ".join(dict.fromkeys(why for why in (known.why, grant.why) if why)),
            )
    return merged


def single_values(resource: Resource) -> list[Resource]:
    """The values of an LF-Tag each by itself; of other kinds the resource."""
    if resource.kind != "LFTag":
        return [resource]
    content = resource.content
    return [_resource("LFTag", {**content, "TagValues": [value]}) for value in content["TagValues"]]


def _any_value(resource: Resource) -> Resource:
    """The resource that stands for all values of an LF-Tag; of other kinds the resource itself."""
    return _resource("LFTag", {**resource.content, "TagValues": ["*"]}) if resource.kind == "LFTag" else resource


def _grouped(entries: list[Any]) -> list[Any]:
    """The entries with the values of an LF-Tag together again. LF-Tags first, then databases, then tables; so
    what is regranted finds its tags visible. Of revokes the reverse: data first."""
    together: dict[tuple[Any, ...], Any] = {}
    for entry in entries:
        content = entry.resource.content
        values = content.pop("TagValues", []) if entry.resource.kind == "LFTag" else []
        group = (
            type(entry),
            entry.principal,
            entry.permissions,
            entry.grantable,
            entry.resource.kind,
            json.dumps(content),
        )
        if group in together:
            known = together[group]
            values = [*values, *known.resource.content["TagValues"]]
            entry = replace(known, resource=_resource("LFTag", {**content, "TagValues": values}))
        together[group] = entry
    order = {"LFTag": 0, "Database": 1, "LFTagPolicy": 2}

    def rank(entry: Any) -> tuple[Any, ...]:
        kind = order.get(entry.resource.kind, 3)
        return (-kind if isinstance(entry, Revoke) else kind, entry.resource, entry.principal)

    return sorted(together.values(), key=rank)
