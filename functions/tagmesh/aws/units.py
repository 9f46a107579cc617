"""Leases and counters: one DynamoDB item a unit of work (a data product or a consumer).

`dirty` counts what was asked for, `done` what a finished run covers; a unit needs work while dirty > done. A run holds
the unit's lease: `token` fences (each holder has a higher one), `until` ends it. Expiry is compared in the condition of
each write, never left to DynamoDB's TTL. `phase` says what the run is at, so that the next step, and only one, can
take over: a completed crawl from "crawling" or "waiting".
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tagmesh.governance import Governance

RUN_SECONDS = 900  # longer than any function's timeout; taken anew at the start of each step
CRAWL_SECONDS = 6 * 3600  # a crawl's completion takes over whatever is left; the sweep looks for lost completions
KEPT_REFUSALS = 50


class LeaseLost(Exception):
    """Another run holds the unit: whatever this one still wanted to do, the other will do."""


@dataclass(frozen=True)
class Lease:
    """What a run holds: the unit's name and the fencing token."""

    unit: str
    token: int


@dataclass(frozen=True)
class Unit:
    """One item. Times are seconds since 1970 (0: none); `asked_at`: of what was asked first of what is not done yet;
    `published`: data product unit -> fingerprint of what is readable.

    `version` is what the governance said of it (`version_of`) when it was last carried out whole ("" while a run brings
    it to another one: `leave_version`), `whole` the token of that run, `tagged` whether a run has begun to assign tags,
    `revoked` the last `version_of` of which all that it takes away from a consumer was taken away. `recheck` is the day
    (2027-04-01, UTC; "" for none) from which on the same governance decides otherwise, since an override expires.
    `ready_at` is when what a crawl needs was last made sure of,
    `folders` and `objects` are those that the last crawl began with, `tables` those that were published after it,
    `bare` the folders that had none, `misfits` the tables whose files have other headers; `failures` counts the crawls
    that failed since one did not. `doubted` says that what the ledger has of a consumer may not be what is there: a run
    that changes something has not come to its end, or the sweep has seen something else. `void` are LF-Tags that
    somebody deleted: policies that use them are still listed, and give nothing. `doors` are findings about what gives
    access past the tags: while there are any, the data product is closed.
    """

    name: str
    dirty: int = 0
    done: int = 0
    token: int = 0
    until: float = 0.0
    phase: str = "idle"
    noted: int = 0
    hurry: bool = False
    correlation_id: str = ""
    asked_at: float = 0.0
    crawled_at: float = 0.0
    ready_at: float = 0.0
    folders: frozenset[str] = frozenset()
    objects: str = ""
    tables: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()
    misfits: frozenset[str] = frozenset()
    doors: tuple[Mapping[str, str], ...] = ()
    failures: int = 0
    version: str = ""
    whole: int = 0
    doubted: bool = False
    void: frozenset[str] = frozenset()
    tagged: bool = False
    recheck: str = ""
    revoked: str = ""
    published: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Mapping[str, str], ...] = ()

    @property
    def live(self) -> bool:
        """Whether a run holds the unit now."""
        return self.until > time.time()


def _table() -> str:
    return os.environ["UNITS_TABLE"]


def _decode(item: Mapping[str, Any]) -> Unit:
    def number(name: str) -> float:
        return float(item.get(name, {"N": "0"})["N"])

    def text(name: str) -> str:
        return item.get(name, {"S": ""})["S"]

    return Unit(
        name=item["unit"]["S"],
        dirty=int(number("dirty")),
        done=int(number("done")),
        token=int(number("token")),
        until=number("until"),
        phase=text("phase") or "idle",
        noted=int(number("noted")),
        hurry=item.get("hurry", {"BOOL": False})["BOOL"],
        correlation_id=text("correlation_id"),
        asked_at=number("asked_at"),
        crawled_at=number("crawled_at"),
        ready_at=number("ready_at"),
        folders=frozenset(item.get("folders", {"SS": []})["SS"]),
        objects=text("objects"),
        tables=frozenset(json.loads(text("tables") or "[]")),
        bare=frozenset(json.loads(text("bare") or "[]")),
        misfits=frozenset(json.loads(text("misfits") or "[]")),
        doors=tuple(json.loads(text("doors") or "[]")),
        failures=int(number("failures")),
        version=text("version"),
        whole=int(number("whole")),
        doubted=item.get("doubted", {"BOOL": False})["BOOL"],
        void=frozenset(json.loads(text("void") or "[]")),
        tagged=item.get("tagged", {"BOOL": False})["BOOL"],
        recheck=text("recheck"),
        revoked=text("revoked"),
        published=json.loads(text("published") or "{}"),
        findings=tuple(json.loads(text("findings") or "[]")),
    )


