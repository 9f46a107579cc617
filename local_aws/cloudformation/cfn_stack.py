"""A stack: what was asked for, what exists, what happened to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_aws.cloudformation import cfn_template, sam_transform
from local_aws.cloudformation.cfn_intrinsics import TemplateError, references, unsupported
from local_aws.cloudformation.cfn_resources import refusals, type_of
from local_aws.cloudformation.cfn_schemas import replacing_properties
from local_aws.cloudformation.cfn_template import Resource, Settled

NAMED_IAM = {"AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName"}
IAM_TYPES = {*NAMED_IAM, "AWS::IAM::Policy"}
STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True)
class Desired:
    """A template with its parameters: all that a stack shall become."""

    template: str
    processed: dict[str, Any]
    values: dict[str, str]
    settled: Settled
    tags: dict[str, str]
    capabilities: tuple[str, ...] = ()
    role_arn: str | None = None

    transformed: bool = False

    @property
    def description(self) -> str | None:
        return self.processed.get("Description")


@dataclass
class StackResource:
    """A resource as it is: resolved properties, physical id, attributes, and the status of the last work on it."""

    logical_id: str
    type: str
    status: str = ""
    reason: str | None = None
    id: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    updated: datetime | None = None
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Stack:
    """One stack of one account and Region."""

    id: str
    name: str
    account: str
    region: str
    created: datetime
    status: str = "REVIEW_IN_PROGRESS"
    reason: str | None = None
    desired: Desired | None = None
    """What it was last brought to (or what its first creation aims at)."""
    resources: dict[str, StackResource] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    updated: datetime | None = None
    deleted: datetime | None = None
    disable_rollback: bool = False
    protected: bool = False
    change_set_id: str | None = None

    @property
    def in_progress(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def exports(self) -> dict[str, str]:
        """Export name -> value."""
        return {
            output["ExportName"]: output["OutputValue"] for output in self.outputs.values() if "ExportName" in output
        }

    def note(self, now: datetime, resource: StackResource | None, status: str, reason: str | None = None) -> None:
        """Give the stack (or one of its resources) a status, with an event. Times of events strictly grow."""
        if self.events:
            now = max(now, self.events[-1]["Timestamp"] + timedelta(milliseconds=1))
        if resource is None:
            self.status, self.reason = status, reason
            subject = {"LogicalResourceId": self.name, "PhysicalResourceId": self.id, "ResourceType": STACK_TYPE}
        else:
            resource.status, resource.reason, resource.updated = status, reason, now
            subject = {
                "LogicalResourceId": resource.logical_id,
                "PhysicalResourceId": resource.id or "",
                "ResourceType": resource.type,
            }
        self.events.append(
            {
                "StackId": self.id,
                "EventId": str(uuid.uuid4()),
                "StackName": self.name,
                "Timestamp": now,
                "ResourceStatus": status,
                **({"ResourceStatusReason": reason} if reason else {}),
                **subject,
            }
        )


@dataclass
class ChangeSet:
    """A change that waits to be executed."""

    id: str
    name: str
    type: str
    created: datetime
    desired: Desired | None
    changes: list[dict[str, Any]]
    status: str
    execution_status: str
    reason: str | None = None
    description: str | None = None


# -- from a template to what is desired ------------------------------------------------------------------------------


def desire(
    body: str,
    given: list[Mapping[str, Any]],
    tags: Mapping[str, str],
    previous: Mapping[str, str],
    stack_name: str,
    stack_id: str,
    capabilities: tuple[str, ...] = (),
    role_arn: str | None = None,
) -> Desired:
    """Check a template with its parameters and settle it. Raises TemplateError that names all that is refused.

    `given` are parameters in the API's shape, `previous` the values that UsePreviousValue means.
    """
    template = cfn_template.read(body)
    if unknown := set(cfn_template.transforms(template)) - {sam_transform.NAME}:
        raise TemplateError(
            f"Transforms {sorted(unknown)} are not supported locally (local_aws/cloudformation/sam_transform.py)"
        )
    cfn_template.check_parameters(template)
    values = cfn_template.parameter_values(template, given, previous)
    _, _, _, region, account, _ = stack_id.split(":", 5)
    transformed = bool(cfn_template.transforms(template))
    processed = sam_transform.transform(template, values, region) if transformed else template
    cfn_template.check_structure(processed)
    settled = cfn_template.settle(processed, values, pseudo_parameters(account, region, stack_name, stack_id))
    check_resources(settled)
    return Desired(body, processed, values, settled, dict(tags), capabilities, role_arn, transformed)


def pseudo_parameters(account: str, region: str, stack_name: str, stack_id: str) -> dict[str, Any]:
    return {
        "AWS::AccountId": account,
        "AWS::Region": region,
        "AWS::StackName": stack_name,
        "AWS::StackId": stack_id,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::NotificationARNs": [],
    }


def check_resources(settled: Settled) -> None:
    """Raise TemplateError that names every resource type, property and attribute that is not supported."""
    problems = []
    places = [(each.logical_id, each.properties) for each in settled.resources.values()]
    places += [(f"Outputs: {name}", output) for name, output in settled.outputs.items()]
    for resource in settled.resources.values():
        problems += refusals(resource.logical_id, resource.type, resource.properties)
    problems += [f"{place}: {each}" for place, value in places for each in unsupported(value)]
    if problems:
        raise TemplateError("Template error: " + "; ".join(problems))
    for place, value in places:
        for referred, attribute in references(value):
            if attribute is None or referred not in settled.resources:
                continue
            kind = settled.resources[referred].type
            if not type_of(kind).any_attribute and attribute not in type_of(kind).attributes:
                problems.append(
                    f"{place}: resource {referred} ({kind}) does not support attribute {attribute} in Fn::GetAtt"
                )
    if problems:
        raise TemplateError("Template error: " + "; ".join(problems))


def missing_capabilities(settled: Settled, given: tuple[str, ...]) -> list[str]:
    """The capabilities that the caller must acknowledge and has not."""
    iam = [each for each in settled.resources.values() if each.type in IAM_TYPES]
    named = any(NAMED_IAM.get(each.type) in each.properties for each in iam)
    if named and "CAPABILITY_NAMED_IAM" not in given:
        return ["CAPABILITY_NAMED_IAM"]
    if iam and not {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"} & set(given):
        return ["CAPABILITY_IAM"]
    return []


# -- what would change -----------------------------------------------------------------------------------------------


def changes(before: Desired | None, after: Desired) -> list[dict[str, Any]]:
    """The changes from one to the other, in the shape of DescribeChangeSet. Empty when resources stay as they are."""
    old = before.settled.resources if before else {}
    found: list[dict[str, Any]] = []
    replaced: set[str] = set()
    for logical_id, resource in after.settled.resources.items():
        if logical_id not in old:
            found.append(_change("Add", resource))
            continue
        names = _changed_properties(before, old[logical_id], after, resource)
        moved = {name for name, _ in references(resource.properties)} & replaced
        retyped = resource.type != old[logical_id].type
        if retyped or names & replacing(resource.type):
            replacement = "True"
            replaced.add(logical_id)
        else:
            replacement = "Conditional" if moved else "False"
        scope = ["Properties"] if names or moved or retyped else []
        if resource.metadata != old[logical_id].metadata:
            scope.append("Metadata")
        if scope:
            details = [
                {
                    "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": "Never"},
                    "Evaluation": "Static",
                    "ChangeSource": "DirectModification",
                }
                for name in sorted(names)
            ]
            found.append(_change("Modify", resource, Replacement=replacement, Scope=scope, Details=details))
    found += [_change("Remove", old[logical_id]) for logical_id in old if logical_id not in after.settled.resources]
    return found


def replacing(resource_type: str) -> frozenset[str]:
    """Properties whose change replaces a resource of this type."""
    kind = type_of(resource_type)
    return frozenset() if kind.always_in_place else replacing_properties(resource_type) | kind.also_replaced_by


def _changed_properties(before: Desired, old: Resource, after: Desired, new: Resource) -> set[str]:
    old_tokens = cfn_template.tokens(before.settled, old.properties)
    new_tokens = cfn_template.tokens(after.settled, new.properties)
    return {name for name in old_tokens.keys() | new_tokens.keys() if old_tokens.get(name) != new_tokens.get(name)}


def _change(action: str, resource: Resource, **more: Any) -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": resource.logical_id, "ResourceType": resource.type, **more}
    return {"Type": "Resource", "ResourceChange": change}


def differs(before: Desired | None, after: Desired) -> bool:
    """Whether there is anything to do at all: resources, outputs or tags."""
    if before is None or changes(before, after) or before.tags != after.tags:
        return True
    old = {name: cfn_template.tokens(before.settled, output) for name, output in before.settled.outputs.items()}
    new = {name: cfn_template.tokens(after.settled, output) for name, output in after.settled.outputs.items()}
    return old != new
