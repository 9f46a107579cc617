"""Task resources: what the Resource field of a Task state may name, and its API's parameters and results.

Three kinds: the ARN of a Lambda function, an optimized integration (`arn:aws:states:::lambda:invoke`) and an
AWS SDK integration (`arn:aws:states:::aws-sdk:glue:startCrawler`). Parameters and results are in PascalCase,
whatever the service's own API. Sources: Step Functions developer guide, "Integrating services", "Learning
to use AWS service SDK integrations" (service names and error prefixes) and the pages of each integration.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from botocore.exceptions import ClientError
from moto.core.utils import get_service_model

from local_aws.stepfunctions.asl_errors import RUNTIME, StateFailed

LAMBDA_ARN = re.compile(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?")
STATES_ARN = re.compile(
    r"arn:aws:states:::(?P<sdk>aws-sdk:)?(?P<service>[a-z0-9-]+):(?P<action>[a-zA-Z0-9]+)(\.(?P<pattern>[a-zA-Z:0-9]+))?"
)
TOKEN = "waitForTaskToken"


@dataclass(frozen=True)
class SdkService:
    """A service as the SDK integrations name it: botocore's name, and the prefix of its error names."""

    client: str
    prefix: str


SDK_SERVICES = {
    "athena": SdkService("athena", "Athena"),
    "cloudformation": SdkService("cloudformation", "CloudFormation"),
    "cloudwatch": SdkService("cloudwatch", "CloudWatch"),
    "cloudwatchlogs": SdkService("logs", "CloudWatchLogs"),
    "dynamodb": SdkService("dynamodb", "DynamoDb"),
    "eventbridge": SdkService("events", "EventBridge"),
    "glue": SdkService("glue", "Glue"),
    "iam": SdkService("iam", "Iam"),
    "kms": SdkService("kms", "Kms"),
    "lakeformation": SdkService("lakeformation", "LakeFormation"),
    "lambda": SdkService("lambda", "Lambda"),
    "organizations": SdkService("organizations", "Organizations"),
    "ram": SdkService("ram", "Ram"),
    "s3": SdkService("s3", "S3"),
    "scheduler": SdkService("scheduler", "Scheduler"),
    "servicecatalog": SdkService("servicecatalog", "ServiceCatalog"),
    "sfn": SdkService("stepfunctions", "Sfn"),
    "sns": SdkService("sns", "Sns"),
    "sqs": SdkService("sqs", "Sqs"),
    "ssm": SdkService("ssm", "Ssm"),
    "sts": SdkService("sts", "Sts"),
}
SDK_REFUSES = {
    "lambda": {"InvokeAsync", "InvokeWithResponseStream"},
    "s3": {"SelectObjectContent"},
    "sts": {"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"},
}
"""Operations that the guide lists as unsupported, by service."""


@dataclass(frozen=True)
class Integration:
    """An optimized integration: its error names, its patterns, the parameters it takes."""

    client: str
    operation: str
    prefix: str
    java_service: str
    """The service's name in error causes, and (with `Exception`) the error that the API does not define."""
    java_exception: str
    patterns: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    """Those of the API that the integration takes; empty: all."""
    json_text: tuple[str, ...] = ()
    """Text parameters for which JSON may be given."""


def _dynamodb(operation: str) -> Integration:
    return Integration("dynamodb", operation, "DynamoDB", "AmazonDynamoDBv2", "AmazonDynamoDBException", patterns=("",))


OPTIMIZED = {
    "lambda:invoke": Integration(
        "lambda",
        "Invoke",
        "Lambda",
        "AWSLambda",
        "AWSLambdaException",
        patterns=("", TOKEN),
        parameters=("ClientContext", "FunctionName", "InvocationType", "Payload", "Qualifier"),
        json_text=("Payload",),
    ),
    "states:startExecution": Integration(
        "stepfunctions",
        "StartExecution",
        "StepFunctions",
        "AWSStepFunctions",
        "AWSStepFunctionsException",
        patterns=("", "sync", "sync:2", TOKEN),
        parameters=("Input", "Name", "StateMachineArn"),
        json_text=("Input",),
    ),
    "sqs:sendMessage": Integration(
        "sqs",
        "SendMessage",
        "SQS",
        "AmazonSQS",
        "AmazonSQSException",
        patterns=("", TOKEN),
        parameters=(
            "DelaySeconds",
            "MessageAttributes",
            "MessageBody",
            "MessageDeduplicationId",
            "MessageGroupId",
            "QueueUrl",
        ),
        json_text=("MessageBody",),
    ),
    "sns:publish": Integration(
        "sns",
        "Publish",
        "SNS",
        "AmazonSNS",
        "AmazonSNSException",
        patterns=("", TOKEN),
        json_text=("Message",),
    ),
    "events:putEvents": Integration(
        "events",
        "PutEvents",
        "EventBridge",
        "AmazonEventBridge",
        "AmazonEventBridgeException",
        patterns=("", TOKEN),
        parameters=("Entries",),
        json_text=("Detail",),
    ),
    "dynamodb:getItem": _dynamodb("GetItem"),
    "dynamodb:putItem": _dynamodb("PutItem"),
    "dynamodb:updateItem": _dynamodb("UpdateItem"),
    "dynamodb:deleteItem": _dynamodb("DeleteItem"),
}


