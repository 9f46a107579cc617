"""Named LF-Tag expressions: their life, who may use them, and the grants that refer to them."""

import pytest
from lab import refused
from lake_calls import assign, grant, on_database, on_table, on_tag, principal, revoke, shown_database
from lf_desk import CENTRAL, a_role, lake_formation, listed, readable

ALL_COLUMNS = ["email", "id", "total"]


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.fixture(scope="module")
def pii(lab):
    return lab.lf_tag(CENTRAL, "pii", "none", "contact", "unknown")


@pytest.fixture
def names(lab):
    database = lab.database(CENTRAL)
    return database, lab.table(CENTRAL, database, "orders")


@pytest.fixture
def reader(lab):
    return a_role(lab, "reader")


def body(**tags):
    return [{"TagKey": key, "TagValues": values} for key, values in tags.items()]


def expression(lab, who=CENTRAL, name=None, **tags):
    """A new named expression's name."""
    name = name or lab.name("Expression")
    lake_formation(lab, who).create_lf_tag_expression(Name=name, Expression=body(**tags))
    lab.at_end(lake_formation(lab).delete_lf_tag_expression, Name=name)
    return name


def named(kind, name):
    return {"LFTagPolicy": {"ResourceType": kind, "ExpressionName": name}}


def itself(name):
    return {"LFTagExpression": {"Name": name}}


@pytest.mark.statement("lf-tags.expression")
def test_an_expression_is_kept_under_its_name_with_a_description(lab, pii):
    name = lab.name("Open")
    lakeformation = lake_formation(lab)
    lakeformation.create_lf_tag_expression(
        Name=name, Description="open data", Expression=body(**{pii.upper(): ["None"]})
    )
    shown = lakeformation.get_lf_tag_expression(Name=name)
    assert (shown["Description"], shown["CatalogId"]) == ("open data", lab.account(CENTRAL))
    assert shown["Expression"] == body(**{pii: ["none"]})
    with refused("InvalidInputException", message="already exists"):
        lakeformation.create_lf_tag_expression(Name=name, Expression=body(**{pii: ["contact"]}))
    lakeformation.update_lf_tag_expression(Name=name, Expression=body(**{pii: ["contact"]}))
    shown = lakeformation.get_lf_tag_expression(Name=name)
    assert (shown["Description"], shown["Expression"]) == ("open data", body(**{pii: ["contact"]}))
    lakeformation.delete_lf_tag_expression(Name=name)
    for call in (lakeformation.get_lf_tag_expression, lakeformation.delete_lf_tag_expression):
        with refused("EntityNotFoundException"):
            call(Name=name)
    with refused("EntityNotFoundException"):
        lakeformation.update_lf_tag_expression(Name=name, Expression=body(**{pii: ["none"]}))


@pytest.mark.statement("lf-tags.expression-tags")
def test_its_tags_and_values_must_exist(lab, pii):
    name = expression(lab, **{pii: ["none"]})
    for wrong in ({pii: ["missing"]}, {lab.name("missing"): ["none"]}, {pii: ["none"], lab.name("missing"): ["x"]}):
        with refused("EntityNotFoundException"):
            expression(lab, **wrong)
        with refused("EntityNotFoundException"):
            lake_formation(lab).update_lf_tag_expression(Name=name, Expression=body(**wrong))
    with refused("InvalidInputException"):
        lake_formation(lab).create_lf_tag_expression(Name=lab.name("e"), Expression=[])


