"""The Data Catalog of the local AWS: databases, tables, partitions, resource links, and who sees them."""

import json

import pytest
from lake_scene import IAM_ONLY, Lake, lake_world, on_database, on_table, refused_with, root, table_input

from local_aws.glue.glue_expression import satisfies


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


@pytest.fixture
def owner(lake: Lake) -> str:
    """The administrator of a governed account, who has made a database `sales` with a table `orders`."""
    _, admin = lake.governed()
    lake.database(admin, "sales")
    lake.table(admin, "sales", "orders", keys=("year", "month"))
    return admin


def _account(arn: str) -> str:
    return arn.split(":")[4]


# -- databases --------------------------------------------------------------------------------------------------------


def test_a_database_keeps_its_properties_and_folds_its_name(lake, owner):
    lake.database(owner, "HR", Description="people", LocationUri="s3://b/hr", Parameters={"owner": "hr"})
    database = lake.call(owner, "glue:GetDatabase", Name="Hr")["Database"]
    assert database["Name"] == "hr"
    assert (database["Description"], database["LocationUri"]) == ("people", "s3://b/hr")
    assert database["Parameters"] == {"owner": "hr"}
    assert database["CatalogId"] == _account(owner)
    assert database["CreateTableDefaultPermissions"] == []


def test_a_second_database_of_a_name_is_refused(lake, owner):
    with refused_with("AlreadyExistsException"):
        lake.database(owner, "SALES")


def test_creating_a_database_needs_the_permission(lake, owner):
    nobody = lake.role(_account(owner), "nobody")
    catalog = {"Catalog": {}}
    lake.revoke(owner, "IAM_ALLOWED_PRINCIPALS", catalog, "CREATE_DATABASE")
    with refused_with("AccessDeniedException", "Required Create Database on Catalog"):
        lake.database(nobody, "mine")
    lake.grant(owner, nobody, catalog, "CREATE_DATABASE")
    lake.database(nobody, "mine")
    assert lake.sees_database(nobody, "mine")


def test_a_fresh_account_lets_iam_alone_decide(lake):
    account = lake.account()
    lake.database(root(account), "open")
    lake.table(root(account), "open", "facts")
    somebody = lake.role(account, "somebody")
    assert lake.sees_database(somebody, "open")
    assert lake.reads(somebody, "open", "facts") == {"id", "email", "total"}
    lake.table(somebody, "open", "more")


def test_the_database_decides_about_its_new_tables_not_the_account(lake):
    account, admin = lake.governed()
    reader = lake.role(account, "reader")
    lake.database(admin, "left_to_iam", CreateTableDefaultPermissions=IAM_ONLY)
    lake.table(admin, "left_to_iam", "facts")
    assert lake.reads(reader, "left_to_iam", "facts") == {"id", "email", "total"}
    lake.settings(account, [admin], CreateTableDefaultPermissions=IAM_ONLY)
    lake.database(admin, "closed", CreateTableDefaultPermissions=[])
    lake.table(admin, "closed", "facts")
    assert lake.reads(reader, "closed", "facts") == set()


def test_the_accounts_default_is_for_new_databases_only(lake, owner):
    reader = lake.role(_account(owner), "reader")
    lake.settings(
        _account(owner),
        [owner],
        CreateDatabaseDefaultPermissions=IAM_ONLY,
        CreateTableDefaultPermissions=IAM_ONLY,
    )
    lake.table(owner, "sales", "later")
    assert not lake.sees_database(reader, "sales")
    assert lake.reads(reader, "sales", "later") == set()
    lake.database(owner, "new")
    lake.table(owner, "new", "facts")
    assert lake.sees_database(reader, "new")
    assert lake.reads(reader, "new", "facts") == {"id", "email", "total"}


def test_default_permissions_other_than_iam_only_are_invalid(lake, owner):
    wrong = [{"Principal": {"DataLakePrincipalIdentifier": owner}, "Permissions": ["SELECT"]}]
    with refused_with("InvalidInputException", "only permitted values"):
        lake.database(owner, "wrong", CreateTableDefaultPermissions=wrong)


