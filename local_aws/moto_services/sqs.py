"""What moto's SQS lacks: refusals that it does not know, and long polling, for which it would hold its lock.

Source: Amazon SQS API reference, "SendMessage", "ReceiveMessage" and "SetQueueAttributes".
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from local_aws.access import lookup
from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from local_aws.world import World

LOOK_EVERY = 0.05
"""Seconds between looks into a queue that somebody waits on."""
RANGES = {
    "DelaySeconds": (0, 900),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
"""Attributes of a queue that are numbers."""
ATTRIBUTES = frozenset(RANGES) | {
    "ContentBasedDeduplication", "FifoQueue", "KmsMasterKeyId", "Policy", "RedrivePolicy", "SqsManagedSseEnabled",
}  # fmt: skip
"""Attributes that are known here. Not among them: high throughput of FIFO queues, and redrive allow policies."""
UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that a message may not have."""
LONGEST_WAIT = 20

_moto_set_attributes: Any = None


def check_required(call: Call) -> None:
    """SQS has errors of its own for what is missing. Raises AwsError."""
    for name in call.model.input_shape.required_members:
        if name not in call.params and name == "Entries":
            message = f"There should be at least one {call.operation}RequestEntry in the request."
            raise AwsError("AWS.SimpleQueueService.EmptyBatchRequest", message)
        if name not in call.params:
            raise AwsError("MissingParameter", f"The request must contain the parameter {name}.")


def before(_world: World, call: Call) -> None:
    """Refuse what AWS refuses and moto lets pass. Raises AwsError."""
    _keep_policies()
    for name, value in call.params.get("Attributes", {}).items():
        _check_attribute(name, value)
    if "MessageBody" in call.params:
        _check_body(call.params["MessageBody"])
    if call.operation == "SendMessageBatch":
        for entry in call.params["Entries"]:
            _check_body(entry["MessageBody"])
    if not 0 <= call.params.get("WaitTimeSeconds", 0) <= LONGEST_WAIT:
        raise AwsError(
            "InvalidParameterValue",
            f"Value {call.params['WaitTimeSeconds']} for parameter WaitTimeSeconds is invalid. "
            f"Reason: Must be >= 0 and <= {LONGEST_WAIT}, if provided.",
        )


def _check_attribute(name: str, value: str) -> None:
    if name not in ATTRIBUTES:
        raise AwsError("LocalAwsNotSupported", f"the local AWS does not know the attribute {name} of queues")
    if name in RANGES:
        least, most = RANGES[name]
        if not (value.isdigit() and least <= int(value) <= most):
            raise AwsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def _check_body(body: str) -> None:
    if body == "":
        raise AwsError("MissingParameter", "The request must contain the parameter MessageBody.")
    if UNFIT.search(body):
        raise AwsError("InvalidMessageContents", "Invalid binary character was found in the message body.")


def _keep_policies() -> None:
    """Settings that do not name a queue's policy leave it as it is: moto's would take it away."""
    global _moto_set_attributes
    if _moto_set_attributes is not None:
        return
    from moto.sqs.models import Queue

    _moto_set_attributes = Queue._set_attributes

    def set_attributes(queue: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        kept = queue.policy if hasattr(queue, "_policy_json") else None
        _moto_set_attributes(queue, {"Policy": kept, **attributes} if kept else attributes, now)

    Queue._set_attributes = set_attributes


def wait_for_message(world: World, call: Call, account: str) -> Call:
    """Wait, as a ReceiveMessage asks or its queue is set, until there is a message or the time is over.

    Returns the same call with nothing left to wait for.
    """
    _, name = lookup.queue_of_url(call.params["QueueUrl"], account)
    queue = lookup.queue(account, call.caller.region, name)
    if queue is None:
        return call
    patience = call.params.get("WaitTimeSeconds", int(queue.receive_message_wait_time_seconds or 0))
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not world.stopping.is_set():
        with world.moto_lock("sqs"):
            if queue.messages:
                break
        world.stopping.wait(LOOK_EVERY)
    if call.protocol != "json":
        return call
    return replace(call, body=json.dumps({**json.loads(call.body), "WaitTimeSeconds": 0}).encode())
