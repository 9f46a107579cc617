"""One crawl: from the objects below an S3 target to tables in the Data Catalog.

Pure: reading the files (crawl_read.py) and writing to the catalogue (crawl_catalog.py) speak to S3 and Glue with the
clients of the crawler's role, so that IAM, bucket policies and Lake Formation judge each call. Sources: AWS Glue
developer guide, "How does a crawler determine when to create partitions?", "Creating a single schema for each Amazon
S3 include path", "Specifying the table location and partitioning level", "Parameters set on Data Catalog tables by
crawler".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from local_aws.files import serdes
from local_aws.files.formats import (
    UNKNOWN,
    CsvClassifier,
    FileFormat,
    table_name,
)
from local_aws.files.hive_types import hive_type, merge_fields

LONGEST_NAME = 255
"""Characters of a column's name."""

SIMILAR = 0.7
"""Share of columns that schemas must have in common to be one table, unless compatible ones are combined."""

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""The value of a partition whose folder names none: Glue takes no empty one, and Athena reads this as NULL."""

TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
HADOOP_FORMATS = {
    "csv": (TEXT_INPUT, TEXT_OUTPUT),
    "json": (TEXT_INPUT, TEXT_OUTPUT),
    "parquet": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    ),
    "avro": (
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    ),
}


class CrawlFailed(Exception):
    """A crawl that ends FAILED, with the reason."""


class Stopped(Exception):
    """A crawl that StopCrawler ended."""


@dataclass(frozen=True)
class Target:
    """An S3 target of a crawler."""

    path: str
    exclusions: tuple[str, ...] = ()
    sample_size: int | None = None
    """How many files of each leaf folder are opened; None: all."""


@dataclass(frozen=True)
class Settings:
    """What a crawl needs to know of its crawler."""

    name: str
    database: str
    table_prefix: str = ""
    classifiers: tuple[CsvClassifier, ...] = ()
    update: str = "UPDATE_IN_DATABASE"
    delete: str = "DEPRECATE_IN_DATABASE"
    combine: bool = False
    table_level: int | None = None
    table_threshold: int | None = None
    merge_new_columns: bool = False
    partitions_inherit: bool = False
    only_new_folders: bool = False


@dataclass(frozen=True)
class CrawledFile:
    """An object, and what its classifier found; None for one that was not opened."""

    key: str
    size: int
    format: FileFormat | None


@dataclass(frozen=True)
class Partition:
    values: tuple[str, ...]
    location: str
    files: tuple[CrawledFile, ...]


@dataclass(frozen=True)
class DetectedTable:
    """A table as it was found. `folder` names it; `partitions` is empty for one without partition keys."""

    location: str
    folder: str
    files: tuple[CrawledFile, ...]
    partition_keys: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    exclusions: tuple[str, ...] = ()
    """The exclude patterns of its target, which are kept with the table."""


@dataclass
class Changes:
    """What a crawl did to the catalogue: names by action."""

    tables: dict[str, list[str]] = field(default_factory=lambda: {"ADD": [], "UPDATE": [], "DELETE": []})
    partitions: dict[str, list[str]] = field(default_factory=lambda: {"ADD": [], "UPDATE": [], "DELETE": []})
    warnings: list[str] = field(default_factory=list)


# -- paths ---------------------------------------------------------------------------------------


def split_s3(path: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix/`; the prefix ends with / unless it is empty."""
    bucket, _, prefix = path.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/") if prefix.strip("/") else ""
    return bucket, f"{prefix}/" if prefix else ""


def is_hidden(key: str) -> bool:
    """Whether a key is hidden below its prefix: a folder or file that begins with _ or a dot."""
    return any(part[:1] in ("_", ".") for part in key.split("/"))


def holds_data(key: str, size: int, prefix: str) -> bool:
    """Whether an object below a prefix is a file to read: no folder, not empty, not hidden."""
    return size > 0 and not key.endswith("/") and not is_hidden(key[len(prefix) :])


# -- grouping ------------------------------------------------------------------------------------


