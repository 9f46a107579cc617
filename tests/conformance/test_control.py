"""The administration of a local AWS itself, below `/_local/`."""

from __future__ import annotations

import json

import pytest
import requests
from asl import queue
from botocore.exceptions import ConnectionClosedError
from bus import came, put, rule
from functions_lab import Functions, role_for
from lab import refused

pytestmark = pytest.mark.local_only("no other AWS has it")


@pytest.fixture
def ask(lab):
    """Sends a request to /_local/<path>; the status and the JSON answered."""

    def send(method, path, **body):
        answer = requests.request(method, f"{lab.aws.endpoint}/_local/{path}", json=body or None, timeout=30)
        return answer.status_code, answer.json()

    return send


@pytest.mark.statement("control.organization")
def test_an_organization_is_set_and_a_mistake_sets_nothing(lab, ask):
    members = [lab.account("central"), lab.account("consumer")]
    assert ask("PUT", "organization", id="o-one", members=members, ram_sharing=True)[0] == 200
    status, answer = ask("PUT", "organization", id="o-two", members=[], sharing=True)
    assert (status, "sharing" in answer["error"]) == (400, True)
    assert ask("PUT", "organization", members=[])[0] == 400
    assert lab.aws.world.organization == {"id": "o-one", "members": set(members), "ram_sharing": True}


@pytest.mark.statement("control.organization")
def test_units_are_those_of_the_organization_and_have_members_alone(lab, ask):
    members = [lab.account("central"), lab.account("consumer")]
    unit = f"arn:aws:organizations::{members[0]}:ou/o-example1234/ou-exam-readers12"
    whole = {"id": "o-example1234", "members": members, "management": members[0]}
    status, answer = ask("PUT", "organization", **whole, units={unit: members[1:]})
    assert (status, answer["units"]) == (200, {unit: members[1:]})
    wrongs = ({unit: ["999999999999"]}, {unit.replace("o-example1234", "o-another1234"): []}, {"ou-exam-readers12": []})
    assert [ask("PUT", "organization", **whole, units=each)[0] for each in wrongs] == [400, 400, 400]
    assert lab.aws.world.organization["units"] == {unit: members[1:]}


@pytest.mark.statement("control.activity")
def test_calls_and_activity_are_listed_from_a_number_on(lab, ask):
    sts = lab.client("sts", "central")
    sts.get_caller_identity()
    seen = ask("GET", "calls")[1]["log"][-1]["n"]
    sts.get_caller_identity()
    assert [each["operation"] for each in ask("GET", f"calls?after={seen}")[1]["log"]] == ["GetCallerIdentity"]

    lab.aws.world.activity("stage", "first", "happened")
    last = ask("GET", "activity")[1][-1]["n"]
    lab.aws.world.activity("stage", "second", "happened")
    assert [each["subject"] for each in ask("GET", f"activity?after={last}")[1]] == ["second"]


