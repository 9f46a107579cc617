"""EventBridge of the local AWS, over HTTP: buses, rules, targets, other accounts, retries, dead letters."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.events import event_delivery
from local_aws.server import LocalAws

PRODUCER, CENTRAL, CONSUMER = "111111111111", "222222222222", "333333333333"
REGION = "eu-west-1"


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str = "events.amazonaws.com") -> str:
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def arn(service: str, account: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{resource}"


def error_code(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    return raised.value.response["Error"]["Code"]


class Mesh:
    """Accounts with short ways to make what the tests need."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.made = 0
        self.clients: dict[tuple[str, str], Any] = {}

    def client(self, name: str, account: str = CENTRAL) -> Any:
        if (name, account) not in self.clients:
            self.clients[name, account] = self.aws.session(account).client(name)
        return self.clients[name, account]

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}-{self.made}"

    def queue(self, account: str = CENTRAL, admit: dict | None = None, admitted: bool = True) -> str:
        """A new queue's ARN; its policy admits EventBridge, on a condition if one is given."""
        name = self.name("queue")
        sqs = self.client("sqs", account)
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        queue = arn("sqs", account, name)
        if admitted:
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                **({"Condition": admit} if admit else {}),
            }
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(statement)})
        return queue

    def role(self, *statements: dict, account: str = CENTRAL, trusted: str | None = None) -> str:
        name = self.name("role")
        iam = self.client("iam", account)
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted or trust())
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        return made["Role"]["Arn"]

    def rule(self, target: dict, pattern: dict | None = None, account: str = CENTRAL, bus: str = "default") -> str:
        """A new rule for events of one source of its own, with one target; its name, which is that source."""
        name = self.name("rule")
        events = self.client("events", account)
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern or {"source": [name]}))
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "t", **target}])
        return name

    def put(self, source: str, account: str = CENTRAL, bus: str = "default", **fields: Any) -> dict:
        entry = {"Source": source, "DetailType": "Test", "Detail": '{"n": 1}', "EventBusName": bus, **fields}
        return self.client("events", account).put_events(Entries=[entry])

    def settled(self) -> None:
        self.aws.world.wait_idle(15)

    def received(self, queue: str) -> list[dict]:
        """The messages of a queue: bodies (parsed if JSON) with their attributes."""
        _, _, _, _, account, name = queue.split(":")
        sqs = self.client("sqs", account)
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        messages: list[dict] = []
        while True:
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
                "Messages", []
            )
            if not found:
                return messages
            for message in found:
                attributes = {key: value["StringValue"] for key, value in message.get("MessageAttributes", {}).items()}
                messages.append({"body": message["Body"], "attributes": attributes})
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def events(self, queue: str) -> list[dict]:
        return [json.loads(message["body"]) for message in self.received(queue)]


@pytest.fixture(scope="module")
def mesh(aws_module: LocalAws) -> Iterator[Mesh]:
    yield Mesh(aws_module)
    assert aws_module.world.failures == []


# --- buses


