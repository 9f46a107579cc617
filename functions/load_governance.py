"""Checks the newest governance version whole: puts it in force, or refuses it with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh.aws import events, governance_store, units
from tagmesh.aws.session import client
from tagmesh.catalog import Finding
from tagmesh.governance import GovernanceError, digest_of, load

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{reason}` of the sweep in; `{version, changed, everything}` out, where version is the one in force.

    What is newest the bucket says; `everything` where a person asked for the sweep (`tagmesh sweep`)."""
    return {**load_newest(), "everything": event.get("reason") == "hand"}


def load_newest() -> dict[str, Any]:
    """Puts the newest version in force, or refuses it: `{version, changed}`."""
    s3, dynamodb = client("s3"), client("dynamodb")
    in_force = governance_store.version_in_force(dynamodb)
    files = governance_store.read_bundle(s3)
    if files is None:
        logger.info("no governance yet")
        return {"version": in_force, "changed": False}
    if digest_of(files) == in_force:
        return {"version": in_force, "changed": False}
    try:
        governance = load(files)
    except GovernanceError as error:
        refuse(dynamodb, digest_of(files), error)
        return {"version": in_force, "changed": False}
    if not governance_store.put_in_force(s3, dynamodb, governance, files, in_force):
        return {"version": governance_store.version_in_force(dynamodb), "changed": True}
    units.note_findings(dynamodb, "governance", [])
    logger.info("governance in force", extra={"version": governance.digest, "before": in_force})
    return {"version": governance.digest, "changed": True}


def refuse(dynamodb: Any, digest: str, error: GovernanceError) -> None:
    """Leaves the last good version in force, and says what is wrong and where: once a version."""
    findings = [
        asdict(
            Finding(
                "governance-refused",
                f"{problem.file}:{problem.line}:{problem.column}",
                f"{problem.message} (version {digest[:12]}; the last good version stays in force)",
                problem.mend or "correct the file and deploy or apply the folder again",
            )
        )
        for problem in error.problems[:50]
    ]
    logger.error(
        "governance refused",
        extra={"version": digest, "problems": len(error.problems), "first": str(error.problems[0])},
    )
    metrics.add_metric("GovernanceRefused", MetricUnit.Count, 1)
    if list(units.read(dynamodb, "governance").findings) == findings:
        return
    units.note_findings(dynamodb, "governance", findings)
    events.governance_refused(client("events"), digest, [str(problem) for problem in error.problems])
