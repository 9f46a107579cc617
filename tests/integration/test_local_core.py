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
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session

from local_aws import allowed
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


def test_the_server_is_up_soon_answers_and_ends_on_sigterm(process: subprocess.Popen) -> None:
    started = time.monotonic()
    endpoint = process.stdout.readline().split()[-1]
    assert time.monotonic() - started < 10  # 1 s alone; the machine may be busy
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


def test_bucket_names_are_global(aws: LocalAws) -> None:
    make_bucket(aws, A, "taken-name")
    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        make_bucket(aws, B, "taken-name")
    assert [each["Name"] for each in aws.session(B).client("s3").list_buckets()["Buckets"]] == []


def client_with_key(aws: LocalAws, service: str, key: str, **more: Any) -> Any:
    return boto3.client(
        service, REGION, endpoint_url=aws.endpoint, aws_access_key_id=key, aws_secret_access_key="x", **more
    )


def test_unknown_access_keys_are_refused_in_the_words_of_each_service(aws: LocalAws) -> None:
    def code(service: str, operation: str) -> str:
        return error_code(getattr(client_with_key(aws, service, "AKIAUNKNOWNUNKNOWN00"), operation))

    assert code("s3", "list_buckets") == "InvalidAccessKeyId"
    assert code("sts", "get_caller_identity") == "InvalidClientTokenId"
    assert code("iam", "list_roles") == "InvalidClientTokenId"
    assert code("dynamodb", "list_tables") == "UnrecognizedClientException"
    assert code("lakeformation", "list_lf_tags") == "UnrecognizedClientException"
    verdicts = {record.verdict for record in aws.world.log}
    assert verdicts == {"unauthenticated"}


def test_unsigned_requests_are_refused(aws: LocalAws) -> None:
    from botocore import UNSIGNED

    make_bucket(aws, A, "closed-to-all")
    for service, operation, params, expected in [
        ("s3", "list_objects_v2", {"Bucket": "closed-to-all"}, "AccessDenied"),
        ("dynamodb", "list_tables", {}, "MissingAuthenticationTokenException"),
        ("sts", "get_caller_identity", {}, "MissingAuthenticationToken"),
    ]:
        client = boto3.client(service, REGION, endpoint_url=aws.endpoint, config=Config(signature_version=UNSIGNED))
        assert error_code(getattr(client, operation), **params) == expected


# -- what is not built is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "operation", "params", "named"),
    [
        ("ec2", "describe_instances", {}, "allowed/ec2.yaml"),
        ("dynamodb", "execute_statement", {"Statement": "SELECT"}, "dynamodb:ExecuteStatement"),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "GrantRead": "id=1"}, "GrantRead"),
        (
            "s3",
            "put_bucket_notification_configuration",
            {
                "Bucket": "b",
                "NotificationConfiguration": {
                    "EventBridgeConfiguration": {},
                    "QueueConfigurations": [{"QueueArn": "arn:aws:sqs:x:1:q", "Events": ["s3:ObjectCreated:*"]}],
                },
            },
            "NotificationConfiguration.QueueConfigurations",
        ),
    ],
)
def test_what_is_not_listed_is_refused_by_name(
    aws: LocalAws, service: str, operation: str, params: dict, named: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(aws.session(A).client(service), operation)(**params)
    assert caught.value.response["Error"]["Code"] == "LocalAwsNotSupported"
    assert named in caught.value.response["Error"]["Message"]


def test_allowed_names_nest_through_lists() -> None:
    tree = allowed.tree(["A", "B.C", "B.D.E", "F.G", "F"])
    assert allowed.unlisted({"A": {"x": 1}, "B": [{"C": 1}, {"D": {"E": 1}}], "F": {"H": 1}}, tree) == []
    assert allowed.unlisted({"B": [{"C": 1}, {"X": 1}], "Z": 0, "B2": None}, tree) == ["B.X", "Z"]


def test_every_entry_of_the_allow_lists_is_one_of_awss() -> None:
    """A misspelt entry allows nothing, and nobody would notice."""
    session = get_session()
    wrong = []
    for service in sorted(allowed.services()):
        model = session.get_service_model(service)
        for operation, tree in allowed.operations(service).items():
            if operation not in model.operation_names:
                wrong.append(f"{service}:{operation}")
                continue
            shape = model.operation_model(operation).input_shape
            wrong += [f"{service}:{operation}: {path}" for path in _unknown(shape, tree)]
    assert wrong == []


def _unknown(shape: Any, tree: dict | None) -> list[str]:
    while shape is not None and shape.type_name in ("list", "map"):
        shape = shape.member if shape.type_name == "list" else shape.value
    members = shape.members if shape is not None and shape.type_name == "structure" else {}
    unknown = []
    for name, below in (tree or {}).items():
        if name not in members:
            unknown.append(name)
        elif below is not None:
            unknown += [f"{name}.{deeper}" for deeper in _unknown(members[name], below)]
    return unknown


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


# -- S3 on the wire -----------------------------------------------------------------------------------------------

KEYS = [
    "plain.csv", "with space.csv", "a+b.csv", "100%.csv", "%41.csv", "sales/région=Île/日本.csv", "x" * 1000, "a//b",
    "/leading", "trailing/", "q?x=1&y=2#z", "~!'()*;:@=,$.csv", "../up", "né" * 250,
]  # fmt: skip


def test_any_key_comes_back_as_it_was(aws: LocalAws) -> None:
    name = "all-kinds-of-keys"
    s3 = make_bucket(aws, A, name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=key.encode(), Metadata={"note": "kept"})
    assert {each["Key"] for each in s3.list_objects_v2(Bucket=name)["Contents"]} == set(KEYS)
    for key in KEYS:
        got = s3.get_object(Bucket=name, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (key.encode(), {"note": "kept"})
        s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": key})
        assert s3.get_object(Bucket=name, Key="copy")["Body"].read() == key.encode()
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in KEYS]})
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=name)["Contents"]] == ["copy"]


