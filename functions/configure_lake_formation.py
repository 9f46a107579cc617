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
    """CloudFormation's custom-resource request; `ResourceProperties` name Administrator, Reader (a read-only
    administrator) and CrossAccountVersion."""
    custom_resource.answer(event, context, configure)


def configure(event: Mapping[str, Any]) -> dict[str, str]:
    """Writes the merged settings where they differ; on deletion, takes our administrators out again."""
    lf = client("lakeformation")
    properties = event["ResourceProperties"]
    administrator, reader = properties["Administrator"], properties["Reader"]
    settings = lf.get_data_lake_settings()["DataLakeSettings"]
    if event["RequestType"] == "Delete":
        lf.put_data_lake_settings(DataLakeSettings=lakeformation.settings_without(settings, administrator, reader))
        return {}

    def merged(present: Mapping[str, Any]) -> dict[str, Any]:
        return lakeformation.merged_settings(present, administrator, reader, properties["CrossAccountVersion"])

    if merged(settings) != lakeformation.writable(settings):
        lf.put_data_lake_settings(DataLakeSettings=merged(settings))
        logger.info("Lake Formation settings written", extra={"administrator": administrator, "reader": reader})
    kept = lf.get_data_lake_settings()["DataLakeSettings"]
    if merged(kept) != lakeformation.writable(kept):
        raise SettingsNotKept(f"the settings are {kept}, and should be {merged(settings)}")
    return {"CrossAccountVersion": kept["Parameters"]["CROSS_ACCOUNT_VERSION"]}
