"""Faults on demand: what AWS may do to a call or an event, done to the ones that are asked for.

A fault waits for calls of one operation (`lakeformation:AddLFTagsToResource`, or `s3:*`), perhaps of one principal
only, or for events of one detail type. It lets the first `skip` pass, happens `times` times (0: for ever), and counts
its hits.

    throttle         the service's own error for too many calls; nothing is done
    error            500; nothing is done
    denied           access denied; nothing is done
    concurrent       ConcurrentModificationException; nothing is done
    timeout_before   the connection breaks off; nothing is done
    timeout_after    the connection breaks off after it was done
    crash_before     the process of the function that calls is killed; nothing is done
    crash_after      the process of the function that calls is killed after it was done
    failures         answered 200, with a failure for everything that was asked for, and nothing done
    partial          the same for the second half of what was asked for; the first half is done
    stale            for `seconds`, at most 60, the same question gets the answer that it got first

    lose             the event is not delivered
    duplicate        it is delivered twice
    delay            it is delivered `seconds` later
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from local_aws import wire
from local_aws.alarms import Alarms
from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from local_aws.world import World

OF_CALLS = (
    "throttle",
    "error",
    "denied",
    "concurrent",
    "timeout_before",
    "timeout_after",
    "crash_before",
    "crash_after",
    "failures",
    "partial",
    "stale",
)
OF_EVENTS = ("lose", "duplicate", "delay")
LONGEST_STALE = 60
"""Seconds. S3, DynamoDB with consistent reads and IAM aside, no service documents how long; a mesh has to bear this."""

THROTTLED = {
    "s3": ("SlowDown", 503),
    "lambda": ("TooManyRequestsException", 429),
    "sts": ("Throttling", 400),
    "iam": ("Throttling", 400),
    "cloudformation": ("Throttling", 400),
    "cloudwatch": ("Throttling", 400),
    "sqs": ("RequestThrottled", 403),
    "dynamodb": ("ThrottlingException", 400),
}
"""Error code and status where they are not ThrottlingException, 400."""

LISTED = {
    "AddLFTagsToResource": ("LFTags", lambda tag, error: {"LFTag": tag, "Error": error}),
    "RemoveLFTagsFromResource": ("LFTags", lambda tag, error: {"LFTag": tag, "Error": error}),
    "BatchGrantPermissions": ("Entries", lambda entry, error: {"RequestEntry": entry, "Error": error}),
    "BatchRevokePermissions": ("Entries", lambda entry, error: {"RequestEntry": entry, "Error": error}),
}
"""Lake Formation's operations that name what failed in a successful answer: the parameter, and a failure's shape."""


class BrokenOff(Exception):
    """The connection breaks off without an answer."""


@dataclass
class Fault:
    """One fault that was asked for. `operation` or `event` is set, the other empty."""

    fault: str
    operation: str = ""
    event: str = ""
    principal: str = ""
    """Part of the ARN of who calls; empty for anybody. A function's name is its session's name."""
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        known = OF_EVENTS if self.event else OF_CALLS
        if bool(self.operation) == bool(self.event):
            raise ValueError("a fault has an operation (service:Operation) or an event (a detail type)")
        if self.fault not in known:
            raise ValueError(f"there is no fault {self.fault!r} there: {', '.join(known)}")
        if self.operation and ":" not in self.operation:
            raise ValueError(f"{self.operation!r} is no operation: write service:Operation, or service:*")
        if min(self.skip, self.times, self.seconds) < 0:
            raise ValueError("skip, times and seconds are not negative")
        if self.fault == "stale" and not 0 < self.seconds <= LONGEST_STALE:
            raise ValueError(f"stale answers need seconds, at most {LONGEST_STALE}")
        if self.fault in ("failures", "partial") and self.operation.partition(":")[2] not in LISTED:
            raise ValueError(f"only these answer with failures: {', '.join(LISTED)}")

    def strikes(self) -> bool:
        """Whether it happens to this one, which it is about."""
        self.seen += 1
        if self.seen <= self.skip or (self.times and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Faults:
    """Those that wait. Safe in threads."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._alarms: Alarms | None = None
        self._faults: list[Fault] = []
        self._answers: dict[tuple, tuple[datetime, Response]] = {}
        self._guard = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._guard:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._guard:
            self._faults.clear()
            self._answers.clear()

    def list(self) -> list[dict]:
        """Every fault with what it has met and hit."""
        with self._guard:
            return [asdict(fault) for fault in self._faults]

    def answer(self, call: Call, dispatch: Callable[[Call], Response]) -> Response:
        """The response to an authorised call, through the fault that happens to it, if one does.

        Raises AwsError for those that are errors, BrokenOff where nobody gets an answer.
        """
        fault = self._of_call(call) if self._faults else None
        if fault is None:
            return dispatch(call)
        if error := error_of(fault.fault, call.service, call.operation, call.caller.principal):
            raise error
        if fault.fault in ("failures", "partial"):
            return _with_failures(call, dispatch, whole=fault.fault == "failures")
        if fault.fault == "stale":
            return self._stale(call, dispatch, fault.seconds)
        if fault.fault.endswith("_after"):
            dispatch(call)
        if fault.fault.startswith("crash"):
            self._world.engines["lambda"].runner.pool.kill(call.caller.access_key)
        raise BrokenOff

    def _of_call(self, call: Call) -> Fault | None:
        wanted = (f"{call.service}:{call.operation}", f"{call.service}:*")
        with self._guard:
            return next(
                (
                    fault
                    for fault in self._faults
                    if fault.operation in wanted and fault.principal in call.caller.arn and fault.strikes()
                ),
                None,
            )

    def _stale(self, call: Call, dispatch: Callable[[Call], Response], seconds: float) -> Response:
        asked = (
            call.service,
            call.operation,
            call.caller.account,
            json.dumps(call.params, sort_keys=True, default=str),
        )
        with self._guard:
            known = self._answers.get(asked)
        if known and self._world.now() < known[0] + timedelta(seconds=seconds):
            return known[1]
        response = dispatch(call)
        if known is None and response.status_code == 200:
            with self._guard:
                self._answers[asked] = (self._world.now(), response)
        return response

    def deliver(self, event: dict, route: Callable[[], None]) -> None:
        """Route an event as often, and as late, as the fault that happens to it says."""
        fault = self._of_event(event) if self._faults else None
        if fault is None:
            route()
        elif fault.fault == "delay":
            self._late().at(self._world.now() + timedelta(seconds=fault.seconds), route)
        elif fault.fault == "duplicate":
            route()
            route()

    def _late(self) -> Alarms:
        with self._guard:
            self._alarms = self._alarms or Alarms(self._world, "late events")
            return self._alarms

    def _of_event(self, event: dict) -> Fault | None:
        with self._guard:
            about = (fault for fault in self._faults if fault.event in (event.get("detail-type"), "*"))
            return next((fault for fault in about if fault.strikes()), None)


