"""Event source mappings: SQS queues whose messages invoke functions, and what becomes of the messages."""

import contextlib
import json
import time

import pytest
from functions_lab import Functions, role_for

CODE = """
import json, time

def handler(event, context):
    began = time.time()
    bodies = [record["body"] for record in event["Records"]]
    if "sleep" in bodies:
        time.sleep(0.3)
    short = [{**record, "body": record["body"][:100]} for record in event["Records"]]
    print(json.dumps({"records": short, "at": began, "ended": time.time(), "version": context.function_version}))
    if "break" in bodies:
        raise ValueError("broken")
    if bodies[0].startswith("answer "):
        answer = bodies[0].removeprefix("answer ")
        return json.loads(answer.replace("ID", event["Records"][0]["messageId"]))
    bad = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in bad]}
"""
CLOCK = "moves the clock"
REPORTING = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}
QUEUES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


class Desk:
    """Queues, the functions they are mapped to, and what these took."""

    def __init__(self, lab):
        self.lab = lab
        self.sqs = lab.client("sqs", "central")
        self.functions = Functions(lab, role_for(lab, *QUEUES))
        self.client = self.functions.client
        self.mappings = []

    def queue(self, **attributes):
        url = self.sqs.create_queue(QueueName=self.lab.name("source", "-"), Attributes=attributes)["QueueUrl"]
        self.lab.at_end(self.sqs.delete_queue, QueueUrl=url)
        return url

    def arn(self, url):
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def map(self, name, url, **settings):
        """Map a queue to a function; returns the mapping's UUID once it is as it should be."""
        made = self.lab.eventually(
            lambda: self.client.create_event_source_mapping(FunctionName=name, EventSourceArn=self.arn(url), **settings)
        )
        self.lab.at_end(self.client.delete_event_source_mapping, UUID=made["UUID"])
        self.mappings.append(made["UUID"])
        self.lab.eventually(lambda: self.state(made["UUID"])["State"] in ("Enabled", "Disabled"))
        return made["UUID"]

    def state(self, uuid):
        return self.client.get_event_source_mapping(UUID=uuid)

    def send(self, url, *bodies):
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
            assert not self.sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")

    def taken(self, name):
        """The bodies of each invocation's messages."""
        return [sorted(each["body"] for each in run["records"]) for run in self.functions.printed(name)]

    def left(self, url):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(count) for count in counts.values())

    def dying(self, attempts=2, visibility=5):
        """(queue, dead-letter queue)."""
        dead = self.queue()
        policy = json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": attempts})
        return self.queue(VisibilityTimeout=str(visibility), RedrivePolicy=policy), dead


@pytest.fixture(scope="module")
def desk(lab):
    return Desk(lab)


@pytest.fixture(autouse=True)
def _mappings_end_with_their_test(desk):
    """What failed in one test would otherwise be under way in the next."""
    yield
    while desk.mappings:
        with contextlib.suppress(desk.client.exceptions.ResourceNotFoundException):
            desk.client.delete_event_source_mapping(UUID=desk.mappings.pop())


@pytest.fixture(scope="module")
def name(desk):
    """A function that tests share, each with a queue of its own: what it took is told apart by the queue."""
    return desk.functions.make(CODE, Timeout=5, Publish=True)


@pytest.fixture
def runs(desk, name):
    """What the shared function was given from a queue: the bodies of each invocation's messages."""

    def of(url):
        arn = desk.arn(url)
        runs = [each["records"] for each in desk.functions.printed(name)]
        return [sorted(each["body"] for each in records) for records in runs if records[0]["eventSourceARN"] == arn]

    return of


