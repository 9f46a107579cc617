"""What the benchmarks count holds where it is small enough to run here; no clock is read. And results.json is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import burst
import calls
import counted_mesh
import minimum
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = json.loads((BENCHMARKS / "results.json").read_text("utf-8"))
NO_MORE_THAN = 1.1
"""Times the minimum."""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    return calls.small(counted_mesh.Throttles())


@pytest.fixture(scope="module")
def scenario() -> dict[str, Any]:
    """A tenth of the large scenario."""
    return calls.scenario(counted_mesh.Throttles(), databases=3, tables=20, consumers=4)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("new_table", ("calls", "minimum")),
        ("new_consumer", ("10", "10000")),
        ("unchanged", ("tables", "calls", "writes", "tables_a_database")),
        ("scenario", ("calls", "minimum", "transitions")),
        ("planning", ("tables", "columns_per_table", "seconds", "peak_mb")),
        ("burst", ("uploads", "data_products", "crawls", "missed", "transitions", "requests")),
    ],
)
def test_results_have_every_figure(name: str, fields: tuple[str, ...]):
    assert all(isinstance(RESULTS[name][field], int | float) for field in fields)


def test_results_hold_what_was_measured_at_its_full_size():
    assert RESULTS["unchanged"]["tables"] == 10_000
    assert (RESULTS["planning"]["tables"], RESULTS["planning"]["columns_per_table"]) == (50_000, 50)
    assert (RESULTS["burst"]["uploads"], RESULTS["burst"]["data_products"]) == (1_000_000, 1_000)


def test_a_new_table_takes_one_tag_call_for_each_set_of_tags(small: dict[str, Any]):
    assert small["new_table"]["by_function"]["apply_tags"] == {"lakeformation:AddLFTagsToResource (table)": 4}


def test_a_new_table_takes_hardly_more_calls_than_the_minimum(small: dict[str, Any]):
    assert small["new_table"]["calls"] <= NO_MORE_THAN * small["new_table"]["minimum"]


def test_the_scenario_takes_hardly_more_calls_than_the_minimum(scenario: dict[str, Any]):
    assert scenario["calls"] <= NO_MORE_THAN * scenario["minimum"]


def test_the_whole_scenario_took_hardly_more_calls_than_the_minimum():
    assert RESULTS["scenario"]["calls"] <= NO_MORE_THAN * RESULTS["scenario"]["minimum"]


def test_a_new_consumer_took_as_many_calls_whatever_the_number_of_tables():
    assert RESULTS["new_consumer"]["10"] == RESULTS["new_consumer"]["10000"]
    assert RESULTS["new_consumer"]["10"] <= NO_MORE_THAN * RESULTS["new_consumer"]["minimum"]["10"]


def test_the_other_aims_were_met():
    assert RESULTS["unchanged"]["writes"] == 0
    assert RESULTS["unchanged"]["calls"] <= 0.03 * RESULTS["unchanged"]["tables"]
    assert RESULTS["planning"]["seconds"] <= 60
    assert RESULTS["planning"]["peak_mb"] <= 1024
    assert RESULTS["burst"]["missed"] == 0
    assert (RESULTS["burst"]["most_running"], RESULTS["burst"]["most_waiting"]) == (1, 1)


def test_a_new_table_takes_no_more_calls_than_were_measured(small: dict[str, Any]):
    assert small["new_table"]["calls"] <= RESULTS["new_table"]["calls"]


def test_a_new_consumer_takes_no_more_calls_than_were_measured(small: dict[str, Any]):
    assert small["new_consumer"]["calls"] <= RESULTS["new_consumer"]["10"]


def test_runs_take_as_many_transitions_as_the_budget_allows(scenario: dict[str, Any]):
    """At most 20 a data product, and 3 for each consumer whose access changes."""
    sweeps = 2
    first_shares = 4 * 3  # of the new consumers, before there is something to read
    assert scenario["transitions"] <= 3 * 20 + 4 * 3 + first_shares + sweeps * 3


def test_the_minimum_is_no_more_than_what_was_done(small: dict[str, Any], scenario: dict[str, Any]):
    for found in (*small.values(), scenario):
        assert found["minimum"] <= found["calls"]
        assert found["writes"] < found["minimum"]


def test_the_minimum_of_the_large_scenario_is_what_it_says_and_the_reads():
    """Its writes: tag calls, links, and assumed roles are about 4,300 of the minimum."""
    assert minimum.whole_mesh(10, 100, 4, 20, 2, 3) - 1_000 == pytest.approx(4_300, rel=0.05)


def test_a_sweep_of_an_unchanged_estate_writes_nothing():
    with calls.estate(2, 30, 2) as mesh:
        found = calls.unchanged(mesh, counted_mesh.Throttles(), 60, 2)

    assert found["writes"] == 0


def test_a_modelled_time_keeps_to_the_throttles():
    """Twelve tag calls of two runs side by side, five a second: the last begins after 11 fifths."""
    tag = counted_mesh.Call("lakeformation:AddLFTagsToResource (table)", "1", "apply_tags", True)
    listing = counted_mesh.Call("s3:ListObjectsV2", "1", "prepare_crawl", False)
    work = [counted_mesh.Work("publish", calls=[tag] * 6), counted_mesh.Work("publish", calls=[tag] * 6)]
    mesh = counted_mesh.CountedMesh()
    mesh.work = work
    assert counted_mesh.modelled_seconds(mesh, counted_mesh.Throttles()) == pytest.approx(11 / 5 + 0.08)

    first = counted_mesh.Work("crawl", calls=[listing] * 3)
    mesh.work = [first, counted_mesh.Work("publish", parent=first, after=2, calls=[listing] * 4)]
    assert counted_mesh.modelled_seconds(mesh, counted_mesh.Throttles()) == pytest.approx(6 * 0.08)


def test_a_burst_is_one_crawl_at_a_time_and_loses_nothing():
    found = burst.run(uploads=4_000, products=20)

    assert found["missed"] == 0
    assert (found["most_running"], found["most_waiting"]) == (1, 1)
    # The first at once, then every 15 minutes while there is news: in 70 minutes, and once after.
    assert 20 <= found["crawls"] <= 20 * 6
    assert found["events"] > found["uploads"]


def test_the_burst_comes_in_the_batches_of_the_template():
    template = (BENCHMARKS.parent / "template.yaml").read_text("utf-8")

    assert f"BatchSize: {burst.BATCH_SIZE}\n" in template
    assert f"UploadBatchingSeconds:\n    Type: Number\n    Default: {burst.WINDOW:.0f}\n" in template
    assert f"SweepMinutes:\n    Type: Number\n    Default: {burst.SWEEP / 60:.0f}\n" in template


def test_a_burst_that_loses_an_upload_would_be_told(monkeypatch: pytest.MonkeyPatch):
    """The check itself: without what asks for a crawl, the last uploads are seen by none."""
    from tagmesh.aws import runs

    monkeypatch.setattr(runs, "crawl_is_due", lambda product, unit: unit.crawled_at == 0)

    assert burst.run(uploads=400, products=5)["missed"] > 0
