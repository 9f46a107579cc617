"""The entries of the allow-list, read from its files: what is allowed, and how faithful each of it is.

Every mistake in a file is refused when it is read: a level that there is not, a name given twice, an unknown key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
SECTIONS = {"operations": "parameters", "resources": "properties"}
"""Section of a file -> what the items of its entries are called."""


class EntryError(ValueError):
    """A mistake in a file of the allow-list; the text says where."""


@dataclass(frozen=True)
class Faithful:
    """How true to AWS something is: `exact` does what is documented, `kept` is stored and returned while nothing acts
    on it, `partly` does what is documented but for what `missing` says."""

    level: str = "exact"
    missing: str = ""

    def __str__(self) -> str:
        return f"partly: {self.missing}" if self.missing else self.level


EXACT = Faithful()
LEVELS = {"exact": EXACT, "kept": Faithful("kept")}


@dataclass(frozen=True)
class Entry:
    """An operation with its parameters, or a resource type with its properties (dotted names)."""

    name: str
    faithful: Faithful
    items: dict[str, Faithful]


@cache
def files() -> dict[str, list[Path]]:
    """Service -> its files."""
    stems = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
    found: dict[str, list[Path]] = {}
    for stem, path in stems.items():
        service = stem.rpartition("-")[0]
        found.setdefault(service if service in stems else stem, []).append(path)
    return found


@cache
def of(service: str, section: str) -> dict[str, Entry]:
    """The entries of one section (`operations`, `resources`) of a service, by name. Raises EntryError."""
    found: dict[str, Entry] = {}
    for path in files().get(service, []):
        for entry in read(path.name, path.read_text("utf-8"))[section]:
            if entry.name in found:
                raise EntryError(f"{path.name}: {entry.name} is listed twice")
            found[entry.name] = entry
    return found


def read(file: str, text: str) -> dict[str, list[Entry]]:
    """The entries in the text of a file, by section. Raises EntryError."""
    content = yaml.load(text, Loader=_Strict) or {}
    if unknown := set(content) - {"faithful", *SECTIONS}:
        raise EntryError(f"{file}: unknown key {sorted(unknown)[0]}; a file has faithful, operations, resources")
    default = _faithful(f"{file}: faithful", content.get("faithful", "exact"))
    return {
        section: [
            _entry(f"{file}: {name}", name, given, default, items)
            for name, given in (content.get(section) or {}).items()
        ]
        for section, items in SECTIONS.items()
    }


def _entry(where: str, name: str, given: Any, default: Faithful, items: str) -> Entry:
    faithful = default
    if isinstance(given, dict):
        if unknown := set(given) - {"faithful", items}:
            raise EntryError(f"{where}: unknown key {sorted(unknown)[0]}; an entry has faithful and {items}")
        faithful, given = _faithful(where, given.get("faithful", default)), given.get(items)
    if not isinstance(given, list | None):
        raise EntryError(f"{where}: {items} must be a list")
    named: dict[str, Faithful] = {}
    for item, level in (pair for each in given or [] for pair in _item(where, each)):
        if item in named:
            raise EntryError(f"{where}: {item} is listed twice")
        named[item] = level
    return Entry(name, faithful, named)


def _item(where: str, given: Any) -> Iterator[tuple[str, Faithful]]:
    if isinstance(given, str):
        yield given, EXACT
    elif isinstance(given, dict) and len(given) == 1:
        ((name, level),) = given.items()
        yield name, _faithful(f"{where}.{name}", level)
    else:
        raise EntryError(f"{where}: an item is a name or one pair of name and level, not {given!r}")


def _faithful(where: str, given: Any) -> Faithful:
    if isinstance(given, Faithful):
        return given
    if isinstance(given, str) and given in LEVELS:
        return LEVELS[given]
    if isinstance(given, dict) and set(given) == {"partly"} and isinstance(given["partly"], str) and given["partly"]:
        return Faithful("partly", given["partly"])
    raise EntryError(f"{where}: how faithful must be exact, kept or partly: <what is missing>, not {given!r}")


class _Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Refuses a key that a mapping has twice, where YAML would let the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise EntryError(f"line {node.start_mark.line + 1}: {twice} is listed twice")
        return super().construct_mapping(node, deep)
