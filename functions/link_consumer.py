"""In one consumer's account: accepts shares, links databases, and regrants to the principals that the files name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import sharing
from tagmesh.aws import consumers, events, governance_store, grants, plans, runs, units
from tagmesh.aws.session import ConsumerNotReachable, client, own_account
from tagmesh.catalog import Finding
from tagmesh.grants import Resource

logger = Logger()
metrics = Metrics()

ShareNotVisible = consumers.ShareNotVisible  # the machine retries it by this name


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
    except governance_store.GovernanceChanged as changed:
        runs.start_share(dynamodb, client("stepfunctions"), lease.unit, event["correlation_id"])
        return {"unit": lease.unit, "changes": 0, "published": [], "reason": str(changed)}


def link(
    dynamodb: Any, lease: units.Lease, unit: units.Unit, planned: Mapping[str, Any], correlation_id: str
) -> dict[str, Any]:
    """Brings links and regrants to what the governance says; frees the consumer; announces what changed.

    An account that the consumer has left is brought there too: it loses what we made in it.
    """
    governance = governance_store.current(client("s3"), dynamodb)
    governance_store.check_planned(governance, planned)
    consumer = governance.consumer(lease.unit)
    changes, findings, reached = 0, [Finding(**finding) for finding in planned["findings"]], True
    drifted: list[dict[str, Any]] = []
    remembered = planned["observed"]
    not_ours_to_pass_on = {Resource(kind, body) for kind, body in planned["refused"]}
    for account in sorted({*planned["accounts"]} - {own_account()}):
        there = grants.from_json(remembered[account]) if remembered is not None else None
        try:
            done, found = consumers.carry_out(
                dynamodb,
                lease,
                governance,
                account,
                planned["databases"],
                revoke_only=not planned["whole"],
                observed=there,
                void=unit.void,
                refused=not_ours_to_pass_on,
            )
        except ConsumerNotReachable as error:
            reached = False
            findings.append(not_reachable(lease.unit, account, error))
            metrics.add_metric("ConsumersFailed", MetricUnit.Count, 1)
            logger.warning("consumer not reachable", extra={"unit": lease.unit, "reason": str(error)})
            continue
        changes, findings = changes + done, findings + found
        drifted += [events.grants_repaired(account, done)] if done else []
    refused = any(finding.code == "not-revoked" for finding in findings)
    if planned["losing"] and not refused:
        # An account that cannot be reached holds up itself alone.
        runs.note_revoked(dynamodb, client("stepfunctions"), governance, lease, unit, correlation_id)
    freed = units.finish(
        dynamodb,
        lease,
        covered=reached and planned["whole"],
        findings=[asdict(finding) for finding in findings],
        doubted=is_doubted(planned, reached),
        version=governance.version_of(lease.unit) if reached and planned["whole"] else "",
        published=planned["published"] if reached else None,
    )
    published = consumers.changed(unit.published, planned["published"]) if reached else []
    metrics.add_metric("ConsumerChanges", MetricUnit.Count, changes)
    if reached:
        logger.info("consumer linked", extra={"unit": lease.unit, "changes": changes, "published": published})
    if consumer:
        consumers.announce(governance, consumer, published, correlation_id)
    # Where the run before this one was carried out whole, and wanted the same, somebody has changed what it made; or
    # what can be read has come or gone.
    same = unit.whole == lease.token - 1 and unit.version == governance.version_of(lease.unit)
    if planned["whole"] and same and not (unit.findings or findings or published):
        events.drift_repaired(client("events"), lease.unit, governance.digest, drifted, correlation_id)
    # What its grants waited for, revocations or tags, may have come while this run held the consumer.
    held = any(finding.code in sharing.HOLDS for finding in findings)  # until people mend it: the sweep looks
    waits = planned["whole"] or not reached or refused or held
    come = not waits and not units.not_tagged(units.read_all(dynamodb), governance)
    if freed.dirty > freed.noted or come:
        runs.start_share(dynamodb, client("stepfunctions"), lease.unit, freed.correlation_id)
    return {"unit": lease.unit, "changes": changes, "published": published}


def is_doubted(planned: Mapping[str, Any], reached: bool) -> bool | None:
    """Whether the ledger may say more than is there; None where that is as it was: a run that only revokes makes
    nothing of what one before it had noted and did not come to make."""
    if not reached:
        return True
    return None if planned["observed"] is None and not planned["whole"] else False


def not_reachable(unit: str, account: str, error: ConsumerNotReachable) -> Finding:
    """The consumer's stack is not there, or not ours."""
    return Finding(
        "consumer-not-reachable",
        unit,
        str(error),
        f"deploy accounts/consumer.yaml in {account} with CentralAccountId={own_account()}; the sweep tries again",
    )
