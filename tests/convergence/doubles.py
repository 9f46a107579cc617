"""The services that a mesh in this process has beside the local AWS's own engines: small, and as strict as AWS is.

Each has one method for an API operation that deployed code uses, by its name, and raises AwsError as AWS answers.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable
from typing import Any

from moto.iam.models import iam_backends

from local_aws.access import lookup
from local_aws.access.identity import Caller
from local_aws.athena.athena_workgroups import WorkGroups
from local_aws.wire import AwsError
from local_aws.world import World

CENTRAL = "555555555555"
REGION = "eu-west-1"


class Objects:
    """S3: bucket -> key -> bytes. `closed`: buckets whose policy does not admit us."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.closed: set[str] = set()

    def GetObject(self, caller: Caller, Bucket: str, Key: str) -> dict:
        found = self._bucket(Bucket)
        if Key not in found:
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
        return {"Body": io.BytesIO(found[Key])}

    def PutObject(self, caller: Caller, Bucket: str, Key: str, Body: bytes, ContentType: str = "") -> dict:
        self._bucket(Bucket)[Key] = bytes(Body)
        return {}

    def ListObjectsV2(
        self,
        caller: Caller,
        Bucket: str,
        Prefix: str = "",
        Delimiter: str = "",
        ContinuationToken: str = "",
    ) -> dict:
        entries: dict[str, bytes | None] = {}
        for key, body in sorted(self._bucket(Bucket).items()):
            if key.startswith(Prefix):
                name, slash, _ = key[len(Prefix) :].partition(Delimiter) if Delimiter else (key[len(Prefix) :], "", "")
                entries[f"{Prefix}{name}{slash}"] = None if slash else body
        names = sorted(name for name in entries if name > ContinuationToken)
        page = names[:1000]
        answer = {
            "CommonPrefixes": [{"Prefix": name} for name in page if entries[name] is None],
            "Contents": [
                {"Key": name, "Size": len(body), "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
                for name in page
                if (body := entries[name]) is not None
            ],
            "IsTruncated": len(names) > len(page),
        }
        return {**answer, "NextContinuationToken": page[-1]} if answer["IsTruncated"] else answer

    def _bucket(self, name: str) -> dict[str, bytes]:
        if name not in self.buckets:
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        if name in self.closed:
            raise AwsError("AccessDenied", "Access Denied", 403)
        return self.buckets[name]


class Identities:
    """What is asked of IAM: moto's backend."""

    def GetRole(self, caller: Caller, RoleName: str) -> dict:
        return {"Role": {"Arn": self._arn(caller, "role", RoleName)}}

    def GetUser(self, caller: Caller, UserName: str) -> dict:
        return {"User": {"Arn": self._arn(caller, "user", UserName)}}

    def ListRoles(self, caller: Caller, PathPrefix: str = "/") -> dict:
        roles = iam_backends[caller.account]["aws"].roles.values()
        return {"Roles": [{"RoleName": r.name, "Arn": r.arn} for r in roles if r.path.startswith(PathPrefix)]}

    def _arn(self, caller: Caller, kind: str, name: str) -> str:
        arn = lookup.iam_arn(caller.account, kind, name, "/")
        if lookup.iam_entity(arn) is None:
            raise AwsError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", 404)
        return arn


class Workgroups:
    """Athena, as far as workgroups go: those of the local AWS, none of which has queries but the `used`."""

    def __init__(self, world: World) -> None:
        self.used: set[str] = set()
        self._groups = WorkGroups(world, lambda group: group.name not in self.used)

    def GetWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self._groups.get(caller, params)

    def CreateWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self._groups.create(caller, params)

    def UpdateWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self._groups.update(caller, params)

    def DeleteWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self._groups.delete(caller, params)


class Buses:
    """EventBridge, as far as it takes events: kept, and delivered nowhere."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        """(bus, detail type, detail)"""

    def PutEvents(self, caller: Caller, Entries: list[dict]) -> dict:
        for entry in Entries:
            self.events.append((entry["EventBusName"], entry["DetailType"], json.loads(entry["Detail"])))
        return {"FailedEntryCount": 0, "Entries": [{"EventId": str(number)} for number, _ in enumerate(Entries)]}


class Topics:
    """SNS, as far as it is told something: kept, and delivered nowhere."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        """(topic ARN, subject, message)"""

    def Publish(self, caller: Caller, TopicArn: str, Subject: str, Message: str) -> dict:
        if not (0 < len(Subject) <= 100 and Subject.isascii() and Subject.isprintable()):
            raise AwsError("InvalidParameter", "Invalid parameter: Subject")
        self.told.append((TopicArn, Subject, Message))
        return {"MessageId": str(len(self.told))}


class Executions:
    """Step Functions, as far as executions are started, each name once a machine, and then by `start`; and task tokens
    are sent back, to `answer`, which says whether somebody waits for it."""

    def __init__(self, start: Callable[[str, str, dict], None], answer: Callable[[str, Any], bool]) -> None:
        self._start = start
        self._answer = answer
        self._known: dict[tuple[str, str], str] = {}

    def SendTaskSuccess(self, caller: Caller, taskToken: str, output: str) -> dict:
        if not self._answer(taskToken, json.loads(output)):
            raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return {}

    def StartExecution(self, caller: Caller, stateMachineArn: str, name: str, input: str) -> dict:
        machine = stateMachineArn.rpartition(":")[2]
        known = self._known.get((machine, name))
        if known is not None and known != input:
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{name}'")
        if known is None:
            self._known[machine, name] = input
            self._start(machine, name, json.loads(input))
        return {"executionArn": f"arn:aws:states:{REGION}:{CENTRAL}:execution:{machine}:{name}"}


class Functions:
    """Lambda, as far as the machines invoke it: the handlers themselves."""

    def __init__(self, handlers: dict[str, Callable[[dict, Any], Any]]) -> None:
        self._handlers = handlers

    def Invoke(self, caller: Caller, FunctionName: str, Payload: bytes) -> dict:
        event = json.loads(Payload)
        try:
            answer = self._handlers[FunctionName](event, Context())
        except Exception as error:  # noqa: BLE001 - what a function raises is an answer of Lambda
            failure = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return {
                "StatusCode": 200,
                "FunctionError": "Unhandled",
                "Payload": io.BytesIO(json.dumps(failure).encode()),
            }
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode())}


class Context:
    """What a function is told of its invocation."""

    function_name = "in-process"
    memory_limit_in_mb = 512
    invoked_function_arn = f"arn:aws:lambda:{REGION}:{CENTRAL}:function:in-process"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self, seconds: float = 840) -> None:
        self._until = time.time() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is ended, by the mesh's clock."""
        return int(1000 * max(0.0, self._until - time.time()))
