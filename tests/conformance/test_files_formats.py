"""JSON, Parquet, Avro and packed files, as Glue's classifiers see them; and formats that are refused."""

import bz2
import gzip
import io
import json
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal

import cramjam
import fastavro
import pyarrow as pa
import pytest
from crawling import ACTIONS, NUMBERS, avro, glue_role, parquet, place


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture
def here(lab, role):
    return place(lab, role)


def crawled(here, body, name="a"):
    """Crawl one file: the table that it is."""
    here.put(f"t/{name}", body)
    here.crawl("t/")
    return here.table()


def columns(table):
    return {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}


def classification(table):
    return table["Parameters"]["classification"]


# -- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("files.json-lines", "files.json-nested", "files.json-types", "files.csv-widening")
def test_json_records_nest_and_merge(here):
    table = crawled(
        here,
        """{"Id": 1, "who": {"Name": "a", "age": 3}, "tags": ["x"], "big": 5000000000, "huge": 99999999999999999999}
{"id": 2.5, "who": {"name": null, "zip": "1"}, "tags": [], "gone": null, "mixed": 1}

{"deep": [[{"a": 1}], [{"b": true}]], "mixed": "x", "empty": {}, "yes": true}
{"least": -2147483648, "under": -2147483649, "over": 2147483648}
""",
    )
    assert columns(table) == {
        "id": "double",
        "who": "struct<name:string,age:int,zip:string>",
        "tags": "array<string>",
        "big": "bigint",
        "huge": "string",
        "gone": "string",
        "mixed": "string",
        "deep": "array<array<struct<a:int,b:boolean>>>",
        "empty": "string",
        "yes": "boolean",
        "least": "int",
        "under": "bigint",
        "over": "bigint",
    }
    assert (classification(table), table["Parameters"]["recordCount"]) == ("json", "4")
    serde = table["StorageDescriptor"]["SerdeInfo"]
    assert serde["SerializationLibrary"] == "org.openx.data.jsonserde.JsonSerDe"
    assert {"Id", "id", "who"} < set(serde["Parameters"]["paths"].split(","))


@pytest.mark.statement("files.json-lines")
def test_a_json_record_may_be_spread_over_lines(here):
    assert columns(crawled(here, '{\n  "a": 1\n}\n{"b": 2}')) == {"a": "int", "b": "int"}


@pytest.mark.statement("files.json-array", "files.long")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('[{"a": 1}, {"a": 2, "b": "x"}]', "array<struct<a:int,b:string>>"),
        ("[1, 2.5]", "array<double>"),
        ("[" + ",".join(['{"a": 1}'] * 300_000) + "]", "array<struct<a:int>>"),
    ],
    ids=["objects", "numbers", "long"],
)
def test_a_json_array_is_one_column(here, body, kind):
    assert columns(crawled(here, body)) == {"array": kind}


@pytest.mark.statement("files.long")
def test_a_long_json_file_is_sampled(here):
    table = crawled(here, '{"a": 1, "b": "xxxxxxxxxxxxxxxxxxxxxx"}\n' * 60_000)
    assert columns(table) == {"a": "int", "b": "string"}
    assert int(table["Parameters"]["recordCount"]) == pytest.approx(60_000, rel=0.01)


@pytest.mark.statement("files.json-broken", "files.unknown")
def test_broken_json_is_unknown(here):
    bodies = ['{"a": 1}\n{"a": \n', '{"a": 1} oops', "[1, 2", '{"a": 1}\n[1]\n', "{}x", '"words"']
    found = here.each({f"b{n}": body for n, body in enumerate(bodies)})
    assert {classification(table) for table in found.values()} == {"UNKNOWN"}


@pytest.mark.statement("files.custom-not-for-json")
def test_json_stays_json_for_a_crawler_with_a_csv_classifier(here):
    here.put("t/a", '{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n')
    here.crawl("t/", Classifiers=[here.classifier(Delimiter=",", ContainsHeader="PRESENT")])
    assert classification(here.table()) == "json"


# -- Parquet and Avro ----------------------------------------------------------------------------------------------


