"""What is asked of samples, and what of their answers holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tagmesh import evidence
from tagmesh.catalog import Column, Table, from_glue
from tagmesh.governance import ContentSample, Csv, DataProduct, load
from tagmesh.rules import decide

PRODUCT = DataProduct(
    "shop",
    "web",
    "111111111111",
    "raw",
    "web/",
    csv=Csv("present", ";"),
    sample_content=ContentSample(countries=("GB",)),
)
TODAY = "2027-03-31"


def table(name: str = "visits", *columns: str, **changes: Any) -> Table:
    chosen = tuple(Column(column) for column in columns or ("page", "channel"))
    return replace(Table("shop_web", name, chosen, location=f"s3://raw/web/{name}/"), **changes)


def told(outcome: str = "sampled", seen: str = "s1", **columns: list[str]) -> dict[str, Any]:
    shown = {path: {kind: {"share": 0.9, "of": 40} for kind in kinds} for path, kinds in columns.items()}
    return {"outcome": outcome, "objects": 3, "skipped": {"unreadable": 2}, "seen": seen, "columns": shown}


def after(*samples: dict[str, Any], tables: tuple[Table, ...] = (table(),)) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for sampled in samples:
        kept = evidence.keep(PRODUCT, tables, kept, sampled, TODAY)
    return kept


# ── What holds ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_sample_shows_is_told_to_the_rules():
    assert evidence.content_of(after({"visits": told(channel=["email", "phone"])}), "visits") == {
        "channel": ["email", "phone"]
    }
    assert evidence.content_of({}, "visits") == {}


@pytest.mark.parametrize(
    "later",
    [
        {},
        {"visits": told()},
        {"visits": told("empty", "")},
        {"visits": told("denied", "")},
        {"visits": told("unchanged")},
    ],
    ids=["failed", "shows nothing", "empty", "denied", "unchanged"],
)
def test_what_was_shown_once_holds_whatever_a_later_sample_says(later: dict[str, Any]):
    first = {"visits": told(channel=["email"])}
    assert evidence.content_of(after(first, later), "visits") == {"channel": ["email"]}


def test_later_samples_add_to_it():
    both = after({"visits": told(channel=["email"])}, {"visits": told(page=["iban"], channel=["phone"])})
    assert evidence.content_of(both, "visits") == {"channel": ["email", "phone"], "page": ["iban"]}


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["page", "channel"]), st.lists(st.sampled_from(["email", "card"]), unique=True))
    )
)
def test_evidence_only_ever_grows(samples: list[dict[str, list[str]]]):
    kept: dict[str, Any] = {}
    for columns in samples:
        before = evidence.content_of(kept, "visits")
        kept = evidence.keep(PRODUCT, [table()], kept, {"visits": told(**columns)}, TODAY)
        now = evidence.content_of(kept, "visits")
        assert all(set(kinds) <= set(now[path]) for path, kinds in before.items())


def test_a_sample_that_says_nothing_new_changes_nothing():
    first = after({"visits": told(channel=["email"])})
    assert evidence.keep(PRODUCT, [table()], first, {"visits": told(channel=["email"])}, "2028-01-01") == first


def test_evidence_goes_with_its_column_or_table():
    kept = after(
        {"visits": told(**{"channel": ["email"], "who.mail": ["email"]})}, tables=(table("visits", "channel", "who"),)
    )
    assert set(evidence.content_of(kept, "visits")) == {"channel", "who.mail"}
    without = evidence.keep(PRODUCT, [table("visits", "who")], kept, {}, TODAY)
    assert set(evidence.content_of(without, "visits")) == {"who.mail"}
    assert evidence.keep(PRODUCT, [table("other")], kept, {}, TODAY) == {"tables": {}}


def test_evidence_closes_a_column_that_the_rules_open_and_says_why():
    mesh = load(
        {
            "mesh.yaml": "version: 1\nlf_tags: {pii: {values: [none, contact, unknown], default: unknown}}\n",
            "rules/r.yaml": """rules:
  - {id: open, clear: {pii: none}, when: {column: {words_only: channel}}}
  - {id: mail, raise: {pii: contact}, when: {content: email}, because: mail addresses}
