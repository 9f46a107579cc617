"""Who calls: credentials, callers, and the Security Token Service.

An account's administrator has fixed credentials (access key `LOCALADMIN<account>`); everybody else is an IAM user with
an access key or the session of a role. Secrets are not checked: the server is for one machine.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from local_aws.access import authorization, lookup
from local_aws.wire import AwsError, Signature

if TYPE_CHECKING:
    from local_aws.world import World

ADMIN_KEY = re.compile(r"LOCALADMIN(\d{12})")
ADMIN_SECRET = "local"
SERVICE_SESSION = timedelta(hours=12)
CHAINED_SESSION = 3600
"""Seconds that a role assumed by a role's session may last (IAM user guide, "Role chaining")."""
LONGEST_SESSION_POLICY = 2048
"""Characters."""
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


@dataclass(frozen=True)
class Caller:
    """Who made a call, and in which Region.

    `arn` is what GetCallerIdentity says (arn:aws:sts::A:assumed-role/R/S), `principal` the IAM role or user behind
    it, with its path (arn:aws:iam::A:role/path/R).
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
        return bool(ADMIN_KEY.fullmatch(self.access_key))

    @property
    def is_session(self) -> bool:
        """Whether this is the session of a role."""
        return ":role/" in self.principal


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
    arn = f"arn:aws:iam::{account}:user/admin"
    key = f"LOCALADMIN{account}"
    caller = Caller(account, region, arn, arn, access_key=key, user_id=f"AIDALOCALADMIN{account}")
    return Credentials(key, ADMIN_SECRET, None, datetime.max.replace(tzinfo=UTC), caller)


def role_arn(account: str, name: str) -> str:
    """The ARN, with its path, of an account's role. Raises AwsError NoSuchEntity."""
    arn = lookup.iam_arn(account, "role", name, "/")
    if lookup.iam_entity(arn) is None:
        raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
    return arn


def issue(
    world: World,
    role_arn: str,
    session_name: str,
    lifetime: timedelta = SERVICE_SESSION,
    session_policy: str | None = None,
) -> Credentials:
    """New temporary credentials of an existing role, nothing asked. Raises AwsError NoSuchEntity."""
    role = lookup.iam_entity(role_arn)
    if role is None or ":role/" not in role_arn:
        raise AwsError("NoSuchEntity", f"There is no role {role_arn}.", 404)
    account = role.account_id
    access_key = "ASIA" + _random(string.ascii_uppercase + string.digits, 16)
    caller = Caller(
        account=account,
        region=world.region,
        arn=f"arn:aws:sts::{account}:assumed-role/{role.name}/{session_name}",
        principal=role.arn,
        session_name=session_name,
        access_key=access_key,
        user_id=f"{role.id}:{session_name}",
        session_policy=session_policy,
    )
    issued = Credentials(
        access_key=access_key,
        secret_key=_random(string.ascii_letters, 40),
        token=_random(string.ascii_letters + string.digits, 200),
        expires=world.now() + lifetime,
        caller=caller,
    )
    world.credentials[access_key] = issued
    return issued


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def assume_as_service(
    world: World,
    role_arn: str,
    session_name: str,
    service: str | None,
    source_arn: str | None = None,
) -> Credentials:
    """Credentials of a role for a service that acts as it.

    With `service` the role's trust policy must let that service principal assume it; `source_arn` is the resource on
    whose behalf it does. Raises AwsError NoSuchEntity or AccessDenied.
    """
    issued = issue(world, role_arn, session_name)
    if service:
        try:
            authorization.authorize_service(
                world,
                service,
                "sts:AssumeRole",
                role_arn,
                source_arn,
                source_arn.split(":")[4] if source_arn else issued.caller.account,
            )
        except AwsError:
            del world.credentials[issued.access_key]
            raise
    return issued


