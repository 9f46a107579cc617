"""What a rule's ``when`` may say, compiled: condition -> a test that gives the evidence, or None.

A condition is a mapping from a closed vocabulary, all of whose entries must hold. What it says of the table alone is
tested once per table (``Scene``), the rest once per column (``Subject``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from tagmesh.catalog import Table
from tagmesh.column_types import FAMILIES, type_family
from tagmesh.governance import DataProduct
from tagmesh.words import Vocabulary, entry, fold

#: What of a column or table fulfils a condition, for people; None if it does not hold.
Evidence = tuple[str, ...] | None

#: Entries that look at one column; a condition without any of them is about the table.
COLUMN_ENTRIES = frozenset({"column", "field", "comment", "type", "partition_key", "column_parameters", "content"})
_ANY_FAMILY = frozenset({*FAMILIES, ""})
_TABLE_TEXTS = ("table", "database", "location", "bucket", "data_product", "producer", "account")
_LONGEST_TEXT = 255  # of Glue's names and comments; patterns look no further
_MOST_WAYS = 300_000  # in which a regular expression may be tried on such a text
_MOST_STEPS = 3_000_000  # characters that it may hold against one of its parts

# One character, class or escape, and perhaps a repetition of just that.
_REGEX_ATOM = re.compile(
    r"(?:[^\\\[\](){}*+?|^$]|\\[dDwWsS.\-_/+*?(){}\[\]|^$]|\[\^?(?:[^\\\[\]]|\\[dDwWsS.\-_/\]\[^])+\])"
    r"(?P<repeat>[*+?]|\{\d{1,2}(?:,\d{0,2})?\})?"
)


class Subject:
    """One column, or one field inside it, as conditions see it. ``column`` is its name, of a field with the path:
    ``contact.address.city``; ``field`` the path alone, "" for a column."""

    __slots__ = ("column", "comment", "content", "family", "field", "parameters", "partition_key", "phrases", "scene")

    def __init__(
        self,
        scene: Scene,
        phrases: frozenset[str],
        column: str,
        family: str = "string",
        field: str = "",
        comment: str = "",
        partition_key: bool = False,
        parameters: Mapping[str, str] | None = None,
        content: Collection[str] = (),
    ) -> None:
        self.scene = scene
        self.phrases = phrases
        self.column = column
        self.family = family
        self.field = field
        self.comment = comment
        self.partition_key = partition_key
        self.parameters = parameters or {}
        self.content = content


class Scene:
    """One table as conditions see it; what was found out about it is remembered."""

    def __init__(self, conditions: Conditions, data_product: DataProduct, table: Table) -> None:
        self.table = table.name
        self.database = table.database
        self.location = table.location
        self.bucket = data_product.bucket
        self.data_product = data_product.name
        self.producer = data_product.producer
        self.account = data_product.account
        self.parameters = table.parameters
        self._conditions = conditions
        self._columns = table
        self._known: dict[int, Evidence] = {}
        self._several: dict[tuple[int, ...], tuple[Evidence, ...]] = {}
        self._subjects: list[Subject] | None = None
        self._phrases: frozenset[str] | None = None

    def evidence(self, number: int) -> Evidence:
        """What speaks for one of the conditions about tables."""
        if number not in self._known:
            self._known[number] = self._conditions.about_tables[number](self)
        return self._known[number]

    def evidences(self, numbers: tuple[int, ...]) -> tuple[Evidence, ...]:
        """What speaks for each of several conditions about tables."""
        found = self._several.get(numbers)
        if found is None:
            found = self._several[numbers] = tuple(map(self.evidence, numbers))
        return found

    def names(self) -> Iterable[str]:
        """The names of every column and partition key."""
        return (column.name for column in self._columns.all_columns)

    def phrases(self) -> frozenset[str]:
        """The phrases of the names of all columns and partition keys."""
        if self._phrases is None:
            self._phrases = frozenset().union(*map(self._conditions.vocabulary.phrases, self.names()))
        return self._phrases

    def columns(self) -> list[Subject]:
        """Every column and partition key, without fields."""
        if self._subjects is None:
            keys = {key.name for key in self._columns.partition_keys}
            phrases = self._conditions.vocabulary.phrases
            self._subjects = [
                Subject(
                    self,
                    phrases(column.name),
                    column.name,
                    type_family(column.type),
                    comment=column.comment,
                    partition_key=column.name in keys,
                    parameters=column.parameters,
                )
                for column in self._columns.all_columns
            ]
        return self._subjects


Test = Callable[[Subject], Evidence]
_TableTest = Callable[[Scene], Evidence]
_TextTest = Callable[[str], Evidence]


class Conditions:
    """Compiles conditions over one vocabulary. Equal conditions about the table are one, with one number."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.about_tables: list[_TableTest] = []
        self.asked: set[str] = set()  # entries that some condition has about columns
        self._numbers: dict[str, int] = {}

    def compile(self, condition: Mapping[str, Any]) -> tuple[Test, tuple[int, ...]]:
        """The test, and the numbers of the conditions about the table that it rests on."""
        needs: set[int] = set()
        return self._compile(condition, needs), tuple(sorted(needs))

    def _compile(self, condition: Mapping[str, Any], needs: set[int]) -> Test:
        about_table = {name: wanted for name, wanted in condition.items() if _is_about_table({name: wanted})}
        about_column = [(name, wanted) for name, wanted in condition.items() if name not in about_table]
        tests = [self._entry(name, wanted, needs) for name, wanted in sorted(about_column, key=_cost)]
        if about_table:
            number = self._number(about_table)
            needs.add(number)
            return _in_table(number, tests)
        return tests[0] if len(tests) == 1 else _every(tests)

    def _number(self, condition: Mapping[str, Any]) -> int:
        key = json.dumps(condition, sort_keys=True)
        if key not in self._numbers:
            test = _every([self._table_entry(name, wanted) for name, wanted in condition.items()])
            self._numbers[key] = len(self.about_tables)
            self.about_tables.append(test)
        return self._numbers[key]

    def _entry(self, name: str, wanted: Any, needs: set[int]) -> Test:
        self.asked.add(name)
        if name == "all":
            return _every([self._compile(condition, needs) for condition in wanted])
        if name == "any":
            return _some([self._compile(condition, needs) for condition in wanted])
        if name == "not":
            parts = wanted["any"] if set(wanted) == {"any"} else [wanted]
            return _none([self._compile(part, needs) for part in parts])
        if name == "type":
            said = {family: (f"type {family}",) for family in listed(wanted)}
            return lambda subject: said.get(subject.family)
        if name == "partition_key":
            told = ("partition key",) if wanted else ("no partition key",)
            return lambda subject: told if subject.partition_key is wanted else None
        if name == "content":
            kinds = frozenset(listed(wanted))
            return lambda subject: tuple(f"content {kind}" for kind in sorted(kinds & set(subject.content))) or None
        if name == "column_parameters":
            tests = self._parameters("column parameter", wanted)
            return lambda subject: _of_parameters(tests, subject.parameters)
        if name == "column":
            return self._column_words(wanted)
        test = self._text(name, wanted)
        if name == "field":
            return lambda subject: test(subject.field) if subject.field else None
        return lambda subject: test(subject.comment)

    def _table_entry(self, name: str, wanted: Any) -> _TableTest:
        if name == "all":
            return _every([self._about_table(condition) for condition in wanted])
        if name == "any":
            return _first([self._about_table(condition) for condition in wanted])
        if name == "not":
            inner = self._about_table(wanted)
            return lambda scene: () if inner(scene) is None else None
        if name == "table_has":
            return self._table_has(wanted)
        if name == "table_parameters":
            tests = self._parameters("table parameter", wanted)
            return lambda scene: _of_parameters(tests, scene.parameters)
        test = self._text(name, wanted)
        return lambda scene: test(getattr(scene, name))

    def _about_table(self, condition: Mapping[str, Any]) -> _TableTest:
        number = self._number(condition)
        return lambda scene: scene.evidence(number)

    def _table_has(self, condition: Mapping[str, Any]) -> _TableTest:
        if set(condition) == {"column"} and set(condition["column"]) == {"words_any"}:
            # The commonest: names are enough to tell.
            phrases = self.vocabulary.phrases
            wanted = _entries(tuple(listed(condition["column"]["words_any"])))[1]

            def some_name(scene: Scene) -> Evidence:
                if wanted.isdisjoint(scene.phrases()):
                    return None
                found = [name for name in scene.names() if not wanted.isdisjoint(phrases(name))]
                return (f"the table has {min(found)}",) if found else None  # whatever their order

            return some_name
        test = self._compile(condition, set())

        def some_column(scene: Scene) -> Evidence:
            found = [subject.column for subject in scene.columns() if test(subject) is not None]
            return (f"the table has {min(found)}",) if found else None

        return some_column

    def _parameters(self, what: str, wanted: Mapping[str, Any]) -> dict[str, _TextTest]:
        return {name: self._text(f"{what} {name}", tests) for name, tests in wanted.items()}

    def _column_words(self, wanted: Mapping[str, Any]) -> Test:
        """Tests of a column's name; the commonest, for words, look at what its subject already knows of them."""
        tests: list[Test] = []
        for name, texts in sorted(wanted.items(), key=_cost):
            if name == "words_any":
                tests.append(_words_any(*_entries(tuple(listed(texts)))))
            elif name == "words_none":
                tests.append(_words_none(_entries(tuple(listed(texts)))[1]))
            else:
                test = self._text_test("column", name, listed(texts))
                tests.append(lambda subject, test=test: test(subject.column))
        return tests[0] if len(tests) == 1 else _every(tests)

    def _text(self, what: str, wanted: Mapping[str, Any]) -> _TextTest:
        tests = [self._text_test(what, name, listed(texts)) for name, texts in wanted.items()]
        return tests[0] if len(tests) == 1 else _every(tests)

    def _text_test(self, what: str, test: str, texts: list[str]) -> _TextTest:
        phrases = self.vocabulary.phrases
        entries, wanted = _entries(tuple(texts))
        if test == "words_any":
            return lambda text: tuple(f"{what} word {entries[word]}" for word in sorted(wanted & phrases(text))) or None
        if test == "words_all":
            all_words = tuple(f"{what} word {text}" for text in texts)
            return lambda text: all_words if entries.keys() <= phrases(text) else None
        if test == "words_only":
            return lambda text: (
                (f"{what} words {' '.join(self.vocabulary.split(text))} alone",)
                if self.vocabulary.covers(text, wanted)
                else None
            )
        if test == "words_none":
            return lambda text: None if entries.keys() & phrases(text) else ()
        if test == "equals":
            names = {fold(text) for text in texts}
            return lambda text: (f"{what} {text}",) if fold(text) in names else None
        patterns = [(text, re.compile(_as_regex(text) if test == "glob" else text, re.IGNORECASE)) for text in texts]

        def patterns_any(text: str) -> Evidence:
            shortened = fold(text)[:_LONGEST_TEXT]
            found = tuple(f"{what} like {written}" for written, pattern in patterns if pattern.search(shortened))
            return found or None

        return patterns_any


