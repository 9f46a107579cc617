"""Finding databases and tables as a principal sees them: through links, and through Lake Formation's permissions.

Sources: the Lake Formation developer guide, "Resource link handling in AWS Glue APIs", "How resource links work", and
"Updated error message" (what one may not see does not exist: EntityNotFoundException).

Choices where the guide is silent: a link whose target is gone or not visible reads as the bare link, and what is asked
*through* it is EntityNotFoundException; a table that is itself a link is not followed further when it was reached
through a database link ("the APIs follow only the first resource link").
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from local_aws.glue.glue_tables import Database, ResolvedTable, Table
from local_aws.lakeformation.lf_access import TableAccess
from local_aws.lakeformation.lf_model import denied, not_found
from local_aws.wire import AwsError


@dataclass(frozen=True)
class Found:
    """A visible table or table link.

    `target` and `target_access` are set if `table` is a link whose target is there and visible too.
    """

    table: Table
    access: TableAccess
    target: Table | None = None
    target_access: TableAccess | None = None

    @property
    def real(self) -> Table:
        """The table with the columns and partitions: the target of a link that leads somewhere."""
        return self.target or self.table

    @property
    def real_access(self) -> TableAccess:
        return self.target_access or self.access


class Lookup:
    """The databases of all catalogues, and lookups in the name of a principal."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._databases: dict[str, dict[str, Database]] = defaultdict(dict)

    @property
    def access(self) -> Any:
        return self._world.engines["lakeformation"].access

    # -- without permissions ----------------------------------------------------------------------------------------

    def find(self, catalog: str, name: str) -> Database | None:
        """A database or database link by its folded name, or None."""
        return self._databases[catalog].get(name)

    def databases(self, catalog: str) -> list[Database]:
        """All databases and links of a catalogue, by name."""
        return [self._databases[catalog][name] for name in sorted(self._databases[catalog])]

    def catalogs(self) -> list[str]:
        return sorted(self._databases)

    def put(self, database: Database) -> None:
        self._databases[database.catalog][database.name] = database

    def drop(self, database: Database) -> None:
        del self._databases[database.catalog][database.name]

    # -- databases --------------------------------------------------------------------------------------------------

    def sees_database(self, principal: str, database: Database) -> bool:
        return "DESCRIBE" in self.access.database(principal, database).permissions

    def database(self, principal: str, catalog: str, name: str) -> Database:
        """A visible database or link. EntityNotFoundException."""
        database = self.find(catalog, name.lower())
        if database is None or not self.sees_database(principal, database):
            raise not_found(f"Database {name.lower()} not found.")
        return database

    def target_of(self, principal: str, link: Database) -> Database | None:
        """The target of a database link, or None if it is gone, is a link itself, or not visible."""
        target = self.find(link.target.catalog, link.target.database)
        if target is None or target.is_link or not self.sees_database(principal, target):
            return None
        return target

    def holder(self, principal: str, catalog: str, name: str) -> Database:
        """The database that really holds the tables: a visible link's visible target, or the database itself.

        A database that is no link may be invisible here: a permission on one of its tables is enough for that table.
        EntityNotFoundException.
        """
        database = self.find(catalog, name.lower())
        if database is None:
            raise not_found(f"Database {name.lower()} not found.")
        if not database.is_link:
            return database
        target = self.target_of(principal, self.database(principal, catalog, name))
        if target is None:
            raise not_found(f"Database {database.target.database} (target of link {database.name}) not found.")
        return target

    # -- tables -----------------------------------------------------------------------------------------------------

    def table(self, principal: str, catalog: str, database: str, name: str) -> Found:
        """A visible table, through a database link, and with the target of a table link.

        EntityNotFoundException if there is none or it is not visible; AccessDeniedException where only the access of
        IAM_ALLOWED_PRINCIPALS keeps another account's principal out.
        """
        holder = self.holder(principal, catalog, database)
        return self._within(principal, holder, name, self.find(catalog, database.lower()).is_link)

    def table_or_none(self, principal: str, holder: Database, name: str, through_link: bool) -> Found | None:
        """As `table`, in a database already found; None for what is not visible."""
        try:
            return self._within(principal, holder, name, through_link)
        except AwsError:
            return None

    def sees_any_table(self, principal: str, database: Database) -> bool:
        return any(self.access.table(principal, table).visible for table in database.tables.values())

    def _within(self, principal: str, holder: Database, name: str, through_link: bool) -> Found:
        table = holder.tables.get(name.lower())
        if table is None:
            raise not_found(f"Table {name.lower()} not found.")
        access = self.access.table(principal, table)
        if access.blocked:
            raise denied(
                f"Insufficient Lake Formation permission(s): IAM_ALLOWED_PRINCIPALS still has access to {table.name}"
            )
        if not access.visible:
            raise not_found(f"Table {name.lower()} not found.")
        if not table.is_link or through_link:
            return Found(table, access)
        target = self._target_table(table)
        target_access = self.access.table(principal, target) if target else None
        if target_access is None or not target_access.visible:
            return Found(table, access)
        return Found(table, access, target, target_access)

    def _target_table(self, link: Table) -> Table | None:
        database = self.find(link.target.catalog, link.target.database)
        if database is None or database.is_link:
            return None
        table = database.tables.get(link.target.table)
        return None if table is None or table.is_link else table

    def real_table(self, principal: str, catalog: str, database: str, name: str) -> Found:
        """As `table`, for what only real tables have (partitions, data): a link must lead to a visible table.

        EntityNotFoundException for a dangling link, or for a link reached through a link.
        """
        found = self.table(principal, catalog, database, name)
        if found.real.is_link:
            raise not_found(f"Table {found.table.target.table} (target of link {found.table.name}) not found.")
        return found

    # -- for query engines --------------------------------------------------------------------------------------------

    def resolve(self, principal: str, account: str, catalog_id: str | None, database: str, table: str) -> ResolvedTable:
        """See LakeFormation.resolve_table."""
        found = self.real_table(principal, catalog_id or account, database, table)
        real, access = found.real, found.real_access
        readable = access.selected | (frozenset(real.key_names) if access.reads_keys else frozenset())
        return ResolvedTable(
            catalog_id=real.catalog,
            database=real.database,
            name=real.name,
            columns=[(column["Name"], column.get("Type", "string")) for column in real.columns],
            partition_keys=[(key["Name"], key.get("Type", "string")) for key in real.keys],
            storage_descriptor=dict(real.shape.get("StorageDescriptor") or {}),
            parameters=dict(real.shape.get("Parameters") or {}),
            readable=readable,
        )
