"""Dead letters are delivered to where they should have gone, and nothing is lost on the way."""

import json
import uuid
from pathlib import Path

import pytest

from cli import replay
from cli.dead_letters import NotReplayable, received
from local_aws.faults import Fault

ROOT = Path(__file__).parents[2]
CENTRAL = "555555555555"
PRODUCER = "111111111111"
REGION = "eu-west-1"
WAITING = "ApproximateNumberOfMessages"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(replay, "PATIENCE", 0)


class Account:
    """An account of the local AWS that no other test uses, with what a test puts in it."""

    def __init__(self, aws, account):
        self.aws, self.id, self.made = aws, account, aws.session(account)
        self.client = self.made.client
        self.clients = _one_of_each(self.made)

    def queue(self, name, dead_letters=None):
        attributes = {}
        if dead_letters:
            attributes["RedrivePolicy"] = json.dumps(
                {"deadLetterTargetArn": self.arn(dead_letters), "maxReceiveCount": 1}
            )
        return self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def arn(self, queue):
        return f"arn:aws:sqs:{REGION}:{self.id}:{queue}"

    def admit(self, queue, rule_arn):
        """EventBridge may write to a queue, for a rule."""
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": self.arn(queue),
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client("sqs").set_queue_attributes(QueueUrl=self.url(queue), Attributes={"Policy": policy})

    def url(self, queue):
        return self.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]

    def count(self, queue):
        asked = self.client("sqs").get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=[WAITING])
        return int(asked["Attributes"][WAITING])

    def bodies(self, queue):
        """What waits in a queue, which is empty afterwards."""
        sqs, url, found = self.client("sqs"), self.url(queue), []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def bury(self, queue, body, **attributes):
        """A dead letter, as EventBridge writes it."""
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        self.client("sqs").send_message(QueueUrl=self.url(queue), MessageBody=body, MessageAttributes=typed)

    def replay(self, only=None, dry_run=False):
        found = replay.of_account(self.clients, only, dry_run=dry_run)
        return {queue.name: queue for queue in found}


def _one_of_each(session):
    made = {}

    def client(service):
        return made.setdefault(service, session.client(service))

    return client


@pytest.fixture
def account(aws_module):
    account = str(uuid.uuid4().int)[:12]
    return Account(aws_module, account)


def test_uploads_that_could_not_be_counted_go_back_to_their_queue(account):
    account.queue("tagmesh-uploads-dlq")
    account.queue("tagmesh-uploads", "tagmesh-uploads-dlq")
    for number in range(12):
        account.bury("tagmesh-uploads-dlq", f"upload {number}")

    looked = account.replay(dry_run=True)["tagmesh-uploads-dlq"]
    assert (len(looked.outcomes), looked.left, account.count("tagmesh-uploads-dlq")) == (12, 12, 12)
    assert {outcome.to for outcome in looked.outcomes} == {"tagmesh-uploads"}

    replayed = account.replay()["tagmesh-uploads-dlq"]

    assert (len(replayed.outcomes), replayed.left) == (12, 0)
    assert sorted(account.bodies("tagmesh-uploads")) == sorted(f"upload {number}" for number in range(12))
    assert account.count("tagmesh-uploads-dlq") == 0
    assert account.replay()["tagmesh-uploads-dlq"].outcomes == []


def test_what_is_sent_and_cannot_be_deleted_is_sent_again_and_never_lost(account):
    account.queue("tagmesh-uploads-dlq")
    account.queue("tagmesh-uploads", "tagmesh-uploads-dlq")
    account.bury("tagmesh-uploads-dlq", "an upload")
    _fault(account, "sqs:DeleteMessage", times=20)

    first = account.replay()["tagmesh-uploads-dlq"]
    _fault(account, None)
    second = account.replay()["tagmesh-uploads-dlq"]

    assert (first.left, second.left) == (1, 0)
    assert "DeleteMessage" in first.outcomes[0].problem
    assert account.bodies("tagmesh-uploads") == ["an upload"] * 2


def test_what_cannot_be_sent_stays(account):
    account.queue("tagmesh-uploads-dlq")
    account.queue("tagmesh-uploads", "tagmesh-uploads-dlq")
    for number in range(12):
        account.bury("tagmesh-uploads-dlq", f"upload {number}")
    _fault(account, "sqs:SendMessage", times=0)

    first = account.replay()["tagmesh-uploads-dlq"]
    _fault(account, None)

    assert (len(first.outcomes), first.left) == (12, 12)
    assert account.count("tagmesh-uploads-dlq") == 12, "they are there for the next one at once"
    assert account.bodies("tagmesh-uploads") == []
    assert account.replay()["tagmesh-uploads-dlq"].left == 0


