"""Task resources: which are recognised, and how parameters, results and errors are translated."""

import io
from datetime import UTC, datetime

import botocore.session
import pytest
from botocore.exceptions import ClientError

from local_aws.stepfunctions import asl_resources
from local_aws.stepfunctions.asl_errors import StateFailed
from local_aws.stepfunctions.asl_resources import InvalidResource, parse_resource


def sdk(action: str) -> asl_resources.TaskResource:
    return parse_resource(f"arn:aws:states:::aws-sdk:{action}")


def optimized(action: str) -> asl_resources.TaskResource:
    return parse_resource(f"arn:aws:states:::{action}")


def client_error(code: str, status: int = 400) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": "It went wrong."},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1"},
    }
    return ClientError(response, "Operation")


@pytest.mark.parametrize(
    ("arn", "client", "operation", "pattern"),
    [
        ("arn:aws:states:::aws-sdk:glue:startCrawler", "glue", "StartCrawler", ""),
        ("arn:aws:states:::aws-sdk:sfn:startSyncExecution", "stepfunctions", "StartSyncExecution", ""),
        ("arn:aws:states:::aws-sdk:eventbridge:putEvents", "events", "PutEvents", ""),
        ("arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken", "sqs", "SendMessage", "waitForTaskToken"),
        ("arn:aws:states:::lambda:invoke", "lambda", "Invoke", ""),
        ("arn:aws:states:::states:startExecution.sync:2", "stepfunctions", "StartExecution", "sync:2"),
        ("arn:aws:states:::dynamodb:updateItem", "dynamodb", "UpdateItem", ""),
        ("arn:aws:lambda:eu-west-1:111122223333:function:name:$LATEST", "lambda", "Invoke", ""),
    ],
)
def test_a_resource_names_a_service_an_operation_and_a_pattern(arn, client, operation, pattern):
    resource = parse_resource(arn)
    assert (resource.client, resource.operation, resource.pattern) == (client, operation, pattern)


@pytest.mark.parametrize(
    "arn",
    [
        "not an arn",
        "arn:aws:states:::aws-sdk:glue:StartCrawler",
        "arn:aws:states:::aws-sdk:glue:startCrawlers",
        "arn:aws:states:::aws-sdk:glue:startJobRun.sync",
        "arn:aws:states:::aws-sdk:ec2:describeInstances",
        "arn:aws:states:::aws-sdk:sts:assumeRole",
        "arn:aws:states:::glue:startJobRun.sync",
        "arn:aws:states:::lambda:invoke.sync",
        "arn:aws:states:::dynamodb:query",
        "arn:aws:states:::http:invoke",
        "arn:aws:states:eu-west-1:111122223333:activity:work",
        "arn:aws:lambda:eu-west-1:111122223333:layer:name",
    ],
)
def test_an_unknown_resource_is_refused(arn: str):
    with pytest.raises(InvalidResource, match="not recognized"):
        parse_resource(arn)


def problems(resource: asl_resources.TaskResource, parameters: object) -> list[str]:
    return [f"{place} {text}" for place, text in asl_resources.parameter_problems(resource, parameters, "")]


def test_fields_that_an_api_does_not_have_are_found_before_it_is_called():
    assert problems(sdk("glue:startCrawler"), {"Name.$": "$.crawler"}) == []
    assert problems(sdk("glue:startCrawler"), {"CrawlerName": "x", "Name": "y"}) == [
        "/CrawlerName The field 'CrawlerName' is not supported by Step Functions"
    ]
    assert "required but was missing" in problems(sdk("glue:startCrawler"), {})[0]
    assert "INTEGER" in problems(sdk("glue:getTables"), {"DatabaseName": "d", "MaxResults": "9"})[0]
    nested = {"TableName": "t", "Key": {"unit": {"S.$": "$.unit", "Text": "x"}}}
    assert problems(optimized("dynamodb:getItem"), nested) == [
        "/Key/unit/Text The field 'Text' is not supported by Step Functions"
    ]
    assert "LogType" in problems(optimized("lambda:invoke"), {"FunctionName": "f", "LogType": "Tail"})[0]
    assert "must be an object" in problems(sdk("glue:startCrawler"), ["x"])[0]


def test_json_may_be_given_for_the_texts_of_optimized_integrations():
    assert problems(optimized("sqs:sendMessage"), {"QueueUrl": "u", "MessageBody": {"a.$": "$.b"}}) == []
    assert problems(sdk("sqs:sendMessage"), {"QueueUrl": "u", "MessageBody": {"a": 1}}) != []
    sent = asl_resources.request(optimized("sqs:sendMessage"), {"QueueUrl": "u", "MessageBody": {"a": 1}})
    assert sent == {"QueueUrl": "u", "MessageBody": '{"a":1}'}
    entries = {"Entries": [{"Detail": {"a": 1}, "DetailType": "T", "Source": "s"}]}
    assert asl_resources.request(optimized("events:putEvents"), entries)["Entries"][0]["Detail"] == '{"a":1}'


