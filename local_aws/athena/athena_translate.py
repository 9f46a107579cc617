"""From Athena's SQL to DuckDB's: a parsed query, resolved against the columns that its caller may read.

Types that Trino would not mix are refused, functions rewritten (`athena_functions.py`), and conditions on
partition keys noted, so that only the partitions they admit are read. Pure: tables come in as names and
columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema
from sqlglot.tokens import TokenType

from local_aws.athena import athena_functions
from local_aws.athena.athena_sql import Statement, TableName, check_listed, check_words, ctes, named
from local_aws.athena.athena_types import KIND_OF_TYPE, Kind, SqlError, agree, kind_of, mismatch, trino_name
from local_aws.files.hive_types import UnknownType, arrow_type

HIDDEN = "hidden columns"
"""Stands for the columns of a table of which the caller may read none."""

COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ)
ARITHMETIC = (exp.Mul, exp.Div, exp.Mod)
NUMBERS = {Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE}
MOVED = {Kind.DATE, Kind.TIMESTAMP, Kind.INTERVAL}
TEXT_FUNCTIONS = (
    exp.Length,
    exp.Lower,
    exp.Upper,
    exp.Trim,
    exp.Replace,
    exp.Reverse,
    exp.StrPosition,
    exp.Split,
    exp.SplitPart,
    exp.Substring,
    exp.StartsWith,
    exp.Pad,
    exp.RegexpLike,
    exp.RegexpReplace,
    exp.RegexpExtract,
    exp.Levenshtein,
    exp.Translate,
    exp.StrToTime,
    exp.Like,
)
NUMBER_FUNCTIONS = (exp.Sum, exp.Avg, exp.Stddev, exp.Variance, exp.Abs, exp.Round, exp.Ceil, exp.Floor, exp.Sqrt)
DATE_FUNCTIONS = (exp.Year, exp.Month, exp.Day, exp.Quarter, exp.TimestampTrunc, exp.DateAdd, exp.TimeToStr)
CONCATENATED = {Kind.TEXT, Kind.ARRAY, Kind.BINARY}
FIRST_ARGUMENT = (
    (TEXT_FUNCTIONS, {Kind.TEXT}),
    (NUMBER_FUNCTIONS, NUMBERS | {Kind.INTERVAL}),
    (DATE_FUNCTIONS, {Kind.DATE, Kind.TIMESTAMP}),
)
"""Functions that DuckDB would apply to other types too, and the kinds that Trino takes as their first
argument.
"""

VARYING = (exp.Query, exp.AggFunc, exp.Window, exp.CurrentDate, exp.CurrentTimestamp)


@dataclass(frozen=True)
class Relation:
    """A table that a query may read: its readable columns as (name, Hive type), partition keys last."""

    catalog: str
    database: str
    name: str
    columns: tuple[tuple[str, str], ...]
    partition_keys: tuple[str, ...] = ()


@dataclass
class Input:
    """One mention of a table in the translated query: register its data as `name`."""

    name: str
    relation: Relation
    columns: set[str] = field(default_factory=set)
    """The columns that the query uses."""
    alias: str = ""
    prunes: list[str] = field(default_factory=list)
    unnested: str = ""
    """Of rows that UNNEST makes of a column: DuckDB's query for them. Nothing is registered for such."""
    """DuckDB conditions on partition keys alone, of columns of `alias`, that each row must meet."""


@dataclass(frozen=True)
class Translation:
    """A query for DuckDB, and the names of its result columns as Athena gives them."""

    sql: str
    inputs: tuple[Input, ...]
    labels: tuple[str, ...]
    reads_nothing: bool = False
    """LIMIT 0: the planner answers alone, as Athena's does, and no file is opened."""


# -- translation ---------------------------------------------------------------------------------

TRINO_TYPES = {"string": "varchar", "int": "integer", "float": "real", "binary": "varbinary"}


