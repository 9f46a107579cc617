"""Resource links to databases."""

import pytest
from lab import refused
from lake_calls import (
    IAM_ALLOWED,
    LAKE_ACTIONS,
    database_link,
    grant,
    on_database,
    on_policy,
    on_table,
    one_organization,
    revoke,
    sees,
    shown_database,
    shown_table,
    table_link,
    table_names,
)

NOBODYS = "999999999999"


@pytest.fixture(scope="module", autouse=True)
def accounts(lab):
    one_organization(lab)
    for part in ("central", "consumer"):
        lab.lake(part)


@pytest.fixture(scope="module")
def central(lab):
    return lab.account("central")


@pytest.fixture
def sales(lab):
    return lab.database("central", "sales", Description="the real one", Parameters={"team": "sales"})


@pytest.fixture
def orders(lab, sales):
    return lab.table("central", sales, "orders")


@pytest.fixture
def reader(lab):
    return lab.role("central", "reader", allow=LAKE_ACTIONS)


@pytest.mark.statement("links.shape", "links.unchecked", "links.names")
def test_a_link_to_a_database_that_is_nowhere_is_made_with_a_folded_name(lab):
    name = lab.name("Link")
    database_link(lab, "central", NOBODYS, "Missing", name)
    shown = shown_database(lab, "central", name.upper())
    assert shown["Name"] == name.lower()
    assert shown["TargetDatabase"] == {"CatalogId": NOBODYS, "DatabaseName": "missing"}
    assert shown["CatalogId"] == lab.account("central")


@pytest.mark.statement("links.names", "links.duplicate")
def test_a_link_may_be_called_as_its_target_but_as_nothing_else_that_is_there(lab, central, sales):
    assert database_link(lab, "consumer", central, sales, sales) == sales
    for account, target in (("consumer", "another"), ("central", sales)):
        with refused("AlreadyExistsException"):
            database_link(lab, account, central, target, sales.upper())


@pytest.mark.statement("links.own-catalog", "links.target-needed", "links.regional-target")
def test_a_target_names_its_database_and_by_default_is_in_the_same_catalogue_and_region(lab, central, sales, orders):
    glue, name = lab.client("glue", "central"), lab.name("link")
    glue.create_database(DatabaseInput={"Name": name, "TargetDatabase": {"DatabaseName": sales}})
    assert shown_database(lab, "central", name)["TargetDatabase"]["CatalogId"] == central
    assert table_names(lab, "central", name) == [orders]
    name, here = lab.name("link"), {"DatabaseName": sales, "Region": lab.region}
    glue.create_database(DatabaseInput={"Name": name, "TargetDatabase": here})
    assert table_names(lab, "central", name) == [orders]
    with refused("InvalidInputException", message="target"):
        glue.create_database(DatabaseInput={"Name": lab.name("link"), "TargetDatabase": {"CatalogId": central}})


@pytest.mark.statement("links.cross-region")
@pytest.mark.local_only("AWS links across Regions")
def test_links_to_another_region_are_refused_as_not_built(lab, central, sales):
    target = {"CatalogId": central, "DatabaseName": sales, "Region": "us-east-1"}
    with refused("LocalAwsNotSupported", message="us-east-1"):
        lab.client("glue", "central").create_database(DatabaseInput={"Name": "far", "TargetDatabase": target})


@pytest.mark.statement("links.create-permission")
def test_a_link_is_made_by_who_may_create_databases(lab, central, sales):
    maker = lab.role("consumer", "maker", allow=LAKE_ACTIONS)
    catalog = {"Catalog": {}}
    revoke(lab, "consumer", IAM_ALLOWED, catalog, "CREATE_DATABASE")
    try:
        with refused("AccessDeniedException", message="Create Database"):
            database_link(lab, maker, central, sales)
        grant(lab, "consumer", maker, catalog, "CREATE_DATABASE")
        database_link(lab, maker, central, sales)
    finally:
        grant(lab, "consumer", IAM_ALLOWED, catalog, "CREATE_DATABASE")


