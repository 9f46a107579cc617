"""The examples of rules: does each rule, alone, speak about the columns that it says it is about?"""

from __future__ import annotations

import re

from tagmesh.catalog import Column, Table
from tagmesh.governance import DataProduct, Example, Governance, Rule
from tagmesh.rules import compile_rules

#: The types that columns of such names have; for examples only.
_USUAL_TYPES = (
    (re.compile(r"^(is|has)_|_(verified|confirmed|enabled|deleted|active|flag)$"), "boolean"),
    (re.compile(r"_at$|_timestamp$"), "timestamp"),
    (re.compile(r"_on$|_date$|^date_"), "date"),
)


def check_examples(governance: Governance) -> list[tuple[Rule, str]]:
    """(rule, what is wrong) for every example that its rule alone gets wrong; [] if all are right.

    An example without a type has the one that such names have: ``is_active`` and ``email_verified`` are booleans,
    ``paid_at`` is a timestamp, ``due_date`` a date, anything else a string."""
    wrong = []
    for rule in governance.rules:
        if not rule.match and not rule.no_match:
            continue
        alone = compile_rules(Governance(governance.lf_tags, (), (), (rule,), (), ""))
        for examples, expected in ((rule.match, True), (rule.no_match, False)):
            for example in examples:
                column, table = _scene(example)
                decided = alone.decide(_NOWHERE, table, content={column: example.content}).columns[column]
                spoken = [match for each in decided.values() for match in each.winners + each.losers]
                if bool(spoken) != expected:
                    evidence = ", ".join(dict.fromkeys(text for match in spoken for text in match.matched))
                    verdict = "does not match" if expected else f"matches by {evidence}"
                    wrong.append((rule, f"{shown(example)} {verdict}"))
    return wrong


def shown(example: Example) -> str:
    """An example as a person would write it."""
    name = f"{example.table}.{example.column}" if example.table else example.column
    return f"{name}:{example.type}" if example.type else name


_NOWHERE = DataProduct("", "", "", "", "")


def _scene(example: Example) -> tuple[str, Table]:
    column = Column(example.column, example.type or usual_type(example.column), example.comment)
    others = tuple(Column(name, type_name or usual_type(name)) for name, type_name in example.others)
    if example.partition_key:
        return column.name, Table("", example.table, others, (column,))
    return column.name, Table("", example.table, (column, *others))


def usual_type(column: str) -> str:
    """The type that columns of such a name usually have."""
    return next((usual for pattern, usual in _USUAL_TYPES if pattern.search(column.lower())), "string")
