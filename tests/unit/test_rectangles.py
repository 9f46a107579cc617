"""The calls that assign tags: they assign what they should and no more, and they are as few as can be."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagmesh.rectangles import Call, rectangles

Changes = dict[str, dict[str, str]]
Cell = tuple[str, str, str]  # column, key, value

tags = st.dictionaries(st.sampled_from("klmn"), st.sampled_from("xyz"))


def cells(changes: Changes) -> set[Cell]:
    return {(column, key, value) for column, assigned in changes.items() for key, value in assigned.items()}


def assigned_by(calls: Iterable[Call]) -> set[Cell]:
    return {(column, key, value) for columns, tags in calls for column in columns for key, value in tags.items()}


def at_most(changes: Changes) -> int:
    """A call a distinct set of tags, or one a distinct tag."""
    sets = {tuple(sorted(assigned.items())) for assigned in changes.values() if assigned}
    return min(len(sets), len({tag for each in sets for tag in each}))


def fewest(changes: Changes) -> int:
    """The least number of rectangles, by trying: one more at a time, each way to cover the first cell that is left."""
    wanted = cells({each[0]: each[1] for each in {str(sorted(t.items())): (c, t) for c, t in changes.items()}.values()})
    columns = sorted({column for column, _, _ in wanted})

    def ways(cell: Cell) -> set[frozenset[Cell]]:
        """All rectangles that cover a cell and cannot grow: the tags that some columns which have its tag share."""
        having = [set(changes[column].items()) for column in columns if changes[column].get(cell[1]) == cell[2]]
        common = {frozenset(changes[cell[0]].items())}
        for each in having:
            common |= {tags & each for tags in common}
        return {
            frozenset((c, *tag) for c in columns if tags <= set(changes[c].items()) for tag in tags) for tags in common
        }

    def covers(left: set[Cell], calls: int) -> bool:
        return not left or (calls > 0 and any(covers(left - way, calls - 1) for way in ways(min(left))))

    return next(calls for calls in range(len(wanted) + 1) if covers(wanted, calls))


def random_table(chance: random.Random, columns: int, keys: int, values: int, share: float) -> Changes:
    return {
        f"c{column:02}": {f"k{key}": f"v{chance.randrange(values)}" for key in range(keys) if chance.random() < share}
        for column in range(columns)
    }


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from("abcdefgh"), tags))
def test_each_column_is_assigned_its_tags_and_no_other(changes: Changes):
    assert assigned_by(rectangles(changes)) == cells(changes)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from("abcdefgh"), tags))
def test_there_are_never_more_calls_than_sets_of_tags_or_tags(changes: Changes):
    assert len(rectangles(changes)) <= at_most(changes)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from("abcdef"), tags), st.randoms())
def test_the_order_of_columns_and_tags_does_not_matter(changes: Changes, chance: random.Random):
    def shuffled(mapping: dict) -> dict:
        return dict(chance.sample(sorted(mapping.items()), len(mapping)))

    assert rectangles(changes) == rectangles(shuffled({name: shuffled(tags) for name, tags in changes.items()}))


def test_nothing_to_assign_takes_no_call():
    assert rectangles({}) == []
    assert rectangles({"a": {}}) == []


def test_fewer_calls_than_sets_and_than_tags():
    # Four sets and four tags; k and l go together, on a and b, m to b, c and d, n to b and c.
    changes = {
        "a": {"k": "1", "l": "1"},
        "b": {"k": "1", "l": "1", "m": "1", "n": "1"},
        "c": {"m": "1", "n": "1"},
        "d": {"m": "1"},
    }

    assert at_most(changes) == 4
    calls = rectangles(changes)
    assert assigned_by(calls) == cells(changes)
    assert len(calls) == fewest(changes) == 3


SHAPES = [(8, 2, 3, 0.9), (8, 3, 3, 0.8), (9, 4, 2, 0.7), (12, 2, 5, 0.9), (7, 6, 2, 0.6), (10, 3, 4, 0.9)]
A_SHAPE = 60


@pytest.mark.slow
def test_random_tables_take_the_fewest_calls_99_times_in_100():
    chance = random.Random(20261127)
    tables = [random_table(chance, *shape) for shape in SHAPES for _ in range(A_SHAPE)]
    found = [(len(rectangles(table)), fewest(table), at_most(table)) for table in tables]

    assert all(least <= calls <= most for calls, least, most in found)
    assert sum(calls == least for calls, least, _ in found) >= 0.99 * len(tables)
    assert sum(least < most for _, least, most in found) >= 0.1 * len(tables), "neither sets nor tags were always best"


@pytest.mark.parametrize("values", [4, 7])
def test_tables_of_fifty_columns_in_two_keys_take_the_fewest_calls_99_times_in_100(values: int):
    """With two keys, each pair of values takes a call of its own, unless both its values have one: the least number can
    be had by trying every set of values that have one."""
    chance = random.Random(7)
    optimal = 0
    for _ in range(100):
        table = random_table(chance, 50, 2, values, 0.9)
        # Mostly as real tables are: a few sets of tags that many columns share.
        kinds = [table[column] for column in sorted(table)[: chance.randint(2, 12)]]
        table = {column: chance.choice(kinds) for column in table}
        sets = {frozenset(assigned.items()) for assigned in table.values() if assigned}
        everything = sorted({tag for each in sets for tag in each})
        least = min(
            size + sum(not each <= set(own) for each in sets)
            for size in range(min(len(everything), len(sets)) + 1)
            for own in combinations(everything, size)
        )
        optimal += len(rectangles(table)) == least
    assert optimal >= 99


@pytest.mark.parametrize(("keys", "values", "share"), [(10, 5, 0.9), (10, 2, 0.9), (5, 5, 0.9), (10, 3, 0.5)])
def test_large_tables_are_covered_too(keys: int, values: int, share: float):
    table = random_table(random.Random(1), 50, keys, values, share)

    calls = rectangles(table)
    assert assigned_by(calls) == cells(table)
    assert len(calls) <= at_most(table)
