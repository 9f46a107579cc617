"""The LF-Tag operations of the API: tags, assignments, searches.

Sources: the Lake Formation developer guide ("Managing LF-Tags", "Adding LF-Tag creators", "Assigning LF-Tags to Data
Catalog resources", "Viewing LF-Tags assigned to a resource") and the service model.

Choices where the guide is silent or contradicts itself: an administrator may assign a tag only with ASSOCIATE *and*
with the listed grantable permissions on the resource, as anybody else; lists and searches show effective tags on every
column; removing a tag that is not assigned, or is with another value, is a failure of that tag.
"""

from __future__ import annotations

from typing import Any

from local_aws.glue.glue_tables import Database, Table
from local_aws.lakeformation.lf_access import Access
from local_aws.lakeformation.lf_grants import GrantStore
from local_aws.lakeformation.lf_model import (
    DatabaseResource,
    TableResource,
    catalog_of,
    denied,
    expression_from_api,
    insufficient,
    invalid,
    not_found,
    refused,
    resource_member,
)
from local_aws.lakeformation.lf_paging import chosen_page, page, with_token
from local_aws.lakeformation.lf_tags import NO_TAG, TagStore, Target, folded, matches, pairs_to_api
from local_aws.wire import AwsError

LIST_PAGE = 1_000
SEARCH_PAGE = 100
TO_TAG_DATABASE = frozenset({"DESCRIBE", "CREATE_TABLE", "ALTER", "DROP"})
TO_TAG_TABLE = frozenset({"DESCRIBE", "ALTER", "DROP", "INSERT", "SELECT", "DELETE"})


