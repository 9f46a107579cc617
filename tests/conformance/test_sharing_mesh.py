"""Sharing across accounts from end to end: what a consumer does until a permission set's user reads a table."""

import json

import pytest
from lab import Lab, Role, refused
from lake_calls import (
    Product,
    assign,
    data_product,
    database_link,
    grant,
    holds,
    on_columns,
    on_database,
    on_tag,
    one_organization,
    revoke,
    sees,
    table_names,
)

ROWS = "1,a@example.org,10\n2,b@example.org,20\n"
READER = [
    *(f"glue:Get{each}" for each in ("Database", "Databases", "Table", "Tables", "Partition", "Partitions")),
    "glue:BatchGetPartition",
    *("athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup"),
    *("s3:GetBucketLocation", "s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:AbortMultipartUpload"),
]


@pytest.fixture(scope="module", autouse=True)
def accounts(lab):
    one_organization(lab)
    for part in ("central", "consumer"):
        lab.lake(part)


@pytest.fixture(scope="module")
def product(lab):
    """A product whose table has rows, in a bucket that central has registered and that IAM lets nobody else read."""
    bucket = lab.bucket("central")
    lab.put("central", bucket, "orders/1.csv", ROWS)
    arn = f"arn:aws:s3:::{bucket}/orders"
    lender = _registration_role(lab, bucket)
    lab.client("lakeformation", "central").register_resource(ResourceArn=arn, RoleArn=lender)
    lab.at_end(lab.client("lakeformation", "central").deregister_resource, ResourceArn=arn)
    made = data_product(lab)
    glue = lab.client("glue", "central")
    glue.update_table(
        DatabaseName=made.database,
        TableInput={
            "Name": made.table,
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": "string"} for name in ("id", "email", "total")],
                "Location": f"s3://{bucket}/orders/",
                "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                    "Parameters": {"field.delim": ","},
                },
            },
        },
    )
    made.share("consumer")
    return made


