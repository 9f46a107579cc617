"""Resource links to tables, and tables found through links to databases."""

import pytest
from lab import refused
from lake_calls import (
    LAKE_ACTIONS,
    database_link,
    grant,
    holds,
    on_database,
    on_policy,
    on_table,
    one_organization,
    sees,
    shown_table,
    table_link,
    table_names,
)

ALL_COLUMNS = ["id", "email", "total"]


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
    return lab.database("central", "sales")


@pytest.fixture
def orders(lab, sales):
    return lab.table("central", sales, "orders", keys=("year",))


@pytest.fixture(scope="module")
def mine(lab):
    """A database of central for links."""
    return lab.database("central", "mine")


@pytest.fixture
def link(lab, central, mine, sales, orders):
    return table_link(lab, "central", mine, central, sales, orders)


@pytest.fixture
def reader(lab):
    return lab.role("central", "reader", allow=LAKE_ACTIONS)


def _change(name, *columns):
    return {"Name": name, "StorageDescriptor": {"Columns": [{"Name": each, "Type": "string"} for each in columns]}}


@pytest.mark.statement("links.shape", "links.unchecked", "links.names", "links.duplicate")
def test_a_link_to_a_table_that_is_nowhere_is_made_with_a_folded_name(lab, mine):
    glue, name = lab.client("glue", "central"), lab.name("Lost")
    target = {"CatalogId": "999999999999", "DatabaseName": "Missing", "Name": "Gone"}
    glue.create_table(DatabaseName=mine, TableInput={"Name": name, "TargetTable": target})
    shown = shown_table(lab, "central", mine, name.upper())
    assert shown["Name"] == name.lower()
    assert shown["TargetTable"] == {"CatalogId": "999999999999", "DatabaseName": "missing", "Name": "gone"}
    assert "StorageDescriptor" not in shown
    with refused("AlreadyExistsException"):
        glue.create_table(DatabaseName=mine, TableInput={"Name": name.upper(), "TargetTable": target})


@pytest.mark.statement("links.own-catalog", "links.target-needed")
@pytest.mark.parametrize("missing", ["DatabaseName", "Name"])
def test_a_target_names_database_and_table(lab, mine, sales, orders, missing):
    glue, target = lab.client("glue", "central"), {"DatabaseName": sales, "Name": orders}
    name = lab.name("link")
    glue.create_table(DatabaseName=mine, TableInput={"Name": name, "TargetTable": target})
    assert sees(lab, "central", mine, name) == ALL_COLUMNS
    del target[missing]
    with refused("InvalidInputException", message="target"):
        glue.create_table(DatabaseName=mine, TableInput={"Name": lab.name("link"), "TargetTable": target})


@pytest.mark.statement("links.cross-region")
@pytest.mark.local_only("AWS links across Regions")
def test_links_to_another_region_are_refused_as_not_built(lab, mine, sales, orders):
    target = {"DatabaseName": sales, "Name": orders, "Region": "us-east-1"}
    with refused("LocalAwsNotSupported", message="us-east-1"):
        lab.client("glue", "central").create_table(DatabaseName=mine, TableInput={"Name": "far", "TargetTable": target})


@pytest.mark.statement("links.create-permission")
def test_a_link_is_made_by_who_may_create_tables_where_it_is(lab, central, mine, sales, orders, reader):
    with refused("AccessDeniedException", message="Create Table"):
        table_link(lab, reader, mine, central, sales, orders)
    grant(lab, "central", reader, on_database(mine), "CREATE_TABLE")
    link = table_link(lab, reader, mine, central, sales, orders)
    assert "StorageDescriptor" not in shown_table(lab, reader, mine, link)


@pytest.mark.statement("links.permissions")
@pytest.mark.parametrize("permission", ["SELECT", "ALTER", "INSERT", "DELETE", "ALL"])
def test_on_a_link_only_describe_and_drop_are_granted(lab, mine, link, sales, orders, reader, permission):
    grant(lab, "central", reader, on_table(mine, link), "DESCRIBE", "DROP")
    with refused("InvalidInputException", message="not valid"):
        grant(lab, "central", reader, on_table(mine, link), permission)
    grant(lab, "central", reader, on_table(sales, orders), permission)


