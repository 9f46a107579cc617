"""Decisions: what the rules that match make of a column, and what overrides, partition keys and closed tables make of
that. Pure.

For each column and each LF-Tag key that its data product leaves to columns: a valid override wins; else the assigns
join to the strictest (``LFTagKey.join``), or, where there are none, the clears do; all raises join with that, but for
those that a matching clear names in its ``over``; where no rule speaks, the key's default holds, which no subscription
may name. A raise can so only ever close, and what no rule knows stays closed.

A struct is what its fields are: each is decided like a column, and the column is as strict as the strictest of them.
Where no rule speaks of a field, what the rules say of the column holds for it; where rules only raise it, that too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

from tagmesh.catalog import Finding, Table
from tagmesh.governance import Governance, LFTagKey, Override

#: Effect of a rule -> what it makes of a column, the strongest first.
_OUTCOMES = {"raise": "raised", "assign": "assigned", "clear": "cleared"}
#: Why a table is closed whose values may stand under others' names.
MISFIT = "a file of the table has its columns in another order, or others, and queries read them by position"
#: Why a data product is closed that can be read past its tags.
DOOR = "something else than tags gives access to its data product: `tagmesh doctor` says what"


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


class Resolver:
    """What matches of rules make of each LF-Tag key of one governance."""

    def __init__(self, governance: Governance) -> None:
        self._over = {rule.id: frozenset(rule.over) for rule in governance.rules if rule.over}
        self._defaults = {
            key.name: Decision(key.default, "default", f"no rule speaks about its {key.name}")
            for key in governance.lf_tags
        }

    def resolve(self, key: LFTagKey, matches: list[Match] | None) -> Decision:
        """What the matches of the rules that speak of a column make of a key."""
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

    def joined(self, key: LFTagKey, own: list[Match], fields: list[tuple[str, list[Match]]]) -> Decision:
        """The decision for a column that holds fields: what the strictest of them has."""
        # What rules only raise is at least what the column's own rules say: a raise so never opens a field.
        on_own = not all(any(match.effect != "raise" for match in found) for _, found in fields)
        counts = bool(own) and (on_own or any(match.effect == "raise" for match in own))
        decisions = [("", self.resolve(key, own))] if counts else []
        decisions += [(path, self.resolve(key, found)) for path, found in fields if found or not own]
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


def close(keys: Iterable[LFTagKey], decided: Mapping[str, Decision], because: str) -> dict[str, Decision]:
    """A column at its defaults, whatever was decided."""
    closed = {}
    for key in keys:
        before = decided[key.name]
        losers = tuple(match._replace(lost=match.lost or because) for match in before.winners + before.losers)
        closed[key.name] = Decision(key.default, "default", because, losers=losers)
    return closed


def apply_overrides(
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


def apply_partition_floor(
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
