"""IAM policy evaluation: who is allowed what, and what is refused rather than guessed."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.access.policy import PolicyNotSupported, evaluate

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


def test_an_explicit_deny_wins_wherever_it_stands() -> None:
    allow, deny = policy(statement()), policy(statement("Deny", "s3:*"))
    assert evaluate([allow, deny], "s3:GetObject", KEY, CONTEXT) == "deny"
    assert evaluate([deny, allow], "s3:GetObject", KEY, CONTEXT) == "deny"


def test_a_single_statement_needs_no_list() -> None:
    assert evaluate([{"Statement": statement()}], "s3:GetObject", KEY, CONTEXT) == "allow"


@pytest.mark.parametrize(
    ("action", "allowed"),
    [("s3:GetObject", True), ("s3:Get*", True), ("S3:getobject", True), ("*", True), ("s3:GetObjec?", True),
     ("s3:GetObjectVersion", False), ("s3:Put*", False), ("glue:*", False), (["s3:PutObject", "s3:GetObject"], True)],
)  # fmt: skip
def test_actions_match_without_case_and_with_wildcards(action: Any, allowed: bool) -> None:
    assert (verdict(statement(action=action)) == "allow") is allowed


def test_not_action_is_everything_else() -> None:
    said = {"Effect": "Allow", "NotAction": ["iam:*", "s3:DeleteObject"], "Resource": "*"}
    assert verdict(said, action="s3:GetObject") == "allow"
    assert verdict(said, action="iam:CreateRole") == "none"


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


def test_not_resource_is_everything_else() -> None:
    said = {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::lake/*"}
    assert verdict(said) == "none"
    assert verdict(said, resource="arn:aws:s3:::other/x") == "deny"


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "holds"),
    [
        ("StringEquals", "aws:PrincipalArn", ROLE, True),
        ("StringEquals", "AWS:principalarn", ROLE, True),
        ("StringEquals", "s3:prefix", ["hr/", "sales/"], True),
        ("StringEquals", "s3:prefix", "sales/*", False),
        ("StringNotEquals", "s3:prefix", ["hr/", "sales/"], False),
        ("StringNotEquals", "s3:prefix", "hr/", True),
        ("StringEqualsIgnoreCase", "s3:prefix", "SALES/", True),
        ("StringLike", "s3:prefix", "sal*", True),
        ("StringNotLike", "s3:prefix", "sal*", False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/teams/*", True),
        ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::111111111111:role/*", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::222222222222:role/*", False),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::222222222222:role/*", True),
        ("Bool", "aws:SecureTransport", "true", True),
        ("Bool", "aws:SecureTransport", True, True),
        ("Bool", "aws:SecureTransport", "false", False),
        ("NumericLessThanEquals", "s3:max-keys", "100", True),
        ("NumericLessThan", "s3:max-keys", 100, False),
        ("NumericGreaterThan", "s3:max-keys", "many", False),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", False),
        ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "10.0.0.0/8"], True),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", False),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["team", "cost", "owner"], True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["team"], False),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["team"], True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["owner"], False),
        ("Null", "sts:ExternalId", "true", True),
        ("Null", "s3:prefix", "true", False),
        ("Null", "s3:prefix", False, True),
    ],
)
def test_condition_operators(operator: str, key: str, wanted: Any, holds: bool) -> None:
    assert condition_verdict(operator, key, wanted) is holds


@pytest.mark.parametrize(
    ("operator", "holds"),
    [("StringEquals", False), ("StringNotEquals", True), ("StringEqualsIfExists", True), ("ArnLike", False),
     ("ArnNotLike", True), ("Bool", False), ("ForAnyValue:StringEquals", False), ("ForAllValues:StringEquals", True)],
)  # fmt: skip
def test_a_key_that_is_not_in_the_request(operator: str, holds: bool) -> None:
    assert condition_verdict(operator, "sts:ExternalId", "x") is holds


def test_all_conditions_must_hold() -> None:
    both = {"StringEquals": {"s3:prefix": "sales/", "aws:PrincipalAccount": "222222222222"}}
    assert verdict(statement(Condition=both)) == "none"


def test_policy_variables_stand_for_values_of_the_request_and_are_literal() -> None:
    said = statement(resource="arn:aws:s3:::lake/${aws:PrincipalTag/team}/*")
    assert verdict(said) == "allow"
    assert verdict(said, **{"aws:PrincipalTag/team": "hr"}) == "none"
    assert verdict(said, **{"aws:PrincipalTag/team": "*"}) == "none"
    assert verdict(statement(resource="arn:aws:s3:::lake/${aws:PrincipalTag/nobody}/*")) == "none"
    assert verdict(statement(resource="arn:aws:s3:::lake/${aws:PrincipalTag/nobody, 'sales'}/*")) == "allow"
    assert verdict(statement(resource="arn:aws:s3:::lake/sales/${*}")) == "none"


def test_policies_of_2008_know_no_variables() -> None:
    said = statement(resource="arn:aws:s3:::lake/${aws:PrincipalTag/team}/*")
    assert evaluate([policy(said, version="2008-10-17")], "s3:GetObject", KEY, CONTEXT) == "none"


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


@pytest.mark.parametrize(
    "broken",
    [
        {"Condition": {"StringSounds": {"s3:prefix": "x"}}},
        {"Condition": {"StringEquals": {"s3:unheard-of": "x"}}},
        {"Condition": {"Sometimes:StringEquals": {"s3:prefix": "x"}}},
        {"Wish": "x"},
        {"Effect": "Perhaps"},
    ],
)
def test_what_is_not_understood_is_refused_never_guessed(broken: dict) -> None:
    with pytest.raises(PolicyNotSupported):
        verdict({**statement(), **broken})


def test_an_allow_that_is_not_understood_matters_only_if_nothing_else_allows() -> None:
    unclear = statement(Condition={"StringEquals": {"s3:unheard-of": "x"}})
    assert verdict(unclear, statement()) == "allow"
    with pytest.raises(PolicyNotSupported):
        verdict({**unclear, "Effect": "Deny"}, statement())


def test_a_statement_about_something_else_is_not_looked_into() -> None:
    unclear = statement(action="glue:*", Condition={"StringEquals": {"s3:unheard-of": "x"}})
    assert verdict(unclear, statement()) == "allow"
