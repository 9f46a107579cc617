"""Definitions: what AWS takes is taken, what it refuses is refused with the place of the mistake."""

import json
import re
from pathlib import Path

import pytest

from local_aws.stepfunctions import asl_validation
from local_aws.stepfunctions.asl_validation import InvalidDefinition, check, parse

ROOT = Path(__file__).parents[2]
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:FailFunction"
END = {"Type": "Pass", "End": True}


def machine(states: dict, start: str | None = None, **fields: object) -> dict:
    return {"StartAt": start or next(iter(states)), "States": states, **fields}


def one(**state: object) -> dict:
    """A machine whose only state ends."""
    return machine({"A": {"End": True, **state}})


def task(**fields: object) -> dict:
    return one(Type="Task", Resource=FUNCTION, **fields)


def found(definition: object, kind: str = "STANDARD") -> list[str]:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    return [str(problem) for problem in parse(text, kind)[1]]


# The shapes of the developer guide's examples, state by state.
VALID = {
    "hello world": machine({"HelloWorld": {"Type": "Pass", "Result": "Hello World!", "End": True}}, Comment="x"),
    "version and timeout": machine({"A": END}, Version="1.0", TimeoutSeconds=300, QueryLanguage="JSONPath"),
    "pass with everything": one(
        Type="Pass",
        Comment="c",
        InputPath="$.a",
        Parameters={"x.$": "$.y", "z": {"w.$": "States.Format('{}', $$.Execution.Id)"}},
        ResultPath="$.b.c",
        OutputPath="$.b",
    ),
    "paths may be null": one(Type="Pass", InputPath=None, ResultPath=None, OutputPath=None),
    "paths into the context": one(Type="Pass", InputPath="$$", OutputPath="$$.Execution"),
    "retry after an error": task(
        Retry=[
            {"ErrorEquals": ["HandledError"], "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 2.0},
            {
                "ErrorEquals": ["States.Timeout"],
                "MaxAttempts": 0,
                "MaxDelaySeconds": 5,
                "JitterStrategy": "FULL",
                "Comment": "c",
            },
            {"ErrorEquals": ["States.ALL"]},
        ]
    ),
    "catch an error": machine(
        {
            "HelloWorld": {
                "Type": "Task",
                "Resource": FUNCTION,
                "Catch": [
                    {"ErrorEquals": ["java.lang.Exception"], "ResultPath": "$.error-info", "Next": "fallback"},
                    {"ErrorEquals": ["States.ALL"], "Next": "fallback"},
                ],
                "End": True,
            },
            "fallback": {"Type": "Pass", "Result": "Hello, AWS Step Functions!", "End": True},
        }
    ),
    "timeouts": task(TimeoutSeconds=300, HeartbeatSeconds=60),
    "timeouts from the input": task(TimeoutSecondsPath="$.t", HeartbeatSecondsPath="$.h"),
    "credentials": task(Credentials={"RoleArn": "arn:aws:iam::111122223333:role/LambdaRole"}),
    "credentials from the input": task(Credentials={"RoleArn.$": "$.roleArn"}),
    "credentials from a function": task(
        Credentials={"RoleArn.$": "States.Format('arn:aws:iam::{}:role/ROLENAME', $.accountId)"}
    ),
    "lambda invoke": one(
        Type="Task",
        Resource="arn:aws:states:::lambda:invoke",
        Parameters={"Payload.$": "$", "FunctionName": f"{FUNCTION}:$LATEST"},
        OutputPath="$.Payload",
    ),
    "sns publish": one(
        Type="Task",
        Resource="arn:aws:states:::sns:publish",
        Parameters={
            "TopicArn": "arn:aws:sns:us-east-2:123456789012:myTopic",
            "Message": "test message",
            "MessageAttributes": {"my attribute no 1": {"DataType": "String", "StringValue": "value"}},
        },
    ),
    "wait for a task token": one(
        Type="Task",
        Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        HeartbeatSeconds=600,
        Parameters={
            "QueueUrl": "https://sqs.us-east-2.amazonaws.com/123456789012/myQueue",
            "MessageBody": {"Message": "Hello", "TaskToken.$": "$$.Task.Token"},
        },
    ),
    "nested execution": one(
        Type="Task",
        Resource="arn:aws:states:::states:startExecution.sync:2",
        Parameters={
            "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:HelloWorld",
            "Input": {"Comment": "Hello world!", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$": "$$.Execution.Id"},
            "Name": "ExecutionName",
        },
    ),
    "put events": one(
        Type="Task",
        Resource="arn:aws:states:::events:putEvents",
        Parameters={
            "Entries": [{"Detail": {"Message": "MyMessage"}, "DetailType": "T", "EventBusName": "B", "Source": "s"}]
        },
    ),
    "get item": one(
        Type="Task",
        Resource="arn:aws:states:::dynamodb:getItem",
        Parameters={"TableName": "T", "Key": {"MessageId": {"S.$": "$.List[0]"}}},
    ),
    "result selector": task(ResultSelector={"flattenArray.$": "$[*][*]"}, ResultPath="$.out"),
    "choice": machine(
        {
            "ChoiceState": {
                "Type": "Choice",
                "Choices": [
                    {"Not": {"Variable": "$.type", "StringEquals": "Private"}, "Next": "Public"},
                    {
                        "And": [
                            {"Variable": "$.value", "IsPresent": True},
                            {"Variable": "$.value", "NumericGreaterThanEquals": 20},
                            {"Variable": "$.value", "NumericLessThan": 30},
                        ],
                        "Next": "ValueInTwenties",
                    },
                ],
                "Default": "RecordEvent",
            },
            "Public": END,
            "ValueInTwenties": END,
            "RecordEvent": {"Type": "Wait", "Seconds": 10, "Next": "Loop"},
            "Loop": {"Type": "Pass", "Next": "ChoiceState"},
        }
    ),
    "wait": machine(
        {
            "A": {"Type": "Wait", "Seconds": 10, "Next": "B"},
            "B": {"Type": "Wait", "Timestamp": "2016-03-14T01:59:00Z", "Next": "C"},
            "C": {"Type": "Wait", "TimestampPath": "$.expirydate", "Next": "D"},
            "D": {"Type": "Wait", "SecondsPath": "$.seconds", "End": True},
        }
    ),
    "succeed and fail": machine(
        {
            "C": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "F"}],
                "Default": "S",
            },
            "S": {"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"},
            "F": {"Type": "Fail", "Error": "ErrorA", "Cause": "Kaiju attack"},
        }
    ),
    "fail with paths": machine(
        {"F": {"Type": "Fail", "ErrorPath": "$.Error", "CausePath": "States.Format('It {}', $.Cause)"}}
    ),
    "parallel": one(
        Type="Parallel",
        Parameters={"a.$": "$.b"},
        Branches=[machine({"X": END}), machine({"Y": {"Type": "Pass", "Next": "Z"}, "Z": END})],
        ResultSelector={"all.$": "$"},
        Retry=[{"ErrorEquals": ["States.ALL"]}],
    ),
    "map": one(
        Type="Map",
        InputPath="$.detail",
        ItemsPath="$.shipped",
        MaxConcurrency=0,
        ResultPath="$.detail.shipped",
        ItemSelector={"parcel.$": "$$.Map.Item.Value", "courier.$": "$.delivery-partner"},
        ItemProcessor=machine({"Validate": END}, ProcessorConfig={"Mode": "INLINE"}),
    ),
    "map, older fields": one(
        Type="Map",
        ItemsPath="$$.Execution.Input.items",
        MaxConcurrencyPath="$.n",
        Parameters={"index.$": "$$.Map.Item.Index"},
        Iterator=machine({"Validate": END}),
    ),
}


