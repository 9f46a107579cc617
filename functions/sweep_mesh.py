"""Looks at every data product and consumer, and starts its machine where there is something to do.

Events are hints that may be lost: whatever they would have started is found here.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh.aws import glue, governance_store, runs, stepfunctions, units
from tagmesh.aws.session import client
from tagmesh.governance import DataProduct, Governance

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{version, changed}` in; how many runs were started, by kind, out."""
    logger.set_correlation_id(f"sweep-{context.aws_request_id}")
    dynamodb = client("dynamodb")
    try:
        governance = governance_store.current(client("s3"), dynamodb)
    except governance_store.NoGovernance as nothing:
        logger.warning("nothing to sweep", extra={"reason": str(nothing)})
        return {"crawls": 0, "publishes": 0, "shares": 0, "reason": str(nothing)}
    known = units.read_all(dynamodb)
    started = {"crawls": 0, "publishes": 0, "shares": 0}
    for product in governance.data_products:
        unit = known.get(product.unit, units.Unit(product.unit))
        kind = sweep_data_product(dynamodb, governance, product, unit)
        if kind:
            started[kind] += 1
    for consumer in governance.consumers:
        unit = known.get(consumer.unit, units.Unit(consumer.unit))
        if sweep_consumer(dynamodb, governance, unit):
            started["shares"] += 1
    for name, unit in known.items():
        left = name.startswith("consumer/") and governance.consumer(name) is None
        if left and sweep_consumer(dynamodb, governance, unit):
            started["shares"] += 1
    metrics.add_metric("Sweeps", MetricUnit.Count, 1)
    logger.info("mesh swept", extra={"version": governance.digest, **started})
    return started


def sweep_data_product(dynamodb: Any, governance: Governance, product: DataProduct, unit: units.Unit) -> str | None:
    """Starts what the data product needs: crawls, publishes or None."""
    sfn = client("stepfunctions")
    if unit.phase in ("crawling", "waiting"):
        crawler = glue.crawler(client("glue"), product.crawler)
        if crawler is None or crawler.state != "READY":
            return None
        if unit.phase == "waiting" or crawler.started >= int(unit.crawled_at):
            # Its completion event was lost, or is just arriving: whoever comes second finds it taken over.
            name = stepfunctions.execution_name(product.unit, unit.token)
            runs.resume_publish(sfn, product, name)
            return "publishes"
        if unit.live:
            return None
    if unit.live:
        return None
    correlation_id = unit.correlation_id or str(uuid.uuid4())
    if not unit.dirty:
        unit = units.request(dynamodb, product.unit, correlation_id)  # data may have come before we listened
    if runs.crawl_is_due(product, unit):
        return "crawls" if runs.start_crawl(dynamodb, sfn, product, correlation_id) else None
    if unit.version != governance.digest and unit.crawled_at:
        return "publishes" if runs.start_publish(dynamodb, sfn, product, correlation_id) else None
    return None


def sweep_consumer(dynamodb: Any, governance: Governance, unit: units.Unit) -> bool:
    """Starts the consumer's share where it is unfinished or behind the governance; whether it did."""
    if unit.live or (unit.dirty <= unit.done and unit.version == governance.digest):
        return False
    correlation_id = unit.correlation_id or str(uuid.uuid4())
    if unit.dirty <= unit.done:
        units.request(dynamodb, unit.name, correlation_id)
    return runs.start_share(dynamodb, client("stepfunctions"), unit.name, correlation_id)
