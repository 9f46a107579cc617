"""Is this caller allowed that? AWS's decision, from the policies that IAM and the resource's service hold.

Source: IAM user guide, "Policy evaluation logic" and "Cross-account policy evaluation logic". An explicit deny wins;
within an account the identity's or the resource's policy must allow, across accounts both; permissions boundaries and
session policies narrow. There are no organization policies here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_aws.access import lookup, policy, principals
from local_aws.access.need import Need
from local_aws.allowed import seen
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

ADMINISTRATOR = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}

SHARED_BY_GRANTS = ("glue:", "lakeformation:", "ram:", "athena:")
"""Actions on another account's resources that its Lake Formation grants and shares decide: the engines do."""

ABSENT_KEYS = (
    "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast", "aws:MultiFactorAuthAge",
    "aws:MultiFactorAuthPresent", "aws:FederatedProvider", "aws:PrincipalServiceName",
    "aws:PrincipalServiceNamesList", "aws:Referer", "aws:RequestTag/", "aws:SourceAccount", "aws:SourceArn",
    "aws:SourceIdentity", "aws:SourceOrgID", "aws:SourceOrgPaths", "aws:SourceOwner", "aws:SourceVpc",
    "aws:SourceVpcArn", "aws:SourceVpce", "aws:VpceAccount", "aws:VpcSourceIp", "aws:TagKeys", "aws:username",
    "iam:AssociatedResourceArn", "kms:ViaService", "s3:DataAccessPointAccount", "s3:DataAccessPointArn",
    "sts:SourceIdentity",
)  # fmt: skip
"""Condition keys that no request here has, unless filled in below. (`aws:ResourceTag/` is not among them: refused.)"""


@dataclass(frozen=True)
class Denial:
    """Why a need was denied. `by_resource` if the caller's own policies would have allowed it."""

    need: Need
    reason: str
    by_resource: bool = False


# -- decisions ----------------------------------------------------------------------------------------------------


def denial(world: World, caller: Caller, need: Need, keys: dict[str, Any] | None = None) -> Denial | None:
    """Why `caller` is denied `need`, or None if it is allowed.

    `keys` are condition keys of the request. Raises AwsError LocalAwsNotSupported if a policy that matters says
    something that is not understood.
    """
    try:
        denied = _denial(world, caller, need, keys or {})
    except policy.PolicyNotSupported as error:
        raise AwsError(
            "LocalAwsNotSupported",
            f"a policy that decides {need.action} on {need.resource} for {caller.principal} uses {error}, "
            "which the local AWS does not know",
        ) from error
    if not caller.is_admin:
        seen.need(caller.principal, need.action, need.resource, allowed=denied is None)
    return denied


