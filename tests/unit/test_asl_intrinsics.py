"""Intrinsic functions and payload templates, with the developer guide's own examples."""

import re

import pytest

from local_aws.stepfunctions import asl_intrinsics
from local_aws.stepfunctions.asl_intrinsics import IntrinsicFailure, InvalidExpression, compile_expression, evaluate
from local_aws.stepfunctions.asl_paths import InvalidPath, PathNotFound

DATA = {
    "Id": 123456,
    "inputArray": [1, 2, 3, 4, 5, 6, 7, 8, 9],
    "duplicates": [1, 2, 3, 3, 1.0, True, 1],
    "lookingFor": 5,
    "input": "Data to encode",
    "base64": "RGF0YSB0byBlbmNvZGU=",
    "json1": {"a": {"a1": 1, "a2": 2}, "b": 2},
    "json2": {"a": {"a3": 1, "a4": 2}, "c": 3},
    "escapedJsonString": '{"foo": "bar"}',
    "unescapedJson": {"foo": "bar"},
    "value1": 111,
    "step": -1,
    "name": "Arnav",
    "template": "Hello, my name is {}.",
    "list": "This.is+a,test=string",
    "splitter": ".+,=",
    "def ghi": "x",
    "people": [{"name": "a, b"}, {"name": "c"}],
}


def value(text: str) -> object:
    return evaluate(compile_expression(text), DATA, {"Execution": {"Name": "run"}})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("States.Array()", []),
        ("States.Array($.Id)", [123456]),
        ("States.Array('a', 1, 1.5, true, null, $.Id)", ["a", 1, 1.5, True, None, 123456]),
        ("States.ArrayPartition($.inputArray,4)", [[1, 2, 3, 4], [5, 6, 7, 8], [9]]),
        ("States.ArrayContains($.inputArray, $.lookingFor)", True),
        ("States.ArrayContains($.inputArray, '5')", False),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayGetItem($.inputArray, $.lookingFor)", 6),
        ("States.ArrayLength($.inputArray)", 9),
        ("States.ArrayUnique($.duplicates)", [1, 2, 3, 1.0, True]),
        ("States.Base64Encode($.input)", "RGF0YSB0byBlbmNvZGU="),
        ("States.Base64Decode($.base64)", "Data to encode"),
        ("States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("States.JsonMerge($.json1, $.json2, false)", {"a": {"a3": 1, "a4": 2}, "b": 2, "c": 3}),
        ("States.StringToJson($.escapedJsonString)", {"foo": "bar"}),
        ("States.JsonToString($.unescapedJson)", '{"foo":"bar"}'),
        ("States.MathAdd($.value1, $.step)", 110),
        ("States.MathAdd(1.6, 1)", 3),
        ("States.StringSplit('1,2,3', ',')", ["1", "2", "3"]),
        ("States.StringSplit($.list, $.splitter)", ["This", "is", "a", "test", "string"]),
        ("States.Format('Hello, my name is {}.', $.name)", "Hello, my name is Arnav."),
        ("States.Format($.template, $.name)", "Hello, my name is Arnav."),
        ("States.Format('{}-{}', 7, $.unescapedJson)", '7-{"foo":"bar"}'),
        (r"States.Format('it\'s \{{}\} \\ {}', 1, 2)", r"it's {1} \ 2"),
        ("States.Format('{}', $.['def ghi'])", "x"),
        ("States.Format('{}', $$.Execution.Name)", "run"),
        ("States.ArrayLength($.people[?(@.name == 'a, b')])", 1),
        ("States.ArrayGetItem(States.StringSplit('a/b/c', '/'), 1)", "b"),
    ],
)
def test_a_function_gives_the_documented_value(expression: str, expected: object):
    assert value(expression) == expected
    assert type(value(expression)) is type(expected)


def test_random_numbers_stay_within_their_bounds_and_repeat_with_a_seed():
    drawn = {value("States.MathRandom(1, 4)") for _ in range(200)}
    assert drawn == {1, 2, 3}
    assert value("States.MathRandom(1, 999, 7)") == value("States.MathRandom(1, 999, 7)")


def test_each_uuid_is_new():
    first, second = value("States.UUID()"), value("States.UUID()")
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", str(first))


@pytest.mark.parametrize(
    "expression",
    [
        "States.ArrayPartition($.inputArray, 0)",
        "States.ArrayPartition($.name, 2)",
        "States.ArrayRange(1, 5000, 1)",
        "States.ArrayRange(1, 5, 0)",
        "States.ArrayGetItem($.inputArray, 9)",
        "States.ArrayGetItem($.inputArray, -1)",
        "States.ArrayLength($.name)",
        "States.Base64Decode('***')",
        "States.Hash($.name, 'CRC')",
        "States.JsonMerge($.json1, $.json2, true)",
        "States.JsonMerge($.json1, $.name, false)",
        "States.StringToJson($.name)",
        "States.MathAdd($.name, 1)",
        "States.MathAdd(2147483648, 1)",
        "States.MathRandom(5, 5)",
        "States.Format($.template)",
        "States.Format($.Id)",
    ],
)
def test_wrong_arguments_fail_the_function(expression: str):
    with pytest.raises(IntrinsicFailure):
        value(expression)


def test_a_path_to_nothing_is_not_found():
    with pytest.raises(PathNotFound):
        value("States.Format('{}', $.missing)")


@pytest.mark.parametrize(
    "expression",
    [
        "States.Unknown()",
        "States.Format",
        "States.Format('{}')",
        "States.Format('{} {', 1)",
        "States.Format(1)",
        "States.Format('{}', $.a",
        "States.Format('{}', $.a) and more",
        "States.Format('a\\b')",
        "States.UUID(1)",
        "States.MathAdd(1)",
        "States.ArrayLength()",
        "States.Array(1 2)",
        "plain text",
        "States.Array(" * 11 + ")" * 11,
    ],
)
def test_what_is_no_expression_is_refused(expression: str):
    with pytest.raises(InvalidExpression):
        compile_expression(expression)


def test_ten_functions_may_be_nested():
    assert value("States.Array(" * 10 + ")" * 10) == [[[[[[[[[[]]]]]]]]]]


def test_a_template_replaces_its_dynamic_fields_and_keeps_the_others():
    template = {
        "comment": "kept",
        "details": {"name.$": "$.name", "static": 1, "run.$": "$$.Execution.Name"},
        "list": [{"id.$": "$.Id"}, "$.Id"],
        "made.$": "States.Format('{}-{}', $.name, $.Id)",
    }
    assert asl_intrinsics.fill(template, DATA, {"Execution": {"Name": "run"}}) == {
        "comment": "kept",
        "details": {"name": "Arnav", "static": 1, "run": "run"},
        "list": [{"id": 123456}, "$.Id"],
        "made": "Arnav-123456",
    }


def test_mistakes_of_a_template_are_found_with_their_place():
    template = {"a.$": 1, "b": {"c.$": "nope"}, "d": 1, "d.$": "$.x", "e": [{"f.$": "$.g["}]}
    places = [location for location, _ in asl_intrinsics.template_problems(template, "/P")]
    assert places == ["/P/a.$", "/P/b/c.$", "/P/d.$", "/P/e[0]/f.$"]


def test_a_bad_path_within_a_function_is_refused():
    with pytest.raises(InvalidPath):
        compile_expression("States.Format('{}', $.a[)")
