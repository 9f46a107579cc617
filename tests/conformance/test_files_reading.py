"""Files as Athena's SerDes read them. Tables are made by a crawler, or described by hand."""

import bz2
import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal

import cramjam
import pyarrow as pa
import pytest
from crawling import ACTIONS, LAZY_SIMPLE, NUMBERS, OPEN_CSV, avro, glue_role, parquet, place

PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
AVRO = "org.apache.hadoop.hive.serde2.avro.AvroSerDe"
JSON = "org.openx.data.jsonserde.JsonSerDe"
HIVE_JSON = "org.apache.hive.hcatalog.data.JsonSerDe"


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture
def here(lab, role):
    return place(lab, role)


def refused(here, *told, sql="SELECT * FROM t"):
    rows, reason = here.query(sql)
    assert (rows, [each for each in told if each not in reason]) == ([], []), reason


# -- CSV -----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("files.by-position", "files.open-csv", "files.open-csv-breaks", "files.skip-header")
def test_open_csv_reads_by_position_and_fills_what_is_short(here):
    body = 'id,name,price\n1,"a, b\nc",2.5\n2\n3,"x ""y""",,extra\n'
    here.described(body, {"a": "bigint", "b": "string", "c": "double"}, OPEN_CSV, **{"skip.header.line.count": "1"})
    assert here.rows() == [("1", "a, b\nc", "2.5"), ("2", None, None), ("3", 'x "y"', None)]
    assert here.rows("SELECT c FROM t") == [("2.5",), (None,), (None,)]
    assert here.rows("SELECT count(*) FROM t") == [("3",)]


@pytest.mark.statement("files.open-csv", "files.open-csv-escape")
def test_open_csv_knows_its_own_delimiter_quote_and_escape(here):
    here.described("'a;b';1\na\\;b;2\n", {"a": "string", "b": "int"}, OPEN_CSV, separatorChar=";", quoteChar="'")
    assert here.rows() == [("a;b", "1"), ("a;b", "2")]


@pytest.mark.statement("files.open-csv-number", "files.open-csv-empty", "files.use-null")
def test_open_csv_fails_for_what_is_no_number_unless_told_otherwise(here):
    here.described('1,""\n,x\n', {"id": "bigint", "name": "string"}, OPEN_CSV)
    assert here.rows() == [("1", ""), (None, "x")]
    here.glue.delete_table(DatabaseName=here.database, Name="t")
    here.described("secret,x\n", {"id": "bigint", "name": "string"}, OPEN_CSV)
    refused(here, "HIVE_BAD_DATA", "column id")
    assert "secret" not in here.query("SELECT id FROM t")[1]
    assert here.rows("SELECT name FROM t") == [("x",)]
    here.glue.delete_table(DatabaseName=here.database, Name="t")
    lenient = {"use.null.for.invalid.data": "TRUE"}
    here.described("secret,x\n2,y\n", {"id": "bigint", "name": "string"}, OPEN_CSV, **lenient)
    assert here.rows() == [(None, "x"), ("2", "y")]


@pytest.mark.statement("files.open-csv")
def test_open_csv_dates_are_days_and_timestamps_milliseconds(here):
    here.described("18276,1579059880000\n,\n", {"day": "date", "at": "timestamp"}, OPEN_CSV)
    assert here.rows() == [("2020-01-15", "2020-01-15 03:44:40.000"), (None, None)]


@pytest.mark.statement("files.lazy-simple")
def test_lazy_simple_takes_quotes_for_data_and_what_does_not_parse_for_null(here):
    body = '1|"a"|true|2024-01-02\r\nx|\\N|maybe|never\r\n||\n'
    kinds = {"id": "bigint", "name": "string", "ok": "boolean", "day": "date"}
    here.described(body, kinds, LAZY_SIMPLE, **{"field.delim": "|"})
    assert here.rows() == [
        ("1", '"a"', "true", "2024-01-02"),
        (None, None, None, None),
        (None, "", None, None),
    ]


@pytest.mark.statement("files.lazy-simple", "files.skip-header")
@pytest.mark.parametrize(
    ("parameters", "body", "expected"),
    [
        ({}, "1\x01a\n2\x01\\N\n", [("1", "a"), ("2", None)]),
        ({"serialization.format": ","}, "1,a\n", [("1", "a")]),
        ({"field.delim": ",", "serialization.null.format": "-"}, "1,-\n2,\\N\n", [("1", None), ("2", "\\N")]),
        ({"field.delim": ",", "skip.header.line.count": "2"}, "x,y\nx,y\n1,a", [("1", "a")]),
        ({"field.delim": ",", "skip.header.line.count": "5"}, "x,y\n", []),
    ],
)
def test_lazy_simple_parameters_count(here, parameters, body, expected):
    here.described(body, {"id": "int", "name": "string"}, LAZY_SIMPLE, **parameters)
    assert here.rows() == expected


