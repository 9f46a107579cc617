"""The governance files: what loads, what it becomes, and what is refused with file, line and the way to mend it."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tagmesh import governance_shapes
from tagmesh.governance import (
    EVERYBODY,
    DataProduct,
    GovernanceError,
    LFTagKey,
    Principal,
    digest_of,
    load,
    read_folder,
)
from tagmesh.governance_files import expression_bytes

ROOT = Path(__file__).parents[2]

MESH = """\
version: 1
lf_tags:
  domain:      {values: [sales, hr, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, confidential, restricted, unclassified], ordered: true,
                default: unclassified}
  pii:         {values: [none, contact, identity, financial, health, multiple, unknown], default: unknown}
"""
SALES = """\
producer: sales
account: "111111111111"
owner: sales-data@example.com
data_products:
  - name: orders                              # Glue database sales_orders, one crawler, one folder per table
    location: s3://sales-raw-111111111111/orders/
    tags: {domain: sales}                     # assigned to the database
    csv: {header: present}
"""
UNIT = "arn:aws:organizations::555555555555:ou/o-example1234/ou-exam-readers12"
ANALYTICS = """\
consumer: analytics
account: "333333333333"
subscriptions:
  - name: sales-internal
    tags: {domain: [sales], sensitivity: [public, internal]}
    permissions: [SELECT]
    principals:
      - role: Analyst
      - permission_set: DataAnalyst           # an IAM Identity Center permission set, found by name
"""
CONTACT = """\
rules:
  - id: contact.email
    raise: {pii: contact, sensitivity: confidential}
    when: {column: {words_any: [email, e_mail]}, not: {type: [boolean, timestamp, date]}}
    because: a person's contact address
    examples: {match: [customer.email, user_email], no_match: [email_verified]}
