"""The whole chain, deployed: `tagmesh demo` on the sample and on shared data, and who reads which columns after it."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
import pytest

from cli import local
from cli.athena_client import query, quoted
from cli.demo_accounts import Identity, Place
from cli.demo_queries import read_catalogue
from cli.project import ROOT

SHARED = Path(os.environ.get("TAGMESH_SHARED", ROOT.parent / "shared"))
SEED_SAMPLE = SHARED / "data" / "seed-sample"
SEED_GOVERNANCE = Path(__file__).parent / "seed_governance"


@dataclass(frozen=True)
class Run:
    """A finished `tagmesh demo`: its exit code, what it printed, and its JSON."""

    code: int
    printed: str
    told: dict
    port: int

    def readable(self, consumer, principal):
        """table -> the columns that a principal could query, as a set."""
        return {
            f"{entry['database']}.{entry['table']}": set(entry["columns"])
            for entry in self.told["access"]
            if (entry["consumer"], entry["principal"]) == (consumer, principal)
        }

    def rows(self, consumer, principal):
        """table -> number of rows that a principal could count."""
        return {
            f"{entry['database']}.{entry['table']}": entry["rows"]
            for entry in self.told["access"]
            if (entry["consumer"], entry["principal"]) == (consumer, principal)
        }

    def refused(self, consumer, principal):
        """table -> the columns that a principal was refused, as a set."""
        refused = {}
        for entry in self.told["refused"]:
            if (entry["consumer"], entry["principal"]) == (consumer, principal):
                refused.setdefault(f"{entry['database']}.{entry['table']}", set()).update(entry["columns"])
        return refused


def tagmesh(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "80", "TERM": "dumb"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_demo(folder, *arguments):
    port = free_port()
    done = tagmesh("demo", "--port", port, "--json", folder / "told.json", *arguments)
    assert (folder / "told.json").is_file(), done.stdout
    return Run(done.returncode, done.stdout, json.loads((folder / "told.json").read_text(encoding="utf-8")), port)


# ── The sample ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The demo on the sample data and the sample governance; its local AWS is kept until the tests are done."""
    run = run_demo(tmp_path_factory.mktemp("sample"), "--keep")
    yield run
    tagmesh("local", "down", "--port", run.port)


ORDERS = "order_id ordered_at order_status sales_channel order_total currency order_year order_month"
SALES_COLUMNS = {
    "sales_orders.orders": ORDERS,
    "sales_orders.order_lines": "order_id line_number product_code quantity unit_price",
    "sales_orders.products": "product_code product_name category list_price stock_quantity",
    "sales_customers.customers": "segment created_at",
    "sales_customers.web_events": "event_id event_type occurred_at page",
}
HR_COLUMNS = {
    "hr_people.employees": "department hired_on",
    "hr_people.absences": "absence_id days year",
    "hr_people.offices": "office_code city country opened_on",
}
SAMPLE_ACCESS = {
    ("analytics", "Analyst"): SALES_COLUMNS,
    ("analytics", "DataAnalyst"): SALES_COLUMNS | HR_COLUMNS,
    ("finance", "FinanceAnalyst"): SALES_COLUMNS | HR_COLUMNS | {"hr_people.employees": "salary department hired_on"},
    ("people_insights", "PeopleAnalyst"): {
        "hr_people.employees": "employee_id full_name work_email department hired_on",
        "hr_people.absences": "absence_id employee_id days year",
        "hr_people.offices": "office_code city country opened_on",
    },
}


def test_the_demo_ends_well(sample):
    assert sample.told["errors"] == []
    assert sample.code == 0, sample.printed


@pytest.mark.parametrize(("consumer", "principal"), SAMPLE_ACCESS)
def test_each_principal_reads_exactly_its_columns(sample, consumer, principal):
    expected = {table: set(columns.split()) for table, columns in SAMPLE_ACCESS[consumer, principal].items()}

    assert sample.readable(consumer, principal) == expected


def test_nobody_else_reads_anything(sample):
    assert {(entry["consumer"], entry["principal"]) for entry in sample.told["access"]} == set(SAMPLE_ACCESS)


@pytest.mark.parametrize(("consumer", "principal"), SAMPLE_ACCESS)
def test_every_other_column_was_asked_for_and_refused_with_a_reason(sample, consumer, principal):
    every_column = {
        f"{table['database']}.{table['table']}": {c["name"] for c in table["columns"] + table["partition_keys"]}
        for table in sample.told["tables"]
    }
    readable = sample.readable(consumer, principal)
    closed = {table: columns - readable.get(table, set()) for table, columns in every_column.items()}

    assert sample.refused(consumer, principal) == {table: columns for table, columns in closed.items() if columns}
    assert all(entry["reason"] for entry in sample.told["refused"])


def test_the_rows_of_every_file_are_counted(sample):
    data = ROOT / "sample_data"

    def csv_rows(folder):
        files = [open(file, newline="", encoding="utf-8") for file in sorted(folder.rglob("*.csv"))]  # noqa: SIM115
        rows = sum(sum(1 for _ in csv.DictReader(file)) for file in files)
        for file in files:
            file.close()
        return rows

    def lines(folder):
        return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in folder.rglob("*.jsonl"))

    lines_of_orders = (data / "sales/orders/order_lines").glob("*.parquet")
    assert sample.rows("analytics", "DataAnalyst") == {
        "sales_orders.orders": csv_rows(data / "sales/orders/orders"),
        "sales_orders.order_lines": sum(pyarrow.parquet.read_metadata(file).num_rows for file in lines_of_orders),
        "sales_orders.products": csv_rows(data / "sales/orders/products"),
        "sales_customers.customers": csv_rows(data / "sales/customers/customers"),
        "sales_customers.web_events": lines(data / "sales/customers/web_events"),
        "hr_people.employees": csv_rows(data / "hr/people/employees"),
        "hr_people.absences": lines(data / "hr/people/absences"),
        "hr_people.offices": csv_rows(data / "hr/people/offices"),
    }


