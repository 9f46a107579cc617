"""Athena's functions, operators and casts answer as Trino's, which Athena runs; expected values are Trino's."""

import pytest
from athena_desk import desk

NULL = None
NUMBERS = [
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
    ("pow(2, 3)", "8.0"),
    ("sqrt(9)", "3.0"),
    ("sqrt(-1)", "NaN"),
    ("exp(0)", "1.0"),
    ("ln(1)", "0.0"),
    ("ln(0)", "-Infinity"),
    ("log2(8)", "3.0"),
    ("log10(100)", "2.0"),
    ("log(2, 8)", "3.0"),
    ("sign(-3)", "-1"),
    ("sign(-2.5)", "-1.0"),
    ("pi()", "3.141592653589793"),
    ("greatest(1, 3, 2)", "3"),
    ("greatest(1, null, 2)", NULL),
    ("least(3, 1, 2)", "1"),
    ("least(1, null, 2)", NULL),
]
TEXT = [
    ("length('héé')", "3"),
    ("lower('ÄB')", "äb"),
    ("upper('äb')", "ÄB"),
    ("trim('  a ')", "a"),
    ("trim(chr(10) || ' a ' || chr(9))", "a"),
    ("ltrim('  a ')", "a "),
    ("rtrim('  a ')", "  a"),
    ("trim(both 'x' from 'xax')", "a"),
    ("trim(leading 'x' from 'xax')", "ax"),
    ("substr('hello', 2, 3)", "ell"),
    ("substr('hello', 2, 99)", "ello"),
    ("substr('hello', 2, -1)", ""),
    ("substr('hello', -3)", "llo"),
    ("substr('hello', 0)", ""),
    ("substr('hello', 0, 2)", ""),
    ("substr('hello', -10)", ""),
    ("substring('hello' from 2 for 3)", "ell"),
    ("concat('a', 'b', 'c')", "abc"),
    ("concat('a', null)", NULL),
    ("'a' || null", NULL),
    ("concat_ws(',', 'a', null, 'b')", "a,b"),
    ("replace('abcabc', 'b', 'x')", "axcaxc"),
    ("replace('abcabc', 'b')", "acac"),
    ("reverse('abc')", "cba"),
    ("strpos('hello', 'l')", "3"),
    ("position('l' in 'hello')", "3"),
    ("split('a,b,c', ',')", "[a, b, c]"),
    ("split_part('a,b', ',', 2)", "b"),
    ("split_part('a,b', ',', 5)", NULL),
    ("starts_with('hello', 'he')", "true"),
    ("lpad('5', 3, '0')", "005"),
    ("rpad('12345', 3, '0')", "123"),
    ("chr(65)", "A"),
    ("codepoint('A')", "65"),
    ("translate('abc', 'ab', 'xy')", "xyc"),
    ("levenshtein_distance('kitten', 'sitting')", "3"),
    ("'abc' like 'a%'", "true"),
    (r"'a_c' like 'a\_c' escape '\'", "true"),
]
PATTERNS = [
    (r"regexp_like('a1b', '\d')", "true"),
    (r"regexp_replace('a1b2', '\d', 'x')", "axbx"),
    (r"regexp_replace('a1b2', '\d')", "ab"),
    ("regexp_replace('ab', '(a)(b)', '$2$1')", "ba"),
    (r"regexp_extract('a12b', '\d+')", "12"),
    (r"regexp_extract('ab', '\d+')", NULL),
    (r"regexp_extract('k=v', '(\w)=(\w)', 2)", "v"),
    (r"regexp_extract('x', '(\w)=(\w)', 2)", NULL),
]
CONDITIONS = [
    ("coalesce(null, 2)", "2"),
    ("nullif(1, 1)", NULL),
    ("if(1 > 2, 'a', 'b')", "b"),
    ("if(1 > 2, 'a')", NULL),
    ("case when 1 > 2 then 1 else 2 end", "2"),
    ("case 1 when 1 then 'x' end", "x"),
    ("1 is distinct from null", "true"),
    ("null is not distinct from null", "true"),
    ("2 not between 3 and 4", "true"),
    ("1 in (1, 2)", "true"),
    ("1 in (2, null)", NULL),
    ("true and null", NULL),
    ("true or null", "true"),
    ("not true", "false"),
    ("1 is null", "false"),
]
DATES = [
    ("date('2020-01-02')", "2020-01-02"),
    ("date '2020-1-2'", "2020-01-02"),
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
    ("day(date '2020-04-02')", "2"),
    ("week(date '2020-01-02')", "1"),
    ("week_of_year(date '2021-01-03')", "53"),
    ("day_of_week(date '2020-01-05')", "7"),
    ("dow(date '2020-01-05')", "7"),
    ("day_of_year(date '2020-02-01')", "32"),
    ("doy(date '2020-02-01')", "32"),
    ("day_of_month(date '2020-02-03')", "3"),
    ("year_of_week(date '2021-01-01')", "2020"),
    ("yow(date '2021-01-01')", "2020"),
    ("hour(timestamp '2020-01-01 10:11:12')", "10"),
    ("minute(timestamp '2020-01-01 10:11:12')", "11"),
    ("second(timestamp '2020-01-01 10:11:12.5')", "12"),
    ("millisecond(timestamp '2020-01-01 10:11:12.5')", "500"),
    ("extract(dow from date '2020-01-05')", "7"),
    ("extract(year from date '2020-01-05')", "2020"),
    ("from_unixtime(0)", "1970-01-01 00:00:00.000 UTC"),
    ("to_unixtime(timestamp '1970-01-01 00:00:01')", "1.0"),
    ("last_day_of_month(date '2020-02-03')", "2020-02-29"),
    ("date '2020-01-31' + interval '1' month", "2020-02-29"),
    ("date '2020-03-01' - interval '1' day", "2020-02-29"),
    ("timestamp '2020-01-01 00:00:00' + interval '2' hour", "2020-01-01 02:00:00.000"),
    ("timestamp '2020-01-01 00:00:00' < date '2020-01-02'", "true"),
    ("current_date > date '2020-01-01'", "true"),
    ("now() = current_timestamp", "true"),
]
MOMENT = "timestamp '2020-01-02 15:04:05.678'"
DATE_FORMATS = [
    (f"date_format({MOMENT}, '%Y-%m-%d %H:%i:%s')", "2020-01-02 15:04:05"),
    (f"date_format({MOMENT}, '%a %W %b %M %c %e %j %y')", "Thu Thursday Jan January 1 2 002 20"),
    (f"date_format({MOMENT}, '%h %I %k %l %p')", "03 03 15 3 PM"),
    (f"date_format({MOMENT}, '%r|%T|%S|%f|%%')", "03:04:05 PM|15:04:05|05|678000|%"),
    ("date_parse('2020-01-02', '%Y-%m-%d')", "2020-01-02 00:00:00.000"),
    ("date_parse('02/Jan/2020:03:04:05', '%d/%b/%Y:%H:%i:%s')", "2020-01-02 03:04:05.000"),
]
COLLECTIONS = [
    ("cardinality(array[1, 2])", "2"),
    ("array[1, 2][1]", "1"),
    ("element_at(array[1, 2], 5)", NULL),
    ("element_at(array[1, 2], -1)", "2"),
    ("contains(array[1, 2], 2)", "true"),
    ("contains(array[1, 2], 3)", "false"),
    ("contains(array[1, null], 3)", NULL),
    ("array_join(array['a', null, 'b'], ',')", "a,b"),
    ("array_join(array['a', null], ',', 'x')", "a,x"),
    ("array_distinct(array[3, 1, 3, null, null])", "[3, 1, null]"),
    ("array_max(array[1, 3])", "3"),
    ("array_max(array[1, null])", NULL),
    ("array_min(array[1, 3])", "1"),
    ("array_min(array[1, null])", NULL),
    ("array_sort(array[3, null, 1])", "[1, 3, null]"),
    ("array_position(array[3, 1], 1)", "2"),
    ("array_position(array[3, 1], 9)", "0"),
    ("array_position(array[3, 1], null)", NULL),
    ("array[1] || array[2]", "[1, 2]"),
    ("""json_extract_scalar('{"a": {"b": 1}}', '$.a.b')""", "1"),
    ("""json_extract_scalar('{"a": [1, true]}', '$.a[1]')""", "true"),
    ("""json_extract_scalar('{"a": {"b": 1}}', '$.a')""", NULL),
    ("json_extract_scalar('no json', '$.a')", NULL),
]
OPERATORS = [
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("(1 + 6) / (1 + 1)", "3"),
    ("7 / 2.0", "3.5"),
    ("1.0 / 0", "Infinity"),
    ("0.0 / 0", "NaN"),
    ("7 % 3", "1"),
    ("-7 % 3", "-1"),
    ("(2 + 5) % 3", "1"),
    ("cast('1.50' as decimal(5, 2)) + 1", "2.50"),
    ("cast('1.50' as decimal(5, 2)) / 2.0", "0.75"),
    ("1e10", "1.0E10"),
    ("'2' > '10'", "true"),
]
CASTS = [
    ("cast('12' as bigint)", "12"),
    ("cast('-7' as tinyint)", "-7"),
    ("cast(2.5 as integer)", "3"),
    ("cast(-2.5 as integer)", "-3"),
    ("cast(true as varchar)", "true"),
    ("cast(12 as varchar)", "12"),
    ("cast('abcdef' as varchar(3))", "abc"),
    ("cast(12 as varchar(3))", "12"),
    ("cast(date '2020-01-02' as varchar)", "2020-01-02"),
    ("cast(timestamp '2020-01-02 03:04:05' as varchar)", "2020-01-02 03:04:05.000"),
    ("cast(date '2020-01-02' as timestamp)", "2020-01-02 00:00:00.000"),
    ("cast('2020-01-02' as date)", "2020-01-02"),
    ("cast('2020-01-02 10:11' as timestamp)", "2020-01-02 10:11:00.000"),
    ("cast('t' as boolean)", "true"),
    ("cast('FALSE' as boolean)", "false"),
    ("cast('1.5' as double)", "1.5"),
    ("cast(1.5 as real)", "1.5"),
    ("cast('1.25' as decimal(5, 1))", "1.3"),
    ("cast(1 as boolean)", "true"),
    ("cast(true as integer)", "1"),
    ("cast(cast('2.5' as decimal(3, 1)) as integer)", "3"),
    ("try_cast('x' as integer)", NULL),
    ("try_cast('1.5' as integer)", NULL),
    ("try_cast('x' as double)", NULL),
    ("try_cast('yes' as boolean)", NULL),
    ("try_cast('x' as date)", NULL),
    ("try_cast('x' as timestamp)", NULL),
]
FAMILIES = {
    "numbers": NUMBERS,
    "text": TEXT,
    "patterns": PATTERNS,
    "conditions": CONDITIONS,
    "dates": DATES,
    "date-formats": DATE_FORMATS,
    "collections": COLLECTIONS,
    "operators": OPERATORS,
    "casts": CASTS,
}


