"""Starts the share of a consumer of which something was approved or denied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from tagmesh.aws import runs, units
from tagmesh.aws.session import client

logger = Logger()


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{unit, correlation_id}` in; the same, and whether a run was started, out: one that is under way goes round."""
    logger.set_correlation_id(event["correlation_id"])
    dynamodb = client("dynamodb")
    units.request(dynamodb, event["unit"], event["correlation_id"])
    started = runs.start_share(dynamodb, client("stepfunctions"), event["unit"], event["correlation_id"])
    logger.info("share asked for", extra={"unit": event["unit"], "started": started})
    return {**event, "started": started}
