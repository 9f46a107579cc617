"""Stacks for tests of CloudFormation: made, changed, watched and taken away through its API."""

from __future__ import annotations

import json
import time
from typing import Any

from lab import Lab, Who


def queue(**properties: Any) -> dict[str, Any]:
    """A resource that is made in a moment and costs nothing."""
    return {"Type": "AWS::SQS::Queue", "Properties": properties} if properties else {"Type": "AWS::SQS::Queue"}


def group(name: str, **properties: Any) -> dict[str, Any]:
    """A log group: one of its properties is changed in place, its name is not."""
    return {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name, **properties}}


def body(template: Any) -> str:
    return template if isinstance(template, str) else json.dumps(template)


def given(**parameters: Any) -> list[dict[str, str]]:
    """Parameters in the shape of the API."""
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


class Stack:
    """One stack and what can be seen of it."""

    def __init__(self, lab: Lab, name: str, who: Who) -> None:
        self.lab = lab
        self.name = name
        self.cloudformation = lab.client("cloudformation", who)
        self.id = name

    def described(self) -> dict[str, Any]:
        """The stack, once nothing is in progress."""
        while True:
            (stack,) = self.cloudformation.describe_stacks(StackName=self.id)["Stacks"]
            self.id = stack["StackId"]
            status = stack["StackStatus"]
            if not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
                return stack
            time.sleep(0.02 if self.lab.is_local else 3)

    @property
    def status(self) -> str:
        return self.described()["StackStatus"]

    def update(self, template: Any, **options: Any) -> str:
        """Update; returns the status it ends in."""
        self.cloudformation.update_stack(StackName=self.id, TemplateBody=body(template), **options)
        return self.status

    def delete(self, **options: Any) -> str:
        self.described()
        self.cloudformation.delete_stack(StackName=self.id, **options)
        return self.status

    def outputs(self) -> dict[str, str]:
        return {each["OutputKey"]: each["OutputValue"] for each in self.described().get("Outputs", ())}

    def physical(self) -> dict[str, str]:
        """Logical id -> physical id of the resources that exist."""
        found = self.cloudformation.describe_stack_resources(StackName=self.id)["StackResources"]
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in found
            if each.get("PhysicalResourceId") and each["ResourceStatus"] != "DELETE_COMPLETE"
        }

    def events(self) -> list[tuple[str, str, str]]:
        """(logical id, status, reason), oldest first; the stack itself is `stack`."""
        self.described()
        found = self.cloudformation.describe_stack_events(StackName=self.id)["StackEvents"]
        return [
            (
                "stack" if each["PhysicalResourceId"] == self.id else each["LogicalResourceId"],
                each["ResourceStatus"],
                each.get("ResourceStatusReason", ""),
            )
            for each in reversed(found)
        ]

    def reasons(self, status: str) -> str:
        """All reasons with which something came to a status."""
        return "\n".join(reason for _, reached, reason in self.events() if reached == status)


def make(lab: Lab, template: Any, who: Who = "central", name: str | None = None, **options: Any) -> Stack:
    """A new stack, whatever its creation ends in; deleted at the end."""
    stack = Stack(lab, name or lab.name("stack", "-"), who)
    stack.cloudformation.create_stack(StackName=stack.name, TemplateBody=body(template), **options)
    lab.at_end(stack.cloudformation.delete_stack, StackName=stack.name)
    stack.described()
    return stack
