"""LF-Tags: their life, who may make, change, drop and see them."""

import pytest
from lab import refused
from lake_calls import assign, grant, on_database, on_policy, on_tag, sees
from lf_desk import CENTRAL, a_role, lake_formation, tags_of

CATALOG = {"Catalog": {}}


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


def values(lab, who, key):
    return lake_formation(lab, who).get_lf_tag(TagKey=key)["TagValues"]


def update(lab, who, key, add=(), delete=()):
    given = {"TagValuesToAdd": list(add), "TagValuesToDelete": list(delete)}
    lake_formation(lab, who).update_lf_tag(TagKey=key, **{name: each for name, each in given.items() if each})


@pytest.mark.statement("lf-tags.folded")
def test_keys_and_values_are_kept_in_lower_case_and_once(lab):
    lakeformation, key = lake_formation(lab), lab.name("Domain")
    lakeformation.create_lf_tag(TagKey=key, TagValues=["Sales", "HR", "sales"])
    lab.at_end(lakeformation.delete_lf_tag, TagKey=key)
    kept = lakeformation.get_lf_tag(TagKey=key.upper())
    assert (kept["TagKey"], sorted(kept["TagValues"])) == (key.lower(), ["hr", "sales"])
    with refused("InvalidInputException", message="Tag key already exists"):
        lakeformation.create_lf_tag(TagKey=key.upper(), TagValues=["x"])


@pytest.mark.statement("lf-tags.duplicate")
def test_a_second_tag_of_a_key_is_invalid_input(lab):
    key = lab.lf_tag(CENTRAL, "domain", "sales")
    with refused("InvalidInputException", message="Tag key already exists"):
        lake_formation(lab).create_lf_tag(TagKey=key, TagValues=["hr"])
    assert values(lab, CENTRAL, key) == ["sales"]


@pytest.mark.statement("lf-tags.length", "lf-tags.charset")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("x" * 51, "v"),
        ("k", "x" * 51),
        ("star*", "v"),
        ("quote'", "v"),
        ("a,b", "v"),
        ("k", "*"),
        ("k", "a;b"),
        ("k", ""),
    ],
)
def test_keys_and_values_are_held_to_length_and_characters(lab, key, value):
    with refused("InvalidInputException", "ValidationException"):
        lake_formation(lab).create_lf_tag(TagKey=key, TagValues=[value])


@pytest.mark.statement("lf-tags.length", "lf-tags.charset")
def test_50_characters_of_any_script_and_the_listed_signs_are_taken(lab):
    key = lab.lf_tag(CENTRAL, "größe der tür-", "a.b:c/d=e+f-g@h%i_j", "值", "x" * 50)
    assert set(values(lab, CENTRAL, key)) == {"a.b:c/d=e+f-g@h%i_j", "值", "x" * 50}
    longest = lab.name("k").ljust(50, "k")
    lake_formation(lab).create_lf_tag(TagKey=longest, TagValues=["v"])
    lab.at_end(lake_formation(lab).delete_lf_tag, TagKey=longest)


@pytest.mark.statement("lf-tags.values-per-call", "lf-tags.values-per-tag")
def test_a_call_takes_50_values_and_a_tag_keeps_1000(lab):
    numbered = [f"v{number}" for number in range(1_001)]
    with refused("InvalidInputException", "ValidationException"):
        lake_formation(lab).create_lf_tag(TagKey=lab.name("many"), TagValues=numbered[:51])
    key = lab.lf_tag(CENTRAL, "many", *numbered[:50])
    with refused("InvalidInputException", "ValidationException"):
        update(lab, CENTRAL, key, add=numbered[50:101])
    for start in range(50, 1_000, 50):
        update(lab, CENTRAL, key, add=numbered[start : start + 50])
    assert len(values(lab, CENTRAL, key)) == 1_000
    with refused("InvalidInputException", "ResourceNumberLimitExceededException"):
        update(lab, CENTRAL, key, add=["one-more"])


@pytest.mark.statement("lf-tags.tags-per-account")
@pytest.mark.local_only("a thousand LF-Tags are made in the engine, not call by call")
def test_an_account_has_at_most_1000_tags(lab):
    part = lab.fresh()
    lab.lake(part)
    store = lab.aws.world.engines["lakeformation"]._tags
    for number in range(999):
        store.create(lab.account(part), f"k{number}", ["v"], "somebody")
    lab.lf_tag(part, "last", "v")
    with refused("ResourceNumberLimitExceededException"):
        lab.lf_tag(part, "more", "v")


