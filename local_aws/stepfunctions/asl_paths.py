"""Paths of the Amazon States Language, for states that use JSONPath.

A path starts with `$` (the state's data) or `$$` (the context object). A definite path yields one value,
and is an error where there is none; an indefinite one (`[*]`, `..`, slices, unions, filters) yields a list.
A reference path names one node only. Sources: Step Functions developer guide, "Using JSONPath paths" and
"Accessing execution data from the Context object"; evaluation as in Jayway JsonPath, which AWS uses.

JSONPath functions (`$.a.length()`) and script indexes (`[(@.length-1)]`) are refused: the guide offers
intrinsic functions for them.
"""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

NAME = re.compile(r"[^\s.\[\]()'\"*,:?@$!&|<>=~]+")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
INTEGER = re.compile(r"-?\d+")
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
MISSING = object()


class InvalidPath(ValueError):
    """The text is no path that the service accepts; the message says why."""


class PathNotFound(LookupError):
    """A definite path points at nothing in the data."""


class CannotPlace(LookupError):
    """A ResultPath cannot be applied to the state's input."""


@dataclass(frozen=True)
class Names:
    names: tuple[str, ...]


@dataclass(frozen=True)
class Indexes:
    indexes: tuple[int, ...]


@dataclass(frozen=True)
class Slice:
    start: int | None
    stop: int | None


@dataclass(frozen=True)
class Wildcard:
    pass


@dataclass(frozen=True)
class Filter:
    """`test(element, root)` says whether an array's element (or an object) is selected."""

    test: Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Step:
    selector: Names | Indexes | Slice | Wildcard | Filter
    deep: bool = False
    """After `..`: applied to the node and all that is below it."""

    @property
    def definite(self) -> bool:
        if self.deep:
            return False
        if isinstance(self.selector, Indexes):
            return len(self.selector.indexes) == 1
        return isinstance(self.selector, Names)


@dataclass(frozen=True)
class Path:
    text: str
    context: bool
    """Does it start with `$$`?"""
    steps: tuple[Step, ...]

    @property
    def definite(self) -> bool:
        *upper, last = self.steps or (Step(Names(("",))),)
        # `['a','b']` at the end selects one object of both; further up it would be several nodes.
        return last.definite and all(step.definite and not _is_union(step) for step in upper)

    @property
    def reference(self) -> bool:
        """Does its syntax allow one node only?"""
        return all(
            step.definite
            and not _is_union(step)
            and not (isinstance(step.selector, Indexes) and step.selector.indexes[0] < 0)
            for step in self.steps
        )


def _is_union(step: Step) -> bool:
    return isinstance(step.selector, Names) and len(step.selector.names) > 1


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """Read a path. Raises InvalidPath."""
    return _Parser(text).path()


def reference_path(text: str) -> Path:
    """Read a reference path. Raises InvalidPath also for a path that could select several nodes."""
    path = compile_path(text)
    if not path.reference:
        raise InvalidPath(f"{text} is not a Reference Path: it may select more than one node")
    return path


def read(path: Path, data: Any, context: Any) -> Any:
    """The value at a path in the state's data or, for `$$`, in the context object.

    Returns one value for a definite path and a list otherwise. Raises PathNotFound.
    """
    root = context if path.context else data
    nodes = [root]
    definite = True
    for position, step in enumerate(path.steps):
        last = position == len(path.steps) - 1
        found = [child for node in nodes for child in _select(node, step, root, merge=last)]
        definite = definite and step.definite and (last or not _is_union(step))
        if definite and not found:
            raise PathNotFound(f"No results for path: {path.text}")
        nodes = found
    return nodes[0] if path.definite else nodes


def place(path: Path, data: Any, value: Any) -> Any:
    """A copy of `data` in which a reference path holds `value`; objects on the way are made where missing.

    Raises CannotPlace where the way leads through something that is no object, or beyond the end of an array.
    """
    if not path.steps:
        return value
    result = copy.deepcopy(data)
    node = result
    for position, step in enumerate(path.steps):
        last = position == len(path.steps) - 1
        key: Any
        if isinstance(step.selector, Names) and isinstance(node, dict):
            key = step.selector.names[0]
            if not last:
                node.setdefault(key, {})
        elif isinstance(step.selector, Indexes) and isinstance(node, list):
            key = step.selector.indexes[0]
            if key >= len(node):
                raise CannotPlace(f"Unable to apply Reference Path {path.text}: the array has no [{key}]")
        else:
            raise CannotPlace(f"Unable to apply Reference Path {path.text} to the state's input")
        if last:
            node[key] = value
        else:
            node = node[key]
    return result


