"""The mesh of tests/convergence, with every API call written down: who made it, in which run, and what began that run.

From that follow counts, and a time: the same calls played again, each as long as a round trip, runs side by side as
they start each other, and each account's Lake Formation and Glue taking so many calls a second.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from typing import Any
from unittest import mock

from convergence.doubles import CENTRAL
from convergence.ends import WRITES
from convergence.mesh_in_process import MeshInProcess, Schema
from tagmesh.aws import glue, lakeformation
from tagmesh.governance import DataProduct

from local_aws.crawlers.crawl import table_input
from local_aws.glue.glue_tables import Table
from local_aws.lakeformation import lf_grants
from local_aws.lakeformation.lf_model import TableResource

CATALOGUE = ("lakeformation", "glue", "ram", "sts", "iam", "organizations")
"""Services whose calls count. Those of the state beside them (DynamoDB, S3, Step Functions, EventBridge, Lambda) are
counted apart; that a producer's bucket is listed counts."""
TABLE_READS = {"glue:GetTables", "lakeformation:SearchTablesByLFTags", "lakeformation:GetResourceLFTags (table)"}


@dataclass(frozen=True)
class Call:
    """One API call: `name` is `glue:GetTables`; `of` the account that made it; `function` "" where a machine did."""

    name: str
    of: str
    function: str
    writes: bool

    @property
    def service(self) -> str:
        return self.name.partition(":")[0]

    @property
    def counts(self) -> bool:
        return self.service in CATALOGUE or self.name == "s3:ListObjectsV2"

    @property
    def kind(self) -> str:
        """What throttles take together: `lakeformation writes`, `glue reads`."""
        return f"{self.service} {'writes' if self.writes else 'reads'}"


@dataclass
class Work:
    """One execution, one delivery of uploads, or one crawl: what set it going (`after` so many calls of `parent`), and
    its calls."""

    kind: str
    parent: Work | None = None
    after: int = 0
    calls: list[Call] = field(default_factory=list)
    transitions: int = 0