class InvalidResource(ValueError):
    """No resource that a Task can use; the message says why."""


@dataclass(frozen=True)
class TaskResource:
    """A Resource field, taken apart."""

    arn: str
    kind: str
    """`function` (a Lambda function's ARN), `optimized` or `sdk`."""
    service: str
    """As the ARN writes it, and as the history's resourceType: `lambda`, `aws-sdk:glue`."""
    action: str
    pattern: str = ""
    """How long the task takes: "" (until the API answers), `sync`, `sync:2` or `waitForTaskToken`."""
    client: str = "lambda"
    operation: str = "Invoke"

    @property
    def name(self) -> str:
        """As the history's `resource`: the API action with its pattern."""
        return self.action + (f".{self.pattern}" if self.pattern else "")

    @property
    def integration(self) -> Integration:
        """The optimized integration; a function's ARN fails in the same words as `lambda:invoke`."""
        return OPTIMIZED["lambda:invoke" if self.kind == "function" else f"{self.service}:{self.action}"]


@lru_cache(maxsize=1024)
def parse_resource(arn: str) -> TaskResource:
    """Read a Resource field. Raises InvalidResource."""
    if LAMBDA_ARN.fullmatch(arn):
        return TaskResource(arn, "function", "lambda", arn)
    found = STATES_ARN.fullmatch(arn)
    if not found:
        raise InvalidResource(f"The resource provided {arn} is not recognized: not a valid resource ARN")
    service, action, pattern = found["service"], found["action"], found["pattern"] or ""
    if found["sdk"]:
        return _sdk_resource(arn, service, action, pattern)
    integration = OPTIMIZED.get(f"{service}:{action}")
    if integration is None:
        raise InvalidResource(
            f"The resource provided {arn} is not recognized, or not built in the local AWS, "
            f"which has {', '.join(sorted(OPTIMIZED))} and aws-sdk integrations"
        )
    if pattern not in integration.patterns:
        raise InvalidResource(f"The resource provided {arn} is not recognized: no .{pattern} for {action}")
    return TaskResource(arn, "optimized", service, action, pattern, integration.client, integration.operation)


def _sdk_resource(arn: str, service: str, action: str, pattern: str) -> TaskResource:
    if service not in SDK_SERVICES:
        raise InvalidResource(
            f"The resource provided {arn} is not recognized, or its service is not built in the local AWS"
        )
    if pattern not in ("", TOKEN):
        raise InvalidResource(f"The resource provided {arn} is not recognized: no .{pattern} here")
    client = SDK_SERVICES[service].client
    operation = action[0].upper() + action[1:]
    known = get_service_model(client).operation_names
    if action[0].isupper() or operation not in known or operation in SDK_REFUSES.get(service, ()):
        raise InvalidResource(f"The resource provided {arn} is not recognized: no action {action}")
    return TaskResource(arn, "sdk", f"aws-sdk:{service}", action, pattern, client, operation)


# --- parameters


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


def _members(shape: Any) -> dict[str, str]:
    return {_pascal(name): name for name in shape.members}


def parameter_problems(resource: TaskResource, template: Any, location: str) -> Iterator[tuple[str, str]]:
    """(location, message) of each static mistake in a task's Parameters: unknown and missing fields."""
    if resource.kind == "function":
        return
    if not isinstance(template, dict):
        yield location, "Parameters of a service integration must be an object"
        return
    shape = get_service_model(resource.client).operation_model(resource.operation).input_shape
    allowed = resource.integration.parameters if resource.kind == "optimized" else ()
    json_text = resource.integration.json_text if resource.kind == "optimized" else ()
    if allowed:
        for name in template:
            if name.removesuffix(".$") not in allowed:
                yield f"{location}/{name}", _unsupported(name)
    if shape is not None:
        yield from _shape_problems(shape, template, location, json_text)


def _unsupported(name: str) -> str:
    return f"The field '{name.removesuffix('.$')}' is not supported by Step Functions"