@pytest.mark.statement("lf-tags.update")
def test_values_are_added_and_taken_away(lab):
    key = lab.lf_tag(CENTRAL, "domain", "sales", "hr")
    update(lab, CENTRAL, key, add=["Legal", "sales"], delete=["HR"])
    assert sorted(values(lab, CENTRAL, key)) == ["legal", "sales"]


@pytest.mark.statement("lf-tags.update-assigned")
def test_a_value_that_is_assigned_to_a_database_table_or_column_cannot_be_deleted(lab):
    key = lab.lf_tag(CENTRAL, "domain", "on-database", "on-table", "on-column", "free")
    database = lab.database(CENTRAL)
    table = lab.table(CENTRAL, database)
    assign(lab, CENTRAL, on_database(database), **{key: "on-database"})
    assign(lab, CENTRAL, {"Table": {"DatabaseName": database, "Name": table}}, **{key: "on-table"})
    columns = {"DatabaseName": database, "Name": table, "ColumnNames": ["id"]}
    assign(lab, CENTRAL, {"TableWithColumns": columns}, **{key: "on-column"})
    for value in ("on-database", "on-table", "on-column"):
        with refused("InvalidInputException", message="Update not allowed"):
            update(lab, CENTRAL, key, delete=["free", value.upper()])
    update(lab, CENTRAL, key, delete=["free"])
    assert sorted(values(lab, CENTRAL, key)) == ["on-column", "on-database", "on-table"]


@pytest.mark.statement("lf-tags.update-assigned")
@pytest.mark.local_only("in an account of its own, with another one's tag of the same key")
def test_what_another_account_assigned_keeps_nobody_from_deleting_a_value(lab):
    parts = [lab.fresh(), lab.fresh()]
    for part in parts:
        lab.lake(part)
        lake_formation(lab, part).create_lf_tag(TagKey="domain", TagValues=["sales", "hr"])
        database = lab.database(part)
        table = lab.table(part, database)
    columns = {"DatabaseName": database, "Name": table, "ColumnNames": ["id"]}
    assign(lab, part, on_database(database), domain="hr")
    assign(lab, part, {"TableWithColumns": columns}, domain="hr")
    update(lab, parts[0], "domain", delete=["hr"])
    lake_formation(lab, parts[0]).delete_lf_tag(TagKey="domain")
    assert tags_of(lab, part, on_database(database)) == {"database": {"domain": "hr"}}


@pytest.mark.statement("lf-tags.update-bounds")
def test_an_update_names_values_that_are_there_and_leaves_one(lab):
    key = lab.lf_tag(CENTRAL, "domain", "sales", "hr")
    for add, delete in (((), ()), (["hr"], ["hr"]), ((), ["sales", "hr"])):
        with refused("InvalidInputException"):
            update(lab, CENTRAL, key, add, delete)
    with refused("EntityNotFoundException"):
        update(lab, CENTRAL, key, delete=["missing"])
    with refused("EntityNotFoundException"):
        update(lab, CENTRAL, lab.name("missing"), add=["x"])
    assert sorted(values(lab, CENTRAL, key)) == ["hr", "sales"]


@pytest.mark.statement("lf-tags.delete-in-use")
def test_a_tag_in_use_is_deleted_and_its_policies_are_void_even_for_a_new_tag_of_that_key(lab):
    key, reader, database = lab.lf_tag(CENTRAL, "domain", "sales"), a_role(lab), lab.database(CENTRAL)
    other = lab.lf_tag(CENTRAL, "other", "kept")
    table = lab.table(CENTRAL, database)
    assign(lab, CENTRAL, on_database(database), **{key: "sales", other: "kept"})
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["sales"]}), "SELECT")
    grant(lab, CENTRAL, reader, on_policy("DATABASE", {key: ["sales"]}), "DESCRIBE")
    grant(lab, CENTRAL, reader, on_tag(key, "sales"), "DESCRIBE")
    assert sees(lab, reader, database, table)
    lake_formation(lab).delete_lf_tag(TagKey=key)
    assert tags_of(lab, CENTRAL, on_database(database)) == {"database": {other: "kept"}}
    with refused("EntityNotFoundException"):
        values(lab, CENTRAL, key)
    lake_formation(lab).create_lf_tag(TagKey=key, TagValues=["sales"])
    assign(lab, CENTRAL, on_database(database), **{key: "sales"})
    assert sees(lab, reader, database, table) is None
    with refused("EntityNotFoundException"):
        lab.client("glue", reader).get_database(Name=database)
    with refused("EntityNotFoundException"):
        values(lab, reader, key)
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["sales"]}), "SELECT")
    assert sees(lab, reader, database, table)


