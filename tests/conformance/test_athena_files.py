"""Athena reads the files that there are: which of them, in which format, and what does not fit."""

import gzip
import io

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from athena_desk import JSON, OPEN_CSV, desk

SKIP = {"skip.header.line.count": "1"}
TWO = {"id": "bigint", "name": "string"}
NULL = None


@pytest.fixture(scope="module")
def here(lab):
    return desk(lab)


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def avro(fields, rows, codec="snappy"):
    sink = io.BytesIO()
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    fastavro.writer(sink, schema, rows, codec=codec)
    return sink.getvalue()


# -- CSV ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("athena-files.csv-position")
def test_csv_columns_are_matched_by_position_whatever_the_header_says(here):
    files = {"1.csv": "id,name\n1,x\n", "2.csv": "name,id\n7,y\n"}
    table = here.table(TWO, OPEN_CSV, files=files, **SKIP)
    assert here.rows(f"SELECT * FROM {table} ORDER BY id") == [("1", "x"), ("7", "y")]


@pytest.mark.statement("athena-files.limit-zero")
def test_limit_zero_gives_the_columns_and_opens_no_file(here):
    table = here.table(TWO, OPEN_CSV, files={"1.csv": "no number,x\n"})
    execution = here.run(f"SELECT * FROM {table} LIMIT 0")
    assert here.all_rows(execution["QueryExecutionId"]) == [("id", "name")]
    assert execution["Statistics"]["DataScannedInBytes"] == 0
    assert here.rows(f"SELECT name FROM {table} LIMIT 1") == [("x",)]


# -- which files --------------------------------------------------------------------------------------------------


@pytest.mark.statement("athena-files.folder")
def test_all_files_below_the_location_are_read_but_hidden_ones(here):
    files = {
        "1.csv": "1,x\n",
        "deep/er/2.csv": "2,x\n",
        "a b+c%20ü=1 (2).csv": "3,x\n",
        "packed.csv.gz": gzip.compress(b"4,x\n"),
        "_hidden.csv": "9,x\n",
        ".tmp/c.csv": "9,x\n",
        "empty.csv": "",
    }
    table = here.table(TWO, files=files)
    here.put(f"{table}2/other.csv", "9,x\n")
    assert here.rows(f"SELECT id FROM {table} ORDER BY id") == [("1",), ("2",), ("3",), ("4",)]


@pytest.mark.statement("athena-files.fresh")
def test_a_query_reads_the_files_as_they_are_now(here):
    table = here.table(TWO, files={"1.csv": "1,x\n"})
    assert here.rows(f"SELECT id FROM {table}") == [("1",)]
    here.put(f"{table}/1.csv", "2,x\n")
    here.put(f"{table}/2.csv", "3,x\n")
    assert here.rows(f"SELECT id FROM {table} ORDER BY 1") == [("2",), ("3",)]
    here.client("s3").delete_object(Bucket=here.bucket, Key=f"{table}/2.csv")
    assert here.rows(f"SELECT id, name FROM {table}") == [("2", "x")]


@pytest.mark.statement("athena-files.scanned")
def test_the_bytes_scanned_are_those_of_the_files_read(here):
    table = here.table(TWO, files={"1.csv": "1,x\n", "2.csv": "20,yy\n"})
    assert here.scanned(f"SELECT id FROM {table}") == 10
    assert here.scanned("SELECT 1") == 0


@pytest.mark.statement("athena-files.locations")
def test_a_location_must_be_a_bucket_that_is_there(here):
    glue, table = here.client("glue"), here.table(TWO)
    descriptor = here.descriptor(table, TWO)
    for location, reason in (
        (f"s3://{here.bucket}-gone/x/", "HIVE_FILESYSTEM_ERROR: The specified bucket does not exist"),
        ("hdfs://somewhere/x/", "HIVE_UNSUPPORTED_FORMAT"),
    ):
        shape = {"Name": table, "StorageDescriptor": {**descriptor, "Location": location}}
        glue.update_table(DatabaseName=here.database, TableInput=shape)
        assert here.reason(f"SELECT id FROM {table}").startswith(reason)


@pytest.mark.statement("athena-files.no-serde")
def test_a_table_without_a_serde_cannot_be_read(here):
    glue, table = here.client("glue"), here.table(TWO, files={"1.csv": "1,x\n"})
    descriptor = {**here.descriptor(table, TWO), "SerdeInfo": {}}
    glue.update_table(DatabaseName=here.database, TableInput={"Name": table, "StorageDescriptor": descriptor})
    assert here.reason(f"SELECT id FROM {table}").startswith("HIVE_UNSUPPORTED_FORMAT: Unable to create input format")


@pytest.mark.statement("athena-files.not-built")
@pytest.mark.local_only("these can be read on AWS")
def test_tables_of_other_kinds_and_formats_are_refused_loudly(here):
    glue = here.client("glue")
    view = {"Name": here.lab.name("v"), "TableType": "VIRTUAL_VIEW", "StorageDescriptor": {"Columns": [{"Name": "a"}]}}
    glue.create_table(DatabaseName=here.database, TableInput=view)
    iceberg = here.table(TWO, files={"1.csv": "1,x\n"}, table_type="iceberg")
    projected = here.table(TWO, files={"1.csv": "1,x\n"}, **{"projection.enabled": "true"})
    orc = here.table(TWO, "org.apache.hadoop.hive.ql.io.orc.OrcSerde", files={"1": "ORC"})
    odd = here.table({"id": "bigint", "x": "uniontype<int,string>"}, files={"1.csv": "1,x\n"})
    nested = here.table({"x": "array<int>"}, files={"1.csv": "1\n"})
    dotted = here.table({"a_b": "int"}, JSON, files={"1": '{"a.b":1}'}, serde_parameters={"dots.in.keys": "TRUE"})
    cased = here.table({"a": "int"}, JSON, files={"1": '{"A":1}'}, serde_parameters={"case.insensitive": "FALSE"})
    for table, reason in (
        (dotted, "dots.in.keys"),
        (cased, "case.insensitive"),
        (view["Name"], "a view is not built"),
        (iceberg, "an Iceberg table is not built"),
        (projected, "partition projection is not built"),
        (orc, "does not read the SerDe org.apache.hadoop.hive.ql.io.orc.OrcSerde"),
        (odd, "uniontype"),
        (nested, "a CSV column of type"),
    ):
        failed = here.reason(f"SELECT * FROM {table}")
        assert failed.startswith("NOT_SUPPORTED: ")
        assert reason in failed
    assert here.rows(f"SELECT id FROM {odd}") == [("1",)]


