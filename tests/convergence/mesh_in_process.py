"""A whole mesh in one process: deployed code and state machines, over the local AWS's own engines, without HTTP.

What runs is what is deployed: the functions' handlers, the machines of statemachines/ by the local AWS's interpreter,
Glue, its crawlers, Lake Formation and RAM of the local AWS with their permissions and errors. Beside them stand the
doubles of `doubles.py`. IAM's policies are not asked here; the deployed tests do that.

Nothing happens by itself: events, crawls and executions wait in lists until a test lets them happen, in any order, and
every call of deployed code passes `MeshInProcess.call`, where a test may watch it, break it, or let another one first.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import logging
import os
import re
import secrets
import selectors
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pyarrow as pa
import time_machine
from aws_lambda_powertools import Metrics
from botocore.config import Config
from convergence.doubles import (
    CENTRAL,
    REGION,
    Buses,
    Executions,
    Functions,
    Identities,
    Objects,
    Topics,
    Workgroups,
)
from convergence.fast_tables import FastTables
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from tagmesh.aws import governance_store, runs, session
from tagmesh.governance import DataProduct, Governance, load

from local_aws.access import identity
from local_aws.access.identity import Caller
from local_aws.crawlers import crawl_catalog
from local_aws.crawlers.crawl import CrawledFile, CrawlFailed, DetectedTable, Stopped
from local_aws.crawlers.engine import Crawlers
from local_aws.files.formats import FileFormat
from local_aws.glue.glue_catalog import Glue
from local_aws.lakeformation.engine import LakeFormation
from local_aws.lakeformation.ram import Ram
from local_aws.stepfunctions import asl_interpreter
from local_aws.stepfunctions.asl_data_flow import Run, TaskCall
from local_aws.stepfunctions.asl_errors import StateFailed
from local_aws.stepfunctions.asl_resources import parse_resource
from local_aws.stepfunctions.asl_tasks import perform
from local_aws.wire import AwsError
from local_aws.world import World

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
TRUST = '{"Version": "2012-10-17", "Statement": []}'
ENDLESS = 3000
MAX_RECEIVES = 5
GOVERNANCE_BUCKET = "tagmesh-governance"
MACHINES = ("crawl", "publish", "share", "sweep", "approve")
HANDLERS = (
    "prepare_crawl",
    "classify_tables",
    "apply_tags",
    "grant_access",
    "link_consumer",
    "load_governance",
    "sweep_mesh",
    "inspect_consumers",
    "ask_approval",
    "start_share",
)
OF_CONSUMERS = ("link_consumer", "inspect_consumers")
"""Functions that run as the one role that consuming accounts trust."""
Schema = tuple[tuple[str, str], ...]
"""(name, Arrow type) of each column of a table's files."""


class Crashed(BaseException):
    """The process of a function is killed."""


class ExitError(Exception):
    """What Lambda says of a function whose process ended (it says Runtime.ExitError)."""


class ClosedCrawlers(Crawlers):
    """Glue's crawlers, but for what a crawl reads: the schemas that a test has put into folders."""

    mesh: MeshInProcess

    def _role(self, caller: Caller, crawler: str, role: str) -> str:
        return role

    def _crawl(self, caller: Caller, crawler: Any, crawl: Any, settings: Any, targets: Any) -> None:
        if crawl.stop.is_set():
            raise Stopped
        if crawler.name in self.mesh.crawls_failing:
            raise CrawlFailed("Internal Service Exception")
        found = [table for target in targets for table in self.mesh.detected(target.path)]
        role = Caller(CENTRAL, REGION, crawler.role_arn, crawler.role_arn)
        glue = self.mesh.client("glue", role)
        crawl_catalog.write(glue, settings, [t.path for t in targets], found, self.world.now(), crawl.changes)

    def _emit(self, caller: Caller, crawler: Any, state: str, **detail: Any) -> None:
        if state in ("Succeeded", "Failed"):
            self.mesh.completed(crawler.name, state)


class Token:
    """A task token: whoever has its text ends the task that waits for it."""

    def __init__(self, waits: Callable[[], None]) -> None:
        self.text = secrets.token_urlsafe(32)
        self.open = True
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waits = waits

    async def answer(self) -> Any:
        self._waits()
        return await self.result

    def close(self) -> None:
        self.open = False


