"""Values are read out of every format, in part, and broken objects end in nothing worse than being skipped."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import random
import traceback
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from content import formats, objects, types
from hypothesis import given, settings
from hypothesis import strategies as st
from objects_in_memory import Bucket
from tagmesh.column_types import nested_fields

MEGABYTE = 1024 * 1024
ROWS = [(f"a{n}@example.org", f'say "{n}",\nor not', n) for n in range(50)]
COLUMNS = (("mail", "string"), ("words", "string"), ("n", "bigint"))


def read(
    body: bytes,
    columns: tuple[tuple[str, str], ...] = COLUMNS,
    rows: int = 1000,
    budget: int = 8 * MEGABYTE,
    **layout: Any,
) -> dict[str, list[Any]]:
    """path -> values, as a sample meets them."""
    found: dict[str, list[Any]] = {}
    for path, value in formats.values(
        opened(body, budget), table(columns, **layout), rows, [name for name, _ in columns]
    ):
        found.setdefault(path, []).append(value)
    return found


def opened(body: bytes, budget: int = 8 * MEGABYTE) -> objects.RangedObject:
    bucket = Bucket({"object": body})
    (found,) = objects.choose(bucket, "bucket", "", 1).objects or (objects.Found("object", 0, "", ()),)
    return objects.RangedObject(bucket, "bucket", found, budget)


def table(columns: tuple[tuple[str, str], ...] = COLUMNS, **layout: Any) -> formats.Table:
    return formats.Table(tuple(formats.Column.of(*column) for column in columns), **layout)


def as_csv(rows: list[tuple[Any, ...]] = ROWS, **dialect: Any) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, **dialect)
    writer.writerow([name for name, _ in COLUMNS])
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(rows: list[tuple[Any, ...]] = ROWS) -> bytes:
    return b"".join(json.dumps({"Mail": a, "words": b, "n": c}).encode() + b"\n" for a, b, c in rows)


def as_avro(records: list[dict[str, Any]], fields: list[dict[str, Any]], codec: str = "deflate") -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, records, codec=codec)
    return file.getvalue()


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress], ids=["plain", "gzip", "bzip2"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_is_read_by_position_as_its_table_says(pack: Any, delimiter: str):
    found = read(pack(as_csv(delimiter=delimiter)), delimiter=delimiter, skipped_lines=1)
    assert found["mail"] == [mail for mail, _, _ in ROWS]
    assert found["words"] == [words for _, words, _ in ROWS]
    assert found["n"] == [str(n) for _, _, n in ROWS]


def test_csv_without_quotes_keeps_them_as_they_are():
    body = b'5" screen,a@example.org\n7" screen,b@example.org\n'
    found = read(body, (("words", "string"), ("mail", "string")), quote=None)
    assert found["mail"] == ["a@example.org", "b@example.org"]


def test_a_file_of_several_packed_members_is_read_through():
    parts = [as_csv(ROWS[:20]), as_csv(ROWS[20:]).partition(b"\n")[2]]
    for pack in (gzip.compress, bz2.compress):
        assert len(read(b"".join(map(pack, parts)), skipped_lines=1)["mail"]) == 50


def test_json_lines_are_read_by_name_and_broken_lines_are_left_out():
    body = b'{"cut": \n\n[1, 2]\n"word"\n' + as_json()
    found = read(body, format="json")
    assert found["mail"] == [mail for mail, _, _ in ROWS]
    assert found["n"] == [n for _, _, n in ROWS]


def test_only_so_many_rows_are_read():
    for body, layout in ((as_csv(), {"skipped_lines": 1}), (as_json(), {"format": "json"})):
        assert len(read(body, rows=7, **layout)["mail"]) == 7


def test_bytes_that_are_no_utf_8_are_in_no_value_that_is_looked_for():
    assert read("ü,a@example.org\n".encode("latin-1"), (("u", "string"), ("mail", "string")))["mail"] == [
        "a@example.org"
    ]


# ── Avro ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "bzip2"])
def test_avro_is_read_by_name(codec: str):
    fields = [{"name": "Mail", "type": ["null", "string"]}, {"name": "n", "type": "long"}]
    fields.append({"name": "born", "type": {"type": "int", "logicalType": "date"}})
    records = [{"Mail": mail, "n": n, "born": date(1980, 1, 1)} for mail, _, n in ROWS]
    found = read(as_avro(records, fields, codec), (*COLUMNS, ("born", "date")))
    assert found["mail"] == [mail for mail, _, _ in ROWS]
    assert found["born"] == [date(1980, 1, 1)] * 50


# ── Parquet, held to what pyarrow writes ────────────────────────────────────────────────────────────────────

COUNT = 500
PARQUET = pa.table(
    {
        "mail": [None if n % 3 == 0 else f"a{n}@example.org" for n in range(COUNT)],
        "word": [random.Random(n).choice("abc") for n in range(COUNT)],
        "n": range(COUNT),
        "small": pa.array(range(COUNT), pa.int32()),
        "day": [date(1950, 1, 1 + n % 28) for n in range(COUNT)],
        "moment": pa.array([datetime(1950, 1, 1 + n % 28, 5, tzinfo=UTC) for n in range(COUNT)],
                           pa.timestamp("us", "UTC")),
        "amount": pa.array([Decimal(n) / 100 for n in range(COUNT)], pa.decimal128(20, 2)),
        "contact": [{"City": f"city{n}", "phones": [f"p{n}", None, "q"]} for n in range(COUNT)],
        "lists": [[[f"x{n}"], []] for n in range(COUNT)],
        "notes": pa.array([[(f"key{n}", {"text": f"t{n}"})] for n in range(COUNT)],
                          pa.map_(pa.string(), pa.struct([("text", pa.string())]))),
        "flag": [True] * COUNT,
        "raw": [bytes([200, n % 256]) for n in range(COUNT)],
        "unknown": [f"not in the catalogue {n}" for n in range(COUNT)],
    }
)  # fmt: skip
PARQUET_COLUMNS = (
    ("mail", "string"), ("word", "string"), ("n", "bigint"), ("small", "int"), ("day", "date"), ("moment", "timestamp"),
    ("amount", "decimal(20,2)"), ("contact", "struct<city:string,phones:array<string>>"),
    ("lists", "array<array<string>>"), ("notes", "map<string,struct<text:string>>"), ("flag", "boolean"),
    ("raw", "binary"),
)  # fmt: skip
DELTAS = {
    "n": "DELTA_BINARY_PACKED", "small": "DELTA_BINARY_PACKED", "mail": "DELTA_BYTE_ARRAY",
    "word": "DELTA_LENGTH_BYTE_ARRAY",
}  # fmt: skip
WRITTEN = {
    f"{packing}-{version}-{encoding}": {
        "compression": packing,
        "data_page_version": version,
        "use_dictionary": encoding == "dictionary",
        "use_deprecated_int96_timestamps": encoding == "plain",
        **({"column_encoding": DELTAS} if encoding == "deltas" else {}),
    }
    for packing, version, encoding in product(
        ("none", "snappy", "gzip", "brotli", "zstd", "lz4"), ("1.0", "2.0"), ("dictionary", "plain", "deltas")
    )
}


@pytest.mark.parametrize("options", WRITTEN.values(), ids=WRITTEN)
def test_parquet_is_read_whatever_its_encodings(options: dict[str, Any]):
    body = as_parquet(PARQUET, row_group_size=130, data_page_size=500, **options)
    found = read(body, PARQUET_COLUMNS, rows=COUNT)
    plain = PARQUET.to_pydict()
    assert found["mail"] == [mail for mail in plain["mail"] if mail]
    for name in ("word", "n", "small", "day", "amount"):
        assert found[name] == plain[name], name
    assert [value.replace(tzinfo=UTC) for value in found["moment"]] == plain["moment"]
    assert found["contact.city"] == [each["City"] for each in plain["contact"]]
    assert set(found["contact.phones"]) <= {*(f"p{n}" for n in range(COUNT)), "q"}
    assert found["contact.phones"][:4] == ["p0", "q", "p1", "q"]
    assert found["lists"][:2] == ["x0", "x1"]
    assert found["notes"] == [f"key{n}" for n in range(COUNT)]
    assert found["notes.text"] == [f"t{n}" for n in range(COUNT)]
    assert not set(found) & {"flag", "unknown"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=40),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=40),
    st.sampled_from(sorted(WRITTEN)),
    st.integers(1, 50),
)
def test_any_values_come_back(texts: list[str | None], whole: list[int | None], options: str, group: int):
    chosen = {**WRITTEN[options], "column_encoding": None}
    count = max(len(texts), len(whole))
    texts, whole = ([*values, *[None] * (count - len(values))] for values in (texts, whole))
    columns = {"t": pa.array(texts, pa.string()), "w": pa.array(whole, pa.int64())}
    found = read(as_parquet(pa.table(columns), row_group_size=group, **chosen), (("t", "string"), ("w", "bigint")))
    assert found.get("t", []) == [text for text in texts if text is not None]
    assert found.get("w", []) == [number for number in whole if number is not None]


def test_lists_of_older_writers_are_read_at_their_own_path():
    body = as_parquet(pa.table({"tags": [["a", "b"]] * 3}), use_compliant_nested_type=False)
    assert read(body, (("tags", "array<string>"),)) == {"tags": ["a", "b"] * 3}


# ── Bounds ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_big_text_is_read_only_as_far_as_its_rows_go():
    body = as_json(ROWS * 5000)
    assert len(body) > 15 * MEGABYTE
    for rows, most in ((100, objects.BLOCK), (10_000, 2 * MEGABYTE)):
        file = opened(body)
        assert sum(1 for path, _ in formats.values(file, table(format="json"), rows, []) if path == "mail") == rows
        assert file.fetched <= most


def test_no_more_is_read_than_the_budget_and_what_came_before_counts():
    body = as_csv([("x" * 100_000, f"a{n}@example.org", n) for n in range(200)])
    file = opened(body, budget=MEGABYTE)
    found = [path for path, _ in formats.values(file, table(skipped_lines=1), 1000, [])]
    assert 3 <= found.count("words") <= 10
    assert file.fetched <= MEGABYTE


@pytest.mark.slow
def test_a_packed_text_that_unpacks_to_no_end_is_left():
    for pack in (gzip.compress, bz2.compress):
        bomb = pack(b"\n" * 100_000_000)
        file = opened(bomb)
        assert list(formats.values(file, table(), 1000, [])) == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}], ids=["dictionary", "plain"])
def test_of_a_big_parquet_object_only_footer_and_first_pages_are_read(options: dict[str, Any]):
    chosen = random.Random(1)
    many = 400_000
    columns = {name: [f"{chosen.random()}" for _ in range(many)] for name in ("mail", "words")}
    body = as_parquet(pa.table({**columns, "n": range(many), "other": columns["mail"]}), row_group_size=many, **options)
    file = opened(body)
    found = list(formats.values(file, table(), 1000, ["mail", "words", "n"]))
    assert [path for path, _ in found].count("mail") == [path for path, _ in found].count("n") == 1000
    assert file.fetched < len(body) / 3


def test_a_column_whose_pages_are_too_large_does_not_keep_the_others_from_being_read():
    columns = {"words": ["x" * 3_000_000, "y" * 3_000_000], "mail": ["a@example.org", "b@example.org"]}
    body = as_parquet(pa.table(columns), compression="none", use_dictionary=False)
    file = opened(body, budget=MEGABYTE)
    found = list(formats.values(file, table(), 1000, ["words", "mail"]))
    assert found == [("mail", "a@example.org"), ("mail", "b@example.org")]
    assert file.fetched <= MEGABYTE


# ── Broken and strange objects ──────────────────────────────────────────────────────────────────────────────

SECRET = "planted.secret@example.org"
SOUND = {
    "csv": as_csv([(SECRET, "x", 1)] * 20),
    "json": as_json([(SECRET, "x", 1)] * 20),
    "gzip": gzip.compress(as_csv([(SECRET, "x", 1)] * 20)),
    "avro": as_avro([{"mail": SECRET}] * 20, [{"name": "mail", "type": "string"}], "null"),
    "parquet": as_parquet(pa.table({"mail": [SECRET] * 20, "words": ["x"] * 20}), compression="snappy"),
    "nested parquet": as_parquet(PARQUET.slice(0, 20), compression="zstd", data_page_version="2.0"),
}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(SOUND)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
    st.sampled_from(["csv", "json", "binary"]),
)
def test_whatever_is_broken_is_skipped_and_says_nothing_of_what_it_holds(
    name: str, flips: list[tuple[float, int]], cut: float, format: str
):
    body = bytearray(SOUND[name])
    for place, value in flips:
        body[int(place * len(body))] = value
    body = body[: max(1, round(cut * len(body)))] if cut < 0.9 else body
    try:
        found = read(bytes(body), PARQUET_COLUMNS, format=format)
    except objects.NotReadable as broken:
        assert SECRET not in repr(broken)
        assert SECRET not in "".join(traceback.format_exception(broken))
    else:
        known = {path for column in PARQUET_COLUMNS for path in formats.Column.of(*column).paths}
        assert set(found) <= known | {name for name, _ in PARQUET_COLUMNS}


@pytest.mark.parametrize(
    ("body", "layout"),
    [
        (b"PAR1" + b"\0" * 40 + b"\xff\xff\xff\x7fPAR1", {}),
        (as_parquet(pa.table({"mail": ["a"]}))[:-4] + b"PARE", {}),
        (b"Obj\x01" + b"\xff" * 40, {}),
        (b"\x1f\x8b" + b"\0" * 40, {}),
        (b'[\n{"mail": "a"}\n]\n'.replace(b"\n", b" "), {"format": "json"}),
        (b"<rows/>", {"format": "binary"}),
        ("mail,words\na,b\n".encode("utf-16"), {}),
        (b"\x00\x01\x02", {}),
        (b'"' + b"x" * 3_000_000, {}),
        (b"a,b\n", {"delimiter": "::"}),
    ],
    ids=["footer", "encrypted", "avro", "gzip", "array", "other", "utf-16", "binary", "endless", "delimiter"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(body: bytes, layout: dict[str, Any]):
    with pytest.raises(objects.NotReadable):
        read(body, **layout)


def test_an_object_that_was_replaced_meanwhile_is_refused():
    bucket = Bucket({"t/a.csv": as_csv()})
    (found,) = objects.choose(bucket, "bucket", "t/", 5).objects
    bucket.objects["t/a.csv"] = as_csv(ROWS[:3])
    with pytest.raises(objects.NotReadable):
        list(formats.values(objects.RangedObject(bucket, "bucket", found, MEGABYTE), table(), 10, []))


# ── Which objects ───────────────────────────────────────────────────────────────────────────────────────────


def chosen(keys: list[str], wanted: int, **options: Any) -> list[str]:
    return [
        found.key for found in objects.choose(Bucket(dict.fromkeys(keys, b"x"), **options), "b", "t/", wanted).objects
    ]


def test_objects_are_spread_over_the_folders_and_the_last_is_among_them():
    days = [
        f"t/year={year}/month={month:02d}/part-{n}.json"
        for year in range(2020, 2026)
        for month in range(1, 13)
        for n in (0, 1)
    ]
    found = chosen(days, 5)
    assert len(found) == 5
    assert len({key.split("/")[1] for key in found}) == 5
    assert found[-1] == days[-1]
    assert chosen(days, 1) == [days[-1]]
    assert chosen(days[:3], 10) == days[:3]


def test_a_folder_with_few_objects_leaves_its_share_to_those_before_it():
    keys = [*(f"t/b/{n:02d}" for n in range(50)), "t/y/1", "t/z/1"]
    assert len(chosen(keys, 9)) == 9


def test_hidden_empty_archived_and_other_tables_objects_are_left_out():
    bucket = Bucket(
        {
            "t/_SUCCESS": b"x",
            "t/.crc": b"x",
            "t/empty": b"",
            "t/_temporary/1": b"x",
            "t/old": b"x",
            "t/new": b"x",
            "t2/a": b"x",
        },
        archived=("t/old",),
    )
    assert [found.key for found in objects.choose(bucket, "b", "t/", 9).objects] == ["t/new"]


def test_a_table_of_very_many_partitions_takes_few_requests():
    keys = [f"t/day={day:06d}/{part}" for day in range(12_000) for part in range(2)]
    bucket = Bucket(dict.fromkeys(keys, b"x"))
    assert len(objects.choose(bucket, "b", "t/", 5).objects) == 5
    assert bucket.listings <= objects.LISTED + 5


def test_values_of_partition_keys_are_those_of_the_folders():
    keys = [f"t/mail=a{n}%40example.org/{n % 3}/part" for n in range(5)]
    names = objects.choose(Bucket(dict.fromkeys(keys, b"x")), "b", "t/", 2).folder_names
    found = list(objects.partition_values(("mail", "partition_1"), names))
    assert [value for key, value in found if key == "mail"] == [f"a{n}@example.org" for n in range(5)]
    assert {value for key, value in found if key == "partition_1"} <= {"0", "1", "2"}


# ── Paths ───────────────────────────────────────────────────────────────────────────────────────────────────

TYPES = st.recursive(
    st.sampled_from(["string", "bigint", "decimal(10,2)", "varchar(20)", "date"]),
    lambda inner: st.one_of(
        inner.map("array<{}>".format),
        inner.map("map<string,{}>".format),
        st.lists(
            st.tuples(st.sampled_from(["a", "b_c", "city", "x1"]), inner),
            min_size=1,
            max_size=3,
            unique_by=lambda f: f[0],
        ).map(lambda fields: f"struct<{','.join(f'{name}:{kind}' for name, kind in fields)}>"),
    ),
    max_leaves=6,
)


@settings(max_examples=120, deadline=None)
@given(TYPES)
def test_paths_are_those_that_rules_know(kind: str):
    known = {f"column.{field.path}" if field.path else "column" for field in nested_fields(kind)} or {"column"}
    assert formats.Column.of("column", kind).paths == known


def test_what_stands_where_its_type_does_not_expect_it_is_the_columns_own():
    column = formats.Column.of("c", "struct<a:struct<b:string>,m:map<string,string>>")
    value = {"a": "no struct", "m": {"key": {"deep": ["er"]}}, "other": "not in the catalogue"}
    found = list(column.values(value))
    assert ("c", "no struct") in found
    assert {path for path, _ in found} <= {"c", "c.m"}
    assert ("c.m", "key") in found and ("c.m", "er") in found
    assert "not in the catalogue" not in [text for _, text in found]


def test_keys_of_maps_are_data_and_never_part_of_a_path():
    column = formats.Column.of("c", "map<string,struct<x:string>>")
    assert set(column.values({SECRET: {"X": "1"}})) == {("c", SECRET), ("c.x", "1")}


@pytest.mark.parametrize(
    "text", ["", "struct<", "struct<a>", "array<", "map<string>", "uniontype<int>", "<", "struct<a:int"]
)
def test_a_type_that_cannot_be_read_has_one_path(text: str):
    assert formats.Column.of("c", text).paths == {"c"}
    assert set(formats.Column.of("c", text).values({"k": ["v"]})) == {("c", "k"), ("c", "v")}
    assert types.parse(text).kind in ("opaque", "plain")


# -- headers ---------------------------------------------------------------------------------------------------------


def header_fits(text: str, *names: str, **layout: object) -> bool:
    body = text.encode()
    bucket = Bucket({"a.csv": body})
    (found,) = objects.choose(bucket, "b", "", 1).objects
    columns = tuple(formats.Column.of(name, "string") for name in names)
    return formats.header_fits(objects.RangedObject(bucket, "b", found, 2**20), formats.Table(columns, **layout))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("id,email,city\n1,a@example.com,Lyon\n", True),
        ("ID,Email,CITY\n", True),
        ("\ufeffid,email,city\n", True),
        ('"id","email","city"\n', True),
        ("id,email\n1,a@example.com\n", True),  # the others are empty
        ("id,email,city,added\n", True),  # a column that the table does not have is not read
        ("id,city,email\n1,Lyon,a@example.com\n", False),
        ("id,added,email,city\n", False),
        ("email,id,city\n", False),
        ("id;email;city\n", False),
        ("\n", True),
    ],
)
def test_a_header_fits_where_its_names_stand_where_the_table_has_them(text: str, fits: bool):
    assert header_fits(text, "id", "email", "city") is fits


def test_a_header_is_read_with_its_tables_characters_and_as_crawlers_fold_names():
    assert header_fits("Order ID;E-Mail\n", "order id", "e_mail", delimiter=";")
    assert not header_fits("E-Mail;Order ID\n", "order id", "e_mail", delimiter=";")
    assert header_fits('{"city": 1}\n', "id", format="json")
