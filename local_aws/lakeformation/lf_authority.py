"""Who may grant and revoke what: the validity of a grant, and the authority of the caller.

Sources: the Lake Formation developer guide ("Lake Formation permissions reference", "Implicit Lake Formation
permissions", "LF-TBAC considerations", "Permission cascading rules", "Granting permissions on a database or table
shared with your account", "Updated error message"), and its quotas.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local_aws.lakeformation.lf_access import Access, Held, held_by
from local_aws.lakeformation.lf_accounts import principal_exists
from local_aws.lakeformation.lf_grants import GrantStore
from local_aws.lakeformation.lf_model import (
    CATALOG_PERMISSIONS,
    DATABASE_PERMISSIONS,
    EXPRESSION_PERMISSIONS,
    IAM_ALLOWED,
    LINK_PERMISSIONS,
    LOCATION_PERMISSIONS,
    TABLE_PERMISSIONS,
    TAG_PERMISSIONS,
    TAG_VALUE_PERMISSIONS,
    CatalogResource,
    ColumnsResource,
    DatabaseResource,
    ExpressionResource,
    LocationResource,
    PolicyResource,
    Resource,
    TableResource,
    TagResource,
    account_of,
    denied,
    describe,
    group_of,
    invalid,
    is_account,
    not_found,
    refused,
    resource_to_api,
)
from local_aws.lakeformation.lf_sharing import Sharing
from local_aws.lakeformation.lf_tags import NO_TAG, ExpressionStore, TagStore

LARGEST_EXPRESSION = 900
"""Bytes of an inline expression, counted here as the compact JSON of its LFTagPolicy.Expression."""
POLICIES_PER_PRINCIPAL = 50

NO_RESOURCE = "Resource does not exist or requester is not authorized to access requested permissions."


class Authority:
    """Judges grants and revocations. `find` looks up a database of a catalogue, or None."""

    def __init__(
        self,
        world: Any,
        access: Access,
        tags: TagStore,
        grants: GrantStore,
        sharing: Sharing,
        find: Callable[[str, str], Any],
        expressions: ExpressionStore,
    ) -> None:
        self._world = world
        self._access = access
        self._tags = tags
        self._grants = grants
        self._sharing = sharing
        self._find = find
        self._expressions = expressions

    # -- granting ---------------------------------------------------------------------------------------------------

    def check_grant(
        self, caller: Any, principal: str, resource: Resource, permissions: frozenset[str], grantable: frozenset[str]
    ) -> None:
        """Check one grant as a whole.

        Raises InvalidInputException for a grant that is not valid, EntityNotFoundException for a resource that is not
        there or not visible, AccessDeniedException for a caller that may not make it.
        """
        self._check_permissions(resource, permissions, grantable)
        _check_at_home(caller, principal, resource)
        self._check_exists(resource)
        self._check_principal(principal, resource, permissions)
        if caller.account == resource.catalog:
            self._check_owner(caller, resource, permissions | grantable)
            if principal != IAM_ALLOWED and account_of(principal) != resource.catalog:
                self._sharing.check_external(caller, principal, resource, permissions, grantable)
        else:
            self._check_regrant(caller, principal, resource, permissions | grantable)
        self._check_combination(principal, resource, permissions, caller.account)
        if isinstance(resource, PolicyResource):
            self._check_policy_limits(principal, resource, caller.account)

    def check_revoke(self, caller: Any, resource: Resource, permissions: frozenset[str]) -> None:
        """Check that the caller may revoke: whoever may grant, and administrators what their account granted.

        EntityNotFoundException for a named resource of the caller's account that is not there or not visible.
        """
        if caller.account != resource.catalog:
            if not self._access.is_admin(caller.principal):
                self._check_exists(resource)
                self._check_regrant(caller, group_of(caller.account), resource, permissions)
            return
        if isinstance(resource, DatabaseResource | TableResource | ColumnsResource):
            self._check_exists(resource)
        self._check_owner(caller, resource, permissions)

    # -- validity ---------------------------------------------------------------------------------------------------

    def _check_permissions(self, resource: Resource, permissions: frozenset[str], grantable: frozenset[str]) -> None:
        if not permissions:
            raise invalid("Permissions must not be empty")
        if not grantable <= permissions:
            raise invalid("PermissionsWithGrantOption must be a subset of Permissions")
        match resource:
            case DatabaseResource(catalog, name):
                found = self._find(catalog, name)
                valid = LINK_PERMISSIONS if found and found.is_link else DATABASE_PERMISSIONS
            case TableResource(catalog, database, name):
                found = self._find(catalog, database)
                table = found.tables.get(name) if found and name else None
                valid = LINK_PERMISSIONS if table and table.is_link else TABLE_PERMISSIONS
            case ColumnsResource():
                valid = frozenset({"SELECT"})
            case CatalogResource():
                valid = CATALOG_PERMISSIONS
            case LocationResource():
                valid = LOCATION_PERMISSIONS
            case TagResource(_, _, value):
                valid = TAG_VALUE_PERMISSIONS | (TAG_PERMISSIONS if value == "*" else frozenset())
            case PolicyResource(_, kind):
                valid = DATABASE_PERMISSIONS if kind == "DATABASE" else TABLE_PERMISSIONS
            case ExpressionResource():
                valid = EXPRESSION_PERMISSIONS
        if wrong := permissions - valid:
            raise invalid(f"Permissions {sorted(wrong)} are not valid on {describe(resource)}: use {sorted(valid)}")
        if isinstance(resource, ColumnsResource) and resource.filtered and grantable:
            raise invalid("SELECT on chosen columns cannot be granted with the grant option")

    def _check_exists(self, resource: Resource) -> None:
        match resource:
            case DatabaseResource(catalog, name):
                if self._find(catalog, name) is None:
                    raise not_found(f"Database not found: {name}")
            case TableResource(catalog, database, name) | ColumnsResource(catalog, database, name):
                found = self._find(catalog, database)
                if found is None:
                    raise not_found(f"Database not found: {database}")
                if name and name not in found.tables:
                    raise not_found(f"Table not found: {name}")
                if name and isinstance(resource, ColumnsResource):
                    _check_columns(resource, found.tables[name])
            case TagResource(catalog, key, value):
                if not self._tags.has(catalog, key, (value,)):
                    raise not_found(NO_TAG)
            case PolicyResource(catalog, _, _, str(name)) | ExpressionResource(catalog, name):
                if self._expressions.find(catalog, name) is None:
                    raise not_found(f"LF-Tag expression {name} does not exist")
            case PolicyResource(catalog, _, expression):
                if not all(self._tags.has(catalog, key, values) for key, values in expression):
                    raise not_found(NO_TAG)

    def _check_principal(self, principal: str, resource: Resource, permissions: frozenset[str]) -> None:
        if principal == IAM_ALLOWED:
            named = isinstance(resource, DatabaseResource | TableResource)
            catalog = isinstance(resource, CatalogResource) and permissions == {"CREATE_DATABASE"}
            if not catalog and not (named and permissions == {"ALL"}):
                raise invalid(f"{IAM_ALLOWED} takes only ALL on a database or table, or CREATE_DATABASE")
        elif is_account(principal):
            if principal == resource.catalog:
                raise invalid(f"Invalid principal: account {principal} owns the resource; grant to its principals")
        elif principal.startswith("arn:") and account_of(principal) == resource.catalog:
            self._check_there(principal)

    def _check_there(self, principal: str) -> None:
        if not principal_exists(self._world, principal):
            raise invalid(f"Invalid principal: {principal} does not exist")

    def _check_combination(self, principal: str, resource: Resource, permissions: frozenset[str], grantor: str) -> None:
        """SELECT on chosen columns and other permissions on the same table exclude each other ("SELECT")."""
        if not isinstance(resource, TableResource | ColumnsResource) or resource.name is None:
            return
        chosen = isinstance(resource, ColumnsResource) and resource.filtered
        for grant in self._grants.of(resource.catalog, (principal,), grantor):
            held = grant.resource
            if not isinstance(held, TableResource | ColumnsResource):
                continue
            if (held.database, held.name) != (resource.database, resource.name):
                continue
            if chosen and isinstance(held, TableResource):
                raise invalid(
                    f"SELECT on chosen columns cannot be granted: {principal} holds {sorted(grant.permissions)} on "
                    f"table {held.name}"
                )
            if isinstance(held, ColumnsResource) and held.filtered and permissions - {"SELECT"}:
                raise invalid(
                    f"{sorted(permissions - {'SELECT'})} cannot be granted: {principal} holds SELECT on chosen columns "
                    f"of table {held.name}"
                )

    def _check_policy_limits(self, principal: str, resource: PolicyResource, grantor: str) -> None:
        expression = resource_to_api(resource)["LFTagPolicy"].get("Expression", [])
        size = len(json.dumps(expression, separators=(",", ":"), ensure_ascii=False).encode())
        if size > LARGEST_EXPRESSION:
            raise invalid(f"the LF-Tag expression has {size} bytes: more than {LARGEST_EXPRESSION}")
        others = {
            grant.resource
            for grant in self._grants.of(resource.catalog, (principal,), grantor)
            if isinstance(grant.resource, PolicyResource) and grant.resource.kind == resource.kind
        }
        if len(others | {resource}) > POLICIES_PER_PRINCIPAL:
            raise invalid(f"more than {POLICIES_PER_PRINCIPAL} LF-Tag policies on {resource.kind} for {principal}")

    # -- authority in the owner's account -----------------------------------------------------------------------------

    def _check_owner(self, caller: Any, resource: Resource, permissions: frozenset[str]) -> None:
        if self._access.is_admin(caller.principal):
            return
        held = self._held(caller.principal, resource, caller.account)
        self._require_grantable(held, resource, permissions)

    def _held(self, principal: str, resource: Resource, grantor: str) -> Held:
        """What a principal holds on a resource of its own account, or by its own account's regrants (`grantor`)."""
        grantees = (principal, group_of(account_of(principal)))
        match resource:
            case CatalogResource(catalog):
                return self._access.catalog(principal, catalog)
            case LocationResource(catalog, path):
                return self._access.location(principal, catalog, path)
            case TagResource(catalog, key, value):
                return self._access.tag(principal, catalog, key, value)
            case DatabaseResource(catalog, name):
                return self._access.database(principal, self._find(catalog, name))
            case TableResource(catalog, database, str(name)) | ColumnsResource(catalog, database, str(name)):
                access = self._access.table(principal, self._find(catalog, database).tables[name])
                return Held(frozenset({"DESCRIBE"}) if access.visible else frozenset()) | access.whole
            case ExpressionResource(catalog, name):
                return self._access.expression(principal, catalog, name)
            case PolicyResource(catalog, kind, _, str(name)):
                if "GRANT_WITH_LF_TAG_EXPRESSION" not in self._access.expression(principal, catalog, name).permissions:
                    return Held()
                every = DATABASE_PERMISSIONS if kind == "DATABASE" else TABLE_PERMISSIONS
                return held_by(self._exact(grantees, resource, grantor), every)
            case PolicyResource(_, kind, expression):
                pairs = [(key, value) for key, values in expression for value in values]
                for key, value in pairs:
                    tag = self._access.tag(principal, resource.catalog, key, value)
                    if grantor == resource.catalog and "GRANT_WITH_LF_TAG_EXPRESSION" not in tag.permissions:
                        return Held()
                every = DATABASE_PERMISSIONS if kind == "DATABASE" else TABLE_PERMISSIONS
                return held_by(self._exact(grantees, resource, grantor), every)
            case TableResource() | ColumnsResource():
                return held_by(self._exact(grantees, resource, grantor), TABLE_PERMISSIONS)

    def _exact(self, grantees: tuple[str, ...], resource: Resource, grantor: str) -> list:
        """Grants on exactly this resource; for all tables also those of SELECT, which are kept apart."""
        kept = [resource]
        if isinstance(resource, TableResource):
            kept.append(ColumnsResource(resource.catalog, resource.database, resource.name))
        grants = (self._grants.find(grantee, part, grantor) for grantee in grantees for part in kept)
        return [grant for grant in grants if grant and not grant.void]

    def _require_grantable(self, held: Held, resource: Resource, permissions: frozenset[str]) -> None:
        if permissions <= held.grantable:
            return
        if not held.permissions:
            raise not_found(NO_RESOURCE)
        lacking = sorted(permissions - held.grantable)
        raise denied(
            f"Insufficient Lake Formation permission(s): Required {', '.join(lacking)} with the grant option on "
            f"{describe(resource)}"
        )

    # -- authority in an account that the resource was shared with ---------------------------------------------------

    def _check_regrant(self, caller: Any, principal: str, resource: Resource, permissions: frozenset[str]) -> None:
        """A grant on another account's resource, to a principal of the caller's account."""
        account = caller.account
        if principal == IAM_ALLOWED or is_account(principal) or account_of(principal) != account:
            raise invalid(
                f"Invalid principal: what another account shared can be granted to principals of account {account} only"
            )
        if principal.startswith("arn:"):
            self._check_there(principal)
        if not self._access.is_admin(caller.principal):
            self._require_grantable(self._held(caller.principal, resource, account), resource, permissions)
        if isinstance(resource, PolicyResource):
            self._check_cascade(account, resource, permissions)
        else:
            self._require_grantable(self._granted_to_account(account, resource), resource, permissions)

    def _granted_to_account(self, account: str, resource: Resource) -> Held:
        """What the owner granted to an account on a resource, once shared. Nothing on what never crosses accounts."""
        match resource:
            case DatabaseResource(catalog, name):
                return self._access.account_database(account, self._find(catalog, name))
            case TableResource(catalog, database, str(name)) | ColumnsResource(catalog, database, str(name)):
                access = self._access.account_table(account, self._find(catalog, database).tables[name])
                return Held(frozenset({"DESCRIBE"}) if access.visible else frozenset()) | access.whole
            case TableResource(catalog) | ColumnsResource(catalog):
                reached = tuple(self._sharing.reaching(catalog, "table", account))
                return held_by(self._exact(reached, resource, catalog), TABLE_PERMISSIONS)
            case TagResource(catalog, key, value):
                return self._access.tag(account, catalog, key, value)
            case LocationResource(catalog):
                return held_by(self._exact((account,), resource, catalog), LOCATION_PERMISSIONS)
        return Held()

    def _check_cascade(self, account: str, resource: PolicyResource, permissions: frozenset[str]) -> None:
        """The permission cascading rules.

        1: the expression is identical to one that the owner granted to the account, and was given with the grant
        option; without it the regrant is denied even with DESCRIBE on the tags. 2: it is another expression, and the
        account has DESCRIBE on all its pairs. What a regrant under rule 2 comes to stays within the owner's grants.
        """
        catalog, kind = resource.catalog, resource.kind
        reached = tuple(self._sharing.reaching(catalog, kind.lower(), account))
        if not reached:
            raise not_found(NO_RESOURCE)
        if identical := self._exact(reached, resource, catalog):
            every = DATABASE_PERMISSIONS if kind == "DATABASE" else TABLE_PERMISSIONS
            self._require_grantable(held_by(identical, every), resource, permissions)
            return
        for key, values in resource.expression:
            for value in sorted(values):
                if "DESCRIBE" not in self._access.tag(account, catalog, key, value).permissions:
                    raise denied(
                        f"Insufficient Lake Formation permission(s): Required Describe on LF-Tag {key}={value}"
                    )


def _check_at_home(caller: Any, principal: str, resource: Resource) -> None:
    """Named expressions are for one account here: how they cross accounts is not documented."""
    if not isinstance(resource, ExpressionResource) and getattr(resource, "named", None) is None:
        return
    if caller.account != resource.catalog or (principal != IAM_ALLOWED and account_of(principal) != resource.catalog):
        raise refused("named LF-Tag expressions across accounts are not built here")


def _check_columns(resource: ColumnsResource, table: Any) -> None:
    """Named columns must be there, and partition keys cannot be excluded ("SELECT")."""
    there = {*table.column_names, *table.key_names}
    if missing := ((resource.included or frozenset()) | resource.excluded) - there:
        raise not_found(f"Column not found in table {table.name}: {', '.join(sorted(missing))}")
    if keys := resource.excluded & set(table.key_names):
        raise invalid(f"access to partition keys cannot be restricted: {', '.join(sorted(keys))}")
