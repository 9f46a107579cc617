"""One permission that a call needs, and whose the resource is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_aws.access import lookup

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

ACCOUNT_OF_ARN = re.compile(r"arn:aws:[a-z0-9-]*:[a-z0-9-]*:(\d{12}):")


def owner_of(arn: str) -> str | None:
    """The account that a resource belongs to, or None where its ARN does not say and nobody knows."""
    if arn.startswith("arn:aws:s3:::"):
        return lookup.bucket_owner(arn.removeprefix("arn:aws:s3:::").partition("/")[0])
    found = ACCOUNT_OF_ARN.match(arn)
    return found[1] if found else None


@dataclass(frozen=True)
class Need:
    """One permission a call needs, with the condition keys that are particular to it."""

    action: str
    resource: str
    keys: dict[str, Any] = field(default_factory=dict)
    creates: bool = False
    """The resource is to be made, in the caller's account, whoever has one of that name now."""

    def owner(self, caller: Caller) -> str:
        """The account the resource belongs to; the caller's where its ARN does not say and nobody knows."""
        return caller.account if self.creates else owner_of(self.resource) or caller.account


@dataclass(frozen=True)
class Asked:
    """A call as the functions that say what it needs look at it."""

    world: World
    caller: Caller
    operation: str
    params: dict[str, Any]

    def arn(self, service: str, resource: str, region: str | None = None) -> str:
        """An ARN in the caller's account and Region."""
        return f"arn:aws:{service}:{self.caller.region if region is None else region}:{self.caller.account}:{resource}"

    def first(self, *names: str) -> Any:
        """The first of these parameters that was given, or None."""
        return next((self.params[name] for name in names if self.params.get(name)), None)
