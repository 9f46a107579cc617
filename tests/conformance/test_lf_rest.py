"""Lake Formation: the catalogue's id in every place that takes it, and values that are given back as they were read."""

import pytest
from lab import refused
from lf_desk import CENTRAL, lake_formation


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.mark.statement("lf-settings.kept")
def test_settings_are_put_as_they_were_read_and_name_their_catalogue(lab):
    lakeformation, catalog = lake_formation(lab), lab.account(CENTRAL)
    settings = lakeformation.get_data_lake_settings(CatalogId=catalog)["DataLakeSettings"]
    settings["AllowFullTableExternalDataAccess"] = False
    lakeformation.put_data_lake_settings(CatalogId=catalog, DataLakeSettings=settings)
    kept = lakeformation.get_data_lake_settings()["DataLakeSettings"]
    assert kept["DataLakeAdmins"] == settings["DataLakeAdmins"]
    with refused("AccessDeniedException", "InvalidInputException", "EntityNotFoundException"):
        lakeformation.put_data_lake_settings(CatalogId=lab.account("outsider"), DataLakeSettings=settings)


@pytest.mark.statement("lf-tags.catalog-id")
def test_columns_expressions_and_searches_name_their_catalogue(lab):
    lakeformation, catalog = lake_formation(lab), lab.account(CENTRAL)
    key = lab.lf_tag(CENTRAL, "area", "here")
    pair = [{"TagKey": key, "TagValues": ["here"]}]
    database = lab.database(CENTRAL)
    table = lab.table(CENTRAL, database)
    column = {"CatalogId": catalog, "DatabaseName": database, "Name": table, "ColumnNames": ["email"]}
    resource = {"TableWithColumns": column}
    assert lakeformation.add_lf_tags_to_resource(CatalogId=catalog, Resource=resource, LFTags=pair)["Failures"] == []
    found = lakeformation.get_resource_lf_tags(CatalogId=catalog, Resource=resource)
    assert [each["Name"] for each in found["LFTagsOnColumns"]] == ["email"]
    gone = lakeformation.remove_lf_tags_from_resource(CatalogId=catalog, Resource=resource, LFTags=pair)
    assert gone["Failures"] == []
    assert lakeformation.get_resource_lf_tags(Resource=resource).get("LFTagsOnColumns", []) == []

    name = lab.name("expression")
    lakeformation.create_lf_tag_expression(CatalogId=catalog, Name=name, Expression=pair)
    lakeformation.delete_lf_tag_expression(CatalogId=catalog, Name=name)
    with refused("EntityNotFoundException"):
        lakeformation.get_lf_tag_expression(CatalogId=catalog, Name=name)

    for each in (database, lab.database(CENTRAL)):
        lakeformation.add_lf_tags_to_resource(Resource={"Database": {"Name": each}}, LFTags=pair)
    first = lakeformation.search_databases_by_lf_tags(CatalogId=catalog, Expression=pair, MaxResults=1)
    second = lakeformation.search_databases_by_lf_tags(
        CatalogId=catalog, Expression=pair, MaxResults=1, NextToken=first["NextToken"]
    )
    assert len({page["DatabaseList"][0]["Database"]["Name"] for page in (first, second)}) == 2


@pytest.mark.statement("lf-access.opt-in-list")
def test_an_opt_in_on_a_database_is_taken_back(lab):
    lakeformation, database = lake_formation(lab), lab.database(CENTRAL)
    role = lab.role(CENTRAL, "reader")
    given = {
        "Principal": {"DataLakePrincipalIdentifier": role.arn},
        "Resource": {"Database": {"Name": database}},
    }
    lakeformation.create_lake_formation_opt_in(**given)
    listed = lakeformation.list_lake_formation_opt_ins(Principal=given["Principal"])["LakeFormationOptInsInfoList"]
    assert [each["Resource"]["Database"]["Name"] for each in listed] == [database]
    lakeformation.delete_lake_formation_opt_in(**given)
    assert lakeformation.list_lake_formation_opt_ins(Principal=given["Principal"])["LakeFormationOptInsInfoList"] == []
