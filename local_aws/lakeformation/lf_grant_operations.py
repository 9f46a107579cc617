"""The grant operations of the API: grant, revoke, batches, lists.

Sources: the service model (GrantPermissions, RevokePermissions, BatchGrantPermissions, ListPermissions) and the Lake
Formation developer guide, "Viewing database and table permissions".

Choices where they are silent: a revocation of something that is not held revokes nothing and is InvalidInputException;
an owner does not see what another account regranted, that account does, with CatalogId of the owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from local_aws.lakeformation.lf_access import Access
from local_aws.lakeformation.lf_authority import Authority
from local_aws.lakeformation.lf_grants import GrantStore
from local_aws.lakeformation.lf_model import (
    IAM_ALLOWED,
    CatalogResource,
    ColumnsResource,
    DatabaseResource,
    ExpressionResource,
    Grant,
    LocationResource,
    PolicyResource,
    Resource,
    TableResource,
    TagResource,
    account_of,
    catalog_of,
    columns_from_api,
    expression_from_api,
    group_of,
    invalid,
    policy_from_api,
    principal_from_api,
    refused,
    resource_member,
    resource_to_api,
    s3_path,
    table_from_api,
)
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.lakeformation.lf_sharing import Sharing
from local_aws.wire import AwsError

LIST_PAGE = 1_000
ENTRIES_PER_BATCH = 20

RESOURCE_TYPES = {
    "CATALOG": lambda r: isinstance(r, CatalogResource),
    "DATABASE": lambda r: isinstance(r, DatabaseResource),
    "TABLE": lambda r: isinstance(r, TableResource | ColumnsResource),
    "DATA_LOCATION": lambda r: isinstance(r, LocationResource),
    "LF_TAG": lambda r: isinstance(r, TagResource),
    "LF_TAG_POLICY": lambda r: isinstance(r, PolicyResource),
    "LF_TAG_POLICY_DATABASE": lambda r: isinstance(r, PolicyResource) and r.kind == "DATABASE",
    "LF_TAG_POLICY_TABLE": lambda r: isinstance(r, PolicyResource) and r.kind == "TABLE",
    "LF_NAMED_TAG_EXPRESSION": lambda r: isinstance(r, ExpressionResource),
}


def resources_from_api(shape: dict[str, Any], catalog: str) -> list[Resource]:
    """The resources that a Resource shape names: one, or for an LF-Tag one for each of its values."""
    member = resource_member(shape)
    given = shape[member]
    match member:
        case "Catalog":
            return [CatalogResource(given.get("Id") or catalog)]
        case "Database":
            return [DatabaseResource(given.get("CatalogId") or catalog, given["Name"].lower())]
        case "Table":
            return [table_from_api(given, catalog)]
        case "TableWithColumns":
            return [columns_from_api(given, catalog)]
        case "DataLocation":
            return [LocationResource(given.get("CatalogId") or catalog, s3_path(given["ResourceArn"]))]
        case "LFTagPolicy":
            return [policy_from_api(given, catalog)]
        case "LFTagExpression":
            return [ExpressionResource(given.get("CatalogId") or catalog, given["Name"])]
    owner, ((key, values),) = given.get("CatalogId") or catalog, expression_from_api([given])
    return [TagResource(owner, key, value) for value in sorted(values)]


class GrantOperations:
    """Grant operations over the stores. `lookup` finds databases and tables (glue_lookup.Lookup)."""

    def __init__(
        self, world: Any, grants: GrantStore, access: Access, authority: Authority, sharing: Sharing, lookup: Any
    ) -> None:
        self._world = world
        self._grants = grants
        self._access = access
        self._authority = authority
        self._sharing = sharing
        self._lookup = lookup

    # -- granting and revoking ----------------------------------------------------------------------------------------

    def grant(self, caller: Any, catalog_id: str | None, entry: dict) -> dict:
        """GrantPermissions. Granting again what is held changes nothing. See Authority.check_grant for errors."""
        principal, resources, permissions, grantable = self._entry(caller, catalog_id, entry)
        for resource in resources:
            self._authority.check_grant(caller, principal, resource, permissions, grantable)
        for resource in resources:
            self._grants.add(
                principal,
                resource,
                permissions,
                grantable,
                grantor=caller.account,
                by=caller.principal,
                now=self._world.now(),
            )
        self._share(caller, resources[0].catalog, principal)
        return {}

    def revoke(self, caller: Any, catalog_id: str | None, entry: dict) -> dict:
        """RevokePermissions. See Authority.check_revoke and GrantStore.remove for errors."""
        principal, resources, permissions, grantable = self._entry(caller, catalog_id, entry)
        if not permissions | grantable:
            raise invalid("Permissions must not be empty")
        for resource in resources:
            self._authority.check_revoke(caller, resource, permissions | grantable)
        catalog = resources[0].catalog
        if self._crosses(caller, catalog, principal):
            self._sharing.check_unshare(caller, catalog, principal)
        self._grants.remove(
            principal,
            resources,
            permissions,
            grantable,
            grantor=caller.account,
            by=caller.principal,
            now=self._world.now(),
        )
        self._share(caller, catalog, principal)
        return {}

    def batch(self, caller: Any, catalog_id: str | None, entries: list[dict], apply: Any) -> dict:
        """BatchGrantPermissions or BatchRevokePermissions (`apply` is `grant` or `revoke`) of at most 20 entries.

        Those that fail are in Failures, the others are done. InvalidInputException for more, or for a repeated Id.
        """
        if len(entries) > ENTRIES_PER_BATCH:
            raise invalid(f"at most {ENTRIES_PER_BATCH} entries in one batch, not {len(entries)}")
        if len({entry["Id"] for entry in entries}) < len(entries):
            raise invalid("the Ids of the entries are not unique")
        failures = []
        for entry in entries:
            try:
                apply(caller, catalog_id, entry)
            except AwsError as error:
                failure = {"ErrorCode": error.code, "ErrorMessage": error.message}
                failures.append({"RequestEntry": entry, "Error": failure})
        return {"Failures": failures}

    def _entry(
        self, caller: Any, catalog_id: str | None, entry: dict
    ) -> tuple[str, list[Resource], frozenset[str], frozenset[str]]:
        if entry.get("Condition"):
            raise refused("Condition on a grant is not built here")
        if not entry.get("Principal") or not entry.get("Resource"):
            raise invalid("a grant needs a Principal and a Resource")
        resources = resources_from_api(entry["Resource"], catalog_of(caller, catalog_id))
        permissions = frozenset(entry.get("Permissions") or ())
        grantable = frozenset(entry.get("PermissionsWithGrantOption") or ())
        return principal_from_api(entry["Principal"]), resources, permissions, grantable

    def _share(self, caller: Any, catalog: str, principal: str) -> None:
        """After a change by the owner of a grant to another account: let the RAM shares follow."""
        if self._crosses(caller, catalog, principal):
            self._sharing.reconcile(catalog, principal)

    def _crosses(self, caller: Any, catalog: str, principal: str) -> bool:
        """Whether this is the owner's own grant to another account."""
        return caller.account == catalog and principal != IAM_ALLOWED and account_of(principal) != catalog

    # -- listing ------------------------------------------------------------------------------------------------------

    def list(self, caller: Any, params: dict) -> dict:
        """ListPermissions: explicit grants; with both Principal and Resource what the principal effectively has.

        An administrator sees all that its account granted, others see what is theirs to pass on or was granted to
        them. With the CatalogId of another account: what that account granted to one's own, and what one's own
        regranted. SELECT on a table is an entry of its own (TableWithColumns).
        """
        catalog = catalog_of(caller, params.get("CatalogId"))
        if (params.get("IncludeRelated") or "FALSE").upper() != "FALSE":
            raise refused("ListPermissions.IncludeRelated: data cell filters are not built here")
        principal = principal_from_api(params["Principal"]) if params.get("Principal") else None
        resources = resources_from_api(params["Resource"], catalog) if params.get("Resource") else None
        if resources and isinstance(resources[0], ColumnsResource):
            raise invalid("ListPermissions does not take TableWithColumns: list the permissions on the table")
        if resources:
            catalog = resources[0].catalog
        grants = self._seen(caller, catalog)
        if principal and resources and self._may_ask_about(caller, principal):
            effective = self._effective(principal, resources[0])
            if effective is not None:
                return {"PrincipalResourcePermissions": self._shown(effective)}
        if principal:
            grants = [grant for grant in grants if grant.principal == principal]
        if resources:
            grants = [grant for grant in grants if _concerns(grant.resource, resources)]
        if kind := params.get("ResourceType"):
            grants = [grant for grant in grants if RESOURCE_TYPES[kind](grant.resource)]
        entries = self._shown(grants)
        shown, following = page(entries, params.get("NextToken"), params.get("MaxResults"), LIST_PAGE)
        return with_token({"PrincipalResourcePermissions": shown}, following)

    def _may_ask_about(self, caller: Any, principal: str) -> bool:
        """Effective permissions are for the principal itself and the administrators of its account."""
        same_account = account_of(principal) == caller.account
        return principal == caller.principal or same_account and self._access.is_admin(caller.principal)

    def _seen(self, caller: Any, catalog: str) -> list[Grant]:
        """The explicit grants on a catalogue's resources that the caller may see."""
        account, grants = caller.account, self._grants.all(catalog)
        admin = self._access.sees_all(caller.principal)
        own = {caller.principal, group_of(account)}
        if account != catalog:
            regranted = [g for g in grants if g.grantor == account and (admin or g.principal in own)]
            reached = {name for name in (group_of(account), caller.principal) if self._reached(catalog, name)}
            reached |= {
                name for kind in ("database", "table") for name in self._sharing.reaching(catalog, kind, account)
            }
            to_us = reached if admin else reached & own
            return regranted + [g for g in grants if g.grantor == catalog and g.principal in to_us]
        local = [grant for grant in grants if grant.grantor == catalog]
        if admin:
            return local
        passable = {grant.resource: grant.grantable for grant in local if grant.principal in own and grant.grantable}
        return [g for g in local if g.principal in own or g.permissions & passable.get(g.resource, frozenset())]

    def _reached(self, owner: str, recipient: str) -> bool:
        return any(self._sharing.shared(owner, kind, recipient) for kind in ("database", "table"))

    def _effective(self, principal: str, resource: Resource) -> list[Grant] | None:
        """Computed permissions on a database or table as grants; None for other resources and for groups."""
        if not principal.startswith("arn:"):
            return None
        now, owner = self._world.now(), resource.catalog
        if isinstance(resource, DatabaseResource):
            database = self._lookup.find(resource.catalog, resource.name)
            held = self._access.database(principal, database) if database else None
            if not held or not held.permissions:
                return []
            return [Grant(principal, resource, held.permissions, held.grantable, owner, now, owner)]
        if not isinstance(resource, TableResource) or resource.name is None:
            return None
        database = self._lookup.find(resource.catalog, resource.database)
        table = database.tables.get(resource.name) if database else None
        if table is None:
            return []
        access = self._access.table(principal, table)
        whole, entries = access.whole, []
        columns = ColumnsResource(resource.catalog, resource.database, resource.name)
        select = frozenset({"SELECT"})
        if "SELECT" in whole.permissions:
            entries.append(Grant(principal, columns, select, whole.grantable & select, owner, now, owner))
        elif access.selected:
            chosen = replace(columns, included=access.selected)
            entries.append(Grant(principal, chosen, select, frozenset(), owner, now, owner))
        others = (whole.permissions - select) or (frozenset({"DESCRIBE"}) if access.visible else frozenset())
        if others:
            entries.append(Grant(principal, resource, others, whole.grantable - select, owner, now, owner))
        return entries

    def _shown(self, grants: Iterable[Grant]) -> list[dict]:
        """PrincipalResourcePermissions shapes; values of one LF-Tag held alike are one entry."""
        entries, tags = [], {}
        for grant in grants:
            if isinstance(grant.resource, TagResource):
                like = (grant.principal, grant.grantor, grant.resource.catalog, grant.resource.key)
                tags.setdefault((*like, grant.permissions, grant.grantable), []).append(grant)
            else:
                entries.append(self._entry_shape(grant, ()))
        for alike in tags.values():
            entries.append(self._entry_shape(alike[0], [grant.resource.value for grant in alike]))
        return entries

    def _entry_shape(self, grant: Grant, values: Iterable[str]) -> dict:
        shape = {
            "Principal": {"DataLakePrincipalIdentifier": grant.principal},
            "Resource": resource_to_api(grant.resource, values),
            "Permissions": sorted(grant.permissions),
            "PermissionsWithGrantOption": sorted(grant.grantable),
            "LastUpdated": grant.updated,
            "LastUpdatedBy": grant.by,
        }
        catalog = grant.resource.catalog
        if shares := self._sharing.shares(catalog, grant.principal) if grant.grantor == catalog else []:
            shape["AdditionalDetails"] = {"ResourceShare": shares}
        return shape


def _concerns(held: Resource, asked: list[Resource]) -> bool:
    """Whether a grant is on the resource that was asked for; a table includes its columns."""
    if isinstance(held, ColumnsResource) and isinstance(asked[0], TableResource):
        return TableResource(held.catalog, held.database, held.name) == asked[0]
    if isinstance(held, TagResource) and isinstance(asked[0], TagResource):
        return held.key == asked[0].key and (held.value == "*" or held in asked or asked[0].value == "*")
    return held in asked
