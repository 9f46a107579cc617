"""Amazon EventBridge Scheduler: schedules that call a target as a role.

Only the templated targets SendMessage, StartExecution, Invoke and PutEvents (a queue's, machine's, function's
or bus's ARN) are built. Invocations come at the exact time; AWS promises 60 seconds. Source: EventBridge
Scheduler user guide and API reference.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from local_aws.access import identity
from local_aws.access.role_clients import RoleClients
from local_aws.alarms import Alarm
from local_aws.events import schedule_expressions
from local_aws.events.event_delivery import Deliverer, Outcome, Sender, bury, call
from local_aws.events.event_targets import AGES, MAX_ATTEMPTS, check_dead_letters, place_of
from local_aws.events.schedule_expressions import At, Cron, InvalidExpression, Rate
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

SCHEDULER = "scheduler.amazonaws.com"
NAME = re.compile(r"[0-9a-zA-Z_.-]{1,64}")
DEFAULT_GROUP = "default"
PAGE = 100

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


class Schedules:
    """Engine of EventBridge Scheduler."""

    service = "scheduler"

    def __init__(self, world: World) -> None:
        self.world = world
        self._schedules: dict[ScheduleKey, Schedule] = {}
        self._deliverer = Deliverer(world, "schedules")
        self._clients = RoleClients(world, SCHEDULER)

    def CreateSchedule(self, caller: Caller, Name: str, **settings: Any) -> dict:
        key = _key(caller, Name, settings.pop("GroupName", DEFAULT_GROUP))
        settings.pop("ClientToken", None)
        now = self.world.now()
        schedule = Schedule(key, self._checked(key, settings), now, now)
        with self.world.lock:
            if key in self._schedules:
                raise AwsError("ConflictException", f"Schedule {Name} already exists.", 409)
            self._schedules[key] = schedule
            self._wind(schedule, self._first(schedule))
        return {"ScheduleArn": schedule.arn}

    def UpdateSchedule(self, caller: Caller, Name: str, **settings: Any) -> dict:
        """All settings are replaced: those not given go back to their defaults."""
        key = _key(caller, Name, settings.pop("GroupName", DEFAULT_GROUP))
        settings.pop("ClientToken", None)
        with self.world.lock:
            schedule = self._schedule(key)
            checked = self._checked(key, settings)
            self._silence(schedule)
            schedule.settings = checked
            schedule.modified = self.world.now()
            self._wind(schedule, self._first(schedule))
        return {"ScheduleArn": schedule.arn}

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
        with self.world.lock:
            schedule = self._schedule(_key(caller, Name, GroupName))
            self._silence(schedule)
            del self._schedules[schedule.key]
        return {}

    def ListSchedules(
        self,
        caller: Caller,
        GroupName: str | None = None,
        NamePrefix: str = "",
        State: str | None = None,
        NextToken: str | None = None,
        MaxResults: int = PAGE,
    ) -> dict:
        if NextToken is not None and not NextToken.isdigit():
            raise AwsError("ValidationException", "Invalid NextToken.")
        with self.world.lock:
            found = [
                schedule
                for key, schedule in sorted(self._schedules.items())
                if key[:2] == (caller.account, caller.region)
                and GroupName in (None, key[2])
                and key[3].startswith(NamePrefix)
                and State in (None, schedule.settings["State"])
            ]
        start = int(NextToken or 0)
        page = found[start : start + MaxResults]
        more = {"NextToken": str(start + MaxResults)} if start + MaxResults < len(found) else {}
        return {"Schedules": [_summary(schedule) for schedule in page], **more}

    def GetScheduleGroup(self, caller: Caller, Name: str) -> dict:
        if Name != DEFAULT_GROUP:
            raise AwsError("ResourceNotFoundException", f"Schedule group {Name} does not exist.", 404)
        return {"Name": Name, "Arn": _group_arn(caller), "State": "ACTIVE"}

    def ListScheduleGroups(self, caller: Caller, NamePrefix: str = "") -> dict:
        groups = [{"Name": DEFAULT_GROUP, "Arn": _group_arn(caller), "State": "ACTIVE"}]
        return {"ScheduleGroups": groups if DEFAULT_GROUP.startswith(NamePrefix) else []}

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
        if group != DEFAULT_GROUP:
            raise AwsError("ResourceNotFoundException", f"Schedule group {group} does not exist.", 404)
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
        if settings["FlexibleTimeWindow"]["Mode"] != "OFF":
            raise AwsError("LocalAwsNotSupported", "the local AWS has FlexibleTimeWindow OFF only")
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
        policy = target.get("RetryPolicy", {})
        if not 0 <= policy.get("MaximumRetryAttempts", 0) <= MAX_ATTEMPTS or (
            policy.get("MaximumEventAgeInSeconds", 60) not in AGES
        ):
            raise AwsError("ValidationException", "RetryPolicy is outside its limits: 0 to 185, 60 to 86400.")
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
        """The first invocation: of a rate at once, or at its StartDate (user guide, "Rate-based schedules")."""
        expression, now = _expression(schedule.settings), self.world.now()
        if isinstance(expression, At):
            return expression.moment if expression.moment >= now else None
        start = max(now, schedule.settings.get("StartDate", now))
        return start if isinstance(expression, Rate) else expression.after(start)

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
        schedule.alarm = self._deliverer.alarms.at(moment, partial(self._fire, schedule, moment))

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
        text = _input(schedule, target, moment, execution_id, account, region)

        request = _request(self.world, target, text, execution_id)

        def send() -> None:
            client = sender.client(request.client)
            call(getattr(client, request.method), **request.parameters)
            self.world.activity("schedule", name, f"{account}: -> {target['Arn']}")

        def give_up(outcome: Outcome) -> None:
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


def _input(schedule: Schedule, target: dict, moment: datetime, execution_id: str, account: str, region: str) -> str:
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
        "<aws.scheduler.attempt-number>": "1",
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


def _group_arn(caller: Caller) -> str:
    return f"arn:aws:scheduler:{caller.region}:{caller.account}:schedule-group/{DEFAULT_GROUP}"


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