@pytest.mark.statement("lf-tags.expression-create")
def test_making_one_needs_the_catalogue_permission_and_every_pair(lab, pii):
    creator, domain = a_role(lab, "creator"), lab.lf_tag(CENTRAL, "domain", "sales")
    wanted = {pii: ["none", "contact"], domain: ["sales"]}
    with refused("AccessDeniedException", message="Create Lf Tag Expression"):
        expression(lab, creator, **wanted)
    grant(lab, CENTRAL, creator, {"Catalog": {}}, "CREATE_LF_TAG_EXPRESSION")
    grant(lab, CENTRAL, creator, on_tag(domain, "sales"), "GRANT_WITH_LF_TAG_EXPRESSION")
    grant(lab, CENTRAL, creator, on_tag(pii, "none"), "GRANT_WITH_LF_TAG_EXPRESSION")
    with refused("AccessDeniedException", message=f"{pii}=contact"):
        expression(lab, creator, **wanted)
    grant(lab, CENTRAL, creator, on_tag(pii, "contact"), "GRANT_WITH_LF_TAG_EXPRESSION")
    name = expression(lab, creator, **wanted)
    with refused("AccessDeniedException", message=f"{pii}=unknown"):
        lake_formation(lab, creator).update_lf_tag_expression(Name=name, Expression=body(**{pii: ["unknown"]}))
    lake_formation(lab, creator).update_lf_tag_expression(Name=name, Expression=body(**{pii: ["none"]}))
    lake_formation(lab, creator).delete_lf_tag_expression(Name=name)


@pytest.mark.statement("lf-tags.expression-permissions")
def test_others_need_describe_alter_and_drop_on_it(lab, pii):
    name, somebody = expression(lab, **{pii: ["none"]}), a_role(lab, "somebody")
    theirs = lake_formation(lab, somebody)
    grant(lab, CENTRAL, somebody, on_tag(pii, "*"), "GRANT_WITH_LF_TAG_EXPRESSION")
    with refused("EntityNotFoundException"):
        theirs.get_lf_tag_expression(Name=name)
    assert theirs.list_lf_tag_expressions()["LFTagExpressions"] == []
    grant(lab, CENTRAL, somebody, itself(name), "DESCRIBE")
    assert [each["Name"] for each in theirs.list_lf_tag_expressions()["LFTagExpressions"]] == [name]
    with refused("AccessDeniedException", message="Required Alter"):
        theirs.update_lf_tag_expression(Name=name, Expression=body(**{pii: ["contact"]}))
    with refused("AccessDeniedException", message="Required Drop"):
        theirs.delete_lf_tag_expression(Name=name)
    grant(lab, CENTRAL, somebody, itself(name), "ALTER", "DROP")
    theirs.update_lf_tag_expression(Name=name, Expression=body(**{pii: ["contact"]}))
    (held,) = listed(lab, CENTRAL, ResourceType="LF_NAMED_TAG_EXPRESSION", Principal=principal(lab, somebody))
    assert held["Resource"]["LFTagExpression"] == {"CatalogId": lab.account(CENTRAL), "Name": name}
    assert listed(lab, CENTRAL, Resource=itself(name))
    theirs.delete_lf_tag_expression(Name=name)
    assert listed(lab, CENTRAL, ResourceType="LF_NAMED_TAG_EXPRESSION", Principal=principal(lab, somebody)) == []
    with refused("InvalidInputException", message="not valid"):
        grant(lab, CENTRAL, somebody, itself(expression(lab, **{pii: ["none"]})), "SELECT")
    with refused("EntityNotFoundException"):
        grant(lab, CENTRAL, somebody, itself(name), "DESCRIBE")


@pytest.mark.statement("lf-tags.expression-pages")
def test_they_are_listed_in_pages(lab, pii, reader):
    made = [expression(lab, name=lab.name(f"e{number}"), **{pii: ["none"]}) for number in range(3)]
    for name in made:
        grant(lab, CENTRAL, reader, itself(name), "DESCRIBE")
    first = lake_formation(lab, reader).list_lf_tag_expressions(MaxResults=2)
    rest = lake_formation(lab, reader).list_lf_tag_expressions(NextToken=first["NextToken"])
    assert [each["Name"] for page in (first, rest) for each in page["LFTagExpressions"]] == made
    assert len(rest["LFTagExpressions"]) == 1


