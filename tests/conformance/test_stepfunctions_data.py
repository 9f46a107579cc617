"""Data in state machines: paths, intrinsic functions, choice rules, input and output processing, the context object."""

import json
import re

import pytest
from asl import END, Machines, failing, machine, one, task

DATA = {
    "foo": 123,
    "bar": ["a", "b", "c"],
    "car": {"cdr": True},
    "list": [{"t": "x", "n": 1}, {"t": "y", "n": 2}],
    "b-c": {"d": 1},
    "nothing": None,
    "empty": [],
    "text": "v",
    "def ghi": 7,
    "yes": True,
    "one": 1,
    "Id": 123456,
    "numbers": [1, 2, 3, 4, 5, 6, 7, 8, 9],
    "duplicates": [1, 2, 3, 3, 1],
    "sought": 5,
    "input": "Data to encode",
    "base64": "RGF0YSB0byBlbmNvZGU=",
    "json1": {"a": {"a1": 1, "a2": 2}, "b": 2},
    "json2": {"a": {"a3": 1, "a4": 2}, "c": 3},
    "escaped": '{"foo": "bar"}',
    "object": {"foo": "bar"},
    "step": -1,
    "name": "Arnav",
    "template": "Hello, {}.",
    "words": "This.is+a,test=string",
    "marks": ".+,=",
    "people": [{"name": "a, b"}, {"name": "c"}],
}


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


def values(machines, expressions):
    """The value of each path or function for DATA."""
    names = {f"v{number}": text for number, text in enumerate(expressions)}
    output = machines.output(one(Type="Pass", Parameters={f"{name}.$": text for name, text in names.items()}), DATA)
    return {text: output[name] for name, text in names.items()}


DEFINITE = {
    "$": DATA,
    "$.foo": 123,
    "$.bar": ["a", "b", "c"],
    "$.car.cdr": True,
    "$['car']['cdr']": True,
    '$["foo"]': 123,
    "$.['def ghi']": 7,
    "$['def ghi']": 7,
    "$.b-c.d": 1,
    "$.nothing": None,
    "$.bar[0]": "a",
    "$.bar[-1]": "c",
    "$.bar[-3]": "a",
    "$.empty": [],
    "$.list[1].t": "y",
    "$['foo','text']": {"foo": 123, "text": "v"},
    "$['foo', 'missing']": {"foo": 123},
}
INDEFINITE = {
    "$.bar[0:2]": ["a", "b"],
    "$.bar[1:]": ["b", "c"],
    "$.bar[-1:]": ["c"],
    "$.bar[0,2]": ["a", "c"],
    "$.bar[0, 9]": ["a"],
    "$.list[*].n": [1, 2],
    "$.list[*].missing": [],
    "$.empty[*]": [],
    "$.foo[*]": [],
    "$.list..n": [1, 2],
    "$.car.*": [True],
    "$.list[?(@.t == 'x')]": [{"t": "x", "n": 1}],
    "$.list[?(@.t == 'q')]": [],
    "$.list[?(@.n > 1)].t": ["y"],
    "$.list[?(@.n >= 2)].t": ["y"],
    "$.list[?(@.n < 2)].t": ["x"],
    "$.list[?(@.n <= 1)].t": ["x"],
    "$.list[?(@.t > 'x')].n": [2],
    "$.list[?(@.t == 'x' && @.n == 1)].n": [1],
    "$.list[?(@.t == 'x' && @.n == 2)].n": [],
    "$.list[?(@.n == 2 || @.t == 'x')].n": [1, 2],
    "$.list[?(!(@.n == 2))].n": [1],
    "$.list[?(@.t in ['y', 'z'])].n": [2],
    "$.list[?(@.t nin ['y', 'z'])].n": [1],
    "$.list[?(@.t in [])].n": [],
    "$.list[?(@.n)].n": [1, 2],
    "$.list[?(@.missing)]": [],
    "$.list[?(@.missing == null)]": [],
    "$.list[?(@.missing != 1)].n": [1, 2],
    "$.list[?(@.t < 1)]": [],
    "$.list[?(@.n < 'x')]": [],
    "$.list[?(@.n == 1.0)].t": ["x"],
    "$.list[?(@.n == true)].t": [],
    "$.list[?(@.n in 1)].t": [],
    "$.list[?($.foo == 123)].n": [1, 2],
    "$.car[?(@.cdr == true)]": [{"cdr": True}],
    "$.people[?(@.name == 'a, b')]": [{"name": "a, b"}],
}


