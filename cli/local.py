"""The local AWS as a process of its own: `tagmesh local up|down|status`.

What is known of a server is one file, `<state folder>/server.json`: its pid, port and address, and when that
process started, so that another process which was given the same pid since is never touched.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from cli.project import ROOT, state_folder

DEFAULT_PORT = 4600
HOST = "127.0.0.1"
REGION = "eu-west-1"
START_TIMEOUT = 60.0  # seconds until a server that does not answer counts as broken
STOP_TIMEOUT = 10.0  # seconds until a server that does not stop is killed


class LocalAwsError(Exception):
    """Something a person must know or do; the text says what."""


@dataclass(frozen=True)
class Server:
    """A local AWS that `up` started. `started` is the kernel's start time of the process, in clock ticks."""

    pid: int
    started: str
    port: int
    host: str = HOST

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return state_folder(self.port) / "server.log"


# ── up, down, status ────────────────────────────────────────────────────────────────────────────────────


def up(port: int, host: str = HOST, region: str = REGION) -> Server:
    """Start the local AWS, detached, and wait until it answers.

    Raises LocalAwsError if one is running already, if the port is taken, or if it does not come up.
    """
    if running := find(port):
        raise LocalAwsError(
            f"a local AWS is already running at port {port} (pid {running.pid}): use it, or stop it with "
            f"`tagmesh local down --port {port}`"
        )
    if _listens(port):
        raise LocalAwsError(f"port {port} is in use by another program: choose another with --port")
    folder = state_folder(port)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_aws", "--port", str(port), "--host", host, "--region", region]
            + ["--state-dir", str(folder / "state")],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(process.pid, _start_time(process.pid), port, host)
    (folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
    try:
        _wait_until_healthy(server, process)
    except BaseException:
        if process.poll() is None:
            process.kill()
        (folder / "server.json").unlink(missing_ok=True)
        raise
    return server


def down(port: int) -> Server:
    """Stop exactly the process that `up` started at `port`. Raises LocalAwsError if none is running."""
    server = _running(port)
    os.kill(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while _start_time(server.pid) == server.started:
        if time.monotonic() > deadline:
            os.kill(server.pid, signal.SIGKILL)
            deadline += STOP_TIMEOUT
        time.sleep(0.02)
    (state_folder(port) / "server.json").unlink(missing_ok=True)
    shutil.rmtree(state_folder(port) / "state", ignore_errors=True)  # the log stays
    return server


def clock(port: int) -> list[str]:
    """What time it is in the local AWS at `port`, in lines for people. Raises LocalAwsError if there is none."""
    return _clock_lines(ask(_running(port), "clock"))


def today(port: int) -> str:
    """The day (UTC) in the local AWS at `port`: ``2027-03-31``. Raises LocalAwsError if there is none."""
    return ask(_running(port), "clock")["now"][:10]


def advance_clock(port: int, duration: str, *, skip: bool = False) -> list[str]:
    """Let time pass in the local AWS at `port`: a duration such as `15m`, `2h30m` or `1d`; what is due happens.

    With `skip` the clock jumps: what was due in between happens late or, where it is a schedule's, not at all.
    Raises LocalAwsError for a mistake in the duration, and if no local AWS runs.
    """
    from local_aws.clock import seconds_of

    try:
        seconds = seconds_of(duration)
    except ValueError as error:
        raise LocalAwsError(str(error)) from error
    answer = tell(_running(port), "POST", "clock", {"advance": seconds, "skip": skip}, timeout=3600)
    passed = "" if skip else f"things were due at {answer['stops']} moments"
    return [*_clock_lines(answer), *([passed] if passed else [])]


def _clock_lines(answer: dict[str, Any]) -> list[str]:
    ahead = timedelta(seconds=round(answer["ahead_seconds"]))
    lines = [f"{answer['now']}, {ahead} ahead of this machine" if ahead else f"{answer['now']}, this machine's time"]
    return [*lines, f"next due: {answer['next']}"] if answer["next"] else lines


def _running(port: int) -> Server:
    server = find(port)
    if not server:
        raise LocalAwsError(f"no local AWS is running at port {port}: start one with `tagmesh local up --port {port}`")
    return server


def find(port: int) -> Server | None:
    """The local AWS that `up` started at `port` and that is still running, or None."""
    try:
        server = Server(**json.loads((state_folder(port) / "server.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return server if _start_time(server.pid) == server.started else None


def status(port: int) -> list[str]:
    """What runs at `port`, in lines for people. Raises LocalAwsError if nothing does."""
    server = _running(port)
    calls = ask(server, "calls")
    executions = Counter(execution["status"] for execution in ask(server, "executions"))
    lines = [
        f"local AWS at {server.endpoint} (pid {server.pid}), log {server.log}",
        f"API calls   {sum(calls['counts'].values())}",
        f"executions  {', '.join(f'{n} {status}' for status, n in sorted(executions.items())) or 'none'}",
    ]
    for account in sorted({call["account"] for call in calls["log"]} - {""}):
        lines.append(f"account {account}  stacks: {', '.join(_stacks(server, account)) or 'none'}")
    if failures := calls["failures"]:
        lines.append(f"{len(failures)} failures of the local AWS itself; the last: {failures[-1].splitlines()[-1]}")
    return lines


def _stacks(server: Server, account: str) -> list[str]:
    from local_aws.sessions import LocalSession  # boto3 takes longer to import than the other commands run

    session = LocalSession(
        server.endpoint,
        aws_access_key_id=f"LOCALADMIN{account}",
        aws_secret_access_key="local",
        region_name=REGION,
    )
    stacks = session.client("cloudformation").describe_stacks()["Stacks"]
    return [f"{stack['StackName']} {stack['StackStatus']}" for stack in stacks]


@contextmanager
def running(port: int, host: str = HOST, region: str = REGION, *, keep: bool = False) -> Iterator[Server]:
    """A fresh local AWS for a `with` block; it goes on after the block if `keep` and the block ended well."""
    server = up(port, host, region)
    ended_well = False
    try:
        yield server
        ended_well = True
    finally:
        if not (keep and ended_well):
            down(port)


# ── Asking a running server ─────────────────────────────────────────────────────────────────────────────


def ask(server: Server, path: str, **params: object) -> Any:
    """GET /_local/<path> as JSON. Raises LocalAwsError if the server does not answer."""
    return _answer(server, "GET", path, params=params, timeout=30)


def tell(server: Server, method: str, path: str, body: dict, timeout: float = 30) -> Any:
    """PUT or POST JSON to /_local/<path>; the answer as JSON."""
    return _answer(server, method, path, json=body, timeout=timeout)


def _answer(server: Server, method: str, path: str, **request: Any) -> Any:
    try:
        response = _http().request(method, f"{server.endpoint}/_local/{path}", **request)
    except requests.RequestException as error:
        raise LocalAwsError(
            f"the local AWS at port {server.port} does not answer: {error}; its log is {server.log}"
        ) from error
    if not response.ok:
        raise LocalAwsError(f"the local AWS refused {method} /_local/{path}: {response.text[:300]}")
    return response.json()


def _http() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy in the environment must not come between: the server is on this machine
    return session


# ── The process ─────────────────────────────────────────────────────────────────────────────────────────


def _wait_until_healthy(server: Server, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LocalAwsError(f"the local AWS ended while starting:\n{_last_lines(server.log)}")
        try:
            if _http().get(f"{server.endpoint}/_local/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.05)
    raise LocalAwsError(f"no answer from the local AWS in {START_TIMEOUT:.0f} s:\n{_last_lines(server.log)}")


def _last_lines(log: Path, count: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _start_time(pid: int) -> str:
    """When the process started, in clock ticks (proc(5), field 22); empty if there is none or it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]
