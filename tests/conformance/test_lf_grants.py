"""Grants by name: what may be granted on what, to whom, how grants add up and are taken back."""

import pytest
from lab import refused
from lake_calls import (
    IAM_ALLOWED,
    grant,
    on_columns,
    on_database,
    on_policy,
    on_table,
    on_tag,
    principal,
    revoke,
    sees,
    shown_database,
    table_link,
)
from lf_desk import CENTRAL, a_role, lake_formation, listed, readable

ALL_COLUMNS = ["email", "id", "total"]
CATALOG = {"Catalog": {}}


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.fixture(scope="module")
def pii(lab):
    return lab.lf_tag(CENTRAL, "pii", "none", "contact", "unknown")


@pytest.fixture(scope="module")
def names(lab):
    """A database and a table (id, email, total) of the administrator's."""
    database = lab.database(CENTRAL)
    return database, lab.table(CENTRAL, database, "orders")


@pytest.fixture
def reader(lab):
    return a_role(lab, "reader", path="/aws-reserved/sso.amazonaws.com/")


def without(database, table, *columns):
    wildcard = {"ExcludedColumnNames": list(columns)}
    return {"TableWithColumns": {"DatabaseName": database, "Name": table, "ColumnWildcard": wildcard}}


# -- what a grant gives -----------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-grants.implies-describe")
def test_select_reads_all_columns_and_implies_describe(lab, names, reader):
    assert sees(lab, reader, *names) is None
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT")
    assert readable(lab, reader, *names) == ALL_COLUMNS
    assert sees(lab, reader, *names) == ["id", "email", "total"]


@pytest.mark.statement("lf-grants.describe")
def test_describe_shows_but_does_not_read(lab, names, reader):
    grant(lab, CENTRAL, reader, on_table(*names), "DESCRIBE")
    assert sees(lab, reader, *names) == ["id", "email", "total"]
    assert readable(lab, reader, *names) == []


@pytest.mark.statement("lf-grants.database-alone")
def test_super_on_a_database_gives_nothing_on_its_tables(lab, names, reader):
    grant(lab, CENTRAL, reader, on_database(names[0]), "ALL")
    assert shown_database(lab, reader, names[0])
    assert sees(lab, reader, *names) is None


@pytest.mark.statement("lf-grants.table-shows-no-database")
def test_a_grant_on_a_table_does_not_show_its_database(lab, names, reader):
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT")
    assert shown_database(lab, reader, names[0]) is None


@pytest.mark.statement("lf-grants.all-tables")
def test_all_tables_include_those_made_later(lab, reader):
    database = lab.database(CENTRAL)
    first = lab.table(CENTRAL, database)
    grant(lab, CENTRAL, reader, on_table(database, None), "SELECT")
    grant(lab, CENTRAL, reader, on_table(database, None), "DESCRIBE")
    assert readable(lab, reader, database, first) == ALL_COLUMNS
    assert readable(lab, reader, database, lab.table(CENTRAL, database)) == ALL_COLUMNS
    every = {"TableWithColumns": {"DatabaseName": database, "Name": "ALL_TABLES", "ColumnWildcard": {}}}
    revoke(lab, CENTRAL, reader, every, "SELECT")
    assert readable(lab, reader, database, first) == []
    revoke(lab, CENTRAL, reader, {"Table": {"DatabaseName": database, "Name": "ALL_TABLES"}}, "DESCRIBE")
    assert sees(lab, reader, database, first) is None


@pytest.mark.statement("lf-grants.columns")
def test_columns_are_listed_or_left_out(lab, names, reader):
    grant(lab, CENTRAL, reader, on_columns(*names, "id", "total"), "SELECT")
    assert readable(lab, reader, *names) == sees(lab, reader, *names) == ["id", "total"]
    other = a_role(lab, "other")
    grant(lab, CENTRAL, other, without(*names, "id", "email"), "SELECT")
    assert readable(lab, other, *names) == sees(lab, other, *names) == ["total"]
    revoke(lab, CENTRAL, other, without(*names, "id", "email"), "SELECT")
    assert sees(lab, other, *names) is None


