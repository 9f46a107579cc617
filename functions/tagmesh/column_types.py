"""The types of columns: families that rules can ask for, and the fields of nested ones."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_FAMILY_OF = {
    "string": (
        "string varchar char text character nvarchar nchar varchar2 nvarchar2 clob citext enum inet cidr macaddr name "
        "tinytext mediumtext longtext bpchar ntext"
    ),
    "integer": (
        "integer int bigint smallint tinyint mediumint long short byte serial bigserial smallserial uint hugeint year"
    ),
    "decimal": "decimal double float real numeric number money bignumeric smallmoney half dec",
    "boolean": "boolean bool bit",
    "timestamp": "timestamp datetime timestamptz time timetz smalldatetime datetimeoffset timestampltz timestampntz",
    "date": "date",
    "uuid": "uuid guid uniqueidentifier objectid",
    "binary": "binary varbinary bytea blob bytes longblob mediumblob tinyblob image raw",
    "struct": "struct row record json jsonb object variant super hstore xml document",
    "array": "array list set",
    "map": "map",
}
#: Families of types; what is none of these belongs to none, which is no error: no condition on types holds for it.
FAMILIES = tuple(_FAMILY_OF)
_FAMILY = {name: family for family, names in _FAMILY_OF.items() for name in names.split()}
#: Families whose values hold further values.
CONTAINERS = frozenset({"struct", "array", "map"})

_NAME = re.compile(r"\s*([a-z][a-z_]*)")
_DEEPEST = 32
_MOST_FIELDS = 10_000


class NestedField(NamedTuple):
    """A field inside a column: ``path`` from the column on (``address.city``), and the family of its type."""

    path: str
    family: str


def type_family(type_name: str) -> str:
    """The family of a column type of Glue, Athena, BigQuery or a common database (``decimal(10,2)`` -> decimal,
    ``string[]`` -> array), or ``""`` for a type that is not known."""
    return _family(type_name)


@lru_cache(maxsize=4096)
def _family(type_name: str) -> str:
    lowered = type_name.strip().lower()
    if lowered.endswith("]"):  # also of a fixed length: integer[3]
        return "array"
    found = _NAME.match(lowered)
    return _FAMILY.get(found.group(1).replace("_", ""), "") if found else ""


@lru_cache(maxsize=4096)
def nested_fields(type_name: str) -> tuple[NestedField, ...]:
    """The fields inside a struct, an array or map of structs, as Glue (``struct<a:int>``), BigQuery
    (``STRUCT<a INT64>``) and Trino (``row(a integer)``) write them; () if there are none, or the type cannot be read.

    A map counts as a field of its own beside those of its values, since its keys are data too; the column's own path
    is ""."""
    if _family(type_name) not in CONTAINERS:
        return ()
    try:
        fields = _Reader(type_name).read()
    except (ValueError, IndexError):
        return ()
    return tuple(fields) if any(field.path for field in fields) else ()


class _Reader:
    """Reads one type."""

    def __init__(self, text: str) -> None:
        self._tokens = re.findall(r"[<>(),:]|\"[^\"]+\"|`[^`]+`|[^\s<>(),:\"`]+", text)
        self._next = 0
        self._fields: list[NestedField] = []

    def read(self) -> list[NestedField]:
        self._type("", 0)
        if self._next != len(self._tokens):
            raise ValueError("something follows the type")
        return self._fields

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1]

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _type(self, path: str, depth: int) -> None:
        if depth > _DEEPEST or len(self._fields) > _MOST_FIELDS:
            raise ValueError("too deep, or too much")
        name = self._take()
        family = type_family(name)
        opened = self._peek()
        if name.lower() in ("struct", "row", "record") and opened in ("<", "("):
            self._take()
            while True:
                field = self._take().strip('"`')
                if self._peek() == ":":
                    self._take()
                self._type(f"{path}.{field}" if path else field, depth + 1)
                if self._take() != ",":
                    self._skip()
                    return
        if name.lower() in ("array", "list", "map") and opened in ("<", "("):
            self._take()
            before = len(self._fields)
            if name.lower() == "map":
                self._fields.append(NestedField(path, family))
                self._skip()
                if self._take() != ",":
                    raise ValueError("a map without values")
            inner = self._peek().lower()
            if inner in ("struct", "row", "record", "array", "list", "map"):
                self._type(path, depth + 1)
                if len(self._fields) == before:
                    self._fields.append(NestedField(path, family))
            else:
                self._skip()
                if len(self._fields) == before:
                    self._fields.append(NestedField(path, family))
            self._take()
            self._skip()
            return
        self._skip()
        several = self._tokens[self._next - 1].endswith("]")
        self._fields.append(NestedField(path, "array" if several else family))

    def _skip(self) -> None:
        """Over the rest of a type (``decimal(10,2)``, ``double precision``, ``row(a int)[]``), up to what ends it."""
        depth = 0
        while self._peek():
            token = self._peek()
            if depth == 0 and token in (",", ">", ")"):
                return
            depth += token in ("<", "(")
            depth -= token in (">", ")")
            self._take()
