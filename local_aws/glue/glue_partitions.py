"""Partitions of tables in the Glue Data Catalog.

Reading needs a visible table; changing needs ALTER or INSERT on it. That either is enough is a choice of this local
AWS: the guide lists `glue:*Partition*` under Super only. Locations must lie below the table's ("Underlying data access
control": partitions below the table location need no data location permission, and must be there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local_aws.glue.glue_expression import satisfies
from local_aws.glue.glue_lookup import Found
from local_aws.glue.glue_tables import KEPT_OF_PARTITION, Partition, Table, partition_to_api
from local_aws.lakeformation.lf_model import catalog_of, invalid, is_below, not_found, s3_path
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.wire import AwsError

PAGE = 1_000
CHANGING = ("ALTER", "INSERT")


class Partitions:
    """The partition operations. `glue` is the catalogue engine: lookups, permissions, events."""

    def __init__(self, glue: Any) -> None:
        self._glue = glue

    # -- changing -----------------------------------------------------------------------------------------------------

    def create(self, caller: Any, params: dict) -> dict:
        """CreatePartition. AlreadyExistsException, InvalidInputException."""
        table = self._changeable(caller, params)
        values = self._add(table, params["PartitionInput"])
        self._glue.table_event("CreatePartition", table, [values])
        return {}

    def create_batch(self, caller: Any, params: dict) -> dict:
        """BatchCreatePartition; those that fail are in Errors."""
        table, inputs = self._changeable(caller, params), params["PartitionInputList"]
        return self._each("BatchCreatePartition", table, inputs, lambda given: self._add(table, given))

    def update(self, caller: Any, params: dict) -> dict:
        """UpdatePartition. EntityNotFoundException; InvalidInputException for other values than it has."""
        table = self._changeable(caller, params)
        values = self._replace(table, params["PartitionValueList"], params["PartitionInput"])
        self._glue.table_event("UpdatePartition", table, [values])
        return {}

    def update_batch(self, caller: Any, params: dict) -> dict:
        """BatchUpdatePartition; those that fail are in Errors."""
        table = self._changeable(caller, params)
        return self._each(
            "BatchUpdatePartition",
            table,
            params["Entries"],
            lambda entry: self._replace(table, entry["PartitionValueList"], entry["PartitionInput"]),
            named="PartitionValueList",
        )

    def delete(self, caller: Any, params: dict) -> dict:
        """DeletePartition. EntityNotFoundException."""
        table = self._changeable(caller, params)
        values = self._remove(table, params["PartitionValues"])
        self._glue.table_event("DeletePartition", table, [values])
        return {}

    def delete_batch(self, caller: Any, params: dict) -> dict:
        """BatchDeletePartition; those that fail are in Errors."""
        table, lists = self._changeable(caller, params), params["PartitionsToDelete"]
        return self._each("BatchDeletePartition", table, lists, lambda given: self._remove(table, given["Values"]))

    def _changeable(self, caller: Any, params: dict) -> Table:
        found = self._found(caller, params)
        self._glue.require_on_table(caller, found.real, CHANGING)
        return found.real

    def _each(
        self,
        change: str,
        table: Table,
        items: list[dict],
        apply: Callable[[dict], tuple],
        named: str = "PartitionValues",
    ) -> dict:
        errors, changed = [], []
        for item in items:
            try:
                changed.append(apply(item))
            except AwsError as error:
                values = item.get("PartitionValueList") or item.get("Values")
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({named: values, "ErrorDetail": detail})
        if changed:
            self._glue.table_event(change, table, changed)
        return {"Errors": errors}

    def _add(self, table: Table, given: dict) -> tuple[str, ...]:
        partition = self._partition(table, given)
        if partition.values in table.partitions:
            raise AwsError("AlreadyExistsException", "Partition already exists.")
        table.partitions[partition.values] = partition
        return partition.values

    def _replace(self, table: Table, values: list[str], given: dict) -> tuple[str, ...]:
        before = _existing(table, values)
        after = self._partition(table, given)
        if after.values != before.values:
            raise invalid("the values of a partition cannot be changed: delete it and create another")
        table.partitions[after.values] = Partition(after.values, after.shape, before.created)
        return after.values

    def _remove(self, table: Table, values: list[str]) -> tuple[str, ...]:
        partition = _existing(table, values)
        del table.partitions[partition.values]
        return partition.values

    def _partition(self, table: Table, given: dict) -> Partition:
        values = tuple(given.get("Values") or ())
        if len(values) != len(table.keys) or not values:
            raise invalid(
                f"The number of partition keys do not match the number of partition values: {len(table.keys)}"
            )
        shape = {name: given[name] for name in KEPT_OF_PARTITION if given.get(name) is not None}
        location = shape.get("StorageDescriptor", {}).get("Location")
        if location and table.location and not is_below(s3_path(location), s3_path(table.location)):
            raise invalid(f"partition location {location} does not lie below the table's, {table.location}")
        return Partition(values, shape, self._glue.world.now())

    # -- reading ------------------------------------------------------------------------------------------------------

    def get(self, caller: Any, params: dict) -> dict:
        """GetPartition. EntityNotFoundException."""
        found = self._found(caller, params)
        partition = _existing(found.real, params["PartitionValues"])
        return {"Partition": partition_to_api(found.real, partition, found.real_access.described)}

    def list(self, caller: Any, params: dict) -> dict:
        """GetPartitions, by an expression on the keys (glue_expression.py), in the order of their values."""
        found = self._found(caller, params)
        table, partitions = found.real, sorted_partitions(found.real)
        if expression := params.get("Expression"):
            types = {key["Name"]: key.get("Type", "string") for key in table.keys}
            partitions = [
                p for p in partitions if satisfies(expression, types, dict(zip(types, p.values, strict=False)))
            ]
        shown, following = page(partitions, params.get("NextToken"), params.get("MaxResults"), PAGE)
        shapes = [partition_to_api(table, partition, found.real_access.described) for partition in shown]
        if params.get("ExcludeColumnSchema"):
            for shape in shapes:
                descriptor = shape.get("StorageDescriptor", {})
                shape["StorageDescriptor"] = {k: v for k, v in descriptor.items() if k != "Columns"}
        return with_token({"Partitions": shapes}, following)

    def get_batch(self, caller: Any, params: dict) -> dict:
        """BatchGetPartition; those that are not there are left out."""
        found, wanted = self._found(caller, params), params["PartitionsToGet"]
        there = [found.real.partitions.get(tuple(entry["Values"])) for entry in wanted]
        shapes = [partition_to_api(found.real, p, found.real_access.described) for p in there if p]
        return {"Partitions": shapes, "UnprocessedKeys": []}

    def _found(self, caller: Any, params: dict) -> Found:
        catalog = catalog_of(caller, params.get("CatalogId"))
        lookup = self._glue.lookup
        return lookup.real_table(caller.principal, catalog, params["DatabaseName"], params["TableName"])


def sorted_partitions(table: Table) -> list[Partition]:
    """A table's partitions in the order of their values."""
    return [table.partitions[values] for values in sorted(table.partitions)]


def _existing(table: Table, values: list[str]) -> Partition:
    partition = table.partitions.get(tuple(values))
    if partition is None:
        raise not_found("Cannot find partition.")
    return partition