_COSTS = {"type": 0, "partition_key": 0, "content": 0, "words_none": 0, "words_any": 1, "not": 3, "words_only": 4}


def _cost(entry: tuple[str, Any]) -> int:
    """Which of several requirements to test first: the cheap ones."""
    return _COSTS.get(entry[0], 2)


@lru_cache(maxsize=1024)
def _entries(words: tuple[str, ...]) -> tuple[dict[str, str], frozenset[str]]:
    """The entries that words are looked up as -> the word as written; and the entries alone."""
    entries = {entry(word): word for word in reversed(words)}
    return entries, frozenset(entries)


def _words_any(entries: Mapping[str, str], wanted: frozenset[str]) -> Test:
    def words_any(subject: Subject) -> Evidence:
        found = wanted & subject.phrases
        return tuple([f"column word {entries[word]}" for word in sorted(found)]) if found else None

    return words_any


def _words_none(unwanted: frozenset[str]) -> Test:
    return lambda subject: () if unwanted.isdisjoint(subject.phrases) else None


def _of_parameters(tests: Mapping[str, _TextTest], parameters: Mapping[str, str]) -> Evidence:
    found: tuple[str, ...] = ()
    for name, test in tests.items():
        evidence = test(parameters[name]) if name in parameters else None
        if evidence is None:
            return None
        found += evidence
    return found


