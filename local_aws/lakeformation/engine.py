"""Lake Formation of every account.

The API's operations, each in one place: settings (lf_settings.py), locations (lf_locations.py), LF-Tags
(lf_tag_operations.py), grants (lf_grant_operations.py), and what the Glue catalogue and query engines ask of Lake
Formation. How permissions come about is in lf_access.py. Data cell filters, organisations as principals, and credential
vending over the API (it takes an engine outside AWS, which the settings cannot allow here) are not built.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from local_aws.glue.glue_partitions import sorted_partitions
from local_aws.glue.glue_tables import Database, ResolvedTable, Table, described_descriptor
from local_aws.lakeformation.lf_access import Access
from local_aws.lakeformation.lf_authority import Authority
from local_aws.lakeformation.lf_expressions import ExpressionOperations
from local_aws.lakeformation.lf_grant_operations import GrantOperations, resources_from_api
from local_aws.lakeformation.lf_grants import GrantStore
from local_aws.lakeformation.lf_hybrid import OptIns
from local_aws.lakeformation.lf_locations import Locations
from local_aws.lakeformation.lf_locking import UnderWay, serialized
from local_aws.lakeformation.lf_model import (
    DATABASE_PERMISSIONS,
    IAM_ALLOWED,
    TABLE_PERMISSIONS,
    CatalogResource,
    DatabaseResource,
    Resource,
    TableResource,
    catalog_of,
    denied,
    is_organization,
    principal_from_api,
    refused,
    s3_path,
)
from local_aws.lakeformation.lf_settings import Settings, settings_from_api, settings_to_api
from local_aws.lakeformation.lf_sharing import Sharing
from local_aws.lakeformation.lf_tag_operations import TagOperations
from local_aws.lakeformation.lf_tags import ExpressionStore, TagStore

ALL = frozenset({"ALL"})


@serialized
class LakeFormation:
    """The Lake Formation service of all accounts of one world."""

    service = "lakeformation"

    def __init__(self, world: Any) -> None:
        self.world = world
        self.locations = Locations(world)
        self._settings: dict[str, Settings] = {}
        self._policy_changes = UnderWay()
        self._grants = GrantStore()
        self._tags = TagStore()
        self._expressions = ExpressionStore()
        self._opt_ins = OptIns(world, self.locations, self.settings, self._find)
        self._sharing = Sharing(world, self.settings, self._grants, self._find, self._opt_ins)
        self.access = Access(
            self.settings,
            self._tags,
            self._grants,
            self._sharing.shared,
            self._sharing.reaching,
            self._expressions,
            self._opt_ins,
        )
        self._authority = Authority(
            world, self.access, self._tags, self._grants, self._sharing, self._find, self._expressions
        )

    @property
    def _lookup(self) -> Any:
        return self.world.engines["glue"].lookup

    def _find(self, catalog: str, name: str) -> Database | None:
        return self._lookup.find(catalog, name)

    @property
    def _tag_operations(self) -> TagOperations:
        return TagOperations(self._tags, self._grants, self.access, self._lookup)

    @property
    def _expression_operations(self) -> ExpressionOperations:
        return ExpressionOperations(self._expressions, self._tags, self._grants, self.access)

    @property
    def _grant_operations(self) -> GrantOperations:
        return GrantOperations(self.world, self._grants, self.access, self._authority, self._sharing, self._lookup)

    # -- for query engines --------------------------------------------------------------------------------------------

    def readable_columns(self, principal: str, catalog_id: str, database: str, table: str) -> set[str]:
        """The columns of a real table whose data a principal (IAM ARN) may read, partition keys included.

        Empty if the table is not there or nothing of it is readable. Links are not followed: `resolve_table` does.
        """
        with self.world.lock:
            found = self._find(catalog_id, database.lower())
            known = found.tables.get(table.lower()) if found else None
            if known is None:
                return set()
            access = self.access.table(principal, known)
            return set(access.selected) | (set(known.key_names) if access.reads_keys else set())

    def may_describe_database(self, principal: str, catalog_id: str, database: str) -> bool:
        """Whether a principal sees a database or database link. Links are not followed."""
        with self.world.lock:
            found = self._find(catalog_id, database.lower())
            return found is not None and self._lookup.sees_database(principal, found)

    def registration_for(self, location: str, catalog_id: str | None = None) -> str | None:
        """The role that an S3 location (`s3://bucket/prefix`, ARN or `bucket/prefix`) is registered with, or None.

        `catalog_id`: the account whose registrations count, for a table that of its catalogue; by default any.
        """
        with self.world.lock:
            path = s3_path(location) if ":" in location else location
            found = self.locations.covering(path, catalog_id)
            return found.role_arn if found else None

    def vending_role(self, principal: str, table: ResolvedTable, location: str) -> str | None:
        """The role with which Lake Formation lets a principal read a location of a table, or None where the principal
        reads with its own rights: what is not registered, or in hybrid mode and the principal not opted in."""
        with self.world.lock:
            named = TableResource(table.catalog_id, table.database, table.name)
            if self._opt_ins.keeps_to_iam(principal, named, location):
                return None
            return self.registration_for(location, table.catalog_id)

    def resolve_table(
        self, principal: str, account: str, catalog_id: str | None, database: str, table: str
    ) -> ResolvedTable:
        """The table that a query by `principal` of `account` means, through a database or table link.

        `catalog_id` None is the account's own catalogue. Needs DESCRIBE on a link *and* on its target database, and any
        permission on the table; `readable` may still be empty. Raises AwsError EntityNotFoundException for what is not
        there or not visible (also a dangling link), AccessDeniedException while IAM_ALLOWED_PRINCIPALS of the owning
        account keeps other accounts out.
        """
        with self.world.lock:
            return self._lookup.resolve(principal, account, catalog_id, database, table)

    def partitions(self, catalog_id: str, database: str, table: str) -> list[dict]:
        """All partitions of a real table: [{Values, StorageDescriptor}] in the order of their values. No permissions
        are checked; empty if there is no such table."""
        with self.world.lock:
            found = self._find(catalog_id, database.lower())
            known = found.tables.get(table.lower()) if found else None
            return _partitions(known, frozenset(known.column_names)) if known else []

    def readable_partitions(
        self, principal: str, account: str, catalog_id: str | None, database: str, table: str
    ) -> list[dict]:
        """As `partitions` of the table that `resolve_table` finds, with its errors, and with only the columns that the
        principal may describe."""
        with self.world.lock:
            found = self._lookup.real_table(principal, catalog_id or account, database, table)
            return _partitions(found.real, found.real_access.described)

    # -- for the Glue catalogue ---------------------------------------------------------------------------------------

    def settings(self, account: str) -> Settings:
        """An account's settings. The first look at a fresh account also lets IAM alone create databases, as its
        Lake Formation does from the start."""
        if account not in self._settings:
            self._settings[account] = Settings()
            self._give(IAM_ALLOWED, CatalogResource(account), frozenset({"CREATE_DATABASE"}), frozenset())
        return self._settings[account]

    def database_created(self, database: Database) -> None:
        """The creator owns the database with the grant option; by the account's default IAM alone decides about it."""
        resource = DatabaseResource(database.catalog, database.name)
        self._give(database.created_by, resource, DATABASE_PERMISSIONS, DATABASE_PERMISSIONS)
        if self.settings(database.catalog).database_defaults:
            self._give(IAM_ALLOWED, resource, ALL, frozenset())

    def table_created(self, database: Database, table: Table) -> None:
        """The creator owns the table with the grant option; by the database's default IAM alone decides about it."""
        resource = TableResource(table.catalog, table.database, table.name)
        self._give(table.created_by, resource, TABLE_PERMISSIONS, TABLE_PERMISSIONS)
        if database.table_defaults:
            self._give(IAM_ALLOWED, resource, ALL, frozenset())

    def database_deleted(self, database: Database) -> None:
        """Grants and tags go with the database; RAM shares stay, orphaned, until the grants are revoked first."""
        resource = DatabaseResource(database.catalog, database.name)
        self._grants.forget_database(resource)
        self._tags.forget_database(resource)
        self._opt_ins.forget_database(database)

    def table_deleted(self, table: Table) -> None:
        """Grants and tags go with the table."""
        resource = TableResource(table.catalog, table.database, table.name)
        self._grants.forget_table(resource)
        self._tags.forget_table(resource)
        self._opt_ins.forget_table(table)

    def columns_deleted(self, table: Table, names: set[str]) -> None:
        """Tags go with the columns."""
        self._tags.forget_columns(TableResource(table.catalog, table.database, table.name), names)

    def _give(self, principal: str, resource: Resource, permissions: frozenset, grantable: frozenset) -> None:
        owner = resource.catalog
        self._grants.add(principal, resource, permissions, grantable, grantor=owner, by=principal, now=self.world.now())

    # -- settings -----------------------------------------------------------------------------------------------------

    def GetDataLakeSettings(self, caller: Any, **params: Any) -> dict:
        return {"DataLakeSettings": settings_to_api(self.settings(self._own(caller, params)))}

    def PutDataLakeSettings(self, caller: Any, **params: Any) -> dict:
        """Replace the account's settings. Whoever IAM lets, administrator or not: IAM is checked before this."""
        account = self._own(caller, params)
        before = self.settings(account)
        self._settings[account] = settings_from_api(self.world, account, params["DataLakeSettings"], before)
        return {}

    def _own(self, caller: Any, params: dict) -> str:
        account = catalog_of(caller, params.get("CatalogId"))
        if account != caller.account:
            raise denied(f"the settings of account {account} are not accessible from account {caller.account}")
        return account

    # -- locations ----------------------------------------------------------------------------------------------------

    def RegisterResource(self, caller: Any, **params: Any) -> dict:
        if params.get("WithFederation"):  # False is taken: it is what AWS takes when nothing is said
            raise refused("RegisterResource.WithFederation is not built here")
        service_linked = bool(params.get("UseServiceLinkedRole"))
        hybrid = bool(params.get("HybridAccessEnabled"))
        return self.locations.register(caller, params["ResourceArn"], service_linked, params.get("RoleArn"), hybrid)

    def UpdateResource(self, caller: Any, **params: Any) -> dict:
        hybrid = params.get("HybridAccessEnabled")
        return self.locations.update(caller, params["ResourceArn"], params["RoleArn"], hybrid)

    def DeregisterResource(self, caller: Any, **params: Any) -> dict:
        return self.locations.deregister(caller, params["ResourceArn"])

    def DescribeResource(self, caller: Any, **params: Any) -> dict:
        return self.locations.describe(caller, params["ResourceArn"])

    def ListResources(self, caller: Any, **params: Any) -> dict:
        return self.locations.list(caller, params.get("NextToken"), params.get("MaxResults"))

    # -- hybrid access ------------------------------------------------------------------------------------------------

    def CreateLakeFormationOptIn(self, caller: Any, **params: Any) -> dict:
        principal, resource = self._opted(caller, params)
        return self._opt_ins.create(caller, self.access.is_admin(caller.principal), principal, resource)

    def DeleteLakeFormationOptIn(self, caller: Any, **params: Any) -> dict:
        principal, resource = self._opted(caller, params)
        return self._opt_ins.delete(caller, self.access.is_admin(caller.principal), principal, resource)

    def ListLakeFormationOptIns(self, caller: Any, **params: Any) -> dict:
        principal = principal_from_api(params["Principal"]) if params.get("Principal") else None
        resource = resources_from_api(params["Resource"], caller.account)[0] if params.get("Resource") else None
        token, wanted = params.get("NextToken"), params.get("MaxResults")
        sees_all = self.access.sees_all(caller.principal)
        return self._opt_ins.list(caller, sees_all, principal, resource, token, wanted)

    def _opted(self, caller: Any, params: dict) -> tuple[str, Resource]:
        principal = principal_from_api(params["Principal"])
        if is_organization(principal):
            raise refused("opting in organizations and organizational units is not built here")
        return principal, resources_from_api(params["Resource"], caller.account)[0]

    # -- LF-Tags ------------------------------------------------------------------------------------------------------

    def CreateLFTag(self, caller: Any, **params: Any) -> dict:
        values = params.get("TagValues") or []
        return self._tag_operations.create(caller, params.get("CatalogId"), params["TagKey"], values)

    def UpdateLFTag(self, caller: Any, **params: Any) -> dict:
        added, deleted = params.get("TagValuesToAdd") or [], params.get("TagValuesToDelete") or []
        return self._tag_operations.update(caller, params.get("CatalogId"), params["TagKey"], added, deleted)

    def DeleteLFTag(self, caller: Any, **params: Any) -> dict:
        return self._tag_operations.delete(caller, params.get("CatalogId"), params["TagKey"])

    def GetLFTag(self, caller: Any, **params: Any) -> dict:
        return self._tag_operations.get(caller, params.get("CatalogId"), params["TagKey"])

    def ListLFTags(self, caller: Any, **params: Any) -> dict:
        catalog, share = params.get("CatalogId"), params.get("ResourceShareType")
        token, wanted = params.get("NextToken"), params.get("MaxResults")
        return self._tag_operations.list(caller, catalog, share, token, wanted)

    def AddLFTagsToResource(self, caller: Any, **params: Any) -> dict:
        pairs = params.get("LFTags") or []
        return self._tag_operations.assign(caller, params.get("CatalogId"), params["Resource"], pairs)

    def RemoveLFTagsFromResource(self, caller: Any, **params: Any) -> dict:
        pairs = params.get("LFTags") or []
        return self._tag_operations.remove(caller, params.get("CatalogId"), params["Resource"], pairs)

    def GetResourceLFTags(self, caller: Any, **params: Any) -> dict:
        assigned_only = bool(params.get("ShowAssignedLFTags"))
        return self._tag_operations.of_resource(caller, params.get("CatalogId"), params["Resource"], assigned_only)

    def SearchDatabasesByLFTags(self, caller: Any, **params: Any) -> dict:
        token, wanted = params.get("NextToken"), params.get("MaxResults")
        conditions = params.get("Expression") or []
        return self._tag_operations.search_databases(caller, params.get("CatalogId"), conditions, token, wanted)

    def SearchTablesByLFTags(self, caller: Any, **params: Any) -> dict:
        token, wanted = params.get("NextToken"), params.get("MaxResults")
        conditions = params.get("Expression") or []
        return self._tag_operations.search_tables(caller, params.get("CatalogId"), conditions, token, wanted)

    def CreateLFTagExpression(self, caller: Any, **params: Any) -> dict:
        return self._expression_operations.create(caller, params)

    def UpdateLFTagExpression(self, caller: Any, **params: Any) -> dict:
        return self._expression_operations.update(caller, params)

    def DeleteLFTagExpression(self, caller: Any, **params: Any) -> dict:
        return self._expression_operations.delete(caller, params)

    def GetLFTagExpression(self, caller: Any, **params: Any) -> dict:
        return self._expression_operations.get(caller, params)

    def ListLFTagExpressions(self, caller: Any, **params: Any) -> dict:
        return self._expression_operations.list(caller, params)

    # -- grants -------------------------------------------------------------------------------------------------------

    def under_way(self, operation: str, params: dict) -> AbstractContextManager[None]:
        """Parallel changes of one principal's LF-Tag policies are ConcurrentModificationException (LF guide,
        "Troubleshooting Lake Formation": batch them, or retry)."""
        if operation not in (
            "GrantPermissions",
            "RevokePermissions",
            "BatchGrantPermissions",
            "BatchRevokePermissions",
        ):
            return nullcontext()
        entries = params.get("Entries") or [params]
        changed = [entry for entry in entries if "LFTagPolicy" in (entry.get("Resource") or {})]
        principals = {(entry.get("Principal") or {}).get("DataLakePrincipalIdentifier", "") for entry in changed}
        return self._policy_changes.on(principals)

    def GrantPermissions(self, caller: Any, **params: Any) -> dict:
        return self._grant_operations.grant(caller, params.get("CatalogId"), params)

    def RevokePermissions(self, caller: Any, **params: Any) -> dict:
        return self._grant_operations.revoke(caller, params.get("CatalogId"), params)

    def BatchGrantPermissions(self, caller: Any, **params: Any) -> dict:
        operations, entries = self._grant_operations, params.get("Entries") or []
        return operations.batch(caller, params.get("CatalogId"), entries, operations.grant)

    def BatchRevokePermissions(self, caller: Any, **params: Any) -> dict:
        operations, entries = self._grant_operations, params.get("Entries") or []
        return operations.batch(caller, params.get("CatalogId"), entries, operations.revoke)

    def ListPermissions(self, caller: Any, **params: Any) -> dict:
        return self._grant_operations.list(caller, params)


def _partitions(table: Table, described: frozenset[str]) -> list[dict]:
    return [
        {
            "Values": list(partition.values),
            "StorageDescriptor": described_descriptor(partition.shape.get("StorageDescriptor") or {}, described),
        }
        for partition in sorted_partitions(table)
    ]
