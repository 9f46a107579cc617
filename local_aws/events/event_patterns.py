"""EventBridge event patterns: reading, refusing and matching.

Semantics as documented (EventBridge user guide: "Event pattern syntax", "Comparison operators for use in
event patterns", "Matching on multiple values", "Null values and empty strings") and, where the guide is
silent, as in EventBridge's open matcher (github.com/aws/event-ruler): an event is flattened into dotted
paths, so a key that holds a dot equals nesting, and conditions on fields of an array of objects must hold
within one element of it.

    pattern = compile_pattern('{"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "a/"}]}}}')
    matches(pattern, event)
"""

import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MAX_PATTERN_CHARACTERS = 2048  # quota "Event pattern size"
MAX_OR_COMBINATIONS = 1000
MAX_EXACT_INTEGER = 2**53

Test = Callable[[Any], bool]


class InvalidPattern(ValueError):
    """The event pattern is one that EventBridge refuses; the message says why."""


@dataclass(frozen=True)
class Condition:
    """What one field must fulfil: one of `tests` true of a value at `path`, or (`absent`) no value there."""

    path: str
    tests: tuple[Test, ...]
    absent: bool = False


@dataclass(frozen=True)
class Pattern:
    """A checked pattern: alternatives (from `$or`), each of them conditions that must all hold."""

    alternatives: tuple[tuple[Condition, ...], ...]


@dataclass(frozen=True)
class Value:
    """A leaf of an event. `elements`: in which element of which array it lies, as (("detail.items", 2),)."""

    value: Any
    elements: tuple[tuple[str, int], ...]


