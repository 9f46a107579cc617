"""The fast double of DynamoDB answers as moto does, whatever our code asks of both."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from convergence.doubles import CENTRAL, REGION
from convergence.fast_tables import FastTables
from convergence.mesh_in_process import MeshInProcess
from moto.dynamodb.exceptions import AttributeDoesNotExist, ConditionalCheckFailed, TransactionCanceledException
from moto.dynamodb.models import dynamodb_backends
from tagmesh.approvals import Decision, Record
from tagmesh.aws import approval_store, governance_store, ledger, units

from local_aws.access.identity import Caller
from local_aws.wire import AwsError

CALLER = Caller(CENTRAL, REGION, "arn:aws:iam::555555555555:role/tagmesh-automation", "test")
UNITS = ("data_product/sales/orders", "consumer/analytics")
PHASES = ("preparing", "crawling", "waiting", "publishing", "idle")


def comparable(answer: Any) -> Any:
    """An answer with numbers as numbers, and lists of items in order."""
    if isinstance(answer, dict):
        if set(answer) == {"N"}:
            return Decimal(answer["N"])
        if set(answer) == {"SS"}:
            return sorted(answer["SS"])
        return {key: comparable(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return sorted((comparable(each) for each in answer), key=repr)
    return answer


class MotoTables:
    """DynamoDB: moto's own backend, without the way to it over HTTP."""

    def __init__(self) -> None:
        self.backend = dynamodb_backends[CENTRAL][REGION]
        for name, keys in (("units", ["unit"]), ("ledger", ["unit", "made"])):
            self.backend.create_table(
                name,
                attr=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                schema=[
                    {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                billing_mode="PAY_PER_REQUEST",
                throughput=None,
                indexes=None,
                global_indexes=None,
                streams=None,
                sse_specification=None,
                tags=[],
                deletion_protection_enabled=False,
                warm_throughput=None,
            )

    def items(self, table: str) -> dict[tuple[str, ...], dict[str, Any]]:
        """Every item of a table, by its key."""
        found = self.backend.get_table(table)
        keys = [key for key in (found.hash_key_attr, found.range_key_attr) if key]
        items = [item.to_json()["Attributes"] for item in found.all_items()]
        return {tuple(item[key]["S"] for key in keys): item for item in items}

    def GetItem(self, caller: Caller, TableName: str, Key: dict, ConsistentRead: bool) -> dict:
        item = self.backend.get_item(TableName, Key)
        return {"Item": item.to_json()["Attributes"]} if item else {}

    def PutItem(self, caller: Caller, TableName: str, Item: dict, **condition: Any) -> dict:
        try:
            self.backend.put_item(
                TableName,
                Item,
                condition_expression=condition.get("ConditionExpression"),
                expression_attribute_names=condition.get("ExpressionAttributeNames"),
                expression_attribute_values=condition.get("ExpressionAttributeValues"),
            )
        except ConditionalCheckFailed as failed:
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed") from failed
        return {}

    def TransactWriteItems(self, caller: Caller, TransactItems: list[dict]) -> dict:
        try:
            self.backend.transact_write_items(TransactItems)
        except TransactionCanceledException as cancelled:
            raise AwsError("TransactionCanceledException", "cancelled") from cancelled
        return {}

    def DeleteItem(self, caller: Caller, TableName: str, Key: dict, **condition: Any) -> dict:
        try:
            self.backend.delete_item(
                TableName,
                Key,
                condition.get("ExpressionAttributeNames"),
                condition.get("ExpressionAttributeValues"),
                condition.get("ConditionExpression"),
            )
        except ConditionalCheckFailed as failed:
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed") from failed
        return {}

    def UpdateItem(self, caller: Caller, **request: Any) -> dict:
        try:
            item = self.backend.update_item(
                request["TableName"],
                request["Key"],
                request["UpdateExpression"],
                request["ExpressionAttributeNames"],
                request.get("ExpressionAttributeValues") or {},
                condition_expression=request.get("ConditionExpression"),
            )
        except ConditionalCheckFailed as failed:
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed") from failed
        return {"Attributes": item.to_json()["Attributes"]} if request.get("ReturnValues") == "ALL_NEW" else {}

    def Query(self, caller: Caller, TableName: str, ExpressionAttributeValues: dict, **_: Any) -> dict:
        (wanted,) = (value["S"] for value in ExpressionAttributeValues.values())
        units = self.backend.get_table(TableName).items
        found = [item for unit, items in units.items() if unit.value == wanted for item in items.values()]
        items = [item.to_json()["Attributes"] for item in found]
        return {"Items": sorted(items, key=lambda item: item["made"]["S"])}

    def Scan(self, caller: Caller, TableName: str, ConsistentRead: bool) -> dict:
        return {"Items": list(self.items(TableName).values())}


class Both:
    """Two doubles that are asked the same; they must say the same."""

    def __init__(self, slow: MotoTables) -> None:
        self.slow, self.fast = slow, FastTables()
        self.refused = 0

    def __getattr__(self, operation: str) -> Any:
        def ask(caller: Caller, **request: Any) -> dict:
            answers = [self._ask(double, operation, request) for double in (self.slow, self.fast)]
            assert comparable(answers[0]) == comparable(answers[1]), (operation, request)
            if "error" in answers[1]:
                self.refused += 1
                raise AwsError(answers[1]["error"], "refused")
            return answers[1]

        return ask

    @staticmethod
    def _ask(double: Any, operation: str, request: dict) -> dict:
        try:
            return getattr(double, operation)(CALLER, **request)
        except AwsError as error:
            return {"error": error.code}
        except AttributeDoesNotExist:
            return {"error": "ValidationException"}


def some_step(chance: random.Random, dynamodb: Any, clock: Any, leases: list[units.Lease]) -> None:
    """One thing that deployed code does to an item, mostly with an old lease or at the wrong moment."""
    name = chance.choice(UNITS)
    lease = chance.choice(leases) if leases else units.Lease(name, 1)
    step = chance.randrange(20)
    if step == 0:
        units.request(dynamodb, name, f"id-{chance.random()}", hurry=chance.random() < 0.5)
    elif step in (1, 2):
        taken = units.acquire(dynamodb, name, chance.choice(PHASES))
        leases += [taken] if taken else []
    elif step == 3:
        taken = units.take_over(dynamodb, name, chance.sample(PHASES, chance.randint(1, 2)), "publishing")
        leases += [units.Lease(name, taken.token)] if taken else []
    elif step == 4:
        units.note(dynamodb, lease, "preparing")
    elif step == 5:
        units.crawling(dynamodb, lease, chance.sample("abc", 2), "objects", [], 1.5)
    elif step in (6, 7):
        units.finish(dynamodb, lease, covered=chance.random() < 0.5, findings=[], tables=["t"], failures=0)
    elif step == 8:
        units.advance(dynamodb, lease, "waiting", units.CRAWL_SECONDS, tagged={"BOOL": True})
    elif step == 9:
        units.release(dynamodb, lease)
    elif step == 10:
        governance_store._note(dynamodb, "version", chance.choice("vw"), chance.choice((None, "", "v", "w")))
    elif step == 11:
        ledger.record(dynamodb, name, chance.choice("ab"), "kind", {"n": chance.random()}, "why", "v")
    elif step == 12:
        units.begin_changes(dynamodb, lease, "sharing", units.Unit(name, version=chance.choice(("", "v"))), "w")
    elif step == 13:
        units.doubt(dynamodb, name)
    elif step == 14:
        ledger.forget(dynamodb, name, chance.choice("ab"))
    elif step == 15:
        units.forget_crawls(dynamodb, lease, "publishing")
    elif step == 16:
        units.remove(dynamodb, lease)
    elif step in (17, 18):
        records = approval_store.read_all(dynamodb)
        key = chance.choice(("one", "two"))
        before = chance.choice((None, records.get(key), Record("a/b", token=str(chance.random()))))
        if step == 17:
            approval_store._put(dynamodb, key, before, Record("a/b", attempt=chance.randrange(9)))
        else:
            decision = Decision(chance.random() < 0.5, "arn:aws:iam::555555555555:user/somebody", 1, "v")
            approval_store._put_in_force(dynamodb, key, before, Record("a/b", decisions=(decision,)))
        governance_store.approved(dynamodb)
    else:
        units.read_all(dynamodb)
        ledger.made_by(dynamodb, name)
        clock.wait(chance.choice((1, 500, 1000)))


@pytest.mark.parametrize("seed", range(5))
def test_whatever_our_code_asks_both_answer_the_same(seed: int):
    chance = random.Random(seed)
    with MeshInProcess() as mesh:
        mesh._doubles["dynamodb"] = both = Both(MotoTables())
        dynamodb = mesh.client("dynamodb")
        leases: list[units.Lease] = []
        lost = 0
        for _ in range(300):
            try:
                some_step(chance, dynamodb, mesh, leases)
            except units.LeaseLost:
                lost += 1
            except mesh.client("dynamodb").exceptions.ClientError as error:
                assert "ValidationException" in str(error)  # a note of what was never asked
        assert lost > 10, "conditions that fail were hardly asked"
        assert both.refused > lost, "nor was anything else refused"
        for table in ("units", "ledger"):
            assert comparable(both.slow.items(table)) == comparable(both.fast.items(table))


@pytest.mark.parametrize(
    ("update", "condition"),
    [
        ("DELETE #a :b SET #a = :b", None),
        ("SET #a = list_append(#a, :b)", None),
        ("SET #a = :b", "begins_with(#a, :b)"),
    ],
)
def test_an_expression_of_another_form_is_refused(update: str, condition: str | None):
    request = {"UpdateExpression": update, "ExpressionAttributeNames": {"#a": "a"}}
    values = {"ExpressionAttributeValues": {":b": {"S": "b"}}}
    with pytest.raises(NotImplementedError):
        FastTables().UpdateItem(
            CALLER,
            TableName="units",
            Key={"unit": {"S": "u"}},
            **request,
            **values,
            **({"ConditionExpression": condition} if condition else {}),
        )
