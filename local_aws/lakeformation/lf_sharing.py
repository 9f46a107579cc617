"""Sharing across accounts: what may be granted to another account, and the RAM shares that carry it.

Sources: the Lake Formation developer guide ("Cross-account data sharing best practices and considerations",
"Prerequisites", "Updating cross-account data sharing version settings", "Granting permissions on LF-Tags", "Granting
data location permissions (external account)").

Lake Formation makes its shares as the granting caller. Choices where the guide is silent: a grant that makes a share
needs `ram:CreateResourceShare`, one that finds a share `ram:AssociateResourceShare`, and revoking
`ram:DisassociateResourceShare`; a grant to the IAMPrincipals of another account is shared with that account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local_aws.access import authorization
from local_aws.access.need import Need
from local_aws.lakeformation.lf_accounts import may_share_with
from local_aws.lakeformation.lf_grants import GrantStore
from local_aws.lakeformation.lf_hybrid import OptIns
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
    group_of,
    invalid,
    is_account,
    is_organization,
    refused,
)
from local_aws.lakeformation.lf_settings import Settings
from local_aws.lakeformation.ram import RESOURCE_TYPES

ILLEGAL_COMBINATION = "Insufficient Lake Formation permissions: Illegal combination"


class Sharing:
    """Grants that cross accounts. `find` looks up a database of a catalogue, or None."""

    def __init__(
        self,
        world: Any,
        settings: Callable[[str], Settings],
        grants: GrantStore,
        find: Callable[[str, str], Any],
        opt_ins: OptIns,
    ) -> None:
        self._world = world
        self._opt_ins = opt_ins
        self._settings = settings
        self._grants = grants
        self._find = find

    # -- what an owner may grant to another account ----------------------------------------------------------------

    def check_external(
        self, caller: Any, principal: str, resource: Resource, permissions: frozenset[str], grantable: frozenset[str]
    ) -> None:
        """Check a grant by the owner of `resource` to another account or principals of one.

        Raises InvalidInputException for what AWS does not let cross accounts, AccessDeniedException "Illegal
        combination" while IAM_ALLOWED_PRINCIPALS has access to the resource (unless it is in hybrid mode), or for a
        caller whom IAM does not let share it through RAM.
        """
        owner, recipient = resource.catalog, account_of(principal)
        version = self._settings(owner).version
        if isinstance(resource, CatalogResource):
            raise invalid("permissions on a catalogue cannot be granted to another account")
        if is_organization(principal):
            self._check_organization(owner, principal, resource, version)
        elif not is_account(principal):
            self._check_direct(resource, grantable, version)
        on_database = isinstance(resource, DatabaseResource) or getattr(resource, "kind", None) == "DATABASE"
        if on_database and permissions & {"DROP", "ALL"}:
            raise invalid("DROP and ALL on a database cannot be granted to an external account")
        if isinstance(resource, TagResource) and not permissions <= {"DESCRIBE", "ASSOCIATE"}:
            raise invalid("across accounts only DESCRIBE and ASSOCIATE on an LF-Tag can be granted")
        if isinstance(resource, TagResource | PolicyResource) and version < 3:
            self._refuse_old_version(recipient)
        if self._iam_allowed_on(resource) and not self._opt_ins.may_be_shared(resource):
            raise denied(f"{ILLEGAL_COMBINATION}: revoke all permissions of {IAM_ALLOWED} on the resource first")
        if _named(resource):
            self._check_may_share(caller, owner, principal)

    def _check_organization(self, owner: str, principal: str, resource: Resource, version: int) -> None:
        """A grant to an organization or organizational unit: not by LF-Tags before version 3, and only where RAM
        shares with the unit. Data locations, and older versions' named resources, are not built."""
        if isinstance(resource, TagResource | PolicyResource) and version < 3:
            raise invalid(
                "Invalid cross account grant request: granting by LF-Tags to organizations and organizational units "
                "needs CROSS_ACCOUNT_VERSION 3 or higher"
            )
        if version < 3 or isinstance(resource, LocationResource):
            raise refused("this grant to an organization or organizational unit is not built here")
        if not may_share_with(self._world, owner, principal):
            raise invalid(
                f"Invalid principal: {principal} is not of the organization of account {owner}, or sharing with "
                "AWS Organizations is not enabled in AWS RAM"
            )

    def check_unshare(self, caller: Any, owner: str, principal: str) -> None:
        """Check that IAM lets the owner's caller take from a share. AccessDeniedException."""
        for share in self._world.engines["ram"].live(owner, recipient_of(principal)):
            self._check_ram(caller, "DisassociateResourceShare", share.arn, {"ram:ResourceShareName": share.name})

    def _check_may_share(self, caller: Any, owner: str, principal: str) -> None:
        shares = self._world.engines["ram"].live(owner, recipient_of(principal))
        for share in shares:
            self._check_ram(caller, "AssociateResourceShare", share.arn, {"ram:ResourceShareName": share.name})
        for kind in RESOURCE_TYPES.keys() - {share.kind for share in shares}:
            self._check_ram(caller, "CreateResourceShare", "*", {"ram:RequestedResourceType": RESOURCE_TYPES[kind]})

    def _check_ram(self, caller: Any, operation: str, resource: str, keys: dict[str, str]) -> None:
        authorization.authorize(self._world, caller, "ram", [Need(f"ram:{operation}", resource, keys)])

    @staticmethod
    def _check_direct(resource: Resource, grantable: frozenset[str], version: int) -> None:
        """A grant straight to IAM principals of another account."""
        if version < 3:
            raise invalid(
                "Invalid cross account grant request: granting to IAM principals of another account needs "
                "CROSS_ACCOUNT_VERSION 3 or higher"
            )
        if grantable:
            raise invalid("the grant option cannot be given to IAM principals of another account")
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
        """Whether a share of `owner`'s `database`s or `table`s has reached an account, or principals granted to
        directly."""
        return self._world.engines["ram"].reaches(owner, kind, recipient_of(recipient))

    def reaching(self, owner: str, kind: str, account: str) -> list[str]:
        """The account, and the organizations and units that it is in, as far as a share of `owner`'s `database`s or
        `table`s with each is there and accepted."""
        ram = self._world.engines["ram"]
        return [each for each in ram.recipients(owner, account) if ram.reaches(owner, kind, each)]

    def shares(self, owner: str, recipient: str) -> list[str]:
        """The ARNs of the live shares that carry an owner's grants to a recipient."""
        return [share.arn for share in self._world.engines["ram"].live(owner, recipient_of(recipient))]

    def reconcile(self, owner: str, principal: str) -> None:
        """Make the RAM shares fit the owner's grants to an account or external principals.

        Databases and tables are shared apart, from the first grant on; a share that was rejected, expired or blocked is
        made anew. With no grant left they are deleted. Named grants below version 5 share what they name, LF-Tag
        policies and version 5 share by wildcard. What was deleted before its grants were revoked stays shared: an
        orphan.
        """
        recipient, version = recipient_of(principal), self._settings(owner).version
        ram = self._world.engines["ram"]
        wanted = {"database": set(), "table": set()}
        for share in ram.live(owner, recipient):
            wanted[share.kind] |= {arn for arn in share.resources if self._is_orphan(arn)}
        grantees = (recipient, group_of(recipient)) if is_account(recipient) else (recipient,)
        for grant in self._grants.of(owner, grantees, owner):
            if named := _named(grant.resource):
                database, table = ("*", "*") if version == 5 else named
                wanted["database"].add(self._arn(owner, f"database/{database}"))
                wanted["table"].add(self._arn(owner, f"table/{database}/{table}"))
        allowed = self._world.engines["glue"].policies.admits_ram(owner)
        for kind, arns in wanted.items():
            ram.reconcile(owner, recipient, kind, sorted(arns), version, allowed)

    def _arn(self, owner: str, resource: str) -> str:
        return f"arn:aws:glue:{self._world.region}:{owner}:{resource}"

    def _is_orphan(self, arn: str) -> bool:
        """Whether a shared database or table is not there any more."""
        owner, (kind, database, *table) = arn.split(":")[4], arn.split(":")[5].split("/")
        if database == "*":
            return False
        found = self._find(owner, database)
        return found is None or (kind == "table" and table != ["*"] and table[0] not in found.tables)


def recipient_of(principal: str) -> str:
    """Whom RAM shares with for a grant: the principal itself, or the account for the group of its IAM principals."""
    return account_of(principal) if principal == group_of(account_of(principal)) else principal


def _named(resource: Resource) -> tuple[str, str] | None:
    """The database and the table that a grant shares, `*` for all; None for what RAM does not share."""
    match resource:
        case PolicyResource():
            return "*", "*"
        case DatabaseResource(_, name):
            return name, "*"
        case TableResource(_, database, name) | ColumnsResource(_, database, name):
            return database, name or "*"
    return None
