"""What a rule's ``when`` may say, compiled: condition -> a test that gives the evidence, or None.

A condition is a mapping from a closed vocabulary, all of whose entries must hold. What it says of the table alone is
tested once per table (``Scene``), the rest once per column (``Subject``), where its words and its type leave that open:
most columns are told by these from most conditions at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tagmesh.catalog import Table
from tagmesh.column_types import FAMILIES, type_family
from tagmesh.governance import DataProduct
from tagmesh.patterns import LONGEST_TEXT, matcher
from tagmesh.words import ANY, Name, Vocabulary, entry, fold

#: What of a column or table fulfils a condition, for people; None if it does not hold.
Evidence = tuple[str, ...] | None

#: Entries that look at one column; a condition without any of them is about the table.
COLUMN_ENTRIES = frozenset({"column", "field", "comment", "type", "partition_key", "column_parameters", "content"})
_ANY_FAMILY = frozenset({*FAMILIES, ""})


class Subject:
    """One column, or one field inside it, as conditions see it. ``column`` is its name, of a field with the path:
    ``contact.address.city``; ``name`` that name as it was read; ``field`` the path alone, "" for a column."""

    __slots__ = ("column", "comment", "content", "family", "field", "name", "parameters", "partition_key", "scene")

    def __init__(
        self,
        scene: Scene,
        name: Name,
        column: str,
        family: str = "string",
        field: str = "",
        comment: str = "",
        partition_key: bool = False,
        parameters: Mapping[str, str] | None = None,
        content: Collection[str] = (),
    ) -> None:
        self.scene = scene
        self.name = name
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
        self._marks: int | None = None

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

    def names_with(self, mark: int) -> list[str]:
        """The names of the columns and partition keys that hold an entry of a set, by its bit."""
        read = self._conditions.vocabulary.read
        if self._marks is None:
            self._marks = 0
            for column in self._columns.all_columns:
                self._marks |= read(column.name).marks
        if not self._marks & mark:
            return []
        return [column.name for column in self._columns.all_columns if read(column.name).marks & mark]

    def columns(self) -> list[Subject]:
        """Every column and partition key, without fields."""
        if self._subjects is None:
            keys = {key.name for key in self._columns.partition_keys}
            read = self._conditions.vocabulary.read
            self._subjects = [
                Subject(
                    self,
                    read(column.name),
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
_NameTest = Callable[[Name], Evidence]


class Condition(NamedTuple):
    """A condition on columns. ``test`` tests one; the rest says quickly of most that it cannot hold.

    As bits of sets of words: ``needs``, a name must hold an entry of one of these, or be made of it; ``barred``, it may
    hold none of these; ``alone``, each of these must be able to make it; ``enough``, an entry of one of these fulfils
    the condition. ``families`` are those of the types that it can hold for, ``sure`` those that fulfil it; ``whole``:
    nothing but ``enough`` and ``sure`` does. ``left`` tests what may not hold though all this is so."""

    test: Test
    left: Test
    needs: int = ANY
    barred: int = 0
    alone: int = 0
    enough: int = 0
    families: frozenset[str] = _ANY_FAMILY
    sure: frozenset[str] = frozenset()
    whole: bool = False


class Conditions:
    """Compiles conditions over one vocabulary. Conditions about the table that are written alike are one, with one
    number."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.about_tables: list[_TableTest] = []
        self.asked: set[str] = set()  # entries that some condition has about columns
        self.held = ANY  # the sets of words that names are to hold an entry of, or not to
        self.made = 0  # those that are to make them
        self._numbers: dict[str, int] = {}
        self._shared: dict[int, tuple[Mapping[str, Any], int]] = {}  # those that stand in several rules, by identity

    def compile(self, condition: Mapping[str, Any]) -> tuple[Condition, tuple[int, ...]]:
        """The condition, and the numbers of the conditions about the table that it rests on."""
        needs: set[int] = set()
        return self._compile(condition, needs), tuple(sorted(needs))

    def _compile(self, condition: Mapping[str, Any], needs: set[int]) -> Condition:
        about_table = {name: wanted for name, wanted in condition.items() if _is_about_table({name: wanted})}
        about_column = [(name, wanted) for name, wanted in condition.items() if name not in about_table]
        parts: list[Condition] = []
        for name, wanted in sorted(about_column, key=_cost):
            parts += self._entry(name, wanted, needs)
        compiled = _all_of(parts)
        if about_table:
            number = self._number(about_table)
            needs.add(number)
            return _in_table(number, compiled)
        return compiled

    def _number(self, condition: Mapping[str, Any]) -> int:
        if id(condition) in self._shared:
            return self._shared[id(condition)][1]
        key = repr(condition)
        if key not in self._numbers:
            test = _every([self._table_entry(name, wanted) for name, wanted in condition.items()])
            self._numbers[key] = len(self.about_tables)
            self.about_tables.append(test)
        self._shared[id(condition)] = condition, self._numbers[key]  # kept, so that its identity stays its own
        return self._numbers[key]

    def _entry(self, name: str, wanted: Any, needs: set[int]) -> list[Condition]:
        """What an entry of a condition asks for, all of which must hold."""
        self.asked.add(name)
        if name == "all":
            return [self._compile(condition, needs) for condition in wanted]
        if name == "any":
            return [_any_of([self._compile(condition, needs) for condition in wanted])]
        if name == "not":
            parts = wanted["any"] if set(wanted) == {"any"} else [wanted]
            return [_none_of([self._compile(part, needs) for part in parts])]
        if name == "type":
            return [_of_type(listed(wanted))]
        if name == "column":
            return [self._column(test, listed(texts)) for test, texts in sorted(wanted.items(), key=_cost)]
        test = self._test(name, wanted)
        return [Condition(test, test)]

    def _test(self, name: str, wanted: Any) -> Test:
        """A test of what words and types say nothing of."""
        if name == "partition_key":
            told = ("partition key",) if wanted else ("no partition key",)
            return lambda subject: told if subject.partition_key is wanted else None
        if name == "content":
            kinds = frozenset(listed(wanted))
            return lambda subject: tuple(f"content {kind}" for kind in sorted(kinds & set(subject.content))) or None
        if name == "column_parameters":
            tests = self._parameters("column parameter", wanted)
            return lambda subject: _of_parameters(tests, subject.parameters)
        test = self._text(name, wanted)
        if name == "field":
            return lambda subject: test(subject.field) if subject.field else None
        return lambda subject: test(subject.comment)

    def _column(self, test: str, texts: list[str]) -> Condition:
        """A condition on a column's name."""
        if not test.startswith("words_"):
            of_text = self._text_test("column", test, texts)

            def like(subject: Subject) -> Evidence:
                return of_text(subject.column)

            return Condition(like, like)
        of_name, bit = self._words_test("column", test, texts)

        def holds(subject: Subject) -> Evidence:
            return of_name(subject.name)

        if test == "words_only":
            self.made |= bit
            return Condition(holds, holds, needs=bit, alone=bit)
        self.held |= bit
        if test == "words_all":
            return Condition(holds, holds, needs=bit)
        if test == "words_none":
            return Condition(holds, _nothing, barred=bit)
        return Condition(holds, holds, needs=bit, enough=bit, whole=True)

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
            bit = self.vocabulary.mark(_entries(tuple(listed(condition["column"]["words_any"])))[1])

            def some_name(scene: Scene) -> Evidence:
                found = scene.names_with(bit)
                return (f"the table has {min(found)}",) if found else None  # whatever their order

            return some_name
        test = self._compile(condition, set()).test

        def some_column(scene: Scene) -> Evidence:
            found = [subject.column for subject in scene.columns() if test(subject) is not None]
            return (f"the table has {min(found)}",) if found else None

        return some_column

    def _parameters(self, what: str, wanted: Mapping[str, Any]) -> dict[str, _TextTest]:
        return {name: self._text(f"{what} {name}", tests) for name, tests in wanted.items()}

    def _text(self, what: str, wanted: Mapping[str, Any]) -> _TextTest:
        tests = [self._text_test(what, name, listed(texts)) for name, texts in wanted.items()]
        return tests[0] if len(tests) == 1 else _every(tests)

    def _text_test(self, what: str, test: str, texts: list[str]) -> _TextTest:
        if test.startswith("words_"):
            of_name, _ = self._words_test(what, test, texts)
            read = self.vocabulary.read
            return lambda text: of_name(read(text))
        if test == "equals":
            names = {fold(text) for text in texts}
            return lambda text: (f"{what} {text}",) if fold(text) in names else None
        patterns = [(f"{what} like {text}", matcher(text, glob=test == "glob")) for text in texts]

        def patterns_any(text: str) -> Evidence:
            shortened = fold(text)[:LONGEST_TEXT]
            return tuple([told for told, matches in patterns if matches(shortened)]) or None

        return patterns_any

    def _words_test(self, what: str, test: str, texts: list[str]) -> tuple[_NameTest, int]:
        """A test of words, and the bit of the set that these are (of `words_all`, of the first of them)."""
        entries, wanted = _entries(tuple(texts))
        mark, made_of = self.vocabulary.mark, self.vocabulary.made_of
        bit = mark(wanted)
        if test == "words_any":

            def words_any(name: Name) -> Evidence:
                if not name.marks & bit:
                    return None
                found = wanted & name.phrases
                return tuple([f"{what} word {entries[word]}" for word in (sorted(found) if len(found) > 1 else found)])

            return words_any, bit
        if test == "words_none":
            return lambda name: None if name.marks & bit else (), bit
        if test == "words_all":
            told = tuple(f"{what} word {text}" for text in texts)
            return lambda name: told if wanted <= name.phrases else None, mark(frozenset(list(entries)[:1]))

        def words_only(name: Name) -> Evidence:
            if name.alone & bit or (name.perhaps & bit and made_of(name, wanted)):
                return (f"{what} words {' '.join(name.words)} alone",)
            return None

        return words_only, bit


