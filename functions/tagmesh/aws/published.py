"""What is published of each data product: its tables and the LF-Tags that they carry, in the governance bucket.

Written when a data product's tags were carried out whole, so that a share need not read the catalogue to know what its
consumer can see.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tagmesh import expressions
from tagmesh.aws import plans
from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.governance import Consumer, DataProduct, Governance


def write(s3: Any, product: DataProduct, tables: Iterable[tuple[Table, AssignedTags]]) -> None:
    """Keeps what a data product's tables carry. It does not expire; the next publishing replaces it."""
    told = [
        {
            "table": table.name,
            "columns": [column.name for column in table.columns],
            "partition_keys": [key.name for key in table.partition_keys],
            "tags": {"database": tags.database, "columns": tags.columns},
        }
        for table, tags in tables
    ]
    plans.write(s3, _key(product), {"tables": told})


def read(s3: Any, governance: Governance, consumers: Iterable[Consumer]) -> list[tuple[Table, AssignedTags]]:
    """The published tables of the data products whose databases these consumers' subscriptions reach."""
    subscriptions = [subscription for consumer in consumers for subscription in consumer.subscriptions]
    reached = [
        product
        for product in governance.data_products
        if any(expressions.sees_database(governance, subscription, product) for subscription in subscriptions)
    ]
    return [each for product in reached for each in _read(s3, product)]


def _read(s3: Any, product: DataProduct) -> list[tuple[Table, AssignedTags]]:
    try:
        told = plans.read(s3, _key(product))["tables"]
    except s3.exceptions.NoSuchKey:
        return []
    return [
        (
            Table(
                product.database,
                each["table"],
                tuple(map(Column, each["columns"])),
                tuple(map(Column, each["partition_keys"])),
            ),
            AssignedTags(each["tags"]["database"], {}, each["tags"]["columns"]),
        )
        for each in told
    ]


def _key(product: DataProduct) -> str:
    return f"published/{product.unit}.json"
