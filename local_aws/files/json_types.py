"""The types of JSON values: of each its shape, and of shapes Arrow types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from local_aws.files.hive_types import merge_fields, widen


def records(text: str, whole: bool, between: str = r"\s*") -> Iterator[Any]:
    """The values in a text of JSON values.

    Yields a last None, which is no record, where the text is not JSON.
    """
    decoder = json.JSONDecoder()
    gap = re.compile(between)
    position = gap.match(text).end()  # type: ignore[union-attr]
    while position < len(text):
        try:
            record, position = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError):
            if whole:
                yield None
            return
        yield record
        position = gap.match(text, position).end()  # type: ignore[union-attr]


def type_of_started_array(text: str) -> pa.DataType:
    """The type of an array of which only the start is known."""
    items = records(text.lstrip()[1:], whole=False, between=r"[\s,]*")
    return type_of_shape((list, tuple({shape_of(item): None for item in items})))


DEEPEST = 50
"""Levels of nesting that become structs and arrays."""

Shape = Any
"""The type of a JSON value, hashable: a Python type; (list, shapes of items); (dict, (key, shape) pairs).

A file has many records and few shapes: Arrow types are made of the shapes alone.
"""


def shape_of(value: Any, depth: int = 0) -> Shape:
    """The shape of a value; what is nested deeper than DEEPEST is taken for a string."""
    if depth >= DEEPEST and isinstance(value, dict | list):
        return str
    if isinstance(value, dict):
        return dict, tuple([(key, shape_of(item, depth + 1)) for key, item in value.items()])
    if isinstance(value, list):
        return list, tuple({shape_of(item, depth + 1): None for item in value})
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        return "bigint" if -(2**63) <= value < 2**63 else str
    return type(value)


def members(shapes: dict[Shape, None]) -> Iterator[tuple[str, Shape]]:
    """Key and shape of each different member of objects of these shapes."""
    yield from dict.fromkeys(pair for _, pairs in shapes for pair in pairs)


JSON_TYPES: dict[Shape, pa.DataType] = {
    type(None): pa.null(),
    bool: pa.bool_(),
    int: pa.int32(),
    "bigint": pa.int64(),
    float: pa.float64(),
    str: pa.string(),
}


def json_type(value: Any) -> pa.DataType:
    """The type of a JSON value: boolean, int, bigint, double, string, struct or array.

    Null, and {} or [], say nothing.
    """
    return type_of_shape(shape_of(value))


def type_of_shape(shape: Shape) -> pa.DataType:
    if not isinstance(shape, tuple):
        return JSON_TYPES[shape]
    form, parts = shape
    kind: pa.DataType = pa.null()
    if form is list:
        for item in parts:
            kind = widen(kind, type_of_shape(item))
        return pa.list_(kind)
    fields = merge_fields([[pa.field(key.lower(), type_of_shape(item))] for key, item in parts])
    return pa.struct(fields) if fields else pa.null()
