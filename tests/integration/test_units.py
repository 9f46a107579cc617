"""Leases, counters and the ledger, on DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tagmesh.aws import ledger, units

UNIT = "data_product/sales/orders"


@pytest.fixture(scope="module")
def tables(aws_module):
    client = aws_module.session("555555555555").client("dynamodb")
    for table, keys in (("units", ["unit"]), ("ledger", ["unit", "made"])):
        client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
        )
    return client


@pytest.fixture
def dynamodb(tables, monkeypatch):
    """The two tables, with nothing in them."""
    monkeypatch.setenv("UNITS_TABLE", "units")
    monkeypatch.setenv("LEDGER_TABLE", "ledger")
    yield tables
    for item in tables.scan(TableName="units")["Items"]:
        tables.delete_item(TableName="units", Key={"unit": item["unit"]})


def test_a_unit_that_nobody_asked_for_needs_nothing(dynamodb):
    unit = units.read(dynamodb, UNIT)
    assert (unit.dirty, unit.done, unit.live) == (0, 0, False)


def test_only_one_of_many_gets_the_lease(dynamodb):
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda _: units.acquire(dynamodb, UNIT, "preparing"), range(16)))
    assert len([lease for lease in leases if lease]) == 1


def test_an_expired_lease_is_taken_with_a_higher_token_and_the_old_holder_is_told(dynamodb, monkeypatch):
    old = units.acquire(dynamodb, UNIT, "preparing")
    later = units.time.time() + units.RUN_SECONDS + 1
    monkeypatch.setattr(units.time, "time", lambda: later)
    new = units.acquire(dynamodb, UNIT, "preparing")
    assert new.token > old.token
    for step in (
        lambda: units.advance(dynamodb, old, "publishing"),
        lambda: units.holds(dynamodb, old),
        lambda: units.finish(dynamodb, old, covered=True, findings=[]),
    ):
        with pytest.raises(units.LeaseLost):
            step()
    units.holds(dynamodb, new)


def test_what_was_asked_while_a_run_was_at_it_is_still_to_do_afterwards(dynamodb):
    units.request(dynamodb, UNIT, "c-1", hurry=True)
    lease = units.acquire(dynamodb, UNIT, "preparing")
    assert units.note(dynamodb, lease, "preparing").hurry is False
    units.request(dynamodb, UNIT, "c-2", hurry=True)
    unit = units.finish(dynamodb, lease, covered=True, findings=[])
    assert (unit.dirty, unit.done, unit.hurry, unit.live) == (2, 1, True, False)


def test_a_run_that_did_not_cover_leaves_the_work(dynamodb):
    units.request(dynamodb, UNIT, "c-1")
    lease = units.acquire(dynamodb, UNIT, "preparing")
    units.note(dynamodb, lease, "preparing")
    unit = units.finish(dynamodb, lease, covered=False, findings=[{"code": "crawl-failed", "subject": UNIT}])
    assert unit.dirty > unit.done and unit.findings[0]["code"] == "crawl-failed"


def test_one_completion_takes_a_crawling_unit_over_and_a_second_finds_nothing(dynamodb):
    lease = units.acquire(dynamodb, UNIT, "preparing")
    units.crawling(dynamodb, lease, ["orders"], "", [], 1.0)
    with ThreadPoolExecutor(8) as pool:
        taken = list(
            pool.map(lambda _: units.take_over(dynamodb, UNIT, ["crawling", "waiting"], "publishing"), range(8))
        )
    (unit,) = [unit for unit in taken if unit]
    assert unit.token == lease.token + 1 and unit.folders == {"orders"}
    with pytest.raises(units.LeaseLost):
        units.advance(dynamodb, lease, "preparing")


def test_a_released_unit_can_be_taken_at_once(dynamodb):
    units.release(dynamodb, units.acquire(dynamodb, UNIT, "sharing"))
    assert units.acquire(dynamodb, UNIT, "sharing") is not None


def test_a_step_that_fails_frees_the_unit_and_its_retry_goes_on_with_the_same_token(dynamodb):
    lease = units.acquire(dynamodb, UNIT, "sharing")
    with pytest.raises(KeyError), units.freed_on_failure(dynamodb, lease):
        raise KeyError("a defect")
    assert not units.read(dynamodb, UNIT).live
    units.advance(dynamodb, lease, "sharing")
    units.holds(dynamodb, lease)


def test_no_request_is_lost_among_concurrent_ones(dynamodb):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: units.request(dynamodb, UNIT, f"c-{n}"), range(100)))
    assert units.read(dynamodb, UNIT).dirty == 100


def test_refusals_are_kept_once_a_sender_and_only_the_latest(dynamodb):
    for number in range(units.KEPT_REFUSALS + 10):
        units.add_refusals(dynamodb, [{"subject": f"a/{number}", "message": "no"}] * 2)
    kept = units.read(dynamodb, "refused_uploads").findings
    assert len(kept) == units.KEPT_REFUSALS
    assert kept[-1]["subject"] == f"a/{units.KEPT_REFUSALS + 9}"


def test_the_ledger_gives_back_what_was_recorded_and_forgets_what_is_gone(dynamodb):
    ledger.record(dynamodb, UNIT, "link/a", "link", {"name": "a"}, "share", "v1")
    ledger.record(dynamodb, UNIT, "link/b", "link", {"name": "b"}, "share", "v1")
    ledger.record(dynamodb, "consumer/other", "link/a", "link", {"name": "a"}, "share", "v1")
    ledger.forget(dynamodb, UNIT, "link/a")
    made = ledger.made_by(dynamodb, UNIT)
    assert list(made) == ["link/b"]
    assert made["link/b"]["why"] == "share" and made["link/b"]["version"] == "v1"
