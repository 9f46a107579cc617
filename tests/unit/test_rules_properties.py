"""What holds of any rules and any table: nothing depends on order or on the past, and a raise never opens."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import reference_rules as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from tagmesh.catalog import Column, Table
from tagmesh.column_types import nested_fields, type_family
from tagmesh.governance import Governance, Rule, load
from tagmesh.resolution import Decision, TableDecision
from tagmesh.rules import compile_rules
from tagmesh.words import Vocabulary, entry
from test_rules_reference import PII, PRODUCT, SENSITIVITY, TODAY, conditions, contents, governances, tables

KEYS = ("sensitivity", "pii")


def decided(governance: Governance, table: Table, content: dict | None = None) -> TableDecision:
    return compile_rules(governance).decide(PRODUCT, table, today=TODAY, content=content)


def stricter_or_equal(governance: Governance, key: str, new: str, old: str) -> bool:
    return governance.keys[key].join(new, old) == new


@given(governances(), tables(), st.randoms(use_true_random=False), contents)
def test_the_order_of_rules_overrides_and_columns_makes_no_difference(
    governance: Governance, table: Table, shuffle: random.Random, content: dict
):
    rules, overrides, columns = list(governance.rules), list(governance.overrides), list(table.columns)
    for each in (rules, overrides, columns):
        shuffle.shuffle(each)
    shuffled = replace(governance, rules=tuple(rules), overrides=tuple(overrides))

    one = decided(governance, table, content)
    other = decided(shuffled, replace(table, columns=tuple(columns)), content)

    assert dict(one.columns) == dict(other.columns)


@given(governances(), st.lists(tables(), min_size=1, max_size=4), contents)
def test_what_was_decided_before_makes_no_difference(governance: Governance, seen: list[Table], content: dict):
    classifier = compile_rules(governance)
    for table in [*seen, *reversed(seen)]:
        assert classifier.decide(PRODUCT, table, today=TODAY, content=content) == decided(governance, table, content)


@given(governances(), tables(), conditions, st.sampled_from(["internal", "restricted"]))
def test_adding_a_rule_that_raises_never_opens_a_column_that_rules_have_classified(
    governance: Governance, table: Table, when: dict, value: str
):
    """Of a default any rule is the classification; an override holds what it says."""
    before = decided(governance, table)
    more = Rule("added", (("pii", "contact"), ("sensitivity", value)), (), (), when)
    after = decided(replace(governance, rules=(*governance.rules, more)), table)

    for column in before.columns:
        for key in KEYS:
            old, new = before.columns[column][key], after.columns[column][key]
            if old.outcome not in ("default", "override") and new.outcome != "override":
                assert stricter_or_equal(governance, key, new.value, old.value), (column, old, new)


@given(governances(), tables(), contents)
def test_evidence_from_content_never_opens_what_is_classified(governance: Governance, table: Table, content: dict):
    before, after = decided(governance, table), decided(governance, table, content)

    for column in before.columns:
        for key in KEYS:
            old, new = before.columns[column][key], after.columns[column][key]
            if old.outcome not in ("default", "override") and new.outcome != "override":
                assert stricter_or_equal(governance, key, new.value, old.value)


@given(governances(), tables(), contents)
def test_every_decision_is_explained_by_each_rule_that_matched_once(governance: Governance, table: Table, shown: dict):
    """Of a column with a partition key's value, the winners are those of the partition key."""
    of_table = decided(governance, table, shown)
    for column in table.all_columns:
        for key in KEYS:
            decision = of_table.columns[column.name][key]
            assert decision.because
            if decision.outcome not in ("default", "override"):
                assert decision.winners
            assert all(not match.lost for match in decision.winners)
            assert all(match.lost for match in decision.losers)
            if not table.partition_keys:
                assert_told_once(decision, matching(governance, key, table, column, shown))


def assert_told_once(decision: Decision, matched: Counter[tuple[str, str, str]]) -> None:
    told = Counter((match.rule, match.effect, match.value) for match in decision.winners + decision.losers)
    assert told == matched


