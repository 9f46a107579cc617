"""State machines for the tests of Step Functions and EventBridge: short ways to write, make and run them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from lab import Lab, refused

END = {"Type": "Pass", "End": True}
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:work"


def machine(states: dict, start: str | None = None, **fields: Any) -> dict:
    """A definition that begins with the first of its states."""
    return {"StartAt": start or next(iter(states)), "States": states, **fields}


def one(**state: Any) -> dict:
    """A machine of one state."""
    return machine({"A": {"End": True, **state}})


def task(resource: str, parameters: dict | None = None, **fields: Any) -> dict:
    """A machine of one task, with the Resource as it stands after `arn:aws:states:::`."""
    arn = resource if resource.startswith("arn:") else f"arn:aws:states:::{resource}"
    given = {"Parameters": parameters} if parameters is not None else {}
    return one(Type="Task", Resource=arn, **given, **fields)


def failing(error: str, cause: str = "", **fields: Any) -> dict:
    """A Parallel state whose one branch fails with an error of this name: it can be retried and caught."""
    branch = {"StartAt": f"fail {error}", "States": {f"fail {error}": {"Type": "Fail", "Error": error, "Cause": cause}}}
    return {"Type": "Parallel", "Branches": [branch], **fields}


def service_role(lab: Lab, part: str, service: str, *actions: str, trusted: dict | None = None) -> str:
    """The ARN of a new role that a service may assume (or whom the statement `trusted` lets)."""
    iam, name = lab.client("iam", part), lab.name("service", "-")
    admit = trusted or {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [admit]}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    lab.at_end(iam.delete_role, RoleName=name)
    if actions:
        allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=document)
        lab.at_end(iam.delete_role_policy, RoleName=name, PolicyName="work")
    return arn


def queue(lab: Lab, part: str = "central", *, admit: str | None = "*", fifo: bool = False) -> tuple[str, str]:
    """A new queue's (URL, ARN). Its policy admits EventBridge, for one source ARN or for all; None: it does not."""
    sqs, name = lab.client("sqs", part), lab.name("queue", "-") + (".fifo" if fifo else "")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    arn = f"arn:aws:sqs:{lab.region}:{lab.account(part)}:{name}"
    if admit:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            **({} if admit == "*" else {"Condition": {"ArnEquals": {"aws:SourceArn": admit}}}),
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
    return url, arn


def messages(lab: Lab, url: str, part: str = "central") -> list[dict]:
    """The messages of a queue, taken from it: `Body` as it is, `attributes` as a dict of texts, `Attributes`."""
    sqs, found = lab.client("sqs", part), []
    more = {"MessageAttributeNames": ["All"], "AttributeNames": ["All"], "MaxNumberOfMessages": 10}
    wait = {} if lab.is_local else {"WaitTimeSeconds": 5}
    while batch := sqs.receive_message(QueueUrl=url, **more, **wait).get("Messages"):
        for message in batch:
            attributes = {key: each["StringValue"] for key, each in message.get("MessageAttributes", {}).items()}
            found.append({**message, "attributes": attributes})
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


