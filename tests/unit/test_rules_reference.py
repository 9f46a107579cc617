"""The classifier agrees with a slow and obvious one, on random governances and tables, and on the sample rules."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest
import reference_rules as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from tagmesh.catalog import Column, Table
from tagmesh.governance import DataProduct, Governance, LFTagKey, Override, Rule, load, read_folder
from tagmesh.resolution import TableDecision
from tagmesh.rules import compile_rules
from tagmesh.words import Vocabulary

ROOT = Path(__file__).parents[2]
LABELLED = Path(os.environ.get("TAGMESH_SHARED", ROOT.parent / "shared")) / "data" / "labelled-columns.csv"
SENSITIVITY = LFTagKey("sensitivity", ("public", "internal", "restricted", "unclassified"), "unclassified", True)
PII = LFTagKey("pii", ("none", "contact", "identity", "multiple", "unknown"), "unknown")
PRODUCT = DataProduct("sales", "orders", "111111111111", "raw-bucket", "orders/")
TODAY = "2027-03-31"

# ---- Strategies -------------------------------------------------------------------------------------------------

WORDS = [
    "email",
    "e_mail",
    "id",
    "customer",
    "first_name",
    "name",
    "state",
    "qx",
    "qxs",
    "zorby",
    "zorbies",
    "iban",
    "status",
    "orders",
    "no",
    "2",
]
word_lists = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True)
text_tests = st.dictionaries(
    st.sampled_from(["words_any", "words_all", "words_only", "words_none"]), word_lists, min_size=1, max_size=2
) | st.sampled_from(
    [{"equals": ["email", "Straße"]}, {"glob": ["*_id", "?x"]}, {"regex": ["^x[0-9]+", "mail"]}, {"glob": "[ab]"}]
)
FAMILIES = ["string", "integer", "boolean", "struct", "array", "date"]
OF_COLUMNS = st.sampled_from(
    [
        {"type": ["string", "struct"]},
        {"partition_key": True},
        {"comment": {"words_any": "e_mail"}},
        {"any": [{"column": {"words_only": "id"}}, {"column_parameters": {"owner": {"words_any": "customer"}}}]},
        {"table": {"glob": "*s"}, "column": {"words_all": ["email"]}},
    ]
)
leaves = st.one_of(
    st.builds(lambda tests: {"column": tests}, text_tests),
    st.builds(lambda tests: {"field": tests}, text_tests),
    st.builds(
        lambda tests, name: {name: tests},
        text_tests,
        st.sampled_from(["table", "comment", "location", "bucket", "database", "data_product", "producer", "account"]),
    ),
    st.builds(lambda families: {"type": families}, st.lists(st.sampled_from(FAMILIES), min_size=1, unique=True)),
    st.builds(lambda key: {"partition_key": key}, st.booleans()),
    st.builds(lambda tests: {"table_has": {"column": tests}}, text_tests),
    st.builds(lambda tests, of: {"table_has": {**of, "not": {"column": tests}}}, text_tests, OF_COLUMNS),
    st.builds(lambda tests: {"column_parameters": {"owner": tests}}, text_tests),
    st.builds(lambda tests: {"table_parameters": {"classification": tests}}, text_tests),
)
conditions = st.recursive(
    st.builds(lambda one, two: {**one, **two}, leaves, leaves) | leaves,
    lambda inner: st.one_of(
        st.builds(lambda c: {"not": c}, inner),
        st.builds(lambda c: {"any": c}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda c, d: {"all": c, **d}, st.lists(inner, min_size=1, max_size=2), leaves),
    ),
    max_leaves=5,
)
effects = st.dictionaries(st.sampled_from(["sensitivity", "pii"]), st.integers(0, 3), min_size=1)


@st.composite
def governances(draw: st.DrawFn) -> Governance:
    pii = draw(st.sampled_from([PII, replace(PII, conflict="multiple")]))
    keys = {"sensitivity": SENSITIVITY, "pii": pii}
    rules = []
    for number in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["raises", "raises", "clears", "assigns"]))
        when = draw(conditions)
        if kind == "raises":
            shown = {"content": draw(st.sampled_from([["email"], ["iban", "email"]]))}
            when = draw(st.sampled_from([when, {"any": [when, shown]}, {"all": [when], **shown}, shown]))
        tags = tuple(
            (key, keys[key].values[value % (len(keys[key].values) - 1)]) for key, value in sorted(draw(effects).items())
        )
        over = tuple(f"r{n}" for n in sorted(draw(st.sets(st.integers(0, 5), max_size=2)))) if kind == "clears" else ()
        pairs = {"raises": (), "clears": (), "assigns": (), kind: tags}
        rules.append(Rule(f"r{number}", **pairs, when=when, because=f"r{number}", over=over))
    overrides = draw(
        st.lists(
            st.builds(
                lambda column, tags, approver, expires: Override(
                    "sales", "orders", "orders", column, tuple(sorted(tags.items())), "ann", "r", "", approver, expires
                ),
                st.sampled_from(["email", "id", "order_id2", "gone"]),
                st.fixed_dictionaries(
                    {},
                    optional={
                        "sensitivity": st.sampled_from(SENSITIVITY.values),
                        "pii": st.sampled_from(PII.values),
                    },
                ),
                st.sampled_from([None, "bo"]),
                st.sampled_from([None, "2027-03-30", "2027-03-31"]),
            ),
            max_size=3,
            unique_by=lambda override: override.column,
        )
    )
    return Governance((SENSITIVITY, pii), (), (), tuple(rules), tuple(overrides), "digest")


names = st.one_of(
    st.sampled_from(["email", "id", "customerEMail2", "customeriban", "emailstatus", "order_id2", "statement", "ids"]),
    st.lists(st.sampled_from([*WORDS, "zorb", "is", "at", "total"]), min_size=1, max_size=4).map("".join),
    st.lists(st.sampled_from([*WORDS, "zorb", "Total"]), min_size=1, max_size=4).map("_".join),
    st.lists(st.sampled_from(["É", "mail", "Straße", "ﬁrst", "Name", ".", "É", "顧客", "İD", "²"]), max_size=4).map(
        "".join
    ),
    st.text(max_size=12),
)
types = st.sampled_from(
    [
        *("string", "bigint", "boolean", "date", "uuid", "", "zorb", "array<string>", "map<string,string>"),
        *("struct<email:string,at:timestamp>", "array<struct<id:bigint,name:struct<first:string>>>", "struct<"),
        *("map<string,struct<customer:string>>", "struct<a:map<string,string>,b:array<int>>"),
    ]
)
columns = st.builds(
    Column, names, types, st.sampled_from(["", "the e-mail"]), st.sampled_from([{}, {"owner": "customer id"}])
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    found = draw(st.lists(columns, min_size=1, max_size=5, unique_by=lambda column: column.name))
    at = draw(st.integers(0, 1)) if len(found) > 1 else 0
    parameters = draw(st.sampled_from([{}, {"classification": "csv email"}]))
    name = draw(st.sampled_from(["orders", "customers", "email_status"]))
    return Table("sales_orders", name, tuple(found[at:]), tuple(found[:at]), "s3://raw/customer/email/", parameters)


contents = st.dictionaries(
    st.sampled_from(["email", "id", "email.email", "id.id", "id.name.first", "order_id2"]),
    st.sampled_from([["email"], ["card", "iban"], []]),
    max_size=3,
)


# ---- Agreement --------------------------------------------------------------------------------------------------


def assert_agree(decision: TableDecision, expected: dict) -> None:
    for column, keys in expected.items():
        for key, (value, outcome, rules) in keys.items():
            found = decision.columns[column][key]
            assert found.value == value, (column, key, found)
            assert set(found.rules) == rules, (column, key, found)
            assert not outcome or found.outcome == outcome, (column, key, found)


def agree(governance: Governance, seen: list[Table], content: dict) -> None:
    """One classifier for all tables, so that what it remembers of one is there for the next."""
    classifier = compile_rules(governance)
    for table in [*seen, seen[0]]:
        expected = reference.decide(governance, PRODUCT, table, TODAY, content)
        assert_agree(classifier.decide(PRODUCT, table, today=TODAY, content=content), expected)


@settings(max_examples=60)
@given(governances(), st.lists(tables(), min_size=1, max_size=3), contents)
def test_any_governance_decides_any_table_as_the_reference_does(
    governance: Governance, seen: list[Table], content: dict
):
    agree(governance, seen, content)


@pytest.mark.slow
@settings(max_examples=2500)
@given(governances(), st.lists(tables(), min_size=1, max_size=3), contents)
def test_so_do_many_more(governance: Governance, seen: list[Table], content: dict):
    agree(governance, seen, content)


@given(names, st.lists(st.sampled_from([*WORDS, "zone", "atqx", "orderstatus"]), min_size=1, max_size=6, unique=True))
def test_words_are_found_as_the_reference_finds_them(name: str, words: list[str]):
    vocabulary = Vocabulary(words)
    entries = {reference.entry(word) for word in words}

    assert vocabulary.split(name) == tuple(word for run in reference.runs(name) for word in reference.cut(run))
    for wanted in entries:
        assert (wanted in vocabulary.phrases(name)) == reference.is_found(wanted, name), wanted
    assert vocabulary.covers(name, frozenset(entries)) == reference.made_of(name, entries)


SAMPLE = load(read_folder(ROOT / "mesh"))


@pytest.mark.slow
@settings(max_examples=60)
@given(tables())
def test_the_sample_rules_decide_any_table_as_the_reference_does(table: Table):
    product = SAMPLE.data_products[0]
    expected = reference.decide(SAMPLE, product, table, TODAY, {})

    assert_agree(compile_rules(SAMPLE).decide(product, table, today=TODAY), expected)


@pytest.mark.slow
@pytest.mark.skipif(not LABELLED.is_file(), reason="shared data is missing")
def test_the_sample_rules_decide_real_columns_as_the_reference_does():
    found: dict[tuple[str, str], dict[str, Column]] = {}
    with LABELLED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = (row["dataset"], row["table"])
            found.setdefault(place, {}).setdefault(row["column"], Column(row["column"], row["type"], row["comment"]))
    classifier = compile_rules(SAMPLE)
    for place, columns_ in sorted(found.items())[::40]:
        table = Table(*place, tuple(columns_.values()))
        expected = reference.decide(SAMPLE, PRODUCT, table, TODAY, {})
        assert_agree(classifier.decide(PRODUCT, table, today=TODAY), expected)
