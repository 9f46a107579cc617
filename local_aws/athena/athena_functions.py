"""Which functions Athena's SQL may use here, and what DuckDB is told instead.

sqlglot parses Trino's functions into typed nodes and writes them for DuckDB. A function is allowed only if it
is listed here: those in AS_WRITTEN mean the same when sqlglot writes them, those in REWRITTEN are replaced,
and macros (MACROS) give DuckDB Trino's behaviour where it differs. Everything else is refused, because a near
miss would be a wrong answer. `tests/conformance/test_athena_functions.py` runs each of them. Source: Trino
documentation, functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from sqlglot import exp
from sqlglot.dialects.trino import Trino

from local_aws.athena.athena_types import Kind, SqlError, kind_of, mismatch, trino_name

HERE = "local_aws/athena/athena_functions.py"

MOMENT = "[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}([.][0-9]+)?)?)?"
"""What Trino reads as a timestamp without a zone: no `T` between date and time."""

MACROS = (
    # Trino: position 0 and positions outside the text give an empty text.
    "trino_substr(s, n) AS CASE WHEN n = 0 OR abs(n) > length(s) THEN '' ELSE substr(s, n) END,"
    " (s, n, l) AS CASE WHEN n = 0 OR abs(n) > length(s) OR l <= 0 THEN '' ELSE substr(s, n, l) END",
    "trino_split_part(s, d, n) AS CASE WHEN n > len(string_split(s, d)) THEN NULL"
    " WHEN n < 1 THEN error('INVALID_FUNCTION_ARGUMENT: Index must be greater than zero') ELSE split_part(s, d, n) END",
    "trino_regexp_extract(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END,"
    " (s, p, g) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END",
    "trino_json_scalar(j, p) AS CASE WHEN json_valid(j) AND json_type(j, p) NOT IN ('OBJECT', 'ARRAY', 'NULL')"
    " THEN json_extract_string(j, p) END",
    "trino_subscript(a, n) AS CASE WHEN n = 0 THEN error('INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1')"
    " WHEN n < 0 THEN error('INVALID_FUNCTION_ARGUMENT: Array subscript is negative: ' || n)"
    " WHEN n > len(a) THEN error('INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array"
    " length: ' || n || ' > ' || len(a)) ELSE a[n] END",
    "trino_map_value(m, k) AS CASE WHEN map_contains(m, k) THEN m[k] WHEN m IS NULL THEN NULL"
    " ELSE error('INVALID_FUNCTION_ARGUMENT: Key not present in map: ' || k) END",
    "trino_integer(s) AS CASE WHEN s IS NULL OR regexp_full_match(s, '[+-]?[0-9]+') THEN CAST(s AS BIGINT)"
    " ELSE error('INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to BIGINT') END",
    "trino_try_integer(s) AS CASE WHEN regexp_full_match(s, '[+-]?[0-9]+') THEN TRY_CAST(s AS BIGINT) END",
    "trino_element_at(a, n) AS CASE WHEN n = 0 THEN error('INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1')"
    " ELSE list_extract(a, n) END",
    "trino_contains(a, x) AS CASE WHEN list_contains(a, x) THEN true WHEN len(list_filter(a, lambda e: e IS NULL)) > 0"
    " THEN NULL ELSE list_contains(a, x) END",
    "trino_array_distinct(a) AS list_filter(a, lambda e, i: i = list_position(a, e) OR (e IS NULL AND"
    " len(list_filter(a[:i], lambda b: b IS NULL)) = 1))",
    # NULL beside a value makes the extreme unknown.
    "trino_array_max(a) AS CASE WHEN len(list_filter(a, lambda e: e IS NULL)) = 0 THEN list_max(a) END",
    "trino_array_min(a) AS CASE WHEN len(list_filter(a, lambda e: e IS NULL)) = 0 THEN list_min(a) END",
    "trino_replace(s, o, n) AS CASE WHEN o = '' THEN error('NOT_SUPPORTED: replace of an empty text is not built in the"
    " local AWS') ELSE replace(s, o, n) END",
    "trino_fits(s, n) AS CASE WHEN length(s) <= n OR s IS NULL THEN s"
    " ELSE error('INVALID_CAST_ARGUMENT: Value ' || s || ' cannot be represented as varchar(' || n || ')') END",
    "trino_boolean(s) AS CASE WHEN s IS NULL THEN NULL WHEN lower(s) IN ('t', 'true', '1') THEN true"
    " WHEN lower(s) IN ('f', 'false', '0') THEN false"
    " ELSE error('INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to BOOLEAN') END",
    "trino_try_boolean(s) AS CASE WHEN lower(s) IN ('t', 'true', '1') THEN true"
    " WHEN lower(s) IN ('f', 'false', '0') THEN false END",
    "trino_date(s) AS CASE WHEN s IS NULL OR regexp_full_match(trim(s), '[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}') THEN s"
    " ELSE error('INVALID_CAST_ARGUMENT: Value cannot be cast to date: ' || s) END",
    "trino_try_date(s) AS CASE WHEN regexp_full_match(trim(s), '[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}') THEN s END",
    f"trino_timestamp(s) AS CASE WHEN s IS NULL OR regexp_full_match(trim(s), '{MOMENT}') THEN s"
    " ELSE error('INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: ' || s) END",
    f"trino_try_timestamp(s) AS CASE WHEN regexp_full_match(trim(s), '{MOMENT}') THEN s END",
    "trino_array_position(a, x) AS CASE WHEN a IS NULL OR x IS NULL THEN NULL"
    " ELSE COALESCE(list_position(a, x), 0) END",
)
"""Bodies of `CREATE MACRO`."""

AS_WRITTEN: frozenset[type[exp.Expression]] = frozenset(
    {
        # aggregates
        exp.Count,
        exp.CountIf,
        exp.Min,
        exp.Max,
        exp.AnyValue,
        exp.LogicalAnd,
        exp.LogicalOr,
        exp.Stddev,
        exp.StddevPop,
        exp.StddevSamp,
        exp.Variance,
        exp.VariancePop,
        exp.Corr,
        exp.CovarPop,
        exp.CovarSamp,
        exp.ArrayAgg,
        exp.GroupConcat,
        exp.Grouping,
        # windows
        exp.RowNumber,
        exp.Rank,
        exp.DenseRank,
        exp.PercentRank,
        exp.CumeDist,
        exp.Ntile,
        exp.Lag,
        exp.Lead,
        exp.FirstValue,
        exp.LastValue,
        exp.NthValue,
        # conditions
        exp.Coalesce,
        exp.Nullif,
        exp.If,
        exp.Case,
        exp.Greatest,
        exp.Least,
        # numbers
        exp.Abs,
        exp.Round,
        exp.Trunc,
        exp.Pow,
        exp.Sqrt,
        exp.Exp,
        exp.Ln,
        exp.Log,
        exp.Pi,
        # text
        exp.Length,
        exp.Lower,
        exp.Upper,
        exp.Concat,
        exp.ConcatWs,
        exp.Reverse,
        exp.StrPosition,
        exp.Split,
        exp.StartsWith,
        exp.Pad,
        exp.RegexpLike,
        exp.Chr,
        exp.Levenshtein,
        exp.Translate,
        # dates
        exp.Date,
        exp.Extract,
        exp.Year,
        exp.Month,
        exp.Day,
        exp.Hour,
        exp.Minute,
        exp.Second,
        exp.Quarter,
        exp.WeekOfYear,
        exp.DayOfMonth,
        exp.DayOfYear,
        exp.DayOfWeekIso,
        exp.YearOfWeekIso,
        exp.YearOfWeek,
        exp.LastDay,
        # arrays and maps
        exp.Array,
        exp.ArraySize,
        exp.ArrayToString,
        exp.ArraySort,
        exp.Unnest,
        # operators that sqlglot takes for functions
        exp.And,
        exp.Or,
        exp.Cast,
        exp.TryCast,
        exp.Exists,
    }
)

NAMES = {"codepoint": "unicode", "every": "bool_and", "millisecond": None, "yow": "isoyear"}
"""Functions that sqlglot does not know: Trino's name -> DuckDB's, or None for one that REWRITTEN_NAMES has.
"""

TRINO_NAMES = frozenset(
    re.findall(
        r"\w+",
        """
        abs and any any_value approx_distinct arbitrary array array_agg array_distinct array_join array_max array_min
        array_position array_sort avg bool_and bool_or cardinality case cast ceil ceiling chr coalesce concat concat_ws
        contains corr count count_if covar_pop covar_samp cube cume_dist date date_add date_diff date_format date_parse
        date_trunc day day_of_month day_of_week day_of_year dense_rank dow doy element_at exists exp extract first_value
        floor from_iso8601_date from_unixtime greatest grouping hour if json_extract_scalar lag last_day_of_month
        last_value lead least length levenshtein_distance like listagg ln log log10 log2 lower lpad ltrim max max_by min
        min_by minute mod month now nth_value ntile nullif or percent_rank pi position pow power quarter rank
        regexp_extract regexp_like regexp_replace replace reverse round row_number rpad rtrim second sign split
        split_part sqrt starts_with stddev stddev_pop stddev_samp strpos substr substring sum to_unixtime translate trim
        truncate try_cast unnest upper var_pop var_samp variance week week_of_year year year_of_week
        """,
    )
)
"""The names under which Trino has what is listed here (and its words that a bracket may follow)."""

DATE_PARTS = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "WEEK": "week",
    "DAY": "day",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
    "MILLISECOND": "millisecond",
}
EXTRACTED = {
    **{name: part for name, part in DATE_PARTS.items() if name != "MILLISECOND"},
    "DAY_OF_MONTH": "day",
    "DAY_OF_WEEK": "isodow",
    "DAYOFWEEK": "isodow",
    "DOW": "isodow",
    "DAY_OF_YEAR": "doy",
    "DAYOFYEAR": "doy",
    "DOY": "doy",
    "YEAR_OF_WEEK": "isoyear",
    "YEAROFWEEK": "isoyear",
    "YOW": "isoyear",
}


def call(name: str, *arguments: exp.Expression | None) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=[each for each in arguments if each is not None])


def as_type(node: exp.Expression, name: str) -> exp.Expression:
    return exp.Cast(this=node, to=exp.DataType.build(name, dialect="duckdb"))


def _refuse(node: exp.Expression, why: str) -> SqlError:
    return SqlError("NOT_SUPPORTED", f"{why} is not built in the local AWS ({HERE})", node)


# -- rewrites ------------------------------------------------------------------------------------


def _to_double_unless_integer(node: exp.Expression) -> exp.Expression:
    """CEIL and FLOOR of a whole number are that number; DuckDB would make a double of it."""
    return node.this if kind_of(node.this) is Kind.INTEGER else node


def _average(node: exp.Avg) -> exp.Expression:
    """Of decimals Trino's average is a decimal of the same type, DuckDB's a double."""
    if kind_of(node.this) is Kind.DECIMAL:
        raise _refuse(node, "AVG of decimals (CAST them to double)")
    return _as_real(node)


def _as_real(node: exp.Expression) -> exp.Expression:
    """Of reals Trino's sum and average are reals, DuckDB's doubles."""
    argument = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    return as_type(node.copy(), "FLOAT") if argument.is_type(exp.DataType.Type.FLOAT) else node


def _sign(node: exp.Sign) -> exp.Expression:
    """Of a double it is a double; DuckDB would make a small whole number of it."""
    name = {Kind.DOUBLE: "DOUBLE", Kind.INTEGER: "BIGINT"}.get(kind_of(node.this))
    if name is None:
        raise _refuse(node, f"SIGN of {trino_name(node.this)}")
    return as_type(call("sign", node.this), name)


WHITE = " \t\n\x0b\f\r"


def _trim(node: exp.Trim) -> exp.Expression:
    """Without characters to trim it is white space of any kind; DuckDB would take spaces alone."""
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get((node.args.get("position") or "").upper(), "trim")
    return call(name, node.this, node.expression or exp.Literal.string(WHITE))


def _replace(node: exp.Replace) -> exp.Expression:
    return call("trino_replace", node.this, node.expression, node.args.get("replacement") or exp.Literal.string(""))


DATE_FORMATS = {
    **{letter: f"%{letter}" for letter in "abdfHmpSYy%"},
    "c": "%-m",
    "e": "%-d",
    "h": "%I",
    "I": "%I",
    "i": "%M",
    "j": "%j",
    "k": "%-H",
    "l": "%-I",
    "M": "%B",
    "r": "%I:%M:%S %p",
    "s": "%S",
    "T": "%H:%M:%S",
    "W": "%A",
}
"""MySQL's specifiers of date_format and date_parse, as Trino lists them -> DuckDB's."""


def _date_format(name: str) -> Callable[[exp.Expression], exp.Expression]:
    def rewrite(node: exp.Expression) -> exp.Expression:
        written = node.args["format"]
        if not written.is_string:
            raise _refuse(node, "a date format that is not a literal")
        return call(name, node.this, exp.Literal.string(re.sub("%(.)", partial(_specifier, node), written.this)))

    return rewrite


def _specifier(node: exp.Expression, found: re.Match) -> str:
    if found[1] in "DUuVwX":
        raise SqlError("INVALID_FUNCTION_ARGUMENT", f"%{found[1]} not supported in date format string", node)
    if found[1] not in DATE_FORMATS:
        raise _refuse(node, f"%{found[1]} in a date format")
    return DATE_FORMATS[found[1]]


def _substring(node: exp.Substring) -> exp.Expression:
    return call("trino_substr", node.this, node.args.get("start"), node.args.get("length"))


def _split_part(node: exp.SplitPart) -> exp.Expression:
    return call("trino_split_part", node.this, node.args["delimiter"], node.args["part_index"])


def _regexp_extract(node: exp.RegexpExtract) -> exp.Expression:
    """A group that took no part in the match is NULL in Trino and empty in DuckDB: patterns that can leave one out are
    refused, and so are groups that the pattern has not.
    """
    group = node.args.get("group")
    if group is not None:
        pattern = node.expression
        if not pattern.is_string or not group.is_int:
            raise _refuse(node, "REGEXP_EXTRACT of a group with a pattern that is not a literal")
        count = len(re.findall(r"(?<!\\)\((?!\?)", pattern.this))
        if int(group.name) > count:
            what = f"Pattern has {count} groups. Cannot access group {group.name}"
            raise SqlError("INVALID_FUNCTION_ARGUMENT", what, node)
        if "|" in pattern.this or re.search(r"\)(\?|\*|\{0)", pattern.this):
            raise _refuse(node, "REGEXP_EXTRACT of a group that may take no part in the match")
    return call("trino_regexp_extract", node.this, node.expression, node.args.get("group"))


def _regexp_replace(node: exp.RegexpReplace) -> exp.Expression:
    """Trino writes the groups of a replacement $1, DuckDB \\1."""
    replacement = node.args.get("replacement") or exp.Literal.string("")
    if not replacement.is_string:
        raise _refuse(node, "REGEXP_REPLACE with a replacement that is not a literal")
    text = replacement.this
    if "\\" in text or "${" in text:
        raise _refuse(node, "REGEXP_REPLACE with an escape or a named group in the replacement")
    groups = text.replace("$", "\\")
    return call("regexp_replace", node.this, node.expression, exp.Literal.string(groups), exp.Literal.string("g"))


def _json_scalar(node: exp.JSONExtractScalar) -> exp.Expression:
    path = node.expression
    text = path.sql(dialect="trino").strip("'") if isinstance(path, exp.JSONPath) else None
    if text is None:
        raise _refuse(node, "JSON_EXTRACT_SCALAR with a path that is not a literal")
    return call("trino_json_scalar", node.this, exp.Literal.string(text))


def _date_trunc(node: exp.Expression) -> exp.Expression:
    """Of a date it is a date; DuckDB would make a timestamp of it."""
    rewritten = call("date_trunc", exp.Literal.string(_part(node)), node.this)
    return as_type(rewritten, "DATE") if kind_of(node.this) is Kind.DATE else rewritten


def _date_add(node: exp.Expression) -> exp.Expression:
    part = _part(node)
    if kind_of(node.this) is Kind.DATE and part in ("hour", "minute", "second", "millisecond"):
        raise SqlError("INVALID_FUNCTION_ARGUMENT", f"'{part}' is not a valid DATE field", node)
    moved = exp.Add(this=node.this, expression=call(f"to_{part}s", as_type(exp.Paren(this=node.expression), "BIGINT")))
    return as_type(moved, "DATE") if kind_of(node.this) is Kind.DATE else exp.Paren(this=moved)


def _date_diff(node: exp.DateDiff) -> exp.Expression:
    """Trino counts whole units, DuckDB's `date_diff` the borders crossed, its `date_sub` whole units."""
    return call("date_sub", exp.Literal.string(_part(node)), node.expression, node.this)


