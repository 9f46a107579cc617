"""Grants in the local AWS: what may be granted, by whom, and what it lets one read."""

import threading
import time

import pytest
from lake_scene import (
    grant_of,
    lake_world,
    on_columns,
    on_database,
    on_policy,
    on_table,
    on_tag,
    refused_with,
    root,
)

ALL_COLUMNS = {"id", "email", "total"}


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


@pytest.fixture
def admin(lake):
    """An administrator with tags `domain` and `pii`, and a table sales.orders (id, email, total)."""
    _, admin = lake.governed()
    lake.tag(admin, "domain", "sales", "hr")
    lake.tag(admin, "pii", "none", "contact", "unknown")
    lake.database(admin, "sales")
    lake.table(admin, "sales", "orders")
    return admin


@pytest.fixture
def reader(lake, admin):
    return lake.role(_account(admin), "reader", path="/aws-reserved/sso.amazonaws.com/")


def _account(arn):
    return arn.split(":")[4]


def _listed(lake, principal, **filters):
    """{(principal, kind of resource): permissions} of the grants listed."""
    entries = lake.pages(principal, "lakeformation:ListPermissions", "PrincipalResourcePermissions", **filters)
    return {
        (entry["Principal"]["DataLakePrincipalIdentifier"], next(iter(entry["Resource"]))): entry["Permissions"]
        for entry in entries
    }


# -- named grants -----------------------------------------------------------------------------------------------------


def test_select_reads_all_columns_and_implies_describe(lake, admin, reader):
    lake.grant(admin, reader, on_table("sales", "orders"), "SELECT")
    assert lake.reads(reader, "sales", "orders") == ALL_COLUMNS
    assert lake.sees(reader, "sales", "orders") == ["id", "email", "total"]


def test_describe_shows_but_does_not_read(lake, admin, reader):
    lake.grant(admin, reader, on_table("sales", "orders"), "DESCRIBE")
    assert lake.sees(reader, "sales", "orders") == ["id", "email", "total"]
    assert lake.reads(reader, "sales", "orders") == set()


def test_a_permission_on_the_database_is_none_on_its_tables(lake, admin, reader):
    lake.grant(admin, reader, on_database("sales"), "ALL")
    assert lake.sees(reader, "sales", "orders") is None


def test_a_permission_on_a_table_does_not_show_its_database(lake, admin, reader):
    lake.grant(admin, reader, on_table("sales", "orders"), "SELECT")
    assert not lake.sees_database(reader, "sales")


def test_all_tables_include_those_created_later(lake, admin, reader):
    lake.grant(admin, reader, on_table("sales", None), "SELECT")
    lake.table(admin, "sales", "later")
    assert lake.reads(reader, "sales", "later") == ALL_COLUMNS


def test_column_lists_include_and_exclude_and_never_restrict_partition_keys(lake, admin, reader):
    lake.table(admin, "sales", "daily", keys=("day",))
    lake.grant(admin, reader, on_columns("sales", "daily", "id", "total"), "SELECT")
    assert lake.reads(reader, "sales", "daily") == {"id", "total", "day"}
    assert lake.sees(reader, "sales", "daily") == ["id", "total"]
    other = lake.role(_account(admin), "other")
    without = {
        "TableWithColumns": {
            "DatabaseName": "sales",
            "Name": "daily",
            "ColumnWildcard": {"ExcludedColumnNames": ["email"]},
        }
    }
    lake.grant(admin, other, without, "SELECT")
    assert lake.reads(other, "sales", "daily") == {"id", "total", "day"}
    without["TableWithColumns"]["ColumnWildcard"]["ExcludedColumnNames"] = ["day"]
    with refused_with("InvalidInputException", "partition keys cannot be restricted"):
        lake.grant(admin, other, without, "SELECT")


