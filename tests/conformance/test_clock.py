"""The clock of a local AWS: what time passing does to schedules, waits, messages, credentials, functions and dates."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from datetime import datetime, timedelta
from functools import partial

import pytest
import requests
from botocore.exceptions import ClientError

from local_aws.clock import NO_MOMENT, seconds_of

DAY = 86_400

pytestmark = pytest.mark.local_only("no other AWS has a clock that one can move")


@pytest.fixture
def world(lab):
    return lab.aws.world


@pytest.fixture
def client(lab):
    return partial(_client, lab)


def _client(lab, service):
    return lab.client(service, "central")


@pytest.fixture
def account(lab):
    return lab.account("central")


def role(client, name, service, *actions):
    """A role's ARN that a service may assume."""
    iam = client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    if actions:
        allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(allow))
    return made


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def count_of(client, queue):
    answer = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


@pytest.mark.statement("clock.passes")
def test_everything_due_happens_when_a_day_passes_and_little_of_it_when_the_clock_jumps(world, client, account):
    queue = client("sqs").create_queue(QueueName="ticks")["QueueUrl"]
    arn = f"arn:aws:sqs:eu-west-1:{account}:ticks"
    target = {"Arn": arn, "RoleArn": role(client, "ticker", "scheduler.amazonaws.com", "sqs:SendMessage")}
    client("scheduler").create_schedule(
        Name="sweep", ScheduleExpression="rate(15 minutes)", Target=target, FlexibleTimeWindow={"Mode": "OFF"}
    )
    world.wait_idle()
    client("sqs").purge_queue(QueueUrl=queue)  # a rate fires at once, too

    assert world.pass_time(DAY) == 96
    assert count_of(client, queue) == 96

    world.advance(DAY)
    world.pass_time(60)
    assert count_of(client, queue) == 97
    client("scheduler").delete_schedule(Name="sweep")
    assert world.clock.next_moment() == NO_MOMENT


@pytest.mark.statement("clock.everything")
def test_a_wait_of_hours_is_over_when_they_have_passed(world, client):
    definition = {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 7200, "End": True}}}
    arn = client("stepfunctions").create_state_machine(
        name="rest", definition=json.dumps(definition), roleArn=role(client, "rests", "states.amazonaws.com")
    )["stateMachineArn"]
    execution = client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]

    world.pass_time(7100)
    assert client("stepfunctions").describe_execution(executionArn=execution)["status"] == "RUNNING"
    world.pass_time(200)
    ended = client("stepfunctions").describe_execution(executionArn=execution)
    assert ended["status"] == "SUCCEEDED"
    assert ended["stopDate"] - ended["startDate"] >= timedelta(seconds=7200)


@pytest.mark.statement("clock.everything")
def test_a_message_is_seen_again_after_its_visibility_timeout(world, client):
    sqs = client("sqs")
    queue = sqs.create_queue(QueueName="seen", Attributes={"VisibilityTimeout": "3600"})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    assert len(sqs.receive_message(QueueUrl=queue)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    world.pass_time(3601)
    assert len(sqs.receive_message(QueueUrl=queue)["Messages"]) == 1


@pytest.mark.statement("clock.everything")
def test_dates_of_objects_and_credentials_follow_the_clock(lab, world, client, account):
    issued = client("sts").assume_role(RoleArn=_assumable(client, account), RoleSessionName="guest")["Credentials"]
    assert issued["Expiration"] - world.now() < timedelta(hours=1, seconds=1)
    world.pass_time(2 * DAY)
    s3 = client("s3")
    s3.create_bucket(Bucket="dated", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="dated", Key="k", Body=b"x")
    written = s3.head_object(Bucket="dated", Key="k")["LastModified"]
    assert abs(written - world.now()) < timedelta(seconds=5)

    late = lab.session("central").client(
        "sts",
        aws_access_key_id=issued["AccessKeyId"],
        aws_secret_access_key=issued["SecretAccessKey"],
        aws_session_token=issued["SessionToken"],
    )
    with pytest.raises(ClientError, match="ExpiredToken"):
        late.get_caller_identity()


def _assumable(client, account):
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    made = client("iam").create_role(RoleName="guest", AssumeRolePolicyDocument=policy(trust))
    return made["Role"]["Arn"]


@pytest.mark.statement("clock.everything")
def test_a_function_sees_the_time_in_a_new_process_and_in_a_warm_one(world, client):
    code = "import os, time\ndef handler(event, context):\n    return [time.time(), os.getpid()]\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("app.py", code)
    functions = client("lambda")
    functions.create_function(
        FunctionName="clocked",
        Runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}",
        Handler="app.handler",
        Role=role(client, "runs", "lambda.amazonaws.com"),
        Code={"ZipFile": archive.getvalue()},
    )

    def told():
        seconds, process = json.load(functions.invoke(FunctionName="clocked")["Payload"])
        assert abs(seconds - world.now().timestamp()) < 5
        return process

    first = told()
    world.pass_time(600)
    assert told() == first
    world.pass_time(3600)
    told()


@pytest.mark.statement("clock.control")
def test_the_clock_is_asked_and_moved_over_http(lab, world):
    url = f"{lab.aws.endpoint}/_local/clock"
    before = requests.get(url, timeout=5).json()
    after = requests.post(url, json={"advance": 3600}, timeout=30).json()
    passed = datetime.fromisoformat(after["now"]) - datetime.fromisoformat(before["now"])
    assert timedelta(hours=1) <= passed < timedelta(hours=1, seconds=10)
    assert after["ahead_seconds"] == pytest.approx(before["ahead_seconds"] + 3600, abs=10)
    assert abs(world.now() - datetime.fromisoformat(after["now"])) < timedelta(seconds=5)


@pytest.mark.statement("clock.control")
@pytest.mark.parametrize("body", [{"advance": -1}, {"advance": "soon"}, {"advance": 1, "back": 2}, {}])
def test_a_clock_is_not_moved_by_a_mistake(lab, world, body):
    before = world.clock.offset
    answer = requests.post(f"{lab.aws.endpoint}/_local/clock", json=body, timeout=5)
    assert (answer.status_code, world.clock.offset) == (400, before)


@pytest.mark.statement("clock.control")
def test_durations():
    assert seconds_of("90s") == 90
    assert seconds_of("2h30m") == 9000
    assert seconds_of("1.5d") == 129_600
    for mistake in ("", "5", "d", "1x", "m5", "-1h"):
        with pytest.raises(ValueError, match="no duration"):
            seconds_of(mistake)
