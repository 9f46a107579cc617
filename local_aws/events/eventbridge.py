"""Amazon EventBridge: event buses, rules, and the routing of events to the rules' targets.

Not built, and refused by the allow-list: archives and replays, connections and API destinations, partner
sources, global endpoints, customer keys, bus logs. A managed rule exists nowhere here.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from local_aws.access.role_clients import RoleClients
from local_aws.events import event_inputs, event_targets, schedule_expressions
from local_aws.events.event_buses import (
    MAX_POLICY_BYTES,
    Buses,
    BusKey,
    Rule,
    described_bus,
    described_rule,
    policy_document,
    rule_arn,
    statement_of,
    statements,
    tag_map,
)
from local_aws.events.event_delivery import Deliverer, Outcome, Sender, Undeliverable, bury
from local_aws.events.event_patterns import InvalidPattern, Pattern, compile_pattern, matches
from local_aws.events.event_targets import EVENTS, Matched
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

RULE_NAME = re.compile(r"[.A-Za-z0-9_-]{1,64}")
BUS_NAME = re.compile(r"[.A-Za-z0-9_-]{1,256}")
MAX_REQUEST_BYTES = 1_048_576
"""EventBridge user guide, "Calculating PutEvents event entry size"."""
MAX_BUSES = 100
MAX_RULES = 300
MAX_TARGETS = 5
EVENT_FIELDS = ("id", "detail-type", "source", "account", "time", "region", "resources")
PAGE = 100


class EventBridge:
    """Engine of EventBridge."""

    service = "events"

    def __init__(self, world: World) -> None:
        self.world = world
        self._buses = Buses(world)
        self._deliverer = Deliverer(world, "rules")
        self._clients = RoleClients(world, EVENTS)

    # -- for other engines

    def route(self, account: str, region: str, bus_name: str, event: dict, *, forwarded: bool = False) -> None:
        """Put an event, complete with its envelope, on a bus: every rule that matches gets it.

        Deliveries are made in the background. `forwarded` says that it came from another bus or account; such
        an event is not sent on to a further bus.
        """
        key = (account, region, bus_name)
        if forwarded:
            self._route(key, event, forwarded)
        else:
            self.world.faults.deliver(event, lambda: self._route(key, event, forwarded))

    def _route(self, key: BusKey, event: dict, forwarded: bool) -> None:
        with self.world.lock:
            matched = [
                Matched(event, rule.arn, key, target, forwarded)
                for rule in self._buses.get(key).rules.values()
                if rule.state == "ENABLED" and rule.pattern is not None and matches(rule.pattern, event)
                for target in rule.targets.values()
            ]
        if matched:
            self.world.submit(self._deliver_all, matched)

    def has_bus(self, account: str, region: str, name: str) -> bool:
        """Is there such a bus? `default` is in every account."""
        return self._buses.has((account, region, name))

    def bus_policy(self, account: str, region: str, name: str) -> dict | None:
        """The resource policy of a bus, or None."""
        with self.world.lock:
            key = (account, region, name)
            return self._buses.get(key).policy if self._buses.has(key) else None

    def rule_creator(self, arn: str) -> str | None:
        """The account that made a rule (of its own or of another account's bus), or None where there is no such."""
        _, _, _, region, account, resource = arn.split(":", 5)
        path = resource.removeprefix("rule/")
        bus_name, name = path.split("/", 1) if "/" in path else ("default", path)
        with self.world.lock:
            key = (account, region, bus_name)
            rule = self._buses.get(key).rules.get(name) if self._buses.has(key) else None
            return rule.created_by if rule else None

    # -- buses

    def CreateEventBus(
        self, caller: Caller, Name: str, Description: str | None = None, Tags: list[dict] | None = None
    ) -> dict:
        if not BUS_NAME.fullmatch(Name):
            raise AwsError("ValidationException", f"Invalid event bus name {Name}.")
        key = (caller.account, caller.region, Name)
        with self.world.lock:
            if self._buses.has(key):
                raise AwsError("ResourceAlreadyExistsException", f"Event bus {Name} already exists.")
            made = [each for each in self._buses.by_key if each[:2] == key[:2] and each[2] != "default"]
            if len(made) >= MAX_BUSES:
                raise AwsError("LimitExceededException", f"The account has {MAX_BUSES} event buses already.")
            bus = self._buses.new(key)
            bus.description = Description
            bus.tags = tag_map(Tags)
            self._buses.by_key[key] = bus
        return {"EventBusArn": bus.arn, **({"Description": Description} if Description else {})}

    def UpdateEventBus(self, caller: Caller, Name: str = "default", Description: str | None = None) -> dict:
        with self.world.lock:
            key = self._buses.own_key(caller, Name)
            bus = self._buses.get(key)
            bus.description = Description
            bus.modified = self.world.now()
        return {"Arn": bus.arn, "Name": key[2], **({"Description": Description} if Description else {})}

    def DeleteEventBus(self, caller: Caller, Name: str) -> dict:
        key = self._buses.own_key(caller, Name)
        if key[2] == "default":
            raise AwsError("ValidationException", "Cannot delete event bus default.")
        with self.world.lock:
            bus = self._buses.by_key.get(key)
            if bus and bus.rules:
                raise AwsError("ValidationException", f"Event bus {Name} can't be deleted since it has rules.")
            self._buses.by_key.pop(key, None)
        return {}

    def DescribeEventBus(self, caller: Caller, Name: str = "default") -> dict:
        with self.world.lock:
            key = self._buses.own_key(caller, Name)
            return described_bus(key[2], self._buses.get(key))

    def ListEventBuses(
        self, caller: Caller, NamePrefix: str = "", NextToken: str | None = None, Limit: int = PAGE
    ) -> dict:
        with self.world.lock:
            self._buses.get((caller.account, caller.region, "default"))
            buses = [
                described_bus(key[2], bus)
                for key, bus in sorted(self._buses.by_key.items())
                if key[:2] == (caller.account, caller.region) and key[2].startswith(NamePrefix)
            ]
        return _page("EventBuses", buses, NextToken, Limit)

    def PutPermission(
        self,
        caller: Caller,
        EventBusName: str = "default",
        Action: str | None = None,
        Principal: str | None = None,
        StatementId: str | None = None,
        Condition: dict | None = None,
        Policy: str | None = None,
    ) -> dict:
        with self.world.lock:
            bus = self._buses.get(self._buses.own_key(caller, EventBusName))
            if Policy is not None:
                document = policy_document(Policy)
            else:
                if not (Action and Principal and StatementId):
                    raise AwsError(
                        "ValidationException", "Either Policy, or Action, Principal and StatementId are required."
                    )
                statement = statement_of(bus.arn, StatementId, Action, Principal, Condition)
                others = [each for each in statements(bus.policy) if each.get("Sid") != StatementId]
                document = {"Version": "2012-10-17", "Statement": [*others, statement]}
            if len(json.dumps(document)) > MAX_POLICY_BYTES:
                raise AwsError("PolicyLengthExceededException", "The policy of the event bus is too long.")
            bus.policy = document
            bus.modified = self.world.now()
        return {}

    def RemovePermission(
        self,
        caller: Caller,
        EventBusName: str = "default",
        StatementId: str | None = None,
        RemoveAllPermissions: bool = False,
    ) -> dict:
        with self.world.lock:
            bus = self._buses.get(self._buses.own_key(caller, EventBusName))
            if RemoveAllPermissions:
                bus.policy = None
                return {}
            kept = [each for each in statements(bus.policy) if each.get("Sid") != StatementId]
            if bus.policy is None:
                raise AwsError("ResourceNotFoundException", "EventBus does not have a policy.")
            if len(kept) == len(statements(bus.policy)):
                raise AwsError("ResourceNotFoundException", "Statement with the provided id does not exist.")
            bus.policy = {**bus.policy, "Statement": kept} if kept else None
        return {}

    # -- rules

    def PutRule(self, caller: Caller, Name: str, **params: Any) -> dict:
        """A rule that exists is replaced by what is given, its targets and tags apart."""
        if not RULE_NAME.fullmatch(Name):
            raise AwsError("ValidationException", f"Invalid rule name {Name}.")
        pattern_text, schedule = params.get("EventPattern"), params.get("ScheduleExpression")
        if pattern_text is None and schedule is None:
            raise AwsError("ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified.")
        pattern = _pattern(pattern_text) if pattern_text is not None else None
        state = params.get("State", "ENABLED")
        if state not in ("ENABLED", "DISABLED"):
            raise AwsError("LocalAwsNotSupported", f"the local AWS has no rule state {state}")
        with self.world.lock:
            key = self._buses.rule_key(caller, params.get("EventBusName", "default"))
            bus = self._buses.get(key)
            if schedule is not None:
                _checked_schedule(schedule, key[2])
            old = bus.rules.get(Name)
            if old is None and len(bus.rules) >= MAX_RULES:
                raise AwsError("LimitExceededException", f"The bus has {MAX_RULES} rules already.")
            rule = Rule(
                name=Name,
                arn=rule_arn(key, Name),
                state=state,
                created_by=old.created_by if old else caller.account,
                pattern_text=pattern_text,
                pattern=pattern,
                schedule=schedule,
                description=params.get("Description"),
                role_arn=params.get("RoleArn"),
                targets=old.targets if old else {},
                tags=old.tags if old else tag_map(params.get("Tags")),
            )
            if old is not None:
                _silence(old)
            bus.rules[Name] = rule
            self._wind(key, rule)
        return {"RuleArn": rule.arn}

    def DeleteRule(self, caller: Caller, Name: str, EventBusName: str = "default") -> dict:
        with self.world.lock:
            bus = self._buses.get(self._buses.rule_key(caller, EventBusName))
            rule = bus.rules.get(Name)
            if rule is not None and rule.targets:
                raise AwsError("ValidationException", "Rule can't be deleted since it has targets.")
            if rule is not None:
                _silence(rule)
                del bus.rules[Name]
        return {}

    def DescribeRule(self, caller: Caller, Name: str, EventBusName: str = "default") -> dict:
        with self.world.lock:
            key, rule = self._buses.rule(caller, Name, EventBusName)
            return {**described_rule(key[2], rule), "CreatedBy": rule.created_by}

    def ListRules(
        self,
        caller: Caller,
        NamePrefix: str = "",
        EventBusName: str = "default",
        NextToken: str | None = None,
        Limit: int = PAGE,
    ) -> dict:
        with self.world.lock:
            key = self._buses.own_key(caller, EventBusName)
            rules = [
                described_rule(key[2], rule)
                for name, rule in sorted(self._buses.get(key).rules.items())
                if name.startswith(NamePrefix)
            ]
        return _page("Rules", rules, NextToken, Limit)

    def EnableRule(self, caller: Caller, Name: str, EventBusName: str = "default") -> dict:
        return self._set_state(caller, Name, EventBusName, "ENABLED")

    def DisableRule(self, caller: Caller, Name: str, EventBusName: str = "default") -> dict:
        return self._set_state(caller, Name, EventBusName, "DISABLED")

    def _set_state(self, caller: Caller, name: str, bus_name: str, state: str) -> dict:
        with self.world.lock:
            key, rule = self._buses.rule(caller, name, bus_name)
            _silence(rule)
            rule.state = state
            self._wind(key, rule)
        return {}

    # -- targets

    def PutTargets(self, caller: Caller, Rule: str, Targets: list[dict], EventBusName: str = "default") -> dict:
        owner = self._buses.rule_key(caller, EventBusName)[0]
        for target in Targets:
            event_targets.check(target, owner, caller.region)
        ids = [target["Id"] for target in Targets]
        if len(set(ids)) < len(ids):
            raise AwsError("ValidationException", "Target ids must be unique.")
        with self.world.lock:
            _, rule = self._buses.rule(caller, Rule, EventBusName)
            if len({*rule.targets, *ids}) > MAX_TARGETS:
                raise AwsError(
                    "LimitExceededException",
                    "The requested resource exceeds the maximum number allowed: 5 targets per rule.",
                )
            rule.targets.update({target["Id"]: target for target in Targets})
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def RemoveTargets(self, caller: Caller, Rule: str, Ids: list[str], EventBusName: str = "default") -> dict:
        with self.world.lock:
            _, rule = self._buses.rule(caller, Rule, EventBusName)
            failed = [
                {
                    "TargetId": target_id,
                    "ErrorCode": "ResourceNotFoundException",
                    "ErrorMessage": f"Rule {Rule} does not have a target with the Id {target_id}.",
                }
                for target_id in Ids
                if target_id not in rule.targets
            ]
            for target_id in Ids:
                rule.targets.pop(target_id, None)
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    def ListTargetsByRule(
        self,
        caller: Caller,
        Rule: str,
        EventBusName: str = "default",
        NextToken: str | None = None,
        Limit: int = PAGE,
    ) -> dict:
        with self.world.lock:
            _, rule = self._buses.rule(caller, Rule, EventBusName)
            return _page("Targets", list(rule.targets.values()), NextToken, Limit)

    def ListRuleNamesByTarget(
        self,
        caller: Caller,
        TargetArn: str,
        EventBusName: str = "default",
        NextToken: str | None = None,
        Limit: int = PAGE,
    ) -> dict:
        with self.world.lock:
            names = [
                name
                for name, rule in sorted(self._buses.get(self._buses.own_key(caller, EventBusName)).rules.items())
                if any(target["Arn"] == TargetArn for target in rule.targets.values())
            ]
        return _page("RuleNames", names, NextToken, Limit)

    # -- events

    def PutEvents(self, caller: Caller, Entries: list[dict]) -> dict:
        """Permissions, those of other accounts' buses too, were checked before (IAM, bus policy)."""
        if sum(_entry_size(entry) for entry in Entries) > MAX_REQUEST_BYTES:
            raise AwsError("ValidationException", "Total size of the entries in the request is over the limit.")
        answers = [self._put(caller, entry) for entry in Entries]
        return {"FailedEntryCount": sum("ErrorCode" in each for each in answers), "Entries": answers}

    def _put(self, caller: Caller, entry: dict) -> dict:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
        if entry["Source"].startswith("aws."):
            return {
                "ErrorCode": "NotAuthorizedForSourceException",
                "ErrorMessage": "Not authorized for the source.",
            }
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        key = self._buses.key(caller, entry.get("EventBusName", "default"))
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": caller.account,
            "time": _seconds(entry.get("Time") or self.world.now()),
            "region": caller.region,
            "resources": entry.get("Resources", []),
            "detail": detail,
        }
        if self._buses.has(key):
            self.route(*key, event, forwarded=key[0] != caller.account)
        else:  # documented: dropped, and no error
            self.world.activity("event", entry["DetailType"], f"dropped: there is no event bus {key[2]}")
        return {"EventId": event["id"]}

    def TestEventPattern(self, caller: Caller, EventPattern: str, Event: str) -> dict:
        pattern = _pattern(EventPattern)
        try:
            event = json.loads(Event)
        except ValueError as error:
            raise AwsError("ValidationException", f"Parameter Event is not valid. Reason: {error}") from error
        missing = [name for name in EVENT_FIELDS if not isinstance(event, dict) or name not in event]
        if missing:
            raise AwsError(
                "ValidationException", f"Parameter Event is not valid. Reason: it has no {', '.join(missing)}."
            )
        return {"Result": matches(pattern, event)}

    # -- tags

    def TagResource(self, caller: Caller, ResourceARN: str, Tags: list[dict]) -> dict:
        with self.world.lock:
            self._buses.tags_of(caller, ResourceARN).update(tag_map(Tags))
        return {}

    def UntagResource(self, caller: Caller, ResourceARN: str, TagKeys: list[str]) -> dict:
        with self.world.lock:
            for key in TagKeys:
                self._buses.tags_of(caller, ResourceARN).pop(key, None)
        return {}

    def ListTagsForResource(self, caller: Caller, ResourceARN: str) -> dict:
        with self.world.lock:
            tags = self._buses.tags_of(caller, ResourceARN)
            return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    # -- inside

    def _deliver_all(self, matched: list[Matched]) -> None:
        for each in matched:
            self._deliver(each)

    def _deliver(self, matched: Matched) -> None:
        target = matched.target
        account, region, bus_name = matched.bus
        sender = Sender(self.world, EVENTS, matched.rule_arn, region, self._clients, target.get("RoleArn"))
        since = self.world.now()
        subject = matched.event["detail-type"]

        def send() -> None:
            try:
                payload = event_inputs.payload(target, matched.event, matched.rule_arn, _seconds(since))
            except event_inputs.NoInput as error:
                raise Undeliverable("INVALID_PARAMETER", str(error)) from error
            event_targets.send(matched, payload, sender)
            rule_name = matched.rule_arn.rsplit("/", 1)[-1]
            self.world.activity("event", subject, f"{account} {bus_name}: {rule_name} -> {target['Arn']}")

        def give_up(outcome: Outcome) -> None:
            # The dead-letter queue must admit EventBridge itself, whatever role the target has.
            service = Sender(self.world, EVENTS, matched.rule_arn, region, self._clients)
            attributes = {"RULE_ARN": matched.rule_arn, "TARGET_ARN": target["Arn"]}
            queue = target.get("DeadLetterConfig", {}).get("Arn")
            bury(service, queue, json.dumps(matched.event), attributes, outcome, "event", subject)

        self._deliverer.deliver(send, target.get("RetryPolicy", {}), give_up, since=since)

    # -- rules on a schedule

    def _wind(self, key: BusKey, rule: Rule) -> None:
        """Set the alarm of a rule's next firing. A rate counts from now: when the rule was put or enabled."""
        if rule.schedule is None or rule.state != "ENABLED":
            return
        expression = schedule_expressions.parse(rule.schedule)
        now = self.world.now()
        if isinstance(expression, schedule_expressions.Rate):
            moment: datetime | None = now + expression.interval
        elif isinstance(expression, schedule_expressions.Cron):
            moment = expression.after(now)
        else:
            moment = None
        if moment is not None:
            rule.alarm = self._deliverer.alarms.at(moment, partial(self._fire, key, rule, moment))

    def _fire(self, key: BusKey, rule: Rule, moment: datetime) -> None:
        account, region, _ = key
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": account,
            "time": _seconds(moment),
            "region": region,
            "resources": [rule.arn],
            "detail": {},
        }
        due = [Matched(event, rule.arn, key, target, forwarded=False) for target in list(rule.targets.values())]
        self.world.submit(self._deliver_all, due)
        self._wind(key, rule)


