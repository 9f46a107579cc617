"""Who can read what, from tags and expressions alone."""

from __future__ import annotations

from tagmesh.catalog import AssignedTags, Column, Table, tags_from_api
from tagmesh.expressions import database_tags, fingerprint, matches, readable, readable_columns, sees_database
from tagmesh.governance import DataProduct, Governance, LFTagKey, Subscription

INTERNAL = (("domain", ("sales",)), ("sensitivity", ("public", "internal")))
CLOSED = {"domain": "sales", "sensitivity": "unclassified"}


def table(*columns: str, keys: tuple[str, ...] = (), name: str = "orders") -> Table:
    return Table("sales_orders", name, tuple(map(Column, columns)), tuple(map(Column, keys)))


def tags(**sensitivities: str) -> AssignedTags:
    return AssignedTags(CLOSED, {}, {column: {"sensitivity": value} for column, value in sensitivities.items()})


def subscription(expression, permissions: tuple[str, ...] = ("DESCRIBE", "SELECT")) -> Subscription:
    return Subscription("s", (), permissions, (), expression, expression[:1])


def test_keys_are_anded_and_values_ored():
    assert matches({"domain": "sales", "sensitivity": "internal"}, INTERNAL)
    assert not matches({"domain": "hr", "sensitivity": "internal"}, INTERNAL)
    assert not matches({"domain": "sales", "sensitivity": "restricted"}, INTERNAL)
    assert not matches({"sensitivity": "internal"}, INTERNAL), "a key without a value matches nothing"
    assert not matches({"domain": "sales"}, ()), "nothing is granted by an empty expression"


def test_a_column_is_read_if_its_own_tags_match_and_not_if_it_inherits_the_default():
    found = readable_columns(table("id", "email", "new"), tags(id="public", email="confidential"), INTERNAL)

    assert found == {"id"}


def test_a_lower_level_overrides_a_higher_one():
    assigned = AssignedTags(CLOSED, {"sensitivity": "public"}, {"email": {"sensitivity": "restricted"}})

    assert readable_columns(table("id", "email"), assigned, INTERNAL) == {"id"}
    assert assigned.effective_table == {"domain": "sales", "sensitivity": "public"}


def test_effective_and_assigned_answers_mean_the_same():
    assigned = tags(id="public")
    effective = AssignedTags(CLOSED, CLOSED, {"id": {**CLOSED, "sensitivity": "public"}, "email": CLOSED})

    for column in ("id", "email", "unknown"):
        assert assigned.effective(column) == effective.effective(column)


def test_who_reads_one_column_reads_the_partition_keys():
    orders = table("id", "email", keys=("country",))

    assert readable_columns(orders, tags(id="public", country="restricted"), INTERNAL) == {"id", "country"}
    assert readable_columns(orders, tags(), INTERNAL) == frozenset()


def test_grants_add_up_and_describe_alone_reads_nothing():
    restricted = (("domain", ("sales",)), ("sensitivity", ("restricted",)))
    orders, assigned = table("id", "email", "note"), tags(id="public", email="restricted")
    both = [subscription(INTERNAL), subscription(restricted)]

    assert readable([(orders, assigned)], both) == {"sales_orders": {"orders": {"id", "email"}}}
    assert readable([(orders, assigned)], both[:1]) == {"sales_orders": {"orders": {"id"}}}
    assert readable([(orders, assigned)], [subscription(INTERNAL, ("DESCRIBE",))]) == {}
    assert readable([(table("x", name="closed"), tags())], both) == {}


def test_the_fingerprint_tells_apart_exactly_what_can_be_read():
    one = fingerprint({"orders": {"id", "total"}, "lines": {"id"}})

    assert one == fingerprint({"lines": ["id"], "orders": ["total", "id"], "closed": []})
    assert one != fingerprint({"orders": {"id"}, "lines": {"id"}})
    assert one != fingerprint({"orders": {"id", "total"}, "line": {"id"}})
    assert fingerprint({}) == fingerprint({"closed": ()})


def test_a_database_is_seen_by_those_whose_expression_its_own_tags_match():
    keys = (LFTagKey("domain", ("sales", "hr", "none"), "none"), LFTagKey("pii", ("no", "unknown"), "unknown"))
    governance = Governance(keys, (), (), (), (), "")
    orders = DataProduct("sales", "orders", "1", "b", "", (("domain", "sales"),))

    assert database_tags(governance, orders) == {"domain": "sales", "pii": "unknown"}
    assert sees_database(governance, subscription((("domain", ("sales",)),)), orders)
    assert not sees_database(governance, subscription((("domain", ("hr",)),)), orders)


def test_the_answer_of_lake_formation_becomes_tags():
    def tag(key: str, value: str) -> dict:
        return {"CatalogId": "555555555555", "TagKey": key, "TagValues": [value]}

    assert tags_from_api(
        {
            "LFTagOnDatabase": [tag("Domain", "Sales")],
            "LFTagsOnTable": [tag("domain", "hr")],
            "LFTagsOnColumns": [{"Name": "ID", "LFTags": [tag("pii", "none")]}],
        }
    ) == AssignedTags({"domain": "sales"}, {"domain": "hr"}, {"id": {"pii": "none"}})
    assert tags_from_api({}) == AssignedTags()
