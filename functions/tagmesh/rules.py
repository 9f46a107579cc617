"""Classification: (rules, columns) -> decisions with reasons. Pure, and the same in any order of files and rules.

For each column and each LF-Tag key that its data product leaves to columns: an override wins; else all raises
join to the strictest (``LFTagKey.join``); else the assigns do; else the clears do; else the key's default, which
no subscription may name. A raise can so only ever close, and what no rule knows stays closed.

A rule's ``when`` is a mapping from a closed vocabulary, all of whose entries must hold: ``column``, ``comment``,
``table``, ``database``, ``data_product``, ``producer``, ``account`` (tests of a text), ``type`` (families),
``partition_key``, and ``all``, ``any``, ``not`` around further conditions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Any, NamedTuple

from tagmesh.catalog import Column, Finding, Table
from tagmesh.governance import DataProduct, Governance, LFTagKey, Override, Rule
from tagmesh.words import Vocabulary, entry, fold

_FAMILY_OF = {
    "string": ("string", "varchar", "char", "text", "character", "nvarchar", "citext", "enum"),
    "integer": ("integer", "int", "bigint", "smallint", "tinyint", "long", "serial", "bigserial"),
    "decimal": ("decimal", "double", "float", "real", "numeric", "number", "money"),
    "boolean": ("boolean", "bool"),
    "timestamp": ("timestamp", "datetime", "timestamptz", "time", "timetz"),
    "date": ("date",),
    "uuid": ("uuid",),
    "binary": ("binary", "varbinary", "bytea", "blob", "bytes"),
    "struct": ("struct", "row", "json", "jsonb"),
    "array": ("array", "list"),
    "map": ("map", "hstore"),
}
FAMILIES = tuple(_FAMILY_OF)
_FAMILY = {name: family for family, names in _FAMILY_OF.items() for name in names}
_LONGEST_NAME = 255  # of Glue's names and comments; patterns look no further

#: The types that columns of such names have; for the examples of rules only.
_USUAL_TYPES = (
    (re.compile(r"^(is|has)_|_(verified|confirmed|enabled|deleted|active|flag)$"), "boolean"),
    (re.compile(r"_at$|_timestamp$"), "timestamp"),
    (re.compile(r"_on$|_date$|^date_"), "date"),
)

# One character, class or escape, and perhaps a repetition of just that.
_REGEX_ATOM = re.compile(
    r"(?:[^\\\[\](){}*+?|^$]|\\[dDwWsS.\-_/+*?(){}\[\]|^$]|\[\^?(?:[^\\\[\]]|\\[dDwWsS.\-_/\]\[^])+\])"
    r"(?P<repeat>[*+?]|\{\d{1,2}(?:,\d{0,2})?\})?"
)


class Match(NamedTuple):
    """One rule that spoke about one column: ``effect`` is raise, clear or assign; ``matched`` says what of the
    column did it (``column word email``, ``type string``)."""

    rule: str
    effect: str
    value: str
    because: str
    matched: tuple[str, ...]


class Decision(NamedTuple):
    """The value of one LF-Tag key of one column. ``outcome``: raised, cleared, assigned, override or default.
    ``winners`` gave the value, ``losers`` matched too and did not; ``because`` is for people."""

    value: str
    outcome: str
    because: str
    winners: tuple[Match, ...] = ()
    losers: tuple[Match, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(match.rule for match in self.winners)


@dataclass(frozen=True)
class TableDecision:
    """column name -> LF-Tag key -> Decision, for every column and partition key of a table and every key that
    its data product does not assign to the database."""

    database: str
    table: str
    columns: Mapping[str, Mapping[str, Decision]] = field(hash=False)
    findings: tuple[Finding, ...] = ()

    def tags(self, column: str) -> dict[str, str]:
        """key -> decided value of one column."""
        return {key: decision.value for key, decision in self.columns[column].items()}


def decide(governance: Governance, data_product: DataProduct, table: Table) -> TableDecision:
    """The decisions for one table. The rules are compiled once per Governance."""
    return governance.classifier.decide(data_product, table)


def compile_rules(governance: Governance) -> Classifier:
    return Classifier(governance)


def type_family(type_name: str) -> str:
    """The family of a column type of Glue, Athena or a common database (``decimal(10,2)`` -> decimal), or ``""``
    for a type that is not known: no condition on types holds for it."""
    return _family(type_name.lower())


@lru_cache(maxsize=4096)
def _family(type_name: str) -> str:
    if type_name.endswith("[]"):
        return "array"
    name = re.match(r"\s*([a-z]*)", type_name)
    return _FAMILY.get(name.group(1), "") if name else ""


class _Subject(NamedTuple):
    """What a condition looks at."""

    column: str
    family: str = "string"
    comment: str = ""
    partition_key: bool = False
    table: str = ""
    database: str = ""
    data_product: str = ""
    producer: str = ""
    account: str = ""


#: What of the subject fulfils a condition, for people; None if it does not hold.
_Evidence = tuple[str, ...] | None
_Test = Callable[[_Subject], _Evidence]


class _CompiledRule(NamedTuple):
    rule: Rule
    test: _Test
    effects: Mapping[str, tuple[tuple[str, str], ...]]  # key -> ((effect, value), ...)


class Classifier:
    """The rules of one governance, compiled. Rules that need a certain word of the column's name are found by
    it, so that a column is only tested against those that may speak about it."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance
        rules = sorted(governance.rules, key=lambda rule: rule.id)
        self._vocabulary = Vocabulary(word for rule in rules for word in _words(rule.when))
        self._by_word: dict[str, list[int]] = {}
        self._always: list[int] = []
        self._rules = [_compile_rule(rule, self._vocabulary) for rule in rules]
        for index, rule in enumerate(rules):
            needed = _needed_words(rule.when)
            if needed is None:
                self._always.append(index)
            for word in needed or ():
                self._by_word.setdefault(word, []).append(index)
        self._defaults = {
            key.name: Decision(key.default, "default", f"no rule speaks about its {key.name}")
            for key in governance.lf_tags
        }
        self._overrides: dict[tuple[str, str, str, str], Override] = {
            (o.producer, o.data_product, o.table, o.column): o for o in governance.overrides
        }

    def decide(self, data_product: DataProduct, table: Table) -> TableDecision:
        keys = self._governance.column_keys(data_product)
        partition_keys = {column.name for column in table.partition_keys}
        columns = {
            column.name: self._decide_column(data_product, table, column, column.name in partition_keys, keys)
            for column in table.all_columns
        }
        findings = _apply_partition_floor(table, keys, columns)
        return TableDecision(table.database, table.name, columns, tuple(findings))

    def _decide_column(
        self,
        data_product: DataProduct,
        table: Table,
        column: Column,
        is_partition_key: bool,
        keys: tuple[LFTagKey, ...],
    ) -> dict[str, Decision]:
        subject = _Subject(
            column.name,
            type_family(column.type),
            column.comment,
            is_partition_key,
            table.name,
            table.database,
            data_product.name,
            data_product.producer,
            data_product.account,
        )
        spoken: dict[str, list[Match]] = {}
        for compiled in self._candidates(column.name):
            evidence = compiled.test(subject)
            if evidence is not None:
                rule = compiled.rule
                for key, effects in compiled.effects.items():
                    for effect, value in effects:
                        match = Match(rule.id, effect, value, rule.because, evidence)
                        spoken.setdefault(key, []).append(match)
        place = (data_product.producer, data_product.name, table.name, column.name)
        override = self._overrides.get(place)
        overridden = dict(override.tags) if override else {}
        decisions = {}
        for key in keys:
            matches = spoken.get(key.name)
            if override and key.name in overridden:
                because = f"{override.reason} ({override.author})"
                decisions[key.name] = Decision(overridden[key.name], "override", because, losers=tuple(matches or ()))
            else:
                decisions[key.name] = _resolve(key, matches) if matches else self._defaults[key.name]
        return decisions

    def _candidates(self, name: str) -> list[_CompiledRule]:
        """The rules that may speak about a column of this name, by id."""
        found = set(self._always)
        for phrase in self._vocabulary.phrases(name):
            found.update(self._by_word.get(phrase, ()))
        return [self._rules[index] for index in sorted(found)]


