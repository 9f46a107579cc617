"""Doing a task's API call as the state machine's role, over the local AWS's own front: IAM applies to it."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from local_aws import asl_resources
from local_aws.asl_data_flow import TaskCall
from local_aws.asl_errors import RUNTIME, StateFailed
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.world import World

STATES = "states.amazonaws.com"
PATIENCE = Config(
    # A function may run for 15 minutes, and a call must not be made twice.
    read_timeout=960,
    retries={"total_max_attempts": 1},
    max_pool_connections=64,
    parameter_validation=True,
)
RENEW_BEFORE = timedelta(minutes=5)


class TaskClients:
    """boto3 clients of the roles that state machines run as."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._clients: dict[tuple, tuple[Any, datetime]] = {}
        self._guard = threading.Lock()

    def client(
        self, service: str, region: str, machine_role: str, task_role: str | None, machine_arn: str
    ) -> Any:
        """A client of the machine's role or, where a task has Credentials, of the role it assumes.

        Raises StateFailed States.Permissions if a role does not let itself be assumed.
        """
        key = (service, region, machine_role, task_role, machine_arn if task_role else "")
        with self._guard:
            cached = self._clients.get(key)
            if cached and cached[1] > self.world.now() + RENEW_BEFORE:
                return cached[0]
        try:
            session, expires = self._session(machine_role, region)
            if task_role:
                session, expires = self._assumed(session, task_role, machine_arn, region)
        except (AwsError, ClientError) as error:
            raise StateFailed("States.Permissions", f"The role cannot be assumed: {error}") from error
        client = session.client(service, config=PATIENCE)
        with self._guard:
            self._clients[key] = (client, expires)
        return client

    def _session(self, role_arn: str, region: str) -> tuple[Any, datetime]:
        session = self.world.session(role_arn, "states", STATES, region)
        return session, self.world.credentials[session.get_credentials().access_key].expires

    def _assumed(self, session: Any, role_arn: str, machine_arn: str, region: str) -> tuple[Any, datetime]:
        # Step Functions names the machine as ExternalId: developer guide, "Accessing cross-account resources".
        answer = session.client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName="states", ExternalId=machine_arn
        )
        issued = self.world.credentials[answer["Credentials"]["AccessKeyId"]]
        return self.world.session_of(issued, region), issued.expires


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
        raise asl_resources.failure(resource, error) from error
    except ParamValidationError as error:
        raise StateFailed(
            RUNTIME, f"The Parameters could not be used to start the Task: [{error}]"
        ) from error
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