def test_update_database_needs_alter_and_cannot_rename(lake, owner):
    editor = lake.role(_account(owner), "editor")
    change = {"Name": "sales", "Description": "changed"}
    lake.grant(owner, editor, on_database("sales"), "DESCRIBE")
    with refused_with("AccessDeniedException", "Required Alter on sales"):
        lake.call(editor, "glue:UpdateDatabase", Name="sales", DatabaseInput=change)
    lake.grant(owner, editor, on_database("sales"), "ALTER")
    lake.call(editor, "glue:UpdateDatabase", Name="sales", DatabaseInput=change)
    assert lake.call(owner, "glue:GetDatabase", Name="sales")["Database"]["Description"] == "changed"
    with refused_with("InvalidInputException", "renamed"):
        lake.call(owner, "glue:UpdateDatabase", Name="sales", DatabaseInput={"Name": "other"})


def test_deleting_a_database_drops_its_tables_grants_and_needs_drop(lake, owner):
    reader = lake.role(_account(owner), "reader")
    lake.grant(owner, reader, on_database("sales"), "DESCRIBE")
    lake.grant(owner, reader, on_table("sales", None), "SELECT")
    with refused_with("AccessDeniedException", "Required Drop"):
        lake.call(reader, "glue:DeleteDatabase", Name="sales")
    lake.call(owner, "glue:DeleteDatabase", Name="sales")
    with refused_with("EntityNotFoundException"):
        lake.call(owner, "glue:GetDatabase", Name="sales")
    lake.database(owner, "sales")
    lake.table(owner, "sales", "orders")
    assert not lake.sees_database(reader, "sales")
    assert lake.reads(reader, "sales", "orders") == set()


def test_databases_come_in_pages_and_only_visible_ones(lake, owner):
    for number in range(120):
        lake.database(owner, f"d{number:03}")
    reader = lake.role(_account(owner), "reader")
    lake.grant(owner, reader, on_database("d007"), "DESCRIBE")
    names = [d["Name"] for d in lake.pages(owner, "glue:GetDatabases", "DatabaseList")]
    assert len(names) == 121
    assert len(lake.call(owner, "glue:GetDatabases")["DatabaseList"]) == 100
    assert len(lake.pages(owner, "glue:GetDatabases", "DatabaseList", MaxResults=7)) == 121
    assert [d["Name"] for d in lake.call(reader, "glue:GetDatabases")["DatabaseList"]] == ["d007"]
    with refused_with("InvalidInputException", "NextToken"):
        lake.call(owner, "glue:GetDatabases", NextToken="nonsense")


# -- tables -----------------------------------------------------------------------------------------------------------


def test_a_table_shows_what_aws_adds(lake, owner):
    table = lake.call(owner, "glue:GetTable", DatabaseName="Sales", Name="ORDERS")["Table"]
    assert (table["Name"], table["DatabaseName"]) == ("orders", "sales")
    assert table["CatalogId"] == _account(owner)
    assert table["CreatedBy"] == owner
    assert table["VersionId"] == "0"
    assert table["IsRegisteredWithLakeFormation"] is False
    assert [key["Name"] for key in table["PartitionKeys"]] == ["year", "month"]
    assert table["CreateTime"] == table["UpdateTime"]


def test_creating_a_table_needs_create_table_and_gives_ownership(lake, owner):
    maker = lake.role(_account(owner), "maker")
    with refused_with("AccessDeniedException", "Required Create Table on sales"):
        lake.table(maker, "sales", "made")
    lake.grant(owner, maker, on_database("sales"), "CREATE_TABLE")
    lake.table(maker, "sales", "made")
    assert lake.reads(maker, "sales", "made") == {"id", "email", "total"}
    assert lake.sees(maker, "sales", "orders") is None
    other = lake.role(_account(owner), "other")
    lake.grant(maker, other, on_table("sales", "made"), "SELECT")
    assert lake.reads(other, "sales", "made") == {"id", "email", "total"}


def test_the_creator_of_a_table_sees_its_database(lake, owner):
    maker = lake.role(_account(owner), "maker")
    lake.grant(owner, maker, on_database("sales"), "CREATE_TABLE")
    lake.table(maker, "sales", "made")
    lake.revoke(owner, maker, on_database("sales"), "CREATE_TABLE")
    assert lake.sees_database(maker, "sales")


def test_repeated_columns_and_names_are_refused(lake, owner):
    with refused_with("InvalidInputException", "Duplicate column"):
        lake.table(owner, "sales", "twice", columns=("id", "ID"))
    with refused_with("InvalidInputException", "Duplicate column"):
        lake.table(owner, "sales", "twice", columns=("id", "year"), keys=("year",))
    with refused_with("AlreadyExistsException"):
        lake.table(owner, "sales", "Orders")
    with refused_with("EntityNotFoundException"):
        lake.table(owner, "nowhere", "facts")


