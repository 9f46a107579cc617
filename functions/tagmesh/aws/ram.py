"""Shares that Lake Formation offers to a consumer's account, and what must be there before it can."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from tagmesh import sharing
from tagmesh.catalog import Finding

POLICY_ATTEMPTS = 3  # to change the catalogue's policy while others change it too
INVITATION_SECONDS = 12 * 3600
"""How long an invitation to resources of Glue can be accepted (RAM user guide, "Resource share invitations")."""
NEEDED = {"glue:Database", "glue:Table"}
"""The types of resources that reach an account to which a tag expression was granted."""


def lost(ram: Any, recipients: Collection[str], now: float) -> dict[str, float]:
    """recipient -> when it last lost what Lake Formation shared with it, in seconds since 1970: it left the share or
    rejected it, let the invitation expire, or somebody took it from the share. Asked of the owner; not of one
    that other shares reach with all it needs.

    Args:
        recipients: the accounts and organizational units that were granted something.
        now: seconds since 1970.
    """
    reaching: dict[str, set[str]] = defaultdict(set)
    ended: dict[str, float] = {}
    pages = ram.get_paginator("get_resource_share_associations").paginate(associationType="PRINCIPAL")
    for each in (each for page in pages for each in page["resourceShareAssociations"]):
        recipient, expires = each["associatedEntity"], each["creationTime"].timestamp() + INVITATION_SECONDS
        if recipient not in recipients or not each["resourceShareName"].startswith("LakeFormation"):
            continue
        if each["status"] == "ASSOCIATED" or (each["status"] == "ASSOCIATING" and now < expires):
            reaching[recipient].add(each["resourceShareArn"])
        else:
            at = expires if each["status"] == "ASSOCIATING" else each["lastUpdatedTime"].timestamp()
            ended[recipient] = max(at, ended.get(recipient, 0.0))
    if not ended:
        return {}
    types: dict[str, set[str]] = defaultdict(set)
    for page in ram.get_paginator("list_resources").paginate(resourceOwner="SELF"):
        for resource in page["resources"]:
            types[resource["resourceShareArn"]].add(resource["type"])
    return {
        recipient: at
        for recipient, at in ended.items()
        if not set().union(*(types[share] for share in reaching[recipient])) >= NEEDED
    }


def prepare(lf: Any, glue: Any, region: str, central: str) -> list[Finding]:
    """Makes ready what grants to other accounts need of the central one; what keeps them from being made.

    Its cross-account version is read and never changed. Its Data Catalog resource policy, where there is one, is given
    the statement that RAM needs: everything else in it is kept, and one that somebody changes meanwhile is read again.
    None is made where none is. [Lake Formation developer guide, Cross-account data sharing prerequisites]
    """
    old = sharing.of_version(lf.get_data_lake_settings()["DataLakeSettings"], central)
    if old:
        return [old]
    for _ in range(POLICY_ATTEMPTS):
        try:
            found = glue.get_resource_policy()
        except glue.exceptions.EntityNotFoundException:
            return []
        if not found.get("PolicyInJson"):
            return []
        denied = sharing.denied_by(found["PolicyInJson"], region, central)
        if denied:
            return [denied]
        merged = sharing.with_sharing(found["PolicyInJson"], region, central)
        if merged == found["PolicyInJson"]:
            return []
        if len(merged.encode()) > sharing.POLICY_BYTES:
            return [sharing.not_written(central, f"with it, it would have more than {sharing.POLICY_BYTES} bytes")]
        try:
            # EnableHybrid: it is known that Lake Formation grants through RAM beside this policy.
            glue.put_resource_policy(PolicyInJson=merged, PolicyHashCondition=found["PolicyHash"], EnableHybrid="TRUE")
        except (glue.exceptions.ConditionCheckFailureException, glue.exceptions.EntityNotFoundException):
            continue
        except glue.exceptions.InvalidInputException as error:
            return [sharing.not_written(central, str(error))]
        return []
    return [sharing.not_written(central, f"others changed it {POLICY_ATTEMPTS} times meanwhile")]


def accept_invitations(ram: Any, sender: str) -> int:
    """Accepts the pending invitations of Lake Formation in the sender's account; how many.

    Inside an organization with RAM sharing there are none; elsewhere a first share has two, for databases and for
    tables. Nobody else's invitation is ever accepted.
    """
    accepted = 0
    for page in ram.get_paginator("get_resource_share_invitations").paginate():
        for invitation in page["resourceShareInvitations"]:
            if invitation["status"] != "PENDING" or invitation["senderAccountId"] != sender:
                continue
            if not invitation["resourceShareName"].startswith("LakeFormation"):
                continue
            try:
                ram.accept_resource_share_invitation(
                    resourceShareInvitationArn=invitation["resourceShareInvitationArn"]
                )
            except ram.exceptions.ResourceShareInvitationAlreadyAcceptedException:
                continue
            accepted += 1
    return accepted
