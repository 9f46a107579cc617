"""Athena's SQL: what a statement is, which tables it names, and the syntax that it may use here.

Queries are parsed by sqlglot as Trino and held to an explicit list of syntax; what is not listed fails with
NOT_SUPPORTED. `athena_translate.py` makes DuckDB's SQL of them. Pure. Sources: Trino documentation, SELECT;
Amazon Athena user guide, DDL statements.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.helper import seq_get
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.tokens import Token, TokenType

from local_aws.athena import athena_functions
from local_aws.athena.athena_types import SqlError

HERE = "local_aws/athena/athena_sql.py"

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what we refuse anyway

CATALOG = "awsdatacatalog"


class AthenaQuery(Trino):
    """Trino's grammar. Subscripts are kept as they are written: sqlglot would shift those it can."""

    INDEX_OFFSET = 0

    class Parser(Trino.Parser):
        """Date formats stay as they are written, too: `athena_functions.py` knows them."""

        FUNCTIONS = {
            **Trino.Parser.FUNCTIONS,
            "DATE_FORMAT": lambda args: exp.TimeToStr(this=seq_get(args, 0), format=seq_get(args, 1)),
            "DATE_PARSE": lambda args: exp.StrToTime(this=seq_get(args, 0), format=seq_get(args, 1)),
        }


NAME = r"(?:`[^`]+`|[\w$]+)"
NAMES = rf"{NAME}(?:\.{NAME}){{0,2}}"
METADATA = {
    "SHOW_DATABASES": r"SHOW\s+(?:DATABASES|SCHEMAS)(?:\s+LIKE\s+'(?P<pattern>[^']*)')?",
    "SHOW_TABLES": rf"SHOW\s+TABLES(?:\s+(?:IN|FROM)\s+(?P<database>{NAME}))?(?:\s+(?:LIKE\s+)?'(?P<pattern>[^']*)')?",
    "SHOW_COLUMNS": rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+(?P<table>{NAMES})(?:\s+(?:IN|FROM)\s+(?P<database>{NAME}))?",
    "SHOW_PARTITIONS": rf"SHOW\s+PARTITIONS\s+(?P<table>{NAMES})",
    "DESCRIBE_TABLE": rf"DESC(?:RIBE)?\s+(?P<table>{NAMES})",
}
METADATA = {kind: re.compile(rf"\s*{form}\s*;?\s*", re.IGNORECASE) for kind, form in METADATA.items()}
OTHER = re.compile(
    r"(ALTER|CREATE|DROP|INSERT|DELETE|UPDATE|MERGE|UNLOAD|MSCK|VACUUM|OPTIMIZE|EXPLAIN|EXECUTE|PREPARE|DEALLOCATE|SHOW"
    r"|DESCRIBE|DESC|ANALYZE|GRANT|REVOKE|USE|SET|CALL|TRUNCATE)\b",
    re.IGNORECASE,
)
COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)


class Malformed(ValueError):
    """SQL that StartQueryExecution refuses: it does not parse."""


@dataclass(frozen=True)
class TableName:
    """A table as a query names it; names in lower case, `database` None where the query leaves it out."""

    catalog: str | None
    database: str | None
    name: str
    start: int | None = None


@dataclass(frozen=True)
class Statement:
    """One statement.

    `kind` is Athena's SubstatementType, or the first word of a statement that is not built.
    """

    kind: str
    sql: str
    tree: exp.Query | None = field(default=None, compare=False)
    tables: tuple[TableName, ...] = ()
    """Of a SELECT: each table named, once per mention, CTEs left out."""
    table: TableName | None = None
    database: str | None = None
    pattern: str | None = None

    @property
    def type(self) -> str:
        """Athena's StatementType."""
        if self.kind == "SELECT":
            return "DML"
        words = ("INSERT", "UNLOAD", "DELETE", "UPDATE", "MERGE", "EXPLAIN", "VACUUM")
        return "UTILITY" if self.kind in METADATA else "DML" if self.kind in words else "DDL"


# -- parsing -------------------------------------------------------------------------------------


