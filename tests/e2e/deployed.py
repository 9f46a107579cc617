"""A deployed mesh on the local AWS: the hands of its administrators, what it says, and what it tells."""

import json
import time
from dataclasses import dataclass, field

from jsonschema import Draft202012Validator

from cli import local
from cli.athena_client import query
from cli.demo_accounts import Identity, Place
from cli.demo_follow import read_units
from cli.demo_queries import read_catalogue
from cli.project import ROOT

CENTRAL = "555555555555"
SALES = ("111111111111", "sales-raw-111111111111")
HR = ("222222222222", "hr-raw-222222222222")


@dataclass(frozen=True)
class Mesh:
    """The kept local AWS of a demo, and the hands of its administrators."""

    port: int
    heard: list = field(default_factory=list, repr=False, compare=False)
    """(detail type, detail) of the events on the mesh bus that were asked for, the oldest first."""

    @property
    def place(self):
        return Place(f"http://127.0.0.1:{self.port}", "eu-west-1")

    def client(self, account, service):
        return self.place.administrator(account).client(service)

    def role(self, account, name):
        """Somebody who has assumed a role."""
        return role(self.place, account, name)

    def upload(self, account, bucket, key, body):
        self.client(account, "s3").put_object(Bucket=bucket, Key=key, Body=body)

    def settle(self):
        """Waits until nothing is under way; the units."""
        local_aws = local.Server(0, "", self.port)
        deadline = time.monotonic() + 60
        while not local.tell(local_aws, "POST", "idle", {"timeout": 5}, timeout=30)["idle"]:
            assert time.monotonic() < deadline, "the mesh did not come to rest"
        return read_units(Place(f"http://127.0.0.1:{self.port}", "eu-west-1").administrator(CENTRAL))

    def pass_time(self, seconds, skip=False):
        """Lets time pass; everything due happens at its moment, or, where it is skipped, late or not at all."""
        body = {"advance": seconds, "skip": skip}
        local.tell(local.Server(0, "", self.port), "POST", "clock", body, timeout=120)

    def now(self):
        """The time there, as ISO 8601 has it, in UTC."""
        return local.ask(local.Server(0, "", self.port), "clock")["now"]

    def runs(self, machine):
        """The statuses of a state machine's executions."""
        listed = local.ask(local.Server(0, "", self.port), "executions")
        return [each["status"] for each in listed if each["stateMachine"] == machine]

    def apply(self, files):
        """What `tagmesh apply` does: a new governance bundle."""
        bucket = f"tagmesh-governance-{CENTRAL}-eu-west-1"
        body = json.dumps({"files": files}).encode()
        self.client(CENTRAL, "s3").put_object(Bucket=bucket, Key="governance.json", Body=body)
        return self.settle()

    def query(self, person, sql, database="sales_orders", account="333333333333"):
        """Rows as somebody's role, or the error."""
        return query(role(self.place, account, person).client("athena"), sql, database)

    def catalogue(self):
        """The central catalogue's tables with their LF-Tags."""
        return read_catalogue(role(self.place, CENTRAL, "tagmesh-doctor"))

    def governance_objects(self):
        """(key, text) of what the functions have written to the governance bucket, the oldest first."""
        s3, bucket = self.client(CENTRAL, "s3"), f"tagmesh-governance-{CENTRAL}-eu-west-1"
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        listed = [each for page in pages for each in page["Contents"]]
        for each in sorted(listed, key=lambda each: each["LastModified"]):
            if each["Key"].startswith(("plans/", "evidence/", "decisions/")):
                yield each["Key"], s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read().decode()

    def listen(self):
        """Has every event of the mesh bus put on a queue from now on, as somebody who follows them would."""
        events, sqs = self.client(CENTRAL, "events"), self.client(CENTRAL, "sqs")
        url = sqs.create_queue(QueueName="news")["QueueUrl"]
        queue = f"arn:aws:sqs:eu-west-1:{CENTRAL}:news"
        pattern = json.dumps({"source": ["tagmesh"]})
        rule = events.put_rule(Name="news", EventBusName="tagmesh", EventPattern=pattern)["RuleArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        events.put_targets(Rule="news", EventBusName="tagmesh", Targets=[{"Id": "news", "Arn": queue}])

    def told(self, detail_type):
        """The details of all events of a type since `listen`; every event is of its documented schema."""
        sqs = self.client(CENTRAL, "sqs")
        url = sqs.get_queue_url(QueueName="news")["QueueUrl"]
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                schema = (ROOT / "docs" / "events" / f"{event['detail-type']}.schema.json").read_text(encoding="utf-8")
                Draft202012Validator(json.loads(schema)).validate(event["detail"])
                self.heard.append((event["detail-type"], event["detail"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [detail for name, detail in self.heard if name == detail_type]

    def log_lines(self):
        """What the functions have logged, as JSON."""
        pages = (
            self.client(CENTRAL, "logs").get_paginator("filter_log_events").paginate(logGroupName="/tagmesh/functions")
        )
        return [json.loads(e["message"]) for page in pages for e in page["events"] if e["message"].startswith("{")]

    def counts(self):
        """How often each operation has been called so far."""
        return local.ask(local.Server(0, "", self.port), "calls")["counts"]


def role(place, account, name):
    """Somebody who has assumed a role."""
    arn = f"arn:aws:iam::{account}:role/{name}"
    issued = place.administrator(account).client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return Identity(place, issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def findings(units):
    return {(finding.code, finding.subject) for unit in units.values() for finding in unit.findings}
