"""LF-Tags of the local AWS: their life, assignments, inheritance, searches, and who may assign them."""

import pytest
from lake_scene import lake_world, on_columns, on_database, on_policy, on_table, on_tag, refused_with


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


@pytest.fixture
def admin(lake):
    """An administrator with tags `domain` and `pii`, and a table sales.orders (id, email, total) by `day`."""
    _, admin = lake.governed()
    lake.tag(admin, "domain", "sales", "hr")
    lake.tag(admin, "pii", "none", "contact", "unknown")
    lake.database(admin, "sales")
    lake.table(admin, "sales", "orders", keys=("day",))
    return admin


def _account(arn):
    return arn.split(":")[4]


def _values(lake, principal, key):
    return lake.call(principal, "lakeformation:GetLFTag", TagKey=key)["TagValues"]


def _update(lake, principal, key, add=(), delete=()):
    values = {"TagValuesToAdd": list(add), "TagValuesToDelete": list(delete)}
    given = {name: listed for name, listed in values.items() if listed}
    lake.call(principal, "lakeformation:UpdateLFTag", TagKey=key, **given)


def _add(lake, principal, resource, *pairs):
    tags = [{"TagKey": key, "TagValues": list(values)} for key, *values in pairs]
    return lake.call(principal, "lakeformation:AddLFTagsToResource", Resource=resource, LFTags=tags)["Failures"]


def _remove(lake, principal, resource, key, value):
    tags = [{"TagKey": key, "TagValues": [value]}]
    return lake.call(principal, "lakeformation:RemoveLFTagsFromResource", Resource=resource, LFTags=tags)["Failures"]


def _tags(lake, principal, resource, **more):
    """{"database"|"table"|column name: {key: value}} as GetResourceLFTags shows it."""
    answer = lake.call(principal, "lakeformation:GetResourceLFTags", Resource=resource, **more)
    shown = {}
    for name, member in (("database", "LFTagOnDatabase"), ("table", "LFTagsOnTable")):
        if member in answer:
            shown[name] = {pair["TagKey"]: pair["TagValues"][0] for pair in answer[member]}
    for column in answer.get("LFTagsOnColumns", ()):
        shown[column["Name"]] = {pair["TagKey"]: pair["TagValues"][0] for pair in column["LFTags"]}
    return shown


# -- the life of a tag ------------------------------------------------------------------------------------------------


def test_keys_and_values_are_folded(lake, admin):
    lake.tag(admin, "Team", "Blue", "RED", "blue")
    assert _values(lake, admin, "TEAM") == ["blue", "red"]


def test_a_second_tag_of_a_key_is_invalid_not_already_existing(lake, admin):
    with refused_with("InvalidInputException", "Tag key already exists"):
        lake.tag(admin, "DOMAIN", "sales")


@pytest.mark.parametrize("key", ["x" * 51, "star*", "quote'", "tab\t", "a,b"])
def test_keys_are_held_to_length_and_characters(lake, admin, key):
    with refused_with("InvalidInputException"):
        lake.tag(admin, key, "value")


@pytest.mark.parametrize("value", ["x" * 51, "*", "a;b"])
def test_values_are_held_to_length_and_characters(lake, admin, value):
    with refused_with("InvalidInputException"):
        lake.tag(admin, "key", value)


def test_letters_and_numbers_of_any_script_and_the_listed_signs_are_allowed(lake, admin):
    lake.tag(admin, "Größe der Tür_1", "a.b:c/d=e+f-g@h%i", "值")
    assert _values(lake, admin, "größe der tür_1") == ["a.b:c/d=e+f-g@h%i", "值"]


def test_a_call_takes_at_most_50_values_and_a_tag_1000(lake, admin):
    for start in range(0, 1_000, 50):
        values = [f"v{number}" for number in range(start, start + 50)]
        if start:
            _update(lake, admin, "many", add=values)
        else:
            lake.tag(admin, "many", *values)
    assert len(_values(lake, admin, "many")) == 1_000
    with refused_with("InvalidInputException"):
        _update(lake, admin, "many", add=["one-more"])


