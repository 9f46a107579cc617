"""The server: one HTTP front for every service and account.

A request is read, its caller found, its operation and parameters parsed, checked against the allow-list, authorised,
answered by an engine or by moto, and recorded.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from local_aws import allowed, identity, wire
from local_aws.admin import answer_admin
from local_aws.wire import AwsError, Call
from local_aws.world import World

log = logging.getLogger("local_aws")

ENGINES = (
    "local_aws.identity:Sts",
    "local_aws.s3:S3",
    "local_aws.eventbridge:EventBridge",
    "local_aws.schedules:Schedules",
    "local_aws.stepfunctions:StepFunctions",
    "local_aws.lambda_runtime:Lambda",
    "local_aws.event_sources:EventSources",
    "local_aws.cloudformation:CloudFormation",
    "local_aws.glue_catalog:Glue",
    "local_aws.crawlers:Crawlers",
    "local_aws.lakeformation:LakeFormation",
    "local_aws.ram:Ram",
    "local_aws.athena:Athena",
)
"""Import paths of the engines. Several may serve one service: the first that has a method for an operation answers."""

UNLOCKED = frozenset({"lambda", "events", "stepfunctions"})
"""Services whose calls in moto may call back into the server: a lock held around them could wait for itself."""


class Front:
    """The WSGI application."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._moto_apps: dict[str, Callable] = {}
        self._guard = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        return self.answer(environ)(environ, start_response)

    def answer(self, environ: dict[str, Any]) -> Response:
        """The response to one request."""
        started = time.perf_counter()
        request, body = wire.read(environ)
        if request.path.startswith("/_local/"):
            return answer_admin(self.world, request, body)
        call = None
        verdict = "unauthenticated"
        asked: tuple[tuple[str, str], ...] = ()
        error: AwsError | None = None
        try:
            call, refusal = self._identify(request, body)
            if refusal:
                raise refusal
            verdict = "refused"
            allowed.check(call.service, call.operation, call.params)
            response = self._dispatch(call)
            verdict = "allow"
        except AwsError as raised:
            error = raised
            response = wire.error_response(call, error) if call else wire.unroutable_response(request, error)
        except Exception:  # noqa: BLE001 - the boundary of the process: AWS answers 500 too
            trace = traceback.format_exc()
            self.world.failures.append(trace)
            log.error("%s %s broke\n%s", request.method, request.path, trace)
            error = AwsError("InternalFailure", f"the local AWS broke: {trace.strip().splitlines()[-1]}", 500)
            response = wire.error_response(call, error) if call else wire.unroutable_response(request, error)
        if call:
            self._record(call, verdict, asked, error, response, started)
        return response

    def _identify(self, request: Any, body: bytes) -> tuple[Call, AwsError | None]:
        """The call that a request makes; with the error when its caller is nobody we know."""
        signature = wire.signature(request)
        if signature is None:
            raise AwsError("MissingAuthenticationToken", "Missing Authentication Token", 403)
        service = wire.service_of(request, signature.signing_name)
        if service not in allowed.services():
            raise AwsError(allowed.REFUSED, f"the local AWS has no {service} (no local_aws/allowed/{service}.yaml)")
        model, params, protocol = wire.parse(request, body, service)
        refusal = None
        try:
            caller = identity.caller_of(self.world, signature)
        except AwsError as error:
            refusal = error
            caller = identity.Caller("", signature.region, "", "", access_key=signature.access_key)
        call = Call(service, model.name, params, caller, model, protocol, request, body, wire.new_request_id())
        return call, refusal

    def _dispatch(self, call: Call) -> Response:
        handler = self.world.handler(call.service, call.operation)
        if handler is not None:
            return wire.result_response(call, handler(call.caller, **call.params))
        return self.moto(call)

    def moto(self, call: Call) -> Response:
        """Let moto answer a call, in the caller's account."""
        app = self._moto_app(call.service)
        environ = {name: value for name, value in call.request.environ.items() if not name.startswith("werkzeug.request")}
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.caller.account
        wire.rewind(environ, call.body)
        try:
            if call.service in UNLOCKED:
                response = Response.from_app(app, environ, buffered=True)
            else:
                with self.world.moto_lock(call.service):
                    response = Response.from_app(app, environ, buffered=True)
        except NotImplementedError as error:
            raise AwsError(allowed.REFUSED, f"moto does not do {call.service}:{call.operation}: {error}") from error
        return wire.with_request_id(response, call.request_id)

    def _moto_app(self, service: str) -> Callable:
        with self._guard:
            if service not in self._moto_apps:
                self._moto_apps[service] = create_backend_app(service)
            return self._moto_apps[service]

    def _record(
        self,
        call: Call,
        verdict: str,
        asked: tuple[tuple[str, str], ...],
        error: AwsError | None,
        response: Response,
        started: float,
    ) -> None:
        code = error.code if error else None
        if code is None and response.status_code >= 400:
            code = wire.error_code(response)
        self.world.record(
            service=call.service,
            operation=call.operation,
            account=call.caller.account,
            region=call.caller.region,
            principal=call.caller.principal,
            actions=tuple(action for action, _ in asked),
            resources=tuple(resource for _, resource in asked),
            verdict=verdict,
            error=code,
            milliseconds=round((time.perf_counter() - started) * 1000, 2),
        )


