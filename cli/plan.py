"""`tagmesh plan`: what a folder of governance files would change in a mesh as it is; `tagmesh apply` puts it there."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from tagmesh import approvals
from tagmesh.aws import governance_store
from tagmesh.governance import Governance
from tagmesh.grants import Revoke
from tagmesh.preview import AccessChange, Preview, Removal, preview

from cli import approve
from cli.mesh import Mesh, NoMesh

SHOWN = 40  # lines of a kind


def of_mesh(mesh: Mesh, new: Governance) -> Preview:
    """What would change: also what of the new version would wait for approval, or has expired. Reads every table of the
    databases that either version names, with its LF-Tags."""
    try:
        now: Governance | None = mesh.governance
    except NoMesh:
        now = None
    new = approve.in_force(mesh, new)
    records = approve.records(mesh, new)
    products = {
        product.database: product
        for governance in (now, new)
        for product in ((*governance.data_products, *governance.dropped.values()) if governance else ())
    }
    tables, content, closed = [], {}, {}
    for product in products.values():
        closed_because = mesh.closed(product)
        for table in mesh.tables(product):
            tables.append((table, mesh.tags(table)))
            closed[table.database, table.name] = closed_because(table.name)
            content[table.database, table.name] = mesh.content(product, table.name)
    gone = (product for product in products.values() if new.data_product(product.unit) is None)
    made = {product.unit: mesh.made(product) for product in gone}
    found = preview(now, new, tables, mesh.account, content=content, closed=closed, made=made)
    names = [consumer.name for consumer in new.consumers]
    held = [each for name in names for each in approvals.findings(new, records, name) + approvals.notices(new, name)]
    return replace(found, findings=(*found.findings, *held))


def apply(mesh: Mesh, files: dict[str, str]) -> None:
    """Writes the files as the newest governance bundle; that they are there starts everything else."""
    governance_store.write_bundle(mesh.clients("s3"), files)


def lines(found: Preview) -> list[str]:
    """For people: who gains and who loses what, first; then the calls."""
    if not (found.calls or found.access or found.findings or found.removals):
        return [f"nothing would change in {found.tables} tables"]
    gains = [change for change in found.access if change.gained]
    losses = [change for change in found.access if change.lost]
    said = _section("gains", [_gain(change) for change in gains])
    said += _section("loses", [_loss(change) for change in losses])
    said += [line for each in found.removals for line in _removal(each)]
    said += [""] if found.removals else []
    revoked = sum(isinstance(each, Revoke) for each in found.grants)
    said += [
        f"LF-Tags   {len(found.tags)} calls, {sum(action.loosens for action in found.tags)} of which open something",
        f"grants    {len(found.grants) - revoked} to make, {revoked} to revoke",
        f"links     {len(found.links)} to make, {len(found.unlinks)} to remove",
        f"in all    {found.calls} writing calls, at least {found.seconds:.0f} s, over {found.tables} tables",
    ]
    said += [f"finding   {each.code} {each.subject}: {each.message}; mend: {each.mend}" for each in found.findings]
    return said


def _removal(removal: Removal) -> list[str]:
    name = removal.unit.removeprefix("data_product/")
    gone = [f"the crawler {each}" for each in removal.crawlers]
    gone += [f"the registered location {each}" for each in removal.locations]
    if not removal.dropped:
        taken = f"{' and '.join(gone)} {'go' if len(gone) > 1 else 'goes'}; " if gone else ""
        return [f"leaves    {name}: it is closed; {taken}its catalogue and its data stay"]
    tables = f"{len(removal.tables)} tables of {removal.database}"
    gone = [f"{tables}{'' if removal.keeps_database else ' and the database itself'}", *gone]
    said = [f"DROPS     {name}: {', '.join(gone)}; its data stays", *(f"  - {each}" for each in removal.tables[:SHOWN])]
    if len(removal.tables) > SHOWN:
        said += [f"  ... and {len(removal.tables) - SHOWN} more (--json has them all)"]
    if removal.keeps_database and removal.database:
        why = f"no crawl of ours made {', '.join(removal.kept)}" if removal.kept else "we did not make it"
        said += [f"  the database {removal.database} stays: {why}"]
    return said


def _section(what: str, each: list[str]) -> list[str]:
    if not each:
        return [f"nobody {what} anything", ""]
    more = [f"  ... and {len(each) - SHOWN} more (--json has them all)"] if len(each) > SHOWN else []
    return [f"who {what} what", *each[:SHOWN], *more, ""]


def _who(change: AccessChange) -> str:
    return f"  {change.consumer}/{change.principal.name} ({change.account}) {change.database}.{change.table}"


def _gain(change: AccessChange) -> str:
    names = ", ".join(f"{column.name}{' (personal)' if column.raised else ''}" for column in change.gained)
    return f"{_who(change)}: + {names}"


def _loss(change: AccessChange) -> str:
    return f"{_who(change)}: - {', '.join(column.name for column in change.lost)}"


def as_json(new: Governance, found: Preview) -> dict[str, Any]:
    """The same, as JSON has it, with the reasons."""
    return {
        "version": new.digest,
        "access": [_change(change) for change in found.access],
        "tags": [{**asdict(action), "tags": dict(action.tags)} for action in found.tags],
        "grants": [
            {
                "do": "revoke" if isinstance(each, Revoke) else "grant",
                "principal": each.principal,
                "resource": {each.resource.kind: each.resource.content},
                "permissions": sorted(each.permissions),
                "grantable": sorted(each.grantable),
            }
            for each in found.grants
        ],
        "links": list(found.links),
        "unlinks": list(found.unlinks),
        "removals": [asdict(each) for each in found.removals],
        "findings": [asdict(each) for each in found.findings],
        "calls": found.calls,
        "seconds": round(found.seconds, 1),
        "tables": found.tables,
    }


def _change(change: AccessChange) -> dict[str, Any]:
    def columns(found: Iterable[Any]) -> list[dict[str, Any]]:
        return [
            {"column": each.name, "tags": dict(each.tags), "because": each.because, "personal": each.raised}
            for each in found
        ]

    return {
        "consumer": change.consumer,
        "account": change.account,
        "principal": change.principal.name,
        "kind": change.principal.kind,
        "database": change.database,
        "table": change.table,
        "gained": columns(change.gained),
        "lost": columns(change.lost),
    }
