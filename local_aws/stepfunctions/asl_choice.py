"""Choice rules of the Amazon States Language: checking them, and finding the one that matches.

Source: Step Functions developer guide, "Choice workflow state" (Choice Rules, JSONPath).
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from local_aws.stepfunctions import asl_paths
from local_aws.stepfunctions.asl_errors import RUNTIME, StateFailed

TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})"
)  # RFC 3339 with upper-case T and Z
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanEquals": lambda left, right: left >= right,
}


def _as_string(value: Any) -> Any:
    # Java compares strings by UTF-16 code units; so do their big-endian bytes.
    return value.encode("utf-16-be", "surrogatepass") if isinstance(value, str) else None


def _as_number(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _as_boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else None


def timestamp(value: Any) -> datetime | None:
    """The moment that an RFC 3339 timestamp names; None if the value is no such timestamp."""
    if not isinstance(value, str) or not TIMESTAMP.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    except ValueError:
        return None


TYPES: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "String": (_as_string, tuple(ORDERS)),
    "Numeric": (_as_number, tuple(ORDERS)),
    "Timestamp": (timestamp, tuple(ORDERS)),
    "Boolean": (_as_boolean, ("Equals",)),
}
COMPARISONS = {kind + order: (convert, ORDERS[order]) for kind, (convert, orders) in TYPES.items() for order in orders}
TYPE_TESTS: dict[str, Callable[[Any], bool]] = {
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: _as_number(value) is not None,
    "IsString": lambda value: isinstance(value, str),
    "IsTimestamp": lambda value: timestamp(value) is not None,
}
OPERATORS = {
    *COMPARISONS,
    *(name + "Path" for name in COMPARISONS),
    *TYPE_TESTS,
    "IsPresent",
    "StringMatches",
}


def choose(state: dict, data: Any, context: Any) -> str:
    """The name of the next state. Raises StateFailed: States.NoChoiceMatched, or States.Runtime for a
    variable that is not there."""
    for rule in state["Choices"]:
        if _fulfilled(rule, data, context):
            return rule["Next"]
    if "Default" in state:
        return state["Default"]
    raise StateFailed("States.NoChoiceMatched", "No choice rule matches, and there is no Default")


def _fulfilled(rule: dict, data: Any, context: Any) -> bool:
    if "And" in rule:
        return all(_fulfilled(nested, data, context) for nested in rule["And"])
    if "Or" in rule:
        return any(_fulfilled(nested, data, context) for nested in rule["Or"])
    if "Not" in rule:
        return not _fulfilled(rule["Not"], data, context)
    (operator,) = OPERATORS & rule.keys()
    expected = rule[operator]
    if operator == "IsPresent":
        return _present(rule["Variable"], data, context) is expected
    value = _variable(rule["Variable"], data, context)
    if operator in TYPE_TESTS:
        return TYPE_TESTS[operator](value) is expected
    if operator == "StringMatches":
        return isinstance(value, str) and _wildcard(expected).fullmatch(value) is not None
    if operator.endswith("Path"):
        operator, expected = operator[: -len("Path")], _variable(expected, data, context)
    convert, holds = COMPARISONS[operator]
    left, right = convert(value), convert(expected)
    return left is not None and right is not None and holds(left, right)


def _present(path: str, data: Any, context: Any) -> bool:
    try:
        asl_paths.read(asl_paths.compile_path(path), data, context)
    except asl_paths.PathNotFound:
        return False
    return True


def _variable(path: str, data: Any, context: Any) -> Any:
    try:
        return asl_paths.read(asl_paths.compile_path(path), data, context)
    except asl_paths.PathNotFound as error:
        raise StateFailed(
            RUNTIME,
            f"Invalid path '{path}': The choice state's condition path references an invalid value.",
        ) from error


def _wildcard(pattern: str) -> re.Pattern[str]:
    tokens = re.findall(r"\\[*\\]|.", pattern, re.DOTALL)
    return re.compile("".join(".*" if token == "*" else re.escape(token[-1]) for token in tokens), re.DOTALL)


# --- checking


def problems(rule: Any, location: str, *, nested: bool = False) -> Iterator[tuple[str, str]]:
    """(location, message) of each mistake in a choice rule."""
    if not isinstance(rule, dict):
        yield location, "A choice rule must be an object"
        return
    if nested and "Next" in rule:
        yield f"{location}/Next", "A nested choice rule must not have a Next"
    if not nested and not isinstance(rule.get("Next"), str):
        yield location, "A choice rule needs a Next"
    kinds = [name for name in ("And", "Or", "Not", "Variable") if name in rule]
    operators = sorted(OPERATORS & rule.keys())
    if len(kinds) != 1:
        yield location, "A choice rule needs exactly one of Variable, And, Or and Not"
    for name in rule:
        if name not in OPERATORS and name not in ("And", "Or", "Not", "Variable", "Next", "Comment"):
            yield f"{location}/{name}", f"Field '{name}' is not supported in a choice rule"
    if kinds == ["Variable"]:
        if len(operators) != 1:
            yield location, "A choice rule with a Variable needs exactly one comparison operator"
        yield from _path_problems(rule["Variable"], f"{location}/Variable")
        for operator in operators:
            yield from _operand_problems(operator, rule[operator], f"{location}/{operator}")
    elif operators:
        yield location, f"{operators[0]} needs a Variable"
    for name in ("And", "Or"):
        if name in rule:
            if not isinstance(rule[name], list) or not rule[name]:
                yield f"{location}/{name}", f"{name} needs a non-empty array of choice rules"
                continue
            for index, inner in enumerate(rule[name]):
                yield from problems(inner, f"{location}/{name}[{index}]", nested=True)
    if "Not" in rule:
        yield from problems(rule["Not"], f"{location}/Not", nested=True)


def _path_problems(path: Any, location: str) -> Iterator[tuple[str, str]]:
    if not isinstance(path, str):
        yield location, "Value is not a Reference Path"
        return
    try:
        asl_paths.reference_path(path)
    except asl_paths.InvalidPath as error:
        yield location, f"Value is not a Reference Path: {error}"


def _operand_problems(operator: str, operand: Any, location: str) -> Iterator[tuple[str, str]]:
    if operator in TYPE_TESTS or operator == "IsPresent":
        if not isinstance(operand, bool):
            yield location, f"{operator} needs true or false"
    elif operator == "StringMatches":
        if not isinstance(operand, str):
            yield location, "StringMatches needs a string"
    elif operator.endswith("Path"):
        yield from _path_problems(operand, location)
    elif COMPARISONS[operator][0](operand) is None:
        yield location, f"{operator} needs a value of its type, not {operand!r}"
