"""Classification: (rules, columns) -> decisions with reasons. Pure, and the same in any order of files and rules.

What a rule's ``when`` may say is in ``conditions.py``, what becomes of the rules that match in ``resolution.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from tagmesh import days, resolution
from tagmesh.catalog import Column, Finding, Table
from tagmesh.column_types import nested_fields, type_family
from tagmesh.conditions import Condition, Conditions, Evidence, Scene, Subject, Test
from tagmesh.governance import DataProduct, Governance, LFTagKey, Override, Rule
from tagmesh.resolution import Decision, Match, Resolver, TableDecision
from tagmesh.words import Name, Vocabulary

_REMEMBERED = 100_000  # columns whose decisions are kept to be given again


def decide(
    governance: Governance,
    data_product: DataProduct,
    table: Table,
    *,
    today: str | None = None,
    content: Mapping[str, Collection[str]] | None = None,
    closed: str = "",
) -> TableDecision:
    """The decisions for one table. The rules are compiled once per Governance.

    Args:
        today: the day (``2027-03-31``, UTC) that expiries of overrides are held against; the present one if None.
        content: what a sample of the values showed: column, or ``column.path`` of a field -> kinds
            (``evidence.py``).
        closed: why every column is at its defaults, whatever the rules say (`MISFIT`, `DOOR`); "" where that is not so.
    """
    return governance.classifier.decide(data_product, table, today=today, content=content, closed=closed)


def recheck(governance: Governance, data_product: DataProduct, today: str | None = None) -> str:
    """The day (``2027-04-01``, UTC) from which on the same governance decides otherwise, since an override expires the
    day before; "" if none does."""
    now = today or days.today()
    of_product = (
        override
        for override in governance.overrides
        if (override.producer, override.data_product) == (data_product.producer, data_product.name)
    )
    # Of the last day that there is, no day after can be told.
    expiries = [each.expires for each in of_product if each.expires and now <= each.expires < "9999-12-31"]
    return days.days_after(min(expiries)) if expiries else ""


def compile_rules(governance: Governance) -> Classifier:
    """The rules of a governance, ready to decide."""
    return Classifier(governance)


_Speaking = tuple[tuple[int, tuple[str, ...]], ...]  # of each rule that speaks its index, and what makes it


class _CompiledRule(NamedTuple):
    rule: Rule
    condition: Condition
    tables: tuple[int, ...]  # the conditions about the table that it rests on
    effects: tuple[tuple[str, str, str], ...]  # (key, effect, value)


class _Row(NamedTuple):
    """A rule as candidates are looked for: see ``conditions.Condition``."""

    needs: int
    barred: int
    alone: int
    test: tuple[int, Test]  # its index in the order of the rules' ids, and what is left to test
    tables: tuple[int, ...]


class _Candidates(NamedTuple):
    """The rules that may speak of columns that words and types tell alike."""

    tests: list[tuple[int, Test]]  # of each rule its index, and what is left to test
    tables: tuple[int, ...]  # the conditions about tables that any of them rests on


class _Seen:
    """A column, or one of its fields, as conditions see it but for its table: its whole name, and that as it was read;
    the path from the column on ("" for the column); the family of its type; what a sample showed of it; the rules that
    may speak of it, and the conditions about tables that these rest on. Of a column also its fields, and what is
    decided: evidence of those conditions -> decisions."""

    __slots__ = ("column", "content", "decided", "family", "fields", "name", "path", "tables", "tests")

    def __init__(
        self, column: str, path: str, family: str, content: tuple[str, ...], name: Name, candidates: _Candidates
    ) -> None:
        self.column = column
        self.path = path
        self.family = family
        self.content = content
        self.name = name
        self.tests, self.tables = candidates
        self.fields: list[_Seen] = []
        self.decided: dict[tuple[Evidence, ...], dict[str, Decision]] = {}


class _Outcome(NamedTuple):
    """What a set of rules that speak of a column makes of a key: the value and why, who won and who lost; for each of
    these which rule it is and, without what matched, the Match."""

    value: str
    outcome: str
    because: str
    winners: tuple[tuple[int, Match], ...]
    losers: tuple[tuple[int, Match], ...]


class Classifier:
    """The rules of one governance, compiled. Columns whose words and types tell conditions the same have the same
    candidates among the rules, which are found once; columns that conditions cannot tell apart are decided once."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance
        self._resolver = Resolver(governance)
        self._vocabulary = Vocabulary()
        self._conditions = Conditions(self._vocabulary)
        rules = sorted(governance.rules, key=lambda rule: rule.id)
        self._rules = [_compile_rule(rule, self._conditions) for rule in rules]
        asked = self._conditions.asked
        self._asks_comment, self._asks_parameters = "comment" in asked, "column_parameters" in asked
        self._asks_partition_key = "partition_key" in asked
        self._asks_more = self._asks_comment or self._asks_parameters or self._asks_partition_key
        self._rows = lru_cache(self._rows_for)
        self._candidates = lru_cache(maxsize=65536)(self._find_candidates)
        self._made = lru_cache(maxsize=65536)(self._decisions)
        self._outcomes = lru_cache(maxsize=65536)(self._find_outcomes)
        self._overrides: dict[tuple[str, str, str], list[Override]] = {}
        for override in governance.overrides:
            place = (override.producer, override.data_product, override.table)
            self._overrides.setdefault(place, []).append(override)
        # LF-Tag keys -> (name, type, what else conditions see of a column) -> such columns
        self._known: dict[tuple[str, ...], dict[tuple[str, str, Any], _Seen]] = {}
        self._remembered = 0

    def decide(
        self,
        data_product: DataProduct,
        table: Table,
        *,
        today: str | None = None,
        content: Mapping[str, Collection[str]] | None = None,
        closed: str = "",
    ) -> TableDecision:
        """See ``rules.decide``."""
        keys = self._governance.column_keys(data_product)
        names = tuple([key.name for key in keys])
        scene = Scene(self._conditions, data_product, table)
        known = self._known.setdefault(names, {})
        columns: dict[str, dict[str, Decision]] = {}
        for partition_key, of_table in ((False, table.columns), (True, table.partition_keys)):
            for column in of_table:
                more = self._besides(column, partition_key, content) if content or self._asks_more else None
                seen = known.get((column.name, column.type, more))
                if seen is None:
                    seen = self._remember(known, column.name, column.type, more)
                evidence = scene.evidences(seen.tables) if seen.tables else ()
                decided = seen.decided.get(evidence)
                if decided is None:
                    decided = seen.decided[evidence] = self._judge(scene, column, seen, keys, names, partition_key)
                columns[column.name] = decided
        place = (data_product.producer, data_product.name, table.name)
        findings: list[Finding] = []
        if overrides := self._overrides.get(place):
            findings += resolution.apply_overrides(table, keys, columns, overrides, today or days.today())
        if table.partition_keys:
            findings += resolution.apply_partition_floor(table, keys, columns)
        if closed:
            columns = {name: resolution.close(keys, decided, closed) for name, decided in columns.items()}
        return TableDecision(table.database, table.name, columns, tuple(findings), self._governance.digest)

    def _besides(
        self, column: Column, partition_key: bool, content: Mapping[str, Collection[str]] | None
    ) -> tuple[str, bool, tuple[tuple[str, str], ...], tuple[tuple[str, tuple[str, ...]], ...]]:
        """What conditions see of a column besides its name and type; the last is what a sample showed."""
        return (
            column.comment if self._asks_comment else "",
            partition_key and self._asks_partition_key,
            tuple(sorted(column.parameters.items())) if self._asks_parameters and column.parameters else (),
            _content_of(column.name, content) if content else (),
        )

    def _remember(
        self, known: dict[tuple[str, str, Any], _Seen], name: str, type_name: str, more: tuple[Any, ...] | None
    ) -> _Seen:
        """The columns that conditions see so, in whatever table."""
        if self._remembered >= _REMEMBERED:
            for each in self._known.values():
                each.clear()
            self._remembered = 0
        self._remembered += 1
        shown = dict(more[-1]) if more else {}
        seen = self._seen(name, "", type_family(type_name), shown.get("", ()))
        if nested := nested_fields(type_name):
            seen.fields = [self._seen(name, path, family, shown.get(path, ())) for path, family in nested]
            seen.tables = tuple(sorted({number for each in (seen, *seen.fields) for number in each.tables}))
        known[name, type_name, more] = seen
        return seen

    def _seen(self, column: str, path: str, family: str, content: tuple[str, ...]) -> _Seen:
        name = f"{column}.{path}" if path else column
        read = self._vocabulary.read(name)
        marks, able = read.marks & self._conditions.held, (read.alone | read.perhaps) & self._conditions.made
        return _Seen(name, path, family, content, read, self._candidates(marks, able, family, bool(content)))

    def _judge(
        self,
        scene: Scene,
        column: Column,
        seen: _Seen,
        keys: tuple[LFTagKey, ...],
        names: tuple[str, ...],
        partition_key: bool,
    ) -> dict[str, Decision]:
        speaking = _speaking(scene, column, seen, partition_key)
        if not seen.fields:
            return self._made(speaking, names)
        spoken = self._matches(speaking)
        fields = [
            # What has no path of its own, such as a map's keys, is the column.
            (each.path, self._matches(_speaking(scene, column, each, partition_key)) if each.path else {})
            for each in seen.fields
        ]
        return {
            key.name: self._resolver.joined(
                key, spoken.get(key.name, []), [(path, found.get(key.name, [])) for path, found in fields]
            )
            for key in keys
        }

    def _matches(self, speaking: _Speaking) -> dict[str, list[Match]]:
        """key -> what rules that speak say of it."""
        spoken: dict[str, list[Match]] = {}
        for index, evidence in speaking:
            rule, _, _, effects = self._rules[index]
            for key, effect, value in effects:
                spoken.setdefault(key, []).append(Match(rule.id, effect, value, rule.because, evidence))
        return spoken

    def _decisions(self, speaking: _Speaking, names: tuple[str, ...]) -> dict[str, Decision]:
        """What the rules that speak make of each key. Who wins does not depend on what matched."""
        evidence = dict(speaking)
        made = {}
        for name, outcome in self._outcomes(tuple(evidence), names):
            if isinstance(outcome, _Outcome):
                value, how, because, winners, losers = outcome
                outcome = Decision(value, how, because, _told(winners, evidence), _told(losers, evidence))
            made[name] = outcome
        return made

    def _find_outcomes(
        self, speaking: tuple[int, ...], names: tuple[str, ...]
    ) -> tuple[tuple[str, _Outcome | Decision], ...]:
        spoken = self._matches(tuple([(index, (str(index),)) for index in speaking]))
        found: list[tuple[str, _Outcome | Decision]] = []
        for name in names:
            decision = self._resolver.resolve(self._governance.keys[name], spoken.get(name))
            if spoken.get(name):
                winners, losers = (
                    tuple((int(match.matched[0]), match) for match in matches)
                    for matches in (decision.winners, decision.losers)
                )
                found.append((name, _Outcome(decision.value, decision.outcome, decision.because, winners, losers)))
            else:
                found.append((name, decision))
        return tuple(found)

    def _rows_for(self, family: str, sampled: bool) -> list[_Row]:
        """The rules that may speak of columns of a family of types, by id."""
        rows = []
        for index, (rule, condition, tables, _) in enumerate(self._rules):
            if family in condition.families and (sampled or "content" not in rule.when):
                test = (index, condition.left)
                rows.append(_Row(condition.needs, condition.barred, condition.alone, test, tables))
        return rows

    def _find_candidates(self, marks: int, able: int, family: str, sampled: bool) -> _Candidates:
        held, not_made = marks | able, ~able
        tests = []
        tables: set[int] = set()
        for needs, barred, must_make, test, of_rule in self._rows(family, sampled):
            if not held & needs or marks & barred or must_make & not_made:
                continue
            tests.append(test)
            tables.update(of_rule)
        return _Candidates(tests, tuple(sorted(tables)))


