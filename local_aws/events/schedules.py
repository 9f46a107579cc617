"""Amazon EventBridge Scheduler: schedules that call a target as a role.

Only the templated targets SendMessage, StartExecution, Invoke and PutEvents (a queue's, machine's, function's
or bus's ARN) are built. Invocations come at the exact time, or at any time in the flexible window; AWS promises 60
seconds. Source: EventBridge Scheduler user guide and API reference.

Choices: a group is gone at once when it is deleted, and its schedules with it; a client token answers a repeated
request for as long as the clock shows eight hours (the reference does not say how long); a one-time schedule in the
past is taken and never fires.
"""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from local_aws.access import identity
from local_aws.access.role_clients import RoleClients
from local_aws.alarms import Alarm
from local_aws.events import schedule_expressions
from local_aws.events.event_delivery import Deliverer, Outcome, Sender, bury, call
from local_aws.events.event_targets import check_dead_letters, place_of
from local_aws.events.schedule_expressions import At, Cron, InvalidExpression, Rate
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

SCHEDULER = "scheduler.amazonaws.com"
NAME = re.compile(r"[0-9a-zA-Z_.-]{1,64}")
DEFAULT_GROUP = "default"
PAGE = 100
MAX_GROUPS = 500
TOKEN_KEPT = timedelta(hours=8)

GroupKey = tuple[str, str, str]
"""Account, Region, name."""
ScheduleKey = tuple[str, str, str, str]
"""Account, Region, group, name."""


@dataclass
class Schedule:
    """A schedule as its owner put it, and its next alarm."""

    key: ScheduleKey
    settings: dict
    """The parameters of CreateSchedule or UpdateSchedule, defaults filled in."""
    created: datetime
    modified: datetime
    alarm: Alarm | None = None

    @property
    def arn(self) -> str:
        account, region, group, name = self.key
        return f"arn:aws:scheduler:{region}:{account}:schedule/{group}/{name}"

    @property
    def group_arn(self) -> str:
        """What a role's trust policy sees as aws:SourceArn."""
        account, region, group, _ = self.key
        return f"arn:aws:scheduler:{region}:{account}:schedule-group/{group}"


@dataclass
class Group:
    """A schedule group: a name for schedules, with tags."""

    key: GroupKey
    created: datetime
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        account, region, name = self.key
        return f"arn:aws:scheduler:{region}:{account}:schedule-group/{name}"


