"""Delivering to targets: permissions, retries and dead-letter queues, for rules and for schedules.

Sources: EventBridge user guide, "How EventBridge retries delivering events", "Using dead-letter queues",
"Using resource-based policies", "Sending and receiving events between AWS accounts"; EventBridge Scheduler
user guide, "Configuring a dead-letter queue".
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.access import lookup
from local_aws.access.role_clients import RoleClients
from local_aws.alarms import Alarms
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.world import World

DEFAULT_ATTEMPTS = 185
DEFAULT_AGE = 86_400
FIRST_DELAY = 1.0
LONGEST_DELAY = 600.0
SOON = 60.0
"""Seconds. A retry due later than this is not work under way."""

NO_RESOURCE = (
    "ResourceNotFoundException",
    "StateMachineDoesNotExist",
    "StateMachineDeleting",
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "NotFoundException",
)
REFUSED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "KMS.AccessDeniedException")
INVALID = ("ValidationException", "InvalidExecutionInput", "InvalidParameterValue", "InvalidArn", "InvalidName")


class Undeliverable(Exception):
    """A target did not take a delivery.

    `code` is EventBridge's word for it, `api_code` that of the API that was called, if one was.
    """

    def __init__(self, code: str, message: str, *, transient: bool = False, api_code: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.api_code = api_code
        self.message = message
        self.transient = transient


@dataclass(frozen=True)
class Outcome:
    """Why and after how many retries a delivery was given up."""

    error: Undeliverable
    retries: int
    exhausted: str | None
    """`MaximumRetryAttempts` or `MaximumEventAgeInSeconds`, if retries ran out."""


class Deliverer:
    """Makes attempts until one succeeds, or the error is permanent, or the retry policy is exhausted."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.alarms = Alarms(world, name)
        self._retries: dict[int, datetime] = {}
        self._guard = threading.Lock()
        world.waiting_checks.append(self._busy)

    def deliver(
        self,
        send: Callable[[], None],
        policy: dict,
        give_up: Callable[[Outcome], None],
        *,
        since: datetime,
        retries: int = 0,
    ) -> None:
        """Call `send`, again later while it raises a transient Undeliverable, and `give_up` in the end.

        `policy` is a RetryPolicy; `since` is when the event came.
        """
        try:
            send()
        except Undeliverable as error:
            attempts = policy.get("MaximumRetryAttempts", DEFAULT_ATTEMPTS)
            age = timedelta(seconds=policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE))
            delay = random.uniform(0.5, 1) * min(FIRST_DELAY * 2**retries, LONGEST_DELAY)
            again = self.world.now() + timedelta(seconds=delay)
            if not error.transient:
                give_up(Outcome(error, retries, None))
            elif retries >= attempts:
                give_up(Outcome(error, retries, "MaximumRetryAttempts"))
            elif again > since + age:
                give_up(Outcome(error, retries, "MaximumEventAgeInSeconds"))
            else:
                self._later(again, lambda: self.deliver(send, policy, give_up, since=since, retries=retries + 1))

    def _later(self, moment: datetime, attempt: Callable[[], None]) -> None:
        key = id(attempt)

        def run() -> None:
            try:
                attempt()
            finally:
                with self._guard:
                    del self._retries[key]

        with self._guard:
            self._retries[key] = moment
        self.alarms.at(moment, lambda: self.world.submit(run))

    def _busy(self) -> list[str]:
        soon = self.world.now() + timedelta(seconds=SOON)
        with self._guard:
            due = [moment for moment in self._retries.values() if moment <= soon]
        return [f"delivery retries ({len(due)})"] if due else []


# --- senders: each raises Undeliverable


@dataclass(frozen=True)
class Sender:
    """Who delivers: a service, on behalf of a rule or schedule, as a role if it was given one."""

    world: World
    service: str
    """`events.amazonaws.com` or `scheduler.amazonaws.com`."""
    source_arn: str
    region: str
    clients: RoleClients
    role_arn: str | None = None

    @property
    def account(self) -> str:
        return self.source_arn.split(":")[4]

    def client(self, name: str) -> Any:
        """A client of the role. Raises Undeliverable FAILED_TO_ASSUME_ROLE."""
        try:
            return self.clients.client(name, self.role_arn or "", self.source_arn, self.region)
        except AwsError as error:
            raise Undeliverable("FAILED_TO_ASSUME_ROLE", f"{self.role_arn}: {error}") from error


def call(method: Callable[..., Any], **parameters: Any) -> Any:
    """The answer of an API call made with a role."""
    try:
        return method(**parameters)
    except ClientError as error:
        raise _of_code(error.response["Error"]["Code"], str(error), _status(error)) from error
    except BotoCoreError as error:
        raise Undeliverable("SDK_CLIENT_ERROR", str(error), transient=True) from error


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)


