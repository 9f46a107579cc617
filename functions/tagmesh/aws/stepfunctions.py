"""Starting runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any


def execution_name(unit: str, token: int) -> str:
    """At most 80 characters that Step Functions admits; for the same unit and token the same, for others another."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", unit)[:40]
    return f"{name}-{hashlib.sha256(unit.encode()).hexdigest()[:8]}-{token}"


def start(stepfunctions: Any, machine_arn: str, unit: str, token: int, payload: Mapping[str, Any]) -> None:
    """Starts the run that the token stands for. Starting it twice starts it once."""
    start_named(stepfunctions, machine_arn, execution_name(unit, token), payload)


def start_named(stepfunctions: Any, machine_arn: str, name: str, payload: Mapping[str, Any]) -> None:
    """Starts an execution under a name (at most 80 characters), once."""
    # Where it exists, an earlier attempt got through and has even ended.
    with contextlib.suppress(stepfunctions.exceptions.ExecutionAlreadyExists):
        stepfunctions.start_execution(stateMachineArn=machine_arn, name=name, input=json.dumps(payload))