def test_get_table_shows_only_the_columns_one_may_see(lake, owner):
    reader = lake.role(_account(owner), "reader")
    columns = {"TableWithColumns": {"DatabaseName": "sales", "Name": "orders", "ColumnNames": ["id", "total"]}}
    lake.grant(owner, reader, columns, "SELECT")
    assert lake.sees(reader, "sales", "orders") == ["id", "total"]
    assert lake.sees(owner, "sales", "orders") == ["id", "email", "total"]
    nobody = lake.role(_account(owner), "nobody")
    assert lake.sees(nobody, "sales", "orders") is None


def test_tables_are_listed_by_expression_in_pages_and_only_visible_ones(lake, owner):
    for number in range(105):
        lake.table(owner, "sales", f"t{number:03}")
    assert len(lake.call(owner, "glue:GetTables", DatabaseName="sales")["TableList"]) == 100
    assert len(lake.pages(owner, "glue:GetTables", "TableList", DatabaseName="sales")) == 106
    found = lake.call(owner, "glue:GetTables", DatabaseName="sales", Expression="t00[12]")["TableList"]
    assert [table["Name"] for table in found] == ["t001", "t002"]
    reader = lake.role(_account(owner), "reader")
    with refused_with("EntityNotFoundException"):
        lake.call(reader, "glue:GetTables", DatabaseName="sales")
    lake.grant(owner, reader, on_database("sales"), "DESCRIBE")
    assert lake.call(reader, "glue:GetTables", DatabaseName="sales")["TableList"] == []
    lake.grant(owner, reader, on_table("sales", "t005"), "SELECT")
    assert [t["Name"] for t in lake.call(reader, "glue:GetTables", DatabaseName="sales")["TableList"]] == ["t005"]


def test_updates_are_versions_unless_the_archive_is_skipped(lake, owner):
    change = table_input("orders", ("id", "phone"), ("year", "month"))
    lake.call(owner, "glue:UpdateTable", DatabaseName="sales", TableInput=change)
    lake.call(owner, "glue:UpdateTable", DatabaseName="sales", TableInput={**change, "Owner": "me"}, SkipArchive=True)
    versions = lake.pages(
        owner, "glue:GetTableVersions", "TableVersions", DatabaseName="sales", TableName="orders", MaxResults=1
    )
    assert [version["VersionId"] for version in versions] == ["2", "0"]
    assert [c["Name"] for c in versions[1]["Table"]["StorageDescriptor"]["Columns"]] == ["id", "email", "total"]
    assert lake.sees(owner, "sales", "orders") == ["id", "phone"]


def test_an_update_of_another_version_is_a_concurrent_modification(lake, owner):
    change = table_input("orders", ("id",), ("year", "month"))
    lake.call(owner, "glue:UpdateTable", DatabaseName="sales", TableInput=change, VersionId="0")
    with refused_with("ConcurrentModificationException"):
        lake.call(owner, "glue:UpdateTable", DatabaseName="sales", TableInput=change, VersionId="0")


def test_altering_and_dropping_need_their_permissions(lake, owner):
    editor = lake.role(_account(owner), "editor")
    lake.grant(owner, editor, on_table("sales", "orders"), "SELECT")
    with refused_with("AccessDeniedException", "Required Alter on orders"):
        lake.call(editor, "glue:UpdateTable", DatabaseName="sales", TableInput=table_input("orders"))
    with refused_with("AccessDeniedException", "Required Drop on orders"):
        lake.call(editor, "glue:DeleteTable", DatabaseName="sales", Name="orders")
    lake.grant(owner, editor, on_table("sales", "orders"), "DROP")
    lake.call(editor, "glue:DeleteTable", DatabaseName="sales", Name="orders")
    with refused_with("EntityNotFoundException"):
        lake.call(owner, "glue:GetTable", DatabaseName="sales", Name="orders")


def test_an_administrator_has_no_implicit_drop_or_alter_on_what_others_made(lake, owner):
    maker = lake.role(_account(owner), "maker")
    lake.grant(owner, maker, on_database("sales"), "CREATE_TABLE")
    lake.table(maker, "sales", "made")
    assert lake.sees(owner, "sales", "made") == ["id", "email", "total"]
    assert lake.reads(owner, "sales", "made") == set()
    with refused_with("AccessDeniedException"):
        lake.call(owner, "glue:DeleteTable", DatabaseName="sales", Name="made")
    lake.grant(owner, owner, on_table("sales", "made"), "DROP")
    lake.call(owner, "glue:DeleteTable", DatabaseName="sales", Name="made")