@pytest.mark.statement("lf-grants.columns")
def test_column_lists_of_a_table_grow_and_shrink(lab, names, reader):
    grant(lab, CENTRAL, reader, on_columns(*names, "id"), "SELECT")
    grant(lab, CENTRAL, reader, on_columns(*names, "total"), "SELECT")
    grant(lab, CENTRAL, reader, without(*names, "id", "email", "total"), "SELECT")
    assert readable(lab, reader, *names) == ["id", "total"]
    with refused("InvalidInputException", message="No permissions revoked"):
        revoke(lab, CENTRAL, reader, on_columns(*names, "id", "email"), "SELECT")
    revoke(lab, CENTRAL, reader, on_columns(*names, "id"), "SELECT")
    assert readable(lab, reader, *names) == ["total"]
    revoke(lab, CENTRAL, reader, on_columns(*names, "total"), "SELECT")
    assert sees(lab, reader, *names) is None


@pytest.mark.statement("lf-grants.revoke-held")
def test_revoking_listed_columns_of_which_none_is_held_fails(lab, names, reader):
    with refused("InvalidInputException", message="No permissions revoked"):
        revoke(lab, CENTRAL, reader, on_columns(*names, "id"), "SELECT")
    grant(lab, CENTRAL, reader, on_table(*names), "DESCRIBE")
    with refused("InvalidInputException", message="No permissions revoked"):
        revoke(lab, CENTRAL, reader, on_columns(*names, "id"), "SELECT")
    assert sees(lab, reader, *names) == ["id", "email", "total"]


@pytest.mark.statement("lf-grants.partition-keys")
def test_partition_keys_cannot_be_left_out(lab, names, reader):
    daily = lab.table(CENTRAL, names[0], "daily", keys=("day",))
    with refused("InvalidInputException", message="partition keys cannot be restricted"):
        grant(lab, CENTRAL, reader, without(names[0], daily, "day"), "SELECT")
    grant(lab, CENTRAL, reader, on_columns(names[0], daily, "id"), "SELECT")
    shown = lab.client("glue", reader).get_table(DatabaseName=names[0], Name=daily)["Table"]
    assert [key["Name"] for key in shown["PartitionKeys"]] == ["day"]


@pytest.mark.statement("lf-grants.columns-no-option")
def test_select_on_chosen_columns_cannot_carry_the_grant_option(lab, names, reader):
    for resource in (on_columns(*names, "id"), without(*names, "id")):
        with refused("InvalidInputException", message="grant option"):
            grant(lab, CENTRAL, reader, resource, "SELECT", options=True)
    every = {"TableWithColumns": {"DatabaseName": names[0], "Name": names[1], "ColumnWildcard": {}}}
    grant(lab, CENTRAL, reader, every, "SELECT", options=True)
    assert readable(lab, reader, *names) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.columns-exclude-others")
@pytest.mark.parametrize("permission", ["DESCRIBE", "ALTER", "DROP", "DELETE", "INSERT"])
def test_select_on_chosen_columns_and_other_permissions_exclude_each_other(lab, names, permission):
    first, second = a_role(lab, "first"), a_role(lab, "second")
    grant(lab, CENTRAL, first, on_columns(*names, "id"), "SELECT")
    with refused("InvalidInputException", message="chosen columns"):
        grant(lab, CENTRAL, first, on_table(*names), permission)
    grant(lab, CENTRAL, second, on_table(*names), permission)
    with refused("InvalidInputException", message="chosen columns"):
        grant(lab, CENTRAL, second, on_columns(*names, "id"), "SELECT")


@pytest.mark.statement("lf-grants.columns-exclude-others")
def test_on_another_table_or_for_another_principal_they_do_not(lab, names, reader):
    other = lab.table(CENTRAL, names[0], "other")
    grant(lab, CENTRAL, reader, on_columns(*names, "id"), "SELECT")
    grant(lab, CENTRAL, reader, on_table(names[0], other), "ALTER")
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT")
    grant(lab, CENTRAL, reader, on_table(names[0], None), "DESCRIBE")
    assert readable(lab, reader, *names) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.permissions-by-resource")
