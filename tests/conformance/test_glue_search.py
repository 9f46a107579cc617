"""SearchTables: by text, by filters, sorted, in pages, of what one may see."""

import pytest
from lab import refused
from lake_calls import LAKE_ACTIONS, grant, on_columns, on_table

pytestmark = pytest.mark.local_only("searches all tables of an account, and sees new ones at once")


@pytest.fixture(scope="module")
def account(lab):
    lab.lake("central")
    glue = lab.client("glue", "central")
    for database, tables in {"sales": ("orders", "xx-link-yy", "xxlinkyy", "under_link"), "hr": ("people",)}.items():
        glue.create_database(DatabaseInput={"Name": database})
        for table in tables:
            glue.create_table(DatabaseName=database, TableInput=_table(table))
    return lab.account("central")


def _table(name):
    more = {
        "orders": {"Description": "All of them", "Owner": "shop", "Parameters": {"Source": "Web"}},
        "people": {"TableType": "EXTERNAL_TABLE", "PartitionKeys": [{"Name": "Hired", "Type": "int"}]},
    }.get(name, {})
    columns = [{"Name": "salary" if name == "people" else "id", "Type": "string", "Comment": f"of {name}"}]
    return {"Name": name, "StorageDescriptor": {"Columns": columns}, **more}


def _found(lab, who="central", **search):
    return [each["Name"] for each in lab.client("glue", who).search_tables(**search)["TableList"]]


EVERY = ["orders", "people", "under_link", "xx-link-yy", "xxlinkyy"]


@pytest.mark.statement("glue.search-text")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ORDER", ["orders"]),
        ("sales", ["orders", "under_link", "xx-link-yy", "xxlinkyy"]),
        ("all of", ["orders"]),
        ("SALARY", ["people"]),
        ("of people", ["people"]),
        ("hire", ["people"]),
        ("source", ["orders"]),
        ("web", ["orders"]),
        ("nowhere", []),
        ('"orders"', ["orders"]),
        ('"order"', []),
        ('"All of them"', ["orders"]),
        ('"', []),
    ],
)
def test_text_is_found_in_names_descriptions_columns_and_parameters(lab, account, text, expected):
    assert sorted(_found(lab, SearchText=text)) == expected


@pytest.mark.statement("glue.search-filters", "glue.search-underscore")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"Name": "orders"}, ["orders"]),
        ({"name": "ORDERS"}, ["orders"]),
        ({"Name": "link"}, ["xx-link-yy"]),
        ({"Name": "xx-link-yy"}, ["xx-link-yy"]),
        ({"Name": "order"}, []),
        ({"DatabaseName": "hr"}, ["people"]),
        ({"Owner": "shop"}, ["orders"]),
        ({"Description": "them"}, ["orders"]),
        ({"TableType": "EXTERNAL_TABLE"}, ["people"]),
        ({"DatabaseName": "hr", "Name": "orders"}, []),
        ({"DatabaseName": "sales", "Name": "orders"}, ["orders"]),
    ],
)
def test_filters_are_anded_and_compare_with_the_parts_of_a_field(lab, account, filters, expected):
    given = [{"Key": key, "Value": value} for key, value in filters.items()]
    assert sorted(_found(lab, Filters=given)) == expected


@pytest.mark.statement("glue.search-filters", "glue.search-text")
def test_text_and_filters_are_anded(lab, account):
    where = [{"Key": "CatalogId", "Value": account, "Comparator": "EQUALS"}]
    assert _found(lab, SearchText="link", Filters=[*where, {"Key": "Name", "Value": "xxlinkyy"}]) == ["xxlinkyy"]


@pytest.mark.statement("glue.search-sort")
def test_tables_are_sorted_up_or_down(lab, account):
    assert _found(lab, SortCriteria=[{"FieldName": "Name", "Sort": "ASC"}]) == EVERY
    assert _found(lab, SortCriteria=[{"FieldName": "name"}]) == EVERY
    assert _found(lab, SortCriteria=[{"FieldName": "Name", "Sort": "DESC"}]) == EVERY[::-1]
    by_time = _found(lab, SortCriteria=[{"FieldName": "CreateTime", "Sort": "DESC"}])
    assert by_time[0] == "people"


@pytest.mark.statement("glue.search-fields", "glue.search-times")
def test_other_fields_and_comparators_are_refused(lab, account):
    for search in (
        {"Filters": [{"Key": "Colour", "Value": "red"}]},
        {"SortCriteria": [{"FieldName": "Colour"}]},
        {"Filters": [{"Key": "Name", "Value": "a", "Comparator": "GREATER_THAN"}]},
    ):
        with refused("InvalidInputException", message="SearchTables"):
            _found(lab, **search)
    with refused("LocalAwsNotSupported", message="times"):
        _found(lab, Filters=[{"Key": "UpdateTime", "Value": "2024", "Comparator": "GREATER_THAN"}])


@pytest.mark.statement("glue.pages", "glue.page-bounds", "glue.token")
def test_found_tables_come_in_pages(lab, account):
    glue, sort = lab.client("glue", "central"), [{"FieldName": "Name"}]
    first = glue.search_tables(MaxResults=3, SortCriteria=sort)
    rest = glue.search_tables(MaxResults=3, SortCriteria=sort, NextToken=first["NextToken"])
    assert [each["Name"] for page in (first, rest) for each in page["TableList"]] == EVERY
    assert "NextToken" not in rest
    with refused("ValidationException"):
        glue.search_tables(MaxResults=1001)
    with refused("InvalidInputException"):
        glue.search_tables(NextToken="nonsense")


@pytest.mark.statement("glue.search-visible", "glue.invisible")
def test_searches_find_what_one_sees_and_look_in_no_hidden_column(lab, account):
    somebody, glue = lab.role("central", "somebody", allow=LAKE_ACTIONS), lab.client("glue", "central")
    columns = [{"Name": name, "Type": "string"} for name in ("open", "secret")]
    glue.create_table(DatabaseName="hr", TableInput={"Name": "mixed", "StorageDescriptor": {"Columns": columns}})
    assert _found(lab, somebody) == []
    grant(lab, "central", somebody, on_columns("hr", "mixed", "open"), "SELECT")
    grant(lab, "central", somebody, on_table("sales", "orders"), "DESCRIBE")
    assert sorted(_found(lab, somebody)) == ["mixed", "orders"]
    assert _found(lab, somebody, SearchText="open") == ["mixed"]
    assert _found(lab, somebody, SearchText="secret") == []
    assert _found(lab, SearchText="secret") == ["mixed"]
    glue.delete_table(DatabaseName="hr", Name="mixed")
