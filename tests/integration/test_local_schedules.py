"""EventBridge Scheduler of the local AWS, over HTTP, on a clock that the tests move."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws

pytestmark = pytest.mark.slow  # timers make them wait

ACCOUNT = "111111111111"
REGION = "eu-west-1"
OFF = {"Mode": "OFF"}


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def error_code(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    return raised.value.response["Error"]["Code"]


class Account:
    """An account with a scheduler, queues to look into, and a role for its schedules."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.session = aws.session(ACCOUNT)
        self.scheduler = self.session.client("scheduler")
        self.sqs = self.session.client("sqs")
        self.iam = self.session.client("iam")
        self.role = self.make_role("scheduler", "sqs:SendMessage", "states:StartExecution", "events:PutEvents")
        self.made = 0

    def make_role(self, name: str, *actions: str, service: str = "scheduler.amazonaws.com") -> str:
        trust = policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        if actions:
            allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(allow))
        return arn

    def queue(self) -> str:
        self.made += 1
        name = f"queue-{self.made}"
        self.sqs.create_queue(QueueName=name)
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def received(self, queue: str, count: int = 1, seconds: float = 5) -> list[dict]:
        """At least so many messages if they come in time; what came, in any case."""
        url = self.sqs.get_queue_url(QueueName=queue.rsplit(":", 1)[-1])["QueueUrl"]
        messages: list[dict] = []
        deadline = time.monotonic() + seconds
        while len(messages) < count and time.monotonic() < deadline:
            answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
            for message in answer.get("Messages", []):
                messages.append(message)
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            time.sleep(0.02)
        return messages

    def nothing_received(self, queue: str) -> bool:
        self.aws.world.wait_idle(10)
        return self.received(queue, seconds=0.3) == []

    def put(self, name: str, expression: str, target: dict, **fields: Any) -> str:
        target = {"RoleArn": self.role, **target}
        return self.scheduler.create_schedule(
            Name=name, ScheduleExpression=expression, FlexibleTimeWindow=OFF, Target=target, **fields
        )["ScheduleArn"]

    def now(self) -> datetime:
        return self.aws.world.now()


@pytest.fixture(scope="module")
def account(aws_module: LocalAws) -> Iterator[Account]:
    yield Account(aws_module)
    assert aws_module.world.failures == []


def at(moment: datetime) -> str:
    return f"at({moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S})"


def test_a_schedule_is_made_read_listed_and_deleted(account: Account):
    scheduler, queue = account.scheduler, account.queue()
    arn = account.put("life", "rate(1 days)", {"Arn": queue}, Description="d", State="DISABLED")
    assert arn == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/life"
    got = scheduler.get_schedule(Name="life")
    assert (got["Arn"], got["State"], got["Description"]) == (arn, "DISABLED", "d")
    assert (got["ScheduleExpressionTimezone"], got["Target"]["Arn"]) == ("UTC", queue)
    listed = scheduler.list_schedules(NamePrefix="li", State="DISABLED")["Schedules"]
    assert [each["Name"] for each in listed] == ["life"]
    assert error_code(account.put, "life", "rate(1 days)", {"Arn": queue}) == "ConflictException"
    scheduler.delete_schedule(Name="life")
    assert error_code(scheduler.get_schedule, Name="life") == "ResourceNotFoundException"
    assert error_code(scheduler.delete_schedule, Name="life") == "ResourceNotFoundException"


def test_a_rate_fires_at_once_and_then_every_interval(account: Account):
    queue, world = account.queue(), account.aws.world
    account.put("quarter", "rate(15 minutes)", {"Arn": queue, "Input": "ping"})
    assert [message["Body"] for message in account.received(queue)] == ["ping"]
    assert account.nothing_received(queue)
    world.advance(15 * 60 + 1)
    assert len(account.received(queue)) == 1
    world.advance(3600)  # what the clock passed over is not made up for
    assert len(account.received(queue, count=2, seconds=1)) == 1
    account.scheduler.delete_schedule(Name="quarter")
    world.advance(3600)
    assert account.nothing_received(queue)


def test_a_rate_with_a_start_date_waits_for_it(account: Account):
    queue = account.queue()
    start = account.now() + timedelta(hours=2)
    account.put("later", "rate(1 hours)", {"Arn": queue}, StartDate=start, EndDate=start + timedelta(minutes=90))
    assert account.nothing_received(queue)
    account.aws.world.advance(2 * 3600 + 1)
    assert len(account.received(queue)) == 1
    account.aws.world.advance(3600)
    assert len(account.received(queue)) == 1
    account.aws.world.advance(3600)  # past the end date
    assert account.nothing_received(queue)


def test_a_one_time_schedule_fires_once_and_can_delete_itself(account: Account):
    queue = account.queue()
    moment = account.now() + timedelta(minutes=10)
    account.put("once", at(moment), {"Arn": queue}, ActionAfterCompletion="DELETE")
    kept = at(moment + timedelta(seconds=1))
    account.put("kept", kept, {"Arn": queue})
    assert account.nothing_received(queue)
    account.aws.world.advance(605)
    assert len(account.received(queue, count=2)) == 2
    account.aws.world.wait_idle(10)
    assert error_code(account.scheduler.get_schedule, Name="once") == "ResourceNotFoundException"
    assert account.scheduler.get_schedule(Name="kept")["ScheduleExpression"] == kept


