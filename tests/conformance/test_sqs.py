"""Queues: what they keep and for how long nobody sees it, dead letters, batches, limits, and order."""

import json
import threading
import time

import pytest
from botocore.config import Config
from lab import refused
from policies import allow, document, queue, root

CENTRAL = "central"


@pytest.fixture(scope="module")
def sqs(lab):
    return lab.client("sqs", CENTRAL)


def bodies(sqs, url, **more):
    got = sqs.receive_message(QueueUrl=url, **{"MaxNumberOfMessages": 10, **more}).get("Messages", [])
    return sorted(each["Body"] for each in got)


def send(sqs, url, *texts, **more):
    for text in texts:
        sqs.send_message(QueueUrl=url, MessageBody=text, **more)


@pytest.mark.statement("sqs.visibility")
@pytest.mark.local_only("time passes")
def test_a_received_message_is_invisible_until_its_time_is_over_or_it_is_deleted(lab, sqs):
    url, _ = queue(lab, CENTRAL, VisibilityTimeout="30")
    send(sqs, url, "a")
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]) == ("0", "1")
    assert bodies(sqs, url) == []
    lab.aws.world.advance(29)
    assert bodies(sqs, url) == []
    lab.aws.world.advance(2)
    names = ["ApproximateReceiveCount", "SentTimestamp"]
    (again,) = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=names)["Messages"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert again["MessageId"] == message["MessageId"] and again["ReceiptHandle"] != message["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    lab.aws.world.advance(31)
    assert bodies(sqs, url) == []


@pytest.mark.statement("sqs.visibility")
def test_who_received_a_message_changes_how_long_nobody_sees_it(lab, sqs):
    url, _ = queue(lab, CENTRAL)
    send(sqs, url, "a")
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
    handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    sqs.change_message_visibility(**handle, VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url)["Messages"]
    entry = {"Id": "1", "ReceiptHandle": again["ReceiptHandle"], "VisibilityTimeout": 0}
    assert sqs.change_message_visibility_batch(QueueUrl=url, Entries=[entry])["Successful"] == [{"Id": "1"}]
    assert bodies(sqs, url) == ["a"]
    with refused("InvalidParameterValue"):
        sqs.change_message_visibility(**handle, VisibilityTimeout=43_201)
    with refused("ReceiptHandleIsInvalid"):
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle="none", VisibilityTimeout=1)
    with refused("ReceiptHandleIsInvalid"):
        sqs.delete_message(QueueUrl=url, ReceiptHandle="none")


@pytest.mark.statement("sqs.delay")
@pytest.mark.local_only("time passes")
def test_a_delayed_message_comes_late(lab, sqs):
    url, _ = queue(lab, CENTRAL, DelaySeconds="20")
    send(sqs, url, "by the queue")
    send(sqs, url, "at once", DelaySeconds=0)
    send(sqs, url, "later", DelaySeconds=60)
    assert bodies(sqs, url, VisibilityTimeout=600) == ["at once"]
    lab.aws.world.advance(21)
    assert bodies(sqs, url, VisibilityTimeout=600) == ["by the queue"]
    lab.aws.world.advance(40)
    assert bodies(sqs, url) == ["later"]
    with refused("InvalidParameterValue"):
        send(sqs, url, "x", DelaySeconds=901)


@pytest.mark.statement("sqs.retention")
@pytest.mark.local_only("time passes")
def test_a_message_is_kept_for_the_queues_retention_period(lab, sqs):
    url, _ = queue(lab, CENTRAL, MessageRetentionPeriod="120")
    send(sqs, url, "a")
    lab.aws.world.advance(110)
    assert bodies(sqs, url, VisibilityTimeout=0) == ["a"]
    lab.aws.world.advance(20)
    assert bodies(sqs, url) == []


@pytest.mark.statement("sqs.dead-letters")
def test_a_message_received_too_often_goes_to_the_dead_letter_queue(lab, sqs):
    dead, dead_arn = queue(lab, CENTRAL)
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, arn = queue(lab, CENTRAL, RedrivePolicy=redrive)
    send(sqs, url, "poison")
    for _ in range(2):
        assert bodies(sqs, url, VisibilityTimeout=0) == ["poison"]
    assert bodies(sqs, url, VisibilityTimeout=0) == []
    (message,) = sqs.receive_message(QueueUrl=dead)["Messages"]
    assert message["Body"] == "poison"
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy", "QueueArn"])["Attributes"]
    assert json.loads(kept["RedrivePolicy"])["deadLetterTargetArn"] == dead_arn and kept["QueueArn"] == arn
    nowhere = json.dumps({"deadLetterTargetArn": f"{dead_arn}-not", "maxReceiveCount": 2})
    with refused("AWS.SimpleQueueService.NonExistentQueue", "InvalidParameterValue"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": nowhere})


@pytest.mark.statement("sqs.long-poll")
def test_a_long_poll_is_answered_when_a_message_comes_and_holds_nobody_up(lab, sqs):
    url, _ = queue(lab, CENTRAL)
    got = []
    waiting = threading.Thread(target=lambda: got.extend(bodies(sqs, url, WaitTimeSeconds=10)))
    began = time.monotonic()
    waiting.start()
    send(lab.session(CENTRAL).client("sqs"), url, "here")
    waiting.join(10)
    assert got == ["here"] and time.monotonic() - began < 5


@pytest.mark.statement("sqs.long-poll")
def test_an_empty_queue_is_answered_when_the_wait_is_over(lab, sqs):
    url, _ = queue(lab, CENTRAL, ReceiveMessageWaitTimeSeconds="1")
    began = time.monotonic()
    assert bodies(sqs, url) == []
    assert 0.9 < time.monotonic() - began < 5
    assert bodies(sqs, url, WaitTimeSeconds=0) == []
    assert time.monotonic() - began < 5
    for seconds in (21, -1):
        with refused("InvalidParameterValue", message="WaitTimeSeconds"):
            sqs.receive_message(QueueUrl=url, WaitTimeSeconds=seconds)


@pytest.mark.statement("sqs.limits")
def test_at_most_ten_messages_are_received_at_once(lab, sqs):
    url, _ = queue(lab, CENTRAL)
    for count in (0, 11):
        with refused("InvalidParameterValue", "ReadCountOutOfRange"):
            sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count)


@pytest.mark.statement("sqs.limits")
def test_a_message_has_at_most_a_mebibyte_or_what_its_queue_says(lab, sqs):
    url, _ = queue(lab, CENTRAL)
    send(sqs, url, "x" * 2**20)
    assert bodies(sqs, url) == ["x" * 2**20]
    with refused("InvalidParameterValue", message="Message must be shorter than 1048576 bytes"):
        send(sqs, url, "x" * (2**20 + 1))
    small, _ = queue(lab, CENTRAL, MaximumMessageSize="1024")
    send(sqs, small, "x" * 1024)
    with refused("InvalidParameterValue", message="Message must be shorter than 1024 bytes"):
        send(sqs, small, "x" * 1025)


@pytest.mark.statement("sqs.contents")
@pytest.mark.parametrize("body", ["a\x01", "a\ufffe", "\x00", "a\x1f"])
def test_a_message_has_only_characters_of_xml(lab, sqs, body):
    url = _plain(lab)
    with refused("InvalidMessageContents"):
        send(sqs, url, body)
    send(sqs, url, "tab\t line\n return\r ä 日本 😀 \ufffd")


@pytest.mark.statement("sqs.contents")
def test_a_message_is_not_empty(lab, sqs):
    url = _plain(lab)
    with refused("MissingParameter"):
        send(sqs, url, "")
    with refused("MissingParameter", "InvalidMessageContents"):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": ""}])


_queues: dict = {}


def _plain(lab):
    if lab not in _queues:
        _queues[lab] = queue(lab, CENTRAL)[0]
    return _queues[lab]


@pytest.mark.statement("sqs.contents")
def test_what_is_missing_is_said_in_sqss_words(lab):
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    unchecked = lab.session(CENTRAL).client("sqs", config=config)
    with refused("MissingParameter", message="must contain the parameter MessageBody"):
        unchecked.send_message(QueueUrl=_plain(lab))
    with refused("MissingParameter", message="must contain the parameter QueueName"):
        unchecked.create_queue()


@pytest.mark.statement("sqs.batches")
def test_a_batch_fails_entry_by_entry_and_as_a_whole_for_its_form(lab, sqs):
    url, _ = queue(lab, CENTRAL)
    entries = [{"Id": "good", "MessageBody": "1"}, {"Id": "bad", "MessageBody": "2", "DelaySeconds": 901}]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["good"]
    assert [(each["Id"], each["SenderFault"], each["Code"]) for each in answer["Failed"]] == [
        ("bad", True, "InvalidParameterValue")
    ]
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    handles = [{"Id": "good", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "bad", "ReceiptHandle": "none"}]
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    assert [each["Id"] for each in deleted["Successful"]] == ["good"]
    assert [(each["Id"], each["Code"]) for each in deleted["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]

    def batch(*given):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": each, "MessageBody": "x"} for each in given])

    with refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest"):
        batch(*map(str, range(11)))
    with refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct"):
        batch("1", "1")
    with refused("AWS.SimpleQueueService.EmptyBatchRequest"):
        batch()
    with refused("AWS.SimpleQueueService.InvalidBatchEntryId"):
        batch("with space")
    with refused("AWS.SimpleQueueService.BatchRequestTooLong"):
        big = [{"Id": str(n), "MessageBody": "x" * 200_000} for n in range(6)]
        sqs.send_message_batch(QueueUrl=url, Entries=big)


@pytest.mark.statement("sqs.attributes")
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("DelaySeconds", 0, 900),
        ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
        ("MaximumMessageSize", 1024, 1_048_576),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43_200),
    ],
)
def test_numbers_of_a_queue_have_their_ranges(lab, sqs, name, least, most):
    url = _plain(lab)
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    for value in (str(least), str(most)):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={name: value})
    for value in (str(least - 1), str(most + 1), "many"):
        with refused("InvalidAttributeValue", "InvalidParameterValue"):
            sqs.set_queue_attributes(QueueUrl=url, Attributes={name: value})
        with refused("InvalidAttributeValue", "InvalidParameterValue"):
            queue(lab, CENTRAL, **{name: value})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: before.get(name, "300")})


