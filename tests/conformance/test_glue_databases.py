"""Databases of the Data Catalog: what they keep, who may do what, what new ones get."""

import pytest
from lab import refused
from lake_calls import (
    IAM_ALLOWED,
    LAKE_ACTIONS,
    grant,
    on_database,
    on_table,
    revoke,
    sees,
    shown_database,
    table_names,
)

IAM_ONLY = [{"Principal": {"DataLakePrincipalIdentifier": IAM_ALLOWED}, "Permissions": ["ALL"]}]
ALL_COLUMNS = ["id", "email", "total"]


@pytest.fixture(scope="module", autouse=True)
def account(lab):
    lab.lake("central")
    return lab.account("central")


@pytest.fixture(scope="module")
def glue(lab):
    return lab.client("glue", "central")


@pytest.fixture
def sales(lab):
    return lab.database("central", "sales")


@pytest.fixture
def somebody(lab):
    return lab.role("central", "somebody", allow=LAKE_ACTIONS)


@pytest.mark.statement("glue.database-shape", "glue.folded", "glue.catalog-id")
def test_a_database_keeps_its_properties_under_a_folded_name(lab, account):
    given = {"Description": "people", "LocationUri": "s3://nowhere/hr", "Parameters": {"team": "hr"}}
    name = lab.database("central", "HR", **given)
    shown = shown_database(lab, "central", name.upper(), account)
    assert shown["Name"] == name.lower()
    assert {key: shown[key] for key in given} == given
    assert shown["CatalogId"] == account
    assert shown.get("CreateTableDefaultPermissions", []) == []
    assert shown["CreateTime"]


@pytest.mark.statement("glue.exists", "glue.not-found")
def test_a_database_is_there_once_or_not_at_all(lab, glue, sales):
    with refused("AlreadyExistsException"):
        glue.create_database(DatabaseInput={"Name": sales.upper()})
    missing = lab.name("missing")
    for call in (
        lambda: glue.get_database(Name=missing),
        lambda: glue.delete_database(Name=missing),
        lambda: glue.update_database(Name=missing, DatabaseInput={"Name": missing}),
        lambda: glue.get_tables(DatabaseName=missing),
        lambda: glue.create_table(DatabaseName=missing, TableInput={"Name": "t"}),
    ):
        with refused("EntityNotFoundException"):
            call()


@pytest.mark.statement("glue.names")
def test_names_have_no_control_characters_and_at_most_255(lab, glue):
    with refused("InvalidInputException", "ValidationException"):
        glue.create_database(DatabaseInput={"Name": "new\nline"})
    with refused("InvalidInputException", "ValidationException"):
        glue.create_database(DatabaseInput={"Name": "n" * 256})
    longest = lab.name("n").ljust(255, "n")
    glue.create_database(DatabaseInput={"Name": longest})
    glue.delete_database(Name=longest)


@pytest.mark.statement("glue.catalog-nested")
@pytest.mark.local_only("AWS has catalogues below the default one")
def test_other_catalogues_than_accounts_are_refused_as_not_built(glue):
    with refused("LocalAwsNotSupported", message="CatalogId"):
        glue.get_databases(CatalogId="111111111111:nested")


@pytest.mark.statement("glue.share-type")
@pytest.mark.local_only("AWS lists federated resources")
def test_federated_resources_are_refused_as_not_built(glue):
    for call in (glue.get_databases, glue.search_tables):
        with refused("LocalAwsNotSupported", message="FEDERATED"):
            call(ResourceShareType="FEDERATED")


# -- who may ------------------------------------------------------------------------------------------------------


@pytest.mark.statement("glue.create-database-permission")
def test_who_may_create_databases_owns_them(lab, somebody):
    catalog, glue = {"Catalog": {}}, lab.client("glue", somebody)
    revoke(lab, "central", IAM_ALLOWED, catalog, "CREATE_DATABASE")
    try:
        with refused("AccessDeniedException", message="Required Create Database on Catalog"):
            glue.create_database(DatabaseInput={"Name": lab.name("mine")})
        grant(lab, "central", somebody, catalog, "CREATE_DATABASE")
        name = lab.database(somebody, "mine")
    finally:
        grant(lab, "central", IAM_ALLOWED, catalog, "CREATE_DATABASE")
    glue.update_database(Name=name, DatabaseInput={"Name": name, "Description": "changed"})
    other = lab.role("central", "other", allow=LAKE_ACTIONS)
    grant(lab, somebody, other, on_database(name), "DESCRIBE")
    assert shown_database(lab, other, name)["Description"] == "changed"
    glue.delete_database(Name=name)