# --- evaluation


def _select(node: Any, step: Step, root: Any, merge: bool) -> Iterator[Any]:
    if step.deep:
        for descendant in _descendants(node):
            yield from _children(descendant, step.selector, root, merge)
    else:
        yield from _children(node, step.selector, root, merge)


def _descendants(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, dict):
        for child in node.values():
            yield from _descendants(child)
    elif isinstance(node, list):
        for child in node:
            yield from _descendants(child)


def _children(node: Any, selector: Any, root: Any, merge: bool) -> Iterator[Any]:
    if isinstance(selector, Names):
        if not isinstance(node, dict):
            return
        if len(selector.names) > 1 and merge:
            yield {name: node[name] for name in selector.names if name in node}
            return
        for name in selector.names:
            if name in node:
                yield node[name]
    elif isinstance(selector, Wildcard):
        if isinstance(node, dict):
            yield from node.values()
        elif isinstance(node, list):
            yield from node
    elif isinstance(selector, Filter):
        if isinstance(node, list):
            yield from (element for element in node if selector.test(element, root))
        elif isinstance(node, dict) and selector.test(node, root):
            yield node
    elif isinstance(node, list):
        if isinstance(selector, Slice):
            yield from node[selector.start : selector.stop]
        else:
            for index in selector.indexes:
                if -len(node) <= index < len(node):
                    yield node[index]


