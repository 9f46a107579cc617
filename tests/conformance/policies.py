"""Policies as tests write them, and principals whose trust or session policies are said."""

from __future__ import annotations

import json
from typing import Any

from lab import Lab, Role, Who

DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError")
"""The codes in which services say no to somebody whom they know."""
Statement = dict[str, Any]


def document(*statements: Statement, version: str = "2012-10-17") -> str:
    """A policy's JSON text."""
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> Statement:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def root(lab: Lab, part: str) -> Statement:
    """The principal that an account as a whole is."""
    return {"AWS": f"arn:aws:iam::{lab.account(part)}:root"}


def trust(principal: Any, **condition: Any) -> Statement:
    """A trust policy's statement."""
    said = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {**said, "Condition": condition} if condition else said


def trusting(lab: Lab, part: str, *statements: Statement, may: tuple[Statement, ...] = (), **more: Any) -> Role:
    """A new role with these trust statements, and an inline policy of the statements `may`."""
    iam, name = lab.client("iam", part), lab.name("role", "-")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(*statements), **more)["Role"]
    lab.at_end(iam.delete_role, RoleName=name)
    role = Role(part, name, made["Arn"])
    if may:
        let(lab, role, *may)
    return role


def let(lab: Lab, role: Role, *statements: Statement) -> str:
    """Give a role one more inline policy; returns its name."""
    iam, name = lab.client("iam", role.account), lab.name("inline", "-")
    iam.put_role_policy(RoleName=role.name, PolicyName=name, PolicyDocument=document(*statements))
    lab.at_end(iam.delete_role_policy, RoleName=role.name, PolicyName=name)
    return name


def assume(lab: Lab, who: Who, role: Role, session: str = "conformance", **more: Any) -> dict[str, Any]:
    """AssumeRole as somebody; the answer."""
    return lab.client("sts", who).assume_role(RoleArn=role.arn, RoleSessionName=session, **more)


def narrowed(lab: Lab, role: Role, service: str, *statements: Statement) -> Any:
    """A client of a fresh session of a role, which its account's administrator assumes with a session policy.

    There is one client for each role and service, since making one takes long: it has the newest session.
    """
    given = assume(lab, role.account, role, Policy=document(*statements))["Credentials"]
    if (lab, role, service) not in _narrowed:
        session = lab.session_of(given)
        _narrowed[lab, role, service] = session.get_credentials(), session.client(service)
    credentials, client = _narrowed[lab, role, service]
    credentials.access_key, credentials.secret_key = given["AccessKeyId"], given["SecretAccessKey"]
    credentials.token = given["SessionToken"]
    return client


_narrowed: dict[tuple[Lab, Role, str], tuple[Any, Any]] = {}


def managed(lab: Lab, part: str, *statements: Statement) -> str:
    """The ARN of a new managed policy."""
    iam, name = lab.client("iam", part), lab.name("managed", "-")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document(*statements))["Policy"]["Arn"]
    lab.at_end(iam.delete_policy, PolicyArn=arn)
    return arn


def queue(lab: Lab, part: str, **attributes: str) -> tuple[str, str]:
    """The URL and the ARN of a new queue."""
    sqs, name = lab.client("sqs", part), lab.name("queue", "-")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    return url, f"arn:aws:sqs:{lab.region}:{lab.account(part)}:{name}"


def key(lab: Lab, part: str, **more: Any) -> tuple[str, str]:
    """The id and the ARN of a new KMS key, deleted as soon as AWS lets it at the end."""
    kms = lab.client("kms", part)
    made = kms.create_key(**more)["KeyMetadata"]
    lab.at_end(kms.schedule_key_deletion, KeyId=made["KeyId"], PendingWindowInDays=7)
    return made["KeyId"], made["Arn"]