def trino_type(hive: str) -> str:
    """The Trino name of a Hive type: `array<struct<a:int>>` -> `array(row(a integer))`; of one that is not built
    `unknown`, so that the table's other columns can be read.
    """
    hive = hive.strip().lower()
    try:
        arrow_type(hive)
    except UnknownType:
        return "unknown"
    if hive.startswith("struct<"):
        fields = [part.partition(":") for part in _split_top(hive[7:-1])]
        return "row(" + ",".join(f'"{name.strip()}" {trino_type(kind)}' for name, _, kind in fields) + ")"
    for collection in ("array", "map"):
        if hive.startswith(f"{collection}<"):
            inner = _split_top(hive[len(collection) + 1 : -1])
            return f"{collection}(" + ",".join(trino_type(part) for part in inner) + ")"
    return TRINO_TYPES.get(hive, hive)


def _split_top(text: str) -> list[str]:
    """The parts of a type's arguments, split at the commas that are in no bracket."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "<(") - (char in ">)")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def translate(statement: Statement, relations: Mapping[TableName, Relation], now: datetime) -> Translation:
    """A SELECT for DuckDB. `relations` has what each of the statement's tables resolved to.

    Raises SqlError with Athena's name for the error and its place in the query.
    """
    tree = statement.tree
    assert tree is not None
    varies = tree.find(exp.CurrentDate, exp.CurrentTimestamp) is not None
    return _translated(statement, tuple(relations.items()), now if varies else None)


@lru_cache(256)
def _translated(
    statement: Statement, relations: tuple[tuple[TableName, Relation], ...], now: datetime | None
) -> Translation:
    """`translate`, remembered: analysts and tests ask the same again and again."""
    try:
        return _translate(statement, dict(relations), now)
    except SqlError as error:
        if error.name == "COLUMN_NOT_FOUND":
            error.place = _first_star(statement.sql)
        raise error.at(statement.sql) from error.__cause__


def _first_star(sql: str) -> tuple[int, int] | None:
    """Line and column of the first `*` that is not COUNT's."""
    before = None
    for token in sqlglot.tokenize(sql, read="trino"):
        if token.token_type is TokenType.STAR and before is not TokenType.L_PAREN:
            return token.line, token.col
        before = token.token_type
    return None


def _translate(statement: Statement, relations: Mapping[TableName, Relation], now: datetime | None) -> Translation:
    tree = statement.tree.copy()  # type: ignore[union-attr]
    check_words(statement.sql)
    check_listed(tree)
    inputs = _bind(tree, relations)
    _bind_rows(tree, inputs)
    _label(tree)
    schema = MappingSchema(dialect="trino", normalize=False)
    for each in inputs.values():
        columns = {name: trino_type(kind) for name, kind in each.relation.columns} or {HIDDEN: "integer"}
        schema.add_table(exp.table_(each.name), columns, dialect="trino", normalize=False)
    try:
        tree = qualify(tree, schema=schema, dialect="trino", expand_alias_refs=False, validate_qualify_columns=False)
    except OptimizeError as error:
        raise _unresolved(statement, error) from error
    _resolve(tree, inputs)
    tree = annotate_types(tree, schema=schema, dialect="trino")
    check_types(tree)
    _note_prunes(tree, inputs, now)
    labels = tuple(_output_labels(tree))
    _write_rows(tree, inputs)
    _rewrite(tree, now)
    limit = tree.args.get("limit")
    nothing = isinstance(limit, exp.Limit) and limit.expression.name == "0"
    loaded = tuple(each for each in inputs.values() if not each.unnested)
    return Translation(tree.sql(dialect="duckdb"), loaded, labels, nothing)


def _bind(tree: exp.Query, relations: Mapping[TableName, Relation]) -> dict[str, Input]:
    """Give each mention of a table a name of its own, so that each is loaded and pruned for itself."""
    inputs: dict[str, Input] = {}
    for scope in traverse_scope(tree):
        for table in scope.tables:
            if not table.db and table.name.lower() in ctes(scope):
                continue
            relation = relations[named(table)]
            name = f"_relation_{len(inputs)}"
            inputs[name] = Input(name, relation)
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
                _shorten(scope, table)
            table.set("this", exp.to_identifier(name))
            table.set("db", None)
            table.set("catalog", None)
    return inputs


