"""What goes wrong on a running mesh: nothing is lost, the others go on, and people are told."""

import json
import time
from dataclasses import dataclass

import pytest
from tagmesh.governance import read_folder
from test_demo import run_demo, tagmesh

from cli import local
from cli.athena_client import QueryRefused, query
from cli.demo_accounts import Identity, Place
from cli.demo_follow import read_units
from cli.project import ROOT

CENTRAL = "555555555555"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    run = run_demo(tmp_path_factory.mktemp("sample"), "--keep")
    yield run
    tagmesh("local", "down", "--port", run.port)


# ── What goes wrong afterwards: nothing is lost, and the others go on ───────────────────────────────────────


@dataclass(frozen=True)
class Mesh:
    """The kept local AWS of the sample, and the hands of its administrators."""

    port: int

    def client(self, account, service):
        return Place(f"http://127.0.0.1:{self.port}", "eu-west-1").administrator(account).client(service)

    def upload(self, account, bucket, key, body):
        self.client(account, "s3").put_object(Bucket=bucket, Key=key, Body=body)

    def settle(self):
        """Waits until nothing is under way; the units."""
        local_aws = local.Server(0, "", self.port)
        deadline = time.monotonic() + 60
        while not local.tell(local_aws, "POST", "idle", {"timeout": 5}, timeout=30)["idle"]:
            assert time.monotonic() < deadline, "the mesh did not come to rest"
        return read_units(Place(f"http://127.0.0.1:{self.port}", "eu-west-1").administrator(CENTRAL))

    def apply(self, files):
        """What `tagmesh apply` does: a new governance bundle."""
        bucket = f"tagmesh-governance-{CENTRAL}-eu-west-1"
        body = json.dumps({"files": files}).encode()
        self.client(CENTRAL, "s3").put_object(Bucket=bucket, Key="governance.json", Body=body)
        return self.settle()

    def query(self, person, sql):
        """Rows as the analysts' role, or the error."""
        credentials = self.client("333333333333", "sts").assume_role(
            RoleArn=f"arn:aws:iam::333333333333:role/{person}", RoleSessionName="test"
        )["Credentials"]
        place = Place(f"http://127.0.0.1:{self.port}", "eu-west-1")
        identity = Identity(
            place, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
        )
        return query(identity.client("athena"), sql, "sales_orders")


SALES = ("111111111111", "sales-raw-111111111111")
HR = ("222222222222", "hr-raw-222222222222")


@pytest.fixture(scope="module")
def mesh(sample):
    assert sample.code == 0, sample.printed
    return Mesh(sample.port)


def findings(units):
    return {(finding.code, finding.subject) for unit in units.values() for finding in unit.findings}


def test_awkward_keys_and_empty_files_are_taken_as_they_are(mesh):
    mesh.upload(*SALES, "orders/returns & refunds/über 100%+ ünïcode.csv", b"order_id,note\n1,late\n2,broken\n")
    mesh.upload(*SALES, "orders/returns & refunds/empty.csv", b"")
    mesh.upload(*SALES, "orders/only_empty/empty.csv", b"")
    mesh.upload(*SALES, f"orders/{'long' * 200}/a.csv", b"order_id,quantity\n1,2\n")

    units = mesh.settle()

    assert units["data_product/sales/orders"].behind is False
    assert "data_product/sales/orders" not in {subject for _, subject in findings(units)}
    answer = mesh.query("Analyst", 'SELECT * FROM "returns___refunds"')
    assert answer.columns == ("order_id",)  # nobody classified a free-text note
    assert answer.rows == (("1",), ("2",))


def test_an_upload_that_no_file_expects_is_refused_and_said(mesh):
    template = (ROOT / "accounts" / "producer.yaml").read_text(encoding="utf-8")
    mesh.client("222222222222", "cloudformation").create_stack(
        StackName="stray",
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM"],
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

    s3.put_bucket_policy(Bucket=HR[1], Policy=policy)
    mesh.upload(*HR, "people/leases/a.csv", b"office_code,city\nA,Lyon\n")
    units = mesh.settle()

    assert ("crawl-failed", "data_product/hr/people") not in findings(units)
    assert units["data_product/hr/people"].behind is False


def test_a_governance_version_with_a_mistake_is_refused_and_the_last_good_one_stays(mesh):
    files = read_folder(ROOT / "mesh")

    units = mesh.apply({**files, "consumers/analytics.yaml": "consumer: analytics\naccount: 333333333333\n"})

    refused = [finding for finding in units["governance"].findings if finding.code == "governance-refused"]
    assert any(finding.subject.startswith("consumers/analytics.yaml:2:") for finding in refused)
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


def test_one_correlation_id_leads_from_the_upload_to_the_grant(mesh):
    mesh.upload(*SALES, "customers/loyalty/a.csv", b"segment,created_at\nretail,2025-01-01\ntrade,2025-01-02\n")
    mesh.settle()
    logs = mesh.client(CENTRAL, "logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="/tagmesh/functions")
    lines = [json.loads(e["message"]) for page in pages for e in page["events"] if e["message"].startswith("{")]
    seen = {}
    for line in lines:
        seen.setdefault(line.get("correlation_id"), set()).add(line.get("message"))
    chain = {"uploads counted", "crawl prepared", "tables classified", "tags applied", "access granted"}
    assert any(chain | {"consumer linked"} <= messages for messages in seen.values())
