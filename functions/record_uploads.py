"""Counts uploads per data product, and starts a crawl where none is under way and one is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh.aws import governance_store, runs, units
from tagmesh.aws.session import client
from tagmesh.governance import DataProduct
from tagmesh.uploads import sort_uploads

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """An SQS batch in, `batchItemFailures` out: what could not be counted comes again, and then to the dead letters."""
    dynamodb = client("dynamodb")
    governance = governance_store.current(client("s3"), dynamodb)
    uploads, refused = sort_uploads(governance, event["Records"])
    if refused:
        for finding in refused:
            logger.warning("upload refused", extra={"subject": finding.subject, "reason": finding.message})
        metrics.add_metric("UploadsRefused", MetricUnit.Count, len(refused))
        units.add_refusals(dynamodb, [asdict(finding) for finding in refused])
    failed: list[str] = []
    for product, received in uploads.items():
        logger.set_correlation_id(received[0].event_id)
        try:
            count(dynamodb, product, {upload.folder for upload in received}, received[0].event_id)
        except Exception:
            logger.exception("uploads not counted", extra={"unit": product.unit})
            failed += [upload.message_id for upload in received]
        else:
            logger.info("uploads counted", extra={"unit": product.unit, "uploads": len(received)})
            metrics.add_metric("UploadsCounted", MetricUnit.Count, len(received))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def count(dynamodb: Any, product: DataProduct, folders: Iterable[str], correlation_id: str) -> None:
    """Asks for a crawl of the data product; starts it where it is due and no run holds the data product."""
    known = units.read(dynamodb, product.unit).folders
    new_folder = any(folder not in known for folder in folders if folder)
    unit = units.request(dynamodb, product.unit, correlation_id, hurry=new_folder)
    if runs.crawl_is_due(product, unit):
        runs.start_crawl(dynamodb, client("stepfunctions"), product, correlation_id)
