"""Who calls: credentials, callers, STS."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from local_aws.wire import AwsError, Signature

if TYPE_CHECKING:
    from local_aws.world import World

ADMIN_KEY = re.compile(r"LOCALADMIN(\d{12})")
ADMIN_SECRET = "local"  # noqa: S105 - no secret: the server is for one machine
SERVICE_SESSION = timedelta(hours=12)


@dataclass(frozen=True)
class Caller:
    """Who made a call, and in which Region.

    `arn` is what GetCallerIdentity says (arn:aws:sts::A:assumed-role/R/S), `principal` the IAM role or user behind it,
    with its path (arn:aws:iam::A:role/path/R).
    """

    account: str
    region: str
    arn: str
    principal: str
    session_name: str = ""
    access_key: str = ""
    user_id: str = ""
    session_policy: str | None = None
    """A policy given to AssumeRole, which narrows what the role may do (JSON text)."""

    @property
    def is_admin(self) -> bool:
        """Whether these are the credentials of the account's administrator, who may do everything in it."""
        return self.access_key.startswith("LOCALADMIN")


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials, and the caller they stand for."""

    access_key: str
    secret_key: str
    token: str | None
    expires: datetime
    caller: Caller


def admin(account: str, region: str) -> Credentials:
    """The credentials of an account's administrator: what a deployer has."""
    access_key = f"LOCALADMIN{account}"
    caller = Caller(
        account=account,
        region=region,
        arn=f"arn:aws:iam::{account}:user/admin",
        principal=f"arn:aws:iam::{account}:user/admin",
        access_key=access_key,
        user_id=f"AIDAADMIN{account}",
    )
    return Credentials(access_key, ADMIN_SECRET, None, datetime.max, caller)


def role(role_arn: str) -> Any:
    """moto's role object of an ARN, or None. A role is found by its name: names are unique across paths."""
    from moto.iam.models import iam_backends

    found = re.fullmatch(r"arn:aws:iam::(\d{12}):role(/.*)", role_arn)
    if not found:
        return None
    backend = iam_backends[found[1]]["aws"]
    return next((each for each in list(backend.roles.values()) if each.arn == role_arn), None)


def role_arn(account: str, name: str) -> str:
    """The ARN, with its path, of an account's role. Raises AwsError NoSuchEntity."""
    from moto.iam.models import iam_backends

    for each in list(iam_backends[account]["aws"].roles.values()):
        if each.name == name:
            return each.arn
    raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)


def issue(
    world: World, role_arn: str, session_name: str, lifetime: timedelta, session_policy: str | None = None
) -> Credentials:
    """New temporary credentials of an existing role. Raises AwsError NoSuchEntity."""
    found = role(role_arn)
    if found is None:
        raise AwsError("NoSuchEntity", f"there is no role {role_arn}", 404)
    account = found.account_id
    access_key = "ASIA" + _random(string.ascii_uppercase + string.digits, 16)
    caller = Caller(
        account=account,
        region=world.region,
        arn=f"arn:aws:sts::{account}:assumed-role/{found.name}/{session_name}",
        principal=found.arn,
        session_name=session_name,
        access_key=access_key,
        user_id=f"{found.id}:{session_name}",
        session_policy=session_policy,
    )
    token = _random(string.ascii_letters + string.digits, 200)
    issued = Credentials(access_key, _random(string.ascii_letters, 40), token, world.now() + lifetime, caller)
    world.credentials[access_key] = issued
    return issued


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def assume_as_service(world: World, role_arn: str, session_name: str, service: str | None) -> Credentials:
    """Credentials of a role for a service that acts as it."""
    return issue(world, role_arn, session_name, SERVICE_SESSION)


def caller_of(world: World, signature: Signature) -> Caller:
    """The caller that a signature stands for.

    Raises AwsError InvalidClientTokenId for an unknown access key, ExpiredToken for one that has run out.
    """
    region = signature.region or world.region
    if found := ADMIN_KEY.fullmatch(signature.access_key):
        return admin(found[1], region).caller
    issued = world.credentials.get(signature.access_key)
    if issued is None or issued.token != signature.token:
        raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    if issued.expires <= world.now():
        raise AwsError("ExpiredToken", "The security token included in the request is expired", 403)
    caller = issued.caller
    return caller if caller.region == region else Caller(**{**caller.__dict__, "region": region})


class Sts:
    """AWS Security Token Service."""

    service = "sts"

    def __init__(self, world: World) -> None:
        self.world = world

    def GetCallerIdentity(self, caller: Caller) -> dict:  # noqa: N802
        return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}

    def AssumeRole(  # noqa: N802
        self,
        caller: Caller,
        RoleArn: str,
        RoleSessionName: str,
        DurationSeconds: int = 3600,
        ExternalId: str | None = None,
        Policy: str | None = None,
    ) -> dict:
        issued = issue(self.world, RoleArn, RoleSessionName, timedelta(seconds=DurationSeconds), Policy)
        return {
            "Credentials": {
                "AccessKeyId": issued.access_key,
                "SecretAccessKey": issued.secret_key,
                "SessionToken": issued.token,
                "Expiration": issued.expires,
            },
            "AssumedRoleUser": {"AssumedRoleId": issued.caller.user_id, "Arn": issued.caller.arn},
        }
