"""Tables of the Data Catalog: what they show, versions, batches, locations, who may do what."""

import pytest
from botocore.config import Config
from lab import refused
from lake_calls import (
    LAKE_ACTIONS,
    grant,
    on_columns,
    on_database,
    on_table,
    revoke,
    sees,
    shown_database,
    shown_table,
    table_names,
)

ALL_COLUMNS = ["id", "email", "total"]


@pytest.fixture(scope="module", autouse=True)
def account(lab):
    lab.lake("central")
    return lab.account("central")


@pytest.fixture(scope="module")
def glue(lab):
    return lab.client("glue", "central")


@pytest.fixture(scope="module")
def sales(lab):
    return lab.database("central", "sales")


@pytest.fixture
def orders(lab, sales):
    return lab.table("central", sales, "orders", keys=("year", "month"))


@pytest.fixture
def somebody(lab):
    return lab.role("central", "somebody", allow=LAKE_ACTIONS)


def _table(name, *columns, keys=(), **more):
    return {
        "Name": name,
        "StorageDescriptor": {"Columns": [{"Name": each, "Type": "string"} for each in columns], **more},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
    }


@pytest.mark.statement("glue.table-shape", "glue.folded", "glue.catalog-id")
def test_a_table_shows_what_glue_adds(lab, account, sales, orders):
    shown = shown_table(lab, "central", sales.upper(), orders.upper(), account)
    assert (shown["Name"], shown["DatabaseName"], shown["CatalogId"]) == (orders, sales, account)
    assert shown["CreatedBy"] == lab.client("sts", "central").get_caller_identity()["Arn"]
    assert (shown["VersionId"], shown["IsRegisteredWithLakeFormation"], shown["Retention"]) == ("0", False, 0)
    assert [key["Name"] for key in shown["PartitionKeys"]] == ["year", "month"]
    assert shown["TableType"] == "EXTERNAL_TABLE"
    assert shown["CreateTime"] == shown["UpdateTime"]


@pytest.mark.statement("glue.exists", "glue.not-found", "glue.names")
def test_a_table_is_there_once_or_not_at_all(lab, glue, sales, orders):
    with refused("AlreadyExistsException"):
        glue.create_table(DatabaseName=sales, TableInput={"Name": orders.upper()})
    missing = lab.name("missing")
    for call in (
        lambda: glue.get_table(DatabaseName=sales, Name=missing),
        lambda: glue.delete_table(DatabaseName=sales, Name=missing),
        lambda: glue.update_table(DatabaseName=sales, TableInput={"Name": missing}),
        lambda: glue.get_table_versions(DatabaseName=sales, TableName=missing),
    ):
        with refused("EntityNotFoundException"):
            call()
    with refused("InvalidInputException", "ValidationException"):
        glue.create_table(DatabaseName=sales, TableInput={"Name": "new\nline"})
    glue.create_table(DatabaseName=sales, TableInput={"Name": f"{missing}\ttab"})
    glue.delete_table(DatabaseName=sales, Name=f"{missing}\ttab")


@pytest.mark.statement("glue.columns-named")
def test_columns_have_names(lab, sales):
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    glue = lab.session("central").client("glue", config=config)
    for column in ({"Name": "", "Type": "string"}, {"Type": "string"}):
        with refused("ValidationException"):
            given = {"Name": "wrong", "StorageDescriptor": {"Columns": [column]}}
            glue.create_table(DatabaseName=sales, TableInput=given)


@pytest.mark.statement("glue.columns-named")
@pytest.mark.parametrize(
    "given",
    [
        _table("wrong", "id", "ID"),
        _table("wrong", "id", "year", keys=("year",)),
        _table("wrong", "id", keys=("year", "year")),
    ],
)
def test_no_two_columns_have_the_same_name(glue, sales, orders, given):
    with refused("InvalidInputException", message="duplicate column"):
        glue.create_table(DatabaseName=sales, TableInput=given)
    with refused("InvalidInputException", message="duplicate column"):
        glue.update_table(DatabaseName=sales, TableInput={**given, "Name": orders})


# -- who may ------------------------------------------------------------------------------------------------------