def test_cron_fires_in_its_time_zone(account: Account):
    queue = account.queue()
    soon = account.now() + timedelta(minutes=30)
    there = soon.astimezone(ZoneInfo("Asia/Tokyo"))
    expression = f"cron({there.minute} {there.hour} * * ? *)"
    account.put("tokyo", expression, {"Arn": queue}, ScheduleExpressionTimezone="Asia/Tokyo")
    assert account.nothing_received(queue)
    account.aws.world.advance(31 * 60)
    assert len(account.received(queue)) == 1


def test_a_disabled_schedule_does_not_fire_until_it_is_enabled(account: Account):
    queue = account.queue()
    account.put("asleep", "rate(1 hours)", {"Arn": queue}, State="DISABLED")
    account.aws.world.advance(7200)
    assert account.nothing_received(queue)
    settings = {"ScheduleExpression": "rate(1 hours)", "FlexibleTimeWindow": OFF}
    account.scheduler.update_schedule(Name="asleep", Target={"Arn": queue, "RoleArn": account.role}, **settings)
    assert len(account.received(queue)) == 1


def test_the_default_input_tells_of_the_schedule_and_context_attributes_are_filled_in(account: Account):
    queue = account.queue()
    arn = account.put("plain", "rate(1 days)", {"Arn": queue})
    notice = json.loads(account.received(queue)[0]["Body"])
    assert (notice["source"], notice["detail-type"], notice["resources"]) == ("aws.scheduler", "Scheduled Event", [arn])
    account.put("named", "rate(1 days)", {"Arn": queue, "Input": "<aws.scheduler.schedule-arn>"})
    assert account.received(queue)[0]["Body"] == arn.replace("plain", "named")


def test_a_schedule_starts_a_machine(account: Account):
    states = account.session.client("stepfunctions")
    machine = states.create_state_machine(
        name="sweep",
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}),
        roleArn=account.make_role("machine", service="states.amazonaws.com"),
    )["stateMachineArn"]
    account.put("sweep", "rate(15 minutes)", {"Arn": machine, "Input": '{"reason": "schedule"}'})
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not states.list_executions(stateMachineArn=machine)["executions"]:
        time.sleep(0.02)
    (execution,) = states.list_executions(stateMachineArn=machine)["executions"]
    described = states.describe_execution(executionArn=execution["executionArn"])
    assert json.loads(described["input"]) == {"reason": "schedule"}


def test_a_schedule_puts_an_event(account: Account):
    events, queue = account.session.client("events"), account.queue()
    url = account.sqs.get_queue_url(QueueName=queue.rsplit(":", 1)[-1])["QueueUrl"]
    admit = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:*", "Resource": queue}
    account.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(admit)})
    events.put_rule(Name="scheduled", EventPattern='{"source": ["my.schedule"]}')
    events.put_targets(Rule="scheduled", Targets=[{"Id": "q", "Arn": queue}])
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    parameters = {"Source": "my.schedule", "DetailType": "Tick"}
    account.put("tick", "rate(1 days)", {"Arn": bus, "EventBridgeParameters": parameters, "Input": '{"n": 1}'})
    event = json.loads(account.received(queue)[0]["Body"])
    assert (event["detail-type"], event["detail"]) == ("Tick", {"n": 1})


def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue(account: Account):
    dead = account.queue()
    gone = f"arn:aws:sqs:{REGION}:{ACCOUNT}:gone"
    arn = account.put("lost", "rate(1 days)", {"Arn": gone, "Input": "x", "DeadLetterConfig": {"Arn": dead}})
    (letter,) = account.received(dead)
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert json.loads(letter["Body"])["MessageBody"] == "x"
    assert "NonExistentQueue" in attributes["ERROR_CODE"] or attributes["ERROR_CODE"] == "QueueDoesNotExist"
    assert attributes["SCHEDULE_ARN"] == arn
    assert attributes["TARGET_ARN"] == "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"

    powerless = account.make_role("powerless", "sqs:GetQueueUrl")
    forbidden = account.queue()
    account.put("forbidden", "rate(1 days)", {"Arn": forbidden, "RoleArn": powerless})
    assert account.nothing_received(forbidden)
    told = [line["text"] for line in account.aws.world.activity_after(0) if line["subject"] == "forbidden"]
    assert any("NO_PERMISSIONS" in text for text in told)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ScheduleExpression": "rate(5 seconds)"}, "ValidationException"),
        ({"ScheduleExpression": "cron(* * * * *)"}, "ValidationException"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "ValidationException"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}}, "LocalAwsNotSupported"),
        ({"GroupName": "mine"}, "ResourceNotFoundException"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:glue:startCrawler"}}, "LocalAwsNotSupported"),
        ({"Target": {"Input": "{", "Arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:m"}}, "ValidationException"),
        ({"Target": {"Arn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"}}, "ValidationException"),
        ({"Target": {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}}, "ValidationException"),
        (
            {"StartDate": datetime(2030, 1, 2, tzinfo=UTC), "EndDate": datetime(2030, 1, 1, tzinfo=UTC)},
            "ValidationException",
        ),
    ],
)
def test_a_schedule_that_is_refused(account: Account, fields: dict, code: str):
    target = {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue-1", "RoleArn": account.role, **fields.pop("Target", {})}
    settings = {"ScheduleExpression": "rate(1 hours)", "FlexibleTimeWindow": OFF, **fields}
    assert error_code(account.scheduler.create_schedule, Name="bad", Target=target, **settings) == code


def test_a_role_must_trust_the_scheduler(account: Account):
    stranger = account.make_role("for-events", service="events.amazonaws.com")
    target = {"Arn": account.queue(), "RoleArn": stranger}
    assert error_code(account.put, "untrusted", "rate(1 hours)", target) == "ValidationException"
