"""What may be granted to other accounts and their principals, by whom, and what keeps it from working."""

import json

import pytest
from lab import refused
from lake_calls import (
    IAM_ALLOWED,
    LAKE_ACTIONS,
    SHARING_ACTIONS,
    data_product,
    database_link,
    grant,
    holds,
    on_columns,
    on_database,
    on_table,
    on_tag,
    one_organization,
    revoke,
    sees,
    shared_resources,
    shown_database,
    table_names,
)

ALL_COLUMNS = ["id", "email", "total"]


@pytest.fixture(scope="module", autouse=True)
def accounts(lab):
    one_organization(lab)
    for part in ("central", "consumer"):
        lab.lake(part)


@pytest.fixture(scope="module")
def product(lab):
    return data_product(lab)


@pytest.fixture
def fresh_table(lab, product):
    """A table of the product that nobody was granted anything on."""
    return lab.table("central", product.database, "plain")


@pytest.fixture
def reader(lab):
    return lab.role("consumer", "reader", allow=LAKE_ACTIONS)


def _sees(product, who, table):
    return sees(product.lab, who, product.database, table, product.catalog)


# -- what crosses -------------------------------------------------------------------------------------------------


@pytest.mark.statement("sharing.no-database-drop")
@pytest.mark.parametrize("permission", ["DROP", "ALL"])
def test_drop_and_super_on_a_database_stay_in_its_account(lab, product, permission):
    for resource in (on_database(product.database), product.databases()):
        with refused("InvalidInputException", message="database"):
            grant(lab, "central", "consumer", resource, permission)


@pytest.mark.statement("sharing.table-any")
def test_drop_on_a_table_and_alter_on_a_database_are_granted_to_another_account(lab, product, fresh_table):
    grant(lab, "central", "consumer", on_table(product.database, fresh_table), "DROP", "ALL")
    grant(lab, "central", "consumer", on_database(product.database), "ALTER", "DESCRIBE")
    grant(lab, "central", "consumer", product.tables("none"), "DROP")


@pytest.mark.statement("sharing.no-catalog")
def test_permissions_on_a_catalogue_stay_in_its_account(lab):
    with refused("InvalidInputException", message="catalog"):
        grant(lab, "central", "consumer", {"Catalog": {}}, "CREATE_DATABASE")


@pytest.mark.statement("sharing.tag-permissions")
def test_of_a_tag_only_describe_and_associate_cross_accounts(lab, product):
    grant(lab, "central", "consumer", on_tag(product.pii, "none"), "DESCRIBE", "ASSOCIATE")
    with refused("InvalidInputException", message="LF-Tag"):
        grant(lab, "central", "consumer", on_tag(product.pii, "none"), "GRANT_WITH_LF_TAG_EXPRESSION")
    with refused("InvalidInputException", message="LF-Tag"):
        grant(lab, "central", "consumer", on_tag(product.pii, "*"), "ALTER")


@pytest.mark.statement("sharing.identity-center")
@pytest.mark.local_only("AWS grants to identities where IAM Identity Center is integrated")
def test_grants_to_identities_of_identity_center_are_refused_as_not_built(lab, product):
    with refused("LocalAwsNotSupported", message="identitystore"):
        grant(lab, "central", "arn:aws:identitystore:::user/a1-b2", product.tables("none"), "SELECT")


@pytest.mark.statement("sharing.principal-forms")
@pytest.mark.parametrize(
    "form", ["arn:aws:iam::{}:role/*", "arn:aws:sts::{}:assumed-role/a/b", "arn:aws:sso:::permissionSet/a/b", "{}1"]
)
def test_wildcards_sessions_and_permission_sets_are_no_principals(lab, product, form):
    with refused("InvalidInputException", message="principal"):
        grant(lab, "central", form.format(lab.account("consumer")), product.tables("none"), "SELECT")


# -- straight to principals ---------------------------------------------------------------------------------------


