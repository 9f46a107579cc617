"""Choice rules: which hold, which are refused."""

import pytest
from asl import END, Machines, machine, one

TEXT = {"Variable": "$.a", "StringEquals": "x"}


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


def choice(rule, **fields):
    return machine({"A": {"Type": "Choice", "Choices": [{"Next": "B", **rule}], **fields}, "B": END})


CHOICES = {
    "number": 5,
    "other": 7,
    "text": "log-2024.txt",
    "star": "a*b",
    "flag": True,
    "time": "2016-08-18T17:33:00Z",
    "later": "2016-08-18T18:33:00.5+00:00",
    "nothing": None,
    "zero": 0,
    "badtime": "2016-02-31T17:33:00Z",
    "smalltime": "2016-08-18t17:33:00z",
}


def rule(path, **operator):
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
    rule("$.time", TimestampGreaterThanEquals="2016-08-18T17:33:00Z"),
    rule("$.time", StringEquals="2016-08-18T17:33:00Z"),
    rule("$.nothing", IsNull=True),
    rule("$.number", IsNull=False),
    rule("$.nothing", IsPresent=True),
    rule("$.missing", IsPresent=False),
    rule("$.missing.deeper", IsPresent=False),
    rule("$.number", IsNumeric=True),
    rule("$.flag", IsNumeric=False),
    rule("$.text", IsNumeric=False),
    rule("$.text", IsString=True),
    rule("$.flag", IsBoolean=True),
    rule("$.zero", IsBoolean=False),
    rule("$.time", IsTimestamp=True),
    rule("$.text", IsTimestamp=False),
    rule("$.number", IsTimestamp=False),
    rule("$.badtime", IsTimestamp=False),
    rule("$.smalltime", IsTimestamp=False),
    rule("$$.State.RetryCount", NumericEquals=0),
    {"And": [rule("$.missing", IsPresent=False), rule("$.flag", BooleanEquals=True)]},
    {"Or": [rule("$.number", NumericEquals=1), rule("$.flag", BooleanEquals=True)]},
    {"Not": rule("$.number", NumericEquals=1)},
]
FALSE = [
    rule("$.number", NumericEquals=6),
    rule("$.number", NumericGreaterThan=5),
    rule("$.number", NumericLessThan=5),
    rule("$.number", StringEquals="5"),
    rule("$.text", NumericGreaterThan=1),
    rule("$.flag", NumericEquals=1),
    rule("$.zero", BooleanEquals=False),
    rule("$.text", StringMatches="log-*.csv"),
    rule("$.text", StringMatches="log-?024.txt"),
    rule("$.number", StringMatches="*"),
    rule("$.star", StringMatches="a\\*c"),
    rule("$.time", TimestampEquals="2016-08-18T17:34:00Z"),
    rule("$.text", TimestampEquals="2016-08-18T17:33:00Z"),
    rule("$.number", NumericEqualsPath="$.text"),
    rule("$.text", NumericEqualsPath="$.text"),
    rule("$.number", IsNull=True),
    rule("$.missing", IsPresent=True),
    {"Or": [rule("$.number", NumericEquals=1), rule("$.flag", BooleanEquals=False)]},
    {"Not": rule("$.flag", BooleanEquals=True)},
    {"And": [rule("$.flag", BooleanEquals=True), rule("$.number", NumericEquals=1)]},
    {"And": [rule("$.missing", IsPresent=True), rule("$.missing", StringEquals="x")]},
]


@pytest.mark.statement("stepfunctions.choice-operators")
def test_choice_rules_hold_or_not(machines):
    branches = [
        machine(
            {
                f"C{number}": {"Type": "Choice", "Choices": [{**each, "Next": f"Y{number}"}], "Default": f"N{number}"},
                f"Y{number}": {"Type": "Pass", "Result": True, "End": True},
                f"N{number}": {"Type": "Pass", "Result": False, "End": True},
            }
        )
        for number, each in enumerate([*TRUE, *FALSE])
    ]
    found = machines.output(one(Type="Parallel", Branches=branches), CHOICES)
    wrong = [each for each, holds in zip(TRUE, found[: len(TRUE)], strict=True) if not holds]
    wrong += [each for each, holds in zip(FALSE, found[len(TRUE) :], strict=True) if holds]
    assert wrong == []


