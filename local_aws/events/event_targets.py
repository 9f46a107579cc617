"""The targets of rules: which there are, what is refused, and one delivery to each kind.

Built: SQS queues, event buses, Step Functions state machines, Lambda functions. Sources: EventBridge API
reference, PutTargets; user guide, "Sending and receiving events between AWS accounts".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_aws.access import authorization, identity
from local_aws.access.actions import Need
from local_aws.events import event_inputs
from local_aws.events.event_delivery import Sender, Undeliverable, invoke_function, send_to_queue, start_machine
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.world import World

EVENTS = "events.amazonaws.com"
ARN = re.compile(r"arn:aws:(?P<service>[a-z]+):(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<resource>.+)")
KINDS = {
    "sqs": re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?"),
    "events": re.compile(r"event-bus/[./A-Za-z0-9_-]+"),
    "states": re.compile(r"stateMachine:[^:/]+"),
    "lambda": re.compile(r"function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?"),
}


@dataclass(frozen=True)
class Place:
    """The parts of a target's ARN."""

    service: str
    region: str
    account: str
    resource: str


def place_of(arn: str) -> Place | None:
    """The parts of an ARN that can be a target here, or None."""
    found = ARN.fullmatch(arn)
    if not found or found["service"] not in KINDS or not KINDS[found["service"]].fullmatch(found["resource"]):
        return None
    return Place(**found.groupdict())


def check(target: dict, account: str, region: str) -> None:
    """Refuse a target that EventBridge refuses, or that is not built. Raises AwsError."""
    arn = target["Arn"]
    place = place_of(arn)
    if place is None:
        raise AwsError(
            "LocalAwsNotSupported",
            f"target {target['Id']}: the local AWS delivers to SQS queues, event buses, state machines and "
            f"functions, not to {arn}",
        )
    try:
        event_inputs.check(target)
    except event_inputs.InvalidInput as error:
        raise AwsError("ValidationException", str(error)) from error
    elsewhere = (place.account, place.region) != (account, region)
    if place.service in ("states", "events") and "RoleArn" not in target:
        raise AwsError("ValidationException", f"RoleArn is required for target {arn}.")
    transformed = any(name in target for name in ("Input", "InputPath", "InputTransformer"))
    if place.service == "events" and transformed:
        # AWS refuses it for another account's bus only; an event that another form has replaced is not built.
        code = "ValidationException" if elsewhere else "LocalAwsNotSupported"
        raise AwsError(code, "Input, InputPath and InputTransformer are not available for an event bus.")
    if place.resource.endswith(".fifo") and not target.get("SqsParameters", {}).get("MessageGroupId"):
        raise AwsError("ValidationException", f"MessageGroupId is required for the FIFO queue {arn}.")
    check_dead_letters(target.get("DeadLetterConfig", {}).get("Arn"), region)


def check_dead_letters(arn: str | None, region: str) -> None:
    """Refuse a dead-letter queue that is no standard queue of the Region. Raises AwsError."""
    if arn is None:
        return
    place = place_of(arn)
    if place is None or place.service != "sqs" or place.resource.endswith(".fifo") or place.region != region:
        raise AwsError(
            "ValidationException",
            f"Invalid DeadLetterConfig {arn}: it must be the ARN of a standard SQS queue in {region}.",
        )


@dataclass(frozen=True)
class Matched:
    """An event that a rule matched, on its way to one of the rule's targets."""

    event: dict
    rule_arn: str
    bus: Any
    """(account, region, name) of the bus the rule is on."""
    target: dict
    forwarded: bool
    """Has the event come from another bus already?"""


def send(matched: Matched, payload: str, sender: Sender) -> None:
    """Deliver to one target. Raises Undeliverable."""
    target = matched.target
    place = place_of(target["Arn"])
    if place is None:
        raise Undeliverable("INVALID_PARAMETER", f"{target['Arn']} is no target")
    if place.service == "sqs":
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        send_to_queue(sender, target["Arn"], payload, group, {})
    elif place.service == "events":
        forward(matched, place, sender)
    elif place.service == "states":
        start_machine(sender, target["Arn"], payload, matched.event["id"])
    else:
        invoke_function(sender, target["Arn"], payload)


def forward(matched: Matched, place: Place, sender: Sender) -> None:
    """Put the event, as it is, on another bus, and no further than that one.

    The role's trust policy must admit EventBridge and its policies events:PutEvents on the bus; the bus of
    another account must admit the role as well.
    """
    world, bus_arn = sender.world, matched.target["Arn"]
    if matched.forwarded:
        raise Undeliverable(
            "THIRD_ACCOUNT_HOP_DETECTED", f"the event came from another bus, and is not sent on to {bus_arn}"
        )
    name = place.resource.removeprefix("event-bus/")
    engine = world.engines["events"]
    if not engine.has_bus(place.account, place.region, name):
        raise Undeliverable("NO_RESOURCE", f"Event bus {bus_arn} does not exist.")
    _permitted(world, sender, matched, bus_arn)
    engine.route(place.account, place.region, name, matched.event, forwarded=True)


def _permitted(world: World, sender: Sender, matched: Matched, bus_arn: str) -> None:
    try:
        issued = identity.assume_as_service(world, sender.role_arn or "", "events", sender.service, sender.source_arn)
    except AwsError as error:
        raise Undeliverable("FAILED_TO_ASSUME_ROLE", f"{sender.role_arn}: {error}") from error
    need = Need(
        "events:PutEvents",
        bus_arn,
        {
            "events:source": matched.event["source"],
            "events:detail-type": matched.event["detail-type"],
            "aws:SourceArn": sender.source_arn,
            "aws:SourceAccount": sender.account,
        },
    )
    if denied := authorization.denial(world, issued.caller, need):
        raise Undeliverable("NO_PERMISSIONS", str(authorization.error(issued.caller, "events", denied)))