def _bind_rows(tree: exp.Query, inputs: dict[str, Input]) -> None:
    """UNNEST of a table's map, or of its array of rows, has a column for each field. Until DuckDB's query is written it
    stands as one more table, so that its columns resolve and have types.
    """
    for scope in traverse_scope(tree):
        if not isinstance(scope.expression, exp.Select):
            continue
        tables = {table.alias_or_name: table for table in scope.tables if table.name in inputs}
        joined = [join.this for join in scope.expression.args.get("joins") or ()]
        for unnest in (each for each in joined if isinstance(each, exp.Unnest)):
            column = unnest.expressions[0]
            if not isinstance(column, exp.Column) or column.args.get("db"):
                continue
            for alias, table in tables.items():
                kinds = dict(inputs[table.name].relation.columns)
                fields = _fields(kinds.get(column.name.lower(), ""))
                if fields and column.table.lower() in ("", alias.lower()):
                    inputs[table.name].columns.add(column.name.lower())
                    _stand_in(unnest, f'"{alias.lower()}"."{column.name.lower()}"', fields, inputs)
                    break


def _fields(hive: str) -> list[tuple[str, str, str]]:
    """What UNNEST makes of a column: name, Hive type and DuckDB's expression of each column; none for other types."""
    hive = hive.strip().lower()
    if hive.startswith("map<"):
        key, value = _split_top(hive[4:-1])
        return [("key", key, "_row.key"), ("value", value, "_row.value")]
    if hive.startswith("array<struct<"):
        parts = [part.partition(":") for part in _split_top(hive[len("array<struct<") : -2])]
        return [(name.strip(), kind, f'_row."{name.strip()}"') for name, _, kind in parts]
    return []


def _stand_in(
    unnest: exp.Unnest, collection: str, fields: list[tuple[str, str, str]], inputs: dict[str, Input]
) -> None:
    alias = unnest.args.get("alias")
    names = [each.name.lower() for each in alias.columns] if alias else []
    ordinality = unnest.args.get("offset")
    if isinstance(ordinality, exp.Identifier):
        names.append(ordinality.name.lower())
    wanted = len(fields) + bool(ordinality)
    if len(names) != wanted:
        name = alias.name if alias else "unnest"
        what = f"Column alias list has {len(names)} entries but '{name}' has {wanted} columns available"
        raise SqlError("MISMATCHED_COLUMN_ALIASES", what, unnest.expressions[0])
    columns = [*fields, ("n", "bigint", "_place")] if ordinality else fields
    shown = ", ".join(f'{made} AS "{name}"' for name, (_, _, made) in zip(names, columns, strict=True))
    entries = f"map_entries({collection})" if fields[0][2] == "_row.key" else collection
    places = " WITH ORDINALITY AS _rows(_row, _place)" if ordinality else " AS _rows(_row)"
    kinds = tuple((name, kind) for name, (_, kind, _) in zip(names, columns, strict=True))
    stand_in = f"_unnested_{len(inputs)}"
    query = f"SELECT {shown} FROM UNNEST({entries}){places}"
    inputs[stand_in] = Input(stand_in, Relation("", "", stand_in, kinds), unnested=query)
    unnest.replace(exp.Table(this=exp.to_identifier(stand_in), alias=exp.TableAlias(this=alias.this.copy())))


def _write_rows(tree: exp.Query, inputs: dict[str, Input]) -> None:
    """DuckDB's query instead of each table that stands for rows of UNNEST."""
    for table in list(tree.find_all(exp.Table)):
        if table.name in inputs and inputs[table.name].unnested:
            query = sqlglot.parse_one(inputs[table.name].unnested, read="duckdb")
            table.replace(exp.Lateral(this=exp.Subquery(this=query), alias=table.args["alias"].copy()))


def _shorten(scope: Scope, table: exp.Table) -> None:
    """Write `database.table.column` as `table.column`; the same form may also be a field of a row."""
    for column in scope.find_all(exp.Column):
        if column.db.lower() == (table.db or "").lower() and column.table.lower() == table.name.lower():
            column.set("db", None)
            column.set("catalog", None)


