"""The administration of a local AWS itself: JSON over HTTP below `/_local/`. No AWS has this.

GET  /_local/health                       {"status", "region", "engines"}
PUT  /_local/organization                 {"id": "o-...", "members": [...], "ram_sharing": true,
                                           "management": "<account>", "units": {"<ARN of a unit>": [accounts]}}
GET  /_local/calls?after=N                {"counts": {"s3:PutObject": n}, "log": [...], "failures": [...]}
POST /_local/idle {"timeout": seconds}    wait until nothing is under way: {"idle": bool, "busy": "..."}
GET  /_local/clock                        {"now", "ahead_seconds", "next"}: the time, how far ahead, what is due next
POST /_local/clock {"advance": seconds}   let time pass, fast: what is due happens at its moment; "skip": true jumps
GET  /_local/faults                       the faults that wait (faults.py), with what they have hit
POST /_local/faults {"operation": ...}    let a fault happen; DELETE /_local/faults: none any more
GET  /_local/executions                   state machine executions of all accounts
GET  /_local/activity?after=N             numbered lines of what happened, for a live view
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from werkzeug.wrappers import Response

from local_aws.clock import NO_MOMENT
from local_aws.faults import Fault
from local_aws.lakeformation.lf_model import is_organization
from local_aws.world import World


def answer_admin(world: World, request: Any, body: bytes) -> Response:
    """The response to a request below `/_local/`. A mistake in it is answered 400 with the reason."""
    route = ROUTES.get((request.method, request.path))
    if route is None:
        known = ", ".join(f"{method} {path}" for method, path in ROUTES)
        return _json({"error": f"no {request.method} {request.path} here; there are {known}"}, 404)
    try:
        return _json(route(world, request.args, json.loads(body) if body else {}))
    except (ValueError, KeyError, TypeError, TimeoutError) as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, 400)


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content, default=str), status=status, content_type="application/json")


def health(world: World, _query: Any, _body: dict) -> dict:
    return {"status": "ok", "region": world.region, "engines": sorted(world.engines)}


def set_organization(world: World, _query: Any, body: dict) -> dict:
    """Makes accounts one organization. Whatever is not said is not so. A unit has all its accounts, also those of the
    units below it."""
    if unknown := set(body) - {"id", "members", "ram_sharing", "management", "units"}:
        known = "id, members, ram_sharing, management, units"
        raise ValueError(f"unknown keys {sorted(unknown)}: an organization has {known}")
    members, units = set(body["members"]), body.get("units", {})
    for arn, accounts in units.items():
        if not is_organization(arn) or not arn.rpartition(":")[2].startswith(f"ou/{body['id']}/"):
            raise ValueError(f"{arn} is no ARN of an organizational unit of {body['id']}")
        if strangers := set(accounts) - members:
            raise ValueError(f"{arn} has accounts that are no members: {sorted(strangers)}")
    told = {"management": body.get("management"), "units": {arn: sorted(units[arn]) for arn in units}}
    sharing = {"id": body["id"], "members": members, "ram_sharing": bool(body.get("ram_sharing", False))}
    world.organization.clear()
    world.organization.update(**sharing, **{name: value for name, value in told.items() if value})
    return {**world.organization, "members": sorted(world.organization["members"])}


def calls(world: World, query: Any, _body: dict) -> dict:
    after = int(query.get("after", 0))
    return {
        "counts": dict(sorted(world.counts.items())),
        "log": [asdict(record) for record in list(world.log) if record.n > after],
        "failures": list(world.failures),
    }


def idle(world: World, _query: Any, body: dict) -> dict:
    try:
        world.wait_idle(float(body.get("timeout", 60)))
    except TimeoutError as error:
        return {"idle": False, "busy": str(error)}
    return {"idle": True, "busy": ""}


def clock(world: World, _query: Any, _body: dict) -> dict:
    due = world.clock.next_moment()
    return {
        "now": world.now().isoformat(timespec="milliseconds"),
        "ahead_seconds": world.clock.offset,
        "next": None if due == NO_MOMENT else due.isoformat(timespec="milliseconds"),
    }


def advance_clock(world: World, query: Any, body: dict) -> dict:
    if unknown := set(body) - {"advance", "skip"}:
        raise ValueError(f"unknown keys {sorted(unknown)}: give advance, in seconds, and skip")
    seconds, stops = float(body["advance"]), 0
    if seconds < 0:
        raise ValueError("the clock moves forward only: advance must not be negative")
    if body.get("skip", False):
        world.advance(seconds)
    else:
        stops = world.pass_time(seconds)
    return {**clock(world, query, {}), "stops": stops}


def faults(world: World, _query: Any, _body: dict) -> list[dict]:
    return world.faults.list()


def add_fault(world: World, _query: Any, body: dict) -> list[dict]:
    known = {each.name for each in fields(Fault) if each.init}
    if unknown := set(body) - known:
        raise ValueError(f"unknown keys {sorted(unknown)}: a fault has {', '.join(sorted(known))}")
    world.faults.add(Fault(**body))
    return world.faults.list()


def clear_faults(world: World, _query: Any, _body: dict) -> list[dict]:
    world.faults.clear()
    return []


def executions(world: World, _query: Any, _body: dict) -> list[dict]:
    engine = world.engines.get("stepfunctions")
    return engine.executions() if hasattr(engine, "executions") else []


def activity(world: World, query: Any, _body: dict) -> list[dict]:
    return world.activity_after(int(query.get("after", 0)))


ROUTES: dict[tuple[str, str], Callable[[World, Any, dict], Any]] = {
    ("GET", "/_local/health"): health,
    ("PUT", "/_local/organization"): set_organization,
    ("GET", "/_local/calls"): calls,
    ("POST", "/_local/idle"): idle,
    ("GET", "/_local/clock"): clock,
    ("POST", "/_local/clock"): advance_clock,
    ("GET", "/_local/faults"): faults,
    ("POST", "/_local/faults"): add_fault,
    ("DELETE", "/_local/faults"): clear_faults,
    ("GET", "/_local/executions"): executions,
    ("GET", "/_local/activity"): activity,
}
