"""LF-Tags on resources: what is assigned and inherited, who may assign, what is shown and found."""

import pytest
from lab import refused
from lake_calls import (
    assign,
    data_product,
    database_link,
    grant,
    on_columns,
    on_database,
    on_policy,
    on_table,
    on_tag,
    sees,
    table_link,
)
from lf_desk import (
    CENTRAL,
    ON_DATABASE,
    ON_TABLE,
    a_role,
    add_tags,
    codes,
    lake_formation,
    remove_tag,
    tags_of,
)


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.fixture(scope="module")
def keys(lab):
    """The keys of two LF-Tags."""
    return lab.lf_tag(CENTRAL, "domain", "sales", "hr"), lab.lf_tag(CENTRAL, "pii", "none", "contact", "unknown")


@pytest.fixture
def orders(lab):
    """A new table by `day`, with its database."""
    database = lab.database(CENTRAL)
    return database, lab.table(CENTRAL, database, "orders", keys=("day",))


# -- what is assigned -------------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-tags.inherited", "lf-tags.shown")
def test_tags_are_inherited_and_overridden_on_the_way_down(lab, keys, orders):
    domain, pii = keys
    database, table = orders
    assign(lab, CENTRAL, on_database(database), **{domain: "sales", pii: "unknown"})
    assign(lab, CENTRAL, on_table(database, table), **{pii: "none"})
    assign(lab, CENTRAL, on_columns(database, table, "email"), **{pii: "contact"})
    inherited = {domain: "sales", pii: "none"}
    assert tags_of(lab, CENTRAL, on_table(database, table)) == {
        "database": {domain: "sales", pii: "unknown"},
        "table": inherited,
        "id": inherited,
        "email": {domain: "sales", pii: "contact"},
        "total": inherited,
        "day": inherited,
    }
    assert tags_of(lab, CENTRAL, on_table(database, table), ShowAssignedLFTags=True) == {
        "table": {pii: "none"},
        "email": {pii: "contact"},
    }
    only = tags_of(lab, CENTRAL, on_columns(database, table, "id"))
    assert only["id"] == inherited and "email" not in only


@pytest.mark.statement("lf-tags.restored", "lf-tags.remove-exact", "lf-tags.failures")
def test_removing_an_override_restores_what_is_inherited(lab, keys, orders):
    _, pii = keys
    database, table = orders
    column, two = on_columns(database, table, "id"), on_columns(database, table, "id", "total")
    assign(lab, CENTRAL, on_database(database), **{pii: "unknown"})
    assign(lab, CENTRAL, column, **{pii: "none"})
    assert codes(remove_tag(lab, CENTRAL, column, pii, "contact")) == ["EntityNotFoundException"]
    assert codes(remove_tag(lab, CENTRAL, two, pii, "none")) == ["EntityNotFoundException"]
    assert tags_of(lab, CENTRAL, column)["id"] == {pii: "none"}
    assert remove_tag(lab, CENTRAL, column, pii.upper(), "None") == []
    assert tags_of(lab, CENTRAL, column)["id"] == {pii: "unknown"}
    assert codes(remove_tag(lab, CENTRAL, column, pii, "none")) == ["EntityNotFoundException"]


@pytest.mark.statement("lf-tags.replaced")
def test_adding_a_key_again_replaces_its_value(lab, keys, orders):
    _, pii = keys
    for value in ("unknown", "None"):
        assign(lab, CENTRAL, on_database(orders[0]), **{pii: value})
    assert tags_of(lab, CENTRAL, on_database(orders[0])) == {"database": {pii: "none"}}