def test_a_batch_of_deletes_names_its_failures(lake, owner):
    lake.table(owner, "sales", "a")
    answer = lake.call(owner, "glue:BatchDeleteTable", DatabaseName="sales", TablesToDelete=["a", "missing"])
    assert [(e["TableName"], e["ErrorDetail"]["ErrorCode"]) for e in answer["Errors"]] == [
        ("missing", "EntityNotFoundException")
    ]
    assert lake.sees(owner, "sales", "a") is None


def test_a_dropped_table_takes_its_grants_with_it(lake, owner):
    reader = lake.role(_account(owner), "reader")
    lake.grant(owner, reader, on_table("sales", "orders"), "SELECT")
    lake.call(owner, "glue:DeleteTable", DatabaseName="sales", Name="orders")
    lake.table(owner, "sales", "orders")
    assert lake.reads(reader, "sales", "orders") == set()


def test_search_finds_visible_tables_by_text_and_filter(lake, owner):
    lake.database(owner, "hr")
    lake.table(owner, "hr", "people", columns=("salary",))
    search = {"SearchText": "sal"}
    assert [t["Name"] for t in lake.call(owner, "glue:SearchTables", **search)["TableList"]] == ["people", "orders"]
    only = [{"Key": "DatabaseName", "Value": "hr", "Comparator": "EQUALS"}]
    assert [t["Name"] for t in lake.call(owner, "glue:SearchTables", Filters=only)["TableList"]] == ["people"]
    quoted = lake.call(owner, "glue:SearchTables", SearchText='"sales"')["TableList"]
    assert [t["Name"] for t in quoted] == ["orders"]
    nobody = lake.role(_account(owner), "nobody")
    assert lake.call(nobody, "glue:SearchTables", **search)["TableList"] == []


# -- partitions -------------------------------------------------------------------------------------------------------


def _partition(*values: str) -> dict:
    return {"Values": list(values), "StorageDescriptor": {"Location": f"s3://lake/somewhere/{'/'.join(values)}"}}


def _where(**more) -> dict:
    return {"DatabaseName": "sales", "TableName": "orders", **more}


def test_partitions_are_created_read_changed_and_deleted(lake, owner):
    lake.call(owner, "glue:CreatePartition", **_where(PartitionInput=_partition("2024", "01")))
    with refused_with("AlreadyExistsException"):
        lake.call(owner, "glue:CreatePartition", **_where(PartitionInput=_partition("2024", "01")))
    found = lake.call(owner, "glue:GetPartition", **_where(PartitionValues=["2024", "01"]))["Partition"]
    assert found["StorageDescriptor"]["Location"] == "s3://lake/somewhere/2024/01"
    assert (found["TableName"], found["CatalogId"]) == ("orders", _account(owner))
    lake.call(
        owner,
        "glue:UpdatePartition",
        **_where(PartitionValueList=["2024", "01"], PartitionInput=_partition("2024", "02")),
    )
    with refused_with("EntityNotFoundException"):
        lake.call(owner, "glue:GetPartition", **_where(PartitionValues=["2024", "01"]))
    lake.call(owner, "glue:DeletePartition", **_where(PartitionValues=["2024", "02"]))
    assert lake.call(owner, "glue:GetPartitions", **_where())["Partitions"] == []