def test_column_lists_of_a_table_grow_and_shrink(lake, admin, reader):
    lake.grant(admin, reader, on_columns("sales", "orders", "id"), "SELECT")
    lake.grant(admin, reader, on_columns("sales", "orders", "total"), "SELECT")
    assert lake.reads(reader, "sales", "orders") == {"id", "total"}
    lake.revoke(admin, reader, on_columns("sales", "orders", "id"), "SELECT")
    assert lake.reads(reader, "sales", "orders") == {"total"}
    lake.revoke(admin, reader, on_columns("sales", "orders", "total"), "SELECT")
    assert lake.sees(reader, "sales", "orders") is None


def test_select_on_chosen_columns_cannot_carry_the_grant_option(lake, admin, reader):
    with refused_with("InvalidInputException", "grant option"):
        lake.grant(admin, reader, on_columns("sales", "orders", "id"), "SELECT", grantable=True)


@pytest.mark.parametrize("permission", ["DESCRIBE", "ALTER", "DROP", "DELETE", "INSERT"])
def test_partial_select_and_other_permissions_exclude_each_other(lake, admin, permission):
    first, second = lake.role(_account(admin), "first"), lake.role(_account(admin), "second")
    lake.grant(admin, first, on_columns("sales", "orders", "id"), "SELECT")
    with refused_with("InvalidInputException", "chosen columns"):
        lake.grant(admin, first, on_table("sales", "orders"), permission)
    lake.grant(admin, second, on_table("sales", "orders"), permission)
    with refused_with("InvalidInputException", "chosen columns"):
        lake.grant(admin, second, on_columns("sales", "orders", "id"), "SELECT")


@pytest.mark.parametrize(
    ("resource", "permission"),
    [
        (on_database("sales"), "SELECT"),
        (on_database("sales"), "CREATE_DATABASE"),
        (on_table("sales", "orders"), "CREATE_TABLE"),
        (on_columns("sales", "orders", "id"), "DESCRIBE"),
        ({"Catalog": {}}, "CREATE_TABLE"),
        (on_tag("pii", "none"), "SELECT"),
        (on_tag("pii", "none"), "ALTER"),
        (on_policy("DATABASE", pii=["none"]), "SELECT"),
        (on_policy("TABLE", pii=["none"]), "CREATE_TABLE"),
    ],
)
def test_each_kind_of_resource_takes_only_its_permissions(lake, admin, reader, resource, permission):
    with refused_with("InvalidInputException", "not valid"):
        lake.grant(admin, reader, resource, permission)


def test_what_is_not_there_cannot_be_granted_on(lake, admin, reader):
    for resource in (
        on_database("missing"),
        on_table("sales", "missing"),
        on_columns("sales", "orders", "missing"),
        on_tag("missing", "x"),
        on_tag("pii", "missing"),
        on_policy("TABLE", pii=["missing"]),
    ):
        permission = "SELECT" if "TableWithColumns" in resource else "DESCRIBE"
        with refused_with("EntityNotFoundException"):
            lake.grant(admin, reader, resource, permission)


def test_principals_must_exist_and_be_of_a_listed_form(lake, admin):
    account = _account(admin)
    session, pattern = f"arn:aws:sts::{account}:assumed-role/reader/me", f"arn:aws:iam::{account}:role/read*"
    for wrong in (f"arn:aws:iam::{account}:role/missing", session, pattern, "somebody", account):
        with refused_with("InvalidInputException", "principal"):
            lake.grant(admin, wrong, on_table("sales", "orders"), "SELECT")
    organization = f"arn:aws:organizations::{account}:organization/o-abcdefghij"
    with refused_with("LocalAwsNotSupported"):
        lake.grant(admin, organization, on_table("sales", "orders"), "SELECT")


def test_the_group_of_all_iam_principals_is_held_to_lake_formation(lake, admin, reader):
    lake.grant(admin, f"{_account(admin)}:IAMPrincipals", on_columns("sales", "orders", "id"), "SELECT")
    assert lake.reads(reader, "sales", "orders") == {"id"}


def test_iam_allowed_principals_takes_all_and_nothing_else(lake, admin, reader):
    with refused_with("InvalidInputException", "takes only ALL"):
        lake.grant(admin, "IAM_ALLOWED_PRINCIPALS", on_table("sales", "orders"), "SELECT")
    lake.grant(admin, "IAM_ALLOWED_PRINCIPALS", on_table("sales", "orders"), "ALL")
    assert lake.reads(reader, "sales", "orders") == ALL_COLUMNS
    lake.revoke(admin, "IAM_ALLOWED_PRINCIPALS", on_table("sales", "orders"), "ALL")
    assert lake.reads(reader, "sales", "orders") == set()


