"""What people did by hand: a stricter tag is kept, a looser one restored, and what our own runs left is neither."""

from __future__ import annotations

import pytest
from tagmesh.catalog import AssignedTags
from tagmesh.drift import Written, keep_stricter, moved_by_hand
from tagmesh.governance import LFTagKey
from tagmesh.resolution import Decision, TableDecision

SENSITIVITY = LFTagKey(
    "sensitivity", ("public", "internal", "confidential", "restricted", "unclassified"), "unclassified", True
)
PII = LFTagKey("pii", ("none", "contact", "identity", "unknown"), "unknown")
DATABASE = {"sensitivity": "unclassified", "pii": "unknown", "domain": "sales"}
DECIDED = TableDecision(
    "sales_orders",
    "orders",
    {"note": {"sensitivity": Decision("internal", "cleared", "harmless"), "pii": Decision("none", "cleared", "")}},
)
OURS = {"note": {"sensitivity": "internal", "pii": "none"}}


def after(observed: dict[str, str], written: Written) -> TableDecision:
    return keep_stricter((SENSITIVITY, PII), DECIDED, DATABASE, AssignedTags(DATABASE, {}, {"note": observed}), written)


@pytest.mark.parametrize("written", [Written(OURS), Written({})])
def test_a_stricter_tag_of_a_person_is_kept_and_said(written: Written):
    found = after({"sensitivity": "restricted", "pii": "none"}, written)

    kept = found.columns["note"]["sensitivity"]
    assert (kept.value, kept.outcome, kept.ruled) == ("restricted", "by hand", "internal")
    assert found.columns["note"]["pii"].value == "none"
    assert [(f.code, f.subject) for f in found.findings] == [("stricter-by-hand", "sales_orders.orders.note")]


def test_a_looser_tag_of_a_person_is_restored_and_said():
    found = after({"sensitivity": "public", "pii": "none"}, Written(OURS))

    assert found.columns == DECIDED.columns
    assert [f.code for f in found.findings] == ["looser-by-hand"]
    assert "sensitivity=public, looser than internal" in found.findings[0].message


def test_the_keys_of_a_column_are_judged_each_for_itself():
    found = after({"sensitivity": "public", "pii": "identity"}, Written(OURS))

    assert found.tags("note") == {"sensitivity": "internal", "pii": "identity"}
    assert sorted(f.code for f in found.findings) == ["looser-by-hand", "stricter-by-hand"]


@pytest.mark.parametrize(
    ("observed", "written"),
    [
        ({"sensitivity": "confidential"}, Written({"note": {"sensitivity": "confidential"}})),  # a rule was relaxed
        ({"sensitivity": "unclassified", "pii": "unknown"}, Written(OURS)),  # dropped and made again: it inherits
        ({}, Written(OURS)),
        # A run that broke off had begun to write confidential, or had closed the column first.
        ({"sensitivity": "confidential"}, Written(OURS, [{"note": {"sensitivity": "confidential"}}])),
        ({"pii": "unknown"}, Written(OURS, [{"note": {"pii": "contact"}}])),
    ],
)
def test_what_our_own_runs_left_is_nobodys(observed: dict[str, str], written: Written):
    assert after(observed, written) == DECIDED


def test_a_persons_tag_that_the_rules_have_caught_up_with_is_no_finding():
    found = after({"sensitivity": "internal", "pii": "none"}, Written({"note": {"sensitivity": "public"}}))

    assert found == DECIDED


def test_what_was_written_is_only_worth_knowing_where_a_column_carries_something_else():
    def moved(observed: dict[str, str]) -> bool:
        return moved_by_hand(DECIDED, DATABASE, AssignedTags(DATABASE, {}, {"note": observed}))

    assert not moved({"sensitivity": "internal", "pii": "none"})
    assert not moved({"sensitivity": "unclassified"})
    assert not moved({"domain": "hr"})
    assert moved({"sensitivity": "public"})


def test_a_column_that_the_table_has_lost_is_left_alone():
    observed = AssignedTags(DATABASE, {}, {"gone": {"sensitivity": "public"}})

    assert not moved_by_hand(DECIDED, DATABASE, observed)
    assert keep_stricter((SENSITIVITY, PII), DECIDED, DATABASE, observed, Written(OURS)) == DECIDED
