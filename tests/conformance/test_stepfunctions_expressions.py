"""Paths and functions that are none, and the forms of definitions that the developer guide shows."""

import pytest
from asl import END, FUNCTION, Machines, machine, one, task


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


PATHS = ["", "foo", "$foo", "$.", "$.a b", "$.a[", "$.a['x]", "$.a[]", "$.a[x]", "$.a[0", "$.a[0,]", "$.a[?(@.b]"]
PATHS += ["$.a.length()", "$.a[(@.length-1)]", "$.a[?(@.b =~ /x/)]", "$.a[?(1)]", "$.a[?(@.b ==)]", "$.a['b',c]"]
SEVERAL = ["$.a[*]", "$..a", "$.a[0,1]", "$.a[0:1]", "$.a[?(@.b)]", "$.a[-1]", "$['a','b']", "$['a','b'].c"]
FUNCTIONS = ["States.Unknown()", "States.Format", "States.Format('{}')", "States.Format('{} {', 1)", "States.Format(1)"]
FUNCTIONS += ["States.Format('{}', $.a", "States.Format('{}', $.a) and more", "States.Format('a\\b')", "States.UUID(1)"]
FUNCTIONS += [
    "States.MathAdd(1)",
    "States.ArrayLength()",
    "States.Array(1 2)",
    "plain text",
    "States.Format('{}', $.a[)",
]
FUNCTIONS += ["States.Array(" * 11 + ")" * 11, "States.Array('open)", "States.Array(what)", "States.Array(1,)"]
FUNCTIONS += ["States.MathAdd(1, 2, 3)", "States.Format('}', 1)", "States.Format('{}', 1, 2)", "States.Array[1]"]


@pytest.mark.statement("stepfunctions.paths")
@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_path_is_refused(machines, path):
    machines.refuses(one(Type="Pass", InputPath=path), "/States/A/InputPath")


@pytest.mark.statement("stepfunctions.reference-paths")
@pytest.mark.parametrize("path", SEVERAL)
def test_a_reference_path_names_one_node_only(machines, path):
    machines.refuses(one(Type="Pass", ResultPath=path), "/States/A/ResultPath")


@pytest.mark.statement("stepfunctions.functions")
@pytest.mark.parametrize("text", FUNCTIONS)
def test_what_is_no_function_of_the_language_is_refused(machines, text):
    machines.refuses(one(Type="Pass", Parameters={"x.$": text}), "/States/A/Parameters/x.$")


def of_function(**fields):
    return task(FUNCTION, **fields)


# -- the forms that the guide shows, state by state -------------------------------------------------------------------

VALID = {
    "grants": task(
        "aws-sdk:lakeformation:grantPermissions",
        {"Principal": {"DataLakePrincipalIdentifier.$": "$.p"}, "Resource": {"Catalog": {}}, "Permissions.$": "$.all"},
    ),
    "a Choice without Default": machine(
        {"A": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "B"}]}, "B": END}
    ),
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
    "retry after an error": of_function(
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
    "timeouts": of_function(TimeoutSeconds=300, HeartbeatSeconds=60),
    "timeouts from the input": of_function(TimeoutSecondsPath="$.t", HeartbeatSecondsPath="$.h"),
    "credentials": of_function(Credentials={"RoleArn": "arn:aws:iam::111122223333:role/LambdaRole"}),
    "credentials from the input": of_function(Credentials={"RoleArn.$": "$.roleArn"}),
    "credentials from a function": of_function(
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
    "result selector": of_function(ResultSelector={"flattenArray.$": "$[*][*]"}, ResultPath="$.out"),
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


@pytest.mark.statement("stepfunctions.documented")
@pytest.mark.parametrize("name", VALID)
def test_the_guides_forms_are_taken(machines, name):
    machines.takes(VALID[name])
