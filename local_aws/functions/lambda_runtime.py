"""AWS Lambda: functions whose real code runs in real processes.

The API is here; what it keeps in `lambda_functions`, running in `lambda_runner`, processes in `lambda_sandbox`,
asynchronous invocations in `lambda_async`, event source mappings in `event_sources`.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.access import authorization, identity
from local_aws.access.callers import credentials_of
from local_aws.access.need import Need
from local_aws.functions.lambda_async import Event, Events
from local_aws.functions.lambda_functions import (
    ARN,
    LATEST,
    MAX_ZIPPED,
    NAME,
    Code,
    Function,
    Settings,
    check_destinations,
    check_principal,
    check_settings,
    invalid,
    not_found,
    permission_statement,
    store_code,
    with_configuration,
)
from local_aws.functions.lambda_runner import ACCOUNT_CONCURRENCY, PRINCIPAL, Runner
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

MAX_PAYLOAD = 6_291_456
MAX_EVENT_PAYLOAD = 1_048_576
UNRESERVED = 100
"""Executions of an account that no function may reserve."""


class Lambda:
    """The engine of the service `lambda`, but for event source mappings."""

    service = "lambda"

    def __init__(self, world: World) -> None:
        self.world = world
        self._functions: dict[tuple[str, str, str], Function] = {}
        """By account, Region, name."""
        self.runner = Runner(world)
        self.events = Events(self.runner)
        self._s3_clients: dict[str, Any] = {}
        self._guard = threading.Lock()

    # -- for other engines -----------------------------------------------------------------------------------------

    def invoke(
        self, function_arn: str, payload: bytes, service: str | None = None, source_arn: str | None = None
    ) -> tuple[bytes, str | None, str]:
        """Run a function and wait. Returns (payload, None or `Unhandled`, end of the log).

        With `service` (such as `events.amazonaws.com`) the function's policy must let that service invoke it, from
        `source_arn`. Raises AwsError ResourceNotFoundException, AccessDeniedException, TooManyRequestsException.
        """
        function, qualifier = self._by_arn(function_arn)
        if service:
            self._admit(function, function_arn, service, source_arn)
        outcome = self.runner.run(function, function.settings(qualifier), qualifier, payload)
        return outcome.payload, "Unhandled" if outcome.error else None, outcome.log.decode(errors="replace")[-4096:]

    def invoke_event(
        self, function_arn: str, payload: bytes, service: str | None = None, source_arn: str | None = None
    ) -> str:
        """Have a function run asynchronously, as EventBridge does. Returns the request id; errors as of `invoke`."""
        function, qualifier = self._by_arn(function_arn)
        if service:
            self._admit(function, function_arn, service, source_arn)
        function.settings(qualifier)
        event = Event(function, qualifier, str(uuid.uuid4()), payload, self.world.now())
        self.events.accept(event)
        return event.request_id

    def function_policy(self, account: str, region: str, name: str) -> dict[str, Any] | None:
        """All statements on a function, its versions and aliases (each names its resource), or None."""
        function = self._functions.get((account, region, name))
        if function is None:
            return None
        statements = [each for statements in function.policies.values() for each in statements.values()]
        return {"Version": "2012-10-17", "Statement": statements} if statements else None

    def function(self, arn: str) -> tuple[Function, Settings]:
        """A function and the settings that an ARN (with or without qualifier) means. Raises AwsError."""
        function, qualifier = self._by_arn(arn)
        return function, function.settings(qualifier)

    def prewarm(self, function_arn: str) -> None:
        """Have a process ready for a function that was just deployed."""
        self.runner.prewarm(self._by_arn(function_arn)[0])

    def _admit(self, function: Function, arn: str, service: str, source_arn: str | None) -> None:
        source_account = source_arn.split(":")[4] if source_arn else function.account
        self.world.authorize_service(
            service, "lambda:InvokeFunction", arn, source_arn or "", source_account or function.account
        )

    # -- finding functions -----------------------------------------------------------------------------------------

    def _by_arn(self, arn: str) -> tuple[Function, str | None]:
        found = ARN.fullmatch(arn)
        function = found and self._functions.get((found[2], found[1], found[3]))
        if not function:
            raise not_found(arn)
        return function, found[4]

    def find(self, caller: Caller, name: str, qualifier: str | None = None) -> tuple[Function, str | None]:
        """A function by name, partial ARN or ARN, each with or without a qualifier."""
        parts = name.split(":")
        if not name.startswith("arn:"):
            if len(parts) > 2 and parts[1] == "function":  # 123456789012:function:name
                account, parts = parts[0], parts[2:]
            else:
                account = caller.account
            name = f"arn:aws:lambda:{caller.region}:{account}:function:{':'.join(parts)}"
        function, of_name = self._by_arn(name)
        if qualifier and of_name and qualifier != of_name:
            raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
        return function, qualifier or of_name

    def _of(self, caller: Caller) -> list[Function]:
        place = (caller.account, caller.region)
        return sorted(
            (each for key, each in list(self._functions.items()) if key[:2] == place), key=lambda each: each.name
        )

    # -- functions -------------------------------------------------------------------------------------------------

    def CreateFunction(
        self,
        caller: Caller,
        FunctionName: str,
        Code: dict,
        Tags: dict | None = None,
        Publish: bool = False,
        **request: Any,
    ) -> dict:
        name = FunctionName.rsplit(":", 1)[-1]
        if not NAME.fullmatch(name):
            raise invalid(f"Value '{FunctionName}' at 'functionName' failed to satisfy constraint")
        for needed in ("Runtime", "Handler", "Role"):
            if needed not in request:
                raise invalid(f"{needed} is mandatory for functions created with deployment package type Zip.")
        code = self._code(caller, Code)
        settings = with_configuration(
            Settings(code, "", "", "", modified=self.world.now(), revision=str(uuid.uuid4())), request
        )
        key = (caller.account, caller.region, name)
        function = Function(name, caller.account, caller.region, settings, tags=dict(Tags or {}))
        self._check(function.arn, settings)
        with self._guard:
            if key in self._functions:
                raise AwsError("ResourceConflictException", f"Function already exist: {name}", 409)
            self._functions[key] = function
        if Publish:
            return self.PublishVersion(caller, name)
        return function.described(settings)

    def GetFunction(self, caller: Caller, FunctionName: str, Qualifier: str | None = None) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        settings = function.settings(qualifier)
        answer: dict[str, Any] = {
            "Configuration": function.described(settings, qualified=bool(qualifier)),
            "Code": {"RepositoryType": "S3", "Location": settings.code.package.as_uri()},
            "Tags": dict(function.tags),
        }
        if function.concurrency is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.concurrency}
        return answer

    def GetFunctionConfiguration(self, caller: Caller, FunctionName: str, Qualifier: str | None = None) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        return function.described(function.settings(qualifier), qualified=bool(qualifier))

    def UpdateFunctionCode(
        self,
        caller: Caller,
        FunctionName: str,
        Architectures: list[str] | None = None,
        Publish: bool = False,
        DryRun: bool = False,
        RevisionId: str | None = None,
        **source: Any,
    ) -> dict:
        function, _ = self.find(caller, FunctionName)
        code = self._code(caller, source)
        change = {"Architectures": Architectures} if Architectures else {}
        settings = with_configuration(replace(function.latest, code=code), change)
        if DryRun:
            return function.described(settings)
        self._change(function, settings, RevisionId)
        return self.PublishVersion(caller, function.name) if Publish else function.described(function.latest)

    def UpdateFunctionConfiguration(
        self, caller: Caller, FunctionName: str, RevisionId: str | None = None, **request: Any
    ) -> dict:
        function, _ = self.find(caller, FunctionName)
        self._change(function, with_configuration(function.latest, request), RevisionId)
        return function.described(function.latest)

    def _change(self, function: Function, settings: Settings, revision: str | None) -> None:
        if revision and revision != function.latest.revision:
            raise AwsError(
                "PreconditionFailedException", "The RevisionId provided does not match the latest RevisionId.", 412
            )
        self._check(function.arn, settings)
        function.latest = replace(settings, modified=self.world.now(), revision=str(uuid.uuid4()))
        self.runner.pool.end_idle(function.arn)

    def _check(self, function_arn: str, settings: Settings) -> None:
        check_settings(settings, self.world.state_dir)
        try:
            role = identity.assume_as_service(self.world, settings.role, "lambda", PRINCIPAL, function_arn).caller
        except AwsError as error:
            raise invalid(f"The role defined for the function cannot be assumed by Lambda. ({error.message})") from None
        if settings.dead_letters:
            service = settings.dead_letters.split(":")[2]
            action = {"sqs": "SendMessage", "sns": "Publish"}[service]
            if authorization.denial(self.world, role, Need(f"{service}:{action}", settings.dead_letters)):
                raise invalid(
                    f"The provided execution role does not have permissions to call {action} on {service.upper()}"
                )

    def _code(self, caller: Caller, source: dict[str, Any]) -> Code:
        """The package that a request brings or names. S3 is read as the caller."""
        if "ZipFile" in source:
            if len(source["ZipFile"]) > MAX_ZIPPED:
                message = f"Request must be smaller than {MAX_ZIPPED} bytes for the zipped file"
                raise AwsError("RequestEntityTooLargeException", message, 413)
            return store_code(source["ZipFile"], self.world.state_dir)
        if "S3Bucket" not in source or "S3Key" not in source:
            raise invalid("Please provide a source for function code.")
        version = {"VersionId": source["S3ObjectVersion"]} if "S3ObjectVersion" in source else {}
        try:
            stored = self._s3(caller).get_object(Bucket=source["S3Bucket"], Key=source["S3Key"], **version)
        except ClientError as error:
            fault = error.response["Error"]
            raise invalid(
                f"Error occurred while GetObject. S3 Error Code: {fault.get('Code')}. "
                f"S3 Error Message: {fault.get('Message')}"
            ) from None
        return store_code(stored["Body"].read(), self.world.state_dir)

    def _s3(self, caller: Caller) -> Any:
        """An S3 client with the caller's own credentials."""
        key = f"{caller.access_key} {caller.region}"
        if key not in self._s3_clients:  # a deployer makes many functions: a new client each time would cost more
            self._s3_clients.clear()
            session = self.world.session_of(credentials_of(self.world, caller), caller.region)
            self._s3_clients[key] = session.client("s3")
        return self._s3_clients[key]

    def DeleteFunction(self, caller: Caller, FunctionName: str, Qualifier: str | None = None) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        if qualifier:
            if qualifier == LATEST:
                raise invalid("$LATEST version cannot be deleted without deleting the function.")
            if not qualifier.isdigit():
                raise invalid(f"Value '{qualifier}' at 'qualifier' failed to satisfy constraint: a version's number")
            if any(alias["FunctionVersion"] == qualifier for alias in function.aliases.values()):
                raise AwsError("ResourceConflictException", f"Version {qualifier} is used by an alias", 409)
            function.settings(qualifier)
            function.versions.pop(qualifier, None)
        else:
            with self._guard:
                del self._functions[function.account, function.region, function.name]
                function.deleted = True
        self.runner.pool.end_idle(function.arn)
        return {"StatusCode": 204}

    def ListFunctions(
        self, caller: Caller, FunctionVersion: str | None = None, Marker: str | None = None, MaxItems: int = 50
    ) -> dict:
        listed = []
        for each in self._of(caller):
            listed.append(each.described(each.latest, qualified=FunctionVersion == "ALL"))
            if FunctionVersion == "ALL":
                listed += [each.described(settings, qualified=True) for settings in each.versions.values()]
        return _page("Functions", listed, Marker, MaxItems)

    # -- versions and aliases --------------------------------------------------------------------------------------

    def PublishVersion(
        self, caller: Caller, FunctionName: str, CodeSha256: str | None = None, Description: str | None = None
    ) -> dict:
        function, _ = self.find(caller, FunctionName)
        latest = function.latest
        if CodeSha256 and CodeSha256 != latest.code.sha256:
            raise invalid(
                f"CodeSHA256 ({CodeSha256}) is different from current CodeSHA256 in $LATEST ({latest.code.sha256}). "
                "Please try again with the CodeSHA256 in $LATEST."
            )
        with self._guard:
            newest = function.versions.get(str(function.published))
            if newest and replace(newest, version=LATEST, description=latest.description) == latest:
                return function.described(newest, qualified=True)
            function.published += 1
            version = str(function.published)
            published = replace(latest, version=version, description=Description or latest.description)
            function.versions[version] = published
        return function.described(published, qualified=True)

    def ListVersionsByFunction(
        self, caller: Caller, FunctionName: str, Marker: str | None = None, MaxItems: int = 50
    ) -> dict:
        function, _ = self.find(caller, FunctionName)
        versions = [function.latest, *function.versions.values()]
        return _page("Versions", [function.described(each, qualified=True) for each in versions], Marker, MaxItems)

    def CreateAlias(
        self, caller: Caller, FunctionName: str, Name: str, FunctionVersion: str, Description: str = ""
    ) -> dict:
        function, _ = self.find(caller, FunctionName)
        if Name in function.aliases:
            raise AwsError("ResourceConflictException", f"Alias already exists: {function.arn}:{Name}", 409)
        if Name.isdigit() or not NAME.fullmatch(Name):
            raise invalid(f"Value '{Name}' at 'name' failed to satisfy constraint")
        _check_version(function, FunctionVersion)
        return self._put_alias(function, Name, FunctionVersion, Description)

    def UpdateAlias(
        self,
        caller: Caller,
        FunctionName: str,
        Name: str,
        FunctionVersion: str | None = None,
        Description: str | None = None,
    ) -> dict:
        function, alias = self._alias(caller, FunctionName, Name)
        version = FunctionVersion or alias["FunctionVersion"]
        _check_version(function, version)
        return self._put_alias(function, Name, version, alias["Description"] if Description is None else Description)

    def _put_alias(self, function: Function, name: str, version: str, description: str) -> dict:
        function.aliases[name] = {
            "AliasArn": f"{function.arn}:{name}",
            "Name": name,
            "FunctionVersion": version,
            "Description": description,
            "RevisionId": str(uuid.uuid4()),
        }
        return dict(function.aliases[name])

    def _alias(self, caller: Caller, function_name: str, name: str) -> tuple[Function, dict]:
        function, _ = self.find(caller, function_name)
        if name not in function.aliases:
            raise AwsError("ResourceNotFoundException", f"Cannot find alias arn: {function.arn}:{name}", 404)
        return function, function.aliases[name]

    def GetAlias(self, caller: Caller, FunctionName: str, Name: str) -> dict:
        return dict(self._alias(caller, FunctionName, Name)[1])

    def ListAliases(
        self,
        caller: Caller,
        FunctionName: str,
        FunctionVersion: str | None = None,
        Marker: str | None = None,
        MaxItems: int = 50,
    ) -> dict:
        function, _ = self.find(caller, FunctionName)
        found = [each for each in function.aliases.values() if FunctionVersion in (None, each["FunctionVersion"])]
        return _page("Aliases", found, Marker, MaxItems)

    def DeleteAlias(self, caller: Caller, FunctionName: str, Name: str) -> None:
        function, _ = self.find(caller, FunctionName)
        function.aliases.pop(Name, None)
        function.policies.pop(Name, None)

    # -- policies, concurrency, tags, asynchronous settings ----------------------------------------------------------

    def AddPermission(
        self, caller: Caller, FunctionName: str, StatementId: str, Qualifier: str | None = None, **request: Any
    ) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        if qualifier == LATEST:
            raise invalid("We currently do not support adding policies for $LATEST.")
        function.settings(qualifier)
        check_principal(request["Principal"])
        statements = function.policies.setdefault(qualifier, {})
        if StatementId in statements:
            raise AwsError(
                "ResourceConflictException",
                f"The statement id ({StatementId}) provided already exists. Please provide a new statement id, or "
                "remove the existing statement.",
                409,
            )
        arn = f"{function.arn}:{qualifier}" if qualifier else function.arn
        statements[StatementId] = permission_statement(arn, {**request, "StatementId": StatementId}, caller.account)
        return {"Statement": json.dumps(statements[StatementId])}

    def RemovePermission(
        self, caller: Caller, FunctionName: str, StatementId: str, Qualifier: str | None = None
    ) -> None:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        if function.policies.get(qualifier, {}).pop(StatementId, None) is None:
            raise AwsError(
                "ResourceNotFoundException", f"Statement {StatementId} is not found in resource policy.", 404
            )

    def GetPolicy(self, caller: Caller, FunctionName: str, Qualifier: str | None = None) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        policy = function.policy(qualifier)
        if policy is None:
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return {"Policy": json.dumps(policy), "RevisionId": function.latest.revision}

    def PutFunctionConcurrency(self, caller: Caller, FunctionName: str, ReservedConcurrentExecutions: int) -> dict:
        function, _ = self.find(caller, FunctionName)
        reserved = sum(each.concurrency or 0 for each in self._of(caller) if each is not function)
        if reserved + ReservedConcurrentExecutions > ACCOUNT_CONCURRENCY - UNRESERVED:
            raise invalid(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{UNRESERVED}]."
            )
        function.concurrency = ReservedConcurrentExecutions
        return {"ReservedConcurrentExecutions": ReservedConcurrentExecutions}

    def GetFunctionConcurrency(self, caller: Caller, FunctionName: str) -> dict:
        function, _ = self.find(caller, FunctionName)
        return {} if function.concurrency is None else {"ReservedConcurrentExecutions": function.concurrency}

    def DeleteFunctionConcurrency(self, caller: Caller, FunctionName: str) -> None:
        self.find(caller, FunctionName)[0].concurrency = None

    def PutFunctionEventInvokeConfig(
        self, caller: Caller, FunctionName: str, Qualifier: str | None = None, **config: Any
    ) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        function.settings(qualifier)
        check_destinations(config.get("DestinationConfig", {}))
        function.invoke_configs[qualifier or LATEST] = {**config, "LastModified": self.world.now()}
        return self.GetFunctionEventInvokeConfig(caller, FunctionName, Qualifier)

    def GetFunctionEventInvokeConfig(self, caller: Caller, FunctionName: str, Qualifier: str | None = None) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        arn = f"{function.arn}:{qualifier or LATEST}"
        if (qualifier or LATEST) not in function.invoke_configs:
            raise AwsError("ResourceNotFoundException", f"The function {arn} doesn't have an EventInvokeConfig", 404)
        return {"FunctionArn": arn, **function.invoke_configs[qualifier or LATEST]}

    def DeleteFunctionEventInvokeConfig(self, caller: Caller, FunctionName: str, Qualifier: str | None = None) -> None:
        self.GetFunctionEventInvokeConfig(caller, FunctionName, Qualifier)
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        del function.invoke_configs[qualifier or LATEST]

    def TagResource(self, caller: Caller, Resource: str, Tags: dict) -> None:
        self._by_arn(Resource)[0].tags.update(Tags)

    def UntagResource(self, caller: Caller, Resource: str, TagKeys: list[str]) -> None:
        tags = self._by_arn(Resource)[0].tags
        for key in TagKeys:
            tags.pop(key, None)

    def ListTags(self, caller: Caller, Resource: str) -> dict:
        return {"Tags": dict(self._by_arn(Resource)[0].tags)}

    # -- invoking --------------------------------------------------------------------------------------------------

    def Invoke(
        self,
        caller: Caller,
        FunctionName: str,
        InvocationType: str = "RequestResponse",
        LogType: str = "None",
        Payload: bytes = b"",
        Qualifier: str | None = None,
        ClientContext: str | None = None,
    ) -> dict:
        function, qualifier = self.find(caller, FunctionName, Qualifier)
        settings = function.settings(qualifier)
        payload = _checked_payload(Payload, MAX_EVENT_PAYLOAD if InvocationType == "Event" else MAX_PAYLOAD)
        if InvocationType == "DryRun":
            return {"StatusCode": 204}
        if InvocationType == "Event":  # without the client context: it is for synchronous invocations only
            self.events.accept(Event(function, qualifier, str(uuid.uuid4()), payload, self.world.now()))
            return {"StatusCode": 202}
        context = base64.b64decode(ClientContext).decode() if ClientContext else None
        outcome = self.runner.run(function, settings, qualifier, payload, client_context=context)
        answer: dict[str, Any] = {"StatusCode": 200, "Payload": outcome.payload, "ExecutedVersion": settings.version}
        if outcome.error:
            answer["FunctionError"] = "Unhandled"
        if LogType == "Tail":
            answer["LogResult"] = base64.b64encode(outcome.log[-4096:]).decode()
        return answer


def _check_version(function: Function, version: str) -> None:
    """Raise AwsError unless an alias may point to this: a version's number or $LATEST, not another alias."""
    if version != LATEST and not version.isdigit():
        raise invalid(f"Value '{version}' at 'functionVersion' failed to satisfy constraint: (\\$LATEST|[0-9]+)")
    function.settings(version)


def _checked_payload(payload: Any, limit: int) -> bytes:
    payload = (
        payload if isinstance(payload, bytes) else payload.read() if hasattr(payload, "read") else str(payload).encode()
    )
    payload = payload or b"{}"
    if len(payload) > limit:
        raise AwsError(
            "RequestTooLargeException",
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
            413,
        )
    try:
        json.loads(payload)
    except ValueError as error:
        raise AwsError("InvalidRequestContentException", f"Could not parse request body into json: {error}") from None
    return payload


def _page(member: str, items: list[Any], marker: str | None, limit: int) -> dict[str, Any]:
    if marker is not None and not marker.isdigit():
        raise invalid("The provided marker is not valid.")
    start = int(marker or 0)
    following = {"NextMarker": str(start + limit)} if len(items) > start + limit else {}
    return {member: items[start : start + limit], **following}