@pytest.mark.statement("athena-files.location-without-serde")
@pytest.mark.local_only("the order of these refusals is ours")
def test_a_table_with_only_one_of_location_and_serde_is_no_view(here):
    glue = here.client("glue")
    for kept in ("Location", "SerdeInfo"):
        name = here.lab.name("t")
        descriptor = here.descriptor(name, TWO)
        shape = {"Name": name, "StorageDescriptor": {"Columns": descriptor["Columns"], kept: descriptor[kept]}}
        glue.create_table(DatabaseName=here.database, TableInput=shape)
        assert here.reason(f"SELECT id FROM {name}").startswith("HIVE_UNSUPPORTED_FORMAT")


# -- partitions ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def days(here):
    table = here.table(TWO, keys={"dt": "string", "n": "int"})
    for dt, n in (("2024-01-01", "1"), ("2024-01-02", "2"), ("__HIVE_DEFAULT_PARTITION__", "3")):
        here.partition(table, [dt, n], TWO, f"{n},x\n")
    here.put(f"{table}/2024-01-09/4/1.csv", "9,x\n")
    return table


@pytest.mark.statement("athena-files.partition-keys")
def test_partition_keys_are_columns_and_only_catalogued_partitions_are_read(here, days):
    header, *rows = here.all_rows(here.run(f"SELECT * FROM {days} ORDER BY n")["QueryExecutionId"])
    assert header == ("id", "name", "dt", "n")
    assert rows == [("1", "x", "2024-01-01", "1"), ("2", "x", "2024-01-02", "2"), ("3", "x", NULL, "3")]
    assert here.rows(f"SELECT count(*) FROM {days}") == [("3",)]
    assert here.rows(f"SELECT dt, count(*) FROM {days} GROUP BY dt ORDER BY dt")[-1] == (NULL, "1")


PRUNED = [
    ("dt = '2024-01-02'", ["2"], 4),
    ("n IN (1, 2) AND dt > '2024-01-01'", ["2"], 4),
    ("n BETWEEN 2 AND 9 AND id > 2", ["3"], 8),
    ("dt IS NULL", ["3"], 4),
    ("n = 1 OR n = 2", ["1", "2"], 8),
    ("id = 1 OR n = 2", ["1", "2"], 12),
    ("n = id", ["1", "2", "3"], 12),
    ("n = (SELECT 2)", ["2"], 12),
    ("n > 9", [], 0),
]


@pytest.mark.statement("athena-files.pruning")
def test_only_the_partitions_that_the_query_asks_for_are_read(here, days):
    found = []
    for condition, _, _ in PRUNED:
        execution = here.run(f"SELECT id FROM {days} WHERE {condition} ORDER BY id")
        rows = [row[0] for row in here.all_rows(execution["QueryExecutionId"])[1:]]
        found.append((condition, rows, execution["Statistics"]["DataScannedInBytes"]))
    assert found == PRUNED
    assert (
        here.scanned(f"SELECT a.id FROM {days} a JOIN {days} b ON a.n = b.n WHERE a.n = 1 AND b.dt IS NOT NULL") == 12
    )
    assert here.scanned(f"SELECT x.n FROM (SELECT n FROM {days} WHERE n = 1) AS x WHERE x.n = 1") == 4


@pytest.mark.statement("athena-files.pruning-outer")
def test_a_condition_beside_an_outer_join_leaves_no_row_out(here, days):
    sql = f"SELECT v.x FROM (VALUES 1, 7) AS v(x) LEFT JOIN {days} t ON t.n = v.x WHERE t.n IS NULL"
    assert here.rows(sql) == [("7",)]


@pytest.mark.statement("athena-files.partition-schema")
def test_a_partition_of_another_type_is_a_mismatch_only_where_it_is_read(here):
    table = here.table({"id": "bigint", "v": "bigint"}, keys={"p": "string"})
    here.partition(table, ["1"], {"id": "int", "v": "string"}, "1,2\n")
    assert here.rows(f"SELECT id FROM {table}") == [("1",)]
    status = here.failed(f"SELECT v FROM {table}")
    assert status["StateChangeReason"].startswith("HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch")
    assert "partition 'p=1' declared column 'v' as type 'string'" in status["StateChangeReason"]


@pytest.mark.statement("athena-files.partition-value")
def test_a_partition_whose_value_is_none_of_its_keys_type_fails(here):
    table = here.table({"id": "bigint"}, keys={"p": "int"})
    here.partition(table, ["x"], {"id": "bigint"}, "1\n")
    assert here.reason(f"SELECT p FROM {table}").startswith("HIVE_INVALID_PARTITION_VALUE")
    assert here.rows(f"SELECT id FROM {table}") == [("1",)]