_COSTS = {"type": 0, "partition_key": 0, "content": 0, "words_none": 0, "words_any": 1, "not": 3, "words_only": 4}


def _cost(entry: tuple[str, Any]) -> int:
    """Which of several requirements to test first: the cheap ones."""
    return _COSTS.get(entry[0], 2)


@lru_cache(maxsize=1024)
def _entries(words: tuple[str, ...]) -> tuple[dict[str, str], frozenset[str]]:
    """The entries that words are looked up as -> the word as written; and the entries alone."""
    entries = {entry(word): word for word in reversed(words)}
    return entries, frozenset(entries)


def _of_parameters(tests: Mapping[str, _TextTest], parameters: Mapping[str, str]) -> Evidence:
    found: tuple[str, ...] = ()
    for name, test in tests.items():
        evidence = test(parameters[name]) if name in parameters else None
        if evidence is None:
            return None
        found += evidence
    return found


# ---- Several conditions --------------------------------------------------------------------------------------------


def _nothing(_: Any) -> Evidence:
    """Of what holds, and is no evidence."""
    return ()


def _of_type(families: Iterable[str]) -> Condition:
    said = {family: (f"type {family}",) for family in families}

    def of_type(subject: Subject) -> Evidence:
        return said.get(subject.family)

    return Condition(of_type, of_type, families=frozenset(said), sure=frozenset(said), whole=True)


