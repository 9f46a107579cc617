"""Interpreting a state machine: the semantics of each state, of retries, catchers and timeouts.

Pure of AWS: tasks, time and task tokens come in through Run, so a test can supply its own. Every state is a
coroutine; a Parallel or Map runs its branches at the same time, and cancelling an execution cancels all that
it waits for. Sources: Step Functions developer guide (pages of each state, "Handling errors", "Restarting state
machine executions with redrive"); Amazon States Language specification.

Choice: a state that a redrive takes up is not entered anew (no StateEntered event), Fail apart, which the guide says
is reentered; the events of its new attempt are written as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from local_aws.stepfunctions import asl_choice, asl_intrinsics, asl_paths
from local_aws.stepfunctions.asl_data_flow import (
    Branch,
    Progress,
    Run,
    TaskCall,
    Token,
    data_failure,
    effective_input,
    filled,
    integer_at,
    limited,
    output_of,
    placed,
    selected,
)
from local_aws.stepfunctions.asl_errors import (
    DATA_LIMIT_EXCEEDED,
    HEARTBEAT_TIMEOUT,
    RUNTIME,
    TIMEOUT,
    StateFailed,
    catches,
    retriers,
)
from local_aws.stepfunctions.asl_intrinsics import compact
from local_aws.stepfunctions.asl_resources import TOKEN, instant, parse_resource

MAX_INLINE_CONCURRENCY = 40


async def run_machine(
    definition: dict, data: Any, run: Run, first_event: int, *, progress: Progress | None = None, limit: float = 0
) -> Any:
    """Run a checked definition on an input and return its output.

    `first_event` is the id of the ExecutionStarted or ExecutionRedriven event, `progress` where a redrive takes up
    the run, `limit` the seconds that any execution of its type may take (0: no limit). Raises StateFailed;
    MachineTimedOut if the limit or the machine's own TimeoutSeconds ran out.
    """
    work = run_states(definition, data, Branch(run, first_event, progress=progress or Progress()))
    limits = [each for each in (definition.get("TimeoutSeconds"), limit) if each]
    if not limits:
        return await work
    try:
        return await _within(min(limits), work, run)
    except _Expired as error:
        raise MachineTimedOut(TIMEOUT) from error


class MachineTimedOut(StateFailed):
    """The execution ran longer than its machine's TimeoutSeconds."""


async def run_states(machine: dict, data: Any, branch: Branch) -> Any:
    """Run the states of a machine or branch from StartAt, or from where its progress is, to an end; return the
    output."""
    progress, name = branch.progress, machine["StartAt"]
    if taken_up := progress.at is not None:
        name, data = progress.at, progress.data
    while name is not None:
        state = machine["States"][name]
        branch.state = {"EnteredTime": instant(branch.run.now()), "Name": name, "RetryCount": 0}
        kind = state["Type"]
        if taken_up and kind != "Fail":
            branch.entered = progress.entered
        else:
            branch.run.transitions += 1
            branch.record(f"{kind}StateEntered", name=name, input=compact(data))
            branch.entered = branch.previous
            progress.at, progress.data, progress.entered, progress.parts = name, data, branch.entered, {}
        taken_up = False
        try:
            data, name = await STATES[kind](state, data, branch)
        except (asl_paths.PathNotFound, asl_intrinsics.IntrinsicFailure) as error:
            raise data_failure(error, branch) from error
        branch.record(f"{kind}StateExited", name=branch.state["Name"], output=compact(data))
    progress.done, progress.output = True, data
    return data


# --- states without errors of their own


