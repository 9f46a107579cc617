"""What a new version of the governance sets going: what it affects, and no more."""

from __future__ import annotations

import pytest
from convergence.ends import holds
from convergence.histories import TYPES, Exposure, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.aws import units
from tagmesh.governance import load

from local_aws.wire import AwsError

BEFORE = Wanted("usual", ("orders", "customers", "people"), {"analytics": ("open",), "finance": ("contacts",)})


@pytest.fixture
def mesh():
    with MeshInProcess() as mesh:
        mesh.provide(
            load(Wanted("usual", BEFORE.products, {"analytics": ("open", "all"), "finance": ("open",)}).files())
        )
        mesh.apply(BEFORE.files())
        mesh.settle()
        for product in load(BEFORE.files()).data_products:
            mesh.upload(product, "first", tuple(TYPES.items()))
        mesh.settle()
        mesh.wait(1000)
        mesh.sweep()
        yield mesh


def started_by(mesh: MeshInProcess, after: Wanted) -> list[tuple[str, str]]:
    """(machine, unit) of every run that a version sets going, but for the sweep itself."""
    started = []
    execute = mesh.execute

    def note(machine, given):
        if machine != "sweep":
            started.append((machine, given.get("unit", "")))
        return execute(machine, given)

    mesh.execute = note
    mesh.apply(after.files())
    mesh.settle()
    mesh.execute = execute
    return sorted(started)


def test_the_same_files_again_start_nothing(mesh):
    assert started_by(mesh, BEFORE) == []


def test_another_consumer_starts_its_share_alone(mesh):
    after = Wanted("usual", BEFORE.products, {"analytics": ("open",), "finance": ("open",)})

    # Twice: what its principals lose is taken from them first.
    assert started_by(mesh, after) == [("share", "consumer/finance")] * 2
    holds(mesh, load(after.files()))


def test_a_rule_is_decided_anew_everywhere_and_shared_where_it_shows(mesh):
    after = Wanted("strict", BEFORE.products, BEFORE.subscriptions)

    assert started_by(mesh, after) == [
        ("publish", "data_product/hr/people"),
        ("publish", "data_product/sales/customers"),
        ("publish", "data_product/sales/orders"),
        ("share", "consumer/analytics"),  # finance reads confidential amounts as well
    ]
    holds(mesh, load(after.files()))


def test_what_a_run_left_half_done_is_nobodys_after_its_data_product_has_left_and_come_back(mesh):
    mesh.apply(Wanted("strict", BEFORE.products, BEFORE.subscriptions).files())
    mesh.settle()
    broken = []

    def breaks_off(do, service, operation, params, caller):
        """Amounts of orders stay as strict as they are."""
        if operation == "AddLFTagsToResource" and "amount" in str(params) and "sales_orders" in str(params):
            broken.append(params)
            raise AwsError("InternalServiceException", "broken by a test", 500)
        return do()

    mesh.around = breaks_off
    mesh.apply(BEFORE.files())
    mesh.settle()
    assert broken
    mesh.around = lambda do, *_: do()
    for wanted in (Wanted("usual", ("customers", "people"), BEFORE.subscriptions), BEFORE):
        mesh.apply(wanted.files())
        mesh.settle()
    mesh.sweep()

    found = [finding["code"] for unit in units.read_all(mesh.client("dynamodb")).values() for finding in unit.findings]
    assert found == []
    holds(mesh, load(BEFORE.files()))


def test_more_calls_than_a_function_has_time_for_are_done_by_run_after_run():
    wanted = Wanted("usual", ("orders",), {"analytics": ("open",)})
    (product,) = load(wanted.files()).data_products
    with MeshInProcess() as mesh:
        Exposure(mesh)
        mesh.apply(wanted.files())
        mesh.settle()
        called = []

        def slow(service: str, operation: str, params: dict, caller: object) -> None:
            if operation == "AddLFTagsToResource":
                mesh.wait(60)  # a function has 840 seconds
                called.append(operation)

        mesh.on_call.append(slow)
        for number in range(10):
            mesh.upload(product, f"t{number}", tuple(TYPES.items()), told=number == 0)
        mesh.settle()

        assert len(called) > 2 * 840 / 60, "there was time enough"
        assert not mesh.failed
        mesh.on_call.clear()
        holds(mesh, load(wanted.files()))
