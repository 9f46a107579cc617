"""Errors of a state machine's states: their names, what a Retry or Catch matches, and retry intervals.

Source: Step Functions developer guide, "Handling errors in Step Functions workflows".
"""

import random
from dataclasses import dataclass

RUNTIME = "States.Runtime"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"

STATES_ERRORS = frozenset(
    "States." + name
    for name in [
        "ALL",
        "BranchFailed",
        "DataLimitExceeded",
        "ExceedToleratedFailureThreshold",
        "HeartbeatTimeout",
        "Http.Socket",
        "IntrinsicFailure",
        "ItemReaderFailed",
        "NoChoiceMatched",
        "ParameterPathFailure",
        "Permissions",
        "QueryEvaluationError",
        "ResultPathMatchFailure",
        "ResultWriterFailed",
        "Runtime",
        "TaskFailed",
        "Timeout",
    ]
)
"""Every error name that starts with `States.`; a definition may name no others of that prefix."""


class StateFailed(Exception):
    """A state reported an error. `error` is its name, `cause` says why in words (or in JSON)."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def output(self) -> dict[str, str]:
        """What a catcher receives."""
        return {"Error": self.error, "Cause": self.cause}


def catches(error_equals: list[str], error: str) -> bool:
    """Does a retrier or catcher with these ErrorEquals match an error?

    States.Runtime always fails the execution. States.ALL and States.TaskFailed do not match
    States.DataLimitExceeded, and States.TaskFailed does not match States.Timeout. A missed heartbeat is
    reported as States.HeartbeatTimeout, and States.Timeout covers it.
    """
    if error == RUNTIME:
        return False
    if error in error_equals:
        return True
    if error == DATA_LIMIT_EXCEEDED:
        return False
    if error == HEARTBEAT_TIMEOUT and TIMEOUT in error_equals:
        return True
    if "States.ALL" in error_equals:
        return True
    return "States.TaskFailed" in error_equals and error not in (TIMEOUT, HEARTBEAT_TIMEOUT)


@dataclass(frozen=True)
class Retrier:
    """One element of a Retry field, defaults filled in."""

    error_equals: tuple[str, ...]
    interval: float = 1
    max_attempts: int = 3
    backoff: float = 2.0
    max_delay: float | None = None
    jitter: bool = False

    def delay(self, attempt: int) -> float:
        """Seconds to wait before retry number `attempt` (1 is the first)."""
        delay = self.interval * self.backoff ** (attempt - 1)
        if self.max_delay is not None:
            delay = min(delay, self.max_delay)
        return random.uniform(0, delay) if self.jitter else delay


def retriers(state: dict) -> list[Retrier]:
    """The retriers of a state that passed validation."""
    return [
        Retrier(
            error_equals=tuple(retry["ErrorEquals"]),
            interval=retry.get("IntervalSeconds", 1),
            max_attempts=retry.get("MaxAttempts", 3),
            backoff=retry.get("BackoffRate", 2.0),
            max_delay=retry.get("MaxDelaySeconds"),
            jitter=retry.get("JitterStrategy") == "FULL",
        )
        for retry in state.get("Retry", ())
    ]
