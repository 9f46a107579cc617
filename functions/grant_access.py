"""Grants one consumer's account its subscriptions' tag expressions, in the central catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import access, plan
from tagmesh.aws import consumers, events, glue, governance_store, grants, lakeformation, ledger, plans, runs, units
from tagmesh.aws.session import client, own_account
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import Consumer, Governance
from tagmesh.grants import Revoke

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
        unit = units.note(dynamodb, lease, "sharing")
        with units.freed_on_failure(dynamodb, lease):
            return {**event, **share(dynamodb, lease, unit, event["correlation_id"])}
    except units.LeaseLost as lost:
        logger.info("superseded", extra={"reason": str(lost)})
        return {**event, "link": False, "reason": str(lost)}
    except governance_store.GovernanceChanged as changed:
        runs.start_share(dynamodb, client("stepfunctions"), lease.unit, event["correlation_id"])
        return {**event, "link": False, "reason": str(changed)}


def share(dynamodb: Any, lease: units.Lease, unit: units.Unit, correlation_id: str) -> dict[str, Any]:
    """Brings the account's grants to what the governance says, and hands over what there is to link.

    Revocations first, also those of single principals in the consumer's account: else what the account is granted next,
    or what tags open next, they would read too. What a new version grants waits until its tags are carried out, or
    somebody would read what the new tags close: the data products ask for this share again when they are there.
    """
    governance = governance_store.current(client("s3"), dynamodb)
    consumer = governance.consumer(lease.unit)
    units.leave_version(dynamodb, lease, "sharing", unit, governance.version_of(lease.unit))
    central, lf = own_account(), client("lakeformation")
    entries = ledger.made_by(dynamodb, lease.unit)
    made = grants.made_in(entries, central)
    # Accounts are granted to by their id, principals of this account by their ARN.
    accounts = {grant.principal if grant.principal.isdigit() else central for grant in made}
    accounts |= {consumer.account} if consumer else set()
    lakeformation.ensure_lf_tags(lf, governance.lf_tags)
    observed = grants.observed(lf, central, accounts)
    actions = plan.plan_account_grants(governance, accounts, central, observed, made)
    revokes = [action for action in actions if isinstance(action, Revoke)]
    findings = grants.carry_out(dynamodb, lf, lease, governance.digest, revokes, central)
    # In these accounts principals hold what their subscriptions no longer give: link_consumer takes it from them first.
    losing = {
        account
        for account in accounts
        if plan.loses_regrants(governance, account, central, grants.made_in(entries, account))
    }
    if central in losing:
        findings += consumers.revoke_policies(dynamodb, lease, governance, central)
        losing.discard(central)
    if not findings and not losing:
        runs.note_revoked(dynamodb, client("stepfunctions"), governance, lease, unit, correlation_id)
    behind = units.not_tagged(units.read_all(dynamodb), governance)
    whole = not behind and not losing
    if whole:
        others = [action for action in actions if not isinstance(action, Revoke)]
        findings += grants.carry_out(dynamodb, lf, lease, governance.digest, others, central)
    metrics.add_metric("Grants", MetricUnit.Count, len(actions))
    # Links are an account's: what its other consumers read counts too.
    neighbours = [other for other in governance.consumers if other.account in accounts]
    tables = published_tables(governance, neighbours)
    databases = access.readable(tables, [s for other in neighbours for s in other.subscriptions])
    readable = access.readable(tables, consumer.subscriptions if consumer else [])
    published = {
        product.unit: access.fingerprint(readable[product.database])
        for product in governance.data_products
        if product.database in readable
    }
    logger.info(
        "access granted" if whole else "access revoked; grants wait",
        extra={"unit": lease.unit, "changes": len(actions), "databases": len(databases)}
        | ({"behind": behind} if behind else {})
        | ({"losing": sorted(losing)} if losing else {}),
    )
    done = len(actions)
    if central in accounts:
        changes, found = consumers.carry_out(dynamodb, lease, governance, central, databases, revoke_only=not whole)
        findings += found
        done += 0 if unit.findings or consumers.changed(unit.published, published) else changes
    # Where the run before this one was carried out whole, and wanted the same, somebody has changed what it made.
    same = unit.whole == lease.token - 1 and unit.version == governance.version_of(lease.unit)
    if done and whole and same and not findings:
        drifted = [events.grants_repaired(central, done)]
        events.drift_repaired(client("events"), lease.unit, governance.digest, drifted, correlation_id)
    written = {
        "version": governance.digest,
        "whole": whole,
        "losing": sorted(losing) if not findings else [],
        "databases": sorted(databases),
        "published": published if whole else dict(unit.published),
        "findings": [asdict(finding) for finding in findings],
    }
    return {"link": True, "plan": plans.write(client("s3"), plans.key(lease.unit, lease.token), written)}


def published_tables(governance: Governance, consumers_: list[Consumer]) -> list[tuple[Table, AssignedTags]]:
    """Tables that the consumers' DATABASE grants reach, with the LF-Tags they carry now."""
    tagged: dict[tuple[str, str], AssignedTags] = {}
    for expression in {s.database_expression for consumer in consumers_ for s in consumer.subscriptions}:
        for database, table, tags in lakeformation.search_tables(client("lakeformation"), expression):
            if governance.data_product_of_database(database) is not None:
                tagged[database, table] = tags
    found = sorted({database for database, _ in tagged})
    tables = [table for database in found for table in glue.tables(client("glue"), database)]
    return [(table, tagged[table.database, table.name]) for table in tables if (table.database, table.name) in tagged]
