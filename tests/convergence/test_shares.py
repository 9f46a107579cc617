"""Shares of AWS RAM that an account loses: the sweep has them made again, and who should reads again."""

from __future__ import annotations

from typing import Any

import pytest
from convergence.ends import holds, recover
from convergence.histories import ACCOUNTS, TYPES, Exposure, Wanted
from convergence.mesh_in_process import REGION, MeshInProcess
from tagmesh.governance import load

from local_aws.access.identity import Caller

ACCOUNT = ACCOUNTS["analytics"]
WANTED = Wanted("usual", ("orders",), {"analytics": ("open",), "finance": ("contacts",)})
GOVERNANCE = load(WANTED.files())


@pytest.fixture
def mesh():
    """A mesh whose accounts are no organization that shares by itself: each share needs an invitation accepted."""
    with MeshInProcess() as mesh:
        mesh.provide(GOVERNANCE)
        mesh.world.organization["ram_sharing"] = False
        Exposure(mesh)
        yield mesh


def begin(mesh: MeshInProcess) -> None:
    mesh.apply(WANTED.files())
    mesh.settle()
    mesh.upload(GOVERNANCE.data_products[0], "first", tuple(TYPES.items()))
    mesh.settle()


def readers(mesh: MeshInProcess) -> set[str]:
    """The accounts in which somebody can read something."""
    return {principal.split(":")[4] for principal, *_ in mesh.queryable()}


def in_account(mesh: MeshInProcess, operation: str, **params: Any) -> dict:
    """What a person does with RAM in the consumer's account."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/somebody"
    return mesh.world.handler("ram", operation)(Caller(ACCOUNT, REGION, arn, arn), **params)


def test_an_invitation_that_expired_before_the_account_was_ready_is_made_again(mesh):
    mesh.unreachable.add(ACCOUNT)
    begin(mesh)
    mesh.wait(13 * 3600)
    invitations = in_account(mesh, "GetResourceShareInvitations")["resourceShareInvitations"]
    assert {each["status"] for each in invitations} == {"EXPIRED"}
    assert readers(mesh) == {ACCOUNTS["finance"]}

    mesh.unreachable.clear()
    recover(mesh)

    assert readers(mesh) == set(ACCOUNTS.values())
    holds(mesh, GOVERNANCE)


def test_an_invitation_that_somebody_rejected_is_made_again(mesh):
    mesh.unreachable.add(ACCOUNT)
    begin(mesh)
    invitations = in_account(mesh, "GetResourceShareInvitations")["resourceShareInvitations"]
    assert invitations
    for each in invitations:
        in_account(mesh, "RejectResourceShareInvitation", resourceShareInvitationArn=each["resourceShareInvitationArn"])

    mesh.unreachable.clear()
    recover(mesh)

    assert readers(mesh) == set(ACCOUNTS.values())
    holds(mesh, GOVERNANCE)


@pytest.mark.parametrize("kinds", [("database", "table"), ("database",), ("table",)])
def test_a_share_that_an_account_lost_when_all_was_well_is_made_again_once(mesh, kinds):
    begin(mesh)
    recover(mesh)
    assert readers(mesh) == set(ACCOUNTS.values())
    # As RAM has it when an account leaves a share; the local AWS has no call for that.
    for share in mesh.world.engines["ram"]._shares:
        if share.principal == ACCOUNT and share.kind in kinds:
            share.status, share.updated = "DISASSOCIATED", mesh.world.now()
    assert readers(mesh) == {ACCOUNTS["finance"]}

    mesh.wait(1000)
    mesh.sweep()
    assert readers(mesh) == set(ACCOUNTS.values())
    holds(mesh, GOVERNANCE)
