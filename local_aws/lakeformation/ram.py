"""AWS RAM, as far as Lake Formation uses it: its resource shares, invitations and associations.

Lake Formation makes the shares (lf_sharing.py); accounts read, accept and reject them here. Shares of one's own making
are not built. Sources: the RAM user guide ("Enable resource sharing within AWS Organizations"), the Lake Formation
developer guide ("Accepting a resource share invitation", "Updating cross-account data sharing version settings"), and
the service model.

Choices where they are silent: one accepted share of a kind lets through all that its owner granted to the recipient of
that kind; a share that was rejected, expired or blocked stays as it is, and the next grant makes another.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_aws.lakeformation.lf_accounts import covers
from local_aws.lakeformation.lf_locking import serialized
from local_aws.lakeformation.lf_model import account_of, is_account, is_organization, refused
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.wire import AwsError

PAGE = 500
INVITATION_LIFE = timedelta(hours=12)
"""Of invitations to Glue resource types; others live 7 days."""
RESOURCE_TYPES = {"database": "glue:Database", "table": "glue:Table"}


@dataclass
class Share:
    """One resource share: resources of one kind of an owner, with one principal.

    `status` is that of the principal's association: ASSOCIATING until the invitation is accepted, ASSOCIATED,
    DISASSOCIATED (share deleted, invitation rejected) or FAILED (a resource policy of the owner blocks RAM).
    """

    arn: str
    name: str
    owner: str
    principal: str
    kind: str
    created: datetime
    updated: datetime
    external: bool
    status: str
    message: str = ""
    deleted: bool = False
    resources: dict[str, datetime] = field(default_factory=dict)


@dataclass
class Invitation:
    arn: str
    share: Share
    receiver: str
    sent: datetime
    answer: str = "PENDING"


@serialized
class Ram:
    """The RAM service of all accounts."""

    service = "ram"

    def __init__(self, world: Any) -> None:
        self.world = world
        self._shares: list[Share] = []
        self._invitations: list[Invitation] = []

    # -- for Lake Formation ---------------------------------------------------------------------------------------

    def reconcile(
        self, owner: str, principal: str, kind: str, resources: list[str], version: int, allowed: bool
    ) -> None:
        """Make the live shares of `kind` (`database`, `table`) hold exactly `resources`; delete those that hold none.

        Version 1 makes a share for each resource, later versions put all into one. `allowed`: no resource policy of
        the owner's catalogue keeps RAM from sharing. Within one organization that has RAM sharing enabled a new share
        is associated at once, otherwise the recipient is invited.
        """
        now = self.world.now()
        live = [share for share in self._shares if self._carries(share, owner, principal, kind)]
        for share in live:
            kept = {arn: since for arn, since in share.resources.items() if arn in resources}
            if kept != share.resources:
                share.resources, share.updated = kept, now
        missing = [arn for arn in resources if not any(arn in share.resources for share in live)]
        for arn in missing:
            if version == 1 or not live:
                live.append(self._create(owner, principal, kind, version, allowed))
            live[-1].resources[arn] = live[-1].updated = now
        for share in live:
            if not share.resources:
                share.deleted, share.status, share.updated = True, "DISASSOCIATED", now

    def reaches(self, owner: str, kind: str, principal: str) -> bool:
        """Whether an owner's share of `kind` is associated with an account id or an IAM ARN."""
        return any(
            self._carries(share, owner, principal, kind) and share.status == "ASSOCIATED" for share in self._shares
        )

    def recipients(self, owner: str, account: str) -> list[str]:
        """Whom an owner shares with, of the account itself and the organizations and units that it is in."""
        shared = {share.principal for share in self._shares if share.owner == owner and not share.deleted}
        return [account, *sorted(each for each in shared - {account} if covers(self.world, each, account))]

    def live(self, owner: str, principal: str) -> list[Share]:
        """The live shares from an owner to a principal, those of databases first."""
        return [s for kind in RESOURCE_TYPES for s in self._shares if self._carries(s, owner, principal, kind)]

    def has_shares(self, owner: str) -> bool:
        """Whether an owner's grants are shared through RAM now."""
        return any(share.owner == owner and not share.deleted for share in self._shares)

    def _carries(self, share: Share, owner: str, principal: str, kind: str) -> bool:
        if (share.owner, share.principal, share.kind) != (owner, principal, kind) or share.deleted:
            return False
        return share.status == "ASSOCIATED" or share.status == "ASSOCIATING" and not self._expired(share)

    def _create(self, owner: str, principal: str, kind: str, version: int, allowed: bool) -> Share:
        now, identity, recipient = self.world.now(), str(uuid.uuid4()), account_of(principal)
        inside = is_organization(principal) or self._same_organization(owner, recipient)
        share = Share(
            arn=f"arn:aws:ram:{self.world.region}:{owner}:resource-share/{identity}",
            name=f"LakeFormation-V{version}-{identity[:8].upper()}",
            owner=owner,
            principal=principal,
            kind=kind,
            created=now,
            updated=now,
            external=not inside,
            status="ASSOCIATED" if inside else "ASSOCIATING",
        )
        self._shares.append(share)
        if not allowed:
            share.status = "FAILED"
            share.message = (
                "The resource policy of the Data Catalog does not allow ram.amazonaws.com glue:ShareResource"
            )
        elif not inside:
            arn = f"arn:aws:ram:{self.world.region}:{owner}:resource-share-invitation/{uuid.uuid4()}"
            self._invitations.append(Invitation(arn, share, recipient, now))
        return share

    def _same_organization(self, owner: str, recipient: str) -> bool:
        organization = self.world.organization
        return bool(organization.get("ram_sharing")) and {owner, recipient} <= set(organization.get("members", ()))

    def _expired(self, share: Share) -> bool:
        return any(i.share is share and self._status(i) == "EXPIRED" for i in self._invitations)

    def _status(self, invitation: Invitation) -> str:
        if invitation.answer == "PENDING" and self.world.now() >= invitation.sent + INVITATION_LIFE:
            return "EXPIRED"
        return invitation.answer

    # -- invitations ------------------------------------------------------------------------------------------------

    def GetResourceShareInvitations(self, caller: Any, **params: Any) -> dict:
        """The invitations that the caller's account received and whose share still exists."""
        invitations = [i for i in self._invitations if i.receiver == caller.account and not i.share.deleted]
        if arns := _arns(params, "resourceShareInvitationArns"):
            invitations = [i for i in invitations if i.arn in arns]
            missing = set(arns) - {i.arn for i in invitations}
            if missing:
                raise _no_invitation(sorted(missing)[0])
        if arns := _arns(params, "resourceShareArns"):
            invitations = [i for i in invitations if i.share.arn in arns]
        shown, following = _page(invitations, params)
        answer = {"resourceShareInvitations": [self._invitation_to_api(i) for i in shown]}
        return with_token(answer, following, "nextToken")

    def AcceptResourceShareInvitation(self, caller: Any, **params: Any) -> dict:
        """Accept an invitation: the share is associated."""
        return self._answer(caller, params, "ACCEPTED", "ASSOCIATED")

    def RejectResourceShareInvitation(self, caller: Any, **params: Any) -> dict:
        """Reject an invitation: only another grant sends a new one."""
        return self._answer(caller, params, "REJECTED", "DISASSOCIATED")

    def _answer(self, caller: Any, params: dict, answer: str, status: str) -> dict:
        (arn,) = _arns(params, "resourceShareInvitationArn")
        mine = (i for i in self._invitations if i.arn == arn and i.receiver == caller.account and not i.share.deleted)
        invitation = next(mine, None)
        if invitation is None:
            raise _no_invitation(arn)
        current = self._status(invitation)
        if current != "PENDING":
            code = {
                "ACCEPTED": "ResourceShareInvitationAlreadyAcceptedException",
                "REJECTED": "ResourceShareInvitationAlreadyRejectedException",
                "EXPIRED": "ResourceShareInvitationExpiredException",
            }[current]
            raise AwsError(code, f"Invitation {arn} is {current.lower()}")
        invitation.answer, invitation.share.status = answer, status
        invitation.share.updated = self.world.now()
        result = {"resourceShareInvitation": self._invitation_to_api(invitation)}
        return with_token(result, params.get("clientToken"), "clientToken")

    def _invitation_to_api(self, invitation: Invitation) -> dict:
        share = invitation.share
        shape = {
            "resourceShareInvitationArn": invitation.arn,
            "resourceShareName": share.name,
            "resourceShareArn": share.arn,
            "senderAccountId": share.owner,
            "receiverAccountId": invitation.receiver,
            "invitationTimestamp": invitation.sent,
            "status": self._status(invitation),
        }
        if not is_account(share.principal):
            shape["receiverArn"] = share.principal
        return shape

    # -- shares -----------------------------------------------------------------------------------------------------

    def GetResourceShares(self, caller: Any, **params: Any) -> dict:
        """Shares that the account owns (SELF, deleted ones too) or that reached it (OTHER-ACCOUNTS)."""
        shares = self._seen(caller, params)
        if arns := _arns(params, "resourceShareArns"):
            shares = [share for share in shares if share.arn in arns]
            if len(shares) < len(set(arns)):
                raise AwsError("UnknownResourceException", "a resource share does not exist or is not visible")
        if name := params.get("name"):
            shares = [share for share in shares if share.name == name]
        if status := params.get("resourceShareStatus"):
            shares = [share for share in shares if _share_status(share) == status]
        shown, following = _page(shares, params)
        return with_token({"resourceShares": [_share_to_api(s) for s in shown]}, following, "nextToken")

    def ListResources(self, caller: Any, **params: Any) -> dict:
        """The Glue resources in live shares of or to the account. LF-Tag policies share by wildcard."""
        kind_of = {name: kind for kind, name in RESOURCE_TYPES.items()}
        wanted = params.get("resourceType")
        if wanted and wanted not in kind_of:
            raise AwsError("InvalidResourceTypeException", f"{wanted}: shares here hold {' and '.join(kind_of)}")
        items = []
        for share in self._seen(caller, params):
            fits_type = not wanted or share.kind == kind_of[wanted]
            fits_share = share.arn in params.get("resourceShareArns", [share.arn])
            fits_principal = params.get("principal", share.principal) == share.principal
            if share.deleted or not (fits_type and fits_share and fits_principal):
                continue
            items += [
                {
                    "arn": arn,
                    "type": RESOURCE_TYPES[share.kind],
                    "resourceShareArn": share.arn,
                    "creationTime": created,
                    "lastUpdatedTime": share.updated,
                    "resourceRegionScope": "REGIONAL",
                }
                for arn, created in share.resources.items()
                if arn in params.get("resourceArns", [arn])
            ]
        shown, following = _page(items, params)
        return with_token({"resources": shown}, following, "nextToken")

    def ListPrincipals(self, caller: Any, **params: Any) -> dict:
        """The principals of live shares: those shared with (SELF), or the owners that share (OTHER-ACCOUNTS)."""
        own = params["resourceOwner"] == "SELF"
        items = []
        for share in self._seen(caller, params):
            principal = share.principal if own else share.owner
            fits_share = share.arn in params.get("resourceShareArns", [share.arn])
            fits_resource = params.get("resourceArn") in (None, *share.resources)
            if share.deleted or not (fits_share and fits_resource):
                continue
            if principal in params.get("principals", [principal]):
                items.append(
                    {
                        "id": principal,
                        "resourceShareArn": share.arn,
                        "creationTime": share.created,
                        "lastUpdatedTime": share.updated,
                        "external": share.external,
                    }
                )
        shown, following = _page(items, params)
        return with_token({"principals": shown}, following, "nextToken")

    def GetResourceShareAssociations(self, caller: Any, **params: Any) -> dict:
        """Resource or principal associations of the shares that the account owns."""
        kind = params["associationType"]
        if kind == "SOURCE":
            raise refused("associations of type SOURCE are not built here")
        if ("resourceArn" if kind == "PRINCIPAL" else "principal") in params:
            raise AwsError("InvalidParameterException", f"resourceArn and principal: not with associationType {kind}")
        items = []
        for share in self._shares:
            wanted = share.arn in params.get("resourceShareArns", [share.arn])
            if share.owner != caller.account or not wanted:
                continue
            entities = {share.principal: share.created} if kind == "PRINCIPAL" else share.resources
            chosen = params.get("principal" if kind == "PRINCIPAL" else "resourceArn")
            status = _association_status(share, kind)
            if status != params.get("associationStatus", status):
                continue
            items += [
                {
                    "resourceShareArn": share.arn,
                    "resourceShareName": share.name,
                    "associatedEntity": entity,
                    "associationType": kind,
                    "status": status,
                    "statusMessage": share.message,
                    "creationTime": created,
                    "lastUpdatedTime": share.updated,
                    "external": share.external,
                }
                for entity, created in entities.items()
                if chosen in (None, entity)
            ]
        shown, following = _page(items, params)
        return with_token({"resourceShareAssociations": shown}, following, "nextToken")

    def EnableSharingWithAwsOrganization(self, caller: Any, **params: Any) -> dict:
        """Share within the organization without invitations from now on.

        On AWS only the management account may; the organization here names its `management` account or any member
        stands for it. OperationNotPermittedException outside an organization.
        """
        organization = self.world.organization
        members = organization.get("members", ())
        if caller.account not in members or organization.get("management", caller.account) != caller.account:
            message = "only the management account of an organization can enable sharing"
            raise AwsError("OperationNotPermittedException", message)
        organization["ram_sharing"] = True
        return {"returnValue": True}

    def _seen(self, caller: Any, params: dict) -> list[Share]:
        """The shares of the account itself or those that other accounts' owners have associated with it."""
        if params["resourceOwner"] == "SELF":
            return [share for share in self._shares if share.owner == caller.account]
        return [
            share
            for share in self._shares
            if share.status == "ASSOCIATED"
            and (share.principal == caller.principal or covers(self.world, share.principal, caller.account))
        ]


