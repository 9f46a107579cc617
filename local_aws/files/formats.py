"""What is in a file: its format and schema, as the classifiers of AWS Glue find them.

Custom CSV classifiers are tried first, then the built-in ones: Avro, ORC, Parquet, JSON, BSON, XML, Ion, logs, CSV;
what none recognises is UNKNOWN. ORC, BSON, XML, Ion and logs are recognised and refused.
Sources: AWS Glue developer guide, "Defining and managing classifiers" and "Writing custom classifiers". Where
the guide is silent the choice made here is stated at the function that makes it. Pure: bytes in, values out.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from local_aws.files.hive_types import merge_fields, simplify, widen
from local_aws.files.json_types import (
    Shape,
    json_type,
    members,
    records,
    shape_of,
    type_of_shape,
    type_of_started_array,
)
from local_aws.files.packing import NONE, Unreadable, packing_of, unpack

csv.field_size_limit(sys.maxsize)

SAMPLE_BYTES = 2 * 1024 * 1024
"""How much of a text file, unpacked, is looked at."""

SNIFFED = 64 * 1024
"""How many characters of a CSV file are looked at to find its delimiter."""

DELIMITERS = ",|\t;\x01"
UNKNOWN = "UNKNOWN"
INTEGER = re.compile(r"[+-]?\d{1,19}")
DOUBLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
COLUMN_NAME = re.compile(r"[\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF\t]*")
"""The pattern of column names in Glue's API."""

XML = re.compile(r"\s*<(\?xml|[A-Za-z_][\w.:-]*[\s/>])")
LOGS = {
    "Apache": re.compile(r'\S+ \S+ \S+ \[[^\]]+\] "[^"]*" \d{3} (\d+|-)'),
    "Linux kernel": re.compile(r"(\w{3} +\d+ [\d:]+ \S+ )?kernel: *\[ *\d+\.\d+\]"),
    "Microsoft": re.compile(r"#Software: Microsoft"),
    "Ruby": re.compile(r"[DIWEFA], \[\d{4}-\d\d-\d\dT[\d:.]+ #\d+\]"),
    "Squid": re.compile(r"\d{9,10}\.\d{3} +\d+ \S+ \S+/\d{3} \d+ "),
    "Redis": re.compile(r'\d+:[XCSM] \d+ \w{3} [\d: .]+ [.*#-] |\d+\.\d+ \[\d+ [^\]]+\] "'),
}
"""How the first line of a log looks that a built-in classifier would recognise."""


class NotBuilt(ValueError):
    """A format that AWS Glue would classify and this local AWS does not read."""


@dataclass(frozen=True)
class CsvClassifier:
    """A custom classifier, as CreateClassifier takes it."""

    name: str
    delimiter: str | None = None
    quote: str | None = None
    contains_header: str = UNKNOWN
    header: tuple[str, ...] = ()
    disable_value_trimming: bool = True
    allow_single_column: bool = False
    serde: str = "None"


@dataclass(frozen=True)
class CsvShape:
    """How a CSV file is written, and which SerDe its table is to use."""

    delimiter: str
    quote: str
    header: bool
    serde: str
    """`OpenCSVSerDe` or `LazySimpleSerDe`."""
    quoted: bool
    """Whether any value is quoted."""


@dataclass(frozen=True)
class FileFormat:
    """What a classifier found in one file."""

    classification: str
    """`csv`, `json`, `parquet`, `avro`, or UNKNOWN."""
    compression: str
    """`gzip`, `bzip2`, `zip`, `lz4`, `snappy` or `none`."""
    fields: tuple[pa.Field, ...] = ()
    rows: int = 0
    """Records in the file; for a text file longer than the sample, estimated."""
    csv: CsvShape | None = None
    json_keys: tuple[str, ...] = ()
    """The top-level keys of JSON records as they are written, for the SerDe's `paths`."""
    avro_schema: str | None = None

    @property
    def compatible_with(self) -> tuple:
        """Files of one table agree in this: format, packing and, for CSV, how it is written."""
        shape = (self.csv.delimiter, self.csv.quote, self.csv.serde, self.csv.header) if self.csv else ()
        return (self.classification, self.compression, *shape)


