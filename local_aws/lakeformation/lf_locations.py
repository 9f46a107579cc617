"""Registered S3 locations.

Sources: the Lake Formation developer guide ("Requirements for roles used to register locations", "Registering an Amazon
S3 location in another AWS account") and the service model (RegisterResource).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from local_aws.lakeformation.lf_accounts import bucket_owner, principal_exists
from local_aws.lakeformation.lf_model import invalid, is_below, not_found, s3_path
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.wire import AwsError

PAGE = 1_000
LONGEST_PATH = 700
DEEPEST_PATH = 20
SERVICE_LINKED_ROLE = "role/aws-service-role/lakeformation.amazonaws.com/AWSServiceRoleForLakeFormationDataAccess"


@dataclass(frozen=True)
class Location:
    """A path registered in one account's catalogue, and the role that reads and writes there."""

    path: str
    role_arn: str
    modified: datetime
    hybrid: bool = False
    """Whether Lake Formation guards it only for those who were opted in."""


class Locations:
    """The registered locations of all accounts: they cover everything below them."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._registered: dict[str, dict[str, Location]] = {}

    def covering(self, path: str, account: str | None = None) -> Location | None:
        """The longest registered location that a path lies in, in one account's catalogue or in any."""
        found = [
            location
            for owner, locations in self._registered.items()
            if account in (None, owner)
            for location in locations.values()
            if is_below(path.rstrip("/"), location.path)
        ]
        return max(found, key=lambda location: len(location.path), default=None)

    # -- API ----------------------------------------------------------------------------------------------------

    def register(self, caller: Any, arn: str, service_linked: bool, role_arn: str | None, hybrid: bool) -> dict:
        """RegisterResource.

        AlreadyExistsException for a path that is registered; InvalidInputException for a location that is not S3, no
        role or both kinds of role, a role that is not there, or another account's bucket with the service-linked role.
        """
        path = s3_path(arn)
        if len(path) > LONGEST_PATH or path.count("/") > DEEPEST_PATH:
            raise invalid(f"a registered path has at most {LONGEST_PATH} characters and {DEEPEST_PATH} folders")
        if bool(role_arn) == bool(service_linked):
            raise invalid("RegisterResource needs either UseServiceLinkedRole or RoleArn")
        if path in self._of(caller.account):
            raise AwsError("AlreadyExistsException", f"Resource already exists: {arn}")
        role = role_arn or f"arn:aws:iam::{caller.account}:{SERVICE_LINKED_ROLE}"
        if service_linked:
            self._check_service_linked(caller.account, path)
        else:
            self._check_role(caller.account, role)
        self._of(caller.account)[path] = Location(path, role, self._world.now(), hybrid)
        return {}

    def update(self, caller: Any, arn: str, role_arn: str, hybrid: bool | None) -> dict:
        """UpdateResource: another role for a registered path, and whether it is in hybrid mode (None: as before).

        EntityNotFoundException; InvalidInputException for a role that is not there, or a path that is registered with
        the service-linked role.
        """
        location = self._get(caller.account, arn)
        if location.role_arn.endswith(SERVICE_LINKED_ROLE):
            raise invalid(f"{arn} is registered with the service-linked role: deregister it and register it again")
        self._check_role(caller.account, role_arn)
        mode = location.hybrid if hybrid is None else hybrid
        changed = replace(location, role_arn=role_arn, hybrid=mode, modified=self._world.now())
        self._of(caller.account)[location.path] = changed
        return {}

    def deregister(self, caller: Any, arn: str) -> dict:
        """DeregisterResource. EntityNotFoundException."""
        del self._of(caller.account)[self._get(caller.account, arn).path]
        return {}

    def describe(self, caller: Any, arn: str) -> dict:
        """DescribeResource. EntityNotFoundException."""
        return {"ResourceInfo": _to_api(self._get(caller.account, arn))}

    def list(self, caller: Any, token: str | None, wanted: int | None) -> dict:
        """ListResources, without filters."""
        locations = sorted(self._of(caller.account).values(), key=lambda location: location.path)
        shown, following = page(locations, token, wanted, PAGE)
        return with_token({"ResourceInfoList": [_to_api(location) for location in shown]}, following)

    # -- checks -------------------------------------------------------------------------------------------------

    def _of(self, account: str) -> dict[str, Location]:
        return self._registered.setdefault(account, {})

    def _get(self, account: str, arn: str) -> Location:
        location = self._of(account).get(s3_path(arn))
        if location is None:
            raise not_found(f"Entity not found: {arn} is not registered")
        return location

    def _check_role(self, account: str, role_arn: str) -> None:
        if not role_arn.startswith(f"arn:aws:iam::{account}:role/") or not principal_exists(self._world, role_arn):
            raise invalid(f"RoleArn {role_arn} is no role of account {account}")

    def _check_service_linked(self, account: str, path: str) -> None:
        bucket = path.split("/")[0]
        if bucket_owner(self._world, bucket) != account:
            raise invalid(
                f"The service-linked role cannot register {path}: bucket {bucket} is not in account {account}. "
                "Register it with a role that the bucket's policy admits."
            )


def _to_api(location: Location) -> dict[str, Any]:
    return {
        "ResourceArn": f"arn:aws:s3:::{location.path}",
        "RoleArn": location.role_arn,
        "LastModified": location.modified,
        "WithFederation": False,
        "HybridAccessEnabled": location.hybrid,
        "WithPrivilegedAccess": False,
    }
