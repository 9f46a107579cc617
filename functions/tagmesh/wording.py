"""Tags, expressions and lists as messages write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def written_expression(expression: Iterable[tuple[str, Iterable[str]]]) -> str:
    return " and ".join(
        f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({', '.join(values)})"
        for key, values in ((key, list(values)) for key, values in expression)
    )


def written_tags(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags.items())


def joined(names: Iterable[str]) -> str:
    return " and ".join(names)