class Handler(MotoRequestHandler):
    """HTTP/1.1 with kept connections, which werkzeug's own does not do because it may leave requests unread.

    Each answer leaves in one packet, and at once: Nagle's algorithm would hold back a second one for 40 ms.
    """

    disable_nagle_algorithm = True
    timeout = 300

    def run_wsgi(self) -> None:
        response = self.server.app.answer(self.make_environ())
        bodiless = self.command == "HEAD" or response.status_code in (204, 304)
        body = b"" if bodiless else response.get_data()
        if not bodiless:
            response.headers["Content-Length"] = str(len(body))
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self._headers_buffer.append(b"\r\n" + body)
        self.flush_headers()

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Silent: calls are recorded in the world."""


class LocalAws:
    """A local AWS, serving. Use as a context manager; at most one at a time in a process."""

    _running = threading.Lock()

    def __init__(
        self,
        port: int = 0,
        region: str = "eu-west-1",
        host: str = "127.0.0.1",
        state_dir: Path | None = None,
    ) -> None:
        self.region = region
        self._address = (host, port)
        self._state_dir = state_dir

    def __enter__(self) -> LocalAws:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, from an empty world. Raises RuntimeError if another one runs in this process."""
        if not self._running.acquire(blocking=False):
            raise RuntimeError("another LocalAws runs in this process: moto keeps its state in module globals")
        _forget_everything()
        self.world = World(self.region, self._state_dir)
        self._server = make_server(*self._address, Front(self.world), threaded=True, request_handler=Handler)
        self.port = self._server.port
        self.endpoint = self.world.endpoint = f"http://127.0.0.1:{self.port}"
        os.environ["MOTO_PORT"] = str(self.port)  # moto calls its own server by it
        for path in ENGINES:
            _add_engine(self.world, path)
        self._thread = threading.Thread(target=self._server.serve_forever, name="local-aws", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free everything."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.world.stop()
        self._running.release()

    def session(self, account: str, role: str | None = None, region: str | None = None) -> Any:
        """A boto3.Session in an account: its administrator, or one of its roles (by name or ARN)."""
        if role is None:
            return self.world.session_of(identity.admin(account, self.region), region)
        arn = role if role.startswith("arn:") else identity.role_arn(account, role)
        return self.world.session(arn, "local", region=region)


def _add_engine(world: World, path: str) -> None:
    module_name, class_name = path.split(":")
    try:
        module = importlib.import_module(module_name)
        engine = getattr(module, class_name)
    except (ModuleNotFoundError, AttributeError) as error:
        if not (getattr(error, "name", "") or "").startswith(("local_aws", class_name)):
            raise
        log.warning("no engine %s: %s", path, error)
        return
    world.add_engine(engine(world))


def _forget_everything() -> None:
    """Empty moto's backends."""
    BackendDict.reset()
    reset_model_data()


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m local_aws", description="AWS on one machine")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets containers reach it over the bridge")
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--state-dir", type=Path, help="where functions and logs are kept; default: a temporary folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    with LocalAws(options.port, options.region, options.host, options.state_dir) as aws:
        print(f"local AWS ready at {aws.endpoint}", flush=True)
        end.wait()
