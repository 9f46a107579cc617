"""Starting the machines that bring one unit to what the governance says.

Everything that may start a run comes through here: uploads, the end of another run, the sweep.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

from tagmesh.approvals import Record
from tagmesh.aws import approval_store, stepfunctions, units
from tagmesh.governance import DataProduct, Governance, Withheld

LONGEST_WAIT = 86400


def crawl_is_due(product: DataProduct, unit: units.Unit) -> bool:
    """Whether a crawl that was asked for may start now: each is billed for at least ten minutes, so a data product
    is crawled at most so often, the first time and for a new folder at once."""
    return unit.dirty > unit.done and time.time() >= due_at(product, unit)


def due_at(product: DataProduct, unit: units.Unit) -> float:
    """From when on a crawl that was asked for may start: seconds since 1970."""
    wait = crawls_again_after(product, unit.failures) if unit.failures else product.crawl_at_most_every
    return 0.0 if unit.hurry or unit.crawled_at == 0 else unit.crawled_at + wait


def crawls_again_after(product: DataProduct, failures: int) -> int:
    """Seconds from the start of a crawl that failed, the last of so many in a row, to the next: each time twice as
    long, up to a day."""
    return max(product.crawl_at_most_every, min(product.crawl_at_most_every * 2 ** min(failures - 1, 20), LONGEST_WAIT))


def start_crawl(dynamodb: Any, sfn: Any, product: DataProduct, correlation_id: str) -> bool:
    """Starts the crawl machine where no run holds the data product; whether it did."""
    return _start(dynamodb, sfn, os.environ["CRAWL_MACHINE_ARN"], product.unit, "preparing", correlation_id)


def start_publish(dynamodb: Any, sfn: Any, unit: str, correlation_id: str) -> bool:
    """Starts the publish machine where no run holds the data product; whether it did. One that has left the governance
    files is closed by it."""
    return _start(dynamodb, sfn, os.environ["PUBLISH_MACHINE_ARN"], unit, "publishing", correlation_id)


def resume_publish(sfn: Any, product: DataProduct) -> None:
    """Starts the publish machine for a crawl whose completion event was lost. Where it comes late or twice, the unit
    has been taken over, and it ends at once."""
    event_id = str(uuid.uuid4())
    payload = {"crawler": product.crawler, "state": "Succeeded", "event_id": event_id}
    stepfunctions.start_named(sfn, os.environ["PUBLISH_MACHINE_ARN"], f"resumed-{event_id}", payload)


def start_share(dynamodb: Any, sfn: Any, unit: str, correlation_id: str) -> bool:
    """Starts the share machine where no run holds the consumer; whether it did."""
    return _start(dynamodb, sfn, os.environ["SHARE_MACHINE_ARN"], unit, "sharing", correlation_id)


def start_approve(
    dynamodb: Any, sfn: Any, withheld: Withheld, record: Record | None, version: str, correlation_id: str
) -> bool:
    """Starts the machine that asks for an approval, or carries out what is decided; whether it did: not where another
    one was started, or something decided, since `record` was read."""
    attempt = approval_store.begin_asking(dynamodb, withheld, record, version)
    if attempt is None:
        return False
    payload = {"key": withheld.key, "attempt": attempt, "unit": f"consumer/{withheld.consumer}"}
    payload["correlation_id"] = correlation_id
    stepfunctions.start(sfn, os.environ["APPROVE_MACHINE_ARN"], f"approval/{withheld.key}", attempt, payload)
    return True


def start_waiting_shares(
    dynamodb: Any, sfn: Any, governance: Governance, known: Mapping[str, units.Unit], correlation_id: str
) -> None:
    """Starts the shares of consumers whose grants waited for the tags of data products, if those are all there."""
    if units.not_tagged(known, governance):
        return
    for consumer in governance.consumers:
        if known.get(consumer.unit, units.Unit(consumer.unit)).version != governance.version_of(consumer.unit):
            start_share(dynamodb, sfn, consumer.unit, correlation_id)


def note_revoked(
    dynamodb: Any, sfn: Any, governance: Governance, lease: units.Lease, unit: units.Unit, correlation_id: str
) -> None:
    """Notes that this version's revocations of a consumer are done, and lets data products go on that waited for them
    to open."""
    version = governance.version_of(lease.unit)
    if unit.revoked == version:
        return
    units.advance(dynamodb, lease, "sharing", revoked={"S": version})
    known = units.read_all(dynamodb)
    if not units.not_revoked(known, governance):
        behind = units.not_tagged(known, governance)
        for product in governance.data_products:
            if product.unit in behind:
                start_publish(dynamodb, sfn, product.unit, correlation_id)


def _start(dynamodb: Any, sfn: Any, machine_arn: str, unit: str, phase: str, correlation_id: str) -> bool:
    lease = units.acquire(dynamodb, unit, phase)
    if lease is None:
        return False  # the run that holds it goes round
    try:
        payload = {"unit": unit, "token": lease.token, "correlation_id": correlation_id}
        stepfunctions.start(sfn, machine_arn, unit, lease.token, payload)
    except BaseException:
        units.release(dynamodb, lease)  # so that a retry can start it
        raise
    return True
