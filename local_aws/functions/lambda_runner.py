"""Running functions: which process takes an invocation, within what limits, as whom, and what is kept of it."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local_aws.access import identity
from local_aws.access.role_clients import RoleClients
from local_aws.functions import lambda_sandbox
from local_aws.functions.lambda_functions import Function, Settings, unzipped
from local_aws.functions.lambda_logs import write_log
from local_aws.functions.lambda_sandbox import Invocation, Launch, Outcome, Pool, Sandbox
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.world import World

ACCOUNT_CONCURRENCY = 1000
PROCESS_LIFE = timedelta(hours=1)
"""A process older than this is not used again: its credentials end some time."""
PRINCIPAL = "lambda.amazonaws.com"


class Runner:
    """Runs invocations in processes, and does what Lambda does as a function's role."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pool = Pool(self._start)
        self._running: Counter[str] = Counter()
        """Invocations under way, by function ARN."""
        self._to_warm: list[Function] = []
        self._guard = threading.Lock()
        self._role_clients = RoleClients(world, PRINCIPAL)
        world.on_stop.append(self.pool.close)
        world.busy_checks.append(self._busy)

    def run(
        self,
        function: Function,
        settings: Settings,
        qualifier: str | None,
        payload: bytes,
        request_id: str | None = None,
        client_context: str | None = None,
    ) -> Outcome:
        """Run one invocation to its end, within the function's concurrency. Logs and records it.

        Raises AwsError TooManyRequestsException when there is no concurrency left.
        """
        self._begin(function)
        try:
            invoked = f"{function.arn}:{qualifier}" if qualifier else function.arn
            invocation = Invocation(request_id or str(uuid.uuid4()), payload, invoked, settings.timeout, client_context)
            launch = function.launch(settings, unzipped(settings.code))
            sandbox = self.pool.take(launch, self.world.now() - PROCESS_LIFE)
            try:
                outcome = sandbox.invoke(invocation)
            finally:
                self.pool.give_back(sandbox)
            log = write_log(self.world, function, settings, sandbox, invocation, outcome)
            outcome = replace(outcome, log=log)
        finally:
            with self._guard:
                self._running[function.arn] -= 1
        said = f"failed: {outcome.error}" if outcome.error else "ok"
        self.world.activity("function", function.name, f"{said} in {outcome.milliseconds:.0f} ms")
        return outcome

    def role_client(self, function: Function, settings: Settings, service: str, region: str) -> Any:
        """A client as the function's role, for what Lambda itself does on its behalf."""
        return self._role_clients.client(service, settings.role, function.arn, region)

    def queue_url(self, queue_arn: str) -> str:
        _, _, _, _, account, name = queue_arn.split(":")
        return f"{self.world.endpoint}/{account}/{name}"

    def prewarm(self, function: Function) -> None:
        """Start a process of a function that was just deployed, in the background, one function after the other.

        It is the aliases' versions that are started where there are aliases: they are what is invoked then.
        """
        with self._guard:
            self._to_warm.append(function)
            if len(self._to_warm) == 1:
                threading.Thread(target=self._warm, name="prewarm", daemon=True).start()

    def _warm(self) -> None:
        while not self.world.stopping.is_set():
            function = self._to_warm[0]
            with contextlib.suppress(AwsError):  # its role is gone, say: whoever invokes it is told
                invoked = [function.settings(alias) for alias in list(function.aliases)] or [function.latest]
                for settings in invoked if not function.deleted else ():
                    sandbox = self.pool.prepare(function.launch(settings, unzipped(settings.code)))
                    if sandbox:
                        sandbox.wait_initialised()
            with self._guard:
                self._to_warm.pop(0)
                if not self._to_warm:
                    return

    def _busy(self) -> list[str]:
        with self._guard:
            return [f"function {arn.rsplit(':', 1)[1]} ({count})" for arn, count in self._running.items() if count]

    def _begin(self, function: Function) -> None:
        with self._guard:
            limit = ACCOUNT_CONCURRENCY if function.concurrency is None else function.concurrency
            if self._running[function.arn] >= limit:
                raise AwsError(
                    "TooManyRequestsException",
                    "Rate Exceeded.",
                    429,
                    Reason="ReservedFunctionConcurrentInvocationLimitExceeded",
                )
            self._running[function.arn] += 1

    def _start(self, launch: Launch) -> Sandbox:
        executable = lambda_sandbox.interpreter(launch.python, self.world.state_dir)
        credentials = identity.assume_as_service(self.world, launch.role, launch.name, PRINCIPAL, launch.function_arn)
        return Sandbox(launch, executable, self.world.endpoint, credentials, self.world.now(), self.world.clock.file)