@lru_cache(256)
def parse(sql: str) -> Statement:
    """What a statement is. Raises Malformed if it does not parse, or if there is more than one."""
    start = COMMENTS.match(sql).end()  # type: ignore[union-attr]
    bare = sql[start:]
    for kind, form in METADATA.items():
        if found := form.fullmatch(bare):
            groups = found.groupdict()
            database = _unquoted(groups["database"]) if groups.get("database") else None
            table = _table_name(groups["table"], database) if groups.get("table") else None
            return Statement(kind, sql, table=table, database=database, pattern=groups.get("pattern"))
    if found := OTHER.match(bare):
        return Statement(found[1].upper(), sql)
    try:
        _check_tokens(sql)
        trees = [tree for tree in sqlglot.parse(sql, read=AthenaQuery) if tree is not None]
    except ParseError as error:
        raise Malformed(_parse_message(error)) from error
    except TokenError as error:
        raise Malformed(str(error)) from error
    if len(trees) != 1:
        raise Malformed(f"Only one sql statement is allowed. Got: {len(trees)}" if trees else "Query is empty")
    tree = _as_select(trees[0])
    if not isinstance(tree, exp.Query) or not tree.selects:
        raise Malformed("line 1:1: Queries of this type are not supported")
    return Statement("SELECT", sql, tree=tree, tables=tuple(_tables(tree)))


def _as_select(tree: exp.Expression) -> exp.Expression:
    """VALUES alone is a query too."""
    if isinstance(tree, exp.Values):
        width = len(tree.expressions[0].expressions)
        columns = [exp.to_identifier(f"_col{number}") for number in range(width)]
        aliased = exp.Values(
            expressions=tree.expressions, alias=exp.TableAlias(this=exp.to_identifier("_values"), columns=columns)
        )
        return exp.select("*").from_(aliased)
    return tree


FOREIGN = {TokenType.DCOLON, TokenType.RLIKE, TokenType.ISNULL, TokenType.NOTNULL, TokenType.NULLSAFE_EQ}


def _check_tokens(sql: str) -> None:
    """What sqlglot reads kindly and Trino does not: operators of other dialects, lists in brackets, a comma too many,
    two texts in a row, LIMIT before OFFSET or with two numbers. Raises Malformed.
    """
    tokens = sqlglot.tokenize(sql, read="trino")
    for before, token in zip([None, *tokens], tokens, strict=False):
        last = before.token_type if before else None
        this = token.token_type
        wrong = (
            this in FOREIGN
            or token.text == "=="
            or (this is TokenType.STRING and last is TokenType.STRING)
            or (this is TokenType.L_BRACKET and last in OPENING)
            or (last is TokenType.COMMA and this in CLOSING)
            or (last is TokenType.NUMBER and this is TokenType.VAR and before.end + 1 == token.start)
        )
        if wrong:
            raise _unexpected(sql, token)
    for limit, _, token in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if limit.token_type is TokenType.LIMIT and token.token_type in (TokenType.OFFSET, TokenType.COMMA):
            raise _unexpected(sql, token)


def _unexpected(sql: str, token: Token) -> Malformed:
    before = sql[: token.start]
    place = f"{before.count(chr(10)) + 1}:{token.start - before.rfind(chr(10))}"
    return Malformed(f"line {place}: mismatched input '{token.text}'")


OPENING = {None, TokenType.SELECT, TokenType.COMMA, TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.EQ, TokenType.IN}
"""After these a bracket would begin a list, which Trino writes ARRAY[...]."""
CLOSING = {TokenType.FROM, TokenType.WHERE, TokenType.R_PAREN, TokenType.R_BRACKET}


def check_words(sql: str) -> None:
    """Refuse functions and types under names that sqlglot knows from other dialects. Raises SqlError."""
    tokens = sqlglot.tokenize(sql, read="trino")
    casts: list[int] = []
    depth = 0
    for number, token in enumerate(tokens):
        before, after = tokens[number - 1] if number else None, tokens[number + 1 : number + 2]
        if token.token_type is TokenType.L_PAREN:
            depth += 1
            if before and before.text.upper() in ("CAST", "TRY_CAST"):
                casts.append(depth)
        elif token.token_type is TokenType.R_PAREN:
            if casts and casts[-1] == depth:
                casts.pop()
            depth -= 1
        elif token.token_type is TokenType.ALIAS and casts and casts[-1] == depth:
            _check_type_name(sql, after[0])
        elif after and after[0].token_type is TokenType.L_PAREN and (before is None or not _names(before)):
            athena_functions.check_name(token.text, sql, token.start)