def test_batches_of_partitions_name_their_failures(lake, owner):
    inputs = [_partition("2024", "01"), _partition("2024"), _partition("2024", "02")]
    answer = lake.call(owner, "glue:BatchCreatePartition", **_where(PartitionInputList=inputs))
    assert [(e["PartitionValues"], e["ErrorDetail"]["ErrorCode"]) for e in answer["Errors"]] == [
        (["2024"], "InvalidInputException")
    ]
    entries = [{"PartitionValueList": ["1999", "01"], "PartitionInput": _partition("1999", "01")}]
    answer = lake.call(owner, "glue:BatchUpdatePartition", **_where(Entries=entries))
    assert answer["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    wanted = [{"Values": ["2024", "02"]}, {"Values": ["1999", "01"]}]
    found = lake.call(owner, "glue:BatchGetPartition", **_where(PartitionsToGet=wanted))
    assert [p["Values"] for p in found["Partitions"]] == [["2024", "02"]]
    answer = lake.call(owner, "glue:BatchDeletePartition", **_where(PartitionsToDelete=wanted))
    assert [e["PartitionValues"] for e in answer["Errors"]] == [["1999", "01"]]
    with refused_with("InvalidInputException", "at most 100"):
        many = [_partition("2024", str(n)) for n in range(101)]
        lake.call(owner, "glue:BatchCreatePartition", **_where(PartitionInputList=many))


def test_a_partition_must_lie_below_its_table(lake, owner):
    outside = {"Values": ["2024", "01"], "StorageDescriptor": {"Location": "s3://lake/elsewhere"}}
    with refused_with("InvalidInputException", "does not lie below"):
        lake.call(owner, "glue:CreatePartition", **_where(PartitionInput=outside))


def test_partitions_are_filtered_paged_and_held_to_permissions(lake, owner):
    inputs = [_partition(year, month) for year in ("2023", "2024") for month in ("01", "02", "03")]
    lake.call(owner, "glue:BatchCreatePartition", **_where(PartitionInputList=inputs))
    found = lake.call(owner, "glue:GetPartitions", **_where(Expression="year = '2024' AND month IN ('01', '03')"))
    assert [p["Values"] for p in found["Partitions"]] == [["2024", "01"], ["2024", "03"]]
    assert len(lake.pages(owner, "glue:GetPartitions", "Partitions", **_where(MaxResults=4))) == 6
    nobody = lake.role(_account(owner), "nobody")
    with refused_with("EntityNotFoundException"):
        lake.call(nobody, "glue:GetPartitions", **_where())
    lake.grant(owner, nobody, on_table("sales", "orders"), "SELECT")
    assert len(lake.call(nobody, "glue:GetPartitions", **_where())["Partitions"]) == 6
    with refused_with("AccessDeniedException"):
        lake.call(nobody, "glue:DeletePartition", **_where(PartitionValues=["2024", "01"]))


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("year = 2024", True),
        ("year <> 2024", False),
        ("year > 2023 and month < '06'", True),
        ("year >= 2025 or month = '05'", True),
        ("not (year = 2024)", False),
        ("month between '04' and '06'", True),
        ("month not in ('05', '06')", False),
        ("month like '0%'", True),
        ("month not like '_6'", True),
        ("region is null", True),
        ("region is not null", False),
        ("region = 'eu'", False),
        ("day >= '2024-05-01'", True),
        ("`month` = '05' AND \"year\" = 2024", True),
    ],
)
def test_partition_expressions(expression, answer):
    types = {"year": "int", "month": "string", "day": "date", "region": "string"}
    values = {"year": "2024", "month": "05", "day": "2024-05-17", "region": "__HIVE_DEFAULT_PARTITION__"}
    assert satisfies(expression, types, values) is answer


@pytest.mark.parametrize(
    "expression", ["other = 1", "year ==", "year = 'x'", "year + 1 = 2", "year = 1 1", "year is 1", "(year = 1"]
)
def test_other_partition_expressions_are_invalid(expression):
    with refused_with("InvalidInputException", "Expression"):
        satisfies(expression, {"year": "int"}, {"year": "2024"})


# -- resource links ---------------------------------------------------------------------------------------------------


def _link(lake: Lake, by: str, name: str, catalog: str, database: str) -> None:
    lake.database(by, name, TargetDatabase={"CatalogId": catalog, "DatabaseName": database})


def _table_link(lake: Lake, by: str, database: str, name: str, catalog: str, target: tuple[str, str]) -> None:
    points_to = {"CatalogId": catalog, "DatabaseName": target[0], "Name": target[1]}
    lake.call(by, "glue:CreateTable", DatabaseName=database, TableInput={"Name": name, "TargetTable": points_to})


def test_creating_a_link_checks_nothing_of_its_target(lake, owner):
    _link(lake, owner, "nowhere", "999999999999", "missing")
    database = lake.call(owner, "glue:GetDatabase", Name="nowhere")["Database"]
    assert database["TargetDatabase"] == {"CatalogId": "999999999999", "DatabaseName": "missing"}
    _table_link(lake, owner, "sales", "lost", "999999999999", ("missing", "gone"))
    lost = lake.call(owner, "glue:GetTable", DatabaseName="sales", Name="lost")["Table"]
    assert lost["TargetTable"]["Name"] == "gone"
    with refused_with("AlreadyExistsException"):
        _link(lake, owner, "nowhere", "999999999999", "another")