class CountedMesh(MeshInProcess):
    """A MeshInProcess that remembers all work, in the order in which it was begun."""

    def __enter__(self) -> CountedMesh:
        self.work: list[Work] = []
        self._at: Work | None = None
        self._function = ""
        super().__enter__()
        # Lists of grants are sorted for each page: by keys that are made once a resource.
        self._closing.enter_context(mock.patch.object(lf_grants, "_key", cache(lf_grants._key)))
        self.on_call.append(self._note)
        handlers = self._doubles["lambda"]._handlers
        for name, handler in handlers.items():
            handlers[name] = partial(self._in_function, name, handler)
        return self

    # -- what is written down

    def _note(self, service: str, operation: str, params: dict, caller: Any) -> None:
        if self._at is None or caller.principal.endswith("role/tagmesh-crawler"):
            return  # a test looks, or Glue itself works
        name = f"{service}:{operation}"
        if operation in ("GetResourceLFTags", "AddLFTagsToResource"):
            name += f" ({'database' if 'Database' in params['Resource'] else 'table'})"
        writes = operation.startswith(WRITES) and service != "events"
        self._at.calls.append(Call(name, caller.account, self._function, writes))

    def _in_function(self, name: str, handler: Callable[..., Any], *given: Any) -> Any:
        before, self._function = self._function, name
        try:
            return handler(*given)
        finally:
            self._function = before

    @contextmanager
    def _doing(self, work: Work) -> Iterator[None]:
        before, self._at = self._at, work
        self.work.append(work)
        try:
            yield
        finally:
            self._at = before

    def _following(self, kind: str, do: Callable[[], Any]) -> Callable[[], Any]:
        """The same, as work that what happens now has set going."""
        work = Work(kind, self._at, len(self._at.calls) if self._at else 0)

        def doing() -> Any:
            with self._doing(work):
                return do()

        return doing

    # -- what there is of a mesh, with its origin

    def _start(self, machine: str, name: str, given: dict[str, Any]) -> None:
        self.executions.append(self._following(machine, partial(self.execute, machine.removeprefix("tagmesh-"), given)))

    def execute(self, machine: str, given: dict[str, Any]) -> Any:
        if self._at is None or not self._at.kind.endswith(machine):  # a test's own
            return self._following(f"tagmesh-{machine}", partial(self.execute, machine, given))()
        before = self.transitions
        try:
            return super().execute(machine, given)
        finally:
            self._at.transitions += self.transitions - before

    def _submit(self, work: Callable[..., Any], *args: Any) -> None:
        self.crawls.append(self._following("crawl of Glue", partial(work, *args)))

    def completed(self, crawler: str, state: str) -> None:
        super().completed(crawler, state)
        self.events.append(self._following("event", self.events.pop()))

    def deliver(self, account: str, bucket: str, key: str, received: int = 1) -> None:
        work = self._following("uploads", partial(super().deliver, account, bucket, key, received))
        self._in_function("record_uploads", work)

    # -- large estates

    def crawl_at_once(self, columns: Schema, tags: Mapping[str, Mapping[str, str]]) -> None:
        """From here on a crawl makes its tables at once, past Glue's API: a table for each folder, all with the same
        columns. These carry their tags already (column -> key -> value): a publish run finds nothing to assign."""
        crawlers, catalogue = self.world.engines["closedcrawlers"], self.world.engines["glue"]

        def crawl(caller: Any, crawler: Any, crawl: Any, settings: Any, targets: Any) -> None:
            database = catalogue.lookup.find(CENTRAL, settings.database)
            like: dict[str, Any] = {}
            for target in targets:
                name = target.path.rstrip("/").rpartition("/")[2]
                if name in database.tables:
                    continue
                if not like:
                    like = table_input(self.detected(target.path)[0], name, settings.name)
                shape = {**like, "Name": name}
                shape["StorageDescriptor"] = {**like["StorageDescriptor"], "Location": target.path}
                now = self.world.now()
                table = Table(CENTRAL, database.name, name, shape, crawler.role_arn, now, now)
                database.tables[name] = table
                self.lake.table_created(database, table)
                named = TableResource(CENTRAL, database.name, name)
                for column, assigned in tags.items():
                    for key, value in assigned.items():
                        self.lake._tags.assign((named, column), key, value)

        crawlers._crawl = crawl

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Meanwhile, our own lists of tables and of their tags are made once, until a tag is written: runs of ten
        consumers that all look at ten thousand tables would last minutes. What is called meanwhile does not count."""
        known: dict[Any, list[Any]] = {}

        def once(of: Callable[..., Any]) -> Callable[..., Any]:
            def listed(client: Any, *asked: Any) -> list[Any]:
                key = (of.__name__, *asked)
                if key not in known:
                    known[key] = list(of(client, *asked))
                return known[key]

            return listed

        def forget(service: str, operation: str, params: dict, caller: Any) -> None:
            if operation in ("AddLFTagsToResource", "StartCrawler"):
                known.clear()

        self.after_call.append(forget)
        try:
            with (
                mock.patch.object(glue, "tables", once(glue.tables)),
                mock.patch.object(lakeformation, "search_tables", once(lakeformation.search_tables)),
            ):
                yield
        finally:
            self.after_call.remove(forget)

    def fill(self, product: DataProduct, tables: int, columns: Schema) -> None:
        """Uploads a file for each table of a data product, all of one form; one event tells of them."""
        for number in range(tables):
            self.upload(product, f"t{number:05}", columns, told=int(number == 0))

    # -- figures

    def forget(self) -> None:
        """Counts from here on."""
        self.work.clear()
        self.counts.clear()
        self.transitions = 0

    def together(self) -> None:
        """Lets all crawls that are under way end before the first run that follows one begins, and so on: the work of
        many data products that begins at one time."""
        while self.events or self.crawls or self.executions:
            for waiting in (self.executions, self.crawls, self.events):
                for each in [waiting.pop(0) for _ in range(len(waiting))]:
                    each()

    def calls(self) -> list[Call]:
        return [call for work in self.work for call in work.calls]


# -- counts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """What some work took: calls that count (writes among them), those of the state beside them, and transitions."""

    calls: int
    writes: int
    table_reads: int
    state_calls: int
    transitions: int
    by_name: Counter[str]
    by_function: dict[str, Counter[str]]


def counted(mesh: CountedMesh) -> Counts:
    calls = mesh.calls()
    ours = [call for call in calls if call.counts]
    by_function: dict[str, Counter[str]] = defaultdict(Counter)
    for call in ours:
        by_function[call.function or "machine"][call.name] += 1
    return Counts(
        calls=len(ours),
        writes=sum(call.writes for call in ours),
        table_reads=sum(call.name in TABLE_READS for call in ours),
        state_calls=sum(not call.counts and call.service != "lambda" for call in calls),
        transitions=sum(work.transitions for work in mesh.work),
        by_name=Counter(call.name for call in ours),
        by_function=dict(by_function),
    )


# -- time -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Throttles:
    """Seconds that each call takes, and calls a second that an account's service takes."""

    call: float = 0.080
    crawl: float = 0.0
    a_second: tuple[tuple[str, float], ...] = (
        ("lakeformation writes", 5.0),
        ("lakeformation reads", 10.0),
        ("glue reads", 50.0),
    )


