"""Grants: how they merge, come apart, and go when their resource goes.

Pure state: who may grant what is decided in lf_authority.py, what it comes to in lf_access.py.
Sources: the Lake Formation developer guide, "Lake Formation permissions reference"; errors as the service words them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from local_aws.lakeformation.lf_model import (
    IAM_ALLOWED,
    ColumnsResource,
    DatabaseResource,
    ExpressionResource,
    Grant,
    LocationResource,
    PolicyResource,
    Resource,
    TableResource,
    TagResource,
    describe,
    invalid,
)

Piece = tuple[Resource, frozenset[str], frozenset[str]]
"""A resource with the permissions and the grant options that are kept for it."""


def pieces(resource: Resource, permissions: frozenset[str], grantable: frozenset[str]) -> list[Piece]:
    """How Lake Formation keeps a grant: SELECT on a table is a permission on all its columns, apart from the others."""
    if not isinstance(resource, TableResource) or "SELECT" not in permissions | grantable:
        return [(resource, permissions, grantable)]
    select = frozenset({"SELECT"})
    columns = ColumnsResource(resource.catalog, resource.database, resource.name)
    kept = [(columns, permissions & select, grantable & select)]
    if permissions - select or grantable - select:
        kept.append((resource, permissions - select, grantable - select))
    return kept


def topic(resource: Resource) -> tuple:
    """What a resource is about: grants are found by it. A table and its columns share one."""
    match resource:
        case DatabaseResource(_, name):
            return ("database", name)
        case TableResource(_, database, name) | ColumnsResource(_, database, name):
            return ("table", database, name)
        case PolicyResource(_, kind):
            return ("policy", kind)
        case TagResource(_, key):
            return ("tag", key)
        case ExpressionResource(_, name):
            return ("expression", name)
        case LocationResource():
            return ("location",)
    return ("catalog",)


class Holdings(dict[tuple, dict[tuple[str, Resource], Grant]]):
    """The grants to one principal on one catalogue's resources: topic -> (grantor, resource) -> grant."""

    def get_grant(self, grantor: str, resource: Resource) -> Grant | None:
        return self.get(topic(resource), {}).get((grantor, resource))

    def put(self, grant: Grant) -> None:
        self.setdefault(topic(grant.resource), {})[(grant.grantor, grant.resource)] = grant

    def drop(self, grant: Grant) -> None:
        del self[topic(grant.resource)][(grant.grantor, grant.resource)]

    def grants(self) -> Iterator[Grant]:
        for grants in self.values():
            yield from grants.values()