@pytest.fixture(scope="module")
def here(lab):
    return desk(lab)


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=pytest.mark.statement(f"athena-sql.{name}")) for name in FAMILIES],
)
def test_functions_answer_as_trino(here, family):
    expressions = [expression for expression, _ in FAMILIES[family]]
    (answers,) = here.rows(f"SELECT {', '.join(expressions)}")
    assert dict(zip(expressions, answers, strict=True)) == dict(FAMILIES[family])


ROWS = (
    "(VALUES (1, 'x', 1.5, true, date '2020-01-01', cast(1.1 as real), cast('1.25' as decimal(10, 2)), null),"
    " (2, 'y', 2.5, false, date '2020-02-01', cast(1.1 as real), cast('2.25' as decimal(10, 2)), 7))"
    " AS t(id, name, amt, ok, d, r, dec, n)"
)
AGGREGATES = [
    ("count(*)", "2"),
    ("count(n)", "1"),
    ("count(distinct ok)", "2"),
    ("sum(id)", "3"),
    ("avg(id)", "1.5"),
    ("min(name)", "x"),
    ("max(d)", "2020-02-01"),
    ("sum(id) / count(*)", "1"),
    ("sum(amt) / count(*)", "2.0"),
    ("sum(dec)", "3.50"),
    ("avg(r)", "1.1"),
    ("sum(distinct r)", "1.1"),
    ("count_if(id > 1)", "1"),
    ("bool_and(ok)", "false"),
    ("bool_or(ok)", "true"),
    ("every(id > 0)", "true"),
    ("approx_distinct(name)", "2"),
    ("arbitrary(n)", "7"),
    ("any_value(n)", "7"),
    ("max_by(name, id)", "y"),
    ("min_by(name, id)", "x"),
    ("min_by(n, id)", NULL),
    ("array_agg(name order by id desc)", "[y, x]"),
    ("array_agg(n order by id)", "[null, 7]"),
    ("listagg(name, '-') within group (order by id)", "x-y"),
    ("sum(id) filter (where id > 1)", "2"),
    ("round(stddev(amt), 6)", "0.707107"),
    ("round(stddev_samp(amt), 6)", "0.707107"),
    ("stddev_pop(amt)", "0.5"),
    ("var_samp(amt)", "0.5"),
    ("variance(amt)", "0.5"),
    ("var_pop(amt)", "0.25"),
    ("corr(amt, id)", "1.0"),
    ("covar_pop(amt, id)", "0.25"),
    ("covar_samp(amt, id)", "0.5"),
    ("stddev(n)", NULL),
]