def _compile_rule(rule: Rule, conditions: Conditions) -> _CompiledRule:
    condition, tables = conditions.compile(rule.when)
    effects = [
        (key, effect, value)
        for effect, pairs in (("raise", rule.raises), ("assign", rule.assigns), ("clear", rule.clears))
        for key, value in pairs
    ]
    return _CompiledRule(rule, condition, tables, tuple(effects))


def _speaking(scene: Scene, column: Column, seen: _Seen, partition_key: bool) -> _Speaking:
    """The rules that speak about a column or one of its fields, by id, and what of it makes them."""
    if not seen.tests:
        return ()
    subject = Subject(
        scene,
        seen.name,
        seen.column,
        seen.family,
        seen.path,
        column.comment,
        partition_key,
        column.parameters,
        seen.content,
    )
    return tuple([(index, evidence) for index, test in seen.tests if (evidence := test(subject)) is not None])


def _told(matches: tuple[tuple[int, Match], ...], evidence: Mapping[int, tuple[str, ...]]) -> tuple[Match, ...]:
    """Matches, with what matched."""
    return tuple(
        [
            Match(rule, effect, value, because, evidence[index], lost)
            for index, (rule, effect, value, because, _, lost) in matches
        ]
    )


def _content_of(column: str, content: Mapping[str, Collection[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(path, kinds) of a column's fields, the column itself under "", that a sample said something of."""
    found = {}
    for name, kinds in content.items():
        if kinds and (name == column or name.startswith(f"{column}.")):
            found[name[len(column) + 1 :]] = tuple(sorted(kinds))
    return tuple(sorted(found.items()))