@pytest.mark.local_only("real Athena reads these")
@pytest.mark.statement("files.csv-nested")
@pytest.mark.parametrize("kind", ["array<string>", "binary"])
def test_nested_and_binary_csv_columns_fail_a_query(here, kind):
    here.described("1,a\n", {"id": "int", "more": kind}, LAZY_SIMPLE, **{"field.delim": ","})
    refused(here, "NOT_SUPPORTED", "column of type")
    assert here.rows("SELECT id FROM t") == [("1",)]


@pytest.mark.local_only("real Athena reads these")
@pytest.mark.statement("files.refused-formats")
@pytest.mark.parametrize(
    ("serde", "parameters", "told"),
    [
        (LAZY_SIMPLE, {"escape.delim": "\\"}, "escape.delim"),
        ("org.apache.hadoop.hive.serde2.RegexSerDe", {}, "RegexSerDe"),
        ("org.apache.hadoop.hive.ql.io.orc.OrcSerde", {}, "OrcSerde"),
    ],
)
def test_a_serde_that_is_not_built_fails_the_query_by_name(here, serde, parameters, told):
    here.described("1,a\n", {"id": "int"}, serde, **parameters)
    refused(here, "NOT_SUPPORTED", told)


@pytest.mark.statement("files.not-utf8")
@pytest.mark.parametrize("serde", [OPEN_CSV, LAZY_SIMPLE, JSON])
def test_text_that_is_not_utf_8_is_bad_data(here, serde):
    here.described("1,ü\n".encode("latin-1"), {"id": "string"}, serde)
    refused(here, "HIVE_BAD_DATA", "not UTF-8")


@pytest.mark.statement("files.encoding", "files.open-csv")
def test_a_byte_order_mark_is_no_data(here):
    here.described("1,ü\n".encode("utf-8-sig"), {"id": "int", "name": "string"}, OPEN_CSV)
    assert here.rows() == [("1", "ü")]


@pytest.mark.statement("files.empty-and-hidden")
def test_empty_and_hidden_files_are_not_read(here):
    for key in ("_SUCCESS", ".a.csv", "_tmp/a.csv", ".tmp/a.csv"):
        here.put(f"t/{key}", "9,9\n")
    here.put("t/empty", "")
    here.put("t/a.csv", NUMBERS)
    here.crawl("t/")
    assert here.rows() == [("1", "2"), ("3", "4")]
    assert here.table()["Parameters"]["objectCount"] == "1"


@pytest.mark.statement("files.types-unknown")
def test_a_type_that_cannot_be_read_fails_the_query_by_name(here):
    told = {
        "uniontype<int>": "uniontype",
        "uniontype<int,string>": "uniontype",
        "union<a:int>": "union",
        "int int": "from 'int' on",
        "array<": "ends too early",
        "array<int": "lacks a >",
        "map<int,int": "lacks a >",
        "array": "not known",
        "array x int>": "not known",
        "map x int,int>": "not known",
        "struct x a:int>": "not known",
        "struct<a:int": "cannot read",
        "decimal(x,y)": "cannot read",
    }
    here.described("1\n", {f"c{n}": kind for n, kind in enumerate(told)}, LAZY_SIMPLE)
    for n, (kind, words) in enumerate(told.items()):
        refused(here, kind, words, sql=f"SELECT c{n} FROM t")


# -- packed text ---------------------------------------------------------------------------------------------------


@pytest.mark.statement("files.athena-packed")
@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv.gz", gzip.compress),
        ("a.CSV.GZ", lambda body: gzip.compress(body[:4]) + gzip.compress(body[4:]) + bytes(8)),
        ("a.bz2", bz2.compress),
        ("a.lz4", lambda body: bytes(cramjam.lz4.compress(body))),
        ("a.snappy", lambda body: bytes(cramjam.snappy.compress(body))),
        ("a.zst", lambda body: bytes(cramjam.zstd.compress(body))),
    ],
    ids=["gz", "GZ", "bz2", "lz4", "snappy", "zst"],
)
def test_athena_unpacks_text_by_its_extension(here, name, pack):
    here.described(pack(b"1,a\n2,b\n"), {"id": "int", "name": "string"}, OPEN_CSV, name)
    assert here.rows() == [("1", "a"), ("2", "b")]