@pytest.mark.statement("glue.invisible", "glue.denied")
def test_a_database_is_invisible_without_permission_and_not_changed_without_the_right_one(lab, sales, somebody):
    glue = lab.client("glue", somebody)
    assert shown_database(lab, somebody, sales) is None
    with refused("EntityNotFoundException"):
        table_names(lab, somebody, sales)
    assert sales not in [each["Name"] for each in glue.get_databases()["DatabaseList"]]
    grant(lab, "central", somebody, on_database(sales), "DESCRIBE")
    assert table_names(lab, somebody, sales) == []
    for call, permission in (
        (lambda: glue.update_database(Name=sales, DatabaseInput={"Name": sales}), "Alter"),
        (lambda: glue.delete_database(Name=sales), "Drop"),
        (lambda: glue.create_table(DatabaseName=sales, TableInput={"Name": "t"}), "Create Table"),
    ):
        with refused("AccessDeniedException", message=f"Required {permission} on {sales}"):
            call()


@pytest.mark.statement("glue.all-tables-describe")
def test_a_grant_on_all_tables_shows_the_database_and_one_on_a_table_does_not(lab, sales, somebody):
    table = lab.table("central", sales, "orders")
    grant(lab, "central", somebody, on_table(sales, table), "SELECT")
    assert shown_database(lab, somebody, sales) is None
    grant(lab, "central", somebody, on_table(sales, None), "SELECT")
    assert shown_database(lab, somebody, sales)
    with refused("AccessDeniedException", message="Required Alter"):
        lab.client("glue", somebody).update_database(Name=sales, DatabaseInput={"Name": sales})


@pytest.mark.statement("glue.update-database", "glue.no-rename")
def test_an_update_replaces_the_properties_and_keeps_the_name(lab, glue):
    name = lab.database("central", "sales", Description="before", CreateTableDefaultPermissions=IAM_ONLY)
    glue.update_database(Name=name, DatabaseInput={"Name": name.upper(), "Parameters": {"new": "yes"}})
    shown = shown_database(lab, "central", name)
    assert shown["Parameters"] == {"new": "yes"}
    assert "Description" not in shown
    assert shown["CreateTableDefaultPermissions"] == IAM_ONLY
    glue.update_database(Name=name, DatabaseInput={"Name": name, "CreateTableDefaultPermissions": []})
    assert shown_database(lab, "central", name).get("CreateTableDefaultPermissions", []) == []
    with refused("InvalidInputException", message="renamed"):
        glue.update_database(Name=name, DatabaseInput={"Name": lab.name("other")})


@pytest.mark.statement("glue.delete-database", "glue.deleted-grants")
def test_deleting_a_database_takes_tables_and_grants_with_it(lab, glue, sales, somebody):
    table = lab.table("central", sales, "orders")
    for resource, permission in ((on_database(sales), "DESCRIBE"), (on_table(sales, None), "SELECT")):
        grant(lab, "central", somebody, resource, permission)
    grant(lab, "central", somebody, on_table(sales, table), "SELECT")
    assert sees(lab, somebody, sales, table)
    glue.delete_database(Name=sales)
    assert shown_database(lab, "central", sales) is None
    glue.create_database(DatabaseInput={"Name": sales})
    assert table_names(lab, "central", sales) == []
    columns = {"Columns": [{"Name": "id", "Type": "string"}]}
    glue.create_table(DatabaseName=sales, TableInput={"Name": table, "StorageDescriptor": columns})
    assert shown_database(lab, somebody, sales) is None
    assert sees(lab, somebody, sales, table) is None


# -- defaults -----------------------------------------------------------------------------------------------------


