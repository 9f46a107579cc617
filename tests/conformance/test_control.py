"""The administration of a local AWS itself, below `/_local/`."""

from __future__ import annotations

import json

import pytest
import requests

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


@pytest.mark.statement("control.unknown")
def test_an_unknown_path_is_answered_with_what_there_is(ask):
    status, answer = ask("GET", "wonders")
    assert status == 404
    assert "/_local/clock" in answer["error"]
    assert ask("GET", "health")[1]["status"] == "ok"