def _registration_role(lab: Lab, bucket: str) -> str:
    """The ARN of a role of central that Lake Formation lends for a bucket."""
    iam, name = lab.client("iam", "central"), lab.name("registration", "-")
    trusted = {"Effect": "Allow", "Principal": {"Service": "lakeformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    lab.at_end(iam.delete_role, RoleName=name)
    lab.allow(
        Role("central", name, role["Arn"]), "s3:*", resource=[f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    )
    return role["Arn"]


@pytest.fixture(scope="module")
def results(lab):
    return lab.bucket("consumer")


def _user(lab: Lab):
    path = "/aws-reserved/sso.amazonaws.com/eu-west-1/"
    return lab.role("consumer", "AWSReservedSSO_Analyst", allow=[*READER, "lakeformation:GetDataAccess"], path=path)


def _rows(lab: Lab, who, results: str, sql: str) -> list[list[str]] | str:
    """The rows of a query with their header, or why it failed."""
    athena = lab.client("athena", who)
    where = {"OutputLocation": f"s3://{results}/"}
    query = athena.start_query_execution(QueryString=sql, ResultConfiguration=where)["QueryExecutionId"]

    def done():
        status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        return status if status["State"] in ("SUCCEEDED", "FAILED") else None

    status = lab.eventually(lambda: done() or {})
    if status["State"] == "FAILED":
        return status["StateChangeReason"]
    rows = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]


@pytest.mark.statement("sharing.complete-fix", "sharing.sso-role", "sharing.iam-too", "sharing.retag")
def test_a_permission_sets_user_reads_the_open_columns_through_the_link_once_all_is_in_place(lab, product, results):
    user = _user(lab)
    link = database_link(lab, "consumer", product.catalog, product.database)
    grant(lab, "consumer", user, on_database(link), "DESCRIBE")
    product.regrant("consumer", user)
    query = f'select * from "{link}"."{product.table}" order by id'
    assert _rows(lab, user, results, query) == [["id", "total"], ["1", "10"], ["2", "20"]]
    closed = f'select email from "{link}"."{product.table}"'
    assert "email" in _rows(lab, user, results, closed)
    assert isinstance(_rows(lab, "consumer", results, query), str), "the administrator is no reader"
    assign(lab, "central", on_columns(product.database, product.table, "total"), **{product.pii: "contact"})
    try:
        assert _rows(lab, user, results, query) == [["id"], ["1"], ["2"]]
    finally:
        assign(lab, "central", on_columns(product.database, product.table, "total"), **{product.pii: "none"})


@pytest.mark.statement("sharing.iam-too")
def test_without_get_data_access_or_glue_actions_in_iam_the_grants_are_of_no_use(lab, product, results):
    blind, unlent = lab.role("consumer", "blind", allow=["s3:*"]), lab.role("consumer", "unlent", allow=READER)
    link = database_link(lab, "consumer", product.catalog, product.database)
    for role in (blind, unlent):
        grant(lab, "consumer", role, on_database(link), "DESCRIBE")
        product.regrant("consumer", role)
    with refused("AccessDeniedException", message="glue:GetTable"):
        lab.client("glue", blind).get_table(DatabaseName=link, Name=product.table)
    reason = _rows(lab, unlent, results, f'select id from "{link}"."{product.table}"')
    assert "lakeformation:GetDataAccess" in reason or "denied" in reason.lower()


@pytest.mark.statement("sharing.every-step")
@pytest.mark.parametrize("missing", ["link", "describe on the link", "database", "table", None])
def test_every_step_of_the_consumer_is_needed(lab, product, missing):
    reader = lab.role("consumer", "reader", allow=READER)
    link = database_link(lab, "consumer", product.catalog, product.database) if missing != "link" else "nowhere"
    if missing not in ("link", "describe on the link"):
        grant(lab, "consumer", reader, on_database(link), "DESCRIBE")
    if missing != "database":
        grant(lab, "consumer", reader, product.databases(product.catalog), "DESCRIBE")
    if missing != "table":
        grant(lab, "consumer", reader, product.tables("none", catalog=product.catalog), "SELECT", "DESCRIBE")
    assert sees(lab, reader, link, product.table) == (["id", "total"] if missing is None else None)


@pytest.mark.statement("sharing.admin-describes", "sharing.account-alone")
def test_until_it_regrants_only_the_consumers_administrator_sees_what_was_shared(lab, product):
    somebody = lab.role("consumer", "somebody", allow=READER)
    assert sees(lab, "consumer", product.database, product.table, product.catalog) == ["id", "total"]
    assert sees(lab, somebody, product.database, product.table, product.catalog) is None
    with refused("EntityNotFoundException"):
        lab.client("glue", somebody).get_database(CatalogId=product.catalog, Name=product.database)
    with refused("EntityNotFoundException"):
        table_names(lab, somebody, product.database, CatalogId=product.catalog)


@pytest.mark.statement("sharing.foreign-lists")
def test_what_other_accounts_shared_is_listed_when_asked_for(lab, product):
    glue, own = lab.client("glue", "consumer"), lab.database("consumer", "own")
    lab.database("central", "unshared")
    link = database_link(lab, "consumer", product.catalog, product.database)
    database_link(lab, "central", product.catalog, product.database)

    def databases(**kind):
        pages = glue.get_paginator("get_databases").paginate(**kind)
        return {(each["CatalogId"], each["Name"]) for page in pages for each in page["DatabaseList"]}

    def tables(**kind):
        return {(each["CatalogId"], each["Name"]) for each in glue.search_tables(**kind)["TableList"]}

    mine, theirs = lab.account("consumer"), {(product.catalog, product.database)}
    assert {(mine, own), (mine, link)} <= databases()
    assert not databases() & theirs
    assert databases(ResourceShareType="FOREIGN") == theirs
    assert databases(ResourceShareType="ALL") == databases() | theirs
    assert tables() == set()
    table = lab.table("consumer", own, "mine")
    assert tables(ResourceShareType="FOREIGN") == {(product.catalog, product.table)}
    assert tables(ResourceShareType="ALL") == {(product.catalog, product.table), (mine, table)}


@pytest.mark.statement("sharing.retag")
def test_a_new_table_is_shared_when_it_gets_the_tags_and_not_before(lab, product):
    table = lab.table("central", product.database, "later", columns=("id",))
    assert sees(lab, "consumer", product.database, table, product.catalog) is None
    assign(lab, "central", on_columns(product.database, table, "id"), **{product.pii: "none"})
    assert sees(lab, "consumer", product.database, table, product.catalog) == ["id"]


@pytest.mark.statement("sharing.catalog-id-list", "sharing.owner-blind", "sharing.share-arns")
def test_each_side_lists_what_is_its_own_to_know(lab, product):
    reader = lab.role("consumer", "listed")
    product.regrant("consumer", reader)

    def policies(who, **where):
        found = lab.client("lakeformation", who).list_permissions(**where)["PrincipalResourcePermissions"]
        return [each for each in found if _is_of(product, each["Resource"])]

    def grantees(who, **where):
        return {each["Principal"]["DataLakePrincipalIdentifier"] for each in policies(who, **where)}

    assert grantees("central") == {lab.account("consumer")}
    assert {lab.account("consumer"), reader.arn} <= grantees("consumer", CatalogId=product.catalog)
    assert grantees("consumer") == set()
    assert all(each["AdditionalDetails"]["ResourceShare"] for each in policies("central"))
    theirs = policies("consumer", CatalogId=product.catalog)
    regranted = [each for each in theirs if each["Principal"]["DataLakePrincipalIdentifier"] == reader.arn]
    assert len(regranted) == 2
    assert not any("AdditionalDetails" in each for each in regranted)


def _is_of(product: Product, resource: dict) -> bool:
    conditions = resource.get("LFTagPolicy", {}).get("Expression", [])
    return any(each["TagKey"] == product.domain for each in conditions)


@pytest.mark.statement("sharing.tags-seen")
def test_a_consumer_sees_the_pairs_it_may_describe_and_passes_them_on(lab, product):
    reader = lab.role("consumer", "tag-reader", allow=["lakeformation:*"])
    mine, theirs = lab.client("lakeformation", "consumer"), {"CatalogId": product.catalog}
    shown = {each["TagKey"]: each["TagValues"] for each in mine.list_lf_tags(ResourceShareType="FOREIGN")["LFTags"]}
    assert shown[product.pii] == ["none"]
    assert shown[product.domain] == ["sales"]
    assert mine.get_lf_tag(**theirs, TagKey=product.pii)["TagValues"] == ["none"]
    with refused("EntityNotFoundException", "AccessDeniedException"):
        lab.client("lakeformation", reader).get_lf_tag(**theirs, TagKey=product.pii)
    grant(lab, "consumer", reader, on_tag(product.pii, "none", catalog=product.catalog), "DESCRIBE")
    assert lab.client("lakeformation", reader).get_lf_tag(**theirs, TagKey=product.pii)["TagValues"] == ["none"]


@pytest.mark.statement("sharing.tags-same-account")
def test_tags_and_resources_of_two_accounts_do_not_go_together(lab, product):
    mine, own = lab.client("lakeformation", "consumer"), lab.database("consumer", "own")
    key = lab.lf_tag("consumer", "team", "blue")
    foreign = {"CatalogId": product.catalog, "TagKey": product.pii, "TagValues": ["none"]}
    with refused("InvalidInputException", "AccessDeniedException", "EntityNotFoundException"):
        mine.add_lf_tags_to_resource(Resource=on_database(own), LFTags=[foreign])
    pair = {"CatalogId": lab.account("consumer"), "TagKey": key, "TagValues": ["blue"]}
    shared = {"Table": {"CatalogId": product.catalog, "DatabaseName": product.database, "Name": product.table}}
    with refused("InvalidInputException", "AccessDeniedException"):
        mine.add_lf_tags_to_resource(Resource=shared, LFTags=[pair])


@pytest.mark.statement("sharing.cascade-ends", "sharing.revoke-regrant")
def test_when_the_owner_revokes_the_regrants_end_and_the_consumer_can_clear_them_away(lab):
    product = data_product(lab)
    product.share("consumer")
    reader, other = (lab.role("consumer", hint, allow=["glue:*", "lakeformation:*"]) for hint in ("reader", "other"))
    product.regrant("consumer", reader)
    theirs = product.tables("none", catalog=product.catalog)

    def seen():
        return sees(lab, reader, product.database, product.table, product.catalog)

    assert seen() == ["id", "total"]
    with refused("AccessDeniedException", "EntityNotFoundException"):
        revoke(lab, other, reader, theirs, "SELECT")
    revoke(lab, "central", "consumer", product.tables("none"), "SELECT")
    table = {"Table": {"CatalogId": product.catalog, "DatabaseName": product.database, "Name": product.table}}
    assert "SELECT" not in holds(lab, reader, table)
    revoke(lab, "central", "consumer", product.tables("none"), "DESCRIBE")
    assert seen() is None
    revoke(lab, "consumer", reader, theirs, "SELECT", "DESCRIBE")
    product.share("consumer")
    assert seen() is None