def test_a_resource_names_exactly_one_thing(lake, admin, reader):
    with refused_with("InvalidInputException", "exactly one"):
        lake.grant(admin, reader, {**on_database("sales"), **on_table("sales", "orders")}, "DESCRIBE")


# -- revoking ---------------------------------------------------------------------------------------------------------


def test_revoking_super_leaves_what_was_granted_besides(lake, admin, reader):
    lake.grant(admin, reader, on_table("sales", "orders"), "ALL")
    lake.grant(admin, reader, on_table("sales", "orders"), "SELECT")
    lake.revoke(admin, reader, on_table("sales", "orders"), "ALL")
    assert lake.reads(reader, "sales", "orders") == ALL_COLUMNS
    with refused_with("AccessDeniedException"):
        lake.call(reader, "glue:DeleteTable", DatabaseName="sales", Name="orders")


def test_revoking_what_is_not_held_fails_and_changes_nothing(lake, admin, reader):
    with refused_with("InvalidInputException", "No permissions revoked"):
        lake.revoke(admin, reader, on_table("sales", "orders"), "SELECT")
    lake.grant(admin, reader, on_table("sales", "orders"), "SELECT", "DESCRIBE")
    with refused_with("InvalidInputException", "does not have: ALTER"):
        lake.revoke(admin, reader, on_table("sales", "orders"), "SELECT", "ALTER")
    assert lake.reads(reader, "sales", "orders") == ALL_COLUMNS


def test_revoking_some_values_of_a_tag_is_all_or_nothing(lake, admin, reader):
    lake.grant(admin, reader, on_tag("pii", "none", "contact"), "DESCRIBE")
    with refused_with("InvalidInputException", "No permissions revoked"):
        lake.revoke(admin, reader, on_tag("pii", "none", "unknown"), "DESCRIBE")
    assert lake.call(reader, "lakeformation:GetLFTag", TagKey="pii")["TagValues"] == ["none", "contact"]
    lake.revoke(admin, reader, on_tag("pii", "none"), "DESCRIBE")
    assert lake.call(reader, "lakeformation:GetLFTag", TagKey="pii")["TagValues"] == ["contact"]


def test_granting_again_changes_nothing(lake, admin, reader):
    for _ in range(2):
        lake.grant(admin, reader, on_table("sales", "orders"), "SELECT")
    lake.revoke(admin, reader, on_table("sales", "orders"), "SELECT")
    assert lake.reads(reader, "sales", "orders") == set()


def test_the_grant_option_can_be_revoked_alone(lake, admin, reader):
    other = lake.role(_account(admin), "other")
    lake.grant(admin, reader, on_table("sales", "orders"), "SELECT", grantable=True)
    lake.revoke(admin, reader, on_table("sales", "orders"), grantable=("SELECT",))
    assert lake.reads(reader, "sales", "orders") == ALL_COLUMNS
    with refused_with("AccessDeniedException"):
        lake.grant(reader, other, on_table("sales", "orders"), "SELECT")


def test_a_second_grant_adds_to_the_first(lake, admin, reader):
    other = lake.role(_account(admin), "other")
    lake.grant(admin, reader, on_database("sales"), "ALTER", grantable=True)
    lake.grant(admin, reader, on_database("sales"), "CREATE_TABLE")
    lake.table(reader, "sales", "made")
    lake.call(reader, "glue:UpdateDatabase", Name="sales", DatabaseInput={"Name": "sales"})
    lake.grant(reader, other, on_database("sales"), "ALTER")
    lake.revoke(admin, reader, on_database("sales"), "CREATE_TABLE")
    with refused_with("AccessDeniedException"):
        lake.table(reader, "sales", "another")
    lake.call(reader, "glue:UpdateDatabase", Name="sales", DatabaseInput={"Name": "sales"})