def chosen(machines, *rules, default=None):
    """What a Choice with these rules answers for CHOICES: the names of its rules' states are 0, 1, ..."""
    names = [str(number) for number in range(len(rules))]
    state = {"Type": "Choice", "Choices": [{**each, "Next": name} for each, name in zip(rules, names, strict=True)]}
    ends = {name: {"Type": "Pass", "Result": name, "End": True} for name in names}
    if default:
        state["Default"], ends[default] = default, {"Type": "Pass", "Result": default, "End": True}
    return machines.quick(machine({"A": state, **ends}), CHOICES)


@pytest.mark.statement("stepfunctions.choice-missing-variable")
@pytest.mark.parametrize(
    "missing",
    [
        rule("$.missing", StringEquals="x"),
        rule("$.missing", IsNull=True),
        rule("$.missing", IsString=False),
        rule("$.number", NumericEqualsPath="$.missing"),
        {"Not": rule("$.missing", BooleanEquals=True)},
    ],
    ids=str,
)
def test_a_variable_that_is_missing_fails_the_execution_and_does_not_go_to_default(machines, missing):
    answer = chosen(machines, missing, default="other")
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")
    assert "$.missing" in answer["cause"]


@pytest.mark.statement("stepfunctions.no-choice-matched")
def test_no_rule_that_holds_and_no_default_is_an_error(machines):
    answer = chosen(machines, rule("$.number", NumericEquals=1))
    assert (answer["status"], answer["error"]) == ("FAILED", "States.NoChoiceMatched")


@pytest.mark.statement("stepfunctions.choice-operators")
def test_the_first_rule_that_holds_decides(machines):
    rules = [rule("$.number", NumericGreaterThan=bound) for bound in (9, 3, 1)]
    assert chosen(machines, *rules, default="other")["output"] == '"1"'


# -- what is refused -----------------------------------------------------------------------------------------------

RULES = {
    "no variable": {},
    "no operator": {"Variable": "$.a"},
    "two operators": {**TEXT, "IsNull": True},
    "a variable and a combination": {**TEXT, "And": [TEXT]},
    "an operator without a variable": {"And": [TEXT], "IsNull": True},
    "a variable for several": {**TEXT, "Variable": "$.a[*]"},
    "a variable that is no path": {**TEXT, "Variable": "a"},
    "a variable that is no text": {**TEXT, "Variable": 5},
    "a number for a text": {"Variable": "$.a", "StringEquals": 1},
    "a text for a number": {"Variable": "$.a", "NumericEquals": "1"},
    "true for a number": {"Variable": "$.a", "NumericEquals": True},
    "a number for true": {"Variable": "$.a", "BooleanEquals": 1},
    "no timestamp": {"Variable": "$.a", "TimestampEquals": "2016-08-18 17:33"},
    "a text for yes or no": {"Variable": "$.a", "IsPresent": "true"},
    "a pattern that is no text": {"Variable": "$.a", "StringMatches": 1},
    "a second path that is none": {"Variable": "$.a", "StringEqualsPath": "b"},
    "an operator that is none": {"Variable": "$.a", "StringMatchesPath": "$.b"},
    "an unknown field": {**TEXT, "Equals": 1},
    "an empty combination": {"And": []},
    "a combination that is no list": {"Or": TEXT},
    "a rule within that leads on": {"And": [{**TEXT, "Next": "B"}]},
    "a negation of a list": {"Not": [TEXT]},
    "a mistake within": {"Or": [TEXT, {"Not": {"Variable": "$.a"}}]},
}


@pytest.mark.statement("stepfunctions.choice-rules")
@pytest.mark.parametrize("name", RULES)
def test_a_choice_rule_that_breaks_the_language_is_refused(machines, name):
    machines.refuses(choice(RULES[name], Default="B"))


@pytest.mark.statement("stepfunctions.choice-rules")
def test_a_choice_rule_needs_its_next(machines):
    machines.refuses(machine({"A": {"Type": "Choice", "Choices": [TEXT, "B"], "Default": "B"}, "B": END}))
    machines.refuses(machine({"A": {"Type": "Choice", "Choices": ["B"], "Default": "B"}, "B": END}))
