"""Statements and calls of Athena that only ask the catalogue: SHOW, DESCRIBE, ListTableMetadata...

Each is answered by Glue calls as the caller. The rows are shaped as Athena's: one value a row, names, types
and comments padded to twenty characters in DESCRIBE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from local_aws.athena.athena_results import Column, Row, text_column
from local_aws.athena.athena_sql import CATALOG, Statement, TableName
from local_aws.athena.athena_types import SqlError
from local_aws.athena.athena_workgroups import invalid
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.athena.athena_data import Tables

STATEMENTS = ("SHOW_DATABASES", "SHOW_TABLES", "SHOW_COLUMNS", "SHOW_PARTITIONS", "DESCRIBE_TABLE")
OF_TABLE = ("SHOW_COLUMNS", "SHOW_PARTITIONS", "DESCRIBE_TABLE")
WIDTH = 20

Answer = tuple[tuple[Column, ...], list[Row]]


def check(tables: Tables, caller: Caller, statement: Statement, database: str) -> None:
    """What StartQueryExecution refuses at once: SHOW COLUMNS or DESCRIBE of a table that is not there."""
    if statement.kind in ("SHOW_COLUMNS", "DESCRIBE_TABLE"):
        try:
            _table(tables, caller, statement.table, database)
        except AwsError as error:
            if error.code == "EntityNotFoundException":
                raise invalid(f"Entity Not Found (Service: AmazonDataCatalog): {error.message}") from error
        except PermissionError:
            return  # the query itself fails with it


def answer(tables: Tables, caller: Caller, statement: Statement, database: str) -> Answer:
    """Columns and rows of one of STATEMENTS. Raises SqlError, NotPermitted."""
    try:
        return ANSWERS[statement.kind](tables, caller, statement, database)
    except AwsError as error:
        raise SqlError("GENERIC_USER_ERROR", f"{error.code}: {error.message}") from error


def _databases(tables: Tables, caller: Caller, statement: Statement, _database: str) -> Answer:
    """A pattern is a regular expression on the whole name, but `*` alone is every name."""
    names = [each["Name"] for each in pages(tables, caller, "GetDatabases", "DatabaseList")]
    pattern = statement.pattern
    if pattern not in (None, "*"):
        try:
            names = [name for name in names if re.fullmatch(pattern, name)]  # type: ignore[arg-type]
        except re.error as error:
            raise SqlError("GENERIC_USER_ERROR", f"not a regular expression: {error}") from error
    return (text_column("database_name"),), [[name] for name in names]


def _tables(tables: Tables, caller: Caller, statement: Statement, database: str) -> Answer:
    """In a pattern `*` stands for any text, and `|` parts alternatives."""
    within = statement.database or database
    names = [each["Name"] for each in pages(tables, caller, "GetTables", "TableList", DatabaseName=within)]
    if statement.pattern is not None:
        pattern = re.sub(r"(?<!\.)\*", ".*", statement.pattern)
        names = [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]
    return (text_column("tab_name"),), [[name] for name in names]


def _columns(tables: Tables, caller: Caller, statement: Statement, database: str) -> Answer:
    table = _table(tables, caller, statement.table, database)
    columns = table["StorageDescriptor"].get("Columns", []) + table.get("PartitionKeys", [])
    return (text_column("field"),), [[column["Name"].ljust(WIDTH)] for column in columns]


def _describe(tables: Tables, caller: Caller, statement: Statement, database: str) -> Answer:
    table = _table(tables, caller, statement.table, database)
    keys = [_line(key) for key in table.get("PartitionKeys", [])]
    rows = [_line(column) for column in table["StorageDescriptor"].get("Columns", [])] + keys
    if keys:
        heading = "\t".join(["# col_name".ljust(22), "data_type".ljust(WIDTH), "comment".ljust(WIDTH)])
        rows += ["\t \t ", "# Partition Information\t \t ", heading, "\t \t ", *keys]
    described = (text_column("col_name"), text_column("data_type"), text_column("comment"))
    return described, [[row] for row in rows]


def _line(column: dict[str, str]) -> str:
    parts = (column["Name"], column.get("Type", ""), column.get("Comment", ""))
    return "\t".join(part.ljust(WIDTH) for part in parts)


def _partitions(tables: Tables, caller: Caller, statement: Statement, database: str) -> Answer:
    table = _table(tables, caller, statement.table, database)
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    if not keys:
        raise SqlError("GENERIC_USER_ERROR", f"Table {table['Name']} is not a partitioned table")
    name = statement.table
    where = {"DatabaseName": (name.database if name else None) or database, "TableName": table["Name"]}
    found = pages(tables, caller, "GetPartitions", "Partitions", **where)
    rows: list[Row] = [
        ["/".join(f"{key}={value}" for key, value in zip(keys, each["Values"], strict=False))] for each in found
    ]
    return (text_column("partition"),), rows


ANSWERS = {
    "SHOW_DATABASES": _databases,
    "SHOW_TABLES": _tables,
    "SHOW_COLUMNS": _columns,
    "SHOW_PARTITIONS": _partitions,
    "DESCRIBE_TABLE": _describe,
}


def _table(tables: Tables, caller: Caller, name: TableName | None, database: str) -> dict[str, Any]:
    assert name is not None
    if name.catalog not in (None, CATALOG):
        raise SqlError("CATALOG_NOT_FOUND", f"Catalog '{name.catalog}' does not exist")
    found = tables.glue(caller, "GetTable", DatabaseName=name.database or database, Name=name.name)["Table"]
    return {"StorageDescriptor": {}, **found}


def pages(tables: Tables, caller: Caller, operation: str, member: str, **params: Any) -> Iterator[dict]:
    """The items of a paged Glue call, made as the caller."""
    token: dict[str, str] = {}
    while True:
        response = tables.glue(caller, operation, **params, **token)
        yield from response[member]
        if not response.get("NextToken"):
            return
        token = {"NextToken": response["NextToken"]}


# -- calls ---------------------------------------------------------------------------------------


def check_catalog(name: str) -> None:
    if name.lower() != CATALOG:
        raise invalid(f"DataCatalog {name} was not found")


def data_catalog(params: dict[str, Any]) -> dict:
    """GetDataCatalog: there is only Glue's."""
    check_catalog(params["Name"])
    return {"DataCatalog": {"Name": "AwsDataCatalog", "Type": "GLUE", "Status": "CREATE_COMPLETE"}}


