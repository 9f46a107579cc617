"""What `tagmesh doctor` says where it can look at some things and not at others, and at several data products."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from tagmesh import doors
from tagmesh.governance import EVERYBODY, load, read_folder

from cli import doctor, mesh_commands

GOVERNANCE = load(read_folder("mesh"))
PRODUCT = GOVERNANCE.data_product("data_product/sales/orders")
CENTRAL = "555555555555"


def refused(*_):
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "AssumeRole")


@pytest.fixture
def examined(monkeypatch):
    """Doors of data products in one bucket, whose owner is a consumer, too."""

    def of(products, statement, readers):
        consumer = replace(GOVERNANCE.consumers[0], account=PRODUCT.account)
        mesh = SimpleNamespace(
            account=CENTRAL,
            governance=replace(GOVERNANCE, consumers=(consumer,)),
            readers_of=lambda _: lambda _: None,
            readers_in=lambda _: lambda _: None,
        )
        policy = {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", **statement}}
        monkeypatch.setattr(doctor, "_bucket_policy", lambda *_: policy)
        monkeypatch.setattr(doctor.Doctor, "readers", readers)
        return list(doctor.Doctor(mesh).of_producer(products))

    return of


def test_the_bucket_policy_is_looked_at_also_where_the_account_cannot_be_asked_for_its_readers(examined):
    found = examined([PRODUCT], {"Principal": "*"}, refused)
    assert [door.code for door in found] == ["not-seen", "bucket-readable"]


def test_every_data_product_of_a_bucket_is_examined_and_a_statement_told_of_once(examined, monkeypatch):
    second = replace(PRODUCT, name="second", prefix="second/")
    below = {"Principal": "*", "Resource": f"arn:aws:s3:::{PRODUCT.bucket}/second/*"}
    assert [door.unit for door in examined([PRODUCT, second], below, lambda *_: ())] == [second.unit]
    assert len(examined([PRODUCT, second], {"Principal": "*"}, lambda *_: ())) == 1

    # A reader whose IAM policies let it read below the second one alone.
    monkeypatch.setattr(
        doctor.principals, "allowed", lambda _, arn, needs: {need: "/second/" in need[1] for need in needs}
    )
    found = examined([PRODUCT, second], {"Principal": "*", "Effect": "Deny"}, lambda *_: ("arn:x",))
    assert [(door.code, door.unit) for door in found] == [("reader-reads-bucket", second.unit)]


def test_what_was_found_before_something_could_not_be_looked_at_is_told():
    def look():
        yield doors.not_seen("1", "a", "b", "c")
        refused()

    assert [door.subject for door in doctor._tried(look, "1", "second", "mend it")] == ["a", "second"]


def test_a_bucket_that_its_account_reads_where_the_whole_account_subscribes(examined, monkeypatch):
    in_account = {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": PRODUCT.account}}}
    assert examined([PRODUCT], in_account, lambda *_: ()) == []

    subscription = replace(GOVERNANCE.consumers[0].subscriptions[0], principals=(EVERYBODY,))
    whole = replace(GOVERNANCE.consumers[0], account=PRODUCT.account, subscriptions=(subscription,))
    monkeypatch.setattr(doctor.Doctor, "consumers", {PRODUCT.account: [whole]})
    (door,) = examined([PRODUCT], in_account, lambda *_: ())
    assert door.code == "bucket-readable" and f"{PRODUCT.account}:IAMPrincipals" in door.message


def test_why_something_could_not_be_mended_is_said_also_beside_json(monkeypatch, capsys):
    left, mended = (
        doors.Door(doors.DOOR, "open-to-iam", CENTRAL, name, "m", "n", fix=doors.Fix("revoke")) for name in "ab"
    )
    monkeypatch.setattr(mesh_commands, "find", lambda _: None)
    monkeypatch.setattr(doctor, "examine", lambda *_: [left, mended])
    monkeypatch.setattr(doctor, "mend", lambda *_: [(left, "you are no administrator"), (mended, "")])

    assert mesh_commands.doctor([], None, None, fix=True, json=True) == 1
    printed = capsys.readouterr()
    assert [each["subject"] for each in json.loads(printed.out)] == ["a"]
    assert "could not be mended: you are no administrator: open-to-iam a" in printed.err
    assert "\nmended: open-to-iam b" in printed.err