def _every(tests: list[Any]) -> Any:
    def every(subject: Any) -> Evidence:
        found: tuple[str, ...] = ()
        for test in tests:
            evidence = test(subject)
            if evidence is None:
                return None
            found += evidence
        return found

    return every


def _in_table(number: int, tests: list[Test]) -> Test:
    """Tests of a column, and the condition about its table, whose evidence comes last; it is known, so asked first."""
    every = tests[0] if len(tests) == 1 else _every(tests)

    def in_table(subject: Subject) -> Evidence:
        of_table = subject.scene.evidence(number)
        if of_table is None:
            return None
        found = every(subject)
        return None if found is None else found + of_table

    return in_table


def _none(tests: list[Test]) -> Test:
    def none(subject: Subject) -> Evidence:
        for test in tests:
            if test(subject) is not None:
                return None
        return ()

    return none


def _some(tests: list[Any]) -> Any:
    def some(subject: Any) -> Evidence:
        found = [evidence for test in tests if (evidence := test(subject)) is not None]
        return tuple(dict.fromkeys(text for evidence in found for text in evidence)) if found else None

    return some


def _first(tests: list[_TableTest]) -> _TableTest:
    def first(scene: Scene) -> Evidence:
        return next((evidence for test in tests if (evidence := test(scene)) is not None), None)

    return first


