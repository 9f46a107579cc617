"""Sharing across accounts: what may be granted to another account, and the RAM shares that carry it.

Sources: the Lake Formation developer guide ("Cross-account data sharing best practices and considerations",
"Prerequisites", "Updating cross-account data sharing version settings", "Granting permissions on LF-Tags").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local_aws.lakeformation.lf_grants import GrantStore
from local_aws.lakeformation.lf_model import (
    IAM_ALLOWED,
    CatalogResource,
    ColumnsResource,
    DatabaseResource,
    LocationResource,
    PolicyResource,
    Resource,
    TableResource,
    TagResource,
    account_of,
    denied,
    invalid,
    is_account,
    refused,
)
from local_aws.lakeformation.lf_settings import Settings

ILLEGAL_COMBINATION = "Insufficient Lake Formation permissions: Illegal combination"


class Sharing:
    """Grants that cross accounts. `find` looks up a database of a catalogue, or None."""

    def __init__(
        self,
        world: Any,
        settings: Callable[[str], Settings],
        grants: GrantStore,
        find: Callable[[str, str], Any],
    ) -> None:
        self._world = world
        self._settings = settings
        self._grants = grants
        self._find = find

    # -- what an owner may grant to another account ----------------------------------------------------------------

    def check_external(
        self, principal: str, resource: Resource, permissions: frozenset[str], grantable: frozenset[str]
    ) -> None:
        """Check a grant by the owner of `resource` to another account or a principal of one.

        Raises InvalidInputException for what AWS does not let cross accounts, AccessDeniedException "Illegal
        combination" while IAM_ALLOWED_PRINCIPALS has access to the resource.
        """
        owner, recipient = resource.catalog, account_of(principal)
        version = self._settings(owner).version
        if isinstance(resource, CatalogResource):
            raise invalid("permissions on a catalogue cannot be granted to another account")
        if principal.endswith(":IAMPrincipals"):
            raise invalid("IAMPrincipals of another account cannot be granted permissions: grant them to the account")
        if not is_account(principal):
            self._check_direct(resource, grantable, version)
        on_database = isinstance(resource, DatabaseResource) or getattr(resource, "kind", None) == "DATABASE"
        if on_database and permissions & {"DROP", "ALL"}:
            raise invalid("DROP and ALL on a database cannot be granted to an external account")
        if isinstance(resource, TagResource) and not permissions <= {"DESCRIBE", "ASSOCIATE"}:
            raise invalid("across accounts only DESCRIBE and ASSOCIATE on an LF-Tag can be granted")
        if isinstance(resource, TagResource | PolicyResource) and version < 3:
            self._refuse_old_version(recipient)
        if self._iam_allowed_on(resource):
            raise denied(f"{ILLEGAL_COMBINATION}: revoke all permissions of {IAM_ALLOWED} on the resource first")

    @staticmethod
    def _check_direct(resource: Resource, grantable: frozenset[str], version: int) -> None:
        """A grant straight to an IAM principal of another account."""
        if version < 3:
            raise invalid(
                "Invalid cross account grant request: granting to an IAM principal of another account needs "
                "CROSS_ACCOUNT_VERSION 3 or higher"
            )
        if grantable:
            raise invalid("the grant option cannot be given to an IAM principal of another account")
        if isinstance(resource, TagResource):
            raise invalid("across accounts LF-Tags are granted to accounts, not to their IAM principals")

    def _refuse_old_version(self, recipient: str) -> None:
        theirs = self._settings(recipient).version
        if theirs >= 3:
            raise invalid(
                "Invalid cross account grant request. Consumer account has opt-in to cross account version: "
                f"v{theirs}. Please update `CrossAccountVersion` in `DataLakeSetting` to minimal version v3"
            )
        raise refused(
            "LF-Tag grants to other accounts with CROSS_ACCOUNT_VERSION 1 or 2 work by Data Catalog resource policies, "
            "which are not built here: set version 3 or higher"
        )

    def _iam_allowed_on(self, resource: Resource) -> bool:
        """Whether IAM_ALLOWED_PRINCIPALS has access to a named resource; a policy is judged when it is used."""
        match resource:
            case DatabaseResource():
                return self._grants.iam_allowed(resource)
            case TableResource(catalog, database, name) | ColumnsResource(catalog, database, name):
                found = self._find(catalog, database)
                names = [name] if name else (list(found.tables) if found else [])
                tables = [TableResource(catalog, database, table) for table in names]
                return any(map(self._grants.iam_allowed, [DatabaseResource(catalog, database), *tables]))
        return False

    # -- RAM shares ------------------------------------------------------------------------------------------------

    def shared(self, owner: str, kind: str, recipient: str) -> bool:
        """Whether a share of `owner`'s `database`s or `table`s has reached an account, or a principal granted to
        directly."""
        return self._world.engines["ram"].reaches(owner, kind, recipient)

    def shares(self, owner: str, recipient: str) -> list[str]:
        """The ARNs of the live shares that carry an owner's grants to a recipient."""
        return self._world.engines["ram"].share_arns(owner, recipient)

    def reconcile(self, owner: str, recipient: str) -> None:
        """Make the RAM shares fit the owner's grants to an account or external principal.

        Two shares a recipient, one for databases and one for tables, made with the first grant; a share that was
        rejected, expired or blocked is made anew. With no grant left they are deleted. Named grants below version 5
        share what they name, LF-Tag policies and version 5 share by wildcard.
        """
        region, databases, tables = self._world.region, set(), set()
        prefix = f"arn:aws:glue:{region}:{owner}"
        version = self._settings(owner).version
        for grant in self._grants.of(owner, (recipient,), owner):
            match grant.resource:
                case TagResource() | LocationResource() | CatalogResource():
                    continue
                case PolicyResource():
                    names = ("*", "*")
                case DatabaseResource(_, name):
                    names = (name, "*")
                case TableResource(_, database, name) | ColumnsResource(_, database, name):
                    names = (database, name or "*")
            database, table = ("*", "*") if version == 5 else names
            databases.add(f"{prefix}:database/{database}")
            tables.add(f"{prefix}:table/{database}/{table}")
        allowed = self._world.engines["glue"].policies.admits_ram(owner)
        for kind, arns in (("database", databases), ("table", tables)):
            self._world.engines["ram"].reconcile(owner, recipient, kind, sorted(arns), version, allowed)