def _names(token: Token) -> bool:
    """Whether what follows is a name that the query itself gives: of an alias or a CTE."""
    return token.token_type in (TokenType.ALIAS, TokenType.R_PAREN, TokenType.WITH)


def _check_type_name(sql: str, token: Token) -> None:
    if token.text.lower() not in TYPE_NAMES:
        raise SqlError("TYPE_NOT_FOUND", f"Unknown type: {token.text.lower()}").at_offset(sql, token.start)


TYPE_NAMES = {
    *("boolean", "tinyint", "smallint", "int", "integer", "bigint", "real", "double", "decimal", "numeric", "dec"),
    *("varchar", "char", "varbinary", "json", "date", "time", "timestamp", "interval", "array", "map", "row"),
    *("uuid", "ipaddress"),
}
"""How Trino's types are written; `float` and `string` are Hive's, for DDL."""


def _parse_message(error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    where = f"line {first.get('line', 1)}:{first.get('col', 1)}: "
    near = first.get("highlight")
    return f"{where}mismatched input '{near}'" if near else f"{where}{first.get('description', error)}"


def _unquoted(name: str) -> str:
    return name.strip("`").lower()


def _table_name(text: str, database: str | None) -> TableName:
    parts = [_unquoted(part) for part in re.findall(NAME, text)]
    catalog = parts[-3] if len(parts) > 2 else None
    return TableName(catalog, parts[-2] if len(parts) > 1 else database, parts[-1])


def _tables(tree: exp.Query) -> Iterator[TableName]:
    """The tables that a query names, but not its CTEs.

    Raises SqlError for what stands where a table should.
    """
    for scope in traverse_scope(tree):
        for table in scope.tables:
            if isinstance(table.this, exp.Identifier) and (table.db or table.name.lower() not in ctes(scope)):
                yield named(table)


def ctes(scope: Scope) -> set[str]:
    return {name.lower() for name in scope.cte_sources}


def named(table: exp.Table) -> TableName:
    catalog, database = table.catalog.lower() or None, table.db.lower() or None
    starts = [each.meta.get("start") for each in table.find_all(exp.Identifier) if each.meta.get("start") is not None]
    alias = table.args.get("alias")
    if alias is not None:
        starts = [start for start in starts if start < (alias.this.meta.get("start") or start + 1)]
    return TableName(catalog, database, table.name.lower(), min(starts, default=None))


# -- what is listed ------------------------------------------------------------------------------

ANY = None
SYNTAX: dict[type[exp.Expression], set[str] | None] = {
    exp.Select: {
        "with_",
        "expressions",
        "distinct",
        "from_",
        "joins",
        "where",
        "group",
        "having",
        "windows",
        "order",
        "limit",
        "offset",
    },
    exp.From: ANY,
    exp.Join: {"this", "on", "side", "kind", "using"},
    exp.Where: ANY,
    exp.Group: {"expressions", "grouping_sets", "cube", "rollup"},
    exp.Cube: ANY,
    exp.Rollup: ANY,
    exp.GroupingSets: ANY,
    exp.Having: ANY,
    exp.Order: {"this", "expressions"},
    exp.Ordered: {"this", "desc", "nulls_first"},
    exp.Limit: {"this", "expression"},
    exp.Offset: {"this", "expression"},
    exp.Fetch: {"direction", "count", "limit_options"},
    exp.LimitOptions: {"rows"},
    exp.Distinct: {"expressions"},
    exp.Table: {"this", "db", "catalog", "alias"},
    exp.TableAlias: ANY,
    exp.Subquery: {"this", "alias", "order", "limit", "offset", "with_"},
    exp.CTE: {"this", "alias"},
    exp.With: {"expressions"},
    exp.Union: {"with_", "this", "expression", "distinct", "order", "limit", "offset"},
    exp.Intersect: {"with_", "this", "expression", "distinct", "order", "limit", "offset"},
    exp.Except: {"with_", "this", "expression", "distinct", "order", "limit", "offset"},
    exp.Values: {"expressions", "alias"},
    exp.Tuple: ANY,
    exp.Unnest: {"expressions", "alias", "offset"},
    exp.Identifier: ANY,
    exp.Column: {"this", "table", "db", "catalog"},
    exp.Dot: ANY,
    exp.Star: set(),
    exp.Alias: ANY,
    exp.Paren: ANY,
    exp.Literal: ANY,
    exp.Boolean: ANY,
    exp.Null: ANY,
    exp.Var: ANY,
    exp.DataType: ANY,
    exp.DataTypeParam: ANY,
    exp.JSONPath: ANY,
    exp.JSONPathRoot: ANY,
    exp.JSONPathKey: ANY,
    exp.JSONPathSubscript: ANY,
    exp.Interval: {"this", "unit"},
    exp.Neg: ANY,
    exp.Add: ANY,
    exp.Sub: ANY,
    exp.Mul: ANY,
    exp.Div: ANY,
    exp.Mod: ANY,
    exp.DPipe: ANY,
    exp.EQ: ANY,
    exp.NEQ: ANY,
    exp.LT: ANY,
    exp.LTE: ANY,
    exp.GT: ANY,
    exp.GTE: ANY,
    exp.NullSafeEQ: ANY,
    exp.NullSafeNEQ: ANY,
    exp.Is: {"this", "expression"},
    exp.Not: ANY,
    exp.Between: {"this", "low", "high"},
    exp.In: {"this", "expressions", "query"},
    exp.Like: {"this", "expression"},
    exp.Escape: ANY,
    exp.Any: ANY,
    exp.All: ANY,
    exp.Bracket: {"this", "expressions", "offset", "safe"},
    exp.Filter: ANY,
    exp.WithinGroup: ANY,
    exp.IgnoreNulls: ANY,
    exp.RespectNulls: ANY,
    exp.Window: {"this", "partition_by", "order", "spec", "alias", "over"},
    exp.WindowSpec: {"kind", "start", "start_side", "end", "end_side"},
}
"""The syntax that may be used: node -> its parts that may, or ANY."""

JOINS = {"", "INNER", "CROSS", "OUTER"}


def check_listed(tree: exp.Expression) -> None:
    """Refuse syntax and functions that are not listed."""
    for node in tree.walk():
        if isinstance(node, exp.Func) and not isinstance(node, exp.Unnest | exp.Values | exp.Any | exp.All):
            athena_functions.check(node)
            continue
        allowed = SYNTAX.get(type(node), set())
        given = {name for name, value in node.args.items() if value not in (None, False, [], "")}
        if type(node) not in SYNTAX or (allowed is not ANY and not given <= allowed):
            extra = ", ".join(sorted(given - (allowed or set()))) if type(node) in SYNTAX else ""
            what = f"{node.key.upper()} {extra}".strip()
            raise SqlError("NOT_SUPPORTED", f"{what} is not built in the local AWS ({HERE})", node)
        if isinstance(node, exp.Distinct) and isinstance(node.parent, exp.Count) and len(node.expressions) > 1:
            raise SqlError("SYNTAX_ERROR", "Unexpected parameters for function count: one is expected", node)
        if isinstance(node, exp.Select) and not node.args.get("from_") and node.is_star:
            raise SqlError("SYNTAX_ERROR", "SELECT * not allowed in queries without FROM clause", node)
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
            raise SqlError("NOT_SUPPORTED", "a table function is not built in the local AWS", node)
        if isinstance(node, exp.Unnest) and len(node.expressions) > 1:
            raise SqlError("NOT_SUPPORTED", "UNNEST of several arrays is not built in the local AWS", node)
        if isinstance(node, exp.Join) and node.kind not in JOINS:
            raise SqlError("NOT_SUPPORTED", f"a {node.kind} join is not built in the local AWS", node)
