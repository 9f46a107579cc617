"""IAM's policy simulator: what the policies of a role or user allow, without anything being called.

Source: IAM API reference, SimulatePrincipalPolicy, and IAM user guide, "IAM policy testing with the IAM policy
simulator". Only policies of the identity and its permissions boundary count here: no resource policies, no sessions, no
organization policies (there are none), no policies or condition keys given with the call. A condition key that a policy
asks for is therefore missing: it is named, and counts as absent from the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.access import lookup, policy
from local_aws.access.authorization import Policies
from local_aws.access.identity import Caller
from local_aws.lakeformation.lf_paging import page
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.world import World

PAGE = 100
DECISIONS = {"allow": "allowed", "none": "implicitDeny", "deny": "explicitDeny"}


class PolicySimulator:
    """The operation of IAM that moto lacks."""

    service = "iam"

    def __init__(self, world: World) -> None:
        self.world = world

    def SimulatePrincipalPolicy(
        self,
        caller: Caller,
        PolicySourceArn: str,
        ActionNames: list[str],
        ResourceArns: list[str] | None = None,
        MaxItems: int | None = None,
        Marker: str | None = None,
    ) -> dict:
        """Each action on each resource, or on `*`. NoSuchEntity; InvalidInput for what is no action."""
        with self.world.moto_lock("iam"):
            entity = lookup.iam_entity(PolicySourceArn)
            if entity is None or PolicySourceArn.split(":")[4] != caller.account:
                raise AwsError("NoSuchEntity", f"The entity {PolicySourceArn} cannot be found.", 404)
            identity = Policies.of(Caller(caller.account, caller.region, PolicySourceArn, PolicySourceArn))
        for action in ActionNames:
            if ":" not in action or "*" in action:
                raise AwsError("InvalidInput", f"Invalid Entity Action: {action}")
        asked = [(action, resource) for action in ActionNames for resource in ResourceArns or ["*"]]
        shown, following = page(asked, Marker, MaxItems, PAGE, "InvalidInput")
        results = [_result(identity, action, resource) for action, resource in shown]
        answer: dict[str, Any] = {"EvaluationResults": results, "IsTruncated": following is not None}
        return {**answer, "Marker": following} if following else answer


def _result(identity: Policies, action: str, resource: str) -> dict[str, Any]:
    missing = {
        key
        for documents in (identity.granting, identity.boundary)
        for key in policy.condition_keys(documents, action, resource)
    }
    context = dict.fromkeys(missing)
    verdict = policy.evaluate(identity.granting, action, resource, context)
    if identity.boundary and verdict == "allow":
        verdict = policy.evaluate(identity.boundary, action, resource, context)
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": DECISIONS[verdict],
        "MissingContextValues": sorted(missing),
    }
