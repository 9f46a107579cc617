"""Lambda of the local AWS beyond what it shares with AWS: its processes end when they should, and the world waits."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from typing import Any

import pytest

from local_aws.server import LocalAws

ACCOUNT = "111111111111"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
CODE = """
import os, time

def handler(event, context):
    if "Records" in event:
        raise ValueError("broken")
    time.sleep(event.get("sleep", 0))
    return os.getpid()
"""


class Functions:
    """Functions of one account, and ways to call them."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        session = aws.session(ACCOUNT)
        self.client, self.sqs, iam = (session.client(each) for each in ("lambda", "sqs", "iam"))
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName="function", PolicyName="allowed", PolicyDocument=document)

    def make(self, name: str, **settings: Any) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("app.py", CODE)
        self.client.create_function(
            FunctionName=name,
            Runtime=PYTHON,
            Handler="app.handler",
            Role=self.role,
            Code={"ZipFile": content.getvalue()},
            **settings,
        )

    def call(self, name: str, event: Any = None) -> Any:
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event or {}).encode())
        return json.loads(answer["Payload"].read())


@pytest.fixture(scope="module")
def functions(aws_module: LocalAws) -> Functions:
    return Functions(aws_module)


def runs(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_the_process_of_a_function_that_takes_too_long_is_gone(functions: Functions) -> None:
    functions.make("slow", Timeout=1)
    pid = functions.call("slow")
    assert runs(pid)
    assert functions.call("slow", {"sleep": 30})["errorType"] == "Sandbox.Timedout"
    assert not runs(pid)


def test_processes_of_a_function_that_changes_or_goes_end(functions: Functions) -> None:
    functions.make("changes")
    functions.make("other")
    first, other = functions.call("changes"), functions.call("other")
    functions.client.update_function_configuration(FunctionName="changes", Timeout=5)
    assert (runs(first), runs(other)) == (False, True)
    second = functions.call("changes")
    functions.client.delete_function(FunctionName="changes")
    assert (runs(second), runs(other)) == (False, True)


def test_the_world_is_not_at_rest_while_messages_wait(functions: Functions) -> None:
    functions.make("fails", Timeout=1)
    dead = functions.sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}"
    policy = json.dumps({"deadLetterTargetArn": f"{arn}:dead", "maxReceiveCount": 2})
    attributes = {"VisibilityTimeout": "1", "RedrivePolicy": policy}
    url = functions.sqs.create_queue(QueueName="waits", Attributes=attributes)["QueueUrl"]
    functions.client.create_event_source_mapping(FunctionName="fails", EventSourceArn=f"{arn}:waits")
    functions.sqs.send_message(QueueUrl=url, MessageBody="m")
    with pytest.raises(TimeoutError, match="queue waits"):
        functions.aws.world.wait_idle(0.5)
    functions.aws.world.wait_idle(15)
    assert [each["Body"] for each in functions.sqs.receive_message(QueueUrl=dead)["Messages"]] == ["m"]


def test_no_process_outlives_the_server(functions: Functions) -> None:
    functions.make("outlives")
    pid = functions.call("outlives")
    assert runs(pid)
    functions.aws.world.engines["lambda"].runner.pool.close()  # what stopping the world does
    assert not runs(pid)