@pytest.mark.statement("glue.create-table-permission", "glue.admin-drop")
def test_who_creates_a_table_owns_it_and_sees_its_database_and_administrators_do_not_own_it(lab, glue, sales, somebody):
    with refused("AccessDeniedException", message=f"Required Create Table on {sales}"):
        lab.table(somebody, sales, "made")
    grant(lab, "central", somebody, on_database(sales), "CREATE_TABLE")
    made = lab.table(somebody, sales, "made")
    revoke(lab, "central", somebody, on_database(sales), "CREATE_TABLE")
    assert shown_database(lab, somebody, sales)
    assert table_names(lab, somebody, sales) == [made]
    other = lab.role("central", "other", allow=LAKE_ACTIONS)
    grant(lab, somebody, other, on_table(sales, made), "SELECT")
    assert sees(lab, other, sales, made) == ALL_COLUMNS
    assert sees(lab, "central", sales, made) == ALL_COLUMNS
    for call in (
        lambda: glue.update_table(DatabaseName=sales, TableInput=_table(made, "id")),
        lambda: glue.delete_table(DatabaseName=sales, Name=made),
    ):
        with refused("AccessDeniedException"):
            call()
    lab.client("glue", somebody).delete_table(DatabaseName=sales, Name=made)


@pytest.mark.statement("glue.invisible", "glue.denied")
def test_a_table_is_invisible_without_permission_and_not_changed_without_the_right_one(lab, sales, orders, somebody):
    glue = lab.client("glue", somebody)
    assert sees(lab, somebody, sales, orders) is None
    grant(lab, "central", somebody, on_table(sales, orders), "SELECT")
    assert sees(lab, somebody, sales, orders) == ALL_COLUMNS
    with refused("AccessDeniedException", message=f"Required Alter on {orders}"):
        glue.update_table(DatabaseName=sales, TableInput=_table(orders, "id"))
    with refused("AccessDeniedException", message=f"Required Drop on {orders}"):
        glue.delete_table(DatabaseName=sales, Name=orders)
    grant(lab, "central", somebody, on_table(sales, orders), "ALTER", "DROP")
    glue.update_table(DatabaseName=sales, TableInput=_table(orders, "id"))
    glue.delete_table(DatabaseName=sales, Name=orders)
    assert sees(lab, "central", sales, orders) is None


@pytest.mark.statement("glue.columns-shown")
def test_tables_show_the_columns_that_one_may_describe(lab, sales, orders, somebody):
    grant(lab, "central", somebody, on_columns(sales, orders, "id", "total"), "SELECT")
    assert sees(lab, somebody, sales, orders) == ["id", "total"]
    (listed,) = lab.client("glue", somebody).get_tables(DatabaseName=sales)["TableList"]
    assert [each["Name"] for each in listed["StorageDescriptor"]["Columns"]] == ["id", "total"]
    assert [key["Name"] for key in listed["PartitionKeys"]] == ["year", "month"]


@pytest.mark.statement("glue.deleted-grants")
def test_a_new_table_of_the_same_name_has_no_grants(lab, glue, sales, orders, somebody):
    grant(lab, "central", somebody, on_table(sales, orders), "SELECT")
    glue.delete_table(DatabaseName=sales, Name=orders)
    glue.create_table(DatabaseName=sales, TableInput=_table(orders, "id"))
    assert sees(lab, somebody, sales, orders) is None


# -- lists and batches --------------------------------------------------------------------------------------------


@pytest.mark.statement(
    "glue.pages",
    "glue.page-bounds",
    "glue.token",
    "glue.expression-names",
    "glue.expression-invalid",
    "glue.batch-delete",
)
def test_tables_come_in_pages_by_expression_and_go_in_batches(lab, glue):
    database = lab.database("central", "many")
    names = [f"t{number:03}" for number in range(102)]
    for name in names:
        glue.create_table(DatabaseName=database, TableInput={"Name": name})
    pages = list(glue.get_paginator("get_tables").paginate(DatabaseName=database))
    assert [len(page["TableList"]) for page in pages] == [100, 2]
    assert [each["Name"] for page in pages for each in page["TableList"]] == names
    assert table_names(lab, "central", database, Expression="t00[12]") == ["t001", "t002"]
    assert table_names(lab, "central", database, Expression="t00") == []
    assert table_names(lab, "central", database, Expression="t10.*") == ["t100", "t101"]
    for wrong, code in (
        ({"Expression": "t[0"}, "InvalidInputException"),
        ({"NextToken": "x"}, "InvalidInputException"),
    ):
        with refused(code):
            glue.get_tables(DatabaseName=database, **wrong)
    for call, more in (
        (glue.get_tables, {"MaxResults": 101}),
        (glue.get_table_versions, {"TableName": "t000", "MaxResults": 101}),
        (glue.batch_delete_table, {"TablesToDelete": names[:101]}),
    ):
        with refused("ValidationException"):
            call(DatabaseName=database, **more)
    answer = glue.batch_delete_table(DatabaseName=database, TablesToDelete=["missing", *names[:99]])
    assert [(e["TableName"], e["ErrorDetail"]["ErrorCode"]) for e in answer["Errors"]] == [
        ("missing", "EntityNotFoundException")
    ]
    assert table_names(lab, "central", database) == names[99:]


