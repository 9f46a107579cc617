"""Athena answers each principal what Lake Formation lets it read, and says no as AWS does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from athena_people import (
    OPEN_CSV,
    SKIP,
    Person,
    allow,
    deny,
    new_bucket,
    new_role,
    permit,
    policy,
    trust,
)
from botocore.exceptions import ClientError

from local_aws.server import LocalAws

PRODUCER, CENTRAL, CONSUMER = "711111111111", "722222222222", "733333333333"

READER = [
    allow("athena:*", "lakeformation:GetDataAccess"),
    allow("glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables", "glue:GetPartitions"),
    allow("s3:GetBucketLocation", "s3:PutObject", "s3:GetObject", resources="arn:aws:s3:::results-*"),
]


@dataclass
class Mesh:
    """A producer's bucket, a central catalogue with tags, a consumer account with a link and an analyst."""

    producer: Person
    central: Person
    consumer: Person
    analyst: Person

    def grant(self, by: Person, to: str, resource: dict, *permissions: str, grantable: bool = False) -> None:
        by.client("lakeformation").grant_permissions(
            Principal={"DataLakePrincipalIdentifier": to},
            Resource=resource,
            Permissions=list(permissions),
            PermissionsWithGrantOption=list(permissions) if grantable else [],
        )

    def tag_columns(self, value: str, *columns: str) -> None:
        where = {"DatabaseName": "sales", "Name": "orders", "ColumnNames": list(columns)}
        tagged = self.central.client("lakeformation").add_lf_tags_to_resource(
            Resource={"TableWithColumns": where}, LFTags=[{"TagKey": "level", "TagValues": [value]}]
        )
        assert tagged["Failures"] == []


def policy_on(kind: str, *values: str) -> dict:
    return {
        "LFTagPolicy": {
            "CatalogId": CENTRAL,
            "ResourceType": kind,
            "Expression": [{"TagKey": "level", "TagValues": list(values)}],
        }
    }


def governed(person: Person) -> None:
    person.client("lakeformation").put_data_lake_settings(
        DataLakeSettings={
            "DataLakeAdmins": [{"DataLakePrincipalIdentifier": f"arn:aws:iam::{person.account}:user/admin"}],
            "CreateDatabaseDefaultPermissions": [],
            "CreateTableDefaultPermissions": [],
            "Parameters": {"CROSS_ACCOUNT_VERSION": "4"},
        }
    )


