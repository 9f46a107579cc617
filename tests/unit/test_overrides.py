"""What owners decide for single columns: how long it holds, who must agree, and what it may not open."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tagmesh.catalog import Column, Table
from tagmesh.governance import DataProduct, Governance, GovernanceError, load
from tagmesh.resolution import TableDecision
from tagmesh.rules import decide, recheck

MESH = """version: 1
lf_tags:
  domain: {values: [sales, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, confidential, restricted, unclassified], ordered: true,
                default: unclassified}
  pii: {values: [none, contact, identity, multiple, unknown], default: unknown, conflict: multiple}
"""
PRODUCER = """producer: sales
account: "111111111111"
data_products:
  - {name: orders, location: s3://bucket-1/orders/, tags: {domain: sales}}
  - {name: returns, location: s3://bucket-1/returns/, tags: {domain: sales}}
"""
RULES = """rules:
  - {id: contact, raise: {sensitivity: confidential, pii: contact}, when: {column: {words_any: [email]}}}
  - {id: city, clear: {sensitivity: internal, pii: none}, when: {column: {words_only: [city]}}}
"""
KEYS = {
    "sensitivity": ["public", "internal", "confidential", "restricted", "unclassified"],
    "pii": ["none", "contact", "identity", "multiple", "unknown"],
}


def override(column: str, tags: str, more: str = "", product: str = "sales/orders", author: str = "ann") -> str:
    return (
        f"  - {{data_product: {product}, table: lines, column: {column}, tags: {{{tags}}}, author: {author}, "
        f"reason: known{', ' * bool(more)}{more}}}\n"
    )


def governance(*overrides: str) -> Governance:
    files = {"mesh.yaml": MESH, "producers/sales.yaml": PRODUCER, "rules/rules.yaml": RULES}
    return load({**files, "overrides/sales.yaml": "overrides:\n" + "".join(overrides)} if overrides else files)


def product(known: Governance, name: str = "orders") -> DataProduct:
    found = known.data_product(f"data_product/sales/{name}")
    assert found is not None
    return found


def decided(known: Governance, *columns: str, today: str = "2026-06-01", name: str = "lines") -> TableDecision:
    """The table lines with these columns, each `name` or `name:type`."""
    table = Table("sales_orders", name, tuple(Column(*column.split(":", 1)) for column in columns))
    return decide(known, product(known), table, today=today)


def codes(found: TableDecision) -> list[tuple[str, str]]:
    return [(finding.code, finding.subject) for finding in found.findings]


# ---- How long it holds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "today", "holds"),
    [
        ("2026-03-31", "2026-03-30", True),
        ("2026-03-31", "2026-03-31", True),
        ("2026-03-31", "2026-04-01", False),
        ("2026-12-31", "2027-01-01", False),
        ("2028-02-28", "2028-02-29", False),
        ("2028-02-29", "2028-02-29", True),
        ("2026-03-31", "2030-01-01", False),
    ],
)
def test_it_holds_to_the_end_of_the_day_on_which_it_expires(expires: str, today: str, holds: bool):
    known = governance(override("email", "sensitivity: public", f"approved_by: bo, expires: {expires}"))
    found = decided(known, "email", today=today)
    decision = found.columns["email"]["sensitivity"]

    if holds:
        assert (decision.value, decision.outcome, found.findings) == ("public", "override", ())
    else:
        assert (decision.value, decision.outcome, decision.rules) == ("confidential", "raised", ("contact",))
        assert codes(found) == [("override-expired", "sales_orders.lines.email")]
        assert "ann (overrides/sales.yaml:2) has expired on " + expires in found.findings[0].message


def test_without_an_expiry_it_holds_for_good():
    known = governance(override("email", "sensitivity: public", "approved_by: bo"))

    assert decided(known, "email", today="9999-12-31").tags("email")["sensitivity"] == "public"
    assert recheck(known, product(known), "2026-06-01") == ""


def test_one_that_has_expired_closes_no_more_either_and_says_so_even_where_it_changed_nothing():
    closing = governance(override("city", "sensitivity: restricted", "expires: 2026-03-31"))
    same = governance(override("city", "sensitivity: internal", "expires: 2026-03-31"))

    assert decided(closing, "city", today="2026-03-31").tags("city")["sensitivity"] == "restricted"
    assert decided(closing, "city", today="2026-04-01").tags("city")["sensitivity"] == "internal"
    assert codes(decided(same, "city", today="2026-04-01")) == [("override-expired", "sales_orders.lines.city")]


@pytest.mark.parametrize(
    ("expires", "today", "day"),
    [
        ("2026-03-31", "2026-03-30", "2026-04-01"),
        ("2026-03-31", "2026-03-31", "2026-04-01"),
        ("2026-03-31", "2026-04-01", ""),
        ("2026-12-31", "2026-06-01", "2027-01-01"),
        ("2028-02-28", "2026-06-01", "2028-02-29"),
        ("2027-02-28", "2026-06-01", "2027-03-01"),
        ("9999-12-30", "2026-06-01", "9999-12-31"),
        ("9999-12-31", "2026-06-01", ""),
    ],
)
def test_the_data_product_is_looked_at_again_on_the_day_after(expires: str, today: str, day: str):
    known = governance(override("email", "pii: none", f"approved_by: bo, expires: {expires}"))

    assert recheck(known, product(known), today) == day


def test_the_next_expiry_of_the_data_product_counts_and_no_other():
    known = governance(
        override("a", "pii: none", "expires: 2026-01-01"),
        override("b", "pii: none", "expires: 2026-09-09"),
        override("c", "pii: none", "expires: 2026-07-07"),
        override("d", "pii: none"),
        override("e", "pii: none", "expires: 2026-06-30", product="sales/returns"),
    )

    assert recheck(known, product(known), "2026-06-01") == "2026-07-08"
    assert recheck(known, product(known, "returns"), "2026-06-01") == "2026-07-01"


days = st.dates(date(2026, 5, 25), date(2026, 6, 10))


@given(st.lists(days, min_size=1, max_size=3), days)
def test_until_it_is_looked_at_again_every_day_decides_the_same(expiries: list[date], today: date):
    columns = [f"email{number}" for number in range(len(expiries))]
    known = governance(
        *(override(c, "pii: none", f"approved_by: bo, expires: {e}") for c, e in zip(columns, expiries, strict=True))
    )

    def on(day: date) -> TableDecision:
        return decided(known, *columns, today=day.isoformat())

    again = recheck(known, product(known), today.isoformat())
    until = date.fromisoformat(again) if again else date(2026, 7, 1)
    assert until > today
    while today < until:
        assert on(today) == on(until - timedelta(days=1))
        today += timedelta(days=1)
    if again:
        assert on(until) != on(until - timedelta(days=1))


# ---- Who must agree ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("column", ["email", "city", "zorb"])
def test_without_a_second_person_it_closes_and_opens_nothing(key: str, column: str):
    """Of a column that rules raise, that they clear, and of which they know nothing."""
    ruled = decided(governance(), column).tags(column)[key]
    lf_tag = governance().keys[key]
    for value in KEYS[key]:
        found = decided(governance(override(column, f"{key}: {value}")), column)
        decision = found.columns[column][key]
        looser = lf_tag.join(value, ruled) != value

        assert decision.value == (ruled if looser else value)
        assert (decision.outcome == "override") is not looser
        assert codes(found) == [("override-not-approved", f"sales_orders.lines.{column}")] * looser
        if looser:
            assert f"opens it from {key}={ruled} to {value}" in found.findings[0].message
            assert "approved_by" in found.findings[0].mend


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("column", ["email", "city", "zorb"])
def test_with_a_second_person_it_gives_any_value(key: str, column: str):
    for value in KEYS[key]:
        found = decided(governance(override(column, f"{key}: {value}", "approved_by: bo")), column)

        assert (found.columns[column][key].value, found.findings) == (value, ())
        assert found.columns[column][key].because == "known (ann, approved by bo)"


def test_another_kind_of_personal_data_is_no_closing_and_needs_the_second_person():
    """`identity` is declared after `contact`, and is another thing: somebody reads the one and not the other."""
    known = governance(override("email", "pii: identity"))

    assert decided(known, "email").tags("email")["pii"] == "contact"
    assert [code for code, _ in codes(decided(known, "email"))] == ["override-not-approved"]


def test_of_two_values_the_one_that_closes_holds_without_the_second_person():
    known = governance(override("email", "sensitivity: restricted, pii: none"))
    found = decided(known, "email")

    assert found.tags("email") == {"sensitivity": "restricted", "pii": "contact"}
    assert len(found.findings) == 1


def test_an_unapproved_one_says_that_the_rules_hold_and_which_rule_it_would_beat_is_told_once_it_is():
    waiting = decided(governance(override("email", "pii: none")), "email").columns["email"]["pii"]
    approved = decided(governance(override("email", "pii: none", "approved_by: bo")), "email").columns["email"]["pii"]

    assert (waiting.rules, waiting.losers) == (("contact",), ())
    assert [(match.rule, match.lost) for match in approved.losers] == [("contact", "the override decides")]


@pytest.mark.parametrize(
    ("author", "approver"),
    [
        ("ann", "ann"),
        ("ann@example.com", "Ann@Example.com"),
        ("Ann Lee", "'ann  lee '"),
        ("José", "Jose"),
        ("'ANN '", "ann"),
        ("straße", "STRASSE"),
    ],
)
def test_nobody_approves_what_they_decided_themselves(author: str, approver: str):
    with pytest.raises(GovernanceError) as caught:
        governance(override("email", "pii: none", f"approved_by: {approver}", author=author))

    ((problem),) = caught.value.problems
    assert (problem.file, problem.line, problem.mend) == ("overrides/sales.yaml", 2, "let another person approve it")


# ---- What it is about ----------------------------------------------------------------------------------------------


def test_a_column_that_the_table_does_not_have_is_a_finding_and_the_others_are_decided():
    known = governance(override("emial", "pii: none", "approved_by: bo"), override("city", "pii: contact"))
    found = decided(known, "email", "city")

    assert codes(found) == [("override-without-column", "sales_orders.lines.emial")]
    assert found.findings[0].mend == "remove it, or mend the name"
    assert "overrides/sales.yaml:2" in found.findings[0].message
    assert (found.tags("city")["pii"], found.tags("email")["pii"]) == ("contact", "contact")
    assert set(found.columns) == {"email", "city"}


def test_one_of_another_table_is_no_finding_here():
    assert decided(governance(override("emial", "pii: none")), "email", name="heads").findings == ()


def test_a_field_of_a_struct_is_no_column_so_that_the_whole_column_stays_as_the_rules_say():
    """Lake Formation tags columns: a field is decided with its column, by rules, or by an override of the column."""
    column = "contact:struct<email:string,work_email:string>"
    of_field = governance(override("contact.email", "pii: none, sensitivity: public", "approved_by: bo"))
    of_column = governance(override("contact", "pii: none, sensitivity: public", "approved_by: bo"))

    assert decided(of_field, column).tags("contact") == {"sensitivity": "confidential", "pii": "contact"}
    assert codes(decided(of_field, column)) == [("override-without-column", "sales_orders.lines.contact.email")]
    assert decided(of_column, column).tags("contact") == {"sensitivity": "public", "pii": "none"}


def test_names_are_those_of_the_catalogue_whatever_their_case():
    known = governance(override("EMail", "pii: none", "approved_by: bo"))

    assert decided(known, "email").tags("email")["pii"] == "none"


def test_several_overrides_of_one_column_each_decide_a_key_of_their_own():
    known = governance(
        override("email", "pii: none", "approved_by: bo"),
        override("email", "sensitivity: internal", "approved_by: cy, expires: 2026-03-31"),
    )

    assert decided(known, "email", today="2026-03-31").tags("email") == {"sensitivity": "internal", "pii": "none"}
    assert decided(known, "email", today="2026-04-01").tags("email") == {"sensitivity": "confidential", "pii": "none"}
