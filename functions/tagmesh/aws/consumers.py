"""Bringing one consuming account to what the governance says: shares, links, regrants; and telling it the news."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

from aws_lambda_powertools import Logger

from tagmesh import plan, workgroups
from tagmesh.aws import athena, events, glue, grants, lakeformation, ledger, principals, ram, units
from tagmesh.aws.session import client, client_of, consumer_session, own_account
from tagmesh.catalog import Finding
from tagmesh.governance import Consumer, Governance, Principal
from tagmesh.grants import Grant, Resource, Revoke

logger = Logger(child=True)


class ShareNotVisible(Exception):
    """What the central account granted has not arrived in the consumer's yet: the machine tries again soon."""


def clients_in(account: str, run: str) -> Callable[[str], Any]:
    """Clients of an account's services by name, of its role for us; in the central account our own.

    Args:
        run: what the role's session is named after.

    Raises:
        ConsumerNotReachable: the account's role cannot be assumed.
    """
    if account == own_account():
        return client
    session = consumer_session(account, run)
    return lambda service: client_of(session, service)


def remembered(
    dynamodb: Any,
    governance: Governance,
    unit: units.Unit,
    entries: Mapping[str, Mapping[str, Any]],
    accounts: Collection[str],
    recipients: Collection[str],
) -> dict[str, list[Grant]] | None:
    """account -> the grants there, and in the central account, of the consumer and its neighbours, as the ledger has
    them; None where it cannot be believed: a run that changes something has not come to its end, somebody found
    something else, or people have to mend something.

    Args:
        unit: of the consumer.
        entries: of the consumer in the ledger.
        accounts: those that the consumer is in, or was.
        recipients: the accounts and organizational units that are, or were, granted to for it.
    """
    neighbours = (each for each in governance.consumers if each.account in accounts or each.recipient in recipients)
    others = [each.unit for each in neighbours if each.unit != unit.name]
    states = [unit, *(units.read(dynamodb, other) for other in others)]
    if any(state.doubted or state.findings for state in states):
        return None
    of_all = [entries, *(ledger.made_by(dynamodb, other) for other in others)]
    concerned = {*accounts, *grants.accounts_of(entries), own_account()}
    return {account: [grant for each in of_all for grant in grants.made_in(each, account)] for account in concerned}


def databases_told(governance: Governance, accounts: Collection[str], known: Mapping[str, units.Unit]) -> list[str]:
    """The central databases in which consumers of these accounts can read something, as their last shares found."""
    neighbours = [each.unit for each in governance.consumers if each.account in accounts]
    told = {name for each in neighbours if each in known for name in known[each].published}
    return sorted(product.database for name in told if (product := governance.data_product(name)))


def look(
    dynamodb: Any,
    clients: Callable[[str], Any],
    unit: str,
    governance: Governance,
    account: str,
    databases: Collection[str],
    observed: Iterable[Grant] | None = None,
    void: Collection[str] = (),
) -> plan.PrincipalPlan:
    """Observes the account and plans for all its consumers; changes nothing.

    Args:
        unit: the consumer, for what the ledger says was made for it.
        databases: the central databases in which a consumer of the account can read something.
        observed: the grants that are known to be there; None to ask Lake Formation.
        void: LF-Tags that somebody deleted; policies that use them are none.
    """
    central = own_account()
    lf = clients("lakeformation")
    named = {p for consumer in governance.consumers if consumer.account == account for p in consumer.principals}
    found = principals.find(clients("iam"), sorted(named), account) if named else {}
    known = {principal: arn for principal, arn in found.items() if arn}
    entries = ledger.made_by(dynamodb, unit)
    made = grants.made_in(entries, account)
    if observed is None:
        concerned = {*known.values(), *(grant.principal for grant in made)}
        catalogs = sorted({account, central})
        observed = [grant for catalog in catalogs for grant in grants.observed(lf, catalog, concerned, void=void)]
    link = link_key(account, "")
    actions, findings = look_at_workgroups(clients, governance, account, known, entries)
    wanted = plan.plan_principal_grants(
        governance,
        account,
        central,
        principals=known,
        databases=databases,
        catalog=[as_link(database) for database in glue.databases(clients("glue")).values()],
        observed=observed,
        made=made,
        made_links=[key.removeprefix(link) for key in entries if key.startswith(link)],
    )
    return replace(wanted, actions=(*wanted.actions, *actions), findings=(*wanted.findings, *findings))


def look_at_workgroups(
    clients: Callable[[str], Any],
    governance: Governance,
    account: str,
    principals: Collection[Principal],
    entries: Mapping[str, Mapping[str, Any]],
) -> tuple[list[workgroups.Action], list[Finding]]:
    """What to do about the workgroups of single principals; where there are none to be, Athena is not asked."""
    start = workgroup_key(account, "")
    made = {key.removeprefix(start) for key in entries if key.startswith(start)}
    wanted = workgroups.wanted(governance, account, os.environ["AWS_REGION"], principals)
    if not wanted and not made:
        return [], []
    if account == own_account():
        return [], [workgroups.not_at_home(account)]
    try:
        there = athena.workgroups(clients("athena"), sorted({*made, *(each.name for each in wanted)}))
    except clients("athena").exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return [], [workgroups.not_allowed(account, str(error))]
    return workgroups.plan_workgroups(account, wanted, made, there)