def _all_of(conditions: Sequence[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    return Condition(
        _every([condition.test for condition in conditions]),
        _every([condition.left for condition in conditions if condition.left is not _nothing]),
        needs=next((condition.needs for condition in conditions if condition.needs != ANY), ANY),
        barred=_union(condition.barred for condition in conditions),
        alone=_union(condition.alone for condition in conditions),
        families=_ANY_FAMILY.intersection(*[condition.families for condition in conditions]),
        sure=_ANY_FAMILY.intersection(*[condition.sure for condition in conditions]),
    )


def _any_of(conditions: Sequence[Condition]) -> Condition:
    test = _some([condition.test for condition in conditions])
    return Condition(
        test,
        test,
        needs=_union(condition.needs for condition in conditions),
        enough=_union(condition.enough for condition in conditions),
        families=frozenset().union(*[condition.families for condition in conditions]),
        sure=frozenset().union(*[condition.sure for condition in conditions]),
        whole=all(condition.whole for condition in conditions),
    )


def _none_of(conditions: Sequence[Condition]) -> Condition:
    # Of what holds by words or types alone, `barred` and `families` say all.
    others = [condition.test for condition in conditions if not condition.whole]
    return Condition(
        _none([condition.test for condition in conditions]),
        _none(others) if others else _nothing,
        barred=_union(condition.enough for condition in conditions),
        families=_ANY_FAMILY.difference(*[condition.sure for condition in conditions]),
    )


def _in_table(number: int, condition: Condition) -> Condition:
    """A condition, and one about the table, whose evidence comes last; it is known, so asked first."""

    def within(test: Test) -> Test:
        def in_table(subject: Subject) -> Evidence:
            of_table = subject.scene.evidence(number)
            if of_table is None:
                return None
            found = test(subject)
            return None if found is None else found + of_table

        return in_table

    test = within(condition.test)
    left = test if condition.left is condition.test else within(condition.left)
    return condition._replace(test=test, left=left, enough=0, sure=frozenset(), whole=False)


def _union(sets: Iterable[int]) -> int:
    found = 0
    for each in sets:
        found |= each
    return found


def _every(tests: list[Any]) -> Any:
    if len(tests) < 2:
        return tests[0] if tests else _nothing
    if len(tests) == 2:
        return _both(*tests)

    def every(subject: Any) -> Evidence:
        found: tuple[str, ...] = ()
        for test in tests:
            evidence = test(subject)
            if evidence is None:
                return None
            found += evidence
        return found

    return every


def _both(one: Any, other: Any) -> Any:
    def both(subject: Any) -> Evidence:
        found = one(subject)
        if found is None:
            return None
        besides = other(subject)
        return None if besides is None else found + besides

    return both


def _none(tests: list[Test]) -> Test:
    def none(subject: Subject) -> Evidence:
        for test in tests:
            if test(subject) is not None:
                return None
        return ()

    return none


def _some(tests: list[Any]) -> Any:
    if len(tests) == 1:
        return tests[0]

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
