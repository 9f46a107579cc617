"""What is in force of governance files: not what waits for approval, and not what has expired."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tagmesh import approvals, plan
from tagmesh.governance import Governance, Principal, load

MESH = """\
version: 1
lf_tags:
  domain:      {values: [sales, {value: hr, approval: required}, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, {value: restricted, approval: required}, unclassified], ordered: true,
                default: unclassified}
"""
PRODUCER = """\
producer: sales
account: "111111111111"
data_products:
  - {name: orders, location: s3://sales-raw/orders/, tags: {domain: sales}}
"""
CONSUMER = """\
consumer: analytics
account: "333333333333"
owner: analytics@example.com
subscriptions:
  - name: open
    tags: {domain: [sales], sensitivity: [public, internal]}
    principals: [{role: Analyst}]
  - name: closed
    tags: {domain: [sales], sensitivity: [internal, restricted]}
    principals: [{role: Analyst}, {user: auditor}]
  - name: until
    tags: {domain: [sales], sensitivity: [public]}
    principals: [{role: Intern}]
    expires: 2027-03-31
"""
FILES = {"mesh.yaml": MESH, "producers/sales.yaml": PRODUCER, "consumers/analytics.yaml": CONSUMER}


def loaded(consumer: str = CONSUMER, mesh: str = MESH) -> Governance:
    return load({**FILES, "consumers/analytics.yaml": consumer, "mesh.yaml": mesh})


def names(governance: Governance) -> list[str]:
    return [subscription.name for subscription in governance.consumers[0].subscriptions]


def key_of(governance: Governance, name: str) -> str:
    (consumer,) = governance.consumers
    return next(approvals.key_of(consumer, each) for each in consumer.subscriptions if each.name == name)


def on(governance: Governance, day: str, approved: tuple[str, ...] = ()) -> Governance:
    return approvals.in_force(governance, approved, approvals.expired(governance, day))


def test_a_subscription_that_reaches_a_value_with_approval_required_waits_and_its_siblings_do_not():
    found = on(loaded(), "2027-01-01")

    assert names(found) == ["open", "until"]
    (withheld,) = found.withheld
    assert (withheld.consumer, withheld.subscription.name) == ("analytics", "closed")
    assert withheld.key == key_of(loaded(), "closed")
    assert withheld.reaches == (("sensitivity", "restricted"),)


def test_a_key_that_is_left_out_reaches_all_its_values_and_so_waits_too():
    left_out = CONSUMER.replace("tags: {domain: [sales], sensitivity: [public, internal]}", "tags: {domain: [sales]}")
    (first, _) = on(loaded(left_out), "2027-01-01").withheld[::-1]

    assert (first.subscription.name, first.reaches) == ("open", (("sensitivity", "restricted"),))


def test_it_holds_when_exactly_it_is_approved():
    governance = loaded()

    assert "closed" in names(on(governance, "2027-01-01", (key_of(governance, "closed"),)))
    assert "closed" not in names(on(governance, "2027-01-01", (key_of(governance, "open"),)))


@pytest.mark.parametrize(("day", "holds"), [("2027-03-31", True), ("2027-04-01", False), ("2028-01-01", False)])
def test_a_subscription_holds_to_the_end_of_its_last_day(day, holds):
    found = on(loaded(), day)

    assert ("until" in names(found)) is holds
    assert found.holds_until == ("2027-03-31" if holds else "")
    assert [each.key for each in found.withheld if each.subscription.name == "until"] == ([] if holds else [""])


def test_what_has_expired_waits_for_no_approval():
    both = loaded(CONSUMER.replace("{user: auditor}]", "{user: auditor}]\n    expires: 2027-01-31"))

    assert {each.key for each in on(both, "2027-02-01").withheld} == {""}


def test_who_waits_is_granted_nothing_in_any_account():
    found = on(loaded(), "2027-01-01")
    grants = plan.plan_account_grants(found, ["333333333333"], "555555555555", [], [])
    named = plan.plan_principal_grants(
        found,
        "333333333333",
        "555555555555",
        principals={p: f"arn:aws:iam::333333333333:{p.kind}/{p.name}" for p in found.consumers[0].principals},
        databases=["sales_orders"],
        catalog=[plan.Link("default")],
        observed=[],
        made=[],
        made_links=[],
    )

    assert grants and named.actions
    assert "restricted" not in repr(grants) + repr(named.actions)
    assert "auditor" not in repr(named.actions)


def test_only_the_consumer_has_another_version_when_something_is_approved():
    governance = loaded()
    waits, given = on(governance, "2027-01-01"), on(governance, "2027-01-01", (key_of(governance, "closed"),))

    (product,) = governance.data_products
    assert waits.version_of("consumer/analytics") != given.version_of("consumer/analytics")
    assert waits.version_of(product.unit) == given.version_of(product.unit)
    assert waits.digest == given.digest


def test_the_marks_themselves_change_nothing_that_is_tagged_or_made():
    plain = MESH.replace("{value: hr, approval: required}", "hr").replace(
        "{value: restricted, approval: required}", "restricted"
    )
    (product,) = loaded().data_products

    assert loaded().lf_tags_version == loaded(mesh=plain).lf_tags_version
    assert loaded().version_of(product.unit) == loaded(mesh=plain).version_of(product.unit)
    assert on(loaded(mesh=plain), "2027-01-01").withheld == ()


SAME = {
    "another name": ("name: closed", "name: secret"),
    "another order of values": ("[internal, restricted]", "[restricted, internal]"),
    "another order of principals": ("[{role: Analyst}, {user: auditor}]", "[{user: auditor}, {role: Analyst}]"),
    "another order of LF-Tags": (
        "{domain: [sales], sensitivity: [internal, restricted]}",
        "{sensitivity: [internal, restricted], domain: [sales]}",
    ),
    "a comment": ("  - name: closed", "  # about salaries\n  - name: closed"),
    "another owner": ("owner: analytics@example.com", "owner: others@example.com"),
    "a last day": ("{user: auditor}]", "{user: auditor}]\n    expires: 2027-01-31"),
    "what SELECT says already": ("{user: auditor}]", "{user: auditor}]\n    permissions: [SELECT]"),
}
OTHER = {
    "another value": ("[internal, restricted]", "[public, internal, restricted]"),
    "a value less": ("[internal, restricted]", "[restricted]"),
    "an LF-Tag less": ("{domain: [sales], sensitivity: [internal, restricted]}", "{domain: [sales]}"),
    "another principal": ("{user: auditor}", "{user: somebody}"),
    "a principal of another kind": ("{user: auditor}", "{role: auditor}"),
    "a principal more": ("{user: auditor}", "{user: auditor}, {role: Intern}"),
    "a principal less": (", {user: auditor}", ""),
    "another consumer": ("consumer: analytics", "consumer: finance"),
    "another account": ('"333333333333"', '"444444444444"'),
    "other permissions": ("{user: auditor}]", "{user: auditor}]\n    permissions: [DESCRIBE]"),
}


@pytest.mark.parametrize("change", SAME)
def test_what_was_approved_stays_approved_by(change):
    old, new = SAME[change]
    assert old in CONSUMER
    changed = loaded(CONSUMER.replace(old, new))

    assert key_of(changed, "secret" if change == "another name" else "closed") == key_of(loaded(), "closed")


@pytest.mark.parametrize("change", OTHER)
def test_a_new_approval_is_needed_by(change):
    old, new = OTHER[change]
    assert old in CONSUMER
    changed = loaded(CONSUMER.replace(old, new))

    assert key_of(changed, "closed") != key_of(loaded(), "closed")
    assert "closed" not in names(on(changed, "2027-01-01", (key_of(loaded(), "closed"),)))


def test_a_value_that_the_mesh_gets_is_approved_anew_where_it_is_reached():
    subscription = CONSUMER.replace("sensitivity: [internal, restricted]", "").replace("[sales], }", "[sales]}")
    more = loaded(subscription, MESH.replace("public, internal", "public, internal, confidential"))

    assert key_of(more, "closed") != key_of(loaded(subscription), "closed")


VALUES = st.lists(st.sampled_from(["public", "internal", "restricted"]), min_size=1, unique=True)
PRINCIPALS = st.lists(
    st.builds(Principal, st.sampled_from(["role", "user", "permission_set"]), st.sampled_from(["a", "b", "a,b", "c"])),
    min_size=1,
    unique=True,
)


@given(VALUES, PRINCIPALS, VALUES, PRINCIPALS)
def test_keys_are_equal_exactly_where_expressions_and_principals_are(values, principals, others, other_principals):
    governance = loaded()
    (consumer,) = governance.consumers

    def key(some: list[str], whom: list[Principal]) -> str:
        expression = (("domain", ("sales",)), ("sensitivity", tuple(some)))
        made = replace(consumer.subscriptions[0], table_expression=expression, principals=tuple(whom))
        return approvals.key_of(consumer, made)

    same = set(values) == set(others) and set(principals) == set(other_principals)
    assert (key(values, principals) == key(others, other_principals)) is same
    assert len(key(values, principals)) == 32


# -- what people are told ---------------------------------------------------------------------------------------------


def test_a_letter_says_who_asks_for_what_and_what_to_run():
    (withheld,) = on(loaded(), "2027-01-01").withheld
    subject, text = approvals.letter(withheld, {"sales_orders": {"orders": ["total", "id"]}}, "f" * 64, "555555555555")

    assert subject == "tagmesh: consumer analytics asks for approval"
    assert "account 333333333333, owner analytics@example.com) asks to read sensitivity=restricted." in text
    assert f"tagmesh approve {withheld.key[:12]}\n" in text and "account 555555555555" in text
    assert "role Analyst, user auditor" in text
    assert "domain=sales AND sensitivity=internal|restricted" in text
    assert "  sales_orders.orders: id, total" in text


def test_a_letter_fits_into_a_message_however_much_it_would_open():
    (withheld,) = on(loaded(), "2027-01-01").withheld
    many = {
        f"database_{n}": {f"{'t' * 200}_{m}": [f"{'c' * 200}{c}" for c in range(900)] for m in range(30)}
        for n in range(9)
    }
    crowd = replace(withheld.subscription, principals=tuple(Principal("role", f"r{n}" * 9) for n in range(20_000)))
    for each in (withheld, replace(withheld, subscription=crowd)):
        subject, text = approvals.letter(each, many, "f" * 64, "555555555555")

        assert len(text.encode()) < 262_144 and len(subject) <= 100
        assert f"tagmesh approve {withheld.key[:12]}\n" in text
    longest = replace(withheld, consumer="c" * 63)
    assert len(approvals.letter(longest, {}, "f" * 64, "555555555555")[0]) <= 100


def test_a_letter_counts_what_it_leaves_out():
    (withheld,) = on(loaded(), "2027-01-01").withheld
    opens = {"sales_orders": {f"t{n:02}": [f"c{c:02}" for c in range(25)] for n in range(43)}}
    _, text = approvals.letter(withheld, opens, "f" * 64, "555555555555")

    assert "c18, c19 and 5 more columns" in text
    assert "t39" in text and "t40" not in text and "... and 3 more tables" in text
