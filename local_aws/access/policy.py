"""IAM policy evaluation, pure: policies, an action, a resource and a context in; allow, deny or none out.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements reference". What is not understood (a
condition operator, a condition key) is never guessed: PolicyNotSupported says so.

A context maps condition keys to a string, a list of strings (a multivalued key), or None for a key that is known but
not in this request. A key ending in `/` with None stands for all keys below it (`aws:RequestTag/`). A key that is not
in the context at all is not supported.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

Verdict = Literal["allow", "deny", "none"]
Context = Mapping[str, "str | list[str] | None"]
Principals = Mapping[str, frozenset[str]]
"""Who asks, as a resource policy may name them: {"AWS": {ARNs, account ids}} or {"Service": {names}}."""

ELEMENTS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip
VARIABLE = re.compile(r"\$\{([^}]*)\}")


class PolicyNotSupported(Exception):
    """A policy says something this evaluator does not understand."""


def evaluate(
    policies: Iterable[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Context,
    principals: Principals | None = None,
) -> Verdict:
    """The verdict of policies taken together: an explicit deny wins, then any allow.

    `principals` is given for resource policies, whose statements name who they are for, and None for the policies of
    an identity. Raises PolicyNotSupported where a statement that would otherwise count is not understood; an Allow
    like that is passed over when another one allows.
    """
    context = {key.lower(): value for key, value in context.items()}
    verdict: Verdict = "none"
    unclear: PolicyNotSupported | None = None
    for document in policies:
        variables = document.get("Version") == "2012-10-17"
        for statement in _list(document.get("Statement", [])):
            if not _concerns(statement, action, resource, context, principals, variables):
                continue
            denies = statement["Effect"] == "Deny"
            try:
                holds = _conditions_hold(statement.get("Condition", {}), context, variables)
            except PolicyNotSupported as error:
                if denies:
                    raise
                unclear = error
                continue
            if holds and denies:
                return "deny"
            if holds:
                verdict = "allow"
    if verdict == "none" and unclear:
        raise unclear
    return verdict


def condition_keys(policies: Iterable[Mapping[str, Any]], action: str, resource: str) -> set[str]:
    """The condition keys that statements about an action and a resource ask for. Raises PolicyNotSupported."""
    return {
        key
        for document in policies
        for statement in _list(document.get("Statement", []))
        if _concerns(statement, action, resource, {}, None, False)
        for keys in statement.get("Condition", {}).values()
        for key in keys
    }


@lru_cache(maxsize=4096)
def parse(text: str) -> dict[str, Any]:
    """A policy document from its JSON text. The same text gives the same object: do not change it."""
    return json.loads(text)


# -- statements ---------------------------------------------------------------------------------------------------


def _concerns(
    statement: Mapping[str, Any],
    action: str,
    resource: str,
    context: Context,
    principals: Principals | None,
    variables: bool,
) -> bool:
    """Whether a statement is about this action, resource and principal, its conditions aside."""
    if unknown := set(statement) - ELEMENTS:
        raise PolicyNotSupported(f"policy element {sorted(unknown)[0]}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyNotSupported(f"policy effect {statement.get('Effect')!r}")
    if "NotAction" in statement:
        if _any_action(statement["NotAction"], action):
            return False
    elif not _any_action(statement.get("Action", []), action):
        return False
    if principals is not None and not _principal_matches(statement, principals):
        return False
    if "NotResource" in statement:
        return not _any_resource(statement["NotResource"], resource, context, variables)
    if "Resource" not in statement:  # a role's trust policy: its resource is the role
        return principals is not None
    return _any_resource(statement["Resource"], resource, context, variables)


def _any_action(patterns: Any, action: str) -> bool:
    return any(_glob(pattern.lower()).fullmatch(action.lower()) for pattern in _list(patterns))


def _any_resource(patterns: Any, resource: str, context: Context, variables: bool) -> bool:
    return any(_arn_matches(pattern, resource, context, variables) for pattern in _list(patterns))


def _principal_matches(statement: Mapping[str, Any], principals: Principals) -> bool:
    """Whether a resource policy's statement is for the principals.

    NotPrincipal spares a principal only if all that it is known by is listed: its account, role and session.
    """
    if "NotPrincipal" in statement:
        if statement["Effect"] == "Allow":
            raise PolicyNotSupported("NotPrincipal with Allow")
        listed = _listed(statement["NotPrincipal"])
        return any(not known <= listed.get(kind, set()) for kind, known in principals.items())
    listed = _listed(statement.get("Principal", {}))
    everybody = "*" in listed.get("AWS", set())
    return any(
        everybody or "*" in listed.get(kind, set()) or known & listed.get(kind, set())
        for kind, known in principals.items()
    )


def _listed(principal: Any) -> dict[str, set[str]]:
    if principal == "*":
        return {"AWS": {"*"}}
    if unknown := set(principal) - {"AWS", "Service", "Federated", "CanonicalUser"}:
        raise PolicyNotSupported(f"principal type {sorted(unknown)[0]}")
    return {kind: set(_list(names)) for kind, names in principal.items()}


# -- patterns -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    """A pattern of `*` and `?` as a regular expression."""
    return re.compile(_translate(pattern, ".*", "."), re.DOTALL)


@lru_cache(maxsize=4096)
def _arn_glob(pattern: str) -> re.Pattern[str]:
    """The same of an ARN: only in the last of its six segments do wildcards reach over a colon."""
    *segments, last = pattern.split(":", 5)
    if len(segments) != 5:
        return re.compile(r"(?!)")  # no ARN: matches none
    parts = [_translate(segment, "[^:]*", "[^:]") for segment in segments]
    return re.compile(":".join([*parts, _translate(last, ".*", ".")]), re.DOTALL)


def _translate(pattern: str, star: str, mark: str) -> str:
    return "".join(star if char == "*" else mark if char == "?" else re.escape(char) for char in pattern)


def _arn_matches(pattern: str, arn: str, context: Context, variables: bool) -> bool:
    """Match an ARN segment by segment: a wildcard does not reach over a colon, except in the last of the six."""
    if pattern == "*":
        return True
    if not variables or "${" not in pattern:
        return bool(_arn_glob(pattern).fullmatch(arn))
    segments, given = pattern.split(":", 5), arn.split(":", 5)
    if len(segments) != len(given):
        return False
    return all(
        _text_matches(segment, value, context, variables, wildcards=True)
        for segment, value in zip(segments, given, strict=True)
    )


def _text_matches(pattern: str, text: str, context: Context, variables: bool, wildcards: bool) -> bool:
    """Match a text with a pattern that may hold policy variables. What a variable stands for is taken literally.

    A variable without a value in this request matches nothing.
    """
    if not variables or "${" not in pattern:
        return bool(_glob(pattern).fullmatch(text)) if wildcards else pattern == text
    expression = ""
    for index, part in enumerate(VARIABLE.split(pattern)):
        if index % 2 == 0:
            expression += _translate(part, ".*", ".") if wildcards else re.escape(part)
        elif (value := _variable(part, context)) is None:
            return False
        else:
            expression += re.escape(value)
    return bool(re.fullmatch(expression, text, re.DOTALL))


def _variable(name: str, context: Context) -> str | None:
    if name in ("*", "?", "$"):
        return name
    name, comma, default = name.partition(",")
    value = _value(name.strip(), context)
    if isinstance(value, list):
        raise PolicyNotSupported(f"policy variable {name} of several values")
    return default.strip().strip("'") if value is None and comma else value


def _value(key: str, context: Context) -> str | list[str] | None:
    """What the request has under a condition key. Raises PolicyNotSupported for a key that nobody filled in."""
    key = key.lower()
    if key in context:
        return context[key]
    above = key.partition("/")[0] + "/"
    if above in context:
        return None
    raise PolicyNotSupported(f"condition key {key}")


# -- conditions ---------------------------------------------------------------------------------------------------


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Context, variables: bool) -> bool:
    """Whether all operators hold for all their keys."""
    results = [
        _condition_holds(operator, key, _list(wanted), context, variables)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    ]
    return all(results)


def _condition_holds(operator: str, key: str, wanted: list[Any], context: Context, variables: bool) -> bool:
    """One operator for one key (IAM user guide, "Condition operators" and "Multivalued context keys")."""
    quantifier, _, plain = operator.rpartition(":")
    if quantifier not in ("", "ForAnyValue", "ForAllValues"):
        raise PolicyNotSupported(f"condition operator {operator}")
    value = _value(key, context)
    if plain == "Null":
        return (value is None) == (_text(wanted[0]).lower() == "true")
    if_exists = plain.endswith("IfExists")
    plain = plain.removesuffix("IfExists")
    if plain not in OPERATORS:
        raise PolicyNotSupported(f"condition operator {operator}")
    test, negated = OPERATORS[plain]
    wishes = [_text(wish) for wish in wanted]

    def fits(text: str) -> bool:
        found = any(test(wish, text, context, variables) for wish in wishes)
        return found != negated

    if value is None:
        if quantifier:
            return quantifier == "ForAllValues" or if_exists
        return negated or if_exists
    values = value if isinstance(value, list) else [value]
    if quantifier == "ForAllValues" or (negated and not quantifier):
        return all(fits(text) for text in values)
    return any(fits(text) for text in values)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _equals(wish: str, text: str, context: Context, variables: bool) -> bool:
    return _text_matches(wish, text, context, variables, wildcards=False)


def _equals_ignoring_case(wish: str, text: str, context: Context, variables: bool) -> bool:
    return _text_matches(wish.lower(), text.lower(), context, variables, wildcards=False)


def _like(wish: str, text: str, context: Context, variables: bool) -> bool:
    return _text_matches(wish, text, context, variables, wildcards=True)


def _arn_like(wish: str, text: str, context: Context, variables: bool) -> bool:
    return _arn_matches(wish, text, context, variables)


def _bool(wish: str, text: str, _context: Context, _variables: bool) -> bool:
    return wish.lower() == text.lower()


def _compared(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def test(wish: str, text: str, _context: Context, _variables: bool) -> bool:
        try:
            return compare(read(text), read(wish))
        except ValueError:
            return False

    return test


def _date(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _in_network(text: str, wish: str) -> bool:
    return ipaddress.ip_address(text) in ipaddress.ip_network(wish, strict=False)


def _ip(wish: str, text: str, _context: Context, _variables: bool) -> bool:
    try:
        return _in_network(text, wish)
    except ValueError:
        return False


def _orderings(name: str, read: Callable[[str], Any]) -> dict[str, tuple[Callable[..., bool], bool]]:
    return {
        f"{name}Equals": (_compared(read, lambda a, b: a == b), False),
        f"{name}NotEquals": (_compared(read, lambda a, b: a == b), True),
        f"{name}LessThan": (_compared(read, lambda a, b: a < b), False),
        f"{name}LessThanEquals": (_compared(read, lambda a, b: a <= b), False),
        f"{name}GreaterThan": (_compared(read, lambda a, b: a > b), False),
        f"{name}GreaterThanEquals": (_compared(read, lambda a, b: a >= b), False),
    }


OPERATORS: dict[str, tuple[Callable[..., bool], bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn_like, False),  # behaves as ArnLike
    "ArnNotEquals": (_arn_like, True),
    "ArnLike": (_arn_like, False),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_bool, False),
    "IpAddress": (_ip, False),
    "NotIpAddress": (_ip, True),
    **_orderings("Numeric", float),
    **_orderings("Date", _date),
}
"""Operator -> (whether one wanted value fits a text, whether the operator is the negation of that)."""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
