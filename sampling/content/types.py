"""Where a value stands: the types of columns as the Glue catalogue writes them, and walks through nested values.

A path is that of `tagmesh.column_types.nested_fields`: the column, then the fields of structs (`contact.address.city`).
Elements of arrays stand at the array's own path, and so do the keys and plain values of maps. Only names of the
catalogue become parts of paths, never anything that the data holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

DEEPEST = 32
MOST_ELEMENTS = 100  # of one array or map


@dataclass(frozen=True)
class Type:
    """A type: `kind` is plain, struct, array, map, or opaque for one that cannot be read, all of whose values stand at
    its own path. `fields`: name, lower-case, -> type of a struct; `element`: of an array's elements, a map's values."""

    kind: str
    fields: Mapping[str, Type] = field(default_factory=dict, hash=False)
    element: Type | None = None


PLAIN, OPAQUE = Type("plain"), Type("opaque")


@lru_cache(maxsize=4096)
def parse(text: str) -> Type:
    """The type that a text such as `struct<city:string,tags:array<string>>` names."""
    tokens = re.findall(r"`[^`]+`|[<>(),:]|[^\s<>(),:`]+", text)
    try:
        found, rest = _parse(tokens, 0)
    except (ValueError, IndexError):
        return OPAQUE
    return found if not rest else OPAQUE


def _parse(tokens: list[str], depth: int) -> tuple[Type, list[str]]:
    """The type at the beginning, and what follows it. Raises ValueError or IndexError where there is none."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    name, rest = tokens[0].lower(), tokens[1:]
    if name == "struct" and rest[:1] == ["<"]:
        fields: dict[str, Type] = {}
        while rest[0] != ">":
            if rest[2] != ":":
                raise ValueError("a field without a type")
            fields[rest[1].strip("`").lower()], rest = _parse(rest[3:], depth + 1)
        return Type("struct", fields), rest[1:]
    if name == "array" and rest[:1] == ["<"]:
        element, rest = _parse(rest[1:], depth + 1)
        return Type("array", element=element), _closed(rest)
    if name == "map" and rest[:1] == ["<"]:
        _, rest = _parse(rest[1:], depth + 1)
        if rest[0] != ",":
            raise ValueError("a map without values")
        element, rest = _parse(rest[1:], depth + 1)
        return Type("map", element=element), _closed(rest)
    if name in ("struct", "array", "map", "uniontype"):
        return OPAQUE, _after_brackets(rest)
    return PLAIN, _after_brackets(rest)


def _closed(tokens: list[str]) -> list[str]:
    if tokens[0] != ">":
        raise ValueError("a bracket that is not closed")
    return tokens[1:]


def _after_brackets(tokens: list[str]) -> list[str]:
    """What follows the parameters of a plain type: `decimal(10,2)`."""
    depth = 0
    for position, token in enumerate(tokens):
        if depth == 0 and token not in ("(", "<"):
            return tokens[position:]
        depth += (token in ("(", "<")) - (token in (")", ">"))
    if depth:
        raise ValueError("a bracket that is not closed")
    return []


def walk(path: str, type_: Type, value: Any) -> Iterator[tuple[str, Any]]:
    """(path, plain value) of everything inside a value that is read as the type says. What does not fit its type
    stands, with all that it holds, at the path where it was met; fields that the type does not have are left out, since
    no query reads them."""
    if value is None:
        return
    if type_.kind == "struct" and isinstance(value, dict):
        for name, each in value.items():
            found = type_.fields.get(str(name).lower())
            if found is not None:
                yield from walk(f"{path}.{str(name).lower()}", found, each)
    elif type_.kind == "array" and isinstance(value, list):
        for each in value[:MOST_ELEMENTS]:
            yield from walk(path, type_.element or OPAQUE, each)
    elif type_.kind == "map" and isinstance(value, dict):
        for key, each in list(value.items())[:MOST_ELEMENTS]:
            yield path, key
            yield from walk(path, type_.element or OPAQUE, each)
    else:
        yield from ((path, each) for each in _leaves(value, 0))


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        inside = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        if depth < DEEPEST:
            for each in inside[:MOST_ELEMENTS]:
                yield from _leaves(each, depth + 1)
    elif value is not None:
        yield value


def paths(column: str, type_: Type) -> Iterator[str]:
    """Every path at which `walk` may yield something."""
    if type_.kind == "struct":
        for name, each in type_.fields.items():
            yield from paths(f"{column}.{name}", each)
    elif type_.kind in ("array", "map"):
        if type_.kind == "map":
            yield column
        yield from paths(column, type_.element or OPAQUE)
    else:
        yield column