@pytest.mark.statement("stepfunctions.paths", "stepfunctions.indefinite-paths")
def test_paths_select_one_value_or_a_list(machines):
    assert values(machines, {**DEFINITE, **INDEFINITE}) == {**DEFINITE, **INDEFINITE}


MISSING = ["$.missing", "$.car.missing", "$.bar[3]", "$.bar[-4]", "$.text[0]", "$.bar.name", "$.missing[*]"]


@pytest.mark.statement("stepfunctions.missing-path")
@pytest.mark.parametrize("path", MISSING)
def test_a_definite_path_to_nothing_fails_the_execution(machines, path):
    answer = machines.quick(one(Type="Pass", Parameters={"x.$": path}), DATA)
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")


@pytest.mark.statement("stepfunctions.missing-path")
@pytest.mark.parametrize(
    "state",
    [
        {"InputPath": "$.missing"},
        {"OutputPath": "$.missing"},
        {"Parameters": {"a.$": "$.missing"}},
        {"ResultSelector": {"a.$": "$.missing"}},
    ],
    ids=str,
)
def test_a_path_to_nothing_is_a_runtime_error_that_nothing_retries_or_catches(machines, state):
    parallel = {"Type": "Parallel", "Branches": [machine({"B": END})], "Next": "After"}
    rules = {
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60}],
        "Catch": [
            {"ErrorEquals": ["States.Runtime"], "Next": "After"},
            {"ErrorEquals": ["States.ALL"], "Next": "After"},
        ],
    }
    answer = machines.quick(machine({"A": {**parallel, **rules, **state}, "After": END}), {"a": 1})
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")


VALUES = {
    "States.Array()": [],
    "States.Array($.Id)": [123456],
    "States.Array( 'a' , 1, 1.5, -2, true, false, null, $.Id )": ["a", 1, 1.5, -2, True, False, None, 123456],
    "States.ArrayPartition($.numbers,4)": [[1, 2, 3, 4], [5, 6, 7, 8], [9]],
    "States.ArrayContains($.numbers, $.sought)": True,
    "States.ArrayContains($.numbers, '5')": False,
    "States.ArrayContains(States.Array(1), true)": False,
    "States.ArrayRange(1, 9, 2)": [1, 3, 5, 7, 9],
    "States.ArrayRange(3, 1, -1)": [3, 2, 1],
    "States.ArrayGetItem($.numbers, $.sought)": 6,
    "States.ArrayGetItem($.numbers, 0)": 1,
    "States.ArrayLength($.numbers)": 9,
    "States.ArrayUnique($.duplicates)": [1, 2, 3],
    "States.Base64Encode($.input)": "RGF0YSB0byBlbmNvZGU=",
    "States.Base64Decode($.base64)": "Data to encode",
    "States.Hash('input data', 'SHA-1')": "aaff4a450a104cd177d28d18d74485e8cae074b7",
    "States.Hash($.object, 'MD5')": "9bb58f26192e4ba00f01e2e7b136bbd8",
    "States.JsonMerge($.json1, $.json2, false)": {"a": {"a3": 1, "a4": 2}, "b": 2, "c": 3},
    "States.StringToJson($.escaped)": {"foo": "bar"},
    "States.JsonToString($.object)": '{"foo":"bar"}',
    "States.MathAdd($.foo, $.step)": 122,
    "States.MathAdd(1.6, 1)": 3,
    "States.MathAdd(-1.6, 1)": -1,
    "States.MathAdd(2147483647, 1)": 2147483648,
    "States.StringSplit('1,2,3', ',')": ["1", "2", "3"],
    "States.StringSplit($.words, $.marks)": ["This", "is", "a", "test", "string"],
    "States.StringSplit('a,,b', ',')": ["a", "b"],
    "States.Format('Hello, my name is {}.', $.name)": "Hello, my name is Arnav.",
    "States.Format($.template, $.name)": "Hello, Arnav.",
    "States.Format('{}-{}', 7, $.object)": '7-{"foo":"bar"}',
    "States.Format('{} {}', $.nothing, true)": "null true",
    r"States.Format('it\'s \{{}\} \\ {}', 1, 2)": r"it's {1} \ 2",
    "States.Format('{}', $.['def ghi'])": "7",
    "States.Format('nothing')": "nothing",
    "States.ArrayLength($.people[?(@.name == 'a, b')])": 1,
    "States.ArrayGetItem(States.StringSplit('a/b/c', '/'), 1)": "b",
    "States.ArrayLength(States.ArrayRange(1, 1000, 1))": 1000,
    "States.Array(" * 10 + ")" * 10: [[[[[[[[[[]]]]]]]]]],
}


