"""Custom resource: merges the mesh's needs into the account's Lake Formation settings, and checks that they hold.

CloudFormation's own type replaces administrators and ignores empty lists of default permissions.
[aws-cloudformation/cloudformation-coverage-roadmap#2197]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from tagmesh import custom_resource
from tagmesh.aws import lakeformation
from tagmesh.aws.session import client

logger = Logger()


class SettingsNotKept(Exception):
    """Lake Formation answered well and holds other settings all the same."""


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: Any) -> None:
    """CloudFormation's custom-resource request; `ResourceProperties` name Administrator and CrossAccountVersion."""
    custom_resource.answer(event, context, configure)


def configure(event: Mapping[str, Any]) -> dict[str, str]:
    """Writes the merged settings where they differ; on deletion, takes our administrator out again."""
    lf = client("lakeformation")
    properties = event["ResourceProperties"]
    administrator = properties["Administrator"]
    settings = lf.get_data_lake_settings()["DataLakeSettings"]
    if event["RequestType"] == "Delete":
        left = [
            entry
            for entry in settings.get("DataLakeAdmins", [])
            if entry["DataLakePrincipalIdentifier"] != administrator
        ]
        lf.put_data_lake_settings(DataLakeSettings={**lakeformation.writable(settings), "DataLakeAdmins": left})
        return {}
    merged = lakeformation.merged_settings(settings, administrator, properties["CrossAccountVersion"])
    if merged != lakeformation.writable(settings):
        lf.put_data_lake_settings(DataLakeSettings=merged)
        logger.info("Lake Formation settings written", extra={"administrator": administrator})
    kept = lf.get_data_lake_settings()["DataLakeSettings"]
    if lakeformation.merged_settings(kept, administrator, properties["CrossAccountVersion"]) != lakeformation.writable(
        kept
    ):
        raise SettingsNotKept(f"the settings are {kept}, and should be {merged}")
    return {"CrossAccountVersion": kept["Parameters"]["CROSS_ACCOUNT_VERSION"]}
