"""The front of the local AWS: one server, many accounts, and nothing accepted that is not built."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.server import ENGINES, LocalAws
from local_aws.wire import AwsError
from local_aws.world import World

A, B = "111111111111", "222222222222"
REGION = "eu-west-1"


def error_code(call: Any, *args: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*args, **params)
    return caught.value.response["Error"]["Code"]


def admin_api(aws: LocalAws, path: str, body: Any = None, method: str | None = None) -> Any:
    request = urllib.request.Request(
        f"{aws.endpoint}/_local/{path}", json.dumps(body).encode() if body is not None else None, method=method
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def make_bucket(aws: LocalAws, account: str, name: str) -> Any:
    s3 = aws.session(account).client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return s3


def make_table(aws: LocalAws, account: str, name: str) -> Any:
    dynamodb = aws.session(account).client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


# -- the process --------------------------------------------------------------------------------------------------


@pytest.fixture
def process() -> Iterator[subprocess.Popen]:
    server = subprocess.Popen([sys.executable, "-m", "local_aws", "--port", "0"], stdout=subprocess.PIPE, text=True)
    yield server
    server.kill()
    server.wait()


def test_the_server_says_where_it_is_answers_and_ends_on_sigterm(process: subprocess.Popen) -> None:
    endpoint = process.stdout.readline().split()[-1]
    with urllib.request.urlopen(f"{endpoint}/_local/health") as response:
        assert json.load(response)["status"] == "ok"
    sts = boto3.client(
        "sts", REGION, endpoint_url=endpoint, aws_access_key_id=f"LOCALADMIN{A}", aws_secret_access_key="local"
    )
    assert sts.get_caller_identity()["Account"] == A
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_connections_are_kept(aws: LocalAws) -> None:
    connection = HTTPConnection("127.0.0.1", aws.port)
    connection.request("GET", "/_local/health")
    connection.getresponse().read()
    socket = connection.sock
    connection.request("HEAD", "/_local/health")
    connection.getresponse().read()
    connection.request("GET", "/_local/health")
    assert json.load(connection.getresponse())["status"] == "ok"
    assert connection.sock is socket
    connection.close()


def test_only_one_runs_in_a_process_and_each_starts_empty() -> None:
    with LocalAws() as first:
        make_bucket(first, A, "short-lived")
        with pytest.raises(RuntimeError, match="another LocalAws"):
            LocalAws().start()
    with LocalAws() as second:
        assert second.session(A).client("s3").list_buckets()["Buckets"] == []
        make_bucket(second, B, "short-lived")


# -- accounts -----------------------------------------------------------------------------------------------------


def test_accounts_see_their_own(aws: LocalAws) -> None:
    make_table(aws, A, "units")
    assert aws.session(A).client("dynamodb").list_tables()["TableNames"] == ["units"]
    assert aws.session(B).client("dynamodb").list_tables()["TableNames"] == []


# -- engines ------------------------------------------------------------------------------------------------------


class Odd:
    """An engine that answers some operations of some services."""

    def __init__(self, service: str, **operations: Any) -> None:
        self.service = service
        for name, answer in operations.items():
            setattr(self, name, answer)


def test_an_engine_answers_what_it_has_a_method_for_and_moto_the_rest(aws: LocalAws) -> None:
    seen = {}

    def get_parameter(caller: Any, **params: Any) -> dict:
        seen.update(params, account=caller.account)
        moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        return {"Parameter": {"Name": "n", "Value": "from the engine", "LastModifiedDate": moment}}

    aws.world.add_engine(Odd("ssm", GetParameter=get_parameter))
    ssm = aws.session(A).client("ssm")
    answer = ssm.get_parameter(Name="n", WithDecryption=True)["Parameter"]
    assert answer["Value"] == "from the engine"
    assert answer["LastModifiedDate"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert seen == {"Name": "n", "WithDecryption": True, "account": A}
    ssm.put_parameter(Name="m", Value="v", Type="String")
    assert ssm.get_parameters(Names=["m"])["Parameters"][0]["Value"] == "v"


def failing(error: Exception) -> Any:
    def answer(_caller: Any, **_params: Any) -> dict:
        raise error

    return answer


@pytest.mark.parametrize(
    ("service", "operation", "method", "params", "error", "status"),
    [
        ("glue", "GetDatabase", "get_database", {"Name": "d"}, AwsError("EntityNotFoundException", "gone"), 400),
        ("sns", "ListTopics", "list_topics", {}, AwsError("AuthorizationError", "no", 403), 403),
        ("s3", "GetBucketLocation", "get_bucket_location", {"Bucket": "b1b"}, AwsError("NoSuchBucket", "no", 404), 404),
        ("sqs", "ListQueues", "list_queues", {}, AwsError("AccessDenied", "no", 403), 403),
        ("lambda", "ListFunctions", "list_functions", {}, AwsError("ServiceException", "no", 500), 500),
    ],
)
def test_an_engines_error_arrives_as_the_services_own(
    aws: LocalAws, service: str, operation: str, method: str, params: dict, error: AwsError, status: int
) -> None:
    aws.world._serving[service] = [Odd(service, **{operation: failing(error)})]
    client = aws.session(A).client(service, config=Config(retries={"max_attempts": 0}))
    with pytest.raises(ClientError) as caught:
        getattr(client, method)(**params)
    assert caught.value.response["Error"]["Code"] == error.code
    assert caught.value.response["Error"]["Message"] == error.message
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert aws.world.log[-1].error == error.code


def test_a_modelled_error_is_an_exception_of_the_client_with_its_fields(aws: LocalAws) -> None:
    item = {"k": {"S": "1"}}
    error = AwsError("ConditionalCheckFailedException", "no", Item=item)
    aws.world.add_engine(Odd("dynamodb", PutItem=failing(error)))
    client = aws.session(A).client("dynamodb")
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
        client.put_item(TableName="ttt", Item=item)
    assert caught.value.response["Item"] == item


def test_an_engine_that_breaks_is_a_500_and_is_remembered(aws: LocalAws) -> None:
    aws.world.add_engine(Odd("ssm", GetParameter=failing(ZeroDivisionError("oops"))))
    client = aws.session(A).client("ssm", config=Config(retries={"max_attempts": 0}))
    assert error_code(client.get_parameter, Name="n") == "InternalFailure"
    assert "ZeroDivisionError" in admin_api(aws, "calls")["failures"][0]


def test_engines_never_see_parameters_that_break_the_model(aws: LocalAws) -> None:
    aws.world.add_engine(Odd("ssm", PutParameter=lambda _caller, **_params: {"Version": 1}))
    ssm = aws.session(A).client("ssm", config=Config(parameter_validation=False))
    assert ssm.put_parameter(Name="n", Value="v", Type="String")["Version"] == 1
    for params, said in [
        ({"Name": "n"}, "'value' failed to satisfy constraint: Member must not be null"),
        ({"Name": "n", "Value": "v", "Type": "Number"}, "Member must satisfy enum value set"),
        ({"Name": "n" * 2049, "Value": "v"}, "Member must have length less than or equal to 2048"),
    ]:
        with pytest.raises(ClientError, match=said) as caught:
            ssm.put_parameter(**params)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert error_code(ssm.put_parameter, Name=["not", "text"], Value="v") == "ValidationException"


# -- many at once -------------------------------------------------------------------------------------------------


def test_motos_backends_are_entered_one_call_at_a_time(aws: LocalAws) -> None:
    """They are not atomic: without this, counters lose counts and messages are received twice."""
    inside, most = 0, 0

    def slow_moto(_environ: dict, start_response: Any) -> list[bytes]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.03)
        inside -= 1
        start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
        return [b"{}"]

    aws._server.app._moto_apps["ssm"] = slow_moto
    clients = [aws.session(A).client("ssm") for _ in range(4)]
    threads = [threading.Thread(target=each.describe_parameters) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(aws.world.log)) == (1, 4)


@pytest.mark.slow
def test_of_two_thousand_parallel_additions_none_is_lost(aws: LocalAws) -> None:
    table = {"TableName": "counters"}
    make_table(aws, A, "counters")
    clients = [aws.session(A).client("dynamodb") for _ in range(8)]

    def add(client: Any) -> None:
        for _ in range(250):
            client.update_item(
                **table, Key={"k": {"S": "a"}}, UpdateExpression="ADD hits :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, clients))
    assert clients[0].get_item(**table, Key={"k": {"S": "a"}})["Item"]["hits"] == {"N": "2000"}


def test_every_engine_is_there(aws: LocalAws) -> None:
    names = {path.partition(":")[2].lower() for path in ENGINES}
    assert names <= set(aws.world.engines)


# -- the administration -------------------------------------------------------------------------------------------


def test_idle_waits_for_what_is_under_way_and_says_what_it_is(aws: LocalAws) -> None:
    release = threading.Event()
    checks: list[str] = []
    aws.world.submit(release.wait, 20)
    aws.world.busy_checks.append(lambda: list(checks))
    answer = admin_api(aws, "idle", {"timeout": 0.2})
    assert answer["idle"] is False
    assert "Event.wait" in answer["busy"]
    checks.append("crawl of orders")
    release.set()
    assert "crawl of orders" in admin_api(aws, "idle", {"timeout": 0.2})["busy"]
    checks.clear()
    assert admin_api(aws, "idle", {"timeout": 10}) == {"idle": True, "busy": ""}


def test_background_work_that_breaks_is_told_and_ends(aws: LocalAws) -> None:
    def delivery() -> None:
        raise LookupError("nobody home")

    aws.world.submit(delivery)
    aws.world.wait_idle(5)
    assert "nobody home" in aws.world.failures[0]
    assert [line["stage"] for line in admin_api(aws, "activity")] == ["error"]


def test_activity_is_numbered_and_can_be_followed(aws: LocalAws) -> None:
    aws.world.activity("crawl", "sales_orders", "started")
    aws.world.activity("crawl", "sales_orders", "2 tables")
    lines = admin_api(aws, "activity?after=1")
    assert [(line["n"], line["stage"], line["subject"], line["text"]) for line in lines] == [
        (2, "crawl", "sales_orders", "2 tables")
    ]


def test_the_organization_is_set_whole(aws: LocalAws) -> None:
    admin_api(aws, "organization", {"id": "o-abc1234567", "members": [A, B], "ram_sharing": True}, "PUT")
    assert aws.world.organization == {"id": "o-abc1234567", "members": {A, B}, "ram_sharing": True}
    with pytest.raises(urllib.error.HTTPError) as caught:
        admin_api(aws, "organization", {"id": "o-abc1234567", "members": [], "name": "x"}, "PUT")
    assert "name" in caught.value.read().decode()


def test_the_clock_can_be_moved(aws: LocalAws) -> None:
    before = aws.world.now()
    aws.world.advance(3600)
    assert (aws.world.now() - before).total_seconds() >= 3600


def test_state_is_kept_where_it_is_told_to_and_otherwise_swept_away(tmp_path: Any) -> None:
    world = World(state_dir=tmp_path / "state")
    world.stop()
    assert (tmp_path / "state").is_dir()
    world = World()
    world.stop()
    assert not world.state_dir.exists()