@pytest.mark.statement("lf-tags.new-columns")
def test_a_new_column_inherits_and_a_dropped_one_takes_its_tags_along(lab, keys, orders):
    _, pii = keys
    database, table = orders
    assign(lab, CENTRAL, on_database(database), **{pii: "unknown"})
    assign(lab, CENTRAL, on_columns(database, table, "id", "email"), **{pii: "none"})
    for columns in (("id", "phone"), ("id", "phone", "email")):
        listed = [{"Name": name, "Type": "string"} for name in columns]
        shape = {"Name": table, "StorageDescriptor": {"Columns": listed}, "PartitionKeys": []}
        lab.client("glue", CENTRAL).update_table(DatabaseName=database, TableInput=shape)
    shown = tags_of(lab, CENTRAL, on_table(database, table))
    assert [shown[name][pii] for name in ("id", "phone", "email")] == ["none", "unknown", "unknown"]


@pytest.mark.statement("lf-tags.new-columns")
def test_a_table_made_again_has_no_tags_of_the_one_before(lab, keys, orders):
    domain, pii = keys
    database, table = orders
    assign(lab, CENTRAL, on_table(database, table), **{pii: "none"})
    assign(lab, CENTRAL, on_columns(database, table, "id"), **{domain: "hr"})
    glue = lab.client("glue", CENTRAL)
    glue.delete_table(DatabaseName=database, Name=table)
    columns = [{"Name": "id", "Type": "string"}]
    glue.create_table(DatabaseName=database, TableInput={"Name": table, "StorageDescriptor": {"Columns": columns}})
    assert tags_of(lab, CENTRAL, on_table(database, table)) == {}
    assign(lab, CENTRAL, on_database(database), **{pii: "none"})
    glue.delete_database(Name=database)
    glue.create_database(DatabaseInput={"Name": database})
    assert tags_of(lab, CENTRAL, on_database(database)) == {}


@pytest.mark.statement("lf-tags.assigned-one-value")
@pytest.mark.parametrize("given", [("none", "contact"), ("*",), ()])
def test_several_values_a_wildcard_or_none_are_invalid(lab, keys, orders, given):
    with refused("InvalidInputException", "ValidationException"):
        lake_formation(lab).add_lf_tags_to_resource(
            Resource=on_database(orders[0]), LFTags=[{"TagKey": keys[1], "TagValues": list(given) or [""]}]
        )
    assert tags_of(lab, CENTRAL, on_database(orders[0])) == {}


@pytest.mark.statement("lf-tags.assigned-one-value")
def test_a_repeated_key_is_invalid(lab, keys, orders):
    _, pii = keys
    with refused("InvalidInputException", message="repeated"):
        add_tags(lab, CENTRAL, on_database(orders[0]), (pii, "none"), (pii.upper(), "contact"))


@pytest.mark.statement("lf-tags.failures")
def test_what_fails_is_named_and_the_rest_is_assigned(lab, keys, orders):
    domain, pii = keys
    missing = lab.name("missing")
    failures = add_tags(lab, CENTRAL, on_database(orders[0]), (pii, "none"), (missing, "x"), (domain, "missing"))
    assert [each["LFTag"]["TagKey"] for each in failures] == [missing, domain]
    assert codes(failures) == ["EntityNotFoundException"] * 2
    assert tags_of(lab, CENTRAL, on_database(orders[0])) == {"database": {pii: "none"}}


@pytest.mark.statement("lf-tags.tags-per-resource")
def test_a_resource_takes_at_most_50_tags(lab, orders):
    database, table = orders
    many = [lab.lf_tag(CENTRAL, f"k{number}", "v", "w") for number in range(51)]
    pairs = [(key, "v") for key in many]
    for resource in (on_database(database), on_table(database, table), on_columns(database, table, "id")):
        assert add_tags(lab, CENTRAL, resource, *pairs[:50]) == []
        assert codes(add_tags(lab, CENTRAL, resource, pairs[50])) == ["InvalidInputException"]
        assert add_tags(lab, CENTRAL, resource, (many[0], "w")) == []
    with refused("InvalidInputException", "ValidationException"):
        add_tags(lab, CENTRAL, on_database(database), *pairs)


