"""Where a dead letter should have gone, and how it is delivered there again.

What is called follows from the rule, schedule or queue as it is now, looked up by the name that the dead letter gives:
nothing that stands in a message is called as it stands. Sources: EventBridge user guide, "Using dead-letter queues to
process undelivered events" and "Amazon EventBridge input transformation"; EventBridge Scheduler user guide,
"Configuring a schedule's dead-letter queue".
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tagmesh.uploads import REPLAYED

RULE = re.compile(r"arn:[^:]+:events:[^:]+:\d{12}:rule/(?:(?P<bus>.+)/)?(?P<name>[^/]+)")
SCHEDULE = re.compile(r"arn:[^:]+:scheduler:[^:]+:\d{12}:schedule/(?P<group>[^/]+)/(?P<name>[^/]+)")
VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


class NotReplayable(Exception):
    """A dead letter stays where it is; the text says why, and what would change that."""


@dataclass(frozen=True)
class Letter:
    """One message of a dead-letter queue. ``attributes`` are the message's own; ``age`` in seconds."""

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, str]
    age: float

    @property
    def origin(self) -> str:
        """What could not deliver it: ``rule NAME``, ``schedule NAME``, or "" where the queue's consumer failed."""
        for attribute, kind in (("RULE_ARN", "rule"), ("SCHEDULE_ARN", "schedule")):
            if attribute in self.attributes:
                return f"{kind} {self.attributes[attribute].rsplit('/', 1)[-1]}"
        return ""

    @property
    def error(self) -> str:
        """AWS's word for what went wrong; "" where none is given."""
        return self.attributes.get("ERROR_CODE", "")


@dataclass(frozen=True)
class Delivery:
    """A target, and the text that it receives."""

    arn: str
    text: str

    @property
    def service(self) -> str:
        return self.arn.split(":")[2]

    @property
    def name(self) -> str:
        """The target's own name, of a bus of another account with the account."""
        name = re.split("[:/]", self.arn)[-1]
        return f"{name} of {self.arn.split(':')[4]}" if self.service == "events" else name


def delivery(clients: Callable[[str], Any], sources: tuple[str, ...], letter: Letter) -> Delivery:
    """What to deliver where.

    Args:
        clients: makes a client of the account for a service.
        sources: ARNs of the queues whose dead-letter queue this is.

    Raises:
        NotReplayable: what it came from is gone, or is of a kind that is not known.
    """
    if "RULE_ARN" in letter.attributes:
        return _of_rule(clients, letter.attributes["RULE_ARN"], letter.attributes.get("TARGET_ARN", ""), letter.body)
    if "SCHEDULE_ARN" in letter.attributes:
        return _of_schedule(clients, letter.attributes["SCHEDULE_ARN"])
    if len(sources) == 1:
        return Delivery(sources[0], letter.body)
    raise NotReplayable(f"nothing says where it came from: {len(sources)} queues have this dead-letter queue")


def _of_rule(clients: Callable[[str], Any], rule_arn: str, target_arn: str, body: str) -> Delivery:
    named = RULE.fullmatch(rule_arn)
    if named is None:
        raise NotReplayable(f"{rule_arn} is no rule")
    found = _targets(clients, named["bus"] or "default", named["name"])
    target = next((each for each in found if each["Arn"] == target_arn), None)
    if target is None:
        raise NotReplayable(
            f"rule {named['name']} does not deliver to {target_arn} any more: delete the message if that is meant"
        )
    try:
        event = json.loads(body)
    except ValueError as error:
        raise NotReplayable(f"its body is no event ({error})") from error
    return Delivery(target_arn, received(target, event))


@cache
def _targets(clients: Callable[[str], Any], bus: str, name: str) -> list[dict[str, Any]]:
    """The targets that a rule has now. Raises NotReplayable if it is gone."""
    events = clients("events")
    pages = {"Rule": name, "EventBusName": bus}
    found: list[dict[str, Any]] = []
    try:
        while True:
            answer = events.list_targets_by_rule(**pages)
            found += answer["Targets"]
            if "NextToken" not in answer:
                return found
            pages["NextToken"] = answer["NextToken"]
    except events.exceptions.ResourceNotFoundException as error:
        raise NotReplayable(f"rule {name} is gone: delete the message, or deploy the rule again") from error