def test_a_link_shows_its_targets_properties_to_who_sees_the_target(lake, owner):
    lake.call(
        owner, "glue:UpdateDatabase", Name="sales", DatabaseInput={"Name": "sales", "Description": "the real one"}
    )
    _link(lake, owner, "alias", _account(owner), "sales")
    shown = lake.call(owner, "glue:GetDatabase", Name="alias")["Database"]
    assert (shown["Name"], shown["Description"]) == ("alias", "the real one")
    reader = lake.role(_account(owner), "reader")
    lake.grant(owner, reader, on_database("alias"), "DESCRIBE")
    assert "Description" not in lake.call(reader, "glue:GetDatabase", Name="alias")["Database"]


def test_through_a_database_link_one_gets_the_targets_tables_that_one_may_see(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    lake.table(owner, "sales", "secret")
    reader = lake.role(_account(owner), "reader")
    for resource, permission in (
        (on_database("alias"), "DESCRIBE"),
        (on_database("sales"), "DESCRIBE"),
        (on_table("sales", "orders"), "SELECT"),
    ):
        with refused_with("EntityNotFoundException"):
            lake.call(reader, "glue:GetTable", DatabaseName="alias", Name="orders")
        lake.grant(owner, reader, resource, permission)
    assert [t["Name"] for t in lake.call(reader, "glue:GetTables", DatabaseName="alias")["TableList"]] == ["orders"]
    table = lake.call(reader, "glue:GetTable", DatabaseName="alias", Name="orders")["Table"]
    assert (table["DatabaseName"], table["CatalogId"]) == ("sales", _account(owner))
    assert lake.reads(reader, "alias", "orders") == {"id", "email", "total", "year", "month"}


def test_only_creator_and_administrators_see_a_link_until_describe_is_granted(lake, owner):
    maker, other = lake.role(_account(owner), "maker"), lake.role(_account(owner), "other")
    lake.grant(owner, maker, {"Catalog": {}}, "CREATE_DATABASE")
    _link(lake, maker, "alias", _account(owner), "sales")
    assert lake.sees_database(maker, "alias")
    assert lake.sees_database(owner, "alias")
    assert not lake.sees_database(other, "alias")
    lake.grant(owner, other, on_database("alias"), "DESCRIBE")
    assert lake.sees_database(other, "alias")


def test_a_link_takes_only_describe_and_drop(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    other = lake.role(_account(owner), "other")
    for permission in ("ALTER", "CREATE_TABLE", "ALL"):
        with refused_with("InvalidInputException", "not valid"):
            lake.grant(owner, other, on_database("alias"), permission)


def test_an_administrator_first_grants_itself_drop_on_anothers_link(lake, owner):
    maker = lake.role(_account(owner), "maker")
    lake.grant(owner, maker, {"Catalog": {}}, "CREATE_DATABASE")
    _link(lake, maker, "alias", _account(owner), "sales")
    with refused_with("AccessDeniedException", "Required Drop"):
        lake.call(owner, "glue:DeleteDatabase", Name="alias")
    lake.grant(owner, owner, on_database("alias"), "DROP")
    lake.call(owner, "glue:DeleteDatabase", Name="alias")
    assert lake.sees(owner, "sales", "orders")


def test_permission_on_a_link_is_none_on_its_target(lake, owner):
    _table_link(lake, owner, "sales", "alias", _account(owner), ("sales", "orders"))
    reader = lake.role(_account(owner), "reader")
    lake.grant(owner, reader, on_table("sales", "alias"), "DESCRIBE")
    bare = lake.call(reader, "glue:GetTable", DatabaseName="sales", Name="alias")["Table"]
    assert "StorageDescriptor" not in bare
    assert lake.reads(reader, "sales", "alias") == set()
    lake.grant(owner, reader, on_table("sales", "orders"), "SELECT")
    assert lake.reads(reader, "sales", "alias") == {"id", "email", "total", "year", "month"}
    shown = lake.call(reader, "glue:GetTable", DatabaseName="sales", Name="alias")["Table"]
    assert shown["Name"] == "alias"
    assert [c["Name"] for c in shown["StorageDescriptor"]["Columns"]] == ["id", "email", "total"]


def test_updating_a_link_updates_the_target(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    lake.call(owner, "glue:UpdateDatabase", Name="alias", DatabaseInput={"Name": "alias", "Description": "new"})
    assert lake.call(owner, "glue:GetDatabase", Name="sales")["Database"]["Description"] == "new"
    _table_link(lake, owner, "sales", "short", _account(owner), ("sales", "orders"))
    lake.call(owner, "glue:UpdateTable", DatabaseName="sales", TableInput=table_input("short", ("only",)))
    assert lake.sees(owner, "sales", "orders") == ["only"]
    with refused_with("InvalidInputException", "pointed elsewhere"):
        elsewhere = {"CatalogId": _account(owner), "DatabaseName": "hr"}
        lake.call(
            owner, "glue:UpdateDatabase", Name="alias", DatabaseInput={"Name": "alias", "TargetDatabase": elsewhere}
        )


def test_deleting_through_a_database_link_deletes_in_the_target(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    lake.call(owner, "glue:DeleteTable", DatabaseName="alias", Name="orders")
    assert lake.sees(owner, "sales", "orders") is None


def test_deleting_a_link_leaves_the_target(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    _table_link(lake, owner, "sales", "short", _account(owner), ("sales", "orders"))
    lake.call(owner, "glue:DeleteTable", DatabaseName="sales", Name="short")
    lake.call(owner, "glue:DeleteDatabase", Name="alias")
    assert lake.sees(owner, "sales", "orders") == ["id", "email", "total"]


def test_a_table_made_through_a_link_is_in_the_target_but_a_table_link_cannot_be(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    lake.table(owner, "alias", "made")
    assert lake.sees(owner, "sales", "made") == ["id", "email", "total"]
    with refused_with("InvalidInputException", "through a database resource link"):
        _table_link(lake, owner, "alias", "short", _account(owner), ("sales", "orders"))


def test_a_link_outlives_its_target_and_dangles(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    lake.call(owner, "glue:DeleteDatabase", Name="sales")
    assert lake.sees_database(owner, "alias")
    with refused_with("EntityNotFoundException"):
        lake.call(owner, "glue:GetTables", DatabaseName="alias")
    lake.database(owner, "sales")
    assert lake.call(owner, "glue:GetTables", DatabaseName="alias")["TableList"] == []


def test_only_the_first_of_chained_links_is_followed(lake, owner):
    _link(lake, owner, "first", _account(owner), "second")
    _link(lake, owner, "second", _account(owner), "sales")
    assert lake.reads(owner, "second", "orders")
    assert lake.reads(owner, "first", "orders") == set()


def test_a_table_link_reached_through_a_database_link_is_not_followed(lake, owner):
    _link(lake, owner, "alias", _account(owner), "sales")
    _table_link(lake, owner, "sales", "short", _account(owner), ("sales", "orders"))
    bare = lake.call(owner, "glue:GetTable", DatabaseName="alias", Name="short")["Table"]
    assert bare["TargetTable"]["Name"] == "orders"
    assert "StorageDescriptor" not in bare
    with refused_with("EntityNotFoundException"):
        lake.call(owner, "glue:UpdateTable", DatabaseName="alias", TableInput=table_input("short"))
    assert lake.reads(owner, "alias", "short") == set()


def test_partitions_are_reached_through_links(lake, owner):
    lake.call(owner, "glue:CreatePartition", **_where(PartitionInput=_partition("2024", "01")))
    _link(lake, owner, "alias", _account(owner), "sales")
    _table_link(lake, owner, "sales", "short", _account(owner), ("sales", "orders"))
    for database, table in (("alias", "orders"), ("sales", "short")):
        found = lake.call(owner, "glue:GetPartitions", DatabaseName=database, TableName=table)["Partitions"]
        assert [p["Values"] for p in found] == [["2024", "01"]]
    lake_formation = lake.world.engines["lakeformation"]
    partitions = lake_formation.readable_partitions(owner, _account(owner), None, "alias", "orders")
    assert partitions == lake_formation.partitions(_account(owner), "sales", "orders")
    assert partitions[0]["StorageDescriptor"]["Location"] == "s3://lake/somewhere/2024/01"


def test_a_query_engine_gets_the_whole_table_with_what_is_readable(lake, owner):
    reader = lake.role(_account(owner), "reader")
    columns = {"TableWithColumns": {"DatabaseName": "sales", "Name": "orders", "ColumnNames": ["id"]}}
    lake.grant(owner, reader, columns, "SELECT")
    table = lake.world.engines["lakeformation"].resolve_table(reader, _account(owner), None, "SALES", "Orders")
    assert (table.catalog_id, table.database, table.name) == (_account(owner), "sales", "orders")
    assert table.columns == [("id", "string"), ("email", "string"), ("total", "string")]
    assert table.partition_keys == [("year", "string"), ("month", "string")]
    assert table.readable == {"id", "year", "month"}
    assert table.storage_descriptor["Location"] == "s3://lake/somewhere"


# -- events and the resource policy -----------------------------------------------------------------------------------


def test_changes_of_the_catalogue_are_events(lake, owner):
    account = _account(owner)
    lake.call(owner, "glue:BatchCreatePartition", **_where(PartitionInputList=[_partition("2024", "01")]))
    lake.call(owner, "glue:UpdateTable", DatabaseName="sales", TableInput=table_input("orders", ("id",)))
    lake.call(owner, "glue:DeleteTable", DatabaseName="sales", Name="orders")
    lake.call(owner, "glue:DeleteDatabase", Name="sales")
    seen = {event["detail"]["typeOfChange"]: event for event in lake.events()}
    assert set(seen) == {
        "CreateDatabase",
        "CreateTable",
        "BatchCreatePartition",
        "UpdateTable",
        "DeleteTable",
        "DeleteDatabase",
    }
    assert seen["CreateTable"]["detail-type"] == "Glue Data Catalog Database State Change"
    assert seen["CreateTable"]["detail"] == {
        "typeOfChange": "CreateTable",
        "databaseName": "sales",
        "changedTables": ["orders"],
    }
    assert seen["CreateTable"]["resources"] == [f"arn:aws:glue:eu-west-1:{account}:table/sales/orders"]
    assert seen["BatchCreatePartition"]["detail-type"] == "Glue Data Catalog Table State Change"
    assert seen["BatchCreatePartition"]["detail"]["changedPartitions"] == ["2024,01"]
    assert {event["account"] for event in seen.values()} == {account}
    assert {event["source"] for event in seen.values()} == {"aws.glue"}


def test_the_resource_policy_is_kept_under_conditions(lake, owner):
    with refused_with("EntityNotFoundException"):
        lake.call(owner, "glue:GetResourcePolicy")
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = lake.call(owner, "glue:PutResourcePolicy", PolicyInJson=policy, PolicyExistsCondition="NOT_EXIST")
    found = lake.call(owner, "glue:GetResourcePolicy")
    assert (found["PolicyInJson"], found["PolicyHash"]) == (policy, made["PolicyHash"])
    assert len(lake.call(owner, "glue:GetResourcePolicies")["GetResourcePoliciesResponseList"]) == 1
    with refused_with("ConditionCheckFailureException"):
        lake.call(owner, "glue:PutResourcePolicy", PolicyInJson=policy, PolicyHashCondition="other")
    with refused_with("InvalidInputException"):
        lake.call(owner, "glue:PutResourcePolicy", PolicyInJson="{{")
    lake.call(owner, "glue:DeleteResourcePolicy")
    assert lake.call(owner, "glue:GetResourcePolicies")["GetResourcePoliciesResponseList"] == []


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("glue:CreateUserDefinedFunction", {"DatabaseName": "sales", "FunctionInput": {}}),
        ("glue:GetTable", {"DatabaseName": "sales", "Name": "orders", "TransactionId": "1"}),
        ("glue:CreateDatabase", {"DatabaseInput": {"Name": "a"}, "Tags": {"a": "b"}}),
    ],
)
def test_what_is_not_built_is_refused(lake, owner, operation, params):
    with refused_with("LocalAwsNotSupported"):
        lake.call(owner, operation, **params)


def test_links_to_other_regions_and_creating_in_other_accounts_are_refused(lake, owner):
    with refused_with("LocalAwsNotSupported", "Region"):
        elsewhere = {"CatalogId": _account(owner), "DatabaseName": "sales", "Region": "us-east-1"}
        lake.database(owner, "far", TargetDatabase=elsewhere)
    with refused_with("LocalAwsNotSupported", "CatalogId"):
        lake.call(owner, "glue:GetTables", CatalogId="nested/catalog", DatabaseName="sales")