# -- versions -----------------------------------------------------------------------------------------------------


@pytest.mark.statement("glue.versions", "glue.update-table", "glue.pages", "glue.version-get", "glue.not-found")
def test_updates_keep_the_version_before_unless_the_archive_is_skipped(glue, sales, orders):
    where = {"DatabaseName": sales, "TableName": orders}
    glue.update_table(DatabaseName=sales, TableInput=_table(orders, "id", "phone"))
    glue.update_table(DatabaseName=sales, TableInput={**_table(orders, "id"), "Owner": "me"}, SkipArchive=True)
    glue.update_table(DatabaseName=sales, TableInput=_table(orders, "last"), SkipArchive=False)
    pages = list(glue.get_paginator("get_table_versions").paginate(**where, PaginationConfig={"PageSize": 2}))
    found = [each for page in pages for each in page["TableVersions"]]
    assert [len(page["TableVersions"]) for page in pages] == [2, 1]
    shown = [(e["VersionId"], [c["Name"] for c in e["Table"]["StorageDescriptor"]["Columns"]]) for e in found]
    assert shown == [("3", ["last"]), ("2", ["id"]), ("0", ALL_COLUMNS)]
    assert found[1]["Table"]["Owner"] == "me"
    assert "PartitionKeys" not in found[0]["Table"] or found[0]["Table"]["PartitionKeys"] == []
    assert glue.get_table_version(**where)["TableVersion"] == found[0]
    assert glue.get_table_version(**where, VersionId="2")["TableVersion"] == found[1]
    for missing in ("1", "4", "last"):
        with refused("EntityNotFoundException", "InvalidInputException"):
            glue.get_table_version(**where, VersionId=missing)


@pytest.mark.statement("glue.version-condition")
def test_an_update_of_another_version_than_the_current_one_is_a_concurrent_modification(glue, sales, orders):
    glue.update_table(DatabaseName=sales, TableInput=_table(orders, "id"), VersionId="0")
    with refused("ConcurrentModificationException"):
        glue.update_table(DatabaseName=sales, TableInput=_table(orders, "id"), VersionId="0")
    glue.update_table(DatabaseName=sales, TableInput=_table(orders, "id"), VersionId="1")


@pytest.mark.statement("glue.version-columns")
def test_columns_of_old_versions_are_for_those_who_may_describe_the_whole_table(lab, glue, sales, orders, somebody):
    grant(lab, "central", somebody, on_columns(sales, orders, "id"), "SELECT")
    glue.update_table(DatabaseName=sales, TableInput=_table(orders, "id", "phone"))
    where = {"DatabaseName": sales, "TableName": orders, "VersionId": "0"}
    for who, columns in ((somebody, ["id"]), ("central", ALL_COLUMNS)):
        old = lab.client("glue", who).get_table_version(**where)["TableVersion"]["Table"]
        assert [each["Name"] for each in old["StorageDescriptor"]["Columns"]] == columns


# -- locations ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lake_path(lab):
    """A registered location of central's own, `s3://bucket/lake`."""
    bucket, formation = lab.bucket("central"), lab.client("lakeformation", "central")
    arn = f"arn:aws:s3:::{bucket}/lake"
    formation.register_resource(ResourceArn=arn, UseServiceLinkedRole=True)
    lab.at_end(formation.deregister_resource, ResourceArn=arn)
    return f"s3://{bucket}/lake"


