"""How many calls it takes to bring a mesh to what the governance says, beside the fewest, and how long that would last.

What runs is deployed code, in one process over the local AWS's engines (tests/convergence); no clock is read. Calls are
those of Lake Formation, Glue, RAM, STS, IAM and the listing of producers' buckets; those of the state (DynamoDB, S3,
Step Functions, EventBridge) stand beside them. Prints a report; `run` gives the figures.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import minimum
from counted_mesh import (
    KEYS,
    CountedMesh,
    Counts,
    Throttles,
    counted,
    modelled_seconds,
    some_columns,
    some_files,
    their_tags,
)
from tagmesh.governance import load

COLUMNS, TAG_CALLS, PRINCIPALS = 50, 4, 2
COLUMNS_AT_REST = 10  # of the tables of an estate: what is counted there does not depend on them
PEERS = {
    "data.all": 360_000,
    "aws-data-mesh-utils": 218_000,
    "aws-analytics-reference-architecture, the producers' side alone": 20_000,
    "dbt-athena, tags alone": 7_000,
}
"""Calls for the large scenario, read off their code by hand."""
PEERS_TRANSITIONS = {"aws-analytics-reference-architecture, the producers' side alone": {"transitions": 39_000}}


# -- the work ---------------------------------------------------------------------------------------------------------


@contextmanager
def estate(databases: int, tables: int, consumers: int) -> Iterator[CountedMesh]:
    """A mesh at rest, with so many tables in each database. Its tables are made at once, and tagged as the rules say;
    everything else is its own work."""
    columns = some_columns(COLUMNS_AT_REST)
    with CountedMesh() as mesh:
        files = some_files(databases, consumers, PRINCIPALS)
        mesh.apply(files)
        mesh.settle()
        mesh.crawl_at_once(columns, their_tags(columns))
        for product in load(files).data_products:
            mesh.fill(product, tables, columns)
        with mesh.remembering():
            mesh.together()
        mesh.wait(3600)
        mesh.forget()
        yield mesh
        if mesh.failed or mesh.world.failures:
            raise SystemExit(f"executions failed: {mesh.failed[:3]} {mesh.world.failures[:3]}")


def new_table(limits: Throttles, tables: int = 10) -> dict[str, Any]:
    """One more table of 50 columns in a data product of `tables`, which one consumer reads."""
    with estate(1, tables - 1, 1) as mesh:
        del mesh.world.engines["closedcrawlers"]._crawl
        (product,) = load(some_files(1, 1)).data_products
        mesh.upload(product, "new", some_columns(COLUMNS))
        mesh.together()
        found = counted(mesh)
        seconds = modelled_seconds(mesh, limits)
    least = minimum.new_table(tables, TAG_CALLS)
    return {**told(found, seconds, least), "tables_in_database": tables}


def unchanged(mesh: CountedMesh, limits: Throttles, tables: int, databases: int) -> dict[str, Any]:
    """A full sweep of a mesh at rest."""
    mesh.forget()
    mesh.sweep()
    found = counted(mesh)
    made = {**told(found, modelled_seconds(mesh, limits)), "tables": tables, "databases": databases}
    return {**made, "tables_a_database": tables // databases, "calls_a_table": round(found.calls / tables, 4)}


def new_consumer(mesh: CountedMesh, limits: Throttles, databases: int, consumers: int) -> dict[str, Any]:
    """One consumer more, of the same databases: from the new governance version on."""
    mesh.forget()
    mesh.apply(some_files(databases, consumers + 1, PRINCIPALS))
    mesh.together()
    found = counted(mesh)
    least = minimum.new_consumer(databases, PRINCIPALS, KEYS)
    made = told(found, modelled_seconds(mesh, limits), least)
    return {**made, "calls": found.calls - found.table_reads, "table_reads": found.table_reads}


def scenario(
    limits: Throttles, databases: int = 10, tables: int = 100, consumers: int = 20, together: bool = True
) -> dict[str, Any]:
    """The large scenario from nothing: all data products are uploaded to, then the mesh does the rest.
    `together`: crawls that were begun together end together; else all that follows one is done before the next ends."""
    columns = some_columns(COLUMNS)
    with CountedMesh() as mesh:
        files = some_files(databases, consumers, PRINCIPALS)
        mesh.apply(files)
        mesh.together()
        for product in load(files).data_products:
            mesh.fill(product, tables, columns)
        if together:
            mesh.together()
        else:
            mesh.settle()
        found = counted(mesh)
        seconds = modelled_seconds(mesh, limits)
        if mesh.failed or mesh.world.failures:
            raise SystemExit(f"executions failed: {mesh.failed[:3]} {mesh.world.failures[:3]}")
    least = minimum.whole_mesh(databases, tables, TAG_CALLS, consumers, PRINCIPALS, KEYS)
    return {**told(found, seconds, least), "databases": databases, "tables": databases * tables, "consumers": consumers}


# -- figures and the report -------------------------------------------------------------------------------------------


def told(found: Counts, seconds: float, least: int | None = None) -> dict[str, Any]:
    by_function = {
        function: dict(sorted(names.items(), key=lambda each: -each[1]))
        for function, names in sorted(found.by_function.items(), key=lambda each: -each[1].total())
    }
    made: dict[str, Any] = {"calls": found.calls}
    if least is not None:
        made["minimum"] = least
    return {
        **made,
        "writes": found.writes,
        "transitions": found.transitions,
        "state_calls": found.state_calls,
        "modelled_seconds": round(seconds, 1),
        "by_function": by_function,
    }


DATABASES, CONSUMERS, LARGE = 10, 10, 10_000


def small(limits: Throttles) -> dict[str, Any]:
    """What takes seconds to run: the tests ask for these figures too. `new_consumer` is that of ten tables."""
    figures: dict[str, Any] = {"new_table": new_table(limits)}
    with estate(DATABASES, 1, CONSUMERS) as mesh:
        figures["new_consumer"] = new_consumer(mesh, limits, DATABASES, CONSUMERS)
    return figures


def run(limits: Throttles, more: bool = False) -> dict[str, Any]:
    """All figures, as results.json has them; with `more`, also what takes longer."""
    gc.disable()  # the estates stay: looking for garbage among them takes most of the time
    figures = small(limits)
    consumers = {"10": figures["new_consumer"]}
    figures["scenario"] = scenario(limits)
    if more:
        other = scenario(limits, together=False)
        names = ("calls", "minimum", "transitions", "modelled_seconds")
        figures["scenario"]["one_after_another"] = {name: other[name] for name in names}
    gc.collect()
    with estate(DATABASES, LARGE // DATABASES, CONSUMERS) as mesh:
        figures["unchanged"] = unchanged(mesh, limits, LARGE, DATABASES)
        consumers[str(LARGE)] = new_consumer(mesh, limits, DATABASES, CONSUMERS)
    figures["new_consumer"] = {tables: found["calls"] for tables, found in consumers.items()}
    for name in ("minimum", "table_reads", "transitions", "modelled_seconds", "by_function"):
        figures["new_consumer"][name] = {tables: found[name] for tables, found in consumers.items()}
    return figures


def report(figures: dict[str, Any]) -> None:
    new, consumer, rest, whole = (figures[name] for name in ("new_table", "new_consumer", "unchanged", "scenario"))
    head("calls", "fewest", "ratio", "transitions", "modelled s")
    line(
        f"a new table, the {new['tables_in_database']}th of its database, {COLUMNS} columns, {TAG_CALLS} tag sets", new
    )
    line("the scenario: 1,000 tables, 10 databases, 20 consumers", whole)
    if "one_after_another" in whole:
        line("  the same, one data product after another", whole["one_after_another"])
    for name, calls in PEERS.items():
        line(f"  {name}", {"calls": calls} | PEERS_TRANSITIONS.get(name, {}))
    line(f"a sweep, {rest['tables']:,} tables unchanged, {rest['tables_a_database']:,} a database", rest)
    print(f"    writes: {rest['writes']}; calls a table: {rest['calls_a_table']} (at most 0.03)")
    for tables in consumer["minimum"]:
        shown = {name: consumer[name][tables] for name in ("minimum", "transitions", "modelled_seconds")}
        aside = consumer["table_reads"][tables]
        line(f"a new consumer, {int(tables):,} tables; {aside} table reads aside", {"calls": consumer[tables], **shown})
    breakdown("a new table", new["by_function"])
    breakdown("the large scenario", whole["by_function"])
    breakdown("the sweep", rest["by_function"])
    for tables, by_function in consumer["by_function"].items():
        breakdown(f"a new consumer, {int(tables):,} tables", by_function)


def head(*names: str) -> None:
    print(f"{'':<70}" + "".join(f"{name:>12}" for name in names))


def line(what: str, found: dict[str, Any]) -> None:
    calls, least = found["calls"], found.get("minimum")
    shown = [
        f"{calls:,}",
        f"{least:,}" if least else "",
        f"{calls / least:.2f}" if least else "",
        f"{found['transitions']:,}" if "transitions" in found else "",
        f"{found['modelled_seconds']:,}" if "modelled_seconds" in found else "",
    ]
    print(f"{what:<70}" + "".join(f"{each:>12}" for each in shown))


def breakdown(what: str, by_function: dict[str, dict[str, int]]) -> None:
    print(f"\n  {what}, by function:")
    for function, names in by_function.items():
        listed = ", ".join(f"{count} {name.partition(':')[2]}" for name, count in Counter(names).most_common())
        print(f"    {function}: {listed}")


def add_throttles(parser: argparse.ArgumentParser) -> None:
    """The arguments that `throttles` understands."""
    usual = Throttles()
    rates = dict(usual.a_second)
    parser.add_argument("--lf-writes", type=float, default=rates["lakeformation writes"], help="a second and account")
    parser.add_argument("--lf-reads", type=float, default=rates["lakeformation reads"], help="a second and account")
    parser.add_argument("--glue-reads", type=float, default=rates["glue reads"], help="a second and account")
    parser.add_argument("--call-ms", type=float, default=usual.call * 1000, help="milliseconds that a call takes")
    parser.add_argument("--crawl-seconds", type=float, default=usual.crawl, help="seconds that a crawl takes")


def throttles(asked: argparse.Namespace) -> Throttles:
    rates = (
        ("lakeformation writes", asked.lf_writes),
        ("lakeformation reads", asked.lf_reads),
        ("glue reads", asked.glue_reads),
    )
    return Throttles(asked.call_ms / 1000, asked.crawl_seconds, rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_throttles(parser)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--more", action="store_true", help="also the scenario with one data product after another")
    asked = parser.parse_args()
    figures = run(throttles(asked), asked.more)
    print(json.dumps(figures)) if asked.json else report(figures)


if __name__ == "__main__":
    main()