def test_values_are_added_and_deleted_unless_assigned(lake, admin):
    _update(lake, admin, "domain", add=["Legal"], delete=["HR"])
    assert _values(lake, admin, "domain") == ["sales", "legal"]
    lake.assign(admin, on_database("sales"), domain="legal")
    with refused_with("InvalidInputException", "Update not allowed"):
        _update(lake, admin, "domain", delete=["legal"])
    with refused_with("EntityNotFoundException"):
        _update(lake, admin, "domain", delete=["hr"])
    with refused_with("EntityNotFoundException"):
        _update(lake, admin, "missing", add=["x"])


def test_deleting_a_tag_in_use_succeeds_and_voids_its_policies_for_good(lake, admin):
    reader = lake.role(_account(admin), "reader")
    lake.assign(admin, on_database("sales"), domain="sales")
    lake.grant(admin, reader, on_policy("TABLE", domain=["sales"]), "SELECT")
    assert lake.reads(reader, "sales", "orders")
    lake.call(admin, "lakeformation:DeleteLFTag", TagKey="domain")
    assert lake.reads(reader, "sales", "orders") == set()
    assert _tags(lake, admin, on_database("sales")) == {}
    lake.tag(admin, "domain", "sales")
    lake.assign(admin, on_database("sales"), domain="sales")
    assert lake.reads(reader, "sales", "orders") == set()
    lake.revoke(admin, reader, on_policy("TABLE", domain=["sales"]), "SELECT")
    lake.grant(admin, reader, on_policy("TABLE", domain=["sales"]), "SELECT")
    assert lake.reads(reader, "sales", "orders")


def test_creating_a_tag_needs_the_permission_which_can_be_delegated(lake, admin):
    creator = lake.role(_account(admin), "creator")
    with refused_with("AccessDeniedException"):
        lake.tag(creator, "team", "blue")
    lake.grant(admin, creator, {"Catalog": {}}, "CREATE_LF_TAG")
    lake.tag(creator, "team", "blue")
    _update(lake, creator, "team", add=["red"])
    with refused_with("AccessDeniedException", "Required Alter"):
        _update(lake, creator, "domain", add=["x"])
    lake.call(creator, "lakeformation:DeleteLFTag", TagKey="team")


def test_tags_are_seen_by_those_who_may_describe_them(lake, admin):
    reader = lake.role(_account(admin), "reader")
    assert lake.call(reader, "lakeformation:ListLFTags")["LFTags"] == []
    with refused_with("EntityNotFoundException"):
        _values(lake, reader, "domain")
    lake.grant(admin, reader, on_tag("domain", "hr"), "DESCRIBE")
    assert _values(lake, reader, "domain") == ["hr"]
    lake.grant(admin, reader, on_tag("pii", "*"), "ASSOCIATE")
    assert _values(lake, reader, "pii") == ["none", "contact", "unknown"]
    assert len(lake.pages(admin, "lakeformation:ListLFTags", "LFTags", MaxResults=1)) == 2


# -- assignment and inheritance ---------------------------------------------------------------------------------------


def test_tags_are_inherited_and_overridden_on_the_way_down(lake, admin):
    lake.assign(admin, on_database("sales"), domain="sales", pii="unknown")
    lake.assign(admin, on_table("sales", "orders"), pii="none")
    lake.assign(admin, on_columns("sales", "orders", "email"), pii="contact")
    assert _tags(lake, admin, on_table("sales", "orders")) == {
        "database": {"domain": "sales", "pii": "unknown"},
        "table": {"domain": "sales", "pii": "none"},
        "id": {"domain": "sales", "pii": "none"},
        "email": {"domain": "sales", "pii": "contact"},
        "total": {"domain": "sales", "pii": "none"},
        "day": {"domain": "sales", "pii": "none"},
    }
    assert _tags(lake, admin, on_table("sales", "orders"), ShowAssignedLFTags=True) == {
        "table": {"pii": "none"},
        "email": {"pii": "contact"},
    }
    assert _tags(lake, admin, on_columns("sales", "orders", "id"))["id"] == {"domain": "sales", "pii": "none"}


