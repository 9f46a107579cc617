"""Events that others may follow: past tense, on the mesh bus or a consumer's. docs/events.md describes each, and a JSON
Schema there says what its detail holds: names, versions and findings, never a value of the data.

They are news: nothing that we do depends on them, so what cannot be told is logged and stops nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from aws_lambda_powertools import Logger

logger = Logger(child=True)

SOURCE = "tagmesh"
LONGEST_LIST = 100  # items of a list in one event, which may have 256 KB


class EventsNotDelivered(Exception):
    """EventBridge answered 200 and refused entries all the same."""


def data_product_failed(
    events: Any, data_product: str, findings: Iterable[Mapping[str, str]], correlation_id: str
) -> None:
    """A data product could not be crawled; its findings say why and what to do."""
    detail = {"data_product": data_product, "findings": list(findings), "correlation_id": correlation_id}
    tell(events, "DataProductFailed", detail)


def governance_refused(events: Any, version: str, problems: Iterable[str]) -> None:
    """A governance version has mistakes; the last good one stays in force."""
    tell(events, "GovernanceRefused", {"version": version, "problems": list(problems)[:LONGEST_LIST]})


def drift_repaired(
    events: Any, unit: str, governance: str, repaired: Iterable[Mapping[str, Any]], correlation_id: str
) -> None:
    """What somebody had changed past the governance files is as they say again.

    Args:
        unit: of the data product or consumer.
        governance: the version in force.
        repaired: what `tags_repaired` and `grants_repaired` make; without any, nothing is told.
    """
    found = list(repaired)
    if found:
        detail = {"unit": unit, "governance": governance, "repaired": found[:LONGEST_LIST], "total": len(found)}
        tell(events, "DriftRepaired", {**detail, "correlation_id": correlation_id})


def tags_repaired(database: str, table: str | None, columns: Iterable[str]) -> dict[str, Any]:
    """LF-Tags of a database (without a table), of a table (without columns) or of columns."""
    return {"kind": "tags", "database": database, "table": table, "columns": list(columns)[:LONGEST_LIST]}


def grants_repaired(account: str, changes: int) -> dict[str, Any]:
    """So many grants and resource links of an account were made, changed or taken away."""
    return {"kind": "grants", "account": account, "changes": changes}


def tell(events: Any, detail_type: str, detail: Mapping[str, Any]) -> None:
    """Puts one event on the mesh bus; logs it where that fails."""
    from botocore.exceptions import BotoCoreError, ClientError  # there already, since there is a client

    try:
        put(events, os.environ["MESH_BUS"], detail_type, [detail])
    except (EventsNotDelivered, ClientError, BotoCoreError) as error:
        logger.warning("news not delivered", extra={"event": detail_type, "reason": str(error)})


def put(events: Any, bus: str, detail_type: str, details: Iterable[Mapping[str, Any]]) -> None:
    """Puts one event for each detail on a bus (name, or ARN of another account's), ten a call.

    Raises:
        EventsNotDelivered: some entries were refused; the message says which and why.
    """
    entries = [
        {"Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(detail), "EventBusName": bus}
        for detail in details
    ]
    for start in range(0, len(entries), 10):
        answer = events.put_events(Entries=entries[start : start + 10])
        if answer["FailedEntryCount"]:
            refused = [entry for entry in answer["Entries"] if "ErrorCode" in entry]
            raise EventsNotDelivered(
                f"{detail_type} to {bus}: {refused[0]['ErrorCode']} {refused[0].get('ErrorMessage')}"
            )