def error_of(fault: str, service: str, operation: str, principal: str) -> AwsError | None:
    """The error that a service answers a call with for a fault, or None for faults that are no errors."""
    if fault == "throttle":
        code, status = THROTTLED.get(service, ("ThrottlingException", 400))
        return AwsError(code, "Rate exceeded", status)
    if fault == "error":
        code = "InternalError" if service == "s3" else "InternalServiceException"
        return AwsError(code, "An internal service error occurred.", 500)
    if fault == "denied":
        code = "AccessDenied" if service in ("s3", "sts", "iam", "sqs") else "AccessDeniedException"
        return AwsError(code, f"{principal} is not authorized to perform {operation}", 403)
    if fault == "concurrent":
        return AwsError("ConcurrentModificationException", "Another request modified the resource.")
    return None


def _with_failures(call: Call, dispatch: Callable[[Call], Response], *, whole: bool) -> Response:
    name, failure = LISTED[call.operation]
    asked = call.params.get(name, [])
    done = [] if whole else asked[: len(asked) // 2]
    failures = list(_failed(asked[len(done) :], failure))
    if done:
        response = dispatch(replace(call, params={**call.params, name: done}))
        failures = [*json.loads(response.get_data()).get("Failures", []), *failures]
    return wire.result_response(call, {"Failures": failures})


def _failed(asked: list[dict], failure: Callable[[dict, dict], dict]) -> Iterator[dict]:
    for each in asked:
        yield failure(each, {"ErrorCode": "InternalServiceException", "ErrorMessage": "Internal service error."})