def carry_out(
    dynamodb: Any,
    lease: units.Lease,
    governance: Governance,
    account: str,
    databases: Collection[str],
    revoke_only: bool,
    observed: Iterable[Grant] | None = None,
    void: Collection[str] = (),
    refused: Collection[Resource] = (),
) -> tuple[int, list[Finding]]:
    """Observes the account, plans for all its consumers, and does it; how many changes, and what people must mend.

    Args:
        databases: the central databases in which a consumer of the account can read something.
        revoke_only: what is to be granted waits for a later run.
        observed: the grants that are known to be there; None to ask Lake Formation.
        void: LF-Tags that somebody deleted; policies that use them are none.
        refused: what the account could not be granted, so that it cannot be passed on.

    Raises:
        ConsumerNotReachable: the account's role cannot be assumed.
        ShareNotVisible: what was granted centrally is not there yet.
    """
    central = own_account()
    clients = clients_in(account, lease.unit)
    accepted = ram.accept_invitations(clients("ram"), central) if account != central else 0
    if accepted:
        logger.info("invitations accepted", extra={"unit": lease.unit, "invitations": accepted})
    wanted = look(dynamodb, clients, lease.unit, governance, account, databases, observed, void)
    findings = list(wanted.findings)
    takes = Revoke | plan.DeleteLink | workgroups.CloseWorkgroup | workgroups.ForgetWorkgroup
    to_do = [action for action in wanted.actions if not revoke_only or isinstance(action, takes)]
    to_do = [action for action in to_do if not (isinstance(action, Grant) and action.resource in refused)]
    for kind, some in groupby(to_do, key=_kind):
        if kind == "link":
            make_links(dynamodb, clients("glue"), lease.unit, account, governance.digest, some)
            continue
        if kind == "workgroup":
            make_workgroups(dynamodb, clients("athena"), lease.unit, account, governance.digest, some)
            continue
        try:
            findings += grants.carry_out(dynamodb, clients("lakeformation"), lease, governance, some, account)
        except lakeformation.LakeFormationRefused as error:
            if account == central or not any(word in str(error) for word in ("AccessDenied", "EntityNotFound")):
                raise
            raise ShareNotVisible(str(error)) from error
    return len(to_do), findings


def _kind(action: Any) -> str:
    if isinstance(action, Grant | Revoke):
        return "grant"
    return "link" if isinstance(action, plan.CreateLink | plan.DeleteLink) else "workgroup"


def revoke_policies(dynamodb: Any, lease: units.Lease, governance: Governance, account: str) -> list[Finding]:
    """Takes from the account's principals the tag policies that no subscription gives them any more, and nothing else;
    what could not be revoked.

    Raises:
        ConsumerNotReachable: the account's role cannot be assumed.
    """
    clients = clients_in(account, lease.unit)
    wanted = look(dynamodb, clients, lease.unit, governance, account, ())
    policies = [each for each in wanted.actions if isinstance(each, Revoke) and each.resource.kind == "LFTagPolicy"]
    return grants.carry_out(dynamodb, clients("lakeformation"), lease, governance, policies, account)


def link_key(account: str, name: str) -> str:
    """The ledger's key of a resource link in an account."""
    return f"link/{account}/{name}"


def make_links(
    dynamodb: Any,
    catalogue: Any,
    unit: str,
    account: str,
    version: str,
    actions: Iterable[plan.CreateLink | plan.DeleteLink],
) -> None:
    """Makes and deletes resource links; the ledger has each before it is there and until it is gone."""
    for action in actions:
        key = link_key(account, action.name)
        if isinstance(action, plan.CreateLink):
            ledger.record(dynamodb, unit, key, "link", asdict(action), "share", version)
            glue.create_link(catalogue, action.name, action.catalog, action.database)
        else:
            glue.delete_link(catalogue, action.name)
            ledger.forget(dynamodb, unit, key)


def workgroup_key(account: str, name: str) -> str:
    """The ledger's key of a principal's workgroup in an account."""
    return f"workgroup/{account}/{name}"


def make_workgroups(
    dynamodb: Any, client_there: Any, unit: str, account: str, version: str, actions: Iterable[workgroups.Action]
) -> None:
    """Makes and closes workgroups; the ledger has each before it is there and until it is gone."""
    for action in actions:
        if isinstance(action, workgroups.MakeWorkgroup):
            key = workgroup_key(account, action.workgroup.name)
            ledger.record(dynamodb, unit, key, "workgroup", asdict(action.workgroup), "results: apart", version)
            athena.make(client_there, action.workgroup, there=action.there)
        elif isinstance(action, workgroups.ForgetWorkgroup) or athena.close(client_there, action.name):
            ledger.forget(dynamodb, unit, workgroup_key(account, action.name))


def as_link(database: Mapping[str, Any]) -> plan.Link:
    """A database of the consumer's catalogue as a value; a real one has no target."""
    target = database.get("TargetDatabase", {})
    return plan.Link(database["Name"], target.get("CatalogId"), target.get("DatabaseName"))


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Data products of which something else can be read than before: both map them to fingerprints."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def announce(governance: Governance, consumer: Consumer, published: Iterable[str], correlation_id: str) -> None:
    """Tells our own bus, and the consumer's, which data products it sees differently now.

    News only: access does not depend on it, so what cannot be told is logged and stops nothing.
    """
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
    buses = [os.environ["MESH_BUS"]]
    if consumer.account != own_account():
        buses.append(f"arn:aws:events:{os.environ['AWS_REGION']}:{consumer.account}:event-bus/tagmesh-consumer")
    bus_client = client("events")
    for bus in buses:
        try:
            events.put(bus_client, bus, "DataProductPublished", details)
        except (events.EventsNotDelivered, bus_client.exceptions.ClientError) as error:
            logger.warning("news not delivered", extra={"unit": consumer.unit, "bus": bus, "reason": str(error)})