class GrantStore:
    """The grants on all catalogues, each once per grantor's account, principal and resource."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Holdings]] = defaultdict(lambda: defaultdict(Holdings))

    def of(self, catalog: str, principals: Iterable[str], grantor: str, *topics: tuple) -> Iterator[Grant]:
        """The grants on a catalogue's resources that `grantor` made to any of `principals`; of all topics or some."""
        for principal in principals:
            held = self._held[catalog].get(principal)
            if held is None:
                continue
            for wanted in topics or tuple(held):
                for grant in held.get(wanted, {}).values():
                    if grant.grantor == grantor:
                        yield grant

    def all(self, catalog: str) -> list[Grant]:
        """All grants on a catalogue's resources, in a stable order."""
        by_principal = self._held[catalog]
        return [
            grant
            for principal in sorted(by_principal)
            for grant in sorted(by_principal[principal].grants(), key=lambda g: (g.grantor, repr(_key(g.resource))))
        ]

    def find(self, principal: str, resource: Resource, grantor: str) -> Grant | None:
        held = self._held[resource.catalog].get(principal)
        return held.get_grant(grantor, resource) if held else None

    def iam_allowed(self, resource: DatabaseResource | TableResource) -> bool:
        """Whether IAM_ALLOWED_PRINCIPALS holds anything on a database or table."""
        held = self._held[resource.catalog].get(IAM_ALLOWED, Holdings())
        if isinstance(resource, DatabaseResource):
            return bool(held.get(topic(resource)))
        return any(held.get(("table", resource.database, name)) for name in (None, resource.name))

    # -- granting -----------------------------------------------------------------------------------------------

    def add(
        self,
        principal: str,
        resource: Resource,
        permissions: frozenset[str],
        grantable: frozenset[str],
        *,
        grantor: str,
        by: str,
        now: datetime,
    ) -> None:
        """Add permissions to what the principal has from this grantor. Granting what is there changes nothing."""
        for part, gives, options in pieces(resource, permissions, grantable):
            part, before = self._merged_columns(principal, part, grantor)
            held = self._held[part.catalog][principal]
            if before:
                held.drop(before)
                gives, options = before.permissions | gives, before.grantable | options
                unchanged = (part, gives, options) == (before.resource, before.permissions, before.grantable)
                if unchanged and not before.void:
                    held.put(before)
                    continue
            held.put(Grant(principal, part, gives, options, grantor, now, by))

    def _merged_columns(self, principal: str, part: Resource, grantor: str) -> tuple[Resource, Grant | None]:
        """Column lists of one table are kept as one list: the resource to keep, and the grant that it replaces."""
        if isinstance(part, ColumnsResource) and part.included is not None:
            before = self._listed_columns(principal, part, grantor)
            if before:
                return replace(part, included=part.included | before.resource.included), before
        return part, self.find(principal, part, grantor)

    def _listed_columns(self, principal: str, part: ColumnsResource, grantor: str) -> Grant | None:
        for grant in self.of(part.catalog, (principal,), grantor, topic(part)):
            if isinstance(grant.resource, ColumnsResource) and grant.resource.included is not None:
                return grant
        return None

    # -- revoking -----------------------------------------------------------------------------------------------

    def remove(
        self,
        principal: str,
        resources: list[Resource],
        permissions: frozenset[str],
        grantable: frozenset[str],
        *,
        grantor: str,
        by: str,
        now: datetime,
    ) -> None:
        """Revoke permissions with their grant options, and `grantable`: grant options alone.

        InvalidInputException "No permissions revoked" if the principal lacks any of them on any of the resources; then
        nothing is revoked.
        """
        found = [
            (self._to_shrink(principal, resource, piece, grantor), piece)
            for resource in resources
            for piece in pieces(resource, permissions, grantable)
        ]
        for grant, (part, gone, options) in found:
            self._shrink(grant, part, gone, options, by, now)

    def _to_shrink(self, principal: str, resource: Resource, piece: Piece, grantor: str) -> Grant:
        """The grant that holds all that is to be revoked."""
        part, gone, options = piece
        grant = self._holding(principal, part, grantor)
        if grant is None and not self._any_held(principal, resource, grantor):
            raise invalid(
                "No permissions revoked. Grantee has no permissions and no grantable permissions on resource "
                f"{describe(resource)}."
            )
        lacking = (gone - grant.permissions) | (options - gone - grant.grantable) if grant else gone | options
        if lacking:
            raise invalid(f"No permissions revoked. Grantee does not have: {', '.join(sorted(lacking))}")
        return grant

    def _holding(self, principal: str, part: Resource, grantor: str) -> Grant | None:
        if isinstance(part, ColumnsResource) and part.included is not None:
            grant = self._listed_columns(principal, part, grantor)
            return grant if grant and part.included <= grant.resource.included else None
        return self.find(principal, part, grantor)

    def _any_held(self, principal: str, resource: Resource, grantor: str) -> bool:
        both = (resource,)
        if isinstance(resource, TableResource):
            both += (ColumnsResource(resource.catalog, resource.database, resource.name),)
        return any(self.find(principal, part, grantor) for part in both)

    def _shrink(
        self, grant: Grant, part: Resource, gone: frozenset, options: frozenset, by: str, now: datetime
    ) -> None:
        held = self._held[part.catalog][grant.principal]
        held.drop(grant)
        if isinstance(part, ColumnsResource) and part.included is not None:  # they carry no grant option
            left = grant.resource.included - part.included
            if left:
                kept = replace(grant.resource, included=left)
                held.put(replace(grant, resource=kept, updated=now, by=by))
            return
        permissions, grantable = grant.permissions - gone, grant.grantable - gone - options
        if permissions:
            held.put(replace(grant, permissions=permissions, grantable=grantable, updated=now, by=by))

    # -- life of the resources ----------------------------------------------------------------------------------

    def forget_database(self, database: DatabaseResource) -> None:
        """Drop the grants on a database that was deleted, with those on all its tables."""
        for held in self._held[database.catalog].values():
            for about in [about for about in held if about[:2] == ("table", database.name)]:
                del held[about]
            held.pop(topic(database), None)

    def forget_table(self, table: TableResource) -> None:
        """Drop the named grants on a table that was deleted. Grants on all tables stay."""
        for held in self._held[table.catalog].values():
            held.pop(topic(table), None)

    def forget_tag(self, catalog: str, key: str) -> None:
        """A tag was deleted: grants on it go, and policies that use it are void for good, though still listed."""
        for held in self._held[catalog].values():
            held.pop(("tag", key), None)
            for kind in ("DATABASE", "TABLE"):
                for grant in list(held.get(("policy", kind), {}).values()):
                    if any(used == key for used, _ in grant.resource.expression):
                        held.put(replace(grant, void=True))

    def forget_expression(self, catalog: str, name: str) -> None:
        """A named expression was deleted: grants on it go, and policies that refer to it."""
        for held in self._held[catalog].values():
            held.pop(("expression", name), None)
            for kind in ("DATABASE", "TABLE"):
                for grant in list(held.get(("policy", kind), {}).values()):
                    if grant.resource.named == name:
                        held.drop(grant)


def _key(resource: Resource) -> tuple:
    """A sort key: by kind of resource, then by its fields (sets as sorted lists)."""
    fields = (getattr(resource, name) for name in resource.__dataclass_fields__)
    return type(resource).__name__, [sorted(field) if isinstance(field, frozenset) else str(field) for field in fields]
