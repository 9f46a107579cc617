"""Events for the tests of EventBridge: rules with a target, events put on a bus, and what came."""

from __future__ import annotations

import json
from typing import Any

from asl import messages
from lab import Lab, Who


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def bus(lab: Lab, part: str = "central", **fields: Any) -> str:
    """A new event bus's ARN."""
    events, name = lab.client("events", part), lab.name("bus", "-")
    arn = events.create_event_bus(Name=name, **fields)["EventBusArn"]
    lab.at_end(events.delete_event_bus, Name=name)
    return arn


def name_of(arn: str) -> str:
    return arn.rsplit("/", 1)[1]


def rule(lab: Lab, *targets: dict, pattern: dict | None = None, part: str = "central", on: str = "default") -> str:
    """A new rule of a bus; its name, which is also the source that it matches unless there is a `pattern`."""
    events, name = lab.client("events", part), lab.name("rule", "-")
    events.put_rule(Name=name, EventBusName=on, EventPattern=json.dumps(pattern or {"source": [name]}))
    lab.at_end(events.delete_rule, Name=name, EventBusName=on)
    if targets:
        listed = [{"Id": str(number), **target} for number, target in enumerate(targets)]
        events.put_targets(Rule=name, EventBusName=on, Targets=listed)
        lab.at_end(events.remove_targets, Rule=name, EventBusName=on, Ids=[each["Id"] for each in listed])
    return name


def rule_arn(lab: Lab, name: str, part: str = "central") -> str:
    return f"arn:aws:events:{lab.region}:{lab.account(part)}:rule/{name}"


def put(lab: Lab, source: str, who: Who = "central", on: str = "default", **fields: Any) -> dict:
    """Put one event; the answer's entry."""
    entry = {"Source": source, "DetailType": "Test", "Detail": '{"n": 1}', "EventBusName": on, **fields}
    return lab.client("events", who).put_events(Entries=[entry])["Entries"][0]


def came(lab: Lab, url: str, count: int = 1, part: str = "central") -> list[dict]:
    """The `count` messages that came to a queue, and no more than these."""
    found: list[dict] = []

    def all_came() -> bool:
        found.extend(messages(lab, url, part))
        return len(found) >= count

    if count:
        lab.eventually(all_came)
    else:
        lab.eventually(lambda: None)
        found = messages(lab, url, part)
    assert len(found) == count, [each["Body"] for each in found]
    return found


def came_events(lab: Lab, url: str, count: int = 1, part: str = "central") -> list[dict]:
    """As `came`, of events: their bodies read."""
    return [json.loads(each["Body"]) for each in came(lab, url, count, part)]
