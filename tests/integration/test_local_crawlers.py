"""The seed sample as a crawler sees it. What crawlers do otherwise is in tests/conformance/test_crawlers_*.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from local_aws.server import LocalAws

SHARED = Path(os.environ.get("TAGMESH_SHARED", "../shared"))
SEED = SHARED / "data/seed-sample/classicmodels/sales"
ACCOUNT = "610000000000"
COMBINE = {"Version": 1.0, "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}


def statement(**more: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **more}]})


@pytest.mark.skipif(not SEED.is_dir(), reason=f"shared data is missing: {SEED}")
def test_the_seed_sample_is_eight_tables(aws: LocalAws) -> None:
    session = aws.session(ACCOUNT)
    s3, iam, glue = session.client("s3"), session.client("iam"), session.client("glue")
    s3.create_bucket(Bucket="raw", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    trust = statement(Principal={"Service": "glue.amazonaws.com"}, Action="sts:AssumeRole")
    iam.create_role(RoleName="crawler", AssumeRolePolicyDocument=trust)
    allowed = statement(Action=["s3:GetObject", "s3:ListBucket", "glue:*"], Resource="*")
    iam.put_role_policy(RoleName="crawler", PolicyName="p", PolicyDocument=allowed)
    glue.create_database(DatabaseInput={"Name": "db"})
    for file in SEED.glob("*/*.csv"):
        s3.put_object(Bucket="raw", Key=f"sales/{file.parent.name}/{file.name}", Body=file.read_bytes())
    quoted = {"ContainsHeader": "PRESENT", "Delimiter": ",", "QuoteSymbol": '"', "Serde": "OpenCSVSerDe"}
    glue.create_classifier(CsvClassifier={"Name": "csv", **quoted})
    folders = sorted(folder.name for folder in SEED.iterdir())
    glue.create_crawler(
        Name="c",
        Role="crawler",
        DatabaseName="db",
        Targets={"S3Targets": [{"Path": f"s3://raw/sales/{folder}/"} for folder in folders]},
        Classifiers=["csv"],
        Configuration=json.dumps(COMBINE),
    )

    glue.start_crawler(Name="c")
    aws.world.wait_idle(30)

    tables = {table["Name"]: table for table in glue.get_tables(DatabaseName="db")["TableList"]}
    assert {name: int(table["Parameters"]["recordCount"]) for name, table in tables.items()} == {
        "customers": 122,
        "employees": 23,
        "offices": 7,
        "orderdetails": 2996,
        "orders": 326,
        "payments": 273,
        "productlines": 7,
        "products": 110,
    }
    columns = tables["payments"]["StorageDescriptor"]["Columns"]
    assert {column["Name"]: column["Type"] for column in columns} == {
        "customernumber": "bigint",
        "checknumber": "string",
        "paymentdate": "string",
        "amount": "double",
    }
