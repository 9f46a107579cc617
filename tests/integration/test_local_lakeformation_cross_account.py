"""Sharing across accounts in the local AWS: what reaches another account, and what its administrators may pass on."""

import json

import pytest
from lake_scene import (
    lake_world,
    on_columns,
    on_database,
    on_policy,
    on_table,
    on_tag,
    refused_with,
)

ALL_COLUMNS = {"id", "email", "total"}


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


class Mesh:
    """A central account that has classified sales.orders, and a consumer with an administrator and an analyst.

    `id` and `total` are pii=none, `email` is pii=contact, the database is domain=sales.
    """

    def __init__(self, lake, version="4", in_organization=True):
        self.lake = lake
        self.central, self.owner = lake.governed(version)
        self.consumer, self.admin = lake.governed()
        self.analyst = lake.role(self.consumer, "Analyst")
        if in_organization:
            lake.organization(self.central, self.consumer)
        lake.tag(self.owner, "domain", "sales", "hr")
        lake.tag(self.owner, "pii", "none", "contact", "unknown")
        lake.database(self.owner, "sales")
        lake.table(self.owner, "sales", "orders")
        lake.assign(self.owner, on_database("sales"), domain="sales", pii="unknown")
        lake.assign(self.owner, on_columns("sales", "orders", "id", "total"), pii="none")
        lake.assign(self.owner, on_columns("sales", "orders", "email"), pii="contact")

    def tables(self, *pii, catalog=None):
        return on_policy("TABLE", catalog, domain=["sales"], pii=list(pii))

    def databases(self, catalog=None):
        return on_policy("DATABASE", catalog, domain=["sales"])

    def share(self, grantable=True):
        """What a central account grants a consumer account."""
        self.lake.grant(self.owner, self.consumer, self.tables("none"), "SELECT", "DESCRIBE", grantable=grantable)
        self.lake.grant(self.owner, self.consumer, self.databases(), "DESCRIBE", grantable=grantable)
        for tag in (on_tag("pii", "none"), on_tag("domain", "sales")):
            self.lake.grant(self.owner, self.consumer, tag, "DESCRIBE", grantable=grantable)

    def link(self, to=None):
        """The consumer's steps: a link, DESCRIBE on it, grants on the target."""
        to = to or self.analyst
        target = {"CatalogId": self.central, "DatabaseName": "sales"}
        self.lake.database(self.admin, "sales", TargetDatabase=target)
        self.lake.grant(self.admin, to, on_database("sales"), "DESCRIBE")
        self.regrant(to)

    def regrant(self, to):
        self.lake.grant(self.admin, to, self.databases(self.central), "DESCRIBE")
        self.lake.grant(self.admin, to, self.tables("none", catalog=self.central), "SELECT", "DESCRIBE")


# -- the whole chain --------------------------------------------------------------------------------------------------


def test_an_analyst_reads_the_permitted_columns_through_the_link(lake):
    mesh = Mesh(lake)
    mesh.share()
    mesh.link()
    assert lake.reads(mesh.analyst, "sales", "orders") == {"id", "total"}
    assert lake.sees(mesh.analyst, "sales", "orders") == ["id", "total"]
    tables = lake.call(mesh.analyst, "glue:GetTables", DatabaseName="sales")["TableList"]
    assert [(table["CatalogId"], table["Name"]) for table in tables] == [(mesh.central, "orders")]
    lake.table(mesh.owner, "sales", "secret")
    assert len(lake.call(mesh.analyst, "glue:GetTables", DatabaseName="sales")["TableList"]) == 1