def _update(
    dynamodb: Any,
    unit: str,
    set_: Mapping[str, Any],
    *,
    extra: str = "",
    condition: str | None,
    values: Mapping[str, Any] = {},
) -> Unit | None:
    """One UpdateItem; None where the condition does not hold. `set_` maps attributes to typed values or expressions."""
    assigned, typed = [], dict(values)
    for name, value in set_.items():
        if isinstance(value, str):
            assigned.append(f"#{name} = {value}")
        else:
            assigned.append(f"#{name} = :set_{name}")
            typed[f":set_{name}"] = value
    expression = " ".join(part for part in (f"SET {', '.join(assigned)}" if assigned else "", extra) if part)
    names = re.findall(r"#(\w+)", f"{expression} {condition or ''}")
    request = {
        "TableName": _table(),
        "Key": {"unit": {"S": unit}},
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ReturnValues": "ALL_NEW",
    }
    if condition:
        request["ConditionExpression"] = condition
    if typed:
        request["ExpressionAttributeValues"] = typed
    try:
        return _decode(dynamodb.update_item(**request)["Attributes"])
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return None


def _number(value: float) -> dict[str, str]:
    return {"N": repr(value) if isinstance(value, float) else str(value)}


def read(dynamodb: Any, unit: str) -> Unit:
    """The unit as it is (strongly consistent); a unit that nobody asked for yet is all zeros."""
    item = dynamodb.get_item(TableName=_table(), Key={"unit": {"S": unit}}, ConsistentRead=True).get("Item")
    return _decode(item) if item else Unit(unit)


