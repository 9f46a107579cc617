"""Intrinsic functions and payload templates of the Amazon States Language.

A payload template (Parameters, ItemSelector, ResultSelector) is JSON in which a field whose name ends in
`.$` holds a path or an intrinsic function, replaced by its value. Sources: Step Functions developer guide,
"Intrinsic functions for JSONPath states" and "Manipulate parameters".
"""

import base64
import binascii
import hashlib
import json
import random
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from local_aws.stepfunctions import asl_paths

MAX_NESTING = 10
MAX_ENCODED_CHARACTERS = 10_000
MAX_RANGE_ITEMS = 1000
HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
FUNCTION_NAME = re.compile(r"States\.[A-Za-z0-9]+")


class InvalidExpression(ValueError):
    """The text is neither a path nor an intrinsic function that exists; the message says why."""


class IntrinsicFailure(Exception):
    """An intrinsic function cannot be applied to its arguments."""


@dataclass(frozen=True)
class Literal:
    value: Any
    """A number, boolean or null; of a string its text between the quotes, escapes still in it."""


@dataclass(frozen=True)
class Invocation:
    function: str
    arguments: tuple["Expression", ...]


Expression = asl_paths.Path | Literal | Invocation


# --- templates


def fill(template: Any, data: Any, context: Any) -> Any:
    """The template with every `.$` field replaced. Raises asl_paths.PathNotFound, IntrinsicFailure."""
    if isinstance(template, dict):
        filled = {}
        for name, value in template.items():
            if name.endswith(".$"):
                filled[name[:-2]] = evaluate(compile_expression(value), data, context)
            else:
                filled[name] = fill(value, data, context)
        return filled
    if isinstance(template, list):
        return [fill(element, data, context) for element in template]
    return template


def template_problems(template: Any, location: str) -> Iterator[tuple[str, str]]:
    """(location, message) of each mistake in a payload template."""
    if isinstance(template, dict):
        for name, value in template.items():
            here = f"{location}/{name}"
            if not name.endswith(".$"):
                yield from template_problems(value, here)
                continue
            if name[:-2] in template:
                yield here, f"The field '{name[:-2]}' is given twice, once with '.$'"
            if not isinstance(value, str):
                yield here, f"The value for the field '{name}' must be a valid JSONPath or intrinsic function"
                continue
            try:
                compile_expression(value)
            except (asl_paths.InvalidPath, InvalidExpression) as error:
                yield here, f"The value for the field '{name}' must be a valid JSONPath: {error}"
    elif isinstance(template, list):
        for index, element in enumerate(template):
            yield from template_problems(element, f"{location}[{index}]")


# --- expressions


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """Read a path or an intrinsic function. Raises asl_paths.InvalidPath or InvalidExpression."""
    if text.startswith("$"):
        return asl_paths.compile_path(text)
    parser = _Parser(text)
    expression = parser.invocation(depth=1)
    if parser.position != len(text):
        raise parser.fail("unexpected text after the function")
    return expression


def evaluate(expression: Expression, data: Any, context: Any) -> Any:
    """The value of an expression. Raises asl_paths.PathNotFound, IntrinsicFailure."""
    if isinstance(expression, asl_paths.Path):
        return asl_paths.read(expression, data, context)
    if isinstance(expression, Literal):
        return _unescape(expression.value) if isinstance(expression.value, str) else expression.value
    if expression.function == "States.Format":
        return _format(expression, data, context)
    arguments = [evaluate(argument, data, context) for argument in expression.arguments]
    try:
        return FUNCTIONS[expression.function][2](*arguments)
    except IntrinsicFailure as error:
        raise IntrinsicFailure(f"Invalid arguments in {expression.function}: {error}") from error


