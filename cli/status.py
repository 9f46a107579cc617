"""`tagmesh status`: every data product and consumer at a glance: what it is at, and what people must mend."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tagmesh import approvals
from tagmesh.approvals import Record
from tagmesh.aws import units
from tagmesh.aws.units import Unit
from tagmesh.governance import Governance
from tagmesh.wording import counted

from cli import approve
from cli.mesh import Mesh

#: What is neither a data product nor a consumer, and may have findings too.
OTHERS = {"governance": "the governance files", "refused_uploads": "uploads that were refused"}


@dataclass(frozen=True)
class Line:
    """One data product or consumer. ``state``: new, waiting, behind, settled or dropping, or what a run is at; ``age``
    in seconds since its last crawl, None where it has none; ``notices`` are findings about which nobody must do
    anything."""

    name: str
    state: str
    age: float | None
    findings: tuple[Mapping[str, str], ...]
    notices: tuple[Mapping[str, str], ...] = ()


def of_mesh(mesh: Mesh) -> list[Line]:
    """Every unit that the governance in force names; what is dropped, as long as something of it is left; and what has
    left it and still has something to mend."""
    known = units.read_all(mesh.clients("dynamodb"))
    governance = mesh.governance
    names = [product.unit for product in governance.data_products]
    names += [consumer.unit for consumer in governance.consumers]
    left = [name for name, unit in known.items() if name not in names and (unit.findings or name in governance.dropped)]
    records = approve.records(mesh, governance)
    return [_line(governance, name, known.get(name, Unit(name)), records) for name in (*names, *sorted(left))]


def _line(governance: Governance, name: str, unit: Unit, records: Mapping[str, Record]) -> Line:
    age = time.time() - unit.crawled_at if unit.crawled_at else None
    consumer = governance.consumer(name)
    asked = approvals.findings(governance, records, consumer.name) if consumer else []
    ended = approvals.notices(governance, consumer.name) if consumer else []
    findings = (*unit.findings, *map(asdict, asked))
    return Line(OTHERS.get(name, name), _state(governance, name, unit), age, findings, tuple(map(asdict, ended)))


def _state(governance: Governance, name: str, unit: Unit) -> str:
    if name in OTHERS:
        return "findings"
    if unit.live:
        return unit.phase
    if name in governance.dropped:
        return "dropping"
    if not unit.dirty and not unit.version:
        return "new"
    if unit.dirty > unit.done:
        return "waiting"
    return "settled" if unit.version == governance.version_of(name) else "behind"


def lines(governance: Governance, found: Iterable[Line], *, ages: bool = True) -> list[str]:
    """For people; without ages it says the same as long as nothing happens."""
    found = list(found)
    width = max((len(each.name) for each in found), default=0)
    said = [f"governance version {governance.digest[:12]}", ""]
    for each in found:
        crawled = f"crawled {ago(each.age)} ago" if ages and each.age is not None else ""
        findings = counted(len(each.findings), "finding") if each.findings else ""
        said.append("  ".join((each.name.ljust(width), each.state.ljust(10), crawled.ljust(20), findings)).rstrip())
    for each in found:
        for finding in each.findings:
            said += ["", f"{finding['code']}  {finding['subject']}"]
            said += [f"  {finding['message']}", f"  mend: {finding['mend']}"]
    for notice in (notice for each in found for notice in each.notices):
        said += ["", f"notice: {notice['subject']} {notice['message']}; {notice['mend']}"]
    return said


def ago(seconds: float) -> str:
    """A duration in its largest unit: ``3 h``."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def as_json(governance: Governance, found: Iterable[Line]) -> dict[str, Any]:
    """The same, as JSON has it."""
    return {
        "version": governance.digest,
        "units": [
            {
                "name": each.name,
                "state": each.state,
                "crawled_seconds_ago": None if each.age is None else round(each.age),
                "findings": [dict(finding) for finding in each.findings],
                "notices": [dict(notice) for notice in each.notices],
            }
            for each in found
        ],
    }
