"""What policy documents of IAM, S3 and Glue say, statement by statement. Pure.

[IAM user guide, "IAM JSON policy elements reference"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any


def is_like(name: str, pattern: str) -> bool:
    """Whether a pattern means a name; IAM knows `*` and `?`, and no sets of characters."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def are_like(name: str, patterns: Any) -> bool:
    """Whether one of an element's patterns means a name: an ARN or a value, upper and lower case told apart."""
    return any(is_like(name, str(each)) for each in as_list(patterns))


def name_action(action: str, patterns: Any) -> bool:
    """Whether one of an element's patterns means an action, written in any case."""
    return any(is_like(action.lower(), str(each).lower()) for each in as_list(patterns))


def statements(policy: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The statements of a document; none of one that is not there."""
    return as_list(policy.get("Statement")) if policy else []


def as_list(value: Any) -> list[Any]:
    """The values of an element, which may be one alone, or missing."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def reads_below(statement: Mapping[str, Any], place: str) -> bool:
    """Whether a statement may be about reading objects below ``bucket/prefix``. Who may read versions reads objects of
    any bucket: those without versions have the version "null"."""

    reading = ("s3:getobject", "s3:getobjectversion")
    if "NotAction" in statement:
        reads = not all(name_action(action, statement["NotAction"]) for action in reading)
    else:
        reads = any(name_action(action, statement.get("Action")) for action in reading)
    return reads and any(_meets(str(each), place) for each in as_list(statement.get("Resource", "*")))


def _meets(pattern: str, place: str) -> bool:
    """Whether an ARN with wildcards may be one of an object below ``bucket/prefix``."""
    of_s3 = re.fullmatch(r"arn:[\w-]+:s3:::(.*)", re.sub(r"\$\{[^}]*\}", "*", pattern))
    if of_s3 is None:
        return True  # wildcards, as far as the service
    told = of_s3.group(1)
    # The places in the pattern at which one may be, after each character of the prefix.
    reached = _past_stars(told, {0})
    for character in place:
        stay = {at for at in reached if told[at : at + 1] == "*"}
        step = {at + 1 for at in reached if told[at : at + 1] in ("?", character)}
        reached = _past_stars(told, stay | step)
    return bool(reached)


def _past_stars(pattern: str, places: set[int]) -> set[int]:
    """These places of a pattern, and those behind the stars that stand there."""
    found = set(places)
    for at in places:
        while pattern[at : at + 1] == "*":
            at += 1
            found.add(at)
    return found


def principals(statement: Mapping[str, Any]) -> set[str]:
    """Whom a statement names: ARNs, account ids, ``*``; one that says whom it does not name, everybody."""
    if "NotPrincipal" in statement:
        return {"*"}
    named = statement.get("Principal", {})
    if isinstance(named, str):
        return {named}
    return {str(each) for kind in named.values() for each in as_list(kind)}


def only_principals(statement: Mapping[str, Any]) -> set[str] | None:
    """The ARNs, or else the accounts, that a condition narrows a statement to; None where there is none."""
    found: dict[str, set[str]] = {}
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            if (key.lower(), operator) in _NARROWING:
                found.setdefault(key.lower(), {str(value) for value in as_list(values)})
    return found.get("aws:principalarn", found.get("aws:principalaccount"))


_NARROWING = {
    *(("aws:principalarn", operator) for operator in ("ArnEquals", "ArnLike", "StringEquals", "StringLike")),
    ("aws:principalaccount", "StringEquals"),
}


def account_of(principal: str) -> str:
    """The account of a principal, which may be named by its id alone; "" where it has none."""
    return principal if principal.isdigit() else (principal.split(":") + [""] * 5)[4]
