"""`tagmesh sweep`: looks at everything now, and says what that set going."""

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cli.mesh import Mesh, NoMesh

PATIENCE = 900  # seconds: the machine's own timeout
LOOK_EVERY = 0.5

#: What the sweep starts -> how people call it.
STARTED = {"crawls": "crawls", "publishes": "data products classified anew", "shares": "consumers shared with anew"}


@dataclass(frozen=True)
class Swept:
    """What a sweep started, by kind; of these so many because of something that others had changed; "" or why there was
    nothing to sweep."""

    started: dict[str, int]
    drifted: int
    reason: str


class SweepFailed(Exception):
    """The sweep did not come to its end; the text says why."""


def run(mesh: Mesh) -> Swept:
    """Starts the sweep machine and waits for its end; what it started goes on by itself.

    Raises:
        NoMesh: the account has no sweep machine.
        SweepFailed: it failed, or took longer than it may.
    """
    sfn = mesh.clients("stepfunctions")
    machine = f"arn:aws:states:{mesh.region}:{mesh.account}:stateMachine:tagmesh-sweep"
    try:
        started = sfn.start_execution(
            stateMachineArn=machine, name=f"by-hand-{uuid.uuid4()}", input=json.dumps({"reason": "hand"})
        )
    except sfn.exceptions.StateMachineDoesNotExist as error:
        raise NoMesh(f"account {mesh.account} in {mesh.region} has no mesh: {error}") from error
    except ClientError as error:
        raise SweepFailed(str(error)) from error
    return _swept(_ended(sfn, started["executionArn"]))


def _ended(sfn: Any, execution: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = sfn.describe_execution(executionArn=execution)
        if found["status"] == "SUCCEEDED":
            return json.loads(found["output"])
        if found["status"] != "RUNNING":
            raise SweepFailed(f"the sweep {found['status'].lower()}: {found.get('error')} {found.get('cause')}")
        if time.monotonic() > deadline:
            raise SweepFailed(f"the sweep still runs after {PATIENCE} seconds: {execution}")
        time.sleep(LOOK_EVERY)


def _swept(output: dict[str, Any]) -> Swept:
    return Swept({kind: output[kind] for kind in STARTED}, output["drifted"], output.get("reason", ""))


def lines(swept: Swept, at: str = "") -> list[str]:
    """For people; ``at`` is what commands need to ask the same mesh."""
    if swept.reason:
        return [swept.reason]
    if not any(swept.started.values()):
        return ["everything is as it should be"]
    said = [f"{count} {STARTED[kind]}" for kind, count in swept.started.items() if count]
    drifted = f"; {swept.drifted} of these because somebody changed something" if swept.drifted else ""
    return [f"started: {', '.join(said)}{drifted}", f"follow it with: tagmesh watch{at}"]


def as_json(swept: Swept) -> dict[str, Any]:
    """The same, as JSON has it."""
    return {**swept.started, "drifted": swept.drifted, **({"reason": swept.reason} if swept.reason else {})}
