"""What an execution tells about itself: history events and status change events.

Sources: Step Functions API reference (HistoryEvent), developer guide ("Automating Step Functions event
delivery with EventBridge").
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from moto.core.utils import get_service_model

from local_aws.stepfunctions.asl_executions import MAX_HISTORY, milliseconds

if TYPE_CHECKING:
    from local_aws.stepfunctions.asl_executions import Execution

MAX_EVENT_DATA = 248 * 1024
REDRIVABLE_FOR = timedelta(days=14)
LONGEST = timedelta(days=365)


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


def why_not_redrivable(execution: Execution, now: datetime, *, deleting: bool = False) -> str | None:
    """Why an execution cannot be redriven, in the words of the API reference (DescribeExecution); None if it can."""
    if deleting:
        return "State machine is in DELETING status"
    if execution.stopped is None or execution.status == "SUCCEEDED":
        return f"Execution is {execution.status} and cannot be redriven"
    if len(execution.history) >= MAX_HISTORY - 1:
        return "Execution history event limit exceeded"
    if now > execution.started + LONGEST:
        return "Execution has exceeded the max execution time"
    if now > execution.stopped + REDRIVABLE_FOR:
        return "Execution redrivable period exceeded"
    return None


def redrive_status(execution: Execution, now: datetime, *, deleting: bool = False) -> dict:
    """What an execution tells of its redrives, as members of DescribeExecution; None where there is nothing."""
    reason = why_not_redrivable(execution, now, deleting=deleting)
    return {
        "redriveCount": execution.redrives,
        "redriveDate": execution.redriven,
        "redriveStatus": "NOT_REDRIVABLE" if reason else "REDRIVABLE",
        "redriveStatusReason": reason,
    }


def status_change(execution: Execution, now: datetime) -> dict:
    """The detail of a `Step Functions Execution Status Change` event."""
    redrive = redrive_status(execution, now)
    size_out = len((execution.output or "").encode())
    size_in = len(execution.input.encode())
    with_output = size_out <= MAX_EVENT_DATA
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
        **redrive,
        "redriveDate": milliseconds(execution.redriven) if execution.redriven else None,
        "error": execution.error,
        "cause": execution.cause,
    }