def _silence(rule: Rule) -> None:
    if rule.alarm is not None:
        rule.alarm.cancel()
        rule.alarm = None


def _pattern(text: str) -> Pattern:
    try:
        return compile_pattern(text)
    except InvalidPattern as error:
        raise AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {error}") from error


def _checked_schedule(text: str, bus_name: str) -> None:
    if bus_name != "default":
        raise AwsError("ValidationException", "ScheduleExpression is supported only on the default event bus.")
    try:
        schedule_expressions.parse(text)
    except schedule_expressions.InvalidExpression as error:
        raise AwsError("ValidationException", "Parameter ScheduleExpression is not valid.") from error


def _entry_size(entry: dict) -> int:
    """Bytes of an entry as EventBridge counts them."""
    texts = [entry.get("Source", ""), entry.get("DetailType", ""), entry.get("Detail", "")]
    return sum(len(text.encode()) for text in [*texts, *entry.get("Resources", [])]) + (14 if "Time" in entry else 0)


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _page(name: str, items: list, token: str | None, limit: int) -> dict:
    if token is not None and not token.isdigit():
        raise AwsError("ValidationException", "Parameter NextToken is not valid.")
    start = int(token or 0)
    page = items[start : start + limit]
    more = {"NextToken": str(start + limit)} if start + limit < len(items) else {}
    return {name: page, **more}