def read_all(dynamodb: Any) -> dict[str, Unit]:
    """Every unit that has an item, by name."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=_table(), ConsistentRead=True)
    units = (_decode(item) for page in pages for item in page["Items"])
    return {unit.name: unit for unit in units}


def request(dynamodb: Any, unit: str, correlation_id: str, *, hurry: bool = False) -> Unit:
    """Asks for work: bumps `dirty`. `hurry` says that it should not wait for the next due time."""
    set_: dict[str, Any] = {"correlation_id": {"S": correlation_id}, "asked_at": "if_not_exists(#asked_at, :now)"}
    if hurry:
        set_["hurry"] = {"BOOL": True}
    values = {":one": _number(1), ":now": _number(time.time())}
    return _update(dynamodb, unit, set_, extra="ADD #dirty :one", condition=None, values=values)


def acquire(dynamodb: Any, unit: str, phase: str) -> Lease | None:
    """Takes the lease of a unit that no live run holds; None where one does."""
    now = time.time()
    taken = _update(
        dynamodb,
        unit,
        {
            "token": "if_not_exists(#token, :epoch) + :one",
            "until": _number(now + RUN_SECONDS),
            "phase": {"S": phase},
        },
        condition="attribute_not_exists(#until) OR #until < :now",
        # Tokens begin at the clock: names of runs are not used again by a table that was made anew.
        values={":now": _number(now), ":epoch": _number(int(now)), ":one": _number(1)},
    )
    return Lease(unit, taken.token) if taken else None


def take_over(dynamodb: Any, unit: str, phases: Iterable[str], phase: str) -> Unit | None:
    """Takes the lease from a run that is at one of `phases`, live or not; None where it is at none of them."""
    wanted = {f":from_{n}": {"S": name} for n, name in enumerate(phases)}
    set_ = {"token": "#token + :one", "until": _number(time.time() + RUN_SECONDS), "phase": {"S": phase}}
    if "waiting" in phases:
        set_["hurry"] = {"BOOL": True}  # the crawl that it waited for is not its own
    return _update(
        dynamodb,
        unit,
        set_,
        condition=f"#phase IN ({', '.join(wanted)})",
        values={**wanted, ":one": _number(1)},
    )


def advance(dynamodb: Any, lease: Lease, phase: str, seconds: float = RUN_SECONDS, **attributes: Any) -> Unit:
    """The holder's next step: takes the lease anew for `seconds`, and notes typed `attributes`.

    Raises:
        LeaseLost: another run holds the unit.
    """
    unit = _update(
        dynamodb,
        lease.unit,
        {"until": _number(time.time() + seconds), "phase": {"S": phase}, **attributes},
        condition="#token = :token",
        values={":token": _number(lease.token)},
    )
    if unit is None:
        raise LeaseLost(f"{lease.unit}: another run holds it (token {lease.token} is old)")
    return unit


def begin_changes(dynamodb: Any, lease: Lease, phase: str, unit: Unit, version: str) -> None:
    """Notes, before the first call that changes something, that the ledger may say more than is there yet, and that the
    unit is no more as an earlier version said: if this run breaks off and the earlier version comes back, nobody takes
    the unit for settled.

    Raises:
        LeaseLost: another run holds the unit.
    """
    left = {"version": {"S": ""}, "revoked": {"S": ""}} if {unit.version, unit.revoked} - {"", version} else {}
    if left or not unit.doubted:
        advance(dynamodb, lease, phase, doubted={"BOOL": True}, **left)


def doubt(dynamodb: Any, unit: str, void: Iterable[str] | None = None) -> None:
    """Notes that something else is there than the ledger says: the next run looks."""
    set_: dict[str, Any] = {"doubted": {"BOOL": True}}
    if void is not None:
        set_["void"] = {"S": json.dumps(sorted(void))}
    _update(dynamodb, unit, set_, condition=None)


def note(dynamodb: Any, lease: Lease, phase: str) -> Unit:
    """Notes, in one write, how far this run will have gone: whatever was asked before now."""
    return advance(dynamodb, lease, phase, noted="#dirty", hurry={"BOOL": False})


def crawling(
    dynamodb: Any,
    lease: Lease,
    folders: Iterable[str],
    objects: str,
    findings: Iterable[Mapping[str, str]],
    ready_at: float,
) -> Unit:
    """The crawler is about to start on these folders (at least one), with `objects` in them (`s3.Listed`)."""
    return advance(
        dynamodb,
        lease,
        "crawling",
        CRAWL_SECONDS,
        crawled_at=_number(time.time()),
        ready_at=_number(ready_at),
        folders={"SS": sorted(folders)},
        objects={"S": objects},
        findings={"S": json.dumps(list(findings))},
    )


def finish(
    dynamodb: Any,
    lease: Lease,
    *,
    covered: bool,
    findings: Iterable[Mapping[str, str]],
    version: str = "",
    wrote: bool = True,
    doubted: bool | None = None,
    recheck: str = "",
    published: Mapping[str, str] | None = None,
    tables: Iterable[str] | None = None,
    bare: Iterable[str] | None = None,
    misfits: Iterable[str] | None = None,
    failures: int | None = None,
    objects: str | None = None,
) -> Unit:
    """Ends a run and frees the unit.

    Args:
        covered: the run did what had been asked when it noted `dirty`.
        findings: what people must mend now; replaces the earlier ones.
        version: the governance version that was carried out whole, if one was.
        wrote: the run wrote whatever was decided of tables: what the ledger has of it is there.
        doubted: whether the ledger may still say something else than what is there, where the run knows.
        recheck: the day from which on that version decides otherwise, if there is one.
        published, tables, bare, misfits, failures, objects: of a Unit, where the run knows them.

    Raises:
        LeaseLost: another run holds the unit.
    """
    attributes: dict[str, Any] = {"findings": {"S": json.dumps(list(findings))}}
    if doubted is not None:
        attributes["doubted"] = {"BOOL": doubted}
    if doubted is False:
        attributes["void"] = {"S": "[]"}
    if covered:
        attributes["done"] = "#noted"
    if version:
        attributes |= {"version": {"S": version}, "recheck": {"S": recheck}}
        if wrote:
            attributes["whole"] = _number(lease.token)
    if published is not None:
        attributes["published"] = {"S": json.dumps(dict(published), sort_keys=True)}
    if tables is not None:
        attributes["tables"] = {"S": json.dumps(sorted(tables))}
    if bare is not None:
        attributes["bare"] = {"S": json.dumps(sorted(bare))}
    if misfits is not None:
        attributes["misfits"] = {"S": json.dumps(sorted(misfits))}
    if objects is not None:
        attributes["objects"] = {"S": objects}
    if failures is not None:
        attributes["failures"] = _number(failures)
    unit = _update(
        dynamodb,
        lease.unit,
        {"until": _number(0), "phase": {"S": "idle"}, **attributes},
        extra="REMOVE #asked_at" if covered else "",
        condition="#token = :token",
        values={":token": _number(lease.token)},
    )
    if unit is None:
        raise LeaseLost(f"{lease.unit}: another run holds it (token {lease.token} is old)")
    return unit


def note_doors(dynamodb: Any, unit: str, doors: Iterable[Mapping[str, str]]) -> Unit:
    """Notes what gives access to a data product past the tags (findings); also while a run holds it."""
    return _update(dynamodb, unit, {"doors": {"S": json.dumps(list(doors))}}, condition=None)


def forget_crawls(dynamodb: Any, lease: Lease, phase: str) -> None:
    """Notes of a data product that is closed that nothing of its crawls counts any more: nothing is open for others to
    wait for, and if it comes back, it begins with a crawl.

    Raises:
        LeaseLost: another run holds the unit.
    """
    nothing = dict.fromkeys(("tables", "bare", "misfits"), {"S": "[]"})
    never = dict.fromkeys(("crawled_at", "ready_at", "failures"), _number(0))
    unit = _update(
        dynamodb,
        lease.unit,
        {
            "until": _number(time.time() + RUN_SECONDS),
            "phase": {"S": phase},
            "tagged": {"BOOL": False},
            **dict.fromkeys(("objects", "recheck"), {"S": ""}),
            **nothing,
            **never,
        },
        extra="REMOVE #folders, #asked_at ADD #dirty :one",
        condition="#token = :token",
        values={":token": _number(lease.token), ":one": _number(1)},
    )
    if unit is None:
        raise LeaseLost(f"{lease.unit}: another run holds it (token {lease.token} is old)")


def remove(dynamodb: Any, lease: Lease) -> None:
    """Forgets a unit, of which nothing is left.

    Raises:
        LeaseLost: another run holds it.
    """
    try:
        dynamodb.delete_item(
            TableName=_table(),
            Key={"unit": {"S": lease.unit}},
            ConditionExpression="#token = :token",
            ExpressionAttributeNames={"#token": "token"},
            ExpressionAttributeValues={":token": _number(lease.token)},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        raise LeaseLost(f"{lease.unit}: another run holds it (token {lease.token} is old)") from None


def release(dynamodb: Any, lease: Lease) -> None:
    """Frees a unit whose run did not start; nothing where another run has it by now."""
    _update(
        dynamodb,
        lease.unit,
        {"until": _number(0), "phase": {"S": "idle"}},
        condition="#token = :token",
        values={":token": _number(lease.token)},
    )


@contextlib.contextmanager
def freed_on_failure(dynamodb: Any, lease: Lease) -> Iterator[None]:
    """Frees the unit when the step fails, so that nobody waits for the lease to run out.

    A machine that retries the step goes on with the same token, if nobody took the unit meanwhile.
    """
    try:
        yield
    except LeaseLost:
        raise
    except BaseException:
        release(dynamodb, lease)
        raise


def holds(dynamodb: Any, lease: Lease) -> None:
    """Checks that this run still holds the unit (strongly consistent).

    Raises:
        LeaseLost: it does not.
    """
    unit = read(dynamodb, lease.unit)
    if unit.token != lease.token or not unit.live:
        raise LeaseLost(f"{lease.unit}: another run holds it (token {lease.token} is old)")


def not_tagged(known: Mapping[str, Unit], governance: Governance) -> list[str]:
    """Data products, also those that have left the files, that may carry an older version's tags: what a new version
    grants waits for them."""
    return [
        unit.name
        for name, unit in known.items()
        if name.startswith("data_product/") and unit.tagged and unit.version != governance.version_of(name)
    ]


def not_revoked(known: Mapping[str, Unit], governance: Governance) -> list[str]:
    """Consumers, also those that have left the files, that may still hold what this version takes away: what a new
    version opens waits for them."""
    names = {consumer.unit for consumer in governance.consumers}
    names |= {name for name, unit in known.items() if name.startswith("consumer/") and unit.token}
    return sorted(name for name in names if known.get(name, Unit(name)).revoked != governance.version_of(name))


def note_findings(dynamodb: Any, unit: str, findings: Iterable[Mapping[str, str]]) -> None:
    """Replaces the findings of something that has no runs (refused uploads, refused governance)."""
    _update(dynamodb, unit, {"findings": {"S": json.dumps(list(findings))}}, condition=None)


def add_refusals(dynamodb: Any, findings: Iterable[Mapping[str, str]]) -> None:
    """Keeps the latest refused uploads, one finding a sender and bucket."""
    kept = {finding["subject"]: finding for finding in read(dynamodb, "refused_uploads").findings}
    for finding in findings:
        kept.pop(finding["subject"], None)
        kept[finding["subject"]] = finding
    note_findings(dynamodb, "refused_uploads", list(kept.values())[-KEPT_REFUSALS:])