@pytest.mark.parametrize("missing", ["link", "describe on the link", "database grant", "table grant"])
def test_every_step_is_needed(lake, missing):
    mesh = Mesh(lake)
    mesh.share()
    mesh.link()
    if missing == "link":
        lake.call(mesh.admin, "glue:DeleteDatabase", Name="sales")
    elif missing == "describe on the link":
        lake.revoke(mesh.admin, mesh.analyst, on_database("sales"), "DESCRIBE")
    elif missing == "database grant":
        lake.revoke(mesh.admin, mesh.analyst, mesh.databases(mesh.central), "DESCRIBE")
    else:
        lake.revoke(mesh.admin, mesh.analyst, mesh.tables("none", catalog=mesh.central), "SELECT", "DESCRIBE")
    assert lake.reads(mesh.analyst, "sales", "orders") == set()


def test_a_consumers_administrator_sees_what_is_shared_and_reads_none_of_it(lake):
    mesh = Mesh(lake)
    mesh.share()
    mesh.link()
    assert lake.sees(mesh.admin, "sales", "orders") == ["id", "total"]
    assert lake.reads(mesh.admin, "sales", "orders") == set()


def test_retagging_changes_what_is_read_at_once(lake):
    mesh = Mesh(lake)
    mesh.share()
    mesh.link()
    lake.assign(mesh.owner, on_columns("sales", "orders", "total"), pii="contact")
    assert lake.reads(mesh.analyst, "sales", "orders") == {"id"}


def test_databases_shared_with_an_account_are_listed_when_asked_for(lake):
    mesh = Mesh(lake)
    mesh.share()
    lake.database(mesh.admin, "own")

    def names(**share):
        found = lake.call(mesh.admin, "glue:GetDatabases", **share)["DatabaseList"]
        return [(d["CatalogId"], d["Name"]) for d in found]

    assert names() == [(mesh.consumer, "own")]
    assert names(ResourceShareType="FOREIGN") == [(mesh.central, "sales")]
    assert names(ResourceShareType="ALL") == [(mesh.consumer, "own"), (mesh.central, "sales")]
    assert lake.call(mesh.analyst, "glue:GetDatabases", ResourceShareType="FOREIGN")["DatabaseList"] == []
    tables = lake.call(mesh.admin, "glue:SearchTables", ResourceShareType="FOREIGN")["TableList"]
    assert [table["Name"] for table in tables] == ["orders"]


# -- permission cascading ---------------------------------------------------------------------------------------------


def test_an_identical_expression_with_the_grant_option_is_regranted_without_describe(lake):
    mesh = Mesh(lake)
    lake.grant(mesh.owner, mesh.consumer, mesh.tables("none"), "SELECT", grantable=True)
    lake.grant(mesh.admin, mesh.analyst, mesh.tables("NONE", catalog=mesh.central), "SELECT")
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == {"id", "total"}


def test_an_identical_expression_without_the_grant_option_is_denied_even_with_describe(lake):
    mesh = Mesh(lake)
    mesh.share(grantable=False)
    with refused_with("AccessDeniedException"):
        lake.grant(mesh.admin, mesh.analyst, mesh.tables("none", catalog=mesh.central), "SELECT")


def test_another_expression_needs_describe_on_all_its_pairs(lake):
    mesh = Mesh(lake)
    mesh.share(grantable=False)
    wider = mesh.tables("none", "contact", catalog=mesh.central)
    with refused_with("AccessDeniedException", "pii=contact"):
        lake.grant(mesh.admin, mesh.analyst, wider, "SELECT")
    lake.grant(mesh.owner, mesh.consumer, on_tag("pii", "contact"), "DESCRIBE")
    lake.grant(mesh.admin, mesh.analyst, wider, "SELECT")
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == {"id", "total"}


def test_identical_is_per_kind_of_resource_and_covers_only_the_grantable_permissions(lake):
    mesh = Mesh(lake)
    lake.grant(mesh.owner, mesh.consumer, mesh.databases(), "DESCRIBE", grantable=True)
    lake.grant(mesh.owner, mesh.consumer, mesh.tables("none"), "SELECT", "ALTER", grantable=("SELECT",))
    with refused_with("AccessDeniedException", "ALTER"):
        lake.grant(mesh.admin, mesh.analyst, mesh.tables("none", catalog=mesh.central), "ALTER")
    with refused_with("AccessDeniedException"):
        lake.grant(mesh.admin, mesh.analyst, on_policy("TABLE", mesh.central, domain=["sales"]), "SELECT")


