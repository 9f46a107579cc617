"""Event source mappings of the local AWS: messages run a function, failures come back or end as dead letters."""

from __future__ import annotations

import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws

pytestmark = pytest.mark.slow  # queues make them wait

ACCOUNT = "111111111111"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARN = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:"

CODE = """
import json, time

def handler(event, context):
    began = time.time()
    bodies = [record["body"] for record in event["Records"]]
    if "sleep" in bodies:
        time.sleep(0.3)
    print(json.dumps({"records": event["Records"], "began": began, "ended": time.time()}))
    if "break" in bodies:
        raise ValueError("broken")
    if "nonsense" in bodies:
        return {"batchItemFailures": [{"itemIdentifier": "nobody"}]}
    bad = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in bad]}
"""


class Mesh:
    """A function, its role, and queues mapped to it."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        session = aws.session(ACCOUNT)
        self.sqs, self.functions, self.iam = session.client("sqs"), session.client("lambda"), session.client("iam")
        self.logs = session.client("logs")

    def role(self, name: str, *actions: str) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        if actions:
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": f"{ARN}*"}
            allowed = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self.iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=allowed)
        return arn

    def function(self, name: str, role: str | None = None, **settings: Any) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("app.py", CODE)
        self.functions.create_function(
            FunctionName=name,
            Runtime=PYTHON,
            Handler="app.handler",
            Role=role or f"arn:aws:iam::{ACCOUNT}:role/taker",
            Code={"ZipFile": content.getvalue()},
            **settings,
        )

    def queue(self, name: str, **attributes: str) -> str:
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def map(self, name: str, **settings: Any) -> str:
        """Map the queue to the function of the same name; returns the mapping's UUID."""
        made = self.functions.create_event_source_mapping(FunctionName=name, EventSourceArn=ARN + name, **settings)
        return made["UUID"]

    def invocations(self, name: str) -> list[dict]:
        """What the function printed: one document for each invocation, in the order of their beginning."""
        try:
            events = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        printed = [json.loads(event["message"]) for event in events if event["message"].startswith('{"records"')]
        return sorted(printed, key=lambda each: each["began"])

    def bodies(self, name: str) -> list[list[str]]:
        return [sorted(record["body"] for record in each["records"]) for each in self.invocations(name)]


