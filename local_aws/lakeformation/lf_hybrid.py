"""Hybrid access: locations that Lake Formation guards only for those who were opted in, and the opt-ins.

Sources: the Lake Formation developer guide ("Hybrid access mode", "Hybrid access mode considerations and limitations")
and the service model (CreateLakeFormationOptIn).

Who is opted in on a database or table is held to Lake Formation's permissions there; for everybody else of the account
IAMAllowedPrincipals still counts, and its own rights on S3 do. Across accounts version 4 lets an owner share while
IAMAllowedPrincipals has access; the recipient must be opted in, for all tables also on their database.

Choices where the guide is silent: opting in holds whatever the location is registered with; a database is in hybrid
mode if its location is, or that of one of its tables; opting in again changes nothing, and what is not opted in is
EntityNotFoundException when it is to end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_aws.glue.glue_tables import Database, Table
from local_aws.lakeformation.lf_accounts import principal_exists
from local_aws.lakeformation.lf_locations import Locations
from local_aws.lakeformation.lf_model import (
    IAM_ALLOWED,
    ColumnsResource,
    DatabaseResource,
    Resource,
    TableResource,
    account_of,
    denied,
    group_of,
    invalid,
    is_account,
    not_found,
    refused,
    resource_to_api,
)
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.lakeformation.lf_settings import Settings

PAGE = 1_000
FIRST_VERSION = 4
"""The first cross-account version with which what is in hybrid mode may be shared."""

Held = DatabaseResource | TableResource
"""What one can be opted in on; a TableResource without a name is all tables of its database."""


@dataclass(frozen=True)
class OptIn:
    """A principal that an account holds to Lake Formation on a resource."""

    account: str
    principal: str
    resource: Held
    updated: datetime
    by: str


class OptIns:
    """The opt-ins of all accounts, and what is in hybrid mode. `find` looks up a database of a catalogue, or None."""

    def __init__(
        self,
        world: Any,
        locations: Locations,
        settings: Callable[[str], Settings],
        find: Callable[[str, str], Database | None],
    ) -> None:
        self._world = world
        self._locations = locations
        self._settings = settings
        self._find = find
        self._held: dict[tuple[str, str, Held], OptIn] = {}

    # -- who is held to Lake Formation ------------------------------------------------------------------------------

    def governs_database(self, principal: str, database: Database) -> bool:
        """Whether a principal was opted in on a database by its owner."""
        return self._opted_in(principal, DatabaseResource(database.catalog, database.name))

    def governs_table(self, principal: str, table: Table | TableResource) -> bool:
        """Whether a principal was opted in on a table, or on all tables of its database, by its owner."""
        every = TableResource(table.catalog, table.database, None)
        return self._on_table(principal, table) or self._opted_in(principal, every)

    def _on_table(self, principal: str, table: Table | TableResource) -> bool:
        return self._opted_in(principal, TableResource(table.catalog, table.database, table.name))

    def _opted_in(self, principal: str, resource: Held) -> bool:
        account = account_of(principal)
        names = {principal, group_of(account)} | ({account} if account != resource.catalog else set())
        return any((resource.catalog, name, resource) in self._held for name in names)

    # -- hybrid mode ------------------------------------------------------------------------------------------------

    def keeps_to_iam(self, principal: str, table: TableResource, location: str) -> bool:
        """Whether a principal reads a table's location with its own rights: in hybrid mode, and not opted in."""
        return self._is_hybrid(table.catalog, location) and not self.governs_table(principal, table)

    def admits_to_database(self, principal: str, database: Database) -> bool:
        """Whether another account's principal gets at a database that IAMAllowedPrincipals still has access to."""
        if self._settings(database.catalog).version < FIRST_VERSION:
            return False
        return self._in_hybrid_mode(database) and self.governs_database(principal, database)

    def admits_to_table(self, principal: str, table: Table) -> bool:
        """As `admits_to_database`; who is opted in on all tables must be on their database too."""
        if self._settings(table.catalog).version < FIRST_VERSION:
            return False
        if not self._is_hybrid(table.catalog, table.location):
            return False
        if self._on_table(principal, table):
            return True
        database = self._find(table.catalog, table.database)
        return self.governs_table(principal, table) and self.governs_database(principal, database)

    def may_be_shared(self, resource: Resource) -> bool:
        """Whether a named resource may be shared although IAMAllowedPrincipals has access to it."""
        if self._settings(resource.catalog).version < FIRST_VERSION:
            return False
        match resource:
            case DatabaseResource(catalog, name):
                return self._in_hybrid_mode(self._find(catalog, name))
            case TableResource(catalog, database, None) | ColumnsResource(catalog, database, None):
                tables = self._find(catalog, database).tables.values()
                return all(self._is_hybrid(catalog, table.location) for table in tables)
            case TableResource(catalog, database, name) | ColumnsResource(catalog, database, name):
                return self._is_hybrid(catalog, self._find(catalog, database).tables[name].location)
        return False

    def _in_hybrid_mode(self, database: Database) -> bool:
        places = [database.location, *(table.location for table in database.tables.values())]
        return any(self._is_hybrid(database.catalog, place) for place in places)

    def _is_hybrid(self, catalog: str, location: str | None) -> bool:
        if not location or not location.startswith("s3"):
            return False
        found = self._locations.covering(location.partition("://")[2], catalog)
        return found is not None and found.hybrid

    # -- API --------------------------------------------------------------------------------------------------------

    def create(self, caller: Any, admin: bool, principal: str, resource: Resource) -> dict:
        """CreateLakeFormationOptIn, for administrators. AccessDeniedException, EntityNotFoundException,
        InvalidInputException for IAMAllowedPrincipals or a principal of the account that is not there."""
        self._check_admin(admin)
        held = self._checked(resource)
        ours = account_of(principal) == caller.account
        if principal == IAM_ALLOWED or (is_account(principal) and ours):
            raise invalid(f"Invalid principal: {principal} cannot be opted in")
        if principal.startswith("arn:") and ours and not principal_exists(self._world, principal):
            raise invalid(f"Invalid principal: {principal} does not exist")
        if held.catalog != caller.account and not ours:
            raise invalid("what another account shared is opted in on for principals of one's own account")
        key = (caller.account, principal, held)
        if key not in self._held:
            self._held[key] = OptIn(caller.account, principal, held, self._world.now(), caller.principal)
        return {}

    def delete(self, caller: Any, admin: bool, principal: str, resource: Resource) -> dict:
        """DeleteLakeFormationOptIn, for administrators. AccessDeniedException, EntityNotFoundException."""
        self._check_admin(admin)
        if self._held.pop((caller.account, principal, self._kind(resource)), None) is None:
            raise not_found(f"{principal} is not opted in on the resource")
        return {}

    def list(
        self,
        caller: Any,
        sees_all: bool,
        principal: str | None,
        resource: Resource | None,
        token: str | None,
        wanted: int | None,
    ) -> dict:
        """ListLakeFormationOptIns of the caller's account, for (read-only) administrators. AccessDeniedException."""
        self._check_admin(sees_all)
        found = [
            each
            for each in self._held.values()
            if each.account == caller.account
            and principal in (None, each.principal)
            and resource in (None, each.resource)
        ]
        shown, following = page(found, token, wanted, PAGE)
        return with_token({"LakeFormationOptInsInfoList": [_to_api(each) for each in shown]}, following)

    @staticmethod
    def _check_admin(admin: bool) -> None:
        if not admin:
            raise denied("Insufficient Lake Formation permission(s): only data lake administrators can opt in")

    @staticmethod
    def _kind(resource: Resource) -> Held:
        if not isinstance(resource, DatabaseResource | TableResource):
            raise refused(f"opting in on a {type(resource).__name__} is not built here: databases and tables are")
        return resource

    def _checked(self, resource: Resource) -> Held:
        held = self._kind(resource)
        database = self._find(held.catalog, held.name if isinstance(held, DatabaseResource) else held.database)
        if database is None:
            raise not_found("Database not found.")
        if isinstance(held, TableResource) and held.name and held.name not in database.tables:
            raise not_found(f"Table {held.name} not found.")
        return held

    # -- life of the resources --------------------------------------------------------------------------------------

    def forget_database(self, database: Database) -> None:
        """Drop the opt-ins on a database that was deleted, and on its tables."""
        gone = (database.catalog, database.name)
        self._forget(lambda held: (held.catalog, _database_of(held)) == gone)

    def forget_table(self, table: Table) -> None:
        """Drop the opt-ins on a table that was deleted."""
        self._forget(lambda held: held == TableResource(table.catalog, table.database, table.name))

    def _forget(self, gone: Callable[[Held], bool]) -> None:
        self._held = {key: each for key, each in self._held.items() if not gone(each.resource)}


def _database_of(held: Held) -> str:
    return held.name if isinstance(held, DatabaseResource) else held.database


def _to_api(opt_in: OptIn) -> dict[str, Any]:
    return {
        "Principal": {"DataLakePrincipalIdentifier": opt_in.principal},
        "Resource": resource_to_api(opt_in.resource),
        "LastModified": opt_in.updated,
        "LastUpdatedBy": opt_in.by,
    }
