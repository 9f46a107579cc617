"""Custom resources: a function of the user's own that makes, changes and deletes something.

The function gets the documented request and PUTs its answer to the ResponseURL, which is served below `/_local/` while
it is awaited. Source: CloudFormation user guide, "Custom resource reference", "Request objects", "Response objects".
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
import uuid
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws import admin
from local_aws.cloudformation.cfn_intrinsics import text
from local_aws.cloudformation.cfn_resources import Made, NothingDone, Properties, ResourceFailed, ResourceType, Site

DEFAULT_TIMEOUT = 3600
"""Seconds until an answer that does not come fails the resource, unless ServiceTimeout says otherwise."""
ATTEMPTS = 3
"""A function that fails is invoked again, as any asynchronous invocation is; AWS waits minutes between, we do not."""
LONGEST_FUNCTION = 960
"""Seconds: a function runs 15 minutes at most, and may wait for a process first."""
MAX_ANSWER_BYTES = 4096


def _as_text(value: Any) -> Any:
    """Custom resources get every scalar as text."""
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return text(value)


def _ask(site: Site, request_type: str, properties: Properties, **more: Any) -> dict[str, Any]:
    """Send one request to the function and give its answer, whatever its Status. ResourceFailed if none comes."""
    answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    path = f"/_local/cfn-response/{secrets.token_hex(16)}"
    request = {
        "RequestType": request_type,
        "ServiceToken": properties["ServiceToken"],
        "ResponseURL": site.world.endpoint + path,
        "StackId": site.stack_id,
        "RequestId": str(uuid.uuid4()),
        "LogicalResourceId": site.logical_id,
        "ResourceType": site.resource_type,
        "ResourceProperties": _as_text(properties),
        **more,
    }

    def take_answer(_world: Any, _query: Any, answer: dict[str, Any]) -> dict[str, str]:
        answers.put(answer)
        return {}

    admin.ROUTES["PUT", path] = take_answer
    try:
        threading.Thread(target=_invoke, args=(site, request, answers), name="custom-resource", daemon=True).start()
        timeout = _timeout(properties)
        return _checked(_await(site, answers, timeout), request)
    finally:
        del admin.ROUTES["PUT", path]


def _timeout(properties: Properties) -> float:
    """ServiceTimeout: 1 to 3,600 seconds."""
    given = str(properties.get("ServiceTimeout", DEFAULT_TIMEOUT))
    if not given.isdigit() or not 1 <= int(given) <= DEFAULT_TIMEOUT:
        raise NothingDone(f"ServiceTimeout must be a number between 1 and {DEFAULT_TIMEOUT}, not {given}")
    return float(given)


def _invoke(site: Site, request: dict[str, Any], answers: queue.SimpleQueue) -> None:
    """Invoke the function until it returns; if it never does, its error is the answer."""
    functions = site.patient_client("lambda", LONGEST_FUNCTION)
    failure = ""
    for _ in range(ATTEMPTS):
        try:
            outcome = functions.invoke(FunctionName=request["ServiceToken"], Payload=json.dumps(request).encode())
        except (ClientError, BotoCoreError) as error:
            failure = str(error)
            break
        if "FunctionError" not in outcome:
            return
        failure = outcome["Payload"].read().decode()
    answers.put({"Failure": failure})


def _await(site: Site, answers: queue.SimpleQueue, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    while not site.world.stopping.is_set():
        try:
            return answers.get(timeout=min(0.5, max(0.01, deadline - time.monotonic())))
        except queue.Empty:
            if time.monotonic() > deadline:
                break
    raise ResourceFailed(
        "CloudFormation did not receive a response from your Custom Resource. Please check your logs for the request."
    )


def _checked(answer: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    if "Failure" in answer:
        raise ResourceFailed(f"The function of the custom resource failed without an answer: {answer['Failure']}")
    if len(json.dumps(answer).encode()) > MAX_ANSWER_BYTES:
        raise ResourceFailed("Response object is too long.")
    for key in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(key) != request[key]:
            raise ResourceFailed(f"Invalid response from the custom resource: {key} is not that of the request")
    if answer.get("Status") not in ("SUCCESS", "FAILED"):
        raise ResourceFailed(f"Invalid Status in the custom resource's response: {answer.get('Status')!r}")
    return answer


def _succeeded(answer: dict[str, Any]) -> Made:
    if answer["Status"] == "FAILED":
        raise ResourceFailed(
            "Received response status [FAILED] from custom resource. Message returned: "
            f"{answer.get('Reason') or 'no reason given'} (RequestId: {answer['RequestId']})"
        )
    physical_id = answer.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not physical_id:
        raise ResourceFailed("Invalid PhysicalResourceId")
    return Made(physical_id, answer.get("Data") or {})


def _create(site: Site, properties: Properties) -> Made:
    try:
        answer = _ask(site, "Create", properties)
    except NothingDone:
        raise
    except ResourceFailed:
        site.created(site.generated_name(128))  # what the function may have made is deleted under an id of our own
        raise
    site.created(answer.get("PhysicalResourceId") or site.generated_name(128))
    return _succeeded(answer)


def _update(site: Site, physical_id: str, old: Properties, new: Properties) -> Made:
    if old["ServiceToken"] != new["ServiceToken"]:
        raise NothingDone("Modifying service token is not allowed.")
    return _succeeded(_ask(site, "Update", new, PhysicalResourceId=physical_id, OldResourceProperties=_as_text(old)))


def _delete(site: Site, physical_id: str, properties: Properties) -> None:
    _succeeded(_ask(site, "Delete", properties, PhysicalResourceId=physical_id))


TYPES = {
    "AWS::CloudFormation::CustomResource": ResourceType(
        _create, _update, _delete, any_attribute=True, always_in_place=True
    ),
}
