"""How long it takes, and how much memory, to decide and plan the LF-Tags of a large estate, on one core.

The tables are made up: their columns' names are put together from words that tables of business have, so that many
columns share a name and some are the only ones of theirs, as in an estate. The rules are those of mesh/. Each data
product is decided and planned as a publish run does it, from values to a list of calls; all plans are kept. What the
catalogue and Lake Formation answer is made before the clock runs, data product by data product.

A process of its own, for its memory: prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.governance import DataProduct, Governance, load, read_folder
from tagmesh.plan import AssignTags, plan_tags
from tagmesh.rules import decide

ROOT = Path(__file__).parents[1]
SUBJECTS = """
    customer order product invoice payment shipment employee supplier account contract campaign store region warehouse
    ticket session device claim policy course patient branch vehicle article
"""
NAMES = """
    id name email phone status created_at updated_at amount currency city country street birth_date notes count quantity
    price discount total type category code description url score rate salary iban gender language first_name last_name
    postal_code latitude longitude ip_address weight height version active
"""
TYPES = {
    **dict.fromkeys(("id", "count", "quantity"), "bigint"),
    **dict.fromkeys(("amount", "price", "total", "discount", "score", "rate"), "double"),
    **dict.fromkeys(("created_at", "updated_at"), "timestamp"),
    "active": "boolean",
    "birth_date": "date",
}
ALONE = 0.02
"""The share of columns whose name no other column has."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--databases", type=int, default=100)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(measure(asked.tables, asked.columns, asked.databases)))


def measure(tables: int, columns: int, databases: int) -> dict[str, float]:
    """Plans an estate; what it took. Times are of the process, in seconds; `peak_mb` is its largest size in MiB."""
    governance = load(read_folder(ROOT / "mesh"))
    chance = random.Random(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    products = [
        replace(governance.data_products[0], name=f"product{number}", prefix=f"product{number}/")
        for number in range(databases)
    ]
    estate = (some_tables(chance, governance, product, tables // databases, columns) for product in products)
    plans: list[list[AssignTags]] = []
    spent = 0.0
    for product, (database, found, observed) in zip(products, estate, strict=True):
        began = time.process_time()
        decisions = [decide(governance, product, table, today="2026-11-27") for table in found]
        plans.append(plan_tags(governance, product, database, observed, decisions))
        spent += time.process_time() - began
    return {
        "tables": tables,
        "columns_per_table": columns,
        "seconds": round(spent, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "before_mb": round(before),
        "calls": sum(map(len, plans)),
    }


def some_tables(
    chance: random.Random, governance: Governance, product: DataProduct, tables: int, columns: int
) -> tuple[dict[str, str], list[Table], dict[str, AssignedTags]]:
    """The tags of a new database, its tables, and the tags of those: what it inherits, as each column answers."""
    subjects = SUBJECTS.split()
    database = {key.name: key.default for key in governance.lf_tags} | dict(product.tags)
    found, observed = [], {}
    for number in range(tables):
        table = Table(
            product.database,
            f"{chance.choice(subjects)}_{number}",
            some_columns(chance, columns),
            location=f"{product.location}{number}/",
        )
        found.append(table)
        observed[table.name] = AssignedTags(
            dict(database), dict(database), {column.name: dict(database) for column in table.columns}
        )
    return database, found, observed


@cache
def usual_columns() -> list[tuple[str, str]]:
    """(name, type) of the columns that tables share."""
    subjects = [f"{subject}_" for subject in SUBJECTS.split()]
    return [(f"{subject}{name}", TYPES.get(name, "string")) for subject in ("", *subjects) for name in NAMES.split()]


def some_columns(chance: random.Random, count: int) -> tuple[Column, ...]:
    found = []
    for name, kind in chance.sample(usual_columns(), count):
        alone = f"_{chance.randrange(10**9)}" if chance.random() < ALONE else ""
        found.append(Column(f"{name}{alone}", kind))
    return tuple(found)


if __name__ == "__main__":
    main()
