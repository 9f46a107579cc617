"""What moto's IAM lacks: AWS's own managed policies when they are named, and principals that must exist."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from local_aws.access import lookup
from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from local_aws.world import World

AWS_POLICY = "arn:aws:iam::aws:policy/"


def before(_world: World, call: Call) -> None:
    """Prepare moto's IAM for a call that was allowed. Raises AwsError MalformedPolicyDocument."""
    account = call.caller.account
    for name in ("PolicyArn", "PermissionsBoundary"):
        if call.params.get(name, "").startswith(AWS_POLICY):
            _load(account, call.params[name])
    if call.operation == "ListPolicies" and call.params.get("Scope", "All") != "Local":
        for arn in _aws_policies():
            _load(account, arn)
    trust = call.params.get("AssumeRolePolicyDocument")
    if call.operation == "UpdateAssumeRolePolicy":
        trust = call.params["PolicyDocument"]
    if trust:
        try:
            document = json.loads(trust)
        except ValueError as error:
            raise AwsError("MalformedPolicyDocument", f"This policy contains invalid Json: {error}") from error
        if missing := missing_principals(document):
            raise AwsError("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{missing[0]}"')


def missing_principals(document: dict[str, Any]) -> list[str]:
    """The roles and users that a resource policy names and that do not exist: AWS refuses such a policy.

    Account ids and roots always exist here, and so does an account's administrator.
    """
    statements = document.get("Statement", [])
    missing = []
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            named = principal.get("AWS", []) if isinstance(principal, dict) else []
            missing += [name for name in ([named] if isinstance(named, str) else named) if not _exists(name)]
    return missing


def _exists(principal: str) -> bool:
    if principal == "*" or re.fullmatch(r"\d{12}|arn:aws:iam::\d{12}:root", principal):
        return True
    if re.fullmatch(r"arn:aws:iam::\d{12}:user/admin", principal):
        return True
    if session := re.fullmatch(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/.+", principal):
        return lookup.iam_entity(lookup.iam_arn(session[1], "role", session[2], "/")) is not None
    return lookup.iam_entity(principal) is not None


@cache
def _aws_policies() -> dict[str, tuple[str, dict[str, Any]]]:
    """The managed policies of AWS that moto brings along: ARN -> (name, what moto knows of it)."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    return {
        f"{AWS_POLICY.removesuffix('/')}{known['Path']}{name}": (name, known)
        for name, known in json.loads(aws_managed_policies_data).items()
    }


def _load(account: str, arn: str) -> None:
    """Make one of AWS's managed policies known in an account. All 1,500 would cost each account 0.2 s."""
    from moto.iam.models import AWSManagedPolicy, iam_backends

    backend = iam_backends[account]["aws"]
    if arn in backend.managed_policies or arn not in _aws_policies():
        return
    name, known = _aws_policies()[arn]
    managed = AWSManagedPolicy.from_data(name, account, "us-east-1", known)
    backend.managed_policies[arn] = managed
    backend.aws_managed_policies.append(managed)
