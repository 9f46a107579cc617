"""What the deployment engine asks of each resource type, and the types that are built.

A resource type is three functions over the real local APIs, called as the deployer: what they may do, what is refused
and what is recorded is decided there. Source: CloudFormation template reference, one page per type.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws import allowed
from local_aws.cloudformation.cfn_schemas import schema_type

if TYPE_CHECKING:
    from local_aws.cloudformation.cfn_clients import Clients
    from local_aws.world import World

ALLOWED_FILE = "local_aws/allowed/cloudformation.yaml"
Properties = Mapping[str, Any]


class ResourceFailed(Exception):
    """A resource could not be made, changed or deleted; the text is the reason shown in the stack's events."""


class NothingDone(ResourceFailed):
    """A resource was refused before anything was done to it: there is nothing to take back."""


@dataclass(frozen=True)
class Made:
    """A resource that exists: its physical id (what Ref gives) and its attributes (what Fn::GetAtt gives)."""

    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Site:
    """Where one resource of a stack is made: the account and Region, the deployer's clients, the resource's names."""

    def __init__(
        self,
        world: World,
        clients: Clients,
        account: str,
        region: str,
        stack_name: str,
        stack_id: str,
        logical_id: str,
        resource_type: str,
        created: Callable[[str], None],
    ) -> None:
        self.world = world
        self.account = account
        self.region = region
        self.stack_name = stack_name
        self.stack_id = stack_id
        self.logical_id = logical_id
        self.resource_type = resource_type
        self.created = created
        """To be told the physical id as soon as there is one: a failure after that has it deleted again."""
        self.client = clients.client
        self.patient_client = clients.patient_client

    def generated_name(self, limit: int, *, lower: bool = False, suffix: str = "") -> str:
        """A new name for a resource that the template does not name, of at most `limit` characters."""
        alphabet = string.ascii_letters + string.digits
        end = "-" + "".join(secrets.choice(alphabet) for _ in range(12)) + suffix
        room = limit - len(end) - 1
        stack = self.stack_name[: max(room // 2, room - len(self.logical_id))]
        name = f"{stack}-{self.logical_id[: room - len(stack)]}{end}"
        return name.lower() if lower else name

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class ResourceType:
    """How to make, change and delete resources of one type.

    `update` gets the physical id, the old and the new properties; a different id in what it returns means that the
    resource was replaced, and the old one is deleted in the end. `named_by` is the property with the custom name.
    """

    create: Callable[[Site, Properties], Made]
    update: Callable[[Site, str, Properties, Properties], Made]
    delete: Callable[[Site, str, Properties], None]
    attributes: frozenset[str] = frozenset()
    named_by: str | None = None
    also_replaced_by: frozenset[str] = frozenset()
    any_attribute: bool = False
    always_in_place: bool = False


@cache
def built_types() -> Mapping[str, ResourceType]:
    """Every resource type that can be deployed."""
    from local_aws.cloudformation import (
        cfn_custom,
        cfn_events,
        cfn_identity,
        cfn_lake,
        cfn_lambda,
        cfn_messaging,
        cfn_storage,
    )

    modules = (cfn_custom, cfn_events, cfn_identity, cfn_lake, cfn_lambda, cfn_messaging, cfn_storage)
    return {name: each for module in modules for name, each in module.TYPES.items()}


def type_of(resource_type: str) -> ResourceType:
    """The handlers of an allowed resource type."""
    return built_types()[schema_type(resource_type)]


def refusals(logical_id: str, resource_type: str, properties: Properties) -> list[str]:
    """Why a resource cannot be deployed here: its type or properties are not listed. Empty when it can."""
    listed = allowed.resources().get(schema_type(resource_type))
    if schema_type(resource_type) not in allowed.resources():
        return [f"{logical_id}: resource type {resource_type} is not supported (not in {ALLOWED_FILE})"]
    if type_of(resource_type).any_attribute:  # custom resources: the properties are the function's business
        return []
    return [
        f"{logical_id}: property {path} of {resource_type} is not supported (not in {ALLOWED_FILE})"
        for path in allowed.unlisted(_without_functions(properties), listed)
    ]


def _without_functions(value: Any) -> Any:
    """`value` with each call of an intrinsic function as an opaque scalar."""
    if isinstance(value, list):
        return [_without_functions(item) for item in value]
    if not isinstance(value, dict):
        return value
    if any(key == "Ref" or str(key).startswith("Fn::") for key in value):
        return ""
    return {str(key): _without_functions(item) for key, item in value.items()}


# -- for the handlers ------------------------------------------------------------------------------------------------


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}


def changed(old: Properties, new: Properties, *names: str) -> bool:
    """Whether one of the named properties differs."""
    return any(old.get(name) != new.get(name) for name in names)


def tag_map(properties: Properties) -> dict[str, str]:
    """The tags of a resource whose Tags are a list of Key and Value."""
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags") or ()}


def tag_changes(old: Properties, new: Properties) -> tuple[dict[str, str], list[str]]:
    """(tags to set, keys to remove)."""
    before, after = tag_map(old), tag_map(new)
    return {k: v for k, v in after.items() if before.get(k) != v}, [key for key in before if key not in after]


def tag_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{key: k, value: v} for k, v in tags.items()]


@contextmanager
def tolerating(*codes: str) -> Iterator[None]:
    """Treat the named errors as success: what should go is gone already."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise


def exists(probe: Callable[[], Any], *missing: str) -> bool:
    """Whether `probe` finds something; the named errors say that it does not."""
    try:
        probe()
    except ClientError as error:
        if error.response["Error"]["Code"] in missing:
            return False
        raise
    return True


def refuse_existing(site: Site, identifier: str) -> None:
    """Fail as CloudFormation does where an API would silently adopt what another made."""
    raise ResourceFailed(
        f"Resource of type '{site.resource_type}' with identifier '{identifier}' already exists. "
        "(HandlerErrorCode: AlreadyExists)"
    )


def cannot_update(site: Site, _id: str, _old: Properties, _new: Properties) -> Made:
    """For types of which every property replaces."""
    raise ResourceFailed(f"{site.resource_type} cannot be updated in place")


def first_lower(value: Any) -> Any:
    """Keys of a structure with their first letter in lower case, as some APIs spell them."""
    if isinstance(value, dict):
        return {re.sub("^.", lambda first: first[0].lower(), key): first_lower(item) for key, item in value.items()}
    return [first_lower(item) for item in value] if isinstance(value, list) else value
