"""Watching the mesh at work: what happens, as it happens, until there is nothing left to do."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tagmesh.catalog import Finding

from cli import local
from cli.demo_accounts import Identity
from cli.demo_report import Event, Execution

LOOK_EVERY = 1.0  # seconds between two looks at what has happened
SETTLE_TIMEOUT = 150.0  # seconds for the mesh to come to rest
UNITS_TABLE = "tagmesh-units"
SWEEP = "tagmesh-sweep"


class NotSettled(Exception):
    """The mesh did not come to rest, or rests with work undone; the text says what is left."""


class Follower:
    """Reads the server's activity feed onwards, and hands on each line as an Event with its text."""

    def __init__(self, server: local.Server, began: datetime, show: Callable[[Event, str], None]) -> None:
        self.server = server
        self.began = began
        self.show = show
        self.seen = 0

    def catch_up(self) -> None:
        """Hand on what has happened since the last time."""
        for line in local.ask(self.server, "activity", after=self.seen):
            self.seen = line["n"]
            seconds = (datetime.fromisoformat(line["time"]) - self.began).total_seconds()
            self.show(Event(line["stage"], line["subject"], round(seconds, 2)), line["text"])


@dataclass(frozen=True)
class Unit:
    """A data product or consumer of the mesh: what was asked of it and what of that is done (tagmesh-units)."""

    name: str
    dirty: int
    done: int
    phase: str
    findings: tuple[Finding, ...]

    @property
    def behind(self) -> bool:
        return self.dirty > self.done


def read_units(admin: Identity) -> dict[str, Unit]:
    """Every item of the units table, by name."""
    pages = admin.client("dynamodb").get_paginator("scan").paginate(TableName=UNITS_TABLE, ConsistentRead=True)
    units = (_unit(item) for page in pages for item in page["Items"])
    return {unit.name: unit for unit in sorted(units, key=lambda unit: unit.name)}


def _unit(item: dict[str, Any]) -> Unit:
    def number(attribute: str) -> int:
        return int(item.get(attribute, {"N": "0"})["N"])

    findings = json.loads(item.get("findings", {"S": "[]"})["S"])
    return Unit(
        item["unit"]["S"],
        number("dirty"),
        number("done"),
        item.get("phase", {"S": ""})["S"] or "idle",
        tuple(Finding(f["code"], f["subject"], f["message"], f["mend"]) for f in findings),
    )


def wait_until_settled(
    follower: Follower, admin: Identity, expected: Iterable[str], say: Callable[[str], None]
) -> dict[str, Unit]:
    """Wait until nothing is under way and every unit has done what was asked; returns the units.

    A unit that waits for its next due crawl is hurried on, once, as an operator would. `expected` names units that
    must have been asked for something. Raises NotSettled.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT
    _wait_until_idle(follower, deadline)
    units = read_units(admin)
    waiting = [unit for unit in units.values() if unit.behind and unit.phase == "idle"]
    if waiting:
        names = ", ".join(unit.name for unit in waiting)
        say(f"more was uploaded while they were crawled: {names}; the next crawl is not due yet, so we ask for it now")
        hurry(admin, waiting)
        _wait_until_idle(follower, deadline)
        units = read_units(admin)
    unheard = [name for name in expected if name not in units or not units[name].dirty]
    if unheard:
        raise NotSettled(f"nothing was heard of the uploads to {', '.join(unheard)}")
    if behind := [f"{unit.name} ({unit.phase})" for unit in units.values() if unit.behind]:
        raise NotSettled(f"work is left undone, and nothing is doing it: {', '.join(behind)}")
    return units


def _wait_until_idle(follower: Follower, deadline: float) -> None:
    while True:
        answer = local.tell(follower.server, "POST", "idle", {"timeout": LOOK_EVERY}, timeout=LOOK_EVERY + 30)
        follower.catch_up()
        if answer["idle"]:
            return
        if time.monotonic() > deadline:
            raise NotSettled(f"after {SETTLE_TIMEOUT:.0f} s: {answer['busy']}")


def hurry(admin: Identity, units: Iterable[Unit]) -> None:
    """What an operator does who does not want to wait for the next due crawl: mark the units and start the sweep."""
    dynamodb = admin.client("dynamodb")
    for unit in units:
        dynamodb.update_item(
            TableName=UNITS_TABLE,
            Key={"unit": {"S": unit.name}},
            UpdateExpression="SET hurry = :yes",
            ExpressionAttributeValues={":yes": {"BOOL": True}},
        )
    states = admin.client("stepfunctions")
    machines = (m for page in states.get_paginator("list_state_machines").paginate() for m in page["stateMachines"])
    sweep = next(machine["stateMachineArn"] for machine in machines if machine["name"] == SWEEP)
    states.start_execution(stateMachineArn=sweep, input=json.dumps({"reason": "operator"}))


def read_executions(server: local.Server) -> list[Execution]:
    """Every run of every state machine, in the order of their starts."""
    executions = sorted(local.ask(server, "executions"), key=lambda execution: execution["start"])
    return [
        Execution(
            execution["state_machine"],
            execution["status"],
            execution.get("name") or "",
            ": ".join(part for part in (execution.get("error"), execution.get("cause")) if part),
        )
        for execution in executions
    ]


def now() -> datetime:
    return datetime.now(UTC)
