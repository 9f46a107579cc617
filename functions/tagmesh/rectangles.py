"""The fewest calls that assign LF-Tags to the columns of a table. Pure.

One AddLFTagsToResource assigns a rectangle: each of its tags to each of its columns. The least number of rectangles
that cover the ones of a table and no zero is its boolean rank, the biclique cover of columns and tags: NP-hard in
general, small here, since columns with equal tags count once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache

Call = tuple[tuple[str, ...], dict[str, str]]
"""Columns, and key -> value of the tags that they all get."""

MOST_CANDIDATES = 256
MOST_WORK = 20_000  # cells looked at, in all steps: some 50 ms


def rectangles(changes: Mapping[str, Mapping[str, str]]) -> list[Call]:
    """Calls, each (columns, tags), that together assign to each column its tags (column -> key -> value) and no other.

    The least number for nearly all tables: the search takes a bounded number of steps, never a time, so that the same
    table gets the same calls. Never more than one call a distinct set of tags, nor one a distinct tag, and those where
    no fewer will do. A column may be in several calls, and a tag be assigned to it by two of them."""
    by_set: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for column in sorted(changes):
        if changes[column]:
            by_set[tuple(sorted(changes[column].items()))].append(column)
    sets = sorted(by_set)
    tags = sorted({tag for each in sets for tag in each})
    position = {tag: number for number, tag in enumerate(tags)}
    rows = tuple(sum(1 << position[tag] for tag in each) for each in sets)
    calls = []
    for members, assigned in _cover(rows):
        columns = [column for number in _bits(members) for column in by_set[sets[number]]]
        calls.append((tuple(sorted(columns)), dict(tags[number] for number in _bits(assigned))))
    return calls


Rectangle = tuple[int, int]
"""Bits of rows, and of the tags that each of them has."""


@lru_cache(maxsize=4096)
def _cover(rows: tuple[int, ...]) -> tuple[Rectangle, ...]:
    """Rectangles that cover the ones of a table and no zero, in an order of their own.

    Args:
        rows: distinct, each the bits of its tags; all tags occur.
    """
    if not rows:
        return ()
    having = _having(rows)
    if len(rows) <= len(having):
        simple = tuple((1 << number, row) for number, row in enumerate(rows))
    else:
        simple = tuple((members, 1 << number) for number, members in enumerate(having))
    if len(simple) <= 2:  # one rectangle is one row, or one tag
        return simple
    return _Search(rows, having).fewest(simple)


def _having(rows: tuple[int, ...]) -> list[int]:
    """For each tag, the bits of the rows that have it."""
    having = [0] * max(row.bit_length() for row in rows)
    for number, row in enumerate(rows):
        for tag in _bits(row):
            having[tag] |= 1 << number
    return having


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class _Search:
    """Branch and bound over the rectangles that cannot grow. A cell is the bit `row * width + tag`."""

    def __init__(self, rows: tuple[int, ...], having: list[int]) -> None:
        self._rows = rows
        self._width = len(having)
        # cell -> the cells that some rectangle covers together with it
        self._together = {
            number * self._width + tag: self._cells(having[tag], row)
            for number, row in enumerate(rows)
            for tag in _bits(row)
        }
        self._order = sorted(self._together, key=lambda cell: (self._together[cell].bit_count(), cell))
        self._work = MOST_WORK

    def fewest(self, simple: tuple[Rectangle, ...]) -> tuple[Rectangle, ...]:
        """The fewest rectangles that were found; `simple` where that is no fewer."""
        everything = sum(1 << cell for cell in self._together)
        if self._least(everything) >= len(simple):
            return simple
        self._candidates = self._maximal()
        covered_by: dict[int, int] = dict.fromkeys(self._together, 0)
        areas = [self._area(*candidate) for candidate in self._candidates]
        for number, area in enumerate(areas):
            for cell in _bits(area):
                covered_by[cell] |= 1 << number
        left = self._deciding(covered_by)
        self._areas = [area & left for area in areas]
        self._covered_by = {cell: covered_by[cell] for cell in _bits(left)}
        self._order = [cell for cell in self._order if left >> cell & 1]
        self._goal = self._least(left)
        self._best: list[int] | None = None
        self._most = len(simple)  # what is found must be fewer
        self._reached: dict[int, int] = {}
        self._look(left, [])
        if self._best is None:
            return simple
        return tuple(sorted(self._candidates[number] for number in self._best))

    def _cells(self, members: int, row: int) -> int:
        """What `members` have of a row's tags."""
        return sum((self._rows[number] & row) << number * self._width for number in _bits(members))

    def _area(self, members: int, tags: int) -> int:
        return sum(tags << number * self._width for number in _bits(members))

    def _least(self, left: int) -> int:
        """So many rectangles at least: as many cells as are found of which no two lie in one rectangle."""
        found = 0
        for cell in self._order:
            if left >> cell & 1:
                found += 1
                left &= ~self._together[cell]
                if not left:
                    break
        return found

    def _maximal(self) -> list[Rectangle]:
        """The rectangles that cannot grow: sets of tags that rows have in common, with all rows that have them."""
        found = dict.fromkeys(self._rows)
        fresh = list(found)
        while fresh and len(found) < MOST_CANDIDATES:
            following = []
            for tags in fresh:
                for row in self._rows:
                    common = tags & row
                    if common and common not in found:
                        found[common] = None
                        following.append(common)
            fresh = following
        rows = list(enumerate(self._rows))
        return [(sum(1 << number for number, row in rows if row & tags == tags), tags) for tags in found]

    def _deciding(self, covered_by: dict[int, int]) -> int:
        """The cells that must be looked at: who covers them covers the others."""
        kept: list[int] = []
        for cell in sorted(covered_by, key=lambda cell: (covered_by[cell].bit_count(), cell)):
            ways = covered_by[cell]
            if all(covered_by[other] & ~ways for other in kept):
                kept.append(cell)
        return sum(1 << cell for cell in kept)

    def _look(self, left: int, chosen: list[int]) -> None:
        """Goes on from some chosen candidates that leave some cells."""
        if not left:
            self._best, self._most = list(chosen), len(chosen)
            return
        if self._reached.get(left, self._most) <= len(chosen):
            return
        self._reached[left] = len(chosen)
        if len(chosen) + self._least(left) >= self._most:
            return
        self._work -= left.bit_count()
        cell = min(_bits(left), key=lambda each: self._covered_by[each].bit_count())
        for number in self._ways(cell, left):
            self._look(left & ~self._areas[number], [*chosen, number])
            if self._work <= 0 or self._most <= self._goal:
                return

    def _ways(self, cell: int, left: int) -> list[int]:
        """The candidates that cover a cell, those first that cover most; none that covers less than another."""
        gains = {}
        for number in _bits(self._covered_by[cell]):
            gains.setdefault(self._areas[number] & left, number)
        kept: list[int] = []
        for gain in sorted(gains, key=lambda each: (-each.bit_count(), each)):
            if all(gain & ~other for other in kept):
                kept.append(gain)
        return [gains[gain] for gain in kept]
