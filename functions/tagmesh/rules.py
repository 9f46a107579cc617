"""Classification: (rules, columns) -> decisions with reasons. Pure, and the same in any order of files and rules.

For each column and each LF-Tag key that its data product leaves to columns: a valid override wins; else the assigns
join to the strictest (``LFTagKey.join``), or, where there are none, the clears do; all raises join with that, but for
those that a matching clear names in its ``over``; where no rule speaks, the key's default holds, which no subscription
may name. A raise can so only ever close, and what no rule knows stays closed.

A struct is what its fields are: each is decided like a column, and the column is as strict as the strictest of them.
Where no rule speaks of a field, what the rules say of the column holds for it; where rules only raise it, that too.

What a rule's ``when`` may say is in ``conditions.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Any, NamedTuple

from tagmesh import days
from tagmesh.catalog import Column, Finding, Table
from tagmesh.column_types import FAMILIES, NestedField, nested_fields, type_family
from tagmesh.conditions import (
    Conditions,
    Scene,
    Subject,
    Test,
    needed_words,
    only_words,
    possible_families,
    ruled_out_by,
    words_in,
)
from tagmesh.governance import DataProduct, Governance, LFTagKey, Override, Rule
from tagmesh.words import Vocabulary, singular

#: Effect of a rule -> what it makes of a column, the strongest first.
_OUTCOMES = {"raise": "raised", "assign": "assigned", "clear": "cleared"}
#: Why a table is closed whose values may stand under others' names.
MISFIT = "a file of the table has its columns in another order, or others, and queries read them by position"
#: Why a data product is closed that can be read past its tags.
DOOR = "something else than tags gives access to its data product: `tagmesh doctor` says what"
_REMEMBERED = 100_000  # columns whose decisions are kept to be given again


class Match(NamedTuple):
    """One rule that spoke about one column: ``effect`` is raise, clear or assign; ``matched`` says what of the
    column did it (``column word email``, ``type string``); ``lost`` why it did not give the value, "" if it did."""

    rule: str
    effect: str
    value: str
    because: str
    matched: tuple[str, ...]
    lost: str = ""

    def as_json(self) -> dict[str, Any]:
        """As JSON has it."""
        made: dict[str, Any] = {"rule": self.rule, self.effect: self.value, "matched": list(self.matched)}
        return {**made, "lost": self.lost} if self.lost else made


class Decision(NamedTuple):
    """The value of one LF-Tag key of one column. ``outcome``: raised, cleared, assigned, override or default; by hand
    where a person's stricter tag is kept (``drift.py``), and ``ruled`` is then what the governance says. ``winners``
    gave the value, ``losers`` matched too and did not; ``because`` is for people."""

    value: str
    outcome: str
    because: str
    winners: tuple[Match, ...] = ()
    losers: tuple[Match, ...] = ()
    ruled: str = ""

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(match.rule for match in self.winners)

    def as_json(self) -> dict[str, Any]:
        """The decision and its whole reason, as JSON has it: names, rules and words, never a value of the data."""
        made: dict[str, Any] = {"value": self.value, "outcome": self.outcome, "because": self.because}
        if self.ruled:
            made["ruled"] = self.ruled
        for name, matches in (("winners", self.winners), ("losers", self.losers)):
            if matches:
                made[name] = [match.as_json() for match in matches]
        return made


@dataclass(frozen=True)
class TableDecision:
    """column name -> LF-Tag key -> Decision, for every column and partition key of a table and every key that
    its data product does not assign to the database; ``version`` is the digest of the governance that says so."""

    database: str
    table: str
    columns: Mapping[str, Mapping[str, Decision]] = field(hash=False)
    findings: tuple[Finding, ...] = ()
    version: str = ""

    def tags(self, column: str) -> dict[str, str]:
        """key -> decided value of one column."""
        return {key: decision.value for key, decision in self.columns[column].items()}


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


class _CompiledRule(NamedTuple):
    index: int  # in the order of the rules' ids
    rule: Rule
    test: Test
    tables: tuple[int, ...]  # the conditions about the table that it rests on
    effects: tuple[tuple[str, str, str], ...]  # (key, effect, value)


class _Candidates(NamedTuple):
    rules: list[_CompiledRule]
    tables: tuple[int, ...]  # the conditions about tables that any of them rests on


class _Outcome(NamedTuple):
    """What a set of rules that speak of a column makes of a key: the value and why, who won and who lost; for each of
    these which rule it is and, without what matched, the Match."""

    value: str
    outcome: str
    because: str
    winners: tuple[tuple[int, Match], ...]
    losers: tuple[tuple[int, Match], ...]


class Classifier:
    """The rules of one governance, compiled. Rules that need a certain word of the column's name are found by
    it, so that a column is only tested against those that may speak about it. Columns that conditions cannot tell
    apart are decided once."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance
        rules = sorted(governance.rules, key=lambda rule: rule.id)
        self._vocabulary = Vocabulary(words_in([rule.when for rule in rules]))
        self._conditions = Conditions(self._vocabulary)
        self._rules = [_compile_rule(index, rule, self._conditions) for index, rule in enumerate(rules)]
        self._on_content = [compiled for compiled in self._rules if "content" in compiled.rule.when]
        # entry -> sets of rules, as bits: those that it may bring up, those that do not hold beside it, and those that
        # have it among the words that alone may make a name.
        self._up: dict[str, int] = {}
        self._out: dict[str, int] = {}
        self._only: dict[str, int] = {}
        self._always = self._with_only = 0
        self._fit = dict.fromkeys((*FAMILIES, ""), 0)
        for compiled in self._rules:
            if "content" not in compiled.rule.when:
                self._index(1 << compiled.index, compiled.rule.when)
        self._asks_comment, self._asks_partition_key, self._asks_parameters = (
            name in self._conditions.asked for name in ("comment", "partition_key", "column_parameters")
        )
        self._of_word = lru_cache(maxsize=65536)(self._touched_by)
        self._picked = lru_cache(maxsize=65536)(self._pick)
        self._made = lru_cache(maxsize=65536)(self._decisions)
        self._outcomes = lru_cache(maxsize=65536)(self._find_outcomes)
        self._candidates = lru_cache(maxsize=65536)(self._find_candidates)
        self._over = {rule.id: frozenset(rule.over) for rule in rules if rule.over}
        self._defaults = {
            key.name: Decision(key.default, "default", f"no rule speaks about its {key.name}")
            for key in governance.lf_tags
        }
        self._overrides: dict[tuple[str, str, str], list[Override]] = {}
        for override in governance.overrides:
            place = (override.producer, override.data_product, override.table)
            self._overrides.setdefault(place, []).append(override)
        # column as conditions see it -> (its candidates' conditions about the table, evidence of those -> decisions)
        self._decided: dict[Any, tuple[tuple[int, ...], dict[Any, dict[str, Decision]]]] = {}

    def _index(self, bit: int, when: Mapping[str, Any]) -> None:
        needed, only = needed_words(when), only_words(when)
        for words, touched in ((needed, self._up), (ruled_out_by(when), self._out), (only, self._only)):
            for word in words or ():
                touched[word] = touched.get(word, 0) | bit
        if needed is None:
            self._always |= bit
        if only is not None:
            self._with_only |= bit
        for family in possible_families(when):
            self._fit[family] |= bit

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
        names = tuple(key.name for key in keys)
        scene = Scene(self._conditions, data_product, table)
        columns = {
            column.name: self._decide_column(scene, column, names, keys, partition_key, content or {})
            for partition_key, columns in ((False, table.columns), (True, table.partition_keys))
            for column in columns
        }
        place = (data_product.producer, data_product.name, table.name)
        findings: list[Finding] = []
        if overrides := self._overrides.get(place):
            findings += _apply_overrides(table, keys, columns, overrides, today or days.today())
        if table.partition_keys:
            findings += _apply_partition_floor(table, keys, columns)
        if closed:
            columns = {name: _closed(keys, decided, closed) for name, decided in columns.items()}
        return TableDecision(table.database, table.name, columns, tuple(findings), self._governance.digest)

    def _decide_column(
        self,
        scene: Scene,
        column: Column,
        names: tuple[str, ...],
        keys: tuple[LFTagKey, ...],
        partition_key: bool,
        content: Mapping[str, Collection[str]],
    ) -> dict[str, Decision]:
        shown = _content_of(column.name, content) if content else ()
        seen = (
            column.name,
            column.type if shown or nested_fields(column.type) else type_family(column.type),
            column.comment if self._asks_comment else "",
            partition_key and self._asks_partition_key,
            names,
            tuple(sorted(column.parameters.items())) if self._asks_parameters and column.parameters else (),
            shown,
        )
        known = self._decided.get(seen)
        if known is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            known = self._decided[seen] = (self._tables_of(column, sampled=bool(shown)), {})
        tables, by_evidence = known
        evidence = scene.evidences(tables) if tables else ()
        decided = by_evidence.get(evidence)
        if decided is None:
            decided = by_evidence[evidence] = self._judge(scene, column, keys, names, partition_key, dict(shown))
        return decided

    def _tables_of(self, column: Column, *, sampled: bool) -> tuple[int, ...]:
        """The conditions about tables that may matter to a column."""
        tables = self._candidates(column.name, type_family(column.type)).tables
        nested = nested_fields(column.type)
        if not nested and not sampled:
            return tables
        found = {number for each in nested for number in self._candidates(_path_of(column, each), each.family).tables}
        if sampled:
            found.update(number for rule in self._on_content for number in rule.tables)
        return tuple(sorted(found.union(tables)))

    def _judge(
        self,
        scene: Scene,
        column: Column,
        keys: tuple[LFTagKey, ...],
        names: tuple[str, ...],
        partition_key: bool,
        content: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Decision]:
        def subject(path: str, family: str) -> Subject:
            name = f"{column.name}.{path}" if path else column.name
            phrases = self._vocabulary.phrases(name)
            shown = content.get(path, ())
            return Subject(scene, phrases, name, family, path, column.comment, partition_key, column.parameters, shown)

        own = self._speaking(subject("", type_family(column.type)))
        nested = nested_fields(column.type)
        if not nested:
            return self._made(tuple(own), names)
        spoken = self._matches(own)
        fields = [
            (each.path, self._matches(self._speaking(subject(each.path, each.family))) if each.path else {})
            for each in nested
        ]
        return {
            key.name: self._joined(
                key, spoken.get(key.name, []), [(path, found.get(key.name, [])) for path, found in fields]
            )
            for key in keys
        }

    def _speaking(self, subject: Subject) -> list[tuple[int, tuple[str, ...]]]:
        """The rules that speak about a column, by id, and what of it makes them."""
        candidates = self._candidates(subject.column, subject.family).rules
        if subject.content:
            candidates = sorted([*candidates, *self._on_content], key=lambda each: each.index)
        return [
            (compiled.index, evidence) for compiled in candidates if (evidence := compiled.test(subject)) is not None
        ]

    def _matches(self, speaking: Iterable[tuple[int, tuple[str, ...]]]) -> dict[str, list[Match]]:
        """key -> what rules that speak say of it."""
        spoken: dict[str, list[Match]] = {}
        for index, evidence in speaking:
            rule = self._rules[index].rule
            for key, effect, value in self._rules[index].effects:
                spoken.setdefault(key, []).append(Match(rule.id, effect, value, rule.because, evidence))
        return spoken

    def _decisions(
        self, speaking: tuple[tuple[int, tuple[str, ...]], ...], names: tuple[str, ...]
    ) -> dict[str, Decision]:
        """What the rules that speak make of each key. Who wins does not depend on what matched."""
        evidence = dict(speaking)
        made = {}
        for name, outcome in self._outcomes(tuple(evidence), names):
            if isinstance(outcome, Decision):
                made[name] = outcome
                continue
            value, how, because, winners, losers = outcome
            made[name] = Decision(
                value,
                how,
                because,
                tuple([_with_evidence(match, evidence[index]) for index, match in winners]),
                tuple([_with_evidence(match, evidence[index]) for index, match in losers]) if losers else (),
            )
        return made

    def _find_outcomes(
        self, speaking: tuple[int, ...], names: tuple[str, ...]
    ) -> tuple[tuple[str, _Outcome | Decision], ...]:
        spoken = self._matches((index, (str(index),)) for index in speaking)
        found: list[tuple[str, _Outcome | Decision]] = []
        for name in names:
            key = self._governance.keys[name]
            decision = self._resolve(key, spoken.get(name))
            if spoken.get(name):
                winners, losers = (
                    tuple((int(match.matched[0]), match) for match in matches)
                    for matches in (decision.winners, decision.losers)
                )
                found.append((name, _Outcome(decision.value, decision.outcome, decision.because, winners, losers)))
            else:
                found.append((name, decision))
        return tuple(found)

    def _find_candidates(self, name: str, family: str) -> _Candidates:
        """The rules that may speak about a column of this name and family of types, by id."""
        read = self._vocabulary.read(name)
        up, out, only = self._always, 0, -1
        for word in read.words:
            brought, barred, alone = self._of_word(word)
            up |= brought
            out |= barred
            only &= alone
        for entry in (*read.joined, *read.within) if read.within else read.joined:
            up |= self._up.get(entry, 0)
            out |= self._out.get(entry, 0)
        for entry in (*read.spans, *read.alike):
            up |= self._up.get(entry, 0)
        up &= ~out & self._fit[family]
        if not read.odd:
            # The words are what they are: they are all among a rule's, or make one of its entries of several words.
            for entry in read.spans:
                only |= self._only.get(entry, 0)
            up &= only | ~self._with_only
        return self._picked(up)

    def _touched_by(self, word: str) -> tuple[int, int, int]:
        """What a word of a name brings up, bars, and is allowed alone by; as it is and in the singular."""
        one = singular(word)
        up, out, only = (touched.get(word, 0) | touched.get(one, 0) for touched in (self._up, self._out, self._only))
        return up, out, -1 if word.isdigit() else only

    def _pick(self, bits: int) -> _Candidates:
        rules = [compiled for compiled in self._rules if bits >> compiled.index & 1]
        return _Candidates(rules, tuple(sorted({number for rule in rules for number in rule.tables})))

    def _resolve(self, key: LFTagKey, matches: list[Match] | None) -> Decision:
        if not matches:
            return self._defaults[key.name]
        if len(matches) == 1:
            (only,) = matches
            return Decision(only.value, _OUTCOMES[only.effect], only.because or only.rule, (only,))
        beaten = self._beaten(matches)
        given: list[tuple[str, str]] = []  # effect -> the value it gives: of the raises, and of what would hold without
        for effect in _OUTCOMES:
            values = [match.value for match in matches if match.effect == effect and match.rule not in beaten]
            if values:
                given.append((effect, reduce(key.join, values)))
                if effect != "raise":
                    break
        value = reduce(key.join, (each for _, each in given))
        # Where two values conflict, the value is neither's, and both gave it.
        effects = {effect for effect, each in given if each == value} or {effect for effect, _ in given}
        speaking = [match for match in matches if match.effect in effects and match.rule not in beaten]
        winners = [match for match in speaking if match.value == value] or speaking
        losers = tuple(
            match._replace(lost=beaten.get(match.rule) or _lost(match, given, value))
            for match in matches
            if match not in winners
        )
        outcome = next(_OUTCOMES[effect] for effect in _OUTCOMES if effect in effects)
        return Decision(value, outcome, _because(winners), tuple(winners), losers)

    def _beaten(self, matches: list[Match]) -> dict[str, str]:
        """Rules whose raise a matching clear names -> why they do not count."""
        if not self._over:
            return {}
        raises = {match.rule for match in matches if match.effect == "raise"}
        return {
            rule: f"{match.rule} clears it, over this rule by name"
            for match in matches
            if match.effect == "clear"
            for rule in self._over.get(match.rule, frozenset()) & raises
        }

    def _joined(self, key: LFTagKey, own: list[Match], fields: list[tuple[str, list[Match]]]) -> Decision:
        """The decision for a column that holds fields: what the strictest of them has."""
        # What rules only raise is at least what the column's own rules say: a raise so never opens a field.
        on_own = not all(any(match.effect != "raise" for match in found) for _, found in fields)
        counts = bool(own) and (on_own or any(match.effect == "raise" for match in own))
        decisions = [("", self._resolve(key, own))] if counts else []
        decisions += [(path, self._resolve(key, found)) for path, found in fields if found or not own]
        value = reduce(key.join, (decision.value for _, decision in decisions))
        deciding = [(path, decision) for path, decision in decisions if decision.value == value] or decisions
        path, first = deciding[0]
        because = f"its field {path}: {first.because}" if path else first.because
        stricter = f"its field {path} is stricter" if path else "what rules say of the whole column is stricter"
        winners = [_of_field(path, match) for path, decision in deciding for match in decision.winners]
        losers = [_of_field(path, match) for path, decision in deciding for match in decision.losers]
        losers += [
            _of_field(other, match)._replace(lost=match.lost or stricter)
            for other, decision in decisions
            if (other, decision) not in deciding
            for match in decision.winners + decision.losers
        ]
        if not counts:
            losers += [match._replace(lost="what rules say of each of its fields counts") for match in own]
        outcome = "default" if value == key.default else first.outcome
        return Decision(value, outcome, because, _once(winners), _once(losers))


