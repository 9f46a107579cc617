"""Athena's SQL here: what is translated answers as Trino would, and everything else is refused.

Expected values are Trino's (documentation, or worked out by hand), not DuckDB's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from local_aws.athena.athena_functions import MACROS
from local_aws.athena.athena_results import (
    column_of,
    csv_file,
    double_text,
    read_csv_file,
    read_text_file,
    text_file,
    value_text,
)
from local_aws.athena.athena_sql import Malformed, TableName, parse
from local_aws.athena.athena_translate import Relation, Translation, translate, trino_type
from local_aws.athena.athena_types import SqlError

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
COLUMNS = (
    ("id", "bigint"),
    ("name", "string"),
    ("d", "date"),
    ("ts", "timestamp"),
    ("amt", "double"),
    ("dec", "decimal(10,2)"),
    ("ok", "boolean"),
    ("arr", "array<int>"),
    ("st", "struct<a:int,b:string>"),
    ("m", "map<string,int>"),
    ("dt", "string"),
    ("yr", "int"),
)
ORDERS = Relation("awsdatacatalog", "db", "t", COLUMNS, ("dt", "yr"))
OTHERS = Relation("awsdatacatalog", "db", "u", (("id", "bigint"), ("amount", "double")))
HIDDEN = Relation("awsdatacatalog", "db", "h", ())
RELATIONS = {"t": ORDERS, "u": OTHERS, "h": HIDDEN}
DATA = """
CREATE TABLE t AS SELECT * FROM (VALUES
  (1::BIGINT, 'x', DATE '2020-01-01', TIMESTAMP '2020-01-01 10:00:00.5', 1.5::DOUBLE, 1.25::DECIMAL(10,2), true,
   [1, 2], {'a': 1, 'b': 'q'}, MAP {'k': 5}, '2024-01-01', 2024),
  (2, 'y', DATE '2020-02-01', NULL, 2.5, 2.25, false, [3], {'a': 2, 'b': NULL}, MAP {'k': 6}, '2024-01-02', 2023)
) AS v(id, name, d, ts, amt, dec, ok, arr, st, m, dt, yr);
CREATE TABLE u AS SELECT * FROM (VALUES (1::BIGINT, 10.0::DOUBLE)) AS v(id, amount);
"""


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for macro in MACROS:
            connection.execute(f"CREATE MACRO {macro}")
        connection.execute(DATA)
        yield connection


def translated(sql: str) -> Translation:
    statement = parse(sql)
    return translate(statement, {name: RELATIONS[name.name] for name in statement.tables}, NOW)


def run(duck: duckdb.DuckDBPyConnection, sql: str) -> list[tuple]:
    query = translated(sql)
    for each in query.inputs:
        duck.execute(f"CREATE OR REPLACE TEMP VIEW {each.name} AS SELECT * FROM {each.relation.name}")
    return duck.execute(query.sql).fetchall()


def failure(sql: str) -> str:
    with pytest.raises(SqlError) as caught:
        translated(sql)
    return str(caught.value)


# -- functions -----------------------------------------------------------------------------------

FUNCTIONS = [
    ("abs(-3)", "3"),
    ("ceil(1.2)", "2.0"),
    ("ceiling(5)", "5"),
    ("floor(-1.2)", "-2.0"),
    ("round(2.5)", "3.0"),
    ("round(-2.5)", "-3.0"),
    ("round(2.567, 2)", "2.57"),
    ("truncate(2.9)", "2.0"),
    ("mod(-7, 3)", "-1"),
    ("power(2, 10)", "1024.0"),
    ("sqrt(9)", "3.0"),
    ("exp(0)", "1.0"),
    ("ln(1)", "0.0"),
    ("log2(8)", "3.0"),
    ("log10(100)", "2.0"),
    ("log(2, 8)", "3.0"),
    ("sign(-3)", "-1"),
    ("pi()", "3.141592653589793"),
    ("greatest(1, 3, 2)", "3"),
    ("greatest(1, null, 2)", None),
    ("least(1, null, 2)", None),
    ("length('héé')", "3"),
    ("lower('ÄB')", "äb"),
    ("upper('äb')", "ÄB"),
    ("trim('  a ')", "a"),
    ("ltrim('  a ')", "a "),
    ("rtrim('  a ')", "  a"),
    ("trim(both 'x' from 'xax')", "a"),
    ("substr('hello', 2, 3)", "ell"),
    ("substr('hello', -3)", "llo"),
    ("substr('hello', 0)", ""),
    ("substr('hello', -10)", ""),
    ("substring('hello' from 2 for 3)", "ell"),
    ("concat('a', 'b', 'c')", "abc"),
    ("concat('a', null)", None),
    ("'a' || null", None),
    ("concat_ws(',', 'a', null, 'b')", "a,b"),
    ("replace('abcabc', 'b', 'x')", "axcaxc"),
    ("replace('abcabc', 'b')", "acac"),
    ("reverse('abc')", "cba"),
    ("strpos('hello', 'l')", "3"),
    ("position('l' in 'hello')", "3"),
    ("split('a,b,c', ',')", "[a, b, c]"),
    ("split_part('a,b', ',', 2)", "b"),
    ("split_part('a,b', ',', 5)", None),
    ("starts_with('hello', 'he')", "true"),
    ("lpad('5', 3, '0')", "005"),
    ("rpad('12345', 3, '0')", "123"),
    (r"regexp_like('a1b', '\d')", "true"),
    (r"regexp_replace('a1b2', '\d', 'x')", "axbx"),
    (r"regexp_replace('a1b2', '\d')", "ab"),
    ("regexp_replace('ab', '(a)(b)', '$2$1')", "ba"),
    (r"regexp_extract('a12b', '\d+')", "12"),
    (r"regexp_extract('ab', '\d+')", None),
    (r"regexp_extract('k=v', '(\w)=(\w)', 2)", "v"),
    ("chr(65)", "A"),
    ("codepoint('A')", "65"),
    ("translate('abc', 'ab', 'xy')", "xyc"),
    ("levenshtein_distance('kitten', 'sitting')", "3"),
    ("coalesce(null, 2)", "2"),
    ("nullif(1, 1)", None),
    ("if(1 > 2, 'a', 'b')", "b"),
    ("if(1 > 2, 'a')", None),
    ("case when 1 > 2 then 1 else 2 end", "2"),
    ("case 1 when 1 then 'x' end", "x"),
    ("date('2020-01-02')", "2020-01-02"),
    ("from_iso8601_date('2020-01-02')", "2020-01-02"),
    ("date_trunc('month', date '2020-01-22')", "2020-01-01"),
    ("date_trunc('hour', timestamp '2020-01-22 10:11:12')", "2020-01-22 10:00:00.000"),
    ("date_trunc('week', date '2020-01-22')", "2020-01-20"),
    ("date_add('day', 3, date '2020-01-01')", "2020-01-04"),
    ("date_add('month', 1, date '2020-01-31')", "2020-02-29"),
    ("date_add('hour', -1, timestamp '2020-01-01 00:00:00')", "2019-12-31 23:00:00.000"),
    ("date_diff('day', date '2020-01-01', date '2020-01-04')", "3"),
    ("date_diff('year', date '2019-12-31', date '2020-01-01')", "0"),
    ("date_diff('hour', timestamp '2020-01-01 00:59:00', timestamp '2020-01-01 01:00:00')", "0"),
    ("year(date '2020-01-02')", "2020"),
    ("quarter(date '2020-04-02')", "2"),
    ("month(date '2020-04-02')", "4"),
    ("week(date '2020-01-02')", "1"),
    ("day_of_week(date '2020-01-05')", "7"),
    ("day_of_year(date '2020-02-01')", "32"),
    ("day_of_month(date '2020-02-03')", "3"),
    ("year_of_week(date '2021-01-01')", "2020"),
    ("hour(timestamp '2020-01-01 10:11:12')", "10"),
    ("second(timestamp '2020-01-01 10:11:12.5')", "12"),
    ("millisecond(timestamp '2020-01-01 10:11:12.5')", "500"),
    ("extract(dow from date '2020-01-05')", "7"),
    ("extract(year from date '2020-01-05')", "2020"),
    ("date_format(timestamp '2020-01-02 03:04:05', '%Y-%m-%d %H:%i:%s')", "2020-01-02 03:04:05"),
    ("date_parse('2020-01-02', '%Y-%m-%d')", "2020-01-02 00:00:00.000"),
    ("from_unixtime(0)", "1970-01-01 00:00:00.000 UTC"),
    ("to_unixtime(timestamp '1970-01-01 00:00:01')", "1.0"),
    ("last_day_of_month(date '2020-02-03')", "2020-02-29"),
    ("date '2020-01-31' + interval '1' month", "2020-02-29"),
    ("date '2020-03-01' - interval '1' day", "2020-02-29"),
    ("timestamp '2020-01-01 00:00:00' + interval '2' hour", "2020-01-01 02:00:00.000"),
    ("current_date", "2024-05-06"),
    ("current_timestamp", "2024-05-06 07:08:09.000 UTC"),
    ("now() > timestamp '2024-01-01 00:00:00'", "true"),
    ("cardinality(array[1, 2])", "2"),
    ("array[1, 2][1]", "1"),
    ("element_at(array[1, 2], 5)", None),
    ("element_at(array[1, 2], -1)", "2"),
    ("contains(array[1, 2], 2)", "true"),
    ("array_join(array['a', null, 'b'], ',')", "a,b"),
    ("array_distinct(array[1, 1])", "[1]"),
    ("array_max(array[1, 3])", "3"),
    ("array_min(array[1, 3])", "1"),
    ("array_sort(array[3, 1])", "[1, 3]"),
    ("array_position(array[3, 1], 1)", "2"),
    ("array_position(array[3, 1], 9)", "0"),
    ("""json_extract_scalar('{"a": {"b": 1}}', '$.a.b')""", "1"),
    ("""json_extract_scalar('{"a": {"b": 1}}', '$.a')""", None),
    ("json_extract_scalar('no json', '$.a')", None),
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("(1 + 6) / (1 + 1)", "3"),
    ("7 / 2.0", "3.5"),
    ("1.0 / 0", "Infinity"),
    ("0.0 / 0", "NaN"),
    ("7 % 3", "1"),
    ("-7 % 3", "-1"),
    ("0.1 + 0.2", "0.30000000000000004"),
    ("1.5", "1.5"),
    ("100.0 * 2 / 3", "66.66666666666667"),
    ("cast('1.50' as decimal(5, 2)) + 1", "2.50"),
    ("1e10", "1.0E10"),
    ("'abc' like 'a%'", "true"),
    (r"'a_c' like 'a\_c' escape '\'", "true"),
    ("1 is distinct from null", "true"),
    ("2 not between 3 and 4", "true"),
    ("1 in (1, 2)", "true"),
    ("cast('12' as bigint)", "12"),
    ("cast(2.5 as integer)", "3"),
    ("cast(-2.5 as integer)", "-3"),
    ("cast(true as varchar)", "true"),
    ("cast(12 as varchar)", "12"),
    ("cast('abcdef' as varchar(3))", "abc"),
    ("cast(date '2020-01-02' as varchar)", "2020-01-02"),
    ("cast(timestamp '2020-01-02 03:04:05' as varchar)", "2020-01-02 03:04:05.000"),
    ("cast(date '2020-01-02' as timestamp)", "2020-01-02 00:00:00.000"),
    ("cast('2020-01-02' as date)", "2020-01-02"),
    ("cast('1.5' as double)", "1.5"),
    ("cast('1.25' as decimal(5, 1))", "1.3"),
    ("try_cast('x' as integer)", None),
    ("try_cast('1.5' as integer)", None),
    ("try_cast('x' as double)", None),
]


@pytest.mark.parametrize(("expression", "expected"), FUNCTIONS, ids=[each[0] for each in FUNCTIONS])
def test_functions_and_operators_answer_as_trino(duck: Any, expression: str, expected: str | None) -> None:
    assert value_text(run(duck, f"SELECT {expression}")[0][0]) == expected


AGGREGATES = [
    ("count(*), count(ts), count(distinct yr)", "2 1 2"),
    ("sum(id), avg(id), min(name), max(d)", "3 1.5 x 2020-02-01"),
    ("sum(id) / count(*), sum(amt) / count(*)", "1 2.0"),
    ("count_if(id > 1), bool_and(ok), bool_or(ok), every(id > 0)", "1 false true true"),
    ("approx_distinct(name), arbitrary(yr) > 0", "2 true"),
    ("max_by(name, id), min_by(name, id), max_by(ts, id)", "y x None"),
    ("array_agg(name order by id desc)", "[y, x]"),
    ("listagg(name, '-') within group (order by id)", "x-y"),
    ("sum(id) filter (where id > 1)", "2"),
    ("round(stddev(amt), 6), round(var_pop(amt), 2), corr(amt, id)", "0.707107 0.25 1.0"),
    ("sum(dec)", "3.50"),
]


@pytest.mark.parametrize(("expressions", "expected"), AGGREGATES, ids=[each[0] for each in AGGREGATES])
def test_aggregates_answer_as_trino(duck: Any, expressions: str, expected: str) -> None:
    (row,) = run(duck, f"SELECT {expressions} FROM db.t")
    assert " ".join(str(value_text(value)) for value in row) == expected


QUERIES = [
    ("SELECT id, st.a, t.st.b FROM db.t", [(1, 1, "q"), (2, 2, None)]),
    ("SELECT db.t.id FROM db.t WHERE awsdatacatalog.db.t.id = 1", [(1,)]),
    ("SELECT m['k'], element_at(m, 'zz') FROM db.t WHERE id = 1", [(5, None)]),
    ("SELECT u FROM db.t CROSS JOIN UNNEST(arr) AS x(u) ORDER BY u", [(1,), (2,), (3,)]),
    ("SELECT u, n FROM db.t CROSS JOIN UNNEST(arr) WITH ORDINALITY AS x(u, n) WHERE id = 1 ORDER BY 1",
     [(1, 1), (2, 2)]),
    ("SELECT t.id, amount FROM db.t JOIN db.u ON t.id = u.id", [(1, 10.0)]),
    ("SELECT id, amount FROM db.t LEFT JOIN db.u USING (id) ORDER BY 1", [(1, 10.0), (2, None)]),
    ("SELECT t.id FROM db.t WHERE EXISTS (SELECT 1 FROM db.u WHERE u.id = t.id)", [(1,)]),
    ("SELECT id FROM db.t WHERE id IN (SELECT id FROM db.u)", [(1,)]),
    ("SELECT id, (SELECT max(amount) FROM db.u WHERE u.id = t.id) FROM db.t ORDER BY id", [(1, 10.0), (2, None)]),
    ("WITH c AS (SELECT id AS z FROM db.t) SELECT z FROM c UNION ALL SELECT id FROM db.u ORDER BY z",
     [(1,), (1,), (2,)]),
    ("WITH c(k) AS (SELECT id FROM db.t) SELECT k, n FROM c JOIN (SELECT id, name FROM db.t) AS q(i, n) ON i = k"
     " ORDER BY k", [(1, "x"), (2, "y")]),
    ("SELECT id FROM db.t EXCEPT SELECT id FROM db.u", [(2,)]),
    ("SELECT id FROM db.t INTERSECT SELECT id FROM db.u", [(1,)]),
    ("SELECT name, sum(amt) FROM db.t GROUP BY 1 HAVING sum(amt) > 2", [("y", 2.5)]),
    ("SELECT max(id) FROM db.t HAVING max(id) > 1", [(2,)]),
    ("SELECT name, count(*) FROM db.t GROUP BY ROLLUP (name) ORDER BY 1", [("x", 1), ("y", 1), (None, 2)]),
    ("SELECT id, rank() OVER (ORDER BY amt DESC), lag(name) OVER w FROM db.t WINDOW w AS (ORDER BY id) ORDER BY 1",
     [(1, 2, None), (2, 1, "x")]),
    ("SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM db.t", [(1,), (3,)]),
    ("SELECT DISTINCT ok FROM db.t ORDER BY ok", [(False,), (True,)]),
    ("SELECT ts FROM db.t ORDER BY ts DESC", [(datetime(2020, 1, 1, 10, 0, 0, 500000),), (None,)]),
    ("SELECT id FROM db.t ORDER BY id DESC OFFSET 1 LIMIT 1", [(1,)]),
    ("SELECT id FROM db.t ORDER BY id FETCH FIRST 1 ROW ONLY", [(1,)]),
    ("VALUES (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
    ("SELECT x + 1 FROM (VALUES 1, 2) AS v(x)", [(2,), (3,)]),
    ("TABLE db.u", [(1, 10.0)]),
    ("SELECT 1 -- comment\n; ", [(1,)]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), QUERIES, ids=[each[0][:60] for each in QUERIES])
def test_queries_answer_as_trino(duck: Any, sql: str, expected: list) -> None:
    assert run(duck, sql) == expected


RUNTIME_ERRORS = [
    ("1 / 0", "Division by zero"),
    ("array[1][2]", "Array subscript must be less than or equal to array length"),
    ("cast('x' as integer)", "Cannot cast 'x'"),
    ("cast('1.5' as integer)", "Cannot cast '1.5'"),
    ("2147483647 + 1", "Overflow"),
]


@pytest.mark.parametrize(("expression", "message"), RUNTIME_ERRORS)
def test_what_trino_fails_on_fails(duck: Any, expression: str, message: str) -> None:
    with pytest.raises(duckdb.Error, match=message):
        run(duck, f"SELECT {expression}")


# -- columns and their names ---------------------------------------------------------------------


def test_columns_keep_the_names_they_are_written_with() -> None:
    query = translated('SELECT T.ID, name AS Foo, 1 + 1, t."amt", u.*, count(*) OVER () FROM db.t, db.u')

    assert query.labels == ("ID", "Foo", "_col2", "amt", "id", "amount", "_col6")


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


RESOLUTION = [
    ("SELECT nope FROM db.t", "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved or requester is not"
     " authorized to access requested resources"),
    ("SELECT x.nope FROM db.t x", "COLUMN_NOT_FOUND: line 1:8: Column 'x.nope'"),
    ("SELECT z.id FROM db.t", "COLUMN_NOT_FOUND: line 1:8: Column 'z.id'"),
    ("SELECT id\nFROM db.t\nWHERE\n  Nope = 1", "COLUMN_NOT_FOUND: line 4:3: Column 'nope'"),
    ("SELECT id AS email FROM db.t WHERE email = 3", "COLUMN_NOT_FOUND: line 1:36: Column 'email'"),
    ("SELECT id AS k FROM db.t GROUP BY k", "COLUMN_NOT_FOUND: line 1:35: Column 'k'"),
    ("SELECT id FROM db.t GROUP BY id HAVING nope > 1", "COLUMN_NOT_FOUND: line 1:40: Column 'nope'"),
    ("SELECT id FROM db.t WHERE EXISTS (SELECT 1 FROM db.u WHERE u.nope = 1)", "COLUMN_NOT_FOUND: line 1:60"),
    ("SELECT id FROM db.t ORDER BY nope", "COLUMN_NOT_FOUND: line 1:30"),
    ("WITH c AS (SELECT 1 AS z) SELECT z FROM db.t", "COLUMN_NOT_FOUND: line 1:34: Column 'z'"),
    ("WITH c AS (SELECT 1 AS z) SELECT c.z FROM db.t", "COLUMN_NOT_FOUND: line 1:34: Column 'c.z'"),
    ("SELECT id AS k, rank() OVER (ORDER BY k) FROM db.t", "COLUMN_NOT_FOUND: line 1:39: Column 'k'"),
    ("SELECT max(nope) FROM db.t", "COLUMN_NOT_FOUND: line 1:12"),
    ("SELECT y FROM (SELECT id AS x FROM db.t) q", "COLUMN_NOT_FOUND: line 1:8: Column 'y'"),
    ("SELECT * FROM db.h", "COLUMN_NOT_FOUND: line 1:8: Relation contains no accessible columns"),
    ("SELECT email FROM db.h", "COLUMN_NOT_FOUND: line 1:8: Column 'email'"),
    ("SELECT id FROM db.t, db.u", "SYNTAX_ERROR: line 1:8: Column 'id' is ambiguous"),
    ("SELECT *", "SYNTAX_ERROR: line 1:8: SELECT * not allowed in queries without FROM clause"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "message"), RESOLUTION, ids=[each[0][:60] for each in RESOLUTION])
def test_a_name_that_does_not_resolve_fails_where_it_stands(sql: str, message: str) -> None:
    assert failure(sql).startswith(message)


def test_ordering_by_an_alias_or_a_hidden_sort_column_works(duck: Any) -> None:
    assert run(duck, "SELECT id AS k FROM db.t ORDER BY k DESC") == [(2,), (1,)]
    assert run(duck, "SELECT id FROM db.t ORDER BY amt DESC") == [(2,), (1,)]


# -- refusals ------------------------------------------------------------------------------------

MISMATCHES = [
    ("SELECT id FROM db.t WHERE id = '1'", "TYPE_MISMATCH: line 1:27: Cannot apply operator: bigint = varchar(1)"),
    ("SELECT id FROM db.t WHERE d >= '2020-01-01'", "TYPE_MISMATCH: line 1:27: Cannot apply operator: date"),
    ("SELECT id FROM db.t WHERE yr IN ('a')", "TYPE_MISMATCH"),
    ("SELECT id FROM db.t WHERE name BETWEEN 1 AND 2", "TYPE_MISMATCH"),
    ("SELECT id FROM db.t WHERE amt", "TYPE_MISMATCH: line 1:27: WHERE clause must evaluate to a boolean"),
    ("SELECT id FROM db.t WHERE ok AND id", "TYPE_MISMATCH"),
    ("SELECT name + 1 FROM db.t", "TYPE_MISMATCH"),
    ("SELECT name * 2 FROM db.t", "TYPE_MISMATCH"),
    ("SELECT CASE WHEN ok THEN 1 ELSE name END FROM db.t", "TYPE_MISMATCH"),
    ("SELECT coalesce(id, 'x') FROM db.t", "TYPE_MISMATCH"),
    ("SELECT id FROM db.t UNION SELECT 'a'", "TYPE_MISMATCH: line 1:34: column 1 in UNION query has incompatible"),
    ("SELECT id, name FROM db.t UNION SELECT 1", "TYPE_MISMATCH"),
    ("SELECT name || id FROM db.t", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar, bigint)"),
    ("SELECT upper(id) FROM db.t", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (bigint) for function upper"),
    ("SELECT sum(name) FROM db.t", "FUNCTION_NOT_FOUND"),
    ("SELECT date_diff('day', d, '2020-01-01') FROM db.t", "FUNCTION_NOT_FOUND"),
    ("SELECT id FROM db.t WHERE id IN (SELECT name FROM db.t)", "TYPE_MISMATCH"),
    ("SELECT year(name) FROM db.t", "FUNCTION_NOT_FOUND"),
]


@pytest.mark.parametrize(("sql", "message"), MISMATCHES, ids=[each[0][:60] for each in MISMATCHES])
def test_types_that_trino_does_not_mix_are_refused(sql: str, message: str) -> None:
    assert failure(sql).startswith(message)


NOT_BUILT = [
    "SELECT read_csv('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM duckdb_settings()",
    "SELECT getenv('HOME')",
    "SELECT * FROM db.t TABLESAMPLE BERNOULLI (50)",
    "SELECT * EXCEPT (id) FROM db.t",
    "SELECT id FROM db.t FOR VERSION AS OF 1",
    "SELECT * FROM db.t NATURAL JOIN db.u",
    "SELECT transform(arr, x -> x + 1) FROM db.t",
    "SELECT approx_percentile(amt, 0.5) FROM db.t",
    "SELECT dec / 2 FROM db.t",
    "SELECT DECIMAL '1.5'",
    "SELECT avg(dec) FROM db.t",
    "SELECT cast(amt AS varchar) FROM db.t",
    "SELECT cast(arr AS json) FROM db.t",
    "SELECT d - d FROM db.t",
    "SELECT name ILIKE 'x' FROM db.t",
    "SELECT random()",
    "SELECT nosuchfunction(1)",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
    "SELECT * FROM db.t PIVOT (sum(amt) FOR yr IN (2023, 2024))",
]


@pytest.mark.parametrize("sql", NOT_BUILT, ids=[each[:60] for each in NOT_BUILT])
def test_what_is_not_listed_is_refused(sql: str) -> None:
    with pytest.raises((SqlError, Malformed)) as caught:
        translated(sql)
    assert isinstance(caught.value, Malformed) or caught.value.name == "NOT_SUPPORTED"


MALFORMED = [
    ("SELEC 1", "line 1:7"),
    ("SELECT * FROM", "line 1"),
    ("SELECT id::varchar FROM t", "line 1"),
    ("SELECT `id` FROM t", "line 1"),
    ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
    ("", "empty"),
    ("-- nothing", "empty"),
    ("SELECT", "not supported"),
]


@pytest.mark.parametrize(("sql", "message"), MALFORMED)
def test_what_does_not_parse_is_malformed(sql: str, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        parse(sql)


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
