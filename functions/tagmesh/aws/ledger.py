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