class Schedules:
    """Engine of EventBridge Scheduler."""

    service = "scheduler"

    def __init__(self, world: World) -> None:
        self.world = world
        self._schedules: dict[ScheduleKey, Schedule] = {}
        self._groups: dict[GroupKey, Group] = {}
        """Those that were made, and the default groups that were looked at."""
        self._answers: dict[tuple, tuple[str, dict, datetime]] = {}
        """By account, operation and client token: the request, its answer, and when it came."""
        self._deliverer = Deliverer(world, "schedules")
        self._clients = RoleClients(world, SCHEDULER)

    def CreateSchedule(self, caller: Caller, Name: str, **settings: Any) -> dict:
        def create() -> dict:
            key = _key(caller, Name, settings.pop("GroupName", DEFAULT_GROUP))
            now = self.world.now()
            schedule = Schedule(key, self._checked(key, settings), now, now)
            if key in self._schedules:
                raise AwsError("ConflictException", f"Schedule {Name} already exists.", 409)
            self._schedules[key] = schedule
            self._wind(schedule, self._first(schedule))
            return {"ScheduleArn": schedule.arn}

        return self._once(caller, "CreateSchedule", settings.pop("ClientToken", ""), {"Name": Name, **settings}, create)

    def UpdateSchedule(self, caller: Caller, Name: str, **settings: Any) -> dict:
        """All settings are replaced: those not given go back to their defaults."""

        def update() -> dict:
            key = _key(caller, Name, settings.pop("GroupName", DEFAULT_GROUP))
            schedule = self._schedule(key)
            checked = self._checked(key, settings)
            self._silence(schedule)
            schedule.settings = checked
            schedule.modified = self.world.now()
            self._wind(schedule, self._first(schedule))
            return {"ScheduleArn": schedule.arn}

        return self._once(caller, "UpdateSchedule", settings.pop("ClientToken", ""), {"Name": Name, **settings}, update)

    def GetSchedule(self, caller: Caller, Name: str, GroupName: str = DEFAULT_GROUP) -> dict:
        with self.world.lock:
            schedule = self._schedule(_key(caller, Name, GroupName))
            return {
                "Arn": schedule.arn,
                "GroupName": GroupName,
                "Name": Name,
                "CreationDate": schedule.created,
                "LastModificationDate": schedule.modified,
                **schedule.settings,
            }

    def DeleteSchedule(self, caller: Caller, Name: str, GroupName: str = DEFAULT_GROUP, ClientToken: str = "") -> dict:
        def delete() -> dict:
            schedule = self._schedule(_key(caller, Name, GroupName))
            self._silence(schedule)
            del self._schedules[schedule.key]
            return {}

        return self._once(caller, "DeleteSchedule", ClientToken, {"Name": Name, "GroupName": GroupName}, delete)

    def _once(self, caller: Caller, operation: str, token: str, request: dict, work: Callable[[], dict]) -> dict:
        """What `work` answers, or what it answered when the same request came with the same client token."""
        key = (caller.account, caller.region, operation, token)
        asked = json.dumps(request, sort_keys=True, default=str)
        with self.world.lock:
            kept = self._answers.get(key) if token else None
            if kept and kept[2] + TOKEN_KEPT > self.world.now():
                if kept[0] != asked:
                    message = "The client token was used for another request."
                    raise AwsError("ConflictException", message, 409)
                return kept[1]
            answer = work()
            if token:
                self._answers[key] = (asked, answer, self.world.now())
        return answer

    def ListSchedules(
        self,
        caller: Caller,
        GroupName: str | None = None,
        NamePrefix: str = "",
        State: str | None = None,
        NextToken: str | None = None,
        MaxResults: int = PAGE,
    ) -> dict:
        with self.world.lock:
            if GroupName is not None:
                self._group((caller.account, caller.region, GroupName))
            found = [
                schedule
                for key, schedule in sorted(self._schedules.items())
                if key[:2] == (caller.account, caller.region)
                and GroupName in (None, key[2])
                and key[3].startswith(NamePrefix)
                and State in (None, schedule.settings["State"])
            ]
        return _page("Schedules", [_summary(schedule) for schedule in found], NextToken, MaxResults)

    # -- groups

    def CreateScheduleGroup(
        self, caller: Caller, Name: str, Tags: list[dict] | None = None, ClientToken: str = ""
    ) -> dict:
        def create() -> dict:
            key = (caller.account, caller.region, Name)
            if not NAME.fullmatch(Name):
                raise AwsError("ValidationException", f"Invalid schedule group name {Name}.")
            if Name == DEFAULT_GROUP or key in self._groups:
                raise AwsError("ConflictException", f"Schedule group {Name} already exists.", 409)
            if len([each for each in self._groups if each[:2] == key[:2]]) >= MAX_GROUPS:
                raise AwsError("ServiceQuotaExceededException", f"There are {MAX_GROUPS} schedule groups already.", 402)
            tags = {tag["Key"]: tag["Value"] for tag in Tags or ()}
            group = self._groups[key] = Group(key, self.world.now(), tags)
            return {"ScheduleGroupArn": group.arn}

        request = {"Name": Name, "Tags": Tags}
        return self._once(caller, "CreateScheduleGroup", ClientToken, request, create)

    def DeleteScheduleGroup(self, caller: Caller, Name: str, ClientToken: str = "") -> dict:
        """The group's schedules go with it."""

        def delete() -> dict:
            if Name == DEFAULT_GROUP:
                raise AwsError("ValidationException", "The default schedule group cannot be deleted.")
            group = self._group((caller.account, caller.region, Name))
            for key, schedule in list(self._schedules.items()):
                if key[:3] == group.key:
                    self._silence(schedule)
                    del self._schedules[key]
            del self._groups[group.key]
            return {}

        return self._once(caller, "DeleteScheduleGroup", ClientToken, {"Name": Name}, delete)

    def GetScheduleGroup(self, caller: Caller, Name: str) -> dict:
        with self.world.lock:
            return _described_group(self._group((caller.account, caller.region, Name)))

    def ListScheduleGroups(
        self, caller: Caller, NamePrefix: str = "", NextToken: str | None = None, MaxResults: int = PAGE
    ) -> dict:
        with self.world.lock:
            self._group((caller.account, caller.region, DEFAULT_GROUP))
            found = [
                _described_group(group)
                for key, group in sorted(self._groups.items())
                if key[:2] == (caller.account, caller.region) and key[2].startswith(NamePrefix)
            ]
        return _page("ScheduleGroups", found, NextToken, MaxResults)

    def _group(self, key: GroupKey) -> Group:
        """A group; `default` is made when first looked at. Raises AwsError ResourceNotFoundException."""
        if key not in self._groups:
            if key[2] != DEFAULT_GROUP:
                raise AwsError("ResourceNotFoundException", f"Schedule group {key[2]} does not exist.", 404)
            self._groups[key] = Group(key, self.world.now())
        return self._groups[key]

    def TagResource(self, caller: Caller, ResourceArn: str, Tags: list[dict]) -> dict:
        with self.world.lock:
            self._tagged(caller, ResourceArn).update({tag["Key"]: tag["Value"] for tag in Tags})
        return {}

    def UntagResource(self, caller: Caller, ResourceArn: str, TagKeys: list[str]) -> dict:
        with self.world.lock:
            for key in TagKeys:
                self._tagged(caller, ResourceArn).pop(key, None)
        return {}

    def ListTagsForResource(self, caller: Caller, ResourceArn: str) -> dict:
        with self.world.lock:
            tags = self._tagged(caller, ResourceArn)
            return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _tagged(self, caller: Caller, arn: str) -> dict[str, str]:
        """The tags of a group of the caller's: groups alone have tags."""
        for group in self._groups.values():
            if group.arn == arn and group.key[:2] == (caller.account, caller.region):
                return group.tags
        raise AwsError("ResourceNotFoundException", f"{arn} does not exist.", 404)

    # -- checks

    def _schedule(self, key: ScheduleKey) -> Schedule:
        if key not in self._schedules:
            raise AwsError("ResourceNotFoundException", f"Schedule {key[3]} does not exist.", 404)
        return self._schedules[key]

    def _checked(self, key: ScheduleKey, settings: dict) -> dict:
        """The settings with their defaults. Raises AwsError ValidationException."""
        account, region, group, name = key
        if not NAME.fullmatch(name):
            raise AwsError("ValidationException", f"Invalid schedule name {name}.")
        self._group((account, region, group))
        settings = {
            "State": "ENABLED",
            "ScheduleExpressionTimezone": "UTC",
            "ActionAfterCompletion": "NONE",
            **settings,
        }
        try:
            _expression(settings)
        except InvalidExpression as error:
            raise AwsError("ValidationException", f"Invalid Schedule Expression {error}.") from error
        window = settings["FlexibleTimeWindow"]
        if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
            message = "MaximumWindowInMinutes must be given for a FLEXIBLE window, and for no other."
            raise AwsError("ValidationException", message)
        if "StartDate" in settings and settings.get("EndDate", settings["StartDate"]) < settings["StartDate"]:
            raise AwsError("ValidationException", "The StartDate you specify must come before the EndDate.")
        self._check_target(settings["Target"], region, f"{Schedule(key, {}, *[self.world.now()] * 2).group_arn}")
        return settings

    def _check_target(self, target: dict, region: str, source_arn: str) -> None:
        place = place_of(target["Arn"])
        if place is None:
            raise AwsError(
                "LocalAwsNotSupported",
                f"the local AWS schedules queues, event buses, state machines and functions, not {target['Arn']}",
            )
        if place.service == "events" and "EventBridgeParameters" not in target:
            raise AwsError("ValidationException", "EventBridgeParameters must be specified for an event bus.")
        if place.resource.endswith(".fifo") and "SqsParameters" not in target:
            raise AwsError("ValidationException", "SqsParameters must be specified for a FIFO queue.")
        if place.service != "sqs" and "Input" in target:
            try:
                json.loads(target["Input"])
            except ValueError as error:
                raise AwsError("ValidationException", f"Provided Input is not valid JSON: {error}") from error
        check_dead_letters(target.get("DeadLetterConfig", {}).get("Arn"), region)
        try:
            identity.assume_as_service(self.world, target["RoleArn"], "scheduler", SCHEDULER, source_arn)
        except AwsError as error:
            raise AwsError(
                "ValidationException",
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
            ) from error

    # -- time

    def _first(self, schedule: Schedule) -> datetime | None:
        """The first invocation: of a rate at once, or at its StartDate (user guide, "Rate-based schedules"); of a cron
        on its StartDate or after it."""
        expression, now = _expression(schedule.settings), self.world.now()
        if isinstance(expression, At):
            return expression.moment if expression.moment >= now else None
        start = max(now, schedule.settings.get("StartDate", now))
        return start if isinstance(expression, Rate) else expression.after(start - timedelta(microseconds=1))

    def _following(self, schedule: Schedule, moment: datetime) -> datetime | None:
        """The invocation after that of `moment`. Those that the clock has passed over are not made up for."""
        expression, now = _expression(schedule.settings), self.world.now()
        if isinstance(expression, Rate):
            return moment + expression.interval * (1 + max(now - moment, timedelta()) // expression.interval)
        return expression.after(max(moment, now)) if isinstance(expression, Cron) else None

    def _wind(self, schedule: Schedule, moment: datetime | None) -> None:
        settings = schedule.settings
        one_time = isinstance(_expression(settings), At)
        if moment is None or settings["State"] != "ENABLED":
            return
        if not one_time and "EndDate" in settings and moment > settings["EndDate"]:
            return
        window = settings["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0)
        due = moment + timedelta(seconds=random.uniform(0, 60 * window))
        schedule.alarm = self._deliverer.alarms.at(due, partial(self._fire, schedule, moment))

    def _silence(self, schedule: Schedule) -> None:
        if schedule.alarm is not None:
            schedule.alarm.cancel()
            schedule.alarm = None

    def _fire(self, schedule: Schedule, moment: datetime) -> None:
        """One invocation is due. (On the alarms' thread: everything else happens in the background.)"""
        self.world.submit(self._invoke, schedule, schedule.settings, moment)
        following = self._following(schedule, moment)
        alarm = schedule.alarm
        self._wind(schedule, following)
        if schedule.alarm is alarm and schedule.settings["ActionAfterCompletion"] == "DELETE":
            self.world.submit(self._complete, schedule)

    def _complete(self, schedule: Schedule) -> None:
        with self.world.lock:
            if self._schedules.get(schedule.key) is schedule:
                del self._schedules[schedule.key]

    # -- invocations

    def _invoke(self, schedule: Schedule, settings: dict, moment: datetime) -> None:
        target = settings["Target"]
        account, region, _, name = schedule.key
        execution_id = uuid.uuid4().hex[:16]
        sender = Sender(self.world, SCHEDULER, schedule.group_arn, region, self._clients, target["RoleArn"])
        attempts = 0

        def made(attempt: int) -> Request:
            text = _input(schedule, target, moment, execution_id, account, region, attempt)
            return _request(self.world, target, text, execution_id)

        def send() -> None:
            nonlocal attempts
            attempts += 1
            request = made(attempts)
            client = sender.client(request.client)
            call(getattr(client, request.method), **request.parameters)
            self.world.activity("schedule", name, f"{account}: -> {target['Arn']}")

        def give_up(outcome: Outcome) -> None:
            request = made(attempts)
            attributes = {
                "SCHEDULE_ARN": schedule.arn,
                "TARGET_ARN": f"arn:aws:scheduler:::aws-sdk:{request.action}",
                "EXECUTION_ID": execution_id,
                "SCHEDULED_TIME": _seconds(moment),
                "IS_PAYLOAD_TRUNCATED": "false",
                "ERROR_CODE": outcome.error.api_code or outcome.error.code,
            }
            queue = target.get("DeadLetterConfig", {}).get("Arn")
            bury(sender, queue, json.dumps(request.told), attributes, outcome, "schedule", name)

        self._deliverer.deliver(send, target.get("RetryPolicy", {}), give_up, since=self.world.now())


@dataclass(frozen=True)
class Request:
    """The one API call of an invocation: boto3's client, method and parameters, and how a dead letter tells it."""

    client: str
    method: str
    parameters: dict
    action: str
    """The target in the form of universal targets: `sqs:sendMessage`."""
    told: dict


def _request(world: World, target: dict, text: str, execution_id: str) -> Request:
    arn = target["Arn"]
    _, _, service, _, account, resource = arn.split(":", 5)
    if service == "sqs":
        parameters = {"QueueUrl": f"{world.endpoint}/{account}/{resource}", "MessageBody": text}
        parameters |= target.get("SqsParameters", {})
        return Request("sqs", "send_message", parameters, "sqs:sendMessage", parameters)
    if service == "states":
        name = f"{execution_id}_{uuid.uuid4()}"
        parameters = {"stateMachineArn": arn, "name": name, "input": text}
        told = {"StateMachineArn": arn, "Input": text}
        return Request("stepfunctions", "start_execution", parameters, "sfn:startExecution", told)
    if service == "lambda":
        parameters = {"FunctionName": arn, "InvocationType": "Event", "Payload": text}
        return Request("lambda", "invoke", parameters, "lambda:invoke", parameters)
    entry = {**target["EventBridgeParameters"], "Detail": text, "EventBusName": arn}
    parameters = {"Entries": [entry]}
    return Request("events", "put_events", parameters, "eventbridge:putEvents", parameters)


def _input(
    schedule: Schedule, target: dict, moment: datetime, execution_id: str, account: str, region: str, attempt: int
) -> str:
    """The target's Input with its context attributes replaced, or the default notification."""
    if "Input" not in target:
        return json.dumps(
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
                "account": account,
                "time": _seconds(moment),
                "region": region,
                "resources": [schedule.arn],
                "detail": "{}",
            }
        )
    attributes = {
        "<aws.scheduler.schedule-arn>": schedule.arn,
        "<aws.scheduler.scheduled-time>": _seconds(moment),
        "<aws.scheduler.execution-id>": execution_id,
        "<aws.scheduler.attempt-number>": str(attempt),
    }
    text = target["Input"]
    for attribute, value in attributes.items():
        text = text.replace(attribute, value)
    return text


def _expression(settings: dict) -> schedule_expressions.Expression:
    return schedule_expressions.parse(
        settings["ScheduleExpression"], one_time=True, zone=settings["ScheduleExpressionTimezone"]
    )


def _key(caller: Caller, name: str, group: str) -> ScheduleKey:
    return caller.account, caller.region, group, name


def _page(name: str, items: list, token: str | None, size: int) -> dict:
    if token is not None and not token.isdigit():
        raise AwsError("ValidationException", "Invalid NextToken.")
    start = int(token or 0)
    more = {"NextToken": str(start + size)} if start + size < len(items) else {}
    return {name: items[start : start + size], **more}


def _described_group(group: Group) -> dict:
    moments = {"CreationDate": group.created, "LastModificationDate": group.created}
    return {"Name": group.key[2], "Arn": group.arn, "State": "ACTIVE", **moments}


def _summary(schedule: Schedule) -> dict:
    return {
        "Arn": schedule.arn,
        "Name": schedule.key[3],
        "GroupName": schedule.key[2],
        "State": schedule.settings["State"],
        "CreationDate": schedule.created,
        "LastModificationDate": schedule.modified,
        "Target": {"Arn": schedule.settings["Target"]["Arn"]},
    }


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
