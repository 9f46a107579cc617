"""IAM policy evaluation, what cannot be asked through calls. The rest: tests/conformance/test_iam_evaluation.py."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.access.policy import evaluate

KEY = "arn:aws:s3:::lake/sales/orders.csv"
ROLE = "arn:aws:iam::111111111111:role/teams/Analyst"
CONTEXT = {
    "aws:PrincipalArn": ROLE,
    "aws:PrincipalAccount": "111111111111",
    "aws:PrincipalOrgID": None,
    "aws:PrincipalTag/": None,
    "aws:PrincipalTag/team": "sales",
    "aws:SecureTransport": "true",
    "aws:CurrentTime": "2026-05-01T12:00:00Z",
    "aws:SourceIp": "10.1.2.3",
    "aws:TagKeys": ["team", "cost"],
    "s3:prefix": "sales/",
    "s3:max-keys": "100",
    "sts:ExternalId": None,
}


def statement(effect: str = "Allow", action: Any = "s3:GetObject", resource: Any = "*", **more: Any) -> dict:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements: dict, version: str = "2012-10-17") -> dict:
    return {"Version": version, "Statement": list(statements)}


def verdict(*statements: dict, action: str = "s3:GetObject", resource: str = KEY, **changes: Any) -> str:
    return evaluate([policy(*statements)], action, resource, {**CONTEXT, **changes})


def condition_verdict(operator: str, key: str, wanted: Any, **changes: Any) -> bool:
    return verdict(statement(Condition={operator: {key: wanted}}), **changes) == "allow"


def test_without_a_statement_nothing_is_said() -> None:
    assert evaluate([], "s3:GetObject", KEY, CONTEXT) == "none"


def test_a_single_statement_needs_no_list() -> None:
    assert evaluate([{"Statement": statement()}], "s3:GetObject", KEY, CONTEXT) == "allow"


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [("*", True), ("arn:aws:s3:::lake/*", True), ("arn:aws:s3:::lake/sales/*.csv", True), ("arn:aws:s3:::*", True),
     ("arn:aws:s3:::lake", False), ("arn:aws:s3:::lak?/sales/orders.csv", True), ("arn:aws:s3:::Lake/*", False),
     ("arn:*", False), ("arn:aws:s3:*", False)],
)  # fmt: skip
def test_resources_match_with_case_and_with_wildcards(resource: str, allowed: bool) -> None:
    assert (verdict(statement(resource=resource)) == "allow") is allowed


def test_a_wildcard_does_not_reach_over_a_colon_before_the_last_segment() -> None:
    queue = "arn:aws:sqs:eu-west-1:111111111111:uploads"
    said = statement(action="sqs:*", resource="arn:aws:sqs:*:uploads")
    assert verdict(said, action="sqs:SendMessage", resource=queue) == "none"
    logs = "arn:aws:logs:eu-west-1:111111111111:log-group:/aws/lambda/f:log-stream:s"
    assert verdict(statement(action="logs:*", resource="arn:aws:logs:*:*:*"), action="logs:X", resource=logs) == "allow"


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "holds"),
    [
        ("Bool", "aws:SecureTransport", True, True),  # a value that is no text
        ("NumericLessThan", "s3:max-keys", 101, True),
        ("NumericGreaterThan", "s3:max-keys", "many", False),
        ("DateGreaterThan", "aws:CurrentTime", "some day", False),
        ("IpAddress", "aws:SourceIp", "no network", False),
        ("Null", "s3:prefix", False, True),
    ],
)
def test_values_that_are_no_text_or_do_not_compare(operator: str, key: str, wanted: Any, holds: bool) -> None:
    assert condition_verdict(operator, key, wanted) is holds


ANALYST = {"AWS": frozenset({ROLE, "arn:aws:sts::111111111111:assumed-role/Analyst/me"})}
EVENTS = {"Service": frozenset({"events.amazonaws.com"})}


@pytest.mark.parametrize(
    ("principal", "who", "expected"),
    [
        ("*", ANALYST, "allow"),
        ({"AWS": "*"}, ANALYST, "allow"),
        ({"AWS": [ROLE]}, ANALYST, "allow"),
        ({"AWS": "arn:aws:sts::111111111111:assumed-role/Analyst/me"}, ANALYST, "allow"),
        ({"AWS": "111111111111"}, ANALYST, "none"),
        ({"Service": "events.amazonaws.com"}, ANALYST, "none"),
        ({"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}, EVENTS, "allow"),
        ({"Service": "s3.amazonaws.com"}, EVENTS, "none"),
    ],
)
def test_resource_policies_name_their_principals(principal: Any, who: Any, expected: str) -> None:
    said = policy(statement(Principal=principal))
    assert evaluate([said], "s3:GetObject", KEY, CONTEXT, who) == expected


def test_not_principal_spares_only_who_is_fully_listed() -> None:
    whole = {"AWS": ANALYST["AWS"] | {"111111111111"}}

    def denies(listed: list[str]) -> bool:
        said = {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "NotPrincipal": {"AWS": listed}}
        return evaluate([policy(said)], "s3:GetObject", KEY, CONTEXT, whole) == "deny"

    assert denies([ROLE])
    assert not denies(sorted(whole["AWS"]))
