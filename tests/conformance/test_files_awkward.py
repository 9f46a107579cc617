"""Awkward files, from the upload to the query: what comes of each is written down, and nothing breaks."""

import json
from datetime import time
from uuid import UUID

import pyarrow as pa
import pytest
from crawling import ACTIONS, avro, glue_role, parquet, place

CSV = {"Delimiter": ",", "ContainsHeader": "PRESENT", "Serde": "OpenCSVSerDe"}


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture
def here(lab, role):
    return place(lab, role)


def crawled(here, body, name="a.csv", **classifier):
    """Crawl one file: the columns of its table."""
    here.put(f"t/{name}", body)
    here.crawl("t/", Classifiers=[here.classifier(**classifier)] if classifier else [])
    return here.columns()


@pytest.mark.statement("files.long-names")
def test_long_names_are_cut_and_empty_ones_left_out(here):
    assert list(crawled(here, f"{'h' * 300},b\n1,2\n", **CSV)) == ["h" * 255, "b"]
    here.put("u/a.json", json.dumps({"k" * 256: 1, "": 2, "c" * 255: 3}))
    here.crawl("u/")
    assert list(here.columns("u")) == ["k" * 255, "c" * 255]
    assert here.rows(f"SELECT {'c' * 255} FROM u") == [("3",)]


@pytest.mark.statement("files.deep")
@pytest.mark.parametrize(
    ("depth", "levels", "inner"), [(49, 48, "int"), (50, 49, "int"), (51, 49, "string"), (300, 49, "string")]
)
def test_deep_json_is_a_string_below_fifty_levels(here, depth, levels, inner):
    columns = crawled(here, '{"a":' * depth + "1" + "}" * depth, "a.json")
    assert columns == {"a": "struct<a:" * levels + inner + ">" * levels}
    ((found,),) = here.rows("SELECT a FROM t")
    assert found.count("{") == depth - 1


@pytest.mark.statement("files.deep")
def test_json_too_deep_to_be_parsed_is_unknown(here):
    assert crawled(here, '{"a":' * 5000 + "1" + "}" * 5000, "a.json") == {}
    assert here.table()["Parameters"]["classification"] == "UNKNOWN"


@pytest.mark.statement("files.line-ends")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("classifier", [{}, CSV], ids=["built-in", "custom"])
def test_all_line_ends_are_line_ends(here, end, classifier):
    columns = crawled(here, end.join(["id,x", "1,2", "3,4", ""]), **classifier)
    assert columns == {"id": "bigint", "x": "bigint"}
    assert here.rows("SELECT id, x FROM t") == [("1", "2"), ("3", "4")]


@pytest.mark.statement("files.odd-field-names")
def test_odd_names_of_fields_fail_only_the_query_that_reads_them(here):
    columns = crawled(here, '{"a:b": 1, "fine": 2, "c<d>": {"e,f": 2}}', "a.json")
    assert columns == {"a:b": "int", "fine": "int", "c<d>": "struct<e,f:int>"}
    rows, reason = here.query("SELECT * FROM t")
    assert rows == []
    assert "struct<e,f:int>" in reason


@pytest.mark.statement("files.half-characters")
def test_half_a_character_is_a_question_mark(here):
    crawled(here, '{"a": "\\ud83d\\ude00 \\ud800!"}', "a.json")
    assert here.rows() == [("😀 ?!",)]


@pytest.mark.statement("files.unclosed-quote")
def test_an_unclosed_quote_holds_the_rest(here):
    assert crawled(here, 'id,x\n1,"2\n3,4\n', **CSV) == {"id": "bigint", "x": "string"}
    assert here.rows() == [("1", "2\n3,4\n")]


@pytest.mark.statement("files.logical-types", "files.parquet-types", "files.avro-types")
def test_times_durations_and_uuids(here):
    here.put(
        "p/a.parquet",
        parquet(
            d=pa.array([90], pa.duration("s")),
            milli=pa.array([time(0, 0, 1)], pa.time32("ms")),
            micro=pa.array([time(0, 0, 1)], pa.time64("us")),
        ),
    )
    logical = {"u": ("string", "uuid"), "milli": ("int", "time-millis"), "micro": ("long", "time-micros")}
    fields = [{"name": key, "type": {"type": kind, "logicalType": name}} for key, (kind, name) in logical.items()]
    moment = time(1, 2, 3, 4000)
    here.put("a/a.avro", avro(fields, {"u": UUID(int=7), "milli": moment, "micro": moment}))
    here.crawl("p/", "a/")
    assert here.columns("p") == {"d": "bigint", "milli": "int", "micro": "bigint"}
    assert here.rows("SELECT milli, micro FROM p") == [("1000", "1000000")]
    assert here.columns("a") == {"u": "string", "milli": "int", "micro": "bigint"}
    assert here.rows("SELECT u, milli, micro FROM a") == [(str(UUID(int=7)), "3723004", "3723004000")]


@pytest.mark.statement("files.csv-types", "files.csv-names", "files.csv-ragged")
@pytest.mark.parametrize(
    ("body", "columns", "rows"),
    [
        ("id,x,\n1,2,\n3,4,\n", {"id": "bigint", "x": "bigint", "col3": "string"}, [("1", "2", ""), ("3", "4", "")]),
        ("id,,x\n1,,2\n", {"id": "bigint", "col2": "string", "x": "bigint"}, [("1", "", "2")]),
        (",\n,\n", {"col1": "string", "col2": "string"}, [("", "")]),
        ("a$b,c.d\n-0,+.5\n", {"a$b": "bigint", "c.d": "double"}, [("0", "0.5")]),
        (f"id,n\n{'9' * 500},1e400\n", {"id": "string", "n": "string"}, [("9" * 500, "1e400")]),
        ("day,yes\n2024-01-02,true\n", {"day": "string", "yes": "string"}, [("2024-01-02", "true")]),
        ("id,mixed\n1,2\n3,x\n,\n", {"id": "bigint", "mixed": "string"}, [("1", "2"), ("3", "x"), (None, "")]),
    ],
    ids=["trailing", "empty column", "only delimiters", "signs", "huge", "dates", "mixed"],
)
def test_awkward_csv_can_be_queried(here, body, columns, rows):
    assert crawled(here, body, **CSV) == columns
    assert here.rows() == rows


@pytest.mark.statement("files.json-array", "files.json-object-a-line", "files.json-types")
@pytest.mark.parametrize(
    ("body", "columns"),
    [("[]", {"array": "array<string>"}), ("[[1, 2], [3]]", {"array": "array<array<int>>"}), ("{}", {})],
)
def test_json_that_says_little(here, body, columns):
    assert crawled(here, body, "a.json") == columns


@pytest.mark.statement("files.parquet", "files.by-name")
def test_parquet_without_columns_or_rows(here):
    assert crawled(here, parquet(a=pa.array([], pa.int32())), "a.parquet") == {"a": "int"}
    assert here.rows("SELECT count(*) FROM t") == [("0",)]
    here.put("u/a.parquet", parquet())
    here.crawl("u/")
    assert (here.columns("u"), here.table("u")["Parameters"]["classification"]) == ({}, "parquet")