def test_removing_an_override_restores_the_inherited_value(lake, admin):
    lake.assign(admin, on_database("sales"), pii="unknown")
    lake.assign(admin, on_columns("sales", "orders", "id"), pii="none")
    assert _remove(lake, admin, on_columns("sales", "orders", "id"), "pii", "none") == []
    assert _tags(lake, admin, on_columns("sales", "orders", "id"))["id"] == {"pii": "unknown"}
    failures = _remove(lake, admin, on_columns("sales", "orders", "id"), "pii", "none")
    assert failures[0]["Error"]["ErrorCode"] == "EntityNotFoundException"


def test_adding_a_key_again_replaces_its_value(lake, admin):
    lake.assign(admin, on_database("sales"), pii="unknown")
    lake.assign(admin, on_database("sales"), PII="None")
    assert _tags(lake, admin, on_database("sales")) == {"database": {"pii": "none"}}


def test_a_new_column_inherits_and_a_dropped_one_takes_its_tags_along(lake, admin):
    lake.assign(admin, on_database("sales"), pii="unknown")
    lake.assign(admin, on_columns("sales", "orders", "id", "email"), pii="none")
    for columns in (("id", "phone"), ("id", "phone", "email")):
        shape = {"Name": "orders", "StorageDescriptor": {"Columns": [{"Name": c, "Type": "string"} for c in columns]}}
        lake.call(admin, "glue:UpdateTable", DatabaseName="sales", TableInput=shape)
    shown = _tags(lake, admin, on_table("sales", "orders"))
    assert (shown["id"], shown["phone"], shown["email"]) == ({"pii": "none"}, {"pii": "unknown"}, {"pii": "unknown"})


def test_a_dropped_table_takes_its_tags_along(lake, admin):
    lake.assign(admin, on_table("sales", "orders"), pii="none")
    lake.assign(admin, on_columns("sales", "orders", "id"), domain="hr")
    lake.call(admin, "glue:DeleteTable", DatabaseName="sales", Name="orders")
    lake.table(admin, "sales", "orders")
    assert _tags(lake, admin, on_table("sales", "orders")) == {}


@pytest.mark.parametrize("pairs", [[("pii", "*")], [("pii", "none", "contact")], [("pii", "none"), ("PII", "contact")]])
def test_a_wildcard_several_values_and_a_repeated_key_are_invalid(lake, admin, pairs):
    with refused_with("InvalidInputException"):
        _add(lake, admin, on_database("sales"), *pairs)


def test_what_fails_is_named_and_the_rest_is_assigned(lake, admin):
    failures = _add(lake, admin, on_database("sales"), ("pii", "none"), ("pii2", "x"), ("domain", "missing"))
    assert [(f["LFTag"]["TagKey"], f["Error"]["ErrorCode"]) for f in failures] == [
        ("pii2", "EntityNotFoundException"),
        ("domain", "EntityNotFoundException"),
    ]
    assert _tags(lake, admin, on_database("sales")) == {"database": {"pii": "none"}}


def test_only_what_is_there_and_is_no_link_can_be_tagged(lake, admin):
    with refused_with("EntityNotFoundException"):
        _add(lake, admin, on_table("sales", "missing"), ("pii", "none"))
    with refused_with("EntityNotFoundException", "Column"):
        _add(lake, admin, on_columns("sales", "orders", "missing"), ("pii", "none"))
    lake.database(admin, "alias", TargetDatabase={"CatalogId": _account(admin), "DatabaseName": "sales"})
    with refused_with("InvalidInputException", "resource link"):
        _add(lake, admin, on_database("alias"), ("pii", "none"))