@pytest.fixture(scope="module")
def mesh(aws_module: LocalAws) -> Mesh:
    made = Mesh(aws_module)
    made.role("taker", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    return made


@pytest.fixture(autouse=True)
def stop_polling(mesh: Mesh) -> Iterator[None]:
    yield
    for mapping in mesh.functions.list_event_source_mappings()["EventSourceMappings"]:
        mesh.functions.delete_event_source_mapping(UUID=mapping["UUID"])


def eventually(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.05)


def test_a_message_reaches_the_function_as_aws_shapes_it_and_is_gone(mesh: Mesh) -> None:
    url = mesh.queue("shape")
    mesh.function("shape")
    mesh.map("shape")
    attributes = {"colour": {"DataType": "String", "StringValue": "blue"}}
    sent = mesh.sqs.send_message(QueueUrl=url, MessageBody="hello", MessageAttributes=attributes)
    mesh.aws.world.wait_idle(10)
    ((record,),) = [each["records"] for each in mesh.invocations("shape")]
    assert record["messageId"] == sent["MessageId"]
    assert record["body"] == "hello"
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert record["messageAttributes"]["colour"] == {
        "stringValue": "blue",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", ARN + "shape")
    assert record["awsRegion"] == "eu-west-1"
    counts = mesh.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_window_gathers_messages_into_one_invocation(mesh: Mesh) -> None:
    url = mesh.queue("window")
    mesh.function("window")
    mesh.map("window", BatchSize=100, MaximumBatchingWindowInSeconds=1)
    for n in range(12):
        mesh.sqs.send_message(QueueUrl=url, MessageBody=f"{n:02}")
    mesh.aws.world.wait_idle(10)
    assert mesh.bodies("window") == [[f"{n:02}" for n in range(12)]]


def test_a_full_batch_does_not_wait_for_the_window(mesh: Mesh) -> None:
    url = mesh.queue("full")
    mesh.function("full")
    mesh.map("full", BatchSize=2, MaximumBatchingWindowInSeconds=60)
    for n in range(4):
        mesh.sqs.send_message(QueueUrl=url, MessageBody=str(n))
    mesh.aws.world.wait_idle(10)
    assert sorted(body for batch in mesh.bodies("full") for body in batch) == ["0", "1", "2", "3"]
    assert [len(batch) for batch in mesh.bodies("full")] == [2, 2]


def with_dead_letters(mesh: Mesh, name: str) -> tuple[str, str]:
    """(queue, its dead-letter queue): a message is given up after two attempts, one second apart."""
    dead = mesh.queue(f"{name}-dead")
    policy = json.dumps({"deadLetterTargetArn": f"{ARN}{name}-dead", "maxReceiveCount": 2})
    return mesh.queue(name, VisibilityTimeout="1", RedrivePolicy=policy), dead


def dead_letters(mesh: Mesh, url: str) -> list[str]:
    received = mesh.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return sorted(message["Body"] for message in received.get("Messages", []))


def test_only_the_messages_reported_as_failed_come_back_until_they_are_dead_letters(mesh: Mesh) -> None:
    url, dead = with_dead_letters(mesh, "partial")
    mesh.function("partial", Timeout=1)
    mesh.map("partial", FunctionResponseTypes=["ReportBatchItemFailures"])
    entries = [{"Id": body, "MessageBody": body} for body in ("good", "bad")]
    mesh.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    eventually(lambda: dead_letters(mesh, dead) == ["bad"])
    taken = [body for batch in mesh.bodies("partial") for body in batch]
    assert sorted(taken) == ["bad", "bad", "good"]


def test_a_report_that_makes_no_sense_fails_the_whole_batch(mesh: Mesh) -> None:
    url, dead = with_dead_letters(mesh, "nonsense")
    mesh.function("nonsense", Timeout=1)
    mesh.map("nonsense", FunctionResponseTypes=["ReportBatchItemFailures"])
    mesh.sqs.send_message(QueueUrl=url, MessageBody="nonsense")
    eventually(lambda: dead_letters(mesh, dead) == ["nonsense"])


def test_a_function_that_fails_gets_the_whole_batch_again(mesh: Mesh) -> None:
    url, dead = with_dead_letters(mesh, "fails")
    mesh.function("fails", Timeout=1)
    uuid = mesh.map("fails")
    mesh.sqs.send_message(QueueUrl=url, MessageBody="break")
    eventually(lambda: dead_letters(mesh, dead) == ["break"])
    assert mesh.bodies("fails") == [["break"], ["break"]]
    assert "ValueError" in mesh.functions.get_event_source_mapping(UUID=uuid)["LastProcessingResult"]


def test_the_world_is_not_at_rest_while_messages_wait(mesh: Mesh) -> None:
    url, dead = with_dead_letters(mesh, "rest")
    mesh.function("rest", Timeout=1)
    mesh.map("rest")
    mesh.sqs.send_message(QueueUrl=url, MessageBody="break")
    with pytest.raises(TimeoutError, match="queue rest"):
        mesh.aws.world.wait_idle(0.5)
    mesh.aws.world.wait_idle(15)
    assert dead_letters(mesh, dead) == ["break"]


def test_a_disabled_mapping_takes_nothing_until_it_is_enabled(mesh: Mesh) -> None:
    url = mesh.queue("disabled")
    mesh.function("disabled")
    uuid = mesh.map("disabled", Enabled=False)
    assert mesh.functions.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    mesh.sqs.send_message(QueueUrl=url, MessageBody="later")
    time.sleep(0.4)
    assert mesh.bodies("disabled") == []
    mesh.functions.update_event_source_mapping(UUID=uuid, Enabled=True)
    mesh.aws.world.wait_idle(10)
    assert mesh.bodies("disabled") == [["later"]]


def test_no_more_batches_at_a_time_than_the_mapping_may_have(mesh: Mesh) -> None:
    url = mesh.queue("few")
    mesh.function("few", Timeout=10)
    mesh.map("few", BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    for _ in range(6):
        mesh.sqs.send_message(QueueUrl=url, MessageBody="sleep")
    mesh.aws.world.wait_idle(20)
    done = mesh.invocations("few")
    assert len(done) == 6
    at_once = [sum(other["began"] <= each["began"] < other["ended"] for other in done) for each in done]
    assert max(at_once) == 2


def test_a_mapping_that_lambda_would_refuse_is_refused(mesh: Mesh) -> None:
    mesh.queue("refused", VisibilityTimeout="5")
    mesh.sqs.create_queue(QueueName="refused.fifo", Attributes={"FifoQueue": "true"})
    mesh.function("refused", Timeout=6)
    mesh.function("denied", mesh.role("nothing"))

    def reason(function: str = "refused", queue: str = "refused", **settings: Any) -> str:
        with pytest.raises(ClientError) as raised:
            mesh.functions.create_event_source_mapping(FunctionName=function, EventSourceArn=ARN + queue, **settings)
        return raised.value.response["Error"]["Message"]

    assert reason() == "Queue visibility timeout: 5 seconds is less than Function timeout: 6 seconds"
    assert "Maximum batch window" in reason(BatchSize=11)
    assert "only standard SQS queues" in reason(queue="refused.fifo")
    assert "does not exist" in reason(queue="nowhere")
    assert "does not have permissions to call" in reason(function="denied")
    assert "FilterCriteria" in reason(FilterCriteria={"Filters": [{"Pattern": "{}"}]})
    assert "Function not found" in reason(function="nobody")


def test_the_same_queue_and_function_are_mapped_once(mesh: Mesh) -> None:
    mesh.queue("twice")
    mesh.function("twice")
    uuid = mesh.map("twice")
    with pytest.raises(ClientError, match=f"already exists.*{uuid}"):
        mesh.map("twice")
    mesh.functions.delete_event_source_mapping(UUID=uuid)
    assert mesh.map("twice") != uuid


def test_no_process_outlives_the_server(mesh: Mesh) -> None:
    mesh.function("outlives")
    pool = mesh.aws.world.engines["lambda"].runner.pool
    mesh.functions.invoke(FunctionName="outlives", Payload=b'{"Records": []}')
    pids = [sandbox._process.pid for idle in pool._idle.values() for sandbox in idle]
    assert pids
    pool.close()  # what stopping the world does
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []
