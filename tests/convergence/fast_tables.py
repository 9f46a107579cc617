"""DynamoDB's items and conditions for the expressions that our code sends, without a parser that knows them all.

Moto parses and copies for about a millisecond a write; a million uploads need less. The same conditions are evaluated,
in the same step as the write: test_fast_tables.py holds the answers to moto's. Other expressions are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from local_aws.access.identity import Caller
from local_aws.wire import AwsError

Item = dict[str, dict[str, Any]]
Values = dict[str, dict[str, Any]]
KEYS = {"units": ("unit",), "ledger": ("unit", "made")}


class FastTables:
    """DynamoDB: table -> key -> item, as typed values. Items are replaced, never changed."""

    def __init__(self) -> None:
        self._items: dict[str, dict[tuple[str, ...], Item]] = {name: {} for name in KEYS}
        self._by_unit: dict[str, dict[tuple[str, ...], Item]] = {}
        """The ledger's items, by unit."""

    def items(self, table: str) -> dict[tuple[str, ...], Item]:
        """Every item of a table, by its key."""
        return dict(self._items[table])

    def GetItem(self, caller: Caller, TableName: str, Key: Item, ConsistentRead: bool) -> dict:
        item = self._items[TableName].get(_key(TableName, Key))
        return {"Item": item} if item else {}

    def PutItem(self, caller: Caller, TableName: str, Item: Item, **condition: Any) -> dict:
        key = _key(TableName, Item)
        if not self._holds(TableName, key, condition):
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed")
        self._put(TableName, key, Item)
        return {}

    def TransactWriteItems(self, caller: Caller, TransactItems: list[dict[str, dict[str, Any]]]) -> dict:
        """Puts and updates of several items: all, or none where a condition does not hold."""
        kinds = {"Put": self.PutItem, "Update": self.UpdateItem}
        for each in TransactItems:
            ((kind, request),) = each.items()
            if kind not in kinds or ("ConditionExpression" in request and kind != "Put"):
                raise NotImplementedError(f"a transaction with {each}")
            if kind == "Put" and not self._holds(
                request["TableName"], _key(request["TableName"], request["Item"]), request
            ):
                raise AwsError("TransactionCanceledException", "Transaction cancelled [ConditionalCheckFailed, None]")
        for each in TransactItems:
            ((kind, request),) = each.items()
            kinds[kind](caller, **request)
        return {}

    def _holds(self, table: str, key: tuple[str, ...], request: dict[str, Any]) -> bool:
        condition, values = request.get("ConditionExpression"), request.get("ExpressionAttributeValues") or {}
        item = self._items[table].get(key) or {}
        return not condition or _condition(condition)(item, request["ExpressionAttributeNames"], values)

    def DeleteItem(self, caller: Caller, TableName: str, Key: Item, **condition: Any) -> dict:
        key = _key(TableName, Key)
        if condition:
            names, values = condition["ExpressionAttributeNames"], condition["ExpressionAttributeValues"]
            if not _condition(condition["ConditionExpression"])(self._items[TableName].get(key) or {}, names, values):
                raise AwsError("ConditionalCheckFailedException", "The conditional request failed")
        self._items[TableName].pop(key, None)
        self._by_unit.get(key[0], {}).pop(key, None)
        return {}

    def UpdateItem(self, caller: Caller, **request: Any) -> dict:
        table, names = request["TableName"], request["ExpressionAttributeNames"]
        key, values = _key(table, request["Key"]), request.get("ExpressionAttributeValues") or {}
        before = self._items[table].get(key)
        condition = request.get("ConditionExpression")
        if condition and not _condition(condition)(before or {}, names, values):
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed")
        after = {**(before or request["Key"])}
        for name, value in _update(request["UpdateExpression"])(before or {}, names, values):
            if value is None:
                after.pop(name, None)
            else:
                after[name] = value
        self._put(table, key, after)
        return {"Attributes": after} if request.get("ReturnValues") == "ALL_NEW" else {}

    def Query(self, caller: Caller, TableName: str, ExpressionAttributeValues: Values, **_: Any) -> dict:
        (wanted,) = (value["S"] for value in ExpressionAttributeValues.values())
        return {"Items": [item for _, item in sorted(self._by_unit.get(wanted, {}).items())]}

    def Scan(self, caller: Caller, TableName: str, ConsistentRead: bool) -> dict:
        return {"Items": list(self._items[TableName].values())}

    def _put(self, table: str, key: tuple[str, ...], item: Item) -> None:
        self._items[table][key] = item
        if table == "ledger":
            self._by_unit.setdefault(key[0], {})[key] = item


def _key(table: str, item: Item) -> tuple[str, ...]:
    return tuple([item[name]["S"] for name in KEYS[table]])


# -- expressions ---------------------------------------------------------------------------------------------------

Names = dict[str, str]
Operand = Callable[[Item, Names, Values], dict[str, Any] | None]
"""The value of a part of an expression, or None where the item has none."""


@cache
def _condition(text: str) -> Callable[[Item, Names, Values], bool]:
    parts = [_comparison(part) for part in text.split(" OR ")]
    return lambda item, names, values: any(part(item, names, values) for part in parts)


def _comparison(text: str) -> Callable[[Item, Names, Values], bool]:
    if matched := re.fullmatch(r"attribute_not_exists\((#\w+)\)", text):
        name = matched[1]
        return lambda item, names, values: names[name] not in item
    if matched := re.fullmatch(r"(#\w+) IN \((:\w+(?:, :\w+)*)\)", text):
        own, members = _operand(matched[1]), [_operand(each) for each in matched[2].split(", ")]
        return lambda item, names, values: any(
            _equal(own(item, names, values), member(item, names, values)) for member in members
        )
    if matched := re.fullmatch(r"(#\w+) (=|<) (:\w+)", text):
        left, right = _operand(matched[1]), _operand(matched[3])
        if matched[2] == "=":
            return lambda item, names, values: _equal(left(item, names, values), right(item, names, values))
        return lambda item, names, values: _less(left(item, names, values), right(item, names, values))
    raise NotImplementedError(f"condition {text!r}")


def _equal(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    if one is None or other is None or one.keys() != other.keys():
        return False
    return Decimal(one["N"]) == Decimal(other["N"]) if "N" in one else one == other


def _less(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    return one is not None and other is not None and Decimal(one["N"]) < Decimal(other["N"])


@cache
def _update(text: str) -> Callable[[Item, Names, Values], list[tuple[str, dict[str, Any] | None]]]:
    """What an UpdateExpression makes of an item: (attribute, its value, or None where it is removed)."""
    matched = re.fullmatch(
        r"(?:SET (?P<set>.+?))?(?: ?REMOVE (?P<gone>#\w+(?:, #\w+)*))?"
        r"(?: ?ADD (?P<add>#\w+) (?P<by>:\w+)(?:, (?P<put>#\w+) (?P<more>:\w+))?)?"
        r"(?: DELETE (?P<take>#\w+) (?P<less>:\w+))?",
        text,
    )
    if not matched or not text:
        raise NotImplementedError(f"update {text!r}")
    assigned = []
    for each in re.split(r", (?=#\w+ = )", matched["set"]) if matched["set"] else ():
        name, _, value = each.partition(" = ")
        assigned.append((name, _sum(value)))
    if matched["add"]:
        assigned.append((matched["add"], _plus(_operand(matched["add"]), _operand(matched["by"]), from_nothing=True)))

    def update(item: Item, names: Names, values: Values) -> list[tuple[str, dict[str, Any] | None]]:
        gone = matched["gone"].split(", ") if matched["gone"] else []
        found: list[tuple[str, dict[str, Any] | None]] = [(names[name], None) for name in gone]
        for name, operand in assigned:
            value = operand(item, names, values)
            if value is None:
                raise AwsError(
                    "ValidationException", "The provided expression refers to an attribute that is not there"
                )
            found.append((names[name], value))
        if matched["put"]:
            found.append(_members(item, names[matched["put"]], values[matched["more"]]["SS"], more=True))
        if matched["take"]:
            found.append(_members(item, names[matched["take"]], values[matched["less"]]["SS"], more=False))
        return found

    return update


def _members(item: Item, name: str, members: list[str], *, more: bool) -> tuple[str, dict[str, Any] | None]:
    """A set of strings with these, or without; without any member it is gone."""
    before = set(item.get(name, {"SS": []})["SS"])
    after = before | set(members) if more else before - set(members)
    return name, {"SS": sorted(after)} if after else None


def _sum(text: str) -> Operand:
    left, plus, right = text.partition(" + ")
    return _plus(_operand(left), _operand(right)) if plus else _operand(left)


def _plus(left: Operand, right: Operand, *, from_nothing: bool = False) -> Operand:
    def added(item: Item, names: Names, values: Values) -> dict[str, Any] | None:
        one, other = left(item, names, values), right(item, names, values)
        if one is None and from_nothing:
            return other
        return None if one is None or other is None else {"N": str(Decimal(one["N"]) + Decimal(other["N"]))}

    return added


def _operand(text: str) -> Operand:
    if re.fullmatch(r"#\w+", text):
        return lambda item, names, values: item.get(names[text])
    if re.fullmatch(r":\w+", text):
        return lambda item, names, values: values[text]
    if matched := re.fullmatch(r"if_not_exists\((#\w+), (:\w+)\)", text):
        own, otherwise = _operand(matched[1]), _operand(matched[2])
        return lambda item, names, values: own(item, names, values) or otherwise(item, names, values)
    raise NotImplementedError(f"operand {text!r}")