@cache
def _of_schedule(clients: Callable[[str], Any], schedule_arn: str) -> Delivery:
    named = SCHEDULE.fullmatch(schedule_arn)
    if named is None:
        raise NotReplayable(f"{schedule_arn} is no schedule")
    name, scheduler = named["name"], clients("scheduler")
    try:
        target = scheduler.get_schedule(GroupName=named["group"], Name=name)["Target"]
    except scheduler.exceptions.ResourceNotFoundException as error:
        raise NotReplayable(f"schedule {name} is gone: delete the message, or deploy the schedule again") from error
    if "Input" not in target or "<aws.scheduler." in target["Input"]:
        raise NotReplayable(f"what schedule {name} delivers depends on the moment")
    return Delivery(target["Arn"], target["Input"])


# ── What a rule's target receives of an event ────────────────────────────────────────────────────────────────


def received(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """The text that a target gets of an event: the event, or what Input, InputPath or InputTransformer make of it.

    Raises:
        NotReplayable: the event lacks something, or the transformation is of a kind that is not known here.
    """
    if "Input" in target:
        return target["Input"]
    if "InputPath" in target:
        return json.dumps(_at(target["InputPath"], event))
    if "InputTransformer" not in target:
        return json.dumps(event)
    paths = target["InputTransformer"].get("InputPathsMap", {})
    values = {name: _at(path, event) for name, path in paths.items()}
    template, rendered, at = target["InputTransformer"]["InputTemplate"], [], 0
    for quoted in QUOTED.finditer(template):
        rendered += [_filled(template[at : quoted.start()], values, json.dumps), _filled(quoted[0], values, _bare)]
        at = quoted.end()
    return "".join([*rendered, _filled(template[at:], values, json.dumps)])


def _at(path: str, event: Any) -> Any:
    if not re.fullmatch(r"\$(\.[A-Za-z0-9_-]+)*", path):
        raise NotReplayable(f"{path} is a path that tagmesh replay does not read")
    for name in path.split(".")[1:]:
        if not isinstance(event, dict) or name not in event:
            raise NotReplayable(f"the event has nothing at {path}")
        event = event[name]
    return event


def _filled(text: str, values: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise NotReplayable(f"<{found[1]}> is a variable that tagmesh replay does not know")
        return write(values[found[1]])

    return VARIABLE.sub(value, text)


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


# ── Delivering ──────────────────────────────────────────────────────────────────────────────────────────────


def deliver(clients: Callable[[str], Any], wanted: Delivery, letter: Letter) -> None:
    """Delivers it, once more if need be: whoever receives it takes it as a hint to look again.

    Raises:
        NotReplayable: the target is of a kind that is not known, or does not take it.
        ClientError: AWS refuses the call.
    """
    if wanted.service == "sqs":
        sqs = clients("sqs")
        *_, account, name = wanted.arn.split(":")
        url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=wanted.text)
    elif wanted.service == "states":
        _start(clients("stepfunctions"), wanted, letter)
    elif wanted.service == "events":
        _put(clients("events"), wanted)
    else:
        raise NotReplayable(f"{wanted.arn} is a target that tagmesh replay does not know")


def _start(sfn: Any, wanted: Delivery, letter: Letter) -> None:
    try:
        # The name makes a start that is repeated, since its message could not be deleted, the same one.
        sfn.start_execution(stateMachineArn=wanted.arn, name=f"replayed-{letter.id}", input=wanted.text)
    except sfn.exceptions.ExecutionAlreadyExists:
        return


def _put(events: Any, wanted: Delivery) -> None:
    event = json.loads(wanted.text)
    try:
        entry = {
            "Source": REPLAYED,
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event["resources"],
            "EventBusName": wanted.arn,
        }
    except (KeyError, TypeError) as error:
        raise NotReplayable(f"its body is no event ({error} is missing)") from error
    answer = events.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        (refused,) = answer["Entries"]
        raise NotReplayable(f"{refused['ErrorCode']}: {refused.get('ErrorMessage', '')}")
