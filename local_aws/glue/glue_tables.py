"""The Glue Data Catalog's values: databases, tables, partitions, and how the API writes them.

Sources: the Glue service model, and the Lake Formation developer guide on resource links.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local_aws.lakeformation.lf_model import invalid, refused

KEPT_OF_DATABASE = ("Description", "LocationUri", "Parameters")
KEPT_OF_TABLE = (
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
)
KEPT_OF_PARTITION = ("LastAccessTime", "StorageDescriptor", "Parameters", "LastAnalyzedTime")


@dataclass(frozen=True)
class LinkTarget:
    """What a resource link points to. `table` is None for a database link."""

    catalog: str
    database: str
    table: str | None = None


@dataclass
class Partition:
    values: tuple[str, ...]
    shape: dict[str, Any]
    created: datetime


@dataclass
class Table:
    """A table or table link of one catalogue's database.

    `shape` holds the members of its TableInput that are kept; `versions` the archived ones by version id.
    """

    catalog: str
    database: str
    name: str
    shape: dict[str, Any]
    created_by: str
    created: datetime
    updated: datetime
    target: LinkTarget | None = None
    version: int = 0
    versions: dict[int, dict[str, Any]] = field(default_factory=dict)
    partitions: dict[tuple[str, ...], Partition] = field(default_factory=dict)

    @property
    def is_link(self) -> bool:
        return self.target is not None

    @property
    def columns(self) -> list[dict]:
        """The data columns, without the partition keys."""
        return self.shape.get("StorageDescriptor", {}).get("Columns") or []

    @property
    def keys(self) -> list[dict]:
        """The partition keys."""
        return self.shape.get("PartitionKeys") or []

    @property
    def column_names(self) -> list[str]:
        return [column["Name"] for column in self.columns]

    @property
    def key_names(self) -> list[str]:
        return [key["Name"] for key in self.keys]

    @property
    def location(self) -> str | None:
        return self.shape.get("StorageDescriptor", {}).get("Location")

    def arn(self, region: str) -> str:
        return f"arn:aws:glue:{region}:{self.catalog}:table/{self.database}/{self.name}"


@dataclass
class Database:
    """A database or database link of one catalogue. `table_defaults`: the permissions that its new tables get."""

    catalog: str
    name: str
    shape: dict[str, Any]
    created_by: str
    created: datetime
    table_defaults: tuple[dict, ...] = ()
    target: LinkTarget | None = None
    tables: dict[str, Table] = field(default_factory=dict)

    @property
    def is_link(self) -> bool:
        return self.target is not None

    @property
    def location(self) -> str | None:
        return self.shape.get("LocationUri")

    def arn(self, region: str) -> str:
        return f"arn:aws:glue:{region}:{self.catalog}:database/{self.name}"


@dataclass(frozen=True)
class ResolvedTable:
    """A table as a query engine needs it: found through links, with what the principal may read.

    `columns` and `partition_keys` are (name, type) in the table's order, all of them; `readable` names those, keys
    included, whose data the principal may read.
    """

    catalog_id: str
    database: str
    name: str
    columns: list[tuple[str, str]]
    partition_keys: list[tuple[str, str]]
    storage_descriptor: dict[str, Any]
    parameters: dict[str, str]
    readable: frozenset[str]


def folded_name(name: str, what: str) -> str:
    """A database's or table's name as it is stored: lower-case. InvalidInputException for control characters."""
    if any(char < " " and char != "\t" for char in name):
        raise invalid(f"{what} name has a control character: {name!r}")
    return name.lower()


def link_target(shape: dict[str, Any] | None, own: str, region: str, of_table: bool) -> LinkTarget | None:
    """The target of a TargetDatabase or TargetTable shape. Nothing is checked of the target itself."""
    if shape is None:
        return None
    if shape.get("Region") not in (None, region):
        raise refused(f"a resource link to Region {shape['Region']}: cross-Region links are not built here")
    if not shape.get("DatabaseName") or of_table and not shape.get("Name"):
        raise invalid("a resource link needs the name of its target")
    table = shape["Name"].lower() if of_table else None
    return LinkTarget(shape.get("CatalogId") or own, shape["DatabaseName"].lower(), table)


def checked_table_shape(shape: dict[str, Any]) -> dict[str, Any]:
    """The members of a TableInput that are kept. InvalidInputException for repeated columns."""
    kept = {name: shape[name] for name in KEPT_OF_TABLE if shape.get(name) is not None}
    columns = [*(kept.get("StorageDescriptor", {}).get("Columns") or []), *(kept.get("PartitionKeys") or [])]
    names = [column["Name"].lower() for column in columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise invalid(f"Duplicate column names: {', '.join(repeated)}")
    return kept


def database_to_api(database: Database, properties: Database | None = None) -> dict[str, Any]:
    """The Database shape. `properties`: where a link's own identity is shown with its target's properties."""
    shape = {
        "Name": database.name,
        **(properties or database).shape,
        "CreateTime": database.created,
        "CreateTableDefaultPermissions": [dict(default) for default in (properties or database).table_defaults],
        "CatalogId": database.catalog,
    }
    if database.target:
        target = {"CatalogId": database.target.catalog, "DatabaseName": database.target.database}
        shape["TargetDatabase"] = target
    return shape


def table_to_api(
    table: Table,
    *,
    described: frozenset[str],
    registered: bool,
    properties: Table | None = None,
    shape: dict[str, Any] | None = None,
    version: int | None = None,
) -> dict[str, Any]:
    """The Table shape with only the described columns.

    `properties`: where a link's own identity is shown with its target's properties. `shape` and `version`: those of an
    archived version.
    """
    source = properties or table
    members = dict(shape if shape is not None else source.shape)
    if descriptor := members.get("StorageDescriptor"):
        members["StorageDescriptor"] = described_descriptor(descriptor, described)
    answer = {
        "Name": table.name,
        "DatabaseName": table.database,
        **members,
        "CreateTime": source.created,
        "UpdateTime": source.updated,
        "CreatedBy": table.created_by,
        "IsRegisteredWithLakeFormation": registered,
        "CatalogId": table.catalog,
        "VersionId": str(source.version if version is None else version),
    }
    answer.setdefault("Retention", 0)
    if table.target:
        answer["TargetTable"] = {
            "CatalogId": table.target.catalog,
            "DatabaseName": table.target.database,
            "Name": table.target.table,
        }
    return answer


def described_descriptor(descriptor: dict[str, Any], described: frozenset[str]) -> dict[str, Any]:
    """A StorageDescriptor with only the columns whose metadata may be seen."""
    columns = [column for column in descriptor.get("Columns") or [] if column["Name"] in described]
    return {**descriptor, "Columns": columns}


def partition_to_api(table: Table, partition: Partition, described: frozenset[str]) -> dict[str, Any]:
    """The Partition shape with only the described columns."""
    shape = dict(partition.shape)
    if descriptor := shape.get("StorageDescriptor"):
        shape["StorageDescriptor"] = described_descriptor(descriptor, described)
    return {
        "Values": list(partition.values),
        "DatabaseName": table.database,
        "TableName": table.name,
        "CreationTime": partition.created,
        **shape,
        "CatalogId": table.catalog,
    }
