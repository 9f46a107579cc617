"""Decides the LF-Tags of every column of one data product by the rules, and plans how to get there."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import days, doors, evidence, expressions, plan, rules
from tagmesh.aws import (
    decisions,
    drifts,
    events,
    evidence_store,
    glue,
    governance_store,
    lakeformation,
    plans,
    removal,
    runs,
    units,
)
from tagmesh.aws.session import client
from tagmesh.catalog import AssignedTags, Finding, Table
from tagmesh.governance import DataProduct, Governance
from tagmesh.resolution import TableDecision

logger = Logger()
metrics = Metrics()

#: Findings of prepare_crawl that a classification leaves standing.
FROM_PREPARATION = {"files-beside-folders"}


class CrawlerStopping(Exception):
    """The crawl is over and the crawler not yet ready: the machine tries again in some seconds."""


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """A crawler's `{crawler, state}`, or the sweep's `{unit, token}` in; `{publish, unit, token, plan}` out.

    The crawler's name says which data product it is about, and what the catalogue holds says the rest: the event's
    state is not believed. Where the content is to be sampled first, `{sample, unit, token, request}` comes out, and
    `{unit, token, request, sampled}` back in; without `sampled` where that failed.
    """
    dynamodb = client("dynamodb")
    governance = governance_store.current(client("s3"), dynamodb)
    try:
        taken = take(dynamodb, governance, event)
        if taken is None:
            return {"publish": False, "reason": "not a crawler of ours, or another run took it over"}
        product, lease, unit, after_crawl = taken
        logger.set_correlation_id(unit.correlation_id)
        crawler = glue.crawler(client("glue"), product.crawler) if after_crawl else None
        if crawler and crawler.state != "READY":
            return wait(dynamodb, product, lease, crawler, after_crawl)
        with units.freed_on_failure(dynamodb, lease):
            crawler = crawler if after_crawl == "crawling" else None
            return classify(dynamodb, governance, product, lease, unit, crawler, event)
    except units.LeaseLost as lost:
        logger.info("superseded", extra={"reason": str(lost)})
        return {"publish": False, "reason": str(lost)}
    except governance_store.GovernanceChanged as changed:
        return {"publish": False, "reason": str(changed)}


def take(
    dynamodb: Any, governance: Governance, event: Mapping[str, Any]
) -> tuple[DataProduct, units.Lease, units.Unit, str] | None:
    """The data product, our lease on it, its unit, and what phase the run before was at ("" for the sweep's)."""
    if "unit" in event:
        lease = units.Lease(event["unit"], event["token"])
        unit = units.advance(dynamodb, lease, "publishing")
        product = governance.data_product(event["unit"])
        if product is None:
            with units.freed_on_failure(dynamodb, lease):
                removal.take_back(dynamodb, governance, lease, unit)
            return None
        return product, lease, unit, ""
    product = governance.data_product_of_crawler(event["crawler"])
    if product is None:
        return None
    for phase in ("crawling", "waiting"):
        unit = units.take_over(dynamodb, product.unit, [phase], "publishing")
        if unit is not None:
            return product, units.Lease(product.unit, unit.token), unit, phase
    return None


def wait(dynamodb: Any, product: DataProduct, lease: units.Lease, crawler: glue.Crawler, phase: str) -> dict[str, Any]:
    """Gives the data product back to its crawl: this was the completion of an older one, or Glue is still tidying up.

    Raises:
        CrawlerStopping: in some seconds it will be ready.
    """
    units.advance(dynamodb, lease, phase, units.CRAWL_SECONDS)
    if crawler.state == "STOPPING":
        raise CrawlerStopping(f"{product.crawler} is about to be ready")
    return {"publish": False, "reason": f"{product.crawler} is running"}


def classify(
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    lease: units.Lease,
    unit: units.Unit,
    crawler: glue.Crawler | None,
    event: Mapping[str, Any],
) -> dict[str, Any]:
    """Plans the tags and hands the plan to apply_tags; or asks for a sample of the content first; or ends the run where
    the crawl failed.

    Args:
        crawler: the data product's crawler, where this run started its crawl.
        event: with `request`, if this run has asked for a sample.
    """
    s3 = client("s3")
    asked = plans.read(s3, event["request"]) if "request" in event else None
    # Glue's clock may cut fractions of a second.
    ours = crawler is not None and crawler.started >= math.floor(unit.crawled_at)
    if ours and crawler.status != "SUCCEEDED":
        return crawl_failed(dynamodb, product, lease, unit, crawler)
    tables = list(glue.tables(client("glue"), product.database))
    kept = evidence_store.read_kept(s3, product) if product.sample_content and tables else {}
    if asked is None and (wanted := evidence.request(product, tables, kept, crawled=ours)):
        return ask_for_sample(dynamodb, lease, unit, {**wanted, "covered": ours})
    not_sampled: list[Finding] = []
    if asked:
        ours = asked["covered"]
        sampled = plans.read(s3, event["sampled"])["tables"] if event.get("sampled") else None
        kept, not_sampled = take_evidence(product, tables, kept, asked, sampled)
        unit = replace(unit, misfits=frozenset(evidence.misfits(asked, sampled, unit.misfits)))
    if tables and not unit.tagged:  # the first time; later the sweep looks
        there = [asdict(finding) for finding in drifts.doors_of(governance).get(product.unit, ())]
        if there != list(unit.doors):
            unit = replace(unit, doors=units.note_doors(dynamodb, product.unit, there).doors)
    ruled = decisions.by_rules(governance, product, unit, tables, kept)
    # What others have changed is looked for where nothing new made this run: by the sweep, that is.
    believed = ours and not unit.doubted and unit.version == governance.version_of(product.unit)
    carried = decisions.carried(dynamodb, product, unit, tables, ruled) if believed else set()
    database_tags, observed = observe(governance, product, tables, ruled, carried)
    decided = decisions.with_stricter(s3, dynamodb, governance, product, unit, ruled, database_tags, observed)
    actions = plan.plan_tags(governance, product, database_tags, observed, decided) if tables else []
    findings = [finding for finding in unit.findings if finding["code"] in FROM_PREPARATION]
    findings += [asdict(finding) for decision in decided for finding in decision.findings]
    findings += [asdict(finding) for finding in not_sampled]
    bare = without_table(product, unit, tables) if ours else sorted(unit.bare)
    findings += [asdict(no_table(product, folder)) for folder in bare]
    misfits = sorted(unit.misfits & {table.name for table in tables})
    findings += [asdict(other_header(product, name)) for name in misfits]
    findings += unit.doors
    unclassified = sum(
        any(decision.outcome == "default" for decision in keys.values())
        for table in decided
        for keys in table.columns.values()
    )
    metrics.add_metric("UnclassifiedColumns", MetricUnit.Count, unclassified)
    logger.info(
        "tables classified",
        extra={
            "unit": product.unit,
            "tables": len(tables),
            "columns": sum(len(table.all_columns) for table in tables),
            "unclassified": unclassified,
            "calls": len(actions),
        },
    )
    key = plans.write(
        s3,
        plans.key(product.unit, lease.token),
        {
            "version": governance.digest,
            "number": governance.number,
            "holds_until": governance.holds_until,
            "covered": ours,
            "bare": bare,
            "misfits": misfits,
            "actions": [asdict(action) for action in actions],
            "decisions": [decisions.explained(*each) for each in zip(tables, decided, strict=True)],
            "created": {table.name: table.created for table in tables},
            "findings": findings,
            "recheck": evidence.recheck(rules.recheck(governance, product), not_sampled, days.today()),
        },
    )
    return {
        "publish": True,
        "unit": product.unit,
        "token": lease.token,
        "correlation_id": unit.correlation_id,
        "plan": key,
        "tables": len(tables),
    }


def observe(
    governance: Governance,
    product: DataProduct,
    tables: list[Table],
    ruled: list[TableDecision],
    carried: Collection[str],
) -> tuple[dict[str, str], dict[str, AssignedTags]]:
    """key -> value of the database, and table -> its tags: of tables that carry what is decided what that is, of the
    others as Lake Formation says. Where the database has other tags than its own, all are asked for."""
    lf = client("lakeformation")
    observed = {table.name: lakeformation.tags_of(lf, table) for table in tables if table.name not in carried}
    own = expressions.database_tags(governance, product)
    database = next((tags.database for tags in observed.values()), own if carried else {})  # each answer has them
    if own.items() <= database.items():
        known = (decision for decision in ruled if decision.table in carried)
        return database, observed | {each.table: AssignedTags(database, {}, values_of(each)) for each in known}
    return database, observed | {t.name: lakeformation.tags_of(lf, t) for t in tables if t.name in carried}


def values_of(decision: TableDecision) -> dict[str, dict[str, str]]:
    """column -> key -> the value that is decided."""
    return {column: decision.tags(column) for column in decision.columns}


def ask_for_sample(dynamodb: Any, lease: units.Lease, unit: units.Unit, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Hands the data product to sample_content, with the lease taken anew for it."""
    key = plans.write(client("s3"), evidence_store.request_key(lease.unit, lease.token), wanted)
    units.advance(dynamodb, lease, "publishing")
    logger.info("sample asked for", extra={"unit": lease.unit, "tables": len(wanted["tables"])})
    return {
        "publish": False,
        "sample": True,
        "unit": lease.unit,
        "token": lease.token,
        "correlation_id": unit.correlation_id,
        "request": key,
    }


def take_evidence(
    product: DataProduct,
    tables: list[Table],
    kept: evidence.Evidence,
    asked: Mapping[str, Any],
    sampled: Mapping[str, Any] | None,
) -> tuple[evidence.Evidence, list[Finding]]:
    """The evidence in force after a sample, which is kept, and what people must mend where there was none.

    Args:
        sampled: table -> what sample_content says of it; None if it failed.
    """
    s3 = client("s3")
    in_force = evidence.keep(product, tables, kept, sampled or {}, days.today())
    if product.sample_content and tables and in_force != kept:
        evidence_store.keep(s3, product, in_force)
    not_sampled = evidence.findings(product, asked, sampled)
    metrics.add_metric("TablesNotSampled", MetricUnit.Count, len(not_sampled))
    return in_force, not_sampled


def without_table(product: DataProduct, unit: units.Unit, tables: list[Table]) -> list[str]:
    """The folders that the last crawl began with and that no table lies in."""
    return sorted(unit.folders - {glue.table_folder(product, table) for table in tables})


def no_table(product: DataProduct, folder: str) -> Finding:
    """A crawl found nothing in a folder that it knows; or somebody dropped the table at once."""
    return Finding(
        "folder-without-table",
        f"{product.unit}/{folder}",
        f"the crawl of {product.location}{folder}/ made no table: its files are empty or of an unknown form",
        "upload CSV, JSON, Parquet or Avro files there, or remove the folder",
    )


def other_header(product: DataProduct, table: str) -> Finding:
    """A CSV file whose header does not fit its table any more."""
    return Finding(
        "csv-header-misfit",
        f"{product.database}.{table}",
        "the first line of one of its files has other names, or in another order, than the table, and queries read by "
        "position: the table is closed, or values would stand under the names of others",
        "upload the file again with the columns of the others, new ones last, or remove it; or drop the table and "
        "remove the old files, so that the next crawl makes it anew",
    )


def crawl_failed(
    dynamodb: Any, product: DataProduct, lease: units.Lease, unit: units.Unit, crawler: glue.Crawler
) -> dict[str, Any]:
    """Ends the run with a finding; the sweep tries again, each time later."""
    # Glue may name objects, and so values of partition keys: no value of the data goes into findings.
    reason = re.sub(r"s3://\S+", "s3://...", crawler.error) or "Glue gave no reason"
    failures = unit.failures + 1
    again = runs.crawls_again_after(product, failures)
    finding = Finding(
        "crawl-failed",
        product.unit,
        f"{product.crawler} ended {crawler.status}, {failures} times in a row: {reason}",
        f"see /aws-glue/crawlers, stream {product.crawler}; it is tried again {again // 60:.0f} minutes after it "
        "began, or at once for a new folder",
    )
    # It closed or opened nothing: doors stand as they were last published, so that the sweep sees what is due.
    told = [asdict(finding), *doors.told(unit.findings)]
    freed = units.finish(dynamodb, lease, covered=False, findings=told, failures=failures)
    metrics.add_metric("DataProductsFailed", MetricUnit.Count, 1)
    events.data_product_failed(client("events"), product.unit, [asdict(finding)], freed.correlation_id)
    logger.error("crawl failed", extra={"unit": product.unit, "reason": finding.message})
    return {"publish": False, "reason": finding.message}
