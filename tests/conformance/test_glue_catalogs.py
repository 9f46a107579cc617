"""CatalogId: every call of the Data Catalog takes it, and through it reaches no further than its permissions."""

from datetime import UTC, datetime

import pytest
from lab import refused
from lake_calls import table_names

WHEN = datetime(2024, 5, 17, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def accounts(lab):
    for part in ("central", "outsider"):
        lab.lake(part)


def _table(name, *columns):
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Owner": "shop",
        "Retention": 7,
        "LastAccessTime": WHEN,
        "LastAnalyzedTime": WHEN,
        "Parameters": {"source": "web"},
        "StorageDescriptor": {"Columns": [{"Name": each, "Type": "string"} for each in columns]},
        "PartitionKeys": [{"Name": "year", "Type": "string"}],
    }


def _calls(database):
    """(operation, parameters) of every call on a database `database` and a table `t` in it, in an order that works."""
    where, one, values = {"DatabaseName": database, "TableName": "t"}, {"Values": ["2024"]}, ["2024"]
    entry = {"PartitionValueList": values, "PartitionInput": one}
    return [
        ("create_database", {"DatabaseInput": {"Name": database}}),
        ("update_database", {"Name": database, "DatabaseInput": {"Name": database}}),
        ("get_database", {"Name": database}),
        ("create_table", {"DatabaseName": database, "TableInput": _table("t", "id")}),
        ("update_table", {"DatabaseName": database, "TableInput": _table("t", "id", "new")}),
        ("get_table", {"DatabaseName": database, "Name": "t"}),
        ("get_tables", {"DatabaseName": database, "MaxResults": 1}),
        ("get_table_version", where),
        ("get_table_versions", where),
        ("create_partition", {**where, "PartitionInput": one}),
        ("update_partition", {**where, **entry}),
        ("batch_update_partition", {**where, "Entries": [entry]}),
        ("get_partition", {**where, "PartitionValues": values}),
        ("get_partitions", where),
        ("batch_get_partition", {**where, "PartitionsToGet": [one]}),
        ("delete_partition", {**where, "PartitionValues": values}),
        ("batch_create_partition", {**where, "PartitionInputList": [one]}),
        ("batch_delete_partition", {**where, "PartitionsToDelete": [one]}),
        ("delete_table", {"DatabaseName": database, "Name": "t"}),
        ("batch_delete_table", {"DatabaseName": database, "TablesToDelete": ["t"]}),
        ("delete_database", {"Name": database}),
    ]


@pytest.mark.statement("glue.catalog-id", "glue.update-table", "glue.table-shape")
def test_every_call_takes_the_callers_own_catalog_id(lab):
    glue, own, database = lab.client("glue", "central"), lab.account("central"), lab.name("sales")
    for operation, params in _calls(database):
        answer = getattr(glue, operation)(CatalogId=own, **params)
        if operation == "get_table":
            shown = answer["Table"]
            kept = {key: value for key, value in _table("t", "id", "new").items() if key != "StorageDescriptor"}
            assert {key: shown[key] for key in kept} == kept
            names = {each["Name"] for each in glue.get_databases(CatalogId=own)["DatabaseList"]}
            assert database in names
            found = glue.search_tables(CatalogId=own, Filters=[{"Key": "DatabaseName", "Value": database}])["TableList"]
            assert [each["Name"] for each in found] == ["t"]
        if operation != "batch_delete_table":
            assert answer.get("Errors", []) == []
    with refused("EntityNotFoundException"):
        glue.get_database(CatalogId=own, Name=database)


@pytest.mark.statement("glue.catalog-id", "glue.invisible")
def test_what_another_account_did_not_share_is_not_there_whichever_call_asks(lab):
    database = lab.database("central", "sales")
    lab.client("glue", "central").create_table(DatabaseName=database, TableInput=_table("t", "id"))
    glue, theirs = lab.client("glue", "outsider"), lab.account("central")
    for operation, params in _calls(database):
        if operation == "batch_delete_table":
            (error,) = glue.batch_delete_table(CatalogId=theirs, **params)["Errors"]
            assert error["ErrorDetail"]["ErrorCode"] in ("AccessDeniedException", "EntityNotFoundException")
            continue
        with refused("EntityNotFoundException", "AccessDeniedException"):
            getattr(glue, operation)(CatalogId=theirs, **params)
    assert glue.get_databases(CatalogId=theirs)["DatabaseList"] == []
    assert glue.search_tables(CatalogId=theirs)["TableList"] == []
    assert table_names(lab, "central", database) == ["t"]
    assert lab.client("glue", "central").get_table(DatabaseName=database, Name="t")["Table"]["VersionId"] == "0"