def classify(body: bytes, classifiers: Sequence[CsvClassifier] = ()) -> FileFormat:
    """The format and schema of a whole file. An empty one is UNKNOWN, and so is a ZIP archive of several files.

    Raises NotBuilt for what AWS would classify and this module does not, Unreadable for a broken file.
    """
    if body[:4] == b"Obj\x01":
        return _classify_avro(body)
    if body[:4] == b"PAR1":
        return _classify_parquet(body)
    compression = packing_of(body)
    if (name := _other_binary(body)) is not None:
        raise not_read(name)
    text, whole = _sample(body, compression)
    if text is None or not text.strip():
        return FileFormat(UNKNOWN, compression)
    found = _classify_text(text, whole, classifiers)
    if found is None:
        return FileFormat(UNKNOWN, compression)
    rows = found.rows if whole else round(found.rows * len(unpack(body, compression) or b"") / len(text.encode()))
    return replace(found, compression=compression, rows=rows)


def not_read(name: str) -> NotBuilt:
    return NotBuilt(f"{name}: the local AWS reads CSV, JSON, Parquet and Avro (local_aws/files/formats.py)")


def _other_binary(body: bytes) -> str | None:
    """The binary format that a file begins as, if it is one that AWS recognises and we do not read."""
    if body[:3] == b"ORC":
        return "an ORC file"
    if body[:4] == b"\xe0\x01\x00\xea":
        return "an Ion file"
    size = int.from_bytes(body[:4], "little")
    if 5 <= size <= len(body) and body[size - 1] == 0 and body[4] <= 0x13:
        return "a BSON file"
    return None


def _classify_text(text: str, whole: bool, classifiers: Sequence[CsvClassifier]) -> FileFormat | None:
    """The first classifier that is certain.

    A custom CSV classifier is not offered a file that is JSON throughout: rows such as `{"a": 1, "b": 2}` do
    parse as CSV, and AWS does not say what becomes of them; taking them for CSV would be of use to nobody.
    """
    found_json = _classify_json(text, whole)
    if found_json is not None:
        return found_json
    for classifier in classifiers:
        if found := _classify_custom_csv(text, whole, classifier):
            return found
    if XML.match(text):
        raise not_read("an XML file")
    for name, first_line in LOGS.items():
        if first_line.match(text):
            raise not_read(f"a log ({name})")
    return _classify_built_in_csv(text, whole)


# -- bytes and text --------------------------------------------------------------------------------


def _sample(body: bytes, packing: str) -> tuple[str | None, bool]:
    """The first SAMPLE_BYTES of text and whether that is all; None if it is not UTF-8 text.

    A byte order mark is dropped. Other encodings, UTF-16 among them, are not classified: Glue reads UTF-8
    only.
    """
    content = unpack(body, packing, SAMPLE_BYTES + 1)
    if content is None:
        return None, True
    whole = len(content) <= SAMPLE_BYTES
    content = content[:SAMPLE_BYTES]
    if not whole:
        cut = next((back for back in range(1, 5) if content[-back] & 0xC0 != 0x80), 1)
        content = content[:-cut]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None, whole
    return (None if "\0" in text else text), whole


# -- CSV -------------------------------------------------------------------------------------------


def csv_rows(text: str, delimiter: str, quote: str) -> Iterator[list[str]]:
    """The rows of CSV text.

    A quoted value may hold delimiters, doubled quotes and line breaks; blank rows are left out.

    A backslash escapes, as OpenCSVSerDe reads it by default.
    """
    escape = "\\" if "\\" in text else None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, escapechar=escape)
    try:
        for row in reader:
            if row:
                yield row
    except csv.Error as error:
        raise Unreadable(f"not CSV: {error}") from error


def _sampled_rows(text: str, whole: bool, delimiter: str, quote: str) -> list[list[str]]:
    rows = list(csv_rows(text, delimiter, quote))
    return rows if whole else rows[:-1]


def value_type(text: str) -> pa.DataType:
    """The type of one value of a CSV file: bigint, double or string; of an empty one, none.

    Digits that no bigint holds are a string: an identifier, most likely, which a double would damage.
    """
    if not text:
        return pa.null()
    if INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return pa.int64()
    digits_only = text.lstrip("+-").isdigit()
    if DOUBLE.fullmatch(text) and not digits_only and math.isfinite(float(text)):
        return pa.float64()
    return pa.string()


def _column_types(rows: Sequence[Sequence[str]], width: int, trim: bool) -> list[pa.DataType]:
    """The type of each column. Rows may be ragged: a value that is not there says nothing."""
    types = []
    for column in range(width):
        kind: pa.DataType = pa.null()
        for value in {row[column] for row in rows if column < len(row)}:
            kind = widen(kind, value_type(value.strip() if trim else value))
            if kind == pa.string():
                break
        types.append(pa.string() if pa.types.is_null(kind) else kind)
    return types


