"""Faults that are asked for happen, to what they are about, as often as asked, and are counted."""

from __future__ import annotations

import io
import json
import sys
import time
import urllib.error
import urllib.request
import zipfile
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from local_aws.server import LocalAws

ACCOUNT = "111111111111"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
ONCE = Config(retries={"total_max_attempts": 1})


def tell(aws: LocalAws, method: str, body: dict | None = None, route: str = "faults") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{aws.endpoint}/_local/{route}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def lake(aws: LocalAws) -> Any:
    client = aws.session(ACCOUNT).client("lakeformation", config=ONCE)
    arn = aws.session(ACCOUNT).client("sts").get_caller_identity()["Arn"]
    client.put_data_lake_settings(DataLakeSettings={"DataLakeAdmins": [{"DataLakePrincipalIdentifier": arn}]})
    return client


def tags(client: Any) -> set[str]:
    return {tag["TagKey"] for tag in client.list_lf_tags()["LFTags"]}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttle", "ThrottlingException"),
        ("error", "InternalServiceException"),
        ("denied", "AccessDeniedException"),
        ("concurrent", "ConcurrentModificationException"),
    ],
)
def test_an_error_comes_before_anything_is_done_and_as_often_as_asked(aws: LocalAws, fault: str, code: str):
    client = lake(aws)
    tell(aws, "POST", {"operation": "lakeformation:CreateLFTag", "fault": fault, "skip": 1, "times": 2})

    client.create_lf_tag(TagKey="first", TagValues=["a"])
    for _ in range(2):
        with pytest.raises(ClientError, match=code):
            client.create_lf_tag(TagKey="second", TagValues=["a"])
    assert tags(client) == {"first"}
    client.create_lf_tag(TagKey="second", TagValues=["a"])

    assert tags(client) == {"first", "second"}
    assert [(each["seen"], each["hits"]) for each in tell(aws, "GET")] == [(4, 2)]


@pytest.mark.parametrize(("fault", "done"), [("timeout_before", set()), ("timeout_after", {"key"})])
def test_a_connection_that_breaks_off_leaves_open_whether_it_was_done(aws: LocalAws, fault: str, done: set[str]):
    client = lake(aws)
    tell(aws, "POST", {"operation": "lakeformation:CreateLFTag", "fault": fault})

    with pytest.raises(ConnectionClosedError):
        client.create_lf_tag(TagKey="key", TagValues=["a"])

    assert tags(client) == done
    last = [record for record in aws.world.log if record.operation == "CreateLFTag"][-1]
    assert (last.verdict, last.error) == ("allow", "BrokenOff")


@pytest.mark.parametrize(("fault", "done"), [("failures", set()), ("partial", {"a"})])
def test_failures_inside_a_successful_answer(aws: LocalAws, fault: str, done: set[str]):
    client = lake(aws)
    aws.session(ACCOUNT).client("glue").create_database(DatabaseInput={"Name": "d"})
    for key in ("a", "b"):
        client.create_lf_tag(TagKey=key, TagValues=["x"])
    tell(aws, "POST", {"operation": "lakeformation:AddLFTagsToResource", "fault": fault})
    resource = {"Database": {"Name": "d"}}
    wanted = [{"TagKey": key, "TagValues": ["x"]} for key in ("a", "b")]

    answer = client.add_lf_tags_to_resource(Resource=resource, LFTags=wanted)

    failed = {each["LFTag"]["TagKey"] for each in answer["Failures"]}
    carried = client.get_resource_lf_tags(Resource=resource).get("LFTagOnDatabase", [])
    assert failed == {"a", "b"} - done
    assert {tag["TagKey"] for tag in carried} == done
    assert client.add_lf_tags_to_resource(Resource=resource, LFTags=wanted)["Failures"] == []


def test_a_fault_may_be_about_one_caller_only(aws: LocalAws):
    client = lake(aws)
    tell(aws, "POST", {"operation": "lakeformation:*", "fault": "throttle", "principal": "somebody-else", "times": 0})

    assert tags(client) == set()
    assert tell(aws, "GET")[0]["hits"] == 0