def list_databases(tables: Tables, caller: Caller, params: dict[str, Any]) -> dict:
    """ListDatabases."""
    check_catalog(params["CatalogName"])
    databases = [_database(each) for each in _asked(tables, caller, "GetDatabases", "DatabaseList")]
    found, following = page(databases, params.get("NextToken"), params.get("MaxResults"), 50)
    return with_token({"DatabaseList": found}, following)


def get_database(tables: Tables, caller: Caller, params: dict[str, Any]) -> dict:
    """GetDatabase. MetadataException."""
    check_catalog(params["CatalogName"])
    name = params["DatabaseName"]
    return {"Database": _database(_one(tables, caller, "GetDatabase", "Database", Name=name))}


def list_table_metadata(tables: Tables, caller: Caller, params: dict[str, Any]) -> dict:
    """ListTableMetadata: Expression is a regular expression on the name."""
    check_catalog(params["CatalogName"])
    shapes = _asked(tables, caller, "GetTables", "TableList", DatabaseName=params["DatabaseName"])
    pattern = params.get("Expression") or ".*"
    metadata = [_metadata(each) for each in shapes if re.fullmatch(pattern, each["Name"])]
    found, following = page(metadata, params.get("NextToken"), params.get("MaxResults"), 50)
    return with_token({"TableMetadataList": found}, following)


def get_table_metadata(tables: Tables, caller: Caller, params: dict[str, Any]) -> dict:
    """GetTableMetadata. MetadataException for a table that is not there or not visible."""
    check_catalog(params["CatalogName"])
    where = {"DatabaseName": params["DatabaseName"], "Name": params["TableName"]}
    return {"TableMetadata": _metadata(_one(tables, caller, "GetTable", "Table", **where))}


def _asked(tables: Tables, caller: Caller, operation: str, member: str, **params: Any) -> list[dict]:
    try:
        return list(pages(tables, caller, operation, member, **params))
    except (AwsError, PermissionError) as error:
        raise AwsError("MetadataException", str(getattr(error, "message", error))) from error


def _one(tables: Tables, caller: Caller, operation: str, member: str, **params: Any) -> dict:
    try:
        return tables.glue(caller, operation, **params)[member]
    except (AwsError, PermissionError) as error:
        raise AwsError("MetadataException", str(getattr(error, "message", error))) from error


def _database(shape: dict[str, Any]) -> dict[str, Any]:
    return {key: shape[key] for key in ("Name", "Description", "Parameters") if key in shape}


def _metadata(shape: dict[str, Any]) -> dict[str, Any]:
    descriptor = shape.get("StorageDescriptor", {})

    def columns(shapes: list[dict]) -> list[dict]:
        return [{key: each[key] for key in ("Name", "Type", "Comment") if key in each} for each in shapes]

    parameters = dict(shape.get("Parameters") or {})
    for name, member in (("location", "Location"), ("inputformat", "InputFormat"), ("outputformat", "OutputFormat")):
        if descriptor.get(member):
            parameters[name] = descriptor[member]
    if library := descriptor.get("SerdeInfo", {}).get("SerializationLibrary"):
        parameters["serde.serialization.lib"] = library
    return {
        "Name": shape["Name"],
        "CreateTime": shape["CreateTime"],
        "TableType": shape.get("TableType", "EXTERNAL_TABLE"),
        "Columns": columns(descriptor.get("Columns", [])),
        "PartitionKeys": columns(shape.get("PartitionKeys", [])),
        "Parameters": parameters,
    }