def _looks_like_header(first: Sequence[str], types: Sequence[pa.DataType]) -> bool:
    """The built-in classifier's rule.

    Every cell of a header is a string, shorter than 150 characters (the last may be empty), legal as a column
    name; and some column of the data is not a string, else the first row does not differ from the rest.
    """
    cells = [cell.strip() for cell in first]
    body = cells if cells[-1] else cells[:-1]
    return (
        bool(body)
        and all(value_type(cell) == pa.string() for cell in body)
        and all(len(cell) < 150 for cell in cells[:-1])
        and all(COLUMN_NAME.fullmatch(cell) for cell in cells)
        and any(kind != pa.string() for kind in types)
    )


def column_names(header: Sequence[str], width: int) -> list[str]:
    """Names of columns: lower case, without outer blanks; `col1`, `col2`... where the header has none.

    A name that comes twice gets a number: Athena refuses a table with two columns of one name, and AWS does
    not say what its crawlers do.
    """
    names: list[str] = []
    for position in range(width):
        cell = header[position].strip().lower() if position < len(header) else ""
        name = cell or f"col{position + 1}"
        number = 1
        unique = name
        while unique in names:
            number += 1
            unique = f"{name}_{number}"
        names.append(unique)
    return names


def _csv_format(
    rows: list[list[str]], shape: CsvShape, header: Sequence[str], width: int, trim: bool = True
) -> FileFormat:
    data = rows[1:] if shape.header else rows
    kinds = _column_types(data, width, trim)
    names = column_names(header, width)
    fields = tuple(pa.field(name, kind) for name, kind in zip(names, kinds, strict=True))
    return FileFormat("csv", NONE, fields, len(data), shape)


def _classify_custom_csv(text: str, whole: bool, classifier: CsvClassifier) -> FileFormat | None:
    """What a custom classifier makes of a file, or None if it does not fit.

    It fits if its delimiter parts the first row in two or more columns (or one, where that is allowed) and
    there is a row of data: a file of nothing but a header is UNKNOWN. Without a delimiter it is found as the
    built-in classifier does. Columns are those of the header, else of the classifier's own list, else of the
    widest row. With the SerDe `None` the table gets OpenCSVSerDe if a quote symbol is set or a value is
    quoted.
    """
    quote = classifier.quote or '"'
    delimiter = classifier.delimiter or _find_delimiter(text, quote)
    if delimiter is None:
        return None
    rows = _sampled_rows(text, whole, delimiter, quote)
    if not rows:
        return None
    trim = not classifier.disable_value_trimming
    width = max(len(row) for row in rows)
    header = classifier.contains_header == "PRESENT"
    if classifier.contains_header == UNKNOWN:
        header = _looks_like_header(rows[0], _column_types(rows[1:], width, trim))
    names = list(classifier.header) or (rows[0] if header else [])
    width = len(names) or width
    if (width < 2 and not classifier.allow_single_column) or len(rows) < (2 if header else 1):
        return None
    serde = classifier.serde
    if serde == "None":
        serde = "OpenCSVSerDe" if classifier.quote is not None or quote in text else "LazySimpleSerDe"
    return _csv_format(rows, CsvShape(delimiter, quote, header, serde, quote in text), names, width, trim)


def _classify_built_in_csv(text: str, whole: bool) -> FileFormat | None:
    """What the built-in classifier makes of a file: two columns and two rows of data at least, always
    LazySimpleSerDe.
    """
    delimiter = _find_delimiter(text, '"')
    if delimiter is None:
        return None
    rows = _sampled_rows(text, whole, delimiter, '"')
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    header = len(rows[0]) <= width and _looks_like_header(rows[0], _column_types(rows[1:], width, True))
    if len(rows) - header < 2:
        return None
    shape = CsvShape(delimiter, '"', header, "LazySimpleSerDe", '"' in text)
    return _csv_format(rows, shape, rows[0] if header else [], width)


def _find_delimiter(text: str, quote: str) -> str | None:
    """The delimiter that parts four of five rows, or more, into the same number of columns, two at least.

    Of several the one with which most rows agree, then the one that gives more columns. (AWS names the
    delimiters, not how it chooses.)
    """
    best: tuple[float, int, str] | None = None
    text, whole = text[:SNIFFED], len(text) <= SNIFFED
    for delimiter in DELIMITERS:
        if delimiter not in text or delimiter == quote:
            continue
        rows = _sampled_rows(text, whole, delimiter, quote)
        if not rows:
            continue
        width, agreeing = Counter(len(row) for row in rows).most_common(1)[0]
        share = agreeing / len(rows)
        if width >= 2 and share >= 0.8 and (best is None or (share, width) > best[:2]):
            best = (share, width, delimiter)
    return best[2] if best else None