def test_stale_answers_end_after_their_time(aws: LocalAws):
    client = lake(aws)
    tell(aws, "POST", {"operation": "lakeformation:ListLFTags", "fault": "stale", "seconds": 30, "times": 0})

    assert tags(client) == set()
    client.create_lf_tag(TagKey="key", TagValues=["a"])
    assert tags(client) == set()
    aws.world.advance(31)
    assert tags(client) == {"key"}


CODE = """
import boto3, botocore.config

def handler(event, context):
    sqs = boto3.client("sqs", config=botocore.config.Config(retries={"total_max_attempts": 1}))
    sqs.send_message(QueueUrl=event["queue"], MessageBody="sent")
    return "done"
"""


@pytest.mark.parametrize(("fault", "sent"), [("crash_before", "0"), ("crash_after", "1")])
def test_a_function_is_killed_in_the_middle_of_a_call(aws: LocalAws, fault: str, sent: str):
    session = aws.session(ACCOUNT)
    functions, sqs, iam = (session.client(each) for each in ("lambda", "sqs", "iam"))
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    may = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="function", PolicyName="allowed", PolicyDocument=policy)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", CODE)
    functions.create_function(
        FunctionName="sender",
        Runtime=PYTHON,
        Handler="app.handler",
        Role=role,
        Code={"ZipFile": content.getvalue()},
        Timeout=30,
    )
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    tell(aws, "POST", {"operation": "sqs:SendMessage", "fault": fault, "principal": "/sender"})
    payload = json.dumps({"queue": queue}).encode()

    answer = functions.invoke(FunctionName="sender", Payload=payload)

    assert answer["FunctionError"] == "Unhandled"
    assert "Runtime exited" in json.loads(answer["Payload"].read())["errorMessage"]
    counted = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    assert counted["Attributes"]["ApproximateNumberOfMessages"] == sent
    assert json.loads(functions.invoke(FunctionName="sender", Payload=payload)["Payload"].read()) == "done"


@pytest.mark.parametrize(("fault", "at_once", "later"), [("lose", 0, 0), ("duplicate", 2, 2), ("delay", 0, 1)])
def test_events_are_lost_doubled_or_late(aws: LocalAws, fault: str, at_once: int, later: int):
    session = aws.session(ACCOUNT)
    events, sqs = session.client("events"), session.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["mine"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    tell(aws, "POST", {"event": "Happened", "fault": fault, "seconds": 45.0 if fault == "delay" else 0.0})

    def arrived() -> int:
        aws.world.wait_idle(10, waits=False)
        time.sleep(0.05)
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    events.put_events(Entries=[{"Source": "mine", "DetailType": "Happened", "Detail": "{}"}])
    assert arrived() == at_once
    aws.world.pass_time(60)
    assert arrived() == later
    events.put_events(Entries=[{"Source": "mine", "DetailType": "Happened", "Detail": "{}"}])
    assert arrived() == later + 1, "it happens once"


@pytest.mark.parametrize(
    "body",
    [
        {"fault": "throttle"},
        {"operation": "glue:GetTable", "event": "x", "fault": "throttle"},
        {"operation": "glue:GetTable", "fault": "lose"},
        {"event": "x", "fault": "throttle"},
        {"operation": "GetTable", "fault": "throttle"},
        {"operation": "glue:GetTable", "fault": "failures"},
        {"operation": "glue:GetTable", "fault": "stale", "seconds": 61},
        {"operation": "glue:GetTable", "fault": "throttle", "times": -1},
        {"operation": "glue:GetTable", "fault": "throttle", "often": 3},
    ],
)
def test_a_fault_that_cannot_be_is_refused(aws: LocalAws, body: dict):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        tell(aws, "POST", body)
    assert tell(aws, "GET") == []


def test_faults_can_be_taken_back(aws: LocalAws):
    client = lake(aws)
    tell(aws, "POST", {"operation": "lakeformation:*", "fault": "throttle", "times": 0})
    with pytest.raises(ClientError):
        tags(client)

    assert tell(aws, "DELETE") == []
    assert tags(client) == set()