"""
FILES = {
    "mesh.yaml": MESH,
    "producers/sales.yaml": SALES,
    "consumers/analytics.yaml": ANALYTICS,
    "rules/contact.yaml": CONTACT,
}


def problems_of(files: dict[str, str]) -> list[str]:
    with pytest.raises(GovernanceError) as caught:
        load(files)
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    assert all(problem.mend for problem in caught.value.problems), "every problem says how to mend it"
    return [str(problem) for problem in caught.value.problems]


def with_file(file: str, old: str, new: str) -> dict[str, str]:
    assert old in FILES[file], f"{old!r} is not in {file}"
    return {**FILES, file: FILES[file].replace(old, new, 1)}


# ---- What loads ---------------------------------------------------------------------


def test_the_files_become_one_value():
    governance = load(FILES)

    assert governance.keys["sensitivity"] == LFTagKey(
        "sensitivity", ("public", "internal", "confidential", "restricted", "unclassified"), "unclassified", True
    )
    assert governance.data_products == (
        DataProduct(
            producer="sales",
            name="orders",
            account="111111111111",
            bucket="sales-raw-111111111111",
            prefix="orders/",
            tags=(("domain", "sales"),),
            csv=governance.data_products[0].csv,
            crawl_at_most_every=15 * 60,
            owner="sales-data@example.com",
        ),
    )
    product = governance.data_products[0]
    assert product.csv is not None
    assert product.csv.header == "present"
    assert (product.database, product.crawler) == ("sales_orders", "tagmesh-sales-orders")
    assert (product.unit, product.location) == ("data_product/sales/orders", "s3://sales-raw-111111111111/orders/")
    subscription = governance.consumers[0].subscriptions[0]
    assert subscription.principals == (Principal("permission_set", "DataAnalyst"), Principal("role", "Analyst"))
    rule = governance.rules[0]
    assert rule.raises == (("sensitivity", "confidential"), ("pii", "contact"))
    assert (rule.because, rule.place) == ("a person's contact address", "rules/contact.yaml:2")


def test_an_omitted_key_is_completed_with_every_value_but_the_default():
    subscription = load(FILES).consumers[0].subscriptions[0]

    assert subscription.table_expression == (
        ("domain", ("sales",)),
        ("sensitivity", ("public", "internal")),
        ("pii", ("none", "contact", "identity", "financial", "health", "multiple")),
    )


def test_the_database_expression_has_only_the_keys_that_data_products_assign():
    assert load(FILES).consumers[0].subscriptions[0].database_expression == (("domain", ("sales",)),)


def test_keys_and_values_are_lower_case_as_lake_formation_stores_them_and_stand_in_declared_order():
    files = with_file(
        "consumers/analytics.yaml",
        "{domain: [sales], sensitivity: [public, internal]}",
        "{Sensitivity: [INTERNAL, Public], DOMAIN: [Sales]}",
    )

    assert load(files).consumers[0].subscriptions[0].table_expression[:2] == (
        ("domain", ("sales",)),
        ("sensitivity", ("public", "internal")),
    )


def test_no_and_yes_and_numbers_stay_what_was_written():
    files = {
        "mesh.yaml": "version: 1\nlf_tags:\n  ok: {values: [yes, no, 012, 1.50, null, unknown], default: unknown}\n"
    }

    assert load(files).keys["ok"].values == ("yes", "no", "012", "1.50", "null", "unknown")


def test_an_object_belongs_to_the_data_product_of_its_account_and_bucket_and_folder():
    governance = load(FILES)
    product = governance.data_products[0]

    def find(account: str, bucket: str, key: str) -> DataProduct | None:
        return governance.find_data_product(account, bucket, key)

    assert find("111111111111", "sales-raw-111111111111", "orders/lines/2024/a b+c%2F.csv") is product
    assert find("222222222222", "sales-raw-111111111111", "orders/lines/a.csv") is None, "another account's event"
    assert find("111111111111", "another-bucket", "orders/lines/a.csv") is None
    assert find("111111111111", "sales-raw-111111111111", "orders-archive/a.csv") is None


def test_units_and_crawlers_lead_back_to_what_they_are_of():
    governance = load(FILES)
    product, consumer = governance.data_products[0], governance.consumers[0]

    assert governance.data_product(product.unit) is product
    assert governance.data_product_of_crawler(product.crawler) is product
    assert governance.data_product_of_database(product.database) is product
    assert governance.consumer(consumer.unit) is consumer
    assert governance.data_product(consumer.unit) is None
    assert governance.consumer("consumer/nobody") is None


def test_optional_fields_of_a_data_product():
    files = with_file(
        "producers/sales.yaml",
        "csv: {header: present}",
        "csv: {delimiter: ';', quote: '\"'}\n    crawl_at_most_every: 6h\n    owner: lines@example.com",
    )
    product = load(files).data_products[0]

    assert product.csv is not None
    assert (product.csv.header, product.csv.delimiter, product.csv.quote) == ("guess", ";", '"')
    assert (product.crawl_at_most_every, product.owner) == (6 * 3600, "lines@example.com")


def test_a_location_may_be_a_whole_bucket_and_needs_no_last_slash():
    whole = with_file("producers/sales.yaml", "/orders/", "")
    folder = with_file("producers/sales.yaml", "/orders/", "/raw/orders")

    assert load(whole).data_products[0].prefix == ""
    assert load(folder).data_products[0].prefix == "raw/orders/"


def test_several_producers_may_share_an_account_and_an_account_may_produce_and_consume():
    files = {
        **FILES,
        "producers/returns.yaml": SALES.replace("producer: sales", "producer: returns").replace("/orders/", "/back/"),
        "consumers/own.yaml": ANALYTICS.replace("analytics", "own").replace("333333333333", "111111111111"),
    }

    assert [product.database for product in load(files).data_products] == ["returns_orders", "sales_orders"]


def test_the_digest_names_the_text_and_not_the_order_of_files():
    assert load(FILES).digest == digest_of(dict(reversed(FILES.items())))
    assert load(FILES).digest != load(with_file("rules/contact.yaml", "a person's", "somebody's")).digest


def test_a_folder_is_read_by_relative_path(tmp_path: Path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "README.md").write_text("not governance")

    assert read_folder(tmp_path) == FILES
    (tmp_path / "mesh.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(GovernanceError, match="mesh.yaml:1:1: cannot be read"):
        read_folder(tmp_path)
    with pytest.raises(GovernanceError, match="no such folder"):
        read_folder(tmp_path / "nowhere")


# ---- What is refused ----------------------------------------------------------------

MISTAKES = {
    "approval of the default": (
        "mesh.yaml",
        "unclassified], ordered",
        "{value: unclassified, approval: required}], ordered",
        "mesh.yaml:4:102: `unclassified` is the default of sensitivity: nobody reads it; mend: remove `approval`",
    ),
    "approval that is neither required nor left out": (
        "mesh.yaml",
        "restricted,",
        "{value: restricted, approval: maybe},",
        "mesh.yaml:4:88: `maybe` is not allowed here; mend: write required",
    ),
    "a value written twice, once with approval": (
        "mesh.yaml",
        "restricted,",
        "{value: Internal, approval: required},",
        "mesh.yaml:4:66: `Internal` stands among the values of sensitivity twice",
    ),
    "a subscription that expires on no day": (
        "consumers/analytics.yaml",
        "    permissions: [SELECT]",
        "    expires: 2027-02-30",
        "consumers/analytics.yaml:6:14: there is no day 2027-02-30",
    ),
    # name: (file, what stands there, what is written instead, the problem as a person reads it)
    "unknown key": (
        "producers/sales.yaml",
        "csv:",
        "cvs:",
        "producers/sales.yaml:8:5: unknown key `cvs`; did you mean `csv`?; mend: the keys here are name,",
    ),
    "duplicate key": (
        "producers/sales.yaml",
        "    csv",
        "    name: x\n    csv",
        "producers/sales.yaml:8:5: `name` stands here twice; mend: keep one of the two",
    ),
    "missing key": (
        "producers/sales.yaml",
        "    location: s3://sales-raw-111111111111/orders/\n",
        "",
        "producers/sales.yaml:5:5: `location` is missing; mend: add `location:`",
    ),
    "wrong type": (
        "consumers/analytics.yaml",
        "domain: [sales]",
        "domain: sales",
        "consumers/analytics.yaml:5:20: a plain value stands where a list was expected; mend: write [sales]",
    ),
    "nothing written": (
        "producers/sales.yaml",
        "sales-data@example.com",
        "",
        "producers/sales.yaml:3:7: nothing is written here",
    ),
    "number for an account": (
        "producers/sales.yaml",
        '"111111111111"',
        "111111111111",
        'stands without quotes: YAML takes it for a number, and loses a leading zero; mend: write "111111111111"',
    ),
    "lost leading zero": ("producers/sales.yaml", '"111111111111"', "11111111111", 'mend: write "011111111111"'),
    "short account": (
        "producers/sales.yaml",
        '"111111111111"',
        '"11111111111"',
        "`11111111111` is not an account id: 12 digits in quotes",
    ),
    "other version": (
        "mesh.yaml",
        "version: 1",
        "version: 2",
        "mesh.yaml:1:10: `2` is not allowed here; mend: write 1, without quotes",
    ),
    "anchor": ("mesh.yaml", "[sales, hr", "&a [sales, hr", "mesh.yaml:3:25: tags (!) and anchors (&) are not allowed"),
    "alias": ("mesh.yaml", "[sales, hr", "[*a, hr", "mesh.yaml:3:26: `*a` is an alias"),
    "tag": ("mesh.yaml", "[sales, hr", "!!set [sales, hr", "tags (!) and anchors (&) are not allowed"),
    "two documents": ("mesh.yaml", "version: 1", "---\n---\nversion: 1", "a second document starts here"),
    "broken YAML": ("mesh.yaml", "unassigned}", "unassigned", "mesh.yaml:4:"),
    "default elsewhere": (
        "mesh.yaml",
        "default: unassigned",
        "default: unasigned",
        "the default `unasigned` is no value of domain; did you mean `unassigned`?",
    ),
    "ordered default": (
        "mesh.yaml",
        "default: unclassified",
        "default: public",
        "sensitivity is ordered, and its default `public` is not its last and strictest value",
    ),
    "equal values": ("mesh.yaml", "[sales, hr", "[sales, Sales, hr", "`Sales` stands among the values of domain twice"),
    "equal keys": (
        "mesh.yaml",
        "  pii:  ",
        "  Domain: {values: [a, b], default: b}\n  pii:  ",
        "the LF-Tag `Domain` is declared twice",
    ),
    "only a default": ("mesh.yaml", "[sales, hr, unassigned]", "[unassigned]", "domain has 1 value"),
    "long value": ("mesh.yaml", "[sales,", f"[{'s' * 51},", "has 51 characters; Lake Formation takes 50"),
    "bad character": ("mesh.yaml", "[sales,", "['sales*',", "a character that Lake Formation does not take: '*'"),
    "conflict elsewhere": (
        "mesh.yaml",
        "default: unknown",
        "default: unknown, conflict: both",
        "`both` is no value of pii",
    ),
    "conflict of ordered": (
        "mesh.yaml",
        "default: unclassified",
        "default: unclassified, conflict: public",
        "sensitivity is ordered, so two raises never conflict",
    ),
    "undefined key": (
        "consumers/analytics.yaml",
        "sensitivity:",
        "sensitivty:",
        "there is no LF-Tag `sensitivty`; did you mean `sensitivity`?",
    ),
    "undefined value": (
        "consumers/analytics.yaml",
        "internal]",
        "intern]",
        "`intern` is no value of the LF-Tag sensitivity; did you mean `internal`?",
    ),
    "default subscribed": ("consumers/analytics.yaml", "internal]", "unclassified]", "no subscription may name it"),
    "key twice": (
        "consumers/analytics.yaml",
        "domain: [sales]",
        "domain: [sales], Domain: [hr]",
        "the LF-Tag `Domain` is given twice",
    ),
    "value twice": ("consumers/analytics.yaml", "[public, internal]", "[public, Public]", "`Public` is given twice"),
    "two kinds of principal": (
        "consumers/analytics.yaml",
        "role: Analyst",
        "role: Analyst\n        user: ann",
        "of role, user, permission_set, whole_account role and user is given; mend: write exactly one",
    ),
    "a unit and outside the organization": (
        "consumers/analytics.yaml",
        "subscriptions:",
        f"organization: external\norganizational_unit: {UNIT}\nsubscriptions:",
        "an account with `organization: external` is in no organizational unit that is shared with; mend: leave out",
    ),
    "no ARN of a unit": (
        "consumers/analytics.yaml",
        "subscriptions:",
        "organizational_unit: ou-exam-readers12\nsubscriptions:",
        "the ARN of an organizational unit",
    ),
    "a whole account with results apart": (
        "consumers/analytics.yaml",
        "subscriptions:",
        "results: apart\nsubscriptions:\n  - {name: all, tags: {domain: [sales]}, principals: [{whole_account: true}]}",
        "`results: apart` needs principals with names, and `whole_account` has none; mend: name the principals",
    ),
    "whole account twice": (
        "consumers/analytics.yaml",
        "role: Analyst",
        "whole_account: true\n      - whole_account: true",
        "the whole_account `true` is already there",
    ),
    "a part of a whole account": (
        "consumers/analytics.yaml",
        "role: Analyst",
        "whole_account: false",
        "`false` is not allowed here; mend: write true, without quotes",
    ),
    "no principal": (
        "consumers/analytics.yaml",
        "role: Analyst",
        "rolle: Analyst",
        "unknown key `rolle`; did you mean `role`?",
    ),
    "an ARN": (
        "consumers/analytics.yaml",
        "role: Analyst",
        "role: 'arn:aws:iam::333333333333:role/Analyst'",
        "is not a name as IAM has it (no ARN",
    ),
    "an ARN of another account": (
        "consumers/analytics.yaml",
        "role: Analyst",
        "role: 'arn:aws:iam::999999999999:role/Analyst'",
        "(no ARN: it is looked up in the consumer's own account",
    ),
    "principal twice": (
        "consumers/analytics.yaml",
        "role: Analyst",
        "role: Analyst\n      - role: analyst",
        "the role `analyst` is already there",
    ),
    "permission": (
        "consumers/analytics.yaml",
        "[SELECT]",
        "[DROP]",
        "`DROP` is not allowed here; mend: write SELECT or DESCRIBE",
    ),
    "location": (
        "producers/sales.yaml",
        "s3://sales-raw-111111111111/orders/",
        "sales-raw/orders",
        "is not a location such as s3://bucket/folder/",
    ),
    "empty folder name": (
        "producers/sales.yaml",
        "/orders/",
        "//orders/",
        "is not a location such as s3://bucket/folder/",
    ),
    "duration": (
        "producers/sales.yaml",
        "csv:",
        "crawl_at_most_every: 15\n    csv:",
        "`15` is not a duration such as 90s, 15m",
    ),
    "default assigned": (
        "producers/sales.yaml",
        "domain: sales",
        "domain: unassigned",
        "`unassigned` is the default of domain: nobody may read it",
    ),
    "decided by rules": (
        "producers/sales.yaml",
        "domain: sales",
        "domain: sales, pii: none",
        "pii is decided for each column by rules (rules/contact.yaml:2)",
    ),
    "csv": (
        "producers/sales.yaml",
        "header: present",
        "header: no",
        "`no` is not allowed here; mend: write present, absent or guess",
    ),
    "same csv characters": (
        "producers/sales.yaml",
        "header: present",
        "delimiter: ';', quote: ';'",
        "delimiter and quote are the same character",
    ),
    "no effect": (
        "rules/contact.yaml",
        "    raise: {pii: contact, sensitivity: confidential}\n",
        "",
        "of raise, clear, assign none is given; mend: write at least one of",
    ),
    "clears to default": (
        "rules/contact.yaml",
        "raise: {pii: contact,",
        "clear: {pii: unknown}\n    raise: {",
        "`unknown` is the default of pii: it clears nothing",
    ),
    "unknown test": (
        "rules/contact.yaml",
        "words_any",
        "word_any",
        "unknown key `word_any`; did you mean `words_any`?",
    ),
    "unknown family": ("rules/contact.yaml", "timestamp,", "datetime,", "`datetime` is not allowed here"),
    "empty condition": (
        "rules/contact.yaml",
        "{column: {words_any: [email, e_mail]}, not: {type: [boolean, timestamp, date]}}",
        "{}",
        "rules/contact.yaml:4:11: of all, any, not,",
    ),
    "slow regex": (
        "rules/contact.yaml",
        "words_any: [email, e_mail]",
        "regex: '(a+)+b'",
        "`(` may not stand there in a regular expression",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_its_place_and_mend(name: str):
    file, old, new, expected = MISTAKES[name]
    found = problems_of(with_file(file, old, new))

    assert any(expected in problem for problem in found), found
    assert any(problem.startswith(f"{file}:") for problem in found)


def test_all_mistakes_of_all_files_are_reported_at_once():
    files = with_file("producers/sales.yaml", "csv:", "cvs:")
    files["consumers/analytics.yaml"] = ANALYTICS.replace("[SELECT]", "[DROP]")
    files["rules/contact.yaml"] = CONTACT.replace("pii: contact", "pii: contct")

    assert {problem.split(":")[0] for problem in problems_of(files)} == set(FILES) - {"mesh.yaml"}


def test_a_file_that_nothing_reads_and_a_missing_mesh_are_refused():
    assert (
        "producer/x.yaml:1:1: nothing reads this file; did you mean `producers`?"
        in problems_of({**FILES, "producer/x.yaml": SALES})[0]
    )
    assert problems_of({"rules/contact.yaml": CONTACT})[0].startswith("mesh.yaml:1:1: the file is missing")
    assert "the file is empty" in problems_of({**FILES, "rules/empty.yaml": "# nothing\n"})[0]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("producers/b.yaml", SALES, "the producer `sales` is already there: producers/b.yaml:1"),
        ("consumers/b.yaml", ANALYTICS, "the consumer `analytics` is already there"),
        ("rules/b.yaml", CONTACT, "the rule `contact.email` is already there: rules/b.yaml:2"),
        (
            "consumers/b.yaml",
            ANALYTICS.replace("analytics", "b").replace("subscriptions:", "results: apart\nsubscriptions:"),
            "consumers/b.yaml:3:10: the consumer `analytics` of the same account has results shared",
        ),
        (
            "consumers/b.yaml",
            ANALYTICS.replace("analytics", "b").replace(
                "subscriptions:", f"organizational_unit: {UNIT}\nsubscriptions:"
            ),
            "consumers/b.yaml:3:22: the consumer `analytics` of the same account has no organizational unit",
        ),
        (
            "producers/b.yaml",
            SALES.replace("producer: sales", "producer: b").replace('111111111111"', '222222222222"'),
            "the bucket sales-raw-111111111111 belongs to account",
        ),
        (
            "producers/b.yaml",
            SALES.replace("producer: sales", "producer: b").replace("/orders/", "/orders/new/"),
            "orders/new/ overlaps s3://sales-raw-111111111111/orders/ (producers/sales.yaml:6)",
        ),
        (
            "producers/b.yaml",
            SALES.replace("producer: sales", "producer: b").replace("/orders/", "/"),
            "s3://sales-raw-111111111111/orders/ overlaps s3://sales-raw-111111111111/ (producers/b.yaml:6)",
        ),
    ],
)
def test_what_collides_with_another_file_is_refused(file: str, text: str, expected: str):
    found = problems_of({**FILES, file: text})

    assert any(expected in problem for problem in found), found


def test_databases_that_collide_once_glue_has_folded_them_are_refused():
    other = SALES.replace("producer: sales", "producer: Sales-Orders").replace("name: orders", "name: x")
    same = SALES.replace("producer: sales", "producer: sales orders").replace("name: orders", "name: X")
    files = {
        "mesh.yaml": MESH,
        "producers/a.yaml": other.replace("/orders/", "/a/"),
        "producers/b.yaml": same.replace("/orders/", "/b/"),
    }

    assert "both become the Glue database sales_orders_x" in problems_of(files)[0]


def test_a_region_that_is_not_the_meshs_is_refused():
    files = {
        **with_file("mesh.yaml", "version: 1", "version: 1\nregion: eu-west-1"),
        "producers/sales.yaml": SALES.replace("owner:", "region: us-east-1\nowner:"),
    }

    assert "Region us-east-1 is not the mesh's, eu-west-1 (mesh.yaml:2)" in problems_of(files)[0]
    assert load({**files, "producers/sales.yaml": SALES}).region == "eu-west-1"


def test_an_expression_is_measured_completed():
    values = ", ".join(f"value-number-{i:03}" for i in range(60))
    files = {**FILES, "mesh.yaml": MESH + f"  team: {{values: [{values}, none], default: none}}\n"}

    assert "completed, the tag expression has" in problems_of(files)[0]
    assert "consumers/analytics.yaml:5:11" in problems_of(files)[0]
    narrow = files["consumers/analytics.yaml"].replace("{domain", "{team: [value-number-001], domain")
    expression = load({**files, "consumers/analytics.yaml": narrow}).consumers[0].subscriptions[0].table_expression
    assert expression_bytes(expression) <= 900


def test_a_consumer_needs_a_key_that_databases_carry():
    assert (
        "no data product assigns an LF-Tag to its database"
        in problems_of(with_file("producers/sales.yaml", "    tags: {domain: sales}", "    owner: x"))[0]
    )


def test_a_database_may_not_open_what_nobody_classified():
    files = {
        "mesh.yaml": "version: 1\nlf_tags:\n  domain: {values: [sales, none], default: none}\n",
        "producers/sales.yaml": SALES,
    }

    assert "every LF-Tag is assigned to the database" in problems_of(files)[0]


OVERRIDE = """\
overrides:
  - data_product: sales/orders
    table: Orders
    column: note
    tags: {pii: none}
    author: ann@example.com
    reason: holds article numbers
