"""Data lake settings: administrators, default permissions, cross-account version.

Sources: the Lake Formation developer guide ("Changing the default settings for your data lake", "Updating cross-account
data sharing version settings") and the service model (DataLakeSettings).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local_aws.lakeformation.lf_accounts import principal_exists
from local_aws.lakeformation.lf_model import IAM_ALLOWED, invalid, is_account, principal_from_api, refused

IAM_ONLY = ({"Principal": {"DataLakePrincipalIdentifier": IAM_ALLOWED}, "Permissions": ["ALL"]},)
"""The one default permission there is: IAM alone decides about what is created."""

PARAMETERS = {
    "CROSS_ACCOUNT_VERSION": ("1", "2", "3", "4", "5"),
    "SET_CONTEXT": ("TRUE", "FALSE"),
    "SET_SOURCE_IDENTITY": ("TRUE", "FALSE"),
}
EXTERNAL_ENGINES = (
    "AllowExternalDataFiltering",
    "AllowFullTableExternalDataAccess",
    "ExternalDataFilteringAllowList",
    "AuthorizedSessionTagValueList",
)
"""Settings for engines outside AWS, taken only as a fresh account has them: false or empty."""


@dataclass(frozen=True)
class Settings:
    """One account's data lake settings.

    The defaults are those of a fresh account: no administrators, IAM alone decides about new databases and tables,
    cross-account version 1 ("if you select version 1, Lake Formation uses the default resource sharing mode").
    """

    admins: tuple[str, ...] = ()
    read_only_admins: tuple[str, ...] = ()
    database_defaults: tuple[dict, ...] = IAM_ONLY
    table_defaults: tuple[dict, ...] = IAM_ONLY
    parameters: dict[str, str] = field(default_factory=lambda: {"CROSS_ACCOUNT_VERSION": "1", "SET_CONTEXT": "TRUE"})
    trusted_owners: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """The cross-account version that new grants are made with."""
        return int(self.parameters["CROSS_ACCOUNT_VERSION"])


def checked_defaults(permissions: list[dict] | None, name: str) -> tuple[dict, ...]:
    """Default permissions: an empty list (also when absent), or ALL to IAM_ALLOWED_PRINCIPALS and nothing else."""
    if not permissions:
        return ()
    only = permissions[0]
    principal = only.get("Principal", {}).get("DataLakePrincipalIdentifier", "")
    if len(permissions) > 1 or principal.upper() != IAM_ALLOWED or only.get("Permissions") != ["ALL"]:
        raise invalid(f"{name}: the only permitted values are an empty list or ALL to {IAM_ALLOWED}")
    return IAM_ONLY


def settings_from_api(world: Any, account: str, shape: dict[str, Any], before: Settings) -> Settings:
    """The settings that replace `before`: lists that are absent become empty, as the API replaces the whole.

    Parameters that are absent keep their value. Raises InvalidInputException for an administrator that is no IAM
    principal of the account, an unknown parameter, or a way back from version 5.
    """
    if unbuilt := [name for name in EXTERNAL_ENGINES if shape.get(name)]:
        raise refused(f"data lake settings {', '.join(unbuilt)}: engines outside AWS are not built here")
    parameters = dict(before.parameters)
    for key, value in (shape.get("Parameters") or {}).items():
        if key not in PARAMETERS:
            raise invalid(f"Invalid parameter key {key}. Valid Parameters Keys are: [CROSS_ACCOUNT_VERSION]")
        if value not in PARAMETERS[key]:
            raise invalid(f"Invalid value {value} of parameter {key}: it must be one of {', '.join(PARAMETERS[key])}")
        parameters[key] = value
    if before.version == 5 and parameters["CROSS_ACCOUNT_VERSION"] != "5":
        raise invalid("CROSS_ACCOUNT_VERSION 5 cannot be changed back to an earlier version")
    owners = tuple(shape.get("TrustedResourceOwners") or ())
    if not all(is_account(owner) for owner in owners):
        raise invalid("TrustedResourceOwners must be account ids")
    return Settings(
        admins=_administrators(world, account, shape.get("DataLakeAdmins")),
        read_only_admins=_administrators(world, account, shape.get("ReadOnlyAdmins")),
        database_defaults=checked_defaults(
            shape.get("CreateDatabaseDefaultPermissions"), "CreateDatabaseDefaultPermissions"
        ),
        table_defaults=checked_defaults(shape.get("CreateTableDefaultPermissions"), "CreateTableDefaultPermissions"),
        parameters=parameters,
        trusted_owners=owners,
    )


def _administrators(world: Any, account: str, shapes: list[dict] | None) -> tuple[str, ...]:
    principals = tuple(dict.fromkeys(principal_from_api(shape) for shape in shapes or ()))
    for principal in principals:
        if not principal.startswith(f"arn:aws:iam::{account}:") or not principal_exists(world, principal):
            raise invalid(f"Invalid principal: {principal} is no IAM user or role of account {account}")
    return principals


def settings_to_api(settings: Settings) -> dict[str, Any]:
    """The DataLakeSettings shape of an account's settings."""
    return {
        "DataLakeAdmins": [{"DataLakePrincipalIdentifier": principal} for principal in settings.admins],
        "ReadOnlyAdmins": [{"DataLakePrincipalIdentifier": principal} for principal in settings.read_only_admins],
        "CreateDatabaseDefaultPermissions": list(settings.database_defaults),
        "CreateTableDefaultPermissions": list(settings.table_defaults),
        "Parameters": dict(settings.parameters),
        "TrustedResourceOwners": list(settings.trusted_owners),
        "AllowExternalDataFiltering": False,
        "ExternalDataFilteringAllowList": [],
        "AuthorizedSessionTagValueList": [],
    }