@pytest.mark.parametrize(
    ("kind", "permission"),
    [
        ("database", "SELECT"),
        ("database", "CREATE_DATABASE"),
        ("table", "CREATE_TABLE"),
        ("columns", "DESCRIBE"),
        ("catalog", "CREATE_TABLE"),
        ("tag", "SELECT"),
        ("tag", "ALTER"),
        ("tags", "SELECT"),
        ("databases", "SELECT"),
        ("tables", "CREATE_TABLE"),
        ("location", "SELECT"),
        ("link", "SELECT"),
        ("link", "ALTER"),
    ],
)
def test_each_kind_of_resource_takes_only_its_permissions(lab, names, pii, reader, kind, permission):
    resource = {
        "database": on_database(names[0]),
        "table": on_table(*names),
        "columns": on_columns(*names, "id"),
        "catalog": CATALOG,
        "tag": on_tag(pii, "none"),
        "tags": on_tag(pii, "*"),
        "databases": on_policy("DATABASE", {pii: ["none"]}),
        "tables": on_policy("TABLE", {pii: ["none"]}),
        "location": {"DataLocation": {"ResourceArn": "arn:aws:s3:::somewhere/data"}},
    }
    if kind == "link":
        resource["link"] = on_table(names[0], table_link(lab, CENTRAL, names[0], lab.account(CENTRAL), *names))
    with refused("InvalidInputException", message="not valid"):
        grant(lab, CENTRAL, reader, resource[kind], permission)


@pytest.mark.statement("lf-grants.link-permissions")
def test_a_link_takes_describe_and_drop_and_passes_nothing_to_its_target(lab, names, reader):
    link = table_link(lab, CENTRAL, names[0], lab.account(CENTRAL), *names)
    grant(lab, CENTRAL, reader, on_table(names[0], link), "DESCRIBE", "DROP")
    assert sees(lab, reader, *names) is None
    assert readable(lab, reader, names[0], link) == []


@pytest.mark.statement("lf-grants.missing")
def test_what_is_not_there_cannot_be_granted_on(lab, names, pii, reader):
    database, table = names
    gone = lab.name("missing")
    for resource in (
        on_database(gone),
        on_table(gone, "t"),
        on_table(gone, None),
        on_table(database, gone),
        on_columns(gone, "t", "id"),
        on_columns(database, gone, "id"),
        on_columns(database, table, "id", gone),
        without(database, table, gone),
        on_tag(gone, "x"),
        on_tag(pii, "missing"),
        on_policy("TABLE", {pii: ["missing"]}),
        on_policy("TABLE", {pii: ["none"], gone: ["none"]}),
    ):
        permission = "SELECT" if "TableWithColumns" in resource else "DESCRIBE"
        with refused("EntityNotFoundException"):
            grant(lab, CENTRAL, reader, resource, permission)


@pytest.mark.statement("lf-grants.one-resource")
def test_a_resource_names_exactly_one_thing(lab, names, reader):
    database, table = names
    for wrong in (
        {},
        {**on_database(database), **on_table(database, table)},
        {"Table": {"DatabaseName": database}},
        {"Table": {"DatabaseName": database, "Name": table, "TableWildcard": {}}},
        {"TableWithColumns": {"DatabaseName": database, "Name": table}},
        {"TableWithColumns": {"DatabaseName": database, "Name": table, "ColumnNames": ["id"], "ColumnWildcard": {}}},
        {"TableWithColumns": {"DatabaseName": database, "Name": "ALL_TABLES", "ColumnNames": ["id"]}},
    ):
        with refused("InvalidInputException"):
            grant(lab, CENTRAL, reader, wrong, "SELECT" if "TableWithColumns" in wrong else "DESCRIBE")


@pytest.mark.statement("lf-grants.no-filters")
@pytest.mark.local_only("what the local AWS does not build it refuses")
def test_a_data_cell_filter_is_refused(lab, names, reader):
    shape = {"TableCatalogId": lab.account(CENTRAL), "DatabaseName": names[0], "TableName": names[1], "Name": "f"}
    with refused("LocalAwsNotSupported"):
        grant(lab, CENTRAL, reader, {"DataCellsFilter": shape}, "SELECT")


# -- to whom ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-grants.principals")
def test_principals_exist_and_have_a_listed_form(lab, names):
    account = lab.account(CENTRAL)
    for wrong in (
        f"arn:aws:iam::{account}:role/missing-{lab.name('x')}",
        f"arn:aws:iam::{account}:user/missing-{lab.name('x')}",
        f"arn:aws:sts::{account}:assumed-role/reader/me",
        f"arn:aws:iam::{account}:role/read*",
        f"arn:aws:iam::{account}:role/" + "x" * 256,
        "somebody",
        account,
    ):
        with refused("InvalidInputException", "ValidationException"):
            grant(lab, CENTRAL, wrong, on_table(*names), "SELECT")