class Execution:
    """An execution: it runs until it ends, or waits for a task token."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.loop = Jumping()
        self.work: asyncio.Task[Any] | None = None
        self.paused: asyncio.Event | None = None
        self.tokens: list[Token] = []
        self.timers: list[tuple[float, asyncio.Future[None]]] = []
        """(moment, what then ends) of the limits that it runs under."""


class Jumping(asyncio.SelectorEventLoop):
    """An event loop that never waits for the clock."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        select = self._selector.select
        self._selector.select = lambda timeout: select(0)


class MeshInProcess:
    """A mesh. Use as a context manager; at most one at a time in a process.

    `events`, `crawls` and `executions` hold what is under way, oldest first; each is a function that lets it happen.
    """

    def __init__(self) -> None:
        self.on_call: list[Callable[[str, str, dict, Caller], None]] = []
        """Called before each call of deployed code with (service, operation, parameters, caller); it may raise."""
        self.after_call: list[Callable[[str, str, dict, Caller], None]] = []
        """Called after each call that was done."""
        self.around: Callable[[Callable[[], dict], str, str, dict, Caller], dict] = lambda do, *_: do()
        """Does each call: with a function that does it, and the same arguments; may raise, or answer something else."""
        self.counts: Counter[str] = Counter()
        self.transitions = 0
        """States that executions have entered, retries included."""
        self.events: list[Callable[[], None]] = []
        self.crawls: list[Callable[[], None]] = []
        self.executions: list[Callable[[], None]] = []
        self.failed: list[tuple[str, str]] = []
        """(machine, error) of the executions that failed."""
        self.dead: list[Callable[[], None]] = []
        """Uploads that could not be counted three times: the dead letters."""
        self.wrong: list[str] = []
        """What must never be and was."""
        self.unreachable: set[str] = set()
        """Accounts whose role cannot be assumed."""
        self.crashed = False
        self.crawls_failing: set[str] = set()
        """Crawlers whose next crawls fail."""

    # -- beginning and end ---------------------------------------------------------------------------------------

    def __enter__(self) -> MeshInProcess:
        self._closing = contextlib.ExitStack()
        BackendDict.reset()
        reset_model_data()
        self.clock = self._closing.enter_context(time_machine.travel(START, tick=False))
        self._sent = 0
        self.world = World(REGION)
        self._closing.callback(self.world.stop)
        self.world.submit = self._submit
        self.world.organization = {"id": "o-mesh", "members": {CENTRAL}, "ram_sharing": True}
        for engine in (Glue, ClosedCrawlers, LakeFormation, Ram, identity.Sts):
            self.world.add_engine(engine(self.world))
        self.lake: LakeFormation = self.world.engines["lakeformation"]
        self.world.engines["closedcrawlers"].mesh = self
        self.objects, self.tables, self.buses = Objects(), FastTables(), Buses()
        self.objects.buckets[GOVERNANCE_BUCKET] = {}
        handlers = {name: inspect.unwrap(importlib.import_module(name).handler) for name in HANDLERS}
        self._record_uploads = inspect.unwrap(importlib.import_module("record_uploads").handler)
        self.topics, self.workgroups = Topics(), Workgroups(self.world)
        self.waiting: list[Execution] = []
        """Executions that wait for a task token."""
        self._doubles = {
            "s3": self.objects,
            "sns": self.topics,
            "dynamodb": self.tables,
            "iam": Identities(),
            "athena": self.workgroups,
            "events": self.buses,
            "stepfunctions": Executions(self._start, self._answered),
            "lambda": Functions({name: partial(self._invoke, name, handler) for name, handler in handlers.items()}),
        }
        self.accounts: set[str] = set()
        self.account(CENTRAL, "tagmesh-automation")
        for name in ("tagmesh-crawler", "tagmesh-registration", "tagmesh-link-consumer"):
            self.role(CENTRAL, name)
        self.automation, self.linker = (
            identity.issue(self.world, f"arn:aws:iam::{CENTRAL}:role/tagmesh-{name}", "tagmesh").caller
            for name in ("automation", "link-consumer")
        )
        self._acting = threading.local()
        arns = {f"{name.upper()}_MACHINE_ARN": self.machine_arn(name) for name in MACHINES}
        roles = {
            f"{name.upper()}_ROLE_ARN": f"arn:aws:iam::{CENTRAL}:role/tagmesh-{name}"
            for name in ("automation", "crawler", "registration")
        }
        environment = {
            "UNITS_TABLE": "units",
            "LEDGER_TABLE": "ledger",
            "GOVERNANCE_BUCKET": GOVERNANCE_BUCKET,
            "MESH_BUS": "tagmesh",
            "APPROVALS_TOPIC_ARN": f"arn:aws:sns:{REGION}:{CENTRAL}:tagmesh-approvals",
            "AWS_REGION": REGION,
            "POWERTOOLS_SERVICE_NAME": "tagmesh",
            "POWERTOOLS_METRICS_NAMESPACE": "tagmesh",
            "POWERTOOLS_METRICS_DISABLED": "true",
            **arns,
            **roles,
        }
        self._closing.enter_context(mock.patch.dict(os.environ, environment))
        mesh = self

        class Session:
            """A boto3 session with the credentials that STS gave."""

            def __init__(self, aws_access_key_id: str, **_: Any) -> None:
                self._caller = mesh.world.credentials[aws_access_key_id].caller

            def client(self, service: str, config: Any = None) -> Any:
                return mesh.client(service, self._caller)

        self._closing.enter_context(mock.patch.object(boto3, "client", lambda s, config=None: self.client(s)))
        self._closing.enter_context(mock.patch.object(boto3, "Session", Session))
        self._closing.enter_context(mock.patch("time.sleep", self.wait))
        self._closing.enter_context(mock.patch.object(Metrics, "add_metric", lambda *_, **__: None))
        # Nobody flushes them here, and a hundred values at once would be refused for want of a namespace.
        self._closing.enter_context(mock.patch.object(Metrics, "add_metric", lambda *_, **__: None))
        for remembered in (session.client, session.own_account, governance_store._version):
            remembered.cache_clear()
            self._closing.callback(remembered.cache_clear)
        logging.disable(logging.ERROR)
        self._closing.callback(logging.disable, logging.NOTSET)
        return self

    def __exit__(self, *_: object) -> None:
        self.lose_machines()
        self._closing.close()

    def with_engine(self, engine: Any) -> None:
        """Has an engine of the local AWS answer where a double did."""
        self.world.add_engine(engine)
        self._doubles.pop(type(engine).__name__.lower(), None)

    def account(self, account: str, administrator: str, *, organization: bool = True) -> None:
        """Makes an account whose Lake Formation has one administrator, as our stacks set it up."""
        if account in self.accounts:
            return
        self.accounts.add(account)
        if organization:
            self.world.organization["members"].add(account)
        arn = self.role(account, administrator)
        given = {
            "DataLakeAdmins": [{"DataLakePrincipalIdentifier": arn}],
            "CreateDatabaseDefaultPermissions": [],
            "CreateTableDefaultPermissions": [],
            "Parameters": {"CROSS_ACCOUNT_VERSION": "4"},
        }
        root = f"arn:aws:iam::{account}:root"
        self.lake.PutDataLakeSettings(Caller(account, REGION, root, root), DataLakeSettings=given)

    def role(self, account: str, name: str) -> str:
        """The ARN of a role, made where it is missing."""
        arn = f"arn:aws:iam::{account}:role/{name}"
        backend = iam_backends[account]["aws"]
        if all(role.name != name for role in backend.roles.values()):
            backend.create_role(name, TRUST, "/", None, "", [], "3600")
            backend.put_role_policy(name, "everything", EVERYTHING)
        return arn

    # -- calls -----------------------------------------------------------------------------------------------------

    def client(self, service: str, caller: Caller | None = None) -> Any:
        """A boto3 client, with its checks, paginators and errors, whose calls arrive at `call`; without a caller it is
        that of whichever function runs."""
        of = _client(service)
        made = object.__new__(type(of))
        made.__dict__.update(of.__dict__)
        made._make_api_call = partial(self.call, made, service, caller)
        return made

    def call(self, client: Any, service: str, caller: Caller | None, operation: str, params: dict[str, Any]) -> dict:
        """One API call. Raises botocore's errors."""
        caller = caller or getattr(self._acting, "caller", self.automation)
        model = client.meta.service_model.operation_model(operation)
        _valid(model, params)
        if self.crashed and service != "lambda":
            raise Crashed
        done = False

        def do() -> dict:
            nonlocal done
            answer = self._answer(service, operation, params, caller)
            done = True
            return answer

        try:
            for watch in self.on_call:
                watch(service, operation, params, caller)
            self.counts[f"{service}:{operation}"] += 1
            return self.around(do, service, operation, params, caller)
        except AwsError as error:
            response = {
                "Error": {"Code": error.code, "Message": error.message},
                "ResponseMetadata": {"HTTPStatusCode": error.status},
            }
            raise client.exceptions.from_code(error.code)(response, operation) from error
        finally:
            if done:  # also where nobody is told
                for watch in self.after_call:
                    watch(service, operation, params, caller)

    def _answer(self, service: str, operation: str, params: dict[str, Any], caller: Caller) -> dict:
        if operation == "AssumeRole" and (
            params["RoleArn"].split(":")[4] in self.unreachable or caller.principal != self.linker.principal
        ):
            raise AwsError("AccessDenied", f"not authorized to perform: sts:AssumeRole on {params['RoleArn']}", 403)
        double = self._doubles.get(service)
        handler = getattr(double, operation) if double else self.world.handler(service, operation)
        return handler(caller, **params)

    def _invoke(self, name: str, handler: Callable[[dict, Any], Any], event: dict, context: Any) -> Any:
        self._acting.caller = self.linker if name in OF_CONSUMERS else self.automation
        try:
            return handler(event, context)
        except Crashed as crashed:
            raise ExitError("Runtime exited") from crashed
        finally:
            self.crashed = False
            self._acting.caller = self.automation

    def crash(self) -> None:
        """Kills the process of the function that runs: it makes no more calls, not even to tidy up."""
        self.crashed = True
        raise Crashed

    # -- machines --------------------------------------------------------------------------------------------------

    @staticmethod
    def machine_arn(name: str) -> str:
        return f"arn:aws:states:{REGION}:{CENTRAL}:stateMachine:tagmesh-{name}"

    def _start(self, machine: str, name: str, given: dict[str, Any]) -> None:
        self.executions.append(partial(self.execute, machine.removeprefix("tagmesh-"), given))

    def execute(self, machine: str, given: dict[str, Any]) -> Any:
        """Runs a machine until it ends or waits for a task token; its output, or None where it failed or waits."""
        execution = Execution(machine)
        run = self._run(execution)
        execution.work = execution.loop.create_task(asl_interpreter.run_machine(_definition(machine), given, run, 1))
        try:
            return self._go_on(execution)
        finally:
            self.transitions += run.transitions

    def _go_on(self, execution: Execution) -> Any:
        async def until_it_waits() -> None:
            execution.paused = asyncio.Event()
            pause = asyncio.ensure_future(execution.paused.wait())
            await asyncio.wait({execution.work, pause}, return_when=asyncio.FIRST_COMPLETED)
            pause.cancel()

        execution.loop.run_until_complete(until_it_waits())
        if not execution.work.done():
            self.waiting.append(execution)
            return None
        execution.loop.run_until_complete(asyncio.sleep(0))
        execution.loop.close()
        try:
            return execution.work.result()
        except StateFailed as failed:
            self.failed.append((execution.machine, f"{failed.error}: {failed.cause}"))
            return None

    def _answered(self, text: str, output: Any) -> bool:
        for execution in self.waiting:
            for token in execution.tokens:
                if token.text == text and token.open and not token.result.done():
                    token.result.set_result(output)
                    self.waiting.remove(execution)
                    self.executions.append(partial(self._go_on, execution))
                    self._closing.callback(self._stop, execution)
                    return True
        return False

    def _time_out(self) -> None:
        """Ends what waits for a task token for longer than its state may."""
        now = self.world.now().timestamp()
        for execution in [each for each in self.waiting if any(until <= now for until, _ in each.timers)]:
            self.waiting.remove(execution)
            for until, timer in execution.timers:
                if until <= now and not timer.done():
                    timer.set_result(None)
            self.executions.append(partial(self._go_on, execution))

    def lose_machines(self) -> None:
        """Somebody stops every execution that waits for a task token."""
        while self.waiting:
            self._stop(self.waiting.pop())

    @staticmethod
    def _stop(execution: Execution) -> None:
        if not execution.loop.is_closed():
            execution.work.cancel()
            execution.loop.run_until_complete(asyncio.gather(execution.work, return_exceptions=True))
            execution.loop.close()

    def _run(self, execution: Execution) -> Run:
        async def call(task: TaskCall) -> Any:
            resource = parse_resource(task.resource) if isinstance(task.resource, str) else task.resource
            service = "lambda" if resource.operation == "Invoke" else _sdk_service(resource)
            return perform(self.client(service), task, ())

        def open_token() -> Token:
            token = Token(lambda: execution.paused.set())
            execution.tokens.append(token)
            return token

        async def sleep(seconds: float) -> None:
            self.wait(seconds)

        async def timer(seconds: float) -> None:
            ends: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            execution.timers.append((self.world.now().timestamp() + seconds, ends))
            await ends

        run = Run({"Execution": {}, "StateMachine": {}}, call, open_token, sleep, timer, self.world.now, lambda *_: 1)
        self._runs = run
        return run

    # -- time and what happens in it ---------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.clock.shift(timedelta(seconds=seconds))

    def _submit(self, work: Callable[..., Any], *args: Any) -> None:
        """What Glue does in the background: crawls."""
        self.crawls.append(partial(work, *args))

    def completed(self, crawler: str, state: str) -> None:
        """A crawl's end, told by an event."""
        given = {"crawler": crawler, "state": state, "event_id": str(uuid.uuid4())}
        self.events.append(partial(self._start, "tagmesh-publish", given["event_id"], given))

    def sweep(self) -> None:
        """A scheduled sweep, from its start to the end of all that it starts."""
        self.execute("sweep", {"reason": "schedule"})
        self.settle()

    def settle(self) -> None:
        """Lets everything happen that is under way, in order, until nothing is."""
        happened = 0
        self._time_out()
        while self.events or self.crawls or self.executions:
            happened += 1
            assert happened < ENDLESS, "this never ends"
            for waiting in (self.executions, self.events, self.crawls):
                if waiting:
                    waiting.pop(0)()
                    break

    # -- what people do ----------------------------------------------------------------------------------------------

    def apply(self, files: dict[str, str]) -> None:
        """`tagmesh apply`: uploads a governance version. Accounts and principals that it names are made."""
        with contextlib.suppress(Exception):
            self.provide(load(files))
        bundle = json.dumps({"files": dict(sorted(files.items()))}, ensure_ascii=False)
        self.objects.buckets[GOVERNANCE_BUCKET][governance_store.BUNDLE] = bundle.encode()
        self.events.append(partial(self._start, "tagmesh-sweep", str(uuid.uuid4()), {"reason": "governance"}))

    def provide(self, governance: Governance) -> None:
        """The stacks of the accounts that a governance names, and the principals in them."""
        for product in governance.data_products:
            if product.bucket not in self.objects.buckets:
                self.objects.buckets[product.bucket] = {}
                s3_backends[product.account]["aws"].create_bucket(product.bucket, REGION)
        for consumer in governance.consumers:
            if consumer.account != CENTRAL:
                self.account(consumer.account, "tagmesh-consumer")
            for principal in consumer.principals:
                self.role(consumer.account, principal.name)

    def upload(self, product: DataProduct, folder: str, schema: Schema, *, told: int = 1) -> None:
        """Puts a file of a schema into a table's folder; the event of it comes `told` times."""
        key = f"{product.prefix}{folder}/data.parquet"
        self.objects.buckets[product.bucket][key] = json.dumps(schema).encode()
        self.events += [partial(self.deliver, product.account, product.bucket, key)] * told

    def deliver(self, account: str, bucket: str, key: str, received: int = 1) -> None:
        """The event of an upload, from the queue to record_uploads; after some attempts it is a dead letter."""
        self._sent += 1
        detail = {"bucket": {"name": bucket}, "object": {"key": key}}
        event = {"id": f"event-{self._sent}", "source": "aws.s3", "detail-type": "Object Created"}
        body = json.dumps({**event, "account": account, "detail": detail})
        try:
            answer = self._record_uploads({"Records": [{"messageId": str(self._sent), "body": body}]}, None)
            failed = bool(answer["batchItemFailures"])
        except (Exception, Crashed):  # noqa: BLE001 - whatever a function raises, its batch comes again
            failed = True
        self.crashed = False
        if failed and received < MAX_RECEIVES:
            self.events.append(partial(self.deliver, account, bucket, key, received + 1))
        elif failed:
            self.dead.append(partial(self.deliver, account, bucket, key))

    def detected(self, target: str) -> list[DetectedTable]:
        """What a crawl finds in a folder."""
        bucket, _, prefix = target.removeprefix("s3://").partition("/")
        found = [(key, body) for key, body in self.objects.buckets[bucket].items() if key.startswith(prefix)]
        if not found:
            return []
        files = tuple(
            CrawledFile(key, len(body), FileFormat("parquet", "none", _fields(json.loads(body)), 1))
            for key, body in found
        )
        return [DetectedTable(f"s3://{bucket}/{prefix}", prefix.rstrip("/").rpartition("/")[2], files)]

    # -- what is there -----------------------------------------------------------------------------------------------

    def readable(self) -> set[tuple[str, str, str]]:
        """(principal ARN, database.table, column) of everything that an analyst of the mesh can read: what the local
        AWS's Lake Formation says, which is written apart from the code under test."""
        found = set()
        for database in self._databases():
            for table in database.tables.values():
                named = f"{table.database}.{table.name}"
                for principal in self.analysts():
                    for column in self.lake.readable_columns(principal, CENTRAL, table.database, table.name):
                        found.add((principal, named, column))
        return found

    def queryable(self) -> set[tuple[str, str, str]]:
        """The same, of what an analyst reaches by the name that the links of its own account give it."""
        found = set()
        for database in self._databases():
            for table in database.tables.values():
                for principal in self.analysts():
                    account = principal.split(":")[4]
                    try:
                        seen = self.lake.resolve_table(principal, account, None, table.database, table.name)
                    except AwsError:
                        continue
                    found |= {(principal, f"{table.database}.{table.name}", column) for column in seen.readable}
        return found

    def analysts(self) -> list[str]:
        """Every role of a consuming account that is not ours."""
        return [
            role.arn
            for account in sorted(self.accounts)
            for role in iam_backends[account]["aws"].roles.values()
            if not role.name.startswith("tagmesh-")
        ]

    def _databases(self) -> Iterator[Any]:
        for database in self.world.engines["glue"].lookup.databases(CENTRAL):
            if not database.is_link:
                yield database


# -- what is made once ---------------------------------------------------------------------------------------------


@cache
def _client(service: str) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.session.Session(aws_access_key_id="none", aws_secret_access_key="none").client(
        service, region_name=REGION, config=config
    )


def _valid(model: Any, params: dict[str, Any]) -> None:
    from botocore.exceptions import ParamValidationError
    from botocore.validate import ParamValidator

    if model.input_shape is not None:
        report = ParamValidator().validate(params, model.input_shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())


@cache
def _definition(machine: str) -> dict[str, Any]:
    """A machine's definition, with the names of the functions' files in place of their ARNs."""
    text = (ROOT / "statemachines" / f"{machine}.asl.json").read_text("utf-8")
    named = re.sub(r"\$\{(\w+)FunctionArn\}", lambda m: re.sub(r"(?<!^)(?=[A-Z])", "_", m[1]).lower(), text)
    return json.loads(named.replace("${UnitsTable}", "units"))


def _sdk_service(resource: Any) -> str:
    return resource.service.removeprefix("aws-sdk:")


def _fields(schema: list[list[str]]) -> tuple[pa.Field, ...]:
    return tuple(pa.field(name, getattr(pa, kind)()) for name, kind in schema)


__all__ = ["MeshInProcess", "Schema", "runs"]
