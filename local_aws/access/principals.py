"""Principals that resource policies name: they must exist, and mean those, not others that get their names later.

Source: IAM user guide, "AWS JSON policy elements: Principal": a policy is saved with the unique id of a role or user
that it names, so that one deleted and made again under the same name is no longer meant.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from local_aws.access import lookup
from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from local_aws.access.need import Need
    from local_aws.world import World

GIVEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("events", "PutPermission"): ("Policy",),
    ("iam", "CreateRole"): ("AssumeRolePolicyDocument",),
    ("iam", "UpdateAssumeRolePolicy"): ("PolicyDocument",),
    ("kms", "CreateKey"): ("Policy",),
    ("kms", "PutKeyPolicy"): ("Policy",),
    ("s3", "PutBucketPolicy"): ("Policy",),
    ("sns", "CreateTopic"): ("Attributes", "Policy"),
    ("sns", "SetTopicAttributes"): ("AttributeValue",),
    ("sqs", "CreateQueue"): ("Attributes", "Policy"),
    ("sqs", "SetQueueAttributes"): ("Attributes", "Policy"),
}
"""Operation -> where in its parameters the resource's policy is."""

REFUSALS = {
    "iam": ("MalformedPolicyDocument", 'Invalid principal in policy: "AWS":"{}"', "Syntax errors in policy."),
    "kms": (
        "MalformedPolicyDocumentException",
        "Policy contains a statement with one or more invalid principals.",
        "Policy is not valid JSON.",
    ),
    "s3": ("MalformedPolicy", "Invalid principal in policy: {}", "Policies must be valid JSON"),
    "sns": ("InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound", "Policy Error: not JSON"),
    "sqs": (
        "InvalidAttributeValue",
        "Invalid value for the parameter Policy.",
        "Invalid value for the parameter Policy.",
    ),
}
"""Service -> the code of a policy that is refused, and what is said of a principal that is not there and of no JSON."""


def check(call: Call) -> None:
    """Refuse a resource policy that names somebody who does not exist, in the words of the service."""
    text = _text(call)
    if not text or call.service not in REFUSALS:
        return
    code, missing, no_json = REFUSALS[call.service]
    try:
        document = json.loads(text)
    except ValueError as error:
        raise AwsError(code, no_json) from error
    if not isinstance(document, dict):
        raise AwsError(code, no_json)
    if nobody := [name for name in named(document) if not _exists(name)]:
        raise AwsError(code, missing.format(nobody[0]))


def pin(world: World, call: Call, needs: list[Need], response: Response) -> None:
    """Remember whom a policy that was taken means: the unique ids of the roles and users that it names."""
    text = _text(call)
    if text is None or response.status_code >= 300:
        return
    resource = needs[0].resource
    if (call.service, call.operation) == ("kms", "CreateKey"):
        resource = json.loads(response.get_data())["KeyMetadata"]["Arn"]
    document = json.loads(text) if text else {}
    world.pinned[resource] = {name: unique_id(name) for name in named(document) if _is_entity(name)}


def policy_of(world: World, resource: str) -> dict[str, Any] | None:
    """The policy attached to a resource, with the unique id in place of each name that is somebody else's by now."""
    document = lookup.resource_policy(world, resource)
    holder = resource.partition("/")[0] if resource.startswith("arn:aws:s3:::") else resource
    moved = {name: was for name, was in world.pinned.get(holder, {}).items() if unique_id(name) != was}
    if not moved or document is None:
        return document

    def renamed(statement: dict[str, Any]) -> dict[str, Any]:
        changed = dict(statement)
        for element in ("Principal", "NotPrincipal"):
            if isinstance(statement.get(element), dict) and "AWS" in statement[element]:
                names = [moved.get(name, name) for name in _list(statement[element]["AWS"])]
                changed[element] = {**statement[element], "AWS": names}
        return changed

    return {**document, "Statement": [renamed(each) for each in _list(document.get("Statement", []))]}


def named(document: dict[str, Any]) -> list[str]:
    """The AWS principals that a resource policy names."""
    found = []
    for statement in _list(document.get("Statement", [])):
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            found += _list(principal.get("AWS", [])) if isinstance(principal, dict) else []
    return found


def unique_id(principal: str) -> str:
    """The unique id of the role or user of an ARN; of its role for a session. Empty where there is none now."""
    entity = lookup.iam_entity(_entity_arn(principal))
    return entity.id if entity is not None else ""


def _text(call: Call) -> str | None:
    """The policy that a call gives to a resource; None if it gives none."""
    if call.operation == "SetTopicAttributes" and call.params.get("AttributeName") != "Policy":
        return None
    found: Any = call.params
    for name in GIVEN.get((call.service, call.operation), ("",)):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _entity_arn(principal: str) -> str:
    session = re.fullmatch(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/.+", principal)
    return lookup.iam_arn(session[1], "role", session[2], "/") if session else principal


def _is_entity(principal: str) -> bool:
    return principal.startswith(("arn:aws:iam::", "arn:aws:sts::")) and not _always_there(principal)


def _always_there(principal: str) -> bool:
    """Everybody, account ids and roots, and each account's administrator."""
    return bool(re.fullmatch(r"\*|\d{12}|arn:aws:iam::\d{12}:(root|user/admin)", principal))


def _exists(principal: str) -> bool:
    return _always_there(principal) or unique_id(principal) != ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