@pytest.mark.statement("lf-tags.expression-number")
@pytest.mark.local_only("a thousand expressions are made in the engine, not call by call")
def test_an_account_has_at_most_1000(lab):
    from local_aws.lakeformation.lf_tags import NamedExpression

    part = lab.fresh()
    lab.lake(part)
    key = lab.lf_tag(part, "pii", "none")
    store = lab.aws.world.engines["lakeformation"]._expressions
    for number in range(999):
        store.put(lab.account(part), NamedExpression(f"e{number}", "", ((key, frozenset({"none"})),), "somebody"))
    expression(lab, part, **{key: ["none"]})
    with refused("ResourceNumberLimitExceededException"):
        expression(lab, part, **{key: ["none"]})


@pytest.mark.statement("lf-grants.named-expression", "lf-grants.named-expression-update")
def test_a_grant_by_name_follows_the_expression_at_once(lab, pii, names, reader):
    name, other = expression(lab, **{pii: ["none"]}), lab.database(CENTRAL)
    assign(lab, CENTRAL, on_database(names[0]), **{pii: "contact"})
    assign(lab, CENTRAL, on_database(other), **{pii: "none"})
    grant(lab, CENTRAL, reader, named("TABLE", name), "SELECT")
    grant(lab, CENTRAL, reader, named("DATABASE", name), "DESCRIBE")
    assert readable(lab, reader, *names) == [] and not shown_database(lab, reader, names[0])
    assert shown_database(lab, reader, other)
    lake_formation(lab).update_lf_tag_expression(Name=name, Expression=body(**{pii: ["contact"]}))
    assert readable(lab, reader, *names) == ALL_COLUMNS and shown_database(lab, reader, names[0])
    assert not shown_database(lab, reader, other)
    grants = listed(lab, CENTRAL, Principal=principal(lab, reader), ResourceType="LF_TAG_POLICY_TABLE")
    assert [each["Resource"]["LFTagPolicy"]["ExpressionName"] for each in grants] == [name]
    assert "Expression" not in grants[0]["Resource"]["LFTagPolicy"]
    revoke(lab, CENTRAL, reader, named("TABLE", name), "SELECT")
    assert readable(lab, reader, *names) == [] and shown_database(lab, reader, names[0])


@pytest.mark.statement("lf-grants.named-expression-delete")
def test_deleting_an_expression_deletes_the_grants_by_it(lab, pii, names, reader):
    name, kept = expression(lab, **{pii: ["none"]}), expression(lab, **{pii: ["none", "contact"]})
    assign(lab, CENTRAL, on_database(names[0]), **{pii: "contact"})
    for each in (name, kept):
        grant(lab, CENTRAL, reader, named("TABLE", each), "SELECT")
        grant(lab, CENTRAL, reader, named("DATABASE", each), "DESCRIBE")
    lake_formation(lab).delete_lf_tag_expression(Name=name)
    grants = listed(lab, CENTRAL, Principal=principal(lab, reader))
    assert {each["Resource"]["LFTagPolicy"]["ExpressionName"] for each in grants} == {kept} and len(grants) == 2
    assert readable(lab, reader, *names) == ALL_COLUMNS
    expression(lab, name=name, **{pii: ["contact"]})
    assert len(listed(lab, CENTRAL, Principal=principal(lab, reader))) == 2


@pytest.mark.statement("lf-grants.named-expression")
def test_a_policy_has_an_expression_or_the_name_of_one(lab, pii, reader):
    name = expression(lab, **{pii: ["none"]})
    both = named("TABLE", name)
    both["LFTagPolicy"]["Expression"] = body(**{pii: ["none"]})
    with refused("InvalidInputException", message="either"):
        grant(lab, CENTRAL, reader, both, "SELECT")
    with refused("EntityNotFoundException"):
        grant(lab, CENTRAL, reader, named("TABLE", lab.name("missing")), "SELECT")