# -- who may grant ----------------------------------------------------------------------------------------------------


def test_administrators_grant_anything_to_anybody_and_are_no_readers(lake, admin, reader):
    maker = lake.role(_account(admin), "maker")
    lake.grant(admin, maker, on_database("sales"), "CREATE_TABLE")
    lake.table(maker, "sales", "made")
    assert lake.reads(admin, "sales", "made") == set()
    lake.grant(admin, reader, on_table("sales", "made"), "SELECT")
    lake.grant(admin, admin, on_table("sales", "made"), "SELECT")
    assert lake.reads(reader, "sales", "made") == lake.reads(admin, "sales", "made") == ALL_COLUMNS


def test_the_grant_option_passes_on_what_it_was_given_for(lake, admin, reader):
    other = lake.role(_account(admin), "other")
    with refused_with("EntityNotFoundException", "not authorized"):
        lake.grant(reader, other, on_table("sales", "orders"), "SELECT")
    lake.grant(admin, reader, on_table("sales", "orders"), "SELECT", "ALTER", grantable=("SELECT",))
    lake.grant(reader, other, on_table("sales", "orders"), "SELECT")
    assert lake.reads(other, "sales", "orders") == ALL_COLUMNS
    with refused_with("AccessDeniedException", "ALTER"):
        lake.grant(reader, other, on_table("sales", "orders"), "ALTER")
    with refused_with("InvalidInputException", "subset"):
        lake.grant(reader, other, on_table("sales", "orders"), "SELECT", grantable=("ALTER",))


def test_the_accounts_iam_administrator_is_no_data_lake_administrator(lake, admin, reader):
    with refused_with("EntityNotFoundException"):
        lake.grant(root(_account(admin)), reader, on_table("sales", "orders"), "SELECT")


def test_a_policy_is_passed_on_only_identical_and_with_permission_on_its_tags(lake, admin, reader):
    other = lake.role(_account(admin), "other")
    policy = on_policy("TABLE", pii=["none", "contact"], domain=["sales"])
    lake.grant(admin, reader, policy, "SELECT", grantable=True)
    with refused_with("EntityNotFoundException"):
        lake.grant(reader, other, policy, "SELECT")
    for tag in (on_tag("pii", "none", "contact"), on_tag("domain", "*")):
        lake.grant(admin, reader, tag, "GRANT_WITH_LF_TAG_EXPRESSION")
    with refused_with("EntityNotFoundException"):
        lake.grant(reader, other, on_policy("TABLE", pii=["none"], domain=["sales"]), "SELECT")
    lake.grant(reader, other, on_policy("TABLE", domain=["SALES"], pii=["contact", "none"]), "SELECT")
    with refused_with("AccessDeniedException"):
        lake.grant(reader, other, policy, "ALTER")


# -- LF-Tag policies --------------------------------------------------------------------------------------------------


def test_a_table_policy_matches_keys_by_and_values_by_or(lake, admin, reader):
    lake.grant(admin, reader, on_policy("TABLE", domain=["sales"], pii=["none", "contact"]), "SELECT")
    for tags, readable in (
        ({"domain": "sales"}, set()),
        ({"pii": "none"}, ALL_COLUMNS),
        ({"pii": "contact"}, ALL_COLUMNS),
        ({"pii": "unknown"}, set()),
        ({"pii": "none", "domain": "hr"}, set()),
    ):
        lake.assign(admin, on_table("sales", "orders"), **tags)
        assert lake.reads(reader, "sales", "orders") == readable, tags


def test_a_wildcard_in_a_policy_is_any_value_of_the_key(lake, admin, reader):
    lake.grant(admin, reader, on_policy("TABLE", pii=["*"]), "SELECT")
    assert lake.reads(reader, "sales", "orders") == set()
    lake.assign(admin, on_database("sales"), pii="unknown")
    assert lake.reads(reader, "sales", "orders") == ALL_COLUMNS


