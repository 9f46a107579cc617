"""The interpreter: data flow, retries, catchers, timeouts and branches, on a clock that jumps over waits."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_aws.stepfunctions import asl_interpreter, asl_validation
from local_aws.stepfunctions.asl_data_flow import Run, TaskCall
from local_aws.stepfunctions.asl_errors import StateFailed
from local_aws.stepfunctions.asl_interpreter import MachineTimedOut

START = datetime(2024, 5, 1, 10, 0, tzinfo=UTC)
WORK = "arn:aws:states:::lambda:invoke"
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:work"
END = {"Type": "Pass", "End": True}


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where everybody waits, and then at once."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        self.passed = 0.0
        select = self._selector.select

        def jump(timeout: float | None) -> list:
            self.passed += timeout or 0
            return select(0)

        self._selector.select = jump

    def time(self) -> float:
        return self.passed


@dataclass
class Token:
    text: str
    answered: asyncio.Future
    beats: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def answer(self) -> Any:
        return await asyncio.shield(self.answered)

    async def heartbeat(self) -> None:
        self.beats.clear()
        await self.beats.wait()

    def close(self) -> None:
        self.closed = True


@dataclass
class Outcome:
    """What a machine did: its output or its failure, the seconds it took, its calls and its history."""

    output: Any = None
    failure: StateFailed | None = None
    seconds: float = 0
    calls: list[TaskCall] = field(default_factory=list)
    history: list[tuple[str, int, dict]] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)

    @property
    def error(self) -> str | None:
        return self.failure.error if self.failure else None

    def types(self) -> list[str]:
        return [kind for kind, _, _ in self.history]

    def parameters(self) -> list[Any]:
        return [call.parameters for call in self.calls]


Work = Callable[[TaskCall], Coroutine[Any, Any, Any]]


def run(
    definition: dict,
    data: Any = None,
    work: Work | None = None,
    limit: int = 25_000,
    hold: Callable[[Token], None] = lambda token: None,
) -> Outcome:
    """Run a checked definition with `work` as the doing of every task; `hold` gets each task token."""
    asl_validation.check(json.dumps(definition))
    outcome = Outcome()
    loop = JumpingLoop()

    async def call(task: TaskCall) -> Any:
        outcome.calls.append(task)
        assert work is not None, "this machine was not meant to call anything"
        return await work(task)

    def record(kind: str, previous: int, details: dict) -> int:
        if len(outcome.history) >= limit:
            raise StateFailed("States.Runtime", "too many events")
        outcome.history.append((kind, previous, details))
        return len(outcome.history)

    def open_token() -> Token:
        token = Token(f"token-{len(outcome.tokens)}", loop.create_future())
        outcome.tokens.append(token)
        hold(token)
        return token

    context = {
        "Execution": {"Id": "arn:execution", "Name": "run", "Input": data, "StartTime": "2024-05-01T10:00:00Z"},
        "StateMachine": {"Id": "arn:machine", "Name": "machine"},
    }
    the_run = Run(
        context=context,
        call=call,
        open_token=open_token,
        sleep=asyncio.sleep,
        timer=asyncio.sleep,
        now=lambda: START + timedelta(seconds=loop.time()),
        record=record,
    )

    async def go() -> None:
        first = record("ExecutionStarted", 0, {})
        try:
            outcome.output = await asl_interpreter.run_machine(definition, data, the_run, first)
        except StateFailed as failure:
            outcome.failure = failure

    try:
        loop.run_until_complete(go())
        outcome.seconds = loop.time()
    finally:
        loop.close()
    return outcome


def machine(states: dict, **fields: object) -> dict:
    return {"StartAt": next(iter(states)), "States": states, **fields}


def one(**state: object) -> dict:
    return machine({"A": {"End": True, **state}})


def task(**fields: object) -> dict:
    return one(**{"Type": "Task", "Resource": FUNCTION, **fields})


def answering(*answers: Any) -> Work:
    """Work that gives these answers in turn; an exception among them is raised."""
    rest = list(answers)

    async def work(_task: TaskCall) -> Any:
        answer = rest.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return work


def failing(*errors: str) -> Work:
    return answering(*(StateFailed(error, f"cause of {error}") for error in errors))


async def echo(call: TaskCall) -> Any:
    return call.parameters


def taking(seconds: float) -> Work:
    async def work(_task: TaskCall) -> Any:
        await asyncio.sleep(seconds)
        return "done"

    return work


# --- data flow


def test_a_pass_state_passes_its_input():
    assert run(one(Type="Pass"), {"a": 1}).output == {"a": 1}


def test_result_stands_for_the_result():
    assert run(one(Type="Pass", Result={"x": "$.a"}, ResultPath="$.r"), {"a": 1}).output == {"a": 1, "r": {"x": "$.a"}}


def test_parameters_see_what_input_path_selects_and_the_context():
    state = {
        "Type": "Pass",
        "InputPath": "$.inner",
        "Parameters": {
            "value.$": "$.a",
            "run.$": "$$.Execution.Name",
            "id.$": "$$.Execution.Id",
            "input.$": "$$.Execution.Input.outer",
            "start.$": "$$.Execution.StartTime",
            "state.$": "$$.State.Name",
            "entered.$": "$$.State.EnteredTime",
            "machine.$": "$$.StateMachine.Id",
            "made.$": "States.Format('{}!', $.a)",
        },
    }
    assert run(one(**state), {"inner": {"a": 1}, "outer": 2}).output == {
        "value": 1,
        "run": "run",
        "id": "arn:execution",
        "input": 2,
        "start": "2024-05-01T10:00:00Z",
        "state": "A",
        "entered": "2024-05-01T10:00:00Z",
        "machine": "arn:machine",
        "made": "1!",
    }


def test_a_result_joins_the_raw_input_not_the_effective_one():
    state = {"InputPath": "$.inner", "Parameters": {"x.$": "$.a"}, "ResultPath": "$.out"}
    outcome = run(task(**state), {"inner": {"a": 1}}, echo)
    assert outcome.output == {"inner": {"a": 1}, "out": {"x": 1}}


def test_result_selector_comes_before_result_path_and_output_path_after():
    state = {
        "ResultSelector": {"n.$": "$.deep.n", "who.$": "$$.Execution.Name"},
        "ResultPath": "$.r",
        "OutputPath": "$.r",
    }
    assert run(task(**state), {"a": 1}, answering({"deep": {"n": 7}})).output == {"n": 7, "who": "run"}


def test_null_paths():
    assert run(task(ResultPath=None), {"a": 1}, answering("gone")).output == {"a": 1}
    assert run(task(InputPath=None), {"a": 1}, echo).output == {}
    assert run(one(Type="Pass", OutputPath=None), {"a": 1}).output == {}


def test_indefinite_paths_give_lists():
    data = {"list": [{"t": "x", "n": 1}, {"t": "y", "n": 2}]}
    template = {"one.$": "$.list[?(@.t == 'x')]", "none.$": "$.list[?(@.t == 'q')]", "flat.$": "$.list[*].n"}
    assert run(one(Type="Pass", Parameters=template), data).output == {
        "one": [{"t": "x", "n": 1}],
        "none": [],
        "flat": [1, 2],
    }


@pytest.mark.parametrize(
    "state",
    [
        {"InputPath": "$.missing"},
        {"OutputPath": "$.missing"},
        {"Parameters": {"a.$": "$.missing"}},
        {"ResultSelector": {"a.$": "$.missing"}},
        {"TimeoutSecondsPath": "$.missing"},
        {"TimeoutSecondsPath": "$.text"},
    ],
    ids=str,
)
def test_a_path_to_nothing_fails_the_execution_and_no_catch_helps(state: dict):
    definition = machine(
        {
            "A": {
                "Type": "Task",
                "Resource": FUNCTION,
                "Retry": [{"ErrorEquals": ["States.ALL"]}],
                "Catch": [
                    {"ErrorEquals": ["States.Runtime"], "Next": "B"},
                    {"ErrorEquals": ["States.ALL"], "Next": "B"},
                ],
                "End": True,
                **state,
            },
            "B": END,
        }
    )
    outcome = run(definition, {"a": 1, "text": "x"}, answering({"r": 1}))
    assert outcome.error == "States.Runtime"
    assert "the state 'A' (entered at the event id #2)" in outcome.failure.cause or "$.text" in outcome.failure.cause


def test_an_intrinsic_function_that_fails_can_be_caught():
    definition = machine(
        {
            "A": {
                "Type": "Task",
                "Resource": FUNCTION,
                "Parameters": {"a.$": "States.StringToJson($.text)"},
                "Catch": [{"ErrorEquals": ["States.IntrinsicFailure"], "ResultPath": "$.error", "Next": "B"}],
                "End": True,
            },
            "B": END,
        }
    )
    assert run(definition, {"text": "{"}).output["error"]["Error"] == "States.IntrinsicFailure"


def test_a_result_that_cannot_be_placed_fails_the_state():
    assert run(task(ResultPath="$.a.b"), {"a": 1}, answering("r")).error == "States.ResultPathMatchFailure"


# --- choices, waits, ends


def test_a_choice_leads_on_with_its_input():
    definition = machine(
        {
            "C": {
                "Type": "Choice",
                "InputPath": "$.inner",
                "Choices": [{"Variable": "$.go", "BooleanEquals": True, "Next": "Yes"}],
                "Default": "No",
            },
            "Yes": {"Type": "Succeed", "OutputPath": "$.n"},
            "No": {"Type": "Fail", "Error": "Stopped"},
        }
    )
    assert run(definition, {"inner": {"go": True, "n": 1}}).output == 1
    assert run(definition, {"inner": {"go": False}}).error == "Stopped"
    assert run(definition, {"inner": {}}).error == "States.Runtime"


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        ({"Seconds": 30}, 30),
        ({"Seconds": 0}, 0),
        ({"SecondsPath": "$.seconds"}, 12),
        ({"Timestamp": "2024-05-01T10:01:00Z"}, 60),
        ({"Timestamp": "2023-05-01T10:01:00Z"}, 0),
        ({"TimestampPath": "$.time"}, 90),
    ],
)
def test_a_wait_takes_its_time(wait: dict, seconds: float):
    outcome = run(one(Type="Wait", **wait), {"seconds": 12, "time": "2024-05-01T10:01:30Z"})
    assert outcome.seconds == pytest.approx(seconds)
    assert outcome.output["seconds"] == 12


def test_a_wait_for_what_is_no_time_fails():
    assert run(one(Type="Wait", SecondsPath="$.s"), {"s": "soon"}).error == "States.Runtime"
    assert run(one(Type="Wait", TimestampPath="$.s"), {"s": "soon"}).error == "States.Runtime"


def test_fail_takes_error_and_cause_as_they_are_or_from_paths():
    fixed = run(machine({"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}))
    assert (fixed.error, fixed.failure.cause) == ("E", "C")
    state = {"Type": "Fail", "ErrorPath": "$.e.Error", "CausePath": "States.Format('because {}', $.e.Cause)"}
    read = run(machine({"F": state}), {"e": {"Error": "E2", "Cause": "C2"}})
    assert (read.error, read.failure.cause) == ("E2", "because C2")
    assert run(machine({"F": state}), {"e": {"Error": 5, "Cause": "C2"}}).error == "States.Runtime"
    assert run(machine({"F": {"Type": "Fail"}})).error == ""


# --- retries


def test_an_error_is_retried_at_growing_intervals():
    retry = [{"ErrorEquals": ["Busy"], "IntervalSeconds": 3, "MaxAttempts": 3, "BackoffRate": 2}]
    busy = [StateFailed("Busy")] * 3
    outcome = run(task(Retry=retry), {}, answering(*busy, "done"))
    assert (outcome.output, outcome.seconds) == ("done", 3 + 6 + 12)


def test_defaults_are_three_attempts_one_second_and_a_rate_of_two():
    outcome = run(task(Retry=[{"ErrorEquals": ["Busy"]}]), {}, failing(*["Busy"] * 9))
    assert (outcome.error, len(outcome.calls), outcome.seconds) == ("Busy", 4, 1 + 2 + 4)


def test_the_longest_delay_bounds_the_intervals():
    retry = [{"ErrorEquals": ["Busy"], "IntervalSeconds": 3, "MaxAttempts": 3, "BackoffRate": 2, "MaxDelaySeconds": 5}]
    assert run(task(Retry=retry), {}, failing(*["Busy"] * 9)).seconds == 3 + 5 + 5


def test_full_jitter_spreads_the_delays_below_the_interval():
    retry = [{"ErrorEquals": ["Busy"], "IntervalSeconds": 100, "MaxAttempts": 1, "JitterStrategy": "FULL"}]
    delays = {run(task(Retry=retry), {}, failing("Busy", "Busy")).seconds for _ in range(5)}
    assert len(delays) == 5
    assert all(0 <= delay <= 100 for delay in delays)


def test_each_retrier_counts_its_own_attempts():
    """The developer guide's complex retry scenario: ErrorA, ErrorB, ErrorC, ErrorB."""
    definition = machine(
        {
            "X": {
                "Type": "Task",
                "Resource": FUNCTION,
                "Retry": [
                    {"ErrorEquals": ["ErrorA", "ErrorB"], "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 2},
                    {"ErrorEquals": ["ErrorC"], "IntervalSeconds": 5},
                ],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}],
                "End": True,
            },
            "Z": END,
        }
    )
    outcome = run(definition, {}, failing("ErrorA", "ErrorB", "ErrorC", "ErrorB"))
    assert outcome.output == {"Error": "ErrorB", "Cause": "cause of ErrorB"}
    assert (outcome.seconds, len(outcome.calls)) == (1 + 2 + 5, 4)