def modelled_seconds(mesh: CountedMesh, throttles: Throttles) -> float:
    """How long the work would take: from the first call to the end of the last. A run makes one call after the other;
    runs are side by side; a call waits for its turn where its account's service takes no more, those that ask first
    first. Calls to the state take as long as others."""
    rates = dict(throttles.a_second)
    free: dict[tuple[str, str], float] = defaultdict(float)
    children: dict[int, list[Work]] = defaultdict(list)
    known = {id(work) for work in mesh.work}
    number = count()
    ready: list[tuple[float, int, Work, int]] = []
    for work in mesh.work:
        if work.parent is not None and id(work.parent) in known:
            children[id(work.parent)].append(work)
        else:
            heapq.heappush(ready, (0.0, next(number), work, 0))
    end = 0.0

    def go_on(at: float, work: Work, done: int) -> None:
        # What a call sets going, the call's end does; what was set going before it has begun.
        for child in [each for each in children[id(work)] if each.after <= done]:
            children[id(work)].remove(child)
            took = throttles.crawl if child.kind == "crawl of Glue" else 0.0
            heapq.heappush(ready, (at + took, next(number), child, 0))
        if done < len(work.calls):
            heapq.heappush(ready, (at, next(number), work, done))

    while ready:
        at, _, work, done = heapq.heappop(ready)
        if not work.calls:
            end = max(end, at)
            go_on(at, work, 0)
            continue
        call = work.calls[done]
        rate = rates.get(call.kind)
        if rate:
            at = max(at, free[call.of, call.kind])
            free[call.of, call.kind] = at + 1 / rate
        at += throttles.call if call.service != "lambda" else 0.0
        end = max(end, at)
        go_on(at, work, done + 1)
    return end


# -- governance files -------------------------------------------------------------------------------------------------

MESH_FILE = """
version: 1
region: eu-west-1
lf_tags:
  domain:      {values: [sales, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, confidential, unclassified], ordered: true, default: unclassified}
  pii:         {values: [none, contact, multiple, unknown], default: unknown}
"""
RULES = {
    "amount": ("clear", {"pii": "none", "sensitivity": "internal"}),
    "city": ("clear", {"pii": "none", "sensitivity": "public"}),
    "email": ("raise", {"pii": "contact", "sensitivity": "confidential"}),
    "note": ("assign", {"pii": "contact", "sensitivity": "internal"}),
}
"""word of a column's name -> what a rule makes of it: four sets of tags, and no fewer calls will do."""
KEYS = 3


def some_files(databases: int, consumers: int, principals: int = 2) -> dict[str, str]:
    """A mesh of one domain: its data products are databases that all consumers reach."""
    rules = "\n".join(
        f"  - {{id: bench.{word}, when: {{column: {{words_any: [{word}]}}}}, {effect}: {json.dumps(tags)}, "
        f"because: a benchmark, examples: {{match: [{word}], no_match: [other]}}}}"
        for word, (effect, tags) in RULES.items()
    )
    products = "\n".join(
        f"  - {{name: product{number:04}, location: 's3://bench-{number:04}/in/', tags: {{domain: sales}}}}"
        for number in range(databases)
    )
    files = {
        "mesh.yaml": MESH_FILE,
        "rules/all.yaml": f"rules:\n{rules}\n",
        "producers/sales.yaml": f'producer: sales\naccount: "111111111111"\nowner: a@example.com\n'
        f"data_products:\n{products}\n",
    }
    for number in range(consumers):
        named = ", ".join(f"{{role: Analyst{each}}}" for each in range(principals))
        files[f"consumers/consumer{number:02}.yaml"] = (
            f'consumer: consumer{number:02}\naccount: "3{number:011}"\nowner: a@example.com\nsubscriptions:\n'
            "  - {name: open, tags: {domain: [sales], sensitivity: [public, internal], pii: [none]}, "
            f"principals: [{named}]}}\n"
        )
    return files


def some_columns(columns: int) -> Schema:
    """So many columns in the four sets of tags."""
    words = list(RULES)
    return tuple((f"{words[number % len(words)]}_{number:02}", "string") for number in range(columns))


def their_tags(columns: Schema) -> dict[str, dict[str, str]]:
    """What the rules make of them."""
    return {name: RULES[name.partition("_")[0]][1] for name, _ in columns}