@pytest.mark.statement("links.permissions")
@pytest.mark.parametrize("permission", ["ALTER", "CREATE_TABLE", "ALL"])
def test_on_a_link_only_describe_and_drop_are_granted(lab, central, sales, reader, permission):
    link = database_link(lab, "central", central, sales)
    grant(lab, "central", reader, on_database(link), "DESCRIBE", "DROP")
    with refused("InvalidInputException", message="not valid"):
        grant(lab, "central", reader, on_database(link), permission)
    grant(lab, "central", reader, on_database(sales), permission)


@pytest.mark.statement("links.who-sees")
def test_only_its_creator_and_administrators_see_a_link_until_describe_is_granted(lab, central, sales, reader):
    maker = lab.role("central", "maker", allow=LAKE_ACTIONS)
    link = database_link(lab, maker, central, sales)
    assert shown_database(lab, maker, link)
    assert shown_database(lab, "central", link)
    assert shown_database(lab, reader, link) is None
    grant(lab, "central", reader, on_database(link), "DESCRIBE")
    assert shown_database(lab, reader, link)


@pytest.mark.statement("links.drop-others", "links.delete")
def test_an_administrator_grants_itself_drop_before_it_drops_anothers_link(lab, central, sales, orders):
    maker, glue = lab.role("central", "maker", allow=LAKE_ACTIONS), lab.client("glue", "central")
    link = database_link(lab, maker, central, sales)
    with refused("AccessDeniedException", message="Required Drop"):
        glue.delete_database(Name=link)
    me = lab.client("sts", "central").get_caller_identity()["Arn"]
    grant(lab, "central", me, on_database(link), "DROP")
    glue.delete_database(Name=link)
    assert shown_database(lab, "central", link) is None
    assert sees(lab, "central", sales, orders)


@pytest.mark.statement("links.both-needed", "links.no-flow", "links.through-database")
def test_through_a_link_one_needs_permissions_on_the_link_and_the_target_and_gets_what_one_may_see(
    lab, central, sales, orders, reader
):
    link, hidden = database_link(lab, "central", central, sales), lab.table("central", sales, "hidden")
    for resource, permission in (
        (on_database(link), "DESCRIBE"),
        (on_database(sales), "DESCRIBE"),
        (on_table(sales, orders), "SELECT"),
    ):
        assert shown_table(lab, reader, link, orders) is None
        grant(lab, "central", reader, resource, permission)
    assert table_names(lab, reader, link) == [orders]
    shown = shown_table(lab, reader, link, orders)
    assert (shown["CatalogId"], shown["DatabaseName"], shown["Name"]) == (central, sales, orders)
    assert shown_table(lab, reader, link, hidden) is None
    revoke(lab, "central", reader, on_database(link), "DESCRIBE")
    with refused("EntityNotFoundException"):
        table_names(lab, reader, link)


@pytest.mark.statement("links.get-target", "links.lists")
def test_a_link_shows_the_targets_properties_to_who_sees_the_target(lab, central, sales, reader):
    link = database_link(lab, "central", central, sales)
    shown = shown_database(lab, "central", link)
    assert (shown["Name"], shown["Description"], shown["Parameters"]) == (link, "the real one", {"team": "sales"})
    grant(lab, "central", reader, on_database(link), "DESCRIBE")
    (listed,) = lab.client("glue", reader).get_databases()["DatabaseList"]
    assert listed["TargetDatabase"]["DatabaseName"] == sales
    assert "Description" not in listed
    assert "Description" not in shown_database(lab, reader, link)
    grant(lab, "central", reader, on_database(sales), "DESCRIBE")
    listed = {each["Name"]: each for each in lab.client("glue", reader).get_databases()["DatabaseList"]}
    assert listed[link]["Description"] == listed[sales]["Description"] == "the real one"


