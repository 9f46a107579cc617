"""Long polling for moto's SQS, which would hold its lock while it waits."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from local_aws.access import lookup
from local_aws.wire import Call

if TYPE_CHECKING:
    from local_aws.world import World

LOOK_EVERY = 0.05
"""Seconds between looks into a queue that somebody waits on."""


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
