"""Carries out the planned LF-Tag assignments, and asks for the shares that they change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import access
from tagmesh.aws import glue, governance_store, lakeformation, ledger, plans, runs, units
from tagmesh.aws.session import client
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import DataProduct, Governance

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{unit, token, correlation_id, plan}` in; `{unit, calls, shares}` out."""
    logger.set_correlation_id(event["correlation_id"])
    dynamodb = client("dynamodb")
    lease = units.Lease(event["unit"], event["token"])
    try:
        units.advance(dynamodb, lease, "publishing")
        with units.freed_on_failure(dynamodb, lease):
            return publish(dynamodb, lease, plans.read(client("s3"), event["plan"]), event["correlation_id"])
    except units.LeaseLost as lost:
        logger.info("superseded", extra={"reason": str(lost)})
        return {"unit": lease.unit, "calls": 0, "shares": [], "reason": str(lost)}


def publish(dynamodb: Any, lease: units.Lease, planned: Mapping[str, Any], correlation_id: str) -> dict[str, Any]:
    """Applies the plan, records why, frees the data product, and sets going what follows from it."""
    governance = governance_store.current(client("s3"), dynamodb)
    product = governance.data_product(lease.unit)
    if governance.digest != planned["version"] or product is None:
        # Nothing is loosened by an old version: the sweep that the new one started classifies again.
        units.finish(dynamodb, lease, covered=False, findings=planned["findings"])
        return {"unit": lease.unit, "calls": 0, "shares": [], "reason": "the governance changed meanwhile"}
    record(dynamodb, lease, planned)
    apply(dynamodb, lease, planned)
    unit = units.finish(
        dynamodb, lease, covered=planned["covered"], findings=planned["findings"], version=governance.digest
    )
    metrics.add_metric("TagCalls", MetricUnit.Count, len(planned["actions"]))
    shares = ask_for_shares(dynamodb, governance, product, planned, correlation_id)
    logger.info("tags applied", extra={"unit": lease.unit, "calls": len(planned["actions"]), "shares": shares})
    if runs.crawl_is_due(product, unit):
        runs.start_crawl(dynamodb, client("stepfunctions"), product, unit.correlation_id)
    return {"unit": lease.unit, "calls": len(planned["actions"]), "shares": shares}


def apply(dynamodb: Any, lease: units.Lease, planned: Mapping[str, Any]) -> None:
    """The planned calls, in order. Before each one that loosens, the lease and the governance version are checked.

    Raises:
        LeaseLost: another run holds the data product, or another version is in force.
    """
    lf = client("lakeformation")
    for action in planned["actions"]:
        if action["loosens"]:
            units.holds(dynamodb, lease)
            if governance_store.version_in_force(dynamodb) != planned["version"]:
                raise units.LeaseLost(f"{lease.unit}: another governance version is in force")
        if action["table"] is None:
            lakeformation.tag_database(lf, action["database"], action["tags"])
        else:
            lakeformation.tag_columns(lf, action["database"], action["table"], action["columns"], action["tags"])


def record(dynamodb: Any, lease: units.Lease, planned: Mapping[str, Any]) -> None:
    """Keeps, for each table, what was decided and why, where it differs from what the ledger has."""
    known = ledger.made_by(dynamodb, lease.unit)
    for decided in planned["decisions"]:
        made = f"tags/{decided['database']}/{decided['table']}"
        digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
        if known.get(made, {}).get("detail", {}).get("digest") == digest:
            continue
        key = plans.write(client("s3"), f"decisions/{decided['database']}/{decided['table']}/{digest}.json", decided)
        ledger.record(
            dynamodb,
            lease.unit,
            made,
            "tags",
            {"digest": digest, "decisions": key},
            "classification",
            planned["version"],
        )


def ask_for_shares(
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    planned: Mapping[str, Any],
    correlation_id: str,
) -> list[str]:
    """Asks for the share of each consumer that can now read something else of this data product; their names."""
    decided = []
    for table in planned["decisions"]:
        tags = {column: {key: made["value"] for key, made in keys.items()} for column, keys in table["columns"].items()}
        decided.append((table, AssignedTags(access.database_tags(governance, product), {}, tags)))
    tables = {table.name: table for table in glue.tables(client("glue"), product.database)} if decided else {}
    carried: list[tuple[Table, AssignedTags]] = [
        (tables[table["table"]], tags) for table, tags in decided if table["table"] in tables
    ]
    asked = []
    for consumer in governance.consumers:
        readable = access.readable(carried, consumer.subscriptions).get(product.database, {})
        unit = units.read(dynamodb, consumer.unit)
        if unit.published.get(product.unit, access.fingerprint({})) != access.fingerprint(readable):
            runs.request_share(dynamodb, client("stepfunctions"), consumer, correlation_id)
            asked.append(consumer.name)
    return asked