@pytest.mark.statement("control.idle")
def test_waiting_for_rest_ends_when_nothing_runs_and_names_what_does(lab, ask):
    assert ask("POST", "idle", timeout=10) == (200, {"idle": True, "busy": ""})
    role = lab.role("central", "states")
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    lab.client("iam", "central").update_assume_role_policy(
        RoleName=role.name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    states = {"Nap": {"Type": "Wait", "Seconds": 30, "End": True}}
    stepfunctions = lab.client("stepfunctions", "central")
    machine = stepfunctions.create_state_machine(
        name="naps", definition=json.dumps({"StartAt": "Nap", "States": states}), roleArn=role.arn
    )["stateMachineArn"]
    execution = stepfunctions.start_execution(stateMachineArn=machine)["executionArn"]
    idle = ask("POST", "idle", timeout=0.1)[1]
    assert (idle["idle"], "naps" in idle["busy"]) == (False, True)
    assert ask("POST", "clock", advance=31)[0] == 200
    assert ask("POST", "idle", timeout=10)[1]["idle"] is True
    assert stepfunctions.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"


@pytest.fixture
def faults(ask):
    """Asks for a fault; all are taken back at the end."""

    def add(**fault):
        status, answer = ask("POST", "faults", **fault)
        assert status == 200, answer

    yield add
    assert ask("DELETE", "faults") == (200, [])


def keys(lab, who="central"):
    return {tag["TagKey"] for tag in lab.client("lakeformation", who).list_lf_tags()["LFTags"]}


@pytest.mark.statement("control.faults")
def test_a_fault_happens_to_its_calls_after_those_that_pass_and_as_often_as_asked(lab, ask, faults):
    sts, caller = lab.client("sts", "central"), lab.role("central", "caller")
    faults(operation="sts:GetCallerIdentity", fault="throttle", skip=1, times=2)
    faults(operation="lakeformation:*", fault="throttle", times=0, principal=caller.name)
    sts.get_caller_identity()
    for _ in range(2):
        with refused("Throttling"):
            sts.get_caller_identity()
        sts.assume_role(RoleArn=caller.arn, RoleSessionName="other")
    sts.get_caller_identity()
    keys(lab)
    lab.allow(caller, "lakeformation:*")
    for _ in range(3):
        with refused("ThrottlingException"):
            keys(lab, caller)
    assert [(each["seen"], each["hits"]) for each in ask("GET", "faults")[1]] == [(4, 2), (3, 3)]


@pytest.mark.statement("control.fault-kinds")
def test_failures_are_named_in_a_successful_answer_and_an_old_answer_ends_with_its_time(lab, faults):
    lab.lake("central")
    lakeformation, resource = lab.client("lakeformation", "central"), {"Database": {"Name": lab.database("central")}}
    pairs = [{"TagKey": lab.lf_tag("central", key, "x"), "TagValues": ["x"]} for key in "ab"]
    for fault, failed in (("failures", pairs), ("partial", pairs[1:])):
        faults(operation="lakeformation:AddLFTagsToResource", fault=fault)
        answer = lakeformation.add_lf_tags_to_resource(Resource=resource, LFTags=pairs)
        assert [each["LFTag"] for each in answer["Failures"]] == failed
    carried = lakeformation.get_resource_lf_tags(Resource=resource)["LFTagOnDatabase"]
    assert [each["TagKey"] for each in carried] == [pairs[0]["TagKey"]]

    first, missing = keys(lab), lab.name("late")
    faults(operation="lakeformation:*", fault="stale", seconds=30, times=0)
    with refused("EntityNotFoundException"):
        lakeformation.get_lf_tag(TagKey=missing)
    assert keys(lab) == first
    lakeformation.create_lf_tag(TagKey=missing, TagValues=["x"])
    assert keys(lab) == first
    assert lakeformation.get_lf_tag(TagKey=missing)["TagValues"] == ["x"], "an error is asked for anew"
    lab.aws.world.advance(31)
    later = {*first, missing}
    assert keys(lab) == later
    lakeformation.delete_lf_tag(TagKey=missing)
    assert keys(lab) == first, "it is stale once"

    sqs, name = lab.client("sqs", "central"), lab.name("late", "-")
    faults(operation="sqs:GetQueueUrl", fault="stale", seconds=30, times=0)
    with refused("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
        sqs.get_queue_url(QueueName=name)
    lab.at_end(sqs.delete_queue, QueueUrl=sqs.create_queue(QueueName=name)["QueueUrl"])
    assert name in sqs.get_queue_url(QueueName=name)["QueueUrl"], "nor is moto's"


@pytest.mark.statement("control.fault-kinds")
@pytest.mark.parametrize(("fault", "count"), [("lose", 0), ("duplicate", 2), ("delay", 1)])
def test_an_event_is_lost_late_or_comes_twice(lab, ask, faults, fault, count):
    url, arn = queue(lab)
    source = rule(lab, {"Arn": arn})
    faults(event="Test", fault=fault, seconds=45.0 if fault == "delay" else 0.0)
    put(lab, source, DetailType="Other")
    came(lab, url)
    put(lab, source)
    came(lab, url, 0 if fault == "delay" else count)
    lab.aws.world.pass_time(60)
    came(lab, url, 1 if fault == "delay" else 0)
    put(lab, source)
    came(lab, url)


@pytest.mark.statement("control.fault-kinds")
@pytest.mark.parametrize(("fault", "done"), [("timeout_before", False), ("timeout_after", True)])
def test_a_call_breaks_off_before_or_after_it_was_done(lab, ask, faults, fault, done):
    lab.lake("central")
    key = lab.name("key")
    faults(operation="lakeformation:CreateLFTag", fault=fault)
    with pytest.raises(ConnectionClosedError):
        lab.client("lakeformation", "central").create_lf_tag(TagKey=key, TagValues=["x"])
    assert (key in keys(lab)) == done
    (seen,) = [each for each in ask("GET", "calls")[1]["log"] if each["error"] == "BrokenOff"][-1:]
    assert (seen["operation"], seen["verdict"]) == ("CreateLFTag", "allow")


PASSING_ON = """
import json, boto3, botocore.config

ONCE = botocore.config.Config(retries={"total_max_attempts": 1})

def handler(event, context):
    if not event["through"]:
        boto3.client("sqs", config=ONCE).send_message(QueueUrl=event["queue"], MessageBody="sent")
        return "sent"
    first, *rest = event["through"]
    payload = json.dumps({**event, "through": rest})
    answer = boto3.client("lambda", config=ONCE).invoke(FunctionName=first, Payload=payload)
    return [answer.get("FunctionError"), json.loads(answer["Payload"].read())]
"""


@pytest.mark.statement("control.fault-kinds")
@pytest.mark.parametrize(("fault", "sent"), [("crash_before", 0), ("crash_after", 1)])
def test_the_function_that_calls_is_killed_and_none_that_waits_for_it(lab, faults, fault, sent):
    functions = Functions(lab, role_for(lab, "lambda:InvokeFunction", "sqs:SendMessage"))
    waiting, calling = functions.make(PASSING_ON, Timeout=60), functions.make(PASSING_ON, Timeout=60)
    url, _ = queue(lab)
    faults(operation="sqs:SendMessage", fault=fault, principal=f"/{calling}")
    outer, (inner, (killed, error)) = functions.call(waiting, {"queue": url, "through": [waiting, waiting, calling]})
    assert (outer, inner, killed) == (None, None, "Unhandled")
    assert "Runtime exited" in error["errorMessage"]
    came(lab, url, sent)
    assert functions.call(calling, {"queue": url, "through": []}) == "sent"
    came(lab, url)


@pytest.mark.statement("control.fault-refused")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"fault": "throttle"}, "a fault has an operation"),
        ({"operation": "glue:GetTable", "event": "x", "fault": "lose"}, "a fault has an operation"),
        ({"operation": "glue:GetTable", "fault": "lose"}, "there is no fault 'lose' there"),
        ({"event": "x", "fault": "throttle"}, "there is no fault 'throttle' there"),
        ({"operation": "GetTable", "fault": "throttle"}, "'GetTable' is no operation"),
        ({"operation": "glue:GetTable", "fault": "failures"}, "only these answer with failures: Add"),
        ({"operation": "glue:GetTable", "fault": "stale", "seconds": 61}, "at most 60"),
        ({"operation": "glue:GetTable", "fault": "throttle", "times": -1}, "not negative"),
        ({"operation": "glue:GetTable", "fault": "throttle", "hits": 3}, "['hits']: a fault has event, fault, op"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_the_reason(ask, fault, reason):
    status, answer = ask("POST", "faults", **fault)
    assert (status, reason in answer["error"]) == (400, True), answer
    assert ask("GET", "faults") == (200, [])


@pytest.mark.statement("control.unknown")
def test_an_unknown_path_is_answered_with_what_there_is(ask):
    status, answer = ask("GET", "wonders")
    assert status == 404
    assert "/_local/clock" in answer["error"]
    assert ask("GET", "health")[1]["status"] == "ok"
