"""What gives access past the tags keeps its data product closed until it is mended; the others go on."""

from __future__ import annotations

import pytest
from convergence.doubles import CENTRAL
from convergence.ends import holds, written
from convergence.histories import TYPES, Exposure, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.aws import units
from tagmesh.governance import load

FILES = Wanted("usual", ("orders", "customers"), {"analytics": ("open",), "finance": ("contacts",)}).files()
ORDERS, CUSTOMERS = "data_product/sales/orders", "data_product/sales/customers"
EVERYBODY = "IAM_ALLOWED_PRINCIPALS"


@pytest.fixture
def mesh():
    with MeshInProcess() as mesh:
        mesh.exposure = Exposure(mesh)
        mesh.apply(FILES)
        mesh.settle()
        for product in load(FILES).data_products:
            mesh.upload(product, "first", tuple(TYPES.items()))
        mesh.settle()
        mesh.wait(1000)
        mesh.sweep()
        yield mesh


def grant(mesh: MeshInProcess, principal: str, resource: dict, *permissions: str, revoke: bool = False) -> None:
    """Somebody else's administrator of the central account; what he opens is not our fault."""
    watched, mesh.after_call = mesh.after_call, []
    lf = mesh.client("lakeformation", mesh.automation)
    do = lf.revoke_permissions if revoke else lf.grant_permissions
    do(Principal={"DataLakePrincipalIdentifier": principal}, Resource=resource, Permissions=list(permissions))
    mesh.after_call = watched
    mesh.exposure.look_again()


def table(name: str = "first", **more: object) -> dict:
    return {"Table": {"DatabaseName": "sales_orders", "Name": name, **more}}


ALL_TABLES = {"Table": {"DatabaseName": "sales_orders", "TableWildcard": {}}}
COLUMNS = {"TableWithColumns": {"DatabaseName": "sales_orders", "Name": "first", "ColumnNames": ["email"]}}
DATABASE = {"Database": {"Name": "sales_orders"}}
SOMEBODY = f"arn:aws:iam::{CENTRAL}:role/Somebody"


def read_from(mesh: MeshInProcess, database: str) -> set[tuple[str, str, str]]:
    return {each for each in mesh.queryable() if each[1].startswith(f"{database}.") and "/Somebody" not in each[0]}


@pytest.mark.parametrize(
    ("principal", "resource", "permissions", "code"),
    [
        (EVERYBODY, table(), ["ALL"], "open-to-iam"),
        (EVERYBODY, DATABASE, ["ALL"], "open-to-iam"),
        (EVERYBODY, ALL_TABLES, ["ALL"], "open-to-iam"),
        (SOMEBODY, table(), ["SELECT"], "named-grant"),
        (SOMEBODY, ALL_TABLES, ["SELECT"], "named-grant"),
        (SOMEBODY, COLUMNS, ["SELECT"], "named-grant"),
        ("666666666666", table(), ["SELECT"], "named-grant"),
    ],
)
def test_a_door_closes_its_data_product_until_it_is_mended(mesh, principal, resource, permissions, code):
    mesh.role(CENTRAL, "Somebody")
    mesh.account("666666666666", "Admin")
    before = {each: read_from(mesh, each) for each in ("sales_orders", "sales_customers")}
    assert all(before.values())

    grant(mesh, principal, resource, *permissions)
    mesh.sweep()

    assert read_from(mesh, "sales_orders") == set()
    assert read_from(mesh, "sales_customers") == before["sales_customers"]
    told = units.read(mesh.client("dynamodb"), ORDERS).findings
    assert [finding["code"] for finding in told] == [code]
    assert "sales_orders" in told[0]["subject"] and "revoke" in told[0]["mend"]
    assert units.read(mesh.client("dynamodb"), CUSTOMERS).findings == ()

    # New data of it is catalogued, and stays closed; nothing is left to do.
    mesh.upload(load(FILES).data_product(ORDERS), "second", tuple(TYPES.items()))
    mesh.settle()
    mesh.wait(1000)
    mesh.sweep()
    assert read_from(mesh, "sales_orders") == set()
    mesh.counts.clear()
    mesh.sweep()
    assert not written(mesh)

    grant(mesh, principal, resource, *permissions, revoke=True)
    mesh.sweep()
    assert read_from(mesh, "sales_orders") > before["sales_orders"]  # the new table too
    # A grant on all tables reads new ones at once: that is the door. Nobody else ever did.
    mesh.wrong[:] = [each for each in mesh.wrong if ":role/analytics" in each or ":role/finance" in each]
    holds(mesh, load(FILES))


