"""Grants one consumer's account its subscriptions' tag expressions, in the central catalogue."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import expressions, plan, sharing
from tagmesh.aws import (
    consumers,
    events,
    governance_store,
    grants,
    ledger,
    lf_tags,
    plans,
    published,
    ram,
    runs,
    units,
)
from tagmesh.aws.session import client, own_account
from tagmesh.catalog import Finding
from tagmesh.governance import Consumer, Governance
from tagmesh.grants import Grant, Resource, Revoke, is_recipient

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

    Where nothing that we know of is in doubt, the ledger tells what is granted, and Lake Formation is not asked.
    """
    governance = governance_store.current(client("s3"), dynamodb)
    consumer = governance.consumer(lease.unit)
    version = governance.version_of(lease.unit)
    central, lf = own_account(), client("lakeformation")
    entries = ledger.made_by(dynamodb, lease.unit)
    made = grants.made_in(entries, central)
    # Accounts are granted to by their id, or as the organizational unit that they are in; principals of this account by
    # their ARN.
    recipients = {grant.principal for grant in made if is_recipient(grant.principal)}
    recipients |= {consumer.recipient} if consumer else set()
    accounts = {recipient for recipient in recipients if recipient.isdigit()}
    accounts |= grants.accounts_of(entries) - {central} if accounts != recipients else set()
    accounts |= {central} if any(not is_recipient(grant.principal) for grant in made) else set()
    accounts |= {consumer.account} if consumer else set()
    known = units.read_all(dynamodb)
    databases, prints = what_is_read(governance, consumer, accounts)
    remembered = consumers.remembered(dynamodb, governance, unit, entries, accounts, recipients)
    actions = wanted(governance, unit, entries, recipients, remembered)
    # In these accounts principals hold what their subscriptions no longer give: link_consumer takes it from them first.
    losing = {
        account
        for account in accounts
        if plan.loses_regrants(governance, account, central, grants.made_in(entries, account))
    }
    as_told = databases == consumers.databases_told(governance, accounts, known)
    if remembered is not None and unit.version == version and as_told and not actions and not losing:
        behind = units.not_tagged(known, governance)
        logger.info("nothing to grant", extra={"unit": lease.unit, "databases": len(databases)})
        return hand_over(lease, governance, databases, prints if not behind else unit.published, whole=not behind)
    units.begin_changes(dynamodb, lease, "sharing", unit, version)
    lf_tags.ensure_noted(dynamodb, lf, governance)
    revokes = [action for action in actions if isinstance(action, Revoke)]
    findings = grants.carry_out(dynamodb, lf, lease, governance, revokes, central)
    if central in losing:
        findings += consumers.revoke_policies(dynamodb, lease, governance, central)
        losing.discard(central)
    if not findings and not losing:
        runs.note_revoked(dynamodb, client("stepfunctions"), governance, lease, unit, correlation_id)
    behind = units.not_tagged(units.read_all(dynamodb), governance)
    others = [action for action in actions if not isinstance(action, Revoke)]
    whole = not behind and not losing
    # All of them are to other accounts.
    held = ram.prepare(lf, client("glue"), os.environ["AWS_REGION"], central) if whole and others else []
    held += still_passed_on(dynamodb, governance, consumer, known) if whole and others and consumer else []
    findings += held
    whole = whole and not held
    refused: list[Resource] = []
    if whole:
        not_granted = grants.carry_out(dynamodb, lf, lease, governance, others, central)
        findings += not_granted
        refused = grants.not_made(dynamodb, lease.unit, others, central) if not_granted else []
    metrics.add_metric("Grants", MetricUnit.Count, len(actions))
    logger.info(
        "access granted" if whole else "access revoked; grants wait",
        extra={"unit": lease.unit, "changes": len(actions), "databases": len(databases)}
        | ({"behind": behind} if behind else {})
        | ({"losing": sorted(losing)} if losing else {})
        | ({"held": [finding.code for finding in held]} if held else {}),
    )
    done = len(actions)
    if central in accounts:
        there = remembered[central] if remembered is not None else None
        changes, found = consumers.carry_out(
            dynamodb, lease, governance, central, databases, revoke_only=not whole, observed=there, void=unit.void
        )
        findings += found
        done += 0 if unit.findings or consumers.changed(unit.published, prints) else changes
    # Where the run before this one was carried out whole, and wanted the same, somebody has changed what it made.
    same = unit.whole == lease.token - 1 and unit.version == version
    if done and whole and same and not findings:
        drifted = [events.grants_repaired(central, done)]
        events.drift_repaired(client("events"), lease.unit, governance.digest, drifted, correlation_id)
    return hand_over(
        lease,
        governance,
        databases,
        prints if whole else unit.published,
        whole=whole,
        accounts=grants.accounts_of(entries) | ({consumer.account} if consumer else set()),
        losing=losing if not findings else (),
        findings=findings,
        observed=remembered,
        refused=refused,
    )


