"""Bringing a stack from what it is to what it shall be, and back again when that fails.

Resources are made one after the other in the order of their references. A failure undoes everything done so far, in
reverse: the stack ends as it was. Source: CloudFormation user guide, "Stack status codes", "Update behaviors".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws import allowed
from local_aws.cloudformation.cfn_intrinsics import Scope, TemplateError, resolve, text
from local_aws.cloudformation.cfn_resources import Made, NothingDone, ResourceFailed, Site, refusals, type_of
from local_aws.cloudformation.cfn_schemas import Misfit, conform, schema_type
from local_aws.cloudformation.cfn_stack import Desired, Stack, StackResource, replacing
from local_aws.cloudformation.cfn_template import Resource
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.cloudformation.cfn_clients import Clients
    from local_aws.world import World

FAILURES = (ResourceFailed, TemplateError, Misfit, ClientError, BotoCoreError, AwsError)


@dataclass(frozen=True)
class _Done:
    """One step that was taken: the resource as it was before (None: it was not), and whether it was replaced."""

    logical_id: str
    before: StackResource | None
    replaced: bool = False


def _why(error: Exception) -> str:
    if isinstance(error, ClientError):
        fault = error.response["Error"]
        return f'Resource handler returned message: "{fault.get("Message")}" (HandlerErrorCode: {fault.get("Code")})'
    return str(error)


class Deployment:
    """One operation on one stack, run in a thread of its own. `done` is set when it has ended.

    `imported(name)` gives the value of another stack's export, `check_exports(stack, exports)` raises TemplateError
    when another stack needs one that would go or change, or exports the same name.
    """

    def __init__(
        self,
        world: World,
        stack: Stack,
        clients: Clients,
        imported: Callable[[str], str],
        check_exports: Callable[[Stack, Mapping[str, str]], None],
    ) -> None:
        self.world = world
        self.stack = stack
        self.done = threading.Event()
        self._clients = clients
        self._imported = imported
        self._check_exports = check_exports
        self._steps: list[_Done] = []
        self._cleanup: list[StackResource] = []

    # -- create and update ---------------------------------------------------------------------------------------

    def deploy(self, desired: Desired, disable_rollback: bool) -> None:
        """Make the stack what is desired. The stack is *_IN_PROGRESS when this is called."""
        verb = "CREATE" if self.stack.status == "CREATE_IN_PROGRESS" else "UPDATE"
        before = copy(self.stack)
        try:
            self._deploy(verb, desired, disable_rollback, before)
        except Exception as error:
            self._note(None, f"{verb}_FAILED", f"The local AWS broke: {error!r}")
            raise
        finally:
            self.done.set()

    def _deploy(self, verb: str, desired: Desired, disable_rollback: bool, before: Stack) -> None:
        stack = self.stack
        imports: set[str] = set()
        scope = self._scope(desired, imports)
        try:
            for resource in desired.settled.resources.values():
                self._bring(resource, desired, scope)
            outputs = _outputs(desired, scope)
            self._check_exports(stack, _exports(outputs))
        except FAILURES as error:
            failed = [each.logical_id for each in stack.resources.values() if each.status.endswith("_FAILED")]
            reason = (
                f"The following resource(s) failed to {verb.lower()}: [{', '.join(failed)}]. "
                if failed
                else f"{error} "
            )
            if disable_rollback:
                self._note(None, f"{verb}_FAILED", reason)
            elif verb == "CREATE":
                self._note(None, "ROLLBACK_IN_PROGRESS", reason + "Rollback requested by user.")
                self._undo("ROLLBACK")
            else:
                self._note(None, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
                self._undo("UPDATE_ROLLBACK")
                stack.desired, stack.outputs, stack.imports = before.desired, before.outputs, before.imports
            return
        removed = [each for each in stack.resources.values() if each.logical_id not in desired.settled.resources]
        stack.desired, stack.outputs, stack.imports = desired, outputs, imports
        if verb == "UPDATE":
            stack.updated = self.world.now()
            if removed or self._cleanup:
                self._note(None, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            self._clean_up(removed)
        self._note(None, f"{verb}_COMPLETE")
        for step in self._steps:
            deployed = stack.resources[step.logical_id]
            if deployed.type == "AWS::Lambda::Function":
                self.world.engines["lambda"].prewarm(deployed.attributes["Arn"])

    def _scope(self, desired: Desired, imports: set[str]) -> Scope:
        resources = self.stack.resources

        def ref(logical_id: str) -> Any:
            return resources[logical_id].id  # made already: resources are in the order of their references

        def attribute(logical_id: str, name: str) -> Any:
            attributes = resources[logical_id].attributes
            if name not in attributes:
                if type_of(resources[logical_id].type).any_attribute:
                    raise TemplateError(
                        f"CustomResource attribute error: Vendor response doesn't contain {name} attribute in object "
                        f"{resources[logical_id].id}"
                    )
                raise TemplateError(f"Attribute {name} not found in resource {logical_id}")
            return attributes[name]

        def imported(name: str) -> str:
            imports.add(name)
            return self._imported(name)

        return Scope(desired.settled.parameters, desired.settled.mappings, ref, attribute, imported)

    def _bring(self, resource: Resource, desired: Desired, scope: Scope) -> None:
        """Create, update, replace or leave one resource."""
        current = self.stack.resources.get(resource.logical_id)
        try:
            properties = _resolved(resource, desired, scope)
        except FAILURES as error:
            failed = current or self._add(resource)
            self._note(failed, "UPDATE_FAILED" if current else "CREATE_FAILED", _why(error))
            raise
        if current is None or current.id is None:
            self._create(self._add(resource), properties)
            return
        changed = {
            name
            for name in current.properties.keys() | properties.keys()
            if current.properties.get(name) != properties.get(name)
        }
        was = copy(current)
        current.deletion_policy, current.update_replace_policy = (
            resource.deletion_policy,
            resource.update_replace_policy,
        )
        current.metadata = resource.metadata
        if not changed and current.type == resource.type:
            return
        self._note(current, "UPDATE_IN_PROGRESS")
        try:
            if current.type != resource.type:
                raise ResourceFailed("Update of resource type is not permitted.")
            if changed & replacing(resource.type):
                self._replace(current, was, properties)
            else:
                self._update(current, was, properties)
        except FAILURES as error:
            self._note(current, "UPDATE_FAILED", _why(error))
            raise
        self._note(current, "UPDATE_COMPLETE")

    def _add(self, resource: Resource) -> StackResource:
        added = StackResource(
            resource.logical_id,
            resource.type,
            deletion_policy=resource.deletion_policy,
            update_replace_policy=resource.update_replace_policy,
            metadata=resource.metadata,
        )
        self.stack.resources[resource.logical_id] = added
        return added

    def _create(self, resource: StackResource, properties: dict[str, Any]) -> None:
        self._note(resource, "CREATE_IN_PROGRESS")
        self._steps.append(_Done(resource.logical_id, None))
        resource.properties = properties
        try:
            self._take(resource, type_of(resource.type).create(self._site(resource), properties))
        except FAILURES as error:
            self._note(resource, "CREATE_FAILED", _why(error))
            raise
        self._note(resource, "CREATE_COMPLETE")

    def _update(self, resource: StackResource, was: StackResource, properties: dict[str, Any]) -> None:
        self._steps.append(_Done(resource.logical_id, was))
        resource.properties = properties
        try:
            made = type_of(resource.type).update(self._site(resource), was.id, was.properties, properties)
        except NothingDone:
            resource.properties = was.properties
            raise
        if made.id != was.id:
            self._cleanup.append(was)
        self._take(resource, made)

    def _replace(self, resource: StackResource, was: StackResource, properties: dict[str, Any]) -> None:
        named_by = type_of(resource.type).named_by
        if named_by in properties and properties[named_by] == was.properties.get(named_by):
            raise ResourceFailed(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {properties[named_by]} and update the stack again."
            )
        self._steps.append(_Done(resource.logical_id, was, replaced=True))
        self._note(
            resource,
            "UPDATE_IN_PROGRESS",
            "Requested update requires the creation of a new physical resource; hence creating one.",
        )
        resource.id, resource.properties = None, properties
        self._take(resource, type_of(resource.type).create(self._site(resource), properties))
        if was.update_replace_policy != "Retain":
            self._cleanup.append(was)

    def _take(self, resource: StackResource, made: Made) -> None:
        resource.id, resource.attributes = made.id, made.attributes
        allowed.made(schema_type(resource.type), resource.properties)

    def _site(self, resource: StackResource) -> Site:
        def created(physical_id: str) -> None:
            resource.id = physical_id

        stack = self.stack
        return Site(
            self.world,
            self._clients,
            stack.account,
            stack.region,
            stack.name,
            stack.id,
            resource.logical_id,
            resource.type,
            created,
        )

    def _note(self, resource: StackResource | None, status: str, reason: str | None = None) -> None:
        self.stack.note(self.world.now(), resource, status, reason)

    # -- undoing -------------------------------------------------------------------------------------------------

    def _undo(self, status: str) -> None:
        """Take back every step, the last first. A step that cannot be taken back leaves the stack *_FAILED."""
        broken = []
        replaced_ids: list[StackResource] = []
        for step in reversed(self._steps):
            resource = self.stack.resources[step.logical_id]
            try:
                if step.before is None:
                    self._remove(resource, on_create=True)
                    if status == "UPDATE_ROLLBACK":
                        del self.stack.resources[step.logical_id]
                elif step.replaced:
                    if resource.id is not None:
                        replaced_ids.append(copy(resource))
                    self._restore(step.before)
                else:
                    replaced_ids += self._update_back(resource, step.before)
            except FAILURES as error:
                broken.append(step.logical_id)
                self._note(resource, "DELETE_FAILED" if step.before is None else "UPDATE_FAILED", _why(error))
        if broken:
            self._note(
                None, f"{status}_FAILED", f"The following resource(s) failed to roll back: [{', '.join(broken)}]."
            )
            return
        if status == "UPDATE_ROLLBACK":
            self._note(None, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
            for resource in replaced_ids:
                self._discard(resource)
        self._note(None, f"{status}_COMPLETE")

    def _update_back(self, resource: StackResource, before: StackResource) -> list[StackResource]:
        """Give an updated resource its former properties; returns what this leaves to be deleted."""
        if resource.properties == before.properties:
            self._restore(before)
            return []
        self._note(resource, "UPDATE_IN_PROGRESS")
        made = type_of(resource.type).update(self._site(resource), resource.id, resource.properties, before.properties)
        left = [copy(resource)] if made.id != resource.id else []
        restored = self._restore(before)
        self._take(restored, made)
        return left

    def _restore(self, before: StackResource) -> StackResource:
        restored = copy(before)
        self.stack.resources[before.logical_id] = restored
        self._note(restored, "UPDATE_COMPLETE")
        return restored

    # -- deleting ------------------------------------------------------------------------------------------------

    def delete(self, retained: frozenset[str], before: str) -> None:
        """Delete the stack and its resources, in the reverse of the order in which they were made.

        While another stack imports an export, nothing is deleted: the stack has the status `before` again. (That it
        is so is seen in reports, rlister/stax#40, aws/serverless-application-model#2355; the guide says only that the
        stack cannot be deleted.)
        """
        stack = self.stack
        try:
            try:
                self._check_exports(stack, {})
            except TemplateError as error:
                self._note(None, before, f"Delete canceled. {error}")
                return
            order = list(stack.desired.settled.resources) if stack.desired else []
            known = sorted(
                stack.resources.values(),
                key=lambda each: order.index(each.logical_id) if each.logical_id in order else -1,
            )
            failed = []
            for resource in reversed(known):
                if resource.logical_id in retained:
                    self._note(resource, "DELETE_SKIPPED")
                    continue
                try:
                    self._remove(resource)
                except FAILURES as error:
                    failed.append(resource.logical_id)
                    self._note(resource, "DELETE_FAILED", _why(error))
            if failed:
                self._note(
                    None, "DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
                )
                return
            stack.outputs = {}
            stack.imports = set()
            stack.deleted = self.world.now()
            self._note(None, "DELETE_COMPLETE")
        except Exception as error:
            self._note(None, "DELETE_FAILED", f"The local AWS broke: {error!r}")
            raise
        finally:
            self.done.set()

    def _remove(self, resource: StackResource, on_create: bool = False) -> None:
        """Delete a resource of the stack unless its policy keeps it."""
        if resource.status in ("DELETE_COMPLETE", "DELETE_SKIPPED"):
            return
        keep = resource.deletion_policy == "Retain" or (
            resource.deletion_policy == "RetainExceptOnCreate" and not on_create
        )
        if resource.id is not None and keep:
            self._note(resource, "DELETE_SKIPPED")
            return
        if resource.id is not None:
            self._note(resource, "DELETE_IN_PROGRESS")
            type_of(resource.type).delete(self._site(resource), resource.id, resource.properties)
        self._note(resource, "DELETE_COMPLETE")

    def _clean_up(self, removed: list[StackResource]) -> None:
        """Delete what an update replaced or dropped; failures are noted, the update stands."""
        for resource in reversed(self._cleanup):
            self._discard(resource)
        order = list(self.stack.resources)
        for resource in sorted(removed, key=lambda each: order.index(each.logical_id), reverse=True):
            try:
                self._remove(resource)
            except FAILURES as error:
                self._note(resource, "DELETE_FAILED", _why(error))
            del self.stack.resources[resource.logical_id]

    def _discard(self, resource: StackResource) -> None:
        """Delete a physical resource that another one has taken the place of."""
        leaving = copy(resource)
        self._note(leaving, "DELETE_IN_PROGRESS")
        try:
            type_of(leaving.type).delete(self._site(leaving), leaving.id, leaving.properties)
        except FAILURES as error:
            self._note(leaving, "DELETE_FAILED", _why(error))
            return
        self._note(leaving, "DELETE_COMPLETE")


def _resolved(resource: Resource, desired: Desired, scope: Scope) -> dict[str, Any]:
    """The properties with references resolved, of the types the schema wants, and with the stack's tags."""
    properties = resolve(resource.properties, scope)
    if refused := refusals(resource.logical_id, resource.type, properties):
        raise TemplateError("; ".join(refused))
    try:
        properties = conform(resource.type, properties)
    except Misfit as misfit:
        raise Misfit(
            f"Properties validation failed for resource {resource.logical_id} with message:\n{misfit}"
        ) from None
    if "Tags" in allowed.resources()[schema_type(resource.type)]:
        own = properties.get("Tags", [])
        named = {tag["Key"] for tag in own}
        stack_tags = [{"Key": key, "Value": value} for key, value in desired.tags.items() if key not in named]
        if tags := [*own, *stack_tags]:
            properties = {**properties, "Tags": tags}
    return properties


def _outputs(desired: Desired, scope: Scope) -> dict[str, dict[str, str]]:
    outputs = {}
    for name, declared in desired.settled.outputs.items():
        value = resolve(declared["Value"], scope)
        if isinstance(value, (list, dict)):
            raise TemplateError(f"Template format error: Output {name} is malformed: its value must be a string")
        output = {"OutputKey": name, "OutputValue": text(value)}
        if "Description" in declared:
            output["Description"] = declared["Description"]
        if "Export" in declared:
            output["ExportName"] = str(resolve(declared["Export"]["Name"], scope))
        outputs[name] = output
    return outputs


def _exports(outputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {output["ExportName"]: output["OutputValue"] for output in outputs.values() if "ExportName" in output}
