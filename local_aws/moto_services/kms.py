"""What moto's KMS lacks: a key's policy must let whoever sets it set it again; and kinds of keys that are not built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local_aws.access import authorization, lookup, policy
from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from local_aws.world import World


USES = ("Encrypt", "Decrypt", "GenerateDataKey")
BUILT = {"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"}


def before(world: World, call: Call) -> None:
    """Refuse other keys than symmetric ones, and a key policy that locks its author out.

    Source: AWS KMS API reference, PutKeyPolicy, `BypassPolicyLockoutSafetyCheck`.
    """
    for name, built in BUILT.items():
        if call.params.get(name, built) != built and call.operation == "CreateKey":
            raise AwsError("LocalAwsNotSupported", f"the local AWS has no keys of {name} {call.params[name]}")
    if call.operation in USES:
        _check_usable(call)
    text = call.params.get("Policy")
    if call.operation not in ("CreateKey", "PutKeyPolicy") or not text:
        return
    if call.params.get("BypassPolicyLockoutSafetyCheck"):
        return
    caller = call.caller
    key = call.params.get("KeyId", "")
    resource = lookup.key_arn(caller.account, caller.region, key) if key else "*"
    known = {caller.principal, caller.arn, caller.account, f"arn:aws:iam::{caller.account}:root"}
    context = authorization.caller_context(world, caller)
    try:
        verdict = policy.evaluate([json.loads(text)], "kms:PutKeyPolicy", resource, context, {"AWS": frozenset(known)})
    except policy.PolicyNotSupported as unknown:
        raise AwsError(
            "LocalAwsNotSupported", f"the policy uses {unknown}, which the local AWS does not know"
        ) from None
    if verdict != "allow":
        message = "The new key policy will not allow you to update the key policy in the future."
        raise AwsError("MalformedPolicyDocumentException", message)


def _check_usable(call: Call) -> None:
    """A key is used while it is enabled (KMS developer guide, "Key states of AWS KMS keys")."""
    named = call.params.get("KeyId") or lookup.key_of_ciphertext(call.params["CiphertextBlob"])
    arn = lookup.key_arn(call.caller.account, call.caller.region, named)
    state = lookup.key_state(arn)
    if state == "Disabled":
        raise AwsError("DisabledException", f"{arn} is disabled.")
    if state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{arn} is pending deletion.")
