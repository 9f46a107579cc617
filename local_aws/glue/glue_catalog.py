"""The Glue Data Catalog of every account: databases, tables, partitions, resource links.

Every call is held to Lake Formation's permissions (lf_access.py): what one may not see does not exist, lists show what
one may see, GetTable returns the columns that one may describe, and whoever creates something owns it. From another
account one reads and alters what was shared; creating there is not built. Finding through links is in glue_lookup.py,
partitions are in glue_partitions.py.

Sources: the Glue service model; the Lake Formation developer guide ("Lake Formation permissions reference", "Underlying
data access control", "Resource link handling in AWS Glue APIs"); EventBridge's AWS Glue events.
"""

from __future__ import annotations

import re
from typing import Any

from local_aws.glue import glue_tables as values
from local_aws.glue.glue_lookup import Found, Lookup
from local_aws.glue.glue_partitions import Partitions
from local_aws.glue.glue_policies import Policies
from local_aws.glue.glue_search import searched
from local_aws.glue.glue_tables import Database, Table
from local_aws.lakeformation.lf_locking import serialized
from local_aws.lakeformation.lf_model import (
    catalog_of,
    denied,
    insufficient,
    invalid,
    is_below,
    not_found,
    refused,
    s3_path,
)
from local_aws.lakeformation.lf_paging import chosen_page, page, with_token
from local_aws.lakeformation.lf_settings import checked_defaults
from local_aws.wire import AwsError

DATABASES_PAGE = TABLES_PAGE = VERSIONS_PAGE = 100
SEARCH_PAGE = 1_000
CHANGES_PER_EVENT = 100