@pytest.mark.statement("lf-grants.named-expression-size")
def test_a_named_expression_may_be_longer_than_900_bytes(lab, reader):
    values = [f"value-number-{number:02}-{'x' * 20}" for number in range(50)]
    key = lab.lf_tag(CENTRAL, "long", *values)
    grant(lab, CENTRAL, reader, named("TABLE", expression(lab, **{key: values})), "SELECT")


@pytest.mark.statement("lf-grants.named-expression-pass-on")
def test_a_grant_by_name_is_passed_on_with_permission_on_the_expression(lab, pii, names, reader):
    name, other = expression(lab, **{pii: ["none"]}), a_role(lab, "other")
    assign(lab, CENTRAL, on_table(*names), **{pii: "none"})
    grant(lab, CENTRAL, reader, named("TABLE", name), "SELECT", options=True)
    with refused("EntityNotFoundException"):
        grant(lab, reader, other, named("TABLE", name), "SELECT")
    grant(lab, CENTRAL, reader, itself(name), "GRANT_WITH_LF_TAG_EXPRESSION", options=True)
    grant(lab, reader, other, named("TABLE", name), "SELECT")
    assert readable(lab, other, *names) == ALL_COLUMNS
    with refused("AccessDeniedException"):
        grant(lab, reader, other, named("TABLE", name), "ALTER")
    grant(lab, reader, other, itself(name), "GRANT_WITH_LF_TAG_EXPRESSION")
    with refused("AccessDeniedException"):
        grant(lab, reader, other, itself(name), "DROP")


@pytest.mark.statement("lf-tags.expression-deleted-tag")
def test_an_expression_whose_tag_was_deleted_stays_and_matches_nothing(lab, names, reader):
    key = lab.lf_tag(CENTRAL, "gone", "v")
    name = expression(lab, **{key: ["v"]})
    assign(lab, CENTRAL, on_table(*names), **{key: "v"})
    grant(lab, CENTRAL, reader, named("TABLE", name), "SELECT")
    assert readable(lab, reader, *names) == ALL_COLUMNS
    lake_formation(lab).delete_lf_tag(TagKey=key)
    assert readable(lab, reader, *names) == []
    assert lake_formation(lab).get_lf_tag_expression(Name=name)["Expression"] == body(**{key: ["v"]})


@pytest.mark.statement("lf-grants.named-expression-accounts")
@pytest.mark.local_only("what the local AWS does not build it refuses")
def test_named_expressions_do_not_cross_accounts(lab, pii):
    name = expression(lab, **{pii: ["none"]})
    for resource, permission in ((named("TABLE", name), "SELECT"), (itself(name), "DESCRIBE")):
        with refused("LocalAwsNotSupported"):
            grant(lab, CENTRAL, "consumer", resource, permission)
    lab.lake("consumer")
    mine = a_role(lab, "mine", part="consumer")
    foreign = named("TABLE", name)
    foreign["LFTagPolicy"]["CatalogId"] = lab.account(CENTRAL)
    with refused("LocalAwsNotSupported"):
        grant(lab, "consumer", mine, foreign, "SELECT")
    with refused("EntityNotFoundException"):
        lake_formation(lab, "consumer").get_lf_tag_expression(Name=name, CatalogId=lab.account(CENTRAL))


@pytest.mark.statement("lf-tags.expression-permissions")
@pytest.mark.local_only("an account with a read-only administrator")
def test_read_only_administrators_see_expressions_and_change_none(lab):
    part = lab.fresh()
    lab.lake(part)
    key, auditor = lab.lf_tag(part, "pii", "none"), a_role(lab, "auditor", part=part)
    name = expression(lab, part, **{key: ["none"]})
    current = lake_formation(lab, part).get_data_lake_settings()["DataLakeSettings"]
    lake_formation(lab, part).put_data_lake_settings(
        DataLakeSettings={**current, "ReadOnlyAdmins": [principal(lab, auditor)]}
    )
    assert lake_formation(lab, auditor).get_lf_tag_expression(Name=name)["Name"] == name
    with refused("AccessDeniedException"):
        lake_formation(lab, auditor).delete_lf_tag_expression(Name=name)
