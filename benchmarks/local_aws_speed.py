"""What the local AWS costs: its start, a call, many accounts and tables, many clients at once, and the whole chain.

Each figure is printed beside what is wanted of it. `--only calls` runs one part.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from botocore.exceptions import ClientError

from cli import local
from cli.athena_client import QueryRefused, query
from local_aws.sessions import LocalSession

ROOT = Path(__file__).parents[1]
REGION = "eu-west-1"
CENTRAL, CONSUMER = "555555555555", "333333333333"
MB = 1024


@dataclass(frozen=True)
class Server:
    """A local AWS in a process of its own."""

    process: subprocess.Popen
    endpoint: str
    started: float
    """Seconds from nothing to the first answer."""

    def client(self, service: str, account: str) -> Any:
        return client(self.endpoint, service, account)

    def memory(self) -> tuple[float, float]:
        """Resident memory now and at its peak, in MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("utf-8").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) / MB for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return sizes["VmRSS"], sizes["VmHWM"]


def client(endpoint: str, service: str, account: str) -> Any:
    session = LocalSession(
        endpoint,
        aws_access_key_id=f"LOCALADMIN{account}",
        aws_secret_access_key="local",
        region_name=REGION,
    )
    return session.client(service)


@contextmanager
def server() -> Iterator[Server]:
    """A fresh local AWS."""
    port = free_port()
    with tempfile.TemporaryDirectory() as state:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "local_aws", "--port", str(port), "--state-dir", state],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        try:
            endpoint = f"http://127.0.0.1:{port}"
            while not answers(endpoint):
                if process.poll() is not None:
                    raise SystemExit("the local AWS ended while starting")
                time.sleep(0.01)
            yield Server(process, endpoint, time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(endpoint: str) -> bool:
    try:
        return requests.get(f"{endpoint}/_local/health", timeout=2).ok
    except requests.RequestException:
        return False


def say(what: str, figure: str, wanted: str = "") -> None:
    print(f"{what:<58}{figure:>14}   {wanted}", flush=True)


# -- start and calls -------------------------------------------------------------------------------------------------


def bench_start() -> None:
    """From nothing to the first answer, byte code written."""
    times = []
    for _ in range(6):
        with server() as aws:
            times.append(aws.started)
            memory, _ = aws.memory()
    say("start, median of 5", f"{statistics.median(times[1:]):.2f} s", "under 3 s")
    say("memory of an empty one", f"{memory:.0f} MiB")


def bench_calls() -> None:
    """Each call 200 times in a row by boto3, over HTTP, one after the other."""
    with server() as aws:
        medians = []
        for name, call in CALLS(aws):
            call()
            times = []
            for _ in range(200):
                began = time.perf_counter()
                call()
                times.append((time.perf_counter() - began) * 1000)
            if " and " in name:  # three calls
                times = [each / 3 for each in times]
            medians.append(statistics.median(times))
            say(f"{name}, median of 200", f"{medians[-1]:.2f} ms", f"95th percentile {sorted(times)[189]:.2f} ms")
        say("a call, median of the medians", f"{statistics.median(medians):.2f} ms", "at most 5 ms")


def CALLS(aws: Server) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is called: the calls that a mesh makes most, each on something that is there."""
    numbers = itertools.count()
    s3, dynamodb, sqs = (aws.client(name, CENTRAL) for name in ("s3", "dynamodb", "sqs"))
    glue, lake, events = (aws.client(name, CENTRAL) for name in ("glue", "lakeformation", "events"))
    s3.create_bucket(Bucket="bench", CreateBucketConfiguration={"LocationConstraint": REGION})
    make_dynamodb_table(dynamodb)
    queue = sqs.create_queue(QueueName="bench")["QueueUrl"]
    make_lake(glue, lake, tables=20)
    table = {"Table": {"DatabaseName": "db0", "Name": "t0"}}
    columns = {"TableWithColumns": {"DatabaseName": "db0", "Name": "t0", "ColumnNames": ["c1", "c2"]}}
    yield "s3 PutObject", lambda: s3.put_object(Bucket="bench", Key=f"k{next(numbers) % 50}", Body=b"x" * 1000)
    yield "s3 GetObject", lambda: s3.get_object(Bucket="bench", Key="k0")["Body"].read()
    yield "s3 ListObjectsV2", lambda: s3.list_objects_v2(Bucket="bench", MaxKeys=100)
    yield "dynamodb UpdateItem", lambda: add_one(dynamodb)
    yield "sqs SendMessage, ReceiveMessage and DeleteMessage", lambda: pass_message(sqs, queue)
    yield "glue GetTable", lambda: glue.get_table(DatabaseName="db0", Name="t0")
    yield "glue GetTables (20)", lambda: glue.get_tables(DatabaseName="db0")
    yield (
        "lakeformation AddLFTagsToResource (2 columns)",
        lambda: lake.add_lf_tags_to_resource(Resource=columns, LFTags=[{"TagKey": "pii", "TagValues": ["none"]}]),
    )
    yield "lakeformation GetResourceLFTags", lambda: lake.get_resource_lf_tags(Resource=table)
    yield "lakeformation ListPermissions", lambda: lake.list_permissions(ResourceType="TABLE", Resource=table)
    yield (
        "lakeformation SearchTablesByLFTags",
        lambda: lake.search_tables_by_lf_tags(Expression=[{"TagKey": "pii", "TagValues": ["none"]}], MaxResults=100),
    )
    yield (
        "events PutEvents",
        lambda: events.put_events(Entries=[{"Source": "bench", "DetailType": "d", "Detail": "{}"}]),
    )
    yield "sts GetCallerIdentity", aws.client("sts", CENTRAL).get_caller_identity


def pass_message(sqs: Any, queue: str) -> None:
    """Three calls, so that the queue stays as short as a mesh's queues are."""
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    for message in sqs.receive_message(QueueUrl=queue)["Messages"]:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def make_dynamodb_table(dynamodb: Any) -> None:
    dynamodb.create_table(
        TableName="bench",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def add_one(dynamodb: Any, item: str = "n") -> None:
    dynamodb.update_item(
        TableName="bench",
        Key={"id": {"S": item}},
        UpdateExpression="ADD #c :one",
        ExpressionAttributeNames={"#c": "count"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def make_lake(glue: Any, lake: Any, tables: int, columns: int = 20, database: str = "db0") -> None:
    """A governed account with one LF-Tag, one tagged database and some tables."""
    me = "arn:aws:iam::{}:user/admin"
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    account = lake._request_signer._credentials.access_key[-12:]
    settings |= {
        "DataLakeAdmins": [{"DataLakePrincipalIdentifier": me.format(account)}],
        "CreateDatabaseDefaultPermissions": [],
        "CreateTableDefaultPermissions": [],
    }
    lake.put_data_lake_settings(DataLakeSettings=settings)
    lake.create_lf_tag(TagKey="pii", TagValues=["none", "contact", "unknown"])
    glue.create_database(DatabaseInput={"Name": database})
    for n in range(tables):
        glue.create_table(
            DatabaseName=database,
            TableInput={
                "Name": f"t{n}",
                "StorageDescriptor": {
                    "Location": f"s3://bench/{database}/t{n}/",
                    "Columns": [{"Name": f"c{c}", "Type": "string"} for c in range(columns)],
                },
            },
        )
    unknown = [{"TagKey": "pii", "TagValues": ["unknown"]}]
    lake.add_lf_tags_to_resource(Resource={"Database": {"Name": database}}, LFTags=unknown)


# -- many accounts, many clients -------------------------------------------------------------------------------------


def bench_size(accounts: int = 200, tables: int = 50) -> None:
    """200 accounts with 50 tables of 20 columns each, one of which has a tag of its own."""
    with server() as aws:
        empty, _ = aws.memory()

        def fill(number: int) -> None:
            account = str(100_000_000_000 + number)
            glue, lake = aws.client("glue", account), aws.client("lakeformation", account)
            make_lake(glue, lake, tables)
            for n in range(tables):
                column = {"TableWithColumns": {"DatabaseName": "db0", "Name": f"t{n}", "ColumnNames": ["c1"]}}
                lake.add_lf_tags_to_resource(Resource=column, LFTags=[{"TagKey": "pii", "TagValues": ["none"]}])

        began = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fill, range(accounts)))
        seconds = time.perf_counter() - began
        full, peak = aws.memory()
        calls = accounts * (2 * tables + 5)
        say(
            f"{accounts} accounts, {accounts * tables} tables: memory",
            f"{full:.0f} MiB",
            f"under 2048; empty {empty:.0f}",
        )
        say("  at its peak", f"{peak:.0f} MiB")
        say(f"  {calls} calls to make them, 4 clients", f"{seconds:.0f} s", f"{calls / seconds:.0f} calls/s")
        glue = aws.client("glue", "100000000000")
        times = []
        for _ in range(100):
            began = time.perf_counter()
            glue.get_table(DatabaseName="db0", Name="t1")
            times.append((time.perf_counter() - began) * 1000)
        say("  glue GetTable then, median of 100", f"{statistics.median(times):.2f} ms", "at most 5 ms")


def bench_parallel(writes: int = 10_000, clients: int = 8) -> None:
    """Writes of several clients to one thing each: none may be lost."""
    with server() as aws:
        dynamodb = aws.client("dynamodb", CENTRAL)
        make_dynamodb_table(dynamodb)
        each = writes // clients

        def add_many(_: int) -> None:
            mine = aws.client("dynamodb", CENTRAL)
            for _ in range(each):
                add_one(mine)

        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(add_many, range(clients)))
        seconds = time.perf_counter() - began
        kept = int(dynamodb.get_item(TableName="bench", Key={"id": {"S": "n"}})["Item"]["count"]["N"])
        lost = each * clients - kept
        say(
            f"{each * clients} parallel UpdateItem of {clients} clients: lost",
            str(lost),
            f"0; {writes / seconds:.0f}/s",
        )

        make_lake(aws.client("glue", CENTRAL), aws.client("lakeformation", CENTRAL), 1, columns=200)

        def tag_columns(worker: int) -> None:
            mine = aws.client("lakeformation", CENTRAL)
            for column in range(worker, 200, clients):
                resource = {"TableWithColumns": {"DatabaseName": "db0", "Name": "t0", "ColumnNames": [f"c{column}"]}}
                mine.add_lf_tags_to_resource(Resource=resource, LFTags=[{"TagKey": "pii", "TagValues": ["none"]}])

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(tag_columns, range(clients)))
        tagged = aws.client("lakeformation", CENTRAL).get_resource_lf_tags(
            Resource={"Table": {"DatabaseName": "db0", "Name": "t0"}}
        )
        mine = [c for c in tagged["LFTagsOnColumns"] if {"none"} == {t["TagValues"][0] for t in c["LFTags"]}]
        say(f"200 columns tagged by {clients} clients at once: lost", str(200 - len(mine)), "0")
        if lost or len(mine) != 200:
            raise SystemExit("writes were lost")


