"""S3's events: to whom, how often, in which order, and with what in them. A rule brings them into a queue."""

import json
import re
import time

import pytest
from botocore.exceptions import ClientError
from lab import refused
from policies import allow, document, queue, root

MIB = 2**20


class Watched:
    """A bucket whose events a rule on its account's bus delivers to a queue."""

    def __init__(self, lab, part="central", *, events=True, versioned=False):
        self.lab, self.part = lab, part
        self.name, self.s3 = lab.bucket(part), lab.client("s3", part)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        if events:
            self.tell(True)
        service = {"Service": "events.amazonaws.com"}
        self.url, arn = queue(lab, part, Policy=document(allow("sqs:SendMessage", Principal=service)))
        bus, rule = lab.client("events", part), lab.name("rule", "-")
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [self.name]}}}
        bus.put_rule(Name=rule, EventPattern=json.dumps(pattern))
        lab.at_end(bus.delete_rule, Name=rule)
        bus.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": arn}])
        lab.at_end(bus.remove_targets, Rule=rule, Ids=["q"])

    def tell(self, wanted):
        configuration = {"EventBridgeConfiguration": {}} if wanted else {}
        self.s3.put_bucket_notification_configuration(Bucket=self.name, NotificationConfiguration=configuration)
        assert ("EventBridgeConfiguration" in self.s3.get_bucket_notification_configuration(Bucket=self.name)) is wanted

    def told(self):
        """The events so far, in the order in which things happened."""
        found = {}
        self.lab.eventually(lambda: None)
        deadline = time.monotonic() + (0 if self.lab.is_local else 60)
        sqs = self.lab.client("sqs", self.part)
        while True:
            got = sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
            found.update((event["id"], event) for event in (json.loads(each["Body"]) for each in got))
            if not got and time.monotonic() >= deadline:
                return sorted(found.values(), key=lambda event: event["detail"]["object"]["sequencer"])


def keys(events):
    return [event["detail"]["object"]["key"] for event in events]


@pytest.mark.statement("s3.event-created")
def test_a_written_object_is_told_as_documented_with_its_key_as_it_is(lab):
    watched = Watched(lab)
    etag = watched.s3.put_object(Bucket=watched.name, Key="sales/a b+ü.csv", Body=b"hello")["ETag"]
    (event,) = watched.told()
    detail = event.pop("detail")
    assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event.pop("time"))
    assert event == {
        "version": "0", "detail-type": "Object Created", "source": "aws.s3", "account": lab.account("central"),
        "region": lab.region, "resources": [f"arn:aws:s3:::{watched.name}"],
    }  # fmt: skip
    assert re.fullmatch(r"[0-9A-F]+", detail["object"].pop("sequencer"))
    assert re.fullmatch(r"[0-9A-Z]{16}", detail.pop("request-id"))
    assert re.fullmatch(r"[0-9.]+", detail.pop("source-ip-address"))
    assert detail == {
        "version": "0", "bucket": {"name": watched.name}, "requester": lab.account("central"), "reason": "PutObject",
        "object": {"key": "sales/a b+ü.csv", "size": 5, "etag": etag.strip('"')},
    }  # fmt: skip


@pytest.mark.statement("s3.event-opt-in")
def test_there_are_no_events_unless_the_bucket_says_so(lab):
    watched = Watched(lab, events=False)
    watched.s3.put_object(Bucket=watched.name, Key="a", Body=b"")
    watched.s3.delete_object(Bucket=watched.name, Key="a")
    watched.s3.delete_objects(Bucket=watched.name, Delete={"Objects": [{"Key": "a"}]})
    watched.tell(True)
    watched.s3.put_object(Bucket=watched.name, Key="b", Body=b"")
    watched.tell(False)
    watched.s3.put_object(Bucket=watched.name, Key="c", Body=b"")
    assert keys(watched.told()) == ["b"]


