"""Taking back what was made for a data product that is no more in the mesh.

One that has left the governance files is closed, and what its crawls needed is taken back: the crawler, its grants, the
registered location. Its database, its tables and its data stay. Of one that the files say is dropped, the tables that
its crawls made go too, and the database. Its data is the producer's, and is never touched.

What is removed is ours twice over: the ledger has it, since `note_made`, and the thing itself says so: a crawler and a
location by their role, a database by its parameter, a table by the crawler that made it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger

from tagmesh import plan
from tagmesh.aws import glue, governance_store, lakeformation, ledger, published, runs, units
from tagmesh.aws.session import client
from tagmesh.catalog import Finding
from tagmesh.governance import DataProduct, Governance

logger = Logger(child=True)

NOT_REACHABLE = "consumer-not-reachable"  # a finding of link_consumer
DATABASE, CRAWLER, LOCATION = "database/", "crawler/", "location/"  # what keys of the ledger begin with


def note_made(dynamodb: Any, product: DataProduct, version: str) -> None:
    """Puts into the ledger, before they are made, what crawls of a data product need."""
    for made in (
        f"{LOCATION}{lakeformation.location_arn(product)}",
        f"{DATABASE}{product.database}",
        f"{CRAWLER}{product.crawler}",
    ):
        ledger.record(dynamodb, product.unit, made, made.partition("/")[0], {}, "crawl", version)


def take_back(dynamodb: Any, governance: Governance, lease: units.Lease, unit: units.Unit) -> None:
    """Closes the data product of the lease, which has left the governance files or is dropped, and takes back what was
    made for it. What has to wait (a crawl that runs, links to a database that is dropped) the sweep does later.

    Everybody loses what they read by the first call, which gives the database every default. Each later call removes
    something that nobody reads; before each, lease and governance version are checked. What is gone leaves the ledger
    after it, so a run that breaks off is done again from where it was.

    Raises:
        LeaseLost: another run holds the data product.
        GovernanceChanged: another version is in force.
    """
    version = governance.version_of(lease.unit)
    _, producer, name = lease.unit.split("/", 2)
    left = DataProduct(producer, name, "", "", "")
    units.begin_changes(dynamodb, lease, "publishing", unit, version)
    close(governance, left)
    published.write(client("s3"), left, ())
    units.forget_crawls(dynamodb, lease, "publishing")
    dropped = lease.unit in governance.dropped
    waits_for = linked(dynamodb, governance, left.database) if dropped else []
    ready, findings = False, []
    if not waits_for:
        ready, findings = remove(dynamodb, governance, lease, left, dropped)
    if ready and dropped and not findings:
        units.remove(dynamodb, lease)
    else:
        units.finish(
            dynamodb,
            lease,
            covered=False,
            findings=[asdict(finding) for finding in findings],
            version=version if ready else "",
            wrote=False,
        )
    logger.info(
        "data product dropped" if dropped else "data product closed",
        extra={"unit": lease.unit, "whole": ready, "findings": len(findings), "waits_for": waits_for},
    )
    known = units.read_all(dynamodb)
    runs.start_waiting_shares(dynamodb, client("stepfunctions"), governance, known, str(uuid.uuid4()))


def close(governance: Governance, left: DataProduct) -> None:
    """Gives the database every default, so that no subscription reaches its tables any more. Where a resource link has
    its name by now, there is none to close, and links carry no LF-Tags."""
    lf, found = client("lakeformation"), glue.database(client("glue"), left.database)
    if found is not None and "TargetDatabase" not in found:
        for action in plan.plan_database_tags(governance, left, lakeformation.tags_of_database(lf, left.database)):
            lakeformation.tag_database(lf, action.database, action.tags)


def linked(dynamodb: Any, governance: Governance, database: str) -> list[str]:
    """The consumers in whose accounts links of ours to a database may be left: their shares take them away. One that
    cannot be reached holds up itself alone; its links go when it can be."""
    found = []
    for name, unit in units.read_all(dynamodb).items():
        if not name.startswith("consumer/") or unit.version == governance.version_of(name):
            continue
        if any(finding["code"] == NOT_REACHABLE for finding in unit.findings):
            continue
        entries = ledger.made_by(dynamodb, name).values()
        if any(entry["kind"] == "link" and entry["detail"]["database"] == database for entry in entries):
            found.append(name)
    return sorted(found)


def remove(
    dynamodb: Any, governance: Governance, lease: units.Lease, left: DataProduct, dropped: bool
) -> tuple[bool, list[Finding]]:
    """Takes back what the ledger has: the crawler, then, if it is dropped, tables and database, then the location;
    whether all was tried, and what had to stay."""

    def check() -> None:
        units.holds(dynamodb, lease)
        governance_store.check_in_force(dynamodb, governance)

    made = ledger.made_by(dynamodb, lease.unit)
    findings: list[Finding] = []
    for key in _of(made, CRAWLER):
        if not remove_crawler(left, check):
            return False, []
        ledger.forget(dynamodb, lease.unit, key)
    if dropped:
        findings = remove_database(left, bool([*_of(made, DATABASE)]), check)
        if not findings:
            for key in (*_of(made, DATABASE), *_of(made, "tags/")):
                ledger.forget(dynamodb, lease.unit, key)
    for key in _of(made, LOCATION):
        arn = key.removeprefix(LOCATION)
        others = [each for each in governance.data_products if lakeformation.location_arn(each) == arn]
        if others:  # it stays, and is theirs now
            ledger.record(dynamodb, others[0].unit, key, "location", {}, "crawl", governance.digest)
        else:
            release_location(arn, check)
        ledger.forget(dynamodb, lease.unit, key)
    return True, findings


def _of(made: Mapping[str, Any], kind: str) -> Iterator[str]:
    return (key for key in made if key.startswith(kind))


def remove_crawler(left: DataProduct, check: Callable[[], None]) -> bool:
    """Deletes the data product's crawler, its classifier, and what the crawler may do in the database; False where it
    runs. From here on nothing makes tables."""
    catalogue, role = client("glue"), os.environ["CRAWLER_ROLE_ARN"]
    there = glue.crawler(catalogue, left.crawler)
    if there is not None and there.role == role.rpartition("/")[2]:
        check()
        if there.state != "READY" or not glue.delete_crawler(catalogue, left.crawler):
            return False
        check()
        glue.delete_classifier(catalogue, left.crawler)
    database = glue.database(catalogue, left.database)
    if database is not None and "TargetDatabase" not in database:
        check()
        lakeformation.revoke_all(client("lakeformation"), role, {"Database": {"Name": left.database}})
    return True


def remove_database(left: DataProduct, ours: bool, check: Callable[[], None]) -> list[Finding]:
    """Deletes the tables that the data product's crawls made, and the database if we made it and nothing else is in it.

    Args:
        ours: the ledger says that we made it.
    """
    catalogue = client("glue")
    database = glue.database(catalogue, left.database)
    if database is None:
        return []
    if "TargetDatabase" in database:  # nothing is ever deleted through a link
        return [kept(left, "a resource link has its name by now")]
    names = [table.name for table in glue.tables(catalogue, left.database) if table.crawler == left.crawler]
    for start in range(0, len(names), glue.TABLES_A_CALL):
        check()
        glue.delete_tables(catalogue, left.database, names[start : start + glue.TABLES_A_CALL])
    others = sorted(table.name for table in glue.tables(catalogue, left.database))
    if ours and glue.is_ours(left, database):
        if not others:
            check()
            glue.delete_database(catalogue, left.database)
            return []
        because = f"no crawl of ours made its tables {', '.join(others[:5])}{', ...' if len(others) > 5 else ''}"
    else:
        because = "it was there before its first crawl" + (f", and it holds {len(others)} tables" if others else "")
    return [kept(left, because)]


def kept(left: DataProduct, because: str) -> Finding:
    """What people are told where a database that is dropped has to stay."""
    return Finding(
        "database-kept",
        left.database,
        f"{left.unit} is dropped, but its database stays: {because}",
        "delete what nobody needs; the sweep then goes on. Or, to keep it, remove the data product from its "
        "producer's file",
    )


def release_location(arn: str, check: Callable[[], None]) -> None:
    """Revokes the crawler's access to a registered location, and deregisters it if it is registered with our role."""
    lf = client("lakeformation")
    role = lakeformation.registered_with(lf, arn)
    if role is None:
        return
    check()
    lakeformation.revoke_all(lf, os.environ["CRAWLER_ROLE_ARN"], {"DataLocation": {"ResourceArn": arn}})
    if role == os.environ["REGISTRATION_ROLE_ARN"]:
        check()
        lakeformation.deregister(lf, arn)