def _shape_problems(shape: Any, template: Any, location: str, json_text: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if shape.type_name == "structure":
        if not isinstance(template, dict):
            yield location, "The value must be an object"
            return
        members = _members(shape)
        for name, value in template.items():
            here = f"{location}/{name}"
            plain = name.removesuffix(".$")
            if plain not in members:
                yield here, _unsupported(name)
            elif name == plain and plain not in json_text:
                yield from _shape_problems(shape.members[members[plain]], value, here, json_text)
        given = {name.removesuffix(".$") for name in template}
        for name in shape.required_members:
            if _pascal(name) not in given:
                yield location, f"The field '{_pascal(name)}' is required but was missing"
    elif shape.type_name == "list":
        if not isinstance(template, list):
            yield location, "The value must be an array"
            return
        for index, element in enumerate(template):
            yield from _shape_problems(shape.member, element, f"{location}[{index}]", json_text)
    elif shape.type_name == "map":
        if not isinstance(template, dict):
            yield location, "The value must be an object"
            return
        for name, value in template.items():
            if not name.endswith(".$"):
                yield from _shape_problems(shape.value, value, f"{location}/{name}", json_text)
    elif not _fits(shape.type_name, template):
        yield location, f"The value must be of type {shape.type_name.upper()}"


def _fits(type_name: str, value: Any) -> bool:
    if type_name in ("string", "timestamp", "blob"):
        return isinstance(value, str)
    if type_name == "boolean":
        return isinstance(value, bool)
    if type_name in ("integer", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def request(resource: TaskResource, parameters: Any) -> dict:
    """The parameters of the API call in botocore's names.

    Raises StateFailed States.Runtime for what the API has no place for: as on AWS no Catch helps.
    """
    shape = get_service_model(resource.client).operation_model(resource.operation).input_shape
    json_text = resource.integration.json_text if resource.kind == "optimized" else ()
    if shape is None:
        return {}
    problems = list(_shape_problems(shape, parameters, "", json_text))
    if problems:
        where, message = problems[0]
        raise StateFailed(
            RUNTIME,
            f"The Parameters '{json.dumps(parameters)}' could not be used to start the Task: "
            f"[{message} ({where or 'at the top'})]",
        )
    return _to_botocore(shape, parameters, json_text)


def _to_botocore(shape: Any, value: Any, json_text: tuple[str, ...]) -> Any:
    if shape.type_name == "structure":
        members = _members(shape)
        converted = {}
        for name, field in value.items():
            member = shape.members[members[name]]
            if name in json_text:
                as_text = field if isinstance(field, str) and name != "Payload" else _compact(field)
                converted[members[name]] = as_text.encode() if member.type_name == "blob" else as_text
            else:
                converted[members[name]] = _to_botocore(member, field, json_text)
        return converted
    if shape.type_name == "list":
        return [_to_botocore(shape.member, element, json_text) for element in value]
    if shape.type_name == "map":
        return {name: _to_botocore(shape.value, field, json_text) for name, field in value.items()}
    if shape.type_name == "blob":
        return value.encode()
    return value


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# --- results


def result(resource: TaskResource, response: dict) -> dict:
    """botocore's response as a task's result: PascalCase names, timestamps and blobs as text."""
    shape = get_service_model(resource.client).operation_model(resource.operation).output_shape
    metadata = response.get("ResponseMetadata", {})
    output = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    converted = _from_botocore(shape, output) if shape is not None else {}
    if resource.kind == "optimized":
        converted["SdkHttpMetadata"] = {"HttpStatusCode": metadata.get("HTTPStatusCode", 200)}
        converted["SdkResponseMetadata"] = {"RequestId": metadata.get("RequestId", "")}
    return converted


def _from_botocore(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure":
        return {
            _pascal(name): _from_botocore(shape.members[name], field)
            for name, field in value.items()
            if name in shape.members
        }
    if shape.type_name == "list":
        return [_from_botocore(shape.member, element) for element in value]
    if shape.type_name == "map":
        return {name: _from_botocore(shape.value, field) for name, field in value.items()}
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return instant(value)
    return float(value) if isinstance(value, Decimal) else value


def instant(moment: datetime) -> str:
    """ISO 8601 in UTC, with milliseconds only where there are any."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


# --- errors


def failure(resource: TaskResource, error: ClientError, model: Any) -> StateFailed:
    """The error and cause that Step Functions reports for an API's error.

    `model` is botocore's own service model: which errors the API defines decides on the name.
    """
    details = error.response["Error"]
    code, message = details.get("Code", "Unknown"), details.get("Message", "")
    known_as = {code, details.get("QueryErrorCode")}  # SQS has another code for its older protocol
    metadata = error.response.get("ResponseMetadata", {})
    status, request_id = metadata.get("HTTPStatusCode", 400), metadata.get("RequestId", "")
    if resource.kind == "sdk":
        prefix = SDK_SERVICES[resource.service.removeprefix("aws-sdk:")].prefix
        name = _exception_name(model, known_as) or f"{prefix}Exception"
        where = f"Service: {prefix}, Status Code: {status}, Request ID: {request_id}"
        return StateFailed(f"{prefix}.{name}", f"{message} ({where}) (SDK Attempt Count: 1)")
    integration = resource.integration
    name = _exception_name(model, known_as) or integration.java_exception
    where = (
        f"Service: {integration.java_service}; Status Code: {status}; Error Code: {code}; "
        f"Request ID: {request_id}; Proxy: null"
    )
    return StateFailed(f"{integration.prefix}.{name}", f"{message} ({where})")


def _exception_name(model: Any, codes: set[str | None]) -> str | None:
    """The exception class that the Java SDK makes of an error, or None if the API defines no such."""
    for shape in model.error_shapes:
        if shape.name in codes or shape.error_code in codes:
            name = _pascal(shape.name)
            return name if name.endswith("Exception") else name.removesuffix("Fault") + "Exception"
    return None