def test_revoking_the_accounts_grant_ends_its_regrants(lake):
    mesh = Mesh(lake)
    mesh.share()
    mesh.link()
    lake.revoke(mesh.owner, mesh.consumer, mesh.tables("none"), "SELECT")
    assert lake.reads(mesh.analyst, "sales", "orders") == set()
    lake.revoke(mesh.owner, mesh.consumer, mesh.tables("none"), "DESCRIBE")
    assert lake.sees(mesh.analyst, "sales", "orders") is None


def test_a_regrant_stays_in_the_account(lake):
    mesh = Mesh(lake)
    mesh.share()
    third, third_admin = lake.governed()
    policy = mesh.tables("none", catalog=mesh.central)
    for principal in (third, third_admin, mesh.consumer, "IAM_ALLOWED_PRINCIPALS"):
        with refused_with("InvalidInputException"):
            lake.grant(mesh.admin, principal, policy, "SELECT")
    lake.grant(mesh.admin, f"{mesh.consumer}:IAMPrincipals", policy, "SELECT")
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == {"id", "total"}


def test_only_administrators_or_holders_of_the_grant_option_regrant(lake):
    mesh = Mesh(lake)
    mesh.share()
    other, policy = lake.role(mesh.consumer, "other"), mesh.tables("none", catalog=mesh.central)
    lake.grant(mesh.admin, mesh.analyst, policy, "SELECT")
    with refused_with("AccessDeniedException"):
        lake.grant(mesh.analyst, other, policy, "SELECT")
    lake.grant(mesh.admin, mesh.analyst, policy, "SELECT", grantable=True)
    lake.grant(mesh.analyst, other, policy, "SELECT")
    assert lake.reads(other, "sales", "orders", mesh.central) == {"id", "total"}


def test_a_consumers_administrator_revokes_its_regrants_even_when_nothing_is_shared_any_more(lake):
    mesh = Mesh(lake)
    mesh.share()
    mesh.regrant(mesh.analyst)
    policy = mesh.tables("none", catalog=mesh.central)
    with refused_with("AccessDeniedException"):
        lake.revoke(mesh.analyst, mesh.analyst, policy, "SELECT")
    with refused_with("EntityNotFoundException"):
        lake.revoke(mesh.analyst, mesh.analyst, on_table("sales", "missing", mesh.central), "SELECT")
    lake.revoke(mesh.owner, mesh.consumer, mesh.tables("none"), "SELECT", "DESCRIBE")
    lake.revoke(mesh.admin, mesh.analyst, policy, "SELECT", "DESCRIBE")
    mesh.share()
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == set()


def test_regranting_to_somebody_who_does_not_exist_is_invalid(lake):
    mesh = Mesh(lake)
    mesh.share()
    missing = f"arn:aws:iam::{mesh.consumer}:role/missing"
    with refused_with("InvalidInputException", "does not exist"):
        lake.grant(mesh.admin, missing, mesh.tables("none", catalog=mesh.central), "SELECT")


def test_the_consumer_sees_grants_to_it_and_its_regrants_the_owner_only_its_own(lake):
    mesh = Mesh(lake)
    mesh.share()
    mesh.regrant(mesh.analyst)

    def grantees(principal, **where):
        entries = lake.pages(principal, "lakeformation:ListPermissions", "PrincipalResourcePermissions", **where)
        policies = [entry for entry in entries if "LFTagPolicy" in entry["Resource"]]
        return {entry["Principal"]["DataLakePrincipalIdentifier"] for entry in policies}

    assert grantees(mesh.owner) == {mesh.consumer}
    assert grantees(mesh.admin) == set()
    assert grantees(mesh.admin, CatalogId=mesh.central) == {mesh.consumer, mesh.analyst}
    entries = lake.pages(mesh.owner, "lakeformation:ListPermissions", "PrincipalResourcePermissions")
    shared = [e for e in entries if e["Principal"]["DataLakePrincipalIdentifier"] == mesh.consumer]
    assert all(len(entry["AdditionalDetails"]["ResourceShare"]) == 2 for entry in shared)


