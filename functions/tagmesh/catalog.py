"""Values of the catalogue: tables, their columns, the LF-Tags they carry; and findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something that a person must mend; it stops nothing else. ``subject`` names it
    (``sales_orders.orders.order_date``, ``consumer/finance``), ``code`` is stable, for filters and alarms."""

    code: str
    subject: str
    message: str
    mend: str


@dataclass(frozen=True)
class Column:
    name: str
    type: str = "string"
    comment: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Table:
    """A table of the Glue catalogue. ``location`` is an s3:// URL, with or without a last slash; ``serde`` the library
    that reads its files (``org.openx.data.jsonserde.JsonSerDe``); ``created`` when it was made (seconds since 1970, 0
    where that is not known): of two tables of one name the later one has lost the tags of the earlier."""

    database: str
    name: str
    columns: tuple[Column, ...]
    partition_keys: tuple[Column, ...] = ()
    location: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    serde: str = ""
    serde_parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    created: float = 0.0

    @property
    def crawler(self) -> str | None:
        """The name of the crawler that made it; None where none did. [Glue guide, parameters set by crawlers]"""
        return self.parameters.get("UPDATED_BY_CRAWLER")

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns and partition keys: everything that carries LF-Tags."""
        return self.columns + self.partition_keys


def from_glue(table: Mapping[str, Any]) -> Table:
    """A Table from a member of Glue GetTables' TableList (or GetTable's Table)."""
    storage = table.get("StorageDescriptor") or {}
    serde = storage.get("SerdeInfo") or {}
    return Table(
        database=table["DatabaseName"].lower(),
        name=table["Name"].lower(),
        columns=tuple(map(_column, storage.get("Columns") or ())),
        partition_keys=tuple(map(_column, table.get("PartitionKeys") or ())),
        location=storage.get("Location") or "",
        parameters=dict(table.get("Parameters") or {}),
        serde=serde.get("SerializationLibrary") or "",
        serde_parameters=dict(serde.get("Parameters") or {}),
        created=table["CreateTime"].timestamp() if "CreateTime" in table else 0.0,
    )


def _column(column: Mapping[str, Any]) -> Column:
    return Column(
        column["Name"].lower(),
        column.get("Type") or "",
        column.get("Comment") or "",
        dict(column.get("Parameters") or {}),
    )


@dataclass(frozen=True)
class AssignedTags:
    """The LF-Tags of one table as GetResourceLFTags gives them: key -> value, on the database, on the table
    and on each column.

    Lake Formation answers with effective or with assigned values, depending on ShowAssignedLFTags; a lower
    level only ever overrides a higher one, so ``effective`` is the same for both, and nothing plans from
    anything else. Names are lower-case, as Lake Formation stores them."""

    database: Mapping[str, str] = field(default_factory=dict, hash=False)
    table: Mapping[str, str] = field(default_factory=dict, hash=False)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)

    def effective(self, column: str) -> dict[str, str]:
        """key -> value of one column, inheritance included; one unknown to Lake Formation inherits all."""
        return {**self.database, **self.table, **self.columns.get(column, {})}

    @property
    def effective_table(self) -> dict[str, str]:
        """key -> value of the table itself: what a column added tomorrow will have."""
        return {**self.database, **self.table}


def tags_from_api(answer: Mapping[str, Any]) -> AssignedTags:
    """AssignedTags from Lake Formation's GetResourceLFTags on a table (or on a database: then only
    ``database`` is filled). A resource has exactly one value of a key."""
    return AssignedTags(
        database=_pairs(answer.get("LFTagOnDatabase")),
        table=_pairs(answer.get("LFTagsOnTable")),
        columns={
            column["Name"].lower(): _pairs(column.get("LFTags")) for column in answer.get("LFTagsOnColumns") or ()
        },
    )


def _pairs(tags: Any) -> dict[str, str]:
    return {tag["TagKey"].lower(): tag["TagValues"][0].lower() for tag in tags or ()}
