"""What functions print, and what Lambda says of their invocations, in CloudWatch Logs.

Source: Lambda developer guide, "Sending Lambda function logs to CloudWatch Logs", "Viewing CloudWatch logs for Python
Lambda functions", "JSON log format".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moto.logs.models import logs_backends

if TYPE_CHECKING:
    from local_aws.functions.lambda_functions import Function, Settings
    from local_aws.functions.lambda_sandbox import Invocation, Outcome, Sandbox
    from local_aws.world import World


def write_log(
    world: World, function: Function, settings: Settings, sandbox: Sandbox, invocation: Invocation, outcome: Outcome
) -> bytes:
    """Write what the process printed, between the platform's lines, to the function's group. Returns all of it."""
    lines = _platform_lines(settings, invocation, outcome)
    printed = outcome.log.decode(errors="replace").split("\n")
    messages = [lines[0], *(f"{line}\n" for line in printed if line), *lines[1:]]
    group, stream = sandbox.launch.log_group, sandbox.log_stream
    now = int(world.now().timestamp() * 1000)
    with world.moto_lock("logs"):
        backend = logs_backends[function.account][function.region]
        backend.ensure_log_group(group)
        backend.ensure_log_stream(group, stream)
        backend.put_log_events(group, stream, [{"timestamp": now, "message": message} for message in messages])
    return "".join(messages).encode()


def _platform_lines(settings: Settings, invocation: Invocation, outcome: Outcome) -> list[str]:
    """The lines that Lambda itself writes: START, then END and REPORT (and the timeout in between)."""
    request_id = invocation.request_id
    if settings.log_format == "JSON":
        metrics = {
            "durationMs": round(outcome.milliseconds, 3),
            "memorySizeMB": settings.memory,
            "maxMemoryUsedMB": outcome.memory_mb,
        }
        status = {"status": "error" if outcome.error else "success", "requestId": request_id, "metrics": metrics}
        return [
            json.dumps({"type": "platform.start", "record": {"requestId": request_id, "version": settings.version}})
            + "\n",
            json.dumps({"type": "platform.report", "record": status}) + "\n",
        ]
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {outcome.milliseconds:.2f} ms\t"
        f"Billed Duration: {int(outcome.milliseconds) + 1} ms\tMemory Size: {settings.memory} MB\t"
        f"Max Memory Used: {outcome.memory_mb} MB"
    )
    if outcome.init_milliseconds is not None:
        report += f"\tInit Duration: {outcome.init_milliseconds:.2f} ms"
    lines = [f"START RequestId: {request_id} Version: {settings.version}\n"]
    if outcome.error == "Sandbox.Timedout":
        lines.append(f"{request_id} Task timed out after {invocation.seconds:.2f} seconds\n")
    return [*lines, f"END RequestId: {request_id}\n", f"{report}\t\n"]
