"""Processes in which functions run: AWS's own runtime client, one process and one Runtime API listener per sandbox.

`awslambdaric` (by way of `clocked.py`) asks the listener for the next invocation and posts what became of it, as on
AWS. The process sees the code, the packages that the Lambda runtime has, and Lambda's environment; nothing else.
Source: Lambda developer guide, "Using the Lambda runtime API", "Lambda execution environment lifecycle".
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
import venv
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local_aws.wire import AwsError

RUNTIME_PACKAGES = (
    "boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py", "awslambdaric", "simplejson",
    "snapshot_restore_py.py", "runtime_client.*",
)  # fmt: skip
"""What the Lambda runtime for Python brings: the SDK with its dependencies, and the runtime client with its own."""
CLOCK_PACKAGES = ("time_machine", "_time_machine.*")
"""What moves the clock of a process. Kept apart, where the code of functions does not find it."""
CLOCKED = Path(__file__).with_name("clocked.py")
INIT_SECONDS = 30.0
"""How long a process may take to import its handler. AWS allows 10 s; this machine's cores are shared."""
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
MACHINE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
"""The processor of this machine, as Lambda names it."""


@dataclass(frozen=True)
class Launch:
    """All that a process depends on: two invocations with equal launches may share a process."""

    function_arn: str
    version: str
    code: Path
    handler: str
    python: str
    """Version of the interpreter, as in `3.11`."""
    memory: int
    role: str
    region: str
    variables: tuple[tuple[str, str], ...]
    log_group: str
    log_format: str = "Text"
    log_level: str | None = None

    @property
    def name(self) -> str:
        return self.function_arn.split(":")[6]


@dataclass(frozen=True)
class Invocation:
    request_id: str
    payload: bytes
    invoked_arn: str
    seconds: float
    client_context: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended. `error` is None or the error's type; then `payload` is the error document."""

    payload: bytes
    error: str | None = None
    milliseconds: float = 0.0
    init_milliseconds: float | None = None
    log: bytes = b""
    memory_mb: int = 0


# -- interpreters --------------------------------------------------------------------------------------------------


@cache
def interpreter(version: str, state_dir: Path) -> Path | None:
    """The interpreter that runs functions of Python `version`, or None if this machine has none that can.

    For the version of the running interpreter it is one of an environment made for the purpose, which has nothing but
    the runtime's packages, so that a dependency missing from an artifact is really missing. Any other version must
    find awslambdaric and boto3 by itself.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return _runtime_environment(version, state_dir)
    found = shutil.which(f"python{version}")
    check = "import sys, awslambdaric, runtime_client, boto3; sys.exit('%d.%d' % sys.version_info[:2] != sys.argv[1])"
    if found and subprocess.run([found, "-c", check, version], capture_output=True).returncode == 0:
        return Path(found)
    return None


def _runtime_environment(version: str, state_dir: Path) -> Path:
    place = state_dir / "runtimes" / f"python{version}"
    if not place.exists():
        making = place.with_name(f"{place.name}-{uuid.uuid4().hex}")
        venv.EnvBuilder(symlinks=True).create(making)
        packages = making / "lib" / f"python{version}" / "site-packages"
        installed = Path(sysconfig.get_path("purelib"))
        clock = making / "clock"
        clock.mkdir()
        for folder, patterns in ((packages, RUNTIME_PACKAGES), (clock, CLOCK_PACKAGES)):
            for pattern in patterns:
                for source in installed.glob(pattern):
                    (folder / source.name).symlink_to(source)
        making.rename(place)
    return place / "bin" / "python"


def _clock_packages(executable: Path) -> str:
    """The folder with CLOCK_PACKAGES: beside the interpreter's own; an interpreter found elsewhere has its own."""
    return str(executable.parent.parent / "clock")


# -- the Runtime API -----------------------------------------------------------------------------------------------


