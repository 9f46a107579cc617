"""Watching the mesh at work: what happens, as it happens, until there is nothing left to do."""

import json
import re
import threading
import time
from collections import Counter
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
LOG_GROUP = "/tagmesh/functions"
LATE_LOGS = 5000  # milliseconds that a function's lines may come later than another's
UNITS_TABLE = "tagmesh-units"
SWEEP = "tagmesh-sweep"

STAGES = {
    "record-uploads": "event",
    "prepare-crawl": "crawl",
    "classify-tables": "classify",
    "sample-content": "sample",
    "apply-tags": "tag",
    "grant-access": "share",
    "link-consumer": "link",
    "deploy-governance": "govern",
    "load-governance": "govern",
    "configure-lake-formation": "settings",
    "sweep-mesh": "sweep",
}
TOLD_BY_LOGS = ("function", "execution")  # what the functions' own words tell better, unless it failed
LOGGED_ALWAYS = {
    *("level", "location", "message", "timestamp", "service", "cold_start", "correlation_id", "xray_trace_id"),
    *("function_name", "function_memory_size", "function_arn", "function_request_id", "exception", "exception_name"),
    "stack_trace",
}


class NotSettled(Exception):
    """The mesh did not come to rest, or rests with work undone; the text says what is left."""


class Follower:
    """Reads onwards what the local AWS saw and what the mesh's functions logged, and hands it on in order of time."""

    def __init__(
        self, server: local.Server, admin: Identity, began: datetime, show: Callable[[Event, str], None]
    ) -> None:
        self.server = server
        self.began = began
        self.show = show
        self._logs = admin.client("logs")
        self._activity_seen = 0
        self._logged_until = int(began.timestamp() * 1000)
        self._logs_seen: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def catch_up(self) -> None:
        """Hand on what has happened since the last time; what is the same several times, once, with the number."""
        with self._one_at_a_time:
            self._hand_on()

    def _hand_on(self) -> None:
        news = [*self._activity(), *self._logged()]
        times = Counter((stage, subject, text) for _, stage, subject, text in news)
        for seconds, *said in sorted(news):
            if count := times.pop(tuple(said), 0):
                stage, subject, text = said
                self.show(Event(stage, subject, seconds), f"{count} x {text}" if count > 1 else text)

    def _activity(self) -> Iterable[tuple[float, str, str, str]]:
        for line in local.ask(self.server, "activity", after=self._activity_seen):
            self._activity_seen = line["n"]
            stage, subject, text = line["stage"], line["subject"], line["text"]
            if stage in TOLD_BY_LOGS and "FAILED" not in text and "failed" not in text:
                continue
            if stage in ("event", "schedule"):
                stage = "published" if subject == "DataProductPublished" else stage
                text = _route(text)
            yield self._seconds(datetime.fromisoformat(line["time"])), stage, subject, text

    def _logged(self) -> Iterable[tuple[float, str, str, str]]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=LOG_GROUP, startTime=self._logged_until
        )
        for event in (event for page in pages for event in page["events"]):
            if event["eventId"] in self._logs_seen:
                continue
            self._logs_seen.add(event["eventId"])
            self._logged_until = max(self._logged_until, event["timestamp"] - LATE_LOGS)
            if said := _said(event["message"]):
                yield self._seconds(datetime.fromtimestamp(event["timestamp"] / 1000, UTC)), *said

    def _seconds(self, moment: datetime) -> float:
        return round((moment - self.began).total_seconds(), 2)


def _route(text: str) -> str:
    """`111111111111 default: rule -> arn:...` as where it went, and from where if from another account."""
    found = re.fullmatch(r"(\d{12}) \S+: \S* -> arn:[^:]*:[^:]*:[^:]*:(\d{12}):(?:stateMachine:)?(\S+)", text)
    if not found:
        return text
    sender, receiver, target = found.groups()
    return f"{sender} -> {target}" if sender != receiver else f"-> {target}"


def _said(message: str) -> tuple[str, str, str] | None:
    """Stage, subject and text of a structured line of a function's log; None for any other line."""
    try:
        line = json.loads(message)
    except ValueError:
        return None
    if not isinstance(line, dict) or "message" not in line or "function_name" not in line:
        return None
    function = line["function_name"].removeprefix("tagmesh-")
    details = {name: value for name, value in line.items() if name not in LOGGED_ALWAYS}
    subject = str(details.pop("unit", function)).partition("/")[2] or function
    told = [f"{name} {_listed(value)}" for name, value in details.items()]
    text = f"{line['message']}: {', '.join(told)}" if told else line["message"]
    return STAGES.get(function, function), subject, text if line["level"] == "INFO" else f"{line['level']} {text}"


def _listed(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", text)  # a digest names a version well enough with less


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
            execution["stateMachine"],
            execution["status"],
            execution.get("name") or "",
            ": ".join(part for part in (execution.get("error"), execution.get("cause")) if part),
        )
        for execution in executions
    ]


def now() -> datetime:
    return datetime.now(UTC)
