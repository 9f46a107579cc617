"""The decisions about a data product's tables as they are: by the rules, with stricter tags of people kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tagmesh import drift, evidence, rules
from tagmesh.aws import ledger, plans
from tagmesh.aws.units import Unit
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import DataProduct, Governance


def decide(
    s3: Any,
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    unit: Unit,
    tables: Iterable[Table],
    kept: evidence.Evidence,
    database: Mapping[str, str],
    observed: Mapping[str, AssignedTags],
) -> list[rules.TableDecision]:
    """One for each table, in their order. What we wrote is looked up only where something has moved.

    Args:
        kept: the evidence from content in force.
        database: key -> value observed on the database.
        observed: table -> the tags observed on it and its columns.
    """
    decisions = [
        rules.decide(
            governance,
            product,
            table,
            content=evidence.content_of(kept, table.name),
            misfit=table.name in unit.misfits,
        )
        for table in tables
    ]
    moved = [drift.moved_by_hand(each, database, observed.get(each.table, AssignedTags())) for each in decisions]
    if not any(moved):
        return decisions
    made = ledger.made_by(dynamodb, product.unit)
    keys = governance.column_keys(product)
    return [
        drift.keep_stricter(keys, each, database, observed[each.table], _written(s3, made, unit, each))
        if by_hand
        else each
        for each, by_hand in zip(decisions, moved, strict=True)
    ]


def _written(s3: Any, made: Mapping[str, Any], unit: Unit, decision: rules.TableDecision) -> drift.Written:
    """What runs wrote of a table, or meant to."""
    entry = made.get(ledger.tags_of(decision.database, decision.table), {}).get("detail", {})
    before = ledger.written_before(entry, unit.whole)
    return drift.Written(_tags(s3, before["whole"]), [_tags(s3, key) for key in before["unfinished"]])


def _tags(s3: Any, key: str) -> dict[str, dict[str, str]]:
    """column -> key -> the value that a run meant to write."""
    columns = plans.read(s3, key)["columns"] if key else {}
    return {
        column: {name: decided.get("ruled") or decided["value"] for name, decided in each.items()}
        for column, each in columns.items()
    }