def test_a_resource_takes_at_most_50_tags(lake, admin):
    for number in range(51):
        lake.tag(admin, f"key{number}", "v")
    pairs = [(f"key{number}", "v") for number in range(50)]
    assert _add(lake, admin, on_database("sales"), *pairs) == []
    assert _add(lake, admin, on_database("sales"), ("key50", "v"))[0]["Error"]["ErrorCode"] == "InvalidInputException"
    with refused_with("InvalidInputException", "1 to 50"):
        _add(lake, admin, on_database("sales"), *pairs, ("key50", "v"))


# -- who may assign ---------------------------------------------------------------------------------------------------

ON_TABLE = ("ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT")
ON_DATABASE = ("ALTER", "CREATE_TABLE", "DESCRIBE", "DROP")


def test_assigning_needs_associate_on_the_tag(lake, admin):
    owner = lake.role(_account(admin), "owner")
    lake.grant(admin, owner, on_database("sales"), "CREATE_TABLE")
    lake.table(owner, "sales", "mine")
    failures = _add(lake, owner, on_table("sales", "mine"), ("pii", "none"))
    assert failures[0]["Error"]["ErrorCode"] == "AccessDeniedException"
    lake.grant(admin, owner, on_tag("pii", "none"), "ASSOCIATE")
    assert _add(lake, owner, on_table("sales", "mine"), ("pii", "none")) == []
    failures = _add(lake, owner, on_table("sales", "mine"), ("pii", "contact"))
    assert failures[0]["Error"]["ErrorCode"] == "AccessDeniedException"


def test_assigning_needs_ownership_or_the_listed_grantable_permissions(lake, admin):
    tagger = lake.role(_account(admin), "tagger")
    lake.grant(admin, tagger, on_tag("pii", "*"), "ASSOCIATE")
    lake.grant(admin, tagger, on_table("sales", "orders"), *ON_TABLE, grantable=ON_TABLE[1:])
    with refused_with("AccessDeniedException", "ALTER"):
        _add(lake, tagger, on_table("sales", "orders"), ("pii", "none"))
    lake.grant(admin, tagger, on_table("sales", "orders"), *ON_TABLE, grantable=True)
    assert _add(lake, tagger, on_columns("sales", "orders", "id"), ("pii", "none")) == []
    lake.grant(admin, tagger, on_database("sales"), *ON_DATABASE, grantable=True)
    assert _add(lake, tagger, on_database("sales"), ("pii", "unknown")) == []


def test_super_with_the_grant_option_is_enough_to_assign(lake, admin):
    tagger = lake.role(_account(admin), "tagger")
    lake.grant(admin, tagger, on_tag("pii", "*"), "ASSOCIATE")
    lake.grant(admin, tagger, on_table("sales", None), "ALL", grantable=True)
    assert _add(lake, tagger, on_table("sales", "orders"), ("pii", "none")) == []


def test_an_administrator_grants_itself_what_it_needs_to_tag_what_others_made(lake, admin):
    crawler, other = lake.role(_account(admin), "crawler"), lake.role(_account(admin), "other-admin")
    lake.settings(_account(admin), [admin, other])
    lake.grant(admin, crawler, on_database("sales"), "CREATE_TABLE")
    lake.table(crawler, "sales", "crawled")
    with refused_with("AccessDeniedException", "grant option"):
        _add(lake, admin, on_table("sales", "crawled"), ("pii", "none"))
    lake.grant(admin, admin, on_table("sales", None), *ON_TABLE, grantable=True)
    assert _add(lake, admin, on_table("sales", "crawled"), ("pii", "none")) == []
    lake.grant(other, other, on_table("sales", None), *ON_TABLE, grantable=True)
    failures = _add(lake, other, on_table("sales", "crawled"), ("pii", "contact"))
    assert failures[0]["Error"]["ErrorCode"] == "AccessDeniedException"
    lake.grant(other, other, on_tag("pii", "*"), "ASSOCIATE")
    assert _add(lake, other, on_table("sales", "crawled"), ("pii", "contact")) == []