@pytest.mark.statement("stepfunctions.functions")
def test_functions_give_the_documented_values(machines):
    found = values(machines, VALUES)
    assert found == VALUES
    assert found["States.ArrayContains(States.Array(1), true)"] is False


@pytest.mark.statement("stepfunctions.functions")
def test_random_numbers_and_ids(machines):
    drawn = one(
        Type="Map",
        ItemProcessor=machine(
            {
                "Draw": {
                    "Type": "Pass",
                    "Parameters": {
                        "free.$": "States.MathRandom(1, 4)",
                        "seeded.$": "States.MathRandom(1, 999, 7)",
                        "id.$": "States.UUID()",
                    },
                    "End": True,
                }
            }
        ),
    )
    found = machines.output(drawn, list(range(100)))
    assert {each["free"] for each in found} == {1, 2, 3}
    assert len({each["seeded"] for each in found}) == 1
    assert len({each["id"] for each in found}) == 100
    form = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(form, found[0]["id"])


WRONG = ["States.ArrayPartition($.numbers, 0)", "States.ArrayPartition($.name, 2)", "States.ArrayRange(1, 1001, 1)"]
WRONG += ["States.ArrayRange(1, 5, 0)", "States.ArrayGetItem($.numbers, 9)", "States.ArrayGetItem($.numbers, -1)"]
WRONG += ["States.ArrayLength($.name)", "States.ArrayUnique($.name)", "States.ArrayContains($.name, 'A')"]
WRONG += ["States.Base64Decode('***')", "States.Base64Decode('/w==')", "States.Base64Encode($.foo)"]
WRONG += ["States.Hash($.name, 'CRC')", "States.JsonMerge($.json1, $.json2, true)", "States.StringToJson($.name)"]
WRONG += ["States.JsonMerge($.json1, $.name, false)", "States.JsonMerge($.name, $.json1, false)"]
WRONG += ["States.StringToJson($.foo)", "States.MathAdd($.name, 1)", "States.MathAdd($.yes, 1)"]
WRONG += ["States.MathAdd(2147483648, 1)", "States.MathAdd(1, -2147483649)", "States.MathRandom(5, 5)"]
WRONG += ["States.Format($.template)", "States.Format($.Id)", "States.StringSplit($.foo, ',')"]
WRONG += ["States.StringSplit($.name, $.foo)", "States.Base64Encode($.long)", "States.Hash($.long, 'MD5')"]


@pytest.mark.statement("stepfunctions.function-failures")
def test_arguments_that_do_not_fit_fail_the_function_and_can_be_caught(machines):
    branches = [
        machine(
            {
                f"Try {number}": {
                    "Type": "Parallel",
                    "Branches": [
                        machine({f"Use {number}": {"Type": "Pass", "Parameters": {"x.$": text}, "End": True}})
                    ],
                    "Catch": [{"ErrorEquals": ["States.IntrinsicFailure"], "Next": f"Caught {number}"}],
                    "End": True,
                },
                f"Caught {number}": {"Type": "Pass", "Result": "caught", "End": True},
            }
        )
        for number, text in enumerate(WRONG)
    ]
    found = machines.output(one(Type="Parallel", Branches=branches), {**DATA, "long": "x" * 10_001})
    assert dict(zip(WRONG, found, strict=True)) == dict.fromkeys(WRONG, "caught")


