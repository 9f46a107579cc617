"""Makes ready what a crawl of one data product needs, closed before the first table exists."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import doors, plan
from tagmesh.aws import events, glue, governance_store, lakeformation, lf_tags, removal, runs, s3, units
from tagmesh.aws.session import client
from tagmesh.catalog import Finding
from tagmesh.governance import DataProduct, Governance

logger = Logger()
metrics = Metrics()

#: What assigning LF-Tags to tables that a crawler made takes, with the grant option.
#: [Lake Formation developer guide, Assigning LF-Tags to Data Catalog resources]
TAGGING = ("ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT")

READY_FOR = 86400  # seconds for which a location and grants that others may have changed are taken for granted


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{unit, token, correlation_id}` in; `{crawl, crawler, unit, token, correlation_id}` out."""
    logger.set_correlation_id(event["correlation_id"])
    lease = units.Lease(event["unit"], event["token"])
    dynamodb = client("dynamodb")
    try:
        noted = units.note(dynamodb, lease, "preparing")
        with units.freed_on_failure(dynamodb, lease):
            return {**event, **prepare(dynamodb, lease, noted)}
    except units.LeaseLost as lost:
        logger.info("superseded", extra={"reason": str(lost)})
        return {**event, "crawl": False, "reason": str(lost)}


def prepare(dynamodb: Any, lease: units.Lease, noted: units.Unit) -> dict[str, Any]:
    """The crawl's crawler, ready to start; or why there is none to start."""
    governance = governance_store.current(client("s3"), dynamodb)
    product = governance.data_product(lease.unit)
    if product is None:
        units.finish(dynamodb, lease, covered=True, findings=[])
        return {"crawl": False, "reason": f"{lease.unit} has left the governance files"}
    try:
        listed = s3.look(client("s3"), product.bucket, product.prefix)
    except s3.BucketNotReadable as error:
        finding = Finding(
            "bucket-not-readable",
            product.unit,
            f"{product.location} of account {product.account} cannot be listed ({error})",
            f"deploy accounts/producer.yaml in {product.account} with BucketName={product.bucket}, or give an existing "
            "bucket the policy that docs/existing-buckets.md prints",
        )
        return give_up(dynamodb, lease, product, noted, [finding])
    findings = []
    if listed.files_at_root:
        findings.append(
            Finding(
                "files-beside-folders",
                product.unit,
                f"{listed.files_at_root} files lie directly in {product.location} and belong to no table",
                "move them into a folder: each folder is a table",
            )
        )
    if not listed.folders:
        given_up = give_up(dynamodb, lease, product, noted, findings, empty=listed.objects)
        if noted.tables:  # tables that somebody dropped no crawl makes again: consumers are to know
            runs.start_publish(dynamodb, client("stepfunctions"), product.unit, noted.correlation_id)
        return given_up
    try:
        ready_at = make_ready(dynamodb, lease, governance, product, noted, listed.folders)
    except glue.DatabaseOpen as error:
        finding = Finding(
            "database-open",
            product.unit,
            str(error),
            "revoke what IAMAllowedPrincipals has on it and set its CreateTableDefaultPermissions to [], or rename the "
            "data product: tables of an open database are readable before they are classified",
        )
        return give_up(dynamodb, lease, product, noted, [finding])
    except client("glue").exceptions.CrawlerRunningException:
        # Another crawl, with the older targets, is in the way: any completion, or the sweep, goes round.
        units.advance(dynamodb, lease, "waiting", units.CRAWL_SECONDS)
        return {"crawl": False, "reason": f"{product.crawler} is running: waits for its end"}
    told = [asdict(finding) for finding in findings] + doors.told(noted.findings)
    units.crawling(dynamodb, lease, listed.folders, listed.objects, told, ready_at)
    logger.info("crawl prepared", extra={"unit": product.unit, "folders": list(listed.folders), "covers": noted.noted})
    return {"crawl": True, "crawler": product.crawler}


def give_up(
    dynamodb: Any,
    lease: units.Lease,
    product: DataProduct,
    noted: units.Unit,
    findings: list[Finding],
    empty: str | None = None,
) -> dict[str, Any]:
    """Ends the run without a crawl; what people must mend stands at the data product.

    Args:
        empty: there is no folder; what was listed (`s3.Listed.objects`).
    """
    told = [asdict(finding) for finding in findings] + doors.told(noted.findings)
    if empty is not None:  # without data no table is missed
        units.finish(dynamodb, lease, covered=True, findings=told, tables=(), objects=empty)
    else:
        freed = units.finish(dynamodb, lease, covered=False, findings=told)
        metrics.add_metric("DataProductsFailed", MetricUnit.Count, 1)
        events.data_product_failed(client("events"), product.unit, told, freed.correlation_id)
    reason = "; ".join(finding.message for finding in findings) or f"{product.location} holds no folder yet"
    logger.info("nothing to crawl", extra={"unit": product.unit, "reason": reason})
    return {"crawl": False, "reason": reason}


def make_ready(
    dynamodb: Any,
    lease: units.Lease,
    governance: Governance,
    product: DataProduct,
    noted: units.Unit,
    folders: tuple[str, ...],
) -> float:
    """LF-Tags, location, database with its closed tags, the crawler and its grants: each made where it is missing; and
    when the location and the grants were made sure of (seconds since 1970).

    These last are looked after once a day, and after anything that went wrong. The database is looked at each time: if
    it were open, so would be what the crawl makes.
    """
    lf, crawler_role = client("lakeformation"), os.environ["CRAWLER_ROLE_ARN"]
    lf_tags.ensure_noted(dynamodb, lf, governance)
    went_well = noted.whole == lease.token - 1 and noted.version == governance.version_of(product.unit)
    known = went_well and time.time() < noted.ready_at + READY_FOR
    if not known:
        removal.note_made(dynamodb, product, governance.digest)
        lakeformation.ensure_location(lf, product, os.environ["REGISTRATION_ROLE_ARN"])
    new = glue.ensure_database(client("glue"), product)
    known = known and not new  # what was granted on a database goes with it
    observed = {} if new else lakeformation.tags_of_database(lf, product.database)
    for action in plan.plan_database_tags(governance, product, observed):
        lakeformation.tag_database(lf, action.database, action.tags)
    if not known:
        everything = {"Table": {"DatabaseName": product.database, "TableWildcard": {}}}
        location = {"DataLocation": {"ResourceArn": lakeformation.location_arn(product)}}
        database = {"Database": {"Name": product.database}}
        wanted = (
            (crawler_role, location, ("DATA_LOCATION_ACCESS",), ()),
            (crawler_role, database, ("CREATE_TABLE", "DESCRIBE"), ()),
            (os.environ["AUTOMATION_ROLE_ARN"], everything, TAGGING, TAGGING),
        )
        lakeformation.grant(lf, map(entry, wanted))
    glue.ensure_crawler(client("glue"), product, folders, crawler_role, new=not noted.crawled_at)
    return noted.ready_at if known else time.time()


def entry(wanted: tuple[str, Mapping[str, Any], Iterable[str], Iterable[str]]) -> dict[str, Any]:
    """An entry of BatchGrantPermissions from (principal, resource, permissions, grantable ones)."""
    principal, resource, names, grantable = wanted
    return {
        "Principal": {"DataLakePrincipalIdentifier": principal},
        "Resource": resource,
        "Permissions": list(names),
        "PermissionsWithGrantOption": list(grantable),
    }
