"""Partitions: their values, places, batches, permissions, and the expressions that find them."""

import pytest
from lab import refused
from lake_calls import LAKE_ACTIONS, grant, on_columns, on_database, on_table, revoke

LOCATION = "s3://nowhere-in-particular/orders"


@pytest.fixture(scope="module", autouse=True)
def account(lab):
    lab.lake("central")
    return lab.account("central")


@pytest.fixture(scope="module")
def glue(lab):
    return lab.client("glue", "central")


@pytest.fixture(scope="module")
def sales(lab):
    return lab.database("central", "sales")


@pytest.fixture
def orders(lab, sales):
    """Where a table with the keys year and month is."""
    return {
        "DatabaseName": sales,
        "TableName": lab.table("central", sales, "orders", keys=("year", "month"), location=LOCATION),
    }


@pytest.fixture
def somebody(lab):
    return lab.role("central", "somebody", allow=LAKE_ACTIONS)


def _partition(*values, **more):
    columns = [{"Name": name, "Type": "string"} for name in ("id", "email")]
    below = "/".join([LOCATION, *values])
    return {"Values": list(values), "StorageDescriptor": {"Columns": columns, "Location": below}, **more}


def _values(found):
    return [each["Values"] for each in found]


@pytest.mark.statement("glue.exists", "glue.not-found", "glue.partition-unchanged", "glue.folded", "glue.catalog-id")
def test_partitions_are_created_read_changed_and_deleted(account, glue, orders):
    glue.create_partition(**orders, PartitionInput=_partition("2024", "01", Parameters={"rows": "1"}))
    with refused("AlreadyExistsException"):
        glue.create_partition(**orders, PartitionInput=_partition("2024", "01"))
    loud = {key: value.upper() for key, value in orders.items()}
    found = glue.get_partition(**loud, CatalogId=account, PartitionValues=["2024", "01"])["Partition"]
    assert found["StorageDescriptor"]["Location"] == f"{LOCATION}/2024/01"
    assert (found["DatabaseName"], found["TableName"], found["CatalogId"]) == (*orders.values(), account)
    assert found["Parameters"] == {"rows": "1"}
    change = {"PartitionValueList": ["2024", "01"]}
    glue.update_partition(**orders, **change, PartitionInput=_partition("2024", "01", Parameters={"rows": "2"}))
    changed = glue.get_partition(**orders, PartitionValues=["2024", "01"])["Partition"]
    assert changed["Parameters"] == {"rows": "2"}
    assert changed["CreationTime"] == found["CreationTime"]
    with refused("InvalidInputException", message="values"):
        glue.update_partition(**orders, **change, PartitionInput=_partition("2024", "02"))
    glue.delete_partition(**orders, PartitionValues=["2024", "01"])
    for call in (
        lambda: glue.get_partition(**orders, PartitionValues=["2024", "01"]),
        lambda: glue.delete_partition(**orders, PartitionValues=["2024", "01"]),
        lambda: glue.update_partition(**orders, **change, PartitionInput=_partition("2024", "01")),
    ):
        with refused("EntityNotFoundException"):
            call()
    assert glue.get_partitions(**orders)["Partitions"] == []


@pytest.mark.statement("glue.partition-values")
@pytest.mark.parametrize("values", [["2024"], ["2024", "01", "02"], []])
def test_a_partition_has_a_value_for_each_key(glue, orders, values):
    with refused("InvalidInputException", message="number of partition"):
        glue.create_partition(**orders, PartitionInput={"Values": values})


@pytest.mark.statement("glue.partition-values")
def test_a_table_without_keys_has_no_partitions(lab, glue, sales):
    with refused("InvalidInputException", message="number of partition"):
        glue.create_partition(
            DatabaseName=sales, TableName=lab.table("central", sales, "flat"), PartitionInput={"Values": []}
        )


