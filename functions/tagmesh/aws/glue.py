"""The Glue catalogue and crawlers of the central account."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tagmesh.catalog import Table, from_glue
from tagmesh.governance import DataProduct

#: More tables than one crawl of a data product may make before it fails without writing any.
TABLE_THRESHOLD = 1000

#: The parameter of a database that we made: for which data product.
MADE_FOR = "tagmesh:made_for"

TABLES_A_CALL = 100  # of BatchDeleteTable


@dataclass(frozen=True)
class Crawler:
    """A crawler as it is: `state` READY, RUNNING or STOPPING; its last crawl's `status` (SUCCEEDED, FAILED, CANCELLED,
    or "" before the first), start in seconds since 1970, and error; the name of the role that it runs as."""

    state: str
    status: str
    started: float
    error: str
    role: str


class TablesNotDeleted(Exception):
    """Glue refused to delete tables; the message says which and why."""


class DatabaseOpen(Exception):
    """The data product's database exists, and new tables in it would be open at once."""


def ensure_database(glue: Any, product: DataProduct) -> bool:
    """Makes the data product's database where it is missing; whether it did.

    Its tables get no default permissions: with the usual ones, anybody whom IAM admits could read them.
    [Lake Formation developer guide, Changing the default settings for your data lake]

    Raises:
        DatabaseOpen: one is there that others made, and that would open each table that a crawl adds.
    """
    try:
        found = glue.get_database(Name=product.database)["Database"]
    except glue.exceptions.EntityNotFoundException:
        found = None
    if found:
        if found.get("CreateTableDefaultPermissions") or "TargetDatabase" in found:
            raise DatabaseOpen(f"a database {product.database} is there that gives its tables default permissions")
        return False
    try:
        glue.create_database(
            DatabaseInput={
                "Name": product.database,
                "Description": f"{product.producer}: {product.name}, owned by {product.owner or 'nobody named'}",
                "LocationUri": product.location,
                "Parameters": {MADE_FOR: product.unit},
                "CreateTableDefaultPermissions": [],
            }
        )
    except glue.exceptions.AlreadyExistsException:
        return False  # another run was faster
    return True


def database(glue: Any, name: str) -> dict[str, Any] | None:
    """A database, as Glue has it, or None where it is not there (or not visible to us, an administrator)."""
    try:
        return glue.get_database(Name=name)["Database"]
    except glue.exceptions.EntityNotFoundException:
        return None


def is_ours(product: DataProduct, database: dict[str, Any]) -> bool:
    """Whether a database, as Glue has it, is the one that `ensure_database` made for the data product."""
    return database.get("Parameters", {}).get(MADE_FOR) == product.unit


def databases(glue: Any) -> dict[str, dict[str, Any]]:
    """Every database and resource link of the caller's catalogue, by name."""
    pages = glue.get_paginator("get_databases").paginate()
    return {database["Name"]: database for page in pages for database in page["DatabaseList"]}


def create_link(glue: Any, name: str, catalog: str, database: str) -> None:
    """Makes a resource link; one that is already there, to the same target, is done."""
    target = {"CatalogId": catalog, "DatabaseName": database}
    try:
        glue.create_database(DatabaseInput={"Name": name, "TargetDatabase": target})
    except glue.exceptions.AlreadyExistsException:
        found = glue.get_database(Name=name)["Database"].get("TargetDatabase", {})
        if {key: found.get(key) for key in target} != target:
            raise


def delete_link(glue: Any, name: str) -> None:
    """Deletes a resource link, and never a database: what is there is looked at first."""
    try:
        found = glue.get_database(Name=name)["Database"]
    except glue.exceptions.EntityNotFoundException:
        return
    if "TargetDatabase" in found:
        glue.delete_database(Name=name)


def tables(glue: Any, database: str) -> Iterator[Table]:
    """The tables of a database, as values; none where there is no such database (yet, or any more)."""
    try:
        for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
            for table in page["TableList"]:
                yield from_glue(table)
    except glue.exceptions.EntityNotFoundException:
        return


def ensure_classifier(glue: Any, product: DataProduct) -> list[str]:
    """The CSV classifier that the files ask for, made or brought up to date; [] where they ask for none."""
    if product.csv is None:
        return []
    name = product.crawler
    wanted: dict[str, Any] = {
        "Name": name,
        "ContainsHeader": {"present": "PRESENT", "absent": "ABSENT", "guess": "UNKNOWN"}[product.csv.header],
        "Delimiter": product.csv.delimiter or ",",
        "QuoteSymbol": product.csv.quote or '"',
        "AllowSingleColumn": True,
        "DisableValueTrimming": False,
        # The built-in classifier picks LazySimpleSerDe for quoted values, which cannot read them.
        "Serde": "OpenCSVSerDe",
    }
    try:
        found = glue.get_classifier(Name=name)["Classifier"].get("CsvClassifier", {})
    except glue.exceptions.EntityNotFoundException:
        glue.create_classifier(CsvClassifier=wanted)
        return [name]
    if any(found.get(key) != value for key, value in wanted.items()):
        glue.update_classifier(CsvClassifier=wanted)
    return [name]


