"""AWS CloudFormation: the API over stacks and change sets, as `sam deploy`, `sam delete` and boto3 use it.

What is deployed is made by the local services themselves, called as the deployer. A template that asks for anything
not built is refused whole, before anything is made.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.access import identity
from local_aws.access.callers import credentials_of
from local_aws.cloudformation import cfn_answers, cfn_template
from local_aws.cloudformation.cfn_clients import Deployers
from local_aws.cloudformation.cfn_deployment import Deployment
from local_aws.cloudformation.cfn_intrinsics import TemplateError
from local_aws.cloudformation.cfn_stack import ChangeSet, Desired, Stack, changes, desire, differs, missing_capabilities
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

ANSWER_WITHIN = 8.0
"""Seconds for which the answer to a call that starts a deployment waits for its end.

Deployers poll every 15 to 30 s: where the work takes less than this, they find it done at the first look.
"""
MAX_BODY = 51_200
MAX_STORED_BODY = 1_048_576
"""Bytes of a template in the request, and in S3."""
EMPTY = "The submitted information didn't contain changes. Submit different information to create a change set."
NAME = re.compile("[a-zA-Z][-a-zA-Z0-9]{0,127}")
UPDATABLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "CREATE_FAILED", "UPDATE_FAILED"}


class CloudFormation:
    """The engine of the service `cloudformation`."""

    service = "cloudformation"

    def __init__(self, world: World) -> None:
        self.world = world
        self._stacks: dict[str, Stack] = {}
        """By ARN; deleted ones stay, as AWS keeps them for 90 days."""
        self._deployers = Deployers(world)

    # -- change sets -----------------------------------------------------------------------------------------------

    def CreateChangeSet(
        self,
        caller: Caller,
        StackName: str,
        ChangeSetName: str,
        ChangeSetType: str = "UPDATE",
        Description: str | None = None,
        **request: Any,
    ) -> dict:
        with self.world.lock:
            stack = self._find(caller, StackName)
            if ChangeSetType == "CREATE":
                if stack and stack.status != "REVIEW_IN_PROGRESS":
                    raise _invalid(
                        f"Stack [{StackName}] already exists and cannot be created again "
                        f"with the changeSet [{ChangeSetName}]."
                    )
                stack = stack or self._new_stack(caller, StackName)
            elif ChangeSetType != "UPDATE":
                raise AwsError(
                    "LocalAwsNotSupported", f"change sets of type {ChangeSetType} (local_aws/cloudformation/engine.py)"
                )
            elif stack is None:
                raise _invalid(f"Stack [{StackName}] does not exist")
            else:
                _require_updatable(stack)
            if ChangeSetName in stack.change_sets:
                raise AwsError("AlreadyExistsException", f"ChangeSet {ChangeSetName} already exists")
        # only transforms that fail make a change set that failed; all other mistakes are answered at once, as AWS does
        change_set_id = (
            f"arn:aws:cloudformation:{stack.region}:{stack.account}:changeSet/{ChangeSetName}/{uuid.uuid4()}"
        )
        change_set = ChangeSet(
            change_set_id, ChangeSetName, ChangeSetType, self.world.now(), None, [], "FAILED", "UNAVAILABLE",
            description=Description,
        )  # fmt: skip
        try:
            desired = self._desired(caller, stack, **request)
        except TemplateError as error:
            if not str(error).startswith("Transform"):
                raise _invalid(str(error)) from None
            change_set.reason = str(error)
        else:
            _require_capabilities(desired)
            before = stack.desired if ChangeSetType == "UPDATE" else None
            change_set.desired = desired
            if differs(before, desired):
                change_set.changes = changes(before, desired)
                self._add_physical_ids(stack, change_set.changes)
                change_set.status, change_set.execution_status = "CREATE_COMPLETE", "AVAILABLE"
            else:
                change_set.reason = EMPTY
        with self.world.lock:
            if stack.id not in self._stacks:
                stack.note(self.world.now(), None, "REVIEW_IN_PROGRESS", "User Initiated")
                self._stacks[stack.id] = stack
            stack.change_sets[ChangeSetName] = change_set
        return {"Id": change_set.id, "StackId": stack.id}

    def _add_physical_ids(self, stack: Stack, found: list[dict[str, Any]]) -> None:
        for change in found:
            existing = stack.resources.get(change["ResourceChange"]["LogicalResourceId"])
            if existing and existing.id:
                change["ResourceChange"]["PhysicalResourceId"] = existing.id

    def DescribeChangeSet(
        self, caller: Caller, ChangeSetName: str, StackName: str | None = None, NextToken: str | None = None
    ) -> dict:
        stack, change_set = self._change_set(caller, ChangeSetName, StackName)
        page, following = cfn_answers.page(change_set.changes, NextToken)
        desired = change_set.desired
        return {
            **cfn_answers.change_set_summary(stack, change_set),
            "Parameters": cfn_answers.parameters(desired),
            "Tags": cfn_answers.tags(desired),
            "Capabilities": list(desired.capabilities) if desired else [],
            "NotificationARNs": [],
            "RollbackConfiguration": {},
            "IncludeNestedStacks": False,
            "Changes": page,
            **following,
        }

    def ListChangeSets(self, caller: Caller, StackName: str, NextToken: str | None = None) -> dict:
        stack = self._existing(caller, StackName)
        page, following = cfn_answers.page(list(stack.change_sets.values()), NextToken)
        return {"Summaries": [cfn_answers.change_set_summary(stack, each) for each in page], **following}

    def DeleteChangeSet(self, caller: Caller, ChangeSetName: str, StackName: str | None = None) -> dict:
        stack, change_set = self._change_set(caller, ChangeSetName, StackName)
        del stack.change_sets[change_set.name]
        return {}

    def ExecuteChangeSet(
        self,
        caller: Caller,
        ChangeSetName: str,
        StackName: str | None = None,
        ClientRequestToken: str | None = None,
        DisableRollback: bool = False,
    ) -> dict:
        with self.world.lock:
            stack, change_set = self._change_set(caller, ChangeSetName, StackName)
            if change_set.execution_status != "AVAILABLE":
                raise AwsError(
                    "InvalidChangeSetStatus",
                    f"ChangeSet [{change_set.id}] cannot be executed in its current status of [{change_set.status}]",
                )
            if change_set.type == "UPDATE":
                _require_updatable(stack)
            change_set.execution_status = "EXECUTE_COMPLETE"
            stack.change_set_id = change_set.id
            stack.change_sets = {change_set.name: change_set}  # executing one deletes the others
            deployment = self._begin(caller, stack, change_set.desired, DisableRollback)
        deployment.done.wait(ANSWER_WITHIN)
        return {}

    # -- stacks ----------------------------------------------------------------------------------------------------

    def CreateStack(
        self,
        caller: Caller,
        StackName: str,
        DisableRollback: bool = False,
        EnableTerminationProtection: bool = False,
        ClientRequestToken: str | None = None,
        **request: Any,
    ) -> dict:
        stack = self._new_stack(caller, StackName)
        desired = self._checked(caller, stack, request)
        with self.world.lock:
            if self._find(caller, StackName):
                raise AwsError("AlreadyExistsException", f"Stack [{StackName}] already exists")
            stack.protected = EnableTerminationProtection
            self._stacks[stack.id] = stack
            deployment = self._begin(caller, stack, desired, DisableRollback)
        deployment.done.wait(ANSWER_WITHIN)
        return {"StackId": stack.id}

    def UpdateStack(
        self,
        caller: Caller,
        StackName: str,
        DisableRollback: bool = False,
        ClientRequestToken: str | None = None,
        **request: Any,
    ) -> dict:
        stack = self._existing(caller, StackName)
        _require_updatable(stack)
        desired = self._checked(caller, stack, request)
        if not differs(stack.desired, desired):
            raise _invalid("No updates are to be performed.")
        with self.world.lock:
            _require_updatable(stack)
            deployment = self._begin(caller, stack, desired, DisableRollback)
        deployment.done.wait(ANSWER_WITHIN)
        return {"StackId": stack.id}

    def DeleteStack(
        self,
        caller: Caller,
        StackName: str,
        RetainResources: list[str] | None = None,
        RoleARN: str | None = None,
        ClientRequestToken: str | None = None,
    ) -> None:
        with self.world.lock:
            stack = self._find(caller, StackName)
            if stack is None:
                return
            if stack.protected:
                raise _invalid(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
            if stack.in_progress:
                raise _invalid(f"Stack [{stack.id}] cannot be deleted while in status {stack.status}")
            if RetainResources and stack.status != "DELETE_FAILED":
                raise _invalid("RetainResources can only be given for a stack in status DELETE_FAILED")
            deployment = self._deployment(caller, stack, RoleARN or (stack.desired.role_arn if stack.desired else None))
            before = stack.status
            stack.note(self.world.now(), None, "DELETE_IN_PROGRESS", "User Initiated")
            stack.change_sets.clear()
        self.world.submit(deployment.delete, frozenset(RetainResources or ()), before)
        deployment.done.wait(ANSWER_WITHIN)

    def UpdateTerminationProtection(self, caller: Caller, StackName: str, EnableTerminationProtection: bool) -> dict:
        stack = self._existing(caller, StackName)
        stack.protected = EnableTerminationProtection
        return {"StackId": stack.id}

    def DescribeStacks(self, caller: Caller, StackName: str | None = None, NextToken: str | None = None) -> dict:
        self._deployers.get_ready()
        if StackName is not None:
            return {"Stacks": [cfn_answers.described_stack(self._existing(caller, StackName))]}
        page, following = cfn_answers.page([each for each in self._of(caller) if each.deleted is None], NextToken)
        return {"Stacks": [cfn_answers.described_stack(each) for each in page], **following}

    def ListStacks(
        self, caller: Caller, StackStatusFilter: list[str] | None = None, NextToken: str | None = None
    ) -> dict:
        found = [each for each in self._of(caller) if not StackStatusFilter or each.status in StackStatusFilter]
        page, following = cfn_answers.page(found, NextToken)
        return {"StackSummaries": [cfn_answers.stack_summary(each) for each in page], **following}

    def DescribeStackEvents(self, caller: Caller, StackName: str, NextToken: str | None = None) -> dict:
        page, following = cfn_answers.page(list(reversed(self._existing(caller, StackName).events)), NextToken)
        return {"StackEvents": page, **following}

    def DescribeStackResources(
        self,
        caller: Caller,
        StackName: str | None = None,
        LogicalResourceId: str | None = None,
        PhysicalResourceId: str | None = None,
    ) -> dict:
        if StackName is not None:
            stack = self._existing(caller, StackName)
        else:
            having = [
                each
                for each in self._of(caller)
                if each.deleted is None and any(r.id == PhysicalResourceId for r in each.resources.values())
            ]
            if not having:
                raise _invalid(f"Stack for {PhysicalResourceId} does not exist")
            stack = having[0]
        wanted = (each for each in list(stack.resources.values()) if LogicalResourceId in (None, each.logical_id))
        return {
            "StackResources": [
                {"StackName": stack.name, "StackId": stack.id, "Timestamp": each.updated, **cfn_answers.resource(each)}
                for each in wanted
            ]
        }

    def DescribeStackResource(self, caller: Caller, StackName: str, LogicalResourceId: str) -> dict:
        stack = self._existing(caller, StackName)
        resource = stack.resources.get(LogicalResourceId)
        if resource is None:
            raise _invalid(f"Resource {LogicalResourceId} does not exist for stack {stack.name}")
        detail = {
            "StackName": stack.name,
            "StackId": stack.id,
            "LastUpdatedTimestamp": resource.updated,
            "Metadata": json.dumps(resource.metadata),
            **cfn_answers.resource(resource),
        }
        return {"StackResourceDetail": detail}

    def ListStackResources(self, caller: Caller, StackName: str, NextToken: str | None = None) -> dict:
        page, following = cfn_answers.page(list(self._existing(caller, StackName).resources.values()), NextToken)
        summaries = [{"LastUpdatedTimestamp": each.updated, **cfn_answers.resource(each)} for each in page]
        return {"StackResourceSummaries": summaries, **following}

    # -- templates -------------------------------------------------------------------------------------------------

    def GetTemplate(
        self,
        caller: Caller,
        StackName: str | None = None,
        ChangeSetName: str | None = None,
        TemplateStage: str = "Original",
    ) -> dict:
        if ChangeSetName is not None:
            desired = self._change_set(caller, ChangeSetName, StackName)[1].desired
        else:
            desired = self._existing(caller, StackName).desired
        if desired is None:
            return {"TemplateBody": "", "StagesAvailable": []}
        body = desired.template if TemplateStage == "Original" else json.dumps(desired.processed)
        return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}

    def GetTemplateSummary(self, caller: Caller, StackName: str | None = None, **source: Any) -> dict:
        if StackName is not None:
            desired = self._existing(caller, StackName).desired
            template = cfn_template.read(desired.template) if desired else {"Resources": {}}
        else:
            template = self._read(caller, **source)
        return cfn_answers.template_summary(template)

    def ValidateTemplate(self, caller: Caller, **source: Any) -> dict:
        template = self._read(caller, **source)
        if not cfn_template.transforms(template):
            try:
                cfn_template.check_structure(template)
            except TemplateError as error:
                raise _invalid(str(error)) from None
        return cfn_answers.validated_template(template)

    # -- exports ---------------------------------------------------------------------------------------------------

    def ListExports(self, caller: Caller, NextToken: str | None = None) -> dict:
        exports = [
            {"ExportingStackId": stack.id, "Name": name, "Value": value}
            for stack in self._of(caller)
            for name, value in stack.exports.items()
        ]
        page, following = cfn_answers.page(exports, NextToken)
        return {"Exports": page, **following}

    def ListImports(self, caller: Caller, ExportName: str, NextToken: str | None = None) -> dict:
        importing = [each.name for each in self._of(caller) if ExportName in each.imports]
        if not importing:
            raise _invalid(f"Export '{ExportName}' is not imported by any stack.")
        page, following = cfn_answers.page(importing, NextToken)
        return {"Imports": page, **following}

    def _check_exports(self, stack: Stack, exports: Mapping[str, str]) -> None:
        """Raise TemplateError if a stack's new exports collide with others, or drop or change one in use."""
        others = self._neighbours(stack)
        for other in others:
            if twice := sorted(exports.keys() & other.exports.keys()):
                raise TemplateError(f"Export with name {twice[0]} is already exported by stack {other.name}.")
        for name, value in stack.exports.items():
            users = [other.name for other in others if name in other.imports]
            if users and name not in exports:
                raise TemplateError(f"Cannot delete export {name} as it is in use by {' and '.join(users)}")
            if users and exports[name] != value:
                raise TemplateError(f"Cannot update export {name} as it is in use by {' and '.join(users)}")

    def _imported(self, stack: Stack, name: str) -> str:
        for other in self._neighbours(stack):
            if name in other.exports:
                return other.exports[name]
        raise TemplateError(f"No export named {name} found.")

    def _neighbours(self, stack: Stack) -> list[Stack]:
        """The other stacks of its account and Region. Deleted ones neither export nor import anything."""
        place = (stack.account, stack.region)
        return [
            each for each in list(self._stacks.values()) if (each.account, each.region) == place and each is not stack
        ]

    # -- finding stacks and templates ------------------------------------------------------------------------------

    def _of(self, caller: Caller) -> list[Stack]:
        place = (caller.account, caller.region)
        return [each for each in list(self._stacks.values()) if (each.account, each.region) == place]

    def _find(self, caller: Caller, name: str) -> Stack | None:
        """The stack by ARN, also a deleted one, or by name if it is not deleted."""
        for stack in self._of(caller):
            if stack.id == name or (stack.name == name and stack.deleted is None):
                return stack
        return None

    def _existing(self, caller: Caller, name: str) -> Stack:
        stack = self._find(caller, name)
        if stack is None:
            raise _invalid(f"Stack with id {name} does not exist")
        return stack

    def _change_set(self, caller: Caller, name: str, stack_name: str | None) -> tuple[Stack, ChangeSet]:
        stacks = [self._existing(caller, stack_name)] if stack_name else self._of(caller)
        for stack in stacks:
            for change_set in list(stack.change_sets.values()):
                if name in (change_set.name, change_set.id):
                    return stack, change_set
        raise AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)

    def _new_stack(self, caller: Caller, name: str) -> Stack:
        if not NAME.fullmatch(name):
            raise _invalid(f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint")
        arn = f"arn:aws:cloudformation:{caller.region}:{caller.account}:stack/{name}/{uuid.uuid4()}"
        return Stack(arn, name, caller.account, caller.region, self.world.now())

    def _read(self, caller: Caller, TemplateBody: str | None = None, TemplateURL: str | None = None) -> dict:
        try:
            return cfn_template.read(self._body(caller, TemplateBody, TemplateURL))
        except TemplateError as error:
            raise _invalid(str(error)) from None

    def _body(self, caller: Caller, body: str | None, url: str | None) -> str:
        if body is not None and url is None:
            return _within(body, MAX_BODY)
        if url is None or body is not None:
            raise _invalid("Either Template URL or Template Body must be specified.")
        try:
            bucket, key, version = cfn_template.place(url)
        except TemplateError as error:
            raise _invalid(str(error)) from None
        s3 = self._deployers.clients(credentials_of(self.world, caller), caller.region).client("s3")
        try:
            stored = s3.get_object(Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
        except ClientError as error:
            raise _invalid(f"S3 error: {error.response['Error'].get('Message')} ({url})") from None
        return _within(stored["Body"].read().decode(), MAX_STORED_BODY)

    def _desired(
        self,
        caller: Caller,
        stack: Stack,
        TemplateBody: str | None = None,
        TemplateURL: str | None = None,
        UsePreviousTemplate: bool = False,
        Parameters: list[dict] | None = None,
        Capabilities: list[str] | None = None,
        Tags: list[dict] | None = None,
        RoleARN: str | None = None,
    ) -> Desired:
        """What a request asks the stack to become. Raises TemplateError or AwsError."""
        before = stack.desired
        previous = UsePreviousTemplate and before
        body = previous.template if previous else self._body(caller, TemplateBody, TemplateURL)
        tags = {tag["Key"]: tag["Value"] for tag in Tags} if Tags is not None else (before.tags if before else {})
        return desire(
            body,
            Parameters or [],
            tags,
            before.values if before else {},
            stack.name,
            stack.id,
            tuple(Capabilities or ()),
            RoleARN or (before.role_arn if before else None),
        )

    def _checked(self, caller: Caller, stack: Stack, request: Mapping[str, Any]) -> Desired:
        """As _desired, for calls that deploy at once."""
        try:
            desired = self._desired(caller, stack, **request)
        except TemplateError as error:
            raise _invalid(str(error)) from None
        _require_capabilities(desired)
        if desired.transformed and "CAPABILITY_AUTO_EXPAND" not in desired.capabilities:
            raise AwsError("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_AUTO_EXPAND]")
        return desired

    # -- deploying -------------------------------------------------------------------------------------------------

    def _begin(self, caller: Caller, stack: Stack, desired: Desired, disable_rollback: bool) -> Deployment:
        """Start bringing a stack to what is desired. The world's lock is held."""
        creating = stack.status == "REVIEW_IN_PROGRESS"
        deployment = self._deployment(caller, stack, desired.role_arn)
        stack.disable_rollback = disable_rollback
        if creating:
            stack.desired = desired
        stack.note(self.world.now(), None, "CREATE_IN_PROGRESS" if creating else "UPDATE_IN_PROGRESS", "User Initiated")
        self.world.submit(deployment.deploy, desired, disable_rollback)
        return deployment

    def _deployment(self, caller: Caller, stack: Stack, role_arn: str | None) -> Deployment:
        if role_arn:  # the service role, which must let CloudFormation assume it for this stack
            credentials = identity.assume_as_service(
                self.world, role_arn, "AWSCloudFormation", "cloudformation.amazonaws.com", stack.id
            )
        else:
            credentials = credentials_of(self.world, caller)
        clients = self._deployers.clients(credentials, stack.region)
        return Deployment(self.world, stack, clients, lambda name: self._imported(stack, name), self._check_exports)


# -- requests


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def _within(body: str, limit: int) -> str:
    if len(body.encode()) > limit:
        raise _invalid(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
            f"Member must have length less than or equal to {limit}"
        )
    return body


def _require_updatable(stack: Stack) -> None:
    if stack.status not in UPDATABLE:
        raise _invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")


def _require_capabilities(desired: Desired) -> None:
    if missing := missing_capabilities(desired.settled, desired.capabilities):
        raise AwsError("InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(missing)}]")
