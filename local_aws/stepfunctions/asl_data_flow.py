"""Data flow of the Amazon States Language: what a state sees and gives, and what a run and a branch hold.

A state's input goes through InputPath and Parameters, its result through ResultSelector, ResultPath and
OutputPath. Sources: Step Functions developer guide, "Processing input and output", "Manipulate parameters",
"Specifying state output using ResultPath".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from local_aws.stepfunctions import asl_intrinsics, asl_paths
from local_aws.stepfunctions.asl_errors import DATA_LIMIT_EXCEEDED, RUNTIME, StateFailed
from local_aws.stepfunctions.asl_intrinsics import compact
from local_aws.stepfunctions.asl_resources import TaskResource

MAX_PAYLOAD_BYTES = 262_144


@dataclass(frozen=True)
class TaskCall:
    """One attempt of a task."""

    resource: TaskResource
    parameters: Any
    credentials_role: str | None
    """Role that the task assumes instead of the machine's own, if any."""


class Token(Protocol):
    """A task token: somebody who holds its text ends the task."""

    text: str

    async def answer(self) -> Any:
        """The task's result. Raises StateFailed if the holder reported a failure."""
        ...

    async def heartbeat(self) -> None:
        """Returns at the next heartbeat."""
        ...

    def close(self) -> None:
        """Nobody waits any more."""
        ...


@dataclass
class Run:
    """What one execution needs of the world around it."""

    context: dict
    """The context object's Execution and StateMachine."""
    call: Callable[[TaskCall], Awaitable[Any]]
    """Does the work of a task; raises StateFailed. With .sync it returns when the job has ended."""
    open_token: Callable[[], Token]
    sleep: Callable[[float], Awaitable[None]]
    """Waits, as a Wait state or between retries."""
    timer: Callable[[float], Awaitable[None]]
    """Waits too, beside work that must end before."""
    now: Callable[[], datetime]
    record: Callable[[str, int, dict], int]
    """Appends a history event (type, id of the event before it, details) and returns its id."""
    transitions: int = 0


@dataclass
class Progress:
    """How far a line of states came: a redrive takes it up from there."""

    at: str | None = None
    """The state it is in; None before the first."""
    data: Any = None
    """That state's raw input."""
    entered: int = 0
    """Id of the event with which that state was entered."""
    parts: dict[int, Progress] = field(default_factory=dict)
    """The branches or iterations of that state, by index."""
    done: bool = False
    output: Any = None
    """What the line gave, once it is done."""


@dataclass
class Branch:
    """One line of states: the machine's own, or a branch of Parallel or Map."""

    run: Run
    previous: int
    """Id of the branch's latest history event."""
    entered: int = 0
    """Id of the event with which the present state was entered."""
    state: dict = field(default_factory=dict)
    """The context object's State."""
    progress: Progress = field(default_factory=Progress)

    def record(self, kind: str, **details: Any) -> None:
        self.previous = self.run.record(kind, self.previous, details)

    def context(self, **more: Any) -> dict:
        return {**self.run.context, "State": self.state, **more}


def effective_input(state: dict, data: Any, branch: Branch) -> Any:
    """The state's input after InputPath."""
    return selected(state, "InputPath", data, branch)


def selected(state: dict, field_name: str, data: Any, branch: Branch) -> Any:
    """What InputPath or OutputPath selects: all of the data if not given, {} if null. Raises PathNotFound."""
    text = state.get(field_name, "$")
    if text is None:
        return {}
    try:
        return asl_paths.read(asl_paths.compile_path(text), data, branch.context())
    except asl_paths.PathNotFound as error:
        raise asl_paths.PathNotFound(f"Invalid path '{text}' in {field_name}: {error}") from error


def filled(template: Any, data: Any, branch: Branch, **context: Any) -> Any:
    """A payload template with its paths and functions replaced; `context` adds to the context object."""
    try:
        return asl_intrinsics.fill(template, data, branch.context(**context))
    except asl_paths.PathNotFound as error:
        raise asl_paths.PathNotFound(
            f"A JSONPath specified for a field could not be found in the input: {error}"
        ) from error


def output_of(state: dict, raw_input: Any, result: Any, branch: Branch) -> Any:
    """ResultSelector, ResultPath and OutputPath applied to a state's result."""
    if "ResultSelector" in state:
        result = filled(state["ResultSelector"], result, branch)
    combined = placed(state.get("ResultPath", "$"), raw_input, result)
    return limited(selected(state, "OutputPath", combined, branch), branch)


def placed(result_path: str | None, raw_input: Any, result: Any) -> Any:
    """The raw input with a result at ResultPath. Raises StateFailed States.ResultPathMatchFailure."""
    if result_path is None:
        return raw_input
    try:
        return asl_paths.place(asl_paths.compile_path(result_path), raw_input, result)
    except asl_paths.CannotPlace as error:
        raise StateFailed("States.ResultPathMatchFailure", str(error)) from error


def limited(value: Any, branch: Branch) -> Any:
    """The value itself. Raises StateFailed States.DataLimitExceeded if it is too large to pass on."""
    if len(compact(value).encode("utf-8", "surrogatepass")) > MAX_PAYLOAD_BYTES:
        raise StateFailed(
            DATA_LIMIT_EXCEEDED,
            f"The state/task '{branch.state['Name']}' returned a result with a size exceeding the maximum "
            "number of bytes service limit.",
        )
    return value


def integer_at(path: str, data: Any, branch: Branch, least: int) -> int:
    """The integer at a reference path. Raises PathNotFound, or StateFailed States.Runtime for anything else."""
    value = asl_paths.read(asl_paths.compile_path(path), data, branch.context())
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StateFailed(RUNTIME, f"The value at {path} must be an integer from {least}, not {compact(value)}")
    return value


def data_failure(error: Exception, branch: Branch) -> StateFailed:
    """PathNotFound or IntrinsicFailure as the error of the branch's present state."""
    where = f"An error occurred while executing the state '{branch.state['Name']}'"
    name = RUNTIME if isinstance(error, asl_paths.PathNotFound) else "States.IntrinsicFailure"
    return StateFailed(name, f"{where} (entered at the event id #{branch.entered}). {error}")