def _label(tree: exp.Query) -> None:
    """Remember how each result column is written, before names are folded to lower case."""
    for select in _first_selects(tree):
        for projection in select.expressions:
            named_by_itself = isinstance(projection, exp.Alias | exp.Column)
            if not projection.is_star:
                projection.meta["label"] = projection.alias_or_name if named_by_itself else None


def _first_selects(tree: exp.Expression) -> Iterator[exp.Select]:
    """The SELECT that names the result's columns: the first of a union."""
    while isinstance(tree, exp.SetOperation | exp.Subquery):
        tree = tree.this
    if isinstance(tree, exp.Select):
        yield tree


def _output_labels(tree: exp.Query) -> Iterator[str]:
    """Names of the result's columns: as written, `_col<n>` without a name; those of a star have no label."""
    for select in _first_selects(tree):
        for position, projection in enumerate(select.expressions):
            for node in (projection, projection.unalias()):
                if "label" in node.meta:
                    yield node.meta["label"] or f"_col{position}"
                    break
            else:
                yield projection.alias_or_name


def _unresolved(statement: Statement, error: OptimizeError) -> SqlError:
    """sqlglot's complaint about a name, as Athena words it."""
    found = re.search(r"Unknown (column|table): (\S+)|[Cc]olumn '?([\w\"]+)'? (?:is ambiguous|could not)", str(error))
    name = (found[2] or found[3] or "").strip("\"'.") if found else ""
    for column in statement.tree.find_all(exp.Column):  # type: ignore[union-attr]
        if name.lower() in (column.name.lower(), column.table.lower()):
            return column_not_found(column)
    return SqlError("SYNTAX_ERROR", str(error).splitlines()[0])


def column_not_found(column: exp.Expression) -> SqlError:
    """Athena says the same of a column that is not there and one that may not be read."""
    written = ".".join(part.name for part in column.parts) if isinstance(column, exp.Column) else column.sql()
    return SqlError(
        "COLUMN_NOT_FOUND",
        f"Column '{written.lower()}' cannot be resolved or requester is not authorized to access requested resources",
        column,
    )


def _resolve(tree: exp.Query, inputs: dict[str, Input]) -> None:
    """Every column must belong to a table or subquery by now; notes which columns of which table are used."""
    for scope in traverse_scope(tree):
        for table in scope.tables:
            if table.name in inputs:
                inputs[table.name].alias = table.alias
        for column in scope.find_all(exp.Column):
            if not isinstance(column.this, exp.Star):
                _resolve_column(scope, column, inputs)


def _resolve_column(scope: Scope, column: exp.Column, inputs: dict[str, Input]) -> None:
    if column.name == HIDDEN:
        raise SqlError("COLUMN_NOT_FOUND", "Relation contains no accessible columns")
    if not column.table:
        order = column.find_ancestor(exp.Order)
        if order and order.parent is scope.expression and column.name in _select_names(scope):
            return
        holders = [name for name, source in _sources(scope).items() if column.name in _columns_of(source, inputs)]
        if len(holders) > 1:
            raise SqlError("SYNTAX_ERROR", f"Column '{column.name}' is ambiguous", column)
        if not holders:
            raise column_not_found(column)
        column.set("table", exp.to_identifier(holders[0], quoted=True))
    source = _source(scope, column.table)
    if source is None or column.args.get("db") or column.name not in _columns_of(source, inputs):
        raise column_not_found(column)
    if isinstance(source, exp.Table) and source.name in inputs:
        inputs[source.name].columns.add(column.name)


def _select_names(scope: Scope) -> set[str]:
    return set(scope.expression.named_selects) if isinstance(scope.expression, exp.Query) else set()


def _sources(scope: Scope) -> dict[str, Any]:
    """The tables and scopes that a SELECT reads from, by alias; not the CTEs that are merely there."""
    return {name: source for name, (_, source) in scope.selected_sources.items()}


def _source(scope: Scope | None, name: str) -> Any:
    """The table or scope of an alias, in this scope or those around it."""
    while scope is not None:
        if name in _sources(scope):
            return _sources(scope)[name]
        scope = scope.parent
    return None