@pytest.mark.statement("event-sources.record")
def test_a_message_reaches_the_function_in_the_documented_shape_and_is_gone(lab, desk, name):
    url = desk.queue()
    desk.map(name, url)
    attributes = {
        "colour": {"DataType": "String", "StringValue": "blue"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    sent = desk.sqs.send_message(QueueUrl=url, MessageBody="hello", MessageAttributes=attributes)
    arn = desk.arn(url)

    def mine():
        runs = (each["records"] for each in desk.functions.printed(name))
        return [records for records in runs if records[0]["eventSourceARN"] == arn]

    ((record,),) = lab.eventually(mine)
    assert (record["messageId"], record["body"]) == (sent["MessageId"], "hello")
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert record["md5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    empty = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "colour": {**empty, "stringValue": "blue", "dataType": "String"},
        "raw": {**empty, "binaryValue": "AAE=", "dataType": "Binary"},
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", lab.region)
    assert record["receiptHandle"]
    lab.eventually(lambda: desk.left(url) == 0)


@pytest.mark.statement("event-sources.qualified")
def test_a_mapping_of_an_alias_invokes_what_it_points_at(lab, desk, name):
    url = desk.queue()
    desk.client.create_alias(FunctionName=name, Name="taker", FunctionVersion="1")
    uuid = desk.map(f"{name}:taker", url)
    assert desk.state(uuid)["FunctionArn"].endswith(f":{name}:taker")
    desk.send(url, "to the alias")

    def versions():
        return [
            each["version"] for each in desk.functions.printed(name) if each["records"][0]["body"] == "to the alias"
        ]

    assert lab.eventually(versions) == ["1"]


@pytest.mark.statement("event-sources.batch-size")
def test_a_batch_has_no_more_messages_than_its_size(lab, desk, name, runs):
    url = desk.queue()
    uuid = desk.map(name, url, BatchSize=2, Enabled=False)
    desk.send(url, *(str(n) for n in range(5)))
    desk.client.update_event_source_mapping(UUID=uuid, Enabled=True)
    lab.eventually(lambda: sorted(body for batch in runs(url) for body in batch) == [str(n) for n in range(5)])
    assert max(len(batch) for batch in runs(url)) <= 2


@pytest.mark.statement("event-sources.window")
@pytest.mark.local_only(CLOCK)
def test_a_window_gathers_messages_into_one_invocation_until_it_is_over(lab, desk, name, runs):
    url = desk.queue(VisibilityTimeout="900")
    desk.map(name, url, BatchSize=100, MaximumBatchingWindowInSeconds=300)
    began = lab.aws.world.now()
    desk.send(url, *(f"{n:02}" for n in range(11)))
    lab.aws.world.pass_time(200)
    assert runs(url) == []
    assert any("source" in each for each in lab.aws.world.busy()), "a batch is waiting"
    desk.send(url, "11")
    lab.aws.world.pass_time(120)
    assert runs(url) == [[f"{n:02}" for n in range(12)]]
    assert 300 <= (lab.aws.world.now() - began).total_seconds() < 400


@pytest.mark.statement("event-sources.window")
def test_a_full_batch_does_not_wait_for_its_window(lab, desk, name, runs):
    url = desk.queue()
    desk.map(name, url, BatchSize=2, MaximumBatchingWindowInSeconds=300)
    desk.send(url, *"0123")
    lab.eventually(lambda: sorted(runs(url)) == sorted(runs(url)) and len(runs(url)) == 2)
    assert [len(batch) for batch in runs(url)] == [2, 2]


@pytest.mark.statement("event-sources.payload")
def test_an_invocation_has_at_most_six_megabytes_of_messages(lab, desk, name, runs):
    url = desk.queue()
    uuid = desk.map(name, url, BatchSize=1000, MaximumBatchingWindowInSeconds=1, Enabled=False)
    for n in range(30):
        desk.sqs.send_message(QueueUrl=url, MessageBody=f"{n:02}".ljust(262_144, "x"))
    desk.client.update_event_source_mapping(UUID=uuid, Enabled=True)
    lab.eventually(lambda: sum(len(batch) for batch in runs(url)) == 30)
    assert max(len(batch) for batch in runs(url)) <= 22


# -- failures


@pytest.mark.statement("event-sources.failed-batch", "event-sources.dead-letters")
@pytest.mark.local_only(CLOCK)
def test_a_function_that_fails_gets_the_whole_batch_again_until_the_messages_are_dead_letters(lab, desk, name, runs):
    url, dead = desk.dying()
    uuid = desk.map(name, url)
    desk.send(url, "break", "other")
    lab.aws.world.pass_time(3)
    first = runs(url)
    assert [body for batch in first for body in batch].count("break") == 1, "it is out of sight for now"
    assert "ValueError" in desk.state(uuid)["LastProcessingResult"]
    lab.aws.world.pass_time(30)
    broken = [batch for batch in runs(url) if "break" in batch]
    assert len(broken) == 2
    assert desk.left(url) == 0
    received = desk.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]
    assert "break" in [message["Body"] for message in received]


@pytest.mark.statement("event-sources.partial")
@pytest.mark.local_only(CLOCK)
def test_only_messages_that_are_reported_come_back(lab, desk, name, runs):
    url, dead = desk.dying()
    uuid = desk.map(name, url, Enabled=False, **REPORTING)
    desk.send(url, "good", "bad")
    desk.client.update_event_source_mapping(UUID=uuid, Enabled=True)
    lab.aws.world.pass_time(30)
    taken = sorted(body for batch in runs(url) for body in batch)
    assert taken == ["bad", "bad", "good"]
    assert [each["Body"] for each in desk.sqs.receive_message(QueueUrl=dead)["Messages"]] == ["bad"]


@pytest.mark.statement("event-sources.report-off")
def test_a_report_is_not_read_where_it_was_not_asked_for(lab, desk, name, runs):
    url = desk.queue()
    desk.map(name, url)
    desk.send(url, "bad")
    lab.eventually(lambda: runs(url) == [["bad"]] and desk.left(url) == 0)


SUCCESSES = ["null", "{}", '{"batchItemFailures": []}', '{"batchItemFailures": null}']
FAILURES = [
    '{"batchItemFailures": [{"itemIdentifier": "nobody"}]}',
    '{"batchItemFailures": [{"itemIdentifier": ""}]}',
    '{"batchItemFailures": [{"itemIdentifier": null}]}',
    '{"batchItemFailures": [{"wrongName": "ID"}]}',
    '{"batchItemFailures": [{"itemIdentifier": "ID"}, {"itemIdentifier": "nobody"}]}',
    '{"batchItemFailures": "ID"}',
    '{"batchItemFailures": 7}',
    '{"batchItemFailures": ["ID"]}',
    '["ID"]',
    '"text"',
]


@pytest.mark.statement("event-sources.report-success", "event-sources.report-failure")
def test_an_empty_report_is_success_and_one_that_makes_no_sense_fails_the_batch(lab, desk, name, runs):
    """One message a batch: what stays in the queue failed."""
    url = desk.queue(VisibilityTimeout="120")
    desk.map(name, url, BatchSize=1, **REPORTING)
    desk.send(url, *(f"answer {each}" for each in [*SUCCESSES, *FAILURES]))

    def done():
        return len(runs(url)) == len(SUCCESSES) + len(FAILURES) and desk.left(url) == len(FAILURES)

    if lab.is_local:  # the failed ones are out of sight: they are waited for by no one
        lab.aws.world.wait_idle(30, waits=False)
        assert done()
    else:
        lab.eventually(done)


@pytest.mark.statement("event-sources.report-failure")
@pytest.mark.local_only(CLOCK)
def test_of_a_batch_with_a_senseless_report_every_message_comes_back(lab, desk, name, runs):
    url, dead = desk.dying(attempts=1)
    uuid = desk.map(name, url, Enabled=False, **REPORTING)
    desk.send(url, 'answer {"batchItemFailures": [{"itemIdentifier": "nobody"}]}', "good")
    desk.client.update_event_source_mapping(UUID=uuid, Enabled=True)
    lab.aws.world.pass_time(30)
    together = [batch for batch in runs(url) if len(batch) == 2]
    came = desk.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]
    assert len(came) == (2 if together else 1)


# -- when and how many


@pytest.mark.statement("event-sources.disabled")
def test_a_disabled_mapping_takes_nothing_until_it_is_enabled(lab, desk, name, runs):
    url = desk.queue()
    uuid = desk.map(name, url, Enabled=False)
    assert desk.state(uuid)["State"] == "Disabled"
    desk.send(url, "later")
    time.sleep(0.2 if lab.is_local else 5)
    assert runs(url) == []
    assert desk.left(url) == 1
    desk.client.update_event_source_mapping(UUID=uuid, Enabled=True)
    lab.eventually(lambda: runs(url) == [["later"]])
    desk.client.update_event_source_mapping(UUID=uuid, Enabled=False)
    lab.eventually(lambda: desk.state(uuid)["State"] == "Disabled")
    desk.send(url, "never")
    time.sleep(0.2 if lab.is_local else 5)
    assert runs(url) == [["later"]]


@pytest.mark.statement("event-sources.delayed")
@pytest.mark.local_only(CLOCK)
def test_a_delayed_message_is_taken_when_its_delay_is_over(lab, desk, name, runs):
    url = desk.queue(DelaySeconds="600")
    desk.map(name, url)
    desk.send(url, "delayed")
    lab.aws.world.pass_time(590)
    assert runs(url) == []
    lab.aws.world.pass_time(20)
    assert runs(url) == [["delayed"]]


@pytest.mark.statement("event-sources.maximum-concurrency")
def test_no_more_batches_are_under_way_than_the_mapping_may_have(lab, desk, name):
    url = desk.queue()
    uuid = desk.map(name, url, BatchSize=1, Enabled=False, ScalingConfig={"MaximumConcurrency": 2})
    assert desk.state(uuid)["ScalingConfig"] == {"MaximumConcurrency": 2}
    desk.send(url, *["sleep"] * 5)
    desk.client.update_event_source_mapping(UUID=uuid, Enabled=True)
    arn = desk.arn(url)

    def done():
        found = [each for each in desk.functions.printed(name) if each["records"][0]["eventSourceARN"] == arn]
        return found if len(found) == 5 else None

    runs = lab.eventually(done)
    at_once = [sum(other["at"] <= each["at"] < other["ended"] for other in runs) for each in runs]
    assert max(at_once) == 2


@pytest.mark.statement("event-sources.throttled")
def test_messages_of_a_throttled_function_stay_in_the_queue(lab, desk, name, runs):
    url = desk.queue(VisibilityTimeout="60")
    desk.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        uuid = desk.map(name, url)
        desk.send(url, "throttled")
        if lab.is_local:
            lab.aws.world.wait_idle(10, waits=False)
            assert "Rate Exceeded" in desk.state(uuid)["LastProcessingResult"]
        assert runs(url) == []
        assert desk.left(url) == 1
    finally:
        desk.client.delete_function_concurrency(FunctionName=name)


@pytest.mark.statement("event-sources.as-the-role")
@pytest.mark.local_only("how long AWS goes on with permissions that were taken away is not documented")
def test_the_queue_is_read_as_the_functions_role(lab, desk):
    role = role_for(lab)
    iam, url = lab.client("iam", "central"), desk.queue()
    queues = {"Effect": "Allow", "Action": list(QUEUES), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [queues]})
    iam.put_role_policy(RoleName=role.name, PolicyName="queues", PolicyDocument=document)
    name = desk.functions.make(CODE, Role=role.arn)
    uuid = desk.map(name, url)
    iam.delete_role_policy(RoleName=role.name, PolicyName="queues")
    desk.send(url, "hello")
    deadline = time.monotonic() + 10
    while "AccessDenied" not in desk.state(uuid)["LastProcessingResult"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert desk.functions.printed(name) == []
    desk.client.delete_event_source_mapping(UUID=uuid)