"""


def test_an_override_names_what_exists_and_is_decided_for_columns():
    governance = load({**FILES, "overrides/sales.yaml": OVERRIDE})
    assert (governance.overrides[0].table, governance.overrides[0].tags) == ("orders", (("pii", "none"),))

    for old, new, expected in [
        ("sales/orders", "sales/order", "there is no data product `sales/order`; did you mean `sales/orders`?"),
        ("pii: none", "domain: hr", "the data product sales/orders assigns domain to its database"),
        ("    reason: holds article numbers\n", "", "`reason` is missing"),
        ("pii: none", "pii: nothing", "`nothing` is no value of the LF-Tag pii"),
    ]:
        found = problems_of({**FILES, "overrides/sales.yaml": OVERRIDE.replace(old, new)})
        assert any(expected in problem for problem in found), found
    twice = OVERRIDE + OVERRIDE.removeprefix("overrides:\n")
    assert (
        "an override of pii for sales/orders.orders.note is already there"
        in problems_of({**FILES, "overrides/sales.yaml": twice})[0]
    )


# ---- Properties ---------------------------------------------------------------------


@given(st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_files_and_of_rules_makes_no_difference(shuffle: random.Random, split: bool):
    rules = [CONTACT.removeprefix("rules:\n").replace("contact.email", f"rule.{i}") for i in range(5)]
    shuffle.shuffle(rules)
    files = {
        **FILES,
        "rules/contact.yaml": "rules:\n" + "".join(rules[:3]),
        "rules/b.yaml": "rules:\n" + "".join(rules[3:]),
    }
    if not split:
        files = {**FILES, "rules/contact.yaml": "rules:\n" + "".join(rules)}
    names = list(files)
    shuffle.shuffle(names)
    governance = load({name: files[name] for name in names})

    assert [rule.id for rule in governance.rules] == [f"rule.{i}" for i in range(5)]
    assert governance.digest == digest_of(files)
    assert governance.consumers == load(FILES).consumers


@settings(max_examples=120, deadline=None)
@given(st.sampled_from([*FILES, "overrides/o.yaml", "producers/new.yaml", "x"]), st.text(max_size=200))
def test_any_text_loads_or_is_refused(file: str, text: str):
    try:
        load({**FILES, file: text})
    except GovernanceError as error:
        assert error.problems


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_damage_to_good_files_loads_or_is_refused(data: st.DataObject):
    files = {**FILES, "overrides/sales.yaml": OVERRIDE}
    file = data.draw(st.sampled_from(sorted(files)))
    text = files[file]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    pieces = st.sampled_from(
        ["", "[", "]", "{", "}", ": ", "- ", "\n", "'", "&a ", "*a", "!!x ", "null", "~", "0", "é", "\t"]
    )
    files[file] = text[:start] + data.draw(pieces | st.text(max_size=5)) + text[end:]
    try:
        load(files)
    except GovernanceError as error:
        assert error.problems


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "- " * 100_000, "{a: " * 50_000, "a: \x00", "a: \ud800", "%YAML 9\n---\na"]
)
def test_hostile_yaml_is_refused_at_once(text: str):
    problems_of({**FILES, "mesh.yaml": text})


keys_of_values = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=6, unique=True)


@given(st.lists(keys_of_values, min_size=1, max_size=4), st.data())
def test_a_completed_expression_has_every_key_and_never_a_default(keys: list[list[str]], data: st.DataObject):
    lf_tags = {"domain": ["d", "none"]} | {f"k{i}": values for i, values in enumerate(keys)}
    defaults = {name: data.draw(st.sampled_from(values)) for name, values in lf_tags.items()} | {"domain": "none"}
    named = {
        name: data.draw(st.lists(st.sampled_from([v for v in values if v != defaults[name]]), min_size=1, unique=True))
        for name, values in lf_tags.items()
        if data.draw(st.booleans())
    } or {"domain": ["d"]}
    mesh = {"version": 1, "lf_tags": {n: {"values": v, "default": defaults[n]} for n, v in lf_tags.items()}}
    governance = load(
        {
            "mesh.yaml": yaml.safe_dump(mesh),
            "producers/sales.yaml": SALES.replace("domain: sales", "domain: d"),
            "consumers/c.yaml": ANALYTICS.replace(
                "{domain: [sales], sensitivity: [public, internal]}", json.dumps(named)
            ),
        }
    )
    expression = governance.consumers[0].subscriptions[0].table_expression

    assert [key for key, _ in expression] == [key.name for key in governance.lf_tags]
    for key, values in expression:
        assert defaults[key] not in values
        assert set(values) == set(named.get(key, [v for v in lf_tags[key] if v != defaults[key]]))


# ---- The JSON Schema and the reference ----------------------------------------------


def schema() -> dict:
    return json.loads((ROOT / "docs/governance.schema.json").read_text())


def test_the_published_schema_is_the_loaders_own():
    assert schema() == governance_shapes.json_schema(), "write it with python -m tagmesh.governance_shapes"


def test_the_schema_accepts_what_loads_and_refuses_unknown_keys():
    validator = Draft202012Validator(schema())
    Draft202012Validator.check_schema(schema())

    for text in [*FILES.values(), OVERRIDE, *(read_folder(ROOT / "mesh").values())]:
        validator.validate(yaml.safe_load(text))
    for file, text in FILES.items():
        assert not validator.is_valid(yaml.safe_load(text) | {"surprise": 1}), file


def examples_of_the_reference() -> list[tuple[str, dict[str, str]]]:
    """(heading, files) of each section of docs/governance.md: its yaml blocks, named by their first line."""
    sections = re.split(r"^## ", (ROOT / "docs/governance.md").read_text(), flags=re.MULTILINE)[1:]
    found = []
    for section in sections:
        blocks = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
        if blocks:
            found.append((section.splitlines()[0], dict(blocks)))
    return found


def test_every_example_of_the_reference_loads():
    examples = examples_of_the_reference()
    together = {file: text for _, files in examples for file, text in files.items()}

    assert {file.split("/")[0] for file in together} == {"mesh.yaml", "producers", "consumers", "rules", "overrides"}
    assert load(together).data_products


def test_the_reference_names_every_field():
    reference = (ROOT / "docs/governance.md").read_text()
    definitions = schema()["$defs"]

    def names(node: object) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(names, node)) if node else set()
        if not isinstance(node, dict):
            return set()
        return set(node.get("properties", ())) | set().union(*map(names, node.values()), set())

    missing = {name for name in names(definitions) if f"`{name}`" not in reference}
    assert not missing


@pytest.mark.parametrize(
    ("principal", "arn", "named"),
    [
        (Principal("role", "Analyst"), "arn:aws:iam::333333333333:role/Analyst", True),
        (Principal("role", "team/Analyst"), "arn:aws:iam::333333333333:role/team/Analyst", True),
        (EVERYBODY, "333333333333:IAMPrincipals", True),
        (EVERYBODY, "arn:aws:iam::333333333333:role/Analyst", False),
        (Principal("role", "Analyst"), "arn:aws:iam::333333333333:role/Analyst2", False),
        (Principal("role", "Analyst"), "arn:aws:iam::333333333333:user/Analyst", False),
        (Principal("user", "ann"), "arn:aws:iam::333333333333:user/ann", True),
        (
            Principal("permission_set", "DataAnalyst"),
            "arn:aws:iam::333333333333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_DataAnalyst_0123456789abcdef",
            True,
        ),
        (
            Principal("permission_set", "Data"),
            "arn:aws:iam::333333333333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_DataAnalyst_0123456789abcdef",
            False,
        ),
    ],
)
def test_a_principal_is_known_by_its_arn(principal, arn, named):
    assert principal.is_named_by(arn) is named


def test_a_whole_account_includes_whoever_is_in_it():
    arn = "arn:aws:iam::333333333333:role/Analyst"

    assert EVERYBODY.includes(arn) and Principal("role", "Analyst").includes(arn)
    assert not Principal("role", "Analyst2").includes(arn)