@pytest.mark.statement("sharing.direct-alone", "sharing.direct-link")
def test_only_the_grantee_of_a_direct_grant_sees_it_and_reaches_it_through_a_link_of_its_own(
    lab, product, fresh_table, reader
):
    other = lab.role("consumer", "other", allow=LAKE_ACTIONS)
    shared = on_table(product.database, fresh_table, product.catalog)
    grant(lab, "central", reader, on_table(product.database, fresh_table), "SELECT")
    grant(lab, "central", reader, on_database(product.database), "DESCRIBE")
    assert holds(lab, reader, shared) >= {"SELECT"}
    assert _sees(product, "consumer", fresh_table) is None
    assert _sees(product, other, fresh_table) is None
    mine = lab.client("lakeformation", reader).list_permissions(CatalogId=product.catalog)
    grantees = [each["Principal"]["DataLakePrincipalIdentifier"] for each in mine["PrincipalResourcePermissions"]]
    assert grantees == [reader.arn, reader.arn]
    theirs = lab.client("lakeformation", "consumer").list_permissions(CatalogId=product.catalog)
    assert reader.arn not in str(theirs["PrincipalResourcePermissions"])
    link = database_link(lab, reader, product.catalog, product.database)
    assert table_names(lab, reader, link) == [fresh_table]
    assert lab.client("glue", reader).delete_database(Name=link)


@pytest.mark.statement("sharing.direct-no-option")
def test_a_direct_grant_takes_no_grant_option(lab, product, reader):
    with refused("InvalidInputException", message="grant option"):
        grant(lab, "central", reader, product.tables("none"), "SELECT", options=True)


@pytest.mark.statement("sharing.direct-tags")
def test_a_tag_itself_is_not_granted_to_another_accounts_principal(lab, product, reader):
    with refused("InvalidInputException", message="LF-Tags"):
        grant(lab, "central", reader, on_tag(product.pii, "none"), "DESCRIBE")


@pytest.mark.statement("sharing.direct-group")
def test_a_grant_reaches_all_principals_of_another_account_as_a_group(lab, product, fresh_table, reader):
    everybody, shared = f"{lab.account('consumer')}:IAMPrincipals", on_database(product.database, product.catalog)
    with refused("InvalidInputException", message="grant option"):
        grant(lab, "central", everybody, on_table(product.database, fresh_table), "SELECT", options=True)
    grant(lab, "central", everybody, on_table(product.database, fresh_table), "SELECT")
    grant(lab, "central", everybody, on_database(product.database), "DESCRIBE")
    assert _sees(product, reader, fresh_table) == ALL_COLUMNS
    assert holds(lab, reader, shared) == {"DESCRIBE"}
    found = lab.client("lakeformation", reader).list_permissions(CatalogId=product.catalog)
    assert everybody in str(found["PrincipalResourcePermissions"])
    revoke(lab, "central", everybody, on_table(product.database, fresh_table), "SELECT")
    assert _sees(product, reader, fresh_table) is None


# -- IAMAllowedPrincipals -----------------------------------------------------------------------------------------


@pytest.mark.statement("sharing.illegal-combination")
@pytest.mark.parametrize("iam_has", ["database", "table"])
@pytest.mark.parametrize("shared", ["database", "table", "columns", "all tables"])
def test_sharing_what_iam_allowed_principals_have_is_an_illegal_combination(lab, iam_has, shared):
    database = lab.database("central", "open")
    table = lab.table("central", database, "facts")
    resources = {
        "database": (on_database(database), "DESCRIBE"),
        "table": (on_table(database, table), "DESCRIBE"),
        "columns": (on_columns(database, table, "id"), "SELECT"),
        "all tables": (on_table(database, None), "DESCRIBE"),
    }
    held = resources[iam_has][0]
    grant(lab, "central", IAM_ALLOWED, held, "ALL")
    resource, permission = resources[shared]
    if (iam_has, shared) == ("table", "database"):
        grant(lab, "central", "consumer", resource, permission)
        return
    with refused("AccessDeniedException", message="Illegal combination"):
        grant(lab, "central", "consumer", resource, permission)
    revoke(lab, "central", IAM_ALLOWED, held, "ALL")
    grant(lab, "central", "consumer", resource, permission)