def _denial(world: World, caller: Caller, need: Need, keys: dict[str, Any]) -> Denial | None:
    owner = need.owner(caller)
    context = caller_context(world, caller) | keys | _resource_keys(world, owner) | need.keys
    identity = Policies.of(caller)
    attached = None if need.creates else principals.policy_of(world, need.resource)
    direct = {"AWS": frozenset({caller.principal, caller.arn})}
    everybody = {"AWS": direct["AWS"] | {caller.account, f"arn:aws:iam::{caller.account}:root"}}

    def ask(documents: list[dict], principals: policy.Principals | None = None) -> policy.Verdict:
        return policy.evaluate(documents, need.action, need.resource, context, principals)

    by_identity = ask(identity.granting)
    by_boundary = ask(identity.boundary) if identity.boundary else "allow"
    by_session = ask(identity.session) if identity.session else "allow"
    by_resource = ask([attached], everybody) if attached else "none"
    named = by_resource == "allow" and ask([attached], direct) == "allow"
    # Who names a session itself, not its role, gives it what a boundary or session policy leaves out (but not denies).
    session_named = (
        named
        and caller.is_session
        and ask([attached], {"AWS": frozenset({caller.arn})}) == "allow"
        and ask([attached], {"AWS": frozenset({""})}) != "allow"
    )

    for verdict, kind in (
        (by_identity, "an identity-based policy"),
        (by_resource, "a resource-based policy"),
        (by_boundary, "a permissions boundary"),
        (by_session, "a session policy"),
    ):
        if verdict == "deny":
            return Denial(need, f"with an explicit deny in {kind}", kind == "a resource-based policy")

    same_account = owner == caller.account
    needs_identity = not (same_account and named)
    narrowed = not (same_account and session_named)
    if same_account:  # at home a resource's policy is only asked where it is the last word: role trust, keys
        needs_resource = need.action == "sts:AssumeRole" or (attached is not None and ":key/" in need.resource)
    else:
        needs_resource = not need.action.startswith(SHARED_BY_GRANTS)
    for missing, kind in (
        (needs_identity and by_identity != "allow", "identity-based policy"),
        (narrowed and by_boundary != "allow", "permissions boundary"),
        (narrowed and by_session != "allow", "session policy"),
        (needs_resource and by_resource != "allow", "resource-based policy"),
    ):
        if missing:
            reason = f"because no {kind} allows the {need.action} action"
            return Denial(need, reason, kind == "resource-based policy")
    return None


def error(caller: Caller, service: str, denied: Denial) -> AwsError:
    """A denial in the words and with the code of the service that was called."""
    need = denied.need
    resource = f'"{need.resource}"' if service == "s3" else need.resource
    message = f"User: {caller.arn} is not authorized to perform: {need.action} on resource: {resource}"
    if need.action != "sts:AssumeRole":  # STS does not say why
        message = f"{message} {denied.reason}"
    code = {"sns": "AuthorizationError"}.get(service, "AccessDeniedException")
    if service in ("s3", "sqs", "iam", "sts", "cloudformation", "cloudwatch"):
        code = "AccessDenied"
    return AwsError(code, message, 403)


def authorize(
    world: World, caller: Caller, service: str, needs: list[Need], keys: dict[str, Any] | None = None
) -> None:
    """Raise the service's AccessDenied for the first of `needs` that the caller is not allowed."""
    for need in needs:
        if denied := denial(world, caller, need, keys):
            raise error(caller, service, denied)


def authorize_service(
    world: World,
    service: str,
    action: str,
    resource: str,
    source_arn: str | None,
    source_account: str,
) -> None:
    """Check that a resource's own policy lets a service principal act on it, on behalf of `source_arn`.

    A queue under a customer key must admit the service in the key's policy too; under the AWS managed key nothing
    can be delivered (SQS developer guide, "Configure KMS permissions for AWS services"). Raises AwsError AccessDenied.
    """
    needed = [Need(action, resource)]
    if action == "sqs:SendMessage":
        needed += _queue_key_needs(world, service, resource)
    organization = world.organization
    context = dict.fromkeys((*ABSENT_KEYS, "aws:PrincipalTag/", "sts:ExternalId", "sts:RoleSessionName")) | {
        "aws:CurrentTime": world.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:PrincipalAccount": None,
        "aws:PrincipalArn": None,
        "aws:PrincipalOrgID": None,
        "aws:PrincipalIsAWSService": "true",
        "aws:PrincipalServiceName": service,
        "aws:PrincipalServiceNamesList": [service],
        "aws:SecureTransport": "true",
        "aws:SourceAccount": source_account,
        "aws:SourceArn": source_arn,
        "aws:SourceOrgID": organization["id"] if source_account in organization["members"] else None,
        "aws:SourceOwner": source_account,
        "aws:ViaAWSService": "false",
        "kms:CallerAccount": source_account,
    }
    for need in needed:
        attached = principals.policy_of(world, need.resource)
        asking = {"Service": frozenset({service})}
        try:
            verdict = policy.evaluate([attached] if attached else [], need.action, need.resource, context, asking)
        except policy.PolicyNotSupported as unknown:
            message = f"the policy of {need.resource} uses {unknown}, which the local AWS does not know"
            raise AwsError("LocalAwsNotSupported", message) from unknown
        if verdict != "allow":
            policy_kind = "trust policy" if need.action == "sts:AssumeRole" else "policy"
            why = "denies it" if verdict == "deny" else "does not allow it"
            source = f" for {source_arn}" if source_arn else ""
            raise AwsError(
                "AccessDenied",
                f"{service} is not authorized to perform: {need.action} on resource: {need.resource}{source}: "
                f"its {policy_kind} {why}",
                403,
            )


