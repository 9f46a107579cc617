"""A burst: a million uploads to a thousand data products in an hour, told of late, twice and in any order.

What runs is deployed code and the machines, in one process (tests/convergence), by a clock that jumps from one thing
that happens to the next: the batches of the uploads queue as template.yaml sets it up, executions, ends of crawls,
sweeps. In place of Glue and Lake Formation stand doubles that know one table a data product, since only the work around
the crawls is looked at; DynamoDB is `fast_tables.py`, which evaluates the same conditions as moto's.

Prints a report; `run` gives the figures.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

from convergence.doubles import CENTRAL
from convergence.mesh_in_process import MeshInProcess
from counted_mesh import RULES, some_files
from tagmesh.aws import units
from tagmesh.governance import DataProduct, load

from local_aws.access.identity import Caller
from local_aws.wire import AwsError

HOUR = 3600.0
TWICE, LATE, LATEST = 0.10, 0.05, 600.0  # shares of uploads; seconds
BATCH_SIZE, WINDOW, RECEIVED_AT_ONCE = 1000, 20.0, 10  # template.yaml; messages a ReceiveMessage
CRAWL = (60.0, 300.0)  # seconds
STEP = 2.0  # seconds from the start of an execution to what it does
SWEEP = 900.0
MEMORY_GB = 0.5
A_REQUEST = 0.005  # seconds that a function waits for DynamoDB


@dataclass(frozen=True)
class Prices:
    """Dollars, as AWS listed them for us-east-1: on demand, standard workflows, arm64."""

    million_transitions: float = 25.0
    million_queue_requests: float = 0.40
    million_invocations: float = 0.20
    gb_second: float = 0.0000133334
    million_writes: float = 0.625
    million_reads: float = 0.125


class Glue:
    """One database, one crawler and one table a data product; crawls take their time."""

    def __init__(self, mesh: BurstMesh, products: dict[str, DataProduct]) -> None:
        self._mesh, self._products = mesh, products
        self._databases: dict[str, dict] = {}
        self._crawlers: dict[str, dict] = {}
        self.running: dict[str, float] = {}
        """crawler -> when its crawl began, in seconds since 1970"""
        self.last: dict[str, float] = {}
        """crawler -> when its last crawl that ended began"""
        self.crawls = 0
        self.refused = 0

    def GetDatabase(self, caller: Caller, Name: str) -> dict:
        return {"Database": _known(self._databases, Name)}

    def CreateDatabase(self, caller: Caller, DatabaseInput: dict) -> dict:
        _add(self._databases, DatabaseInput["Name"], DatabaseInput)
        return {}

    def GetTables(self, caller: Caller, DatabaseName: str) -> dict:
        _known(self._databases, DatabaseName)
        product = self._products[DatabaseName]
        if product.crawler not in self.last:
            return {"TableList": []}
        columns = [{"Name": "amount", "Type": "double"}]
        where = {"Location": f"{product.location}a/", "Columns": columns}
        return {"TableList": [{"DatabaseName": DatabaseName, "Name": "a", "StorageDescriptor": where}]}

    def CreateCrawler(self, caller: Caller, **crawler: Any) -> dict:
        _add(self._crawlers, crawler["Name"], {**crawler, "Role": crawler["Role"].rpartition("/")[2]})
        return {}

    def UpdateCrawler(self, caller: Caller, Name: str, **crawler: Any) -> dict:
        _known(self._crawlers, Name)
        if Name in self.running:
            raise AwsError("CrawlerRunningException", f"Cannot update crawler {Name} while running")
        self._crawlers[Name] = {"Name": Name, **crawler, "Role": crawler["Role"].rpartition("/")[2]}
        return {}

    def GetCrawler(self, caller: Caller, Name: str) -> dict:
        state = {"State": "RUNNING" if Name in self.running else "READY"}
        if Name in self.last:
            started = datetime.fromtimestamp(self.last[Name], UTC)
            state["LastCrawl"] = {"Status": "SUCCEEDED", "StartTime": started}
        return {"Crawler": {**_known(self._crawlers, Name), **state}}

    def StartCrawler(self, caller: Caller, Name: str) -> dict:
        _known(self._crawlers, Name)
        if Name in self.running:
            self.refused += 1
            raise AwsError("CrawlerRunningException", f"Crawler with name {Name} has already started")
        self.crawls += 1
        self.running[Name] = time.time()
        self._mesh.soon(self._mesh.chance.uniform(*CRAWL), partial(self._ended, Name))
        return {}

    def _ended(self, name: str) -> None:
        self.last[name] = self.running.pop(name)
        self._mesh.completed(name, "Succeeded")


class LakeFormation:
    """Every database and table carries what the rules say."""

    def __init__(self, keys: dict[str, tuple[str, ...]], defaults: dict[str, str], products: dict[str, Any]) -> None:
        self._keys, self._products = keys, products
        self._database = _pairs({**defaults, "domain": "sales"})
        self._column = [{"Name": "amount", "LFTags": _pairs({"domain": "sales", **RULES["amount"][1]})}]

    def ListLFTags(self, caller: Caller) -> dict:
        return {"LFTags": [{"TagKey": key, "TagValues": list(values)} for key, values in self._keys.items()]}

    def GetResourceLFTags(self, caller: Caller, Resource: dict) -> dict:
        on_table = {} if "Database" in Resource else self._on_table()
        return {"LFTagOnDatabase": self._database, **on_table}

    def SearchTablesByLFTags(self, caller: Caller, Expression: list) -> dict:
        tables = [{"DatabaseName": name, "Name": "a", "CatalogId": CENTRAL} for name in self._products]
        return {
            "TableList": [{"Table": each, "LFTagOnDatabase": self._database, **self._on_table()} for each in tables]
        }

    def _on_table(self) -> dict:
        return {"LFTagsOnTable": self._database, "LFTagsOnColumns": self._column}

    def __getattr__(self, operation: str) -> Callable[..., dict]:
        """Writes, and lists of grants, are answered and kept nowhere."""
        if operation not in ("AddLFTagsToResource", "RegisterResource", "BatchGrantPermissions", "ListPermissions"):
            raise AttributeError(operation)
        return lambda caller, **_: {"PrincipalResourcePermissions": []} if operation == "ListPermissions" else {}


class DynamoDB:
    """A client of the fast tables, without what boto3 does around a call."""

    class exceptions:
        class ConditionalCheckFailedException(Exception):
            """The condition does not hold."""

    def __init__(self, mesh: BurstMesh) -> None:
        self._mesh = mesh

    def get_item(self, **request: Any) -> dict:
        self._mesh.counts["dynamodb:GetItem"] += 1
        return self._mesh.tables.GetItem(None, **request)

    def put_item(self, **request: Any) -> dict:
        self._mesh.counts["dynamodb:PutItem"] += 1
        return self._mesh.tables.PutItem(None, **request)

    def update_item(self, **request: Any) -> dict:
        self._mesh.counts["dynamodb:UpdateItem"] += 1
        try:
            return self._mesh.tables.UpdateItem(None, **request)
        except AwsError as error:
            raise self.exceptions.ConditionalCheckFailedException(str(error)) from error

    def get_paginator(self, operation: str) -> Any:
        name = {"scan": "Scan", "query": "Query"}[operation]
        self._mesh.counts[f"dynamodb:{name}"] += 1
        mesh = self._mesh

        class Pages:
            def paginate(self, **request: Any) -> Iterator[dict]:
                yield getattr(mesh.tables, name)(None, **request)

        return Pages()


class BurstMesh(MeshInProcess):
    """A mesh by a clock that jumps: what is to happen waits until then."""

    def __init__(self, products: int, seed: int) -> None:
        super().__init__()
        self.files = some_files(products, 0)
        self.governance = load(self.files)
        self.chance = random.Random(seed)
        self.at = 0.0
        """Seconds since it began."""
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self.under_way: Counter[str] = Counter()
        """unit -> executions of the crawl machine that have not started their crawler yet."""
        self.most_running = self.most_waiting = 0

    def __enter__(self) -> BurstMesh:
        super().__enter__()
        by_database = {product.database: product for product in self.governance.data_products}
        self.glue = Glue(self, by_database)
        keys = {key.name: key.values for key in self.governance.lf_tags}
        defaults = {key.name: key.default for key in self.governance.lf_tags}
        self._doubles |= {
            "glue": self.glue,
            "lakeformation": LakeFormation(keys, defaults, by_database),
        }
        self._dynamodb = DynamoDB(self)
        self._remember_decoded()
        return self

    def _remember_decoded(self) -> None:
        """Items are replaced, never changed: each is decoded once, however often all of them are read."""
        decode, known = units._decode, {}

        def remembered(item: dict) -> units.Unit:
            before = known.get(item["unit"]["S"])
            if before is None or before[0] is not item:
                before = known[item["unit"]["S"]] = (item, decode(item))
            return before[1]

        units._decode = remembered
        self._closing.callback(setattr, units, "_decode", decode)

    def client(self, service: str, caller: Caller | None = None) -> Any:
        return self._dynamodb if service == "dynamodb" else super().client(service, caller)

    # -- time

    def soon(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self.at + seconds, next(self._number), do))

    def wait(self, seconds: float) -> None:
        self.at += seconds
        super().wait(seconds)

    def until(self, moment: float) -> None:
        """Lets everything happen up to then, in its order."""
        while self._later and self._later[0][0] <= moment:
            when, _, do = heapq.heappop(self._later)
            if when > self.at:
                self.wait(when - self.at)
            do()
        if moment > self.at:
            self.wait(moment - self.at)

    # -- what is counted

    def _start(self, machine: str, name: str, given: dict[str, Any]) -> None:
        kind = machine.removeprefix("tagmesh-")
        self.counts[f"executions:{kind}"] += 1
        unit = given.get("unit", "")
        if kind == "crawl":
            self.under_way[unit] += 1
            self.look(unit)
        self.soon(STEP, partial(self._run_machine, kind, given, unit))

    def _run_machine(self, kind: str, given: dict[str, Any], unit: str) -> None:
        before = self.transitions
        self.execute(kind, given)
        self.counts[f"transitions:{kind}"] += self.transitions - before
        if kind == "crawl":
            self.under_way[unit] -= 1
            self.look(unit)

    def look(self, unit: str) -> None:
        """Holds the bounds: of a data product one crawl runs and one waits, at most."""
        product = self.governance.data_product(unit)
        item = units.read(self._dynamodb, unit)
        self.counts["dynamodb:GetItem"] -= 1
        waiting = self.under_way[unit] + (item.phase == "waiting")
        self.most_running = max(self.most_running, int(product.crawler in self.glue.running))
        self.most_waiting = max(self.most_waiting, waiting)

    def completed(self, crawler: str, state: str) -> None:
        super().completed(crawler, state)
        self.soon(1.0, self.events.pop())

    def transitions_of(self, machine: str) -> int:
        """What most executions of a machine take."""
        return round(self.counts[f"transitions:{machine}"] / self.counts[f"executions:{machine}"])


def _known(of: dict[str, dict], name: str) -> dict:
    if name not in of:
        raise AwsError("EntityNotFoundException", f"{name} not found.")
    return of[name]


def _add(to: dict[str, dict], name: str, what: dict) -> None:
    if name in to:
        raise AwsError("AlreadyExistsException", f"{name} already exists.")
    to[name] = what


def _pairs(tags: dict[str, str]) -> list[dict]:
    return [{"TagKey": key, "TagValues": [value]} for key, value in tags.items()]


# -- the burst -----------------------------------------------------------------------------------------------------


Event = tuple[float, int, float, int]
"""When it arrives, the number of the data product, when it was uploaded, and the number of the upload."""


def deliveries(chance: random.Random, uploads: int, products: int) -> tuple[list[Event], list[float]]:
    """Every event, in the order of arrival; and when each data product's last upload was. Some data products get far
    more than others."""
    weights = [chance.lognormvariate(0, 1) for _ in range(products)]
    chosen = [*range(products), *chance.choices(range(products), weights, k=uploads - products)]
    last, arriving = [0.0] * products, []
    for number, product in enumerate(chosen):
        moment = chance.uniform(0, HOUR)
        last[product] = max(last[product], moment)
        for _ in range(1 + (chance.random() < TWICE)):
            delay = chance.uniform(0, LATEST) if chance.random() < LATE else chance.expovariate(1 / 2)
            arriving.append((moment + delay, product, moment, number))
    arriving.sort()
    return arriving, last


def batches(arriving: list[Event]) -> Iterator[tuple[float, list[Event]]]:
    """(when it is delivered, its events): full, or the window after its first event."""
    waiting: deque[Event] = deque()
    for each in arriving:
        if waiting and each[0] > waiting[0][0] + WINDOW:
            yield waiting[0][0] + WINDOW, list(waiting)
            waiting.clear()
        waiting.append(each)
        if len(waiting) == BATCH_SIZE:
            yield each[0], list(waiting)
            waiting.clear()
    if waiting:
        yield waiting[0][0] + WINDOW, list(waiting)


def run(uploads: int = 1_000_000, products: int = 1_000, seed: int = 1, prices: Prices = Prices()) -> dict[str, Any]:
    """The figures of one burst, as results.json has them."""
    with BurstMesh(products, seed) as mesh:
        mesh.apply(mesh.files)
        mesh.events.pop(0)()
        mesh.until(60)
        mesh.counts.clear()
        mesh.transitions = 0
        began, hour = mesh.at, time.time()
        arriving, last = deliveries(mesh.chance, uploads, products)
        named = [json.dumps(product.bucket)[1:-1] for product in mesh.governance.data_products]
        for product in mesh.governance.data_products:
            mesh.objects.buckets[product.bucket][f"{product.prefix}a/0.parquet"] = b""
        invocations = requests_of_uploads = 0
        due = began + SWEEP
        for when, some in batches(arriving):
            while due <= began + when:
                mesh.until(due)
                mesh._start("tagmesh-sweep", f"sweep-{due}", {"reason": "schedule"})
                due += SWEEP
            mesh.until(began + when)
            before = _dynamodb_requests(mesh.counts)
            _deliver(mesh, some, named)
            requests_of_uploads += _dynamodb_requests(mesh.counts) - before
            invocations += 1
        # Until two sweeps have had nothing to start: crawls that wait for their time, and what those ask for.
        end = mesh.at + 4 * SWEEP
        while due <= end:
            mesh.until(due)
            mesh._start("tagmesh-sweep", f"sweep-{due}", {"reason": "schedule"})
            due += SWEEP
        mesh.until(end + SWEEP)
        if mesh.failed:
            raise SystemExit(f"executions failed: {mesh.failed[:3]}")
        at_rest = [units.read(mesh._dynamodb, product.unit) for product in mesh.governance.data_products]
        missed = sum(
            mesh.glue.last.get(product.crawler, 0.0) < hour + last[number] or unit.done < unit.dirty or unit.live
            for number, (product, unit) in enumerate(zip(mesh.governance.data_products, at_rest, strict=True))
        )
        return _figures(mesh, prices, uploads, len(arriving), invocations, requests_of_uploads, missed)


def _deliver(mesh: BurstMesh, some: list[Event], buckets: list[str]) -> None:
    account = mesh.governance.data_products[0].account
    records = [
        {
            "messageId": str(position),
            "body": f'{{"id": "upload-{number}", "source": "aws.s3", "detail-type": "Object Created", '
            f'"account": "{account}", "detail": {{"bucket": {{"name": "{buckets[product]}"}}, '
            f'"object": {{"key": "in/a/{number}.parquet"}}}}}}',
        }
        for position, (_, product, _, number) in enumerate(some)
    ]
    answer = mesh._record_uploads({"Records": records}, None)
    if answer["batchItemFailures"]:
        raise SystemExit(f"uploads were not counted: {answer['batchItemFailures'][:3]}")


def _dynamodb_requests(counts: Counter[str]) -> int:
    return sum(number for name, number in counts.items() if name.startswith("dynamodb:"))


def _figures(
    mesh: BurstMesh, prices: Prices, uploads: int, events: int, invocations: int, requests: int, missed: int
) -> dict[str, Any]:
    counts = mesh.counts
    reads = counts["dynamodb:GetItem"] + counts["dynamodb:Query"]
    writes = counts["dynamodb:UpdateItem"] + counts["dynamodb:PutItem"]
    scanned = counts["dynamodb:Scan"] * -(-sum(map(_size, mesh.tables.items("units").values())) // 4096)
    queue = events + 2 * -(-events // RECEIVED_AT_ONCE)  # each sent by itself; received and deleted ten at a time
    of_functions = counts["lambda:Invoke"] + invocations
    million = 1_000_000
    ours = {
        "transitions": mesh.transitions * prices.million_transitions / million,
        "queue": queue * prices.million_queue_requests / million,
        "functions": of_functions * prices.million_invocations / million
        + requests * A_REQUEST * MEMORY_GB * prices.gb_second,
        "dynamodb": (writes * prices.million_writes + (reads + scanned) * prices.million_reads) / million,
    }
    # Each event of an upload starts the crawl machine, and its crawler's completion the publish machine.
    a_crawl = mesh.transitions_of("crawl") + mesh.transitions_of("publish")
    each = {"transitions": events * a_crawl, "requests": events}
    return {
        "uploads": uploads,
        "events": events,
        "data_products": len(mesh.governance.data_products),
        "crawls": mesh.glue.crawls,
        "most_running": mesh.most_running,
        "most_waiting": mesh.most_waiting,
        "missed": missed,
        "transitions": mesh.transitions,
        "requests": queue + of_functions + counts["stepfunctions:StartExecution"] + _dynamodb_requests(counts),
        "batches": invocations,
        "dynamodb_requests": _dynamodb_requests(counts),
        "executions": {
            name.partition(":")[2]: n for name, n in sorted(counts.items()) if name.startswith("executions:")
        },
        "dollars": {**{name: round(cost, 2) for name, cost in ours.items()}, "all": round(sum(ours.values()), 2)},
        "an_execution_an_upload": {
            **each,
            "dollars": round(each["transitions"] * prices.million_transitions / million, 2),
        },
    }


def _size(item: dict) -> int:
    return len(re.sub(r'[\s"{}:,]', "", json.dumps(item)))


def report(found: dict[str, Any]) -> None:
    other, dollars = found["an_execution_an_upload"], found["dollars"]
    parts = ", ".join(f"{name} ${cost:,.2f}" for name, cost in dollars.items() if name != "all")
    print(
        f"{found['uploads']:,} uploads to {found['data_products']:,} data products in an hour, "
        f"{found['events']:,} events:\n"
        f"    {found['crawls']:,} crawls; of a data product at most {found['most_running']} ran and "
        f"{found['most_waiting']} waited; data products with an upload that no crawl saw: {found['missed']}\n"
        f"    {found['requests']:,} requests ({found['dynamodb_requests']:,} of DynamoDB, {found['batches']:,} batches)"
        f", {found['transitions']:,} transitions\n"
        f"    ${dollars['all']:,.2f} ({parts}), crawls aside\n"
        f"    one execution an event: {other['transitions']:,} transitions, ${other['dollars']:,.2f} for these alone"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=1_000_000)
    parser.add_argument("--data-products", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    for name, price in asdict(Prices()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=price, help="dollars")
    asked = vars(parser.parse_args())
    prices = Prices(**{name: asked[name] for name in asdict(Prices())})
    found = run(asked["uploads"], asked["data_products"], prices=prices)
    print(json.dumps(found)) if asked["json"] else report(found)


if __name__ == "__main__":
    main()
