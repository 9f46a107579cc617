"""Results of queries as Athena writes them: values as text, column information, result files.

Sources: Amazon Athena user guide, "Work with query results" (a CSV with every value in quotes, a text file
for statements that are no SELECT, and beside each a `.metadata` file that only Athena reads); API reference,
ColumnInfo. The format of the `.metadata` file is not published: here it is our own, and nothing reads it.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from local_aws.athena.athena_types import SqlError

Row = Sequence[str | None]

FIELD = re.compile(r'(?:"((?:[^"]|"")*)")?([,\n])')

PRECISIONS = {
    "tinyint": 3,
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "double": 17,
    "float": 17,
    "varchar": 2147483647,
    "varbinary": 1073741824,
    "timestamp": 3,
    "timestamp with time zone": 3,
}
"""Precision of Athena's types in ColumnInfo; 0 for others, a decimal's own for decimals."""

DUCKDB_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "bigint",
    "UBIGINT": "bigint",
    "FLOAT": "float",
    "DOUBLE": "double",
    "VARCHAR": "varchar",
    "DATE": "date",
    "BLOB": "varbinary",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "JSON": "json",
    '"NULL"': "unknown",
}


@dataclass(frozen=True)
class Column:
    """A column of a result, as ResultSetMetadata describes it."""

    name: str
    type: str = "varchar"
    precision: int | None = None
    scale: int = 0

    def described(self) -> dict[str, Any]:
        """The ColumnInfo."""
        precision = PRECISIONS.get(self.type, 0) if self.precision is None else self.precision
        return {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": self.name,
            "Label": self.name,
            "Type": self.type,
            "Precision": precision,
            "Scale": self.scale,
            "Nullable": "UNKNOWN",
            "CaseSensitive": self.type == "varchar",
        }


def text_column(name: str) -> Column:
    """A column of a statement that is no SELECT."""
    return Column(name, "string", 0)


def column_of(label: str, duckdb_type: str) -> Column:
    """A result column of a query, by DuckDB's name of its type."""
    if found := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", duckdb_type):
        return Column(label, "decimal", int(found[1]), int(found[2]))
    if duckdb_type == "INTERVAL":
        raise SqlError(
            "NOT_SUPPORTED",
            "an interval as a result is not built in the local AWS (local_aws/athena/athena_results.py)",
        )
    if duckdb_type.endswith("[]"):
        return Column(label, "array")
    for prefix, name in (("STRUCT", "row"), ("MAP", "map")):
        if duckdb_type.startswith(prefix):
            return Column(label, name)
    return Column(label, DUCKDB_TYPES.get(duckdb_type, duckdb_type.lower()))


# -- values --------------------------------------------------------------------------------------


def rows_of_text(rows: Iterable[Sequence[Any]], columns: Sequence[Column]) -> list[Row]:
    """DuckDB's rows as Athena writes them."""
    writers = [WRITERS.get(column.type, value_text) for column in columns]
    return [
        [None if value is None else write(value) for write, value in zip(writers, row, strict=True)] for row in rows
    ]


def value_text(value: Any) -> str | None:
    """A value as Athena writes it: doubles as Java does, timestamps with milliseconds, nested values in brackets."""
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _whole_text(value)
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
        return f"{text} UTC" if value.tzinfo else text
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_nested(key)}={_nested(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_nested(item) for item in value) + "]"
    return str(value)


def _whole_text(value: int) -> str:
    if not -(2**63) <= value < 2**63:
        raise SqlError("NUMERIC_VALUE_OUT_OF_RANGE", f"bigint overflow: {value}")
    return str(value)


def _nested(value: Any) -> str:
    text = value_text(value)
    return "null" if text is None else text


def double_text(value: float, single: bool = False) -> str:
    """A double (or with `single` a float) in Java's notation: 1.5, 1.0E10, 1.0E-5, NaN, -Infinity."""
    if not single and 1e-3 <= abs(value) < 1e7:
        return repr(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    shortest = _shortest_single(value) if single else repr(value)
    if value == 0:
        return "-0.0" if shortest.startswith("-") else "0.0"
    sign, digits, exponent = Decimal(shortest).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent)
    minus = "-" if sign else ""
    if -3 < point <= 7:
        whole = text[:point].ljust(point, "0") if point > 0 else "0"
        fraction = text[point:] if point > 0 else "0" * -point + text
        return f"{minus}{whole}.{fraction or '0'}"
    return f"{minus}{text[0]}.{text[1:] or '0'}E{point - 1}"


def _shortest_single(value: float) -> str:
    """The shortest decimal that is this single-precision number."""
    packed = struct.pack("<f", value)
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == packed:
            return text
    return repr(value)


WRITERS: dict[str, Callable[[Any], str | None]] = {
    "varchar": str,
    "integer": str,
    "bigint": _whole_text,
    "double": double_text,
    "float": lambda value: double_text(value, single=True),
}
"""How values of some types are written, where it need not be found out for each."""


# -- files ---------------------------------------------------------------------------------------


def csv_file(header: Row, rows: Iterable[Row]) -> str:
    """A result of a SELECT: every value in quotes, NULL an empty field."""
    return "".join(_csv_line(row) for row in (header, *rows))


def _csv_line(row: Row) -> str:
    fields = ("" if value is None else '"' + value.replace('"', '""') + '"' for value in row)
    return ",".join(fields) + "\n"


def metadata_file(columns: Sequence[Column]) -> bytes:
    """What is written beside a result about its columns."""
    return zlib.compress(json.dumps([column.described() for column in columns]).encode())


def read_csv_file(text: str, start: int = 0, most: int | None = None) -> tuple[list[list[str | None]], int]:
    """Rows of a result file, header first, from the offset `start` on, `most` at most; and where the next begins."""
    rows: list[list[str | None]] = []
    row: list[str | None] = []
    for found in FIELD.finditer(text, start):
        if len(rows) == most:
            break
        value = found[1]
        row.append(None if value is None else value.replace('""', '"'))
        if found[2] == "\n":
            rows.append(row)
            row, start = [], found.end()
    return rows, start


def text_file(rows: Iterable[Row]) -> str:
    """A result of another statement: lines without a header and without a last line end."""
    return "\n".join("\t".join(value or "" for value in row) for row in rows)


def read_text_file(text: str) -> list[list[str | None]]:
    """The rows of a text result: a line is one value, whatever columns the statement has."""
    return [[line] for line in text.split("\n")] if text else []