def compile_pattern(text: str) -> Pattern:
    """Read the JSON text of an event pattern. Raises InvalidPattern for what EventBridge refuses."""
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise InvalidPattern(f"Event pattern is longer than {MAX_PATTERN_CHARACTERS} characters")
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise InvalidPattern(f"Filter is not valid JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise InvalidPattern("Filter is not an object")
    return Pattern(tuple(_alternatives(pattern, "")))


def matches(pattern: Pattern, event: dict) -> bool:
    """Does the event (a whole event, or any JSON object) fulfil the pattern?"""
    values: dict[str, list[Value]] = {}
    for path, value in _leaves(event, "", ()):
        values.setdefault(path, []).append(value)
    return any(_holds(conditions, values, {}) for conditions in pattern.alternatives)


# --- events


def _leaves(node: Any, path: str, elements: tuple[tuple[str, int], ...]) -> Iterator[tuple[str, Value]]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(child, f"{path}.{key}" if path else key, elements)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            # Plain values need no place: a field has one condition, and any element may fulfil it.
            place = (*elements, (path, index)) if isinstance(child, dict | list) else elements
            yield from _leaves(child, path, place)
    else:
        yield path, Value(node, elements)


def _holds(conditions: tuple[Condition, ...], values: dict[str, list[Value]], chosen: dict[str, int]) -> bool:
    """Choose a value for each condition so that all of them lie in the same elements of shared arrays."""
    if not conditions:
        return True
    condition, rest = conditions[0], conditions[1:]
    candidates = values.get(condition.path, [])
    if condition.absent and not candidates:
        return _holds(rest, values, chosen)
    for candidate in candidates:
        if any(chosen.get(path, index) != index for path, index in candidate.elements):
            continue
        if any(test(candidate.value) for test in condition.tests) and _holds(
            rest, values, {**chosen, **dict(candidate.elements)}
        ):
            return True
    return False


# --- patterns


def _alternatives(pattern: dict, path: str) -> list[tuple[Condition, ...]]:
    """The pattern as a list of conjunctions: `$or` multiplies out."""
    if not pattern:
        raise InvalidPattern(f"Empty objects are not allowed (at {path or 'the top'})")
    parts = []
    for key, node in pattern.items():
        if key == "$or":
            parts.append(_or_branches(node, path))
            continue
        field = f"{path}.{key}" if path else key
        if isinstance(node, dict):
            parts.append(_alternatives(node, field))
        elif isinstance(node, list):
            parts.append([(_condition(field, node),)])
        else:
            raise InvalidPattern(f'"{key}" must be an object or an array')
    count = 1
    for part in parts:
        count *= len(part)
    if count > MAX_OR_COMBINATIONS:
        raise InvalidPattern(f"The use of $or results in {count} rule combinations, more than 1000")
    return [tuple(itertools.chain(*choice)) for choice in itertools.product(*parts)]


def _or_branches(node: Any, path: str) -> list[tuple[Condition, ...]]:
    if not isinstance(node, list) or len(node) < 2 or not all(isinstance(branch, dict) for branch in node):
        raise InvalidPattern("There must be at least 2 objects in $or relationship")
    return [alternative for branch in node for alternative in _alternatives(branch, path)]


def _condition(field: str, values: list) -> Condition:
    if not values:
        raise InvalidPattern(f"Empty arrays are not allowed (at {field})")
    tests: list[Test] = []
    absent = False
    for value in values:
        if isinstance(value, dict) and list(value) == ["exists"] and value["exists"] is False:
            absent = True
        elif isinstance(value, dict):
            tests.append(_operator(value))
        elif isinstance(value, list):
            raise InvalidPattern(f"Match value must be String, number, true, false, or null, not an array (at {field})")
        else:
            tests.append(_equal_to(value))
    return Condition(field, tuple(tests), absent)


def _equal_to(expected: Any) -> Test:
    # By type as well: 300 and 300.0 are different values, and so are 1 and true.
    return lambda value: type(value) is type(expected) and value == expected


def _operator(expression: dict) -> Test:
    if len(expression) != 1:
        raise InvalidPattern("Only one key allowed in match expression")
    ((name, operand),) = expression.items()
    if name == "exists":
        if not isinstance(operand, bool):
            raise InvalidPattern("exists match pattern must be either true or false.")
        return lambda value: True
    if name == "anything-but":
        return _anything_but(operand)
    if name == "numeric":
        return _numeric(operand)
    if name == "cidr":
        return _cidr(operand)
    if name in STRING_TESTS:
        if name in ("prefix", "suffix") and isinstance(operand, dict):
            return _ignoring_case(name, operand)
        return STRING_TESTS[name](_string(name, operand))
    raise InvalidPattern(f"Unrecognized match type {name}")


def _string(name: str, operand: Any) -> str:
    if not isinstance(operand, str):
        raise InvalidPattern(f"{name} match pattern must be a string")
    return operand


def _ignoring_case(name: str, operand: dict) -> Test:
    if list(operand) != ["equals-ignore-case"]:
        raise InvalidPattern(f"{name} allows only equals-ignore-case in its object form")
    return STRING_TESTS[name](_string(name, operand["equals-ignore-case"]), fold=str.lower)


def _prefix(prefix: str, fold: Callable[[str], str] = str) -> Test:
    return lambda value: isinstance(value, str) and fold(value).startswith(fold(prefix))


def _suffix(suffix: str, fold: Callable[[str], str] = str) -> Test:
    return lambda value: isinstance(value, str) and fold(value).endswith(fold(suffix))


def _equals_ignore_case(expected: str) -> Test:
    return lambda value: isinstance(value, str) and value.lower() == expected.lower()


def _wildcard(pattern: str) -> Test:
    pieces = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            escaped = pattern[position + 1 : position + 2]
            if escaped not in ("*", "\\"):
                raise InvalidPattern(f"Invalid escape character at pos {position}")
            pieces.append(re.escape(escaped))
            position += 2
            continue
        if character == "*":
            if pattern[position + 1 : position + 2] == "*":
                raise InvalidPattern(f"Consecutive wildcard characters at pos {position}")
            pieces.append(".*")
        else:
            pieces.append(re.escape(character))
        position += 1
    expression = re.compile("".join(pieces), re.DOTALL)
    return lambda value: isinstance(value, str) and expression.fullmatch(value) is not None


STRING_TESTS: dict[str, Callable[..., Test]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
}


def _anything_but(operand: Any) -> Test:
    if isinstance(operand, dict):
        if len(operand) != 1 or next(iter(operand)) not in STRING_TESTS:
            raise InvalidPattern(f"Unsupported anything-but pattern: {', '.join(operand) or '{}'}")
        ((name, listed),) = operand.items()
        values = listed if isinstance(listed, list) else [listed]
        if not values or any(not isinstance(value, str) or value == "" for value in values):
            raise InvalidPattern(f"anything-but {name} must be a non-empty string or a list of them")
        forbidden = [STRING_TESTS[name](value) for value in values]
    else:
        values = operand if isinstance(operand, list) else [operand]
        strings = all(isinstance(value, str) for value in values)
        numbers = all(_is_number(value) for value in values)
        if not values or not (strings or numbers):
            raise InvalidPattern("Inside anything-but list, all values must be strings, or all numbers")
        forbidden = [_equal_to(value) for value in values]
    return lambda value: not any(test(value) for test in forbidden)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numeric(operand: Any) -> Test:
    """["=", n], ["<", n], [">", n], or a range whose lower bound comes first: [">=", low, "<", high]."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise InvalidPattern("Numeric match must be an array of operator and number pairs")
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    for operator, bound in pairs:
        if operator not in ("=", "<", "<=", ">", ">="):
            raise InvalidPattern(f"Unrecognized numeric range operator: {operator}")
        if not _is_number(bound):
            raise InvalidPattern(f"Value of {operator} must be numeric")
        if abs(bound) > MAX_EXACT_INTEGER:
            raise InvalidPattern(f"Value of {operator} cannot be represented exactly: {bound}")
    if len(pairs) == 2:
        (first, low), (second, high) = pairs
        if first not in (">", ">=") or second not in ("<", "<="):
            raise InvalidPattern(f"Bad numeric range operators: {first} then {second}")
        if low >= high:
            raise InvalidPattern("Bottom must be less than top")

    def within(value: Any) -> bool:
        if not _is_number(value) or abs(value) > MAX_EXACT_INTEGER:
            return False
        return all(_compare(value, operator, bound) for operator, bound in pairs)

    return within


def _compare(value: float, operator: str, bound: float) -> bool:
    if operator == "=":
        return value == bound
    if operator == "<":
        return value < bound
    if operator == "<=":
        return value <= bound
    return value > bound if operator == ">" else value >= bound


def _cidr(operand: Any) -> Test:
    try:
        network = ipaddress.ip_network(_string("cidr", operand), strict=False)
    except ValueError as error:
        raise InvalidPattern(f"Malformed CIDR: {error}") from error

    def inside(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        return address.version == network.version and address in network

    return inside
