"""What `tagmesh validate` says of rules that make no sense, and does not say of those that do."""

from __future__ import annotations

import pytest
from tagmesh.governance import load

from cli.lint import lint

MESH = """version: 1
lf_tags:
  domain: {values: [sales, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, confidential, unclassified], ordered: true, default: unclassified}
"""
GOOD = """rules:
  - id: email
    raise: {sensitivity: confidential}
    when: {column: {words_any: [email, mail]}, not: {type: boolean}}
    because: how people are reached
    examples: {match: [email], no_match: ['email:boolean']}
"""


def warnings(rules: str, hit: list[str] | None = None, **more: str) -> list[tuple[str, str]]:
    files = {"mesh.yaml": MESH, "rules/a.yaml": rules, **more}
    return [(found.code, found.place) for found in lint(load(files), files, hit)]


def one(when: str, effect: str = "raise: {sensitivity: confidential}", rule_id: str = "x") -> str:
    """A rule without examples or reason."""
    return f"  - id: {rule_id}\n    {effect}\n    when: {when}\n"


def codes(rules: str) -> set[str]:
    """What is said of rules besides that they lack examples and reasons."""
    return {code for code, _ in warnings("rules:\n" + rules)} - {"no-examples", "no-reason"}


def test_of_good_rules_nothing_is_said():
    assert warnings(GOOD) == []
    assert warnings(GOOD, hit=["email"]) == []


def test_a_rule_without_examples_or_reason_is_named_with_its_line():
    found = warnings("rules:\n" + one("{type: boolean}"))

    assert found == [("no-examples", "rules/a.yaml:2"), ("no-reason", "rules/a.yaml:2")]


def test_an_example_that_does_not_hold():
    assert warnings(GOOD.replace("match: [email]", "match: [phone]")) == [("example", "rules/a.yaml:2")]


def test_a_rule_that_hits_no_column_of_an_estate():
    assert warnings(GOOD, hit=[]) == [("never-hit", "rules/a.yaml:2")]


@pytest.mark.parametrize(
    "when",
    [
        "{column: {words_all: [email, id], words_none: id}}",
        "{column: {words_any: [email], words_none: [e_mail]}}",
        "{column: {words_all: [email], words_only: [id, name]}}",
        "{column: {words_only: [id], words_none: [id, name]}}",
        "{type: [boolean], not: {type: [boolean, date]}}",
        "{any: [{column: {words_all: a, words_none: a}}, {type: date, not: {type: date}}]}",
        "{all: [{type: date}, {column: {words_all: a, words_none: a}}]}",
        "{table: {words_any: user, words_none: user}}",
    ],
)
def test_a_condition_that_cannot_hold_is_unreachable(when: str):
    assert "unreachable" in codes(one(when))


@pytest.mark.parametrize(
    "when",
    [
        "{column: {words_any: [email, id], words_none: id}}",
        "{column: {words_all: [first_name], words_only: [first, name]}}",
        "{column: {words_any: [id, name], words_only: [id]}}",
        "{type: [boolean, date], not: {type: date}}",
        "{any: [{column: {words_all: a, words_none: a}}, {type: date}]}",
        "{not: {column: {words_any: a, words_none: a}}}",
    ],
)
def test_a_condition_that_can_hold_is_not(when: str):
    assert "unreachable" not in codes(one(when))


def test_the_same_rule_twice_and_one_that_another_contains_are_duplicates():
    wide = one("{column: {words_any: [email, phone]}}", rule_id="wide")

    assert codes(wide + one("{column: {words_any: [phone, e_mail]}}", rule_id="again")) == {"duplicate"}
    assert codes(wide + one("{column: {words_any: email}, type: string}", rule_id="narrow")) == {"duplicate"}
    assert codes(wide + one("{column: {words_any: [email, fax]}}", rule_id="other")) == set()
    assert codes(wide + one("{column: {words_any: email}}", "raise: {sensitivity: internal}", "less")) == set()


CLEAR = "clear: {sensitivity: internal}"


def test_a_clear_all_of_whose_columns_are_raised_is_shadowed_unless_it_stands_over_that():
    wide = one("{column: {words_any: [email, phone]}, not: {type: boolean}}", rule_id="wide")
    narrow = "{column: {words_any: email, words_none: work}, not: {type: [boolean, date]}}"

    assert codes(wide + one(narrow, CLEAR)) == {"shadowed"}
    assert codes(wide + one(narrow, CLEAR + "\n    over: wide")) == set()
    assert codes(wide + one("{column: {words_any: email}}", CLEAR)) == set(), "a boolean is cleared"
    assert codes(wide + one("{column: {words_any: [email, fax]}, type: string}", CLEAR)) == set()
    assert codes(wide + one("{any: [{column: {words_all: [email, a]}}, {column: {words_all: [phone, b]}}], "
                            "not: {type: boolean}}", CLEAR)) == {"shadowed"}  # fmt: skip


def test_lists_and_conditions_that_no_rule_names_are_unused():
    named = GOOD.replace("[email, mail]", "[$mails]").replace("not: {type", "is: people, not: {type")
    named = named.replace("match: [email]", "match: [{column: email, table: people}]")
    lists = "words:\n  mails: email mail\n  others: [a]\n"
    lists += "conditions:\n  people: {table: {equals: people}}\n  no: {type: date}\n"

    assert warnings(named, **{"rules/b.yaml": lists}) == [("unused", "rules/b.yaml:3"), ("unused", "rules/b.yaml:6")]


def test_overrides_that_have_expired_or_soon_do():
    from datetime import UTC, datetime, timedelta

    def override(days: int) -> str:
        day = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
        return (
            "overrides:\n  - {data_product: s/o, table: t, column: c, tags: {sensitivity: internal}, author: ann, "
            f"approved_by: bo, reason: r, expires: {day}}}\n"
        )

    producer = """producer: s
account: "111111111111"
data_products: [{name: o, location: s3://bucket-s/o/, tags: {domain: sales}}]
"""

    def said(days: int) -> list[str]:
        more = {"producers/s.yaml": producer, "overrides/o.yaml": override(days)}
        return [code for code, _ in warnings(GOOD, **more)]

    assert said(-1) == ["override-expired"]
    assert said(3) == ["override-expires"]
    assert said(60) == []


def test_subscriptions_that_have_expired_or_soon_do():
    from datetime import UTC, datetime, timedelta

    def said(days: int) -> list[tuple[str, str]]:
        day = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
        consumer = f"""consumer: c
account: "333333333333"
subscriptions:
  - {{name: one, tags: {{domain: [sales]}}, principals: [{{role: Ann}}]}}
  - {{name: two, tags: {{domain: [sales]}}, principals: [{{role: Ann}}], expires: {day}}}
"""
        producer = """producer: s
account: "111111111111"
data_products: [{name: o, location: s3://bucket-s/o/, tags: {domain: sales}}]
"""
        return warnings(GOOD, **{"producers/s.yaml": producer, "consumers/c.yaml": consumer})

    assert [code for code, _ in said(-1)] == ["subscription-expired"]
    assert said(-1)[0][1].startswith("consumers/c.yaml:5")
    assert [code for code, _ in said(3)] == ["subscription-expires"]
    assert said(60) == []