@pytest.mark.statement("glue.partition-below")
def test_a_partition_lies_below_its_table(lab, glue, sales, orders):
    for place in (f"{LOCATION}/2024/", LOCATION, f"{LOCATION}/anything"):
        given = {"Values": ["2024", place], "StorageDescriptor": {"Location": place}}
        glue.create_partition(**orders, PartitionInput=given)
    for place in ("s3://elsewhere/2024", f"{LOCATION}-side/2024"):
        with refused("InvalidInputException", message="below"):
            given = {"Values": ["2024", place], "StorageDescriptor": {"Location": place}}
            glue.create_partition(**orders, PartitionInput=given)
    glue.create_partition(**orders, PartitionInput={"Values": ["2024", "without a place"]})
    nowhere, key = lab.name("nowhere"), {"Name": "year", "Type": "string"}
    glue.create_table(DatabaseName=sales, TableInput={"Name": nowhere, "PartitionKeys": [key]})
    given = {"Values": ["2024"], "StorageDescriptor": {"Location": "s3://elsewhere/2024"}}
    glue.create_partition(DatabaseName=sales, TableName=nowhere, PartitionInput=given)


@pytest.mark.statement("glue.partition-batches")
def test_batches_name_what_failed_and_do_the_rest(glue, orders):
    inputs = [_partition("2024", "01"), _partition("2024"), _partition("2024", "02"), _partition("2024", "01")]
    errors = glue.batch_create_partition(**orders, PartitionInputList=inputs)["Errors"]
    assert [(e["PartitionValues"], e["ErrorDetail"]["ErrorCode"]) for e in errors] == [
        (["2024"], "InvalidInputException"),
        (["2024", "01"], "AlreadyExistsException"),
    ]
    entries = [
        {"PartitionValueList": [year, "01"], "PartitionInput": _partition(year, "01", Parameters={"new": "yes"})}
        for year in ("1999", "2024")
    ]
    errors = glue.batch_update_partition(**orders, Entries=entries)["Errors"]
    assert [(e["PartitionValueList"], e["ErrorDetail"]["ErrorCode"]) for e in errors] == [
        (["1999", "01"], "EntityNotFoundException")
    ]
    wanted = [{"Values": ["2024", "01"]}, {"Values": ["1999", "01"]}, {"Values": ["2024", "02"]}]
    answer = glue.batch_get_partition(**orders, PartitionsToGet=wanted)
    assert [(p["Values"], p.get("Parameters")) for p in answer["Partitions"]] == [
        (["2024", "01"], {"new": "yes"}),
        (["2024", "02"], None),
    ]
    assert answer.get("UnprocessedKeys", []) == []
    errors = glue.batch_delete_partition(**orders, PartitionsToDelete=wanted[:2])["Errors"]
    assert [(e["PartitionValues"], e["ErrorDetail"]["ErrorCode"]) for e in errors] == [
        (["1999", "01"], "EntityNotFoundException")
    ]
    assert _values(glue.get_partitions(**orders)["Partitions"]) == [["2024", "02"]]


@pytest.mark.statement("glue.partition-batches", "glue.page-bounds")
def test_batches_and_pages_have_their_bounds(glue, orders):
    inputs = [_partition("2024", f"{n:04}") for n in range(1001)]
    entries = [{"PartitionValueList": each["Values"], "PartitionInput": each} for each in inputs]
    values = [{"Values": each["Values"]} for each in inputs]
    for call, given in (
        (glue.batch_create_partition, {"PartitionInputList": inputs[:101]}),
        (glue.batch_update_partition, {"Entries": entries[:101]}),
        (glue.batch_delete_partition, {"PartitionsToDelete": values[:26]}),
        (glue.batch_get_partition, {"PartitionsToGet": values}),
        (glue.get_partitions, {"MaxResults": 1001}),
    ):
        with refused("ValidationException"):
            call(**orders, **given)
    for start in range(0, 1001, 100):
        glue.batch_create_partition(**orders, PartitionInputList=inputs[start : start + 100])
    assert glue.batch_update_partition(**orders, Entries=entries[:100]).get("Errors", []) == []
    assert glue.batch_delete_partition(**orders, PartitionsToDelete=values[:25]).get("Errors", []) == []
    assert len(glue.batch_get_partition(**orders, PartitionsToGet=values[1:])["Partitions"]) == 976
    assert len(glue.get_partitions(**orders, ExcludeColumnSchema=True)["Partitions"]) == 976


