"""Doing a task's API call, over the local AWS's own front: IAM applies to it."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from local_aws.stepfunctions import asl_resources
from local_aws.stepfunctions.asl_data_flow import TaskCall
from local_aws.stepfunctions.asl_errors import RUNTIME, StateFailed


def perform(client: Any, call: TaskCall, resources: tuple[str, ...]) -> Any:
    """Make the call of a task and return the task's result (that of the job's start, for .sync).

    `resources` are the ARNs that putEvents adds to each entry. Raises StateFailed.
    """
    resource = call.resource
    if resource.kind == "function":
        answer = _invoke(
            resource, client, {"FunctionName": resource.arn, "Payload": json.dumps(call.parameters).encode()}
        )
        return answer["Payload"]
    parameters = asl_resources.request(resource, call.parameters)
    if resource.kind == "optimized" and resource.operation == "Invoke":
        return _invoke(resource, client, parameters)
    if resource.kind == "optimized" and resource.operation == "PutEvents":
        for entry in parameters["Entries"]:
            entry["Resources"] = [*entry.get("Resources", ()), *resources]
    result = asl_resources.result(resource, _call(resource, client, parameters))
    if resource.kind == "optimized" and result.get("FailedEntryCount"):
        raise StateFailed("EventBridge.FailedEntry", json.dumps(result))
    return result


def _call(resource: asl_resources.TaskResource, client: Any, parameters: dict) -> dict:
    method = next(
        name for name, operation in client.meta.method_to_api_mapping.items() if operation == resource.operation
    )
    try:
        return getattr(client, method)(**parameters)
    except ClientError as error:
        raise asl_resources.failure(resource, error, client.meta.service_model) from error
    except ParamValidationError as error:
        raise StateFailed(RUNTIME, f"The Parameters could not be used to start the Task: [{error}]") from error
    except BotoCoreError as error:
        prefix = (
            asl_resources.SDK_SERVICES[resource.service.removeprefix("aws-sdk:")].prefix
            if resource.kind == "sdk"
            else resource.integration.prefix
        )
        raise StateFailed(f"{prefix}.SdkClientException", str(error)) from error


def _invoke(resource: asl_resources.TaskResource, client: Any, parameters: dict) -> dict:
    """Invoke a function: its payload is JSON, and an error of the function is an error of the task."""
    result = asl_resources.result(resource, _call(resource, client, parameters))
    text = result.get("Payload") or "null"
    try:
        payload = json.loads(text)
    except ValueError:
        payload = text
    if result.get("FunctionError"):
        kind = payload.get("errorType") if isinstance(payload, dict) else None
        raise StateFailed(kind or "Lambda.Unknown", text)
    return {**result, "Payload": payload}
