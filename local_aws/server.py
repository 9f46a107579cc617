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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.request import Request
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from local_aws import allowed, wire
from local_aws.access import actions, authorization, iam, identity, principals
from local_aws.access.need import Need
from local_aws.admin import answer_admin
from local_aws.faults import BrokenOff
from local_aws.moto_services import dynamodb, kms, s3, sns, sqs
from local_aws.wire import AwsError, Call
from local_aws.world import World

log = logging.getLogger("local_aws")

ENGINES = (
    "local_aws.access.identity:Sts",
    "local_aws.access.simulator:PolicySimulator",
    "local_aws.moto_services.s3:S3",
    "local_aws.moto_services.sns:Sns",
    "local_aws.events.eventbridge:EventBridge",
    "local_aws.events.schedules:Schedules",
    "local_aws.stepfunctions.engine:StepFunctions",
    "local_aws.functions.lambda_runtime:Lambda",
    "local_aws.functions.event_sources:EventSources",
    "local_aws.cloudformation.engine:CloudFormation",
    "local_aws.glue.glue_catalog:Glue",
    "local_aws.crawlers.engine:Crawlers",
    "local_aws.lakeformation.engine:LakeFormation",
    "local_aws.lakeformation.ram:Ram",
    "local_aws.athena.engine:Athena",
)
"""Import paths of the engines. Several may serve one service: the first that has a method for an operation answers."""


@dataclass
class Judgement:
    """What became known of a request on its way: for the record."""

    call: Call | None = None
    verdict: str = "unauthenticated"
    needs: list[Need] = field(default_factory=list)
    error: AwsError | None = None


UNLOCKED = frozenset({"lambda", "events", "stepfunctions"})
"""Services whose calls in moto may call back into the server: a lock held around them could wait for itself."""


HOOKS = {"dynamodb": dynamodb, "iam": iam, "kms": kms, "s3": s3, "sns": sns, "sqs": sqs}
"""What is done around moto for a service: `before(world, call)`, and `after(world, call, response, before)`."""


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
        judgement = Judgement()
        try:
            response = self._answer(request, body, judgement)
        except AwsError as error:
            response = self._failed(request, judgement, error)
        except BrokenOff:
            judgement.error = AwsError("BrokenOff", "the connection broke off", 0)
            self._record(judgement, Response(status=500), started)
            raise
        except Exception:  # noqa: BLE001 - the boundary of the process: AWS answers 500 too
            trace = traceback.format_exc()
            self.world.failures.append(trace)
            log.error("%s %s broke\n%s", request.method, request.path, trace)
            reason = trace.strip().splitlines()[-1]
            response = self._failed(request, judgement, AwsError("InternalFailure", reason, 500))
        self._record(judgement, response, started)
        return response

    def _answer(self, request: Request, body: bytes, judgement: Judgement) -> Response:
        signature = wire.signature(request)
        if signature is None:
            raise identity.unauthenticated(wire.likely_service(request), "missing")
        service = wire.service_of(request, signature.signing_name)
        if service not in allowed.services():
            raise AwsError(allowed.REFUSED, allowed.no_such_service(service))
        model, params, protocol = wire.parse(request, body, service)
        nobody = identity.Caller("", signature.region, "", signature.access_key)
        call = Call(service, model.name, params, nobody, model, protocol, request, body, wire.new_request_id())
        judgement.call = call
        judgement.call = call = replace(call, caller=identity.caller_of(self.world, signature, service))
        if (end := wire.presigned_until(request)) and end <= self.world.now():
            raise AwsError("AccessDenied", "Request has expired", 403)
        judgement.verdict = "refused"
        allowed.check(service, call.operation, params)
        if service == "sqs":
            sqs.check_required(call)
        if service != "s3":  # which has errors of its own for each parameter
            wire.check_constraints(call)
        judgement.verdict = "deny"
        judgement.needs = actions.needs(self.world, call.caller, service, call.operation, params)
        withheld = self._authorize(call, judgement.needs)
        judgement.verdict = "allow"
        if withheld:
            return self._put_events(call, withheld)
        return self._dispatch(call, judgement.needs)

    def _authorize(self, call: Call, needs: list[Need]) -> dict[int, AwsError]:
        """Judge a call. Raises the service's AccessDenied, save for the entries of PutEvents that only the policy of
        another account's bus denies: those are returned, by index, and fail one by one."""
        keys = wire.request_keys(call)
        withheld = {}
        for index, need in enumerate(needs):
            denied = authorization.denial(self.world, call.caller, need, keys)
            if denied and denied.by_resource and need.action == "events:PutEvents":
                withheld[index] = authorization.error(call.caller, call.service, denied)
            elif denied:
                raise authorization.error(call.caller, call.service, denied)
        return withheld

    def _put_events(self, call: Call, withheld: dict[int, AwsError]) -> Response:
        """PutEvents without the withheld entries, which fail in their places."""
        entries = call.params["Entries"]
        handler = self.world.handler("events", "PutEvents")
        sent = [entry for index, entry in enumerate(entries) if index not in withheld]
        answers = handler(call.caller, **{**call.params, "Entries": sent})["Entries"] if sent else []
        results = iter(answers)
        answer = [
            {"ErrorCode": withheld[index].code, "ErrorMessage": withheld[index].message}
            if index in withheld
            else next(results)
            for index in range(len(entries))
        ]
        failed = sum("ErrorCode" in each for each in answer)
        return wire.result_response(call, {"FailedEntryCount": failed, "Entries": answer})

    def _dispatch(self, call: Call, needs: list[Need]) -> Response:
        principals.check(call)
        response = self.world.faults.answer(call, lambda each: self._answered(each, needs))
        principals.pin(self.world, call, needs, response)
        return response

    def _answered(self, call: Call, needs: list[Need]) -> Response:
        handler = self.world.handler(call.service, call.operation)
        if handler is not None:
            return wire.result_response(call, handler(call.caller, **call.params))
        hooks = HOOKS.get(call.service)
        known = hooks.before(self.world, call) if hasattr(hooks, "before") else None
        # What is another account's is in its owner's backend of moto.
        account = needs[0].owner(call.caller) if needs else call.caller.account
        if call.operation == "ReceiveMessage":
            call = sqs.wait_for_message(self.world, call, account)
        response = self.moto(call, account)
        return hooks.after(self.world, call, response, known) if hasattr(hooks, "after") else response

    def moto(self, call: Call, account: str) -> Response:
        """Let moto answer a call, in an account."""
        app = self._moto_app(call.service)
        environ = {**call.request.environ, "HTTP_X_MOTO_ACCOUNT_ID": account}
        if call.request.content_type == "application/x-www-form-urlencoded":
            environ["CONTENT_TYPE"] = "binary/octet-stream"  # or moto reads an object as a form; a form it reads anyway
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

    def _failed(self, request: Request, judgement: Judgement, error: AwsError) -> Response:
        judgement.error = error
        if judgement.call:
            return wire.error_response(judgement.call, error)
        return wire.unroutable_response(request, error)

    def _record(self, judgement: Judgement, response: Response, started: float) -> None:
        call = judgement.call
        if call is None:
            return
        code = judgement.error.code if judgement.error else wire.error_code(response)
        verdict = judgement.verdict
        if code == allowed.REFUSED:
            verdict = "refused"
        if code is None:
            allowed.succeeded(call.service, call.operation, call.params)
        self.world.record(
            service=call.service,
            operation=call.operation,
            account=call.caller.account,
            region=call.caller.region,
            principal=call.caller.principal,
            actions=tuple(dict.fromkeys(need.action for need in judgement.needs)),
            resources=tuple(dict.fromkeys(need.resource for need in judgement.needs)),
            verdict=verdict,
            error=code,
            milliseconds=round((time.perf_counter() - started) * 1000, 2),
        )

    def _moto_app(self, service: str) -> Callable:
        with self._guard:
            if service not in self._moto_apps:
                self._moto_apps[service] = create_backend_app(service)
            return self._moto_apps[service]


