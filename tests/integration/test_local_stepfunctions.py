"""What the local AWS tells of executions beside the API, and the product's own machine. The API itself: conformance."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.server import LocalAws
from local_aws.stepfunctions import asl_executions

ACCOUNT = "111111111111"


def make_role(aws: LocalAws, name: str, service: str, *actions: str) -> str:
    iam = aws.session(ACCOUNT).client("iam")
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": ["logs:*", *actions], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=document)
    return arn


class Machines:
    """A short way to make machines and run them."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.states = aws.session(ACCOUNT).client("stepfunctions")
        self.role = make_role(
            aws, "machine", "states.amazonaws.com", "lambda:InvokeFunction", "dynamodb:*", "states:*", "events:*"
        )

    def start(self, name: str, definition: dict, data: Any) -> str:
        made = self.states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=self.role)
        arn = made["stateMachineArn"]
        return self.states.start_execution(stateMachineArn=arn, input=json.dumps(data))["executionArn"]

    def ended(self, execution: str, timeout: float = 20) -> dict:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            described = self.states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.02)
        raise AssertionError(f"{execution} still runs after {timeout} s")


@pytest.fixture(scope="module")
def machines(aws_module: LocalAws) -> Iterator[Machines]:
    yield Machines(aws_module)
    assert aws_module.world.failures == []


def test_executions_are_told_to_the_admin_and_the_live_view(machines: Machines):
    states = {"A": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "E", "Cause": "C"}}
    execution = machines.start("told", {"StartAt": "A", "States": states}, {})
    machines.ended(execution)
    machines.states.redrive_execution(executionArn=execution)
    machines.ended(execution)
    told = next(each for each in machines.aws.world.engines["stepfunctions"].executions() if each["arn"] == execution)
    assert (told["stateMachine"], told["status"], told["error"], told["cause"]) == ("told", "FAILED", "E", "C")
    assert (told["transitions"], told["redrives"]) == (4, 1)  # two states, the redrive, Fail again
    texts = [line["text"] for line in machines.aws.world.activity_after(0) if line["subject"] == "told"]
    assert texts == ["started", "FAILED: E C", "redriven", "FAILED: E C"]


def test_the_crawl_machine_of_the_product_ends_with_its_functions_error(machines: Machines):
    """Its catcher leads to the Fail state, which reports what the function raised."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", 'def handler(event, context):\n    return event["what is not there"]\n')
    function = machines.aws.session(ACCOUNT).client("lambda").create_function(
        FunctionName="broken",
        Runtime="python3.11",
        Handler="app.handler",
        Role=make_role(machines.aws, "function", "lambda.amazonaws.com"),
        Code={"ZipFile": packed.getvalue()},
    )  # fmt: skip
    text = (Path(__file__).parents[2] / "statemachines" / "crawl.asl.json").read_text()
    text = text.replace("${PrepareCrawlFunctionArn}", function["FunctionArn"]).replace("${UnitsTable}", "units")
    data = {"unit": "u", "token": 7, "correlation_id": "c"}
    described = machines.ended(machines.start("crawl", json.loads(text), data))
    assert (described["status"], described["error"]) == ("FAILED", "KeyError")


def test_what_was_started_just_before_its_parent_is_stopped_is_stopped_too(machines: Machines, monkeypatch):
    """The parent is stopped when its child is there, and it does not know that yet."""
    perform, stopped = asl_executions.perform, threading.Event()

    def late(*args: Any) -> Any:
        answer = perform(*args)
        assert stopped.wait(20)
        return answer

    child = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    made = machines.states.create_state_machine(name="child", definition=json.dumps(child), roleArn=machines.role)
    start = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync",
        "Parameters": {"StateMachineArn": made["stateMachineArn"], "Name": "kid"},
        "End": True,
    }
    monkeypatch.setattr(asl_executions, "perform", late)
    parent = machines.start("parent", {"StartAt": "S", "States": {"S": start}}, {})
    listed: list[dict] = []
    while not listed:
        listed = machines.states.list_executions(stateMachineArn=made["stateMachineArn"])["executions"]
    machines.states.stop_execution(executionArn=parent)
    stopped.set()

    assert machines.ended(listed[0]["executionArn"])["status"] == "ABORTED"
