"""A place to crawl: a bucket, a database and a role that Glue may assume; crawlers run to their end; Athena's rows."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass, replace
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from lab import Lab, Role

ACTIONS = ["s3:GetObject", "s3:ListBucket", "glue:*", "logs:*"]
CRAWL_ENDS_WITHIN = 900
COMBINE = {"Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}
MERGE = {"CrawlerOutput": {"Tables": {"AddOrUpdateBehavior": "MergeNewColumns"}}}
INHERIT = {"CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}}}
NUMBERS = "id,x\n1,2\n3,4\n"
"""A file that Glue recognises by itself: `id` and `x` are bigint."""
OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
LAZY_SIMPLE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"


def glue_role(lab: Lab, part: str, *allow: str, service: str = "glue.amazonaws.com") -> Role:
    """A role that a service may assume, allowed IAM actions on everything."""
    iam, name = lab.client("iam", part), lab.name("crawler", "-")
    principals = {"Service": service, "AWS": f"arn:aws:iam::{lab.account(part)}:root"}
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principals, "Action": "sts:AssumeRole"}],
    }
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    lab.at_end(iam.delete_role, RoleName=name)
    role = Role(part, name, made["Arn"])
    if allow:
        lab.allow(role, *allow)
    return role


@dataclass(frozen=True)
class Place:
    """A bucket to crawl, and where its tables go."""

    lab: Lab
    part: str
    bucket: str
    database: str
    role: Role

    @property
    def glue(self) -> Any:
        return self.lab.client("glue", self.part)

    def put(self, key: str, body: bytes | str) -> None:
        self.lab.put(self.part, self.bucket, key, body)

    def delete(self, key: str) -> None:
        self.lab.client("s3", self.part).delete_object(Bucket=self.bucket, Key=key)

    def path(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{key}"

    # -- crawling -------------------------------------------------------------------------------------------------

    def asked(self, *folders: str | dict, **settings: Any) -> dict[str, Any]:
        """The request that makes a crawler of folders (or of S3 targets with further members)."""
        targets = [each if isinstance(each, dict) else {"Path": self.path(each)} for each in folders]
        if isinstance(settings.get("Configuration"), dict):
            settings["Configuration"] = json.dumps({"Version": 1.0, **settings["Configuration"]})
        return {
            "Role": self.role.arn,
            "DatabaseName": self.database,
            "Targets": {"S3Targets": targets},
            **settings,
        }

    def crawler(self, *folders: str | dict, **settings: Any) -> str:
        """A new crawler's name."""
        name = self.lab.name("crawler")
        self.glue.create_crawler(Name=name, **self.asked(*folders, **settings))
        self.lab.at_end(self.glue.delete_crawler, Name=name)
        return name

    def run(self, crawler: str) -> dict[str, Any]:
        """Run a crawler to its end: how the crawl is listed."""
        self.glue.start_crawler(Name=crawler)
        return self.ended(crawler)

    def ended(self, crawler: str) -> dict[str, Any]:
        """Wait for a crawler's end: how its last crawl is listed."""
        deadline = time.monotonic() + CRAWL_ENDS_WITHIN
        while self._crawls(crawler):
            assert time.monotonic() < deadline, f"{crawler} does not end"
            time.sleep(0.002 if self.lab.is_local else 5)
        return self.glue.list_crawls(CrawlerName=crawler)["Crawls"][0]

    def _crawls(self, crawler: str) -> bool:
        if self.lab.is_local:  # asked without a call: a crawl is shorter than most calls
            return any(crawler in each for each in self.lab.aws.world.busy())
        return self.glue.get_crawler(Name=crawler)["Crawler"]["State"] != "READY"

    def crawl(self, *folders: str | dict, **settings: Any) -> str:
        """Make a crawler and run it; it must succeed. Returns its name."""
        name = self.crawler(*folders, **settings)
        crawl = self.run(name)
        assert crawl["State"] == "COMPLETED", crawl
        return name

    def each(self, bodies: dict[str, bytes | str], name: str = "a", **classifier: Any) -> dict[str, dict]:
        """Crawl one folder for each file, with a custom classifier if one is given: the table of each."""
        for folder, body in bodies.items():
            self.put(f"{folder}/{name}", body)
        classifiers = [self.classifier(**classifier)] if classifier else []
        self.crawl(*(f"{folder}/" for folder in bodies), Classifiers=classifiers)
        tables = self.tables()
        return {folder: tables[folder] for folder in bodies}

    def classifier(self, **settings: Any) -> str:
        """A new CSV classifier's name."""
        name = self.lab.name("classifier")
        self.glue.create_classifier(CsvClassifier={"Name": name, **settings})
        self.lab.at_end(self.glue.delete_classifier, Name=name)
        return name

    # -- what there is --------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, dict]:
        pages = self.glue.get_paginator("get_tables").paginate(DatabaseName=self.database)
        return {table["Name"]: table for page in pages for table in page["TableList"]}

    def table(self, name: str = "t") -> dict:
        return self.glue.get_table(DatabaseName=self.database, Name=name)["Table"]

    def columns(self, name: str = "t") -> dict[str, str]:
        return {each["Name"]: each["Type"] for each in self.table(name)["StorageDescriptor"]["Columns"]}

    def keys(self, name: str = "t") -> list[str]:
        return [each["Name"] for each in self.table(name)["PartitionKeys"]]

    def partitions(self, name: str = "t") -> dict[tuple, dict]:
        pages = self.glue.get_paginator("get_partitions").paginate(DatabaseName=self.database, TableName=name)
        return {tuple(each["Values"]): each for page in pages for each in page["Partitions"]}

    def query(self, sql: str) -> tuple[list[tuple], str]:
        """The rows that Athena finds, values as text; or none, and why the query failed."""
        athena = self.lab.client("athena", self.part)
        started = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": self.database},
            ResultConfiguration={"OutputLocation": self.path("_results/")},
        )["QueryExecutionId"]
        while True:
            status = athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(0.01 if self.lab.is_local else 1)
        if status["State"] != "SUCCEEDED":
            return [], status.get("StateChangeReason", "")
        rows = athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"][1:]
        return [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in rows], ""

    def rows(self, sql: str = "SELECT * FROM t") -> list[tuple]:
        found, reason = self.query(sql)
        assert not reason, reason
        return found

    def described(self, body: bytes | str, columns: dict[str, str], serde: str, name: str = "a", **parameters: str):
        """Write a file, and describe it as the table `t` by hand."""
        folder = self.lab.name("by_hand")
        self.put(f"{folder}/{name}", body)
        table = {
            "Name": "t",
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": {
                "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
                "Location": self.path(f"{folder}/"),
                "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                "SerdeInfo": {"SerializationLibrary": serde, "Parameters": parameters},
            },
            "Parameters": {key: value for key, value in parameters.items() if key.startswith("skip.")},
        }
        self.glue.create_table(DatabaseName=self.database, TableInput=table)


def place(lab: Lab, role: Role) -> Place:
    """A place with nothing in it, in a role's account."""
    bucket, database = lab.bucket(role.account), lab.database(role.account)
    made = Place(lab, role.account, bucket, database, role)
    lab.at_end(_drop, made)
    return made


def with_role(where: Place, role: Role) -> Place:
    return replace(where, role=role)


def _drop(where: Place) -> None:
    for name in where.tables():
        where.glue.delete_table(DatabaseName=where.database, Name=name)


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def avro(fields: list[dict], *records: dict, codec: str = "null") -> bytes:
    sink = io.BytesIO()
    schema = fastavro.parse_schema({"type": "record", "name": "Row", "fields": fields})
    fastavro.writer(sink, schema, records, codec=codec)
    return sink.getvalue()