@pytest.mark.statement("lf-tags.taggable")
def test_only_what_is_there_can_be_tagged(lab, keys, orders):
    _, pii = keys
    database, table = orders
    nowhere = lab.name("missing")
    for resource in (on_database(nowhere), on_table(database, nowhere), on_columns(database, table, "id", nowhere)):
        with refused("EntityNotFoundException"):
            add_tags(lab, CENTRAL, resource, (pii, "none"))
    for resource in (on_table(database, None), {**on_database(database), **on_table(database, table)}):
        with refused("InvalidInputException"):
            add_tags(lab, CENTRAL, resource, (pii, "none"))
    with refused("EntityNotFoundException"):
        add_tags(lab, a_role(lab, "stranger"), on_table(database, table), (pii, "none"))
    for name in (on_database(database), on_table(database, table)):
        assert tags_of(lab, CENTRAL, name) == {}


@pytest.mark.statement("lf-tags.taggable")
@pytest.mark.local_only("what the local AWS does not build it refuses")
def test_columns_are_tagged_by_their_names(lab, keys, orders):
    every = {"TableWithColumns": {"DatabaseName": orders[0], "Name": orders[1], "ColumnWildcard": {}}}
    with refused("LocalAwsNotSupported"):
        add_tags(lab, CENTRAL, every, (keys[1], "none"))
    every["TableWithColumns"].pop("ColumnWildcard")
    with refused("InvalidInputException", message="ColumnNames"):
        add_tags(lab, CENTRAL, every, (keys[1], "none"))


@pytest.mark.statement("lf-tags.links")
def test_a_link_takes_no_tags(lab, keys, orders):
    database, table = orders
    account = lab.account(CENTRAL)
    into = lab.database(CENTRAL, "into")
    links = (
        on_database(database_link(lab, CENTRAL, account, database)),
        on_table(into, table_link(lab, CENTRAL, into, account, database, table)),
    )
    for link in links:
        with refused("InvalidInputException", message="resource link"):
            add_tags(lab, CENTRAL, link, (keys[1], "none"))


@pytest.mark.statement("lf-tags.same-account")
@pytest.mark.local_only("two accounts of its own, in one organization")
def test_a_shared_table_cannot_be_tagged_with_the_consumers_tags(lab):
    owner, consumer = lab.fresh(), lab.fresh()
    lab.organization(owner, consumer)
    for part in (owner, consumer):
        lab.lake(part)
    product = data_product(lab, owner)
    product_table = on_table(product.database, product.table, product.catalog)
    grant(lab, owner, lab.account(consumer), on_table(product.database, product.table), "SELECT", options=True)
    mine = lab.lf_tag(consumer, "mine", "v")
    assert sees(lab, consumer, product.database, product.table, product.catalog)
    answered = (
        {"Resource": product_table, "LFTags": [{"TagKey": mine, "TagValues": ["v"]}]},
        {
            "Resource": product_table,
            "LFTags": [{"CatalogId": lab.account(consumer), "TagKey": mine, "TagValues": ["v"]}],
        },
    )
    for given in answered:
        try:
            failures = lake_formation(lab, consumer).add_lf_tags_to_resource(**given)["Failures"]
        except lake_formation(lab, consumer).exceptions.ClientError as error:
            failures = [{"Error": {"ErrorCode": error.response["Error"]["Code"]}}]
        assert codes(failures)[0] in ("InvalidInputException", "AccessDeniedException", "EntityNotFoundException")
    assert mine not in str(tags_of(lab, owner, on_table(product.database, product.table)))
    with refused("InvalidInputException", message="same account"):
        other = [{"CatalogId": lab.account(consumer), "TagKey": product.pii, "TagValues": ["none"]}]
        own = on_table(product.database, product.table)
        lake_formation(lab, owner).add_lf_tags_to_resource(Resource=own, LFTags=other)


# -- who may assign ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tagger(lab):
    return a_role(lab, "tagger")