def test_every_account_has_a_default_bus_and_may_make_others(mesh: Mesh):
    events = mesh.client("events")
    assert events.describe_event_bus()["Arn"] == arn("events", CENTRAL, "event-bus/default")
    made = events.create_event_bus(Name="own", Description="d", Tags=[{"Key": "k", "Value": "v"}])
    assert made["EventBusArn"] == arn("events", CENTRAL, "event-bus/own")
    assert error_code(events.create_event_bus, Name="own") == "ResourceAlreadyExistsException"
    assert {bus["Name"] for bus in events.list_event_buses()["EventBuses"]} >= {"default", "own"}
    assert events.list_tags_for_resource(ResourceARN=made["EventBusArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    events.update_event_bus(Name="own", Description="other")
    assert events.describe_event_bus(Name="own")["Description"] == "other"
    assert mesh.client("events", CONSUMER).list_event_buses()["EventBuses"][0]["Name"] == "default"

    events.put_rule(Name="r", EventBusName="own", EventPattern='{"source": ["x"]}')
    assert error_code(events.delete_event_bus, Name="own") == "ValidationException"
    events.delete_rule(Name="r", EventBusName="own")
    events.delete_event_bus(Name="own")
    assert error_code(events.describe_event_bus, Name="own") == "ResourceNotFoundException"
    assert error_code(events.delete_event_bus, Name="default") == "ValidationException"


def test_permissions_of_a_bus_come_statement_by_statement_or_as_a_policy(mesh: Mesh):
    events = mesh.client("events")
    bus = events.create_event_bus(Name="permissions")["EventBusArn"]
    events.put_permission(EventBusName="permissions", StatementId="one", Action="events:PutEvents", Principal=PRODUCER)
    condition = {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1234567890"}
    events.put_permission(
        EventBusName="permissions", StatementId="org", Action="events:PutEvents", Principal="*", Condition=condition
    )
    statements = json.loads(events.describe_event_bus(Name="permissions")["Policy"])["Statement"]
    assert statements[0] == {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{PRODUCER}:root"},
        "Action": "events:PutEvents",
        "Resource": bus,
    }
    assert statements[1]["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
    events.remove_permission(EventBusName="permissions", StatementId="one")
    assert (
        error_code(events.remove_permission, EventBusName="permissions", StatementId="one")
        == "ResourceNotFoundException"
    )
    whole = {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus}
    events.put_permission(EventBusName="permissions", Policy=policy(whole))
    assert json.loads(events.describe_event_bus(Name="permissions")["Policy"])["Statement"] == [whole]
    assert mesh.aws.world.engines["events"].bus_policy(CENTRAL, REGION, "permissions")["Statement"] == [whole]
    events.remove_permission(EventBusName="permissions", RemoveAllPermissions=True)
    assert "Policy" not in events.describe_event_bus(Name="permissions")


# --- rules and targets


def test_rules_are_put_described_listed_and_deleted(mesh: Mesh):
    events = mesh.client("events")
    made = events.put_rule(
        Name="life", EventPattern='{"source": ["life"]}', Description="d", Tags=[{"Key": "k", "Value": "v"}]
    )
    assert made["RuleArn"] == arn("events", CENTRAL, "rule/life")
    described = events.describe_rule(Name="life")
    assert (described["State"], described["Description"], described["EventBusName"]) == ("ENABLED", "d", "default")
    queue = mesh.queue()
    events.put_targets(Rule="life", Targets=[{"Id": "a", "Arn": queue}, {"Id": "b", "Arn": queue, "Input": "1"}])
    assert [target["Id"] for target in events.list_targets_by_rule(Rule="life")["Targets"]] == ["a", "b"]
    assert events.list_rule_names_by_target(TargetArn=queue)["RuleNames"] == ["life"]
    assert error_code(events.delete_rule, Name="life") == "ValidationException"
    assert events.remove_targets(Rule="life", Ids=["a", "b", "c"])["FailedEntries"][0]["TargetId"] == "c"
    events.delete_rule(Name="life")
    assert error_code(events.describe_rule, Name="life") == "ResourceNotFoundException"
    events.delete_rule(Name="life")  # again is no error


def test_a_rule_is_replaced_whole_but_keeps_its_targets_and_tags(mesh: Mesh):
    events, queue = mesh.client("events"), mesh.queue()
    tags = [{"Key": "k", "Value": "v"}]
    rule = events.put_rule(Name="replaced", EventPattern='{"source": ["a"]}', Description="d", Tags=tags)["RuleArn"]
    events.put_targets(Rule="replaced", Targets=[{"Id": "t", "Arn": queue}])
    events.put_rule(Name="replaced", EventPattern='{"source": ["b"]}')
    assert "Description" not in events.describe_rule(Name="replaced")
    assert len(events.list_targets_by_rule(Rule="replaced")["Targets"]) == 1
    assert events.list_tags_for_resource(ResourceARN=rule)["Tags"] == tags


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "ValidationException"),
        ({"EventPattern": '{"source": [{"prefixx": "a"}]}'}, "InvalidEventPatternException"),
        ({"EventPattern": "{"}, "InvalidEventPatternException"),
        ({"ScheduleExpression": "every day"}, "ValidationException"),
        ({"ScheduleExpression": "rate(1 hour)", "EventBusName": "scheduled"}, "ValidationException"),
        ({"EventPattern": '{"source": ["a"]}', "EventBusName": "nowhere"}, "ResourceNotFoundException"),
    ],
)
def test_a_rule_that_eventbridge_refuses_is_refused(mesh: Mesh, fields: dict, code: str):
    if fields.get("EventBusName") == "scheduled":
        mesh.client("events").create_event_bus(Name="scheduled")
    assert error_code(mesh.client("events").put_rule, Name="bad", **fields) == code


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"Arn": arn("kinesis", CENTRAL, "stream/s")}, "LocalAwsNotSupported"),
        ({"Arn": arn("states", CENTRAL, "stateMachine:m")}, "ValidationException"),
        ({"Arn": arn("events", PRODUCER, "event-bus/default")}, "ValidationException"),
        ({"Arn": arn("events", CENTRAL, "event-bus/other")}, "ValidationException"),
        ({"Arn": arn("sqs", CENTRAL, "q.fifo")}, "ValidationException"),
        ({"Arn": arn("sqs", CENTRAL, "q"), "Input": "{"}, "ValidationException"),
        ({"Arn": arn("sqs", CENTRAL, "q"), "InputTransformer": {"InputTemplate": '{"a": <b>}'}}, "ValidationException"),
        (
            {"Arn": arn("sqs", CENTRAL, "q"), "DeadLetterConfig": {"Arn": arn("sqs", CENTRAL, "d.fifo")}},
            "ValidationException",
        ),
        ({"Arn": arn("sqs", CENTRAL, "q"), "RetryPolicy": {"MaximumRetryAttempts": 186}}, "ValidationException"),
        ({"Arn": arn("sqs", CENTRAL, "q"), "KinesisParameters": {"PartitionKeyPath": "$.id"}}, "LocalAwsNotSupported"),
    ],
)
def test_a_target_that_is_refused(mesh: Mesh, target: dict, code: str):
    events = mesh.client("events")
    events.put_rule(Name="targets", EventPattern='{"source": ["targets"]}')
    assert error_code(events.put_targets, Rule="targets", Targets=[{"Id": "t", **target}]) == code