def _is_about_table(condition: Mapping[str, Any]) -> bool:
    for name, wanted in condition.items():
        if name in COLUMN_ENTRIES:
            return False
        if name in ("all", "any") and not all(map(_is_about_table, wanted)):
            return False
        if name == "not" and not _is_about_table(wanted):
            return False
    return True


def _as_regex(glob: str) -> str:
    """A glob with * and ? as a regular expression for the whole text; fnmatch's does not backtrack."""
    from fnmatch import translate

    return r"\A" + translate(fold(glob).replace("[", "[[]"))


def unsafe_regex(pattern: str) -> str | None:
    """Why a regular expression is refused, or None.

    Allowed are characters, classes, escapes and repetitions of those, with ^ and $ at the ends: no groups, no
    alternatives (write several). So a search tries at most each place to begin at with each number of each repetition,
    and what follows with each of those: few enough for some milliseconds at worst."""
    body = pattern.removeprefix("^")
    ways = 1 if body != pattern else _LONGEST_TEXT
    steps = 0
    body = body[:-1] if body.endswith("$") and not body.endswith("\\$") else body
    position = 0
    while position < len(body):
        atom = _REGEX_ATOM.match(body, position)
        if atom is None:
            return f"`{body[position]}` may not stand there in a regular expression: no groups, no alternatives"
        least, most = _times(atom["repeat"] or "")
        steps += ways * max(1, most)
        ways *= max(1, most - least + 1)
        position = atom.end()
    if ways > _MOST_WAYS or steps > _MOST_STEPS:
        return (
            "its repetitions could make the regular expression slow: one * or + may stand in it, two after ^; "
            "{1,9} and ? are cheaper, and so is a shorter text after them"
        )
    try:
        re.compile(pattern)
    except re.error as error:
        return f"not a regular expression: {error}"
    return None