@pytest.mark.parametrize("name", VALID)
def test_a_documented_definition_is_taken(name: str):
    assert found(VALID[name]) == []


def replaced(path: str) -> str:
    """A state machine of the product with its substitutions made."""
    text = (ROOT / "statemachines" / path).read_text()
    text = re.sub(r"\$\{\w*FunctionArn\}", FUNCTION, text)
    return re.sub(r"\$\{\w+\}", "name", text)


@pytest.mark.parametrize("path", sorted(path.name for path in (ROOT / "statemachines").glob("*.asl.json")))
def test_the_machines_of_the_product_are_taken_only_with_their_substitutions(path: str):
    assert found(replaced(path)) == []
    assert "Substitution" in found((ROOT / "statemachines" / path).read_text())[0]


REFUSED = {
    "not json": ("{", "INVALID_JSON_DESCRIPTION"),
    "not an object": ("[]", "INVALID_JSON_DESCRIPTION"),
    "duplicate field": ('{"StartAt": "A", "StartAt": "A", "States": {}}', "Duplicate field 'StartAt'"),
    "no states": ({"StartAt": "A", "States": {}}, "States is required"),
    "no StartAt": ({"States": {"A": END}}, "StartAt is required"),
    "StartAt to nowhere": (machine({"A": END}, "B"), "Missing 'StartAt' target: B at /StartAt"),
    "Next to nowhere": (machine({"A": {"Type": "Pass", "Next": "B"}}), "Missing 'Next' target: B at /States/A/Next"),
    "Default to nowhere": (
        machine(
            {
                "A": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "B"}],
                    "Default": "C",
                },
                "B": END,
            }
        ),
        "Missing 'Default' target: C",
    ),
    "catch to nowhere": (
        task(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "B"}]),
        "Missing 'Next' target: B at /States/A/Catch[0]/Next",
    ),
    "unreachable": (machine({"A": END, "B": END}), 'State "B" is not reachable. at /States/B'),
    "unreachable island": (
        machine({"A": END, "B": {"Type": "Pass", "Next": "C"}, "C": {"Type": "Pass", "Next": "B"}}),
        'State "C" is not reachable.',
    ),
    "no end": (machine({"A": {"Type": "Pass", "Next": "A"}}), "No terminal state"),
    "neither Next nor End": (machine({"A": {"Type": "Pass"}, "B": END}), "needs Next, or End"),
    "both Next and End": (machine({"A": {"Type": "Pass", "Next": "B", "End": True}, "B": END}), "both Next and End"),
    "End is false": (machine({"A": {"Type": "Pass", "End": False}, "B": END}), "needs Next, or End"),
    "unknown type": (machine({"A": {"Type": "Job", "End": True}}), "Type must be one of"),
    "unknown field of the machine": (machine({"A": END}, Name="x"), "Field 'Name' is not supported"),
    "unknown field of a state": (one(Type="Pass", Retries=[]), "Field 'Retries' is not supported"),
    "field of another state": (one(Type="Pass", Retry=[]), "Field 'Retry' is not supported"),
    "long name": (machine({"A" * 81: END}), "1 to 80 characters"),
    "name used twice": (
        one(Type="Parallel", Branches=[machine({"A": END})]),
        "Duplicate State name: A",
    ),
    "bad InputPath": (one(Type="Pass", InputPath="a.b"), "'InputPath' must be a valid path"),
    "InputPath is a number": (one(Type="Pass", InputPath=1), "'InputPath' must be a valid path"),
    "ResultPath is no reference path": (one(Type="Pass", ResultPath="$.a[*]"), "not a Reference Path"),
    "ResultPath into the context": (one(Type="Pass", ResultPath="$$.a"), "context object"),
    "bad path in Parameters": (one(Type="Pass", Parameters={"a.$": "b"}), "must be a valid JSONPath"),
    "unknown function": (one(Type="Pass", Parameters={"a.$": "States.Foo()"}), "unknown function States.Foo"),
    "left-over substitution": (one(Type="Pass", Result="${Name}"), "Substitution ${Name} was not replaced"),
    "Task without Resource": (one(Type="Task"), "needs a Resource"),
    "unknown resource": (one(Type="Task", Resource="arn:aws:states:::foo:bar"), "not recognized"),
    "left-over substitution in Resource": (one(Type="Task", Resource="${Arn}"), "Substitution ${Arn}"),
    "parameter that the API lacks": (
        one(Type="Task", Resource="arn:aws:states:::aws-sdk:glue:startCrawler", Parameters={"Crawler": "c"}),
        "The field 'Crawler' is not supported",
    ),
    "task token not passed": (
        one(
            Type="Task",
            Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            Parameters={"QueueUrl": "u", "MessageBody": "b"},
        ),
        "$$.Task.Token must be passed",
    ),
    "timeout of zero": (task(TimeoutSeconds=0), "TimeoutSeconds must be an integer from 1"),
    "timeout as text": (task(TimeoutSeconds="5"), "TimeoutSeconds must be an integer"),
    "two timeouts": (task(TimeoutSeconds=5, TimeoutSecondsPath="$.t"), "Only one of TimeoutSeconds"),
    "heartbeat longer than timeout": (task(TimeoutSeconds=5, HeartbeatSeconds=5), "less than TimeoutSeconds"),
    "credentials as text": (task(Credentials="arn:aws:iam::111122223333:role/r"), "Credentials must hold RoleArn"),
    "credentials with more": (task(Credentials={"RoleArn": "r", "ExternalId": "x"}), "Credentials must hold RoleArn"),
    "credentials with a bad path": (task(Credentials={"RoleArn.$": "role"}), "must be a valid JSONPath"),
    "retry is no array": (task(Retry={}), "Retry must be an array"),
    "retry without errors": (task(Retry=[{"ErrorEquals": []}]), "non-empty array of strings"),
    "retry with an unknown field": (task(Retry=[{"ErrorEquals": ["A"], "Delay": 1}]), "Field 'Delay'"),
    "unknown States error": (task(Retry=[{"ErrorEquals": ["States.Failed"]}]), "no error States.Failed"),
    "States.ALL not alone": (task(Retry=[{"ErrorEquals": ["States.ALL", "A"]}]), "States.ALL must appear alone"),
    "States.ALL not last": (
        task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]),
        "States.ALL must appear alone, and in the last",
    ),
    "backoff below one": (task(Retry=[{"ErrorEquals": ["A"], "BackoffRate": 0.5}]), "BackoffRate must be"),
    "negative attempts": (task(Retry=[{"ErrorEquals": ["A"], "MaxAttempts": -1}]), "MaxAttempts must be"),
    "interval of zero": (task(Retry=[{"ErrorEquals": ["A"], "IntervalSeconds": 0}]), "IntervalSeconds must be"),
    "unknown jitter": (task(Retry=[{"ErrorEquals": ["A"], "JitterStrategy": "HALF"}]), "JitterStrategy must be"),
    "catcher without Next": (task(Catch=[{"ErrorEquals": ["A"]}]), "A catcher needs a Next"),
    "Choice without Choices": (machine({"A": {"Type": "Choice"}, "B": END}), "needs Choices"),
    "Choice with empty Choices": (
        machine({"A": {"Type": "Choice", "Choices": [], "Default": "B"}, "B": END}),
        "needs Choices",
    ),
    "Choice with Next": (
        machine({"A": {"Type": "Choice", "Choices": [], "Next": "B"}, "B": END}),
        "Field 'Next' is not supported",
    ),
    "Wait without time": (one(Type="Wait"), "One of Seconds"),
    "Wait with two times": (one(Type="Wait", Seconds=1, SecondsPath="$.s"), "Only one of Seconds"),
    "Wait with a bad time": (one(Type="Wait", Timestamp="tomorrow"), "Timestamp must look like"),
    "Succeed with Next": (machine({"A": {"Type": "Succeed", "Next": "B"}, "B": END}), "Field 'Next' is not supported"),
    "Fail with two causes": (machine({"A": {"Type": "Fail", "Cause": "c", "CausePath": "$.c"}}), "Only one of Cause"),
    "Fail with a number": (machine({"A": {"Type": "Fail", "Error": 5}}), "Error must be a string"),
    "Fail with a function that gives no text": (
        machine({"A": {"Type": "Fail", "CausePath": "States.ArrayLength($.a)"}}),
        "does not return text",
    ),
    "Parallel without branches": (one(Type="Parallel"), "needs Branches"),
    "Parallel to outside a branch": (
        machine(
            {
                "A": {"Type": "Parallel", "Branches": [machine({"X": {"Type": "Pass", "Next": "B"}})], "Next": "B"},
                "B": END,
            }
        ),
        "Missing 'Next' target: B",
    ),
    "Map without processor": (one(Type="Map"), "One of ItemProcessor, Iterator is required"),
    "Map with both processors": (
        one(Type="Map", ItemProcessor=machine({"X": END}), Iterator=machine({"Y": END})),
        "Only one of ItemProcessor",
    ),
    "Map with both selectors": (
        one(Type="Map", ItemSelector={}, Parameters={}, Iterator=machine({"Y": END})),
        "Only one of ItemSelector",
    ),
    "Map with a list of paths": (
        one(Type="Map", ItemsPath="$.a[*]", Iterator=machine({"Y": END})),
        "not a Reference Path",
    ),
    "distributed Map": (
        one(Type="Map", ItemProcessor=machine({"X": END}, ProcessorConfig={"Mode": "DISTRIBUTED"})),
        "distributed Map is not built",
    ),
    "ItemReader": (one(Type="Map", ItemReader={}, Iterator=machine({"Y": END})), "distributed Map is not built"),
    "JSONata machine": (machine({"A": END}, QueryLanguage="JSONata"), "Only JSONPath is built"),
    "JSONata state": (one(Type="Pass", QueryLanguage="JSONata", Output="{% 1 %}"), "Only JSONPath is built"),
    "Arguments": (task(Arguments={}), "JSONata is not built"),
    "variables": (one(Type="Pass", Assign={"x": 1}), "workflow variables are not built"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_definition_with_a_mistake_is_refused(name: str):
    definition, why = REFUSED[name]
    assert any(why in problem for problem in found(definition)), found(definition)


def test_every_mistake_is_reported_at_once():
    definition = machine({"A": {"Type": "Pass", "Next": "B"}, "C": {"Type": "Task", "End": True}})
    with pytest.raises(InvalidDefinition) as raised:
        check(json.dumps(definition))
    message = str(raised.value)
    assert message.startswith("Invalid State Machine Definition: '")
    assert "Missing 'Next' target: B" in message
    assert "not reachable" in message
    assert "needs a Resource" in message


def test_express_machines_take_request_response_only():
    assert found(VALID["nested execution"], "EXPRESS") != []
    assert found(VALID["lambda invoke"], "EXPRESS") == []


def test_a_substitution_may_be_spoken_of_in_a_comment():
    assert found(one(Type="Pass", Comment="was ${Name}")) == []


def test_a_definition_of_more_than_one_megabyte_is_refused():
    assert "larger than 1 MB" in found(one(Type="Pass", Result="x" * (1024 * 1024)))[0]


def test_codes_and_locations_are_those_of_aws():
    (problem,) = asl_validation.parse(json.dumps(machine({"A": END, "B": END})))[1]
    assert (problem.code, problem.location) == ("MISSING_TRANSITION_TARGET", "/States/B")
