"""Event source mappings: SQS queues whose messages invoke functions.

Each mapping has a thread that takes batches as the function's role, through the same API and permissions as anybody.
Source: Lambda developer guide, "Using Lambda with Amazon SQS", "Configuring scaling behavior for SQS event source
mappings", "Handling errors for an SQS event source in Lambda".
"""

from __future__ import annotations

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.sqs.models import sqs_backends

from local_aws.access import authorization, identity
from local_aws.access.need import Need
from local_aws.functions.lambda_functions import LATEST, Function, Settings, invalid
from local_aws.functions.lambda_runner import PRINCIPAL
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.functions.lambda_runtime import Lambda
    from local_aws.world import World

LOOK_SECONDS = 0.05
"""Between two looks at an empty queue. A look reads memory; only what is there costs a call."""
PROBLEM_SECONDS = 1.0
DEFAULT_CONCURRENCY = 5
"""Batches that AWS starts with; it would scale up from there."""
RECEIVE_AT_MOST = 10
MAX_PAYLOAD = 6_000_000
QUEUE = re.compile(r"arn:aws:sqs:([a-z0-9-]+):(\d{12}):([a-zA-Z0-9_-]{1,80})(\.fifo)?")


@dataclass
class Mapping:
    """One event source mapping and the state of its poller."""

    uuid: str
    queue_arn: str
    function_arn: str
    batch_size: int
    window: int
    enabled: bool
    response_types: list[str]
    maximum_concurrency: int | None
    modified: datetime
    tags: dict[str, str]
    result: str = "No records processed"
    closing: datetime | None = None
    """When the window of the batch that is being gathered ends."""
    taking: bool = False
    """Whether messages are being taken for an invocation: out of sight already, and with nobody yet."""
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def queue_name(self) -> str:
        return self.queue_arn.rsplit(":", 1)[1]

    @property
    def queue_account(self) -> str:
        return self.queue_arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.queue_arn.split(":")[3]


