"""Every kind of resource can be granted on and revoked, alone and in a batch, and every call says whose catalogue."""

import pytest
from lake_calls import assign, on_columns, on_database, on_policy, on_table, on_tag, principal
from lf_desk import CENTRAL, a_role, lake_formation, listed, tags_of


@pytest.fixture(scope="module")
def kinds(lab):
    """A resource of each kind, with a permission on it."""
    lab.lake(CENTRAL)
    key, database = lab.lf_tag(CENTRAL, "pii", "none", "contact"), lab.database(CENTRAL)
    table, name = lab.table(CENTRAL, database), lab.name("e")
    made = [{"TagKey": key, "TagValues": ["none"]}]
    lake_formation(lab).create_lf_tag_expression(Name=name, Expression=made, CatalogId=lab.account(CENTRAL))
    lab.at_end(lake_formation(lab).delete_lf_tag_expression, Name=name)
    return [
        ({"Catalog": {}}, "CREATE_LF_TAG"),
        (on_database(database), "DESCRIBE"),
        (on_table(database, None), "ALTER"),
        (on_columns(database, table, "id"), "SELECT"),
        ({"DataLocation": {"ResourceArn": "arn:aws:s3:::somewhere/data"}}, "DATA_LOCATION_ACCESS"),
        (on_tag(key, "none"), "ASSOCIATE"),
        (on_policy("TABLE", {key: ["none"]}), "SELECT"),
        ({"LFTagPolicy": {"ResourceType": "TABLE", "ExpressionName": name}}, "SELECT"),
        ({"LFTagExpression": {"Name": name}}, "DESCRIBE"),
    ]


def held(lab, who):
    return len(listed(lab, CENTRAL, Principal=principal(lab, who), CatalogId=lab.account(CENTRAL)))


@pytest.mark.statement("lf-grants.every-kind")
def test_each_kind_is_granted_and_revoked_alone(lab, kinds):
    lakeformation, reader = lake_formation(lab), a_role(lab, "reader")
    for resource, permission in kinds:
        given = {"CatalogId": lab.account(CENTRAL), "Principal": principal(lab, reader), "Resource": resource}
        options = [] if "ColumnNames" in resource.get("TableWithColumns", {}) else [permission]
        lakeformation.grant_permissions(**given, Permissions=[permission], PermissionsWithGrantOption=options)
        assert held(lab, reader) == 1, resource
        lakeformation.revoke_permissions(**given, Permissions=[permission], PermissionsWithGrantOption=options)
        assert held(lab, reader) == 0, resource


@pytest.mark.statement("lf-grants.every-kind", "lf-grants.batch")
def test_all_kinds_are_granted_and_revoked_in_one_batch(lab, kinds):
    lakeformation, reader, catalog = lake_formation(lab), a_role(lab, "reader"), lab.account(CENTRAL)
    entries = [
        {
            "Id": str(number),
            "Principal": principal(lab, reader),
            "Resource": resource,
            "Permissions": [permission],
            "PermissionsWithGrantOption": [] if "TableWithColumns" in resource else [permission],
        }
        for number, (resource, permission) in enumerate(kinds)
    ]
    assert lakeformation.batch_grant_permissions(CatalogId=catalog, Entries=entries)["Failures"] == []
    assert held(lab, reader) == len(kinds)
    assert lakeformation.batch_revoke_permissions(CatalogId=catalog, Entries=entries)["Failures"] == []
    assert held(lab, reader) == 0


@pytest.mark.statement("lf-tags.catalog-id")
def test_calls_about_tags_name_the_callers_own_catalogue_or_none(lab, kinds):
    lakeformation, own = lake_formation(lab), {"CatalogId": lab.account(CENTRAL)}
    key, database = lab.name("owned"), lab.database(CENTRAL)
    table = lab.table(CENTRAL, database)
    lakeformation.create_lf_tag(**own, TagKey=key, TagValues=["v"])
    lakeformation.update_lf_tag(**own, TagKey=key, TagValuesToAdd=["w"])
    assert lakeformation.get_lf_tag(**own, TagKey=key)["TagValues"] == ["v", "w"]
    assert key in {tag["TagKey"] for tag in lakeformation.list_lf_tags(**own)["LFTags"]}
    assert key in {tag["TagKey"] for tag in lakeformation.list_lf_tags(ResourceShareType="ALL")["LFTags"]}
    pair = [{"TagKey": key, "TagValues": ["v"]}]
    for resource in (on_database(database), on_table(database, table), on_columns(database, table, "id")):
        assign(lab, CENTRAL, resource, **{key: "v"})
        assert lakeformation.add_lf_tags_to_resource(**own, Resource=resource, LFTags=pair)["Failures"] == []
        assert tags_of(lab, CENTRAL, resource, **own)
        search = {"Expression": pair, "MaxResults": 1}
        assert lakeformation.search_tables_by_lf_tags(**own, **search)["TableList"]
        if "Database" in resource:
            assert lakeformation.search_databases_by_lf_tags(**own, **search)["DatabaseList"]
        assert lakeformation.remove_lf_tags_from_resource(**own, Resource=resource, LFTags=pair)["Failures"] == []
    found = lakeformation.list_lf_tag_expressions(**own)["LFTagExpressions"]
    named = {**own, "Name": found[0]["Name"]}
    assert lakeformation.get_lf_tag_expression(**named)["CatalogId"] == own["CatalogId"]
    lakeformation.update_lf_tag_expression(**named, Description="changed", Expression=found[0]["Expression"])
    assert lakeformation.get_lf_tag_expression(**named)["Description"] == "changed"
    lakeformation.create_lf_tag_expression(**own, Name=lab.name("second"), Expression=pair)
    lakeformation.delete_lf_tag(**own, TagKey=key)
