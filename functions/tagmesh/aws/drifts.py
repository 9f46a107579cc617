"""What others changed since a unit was settled: tags, tables, grants and resource links that are not as we left them.

Looks in bulk, changes nothing. What SearchTablesByLFTags answers may be some seconds old, so a table that differs is
asked itself before anything is said of it. What is found here is mended by the unit's own machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger

from tagmesh import doors, doors_granted, plan
from tagmesh.aws import consumers, decisions, evidence_store, glue, grants, lakeformation, ledger, ram, units
from tagmesh.aws.session import ConsumerNotReachable, client, own_account
from tagmesh.catalog import AssignedTags, Finding, Table
from tagmesh.governance import Consumer, DataProduct, Governance
from tagmesh.grants import Revoke, from_api, is_recipient
from tagmesh.resolution import TableDecision

logger = Logger(child=True)

STRICTER = "stricter-by-hand"  # a finding of drift.py that stays as long as the tag does


@dataclass
class Catalogue:
    """What a look at the central catalogue found: the units of data products of which published tables are gone, and
    database -> table -> its tags, of those that carry something else than the rules say."""

    gone: set[str] = field(default_factory=set)
    moved: dict[str, dict[str, AssignedTags]] = field(default_factory=dict)


def observe(governance: Governance, products: Iterable[tuple[DataProduct, units.Unit]]) -> Catalogue:
    """Reads the tables of these data products, one after the other and 100 a call, then the tags of all tables, 100 a
    call. Of a table that is as the rules say no more is kept than one number, so that any estate fits."""
    found = Catalogue()
    expected: dict[tuple[str, str], int] = {}
    for product, unit in products:
        tables = list(glue.tables(client("glue"), product.database))
        if not unit.tables.issubset(table.name for table in tables):
            found.gone.add(product.unit)  # a crawl makes them again, if their data is there
            continue
        for decision in _by_rules(governance, product, unit, tables):
            expected[product.database, decision.table] = plan.mark_of_decision(governance, product, decision)
    if expected:
        # Every table of ours carries every LF-Tag, so any one finds them all.
        key = min(governance.lf_tags, key=lambda key: len(key.values))
        for database, table, tags in lakeformation.search_tables(client("lakeformation"), ((key.name, key.values),)):
            wanted = expected.pop((database, table), None)
            if wanted is not None and wanted != plan.mark_of_tags(governance, tags):
                found.moved.setdefault(database, {})[table] = tags
    for database, table in expected:
        found.moved.setdefault(database, {})[table] = AssignedTags()
    return found


def doors_of(governance: Governance) -> dict[str, tuple[Finding, ...]]:
    """Data product unit -> what gives access to it past its tags, by name or to everybody: what closes it. Listed 1,000
    a call; two rows a table are those of the crawler, which made it."""
    lf, ours = client("lakeformation"), (os.environ["AUTOMATION_ROLE_ARN"], os.environ["CRAWLER_ROLE_ARN"])
    central = own_account()
    rows = (row for kind in ("DATABASE", "TABLE") for row in lakeformation.permissions(lf, ResourceType=kind))
    granted = [from_api(r, central) for r in rows if r["Principal"]["DataLakePrincipalIdentifier"] not in ours]
    found = doors.blocking(doors_granted.of_grants(governance, central, granted, ours))
    if found:  # who administers is asked only where it matters
        administrators = lakeformation.administrators(lf)
        found = doors.blocking(doors_granted.of_grants(governance, central, granted, ours, administrators))
    return found


def tags_differ(
    dynamodb: Any, governance: Governance, product: DataProduct, unit: units.Unit, moved: Mapping[str, AssignedTags]
) -> bool:
    """Whether tables of the data product do not carry the tags that are decided for them: somebody assigned or removed
    some, or dropped a table and made it again; or a stricter tag of a person is not reported yet, or no more there.

    Args:
        moved: table -> its tags, of those that carry something else than the rules say.
    """
    tables = [table for table in glue.tables(client("glue"), product.database) if table.name in moved] if moved else []
    if not _differ(dynamodb, governance, product, unit, tables, moved):
        return False
    if not tables:
        return True
    lf = client("lakeformation")
    asked = {table.name: lakeformation.tags_of(lf, table) for table in tables}
    return _differ(dynamodb, governance, product, unit, tables, asked)


def _by_rules(
    governance: Governance, product: DataProduct, unit: units.Unit, tables: Iterable[Table]
) -> list[TableDecision]:
    kept = evidence_store.read_kept(client("s3"), product) if product.sample_content else {}
    return decisions.by_rules(governance, product, unit, tables, kept)


def _differ(
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    unit: units.Unit,
    tables: list[Table],
    observed: Mapping[str, AssignedTags],
) -> bool:
    database = next((tags.database for tags in observed.values()), {})
    ruled = _by_rules(governance, product, unit, tables)
    made = decisions.with_stricter(client("s3"), dynamodb, governance, product, unit, ruled, database, observed)
    stricter = {finding.subject for each in made for finding in each.findings if finding.code == STRICTER}
    reported = {finding["subject"] for finding in unit.findings if finding["code"] == STRICTER}
    if stricter != reported:
        return True
    return bool(tables and plan.plan_tags(governance, product, database, observed, made))


def grants_differ(dynamodb: Any, governance: Governance, settled: Iterable[Consumer]) -> Iterator[Consumer]:
    """The consumers whose grants in the central catalogue are not what they should be, or whose account or unit no
    share of them reaches any more. Listed once, grants 1,000 a call."""
    settled = list(settled)
    if not settled:
        return
    central = own_account()
    recipients = {consumer.recipient for consumer in settled}
    rows = grants.observed(client("lakeformation"), central, recipients, grants.BY_TAG)
    lost = ram.lost(client("ram"), recipients - {central}, time.time())
    for consumer in settled:
        entries = ledger.made_by(dynamodb, consumer.unit)
        made = grants.made_in(entries, central)
        if grants.cut_off(entries, central, lost) or plan.plan_account_grants(
            governance, {consumer.recipient}, central, rows, made
        ):
            yield consumer


def left_behind(dynamodb: Any, governance: Governance, left: Iterable[str]) -> Iterator[str]:
    """The units of consumers that have left the files, for which something is granted that no other consumer of the
    same account or organizational unit wants any more: it stayed as long as one did."""
    central, made = own_account(), {}
    for unit in left:
        granted = grants.made(dynamodb, unit, central)
        if any(is_recipient(grant.principal) for grant in granted):
            made[unit] = [grant for grant in granted if is_recipient(grant.principal)]
    if not made:
        return
    recipients = {grant.principal for granted in made.values() for grant in granted}
    rows = grants.observed(client("lakeformation"), central, recipients, grants.BY_TAG)
    for unit, granted in made.items():
        changes = plan.plan_account_grants(governance, {grant.principal for grant in granted}, central, rows, granted)
        if any(isinstance(change, Revoke) for change in changes):
            yield unit


def account_differs(dynamodb: Any, governance: Governance, consumer: Consumer, known: Mapping[str, units.Unit]) -> bool:
    """Whether the links and regrants in the account of a consumer that is settled are not as they should be; also where
    it cannot be reached: its own machine says so."""
    databases = consumers.databases_told(governance, {consumer.account}, known)
    try:
        clients = consumers.clients_in(consumer.account, f"sweep-{consumer.name}")
    except ConsumerNotReachable:
        return True
    wanted = consumers.look(dynamodb, clients, consumer.unit, governance, consumer.account, databases)
    return bool(wanted.actions or wanted.findings)