# --- reading paths


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def fail(self, why: str) -> InvalidPath:
        return InvalidPath(f"Invalid path '{self.text}': {why} at position {self.position}")

    def peek(self, token: str) -> bool:
        return self.text.startswith(token, self.position)

    def take(self, token: str) -> bool:
        if self.peek(token):
            self.position += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.fail(f"expected '{token}'")

    def spaces(self) -> None:
        while self.peek(" "):
            self.position += 1

    def match(self, expression: re.Pattern[str]) -> str | None:
        found = expression.match(self.text, self.position)
        if not found:
            return None
        self.position = found.end()
        return found.group()

    def path(self) -> Path:
        if not self.take("$"):
            raise self.fail("a path starts with '$'")
        context = self.take("$")
        steps = tuple(self.steps())
        if self.position != len(self.text):
            raise self.fail("unexpected character")
        return Path(self.text, context, steps)

    def steps(self) -> Iterator[Step]:
        while True:
            deep = self.take("..")
            if not deep and self.take(".") and not self.peek("["):
                yield Step(self.dotted())
            elif self.take("["):
                yield Step(self.bracketed(), deep)
            elif deep:
                yield Step(self.dotted(), deep=True)
            else:
                return

    def dotted(self) -> Names | Wildcard:
        if self.take("*"):
            return Wildcard()
        name = self.match(NAME)
        if name is None:
            raise self.fail("expected a field name")
        if self.peek("("):
            raise self.fail("JSONPath functions are not supported")
        return Names((name,))

    def bracketed(self) -> Names | Indexes | Slice | Wildcard | Filter:
        self.spaces()
        selector: Names | Indexes | Slice | Wildcard | Filter
        if self.take("*"):
            selector = Wildcard()
        elif self.take("?"):
            self.spaces()
            self.expect("(")
            selector = Filter(self.either())
            self.spaces()
            self.expect(")")
        elif self.peek("'") or self.peek('"'):
            selector = Names(tuple(self.separated(self.quoted)))
        elif self.peek("("):
            raise self.fail("script expressions are not supported")
        else:
            selector = self.indexes()
        self.spaces()
        self.expect("]")
        return selector

    def separated(self, item: Callable[[], Any]) -> Iterator[Any]:
        yield item()
        self.spaces()
        while self.take(","):
            self.spaces()
            yield item()
            self.spaces()

    def quoted(self) -> str:
        quote = self.text[self.position : self.position + 1]
        if quote not in ("'", '"'):
            raise self.fail("expected a quoted name")
        self.position += 1
        characters = []
        while not self.take(quote):
            if self.take("\\"):
                characters.append(self.text[self.position : self.position + 1])
            else:
                characters.append(self.text[self.position : self.position + 1])
            if not characters[-1]:
                raise self.fail("unterminated string")
            self.position += 1
        return "".join(characters)

    def indexes(self) -> Indexes | Slice:
        first = self.integer()
        if self.take(":"):
            return Slice(first, self.integer())
        if first is None:
            raise self.fail("expected an index, a name in quotes, '*' or a filter")
        rest = []
        while self.take(","):
            self.spaces()
            index = self.integer()
            if index is None:
                raise self.fail("expected an index")
            rest.append(index)
        return Indexes((first, *rest))

    def integer(self) -> int | None:
        self.spaces()
        digits = self.match(INTEGER)
        self.spaces()
        return int(digits) if digits is not None else None

    # filters: or, and, not, comparison, in order of binding

    def either(self) -> Callable[[Any, Any], bool]:
        tests = [self.both()]
        while self.operator("||"):
            tests.append(self.both())
        return lambda element, root: any(test(element, root) for test in tests)

    def both(self) -> Callable[[Any, Any], bool]:
        tests = [self.negated()]
        while self.operator("&&"):
            tests.append(self.negated())
        return lambda element, root: all(test(element, root) for test in tests)

    def operator(self, token: str) -> bool:
        self.spaces()
        return self.take(token)

    def negated(self) -> Callable[[Any, Any], bool]:
        self.spaces()
        if self.peek("!") and not self.peek("!="):
            self.position += 1
            test = self.negated()
            return lambda element, root: not test(element, root)
        if self.take("("):
            test = self.either()
            self.spaces()
            self.expect(")")
            return test
        return self.comparison()

    def comparison(self) -> Callable[[Any, Any], bool]:
        left, is_path = self.operand()
        self.spaces()
        for symbol in COMPARISONS:
            if self.take(symbol):
                right, _ = self.operand()
                return lambda element, root: _compare(left(element, root), symbol, right(element, root))
        for word, wanted in (("nin ", False), ("in ", True)):
            if self.take(word):
                listed, _ = self.operand()
                return lambda element, root: _contains(listed(element, root), left(element, root)) is wanted
        if not is_path:
            raise self.fail("expected a comparison")
        if not (self.peek(")") or self.peek("&&") or self.peek("||")):
            raise self.fail("unsupported filter operator")
        return lambda element, root: left(element, root) is not MISSING

    def operand(self) -> tuple[Callable[[Any, Any], Any], bool]:
        self.spaces()
        start = self.position
        if self.take("@") or self.take("$"):
            relative = self.text[start] == "@"
            path = Path(self.text, context=False, steps=tuple(self.steps()))
            return lambda element, root: _read_or_missing(path, element if relative else root), True
        value = self.literal()
        return lambda element, root: value, False

    def literal(self) -> Any:
        self.spaces()
        if self.peek("'") or self.peek('"'):
            return self.quoted()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.take(word):
                return value
        if self.take("["):
            self.spaces()
            values = [] if self.peek("]") else list(self.separated(self.literal))
            self.spaces()
            self.expect("]")
            return values
        number = self.match(NUMBER)
        if number is None:
            raise self.fail("expected a value")
        return float(number) if any(mark in number for mark in ".eE") else int(number)


def _read_or_missing(path: Path, data: Any) -> Any:
    try:
        return read(path, data, None)
    except PathNotFound:
        return MISSING


def _compare(left: Any, symbol: str, right: Any) -> bool:
    if symbol == "==":
        return _same(left, right)
    if symbol == "!=":
        return not _same(left, right)
    numbers = _is_number(left) and _is_number(right)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        return False
    if symbol == "<":
        return left < right
    if symbol == "<=":
        return left <= right
    return left > right if symbol == ">" else left >= right


def _contains(values: Any, value: Any) -> bool:
    return isinstance(values, list) and any(_same(value, listed) for listed in values)


def _same(left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING:
        return False
    return (_is_number(left) and _is_number(right) or type(left) is type(right)) and left == right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