def _page(items: list, params: dict) -> tuple[list, str | None]:
    return page(items, params.get("nextToken"), params.get("maxResults"), PAGE, "InvalidNextTokenException")


def _arns(params: dict, name: str) -> list[str]:
    """The ARNs of RAM in a parameter, of one or of many. MalformedArnException."""
    given = params.get(name) or []
    arns = [given] if isinstance(given, str) else given
    for arn in arns:
        if not re.fullmatch(r"arn:aws:ram:[\w-]+:\d{12}:[\w-]+/[\w-]+", arn):
            raise AwsError("MalformedArnException", f"{arn} is no ARN of a resource share or invitation")
    return arns


def _no_invitation(arn: str) -> AwsError:
    return AwsError("ResourceShareInvitationArnNotFoundException", f"Invitation {arn} could not be found")


def _share_status(share: Share) -> str:
    if share.deleted:
        return "DELETED"
    return "FAILED" if share.status == "FAILED" else "ACTIVE"


def _association_status(share: Share, kind: str) -> str:
    if share.deleted:
        return "DISASSOCIATED"
    if kind == "RESOURCE":
        return "FAILED" if share.status == "FAILED" else "ASSOCIATED"
    return share.status


def _share_to_api(share: Share) -> dict:
    return {
        "resourceShareArn": share.arn,
        "name": share.name,
        "owningAccountId": share.owner,
        "allowExternalPrincipals": True,
        "status": _share_status(share),
        "statusMessage": share.message,
        "creationTime": share.created,
        "lastUpdatedTime": share.updated,
        "featureSet": "STANDARD",
    }