@pytest.mark.statement("sqs.attributes")
def test_setting_one_attribute_leaves_the_others_and_the_policy(lab, sqs):
    policy = document(allow("sqs:SendMessage", Principal=root(lab, "consumer")))
    url, _ = queue(lab, CENTRAL, Policy=policy, DelaySeconds="5", MessageRetentionPeriod="60")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (kept["VisibilityTimeout"], kept["DelaySeconds"], kept["MessageRetentionPeriod"]) == ("7", "5", "60")
    assert json.loads(kept["Policy"]) == json.loads(policy)
    lab.eventually(lambda: send(lab.client("sqs", "consumer"), url, "still admitted"))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert "Policy" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
    with refused("AccessDenied", "AccessDeniedException"):
        send(lab.client("sqs", "consumer"), url, "no longer")


@pytest.mark.statement("sqs.names")
def test_queues_are_found_by_name_made_once_and_gone_when_deleted(lab, sqs):
    url, arn = queue(lab, CENTRAL, VisibilityTimeout="30")
    name = arn.rpartition(":")[2]
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"] == url
    with refused("QueueAlreadyExists", "QueueNameExists"):
        sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "31"})
    said = document(allow("sqs:GetQueueUrl", Principal=root(lab, "consumer")))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": said})
    owner = {"QueueName": name, "QueueOwnerAWSAccountId": lab.account(CENTRAL)}
    lab.eventually(lambda: lab.client("sqs", "consumer").get_queue_url(**owner))
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        lab.client("sqs", "consumer").get_queue_url(QueueName=name)
    listed = sqs.list_queues(QueueNamePrefix=name, MaxResults=10)["QueueUrls"]
    assert listed == [url]
    sqs.delete_queue(QueueUrl=url)
    for call, params in ((sqs.get_queue_url, {"QueueName": name}), (sqs.receive_message, {"QueueUrl": url})):
        if lab.is_local:  # on AWS it takes up to a minute
            with refused("AWS.SimpleQueueService.NonExistentQueue"):
                call(**params)
    for wrong in ("with space", "a" * 81, "dots.in"):
        with refused("InvalidParameterValue"):
            sqs.create_queue(QueueName=wrong)