@pytest.mark.statement("links.no-flow", "links.both-needed", "links.get-target")
def test_a_link_shows_the_targets_columns_to_who_has_permissions_on_both(lab, mine, link, sales, orders, reader):
    assert shown_table(lab, reader, mine, link) is None
    grant(lab, "central", reader, on_table(mine, link), "DESCRIBE")
    bare = shown_table(lab, reader, mine, link)
    assert bare["TargetTable"]["Name"] == orders
    assert "StorageDescriptor" not in bare
    assert holds(lab, reader, on_table(sales, orders)) == set()
    with refused("EntityNotFoundException"):
        lab.client("glue", reader).get_partitions(DatabaseName=mine, TableName=link)
    grant(lab, "central", reader, on_table(sales, orders), "SELECT")
    shown = shown_table(lab, reader, mine, link)
    assert (shown["Name"], shown["DatabaseName"]) == (link, mine)
    assert [each["Name"] for each in shown["StorageDescriptor"]["Columns"]] == ALL_COLUMNS
    assert lab.client("glue", reader).get_partitions(DatabaseName=mine, TableName=link)["Partitions"] == []


@pytest.mark.statement("links.who-sees", "links.drop-others", "links.delete")
def test_a_link_is_dropped_by_who_may_and_leaves_its_target(lab, central, mine, sales, orders, reader):
    glue = lab.client("glue", "central")
    grant(lab, "central", reader, on_database(mine), "CREATE_TABLE")
    link = table_link(lab, reader, mine, central, sales, orders)
    assert shown_table(lab, "central", mine, link)
    with refused("AccessDeniedException", message="Required Drop"):
        glue.delete_table(DatabaseName=mine, Name=link)
    me = lab.client("sts", "central").get_caller_identity()["Arn"]
    grant(lab, "central", me, on_table(mine, link), "DROP")
    glue.delete_table(DatabaseName=mine, Name=link)
    assert shown_table(lab, "central", mine, link) is None
    assert sees(lab, "central", sales, orders) == ALL_COLUMNS


@pytest.mark.statement("links.lists", "links.search")
def test_lists_follow_links_and_searches_do_not(lab, central, sales, orders):
    holder = lab.database("central", "holder")
    link = table_link(lab, "central", holder, central, sales, orders)
    own = lab.table("central", holder, "own", columns=("only",))
    listed = lab.client("glue", "central").get_tables(DatabaseName=holder)["TableList"]
    columns = {each["Name"]: [c["Name"] for c in each["StorageDescriptor"]["Columns"]] for each in listed}
    assert columns == {link: ALL_COLUMNS, own: ["only"]}
    wanted = [{"Key": "Name", "Value": link}]
    (found,) = lab.client("glue", "central").search_tables(Filters=wanted)["TableList"]
    assert found["TargetTable"]["Name"] == orders
    assert "StorageDescriptor" not in found


@pytest.mark.statement("links.update-target", "links.no-retarget", "links.update-needs-alter")
def test_updating_a_link_updates_the_target(lab, central, mine, link, sales, orders, reader):
    grant(lab, "central", reader, on_table(mine, link), "DESCRIBE", "DROP")
    grant(lab, "central", reader, on_table(sales, orders), "DESCRIBE")
    with refused("AccessDeniedException", message="Required Alter"):
        lab.client("glue", reader).update_table(DatabaseName=mine, TableInput=_change(link, "only"))
    grant(lab, "central", reader, on_table(sales, orders), "ALTER")
    lab.client("glue", reader).update_table(DatabaseName=mine, TableInput=_change(link, "only"))
    assert sees(lab, "central", sales, orders) == ["only"]
    assert shown_table(lab, "central", mine, link)["TargetTable"]["Name"] == orders
    glue, same = lab.client("glue", "central"), {"CatalogId": central, "DatabaseName": sales, "Name": orders}
    glue.update_table(DatabaseName=mine, TableInput={**_change(link, "only"), "TargetTable": same})
    for database, name, target in ((mine, link, {**same, "Name": "elsewhere"}), (sales, orders, same)):
        with refused("InvalidInputException", message="delete"):
            glue.update_table(DatabaseName=database, TableInput={"Name": name, "TargetTable": target})


@pytest.mark.statement("links.update-target")
def test_updating_a_table_through_a_database_link_updates_it(lab, central, sales, orders):
    through = database_link(lab, "central", central, sales)
    lab.client("glue", "central").update_table(DatabaseName=through, TableInput=_change(orders, "only"))
    assert sees(lab, "central", sales, orders) == ["only"]


@pytest.mark.statement("links.not-followed-twice", "links.update-both", "links.partitions")
def test_a_table_link_found_through_a_database_link_is_not_followed(lab, central, mine, link, orders):
    through, glue = database_link(lab, "central", central, mine), lab.client("glue", "central")
    bare = shown_table(lab, "central", through, link)
    assert bare["TargetTable"]["Name"] == orders
    assert "StorageDescriptor" not in bare
    listed = {each["Name"]: each for each in glue.get_tables(DatabaseName=through)["TableList"]}
    assert "StorageDescriptor" not in listed[link]
    for call, more in (
        (glue.update_table, {"TableInput": _change(link, "only")}),
        (glue.get_partitions, {"TableName": link}),
        (glue.create_partition, {"TableName": link, "PartitionInput": {"Values": ["2024"]}}),
    ):
        with refused("EntityNotFoundException", "InvalidInputException"):
            call(DatabaseName=through, **more)


