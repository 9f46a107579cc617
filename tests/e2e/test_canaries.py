"""No value of the data is found in any place where the mesh keeps, says or hands on something.

Values that stand nowhere else are planted in every kind of file, in files that fail and in files that are sampled;
then everything that is not data is read and searched. That a place is really searched is shown by a text put there on
purpose.
"""

import gzip
import io
import json
import time

import pyarrow
import pyarrow.parquet
import pytest
from demo_run import run_demo, tagmesh
from deployed import CENTRAL, HR, SALES, Mesh

pytestmark = pytest.mark.slow

REGION = "eu-west-1"
GOVERNANCE_BUCKET = f"tagmesh-governance-{CENTRAL}-{REGION}"
CANARY = "zqx7canary"
NAMES = [f"{CANARY}n{n} Okonkwo{CANARY}" for n in range(30)]
EMAILS = [f"{CANARY}m{n}@example.org" for n in range(30)]
CARDS = ["4539578763621486", "4716189036112391", "4485275742308327"]  # valid checksums, of nobody
ACCOUNTS = (CENTRAL, SALES[0], HR[0], "333333333333", "444444444444")


def rows(count=30):
    for n in range(count):
        yield {"full_name": NAMES[n], "contact": EMAILS[n], "card": CARDS[n % 3], "note": f"call {NAMES[n]}"}


def csv(header=("full_name", "contact", "card", "note")):
    lines = [",".join(header)] + [",".join(row[name] for name in header) for row in rows()]
    return ("\n".join(lines) + "\n").encode()


def parquet():
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows())), file)
    return file.getvalue()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    run = run_demo(tmp_path_factory.mktemp("canaries"), "--keep")
    assert run.code == 0, run.printed
    mesh = Mesh(run.port)
    follow(mesh)
    plant(mesh)
    yield mesh
    tagmesh("local", "down", "--port", run.port)


def queue(mesh, account, name, service, source):
    """A queue that a service may send to; its ARN and URL."""
    sqs = mesh.client(account, "sqs")
    url, arn = sqs.create_queue(QueueName=name)["QueueUrl"], f"arn:aws:sqs:{REGION}:{account}:{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": source}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return arn


BUSES = ((CENTRAL, "tagmesh"), (CENTRAL, "default"), ("333333333333", "tagmesh-consumer"))
TOPICS = ("tagmesh-alarms", "tagmesh-approvals")