def test_a_database_policy_gives_nothing_on_tables_nor_a_table_policy_on_databases(lake, admin, reader):
    other = lake.role(_account(admin), "other")
    lake.assign(admin, on_database("sales"), domain="sales")
    lake.grant(admin, reader, on_policy("DATABASE", domain=["sales"]), "DESCRIBE")
    assert lake.sees_database(reader, "sales")
    assert lake.sees(reader, "sales", "orders") is None
    lake.grant(admin, other, on_policy("TABLE", domain=["sales"]), "SELECT")
    assert not lake.sees_database(other, "sales")
    assert lake.reads(other, "sales", "orders") == ALL_COLUMNS


def test_a_database_policy_shows_only_databases_that_match(lake, admin, reader):
    lake.database(admin, "people")
    lake.assign(admin, on_database("sales"), domain="sales")
    lake.assign(admin, on_database("people"), domain="hr")
    lake.grant(admin, reader, on_policy("DATABASE", domain=["sales"]), "CREATE_TABLE")
    assert lake.sees_database(reader, "sales")
    assert not lake.sees_database(reader, "people")
    lake.table(reader, "sales", "made")
    with refused_with("AccessDeniedException"):
        lake.table(reader, "people", "made")


def test_a_column_overridden_to_another_value_is_all_that_is_lost(lake, admin, reader):
    lake.assign(admin, on_table("sales", "orders"), pii="none")
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "SELECT")
    lake.assign(admin, on_columns("sales", "orders", "email"), pii="contact")
    assert lake.reads(reader, "sales", "orders") == {"id", "total"}
    assert lake.sees(reader, "sales", "orders") == ["id", "total"]


def test_some_columns_of_an_otherwise_closed_table_can_be_opened(lake, admin, reader):
    lake.table(admin, "sales", "daily", keys=("day",))
    lake.assign(admin, on_database("sales"), pii="unknown")
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "SELECT")
    assert lake.sees(reader, "sales", "daily") is None
    lake.assign(admin, on_columns("sales", "daily", "id"), pii="none")
    assert lake.sees(reader, "sales", "daily") == ["id"]
    assert lake.reads(reader, "sales", "daily") == {"id", "day"}


def test_on_some_columns_changing_permissions_collapse_to_describe(lake, admin, reader):
    lake.assign(admin, on_table("sales", "orders"), pii="none")
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "DROP")
    lake.assign(admin, on_columns("sales", "orders", "email"), pii="contact")
    assert lake.sees(reader, "sales", "orders") == ["id", "total"]
    assert lake.reads(reader, "sales", "orders") == set()
    with refused_with("AccessDeniedException", "Required Drop"):
        lake.call(reader, "glue:DeleteTable", DatabaseName="sales", Name="orders")
    lake.assign(admin, on_columns("sales", "orders", "email"), pii="none")
    lake.call(reader, "glue:DeleteTable", DatabaseName="sales", Name="orders")


def test_on_some_columns_super_collapses_to_select_and_describe(lake, admin, reader):
    lake.assign(admin, on_table("sales", "orders"), pii="none")
    lake.assign(admin, on_columns("sales", "orders", "email"), pii="contact")
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "ALL")
    assert lake.reads(reader, "sales", "orders") == {"id", "total"}
    with refused_with("AccessDeniedException"):
        lake.call(reader, "glue:DeleteTable", DatabaseName="sales", Name="orders")


def test_named_and_tag_grants_add_up(lake, admin, reader):
    lake.assign(admin, on_columns("sales", "orders", "total"), pii="none")
    lake.grant(admin, reader, on_columns("sales", "orders", "id"), "SELECT")
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "SELECT")
    assert lake.reads(reader, "sales", "orders") == {"id", "total"}


def test_an_inline_expression_has_at_most_900_bytes(lake, admin, reader):
    values = [f"value-number-{number:02}" for number in range(50)]
    lake.tag(admin, "long", *values)
    lake.grant(admin, reader, on_policy("TABLE", long=values[:40]), "SELECT")
    with refused_with("InvalidInputException", "900"):
        lake.grant(admin, reader, on_policy("TABLE", long=values), "SELECT")