def test_tags_are_seen_from_the_consumer_once_granted(lake):
    mesh = Mesh(lake)
    mesh.share()
    found = lake.call(mesh.admin, "lakeformation:ListLFTags", ResourceShareType="FOREIGN")["LFTags"]
    assert {tag["TagKey"]: tag["TagValues"] for tag in found} == {"domain": ["sales"], "pii": ["none"]}
    with refused_with("EntityNotFoundException"):
        lake.call(mesh.analyst, "lakeformation:GetLFTag", CatalogId=mesh.central, TagKey="pii")
    lake.grant(mesh.admin, mesh.analyst, on_tag("pii", "none", catalog=mesh.central), "DESCRIBE")
    assert lake.call(mesh.analyst, "lakeformation:GetLFTag", CatalogId=mesh.central, TagKey="pii")["TagValues"]


def test_tags_of_another_account_cannot_be_assigned(lake):
    mesh = Mesh(lake)
    lake.database(mesh.admin, "own")
    pair = {"CatalogId": mesh.central, "TagKey": "pii", "TagValues": ["none"]}
    with refused_with("InvalidInputException", "same account"):
        lake.call(mesh.admin, "lakeformation:AddLFTagsToResource", Resource=on_database("own"), LFTags=[pair])


def test_a_shared_table_cannot_be_tagged_with_the_consumers_tags(lake):
    mesh = Mesh(lake)
    mesh.share()
    lake.tag(mesh.admin, "team", "blue")
    table = on_table("sales", "orders", mesh.central)
    with refused_with("InvalidInputException", "same account"):
        pair = {"CatalogId": mesh.consumer, "TagKey": "team", "TagValues": ["blue"]}
        lake.call(mesh.admin, "lakeformation:AddLFTagsToResource", Resource=table, LFTags=[pair])
    with refused_with("AccessDeniedException"):
        pair = {"TagKey": "team", "TagValues": ["blue"]}
        lake.call(mesh.admin, "lakeformation:AddLFTagsToResource", Resource=table, LFTags=[pair])


# -- named grants and direct grants -----------------------------------------------------------------------------------


def test_a_shared_table_is_regranted_by_name(lake):
    mesh = Mesh(lake)
    table = on_table("sales", "orders", mesh.central)
    lake.grant(mesh.owner, mesh.consumer, on_table("sales", "orders"), "SELECT", "DESCRIBE", grantable=("SELECT",))
    lake.grant(mesh.admin, mesh.analyst, table, "SELECT")
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == ALL_COLUMNS
    with refused_with("AccessDeniedException"):
        lake.grant(mesh.admin, mesh.analyst, table, "DESCRIBE")
    lake.revoke(mesh.owner, mesh.consumer, on_table("sales", "orders"), "SELECT", "DESCRIBE")
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == set()


def test_a_consumer_cannot_regrant_what_it_was_not_given(lake):
    mesh = Mesh(lake)
    mesh.share()
    lake.table(mesh.owner, "sales", "secret")
    with refused_with("EntityNotFoundException"):
        lake.grant(mesh.admin, mesh.analyst, on_table("sales", "secret", mesh.central), "SELECT")