def caller_of(world: World, signature: Signature, service: str) -> Caller:
    """The caller that a signature stands for.

    Raises AwsError, in the words of the service, for an access key that is unknown, inactive or has run out.
    """
    region = signature.region or world.region
    if found := ADMIN_KEY.fullmatch(signature.access_key):
        return admin(found[1], region).caller
    if issued := world.credentials.get(signature.access_key):
        if issued.token != signature.token or not _still_there(issued.caller):
            raise unauthenticated(service, "token")
        if issued.expires <= world.now():
            raise unauthenticated(service, "expired")
        return replace(issued.caller, region=region)
    user = lookup.user_of_access_key(signature.access_key)
    if user is None or signature.token:
        raise unauthenticated(service, "key")
    return Caller(user.account_id, region, user.arn, user.arn, access_key=signature.access_key, user_id=user.id)


def _still_there(caller: Caller) -> bool:
    """Whether a session's role still exists: one deleted and made again is another role."""
    role = lookup.iam_entity(caller.principal)
    return role is not None and caller.user_id.startswith(f"{role.id}:")


QUERY_SERVICES = frozenset({"iam", "sts", "sns", "cloudformation"})


def unauthenticated(service: str, reason: str) -> AwsError:
    """The error for a request from nobody known: `reason` is `missing`, `key`, `token` or `expired`."""
    invalid = "The security token included in the request is invalid."
    expired = "The security token included in the request is expired"
    if service == "s3":
        code, message, status = {
            "missing": ("AccessDenied", "Access Denied", 403),
            "key": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403),
            "token": ("InvalidToken", "The provided token is malformed or otherwise invalid.", 400),
            "expired": ("ExpiredToken", "The provided token has expired.", 400),
        }[reason]
        return AwsError(code, message, status)
    if service in QUERY_SERVICES:
        code, message = {
            "missing": ("MissingAuthenticationToken", "Request is missing Authentication Token"),
            "expired": ("ExpiredToken", expired),
        }.get(reason, ("InvalidClientTokenId", invalid))
        return AwsError(code, message, 403)
    code, message = {
        "missing": ("MissingAuthenticationTokenException", "Missing Authentication Token"),
        "expired": ("ExpiredTokenException", expired),
    }.get(reason, ("UnrecognizedClientException", invalid))
    return AwsError(code, message, 403)


def _check_session_policy(text: str) -> None:
    from moto.iam.exceptions import MalformedPolicyDocument
    from moto.iam.policy_validation import IAMPolicyDocumentValidator

    if len(text) > LONGEST_SESSION_POLICY:
        fault = f"Member must have length less than or equal to {LONGEST_SESSION_POLICY}"
        raise AwsError("ValidationError", f"Value at 'policy' failed to satisfy constraint: {fault}")
    try:
        IAMPolicyDocumentValidator(text).validate()
    except MalformedPolicyDocument as error:
        raise AwsError("MalformedPolicyDocument", error.message) from error


class Sts:
    """AWS Security Token Service. That the role trusts the caller was judged before (a role's trust policy is its
    resource policy)."""

    service = "sts"

    def __init__(self, world: World) -> None:
        self.world = world

    def GetCallerIdentity(self, caller: Caller) -> dict:
        return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}

    def AssumeRole(
        self,
        caller: Caller,
        RoleArn: str,
        RoleSessionName: str,
        DurationSeconds: int = 3600,
        ExternalId: str | None = None,
        Policy: str | None = None,
    ) -> dict[str, Any]:
        role = lookup.iam_entity(RoleArn)
        if not SESSION_NAME.fullmatch(RoleSessionName):
            raise AwsError("ValidationError", f"roleSessionName {RoleSessionName!r} does not match [\\w+=,.@-]{{2,64}}")
        if caller.is_session and DurationSeconds > CHAINED_SESSION:
            raise AwsError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            )
        if not 900 <= DurationSeconds <= int(role.max_session_duration or 3600):
            raise AwsError(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )
        if Policy is not None:
            _check_session_policy(Policy)
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
