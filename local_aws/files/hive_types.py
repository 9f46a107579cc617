"""Types of columns: Hive's names for them, as the Data Catalog writes them, and Arrow's, in which data is
held.

A type is inferred, merged and read as an Arrow type; `hive_type` and `arrow_type` go between the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import pyarrow as pa

PRIMITIVES = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}

UNSIGNED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}
"""Hive has no unsigned types: each becomes the smallest signed one that holds it."""

NUMBERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64())
"""In the order in which one widens to the next."""

TOKEN = re.compile(r"\s*([<>(),:]|[^<>(),:\s]+)")


class UnknownType(ValueError):
    """A Hive type that this module does not know (uniontype, interval)."""


def hive_type(kind: pa.DataType) -> str:
    """The Hive name of an Arrow type.

    Columns of which nothing but nulls was seen are strings; types that Hive lacks take the nearest that holds
    them (time of day, duration: its number, as Parquet and Avro store it).
    """
    kind = simplify(kind)
    if pa.types.is_struct(kind):
        return "struct<" + ",".join(f"{field.name}:{hive_type(field.type)}" for field in kind) + ">"
    if pa.types.is_map(kind):
        return f"map<{hive_type(kind.key_type)},{hive_type(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_null(kind):
        return "string"
    for name, primitive in PRIMITIVES.items():
        if primitive == kind:
            return name
    raise UnknownType(f"no Hive type for {kind}")


def simplify(kind: pa.DataType) -> pa.DataType:
    """The Arrow type that values of `kind` are read as: one per Hive type, names of fields in lower case."""
    if kind in UNSIGNED:
        return UNSIGNED[kind]
    if pa.types.is_dictionary(kind):
        return simplify(kind.value_type)
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        return pa.date32() if pa.types.is_date64(kind) else pa.timestamp("us")
    if pa.types.is_time(kind):
        return pa.int32() if pa.types.is_time32(kind) else pa.int64()
    if pa.types.is_duration(kind):
        return pa.int64()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_map(kind):
        return pa.map_(simplify(kind.key_type), simplify(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(simplify(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name.lower(), simplify(field.type)) for field in kind])
    return kind


@cache
def arrow_type(hive: str) -> pa.DataType:
    """The Arrow type of a Hive type's name, such as `array<struct<a:int,b:decimal(10,2)>>`.

    Raises UnknownType.
    """
    tokens = TOKEN.findall(hive.strip())
    try:
        kind, rest = _parse(tokens, hive)
    except (IndexError, ValueError) as error:
        if isinstance(error, UnknownType):
            raise
        raise UnknownType(f"cannot read the type {hive!r}") from error
    if rest:
        raise UnknownType(f"cannot read the type {hive!r} from {''.join(rest)!r} on")
    return kind


def _parse(tokens: list[str], hive: str) -> tuple[pa.DataType, list[str]]:
    if not tokens:
        raise UnknownType(f"the type {hive!r} ends too early")
    head, rest = tokens[0].lower(), tokens[1:]
    if head in PRIMITIVES:
        return PRIMITIVES[head], rest
    if head == "decimal":
        if rest[:1] != ["("]:
            return pa.decimal128(10, 0), rest
        end = rest.index(")")
        return pa.decimal128(*(int(part) for part in "".join(rest[1:end]).split(","))), rest[end + 1 :]
    if head in ("varchar", "char"):
        return pa.string(), rest[rest.index(")") + 1 :] if rest[:1] == ["("] else rest
    if head == "array" and rest[:1] == ["<"]:
        item, rest = _parse(rest[1:], hive)
        return pa.list_(item), _closed(rest, hive)
    if head == "map" and rest[:1] == ["<"]:
        key, rest = _parse(rest[1:], hive)
        value, rest = _parse(rest[1:], hive)
        return pa.map_(key, value), _closed(rest, hive)
    if head == "struct" and rest[:1] == ["<"]:
        fields = []
        while rest[0] != ">":
            name = rest[1].lower()
            kind, rest = _parse(rest[3:], hive)
            fields.append(pa.field(name, kind))
        return pa.struct(fields), _closed(rest, hive)
    raise UnknownType(f"the type {hive!r} is not known here ({head})")


def _closed(tokens: list[str], hive: str) -> list[str]:
    if tokens[:1] != [">"]:
        raise UnknownType(f"the type {hive!r} lacks a >")
    return tokens[1:]


def widen(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The type that holds values of both.

    Numbers widen to the larger number, structs field by field, arrays by their items; types that have nothing
    in common become string. AWS does not document how its crawlers settle conflicts; string loses nothing.
    """
    first, second = simplify(first), simplify(second)
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if first in NUMBERS and second in NUMBERS:
        wider = max(first, second, key=NUMBERS.index)
        return pa.float64() if pa.types.is_floating(wider) else wider
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        return pa.struct(merge_fields([list(first), list(second)]))
    if pa.types.is_list(first) and pa.types.is_list(second):
        return pa.list_(widen(first.value_type, second.value_type))
    if pa.types.is_map(first) and pa.types.is_map(second):
        return pa.map_(widen(first.key_type, second.key_type), widen(first.item_type, second.item_type))
    if pa.types.is_decimal(first) and pa.types.is_decimal(second):
        scale = max(first.scale, second.scale)
        whole = max(first.precision - first.scale, second.precision - second.scale)
        return pa.decimal128(whole + scale, scale) if whole + scale <= 38 else pa.string()
    return pa.string()


def merge_fields(schemas: Iterable[Iterable[pa.Field]]) -> list[pa.Field]:
    """One list of fields out of several: by name, as first seen, each of the type that holds all."""
    merged: dict[str, pa.DataType] = {}
    for fields in schemas:
        for field in fields:
            seen = merged.get(field.name)
            merged[field.name] = simplify(field.type) if seen is None else widen(seen, field.type)
    return [pa.field(name, kind) for name, kind in merged.items()]