def _columns_of(source: Any, inputs: dict[str, Input]) -> set[str]:
    if isinstance(source, exp.Table):
        return {name for name, _ in inputs[source.name].relation.columns} if source.name in inputs else set()
    if isinstance(source.expression, exp.Unnest | exp.Values):
        alias = source.expression.args.get("alias")
        names = {column.name for column in alias.columns} if alias else set()
        offset = source.expression.args.get("offset")
        return names | ({offset.name} if isinstance(offset, exp.Identifier) else set())
    return set(source.expression.named_selects)


# -- types ---------------------------------------------------------------------------------------


def check_types(tree: exp.Query) -> None:
    """Refuse what Trino does not mix, and DuckDB would: text with numbers or dates, numbers as conditions."""
    for node in tree.walk():
        if isinstance(node, COMPARISONS):
            if not agree(kind_of(node.this), kind_of(node.expression)):
                raise mismatch(node, "Cannot apply operator")
        elif isinstance(node, ARITHMETIC):
            if {kind_of(node.this), kind_of(node.expression)} - NUMBERS - {Kind.UNKNOWN, Kind.NULL}:
                raise mismatch(node, "Cannot apply operator")
        elif isinstance(node, exp.Add | exp.Sub):
            if {kind_of(node.this), kind_of(node.expression)} - NUMBERS - MOVED - {Kind.UNKNOWN, Kind.NULL}:
                raise mismatch(node, "Cannot apply operator")
        elif isinstance(node, exp.DPipe):
            _check_arguments(node, "concat", [node.this, node.expression], CONCATENATED)
        elif isinstance(node, exp.Concat):
            _check_arguments(node, "concat", node.expressions, CONCATENATED)
        elif isinstance(node, exp.And | exp.Or):
            _check_boolean(node, node.this, node.expression)
        elif isinstance(node, exp.Not | exp.Where | exp.Having):
            _check_boolean(node, node.this)
        elif wanted := next((kinds for types, kinds in FIRST_ARGUMENT if isinstance(node, types)), None):
            first = node.this.expressions[:1] if isinstance(node.this, exp.Distinct) else [node.this]
            name = node.sql_name() if isinstance(node, exp.Func) else node.key
            _check_arguments(node, name.lower(), first, wanted)
        elif isinstance(node, exp.Between):
            _check_same([node.this, node.args["low"], node.args["high"]], node)
        elif isinstance(node, exp.Greatest | exp.Least):
            _check_same([node.this, *node.expressions], node)
        elif isinstance(node, exp.Nullif):
            _check_same([node.this, node.expression], node)
        elif isinstance(node, exp.If) and not isinstance(node.parent, exp.Case):
            _check_same([node.args["true"], *filter(None, [node.args.get("false")])], node)
        elif isinstance(node, exp.In | exp.Coalesce):
            query = node.args.get("query")
            chosen = query.unnest().selects[:1] if isinstance(query, exp.Expression) else []
            _check_same([node.this, *node.expressions, *chosen], node)
        elif isinstance(node, exp.DateDiff):
            _check_arguments(node, "date_diff", [node.this, node.expression], {Kind.DATE, Kind.TIMESTAMP})
        elif isinstance(node, exp.Case):
            results = [each.args["true"] for each in node.args["ifs"]]
            _check_same([*results, *filter(None, [node.args.get("default")])], node)
        elif isinstance(node, exp.SetOperation):
            _check_columns(node)
        elif isinstance(node, exp.Unnest):
            _check_unnested(node.expressions[0])


def _check_unnested(collection: exp.Expression) -> None:
    """An array's values become one column; a map's two columns and a row's fields are not built."""
    inner = collection.type.expressions if isinstance(collection.type, exp.DataType) else []
    if kind_of(collection) is Kind.MAP:
        raise SqlError("NOT_SUPPORTED", "UNNEST of a map is not built in the local AWS", collection)
    if inner and KIND_OF_TYPE.get(inner[0].this) is Kind.ROW:
        raise SqlError("NOT_SUPPORTED", "UNNEST of rows is not built in the local AWS", collection)


