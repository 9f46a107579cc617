"""Looks at every data product and consumer, and starts its machine where there is something to do.

Events are hints that may be lost: whatever they would have started is found here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import approvals, days, doors
from tagmesh.aws import approval_store, drifts, glue, governance_store, lf_tags, runs, s3, units
from tagmesh.aws.session import client
from tagmesh.governance import Consumer, DataProduct, Governance

logger = Logger()
metrics = Metrics()

CRAWL_STARTS_WITHIN = 900  # seconds: longer than the crawl machine may take from its note to StartCrawler


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{version, changed, everything}` in; how many runs were started, by kind, `changed` and `everything` out.

    Where a new version has come in force (`changed`), what it says otherwise is started and no more: whether others
    changed something the next sweep looks."""
    logger.set_correlation_id(f"sweep-{context.aws_request_id}")
    dynamodb = client("dynamodb")
    asked = {"changed": event.get("changed", False), "everything": event.get("everything", False)}
    looks = asked["everything"] or not asked["changed"]
    started = {"crawls": 0, "publishes": 0, "shares": 0, "drifted": 0}
    try:
        governance = governance_store.current(client("s3"), dynamodb)
    except governance_store.NoGovernance as nothing:
        logger.warning("nothing to sweep", extra={"reason": str(nothing)})
        return {**started, **asked, "reason": str(nothing)}
    governance = sweep_approvals(dynamodb, governance)
    if looks:
        lf_tags.ensure_still(dynamodb, client("lakeformation"), governance)
    known = units.read_all(dynamodb)
    if looks:
        note_doors(dynamodb, governance, known)
    resting: list[tuple[DataProduct, units.Unit]] = []
    for product in governance.data_products:
        unit = known.get(product.unit, units.Unit(product.unit))
        kind = sweep_data_product(dynamodb, governance, product, unit, looks)
        if kind:
            started[kind] += 1
        elif looks and not unit.live and unit.version == governance.version_of(product.unit):
            resting.append((product, unit))  # others have never been crawled, or their crawls fail
    catalogue = drifts.observe(governance, resting)
    for product, unit in resting:
        kind = sweep_settled(dynamodb, governance, product, unit, catalogue)
        if kind:
            started[kind] += 1
            started["drifted"] += 1
    settled: list[Consumer] = []
    for consumer in governance.consumers:
        unit = known.get(consumer.unit, units.Unit(consumer.unit))
        if sweep_consumer(dynamodb, governance, unit):
            started["shares"] += 1
        elif looks and not unit.live and is_done(governance, unit):
            settled.append(consumer)  # of others a run that another sweep has started is on its way
    for consumer in drifts.grants_differ(dynamodb, governance, settled):
        logger.warning("drift", extra={"unit": consumer.unit})
        units.doubt(dynamodb, consumer.unit)
        begun = runs.start_share(dynamodb, client("stepfunctions"), consumer.unit, str(uuid.uuid4()))
        started["shares"] += begun
        started["drifted"] += begun
    left: list[str] = []
    for name, unit in known.items():
        if name.startswith("consumer/") and governance.consumer(name) is None:
            if sweep_consumer(dynamodb, governance, unit):
                started["shares"] += 1
            elif looks and not unit.live:
                left.append(name)
        if name.startswith("data_product/") and governance.data_product(name) is None:
            started["publishes"] += sweep_left_data_product(dynamodb, governance, unit)
    for name in drifts.left_behind(dynamodb, governance, left):
        units.doubt(dynamodb, name)
        started["shares"] += runs.start_share(dynamodb, client("stepfunctions"), name, str(uuid.uuid4()))
    metrics.add_metric("OldestWorkSeconds", MetricUnit.Seconds, oldest_work(governance, known, time.time()))
    metrics.add_metric("Sweeps", MetricUnit.Count, 1)
    metrics.add_metric("DriftedUnits", MetricUnit.Count, started["drifted"])
    logger.info("mesh swept", extra={"version": governance.digest, **started})
    return {**started, **asked}


def sweep_approvals(dynamodb: Any, governance: Governance) -> Governance:
    """Puts in force what was decided, and has people asked for what nobody has decided; the governance in force."""
    if not approvals.required(governance):
        return governance
    records = approval_store.read_all(dynamodb)
    if approval_store.restore(dynamodb, governance, records):
        governance = governance_store.current(client("s3"), dynamodb)
    sfn = client("stepfunctions")
    for withheld in approvals.to_ask(governance, records, time.time()):
        record = records.get(withheld.key)
        runs.start_approve(dynamodb, sfn, withheld, record, governance.digest, str(uuid.uuid4()))
    metrics.add_metric("ApprovalsWaiting", MetricUnit.Count, len(approvals.waiting(governance)))
    return governance


def oldest_work(governance: Governance, known: Mapping[str, units.Unit], now: float) -> float:
    """For how many seconds the oldest work has been due, of what is not done yet; 0 where nothing is due. The time for
    which a data product waits since it was crawled a short while ago does not count."""
    waited = [0.0]
    for name, unit in known.items():
        product = governance.data_product(name)
        if unit.dirty > unit.done and unit.asked_at and (product or governance.consumer(name)):
            waited.append(now - max(unit.asked_at, runs.due_at(product, unit) if product else 0.0))
    return max(waited)