@pytest.mark.statement("lf-tags.creators")
def test_a_tag_is_made_by_an_administrator_or_with_create_lf_tag(lab):
    creator = a_role(lab, "creator")
    made = {"TagKey": lab.name("team"), "TagValues": ["blue"]}
    with refused("AccessDeniedException", message="Create Lf Tag"):
        lake_formation(lab, creator).create_lf_tag(**made)
    grant(lab, CENTRAL, creator, CATALOG, "CREATE_LF_TAG")
    lake_formation(lab, creator).create_lf_tag(**made)
    update(lab, creator, made["TagKey"], add=["red"])
    assert values(lab, creator, made["TagKey"]) == ["blue", "red"]
    lake_formation(lab, creator).delete_lf_tag(TagKey=made["TagKey"])


@pytest.mark.statement("lf-tags.alter-drop")
def test_who_did_not_make_a_tag_needs_alter_to_change_and_drop_to_delete_it(lab):
    somebody, key = a_role(lab, "somebody"), lab.lf_tag(CENTRAL, "domain", "sales")
    with refused("AccessDeniedException", message="Required Alter"):
        update(lab, somebody, key, add=["hr"])
    grant(lab, CENTRAL, somebody, on_tag(key, "*"), "ALTER")
    update(lab, somebody, key, add=["hr"])
    with refused("AccessDeniedException", message="Required Drop"):
        lake_formation(lab, somebody).delete_lf_tag(TagKey=key)
    grant(lab, CENTRAL, somebody, on_tag(key, "*"), "DROP")
    lake_formation(lab, somebody).delete_lf_tag(TagKey=key)


@pytest.mark.statement("lf-tags.seen")
def test_each_sees_the_tags_and_values_that_it_may_describe(lab):
    reader = a_role(lab)
    domain, pii = lab.lf_tag(CENTRAL, "domain", "sales", "hr"), lab.lf_tag(CENTRAL, "pii", "none", "contact")
    assert lake_formation(lab, reader).list_lf_tags()["LFTags"] == []
    with refused("EntityNotFoundException"):
        values(lab, reader, domain)
    grant(lab, CENTRAL, reader, on_tag(domain, "hr"), "DESCRIBE")
    grant(lab, CENTRAL, reader, on_tag(pii, "*"), "ASSOCIATE")
    assert values(lab, reader, domain) == ["hr"]
    shown = lake_formation(lab, reader).list_lf_tags()["LFTags"]
    assert {tag["TagKey"]: tag["TagValues"] for tag in shown} == {domain: ["hr"], pii: ["none", "contact"]}
    assert {tag["CatalogId"] for tag in shown} == {lab.account(CENTRAL)}


@pytest.mark.statement("lf-tags.pages")
def test_tags_are_listed_in_pages_of_at_most_1000(lab):
    reader, keys = a_role(lab), [lab.lf_tag(CENTRAL, f"page{n}", "v") for n in range(3)]
    for key in keys:
        grant(lab, CENTRAL, reader, on_tag(key, "v"), "DESCRIBE")
    lakeformation = lake_formation(lab, reader)
    pages = list(lakeformation.get_paginator("list_lf_tags").paginate(PaginationConfig={"PageSize": 2}))
    assert [[tag["TagKey"] for tag in page["LFTags"]] for page in pages] == [keys[:2], keys[2:]]
    for wrong in ({"MaxResults": 1_001}, {"NextToken": "nobody gave this"}):
        with refused("InvalidInputException", "ValidationException"):
            lakeformation.list_lf_tags(**wrong)


@pytest.mark.statement("lf-tags.not-shared")
def test_another_accounts_tags_are_not_there(lab):
    key = lab.lf_tag(CENTRAL, "domain", "sales")
    lab.lake("outsider")
    with refused("EntityNotFoundException"):
        lake_formation(lab, "outsider").get_lf_tag(TagKey=key, CatalogId=lab.account(CENTRAL))
    with refused("AccessDeniedException"):
        lake_formation(lab, "outsider").create_lf_tag(TagKey="k", TagValues=["v"], CatalogId=lab.account(CENTRAL))
    foreign = lake_formation(lab, "outsider").list_lf_tags(ResourceShareType="FOREIGN")["LFTags"]
    assert key not in {tag["TagKey"] for tag in foreign}