@pytest.mark.statement("sqs.purge")
def test_a_queue_is_purged_at_most_once_a_minute(lab, sqs):
    url, _ = queue(lab, CENTRAL)
    send(sqs, url, "a", "b")
    sqs.purge_queue(QueueUrl=url)
    with refused("AWS.SimpleQueueService.PurgeQueueInProgress"):
        sqs.purge_queue(QueueUrl=url)
    if lab.is_local:
        assert bodies(sqs, url) == []
        lab.aws.world.advance(61)
        sqs.purge_queue(QueueUrl=url)


@pytest.mark.statement("sqs.message-attributes")
def test_attributes_of_a_message_come_with_it_when_they_are_asked_for(lab, sqs):
    url, _ = queue(lab, CENTRAL)
    given = {"n": {"DataType": "Number", "StringValue": "1"}, "s": {"DataType": "String", "StringValue": "x"}}
    send(sqs, url, "a", MessageAttributes=given)
    asked = {"QueueUrl": url, "VisibilityTimeout": 0}
    assert "MessageAttributes" not in sqs.receive_message(**asked)["Messages"][0]
    assert set(sqs.receive_message(**asked, MessageAttributeNames=["n"])["Messages"][0]["MessageAttributes"]) == {"n"}
    (whole,) = sqs.receive_message(**asked, MessageAttributeNames=["All"])["Messages"]
    assert whole["MessageAttributes"]["n"]["StringValue"] == "1"


