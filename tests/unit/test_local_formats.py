"""Files are classified as AWS Glue's classifiers do, and read as Athena's SerDes do."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_aws.files import formats, serdes
from local_aws.files.formats import (
    CsvClassifier,
    FileFormat,
    NotBuilt,
    Unreadable,
    classify,
    table_name,
)
from local_aws.files.hive_types import UnknownType, arrow_type, hive_type, merge_fields
from local_aws.files.serdes import BadData, Serde

HEADER = CsvClassifier("csv", delimiter=",", quote='"', contains_header="PRESENT", serde="OpenCSVSerDe")


SAMPLE = 50_000
"""Bytes of a file that are looked at in tests of longer ones."""


def columns(found: FileFormat) -> dict[str, str]:
    return {field.name: hive_type(field.type) for field in found.fields}


def parquet(**arrays: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays), sink)
    return sink.getvalue()


def avro(schema: dict, *records: dict, codec: str = "null") -> bytes:
    sink = io.BytesIO()
    fastavro.writer(sink, fastavro.parse_schema(schema), records, codec=codec)
    return sink.getvalue()


# -- CSV -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", "|", "\t", ";", "\x01"])
def test_built_in_csv_knows_five_delimiters_and_infers_header_and_types(delimiter: str) -> None:
    rows = [["id", "name", "price"], ["1", "ann", "2.50"], ["2", "bob", "3"]]
    body = "\n".join(delimiter.join(row) for row in rows).encode()

    found = classify(body)

    assert found.classification == "csv"
    assert columns(found) == {"id": "bigint", "name": "string", "price": "double"}
    assert (found.csv.delimiter, found.csv.header, found.csv.serde) == (delimiter, True, "LazySimpleSerDe")
    assert found.rows == 2


def test_an_all_string_file_has_no_header_for_the_built_in_classifier() -> None:
    found = classify(b"first,last\nann,lee\nbob,ray\n")

    assert columns(found) == {"col1": "string", "col2": "string"}
    assert found.csv.header is False
    assert found.rows == 3


def test_a_header_with_a_number_is_no_header() -> None:
    assert columns(classify(b"id,2024\n1,5\n2,6\n")) == {"col1": "string", "col2": "bigint"}


def test_the_built_in_classifier_wants_two_columns_and_two_rows_of_data() -> None:
    assert classify(b"id,name\n1,ann\n").classification == "UNKNOWN"
    assert classify(b"1\n2\n3\n").classification == "UNKNOWN"
    assert classify(b"1,ann\n2,bob\n").classification == "csv"


def test_a_custom_classifier_takes_the_header_it_is_told_of() -> None:
    found = classify(b"First Name,LAST\nann,lee\n", [HEADER])

    assert columns(found) == {"first name": "string", "last": "string"}
    assert (found.csv.serde, found.csv.header, found.rows) == ("OpenCSVSerDe", True, 1)


def test_a_custom_classifier_without_header_numbers_the_columns() -> None:
    absent = CsvClassifier("csv", delimiter=",", contains_header="ABSENT")

    assert columns(classify(b"id,name\n1,ann\n", [absent])) == {"col1": "string", "col2": "string"}


def test_a_custom_classifier_may_name_the_columns() -> None:
    named = CsvClassifier("csv", delimiter="|", contains_header="ABSENT", header=("Id", "Name"))

    assert columns(classify(b"1|ann\n2|bob\n", [named])) == {"id": "bigint", "name": "string"}


def test_a_file_of_nothing_but_a_header_is_unknown() -> None:
    assert classify(b"id,name\n", [HEADER]).classification == "UNKNOWN"


def test_one_column_needs_a_classifier_that_allows_it() -> None:
    single = CsvClassifier("csv", delimiter=",", contains_header="PRESENT", allow_single_column=True)

    assert classify(b"email\na@x.org\n", [HEADER]).classification == "UNKNOWN"
    assert columns(classify(b"email\na@x.org\n", [single])) == {"email": "string"}


def test_quoted_values_hold_delimiters_quotes_and_line_breaks() -> None:
    body = b'id,note\r\n1,"a, ""b""\r\nc"\r\n2,plain\r\n'

    found = classify(body, [HEADER])

    assert (columns(found), found.rows) == ({"id": "bigint", "note": "string"}, 2)


def test_ragged_rows_take_the_headers_columns() -> None:
    found = classify(b"a,b,c\n1,2\n1,2,3,4\n", [HEADER])

    assert columns(found) == {"a": "bigint", "b": "bigint", "c": "bigint"}


def test_doubled_and_empty_column_names_are_told_apart() -> None:
    assert list(columns(classify(b"id,,ID\n1,2,3\n", [HEADER]))) == ["id", "col2", "id_2"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", ""], "bigint"),
        (["007"], "bigint"),
        (["1", "2.5", "1e3"], "double"),
        (["1", "x"], "string"),
        (["2024-01-01"], "string"),
        (["true"], "string"),
        (["9223372036854775807"], "bigint"),
        (["9223372036854775808"], "string"),
        (["12345678901234567890123"], "string"),
        (["NaN"], "string"),
        (["1e999"], "string"),
        ([""], "string"),
        ([" 5 "], "bigint"),
    ],
)
def test_types_of_csv_columns(values: list[str], kind: str) -> None:
    body = "\n".join(["v,w", *(f"{value},x" for value in values)]).encode()

    assert columns(classify(body, [HEADER]))["v"] == kind


def test_a_byte_order_mark_is_dropped_and_other_encodings_are_unknown() -> None:
    text = "id,näme\n1,ü\n2,ö\n"

    assert columns(classify(text.encode("utf-8-sig"))) == {"id": "bigint", "näme": "string"}
    assert classify(text.encode("latin-1")).classification == "UNKNOWN"
    assert classify(text.encode("utf-16")).classification == "UNKNOWN"


def test_empty_and_blank_files_are_unknown() -> None:
    for body in (b"", b"\n\n", b"   ", gzip.compress(b"")):
        assert classify(body).classification == "UNKNOWN"


def test_gzip_is_looked_into() -> None:
    packed = gzip.compress(b"id,name\n1,a\n") + gzip.compress(b"2,b\n")

    found = classify(packed)

    assert (found.classification, found.compression, found.rows) == ("csv", "gzip", 2)
    with pytest.raises(Unreadable):
        classify(packed[:20])


def test_a_long_file_is_sampled_and_its_rows_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "SAMPLE_BYTES", SAMPLE)
    row = '1,"é\nü",2.5\n' * 1000
    body = ("id,text,price\n" + row * (SAMPLE // len(row.encode()) + 200)).encode()
    assert len(body) > SAMPLE

    found = classify(body, [HEADER])

    assert columns(found) == {"id": "bigint", "text": "string", "price": "double"}
    assert found.rows == pytest.approx(body.count(b"2.5"), rel=0.01)


# -- JSON ----------------------------------------------------------------------------------------


def test_json_lines_nest_and_merge() -> None:
    body = b"""{"Id": 1, "who": {"Name": "a", "age": 3}, "tags": ["x"], "big": 5000000000}
{"id": 2.5, "who": {"name": null, "zip": "1"}, "tags": [], "gone": null, "mixed": 1}
{"mixed": "x"}
"""
    found = classify(body)

    assert columns(found) == {
        "id": "double",
        "who": "struct<name:string,age:int,zip:string>",
        "tags": "array<string>",
        "big": "bigint",
        "gone": "string",
        "mixed": "string",
    }
    assert (found.classification, found.rows) == ("json", 3)
    assert found.json_keys == ("Id", "big", "gone", "id", "mixed", "tags", "who")


def test_a_json_array_is_one_column() -> None:
    assert columns(classify(b'[{"a": 1}, {"a": 2, "b": "x"}]')) == {"array": "array<struct<a:int,b:string>>"}


def test_a_long_json_array_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "SAMPLE_BYTES", SAMPLE)
    body = b"[" + b",".join([b'{"a": 1}'] * (SAMPLE // 8)) + b"]"
    assert len(body) > SAMPLE

    assert columns(classify(body)) == {"array": "array<struct<a:int>>"}


def test_broken_json_is_no_json() -> None:
    assert classify(b'{"a": 1}\n{"a": \n').classification == "UNKNOWN"
    assert classify(b'{"a": 1} oops').classification == "UNKNOWN"
    assert classify(b"[1, 2").classification == "UNKNOWN"


def test_json_stays_json_for_a_crawler_with_a_csv_classifier() -> None:
    assert classify(b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', [HEADER]).classification == "json"


# -- Parquet, Avro, others -----------------------------------------------------------------------


def test_parquet_types_become_hive_types() -> None:
    body = parquet(
        I8=pa.array([1], pa.int8()),
        u32=pa.array([1], pa.uint32()),
        f=pa.array([1.5], pa.float32()),
        when=pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        day=pa.array([1], pa.date32()),
        price=pa.array([Decimal("1.50")], pa.decimal128(10, 2)),
        raw=pa.array([b"x"], pa.binary()),
        kind=pa.array(["a"]).dictionary_encode(),
        inner=pa.array([{"A": 1}], pa.struct([("A", pa.int64())])),
        lots=pa.array([[1]], pa.list_(pa.int32())),
        pairs=pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())),
    )
    assert columns(classify(body)) == {
        "i8": "tinyint",
        "u32": "bigint",
        "f": "float",
        "when": "timestamp",
        "day": "date",
        "price": "decimal(10,2)",
        "raw": "binary",
        "kind": "string",
        "inner": "struct<a:bigint>",
        "lots": "array<int>",
        "pairs": "map<string,int>",
    }
    assert classify(body).rows == 1
    with pytest.raises(Unreadable):
        classify(body[:-20])


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_avro_schemas_are_read_from_the_file(codec: str) -> None:
    schema = {
        "type": "record",
        "name": "Row",
        "fields": [
            {"name": "Id", "type": "long"},
            {"name": "name", "type": ["null", "string"]},
            {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ],
    }
    now = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    body = avro(schema, {"Id": 1, "name": None, "level": "LOW", "tags": ["a"], "at": now}, codec=codec)

    found = classify(body)

    assert columns(found) == {
        "id": "bigint",
        "name": "string",
        "level": "string",
        "tags": "array<string>",
        "at": "timestamp",
    }
    assert (found.classification, found.rows) == ("avro", 1)
    assert json.loads(found.avro_schema)["name"] == "Row"


def test_what_is_not_known_is_unknown_and_orc_is_refused() -> None:
    assert classify(b"<?xml version='1.0'?><a><b>1</b></a>").classification == "UNKNOWN"
    assert classify(bytes(range(256))).classification == "UNKNOWN"
    assert classify(b"just some words\nand some more\n").classification == "UNKNOWN"
    with pytest.raises(NotBuilt):
        classify(b"ORC\x00\x00")


# -- types and names -----------------------------------------------------------------------------


def test_conflicting_types_widen_and_end_as_string() -> None:
    one = [pa.field("a", pa.int32()), pa.field("b", pa.int64()), pa.field("c", pa.string())]
    two = [pa.field("b", pa.float64()), pa.field("a", pa.int64()), pa.field("c", pa.bool_())]
    three = [pa.field("d", pa.date32())]

    merged = {field.name: hive_type(field.type) for field in merge_fields([one, two, three])}

    assert merged == {"a": "bigint", "b": "double", "c": "string", "d": "date"}


@pytest.mark.parametrize(
    "name",
    ["bigint", "decimal(10,2)", "array<struct<a:int,b:map<string,double>>>", "struct<x:array<date>,y:timestamp>"],
)
def test_hive_types_survive_the_way_there_and_back(name: str) -> None:
    assert hive_type(arrow_type(name)) == name


@pytest.mark.parametrize("name", ["uniontype<int,string>", "array<int", "struct<a:int", "struct<", "wrong", ""])
def test_broken_hive_types_are_refused(name: str) -> None:
    with pytest.raises(UnknownType):
        arrow_type(name)


def test_table_names_are_folded_cut_and_told_apart() -> None:
    assert table_name("Web-Events 2024", "raw_") == "raw_web_events_2024"
    assert table_name("Größe") == "gr__e"
    assert len(table_name("x" * 300)) == 128
    one, other = table_name("x" * 300, "", "s3://b/1/"), table_name("x" * 300, "", "s3://b/2/")
    assert one != other
    assert len(one) == 128
    assert one[:95] == other[:95]


# -- reading as a table --------------------------------------------------------------------------


def table(body: bytes, library: str, kinds: dict[str, str], wanted: list[str] | None = None, **parameters: str) -> list:
    """The rows that a table with these columns has, as a list of dicts."""
    schema = pa.schema([pa.field(name, arrow_type(kinds[name])) for name in wanted or kinds])
    serde = Serde(library, tuple(parameters.items()))
    return serdes.read(body, serde, list(kinds), schema, "s3://b/f").to_pylist()


SKIP = {"skip.header.line.count": "1"}


def test_open_csv_reads_by_position_and_fills_what_is_short() -> None:
    body = b'id,name,price\n1,"a, b\nc",2.5\n2\n3,x,,extra\n'
    kinds = {"id": "bigint", "name": "string", "price": "double"}

    assert table(body, serdes.OPEN_CSV, kinds, **SKIP) == [
        {"id": 1, "name": "a, b\nc", "price": 2.5},
        {"id": 2, "name": None, "price": None},
        {"id": 3, "name": "x", "price": None},
    ]
    assert table(body, serdes.OPEN_CSV, kinds, ["price"], **SKIP) == [{"price": 2.5}, {"price": None}, {"price": None}]


def test_open_csv_separates_empty_from_absent_and_refuses_what_is_no_number() -> None:
    kinds = {"id": "bigint", "name": "string"}

    assert table(b'1,""\n2,\n', serdes.OPEN_CSV, kinds) == [{"id": 1, "name": ""}, {"id": 2, "name": ""}]
    with pytest.raises(BadData, match="column id") as caught:
        table(b"secret,x\n", serdes.OPEN_CSV, kinds)
    assert "secret" not in str(caught.value)
    lenient = {"use.null.for.invalid.data": "TRUE"}
    assert table(b"secret,x\n", serdes.OPEN_CSV, kinds, **lenient) == [{"id": None, "name": "x"}]
    assert table(b"secret,x\n", serdes.OPEN_CSV, kinds, ["name"]) == [{"name": "x"}]


def test_open_csv_dates_are_days_and_timestamps_milliseconds() -> None:
    kinds = {"day": "date", "at": "timestamp"}

    (row,) = table(b"18276,1579059880000\n", serdes.OPEN_CSV, kinds)

    assert (row["day"].isoformat(), row["at"]) == ("2020-01-15", datetime(2020, 1, 15, 3, 44, 40))


def test_lazy_simple_takes_quotes_for_data_and_what_does_not_parse_for_null() -> None:
    kinds = {"id": "bigint", "name": "string", "ok": "boolean"}
    body = b'1|"a"|true\r\nx|\\N|maybe\r\n||\n'

    assert table(body, serdes.LAZY_SIMPLE, kinds, **{"field.delim": "|"}) == [
        {"id": 1, "name": '"a"', "ok": True},
        {"id": None, "name": None, "ok": None},
        {"id": None, "name": "", "ok": None},
    ]


def test_json_reads_by_name_whatever_its_case() -> None:
    kinds = {"id": "bigint", "who": "struct<name:string,age:int>", "tags": "array<string>", "raw": "string"}
    body = b'{"ID": 1, "Who": {"NAME": "a"}, "raw": {"k": [1]}}\n\n{"id": "2", "tags": ["x", 3]}\n'

    assert table(body, serdes.JSON_OPENX, kinds) == [
        {"id": 1, "who": {"name": "a", "age": None}, "tags": None, "raw": '{"k":[1]}'},
        {"id": 2, "who": None, "tags": ["x", "3"], "raw": None},
    ]


def test_json_that_is_no_object_a_line_is_an_error_unless_malformed_lines_are_ignored() -> None:
    for body in (b'[{"id": 1}]\n', b'{"id": 1\n', b"{\n}\n"):
        with pytest.raises(BadData, match="not a valid JSON Object") as caught:
            table(body, serdes.JSON_OPENX, {"id": "bigint"})
        assert caught.value.code == "HIVE_CURSOR_ERROR"
    lenient = {"ignore.malformed.json": "true"}
    assert table(b'oops\n{"id": 1}\n', serdes.JSON_OPENX, {"id": "bigint"}, **lenient) == [{"id": None}, {"id": 1}]


@pytest.mark.parametrize(
    ("value", "kind"), [('"x"', "bigint"), ("1.5", "int"), ("true", "int"), ("[1]", "struct<a:int>")]
)
def test_json_values_of_another_type_are_bad_data(value: str, kind: str) -> None:
    with pytest.raises(BadData) as caught:
        table(f'{{"v": {value}}}'.encode(), serdes.JSON_OPENX, {"v": kind})
    assert caught.value.code == "HIVE_BAD_DATA"


def test_parquet_reads_by_name_widens_and_fills() -> None:
    body = parquet(B=pa.array([1, None], pa.int32()), a=pa.array(["x", "y"]))

    assert table(body, serdes.PARQUET, {"a": "string", "b": "bigint", "c": "double"}) == [
        {"a": "x", "b": 1, "c": None},
        {"a": "y", "b": None, "c": None},
    ]
    with pytest.raises(BadData, match="incompatible"):
        table(body, serdes.PARQUET, {"a": "bigint"})
    with pytest.raises(BadData, match="not a valid Parquet file"):
        table(b"a,b\n", serdes.PARQUET, {"a": "string"})


def test_parquet_timestamps_have_milliseconds_and_no_zone() -> None:
    moment = datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    body = parquet(at=pa.array([moment], pa.timestamp("ns", "Europe/Paris")))

    assert table(body, serdes.PARQUET, {"at": "timestamp"}) == [{"at": datetime(2024, 1, 1, 12, 0, 0, 123000)}]


def test_parquet_rows_count_though_no_column_is_wanted() -> None:
    schema = pa.schema([])

    for body, library in (
        (parquet(a=pa.array([1, 2, 3])), serdes.PARQUET),
        (b"1,2\n3,4\n5,6\n", serdes.OPEN_CSV),
        (b'{"a": 1}\n{}\n{"b": 2}\n', serdes.JSON_OPENX),
    ):
        assert serdes.read(body, Serde(library), ["a"], schema, "f").num_rows == 3


def test_nested_parquet_is_read_by_field_names() -> None:
    stored = pa.array([{"B": 2, "a": 1}], pa.struct([("B", pa.int32()), ("a", pa.int64())]))

    assert table(parquet(s=stored), serdes.PARQUET, {"s": "struct<a:bigint,c:string>"}) == [{"s": {"a": 1, "c": None}}]


def test_avro_reads_by_name() -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "Id", "type": "int"}, {"name": "day", "type": {"type": "int", "logicalType": "date"}}],
    }
    body = avro(schema, {"Id": 7, "day": datetime(2024, 2, 3).date()}, codec="snappy")

    (row,) = table(body, serdes.AVRO, {"day": "date", "id": "bigint", "more": "string"})

    assert (row["id"], row["day"].isoformat(), row["more"]) == (7, "2024-02-03", None)


def test_a_serde_that_is_not_built_is_named() -> None:
    with pytest.raises(NotImplementedError, match="RegexSerDe"):
        table(b"x", "org.apache.hadoop.hive.serde2.RegexSerDe", {"a": "string"})
