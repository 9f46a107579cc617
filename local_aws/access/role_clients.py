"""boto3 clients of roles that services act as: kept, and made anew when a role or who may assume it changes."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from local_aws.access import identity, lookup

if TYPE_CHECKING:
    from local_aws.world import World

RENEW_BEFORE = timedelta(minutes=5)
SETTINGS = Config(
    # A function may run for 15 minutes; and whoever calls retries by its own rules, so a call is made once.
    read_timeout=960,
    retries={"total_max_attempts": 1},
    max_pool_connections=64,
)


class RoleClients:
    """The clients of one service principal, such as `states.amazonaws.com`."""

    def __init__(self, world: World, principal: str) -> None:
        self.world = world
        self.principal = principal
        self._clients: dict[tuple, tuple[Any, datetime]] = {}
        self._guard = threading.Lock()

    def client(self, service: str, role_arn: str, source_arn: str, region: str, then_role: str | None = None) -> Any:
        """A client of `service` as a role that the principal assumes on behalf of `source_arn`.

        With `then_role` as that role instead, assumed by the first one with the external id `source_arn`, as
        Step Functions does. Raises AwsError or botocore ClientError if there is no such role, or it does not let
        itself be assumed.
        """
        key = (service, source_arn, region, _version(role_arn), then_role and _version(then_role))
        with self._guard:
            kept = self._clients.get(key)
        if kept and kept[1] > self.world.now() + RENEW_BEFORE:
            return kept[0]
        session_name = self.principal.split(".", 1)[0]
        issued = identity.assume_as_service(self.world, role_arn, session_name, self.principal, source_arn)
        session = self.world.session_of(issued, region)
        if then_role:
            answer = session.client("sts").assume_role(
                RoleArn=then_role, RoleSessionName=session_name, ExternalId=source_arn
            )
            issued = self.world.credentials[answer["Credentials"]["AccessKeyId"]]
            session = self.world.session_of(issued, region)
        client = session.client(service, config=SETTINGS)
        with self._guard:
            self._clients[key] = (client, issued.expires)
        return client


def _version(role_arn: str) -> tuple[str, str] | None:
    """What identifies a role and its trust policy: a session of an earlier one must not be used on. None: no role."""
    role = lookup.iam_entity(role_arn)
    return (role.id, role.assume_role_policy_document) if role else None
