"""The sample governance in mesh/: it loads, its rules say why and keep their examples, and it opens what it should."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.examples import check_examples
from tagmesh.expressions import Readable, database_tags, readable
from tagmesh.governance import Governance, Rule, load, read_folder
from tagmesh.rules import decide

ROOT = Path(__file__).parents[2]
FILES = read_folder(ROOT / "mesh")
MESH = load(FILES)

# Tables as a crawler makes them of sample_data/: name -> (columns, partition keys), each `name` or `name:type`.
TABLES = {
    "sales_orders.orders": (
        "order_id:bigint customer_id:bigint ordered_at order_status sales_channel order_total:double currency",
        "order_year order_month",
    ),
    "sales_orders.order_lines": (
        "order_id:bigint line_number:int product_code quantity:int unit_price:decimal(10,2)",
        "",
    ),
    "sales_orders.products": ("product_code product_name category list_price:double stock_quantity:bigint", ""),
    "sales_customers.customers": (
        "customer_id:bigint first_name last_name email phone postal_code city country segment created_at",
        "",
    ),
    "sales_customers.web_events": ("event_id:int event_type occurred_at customer_id:int ip_address page channel", ""),
    "hr_people.employees": (
        "employee_id:bigint full_name work_email date_of_birth:date national_id salary:bigint bank_account department "
        "hired_on:date",
        "",
    ),
    "hr_people.absences": ("absence_id:int employee_id:int reason days:int", "year"),
    "hr_people.offices": ("office_code city country opened_on", ""),
}


# What samples of sample_data/ show, of the data products that ask for them.
CONTENT = {"sales_customers.web_events": {"channel": ["email"], "ip_address": ["machine_address"]}}


def table(name: str) -> Table:
    database, _, short = name.partition(".")
    columns, keys = ([Column(*c.split(":")) for c in written.split()] for written in TABLES[name])
    return Table(database, short, tuple(columns), tuple(keys))


def published(governance: Governance, tables: list[Table]) -> list[tuple[Table, AssignedTags]]:
    """The tables with the tags that their decisions give them."""
    tagged = []
    for each in tables:
        product = governance.data_product_of_database(each.database)
        assert product is not None
        content = CONTENT.get(f"{each.database}.{each.name}") if product.sample_content else None
        decision = decide(governance, product, each, content=content)
        assert not decision.findings
        columns = {column: decision.tags(column) for column in decision.columns}
        tagged.append((each, AssignedTags(database_tags(governance, product), {}, columns)))
    return tagged


def reads(consumer: str, principal: str) -> dict[str, set[str]]:
    """table -> columns that a principal reads in the whole sample."""
    found = MESH.consumer(f"consumer/{consumer}")
    assert found is not None
    theirs = [s for s in found.subscriptions if principal in {person.name for person in s.principals}]
    assert theirs, f"{principal} has no subscription"
    opened: Readable = readable(published(MESH, [table(name) for name in TABLES]), theirs)
    return {
        f"{database}.{name}": set(columns) for database, tables in opened.items() for name, columns in tables.items()
    }


SALES_FOR_ANALYSTS = {
    "sales_orders.orders": {
        "order_id", "ordered_at", "order_status", "sales_channel", "order_total", "currency",
        "order_year", "order_month",
    },
    "sales_orders.order_lines": {"order_id", "line_number", "product_code", "quantity", "unit_price"},
    "sales_orders.products": {"product_code", "product_name", "category", "list_price", "stock_quantity"},
    "sales_customers.customers": {"segment", "created_at"},
    "sales_customers.web_events": {"event_id", "event_type", "occurred_at", "page"},
}  # fmt: skip
WORKPLACES = {
    "hr_people.employees": {"department", "hired_on"},
    "hr_people.absences": {"absence_id", "days", "year"},
    "hr_people.offices": {"office_code", "city", "country", "opened_on"},
}


def test_an_analyst_reads_orders_and_nobodys_name():
    assert reads("analytics", "Analyst") == SALES_FOR_ANALYSTS


def test_the_permission_set_reads_workplaces_too():
    assert reads("analytics", "DataAnalyst") == SALES_FOR_ANALYSTS | WORKPLACES


def test_finance_reads_salaries_and_not_whose_they_are():
    assert reads("finance", "FinanceAnalyst") == SALES_FOR_ANALYSTS | WORKPLACES | {
        "hr_people.employees": {"department", "hired_on", "salary"}
    }


def test_the_producers_own_analyst_reads_who_works_there_and_neither_pay_nor_illness():
    assert reads("people_insights", "PeopleAnalyst") == WORKPLACES | {
        "hr_people.employees": {"employee_id", "full_name", "work_email", "department", "hired_on"},
        "hr_people.absences": {"absence_id", "employee_id", "days", "year"},
    }


def test_nobody_reads_what_is_restricted():
    everybody = [principal for consumer in MESH.consumers for principal in consumer.principals]
    opened = [reads(consumer.name, person.name) for consumer in MESH.consumers for person in consumer.principals]

    assert len(everybody) == 4
    for tables in opened:
        assert not tables.get("hr_people.employees", set()) & {"national_id", "bank_account", "date_of_birth"}
        assert "reason" not in tables.get("hr_people.absences", set())


def test_the_tables_here_are_those_of_the_sample_data():
    found = {}
    for file in sorted((ROOT / "sample_data").rglob("*.*")):
        parts = file.relative_to(ROOT / "sample_data").parts
        if len(parts) < 4:
            continue
        if file.suffix == ".csv":
            columns = next(csv.reader(file.read_text(encoding="utf-8").splitlines()))
        elif file.suffix == ".jsonl":
            columns = list(json.loads(file.read_text(encoding="utf-8").splitlines()[0]))
        else:
            continue
        keys = [part.split("=")[0] for part in parts[3:-1]]
        found[f"{parts[0]}_{parts[1]}.{parts[2]}"] = (columns, keys)

    assert len(found) == 7, "all but the Parquet table"
    for name, (columns, keys) in found.items():
        assert [column.name for column in table(name).columns] == columns, name
        assert [column.name for column in table(name).partition_keys] == keys, name


# ---- The starter pack of rules -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", MESH.rules, ids=lambda rule: rule.id)
def test_a_rule_says_why_and_keeps_its_examples(rule: Rule):
    assert rule.because
    assert rule.match, "an example that it is about"
    assert rule.no_match, "an example that it is not about"
    assert check_examples(replace(MESH, rules=(rule,))) == []
    assert rule.id.split(".")[0] in rule.place, "its file is named like the first part of its id"


def test_the_rules_name_no_account_database_or_data_product():
    def named(condition: object) -> set[str]:
        if isinstance(condition, list):
            return set().union(*map(named, condition)) if condition else set()
        if isinstance(condition, dict):
            return set(condition) | set().union(*map(named, condition.values()))
        return set()

    for rule in MESH.rules:
        assert not named(rule.when) & {"account", "database", "data_product", "producer"}, rule.id


def test_the_rules_load_under_any_mesh_that_has_their_keys():
    rules = {file: text for file, text in FILES.items() if file.startswith("rules/")}
    keys = FILES["mesh.yaml"].replace("region: eu-west-1\n", "").replace("sales, hr", "retail, logistics")

    assert len(load({"mesh.yaml": keys, **rules}).rules) == len(MESH.rules)


def test_each_rule_decides_both_keys_so_that_none_is_left_at_a_default_by_mistake():
    for rule in MESH.rules:
        for pairs in (rule.raises, rule.clears, rule.assigns):
            assert not pairs or [key for key, _ in pairs] == ["sensitivity", "pii"], rule.id


@pytest.mark.parametrize(
    "column",
    [
        "customer_id:bigint", "user_id:uuid", "employeenumber:int", "nino", "trn", "faith", "ethnic_group", "comment",
        "case_note", "support_details", "next_of_kin", "pseudonym", "hiv_status", "marital_status", "review_passed_by",
        "iban", "cardnumber", "mothersmaidenname", "e-mail", "mobilephone", "ip", "password_hash", "latitude", "x1",
        "name", "description", "code", "number", "value", "status_of_health", "order_note", "product_owner_email",
    ],
)  # fmt: skip
def test_what_may_speak_of_a_person_or_is_not_known_stays_closed_to_internal_readers(column: str):
    name, _, type_name = column.partition(":")
    product = MESH.data_products[0]
    found = decide(MESH, product, Table("d", "t", (Column(name, type_name or "string"),))).columns[name]

    assert found["sensitivity"].value not in ("public", "internal"), found


def opened(name: str, type_name: str, table: str = "d") -> bool:
    """Whether a column ends where internal readers see it."""
    product = MESH.data_products[0]
    decided = decide(MESH, product, Table("d", table, (Column(name, type_name),))).columns[name]
    return decided["sensitivity"].value in ("public", "internal")


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1), st.sampled_from(["string", "varchar(9)", ""]))
def test_no_word_that_a_rule_does_not_know_opens_a_text(noise: str, type_name: str):
    """A harmless name beside an unknown word is no longer known to be harmless."""
    letters = "qx" + "".join(c for c in noise.lower() if c.isalpha())[:10] + "zq"
    for name in (f"order_{letters}", f"{letters}_id", f"product_{letters}_name", letters):
        assert not opened(name, type_name), name


@given(
    st.sampled_from(
        ["customer", "patient", "employee", "user", "birth", "salary", "health", "email", "address", "iban"]
    ),
    st.sampled_from(["id", "total", "score", "zorb", "is", "at", "number", "value", "rate"]),
    st.sampled_from(["bigint", "uuid", "double", "string", "date"]),
    st.booleans(),
)
def test_no_number_flag_or_date_with_a_word_of_a_person_is_opened(word: str, other: str, type_name: str, turned: bool):
    name = f"{other}_{word}" if turned else f"{word}_{other}"
    assert not opened(name, type_name), name


@pytest.mark.parametrize("rule", [rule for rule in MESH.rules if rule.clears], ids=lambda rule: rule.id)
def test_no_rule_opens_what_holds_further_fields(rule: Rule):
    for example in rule.match:
        for type_name in ("struct<email:string>", "array<struct<email:string>>", "map<string,string>", "binary"):
            closed = replace(rule, match=(), no_match=(replace(example, type=type_name),))
            assert check_examples(replace(MESH, rules=(closed,))) == []