def test_only_the_grantee_of_a_direct_grant_sees_it(lake):
    mesh = Mesh(lake)
    lake.grant(mesh.owner, mesh.analyst, on_table("sales", "orders"), "SELECT")
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == ALL_COLUMNS
    assert lake.sees(mesh.admin, "sales", "orders", CatalogId=mesh.central) is None
    listed = lake.call(mesh.admin, "lakeformation:ListPermissions", CatalogId=mesh.central)
    assert listed["PrincipalResourcePermissions"] == []
    mine = lake.call(mesh.analyst, "lakeformation:ListPermissions", CatalogId=mesh.central)
    assert len(mine["PrincipalResourcePermissions"]) == 1


def test_direct_grants_need_version_3_and_take_no_grant_option(lake):
    mesh = Mesh(lake, version="2")
    with refused_with("InvalidInputException", "version 3"):
        lake.grant(mesh.owner, mesh.analyst, on_table("sales", "orders"), "SELECT")
    lake.settings(mesh.central, [mesh.owner], "3")
    with refused_with("InvalidInputException", "grant option"):
        lake.grant(mesh.owner, mesh.analyst, on_table("sales", "orders"), "SELECT", grantable=True)
    lake.grant(mesh.owner, mesh.analyst, on_table("sales", "orders"), "SELECT")
    assert lake.reads(mesh.analyst, "sales", "orders", mesh.central) == ALL_COLUMNS


def test_what_never_crosses_accounts(lake):
    mesh = Mesh(lake)
    for resource, permission in (
        (on_database("sales"), "DROP"),
        (on_database("sales"), "ALL"),
        (mesh.databases(), "ALL"),
        ({"Catalog": {}}, "CREATE_DATABASE"),
        (on_tag("pii", "none"), "GRANT_WITH_LF_TAG_EXPRESSION"),
        (on_tag("pii", "*"), "ALTER"),
    ):
        with refused_with("InvalidInputException"):
            lake.grant(mesh.owner, mesh.consumer, resource, permission)
    lake.grant(mesh.owner, mesh.consumer, on_table("sales", "orders"), "DROP")


def test_creating_tables_in_another_account_is_refused(lake):
    mesh = Mesh(lake)
    lake.grant(mesh.owner, mesh.consumer, on_database("sales"), "CREATE_TABLE", "DESCRIBE", grantable=True)
    lake.grant(mesh.admin, mesh.analyst, on_database("sales", mesh.central), "CREATE_TABLE")
    with refused_with("LocalAwsNotSupported", "another account"):
        lake.call(
            mesh.analyst, "glue:CreateTable", CatalogId=mesh.central, DatabaseName="sales", TableInput={"Name": "mine"}
        )


# -- IAM_ALLOWED_PRINCIPALS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", [on_database("sales"), on_table("sales", "orders"), on_table("sales", None)])
def test_sharing_while_iam_allowed_principals_has_access_is_an_illegal_combination(lake, resource):
    mesh = Mesh(lake)
    lake.grant(mesh.owner, "IAM_ALLOWED_PRINCIPALS", on_database("sales"), "ALL")
    with refused_with("AccessDeniedException", "Illegal combination"):
        lake.grant(mesh.owner, mesh.consumer, resource, "DESCRIBE")


@pytest.mark.parametrize("resource", [on_database("sales"), on_table("sales", "orders")])
def test_iam_allowed_principals_keeps_other_accounts_out(lake, resource):
    mesh = Mesh(lake)
    mesh.share()
    mesh.link()
    lake.grant(mesh.owner, "IAM_ALLOWED_PRINCIPALS", resource, "ALL")
    assert lake.reads(mesh.analyst, "sales", "orders") == set()
    if "Table" in resource:
        with refused_with("AccessDeniedException", "IAM_ALLOWED_PRINCIPALS"):
            lake.call(mesh.analyst, "glue:GetTable", DatabaseName="sales", Name="orders")
    lake.revoke(mesh.owner, "IAM_ALLOWED_PRINCIPALS", resource, "ALL")
    assert lake.reads(mesh.analyst, "sales", "orders") == {"id", "total"}