class _RuntimeApi(ThreadingHTTPServer):
    daemon_threads = True
    sandbox: Sandbox

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed process leaves broken connections: nothing to report."""


class _Route(BaseHTTPRequestHandler):
    """The routes of the Runtime API, version 2018-06-01."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _RuntimeApi

    def do_GET(self) -> None:
        if self.path != "/2018-06-01/runtime/invocation/next":
            self._answer(404, b"{}")
            return
        invocation = self.server.sandbox.next_invocation()
        if invocation is None:
            self.close_connection = True
            return
        deadline = int((time.time() + invocation.seconds) * 1000)
        trace = f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.invoked_arn,
            "Lambda-Runtime-Trace-Id": trace,
        }
        if invocation.client_context:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        self._answer(200, invocation.payload, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        what = self.path.removeprefix("/2018-06-01/runtime/")
        if what == "init/error":
            self.server.sandbox.ended("init-error", body)
        elif len(body) > MAX_RESPONSE_BYTES:
            fault = {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            }
            self.server.sandbox.ended("too-large", json.dumps(fault).encode())
            self._answer(413, b'{"errorType": "RequestEntityTooLarge"}')
            return
        elif what.startswith("invocation/"):
            self.server.sandbox.ended(what.rsplit("/", 1)[1], body)
        self._answer(202, b'{"status": "OK"}')

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: invocations are recorded in the world."""


# -- the process ---------------------------------------------------------------------------------------------------


class Sandbox:
    """One process of one function. Takes one invocation at a time."""

    def __init__(
        self,
        launch: Launch,
        executable: Path,
        endpoint: str,
        credentials: Any,
        started: Any,
        clock_file: Path,
    ) -> None:
        self.launch = launch
        self.access_key = credentials.access_key
        self.started = started
        """The world's time at which it was started: its credentials age."""
        self.idle_since = 0.0
        day = started.strftime("%Y/%m/%d")
        self.log_stream = f"{day}/[{launch.version}]{uuid.uuid4().hex}"
        self._invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._ends: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._output = bytearray()
        self._reading = threading.Lock()
        self._initialised: float | None = None
        self._fresh = True
        self._began = time.monotonic()
        self._api = _RuntimeApi(("127.0.0.1", 0), _Route)
        self._api.sandbox = self
        threading.Thread(target=self._api.serve_forever, args=(0.5,), name="runtime-api", daemon=True).start()
        self._process = subprocess.Popen(
            [str(executable), "-P", str(CLOCKED), str(clock_file), _clock_packages(executable), launch.handler],
            cwd=launch.code,
            env=self._environment(endpoint, credentials),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.set_blocking(self._process.stdout.fileno(), False)
        threading.Thread(target=self._watch, name="sandbox", daemon=True).start()

    def _environment(self, endpoint: str, credentials: Any) -> dict[str, str]:
        """Lambda's environment variables, and the way to this AWS.

        Source: Lambda developer guide, "Defined runtime environment variables".
        """
        launch = self.launch
        environment = {
            "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "LAMBDA_TASK_ROOT": str(launch.code),
            "LAMBDA_RUNTIME_DIR": str(launch.code),
            "PYTHONPATH": str(launch.code),
            "_HANDLER": launch.handler,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": launch.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(launch.memory),
            "AWS_LAMBDA_FUNCTION_VERSION": launch.version,
            "AWS_LAMBDA_LOG_GROUP_NAME": launch.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_LOG_FORMAT": launch.log_format,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{launch.python}",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
            "AWS_REGION": launch.region,
            "AWS_DEFAULT_REGION": launch.region,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.token,
            "AWS_ENDPOINT_URL": endpoint,
        }
        if launch.log_level:
            environment["AWS_LAMBDA_LOG_LEVEL"] = launch.log_level
        return {**environment, **dict(launch.variables)}

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_initialised(self) -> None:
        """Wait until the handler is imported, or the process gives up."""
        deadline = time.monotonic() + INIT_SECONDS
        while self._initialised is None and self.alive and time.monotonic() < deadline:
            time.sleep(0.02)

    # -- called by the Runtime API -------------------------------------------------------------------------------

    def next_invocation(self) -> Invocation | None:
        """Wait for work; the first call says that the handler is imported."""
        if self._initialised is None:
            self._initialised = (time.monotonic() - self._began) * 1000
            self._ends.put(("ready", b""))
        return self._invocations.get()

    def ended(self, how: str, body: bytes) -> None:
        """Take what the process posted: `response`, `error` or `init-error`."""
        self._ends.put((how, body))

    # -- called by the engine ------------------------------------------------------------------------------------

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run one invocation to its end. A sandbox that is not `alive` afterwards is of no more use."""
        init_milliseconds = None
        if self._fresh:
            self._fresh = False
            how, body = self._await(INIT_SECONDS)
            if how != "ready":
                return self._failed_init(how, body, invocation)
            init_milliseconds = self._initialised
        started = time.monotonic()
        self._invocations.put(invocation)
        how, body = self._await(invocation.seconds)
        milliseconds = (time.monotonic() - started) * 1000
        self.idle_since = time.monotonic()
        outcome = self._outcome(how, body, invocation)
        memory = self._memory_mb()
        return Outcome(outcome.payload, outcome.error, milliseconds, init_milliseconds, self._take_output(), memory)

    def _await(self, seconds: float) -> tuple[str, bytes]:
        try:
            return self._ends.get(timeout=seconds)
        except queue.Empty:
            self.kill()
            return "timeout", b""

    def _outcome(self, how: str, body: bytes, invocation: Invocation) -> Outcome:
        prefix = f"RequestId: {invocation.request_id} Error: "
        if how == "response":
            return Outcome(body)
        if how == "too-large":  # the runtime client gives up when its answer is refused
            self.kill()
        if how == "timeout":
            message = f"{prefix}Task timed out after {invocation.seconds:.2f} seconds"
            return _error("Sandbox.Timedout", message)
        if how == "exit":
            return _error("Runtime.ExitError", prefix + "Runtime exited " + body.decode())
        return Outcome(body, str(_document(body).get("errorType", "Unknown")))

    def _failed_init(self, how: str, body: bytes, invocation: Invocation) -> Outcome:
        milliseconds = (time.monotonic() - self._began) * 1000
        self.kill()
        if how == "init-error":
            fault = {**_document(body), "requestId": invocation.request_id}
            outcome = Outcome(json.dumps(fault).encode(), str(fault.get("errorType")))
        elif how == "timeout":
            message = f"RequestId: {invocation.request_id} Error: Task timed out after {INIT_SECONDS:.2f} seconds"
            outcome = _error("Sandbox.Timedout", message)
        else:
            outcome = self._outcome(how, body, invocation)
        return Outcome(outcome.payload, outcome.error, milliseconds, None, self._take_output())

    def kill(self) -> None:
        """End the process and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._invocations.put(None)
        self._process.wait()

    def _watch(self) -> None:
        """Read the process's output until it ends, then say how it ended."""
        output = select.poll()  # select.select takes no descriptor above 1023
        output.register(self._process.stdout.fileno(), select.POLLIN)
        while True:
            output.poll()
            with self._reading:
                if not self._read():
                    self._process.stdout.close()
                    break
        code = self._process.wait()
        how = f"with error: signal: {signal.Signals(-code).name}" if code < 0 else f"with error: exit status {code}"
        self._ends.put(("exit", b"without providing a reason" if code == 0 else how.encode()))
        self._api.shutdown()
        self._api.server_close()

    def _read(self) -> bool:
        """Take all output there is now; False at its end. The lock `_reading` is held."""
        try:
            while True:
                part = os.read(self._process.stdout.fileno(), 65536)
                if not part:
                    return False
                self._output += part
        except BlockingIOError:
            return True

    def _take_output(self) -> bytes:
        """What was printed since the last time. Output is written before the outcome is posted: it is here by now."""
        with self._reading:
            if not self._process.stdout.closed:
                self._read()
            output, self._output = bytes(self._output), bytearray()
        return output

    def _memory_mb(self) -> int:
        """Peak resident memory of the process."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        kilobytes = re.search(r"^VmHWM:\s*(\d+)", status, re.MULTILINE)
        return int(kilobytes[1]) // 1024 if kilobytes else 0


class Pool:
    """The processes of all functions: kept warm, limited in number, the longest idle ended first."""

    def __init__(self, start: Callable[[Launch], Sandbox], per_function: int = 8, overall: int = 40) -> None:
        self._start = start
        self._per_function = per_function
        self._overall = overall
        self._idle: dict[Launch, list[Sandbox]] = {}
        self._busy: set[Sandbox] = set()
        self._starting: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closed = False

    def take(self, launch: Launch, oldest: Any) -> Sandbox:
        """A process for one invocation: an idle one started after `oldest`, else a new one, once there is room."""
        with self._changed:
            while True:
                if self._closed:
                    raise AwsError("ServiceException", "the local AWS is stopping", 500)
                idle = self._idle.get(launch, [])
                while idle:
                    sandbox = idle.pop()
                    if sandbox.alive and sandbox.started > oldest:
                        self._busy.add(sandbox)
                        return sandbox
                    sandbox.kill()
                if self._room_for(launch):
                    break
                self._changed.wait(1.0)
            self._starting[launch.function_arn] += 1
        sandbox = None
        try:
            sandbox = self._start(launch)
        finally:
            with self._changed:
                self._starting[launch.function_arn] -= 1
                if sandbox is not None:
                    self._busy.add(sandbox)
                self._changed.notify_all()
        return sandbox

    def prepare(self, launch: Launch) -> Sandbox | None:
        """Start a process before it is asked for, if there is none yet and room enough."""
        with self._changed:
            known = [*self._busy, *(each for idle in self._idle.values() for each in idle)]
            if self._closed or len(known) >= self._overall or any(each.launch == launch for each in known):
                return None
        sandbox = self._start(launch)
        self.give_back(sandbox)
        return sandbox

    def kill(self, access_key: str) -> None:
        """Kill the process that an access key was given to, in the middle of whatever it does."""
        with self._changed:
            sandbox = next((each for each in self._busy if each.access_key == access_key), None)
        if sandbox is not None:
            sandbox.kill()

    def give_back(self, sandbox: Sandbox) -> None:
        """Keep a process for the next invocation, if it still runs."""
        with self._changed:
            self._busy.discard(sandbox)
            if self._closed:
                sandbox.kill()
            elif sandbox.alive:
                self._idle.setdefault(sandbox.launch, []).append(sandbox)
            self._changed.notify_all()

    def end_idle(self, function_arn: str) -> None:
        """End the idle processes of a function whose code or settings have changed, or that is gone."""
        with self._changed:
            for launch in [each for each in self._idle if each.function_arn == function_arn]:
                for sandbox in self._idle.pop(launch):
                    sandbox.kill()

    def close(self) -> None:
        """End every process."""
        with self._changed:
            self._closed = True
            everyone = [*self._busy, *(each for idle in self._idle.values() for each in idle)]
            self._idle.clear()
            self._changed.notify_all()
        for sandbox in everyone:
            sandbox.kill()

    def _room_for(self, launch: Launch) -> bool:
        """Whether one more process may start; an idle one of another launch is ended for it if need be."""
        arn = launch.function_arn
        busy = sum(each.launch.function_arn == arn for each in self._busy) + self._starting[arn]
        idle = [each for launches in self._idle.values() for each in launches]
        own = [each for each in idle if each.launch.function_arn == arn]
        if busy >= self._per_function:
            return False
        if busy + len(own) >= self._per_function:
            self._end_longest_idle(own)
        elif len(self._busy) + sum(self._starting.values()) + len(idle) >= self._overall:
            if not idle:
                return False
            self._end_longest_idle(idle)
        return True

    def _end_longest_idle(self, among: list[Sandbox]) -> None:
        longest = min(among, key=lambda each: each.idle_since)
        self._idle[longest.launch].remove(longest)
        longest.kill()


def _error(error_type: str, message: str) -> Outcome:
    return Outcome(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), error_type)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
