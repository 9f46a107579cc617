"""Asynchronous invocations: retried twice, then to the function's dead-letter queue or failure destination.

A function's error is tried again after one minute and after two more; throttling, and what keeps Lambda from invoking
at all, after 1 s and then ever longer up to 5 minutes, until the event is too old; with no reserved concurrency at all
it is not tried. All on the world's clock. An event that would be too old at its next attempt is given up at once.
Source: Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation", "Capturing records
of Lambda asynchronous invocations", "Configuring reserved concurrency".
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.alarms import Alarms
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.functions.lambda_functions import Function, Settings
    from local_aws.functions.lambda_runner import Runner
    from local_aws.functions.lambda_sandbox import Outcome

RETRY_SECONDS = (60, 120)
THROTTLED_SECONDS = (1, 300)
"""The first and the longest wait after an attempt that did not reach the function."""
DEFAULT_AGE = 21600
DEFAULT_RETRIES = 2


@dataclass(frozen=True)
class Event:
    """One accepted asynchronous invocation, and how often it was tried and put off."""

    function: Function
    qualifier: str | None
    request_id: str
    payload: bytes
    accepted: datetime
    tried: int = 0
    put_off: int = 0

    @property
    def config(self) -> dict[str, Any]:
        return self.function.invoke_configs.get(self.qualifier or "$LATEST", {})


class Events:
    """The events that wait for their function."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.world = runner.world
        self._alarms = Alarms(runner.world, "asynchronous invocations")
        self._waiting: Counter[str] = Counter()
        """Events between two attempts, by name of function."""
        self._guard = threading.Lock()
        self.world.waiting_checks.append(self._described)

    def accept(self, event: Event) -> None:
        """Have an event taken to its function, by itself."""
        self.world.submit(self._attempt, event)

    def _attempt(self, event: Event) -> None:
        function = event.function
        try:
            settings = function.settings(event.qualifier)
        except AwsError as error:  # the version or alias is gone
            self.world.activity("error", function.name, f"an event is lost: {error}")
            return
        if function.deleted:
            return
        if function.concurrency == 0:
            _tell(self.runner, event, settings, None, "ZeroReservedConcurrency")
            return
        try:
            outcome = self.runner.run(function, settings, event.qualifier, event.payload, event.request_id)
        except AwsError as error:  # it did not run: throttled, or its role is not there
            self.world.activity("error", function.name, f"an event waits: {error}")
            first, longest = THROTTLED_SECONDS
            wait = min(first * 2**event.put_off, longest)
            self._again(replace(event, put_off=event.put_off + 1), settings, wait, None)
            return
        event = replace(event, tried=event.tried + 1)
        if outcome.error is None:
            _tell(self.runner, event, settings, outcome, "Success")
        elif event.tried > event.config.get("MaximumRetryAttempts", DEFAULT_RETRIES):
            _tell(self.runner, event, settings, outcome, "RetriesExhausted")
        else:
            self._again(event, settings, RETRY_SECONDS[event.tried - 1], outcome)

    def _again(self, event: Event, settings: Settings, seconds: float, outcome: Outcome | None) -> None:
        moment = self.world.now() + timedelta(seconds=seconds)
        if moment >= event.accepted + timedelta(seconds=event.config.get("MaximumEventAgeInSeconds", DEFAULT_AGE)):
            _tell(self.runner, event, settings, outcome, "EventAgeExceeded")
            return
        with self._guard:
            self._waiting[event.function.name] += 1
        self._alarms.at(moment, lambda: self._due(event))

    def _due(self, event: Event) -> None:
        self.world.submit(self._attempt, event)
        with self._guard:
            self._waiting[event.function.name] -= 1

    def _described(self) -> list[str]:
        with self._guard:
            return [f"retry of an event of function {name} ({count})" for name, count in self._waiting.items() if count]


def _tell(
    runner: Runner,
    event: Event,
    settings: Settings,
    outcome: Outcome | None,
    condition: str,
) -> None:
    failed = condition != "Success"
    try:
        if failed and settings.dead_letters:
            _dead_letter(runner, event, settings, outcome, condition)
        destination = (
            event.config.get("DestinationConfig", {}).get("OnFailure" if failed else "OnSuccess", {}).get("Destination")
        )
        if destination:
            record = _record(runner, event, settings, outcome, condition)
            _send_record(runner, event.function, settings, destination, record, failed)
    except (ClientError, BotoCoreError, AwsError) as error:  # as on AWS: the event is lost, a metric says so
        runner.world.activity("error", event.function.name, f"no record of an asynchronous invocation: {error}")


def _dead_letter(runner: Runner, event: Event, settings: Settings, outcome: Outcome | None, condition: str) -> None:
    """Send the event itself, with the reason in message attributes, as the function's role."""
    message = json.loads(outcome.payload).get("errorMessage", "") if outcome else condition
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": event.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200" if outcome else "429"},
        "ErrorMessage": {"DataType": "String", "StringValue": message[:1024] or "-"},
    }
    if settings.dead_letters.split(":")[2] == "sqs":
        runner.role_client(event.function, settings, "sqs", event.function.region).send_message(
            QueueUrl=runner.queue_url(settings.dead_letters),
            MessageBody=event.payload.decode(),
            MessageAttributes=attributes,
        )
    else:
        runner.role_client(event.function, settings, "sns", event.function.region).publish(
            TopicArn=settings.dead_letters, Message=event.payload.decode(), MessageAttributes=attributes
        )


def _record(
    runner: Runner, event: Event, settings: Settings, outcome: Outcome | None, condition: str
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": runner.world.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": f"{event.function.arn}:{event.qualifier or '$LATEST'}",
            "condition": condition,
            "approximateInvokeCount": event.tried,
        },
        "requestPayload": json.loads(event.payload),
    }
    if outcome:
        record["responseContext"] = {"statusCode": 200, "executedVersion": settings.version}
        if outcome.error:
            record["responseContext"]["functionError"] = "Unhandled"
        record["responsePayload"] = json.loads(outcome.payload)
    return record


def _send_record(
    runner: Runner, function: Function, settings: Settings, destination: str, record: dict[str, Any], failed: bool
) -> None:
    _, _, service, region, _, rest = destination.split(":", 5)
    client = runner.role_client(function, settings, service, region)
    body = json.dumps(record)
    if service == "sqs":
        client.send_message(QueueUrl=runner.queue_url(destination), MessageBody=body)
    elif service == "sns":
        client.publish(TopicArn=destination, Message=body)
    elif service == "lambda":
        client.invoke(FunctionName=destination, InvocationType="Event", Payload=body.encode())
    else:
        outcome = "Failure" if failed else "Success"
        client.put_events(
            Entries=[
                {
                    "EventBusName": rest.removeprefix("event-bus/"),
                    "Source": "lambda",
                    "DetailType": f"Lambda Function Invocation Result - {outcome}",
                    "Detail": body,
                    "Resources": [destination, record["requestContext"]["functionArn"]],
                }
            ]
        )
