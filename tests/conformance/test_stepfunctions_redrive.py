"""Redrive: an execution that did not succeed goes on from where it failed."""

import json

import pytest
from asl import END, Machines, failing, machine, messages, one, queue
from lab import refused

WEEK = 7 * 24 * 3600


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


def ask(name, **fields):
    """A task that fails while there is no queue of this name."""
    state = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl"}
    return {**state, "Parameters": {"QueueName": name}, "ResultPath": None, **fields}


def make_queue(lab, name):
    url = lab.client("sqs", "central").create_queue(QueueName=name)["QueueUrl"]
    lab.at_end(lab.client("sqs", "central").delete_queue, QueueUrl=url)


def redrive(machines, execution, **fields):
    return machines.states.redrive_execution(executionArn=execution, **fields)["redriveDate"]


@pytest.mark.statement(
    "stepfunctions.redrive",
    "stepfunctions.redrive-history",
    "stepfunctions.redrive-described",
    "stepfunctions.redrive-entered",
)
def test_a_redriven_execution_goes_on_with_the_state_that_failed_and_its_input(lab, machines):
    name = lab.name("late", "-")
    note = {"Type": "Pass", "Parameters": {"count.$": "$$.Execution.RedriveCount", "at.$": "$$.Execution.RedriveTime"}}
    states = {
        "First": {"Type": "Pass", "Result": 1, "ResultPath": "$.first", "Next": "Ask"},
        "Ask": ask(name, Next="Note"),
    }
    arn = machines.create(machine({**states, "Note": {**note, "ResultPath": "$.note", "End": True}}))
    execution = machines.start(arn, {"a": 1})
    failed = machines.ended(execution)
    assert (failed["status"], failed["redriveCount"], failed["redriveStatus"]) == ("FAILED", 0, "REDRIVABLE")
    assert "redriveDate" not in failed
    before = machines.history(execution)
    make_queue(lab, name)
    machines.states.update_state_machine(stateMachineArn=arn, definition=json.dumps(one(Type="Pass", Result="new")))

    moment = redrive(machines, execution)
    ended = machines.ended(execution)
    output = json.loads(ended["output"])
    assert (output["a"], output["first"], output["note"]["count"]) == (1, 1, 1)  # by the original definition
    assert (ended["status"], ended["redriveCount"], ended["redriveDate"]) == ("SUCCEEDED", 1, moment)
    assert "error" not in ended
    after = machines.history(execution)
    assert after[: len(before)] == before
    added = after[len(before) :]
    assert [event["type"] for event in added] == [
        "ExecutionRedriven",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert added[0]["executionRedrivenEventDetails"] == {"redriveCount": 1}
    with refused("ExecutionNotRedrivable", message="SUCCEEDED"):
        redrive(machines, execution)
    listed = machines.states.list_executions(stateMachineArn=arn, redriveFilter="REDRIVEN")["executions"]
    assert [(each["redriveCount"], each["redriveDate"]) for each in listed] == [(1, moment)]
    assert machines.states.list_executions(stateMachineArn=arn, redriveFilter="NOT_REDRIVEN")["executions"] == []


@pytest.mark.statement("stepfunctions.redrive-retries")
def test_retries_are_counted_anew(lab, machines):
    retry = [{"ErrorEquals": ["E"], "IntervalSeconds": 10, "BackoffRate": 1, "MaxAttempts": 2}]
    execution = machines.start(machines.create(machine({"A": failing("E", Retry=retry, End=True)})))
    machines.pass_time(25)
    machines.ended(execution)
    redrive(machines, execution)
    machines.pass_time(25)
    assert machines.ended(execution)["redriveCount"] == 1
    assert machines.types(execution).count("ParallelStateStarted") == 6


@pytest.mark.statement("stepfunctions.redrive-map")
def test_only_iterations_that_failed_or_were_stopped_run_again(lab, machines):
    url, name = queue(lab)[0], lab.name("late", "-")
    send = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "ResultPath": None, "Next": "C"}
    send["Parameters"] = {"QueueUrl": url, "MessageBody.$": "$"}
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 2, "Next": "Ask"}], "Default": "G"}
    processor = machine({"Send": send, "C": choice, "Ask": ask(name, End=True), "G": END})
    definition = one(Type="Map", MaxConcurrency=1, ItemProcessor=processor)
    execution = machines.start(machines.create(definition), [{"n": n} for n in (1, 2, 3)])
    assert machines.ended(execution)["status"] == "FAILED"
    sent = [json.loads(each["Body"])["n"] for each in messages(lab, url)]
    assert sent == [1, 2]
    make_queue(lab, name)
    redrive(machines, execution)
    ended = machines.ended(execution)
    assert json.loads(ended["output"]) == [{"n": 1}, {"n": 2}, {"n": 3}]
    # The second iteration goes on where it failed, after its message; the third had not begun.
    assert [json.loads(each["Body"])["n"] for each in messages(lab, url)] == [3]


@pytest.mark.statement("stepfunctions.redrive-parallel")
def test_only_branches_that_failed_or_were_stopped_run_again(lab, machines):
    name = lab.name("late", "-")
    once = machine({"Once": {"Type": "Pass", "Parameters": {"x.$": "States.UUID()"}, "End": True}})
    late = machine({"Wait": {"Type": "Wait", "Seconds": machines.unit, "Next": "Ask"}, "Ask": ask(name, End=True)})
    slow = machine({"Slow": {"Type": "Wait", "Seconds": 5 * machines.unit, "End": True}})
    execution = machines.start(machines.create(one(Type="Parallel", Branches=[once, late, slow])))
    machines.pass_time(2 * machines.unit)
    assert machines.ended(execution)["status"] == "FAILED"
    make_queue(lab, name)
    redrive(machines, execution)
    machines.pass_time(6 * machines.unit)
    assert machines.ended(execution)["status"] == "SUCCEEDED"
    types = machines.types(execution)
    assert (types.count("PassStateEntered"), types.count("WaitStateEntered"), types.count("WaitStateExited")) == (
        1,
        2,
        2,
    )