def matching(governance: Governance, key: str, table: Table, column: Column, shown: dict) -> Counter:
    """(rule, effect, value) -> of how many of a column and its fields it speaks, as the reference sees it."""
    found: Counter[tuple[str, str, str]] = Counter()
    places = [("", type_family(column.type)), *(each for each in nested_fields(column.type) if each.path)]
    for path, family in places:
        place = reference.Place(PRODUCT, table, column, path, family, shown)
        for rule, effect, value in reference.spoken(governance, governance.keys[key], place):
            found[rule.id, effect, value] += 1
    return found


@given(governances(), tables())
def test_a_struct_is_at_least_as_strict_as_each_of_its_fields_alone(governance: Governance, table: Table):
    alone = replace(governance, overrides=())
    closed = replace(table, columns=table.all_columns, partition_keys=())
    found = decided(alone, closed)
    for column in closed.columns:
        for field in nested_fields(column.type):
            if not field.path:
                continue
            flat = Column(f"{column.name}.{field.path}", field.family, column.comment, column.parameters)
            beside = replace(closed, columns=(*[each for each in closed.columns if each is not column], flat, column))
            of_field = decided(alone, beside).columns[flat.name]
            of_column = decided(alone, beside).columns[column.name]
            for key in KEYS:
                if of_field[key].outcome == "raised":
                    assert stricter_or_equal(alone, key, of_column[key].value, of_field[key].value)
    assert set(found.columns) == {column.name for column in closed.columns}


@given(st.text(), st.text())
def test_any_type_is_read(text: str, inner: str):
    type_family(text)
    nested_fields(text)
    nested_fields(f"struct<a:{inner}>")
    nested_fields("struct<" * 200 + "a:int" + ">" * 200)


@settings(max_examples=50)
@given(st.text(max_size=40), st.integers(1, 3))
def test_a_name_of_any_length_and_characters_is_decided(text: str, factor: int):
    rules = Rule("r", (("pii", "contact"),), (), (), {"column": {"words_any": ["email"], "words_none": ["zorb"]}})
    governance = Governance(load({"mesh.yaml": MESH}).lf_tags, (), (), (rules,), (), "")
    for name in (text, "\0" + text, text * 100 * factor, "email" * 1000, "\ud800" + text):
        found = decided(governance, Table("d", name, (Column(name, name, name),)))
        assert found.columns[name]["pii"].value in ("contact", "unknown")


MESH = """version: 1
lf_tags:
  pii: {values: [none, contact, unknown], default: unknown}
"""


PIECES = ["id", "qx", "qxs", "zorby", "zorbies", "category", "categories", "e_mail", "first_name", "name", "order", "2"]
lists_of_words = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4, unique=True)
names_of_pieces = st.lists(st.sampled_from([*PIECES, "_", "s", "email"]), min_size=1, max_size=5).map("".join)


@settings(max_examples=100)
@given(st.lists(lists_of_words, min_size=1, max_size=4), names_of_pieces)
def test_a_rule_about_whole_names_speaks_of_each_that_is_made_of_its_words_whatever_other_rules_name(
    lists: list[list[str]], name: str
):
    rules = [
        Rule(f"r{number}", (("sensitivity", "restricted"),), (), (), {"column": {"words_only": words}})
        for number, words in enumerate(lists)
    ]
    governance = Governance((SENSITIVITY, PII), (), (), tuple(rules), (), "digest")
    decision = decided(governance, Table("d", "t", (Column(name),))).columns[name]["sensitivity"]
    spoke = {match.rule for match in decision.winners + decision.losers}

    assert spoke == {
        rule.id
        for rule, words in zip(rules, lists, strict=True)
        if Vocabulary(words).covers(name, frozenset(map(entry, words)))
    }


def test_a_plural_that_one_rule_names_hides_its_singular_from_no_other():
    assert "qxy" in Vocabulary(["qxy"]).phrases("orderqxys")
    assert {"qxy", "qxys"} <= Vocabulary(["qxy", "qxys"]).phrases("orderqxys")


def test_an_entry_with_a_number_in_the_middle_of_it_brings_its_rule_up():
    rule = Rule("r", (("sensitivity", "restricted"),), (), (), {"column": {"words_only": ["qxs"]}})
    governance = Governance((SENSITIVITY, PII), (), (), (rule,), (), "digest")

    assert decided(governance, Table("d", "t", (Column("qx2s"),))).tags("qx2s")["sensitivity"] == "restricted"