def _resolve(key: LFTagKey, matches: list[Match]) -> Decision:
    for effect, outcome in (("raise", "raised"), ("assign", "assigned"), ("clear", "cleared")):
        speaking = [match for match in matches if match.effect == effect]
        if speaking:
            value = reduce(key.join, (match.value for match in speaking))
            # Where two raises conflict, the value is neither's: both gave it.
            winners = [match for match in speaking if match.value == value] or speaking
            losers = tuple(match for match in matches if match not in winners)
            because = "; ".join(dict.fromkeys(match.because or match.rule for match in winners))
            return Decision(value, outcome, because, tuple(winners), losers)
    raise AssertionError(f"no known effect among {matches}")


def _apply_partition_floor(
    table: Table, keys: Iterable[LFTagKey], columns: dict[str, dict[str, Decision]]
) -> list[Finding]:
    """A partition key is as readable as its table (design.md, 2.3), so its values are joined into every column.
    One that is left at a default closes the whole table, and is a finding."""
    findings: dict[str, list[str]] = {}
    for key in keys:
        decided = [(column.name, columns[column.name][key.name]) for column in table.partition_keys]
        for name, decision in decided:
            if decision.value == key.default:
                findings.setdefault(name, []).append(key.name)
        for partition_key, floor in decided:
            for decisions in columns.values():
                own = decisions[key.name]
                value = key.join(own.value, floor.value)
                if value != own.value:
                    outcome = "default" if value == key.default else "raised"
                    because = f"its table's partition key {partition_key} is {floor.value} ({floor.because})"
                    losers = own.winners + own.losers
                    decisions[key.name] = Decision(value, outcome, because, floor.winners, losers)
    return [
        Finding(
            "partition-key-unclassified",
            f"{table.database}.{table.name}.{name}",
            f"the partition key {name} has no {' and no '.join(missing)}, which keeps the whole table closed",
            f"write a rule, or an override, that decides {name}",
        )
        for name, missing in findings.items()
    ]


