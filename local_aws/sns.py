"""What moto's SNS would only pretend: a subscription whose messages go nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from local_aws.world import World

KEPT = ("email", "email-json")
"""Protocols whose subscriptions are kept and shown. There is no mail here."""


def before(_world: World, call: Call) -> None:
    """Refuse a subscription that would have to deliver."""
    protocol = call.params.get("Protocol")
    if call.operation == "Subscribe" and protocol not in KEPT:
        raise AwsError(
            "LocalAwsNotSupported", f"the local AWS does not deliver to {protocol} subscriptions of SNS topics"
        )
