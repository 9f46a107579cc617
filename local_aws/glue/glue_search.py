"""What SearchTables looks for in tables.

Sources: the Glue service model, SearchTablesRequest: text is a case-insensitive part of any name, description, column
or parameter, quoted text a whole value; filters are ANDed, and compare their value with all of a field, or with one of
its parts between punctuation characters.

Choice where it is silent: an underscore is part of a word, no punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from local_aws.lakeformation.lf_model import invalid, refused

FIELDS = {
    "databasename": "DatabaseName",
    "name": "Name",
    "description": "Description",
    "owner": "Owner",
    "tabletype": "TableType",
    "catalogid": "CatalogId",
}
TIMES = {"updatetime": "UpdateTime", "createtime": "CreateTime"}


def searched(tables: list[dict], text: str | None, filters: list[dict], sort: list[dict] | None) -> list[dict]:
    """The Table shapes that match, sorted by the first criterion. InvalidInputException for unknown fields."""
    matching = [table for table in tables if _has_text(table, text) and all(_fits(table, f) for f in filters)]
    if not sort:
        return matching
    field = _field(sort[0]["FieldName"])
    return sorted(matching, key=lambda table: str(table.get(field, "")), reverse=sort[0].get("Sort") == "DESC")


def _field(name: str) -> str:
    known = {**FIELDS, **TIMES}
    if name.lower() not in known:
        raise invalid(f"SearchTables: {name} is no field that can be searched here: {', '.join(sorted(known))}")
    return known[name.lower()]


def _fits(table: dict, condition: dict) -> bool:
    key, value, comparator = condition.get("Key", ""), condition.get("Value", ""), condition.get("Comparator", "EQUALS")
    if key.lower() in TIMES:
        raise refused("SearchTables: filters on times are not built here")
    if comparator != "EQUALS":
        raise invalid(f"SearchTables: comparator {comparator} is for times only")
    held = str(table.get(_field(key), "")).lower()
    return value.lower() in (held, *re.split(r"\W+", held))


def _has_text(table: dict, text: str | None) -> bool:
    if not text:
        return True
    words = list(_words(table))
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].lower() in words
    return any(text.lower() in word for word in words)


def _words(table: dict[str, Any]) -> Iterator[str]:
    for field in ("Name", "DatabaseName", "Description"):
        yield str(table.get(field, "")).lower()
    columns = [*(table.get("StorageDescriptor", {}).get("Columns") or []), *(table.get("PartitionKeys") or [])]
    for column in columns:
        yield column["Name"].lower()
        yield column.get("Comment", "").lower()
    for key, value in (table.get("Parameters") or {}).items():
        yield key.lower()
        yield str(value).lower()