def _times(repeat: str) -> tuple[int, int]:
    """How often a repetition may match, at least and at most."""
    if not repeat.startswith("{"):
        return {"": (1, 1), "?": (0, 1), "*": (0, _LONGEST_TEXT), "+": (1, _LONGEST_TEXT)}[repeat]
    least, comma, most = repeat[1:-1].partition(",")
    return int(least), int(most or _LONGEST_TEXT) if comma else int(least)


def listed(texts: str | list[str]) -> list[str]:
    """One text, or a list of them, as a list."""
    return [texts] if isinstance(texts, str) else texts


def words_in(condition: Any) -> set[str]:
    """Every word that a condition asks for, of any text."""
    words: set[str] = set()
    parts = [condition]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            for name, inner in part.items():
                if name.startswith("words_"):
                    words.update(listed(inner))
                else:
                    parts.append(inner)
    return words


def needed_words(condition: Mapping[str, Any]) -> frozenset[str] | None:
    """Entries of which a column's name must hold at least one for the condition to hold; None if it may hold
    without any."""
    for name, wanted in condition.items():
        if name in ("column", "field"):
            if "words_any" in wanted:
                return _entries(tuple(listed(wanted["words_any"])))[1]
            if "words_all" in wanted:
                return frozenset(map(entry, listed(wanted["words_all"])[:1]))
            if "words_only" in wanted:
                return _entries(tuple(listed(wanted["words_only"])))[1]
        elif name == "all":
            for part in wanted:
                if (needed := needed_words(part)) is not None:
                    return needed
        elif name == "any":
            parts = [needed_words(part) for part in wanted]
            if all(part is not None for part in parts):
                return frozenset().union(*(part for part in parts if part is not None))
    return None


def ruled_out_by(condition: Mapping[str, Any]) -> frozenset[str]:
    """Entries of which a column's name may hold none, or the condition does not hold; there may be more."""
    found: frozenset[str] = frozenset()
    for name, wanted in condition.items():
        if name == "column" and "words_none" in wanted:
            found |= _entries(tuple(listed(wanted["words_none"])))[1]
        elif name == "not":
            found |= _enough(wanted)
        elif name == "all":
            found = found.union(*map(ruled_out_by, wanted))
    return found


def _enough(condition: Mapping[str, Any]) -> frozenset[str]:
    """Entries each of which makes a condition hold."""
    if set(condition) == {"any"}:
        return frozenset().union(*map(_enough, condition["any"]))
    if set(condition) == {"column"} and set(condition["column"]) == {"words_any"}:
        return _entries(tuple(listed(condition["column"]["words_any"])))[1]
    return frozenset()


def only_words(condition: Mapping[str, Any]) -> frozenset[str] | None:
    """The entries that alone must make a column's name for the condition to hold; None if none are said."""
    only = condition.get("column", {}).get("words_only")
    return None if only is None else _entries(tuple(listed(only)))[1]


def possible_families(condition: Mapping[str, Any]) -> frozenset[str]:
    """The families of types, and "" for a type of none, for which the condition can hold."""
    found = _ANY_FAMILY
    for name, wanted in condition.items():
        if name == "type":
            found &= frozenset(listed(wanted))
        elif name == "not":
            found -= _sure_families(wanted)
        elif name == "all":
            found = found.intersection(*map(possible_families, wanted))
    return found


def _sure_families(condition: Mapping[str, Any]) -> frozenset[str]:
    """The families of types for which a condition holds whatever else is so."""
    if set(condition) == {"type"}:
        return frozenset(listed(condition["type"]))
    if set(condition) == {"any"}:
        return frozenset().union(*map(_sure_families, condition["any"]))
    return frozenset()
