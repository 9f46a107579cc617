"""Grants one consumer's account its subscriptions' tag expressions, in the central catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import access, plan
from tagmesh.aws import glue, governance_store, grants, lakeformation, plans, units
from tagmesh.aws.session import client, own_account
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import Consumer, Governance
from tagmesh.grants import diff

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{unit, token, correlation_id}` in; `{link, unit, token, correlation_id, plan}` out."""
    logger.set_correlation_id(event["correlation_id"])
    dynamodb = client("dynamodb")
    lease = units.Lease(event["unit"], event["token"])
    try:
        units.note(dynamodb, lease, "sharing")
        with units.freed_on_failure(dynamodb, lease):
            return {**event, **share(dynamodb, lease)}
    except units.LeaseLost as lost:
        logger.info("superseded", extra={"reason": str(lost)})
        return {**event, "link": False, "reason": str(lost)}


def share(dynamodb: Any, lease: units.Lease) -> dict[str, Any]:
    """Brings the account's grants to what the governance says, and hands over what there is to link."""
    governance = governance_store.current(client("s3"), dynamodb)
    consumer = governance.consumer(lease.unit)
    central = own_account()
    made = grants.made(dynamodb, lease.unit, place="central")
    if consumer is None:
        # Without the account's grants its principals' regrants open nothing.
        observed = grants.observed(client("lakeformation"), central, {grant.principal for grant in made})
        actions = diff([], observed, made)
        grants.carry_out(dynamodb, client("lakeformation"), lease, governance.digest, actions, place="central")
        units.finish(dynamodb, lease, covered=True, findings=[], version=governance.digest, published={})
        return {
            "link": False,
            "reason": f"{lease.unit} has left the governance files: {len(actions)} grants revoked",
        }
    lakeformation.ensure_lf_tags(client("lakeformation"), governance.lf_tags)
    observed = grants.observed(client("lakeformation"), central, {consumer.account})
    actions = plan.plan_account_grants(governance, consumer, central, observed, made)
    grants.carry_out(dynamodb, client("lakeformation"), lease, governance.digest, actions, place="central")
    metrics.add_metric("Grants", MetricUnit.Count, len(actions))
    readable = access.readable(published_tables(governance, consumer), consumer.subscriptions)
    fingerprints = {
        product.unit: access.fingerprint(readable[product.database])
        for product in governance.data_products
        if product.database in readable
    }
    logger.info("access granted", extra={"unit": lease.unit, "changes": len(actions), "databases": sorted(readable)})
    written = {"version": governance.digest, "databases": sorted(readable), "published": fingerprints}
    return {"link": True, "plan": plans.write(client("s3"), plans.key(lease.unit, lease.token), written)}


def published_tables(governance: Governance, consumer: Consumer) -> list[tuple[Table, AssignedTags]]:
    """Tables that the consumer's DATABASE grants reach, with the LF-Tags they carry now."""
    tagged: dict[tuple[str, str], AssignedTags] = {}
    for expression in {subscription.database_expression for subscription in consumer.subscriptions}:
        for database, table, tags in lakeformation.search_tables(client("lakeformation"), expression):
            if governance.data_product_of_database(database) is not None:
                tagged[database, table] = tags
    tables = [
        table for database in sorted({name for name, _ in tagged}) for table in glue.tables(client("glue"), database)
    ]
    return [(table, tagged[table.database, table.name]) for table in tables if (table.database, table.name) in tagged]