def _fault(account, operation, times=1):
    faults = account.aws.world.faults
    faults.clear()
    if operation:
        faults.add(Fault(operation=operation, fault="denied", times=times))


def rule_to(account, target, **more):
    """A rule on the default bus with a dead-letter queue, and its ARN."""
    events = account.client("events")
    arn = events.put_rule(Name="Tell", EventPattern=json.dumps({"source": ["test"]}))["RuleArn"]
    account.queue("tagmesh-events-dlq")
    account.admit("tagmesh-events-dlq", arn)
    dead = {"Arn": account.arn("tagmesh-events-dlq")}
    events.put_targets(Rule="Tell", Targets=[{"Id": "t", "Arn": target, "DeadLetterConfig": dead, **more}])
    return arn


def happens(account, detail):
    account.client("events").put_events(
        Entries=[{"Source": "test", "DetailType": "Thing", "Detail": json.dumps(detail)}]
    )
    account.aws.world.wait_idle(20)


def test_an_event_that_did_not_reach_a_rules_target_is_delivered_as_the_rule_delivers_it(account):
    transformer = {
        "InputPathsMap": {"n": "$.detail.name", "id": "$.id"},
        "InputTemplate": '{"who": <n>, "event": <id>}',
    }
    arn = rule_to(account, account.arn("inbox"), InputTransformer=transformer)
    happens(account, {"name": 'Anna "A"'})
    assert account.count("tagmesh-events-dlq") == 1

    (stays,) = account.replay()["tagmesh-events-dlq"].outcomes
    assert "NonExistentQueue" in stays.problem and not stays.replayed
    account.queue("inbox")
    (done,) = account.replay()["tagmesh-events-dlq"].outcomes

    assert (done.replayed, done.to, done.letter.origin, done.letter.error) == (
        True,
        "inbox",
        "rule Tell",
        "NO_RESOURCE",
    )
    (body,) = account.bodies("inbox")
    assert json.loads(body)["who"] == 'Anna "A"'
    account.admit("inbox", arn)
    happens(account, {"name": "Bo"})
    assert json.loads(account.bodies("inbox")[0]).keys() == json.loads(body).keys()


def test_what_its_rule_does_not_deliver_any_more_stays_with_the_reason(account):
    rule_to(account, account.arn("inbox"))
    happens(account, {})
    account.client("events").remove_targets(Rule="Tell", Ids=["t"])
    (outcome,) = account.replay()["tagmesh-events-dlq"].outcomes
    assert "rule Tell does not deliver to" in outcome.problem

    account.client("events").delete_rule(Name="Tell")
    replay_again = account.replay()["tagmesh-events-dlq"]
    assert replay_again.left == 1


def test_a_target_that_only_the_message_names_is_not_called(account):
    account.queue("somebody-elses")
    arn = rule_to(account, account.arn("inbox"))
    account.bury("tagmesh-events-dlq", "{}", RULE_ARN=arn, TARGET_ARN=account.arn("somebody-elses"))
    account.bury("tagmesh-events-dlq", "{}", RULE_ARN="nonsense", TARGET_ARN=account.arn("somebody-elses"))
    account.bury("tagmesh-events-dlq", "{}", SCHEDULE_ARN="nonsense")
    account.bury("tagmesh-events-dlq", "no attributes at all")
    account.bury("tagmesh-events-dlq", "no event", RULE_ARN=arn, TARGET_ARN=account.arn("inbox"))

    queue = account.replay()["tagmesh-events-dlq"]

    assert queue.left == len(queue.outcomes) == 5
    assert all(outcome.problem for outcome in queue.outcomes)
    assert account.bodies("somebody-elses") == []


def test_only_queues_of_ours_are_touched(account):
    account.queue("their-dlq")
    account.queue("theirs", "their-dlq")
    account.bury("their-dlq", "not ours")
    with pytest.raises(replay.NoSuchQueue, match="the account of a mesh"):
        account.replay()
    account.queue("tagmesh-uploads-dlq")
    with pytest.raises(replay.NoSuchQueue, match="there is tagmesh-uploads-dlq"):
        account.replay("their-dlq")
    assert list(account.replay()) == ["tagmesh-uploads-dlq"]
    assert account.count("their-dlq") == 1