def test_a_rule_has_five_targets_at_most(mesh: Mesh):
    events, queue = mesh.client("events"), mesh.queue()
    events.put_rule(Name="many", EventPattern='{"source": ["many"]}')
    six = [{"Id": str(number), "Arn": queue} for number in range(6)]
    assert error_code(events.put_targets, Rule="many", Targets=six) == "LimitExceededException"


# --- routing


def test_an_event_reaches_the_targets_of_the_rules_that_match(mesh: Mesh):
    queue = mesh.queue()
    source = mesh.rule({"Arn": queue})
    answer = mesh.put(source, Resources=["arn:aws:s3:::b"], Time="2024-05-01T10:00:00Z")
    mesh.put("something else")
    mesh.settled()
    assert answer["FailedEntryCount"] == 0
    assert mesh.events(queue) == [
        {
            "version": "0",
            "id": answer["Entries"][0]["EventId"],
            "detail-type": "Test",
            "source": source,
            "account": CENTRAL,
            "time": "2024-05-01T10:00:00Z",
            "region": REGION,
            "resources": ["arn:aws:s3:::b"],
            "detail": {"n": 1},
        }
    ]


def test_rules_match_on_their_own_bus_only_and_when_they_are_enabled(mesh: Mesh):
    events, queue = mesh.client("events"), mesh.queue()
    events.create_event_bus(Name="side")
    source = mesh.rule({"Arn": queue}, bus="side")
    mesh.put(source)
    mesh.settled()
    assert mesh.events(queue) == []
    mesh.put(source, bus="side")
    mesh.settled()
    assert len(mesh.events(queue)) == 1
    events.disable_rule(Name=source, EventBusName="side")
    mesh.put(source, bus="side")
    mesh.settled()
    assert mesh.events(queue) == []
    events.enable_rule(Name=source, EventBusName="side")
    mesh.put(source, bus="side")
    mesh.settled()
    assert len(mesh.events(queue)) == 1