class TagOperations:
    """LF-Tag operations over the stores, made for one API call. `lookup` finds databases and tables."""

    def __init__(self, tags: TagStore, grants: GrantStore, access: Access, lookup: Any) -> None:
        self._tags = tags
        self._grants = grants
        self._access = access
        self._lookup = lookup
        self._described: dict[tuple[str, str, str, str], bool] = {}
        """Answers of this call: a page of tables asks about few tags, very often."""

    # -- definitions --------------------------------------------------------------------------------------------------

    def create(self, caller: Any, catalog_id: str | None, key: str, values: list[str]) -> dict:
        """CreateLFTag: administrators and holders of CREATE_LF_TAG. See TagStore.create for errors."""
        catalog = catalog_of(caller, catalog_id)
        if "CREATE_LF_TAG" not in self._access.catalog(caller.principal, catalog).permissions:
            raise insufficient("CREATE_LF_TAG", "Catalog")
        self._tags.create(catalog, key, values, caller.principal)
        return {}

    def update(self, caller: Any, catalog_id: str | None, key: str, added: list[str], deleted: list[str]) -> dict:
        """UpdateLFTag: needs ALTER on the tag. See TagStore.update for errors."""
        catalog = catalog_of(caller, catalog_id)
        self._require(caller, catalog, key, "ALTER")
        self._tags.update(catalog, key, added, deleted)
        return {}

    def delete(self, caller: Any, catalog_id: str | None, key: str) -> dict:
        """DeleteLFTag: needs DROP on the tag. Its assignments go, and the policies that use it are void."""
        catalog = catalog_of(caller, catalog_id)
        self._require(caller, catalog, key, "DROP")
        self._tags.delete(catalog, key)
        self._grants.forget_tag(catalog, key.lower())
        return {}

    def _require(self, caller: Any, catalog: str, key: str, permission: str) -> None:
        key = self._tags.get(catalog, key).key
        if permission not in self._access.tag(caller.principal, catalog, key, "*").permissions:
            raise insufficient(permission, f"LF-Tag {key}")

    def get(self, caller: Any, catalog_id: str | None, key: str) -> dict:
        """GetLFTag: the values that the caller may describe. EntityNotFoundException if there are none."""
        shape = self._visible(caller, catalog_of(caller, catalog_id), key.lower())
        if shape is None:
            raise not_found(NO_TAG)
        return shape

    def list(
        self, caller: Any, catalog_id: str | None, share: str | None, token: str | None, wanted: int | None
    ) -> dict:
        """ListLFTags: what the caller may describe; with ResourceShareType what others shared (FOREIGN), or both."""
        own = catalog_of(caller, catalog_id)
        others = [catalog for catalog in self._tags.catalogs() if catalog != own]
        catalogs = {None: [own], "ALL": [own, *others], "FOREIGN": others}[share]
        shapes = [self._visible(caller, catalog, tag.key) for catalog in catalogs for tag in self._tags.all(catalog)]
        shown, following = page([shape for shape in shapes if shape], token, wanted, LIST_PAGE)
        return with_token({"LFTags": shown}, following)

    def _visible(self, caller: Any, catalog: str, key: str) -> dict | None:
        if not self._tags.has(catalog, key):
            return None
        values = [v for v in self._tags.get(catalog, key).values if self._describes(caller, catalog, key, v)]
        return {"CatalogId": catalog, "TagKey": key, "TagValues": values} if values else None

    def _describes(self, caller: Any, catalog: str, key: str, value: str) -> bool:
        asked = (caller.principal, catalog, key, value)
        if asked not in self._described:
            self._described[asked] = "DESCRIBE" in self._access.tag(*asked).permissions
        return self._described[asked]

    # -- assignments --------------------------------------------------------------------------------------------------

    def assign(self, caller: Any, catalog_id: str | None, resource: dict, pairs: list[dict]) -> dict:
        """AddLFTagsToResource.

        Raises InvalidInputException for a wildcard, several values or a repeated key, EntityNotFoundException for a
        resource that is not there or not visible, AccessDeniedException without the permissions on the resource. Tags
        that are not there or lack ASSOCIATE are in Failures; the others are assigned.
        """
        owner, checked = self._checked(caller, catalog_id, resource, pairs)
        targets = self._taggable(caller, owner, resource)
        return self._each(checked, pairs, lambda key, value: self._assign(caller, owner, targets, key, value))

    def remove(self, caller: Any, catalog_id: str | None, resource: dict, pairs: list[dict]) -> dict:
        """RemoveLFTagsFromResource: as assign; inherited values show again."""
        owner, checked = self._checked(caller, catalog_id, resource, pairs)
        targets = self._taggable(caller, owner, resource)
        return self._each(checked, pairs, lambda key, value: self._remove(caller, owner, targets, key, value))

    def _checked(
        self, caller: Any, catalog_id: str | None, resource: dict, pairs: list[dict]
    ) -> tuple[str, list[tuple[str, str]]]:
        """The catalogue of the resource, and the folded keys and values."""
        shape = resource[resource_member(resource)]
        owner = shape.get("CatalogId") or catalog_of(caller, catalog_id)
        return owner, _checked_pairs(owner, pairs)

    def _each(self, checked: list[tuple[str, str]], pairs: list[dict], apply: Any) -> dict:
        failures = []
        for (key, value), pair in zip(checked, pairs, strict=True):
            try:
                apply(key, value)
            except AwsError as error:
                failure = {"ErrorCode": error.code, "ErrorMessage": error.message}
                failures.append({"LFTag": pair, "Error": failure})
        return {"Failures": failures}

    def _assign(self, caller: Any, catalog: str, targets: list[Target], key: str, value: str) -> None:
        if not self._tags.has(catalog, key, (value,)):
            raise not_found(NO_TAG)
        self._require_associate(caller, catalog, key, value)
        for target in targets:
            self._tags.assign(target, key, value)

    def _remove(self, caller: Any, catalog: str, targets: list[Target], key: str, value: str) -> None:
        self._require_associate(caller, catalog, key, value)
        if any(self._tags.assigned(target).get(key) != value for target in targets):
            raise not_found(f"LF-Tag {key}={value} is not assigned to the resource")
        for target in targets:
            self._tags.remove(target, key)

    def _require_associate(self, caller: Any, catalog: str, key: str, value: str) -> None:
        if "ASSOCIATE" not in self._access.tag(caller.principal, catalog, key, value).permissions:
            raise insufficient("ASSOCIATE", f"LF-Tag {key}={value}")

    def _taggable(self, caller: Any, catalog: str, resource: dict) -> list[Target]:
        """The targets of a resource that the caller may tag."""
        database, table, columns = self._named(caller, catalog, resource)
        holder = table or database
        if holder.is_link:
            raise invalid(f"{holder.name} is a resource link: LF-Tags are assigned to its target")
        if table:
            held, needed = self._access.table(caller.principal, table).whole, TO_TAG_TABLE
        else:
            held, needed = self._access.database(caller.principal, database), TO_TAG_DATABASE
            if caller.account != database.catalog:
                needed -= {"DROP"}
        if holder.created_by != caller.principal and not needed <= held.grantable:
            lacking = ", ".join(sorted(needed - held.grantable))
            raise denied(
                f"Insufficient Lake Formation permission(s): Required {lacking} with the grant option on {holder.name}"
            )
        if table is None:
            return [DatabaseResource(database.catalog, database.name)]
        named = TableResource(table.catalog, table.database, table.name)
        return [(named, column) for column in columns] if columns else [named]

    def _named(self, caller: Any, catalog: str, resource: dict) -> tuple[Database, Table | None, list[str]]:
        """The database, table and columns that a Resource names, if visible. EntityNotFoundException otherwise."""
        member = resource_member(resource)
        shape = resource[member]
        owner = shape.get("CatalogId") or catalog
        if member == "Database":
            return self._lookup.database(caller.principal, owner, shape["Name"]), None, []
        if member not in ("Table", "TableWithColumns"):
            raise invalid(f"LF-Tags cannot be assigned to a {member}")
        if not shape.get("Name"):
            raise invalid("LF-Tags are assigned to single tables")
        table = self._lookup.table(caller.principal, owner, shape["DatabaseName"], shape["Name"]).table
        database = self._lookup.find(table.catalog, table.database)
        if member == "Table":
            return database, table, []
        return database, table, _columns(shape, table)

    # -- reading ------------------------------------------------------------------------------------------------------

    def of_resource(self, caller: Any, catalog_id: str | None, resource: dict, assigned_only: bool) -> dict:
        """GetResourceLFTags: effective tags, or with ShowAssignedLFTags those assigned to the resource itself.

        Of a table also those of its columns. Only tags that the caller may describe. EntityNotFoundException.
        """
        database, table, columns = self._named(caller, catalog_of(caller, catalog_id), resource)
        tags = self._tags.assigned if assigned_only else self._tags.effective
        on_database = DatabaseResource(database.catalog, database.name)
        if table is None:
            return _without_empty({"LFTagOnDatabase": self._shown(caller, database.catalog, tags(on_database))})
        answer = {} if assigned_only else {"LFTagOnDatabase": self._shown(caller, database.catalog, tags(on_database))}
        named = TableResource(table.catalog, table.database, table.name)
        answer["LFTagsOnTable"] = self._shown(caller, table.catalog, tags(named))
        listed = self._on_columns(caller, table, columns or [*table.column_names, *table.key_names], tags)
        answer["LFTagsOnColumns"] = [column for column in listed if column["LFTags"]]
        return _without_empty(answer)

    def _on_columns(self, caller: Any, table: Table, names: list[str], tags: Any) -> list[dict]:
        named = TableResource(table.catalog, table.database, table.name)
        described = {*self._access.table(caller.principal, table).described, *table.key_names}
        return [
            {"Name": name, "LFTags": self._shown(caller, table.catalog, tags((named, name)))}
            for name in names
            if name in described
        ]

    def _shown(self, caller: Any, catalog: str, tags: dict[str, str]) -> list[dict]:
        visible = {key: value for key, value in tags.items() if self._describes(caller, catalog, key, value)}
        return pairs_to_api(catalog, visible)

    # -- searching ----------------------------------------------------------------------------------------------------

    def search_databases(
        self, caller: Any, catalog_id: str | None, conditions: list[dict], token: str | None, wanted: int | None
    ) -> dict:
        """SearchDatabasesByLFTags: visible databases whose tags match, with the tags the caller may describe."""
        catalog = catalog_of(caller, catalog_id)
        expression = self._searched(caller, catalog, conditions)

        def tagged(database: Database) -> dict | None:
            tags = self._tags.effective(DatabaseResource(catalog, database.name))
            if database.is_link or not matches(expression, tags):
                return None
            if not self._lookup.sees_database(caller.principal, database):
                return None
            name = {"CatalogId": catalog, "Name": database.name}
            return {"Database": name, "LFTags": self._shown(caller, catalog, tags)}

        shown, following = chosen_page(self._lookup.databases(catalog), tagged, token, wanted, SEARCH_PAGE)
        return with_token({"DatabaseList": shown}, following)

    def search_tables(
        self, caller: Any, catalog_id: str | None, conditions: list[dict], token: str | None, wanted: int | None
    ) -> dict:
        """SearchTablesByLFTags: visible tables that match or have a column that does, with all their tags."""
        catalog = catalog_of(caller, catalog_id)
        expression = self._searched(caller, catalog, conditions)
        tables = [
            database.tables[name]
            for database in self._lookup.databases(catalog)
            if not database.is_link
            for name in sorted(database.tables)
            if not database.tables[name].is_link
        ]

        def tagged(table: Table) -> dict | None:
            visible = self._matches(expression, table) and self._access.table(caller.principal, table).visible
            return self._tagged(caller, table) if visible else None

        shown, following = chosen_page(tables, tagged, token, wanted, SEARCH_PAGE)
        return with_token({"TableList": shown}, following)

    def _searched(self, caller: Any, catalog: str, conditions: list[dict]) -> Any:
        expression = expression_from_api(conditions)
        for key, values in expression:
            visible = self._visible(caller, catalog, key)
            if visible is None or not values - {"*"} <= set(visible["TagValues"]):
                raise not_found(NO_TAG)
        return expression

    def _matches(self, expression: Any, table: Table) -> bool:
        named = TableResource(table.catalog, table.database, table.name)
        on_table, on_columns = self._tags.matching(expression, named, table.column_names)
        return on_table or bool(on_columns)

    def _tagged(self, caller: Any, table: Table) -> dict:
        on_database = self._tags.effective(DatabaseResource(table.catalog, table.database))
        on_table = self._tags.effective(TableResource(table.catalog, table.database, table.name))
        names = [*table.column_names, *table.key_names]
        return {
            "Table": {"CatalogId": table.catalog, "DatabaseName": table.database, "Name": table.name},
            "LFTagOnDatabase": self._shown(caller, table.catalog, on_database),
            "LFTagsOnTable": self._shown(caller, table.catalog, on_table),
            "LFTagsOnColumns": self._on_columns(caller, table, names, self._tags.effective),
        }


