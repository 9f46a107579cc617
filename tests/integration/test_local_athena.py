"""Athena: queries on files of all formats, statements about the catalogue, executions, workgroups.

What Lake Formation lets a principal read is in test_local_athena_lake.py.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from athena_people import OPEN_CSV, SKIP, Person, new_bucket
from botocore.exceptions import ClientError

from local_aws.athena import athena_data
from local_aws.server import LocalAws

SHARED = Path(os.environ.get("TAGMESH_SHARED", "../shared"))
SEED = SHARED / "data/seed-sample/classicmodels/sales"
JSON = "org.openx.data.jsonserde.JsonSerDe"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
AVRO = "org.apache.hadoop.hive.serde2.avro.AvroSerDe"

_numbers = itertools.count(740_000_000_000)


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


# -- one account, IAM only -----------------------------------------------------------------------


@dataclass
class Desk:
    """An account whose administrator queries tables of files that a test puts down. IAM alone governs it."""

    person: Person
    bucket: str
    database: str = "db"

    def put(self, key: str, body: bytes | str) -> None:
        self.person.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def table(
        self,
        name: str,
        columns: dict[str, str],
        serde: str = OPEN_CSV,
        keys: dict[str, str] | None = None,
        serde_parameters: dict[str, str] | None = None,
        **parameters: str,
    ) -> None:
        shape = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": self.descriptor(name, columns, serde, serde_parameters),
            "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in (keys or {}).items()],
            "Parameters": parameters,
        }
        self.person.client("glue").create_table(DatabaseName=self.database, TableInput=shape)

    def descriptor(
        self, path: str, columns: dict[str, str], serde: str = OPEN_CSV, parameters: dict[str, str] | None = None
    ) -> dict:
        return {
            "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
            "Location": f"s3://{self.bucket}/{path}/",
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": parameters or {}},
        }

    def partition(self, table: str, columns: dict[str, str], *values: str, path: str = "") -> None:
        shape = {"Values": list(values), "StorageDescriptor": self.descriptor(path, columns)}
        glue = self.person.client("glue")
        glue.create_partition(DatabaseName=self.database, TableName=table, PartitionInput=shape)

    def query(self, sql: str, **options: Any) -> list[tuple]:
        return self.person.query(sql, self.database, **options)

    def failure(self, sql: str, **options: Any) -> str:
        return self.person.failure(sql, self.database, **options)


@pytest.fixture(scope="module")
def deskholder(aws_module: LocalAws) -> Person:
    person = Person(aws_module, str(next(_numbers)))
    results = new_bucket(person, f"results-{person.account}")
    person.client("athena").update_work_group(
        WorkGroup="primary",
        ConfigurationUpdates={"ResultConfigurationUpdates": {"OutputLocation": f"s3://{results}/out"}},
    )
    return person


@pytest.fixture
def desk(deskholder: Person) -> Iterator[Desk]:
    number = next(_numbers)
    desk = Desk(deskholder, new_bucket(deskholder, f"lake-{number}"), f"db{number}")
    deskholder.client("glue").create_database(DatabaseInput={"Name": desk.database})
    yield desk
    assert deskholder.aws.world.failures == []


def test_a_query_answers_with_header_rows_metadata_and_a_file(desk: Desk) -> None:
    desk.put("t/a.csv", 'id,name,price\n1,"a ""b"", c",2.5\n2,,\n')
    desk.table("t", {"id": "bigint", "name": "string", "price": "double"}, **SKIP)
    athena = desk.person.client("athena")

    query_id = desk.person.start("SELECT *, 1 + 1 FROM t ORDER BY id", desk.database)
    execution = desk.person.execution(query_id)
    results = athena.get_query_results(QueryExecutionId=query_id)

    assert desk.person.rows(query_id) == [
        ("id", "name", "price", "_col3"),
        ("1", 'a "b", c', "2.5", "2"),
        ("2", "", None, "2"),
    ]
    assert results["UpdateCount"] == 0
    described = results["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [column["Type"] for column in described] == ["bigint", "varchar", "double", "integer"]
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DML", "SELECT")
    assert execution["Statistics"]["DataScannedInBytes"] == 37
    assert execution["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"
    output = execution["ResultConfiguration"]["OutputLocation"]
    assert output == f"s3://results-{desk.person.account}/out/{query_id}.csv"
    bucket, _, key = output.removeprefix("s3://").partition("/")
    stored = desk.person.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert stored == '"id","name","price","_col3"\n"1","a ""b"", c","2.5","2"\n"2","",,"2"\n'


def test_results_come_by_page(desk: Desk) -> None:
    desk.put("t/a.csv", "".join(f"{number},x\n" for number in range(2500)))
    desk.table("t", {"id": "bigint", "name": "string"})
    athena = desk.person.client("athena")

    query_id = desk.person.start("SELECT id FROM t ORDER BY id", desk.database)
    desk.person.execution(query_id)
    first = athena.get_query_results(QueryExecutionId=query_id)

    assert len(first["ResultSet"]["Rows"]) == 1000
    rows = desk.person.rows(query_id)
    assert rows == [("id",), *((str(number),) for number in range(2500))]
    small = athena.get_query_results(QueryExecutionId=query_id, MaxResults=2)["ResultSet"]["Rows"]
    assert [row["Data"][0]["VarCharValue"] for row in small] == ["id", "0"]


def test_formats_and_their_awkward_files(desk: Desk) -> None:
    desk.put("csv/a.csv", 'id,name\r\n1,"two\nlines"\r\n2\r\n3,x,extra\r\n')
    desk.put("csv/b.csv.gz", gzip.compress("id,name\n4,ü\n".encode()))
    desk.put("csv/_hidden.csv", "id,name\n9,no\n")
    desk.put("csv/.tmp/c.csv", "id,name\n9,no\n")
    desk.put("csv/empty.csv", "")
    desk.table("csv", {"id": "bigint", "name": "string"}, **SKIP)
    desk.put("json/a.jsonl", '{"ID": 1, "who": {"Name": "a"}}\n{"id": "2", "tags": ["x"]}\n')
    desk.table("json", {"id": "bigint", "who": "struct<name:string>", "tags": "array<string>"}, JSON)
    desk.put("parquet/a.parquet", parquet(B=["x", None], a=pa.array([1, 2], pa.int32())))
    desk.put("parquet/b.parquet", parquet(a=pa.array([3], pa.int64())))
    desk.table("parquet", {"a": "bigint", "b": "string", "c": "double"}, PARQUET)
    sink = io.BytesIO()
    fields = [{"name": "Id", "type": "int"}, {"name": "v", "type": ["null", "string"]}]
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    fastavro.writer(sink, schema, [{"Id": 1, "v": None}, {"Id": 2, "v": "x"}], codec="snappy")
    desk.put("avro/a.avro", sink.getvalue())
    desk.table("avro", {"id": "int", "v": "string"}, AVRO)

    assert desk.query("SELECT * FROM csv ORDER BY id")[1:] == [("1", "two\nlines"), ("2", None), ("3", "x"), ("4", "ü")]
    assert desk.query("SELECT id, who.name, tags FROM json ORDER BY id")[1:] == [("1", "a", None), ("2", None, "[x]")]
    assert desk.query("SELECT * FROM parquet ORDER BY a")[1:] == [
        ("1", "x", None),
        ("2", None, None),
        ("3", None, None),
    ]
    assert desk.query("SELECT * FROM avro ORDER BY id")[1:] == [("1", None), ("2", "x")]
    assert desk.query("SELECT c.name, p.b FROM csv c JOIN parquet p ON p.a = c.id ORDER BY c.id")[1:] == [
        ("two\nlines", "x"),
        (None, None),
        ("x", None),
    ]


def test_a_file_that_changed_is_read_again(desk: Desk) -> None:
    desk.put("t/a.csv", "1,x\n")
    desk.table("t", {"id": "bigint", "name": "string"})
    assert desk.query("SELECT id FROM t")[1:] == [("1",)]

    desk.put("t/a.csv", "2,x\n")
    desk.put("t/b.csv", "3,x\n")

    assert desk.query("SELECT id FROM t ORDER BY 1")[1:] == [("2",), ("3",)]


def test_keys_with_any_character_and_locations_without_a_slash(desk: Desk) -> None:
    desk.put("t/a b+c%20ü/x=1 (2).csv", "1,x\n")
    desk.put("t2/other.csv", "9,x\n")
    desk.table("t", {"id": "bigint", "name": "string"})

    assert desk.query("SELECT id FROM t")[1:] == [("1",)]


def test_partitions_are_columns_and_only_the_wanted_ones_are_read(desk: Desk) -> None:
    columns = {"id": "bigint", "name": "string"}
    desk.table("t", columns, keys={"dt": "string", "n": "int"})
    for dt, n in (("2024-01-01", "1"), ("2024-01-02", "2"), ("__HIVE_DEFAULT_PARTITION__", "3")):
        desk.put(f"t/{dt}/{n}/a.csv", f"{n},x\n")
        desk.partition("t", columns, dt, n, path=f"t/{dt}/{n}")

    assert desk.query("SELECT * FROM t ORDER BY n") == [
        ("id", "name", "dt", "n"),
        ("1", "x", "2024-01-01", "1"),
        ("2", "x", "2024-01-02", "2"),
        ("3", "x", None, "3"),
    ]
    for condition, rows, scanned in (
        ("dt = '2024-01-02'", [("2",)], 4),
        ("n IN (1, 2) AND dt > '2024-01-01'", [("2",)], 4),
        ("n BETWEEN 2 AND 9 AND id > 2", [("3",)], 8),
        ("dt IS NULL", [("3",)], 4),
        ("id = 1 OR n = 2", [("1",), ("2",)], 12),
        ("n > 9", [], 0),
    ):
        query_id = desk.person.start(f"SELECT id FROM t WHERE {condition} ORDER BY id", desk.database)
        execution = desk.person.execution(query_id)
        assert desk.person.rows(query_id)[1:] == rows, condition
        assert execution["Statistics"]["DataScannedInBytes"] == scanned, condition
    assert desk.query("SELECT count(*) FROM t")[1:] == [("3",)]
    assert desk.query("SELECT dt, count(*) FROM t GROUP BY dt ORDER BY dt")[1:] == [
        ("2024-01-01", "1"),
        ("2024-01-02", "1"),
        (None, "1"),
    ]


def test_a_partition_of_another_type_is_a_mismatch_only_where_it_is_read(desk: Desk) -> None:
    desk.table("t", {"id": "bigint", "v": "bigint"}, keys={"p": "string"})
    desk.put("t/1/a.csv", "1,2\n")
    desk.partition("t", {"id": "bigint", "v": "string"}, "1", path="t/1")

    assert desk.query("SELECT id FROM t")[1:] == [("1",)]
    assert desk.failure("SELECT v FROM t").startswith("HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch")


def test_bad_data_fails_a_query_that_reads_it_and_no_other(desk: Desk) -> None:
    desk.put("t/a.csv", "secret,x\n")
    desk.table("t", {"id": "bigint", "name": "string"})
    desk.put("j/a.json", '[{"a": 1}]\n')
    desk.table("j", {"array": "array<struct<a:int>>"}, JSON)
    desk.table("none", {})

    assert desk.query("SELECT name FROM t")[1:] == [("x",)]
    assert desk.query("SELECT count(*) FROM t")[1:] == [("1",)]
    assert desk.query("SELECT * FROM t LIMIT 0") == [("id", "name")]
    reason = desk.failure("SELECT id FROM t")
    assert reason.startswith("HIVE_BAD_DATA: Error parsing a value of column id")
    assert "secret" not in reason
    assert desk.failure("SELECT * FROM j").startswith("HIVE_CURSOR_ERROR: Row is not a valid JSON Object")
    assert "no accessible columns" in desk.failure("SELECT * FROM none")


def test_errors_have_athenas_names_places_and_types(desk: Desk) -> None:
    desk.put("t/a.csv", "1,x\n")
    desk.table("t", {"id": "bigint", "name": "string"})
    database = desk.database

    for sql, reason, error_type in (
        ("SELECT nope FROM t", "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved or requester is not"
         " authorized to access requested resources", 1006),
        ("SELECT * FROM gone", f"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{database}.gone' does not exist",
         1301),
        ("SELECT * FROM gone.t", "SCHEMA_NOT_FOUND: line 1:15: Schema 'gone' does not exist", 1301),
        ("SELECT * FROM other.db.t", "CATALOG_NOT_FOUND: line 1:15: Catalog 'other' does not exist", 1006),
        ("SELECT id FROM t WHERE name = 1", "TYPE_MISMATCH: line 1:24: Cannot apply operator: varchar = integer", 1002),
        ("SELECT name, count(*) FROM t", "EXPRESSION_NOT_AGGREGATE: 'name' must be an aggregate expression", 1000),
        ("SELECT 1 / (id - id) FROM t", "DIVISION_BY_ZERO: Division by zero", 1001),
        ("SELECT cast(name AS bigint) FROM t", "INVALID_CAST_ARGUMENT: Cannot cast 'x' to BIGINT", 1100),
        ("CREATE TABLE x AS SELECT 1", "NOT_SUPPORTED: CREATE statements are not built in the local AWS, only queries,"
         " SHOW and DESCRIBE (local_aws/athena/athena_sql.py)", 1200),
        ("INSERT INTO t SELECT * FROM t", "NOT_SUPPORTED: INSERT statements", 1200),
        ("UNLOAD (SELECT 1) TO 's3://b/' WITH (format = 'PARQUET')", "NOT_SUPPORTED: UNLOAD statements", 1200),
        ("SELECT read_text('/etc/passwd')", "NOT_SUPPORTED: line 1:8: function read_text is unknown", 1200),
    ):  # fmt: skip
        status = desk.person.execution(desk.person.start(sql, database))["Status"]
        assert status["State"] == "FAILED", sql
        assert status["StateChangeReason"].startswith(reason)
        error = status["AthenaError"]
        assert (error["ErrorCategory"], error["ErrorType"], error["Retryable"]) == (2, error_type, False), sql


def test_what_does_not_parse_starts_no_query(desk: Desk) -> None:
    athena = desk.person.client("athena")

    with pytest.raises(athena.exceptions.InvalidRequestException, match="mismatched input") as caught:
        desk.person.start("SELEC 1")
    assert caught.value.response["AthenaErrorCode"] == "MALFORMED_QUERY"


def test_statements_about_the_catalogue(desk: Desk) -> None:
    desk.table("t", {"id": "bigint", "name": "string"}, keys={"dt": "string"})
    desk.table("u_1", {"id": "bigint"})
    desk.partition("t", {"id": "bigint"}, "2024", path="t/2024")
    athena = desk.person.client("athena")

    assert (desk.database,) in desk.query("SHOW DATABASES")
    assert desk.query(f"SHOW SCHEMAS LIKE '{desk.database}'") == [(desk.database,)]
    assert desk.query("SHOW TABLES") == [("t",), ("u_1",)]
    assert desk.query(f"SHOW TABLES IN {desk.database} 'u*'") == [("u_1",)]
    assert [row[0].strip() for row in desk.query("SHOW COLUMNS FROM t")] == ["id", "name", "dt"]
    assert desk.query("SHOW PARTITIONS t") == [("dt=2024",)]
    described = [row[0] for row in desk.query("DESCRIBE t")]
    assert described[0] == f"{'id':20}\t{'bigint':20}\t{'':20}"
    assert described[4] == "# Partition Information\t \t "
    assert len(described) == 8
    query_id = desk.person.start("DESCRIBE t", desk.database)
    execution = desk.person.execution(query_id)
    assert (execution["StatementType"], execution["SubstatementType"]) == ("UTILITY", "DESCRIBE_TABLE")
    assert execution["ResultConfiguration"]["OutputLocation"].endswith(".txt")
    with pytest.raises(athena.exceptions.InvalidRequestException, match="Entity Not Found"):
        desk.person.start("DESCRIBE nothere", desk.database)
    metadata = athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=desk.database, TableName="t")
    assert metadata["TableMetadata"]["Columns"] == [
        {"Name": "id", "Type": "bigint"},
        {"Name": "name", "Type": "string"},
    ]
    listed = athena.list_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=desk.database, Expression="u.*")
    assert [each["Name"] for each in listed["TableMetadataList"]] == ["u_1"]
    databases = athena.list_databases(CatalogName="AwsDataCatalog")["DatabaseList"]
    assert desk.database in [each["Name"] for each in databases]
    with pytest.raises(athena.exceptions.MetadataException):
        athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=desk.database, TableName="gone")
    with pytest.raises(athena.exceptions.InvalidRequestException):
        athena.get_data_catalog(Name="other")


def test_a_table_cannot_be_a_view_or_iceberg(desk: Desk) -> None:
    view: dict[str, Any] = {"Name": "v", "TableType": "VIRTUAL_VIEW"}
    view["StorageDescriptor"] = {"Columns": [{"Name": "id", "Type": "bigint"}]}
    desk.person.client("glue").create_table(DatabaseName=desk.database, TableInput=view)
    desk.table("i", {"id": "bigint"}, table_type="ICEBERG")

    assert desk.failure("SELECT * FROM v").startswith("NOT_SUPPORTED: line 1:15: a view is not built")
    assert desk.failure("SELECT * FROM i").startswith("NOT_SUPPORTED: line 1:15: an Iceberg table")


# -- executions and workgroups -------------------------------------------------------------------


def test_a_token_starts_one_query(desk: Desk) -> None:
    token = "t" * 32
    athena = desk.person.client("athena")

    first = desk.person.start("SELECT 1", ClientRequestToken=token)

    assert desk.person.start("SELECT 1", ClientRequestToken=token) == first
    with pytest.raises(athena.exceptions.InvalidRequestException, match="Idempotent parameters do not match"):
        desk.person.start("SELECT 2", ClientRequestToken=token)


def test_a_running_query_can_be_stopped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("t/a.csv", "1,x\n")
    desk.table("t", {"id": "bigint", "name": "string"})
    reading, go_on = threading.Event(), threading.Event()
    real = athena_data.Tables._listed

    def slow(self: Any, *arguments: Any) -> Any:
        reading.set()
        assert go_on.wait(20)
        return real(self, *arguments)

    monkeypatch.setattr(athena_data.Tables, "_listed", slow)
    athena = desk.person.client("athena")
    query_id = desk.person.start("SELECT * FROM t", desk.database)
    assert reading.wait(20)
    with pytest.raises(athena.exceptions.InvalidRequestException, match="Current state: RUNNING"):
        athena.get_query_results(QueryExecutionId=query_id)
    athena.stop_query_execution(QueryExecutionId=query_id)
    go_on.set()
    desk.person.aws.world.wait_idle(20)

    status = desk.person.execution(query_id)["Status"]
    assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", "Query cancelled by user")
    with pytest.raises(athena.exceptions.InvalidRequestException, match="Could not find results"):
        athena.get_query_results(QueryExecutionId=query_id)


def test_executions_are_found_listed_and_kept_apart(desk: Desk) -> None:
    athena = desk.person.client("athena")
    athena.create_work_group(
        Name=desk.database,
        Configuration={"ResultConfiguration": {"OutputLocation": f"s3://{desk.bucket}/out/"}},
    )
    ids = [desk.person.start(f"SELECT {number}", WorkGroup=desk.database) for number in range(3)]
    for query_id in ids:
        desk.person.execution(query_id)

    page = athena.list_query_executions(WorkGroup=desk.database, MaxResults=2)
    rest = athena.list_query_executions(WorkGroup=desk.database, NextToken=page["NextToken"])
    batch = athena.batch_get_query_execution(QueryExecutionIds=[ids[0], "gone"])

    assert page["QueryExecutionIds"] + rest["QueryExecutionIds"] == list(reversed(ids))
    assert [each["QueryExecutionId"] for each in batch["QueryExecutions"]] == [ids[0]]
    assert [each["QueryExecutionId"] for each in batch["UnprocessedQueryExecutionIds"]] == ["gone"]
    stranger = desk.person.aws.session(str(next(_numbers))).client("athena")
    with pytest.raises(ClientError, match="was not found"):
        stranger.get_query_execution(QueryExecutionId=ids[0])


def test_a_workgroup_says_where_results_go(desk: Desk) -> None:
    athena = desk.person.client("athena")
    athena.create_work_group(
        Name=f"strict{desk.database}",
        Description="d",
        Tags=[{"Key": "team", "Value": "x"}],
        Configuration={
            "EnforceWorkGroupConfiguration": True,
            "ResultConfiguration": {
                "OutputLocation": f"s3://{desk.bucket}/strict",
                "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
                "ExpectedBucketOwner": desk.person.account,
            },
        },
    )
    elsewhere = {"OutputLocation": f"s3://{desk.bucket}/mine"}

    strict = desk.person.execution(
        desk.person.start("SELECT 1", WorkGroup=f"strict{desk.database}", ResultConfiguration=elsewhere)
    )
    free = desk.person.execution(desk.person.start("SELECT 1", ResultConfiguration=elsewhere))

    assert strict["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{desk.bucket}/strict/")
    assert free["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{desk.bucket}/mine/")
    key = strict["ResultConfiguration"]["OutputLocation"].partition(f"{desk.bucket}/")[2]
    head = desk.person.client("s3").head_object(Bucket=desk.bucket, Key=key)
    assert head["ServerSideEncryption"] == "AES256"
    group = athena.get_work_group(WorkGroup=f"strict{desk.database}")["WorkGroup"]
    assert (group["State"], group["Description"]) == ("ENABLED", "d")
    arn = f"arn:aws:athena:eu-west-1:{desk.person.account}:workgroup/strict{desk.database}"
    assert athena.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "x"}]


def test_workgroups_are_changed_disabled_and_deleted(desk: Desk) -> None:
    athena = desk.person.client("athena")
    name = f"g{desk.database}"
    athena.create_work_group(Name=name, Configuration={"BytesScannedCutoffPerQuery": 10_000_000})
    invalid = athena.exceptions.InvalidRequestException

    with pytest.raises(invalid, match="No output location provided"):
        desk.person.start("SELECT 1", WorkGroup=name)
    with pytest.raises(invalid, match="already exists"):
        athena.create_work_group(Name=name)
    updates = {"ResultConfigurationUpdates": {"OutputLocation": f"s3://{desk.bucket}/x"}}
    athena.update_work_group(WorkGroup=name, ConfigurationUpdates=updates)
    desk.person.query("SELECT 1", WorkGroup=name)
    athena.update_work_group(WorkGroup=name, State="DISABLED")
    with pytest.raises(invalid, match="disabled"):
        desk.person.start("SELECT 1", WorkGroup=name)
    with pytest.raises(invalid, match="not empty"):
        athena.delete_work_group(WorkGroup=name)
    athena.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)
    with pytest.raises(invalid, match="WorkGroup is not found"):
        athena.get_work_group(WorkGroup=name)
    with pytest.raises(invalid, match="WorkGroup is not found"):
        desk.person.start("SELECT 1", WorkGroup=name)
    assert name not in [group["Name"] for group in athena.list_work_groups()["WorkGroups"]]


def test_a_query_beyond_the_cutoff_is_cancelled(desk: Desk) -> None:
    athena = desk.person.client("athena")
    limits = {
        "BytesScannedCutoffPerQuery": 10_000_000,
        "ResultConfiguration": {"OutputLocation": f"s3://{desk.bucket}/out"},
    }
    athena.create_work_group(Name=f"c{desk.database}", Configuration=limits)
    desk.put("t/a.csv", b"1,x\n" * 2_600_000)
    desk.table("t", {"id": "bigint", "name": "string"})

    query_id = desk.person.start("SELECT count(*) FROM t", desk.database, WorkGroup=f"c{desk.database}")

    status = desk.person.execution(query_id)["Status"]
    assert status["State"] == "CANCELLED"
    assert "Bytes scanned limit was exceeded" in status["StateChangeReason"]


@pytest.mark.parametrize(
    "options",
    [
        {"ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": True}}},
        {"ExecutionParameters": ["1"]},
    ],
)
def test_what_is_not_built_is_refused(desk: Desk, options: dict) -> None:
    with pytest.raises(ClientError) as caught:
        desk.person.start("SELECT 1", **options)
    assert caught.value.response["Error"]["Code"] == "LocalAwsNotSupported"


def test_output_must_be_a_bucket_that_is_there(desk: Desk) -> None:
    invalid = desk.person.client("athena").exceptions.InvalidRequestException

    with pytest.raises(invalid, match="Unable to verify/create output bucket gone-for-good"):
        desk.person.start("SELECT 1", ResultConfiguration={"OutputLocation": "s3://gone-for-good/"})
    with pytest.raises(invalid, match="not a valid S3 path"):
        desk.person.start("SELECT 1", ResultConfiguration={"OutputLocation": "/tmp/x"})


@pytest.mark.skipif(not SEED.is_dir(), reason=f"needs {SEED}: set TAGMESH_SHARED")
def test_the_seed_sample_can_be_queried(desk: Desk) -> None:
    for file in SEED.glob("*/*.csv"):
        desk.put(f"{file.parent.name}/{file.name}", file.read_bytes())
    desk.table("products", dict.fromkeys("abcdefghi", "string") | {"i": "double"}, **SKIP)
    customers = ("number", "name", "last", "first", "phone", "a1", "a2", "city", "state", "zip", "country", "rep")
    desk.table("customers", dict.fromkeys(customers, "string") | {"credit": "double"}, **SKIP)

    assert desk.query("SELECT count(*), count(DISTINCT c), round(max(i), 2) FROM products")[1:] == [
        ("110", "7", "214.3")
    ]
    assert desk.query("SELECT name, a1 FROM customers WHERE number = '103'")[1:] == [
        ("Atelier graphique", "54, rue Royale")
    ]
