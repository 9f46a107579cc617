"""Tags, expressions and lists as messages write them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any


def written_expression(expression: Iterable[tuple[str, Iterable[str]]]) -> str:
    return " and ".join(
        f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({', '.join(values)})"
        for key, values in ((key, list(values)) for key, values in expression)
    )


def written_tags(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags.items())


def joined(names: Iterable[str], word: str = " and ") -> str:
    return word.join(names)


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def some(names: Collection[Any], shown: int = 5) -> str:
    """The first of some names, and how many more there are."""
    told = [str(name) for name in names]
    return ", ".join(told[:shown]) + (f" and {len(told) - shown} more" if len(told) > shown else "")


def counted(number: int, noun: str) -> str:
    """`1 door`, `2 doors`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