def test_a_data_product_that_has_a_door_when_it_comes_is_never_opened(mesh):
    mesh.role(CENTRAL, "Somebody")
    files = Wanted("usual", ("orders", "customers", "people"), {"analytics": ("all",)}).files()
    glue = mesh.client("glue", mesh.automation)
    glue.create_database(DatabaseInput={"Name": "hr_people", "CreateTableDefaultPermissions": []})
    grant(mesh, SOMEBODY, {"Table": {"DatabaseName": "hr_people", "TableWildcard": {}}}, "SELECT")
    seen = []
    mesh.after_call.append(lambda *_: seen.append(bool(read_from(mesh, "hr_people"))))

    mesh.apply(files)
    mesh.settle()
    mesh.upload(load(files).data_product("data_product/hr/people"), "staff", tuple(TYPES.items()))
    mesh.settle()

    assert seen and not any(seen)
    (finding,) = units.read(mesh.client("dynamodb"), "data_product/hr/people").findings
    assert finding["code"] == "named-grant"


def test_what_an_administrator_holds_to_assign_tags_by_hand_closes_nothing(mesh):
    mesh.role(CENTRAL, "Somebody")
    lf = mesh.client("lakeformation", mesh.automation)
    settings = lf.get_data_lake_settings()["DataLakeSettings"]
    settings["DataLakeAdmins"].append({"DataLakePrincipalIdentifier": SOMEBODY})
    lf.put_data_lake_settings(DataLakeSettings=settings)
    before = read_from(mesh, "sales_orders")

    grant(mesh, SOMEBODY, table(), "SELECT")
    mesh.sweep()
    assert read_from(mesh, "sales_orders") == before

    settings["DataLakeAdmins"].pop()
    lf.put_data_lake_settings(DataLakeSettings=settings)
    mesh.sweep()
    assert read_from(mesh, "sales_orders") == set()


@pytest.mark.parametrize("permissions", [["DESCRIBE"], ["INSERT", "DELETE"]], ids=", ".join)
def test_what_reads_nothing_closes_nothing(mesh, permissions):
    mesh.role(CENTRAL, "Somebody")
    before = read_from(mesh, "sales_orders")

    grant(mesh, SOMEBODY, table(), *permissions)
    mesh.sweep()

    assert read_from(mesh, "sales_orders") == before
    assert units.read(mesh.client("dynamodb"), ORDERS).findings == ()


def test_a_door_that_is_found_or_mended_while_a_run_holds_the_unit_counts_also_where_the_crawl_after_it_fails(mesh):
    mesh.role(CENTRAL, "Somebody")
    product, dynamodb = load(FILES).data_product(ORDERS), mesh.client("dynamodb")
    mesh.crawls_failing.add(product.crawler)
    before = read_from(mesh, "sales_orders")

    def sweep_while_a_run_holds_it_and_then_crawl_in_vain(folder: str) -> None:
        lease = units.acquire(dynamodb, ORDERS, "publishing")
        mesh.sweep()
        units.release(dynamodb, lease)
        mesh.upload(product, folder, tuple(TYPES.items()))
        mesh.settle()
        mesh.wait(3600)
        mesh.settle()
        assert "crawl-failed" in [finding["code"] for finding in units.read(dynamodb, ORDERS).findings]

    grant(mesh, SOMEBODY, table(), "SELECT")
    sweep_while_a_run_holds_it_and_then_crawl_in_vain("second")
    mesh.sweep()
    assert read_from(mesh, "sales_orders") == set()

    grant(mesh, SOMEBODY, table(), "SELECT", revoke=True)
    sweep_while_a_run_holds_it_and_then_crawl_in_vain("third")
    mesh.sweep()
    assert read_from(mesh, "sales_orders") == before