def still_passed_on(dynamodb: Any, governance: Governance, consumer: Consumer, known: Iterable[str]) -> list[Finding]:
    """What keeps the consumer's organizational unit from being granted more: regrants in its other accounts, also of
    consumers that have left the files, that no subscription asks for any more. Their own runs take them away."""
    if consumer.organizational_unit is None:
        return []
    central, losing = own_account(), set()
    for unit in sorted({name for name in known if name.startswith("consumer/")} - {consumer.unit}):
        other = governance.consumer(unit)
        if other is not None and other.recipient != consumer.recipient:
            continue
        entries = ledger.made_by(dynamodb, unit)
        for account in grants.accounts_of(entries) - {central, consumer.account}:
            if plan.loses_regrants(governance, account, central, grants.made_in(entries, account)):
                losing.add(account)
    return [sharing.still_passed_on(consumer.unit, consumer.recipient, losing)] if losing else []


def what_is_read(
    governance: Governance, consumer: Consumer | None, accounts: Collection[str]
) -> tuple[list[str], dict[str, str]]:
    """The databases in which consumers of these accounts can read something, since links are an account's; and data
    product unit -> fingerprint of what this consumer can read."""
    neighbours = [other for other in governance.consumers if other.account in accounts]
    tables = published.read(client("s3"), governance, neighbours)
    databases = expressions.readable(tables, [s for other in neighbours for s in other.subscriptions])
    readable = expressions.readable(tables, consumer.subscriptions if consumer else [])
    prints = {
        product.unit: expressions.fingerprint(readable[product.database])
        for product in governance.data_products
        if product.database in readable
    }
    return sorted(databases), prints


def wanted(
    governance: Governance,
    unit: units.Unit,
    entries: Mapping[str, Mapping[str, Any]],
    recipients: set[str],
    remembered: Mapping[str, list[Grant]] | None,
) -> list[Grant | Revoke]:
    """What is to be revoked and granted in the central catalogue.

    Args:
        entries: of the consumer in the ledger.
        recipients: the accounts and organizational units that are, or were, granted to for it.
        remembered: account -> grants, where the ledger can be believed (`consumers.remembered`).
    """
    central, lf = own_account(), client("lakeformation")
    made = grants.made_in(entries, central)
    if remembered is not None:
        return plan.plan_account_grants(governance, recipients, central, remembered[central], made)
    observed = grants.observed(lf, central, recipients, grants.BY_TAG, unit.void)
    lost = ram.lost(client("ram"), recipients - {central}, time.time())
    cut_off = grants.cut_off(entries, central, lost)
    # Only another grant makes another share.
    again = [
        Revoke(each.principal, each.resource, each.permissions, each.grantable)
        for each in made
        if each.principal in cut_off
    ]
    observed = [grant for grant in observed if grant.principal not in cut_off]
    kept = [grant for grant in made if grant.principal not in cut_off]
    return [*again, *plan.plan_account_grants(governance, recipients, central, observed, kept)]


def hand_over(
    lease: units.Lease,
    governance: Governance,
    databases: list[str],
    prints: Mapping[str, str],
    *,
    whole: bool,
    accounts: Iterable[str] = (),
    losing: Iterable[str] = (),
    findings: Iterable[Finding] = (),
    observed: Mapping[str, list[Grant]] | None = None,
    refused: Iterable[Resource] = (),
) -> dict[str, Any]:
    """Writes the plan for link_consumer, and answers with its key.

    Args:
        prints: data product unit -> fingerprint of what the consumer can read.
        accounts: those to look into; without any, everything there is as it is to be.
        observed: account -> the grants there, where the ledger can be believed.
        refused: what the account could not be granted, so that it cannot be passed on.
    """
    written = {
        "version": governance.digest,
        "number": governance.number,
        "holds_until": governance.holds_until,
        "whole": whole,
        "accounts": sorted(accounts),
        "losing": sorted(losing),
        "databases": databases,
        "published": dict(prints),
        "findings": [asdict(finding) for finding in findings],
        "refused": [[each.kind, each.body] for each in refused],
        "observed": {account: grants.to_json(of) for account, of in observed.items()} if observed is not None else None,
    }
    return {"link": True, "plan": plans.write(client("s3"), plans.key(lease.unit, lease.token), written)}
