"""What moto's IAM lacks: AWS's own managed policies when they are named, and refusals that it does not know."""

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
NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
"""Names of roles, users and policies (IAM API reference)."""
ASSUMES = re.compile(r"sts:(assumerole|tagsession|setsourceidentity|setcontext|\*)", re.IGNORECASE)


def before(_world: World, call: Call) -> None:
    """Prepare moto's IAM for a call that was allowed, and refuse what it would let pass. Raises AwsError."""
    account, params = call.caller.account, call.params
    for name in ("RoleName", "UserName", "PolicyName"):
        if name in params and not NAME.fullmatch(params[name]):
            lower = name[0].lower() + name[1:]
            raise AwsError(
                "ValidationError", f"The specified value for {lower} is invalid. It must contain only [\\w+=,.@-]."
            )
    for name in ("PolicyArn", "PermissionsBoundary"):
        if params.get(name, "").startswith(AWS_POLICY):
            _load(account, params[name])
    if call.operation == "ListPolicies" and params.get("Scope", "All") != "Local":
        for arn in _aws_policies():
            _load(account, arn)
    if call.operation in ("CreateRole", "UpdateAssumeRolePolicy"):
        _check_trust(params["AssumeRolePolicyDocument" if call.operation == "CreateRole" else "PolicyDocument"])
    elif "PolicyDocument" in params:
        _check_identity_policy(params["PolicyDocument"])
    boundary = params.get("PermissionsBoundary")
    if boundary and _managed(account, boundary) is None:
        raise AwsError("NoSuchEntity", f"Scope ARN: {boundary} does not exist or is not attachable.", 404)
    if call.operation == "DeletePolicy" and (managed := _managed(account, params["PolicyArn"])) is not None:
        if managed.attachment_count or _bounds(account, params["PolicyArn"]):
            raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
        if len(managed.versions) > 1:
            message = "This policy has more than one version. Before you delete a policy, you must delete the policy's"
            raise AwsError(
                "DeleteConflict", f"{message} versions. The default version is deleted with the policy.", 409
            )


def _check_trust(text: str) -> None:
    """A trust policy says who (Principal) may assume the role that it belongs to, and nothing else."""
    for statement in _statements(json.loads(text)):
        if "Resource" in statement or "NotResource" in statement:
            raise AwsError("MalformedPolicyDocument", "Has prohibited field Resource")
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise AwsError("MalformedPolicyDocument", "Missing required field Principal")
        actions = statement.get("Action", [])
        for action in [actions] if isinstance(actions, str) else actions:
            if not ASSUMES.match(action):
                raise AwsError("MalformedPolicyDocument", "AssumeRole policy may only specify STS AssumeRole actions.")


def _check_identity_policy(text: str) -> None:
    """What else is wrong with it moto says."""
    try:
        statements = _statements(json.loads(text))
    except ValueError:
        return
    if any("Principal" in statement or "NotPrincipal" in statement for statement in statements):
        raise AwsError("MalformedPolicyDocument", "Policy document should not specify a principal.")


def _statements(document: Any) -> list[dict[str, Any]]:
    statements = document.get("Statement", []) if isinstance(document, dict) else []
    return statements if isinstance(statements, list) else [statements]


def _managed(account: str, arn: str) -> Any:
    from moto.iam.models import iam_backends

    return iam_backends[account]["aws"].managed_policies.get(arn)


def _bounds(account: str, arn: str) -> bool:
    """Whether a policy is some role's permissions boundary."""
    return any(role.permissions_boundary_arn == arn for role in lookup.roles(account))


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
