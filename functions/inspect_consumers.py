"""Looks into consuming accounts for links and regrants that others changed, and starts the shares that mend them.

Apart from sweep_mesh, since consuming accounts trust one role alone, which is no administrator of Lake Formation.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh.aws import drifts, governance_store, runs, units
from tagmesh.aws.session import client
from tagmesh.governance import Consumer, Governance

logger = Logger()
metrics = Metrics()

ACCOUNTS_A_SWEEP = 10  # that are looked into; where there are more, each in its turn
TURN = 900  # seconds


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """What sweep_mesh has started, by kind, `changed` and `everything` in; the same with what was started here out.

    `everything` looks into every account; else there is a bound to how many, and they take turns; and into none where a
    new version has come in force (`changed`): the next sweep does."""
    logger.set_correlation_id(f"sweep-{context.aws_request_id}")
    dynamodb = client("dynamodb")
    started = {name: event[name] for name in ("crawls", "publishes", "shares", "drifted")}
    try:
        governance = governance_store.current(client("s3"), dynamodb)
    except governance_store.NoGovernance as nothing:
        return {**started, "reason": str(nothing)}
    if event["changed"] and not event["everything"]:
        return started
    known = units.read_all(dynamodb)
    settled = [consumer for consumer in governance.consumers if is_settled(governance, consumer, known)]
    drifted = 0
    for consumer in settled if event["everything"] else whose_turn(settled, time.time()):
        if drifts.account_differs(dynamodb, governance, consumer, known):
            logger.warning("drift", extra={"unit": consumer.unit})
            units.doubt(dynamodb, consumer.unit)
            drifted += runs.start_share(dynamodb, client("stepfunctions"), consumer.unit, str(uuid.uuid4()))
    metrics.add_metric("DriftedUnits", MetricUnit.Count, drifted)
    return {**started, "shares": started["shares"] + drifted, "drifted": started["drifted"] + drifted}


def is_settled(governance: Governance, consumer: Consumer, known: Mapping[str, units.Unit]) -> bool:
    """Whether nothing else makes a run of the consumer."""
    unit = known.get(consumer.unit, units.Unit(consumer.unit))
    done = unit.dirty <= unit.done and unit.version == governance.version_of(consumer.unit)
    return done and not unit.live and not unit.findings and not unit.doubted


def whose_turn(consumers: list[Consumer], now: float) -> list[Consumer]:
    """Those whose accounts are looked into now: all of a few; of many a part, and within some turns each once."""
    parts = max(1, -(-len(consumers) // ACCOUNTS_A_SWEEP))
    part = int(now // TURN) % parts
    return [consumer for number, consumer in enumerate(consumers) if number % parts == part]
