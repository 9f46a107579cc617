"""Which subscriptions of the governance files give nothing yet, or no more: those that wait for a person's approval,
and those that have expired. Pure.

A value of an LF-Tag with ``approval: required`` is read by nobody until a person has approved exactly that: this
expression, these permissions, these principals of this consumer. Any other expression or principal has another key, so
an approval never covers more than was seen.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from tagmesh.governance import Consumer, Governance, LFTagKey, Subscription, Withheld


def today() -> str:
    """The day, in UTC, as the governance files have theirs: ``2027-03-31``."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def key_of(consumer: Consumer, subscription: Subscription) -> str:
    """What an approval is kept under (32 hex characters): the same for the same completed expression, permissions and
    principals of the same consumer and account, in whatever order and under whatever name; another for any other."""
    said = [
        consumer.name,
        consumer.account,
        sorted([name, sorted(values)] for name, values in subscription.table_expression),
        sorted(subscription.permissions),
        sorted([principal.kind, principal.name] for principal in subscription.principals),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def reaches(keys: Mapping[str, LFTagKey], subscription: Subscription) -> tuple[tuple[str, str], ...]:
    """The (LF-Tag, value) pairs of the completed expression that need approval."""
    return tuple(
        (name, value)
        for name, values in subscription.table_expression
        for value in values
        if value in keys[name].approval
    )


def expired(files: Governance, day: str) -> frozenset[str]:
    """The subscriptions of the files, as ``consumer/subscription``, that have expired on a day."""
    return frozenset(_named(c, s) for c in files.consumers for s in c.subscriptions if s.expires and s.expires < day)


def approved_of(files: Governance, approved: Collection[str]) -> frozenset[str]:
    """Those of the approved keys that a subscription of the files asks for."""
    asked = {key_of(c, s) for c in files.consumers for s in c.subscriptions if reaches(files.keys, s)}
    return frozenset(asked.intersection(approved))


def in_force(files: Governance, approved: Collection[str], gone: Collection[str]) -> Governance:
    """The governance in force: the files without what waits for approval or has expired, which stands in ``withheld``.

    Args:
        files: the governance as it was loaded.
        approved: the keys that are approved.
        gone: what has expired (``expired``).
    """
    withheld: list[Withheld] = []
    consumers = []
    for consumer in files.consumers:
        held = {s.name: kept for s in consumer.subscriptions if (kept := _withheld(files, consumer, s, approved, gone))}
        withheld += held.values()
        left = tuple(s for s in consumer.subscriptions if s.name not in held)
        consumers.append(replace(consumer, subscriptions=left) if held else consumer)
    days = [s.expires for c in files.consumers for s in c.subscriptions if s.expires and _named(c, s) not in gone]
    return replace(files, consumers=tuple(consumers), withheld=tuple(withheld), holds_until=min(days, default=""))


def _withheld(
    files: Governance, consumer: Consumer, subscription: Subscription, approved: Collection[str], gone: Collection[str]
) -> Withheld | None:
    about = (consumer.name, consumer.account, consumer.owner, subscription)
    if _named(consumer, subscription) in gone:
        return Withheld(*about)
    needs = reaches(files.keys, subscription)
    key = key_of(consumer, subscription) if needs else ""
    return Withheld(*about, key, needs) if needs and key not in approved else None


def _named(consumer: Consumer, subscription: Subscription) -> str:
    return f"{consumer.name}/{subscription.name}"