# -- the chain -------------------------------------------------------------------------------------------------------


def bench_chain(files: int = 5) -> None:
    """On the sample mesh, deployed: from an upload into a new folder until an analyst's query of it succeeds."""
    port = free_port()
    subprocess.run([sys.executable, "-m", "cli.main", "demo", "--port", str(port), "--keep"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        running = local.find(port)
        s3 = client(running.endpoint, "s3", "111111111111")
        athena = analyst(running.endpoint).client("athena")
        times = []
        for n in range(files):
            key = f"orders/late_products_{n}/products.csv"
            body = (ROOT / "sample_data/sales/orders/products/products.csv").read_bytes()
            began = time.perf_counter()
            s3.put_object(Bucket="sales-raw-111111111111", Key=key, Body=body)
            while not selects(athena, f"SELECT * FROM late_products_{n} LIMIT 1"):
                if time.perf_counter() - began > 60:
                    raise SystemExit(f"no analyst could query {key} after 60 s")
                time.sleep(0.1)
            times.append(time.perf_counter() - began)
            local.tell(running, "POST", "idle", {"timeout": 60}, timeout=70)
        say(
            f"from an upload to a query that answers, median of {files}",
            f"{statistics.median(times):.2f} s",
            "under 5 s",
        )
        say("  the slowest", f"{max(times):.2f} s")
    finally:
        local.down(port)


def selects(athena: Any, sql: str) -> bool:
    try:
        return bool(query(athena, sql, "sales_orders").columns)
    except (QueryRefused, ClientError):
        return False


def analyst(endpoint: str) -> LocalSession:
    """The Analyst role of the analytics account."""
    given = client(endpoint, "sts", CONSUMER).assume_role(
        RoleArn=f"arn:aws:iam::{CONSUMER}:role/Analyst", RoleSessionName="bench"
    )["Credentials"]
    return LocalSession(
        endpoint,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=REGION,
    )


PARTS = {
    "start": bench_start,
    "calls": bench_calls,
    "parallel": bench_parallel,
    "size": bench_size,
    "chain": bench_chain,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    for name in parser.parse_args().only or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