@pytest.mark.statement("glue.pages", "glue.token", "glue.partition-schema")
def test_partitions_come_in_pages_with_or_without_columns(glue, orders):
    inputs = [_partition(year, "01") for year in ("2023", "2022", "2024")]
    glue.batch_create_partition(**orders, PartitionInputList=inputs)
    pages = list(glue.get_paginator("get_partitions").paginate(**orders, PaginationConfig={"PageSize": 2}))
    found = [each for page in pages for each in page["Partitions"]]
    assert [len(page["Partitions"]) for page in pages] == [2, 1]
    assert _values(found) == [["2022", "01"], ["2023", "01"], ["2024", "01"]]
    assert [column["Name"] for column in found[0]["StorageDescriptor"]["Columns"]] == ["id", "email"]
    for each in glue.get_partitions(**orders, ExcludeColumnSchema=True)["Partitions"]:
        assert "Columns" not in each["StorageDescriptor"]
        assert each["StorageDescriptor"]["Location"]
    with refused("InvalidInputException", message="NextToken"):
        glue.get_partitions(**orders, NextToken="nonsense")


@pytest.mark.statement("glue.partition-permissions", "glue.partition-columns", "glue.invisible", "glue.denied")
def test_reading_needs_a_visible_table_and_changing_alter_or_insert(lab, glue, orders, somebody):
    database, table = orders.values()
    glue.create_partition(**orders, PartitionInput=_partition("2024", "01"))
    theirs = lab.client("glue", somebody)
    with refused("EntityNotFoundException"):
        theirs.get_partitions(**orders)
    grant(lab, "central", somebody, on_columns(database, table, "id"), "SELECT")
    (found,) = theirs.get_partitions(**orders)["Partitions"]
    assert [column["Name"] for column in found["StorageDescriptor"]["Columns"]] == ["id"]
    changes = (
        lambda: theirs.create_partition(**orders, PartitionInput=_partition("2025", "01")),
        lambda: theirs.delete_partition(**orders, PartitionValues=["2025", "01"]),
    )
    for change in changes:
        with refused("AccessDeniedException", message="Required Alter"):
            change()
    revoke(lab, "central", somebody, on_columns(database, table, "id"), "SELECT")
    for permission in ("ALTER", "INSERT"):
        grant(lab, "central", somebody, on_table(database, table), permission)
        for change in changes:
            change()
        revoke(lab, "central", somebody, on_table(database, table), permission)


@pytest.mark.statement("glue.partition-location-free")
def test_a_partition_in_a_registered_location_needs_no_data_location_permission(lab, sales, somebody):
    bucket, formation = lab.bucket("central"), lab.client("lakeformation", "central")
    formation.register_resource(ResourceArn=f"arn:aws:s3:::{bucket}", UseServiceLinkedRole=True)
    lab.at_end(formation.deregister_resource, ResourceArn=f"arn:aws:s3:::{bucket}")
    table = lab.table("central", sales, "lake", keys=("year",), location=f"s3://{bucket}/orders")
    grant(lab, "central", somebody, on_database(sales), "DESCRIBE")
    grant(lab, "central", somebody, on_table(sales, table), "ALTER")
    given = {"Values": ["2024"], "StorageDescriptor": {"Location": f"s3://{bucket}/orders/2024"}}
    lab.client("glue", somebody).create_partition(DatabaseName=sales, TableName=table, PartitionInput=given)


# -- expressions --------------------------------------------------------------------------------------------------

KEYS = {"year": "int", "month": "string", "day": "date", "region": "varchar(9)", "price": "decimal(9,2)", "odd": "map"}
ROWS = {
    "a": ["2024", "05", "2024-05-17", "__HIVE_DEFAULT_PARTITION__", "10", "x"],
    "b": ["2023", "11", "2023-11-02", "eu", "9.50", "x"],
    "c": ["2010", "0505", "2010-01-01", "it's", "-1", "x"],
}


