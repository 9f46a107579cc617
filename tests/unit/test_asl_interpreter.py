"""The interpreter: data flow, retries, catchers, timeouts and branches, on a clock that jumps over waits."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local_aws.stepfunctions import asl_interpreter, asl_validation
from local_aws.stepfunctions.asl_data_flow import Run, TaskCall
from local_aws.stepfunctions.asl_errors import StateFailed

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


# --- choices, waits, ends


# --- retries


def test_the_retry_count_is_in_the_context():
    state = {"Parameters": {"n.$": "$$.State.RetryCount"}, "Retry": [{"ErrorEquals": ["Busy"]}]}
    outcome = run(task(**state), {}, answering(StateFailed("Busy"), StateFailed("Busy"), 1))
    assert outcome.parameters() == [{"n": 0}, {"n": 1}, {"n": 2}]


# --- catchers


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


def test_a_token_is_waited_for_no_longer_than_the_timeout():
    outcome = run_with_token(callback(TimeoutSeconds=30), (100, "answer", "late"))
    assert (outcome.error, outcome.seconds) == ("States.Timeout", 30)
    assert outcome.tokens[0].closed


# --- Parallel and Map


def mapped(processor: dict, **fields: object) -> dict:
    return one(**{"Type": "Map", "ItemProcessor": processor, **fields})


def test_the_map_item_is_known_to_the_item_selector_only():
    processor = machine({"V": {"Type": "Pass", "Parameters": {"i.$": "$$.Map.Item.Index"}, "End": True}})
    assert run(mapped(processor), [1]).error == "States.Runtime"


# --- limits and history


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


def test_credentials_name_the_role_of_a_task():
    state = {"Credentials": {"RoleArn.$": "States.Format('arn:aws:iam::{}:role/r', $.account)"}}
    outcome = run(task(**state), {"account": "111122223333"}, echo)
    assert outcome.calls[0].credentials_role == "arn:aws:iam::111122223333:role/r"
    scheduled = next(details for kind, _, details in outcome.history if kind == "LambdaFunctionScheduled")
    assert scheduled["taskCredentials"] == {"roleArn": "arn:aws:iam::111122223333:role/r"}
