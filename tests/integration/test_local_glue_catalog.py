"""What the Data Catalog of the local AWS gives to its own query engines. Its API is in tests/conformance."""

import pytest
from lake_scene import lake_world, on_columns, refused_with


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


@pytest.fixture
def scene(lake):
    """(account, administrator, the Lake Formation engine) with a table sales.orders, its partition, and a link."""
    account, admin = lake.governed()
    lake.database(admin, "sales")
    lake.table(admin, "sales", "orders", keys=("year", "month"))
    partition = {"Values": ["2024", "01"], "StorageDescriptor": {"Location": "s3://lake/somewhere/2024/01"}}
    lake.call(admin, "glue:CreatePartition", DatabaseName="sales", TableName="orders", PartitionInput=partition)
    lake.database(admin, "alias", TargetDatabase={"CatalogId": account, "DatabaseName": "sales"})
    return account, admin, lake.world.engines["lakeformation"]


def test_a_query_engine_gets_the_whole_table_with_what_is_readable(lake, scene):
    account, admin, lake_formation = scene
    reader = lake.role(account, "reader")
    lake.grant(admin, reader, on_columns("sales", "orders", "id"), "SELECT")
    table = lake_formation.resolve_table(reader, account, None, "SALES", "Orders")
    assert (table.catalog_id, table.database, table.name) == (account, "sales", "orders")
    assert table.columns == [("id", "string"), ("email", "string"), ("total", "string")]
    assert table.partition_keys == [("year", "string"), ("month", "string")]
    assert table.readable == {"id", "year", "month"}
    assert table.storage_descriptor["Location"] == "s3://lake/somewhere"
    with refused_with("EntityNotFoundException"):
        lake_formation.resolve_table(reader, account, None, "alias", "orders")


def test_a_query_engine_gets_the_partitions_through_a_link(scene):
    account, admin, lake_formation = scene
    partitions = lake_formation.readable_partitions(admin, account, None, "alias", "orders")
    assert partitions == lake_formation.partitions(account, "sales", "orders")
    assert partitions[0]["StorageDescriptor"]["Location"] == "s3://lake/somewhere/2024/01"