def ensure_crawler(glue: Any, product: DataProduct, folders: tuple[str, ...], role_arn: str, *, new: bool) -> None:
    """The data product's crawler, made or brought up to date: one S3 target for each table folder.

    Args:
        new: nothing of the data product was crawled yet, so there will hardly be one.

    Raises the service's CrawlerRunningException where a crawl runs that still has the older targets.
    """
    wanted: dict[str, Any] = {
        "Name": product.crawler,
        "Role": role_arn,
        "DatabaseName": product.database,
        "Description": f"Crawls {product.location}, a folder a table.",
        # Similar schemas under one target would become one table.
        "Targets": {"S3Targets": [{"Path": f"{product.location}{folder}/"} for folder in folders]},
        "Classifiers": ensure_classifier(glue, product),
        "SchemaChangePolicy": {
            "UpdateBehavior": "UPDATE_IN_DATABASE",
            "DeleteBehavior": "DEPRECATE_IN_DATABASE",
        },
        "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
        "Configuration": json.dumps(
            {
                "Version": 1.0,
                "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"},
                "CrawlerOutput": {
                    "Tables": {"TableThreshold": TABLE_THRESHOLD},
                    "Partitions": {"AddOrUpdateBehavior": "InheritFromTable"},
                },
            }
        ),
    }
    if new:
        try:
            glue.create_crawler(**wanted)
            return
        except glue.exceptions.AlreadyExistsException:
            pass  # a run broke off before its crawl
    try:
        glue.update_crawler(**wanted)
    except glue.exceptions.EntityNotFoundException:
        glue.create_crawler(**wanted)


def crawler(glue: Any, name: str) -> Crawler | None:
    """The crawler's state and its last crawl, or None where there is no such crawler.

    StartCrawler answers without an id, so the crawl that a run waits for is recognised by its start.
    """
    try:
        found = glue.get_crawler(Name=name)["Crawler"]
    except glue.exceptions.EntityNotFoundException:
        return None
    last = found.get("LastCrawl", {})
    started = last["StartTime"].timestamp() if "StartTime" in last else 0.0
    role = found["Role"].rpartition("/")[2]  # Glue answers with the name where the ARN was given
    return Crawler(found["State"], last.get("Status", ""), started, last.get("ErrorMessage", ""), role)


def table_folder(product: DataProduct, table: Table) -> str | None:
    """The first-level folder that a table was crawled from, or None where it lies elsewhere."""
    matched = re.fullmatch(rf"{re.escape(product.location)}([^/]+)/?.*", table.location)
    return matched.group(1) if matched else None


# ── Removal: what is not there any more is done ───────────────────────────────────────────────────────────────────


def delete_crawler(glue: Any, name: str) -> bool:
    """Deletes a crawler; False where it runs."""
    try:
        glue.delete_crawler(Name=name)
    except glue.exceptions.EntityNotFoundException:
        return True
    except glue.exceptions.CrawlerRunningException:
        return False
    return True


def delete_classifier(glue: Any, name: str) -> None:
    """Deletes a classifier."""
    try:
        glue.delete_classifier(Name=name)
    except glue.exceptions.EntityNotFoundException:
        return


def delete_tables(glue: Any, database: str, names: list[str]) -> None:
    """Deletes tables, at most TABLES_A_CALL.

    Raises:
        TablesNotDeleted: Glue answered 200 and refused some all the same.
    """
    try:
        answer = glue.batch_delete_table(DatabaseName=database, TablesToDelete=names)
    except glue.exceptions.EntityNotFoundException:
        return
    for refused in answer.get("Errors", []):
        detail = refused["ErrorDetail"]
        if detail["ErrorCode"] != "EntityNotFoundException":
            raise TablesNotDeleted(
                f"{database}.{refused['TableName']}: {detail['ErrorCode']} {detail.get('ErrorMessage')}"
            )


def delete_database(glue: Any, name: str) -> None:
    """Deletes a database with whatever is in it."""
    try:
        glue.delete_database(Name=name)
    except glue.exceptions.EntityNotFoundException:
        return
