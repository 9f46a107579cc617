"""A data product that leaves the governance files, or that they say is dropped: what goes, what stays, and that it
comes to its end wherever a run breaks off."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import count
from unittest import mock

import load_governance
import pytest
from convergence.doubles import CENTRAL
from convergence.ends import holds, left_behind, recover, written
from convergence.histories import TYPES, Exposure, Wanted
from convergence.mesh_in_process import MeshInProcess
from convergence.test_faults import FAULTS, Fault, Stale
from convergence.test_faults import _stack as call_stack
from tagmesh.aws import units
from tagmesh.governance import load

from cli import plan, status
from cli.mesh import Mesh
from local_aws.faults import LISTED
from local_aws.wire import AwsError

BEFORE = Wanted("usual", ("orders", "customers"), {"analytics": ("open",), "finance": ("contacts",)})
LEFT = replace(BEFORE, products=("customers",))
DROPPED = replace(LEFT, dropped=("orders",))
ORDERS = load(BEFORE.files()).data_product("data_product/sales/orders")
CRAWLER_ROLE = f"arn:aws:iam::{CENTRAL}:role/tagmesh-crawler"


def begun(mesh: MeshInProcess) -> Exposure:
    """A mesh at rest, with two tables in each database."""
    exposure = Exposure(mesh)
    apply(mesh, BEFORE)
    for product in load(BEFORE.files()).data_products:
        for folder in ("first", "second"):
            mesh.upload(product, folder, tuple(TYPES.items()))
    mesh.settle()
    mesh.wait(1000)
    mesh.sweep()
    return exposure


def apply(mesh: MeshInProcess, wanted: Wanted) -> None:
    mesh.apply(wanted.files())
    mesh.settle()


def rest(mesh: MeshInProcess, sweeps: int = 2) -> None:
    for _ in range(sweeps):
        mesh.wait(1000)
        mesh.sweep()


@pytest.fixture
def mesh():
    with MeshInProcess() as mesh:
        begun(mesh)
        yield mesh


def databases(mesh: MeshInProcess) -> dict[str, set[str]]:
    """The tables of each database of the central catalogue."""
    return {each.name: set(each.tables) for each in mesh._databases()}


def readers(mesh: MeshInProcess) -> set[str]:
    """The databases of which somebody reads something."""
    return {table.partition(".")[0] for _, table, _ in mesh.readable()}


def held_by_crawler(mesh: MeshInProcess) -> list[dict]:
    """What the crawlers' role was granted for orders, of the lake's own list; what it holds of tables it holds as their
    maker."""
    answer = mesh.world.handler("lakeformation", "ListPermissions")(mesh.automation)
    rows = [
        row
        for row in answer["PrincipalResourcePermissions"]
        if row["Principal"]["DataLakePrincipalIdentifier"] == CRAWLER_ROLE
    ]
    return [
        row
        for row in rows
        if "orders" in str(row["Resource"]) and not {*row["Resource"]} & {"Table", "TableWithColumns"}
    ]


def findings(mesh: MeshInProcess) -> list[dict]:
    return list(units.read(mesh.client("dynamodb"), ORDERS.unit).findings)


def by_hand(mesh: MeshInProcess, operation: str, **params) -> dict:
    return mesh.world.handler("glue", operation)(mesh.automation, **params)


# -- leaving


def test_what_leaves_the_files_gives_back_what_its_crawls_needed_and_keeps_its_catalogue(mesh):
    assert held_by_crawler(mesh)
    assert readers(mesh) == {"sales_orders", "sales_customers"}
    apply(mesh, LEFT)
    rest(mesh)

    assert databases(mesh)["sales_orders"] == {"first", "second"}
    assert readers(mesh) == {"sales_customers"}
    assert held_by_crawler(mesh) == []
    holds(mesh, load(LEFT.files()))


def test_what_comes_back_is_crawled_before_it_opens(mesh):
    apply(mesh, LEFT)
    rest(mesh)
    mesh.counts.clear()
    apply(mesh, BEFORE)

    assert mesh.counts["glue:StartCrawler"] == 1
    assert readers(mesh) == {"sales_orders", "sales_customers"}
    holds(mesh, load(BEFORE.files()))


def test_a_deleted_file_drops_nothing(mesh):
    files = BEFORE.files()
    mesh.apply(
        {
            **files,
            "producers/sales.yaml": files["producers/sales.yaml"].partition("  - {name: orders")[0]
            + "  - {name: customers, location: 's3://sales-raw/customers/', tags: {domain: sales}}\n",
        }
    )
    mesh.settle()
    rest(mesh, 4)
    assert databases(mesh)["sales_orders"] == {"first", "second"}


def test_what_leaves_while_it_is_crawled_closes_with_the_next_sweep(mesh):
    mesh.upload(ORDERS, "third", tuple(TYPES.items()))
    mesh.events.pop(0)()
    while not mesh.crawls:
        mesh.executions.pop(0)()
    crawl = mesh.crawls.pop()
    mesh.apply(LEFT.files())
    mesh.settle()
    rest(mesh, 1)
    assert readers(mesh) == {"sales_customers"}
    assert left_behind(mesh, load(LEFT.files())), "its crawler runs: it cannot be deleted yet"

    crawl()
    mesh.settle()
    rest(mesh)
    assert databases(mesh)["sales_orders"] == {"first", "second", "third"}
    holds(mesh, load(LEFT.files()))


# -- being dropped


def test_what_is_dropped_leaves_nothing_but_its_data(mesh):
    data = dict(mesh.objects.buckets["sales-raw"])
    apply(mesh, DROPPED)
    rest(mesh)

    assert set(databases(mesh)) == {"sales_customers"}
    assert held_by_crawler(mesh) == []
    assert mesh.objects.buckets["sales-raw"] == data
    holds(mesh, load(DROPPED.files()))


def test_it_is_closed_and_its_links_are_gone_before_anything_is_deleted(mesh):
    seen = []

    def note(service, operation, params, caller):
        if service == "glue" and operation in ("DeleteCrawler", "BatchDeleteTable", "DeleteDatabase"):
            link = caller.account != CENTRAL
            seen.append("unlink" if link else operation)
            if not link:
                assert "sales_orders" not in readers(mesh)

    mesh.on_call.append(note)
    apply(mesh, DROPPED)
    rest(mesh)

    assert seen[-3:] == ["DeleteCrawler", "BatchDeleteTable", "DeleteDatabase"]
    assert seen[:-3] == ["unlink", "unlink"]


def test_a_drop_that_is_taken_back_is_published_anew(mesh):
    apply(mesh, DROPPED)
    rest(mesh)
    apply(mesh, BEFORE)

    assert databases(mesh)["sales_orders"] == {"first", "second"}
    assert readers(mesh) == {"sales_orders", "sales_customers"}
    holds(mesh, load(BEFORE.files()))


def test_what_had_left_before_can_be_dropped(mesh):
    apply(mesh, LEFT)
    rest(mesh)
    apply(mesh, DROPPED)
    rest(mesh)

    assert set(databases(mesh)) == {"sales_customers"}
    holds(mesh, load(DROPPED.files()))


def test_a_table_that_no_crawl_of_ours_made_keeps_its_database_until_somebody_deletes_it(mesh):
    table = {"Name": "by_hand", "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "int"}]}}
    by_hand(mesh, "CreateTable", DatabaseName="sales_orders", TableInput=table)
    apply(mesh, DROPPED)
    rest(mesh)

    assert databases(mesh)["sales_orders"] == {"by_hand"}
    (finding,) = findings(mesh)
    assert finding["code"] == "database-kept"
    assert "by_hand" in finding["message"]

    by_hand(mesh, "DeleteTable", DatabaseName="sales_orders", Name="by_hand")
    rest(mesh, 1)
    assert set(databases(mesh)) == {"sales_customers"}
    holds(mesh, load(DROPPED.files()))


def test_to_keep_such_a_database_the_data_product_leaves_the_file(mesh):
    table = {"Name": "by_hand", "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "int"}]}}
    by_hand(mesh, "CreateTable", DatabaseName="sales_orders", TableInput=table)
    apply(mesh, DROPPED)
    rest(mesh)
    apply(mesh, LEFT)
    rest(mesh)

    assert findings(mesh) == []
    assert databases(mesh)["sales_orders"] == {"by_hand"}
    holds(mesh, load(LEFT.files()))


def test_a_database_that_was_there_before_stays_without_what_our_crawls_made():
    with MeshInProcess() as mesh:
        given = {"Name": "sales_orders", "CreateTableDefaultPermissions": []}
        by_hand(mesh, "CreateDatabase", DatabaseInput=given)
        begun(mesh)
        assert databases(mesh)["sales_orders"] == {"first", "second"}
        apply(mesh, DROPPED)
        rest(mesh)

        assert databases(mesh)["sales_orders"] == set()
        assert [finding["code"] for finding in findings(mesh)] == ["database-kept"]


def test_nothing_is_deleted_through_a_link(mesh):
    by_hand(mesh, "DeleteDatabase", Name="sales_orders")
    by_hand(mesh, "CreateDatabase", DatabaseInput={"Name": "copies", "CreateTableDefaultPermissions": []})
    columns = {"Columns": [{"Name": "a", "Type": "int"}]}
    table = {"Name": "copy", "StorageDescriptor": columns, "Parameters": {"UPDATED_BY_CRAWLER": ORDERS.crawler}}
    by_hand(mesh, "CreateTable", DatabaseName="copies", TableInput=table)
    target = {"CatalogId": CENTRAL, "DatabaseName": "copies"}
    by_hand(mesh, "CreateDatabase", DatabaseInput={"Name": "sales_orders", "TargetDatabase": target})
    apply(mesh, DROPPED)
    rest(mesh)

    assert databases(mesh)["copies"] == {"copy"}, mesh.failed
    assert not mesh.failed
    (finding,) = findings(mesh)
    assert "a resource link has its name" in finding["message"]


def test_what_is_being_dropped_is_told_until_it_is_gone(mesh):
    def told():
        with mock.patch.dict(os.environ):
            asked = Mesh(CENTRAL, "eu-west-1", clients, lambda issued: clients)
        return {line.name: line.state for line in status.of_mesh(asked)}

    def clients(service):
        return mesh.client(service, mesh.automation)

    mesh.upload(ORDERS, "third", tuple(TYPES.items()))
    mesh.wait(1000)
    mesh.events.pop(0)()
    while not mesh.crawls:
        mesh.executions.pop(0)()
    crawl = mesh.crawls.pop()
    apply(mesh, DROPPED)
    rest(mesh)
    assert told()[ORDERS.unit] == "dropping"
    assert databases(mesh)["sales_orders"], "its crawler runs"

    crawl()
    rest(mesh)
    assert ORDERS.unit not in told()
    holds(mesh, load(DROPPED.files()))


def test_a_location_that_another_data_product_has_stays_and_goes_with_that_one(mesh):
    files = DROPPED.files()
    head = files["producers/sales.yaml"]
    bought = "  - {name: bought, location: 's3://sales-raw/orders/', tags: {domain: sales}"
    mesh.apply({**files, "producers/sales.yaml": f"{head}{bought}}}\n"})
    mesh.settle()
    rest(mesh)
    assert set(databases(mesh)) == {"sales_customers", "sales_bought"}
    holds(mesh, load({**files, "producers/sales.yaml": f"{head}{bought}}}\n"}))

    mesh.apply({**files, "producers/sales.yaml": f"{head}{bought}, state: dropped}}\n"})
    mesh.settle()
    rest(mesh)
    assert set(databases(mesh)) == {"sales_customers"}
    holds(mesh, load({**files, "producers/sales.yaml": f"{head}{bought}, state: dropped}}\n"}))


def test_a_consumer_that_cannot_be_reached_does_not_hold_up_a_drop(mesh):
    mesh.unreachable.add("444444444444")
    apply(mesh, DROPPED)
    rest(mesh, 3)
    assert set(databases(mesh)) == {"sales_customers"}

    mesh.unreachable.clear()
    rest(mesh)
    links = mesh.world.engines["glue"].lookup.databases("444444444444")
    assert [each.name for each in links if each.is_link] == ["sales_customers"]
    holds(mesh, load(DROPPED.files()))


@pytest.mark.parametrize("wanted", [LEFT, DROPPED], ids=["leaves", "dropped"])
def test_what_a_plan_foretells_of_the_catalogue_then_happens(mesh, wanted):
    def clients(service):
        return mesh.client(service, mesh.automation)

    with mock.patch.dict(os.environ):  # it names the tables as a deployed mesh has them
        asked = Mesh(CENTRAL, "eu-west-1", clients, lambda issued: clients)
    vars(asked)["readers"] = clients  # its read-only role is not in this process
    (foretold,) = plan.of_mesh(asked, load(wanted.files())).removals
    before = databases(mesh)
    assert set(foretold.tables) == ({"first", "second"} if wanted is DROPPED else set())
    deleted: Counter[str] = Counter()

    def note(service, operation, params, caller):
        if caller.account == CENTRAL and operation.startswith(("Delete", "BatchDelete", "Deregister")):
            deleted[operation] += service != "dynamodb"

    mesh.after_call.append(note)
    apply(mesh, wanted)
    rest(mesh)

    after = databases(mesh)
    assert before["sales_orders"] - after.get("sales_orders", set()) == {*foretold.tables}
    assert ("sales_orders" in after) == foretold.keeps_database
    assert deleted["DeleteCrawler"] == len(foretold.crawlers) == 1
    assert deleted["DeregisterResource"] == len(foretold.locations) == 1
    assert plan.of_mesh(asked, load(wanted.files())).removals == ()


# -- being overtaken


def another_version(mesh: MeshInProcess) -> None:
    mesh.apply(BEFORE.files())
    load_governance.load_newest()


def another_run(mesh: MeshInProcess) -> None:
    item = mesh.tables.items("units")[(ORDERS.unit,)]
    mesh.tables.PutItem(mesh.automation, "units", {**item, "token": {"N": str(int(item["token"]["N"]) + 1)}})


@pytest.mark.parametrize("overtake", [another_version, another_run])
@pytest.mark.parametrize(
    ("read", "operation"),
    [
        ("GetCrawler", "DeleteCrawler"),
        ("GetTables", "BatchDeleteTable"),
        ("GetTables after", "DeleteDatabase"),
        ("DescribeResource", "DeregisterResource"),
    ],
)
def test_a_drop_that_is_overtaken_deletes_nothing_more(mesh, overtake, read, operation):
    """What it reads last before it deletes is answered; then it is overtaken, once."""
    deleted, reads, overtaken = [], 0, False

    def note(service, called, params, caller):
        nonlocal reads, overtaken
        if caller.account != CENTRAL or service not in ("glue", "lakeformation"):
            return
        if overtaken and called.startswith(("Delete", "BatchDelete", "BatchRevoke", "Deregister")):
            deleted.append(called)
        if called == read.partition(" ")[0] and "removal.py" in "".join(call_stack()):
            reads += 1
            if reads == (2 if "after" in read else 1) and not overtaken:
                overtaken = True
                overtake(mesh)

    mesh.after_call.append(note)
    apply(mesh, DROPPED)
    assert overtaken
    assert operation not in deleted
    assert deleted == []

    mesh.after_call.remove(note)
    mesh.apply(BEFORE.files())
    recover(mesh)
    holds(mesh, load(BEFORE.files()))


# -- breaking off


def drop_and_break(at: int, *, after: bool, then: Wanted) -> bool:
    """A drop in which the function is killed at its so manieth call, before or after it is done; whether there was one.
    Then another version comes, or the same goes on."""
    with MeshInProcess() as mesh:
        begun(mesh)
        counted = 0

        def breaks(do, service, operation, params, caller):
            nonlocal counted
            if service == "lambda":
                return do()
            counted += 1
            if counted - 1 != at:
                return do()
            answer = do() if after else {}
            if caller.principal.endswith("/tagmesh-crawler"):
                raise AwsError("InternalServiceException", "broken by a test", 500)
            mesh.crash()
            return answer

        mesh.around = breaks
        mesh.apply(DROPPED.files())
        mesh.settle()
        rest(mesh)
        if counted <= at:
            return False
        mesh.around = lambda do, *_: do()
        if then is not DROPPED:
            mesh.apply(then.files())
        recover(mesh)
        holds(mesh, load(then.files()))
        return True


@cache
def calls_of_a_drop() -> dict[tuple[str, ...], int]:
    """Every call site of `removal.py`, and the number of its last call in a drop."""
    found: dict[tuple[str, ...], int] = {}
    numbers = count()

    def note(do, service, operation, params, caller):
        if service != "lambda":
            number, stack = next(numbers), tuple(call_stack())
            if any("removal.py" in frame for frame in stack):
                found[(operation, *stack)] = number
        return do()

    with MeshInProcess() as mesh:
        begun(mesh)
        mesh.around = note
        apply(mesh, DROPPED)
        rest(mesh)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("then", [DROPPED, BEFORE, LEFT], ids=["goes on", "taken back", "kept after all"])
def test_a_drop_may_break_off_at_each_of_its_calls(then):
    broken = []
    assert len(calls_of_a_drop()) > 40
    for site, at in calls_of_a_drop().items():
        for after in (False, True):
            try:
                assert drop_and_break(at, after=after, then=then)
            except AssertionError as error:
                broken.append(f"{'after' if after else 'before'} {' < '.join(site)}: {error}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    "read",
    [
        "glue:GetCrawler",
        "glue:GetDatabase",
        "glue:GetTables",
        "lakeformation:ListPermissions",
        "lakeformation:DescribeResource",
        "lakeformation:GetResourceLFTags",
    ],
)
def test_what_a_drop_reads_may_be_a_minute_old(mesh, read):
    mesh.around = Stale(mesh, read)
    apply(mesh, DROPPED)
    rest(mesh)
    apply(mesh, BEFORE)
    apply(mesh, DROPPED)
    recover(mesh)
    holds(mesh, load(DROPPED.files()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in FAULTS if not kind.startswith("crash")])
def test_each_call_of_a_drop_may_fail_in_every_way(kind):
    """As test_faults.py has it, of what a drop calls."""
    broken = []
    for site, at in calls_of_a_drop().items():
        if kind in ("failures", "partial") and site[0] not in LISTED:
            continue
        with MeshInProcess() as mesh:
            begun(mesh)
            fault = mesh.around = Fault(kind, site, at, mesh)
            mesh.apply(DROPPED.files())
            mesh.settle()
            rest(mesh)
            try:
                assert fault.hit
                recover(mesh)
                holds(mesh, load(DROPPED.files()))
            except AssertionError as error:
                broken.append(f"{' < '.join(site)}: {error}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("operation", ["BatchDeleteTable", "DeleteItem"])
def test_a_drop_may_break_off_where_it_deletes(operation):
    """The quick ones of the above."""
    at = max(at for site, at in calls_of_a_drop().items() if site[0] == operation)
    for then in (DROPPED, BEFORE):
        assert drop_and_break(at, after=True, then=then)


# -- all of it


def test_a_mesh_that_is_taken_down_in_one_version_leaves_only_data_lf_tags_and_its_history(mesh):
    """What README.md says of taking it all down."""
    apply(mesh, Wanted("usual", (), {}, dropped=("orders", "customers")))
    rest(mesh)

    lf, glue = (mesh.client(name, mesh.automation) for name in ("lakeformation", "glue"))
    granted = lf.list_permissions()["PrincipalResourcePermissions"]
    assert {row["Principal"]["DataLakePrincipalIdentifier"] for row in granted} == {"IAM_ALLOWED_PRINCIPALS"}
    assert not databases(mesh)
    assert not glue.get_crawlers()["Crawlers"]
    assert not lf.list_resources()["ResourceInfoList"]
    for account in ("333333333333", "444444444444"):
        assert not [each for each in mesh.world.engines["glue"].lookup.databases(account) if each.is_link]
    kinds = {key[1].partition("/")[0] for key in mesh.tables.items("ledger") if not key[0].startswith("history/")}
    assert not kinds
    assert all(mesh.objects.buckets[product.bucket] for product in load(BEFORE.files()).data_products)
    mesh.counts.clear()
    mesh.sweep()
    assert not written(mesh)