def _path_of(column: Column, nested: NestedField) -> str:
    return f"{column.name}.{nested.path}" if nested.path else column.name


def _with_evidence(match: Match, evidence: tuple[str, ...]) -> Match:
    return Match(match[0], match[1], match[2], match[3], evidence, match[5])


def _compile_rule(index: int, rule: Rule, conditions: Conditions) -> _CompiledRule:
    test, tables = conditions.compile(rule.when)
    effects = [
        (key, effect, value)
        for effect, pairs in (("raise", rule.raises), ("assign", rule.assigns), ("clear", rule.clears))
        for key, value in pairs
    ]
    return _CompiledRule(index, rule, test, tables, tuple(effects))


def _closed(keys: Iterable[LFTagKey], decided: Mapping[str, Decision], because: str) -> dict[str, Decision]:
    """A column at its defaults, whatever was decided."""
    closed = {}
    for key in keys:
        before = decided[key.name]
        losers = tuple(match._replace(lost=match.lost or because) for match in before.winners + before.losers)
        closed[key.name] = Decision(key.default, "default", because, losers=losers)
    return closed


def _content_of(column: str, content: Mapping[str, Collection[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(path, kinds) of a column's fields, the column itself under "", that a sample said something of."""
    found = {}
    for name, kinds in content.items():
        if kinds and (name == column or name.startswith(f"{column}.")):
            found[name[len(column) + 1 :]] = tuple(sorted(kinds))
    return tuple(sorted(found.items()))


def _because(winners: Iterable[Match]) -> str:
    return "; ".join(dict.fromkeys(match.because or match.rule for match in winners))


def _lost(match: Match, given: list[tuple[str, str]], value: str) -> str:
    if match.effect not in dict(given):
        return f"a {match.effect} counts only where no rule assigns"
    if match.effect == "raise" or given[0][0] != "raise":
        return f"{value} is stricter"
    return f"a {match.effect} counts only where no rule raises to as much"


def _of_field(path: str, match: Match) -> Match:
    if not path:
        return match
    matched = tuple(f"field {path}: {text}" for text in match.matched)
    return match._replace(matched=matched or (f"field {path}",))


def _once(matches: Iterable[Match]) -> tuple[Match, ...]:
    return tuple(dict.fromkeys(matches))


def _apply_overrides(
    table: Table,
    keys: Iterable[LFTagKey],
    columns: dict[str, dict[str, Decision]],
    overrides: Iterable[Override],
    today: str,
) -> list[Finding]:
    """Gives columns what their owners decided. One that has expired, or that opens what nobody else has approved,
    is a finding, and the rules hold."""
    known = {key.name: key for key in keys}
    findings = []
    for override in overrides:
        subject = f"{table.database}.{table.name}.{override.column}"
        decided = columns.get(override.column)
        if decided is None:
            message = f"an override ({override.place}) is about a column that the table does not have"
            findings.append(Finding("override-without-column", subject, message, "remove it, or mend the name"))
            continue
        if override.expires and today > override.expires:
            message = f"the override of {override.author} ({override.place}) has expired on {override.expires}"
            mend = "the rules hold again: remove it, or decide again with a later expiry"
            findings.append(Finding("override-expired", subject, message, mend))
            continue
        approved = f", approved by {override.approved_by}" if override.approved_by else ""
        because = f"{override.reason} ({override.author}{approved})"
        changed = dict(decided)
        for name, value in override.tags:
            if name not in known:
                continue
            ruled = decided[name]
            looser = known[name].join(value, ruled.value) != value
            if looser and not override.approved_by:
                message = (
                    f"the override of {override.author} ({override.place}) opens it from {name}={ruled.value} to "
                    f"{value}, which nobody else has approved"
                )
                mend = "the rules hold until it says `approved_by:` with another name than its author's"
                findings.append(Finding("override-not-approved", subject, message, mend))
                continue
            losers = tuple(
                match._replace(lost=match.lost or "the override decides") for match in ruled.winners + ruled.losers
            )
            changed[name] = Decision(value, "override", because, losers=losers)
        columns[override.column] = changed
    return findings


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
            for column, decisions in columns.items():
                own = decisions[key.name]
                value = key.join(own.value, floor.value)
                if value != own.value:
                    # Where the two conflict, the value is neither's, and both gave it.
                    given = floor.winners if value == floor.value else _once(floor.winners + own.winners)
                    closed = "override" if floor.outcome == "override" else "raised"
                    outcome = "default" if value == key.default else closed
                    because = f"its table's partition key {partition_key} is {floor.value} ({floor.because})"
                    losers = tuple(
                        match._replace(lost=match.lost or "a partition key is as readable as its table")
                        for match in own.winners + own.losers
                        if match not in given
                    )
                    changed = Decision(value, outcome, because, given, losers)
                    columns[column] = {**decisions, key.name: changed}
    return [
        Finding(
            "partition-key-unclassified",
            f"{table.database}.{table.name}.{name}",
            f"the partition key {name} has no {' and no '.join(missing)}, which keeps the whole table closed",
            f"write a rule, or an override, that decides {name}",
        )
        for name, missing in findings.items()
    ]