@pytest.fixture(scope="module")
def built(aws_module: LocalAws) -> Mesh:
    """The mesh, built once: what tests change is put right before each."""
    aws = aws_module
    aws.world.organization.update(id="o-mesh", members={PRODUCER, CENTRAL, CONSUMER}, ram_sharing=True)
    producer, central, consumer = (Person(aws, account) for account in (PRODUCER, CENTRAL, CONSUMER))
    new_role(central, "registration", trust(Service="lakeformation.amazonaws.com"))
    new_bucket(producer, "raw")
    files = {
        "orders/day=1/a.csv": "id,email,total\n1,a@x.org,2.5\n2,b@x.org,3.5\n",
        "orders/day=2/a.csv": "id,email,total\n3,c@x.org,4.5\n",
    }
    for key, body in files.items():
        producer.client("s3").put_object(Bucket="raw", Key=key, Body=body)
    for person in (central, consumer):
        governed(person)
    formation, glue = central.client("lakeformation"), central.client("glue")
    formation.create_lf_tag(TagKey="level", TagValues=["open", "closed"])
    glue.create_database(DatabaseInput={"Name": "sales", "CreateTableDefaultPermissions": []})
    formation.add_lf_tags_to_resource(
        Resource={"Database": {"Name": "sales"}}, LFTags=[{"TagKey": "level", "TagValues": ["closed"]}]
    )
    columns = [
        {"Name": "id", "Type": "bigint"},
        {"Name": "email", "Type": "string"},
        {"Name": "total", "Type": "double"},
    ]
    described = {
        "Columns": columns,
        "Location": "s3://raw/orders/",
        "SerdeInfo": {"SerializationLibrary": OPEN_CSV, "Parameters": {}},
    }
    glue.create_table(
        DatabaseName="sales",
        TableInput={
            "Name": "orders",
            "StorageDescriptor": described,
            "PartitionKeys": [{"Name": "day", "Type": "int"}],
            "Parameters": SKIP,
        },
    )
    for day in ("1", "2"):
        partition = {"Values": [day], "StorageDescriptor": {**described, "Location": f"s3://raw/orders/day={day}/"}}
        glue.create_partition(DatabaseName="sales", TableName="orders", PartitionInput=partition)
    new_bucket(consumer, "results-consumer")
    consumer.client("athena").create_work_group(
        Name="mesh", Configuration={"ResultConfiguration": {"OutputLocation": "s3://results-consumer/"}}
    )
    analyst = new_role(consumer, "analyst", trust(AWS=f"arn:aws:iam::{CONSUMER}:root"))
    made = Mesh(producer, central, consumer, analyst)
    made.tag_columns("open", "id", "total", "day")
    tag = {"LFTag": {"CatalogId": CENTRAL, "TagKey": "level", "TagValues": ["open", "closed"]}}
    made.grant(central, CONSUMER, tag, "DESCRIBE", grantable=True)
    made.grant(central, CONSUMER, policy_on("TABLE", "open"), "SELECT", "DESCRIBE", grantable=True)
    made.grant(central, CONSUMER, policy_on("DATABASE", "closed"), "DESCRIBE", grantable=True)
    target = {"CatalogId": CENTRAL, "DatabaseName": "sales"}
    consumer.client("glue").create_database(DatabaseInput={"Name": "sales_link", "TargetDatabase": target})
    made.grant(consumer, analyst.arn, {"Database": {"Name": "sales_link"}}, "DESCRIBE")
    made.grant(consumer, analyst.arn, policy_on("TABLE", "open"), "SELECT", "DESCRIBE")
    made.grant(consumer, analyst.arn, policy_on("DATABASE", "closed"), "DESCRIBE")
    return made