@pytest.mark.statement("stepfunctions.functions")
def test_ten_thousand_characters_can_be_encoded_and_hashed(machines):
    text = "x" * 10_000
    template = {"a.$": "States.Base64Encode($.t)", "b.$": "States.Hash($.t, 'SHA-256')"}
    found = machines.output(one(Type="Pass", Parameters=template), {"t": text})
    assert len(found["a"]) == 13_336
    assert len(found["b"]) == 64


@pytest.mark.statement("stepfunctions.templates")
def test_a_template_replaces_its_dynamic_fields_and_keeps_the_others(machines):
    template = {
        "kept": "$.name",
        "in": {"name.$": "$.name", "static": 1},
        "list": [{"id.$": "$.Id"}, "$.Id"],
        "made.$": "States.Format('{}-{}', $.name, $.Id)",
    }
    assert machines.output(one(Type="Pass", Parameters=template), DATA) == {
        "kept": "$.name",
        "in": {"name": "Arnav", "static": 1},
        "list": [{"id": 123456}, "$.Id"],
        "made": "Arnav-123456",
    }


# -- input and output ------------------------------------------------------------------------------------------------


def parallel(**fields):
    """One branch that gives its input back: the state's result is a list of one."""
    return one(Type="Parallel", Branches=[machine({"B": END})], **fields)


FLOWS = [
    ("nothing said", one(Type="Pass"), {"a": 1}, {"a": 1}),
    ("a Result", one(Type="Pass", Result={"x": "$.a"}, ResultPath="$.r"), {"a": 1}, {"a": 1, "r": {"x": "$.a"}}),
    (
        "a result joins the raw input",
        parallel(InputPath="$.in", Parameters={"x.$": "$.a"}, ResultPath="$.out"),
        {"in": {"a": 1}},
        {"in": {"a": 1}, "out": [{"x": 1}]},
    ),
    (
        "ResultSelector, ResultPath, OutputPath",
        parallel(ResultSelector={"n.$": "$[0].n"}, ResultPath="$.r", OutputPath="$.r"),
        {"n": 7},
        {"n": 7},
    ),
    ("ResultPath null", parallel(ResultPath=None), {"a": 1}, {"a": 1}),
    ("InputPath null", one(Type="Pass", InputPath=None), {"a": 1}, {}),
    ("OutputPath null", one(Type="Pass", OutputPath=None), {"a": 1}, {}),
    ("way made", one(Type="Pass", Result=1, ResultPath="$.b.c.d"), {"a": 1}, {"a": 1, "b": {"c": {"d": 1}}}),
    ("into an array", one(Type="Pass", Result=1, ResultPath="$.a[1]"), {"a": [1, 2, 3]}, {"a": [1, 1, 3]}),
    ("into its element", one(Type="Pass", Result=1, ResultPath="$.a[0].b"), {"a": [{}]}, {"a": [{"b": 1}]}),
    ("replaced", one(Type="Pass", Result=1, ResultPath="$.a"), {"a": {"b": 2}}, {"a": 1}),
    (
        "a Choice with paths",
        machine(
            {
                "C": {
                    "Type": "Choice",
                    "InputPath": "$.in",
                    "OutputPath": "$.n",
                    "Choices": [{"Variable": "$.go", "BooleanEquals": True, "Next": "S"}],
                },
                "S": {"Type": "Succeed", "OutputPath": "$.m"},
            }
        ),
        {"in": {"go": True, "n": {"m": 1}}},
        1,
    ),
]


@pytest.mark.statement("stepfunctions.processing-order", "stepfunctions.result-path")
@pytest.mark.parametrize(
    ("definition", "data", "expected"), [flow[1:] for flow in FLOWS], ids=[flow[0] for flow in FLOWS]
)
def test_input_and_output_are_processed_in_order(machines, definition, data, expected):
    assert machines.output(definition, data) == expected