def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(aws: LocalAws, tmp_path: Any) -> None:
    s3 = make_bucket(aws, B, "large-files")
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"0123456789abcdef" * 700_000)
    s3.upload_file(str(source), "large-files", "big")
    assert "-" in s3.head_object(Bucket="large-files", Key="big")["ETag"]
    s3.download_file("large-files", "big", str(target))
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("version", ["s3v4", None])
def test_presigned_urls_work_until_they_end(aws: LocalAws, version: str | None) -> None:
    import urllib.error

    name = f"presigned-{version or 'v2'}"
    make_bucket(aws, A, name)
    config = Config(signature_version=version) if version else None
    s3 = aws.session(A).client("s3", config=config)
    put = s3.generate_presigned_url("put_object", {"Bucket": name, "Key": "a b"})
    urllib.request.urlopen(urllib.request.Request(put, b"hello", method="PUT")).close()
    get = s3.generate_presigned_url("get_object", {"Bucket": name, "Key": "a b"})
    with urllib.request.urlopen(get) as response:
        assert response.read() == b"hello"
    aws.world.advance(3601)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(get)
    assert caught.value.code == 403


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


def test_waiting_for_a_message_holds_nobody_up(aws: LocalAws) -> None:
    sqs = aws.session(A).client("sqs")
    url = sqs.create_queue(QueueName="uploads")["QueueUrl"]
    got: list[dict] = []
    waiting = threading.Thread(
        target=lambda: got.extend(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"])
    )
    waiting.start()
    time.sleep(0.2)
    started = time.monotonic()
    aws.session(A).client("sqs").send_message(QueueUrl=url, MessageBody="here")
    waiting.join(5)
    assert [each["Body"] for each in got] == ["here"]
    assert time.monotonic() - started < 3


def test_an_empty_queue_answers_when_the_wait_is_over(aws: LocalAws) -> None:
    sqs = aws.session(A).client("sqs")
    url = sqs.create_queue(QueueName="q", Attributes={"ReceiveMessageWaitTimeSeconds": "1"})["QueueUrl"]
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert time.monotonic() - started >= 1
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert time.monotonic() - started < 1


def test_every_engine_is_there(aws: LocalAws) -> None:
    names = {path.partition(":")[2].lower() for path in ENGINES}
    assert names <= set(aws.world.engines)


# -- the administration -------------------------------------------------------------------------------------------


def test_calls_are_counted_and_recorded_with_principal_action_resource_and_verdict(aws: LocalAws) -> None:
    make_bucket(aws, A, "recorded")
    error_code(aws.session(B).client("s3").get_object, Bucket="recorded", Key="secret")
    answer = admin_api(aws, "calls")
    assert answer["counts"] == {"s3:CreateBucket": 1, "s3:GetObject": 1}
    first, second = answer["log"]
    assert (first["verdict"], first["error"], first["account"]) == ("allow", None, A)
    assert second["principal"] == f"arn:aws:iam::{B}:user/admin"
    assert second["actions"] == ["s3:GetObject"]
    assert second["resources"] == ["arn:aws:s3:::recorded/secret"]
    assert (second["verdict"], second["error"]) == ("deny", "AccessDenied")
    assert admin_api(aws, "calls?after=1")["log"] == [second]


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
