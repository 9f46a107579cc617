"""Looks at a bounded sample of a data product's objects, and says which columns show what kinds of values.

No value leaves this process: neither evidence nor logs, answers or errors hold any.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from content import samples

logger = Logger()
metrics = Metrics()

#: Before the function's time is up, in milliseconds: what was found by then is written.
LEFT_FOR_WRITING = 15_000


class SampleFailed(Exception):
    """A defect. The error itself is not passed on: its message may hold what the data holds."""


@functools.cache
def client(service: str) -> Any:
    """A boto3 client of this function's own role, kept for the life of the process."""
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "max_attempts": 5}
    return boto3.client(service, config=Config(retries=retries, connect_timeout=5, read_timeout=20))


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{unit, token, correlation_id, request}` in; the same with `sampled` out: the keys of the request and of what the
    sample showed, in the governance bucket."""
    logger.set_correlation_id(event["correlation_id"])
    try:
        key = sample(event["request"], context)
    except Exception as error:  # noqa: BLE001 - whatever it is, its message must not get out
        raise SampleFailed(f"{type(error).__name__} at {_place(error)}") from None
    return {**{name: event[name] for name in ("unit", "token", "correlation_id", "request")}, "sampled": key}


def sample(request_key: str, context: Any) -> str:
    """Samples what a request asks for, and writes the evidence; its key."""
    s3, bucket = client("s3"), os.environ["GOVERNANCE_BUCKET"]
    request = json.loads(s3.get_object(Bucket=bucket, Key=request_key)["Body"].read())
    tables = samples.sample(s3, request, lambda: context.get_remaining_time_in_millis() < LEFT_FOR_WRITING)
    key = f"{request_key.removesuffix('.request.json')}.evidence.json"
    body = json.dumps({"unit": request["unit"], "tables": tables}, sort_keys=True).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    skipped = sum((Counter(table["skipped"]) for table in tables.values()), Counter())
    metrics.add_metric("ObjectsSkipped", MetricUnit.Count, skipped.total())
    logger.info(
        "content sampled",
        extra={
            "unit": request["unit"],
            "tables": len(tables),
            "not_reached": len(request["tables"]) - len(tables),
            "outcomes": dict(Counter(table["outcome"] for table in tables.values())),
            "objects": sum(table["objects"] for table in tables.values()),
            "skipped": dict(skipped),
            "columns": sum(len(table["columns"]) for table in tables.values()),
        },
    )
    return key


def _place(error: BaseException) -> str:
    """The line of ours, or of a library, that raised an error: file names and numbers hold no data."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno}" if traceback else "?"