@pytest.mark.statement("files.parquet", "files.parquet-types", "files.parquet-compression", "files.built-in-order")
def test_parquet_types_become_hive_types(here):
    table = crawled(
        here,
        parquet(
            I8=pa.array([1], pa.int8()),
            i16=pa.array([1], pa.int16()),
            u8=pa.array([1], pa.uint8()),
            u16=pa.array([1], pa.uint16()),
            u32=pa.array([1], pa.uint32()),
            u64=pa.array([1], pa.uint64()),
            f=pa.array([1.5], pa.float32()),
            d=pa.array([1.5]),
            ok=pa.array([True]),
            at=pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            day=pa.array([date(2024, 1, 1)]),
            hour=pa.array([time(1)], pa.time64("us")),
            minute=pa.array([time(1)], pa.time32("ms")),
            price=pa.array([Decimal("1.50")], pa.decimal128(10, 2)),
            raw=pa.array([b"x"]),
            fixed=pa.array([b"xx"], pa.binary(2)),
            text=pa.array(["a"], pa.large_string()),
            kind=pa.array(["a"]).dictionary_encode(),
            nothing=pa.array([None], pa.null()),
            inner=pa.array([{"A": 1}], pa.struct([("A", pa.int64())])),
            lots=pa.array([[1]], pa.list_(pa.int32())),
            large=pa.array([[1]], pa.large_list(pa.int32())),
            pairs=pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())),
        ),
        "a.parquet",
    )
    assert columns(table) == {
        "i8": "tinyint",
        "i16": "smallint",
        "u8": "smallint",
        "u16": "int",
        "u32": "bigint",
        "u64": "decimal(20,0)",
        "f": "float",
        "d": "double",
        "ok": "boolean",
        "at": "timestamp",
        "day": "date",
        "hour": "bigint",
        "minute": "int",
        "price": "decimal(10,2)",
        "raw": "binary",
        "fixed": "binary",
        "text": "string",
        "kind": "string",
        "nothing": "string",
        "inner": "struct<a:bigint>",
        "lots": "array<int>",
        "large": "array<int>",
        "pairs": "map<string,int>",
    }
    assert (classification(table), table["Parameters"]["compressionType"]) == ("parquet", "none")
    assert table["Parameters"]["recordCount"] == "1"
    assert "Parquet" in table["StorageDescriptor"]["InputFormat"]


def widened(one, two):
    return {"one": pa.array([None], one), "two": pa.array([None], two)}


@pytest.mark.statement("files.csv-widening")
def test_types_that_differ_between_files_widen(here):
    pairs = {
        "int_long": (pa.int32(), pa.int64(), "bigint"),
        "long_float": (pa.int64(), pa.float32(), "double"),
        "floats": (pa.float32(), pa.float64(), "double"),
        "small_float": (pa.float32(), pa.int8(), "double"),
        "decimals": (pa.decimal128(10, 2), pa.decimal128(8, 4), "decimal(12,4)"),
        "too_large": (pa.decimal128(38, 0), pa.decimal128(38, 10), "string"),
        "nothing": (pa.null(), pa.date32(), "date"),
        "structs": (pa.struct([("a", pa.int32())]), pa.struct([("b", pa.string())]), "struct<a:int,b:string>"),
        "lists": (pa.list_(pa.int32()), pa.list_(pa.int64()), "array<bigint>"),
        "maps": (pa.map_(pa.string(), pa.int32()), pa.map_(pa.string(), pa.int64()), "map<string,bigint>"),
        "struct_list": (pa.struct([("a", pa.int32())]), pa.list_(pa.int32()), "string"),
        "list_struct": (pa.list_(pa.int32()), pa.struct([("a", pa.int32())]), "string"),
        "map_number": (pa.map_(pa.string(), pa.int32()), pa.int64(), "string"),
        "number_map": (pa.int64(), pa.map_(pa.string(), pa.int32()), "string"),
        "decimal_number": (pa.decimal128(10, 2), pa.int64(), "string"),
        "number_decimal": (pa.int64(), pa.decimal128(10, 2), "string"),
        "date_number": (pa.date32(), pa.int64(), "string"),
        "text_bool": (pa.string(), pa.bool_(), "string"),
    }
    here.put("t/a.parquet", parquet(**{name: pa.array([None], one) for name, (one, _, _) in pairs.items()}))
    here.put("t/b.parquet", parquet(**{name: pa.array([None], two) for name, (_, two, _) in pairs.items()}))
    here.crawl("t/")
    assert here.columns() == {name: kind for name, (_, _, kind) in pairs.items()}


