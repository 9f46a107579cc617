"""What the sweep does by itself: crawls that fail, folders without a table, and whose account is looked into."""

from __future__ import annotations

from dataclasses import replace

import inspect_consumers
import pytest
from convergence.ends import holds, written
from convergence.histories import TYPES, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.aws import drifts, units
from tagmesh.governance import load

WANTED = Wanted("usual", ("orders",), {"analytics": ("open",)})
GOVERNANCE = load(WANTED.files())
(PRODUCT,) = GOVERNANCE.data_products


@pytest.fixture
def mesh():
    with MeshInProcess() as mesh:
        mesh.apply(WANTED.files())
        mesh.settle()
        yield mesh


def findings(mesh: MeshInProcess) -> list[str]:
    found = units.read(mesh.client("dynamodb"), PRODUCT.unit)
    return [finding["code"] for finding in found.findings]


def test_a_crawl_that_fails_is_tried_again_each_time_later_and_heals(mesh):
    mesh.crawls_failing.add(PRODUCT.crawler)
    mesh.upload(PRODUCT, "first", tuple(TYPES.items()))
    mesh.settle()
    crawls, minutes = [0], 0
    while len(crawls) < 5:
        mesh.counts.clear()
        mesh.wait(60)
        minutes += 1
        mesh.sweep()
        if mesh.counts["glue:StartCrawler"]:
            crawls.append(minutes)
            assert findings(mesh) == ["crawl-failed"]

    assert [later - sooner for sooner, later in zip(crawls, crawls[1:], strict=False)] == [15, 30, 60, 120]

    mesh.crawls_failing.clear()
    mesh.upload(PRODUCT, "second", tuple(TYPES.items()))  # a new folder does not wait
    mesh.settle()
    assert findings(mesh) == []
    assert units.read(mesh.client("dynamodb"), PRODUCT.unit).failures == 0
    holds(mesh, GOVERNANCE)


def test_a_folder_of_which_a_crawl_makes_no_table_is_a_finding_and_crawled_once_more_alone(mesh):
    mesh.upload(PRODUCT, "first", tuple(TYPES.items()))
    mesh.upload(PRODUCT, "notes", tuple(TYPES.items()))
    known = mesh.detected
    mesh.detected = lambda target: [] if target.endswith("/notes/") else known(target)
    mesh.settle()
    for _ in range(4):
        mesh.wait(3600)
        mesh.sweep()
    assert findings(mesh) == ["folder-without-table"]
    mesh.counts.clear()
    mesh.wait(3600)
    mesh.sweep()
    assert not mesh.counts["glue:StartCrawler"]


def test_of_many_accounts_each_is_looked_into_in_its_turn():
    some = [replace(GOVERNANCE.consumers[0], name=f"c{number:02}") for number in range(25)]

    turns = [inspect_consumers.whose_turn(some, 900.0 * turn) for turn in range(3)]
    assert all(len(turn) <= inspect_consumers.ACCOUNTS_A_SWEEP for turn in turns)
    assert sorted(consumer.name for turn in turns for consumer in turn) == [consumer.name for consumer in some]
    assert inspect_consumers.whose_turn(some[:10], 900.0) == some[:10]


def test_a_dropped_table_whose_data_is_gone_too_leaves_no_link_behind(mesh):
    mesh.upload(PRODUCT, "first", tuple(TYPES.items()))
    mesh.settle()
    assert mesh.queryable()

    mesh.objects.buckets[PRODUCT.bucket].clear()
    glue = mesh.client("glue", mesh.automation)
    glue.delete_table(DatabaseName=PRODUCT.database, Name="first")
    mesh.sweep()

    assert not mesh.readable()
    assert [each.name for each in mesh.world.engines["glue"].lookup.databases("333333333333") if each.is_link] == []
    mesh.counts.clear()
    mesh.sweep()
    assert not written(mesh)


def test_an_lf_tag_that_somebody_deleted_is_made_again_with_all_that_hung_on_it(mesh):
    mesh.upload(PRODUCT, "first", tuple(TYPES.items()))
    mesh.settle()
    mesh.sweep()
    mesh.client("lakeformation", mesh.automation).delete_lf_tag(TagKey="pii")
    assert not mesh.readable()

    for _ in range(2):
        mesh.wait(1000)
        mesh.sweep()

    holds(mesh, GOVERNANCE)


def test_what_a_crawl_needs_and_somebody_took_away_is_made_again_within_a_day(mesh):
    mesh.upload(PRODUCT, "first", tuple(TYPES.items()))
    mesh.settle()
    lf = mesh.client("lakeformation", mesh.automation)
    location = {"ResourceArn": f"arn:aws:s3:::{PRODUCT.bucket}/{PRODUCT.prefix}".rstrip("/")}
    lf.deregister_resource(**location)
    mesh.wait(86400)
    mesh.upload(PRODUCT, "first", tuple(TYPES.items())[:2])
    mesh.settle()

    assert lf.describe_resource(**location)["ResourceInfo"]["RoleArn"].endswith("role/tagmesh-registration")


def test_a_database_that_somebody_dropped_is_crawled_again_at_once(mesh):
    """With it went what the crawler was granted there."""
    mesh.upload(PRODUCT, "first", tuple(TYPES.items()))
    mesh.settle()
    mesh.client("glue", mesh.automation).delete_database(Name=PRODUCT.database)
    mesh.upload(PRODUCT, "second", tuple(TYPES.items()))
    mesh.settle()

    assert not mesh.failed
    assert findings(mesh) == []
    mesh.wait(1000)
    mesh.sweep()
    holds(mesh, GOVERNANCE)


def test_a_sweep_that_breaks_off_where_a_deleted_lf_tag_comes_back_is_not_the_last_to_know_of_it(mesh):
    mesh.upload(PRODUCT, "first", tuple(TYPES.items()))
    mesh.settle()
    mesh.sweep()
    mesh.client("lakeformation", mesh.automation).delete_lf_tag(TagKey="pii")

    def crash(service, operation, params, caller):
        if operation == "CreateLFTag":
            mesh.after_call.remove(crash)
            mesh.crash()

    mesh.after_call.append(crash)
    for _ in range(3):
        mesh.wait(1000)
        mesh.sweep()

    holds(mesh, GOVERNANCE)


def test_a_consumer_whose_run_another_sweep_has_just_started_has_not_drifted(mesh, monkeypatch):
    """This sweep has read the units before that one, and nothing is granted yet."""
    dynamodb, (consumer,) = mesh.client("dynamodb"), GOVERNANCE.consumers
    units.acquire(dynamodb, consumer.unit, "sharing")
    looked_at = []
    monkeypatch.setattr(units, "read_all", lambda dynamodb: {})
    monkeypatch.setattr(drifts, "grants_differ", lambda dynamodb, governance, settled: looked_at.extend(settled) or [])
    mesh.execute("sweep", {"reason": "schedule"})

    assert looked_at == []
