"""Event buses with their policies, and the rules on them, as EventBridge holds them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local_aws.alarms import Alarm
from local_aws.events.event_patterns import Pattern
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

BUS_ARN = re.compile(r"arn:aws:events:([a-z0-9-]+):(\d{12}):event-bus/(.+)")
MAX_POLICY_BYTES = 10_240

BusKey = tuple[str, str, str]
"""Account, Region, name."""


@dataclass
class Rule:
    """A rule of a bus. `pattern` is its compiled event pattern, if it has one."""

    name: str
    arn: str
    state: str
    created_by: str
    pattern_text: str | None = None
    pattern: Pattern | None = None
    schedule: str | None = None
    description: str | None = None
    role_arn: str | None = None
    targets: dict[str, dict] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    alarm: Alarm | None = None


@dataclass
class Bus:
    """An event bus, its policy and its rules."""

    arn: str
    created: datetime
    modified: datetime
    description: str | None = None
    policy: dict | None = None
    rules: dict[str, Rule] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Buses:
    """All buses of all accounts. Use it with the world's lock held."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.by_key: dict[BusKey, Bus] = {}

    def has(self, key: BusKey) -> bool:
        """Is there such a bus? `default` is in every account."""
        return key[2] == "default" or key in self.by_key

    def new(self, key: BusKey) -> Bus:
        """A bus that is nowhere yet."""
        now = self.world.now()
        return Bus(f"arn:aws:events:{key[1]}:{key[0]}:event-bus/{key[2]}", now, now)

    def get(self, key: BusKey) -> Bus:
        """The bus; `default` is made when first looked at. Raises AwsError ResourceNotFoundException."""
        if key not in self.by_key:
            if key[2] != "default":
                raise AwsError("ResourceNotFoundException", f"Event bus {key[2]} does not exist.")
            self.by_key[key] = self.new(key)
        return self.by_key[key]

    def key(self, caller: Caller, name_or_arn: str) -> BusKey:
        """The key of a bus given by its name (in the caller's account and Region) or its ARN."""
        if found := BUS_ARN.fullmatch(name_or_arn):
            return found[2], found[1], found[3]
        return caller.account, caller.region, name_or_arn

    def own_key(self, caller: Caller, name_or_arn: str) -> BusKey:
        """As `key`. Raises AwsError for a bus of another account or Region."""
        key = self.key(caller, name_or_arn)
        if key[:2] != (caller.account, caller.region):
            raise AwsError(
                "LocalAwsNotSupported",
                f"the local AWS manages buses and lists rules from their own account and Region only: {name_or_arn}",
            )
        return key

    def rule_key(self, caller: Caller, name_or_arn: str) -> BusKey:
        """As `key`, of a bus whose rules are to be managed: another account's too, if its policy admits that."""
        key = self.key(caller, name_or_arn)
        if key[1] != caller.region:
            raise AwsError("LocalAwsNotSupported", f"the local AWS has one Region: {name_or_arn}")
        return key

    def rule(self, caller: Caller, name: str, bus_name: str) -> tuple[BusKey, Rule]:
        """A rule and the key of its bus. Raises AwsError ResourceNotFoundException."""
        key = self.rule_key(caller, bus_name)
        rule = self.get(key).rules.get(name)
        if rule is None:
            raise AwsError("ResourceNotFoundException", f"Rule {name} does not exist on EventBus {key[2]}.")
        return key, rule

    def tags_of(self, caller: Caller, arn: str) -> dict[str, str]:
        """The tags of a bus or rule, to read or change. Raises AwsError ResourceNotFoundException."""
        _, _, _, region, account, resource = arn.split(":", 5)
        if account == caller.account:
            kind, _, rest = resource.partition("/")
            if kind == "event-bus" and self.has((account, region, rest)):
                return self.get((account, region, rest)).tags
            bus_name, slash, name = rest.rpartition("/")
            key = (account, region, bus_name if slash else "default")
            if kind == "rule" and self.has(key) and name in self.get(key).rules:
                return self.get(key).rules[name].tags
        raise AwsError("ResourceNotFoundException", f"{arn} does not exist.")


def policy_document(text: str) -> dict:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise AwsError("ValidationException", f"The policy is not valid JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Statement"), list | dict):
        raise AwsError("ValidationException", "The policy needs a Statement.")
    return {**document, "Statement": statements(document)}


def statements(document: dict | None) -> list[dict]:
    found = (document or {}).get("Statement", [])
    return found if isinstance(found, list) else [found]


def statement_of(bus_arn: str, sid: str, action: str, principal: str, condition: dict | None) -> dict:
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": action,
        "Resource": bus_arn,
    }
    if condition:
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    return statement


def rule_arn(key: BusKey, name: str) -> str:
    account, region, bus_name = key
    path = name if bus_name == "default" else f"{bus_name}/{name}"
    return f"arn:aws:events:{region}:{account}:rule/{path}"


def described_bus(name: str, bus: Bus) -> dict:
    return {
        "Name": name,
        "Arn": bus.arn,
        "Description": bus.description,
        "Policy": json.dumps(bus.policy) if bus.policy else None,
        "CreationTime": bus.created,
        "LastModifiedTime": bus.modified,
    }


def described_rule(bus_name: str, rule: Rule) -> dict:
    return {
        "Name": rule.name,
        "Arn": rule.arn,
        "EventPattern": rule.pattern_text,
        "ScheduleExpression": rule.schedule,
        "State": rule.state,
        "Description": rule.description,
        "RoleArn": rule.role_arn,
        "EventBusName": bus_name,
    }


def tag_map(tags: list[dict] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}