@pytest.mark.statement("athena-sql.aggregates")
def test_aggregates_answer_as_trino(here):
    expressions = [expression for expression, _ in AGGREGATES]
    (answers,) = here.rows(f"SELECT {', '.join(expressions)} FROM {ROWS}")
    assert dict(zip(expressions, answers, strict=True)) == dict(AGGREGATES)


RUNTIME = [
    ("1 / 0", "DIVISION_BY_ZERO: Division by zero"),
    ("mod(5, 0)", "DIVISION_BY_ZERO"),
    ("array[1][2]", "INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: 2 > 1"),
    ("array[1][0]", "INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1"),
    ("array[1][-1]", "INVALID_FUNCTION_ARGUMENT: Array subscript is negative: -1"),
    ("element_at(array[1], 0)", "INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1"),
    ("split_part('a', ',', 0)", "INVALID_FUNCTION_ARGUMENT: Index must be greater than zero"),
    ("date_parse('x', '%Y')", 'INVALID_FUNCTION_ARGUMENT: Invalid format: "x"'),
    ("cast('x' as integer)", "INVALID_CAST_ARGUMENT: Cannot cast 'x'"),
    ("cast('1.5' as integer)", "INVALID_CAST_ARGUMENT: Cannot cast '1.5'"),
    ("cast('x' as double)", "INVALID_CAST_ARGUMENT"),
    ("cast('yes' as boolean)", "INVALID_CAST_ARGUMENT: Cannot cast 'yes' to BOOLEAN"),
    ("cast('2020-01-02 10:00:00' as date)", "INVALID_CAST_ARGUMENT: Value cannot be cast to date"),
    ("cast('2020-01-02T10:00:00' as timestamp)", "INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp"),
    ("cast(1234 as varchar(3))", "INVALID_CAST_ARGUMENT: Value 1234 cannot be represented as varchar(3)"),
    ("2147483647 + 1", "NUMERIC_VALUE_OUT_OF_RANGE"),
    ("cast(300 as tinyint)", "INVALID_CAST_ARGUMENT"),
    ("sum(x) FROM (VALUES 9223372036854775807, 1) AS v(x)", "NUMERIC_VALUE_OUT_OF_RANGE: bigint overflow"),
    ("(SELECT x FROM (VALUES 1, 2) AS v(x))", "SUBQUERY_MULTIPLE_ROWS"),
]


@pytest.mark.statement("athena-sql.runtime-errors")
def test_what_trino_fails_on_fails_with_its_name(here):
    started = {expression: here.start(f"SELECT {expression}") for expression, _ in RUNTIME}
    for expression, reason in RUNTIME:
        status = here.ended(started[expression])["Status"]
        assert status["State"] == "FAILED", expression
        assert status["StateChangeReason"].startswith(reason), expression
