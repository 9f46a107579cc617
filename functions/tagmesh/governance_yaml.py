"""Strict YAML: text -> plain values that know where they stand, and the shapes they are held to.

PyYAML alone keeps the last of two equal keys, turns ``no`` into False and 012 into 10. Here every scalar stays
the text that was written, a duplicate key is a problem, and a shape says what a value must look like. A shape
also gives its JSON Schema, so that editors and the loader cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import yaml

from tagmesh.governance import Problem

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same answers, without libyaml just slower
_MAX_DEPTH = 50


class At(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Text(str):
    """A scalar as written; ``quoted`` tells whether it stood in quotes (or in a block)."""

    __slots__ = ("at", "quoted")  # there are thousands

    at: At
    quoted: bool


class Items(list):
    """A sequence of Text, Items and Fields."""

    at: At


class Fields(dict):
    """A mapping from Text to Text, Items and Fields."""

    at: At


Node = Text | Items | Fields
Report = Callable[[At, str, str], None]


def parse(file: str, text: str, problems: list[Problem]) -> Node | None:
    """The one document of a file, or None if it cannot be read as one. What is wrong is added to ``problems``."""
    start = At(file, 1, 1)

    def report(at: At, message: str, mend: str) -> None:
        problems.append(Problem(*at, message, mend))

    known = len(problems)
    try:
        document = _read_events(file, text, report)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = At(file, mark.line + 1, mark.column + 1) if mark else start
        report(at, f"not valid YAML: {error.problem or error.context}", "mend the indentation, quotes or brackets")
        return None
    except (yaml.YAMLError, UnicodeError) as error:
        reason = str(error).splitlines()[0]
        report(start, f"not valid YAML: {reason}", "save the file as UTF-8 text without control characters")
        return None
    if document is None and len(problems) == known:
        report(start, "the file is empty", "write it or remove it")
    return document


def _read_events(file: str, text: str, report: Report) -> Node | None:
    """Builds the document from the parser's events: no recursion, nothing resolved, nothing expanded."""
    document: Node | None = None
    open_nodes: list[Node] = []
    open_keys: list[Text | None] = []  # per open mapping the key that waits for its value

    def place(node: Node) -> None:
        nonlocal document
        if not open_nodes:
            document = node
            return
        parent, key = open_nodes[-1], open_keys[-1]
        if isinstance(parent, Items):
            parent.append(node)
        elif key is not None:
            if key in parent:
                report(key.at, f"`{shown(key)}` stands here twice", "keep one of the two")
            else:
                parent[key] = node
            open_keys[-1] = None
        elif isinstance(node, Text):
            open_keys[-1] = node
        else:
            report(node.at, "a list or mapping stands where a name was expected", "write a plain name")
            open_keys[-1] = _text("", node.at, quoted=True)

    documents = 0
    scalar = yaml.ScalarEvent
    loader = _LOADER(text)
    while (event := loader.get_event()) is not None:
        mark = event.start_mark
        at = At(file, mark.line + 1, mark.column + 1)
        # Nearly all events are plain scalars, and items of lists: they are told first.
        if type(event) is scalar and event.anchor is None and event.tag in (None, "!"):
            text = _text(event.value, at, quoted=not event.implicit[0])
            if open_nodes and type(open_nodes[-1]) is Items:
                open_nodes[-1].append(text)
            else:
                place(text)
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                report(at, "a second document starts here", "one document a file: remove the `---` line")
                return None
        elif isinstance(event, yaml.AliasEvent):
            mend = "write the value itself: what is granted must be readable where it stands"
            report(at, f"`*{shown(event.anchor)}` is an alias", mend)
            place(_text("", at, quoted=True))
        elif isinstance(event, yaml.NodeEvent):
            if event.tag is not None and event.tag != "!" or event.anchor is not None:
                report(at, "tags (!) and anchors (&) are not allowed", "write the plain value")
            if isinstance(event, yaml.ScalarEvent):
                place(_text(event.value, at, quoted=not event.implicit[0]))
                continue
            node: Node = Items() if isinstance(event, yaml.SequenceStartEvent) else Fields()
            node.at = at
            if len(open_nodes) >= _MAX_DEPTH:
                report(at, f"nested more than {_MAX_DEPTH} deep", "write it flatter")
                return None
            place(node)
            open_nodes.append(node)
            open_keys.append(None)
        elif isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            open_keys.pop()
    return document


def _text(value: str, at: At, *, quoted: bool) -> Text:
    text = Text(value)
    text.at, text.quoted = at, quoted
    return text