@serialized
class Glue:
    """The catalogue operations of Glue (its crawlers are another engine)."""

    service = "glue"

    def __init__(self, world: Any) -> None:
        self.world = world
        self.lookup = Lookup(world)
        self.policies = Policies(world)
        self.partitions = Partitions(self)

    @property
    def lake_formation(self) -> Any:
        return self.world.engines["lakeformation"]

    # -- for other engines, without permission checks ---------------------------------------------------------------

    def get_table(self, catalog_id: str, database: str, name: str) -> dict | None:
        """The whole Table shape, or None. Links are not followed."""
        with self.world.lock:
            found = self.lookup.find(catalog_id, database.lower())
            table = found.tables.get(name.lower()) if found else None
            return self._shown(table, frozenset(table.column_names)) if table else None

    def tables(self, catalog_id: str, database: str) -> list[dict]:
        """The whole Table shapes of a database, by name; empty if there is none. Links are not followed."""
        with self.world.lock:
            found = self.lookup.find(catalog_id, database.lower())
            names = sorted(found.tables) if found else []
            return [self.get_table(catalog_id, database, name) for name in names]

    # -- databases ----------------------------------------------------------------------------------------------------

    def CreateDatabase(self, caller: Any, **params: Any) -> dict:
        """Create a database or database link: needs CREATE_DATABASE, and data location permission on a registered
        LocationUri."""
        catalog, given = catalog_of(caller, params.get("CatalogId")), params["DatabaseInput"]
        name = values.folded_name(given["Name"], "Database")
        if "CREATE_DATABASE" not in self.lookup.access.catalog(caller.principal, catalog).permissions:
            raise insufficient("CREATE_DATABASE", "Catalog")
        if self.lookup.find(catalog, name):
            raise AwsError("AlreadyExistsException", "Database already exists.")
        target = values.link_target(given.get("TargetDatabase"), catalog, self.world.region, of_table=False)
        self._check_location(caller, catalog, given.get("LocationUri"))
        defaults = self.lake_formation.settings(catalog).table_defaults
        if "CreateTableDefaultPermissions" in given:
            defaults = checked_defaults(given["CreateTableDefaultPermissions"], "CreateTableDefaultPermissions")
        shape = {key: given[key] for key in values.KEPT_OF_DATABASE if given.get(key) is not None}
        database = Database(catalog, name, shape, caller.principal, self.world.now(), defaults, target)
        self.lookup.put(database)
        self.lake_formation.database_created(database)
        self._database_event("CreateDatabase", database, [])
        return {}

    def GetDatabase(self, caller: Any, **params: Any) -> dict:
        """A database; of a link its own identity, with the target's properties if the caller sees the target."""
        database = self.lookup.database(caller.principal, catalog_of(caller, params.get("CatalogId")), params["Name"])
        return {"Database": self._shown_database(caller, database)}

    def GetDatabases(self, caller: Any, **params: Any) -> dict:
        """The visible databases of a catalogue; with ResourceShareType those that other accounts shared (FOREIGN), or
        both (ALL)."""
        own, kind = catalog_of(caller, params.get("CatalogId")), params.get("ResourceShareType")
        if kind not in (None, "FOREIGN", "ALL"):
            raise refused(f"ResourceShareType {kind} is not built here")
        databases = [] if kind == "FOREIGN" else self.lookup.databases(own)
        if kind:
            databases += self._foreign_databases(own)

        def shown(database: Database) -> dict | None:
            visible = self.lookup.sees_database(caller.principal, database)
            return self._shown_database(caller, database) if visible else None

        token, wanted = params.get("NextToken"), params.get("MaxResults")
        listed, following = chosen_page(databases, shown, token, wanted, DATABASES_PAGE)
        return with_token({"DatabaseList": listed}, following)

    def UpdateDatabase(self, caller: Any, **params: Any) -> dict:
        """Replace the properties of a database, of a link's target: needs ALTER. Defaults not given stay."""
        catalog, given = catalog_of(caller, params.get("CatalogId")), params["DatabaseInput"]
        database = self._holder(caller, catalog, params["Name"])
        if given["Name"].lower() not in (database.name, params["Name"].lower()):
            raise invalid("a database cannot be renamed")
        self._require_on_database(caller, database, "ALTER")
        named = self.lookup.find(catalog, params["Name"].lower())
        self._check_target(values.link_target(given.get("TargetDatabase"), catalog, self.world.region, False), named)
        if given.get("LocationUri") != database.location:
            self._check_location(caller, database.catalog, given.get("LocationUri"))
        if "CreateTableDefaultPermissions" in given:
            database.table_defaults = checked_defaults(
                given["CreateTableDefaultPermissions"], "CreateTableDefaultPermissions"
            )
        database.shape = {key: given[key] for key in values.KEPT_OF_DATABASE if given.get(key) is not None}
        return {}

    @staticmethod
    def _check_target(wanted: values.LinkTarget | None, link: Database | Table) -> None:
        """An update may repeat the target that a link has, and point nothing elsewhere. InvalidInputException."""
        if wanted and wanted != link.target:
            raise invalid(f"{link.name} cannot be pointed elsewhere: delete it, and create a resource link")

    def DeleteDatabase(self, caller: Any, **params: Any) -> dict:
        """Delete a database with all its tables, or a link alone: needs DROP."""
        name = params["Name"].lower()
        database = self.lookup.find(catalog_of(caller, params.get("CatalogId")), name)
        if database is None:
            raise not_found(f"Database {name} not found.")
        self._require_on_database(caller, database, "DROP")
        for table in list(database.tables.values()):
            self._drop_table(database, table)
        self.lookup.drop(database)
        self.lake_formation.database_deleted(database)
        self._database_event("DeleteDatabase", database, [])
        return {}

    def _holder(self, caller: Any, catalog: str, name: str) -> Database:
        return self.lookup.holder(caller.principal, catalog, name)

    def _is_link(self, caller: Any, params: dict) -> bool:
        """Whether DatabaseName, of a database that is there, names a database link."""
        return self.lookup.find(catalog_of(caller, params.get("CatalogId")), params["DatabaseName"].lower()).is_link

    def _foreign_databases(self, own: str) -> list[Database]:
        others = [catalog for catalog in self.lookup.catalogs() if catalog != own]
        return [database for other in others for database in self.lookup.databases(other)]

    def _shown_database(self, caller: Any, database: Database) -> dict:
        target = self.lookup.target_of(caller.principal, database) if database.is_link else None
        return values.database_to_api(database, target)

    def _require_on_database(self, caller: Any, database: Database, permission: str) -> None:
        if permission not in self.lookup.access.database(caller.principal, database).permissions:
            raise insufficient(permission, database.name)

    # -- tables -------------------------------------------------------------------------------------------------------

    def CreateTable(self, caller: Any, **params: Any) -> dict:
        """Create a table, also through a database link, or a table link: needs CREATE_TABLE on the database.

        A registered location needs data location permission, unless the database's own location is a registered prefix
        of it.
        """
        catalog, given = catalog_of(caller, params.get("CatalogId")), params["TableInput"]
        database = self._holder(caller, catalog, params["DatabaseName"])
        name = values.folded_name(given["Name"], "Table")
        if given.get("TargetTable") is not None and self._is_link(caller, params):
            raise invalid("a table resource link cannot be created through a database resource link")
        self._require_on_database(caller, database, "CREATE_TABLE")
        if database.catalog != caller.account:
            raise refused(
                f"creating a table in the catalogue of another account ({database.catalog}) is not built here"
            )
        if name in database.tables:
            raise AwsError("AlreadyExistsException", "Table already exists.")
        target = values.link_target(given.get("TargetTable"), catalog, self.world.region, of_table=True)
        shape, now = values.checked_table_shape(given), self.world.now()
        table = Table(database.catalog, database.name, name, shape, caller.principal, now, now, target)
        self._check_location(caller, table.catalog, table.location, database)
        database.tables[name] = table
        self.lake_formation.table_created(database, table)
        self._database_event("CreateTable", database, [name])
        return {}

    def UpdateTable(self, caller: Any, **params: Any) -> dict:
        """Replace a table's definition, of a link's target: needs ALTER.

        The earlier version is archived unless SkipArchive. ConcurrentModificationException if VersionId is given and
        not the current one.
        """
        given = params["TableInput"]
        found = self._real(caller, params, given["Name"])
        table, catalog = found.real, catalog_of(caller, params.get("CatalogId"))
        self.require_on_table(caller, table, ("ALTER",))
        self._check_target(values.link_target(given.get("TargetTable"), catalog, self.world.region, True), found.table)
        if params.get("VersionId") not in (None, str(table.version)):
            message = f"Update table failed due to concurrent modifications: the version is {table.version}"
            raise AwsError("ConcurrentModificationException", message)
        shape, columns = values.checked_table_shape(given), table.column_names + table.key_names
        location = shape.get("StorageDescriptor", {}).get("Location")
        if location != table.location:
            self._check_location(caller, table.catalog, location, self.lookup.find(table.catalog, table.database))
        if not params.get("SkipArchive"):
            table.versions[table.version] = table.shape
        table.shape, table.updated, table.version = shape, self.world.now(), table.version + 1
        gone = set(columns) - {*table.column_names, *table.key_names}
        self.lake_formation.columns_deleted(table, gone)
        self.table_event("UpdateTable", table, [])
        return {}

    def DeleteTable(self, caller: Any, **params: Any) -> dict:
        """Delete a table or a table link, through a database link in the target: needs DROP."""
        database = self._holder(caller, catalog_of(caller, params.get("CatalogId")), params["DatabaseName"])
        self._delete(caller, database, params["Name"])
        self._database_event("DeleteTable", database, [params["Name"].lower()])
        return {}

    def BatchDeleteTable(self, caller: Any, **params: Any) -> dict:
        """As DeleteTable for many tables; those that fail are in Errors."""
        names = params["TablesToDelete"]
        database = self._holder(caller, catalog_of(caller, params.get("CatalogId")), params["DatabaseName"])
        errors, deleted = [], []
        for name in names:
            try:
                self._delete(caller, database, name)
                deleted.append(name.lower())
            except AwsError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({"TableName": name, "ErrorDetail": detail})
        if deleted:
            self._database_event("BatchDeleteTable", database, deleted)
        return {"Errors": errors}

    def GetTable(self, caller: Any, **params: Any) -> dict:
        """A table with the columns that the caller may describe; of a link its identity with the target's properties,
        or the bare link if the caller does not see the target."""
        return {"Table": self._shown_found(self._found(caller, params, params["Name"]))}

    def GetTables(self, caller: Any, **params: Any) -> dict:
        """The visible tables of a database, through a link the target's. Expression: a regular expression on names."""
        database = self._holder(caller, catalog_of(caller, params.get("CatalogId")), params["DatabaseName"])
        through_link = self._is_link(caller, params)
        if not self.lookup.sees_any_table(caller.principal, database):
            if not self.lookup.sees_database(caller.principal, database):
                raise not_found(f"Database {params['DatabaseName'].lower()} not found.")
            return {"TableList": []}
        names = sorted(database.tables)
        if expression := params.get("Expression"):
            pattern = _pattern(expression)
            names = [name for name in names if pattern.fullmatch(name)]

        def shown(name: str) -> dict | None:
            found = self.lookup.table_or_none(caller.principal, database, name, through_link)
            return self._shown_found(found) if found else None

        tables, following = chosen_page(names, shown, params.get("NextToken"), params.get("MaxResults"), TABLES_PAGE)
        return with_token({"TableList": tables}, following)

    def GetTableVersions(self, caller: Any, **params: Any) -> dict:
        """The current version of a table and the archived ones, newest first.

        Columns that are gone are shown to those who may describe the whole table.
        """
        found = self._found(caller, params, params["TableName"])
        versions = _versions(found.real)
        shown, following = page(list(versions), params.get("NextToken"), params.get("MaxResults"), VERSIONS_PAGE)
        entries = [self._shown_version(found, version, versions[version]) for version in shown]
        return with_token({"TableVersions": entries}, following)

    def GetTableVersion(self, caller: Any, **params: Any) -> dict:
        """One version of a table, by default the current one. EntityNotFoundException."""
        found = self._found(caller, params, params["TableName"])
        versions = _versions(found.real)
        version = params.get("VersionId", str(found.real.version))
        if version not in map(str, versions):
            raise not_found(f"Version {version} of table {found.real.name} not found.")
        return {"TableVersion": self._shown_version(found, int(version), versions[int(version)])}

    def _shown_version(self, found: Found, version: int, shape: dict) -> dict:
        there = frozenset(c["Name"] for c in shape.get("StorageDescriptor", {}).get("Columns") or [])
        access = found.real_access
        described = there if "DESCRIBE" in access.whole.permissions else access.described
        shown = self._shown(found.real, described, shape=shape, version=version)
        return {"VersionId": str(version), "Table": shown}

    def SearchTables(self, caller: Any, **params: Any) -> dict:
        """Visible tables and table links by text and filters. Links are not followed."""
        own, kind = catalog_of(caller, params.get("CatalogId")), params.get("ResourceShareType")
        if kind not in (None, "FOREIGN", "ALL"):
            raise refused(f"ResourceShareType {kind} is not built here")
        databases = [] if kind == "FOREIGN" else self.lookup.databases(own)
        if kind:
            databases += self._foreign_databases(own)
        shapes = []
        for database in databases:
            for name in sorted(database.tables):
                access = self.lookup.access.table(caller.principal, database.tables[name])
                if access.visible:
                    shapes.append(self._shown(database.tables[name], access.described))
        matching = searched(shapes, params.get("SearchText"), params.get("Filters") or [], params.get("SortCriteria"))
        shown, following = page(matching, params.get("NextToken"), params.get("MaxResults"), SEARCH_PAGE)
        return with_token({"TableList": shown}, following)

    def _found(self, caller: Any, params: dict, name: str) -> Found:
        catalog = catalog_of(caller, params.get("CatalogId"))
        return self.lookup.table(caller.principal, catalog, params["DatabaseName"], name)

    def _real(self, caller: Any, params: dict, name: str) -> Found:
        catalog = catalog_of(caller, params.get("CatalogId"))
        return self.lookup.real_table(caller.principal, catalog, params["DatabaseName"], name)

    def _shown_found(self, found: Found) -> dict:
        return self._shown(found.table, found.real_access.described, properties=found.target)

    def _shown(self, table: Table, described: frozenset[str], **options: Any) -> dict:
        real = options.get("properties") or table
        registered = self._registered(real.catalog, real.location)
        return values.table_to_api(table, described=described, registered=registered, **options)

    def require_on_table(self, caller: Any, table: Table, permissions: tuple[str, ...]) -> None:
        """Check that the caller has one of `permissions` on the whole table. AccessDeniedException."""
        if not set(permissions) & self.lookup.access.table(caller.principal, table).whole.permissions:
            raise insufficient(permissions[0], table.name)

    def _delete(self, caller: Any, database: Database, name: str) -> None:
        table = database.tables.get(values.folded_name(name, "Table"))
        if table is None:
            raise not_found(f"Table {name.lower()} not found.")
        self.require_on_table(caller, table, ("DROP",))
        self._drop_table(database, table)

    def _drop_table(self, database: Database, table: Table) -> None:
        del database.tables[table.name]
        self.lake_formation.table_deleted(table)

    # -- locations ----------------------------------------------------------------------------------------------------

    def _registered(self, catalog: str, location: str | None) -> bool:
        path = _path(location)
        return bool(path and self.lake_formation.locations.covering(path, catalog))

    def _check_location(
        self, caller: Any, catalog: str, location: str | None, database: Database | None = None
    ) -> None:
        """A registered location needs data location permission, unless the registered location of `database` is a
        prefix of it."""
        path = _path(location)
        if path is None or not self._registered(catalog, location):
            return
        prefix = _path(database.location) if database else None
        if prefix and is_below(path, prefix) and self._registered(catalog, database.location):
            return
        held = self.lookup.access.location(caller.principal, catalog, path)
        if "DATA_LOCATION_ACCESS" not in held.permissions:
            raise denied(f"Insufficient Lake Formation permission(s): Required Data Location Access on s3://{path}")

    # -- events -------------------------------------------------------------------------------------------------------

    def _database_event(self, change: str, database: Database, tables: list[str]) -> None:
        detail = {
            "typeOfChange": change,
            "databaseName": database.name,
            "changedTables": tables[:CHANGES_PER_EVENT],
        }
        prefix = f"arn:aws:glue:{self.world.region}:{database.catalog}"
        resources = [f"{prefix}:table/{database.name}/{table}" for table in detail["changedTables"]]
        self._emit(
            "Glue Data Catalog Database State Change",
            database.catalog,
            detail,
            resources or [database.arn(self.world.region)],
        )

    def table_event(self, change: str, table: Table, partitions: list[tuple[str, ...]]) -> None:
        """Emit a Table State Change event. Changed partitions are their values, joined by commas."""
        detail = {
            "typeOfChange": change,
            "databaseName": table.database,
            "tableName": table.name,
            "changedPartitions": [",".join(changed) for changed in partitions[:CHANGES_PER_EVENT]],
        }
        resources = [table.arn(self.world.region)]
        self._emit("Glue Data Catalog Table State Change", table.catalog, detail, resources)

    def _emit(self, detail_type: str, account: str, detail: dict, resources: list[str]) -> None:
        self.world.emit_event(account, self.world.region, "aws.glue", detail_type, detail, resources)

    # -- partitions ---------------------------------------------------------------------------------------------------

    def CreatePartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.create(caller, params)

    def BatchCreatePartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.create_batch(caller, params)

    def UpdatePartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.update(caller, params)

    def BatchUpdatePartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.update_batch(caller, params)

    def DeletePartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.delete(caller, params)

    def BatchDeletePartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.delete_batch(caller, params)

    def GetPartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.get(caller, params)

    def GetPartitions(self, caller: Any, **params: Any) -> dict:
        return self.partitions.list(caller, params)

    def BatchGetPartition(self, caller: Any, **params: Any) -> dict:
        return self.partitions.get_batch(caller, params)

    # -- resource policy ----------------------------------------------------------------------------------------------

    def GetResourcePolicy(self, caller: Any, **params: Any) -> dict:
        return self.policies.get(caller.account)

    def PutResourcePolicy(self, caller: Any, **params: Any) -> dict:
        return self.policies.put(
            caller.account,
            params["PolicyInJson"],
            params.get("PolicyHashCondition"),
            params.get("PolicyExistsCondition", "NONE"),
            params.get("EnableHybrid"),
        )

    def DeleteResourcePolicy(self, caller: Any, **params: Any) -> dict:
        return self.policies.delete(caller.account, params.get("PolicyHashCondition"))

    def GetResourcePolicies(self, caller: Any, **params: Any) -> dict:
        return self.policies.list(caller.account)


def _path(location: str | None) -> str | None:
    """The S3 path of a location, or None for none or another kind of location."""
    if not location or not re.match(r"s3[an]?://|arn:aws[\w-]*:s3:::", location):
        return None
    return s3_path(location)


def _versions(table: Table) -> dict[int, dict]:
    """The shapes of a table by version, the current one first, then those archived."""
    return {table.version: table.shape, **dict(sorted(table.versions.items(), reverse=True))}


def _pattern(expression: str) -> re.Pattern:
    try:
        return re.compile(expression)
    except re.error as error:
        raise invalid(f"Expression is no regular expression: {error}") from error
