"""Choice rules: which state comes next, and which rules are refused."""

import pytest

from local_aws.stepfunctions import asl_choice
from local_aws.stepfunctions.asl_errors import StateFailed

DATA = {
    "number": 5,
    "other": 7,
    "text": "log-2024.txt",
    "star": "a*b",
    "flag": True,
    "time": "2016-08-18T17:33:00Z",
    "later": "2016-08-18T18:33:00.5+00:00",
    "nothing": None,
    "zero": 0,
}


def fulfilled(rule: dict) -> bool:
    state = {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}
    assert not list(asl_choice.problems(state["Choices"][0], "")), "the rule itself must be valid"
    return asl_choice.choose(state, DATA, {"Execution": {"Name": "run"}}) == "Yes"


def rule(path: str, **operator: object) -> dict:
    return {"Variable": path, **operator}


TRUE = [
    rule("$.number", NumericEquals=5),
    rule("$.number", NumericEquals=5.0),
    rule("$.number", NumericLessThan=6),
    rule("$.number", NumericLessThanEquals=5),
    rule("$.number", NumericGreaterThan=4.5),
    rule("$.number", NumericGreaterThanEquals=5),
    rule("$.number", NumericLessThanPath="$.other"),
    rule("$.text", StringEquals="log-2024.txt"),
    rule("$.text", StringGreaterThan="log"),
    rule("$.text", StringLessThanEquals="logs"),
    rule("$.text", StringEqualsPath="$.text"),
    rule("$.text", StringMatches="log-*.txt"),
    rule("$.text", StringMatches="*"),
    rule("$.star", StringMatches="a\\*b"),
    rule("$.flag", BooleanEquals=True),
    rule("$.flag", BooleanEqualsPath="$.flag"),
    rule("$.time", TimestampEquals="2016-08-18T17:33:00Z"),
    rule("$.time", TimestampEquals="2016-08-18T19:33:00+02:00"),
    rule("$.time", TimestampLessThanPath="$.later"),
    rule("$.time", StringEquals="2016-08-18T17:33:00Z"),
    rule("$.nothing", IsNull=True),
    rule("$.number", IsNull=False),
    rule("$.nothing", IsPresent=True),
    rule("$.missing", IsPresent=False),
    rule("$.missing.deeper", IsPresent=False),
    rule("$.number", IsNumeric=True),
    rule("$.flag", IsNumeric=False),
    rule("$.text", IsString=True),
    rule("$.flag", IsBoolean=True),
    rule("$.time", IsTimestamp=True),
    rule("$.text", IsTimestamp=False),
    rule("$$.Execution.Name", StringEquals="run"),
    {"And": [rule("$.missing", IsPresent=False), rule("$.flag", BooleanEquals=True)]},
    {"Or": [rule("$.number", NumericEquals=1), rule("$.flag", BooleanEquals=True)]},
    {"Not": rule("$.number", NumericEquals=1)},
]
FALSE = [
    rule("$.number", NumericEquals=6),
    rule("$.number", StringEquals="5"),
    rule("$.text", NumericGreaterThan=1),
    rule("$.flag", NumericEquals=1),
    rule("$.zero", BooleanEquals=False),
    rule("$.text", StringMatches="log-*.csv"),
    rule("$.text", StringMatches="log-?024.txt"),
    rule("$.star", StringMatches="a\\*c"),
    rule("$.time", TimestampEquals="2016-08-18T17:34:00Z"),
    rule("$.text", TimestampEquals="2016-08-18T17:33:00Z"),
    rule("$.number", IsNull=True),
    rule("$.missing", IsPresent=True),
    {"Or": [rule("$.number", NumericEquals=1), rule("$.flag", BooleanEquals=False)]},
    {"Not": rule("$.flag", BooleanEquals=True)},
]


@pytest.mark.parametrize("choice", TRUE, ids=str)
def test_a_rule_holds(choice: dict):
    assert fulfilled(choice)


@pytest.mark.parametrize("choice", FALSE, ids=str)
def test_a_rule_does_not_hold(choice: dict):
    assert not fulfilled(choice)


def test_and_stops_at_the_first_rule_that_does_not_hold():
    both = [rule("$.missing", IsPresent=True), rule("$.missing", StringEquals="x")]
    assert not fulfilled({"And": both})


@pytest.mark.parametrize(
    "choice",
    [
        rule("$.missing", StringEquals="x"),
        rule("$.missing", IsNull=True),
        rule("$.missing", IsString=False),
        rule("$.number", NumericEqualsPath="$.missing"),
        {"Not": rule("$.missing", BooleanEquals=True)},
    ],
    ids=str,
)
def test_a_missing_variable_is_a_runtime_error(choice: dict):
    with pytest.raises(StateFailed) as raised:
        fulfilled(choice)
    assert raised.value.error == "States.Runtime"
    assert "$.missing" in raised.value.cause


def test_no_match_and_no_default_is_an_error():
    state = {"Choices": [{**rule("$.number", NumericEquals=1), "Next": "A"}]}
    with pytest.raises(StateFailed) as raised:
        asl_choice.choose(state, DATA, {})
    assert raised.value.error == "States.NoChoiceMatched"


def test_the_first_rule_that_holds_decides():
    rules = [{**rule("$.number", NumericGreaterThan=bound), "Next": str(bound)} for bound in (9, 3, 1)]
    assert asl_choice.choose({"Choices": rules}, DATA, {}) == "3"


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        ({"Next": "A"}, "exactly one of Variable"),
        ({"Variable": "$.a", "Next": "A"}, "exactly one comparison"),
        ({"Variable": "$.a", "StringEquals": "x", "IsNull": True, "Next": "A"}, "exactly one comparison"),
        ({"Variable": "$.a", "StringEquals": "x"}, "needs a Next"),
        ({"Variable": "$.a[*]", "StringEquals": "x", "Next": "A"}, "not a Reference Path"),
        ({"Variable": "a", "StringEquals": "x", "Next": "A"}, "not a Reference Path"),
        ({"Variable": "$.a", "StringEquals": 1, "Next": "A"}, "value of its type"),
        ({"Variable": "$.a", "NumericEquals": "1", "Next": "A"}, "value of its type"),
        ({"Variable": "$.a", "BooleanEquals": 1, "Next": "A"}, "value of its type"),
        ({"Variable": "$.a", "TimestampEquals": "2016-08-18 17:33", "Next": "A"}, "value of its type"),
        ({"Variable": "$.a", "IsPresent": "true", "Next": "A"}, "true or false"),
        ({"Variable": "$.a", "StringMatches": 1, "Next": "A"}, "needs a string"),
        ({"Variable": "$.a", "StringMatchesPath": "$.b", "Next": "A"}, "not supported"),
        ({"Variable": "$.a", "Equals": 1, "Next": "A"}, "not supported"),
        ({"And": [], "Next": "A"}, "non-empty array"),
        ({"And": [{"Variable": "$.a", "IsNull": True, "Next": "B"}], "Next": "A"}, "must not have a Next"),
        ({"Not": [], "Next": "A"}, "must be an object"),
        ({"Condition": "{% true %}", "Next": "A"}, "not supported"),
    ],
)
def test_a_rule_that_aws_refuses_is_refused(choice: dict, why: str):
    assert any(why in message for _, message in asl_choice.problems(choice, "/Choices[0]"))