class _Parser:
    """Reads `States.Name(argument, ...)`, where an argument is a literal, a path or another function."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def fail(self, why: str) -> InvalidExpression:
        return InvalidExpression(f"Invalid intrinsic function '{self.text}': {why}")

    def spaces(self) -> None:
        while self.text.startswith(" ", self.position):
            self.position += 1

    def next(self) -> str:
        return self.text[self.position : self.position + 1]

    def invocation(self, depth: int) -> Invocation:
        found = FUNCTION_NAME.match(self.text, self.position)
        if not found:
            raise self.fail("expected a path or a function such as States.Format(...)")
        name = found.group()
        if name not in FUNCTIONS:
            raise self.fail(f"unknown function {name}")
        if depth > MAX_NESTING:
            raise self.fail(f"more than {MAX_NESTING} nested functions")
        self.position = found.end()
        if self.next() != "(":
            raise self.fail(f"expected '(' after {name}")
        self.position += 1
        arguments = tuple(self.arguments(depth))
        least, most, _ = FUNCTIONS[name]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            raise self.fail(f"{name} does not take {len(arguments)} arguments")
        if name == "States.Format":
            self.check_format(arguments)
        return Invocation(name, arguments)

    def arguments(self, depth: int) -> Iterator[Expression]:
        self.spaces()
        if self.next() == ")":
            self.position += 1
            return
        while True:
            yield self.argument(depth)
            self.spaces()
            mark = self.next()
            self.position += 1
            if mark == ")":
                return
            if mark != ",":
                raise self.fail("expected ',' or ')' after an argument")
            self.spaces()

    def argument(self, depth: int) -> Expression:
        mark = self.next()
        if mark == "'":
            return Literal(self.string())
        if mark == "$":
            return asl_paths.compile_path(self.path_text())
        if mark == "S":
            return self.invocation(depth + 1)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.position):
                self.position += len(word)
                return Literal(value)
        number = asl_paths.NUMBER.match(self.text, self.position)
        if not number:
            raise self.fail(f"not an argument: {self.text[self.position :]}")
        self.position = number.end()
        return Literal(json.loads(number.group()))

    def string(self) -> str:
        """The text of a string in single quotes, escapes kept."""
        self.position += 1
        start = self.position
        while self.next() != "'":
            if self.next() == "\\":
                if self.text[self.position + 1 : self.position + 2] not in ("'", "{", "}", "\\"):
                    raise self.fail("an open escape backslash; write \\\\ for a backslash")
                self.position += 1
            if not self.next():
                raise self.fail("unterminated string")
            self.position += 1
        self.position += 1
        return self.text[start : self.position - 1]

    def path_text(self) -> str:
        """The text of a path: up to the ',' or ')' that is not within brackets, parentheses or quotes."""
        start = self.position
        depth = 0
        quote = ""
        while self.position < len(self.text):
            mark = self.next()
            if quote:
                quote = "" if mark == quote else quote
            elif mark in "'\"":
                quote = mark
            elif mark in "[(":
                depth += 1
            elif mark in "])" and depth:
                depth -= 1
            elif mark in ",)" and not depth:
                break
            self.position += 1
        return self.text[start : self.position].rstrip()

    def check_format(self, arguments: tuple[Expression, ...]) -> None:
        template = arguments[0]
        if isinstance(template, Literal):
            if not isinstance(template.value, str):
                raise self.fail("the first argument of States.Format must be a string")
            pieces = _format_pieces(template.value)
            if any("{" in piece or "}" in piece for piece in _without_escapes(pieces)):
                raise self.fail("braces that are no '{}' must be escaped with a backslash")
            if len(pieces) != len(arguments):
                raise self.fail("States.Format needs as many arguments as its template has '{}'")


def _unescape(text: str) -> str:
    return re.sub(r"\\(['{}\\])", r"\1", text)


def _format_pieces(template: str) -> list[str]:
    """The template split at its unescaped `{}`."""
    pieces = [""]
    for token in re.findall(r"\\.|\{\}|.", template, re.DOTALL):
        if token == "{}":
            pieces.append("")
        else:
            pieces[-1] += token
    return pieces


def _without_escapes(pieces: list[str]) -> list[str]:
    return [re.sub(r"\\.", "", piece) for piece in pieces]


# --- the functions


def _format(expression: Invocation, data: Any, context: Any) -> str:
    template, *rest = expression.arguments
    values = [evaluate(argument, data, context) for argument in rest]
    if isinstance(template, Literal):
        pieces = [_unescape(piece) for piece in _format_pieces(template.value)]
    else:
        text = evaluate(template, data, context)
        if not isinstance(text, str):
            raise IntrinsicFailure("Invalid arguments in States.Format: the template must be a string")
        pieces = text.split("{}")
    if len(pieces) != len(values) + 1:
        raise IntrinsicFailure(f"Invalid arguments in States.Format: {len(values)} values for {len(pieces) - 1} '{{}}'")
    texts = [value if isinstance(value, str) else compact(value) for value in values]
    return pieces[0] + "".join(text + piece for text, piece in zip(texts, pieces[1:], strict=True))


def compact(value: Any) -> str:
    """JSON text without spaces, as the service writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _array(value: Any) -> list:
    if not isinstance(value, list):
        raise IntrinsicFailure("an array is expected")
    return value


def _text(value: Any, limit: int | None = None) -> str:
    if not isinstance(value, str):
        raise IntrinsicFailure("a string is expected")
    if limit and len(value) > limit:
        raise IntrinsicFailure(f"the string is longer than {limit} characters")
    return value