@pytest.mark.statement("stepfunctions.result-path-failure")
@pytest.mark.parametrize(
    ("path", "data"), [("$.a.b", {"a": 1}), ("$.b", [1]), ("$.a[3]", {"a": [1, 2, 3]}), ("$[0]", {"a": 1})]
)
def test_a_result_that_cannot_be_placed_fails_the_state(machines, path, data):
    assert machines.error(parallel(ResultPath=path), data) == "States.ResultPathMatchFailure"


@pytest.mark.statement("stepfunctions.context-object")
def test_the_context_object_tells_of_execution_state_and_machine(machines):
    names = ["Execution.Id", "Execution.Name", "Execution.Input", "Execution.RoleArn", "Execution.StartTime"]
    names += ["Execution.RedriveCount", "State.Name", "State.EnteredTime", "State.RetryCount"]
    names += ["StateMachine.Id", "StateMachine.Name"]
    arn = machines.create(one(Type="Pass", Parameters={f"{name}.$": f"$$.{name}" for name in names}))
    described = machines.ended(machines.start(arn, {"a": 1}, name="run"))
    found = json.loads(described["output"])
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"
    assert re.fullmatch(moment, found.pop("Execution.StartTime"))
    assert re.fullmatch(moment, found.pop("State.EnteredTime"))
    assert found == {
        "Execution.Id": described["executionArn"],
        "Execution.Name": "run",
        "Execution.Input": {"a": 1},
        "Execution.RoleArn": machines.role,
        "Execution.RedriveCount": 0,
        "State.Name": "A",
        "State.RetryCount": 0,
        "StateMachine.Id": arn,
        "StateMachine.Name": arn.rsplit(":", 1)[1],
    }


@pytest.mark.statement("stepfunctions.fail-paths")
def test_fail_takes_error_and_cause_as_they_are_or_from_paths(machines):
    fixed = machines.quick(machine({"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}))
    assert (fixed["error"], fixed["cause"]) == ("E", "C")
    paths = machine({"F": {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('because {}', $.c)"}})
    read = machines.quick(paths, {"e": "E2", "c": "C2"})
    assert (read["error"], read["cause"]) == ("E2", "because C2")
    assert machines.error(paths, {"e": 5, "c": "C"}) == "States.Runtime"
    assert machines.error(paths, {"c": "C"}) == "States.Runtime"


@pytest.mark.statement("stepfunctions.payload-limit")
@pytest.mark.parametrize(
    "states",
    [
        {"A": {"Type": "Pass", "Parameters": {"b.$": "$.a", "c": "longer than what is left"}, "End": True}},
        {"A": {"Type": "Parallel", "Branches": [machine({"B": END}), machine({"C": END})], "End": True}},
        {
            "A": {
                "Type": "Map",
                "ItemsPath": "$.n",
                "ItemSelector": {"all.$": "$", "again.$": "$"},
                "ItemProcessor": machine({"B": {"Type": "Pass", "Result": 1, "End": True}}),
                "End": True,
            }
        },
        {
            "A": {
                **task("aws-sdk:sqs:listQueues", {"QueueNamePrefix.$": "States.Format('{}{}', $.a, $.a)"})["States"][
                    "A"
                ],
            }
        },
        {
            "A": failing("E", cause="c", Catch=[{"ErrorEquals": ["E"], "ResultPath": "$.e", "Next": "B"}], Next="B"),
            "B": END,
        },
    ],
    ids=["Pass", "Parallel", "Map", "Task", "Catch"],
)
def test_what_is_passed_on_has_256_kibibytes_at_most(machines, states):
    text = "x" * (262_144 - len('{"a": "", "n": [1]}'))
    assert machines.error(machine(states), {"a": text, "n": [1]}) == "States.DataLimitExceeded"


@pytest.mark.statement("stepfunctions.payload-limit")
def test_256_kibibytes_can_be_passed_on_and_not_a_byte_more(machines):
    data = {"a": "é" * 40_000}
    room = 262_144 - len('{"a":"","b":""}') - 80_000
    fits = one(Type="Pass", Parameters={"a.$": "$.a", "b": "x" * room})
    assert len(machines.output(fits, data)["b"]) == room
    more = one(Type="Pass", Parameters={"a.$": "$.a", "b": "x" * (room + 1)})
    assert machines.error(more, data) == "States.DataLimitExceeded"