def _queue_key_needs(world: World, service: str, resource: str) -> list[Need]:
    _, _, _, region, account, name = resource.split(":", 5)
    key = lookup.queue_key(account, region, name)
    if key is None:
        return []
    if key.endswith("alias/aws/sqs"):
        raise AwsError(
            "AccessDenied",
            f"{service} cannot deliver to {resource}: its messages are encrypted under the AWS managed key "
            "alias/aws/sqs, which admits no other service. Use SSE-SQS, or a customer key whose policy admits it.",
            403,
        )
    arn = lookup.key_arn(account, region, key)
    return [Need("kms:GenerateDataKey", arn), Need("kms:Decrypt", arn)]


# -- what decides -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Policies:
    """The policies of an identity: what grants, and what narrows (empty: nothing does)."""

    granting: list[dict[str, Any]]
    boundary: list[dict[str, Any]]
    session: list[dict[str, Any]]

    @staticmethod
    def of(caller: Caller) -> Policies:
        """Those of a caller, as IAM holds them now. A role that is gone has none."""
        if caller.is_admin:
            return Policies([ADMINISTRATOR], [], [])
        entity = lookup.iam_entity(caller.principal)
        if entity is None:
            return Policies([], [], [])
        granting = [policy.parse(text) for text in lookup.inline_policies(entity)]
        granting += [policy.parse(lookup.default_version(each)) for each in list(entity.managed_policies.values())]
        boundary_arn = getattr(entity, "permissions_boundary_arn", None)  # moto's users have none
        boundary = [policy.parse(lookup.managed_policy(caller.account, boundary_arn))] if boundary_arn else []
        session = [policy.parse(caller.session_policy)] if caller.session_policy else []
        return Policies(granting, boundary, session)


def caller_context(world: World, caller: Caller) -> dict[str, Any]:
    """The condition keys that say who calls, when and how."""
    organization = world.organization
    now = world.now()
    member = caller.account in organization["members"]
    entity = None if caller.is_admin else lookup.iam_entity(caller.principal)
    tags = {f"aws:PrincipalTag/{key}": value for key, value in lookup.tags(entity).items()} if entity else {}
    return {
        **dict.fromkeys(ABSENT_KEYS),
        "aws:PrincipalTag/": None,
        **tags,
        "aws:PrincipalArn": caller.principal,
        "aws:PrincipalAccount": caller.account,
        "aws:PrincipalOrgID": organization["id"] if member else None,
        "aws:PrincipalType": "AssumedRole" if caller.is_session else "User",
        "aws:PrincipalIsAWSService": "false",
        "aws:userid": caller.user_id,
        "aws:username": None if caller.is_session else caller.principal.rpartition("/")[2],
        "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now.timestamp())),
        "aws:RequestedRegion": caller.region,
        "aws:SecureTransport": "true",  # as it is wherever a policy asks for it; the local server speaks plain HTTP
        "aws:SourceOwner": caller.account,
        "aws:ViaAWSService": "false",
        "kms:CallerAccount": caller.account,
    }


def _resource_keys(world: World, owner: str) -> dict[str, Any]:
    organization = world.organization
    return {
        "aws:ResourceAccount": owner,
        "aws:ResourceOrgID": organization["id"] if owner in organization["members"] else None,
        "s3:ResourceAccount": owner,
    }