""",
        }
    )
    kept = after({"visits": told(channel=["email"])})
    opened = decide(mesh, PRODUCT, table(), content={}).columns["channel"]["pii"]
    closed = decide(mesh, PRODUCT, table(), content=evidence.content_of(kept, "visits")).columns["channel"]["pii"]
    assert (opened.value, closed.value, closed.outcome) == ("none", "contact", "raised")
    assert closed.winners[0].matched == ("content email",)


# ── What is asked ───────────────────────────────────────────────────────────────────────────────────────────


def asked(kept: dict[str, Any], *tables: Table, crawled: bool, product: DataProduct = PRODUCT) -> list[str]:
    request = evidence.request(product, tables, kept, crawled=crawled)
    return [each["table"] for each in request["tables"]] if request else []


def test_nothing_is_asked_of_a_data_product_that_does_not_want_it():
    assert asked({}, table(), crawled=True, product=replace(PRODUCT, sample_content=None)) == []


def test_after_a_crawl_every_table_is_asked_for_those_never_sampled_first():
    kept = after({"a": told()}, tables=(table("a"),))
    assert asked(kept, table("a"), table("b"), crawled=True) == ["b", "a"]


def test_without_a_crawl_only_what_was_never_sampled_as_it_is_now_is_asked_for():
    kept = after({"visits": told()})
    assert asked(kept, table(), crawled=False) == []
    assert asked(kept, table(), table("b"), crawled=False) == ["b"]
    assert asked(kept, table("visits", "page", "channel", "new"), crawled=False) == ["visits"]
    wider = replace(PRODUCT, sample_content=ContentSample(objects=50))
    assert asked(kept, table(), crawled=False, product=wider) == ["visits"]


@pytest.mark.parametrize("outcome", ["empty", "denied", "unreadable"])
def test_what_could_not_be_sampled_is_asked_for_again(outcome: str):
    assert asked(after({"visits": told(outcome, "")}), table(), crawled=False) == ["visits"]


def test_a_request_says_what_was_seen_last_as_long_as_it_asks_for_the_same():
    kept = after({"visits": told(seen="s7")})
    same = evidence.request(PRODUCT, [table()], kept, crawled=True)
    other = evidence.request(PRODUCT, [table("visits", "page")], kept, crawled=True)
    assert same["tables"][0]["seen"] == "s7" and other["tables"][0]["seen"] == ""


def test_a_table_that_lies_elsewhere_is_not_asked_for():
    for location in ("s3://raw/webs/visits/", "s3://other/web/visits/", "", "s3://raw/"):
        assert asked({}, table(location=location), crawled=True) == []
    assert asked({}, table(location="s3://raw/web/visits"), crawled=True) == ["visits"]


def layout(serde: str, serde_parameters: dict[str, str] | None = None, **parameters: str) -> dict[str, Any]:
    glue = {
        "DatabaseName": "shop_web",
        "Name": "visits",
        "StorageDescriptor": {
            "Columns": [{"Name": "Page", "Type": "string"}],
            "Location": "s3://raw/web/visits",
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": serde_parameters or {}},
        },
        "PartitionKeys": [{"Name": "day", "Type": "string"}],
        "Parameters": parameters,
    }
    request = evidence.request(PRODUCT, [from_glue(glue)], {}, crawled=True)
    assert request is not None
    return request["tables"][0]


def test_how_text_is_read_is_what_the_table_says_and_else_what_the_files_say():
    opened = layout("org.apache.hadoop.hive.serde2.OpenCSVSerde", {"separatorChar": "|", "quoteChar": "'"})
    assert (opened["format"], opened["delimiter"], opened["quote"], opened["escape"]) == ("csv", "|", "'", "\\")
    assert opened["skipped_lines"] == 1, "the data product's files have a header"
    simple = layout(
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", {"field.delim": "\\t"}, **{"skip.header.line.count": "0"}
    )
    assert (simple["format"], simple["delimiter"], simple["quote"], simple["skipped_lines"]) == ("csv", "\t", None, 0)
    assert layout("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe")["delimiter"] == ";"
    assert layout("org.openx.data.jsonserde.JsonSerDe")["format"] == "json"
    assert layout("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe")["format"] == "binary"
    assert opened["prefix"] == "web/visits/"
    assert (opened["columns"], opened["partition_keys"]) == ([["page", "string"]], [["day", "string"]])


@pytest.mark.parametrize("written", ["\\u0001", "\\u00", "\\uzzzz", "\\", "\\\\", "ab", "\\q"])
def test_a_delimiter_that_makes_no_sense_is_passed_on_for_the_sample_to_refuse(written: str):
    assert layout("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", {"field.delim": written})["delimiter"]


# ── What people are told ────────────────────────────────────────────────────────────────────────────────────


def test_people_are_told_what_could_not_be_sampled_and_how_to_mend_it():
    request = {"tables": [{"table": name} for name in ("a", "b", "c")]}
    assert evidence.findings(PRODUCT, request, {name: told() for name in "abc"}) == []
    (failed,) = evidence.findings(PRODUCT, request, None)
    assert (failed.code, failed.subject) == ("content-not-sampled", PRODUCT.unit)
    found = evidence.findings(PRODUCT, request, {"a": told("denied", ""), "b": told("unreadable", "")})
    assert [finding.subject for finding in found] == [PRODUCT.unit, "shop_web.b", PRODUCT.unit]
    assert "accounts/producer.yaml" in found[0].mend and "1 of 3 tables" in found[2].message
    assert all(finding.mend for finding in found)


def test_a_sample_that_could_not_be_had_is_tried_again_tomorrow():
    missing = evidence.findings(PRODUCT, {"tables": []}, None)
    assert evidence.recheck("", [], TODAY) == ""
    assert evidence.recheck("2027-05-01", [], TODAY) == "2027-05-01"
    assert evidence.recheck("", missing, TODAY) == "2027-04-01"
    assert evidence.recheck("2027-05-01", missing, TODAY) == "2027-04-01"


def test_headers_are_looked_at_after_each_crawl_of_csv_files_that_have_some():
    headers = replace(PRODUCT, sample_content=None, csv=Csv("present"))
    text = table(serde="org.apache.hadoop.hive.serde2.OpenCSVSerde", parameters={"classification": "csv"})

    asked = evidence.request(headers, [text], {}, crawled=True)
    assert asked is not None
    assert (asked["values"], [each["header"] for each in asked["tables"]]) == (False, [True])
    assert evidence.request(headers, [text], {}, crawled=False) is None
    assert evidence.request(replace(headers, csv=Csv("absent")), [text], {}, crawled=True) is None
    assert (
        evidence.request(headers, [replace(text, serde="", parameters={"classification": "json"})], {}, crawled=True)
        is None
    )


def test_a_misfit_stays_until_a_look_at_its_table_finds_none():
    def looked(outcome: str, count: int = 0) -> dict:
        return {"outcome": outcome, "misfits": count}

    assert evidence.misfits({}, {"a": looked("sampled", 1), "b": looked("sampled")}, {"b", "c"}) == {"a", "c"}
    assert evidence.misfits({}, {"a": looked("unchanged"), "b": looked("denied")}, {"a", "b"}) == {"a", "b"}
    assert evidence.misfits({}, None, {"a"}) == {"a"}
