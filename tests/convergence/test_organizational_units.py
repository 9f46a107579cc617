"""Consumers that are granted to as their organizational unit: each reads what its own subscriptions give, and whoever
is in the unit besides, nothing."""

from __future__ import annotations

import pytest
from convergence.doubles import CENTRAL
from convergence.ends import allowed, holds, recover
from convergence.histories import ACCOUNTS, TYPES, Exposure, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.aws import units
from tagmesh.governance import load

ORGANIZATION = "o-examplemesh1"
UNIT = f"arn:aws:organizations::{CENTRAL}:ou/{ORGANIZATION}/ou-exam-readers12"
WHOLE = f"arn:aws:organizations::{CENTRAL}:organization/{ORGANIZATION}"
BOTH = {"analytics": ("open", "contacts"), "finance": ("contacts",)}


def files(subscriptions: dict[str, tuple[str, ...]] = BOTH, unit: str | None = UNIT) -> dict[str, str]:
    """The governance files in which every consumer names the unit."""
    found = Wanted("usual", ("orders",), subscriptions).files()
    for name in found:
        if name.startswith("consumers/") and unit:
            found[name] = found[name].replace("owner:", f'organizational_unit: "{unit}"\nowner:')
    return found


@pytest.fixture
def mesh():
    with MeshInProcess() as mesh:
        mesh.provide(load(files()))
        mesh.world.organization |= {"id": ORGANIZATION, "units": {UNIT: set(ACCOUNTS.values())}}
        Exposure(mesh)
        yield mesh


def begin(mesh: MeshInProcess, *args, **kwargs) -> None:
    wanted = files(*args, **kwargs)
    mesh.apply(wanted)
    mesh.settle()
    mesh.upload(load(wanted).data_products[0], "first", tuple(TYPES.items()))
    mesh.settle()


def change(mesh: MeshInProcess, *args, **kwargs) -> None:
    wanted = files(*args, **kwargs)
    mesh.apply(wanted)
    mesh.settle()
    recover(mesh)
    holds(mesh, load(wanted))


def recipients(mesh: MeshInProcess) -> set[str]:
    """Whom the central account grants by LF-Tags, its own principals aside."""
    rows = mesh.lake.ListPermissions(mesh.automation, ResourceType="LF_TAG_POLICY")["PrincipalResourcePermissions"]
    named = {row["Principal"]["DataLakePrincipalIdentifier"] for row in rows}
    return {each for each in named if not each.startswith(f"arn:aws:iam::{CENTRAL}:")}


@pytest.mark.parametrize("unit", [UNIT, WHOLE], ids=["unit", "organization"])
def test_both_accounts_of_a_unit_read_each_what_it_subscribes_to(mesh, unit):
    begin(mesh, unit=unit)
    assert recipients(mesh) == {unit}
    assert {arn for arn, *_ in mesh.queryable()} == {
        f"arn:aws:iam::{ACCOUNTS[consumer]}:role/{consumer}-{name}"
        for consumer, names in BOTH.items()
        for name in names
    }
    assert mesh.counts["ram:AcceptResourceShareInvitation"] == 0
    holds(mesh, load(files(unit=unit)))


@pytest.mark.parametrize("removed", [("analytics", "open"), ("analytics", "contacts"), ("finance", "contacts")])
def test_a_subscription_takes_exactly_its_access_along(mesh, removed):
    begin(mesh)
    before = mesh.queryable()
    consumer, name = removed
    fewer = {**BOTH, consumer: tuple(each for each in BOTH[consumer] if each != name)}
    change(mesh, fewer)
    gone = f"arn:aws:iam::{ACCOUNTS[consumer]}:role/{consumer}-{name}"
    assert before - mesh.queryable() == {each for each in before if each[0] == gone}
    change(mesh)
    assert mesh.queryable() == before