class Machines:
    """State machines of the central account, with one role."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.states = lab.client("stepfunctions", "central")
        config = Config(inject_host_prefix=not lab.is_local, retries={"total_max_attempts": 1})
        self.express = lab.session("central").client("stepfunctions", config=config)
        works = ("sqs:*", "sns:*", "dynamodb:*", "states:*", "events:*", "lambda:*", "logs:*", "sts:AssumeRole")
        self.role = service_role(lab, "central", "states.amazonaws.com", *works)

    def create(self, definition: dict, **fields: Any) -> str:
        """A new machine's ARN."""
        settings = {"name": self.lab.name("machine", "-"), "roleArn": self.role, **fields}

        def make() -> str:
            return self.states.create_state_machine(definition=json.dumps(definition), **settings)["stateMachineArn"]

        arn = make() if self.lab.is_local else self.lab.eventually(make)
        self.lab.at_end(self.states.delete_state_machine, stateMachineArn=arn)
        return arn

    def start(self, arn: str, data: Any = None, **fields: Any) -> str:
        """A new execution's ARN."""
        text = json.dumps({} if data is None else data)
        execution = self.states.start_execution(stateMachineArn=arn, input=text, **fields)["executionArn"]
        self.lab.at_end(self.states.stop_execution, executionArn=execution)
        return execution

    def soon(self, check: Callable[[], Any]) -> Any:
        """What `check` gives, once it gives something."""
        deadline = time.monotonic() + 60
        while not (found := check()):
            assert time.monotonic() < deadline
            time.sleep(0.004 if self.lab.is_local else 1)
        return found

    def ended(self, execution: str) -> dict:
        """DescribeExecution, once it no longer runs."""

        def described() -> dict | None:
            found = self.states.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        return self.soon(described)

    def run(self, definition: dict, data: Any = None) -> dict:
        """A new Standard machine's execution, ended."""
        return self.ended(self.start(self.create(definition), data))

    def quick(self, definition: dict, data: Any = None) -> dict:
        """What a new Express machine answers."""
        arn = self.create(definition, type="EXPRESS")
        text = json.dumps({} if data is None else data)
        return self.express.start_sync_execution(stateMachineArn=arn, input=text)

    def output(self, definition: dict, data: Any = None) -> Any:
        """The output of a new Express machine's execution."""
        answer = self.quick(definition, data)
        assert answer["status"] == "SUCCEEDED", (answer.get("error"), answer.get("cause"))
        return json.loads(answer["output"])

    def error(self, definition: dict, data: Any = None) -> str:
        """The error with which a new Express machine's execution fails."""
        answer = self.quick(definition, data)
        assert answer["status"] == "FAILED"
        return answer["error"]

    def history(self, execution: str, **fields: Any) -> list[dict]:
        """All events of an execution."""
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=execution, **fields)
        return [event for page in pages for event in page["events"]]

    def types(self, execution: str) -> list[str]:
        return [event["type"] for event in self.history(execution)]

    def refuses(self, definition: dict | str, location: str | None = None, *, kind: str = "STANDARD") -> list[dict]:
        """A definition that is refused when it is created and when it is validated: the diagnostics, one of which is
        about `location`."""
        text = definition if isinstance(definition, str) else json.dumps(definition)
        with refused("InvalidDefinition"):
            self.states.create_state_machine(
                name=self.lab.name("refused", "-"), definition=text, roleArn=self.role, type=kind
            )
        answer = self.states.validate_state_machine_definition(definition=text, type=kind)
        assert answer["result"] == "FAIL"
        found = [each.get("location") for each in answer["diagnostics"]]
        assert location is None or location in found, (location, answer["diagnostics"])
        return answer["diagnostics"]

    def takes(self, definition: dict | str, kind: str = "STANDARD") -> None:
        """A definition with which nothing is wrong."""
        text = definition if isinstance(definition, str) else json.dumps(definition)
        answer = self.states.validate_state_machine_definition(definition=text, type=kind)
        assert (answer["result"], answer["diagnostics"]) == ("OK", [])

    @property
    def unit(self) -> int:
        """Seconds in which tests of waits count: many where they cost nothing, so that a busy machine does no harm."""
        return 100 if self.lab.is_local else 1

    def pass_time(self, seconds: float) -> None:
        """Let time pass: the local AWS's, or everybody's."""
        if self.lab.is_local:
            self.lab.aws.world.pass_time(seconds)
        else:
            time.sleep(seconds)

    def gaps(self, execution: str, kind: str) -> list[float]:
        """The seconds between events of one type."""
        moments = [event["timestamp"] for event in self.history(execution) if event["type"] == kind]
        return [(later - earlier).total_seconds() for earlier, later in zip(moments, moments[1:], strict=False)]
