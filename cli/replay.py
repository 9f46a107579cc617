"""`tagmesh replay`: dead letters are delivered to where they should have gone, and only then taken from their queue.

A message that is delivered and not deleted, since this command broke off between, is delivered again by the next one:
nothing is lost, and whoever receives it twice does nothing the second time.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.dead_letters import Delivery, Letter, NotReplayable, deliver, delivery
from cli.status import ago

PREFIX, SUFFIX = "tagmesh-", "-dlq"
HELD = 300  # seconds for which a message that we look at is nobody else's
PATIENCE = 1  # seconds; without any not all servers are asked, and a queue looks empty that is not


class NoSuchQueue(Exception):
    """The account has no dead-letter queue, or none of that name; the text says which it has."""


@dataclass(frozen=True)
class Outcome:
    """What became of one message. ``to`` is its target's name, ``problem`` why it stays; "" where not known or none."""

    letter: Letter
    to: str
    problem: str
    replayed: bool


@dataclass(frozen=True)
class Queue:
    """A dead-letter queue, and what became of each of its messages."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many messages are still there."""
        return sum(not outcome.replayed for outcome in self.outcomes)

    @property
    def oldest(self) -> float:
        """Seconds since the oldest was first sent."""
        return max((outcome.letter.age for outcome in self.outcomes), default=0.0)


def of_account(clients: Callable[[str], Any], only: str | None, *, dry_run: bool) -> list[Queue]:
    """Replays every dead-letter queue of an account, or the one that is named; in a dry run only looks.

    Raises:
        NoSuchQueue: there is none, or none of that name.
    """
    sqs = clients("sqs")
    urls = _queues(sqs)
    if not urls:
        raise NoSuchQueue("no dead-letter queue of tagmesh here: is it the account of a mesh, and its Region?")
    if only is not None and only not in urls:
        raise NoSuchQueue(f"no dead-letter queue {only} here; there is {', '.join(urls)}")
    return [_queue(clients, name, url, dry_run) for name, url in urls.items() if only in (None, name)]


def _queues(sqs: Any) -> dict[str, str]:
    """Name -> URL of the dead-letter queues that our templates make."""
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=PREFIX, PaginationConfig={"PageSize": 1000})
    urls = {url.rsplit("/", 1)[-1]: url for page in pages for url in page.get("QueueUrls", [])}
    return {name: urls[name] for name in sorted(urls) if name.endswith(SUFFIX)}


def _queue(clients: Callable[[str], Any], name: str, url: str, dry_run: bool) -> Queue:
    sqs, queue = clients("sqs"), Queue(name)
    sources = tuple(sorted(_sources(sqs, url)))
    started: set[Delivery] = set()
    try:
        for letter in _letters(sqs, url):
            queue.outcomes.append(_outcome(clients, url, sources, letter, started, dry_run))
    finally:
        for outcome in queue.outcomes:
            if not outcome.replayed:
                _put_back(sqs, url, outcome.letter)
    return queue


def _sources(sqs: Any, url: str) -> list[str]:
    """ARNs of the queues that send here what was received too often."""
    pages = sqs.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=url)
    found = [source for page in pages for source in page.get("queueUrls", [])]
    asked = [sqs.get_queue_attributes(QueueUrl=source, AttributeNames=["QueueArn"]) for source in found]
    return [each["Attributes"]["QueueArn"] for each in asked]


def _letters(sqs: Any, url: str) -> Iterator[Letter]:
    """Each message once; it stays hidden until it is deleted or put back."""
    seen: set[str] = set()
    while True:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=HELD,
            WaitTimeSeconds=PATIENCE,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        new = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        if not new:
            return
        now = _now(answer)
        for message in new:
            seen.add(message["MessageId"])
            told = {name: each.get("StringValue", "") for name, each in message.get("MessageAttributes", {}).items()}
            age = max(now - int(message["Attributes"]["SentTimestamp"]) / 1000, 0)
            yield Letter(message["MessageId"], message["ReceiptHandle"], message["Body"], told, age)


def _now(answer: dict[str, Any]) -> float:
    """The time there: ages do not depend on this machine's clock."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date).timestamp() if date else time.time()


def _outcome(
    clients: Callable[[str], Any],
    url: str,
    sources: tuple[str, ...],
    letter: Letter,
    started: set[Delivery],
    dry_run: bool,
) -> Outcome:
    to = ""
    try:
        wanted = delivery(clients, sources, letter)
        to = wanted.name
        if dry_run:
            return Outcome(letter, to, "", replayed=False)
        if wanted not in started:  # many sweeps that were missed are one sweep now
            deliver(clients, wanted, letter)
        if wanted.service == "states":
            started.add(wanted)
        clients("sqs").delete_message(QueueUrl=url, ReceiptHandle=letter.receipt)
    except (NotReplayable, ClientError, BotoCoreError) as error:
        return Outcome(letter, to, str(error), replayed=False)
    return Outcome(letter, to, "", replayed=True)


def _put_back(sqs: Any, url: str, letter: Letter) -> None:
    try:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)
    except (ClientError, BotoCoreError):
        return  # it comes back by itself when the time is over


# ── What is said of it ──────────────────────────────────────────────────────────────────────────────────────


def lines(queues: list[Queue]) -> list[str]:
    """For people: what was there, of which age and error, and what became of it."""
    said: list[str] = []
    for queue in queues:
        count = len(queue.outcomes)
        if not count:
            said.append(f"{queue.name}: empty")
            continue
        said.append(f"{queue.name}: {_messages(count)}, the oldest {ago(queue.oldest)} old")
        groups: dict[tuple[str, ...], list[Outcome]] = {}
        for outcome in queue.outcomes:
            kind = (outcome.letter.origin, outcome.letter.error, outcome.to, outcome.problem, str(outcome.replayed))
            groups.setdefault(kind, []).append(outcome)
        for group in groups.values():
            said += _group(group)
    return said


def _group(group: list[Outcome]) -> list[str]:
    first = group[0]
    letter = first.letter
    what = f"of {letter.origin}" if letter.origin else "received too often"
    if letter.error:
        what += f", {letter.error}: {letter.attributes.get('ERROR_MESSAGE', '')}".rstrip(": ")
    if first.replayed:
        done = f"delivered to {first.to}"
    elif first.problem:
        done = f"left here: {first.problem}"
    else:
        done = f"would be delivered to {first.to}"
    return [f"  {len(group)} {what}", f"    {done}"]


def _messages(count: int) -> str:
    return f"{count} message" if count == 1 else f"{count} messages"


def as_json(queues: list[Queue], *, dry_run: bool) -> dict[str, Any]:
    """The same, as JSON has it. Bodies are not told: keys of objects may hold values of the data."""
    return {
        "dry_run": dry_run,
        "queues": [
            {
                "name": queue.name,
                "found": len(queue.outcomes),
                "replayed": len(queue.outcomes) - queue.left,
                "left": queue.left,
                "oldest_seconds": round(queue.oldest),
                "messages": [
                    {
                        "id": outcome.letter.id,
                        "age_seconds": round(outcome.letter.age),
                        "from": outcome.letter.origin or None,
                        "error": outcome.letter.error or None,
                        "error_message": outcome.letter.attributes.get("ERROR_MESSAGE"),
                        "to": outcome.to or None,
                        "replayed": outcome.replayed,
                        "problem": outcome.problem or None,
                    }
                    for outcome in queue.outcomes
                ],
            }
            for queue in queues
        ],
    }
