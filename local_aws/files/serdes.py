"""Reading files as a table of the Data Catalog describes them: what Athena does with a StorageDescriptor.

CSV is matched by position, JSON, Parquet and Avro by name without regard to case; a column that a file lacks
is NULL. Sources: Amazon Athena user guide, "SerDe reference" and "Handle schema updates".
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from local_aws.conform import converter, scalar_of_text
from local_aws.files.formats import csv_rows
from local_aws.files.hive_types import simplify
from local_aws.files.packing import Unreadable, packing_by_name, unpack

OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
LAZY_SIMPLE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
JSON_OPENX = "org.openx.data.jsonserde.JsonSerDe"
JSON_HIVE = "org.apache.hive.hcatalog.data.JsonSerDe"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
AVRO = "org.apache.hadoop.hive.serde2.avro.AvroSerDe"

LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half a character. One without its other half is read as `?`, as Java encodes it."""


class BadData(ValueError):
    """Data that does not fit its column or format. `code` is Athena's name for the error."""

    def __init__(self, message: str, code: str = "HIVE_BAD_DATA") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Serde:
    """How the files of a table (or of one of its partitions) are to be read."""

    library: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Of the SerDe, then of the table: the later one counts."""

    def get(self, name: str, default: str = "") -> str:
        return dict(self.parameters).get(name, default)

    @property
    def skipped_lines(self) -> int:
        return int(self.get("skip.header.line.count", "0") or 0)

    @property
    def null_for_invalid(self) -> bool:
        """Whether what cannot be parsed is NULL instead of an error (`use.null.for.invalid.data`)."""
        return self.get("use.null.for.invalid.data").lower() == "true"


def read(body: bytes, serde: Serde, names: Sequence[str], wanted: pa.Schema, path: str) -> pa.Table:
    """The wanted columns of one file's rows; only they are parsed, as Athena does.

    `names` are all columns of the table's StorageDescriptor in its order; `path` is named in errors. Raises BadData;
    NotImplementedError for a SerDe that is not built.
    """
    reader = READERS.get(serde.library)
    if reader is None:
        raise NotImplementedError(f"the SerDe {serde.library or '(none)'} (local_aws/files/serdes.py)")
    try:
        return reader(body, serde, names, wanted, path)
    except Unreadable as error:
        raise BadData(f"{error} ({path})", "HIVE_CURSOR_ERROR") from error


# -- CSV -----------------------------------------------------------------------------------------


def _read_open_csv(body: bytes, serde: Serde, names: Sequence[str], wanted: pa.Schema, path: str) -> pa.Table:
    """OpenCSVSerDe: quoted values, every column by position.

    Two choices differ from AWS on the mild side: a quoted value may hold line breaks (the guide says the
    SerDe does not support them), and an empty value in a column that is not a string is NULL (the guide says
    such a value stays a string, which Athena then reports as HIVE_BAD_DATA). What is not empty and no number
    is HIVE_BAD_DATA.
    """
    text = _decode(body, path)
    rows = list(csv_rows(text, serde.get("separatorChar", ",") or ",", serde.get("quoteChar", '"') or '"'))
    return _from_text_rows(rows[serde.skipped_lines :], names, wanted, _open_csv_column, serde, path)


def _read_lazy_simple(body: bytes, serde: Serde, names: Sequence[str], wanted: pa.Schema, path: str) -> pa.Table:
    """LazySimpleSerDe: one row a line, quotes are data, `\\N` is NULL, and so is what does not parse."""
    delimiter = serde.get("field.delim") or serde.get("serialization.format") or "\x01"
    if serde.get("escape.delim"):
        raise NotImplementedError("LazySimpleSerDe with escape.delim (local_aws/files/serdes.py)")
    lines = re.split(r"\r\n|\r|\n", _decode(body, path))[serde.skipped_lines :]
    if lines and not lines[-1]:
        lines.pop()
    null = serde.get("serialization.null.format", "\\N")
    rows = [[None if cell == null else cell for cell in line.split(delimiter)] for line in lines]
    return _from_text_rows(rows, names, wanted, _lazy_simple_column, serde, path)


def _decode(body: bytes, path: str) -> str:
    """The text of a file. It is packed as its name says: without an extension that says so it is taken as it is."""
    try:
        return (unpack(body, packing_by_name(path)) or b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(f"not UTF-8 at byte {error.start} ({path})") from error


def _from_text_rows(
    rows: Sequence[Sequence[str | None]],
    names: Sequence[str],
    wanted: pa.Schema,
    make: Callable[[list[str | None], pa.Field, Serde, str], pa.Array],
    serde: Serde,
    path: str,
) -> pa.Table:
    """A table out of rows of text; a row may be shorter than the table (NULL) or longer (cut)."""
    arrays = []
    for field in wanted:
        position = names.index(field.name)
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            raise NotImplementedError(f"a CSV column of type {field.type} (local_aws/files/serdes.py)")
        values = [row[position] if position < len(row) else None for row in rows]
        arrays.append(make(values, field, serde, path))
    return pa.Table.from_arrays(arrays, schema=wanted) if arrays else rows_without_columns(len(rows))


def _open_csv_column(values: list[str | None], field: pa.Field, serde: Serde, path: str) -> pa.Array:
    if field.type == pa.string():
        return pa.array(values, pa.string())
    wanted = [value.strip() or None if value is not None else None for value in values]
    if field.type == pa.date32() or pa.types.is_timestamp(field.type):
        # This SerDe reads dates as days and timestamps as milliseconds since 1970.
        numbers = _parse(wanted, pa.int64(), field.name, serde.null_for_invalid, path)
        unit = pa.int32() if field.type == pa.date32() else pa.timestamp("ms")
        return numbers.cast(unit).cast(field.type)
    return _parse(wanted, field.type, field.name, serde.null_for_invalid, path)


def _lazy_simple_column(values: list[str | None], field: pa.Field, _serde: Serde, path: str) -> pa.Array:
    if field.type == pa.string():
        return pa.array(values, pa.string())
    wanted = [value.strip() or None if value is not None else None for value in values]
    return _parse(wanted, field.type, field.name, True, path)


def _parse(texts: list[str | None], kind: pa.DataType, column: str, null_if_bad: bool, path: str) -> pa.Array:
    """Texts as values of a type: at once where all fit, else one by one."""
    try:
        return pa.array(texts, pa.string()).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = []
        for text in texts:
            try:
                values.append(None if text is None else scalar_of_text(text, kind))
            except ValueError as error:
                if not null_if_bad:
                    raise BadData(f"Error parsing a value of column {column}: {error} ({path})") from error
                values.append(None)
        return pa.array(values, kind)


# -- JSON ----------------------------------------------------------------------------------------


def _read_json(body: bytes, serde: Serde, _names: Sequence[str], columns: pa.Schema, path: str) -> pa.Table:
    """One JSON object a line; names match without regard to case, `mapping.<column>` renames.

    A line that is no object is an error, as in Athena, unless `ignore.malformed.json` is true: then its
    columns are NULL. Blank lines are left out.
    """
    lenient = serde.get("ignore.malformed.json").lower() == "true"
    keys = [serde.get(f"mapping.{field.name}", field.name).lower() for field in columns]
    converters = [converter(field.type) for field in columns]
    values: list[list[Any]] = [[] for _ in columns]
    count = 0
    for number, line in enumerate(_decode(body, path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            record = None
        if LONE_SURROGATE.search(line):
            record = json.loads(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))
        if not isinstance(record, dict):
            if not lenient:
                what = f"Row is not a valid JSON Object: line {number} of {path}"
                raise BadData(what, "HIVE_CURSOR_ERROR")
            record = {}
        lowered = {key.lower(): value for key, value in record.items()}
        for position, field in enumerate(columns):
            try:
                values[position].append(converters[position](lowered.get(keys[position])))
            except ValueError as error:
                what = f"Error parsing field '{field.name}' in line {number} of {path}: {error}"
                raise BadData(what) from error
        count += 1
    if not values:
        return rows_without_columns(count)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(values, columns, strict=True)], schema=columns
    )


# -- Parquet and Avro ----------------------------------------------------------------------------


def _read_parquet(body: bytes, _serde: Serde, _names: Sequence[str], columns: pa.Schema, path: str) -> pa.Table:
    """By name. A column whose type in the file does not widen to the table's is an error, as in Athena."""
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        names = {name.lower(): name for name in reversed(file.schema_arrow.names)}
        stored = file.read(columns=[names[field.name] for field in columns if field.name in names])
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"not a valid Parquet file: {error}") from error
    if not columns.names:
        return rows_without_columns(file.metadata.num_rows)
    arrays = []
    for field in columns:
        if field.name not in names:
            arrays.append(pa.nulls(stored.num_rows or file.metadata.num_rows, field.type))
            continue
        arrays.append(_fitted(stored.column(names[field.name]), field, path))
    return pa.Table.from_arrays(arrays, schema=columns)