def _part(node: exp.Expression) -> str:
    unit = node.args.get("unit")
    name = (unit.name if unit is not None else "").upper()
    if name not in DATE_PARTS:
        raise SqlError("INVALID_FUNCTION_ARGUMENT", f"'{name.lower()}' is not a valid TIMESTAMP field", node)
    return DATE_PARTS[name]


def _extract(node: exp.Extract) -> exp.Expression:
    name = node.this.name.upper()
    if name not in EXTRACTED:
        raise _refuse(node, f"EXTRACT({name})")
    return call("date_part", exp.Literal.string(EXTRACTED[name]), node.expression)


def _element_at(node: exp.Bracket) -> exp.Expression:
    """`a[n]`, `m[k]` and ELEMENT_AT, which sqlglot makes `safe` (NULL where there is nothing)."""
    kind = kind_of(node.this)
    index = node.expressions[0]
    if kind is Kind.ARRAY:
        safe = node.args.get("safe")
        return call("trino_element_at" if safe else "trino_subscript", node.this, index)
    if kind is Kind.MAP:
        return call("map_extract_value" if node.args.get("safe") else "trino_map_value", node.this, index)
    raise _refuse(node, "a subscript of a value whose type is not known")


def _distinct_count(node: exp.ApproxDistinct) -> exp.Expression:
    """Exact: within any error that the approximation allows."""
    return exp.Count(this=exp.Distinct(expressions=[node.this]))