@pytest.mark.slow
def test_uploads_that_did_not_reach_the_central_account_are_told_again_by_the_producer(aws_module):
    producer, central = Account(aws_module, PRODUCER), Account(aws_module, CENTRAL)
    template = (ROOT / "accounts/producer.yaml").read_text(encoding="utf-8")
    cloudformation = producer.client("cloudformation")
    given = {"CentralAccountId": CENTRAL, "BucketName": "sales-raw-111111111111"}
    cloudformation.create_stack(
        StackName="producer",
        TemplateBody=template,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="producer", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    producer.client("s3").put_object(Bucket=given["BucketName"], Key="orders/products/a b.csv", Body=b"a\n1\n")
    aws_module.world.wait_idle(20)
    queue = "tagmesh-sales-raw-111111111111-dlq"
    (stays,) = producer.replay()[queue].outcomes
    assert (stays.letter.error, stays.replayed) == ("NO_RESOURCE", False)

    bus = central.client("events").create_event_bus(Name="tagmesh")["EventBusArn"]
    may = {"Effect": "Allow", "Principal": {"AWS": PRODUCER}, "Action": "events:PutEvents", "Resource": bus}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "p", **may}]})
    central.client("events").put_permission(EventBusName="tagmesh", Policy=policy)
    central.queue("tagmesh-uploads")
    pattern = _pattern_of_uploads()
    rule = central.client("events").put_rule(Name="u", EventBusName="tagmesh", EventPattern=json.dumps(pattern))
    central.admit("tagmesh-uploads", rule["RuleArn"])
    target = {"Id": "t", "Arn": central.arn("tagmesh-uploads")}
    central.client("events").put_targets(Rule="u", EventBusName="tagmesh", Targets=[target])
    (done,) = producer.replay()[queue].outcomes

    assert (done.replayed, done.to) == (True, f"tagmesh of {CENTRAL}")
    aws_module.world.wait_idle(20)
    (event,) = map(json.loads, central.bodies("tagmesh-uploads"))
    assert (event["account"], event["source"]) == (PRODUCER, "tagmesh.replay")
    assert event["detail"]["object"]["key"] == "orders/products/a b.csv"


def _pattern_of_uploads():
    from samtranslator.yaml_helper import yaml_parse

    template = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return template["Resources"]["UploadsRule"]["Properties"]["EventPattern"]


# ── What a target receives ──────────────────────────────────────────────────────────────────────────────────

EVENT = {"id": "i", "detail": {"name": 'a"b', "count": 3}, "resources": []}


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({}, json.dumps(EVENT)),
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.detail.count"}, "3"),
        (
            {"InputTransformer": {"InputPathsMap": {"n": "$.detail.name"}, "InputTemplate": '{"x": <n>, "y": "<n>!"}'}},
            '{"x": "a\\"b", "y": "a"b!"}',
        ),
    ],
)
def test_what_a_target_receives(target, text):
    assert received(target, EVENT) == text


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"InputPath": "$.nothing"}, "nothing at"),
        ({"InputPath": "$.resources[0]"}, "does not read"),
        ({"InputTransformer": {"InputTemplate": '"<aws.events.rule-arn>"'}}, "does not know"),
    ],
)
def test_what_is_not_known_is_not_guessed(target, reason):
    with pytest.raises(NotReplayable, match=reason):
        received(target, EVENT)


# ── What is said ────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_there_and_became_of_it_is_said_without_the_events(account):
    rule_to(account, account.arn("inbox"))
    happens(account, {"secret": "anna@example.com"})
    happens(account, {"secret": "bo@example.com"})
    account.queue("inbox")

    found = list(account.replay(dry_run=True).values())
    text, told = "\n".join(replay.lines(found)), replay.as_json(found, dry_run=True)

    assert "tagmesh-events-dlq: 2 messages, the oldest 0 s old" in text
    assert "2 of rule Tell, NO_RESOURCE: " in text and "would be delivered to inbox" in text
    assert told["queues"][0]["left"] == told["queues"][0]["found"] == 2
    assert "example.com" not in text + json.dumps(told)
    assert "    delivered to inbox" in replay.lines(list(account.replay().values()))
    assert replay.lines(list(account.replay().values())) == ["tagmesh-events-dlq: empty"]
