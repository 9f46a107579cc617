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
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from tagmesh.catalog import Finding
from tagmesh.governance import Consumer, Governance, LFTagKey, Subscription, Withheld

#: Characters of a key that are shown: enough to type, and to tell some thousand keys from one another.
SHOWN = 12
#: How much is told of what an approval would open: SNS takes 262,144 bytes a message.
TABLES_TOLD, COLUMNS_TOLD, BYTES_TOLD = 40, 20, 200_000


@dataclass(frozen=True)
class Decision:
    """What a person decided: ``by`` is the caller's ARN, ``at`` seconds since 1970, ``version`` the digest of the
    governance in force."""

    approved: bool
    by: str
    at: int
    version: str
    reason: str = ""

    def __str__(self) -> str:
        because = f": {self.reason}" if self.reason else ""
        return f"{'approved' if self.approved else 'denied'} by {self.by} on {moment(self.at)}{because}"


@dataclass(frozen=True)
class Record:
    """What the ledger has of one key: what it was asked for (``about``), when last, until when an answer is waited for,
    and by which governance version; every decision, the last of which counts. ``token`` ends the machine that waits."""

    about: str
    attempt: int = 0
    asked_at: int = 0
    asked_until: int = 0
    version: str = ""
    token: str = field(default="", repr=False)
    decisions: tuple[Decision, ...] = ()

    @property
    def decision(self) -> Decision | None:
        return self.decisions[-1] if self.decisions else None

    @property
    def approved(self) -> bool:
        return self.decision is not None and self.decision.approved


def moment(at: float) -> str:
    """A time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


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


def concerned(governance: Governance) -> list[Withheld]:
    """Every subscription of the governance in force that waits for approval, or has it."""
    found = [each for each in governance.withheld if each.key]
    for consumer in governance.consumers:
        for subscription in consumer.subscriptions:
            if needs := reaches(governance.keys, subscription):
                key = key_of(consumer, subscription)
                found.append(Withheld(consumer.name, consumer.account, consumer.owner, subscription, key, needs))
    return found


def required(governance: Governance) -> dict[str, Withheld]:
    """key -> what it approves. Subscriptions of a consumer that differ in name alone have one key."""
    return {each.key: each for each in concerned(governance)}


def waiting(governance: Governance) -> dict[str, Withheld]:
    """key -> what waits for its approval."""
    return {each.key: each for each in governance.withheld if each.key}


def to_ask(governance: Governance, records: Mapping[str, Record], now: float) -> list[Withheld]:
    """What a person is to be asked for: nobody has decided, and no answer is waited for."""

    def undecided(record: Record | None) -> bool:
        return record is None or (record.decision is None and record.asked_until < now)

    return [each for key, each in waiting(governance).items() if undecided(records.get(key))]


def amiss(governance: Governance, records: Mapping[str, Record]) -> list[Withheld]:
    """Those of which not what the ledger says is in force: approved there and waiting, or the other way round."""
    waits = waiting(governance)

    def approved(key: str) -> bool:
        return key in records and records[key].approved

    return [each for key, each in required(governance).items() if approved(key) is (key in waits)]


def findings(governance: Governance, records: Mapping[str, Record], consumer: str) -> list[Finding]:
    """What people must decide of a consumer's subscriptions, or have decided against: one for each that gives nothing
    for want of an approval."""
    return [
        _finding(each, records.get(each.key)) for each in governance.withheld if each.key and each.consumer == consumer
    ]


def _finding(withheld: Withheld, record: Record | None) -> Finding:
    subject, key = subject_of(withheld), withheld.key[:SHOWN]
    asks = f"for {_whom(withheld)}, it reaches {_reached(withheld)}"
    if record is not None and record.decision is not None and not record.approved:
        mend = f"change or remove the subscription, or run: tagmesh approve {key}"
        return Finding("approval-denied", subject, f"{record.decision}; {asks}", mend)
    asked = (
        f"; asked on {moment(record.asked_at)}, on the topic tagmesh-approvals" if record and record.asked_at else ""
    )
    message = f"waits for approval {key}: {asks}{asked}"
    return Finding("waits-for-approval", subject, message, f"run: tagmesh approve {key}, or: tagmesh deny {key}")


def notices(governance: Governance, consumer: str) -> list[Finding]:
    """What has ended by itself of a consumer's subscriptions: nobody must do anything."""
    return [
        Finding(
            "subscription-expired",
            subject_of(each),
            f"expired on {each.subscription.expires}: it gives {_whom(each)} nothing any more",
            "remove it, or write another day",
        )
        for each in governance.withheld
        if not each.key and each.consumer == consumer
    ]


def subject_of(withheld: Withheld) -> str:
    """``consumer/subscription``, as the commands take it."""
    return f"{withheld.consumer}/{withheld.subscription.name}"


def _whom(withheld: Withheld) -> str:
    return ", ".join(map(str, withheld.subscription.principals))


def _reached(withheld: Withheld) -> str:
    return ", ".join(f"{name}={value}" for name, value in withheld.reaches)


def letter(
    withheld: Withheld, opens: Mapping[str, Mapping[str, Iterable[str]]], version: str, central: str
) -> tuple[str, str]:
    """Subject and text of what people are told when they are asked.

    Args:
        opens: database -> table -> columns that the subscription would open, as far as is known.
        version: the governance version that asks.
        central: the central account, where the commands are to be run.
    """
    key, subscription = withheld.key[:SHOWN], withheld.subscription
    tables = [
        f"  {database}.{table}: {_some(sorted(columns), COLUMNS_TOLD, 'columns')}"
        for database, found in sorted(opens.items())
        for table, columns in sorted(found.items())
    ]
    more = [f"  ... and {len(tables) - TABLES_TOLD} more tables"] if len(tables) > TABLES_TOLD else []
    owner = f", owner {withheld.owner}" if withheld.owner else ""
    expires = f", until {subscription.expires}" if subscription.expires else ""
    text = [
        f"The consumer {withheld.consumer} (account {withheld.account}{owner}) asks to read {_reached(withheld)}.",
        "",
        f"To decide, with credentials of the central account {central}:",
        f"  tagmesh approve {key}",
        f"  tagmesh deny {key} --reason '...'",
        "",
        f"Subscription  {subject_of(withheld)}{expires}",
        f"Permissions   {', '.join(subscription.permissions)}",
        "Expression    " + " AND ".join(f"{name}={'|'.join(values)}" for name, values in subscription.table_expression),
        f"Governance    version {version[:SHOWN]}",
        f"Principals    {_whom(withheld)}",
        "",
        "It would open, of what is published now:" if tables else "It would open nothing of what is published now.",
        *tables[:TABLES_TOLD],
        *more,
    ]
    told = "\n".join(text).encode()
    cut = told if len(told) <= BYTES_TOLD else told[:BYTES_TOLD] + b"\n..."
    return f"tagmesh: consumer {withheld.consumer} asks for approval", cut.decode(errors="ignore")


def _some(names: list[str], most: int, what: str) -> str:
    more = f" and {len(names) - most} more {what}" if len(names) > most else ""
    return ", ".join(names[:most]) + more
