"""How states behave: waits, retries, catchers, timeouts, branches and iterations, limits."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from asl import END, Machines, failing, machine, messages, one, queue, task


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


@pytest.fixture(scope="module")
def inbox(lab):
    return queue(lab)


def caught(error, *names, **fields):
    """A machine whose first state fails with an error that a catcher of these names may catch."""
    catch = [{"ErrorEquals": list(names), "Next": "B", **fields}]
    return machine({"A": failing(error, "why", Catch=catch, Next="C"), "B": END, "C": END})


def waiting(url, **fields):
    """A machine of one task that waits for its token."""
    body = {"token.$": "$$.Task.Token"}
    return task("sqs:sendMessage.waitForTaskToken", {"QueueUrl": url, "MessageBody": body}, **fields)


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.error-matching")
@pytest.mark.parametrize(
    ("error", "names", "is_caught"),
    [
        ("Busy", ["Busy"], True),
        ("Busy", ["Other", "Busy"], True),
        ("Busy", ["busy"], False),
        ("Busy", ["States.ALL"], True),
        ("Busy", ["States.TaskFailed"], True),
        ("Busy", ["States.Timeout"], False),
    ],
)
def test_a_catcher_matches_names_of_errors(machines, error, names, is_caught):
    answer = machines.quick(caught(error, *names))
    assert answer["status"] == ("SUCCEEDED" if is_caught else "FAILED")


LARGE = {"a": "x" * 200_000}


@pytest.mark.statement("stepfunctions.states-all", "stepfunctions.task-failed")
@pytest.mark.parametrize(
    ("names", "is_caught"),
    [(["States.ALL"], False), (["States.TaskFailed"], False), (["States.DataLimitExceeded"], True)],
)
def test_too_much_data_is_caught_by_its_own_name_only(machines, names, is_caught):
    doubled = machine({"D": {"Type": "Pass", "Parameters": {"b.$": "$", "c.$": "$"}, "End": True}})
    catch = [{"ErrorEquals": names, "ResultPath": None, "Next": "B"}]
    state = {"Type": "Parallel", "Branches": [doubled], "Catch": catch, "Next": "B"}
    answer = machines.quick(machine({"A": state, "B": END}), LARGE)
    assert answer["status"] == ("SUCCEEDED" if is_caught else "FAILED")
    assert is_caught or answer["error"] == "States.DataLimitExceeded"


@pytest.mark.statement("stepfunctions.states-all")
@pytest.mark.parametrize("name", ["States.ALL", "States.Runtime", "States.TaskFailed"])
def test_a_runtime_error_is_never_retried_or_caught(machines, name):
    broken = machine({"D": {"Type": "Pass", "InputPath": "$.missing", "End": True}})
    rule = {"ErrorEquals": [name]}
    state = {"Type": "Parallel", "Branches": [broken], "Retry": [{**rule, "IntervalSeconds": 99}], "Next": "B"}
    answer = machines.quick(machine({"A": {**state, "Catch": [{**rule, "Next": "B"}]}, "B": END}))
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")


@pytest.mark.statement("stepfunctions.catch-output")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ({}, {"Error": "Busy", "Cause": "why"}),
        ({"ResultPath": "$.error"}, {"a": 1, "error": {"Error": "Busy", "Cause": "why"}}),
        ({"ResultPath": None}, {"a": 1}),
    ],
    ids=["whole", "placed", "left out"],
)
def test_a_catcher_hands_on_error_and_cause(machines, path, expected):
    assert machines.output(caught("Busy", "Busy", **path), {"a": 1}) == expected


@pytest.mark.statement("stepfunctions.catch-output")
def test_the_first_catcher_that_matches_is_taken(machines):
    catch = [{"ErrorEquals": [name], "Next": name} for name in ("Other", "Busy", "States.ALL")]
    ends = {name: {"Type": "Pass", "Result": name, "End": True} for name in ("Other", "Busy", "States.ALL")}
    assert machines.output(machine({"A": failing("Busy", Catch=catch, Next="Busy"), **ends})) == "Busy"


# -- retries: each attempt of a Parallel tells its time in the history -------------------------------------------------


def attempts(machines, *errors, rules):
    """The time between the attempts of a state that fails with these errors in turn, the last one for ever, in units.
    The intervals of the retriers are in units too."""
    states = {f"E{n}": {"Type": "Fail", "Error": error, "Cause": "c"} for n, error in enumerate(errors)}
    choices = [{"Variable": "$.n", "NumericEquals": n, "Next": f"E{n}"} for n in range(len(errors))]
    choice = {"Type": "Choice", "Choices": choices, "Default": f"E{len(errors) - 1}"}
    branch = {"StartAt": "Which", "States": {"Which": choice, **states}}
    scaled = [
        {name: value * machines.unit if name.endswith("Seconds") else value for name, value in each.items()}
        for each in rules
    ]
    parameters = {"n.$": "$$.State.RetryCount"}
    state = {"Type": "Parallel", "Parameters": parameters, "Branches": [branch], "Retry": scaled, "End": True}
    execution = machines.start(machines.create(machine({"A": state})))
    machines.pass_time(200 * machines.unit)
    described = machines.ended(execution)
    gaps = machines.gaps(execution, "ParallelStateStarted")
    return [round(gap / machines.unit) for gap in gaps], described["error"]


def rule(*names, **fields):
    return {"ErrorEquals": list(names), **fields}


RETRIES = {
    "a rate of two": ([rule("E", IntervalSeconds=1)], ["E"], [1, 2, 4]),
    "interval and rate": ([rule("E", IntervalSeconds=3, BackoffRate=3, MaxAttempts=3)], ["E"], [3, 9, 27]),
    "a rate of one": ([rule("E", IntervalSeconds=5, BackoffRate=1, MaxAttempts=2)], ["E"], [5, 5]),
    "a longest delay": ([rule("E", IntervalSeconds=3, MaxDelaySeconds=5)], ["E"], [3, 5, 5]),
    "no attempts exclude an error": ([rule("E", MaxAttempts=0), rule("States.ALL")], ["E"], []),
    "another error": ([rule("Other")], ["E"], []),
    "each retrier counts for itself": (
        [rule("A", "B", IntervalSeconds=1, MaxAttempts=2), rule("C", IntervalSeconds=5)],
        ["A", "B", "C", "B"],
        [1, 2, 5],
    ),
    "the first retrier that matches": (
        [rule("E", IntervalSeconds=2, MaxAttempts=1), rule("States.ALL", IntervalSeconds=50)],
        ["E"],
        [2],
    ),
}


@pytest.mark.statement("stepfunctions.retry")
@pytest.mark.parametrize("name", RETRIES)
def test_an_error_is_retried_at_its_intervals(machines, name):
    rules, errors, expected = RETRIES[name]
    assert attempts(machines, *errors, rules=rules) == (expected, errors[-1])


@pytest.mark.statement("stepfunctions.retry")
def test_by_default_there_are_three_retries_the_first_after_a_second(machines):
    execution = machines.start(machines.create(machine({"A": failing("E", Retry=[rule("E")], End=True)})))
    machines.pass_time(8)
    machines.ended(execution)
    gaps = machines.gaps(execution, "ParallelStateStarted")
    assert len(gaps) == 3
    assert all(least <= gap for least, gap in zip((1, 2, 4), gaps, strict=True))


@pytest.mark.statement("stepfunctions.retry-jitter")
def test_full_jitter_draws_each_delay_below_the_interval(machines):
    rules = [rule("E", IntervalSeconds=60, MaxAttempts=3, BackoffRate=1, JitterStrategy="FULL")]
    gaps, _ = attempts(machines, "E", rules=rules)
    assert len(gaps) == 3
    assert all(0 <= gap <= 60 for gap in gaps)
    assert gaps != [60, 60, 60]


@pytest.mark.statement("stepfunctions.retry")
def test_retries_come_before_catchers(machines):
    catch = [{"ErrorEquals": ["E"], "ResultPath": "$.e", "Next": "B"}]
    retry = [rule("E", IntervalSeconds=7 * machines.unit, MaxAttempts=1)]
    execution = machines.start(
        machines.create(machine({"A": failing("E", Retry=retry, Catch=catch, Next="B"), "B": END}))
    )
    machines.pass_time(8 * machines.unit)
    assert json.loads(machines.ended(execution)["output"])["e"]["Error"] == "E"
    assert len(machines.gaps(execution, "ParallelStateStarted")) == 1


# -- time -----------------------------------------------------------------------------------------------------------


def moment(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.statement("stepfunctions.wait")
def test_a_wait_takes_its_time_and_passes_its_input(machines):
    unit = machines.unit
    waits = {
        "Seconds": (lambda: {"Seconds": 20 * unit}, 20),
        "nothing": (lambda: {"Seconds": 0}, 0),
        "SecondsPath": (lambda: {"SecondsPath": "$.n"}, 15),
        "Timestamp": (lambda: {"Timestamp": moment(10 * unit)}, 10),
        "the past": (lambda: {"Timestamp": "2020-01-01T00:00:00Z"}, 0),
        "TimestampPath": (lambda: {"TimestampPath": "$.t"}, 25),
    }
    started = {
        name: machines.start(machines.create(one(Type="Wait", **fields())), {"n": 15 * unit, "t": moment(25 * unit)})
        for name, (fields, _) in waits.items()
    }
    machines.pass_time(40 * unit)
    for name, execution in started.items():
        described = machines.ended(execution)
        took = (described["stopDate"] - described["startDate"]).total_seconds()
        assert abs(took / unit - waits[name][1]) < 4, (name, took)
        assert json.loads(described["output"])["n"] == 15 * unit


@pytest.mark.statement("stepfunctions.wait")
@pytest.mark.parametrize(
    "wait",
    [{"SecondsPath": "$.s"}, {"TimestampPath": "$.s"}, {"SecondsPath": "$.less"}, {"SecondsPath": "$.yes"}],
    ids=str,
)
def test_a_wait_for_what_is_no_time_is_a_runtime_error(machines, wait):
    assert machines.error(one(Type="Wait", **wait), {"s": "soon", "less": -1, "yes": True}) == "States.Runtime"


@pytest.mark.statement("stepfunctions.machine-timeout")
def test_a_machine_that_takes_too_long_times_out(machines):
    unit = machines.unit
    definition = machine({"A": {"Type": "Wait", "Seconds": 100 * unit, "End": True}}, TimeoutSeconds=10 * unit)
    execution = machines.start(machines.create(definition))
    machines.pass_time(12 * unit)
    described = machines.ended(execution)
    assert (described["status"], described["error"]) == ("TIMED_OUT", "States.Timeout")
    assert machines.types(execution)[-1] == "ExecutionTimedOut"


@pytest.mark.statement("stepfunctions.task-timeout", "stepfunctions.states-all", "stepfunctions.task-failed")
@pytest.mark.parametrize(
    ("fields", "names", "error", "seconds"),
    [
        ({"TimeoutSeconds": 10}, ["States.Timeout"], "States.Timeout", 10),
        ({"TimeoutSeconds": 10}, ["States.ALL"], "States.Timeout", 10),
        ({"TimeoutSeconds": 10}, ["States.TaskFailed"], None, 10),
        ({"TimeoutSecondsPath": "$.n"}, ["States.Timeout"], "States.Timeout", 10),
        ({"TimeoutSeconds": 60, "HeartbeatSeconds": 10}, ["States.HeartbeatTimeout"], "States.HeartbeatTimeout", 10),
        ({"HeartbeatSecondsPath": "$.n"}, ["States.Timeout"], "States.HeartbeatTimeout", 10),
        ({"HeartbeatSeconds": 10}, ["States.TaskFailed"], None, 10),
    ],
    ids=str,
)
def test_a_task_times_out_and_which_names_catch_that(machines, inbox, fields, names, error, seconds):
    unit = machines.unit
    given = {name: value * unit if isinstance(value, int) else value for name, value in fields.items()}
    definition = waiting(inbox[0], **given)
    definition["States"]["A"]["Catch"] = [{"ErrorEquals": names, "Next": "B"}]
    definition["States"]["B"] = END
    execution = machines.start(machines.create(definition), {"n": 10 * unit})
    machines.pass_time((seconds + 2) * unit)
    described = machines.ended(execution)
    took = (described["stopDate"] - described["startDate"]).total_seconds()
    assert abs(took / unit - seconds) < 4
    assert "TaskTimedOut" in machines.types(execution)
    if error:
        assert json.loads(described["output"])["Error"] == error
    else:
        assert described["status"] == "FAILED"


@pytest.mark.statement("stepfunctions.task-timeout")
@pytest.mark.parametrize("value", [0, -5, "10", True])
def test_a_timeout_from_the_input_must_be_a_positive_integer(machines, inbox, value):
    definition = waiting(inbox[0], TimeoutSecondsPath="$.n")
    assert machines.run(definition, {"n": value})["error"] == "States.Runtime"


@pytest.mark.statement("stepfunctions.heartbeat")
def test_heartbeats_keep_a_task_alive(lab, machines, inbox):
    url = queue(lab)[0]
    execution = machines.start(machines.create(waiting(url, HeartbeatSeconds=10 * machines.unit)))
    (message,) = lab.eventually(lambda: messages(lab, url))
    token = json.loads(message["Body"])["token"]
    for _ in range(2):
        machines.pass_time(7 * machines.unit)
        machines.states.send_task_heartbeat(taskToken=token)
    machines.pass_time(7 * machines.unit)
    machines.states.send_task_success(taskToken=token, output='"alive"')
    assert machines.ended(execution)["output"] == '"alive"'


@pytest.mark.local_only("five minutes")
@pytest.mark.statement("stepfunctions.express-duration")
def test_an_express_execution_ends_after_five_minutes(lab, machines):
    arn = machines.create(one(Type="Wait", Seconds=400), type="EXPRESS")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(machines.express.start_sync_execution(stateMachineArn=arn)))
    asking.start()
    name, executions = arn.split(":")[6], lab.aws.world.engines["stepfunctions"].executions
    machines.soon(lambda: any(each["stateMachine"] == name for each in executions()))
    machines.pass_time(301)
    asking.join(30)
    assert (answers[0]["status"], answers[0]["error"]) == ("TIMED_OUT", "States.Timeout")


# -- branches and iterations ------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.parallel")
def test_parallel_gives_the_outputs_of_its_branches_in_order(machines):
    slow = machine(
        {"Slow": {"Type": "Wait", "Seconds": 3, "Next": "S"}, "S": {"Type": "Pass", "Result": "slow", "End": True}}
    )
    fast = machine({"Fast": {"Type": "Pass", "Parameters": {"got.$": "$.x"}, "End": True}})
    definition = one(Type="Parallel", Parameters={"x.$": "$.a"}, Branches=[slow, fast], ResultPath="$.out")
    execution = machines.start(machines.create(definition), {"a": 1})
    machines.pass_time(4)
    assert json.loads(machines.ended(execution)["output"]) == {"a": 1, "out": ["slow", {"got": 1}]}


@pytest.mark.statement("stepfunctions.parallel")
def test_a_branch_that_fails_stops_the_others(machines):
    slow = machine({"Slow": {"Type": "Wait", "Seconds": 900, "End": True}})
    bad = machine({"Bad": {"Type": "Fail", "Error": "Broken", "Cause": "c"}})
    answer = machines.run(one(Type="Parallel", Branches=[slow, bad]))
    assert (answer["status"], answer["error"], answer["cause"]) == ("FAILED", "Broken", "c")
    types = machines.types(answer["executionArn"])
    assert "ParallelStateFailed" in types
    assert "WaitStateExited" not in types


def mapped(*states, **fields):
    return one(Type="Map", ItemProcessor=machine(dict(states)), **fields)


@pytest.mark.statement("stepfunctions.map", "stepfunctions.map-context")
def test_map_runs_its_processor_for_each_item_in_order(machines):
    definition = mapped(
        ("V", END),
        InputPath="$.detail",
        ItemsPath="$.shipped",
        ItemSelector={"parcel.$": "$$.Map.Item.Value", "n.$": "$$.Map.Item.Index", "courier.$": "$.partner"},
        ResultPath="$.out",
    )
    data = {"detail": {"partner": "UQS", "shipped": [{"prod": "R31"}, {"prod": "S39"}]}}
    assert machines.output(definition, data)["out"] == [
        {"parcel": {"prod": "R31"}, "n": 0, "courier": "UQS"},
        {"parcel": {"prod": "S39"}, "n": 1, "courier": "UQS"},
    ]
    assert machines.output(mapped(("V", END)), []) == []
    older = one(Type="Map", Iterator=machine({"V": END}), Parameters={"i.$": "$$.Map.Item.Index"})
    assert machines.output(older, ["a", "b"]) == [{"i": 0}, {"i": 1}]


@pytest.mark.statement("stepfunctions.map")
@pytest.mark.parametrize("data", [{"s": "text"}, {"s": {"a": 1}}, {}], ids=str)
def test_map_needs_an_array(machines, data):
    assert machines.error(mapped(("V", END), ItemsPath="$.s"), data) == "States.Runtime"


@pytest.mark.statement("stepfunctions.map")
def test_a_selector_that_finds_nothing_is_a_runtime_error(machines):
    assert machines.error(mapped(("V", END), ItemSelector={"a.$": "$.missing"}), [1]) == "States.Runtime"
    bad = mapped(("V", END), ItemSelector={"a.$": "States.StringToJson($$.Map.Item.Value)"})
    assert machines.error(bad, ["{"]) == "States.IntrinsicFailure"


@pytest.mark.statement("stepfunctions.map-concurrency")
@pytest.mark.parametrize(
    ("fields", "count", "seconds"),
    [
        ({}, 40, 10),
        ({}, 41, 20),
        ({"MaxConcurrency": 50}, 41, 20),
        ({"MaxConcurrency": 2}, 4, 20),
        ({"MaxConcurrencyPath": "$.n"}, 4, 20),
    ],
    ids=str,
)
def test_at_most_forty_iterations_run_at_once_or_fewer(machines, fields, count, seconds):
    unit = machines.unit
    definition = mapped(("W", {"Type": "Wait", "Seconds": 10 * unit, "End": True}), ItemsPath="$.all", **fields)
    execution = machines.start(machines.create(definition), {"all": list(range(count)), "n": 2})
    machines.pass_time(25 * unit)
    described = machines.ended(execution)
    assert abs((described["stopDate"] - described["startDate"]).total_seconds() / unit - seconds) < 5


@pytest.mark.statement("stepfunctions.map-concurrency")
@pytest.mark.parametrize("value", [-1, "2", True])
def test_a_concurrency_from_the_input_must_be_an_integer(machines, value):
    definition = mapped(("V", END), ItemsPath="$.all", MaxConcurrencyPath="$.n")
    assert machines.error(definition, {"all": [1], "n": value}) == "States.Runtime"
    assert machines.output(definition, {"all": [1], "n": 0}) == [1]


@pytest.mark.statement("stepfunctions.map-failure", "stepfunctions.map-retry")
def test_one_iteration_that_fails_fails_the_map_and_a_retry_runs_all_again(machines):
    choice = {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "Bad"}], "Default": "Good"}
    states = (("C", choice), ("Bad", {"Type": "Fail", "Error": "E", "Cause": "c"}), ("Good", END))
    definition = mapped(*states, MaxConcurrency=1, Retry=[rule("E", IntervalSeconds=1, MaxAttempts=1)])
    execution = machines.start(machines.create(definition), [1, 2, 3])
    machines.pass_time(2)
    assert machines.ended(execution)["error"] == "E"
    history = machines.history(execution)
    begun = [
        each["mapIterationStartedEventDetails"]["index"] for each in history if each["type"] == "MapIterationStarted"
    ]
    assert begun == [0, 1, 0, 1]
    types = [each["type"] for each in history]
    assert (types.count("MapStateFailed"), types.count("MapIterationFailed")) == (2, 2)


@pytest.mark.statement("stepfunctions.history-limit")
def test_an_execution_has_25000_events_at_most(machines):
    definition = machine(
        {
            "A": {"Type": "Pass", "Next": "B"},
            "B": {"Type": "Choice", "Choices": [{"Variable": "$.end", "IsPresent": True, "Next": "C"}], "Default": "A"},
            "C": END,
        }
    )
    described = machines.run(definition)
    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    last = machines.states.get_execution_history(
        executionArn=described["executionArn"], reverseOrder=True, maxResults=1
    )["events"][0]
    assert (last["id"], last["type"]) == (25_000, "ExecutionFailed")
    assert described["redriveStatus"] == "NOT_REDRIVABLE"
    assert described["redriveStatusReason"] == "Execution history event limit exceeded"


@pytest.mark.local_only("what the local AWS takes for work under way")
@pytest.mark.statement("stepfunctions.idle")
def test_a_short_wait_is_work_under_way_and_a_long_one_is_not(lab, machines, inbox):
    short = machines.start(machines.create(one(Type="Wait", Seconds=1)))
    lab.aws.world.wait_idle(30)
    assert machines.states.describe_execution(executionArn=short)["status"] == "SUCCEEDED"
    waits = [machines.start(machines.create(one(Type="Wait", Seconds=3600)))]
    waits.append(machines.start(machines.create(waiting(inbox[0]))))
    two = [
        machine({name: {"Type": "Wait", "Seconds": seconds, "End": True}}) for name, seconds in (("L", 3600), ("S", 2))
    ]
    waits.append(machines.start(machines.create(one(Type="Parallel", Branches=two))))
    lab.aws.world.wait_idle(30)
    for execution in waits:
        assert machines.states.describe_execution(executionArn=execution)["status"] == "RUNNING"
        machines.states.stop_execution(executionArn=execution)
    assert machines.types(waits[2]).count("WaitStateExited") == 1
