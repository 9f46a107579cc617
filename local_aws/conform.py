"""Values of JSON and Avro (Python objects) and of text, as values of a column's type."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import pyarrow as pa

EPOCH = datetime(1970, 1, 1)

Converter = Callable[[Any], Any]


@cache
def converter(kind: pa.DataType) -> Converter:
    """The function that makes a value of a type out of what JSON or Avro gave; None stays None.

    It raises ValueError for what is none, and does not repeat the value: it is data. A string in a column of another
    type is parsed, and anything in a string column becomes JSON text, as the JSON SerDe does.
    """
    convert = _strict_converter(kind)
    return lambda value: None if value is None else convert(value)


def _strict_converter(kind: pa.DataType) -> Converter:
    if kind == pa.string():
        return _text
    if pa.types.is_struct(kind):
        return _struct_converter(kind)
    if pa.types.is_map(kind):
        return _map_converter(kind)
    if pa.types.is_list(kind):
        return _list_converter(kind)
    if pa.types.is_boolean(kind):
        return _scalar_converter(kind, lambda value: isinstance(value, bool), lambda value: value)
    if pa.types.is_integer(kind):
        limit = 2 ** (kind.bit_width - 1)
        return _scalar_converter(kind, lambda value: _is_whole(value) and -limit <= value < limit, int)
    if pa.types.is_floating(kind):
        return _scalar_converter(kind, _is_number, float)
    if pa.types.is_decimal(kind):
        is_decimal = lambda value: _is_number(value) or isinstance(value, Decimal)  # noqa: E731
        return _scalar_converter(kind, is_decimal, lambda value: scalar_of_text(str(value), kind))
    if pa.types.is_date(kind):
        return _scalar_converter(kind, lambda value: type(value) is date, lambda value: value)
    if pa.types.is_timestamp(kind):
        return _scalar_converter(kind, lambda value: isinstance(value, datetime) or _is_whole(value), _moment)
    if pa.types.is_binary(kind):
        return _scalar_converter(kind, lambda value: isinstance(value, bytes), lambda value: value)
    raise ValueError(f"no values of type {kind} can be read")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _moment(value: Any) -> datetime:
    """A timestamp: a number is milliseconds since 1970; a zone is dropped after turning to UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return EPOCH + timedelta(milliseconds=value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))


def _scalar_converter(kind: pa.DataType, fits: Callable[[Any], bool], convert: Converter) -> Converter:
    def strict(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode() if pa.types.is_binary(kind) else scalar_of_text(value, kind)
        if not fits(value):
            raise ValueError(f"it is no {kind}")
        return convert(value)

    return strict


def _struct_converter(kind: pa.DataType) -> Converter:
    fields = [(field.name, converter(field.type)) for field in kind]

    def strict(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        lowered = {key.lower(): item for key, item in value.items()}
        return {name: convert(lowered.get(name)) for name, convert in fields}

    return strict


def _map_converter(kind: pa.DataType) -> Converter:
    key_of, item_of = converter(kind.key_type), converter(kind.item_type)

    def strict(value: Any) -> list[tuple]:
        if not isinstance(value, dict | list):
            raise ValueError("it is no object")
        pairs = value.items() if isinstance(value, dict) else value
        return [(key_of(key), item_of(item)) for key, item in pairs]

    return strict


def _list_converter(kind: pa.DataType) -> Converter:
    convert = converter(kind.value_type)

    def strict(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("it is no array")
        return [convert(item) for item in value]

    return strict


def scalar_of_text(text: str, kind: pa.DataType) -> Any:
    """One value of a primitive type out of text. Raises ValueError without repeating the value: it is data."""
    try:
        if pa.types.is_boolean(kind):
            return {"true": True, "false": False}[text.lower()]
        if pa.types.is_integer(kind):
            return pa.scalar(int(text), kind).as_py()
        if pa.types.is_floating(kind):
            return float(text)
        if pa.types.is_decimal(kind):
            return Decimal(text).quantize(Decimal(1).scaleb(-kind.scale))
        if pa.types.is_date(kind):
            return date.fromisoformat(text)
        if pa.types.is_timestamp(kind):
            return datetime.fromisoformat(text)
    except (ValueError, KeyError, InvalidOperation, OverflowError, pa.ArrowInvalid):
        raise ValueError(f"it is no {kind}") from None
    return text
