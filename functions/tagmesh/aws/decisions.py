"""The decisions about a data product's tables as they are: by the rules, with stricter tags of people kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tagmesh import drift, evidence, rules
from tagmesh.aws import ledger, plans
from tagmesh.aws.units import Unit
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import DataProduct, Governance
from tagmesh.resolution import DOOR, MISFIT, TableDecision


def by_rules(
    governance: Governance, product: DataProduct, unit: Unit, tables: Iterable[Table], kept: evidence.Evidence
) -> list[TableDecision]:
    """What the rules say, one for each table, in their order.

    Args:
        kept: the evidence from content in force.
    """
    return [
        rules.decide(
            governance,
            product,
            table,
            content=evidence.content_of(kept, table.name),
            closed=closed_because(unit, table.name),
        )
        for table in tables
    ]


def closed_because(unit: Unit, table: str) -> str:
    """Why a table is closed whatever the rules say; "" where it is not."""
    if unit.doors:
        return DOOR
    return MISFIT if table in unit.misfits else ""


def with_stricter(
    s3: Any,
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    unit: Unit,
    decisions: list[TableDecision],
    database: Mapping[str, str],
    observed: Mapping[str, AssignedTags],
) -> list[TableDecision]:
    """The same decisions, with stricter tags of people kept. What we wrote is looked up only where something has moved.

    Args:
        database: key -> value observed on the database.
        observed: table -> the tags observed on it and its columns.
    """
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


def carried(
    dynamodb: Any, product: DataProduct, unit: Unit, tables: Iterable[Table], decisions: Iterable[TableDecision]
) -> set[str]:
    """The tables that carry what is decided for them, as far as we know: the last run carried out whole decided
    the same, and they were not made anew since."""
    made = ledger.made_by(dynamodb, product.unit)
    found = set()
    for table, decision in zip(tables, decisions, strict=True):
        before = made.get(ledger.tags_of(table.database, table.name), {}).get("detail", {})
        same = before.get("digest") == digest(explained(table, decision)) and before.get("created") == table.created
        if same and before["token"] <= unit.whole:
            found.add(table.name)
    return found


def explained(table: Table, decision: TableDecision) -> dict[str, Any]:
    """A table's decisions with their reasons, for the ledger: names and rules, never a value of the data."""
    return {
        "database": decision.database,
        "table": decision.table,
        "partition_keys": [key.name for key in table.partition_keys],
        "columns": {
            column: {key: made.as_json() for key, made in keys.items()} for column, keys in decision.columns.items()
        },
    }


def digest(told: Mapping[str, Any]) -> str:
    """The name (sha256, hex) of what `explained` tells."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _written(s3: Any, made: Mapping[str, Any], unit: Unit, decision: TableDecision) -> drift.Written:
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