def detect(target: Target, files: Sequence[CrawledFile], settings: Settings) -> list[DetectedTable]:
    """The tables of one target.

    The files of a folder are one table if they lie equally deep and are compatible (the same format, packing and way
    of writing) and similar, or compatible alone with CombineCompatibleSchemas. If not, each folder in it is looked at
    for itself, and each file that lies beside those folders becomes a table, as the guide describes. Files that no
    classifier knows are left out where others are known.
    """
    bucket, prefix = split_s3(target.path)
    found = _detect_below(bucket, prefix, list(files), settings)
    return [replace(each, exclusions=target.exclusions) for each in found]


def _detect_below(bucket: str, prefix: str, files: list[CrawledFile], settings: Settings) -> list[DetectedTable]:
    known = [each for each in files if each.format is None or each.format.classification != UNKNOWN]
    files = known if any(each.format for each in known) else files
    if not files:
        return []
    depth = prefix.count("/")
    if (settings.table_level is None or depth >= settings.table_level) and _is_one_table(prefix, files, settings):
        return [_table(bucket, prefix, files)]
    below: dict[str, list[CrawledFile]] = {}
    beside = []
    for each in files:
        folder, slash, _ = each.key[len(prefix) :].partition("/")
        if slash:
            below.setdefault(folder, []).append(each)
        else:
            beside.append(each)
    tables = [_table_of_file(bucket, each) for each in beside]
    for folder, inside in below.items():
        tables += _detect_below(bucket, f"{prefix}{folder}/", inside, settings)
    return tables


def _is_one_table(prefix: str, files: Sequence[CrawledFile], settings: Settings) -> bool:
    depths = {each.key[len(prefix) :].count("/") for each in files}
    formats = [each.format for each in files if each.format]
    if len(depths) > 1 or len({each.compatible_with for each in formats}) > 1:
        return False
    if settings.combine:
        return True
    every = {name.name for each in formats for name in each.fields}
    return all(len(each.fields) >= SIMILAR * len(every) for each in formats)


def _table(bucket: str, prefix: str, files: Sequence[CrawledFile]) -> DetectedTable:
    """The table of a folder: folders of one form `key=value` name a partition key, others `partition_0` and on."""
    location = f"s3://{bucket}/{prefix}"
    name = prefix.rstrip("/").rpartition("/")[2] or bucket
    folders = [tuple(each.key[len(prefix) :].split("/")[:-1]) for each in files]
    keys = []
    for level in range(len(folders[0])):
        pairs = [path[level].partition("=") for path in folders]
        named = {key.lower() if equals else "" for key, equals, _ in pairs}
        is_named = len(named) == 1 and named != {""}
        keys.append(named.pop() if is_named else f"partition_{level}")
    if not keys:
        return DetectedTable(location, name, tuple(files))
    grouped: dict[tuple[str, ...], list[CrawledFile]] = {}
    for path, each in zip(folders, files, strict=True):
        grouped.setdefault(path, []).append(each)
    partitions = tuple(
        Partition(
            tuple(
                part if key == f"partition_{level}" else part.partition("=")[2] or HIVE_NULL
                for level, (key, part) in enumerate(zip(keys, path, strict=True))
            ),
            f"{location}{'/'.join(path)}/",
            tuple(inside),
        )
        for path, inside in grouped.items()
    )
    return DetectedTable(location, name, tuple(files), tuple(keys), partitions)


def _table_of_file(bucket: str, file: CrawledFile) -> DetectedTable:
    return DetectedTable(f"s3://{bucket}/{file.key}", file.key.rpartition("/")[2], (file,))


# -- tables as Glue describes them ---------------------------------------------------------------


def columns_of(files: Sequence[CrawledFile], partition_keys: Sequence[str]) -> list[dict[str, str]]:
    """The columns of all files together, none with the name of a partition key.

    Such a column of a CSV file gets a number (it must keep its place); of another format it is left out, for the
    folder says its value. (AWS's crawlers keep both, and Athena then refuses the table: "Table descriptor contains
    duplicate columns".) Names are cut to what Glue takes; a column without one is left out.
    """
    formats = [each.format for each in files if each.format]
    merged = merge_fields(each.fields for each in formats)
    columns = []
    for column in merged:
        name = column.name[:LONGEST_NAME]
        if not name:
            continue
        if name in partition_keys:
            if formats[0].classification != "csv":
                continue
            name = f"{name}_2"
        columns.append({"Name": name, "Type": hive_type(column.type)})
    return columns


