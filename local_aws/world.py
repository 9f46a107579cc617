"""The world: what every engine of one local AWS shares.

Clock, lock, engines, background work, recorded calls, the activity feed, and sessions for services that act as a role.
One world lives at a time in a process, because moto keeps its state in module globals.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from local_aws.clock import Clock
from local_aws.faults import Faults

log = logging.getLogger("local_aws")

LOOK_EVERY = 0.01
"""Seconds between looks at whether something is under way."""
KEPT_RECORDS = 100_000
"""Calls and activity lines kept; the older half is dropped beyond that."""


@dataclass(frozen=True)
class Activity:
    """One line of the live view: something a person who watches the mesh wants to see."""

    n: int
    time: str
    stage: str
    subject: str
    text: str


@dataclass(frozen=True)
class CallRecord:
    """One API call as it was judged and answered. Holds names and ARNs, never the data of a request."""

    n: int
    time: str
    service: str
    operation: str
    account: str
    region: str
    principal: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    verdict: str
    """`allow`, `deny` (authorisation), `refused` (not built here) or `unauthenticated`."""
    error: str | None
    milliseconds: float


class World:
    """State shared by the engines of one local AWS.

    `engines[service]` is the engine of a botocore service name; where several classes serve one service it is the
    first of them, and each is also found under its own lower-cased class name (`engines["crawlers"]`).
    """

    def __init__(self, region: str = "eu-west-1", state_dir: Path | None = None) -> None:
        self.region = region
        self.endpoint = ""
        self.lock = threading.RLock()
        self.engines: dict[str, Any] = {}
        self.credentials: dict[str, Any] = {}
        """Temporary credentials issued so far, by access key (see identity.py)."""
        self.organization: dict[str, Any] = {"id": None, "members": set(), "ram_sharing": False}
        self.pinned: dict[str, dict[str, str]] = {}
        """Resource ARN -> the principals that its policy names, with their unique ids (see principals.py)."""
        self.log: list[CallRecord] = []
        self.counts: Counter[str] = Counter()
        self.busy_checks: list[Callable[[], list[str]]] = []
        """Functions that name what is under way besides submitted work: queue messages, executions, crawls."""
        self.waiting_checks: list[Callable[[], list[str]]] = []
        """Functions that name what goes on by itself after a short wait for the clock: retries, invisible messages."""
        self.on_stop: list[Callable[[], None]] = []
        self.stopping = threading.Event()
        self.failures: list[str] = []
        """Tracebacks of background work that broke: always a defect of the local AWS."""

        self._temporary = None if state_dir else tempfile.TemporaryDirectory(prefix="local-aws-")
        self.state_dir = Path(state_dir or self._temporary.name)
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.clock = Clock(self.state_dir / "clock")
        self.faults = Faults(self)

        self._serving: dict[str, list[Any]] = {}
        self._activity: list[Activity] = []
        self._activity_count = 0
        self._record_count = 0
        self._records = threading.Lock()
        self._pending: Counter[str] = Counter()
        self._settled = threading.Condition()
        self._moto_locks: dict[str, threading.RLock] = {}
        self._moto_guard = threading.Lock()

    # -- engines

    def add_engine(self, engine: Any) -> None:
        """Let `engine` answer the operations of `engine.service` that it has methods for."""
        self._serving.setdefault(engine.service, []).append(engine)
        self.engines.setdefault(engine.service, engine)
        self.engines[type(engine).__name__.lower()] = engine

    def handler(self, service: str, operation: str) -> Callable[..., dict] | None:
        """The engine method that answers an operation, or None: then it is moto's."""
        for engine in self._serving.get(service, ()):
            if method := getattr(engine, operation, None):
                return method
        return None

    def serving(self, service: str) -> list[Any]:
        """All engines of a service, in the order of registration."""
        return self._serving.get(service, [])

    @contextmanager
    def moto_lock(self, service: str) -> Iterator[None]:
        """Held around everything done in moto's backend of one service: its backends are not atomic."""
        with self._moto_guard:
            lock = self._moto_locks.setdefault(service, threading.RLock())
        with lock:
            yield

    # -- time

    def now(self) -> datetime:
        """The time in this world, aware, UTC."""
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        """Move the clock forward at once: what lies between and is due by a schedule happens late or never."""
        self.clock.advance(seconds)

    def pass_time(self, seconds: float) -> int:
        """Let time pass as it would by itself, but fast: everything that is due happens at its moment.

        Returns at how many moments something was due. Raises TimeoutError if what happens then does not end.
        """
        return self.clock.pass_time(seconds, lambda timeout: self.wait_idle(timeout, waits=False))

    # -- background work

    def submit(self, work: Callable[..., Any], *args: Any) -> None:
        """Run `work(*args)` in a thread of its own. It counts as under way until it returns.

        A thread each, not a pool: work waits for other work (an execution for its function), which would starve a pool.
        """
        name = getattr(work, "__qualname__", repr(work))
        with self._settled:
            self._pending[name] += 1

        def run() -> None:
            try:
                work(*args)
            except Exception:  # noqa: BLE001 - the boundary of a thread: nobody above could report it
                trace = traceback.format_exc()
                self.failures.append(trace)
                self.activity("error", name, trace.strip().splitlines()[-1])
                log.error("background work %s broke\n%s", name, trace)
            finally:
                with self._settled:
                    self._pending[name] -= 1
                    self._settled.notify_all()

        threading.Thread(target=run, name=name, daemon=True).start()

    def busy(self, waits: bool = True) -> list[str]:
        """What is under way now, in words, short waits for the clock included if `waits`. Empty at rest."""
        with self._settled:
            under_way = [f"{name} ({count})" for name, count in self._pending.items() if count]
        for check in [*self.busy_checks, *(self.waiting_checks if waits else ())]:
            under_way += check()
        return under_way

    def wait_idle(self, timeout: float = 60.0, *, waits: bool = True) -> None:
        """Wait until nothing is under way.

        Work moves between queues, executions and threads, so the world counts as at rest only when it looked so
        several times in a row. With `waits` false, what only waits for the clock is left waiting. Raises TimeoutError
        that names what still runs.
        """
        deadline = time.monotonic() + timeout
        quiet = 0
        while quiet < 4:
            under_way = self.busy(waits)
            quiet = 0 if under_way else quiet + 1
            if under_way and time.monotonic() >= deadline:
                raise TimeoutError(f"after {timeout:g} s still under way: {', '.join(sorted(under_way))}")
            with self._settled:
                self._settled.wait(LOOK_EVERY)

    # -- what happened

    def record(self, **fields: Any) -> None:
        """Append one call to the log. `fields` are those of CallRecord but `n` and `time`."""
        with self._records:
            self._record_count += 1
            record = CallRecord(n=self._record_count, time=_timestamp(self.now()), **fields)
            self.log.append(record)
            self.counts[f"{record.service}:{record.operation}"] += 1
            if len(self.log) > KEPT_RECORDS:
                del self.log[: KEPT_RECORDS // 2]

    def activity(self, stage: str, subject: str, text: str) -> None:
        """Say that something happened which a person watching wants to see."""
        with self._records:
            self._activity_count += 1
            self._activity.append(Activity(self._activity_count, _timestamp(self.now()), stage, subject, text))
            if len(self._activity) > KEPT_RECORDS:
                del self._activity[: KEPT_RECORDS // 2]

    def activity_after(self, n: int) -> list[dict]:
        """The activity lines numbered above `n`, oldest first."""
        with self._records:
            return [asdict(line) for line in self._activity if line.n > n]

    # -- events

    def emit_event(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: dict,
        resources: tuple[str, ...] | list[str] = (),
    ) -> str:
        """Put an AWS service event on the account's default bus, asynchronously. Returns the event's id."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": account,
            "time": self.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": list(resources),
            "detail": detail,
        }
        if "events" in self.engines:
            self.submit(self.engines["events"].route, account, region, "default", event)
        return event["id"]

    # -- acting as somebody

    def session(self, role_arn: str, session_name: str, service: str | None = None, region: str | None = None) -> Any:
        """A boto3.Session of a role, as if a service had assumed it.

        With `service` (such as `events.amazonaws.com`) the role's trust policy must admit that service principal.
        Raises AwsError AccessDenied if it does not, or if there is no such role.
        """
        from local_aws.access import identity

        issued = identity.assume_as_service(self, role_arn, session_name, service)
        return self.session_of(issued, region)

    def session_of(self, credentials: Any, region: str | None = None) -> Any:
        """A boto3.Session on this world's endpoint with the given identity.Credentials."""
        from local_aws.sessions import LocalSession

        return LocalSession(
            endpoint=self.endpoint,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            region_name=region or self.region,
        )

    def authorize_service(
        self, service_principal: str, action: str, resource: str, source_arn: str, source_account: str
    ) -> None:
        """Check that a resource's own policy lets a service act on it (EventBridge on a queue, say).

        Raises AwsError AccessDenied, with the policy's resource named.
        """
        from local_aws.access import authorization

        authorization.authorize_service(self, service_principal, action, resource, source_arn, source_account)

    # -- end

    def stop(self) -> None:
        """End background work and free what the engines hold. The world is not usable afterwards."""
        self.stopping.set()
        with ExitStack() as closing:  # all are called, in reverse, even if one of them fails
            if self._temporary:
                closing.callback(self._temporary.cleanup)
            closing.callback(self.clock.stop)
            for close in self.on_stop:
                closing.callback(close)


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
