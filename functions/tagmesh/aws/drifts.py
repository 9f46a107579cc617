"""What others changed since a unit was settled: tags, tables, grants and resource links that are not as we left them.

Looks in bulk, changes nothing. What SearchTablesByLFTags answers may be some seconds old, so a table that differs is
asked itself before anything is said of it. What is found here is mended by the unit's own machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger

from tagmesh import plan
from tagmesh.aws import consumers, decisions, evidence_store, glue, grants, lakeformation, units
from tagmesh.aws.session import ConsumerNotReachable, client, own_account
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import Consumer, DataProduct, Governance

logger = Logger(child=True)

STRICTER = "stricter-by-hand"  # a finding of drift.py that stays as long as the tag does


@dataclass
class Catalogue:
    """The central catalogue as far as it was looked at: database -> table -> the table, and the tags it carries."""

    tables: dict[str, dict[str, Table]] = field(default_factory=dict)
    tags: dict[str, dict[str, AssignedTags]] = field(default_factory=dict)


def observe(governance: Governance, products: Iterable[DataProduct]) -> Catalogue:
    """The tables of these data products, one read for each and 100 tables a call, and the tags of all tables, 100 a
    call. A database that somebody removed has none."""
    found = Catalogue()
    for product in products:
        found.tables[product.database] = {table.name: table for table in glue.tables(client("glue"), product.database)}
    if any(found.tables.values()):
        # Every table of ours carries every LF-Tag, so any one finds them all.
        key = min(governance.lf_tags, key=lambda key: len(key.values))
        for database, table, tags in lakeformation.search_tables(client("lakeformation"), ((key.name, key.values),)):
            found.tags.setdefault(database, {})[table] = tags
    return found


def tables_gone(unit: units.Unit, tables: Iterable[str]) -> bool:
    """Whether a table that was published is no longer there: a crawl makes it again, if its data is."""
    return not unit.tables.issubset(tables)


def tags_differ(
    dynamodb: Any, governance: Governance, product: DataProduct, unit: units.Unit, catalogue: Catalogue
) -> bool:
    """Whether tables of the data product do not carry the tags that are decided for them: somebody assigned or removed
    some, or dropped a table and made it again; or a stricter tag of a person is not reported yet, or no more there."""
    tables = list(catalogue.tables[product.database].values())
    tags = catalogue.tags.setdefault(product.database, {})
    if not tables or not _differ(dynamodb, governance, product, unit, tables, tags):
        return False
    lf = client("lakeformation")
    catalogue.tags[product.database] = asked = {table.name: lakeformation.tags_of(lf, table) for table in tables}
    return _differ(dynamodb, governance, product, unit, tables, asked)


def _differ(
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    unit: units.Unit,
    tables: list[Table],
    observed: Mapping[str, AssignedTags],
) -> bool:
    database = next((tags.database for tags in observed.values()), {})
    kept = evidence_store.read_kept(client("s3"), product) if product.sample_content else {}
    ruled = decisions.by_rules(governance, product, unit, tables, kept)
    made = decisions.with_stricter(client("s3"), dynamodb, governance, product, unit, ruled, database, observed)
    stricter = {finding.subject for each in made for finding in each.findings if finding.code == STRICTER}
    reported = {finding["subject"] for finding in unit.findings if finding["code"] == STRICTER}
    return stricter != reported or bool(plan.plan_tags(governance, product, database, observed, made))


def grants_differ(dynamodb: Any, governance: Governance, settled: Iterable[Consumer]) -> Iterator[Consumer]:
    """The consumers whose grants in the central catalogue are not what they should be. Listed once, 1,000 a call."""
    settled = list(settled)
    if not settled:
        return
    central = own_account()
    accounts = {consumer.account for consumer in settled}
    rows = grants.observed(client("lakeformation"), central, accounts, grants.BY_TAG)
    for consumer in settled:
        made = grants.made(dynamodb, consumer.unit, central)
        if plan.plan_account_grants(governance, {consumer.account}, central, rows, made):
            yield consumer


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
