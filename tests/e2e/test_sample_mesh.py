"""The sample mesh, deployed: who reads which columns, and what goes wrong afterwards without harm."""

import csv
import json
import os
import re
import shutil
from unittest import mock

import pyarrow.parquet
import pytest
from demo_run import run_demo, tagmesh
from deployed import CENTRAL, HR, SALES, Mesh, findings, role
from tagmesh.governance import load, read_folder
from typer.testing import CliRunner

from cli import approve, local
from cli import mesh as command_mesh
from cli.athena_client import QueryRefused, query, quoted
from cli.demo_accounts import Place
from cli.demo_queries import read_catalogue
from cli.main import app
from cli.project import ROOT

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


# ── Why and why not ─────────────────────────────────────────────────────────────────────────────────────────


def asked(sample, *arguments):
    """Exit code and output of a command about the kept mesh, run in this process."""
    with mock.patch.dict(os.environ):
        done = CliRunner().invoke(app, [*map(str, arguments), "--port", str(sample.port)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout if done.exit_code < 2 else done.stderr


@pytest.fixture(scope="module")
def told_access(sample):
    """(consumer, principal) -> what `tagmesh access` says, as JSON."""
    found = {}
    for consumer, principal in SAMPLE_ACCESS:
        code, said = asked(sample, "access", f"{consumer}/{principal}", "--json")
        assert code == 0
        found[consumer, principal] = json.loads(said)
    return found


@pytest.mark.parametrize(("consumer", "principal"), SAMPLE_ACCESS)
def test_access_says_what_the_queries_gave_and_why_the_rest_was_refused(sample, told_access, consumer, principal):
    carried = {
        (f"{table['database']}.{table['table']}", column["name"]): column["lf_tags"]
        for table in sample.told["tables"]
        for column in table["columns"] + table["partition_keys"]
    }
    readable, refused = {}, {}
    for table in told_access[consumer, principal]["tables"]:
        name = f"{table['database']}.{table['table']}"
        for column in table["columns"]:
            (readable if column["readable"] else refused).setdefault(name, set()).add(column["column"])
            if column["readable"]:
                assert {"tags", "account_grant", "share", "regrant", "resource_link", "location"} == {
                    *column["through"]
                }
                continue
            assert column["missing"] == "tags"
            said = column["reason"].partition(" has ")[2].partition(";")[0]
            out = dict(re.findall(r"(domain|sensitivity|pii)=(\w+)", said))
            assert out and out.items() <= carried[name, column["column"]].items()
    assert (readable, refused) == (sample.readable(consumer, principal), sample.refused(consumer, principal))


def test_can_and_who_agree_with_the_queries_and_end_as_they_say(sample, told_access):
    code, said = asked(sample, "can", "analytics/Analyst", "read", "sales_customers.customers.email", "--json")
    answer = json.loads(said)
    assert (code, list(answer)) == (1, ["readable", "reason", "chain"])
    assert "by contact.email" in answer["reason"] and "analytics/sales-internal" in answer["reason"]
    assert next(link["link"] for link in answer["chain"] if link["state"] == "missing") == "tags"

    code, said = asked(sample, "can", "finance/FinanceAnalyst", "read", "HR_people.employees.Salary")
    assert code == 0
    for part in ("by financial.pay", "finance/payroll", "granted to 444444444444", "share", "link hr_people"):
        assert part in " ".join(said.split())

    code, said = asked(sample, "who", "hr_people.employees.salary", "--json")
    readers = {each["principal"] for each in json.loads(said)["readers"]}
    assert (code, readers) == (0, {"finance/FinanceAnalyst"})
    others = {each["principal"] for each in json.loads(said)["others"]}
    assert {"analytics/Analyst", "analytics/DataAnalyst", "people_insights/PeopleAnalyst"} <= others
    assert asked(sample, "who", "hr_people.employees.national_id")[0] == 1


@pytest.mark.parametrize(
    ("principal", "column", "code", "part"),
    [
        ("analytics/Nobody", "sales_orders.orders.order_id", 1, "no subscription names analytics/Nobody"),
        ("arn:aws:iam::333333333333:role/Nobody", "sales_orders.orders.order_id", 1, "no subscription names"),
        ("arn:aws:iam::999999999999:role/Stranger", "sales_orders.orders.order_id", 1, "no governance file names"),
        ("analytic/Analyst", "sales_orders.orders.order_id", 2, "there are analytics"),
        ("Analyst", "sales_orders.orders.order_id", 2, "write CONSUMER/NAME"),
        ("arn:aws:iam::3333:role/Analyst", "sales_orders.orders.order_id", 2, "12 digits"),
        ("analytics/Analyst", "sales_order.orders.order_id", 2, "there are sales_orders"),
        ("analytics/Analyst", "sales_orders.order.order_id", 2, "it has orders"),
        ("analytics/Analyst", "sales_orders.orders.order_idd", 2, "it has order_id"),
        ("analytics/Analyst", "sales_orders.orders", 2, "write DATABASE.TABLE.COLUMN"),
        ("analytics/Analyst", "sales_orders..order_id", 2, "is no DATABASE"),
    ],
)
def test_can_says_no_for_who_is_in_no_file_and_refuses_what_there_is_not(sample, principal, column, code, part):
    found, said = asked(sample, "can", principal, "read", column)

    assert (found, part in " ".join(said.split())) == (code, True), said


def test_the_guides_commands_say_what_they_say_there(sample):
    guide = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ tagmesh (.*)\n((?s:.*?))\n```$", guide, re.MULTILINE)

    def words(text):  # whatever the width, and wherever in its file a rule stands
        return re.sub(r"(\.yaml):\d+", r"\1", " ".join(text.split()))

    assert len(shown) == 4
    for command, output in shown:
        assert words(asked(sample, *command.split())[1]) == words(output)


@pytest.mark.slow
def test_can_explains_what_is_missing_in_the_consumers_account(sample):
    place, account = Place(f"http://127.0.0.1:{sample.port}", "eu-west-1"), "333333333333"
    iam = place.administrator(account).client("iam")
    sql = "SELECT order_id FROM orders LIMIT 1"

    def missing():
        code, said = asked(sample, "can", "analytics/Analyst", "read", "sales_orders.orders.order_id", "--json")
        refused = []
        try:
            query(role(place, account, "Analyst").client("athena"), sql, "sales_orders")
        except QueryRefused as error:
            refused.append(error)
        assert bool(refused) == bool(code), said
        return next((link["link"] for link in json.loads(said)["chain"] if link["state"] == "missing"), None)

    assert missing() is None
    deny = {"Effect": "Deny", "Action": "lakeformation:GetDataAccess", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName="Analyst", PolicyName="no-data", PolicyDocument=policy)
    assert missing() == "iam"
    iam.delete_role_policy(RoleName="Analyst", PolicyName="no-data")
    assert missing() is None


@pytest.mark.slow
def test_the_printed_iam_policy_is_enough_to_query_and_nothing_of_it_can_be_left_out(sample):
    place, account = Place(f"http://127.0.0.1:{sample.port}", "eu-west-1"), "333333333333"
    iam = place.administrator(account).client("iam")
    held = {"RoleName": "Analyst", "PolicyName": "query-the-mesh"}
    before = json.dumps(iam.get_role_policy(**held)["PolicyDocument"])

    def checked(statements):
        iam.put_role_policy(**held, PolicyDocument=json.dumps(policy | {"Statement": statements}))
        code, said = asked(sample, "iam-policy", "analytics/Analyst", "--check", "--json")
        told = json.loads(said)
        assert (code == 0) == told["allowed"] == (not told["missing"])
        return {each["action"] for each in told["missing"]}

    def query_works():
        athena = role(place, account, "Analyst").client("athena")
        return query(athena, "SELECT order_id FROM orders LIMIT 1", "sales_orders")

    code, printed = asked(sample, "iam-policy", "analytics/Analyst", "--exact")
    policy = json.loads(printed)
    named = {arn.split(":database/")[1] for s in policy["Statement"] for arn in s["Resource"] if ":database/" in arn}
    assert (code, named) == (0, {"default", "sales_orders", "sales_customers"}), "as its subscription says, no others"
    try:
        assert checked(policy["Statement"]) == set()
        assert query_works()
        for left_out in policy["Statement"]:
            others = [each for each in policy["Statement"] if each is not left_out]
            assert checked(others) == {*left_out["Action"]} - {a for each in others for a in each["Action"]}
            with pytest.raises(Exception, match="(?i)denied|not authorized|permission|output bucket"):
                query_works()
        iam.put_role_policy(**held, PolicyDocument=json.dumps(policy | {"Statement": others}))
        code, said = asked(sample, "iam-policy", "analytics/Analyst", "--check")
        assert code == 1
        for part in ("s3:PutObject on arn:aws:s3:::tagmesh-athena-results-333333333333", "mend: attach"):
            assert part in " ".join(said.split())
    finally:
        iam.put_role_policy(**held, PolicyDocument=before)
    assert asked(sample, "iam-policy", "analytics/Analyst", "--check")[0] == 0, "the demo's people have what is printed"


@pytest.mark.parametrize(
    ("principal", "code", "part"),
    [
        ("analytics/Nobody", 1, "there is no analytics/Nobody"),
        ("arn:aws:iam::999999999999:role/Stranger", 2, "deploy accounts/consumer.yaml in 999999999999"),
        ("Analyst", 2, "write CONSUMER/NAME"),
    ],
)
def test_a_policy_that_cannot_be_checked_is_said(sample, principal, code, part):
    found, said = asked(sample, "iam-policy", principal, "--check")

    assert (found, part in " ".join(said.split())) == (code, True), said


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


@pytest.mark.slow
def test_what_is_printed_to_go_on_with_works(sample):
    commands = [line.split()[1:] for line in sample.printed.splitlines() if line.startswith("  tagmesh ")]
    asked = {command[0]: tagmesh(*command) for command in commands if command[0] != "local"}
    # A refusal of the demo, so `can` says no; `doctor` has only notices.
    assert {name: told.returncode for name, told in asked.items()} == {"can": 1, "access": 0, "who": 0, "doctor": 0}


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

    s3.put_object(Bucket=bucket, Key=longest, Body=b"order_id,customer_id,zorb\n1,7,red\n2,8,blue\n")
    s3.put_object(Bucket=bucket, Key=f"{folder}a file & more.csv", Body=b"order_id,customer_id,zorb\n3,9,red\n")
    s3.put_object(Bucket=bucket, Key=f"{folder}empty.csv", Body=b"")
    server = local.Server(pid=0, started="", port=sample.port)
    assert local.tell(server, "POST", "idle", {"timeout": 60}, timeout=90)["idle"]

    found = [
        table for table in read_catalogue(role(place, "555555555555", "tagmesh-doctor")) if folder in table.location
    ]
    analyst = role(place, "333333333333", "Analyst").client("athena")
    assert [column.name for column in found[0].columns] == ["order_id", "customer_id", "zorb"]
    answer = query(analyst, f"SELECT * FROM {quoted(found[0].table)} ORDER BY order_id", "sales_orders")
    assert answer.columns == ("order_id",)  # a customer's number is personal, and nobody knows what zorb is
    assert answer.rows == (("1",), ("2",), ("3",))


# ── What goes wrong afterwards: nothing is lost, and the others go on ────────────────────────────────────────


@pytest.fixture(scope="module")
def mesh(sample):
    assert sample.code == 0, sample.printed
    mesh = Mesh(sample.port)
    mesh.listen()
    return mesh


def test_an_upload_that_no_file_expects_is_refused_and_said(mesh):
    template = (ROOT / "accounts" / "producer.yaml").read_text(encoding="utf-8")
    mesh.client("222222222222", "cloudformation").create_stack(
        StackName="stray",
        TemplateBody=template,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[
            {"ParameterKey": "CentralAccountId", "ParameterValue": CENTRAL},
            {"ParameterKey": "BucketName", "ParameterValue": "stray-222222222222"},
        ],
    )
    mesh.client("222222222222", "cloudformation").get_waiter("stack_create_complete").wait(
        StackName="stray", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    mesh.upload("222222222222", "stray-222222222222", "people/secrets/a.csv", b"a,b\n1,2\n")

    units = mesh.settle()

    assert ("upload-refused", "222222222222/stray-222222222222") in findings(units)


@pytest.mark.slow
def test_a_crawl_that_fails_is_a_finding_and_the_next_one_heals_it(mesh):
    s3 = mesh.client(HR[0], "s3")
    policy = s3.get_bucket_policy(Bucket=HR[1])["Policy"]
    without = json.loads(policy)
    without["Statement"] = [s for s in without["Statement"] if s["Sid"] != "CatalogReadsObjects"]
    s3.put_bucket_policy(Bucket=HR[1], Policy=json.dumps(without))
    mesh.upload(*HR, "people/contracts/a.csv", b"office_code,city\nA,Lyon\n")
    mesh.upload(*SALES, "orders/shipments/a.csv", b"order_id,quantity\n1,2\n2,3\n")

    units = mesh.settle()

    assert ("crawl-failed", "data_product/hr/people") in findings(units)
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM shipments").rows == (("2",),)
    failed = mesh.told("DataProductFailed")[-1]
    assert (failed["data_product"], failed["findings"][0]["code"]) == ("data_product/hr/people", "crawl-failed")
    assert "data_product/sales/orders" in {published["data_product"] for published in mesh.told("DataProductPublished")}

    s3.put_bucket_policy(Bucket=HR[1], Policy=policy)
    mesh.upload(*HR, "people/leases/a.csv", b"office_code,city\nA,Lyon\n")
    units = mesh.settle()

    assert ("crawl-failed", "data_product/hr/people") not in findings(units)
    assert units["data_product/hr/people"].behind is False


@pytest.mark.slow
def test_a_csv_whose_columns_stand_otherwise_closes_its_table_until_it_is_mended(mesh):
    key = "orders/returns/b.csv"
    mesh.upload(*SALES, "orders/returns/a.csv", b"product_code,quantity\nP1,2\n")
    mesh.settle()
    assert mesh.query("Analyst", "SELECT product_code FROM returns").rows == (("P1",),)

    mesh.upload(*SALES, key, b"quantity,product_code\n3,P2\n")
    mesh.pass_time(1801)
    units = mesh.settle()
    assert ("csv-header-misfit", "sales_orders.returns") in findings(units)
    assert "another order" in tagmesh("explain", "sales_orders.returns.quantity", "--port", mesh.port).stdout
    assert "nothing would change" in tagmesh("plan", ROOT / "mesh", "--port", mesh.port).stdout
    with pytest.raises(QueryRefused):
        mesh.query("Analyst", "SELECT product_code FROM returns")

    mesh.upload(*SALES, key, b"product_code,quantity\nP2,3\n")
    mesh.pass_time(1801)
    units = mesh.settle()
    assert ("csv-header-misfit", "sales_orders.returns") not in findings(units)
    assert sorted(mesh.query("Analyst", "SELECT product_code FROM returns").rows) == [("P1",), ("P2",)]


def test_what_a_column_holds_closes_it_whatever_its_name_is(mesh):
    tags = {(t.table, c.name): dict(c.lf_tags) for t in mesh.catalogue() for c in t.columns}
    assert tags["web_events", "channel"] == {"domain": "sales", "sensitivity": "confidential", "pii": "contact"}
    assert tags["web_events", "page"]["sensitivity"] == "internal"
    with pytest.raises(QueryRefused):
        mesh.query("Analyst", "SELECT channel FROM web_events", "sales_customers")
    of_table = "decisions/sales_customers/web_events/"
    reasons = [body for key, body in mesh.governance_objects() if key.startswith(of_table)]
    channel = json.loads(reasons[-1])["columns"]["channel"]["sensitivity"]
    assert (channel["outcome"], channel["winners"][0]["matched"]) == ("raised", ["content email"])


def test_no_value_of_a_sample_is_kept_logged_or_handed_on(mesh):
    with open(ROOT / "sample_data/sales/customers/customers/customers.csv", newline="", encoding="utf-8") as file:
        values = {row[name] for row in csv.DictReader(file) for name in ("email", "phone", "last_name")}
    said = [body for _, body in mesh.governance_objects()]
    logs = mesh.client(CENTRAL, "logs").get_paginator("filter_log_events")
    said += [event["message"] for page in logs.paginate(logGroupName="/tagmesh/functions") for event in page["events"]]
    sfn = mesh.client(CENTRAL, "stepfunctions")
    machine = f"arn:aws:states:eu-west-1:{CENTRAL}:stateMachine:tagmesh-publish"
    runs = sfn.list_executions(stateMachineArn=machine)["executions"]
    said += [json.dumps(sfn.get_execution_history(executionArn=run["executionArn"]), default=str) for run in runs]

    assert any('"SampleContent"' in text for text in said), "a sample was taken"
    assert any("content sampled" in text for text in said)
    assert [value for value in values if any(value in text for text in said)] == []


@pytest.mark.slow
def test_a_sample_that_may_not_be_taken_is_a_finding_and_what_was_shown_stays_in_force(mesh):
    s3 = mesh.client(SALES[0], "s3")
    policy = s3.get_bucket_policy(Bucket=SALES[1])["Policy"]
    without = json.loads(policy)
    for statement in without["Statement"]:
        roles = statement["Condition"].get("ArnEquals", {}).get("aws:PrincipalArn", [])
        roles[:] = [role for role in roles if not role.endswith("/tagmesh-sample-content")]
    s3.put_bucket_policy(Bucket=SALES[1], Policy=json.dumps(without))
    mesh.upload(*SALES, "customers/visits/a.csv", b"page,segment\n/a,retail\n/b,trade\n")

    units = mesh.settle()

    missing = ("content-not-sampled", "data_product/sales/customers")
    assert missing in findings(units)
    assert mesh.query("Analyst", "SELECT COUNT(page) FROM visits", "sales_customers").rows == (("2",),)
    with pytest.raises(QueryRefused):
        mesh.query("Analyst", "SELECT channel FROM web_events", "sales_customers")

    s3.put_bucket_policy(Bucket=SALES[1], Policy=policy)
    mesh.pass_time(24 * 3600, skip=True)
    mesh.pass_time(1800)

    assert missing not in findings(mesh.settle())


@pytest.mark.slow
def test_a_sample_that_fails_does_not_keep_a_table_from_being_published(mesh):
    iam, role = mesh.client(CENTRAL, "iam"), {"RoleName": "tagmesh-sample-content", "PolicyName": "sample-content"}
    policy = iam.get_role_policy(**role)["PolicyDocument"]
    crippled = {**policy, "Statement": [s for s in policy["Statement"] if s["Sid"] != "WriteEvidence"]}
    iam.put_role_policy(**role, PolicyDocument=json.dumps(crippled))
    mesh.upload(*SALES, "customers/clicks/a.csv", b"page,segment\n/a,retail\n/b,trade\n/c,trade\n")

    units = mesh.settle()

    (failed,) = [f for f in units["data_product/sales/customers"].findings if f.code == "content-not-sampled"]
    assert "failed" in failed.message
    assert units["data_product/sales/customers"].behind is False
    assert mesh.query("Analyst", "SELECT COUNT(page) FROM clicks", "sales_customers").rows == (("3",),)
    with pytest.raises(QueryRefused):
        mesh.query("Analyst", "SELECT channel FROM web_events", "sales_customers")

    iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))
    mesh.upload(*SALES, "customers/taps/a.csv", b"page,segment\n/a,retail\n/b,trade\n")
    assert ("content-not-sampled", "data_product/sales/customers") not in findings(mesh.settle())


def test_a_governance_version_with_a_mistake_is_refused_and_the_last_good_one_stays(mesh):
    files = read_folder(ROOT / "mesh")

    units = mesh.apply({**files, "consumers/analytics.yaml": "consumer: analytics\naccount: 333333333333\n"})

    refused = [finding for finding in units["governance"].findings if finding.code == "governance-refused"]
    assert any(finding.subject.startswith("consumers/analytics.yaml:2:") for finding in refused)
    assert mesh.told("GovernanceRefused")[-1]["problems"][0].startswith("consumers/analytics.yaml:1:1: `subscr")
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM products").rows[0][0] != "0"


def test_access_follows_the_governance_files_and_comes_back_with_them(mesh):
    files = read_folder(ROOT / "mesh")
    nobody = files["consumers/analytics.yaml"].replace("role: Analyst", "role: Somebody")
    assert nobody != files["consumers/analytics.yaml"]

    units = mesh.apply({**files, "consumers/analytics.yaml": nobody})

    with pytest.raises(QueryRefused):
        mesh.query("Analyst", "SELECT COUNT(*) FROM products")
    assert ("principal-missing", "consumer/analytics/Somebody") in findings(units)

    units = mesh.apply(files)

    assert units["governance"].findings == ()
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM products").rows == (("32",),)


def test_a_subscription_that_is_removed_takes_its_access_along_and_nobody_elses(mesh):
    files = read_folder(ROOT / "mesh")
    analytics = files["consumers/analytics.yaml"]
    without = analytics[: analytics.index("  - name: workplaces")]
    (permission_set,) = [
        each["RoleName"]
        for each in mesh.client("333333333333", "iam").list_roles(PathPrefix="/aws-reserved/")["Roles"]
        if "DataAnalyst" in each["RoleName"]
    ]
    offices = "SELECT COUNT(*) FROM offices"
    data_analyst = f"aws-reserved/sso.amazonaws.com/eu-west-1/{permission_set}"
    assert mesh.query(data_analyst, offices, "hr_people").rows == (("4",),)

    mesh.apply({**files, "consumers/analytics.yaml": without})

    with pytest.raises(QueryRefused):
        mesh.query(data_analyst, offices, "hr_people")
    assert mesh.query(data_analyst, "SELECT COUNT(*) FROM products").rows == (("32",),)
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM products").rows == (("32",),)
    assert mesh.query("FinanceAnalyst", offices, "hr_people", "444444444444").rows == (("4",),)

    mesh.apply(files)

    assert mesh.query(data_analyst, offices, "hr_people").rows == (("4",),)


@pytest.mark.slow
def test_results_that_are_apart_are_read_by_who_queried_and_nobody_else(sample, mesh):
    files, account = read_folder(ROOT / "mesh"), "333333333333"
    iam, athena = (mesh.client(account, service) for service in ("iam", "athena"))
    listed = iam.list_roles(PathPrefix="/aws-reserved/")["Roles"]
    (permission_set,) = [each["RoleName"] for each in listed if "DataAnalyst" in each["RoleName"]]
    people = {"Analyst": "Analyst", "DataAnalyst": permission_set}
    groups = {"Analyst": "tagmesh-role-Analyst", "DataAnalyst": "tagmesh-permission-set-DataAnalyst"}
    analytics = files["consumers/analytics.yaml"].replace("\nsubscriptions:", "\nresults: apart\nsubscriptions:")
    before = {}
    assert "shared-results" in asked(sample, "doctor", "analytics")[1]

    mesh.apply({**files, "consumers/analytics.yaml": analytics})
    clients = {}
    for name, rolename in people.items():
        held = {"RoleName": rolename, "PolicyName": "query-the-mesh"}
        before[name] = held, json.dumps(iam.get_role_policy(**held)["PolicyDocument"])
        iam.put_role_policy(**held, PolicyDocument=asked(sample, "iam-policy", f"analytics/{name}")[1])
        assert asked(sample, "iam-policy", f"analytics/{name}", "--check")[0] == 0
        path = f"aws-reserved/sso.amazonaws.com/eu-west-1/{rolename}" if name == "DataAnalyst" else rolename
        clients[name] = role(mesh.place, account, path)

    def asks(name, group):
        return query(clients[name].client("athena"), "SELECT COUNT(*) FROM products", "sales_orders", group).rows

    assert [asks(name, groups[name]) for name in people] == [(("32",),)] * 2
    for name, group in (("DataAnalyst", groups["Analyst"]), ("Analyst", groups["DataAnalyst"]), ("Analyst", "tagmesh")):
        with pytest.raises(Exception, match="(?i)denied|not authorized"):
            asks(name, group)
    (first, *_) = athena.list_query_executions(WorkGroup=groups["Analyst"])["QueryExecutionIds"]
    place = athena.get_query_execution(QueryExecutionId=first)["QueryExecution"]["ResultConfiguration"][
        "OutputLocation"
    ]
    bucket, _, key = place.removeprefix("s3://").partition("/")
    assert key.startswith("apart/tagmesh-role-Analyst/")
    assert clients["Analyst"].client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with pytest.raises(Exception, match="AccessDenied"):
        clients["DataAnalyst"].client("s3").get_object(Bucket=bucket, Key=key)
    assert "shared-results" not in asked(sample, "doctor", "analytics")[1]

    mesh.apply(files)
    for held, policy in before.values():
        iam.put_role_policy(**held, PolicyDocument=policy)
    left = {each["Name"]: each["State"] for each in athena.list_work_groups()["WorkGroups"]}
    assert {name: left.get(name) for name in groups.values()} == dict.fromkeys(groups.values(), "DISABLED")
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM products").rows == (("32",),)


@pytest.mark.slow
def test_who_leaves_the_governance_files_loses_access_links_and_open_tags_and_gets_them_back(mesh):
    files = read_folder(ROOT / "mesh")

    def links(account):
        pages = mesh.client(account, "glue").get_paginator("get_databases").paginate()
        return {d["Name"] for page in pages for d in page["DatabaseList"] if "TargetDatabase" in d}

    before = links("444444444444")
    assert {"hr_people", "sales_orders"} <= before

    left = {"consumers/finance.yaml", "producers/hr.yaml"}
    mesh.apply({name: text for name, text in files.items() if name not in left})

    assert links("444444444444") == set()
    with pytest.raises(QueryRefused):
        mesh.query("PeopleAnalyst", "SELECT COUNT(*) FROM offices", "hr_people", "222222222222")
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM products").rows == (("32",),)
    closed = {
        t.table: dict(c.lf_tags)["domain"] for t in mesh.catalogue() for c in t.columns if t.database == "hr_people"
    }
    assert set(closed.values()) == {"unassigned"}

    mesh.apply(files)

    assert links("444444444444") == before
    assert mesh.query("PeopleAnalyst", "SELECT COUNT(*) FROM offices", "hr_people", "222222222222").rows == (("4",),)


@pytest.mark.slow
def test_the_mesh_is_asked_why_its_columns_are_tagged_as_they_are(mesh):
    told = tagmesh("explain", "sales_customers.customers.EMAIL", "--port", mesh.port)
    assert told.returncode == 0, told.stdout
    assert "sensitivity = confidential: raised" in told.stdout
    assert "by contact.email (rules/contact.yaml:" in told.stdout
    assert "domain = sales: the data product sales/customers has it" in told.stdout
    assert "Lake Formation carries these values" in told.stdout

    by_content = json.loads(
        tagmesh("explain", "sales_customers.web_events.channel", "--port", mesh.port, "--json").stdout
    )
    winners = by_content["columns"]["channel"]["decisions"]["pii"]["winners"]
    assert [match["matched"] for match in winners] == [["content email"]]

    told = tagmesh("classify", "--from-catalog", "--port", mesh.port, "--format", "csv", "--governance", ROOT / "mesh")
    rows = {
        f"{row['database']}.{row['table']}.{row['column']}": row for row in csv.DictReader(told.stdout.splitlines())
    }
    carried = {f"{t.database}.{t.table}.{c.name}": dict(c.lf_tags) for t in mesh.catalogue() for c in t.all_columns}
    assert len(rows) == len(carried)
    for name, tags in carried.items():
        assert {key: rows[name][key] for key in tags} == tags, name

    told = tagmesh("history", "sales_customers.customers.EMAIL", "--port", mesh.port, "--json")
    (change, *_) = json.loads(told.stdout)["changes"]
    assert change["columns"]["email"]["sensitivity"]["after"] == "confidential"
    told = tagmesh("history", "sales_customers.customers.emal", "--port", mesh.port)
    assert (told.returncode, "never had a column emal" in told.stdout) == (2, True)

    told = tagmesh("sweep", "--port", mesh.port)
    assert (told.returncode, told.stdout) == (0, "everything is as it should be\n")

    told = tagmesh("coverage", "--port", mesh.port, "--json")
    left = {name for name, tags in carried.items() if tags["sensitivity"] == "unclassified"}
    assert set(json.loads(told.stdout)["left"]) == left
    assert told.returncode == (1 if left else 0)

    told = tagmesh("explain", "sales_customers.customer", "--port", mesh.port)
    assert told.returncode == 2
    assert "no table customer; it has customers" in told.stdout


@pytest.mark.slow
def test_a_data_product_that_the_files_drop_leaves_its_data_alone_and_comes_back_from_it(mesh, tmp_path):
    files = read_folder(ROOT / "mesh")
    people = load(files).data_product("data_product/hr/people")
    hr, found = re.subn(r"(  - name: people\b.*\n)", r"\1    state: dropped\n", files["producers/hr.yaml"])
    assert found == 1
    lake, catalogue = mesh.client(CENTRAL, "lakeformation"), mesh.client(CENTRAL, "glue")

    def made():
        """What is there of its database, its tables, its crawler and its location."""
        auditor = role(mesh.place, CENTRAL, "tagmesh-doctor").client("glue")
        locations = {each["ResourceArn"] for each in lake.list_resources()["ResourceInfoList"]}
        databases = {each["Name"] for each in auditor.get_databases()["DatabaseList"]}
        return (
            "hr_people" in databases,
            {each.table for each in mesh.catalogue() if each.database == "hr_people"},
            people.crawler in catalogue.list_crawlers(MaxResults=100)["CrawlerNames"],
            f"arn:aws:s3:::{people.bucket}/{people.prefix}".rstrip("/") in locations,
        )

    def data():
        listed = mesh.client(HR[0], "s3").list_objects_v2(Bucket=HR[1])["Contents"]
        return {(each["Key"], each["ETag"]) for each in listed}

    before, kept = made(), data()
    assert (before[0], "offices" in before[1], *before[2:]) == (True, True, True, True)
    folder = tmp_path / "mesh"
    shutil.copytree(ROOT / "mesh", folder)
    (folder / "producers" / "hr.yaml").write_text(hr)
    shown = tagmesh("plan", folder, "--port", mesh.port).stdout
    assert f"DROPS     hr/people: {len(before[1])} tables of hr_people and the database itself" in shown
    assert "  - offices\n" in shown

    mesh.apply({**files, "producers/hr.yaml": hr})
    with pytest.raises(QueryRefused):
        mesh.query("PeopleAnalyst", "SELECT COUNT(*) FROM offices", "hr_people", "222222222222")
    mesh.pass_time(3600)

    assert made() == (False, set(), False, False)
    assert data() == kept
    assert people.unit not in mesh.settle()
    assert "hr/people" not in tagmesh("plan", folder, "--port", mesh.port).stdout

    mesh.apply(files)

    assert made() == before
    assert mesh.query("PeopleAnalyst", "SELECT COUNT(*) FROM offices", "hr_people", "222222222222").rows == (("4",),)


@pytest.mark.slow
def test_a_plan_says_who_gains_what_and_applying_it_does_just_that(mesh, tmp_path):
    def plan(folder):
        told = tagmesh("plan", folder, "--port", mesh.port, "--json")
        assert told.returncode == 0, told.stdout
        return json.loads(told.stdout)

    def emails():
        return mesh.query("Analyst", "SELECT COUNT(email) FROM customers", "sales_customers").rows

    as_it_is = plan(ROOT / "mesh")
    assert (as_it_is["access"], as_it_is["tags"], as_it_is["grants"], as_it_is["links"]) == ([], [], [], [])

    folder = tmp_path / "mesh"
    shutil.copytree(ROOT / "mesh", folder)
    (folder / "overrides").mkdir()
    (folder / "overrides" / "survey.yaml").write_text(
        "overrides:\n  - {data_product: sales/customers, table: customers, column: email, author: ann,\n"
        "     approved_by: bo, reason: a survey, tags: {pii: none, sensitivity: internal}}\n"
    )
    found = plan(folder)
    gains = {(each["consumer"], each["principal"]): each for each in found["access"]}
    assert ("analytics", "Analyst") in gains
    assert not any(each["lost"] for each in found["access"])
    for each in gains.values():
        assert (each["table"], [column["column"] for column in each["gained"]]) == ("customers", ["email"])
    assert found["calls"] == len(found["tags"]) > 0
    shown = tagmesh("plan", folder, "--port", mesh.port).stdout
    assert "analytics/Analyst (333333333333) sales_customers.customers: + email" in shown
    with pytest.raises(QueryRefused):
        emails()

    before = mesh.counts()["lakeformation:AddLFTagsToResource"]
    told = tagmesh("apply", folder, "--port", mesh.port)
    assert told.returncode == 0, told.stdout
    units = mesh.settle()
    assert emails() != ()
    assert mesh.counts()["lakeformation:AddLFTagsToResource"] - before == len(found["tags"])
    assert plan(folder)["calls"] == 0

    told = tagmesh("status", "--port", mesh.port, "--json")
    states = {each["name"]: each for each in json.loads(told.stdout)["units"]}
    assert states["data_product/sales/customers"]["state"] == "settled"
    assert told.returncode == (1 if any(unit.findings for unit in units.values()) else 0)
    assert "data_product/sales/customers  settled" in tagmesh("status", "--port", mesh.port).stdout

    (folder / "overrides" / "survey.yaml").write_text("overrides: [{table: customers}]\n")
    told = tagmesh("apply", folder, "--port", mesh.port)
    assert told.returncode == 1
    assert "overrides/survey.yaml:1:13: `data_product` is missing" in told.stdout
    assert emails() != (), "the last good version stays"

    assert tagmesh("apply", ROOT / "mesh", "--port", mesh.port).returncode == 0
    mesh.settle()
    with pytest.raises(QueryRefused):
        emails()


def steward(mesh):
    """A person who is made an administrator of the data lake."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": ["lakeformation:*", "glue:Get*"], "Resource": "*"}
    iam, lake = mesh.client(CENTRAL, "iam"), mesh.client(CENTRAL, "lakeformation")
    made = iam.create_role(
        RoleName="Steward", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="Steward", PolicyName="lake", PolicyDocument=policy)
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    settings["DataLakeAdmins"].append({"DataLakePrincipalIdentifier": made["Role"]["Arn"]})
    lake.put_data_lake_settings(DataLakeSettings=settings)
    return role(mesh.place, CENTRAL, "Steward")


@pytest.mark.slow
def test_a_stricter_tag_of_a_person_stays_and_a_looser_one_does_not(mesh):
    lake = steward(mesh).client("lakeformation")
    assert mesh.query("Analyst", "SELECT COUNT(category) FROM products").rows == (("32",),)
    with pytest.raises(QueryRefused):
        mesh.query("Analyst", "SELECT email FROM customers", "sales_customers")

    def assign(database, table, column, value):
        every = ["ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT"]
        me = {"DataLakePrincipalIdentifier": f"arn:aws:iam::{CENTRAL}:role/Steward"}
        lake.grant_permissions(
            Principal=me,
            Resource={"Table": {"DatabaseName": database, "Name": table}},
            Permissions=every,
            PermissionsWithGrantOption=every,
        )
        tag = {"TagKey": "sensitivity", "TagValues": [value]}
        lake.grant_permissions(Principal=me, Resource={"LFTag": tag}, Permissions=["ASSOCIATE"])
        columns = {"DatabaseName": database, "Name": table, "ColumnNames": [column]}
        answer = lake.add_lf_tags_to_resource(Resource={"TableWithColumns": columns}, LFTags=[tag])
        assert not answer.get("Failures")

    def swept():
        mesh.pass_time(1000)
        return findings(mesh.settle())

    assign("sales_orders", "products", "category", "restricted")
    assign("sales_customers", "customers", "phone", "public")

    assert {
        ("stricter-by-hand", "sales_orders.products.category"),
        ("looser-by-hand", "sales_customers.customers.phone"),
    } <= swept()
    repaired = {each["unit"]: each["repaired"] for each in mesh.told("DriftRepaired")}
    assert repaired["data_product/sales/customers"] == [
        {"kind": "tags", "database": "sales_customers", "table": "customers", "columns": ["phone"]}
    ]
    assert "data_product/sales/orders" not in repaired
    tags = {(t.table, c.name): dict(c.lf_tags)["sensitivity"] for t in mesh.catalogue() for c in t.columns}
    assert tags["products", "category"] == "restricted"
    assert tags["customers", "phone"] == "confidential"
    for sql, database in (("category FROM products", "sales_orders"), ("phone FROM customers", "sales_customers")):
        with pytest.raises(QueryRefused):
            mesh.query("Analyst", f"SELECT {sql}", database)

    assign("sales_orders", "products", "category", "public")  # as the rules have it
    assert ("stricter-by-hand", "sales_orders.products.category") not in swept()
    assert mesh.query("Analyst", "SELECT COUNT(category) FROM products").rows == (("32",),)


@pytest.mark.slow
def test_hours_of_sweeps_of_a_mesh_that_is_as_it_should_be_write_nothing(mesh):
    mesh.settle()
    before, swept = mesh.counts(), mesh.runs("tagmesh-sweep")

    mesh.pass_time(2 * 3600)

    assert mesh.runs("tagmesh-sweep") == swept + ["SUCCEEDED"] * 8
    reads = ("Get", "List", "Search", "Describe", "BatchGet", "AssumeRole", "Invoke", "Scan", "Query", "StartExecution")
    written = {
        operation: count - before.get(operation, 0)
        for operation, count in mesh.counts().items()
        if operation.startswith(("lakeformation:", "glue:", "ram:", "s3:", "dynamodb:"))
        and not operation.partition(":")[2].startswith(reads)
        and count > before.get(operation, 0)
    }
    assert written == {}
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM products").rows != ()


@pytest.mark.slow
def test_one_correlation_id_leads_from_the_upload_to_the_grant(mesh):
    before = mesh.counts()
    mesh.upload(*SALES, "customers/loyalty/a.csv", b"segment,created_at\nretail,2025-01-01\ntrade,2025-01-02\n")
    mesh.settle()
    after = mesh.counts()
    for unneeded in ("lakeformation:BatchGrantPermissions", "lakeformation:CreateLFTag", "glue:CreateDatabase"):
        assert after.get(unneeded) == before.get(unneeded), "a new table needs nothing but its tags"
    seen = {}
    for line in mesh.log_lines():
        seen.setdefault(line.get("correlation_id"), set()).add(line.get("message"))
    chain = {"uploads counted", "crawl prepared", "tables classified", "tags applied", "access granted"}
    assert any(chain | {"consumer linked"} <= messages for messages in seen.values())


@pytest.mark.slow
def test_an_override_opens_a_column_until_it_expires_if_somebody_else_agrees(mesh):
    files = read_folder(ROOT / "mesh")
    today = mesh.now()[:10]
    override = f"""overrides:
  - data_product: sales/customers
    table: customers
    column: postal_code
    tags: {{pii: none, sensitivity: internal}}
    author: ann
    reason: needed for a survey
    expires: {today}
"""
    refused = ("override-not-approved", "sales_customers.customers.postal_code")

    def postal_codes():
        return mesh.query("Analyst", "SELECT COUNT(postal_code) FROM customers", "sales_customers").rows

    assert refused in findings(mesh.apply({**files, "overrides/survey.yaml": override}))
    with pytest.raises(QueryRefused):
        postal_codes()

    units = mesh.apply({**files, "overrides/survey.yaml": f"{override}    approved_by: bo\n"})
    assert refused not in findings(units)
    assert postal_codes() == (("80",),)

    mesh.pass_time(24 * 3600, skip=True)
    mesh.pass_time(1800)
    assert ("override-expired", "sales_customers.customers.postal_code") in findings(mesh.settle())
    with pytest.raises(QueryRefused):
        postal_codes()


def approver(mesh):
    """A role that may do what docs/approval.md says that the commands need, and no more."""
    named = {
        "the table `tagmesh-units`": [f"arn:aws:dynamodb:eu-west-1:{CENTRAL}:table/tagmesh-units"],
        "the table `tagmesh-ledger`": [f"arn:aws:dynamodb:eu-west-1:{CENTRAL}:table/tagmesh-ledger"],
        "`versions/*` of the governance bucket": [f"arn:aws:s3:::tagmesh-governance-{CENTRAL}-eu-west-1/versions/*"],
        "`*`": ["*"],
        "the machine `tagmesh-approve`": [f"arn:aws:states:eu-west-1:{CENTRAL}:stateMachine:tagmesh-approve"],
    }
    row = r"^\| (`\w+:.+?) \| (.+?)(?:, where `(.+?)` is `(.+?)`)?(?:;.*)? \|$"
    rows = re.findall(row, (ROOT / "docs" / "approval.md").read_text("utf-8"), re.M)
    assert {where for _, where, *_ in rows} == set(named)
    may = []
    for actions, where, key, value in rows:
        condition = {"Condition": {"ForAllValues:StringEquals": {key: [value]}}} if key else {}
        said = {"Effect": "Allow", "Action": re.findall(r"\w+:\w+", actions), "Resource": named[where]}
        may.append({**said, **condition})
    assert sum("Condition" in statement for statement in may) == 2
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"}, "Action": "sts:AssumeRole"}
    iam = mesh.client(CENTRAL, "iam")
    iam.create_role(
        RoleName="Approver", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    policy = json.dumps({"Version": "2012-10-17", "Statement": may})
    iam.put_role_policy(RoleName="Approver", PolicyName="approve", PolicyDocument=policy)
    return role(mesh.place, CENTRAL, "Approver").client


@pytest.mark.slow
def test_what_needs_approval_is_asked_for_and_read_while_it_is_approved(mesh):
    files = read_folder(ROOT / "mesh")
    closed = files["mesh.yaml"].replace("confidential,", "{value: confidential, approval: required},")
    required = {**files, "mesh.yaml": closed}
    sns, sqs = mesh.client(CENTRAL, "sns"), mesh.client(CENTRAL, "sqs")
    topic = f"arn:aws:sns:eu-west-1:{CENTRAL}:tagmesh-approvals"
    url, queue = sqs.create_queue(QueueName="approvers")["QueueUrl"], f"arn:aws:sqs:eu-west-1:{CENTRAL}:approvers"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)

    def salaries():
        return mesh.query("FinanceAnalyst", "SELECT COUNT(salary) FROM employees", "hr_people", "444444444444").rows

    def command(*words):
        told = tagmesh(*words, "--port", mesh.port)
        return told.returncode, told.stdout + (told.stderr or "")

    read = salaries()
    mesh.apply(required)
    with pytest.raises(QueryRefused):
        salaries()
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM products").rows == (("32",),)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    bodies = {body["Subject"]: body["Message"] for body in (json.loads(message["Body"]) for message in messages)}
    assert sorted(bodies) == [f"tagmesh: consumer {name} asks for approval" for name in ("finance", "people_insights")]
    letter = bodies["tagmesh: consumer finance asks for approval"]
    assert re.search(r"hr_people\.employees: .*\bsalary\b", letter)
    (key,) = re.findall(r"tagmesh approve (\w+)", letter)

    entries = mesh.client(CENTRAL, "dynamodb").query(
        TableName="tagmesh-ledger",
        KeyConditionExpression="#unit = :unit",
        ExpressionAttributeNames={"#unit": "unit"},
        ExpressionAttributeValues={":unit": {"S": "approvals"}},
    )["Items"]
    tokens = [json.loads(entry["entry"]["S"])["detail"]["token"] for entry in entries]
    assert len(tokens) == 2 and all(tokens)
    told = json.dumps([messages, mesh.log_lines(), list(mesh.governance_objects())])
    assert not any(token in told for token in tokens)
    assert mesh.runs("tagmesh-approve") == ["RUNNING"] * 2

    code, said = command("status")
    assert code == 1 and f"tagmesh approve {key}" in said and "waits-for-approval  finance/payroll" in said
    code, said = command("approve", key, "--reason", "audited")
    assert (code, "finance/payroll" in said) == (0, True)
    mesh.settle()
    assert salaries() == read
    assert sorted(mesh.runs("tagmesh-approve")) == ["RUNNING", "SUCCEEDED"]
    code, said = command("approve", "finance/payroll")
    assert code == 2 and "decided already: approved by arn:aws:" in said and "audited" in said
    assert command("approve", "finance/turnover")[0] == 2

    with mock.patch.dict(os.environ):  # the commands' mesh names the tables for our own modules
        asked = command_mesh.Mesh(CENTRAL, "eu-west-1", approver(mesh), lambda issued: None)
        decided = approve.decide(asked, "people_insights/workforce", "", approve=True)
    assert decided.started and "assumed-role/Approver/" in decided.decision.by
    mesh.settle()
    assert mesh.runs("tagmesh-approve") == ["SUCCEEDED"] * 2
    assert mesh.query("PeopleAnalyst", "SELECT COUNT(days) FROM absences", "hr_people", "222222222222").rows

    code, said = command("deny", "finance/payroll", "--reason", "left")
    assert code == 0, said
    mesh.settle()
    with pytest.raises(QueryRefused):
        salaries()
    code, said = command("status")
    assert "approval-denied  finance/payroll" in said and ": left" in said

    mesh.apply(files)
    assert salaries() == read


@pytest.mark.slow
def test_a_subscription_ends_by_itself_after_its_last_day(mesh):
    files = read_folder(ROOT / "mesh")
    today = mesh.now()[:10]
    finance = files["consumers/finance.yaml"]
    ends = {**files, "consumers/finance.yaml": f"{finance.rstrip()}\n    expires: {today}\n"}

    def products():
        return mesh.query("FinanceAnalyst", "SELECT COUNT(*) FROM products", account="444444444444").rows

    mesh.apply(ends)
    assert products() == (("32",),)

    mesh.pass_time(24 * 3600, skip=True)
    mesh.pass_time(1800)
    mesh.settle()
    with pytest.raises(QueryRefused):
        products()
    told = tagmesh("status", "--port", mesh.port)
    assert f"notice: finance/turnover expired on {today}" in told.stdout

    mesh.apply(files)
    assert products() == (("32",),)


@pytest.mark.slow
def test_metrics_are_emitted_as_the_alarms_ask_for_them(mesh):
    alarms = mesh.client(CENTRAL, "cloudwatch").describe_alarms()["MetricAlarms"]
    asked = {
        (alarm["MetricName"], tuple((each["Name"], each["Value"]) for each in alarm["Dimensions"]))
        for alarm in alarms
        if alarm["Namespace"] == "tagmesh"
    }
    emitted = {
        (metric["Name"], tuple((name, line[name]) for name in names))
        for line in mesh.log_lines()
        for each in line.get("_aws", {}).get("CloudWatchMetrics", [])
        if each["Namespace"] == "tagmesh"
        for names in each["Dimensions"]
        for metric in each["Metrics"]
    }
    names = {name for name, _ in emitted}
    assert {"Sweeps", "UnclassifiedColumns"} <= names
    assert {each for each in asked if each[0] in names} <= emitted