@pytest.mark.statement("s3.event-reason")
def test_an_upload_in_parts_and_a_copy_are_told_once_each_with_their_reason(lab):
    watched = Watched(lab)
    s3, target = watched.s3, {"Bucket": watched.name, "Key": "big"}
    upload = s3.create_multipart_upload(**target)["UploadId"]
    parts = []
    for number, body in ((1, b"x" * 5 * MIB), (2, b"y")):
        part = s3.upload_part(**target, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    assert watched.told() == []
    s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": parts})
    s3.copy_object(Bucket=watched.name, Key="copy", CopySource=target)
    events = watched.told()
    assert [(each["detail"]["reason"], each["detail"]["object"]["key"]) for each in events] == [
        ("CompleteMultipartUpload", "big"), ("CopyObject", "copy"),
    ]  # fmt: skip
    assert events[0]["detail"]["object"]["size"] == 5 * MIB + 1
    assert events[0]["detail"]["object"]["etag"].endswith("-2")


@pytest.mark.statement("s3.event-sequencer")
def test_of_writes_of_one_key_the_later_has_the_greater_sequencer(lab):
    watched = Watched(lab)
    for size in range(12):
        watched.s3.put_object(Bucket=watched.name, Key="same", Body=b"x" * size)
    assert [event["detail"]["object"]["size"] for event in watched.told()] == list(range(12))


@pytest.mark.statement("s3.event-owner")
def test_an_upload_by_another_account_is_told_to_the_buckets_owner(lab):
    watched = Watched(lab)
    said = allow("s3:PutObject", f"arn:aws:s3:::{watched.name}/*", Principal=root(lab, "consumer"))
    watched.s3.put_bucket_policy(Bucket=watched.name, Policy=document(said))
    theirs = lab.client("s3", "consumer")
    lab.eventually(lambda: theirs.put_object(Bucket=watched.name, Key="theirs", Body=b"1"))
    (event,) = watched.told()
    assert event["account"] == lab.account("central")
    assert event["detail"]["requester"] == lab.account("consumer")


@pytest.mark.statement("s3.event-refused")
def test_what_was_refused_or_only_read_is_not_told(lab):
    watched = Watched(lab)
    s3, name = watched.s3, watched.name
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    for key, condition in (("a", {"IfNoneMatch": "*"}), ("never-there", {"IfMatch": '"x"'})):
        with pytest.raises(ClientError):
            s3.put_object(Bucket=name, Key=key, Body=b"2", **condition)
    with refused("AccessDenied"):
        lab.client("s3", "consumer").put_object(Bucket=name, Key="b", Body=b"2")
    upload = s3.create_multipart_upload(Bucket=name, Key="c")["UploadId"]
    with refused("InvalidPart"):
        wrong = {"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}
        s3.complete_multipart_upload(Bucket=name, Key="c", UploadId=upload, MultipartUpload=wrong)
    s3.abort_multipart_upload(Bucket=name, Key="c", UploadId=upload)
    s3.delete_object(Bucket=name, Key="never-there")
    s3.get_object(Bucket=name, Key="a")
    s3.put_object_tagging(Bucket=name, Key="a", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert keys(watched.told()) == ["a"]


@pytest.mark.statement("s3.event-deleted")
def test_deleted_objects_are_told_whichever_way_they_go(lab):
    watched = Watched(lab)
    s3, name = watched.s3, watched.name
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=name, Key=key, Body=b"1")
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "b"}, {"Key": "c"}, {"Key": "d"}]})
    deleted = [event for event in watched.told() if event["detail-type"] == "Object Deleted"]
    assert keys(deleted) == ["a", "b", "c"]
    for event in deleted:
        assert event["detail"]["reason"] == "DeleteObject"
        assert event["detail"]["deletion-type"] == "Permanently Deleted"
        assert set(event["detail"]["object"]) == {"key", "sequencer"}


@pytest.mark.statement("s3.event-versions")
def test_in_a_versioned_bucket_events_name_versions_and_markers(lab):
    watched = Watched(lab, versioned=True)
    s3, name = watched.s3, watched.name
    versions = [s3.put_object(Bucket=name, Key=key, Body=b"1")["VersionId"] for key in ("a", "b")]
    marker = s3.delete_object(Bucket=name, Key="a")["VersionId"]
    (many,) = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "b"}]})["Deleted"]
    s3.delete_object(Bucket=name, Key="a", VersionId=versions[0])
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "b", "VersionId": versions[1]}]})
    s3.delete_object(Bucket=name, Key="a", VersionId=versions[0])
    told = watched.told()
    assert [(each["detail"]["object"]["version-id"], each["detail"].get("deletion-type")) for each in told] == [
        (versions[0], None),
        (versions[1], None),
        (marker, "Delete Marker Created"),
        (many["DeleteMarkerVersionId"], "Delete Marker Created"),
        (versions[0], "Permanently Deleted"),
        (versions[1], "Permanently Deleted"),
    ]
