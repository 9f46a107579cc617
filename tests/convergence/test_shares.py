"""Sharing with other accounts, inside an organization and outside: shares that are lost, which the sweep makes again;
and what the central account needs before it can share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from convergence.doubles import CENTRAL
from convergence.ends import holds, recover
from convergence.histories import ACCOUNTS, TYPES, Exposure, Wanted
from convergence.mesh_in_process import REGION, MeshInProcess
from tagmesh.aws import units
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


# -- in every setting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "ram_sharing", "invitations"),
    [
        ({"analytics", "finance"}, True, 0),
        ({"analytics", "finance"}, False, 4),
        ({"analytics"}, True, 2),  # finance is outside: `organization: external`
        (set(), False, 4),
    ],
)
def test_who_should_reads_inside_an_organization_and_outside(mesh, members, ram_sharing, invitations):
    mesh.world.organization["members"] = {CENTRAL, *(ACCOUNTS[name] for name in members)}
    mesh.world.organization["ram_sharing"] = ram_sharing
    begin(mesh)

    assert readers(mesh) == set(ACCOUNTS.values())
    assert mesh.counts["ram:AcceptResourceShareInvitation"] == invitations
    holds(mesh, GOVERNANCE)


def test_an_account_that_leaves_its_organization_is_invited_when_its_share_is_gone(mesh):
    mesh.world.organization["ram_sharing"] = True
    begin(mesh)
    recover(mesh)
    # RAM takes an account that leaves from the shares that it has without an invitation.
    mesh.world.organization["members"].discard(ACCOUNT)
    for share in mesh.world.engines["ram"]._shares:
        if share.principal == ACCOUNT:
            share.status, share.updated = "DISASSOCIATED", mesh.world.now()
    assert readers(mesh) == {ACCOUNTS["finance"]}

    mesh.wait(1000)
    mesh.sweep()

    assert readers(mesh) == set(ACCOUNTS.values())
    assert mesh.counts["ram:AcceptResourceShareInvitation"] == 2
    holds(mesh, GOVERNANCE)


@pytest.mark.parametrize(
    ("sender", "name", "kind"),
    [("999999999999", "LakeFormation-V4-ABCDEF12", "database"), (CENTRAL, "Subnets", "subnet")],
)
def test_an_invitation_of_a_stranger_or_to_something_else_is_never_accepted(mesh, sender, name, kind):
    ram = mesh.world.engines["ram"]
    strange = ram._create(sender, ACCOUNT, kind, 4, True)
    strange.name = name
    begin(mesh)
    recover(mesh)

    invitations = in_account(mesh, "GetResourceShareInvitations")["resourceShareInvitations"]
    answers = {each["resourceShareArn"]: each["status"] for each in invitations}
    assert answers.pop(strange.arn) == "EXPIRED"  # it was there all along, and nobody took it
    assert set(answers.values()) == {"ACCEPTED"}
    assert strange.status == "ASSOCIATING"
    assert readers(mesh) == set(ACCOUNTS.values())


# -- before the first grant ----------------------------------------------------------------------------------------


def codes(mesh: MeshInProcess) -> set[str]:
    """Codes of the findings of consumers."""
    known = units.read_all(mesh.client("dynamodb"))
    return {found["code"] for name, unit in known.items() if name.startswith("consumer/") for found in unit.findings}


def set_version(mesh: MeshInProcess, version: str) -> None:
    caller = mesh.automation
    settings = mesh.lake.GetDataLakeSettings(caller)["DataLakeSettings"]
    settings["Parameters"] = {"CROSS_ACCOUNT_VERSION": version}
    mesh.lake.PutDataLakeSettings(caller, DataLakeSettings=settings)


def test_nothing_is_granted_to_accounts_below_version_3_and_all_is_once_it_is_raised(mesh):
    set_version(mesh, "2")
    granted = []
    mesh.on_call.append(lambda service, operation, params, caller: granted.extend(params.get("Entries", ())))
    begin(mesh)
    assert readers(mesh) == set()
    assert {each["Principal"]["DataLakePrincipalIdentifier"] for each in granted}.isdisjoint(ACCOUNTS.values())
    assert codes(mesh) == {"cross-account-version"}
    assert not mesh.failed

    set_version(mesh, "3")
    mesh.wait(1000)
    mesh.sweep()

    assert readers(mesh) == set(ACCOUNTS.values())
    assert codes(mesh) == set()
    holds(mesh, GOVERNANCE)
    kept = mesh.lake.GetDataLakeSettings(mesh.automation)["DataLakeSettings"]["Parameters"]
    assert kept["CROSS_ACCOUNT_VERSION"] == "3"  # left as the people chose it


THEIRS = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "777777777777"},
    "Action": "glue:GetTable",
    "Resource": "*",
}
DENIES = {"Effect": "Deny", "Principal": "*", "Action": "glue:ShareResource", "Resource": "*"}


def put_policy(mesh: MeshInProcess, *statements: dict) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    handler = mesh.world.handler("glue", "PutResourcePolicy")
    handler(mesh.automation, PolicyInJson=text, EnableHybrid="TRUE")


def kept_policy(mesh: MeshInProcess) -> list[dict]:
    kept = mesh.world.handler("glue", "GetResourcePolicy")(mesh.automation)
    return json.loads(kept["PolicyInJson"])["Statement"]


def test_the_catalogues_policy_is_given_what_ram_needs_once_and_keeps_the_rest(mesh):
    put_policy(mesh, THEIRS)
    begin(mesh)

    theirs, ours = kept_policy(mesh)
    assert theirs == THEIRS
    assert ours["Principal"] == {"Service": "ram.amazonaws.com"}
    assert mesh.counts["glue:PutResourcePolicy"] == 1
    assert readers(mesh) == set(ACCOUNTS.values())
    holds(mesh, GOVERNANCE)


def test_where_the_catalogue_has_no_policy_none_is_made(mesh):
    begin(mesh)
    assert readers(mesh) == set(ACCOUNTS.values())
    assert not mesh.counts["glue:PutResourcePolicy"]


def test_what_others_write_into_the_policy_meanwhile_is_kept_too(mesh):
    put_policy(mesh, THEIRS)
    later = {**THEIRS, "Sid": "Later"}
    raced = []

    def race(service, operation, params, caller):
        if operation == "PutResourcePolicy" and not raced:
            raced.append(1)
            put_policy(mesh, THEIRS, later)

    mesh.on_call.append(race)
    begin(mesh)

    assert raced
    assert kept_policy(mesh)[:2] == [THEIRS, later]
    assert readers(mesh) == set(ACCOUNTS.values())


def test_a_policy_that_denies_holds_up_the_grants_until_it_is_mended(mesh):
    put_policy(mesh, THEIRS, DENIES)
    begin(mesh)
    assert readers(mesh) == set()
    assert kept_policy(mesh) == [THEIRS, DENIES]
    assert codes(mesh) == {"catalogue-policy-denies"}
    assert not mesh.failed

    put_policy(mesh, THEIRS)
    mesh.wait(1000)
    mesh.sweep()

    assert readers(mesh) == set(ACCOUNTS.values())
    assert codes(mesh) == set()
    holds(mesh, GOVERNANCE)
