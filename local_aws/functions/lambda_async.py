"""Asynchronous invocations: retried twice, then to the function's dead-letter queue or failure destination.

Source: Lambda developer guide, "Invoking a function asynchronously", "Capturing records of Lambda asynchronous
invocations". Between attempts AWS waits one and two minutes; here it is seconds.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.functions.lambda_functions import Function, Settings
    from local_aws.functions.lambda_runner import Runner
    from local_aws.functions.lambda_sandbox import Outcome

RETRY_SECONDS = (1.0, 2.0)
THROTTLED_SECONDS = 0.5
DEFAULT_AGE = 21600


@dataclass(frozen=True)
class Event:
    """One accepted asynchronous invocation."""

    function: Function
    qualifier: str | None
    request_id: str
    payload: bytes
    client_context: str | None = None


def run_event(runner: Runner, event: Event) -> None:
    """Invoke until it succeeds or no attempt is left, then tell whoever is configured to know."""
    config = event.function.invoke_configs.get(event.qualifier or "$LATEST", {})
    attempts = config.get("MaximumRetryAttempts", 2) + 1
    deadline = time.monotonic() + config.get("MaximumEventAgeInSeconds", DEFAULT_AGE)
    settings = event.function.settings(event.qualifier)
    outcome, tried = None, 0
    while tried < attempts and time.monotonic() < deadline and not runner.world.stopping.is_set():
        try:
            outcome = runner.run(
                event.function, settings, event.qualifier, event.payload, event.request_id, event.client_context
            )
        except AwsError as error:
            if error.code != "TooManyRequestsException":
                raise
            runner.world.stopping.wait(THROTTLED_SECONDS)
            continue
        tried += 1
        if outcome.error is None:
            break
        if tried < attempts:
            runner.world.stopping.wait(RETRY_SECONDS[min(tried, 2) - 1])
    if outcome is None:
        _tell(runner, event, settings, config, None, "EventAgeExceeded", tried)
    elif outcome.error is None:
        _tell(runner, event, settings, config, outcome, "Success", tried)
    else:
        _tell(runner, event, settings, config, outcome, "RetriesExhausted", tried)


def _tell(
    runner: Runner,
    event: Event,
    settings: Settings,
    config: dict[str, Any],
    outcome: Outcome | None,
    condition: str,
    tried: int,
) -> None:
    failed = condition != "Success"
    try:
        if failed and settings.dead_letters:
            _dead_letter(runner, event, settings, outcome)
        destination = (
            config.get("DestinationConfig", {}).get("OnFailure" if failed else "OnSuccess", {}).get("Destination")
        )
        if destination:
            record = _record(runner, event, settings, outcome, condition, tried)
            _send_record(runner, event.function, settings, destination, record, failed)
    except (ClientError, AwsError) as error:  # as on AWS: the event is lost, a metric says so
        runner.world.activity("error", event.function.name, f"no record of an asynchronous invocation: {error}")


def _dead_letter(runner: Runner, event: Event, settings: Settings, outcome: Outcome | None) -> None:
    """Send the event itself, with the reason in message attributes, as the function's role."""
    message = json.loads(outcome.payload).get("errorMessage", "") if outcome else "Event age exceeded"
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": event.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
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
    runner: Runner, event: Event, settings: Settings, outcome: Outcome | None, condition: str, tried: int
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": runner.world.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": f"{event.function.arn}:{event.qualifier or '$LATEST'}",
            "condition": condition,
            "approximateInvokeCount": tried,
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
