"""How many steps a search with a regular expression takes that finds nothing, counted and not timed.

A backtracking engine tries, from each place of the text, each way in which the parts of the pattern can follow one
another; a step is one character held against one part. Ways that come to the same part at the same place are counted
without being walked again, so that millions of steps are counted at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from re import _constants as op
from re import _parser
from typing import Any

_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
}


def steps(pattern: str, text: str) -> int:
    """The steps of ``re.search(pattern, text)``, were it to fail at the last part of the pattern each time."""
    parsed = list(_parser.parse(pattern))
    taken = 0

    def ends(node: tuple[Any, Any], start: int) -> Iterator[int]:
        """Where a part that begins at ``start`` may end, in the order in which the ways are tried."""
        nonlocal taken
        kind, wanted = node
        if kind is op.AT:
            at_the_start = wanted in (op.AT_BEGINNING, op.AT_BEGINNING_STRING)
            if start == 0 or not at_the_start:
                yield start
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, (body,) = wanted
            if least == 0:
                yield start
            count, end = 0, start
            while count < most and (following := next(ends(body, end), None)) is not None:
                count, end = count + 1, following
                if count >= least:
                    yield end
        elif kind is op.ATOMIC_GROUP:
            first = next(ends_of(list(wanted), start), None)
            if first is not None:
                yield first
        elif kind is op.SUBPATTERN:
            yield from ends_of(list(wanted[-1]), start)
        else:
            taken += 1
            if start < len(text) and _takes(kind, wanted)(text[start]):
                yield start + 1

    def ends_of(nodes: list[tuple[Any, Any]], start: int) -> Iterator[int]:
        if not nodes:
            yield start
            return
        for end in ends(nodes[0], start):
            yield from ends_of(nodes[1:], end)

    nodes = list(_flat(parsed))

    @cache
    def from_here(number: int, start: int) -> int:
        """The steps of every way that begins with a part at a place."""
        nonlocal taken
        if number == len(nodes):
            return 0
        before, taken = taken, 0
        following = list(ends(nodes[number], start))
        own, taken = taken, before
        return own + sum(from_here(number + 1, end) for end in following)

    return sum(from_here(0, start) for start in range(len(text) + 1))


def _flat(nodes: list[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """The parts in a row; a group that only sets flags is none."""
    for kind, wanted in nodes:
        if kind is op.SUBPATTERN and wanted[0] is None:
            yield from _flat(list(wanted[-1]))
        else:
            yield kind, wanted


@cache
def _character(kind: Any, wanted: Any) -> Callable[[str], bool]:
    if kind is op.ANY:
        return lambda char: True
    if kind is op.LITERAL:
        return lambda char: ord(char) == wanted
    if kind is op.NOT_LITERAL:
        return lambda char: ord(char) != wanted
    if kind is op.RANGE:
        return lambda char: wanted[0] <= ord(char) <= wanted[1]
    if kind is op.CATEGORY:
        category = re.compile(_CATEGORIES[wanted])
        return lambda char: bool(category.match(char))
    raise AssertionError(f"a part that nobody counts: {kind} {wanted}")


def _takes(kind: Any, wanted: Any) -> Callable[[str], bool]:
    if kind is not op.IN:
        return _character(kind, wanted)
    negated = wanted[0][0] is op.NEGATE
    tests = [_character(*each) for each in wanted[negated:]]
    return lambda char: any(test(char) for test in tests) is not negated