def _fitted(data: pa.ChunkedArray, field: pa.Field, path: str) -> pa.ChunkedArray | pa.Array:
    """A column of a Parquet file as the table's type, if Athena would read it so."""
    stored, wanted = data.type, field.type
    if pa.types.is_timestamp(stored) and pa.types.is_timestamp(wanted):
        # Hive's timestamps have milliseconds; a zone is dropped after turning to UTC.
        return pc.floor_temporal(data.cast(pa.timestamp("us", stored.tz), safe=False), unit="millisecond").cast(wanted)
    same = simplify(stored) == wanted
    integers = pa.types.is_integer(stored) and pa.types.is_integer(wanted) and stored.bit_width <= wanted.bit_width
    widened = integers or (stored == pa.float32() and wanted == pa.float64())
    text = pa.types.is_binary(stored) and wanted == pa.string()
    if same or widened or text or (pa.types.is_decimal(stored) and pa.types.is_decimal(wanted)):
        return data.cast(wanted)
    if pa.types.is_nested(stored) and pa.types.is_nested(wanted):
        try:
            return pa.array([converter(wanted)(value) for value in data.to_pylist()], wanted)
        except ValueError as error:
            raise BadData(f"Field {field.name} of {path}: {error}") from error
    what = f"Malformed Parquet file. Field {field.name}'s type {stored} in parquet file {path} is incompatible"
    raise BadData(f"{what} with type {wanted} defined in table schema")


