"""A subscription that is taken out of the files takes exactly its access along, within one sweep."""

from __future__ import annotations

import pytest
from convergence.ends import allowed, holds
from convergence.histories import SUBSCRIPTIONS, TYPES, Exposure, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.governance import load

#: consumer -> subscription -> its principals. They overlap: in columns, in principals, in accounts.
SHARED = {
    "analytics": {"open": ("Analyst", "Lead"), "contacts": ("Lead", "Marketing"), "all": ("Auditor",)},
    "finance": {"open": ("Analyst",), "all": ("Auditor", "Analyst")},
}
ACCOUNTS = {"analytics": "333333333333", "finance": "444444444444"}
EVERY = [(consumer, name) for consumer, subscriptions in SHARED.items() for name in subscriptions]


def files(without: tuple[str, str] | None = None) -> dict[str, str]:
    """The governance files, but for one subscription."""
    found = Wanted("usual", ("orders", "customers", "people"), {}).files()
    for consumer, subscriptions in SHARED.items():
        listed = "\n".join(
            f"  - {SUBSCRIPTIONS[name]}, principals: [{', '.join(f'{{role: {each}}}' for each in principals)}]}}"
            for name, principals in subscriptions.items()
            if (consumer, name) != without
        )
        head = f'consumer: {consumer}\naccount: "{ACCOUNTS[consumer]}"\nowner: a@example.com\nsubscriptions:\n'
        found[f"consumers/{consumer}.yaml"] = f"{head}{listed}\n"
    return found


@pytest.fixture(scope="module")
def mesh():
    with MeshInProcess() as mesh:
        Exposure(mesh)
        whole = load(files())
        mesh.provide(whole)
        mesh.apply(files())
        mesh.settle()
        for product in whole.data_products:
            mesh.upload(product, "first", tuple(TYPES.items()))
        mesh.settle()
        yield mesh


@pytest.mark.parametrize("told", [True, False], ids=["told", "event lost"])
@pytest.mark.parametrize("removed", EVERY, ids="/".join)
def test_only_its_access_goes_and_siblings_keep_theirs(mesh, removed, told):
    before = mesh.queryable()
    consumer, name = removed
    others = load(files(without=removed))
    kept = allowed(mesh, others)
    (subscription,) = [
        each for each in load(files()).consumer(f"consumer/{consumer}").subscriptions if each.name == name
    ]
    principals = {f"arn:aws:iam::{ACCOUNTS[consumer]}:role/{each.name}" for each in subscription.principals}

    mesh.apply(files(without=removed))
    if not told:
        mesh.events.clear()
        mesh.sweep()
    mesh.settle()

    lost = before - mesh.queryable()
    # All that finance/open opens, finance/all opens to the same principal.
    assert bool(lost) == (removed != ("finance", "open"))
    assert {arn for arn, *_ in lost} <= principals
    assert mesh.queryable() == mesh.readable() == kept
    # What another subscription of the same principal opens too stays; of all others everything does.
    assert lost == before - kept

    mesh.apply(files())
    mesh.settle()
    assert mesh.queryable() == before
    holds(mesh, load(files()))