async def _pass(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    effective = effective_input(state, data, branch)
    if "Parameters" in state:
        effective = filled(state["Parameters"], effective, branch)
    result = state.get("Result", effective)
    try:
        combined = placed(state.get("ResultPath", "$"), data, result)
    except StateFailed as failure:
        raise StateFailed(RUNTIME, failure.cause) from failure
    return limited(selected(state, "OutputPath", combined, branch), branch), state.get("Next")


async def _choice(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    effective = effective_input(state, data, branch)
    following = asl_choice.choose(state, effective, branch.context())
    return selected(state, "OutputPath", effective, branch), following


async def _succeed(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    return selected(state, "OutputPath", effective_input(state, data, branch), branch), None


async def _fail(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    raise StateFailed(_text(state, "Error", data, branch), _text(state, "Cause", data, branch))


def _text(state: dict, name: str, data: Any, branch: Branch) -> str:
    if f"{name}Path" not in state:
        return state.get(name, "")
    expression = asl_intrinsics.compile_expression(state[f"{name}Path"])
    value = asl_intrinsics.evaluate(expression, data, branch.context())
    if not isinstance(value, str):
        raise StateFailed(RUNTIME, f"{name}Path must select a string, not {compact(value)}")
    return value


async def _wait(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    effective = effective_input(state, data, branch)
    seconds: float
    if "Seconds" in state:
        seconds = state["Seconds"]
    elif "SecondsPath" in state:
        seconds = integer_at(state["SecondsPath"], effective, branch, least=0)
    else:
        text = state.get("Timestamp")
        if text is None:
            path = asl_paths.compile_path(state["TimestampPath"])
            text = asl_paths.read(path, effective, branch.context())
        moment = asl_choice.timestamp(text)
        if moment is None:
            raise StateFailed(RUNTIME, f"Wait needs a timestamp such as 2016-03-14T01:59:00Z, not {text!r}")
        seconds = (moment - branch.run.now()).total_seconds()
    if seconds > 0:
        await branch.run.sleep(seconds)
    return selected(state, "OutputPath", effective, branch), state.get("Next")


# --- states that can fail: retries and catchers


async def _handled(
    state: dict, data: Any, branch: Branch, attempt: Callable[[], Awaitable[Any]]
) -> tuple[Any, str | None]:
    """Run attempts until one succeeds, then give its output; or go where a catcher says."""
    try:
        output = await _retried(state, branch, attempt)
    except StateFailed as failure:
        for catcher in state.get("Catch", ()):
            if catches(catcher["ErrorEquals"], failure.error):
                caught = placed(catcher.get("ResultPath", "$"), data, failure.output())
                return limited(caught, branch), catcher["Next"]
        raise
    return output, state.get("Next")


async def _retried(state: dict, branch: Branch, attempt: Callable[[], Awaitable[Any]]) -> Any:
    rules = retriers(state)
    tried = [0] * len(rules)
    while True:
        try:
            return await attempt()
        except (asl_paths.PathNotFound, asl_intrinsics.IntrinsicFailure) as error:
            failure = data_failure(error, branch)
        except StateFailed as error:
            failure = error
        index = next((index for index, rule in enumerate(rules) if catches(rule.error_equals, failure.error)), None)
        if index is None or tried[index] >= rules[index].max_attempts:
            raise failure
        tried[index] += 1
        await branch.run.sleep(rules[index].delay(tried[index]))
        branch.state["RetryCount"] += 1
        branch.run.transitions += 1
        branch.progress.parts.clear()  # a retry runs all branches and iterations again


async def _task(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    async def attempt() -> Any:
        return output_of(state, data, await _task_result(state, data, branch), branch)

    return await _handled(state, data, branch, attempt)


async def _task_result(state: dict, data: Any, branch: Branch) -> Any:
    """One attempt of a task: its history events, its timeouts, its result."""
    resource = parse_resource(state["Resource"])
    effective = effective_input(state, data, branch)
    timeout = _seconds(state, "TimeoutSeconds", effective, branch)
    heartbeat = _seconds(state, "HeartbeatSeconds", effective, branch)
    token = branch.run.open_token() if resource.pattern == TOKEN else None
    try:
        more = {"Task": {"Token": token.text}} if token else {}
        if "Parameters" in state:
            effective = filled(state["Parameters"], effective, branch, **more)
        limited(effective, branch)
        role = filled(state.get("Credentials", {}), effective_input(state, data, branch), branch).get("RoleArn")
        call = TaskCall(resource, effective, role)
        events = _TaskEvents(call, branch)
        events.scheduled(timeout, heartbeat)
        try:
            work = _perform(call, branch, events, token, heartbeat)
            result = await (_within(timeout, work, branch.run) if timeout else work)
            limited(result, branch)
        except _Expired:
            events.timed_out(TIMEOUT)
            raise StateFailed(TIMEOUT) from None
        except StateFailed as failure:
            if failure.error == HEARTBEAT_TIMEOUT:
                events.timed_out(HEARTBEAT_TIMEOUT)
            else:
                events.failed(failure)
            raise
        events.succeeded(result)
        return result
    finally:
        if token:
            token.close()


def _seconds(state: dict, name: str, data: Any, branch: Branch) -> int | None:
    if f"{name}Path" in state:
        return integer_at(state[f"{name}Path"], data, branch, least=1)
    return state.get(name)


async def _perform(
    call: TaskCall, branch: Branch, events: _TaskEvents, token: Token | None, heartbeat: int | None
) -> Any:
    answer = await branch.run.call(call)
    if token is None:
        return answer
    events.submitted(answer)
    if heartbeat is None:
        return await token.answer()
    return await _answered_with_heartbeats(token, heartbeat, branch.run)


async def _answered_with_heartbeats(token: Token, seconds: int, run: Run) -> Any:
    """The token's answer; the wait starts anew at each heartbeat and fails when none comes in time."""
    answer = asyncio.ensure_future(token.answer())
    try:
        while True:
            beat = asyncio.ensure_future(token.heartbeat())
            timer = asyncio.ensure_future(run.timer(seconds))
            try:
                await asyncio.wait((answer, beat, timer), return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    return answer.result()
                if not beat.done():
                    raise StateFailed(HEARTBEAT_TIMEOUT)
            finally:
                await _cancelled(beat, timer)
    finally:
        await _cancelled(answer)


class _TaskEvents:
    """The history events of one attempt; those of a function's ARN have names of their own."""

    def __init__(self, call: TaskCall, branch: Branch) -> None:
        self.call = call
        self.branch = branch
        self.function = call.resource.kind == "function"
        self.place = {} if self.function else {"resourceType": call.resource.service, "resource": call.resource.name}

    def record(self, task_event: str, function_event: str, **details: Any) -> None:
        kind = f"LambdaFunction{function_event}" if self.function else f"Task{task_event}"
        self.branch.record(kind, **self.place, **details)

    def scheduled(self, timeout: int | None, heartbeat: int | None) -> None:
        details: dict[str, Any] = {"timeoutInSeconds": timeout} if timeout else {}
        if self.call.credentials_role:
            details["taskCredentials"] = {"roleArn": self.call.credentials_role}
        if self.function:
            details |= {"resource": self.call.resource.arn, "input": compact(self.call.parameters)}
        else:
            details |= {"heartbeatInSeconds": heartbeat} if heartbeat else {}
            details["parameters"] = compact(self.call.parameters)
        self.record("Scheduled", "Scheduled", **details)
        self.record("Started", "Started")

    def submitted(self, answer: Any) -> None:
        self.record("Submitted", "Submitted", output=compact(answer))

    def succeeded(self, result: Any) -> None:
        self.record("Succeeded", "Succeeded", output=compact(result))

    def failed(self, failure: StateFailed) -> None:
        self.record("Failed", "Failed", error=failure.error, cause=failure.cause)

    def timed_out(self, error: str) -> None:
        self.record("TimedOut", "TimedOut", error=error)


# --- branches


async def _parallel(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    async def attempt() -> Any:
        effective = effective_input(state, data, branch)
        if "Parameters" in state:
            effective = filled(state["Parameters"], effective, branch)
        branch.record("ParallelStateStarted")
        started = branch.previous
        try:
            lines = [
                _line(each, effective, Branch(branch.run, started, progress=part))
                for each, part in zip(state["Branches"], _parts(branch, len(state["Branches"])), strict=True)
            ]
            results = await _all(lines)
        except StateFailed as failure:
            branch.record("ParallelStateFailed")
            raise failure
        branch.record("ParallelStateSucceeded")
        return output_of(state, data, results, branch)

    return await _handled(state, data, branch, _forgetful(branch, attempt))


def _parts(branch: Branch, count: int) -> list[Progress]:
    """How far each branch or iteration of the present state came: not at all, but for a redrive."""
    return [branch.progress.parts.setdefault(index, Progress()) for index in range(count)]


async def _line(machine: dict, data: Any, branch: Branch) -> Any:
    """What a branch gives; one that was done before a redrive is not run again."""
    return branch.progress.output if branch.progress.done else await run_states(machine, data, branch)


def _forgetful(branch: Branch, attempt: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """The attempt of a Parallel or Map that too much data fails as a whole: a redrive runs all of it again."""

    async def forgetting() -> Any:
        try:
            return await attempt()
        except StateFailed as failure:
            if failure.error == DATA_LIMIT_EXCEEDED:
                branch.progress.parts.clear()
            raise

    return forgetting


async def _map(state: dict, data: Any, branch: Branch) -> tuple[Any, str | None]:
    async def attempt() -> Any:
        return output_of(state, data, await _map_results(state, data, branch), branch)

    return await _handled(state, data, branch, _forgetful(branch, attempt))


async def _map_results(state: dict, data: Any, branch: Branch) -> list:
    effective = effective_input(state, data, branch)
    items = asl_paths.read(asl_paths.compile_path(state.get("ItemsPath", "$")), effective, branch.context())
    if not isinstance(items, list):
        raise StateFailed(RUNTIME, f'Reference path "{state.get("ItemsPath", "$")}" must point to array.')
    concurrency = state.get("MaxConcurrency", 0)
    if "MaxConcurrencyPath" in state:
        concurrency = integer_at(state["MaxConcurrencyPath"], effective, branch, least=0)
    places = asyncio.Semaphore(min(concurrency or MAX_INLINE_CONCURRENCY, MAX_INLINE_CONCURRENCY))
    selector = state.get("ItemSelector", state.get("Parameters"))
    processor = state["ItemProcessor"] if "ItemProcessor" in state else state["Iterator"]
    name = branch.state["Name"]
    branch.record("MapStateStarted", length=len(items))
    started = branch.previous
    parts = _parts(branch, len(items))
    failed = False

    async def iterate(index: int, item: Any) -> Any:
        nonlocal failed
        if parts[index].done:
            return parts[index].output
        async with places:
            if failed:  # its place came free because the Map is failing: it does not begin
                return None
            iteration = Branch(branch.run, started, progress=parts[index])
            iteration.record("MapIterationStarted", name=name, index=index)
            try:
                if selector is not None:
                    item = _selected_item(selector, effective, index, item, branch)
                output = await run_states(processor, limited(item, branch), iteration)
            except StateFailed:
                failed = True
                iteration.record("MapIterationFailed", name=name, index=index)
                raise
            except asyncio.CancelledError:
                iteration.record("MapIterationAborted", name=name, index=index)
                raise
            iteration.record("MapIterationSucceeded", name=name, index=index)
            return output

    try:
        results = await _all([iterate(index, item) for index, item in enumerate(items)])
    except StateFailed as failure:
        branch.record("MapStateFailed")
        raise failure
    branch.record("MapStateSucceeded")
    return results


def _selected_item(selector: Any, effective: Any, index: int, item: Any, branch: Branch) -> Any:
    """The input of one iteration, as ItemSelector (or the older Parameters) makes it."""
    context = {"Item": {"Index": index, "Value": item, "Source": "STATE_DATA"}}
    try:
        return filled(selector, effective, branch, Map=context)
    except (asl_paths.PathNotFound, asl_intrinsics.IntrinsicFailure) as error:
        raise data_failure(error, branch) from error


async def _all(work: list[Coroutine[Any, Any, Any]]) -> list:
    """The results of all, in order. The first failure cancels the others and is raised."""
    if not work:
        return []
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]
        return [task.result() for task in tasks]
    finally:
        await _cancelled(*tasks)


# --- time


class _Expired(Exception):
    """Work took longer than it was given."""


async def _within(seconds: float, work: Coroutine[Any, Any, Any], run: Run) -> Any:
    """The result of `work`, or _Expired after so many seconds; the work is cancelled then."""
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(run.timer(seconds))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise _Expired
    finally:
        await _cancelled(task, timer)


async def _cancelled(*tasks: asyncio.Future) -> None:
    """Cancel tasks and wait until they have ended, whatever they raise."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


STATES: dict[str, Callable[[dict, Any, Branch], Awaitable[tuple[Any, str | None]]]] = {
    "Pass": _pass,
    "Task": _task,
    "Choice": _choice,
    "Wait": _wait,
    "Succeed": _succeed,
    "Fail": _fail,
    "Parallel": _parallel,
    "Map": _map,
}
