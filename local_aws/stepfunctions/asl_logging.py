"""The log of a state machine: its LoggingConfiguration checked, and executions written to its log group.

An execution's lines are written when it has ended. Source: Step Functions developer guide, "Using CloudWatch
Logs to log execution history in Step Functions", with its table of log levels.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from local_aws.access import authorization, identity
from local_aws.access.actions import Need
from local_aws.stepfunctions.asl_executions import milliseconds
from local_aws.stepfunctions.asl_intrinsics import compact
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.stepfunctions.asl_executions import Execution
    from local_aws.world import World

GROUP_ARN = re.compile(r"arn:aws:logs:[^:]+:\d{12}:log-group:([^:]+):\*")
FATAL = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")
DATA_FIELDS = ("input", "output", "parameters", "error", "cause")
LINES_A_CALL = 1000
ACTIONS = (
    "CreateLogDelivery",
    "GetLogDelivery",
    "UpdateLogDelivery",
    "DeleteLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "DescribeResourcePolicies",
    "DescribeLogGroups",
)
"""What a machine's role must be allowed of CloudWatch Logs, on every resource, for a log to be set up."""


def checked(logging: dict | None) -> dict:
    """A LoggingConfiguration with its defaults. Raises AwsError InvalidLoggingConfiguration."""
    logging = {"level": "OFF", "includeExecutionData": False, **(logging or {})}
    groups = [each.get("cloudWatchLogsLogGroup", {}) for each in logging.get("destinations", ())]
    if logging["level"] != "OFF" and len(groups) != 1:
        raise AwsError(
            "InvalidLoggingConfiguration",
            "Invalid Logging Configuration: Must specify exactly one Log Destination.",
        )
    for group in groups:
        if not GROUP_ARN.fullmatch(group.get("logGroupArn", "")):
            raise AwsError(
                "InvalidLoggingConfiguration",
                "Invalid Logging Configuration: Log Destination must be a log group's ARN that ends in ':*', "
                f"not {group.get('logGroupArn')}",
            )
    return logging


def check_role(world: World, role: Caller, logging: dict) -> None:
    """Refuse a role that could not set up the log. Raises AwsError AccessDeniedException."""
    if logging["level"] == "OFF":
        return
    for action in ACTIONS:
        if authorization.denial(world, role, Need(f"logs:{action}", "*")):
            raise AwsError(
                "AccessDeniedException",
                f"The state machine IAM Role is not authorized to access the Log Destination (it lacks logs:{action})",
            )


def write(world: World, execution: Execution) -> None:
    """Write an ended execution to its machine's log group, as far as the log level goes."""
    with world.lock:
        lines = log_lines(execution, execution.logged)
        execution.logged = len(execution.history)
    if not lines:
        return
    machine = execution.machine
    found = GROUP_ARN.fullmatch(machine.logging["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"])
    group = found[1] if found else ""
    admin = world.session_of(identity.admin(machine.account, machine.region), machine.region)
    logs = admin.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return  # deleted since
    stream = f"states/{machine.name}/{execution.started:%Y-%m-%d-%H-%M}/{uuid.uuid4().hex[:8]}"
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    for start in range(0, len(lines), LINES_A_CALL):
        part = lines[start : start + LINES_A_CALL]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=part)


def log_lines(execution: Execution, after: int) -> list[dict]:
    """The history beyond its first `after` events as log events ({"timestamp", "message"}), as far as the machine's
    level goes."""
    logging = execution.machine.logging
    lines = []
    for event in execution.history[after:]:
        if not _is_logged(event["type"], logging["level"]):
            continue
        details = dict(event["details"])
        if not logging["includeExecutionData"]:
            details = {name: value for name, value in details.items() if name not in DATA_FIELDS}
        message: dict[str, Any] = {
            "id": str(event["id"]),
            "type": event["type"],
            "details": details,
            "previous_event_id": str(event["previousEventId"]),
            "event_timestamp": str(milliseconds(event["timestamp"])),
            "execution_arn": execution.arn,
            "redrive_count": str(event["redrives"]),
        }
        lines.append({"timestamp": milliseconds(event["timestamp"]), "message": compact(message)})
    return lines


def _is_logged(kind: str, level: str) -> bool:
    if level == "ALL":
        return True
    if level == "ERROR":
        return kind == "FailStateEntered" or kind.endswith(("Failed", "TimedOut", "Aborted"))
    return level == "FATAL" and kind in FATAL