# ---- Conditions ---------------------------------------------------------------------


def check_examples(rule: Rule) -> list[str]:
    """What is wrong with a rule's examples, each checked against this rule alone; [] if all are right.

    An example is ``name``, ``table.name`` or ``name:type``. Without a type it has the one that such names
    have: ``is_active`` and ``email_verified`` are booleans, ``paid_at`` is a timestamp, ``due_date`` a date,
    anything else a string."""
    compiled = _compile_rule(rule, Vocabulary(_words(rule.when)))
    wrong = []
    for examples, expected in ((rule.match, True), (rule.no_match, False)):
        for example in examples:
            evidence = compiled.test(_example(example))
            if (evidence is not None) != expected:
                verdict = "does not match" if expected else f"matches by {', '.join(evidence or ())}"
                wrong.append(f"{rule.id} ({rule.place}): {example} {verdict}")
    return wrong


def _example(example: str) -> _Subject:
    name, _, type_name = example.partition(":")
    table, _, column = name.rpartition(".")
    usual = next((usual for pattern, usual in _USUAL_TYPES if pattern.search(column.lower())), "string")
    return _Subject(column, type_family(type_name or usual), table=table)


def unsafe_regex(pattern: str) -> str | None:
    """Why a regular expression is refused, or None.

    Allowed are characters, classes, escapes and repetitions of those, with ^ and $ at the ends: no groups, no
    alternatives (write several), so that the number of ways to match is at most the product of the repetitions."""
    body = pattern.removeprefix("^")
    body = body[:-1] if body.endswith("$") and not body.endswith("\\$") else body
    position, repeated, optional = 0, 0, 0
    while position < len(body):
        atom = _REGEX_ATOM.match(body, position)
        if atom is None:
            return f"`{body[position]}` may not stand there in a regular expression: no groups, no alternatives"
        repeat = atom["repeat"] or ""
        optional += repeat == "?"
        repeated += repeat in ("*", "+") or "," in repeat
        position = atom.end()
    if repeated > 2 or optional > 4:
        return "more than two repetitions, or four ?, could make a regular expression slow"
    try:
        re.compile(pattern)
    except re.error as error:
        return f"not a regular expression: {error}"
    return None


def _compile_rule(rule: Rule, vocabulary: Vocabulary) -> _CompiledRule:
    effects: dict[str, tuple[tuple[str, str], ...]] = {}
    for effect, pairs in (("raise", rule.raises), ("assign", rule.assigns), ("clear", rule.clears)):
        for key, value in pairs:
            effects[key] = (*effects.get(key, ()), (effect, value))
    return _CompiledRule(rule, _compile(rule.when, vocabulary), effects)


def _compile(condition: Mapping[str, Any], vocabulary: Vocabulary) -> _Test:
    tests = [_compile_entry(name, wanted, vocabulary) for name, wanted in condition.items()]
    return tests[0] if len(tests) == 1 else _all(tests)