@pytest.mark.statement("lf-tags.associate", "lf-tags.assign-owner", "lf-tags.failures")
def test_an_owner_tags_with_associate_on_the_tags_value(lab, keys, orders, tagger):
    domain, pii = keys
    database, _ = orders
    grant(lab, CENTRAL, tagger, on_database(database), "CREATE_TABLE")
    mine = on_table(database, lab.table(tagger, database, "mine"))
    assert codes(add_tags(lab, tagger, mine, (pii, "none"))) == ["AccessDeniedException"]
    grant(lab, CENTRAL, tagger, on_tag(pii, "none"), "ASSOCIATE")
    failures = add_tags(lab, tagger, mine, (pii, "none"), (domain, "sales"))
    assert codes(failures) == ["AccessDeniedException"]
    assert codes(add_tags(lab, tagger, mine, (pii, "contact"))) == ["AccessDeniedException"]
    assert tags_of(lab, tagger, mine)["table"] == {pii: "none"}
    grant(lab, CENTRAL, tagger, on_tag(domain, "*"), "DESCRIBE")
    assert codes(add_tags(lab, tagger, mine, (domain, "sales"))) == ["AccessDeniedException"]
    revoke_given = {"Principal": {"DataLakePrincipalIdentifier": tagger.arn}, "Resource": on_tag(pii, "none")}
    lake_formation(lab).revoke_permissions(**revoke_given, Permissions=["ASSOCIATE"])
    assert codes(remove_tag(lab, tagger, mine, pii, "none")) == ["AccessDeniedException"]


@pytest.mark.statement("lf-tags.assign-permissions")
@pytest.mark.parametrize("lacking", ON_TABLE)
def test_tagging_anothers_table_needs_each_of_six_permissions_with_the_grant_option(lab, keys, orders, tagger, lacking):
    _, pii = keys
    database, table = orders
    grant(lab, CENTRAL, tagger, on_tag(pii, "*"), "ASSOCIATE")
    others = [each for each in ON_TABLE if each != lacking]
    grant(lab, CENTRAL, tagger, on_table(database, table), *ON_TABLE, options=others)
    with refused("AccessDeniedException", message=lacking):
        add_tags(lab, tagger, on_columns(database, table, "id"), (pii, "none"))
    grant(lab, CENTRAL, tagger, on_table(database, table), lacking, options=True)
    assert add_tags(lab, tagger, on_columns(database, table, "id"), (pii, "none")) == []


@pytest.mark.statement("lf-tags.assign-permissions")
@pytest.mark.parametrize("lacking", ON_DATABASE)
def test_tagging_anothers_database_needs_each_of_four_with_the_grant_option(lab, keys, orders, tagger, lacking):
    _, pii = keys
    grant(lab, CENTRAL, tagger, on_tag(pii, "*"), "ASSOCIATE")
    others = [each for each in ON_DATABASE if each != lacking]
    grant(lab, CENTRAL, tagger, on_database(orders[0]), *ON_DATABASE, options=others)
    with refused("AccessDeniedException", message=lacking):
        add_tags(lab, tagger, on_database(orders[0]), (pii, "none"))
    grant(lab, CENTRAL, tagger, on_database(orders[0]), lacking, options=True)
    assert add_tags(lab, tagger, on_database(orders[0]), (pii, "none")) == []


@pytest.mark.statement("lf-tags.assign-super")
def test_super_with_the_grant_option_is_enough(lab, keys, orders, tagger):
    _, pii = keys
    database, table = orders
    grant(lab, CENTRAL, tagger, on_tag(pii, "*"), "ASSOCIATE")
    grant(lab, CENTRAL, tagger, on_table(database, None), "ALL")
    with refused("AccessDeniedException"):
        add_tags(lab, tagger, on_table(database, table), (pii, "none"))
    grant(lab, CENTRAL, tagger, on_table(database, None), "ALL", options=True)
    assert add_tags(lab, tagger, on_table(database, table), (pii, "none")) == []