@pytest.mark.statement("links.partitions")
@pytest.mark.parametrize("kind", ["database link", "table link"])
def test_partitions_are_read_and_changed_through_links(lab, central, mine, link, sales, orders, kind):
    glue = lab.client("glue", "central")
    if kind == "database link":
        where = {"DatabaseName": database_link(lab, "central", central, sales), "TableName": orders}
    else:
        where = {"DatabaseName": mine, "TableName": link}
    glue.create_partition(**where, PartitionInput={"Values": ["2024"]})
    (found,) = glue.get_partitions(DatabaseName=sales, TableName=orders)["Partitions"]
    assert glue.get_partitions(**where)["Partitions"] == [found]
    assert (found["DatabaseName"], found["TableName"], found["CatalogId"]) == (sales, orders, central)
    assert glue.get_partition(**where, PartitionValues=["2024"])["Partition"] == found
    glue.delete_partition(**where, PartitionValues=["2024"])
    assert glue.get_partitions(DatabaseName=sales, TableName=orders)["Partitions"] == []


@pytest.mark.statement("links.versions")
def test_versions_are_those_of_the_target(lab, mine, link, sales, orders):
    glue = lab.client("glue", "central")
    glue.update_table(DatabaseName=sales, TableInput=_change(orders, "only"))
    found = glue.get_table_versions(DatabaseName=mine, TableName=link)["TableVersions"]
    assert [each["VersionId"] for each in found] == ["1", "0"]
    first = glue.get_table_version(DatabaseName=mine, TableName=link, VersionId="0")["TableVersion"]["Table"]
    assert [each["Name"] for each in first["StorageDescriptor"]["Columns"]] == ALL_COLUMNS


@pytest.mark.statement("links.dangling", "links.dangling-error")
def test_a_link_outlives_its_target_and_finds_a_new_one_of_that_name(lab, mine, link, sales, orders):
    glue = lab.client("glue", "central")
    glue.delete_table(DatabaseName=sales, Name=orders)
    assert "StorageDescriptor" not in shown_table(lab, "central", mine, link)
    with refused("EntityNotFoundException"):
        glue.get_partitions(DatabaseName=mine, TableName=link)
    glue.create_table(DatabaseName=sales, TableInput=_change(orders, "again"))
    assert sees(lab, "central", mine, link) == ["again"]
    glue.delete_database(Name=sales)
    assert "StorageDescriptor" not in shown_table(lab, "central", mine, link)


@pytest.mark.statement("links.chains")
def test_of_a_chain_only_the_first_link_is_followed(lab, central, mine, link, sales):
    first = table_link(lab, "central", mine, central, mine, link)
    shown = shown_table(lab, "central", mine, first)
    assert shown["TargetTable"]["Name"] == link
    assert "StorageDescriptor" not in shown
    through = database_link(lab, "central", central, sales)
    into_a_link = table_link(lab, "central", mine, central, through, "orders")
    assert "StorageDescriptor" not in shown_table(lab, "central", mine, into_a_link)


@pytest.mark.statement("links.through-database")
def test_through_a_link_to_another_account_one_gets_the_shared_tables_only(lab, central, sales, orders):
    lab.table("central", sales, "unshared")
    grant(lab, "central", "consumer", on_database(sales), "DESCRIBE")
    grant(lab, "central", "consumer", on_table(sales, orders), "SELECT")
    through = database_link(lab, "consumer", central, sales)
    assert table_names(lab, "consumer", through) == [orders]
    shown = shown_table(lab, "consumer", through, orders)
    assert (shown["CatalogId"], shown["DatabaseName"]) == (central, sales)


@pytest.mark.statement("links.no-tags")
def test_a_tag_policy_gives_nothing_on_a_link(lab, central, sales, orders, reader):
    holder, key = lab.database("central", "holder"), lab.lf_tag("central", "domain", "sales")
    link = table_link(lab, "central", holder, central, sales, orders)
    pair = {"TagKey": key, "TagValues": ["sales"]}
    lab.client("lakeformation", "central").add_lf_tags_to_resource(Resource=on_database(holder), LFTags=[pair])
    grant(lab, "central", reader, on_policy("TABLE", {key: ["sales"]}), "SELECT")
    own = lab.table("central", holder, "own")
    assert sees(lab, reader, holder, own) == ALL_COLUMNS
    assert shown_table(lab, reader, holder, link) is None