# -- JSON ------------------------------------------------------------------------------------------


def _classify_json(text: str, whole: bool) -> FileFormat | None:
    """JSON records, one after the other, or one array.

    Of an array the built-in classifier makes one column, `array`. (Athena reads neither such a file nor
    records that are spread over several lines.)
    """
    start = text.lstrip()[:1]
    if start == "[":
        try:
            kind = json_type(json.loads(text)) if whole else type_of_started_array(text)
        except (json.JSONDecodeError, RecursionError):
            return None
        return FileFormat("json", NONE, (pa.field("array", kind),), 1)
    if start != "{":
        return None
    shapes: dict[Shape, None] = {}
    rows = 0
    for record in records(text, whole):
        if not isinstance(record, dict):
            return None
        rows += 1
        shapes[shape_of(record)] = None
    if not rows:
        return None
    fields = merge_fields([[pa.field(key.lower(), type_of_shape(each))] for key, each in members(shapes)])
    keys = tuple(sorted({key for key, _ in members(shapes)}))
    return FileFormat("json", NONE, tuple(fields), rows, json_keys=keys)


# -- Parquet and Avro ------------------------------------------------------------------------------


def _classify_parquet(body: bytes) -> FileFormat:
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"not a Parquet file: {error}") from error
    fields = tuple(pa.field(field.name.lower(), simplify(field.type)) for field in schema)
    return FileFormat("parquet", NONE, fields, file.metadata.num_rows)


def _classify_avro(body: bytes) -> FileFormat:
    try:
        reader = fastavro.block_reader(io.BytesIO(body))
        schema = reader.writer_schema
        rows = sum(block.num_records for block in reader)
    except (ValueError, EOFError, KeyError, IndexError) as error:
        raise Unreadable(f"not an Avro file: {error}") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise Unreadable("an Avro file whose schema is not a record")
    kind = avro_type(schema, {})
    fields = tuple(pa.field(field.name.lower(), field.type) for field in kind)
    literal = {key: value for key, value in schema.items() if not key.startswith("__")}
    return FileFormat("avro", NONE, fields, rows, avro_schema=json.dumps(literal))


AVRO_PRIMITIVES = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
AVRO_LOGICAL = {
    "date": pa.date32(),
    "timestamp-millis": pa.timestamp("us"),
    "timestamp-micros": pa.timestamp("us"),
    "local-timestamp-millis": pa.timestamp("us"),
    "local-timestamp-micros": pa.timestamp("us"),
}


def avro_type(schema: Any, named: dict[str, pa.DataType]) -> pa.DataType:
    """The Arrow type of an Avro schema. A union is the type that holds all its branches.

    Raises NotBuilt for a record that contains itself, which no Hive type describes.
    """
    if isinstance(schema, list):
        kind: pa.DataType = pa.null()
        for branch in schema:
            kind = widen(kind, avro_type(branch, named))
        return kind
    if isinstance(schema, str):
        if schema in AVRO_PRIMITIVES:
            return AVRO_PRIMITIVES[schema]
        if schema not in named:
            raise NotBuilt(f"an Avro record that contains itself ({schema})")
        return named[schema]
    logical = schema.get("logicalType")
    if logical == "decimal":
        return pa.decimal128(schema["precision"], schema.get("scale", 0))
    if logical in AVRO_LOGICAL:
        return AVRO_LOGICAL[logical]
    form = schema["type"]
    if form == "array":
        return pa.list_(avro_type(schema["items"], named))
    if form == "map":
        return pa.map_(pa.string(), avro_type(schema["values"], named))
    if form == "record":
        fields = [pa.field(field["name"].lower(), avro_type(field["type"], named)) for field in schema["fields"]]
        named[schema["name"]] = pa.struct(fields)
        return named[schema["name"]]
    if form in ("enum", "fixed"):
        named[schema["name"]] = pa.string() if form == "enum" else pa.binary()
        return named[schema["name"]]
    return avro_type(form, named)


# -- names of tables -------------------------------------------------------------------------------


def table_name(folder: str, prefix: str = "", suffix_of: str | None = None) -> str:
    """The name of the table of a folder: lower case, other characters than a-z, 0-9 and _ become _, 128 at
    most.

    With `suffix_of` (a location) the name is told apart from another table's of the same name by a hash of
    it.
    """
    name = re.sub(r"[^a-z0-9_]", "_", (prefix + folder).lower()) or "_"
    if suffix_of is None:
        return name[:128]
    digest = hashlib.md5(suffix_of.encode(), usedforsecurity=False).hexdigest()
    return f"{name[: 128 - 33]}_{digest}"
