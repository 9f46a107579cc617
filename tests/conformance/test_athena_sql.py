"""Athena's SQL: what queries may say, what does not resolve, and what is refused."""

import pytest
from athena_desk import JSON, desk
from lab import refused

NULL = None
ROWS = [
    '{"id":1,"name":"x","d":"2020-01-01","ts":"2020-01-01 10:00:00.500","amt":1.5,"dec":1.25,"ok":true,"arr":[1,2],'
    '"st":{"a":1,"b":"q","in":{"z":9}},"m":{"k":5},"items":[{"sku":"s1","n":2},{"sku":"s2","n":3}]}',
    '{"id":2,"name":"y","d":"2020-02-01","amt":2.5,"dec":2.25,"ok":false,"arr":[3],"st":{"a":2},"m":{"k":6},"items":[]}',
]
COLUMNS = {
    "id": "bigint",
    "name": "string",
    "d": "date",
    "ts": "timestamp",
    "amt": "double",
    "dec": "decimal(10,2)",
    "ok": "boolean",
    "arr": "array<int>",
    "st": "struct<a:int,b:string,in:struct<z:int,y:string>>",
    "m": "map<string,int>",
    "items": "array<struct<sku:string,n:int>>",
}


@pytest.fixture(scope="module")
def here(lab):
    made = desk(lab)
    made.table(COLUMNS, JSON, files={"1.json": "\n".join(ROWS)}, name="t")
    made.table({"id": "bigint", "amount": "double"}, files={"1.csv": "1,10\n"}, name="u")
    made.table({}, files={"1.csv": "1\n"}, name="nothing")
    return made