@pytest.mark.statement("glue.location", "glue.location-kinds", "glue.table-shape")
def test_tables_are_made_and_moved_to_a_registered_location_by_who_may_use_it(lab, sales, lake_path, somebody):
    glue = lab.client("glue", somebody)
    grant(lab, "central", somebody, on_database(sales), "CREATE_TABLE")
    name = lab.name("made")
    for elsewhere in ("s3://somewhere-else/lake", lake_path + "side", "hdfs://host/lake"):
        glue.create_table(DatabaseName=sales, TableInput=_table(name, "id", Location=elsewhere))
        assert shown_table(lab, somebody, sales, name)["IsRegisteredWithLakeFormation"] is False
        glue.delete_table(DatabaseName=sales, Name=name)
    there = _table(name, "id", Location=f"{lake_path}/orders/")
    with refused("AccessDeniedException", message="Data Location Access"):
        glue.create_table(DatabaseName=sales, TableInput=there)
    glue.create_table(DatabaseName=sales, TableInput=_table(name, "id"))
    with refused("AccessDeniedException", message="Data Location Access"):
        glue.update_table(DatabaseName=sales, TableInput=there)
    location = {"DataLocation": {"ResourceArn": lake_path.replace("s3://", "arn:aws:s3:::")}}
    grant(lab, "central", somebody, location, "DATA_LOCATION_ACCESS")
    glue.update_table(DatabaseName=sales, TableInput=there)
    assert shown_table(lab, somebody, sales, name)["IsRegisteredWithLakeFormation"] is True
    revoke(lab, "central", somebody, location, "DATA_LOCATION_ACCESS")
    glue.update_table(DatabaseName=sales, TableInput={**there, "Description": "not moved"})
    glue.delete_table(DatabaseName=sales, Name=name)


@pytest.mark.statement("glue.location")
def test_below_the_databases_own_registered_location_create_table_is_enough(lab, lake_path, somebody):
    glue = lab.client("glue", somebody)
    database = lab.database("central", "placed", LocationUri=f"{lake_path}/placed")
    grant(lab, "central", somebody, on_database(database), "CREATE_TABLE", "ALTER")
    below, beside = f"{lake_path}/placed/orders", f"{lake_path}/other"
    glue.create_table(DatabaseName=database, TableInput=_table("below", "id", Location=below))
    with refused("AccessDeniedException", message="Data Location Access"):
        glue.create_table(DatabaseName=database, TableInput=_table("beside", "id", Location=beside))
    glue.delete_table(DatabaseName=database, Name="below")
    for change in ({"LocationUri": beside}, {"LocationUri": lake_path}):
        with refused("AccessDeniedException", message="Data Location Access"):
            glue.update_database(Name=database, DatabaseInput={"Name": database, **change})
    unmoved = {"Name": database, "LocationUri": f"{lake_path}/placed", "Description": "not moved"}
    glue.update_database(Name=database, DatabaseInput=unmoved)
    with refused("AccessDeniedException", message="Data Location Access"):
        glue.create_database(DatabaseInput={"Name": lab.name("mine"), "LocationUri": lake_path})


@pytest.mark.statement("glue.location")
def test_below_a_location_of_the_database_that_is_not_registered_the_permission_is_needed(lab, lake_path, somebody):
    database = lab.database("central", "wide", LocationUri=lake_path.removesuffix("/lake"))
    grant(lab, "central", somebody, on_database(database), "CREATE_TABLE")
    with refused("AccessDeniedException", message="Data Location Access"):
        lab.client("glue", somebody).create_table(
            DatabaseName=database, TableInput=_table("below", "id", Location=f"{lake_path}/orders")
        )


@pytest.mark.statement("glue.not-built")
@pytest.mark.local_only("AWS does these")
def test_what_is_not_built_is_refused(glue, sales, orders):
    for call, params in (
        (glue.get_table, {"DatabaseName": sales, "Name": orders, "TransactionId": "1"}),
        (glue.create_database, {"DatabaseInput": {"Name": "a"}, "Tags": {"a": "b"}}),
        (glue.create_table, {"DatabaseName": sales, "TableInput": {"Name": "v", "ViewOriginalText": "select 1"}}),
        (glue.create_user_defined_function, {"DatabaseName": sales, "FunctionInput": {}}),
        (glue.get_partition_indexes, {"DatabaseName": sales, "TableName": orders}),
    ):
        with refused("LocalAwsNotSupported", message="allowed/glue"):
            call(**params)
