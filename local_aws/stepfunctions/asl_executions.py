"""Executions of state machines: their history, task tokens and end, all on one event loop in one thread.

An execution is a coroutine, so that thousands may wait without a thread each; only a task's API call takes a
thread while it lasts.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.access.role_clients import RoleClients
from local_aws.alarms import Alarms
from local_aws.stepfunctions import asl_interpreter
from local_aws.stepfunctions.asl_data_flow import Progress, Run, TaskCall
from local_aws.stepfunctions.asl_errors import RUNTIME, StateFailed
from local_aws.stepfunctions.asl_interpreter import MachineTimedOut
from local_aws.stepfunctions.asl_intrinsics import compact
from local_aws.stepfunctions.asl_resources import instant
from local_aws.stepfunctions.asl_tasks import perform
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.world import World

STATES = "states.amazonaws.com"
MAX_RUNNING = 200
"""Executions interpreted at the same time; further ones queue, as under a quota."""
MAX_CALLS = 64
"""API calls of tasks at the same time."""
MAX_HISTORY = 25_000
LONGEST_EXPRESS = 300.0
"""Seconds that an Express execution may take (quotas)."""
LONG_WAIT = 60.0
"""Seconds. An execution that waits longer than this, or for a task token, is not work under way."""


@dataclass(frozen=True)
class Machine:
    """A state machine as one execution sees it: later updates do not change it."""

    arn: str
    name: str
    account: str
    region: str
    kind: str
    """STANDARD or EXPRESS."""
    role_arn: str
    definition: dict
    text: str
    """The definition as it was given."""
    revision: str
    created: datetime
    updated: datetime
    logging: dict
    tracing: dict


@dataclass
class Execution:
    """One execution. Times are aware, UTC; input and output are JSON text."""

    arn: str
    name: str
    machine: Machine
    input: str
    started: datetime
    status: str = "RUNNING"
    stopped: datetime | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    history: list[dict] = field(default_factory=list)
    run: Run | None = None
    progress: Progress = field(default_factory=Progress)
    redrives: int = 0
    redriven: datetime | None = None
    """When it was last redriven."""
    redrive_tokens: dict[str, datetime] = field(default_factory=dict)
    """The client tokens of redrives, and when they came."""
    logged: int = 0
    """How many events of the history are in the log."""
    waiting: int = 0
    """Long waits and task tokens that it waits for now."""
    pausing: int = 0
    """Short waits under way now."""
    working: int = 0
    """Task calls under way now."""
    task: asyncio.Task | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def parked(self) -> bool:
        """Is all that it does to wait for something far off?"""
        return self.resting and self.pausing == 0

    @property
    def resting(self) -> bool:
        """Is all that it does to wait for the clock or for somebody, however short?"""
        return self.status == "RUNNING" and self.waiting + self.pausing > 0 and self.working == 0


class TaskToken:
    """A task token and what was answered to it. Lives on the loop."""

    def __init__(self, execution: Execution) -> None:
        self.text = secrets.token_urlsafe(384)
        self.execution = execution
        self.open = True
        self._answer: asyncio.Future = asyncio.get_running_loop().create_future()
        self._beat = asyncio.Event()

    async def answer(self) -> Any:
        with _counted(self.execution, "waiting"):
            return await asyncio.shield(self._answer)

    async def heartbeat(self) -> None:
        self._beat.clear()
        await self._beat.wait()

    def succeed(self, output: Any) -> None:
        if not self._answer.done():
            self._answer.set_result(output)
        self.open = False

    def fail(self, failure: StateFailed) -> None:
        if not self._answer.done():
            self._answer.set_exception(failure)
            self._answer.exception()  # read: an abandoned token is no defect
        self.open = False

    def beat(self) -> None:
        self._beat.set()

    def close(self) -> None:
        self.open = False


class Executions:
    """Starts, runs, stops and remembers executions."""

    def __init__(self, world: World, changed: Callable[[Execution], None]) -> None:
        """`changed` is called, on the loop's thread, when an execution starts and when it ends."""
        self.world = world
        self.changed = changed
        self.by_arn: dict[str, Execution] = {}
        self.tokens: dict[str, TaskToken] = {}
        """Every token given out, the closed ones too: the API tells them from tokens that never were."""
        self.clients = RoleClients(world, STATES)
        self.alarms = Alarms(world, "state machines")
        self._loop = asyncio.new_event_loop()
        self._running = asyncio.Semaphore(MAX_RUNNING)
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._ended: dict[str, asyncio.Future] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="state machines", daemon=True)
        self._thread.start()
        world.on_stop.append(self._stop_loop)

    # -- from other threads

    def start(self, execution: Execution) -> None:
        """Begin an execution that is registered nowhere yet."""
        self.by_arn[execution.arn] = execution
        self._on_loop(self._begin(execution)).result()

    def redrive(self, execution: Execution) -> None:
        """Take up an ended execution where it failed. The caller has checked that it may be."""
        self._on_loop(self._again(execution)).result()

    def stop(self, execution: Execution, error: str | None, cause: str | None) -> None:
        """Abort an execution; returns when it has ended. One that has ended already stays as it is."""
        self._on_loop(self._abort(execution, error, cause)).result()

    def answer_token(self, token: TaskToken, answer: Callable[[TaskToken], None]) -> bool:
        """Apply `answer` to a token. False if nobody waits for it any more."""
        return self._on_loop(self._answer(token, answer)).result()

    def busy(self) -> list[str]:
        """Executions under way, those that only wait left out, for World.busy_checks."""
        active = [each for each in list(self.by_arn.values()) if each.status == "RUNNING" and not each.resting]
        return [f"execution {each.machine.name}:{each.name}" for each in active]

    def waiting(self) -> list[str]:
        """Executions that go on after a short wait, for World.waiting_checks."""
        soon = [each for each in list(self.by_arn.values()) if each.resting and not each.parked]
        return [f"execution {each.machine.name}:{each.name} (waits)" for each in soon]

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Future:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _stop_loop(self) -> None:
        async def cancel_all() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._on_loop(cancel_all()).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- on the loop

    async def _begin(self, execution: Execution) -> None:
        self._ended[execution.arn] = self._loop.create_future()
        execution.task = asyncio.ensure_future(self._live(execution))

    async def _again(self, execution: Execution) -> None:
        execution.redrives += 1
        execution.redriven = self.world.now()
        execution.output = execution.error = execution.cause = execution.stopped = None
        execution.ended.clear()
        execution.status = "RUNNING"
        await self._begin(execution)

    async def _abort(self, execution: Execution, error: str | None, cause: str | None) -> None:
        if execution.status != "RUNNING" or execution.task is None:
            return
        execution.task.cancel()
        await asyncio.gather(execution.task, return_exceptions=True)
        if execution.status == "RUNNING":
            details = {"error": error, "cause": cause}
            self._end(execution, "ABORTED", "ExecutionAborted", error=error, cause=cause, details=details)

    async def _answer(self, token: TaskToken, answer: Callable[[TaskToken], None]) -> bool:
        if not token.open:
            return False
        answer(token)
        return True

    async def _live(self, execution: Execution) -> None:
        machine = execution.machine
        data = json.loads(execution.input)
        transitions = execution.run.transitions + 1 if execution.run else 0  # a redrive counts as one
        execution.run = run = self._make_run(execution, data)
        run.transitions = transitions
        if execution.redrives:
            details = {"redriveCount": execution.redrives}
            first = run.record("ExecutionRedriven", len(execution.history), details)
        else:
            first = run.record("ExecutionStarted", 0, {"input": execution.input, "roleArn": machine.role_arn})
        self.changed(execution)
        limit = LONGEST_EXPRESS if machine.kind == "EXPRESS" else 0
        try:
            async with self._running:
                output = await asl_interpreter.run_machine(
                    machine.definition, data, run, first, progress=execution.progress, limit=limit
                )
        except MachineTimedOut as failure:
            self._end(execution, "TIMED_OUT", "ExecutionTimedOut", error=failure.error, cause=failure.cause)
        except StateFailed as failure:
            self._end(execution, "FAILED", "ExecutionFailed", error=failure.error, cause=failure.cause)
        except Exception as defect:  # noqa: BLE001 - the boundary of an execution: nobody above could report it
            self.world.failures.append(traceback.format_exc())
            self._end(execution, "FAILED", "ExecutionFailed", error=RUNTIME, cause=repr(defect))
        else:
            self._end(execution, "SUCCEEDED", "ExecutionSucceeded", output=compact(output))

    def _end(
        self,
        execution: Execution,
        status: str,
        event: str,
        *,
        output: str | None = None,
        error: str | None = None,
        cause: str | None = None,
        details: dict | None = None,
    ) -> None:
        execution.output, execution.error, execution.cause = output, error, cause
        execution.stopped = self.world.now()
        given = {"output": output} if output is not None else {"error": error, "cause": cause}
        self._append(execution, event, len(execution.history), details or given)
        execution.status = status
        self._ended.pop(execution.arn).set_result(None)
        execution.ended.set()
        self.changed(execution)

    def _make_run(self, execution: Execution, data: Any) -> Run:
        machine = execution.machine
        context = {
            "Execution": {
                "Id": execution.arn,
                "Input": data,
                "Name": execution.name,
                "RoleArn": machine.role_arn,
                "StartTime": instant(execution.started),
                "RedriveCount": execution.redrives,
                **({"RedriveTime": instant(execution.redriven)} if execution.redriven else {}),
            },
            "StateMachine": {"Id": machine.arn, "Name": machine.name},
        }

        def record(kind: str, previous: int, details: dict) -> int:
            # The last event is kept free for the one that tells how the execution ended.
            if len(execution.history) >= MAX_HISTORY - 1:
                raise StateFailed(
                    RUNTIME, f"The execution reached the maximum number of history events ({MAX_HISTORY})."
                )
            return self._append(execution, kind, previous, details)

        async def sleep(seconds: float) -> None:
            with _counted(execution, "waiting" if seconds > LONG_WAIT else "pausing"):
                await self._sleep(seconds)

        async def call(task: TaskCall) -> Any:
            waits = task.resource.pattern.startswith("sync")
            with _counted(execution, "working"):
                async with self._calls:
                    work = self._in_thread(lambda: self._perform(execution, task))
                    result = await (self._begun(execution, task, work) if waits else work)
            if waits:
                with _counted(execution, "waiting"):
                    return await self._job(execution, task, result["ExecutionArn"])
            return result

        def open_token() -> TaskToken:
            token = TaskToken(execution)
            self.tokens[token.text] = token
            return token

        return Run(
            context=context,
            call=call,
            open_token=open_token,
            sleep=sleep,
            timer=self._sleep,
            now=self.world.now,
            record=record,
        )

    def _append(self, execution: Execution, kind: str, previous: int, details: dict) -> int:
        event_id = len(execution.history) + 1
        event = {"id": event_id, "previousEventId": previous, "type": kind, "details": details}
        event["redrives"] = execution.redrives
        execution.history.append({**event, "timestamp": self.world.now()})
        return event_id

    async def _sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        moment = self.world.now() + timedelta(seconds=seconds)
        alarm = self.alarms.at(moment, lambda: self._loop.call_soon_threadsafe(over.set))
        try:
            await over.wait()
        finally:
            alarm.cancel()

    # -- task calls

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        """The result of blocking work. A daemon thread each: one that hangs must not hold up the process."""
        answer: Future = Future()

        def run() -> None:
            if not answer.set_running_or_notify_cancel():
                return  # nobody waits any more
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - carried over to whoever waits
                answer.set_exception(error)
            else:
                answer.set_result(result)

        threading.Thread(target=run, name="task", daemon=True).start()
        return await asyncio.wrap_future(answer)

    def _perform(self, execution: Execution, task: TaskCall) -> Any:
        return perform(self._client(execution, task), task, (execution.arn, execution.machine.arn))

    def _client(self, execution: Execution, task: TaskCall) -> Any:
        """A client of the machine's role or, where the task has Credentials, of the role it assumes."""
        machine = execution.machine
        try:
            return self.clients.client(
                task.resource.client, machine.role_arn, machine.arn, machine.region, task.credentials_role
            )
        except (AwsError, ClientError) as error:
            raise StateFailed("States.Permissions", f"The role cannot be assumed: {error}") from error

    async def _begun(self, execution: Execution, task: TaskCall, work: Coroutine[Any, Any, Any]) -> Any:
        """Starts what a task with .sync waits for. Where the execution is stopped meanwhile, that is stopped too."""

        def stop(begun: asyncio.Future) -> None:
            if not (begun.cancelled() or begun.exception() or self.world.stopping.is_set()):
                self.world.submit(self._stop_job, execution, task, begun.result()["ExecutionArn"])

        start = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            start.add_done_callback(stop)
            raise

    async def _job(self, execution: Execution, task: TaskCall, arn: str) -> Any:
        """Wait for the execution that a task with .sync started; its outcome is the task's result."""
        ended = self._ended.get(arn)
        try:
            if ended is not None:
                await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not self.world.stopping.is_set():
                self.world.submit(self._stop_job, execution, task, arn)
            raise
        job = self.by_arn[arn]
        outcome = describe_job(job, parsed=task.resource.pattern == "sync:2")
        if job.status != "SUCCEEDED":
            raise StateFailed("States.TaskFailed", compact(outcome))
        return outcome

    def _stop_job(self, execution: Execution, task: TaskCall, arn: str) -> None:
        """Best effort, as documented: the role may lack the permission."""
        with suppress(ClientError, StateFailed):
            self._client(execution, task).stop_execution(executionArn=arn)


def describe_job(job: Execution, *, parsed: bool) -> dict:
    """The result of startExecution.sync (input and output as JSON text) or .sync:2 (`parsed`)."""
    outcome: dict[str, Any] = {
        "ExecutionArn": job.arn,
        "Input": json.loads(job.input) if parsed else job.input,
        "InputDetails": {"Included": True},
        "Name": job.name,
        "StartDate": milliseconds(job.started),
        "StateMachineArn": job.machine.arn,
        "Status": job.status,
        "StopDate": milliseconds(job.stopped) if job.stopped else None,
    }
    if job.output is not None:
        outcome["Output"] = json.loads(job.output) if parsed else job.output
        outcome["OutputDetails"] = {"Included": True}
    if job.error is not None:
        outcome |= {"Error": job.error, "Cause": job.cause}
    return outcome


def milliseconds(moment: datetime) -> int:
    """Since 1970, as the service writes times in events."""
    return int(moment.timestamp() * 1000)


@contextmanager
def _counted(execution: Execution, what: str) -> Iterator[None]:
    setattr(execution, what, getattr(execution, what) + 1)
    try:
        yield
    finally:
        setattr(execution, what, getattr(execution, what) - 1)
