"""Many events, many accounts, many pages, and events that lie."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from convergence.ends import holds
from convergence.histories import MESH_FILE, TYPES, Exposure, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.governance import load
from tagmesh.uploads import sort_uploads

PRODUCTS, FOLDERS = 10, 4


def many_products(count: int, consumers: int = 1) -> dict[str, str]:
    """Governance files with so many data products of one producer, and consumers each with an account of its own."""
    files = {"mesh.yaml": MESH_FILE, "rules/all.yaml": Wanted().files()["rules/all.yaml"]}
    listed = "\n".join(
        f"  - {{name: p{n:04d}, location: 's3://sales-raw/p{n:04d}/', tags: {{domain: sales}}}}" for n in range(count)
    )
    head = 'producer: sales\naccount: "111111111111"\nowner: a@example.com\ndata_products:\n'
    files["producers/sales.yaml"] = f"{head}{listed}\n"
    for n in range(consumers):
        files[f"consumers/c{n:03d}.yaml"] = (
            f'consumer: c{n:03d}\naccount: "{300_000_000_000 + n}"\nowner: a@example.com\nsubscriptions:\n'
            "  - {name: open, tags: {domain: [sales], sensitivity: [public, internal], pii: [none]}, "
            "principals: [{role: Analyst}]}\n"
        )
    return files


@pytest.mark.slow
def test_ten_thousand_events_lost_doubled_and_shuffled_come_to_what_clean_ones_do():
    chance = random.Random(1)
    files = many_products(PRODUCTS)
    products = load(files).data_products
    uploads = [
        (chance.choice(products), f"f{chance.randrange(FOLDERS)}", tuple(chance.sample(list(TYPES.items()), 3)))
        for _ in range(4_200)  # of which 10,000 events tell
    ]

    def ended(*, clean: bool) -> tuple[set, dict]:
        with MeshInProcess() as mesh:
            if not clean:
                Exposure(mesh)
            mesh.apply(files)
            mesh.settle()
            for number, (product, folder, schema) in enumerate(uploads):
                told = 1 if clean else 0 if chance.random() < 0.2 else chance.randint(1, 5)
                mesh.upload(product, folder, schema, told=told)
                if number % 500 == 499:
                    if not clean:
                        chance.shuffle(mesh.events)
                    mesh.settle()
                    mesh.wait(100)
            mesh.settle()
            mesh.wait(1000)
            mesh.sweep()
            holds(mesh, load(files))
            ledger = {key: item for key, item in mesh.tables.items("ledger").items() if not key[0].startswith("hist")}
            made = {key: _lasting(json.loads(item["entry"]["S"])) for key, item in ledger.items()}
            return mesh.readable(), made

    read, made = ended(clean=False)
    assert (read, made) == ended(clean=True)
    assert read


def _lasting(entry: dict) -> dict:
    """What of a ledger entry does not tell when it was made, or by which of several runs."""
    detail = {key: value for key, value in entry["detail"].items() if key not in ("token", "whole", "unfinished")}
    return {"kind": entry["kind"], "why": entry["why"], "version": entry["version"], "detail": detail}


@pytest.mark.slow
def test_one_of_two_hundred_accounts_that_cannot_be_entered_is_one_finding_and_stops_nobody():
    files = many_products(1, consumers=200)
    governance = load(files)
    (product,) = governance.data_products
    lost = governance.consumers[77]
    with MeshInProcess() as mesh:
        mesh.unreachable.add(lost.account)
        mesh.apply(files)
        mesh.settle()
        mesh.upload(product, "first", tuple(TYPES.items()))
        mesh.settle()

        read = {principal.split(":")[4] for principal, _, _ in mesh.queryable()}
        found = [
            (key[0], finding["code"])
            for key, item in mesh.tables.items("units").items()
            for finding in json.loads(item.get("findings", {"S": "[]"})["S"])
        ]
        assert read == {consumer.account for consumer in governance.consumers} - {lost.account}
        assert found == [(lost.unit, "consumer-not-reachable")]


@pytest.mark.slow
@pytest.mark.parametrize(("products", "tables"), [(1, 0), (1, 1), (1, 99), (1, 100), (1, 101), (10, 1000)])
def test_any_number_of_tables_is_published_exactly_and_one_that_drifts_is_found(products, tables):
    files = many_products(products)
    with MeshInProcess() as mesh:
        mesh.apply(files)
        mesh.settle()
        for product in load(files).data_products:
            for number in range(tables):
                mesh.upload(product, f"t{number:05d}", (("amount", "float64"), ("email", "string")), told=number == 0)
        mesh.settle()

        assert {(table, column) for _, table, column in mesh.readable()} == {
            (f"sales_p{product:04d}.t{number:05d}", "amount") for product in range(products) for number in range(tables)
        }
        holds(mesh, load(files))
        if tables:
            last = {
                "DatabaseName": f"sales_p{products - 1:04d}",
                "Name": f"t{tables - 1:05d}",
                "ColumnNames": ["email"],
            }
            opened = [
                {"TagKey": key, "TagValues": [value]} for key, value in (("sensitivity", "public"), ("pii", "none"))
            ]
            lf = mesh.client("lakeformation", mesh.automation)
            lf.add_lf_tags_to_resource(Resource={"TableWithColumns": last}, LFTags=opened)
            assert any(column == "email" for _, _, column in mesh.readable())
            mesh.sweep()
            holds(mesh, load(files))


def test_none_of_a_thousand_forged_events_counts():
    """One right event, changed in every way that somebody outside could try."""
    governance = load(Wanted().files())
    product = governance.data_products[0]
    right = {
        "id": "e", "source": "aws.s3", "detail-type": "Object Created", "account": product.account,
        "detail": {"bucket": {"name": product.bucket}, "object": {"key": f"{product.prefix}first/a.csv"}},
    }  # fmt: skip
    chance = random.Random(0)
    accounts = ["111111111112", "", "1" * 13, "*", product.account + " ", "555555555555", None, 111111111111, [], {}]
    buckets = ["sales-raw2", "SALES-RAW", "sales-raw/", "*", "", "sales-raw ", None, 7, ["sales-raw"], {"a": 1}]
    keys = ["", "/", "order/first/a.csv", "/orders/first/a.csv", "ORDERS/first/a.csv", None, 3, [], "../orders/first/a"]
    sources = ["aws.s3 ", "AWS.S3", "tagmesh", "", None, "aws.glue"]
    kinds = ["Object Created ", "Object Restore Completed", "", None, "object created"]

    def forged() -> str:
        event = json.loads(json.dumps(right))
        which = chance.choice(["account", "bucket", "key", "source", "kind", "shape", "text"])
        if which == "account":
            event["account"] = chance.choice(accounts)
        elif which == "bucket":
            event["detail"]["bucket"]["name"] = chance.choice(buckets)
        elif which == "key":
            event["detail"]["object"]["key"] = chance.choice(keys)
        elif which == "source":
            event["source"] = chance.choice(sources)
        elif which == "kind":
            event["detail-type"] = chance.choice(kinds)
        elif which == "shape":
            del event[chance.choice(list(event))]
        else:
            text = json.dumps(event)
            return text[: chance.randrange(len(text) - 1)]
        return json.dumps(event)

    records = [{"messageId": str(number), "body": forged()} for number in range(1000)]
    counted, refused = sort_uploads(governance, records)
    assert counted == {}
    assert refused
    assert all(finding.mend for finding in refused)
    assert sort_uploads(governance, [{"messageId": "0", "body": json.dumps(right)}])[0].keys() == {product}


def test_the_age_of_the_oldest_work_counts_from_when_it_was_due():
    import sweep_mesh
    from tagmesh.aws.units import Unit

    governance = load(Wanted().files())
    product = governance.data_products[0]
    waiting = Unit(product.unit, dirty=2, done=1, asked_at=1000.0, crawled_at=900.0)
    soon = 900.0 + product.crawl_at_most_every

    def oldest(unit: Unit, now: float) -> float:
        return sweep_mesh.oldest_work(governance, {unit.name: unit}, now)

    assert oldest(waiting, soon - 1) == 0
    assert oldest(waiting, soon + 30) == 30
    assert oldest(replace(waiting, hurry=True), 1030.0) == 30
    assert oldest(replace(waiting, done=2), soon + 30) == 0
    assert oldest(replace(waiting, name="data_product/gone/gone"), soon + 30) == 0
    assert oldest(Unit(governance.consumers[0].unit, dirty=1, asked_at=1000.0), 1500.0) == 500
