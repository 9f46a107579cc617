"""`tagmesh history`: what was decided of a table, when, by which governance version, and what set it going."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tagmesh.aws import ledger, plans

from cli.explain import NotFound
from cli.mesh import Mesh


@dataclass(frozen=True)
class Change:
    """One run that decided otherwise than the one before. ``columns``: name -> LF-Tag -> (the value before, or None;
    the value; its reason), of what changed alone; a column that is gone has None for its value."""

    at: float
    version: str
    correlation_id: str
    columns: Mapping[str, Mapping[str, tuple[str | None, str | None, str]]]


def of_mesh(mesh: Mesh, database: str, table: str, column: str | None) -> list[Change]:
    """The changes of a table, or of one of its columns, the oldest first. Raises NotFound where there are none."""
    entries = ledger.history(mesh.clients("dynamodb"), database.lower(), table.lower())
    if not entries:
        raise NotFound(f"nothing was ever decided of {database}.{table}")
    s3, before, changes, known = mesh.clients("s3"), {}, [], set()
    for entry in entries:
        decided = plans.read(s3, entry["decisions"])["columns"]
        known |= set(decided)
        if changed := _changed(before, decided, column):
            changes.append(Change(entry["at"], entry["version"], entry["correlation_id"], changed))
        before = decided
    if column is not None and column.lower() not in known:
        raise NotFound(f"{database}.{table} never had a column {column}; it has {', '.join(sorted(before))}")
    return changes


def _changed(
    before: Mapping[str, Any], after: Mapping[str, Any], only: str | None
) -> dict[str, dict[str, tuple[str | None, str | None, str]]]:
    found: dict[str, dict[str, tuple[str | None, str | None, str]]] = {}
    for name in sorted({*before, *after}):
        if only is not None and name != only.lower():
            continue
        old, new = before.get(name, {}), after.get(name, {})
        for key in sorted({*old, *new}):
            was, now = old.get(key, {}).get("value"), new.get(key, {}).get("value")
            if was != now:
                because = new[key]["because"] if key in new else "the column is gone"
                found.setdefault(name, {})[key] = (was, now, because)
    return found


def lines(database: str, table: str, changes: Iterable[Change]) -> list[str]:
    """For people, the oldest first."""
    said: list[str] = []
    for change in changes:
        said += ["", f"{_moment(change.at)}  governance {change.version[:12]}, set going by {change.correlation_id}"]
        for name, keys in change.columns.items():
            for key, (was, now, because) in keys.items():
                moved = f"{was} -> {now or 'gone'}" if was else str(now)
                said.append(f"  {database}.{table}.{name}  {key} = {moved}: {because}")
    return said[1:]


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def as_json(database: str, table: str, changes: Iterable[Change]) -> dict[str, Any]:
    """The same, as JSON has it."""
    return {
        "database": database,
        "table": table,
        "changes": [
            {
                "at": _moment(change.at),
                "version": change.version,
                "correlation_id": change.correlation_id,
                "columns": {
                    name: {key: {"before": was, "after": now, "because": why} for key, (was, now, why) in keys.items()}
                    for name, keys in change.columns.items()
                },
            }
            for change in changes
        ],
    }
