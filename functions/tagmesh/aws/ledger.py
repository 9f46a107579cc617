"""What we made, for which unit, why, under which governance version and when. Only that is ever removed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any


def made_by(dynamodb: Any, unit: str) -> dict[str, dict[str, Any]]:
    """Everything made for a unit: key -> {kind, detail, why, version, at}."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=os.environ["LEDGER_TABLE"],
        KeyConditionExpression="#unit = :unit",
        ExpressionAttributeNames={"#unit": "unit"},
        ExpressionAttributeValues={":unit": {"S": unit}},
        ConsistentRead=True,
    )
    return {item["made"]["S"]: json.loads(item["entry"]["S"]) for page in pages for item in page["Items"]}


def record(dynamodb: Any, unit: str, made: str, kind: str, detail: Mapping[str, Any], why: str, version: str) -> None:
    """Writes one entry, before the thing itself is made: a crash leaves an entry too many, never one too few."""
    entry = {"kind": kind, "detail": dict(detail), "why": why, "version": version, "at": int(time.time())}
    dynamodb.put_item(
        TableName=os.environ["LEDGER_TABLE"],
        Item={"unit": {"S": unit}, "made": {"S": made}, "entry": {"S": json.dumps(entry, sort_keys=True)}},
    )


def remember(dynamodb: Any, database: str, table: str, token: int, said: Mapping[str, Any]) -> None:
    """Adds to the history of a table: what a run has decided otherwise than the run before. It is never removed.

    Args:
        said: `version`, of the governance; `correlation_id`, of what set the run going; `decisions`, a key in the
            governance bucket.
    """
    dynamodb.put_item(
        TableName=os.environ["LEDGER_TABLE"],
        Item={
            "unit": {"S": _history_of(database, table)},
            "made": {"S": f"{int(time.time()):012d}/{token}"},
            "entry": {"S": json.dumps({**said, "at": int(time.time())}, sort_keys=True)},
        },
    )


def history(dynamodb: Any, database: str, table: str) -> list[dict[str, Any]]:
    """What `remember` was told of a table, with `at` (seconds since 1970), the oldest first."""
    entries = made_by(dynamodb, _history_of(database, table))
    return [entries[key] for key in sorted(entries)]


def _history_of(database: str, table: str) -> str:
    return f"history/{database}/{table}"


def forget(dynamodb: Any, unit: str, made: str) -> None:
    """Removes one entry, after the thing itself is gone."""
    dynamodb.delete_item(TableName=os.environ["LEDGER_TABLE"], Key={"unit": {"S": unit}, "made": {"S": made}})


def tags_of(database: str, table: str) -> str:
    """The key of the entry about the LF-Tags of one table.

    Its detail names what was decided (`decisions`, a key in the governance bucket, and its `digest`), by the run of
    which `token`, and what may be there of runs before it: `whole`, what the last run that was carried out whole
    decided, and `unfinished`, what those that broke off since did.
    """
    return f"tags/{database}/{table}"


def written_before(detail: Mapping[str, Any], whole: int) -> dict[str, Any]:
    """`whole` and `unfinished` of the next entry about a table, after the entry with this detail ({} if it has none).

    Args:
        whole: the token of the last run that was carried out whole.
    """
    if not detail:
        return {"whole": "", "unfinished": []}
    if detail.get("token", 0) <= whole:
        return {"whole": detail["decisions"], "unfinished": []}
    return {"whole": detail["whole"], "unfinished": [*detail["unfinished"], detail["decisions"]]}
