"""The boto3 clients with which stacks are deployed, kept because making one takes longer than most calls."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from moto.backends import get_backend

from local_aws.access import identity
from local_aws.cloudformation import sam_transform

if TYPE_CHECKING:
    from local_aws.world import World

KEPT_DEPLOYERS = 32
USUAL = ("s3", "iam", "sqs", "dynamodb", "logs", "kms", "sns", "cloudwatch")
"""Services that most stacks need and that moto answers: their code is imported at first use."""


class Clients:
    """The clients of one deployer in one Region."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._made: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The deployer's client of a service."""
        if service not in self._made:
            self._made[service] = self._session.client(service)
        return self._made[service]

    def patient_client(self, service: str, seconds: float) -> Any:
        """A client of its own that waits `seconds` for an answer and asks only once."""
        config = Config(read_timeout=seconds, retries={"max_attempts": 0})
        return self._session.client(service, config=config)


class Deployers:
    """The clients of all who deploy, by their credentials."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._clients: OrderedDict[tuple[str, str], Clients] = OrderedDict()
        self._getting_ready = threading.Event()

    def clients(self, credentials: identity.Credentials, region: str) -> Clients:
        """Those of the caller with these credentials."""
        key = (credentials.access_key, region)
        with self.world.lock:
            if key not in self._clients:
                self._clients[key] = Clients(self.world.session_of(credentials, region))
            self._clients.move_to_end(key)
            if len(self._clients) > KEPT_DEPLOYERS:
                self._clients.popitem(last=False)
            return self._clients[key]

    def get_ready(self) -> None:
        """Use the time until a deployer's next call, once, for what the first deployment would have to wait for."""
        if not self._getting_ready.is_set():
            self._getting_ready.set()
            threading.Thread(target=self._preload, name="preload", daemon=True).start()

    def _preload(self) -> None:
        """Import the SAM translator and moto's services, and load the service models that clients need."""
        sam_transform.preload()
        session = self.world.session_of(identity.admin("0" * 12, self.world.region))
        for service in USUAL:
            if not self.world.stopping.is_set():
                session.client(service)
                get_backend(service)