@pytest.mark.statement("files.athena-packed", "files.athena-packed-error")
def test_without_the_extension_nothing_is_unpacked_and_with_it_it_must_be_packed(here):
    here.described(gzip.compress(b"1,a\n"), {"id": "string"}, OPEN_CSV, "a.csv")
    refused(here, "HIVE_BAD_DATA")
    here.glue.delete_table(DatabaseName=here.database, Name="t")
    here.described("1,a\n", {"id": "string"}, OPEN_CSV, "a.csv.gz")
    refused(here, "HIVE_CURSOR_ERROR", "not a gzip file")


# -- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("files.by-name", "files.json-mapping", "files.json-bad-value")
@pytest.mark.parametrize("serde", [JSON, HIVE_JSON])
def test_json_is_read_by_name_whatever_its_case(here, serde):
    kinds = {"id": "bigint", "who": "struct<name:string,age:int>", "tags": "array<string>", "raw": "string"}
    body = '{"ID": 1, "Who": {"NAME": "a"}, "raw": {"k": [1]}}\n\n{"id": "2", "tags": ["x", 3], "other": "o"}\n'
    here.described(body, {**kinds, "renamed": "string"}, serde, **{"mapping.renamed": "Other"})
    wanted = "SELECT id, who.name, tags[2], raw, renamed, who.age FROM t"
    assert here.rows(wanted.replace("tags[2]", "element_at(tags, 2)")) == [
        ("1", "a", None, '{"k":[1]}', None, None),
        ("2", None, "3", None, "o", None),
    ]
    assert here.rows("SELECT count(*) FROM t") == [("2",)]


@pytest.mark.statement("files.json-object-a-line", "files.json-array")
@pytest.mark.parametrize("body", ['[{"id": 1}]\n', '{"id": 1\n', "{\n}\n", "7\n"])
def test_a_line_that_is_no_json_object_is_an_error_unless_ignored(here, body):
    here.described(body, {"id": "bigint"}, JSON)
    refused(here, "HIVE_CURSOR_ERROR", "not a valid JSON Object")
    here.glue.delete_table(DatabaseName=here.database, Name="t")
    here.described(body + '{"id": 7}', {"id": "bigint"}, JSON, **{"ignore.malformed.json": "true"})
    rows = here.rows()
    assert rows[-1] == ("7",)
    assert set(rows[:-1]) == {(None,)}


@pytest.mark.statement("files.json-bad-value")
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ('"x"', "bigint"),
        ("1.5", "int"),
        ("99999999999", "int"),
        ("true", "int"),
        ("[1]", "double"),
        ("[1]", "struct<a:int>"),
        ("7", "map<string,int>"),
        ('"ab"', "array<string>"),
    ],
)
def test_json_values_of_another_type_are_bad_data(here, value, kind):
    here.described(f'{{"v": {value}}}', {"v": kind}, JSON)
    refused(here, "HIVE_BAD_DATA", "'v'")


# -- Parquet and Avro ----------------------------------------------------------------------------------------------


@pytest.mark.statement("files.by-name", "files.parquet-widened", "files.parquet-mismatch")
def test_parquet_is_read_by_name_widened_and_filled(here):
    body = parquet(
        B=pa.array([1, None], pa.int32()),
        a=pa.array(["x", "y"]),
        f=pa.array([1.5, None], pa.float32()),
        p=pa.array([Decimal("1.5"), None], pa.decimal128(5, 1)),
        raw=pa.array([b"r", None]),
    )
    kinds = {"a": "string", "b": "bigint", "c": "double", "f": "double", "p": "decimal(9,2)", "raw": "string"}
    here.described(body, kinds, PARQUET, "a.parquet")
    assert here.rows() == [("x", "1", None, "1.5", "1.50", "r"), ("y", None, None, None, None, None)]
    assert here.rows("SELECT count(*) FROM t") == [("2",)]


