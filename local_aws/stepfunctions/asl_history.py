"""What an execution tells about itself: history events and status change events.

Sources: Step Functions API reference (HistoryEvent), developer guide ("Automating Step Functions event
delivery with EventBridge").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.core.utils import get_service_model

from local_aws.stepfunctions.asl_executions import milliseconds

if TYPE_CHECKING:
    from local_aws.stepfunctions.asl_executions import Execution

MAX_EVENT_DATA = 248 * 1024


def history_event(execution: Execution, event: dict, *, with_data: bool = True) -> dict:
    """One recorded event as GetExecutionHistory shows it."""
    details = dict(event["details"])
    if event["type"] == "TaskScheduled":
        details["region"] = execution.machine.region
    for name in ("input", "output"):
        if name in details:
            details[f"{name}Details"] = {"truncated": False}
            if not with_data:
                del details[name]
    shown = {key: event[key] for key in ("id", "previousEventId", "type", "timestamp")}
    member = _details_member(event["type"])
    return {**shown, member: details} if member else shown


def _details_member(kind: str) -> str | None:
    """The member of HistoryEvent that holds the details of an event type; some types have none."""
    for end in ("StateEntered", "StateExited"):
        if kind.endswith(end):
            return end[0].lower() + end[1:] + "EventDetails"
    member = kind[0].lower() + kind[1:] + "EventDetails"
    return member if member in get_service_model("stepfunctions").shape_for("HistoryEvent").members else None


def status_change(execution: Execution) -> dict:
    """The detail of a `Step Functions Execution Status Change` event."""
    ended_badly = execution.status in ("FAILED", "ABORTED", "TIMED_OUT")
    reason = "is redrivable" if ended_badly else "cannot be redriven"
    size_out = len((execution.output or "").encode())
    size_in = len(execution.input.encode())
    with_output = execution.output is not None and size_out <= MAX_EVENT_DATA
    with_input = size_in + (size_out if with_output else 0) <= MAX_EVENT_DATA
    return {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine.arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": milliseconds(execution.started),
        "stopDate": milliseconds(execution.stopped) if execution.stopped else None,
        "input": execution.input if with_input else None,
        "inputDetails": {"included": with_input},
        "output": execution.output if with_output else None,
        "outputDetails": None if execution.output is None else {"included": with_output},
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "REDRIVABLE" if ended_badly else "NOT_REDRIVABLE",
        "redriveStatusReason": f"Execution is {execution.status} and {reason}",
        "error": execution.error,
        "cause": execution.cause,
    }