@pytest.mark.statement("files.avro", "files.avro-types", "files.built-in-order")
@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_avro_schemas_are_read_from_the_file(here, codec):
    logical = {
        "at": ("long", "timestamp-millis", "timestamp"),
        "micro": ("long", "timestamp-micros", "timestamp"),
        "day": ("int", "date", "date"),
    }
    fields = [
        {"name": "Id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "some", "type": ["int", "long"]},
        {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}},
        {"name": "again", "type": "Level"},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "counts", "type": {"type": "map", "values": "int"}},
        {"name": "who", "type": {"type": "record", "name": "Who", "fields": [{"name": "Age", "type": "float"}]}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        *({"name": key, "type": {"type": kind, "logicalType": name}} for key, (kind, name, _) in logical.items()),
    ]
    now = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    record = {"Id": 1, "name": None, "some": 1, "level": "LOW", "again": "HIGH", "hash": b"xx", "tags": ["a"]}
    record |= {"counts": {"a": 1}, "who": {"Age": 1.5}, "price": Decimal("1.50")}
    record |= {"at": now, "micro": now, "day": now.date()}
    table = crawled(here, avro(fields, record, codec=codec), "a.avro")
    assert columns(table) == {
        "id": "bigint",
        "name": "string",
        "some": "bigint",
        "level": "string",
        "again": "string",
        "hash": "binary",
        "tags": "array<string>",
        "counts": "map<string,int>",
        "who": "struct<age:float>",
        "price": "decimal(9,2)",
        **{key: kind for key, (_, _, kind) in logical.items()},
    }
    parameters = table["Parameters"]
    assert (parameters["classification"], parameters["recordCount"]) == ("avro", "1")
    literal = json.loads(parameters["avro.schema.literal"])
    assert (literal["name"], set(literal)) == ("Row", {"type", "name", "fields"})
    assert "AvroSerDe" in table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"]


@pytest.mark.statement("files.avro-recursive")
def test_an_avro_record_that_contains_itself_fails_the_crawl(here):
    here.put("t/a.avro", avro([{"name": "next", "type": ["null", "Row"]}], {"next": None}))
    crawl = here.run(here.crawler("t/"))
    assert crawl["State"] == "FAILED"
    assert "contains itself" in crawl["ErrorMessage"]


@pytest.mark.statement("files.broken")
def test_a_broken_file_is_left_out_of_its_table(here):
    broken = {
        "parquet": parquet(a=pa.array([1]))[:-20],
        "avro": avro([{"name": "a", "type": "int"}], {"a": 1})[:-3],
        "gz": gzip.compress(b"id,x\n" * 100)[:20],
        "wrong": b"\x1f\x8b" + bytes(50),
        "bz2": bz2.compress(b"id,x\n")[:-5],
        "zip": b"PK\x03\x04" + bytes(20),
        "lz4": bytes(cramjam.lz4.compress(b"id,x\n"))[:10],
    }
    for name, body in broken.items():
        here.put(f"{name}/cut", body)
    for table in here.each(dict.fromkeys(broken, NUMBERS)).values():
        assert table["Parameters"]["objectCount"] == "1"
        assert columns(table) == {"id": "bigint", "x": "bigint"}


@pytest.mark.statement("files.broken")
@pytest.mark.parametrize(("schema", "value"), [("int", 1), ({"type": "array", "items": "int"}, [1])])
def test_an_avro_file_that_is_no_record_is_left_out(here, schema, value):
    sink = io.BytesIO()
    fastavro.writer(sink, schema, [value])
    here.put("t/a.avro", sink.getvalue())
    here.put("t/b.csv", NUMBERS)
    here.crawl("t/")
    assert here.columns() == {"id": "bigint", "x": "bigint"}


# -- packed files --------------------------------------------------------------------------------------------------


def zipped(*names):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("folder/", "")
        for name in names:
            archive.writestr(name, NUMBERS)
    return sink.getvalue()


PACKED = {
    "gzip": gzip.compress(b"id,x\n1,2\n") + gzip.compress(b"3,4\n"),
    "bzip2": bz2.compress(NUMBERS.encode()),
    "zip": zipped("a.csv"),
    "lz4": bytes(cramjam.lz4.compress(NUMBERS.encode())),
    "snappy": bytes(cramjam.snappy.compress(NUMBERS.encode())),
}