@pytest.mark.statement("lf-tags.assign-iam")
def test_iam_must_allow_it_too(lab, keys, orders):
    _, pii = keys
    tagger = lab.role(CENTRAL, "no-iam", allow=["glue:*", "lakeformation:Get*"])
    grant(lab, CENTRAL, tagger, on_tag(pii, "*"), "ASSOCIATE")
    grant(lab, CENTRAL, tagger, on_database(orders[0]), "ALL", options=True)
    with refused("AccessDeniedException", message="AddLFTagsToResource"):
        add_tags(lab, tagger, on_database(orders[0]), (pii, "none"))
    lab.allow(tagger, "lakeformation:AddLFTagsToResource")
    assert lab.eventually(lambda: add_tags(lab, tagger, on_database(orders[0]), (pii, "none")) == [])


@pytest.mark.statement("lf-tags.admin-associate")
@pytest.mark.local_only("an account of its own, for a second administrator")
def test_an_administrator_grants_itself_what_it_needs_to_tag(lab):
    part = lab.fresh()
    crawler, other = a_role(lab, "crawler", part=part), a_role(lab, "other-admin", part=part)
    lab.lake(part, other.arn)
    pii, database = lab.lf_tag(part, "pii", "none"), lab.database(part)
    grant(lab, part, crawler, on_database(database), "CREATE_TABLE")
    crawled = on_table(database, lab.table(crawler, database))
    with refused("AccessDeniedException", message="grant option"):
        add_tags(lab, part, crawled, (pii, "none"))
    grant(lab, part, lab.client("sts", part).get_caller_identity()["Arn"], crawled, *ON_TABLE, options=True)
    assert add_tags(lab, part, crawled, (pii, "none")) == []
    grant(lab, other, other, crawled, *ON_TABLE, options=True)
    assert codes(add_tags(lab, other, crawled, (pii, "none"))) == ["AccessDeniedException"]
    grant(lab, other, other, on_tag(pii, "*"), "ASSOCIATE")
    assert add_tags(lab, other, crawled, (pii, "none")) == []


# -- what is shown and found ------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-tags.shown")
def test_of_a_resource_one_sees_the_tags_that_one_may_describe(lab, keys, orders):
    domain, pii = keys
    database, table = orders
    reader = a_role(lab, "reader")
    assign(lab, CENTRAL, on_table(database, table), **{domain: "sales", pii: "none"})
    with refused("EntityNotFoundException"):
        tags_of(lab, reader, on_table(database, table))
    grant(lab, CENTRAL, reader, on_columns(database, table, "id"), "SELECT")
    assert tags_of(lab, reader, on_table(database, table)) == {}
    grant(lab, CENTRAL, reader, on_tag(pii, "none"), "DESCRIBE")
    assert tags_of(lab, reader, on_table(database, table)) == {
        "table": {pii: "none"},
        "id": {pii: "none"},
        "day": {pii: "none"},
    }


def found_tables(lab, who, *pairs, **more):
    search = [{"TagKey": key, "TagValues": list(values)} for key, *values in pairs]
    answer = (
        lake_formation(lab, who)
        .get_paginator("search_tables_by_lf_tags")
        .paginate(Expression=search, PaginationConfig=more)
    )
    return {each["Table"]["Name"]: each for page in answer for each in page["TableList"]}


