"""A desk at Athena: an account's bucket, database and workgroup, and short ways to put files down and ask."""

from __future__ import annotations

import time
from typing import Any

from lab import Lab, Role, Who

OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
LAZY_SIMPLE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
JSON = "org.openx.data.jsonserde.JsonSerDe"
HIVE_JSON = "org.apache.hive.hcatalog.data.JsonSerDe"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
AVRO = "org.apache.hadoop.hive.serde2.avro.AvroSerDe"
TEXT_FORMATS = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
}
FORMATS = {
    PARQUET: {
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    },
    AVRO: {
        "InputFormat": "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    },
}
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
PATIENCE = 60
RESULTS = ("s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:AbortMultipartUpload")
"""What a caller needs on the bucket where results go."""


class Desk:
    """Somebody's place at Athena. What it makes is taken away with the lab."""

    def __init__(self, lab: Lab, who: Who, bucket: str, database: str, workgroup: str) -> None:
        self.lab, self.who, self.bucket, self.database, self.workgroup = lab, who, bucket, database, workgroup

    def client(self, service: str = "athena") -> Any:
        return self.lab.client(service, self.who)

    def of(self, who: Who) -> Desk:
        """The same place, with somebody else at it."""
        return Desk(self.lab, who, self.bucket, self.database, self.workgroup)

    # -- tables ---------------------------------------------------------------------------------------------------

    def put(self, key: str, body: bytes | str) -> None:
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def table(
        self,
        columns: dict[str, str],
        serde: str = LAZY_SIMPLE,
        *,
        files: dict[str, bytes | str] | None = None,
        name: str | None = None,
        keys: dict[str, str] | None = None,
        serde_parameters: dict[str, str] | None = None,
        **parameters: str,
    ) -> str:
        """The name of a new table, which is also the folder of its files."""
        name = name or self.lab.name("t")
        for file, body in (files or {}).items():
            self.put(f"{name}/{file}", body)
        glue = self.client("glue")
        shape = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": self.descriptor(name, columns, serde, serde_parameters),
            "PartitionKeys": _columns(keys or {}),
            "Parameters": parameters,
        }
        glue.create_table(DatabaseName=self.database, TableInput=shape)
        self.lab.at_end(glue.delete_table, DatabaseName=self.database, Name=name)
        return name

    def descriptor(
        self, folder: str, columns: dict[str, str], serde: str = LAZY_SIMPLE, parameters: dict[str, str] | None = None
    ) -> dict:
        if parameters is None:
            parameters = {"field.delim": ","} if serde == LAZY_SIMPLE else {}
        return {
            "Columns": _columns(columns),
            "Location": f"s3://{self.bucket}/{folder}/",
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": parameters},
            **FORMATS.get(serde, TEXT_FORMATS),
        }

    def partition(self, table: str, values: list[str], columns: dict[str, str], body: str | None = None) -> None:
        """A partition of a table in the folder of its values."""
        folder = "/".join([table, *values])
        if body is not None:
            self.put(f"{folder}/1.csv", body)
        shape = {"Values": values, "StorageDescriptor": self.descriptor(folder, columns)}
        self.client("glue").create_partition(DatabaseName=self.database, TableName=table, PartitionInput=shape)

    # -- queries --------------------------------------------------------------------------------------------------

    def start(self, sql: str, **options: Any) -> str:
        given = {"WorkGroup": self.workgroup, "QueryExecutionContext": {"Database": self.database}, **options}
        return self.client().start_query_execution(QueryString=sql, **given)["QueryExecutionId"]

    def ended(self, query_id: str) -> dict:
        """The execution, once it has ended."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.client().get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if found["Status"]["State"] in ENDED:
                return found
            time.sleep(0.003 if self.lab.is_local else 0.5)
        raise TimeoutError(query_id)

    def run(self, sql: str, **options: Any) -> dict:
        """The execution of a query that succeeded."""
        execution = self.ended(self.start(sql, **options))
        assert execution["Status"]["State"] == "SUCCEEDED", (sql, execution["Status"])
        return execution

    def all_rows(self, query_id: str) -> list[tuple]:
        """What GetQueryResults gives, page by page; of a SELECT the header comes first."""
        pages = self.client().get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
        cells = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
        return [tuple(cell.get("VarCharValue") for cell in row) for row in cells]

    def rows(self, sql: str, **options: Any) -> list[tuple]:
        """The rows of a SELECT, without their header."""
        return self.all_rows(self.run(sql, **options)["QueryExecutionId"])[1:]

    def lines(self, statement: str, **options: Any) -> list[str]:
        """The lines that a SHOW or DESCRIBE gives."""
        return [row[0] for row in self.all_rows(self.run(statement, **options)["QueryExecutionId"])]

    def scanned(self, sql: str) -> int:
        return self.run(sql)["Statistics"]["DataScannedInBytes"]

    def failed(self, sql: str, **options: Any) -> dict:
        """The status of a query that failed."""
        status = self.ended(self.start(sql, **options))["Status"]
        assert status["State"] == "FAILED", (sql, status)
        return status

    def reason(self, sql: str, **options: Any) -> str:
        """Why a query failed."""
        return self.failed(sql, **options)["StateChangeReason"]


def _columns(given: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Type": kind} for name, kind in given.items()]


def desk(lab: Lab, who: Who = "producer", **configuration: Any) -> Desk:
    """A new desk of an account's administrator, or of a role of it. `configuration` is the workgroup's."""
    part = who.account if isinstance(who, Role) else who
    bucket = lab.bucket(part)
    database = lab.database(part, "desk")
    group = workgroup(lab, part, bucket, **configuration)
    return Desk(lab, who, bucket, database, group)


def workgroup(lab: Lab, part: str, bucket: str | None, **configuration: Any) -> str:
    """The name of a new workgroup, whose results go to a bucket."""
    athena, name = lab.client("athena", part), lab.name("desk", "-")
    if bucket and "ResultConfiguration" not in configuration:
        configuration["ResultConfiguration"] = {"OutputLocation": f"s3://{bucket}/results/"}
    athena.create_work_group(Name=name, Configuration=configuration)
    lab.at_end(athena.delete_work_group, WorkGroup=name, RecursiveDeleteOption=True)
    return name