@pytest.mark.statement("lf-grants.other-principals")
@pytest.mark.local_only("what the local AWS does not build it refuses")
@pytest.mark.parametrize(
    "form",
    [
        "arn:aws:identitystore:::group/0000",
        "arn:aws:iam::{0}:saml-provider/x:user/y",
    ],
)
def test_identity_center_and_saml_principals_are_refused(lab, names, form):
    with refused("LocalAwsNotSupported"):
        grant(lab, CENTRAL, form.format(lab.account(CENTRAL)), on_table(*names), "SELECT")


@pytest.mark.statement("lf-grants.iam-principals-group")
def test_the_group_of_all_iam_principals_is_held_to_lake_formation(lab, reader):
    database = lab.database(CENTRAL)
    table = lab.table(CENTRAL, database)
    grant(lab, CENTRAL, f"{lab.account(CENTRAL)}:IAMPrincipals", on_columns(database, table, "id"), "SELECT")
    assert readable(lab, reader, database, table) == ["id"]


@pytest.mark.statement("lf-grants.iam-allowed")
def test_iam_allowed_principals_takes_super_and_lets_iam_alone_decide(lab, reader):
    database = lab.database(CENTRAL)
    table = lab.table(CENTRAL, database)
    for resource, permission in (
        (on_table(database, table), "SELECT"),
        (on_database(database), "DESCRIBE"),
        (on_columns(database, table, "id"), "SELECT"),
        (CATALOG, "CREATE_LF_TAG"),
    ):
        with refused("InvalidInputException", message="takes only ALL"):
            grant(lab, CENTRAL, IAM_ALLOWED, resource, permission)
    grant(lab, CENTRAL, IAM_ALLOWED, on_table(database, table), "ALL")
    assert readable(lab, reader, database, table) == ALL_COLUMNS
    assert shown_database(lab, reader, database) is None
    grant(lab, CENTRAL, IAM_ALLOWED, on_database(database), "ALL")
    assert shown_database(lab, reader, database)
    for resource in (on_table(database, table), on_database(database)):
        revoke(lab, CENTRAL, IAM_ALLOWED, resource, "ALL")
    assert sees(lab, reader, database, table) is None and shown_database(lab, reader, database) is None


@pytest.mark.statement("lf-grants.iam-allowed")
def test_iam_allowed_principals_cannot_get_a_policy(lab, pii):
    with refused("InvalidInputException", message="takes only ALL"):
        grant(lab, CENTRAL, IAM_ALLOWED, on_policy("TABLE", {pii: ["none"]}), "ALL")


# -- adding up and taking back ----------------------------------------------------------------------------------------


@pytest.mark.statement("lf-grants.empty")
def test_a_grant_names_permissions_and_options_among_them(lab, names, reader):
    with refused("InvalidInputException", message="must not be empty"):
        grant(lab, CENTRAL, reader, on_table(*names))
    with refused("InvalidInputException", message="subset"):
        grant(lab, CENTRAL, reader, on_table(*names), "SELECT", options=["ALTER"])
    with refused("InvalidInputException", message="must not be empty"):
        revoke(lab, CENTRAL, reader, on_table(*names))


@pytest.mark.statement("lf-grants.again")
def test_granting_again_changes_nothing(lab, names, reader):
    for _ in range(2):
        grant(lab, CENTRAL, reader, on_table(*names), "SELECT")
    (once,) = listed(lab, CENTRAL, Principal=principal(lab, reader))
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT")
    assert listed(lab, CENTRAL, Principal=principal(lab, reader)) == [once]
    revoke(lab, CENTRAL, reader, on_table(*names), "SELECT")
    assert readable(lab, reader, *names) == []


