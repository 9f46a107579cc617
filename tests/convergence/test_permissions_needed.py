"""Each Lake Formation permission that our roles are given is one without which something does not work."""

from __future__ import annotations

import prepare_crawl
import pytest
from convergence.histories import TYPES, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.governance import load

FILES = Wanted("usual", ("orders",), {"analytics": ("open",)}).files()


def read_after_publishing(monkeypatch, without=(), resource=None) -> set:
    """What is read of a data product that is published while some of what prepare_crawl grants is not granted.

    Args:
        without: permissions that are left out.
        resource: the kind of the resource on which they are.
    """
    entry = prepare_crawl.entry

    def less(wanted):
        principal, on, names, grantable = wanted
        if resource in on:
            names = [name for name in names if name not in without]
            grantable = [name for name in grantable if name not in without]
        return entry((principal, on, names, grantable))

    grant = prepare_crawl.lakeformation.grant

    def some(lf, entries, **catalog):
        grant(lf, [each for each in entries if each["Permissions"]], **catalog)

    monkeypatch.setattr(prepare_crawl, "entry", less)
    monkeypatch.setattr(prepare_crawl.lakeformation, "grant", some)
    with MeshInProcess() as mesh:
        if resource == "DataLocation":
            # A database that somebody else made: one of ours lies at the location, which CREATE_TABLE on it covers.
            # [Lake Formation developer guide, Underlying data access control]
            database = {"Name": "sales_orders", "CreateTableDefaultPermissions": []}
            mesh.client("glue", mesh.automation).create_database(DatabaseInput=database)
        mesh.apply(FILES)
        mesh.settle()
        mesh.upload(load(FILES).data_products[0], "first", tuple(TYPES.items()))
        mesh.settle()
        return mesh.queryable()


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("resource", [None, "DataLocation"])
def test_with_all_of_it_the_data_product_is_read(monkeypatch, resource):
    assert read_after_publishing(monkeypatch, resource=resource)


@pytest.mark.parametrize(
    ("resource", "permission"),
    [
        ("DataLocation", "DATA_LOCATION_ACCESS"),
        ("Database", "CREATE_TABLE"),
        *(("Table", name) for name in prepare_crawl.TAGGING),
    ],
)
def test_without_one_of_them_it_is_not(monkeypatch, resource, permission):
    assert read_after_publishing(monkeypatch, (permission,), resource) == set()
