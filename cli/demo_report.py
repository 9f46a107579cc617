"""What a demo found out: as values, as JSON, and as text for an 80-column terminal."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as TextTable
from rich.text import Text
from tagmesh.catalog import Finding

WIDTH = 80  # columns, also where the output is no terminal


@dataclass(frozen=True)
class CatalogColumn:
    """A column or partition key; `lf_tags` are the (key, value) pairs in effect, sorted."""

    name: str
    type: str
    lf_tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CatalogTable:
    """A table of the central catalogue."""

    database: str
    table: str
    location: str
    partition_keys: tuple[CatalogColumn, ...]
    columns: tuple[CatalogColumn, ...]

    @property
    def all_columns(self) -> tuple[CatalogColumn, ...]:
        """Columns, then partition keys: the order in which a query shows them."""
        return self.columns + self.partition_keys


@dataclass(frozen=True)
class Access:
    """What a principal can read of a table: the columns of SELECT *, and COUNT(*)."""

    consumer: str
    account: str
    kind: str
    principal: str
    database: str
    table: str
    columns: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Refusal:
    """Columns that a principal asked for and did not get: Athena's error, and the tags that explain it."""

    consumer: str
    account: str
    kind: str
    principal: str
    database: str
    table: str
    columns: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Event:
    """Something that happened, `seconds` after the demo began."""

    stage: str
    subject: str
    seconds: float


@dataclass(frozen=True)
class Execution:
    """A run of a state machine."""

    state_machine: str
    status: str
    name: str = ""
    error: str = ""


@dataclass(frozen=True)
class Failure:
    """A stage that failed."""

    stage: str
    subject: str
    message: str


@dataclass
class Report:
    """All of it, filled in as the demo goes on."""

    tables: list[CatalogTable] = field(default_factory=list)
    access: list[Access] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    timeline: list[Event] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    errors: list[Failure] = field(default_factory=list)


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values; `lf_tags` as an object of key and value."""

    def columns(of: Iterable[CatalogColumn]) -> list[dict[str, Any]]:
        return [{"name": c.name, "type": c.type, "lf_tags": dict(c.lf_tags)} for c in of]

    return {
        "tables": [
            {
                "database": table.database,
                "table": table.table,
                "location": table.location,
                "partition_keys": columns(table.partition_keys),
                "columns": columns(table.columns),
            }
            for table in report.tables
        ],
        "access": [asdict(access) for access in report.access],
        "refused": [asdict(refusal) for refusal in report.refused],
        "timeline": [asdict(event) for event in report.timeline],
        "calls": dict(sorted(report.calls.items())),
        "executions": [asdict(execution) for execution in report.executions],
        "findings": [asdict(finding) for finding in report.findings],
        "errors": [asdict(failure) for failure in report.errors],
    }


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────


def make_console(**options: Any) -> Console:
    """A console that wraps at 80 columns, and colours nothing, where there is no real terminal."""
    sys.stdout.reconfigure(errors="replace")  # a name that the terminal cannot show must not end the demo
    console = Console(highlight=False, **options)
    if not console.is_terminal or console.is_dumb_terminal:
        console = Console(highlight=False, width=WIDTH, color_system=None, legacy_windows=False, **options)
    return console


def access_tables(report: Report) -> RenderableType:
    """One table for each principal: what it can query, and what was refused and why."""
    principals = dict.fromkeys(_whose(entry) for entry in (*report.access, *report.refused))
    return Group(*(part for who in sorted(principals) for part in ("", _principal_table(report, who))))


def _whose(entry: Access | Refusal) -> tuple[str, str, str, str]:
    return entry.consumer, entry.account, entry.kind, entry.principal


def _principal_table(report: Report, who: tuple[str, str, str, str]) -> TextTable:
    consumer, account, kind, principal = who
    title = f"{consumer}, {kind.replace('_', ' ')} {principal} (account {account})"
    text = TextTable("table", box=box.ASCII, title=title, title_justify="left", show_lines=True, width=WIDTH)
    text.add_column("rows", justify="right")
    text.add_column("columns answered; columns refused, and why", ratio=1)
    access = {(a.database, a.table): a for a in report.access if _whose(a) == who}
    refused: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in report.refused:
        if _whose(refusal) == who:
            refused.setdefault((refusal.database, refusal.table), []).append(refusal)
    for place in sorted({*access, *refused}):
        seen = access.get(place)
        lines = [", ".join(seen.columns)] if seen else []
        lines += [f"refused{_columns(refusal, seen)}{refusal.reason}" for refusal in refused.get(place, ())]
        text.add_row(Text(".\n".join(place)), str(seen.rows) if seen else "-", Text("\n".join(lines)))
    return text


def _columns(refusal: Refusal, seen: Access | None) -> str:
    return f" {', '.join(refusal.columns)}: " if seen else ": "


def findings_text(findings: Iterable[Finding]) -> RenderableType:
    """What people must mend."""
    return Group(
        *(
            Text(f"  {finding.subject} [{finding.code}]\n    {finding.message}\n    mend: {finding.mend}")
            for finding in findings
        )
    )


def failures_text(failures: Iterable[Failure]) -> RenderableType:
    """Stages that failed."""
    return Group(*(Text(f"  {f.stage} {f.subject}\n    {f.message}") for f in failures))


def machine_counts(executions: Iterable[Execution]) -> Mapping[str, Mapping[str, int]]:
    """state machine -> status -> how many runs, sorted."""
    counts: dict[str, dict[str, int]] = {}
    for execution in executions:
        statuses = counts.setdefault(execution.state_machine, {})
        statuses[execution.status] = statuses.get(execution.status, 0) + 1
    return {machine: dict(sorted(counts[machine].items())) for machine in sorted(counts)}