@pytest.mark.statement("links.update-target", "links.no-retarget", "links.update-needs-alter")
def test_updating_a_link_updates_its_target(lab, central, sales, reader):
    link = database_link(lab, "central", central, sales)
    grant(lab, "central", reader, on_database(link), "DESCRIBE", "DROP")
    grant(lab, "central", reader, on_database(sales), "DESCRIBE")
    change = {"Name": link, "Description": "new"}
    with refused("AccessDeniedException", message="Required Alter"):
        lab.client("glue", reader).update_database(Name=link, DatabaseInput=change)
    grant(lab, "central", reader, on_database(sales), "ALTER")
    lab.client("glue", reader).update_database(Name=link, DatabaseInput=change)
    changed = shown_database(lab, "central", sales)
    assert (changed["Name"], changed["Description"]) == (sales, "new")
    assert shown_database(lab, "central", link)["TargetDatabase"]["DatabaseName"] == sales
    glue, same = lab.client("glue", "central"), {"CatalogId": central, "DatabaseName": sales}
    glue.update_database(Name=link, DatabaseInput={**change, "TargetDatabase": same})
    for name, target in ((link, {**same, "DatabaseName": "elsewhere"}), (sales, same)):
        with refused("InvalidInputException", message="delete"):
            glue.update_database(Name=name, DatabaseInput={"Name": name, "TargetDatabase": target})


@pytest.mark.statement("links.delete")
def test_deleting_a_link_leaves_the_target_and_its_tables(lab, central, sales, orders):
    link = database_link(lab, "central", central, sales)
    lab.client("glue", "central").delete_database(Name=link)
    assert shown_database(lab, "central", link) is None
    assert sees(lab, "central", sales, orders) == ["id", "email", "total"]


@pytest.mark.statement("links.delete-through")
def test_deleting_tables_through_a_link_deletes_in_the_target(lab, central, sales, orders):
    glue, link = lab.client("glue", "central"), database_link(lab, "central", central, sales)
    second, short = lab.table("central", sales, "second"), table_link(lab, "central", sales, central, sales, orders)
    third = lab.table("central", sales, "third")
    glue.delete_table(DatabaseName=link, Name=short)
    assert table_names(lab, "central", sales) == sorted([orders, second, third])
    glue.delete_table(DatabaseName=link, Name=orders)
    glue.batch_delete_table(DatabaseName=link, TablesToDelete=[second])
    assert table_names(lab, "central", sales) == [third]


@pytest.mark.statement("links.create-through")
def test_a_table_made_through_a_link_is_in_the_target_but_a_table_link_cannot_be(lab, central, sales, orders):
    link = database_link(lab, "central", central, sales)
    made = lab.table("central", link, "made")
    assert shown_table(lab, "central", sales, made)["DatabaseName"] == sales
    with refused("InvalidInputException", message="through a database resource link"):
        table_link(lab, "central", link, central, sales, orders)


@pytest.mark.statement("links.dangling", "links.dangling-error")
def test_a_link_outlives_its_target_and_finds_a_new_one_of_that_name(lab, central, sales, orders):
    glue, link = lab.client("glue", "central"), database_link(lab, "central", central, sales)
    glue.delete_database(Name=sales)
    assert "Description" not in shown_database(lab, "central", link)
    for through in (
        lambda: glue.get_tables(DatabaseName=link),
        lambda: glue.get_table(DatabaseName=link, Name=orders),
        lambda: glue.update_database(Name=link, DatabaseInput={"Name": link}),
    ):
        with refused("EntityNotFoundException"):
            through()
    glue.create_database(DatabaseInput={"Name": sales})
    assert table_names(lab, "central", link) == []


@pytest.mark.statement("links.chains")
def test_of_a_chain_only_the_first_link_is_followed(lab, central, sales, orders):
    second = database_link(lab, "central", central, sales)
    first = database_link(lab, "central", central, second)
    assert sees(lab, "central", second, orders)
    assert sees(lab, "central", first, orders) is None
    with refused("EntityNotFoundException"):
        table_names(lab, "central", first)
    assert "Description" not in shown_database(lab, "central", first)


@pytest.mark.statement("links.no-tags")
def test_a_tag_policy_gives_nothing_on_a_link(lab, central, sales, reader):
    link, key = database_link(lab, "central", central, sales), lab.lf_tag("central", "domain", "sales")
    resource, pair = on_database(sales), {"TagKey": key, "TagValues": ["sales"]}
    lab.client("lakeformation", "central").add_lf_tags_to_resource(Resource=resource, LFTags=[pair])
    grant(lab, "central", reader, on_policy("DATABASE", {key: ["sales"]}), "DESCRIBE")
    assert shown_database(lab, reader, sales)
    assert shown_database(lab, reader, link) is None
