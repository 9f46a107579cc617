"""The events of the mesh are as docs/events.md and its schemas say, and say nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from jsonschema import Draft202012Validator
from tagmesh.aws import events

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text(encoding="utf-8"))
    for path in (ROOT / "docs" / "events").glob("*.schema.json")
}
DIGEST = "ab" * 32


def check(detail_type: str, detail: dict) -> None:
    Draft202012Validator(SCHEMAS[detail_type]).validate(detail)


class Bus:
    """EventBridge: keeps what is put, or fails."""

    def __init__(self, failure: Exception | None = None, refuse: bool = False) -> None:
        self.told: list[tuple[str, dict]] = []
        self.failure, self.refuse = failure, refuse

    def put_events(self, Entries):
        if self.failure:
            raise self.failure
        if self.refuse:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}] * len(Entries)}
        assert all(entry["Source"] == "tagmesh" and entry["EventBusName"] == "tagmesh" for entry in Entries)
        assert all(len(json.dumps(entry)) < 256_000 for entry in Entries)
        self.told += [(entry["DetailType"], json.loads(entry["Detail"])) for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


@pytest.fixture
def bus(monkeypatch):
    monkeypatch.setenv("MESH_BUS", "tagmesh")
    return Bus()


FINDING = {"code": "crawl-failed", "subject": "data_product/sales/orders", "message": "it failed", "mend": "mend it"}


def test_every_event_that_code_tells_has_a_schema_and_a_section_of_the_guide():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py"))
    told = set(re.findall(r'(?:tell|put)\([^"\n]*"([A-Z][a-z]\w+)"', code))
    assert told == set(SCHEMAS) == set(re.findall(r"^## (\w+)$", GUIDE, re.MULTILINE))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one_and_describes_every_field_and_admits_no_other(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["title"] == name and SCHEMAS[name]["additionalProperties"] is False
    assert sorted(SCHEMAS[name]["properties"]) == SCHEMAS[name]["required"]
    assert all(each.get("description") for each in SCHEMAS[name]["properties"].values())


def test_examples_of_the_guide_are_of_their_schema_and_name_every_field():
    examples = re.findall(r"^## (\w+)$.*?```json\n(.*?)```", GUIDE, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in examples} == set(SCHEMAS)
    for name, text in examples:
        event = json.loads(text)
        assert (event["source"], event["detail-type"]) == ("tagmesh", name)
        check(name, event["detail"])
        fields = re.findall(r"^\| `(\w+)` \|", GUIDE.split(f"## {name}\n")[1].split("\n## ")[0], re.MULTILINE)
        assert set(fields) == set(SCHEMAS[name]["properties"])


def test_a_failed_data_product_is_told(bus):
    events.data_product_failed(bus, "data_product/sales/orders", [FINDING], "c")
    ((name, detail),) = bus.told
    check(name, detail)
    assert (name, detail["findings"]) == ("DataProductFailed", [FINDING])


def test_a_refused_version_is_told_with_as_many_problems_as_fit(bus):
    events.governance_refused(bus, DIGEST, [f"mesh.yaml:{line}:1: {'x' * 500}" for line in range(5000)])
    ((name, detail),) = bus.told
    check(name, detail)
    assert (name, len(detail["problems"])) == ("GovernanceRefused", 100)


def test_repaired_drift_is_told_with_its_extent(bus):
    many = [events.tags_repaired("sales_orders", f"t{n}", [f"c{m}" for m in range(300)]) for n in range(250)]
    many = [{**each, "columns": each["columns"][:5]} for each in many]
    events.drift_repaired(bus, "data_product/sales/orders", DIGEST, many, "c")
    events.drift_repaired(bus, "consumer/analytics", DIGEST, [events.grants_repaired("333333333333", 2)], "c")
    for name, detail in bus.told:
        check(name, detail)
    assert [(len(detail["repaired"]), detail["total"]) for _, detail in bus.told] == [(100, 250), (1, 1)]


def test_nothing_repaired_is_no_news(bus):
    events.drift_repaired(bus, "consumer/analytics", DIGEST, [], "c")
    assert bus.told == []


@pytest.mark.parametrize(
    "broken",
    [
        Bus(refuse=True),
        Bus(ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutEvents")),
        Bus(ConnectionClosedError(endpoint_url="https://events")),
    ],
)
def test_what_cannot_be_told_stops_nothing(bus, broken):
    events.data_product_failed(broken, "data_product/sales/orders", [FINDING], "c")


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_notice_what_is_missing_and_what_is_too_much(name):
    example = next(t for n, t in re.findall(r"^## (\w+)$.*?```json\n(.*?)```", GUIDE, re.M | re.S) if n == name)
    detail = json.loads(example)["detail"]
    validator = Draft202012Validator(SCHEMAS[name])
    for field in detail:
        assert not validator.is_valid({key: value for key, value in detail.items() if key != field})
    assert not validator.is_valid({**detail, "rows": [["anna@example.com"]]})