def test_a_principal_has_at_most_50_policies_of_each_kind(lake, admin, reader):
    values = [f"v{number}" for number in range(50)]
    lake.tag(admin, "many", *values)
    for value in values:
        lake.grant(admin, reader, on_policy("TABLE", many=[value]), "SELECT")
    lake.grant(admin, reader, on_policy("TABLE", many=["v0"]), "DESCRIBE")
    lake.grant(admin, reader, on_policy("DATABASE", many=["v0"]), "DESCRIBE")
    with refused_with("InvalidInputException", "more than 50"):
        lake.grant(admin, reader, on_policy("TABLE", many=["v0", "v1"]), "SELECT")


def test_a_named_expression_is_refused(lake, admin, reader):
    resource = {"LFTagPolicy": {"ResourceType": "TABLE", "ExpressionName": "saved"}}
    with refused_with("LocalAwsNotSupported", "ExpressionName"):
        lake.grant(admin, reader, resource, "SELECT")


def test_parallel_policy_grants_to_one_principal_are_concurrent_modifications(lake, admin, reader):
    other = lake.role(_account(admin), "other")
    first = threading.Thread(target=lake.grant, args=(admin, reader, on_policy("TABLE", pii=["none"]), "SELECT"))
    with lake.world.lock:
        first.start()
        deadline = time.monotonic() + 5
        while not lake.world.engines["lakeformation"]._policy_changes._names and time.monotonic() < deadline:
            time.sleep(0.001)
        with refused_with("ConcurrentModificationException"):
            lake.grant(admin, reader, on_policy("TABLE", pii=["contact"]), "SELECT")
        lake.grant(admin, reader, on_table("sales", "orders"), "DESCRIBE")
        lake.grant(admin, other, on_policy("TABLE", pii=["contact"]), "SELECT")
    first.join()
    lake.grant(admin, reader, on_policy("TABLE", pii=["contact"]), "SELECT")


# -- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_does_what_it_can_and_names_the_rest(lake, admin, reader):
    entries = [
        {"Id": "good", **grant_of(reader, on_table("sales", "orders"), ["SELECT"], ["SELECT"])},
        {"Id": "bad", **grant_of(reader, on_table("sales", "missing"), ["SELECT"])},
    ]
    answer = lake.call(admin, "lakeformation:BatchGrantPermissions", Entries=entries)
    assert [(f["RequestEntry"]["Id"], f["Error"]["ErrorCode"]) for f in answer["Failures"]] == [
        ("bad", "EntityNotFoundException")
    ]
    assert lake.reads(reader, "sales", "orders") == ALL_COLUMNS
    lake.grant(reader, lake.role(_account(admin), "other"), on_table("sales", "orders"), "SELECT")
    answer = lake.call(admin, "lakeformation:BatchRevokePermissions", Entries=entries[:1])
    assert answer["Failures"] == []
    assert lake.reads(reader, "sales", "orders") == set()


def test_a_batch_has_at_most_20_entries(lake, admin, reader):
    grant = grant_of(reader, on_table("sales", "orders"), ["SELECT"])
    entries = [{"Id": str(number), **grant} for number in range(21)]
    with refused_with("InvalidInputException", "at most 20"):
        lake.call(admin, "lakeformation:BatchGrantPermissions", Entries=entries)
    assert lake.call(admin, "lakeformation:BatchGrantPermissions", Entries=entries[:20])["Failures"] == []


# -- lists ------------------------------------------------------------------------------------------------------------


def test_explicit_grants_are_listed_with_select_apart(lake, admin, reader):
    lake.grant(admin, reader, on_table("sales", "orders"), "SELECT", "DESCRIBE")
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "SELECT")
    lake.grant(admin, reader, on_tag("pii", "none", "contact"), "DESCRIBE")
    mine = _listed(lake, admin, Principal={"DataLakePrincipalIdentifier": reader})
    assert mine == {
        (reader, "Table"): ["DESCRIBE"],
        (reader, "TableWithColumns"): ["SELECT"],
        (reader, "LFTagPolicy"): ["SELECT"],
        (reader, "LFTag"): ["DESCRIBE"],
    }
    tables = _listed(lake, admin, ResourceType="TABLE", Principal={"DataLakePrincipalIdentifier": reader})
    assert set(tables) == {(reader, "Table"), (reader, "TableWithColumns")}
    on_it = _listed(lake, admin, Resource=on_table("sales", "orders"))
    assert {principal for principal, _ in on_it} == {admin, reader}
    tag = lake.call(admin, "lakeformation:ListPermissions", Resource=on_tag("pii", "none"))
    listed = [entry["Resource"]["LFTag"]["TagValues"] for entry in tag["PrincipalResourcePermissions"]]
    assert listed == [["none"]]
    policies = _listed(lake, admin, ResourceType="LF_TAG_POLICY_DATABASE")
    assert policies == {}


