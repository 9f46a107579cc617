"""What a crawl writes to the Data Catalog, through the Glue client of the crawler's role."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from local_aws.crawlers.crawl import (
    Changes,
    CrawlFailed,
    DetectedTable,
    Partition,
    Settings,
    new_name,
    split_s3,
    storage_descriptor,
    table_input,
)

KEPT = (
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
)
"""The members of a Table that a TableInput has too."""

DEPRECATED = "DEPRECATED_BY_CRAWLER"
FUNDAMENTAL = ("classification", "compressionType", "delimiter")
"""What must not change of a table whose crawler only adds columns."""

CRAWLER_PARAMETERS = {
    "CrawlerSchemaDeserializerVersion",
    "CrawlerSchemaSerializerVersion",
    DEPRECATED,
    "UPDATED_BY_CRAWLER",
    "areColumnsQuoted",
    "averageRecordSize",
    "avro.schema.literal",
    "classification",
    "columnsOrdered",
    "compressionType",
    "delimiter",
    "exclusions",
    "objectCount",
    "recordCount",
    "sizeKey",
    "skip.header.line.count",
    "typeOfData",
}
"""The table parameters that crawlers set."""


def write(
    glue: Any,
    settings: Settings,
    targets: Sequence[str],
    found: Sequence[DetectedTable],
    now: datetime,
    changes: Changes,
) -> None:
    """Make the catalogue agree with what was found, as far as the crawler's schema change policy lets it.

    Tables are known again by their location. What is done is noted in `changes`, so that a crawl that fails half
    way can say so. Raises CrawlFailed beyond the table threshold, before any write; ClientError for what Glue
    refuses.
    """
    if settings.table_threshold is not None and len(found) > settings.table_threshold:
        raise CrawlFailed(
            f"The number of tables detected by crawler: {len(found)} is greater than the table threshold value"
            f" provided: {settings.table_threshold}. Failing crawler without writing to Data Catalog."
        )
    existing = list(_pages(glue, "get_tables", "TableList", DatabaseName=settings.database))
    by_location = {_location(each): each for each in existing if _crawled(each)}
    taken = {each["Name"] for each in existing}
    for table in found:
        before = by_location.pop(table.location.rstrip("/"), None)
        if before is None:
            written = _create(glue, settings, table, taken, changes)
            taken.add(written["Name"])
        else:
            written = _update(glue, settings, table, before, now, changes)
        if table.partition_keys:
            _write_partitions(glue, settings, table, written, now, changes)
    for location, before in by_location.items():
        if _crawled(before) == settings.name and _below(location, targets):
            _remove(glue, settings, before, now, changes)


def _pages(glue: Any, operation: str, member: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    for page in glue.get_paginator(operation).paginate(**parameters):
        yield from page[member]


def _crawled(table: dict[str, Any]) -> str | None:
    """The crawler that wrote a table last."""
    return table.get("Parameters", {}).get("UPDATED_BY_CRAWLER")


def _location(table: dict[str, Any]) -> str:
    return table.get("StorageDescriptor", {}).get("Location", "").rstrip("/")


def _below(location: str, targets: Sequence[str]) -> bool:
    prefixes = ["s3://" + "/".join(split_s3(target)) for target in targets]
    return any(f"{location}/".startswith(prefix) for prefix in prefixes)


# -- tables --------------------------------------------------------------------------------------


def _create(glue: Any, settings: Settings, table: DetectedTable, taken: set[str], changes: Changes) -> dict[str, Any]:
    """Create a table. Returns its TableInput."""
    name = new_name(table, settings.table_prefix, taken)
    fresh = table_input(table, name, settings.name)
    try:
        glue.create_table(DatabaseName=settings.database, TableInput=fresh)
    except glue.exceptions.AlreadyExistsException:
        # A table that Lake Formation hides from the role has the name.
        fresh = table_input(table, new_name(table, settings.table_prefix, {name}), settings.name)
        glue.create_table(DatabaseName=settings.database, TableInput=fresh)
    changes.tables["ADD"].append(fresh["Name"])
    return fresh


def _update(
    glue: Any, settings: Settings, table: DetectedTable, before: dict[str, Any], now: datetime, changes: Changes
) -> dict[str, Any]:
    """Bring a table up to date. Returns the TableInput that is now in force.

    UPDATE_IN_DATABASE replaces what changed and takes away what no crawler set; a table in which nothing changed that
    crawlers set is left alone (a choice). MergeNewColumns counts more than the schema change policy.
    """
    old = {key: before[key] for key in KEPT if key in before}
    after = table_input(table, before["Name"], settings.name)
    if settings.merge_new_columns:
        if differing := [name for name in FUNDAMENTAL if _differs(name, old["Parameters"], after["Parameters"])]:
            changes.warnings.append(f"table {before['Name']} is deprecated: its {', '.join(differing)} changed")
            _deprecate(glue, settings, before, now, changes)
            return old
        after = _merged(old, after)
    if _same(_as_crawled(old), _as_crawled(after)):
        return old
    if settings.update == "LOG" and not settings.merge_new_columns:
        changes.warnings.append(f"table {before['Name']} has changed and was left as it is (LOG)")
        return old
    glue.update_table(DatabaseName=settings.database, TableInput=after)
    changes.tables["UPDATE"].append(before["Name"])
    return after


def _differs(name: str, old: dict[str, str], new: dict[str, str]) -> bool:
    return old.get(name) != new.get(name)


def _merged(old: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """A table with new columns added; what is there stays, but for the parameters that crawlers set."""
    descriptor = _with_new_columns(old["StorageDescriptor"], fresh["StorageDescriptor"])
    return {
        **old,
        "StorageDescriptor": descriptor,
        "PartitionKeys": fresh["PartitionKeys"],
        "Parameters": _without_mark(old["Parameters"]) | fresh["Parameters"],
    }


def _with_new_columns(old: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    kept = old.get("Columns", [])
    names = {column["Name"] for column in kept}
    serde = old.get("SerdeInfo", {})
    parameters = {**serde.get("Parameters", {}), **fresh["SerdeInfo"].get("Parameters", {})}
    return {
        **old,
        "Columns": kept + [column for column in fresh["Columns"] if column["Name"] not in names],
        "SerdeInfo": {**serde, "Parameters": parameters},
        "Parameters": {**old.get("Parameters", {}), **fresh["Parameters"]},
    }


def _without_mark(parameters: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if key != DEPRECATED}


def _as_crawled(table: dict[str, Any]) -> dict[str, Any]:
    """What crawlers set of a TableInput."""
    descriptor = table.get("StorageDescriptor", {})
    return {
        "Columns": _names_and_types(descriptor.get("Columns", [])),
        "PartitionKeys": _names_and_types(table.get("PartitionKeys", [])),
        "Parameters": {key: value for key, value in table.get("Parameters", {}).items() if key in CRAWLER_PARAMETERS},
        **{key: descriptor.get(key) for key in ("Location", "InputFormat", "OutputFormat", "Compressed", "SerdeInfo")},
    }


def _names_and_types(columns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"Name": each["Name"], "Type": each.get("Type")} for each in columns]


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two TableInputs (or PartitionInputs) say the same; an absent member and an empty one are alike."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(item) for key, item in value.items() if item not in (None, "", [], {}, False, 0)}
        return [bare(item) for item in value] if isinstance(value, list) else value

    return bare(first) == bare(second)


def _remove(glue: Any, settings: Settings, table: dict[str, Any], now: datetime, changes: Changes) -> None:
    """What becomes of a table whose objects are gone."""
    name = table["Name"]
    if settings.delete == "DELETE_FROM_DATABASE":
        glue.delete_table(DatabaseName=settings.database, Name=name)
        changes.tables["DELETE"].append(name)
    elif settings.delete == "DEPRECATE_IN_DATABASE":
        _deprecate(glue, settings, table, now, changes)
    else:
        changes.warnings.append(f"the objects of table {name} are gone (LOG)")


def _deprecate(glue: Any, settings: Settings, table: dict[str, Any], now: datetime, changes: Changes) -> None:
    """Mark a table as deprecated, once."""
    if DEPRECATED in table["Parameters"]:
        return
    old = {key: table[key] for key in KEPT if key in table}
    parameters = {**old["Parameters"], DEPRECATED: _milliseconds(now)}
    glue.update_table(DatabaseName=settings.database, TableInput={**old, "Parameters": parameters})
    changes.tables["UPDATE"].append(table["Name"])


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


# -- partitions ----------------------------------------------------------------------------------


def _write_partitions(
    glue: Any,
    settings: Settings,
    table: DetectedTable,
    written: dict[str, Any],
    now: datetime,
    changes: Changes,
) -> None:
    """Add new partitions (of several with the same values the first), change those whose schema changed, and treat
    those gone by the delete policy.

    New columns that are merged and what is inherited from the table reach partitions even where the policy is LOG.
    """
    where = {"DatabaseName": settings.database, "TableName": written["Name"]}
    existing = {tuple(each["Values"]): each for each in _pages(glue, "get_partitions", "Partitions", **where)}
    updating = settings.update != "LOG" or settings.merge_new_columns or settings.partitions_inherit
    updating = updating and not settings.only_new_folders
    added, changed, seen = [], [], set()
    for partition in table.partitions:
        if partition.values in seen:
            changes.warnings.append(f"{partition.location} was left out: another folder has the same partition values")
            continue
        seen.add(partition.values)
        before = existing.pop(partition.values, None)
        descriptor = _partition_descriptor(settings, table, partition, written["StorageDescriptor"])
        if before and settings.merge_new_columns and not settings.partitions_inherit:
            descriptor = _with_new_columns(before["StorageDescriptor"], descriptor)
        fresh = {
            "Values": list(partition.values),
            "StorageDescriptor": descriptor,
            "Parameters": dict(descriptor.get("Parameters", {})),
        }
        if before is None:
            added.append(fresh)
        elif updating and not _same({key: before.get(key) for key in fresh}, fresh):
            changed.append(fresh)
    for batch in _batches(added, 100):
        _check(glue.batch_create_partition(**where, PartitionInputList=batch))
        changes.partitions["ADD"] += [_partition_name(table, each) for each in batch]
    for each in changed:
        glue.update_partition(**where, PartitionValueList=each["Values"], PartitionInput=each)
        changes.partitions["UPDATE"].append(_partition_name(table, each))
    _remove_partitions(glue, settings, table, where, list(existing.values()), now, changes)


def _partition_descriptor(
    settings: Settings, table: DetectedTable, partition: Partition, of_table: dict[str, Any]
) -> dict[str, Any]:
    """A partition's own schema; the table's with InheritFromTable, or where none of its files was opened."""
    if not any(each.format for each in partition.files):
        return {**of_table, "Location": partition.location}
    own = storage_descriptor(partition.files, partition.location, settings.name, table.partition_keys)
    if settings.partitions_inherit:
        return {**of_table, "Location": partition.location, "Parameters": own["Parameters"]}
    return own


def _remove_partitions(
    glue: Any,
    settings: Settings,
    table: DetectedTable,
    where: dict[str, str],
    gone: list[dict[str, Any]],
    now: datetime,
    changes: Changes,
) -> None:
    if settings.delete == "DELETE_FROM_DATABASE":
        for batch in _batches(gone, 25):
            values = [{"Values": each["Values"]} for each in batch]
            _check(glue.batch_delete_partition(**where, PartitionsToDelete=values))
            changes.partitions["DELETE"] += [_partition_name(table, each) for each in batch]
    elif settings.delete == "DEPRECATE_IN_DATABASE":
        for each in gone:
            if DEPRECATED in each.get("Parameters", {}):
                continue
            marked = {**each.get("Parameters", {}), DEPRECATED: _milliseconds(now)}
            glue.update_partition(
                **where,
                PartitionValueList=each["Values"],
                PartitionInput={
                    "Values": each["Values"],
                    "StorageDescriptor": each["StorageDescriptor"],
                    "Parameters": marked,
                },
            )
            changes.partitions["UPDATE"].append(_partition_name(table, each))


def _batches(items: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _check(response: dict[str, Any]) -> None:
    """A batch answers 200 with errors in it. Raises CrawlFailed with the first."""
    for error in response.get("Errors", ()):
        detail = error.get("ErrorDetail", {})
        raise CrawlFailed(f"{detail.get('ErrorCode')}: {detail.get('ErrorMessage')}")


def _partition_name(table: DetectedTable, partition: dict[str, Any]) -> str:
    pairs = zip(table.partition_keys, partition["Values"], strict=False)
    return "/".join(f"{key}={value}" for key, value in pairs)


def reason(error: ClientError) -> str:
    """What a service refused, for a crawl's ErrorMessage."""
    return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