QUERIES = {
    "structs": [
        ("SELECT id, st.a, t.st.b, st.in.z FROM t", [("1", "1", "q", "9"), ("2", "2", NULL, NULL)]),
        ("SELECT st FROM t WHERE id = 1", [("{a=1, b=q, in={z=9, y=null}}",)]),
    ],
    "maps": [
        ("SELECT m['k'], element_at(m, 'zz'), m FROM t WHERE id = 1", [("5", NULL, "{k=5}")]),
        ("SELECT count(*) FROM t WHERE arr[1] = 3", [("1",)]),
    ],
    "unnest": [
        ("SELECT x FROM t CROSS JOIN UNNEST(arr) AS v(x) ORDER BY x", [("1",), ("2",), ("3",)]),
        ("SELECT x, n FROM t CROSS JOIN UNNEST(arr) WITH ORDINALITY AS v(x, n) WHERE id = 1 ORDER BY 1",
         [("1", "1"), ("2", "2")]),
        ("SELECT x FROM UNNEST(array[1, 2]) AS v(x)", [("1",), ("2",)]),
        ("SELECT id, x FROM t LEFT JOIN UNNEST(arr) AS v(x) ON true ORDER BY 2", [("1", "1"), ("1", "2"), ("2", "3")]),
        ("SELECT id, v.A, n + 1 FROM t CROSS JOIN UNNEST(items) AS v(A, n) ORDER BY 2",
         [("1", "s1", "3"), ("1", "s2", "4")]),
        ("SELECT sku, sum(n) / 2, k FROM t o, UNNEST(o.items) WITH ORDINALITY AS v(sku, n, k) GROUP BY sku, k"
         " ORDER BY 1", [("s1", "1", "1"), ("s2", "1", "2")]),
        ("SELECT id, a FROM t LEFT JOIN UNNEST(items) AS v(a, n) ON true ORDER BY 1, 2",
         [("1", "s1"), ("1", "s2"), ("2", NULL)]),
        ("SELECT k, w / 2 FROM t CROSS JOIN UNNEST(m) AS v(k, w) WHERE id = 1", [("k", "2")]),
    ],
    "joins": [
        ("SELECT t.id, amount FROM t JOIN u ON t.id = u.id", [("1", "10.0")]),
        ("SELECT id, amount FROM t LEFT JOIN u USING (id) ORDER BY 1", [("1", "10.0"), ("2", NULL)]),
        ("SELECT t.id, u.id FROM u RIGHT JOIN t ON t.id = u.id ORDER BY 1", [("1", "1"), ("2", NULL)]),
        ("SELECT count(*) FROM t FULL OUTER JOIN u ON t.id = u.id + 5", [("3",)]),
        ("SELECT count(*) FROM t, u", [("2",)]),
        ("SELECT a.id FROM t a JOIN t b ON a.id = b.id WHERE b.ok", [("1",)]),
    ],
    "subqueries": [
        ("SELECT t.id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)", [("1",)]),
        ("SELECT id FROM t WHERE id NOT IN (SELECT id FROM u)", [("2",)]),
        ("SELECT id, (SELECT max(amount) FROM u WHERE u.id = t.id) FROM t ORDER BY id", [("1", "10.0"), ("2", NULL)]),
        ("SELECT q.i FROM (SELECT id, name FROM t) AS q(i, n) WHERE n = 'y'", [("2",)]),
    ],
    "ctes": [
        ("WITH c AS (SELECT id AS z FROM t) SELECT z FROM c UNION ALL SELECT id FROM u ORDER BY z",
         [("1",), ("1",), ("2",)]),
        ("WITH c(k) AS (SELECT id FROM t) SELECT k, n FROM c JOIN (SELECT id, name FROM t) AS q(i, n) ON i = k"
         " ORDER BY k", [("1", "x"), ("2", "y")]),
        ("WITH a AS (SELECT id FROM t), b AS (SELECT max(id) AS top FROM a) SELECT top FROM b", [("2",)]),
        ("WITH t AS (SELECT id * 10 AS id FROM t) SELECT id FROM t ORDER BY 1", [("10",), ("20",)]),
    ],
    "sets": [
        ("SELECT id FROM t EXCEPT SELECT id FROM u", [("2",)]),
        ("SELECT id FROM t INTERSECT SELECT id FROM u", [("1",)]),
        ("SELECT ok FROM t UNION SELECT true ORDER BY 1", [("false",), ("true",)]),
        ("VALUES (1, 'a'), (2, 'b')", [("1", "a"), ("2", "b")]),
        ("SELECT x + 1 FROM (VALUES 1, 2) AS v(x)", [("2",), ("3",)]),
        ("TABLE u", [("1", "10.0")]),
        ("(SELECT 1) UNION ALL (SELECT 1)", [("1",), ("1",)]),
    ],
    "groups": [
        ("SELECT name, sum(amt) FROM t GROUP BY 1 HAVING sum(amt) > 2", [("y", "2.5")]),
        ("SELECT max(id) FROM t HAVING max(id) > 1", [("2",)]),
        ("SELECT name, count(*), grouping(name) FROM t GROUP BY ROLLUP (name) ORDER BY 1",
         [("x", "1", "0"), ("y", "1", "0"), (NULL, "2", "1")]),
        ("SELECT count(*) FROM (SELECT name, ok FROM t GROUP BY CUBE (name, ok)) AS q", [("7",)]),
        ("SELECT count(*) FROM (SELECT name FROM t GROUP BY GROUPING SETS ((name), ())) AS q", [("3",)]),
        ("SELECT DISTINCT id / id FROM t", [("1",)]),
    ],
    "windows": [
        ("SELECT id, rank() OVER (ORDER BY amt DESC), lag(name) OVER w FROM t WINDOW w AS (ORDER BY id) ORDER BY 1",
         [("1", "2", NULL), ("2", "1", "x")]),
        ("SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t ORDER BY 1",
         [("1",), ("3",)]),
        ("SELECT row_number() OVER (PARTITION BY ok ORDER BY id), dense_rank() OVER (ORDER BY id), ntile(2) OVER"
         " (ORDER BY id), percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY id) FROM t ORDER BY 2",
         [("1", "1", "1", "0.0", "0.5"), ("1", "2", "2", "1.0", "1.0")]),
        ("SELECT lead(id, 1, 9) OVER (ORDER BY id), first_value(name) OVER (ORDER BY id), last_value(name) OVER (ORDER"
         " BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), nth_value(name, 2) OVER (ORDER BY id)"
         " FROM t ORDER BY 1", [("2", "x", "y", NULL), ("9", "x", "y", "y")]),
        ("SELECT first_value(ts) IGNORE NULLS OVER (ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED"
         " FOLLOWING) FROM t LIMIT 1", [("2020-01-01 10:00:00.500",)]),
    ],
    "order": [
        ("SELECT ts FROM t ORDER BY ts DESC", [("2020-01-01 10:00:00.500",), (NULL,)]),
        ("SELECT ts FROM t ORDER BY ts NULLS FIRST", [(NULL,), ("2020-01-01 10:00:00.500",)]),
        ("SELECT id FROM t ORDER BY id DESC OFFSET 1 LIMIT 1", [("1",)]),
        ("SELECT id FROM t ORDER BY id FETCH FIRST 1 ROW ONLY", [("1",)]),
        ("SELECT id AS k FROM t ORDER BY k DESC", [("2",), ("1",)]),
        ("SELECT id FROM t ORDER BY amt DESC", [("2",), ("1",)]),
        ("SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 1) AS q", [("1",)]),
        ("SELECT 1 x -- comment\n; ", [("1",)]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", [pytest.param(n, marks=pytest.mark.statement(f"athena-sql.{n}")) for n in QUERIES])
def test_queries_answer_as_trino(here, kind):
    assert {sql: here.rows(sql) for sql, _ in QUERIES[kind]} == dict(QUERIES[kind])


@pytest.mark.statement("athena-sql.names")
def test_tables_may_be_named_with_their_database_and_catalogue(here):
    db = here.database
    assert here.rows(f"SELECT {db}.t.id FROM {db}.t WHERE AwsDataCatalog.{db}.t.id = 1") == [("1",)]
    assert here.rows(f'SELECT t.ID FROM "AwsDataCatalog"."{db}".t, {db.upper()}.U WHERE t.id = u.id') == [("1",)]
    assert here.rows(f"SELECT t.id FROM t CROSS JOIN {db}.u AS t2 WHERE t.id = 2") == [("2",)]
    assert here.rows(f"WITH u AS (SELECT 5 AS amount) SELECT amount FROM {db}.u") == [("10.0",)]
    other = {"QueryExecutionContext": {"Database": "nowhere", "Catalog": "AwsDataCatalog"}}
    assert here.rows(f"SELECT amount FROM {db}.u", **other) == [("10.0",)]


@pytest.mark.statement("athena-sql.column-names")
def test_columns_are_named_as_they_are_written_or_by_their_place(here):
    sql = 'SELECT T.ID, name AS Foo, 1 + 1, t."amt", u.*, count(*) OVER () FROM t, u WHERE t.id = 1'
    header, *rows = here.all_rows(here.run(sql)["QueryExecutionId"])
    assert header == ("ID", "Foo", "_col2", "amt", "id", "amount", "_col6")
    assert len(rows) == 1
    sql = "SELECT id AS first, 2 FROM t UNION ALL SELECT amount, 1 AS other FROM u"
    assert here.all_rows(here.run(sql)["QueryExecutionId"])[0] == ("first", "_col1")


@pytest.mark.statement("athena-sql.literals")
def test_a_number_with_a_point_is_a_double(here):
    assert here.rows("SELECT 0.1 + 0.2, 100.0 * 2 / 3") == [("0.30000000000000004", "66.66666666666667")]


HIDDEN = "cannot be resolved or requester is not authorized to access requested resources"
UNRESOLVED = [
    ("SELECT nope FROM t", f"COLUMN_NOT_FOUND: line 1:8: Column 'nope' {HIDDEN}"),
    ("SELECT x.nope FROM t x", f"COLUMN_NOT_FOUND: line 1:8: Column 'x.nope' {HIDDEN}"),
    ("SELECT z.id FROM t", f"COLUMN_NOT_FOUND: line 1:8: Column 'z.id' {HIDDEN}"),
    ("SELECT nowhere.t.id FROM t", f"COLUMN_NOT_FOUND: line 1:8: Column 'nowhere.t.id' {HIDDEN}"),
    ("SELECT id\nFROM t\nWHERE\n  Nope = 1", "COLUMN_NOT_FOUND: line 4:3: Column 'nope'"),
    ("SELECT id AS email FROM t WHERE email = 3", "COLUMN_NOT_FOUND: line 1:33: Column 'email'"),
    ("SELECT id AS k FROM t GROUP BY k", "COLUMN_NOT_FOUND: line 1:32: Column 'k'"),
    ("SELECT id FROM t GROUP BY id HAVING nope > 1", "COLUMN_NOT_FOUND: line 1:37: Column 'nope'"),
    ("SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.nope = 1)", "COLUMN_NOT_FOUND: line 1:54"),
    ("SELECT id FROM t ORDER BY nope", "COLUMN_NOT_FOUND: line 1:27"),
    ("SELECT id FROM (SELECT id FROM t ORDER BY k) AS q ORDER BY 1", "COLUMN_NOT_FOUND: line 1:43"),
    ("SELECT id AS k FROM t WHERE id IN (SELECT u.id FROM u ORDER BY k)", "COLUMN_NOT_FOUND: line 1:64"),
    ("WITH c AS (SELECT 1 AS z) SELECT z FROM t", "COLUMN_NOT_FOUND: line 1:34: Column 'z'"),
    ("WITH c AS (SELECT 1 AS z) SELECT c.z FROM t", "COLUMN_NOT_FOUND: line 1:34: Column 'c.z'"),
    ("SELECT id AS k, rank() OVER (ORDER BY k) FROM t", "COLUMN_NOT_FOUND: line 1:39: Column 'k'"),
    ("SELECT max(nope) FROM t", "COLUMN_NOT_FOUND: line 1:12"),
    ("SELECT y FROM (SELECT id AS x FROM t) q", "COLUMN_NOT_FOUND: line 1:8: Column 'y'"),
    ("SELECT count(*), * FROM nothing", "COLUMN_NOT_FOUND: line 1:18: Relation contains no accessible columns"),
    ("SELECT email FROM nothing", "COLUMN_NOT_FOUND: line 1:8: Column 'email'"),
    ("SELECT id FROM t, u", "SYNTAX_ERROR: line 1:8: Column 'id' is ambiguous"),
    ("SELECT *", "SYNTAX_ERROR: line 1:8: SELECT * not allowed in queries without FROM clause"),
    ("SELECT count(DISTINCT id, name) FROM t", "SYNTAX_ERROR: line 1:23: Unexpected parameters"),
    ("SELECT name, count(*) FROM t", "EXPRESSION_NOT_AGGREGATE: 'name' must be an aggregate expression or appear in"),
    ("SELECT * FROM other.db.t", "CATALOG_NOT_FOUND: line 1:15: Catalog 'other' does not exist"),
    ("SELECT * FROM nowhere.t", "SCHEMA_NOT_FOUND: line 1:15: Schema 'nowhere' does not exist"),
    ("SELECT 1 FROM t AS gone JOIN gone ON true", "TABLE_NOT_FOUND: line 1:30: Table 'awsdatacatalog."),
]


def failures(here, pairs):
    """The reasons of queries that fail, started all at once: those that do not begin as they should."""
    started = {sql: here.start(sql) for sql, *_ in pairs}
    found = {}
    for sql, *_ in pairs:
        status = here.ended(started[sql])["Status"]
        found[sql] = status.get("StateChangeReason") if status["State"] == "FAILED" else status["State"]
    return found


@pytest.mark.statement("athena-sql.resolution")
def test_a_name_that_does_not_resolve_fails_where_it_stands(here):
    found = failures(here, UNRESOLVED)
    assert [(sql, found[sql]) for sql, reason in UNRESOLVED if not found[sql].startswith(reason)] == []


MISMATCHES = [
    ("SELECT id FROM t WHERE id = '1'", "TYPE_MISMATCH: line 1:24: Cannot apply operator: bigint = varchar(1)"),
    ("SELECT id FROM t WHERE d >= '2020-01-01'", "TYPE_MISMATCH: line 1:24: Cannot apply operator: date >="),
    ("SELECT id FROM t WHERE name IN (1)", "TYPE_MISMATCH"),
    ("SELECT id FROM t WHERE name BETWEEN 1 AND 2", "TYPE_MISMATCH"),
    ("SELECT id FROM t WHERE amt", "TYPE_MISMATCH: line 1:24: WHERE clause must evaluate to a boolean"),
    ("SELECT id FROM t WHERE ok AND id", "TYPE_MISMATCH"),
    ("SELECT NOT id FROM t", "TYPE_MISMATCH"),
    ("SELECT name + 1 FROM t", "TYPE_MISMATCH"),
    ("SELECT name * 2 FROM t", "TYPE_MISMATCH"),
    ("SELECT d + 1 FROM t", "TYPE_MISMATCH: line 1:8: Cannot apply operator: date + integer"),
    ("SELECT d - 1 FROM t", "TYPE_MISMATCH: line 1:8: Cannot apply operator: date - integer"),
    ("SELECT d + d FROM t", "TYPE_MISMATCH: line 1:8: Cannot apply operator: date + date"),
    ("SELECT CASE WHEN ok THEN 1 ELSE name END FROM t", "TYPE_MISMATCH"),
    ("SELECT if(ok, 1, name) FROM t", "TYPE_MISMATCH"),
    ("SELECT coalesce(id, 'x') FROM t", "TYPE_MISMATCH"),
    ("SELECT nullif(id, 'x') FROM t", "TYPE_MISMATCH"),
    ("SELECT greatest(id, 'x') FROM t", "TYPE_MISMATCH"),
    ("SELECT id FROM t UNION SELECT 'a'", "TYPE_MISMATCH: line 1:31: column 1 in UNION query has incompatible types"),
    ("SELECT id, name FROM t UNION SELECT 1", "TYPE_MISMATCH: line 1:8: UNION query has different number of fields"),
    ("SELECT id FROM t WHERE id IN (SELECT name FROM t)", "TYPE_MISMATCH"),
    ("SELECT cast(arr AS bigint) FROM t", "TYPE_MISMATCH: line 1:13: Cannot cast array(integer) to bigint"),
    ("SELECT name || id FROM t", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar, bigint)"),
    ("SELECT concat(name, id) FROM t", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar, bigint)"),
    ("SELECT upper(id) FROM t", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (bigint) for function upper"),
    ("SELECT length('ab'), lower(5)", "FUNCTION_NOT_FOUND: line 1:22: Unexpected parameters (integer) for function"),
    ("SELECT sum(name) FROM t", "FUNCTION_NOT_FOUND"),
    ("SELECT sum(DISTINCT name) FROM t", "FUNCTION_NOT_FOUND"),
    ("SELECT abs(name) FROM t", "FUNCTION_NOT_FOUND"),
    ("SELECT year(name) FROM t", "FUNCTION_NOT_FOUND"),
    ("SELECT date_diff('day', d, '2020-01-01') FROM t", "FUNCTION_NOT_FOUND"),
    (
        "SELECT a FROM t CROSS JOIN UNNEST(items) AS v(a)",
        "MISMATCHED_COLUMN_ALIASES: line 1:35: Column",
    ),
    ("SELECT a FROM t CROSS JOIN UNNEST(items) AS v(a, n) WHERE n = 'x'", "TYPE_MISMATCH: line 1:"),
    ("SELECT cast(1 AS string)", "TYPE_NOT_FOUND: line 1:18: Unknown type: string"),
    ("SELECT cast(abs(1) AS string)", "TYPE_NOT_FOUND: line 1:23: Unknown type: string"),
    ("SELECT try_cast(1 AS float)", "TYPE_NOT_FOUND: line 1:22: Unknown type: float"),
    ("SELECT date_trunc('moon', d) FROM t", "INVALID_FUNCTION_ARGUMENT: line 1:8: 'moon' is not a valid"),
    ("SELECT date_add('hour', 1, d) FROM t", "INVALID_FUNCTION_ARGUMENT: line 1:8: 'hour' is not a valid DATE field"),
    ("SELECT date_format(d, '%U') FROM t", "INVALID_FUNCTION_ARGUMENT: line 1:8: %U not supported in date format"),
    ("SELECT regexp_extract(name, '(x)', 2) FROM t", "INVALID_FUNCTION_ARGUMENT: line 1:8: Pattern has 1 groups."),
]


@pytest.mark.statement("athena-sql.types")
def test_types_that_trino_does_not_mix_are_refused(here):
    found = failures(here, MISMATCHES)
    assert [(sql, found[sql]) for sql, reason in MISMATCHES if not found[sql].startswith(reason)] == []


NOT_BUILT = [
    ("SELECT read_text('/etc/passwd')", "function read_text is unknown"),
    ("SELECT * FROM read_csv('/etc/passwd')", "not built"),
    ("SELECT * FROM duckdb_settings()", "a table function"),
    ("SELECT getenv('HOME')", "function getenv"),
    ("SELECT nosuchfunction(1)", "function nosuchfunction"),
    ("SELECT random()", "function rand"),
    ("SELECT nvl(1, 2)", "line 1:8: function nvl is unknown"),
    ("SELECT len('a')", "function len"),
    ("SELECT to_char(d, 'yyyy') FROM t", "function to_char"),
    ("SELECT group_concat(name) FROM t", "function group_concat"),
    ("SELECT current_user", "function current_user"),
    ("SELECT convert(1, varchar)", "function convert"),
    ("SELECT transform(arr, x -> x + 1) FROM t", "function transform"),
    ("SELECT approx_percentile(amt, 0.5) FROM t", "function approx_"),
    ("SELECT * FROM t TABLESAMPLE BERNOULLI (50)", "TABLE sample"),
    ("SELECT * FROM t NATURAL JOIN u", "JOIN method"),
    ("SELECT * FROM t CROSS JOIN LATERAL (SELECT 1)", "LATERAL"),
    ("SELECT * FROM t SEMI JOIN u ON true", "a SEMI join"),
    ("SELECT id FROM t FOR VERSION AS OF 1", "TABLE"),
    ("SELECT * FROM t PIVOT (sum(amt) FOR id IN (1, 2))", "TABLE pivots"),
    ("SELECT DISTINCT ON (id) id FROM t", "DISTINCT on"),
    ("SELECT name ILIKE 'x' FROM t", "ILIKE"),
    ("SELECT id & 1 FROM t", "BITWISEAND"),
    ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r", "WITH recursive"),
    ("SELECT * FROM UNNEST(array[1], array[2]) AS v(a, b)", "UNNEST of several arrays"),
    ("SELECT * FROM (SELECT m FROM t) AS q CROSS JOIN UNNEST(m) AS v(k, w)", "UNNEST of a map"),
    ("SELECT * FROM t CROSS JOIN UNNEST(array[st]) AS v(a)", "UNNEST of rows"),
    ("SELECT dec / 2 FROM t", "dividing decimals"),
    ("SELECT dec / dec FROM t", "dividing decimals"),
    ("SELECT DECIMAL '1.5'", "a decimal without precision and scale"),
    ("SELECT avg(dec) FROM t", "AVG of decimals"),
    ("SELECT cast(amt AS varchar) FROM t", "CAST of a double to varchar"),
    ("SELECT cast(st AS varchar) FROM t", "CAST of row"),
    ("SELECT cast(name AS json) FROM t", "CAST to json"),
    ("SELECT cast(arr AS array(bigint)) FROM t", "CAST to array"),
    ("SELECT d - d FROM t", "the difference of two times"),
    ("SELECT interval '1' day", "an interval as a result"),
    ("SELECT sign(dec) FROM t", "SIGN of decimal"),
    ("SELECT strpos('banana', 'a', 2)", "with occurrence"),
    ("SELECT split('a,b,c', ',', 2)", "SPLIT with limit"),
    ("SELECT replace(name, '', 'x') FROM t", "replace of an empty text"),
    ("SELECT regexp_replace(name, 'a', name) FROM t", "a replacement that is not a literal"),
    ("SELECT regexp_replace(name, 'a', 1) FROM t", "a replacement that is not a literal"),
    (r"SELECT regexp_replace(name, 'a', '\b') FROM t", "an escape or a named group"),
    ("SELECT regexp_replace(name, 'a', '${x}') FROM t", "an escape or a named group"),
    ("SELECT regexp_extract(name, '(x)?y', 1) FROM t", "a group that may take no part"),
    ("SELECT regexp_extract(name, '(x)|(y)', 1) FROM t", "a group that may take no part"),
    ("SELECT regexp_extract('a', name, 1) FROM t", "a pattern that is not a literal"),
    ("SELECT regexp_like(name, '(?=a)') FROM t", "cannot run this query"),
    ("SELECT date_format(d, name) FROM t", "a date format that is not a literal"),
    ("SELECT date_format(d, 5) FROM t", "a date format that is not a literal"),
    ("SELECT regexp_extract(name, '(x)', id) FROM t", "a pattern that is not a literal"),
    ("SELECT date_format(d, '%v') FROM t", "%v in a date format"),
    ("SELECT extract(timezone_hour FROM ts) FROM t", "EXTRACT(TIMEZONE_HOUR)"),
    ("SELECT json_extract_scalar(name, name) FROM t", "a path that is not a literal"),
    ("SELECT max_by(name, id, 2) FROM t", "of several values"),
    ("SELECT x / 2 FROM (SELECT m['k'] AS x FROM t) AS q", "dividing a value whose type is not known"),
    ("SELECT cast(x AS bigint) FROM (SELECT m['k'] AS x FROM t) AS q", "CAST of a value whose type is not known"),
]


@pytest.mark.statement("athena-sql.not-built")
def test_what_is_not_translated_is_an_error_that_says_so(here):
    found = failures(here, NOT_BUILT)
    wrong = [(sql, found[sql]) for sql, part in NOT_BUILT if part not in found[sql]]
    assert wrong == []
    assert {reason.partition(":")[0] for reason in found.values()} == {"NOT_SUPPORTED"}


MALFORMED = [
    ("SELEC 1", "line 1:7: mismatched input"),
    ("SELECT * FROM", "line 1"),
    ("SELECT", "Queries of this type are not supported"),
    ("SELECT id::varchar FROM t", "line 1:10: mismatched input '::'"),
    ("SELECT `id` FROM t", "line 1"),
    ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
    ("-- nothing", "Query is empty"),
    ("1 + 1", "Queries of this type are not supported"),
    ("SELECT 1 == 1", "line 1:10: mismatched input '=='"),
    ("SELECT 'a' 'b'", "line 1:12: mismatched input"),
    ("SELECT 1, FROM t", "line 1:11: mismatched input 'FROM'"),
    ("SELECT [1, 2]", "mismatched input '['"),
    ("SELECT 1_000", "mismatched input"),
    ("SELECT name RLIKE 'b' FROM t", "mismatched input 'RLIKE'"),
    ("SELECT id FROM t WHERE id ISNULL", "mismatched input 'ISNULL'"),
    ("SELECT id FROM t WHERE id NOTNULL", "mismatched input 'NOTNULL'"),
    ("SELECT id FROM t WHERE id <=> 1", "mismatched input '<=>'"),
    ("SELECT id FROM t LIMIT 1 OFFSET 1", "mismatched input 'OFFSET'"),
    ("SELECT id FROM t LIMIT 1, 2", "mismatched input ','"),
]


@pytest.mark.statement("athena-sql.malformed")
def test_what_does_not_parse_starts_no_query(here):
    for sql, message in MALFORMED:
        with refused("InvalidRequestException", message=message) as caught:
            here.start(sql)
        assert caught.value.response["AthenaErrorCode"] == "MALFORMED_QUERY", sql


@pytest.mark.statement("athena-sql.written-statements")
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE x (id int) LOCATION 's3://nowhere/'",
        "INSERT INTO t SELECT * FROM t",
        "DELETE FROM t",
        "UPDATE t SET id = 1",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
        "UNLOAD (SELECT 1) TO 's3://nowhere/' WITH (format = 'PARQUET')",
        "DROP TABLE t",
        "ALTER TABLE t ADD PARTITION (x = 1)",
        "MSCK REPAIR TABLE t",
        "SHOW CREATE TABLE t",
        "EXPLAIN SELECT 1",
        "/* a comment */ PREPARE p FROM SELECT 1",
    ],
)
@pytest.mark.local_only("these run on AWS")
def test_statements_that_write_fail_and_say_that_they_are_not_built(here, sql):
    verb = sql.removeprefix("/* a comment */ ").split()[0]
    status = here.failed(sql)
    assert status["StateChangeReason"].startswith(f"NOT_SUPPORTED: {verb} statements are not built in the local AWS")
    assert status["AthenaError"]["ErrorType"] == 1200