def test_creators_are_listed_as_owners_with_the_grant_option(lake, admin):
    answer = lake.call(admin, "lakeformation:ListPermissions", Resource=on_database("sales"))
    entry = answer["PrincipalResourcePermissions"][0]
    assert entry["Principal"]["DataLakePrincipalIdentifier"] == admin
    assert entry["Permissions"] == entry["PermissionsWithGrantOption"]
    assert entry["Permissions"] == ["ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"]


def test_with_principal_and_resource_effective_permissions_are_listed(lake, admin, reader):
    lake.assign(admin, on_columns("sales", "orders", "id"), pii="none")
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "SELECT")
    answer = lake.call(
        admin,
        "lakeformation:ListPermissions",
        Principal={"DataLakePrincipalIdentifier": reader},
        Resource=on_table("sales", "orders"),
    )
    shown = {next(iter(e["Resource"])): e for e in answer["PrincipalResourcePermissions"]}
    assert shown["TableWithColumns"]["Resource"]["TableWithColumns"]["ColumnNames"] == ["id"]
    assert shown["Table"]["Permissions"] == ["DESCRIBE"]
    assert _listed(lake, admin, Resource=on_table("sales", "orders"), ResourceType="TABLE").keys() == {
        (admin, "Table"),
        (admin, "TableWithColumns"),
    }


def test_strangers_cannot_ask_what_others_effectively_have(lake, admin, reader):
    lake.grant(admin, reader, on_policy("TABLE", pii=["none"]), "SELECT")
    lake.assign(admin, on_table("sales", "orders"), pii="none")
    asked = {"Principal": {"DataLakePrincipalIdentifier": reader}, "Resource": on_table("sales", "orders")}
    assert len(_listed(lake, reader, **asked)) == 2
    assert _listed(lake, lake.role(_account(admin), "stranger"), **asked) == {}


def test_lists_are_filtered_by_what_the_caller_may_see(lake, admin, reader):
    other = lake.role(_account(admin), "other")
    lake.grant(admin, other, on_table("sales", "orders"), "SELECT", "ALTER")
    assert _listed(lake, reader) == {}
    lake.grant(admin, reader, on_table("sales", "orders"), "ALTER", grantable=True)
    assert _listed(lake, reader) == {
        (reader, "Table"): ["ALTER"],
        (other, "Table"): ["ALTER"],
        (admin, "Table"): ["ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT"],
    }


def test_lists_come_in_pages_of_1000(lake, admin):
    principal = lake.role(_account(admin), "many")
    for number in range(505):
        lake.table(admin, "sales", f"t{number}")
    lake.grant(admin, principal, on_table("sales", None), "SELECT")
    first = lake.call(admin, "lakeformation:ListPermissions")
    assert len(first["PrincipalResourcePermissions"]) == 1_000
    entries = lake.pages(admin, "lakeformation:ListPermissions", "PrincipalResourcePermissions")
    assert len(entries) > 1_010
    everything = [
        entry["Resource"] for entry in entries if entry["Principal"]["DataLakePrincipalIdentifier"] == principal
    ]
    assert everything[0]["TableWithColumns"]["Name"] == "ALL_TABLES"


def test_columns_cannot_be_listed_by_themselves(lake, admin):
    with refused_with("InvalidInputException"):
        lake.call(admin, "lakeformation:ListPermissions", Resource=on_columns("sales", "orders", "id"))
