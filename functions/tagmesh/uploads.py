"""From S3 events to data products. Pure.

Trust the envelope, and only it: EventBridge sets `account` itself, so an event may speak for a bucket only if the
governance files join that account and that bucket. Nothing else of an event decides anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tagmesh.catalog import Finding
from tagmesh.governance import DataProduct, Governance

KINDS = ("Object Created", "Object Deleted")

#: The source of upload events that `tagmesh replay` puts on the bus again for a producer: AWS keeps its own for itself.
#: They are believed as much, since EventBridge sets their account too.
REPLAYED = "tagmesh.replay"
SOURCES = ("aws.s3", REPLAYED)


@dataclass(frozen=True)
class Upload:
    """One object that came or went. `folder` is the table folder that something came to; "" beside the folders, in a
    hidden one, and for what went."""

    message_id: str
    event_id: str
    folder: str


def is_hidden(folder: str) -> bool:
    """Whether queries leave a folder out. [Athena user guide, Create tables: hidden files]"""
    return folder[:1] in ("", "_", ".")


def sort_uploads(
    governance: Governance, records: Iterable[Mapping[str, Any]]
) -> tuple[dict[DataProduct, list[Upload]], list[Finding]]:
    """SQS records of S3 events -> uploads by data product, and a finding for each sender that is not believed."""
    uploads: dict[DataProduct, list[Upload]] = {}
    refused: dict[str, Finding] = {}
    for record in records:
        try:
            event = json.loads(record["body"])
            account, kind = event["account"], event["detail-type"]
            bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
            event_id, source = event["id"], event["source"]
            well_formed = all(isinstance(text, str) for text in (account, bucket, key, event_id))
        except (ValueError, KeyError, TypeError):
            well_formed = False
        if not well_formed or source not in SOURCES or kind not in KINDS:
            refused["events"] = Finding(
                "event-refused",
                "events",
                "a message in the uploads queue is no S3 event",
                "see who may send to the queue and to the mesh bus",
            )
            continue
        product = governance.find_data_product(account, bucket, key)
        if product is None:
            finding = refusal(governance, account, bucket)
            refused[finding.subject] = finding
            continue
        folder, slash, _ = key[len(product.prefix) :].partition("/")
        came = slash and kind == "Object Created" and not is_hidden(folder)
        upload = Upload(record["messageId"], event_id, folder if came else "")
        uploads.setdefault(product, []).append(upload)
    return uploads, list(refused.values())


def refusal(governance: Governance, account: str, bucket: str) -> Finding:
    """What to tell people about an upload that no data product expects."""
    subject = f"{account}/{bucket}"
    joined = [product for product in governance.data_products if product.bucket == bucket]
    if joined and joined[0].account != account:
        return Finding(
            "upload-refused",
            subject,
            f"account {account} announced an upload to {bucket}, which belongs to {joined[0].account}",
            f"if the bucket moved, change `account` in the file of producer {joined[0].producer}",
        )
    if joined:
        return Finding(
            "upload-outside-locations",
            subject,
            f"an upload to {bucket} lies in no data product's location",
            f"upload below {', '.join(product.location for product in joined)}, or add a data product for it",
        )
    return Finding(
        "upload-refused",
        subject,
        f"account {account} announced an upload to {bucket}, which no governance file names",
        f"add a data product with a location in {bucket} to a producer with account {account}",
    )
