"""Crawlers make tables from the files they find, as their role, and say so."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws

SHARED = Path(os.environ.get("TAGMESH_SHARED", "../shared"))
SEED = SHARED / "data/seed-sample/classicmodels/sales"
ALLOWED = [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket", "glue:*"], "Resource": "*"}]
COMBINE = {"Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}
INHERIT = {"CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}}}
QUOTED = {"ContainsHeader": "PRESENT", "Delimiter": ",", "QuoteSymbol": '"', "Serde": "OpenCSVSerDe"}

_numbers = itertools.count(610_000_000_000)


def trusting(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass
class Lake:
    """An account with a bucket, a database `db` and a crawler role."""

    aws: LocalAws
    account: str
    bucket: str
    role: str

    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.aws.session(self.account).client(service)
        return self.clients[service]

    def put(self, key: str, body: bytes | str) -> None:
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def crawler(self, name: str = "c", *folders: str, **settings: Any) -> None:
        targets = [{"Path": f"s3://{self.bucket}/{folder}"} for folder in folders]
        if isinstance(settings.get("Configuration"), dict):
            settings["Configuration"] = json.dumps({"Version": 1.0, **settings["Configuration"]})
        shape = {"Role": self.role, "DatabaseName": "db", "Targets": {"S3Targets": targets}}
        self.client("glue").create_crawler(Name=name, **{**shape, **settings})

    def crawl(self, name: str = "c") -> dict:
        """Run a crawler to its end; how the crawl is listed."""
        self.client("glue").start_crawler(Name=name)
        self.aws.world.wait_idle(30)
        return self.client("glue").list_crawls(CrawlerName=name)["Crawls"][0]

    def tables(self) -> dict[str, dict]:
        found = self.client("glue").get_tables(DatabaseName="db")["TableList"]
        return {table["Name"]: table for table in found}

    def table(self, name: str) -> dict:
        return self.client("glue").get_table(DatabaseName="db", Name=name)["Table"]

    def columns(self, name: str) -> dict[str, str]:
        return {column["Name"]: column["Type"] for column in self.table(name)["StorageDescriptor"]["Columns"]}

    def partitions(self, name: str) -> dict[tuple, dict]:
        found = self.client("glue").get_partitions(DatabaseName="db", TableName=name)["Partitions"]
        return {tuple(each["Values"]): each for each in found}


def new_lake(aws: LocalAws) -> Lake:
    """A new account with a crawler role."""
    account = str(next(_numbers))
    iam = aws.session(account).client("iam")
    role = iam.create_role(RoleName="crawler", AssumeRolePolicyDocument=trusting("glue.amazonaws.com"))["Role"]
    return Lake(aws, account, "", role["Arn"])


def ready(lake: Lake) -> Lake:
    """With what each test starts from: an empty bucket, an empty database, a role that may do its work."""
    lake.bucket = f"raw-{next(_numbers)}"
    place = {"LocationConstraint": "eu-west-1"}
    lake.client("s3").create_bucket(Bucket=lake.bucket, CreateBucketConfiguration=place)
    policy = json.dumps({"Version": "2012-10-17", "Statement": ALLOWED})
    lake.client("iam").put_role_policy(RoleName="crawler", PolicyName="p", PolicyDocument=policy)
    lake.client("glue").create_database(DatabaseInput={"Name": "db"})
    return lake


@pytest.fixture(scope="module")
def account(aws_module: LocalAws) -> Lake:
    return new_lake(aws_module)


@pytest.fixture
def lake(account: Lake) -> Iterator[Lake]:
    yield ready(account)
    assert account.aws.world.failures == []
    glue = account.client("glue")
    glue.delete_database(Name="db")
    for name in glue.list_crawlers()["CrawlerNames"]:
        glue.delete_crawler(Name=name)
    for classifier in glue.get_classifiers()["Classifiers"]:
        glue.delete_classifier(Name=classifier["CsvClassifier"]["Name"])


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


# -- tables --------------------------------------------------------------------------------------


def test_each_target_becomes_the_table_that_its_files_describe(lake: Lake) -> None:
    lake.put("shop/Orders-2024/a.csv", 'id,note\n1,"x, y"\n2,z\n')
    lake.put("shop/events/a.jsonl", '{"Id": 1, "who": {"Name": "a"}}\n{"id": 2}\n')
    lake.put("shop/stock/a.parquet", parquet(sku=["a"], amount=pa.array([1], pa.int32())))
    lake.client("glue").create_classifier(CsvClassifier={"Name": "csv", **QUOTED})
    lake.crawler("c", "shop/Orders-2024/", "shop/events/", "shop/stock", Classifiers=["csv"], TablePrefix="raw_")

    crawl = lake.crawl()

    assert crawl["State"] == "COMPLETED"
    assert set(lake.tables()) == {"raw_orders_2024", "raw_events", "raw_stock"}
    assert lake.columns("raw_orders_2024") == {"id": "bigint", "note": "string"}
    assert lake.columns("raw_events") == {"id": "int", "who": "struct<name:string>"}
    assert lake.columns("raw_stock") == {"sku": "string", "amount": "int"}
    orders = lake.table("raw_orders_2024")
    assert orders["TableType"] == "EXTERNAL_TABLE"
    assert orders["StorageDescriptor"]["Location"] == f"s3://{lake.bucket}/shop/Orders-2024/"
    assert orders["StorageDescriptor"]["SerdeInfo"] == {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde",
        "Parameters": {"separatorChar": ",", "quoteChar": '"'},
    }
    shown = {
        "classification": "csv",
        "UPDATED_BY_CRAWLER": "c",
        "skip.header.line.count": "1",
        "compressionType": "none",
        "typeOfData": "file",
        "objectCount": "1",
        "recordCount": "2",
        "sizeKey": "21",
        "CrawlerSchemaSerializerVersion": "1.0",
    }
    assert shown.items() <= orders["Parameters"].items()
    assert lake.table("raw_events")["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"paths": "Id,id,who"}
    assert "parquet" in lake.table("raw_stock")["StorageDescriptor"]["InputFormat"]


def test_folders_become_partitions_named_by_their_keys_or_numbered(lake: Lake) -> None:
    for year, month in (("2023", "12"), ("2024", "1")):
        lake.put(f"named/Year={year}/month={month}/a.csv", "id,price\n1,2.5\n2,3.5\n")
        lake.put(f"plain/{year}/{month}/a.csv", "id,price\n1,2.5\n2,3.5\n")
    lake.crawler("c", "named/", "plain/")

    crawl = lake.crawl()

    assert [key["Name"] for key in lake.table("named")["PartitionKeys"]] == ["year", "month"]
    assert [key["Name"] for key in lake.table("plain")["PartitionKeys"]] == ["partition_0", "partition_1"]
    for name in ("named", "plain"):
        assert set(lake.partitions(name)) == {("2023", "12"), ("2024", "1")}
    location = lake.partitions("named")["2024", "1"]["StorageDescriptor"]["Location"]
    assert location == f"s3://{lake.bucket}/named/Year=2024/month=1/"
    summary = json.loads(crawl["Summary"])
    assert json.loads(summary["PARTITION"])["ADD"]["Count"] == 4
    assert json.loads(summary["TABLE"])["ADD"]["Details"]["names"] == ["named", "plain"]


def test_many_partitions_are_all_added(lake: Lake) -> None:
    for day in range(105):
        lake.put(f"t/day={day:03d}/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/", Configuration=INHERIT)

    lake.crawl()

    assert len(lake.partitions("t")) == 105


def test_dissimilar_files_are_tables_of_their_own_unless_compatible_ones_are_combined(lake: Lake) -> None:
    lake.put("t/year=2017/a.json", '{"A": 1, "B": 2}\n')
    lake.put("t/year=2018/a.json", '{"C": 3, "D": 4}\n')
    lake.crawler("apart", "t/")
    lake.crawler("together", "t/", Configuration=COMBINE, TablePrefix="all_")

    lake.crawl("apart")
    lake.crawl("together")

    assert set(lake.tables()) == {"year_2017", "year_2018", "all_t"}
    assert lake.columns("all_t") == {"a": "int", "b": "int", "c": "int", "d": "int"}
    assert set(lake.partitions("all_t")) == {("2017",), ("2018",)}


def test_files_that_cannot_be_one_table_are_tables_each(lake: Lake) -> None:
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.put("t/b.json", '{"id": 1}\n')
    lake.put("u/a.csv", "id,x\n1,2\n3,4\n")
    lake.put("u/deep/b.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/", "u/", Configuration=COMBINE)

    lake.crawl()

    locations = {table["StorageDescriptor"]["Location"] for table in lake.tables().values()}
    assert locations == {f"s3://{lake.bucket}/{path}" for path in ("t/a.csv", "t/b.json", "u/a.csv", "u/deep/")}


def test_the_table_level_says_which_folders_are_tables(lake: Lake) -> None:
    for table, year in itertools.product(("a", "b"), ("2023", "2024")):
        lake.put(f"top/{table}/year={year}/f.csv", "id,x\n1,2\n3,4\n")
    level = {"Grouping": {"TableLevelConfiguration": 2, "TableGroupingPolicy": "CombineCompatibleSchemas"}}
    lake.crawler("c", "top/", Configuration=level)

    lake.crawl()

    assert set(lake.tables()) == {"a", "b"}
    assert set(lake.partitions("a")) == {("2023",), ("2024",)}


def test_names_that_are_taken_get_a_hash_and_stay_with_their_location(lake: Lake) -> None:
    lake.put("x/t/a.csv", "id,x\n1,2\n3,4\n")
    lake.put("y/T/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "x/t/", "y/T/")

    lake.crawl()
    first = {table["StorageDescriptor"]["Location"]: name for name, table in lake.tables().items()}
    lake.crawl()
    second = {table["StorageDescriptor"]["Location"]: name for name, table in lake.tables().items()}

    assert first == second
    assert sorted(len(name) for name in first.values()) == [1, 34]


def test_hidden_empty_unknown_and_broken_files_do_not_spoil_a_table(lake: Lake) -> None:
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.put("t/_SUCCESS", "done")
    lake.put("t/.tmp/b.csv", "other\n")
    lake.put("t/empty.csv", "")
    lake.put("t/notes.txt", "some words only\n")
    lake.put("t/cut.gz", gzip.compress(b"id,x\n" * 100)[:20])
    lake.crawler("c", "t/")

    crawl = lake.crawl()

    assert (crawl["State"], set(lake.tables())) == ("COMPLETED", {"t"})
    assert lake.columns("t") == {"id": "bigint", "x": "bigint"}


def test_what_no_classifier_knows_is_a_table_without_columns(lake: Lake) -> None:
    lake.put("t/words.txt", "some words only\n")
    lake.put("nothing/empty.csv", "")
    lake.crawler("c", "t/", "nothing/")

    assert lake.crawl()["State"] == "COMPLETED"

    assert set(lake.tables()) == {"t"}
    assert lake.table("t")["Parameters"]["classification"] == "UNKNOWN"
    assert lake.columns("t") == {}


def test_keys_with_any_character_are_read(lake: Lake) -> None:
    lake.put("t/day=2024 01+02%3A/ü b.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")

    lake.crawl()

    (partition,) = lake.partitions("t").values()
    assert partition["Values"] == ["2024 01+02%3A"]


def test_a_column_named_like_a_partition_key_gives_way(lake: Lake) -> None:
    lake.put("csv/year=2024/a.csv", "year,id\n1,2\n3,4\n")
    lake.put("json/year=2024/a.json", '{"year": 1, "id": 2}\n')
    lake.crawler("c", "csv/", "json/")

    lake.crawl()

    assert list(lake.columns("csv")) == ["year_2", "id"]
    assert list(lake.columns("json")) == ["id"]


@pytest.mark.skipif(not SEED.is_dir(), reason=f"needs {SEED}: set TAGMESH_SHARED")
def test_the_seed_sample_is_eight_tables(lake: Lake) -> None:
    folders = sorted(folder.name for folder in SEED.iterdir())
    for file in SEED.glob("*/*.csv"):
        lake.put(f"sales/{file.parent.name}/{file.name}", file.read_bytes())
    lake.client("glue").create_classifier(CsvClassifier={"Name": "csv", **QUOTED})
    lake.crawler("c", *(f"sales/{folder}/" for folder in folders), Classifiers=["csv"], Configuration=COMBINE)

    lake.crawl()

    records = {name: int(table["Parameters"]["recordCount"]) for name, table in lake.tables().items()}
    assert records == {
        "customers": 122,
        "employees": 23,
        "offices": 7,
        "orderdetails": 2996,
        "orders": 326,
        "payments": 273,
        "productlines": 7,
        "products": 110,
    }
    assert lake.columns("payments") == {
        "customernumber": "bigint",
        "checknumber": "string",
        "paymentdate": "string",
        "amount": "double",
    }


# -- again ---------------------------------------------------------------------------------------


def test_a_second_crawl_of_the_same_files_changes_nothing(lake: Lake) -> None:
    lake.put("t/year=2024/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")
    lake.crawl()
    before = lake.table("t")["VersionId"], lake.partitions("t")

    crawl = lake.crawl()

    assert json.loads(crawl["Summary"]) == {}
    assert (lake.table("t")["VersionId"], lake.partitions("t")) == before


@pytest.mark.parametrize("merge", [False, True])
def test_new_columns_come_and_old_ones_go_unless_columns_are_merged(lake: Lake, merge: bool) -> None:
    output = {"CrawlerOutput": {"Tables": {"AddOrUpdateBehavior": "MergeNewColumns"}}} if merge else {}
    lake.put("t/a.csv", "id,gone\n1,2\n3,4\n")
    lake.crawler("c", "t/", Configuration=output)
    lake.crawl()
    lake.put("t/a.csv", "id,added\n1,x\n3,y\n")

    crawl = lake.crawl()

    expected = {"id": "bigint", "gone": "bigint", "added": "string"} if merge else {"id": "bigint", "added": "string"}
    assert lake.columns("t") == expected
    assert json.loads(json.loads(crawl["Summary"])["TABLE"])["UPDATE"]["Count"] == 1


def test_partitions_inherit_the_tables_columns_if_told_so(lake: Lake) -> None:
    lake.put("t/p=1/a.json", '{"a": 1}\n')
    lake.crawler("c", "t/", Configuration={**COMBINE, **INHERIT})
    lake.crawl()
    lake.put("t/p=2/a.json", '{"a": 1, "b": "x"}\n')

    lake.crawl()

    names = [
        [column["Name"] for column in each["StorageDescriptor"]["Columns"]] for each in lake.partitions("t").values()
    ]
    assert names == [["a", "b"], ["a", "b"]]


def test_log_leaves_the_table_and_still_adds_partitions(lake: Lake) -> None:
    lake.put("t/p=1/a.csv", "id,x\n1,2\n3,4\n")
    policy = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
    lake.crawler("c", "t/", SchemaChangePolicy=policy, Configuration=COMBINE)
    lake.crawl()
    lake.put("t/p=2/a.csv", "id,x,more\n1,2,3\n3,4,5\n")

    lake.crawl()

    assert list(lake.columns("t")) == ["id", "x"]
    assert set(lake.partitions("t")) == {("1",), ("2",)}


def test_tables_whose_files_are_gone_are_deprecated_deleted_or_left(lake: Lake) -> None:
    policies = {"DEPRECATE_IN_DATABASE": "a", "DELETE_FROM_DATABASE": "b", "LOG": "c"}
    for policy, folder in policies.items():
        lake.put(f"{folder}/x.csv", "id,x\n1,2\n3,4\n")
        lake.crawler(policy, f"{folder}/", SchemaChangePolicy={"DeleteBehavior": policy})
        lake.crawl(policy)
    for folder in "abc":
        lake.client("s3").delete_object(Bucket=lake.bucket, Key=f"{folder}/x.csv")
    for policy in policies:
        lake.crawl(policy)

    assert set(lake.tables()) == {"a", "c"}
    assert "DEPRECATED_BY_CRAWLER" in lake.table("a")["Parameters"]
    assert "DEPRECATED_BY_CRAWLER" not in lake.table("c")["Parameters"]

    lake.put("a/x.csv", "id,x\n1,2\n3,4\n")
    lake.crawl("DEPRECATE_IN_DATABASE")
    assert "DEPRECATED_BY_CRAWLER" not in lake.table("a")["Parameters"]


def test_partitions_whose_files_are_gone_follow_the_policy_too(lake: Lake) -> None:
    for policy, folder in {"DEPRECATE_IN_DATABASE": "a", "DELETE_FROM_DATABASE": "b"}.items():
        for part in ("1", "2"):
            lake.put(f"{folder}/p={part}/x.csv", "id,x\n1,2\n3,4\n")
        lake.crawler(policy, f"{folder}/", SchemaChangePolicy={"DeleteBehavior": policy})
        lake.crawl(policy)
        lake.client("s3").delete_object(Bucket=lake.bucket, Key=f"{folder}/p=1/x.csv")
        lake.crawl(policy)

    assert set(lake.partitions("b")) == {("2",)}
    assert "DEPRECATED_BY_CRAWLER" in lake.partitions("a")[("1",)]["Parameters"]
    assert "DEPRECATED_BY_CRAWLER" not in lake.partitions("a")[("2",)]["Parameters"]


def test_a_table_that_a_person_made_is_never_touched(lake: Lake) -> None:
    mine = {"Name": "t", "StorageDescriptor": {"Columns": [], "Location": f"s3://{lake.bucket}/t/"}}
    lake.client("glue").create_table(DatabaseName="db", TableInput=mine)
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")

    lake.crawl()

    assert lake.columns("t") == {}
    assert len(lake.tables()) == 2


# -- as the role ---------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["s3:ListBucket", "s3:GetObject", "glue:CreateTable"])
def test_a_crawl_fails_with_what_its_role_may_not_do(lake: Lake, missing: str) -> None:
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")
    denied = {"Effect": "Deny", "Action": missing, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [*ALLOWED, denied]})
    lake.client("iam").put_role_policy(RoleName="crawler", PolicyName="p", PolicyDocument=policy)

    crawl = lake.crawl()

    assert crawl["State"] == "FAILED"
    assert missing in crawl["ErrorMessage"]
    assert lake.tables() == {}
    last = lake.client("glue").get_crawler(Name="c")["Crawler"]["LastCrawl"]
    assert (last["Status"], last["ErrorMessage"]) == ("FAILED", crawl["ErrorMessage"])


def test_a_crawl_needs_what_lake_formation_grants(aws_module: LocalAws) -> None:
    lake = ready(new_lake(aws_module))
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")
    formation = lake.client("lakeformation")
    admin = f"arn:aws:iam::{lake.account}:user/admin"
    settings = {"DataLakeAdmins": [{"DataLakePrincipalIdentifier": admin}]}
    formation.put_data_lake_settings(
        DataLakeSettings={**settings, "CreateDatabaseDefaultPermissions": [], "CreateTableDefaultPermissions": []}
    )
    everybody = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
    database = {"Database": {"Name": "db"}}
    formation.revoke_permissions(Principal=everybody, Resource=database, Permissions=["ALL"])

    refused = lake.crawl()
    formation.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": lake.role},
        Resource=database,
        Permissions=["CREATE_TABLE", "DESCRIBE"],
    )
    granted = lake.crawl()

    assert refused["State"] == "FAILED"
    assert granted["State"] == "COMPLETED"
    assert lake.aws.world.engines["glue"].get_table(lake.account, "db", "t") is not None


def test_the_role_must_trust_glue(lake: Lake) -> None:
    iam = lake.client("iam")
    other = iam.create_role(RoleName="other", AssumeRolePolicyDocument=trusting("lambda.amazonaws.com"))
    for role in (other["Role"]["Arn"], "other", f"arn:aws:iam::{lake.account}:role/nobody"):
        with pytest.raises(ClientError, match="unable to assume") as caught:
            lake.crawler("c", "t/", Role=role)
        assert caught.value.response["Error"]["Code"] == "InvalidInputException"


def test_a_role_that_no_longer_trusts_glue_crawls_no_more(aws_module: LocalAws) -> None:
    lake = ready(new_lake(aws_module))
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")
    assert lake.crawl()["State"] == "COMPLETED"

    lake.client("iam").update_assume_role_policy(RoleName="crawler", PolicyDocument=trusting("lambda.amazonaws.com"))

    crawl = lake.crawl()
    assert crawl["State"] == "FAILED"
    assert "sts:AssumeRole" in crawl["ErrorMessage"]


# -- the API -------------------------------------------------------------------------------------


def test_a_crawler_runs_once_at_a_time_and_tells_its_state(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from local_aws.crawlers import engine as crawlers

    go_on, reading = threading.Event(), threading.Event()
    real = crawlers.read_target

    def slow(*arguments: Any) -> Any:
        reading.set()
        assert go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(crawlers, "read_target", slow)
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")
    glue = lake.client("glue")
    glue.start_crawler(Name="c")
    assert reading.wait(20)

    assert glue.get_crawler(Name="c")["Crawler"]["State"] == "RUNNING"
    assert glue.list_crawls(CrawlerName="c")["Crawls"][0]["State"] == "RUNNING"
    assert any("crawl of c" in each for each in lake.aws.world.busy())
    with pytest.raises(glue.exceptions.CrawlerRunningException):
        glue.start_crawler(Name="c")
    with pytest.raises(glue.exceptions.CrawlerRunningException):
        glue.update_crawler(Name="c", Description="x")
    with pytest.raises(glue.exceptions.CrawlerRunningException):
        glue.delete_crawler(Name="c")
    glue.stop_crawler(Name="c")
    assert glue.get_crawler(Name="c")["Crawler"]["State"] == "STOPPING"
    with pytest.raises(glue.exceptions.CrawlerStoppingException):
        glue.stop_crawler(Name="c")
    go_on.set()
    lake.aws.world.wait_idle(20)

    crawler = glue.get_crawler(Name="c")["Crawler"]
    assert (crawler["State"], crawler["LastCrawl"]["Status"]) == ("READY", "CANCELLED")
    assert glue.list_crawls(CrawlerName="c")["Crawls"][0]["State"] == "STOPPED"
    assert lake.tables() == {}
    with pytest.raises(glue.exceptions.CrawlerNotRunningException):
        glue.stop_crawler(Name="c")


def test_a_crawler_is_described_as_it_was_made(lake: Lake) -> None:
    lake.client("glue").create_classifier(CsvClassifier={"Name": "csv", **QUOTED})
    lake.crawler("c", "t/", Classifiers=["csv"], Description="d", Configuration=COMBINE, TablePrefix="p_")
    glue = lake.client("glue")

    crawler = glue.get_crawler(Name="c")["Crawler"]

    assert crawler["Role"] == "crawler"
    assert crawler["Targets"]["S3Targets"] == [{"Path": f"s3://{lake.bucket}/t/"}]
    assert json.loads(crawler["Configuration"]) == {"Version": 1.0, **COMBINE}
    assert crawler["SchemaChangePolicy"]["DeleteBehavior"] == "DEPRECATE_IN_DATABASE"
    assert (crawler["State"], crawler["Version"], "LastCrawl" in crawler) == ("READY", 1, False)
    glue.update_crawler(Name="c", TablePrefix="q_")
    changed = glue.get_crawler(Name="c")["Crawler"]
    assert (changed["TablePrefix"], changed["Description"], changed["Version"]) == ("q_", "d", 2)
    assert glue.list_crawlers()["CrawlerNames"] == ["c"]
    assert [each["Name"] for each in glue.get_crawlers()["Crawlers"]] == ["c"]
    batch = glue.batch_get_crawlers(CrawlerNames=["c", "x"])
    assert ([each["Name"] for each in batch["Crawlers"]], batch["CrawlersNotFound"]) == (["c"], ["x"])
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        lake.crawler("c", "t/")
    glue.delete_crawler(Name="c")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_crawler(Name="c")


def test_crawls_are_listed_newest_first_by_page_and_by_filter(lake: Lake) -> None:
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")
    crawls = [lake.crawl() for _ in range(3)]
    glue = lake.client("glue")

    page = glue.list_crawls(CrawlerName="c", MaxResults=2)
    rest = glue.list_crawls(CrawlerName="c", MaxResults=2, NextToken=page["NextToken"])

    ids = [crawl["CrawlId"] for crawl in page["Crawls"] + rest["Crawls"]]
    assert ids == [crawl["CrawlId"] for crawl in reversed(crawls)]
    assert "NextToken" not in rest

    def filtered(name: str, operator: str, value: str) -> list[str]:
        wanted = {"FieldName": name, "FilterOperator": operator, "FieldValue": value}
        return [crawl["CrawlId"] for crawl in glue.list_crawls(CrawlerName="c", Filters=[wanted])["Crawls"]]

    assert filtered("CRAWL_ID", "EQ", ids[1]) == [ids[1]]
    assert filtered("STATE", "EQ", "FAILED") == []
    assert filtered("START_TIME", "GT", crawls[2]["StartTime"].isoformat()) == []
    assert filtered("START_TIME", "GE", str(int((time.time() - 600) * 1000))) == ids
    with pytest.raises(ClientError, match="DPU_HOUR"):
        filtered("DPU_HOUR", "GT", "1")
    metrics = glue.get_crawler_metrics(CrawlerNameList=["c"])["CrawlerMetricsList"][0]
    assert (metrics["TablesCreated"], metrics["StillEstimating"]) == (1, False)


def test_classifiers_are_kept_changed_and_deleted(lake: Lake) -> None:
    glue = lake.client("glue")
    glue.create_classifier(CsvClassifier={"Name": "csv", **QUOTED})

    glue.update_classifier(CsvClassifier={"Name": "csv", "ContainsHeader": "ABSENT"})

    found = glue.get_classifier(Name="csv")["Classifier"]["CsvClassifier"]
    assert (found["ContainsHeader"], found["Delimiter"], found["Version"]) == ("ABSENT", ",", 2)
    assert len(glue.get_classifiers()["Classifiers"]) == 1
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_classifier(CsvClassifier={"Name": "csv"})
    with pytest.raises(glue.exceptions.InvalidInputException):
        glue.create_classifier(CsvClassifier={"Name": "same", "Delimiter": ",", "QuoteSymbol": ","})
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        lake.crawler("c", "t/", Classifiers=["other"])
    glue.delete_classifier(Name="csv")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_classifier(Name="csv")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"Schedule": "cron(0 1 * * ? *)"}, "Schedule"),
        ({"LakeFormationConfiguration": {"UseLakeFormationCredentials": True}}, "LakeFormationConfiguration"),
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}}, "CRAWL_EVENT_MODE"),
        ({"Targets": {"JdbcTargets": [{"Path": "x"}]}}, "JdbcTargets"),
        ({"Targets": {"S3Targets": [{"Path": "s3://b/t", "Exclusions": ["*.txt"]}]}}, "Exclusions"),
        ({"Configuration": {"CreatePartitionIndex": True}}, "CreatePartitionIndex"),
        ({"Configuration": {"Grouping": {"TableGroupingPolicy": "Other"}}}, "TableGroupingPolicy"),
    ],
)
def test_what_is_not_built_is_refused(lake: Lake, settings: dict, named: str) -> None:
    with pytest.raises(ClientError, match=named) as caught:
        lake.crawler("c", "t/", **settings)
    assert caught.value.response["Error"]["Code"] == "LocalAwsNotSupported"


@pytest.mark.parametrize(
    "settings",
    [
        {"Targets": {"S3Targets": []}},
        {"Targets": {"S3Targets": [{"Path": "/local/folder"}]}},
        {"Configuration": "not json"},
        {"Configuration": json.dumps({"Version": 2})},
        {"Configuration": {"CrawlerOutput": {"Tables": {"TableThreshold": 0}}}},
    ],
)
def test_what_glue_refuses_is_refused(lake: Lake, settings: dict) -> None:
    with pytest.raises(ClientError) as caught:
        lake.crawler("c", "t/", **settings)
    assert caught.value.response["Error"]["Code"] == "InvalidInputException"


def test_more_tables_than_the_threshold_fail_the_crawl_without_a_write(lake: Lake) -> None:
    for folder in "ab":
        lake.put(f"{folder}/x.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "a/", "b/", Configuration={"CrawlerOutput": {"Tables": {"TableThreshold": 1}}})

    crawl = lake.crawl()

    assert crawl["State"] == "FAILED"
    assert "greater than the table threshold value provided: 1" in crawl["ErrorMessage"]
    assert lake.tables() == {}


def test_a_crawl_of_orc_fails_with_the_reason(lake: Lake) -> None:
    lake.put("t/a.orc", b"ORC" + bytes(50))
    lake.crawler("c", "t/")

    crawl = lake.crawl()

    assert crawl["State"] == "FAILED"
    assert "ORC" in crawl["ErrorMessage"]


def test_a_crawl_into_a_database_that_is_gone_fails(lake: Lake) -> None:
    lake.put("t/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/", DatabaseName="gone")

    assert "EntityNotFoundException" in lake.crawl()["ErrorMessage"]


# -- events --------------------------------------------------------------------------------------


def test_crawls_emit_the_documented_events(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    emitted: list[tuple] = []
    monkeypatch.setattr(lake.aws.world, "emit_event", lambda account, region, *rest: emitted.append((account, *rest)))
    lake.put("t/p=1/a.csv", "id,x\n1,2\n3,4\n")
    lake.crawler("c", "t/")
    lake.crawl()
    lake.client("iam").delete_role_policy(RoleName="crawler", PolicyName="p")
    lake.crawl()

    crawls = [each for each in emitted if each[2] == "Glue Crawler State Change"]
    assert {(account, source) for account, source, *_ in crawls} == {(lake.account, "aws.glue")}
    started, succeeded, _, failed = [detail for *_, detail in crawls]
    assert (started["state"], started["crawlerName"], started["message"]) == ("Started", "c", "Crawler Started")
    assert (
        succeeded.items()
        >= {
            "accountId": lake.account,
            "crawlerName": "c",
            "state": "Succeeded",
            "message": "Crawler Succeeded",
            "runningTime (sec)": "0",
            "tablesCreated": "1",
            "tablesUpdated": "0",
            "tablesDeleted": "0",
            "partitionsCreated": "1",
            "partitionsUpdated": "0",
            "partitionsDeleted": "0",
            "warningMessage": "N/A",
        }.items()
    )
    assert (failed["state"], failed["message"]) == ("Failed", "Crawler Failed")
    assert "s3:ListBucket" in failed["errorMessage"]