def test_the_catalogue_is_told_with_types_and_tags(sample):
    tables = {f"{table['database']}.{table['table']}": table for table in sample.told["tables"]}
    orders = tables["sales_orders.orders"]
    employees = {column["name"]: column for column in tables["hr_people.employees"]["columns"]}

    assert orders["location"].rstrip("/") == "s3://sales-raw-111111111111/orders/orders"
    assert [key["name"] for key in orders["partition_keys"]] == ["order_year", "order_month"]
    assert employees["national_id"]["lf_tags"] == {"domain": "hr", "sensitivity": "restricted", "pii": "identity"}
    assert employees["department"]["lf_tags"] == {"domain": "hr", "sensitivity": "internal", "pii": "none"}


def test_the_chain_is_seen_from_the_upload_to_the_queries(sample):
    stages = [event["stage"] for event in sample.told["timeline"]]
    seconds = [event["seconds"] for event in sample.told["timeline"]]

    assert seconds[-1] >= max(seconds) - 1
    assert [stages.index(stage) for stage in ("build", "deploy", "upload", "query")] == sorted(
        stages.index(stage) for stage in ("build", "deploy", "upload", "query")
    )
    machines = {(run["state_machine"], run["status"]) for run in sample.told["executions"]}
    assert machines == {(f"tagmesh-{name}", "SUCCEEDED") for name in ("crawl", "publish", "share", "sweep")}
    assert sample.told["calls"]["glue:StartCrawler"] >= 3
    assert sample.told["calls"]["lakeformation:AddLFTagsToResource"] > 0


def test_what_is_printed_fits_a_dumb_terminal(sample):
    table_lines = [line for line in sample.printed.splitlines() if line.startswith(("|", "+"))]

    assert table_lines
    assert max(map(len, table_lines)) <= 80
    assert "\x1b" not in sample.printed
    assert f"tagmesh local down --port {sample.port}" in sample.printed


def test_a_second_demo_beside_the_kept_one_is_told_to_stop_it(sample):
    again = tagmesh("demo", "--port", sample.port)

    assert again.returncode == 1
    assert f"already running at port {sample.port}" in again.stdout
    assert "Traceback" not in again.stdout


def test_a_table_that_arrives_later_is_published_whatever_its_files_are_called(sample):
    place = Place(f"http://127.0.0.1:{sample.port}", "eu-west-1")
    bucket, folder = "sales-raw-111111111111", "orders/returned goods+100% été/"
    s3 = place.administrator("111111111111").client("s3")
    longest = folder + "r" * (1000 - len(folder) - len(".csv")) + ".csv"

    s3.put_object(Bucket=bucket, Key=longest, Body=b"order_id,customer_id,colour_of_box\n1,7,red\n2,8,blue\n")
    s3.put_object(
        Bucket=bucket, Key=f"{folder}a file & more.csv", Body=b"order_id,customer_id,colour_of_box\n3,9,red\n"
    )
    s3.put_object(Bucket=bucket, Key=f"{folder}empty.csv", Body=b"")
    server = local.Server(pid=0, started="", port=sample.port)
    assert local.tell(server, "POST", "idle", {"timeout": 60}, timeout=90)["idle"]

    found = [table for table in read_catalogue(role(place, "555555555555", "MeshAuditor")) if folder in table.location]
    analyst = role(place, "333333333333", "Analyst").client("athena")
    assert [column.name for column in found[0].columns] == ["order_id", "customer_id", "colour_of_box"]
    answer = query(analyst, f"SELECT * FROM {quoted(found[0].table)} ORDER BY order_id", "sales_orders")
    assert answer.columns == ("order_id",)  # a customer's number is personal, and nobody classified the box
    assert answer.rows == (("1",), ("2",), ("3",))


def role(place, account, name):
    """Somebody who has assumed a role."""
    arn = f"arn:aws:iam::{account}:role/{name}"
    issued = place.administrator(account).client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return Identity(place, issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


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


# ── Mistakes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mistake_in_the_governance_files_stops_everything_before_it_starts(tmp_path):
    shutil.copytree(ROOT / "mesh", tmp_path / "mesh")
    file = tmp_path / "mesh" / "producers" / "sales.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines.append("ownr: somebody@example.com")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    port = free_port()

    refused = tagmesh("demo", "--governance", tmp_path / "mesh", "--port", port, "--json", tmp_path / "told.json")

    assert refused.returncode == 1
    assert f"mesh/producers/sales.yaml:{len(lines)}:" in refused.stdout
    assert "did you mean `owner`" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert not (tmp_path / "told.json").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_data_folder_that_is_not_there_is_said_so(tmp_path):
    refused = tagmesh("demo", "--data", tmp_path / "nowhere", "--port", free_port())

    assert refused.returncode == 1
    assert "there is no folder" in refused.stdout