@pytest.mark.statement("files.packed")
def test_packed_files_are_looked_into(here):
    for packing, body in PACKED.items():
        here.put(f"{packing}/a.{packing}", body)
    here.crawl(*(f"{packing}/" for packing in PACKED))
    tables = here.tables()
    assert set(tables) == set(PACKED)
    for packing, table in tables.items():
        assert columns(table) == {"id": "bigint", "x": "bigint"}
        assert (classification(table), table["Parameters"]["compressionType"]) == ("csv", packing)
        assert table["StorageDescriptor"]["Compressed"] is True
        assert table["Parameters"]["recordCount"] == "2"


@pytest.mark.statement("files.packed-zip", "files.packed-zstd", "files.unknown")
def test_other_archives_are_unknown(here):
    bodies = {
        "two_files": zipped("a.csv", "b.csv"),
        "no_file": zipped(),
        "zstd": bytes(cramjam.zstd.compress(NUMBERS.encode() * 9)),
        "empty": gzip.compress(b""),
    }
    assert {classification(table) for table in here.each(bodies).values()} == {"UNKNOWN"}


@pytest.mark.statement("files.long", "files.packed")
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress], ids=["gzip", "bzip2"])
def test_a_long_packed_file_is_sampled(here, pack):
    table = crawled(here, pack(b"id,x\n" + b"1,2222222222\n" * 200_000))
    assert columns(table) == {"id": "bigint", "x": "bigint"}
    assert int(table["Parameters"]["recordCount"]) == pytest.approx(200_000, rel=0.01)


# -- what is not read ----------------------------------------------------------------------------------------------


@pytest.mark.local_only("a real crawl classifies these")
@pytest.mark.statement("files.refused-formats")
@pytest.mark.parametrize(
    ("body", "named", "key"),
    [
        (b"ORC" + bytes(50), "ORC", "a"),
        (b"\xe0\x01\x00\xea\x21\x01", "Ion", "a"),
        (b"\x0c\x00\x00\x00\x10a\x00\x01\x00\x00\x00\x00", "BSON", "a"),
        (b"<?xml version='1.0'?><a><b>1</b></a>", "XML", "a"),
        (b"\n<books>\n<book/></books>", "XML", "a"),
        (b'1.2.3.4 - bob [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326\n', "Apache", "a"),
        (b"Jan  1 10:00:00 host kernel: [    1.5] up\n", "kernel", "a"),
        (b"#Software: Microsoft Internet Information Services 6.0\n", "Microsoft", "a"),
        (b"I, [2024-01-01T10:00:00.1 #12] INFO -- : up\n", "Ruby", "a"),
        (b"1286536308.779    180 192.168.0.224 TCP_MISS/200 411 GET http://x - A/1 text/xml\n", "Squid", "a"),
        (b"4018:M 14 Nov 07:01:22.119 * Background saving\n", "Redis", "a"),
        (b'1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\n', "Redis", "a"),
        (b"\x00\x00\x00\x10\x00\x00\x00\x05hadoop", "Hadoop's Snappy", "a.csv.snappy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_format_that_is_not_read_fails_the_crawl(here, body, named, key):
    here.put(f"t/{key}", body)
    crawl = here.run(here.crawler("t/"))
    assert crawl["State"] == "FAILED"
    assert named in crawl["ErrorMessage"]
    assert here.tables() == {}


@pytest.mark.statement("files.unknown")
def test_what_no_classifier_knows_is_unknown(here):
    bodies = {
        "binary": bytes(range(256)),
        "words": b"just some words\nand some more\n",
        "no_bson_element": b"\x0c\x00\x00\x00\x77a\x00\x01\x00\x00\x00\x00",
        "no_bson_open": b"\x0c\x00\x00\x00\x10a\x00\x01\x00\x00\x00\x01",
        "no_bson_cut": b"\x0d\x00\x00\x00\x10a\x00\x01\x00\x00\x00\x00",
    }
    for table in here.each(bodies).values():
        assert (classification(table), columns(table)) == ("UNKNOWN", {})


@pytest.mark.statement("files.unknown-table")
def test_unknown_files_are_left_out_where_others_are_known(here):
    here.put("t/notes.txt", "some words only\n")
    assert columns(crawled(here, NUMBERS)) == {"id": "bigint", "x": "bigint"}
    assert here.table()["Parameters"]["objectCount"] == "1"