def _compile_entry(name: str, wanted: Any, vocabulary: Vocabulary) -> _Test:
    if name == "all":
        return _all([_compile(condition, vocabulary) for condition in wanted])
    if name == "any":
        return _any([_compile(condition, vocabulary) for condition in wanted])
    if name == "not":
        inner = _compile(wanted, vocabulary)
        return lambda subject: () if inner(subject) is None else None
    if name == "type":
        families = frozenset(_listed(wanted))
        return lambda subject: (f"type {subject.family}",) if subject.family in families else None
    if name == "partition_key":
        return lambda subject: ("partition key",) if subject.partition_key is wanted else None
    tests = [_compile_text_test(name, test, _listed(texts), vocabulary) for test, texts in wanted.items()]

    def test_text(subject: _Subject) -> _Evidence:
        text = getattr(subject, name)
        found: tuple[str, ...] = ()
        for test in tests:
            evidence = test(text)
            if evidence is None:
                return None
            found += evidence
        return found

    return test_text


def _compile_text_test(what: str, test: str, texts: list[str], vocabulary: Vocabulary) -> Callable[[str], _Evidence]:
    entries = {entry(text): text for text in reversed(texts)}
    phrases = vocabulary.phrases
    if test == "words_any":
        wanted = frozenset(entries)

        def words_any(text: str) -> _Evidence:
            found = wanted & phrases(text)
            return tuple(f"{what} word {entries[word]}" for word in sorted(found)) if found else None

        return words_any
    if test == "words_all":
        all_words = tuple(f"{what} word {text}" for text in texts)
        return lambda text: all_words if entries.keys() <= phrases(text) else None
    if test == "words_only":
        known = frozenset(entries)
        return lambda text: (
            (f"{what} words {' '.join(vocabulary.split(text))} alone",) if vocabulary.covers(text, known) else None
        )
    if test == "words_none":
        return lambda text: None if entries.keys() & phrases(text) else ()
    if test == "equals":
        names = {fold(text) for text in texts}
        return lambda text: (f"{what} {text}",) if fold(text) in names else None
    patterns = [(text, re.compile(_as_regex(text) if test == "glob" else text, re.IGNORECASE)) for text in texts]

    def patterns_any(text: str) -> _Evidence:
        shortened = fold(text)[:_LONGEST_NAME]
        found = tuple(f"{what} like {written}" for written, pattern in patterns if pattern.search(shortened))
        return found or None

    return patterns_any


def _as_regex(glob: str) -> str:
    """A glob with * and ? as a regular expression for the whole text; fnmatch's does not backtrack."""
    from fnmatch import translate

    return r"\A" + translate(fold(glob).replace("[", "[[]"))


def _all(tests: list[_Test]) -> _Test:
    def every(subject: _Subject) -> _Evidence:
        found: tuple[str, ...] = ()
        for test in tests:
            evidence = test(subject)
            if evidence is None:
                return None
            found += evidence
        return found

    return every


def _any(tests: list[_Test]) -> _Test:
    def some(subject: _Subject) -> _Evidence:
        found = [evidence for test in tests if (evidence := test(subject)) is not None]
        return tuple(dict.fromkeys(text for evidence in found for text in evidence)) if found else None

    return some


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _words(condition: Any) -> Iterable[str]:
    """Every word that a condition asks for, of any text: they join the vocabulary."""
    if isinstance(condition, list):
        for part in condition:
            yield from _words(part)
    elif isinstance(condition, dict):
        for name, part in condition.items():
            if name.startswith("words_"):
                yield from _listed(part)
            else:
                yield from _words(part)


def _needed_words(condition: Mapping[str, Any]) -> frozenset[str] | None:
    """Entries of which a column's name must hold at least one for the condition to hold; None if it may hold
    without any."""
    for name, wanted in condition.items():
        if name == "column":
            if "words_any" in wanted:
                return frozenset(map(entry, _listed(wanted["words_any"])))
            if "words_all" in wanted:
                return frozenset(map(entry, _listed(wanted["words_all"])[:1]))
            if "words_only" in wanted:
                return frozenset(map(entry, _listed(wanted["words_only"])))
        elif name == "all":
            for part in wanted:
                if (needed := _needed_words(part)) is not None:
                    return needed
        elif name == "any":
            parts = [_needed_words(part) for part in wanted]
            if all(part is not None for part in parts):
                return frozenset().union(*(part for part in parts if part is not None))
    return None
