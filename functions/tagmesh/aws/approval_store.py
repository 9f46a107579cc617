"""Approvals in the ledger: who was asked for what, and who decided it. The last decision of a key counts.

What is in force is kept beside the governance version, so that it is read with it in one call; both are written in one
transaction.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from tagmesh.approvals import Decision, Record, amiss, subject_of
from tagmesh.aws import governance_store, ledger
from tagmesh.governance import Governance, Withheld

UNIT = "approvals"
STARTING = 900  # seconds within which a machine that was started has told somebody, or another one is started


def read_all(dynamodb: Any) -> dict[str, Record]:
    """key -> its record (strongly consistent)."""
    return {key: _record(entry["detail"]) for key, entry in ledger.made_by(dynamodb, UNIT).items()}


def read(dynamodb: Any, key: str) -> Record | None:
    """What the ledger has of a key; None if it was never asked for."""
    return read_all(dynamodb).get(key)


def begin_asking(dynamodb: Any, withheld: Withheld, before: Record | None, version: str) -> int | None:
    """Notes that a machine is to be started for a key; the number of its attempt, or None where another one was noted,
    or decided, meanwhile."""
    now = int(time.time())
    known = before or Record(subject_of(withheld))
    # Attempts begin at the clock, as tokens do: names of runs are not used again by a ledger that was made anew.
    begun = replace(known, attempt=max(known.attempt + 1, now), asked_until=now + STARTING, version=version)
    return begun.attempt if _put(dynamodb, withheld.key, before, begun) else None


def note_asked(dynamodb: Any, key: str, before: Record, token: str, seconds: int) -> bool:
    """Notes that people were told, and the token that ends the machine, which waits so long; whether nobody has written
    meanwhile."""
    now = int(time.time())
    return _put(dynamodb, key, before, replace(before, asked_at=now, asked_until=now + seconds, token=token))


def decide(dynamodb: Any, withheld: Withheld, before: Record | None, decision: Decision) -> bool:
    """Records what a person decided, and puts it in force; whether nobody has written meanwhile."""
    known = before or Record(subject_of(withheld))
    after = replace(known, decisions=(*known.decisions, decision))
    return _put_in_force(dynamodb, withheld.key, before, after)


def restore(dynamodb: Any, governance: Governance, records: Mapping[str, Record]) -> bool:
    """Puts in force what the ledger says where something else is, as after the units' table was made anew; whether
    something was."""
    restored = False
    for withheld in amiss(governance, records):
        before = records.get(withheld.key)
        restored |= _put_in_force(dynamodb, withheld.key, before, before or Record(subject_of(withheld)))
    return restored


def _put_in_force(dynamodb: Any, key: str, before: Record | None, after: Record) -> bool:
    from botocore.exceptions import ClientError  # there already, since there is a client

    written = [
        {"Put": _request(key, before, after)},
        {"Update": governance_store.approving(key, approve=after.approved)},
    ]
    try:
        dynamodb.transact_write_items(TransactItems=written)
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        return False
    return True


def _put(dynamodb: Any, key: str, before: Record | None, after: Record) -> bool:
    try:
        dynamodb.put_item(**_request(key, before, after))
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _request(key: str, before: Record | None, after: Record) -> dict[str, Any]:
    """The PutItem of a record, where it is still what it was before."""
    request: dict[str, Any] = {
        "TableName": os.environ["LEDGER_TABLE"],
        "Item": {"unit": {"S": UNIT}, "made": {"S": key}, "entry": {"S": _text(after)}},
        "ConditionExpression": "#entry = :before" if before else "attribute_not_exists(#entry)",
        "ExpressionAttributeNames": {"#entry": "entry"},
    }
    if before:
        request["ExpressionAttributeValues"] = {":before": {"S": _text(before)}}
    return request


def _text(record: Record) -> str:
    """A record as the ledger has it, always in the same words: writes are conditional on them."""
    return json.dumps({"kind": "approval", "detail": asdict(record)}, sort_keys=True)


def _record(detail: Mapping[str, Any]) -> Record:
    return Record(**{**detail, "decisions": tuple(Decision(**each) for each in detail["decisions"])})