@pytest.mark.statement("lf-tags.search-tables", "lf-tags.search-described")
def test_tables_are_found_by_their_own_tags_or_a_columns(lab, orders):
    domain, pii = lab.lf_tag(CENTRAL, "domain", "sales", "hr"), lab.lf_tag(CENTRAL, "pii", "none", "contact")
    database, table = orders
    nothing, returns = lab.table(CENTRAL, database, "nothing"), lab.table(CENTRAL, database, "returns")
    elsewhere = lab.database(CENTRAL, "elsewhere")
    assign(lab, CENTRAL, on_table(elsewhere, lab.table(CENTRAL, elsewhere)), **{pii: "contact"})
    table_link(lab, CENTRAL, database, lab.account(CENTRAL), database, table)
    database_link(lab, CENTRAL, lab.account(CENTRAL), database)
    assign(lab, CENTRAL, on_database(database), **{domain: "sales", pii: "none"})
    assign(lab, CENTRAL, on_columns(database, table, "email"), **{pii: "contact"})
    assign(lab, CENTRAL, on_table(database, returns), **{pii: "contact"})
    asked = (pii, "Contact"), (domain, "*")
    found = found_tables(lab, CENTRAL, *asked, PageSize=1)
    assert set(found) == {table, returns} and nothing not in found
    columns = {column["Name"]: column["LFTags"] for column in found[table]["LFTagsOnColumns"]}
    assert {pair["TagKey"]: pair["TagValues"] for pair in columns["email"]} == {domain: ["sales"], pii: ["contact"]}
    assert {pair["TagKey"] for pair in found[table]["LFTagOnDatabase"]} == {domain, pii}
    assert {pair["TagValues"][0] for pair in found[returns]["LFTagsOnTable"]} == {"sales", "contact"}
    nobody = a_role(lab, "nobody")
    with refused("EntityNotFoundException"):
        found_tables(lab, nobody, *asked)
    grant(lab, CENTRAL, nobody, on_tag(pii, "none"), "DESCRIBE")
    grant(lab, CENTRAL, nobody, on_tag(domain, "*"), "DESCRIBE")
    with refused("EntityNotFoundException"):
        found_tables(lab, nobody, *asked)
    grant(lab, CENTRAL, nobody, on_tag(pii, "*"), "DESCRIBE")
    assert found_tables(lab, nobody, *asked) == {}
    grant(lab, CENTRAL, nobody, on_policy("TABLE", {pii: ["contact"]}), "SELECT")
    assert set(found_tables(lab, nobody, *asked)) == {table, returns}


@pytest.mark.statement("lf-tags.search-databases")
def test_databases_are_found_by_their_tags(lab):
    domain, pii = lab.lf_tag(CENTRAL, "domain", "sales", "hr"), lab.lf_tag(CENTRAL, "pii", "none")
    sales, people = lab.database(CENTRAL, "sales"), lab.database(CENTRAL, "people")
    database_link(lab, CENTRAL, lab.account(CENTRAL), sales)
    assign(lab, CENTRAL, on_database(people), **{domain: "hr"})
    assign(lab, CENTRAL, on_database(sales), **{domain: "sales", pii: "none"})

    def found(who, *pairs):
        search = [{"TagKey": key, "TagValues": list(values)} for key, *values in pairs]
        answer = lake_formation(lab, who).search_databases_by_lf_tags(Expression=search)["DatabaseList"]
        return {each["Database"]["Name"]: {tag["TagKey"] for tag in each["LFTags"]} for each in answer}

    assert found(CENTRAL, (domain, "sales", "hr"), (pii, "none")) == {sales: {domain, pii}}
    reader = a_role(lab, "reader")
    grant(lab, CENTRAL, reader, on_tag(domain, "*"), "DESCRIBE")
    assert found(reader, (domain, "*")) == {}
    grant(lab, CENTRAL, reader, on_database(people), "DESCRIBE")
    assert found(reader, (domain, "*")) == {people: {domain}}


@pytest.mark.statement("lf-tags.search-pages")
def test_searches_come_in_pages_of_at_most_100(lab):
    key, database = lab.lf_tag(CENTRAL, "paged", "v"), lab.database(CENTRAL)
    assign(lab, CENTRAL, on_database(database), **{key: "v"})
    for number in range(101):
        lab.table(CENTRAL, database, f"t{number:03}")
    search = {"Expression": [{"TagKey": key, "TagValues": ["v"]}]}
    first = lake_formation(lab).search_tables_by_lf_tags(**search)
    rest = lake_formation(lab).search_tables_by_lf_tags(**search, NextToken=first["NextToken"])
    assert (len(first["TableList"]), len(rest["TableList"])) == (100, 1)
    for search_of in (lake_formation(lab).search_tables_by_lf_tags, lake_formation(lab).search_databases_by_lf_tags):
        with refused("InvalidInputException", "ValidationException"):
            search_of(**search, MaxResults=101)
    with refused("InvalidInputException", "ValidationException"):
        lake_formation(lab).search_tables_by_lf_tags(Expression=[])