@pytest.mark.statement("files.parquet-mismatch")
def test_parquet_that_does_not_widen_to_its_column_is_refused(here):
    stored = [
        (pa.array(["x"]), "bigint"),
        (pa.array([1], pa.int64()), "int"),
        (pa.array([1], pa.int64()), "timestamp"),
        (pa.array([1], pa.int64()), "array<bigint>"),
        (pa.array([1], pa.int32()), "decimal(9,2)"),
        (pa.array([1.0], pa.float64()), "bigint"),
        (pa.array([1.0], pa.float32()), "bigint"),
        (pa.array([b"1"]), "bigint"),
        (pa.array([Decimal("1.0")]), "bigint"),
        (pa.array([1.5], pa.float64()), "float"),
        (pa.array([1], pa.int32()), "double"),
        (pa.array([1], pa.int32()), "string"),
        (pa.array([[1]]), "bigint"),
        (pa.array([datetime(2024, 1, 1)]), "date"),
    ]
    body = parquet(**{f"c{n}": values for n, (values, _) in enumerate(stored)})
    here.described(body, {f"c{n}": kind for n, (_, kind) in enumerate(stored)}, PARQUET, "a.parquet")
    for n in range(len(stored)):
        refused(here, "HIVE_BAD_DATA", "incompatible", f"c{n}'s", sql=f"SELECT c{n} FROM t")


@pytest.mark.statement("files.parquet-mismatch")
@pytest.mark.parametrize("serde", [PARQUET, AVRO])
def test_a_file_of_another_format_fails_the_query(here, serde):
    here.described("a,b\n", {"a": "string"}, serde, "a.csv")
    refused(here, "HIVE_CURSOR_ERROR", "not a valid")


@pytest.mark.statement("files.timestamps")
def test_parquet_timestamps_have_milliseconds_and_no_zone(here):
    moment = datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    here.described(parquet(at=pa.array([moment], pa.timestamp("ns", "Europe/Paris"))), {"at": "timestamp"}, PARQUET)
    assert here.rows() == [("2024-01-01 12:00:00.123",)]


@pytest.mark.statement("files.by-name", "files.parquet", "files.parquet-mismatch")
def test_nested_parquet_is_read_by_field_names(here):
    stored = pa.array([{"B": 2, "a": 1}], pa.struct([("B", pa.int32()), ("a", pa.int64())]))
    here.described(parquet(s=stored), {"s": "struct<a:bigint,c:string>"}, PARQUET)
    assert here.rows("SELECT s.a, s.c FROM t") == [("1", None)]
    here.glue.delete_table(DatabaseName=here.database, Name="t")
    here.described(parquet(s=pa.array([{"a": "x"}])), {"s": "struct<a:bigint>"}, PARQUET)
    refused(here, "HIVE_BAD_DATA", "Field s")


@pytest.mark.statement("files.by-name", "files.avro")
@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_avro_is_read_by_name(here, codec):
    fields = [{"name": "Id", "type": "int"}, {"name": "day", "type": {"type": "int", "logicalType": "date"}}]
    body = avro(fields, {"Id": 7, "day": datetime(2024, 2, 3).date()}, codec=codec)
    here.described(body, {"day": "date", "id": "bigint", "more": "string"}, AVRO, "a.avro")
    assert here.rows() == [("2024-02-03", "7", None)]
    assert here.rows("SELECT count(*) FROM t") == [("1",)]


@pytest.mark.statement("files.by-name", "files.avro")
def test_an_avro_value_of_another_type_is_bad_data(here):
    here.described(avro([{"name": "a", "type": "string"}], {"a": "x"}), {"a": "bigint"}, AVRO)
    refused(here, "HIVE_BAD_DATA", "'a'")


# -- the whole way -------------------------------------------------------------------------------------------------


@pytest.mark.statement("files.by-name", "files.by-position", "files.json-nested", "files.avro", "files.packed")
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.csv", NUMBERS),
        ("a.csv.gz", gzip.compress(NUMBERS.encode())),
        ("a.csv.bz2", bz2.compress(NUMBERS.encode())),
        ("a.tsv", NUMBERS.replace(",", "\t")),
        ("a.json", "\n".join(json.dumps({"Id": n, "X": n + 1}) for n in (1, 3))),
        ("a.parquet", parquet(ID=pa.array([1, 3]), x=pa.array([2, 4]))),
        ("a.avro", avro([{"name": key, "type": "long"} for key in ("id", "x")], {"id": 1, "x": 2}, {"id": 3, "x": 4})),
    ],
    ids=["csv", "gzip", "bzip2", "tsv", "json", "parquet", "avro"],
)
def test_what_a_crawler_found_athena_reads(here, name, body):
    here.put(f"t/year=2024/{name}", body)
    here.crawl("t/")
    assert here.rows("SELECT id, x, year FROM t ORDER BY id") == [("1", "2", "2024"), ("3", "4", "2024")]
