"""Types of Athena's SQL: the kinds that operators care for, and errors that name a place in the query."""

from __future__ import annotations

from enum import Enum

from sqlglot import exp

Type = exp.DataType.Type

ERROR_TYPES = {
    "SYNTAX_ERROR": 1006,
    "COLUMN_NOT_FOUND": 1006,
    "CATALOG_NOT_FOUND": 1006,
    "AMBIGUOUS_NAME": 1006,
    "TYPE_MISMATCH": 1002,
    "FUNCTION_NOT_FOUND": 1303,
    "TYPE_NOT_FOUND": 1303,
    "TABLE_NOT_FOUND": 1301,
    "SCHEMA_NOT_FOUND": 1301,
    "DIVISION_BY_ZERO": 1001,
    "NUMERIC_VALUE_OUT_OF_RANGE": 1001,
    "INVALID_CAST_ARGUMENT": 1100,
    "INVALID_FUNCTION_ARGUMENT": 1106,
    "NOT_SUPPORTED": 1200,
    "HIVE_BAD_DATA": 1001,
    "HIVE_CURSOR_ERROR": 1001,
    "HIVE_INVALID_METADATA": 1004,
    "HIVE_PARTITION_SCHEMA_MISMATCH": 1004,
    "HIVE_UNSUPPORTED_FORMAT": 1004,
    "PERMISSION_DENIED": 1500,
}
"""Athena's ErrorType of an error's name (Athena user guide, "Athena error catalog"); 1000, user error, for
others.
"""


class SqlError(Exception):
    """A query that fails. `str()` is what Athena's StateChangeReason would say."""

    def __init__(self, name: str, message: str, node: exp.Expression | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.node = node
        self.place: tuple[int, int] | None = None

    def at(self, sql: str) -> SqlError:
        """Say where in the query it is, if its node remembers."""
        return self.at_offset(sql, start_of(self.node))

    def at_offset(self, sql: str, start: int | None) -> SqlError:
        """Say that it is at an offset in the query, if there is one."""
        if start is not None:
            before = sql[:start]
            self.place = (before.count("\n") + 1, start - before.rfind("\n"))
        return self

    def __str__(self) -> str:
        where = f"line {self.place[0]}:{self.place[1]}: " if self.place else ""
        return f"{self.name}: {where}{self.message}"

    @property
    def error_type(self) -> int:
        return ERROR_TYPES.get(self.name, 1000)


def start_of(node: exp.Expression | None) -> int | None:
    """The offset in the query where a node begins: the first of it that remembers its place."""
    if node is None:
        return None
    places = [each.meta["start"] for each in node.walk() if each.meta.get("start") is not None]
    return min(places, default=None)


class Kind(Enum):
    """Families of types: within one, values compare."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    TEXT = "varchar"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INTERVAL = "interval"
    BINARY = "varbinary"
    ARRAY = "array"
    MAP = "map"
    ROW = "row"
    NULL = "null"
    UNKNOWN = "unknown"


KINDS = {
    Kind.INTEGER: {Type.TINYINT, Type.SMALLINT, Type.INT, Type.BIGINT},
    Kind.DECIMAL: {Type.DECIMAL},
    Kind.DOUBLE: {Type.FLOAT, Type.DOUBLE},
    Kind.TEXT: {Type.VARCHAR, Type.TEXT, Type.CHAR, Type.NCHAR, Type.NVARCHAR},
    Kind.BOOLEAN: {Type.BOOLEAN},
    Kind.DATE: {Type.DATE},
    Kind.TIMESTAMP: {Type.TIMESTAMP, Type.TIMESTAMPTZ, Type.DATETIME, Type.TIMESTAMPNTZ},
    Kind.INTERVAL: {Type.INTERVAL},
    Kind.BINARY: {Type.VARBINARY, Type.BINARY},
    Kind.ARRAY: {Type.ARRAY, Type.LIST},
    Kind.MAP: {Type.MAP},
    Kind.ROW: {Type.STRUCT, Type.OBJECT},
    Kind.NULL: {Type.NULL},
}
KIND_OF_TYPE = {kind: family for family, kinds in KINDS.items() for kind in kinds}

COMPARABLE = ({Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE}, {Kind.DATE, Kind.TIMESTAMP})
"""Kinds that Trino brings to a common type by itself. Text never becomes a number or a date."""


def kind_of(node: exp.Expression) -> Kind:
    """The kind of an expression's value, as far as sqlglot could tell."""
    kind = node.type
    found = KIND_OF_TYPE.get(kind.this, Kind.UNKNOWN) if isinstance(kind, exp.DataType) else Kind.UNKNOWN
    if found is not Kind.UNKNOWN:
        return found
    if isinstance(node, exp.Paren | exp.TimestampTrunc | exp.DateTrunc | exp.Alias | exp.Filter | exp.Window):
        return kind_of(node.this)
    if isinstance(node, exp.Interval):
        return Kind.INTERVAL
    if isinstance(node, exp.Bracket):
        inner = getattr(node.this.type, "expressions", None)
        value = inner[-1] if inner else None
        return KIND_OF_TYPE.get(value.this, Kind.UNKNOWN) if isinstance(value, exp.DataType) else Kind.UNKNOWN
    return Kind.UNKNOWN


def agree(one: Kind, other: Kind) -> bool:
    """Whether values of two kinds may be compared or stand for one another; unknown ones may."""
    if one is other or {one, other} & {Kind.UNKNOWN, Kind.NULL}:
        return True
    return any({one, other} <= family for family in COMPARABLE)


def trino_name(node: exp.Expression) -> str:
    """The name of an expression's type in Trino's words; of a text literal with its length."""
    if node.is_string:
        return f"varchar({len(node.this)})"
    kind = node.type
    if not isinstance(kind, exp.DataType):
        return kind_of(node).value
    return kind.sql(dialect="trino").lower()


def mismatch(node: exp.Expression, what: str) -> SqlError:
    """TYPE_MISMATCH of a binary operator, with its operands' types."""
    sign = OPERATORS.get(type(node), node.key)
    operands = f"{trino_name(node.this)} {sign} {trino_name(node.expression)}"
    return SqlError("TYPE_MISMATCH", f"{what}: {operands}", node)


OPERATORS = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.DPipe: "||",
}
