"""Classification: (rules, columns) -> decisions with reasons. Pure, deterministic, independent of file order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tagmesh.catalog import Finding, Table
from tagmesh.governance import DataProduct, Governance, Rule


@dataclass(frozen=True, slots=True)
class Match:
    """One rule that spoke about one column: ``effect`` is raise, clear or assign; ``matched`` are the words,
    patterns and types of the column that did it, for people."""

    rule: str
    effect: str
    value: str
    because: str
    matched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
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
    """Decide one table with the rules compiled once per governance (see ``compile_rules``)."""
    raise NotImplementedError


def check_examples(rule: Rule) -> list[str]:
    """What is wrong with a rule's examples; [] if each says the truth."""
    raise NotImplementedError
