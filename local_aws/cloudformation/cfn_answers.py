"""Stacks, resources and change sets as CloudFormation's API answers them. What is None is left out of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local_aws.cloudformation.cfn_intrinsics import text
from local_aws.cloudformation.cfn_stack import ChangeSet, Desired, Stack, StackResource
from local_aws.cloudformation.cfn_template import transforms
from local_aws.wire import AwsError

PAGE = 100


def page(items: list[Any], token: str | None) -> tuple[list[Any], dict[str, str]]:
    """(one page of items, the NextToken member of the answer if there are more). Raises AwsError ValidationError."""
    if token is not None and not token.isdigit():
        raise AwsError("ValidationError", "Invalid NextToken")
    start = int(token or 0)
    following = {"NextToken": str(start + PAGE)} if len(items) > start + PAGE else {}
    return items[start : start + PAGE], following


def parameters(desired: Desired | None) -> list[dict[str, str]]:
    """The parameters of a stack, with the values of NoEcho ones hidden."""
    if desired is None:
        return []
    hidden = desired.settled.hidden
    return [
        {"ParameterKey": name, "ParameterValue": "****" if name in hidden else value}
        for name, value in desired.values.items()
    ]


def tags(desired: Desired | None) -> list[dict[str, str]]:
    """The tags of a stack."""
    return [{"Key": key, "Value": value} for key, value in desired.tags.items()] if desired else []


def declared_parameter(name: str, parameter: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter as its template declares it (TemplateParameter)."""
    declared = {"ParameterKey": name, "NoEcho": text(parameter.get("NoEcho", False)) == "true"}
    if "Default" in parameter:
        declared["DefaultValue"] = text(parameter["Default"])
    if "Description" in parameter:
        declared["Description"] = parameter["Description"]
    return declared


def stack_summary(stack: Stack) -> dict[str, Any]:
    """StackSummary."""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        "TemplateDescription": stack.desired.description if stack.desired else None,
    }


def described_stack(stack: Stack) -> dict[str, Any]:
    """Stack."""
    desired = stack.desired
    described = {
        **stack_summary(stack),
        "Parameters": parameters(desired),
        "Tags": tags(desired),
        "Capabilities": list(desired.capabilities) if desired else [],
        "Outputs": list(stack.outputs.values()),
        "DisableRollback": stack.disable_rollback,
        "EnableTerminationProtection": stack.protected,
        "NotificationARNs": [],
        "RollbackConfiguration": {},
    }
    if description := described.pop("TemplateDescription", None):
        described["Description"] = description
    described["RoleARN"] = desired.role_arn if desired else None
    if stack.change_set_id:
        described["ChangeSetId"] = stack.change_set_id
    return described


def resource(of: StackResource) -> dict[str, Any]:
    """What StackResource, StackResourceDetail and StackResourceSummary have in common."""
    return {
        "LogicalResourceId": of.logical_id,
        "PhysicalResourceId": of.id,
        "ResourceType": of.type,
        "ResourceStatus": of.status,
        "ResourceStatusReason": of.reason,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


def change_set_summary(stack: Stack, change_set: ChangeSet) -> dict[str, Any]:
    """ChangeSetSummary, which is also the head of DescribeChangeSet."""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "ChangeSetId": change_set.id,
        "ChangeSetName": change_set.name,
        "ExecutionStatus": change_set.execution_status,
        "Status": change_set.status,
        "StatusReason": change_set.reason,
        "CreationTime": change_set.created,
        "Description": change_set.description,
    }


def template_summary(template: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to GetTemplateSummary."""
    declared = []
    for name, parameter in (template.get("Parameters") or {}).items():
        allowed = {"AllowedValues": [text(value) for value in parameter.get("AllowedValues", ())]}
        constraints = allowed if "AllowedValues" in parameter else {}
        shown = declared_parameter(name, parameter)
        declared.append({**shown, "ParameterType": parameter["Type"], "ParameterConstraints": constraints})
    return {
        "Parameters": declared,
        "Description": template.get("Description"),
        "ResourceTypes": sorted({each["Type"] for each in (template.get("Resources") or {}).values()}),
        "DeclaredTransforms": transforms(template),
        "Version": str(template.get("AWSTemplateFormatVersion", "2010-09-09")),
        "Metadata": json.dumps(template["Metadata"]) if "Metadata" in template else None,
    }


def validated_template(template: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to ValidateTemplate."""
    return {
        "Parameters": [declared_parameter(*each) for each in (template.get("Parameters") or {}).items()],
        "Description": template.get("Description"),
        "DeclaredTransforms": transforms(template),
        "Capabilities": ["CAPABILITY_AUTO_EXPAND"] if transforms(template) else [],
    }
