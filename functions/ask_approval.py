"""Tells people that a subscription waits for their approval, and keeps what ends the machine that waits for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import approvals, expressions
from tagmesh.aws import approval_store, governance_store, published
from tagmesh.aws.session import client, own_account
from tagmesh.governance import Governance, Withheld

logger = Logger()
metrics = Metrics()

WAITS = 7 * 86400  # seconds: TimeoutSeconds of the state; then the sweep asks again


class AlreadyDecided(Exception):
    """Somebody has decided before anybody was asked: the machine goes on at once."""


class NothingToApprove(Exception):
    """The subscription has left the files or changed, or another run asks: this one ends."""


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> None:
    """`{key, attempt, token, correlation_id}` in, where token is the task token, which is neither logged nor told.

    Raises:
        AlreadyDecided, NothingToApprove: the machine goes on, or ends.
    """
    logger.set_correlation_id(event["correlation_id"])
    dynamodb = client("dynamodb")
    record = approval_store.read(dynamodb, event["key"])
    if record is None or record.attempt != event["attempt"]:
        raise NothingToApprove(f"another run asks for {event['key']}")
    if record.decision is not None:
        raise AlreadyDecided(str(record.decision))
    governance = governance_store.current(client("s3"), dynamodb)
    withheld = approvals.waiting(governance).get(event["key"])
    if withheld is None:
        raise NothingToApprove(f"no subscription waits for {event['key']} any more")
    tell(governance, withheld)
    if not approval_store.note_asked(dynamodb, withheld.key, record, event["token"], WAITS):
        raise AlreadyDecided(f"{event['key']} was decided while people were told")
    metrics.add_metric("ApprovalsAsked", MetricUnit.Count, 1)
    logger.info("approval asked", extra={"approval": withheld.key, "subscription": approvals.subject_of(withheld)})


def tell(governance: Governance, withheld: Withheld) -> None:
    """Tells the topic who asks for what, and what it would open."""
    subscription = withheld.subscription
    (consumer,) = (each for each in governance.consumers if each.name == withheld.consumer)
    tables = published.read(client("s3"), governance, [replace(consumer, subscriptions=(subscription,))])
    opens = expressions.readable(tables, [subscription])
    subject, text = approvals.letter(withheld, opens, governance.digest, own_account())
    client("sns").publish(TopicArn=os.environ["APPROVALS_TOPIC_ARN"], Subject=subject, Message=text)
