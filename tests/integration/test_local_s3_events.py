"""S3's events: to whom, how often, and with what in them (Amazon S3 user guide, "EventBridge event messages")."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local_aws.server import LocalAws

A, B = "111111111111", "222222222222"
REGION = "eu-west-1"


class Bus:
    """Stands in for EventBridge: keeps what is routed."""

    def __init__(self) -> None:
        self.routed: list[tuple[str, str, str, dict]] = []

    def route(self, account: str, region: str, bus: str, event: dict) -> None:
        self.routed.append((account, region, bus, event))


@pytest.fixture
def bus(aws: LocalAws) -> Bus:
    aws.world.engines["events"] = Bus()
    return aws.world.engines["events"]


def make_bucket(aws: LocalAws, events: bool = True, versioned: bool = False) -> Any:
    s3 = aws.session(A).client("s3")
    s3.create_bucket(Bucket="the-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    if events:
        s3.put_bucket_notification_configuration(
            Bucket="the-lake", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    if versioned:
        s3.put_bucket_versioning(Bucket="the-lake", VersioningConfiguration={"Status": "Enabled"})
    return s3


def told(aws: LocalAws, bus: Bus) -> list[dict]:
    """The events so far, in the order they came about."""
    aws.world.wait_idle(10)
    events = [event for _, _, _, event in bus.routed]
    return sorted(events, key=lambda event: event["detail"]["object"]["sequencer"])


def test_a_written_object_is_told_as_aws_tells_it(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws)
    etag = s3.put_object(Bucket="the-lake", Key="sales/a b+ü.csv", Body=b"hello")["ETag"]
    (event,) = told(aws, bus)
    account, region, name, _ = bus.routed[0]
    assert (account, region, name) == (A, REGION, "default")
    detail = event.pop("detail")
    assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event.pop("time"))
    assert event == {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": A,
        "region": REGION,
        "resources": ["arn:aws:s3:::the-lake"],
    }
    assert re.fullmatch(r"[0-9A-F]{18}", detail["object"].pop("sequencer"))
    assert re.fullmatch(r"[0-9A-F]{16}", detail.pop("request-id"))
    assert detail == {
        "version": "0",
        "bucket": {"name": "the-lake"},
        "object": {"key": "sales/a b+ü.csv", "size": 5, "etag": etag.strip('"')},
        "requester": A,
        "source-ip-address": "127.0.0.1",
        "reason": "PutObject",
    }
    json.dumps(event)


def test_no_events_unless_the_bucket_says_so(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws, events=False)
    s3.put_object(Bucket="the-lake", Key="a", Body=b"")
    s3.delete_object(Bucket="the-lake", Key="a")
    s3.put_bucket_notification_configuration(
        Bucket="the-lake", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    s3.put_object(Bucket="the-lake", Key="b", Body=b"")
    s3.put_bucket_notification_configuration(Bucket="the-lake", NotificationConfiguration={})
    s3.put_object(Bucket="the-lake", Key="c", Body=b"")
    assert [event["detail"]["object"]["key"] for event in told(aws, bus)] == ["b"]


def test_an_upload_in_parts_and_a_copy_are_told_once(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws)
    target = {"Bucket": "the-lake", "Key": "big"}
    upload = s3.create_multipart_upload(**target)["UploadId"]
    parts = []
    for number, body in ((1, b"x" * 5 * 2**20), (2, b"y")):
        part = s3.upload_part(**target, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    assert told(aws, bus) == []
    s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": parts})
    s3.copy_object(Bucket="the-lake", Key="copy", CopySource=target)
    events = told(aws, bus)
    assert [(each["detail"]["reason"], each["detail"]["object"]["key"]) for each in events] == [
        ("CompleteMultipartUpload", "big"), ("CopyObject", "copy"),
    ]  # fmt: skip
    assert events[0]["detail"]["object"]["size"] == 5 * 2**20 + 1


def test_each_write_comes_after_the_one_before(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws)
    for size in range(20):
        s3.put_object(Bucket="the-lake", Key="same", Body=b"x" * size)
    assert [event["detail"]["object"]["size"] for event in told(aws, bus)] == list(range(20))


def test_an_upload_by_another_account_goes_to_the_owner_of_the_bucket(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws)
    said = {
        "Effect": "Allow", "Principal": {"AWS": B}, "Action": "s3:PutObject", "Resource": "arn:aws:s3:::the-lake/*",
    }  # fmt: skip
    s3.put_bucket_policy(Bucket="the-lake", Policy=json.dumps({"Version": "2012-10-17", "Statement": [said]}))
    aws.session(B).client("s3").put_object(Bucket="the-lake", Key="from-b", Body=b"1")
    (event,) = told(aws, bus)
    assert (bus.routed[0][0], event["account"], event["detail"]["requester"]) == (A, A, B)


def test_what_was_refused_is_not_told(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws)
    s3.put_object(Bucket="the-lake", Key="a", Body=b"1")
    for key, condition in (("a", {"IfNoneMatch": "*"}), ("never-there", {"IfMatch": '"x"'})):
        with pytest.raises(s3.exceptions.ClientError):
            s3.put_object(Bucket="the-lake", Key=key, Body=b"2", **condition)
    with pytest.raises(s3.exceptions.ClientError):
        aws.session(B).client("s3").put_object(Bucket="the-lake", Key="b", Body=b"2")
    s3.delete_object(Bucket="the-lake", Key="never-there")
    s3.get_object(Bucket="the-lake", Key="a")
    assert [event["detail"]["object"]["key"] for event in told(aws, bus)] == ["a"]


def test_deleted_objects_are_told_whichever_way_they_go(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws)
    for key in ("a", "b", "c"):
        s3.put_object(Bucket="the-lake", Key=key, Body=b"1")
    s3.delete_object(Bucket="the-lake", Key="a")
    s3.delete_objects(Bucket="the-lake", Delete={"Objects": [{"Key": "b"}, {"Key": "c"}, {"Key": "d"}]})
    deleted = [event for event in told(aws, bus) if event["detail-type"] == "Object Deleted"]
    assert [event["detail"]["object"]["key"] for event in deleted] == ["a", "b", "c"]
    for event in deleted:
        assert event["detail"]["reason"] == "DeleteObject"
        assert event["detail"]["deletion-type"] == "Permanently Deleted"
        assert set(event["detail"]["object"]) == {"key", "sequencer"}


def test_in_a_versioned_bucket_a_delete_leaves_a_marker(aws: LocalAws, bus: Bus) -> None:
    s3 = make_bucket(aws, versioned=True)
    versions = [s3.put_object(Bucket="the-lake", Key=key, Body=b"1")["VersionId"] for key in ("a", "b")]
    marker = s3.delete_object(Bucket="the-lake", Key="a")["VersionId"]
    markers = s3.delete_objects(Bucket="the-lake", Delete={"Objects": [{"Key": "b"}]})["Deleted"]
    s3.delete_object(Bucket="the-lake", Key="a", VersionId=versions[0])
    s3.delete_objects(Bucket="the-lake", Delete={"Objects": [{"Key": "b", "VersionId": versions[1]}]})
    said = [(event["detail"]["object"]["version-id"], event["detail"].get("deletion-type")) for event in told(aws, bus)]
    assert said == [
        (versions[0], None),
        (versions[1], None),
        (marker, "Delete Marker Created"),
        (markers[0]["DeleteMarkerVersionId"], "Delete Marker Created"),
        (versions[0], "Permanently Deleted"),
        (versions[1], "Permanently Deleted"),
    ]
