"""Answering CloudFormation's custom-resource requests.

The answer is put to a presigned URL; a function that ends without answering holds the stack up for an hour.
[CloudFormation user guide, Custom resource response objects]
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger

logger = Logger(child=True)

LONGEST_REASON = 3000  # bytes; the whole answer may have 4096


def answer(event: Mapping[str, Any], context: Any, act: Callable[[Mapping[str, Any]], dict[str, str]]) -> None:
    """Runs `act` on the request, and tells CloudFormation its result (the resource's attributes) or its failure."""
    status, reason, attributes = "SUCCESS", "", {}
    try:
        attributes = act(event)
    except Exception as error:
        logger.exception("custom resource failed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    body = json.dumps(
        {
            "Status": status,
            "Reason": reason.encode()[:LONGEST_REASON].decode(errors="ignore") or "see the function's log",
            "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
            "Data": attributes,
        }
    ).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""})
    with urllib.request.urlopen(request, timeout=30):
        pass
