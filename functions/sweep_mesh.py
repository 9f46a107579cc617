"""Looks at every data product and consumer, and starts its machine where there is something to do.

Events are hints that may be lost: whatever they would have started is found here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh.aws import evidence_store, glue, governance_store, lakeformation, runs, s3, units
from tagmesh.aws.decisions import decide
from tagmesh.aws.session import client
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import DataProduct, Governance
from tagmesh.plan import plan_tags

logger = Logger()
metrics = Metrics()

STRICTER = "stricter-by-hand"  # a finding of drift.py that stays as long as the tag does
CRAWL_STARTS_WITHIN = 900  # seconds: longer than the crawl machine may take from its note to StartCrawler


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
    started = {"crawls": 0, "publishes": 0, "shares": 0, "drifted": 0}
    settled: list[DataProduct] = []
    for product in governance.data_products:
        unit = known.get(product.unit, units.Unit(product.unit))
        kind = sweep_data_product(dynamodb, governance, product, unit)
        if kind:
            started[kind] += 1
        elif unit.version == governance.digest and not unit.live:
            settled.append(product)
    for product in drifted(dynamodb, governance, settled, known):
        started["drifted"] += runs.start_publish(dynamodb, client("stepfunctions"), product.unit, str(uuid.uuid4()))
    for consumer in governance.consumers:
        unit = known.get(consumer.unit, units.Unit(consumer.unit))
        if sweep_consumer(dynamodb, governance, unit):
            started["shares"] += 1
    for name, unit in known.items():
        if name.startswith("consumer/") and governance.consumer(name) is None:
            started["shares"] += sweep_consumer(dynamodb, governance, unit)
        if name.startswith("data_product/") and governance.data_product(name) is None:
            started["publishes"] += sweep_left_data_product(dynamodb, governance, unit)
    metrics.add_metric("Sweeps", MetricUnit.Count, 1)
    logger.info("mesh swept", extra={"version": governance.digest, **started})
    return started


def sweep_data_product(dynamodb: Any, governance: Governance, product: DataProduct, unit: units.Unit) -> str | None:
    """Starts what the data product needs: "crawls", "publishes" or None."""
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
        lost = units.take_over(dynamodb, product.unit, [unit.phase], "idle")
        if lost is None:
            return None
        units.release(dynamodb, units.Lease(product.unit, lost.token))
        unit = units.read(dynamodb, product.unit)
    if unit.live:
        return None
    correlation_id = unit.correlation_id or str(uuid.uuid4())
    decides_otherwise = unit.version != governance.digest or "" < unit.recheck <= today()
    if unit.crawled_at and decides_otherwise:  # what a new version, or an expiry, closes does not wait for a crawl
        return "publishes" if runs.start_publish(dynamodb, sfn, product.unit, correlation_id) else None
    if unit.dirty <= unit.done and has_new_folder(product, unit):
        unit = units.request(dynamodb, product.unit, correlation_id, hurry=True)
    if runs.crawl_is_due(product, unit) and runs.start_crawl(dynamodb, sfn, product, correlation_id):
        return "crawls"
    return None


def drifted(
    dynamodb: Any, governance: Governance, products: list[DataProduct], known: Mapping[str, units.Unit]
) -> list[DataProduct]:
    """The data products whose tables do not carry the tags that are decided for them: somebody assigned or removed
    some, or dropped a table and made it again.

    What SearchTablesByLFTags answers, 100 tables a call, may be some seconds old: where it differs, the table is asked
    itself before anything is started."""
    if not products:
        return []
    lf, catalogue = client("lakeformation"), client("glue")
    tagged: dict[str, dict[str, AssignedTags]] = {}
    # Every table of ours carries every LF-Tag, so any one finds them all.
    key = min(governance.lf_tags, key=lambda key: len(key.values))
    for database, table, tags in lakeformation.search_tables(lf, ((key.name, key.values),)):
        tagged.setdefault(database, {})[table] = tags
    found = []
    for product in products:
        try:
            tables = list(glue.tables(catalogue, product.database))
        except catalogue.exceptions.EntityNotFoundException:  # somebody removed it: the next crawl makes it again
            continue
        unit = known.get(product.unit, units.Unit(product.unit))
        if tables and differs(dynamodb, governance, product, unit, tables, tagged.get(product.database, {})):
            asked = {table.name: lakeformation.tags_of(lf, table) for table in tables}
            if differs(dynamodb, governance, product, unit, tables, asked):
                logger.warning("drift", extra={"unit": product.unit})
                found.append(product)
    metrics.add_metric("DriftedDataProducts", MetricUnit.Count, len(found))
    return found


def differs(
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    unit: units.Unit,
    tables: list[Table],
    observed: Mapping[str, AssignedTags],
) -> bool:
    """Whether there is something to assign to the tables, with these tags observed, or a stricter tag of a person is
    not reported yet, or no more there."""
    database = next((tags.database for tags in observed.values()), {})
    kept = evidence_store.read_kept(client("s3"), product) if product.sample_content else {}
    made = decide(client("s3"), dynamodb, governance, product, unit, tables, kept, database, observed)
    stricter = {finding.subject for each in made for finding in each.findings if finding.code == STRICTER}
    reported = {finding["subject"] for finding in unit.findings if finding["code"] == STRICTER}
    return stricter != reported or bool(plan_tags(governance, product, database, observed, made))


def today() -> str:
    """The day, in UTC, as overrides give theirs: 2027-03-31."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def has_new_folder(product: DataProduct, unit: units.Unit) -> bool:
    """Whether data has come that no event told of: before the rules were there, or while they were not heard.

    A bucket that cannot be read yet counts, once: the crawl's preparation says what is missing.
    """
    try:
        folders = s3.first_level_folders(client("s3"), product.bucket, product.prefix)
    except s3.BucketNotReadable:
        return unit.dirty == 0
    return not unit.folders.issuperset(folders.names)


def sweep_left_data_product(dynamodb: Any, governance: Governance, unit: units.Unit) -> bool:
    """Closes a data product that has left the governance files; whether there was something to close."""
    if unit.live or not unit.crawled_at or unit.version == governance.digest:
        return False
    return runs.start_publish(dynamodb, client("stepfunctions"), unit.name, unit.correlation_id)


def sweep_consumer(dynamodb: Any, governance: Governance, unit: units.Unit) -> bool:
    """Starts the consumer's share where it is unfinished, behind the governance, or has findings that somebody may
    have mended; whether it did."""
    settled = unit.dirty <= unit.done and unit.version == governance.digest
    if unit.live or (settled and not unit.findings):
        return False
    correlation_id = unit.correlation_id or str(uuid.uuid4())
    if unit.dirty <= unit.done:
        units.request(dynamodb, unit.name, correlation_id)
    return runs.start_share(dynamodb, client("stepfunctions"), unit.name, correlation_id)
