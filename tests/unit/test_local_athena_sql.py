"""Athena's SQL inside: what is read for a query, how statements are told apart, and values as text.

What queries answer and refuse is in tests/conformance/test_athena_sql.py and test_athena_functions.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from local_aws.athena.athena_results import (
    column_of,
    csv_file,
    double_text,
    read_csv_file,
    read_text_file,
    text_file,
    value_text,
)
from local_aws.athena.athena_sql import TableName, parse
from local_aws.athena.athena_translate import Relation, Translation, translate, trino_type
from local_aws.athena.athena_types import SqlError

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
COLUMNS = (("id", "bigint"), ("name", "string"), ("ok", "boolean"), ("dt", "string"), ("yr", "int"))
ORDERS = Relation("awsdatacatalog", "db", "t", COLUMNS, ("dt", "yr"))
OTHERS = Relation("awsdatacatalog", "db", "u", (("id", "bigint"), ("amount", "double")))
RELATIONS = {"t": ORDERS, "u": OTHERS}


def translated(sql: str) -> Translation:
    statement = parse(sql)
    return translate(statement, {name: RELATIONS[name.name] for name in statement.tables}, NOW)


def test_only_what_a_query_uses_is_read() -> None:
    query = translated("SELECT a.name FROM db.t a JOIN db.t b ON a.id = b.id WHERE b.ok")

    assert [sorted(each.columns) for each in query.inputs] == [["id", "name"], ["id", "ok"]]
    assert translated("SELECT count(*) FROM db.t").inputs[0].columns == set()


CONDITIONS = [
    ("dt = '2024-01-01'", ['"t"."dt" = \'2024-01-01\'']),
    ("dt >= '2024' AND yr IN (1, 2) AND id > 0", ['"t"."dt" >= \'2024\'', '"t"."yr" IN (1, 2)']),
    ("dt = '1' OR id = 1", []),
    ("yr = id", []),
    ("dt = (SELECT max(name) FROM db.u2)", []),
    ("yr = year(current_date)", []),
]


@pytest.mark.parametrize(("condition", "prunes"), CONDITIONS)
def test_conditions_on_partition_keys_choose_partitions(condition: str, prunes: list[str]) -> None:
    condition = condition.replace("(SELECT max(name) FROM db.u2)", "(SELECT max(name) FROM db.t x)")
    assert translated(f"SELECT id FROM db.t WHERE {condition}").inputs[0].prunes == prunes


def test_conditions_beside_an_outer_join_choose_none() -> None:
    query = translated("SELECT t.id FROM db.u LEFT JOIN db.t ON t.id = u.id WHERE t.dt IS NULL")

    assert [each.prunes for each in query.inputs] == [[], []]


# -- statements ----------------------------------------------------------------------------------


def test_statements_are_told_apart() -> None:
    assert parse("SHOW DATABASES").kind == parse("show schemas like 'a.*'").kind == "SHOW_DATABASES"
    tables = parse(" SHOW TABLES IN `My` 'x*' ;")
    assert (tables.kind, tables.database, tables.pattern) == ("SHOW_TABLES", "my", "x*")
    assert parse("SHOW COLUMNS FROM t IN db").table == TableName(None, "db", "t")
    assert parse("/* c */ DESC awsdatacatalog.db.T").table == TableName("awsdatacatalog", "db", "t")
    assert parse("SHOW PARTITIONS db.t").type == "UTILITY"
    assert (parse("CREATE TABLE x AS SELECT 1").kind, parse("drop table x").type) == ("CREATE", "DDL")
    assert (parse("INSERT INTO x SELECT 1").type, parse("UNLOAD (SELECT 1) TO 's3://b/'").kind) == ("DML", "UNLOAD")


def test_the_tables_of_a_query_are_those_it_names_and_not_its_ctes() -> None:
    statement = parse("WITH t AS (SELECT * FROM Db.T) SELECT * FROM t JOIN x ON true WHERE 1 IN (SELECT 1 FROM db.u)")

    assert {(name.database, name.name) for name in statement.tables} == {("db", "t"), (None, "x"), ("db", "u")}
    assert {name.start for name in statement.tables} == {25, 52, 88}


@pytest.mark.parametrize(
    ("hive", "trino"),
    [
        ("string", "varchar"),
        ("array<struct<a:int,b:array<string>>>", 'array(row("a" integer,"b" array(varchar)))'),
        ("map<string,decimal(10,2)>", "map(varchar,decimal(10,2))"),
    ],
)
def test_hive_types_in_trinos_words(hive: str, trino: str) -> None:
    assert trino_type(hive) == trino


# -- results -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (100.0, "100.0"),
        (1234567.0, "1234567.0"),
        (12345678.0, "1.2345678E7"),
        (1e10, "1.0E10"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (-1.5e-7, "-1.5E-7"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (715738.9800000001, "715738.9800000001"),
    ],
)
def test_doubles_are_written_as_java_writes_them(value: float, text: str) -> None:
    assert double_text(value) == text


def test_singles_are_written_shortest() -> None:
    assert double_text(1.100000023841858, single=True) == "1.1"


def test_nested_values_and_times_as_text() -> None:
    assert value_text([1, None, "a, b"]) == "[1, null, a, b]"
    assert value_text({"a": 1, "b": [True]}) == "{a=1, b=[true]}"
    assert value_text(Decimal("1.50")) == "1.50"
    assert value_text(b"\x01\xff") == "01 ff"
    assert value_text(datetime(2024, 1, 2, 3, 4, 5, 678900)) == "2024-01-02 03:04:05.678"
    with pytest.raises(SqlError, match="overflow"):
        value_text(2**63)


def test_result_files_keep_null_and_empty_apart() -> None:
    rows = [["1", None, ""], ['say "hi"', "a,b", "two\nlines"]]

    text = csv_file(["a", "b", "c"], rows)

    assert text == '"a","b","c"\n"1",,""\n"say ""hi""","a,b","two\nlines"\n'
    assert read_csv_file(text) == ([["a", "b", "c"], *rows], len(text))
    first, end = read_csv_file(text, most=2)
    assert (first + read_csv_file(text, end)[0]) == [["a", "b", "c"], *rows]
    assert read_text_file(text_file([["a\tb"], ["c"]])) == [["a\tb"], ["c"]]
    assert read_text_file("") == []


def test_column_information_is_athenas() -> None:
    described = {
        kind: column_of("c", kind).described()
        for kind in ("BIGINT", "HUGEINT", "VARCHAR", "DECIMAL(10,2)", "DOUBLE", "INTEGER[]", "STRUCT(a INTEGER)")
    }

    shown = {kind: (each["Type"], each["Precision"], each["Scale"]) for kind, each in described.items()}
    assert shown == {
        "BIGINT": ("bigint", 19, 0),
        "HUGEINT": ("bigint", 19, 0),
        "VARCHAR": ("varchar", 2147483647, 0),
        "DECIMAL(10,2)": ("decimal", 10, 2),
        "DOUBLE": ("double", 17, 0),
        "INTEGER[]": ("array", 0, 0),
        "STRUCT(a INTEGER)": ("row", 0, 0),
    }
    assert described["VARCHAR"]["CaseSensitive"] is True
