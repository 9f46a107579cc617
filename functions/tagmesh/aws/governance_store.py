"""Governance versions: the newest bundle in S3, the versions put in force, and which one is.

The bundle (`governance.json`, `{"files": {path: text}}`) is what a deployment or `tagmesh apply` writes. A version in
force lies under `versions/<digest>.json`; the item "governance" of the units table names it.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tagmesh import approvals, days
from tagmesh.governance import Governance, load

BUNDLE = "governance.json"
ITEM = {"unit": {"S": "governance"}}


class GovernanceChanged(Exception):
    """Another governance version came in force: what was planned under the old one is not carried on."""


class NoGovernance(Exception):
    """No governance version is in force yet: nothing can be decided, so nothing is done."""


def _bucket() -> str:
    return os.environ["GOVERNANCE_BUCKET"]


def read_bundle(s3: Any) -> dict[str, str] | None:
    """The newest bundle's files, or None where none was written yet."""
    try:
        body = s3.get_object(Bucket=_bucket(), Key=BUNDLE)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    return json.loads(body)["files"]


def write_bundle(s3: Any, files: Mapping[str, str]) -> None:
    """Writes a bundle; the upload itself is the event that starts the sweep."""
    body = json.dumps({"files": dict(sorted(files.items()))}, ensure_ascii=False).encode()
    s3.put_object(Bucket=_bucket(), Key=BUNDLE, Body=body, ContentType="application/json")


def put_in_force(s3: Any, dynamodb: Any, governance: Governance, files: Mapping[str, str], before: str) -> bool:
    """Keeps the version under its digest, then names it the one in force; whether it did.

    Args:
        before: the version that was in force when the bundle was read ("" for none). Where another one is by now,
            somebody read a newer bundle, and this one stays out.
    """
    body = json.dumps({"files": dict(sorted(files.items()))}, ensure_ascii=False).encode()
    s3.put_object(Bucket=_bucket(), Key=f"versions/{governance.digest}.json", Body=body, ContentType="application/json")
    return _note(dynamodb, "version", governance.digest, before, counted=True)


def check_in_force(dynamodb: Any, governance: Governance) -> None:
    """Checks that a version is still in force, and was all the time since it was read (strongly consistent): meanwhile
    another one may have opened what a run under this one has seen closed, or something of it was approved or denied, or
    has expired.

    Raises:
        GovernanceChanged: it is not, or was not.
    """
    if in_force(dynamodb) != (governance.digest, governance.number):
        raise GovernanceChanged("another governance version came in force: the sweep that it started goes on from here")
    if "" < governance.holds_until < days.today():
        raise GovernanceChanged("a subscription has expired: another run goes on without it")


def check_planned(governance: Governance, planned: Mapping[str, Any]) -> None:
    """Checks that a plan was made under this version, and that it was in force since.

    Raises:
        GovernanceChanged: it was not.
    """
    names = (governance.digest, governance.number, governance.holds_until)
    if (planned["version"], planned["number"], planned["holds_until"]) != names:
        raise GovernanceChanged("planned under another governance version: the sweep that this one started plans anew")


def in_force(dynamodb: Any) -> tuple[str, int]:
    """The digest of the version in force ("" where there is none), and its number (strongly consistent)."""
    item = _item(dynamodb)
    return item.get("version", {"S": ""})["S"], int(item.get("number", {"N": "0"})["N"])


def version_in_force(dynamodb: Any) -> str:
    """The digest of the version in force; empty where there is none (strongly consistent)."""
    return in_force(dynamodb)[0]


def version_deployed(dynamodb: Any) -> str:
    """The digest that a deployment wrote last, whatever was applied since; empty where none did."""
    return _noted(dynamodb, "deployed")


def note_deployed(dynamodb: Any, digest: str) -> None:
    """Remembers what a deployment wrote."""
    _note(dynamodb, "deployed", digest, None)


def lf_tags_made(dynamodb: Any) -> str:
    """The `lf_tags_version` whose keys and values were made last; empty where none were."""
    return _noted(dynamodb, "lf_tags")


def note_lf_tags(dynamodb: Any, digest: str) -> None:
    """Remembers which keys and values were made."""
    _note(dynamodb, "lf_tags", digest, None)


def _noted(dynamodb: Any, name: str) -> str:
    return _item(dynamodb).get(name, {"S": ""})["S"]


def _item(dynamodb: Any) -> dict[str, Any]:
    return dynamodb.get_item(TableName=os.environ["UNITS_TABLE"], Key=ITEM, ConsistentRead=True).get("Item", {})


def _note(dynamodb: Any, name: str, digest: str, before: str | None, *, counted: bool = False) -> bool:
    """Writes one attribute, where it is still what it was before (None: whatever it was); `counted`, and counts it."""
    request: dict[str, Any] = {
        "TableName": os.environ["UNITS_TABLE"],
        "Key": ITEM,
        "UpdateExpression": "SET #name = :digest",
        "ExpressionAttributeNames": {"#name": name},
        "ExpressionAttributeValues": {":digest": {"S": digest}},
    }
    if counted:
        request["UpdateExpression"] += " ADD #number :one"
        request["ExpressionAttributeNames"]["#number"] = "number"
        request["ExpressionAttributeValues"][":one"] = {"N": "1"}
    if before is not None:
        request["ConditionExpression"] = "#name = :before" if before else "attribute_not_exists(#name)"
    if before:
        request["ExpressionAttributeValues"][":before"] = {"S": before}
    try:
        dynamodb.update_item(**request)
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


@functools.lru_cache(maxsize=2)
def _files(s3: Any, digest: str) -> Governance:
    body = s3.get_object(Bucket=_bucket(), Key=f"versions/{digest}.json")["Body"].read()
    return load(json.loads(body)["files"])


@functools.lru_cache(maxsize=2)
def _version(s3: Any, digest: str, number: int, approved: frozenset[str], expired: frozenset[str]) -> Governance:
    return replace(approvals.in_force(_files(s3, digest), approved, expired), number=number)


def current(s3: Any, dynamodb: Any, today: str = "") -> Governance:
    """The governance in force: what the files say, without the subscriptions that wait for approval or have expired.

    Args:
        today: the day that expiries are held against, if not this machine's.

    Raises:
        NoGovernance: none is.
    """
    item = _item(dynamodb)
    digest, number = item.get("version", {"S": ""})["S"], int(item.get("number", {"N": "0"})["N"])
    if not digest:
        raise NoGovernance("no governance version is in force: deploy mesh/ or run `tagmesh apply DIR`")
    files = _files(s3, digest)
    needed = approvals.approved_of(files, _approved(item))
    return _version(s3, digest, number, needed, approvals.expired(files, today or days.today()))


def approved(dynamodb: Any) -> frozenset[str]:
    """The keys of what is approved, whether or not a subscription asks for it (strongly consistent)."""
    return _approved(_item(dynamodb))


def _approved(item: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(item.get("approved", {"SS": []})["SS"])


def approving(key: str, *, approve: bool) -> dict[str, Any]:
    """The UpdateItem that approves a key, or takes its approval away: what is in force is another one from then on."""
    return {
        "TableName": os.environ["UNITS_TABLE"],
        "Key": ITEM,
        "UpdateExpression": f"ADD #number :one{', #approved :key' if approve else ' DELETE #approved :key'}",
        "ExpressionAttributeNames": {"#number": "number", "#approved": "approved"},
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":key": {"SS": [key]}},
    }