class Handler(MotoRequestHandler):
    """HTTP/1.1 with kept connections, which werkzeug's own does not do because it may leave requests unread.

    Each answer leaves in one packet, and at once: Nagle's algorithm would hold back a second one for 40 ms.
    """

    disable_nagle_algorithm = True
    timeout = 300

    def run_wsgi(self) -> None:
        try:
            response = self.server.app.answer(self.make_environ())
        except BrokenOff:
            self.close_connection = True
            return
        bodiless = self.command == "HEAD" or response.status_code in (204, 304)
        body = b"" if bodiless else response.get_data()
        if not bodiless:
            response.headers["Content-Length"] = str(len(body))
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self._headers_buffer.append(b"\r\n" + body)
        self.flush_headers()

    def log(self, type: str, message: str, *args: Any) -> None:
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
        try:
            self._start()
        except BaseException:
            self._running.release()
            raise

    def _start(self) -> None:
        _forget_everything()
        self.world = World(self.region, self._state_dir)
        self._server = make_server(*self._address, Front(self.world), threaded=True, request_handler=Handler)
        self.port = self._server.port
        self.endpoint = self.world.endpoint = f"http://127.0.0.1:{self.port}"
        os.environ["MOTO_PORT"] = str(self.port)  # moto calls its own server by it
        for path in ENGINES:
            _add_engine(self.world, path)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="local-aws", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free everything."""
        try:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self.world.stop()
        finally:
            self._running.release()

    def session(self, account: str, role: str | None = None, region: str | None = None) -> Any:
        """A boto3.Session in an account: its administrator, or one of its roles (by name or ARN)."""
        if role is None:
            return self.world.session_of(identity.admin(account, self.region), region)
        arn = role if role.startswith("arn:") else identity.role_arn(account, role)
        return self.world.session(arn, "local", region=region)


def _add_engine(world: World, path: str) -> None:
    module_name, class_name = path.split(":")
    engine = getattr(importlib.import_module(module_name), class_name)
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