def test_what_a_consumer_that_left_was_granted_stays_as_long_as_another_wants_it(mesh):
    begin(mesh, {"analytics": ("contacts",)})
    change(mesh, {"analytics": ("contacts",), "finance": ("contacts",)})
    change(mesh, {"analytics": (), "finance": ("contacts",)})
    assert {arn.split(":")[4] for arn, *_ in mesh.queryable()} == {ACCOUNTS["finance"]}
    mesh.apply(files({"analytics": (), "finance": ("open",)}))
    mesh.events.clear()  # nobody is told: the sweep finds it
    recover(mesh)
    holds(mesh, load(files({"analytics": (), "finance": ("open",)})))
    expressions = mesh.lake.ListPermissions(mesh.automation, ResourceType="LF_TAG_POLICY_TABLE")
    of_unit = [
        row
        for row in expressions["PrincipalResourcePermissions"]
        if row["Principal"]["DataLakePrincipalIdentifier"] == UNIT
    ]
    assert len(of_unit) == 1  # that of `open`; nobody wants `contacts` any more


def test_from_accounts_to_their_unit_and_back(mesh):
    begin(mesh, unit=None)
    before = mesh.queryable()
    assert recipients(mesh) == set(ACCOUNTS.values())
    change(mesh)
    assert recipients(mesh) == {UNIT}
    assert mesh.queryable() == before
    change(mesh, unit=None)
    assert recipients(mesh) == set(ACCOUNTS.values())
    assert mesh.queryable() == before


def test_an_account_that_is_not_in_the_unit_reads_nothing_until_it_is(mesh):
    mesh.world.organization["units"][UNIT] = {ACCOUNTS["analytics"]}
    begin(mesh)
    assert {arn.split(":")[4] for arn, *_ in mesh.queryable()} == {ACCOUNTS["analytics"]}
    mesh.world.organization["units"][UNIT] = set(ACCOUNTS.values())
    mesh.failed.clear()
    recover(mesh)
    assert mesh.queryable() == allowed(mesh, load(files()))


def test_a_share_that_the_unit_lost_is_made_again(mesh):
    begin(mesh)
    recover(mesh)
    for share in mesh.world.engines["ram"]._shares:
        if share.principal == UNIT:
            share.status, share.updated = "DISASSOCIATED", mesh.world.now()
    assert not mesh.queryable()
    mesh.wait(1000)
    mesh.sweep()
    holds(mesh, load(files()))


def test_nothing_more_is_granted_to_a_unit_while_an_account_of_it_passes_on_what_it_should_not(mesh):
    begin(mesh, {"analytics": ("open",), "finance": ("contacts",)})
    mesh.unreachable.add(ACCOUNTS["finance"])
    wanted = files({"analytics": ("open",), "finance": ("open",)})
    mesh.apply(wanted)
    mesh.settle()
    dangling = f"arn:aws:iam::{ACCOUNTS['finance']}:role/finance-contacts"
    left = {column for arn, _, column in mesh.queryable() if arn == dangling}
    assert left == {"amount"}  # where what is still passed on meets what the unit is granted for others
    # The unit has lost what finance still passes on, and another account asks for it.
    asked = {"analytics": ("open", "contacts"), "finance": ("open",)}
    mesh.apply(files(asked))
    mesh.settle()
    assert {column for arn, _, column in mesh.queryable() if arn == dangling} == left
    findings = units.read(mesh.client("dynamodb"), "consumer/analytics").findings
    assert [each["code"] for each in findings] == ["unit-passes-on"]
    mesh.unreachable.clear()
    recover(mesh)
    holds(mesh, load(files(asked)))


def test_what_ram_does_not_share_with_the_unit_is_a_finding_until_it_does(mesh):
    mesh.world.organization["ram_sharing"] = False
    begin(mesh)
    assert not mesh.queryable()
    known = units.read_all(mesh.client("dynamodb"))
    found = [each for name, unit in known.items() if name.startswith("consumer/") for each in unit.findings]
    assert {each["code"] for each in found} == {"not-granted"}
    assert all("enable sharing with AWS Organizations" in each["mend"] for each in found)
    mesh.world.organization["ram_sharing"] = True
    recover(mesh)
    holds(mesh, load(files()))