def _by_extreme(name: str) -> Callable[[exp.Expression], exp.Expression]:
    """MAX_BY and MIN_BY: the value in the extreme row, even if it is NULL."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        if node.args.get("count") is not None:
            raise _refuse(node, f"{node.sql_name()} of several values")
        return call(name, node.this, node.expression)

    return rewrite


def _modulo(node: exp.Mod) -> exp.Expression:
    return exp.Mod(this=_grouped(node.this), expression=_grouped(node.expression))


def _divide(node: exp.Div) -> exp.Expression:
    """Whole numbers divide to a whole number, towards zero."""
    kinds = {kind_of(node.this), kind_of(node.expression)}
    if kinds == {Kind.INTEGER}:
        return exp.Paren(this=exp.IntDiv(this=_grouped(node.this), expression=_grouped(node.expression)))
    if Kind.UNKNOWN in kinds:
        raise _refuse(node, "dividing a value whose type is not known (CAST it)")
    if Kind.DOUBLE not in kinds:
        raise _refuse(node, "dividing decimals (CAST one side to double)")
    # Neither typed nor safe: sqlglot then writes the plain operator, without NULLIF or TRUNC around it.
    return exp.Div(this=_grouped(node.this), expression=_grouped(node.expression), typed=False, safe=False)


def _grouped(node: exp.Expression) -> exp.Expression:
    return exp.Paren(this=node) if isinstance(node, exp.Binary | exp.Neg) else node


def _moved(node: exp.Expression) -> exp.Expression:
    """Date plus or minus interval is a date; DuckDB would make a timestamp of it."""
    kinds = (kind_of(node.this), kind_of(node.expression))
    if Kind.INTERVAL not in kinds:
        times = {Kind.DATE, Kind.TIMESTAMP}
        if set(kinds) & times:
            if set(kinds) <= times and isinstance(node, exp.Sub):
                raise _refuse(node, "the difference of two times (use date_diff)")
            raise mismatch(node, "Cannot apply operator")
        return node
    return as_type(node.copy(), "DATE") if kinds[0] is Kind.DATE else node


REWRITTEN: dict[type[exp.Expression], Callable[[exp.Expression], exp.Expression]] = {
    exp.Add: _moved,
    exp.Sub: _moved,
    exp.Div: _divide,
    exp.Mod: _modulo,
    exp.Avg: _average,
    exp.Ceil: _to_double_unless_integer,
    exp.Floor: _to_double_unless_integer,
    exp.Substring: _substring,
    exp.SplitPart: _split_part,
    exp.Sign: _sign,
    exp.Trim: _trim,
    exp.Replace: _replace,
    exp.Sum: _as_real,
    exp.TimeToStr: _date_format("strftime"),
    exp.StrToTime: _date_format("strptime"),
    exp.ArrayContains: lambda node: call("trino_contains", node.this, node.expression),
    exp.ArrayDistinct: lambda node: call("trino_array_distinct", node.this),
    exp.ArrayMax: lambda node: call("trino_array_max", node.this),
    exp.ArrayMin: lambda node: call("trino_array_min", node.this),
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpReplace: _regexp_replace,
    exp.JSONExtractScalar: _json_scalar,
    exp.TimestampTrunc: _date_trunc,
    exp.DateTrunc: _date_trunc,
    exp.DateAdd: _date_add,
    exp.DateDiff: _date_diff,
    exp.Extract: _extract,
    exp.Bracket: _element_at,
    exp.ApproxDistinct: _distinct_count,
    exp.ArgMax: _by_extreme("arg_max_null"),
    exp.ArgMin: _by_extreme("arg_min_null"),
    exp.UnixToTime: lambda node: call("to_timestamp", node.this),
    exp.TimeToUnix: lambda node: call("epoch", node.this),
    exp.FromISO8601Date: lambda node: as_type(call("trino_date", node.this), "DATE"),
    exp.ArrayPosition: lambda node: call("trino_array_position", node.this, node.expression),
}

REWRITTEN_NAMES: dict[str, Callable[[exp.Anonymous], exp.Expression]] = {
    "millisecond": lambda node: exp.Mod(
        this=call("millisecond", node.expressions[0]), expression=exp.Literal.number(1000)
    ),
}


CLOCKS = (exp.CurrentDate, exp.CurrentTimestamp)

DROPPED = {exp.StrPosition: ("occurrence", "position"), exp.Split: ("limit",), exp.Round: ("truncate",)}
"""Arguments that sqlglot reads and would not write for DuckDB."""


def check_name(name: str, sql: str, start: int) -> None:
    """Refuse a function under a name that sqlglot knows and Trino does not: NVL, IFNULL, LEN..."""
    foreign = name.upper() in Trino.Parser.FUNCTIONS or name.upper() in Trino.Parser.FUNCTION_PARSERS
    if foreign and name.lower() not in TRINO_NAMES:
        raise _unknown(None, name).at_offset(sql, start)


def check(node: exp.Expression) -> None:
    """Refuse a function that is not listed, or an argument that would be dropped."""
    for part in DROPPED.get(type(node), ()):
        if node.args.get(part) is not None:
            raise _refuse(node, f"{node.sql_name()} with {part}")
    if isinstance(node, exp.Anonymous):
        if node.name.lower() not in NAMES:
            raise _unknown(node, node.name)
    elif not (type(node) in AS_WRITTEN or type(node) in REWRITTEN or type(node) in CLOCKS):
        raise _unknown(node, node.sql_name())


def _unknown(node: exp.Expression | None, name: str) -> SqlError:
    return SqlError(
        "NOT_SUPPORTED",
        f"function {name.lower()} is unknown to Athena or not built in the local AWS ({HERE})",
        node,
    )


def rewritten(node: exp.Expression) -> exp.Expression:
    """What DuckDB is told instead of a node; the node itself where it needs no change."""
    if isinstance(node, exp.Anonymous):
        name = node.name.lower()
        if name in REWRITTEN_NAMES:
            return REWRITTEN_NAMES[name](node)
        return call(NAMES[name] or name, *node.expressions) if name in NAMES else node
    if isinstance(node, exp.Cast):
        return _cast(node)
    rewrite = REWRITTEN.get(type(node))
    return rewrite(node) if rewrite else node


# -- casts ---------------------------------------------------------------------------------------

CAST_TO = {
    exp.DataType.Type.BOOLEAN: "BOOLEAN",
    exp.DataType.Type.TINYINT: "TINYINT",
    exp.DataType.Type.SMALLINT: "SMALLINT",
    exp.DataType.Type.INT: "INTEGER",
    exp.DataType.Type.BIGINT: "BIGINT",
    exp.DataType.Type.FLOAT: "FLOAT",
    exp.DataType.Type.DOUBLE: "DOUBLE",
    exp.DataType.Type.VARCHAR: "VARCHAR",
    exp.DataType.Type.TEXT: "VARCHAR",
    exp.DataType.Type.DATE: "DATE",
    exp.DataType.Type.TIMESTAMP: "TIMESTAMP",
    exp.DataType.Type.DECIMAL: "DECIMAL",
}
WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT"}
STRICT = {**dict.fromkeys(WHOLE, "integer"), "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP": "timestamp"}
"""Types that DuckDB reads from more texts than Trino -> the macro that checks the text."""


def _cast(node: exp.Cast) -> exp.Expression:
    """CAST and TRY_CAST between the types of CAST_TO, with Trino's rounding and its strictness on text."""
    to = node.args["to"]
    target = CAST_TO.get(to.this)
    if target is None:
        raise _refuse(node, f"CAST to {to.sql(dialect='trino').lower()}")
    source = kind_of(node.this)
    if source is Kind.UNKNOWN:
        raise _refuse(node, "CAST of a value whose type is not known")
    trying = isinstance(node, exp.TryCast)
    if target == "VARCHAR":
        return _cast_to_text(node, to, source)
    if source in (Kind.ARRAY, Kind.MAP, Kind.ROW, Kind.BINARY):
        raise SqlError("TYPE_MISMATCH", f"Cannot cast {trino_name(node.this)} to {target.lower()}", node)
    inner = node.this
    if source is Kind.TEXT and (strict := STRICT.get(target)):
        inner = call(f"trino_try_{strict}" if trying else f"trino_{strict}", inner)
    elif target in WHOLE and source is Kind.DOUBLE:
        # Half away from zero, as Java rounds; DuckDB rounds half to even.
        inner = call("round", inner)
    elif target == "DECIMAL":
        if not to.expressions:
            raise _refuse(node, "a decimal without precision and scale")
        target = to.sql(dialect="duckdb")
    kind = exp.DataType.build(target, dialect="duckdb")
    return exp.TryCast(this=inner, to=kind) if trying else exp.Cast(this=inner, to=kind)


def _cast_to_text(node: exp.Cast, to: exp.DataType, source: Kind) -> exp.Expression:
    if source is Kind.DOUBLE:
        raise _refuse(node, "CAST of a double to varchar (Athena writes 1.0E1): CAST to decimal first; as it stands it")
    if source not in (Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.DATE, Kind.TIMESTAMP):
        raise _refuse(node, f"CAST of {trino_name(node.this)} to varchar")
    text: exp.Expression = as_type(node.this, "VARCHAR")
    if source is Kind.TIMESTAMP:
        text = call("strftime", node.this, exp.Literal.string("%Y-%m-%d %H:%M:%S.%g"))
    if to.expressions:
        cut = "left" if source is Kind.TEXT else "trino_fits"
        text = call(cut, text, to.expressions[0].this.copy())
    return text