@pytest.mark.statement("lf-grants.add-up")
def test_a_second_grant_adds_to_the_first(lab, reader):
    database, other = lab.database(CENTRAL), a_role(lab, "other")
    grant(lab, CENTRAL, reader, on_database(database), "ALTER", options=True)
    grant(lab, CENTRAL, reader, on_database(database), "CREATE_TABLE")
    (held,) = listed(lab, CENTRAL, Principal=principal(lab, reader))
    assert (held["Permissions"], held["PermissionsWithGrantOption"]) == (["ALTER", "CREATE_TABLE"], ["ALTER"])
    lab.table(reader, database)
    grant(lab, reader, other, on_database(database), "ALTER")
    revoke(lab, CENTRAL, reader, on_database(database), "CREATE_TABLE")
    with refused("AccessDeniedException"):
        lab.table(reader, database)
    lab.client("glue", reader).update_database(Name=database, DatabaseInput={"Name": database})


@pytest.mark.statement("lf-grants.super")
def test_revoking_super_leaves_what_was_granted_besides(lab, reader):
    database = lab.database(CENTRAL)
    table = lab.table(CENTRAL, database)
    grant(lab, CENTRAL, reader, on_table(database, table), "ALL")
    grant(lab, CENTRAL, reader, on_table(database, table), "SELECT")
    revoke(lab, CENTRAL, reader, on_table(database, table), "ALL")
    assert readable(lab, reader, database, table) == ALL_COLUMNS
    with refused("AccessDeniedException"):
        lab.client("glue", reader).delete_table(DatabaseName=database, Name=table)


@pytest.mark.statement("lf-grants.revoke-held")
def test_revoking_what_is_not_held_fails_and_changes_nothing(lab, names, pii, reader):
    with refused("InvalidInputException", message="Grantee has no permissions and no grantable permissions"):
        revoke(lab, CENTRAL, reader, on_table(*names), "SELECT")
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT")
    with refused("InvalidInputException", message="does not have: ALTER"):
        revoke(lab, CENTRAL, reader, on_table(*names), "ALTER")
    grant(lab, CENTRAL, reader, on_table(*names), "DESCRIBE")
    with refused("InvalidInputException", message="does not have: ALTER"):
        revoke(lab, CENTRAL, reader, on_table(*names), "SELECT", "ALTER")
    with refused("InvalidInputException", message="does not have: SELECT"):
        lake_formation(lab).revoke_permissions(
            Principal=principal(lab, reader),
            Resource=on_table(*names),
            Permissions=[],
            PermissionsWithGrantOption=["SELECT"],
        )
    assert readable(lab, reader, *names) == ALL_COLUMNS
    grant(lab, CENTRAL, reader, on_tag(pii, "none", "contact"), "DESCRIBE")
    with refused("InvalidInputException", message="No permissions revoked"):
        revoke(lab, CENTRAL, reader, on_tag(pii, "none", "unknown"), "DESCRIBE")
    revoke(lab, CENTRAL, reader, on_tag(pii, "contact"), "DESCRIBE")
    assert lake_formation(lab, reader).get_lf_tag(TagKey=pii)["TagValues"] == ["none"]


@pytest.mark.statement("lf-grants.revoke-option")
def test_the_grant_option_is_revoked_alone_and_goes_with_its_permission(lab, names, reader):
    other = a_role(lab, "other")
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT", "ALTER", options=True)
    lake_formation(lab).revoke_permissions(
        Principal=principal(lab, reader),
        Resource=on_table(*names),
        Permissions=["ALTER"],
        PermissionsWithGrantOption=["SELECT"],
    )
    assert readable(lab, reader, *names) == ALL_COLUMNS
    for permission in ("SELECT", "ALTER"):
        with refused("AccessDeniedException"):
            grant(lab, reader, other, on_table(*names), permission)


@pytest.mark.statement("lf-grants.go-with-resource")
def test_grants_go_with_what_they_are_on(lab, reader):
    glue, database = lab.client("glue", CENTRAL), lab.database(CENTRAL)
    table = lab.table(CENTRAL, database)
    grant(lab, CENTRAL, reader, on_table(database, table), "SELECT")
    glue.delete_table(DatabaseName=database, Name=table)
    shape = {"Name": table, "StorageDescriptor": {"Columns": [{"Name": "id", "Type": "string"}]}}
    glue.create_table(DatabaseName=database, TableInput=shape)
    assert sees(lab, reader, database, table) is None
    grant(lab, CENTRAL, reader, on_table(database, None), "SELECT")
    grant(lab, CENTRAL, reader, on_database(database), "DESCRIBE")
    glue.delete_database(Name=database)
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput=shape)
    assert shown_database(lab, reader, database) is None
    assert sees(lab, reader, database, table) is None
