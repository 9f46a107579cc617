"""What fails on the way is kept, seen, and worked after `tagmesh replay`: the deployed mesh, broken in its edges."""

import json

import pytest
from demo_run import run_demo, tagmesh
from deployed import CENTRAL, SALES, Mesh

from cli import local

pytestmark = pytest.mark.slow

UNIT = "data_product/sales/orders"
UPLOADS, EVENTS, PRODUCERS = "tagmesh-uploads-dlq", "tagmesh-events-dlq", "tagmesh-sales-raw-111111111111-dlq"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    run = run_demo(tmp_path_factory.mktemp("failures"), "--keep")
    assert run.code == 0, run.printed
    yield Mesh(run.port)
    tagmesh("local", "down", "--port", run.port)


def replay(mesh, *arguments, queue=None, code=0):
    """What `tagmesh replay --json` says of one queue."""
    done = tagmesh("replay", "--port", mesh.port, "--json", *arguments, *(("--queue", queue) if queue else ()))
    assert done.returncode == code, done.stdout
    return {each["name"]: each for each in json.loads(done.stdout)["queues"]}


def waiting(mesh, queue, account=CENTRAL):
    sqs = mesh.client(account, "sqs")
    name = "ApproximateNumberOfMessages"
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def executions(mesh):
    """Statuses of executions that a replay started, by machine."""
    listed = local.ask(local.Server(0, "", mesh.port), "executions")
    return {(each["stateMachine"], each["status"]) for each in listed if each["name"].startswith("replayed-")}


def dirty(mesh):
    table = mesh.client(CENTRAL, "dynamodb")
    item = table.get_item(TableName="tagmesh-units", Key={"unit": {"S": UNIT}}, ConsistentRead=True)["Item"]
    return int(item["dirty"]["N"]), int(item["done"]["N"])


def test_uploads_that_cannot_be_counted_wait_and_are_counted_after_a_replay(mesh):
    iam, role = mesh.client(CENTRAL, "iam"), {"RoleName": "tagmesh-record-uploads", "PolicyName": "record-uploads"}
    policy = iam.get_role_policy(**role)["PolicyDocument"]
    crippled = {**policy, "Statement": [s for s in policy["Statement"] if s["Sid"] != "Units"]}
    iam.put_role_policy(**role, PolicyDocument=json.dumps(crippled))
    asked, _ = dirty(mesh)
    mesh.upload(*SALES, "orders/products/more.csv", b"product_code,product_name\nX,crate\n")
    mesh.pass_time(5 * 700)
    assert waiting(mesh, UPLOADS) == 1

    looked = replay(mesh, "--dry-run", code=1)[UPLOADS]
    assert (looked["found"], looked["left"], looked["messages"][0]["to"]) == (1, 1, "tagmesh-uploads")
    assert looked["oldest_seconds"] >= 5 * 660
    iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))
    done = replay(mesh)[UPLOADS]
    mesh.pass_time(60)

    assert (done["replayed"], done["left"], waiting(mesh, UPLOADS)) == (1, 0, 0)
    mesh.settle()
    assert dirty(mesh)[0] > asked
    assert replay(mesh)[UPLOADS]["found"] == 0


def test_events_and_sweeps_that_reach_no_machine_are_delivered_after_a_replay(mesh):
    iam, role = mesh.client(CENTRAL, "iam"), {"RoleName": "tagmesh-start-machines", "PolicyName": "start-machines"}
    policy = iam.get_role_policy(**role)["PolicyDocument"]
    crippled = {**policy, "Statement": [s for s in policy["Statement"] if s["Sid"] != "Start"]}
    iam.put_role_policy(**role, PolicyDocument=json.dumps(crippled))
    mesh.upload(*SALES, "orders/crates/a.csv", b"order_id,quantity\n1,2\n2,3\n")
    mesh.settle()
    mesh.pass_time(2000)
    swept = len(mesh.runs("tagmesh-sweep"))

    refused = replay(mesh, "--dry-run", queue=EVENTS, code=1)[EVENTS]
    came = {(each["from"].split("-")[0], each["to"], each["error"]) for each in refused["messages"]}
    assert ("schedule tagmesh", "tagmesh-sweep", "AccessDeniedException") in came
    assert any((to, error) == ("tagmesh-publish", "NO_PERMISSIONS") for _, to, error in came)
    iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))
    done = replay(mesh, queue=EVENTS)[EVENTS]
    mesh.settle()

    assert (done["replayed"], done["left"]) == (refused["found"], 0)
    assert refused["found"] >= 3, "a crawl that stopped, and two sweeps"
    assert executions(mesh) >= {("tagmesh-publish", "SUCCEEDED"), ("tagmesh-sweep", "SUCCEEDED")}
    assert len(mesh.runs("tagmesh-sweep")) == swept + 1, "many missed sweeps are one"
    assert mesh.query("Analyst", "SELECT COUNT(order_id) FROM crates").rows == (("2",),)


def test_uploads_that_do_not_reach_the_central_account_are_told_again_by_the_producer(mesh):
    events = mesh.client(CENTRAL, "events")
    policy = events.describe_event_bus(Name="tagmesh")["Policy"]
    for statement in json.loads(policy)["Statement"]:
        events.remove_permission(EventBusName="tagmesh", StatementId=statement["Sid"])
    asked, _ = dirty(mesh)
    mesh.upload(*SALES, "orders/products/still more.csv", b"product_code,product_name\nY,box\n")
    mesh.settle()
    assert waiting(mesh, PRODUCERS, SALES[0]) == 1
    as_producer = ("--account", SALES[0])
    (stays,) = replay(mesh, *as_producer, code=1)[PRODUCERS]["messages"]
    assert "AccessDenied" in stays["problem"]

    events.put_permission(EventBusName="tagmesh", Policy=policy)
    assert replay(mesh, *as_producer)[PRODUCERS]["replayed"] == 1

    mesh.pass_time(60)
    mesh.settle()
    assert dirty(mesh)[0] > asked
    assert waiting(mesh, PRODUCERS, SALES[0]) == 0


def test_what_is_asked_for_wrongly_is_said(mesh):
    told = tagmesh("replay", "--port", mesh.port, "--queue", "tagmesh-uploads")
    assert told.returncode == 2
    assert f"no dead-letter queue tagmesh-uploads here; there is {EVENTS}, {UPLOADS}" in told.stdout
    assert tagmesh("replay", "--port", mesh.port, "--account", "999999999999").returncode == 2
    assert tagmesh("replay", "--port", 1).returncode == 2
    told = tagmesh("replay", "--port", mesh.port)
    assert (told.returncode, told.stdout.split()) == (0, f"{EVENTS}: empty {UPLOADS}: empty".split())


def test_a_link_that_somebody_took_away_comes_back_and_is_told(mesh):
    mesh.listen()
    glue = mesh.client("333333333333", "glue")
    glue.delete_database(Name="sales_orders")
    mesh.pass_time(2000)
    mesh.settle()

    repaired = {each["unit"]: each["repaired"] for each in mesh.told("DriftRepaired")}

    assert mesh.query("Analyst", "SELECT COUNT(*) FROM crates").rows == (("2",),)
    assert [each["account"] for each in repaired["consumer/analytics"]] == ["333333333333"]