def sweep_settled(
    dynamodb: Any, governance: Governance, product: DataProduct, unit: units.Unit, catalogue: drifts.Catalogue
) -> str | None:
    """Starts what others' changes to a data product at rest need: "crawls", "publishes" or None."""
    sfn = client("stepfunctions")
    if product.unit in catalogue.gone:
        logger.warning("tables gone", extra={"unit": product.unit})
        asked = units.request(dynamodb, product.unit, str(uuid.uuid4()), hurry=True)
        return "crawls" if runs.start_crawl(dynamodb, sfn, product, asked.correlation_id) else None
    moved = catalogue.moved.get(product.database, {})
    if drifts.tags_differ(dynamodb, governance, product, unit, moved):
        logger.warning("drift", extra={"unit": product.unit})
        return "publishes" if runs.start_publish(dynamodb, sfn, product.unit, str(uuid.uuid4())) else None
    return None


def sweep_data_product(
    dynamodb: Any, governance: Governance, product: DataProduct, unit: units.Unit, looks: bool
) -> str | None:
    """Starts what the data product needs: "crawls", "publishes" or None; `looks` also into its bucket, as it does into
    that of one that was never crawled."""
    sfn = client("stepfunctions")
    if unit.phase in ("crawling", "waiting"):
        crawler = glue.crawler(client("glue"), product.crawler)
        if crawler and crawler.state != "READY":
            return None
        if crawler and (unit.phase == "waiting" or crawler.started >= int(unit.crawled_at)):
            runs.resume_publish(sfn, product)  # its completion event was lost, or is just arriving
            return "publishes"
        if time.time() < unit.crawled_at + CRAWL_STARTS_WITHIN:
            return None
        # The crawl never started, or its crawler is gone.
        if not end_crawl(dynamodb, unit):
            return None
        unit = units.read(dynamodb, product.unit)
    if unit.live:
        return None
    correlation_id = unit.correlation_id or str(uuid.uuid4())
    behind = unit.version != governance.version_of(product.unit) or "" < unit.recheck <= days.today()
    # What a new version, an expiry or a door closes does not wait for a crawl.
    if unit.crawled_at and (behind or closes_otherwise(unit)):
        return "publishes" if runs.start_publish(dynamodb, sfn, product.unit, correlation_id) else None
    if (looks or not unit.crawled_at) and unit.dirty <= unit.done and has_news(product, unit):
        unit = units.request(dynamodb, product.unit, correlation_id, hurry=True)
    if runs.crawl_is_due(product, unit) and runs.start_crawl(dynamodb, sfn, product, correlation_id):
        return "crawls"
    return None


def note_doors(dynamodb: Any, governance: Governance, known: dict[str, units.Unit]) -> None:
    """Notes at data products what gives access to them past their tags, where that has changed."""
    found = drifts.doors_of(governance)
    for product in governance.data_products:
        unit, there = known.get(product.unit), [asdict(finding) for finding in found.get(product.unit, ())]
        if unit is not None and list(unit.doors) != there:
            logger.warning("doors", extra={"unit": product.unit, "doors": len(there)})
            known[product.unit] = units.note_doors(dynamodb, product.unit, there)


def closes_otherwise(unit: units.Unit) -> bool:
    """Whether a data product was last published with other doors than there are."""
    return list(unit.doors) != doors.told(unit.findings)


def end_crawl(dynamodb: Any, unit: units.Unit) -> bool:
    """Frees a unit of the run that waits for a crawl; whether it did."""
    lost = units.take_over(dynamodb, unit.name, [unit.phase], "idle")
    if lost is not None:
        units.release(dynamodb, units.Lease(unit.name, lost.token))
    return lost is not None


def has_news(product: DataProduct, unit: units.Unit) -> bool:
    """Whether data came or went that no event told of: lost, or from before the rules were there.

    A bucket that cannot be read yet counts, once: the crawl's preparation says what is missing. In one with more
    objects than are listed here, only a new folder is seen.
    """
    try:
        listed = s3.look(client("s3"), product.bucket, product.prefix)
    except s3.BucketNotReadable:
        return unit.dirty == 0
    if not unit.folders.issuperset(listed.folders):
        return True
    return bool(unit.objects and listed.objects and listed.objects != unit.objects)


def sweep_left_data_product(dynamodb: Any, governance: Governance, unit: units.Unit) -> bool:
    """Closes a data product that has left the governance files, or drops it where they say so; whether there was
    something to do. What had to stay somebody may have mended."""
    if not unit.token or (unit.version == governance.version_of(unit.name) and not unit.findings):
        return False
    waits = unit.phase in ("crawling", "waiting")  # nobody takes its crawl's end any more
    if (waits and not end_crawl(dynamodb, unit)) or (unit.live and not waits):
        return False
    return runs.start_publish(dynamodb, client("stepfunctions"), unit.name, unit.correlation_id or str(uuid.uuid4()))


def is_done(governance: Governance, unit: units.Unit) -> bool:
    """Whether a consumer's last run did all that was asked for, under the version in force."""
    return unit.dirty <= unit.done and unit.version == governance.version_of(unit.name)


def sweep_consumer(dynamodb: Any, governance: Governance, unit: units.Unit) -> bool:
    """Starts the consumer's share where it is unfinished, behind the governance, or has findings that somebody may
    have mended; whether it did."""
    settled = is_done(governance, unit) and not unit.doubted
    if unit.live or (settled and not unit.findings):
        return False
    correlation_id = unit.correlation_id or str(uuid.uuid4())
    if unit.dirty <= unit.done:
        units.request(dynamodb, unit.name, correlation_id)
    return runs.start_share(dynamodb, client("stepfunctions"), unit.name, correlation_id)