def test_parameters_take_the_names_of_the_api():
    started = asl_resources.request(sdk("sfn:startExecution"), {"StateMachineArn": "arn", "Input": "{}", "Name": "n"})
    assert started == {"stateMachineArn": "arn", "input": "{}", "name": "n"}
    invoked = asl_resources.request(optimized("lambda:invoke"), {"FunctionName": "f", "Payload": {"a": 1}})
    assert invoked == {"FunctionName": "f", "Payload": b'{"a":1}'}


def test_a_value_of_the_wrong_type_cannot_start_the_task():
    with pytest.raises(StateFailed) as raised:
        asl_resources.request(sdk("glue:startCrawler"), {"Name": 5})
    assert raised.value.error == "States.Runtime"
    assert "could not be used to start the Task" in raised.value.cause


def test_results_are_pascal_case_with_times_and_blobs_as_text():
    moment = datetime(2024, 5, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    response = {"executionArn": "arn", "startDate": moment, "ResponseMetadata": {"RequestId": "r"}}
    assert asl_resources.result(sdk("sfn:startExecution"), response) == {
        "ExecutionArn": "arn",
        "StartDate": "2024-05-01T10:00:00.250Z",
    }
    body = {"Body": io.BytesIO(b"text"), "ContentLength": 4, "LastModified": moment.replace(microsecond=0)}
    assert asl_resources.result(sdk("s3:getObject"), body) == {
        "Body": "text",
        "ContentLength": 4,
        "LastModified": "2024-05-01T10:00:00Z",
    }


@pytest.mark.parametrize(
    ("resource", "code", "name"),
    [
        (sdk("glue:startCrawler"), "CrawlerRunningException", "Glue.CrawlerRunningException"),
        (sdk("glue:startCrawler"), "ExpiredTokenException", "Glue.GlueException"),
        (sdk("lakeformation:grantPermissions"), "AccessDeniedException", "LakeFormation.AccessDeniedException"),
        (sdk("dynamodb:updateItem"), "ConditionalCheckFailedException", "DynamoDb.ConditionalCheckFailedException"),
        (sdk("dynamodb:updateItem"), "AccessDeniedException", "DynamoDb.DynamoDbException"),
        (sdk("s3:createBucket"), "BucketAlreadyExists", "S3.BucketAlreadyExistsException"),
        (sdk("s3:getObject"), "SlowDown", "S3.S3Exception"),
        (sdk("sfn:startExecution"), "ExecutionAlreadyExists", "Sfn.ExecutionAlreadyExistsException"),
        (sdk("ssm:getParameter"), "ParameterNotFound", "Ssm.ParameterNotFoundException"),
        (sdk("eventbridge:putRule"), "ResourceNotFoundException", "EventBridge.ResourceNotFoundException"),
        (sdk("ram:getResourceShares"), "UnknownResourceException", "Ram.UnknownResourceException"),
        (optimized("dynamodb:putItem"), "ConditionalCheckFailedException", "DynamoDB.ConditionalCheckFailedException"),
        (optimized("dynamodb:putItem"), "AccessDeniedException", "DynamoDB.AmazonDynamoDBException"),
        (optimized("lambda:invoke"), "TooManyRequestsException", "Lambda.TooManyRequestsException"),
        (optimized("lambda:invoke"), "AccessDeniedException", "Lambda.AWSLambdaException"),
        (optimized("states:startExecution"), "ExecutionAlreadyExists", "StepFunctions.ExecutionAlreadyExistsException"),
        (optimized("sqs:sendMessage"), "QueueDoesNotExist", "SQS.QueueDoesNotExistException"),
    ],
)
def test_errors_are_named_as_the_java_sdk_names_them(resource, code: str, name: str):
    model = botocore.session.get_session().get_service_model(resource.client)
    failure = asl_resources.failure(resource, client_error(code), model)
    assert failure.error == name
    assert failure.cause.startswith("It went wrong. (Service: ")
    assert "Request ID: r-1" in failure.cause


def test_an_error_with_two_codes_is_known_by_either():
    error = client_error("AWS.SimpleQueueService.NonExistentQueue")
    error.response["Error"]["QueryErrorCode"] = "QueueDoesNotExist"
    model = botocore.session.get_session().get_service_model("sqs")
    assert asl_resources.failure(sdk("sqs:sendMessage"), error, model).error == "Sqs.QueueDoesNotExistException"