def test_targets_receive_what_their_input_settings_make(mesh: Mesh):
    queue = mesh.queue()
    events = mesh.client("events")
    events.put_rule(Name="inputs", EventPattern='{"source": ["inputs"]}')
    transformer = {
        "InputPathsMap": {"n": "$.detail.n", "from": "$.source"},
        "InputTemplate": '{"n": <n>, "from": <from>}',
    }
    events.put_targets(
        Rule="inputs",
        Targets=[
            {"Id": "1", "Arn": queue, "Input": '{"constant": true}'},
            {"Id": "2", "Arn": queue, "InputPath": "$.detail"},
            {"Id": "3", "Arn": queue, "InputTransformer": transformer},
        ],
    )
    mesh.put("inputs")
    mesh.settled()
    received = sorted(message["body"] for message in mesh.received(queue))
    assert received == sorted(['{"constant": true}', '{"n": 1}', '{"n": 1, "from": "inputs"}'])


def test_a_fifo_queue_receives_events_in_their_group(mesh: Mesh):
    sqs, queue = mesh.client("sqs"), arn("sqs", CENTRAL, "ordered.fifo")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="ordered.fifo", Attributes=attributes)["QueueUrl"]
    admit = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(admit)})
    mesh.put(mesh.rule({"Arn": queue, "SqsParameters": {"MessageGroupId": "g"}}))
    mesh.settled()
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["MessageGroupId"] == "g"


def test_entries_that_are_wrong_fail_one_by_one(mesh: Mesh):
    queue = mesh.queue()
    source = mesh.rule({"Arn": queue})
    good = {"Source": source, "DetailType": "T", "Detail": "{}"}
    answer = mesh.client("events").put_events(
        Entries=[
            good,
            {**good, "Detail": "not json"},
            {**good, "Detail": "[1]"},
            {"Source": source, "Detail": "{}"},
            {**good, "Source": "aws.s3"},
        ]
    )
    assert answer["FailedEntryCount"] == 4
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "MalformedDetail",
        "InvalidArgument",
        "NotAuthorizedForSourceException",
    ]
    mesh.settled()
    assert len(mesh.events(queue)) == 1


def test_a_request_has_ten_entries_and_a_size_at_most(mesh: Mesh):
    events = mesh.client("events")
    entry = {"Source": "s", "DetailType": "T", "Detail": "{}"}
    assert error_code(events.put_events, Entries=[entry] * 11) == "ValidationException"
    large = {**entry, "Detail": json.dumps({"x": "y" * 1_048_576})}
    assert error_code(events.put_events, Entries=[large]) == "ValidationException"


def test_events_for_a_bus_that_is_not_there_are_dropped_without_an_error(mesh: Mesh):
    assert mesh.put("x", bus="nowhere")["FailedEntryCount"] == 0
    assert any("no event bus nowhere" in line["text"] for line in mesh.aws.world.activity_after(0))


def test_patterns_can_be_tried(mesh: Mesh):
    events = mesh.client("events")
    event = {
        "id": "1",
        "detail-type": "T",
        "source": "s",
        "account": CENTRAL,
        "time": "2024-05-01T10:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": {"n": 3},
    }
    pattern = '{"detail": {"n": [{"numeric": [">", 2]}]}}'
    assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"] is True
    assert events.test_event_pattern(EventPattern='{"source": ["x"]}', Event=json.dumps(event))["Result"] is False
    assert (
        error_code(events.test_event_pattern, EventPattern="{}", Event=json.dumps(event))
        == "InvalidEventPatternException"
    )
    assert error_code(events.test_event_pattern, EventPattern=pattern, Event='{"id": "1"}') == "ValidationException"