@pytest.fixture
def mesh(built: Mesh) -> Iterator[Mesh]:
    registration = f"arn:aws:iam::{CENTRAL}:role/registration"
    permit(built.central, "registration", allow("s3:GetObject", "s3:ListBucket"))
    permit(built.consumer, "analyst", *READER)
    admit = {
        "Effect": "Allow",
        "Principal": {"AWS": registration},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::raw", "arn:aws:s3:::raw/*"],
    }
    built.producer.client("s3").put_bucket_policy(Bucket="raw", Policy=policy(admit))
    formation = built.central.client("lakeformation")
    if not formation.list_resources()["ResourceInfoList"]:
        formation.register_resource(ResourceArn="arn:aws:s3:::raw/orders", RoleArn=registration)
    built.tag_columns("closed", "email")
    built.grant(built.consumer, built.analyst.arn, policy_on("TABLE", "open"), "SELECT", "DESCRIBE")
    yield built
    assert built.central.aws.world.failures == []


IN_MESH: dict[str, Any] = {"database": "sales_link", "WorkGroup": "mesh"}


def test_a_reader_gets_exactly_its_columns_through_the_link(mesh: Mesh) -> None:
    assert mesh.analyst.query("SELECT * FROM orders ORDER BY id", **IN_MESH) == [
        ("id", "total", "day"),
        ("1", "2.5", "1"),
        ("2", "3.5", "1"),
        ("3", "4.5", "2"),
    ]
    assert mesh.analyst.query("SELECT count(*) FROM sales_link.orders WHERE day = 2", **IN_MESH)[1:] == [("1",)]
    refused = "COLUMN_NOT_FOUND: line 1:8: Column 'email' cannot be resolved or requester is not authorized"
    assert mesh.analyst.failure("SELECT email FROM orders", **IN_MESH).startswith(refused)
    assert mesh.analyst.failure("SELECT id FROM orders WHERE email LIKE 'a%'", **IN_MESH).startswith("COLUMN_NOT_FOUND")
    assert mesh.analyst.query("SHOW TABLES", **IN_MESH) == [("orders",)]
    described = [row[0].split("\t")[0].strip() for row in mesh.analyst.query("DESCRIBE orders", **IN_MESH)]
    assert "email" not in described
    assert {"id", "total", "day"} <= set(described)


def test_a_tag_opens_and_closes_a_column_at_once(mesh: Mesh) -> None:
    mesh.tag_columns("open", "email")
    assert mesh.analyst.query("SELECT email FROM orders WHERE id = 1", **IN_MESH)[1:] == [("a@x.org",)]

    mesh.tag_columns("closed", "email")
    assert mesh.analyst.failure("SELECT email FROM orders WHERE id = 1", **IN_MESH).startswith("COLUMN_NOT_FOUND")


def test_who_may_only_describe_reads_nothing(mesh: Mesh) -> None:
    everything = {
        "Principal": {"DataLakePrincipalIdentifier": mesh.analyst.arn},
        "Resource": policy_on("TABLE", "open"),
        "Permissions": ["SELECT"],
    }
    mesh.consumer.client("lakeformation").revoke_permissions(**everything)

    assert mesh.analyst.failure("SELECT * FROM orders", **IN_MESH) == (
        "COLUMN_NOT_FOUND: line 1:8: Relation contains no accessible columns"
    )
    assert mesh.analyst.failure("SELECT id FROM orders", **IN_MESH).startswith("COLUMN_NOT_FOUND")
    assert mesh.analyst.failure("SELECT count(*) FROM orders", **IN_MESH) == (
        "Insufficient permissions to execute the query. Principal does not have any privilege on specified resource"
    )
    assert mesh.analyst.failure("SELECT 1 FROM orders LIMIT 0", **IN_MESH).startswith("Insufficient permissions")


def test_a_table_nobody_granted_is_not_there(mesh: Mesh) -> None:
    stranger = new_role(mesh.consumer, "stranger", trust(AWS=f"arn:aws:iam::{CONSUMER}:root"), *READER)

    assert stranger.failure("SELECT * FROM orders", **IN_MESH) == (
        "SCHEMA_NOT_FOUND: line 1:15: Schema 'sales_link' does not exist"
    )
    mesh.grant(mesh.consumer, stranger.arn, {"Database": {"Name": "sales_link"}}, "DESCRIBE")
    mesh.grant(mesh.consumer, stranger.arn, policy_on("DATABASE", "closed"), "DESCRIBE")
    assert stranger.failure("SELECT * FROM orders", **IN_MESH) == (
        "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.sales_link.orders' does not exist"
    )
    assert stranger.query("SHOW TABLES", **IN_MESH) == []


def test_a_data_lake_administrator_is_no_reader(mesh: Mesh) -> None:
    steward = new_role(mesh.central, "steward", trust(AWS=f"arn:aws:iam::{CENTRAL}:root"), *READER)
    formation = mesh.central.client("lakeformation")
    settings = formation.get_data_lake_settings()["DataLakeSettings"]
    settings["DataLakeAdmins"].append({"DataLakePrincipalIdentifier": steward.arn})
    formation.put_data_lake_settings(DataLakeSettings=settings)
    options = {"ResultConfiguration": {"OutputLocation": f"s3://{new_bucket(mesh.central, 'results-central')}/"}}

    reason = steward.failure("SELECT * FROM sales.orders", **options)

    assert reason == "COLUMN_NOT_FOUND: line 1:8: Relation contains no accessible columns"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("lakeformation:GetDataAccess", "lakeformation:GetDataAccess on resource: *"),
        ("glue:GetTable", "glue:GetTable on resource: arn:aws:glue:eu-west-1:733333333333:catalog"),
        ("glue:GetPartitions", "glue:GetPartitions on resource: arn:aws:glue:eu-west-1:722222222222:catalog"),
    ],
)
def test_iam_must_allow_the_calls_too(mesh: Mesh, missing: str, reason: str) -> None:
    permit(mesh.consumer, "analyst", *READER, deny(missing))

    failed = mesh.analyst.failure("SELECT * FROM orders", **IN_MESH)

    assert failed.startswith("Insufficient permissions to execute the query. User: arn:aws:sts::733333333333:")
    assert f"is not authorized to perform: {reason}" in failed


def test_iam_must_allow_the_target_as_well_as_the_link(mesh: Mesh) -> None:
    central = f"arn:aws:glue:eu-west-1:{CENTRAL}:table/sales/orders"
    permit(mesh.consumer, "analyst", *READER, deny("glue:GetTable", resources=central))

    assert f"glue:GetTable on resource: {central}" in mesh.analyst.failure("SELECT * FROM orders", **IN_MESH)


def test_the_reader_needs_no_right_on_the_data_and_the_registered_role_does(mesh: Mesh) -> None:
    permit(mesh.consumer, "analyst", *READER, deny("s3:*", resources=["arn:aws:s3:::raw", "arn:aws:s3:::raw/*"]))
    assert len(mesh.analyst.query("SELECT id FROM orders", **IN_MESH)) == 4

    for action in ("s3:ListBucket", "s3:GetObject"):
        permit(mesh.central, "registration", allow("s3:GetObject", "s3:ListBucket"), deny(action))
        reason = mesh.analyst.failure("SELECT id FROM orders", **IN_MESH)
        assert reason.startswith("Insufficient permissions to execute the query.")
        assert action in reason


def test_the_bucket_policy_must_admit_the_registered_role(mesh: Mesh) -> None:
    mesh.analyst.query("SELECT id FROM orders", **IN_MESH)
    mesh.producer.client("s3").delete_bucket_policy(Bucket="raw")

    assert "s3:ListBucket" in mesh.analyst.failure("SELECT id FROM orders", **IN_MESH)


def test_an_unregistered_location_is_read_with_the_callers_own_rights(mesh: Mesh) -> None:
    mesh.central.client("lakeformation").deregister_resource(ResourceArn="arn:aws:s3:::raw/orders")

    assert "s3:ListBucket" in mesh.analyst.failure("SELECT id FROM orders", **IN_MESH)

    raw = ["arn:aws:s3:::raw", "arn:aws:s3:::raw/*"]
    permit(mesh.consumer, "analyst", *READER, allow("s3:ListBucket", "s3:GetObject", resources=raw))
    admit = {"Effect": "Allow", "Principal": {"AWS": mesh.analyst.arn}, "Action": "s3:*", "Resource": raw}
    mesh.producer.client("s3").put_bucket_policy(Bucket="raw", Policy=policy(admit))
    assert mesh.analyst.query("SELECT * FROM orders WHERE id = 3", **IN_MESH)[1:] == [("3", "4.5", "2")]


def test_results_are_written_and_read_as_the_caller(mesh: Mesh) -> None:
    query_id = mesh.analyst.start("SELECT id FROM orders", **IN_MESH)
    mesh.analyst.execution(query_id)
    athena = mesh.analyst.client("athena")

    permit(mesh.consumer, "analyst", *READER, deny("s3:PutObject"))
    assert mesh.analyst.failure("SELECT 1", **IN_MESH).startswith("Access denied when writing output to url: s3://")
    permit(mesh.consumer, "analyst", *READER, deny("s3:GetBucketLocation"))
    with pytest.raises(athena.exceptions.InvalidRequestException, match="Unable to verify/create output bucket"):
        mesh.analyst.start("SELECT 1", **IN_MESH)
    permit(mesh.consumer, "analyst", *READER, deny("s3:GetObject"))
    with pytest.raises(ClientError, match="AccessDenied"):
        athena.get_query_results(QueryExecutionId=query_id)
    permit(mesh.consumer, "analyst", *READER)
    assert len(mesh.analyst.rows(query_id)) == 4


def test_athena_itself_must_be_allowed_by_workgroup(mesh: Mesh) -> None:
    workgroup = f"arn:aws:athena:eu-west-1:{CONSUMER}:workgroup/other"
    permit(mesh.consumer, "analyst", allow("athena:*", resources=workgroup))

    with pytest.raises(ClientError) as caught:
        mesh.analyst.start("SELECT 1", **IN_MESH)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