def _of_code(api_code: str, message: str, status: int) -> Undeliverable:
    code, transient = "ERROR_FROM_TARGET", status >= 500
    if api_code in REFUSED:
        code = "NO_PERMISSIONS"
    elif api_code in NO_RESOURCE:
        code = "NO_RESOURCE"
    elif api_code in INVALID:
        code = "INVALID_PARAMETER"
    elif "Throttl" in api_code or "TooManyRequests" in api_code or "LimitExceeded" in api_code:
        code, transient = "THROTTLING", True
    return Undeliverable(code, message, transient=transient, api_code=api_code)


def send_to_queue(sender: Sender, queue_arn: str, body: str, group: str | None, attributes: dict[str, str]) -> None:
    """Put a message on a queue: as the role, or as the service if the queue's policy admits it."""
    _, _, _, region, account, name = queue_arn.split(":", 5)
    message_attributes = {key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()}
    if sender.role_arn:
        sqs = sender.client("sqs")
        more = {"MessageGroupId": group} if group else {}
        url = f"{sender.world.endpoint}/{account}/{name}"
        call(sqs.send_message, QueueUrl=url, MessageBody=body, MessageAttributes=message_attributes, **more)
        return
    queue = lookup.queue(account, region, name)
    if queue is None:
        raise Undeliverable("NO_RESOURCE", f"The specified queue {queue_arn} does not exist.")
    _admitted(sender, "sqs:SendMessage", queue_arn)
    if len(body.encode()) > int(queue.maximum_message_size):
        raise Undeliverable("INVALID_PARAMETER", f"The message is larger than {queue_arn} takes.")
    _enqueue(sender.world, queue, body, group, message_attributes)


def _enqueue(world: World, queue: Any, body: str, group: str | None, attributes: dict) -> None:
    """Put a message on one of moto's queues."""
    from moto.sqs.models import Message, sqs_backends

    with world.moto_lock("sqs"):
        if queue.fifo_queue:
            backend = sqs_backends[queue.account_id][queue.region]
            backend.send_message(queue.name, body, message_attributes=attributes, group_id=group)
            return
        # moto's send_message counts all messages of the queue first: a burst would take quadratic time.
        message = Message(str(uuid.uuid4()), body)
        message.message_attributes = attributes
        message.mark_sent(delay_seconds=queue.delay_seconds)
        queue.add_message(message)


def _admitted(sender: Sender, action: str, resource: str) -> None:
    try:
        sender.world.authorize_service(sender.service, action, resource, sender.source_arn, sender.account)
    except AwsError as error:
        raise Undeliverable("NO_PERMISSIONS", error.message) from error


def invoke_function(sender: Sender, function_arn: str, payload: str) -> None:
    """Have a function run asynchronously: as the role, or as the service if the function's policy admits it."""
    _json(payload)
    if sender.role_arn:
        call(
            sender.client("lambda").invoke,
            FunctionName=function_arn,
            InvocationType="Event",
            Payload=payload.encode(),
        )
        return
    engine = sender.world.engines["lambda"]
    try:
        engine.invoke_event(function_arn, payload.encode(), service=sender.service, source_arn=sender.source_arn)
    except AwsError as error:
        raise _of_code(error.code, error.message, error.status) from error


def start_machine(sender: Sender, machine_arn: str, payload: str, event_id: str) -> None:
    """Start an execution as the role. Its name is new at every delivery: duplicates start duplicates."""
    _json(payload)
    call(
        sender.client("stepfunctions").start_execution,
        stateMachineArn=machine_arn,
        name=f"{event_id}_{uuid.uuid4()}"[:80],
        input=payload,
    )


def _json(payload: str) -> None:
    try:
        json.loads(payload)
    except ValueError as error:
        raise Undeliverable("INVALID_JSON", f"the target needs JSON: {error}") from error


# --- dead letters


def bury(
    sender: Sender,
    queue_arn: str | None,
    body: str,
    attributes: dict[str, str],
    outcome: Outcome,
    stage: str,
    subject: str,
) -> None:
    """Tell of a delivery that was given up, and put it on the dead-letter queue if there is one."""
    world = sender.world
    world.activity(stage, subject, f"not delivered to {attributes['TARGET_ARN']}: {outcome.error}")
    if queue_arn is None:
        return
    details = {
        "ERROR_CODE": outcome.error.code,
        "ERROR_MESSAGE": outcome.error.message,
        "RETRY_ATTEMPTS": str(outcome.retries),
        **attributes,
    }
    if outcome.exhausted:
        details["EXHAUSTED_RETRY_CONDITION"] = outcome.exhausted
    try:
        send_to_queue(sender, queue_arn, body, None, details)
    except Undeliverable as error:
        world.activity(stage, subject, f"lost: the dead-letter queue {queue_arn} does not take it: {error}")