@pytest.mark.statement("sharing.iam-allowed-blocks")
@pytest.mark.parametrize("on", ["database", "table"])
def test_iam_allowed_principals_keep_other_accounts_out_of_what_was_shared(lab, on):
    product = data_product(lab)
    product.share("consumer")
    assert _sees(product, "consumer", product.table) == ["id", "total"]
    resource = on_database(product.database) if on == "database" else on_table(product.database, product.table)
    grant(lab, "central", IAM_ALLOWED, resource, "ALL")
    with refused("AccessDeniedException", message=IAM_ALLOWED):
        glue = lab.client("glue", "consumer")
        glue.get_table(CatalogId=product.catalog, DatabaseName=product.database, Name=product.table)
    seen = shown_database(lab, "consumer", product.database, product.catalog)
    assert (seen is None) == (on == "database")
    revoke(lab, "central", IAM_ALLOWED, resource, "ALL")
    assert _sees(product, "consumer", product.table) == ["id", "total"]


# -- by whom ------------------------------------------------------------------------------------------------------


def _owner(lab, product, table, *ram_actions):
    """A role of central that may grant a table on, and in IAM only does Lake Formation and some of RAM."""
    role = lab.role("central", "owner", allow=LAKE_ACTIONS)
    if ram_actions:
        lab.allow(role, *ram_actions)
    grant(lab, "central", role, on_table(product.database, table), "SELECT", options=True)
    return role


@pytest.mark.statement("sharing.grantor-ram")
def test_a_grant_that_makes_a_share_needs_ram_permissions_and_without_them_gives_nothing(lab, product, fresh_table):
    table, to = on_table(product.database, fresh_table), lab.role("consumer", "reader", allow=LAKE_ACTIONS)
    bare = _owner(lab, product, fresh_table)
    with refused("AccessDeniedException", message="ram:CreateResourceShare"):
        grant(lab, bare, to, table, "SELECT")
    assert _sees(product, to, fresh_table) is None
    able = _owner(lab, product, fresh_table, "ram:CreateResourceShare")
    grant(lab, able, to, table, "SELECT")
    assert _sees(product, to, fresh_table) == ALL_COLUMNS
    with refused("AccessDeniedException", message="ram:AssociateResourceShare"):
        grant(lab, able, to, table, "SELECT")
    another = _owner(lab, product, fresh_table, "ram:AssociateResourceShare")
    grant(lab, another, to, table, "SELECT")


@pytest.mark.statement("sharing.grantor-ram")
def test_grants_within_the_account_need_nothing_of_ram(lab, product, fresh_table):
    bare, to = _owner(lab, product, fresh_table), lab.role("central", "neighbour", allow=LAKE_ACTIONS)
    grant(lab, bare, to, on_table(product.database, fresh_table), "SELECT")
    revoke(lab, bare, to, on_table(product.database, fresh_table), "SELECT")


@pytest.mark.statement("sharing.revoker-ram")
def test_revoking_from_another_account_needs_ram_permissions(lab, product, fresh_table):
    table, to = on_table(product.database, fresh_table), lab.role("consumer", "reader", allow=LAKE_ACTIONS)
    owner = _owner(lab, product, fresh_table, "ram:CreateResourceShare")
    grant(lab, owner, to, table, "SELECT")
    with refused("AccessDeniedException", message="ram:DisassociateResourceShare"):
        revoke(lab, owner, to, table, "SELECT")
    assert _sees(product, to, fresh_table) == ALL_COLUMNS
    lab.allow(owner, "ram:DisassociateResourceShare")
    revoke(lab, owner, to, table, "SELECT")
    assert _sees(product, to, fresh_table) is None