class Shape(Protocol):
    """What a value must look like. ``check`` reports what is wrong with a node; ``schema`` is its JSON Schema."""

    def check(self, node: Node, report: Report) -> None: ...

    def schema(self) -> dict[str, Any]: ...


@lru_cache(maxsize=256)
def _whole(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(pattern).fullmatch


_PLAIN = {"number": "1", "boolean": "true"}  # type of JSON -> a text that YAML readers make it of


@dataclass(frozen=True)
class Scalar:
    """A text that matches ``pattern`` whole; ``what`` describes it. ``must_quote``: YAML readers would make
    something else of it if it stood without quotes."""

    what: str
    pattern: str = r"(?s).*\S.*"
    must_quote: bool = False
    fault: Callable[[str], str | None] | None = None  # a further check: text -> what is wrong

    def check(self, node: Node, report: Report) -> None:
        if not isinstance(node, Text):
            report(node.at, f"a {_kind(node)} stands where {self.what} was expected", f"write {self.what}")
        elif self.must_quote and not node.quoted and re.fullmatch(r"[\d_.,+-]+", node):
            report(
                node.at,
                f"{node} stands without quotes: YAML takes it for a number, and loses a leading zero",
                f'write "{node.zfill(12)}"' if node.isdigit() and len(node) <= 12 else f"write {self.what}",
            )
        elif not _whole(self.pattern)(node):
            wrong = f"`{shown(node)}` is not {self.what}" if node else "nothing is written here"
            report(node.at, wrong, f"write {self.what}")
        elif self.fault and (wrong := self.fault(node)):
            report(node.at, wrong, f"write {self.what}")

    def schema(self) -> dict[str, Any]:
        # What stands without quotes is the text that was written here, and a number or a truth value to an editor.
        plain = [] if self.must_quote else [kind for kind, text in _PLAIN.items() if self._takes(text)]
        anchored = {} if self.pattern.startswith("(?s)") else {"pattern": f"^(?:{self.pattern})$"}
        return {"type": ["string", *plain] if plain else "string", **anchored, "minLength": 1}

    def _takes(self, text: str) -> bool:
        return bool(_whole(self.pattern)(text)) and not (self.fault and self.fault(text))


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def check(self, node: Node, report: Report) -> None:
        if not isinstance(node, Text) or node not in self.words:
            guess = did_you_mean(node, self.words)
            report(node.at, f"{_written(node)} is not allowed here{guess}", _one_of(self.words))

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Constant:
    """A number or a truth value that YAML itself knows: ``values`` are the texts that stand for it."""

    values: Mapping[str, Any]

    def check(self, node: Node, report: Report) -> None:
        if not isinstance(node, Text) or node.quoted or node not in self.values:
            mend = f"{_one_of(tuple(self.values))}, without quotes"
            report(node.at, f"{_written(node)} is not allowed here", mend)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.values.values())}


FLAG = Constant({"true": True, "false": False})


@dataclass(frozen=True)
class Count:
    """A whole number from ``least`` to ``most``."""

    least: int
    most: int

    def check(self, node: Node, report: Report) -> None:
        mend = f"write a number from {self.least} to {self.most}, without quotes"
        if not isinstance(node, Text) or node.quoted or not re.fullmatch(r"[1-9][0-9]{0,8}", node):
            report(node.at, f"{_written(node)} is no number", mend)
        elif not self.least <= int(node) <= self.most:
            report(node.at, f"{node} is not from {self.least} to {self.most}", mend)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class ListOf:
    """At least one of a shape, each once; with ``or_one``, a single one may stand without the brackets."""

    shape: Shape
    or_one: bool = False

    def check(self, node: Node, report: Report) -> None:
        if self.or_one and not isinstance(node, Items):
            self.shape.check(node, report)
            return
        if not isinstance(node, Items):
            mend = f"write [{shown(node)}]" if isinstance(node, Text) and node else "write a list"
            report(node.at, f"a {_kind(node)} stands where a list was expected", mend)
            return
        if not node:
            report(node.at, "the list is empty", "write at least one entry")
        seen: set[str] = set()
        for item in node:
            self.shape.check(item, report)
            if isinstance(item, Text):
                if item in seen:
                    report(item.at, f"`{shown(item)}` stands in this list twice", "keep one of the two")
                seen.add(item)

    def schema(self) -> dict[str, Any]:
        items: dict[str, Any] = {"type": "array", "items": self.shape.schema(), "minItems": 1}
        if isinstance(self.shape, Scalar | Choice):
            items["uniqueItems"] = True
        return {"anyOf": [self.shape.schema(), items]} if self.or_one else items