class EventSources:
    """The engine of the service `lambda` for event source mappings."""

    service = "lambda"

    def __init__(self, world: World) -> None:
        self.world = world
        self._mappings: dict[str, Mapping] = {}
        world.busy_checks.append(self._busy)
        world.waiting_checks.append(self._waiting)
        world.clock.moments.append(self._next_message)
        world.on_stop.append(self._stop)

    @property
    def _lambda(self) -> Lambda:
        return self.world.engines["lambda"]

    # -- the API ---------------------------------------------------------------------------------------------------

    def CreateEventSourceMapping(
        self,
        caller: Caller,
        FunctionName: str,
        EventSourceArn: str,
        Enabled: bool = True,
        BatchSize: int = 10,
        MaximumBatchingWindowInSeconds: int = 0,
        FunctionResponseTypes: list[str] | None = None,
        ScalingConfig: dict | None = None,
        Tags: dict | None = None,
    ) -> dict:
        arn = self._function_arn(caller, FunctionName)
        for other in self._mappings.values():
            if (other.queue_arn, other.function_arn) == (EventSourceArn, arn):
                raise AwsError(
                    "ResourceConflictException",
                    f'An event source mapping with SQS arn (" {EventSourceArn} ") and function (" {arn} ") already '
                    f"exists. Please update or delete the existing mapping with UUID {other.uuid}",
                    409,
                )
        mapping = Mapping(
            str(uuid.uuid4()),
            EventSourceArn,
            arn,
            BatchSize,
            MaximumBatchingWindowInSeconds,
            Enabled,
            FunctionResponseTypes or [],
            (ScalingConfig or {}).get("MaximumConcurrency"),
            self.world.now(),
            dict(Tags or {}),
        )
        self._check(mapping)
        self._mappings[mapping.uuid] = mapping
        self._start(mapping)
        return {**self._described(mapping), "State": "Creating"}

    def UpdateEventSourceMapping(
        self, caller: Caller, UUID: str, FunctionName: str | None = None, **changes: Any
    ) -> dict:
        current = self._mapping(caller, UUID)
        scaling = changes.get("ScalingConfig")
        changed = Mapping(
            UUID,
            current.queue_arn,
            self._function_arn(caller, FunctionName) if FunctionName else current.function_arn,
            changes.get("BatchSize", current.batch_size),
            changes.get("MaximumBatchingWindowInSeconds", current.window),
            changes.get("Enabled", current.enabled),
            changes.get("FunctionResponseTypes", current.response_types),
            current.maximum_concurrency if scaling is None else scaling.get("MaximumConcurrency"),
            self.world.now(),
            current.tags,
            current.result,
        )
        self._check(changed)
        current.stopped.set()
        self._mappings[UUID] = changed
        self._start(changed)
        return {**self._described(changed), "State": "Updating"}

    def GetEventSourceMapping(self, caller: Caller, UUID: str) -> dict:
        return self._described(self._mapping(caller, UUID))

    def ListEventSourceMappings(
        self,
        caller: Caller,
        EventSourceArn: str | None = None,
        FunctionName: str | None = None,
        Marker: str | None = None,
        MaxItems: int = 100,
    ) -> dict:
        arn = self._function_arn(caller, FunctionName) if FunctionName else None
        found = [
            self._described(each)
            for each in list(self._mappings.values())
            if self._is_callers(caller, each)
            and EventSourceArn in (None, each.queue_arn)
            and arn in (None, each.function_arn)
        ]
        start = int(Marker or 0)
        following = {"NextMarker": str(start + MaxItems)} if len(found) > start + MaxItems else {}
        return {"EventSourceMappings": found[start : start + MaxItems], **following}

    def DeleteEventSourceMapping(self, caller: Caller, UUID: str) -> dict:
        mapping = self._mapping(caller, UUID)
        mapping.stopped.set()
        del self._mappings[UUID]
        return {**self._described(mapping), "State": "Deleting"}

    def _mapping(self, caller: Caller, uuid: str) -> Mapping:
        mapping = self._mappings.get(uuid)
        if mapping is None or not self._is_callers(caller, mapping):
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return mapping

    def _is_callers(self, caller: Caller, mapping: Mapping) -> bool:
        return mapping.function_arn.split(":")[3:5] == [caller.region, caller.account]

    def _function_arn(self, caller: Caller, name: str) -> str:
        """The ARN of an existing function, with the qualifier if the name has one."""
        function, qualifier = self._lambda.find(caller, name)
        function.settings(qualifier)
        return f"{function.arn}:{qualifier}" if qualifier and qualifier != LATEST else function.arn

    def _described(self, mapping: Mapping) -> dict[str, Any]:
        described: dict[str, Any] = {
            "UUID": mapping.uuid,
            "BatchSize": mapping.batch_size,
            "MaximumBatchingWindowInSeconds": mapping.window,
            "EventSourceArn": mapping.queue_arn,
            "FunctionArn": mapping.function_arn,
            "LastModified": mapping.modified,
            "LastProcessingResult": mapping.result,
            "State": "Enabled" if mapping.enabled else "Disabled",
            "StateTransitionReason": "USER_INITIATED",
            "FunctionResponseTypes": mapping.response_types,
            "EventSourceMappingArn": (
                f"{mapping.function_arn.split(':function:')[0]}:event-source-mapping:{mapping.uuid}"
            ),
        }
        if mapping.maximum_concurrency:
            described["ScalingConfig"] = {"MaximumConcurrency": mapping.maximum_concurrency}
        return described

    def _check(self, mapping: Mapping) -> None:
        """Raise AwsError for what Lambda refuses beyond the ranges of its model, or what is not built here."""
        queue = QUEUE.fullmatch(mapping.queue_arn)
        if queue is None or queue[4]:
            raise AwsError(
                "LocalAwsNotSupported",
                f"event source {mapping.queue_arn}: only standard SQS queues (local_aws/functions/event_sources.py)",
            )
        if mapping.batch_size > RECEIVE_AT_MOST and mapping.window < 1:
            raise invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            )
        if mapping.function_arn.split(":")[3] != mapping.region:
            raise invalid(f"The queue {mapping.queue_arn} must be in the function's Region")
        function, settings = self._lambda.function(mapping.function_arn)
        role = identity.assume_as_service(self.world, settings.role, "lambda", PRINCIPAL, function.arn).caller
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            if authorization.denial(self.world, role, Need(f"sqs:{action}", mapping.queue_arn)):
                raise invalid(f"The provided execution role does not have permissions to call {action} on SQS")
        sqs, _ = self._sqs(mapping)
        try:
            attributes = sqs.get_queue_attributes(
                QueueUrl=self._lambda.runner.queue_url(mapping.queue_arn), AttributeNames=["VisibilityTimeout"]
            )["Attributes"]
        except ClientError as error:
            fault = error.response["Error"]
            raise invalid(
                f"Error occurred while ReceiveMessage. SQS Error Code: {fault['Code']}. "
                f"SQS Error Message: {fault['Message']}"
            ) from None
        if int(attributes["VisibilityTimeout"]) < settings.timeout:
            raise invalid(
                f"Queue visibility timeout: {attributes['VisibilityTimeout']} seconds is less than Function timeout: "
                f"{settings.timeout} seconds"
            )

    # -- polling ---------------------------------------------------------------------------------------------------

    def _start(self, mapping: Mapping) -> None:
        if mapping.enabled:
            name = f"poll {mapping.queue_name}"
            threading.Thread(target=self._poll, args=(mapping,), name=name, daemon=True).start()

    def _stop(self) -> None:
        for mapping in self._mappings.values():
            mapping.stopped.set()

    def _busy(self) -> list[str]:
        taking = [
            f"queue {each.queue_name} (taking)"
            for each in list(self._mappings.values())
            if each.taking and not each.closing
        ]
        return taking + self._queues_with(lambda message: message.visible and not message.delayed)

    def _waiting(self) -> list[str]:
        return self._queues_with(lambda message: not message.visible or message.delayed)

    def _queues_with(self, which: Callable[[Any], bool]) -> list[str]:
        described = []
        for mapping in list(self._mappings.values()):
            count = sum(map(which, self._messages(mapping))) if mapping.enabled else 0
            if count:
                described.append(f"queue {mapping.queue_name} ({count} messages; {mapping.result})")
        return described

    def _next_message(self) -> datetime | None:
        """When a message is next seen again, or first; or a batch's window ends."""
        closing = [mapping.closing for mapping in list(self._mappings.values()) if mapping.closing]
        moments = [
            max(message.visible_at, message.delayed_until)
            for mapping in list(self._mappings.values())
            if mapping.enabled
            for message in self._messages(mapping)
            if not message.visible or message.delayed
        ]
        if moments:  # moto: visible only after that millisecond
            closing.append(datetime.fromtimestamp((min(moments) + 1) / 1000, UTC))
        return min(closing, default=None)

    def _messages(self, mapping: Mapping) -> list[Any]:
        """The queue's messages, those in flight included, as moto keeps them."""
        queue = sqs_backends[mapping.queue_account][mapping.region].queues.get(mapping.queue_name)
        return list(queue._messages) if queue else []

    def _anything_visible(self, mapping: Mapping) -> bool:
        return any(message.visible and not message.delayed for message in self._messages(mapping))

    def _poll(self, mapping: Mapping) -> None:
        """Take batches and hand them to threads, as many at a time as the mapping may have under way."""
        slots = threading.BoundedSemaphore(mapping.maximum_concurrency or DEFAULT_CONCURRENCY)
        while not mapping.stopped.is_set():
            if not self._anything_visible(mapping):
                mapping.stopped.wait(LOOK_SECONDS)
                continue
            if not slots.acquire(timeout=LOOK_SECONDS):
                continue
            mapping.taking = True
            try:
                batch = self._take_batch(mapping)
                parts = _within_payload(batch, lambda message: len(json.dumps(_record(mapping, message))))
                if parts:
                    self.world.submit(self._deliver_all, mapping, parts, slots)
                else:
                    slots.release()
            except (ClientError, BotoCoreError, AwsError) as error:
                slots.release()
                self._problem(mapping, f"PROBLEM: {error}")
            finally:
                mapping.taking = False

    def _take_batch(self, mapping: Mapping) -> list[dict[str, Any]]:
        """Messages for one invocation: until the batch is full, or its window over since the first of them."""
        batch: list[dict[str, Any]] = []
        size = 0
        closing = None
        try:
            while not mapping.stopped.is_set():
                if self._anything_visible(mapping):
                    received = self._receive(mapping, min(RECEIVE_AT_MOST, mapping.batch_size - len(batch)))
                    batch += received
                    size += sum(len(message["Body"]) for message in received)
                    closing = closing or self.world.now() + timedelta(seconds=mapping.window)
                    mapping.closing = closing if mapping.window else None
                full = len(batch) >= mapping.batch_size or size >= MAX_PAYLOAD // 2
                if full or closing is None or self.world.now() >= closing:
                    break
                mapping.stopped.wait(LOOK_SECONDS)
        finally:
            mapping.closing = None
        return batch

    def _sqs(self, mapping: Mapping) -> tuple[Any, Settings]:
        """A client of SQS as the function's role, and the function's settings. Raises AwsError if either is gone."""
        function, settings = self._lambda.function(mapping.function_arn)
        return self._lambda.runner.role_client(function, settings, "sqs", mapping.region), settings

    def _receive(self, mapping: Mapping, count: int) -> list[dict[str, Any]]:
        answer = self._sqs(mapping)[0].receive_message(
            QueueUrl=self._lambda.runner.queue_url(mapping.queue_arn),
            MaxNumberOfMessages=count,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _deliver_all(
        self, mapping: Mapping, parts: list[list[dict[str, Any]]], slots: threading.BoundedSemaphore
    ) -> None:
        try:
            for part in parts:
                self._deliver(mapping, part)
        finally:
            slots.release()

    def _deliver(self, mapping: Mapping, batch: list[dict[str, Any]]) -> None:
        """Invoke the function with a batch and delete what it took. What it did not take comes back by itself."""
        try:
            function, settings = self._lambda.function(mapping.function_arn)
            payload = json.dumps({"Records": [_record(mapping, message) for message in batch]}).encode()
            outcome = self._lambda.runner.run(function, settings, _qualifier(mapping, function), payload)
            if outcome.error:
                mapping.result = f"PROBLEM: Function call failed ({outcome.error})"
                return
            failed = _failed(mapping, outcome.payload, {message["MessageId"] for message in batch})
            self._delete(mapping, [each for each in batch if each["MessageId"] not in failed])
            mapping.result = f"PROBLEM: {len(failed)} of {len(batch)} messages failed" if failed else "OK"
        except (ClientError, BotoCoreError, AwsError) as error:
            self._problem(mapping, f"PROBLEM: {error}")

    def _delete(self, mapping: Mapping, messages: list[dict[str, Any]]) -> None:
        sqs, _ = self._sqs(mapping)
        for start in range(0, len(messages), 10):
            entries = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(messages[start : start + 10])
            ]
            sqs.delete_message_batch(QueueUrl=self._lambda.runner.queue_url(mapping.queue_arn), Entries=entries)

    def _problem(self, mapping: Mapping, result: str) -> None:
        """Keep the reason for whoever looks at the mapping, say a new one in the live view, and slow down."""
        if mapping.result != result:
            mapping.result = result
            self.world.activity("error", mapping.queue_name, result)
        mapping.stopped.wait(PROBLEM_SECONDS)


def _qualifier(mapping: Mapping, function: Function) -> str | None:
    return mapping.function_arn.removeprefix(function.arn).removeprefix(":") or None


def _record(mapping: Mapping, message: dict[str, Any]) -> dict[str, Any]:
    """A message in the shape in which functions get it."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.queue_arn,
        "awsRegion": mapping.region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _message_attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        shown["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        shown["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return shown


def _failed(mapping: Mapping, payload: bytes, ids: set[str]) -> set[str]:
    """The ids of the messages that the function reports as failed; all of them if the report makes no sense."""
    if "ReportBatchItemFailures" not in mapping.response_types:
        return set()
    answer = json.loads(payload or b"null")
    if answer is None:
        return set()
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else [None]
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return ids
    named = {str(each.get("itemIdentifier")) if isinstance(each, dict) else None for each in failures}
    return named if named <= ids else ids


def _within_payload(messages: list[Any], size_of: Callable[[Any], int]) -> list[list[Any]]:
    """The messages in as few lists as keep each within the largest payload of a function."""
    parts: list[list[Any]] = []
    room = 0
    for message in messages:
        size = size_of(message)
        if size > room:
            parts.append([])
            room = MAX_PAYLOAD
        parts[-1].append(message)
        room -= size
    return parts
