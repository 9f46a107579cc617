"""Data products that the files say are dropped: how they are written, what is refused, what a plan tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.governance import GovernanceError, load, read_folder
from tagmesh.preview import Made, Removal, preview

from cli import plan

ROOT = Path(__file__).parents[2]
FILES = read_folder(ROOT / "mesh")
NOW = load(FILES)
ORDERS = NOW.data_product("data_product/sales/orders")
SALES = FILES["producers/sales.yaml"]
CENTRAL = "555555555555"


def with_state(state: str, *, of: str = "orders", more: str = "", **others: str) -> dict[str, str]:
    """The sample's files, in which a data product of sales has a state."""
    said, found = re.subn(rf"(  - name: {of}\b.*\n)", rf"\1    state: {state}\n", SALES)
    assert found == 1
    said += "" if said.endswith("\n") else "\n"
    return {**FILES, "producers/sales.yaml": said + more, **others}


def refused(files: dict[str, str]) -> list[str]:
    with pytest.raises(GovernanceError) as caught:
        load(files)
    return [str(problem) for problem in caught.value.problems]


def test_what_is_dropped_has_left_for_everybody_and_still_has_its_owner():
    governance = load(with_state("dropped"))

    assert [*governance.dropped] == [ORDERS.unit]
    assert governance.dropped[ORDERS.unit] == ORDERS
    assert governance.data_product(ORDERS.unit) is None
    assert governance.data_product_of_crawler(ORDERS.crawler) is None
    assert governance.find_data_product(ORDERS.account, ORDERS.bucket, f"{ORDERS.prefix}a/b.csv") is None


def test_only_the_word_itself_drops():
    assert load(with_state("active")).dropped == {}
    assert load({name: text for name, text in FILES.items() if "sales" not in name}).dropped == {}
    for state in ("droped", "Dropped", "true", "[dropped]", "null", '""'):
        (problem,) = refused(with_state(state))
        assert problem.startswith("producers/sales.yaml:"), problem
        assert "active" in problem, problem
        assert "dropped" in problem, problem


def test_a_mistyped_state_is_told_with_its_place_and_the_word_that_was_meant():
    (problem,) = refused(with_state("droped"))
    line = with_state("droped")["producers/sales.yaml"].splitlines().index("    state: droped") + 1

    assert problem == (
        f"producers/sales.yaml:{line}:12: `droped` is not allowed here; did you mean `dropped`?; "
        "mend: write active or dropped"
    )


def test_dropped_active_and_left_are_versions_of_their_own_and_only_of_their_unit():
    dropped, left = (
        load(with_state("dropped")),
        load({**FILES, "producers/sales.yaml": SALES.replace("name: orders", "name: o2")}),
    )
    versions = {each.version_of(ORDERS.unit) for each in (NOW, dropped, left)}
    other = "data_product/sales/customers"

    assert len(versions) == 3
    assert dropped.version_of(other) == NOW.version_of(other)
    assert dropped.version_of("consumer/analytics") != NOW.version_of("consumer/analytics")


def test_another_data_product_may_take_over_the_location_and_not_the_database():
    bought = f"  - name: bought\n    location: {ORDERS.location}\n    tags: {{domain: sales}}\n"
    assert load(with_state("dropped", more=bought)).data_product("data_product/sales/bought")

    (problem,) = refused(with_state("dropped", more=bought.replace("bought", "orders")))
    assert "the data product `orders` is already there" in problem
    folded = bought.replace("bought", "or.ders")
    (problem,) = refused(
        with_state("dropped", more=folded + "  - {name: or-ders, location: s3://other-1/, state: dropped}\n")
    )
    assert "both become the Glue database sales_or_ders" in problem


def test_overrides_of_what_is_dropped_wait_for_whoever_takes_it_back():
    override = (
        "overrides:\n  - {data_product: sales/orders, table: products, column: category, author: ann,\n"
        "     reason: a test, tags: {sensitivity: restricted}}\n"
    )
    assert load(with_state("dropped", **{"overrides/sales.yaml": override})).overrides
    (problem,) = refused(with_state("dropped", **{"overrides/sales.yaml": override.replace("orders", "order")}))
    assert "there is no data product `sales/order`; did you mean `sales/orders`?" in problem