@pytest.mark.statement("sharing.grantor-ram")
def test_ram_permissions_may_be_narrowed_to_lake_formations_shares(lab, product, fresh_table):
    owner, to = _owner(lab, product, fresh_table), lab.role("consumer", "reader", allow=SHARING_ACTIONS)
    statements = [
        {"Action": "ram:CreateResourceShare", "Condition": {"StringLike": {"ram:RequestedResourceType": "glue:*"}}},
        {"Action": "ram:*AssociateResourceShare", "Condition": {"StringLike": {"ram:ResourceShareName": "Other*"}}},
    ]
    _put_policy(lab, owner, statements)
    grant(lab, owner, to, on_table(product.database, fresh_table), "SELECT")
    shares = lab.client("ram", to).get_resource_shares(resourceOwner="OTHER-ACCOUNTS")["resourceShares"]
    assert f"table/{product.database}/{fresh_table}" in shared_resources(lab, to, "OTHER-ACCOUNTS")
    assert all(each["name"].startswith("LakeFormation-") for each in shares)
    for change in (grant, revoke):
        with refused("AccessDeniedException", message="associateResourceShare"):
            change(lab, owner, to, on_table(product.database, fresh_table), "SELECT")
    statements[1]["Condition"] = {"StringLike": {"ram:ResourceShareName": "LakeFormation*"}}
    statements.append({"Action": "ram:DisassociateResourceShare"})
    _put_policy(lab, owner, statements)
    for change in (grant, revoke):
        change(lab, owner, to, on_table(product.database, fresh_table), "SELECT")


def _put_policy(lab, role, statements):
    document = [{"Effect": "Allow", "Resource": "*", **each} for each in statements]
    lab.client("iam", role.account).put_role_policy(
        RoleName=role.name,
        PolicyName="sharing",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": document}),
    )


# -- from the other side ------------------------------------------------------------------------------------------


@pytest.mark.statement("sharing.foreign-changes")
def test_a_shared_table_is_altered_and_dropped_by_who_holds_the_permissions(lab, product, fresh_table, reader):
    glue, where = lab.client("glue", reader), {"CatalogId": product.catalog, "DatabaseName": product.database}
    change = {"Name": fresh_table, "StorageDescriptor": {"Columns": [{"Name": "only", "Type": "string"}]}}
    grant(lab, "central", reader, on_table(product.database, fresh_table), "SELECT")
    with refused("AccessDeniedException", message="Required Alter"):
        glue.update_table(**where, TableInput=change)
    with refused("AccessDeniedException", message="Required Drop"):
        glue.delete_table(**where, Name=fresh_table)
    grant(lab, "central", reader, on_table(product.database, fresh_table), "ALTER", "DROP")
    glue.update_table(**where, TableInput=change)
    assert sees(lab, "central", product.database, fresh_table) == ["only"]
    glue.delete_table(**where, Name=fresh_table)
    assert sees(lab, "central", product.database, fresh_table) is None


@pytest.mark.statement("sharing.foreign-create")
@pytest.mark.local_only("AWS creates the table")
def test_creating_tables_in_another_account_is_refused_as_not_built(lab, product, reader):
    grant(lab, "central", reader, on_database(product.database), "CREATE_TABLE")
    with refused("LocalAwsNotSupported", message="another account"):
        lab.client("glue", reader).create_table(
            CatalogId=product.catalog, DatabaseName=product.database, TableInput={"Name": "mine"}
        )


@pytest.mark.statement("sharing.settings-own")
def test_settings_and_catalogue_of_another_account_are_out_of_reach(lab):
    other = {"CatalogId": lab.account("central")}
    with refused("AccessDeniedException"):
        lab.client("lakeformation", "consumer").get_data_lake_settings(**other)
    with refused("AccessDeniedException", message="Create Database"):
        lab.client("glue", "consumer").create_database(**other, DatabaseInput={"Name": lab.name("theirs")})
