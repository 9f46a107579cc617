"""What a new governance version would change: who gains and who loses which columns, and the calls it takes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tagmesh import resolution
from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.expressions import database_tags, readable
from tagmesh.governance import Governance, load, read_folder
from tagmesh.preview import AccessChange, Preview, preview
from tagmesh.rules import decide

ROOT = Path(__file__).parents[2]
FILES = read_folder(ROOT / "mesh")
NOW = load(FILES)
CENTRAL = "555555555555"
TABLES = (
    Table("sales_customers", "customers", tuple(Column(name) for name in ("email", "segment", "created_at"))),
    Table("sales_orders", "products", tuple(Column(name) for name in ("product_name", "category"))),
    Table("hr_people", "offices", (Column("office_code"), Column("city"))),
)


def published(governance: Governance) -> list[tuple[Table, AssignedTags]]:
    """The tables as this version leaves them."""
    found = []
    for table in TABLES:
        product = governance.data_product_of_database(table.database)
        decision = decide(governance, product, table)
        columns = {name: decision.tags(name) for name in decision.columns}
        found.append((table, AssignedTags(database_tags(governance, product), {}, columns)))
    return found


def with_files(**changed: str | None) -> Governance:
    files = {**FILES, **{name.replace("__", "/") + ".yaml": text for name, text in changed.items()}}
    return load({name: text for name, text in files.items() if text is not None})


def told(change: AccessChange) -> tuple:
    names = [tuple(column.name for column in columns) for columns in (change.gained, change.lost)]
    return (f"{change.consumer}/{change.principal.name}", f"{change.database}.{change.table}", *names)


OVERRIDE = """overrides:
  - data_product: sales/customers
    table: customers
    column: email
    tags: {pii: none, sensitivity: internal}
    author: ann
    approved_by: bo
    reason: addresses of test accounts
"""


def test_a_mesh_that_is_as_the_files_say_changes_nothing():
    assert preview(NOW, NOW, published(NOW), CENTRAL) == Preview(tables=3)


def test_an_override_that_opens_a_column_says_who_gains_it_and_that_it_is_about_people():
    found = preview(NOW, with_files(overrides__open=OVERRIDE), published(NOW), CENTRAL)

    gaining = {told(change) for change in found.access}
    assert ("analytics/Analyst", "sales_customers.customers", ("email",), ()) in gaining
    column = found.access[0].gained[0]
    assert dict(column.tags)["sensitivity"] == "internal"
    assert "addresses of test accounts" in column.because
    assert [(action.columns, action.loosens) for action in found.tags if action.loosens] != []
    assert found.seconds > 0


def test_a_consumer_that_leaves_loses_all_and_others_nothing():
    found = preview(NOW, with_files(consumers__analytics=None), published(NOW), CENTRAL)

    assert {change.consumer for change in found.access} == {"analytics"}
    assert not any(change.gained for change in found.access)
    assert found.tags == found.links == ()
    assert found.unlinks
    assert {type(each).__name__ for each in found.grants} == {"Revoke"}
    assert found.calls > 0


def test_a_producer_that_leaves_closes_its_tables_for_everybody():
    found = preview(NOW, with_files(producers__hr=None), published(NOW), CENTRAL)

    assert {(change.database, change.gained) for change in found.access} == {("hr_people", ())}


def test_without_a_version_in_force_everything_is_gained():
    closed = [
        (table, AssignedTags({key.name: key.default for key in NOW.lf_tags}, {}, {})) for table, _ in published(NOW)
    ]
    found = preview(None, NOW, closed, CENTRAL)

    assert found.access
    assert not any(change.lost for change in found.access)
    assert "333333333333/sales_orders" in found.links
    assert {type(each).__name__ for each in found.grants} == {"Grant"}


# Files that no other refers to.
LEAVABLE = sorted(
    set(FILES) - {"mesh.yaml", "rules/words.yaml", "rules/people.yaml"} - {f for f in FILES if "producers" in f}
)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(LEAVABLE), max_size=4))
def test_what_is_foretold_is_what_then_is(left_out: list[str]):
    """For any files left out: who reads what before, and the changes, give who reads what after."""
    new = load({name: text for name, text in FILES.items() if name not in left_out})
    changes = preview(NOW, new, published(NOW), CENTRAL).access
    after = published(new)
    for consumer in NOW.consumers:
        for principal in consumer.principals:
            mine = [c for c in changes if (c.consumer, c.principal) == (consumer.name, principal)]
            reads = {
                (table, column)
                for tables in readable(
                    published(NOW), [s for s in consumer.subscriptions if principal in s.principals]
                ).values()
                for table, columns in tables.items()
                for column in columns
            }
            reads |= {(c.table, column.name) for c in mine for column in c.gained}
            reads -= {(c.table, column.name) for c in mine for column in c.lost}
            then = new.consumer(consumer.unit)
            subscriptions = [s for s in then.subscriptions if principal in s.principals] if then else []
            assert reads == {
                (table, column)
                for tables in readable(after, subscriptions).values()
                for table, columns in tables.items()
                for column in columns
            }


def test_a_table_that_is_closed_for_its_header_is_not_said_to_open():
    closed = [
        (
            table,
            AssignedTags(tags.database, {}, {name: {} for name in tags.columns}) if table.name == "products" else tags,
        )
        for table, tags in published(NOW)
    ]
    assert preview(NOW, NOW, closed, CENTRAL).access

    found = preview(NOW, NOW, closed, CENTRAL, closed={("sales_orders", "products"): resolution.MISFIT})
    assert (found.access, found.tables) == ((), 3)