def test_the_last_data_product_may_be_dropped():
    files = with_state("dropped")
    files = {name: text for name, text in files.items() if not name.startswith("producers/") or "sales" in name}
    files["producers/sales.yaml"] = re.sub(
        r"(  - name: customers\b.*\n)", r"\1    state: dropped\n", files["producers/sales.yaml"]
    )
    governance = load(files)

    assert governance.data_products == ()
    assert all(each.database_expression for consumer in governance.consumers for each in consumer.subscriptions)


# -- what a plan tells


def table(name: str, crawler: str | None) -> tuple[Table, AssignedTags]:
    parameters = {"UPDATED_BY_CRAWLER": crawler} if crawler else {}
    closed = {key.name: key.default for key in NOW.lf_tags}
    return Table("sales_orders", name, (Column("category"),), parameters=parameters), AssignedTags(closed, {}, {})


MADE = Made(ORDERS.crawler, "sales_orders", True, crawlers=(ORDERS.crawler,), locations=(ORDERS.location.rstrip("/"),))
MINE = [table("products", ORDERS.crawler), table("returns", ORDERS.crawler)]


def removals(files: dict[str, str], tables: list = MINE, made: Made = MADE) -> tuple[Removal, ...]:
    return preview(NOW, load(files), tables, CENTRAL, made={ORDERS.unit: made}).removals


def test_a_plan_tells_what_a_drop_deletes_before_it_happens():
    found = preview(NOW, load(with_state("dropped")), MINE, CENTRAL, made={ORDERS.unit: MADE})
    said = plan.lines(found)

    assert (
        f"DROPS     sales/orders: 2 tables of sales_orders and the database itself, the crawler {ORDERS.crawler}, "
        f"the registered location {ORDERS.location.rstrip('/')}; its data stays"
    ) in said
    assert said[said.index("  - products") + 1] == "  - returns"
    (removal,) = plan.as_json(NOW, found)["removals"]
    assert (removal["dropped"], removal["tables"], removal["keeps_database"]) == (True, ("products", "returns"), False)
    assert found.calls >= removal_calls(found) == 7


def removal_calls(found) -> int:
    return sum(each.calls for each in found.removals)


def test_a_plan_tells_that_what_leaves_keeps_its_tables():
    files = {**FILES, "producers/sales.yaml": SALES.replace("name: orders", "name: other")}
    (removal,) = removals(files)

    assert (removal.tables, removal.dropped) == ((), False)
    assert removal.locations == (), "other has the same location"
    said = plan.lines(preview(NOW, load(files), MINE, CENTRAL, made={ORDERS.unit: MADE}))
    assert (
        f"leaves    sales/orders: it is closed; the crawler {ORDERS.crawler} goes; its catalogue and its data stay"
        in said
    )


@pytest.mark.parametrize(
    ("tables", "owns", "why"),
    [
        ([*MINE, table("by_hand", None)], True, "no crawl of ours made by_hand"),
        ([*MINE, table("theirs", "their-crawler")], True, "no crawl of ours made theirs"),
        (MINE, False, "we did not make it"),
    ],
)
def test_a_plan_tells_what_a_drop_has_to_keep(tables, owns, why):
    made = Made(MADE.crawler, MADE.database, owns, MADE.crawlers, MADE.locations)
    (removal,) = removals(with_state("dropped"), tables, made)

    assert removal.tables == ("products", "returns")
    assert removal.keeps_database
    said = plan.lines(preview(NOW, load(with_state("dropped")), tables, CENTRAL, made={ORDERS.unit: made}))
    assert f"  the database sales_orders stays: {why}" in said


def test_a_plan_says_nothing_of_what_was_dropped_long_ago():
    assert removals(with_state("dropped"), [], Made(MADE.crawler, "", False)) == ()