@dataclass(frozen=True)
class MapOf:
    """A mapping with names of one's own, at least one."""

    name: Scalar
    value: Shape

    def check(self, node: Node, report: Report) -> None:
        if not isinstance(node, Fields):
            report(node.at, f"a {_kind(node)} stands where a mapping was expected", "write `name: value` pairs")
            return
        if not node:
            report(node.at, "the mapping is empty", "write at least one `name: value` pair")
        for name, value in node.items():
            self.name.check(name, report)
            self.value.check(value, report)

    def schema(self) -> dict[str, Any]:
        values = self.value.schema()
        return {"type": "object", "additionalProperties": values, "minProperties": 1}


@dataclass(frozen=True)
class Field:
    """A field of a record; ``says`` is its description in the JSON Schema."""

    shape: Shape
    says: str
    required: bool = False


@dataclass(frozen=True)
class Record:
    """A mapping with known fields. ``one_of``: of these exactly one, or, with ``several``, at least one.

    A record with a ``ref`` stands once in the schema's ``$defs``, so that it may hold itself."""

    fields: dict[str, Field] = field(hash=False)
    one_of: tuple[str, ...] = ()
    several: bool = False
    ref: str = ""

    def check(self, node: Node, report: Report) -> None:
        if not isinstance(node, Fields):
            report(node.at, f"a {_kind(node)} stands where a mapping was expected", _with_fields(self.fields))
            return
        for name, value in node.items():
            if name in self.fields:
                self.fields[name].shape.check(value, report)
            else:
                guess = did_you_mean(name, self.fields)
                report(name.at, f"unknown key `{shown(name)}`{guess}", _with_fields(self.fields))
        for name, wanted in self.fields.items():
            if wanted.required and name not in node:
                report(node.at, f"`{name}` is missing", f"add `{name}:` ({wanted.says})")
        found = [name for name in self.one_of if name in node]
        if self.one_of and (not found or len(found) > 1 and not self.several):
            wanted = f"{'at least' if self.several else 'exactly'} one of {', '.join(self.one_of)}"
            report(node.at, f"of {', '.join(self.one_of)} {' and '.join(found) or 'none'} is given", f"write {wanted}")

    def schema(self) -> dict[str, Any]:
        return {"$ref": f"#/$defs/{self.ref}"} if self.ref else self.definition()

    def definition(self) -> dict[str, Any]:
        """The JSON Schema itself, also of a record that others refer to."""
        schema: dict[str, Any] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"description": known.says, **known.shape.schema()} for name, known in self.fields.items()
            },
        }
        if required := [name for name, known in self.fields.items() if known.required]:
            schema["required"] = required
        if self.one_of:
            schema["anyOf" if self.several else "oneOf"] = [{"required": [name]} for name in self.one_of]
        return schema


@dataclass(frozen=True)
class OneOrRecord:
    """A plain text or truth value, or a record that says the same at length."""

    scalar: Scalar | Constant
    record: Record

    def check(self, node: Node, report: Report) -> None:
        (self.record if isinstance(node, Fields) else self.scalar).check(node, report)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.scalar.schema(), self.record.schema()]}


@dataclass(frozen=True)
class TextOrList:
    """A text that says it all, or a list."""

    scalar: Scalar
    listed: ListOf

    def check(self, node: Node, report: Report) -> None:
        (self.scalar if isinstance(node, Text) else self.listed).check(node, report)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.scalar.schema(), self.listed.schema()]}


@dataclass(frozen=True)
class Later:
    """A record that is defined further down, so that records may hold each other."""

    record: Callable[[], Record]

    def check(self, node: Node, report: Report) -> None:
        self.record().check(node, report)

    def schema(self) -> dict[str, Any]:
        return self.record().schema()


def did_you_mean(word: object, known: Sequence[str] | Mapping[str, Any]) -> str:
    """``; did you mean `words_any`?``, or nothing if nothing known looks alike."""
    from difflib import get_close_matches

    comparable = isinstance(word, str) and len(word) < 60
    alike = get_close_matches(word.lower(), list(known), 1) if comparable else []
    return f"; did you mean `{alike[0]}`?" if alike else ""


def shown(text: str) -> str:
    """A text cut to what a message can hold, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _written(node: Node) -> str:
    return f"`{shown(node)}`" if isinstance(node, Text) else f"a {_kind(node)}"


def _kind(node: Node) -> str:
    return "list" if isinstance(node, Items) else "mapping" if isinstance(node, Fields) else "plain value"


def _one_of(words: Sequence[str]) -> str:
    return f"write {', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else f"write {words[0]}"


def _with_fields(fields: Mapping[str, Field]) -> str:
    return f"the keys here are {', '.join(fields)}"
