"""What must be true of a mesh in the end, however it got there."""

from __future__ import annotations

import json

from convergence.mesh_in_process import MeshInProcess
from tagmesh.aws import glue, lakeformation
from tagmesh.catalog import AssignedTags
from tagmesh.expressions import database_tags, readable
from tagmesh.governance import Governance
from tagmesh.rules import decide

WRITES = ("Add", "Remove", "Batch", "Create", "Delete", "Update", "Put", "Register", "Start", "Accept")
"""What operations that change something begin with."""


def allowed(mesh: MeshInProcess, governance: Governance) -> set[tuple[str, str, str]]:
    """(principal ARN, database.table, column) of what a governance lets be read of the tables as they are."""
    found = set()
    people = mesh.analysts()
    for product in governance.data_products:
        if product.database not in {each.name for each in mesh._databases()}:
            continue
        client = mesh.client("glue", mesh.automation)
        tables = list(glue.tables(client, product.database))
        on_database = database_tags(governance, product)
        tagged = [
            (table, AssignedTags(on_database, {}, {c: made.tags(c) for c in made.columns}))
            for table in tables
            for made in [decide(governance, product, table)]
        ]
        for consumer in governance.consumers:
            for subscription in consumer.subscriptions:
                for database, columns in readable(tagged, [subscription]).items():
                    for table, names in columns.items():
                        for arn in people:
                            if arn.split(":")[4] == consumer.account and any(
                                principal.includes(arn) for principal in subscription.principals
                            ):
                                found |= {(arn, f"{database}.{table}", name) for name in names}
    return found


def not_catalogued(mesh: MeshInProcess, governance: Governance) -> list[str]:
    """Folders whose table is missing, or has other columns than the file that lies there."""
    databases = {each.name: each.tables for each in mesh._databases()}
    missing = []
    for product in governance.data_products:
        tables = databases.get(product.database, {})
        by_location = {table.shape["StorageDescriptor"]["Location"]: table for table in tables.values()}
        for key, body in mesh.objects.buckets[product.bucket].items():
            table = by_location.get(f"s3://{product.bucket}/{key.rpartition('/')[0]}/")
            if key.startswith(product.prefix) and (
                table is None or list(table.column_names) != [name for name, _ in json.loads(body)]
            ):
                missing.append(key)
    return missing


def allowed_now(mesh: MeshInProcess, governance: Governance) -> set[tuple[str, str, str]]:
    """`allowed`, without its calls being watched."""
    watched = mesh.after_call, mesh.on_call, mesh.around, mesh.counts, mesh.crashed
    mesh.after_call, mesh.on_call, mesh.around, mesh.counts = [], [], lambda do, *_: do(), mesh.counts.copy()
    mesh.crashed = False
    try:
        return allowed(mesh, governance)
    finally:
        mesh.after_call, mesh.on_call, mesh.around, mesh.counts, mesh.crashed = watched


def recover(mesh: MeshInProcess, *, sweeps: int = 3) -> None:
    """No more goes wrong: what is under way goes on, dead letters are replayed, and some sweeps do the rest."""
    mesh.on_call.clear()
    mesh.around = lambda do, *_: do()
    mesh.settle()
    while mesh.dead:
        mesh.dead.pop(0)()
    mesh.settle()
    for _ in range(sweeps):
        mesh.wait(7 * 3600)
        mesh.sweep()


def holds(mesh: MeshInProcess, governance: Governance) -> None:
    """Nothing was ever readable that must not be; the data is catalogued; everybody reads what the governance says; and
    there is nothing left to do."""
    assert not mesh.wrong, mesh.wrong[:3]
    assert not mesh.world.failures, mesh.world.failures
    assert not not_catalogued(mesh, governance)
    read, wanted = mesh.readable(), allowed_now(mesh, governance)
    assert read == wanted, f"too much: {sorted(read - wanted)}, too little: {sorted(wanted - read)}"
    assert mesh.queryable() == wanted, f"not by its link: {sorted(wanted - mesh.queryable())}"
    assert not left_behind(mesh, governance), left_behind(mesh, governance)
    mesh.counts.clear()
    mesh.sweep()
    assert not written(mesh), f"the second pass writes: {written(mesh)}"


def left_behind(mesh: MeshInProcess, governance: Governance) -> list[str]:
    """What is there of data products that have left the governance files, or are dropped, and should not be."""
    products = governance.data_products
    crawlers, locations = (
        mesh.world.handler(service, operation)(mesh.automation)
        for service, operation in (("glue", "ListCrawlers"), ("lakeformation", "ListResources"))
    )
    found = sorted({*crawlers["CrawlerNames"]} - {each.crawler for each in products})
    arns = {each["ResourceArn"] for each in locations["ResourceInfoList"]}
    found += sorted(arns - {lakeformation.location_arn(each) for each in products})
    databases = {each.name for each in mesh._databases()}
    for unit, dropped in governance.dropped.items():
        found += [dropped.database] if dropped.database in databases else []
        found += [f"units: {unit}"] if (unit,) in mesh.tables.items("units") else []
        found += [f"ledger: {key}" for key in mesh.tables.items("ledger") if key[0] == unit]
    return found


def written(mesh: MeshInProcess) -> dict[str, int]:
    """The calls that change something, by operation. RegisterResource of a location that is registered is none."""
    return {
        name: count
        for name, count in mesh.counts.items()
        if name.partition(":")[2].startswith(WRITES) and not name.startswith("lambda:")
    }