@pytest.mark.statement("sqs.fifo")
def test_a_fifo_queue_keeps_the_order_of_a_group_and_drops_duplicates(lab, sqs):
    name = f"{lab.name('fifo', '-')}.fifo"
    url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    with refused("MissingParameter"):
        send(sqs, url, "x")
    with refused("InvalidParameterValue", message="ContentBasedDeduplication"):
        send(sqs, url, "x", MessageGroupId="g")
    for n in (1, 2, 3):
        send(sqs, url, f"m{n}", MessageGroupId="g", MessageDeduplicationId=str(n))
    send(sqs, url, "again", MessageGroupId="g", MessageDeduplicationId="2")
    (first,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    assert first["Body"] == "m1"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)  # the group waits for its first message
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    rest = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [each["Body"] for each in rest] == ["m2", "m3"]
    by_content = f"{lab.name('fifo', '-')}.fifo"
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    other = sqs.create_queue(QueueName=by_content, Attributes=attributes)["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=other)
    for _ in range(2):
        send(sqs, other, "same", MessageGroupId="g")
    assert bodies(sqs, other) == ["same"]


@pytest.mark.statement("sqs.tags")
def test_tags_of_a_queue_are_kept(lab, sqs):
    name = lab.name("tagged", "-")
    url = sqs.create_queue(QueueName=name, tags={"a": "b"})["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    sqs.tag_queue(QueueUrl=url, Tags={"c": "d"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"c": "d"}


@pytest.mark.statement("sqs.parallel")
def test_no_message_is_lost_or_received_twice_among_many_receivers(lab, sqs):
    from concurrent.futures import ThreadPoolExecutor

    url, _ = queue(lab, CENTRAL, VisibilityTimeout="600")
    batches = [[{"Id": str(n), "MessageBody": f"{batch}-{n}"} for n in range(10)] for batch in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda entries: sqs.send_message_batch(QueueUrl=url, Entries=entries), batches))
        got = [body for some in pool.map(lambda _: bodies(sqs, url), range(8)) for body in some]
    if lab.is_local:  # AWS's standard queues deliver at least once, and not all at each call
        assert sorted(got) == sorted(entry["MessageBody"] for entries in batches for entry in entries)