def _read_avro(body: bytes, _serde: Serde, _names: Sequence[str], columns: pa.Schema, path: str) -> pa.Table:
    """By name, as the file's own schema has it."""
    try:
        records = list(fastavro.reader(io.BytesIO(body)))
    except (ValueError, EOFError, KeyError, IndexError) as error:
        raise Unreadable(f"not a valid Avro file: {error}") from error
    lowered = [{key.lower(): value for key, value in record.items()} for record in records]
    if not columns.names:
        return rows_without_columns(len(lowered))
    arrays = []
    for field in columns:
        try:
            convert = converter(field.type)
            values = [_as_stored(record.get(field.name), field.type) for record in lowered]
            arrays.append(pa.array([convert(value) for value in values], field.type))
        except ValueError as error:
            raise BadData(f"Error parsing field '{field.name}' of {path}: {error}") from error
    return pa.Table.from_arrays(arrays, schema=columns)


def _as_stored(value: Any, kind: pa.DataType) -> Any:
    """A time of day as Avro stores it (milliseconds in an int, microseconds in a long), and a UUID as its text."""
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, time):
        return value
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    microseconds = seconds * 1_000_000 + value.microsecond
    return microseconds // 1000 if kind == pa.int32() else microseconds


def rows_without_columns(count: int) -> pa.Table:
    """A table that has rows but no column: COUNT(*) over a partition key alone needs no more."""
    return pa.Table.from_arrays([pa.nulls(count)], names=[""]).select([])


READERS: dict[str, Callable[[bytes, Serde, Sequence[str], pa.Schema, str], pa.Table]] = {
    OPEN_CSV: _read_open_csv,
    LAZY_SIMPLE: _read_lazy_simple,
    JSON_OPENX: _read_json,
    JSON_HIVE: _read_json,
    PARQUET: _read_parquet,
    AVRO: _read_avro,
}