def _checked_pairs(catalog: str, pairs: list[dict]) -> list[tuple[str, str]]:
    """Folded keys and values of a call that assigns or removes: 1 to 50, by the service model's constraint."""
    checked = []
    for pair in pairs:
        values = pair.get("TagValues") or []
        if len(values) != 1 or "*" in values:
            raise invalid(f"exactly one value of LF-Tag {pair['TagKey']} can be assigned, not {values}")
        if (pair.get("CatalogId") or catalog) != catalog:
            raise invalid("LF-Tag and resource must belong to the same account")
        checked.append((folded(pair["TagKey"], "key"), folded(values[0], "value")))
    keys = [key for key, _ in checked]
    if repeated := sorted({key for key in keys if keys.count(key) > 1}):
        raise invalid(f"LF-Tag keys are repeated: {', '.join(repeated)}")
    return checked


def _columns(shape: dict, table: Table) -> list[str]:
    if shape.get("ColumnWildcard") is not None:
        raise refused("TableWithColumns.ColumnWildcard with LF-Tags is not built here: name the columns")
    names = list(shape.get("ColumnNames") or [])
    if not names:
        raise invalid("TableWithColumns needs ColumnNames")
    if missing := set(names) - {*table.column_names, *table.key_names}:
        raise not_found(f"Column not found in table {table.name}: {', '.join(sorted(missing))}")
    return names


def _without_empty(answer: dict) -> dict:
    return {name: value for name, value in answer.items() if value}