@pytest.mark.statement("stepfunctions.redrive-map", "stepfunctions.redrive-parallel")
@pytest.mark.parametrize("kind", ["Map", "Parallel"])
def test_all_run_again_where_the_state_failed_of_too_much_data(machines, kind):
    part = machine({"P": {"Type": "Pass", "End": True}})
    state = {
        "Map": {"ItemProcessor": part, "ItemsPath": "$.n", "ItemSelector": {"x.$": "$.x"}},
        "Parallel": {"Branches": [part, machine({"Q": END})]},
    }
    execution = machines.start(machines.create(one(Type=kind, **state[kind])), {"n": [1, 2], "x": "x" * 150_000})
    assert machines.ended(execution)["error"] == "States.DataLimitExceeded"
    redrive(machines, execution)
    machines.ended(execution)
    assert machines.types(execution).count("PassStateEntered") == 4


@pytest.mark.statement("stepfunctions.redrive-fail", "stepfunctions.redrive-timeout")
def test_fail_fails_again_and_a_machines_timeout_begins_anew(machines):
    execution = machines.run(machine({"F": {"Type": "Fail", "Error": "E"}}))["executionArn"]
    redrive(machines, execution)
    assert machines.ended(execution)["status"] == "FAILED"
    assert machines.types(execution).count("FailStateEntered") == 2

    unit = machines.unit
    timed = machine({"W": {"Type": "Wait", "Seconds": 15 * unit, "End": True}}, TimeoutSeconds=20 * unit)
    states = {"V": {"Type": "Wait", "Seconds": 10 * unit, "Next": "W"}, **timed["States"]}
    execution = machines.start(machines.create({**timed, "StartAt": "V", "States": states}))
    machines.pass_time(22 * unit)
    assert machines.ended(execution)["status"] == "TIMED_OUT"
    redrive(machines, execution)
    machines.pass_time(16 * unit)
    assert machines.ended(execution)["status"] == "SUCCEEDED"


@pytest.mark.statement("stepfunctions.redrive-eligible")
def test_what_runs_succeeded_or_is_nowhere_is_not_redriven(machines):
    arn = machines.create(one(Type="Wait", Seconds=3600))
    running = machines.start(arn)
    described = machines.states.describe_execution(executionArn=running)
    assert described["redriveStatusReason"] == "Execution is RUNNING and cannot be redriven"
    with refused("ExecutionNotRedrivable", message="RUNNING"):
        redrive(machines, running)
    with refused("ExecutionDoesNotExist"):
        redrive(machines, running + "x")
    machines.states.stop_execution(executionArn=running)
    redrive(machines, running)  # an aborted one is
    assert machines.states.describe_execution(executionArn=running)["status"] == "RUNNING"
    machines.states.delete_state_machine(stateMachineArn=arn)
    machines.states.stop_execution(executionArn=running)
    with refused("ExecutionNotRedrivable", message="DELETING"):
        redrive(machines, running)


@pytest.mark.statement("stepfunctions.redrive-token")
def test_a_client_token_redrives_once_in_fifteen_minutes(lab, machines):
    execution = machines.run(machine({"F": {"Type": "Fail", "Error": "E"}}))["executionArn"]
    moment = redrive(machines, execution, clientToken="again")
    machines.ended(execution)
    assert redrive(machines, execution, clientToken="again") == moment
    assert machines.states.describe_execution(executionArn=execution)["redriveCount"] == 1
    redrive(machines, execution, clientToken="other")
    assert machines.ended(execution)["redriveCount"] == 2
    if lab.is_local:
        machines.pass_time(15 * 60 + 1)
        redrive(machines, execution, clientToken="again")
        assert machines.ended(execution)["redriveCount"] == 3


@pytest.mark.local_only("two weeks")
@pytest.mark.statement("stepfunctions.redrive-eligible")
def test_an_execution_can_be_redriven_for_fourteen_days(lab, machines):
    execution = machines.run(machine({"F": {"Type": "Fail", "Error": "E"}}))["executionArn"]
    lab.aws.world.advance(2 * WEEK - 60)
    redrive(machines, execution)  # the days count from its last end
    machines.ended(execution)
    lab.aws.world.advance(2 * WEEK + 60)
    described = machines.states.describe_execution(executionArn=execution)
    assert (described["redriveStatus"], described["redriveStatusReason"]) == (
        "NOT_REDRIVABLE",
        "Execution redrivable period exceeded",
    )
    with refused("ExecutionNotRedrivable"):
        redrive(machines, execution)
    young = machines.run(machine({"F": {"Type": "Fail", "Error": "E"}}))["executionArn"]
    for _ in range(28):
        lab.aws.world.advance(2 * WEEK - 60)
        if machines.states.describe_execution(executionArn=young)["redriveStatus"] == "NOT_REDRIVABLE":
            break
        redrive(machines, young)
        machines.ended(young)
    described = machines.states.describe_execution(executionArn=young)
    assert described["redriveStatusReason"] == "Execution has exceeded the max execution time"
    assert described["redriveCount"] == 26
