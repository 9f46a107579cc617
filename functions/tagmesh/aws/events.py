"""Events that others may follow: past tense, on the mesh bus or a consumer's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

SOURCE = "tagmesh"


class EventsNotDelivered(Exception):
    """EventBridge answered 200 and refused entries all the same."""


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
