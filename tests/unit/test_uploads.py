"""Which uploads are believed, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tagmesh.governance import load, read_folder
from tagmesh.uploads import sort_uploads

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def governance():
    return load(read_folder(ROOT / "mesh"))


def record(account="111111111111", bucket="sales-raw-111111111111", key="orders/products/a.csv", **changes):
    event = {
        "id": "e-1",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "account": account,
        "detail": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
    }
    return {"messageId": f"m-{account}-{bucket}-{len(key)}", "body": json.dumps({**event, **changes})}


def test_an_upload_in_a_location_belongs_to_its_data_product(governance):
    uploads, refused = sort_uploads(governance, [record()])
    assert [product.unit for product in uploads] == ["data_product/sales/orders"]
    assert [upload.folder for upload in next(iter(uploads.values()))] == ["products"]
    assert refused == []


@pytest.mark.parametrize(
    "key",
    ["orders/my table/a b.csv", "orders/a+b/100%.csv", "orders/tïsch/日本語.csv", "orders/" + "x" * 990 + "/a"],
)
def test_awkward_keys_are_taken_as_they_are(governance, key):
    uploads, refused = sort_uploads(governance, [record(key=key)])
    assert [upload.folder for upload in next(iter(uploads.values()))] == [key.split("/")[1]]
    assert refused == []


def test_a_file_beside_the_folders_is_in_no_folder(governance):
    uploads, _ = sort_uploads(governance, [record(key="orders/stray.csv")])
    assert [upload.folder for upload in next(iter(uploads.values()))] == [""]


def test_the_envelopes_account_and_the_bucket_must_belong_together(governance):
    uploads, (finding,) = sort_uploads(governance, [record(account="222222222222")])
    assert uploads == {}
    assert finding.code == "upload-refused"
    assert "222222222222" in finding.message and "111111111111" in finding.message


@pytest.mark.parametrize("account", ["111111111111", "222222222222"])
def test_an_upload_that_is_told_again_is_believed_as_much_as_the_first_time(governance, account):
    again, refused = sort_uploads(governance, [record(account=account, source="tagmesh.replay")])
    first, refused_first = sort_uploads(governance, [record(account=account)])
    assert (again, refused) == (first, refused_first)
    assert bool(again) == (account == "111111111111")


def test_an_unknown_bucket_is_refused_with_the_way_to_join_it(governance):
    uploads, (finding,) = sort_uploads(governance, [record(bucket="somebody-elses")])
    assert uploads == {}
    assert "somebody-elses" in finding.message and "add a data product" in finding.mend


def test_an_upload_outside_every_location_is_told_where_to_go(governance):
    uploads, (finding,) = sort_uploads(governance, [record(key="elsewhere/a.csv")])
    assert uploads == {}
    assert finding.code == "upload-outside-locations" and "s3://sales-raw-111111111111/orders/" in finding.mend


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        "[]",
        "null",
        json.dumps({"source": "aws.s3"}),
        record(source="made.up")["body"],
        record(**{"detail-type": "Object Restore Completed"})["body"],
        record(detail={"bucket": "sales-raw-111111111111", "object": {"key": "orders/a/b"}})["body"],
        record(id=7)["body"],
    ],
)
def test_what_is_no_s3_event_is_counted_and_never_raises(governance, body):
    uploads, findings = sort_uploads(governance, [{"messageId": "m", "body": body}])
    assert uploads == {} and [finding.code for finding in findings] == ["event-refused"]


def test_one_bad_record_does_not_stop_the_others(governance):
    uploads, refused = sort_uploads(governance, [record(bucket="other"), record(), {"messageId": "x", "body": "{"}])
    assert [product.unit for product in uploads] == ["data_product/sales/orders"]
    assert len(refused) == 2