# -- reading and searching --------------------------------------------------------------------------------------------


def test_tags_of_a_resource_need_the_resource_and_the_tag_to_be_visible(lake, admin):
    reader = lake.role(_account(admin), "reader")
    lake.assign(admin, on_table("sales", "orders"), domain="sales", pii="none")
    with refused_with("EntityNotFoundException"):
        _tags(lake, reader, on_table("sales", "orders"))
    lake.grant(admin, reader, on_columns("sales", "orders", "id"), "SELECT")
    lake.grant(admin, reader, on_tag("pii", "none"), "DESCRIBE")
    assert _tags(lake, reader, on_table("sales", "orders")) == {
        "table": {"pii": "none"},
        "id": {"pii": "none"},
        "day": {"pii": "none"},
    }


def test_tables_are_found_by_their_own_tags_or_a_columns(lake, admin):
    for name in ("customers", "returns"):
        lake.table(admin, "sales", name)
    lake.assign(admin, on_database("sales"), domain="sales", pii="unknown")
    lake.assign(admin, on_columns("sales", "orders", "email"), pii="contact")
    lake.assign(admin, on_table("sales", "returns"), pii="contact")
    search = {"Expression": [{"TagKey": "pii", "TagValues": ["Contact"]}, {"TagKey": "domain", "TagValues": ["*"]}]}
    found = lake.pages(admin, "lakeformation:SearchTablesByLFTags", "TableList", MaxResults=1, **search)
    assert [each["Table"]["Name"] for each in found] == ["orders", "returns"]
    columns = {column["Name"]: column["LFTags"] for column in found[0]["LFTagsOnColumns"]}
    assert {pair["TagKey"]: pair["TagValues"] for pair in columns["email"]} == {"domain": ["sales"], "pii": ["contact"]}
    nobody = lake.role(_account(admin), "nobody")
    with refused_with("EntityNotFoundException"):
        lake.call(nobody, "lakeformation:SearchTablesByLFTags", **search)
    lake.grant(admin, nobody, on_tag("pii", "*"), "DESCRIBE")
    lake.grant(admin, nobody, on_tag("domain", "*"), "DESCRIBE")
    assert lake.call(nobody, "lakeformation:SearchTablesByLFTags", **search)["TableList"] == []


def test_searches_come_in_pages_of_100(lake, admin):
    lake.assign(admin, on_database("sales"), domain="sales")
    for number in range(120):
        lake.table(admin, "sales", f"t{number:03}")
    search = {"Expression": [{"TagKey": "domain", "TagValues": ["sales"]}]}
    assert len(lake.call(admin, "lakeformation:SearchTablesByLFTags", **search)["TableList"]) == 100
    assert len(lake.pages(admin, "lakeformation:SearchTablesByLFTags", "TableList", **search)) == 121
    with refused_with("InvalidInputException", "between 1 and 100"):
        lake.call(admin, "lakeformation:SearchTablesByLFTags", MaxResults=101, **search)


def test_databases_are_found_by_their_tags(lake, admin):
    lake.database(admin, "people")
    lake.assign(admin, on_database("people"), domain="hr")
    lake.assign(admin, on_database("sales"), domain="sales", pii="none")
    search = {
        "Expression": [{"TagKey": "domain", "TagValues": ["sales", "hr"]}, {"TagKey": "pii", "TagValues": ["none"]}]
    }
    found = lake.call(admin, "lakeformation:SearchDatabasesByLFTags", **search)["DatabaseList"]
    assert [each["Database"]["Name"] for each in found] == ["sales"]
    assert {pair["TagKey"] for pair in found[0]["LFTags"]} == {"domain", "pii"}
