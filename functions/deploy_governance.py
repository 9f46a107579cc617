"""Custom resource: writes mesh/, as deployed with this code, to the governance bucket when it changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from tagmesh import custom_resource
from tagmesh.aws import governance_store
from tagmesh.aws.session import client
from tagmesh.governance import digest_of, load, read_folder

logger = Logger()

MESH = Path(__file__).parent / "mesh"


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: Any) -> None:
    """CloudFormation's custom-resource request; its properties only say that something may have changed."""
    custom_resource.answer(event, context, deploy)


def deploy(event: Mapping[str, Any]) -> dict[str, str]:
    """Writes the bundle unless it is what was deployed last: what somebody applied since then stays.

    Raises:
        GovernanceError: mesh/ has mistakes; the deployment fails with all of them.
    """
    if event["RequestType"] == "Delete":
        return {}
    dynamodb = client("dynamodb")
    files = read_folder(MESH)
    digest = digest_of(files)
    if governance_store.version_deployed(dynamodb) == digest:
        return {"Version": digest}
    load(files)
    governance_store.write_bundle(client("s3"), files)
    governance_store.note_deployed(dynamodb, digest)
    logger.info("governance deployed", extra={"version": digest, "files": len(files)})
    return {"Version": digest}