@pytest.fixture(scope="module")
def typed(lab, glue, sales):
    """Where a table with keys of many types and the partitions ROWS is."""
    name = lab.name("typed")
    keys = [{"Name": key, "Type": kind} for key, kind in KEYS.items()]
    glue.create_table(DatabaseName=sales, TableInput={"Name": name, "PartitionKeys": keys})
    where = {"DatabaseName": sales, "TableName": name}
    glue.batch_create_partition(**where, PartitionInputList=[{"Values": values} for values in ROWS.values()])
    return where


@pytest.mark.statement("glue.partition-expression", "glue.partition-types", "glue.partition-null")
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year = 2024", "a"),
        ("YEAR = '2024'", "a"),
        ("year <> 2024", "bc"),
        ("year != 2024", "bc"),
        ("year > 2023", "a"),
        ("year >= 2023", "ab"),
        ("year < 2023", "c"),
        ("year <= 2023", "bc"),
        ("price > 9.5", "a"),
        ("price < 0", "c"),
        ("price = -1", "c"),
        ("month < '06'", "ac"),
        ("day >= '2023-11-02' AND day < '2024-05-17'", "b"),
        ("day between '2010-01-01' and '2023-11-02'", "bc"),
        ("day not between '2010-01-01' and '2023-11-02'", "a"),
        ("month in ('05', '11')", "ab"),
        ("month not in ('05')", "bc"),
        ("month like '05%'", "ac"),
        ("month like '_5'", "a"),
        ("month not like '%5'", "b"),
        ("month like '.5'", ""),
        ("region is null", "a"),
        ("region is not null", "bc"),
        ("region = 'eu'", "b"),
        ("region <> 'eu'", "c"),
        ("region in ('eu', 'us')", "b"),
        ("region between 'a' and 'z'", "bc"),
        ("region like '%'", "bc"),
        ("region < 'f'", "b"),
        ("region not in ('eu')", "c"),
        ("region not between 'a' and 'f'", "c"),
        ("region = 'it''s'", "c"),
        ("not year = 2024 and month = '11'", "b"),
        ("not (year = 2024 or month = '11')", "c"),
        ("year = 2024 or month = '11' and year = 2010", "a"),
        ("(year = 2024 or month = '11') and year = 2023", "b"),
        ("`month` = '05' and \"year\" = 2024", "a"),
        ("year = 2024 AND month = '05'", "a"),
    ],
)
def test_an_expression_finds_partitions(glue, typed, expression, expected):
    found = _values(glue.get_partitions(**typed, Expression=expression)["Partitions"])
    assert found == sorted(ROWS[name] for name in expected)


@pytest.mark.statement("glue.partition-expression-invalid")
@pytest.mark.parametrize(
    "expression",
    [
        "other = 1",
        "'year' = 2024",
        "odd = 'x'",
        "year = 'x'",
        "day = 'yesterday'",
        "year ==",
        "year =",
        "year",
        "year + 1 = 2",
        "year = 1 1",
        "year = month",
        "month = region",
        "year , 1",
        "year 2024",
        "year not = 1",
        "year is 1",
        "year in 1",
        "year in (1",
        "year between 1 or 2",
        "year like '20%'",
        "(year = 1",
        "and",
        "year = 2024 and other = 1",
        "year = 2024 or other = 1",
    ],
)
def test_other_expressions_are_invalid(glue, typed, expression):
    with refused("InvalidInputException", message="Expression"):
        glue.get_partitions(**typed, Expression=expression)


@pytest.mark.statement("glue.partition-null")
def test_a_key_that_the_table_got_later_is_null_for_older_partitions(glue, orders):
    glue.create_partition(**orders, PartitionInput={"Values": ["2024", "01"]})
    keys = [{"Name": name, "Type": "string"} for name in ("year", "month", "day")]
    glue.update_table(
        DatabaseName=orders["DatabaseName"], TableInput={"Name": orders["TableName"], "PartitionKeys": keys}
    )
    glue.create_partition(**orders, PartitionInput={"Values": ["2024", "01", "17"]})
    for expression, expected in (("day is null", ["2024", "01"]), ("day = '17'", ["2024", "01", "17"])):
        assert _values(glue.get_partitions(**orders, Expression=expression)["Partitions"]) == [expected]
