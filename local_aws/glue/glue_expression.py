"""The filter expressions of GetPartitions: SQL-like conditions on partition keys.

The documented subset: `=`, `<>` (`!=`), `<`, `>`, `<=`, `>=`, LIKE, IN, BETWEEN, IS [NOT] NULL, NOT, AND, OR and
parentheses, over keys of type string, date, timestamp, int, bigint, long, tinyint, smallint and decimal. Anything else
is InvalidInputException. Source: the Glue service model, GetPartitionsRequest$Expression.

Choice where it is silent: a partition has NULL for a key that its table got later.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from local_aws.lakeformation.lf_model import invalid

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*|`[^`]+`|\"[^\"]+\")"
    r"|(?P<sign><>|!=|<=|>=|[=<>(),]))"
)
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
WORDS = {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL"}
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def _number(text: str) -> Decimal:
    return Decimal(text)


CONVERSIONS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "varchar": str,
    "char": str,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    **dict.fromkeys(("int", "integer", "bigint", "long", "tinyint", "smallint", "decimal"), _number),
}


def satisfies(expression: str, types: dict[str, str], values: dict[str, str]) -> bool:
    """Whether a partition's values (by key) satisfy an expression over keys of `types`. InvalidInputException."""
    return _Reader(expression, types, values).whole()


class _Reader:
    """A recursive-descent reader that evaluates as it reads. Every part is read, so that errors never hide."""

    def __init__(self, expression: str, types: dict[str, str], values: dict[str, str]) -> None:
        self._tokens = _tokens(expression)
        self._at = 0
        self._types = {name.lower(): kind for name, kind in types.items()}
        self._values = {name.lower(): value for name, value in values.items()}

    def whole(self) -> bool:
        answer = self._alternatives()
        if self._at < len(self._tokens):
            raise invalid(f"Expression: {self._tokens[self._at][1]!r} is not expected here")
        return answer

    def _alternatives(self) -> bool:
        answer = self._conjunction()
        while self._takes("OR"):
            other = self._conjunction()
            answer = answer or other
        return answer

    def _conjunction(self) -> bool:
        answer = self._negation()
        while self._takes("AND"):
            other = self._negation()
            answer = answer and other
        return answer

    def _negation(self) -> bool:
        if self._takes("NOT"):
            return not self._negation()
        if self._takes("("):
            answer = self._alternatives()
            self._needs(")")
            return answer
        return self._condition()

    def _condition(self) -> bool:
        _, name = self._next()
        key = name.strip('`"').lower()
        if key not in self._types:
            raise invalid(f"Expression: {name!r} is no partition key; the keys are {', '.join(self._types)}")
        convert = CONVERSIONS.get(self._types[key].lower().split("(")[0])
        if convert is None:
            raise invalid(f"Expression: partition key {key} has type {self._types[key]}, which cannot be compared")
        raw = self._values.get(key, HIVE_NULL)
        missing = raw == HIVE_NULL
        if self._takes("IS"):
            negated = self._takes("NOT")
            self._needs("NULL")
            return missing != negated
        negated = self._takes("NOT")
        answer = self._comparison(None if missing else _converted(convert, raw), convert, negated)
        return not missing and answer != negated

    def _comparison(self, value: Any, convert: Callable[[str], Any], negated: bool) -> bool:
        if self._takes("IN"):
            self._needs("(")
            choices = [self._literal(convert)]
            while self._takes(","):
                choices.append(self._literal(convert))
            self._needs(")")
            return value in choices
        if self._takes("BETWEEN"):
            low = self._literal(convert)
            self._needs("AND")
            high = self._literal(convert)
            return value is not None and low <= value <= high
        if self._takes("LIKE"):
            if convert is not str:
                raise invalid("Expression: LIKE is for string keys")
            pattern = re.escape(self._literal(str)).replace("%", ".*").replace("_", ".")
            return value is not None and re.fullmatch(pattern, value, re.DOTALL) is not None
        _, sign = self._next()
        if sign not in COMPARISONS or negated:
            raise invalid(f"Expression: {sign!r} is no comparison")
        literal = self._literal(convert)
        return value is not None and COMPARISONS[sign](value, literal)

    def _literal(self, convert: Callable[[str], Any]) -> Any:
        kind, text = self._next()
        if kind not in ("text", "number"):
            raise invalid(f"Expression: {text!r} is no value")
        return _converted(convert, text[1:-1].replace("''", "'") if kind == "text" else text)

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise invalid("Expression ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] in (("word", word), ("sign", word)):
            self._at += 1
            return True
        return False

    def _needs(self, word: str) -> None:
        if not self._takes(word):
            raise invalid(f"Expression: {word} is missing")


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, at, text = [], 0, expression.rstrip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise invalid(f"Expression is not understood at {text[at:].strip()!r}")
        kind, token = found.lastgroup, found[found.lastgroup]
        if token.upper() in WORDS:
            kind, token = "word", token.upper()
        tokens.append((kind, token))
        at = found.end()
    return tokens


def _converted(convert: Callable[[str], Any], text: str) -> Any:
    try:
        return convert(text)
    except (ValueError, InvalidOperation) as error:
        raise invalid(f"Expression: {text!r} does not fit the type of the partition key") from error