def test_service_events_come_over_the_default_bus(mesh: Mesh):
    queue = mesh.queue()
    mesh.rule({"Arn": queue}, {"source": ["aws.glue"], "detail": {"crawlerName": [{"prefix": "tagmesh-"}]}})
    mesh.aws.world.emit_event(
        CENTRAL, REGION, "aws.glue", "Glue Crawler State Change", {"crawlerName": "tagmesh-x"}, ["r"]
    )
    mesh.settled()
    (event,) = mesh.events(queue)
    assert (event["source"], event["account"], event["resources"]) == ("aws.glue", CENTRAL, ["r"])


# --- who may


def test_a_queue_must_admit_eventbridge_for_the_rule(mesh: Mesh):
    dead = mesh.queue()
    closed = mesh.queue(admitted=False)
    source = mesh.rule({"Arn": closed, "DeadLetterConfig": {"Arn": dead}})
    mesh.put(source)
    mesh.settled()
    assert mesh.events(closed) == []
    (letter,) = mesh.received(dead)
    rule = arn("events", CENTRAL, f"rule/{source}")
    assert json.loads(letter["body"])["source"] == source
    assert letter["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"
    assert letter["attributes"]["RULE_ARN"] == rule
    assert letter["attributes"]["TARGET_ARN"] == closed
    assert "sqs:SendMessage" in letter["attributes"]["ERROR_MESSAGE"]
    assert letter["attributes"]["RETRY_ATTEMPTS"] == "0"

    other_rule = mesh.queue(admit={"ArnEquals": {"aws:SourceArn": rule + "-other"}})
    this_rule = mesh.queue(admit={"ArnEquals": {"aws:SourceArn": rule}})
    events = mesh.client("events")
    events.put_targets(Rule=source, Targets=[{"Id": "o", "Arn": other_rule}, {"Id": "t", "Arn": this_rule}])
    mesh.put(source)
    mesh.settled()
    assert mesh.events(other_rule) == []
    assert len(mesh.events(this_rule)) == 1


def test_a_target_with_a_role_is_reached_as_that_role(mesh: Mesh):
    closed, dead = mesh.queue(admitted=False), mesh.queue()
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": closed}
    mesh.put(mesh.rule({"Arn": closed, "RoleArn": mesh.role(send)}))
    mesh.put(mesh.rule({"Arn": closed, "RoleArn": mesh.role(), "DeadLetterConfig": {"Arn": dead}}))
    mesh.settled()
    assert len(mesh.events(closed)) == 1
    assert mesh.received(dead)[0]["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"


def test_a_target_that_is_gone_goes_to_the_dead_letters_at_once(mesh: Mesh):
    dead = mesh.queue()
    source = mesh.rule({"Arn": arn("sqs", CENTRAL, "gone"), "DeadLetterConfig": {"Arn": dead}})
    mesh.put(source)
    mesh.settled()
    assert mesh.received(dead)[0]["attributes"]["ERROR_CODE"] == "NO_RESOURCE"


def test_a_dead_letter_queue_that_does_not_admit_eventbridge_loses_the_event(mesh: Mesh):
    dead = mesh.queue(admitted=False)
    source = mesh.rule({"Arn": arn("sqs", CENTRAL, "gone"), "DeadLetterConfig": {"Arn": dead}})
    mesh.put(source)
    mesh.settled()
    assert mesh.received(dead) == []
    assert any("lost: the dead-letter queue" in line["text"] for line in mesh.aws.world.activity_after(0))


def uploads(mesh: Mesh, role: str, **target: Any) -> str:
    """A rule of the producer that sends to the central bus; the source it matches."""
    return mesh.rule({"Arn": arn("events", CENTRAL, "event-bus/mesh"), "RoleArn": role, **target}, account=PRODUCER)


@pytest.fixture(scope="module")
def central_bus(mesh: Mesh) -> str:
    """The central account's bus, which admits the producer's role only, and a queue of all that comes over it."""
    events = mesh.client("events")
    bus = events.create_event_bus(Name="mesh")["EventBusArn"]
    statement = {
        "Sid": "producers",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{PRODUCER}:root"},
        "Action": "events:PutEvents",
        "Resource": bus,
    }
    events.put_permission(EventBusName="mesh", Policy=policy(statement))
    queue = mesh.queue()
    mesh.rule({"Arn": queue}, {"account": [PRODUCER]}, bus="mesh")
    return queue


def sender(mesh: Mesh) -> str:
    statement = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": arn("events", CENTRAL, "event-bus/mesh")}
    return mesh.role(statement, account=PRODUCER)


def test_events_go_to_another_accounts_bus_as_they_are(mesh: Mesh, central_bus: str):
    source = uploads(mesh, sender(mesh))
    answer = mesh.put(source, account=PRODUCER, Resources=["arn:aws:s3:::bucket"], Time="2024-05-01T10:00:00Z")
    mesh.settled()
    (event,) = mesh.events(central_bus)
    assert event["account"] == PRODUCER
    assert event["id"] == answer["Entries"][0]["EventId"]
    assert event["resources"] == ["arn:aws:s3:::bucket"]
    assert event["time"] == "2024-05-01T10:00:00Z"


@pytest.mark.parametrize("missing", ["permission", "trust", "bus policy"])
def test_role_trust_and_bus_policy_must_all_admit_a_cross_account_event(mesh: Mesh, central_bus: str, missing: str):
    dead = mesh.queue(account=PRODUCER)
    allowed = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    role = {
        "permission": lambda: mesh.role(account=PRODUCER),
        "trust": lambda: mesh.role(allowed, account=PRODUCER, trusted=trust("lambda.amazonaws.com")),
        "bus policy": lambda: mesh.role(allowed, account=CONSUMER),
    }[missing]()
    account = CONSUMER if missing == "bus policy" else PRODUCER
    target = {"Arn": arn("events", CENTRAL, "event-bus/mesh"), "RoleArn": role}
    if account == PRODUCER:
        target["DeadLetterConfig"] = {"Arn": dead}
    source = mesh.rule(target, account=account)
    mesh.put(source, account=account)
    mesh.settled()
    assert mesh.events(central_bus) == []
    if account == PRODUCER:
        expected = {"permission": "NO_PERMISSIONS", "trust": "FAILED_TO_ASSUME_ROLE"}[missing]
        assert mesh.received(dead)[0]["attributes"]["ERROR_CODE"] == expected


def test_an_event_is_not_sent_on_to_a_third_account(mesh: Mesh, central_bus: str):
    onward = mesh.client("events", CONSUMER)
    bus = onward.create_event_bus(Name="onward")["EventBusArn"]
    anyone = {"Sid": "s", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus}
    onward.put_permission(EventBusName="onward", Policy=policy(anyone))
    last = mesh.queue(account=CONSUMER)
    mesh.rule({"Arn": last}, {"source": [{"prefix": ""}]}, account=CONSUMER, bus="onward")

    dead = mesh.queue()
    role = mesh.role({"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus})
    target = {"Arn": bus, "RoleArn": role, "DeadLetterConfig": {"Arn": dead}}
    mesh.rule(target, {"source": [{"prefix": ""}]}, bus="mesh")

    mesh.put("of central itself", bus="mesh")  # the first hop is fine
    mesh.settled()
    assert len(mesh.events(last)) == 1
    mesh.put(uploads(mesh, sender(mesh)), account=PRODUCER)
    mesh.settled()
    assert mesh.events(last) == []
    assert mesh.received(dead)[0]["attributes"]["ERROR_CODE"] == "THIRD_ACCOUNT_HOP_DETECTED"
    mesh.received(central_bus)


def test_put_events_to_another_accounts_bus_needs_its_policy(mesh: Mesh, central_bus: str):
    bus = arn("events", CENTRAL, "event-bus/mesh")
    allowed = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus}
    anyone = policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    entry = {"Source": "direct", "DetailType": "T", "Detail": "{}", "EventBusName": bus}
    for account, admitted in ((PRODUCER, True), (CONSUMER, False)):
        role = mesh.role(allowed, account=account, trusted=anyone)
        events = mesh.aws.session(account, role).client("events")
        if admitted:
            assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
        else:
            answer = events.put_events(Entries=[entry])
            assert (answer["FailedEntryCount"], answer["Entries"][0]["ErrorCode"]) == (1, "AccessDeniedException")
    mesh.settled()
    (event,) = mesh.events(central_bus)
    assert (event["account"], event["source"]) == (PRODUCER, "direct")


# --- state machines and functions


def test_a_machine_is_started_anew_for_each_delivery(mesh: Mesh):
    states = mesh.client("stepfunctions")
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    machine = states.create_state_machine(
        name="published", definition=json.dumps(definition), roleArn=mesh.role(trusted=trust("states.amazonaws.com"))
    )["stateMachineArn"]
    role = mesh.role({"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine})
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"n": <n>}'}
    source = mesh.rule({"Arn": machine, "RoleArn": role, "InputTransformer": transformer})
    mesh.put(source)
    mesh.put(source)
    mesh.settled()
    executions = states.list_executions(stateMachineArn=machine)["executions"]
    assert len({execution["name"] for execution in executions}) == 2
    described = states.describe_execution(executionArn=executions[0]["executionArn"])
    assert json.loads(described["input"]) == {"n": 1}

    dead = mesh.queue()
    powerless = mesh.rule({"Arn": machine, "RoleArn": mesh.role(), "DeadLetterConfig": {"Arn": dead}})
    mesh.put(powerless)
    mesh.settled()
    assert mesh.received(dead)[0]["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 2


def test_a_text_that_is_not_json_does_not_start_a_machine(mesh: Mesh):
    dead = mesh.queue()
    machine = arn("states", CENTRAL, "stateMachine:any")
    transformer = {"InputPathsMap": {"x": "$.detail.missing"}, "InputTemplate": '{"x": <x>}'}
    source = mesh.rule(
        {"Arn": machine, "RoleArn": mesh.role(), "InputTransformer": transformer, "DeadLetterConfig": {"Arn": dead}}
    )
    mesh.put(source)
    mesh.settled()
    assert mesh.received(dead)[0]["attributes"]["ERROR_CODE"] == "INVALID_JSON"


CODE = """
import json, urllib.request
def handler(event, context):
    print("received " + json.dumps(event["detail"]))
"""


def test_a_function_is_invoked_if_its_policy_admits_the_rule(mesh: Mesh):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", CODE)
    functions = mesh.client("lambda")
    logging = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    function = functions.create_function(
        FunctionName="listener",
        Runtime="python3.11",
        Handler="app.handler",
        Role=mesh.role(logging, trusted=trust("lambda.amazonaws.com")),
        Code={"ZipFile": packed.getvalue()},
    )["FunctionArn"]
    dead = mesh.queue()
    source = mesh.rule({"Arn": function, "DeadLetterConfig": {"Arn": dead}})
    mesh.put(source)
    mesh.settled()
    assert mesh.received(dead)[0]["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"

    functions.add_permission(
        FunctionName="listener",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=arn("events", CENTRAL, f"rule/{source}"),
    )
    mesh.put(source, Detail='{"n": 42}')
    mesh.settled()
    logged = mesh.client("logs").filter_log_events(logGroupName="/aws/lambda/listener")["events"]
    assert any('received {"n": 42}' in event["message"] for event in logged)
    assert mesh.received(dead) == []


# --- retries and time


def test_a_passing_error_is_retried_until_it_is_over(mesh: Mesh, monkeypatch: pytest.MonkeyPatch):
    queue = mesh.queue()
    source = mesh.rule({"Arn": queue})
    original, refusals = event_delivery._admitted, []

    def busy(*arguments: Any) -> None:
        if len(refusals) < 2:
            refusals.append(1)
            raise event_delivery.Undeliverable("THROTTLING", "busy", transient=True)
        original(*arguments)

    monkeypatch.setattr(event_delivery, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(event_delivery, "_admitted", busy)
    mesh.put(source)
    mesh.settled()
    assert len(mesh.events(queue)) == 1


@pytest.mark.parametrize(
    ("retry", "retries", "condition"),
    [
        ({"MaximumRetryAttempts": 0}, "0", "MaximumRetryAttempts"),
        ({"MaximumRetryAttempts": 2}, "2", "MaximumRetryAttempts"),
        ({"MaximumEventAgeInSeconds": 60}, None, "MaximumEventAgeInSeconds"),
    ],
)
def test_retries_end_as_the_policy_says(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, retry: dict, retries: str | None, condition: str
):
    dead = mesh.queue()
    target = mesh.queue()
    original = event_delivery._admitted

    def busy(sender: Any, action: str, resource: str) -> None:
        if resource == target:
            raise event_delivery.Undeliverable("THROTTLING", "busy", transient=True)
        original(sender, action, resource)

    # Half of the delay is random: the shortest one must already be beyond the age.
    monkeypatch.setattr(event_delivery, "FIRST_DELAY", 0.05 if retries else 200.0)
    monkeypatch.setattr(event_delivery, "_admitted", busy)
    source = mesh.rule({"Arn": target, "RetryPolicy": retry, "DeadLetterConfig": {"Arn": dead}})
    mesh.put(source)
    mesh.settled()
    (letter,) = mesh.received(dead)
    assert letter["attributes"]["EXHAUSTED_RETRY_CONDITION"] == condition
    if retries:
        assert letter["attributes"]["RETRY_ATTEMPTS"] == retries
    assert letter["attributes"]["ERROR_CODE"] == "THROTTLING"


def received_within(mesh: Mesh, queue: str, seconds: float = 5) -> list[dict]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := mesh.events(queue):
            return found
        time.sleep(0.05)
    return []


def test_a_rule_on_a_schedule_fires_one_interval_after_it_was_put_and_then_again(mesh: Mesh):
    events, queue, world = mesh.client("events"), mesh.queue(), mesh.aws.world
    rule = events.put_rule(Name="every-hour", ScheduleExpression="rate(1 hour)")["RuleArn"]
    events.put_targets(Rule="every-hour", Targets=[{"Id": "q", "Arn": queue}])
    mesh.put("every-hour")
    mesh.settled()
    assert mesh.events(queue) == []  # no event matches it, and its time has not come
    world.advance(3601)
    (event,) = received_within(mesh, queue)
    assert (event["source"], event["detail-type"], event["resources"]) == ("aws.events", "Scheduled Event", [rule])
    world.advance(3601)
    assert len(received_within(mesh, queue)) == 1
    events.disable_rule(Name="every-hour")
    world.advance(3601)
    mesh.settled()
    assert mesh.events(queue) == []


def test_what_is_not_built_is_refused_by_name(mesh: Mesh):
    events = mesh.client("events")
    assert error_code(events.list_archives) == "LocalAwsNotSupported"
    assert error_code(events.create_event_bus, Name="b", KmsKeyIdentifier="k") == "LocalAwsNotSupported"
    elsewhere = arn("events", CONSUMER, "event-bus/default")
    put = {"Name": "r", "EventBusName": elsewhere, "EventPattern": '{"source": ["x"]}'}
    assert error_code(events.put_rule, **put) == "LocalAwsNotSupported"