@pytest.mark.statement("glue.defaults")
@pytest.mark.local_only("needs an account that nobody governs yet")
def test_in_a_fresh_account_iam_alone_decides(lab):
    account = lab.fresh()
    somebody = lab.role(account, "somebody", allow=LAKE_ACTIONS)
    database = lab.database(account, "open")
    table = lab.table(somebody, database, "facts")
    other = lab.role(account, "other", allow=LAKE_ACTIONS)
    assert sees(lab, other, database, table) == ALL_COLUMNS
    with refused("AccessDeniedException", message="glue:GetTable"):
        sees(lab, lab.role(account, "nobody"), database, table)
    lab.client("glue", other).delete_database(Name=database)


@pytest.mark.statement("glue.defaults")
@pytest.mark.local_only("changes the account's defaults")
def test_the_database_decides_about_its_tables_and_the_account_about_new_databases(lab):
    account = lab.fresh()
    lab.lake(account)
    somebody = lab.role(account, "somebody", allow=LAKE_ACTIONS)
    closed, opened = lab.database(account, "closed"), lab.database(account, "opened", **_iam_tables())
    assert sees(lab, somebody, opened, lab.table(account, opened, "facts")) == ALL_COLUMNS
    formation = lab.client("lakeformation", account)
    settings = formation.get_data_lake_settings()["DataLakeSettings"]
    for kind in ("Database", "Table"):
        settings[f"Create{kind}DefaultPermissions"] = IAM_ONLY
    formation.put_data_lake_settings(DataLakeSettings=settings)
    assert sees(lab, somebody, closed, lab.table(account, closed, "later")) is None
    assert shown_database(lab, somebody, closed) is None
    new = lab.database(account, "new")
    assert shown_database(lab, somebody, new)["CreateTableDefaultPermissions"] == IAM_ONLY
    assert sees(lab, somebody, new, lab.table(account, new, "facts")) == ALL_COLUMNS
    governed = lab.database(account, "governed", CreateTableDefaultPermissions=[])
    assert sees(lab, somebody, governed, lab.table(account, governed, "facts")) is None


def _iam_tables():
    return {"CreateTableDefaultPermissions": IAM_ONLY}


@pytest.mark.statement("glue.defaults-valid")
@pytest.mark.parametrize(
    "wrong",
    [
        [{"Principal": {"DataLakePrincipalIdentifier": IAM_ALLOWED}, "Permissions": ["SELECT"]}],
        [{"Principal": {"DataLakePrincipalIdentifier": "111111111111"}, "Permissions": ["ALL"]}],
        [*IAM_ONLY, *IAM_ONLY],
    ],
)
def test_other_default_permissions_are_invalid(lab, glue, sales, wrong):
    with refused("InvalidInputException", message="only permitted values"):
        lab.database("central", "wrong", CreateTableDefaultPermissions=wrong)
    with refused("InvalidInputException", message="only permitted values"):
        glue.update_database(Name=sales, DatabaseInput={"Name": sales, "CreateTableDefaultPermissions": wrong})


# -- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.statement("glue.pages", "glue.page-bounds", "glue.token", "glue.invisible")
@pytest.mark.local_only("lists all databases of the account")
def test_databases_come_in_pages_of_those_one_sees(lab):
    account = lab.fresh()
    lab.lake(account)
    glue, somebody = lab.client("glue", account), lab.role(account, "somebody", allow=LAKE_ACTIONS)
    for number in range(102):
        glue.create_database(DatabaseInput={"Name": f"d{number:03}"})
    pages = list(glue.get_paginator("get_databases").paginate())
    assert [len(page["DatabaseList"]) for page in pages] == [100, 2]
    names = [each["Name"] for page in pages for each in page["DatabaseList"]]
    assert names == sorted(names)
    pages = list(glue.get_paginator("get_databases").paginate(PaginationConfig={"PageSize": 51}))
    assert [len(page["DatabaseList"]) for page in pages] == [51, 51]
    for name in ("d007", "d101"):
        grant(lab, account, somebody, on_database(name), "DESCRIBE")
    page = lab.client("glue", somebody).get_databases(MaxResults=1)
    assert [each["Name"] for each in page["DatabaseList"]] == ["d007"]
    page = lab.client("glue", somebody).get_databases(MaxResults=1, NextToken=page["NextToken"])
    assert [each["Name"] for each in page["DatabaseList"]] == ["d101"]
    assert "NextToken" not in page
    with refused("InvalidInputException", message="NextToken"):
        glue.get_databases(NextToken="nonsense")
    with refused("ValidationException"):
        glue.get_databases(MaxResults=101)
