"""In one consumer's account: accepts shares, links databases, and regrants to the principals that the files name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import plan
from tagmesh.aws import (
    events,
    glue,
    governance_store,
    grants,
    lakeformation,
    ledger,
    plans,
    principals,
    ram,
    runs,
    units,
)
from tagmesh.aws.session import ConsumerNotReachable, client, client_of, consumer_session, own_account
from tagmesh.catalog import Finding
from tagmesh.governance import Consumer, Governance
from tagmesh.grants import Grant, Revoke

logger = Logger()
metrics = Metrics()


class ShareNotVisible(Exception):
    """What the central account granted has not arrived in the consumer's yet: the machine tries again soon."""


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{unit, token, correlation_id, plan}` in; `{unit, changes, published}` out."""
    logger.set_correlation_id(event["correlation_id"])
    dynamodb = client("dynamodb")
    lease = units.Lease(event["unit"], event["token"])
    try:
        unit = units.advance(dynamodb, lease, "sharing")
        with units.freed_on_failure(dynamodb, lease):
            return link(dynamodb, lease, unit, plans.read(client("s3"), event["plan"]), event["correlation_id"])
    except units.LeaseLost as lost:
        logger.info("superseded", extra={"reason": str(lost)})
        return {"unit": lease.unit, "changes": 0, "published": [], "reason": str(lost)}


def link(
    dynamodb: Any, lease: units.Lease, unit: units.Unit, planned: Mapping[str, Any], correlation_id: str
) -> dict[str, Any]:
    """Brings links and regrants to what the governance says; frees the consumer; announces what changed."""
    governance = governance_store.current(client("s3"), dynamodb)
    consumer = governance.consumer(lease.unit)
    if governance.digest != planned["version"] or consumer is None:
        units.finish(dynamodb, lease, covered=False, findings=unit.findings)
        return {
            "unit": lease.unit,
            "changes": 0,
            "published": [],
            "reason": "the governance changed meanwhile",
        }
    try:
        changes, findings = carry_out(dynamodb, lease, governance, consumer, planned)
    except ConsumerNotReachable as error:
        finding = Finding(
            "consumer-not-reachable",
            consumer.unit,
            str(error),
            f"deploy accounts/consumer.yaml in {consumer.account} with CentralAccountId={own_account()}",
        )
        units.finish(dynamodb, lease, covered=False, findings=[asdict(finding)])
        metrics.add_metric("ConsumersFailed", MetricUnit.Count, 1)
        logger.error("consumer not reachable", extra={"unit": lease.unit, "reason": str(error)})
        return {"unit": lease.unit, "changes": 0, "published": [], "reason": str(error)}
    published = sorted(
        name
        for name in {*planned["published"], *unit.published}
        if planned["published"].get(name) != unit.published.get(name)
    )
    announce(governance, consumer, published, correlation_id)
    freed = units.finish(
        dynamodb,
        lease,
        covered=True,
        findings=[asdict(finding) for finding in findings],
        version=governance.digest,
        published=planned["published"],
    )
    metrics.add_metric("ConsumerChanges", MetricUnit.Count, changes)
    logger.info("consumer linked", extra={"unit": lease.unit, "changes": changes, "published": published})
    if freed.dirty > freed.done:
        runs.start_share(dynamodb, client("stepfunctions"), lease.unit, freed.correlation_id)
    return {"unit": lease.unit, "changes": changes, "published": published}


def carry_out(
    dynamodb: Any, lease: units.Lease, governance: Governance, consumer: Consumer, planned: Mapping[str, Any]
) -> tuple[int, list[Finding]]:
    """Observes the consumer's account, plans, and does it; how many changes, and what people must mend.

    Raises:
        ConsumerNotReachable: its role cannot be assumed.
        ShareNotVisible: what was granted centrally is not there yet.
    """
    central = own_account()
    local = consumer.account == central
    session = None if local else consumer_session(consumer.account, f"tagmesh-{consumer.name}")

    def consumers(service: str) -> Any:
        return client(service) if session is None else client_of(session, service)

    lf, catalogue = consumers("lakeformation"), consumers("glue")
    accepted = 0 if local else ram.accept_invitations(consumers("ram"), central)
    if accepted:
        logger.info("invitations accepted", extra={"unit": lease.unit, "invitations": accepted})
    # Two consumers may be of one account: what one wants, the other's run must know.
    neighbours = [other for other in governance.consumers if other.account == consumer.account]
    named = {principal for other in neighbours for principal in other.principals}
    found = principals.find(consumers("iam"), sorted(named))
    known = {principal: arn for principal, arn in found.items() if arn}
    made = grants.made(dynamodb, lease.unit, place="consumer")
    concerned = {*known.values(), *(grant.principal for grant in made)}
    observed = [
        grant for catalog in sorted({consumer.account, central}) for grant in grants.observed(lf, catalog, concerned)
    ]
    entries = ledger.made_by(dynamodb, lease.unit)
    wanted = plan.plan_principal_grants(
        governance,
        consumer,
        central,
        principals=known,
        databases=planned["databases"],
        catalog=[as_link(database) for database in glue.databases(catalogue).values()],
        observed=observed,
        made=made,
        made_links=[entry["detail"]["name"] for key, entry in entries.items() if key.startswith("link/")],
    )
    for kind, actions in groupby(wanted.actions, key=lambda action: isinstance(action, Grant | Revoke)):
        if kind:
            try:
                grants.carry_out(dynamodb, lf, lease, governance.digest, actions, place="consumer")
            except lakeformation.LakeFormationRefused as error:
                if local or not any(word in str(error) for word in ("AccessDenied", "EntityNotFound")):
                    raise
                raise ShareNotVisible(str(error)) from error
            continue
        for action in actions:
            if isinstance(action, plan.CreateLink):
                ledger.record(
                    dynamodb,
                    lease.unit,
                    f"link/{action.name}",
                    "link",
                    asdict(action),
                    "share",
                    governance.digest,
                )
                glue.create_link(catalogue, action.name, action.catalog, action.database)
            else:
                glue.delete_link(catalogue, action.name)
                ledger.forget(dynamodb, lease.unit, f"link/{action.name}")
    return len(wanted.actions), list(wanted.findings)


def as_link(database: Mapping[str, Any]) -> plan.Link:
    """A database of the consumer's catalogue as a value; a real one has no target."""
    target = database.get("TargetDatabase", {})
    return plan.Link(database["Name"], target.get("CatalogId"), target.get("DatabaseName"))


def announce(governance: Governance, consumer: Consumer, published: list[str], correlation_id: str) -> None:
    """Tells the consumer's bus and our own which data products it sees differently now."""
    details = []
    for name in published:
        product = governance.data_product(name)
        details.append(
            {
                "data_product": name,
                "database": product.database if product else None,
                "consumer": consumer.name,
                "account": consumer.account,
                "governance": governance.digest,
                "correlation_id": correlation_id,
            }
        )
    events.put(client("events"), os.environ["MESH_BUS"], "DataProductPublished", details)
    if consumer.account == own_account():
        return
    region = os.environ["AWS_REGION"]
    bus = f"arn:aws:events:{region}:{consumer.account}:event-bus/tagmesh-consumer"
    try:
        events.put(client("events"), bus, "DataProductPublished", details)
    except events.EventsNotDelivered as error:
        # News only: access does not depend on it.
        logger.warning("news not delivered", extra={"unit": consumer.unit, "reason": str(error)})