def storage_descriptor(
    files: Sequence[CrawledFile], location: str, crawler: str, partition_keys: Sequence[str]
) -> dict[str, Any]:
    """The StorageDescriptor of a table or partition, as crawlers write it."""
    formats = [each.format for each in files if each.format]
    first = formats[0]
    parameters = {
        "CrawlerSchemaDeserializerVersion": "1.0",
        "CrawlerSchemaSerializerVersion": "1.0",
        "UPDATED_BY_CRAWLER": crawler,
        "classification": first.classification,
        "compressionType": first.compression,
        "typeOfData": "file",
        **_statistics(files),
    }
    serde: dict[str, Any] = {}
    if first.csv:
        parameters |= {
            "areColumnsQuoted": str(any(each.csv.quoted for each in formats if each.csv)).lower(),
            "columnsOrdered": "true",
            "delimiter": first.csv.delimiter,
        }
        if first.csv.header:
            parameters["skip.header.line.count"] = "1"
        if first.csv.serde == "OpenCSVSerDe":
            quoting = {"separatorChar": first.csv.delimiter, "quoteChar": first.csv.quote}
            serde = {"SerializationLibrary": serdes.OPEN_CSV, "Parameters": quoting}
        else:
            serde = {
                "SerializationLibrary": serdes.LAZY_SIMPLE,
                "Parameters": {"field.delim": first.csv.delimiter},
            }
    elif first.classification == "json":
        keys = sorted({key for each in formats for key in each.json_keys})
        serde = {"SerializationLibrary": serdes.JSON_OPENX, "Parameters": {"paths": ",".join(keys)}}
    elif first.classification == "parquet":
        serde = {"SerializationLibrary": serdes.PARQUET, "Parameters": {"serialization.format": "1"}}
    elif first.classification == "avro":
        parameters["avro.schema.literal"] = first.avro_schema or ""
        serde = {
            "SerializationLibrary": serdes.AVRO,
            "Parameters": {"avro.schema.literal": first.avro_schema or "", "serialization.format": "1"},
        }
    descriptor = {
        "Columns": columns_of(files, partition_keys),
        "Location": location,
        "Compressed": first.compression != "none",
        "NumberOfBuckets": -1,
        "SerdeInfo": serde,
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": parameters,
        "StoredAsSubDirectories": False,
    }
    if first.classification in HADOOP_FORMATS:
        descriptor["InputFormat"], descriptor["OutputFormat"] = HADOOP_FORMATS[first.classification]
    return descriptor


def _statistics(files: Sequence[CrawledFile]) -> dict[str, str]:
    """Records, bytes and objects; records of files that were not opened are estimated from the others."""
    opened = [each for each in files if each.format]
    size = sum(each.size for each in files)
    rows = sum(each.format.rows for each in opened if each.format)
    opened_size = sum(each.size for each in opened)
    records = round(rows * size / opened_size) if opened_size else 0
    return {
        "averageRecordSize": str(size // records if records else 0),
        "objectCount": str(len(files)),
        "recordCount": str(records),
        "sizeKey": str(size),
    }


def table_input(table: DetectedTable, name: str, crawler: str) -> dict[str, Any]:
    """The TableInput of a table as it was found."""
    descriptor = storage_descriptor(table.files, table.location, crawler, table.partition_keys)
    excluded = {"exclusions": json.dumps(table.exclusions)} if table.exclusions else {}
    return {
        "Name": name,
        "Owner": "owner",
        "Retention": 0,
        "StorageDescriptor": descriptor,
        "PartitionKeys": [{"Name": key, "Type": hive_type(pa.string())} for key in table.partition_keys],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {**descriptor["Parameters"], **excluded},
    }


def new_name(table: DetectedTable, prefix: str, taken: set[str]) -> str:
    """The name of a table that is new in its database; told apart by a hash of its location if it is taken."""
    name = table_name(table.folder, prefix)
    return table_name(table.folder, prefix, table.location) if name in taken else name