def _check_arguments(node: exp.Expression, function: str, arguments: list[exp.Expression], kinds: set[Kind]) -> None:
    if any(kind_of(each) not in kinds | {Kind.UNKNOWN, Kind.NULL} for each in arguments):
        types = ", ".join(trino_name(each) for each in arguments)
        what = f"Unexpected parameters ({types}) for function {function}"
        raise SqlError("FUNCTION_NOT_FOUND", what, node)


def _check_boolean(node: exp.Expression, *terms: exp.Expression) -> None:
    for term in terms:
        if kind_of(term) not in {Kind.BOOLEAN, Kind.UNKNOWN, Kind.NULL}:
            what = f"{node.key.upper()} clause must evaluate to a boolean: actual type {trino_name(term)}"
            raise SqlError("TYPE_MISMATCH", what, term)


def _check_same(parts: list[exp.Expression], node: exp.Expression) -> None:
    for part in parts[1:]:
        if not agree(kind_of(parts[0]), kind_of(part)):
            what = f"{node.key.upper()}: all values must be of one type: {trino_name(parts[0])}, {trino_name(part)}"
            raise SqlError("TYPE_MISMATCH", what, part)


def _check_columns(union: exp.SetOperation) -> None:
    left, right = union.left.selects, union.right.selects
    if len(left) != len(right):
        raise SqlError("TYPE_MISMATCH", f"{union.key.upper()} query has different number of fields", union)
    for number, (one, other) in enumerate(zip(left, right, strict=True), 1):
        if not agree(kind_of(one), kind_of(other)):
            types = f"{trino_name(one)}, {trino_name(other)}"
            what = f"column {number} in {union.key.upper()} query has incompatible types: {types}"
            raise SqlError("TYPE_MISMATCH", what, other)


# -- partitions ----------------------------------------------------------------------------------


def _note_prunes(tree: exp.Query, inputs: dict[str, Input], now: datetime | None) -> None:
    """Note conditions of a WHERE that speak of the partition keys of one table alone.

    Not where an outer join could make NULLs of the keys, which the condition would then admit.
    """
    for scope in traverse_scope(tree):
        select = scope.expression
        if not isinstance(select, exp.Select) or not select.args.get("where"):
            continue
        if any(join.side for join in select.args.get("joins") or ()):
            continue
        of_alias = {
            alias: inputs[source.name]
            for alias, source in _sources(scope).items()
            if isinstance(source, exp.Table) and source.name in inputs
        }
        for condition in (
            select.args["where"].this.flatten()
            if isinstance(select.args["where"].this, exp.And)
            else [select.args["where"].this]
        ):
            columns = list(condition.find_all(exp.Column))
            tables = {column.table for column in columns}
            if len(tables) != 1 or condition.find(*VARYING):
                continue
            each = of_alias.get(tables.pop())
            if each and {column.name for column in columns} <= set(each.relation.partition_keys):
                holder = exp.Where(this=condition.copy())
                _rewrite(holder, now)
                each.prunes.append(holder.this.sql(dialect="duckdb"))


# -- rewriting -----------------------------------------------------------------------------------


def _rewrite(tree: exp.Expression, now: datetime | None) -> None:
    """Write for DuckDB what it would read differently, from the innermost outwards. Changes `tree`."""
    for node in reversed(list(tree.walk(bfs=False))):
        if node is tree:
            continue
        new = _rewritten(node, now)
        if new is not node:
            new.type = new.type or node.type
            node.replace(new)


def _rewritten(node: exp.Expression, now: datetime | None) -> exp.Expression:
    if isinstance(node, exp.Literal) and not node.is_string and "." in node.this and "e" not in node.this.lower():
        # Athena takes 1.5 for a double, DuckDB for a decimal.
        return exp.Literal.number(f"{node.this}e0")
    if now is not None and isinstance(node, exp.CurrentDate):
        return exp.cast(exp.Literal.string(now.strftime("%Y-%m-%d")), "date")
    if now is not None and isinstance(node, exp.CurrentTimestamp):
        moment = exp.Literal.string(now.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "+00")
        return exp.cast(moment, "timestamptz")
    return athena_functions.rewritten(node)