def follow(mesh):
    """Has every event of the buses, and every message of the topics, put on queues from now on."""
    for account, bus in BUSES:
        events = mesh.client(account, "events")
        pattern = json.dumps({"account": list(ACCOUNTS)})
        arn = events.put_rule(Name="all", EventBusName=bus, EventPattern=pattern)["RuleArn"]
        target = queue(mesh, account, f"heard-{bus}", "events.amazonaws.com", arn)
        events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "all", "Arn": target}])
    for name in TOPICS:
        topic = f"arn:aws:sns:{REGION}:{CENTRAL}:{name}"
        target = queue(mesh, CENTRAL, f"told-{name}", "sns.amazonaws.com", topic)
        mesh.client(CENTRAL, "sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=target)


def plant(mesh):
    """Files of all kinds, good ones and bad ones; until the mesh has come to rest."""
    mesh.upload(*SALES, "customers/leads/leads.csv", csv())
    mesh.upload(*SALES, "customers/prospects/a.json", "\n".join(map(json.dumps, rows())).encode())
    mesh.upload(*SALES, "customers/partners/a.parquet", parquet())
    mesh.upload(*SALES, "customers/packed/a.csv.gz", gzip.compress(csv()))
    mesh.upload(*HR, "people/staff/staff.csv", csv())
    mesh.settle()
    mesh.pass_time(1000)
    # A header that stands otherwise, and a file that is no Parquet. (Of a file without the header that is promised, the
    # first row becomes the names of columns; no catalogue can tell: docs/security.md.)
    mesh.upload(*SALES, "customers/leads/later.csv", csv(("contact", "full_name", "note", "card")))
    mesh.upload(*SALES, "customers/partners/b.parquet", b"PAR1" + csv() + b"PAR1")
    mesh.settle()
    # A bucket that cannot be read any more.
    s3 = mesh.client(HR[0], "s3")
    policy = s3.get_bucket_policy(Bucket=HR[1])["Policy"]
    closed = json.loads(policy)
    closed["Statement"] = [each for each in closed["Statement"] if each["Sid"] != "CatalogReadsObjects"]
    s3.put_bucket_policy(Bucket=HR[1], Policy=json.dumps(closed))
    mesh.pass_time(1000)
    mesh.upload(*HR, "people/staff/more.csv", csv())
    mesh.settle()
    s3.put_bucket_policy(Bucket=HR[1], Policy=policy)
    mesh.pass_time(4000)
    mesh.settle()


# ── Where to look: place -> (what is there, as texts; how to put a text there) ──────────────────────────────────


def pages(client, operation, member, **asked):
    return [each for page in client.get_paginator(operation).paginate(**asked) for each in page.get(member, ())]


def logs(mesh):
    for account in ACCOUNTS:
        client = mesh.client(account, "logs")
        for group in client.describe_log_groups()["logGroups"]:
            for event in pages(client, "filter_log_events", "events", logGroupName=group["logGroupName"]):
                yield event["message"]


def into_logs(mesh, control):
    client = mesh.client(CENTRAL, "logs")
    client.create_log_stream(logGroupName="/tagmesh/functions", logStreamName="control")
    said = [{"timestamp": int(time.time() * 1000), "message": control}]
    client.put_log_events(logGroupName="/tagmesh/functions", logStreamName="control", logEvents=said)


def histories(mesh):
    client = mesh.client(CENTRAL, "stepfunctions")
    for machine in pages(client, "list_state_machines", "stateMachines"):
        for run in pages(client, "list_executions", "executions", stateMachineArn=machine["stateMachineArn"]):
            yield json.dumps(client.describe_execution(executionArn=run["executionArn"]), default=str)
            yield json.dumps(client.get_execution_history(executionArn=run["executionArn"]), default=str)


def into_histories(mesh, control):
    machine = f"arn:aws:states:{REGION}:{CENTRAL}:stateMachine:tagmesh-sweep"
    client = mesh.client(CENTRAL, "stepfunctions")
    client.start_execution(stateMachineArn=machine, input=json.dumps({"reason": control}))
    mesh.settle()


def queues(mesh):
    for account in ACCOUNTS:
        client = mesh.client(account, "sqs")
        for url in client.list_queues().get("QueueUrls", ()):
            while got := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                yield from (message["Body"] for message in got)


def into_queues(mesh, control):
    client = mesh.client(CENTRAL, "sqs")
    client.send_message(QueueUrl=client.get_queue_url(QueueName="tagmesh-events-dlq")["QueueUrl"], MessageBody=control)


def into_events(mesh, control):
    entry = {"Source": "control", "DetailType": "control", "Detail": json.dumps({"x": control})}
    for account, bus in BUSES:
        mesh.client(account, "events").put_events(Entries=[{**entry, "EventBusName": bus}])
    for name in TOPICS:
        topic = f"arn:aws:sns:{REGION}:{CENTRAL}:{name}"
        mesh.client(CENTRAL, "sns").publish(TopicArn=topic, Message=control)
    mesh.settle()


def metrics(mesh):
    for account in ACCOUNTS:
        yield from map(json.dumps, pages(mesh.client(account, "cloudwatch"), "list_metrics", "Metrics"))


def into_metrics(mesh, control):
    dimension = {"Name": "service", "Value": control}
    data = [{"MetricName": "Control", "Dimensions": [dimension], "Value": 1}]
    mesh.client(CENTRAL, "cloudwatch").put_metric_data(Namespace="tagmesh", MetricData=data)


def tables(mesh):
    for name in ("tagmesh-units", "tagmesh-ledger"):
        yield from map(json.dumps, pages(mesh.client(CENTRAL, "dynamodb"), "scan", "Items", TableName=name))


def into_tables(mesh, control):
    for name, key in (("tagmesh-units", {"unit"}), ("tagmesh-ledger", {"unit", "made"})):
        item = {each: {"S": control} for each in key}
        mesh.client(CENTRAL, "dynamodb").put_item(TableName=name, Item=item)


def objects(mesh):
    s3 = mesh.client(CENTRAL, "s3")
    for version in pages(s3, "list_object_versions", "Versions", Bucket=GOVERNANCE_BUCKET):
        named = {"Bucket": GOVERNANCE_BUCKET, "Key": version["Key"], "VersionId": version["VersionId"]}
        yield version["Key"] + s3.get_object(**named)["Body"].read().decode("utf-8", "replace")


def into_objects(mesh, control):
    s3 = mesh.client(CENTRAL, "s3")
    s3.put_object(Bucket=GOVERNANCE_BUCKET, Key="plans/control", Body=control.encode())
    s3.put_object(Bucket=GOVERNANCE_BUCKET, Key="plans/control", Body=b"{}")  # an older version is searched as well


PLACES = {
    "logs": (logs, into_logs),
    "state-machine histories": (histories, into_histories),
    "queues, and with them events and notifications": (queues, into_events),
    "dead-letter queues": (queues, into_queues),
    "metrics": (metrics, into_metrics),
    "units and ledger": (tables, into_tables),
    "governance bucket, all versions": (objects, into_objects),
}


def found(texts, *wanted):
    return [text for text in texts if any(each in text for each in wanted)]


@pytest.mark.parametrize("place", PLACES)
def test_no_planted_value_is_there_and_a_text_put_there_would_be_found(mesh, place):
    look, put = PLACES[place]
    control = f"zqx7control-{list(PLACES).index(place)}"
    texts = list(look(mesh))
    assert found(texts, CANARY, *CARDS) == []
    assert not found(texts, control)

    put(mesh, control)

    assert len(found(look(mesh), control)) >= (len(BUSES) + len(TOPICS) if put is into_events else 1)


def test_it_was_worked_and_sampled_and_failed_as_meant(mesh):
    """The search means nothing if the files were never looked at."""
    tagged = {(t.table, c.name): dict(c.lf_tags) for t in mesh.catalogue() for c in t.columns}
    for table in ("leads", "prospects", "partners", "packed", "staff"):
        assert (table, "contact") in tagged, table
    # `contact` says nothing of what it holds to the rules that read names alone; that it was closed, the sample did.
    assert tagged["prospects", "contact"]["pii"] == "contact"
    said = found(logs(mesh), "content sampled")
    assert said
    kinds = {unit: {finding.code for finding in each.findings} for unit, each in mesh.settle().items()}
    assert "csv-header-misfit" in kinds["data_product/sales/customers"]
