"""Shares that Lake Formation offers to a consumer's account."""

from __future__ import annotations

from typing import Any


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
