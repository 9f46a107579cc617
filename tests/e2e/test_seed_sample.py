"""`tagmesh demo` on other data and other governance files."""

import csv
import os
import shutil
import socket
from pathlib import Path

import pytest
from demo_run import run_demo

from cli.project import ROOT

pytestmark = pytest.mark.slow  # a deployment of its own

SHARED = Path(os.environ.get("TAGMESH_SHARED", ROOT.parent / "shared"))
SEED_SAMPLE = SHARED / "data" / "seed-sample"
SEED_GOVERNANCE = Path(__file__).parent / "seed_governance"


# ── Other data, other governance ────────────────────────────────────────────────────────────────────────────

OFFICES = "officecode city phone addressline1 addressline2 state country postalcode territory"
PUBLIC_OR_INTERNAL = {
    "customers": "customernumber customername city state country salesrepemployeenumber",
    "employees": "employeenumber officecode reportsto jobtitle",
    "offices": OFFICES,
    "orderdetails": "ordernumber productcode quantityordered priceeach orderlinenumber",
    "orders": "ordernumber orderdate requireddate shippeddate status customernumber",
    "payments": "customernumber paymentdate",
    "productlines": "productline",
    "products": "productcode productname productline productscale productvendor productdescription "
    "quantityinstock buyprice msrp",
}
PERSON = {
    "customers": "contactlastname contactfirstname phone addressline1 addressline2 postalcode",
    "employees": "lastname firstname extension email",
}
MONEY = {"customers": "creditlimit", "payments": "checknumber amount"}


@pytest.fixture(scope="module")
def seed(tmp_path_factory):
    """The demo on eight tables of another shop, with a folder of a producer that nobody described beside them."""
    if not SEED_SAMPLE.is_dir():
        pytest.skip(f"shared data is missing: {SEED_SAMPLE}")
    folder = tmp_path_factory.mktemp("seed")
    shutil.copytree(SEED_SAMPLE, folder / "data")
    for stray in ("toymuseum/visits/tickets", "classicmodels/archive/old"):
        (folder / "data" / stray).mkdir(parents=True)
        (folder / "data" / stray / "a.csv").write_text("ticket,price\n1,2\n", encoding="utf-8")
    return run_demo(folder, "--data", folder / "data", "--governance", SEED_GOVERNANCE)


def columns(*opened):
    """table of the seed sample -> set of columns, of some of the groups above together."""
    together = {}
    for group in opened:
        for table, names in group.items():
            together.setdefault(f"classicmodels_sales.{table}", set()).update(names.split())
    return together


def test_other_data_and_governance_work_as_well(seed):
    assert seed.told["errors"] == []
    assert seed.code == 0, seed.printed


@pytest.mark.parametrize(
    ("consumer", "principal", "expected"),
    [
        ("merchandising", "buying/Buyer", columns(PUBLIC_OR_INTERNAL)),
        ("support", "SupportAgent", columns(PUBLIC_OR_INTERNAL, PERSON)),
        ("bookkeeping", "ledger-report", columns(PUBLIC_OR_INTERNAL, MONEY)),
    ],
)
def test_roles_permission_sets_and_users_read_exactly_their_columns(seed, consumer, principal, expected):
    assert seed.readable(consumer, principal) == expected


def test_what_no_rule_knows_stays_closed_to_everyone(seed):
    read = {(entry["table"], column) for entry in seed.told["access"] for column in entry["columns"]}
    unknown = {("orders", "comments"), *(("productlines", c) for c in ("textdescription", "htmldescription", "image"))}

    assert not read & unknown
    reasons = {entry["reason"] for entry in seed.told["refused"] if entry["columns"] == ["comments"]}
    assert reasons
    assert all("nobody classified it" in reason for reason in reasons)


def test_quoted_commas_and_line_breaks_do_not_change_the_number_of_rows(seed):
    rows = {}
    for file in (SEED_SAMPLE / "classicmodels" / "sales").rglob("*.csv"):
        with file.open(newline="", encoding="utf-8") as text:
            rows[f"classicmodels_sales.{file.parent.name}"] = sum(1 for _ in csv.DictReader(text))

    assert seed.rows("merchandising", "buying/Buyer") == rows


def test_folders_that_nobody_describes_are_findings_and_stop_nothing(seed):
    found = {(finding["code"], finding["subject"]) for finding in seed.told["findings"]}

    assert {("undescribed-folder", "toymuseum"), ("undescribed-folder", "classicmodels/archive")} <= found
    assert "toymuseum [undescribed-folder]" in seed.printed
    assert all(finding["mend"] for finding in seed.told["findings"])


def test_the_local_aws_is_stopped_without_keep(seed):
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", seed.port)) != 0
