"""What the local AWS does: `tagmesh local coverage`. The allow-list in lines for people, or as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cli.local import LocalAwsError

WHAT = {"operations": "parameters", "resources": "properties"}


def coverage() -> dict[str, Any]:
    """The whole allow-list: {service: {"operations"|"resources": {name: {"faithful", "parameters"|"properties"}}}}."""
    from local_aws import allowed
    from local_aws.allowed import entries

    return {
        service: {
            section: {
                name: {
                    "faithful": str(entry.faithful),
                    items: {item: str(faithful) for item, faithful in entry.items.items()},
                }
                for name, entry in sorted(entries.of(service, section).items())
            }
            for section, items in WHAT.items()
            if entries.of(service, section)
        }
        for service in sorted(allowed.services())
    }


def lines(service: str | None) -> list[str]:
    """Counts for each service, or all there is of one. Raises LocalAwsError for a service that is not there."""
    listed = coverage()
    if service is None:
        return _summary(listed)
    if service not in listed:
        raise LocalAwsError(f"the local AWS has no {service}; it has {', '.join(listed)}")
    return [line for section in WHAT for line in _section(section, listed[service].get(section, {}))]


def _summary(listed: dict[str, Any]) -> list[str]:
    rows = [("service", *WHAT, "exact", "partly", "kept")]
    total: Counter[str] = Counter()
    for service, sections in listed.items():
        levels = Counter(
            faithful.partition(":")[0]
            for section, entries in sections.items()
            for entry in entries.values()
            for faithful in (entry["faithful"], *entry[WHAT[section]].values())
        )
        counts = {**{section: len(sections.get(section, {})) for section in WHAT}, **levels}
        total.update(counts)
        rows.append((service, *(str(counts.get(column) or "-") for column in rows[0][1:])))
    rows.append(("all", *(str(total[column]) for column in rows[0][1:])))
    return [
        *("".join([row[0].ljust(20), *(cell.rjust(11) for cell in row[1:])]) for row in rows),
        "exact: as documented; kept: stored and returned, nothing acts on it; counted with parameters and properties",
        "what is not listed is refused; the details of one: tagmesh local coverage SERVICE",
    ]


def _section(section: str, entries: dict[str, Any]) -> list[str]:
    written = [section] if entries else []
    for name, entry in entries.items():
        items = entry[WHAT[section]]
        written.append(f"  {_said(name, entry['faithful'])}")
        exact = [item for item, faithful in items.items() if faithful == "exact"]
        written += [f"      {', '.join(exact)}"] if exact else []
        written += [f"      {_said(item, faithful)}" for item, faithful in items.items() if faithful != "exact"]
    return written


def _said(name: str, faithful: str) -> str:
    return name if faithful == "exact" else f"{name}  ({faithful})"