def _integer(value: Any) -> int:
    """Non-integers are rounded to the nearest integer, as documented."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise IntrinsicFailure("an integer is expected")
    return value if isinstance(value, int) else int(value + 0.5 if value >= 0 else value - 0.5)


def _array_partition(array: Any, size: Any) -> list:
    values, length = _array(array), _integer(size)
    if length < 1:
        raise IntrinsicFailure("the chunk size must be a positive integer")
    return [values[start : start + length] for start in range(0, len(values), length)]


def _array_contains(array: Any, value: Any) -> bool:
    return _identity(value) in {_identity(element) for element in _array(array)}


def _identity(value: Any) -> str:
    """Equal for values that are equal and of one type: 1 is not true."""
    return json.dumps(value, sort_keys=True)


def _array_range(first: Any, last: Any, step: Any) -> list:
    start, end, increment = _integer(first), _integer(last), _integer(step)
    if increment == 0:
        raise IntrinsicFailure("the increment must not be zero")
    values = range(start, end + (1 if increment > 0 else -1), increment)
    if len(values) > MAX_RANGE_ITEMS:
        raise IntrinsicFailure(f"the array would have more than {MAX_RANGE_ITEMS} items")
    return list(values)


def _array_get_item(array: Any, index: Any) -> Any:
    values, position = _array(array), _integer(index)
    if not 0 <= position < len(values):
        raise IntrinsicFailure(f"no item {position} in an array of {len(values)}")
    return values[position]


def _array_unique(array: Any) -> list:
    unique: dict[str, Any] = {}
    for value in _array(array):
        unique.setdefault(_identity(value), value)
    return list(unique.values())


def _base64_encode(text: Any) -> str:
    return base64.b64encode(_text(text, MAX_ENCODED_CHARACTERS).encode()).decode()


def _base64_decode(text: Any) -> str:
    try:
        return base64.b64decode(_text(text, MAX_ENCODED_CHARACTERS), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise IntrinsicFailure(f"not Base64 of a text: {error}") from error


def _hash(value: Any, algorithm: Any) -> str:
    if algorithm not in HASHES:
        raise IntrinsicFailure(f"the algorithm must be one of {', '.join(HASHES)}")
    text = value if isinstance(value, str) else compact(value)
    return hashlib.new(HASHES[algorithm], _text(text, MAX_ENCODED_CHARACTERS).encode()).hexdigest()


def _json_merge(first: Any, second: Any, deep: Any) -> dict:
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise IntrinsicFailure("two objects are expected")
    if deep is not False:
        raise IntrinsicFailure("only shallow merging is supported: the third argument must be false")
    return {**first, **second}


def _string_to_json(text: Any) -> Any:
    try:
        return json.loads(_text(text))
    except ValueError as error:
        raise IntrinsicFailure(f"not JSON: {error}") from error


def _math_random(start: Any, end: Any, seed: Any = None) -> int:
    low, high = _integer(start), _integer(end)
    if low >= high:
        raise IntrinsicFailure("the start must be less than the end")
    return random.Random(None if seed is None else _integer(seed)).randrange(low, high)


def _math_add(first: Any, second: Any) -> int:
    values = (_integer(first), _integer(second))
    if any(not -(2**31) <= value < 2**31 for value in values):
        raise IntrinsicFailure("the numbers must lie between -2147483648 and 2147483647")
    return sum(values)


def _string_split(text: Any, delimiters: Any) -> list:
    """Split at any of the delimiting characters; empty parts are dropped."""
    separators = _text(delimiters)
    if not separators:
        return [_text(text)]
    return [part for part in re.split(f"[{re.escape(separators)}]", _text(text)) if part]


FUNCTIONS: dict[str, tuple[int, int | None, Callable[..., Any]]] = {
    # name: fewest and most arguments (None: any number), function
    "States.Array": (0, None, lambda *values: list(values)),
    "States.ArrayContains": (2, 2, _array_contains),
    "States.ArrayGetItem": (2, 2, _array_get_item),
    "States.ArrayLength": (1, 1, lambda array: len(_array(array))),
    "States.ArrayPartition": (2, 2, _array_partition),
    "States.ArrayRange": (3, 3, _array_range),
    "States.ArrayUnique": (1, 1, _array_unique),
    "States.Base64Decode": (1, 1, _base64_decode),
    "States.Base64Encode": (1, 1, _base64_encode),
    "States.Format": (1, None, _format),
    "States.Hash": (2, 2, _hash),
    "States.JsonMerge": (3, 3, _json_merge),
    "States.JsonToString": (1, 1, compact),
    "States.MathAdd": (2, 2, _math_add),
    "States.MathRandom": (2, 3, _math_random),
    "States.StringSplit": (2, 2, _string_split),
    "States.StringToJson": (1, 1, _string_to_json),
    "States.UUID": (0, 0, lambda: str(uuid.uuid4())),
}