def test_an_error_excluded_by_zero_attempts_is_not_retried():
    retry = [{"ErrorEquals": ["Fatal"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]
    assert len(run(task(Retry=retry), {}, failing("Fatal")).calls) == 1


def test_the_retry_count_is_in_the_context():
    state = {"Parameters": {"n.$": "$$.State.RetryCount"}, "Retry": [{"ErrorEquals": ["Busy"]}]}
    outcome = run(task(**state), {}, answering(StateFailed("Busy"), StateFailed("Busy"), 1))
    assert outcome.parameters() == [{"n": 0}, {"n": 1}, {"n": 2}]


# --- catchers


def caught(error: str, *names: str) -> bool:
    definition = machine(
        {
            "A": {
                "Type": "Task",
                "Resource": FUNCTION,
                "Catch": [{"ErrorEquals": list(names), "Next": "B"}],
                "End": True,
            },
            "B": {"Type": "Pass", "Result": "caught", "End": True},
        }
    )
    return run(definition, {}, failing(error)).output == "caught"


def test_what_a_catcher_matches():
    assert caught("Busy", "Busy")
    assert caught("Busy", "Other", "Busy")
    assert caught("Busy", "States.ALL")
    assert caught("Busy", "States.TaskFailed")
    assert caught("States.Timeout", "States.ALL")
    assert caught("States.Timeout", "States.Timeout")
    assert caught("States.DataLimitExceeded", "States.DataLimitExceeded")


def test_what_a_catcher_does_not_match():
    assert not caught("Busy", "busy")
    assert not caught("States.Timeout", "States.TaskFailed")
    assert not caught("States.Runtime", "States.ALL")
    assert not caught("States.Runtime", "States.Runtime")
    assert not caught("States.Runtime", "States.TaskFailed")
    assert not caught("States.DataLimitExceeded", "States.ALL")
    assert not caught("States.DataLimitExceeded", "States.TaskFailed")


@pytest.mark.parametrize(
    ("result_path", "expected"),
    [
        ({}, {"Error": "Busy", "Cause": "cause of Busy"}),
        ({"ResultPath": "$.error-info"}, {"a": 1, "error-info": {"Error": "Busy", "Cause": "cause of Busy"}}),
        ({"ResultPath": None}, {"a": 1}),
    ],
)
def test_a_catcher_hands_on_the_error(result_path: dict, expected: dict):
    definition = machine(
        {
            "A": {
                "Type": "Task",
                "Resource": FUNCTION,
                "OutputPath": "$.never",
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B", **result_path}],
                "End": True,
            },
            "B": END,
        }
    )
    assert run(definition, {"a": 1}, failing("Busy")).output == expected


# --- timeouts, heartbeats, tokens


def test_a_task_that_takes_too_long_times_out_and_is_left():
    outcome = run(task(TimeoutSeconds=5), {}, taking(60))
    assert (outcome.error, outcome.seconds) == ("States.Timeout", 5)
    assert "LambdaFunctionTimedOut" in outcome.types()


def test_a_timeout_can_come_from_the_input():
    assert run(task(TimeoutSecondsPath="$.t"), {"t": 7}, taking(60)).seconds == 7


def test_a_task_in_time_does_not_time_out():
    outcome = run(task(TimeoutSeconds=5), {}, taking(4))
    assert (outcome.output, outcome.seconds) == ("done", 4)


def test_a_machine_that_takes_too_long_times_out_whatever_it_catches():
    definition = machine(
        {
            "A": {"Type": "Wait", "Seconds": 100, "Next": "B"},
            "B": END,
        },
        TimeoutSeconds=30,
    )
    outcome = run(definition)
    assert isinstance(outcome.failure, MachineTimedOut)
    assert (outcome.error, outcome.seconds) == ("States.Timeout", 30)


def callback(**fields: object) -> dict:
    return one(
        Type="Task",
        Resource="arn:aws:states:::lambda:invoke.waitForTaskToken",
        Parameters={"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
        **fields,
    )


def run_with_token(definition: dict, *steps: tuple[float, str, Any]) -> Outcome:
    """Run while somebody who holds the token acts after so many seconds: (seconds, `answer` or `beat`, value)."""

    def hold(token: Token) -> None:
        loop = asyncio.get_running_loop()
        for seconds, action, value in steps:
            if action == "beat":
                loop.call_later(seconds, token.beats.set)
            elif isinstance(value, Exception):
                loop.call_later(seconds, token.answered.set_exception, value)
            else:
                loop.call_later(seconds, token.answered.set_result, value)

    return run(definition, {}, answering({"accepted": True}), hold=hold)


def test_a_task_waits_for_its_token():
    outcome = run_with_token(callback(), (100, "answer", {"ok": 1}))
    assert (outcome.output, outcome.seconds) == ({"ok": 1}, 100)
    assert outcome.parameters() == [{"FunctionName": "f", "Payload": {"token": "token-0"}}]
    assert outcome.types()[2:7] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded", "TaskStateExited"]
    assert outcome.tokens[0].closed


def test_a_failure_answered_to_a_token_is_the_tasks_failure():
    outcome = run_with_token(callback(), (10, "answer", StateFailed("Declined", "no")))
    assert (outcome.error, outcome.failure.cause) == ("Declined", "no")


def test_heartbeats_keep_a_task_alive_and_their_absence_ends_it():
    beats = [(seconds, "beat", None) for seconds in (50, 100, 150)]
    alive = run_with_token(callback(HeartbeatSeconds=60), *beats, (200, "answer", "done"))
    assert (alive.output, alive.seconds) == ("done", 200)
    silent = run_with_token(callback(HeartbeatSeconds=60), *beats, (300, "answer", "late"))
    assert (silent.error, silent.seconds) == ("States.HeartbeatTimeout", 210)
    assert "TaskTimedOut" in silent.types()


def test_a_token_is_waited_for_no_longer_than_the_timeout():
    outcome = run_with_token(callback(TimeoutSeconds=30), (100, "answer", "late"))
    assert (outcome.error, outcome.seconds) == ("States.Timeout", 30)
    assert outcome.tokens[0].closed


# --- Parallel and Map


def test_parallel_gives_the_outputs_of_its_branches_in_order():
    branches = [
        machine(
            {"Slow": {"Type": "Wait", "Seconds": 9, "Next": "S"}, "S": {"Type": "Pass", "Result": "slow", "End": True}}
        ),
        machine({"Fast": {"Type": "Pass", "Parameters": {"got.$": "$.x"}, "End": True}}),
    ]
    state = {"Type": "Parallel", "Parameters": {"x.$": "$.a"}, "Branches": branches, "ResultPath": "$.out"}
    outcome = run(one(**state), {"a": 1})
    assert (outcome.output, outcome.seconds) == ({"a": 1, "out": ["slow", {"got": 1}]}, 9)


def test_a_branch_that_fails_stops_the_others_and_can_be_caught():
    branches = [
        machine({"Slow": {"Type": "Wait", "Seconds": 900, "End": True}}),
        machine({"Bad": {"Type": "Fail", "Error": "Broken", "Cause": "c"}}),
    ]
    definition = machine(
        {
            "P": {
                "Type": "Parallel",
                "Branches": branches,
                "Catch": [{"ErrorEquals": ["Broken"], "ResultPath": "$.e", "Next": "After"}],
                "Next": "After",
            },
            "After": END,
        }
    )
    outcome = run(definition, {})
    assert (outcome.output, outcome.seconds) == ({"e": {"Error": "Broken", "Cause": "c"}}, 0)
    assert "ParallelStateFailed" in outcome.types()


def mapped(processor: dict, **fields: object) -> dict:
    return one(**{"Type": "Map", "ItemProcessor": processor, **fields})


def test_map_runs_its_processor_for_each_item_in_order():
    processor = machine({"V": {"Type": "Task", "Resource": FUNCTION, "End": True}})
    state = {
        "InputPath": "$.detail",
        "ItemsPath": "$.shipped",
        "ItemSelector": {"parcel.$": "$$.Map.Item.Value", "n.$": "$$.Map.Item.Index", "courier.$": "$.partner"},
        "ResultPath": "$.detail.shipped",
    }
    data = {"detail": {"partner": "UQS", "shipped": [{"prod": "R31"}, {"prod": "S39"}]}}
    assert run(mapped(processor, **state), data, echo).output == {
        "detail": {
            "partner": "UQS",
            "shipped": [
                {"parcel": {"prod": "R31"}, "n": 0, "courier": "UQS"},
                {"parcel": {"prod": "S39"}, "n": 1, "courier": "UQS"},
            ],
        }
    }


def test_map_over_nothing_gives_nothing():
    assert run(mapped(machine({"V": END})), []).output == []


@pytest.mark.parametrize(("concurrency", "seconds"), [(0, 10), (1, 60), (2, 30), (4, 20)])
def test_max_concurrency_bounds_the_iterations(concurrency: int, seconds: float):
    processor = machine({"W": {"Type": "Wait", "Seconds": 10, "End": True}})
    assert run(mapped(processor, MaxConcurrency=concurrency), [1, 2, 3, 4, 5, 6]).seconds == seconds


def test_no_more_than_forty_iterations_run_at_once():
    processor = machine({"W": {"Type": "Wait", "Seconds": 10, "End": True}})
    assert run(mapped(processor), list(range(41))).seconds == 20


def test_concurrency_can_come_from_the_input():
    processor = machine({"W": {"Type": "Wait", "Seconds": 10, "End": True}})
    data = {"n": 3, "items": [1, 2, 3]}
    assert run(mapped(processor, MaxConcurrencyPath="$.n", ItemsPath="$.items"), data).seconds == 10


def test_an_iteration_that_fails_fails_the_map_and_a_retry_runs_all_again():
    processor = machine({"V": {"Type": "Task", "Resource": FUNCTION, "End": True}})
    state = {"MaxConcurrency": 1, "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1}]}
    outcome = run(mapped(processor, **state), ["a", "b"], answering("a1", StateFailed("Busy"), "a2", "b2"))
    assert outcome.output == ["a2", "b2"]
    assert outcome.types().count("MapIterationFailed") == 1
    assert "MapStateFailed" in outcome.types()


def test_map_needs_an_array():
    assert run(mapped(machine({"V": END}), ItemsPath="$.s"), {"s": "text"}).error == "States.Runtime"


def test_a_runtime_error_within_a_map_fails_the_execution():
    processor = machine({"V": {"Type": "Pass", "Parameters": {"a.$": "$.missing"}, "End": True}})
    definition = machine(
        {
            "M": {
                "Type": "Map",
                "ItemProcessor": processor,
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}],
                "Next": "B",
            },
            "B": END,
        }
    )
    assert run(definition, [1]).error == "States.Runtime"


def test_the_map_item_is_known_to_the_item_selector_only():
    processor = machine({"V": {"Type": "Pass", "Parameters": {"i.$": "$$.Map.Item.Index"}, "End": True}})
    assert run(mapped(processor), [1]).error == "States.Runtime"


# --- limits and history


def test_a_payload_of_more_than_256_kb_is_an_error_of_its_own():
    large = "x" * 262_144
    assert run(task(), {}, answering(large)).error == "States.DataLimitExceeded"
    assert run(one(Type="Pass", Parameters={"a.$": "$", "b.$": "$"}), "x" * 140_000).error == "States.DataLimitExceeded"
    assert run(task(ResultPath=None), {}, answering("x" * 262_000)).error is None


def test_the_history_of_a_function_task():
    outcome = run(task(TimeoutSeconds=5), {"a": 1}, answering("done"))
    assert outcome.history[1:] == [
        ("TaskStateEntered", 1, {"name": "A", "input": '{"a":1}'}),
        ("LambdaFunctionScheduled", 2, {"timeoutInSeconds": 5, "resource": FUNCTION, "input": '{"a":1}'}),
        ("LambdaFunctionStarted", 3, {}),
        ("LambdaFunctionSucceeded", 4, {"output": '"done"'}),
        ("TaskStateExited", 5, {"name": "A", "output": '"done"'}),
    ]


def test_the_history_of_a_service_task_that_fails():
    state = {"Resource": "arn:aws:states:::aws-sdk:glue:startCrawler", "Parameters": {"Name": "c"}}
    outcome = run(task(**state), {}, failing("Glue.CrawlerRunningException"))
    where = {"resourceType": "aws-sdk:glue", "resource": "startCrawler"}
    assert outcome.history[2:] == [
        ("TaskScheduled", 2, {**where, "parameters": '{"Name":"c"}'}),
        ("TaskStarted", 3, where),
        (
            "TaskFailed",
            4,
            {**where, "error": "Glue.CrawlerRunningException", "cause": "cause of Glue.CrawlerRunningException"},
        ),
    ]


def test_a_history_that_is_full_ends_the_execution():
    loop = machine({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice", "Choices": [
        {"Variable": "$.a", "IsPresent": True, "Next": "A"}], "Default": "C"}, "C": END})  # fmt: skip
    assert run(loop, {"a": 1}, limit=100).error == "States.Runtime"


def test_credentials_name_the_role_of_a_task():
    state = {"Credentials": {"RoleArn.$": "States.Format('arn:aws:iam::{}:role/r', $.account)"}}
    outcome = run(task(**state), {"account": "111122223333"}, echo)
    assert outcome.calls[0].credentials_role == "arn:aws:iam::111122223333:role/r"
    scheduled = next(details for kind, _, details in outcome.history if kind == "LambdaFunctionScheduled")
    assert scheduled["taskCredentials"] == {"roleArn": "arn:aws:iam::111122223333:role/r"}