# -- versions, shares, invitations ------------------------------------------------------------------------------------


def test_a_grantor_below_version_3_cannot_share_tags_with_a_newer_consumer(lake):
    mesh = Mesh(lake, version="2")
    with refused_with("InvalidInputException", "Invalid cross account grant request"):
        lake.grant(mesh.owner, mesh.consumer, mesh.tables("none"), "SELECT")
    lake.settings(mesh.consumer, [mesh.admin], "1")
    with refused_with("LocalAwsNotSupported", "version 3 or higher"):
        lake.grant(mesh.owner, mesh.consumer, mesh.tables("none"), "SELECT")


def test_a_grantor_at_version_3_shares_with_any_consumer(lake):
    mesh = Mesh(lake, version="3")
    lake.settings(mesh.consumer, [mesh.admin], "1")
    mesh.share()
    mesh.link()
    assert lake.reads(mesh.analyst, "sales", "orders") == {"id", "total"}


def test_outside_an_organization_nothing_is_visible_until_both_invitations_are_accepted(lake):
    mesh = Mesh(lake, in_organization=False)
    mesh.share()
    assert lake.call(mesh.admin, "glue:GetDatabases", ResourceShareType="FOREIGN")["DatabaseList"] == []
    with refused_with("EntityNotFoundException"):
        mesh.regrant(mesh.analyst)
    listing = {"CatalogId": mesh.central}
    assert lake.call(mesh.admin, "lakeformation:ListPermissions", **listing)["PrincipalResourcePermissions"] == []
    assert lake.call(mesh.admin, "lakeformation:ListLFTags", **listing)["LFTags"] == []
    assert lake.accept_shares(mesh.admin) == 2
    assert len(lake.call(mesh.admin, "lakeformation:ListPermissions", **listing)["PrincipalResourcePermissions"]) == 4
    mesh.link()
    assert lake.reads(mesh.analyst, "sales", "orders") == {"id", "total"}
    lake.grant(mesh.owner, mesh.consumer, mesh.tables("contact"), "SELECT", grantable=True)
    assert lake.accept_shares(mesh.admin) == 0


def test_invitations_expire_and_a_new_grant_invites_again(lake):
    mesh = Mesh(lake, in_organization=False)
    mesh.share()
    lake.world.advance(12 * 3600 + 1)
    assert lake.accept_shares(mesh.admin) == 0
    mesh.share()
    assert lake.accept_shares(mesh.admin) == 2
    mesh.link()
    assert lake.reads(mesh.analyst, "sales", "orders") == {"id", "total"}


def test_a_resource_policy_without_ram_blocks_the_share_though_the_grant_succeeds(lake):
    mesh = Mesh(lake)
    statement = {"Effect": "Allow", "Principal": {"AWS": mesh.consumer}, "Action": "glue:*", "Resource": "*"}
    lake.call(mesh.owner, "glue:PutResourcePolicy", PolicyInJson=json.dumps({"Statement": [statement]}))
    mesh.share()
    with refused_with("EntityNotFoundException"):
        mesh.link()
    prefix = f"arn:aws:glue:eu-west-1:{mesh.central}"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "ram.amazonaws.com"},
        "Action": ["glue:ShareResource"],
        "Resource": [f"{prefix}:catalog", f"{prefix}:database/*", f"{prefix}:table/*/*"],
    }
    policy = json.dumps({"Statement": [statement, allow]})
    with refused_with("InvalidInputException", "EnableHybrid"):
        lake.call(mesh.owner, "glue:PutResourcePolicy", PolicyInJson=policy)
    lake.call(mesh.owner, "glue:PutResourcePolicy", PolicyInJson=policy, EnableHybrid="TRUE")
    mesh.share()
    mesh.regrant(mesh.analyst)
    assert lake.reads(mesh.analyst, "sales", "orders") == {"id", "total"}
