"""AWS Step Functions: state machines and their executions, interpreted here (asl_*.py).

Not built, and refused by the allow-list: activities, versions and aliases, Map runs, TestState, customer keys.
An execution may stay open longer than AWS's year.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from local_aws.access import identity
from local_aws.stepfunctions import asl_history, asl_logging, asl_validation
from local_aws.stepfunctions.asl_data_flow import MAX_PAYLOAD_BYTES
from local_aws.stepfunctions.asl_errors import StateFailed
from local_aws.stepfunctions.asl_executions import STATES, Execution, Executions, Machine, TaskToken
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,80}")
MACHINE_ARN = re.compile(r"arn:aws:states:[a-z0-9-]+:\d{12}:stateMachine:[^:/]+")
EXECUTION_ARN = re.compile(r"arn:aws:states:[a-z0-9-]+:\d{12}:(execution:[^:]+:[^:]+|express:.+)")
NAME_KEPT = timedelta(days=90)
TOKEN_KEPT = timedelta(minutes=15)
EXPRESS_LIMIT = 300.0
PAGE = 100


@dataclass
class Stored:
    """A state machine in the account, and what may change of it."""

    machine: Machine
    tags: dict[str, str] = field(default_factory=dict)
    deleting: bool = False


class StepFunctions:
    """Engine of Step Functions."""

    service = "stepfunctions"

    def __init__(self, world: World) -> None:
        self.world = world
        self._machines: dict[str, Stored] = {}
        self._executions = Executions(world, self._changed)
        world.busy_checks.append(self._executions.busy)
        world.waiting_checks.append(self._executions.waiting)

    # -- for other engines and the admin API

    def start(self, state_machine_arn: str, input_json: str, name: str | None = None) -> str:
        """Start an execution, whoever asks (the caller has checked that), and return its ARN. Raises AwsError."""
        execution = self._start(self._stored(state_machine_arn), input_json, name)
        return execution.arn

    def executions(self) -> list[dict]:
        """All executions of all accounts, oldest first, times as ISO 8601 text."""
        return [
            {
                "stateMachine": each.machine.name,
                "account": each.machine.account,
                "arn": each.arn,
                "name": each.name,
                "status": each.status,
                "error": each.error,
                "cause": each.cause,
                "start": each.started.isoformat(),
                "stop": each.stopped.isoformat() if each.stopped else None,
                "redrives": each.redrives,
                "transitions": each.run.transitions if each.run else 0,
            }
            for each in list(self._executions.by_arn.values())
        ]

    # -- state machines

    def CreateStateMachine(self, caller: Caller, **params: Any) -> dict:
        name, kind = params["name"], params.get("type", "STANDARD")
        if not NAME.fullmatch(name):
            raise AwsError("InvalidName", f"Invalid Name: '{name}'")
        definition = self._checked_definition(params["definition"], kind)
        arn = f"arn:aws:states:{caller.region}:{caller.account}:stateMachine:{name}"
        logging = asl_logging.checked(params.get("loggingConfiguration"))
        self._check_role(params["roleArn"], arn, logging)
        tracing = params.get("tracingConfiguration", {"enabled": False})
        now = self.world.now()
        machine = Machine(
            arn=arn,
            name=name,
            account=caller.account,
            region=caller.region,
            kind=kind,
            role_arn=params["roleArn"],
            definition=definition,
            text=params["definition"],
            revision="",
            created=now,
            updated=now,
            logging=logging,
            tracing=tracing,
        )
        with self.world.lock:
            existing = self._machines.get(arn)
            if existing is None:
                self._machines[arn] = Stored(machine, {tag["key"]: tag["value"] for tag in params.get("tags", ())})
            elif existing.deleting:
                raise AwsError("StateMachineDeleting", f"State Machine is deleting: '{arn}'")
            elif not _same(existing.machine, machine):
                raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
            else:
                machine = existing.machine
        return {"stateMachineArn": arn, "creationDate": machine.created}

    def UpdateStateMachine(self, caller: Caller, stateMachineArn: str, **params: Any) -> dict:
        machine = self._stored(stateMachineArn, caller).machine
        if not params:
            raise AwsError("MissingRequiredParameter", "Either the definition or the role ARN must be specified")
        changes: dict[str, Any] = {"updated": self.world.now(), "revision": str(uuid.uuid4())}
        if "definition" in params:
            changes["definition"] = self._checked_definition(params["definition"], machine.kind)
            changes["text"] = params["definition"]
        if "loggingConfiguration" in params:
            changes["logging"] = asl_logging.checked(params["loggingConfiguration"])
        if "roleArn" in params:
            changes["role_arn"] = params["roleArn"]
        if "roleArn" in params or "loggingConfiguration" in params:
            role, logging = changes.get("role_arn", machine.role_arn), changes.get("logging", machine.logging)
            self._check_role(role, stateMachineArn, logging)
        if "tracingConfiguration" in params:
            changes["tracing"] = params["tracingConfiguration"]
        with self.world.lock:
            stored = self._stored(stateMachineArn, caller)
            stored.machine = Machine(**{**stored.machine.__dict__, **changes})
        return {"updateDate": changes["updated"], "revisionId": changes["revision"]}

    def DescribeStateMachine(self, caller: Caller, stateMachineArn: str, includedData: str = "") -> dict:
        stored = self._stored(stateMachineArn, caller, deleting=True)
        machine = stored.machine
        shown = {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "DELETING" if stored.deleting else "ACTIVE",
            "roleArn": machine.role_arn,
            "type": machine.kind,
            "creationDate": machine.created,
            "loggingConfiguration": machine.logging,
            "tracingConfiguration": machine.tracing,
            "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
            "definition": "{}" if includedData == "METADATA_ONLY" else machine.text,
        }
        return {**shown, "revisionId": machine.revision} if machine.revision else shown

    def DeleteStateMachine(self, caller: Caller, stateMachineArn: str) -> dict:
        """Deleted once its executions have ended, as AWS does. One that is not there is no error."""
        _check_arn(MACHINE_ARN, stateMachineArn)
        with self.world.lock:
            stored = self._machines.get(stateMachineArn)
            if stored is not None:
                self._owned(stateMachineArn, caller)
                stored.deleting = True
                self._remove_if_idle(stored)
        return {}

    def ListStateMachines(self, caller: Caller, maxResults: int = PAGE, nextToken: str | None = None) -> dict:
        with self.world.lock:
            machines = [
                stored.machine
                for stored in self._machines.values()
                if (stored.machine.account, stored.machine.region) == (caller.account, caller.region)
            ]
        machines.sort(key=lambda machine: machine.name)
        page, token = _page(machines, maxResults, nextToken)
        shown = [
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": machine.kind,
                "creationDate": machine.created,
            }
            for machine in page
        ]
        return _with_token({"stateMachines": shown}, token)

    def ValidateStateMachineDefinition(
        self, caller: Caller, definition: str, type: str = "STANDARD", severity: str = "ERROR", maxResults: int = 0
    ) -> dict:
        problems = asl_validation.parse(definition, type)[1]
        shown = problems[:maxResults] if maxResults else problems
        return {
            "result": "FAIL" if problems else "OK",
            "diagnostics": [
                {
                    "severity": "ERROR",
                    "code": problem.code,
                    "message": problem.message,
                    "location": problem.location,
                }
                for problem in shown
            ],
            "truncated": len(shown) < len(problems),
        }

    # -- executions

    def StartExecution(
        self,
        caller: Caller,
        stateMachineArn: str,
        input: str = "{}",
        name: str | None = None,
    ) -> dict:
        execution = self._start(self._stored(stateMachineArn, caller), input, name)
        return {"executionArn": execution.arn, "startDate": execution.started}

    def StartSyncExecution(
        self,
        caller: Caller,
        stateMachineArn: str,
        input: str = "{}",
        name: str | None = None,
    ) -> dict:
        stored = self._stored(stateMachineArn, caller)
        if stored.machine.kind != "EXPRESS":
            raise AwsError(
                "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"
            )
        execution = self._start(stored, input, name)
        if not execution.ended.wait(EXPRESS_LIMIT):
            self._executions.stop(execution, "States.Timeout", "The execution ran longer than five minutes")
        stopped = execution.stopped or self.world.now()
        milliseconds = int((stopped - execution.started).total_seconds() * 1000)
        return {
            **_described(execution),
            "stopDate": stopped,
            "status": "TIMED_OUT" if execution.status == "ABORTED" else execution.status,
            "billingDetails": {
                "billedMemoryUsedInMB": 64,
                "billedDurationInMilliseconds": max(100, -(-milliseconds // 100) * 100),
            },
        }

    def StopExecution(
        self, caller: Caller, executionArn: str, error: str | None = None, cause: str | None = None
    ) -> dict:
        execution = self._execution(executionArn, caller)
        self._executions.stop(execution, error, cause)
        return {"stopDate": execution.stopped}

    def RedriveExecution(self, caller: Caller, executionArn: str, clientToken: str | None = None) -> dict:
        """Continue an execution that did not succeed from where it failed. A client token that came in the last 15
        minutes redrives nothing again."""
        with self.world.lock:
            execution = self._execution(executionArn, caller)
            now = self.world.now()
            earlier = execution.redrive_tokens.get(clientToken or "")
            if earlier is not None and now <= earlier + TOKEN_KEPT:
                return {"redriveDate": earlier}
            reason = asl_history.why_not_redrivable(execution, now, deleting=self._is_deleting(execution))
            if reason:
                raise AwsError("ExecutionNotRedrivable", f"{reason}: '{executionArn}'")
            self._executions.redrive(execution)
            redriven = execution.redriven or now
            if clientToken:
                execution.redrive_tokens[clientToken] = redriven
        return {"redriveDate": redriven}

    def DescribeExecution(self, caller: Caller, executionArn: str, includedData: str = "") -> dict:
        execution = self._execution(executionArn, caller)
        redrive = asl_history.redrive_status(execution, self.world.now(), deleting=self._is_deleting(execution))
        shown = {**_described(execution), **{key: value for key, value in redrive.items() if value is not None}}
        if includedData == "METADATA_ONLY":
            return {key: value for key, value in shown.items() if key not in ("input", "output", "cause")}
        return shown

    def ListExecutions(
        self,
        caller: Caller,
        stateMachineArn: str,
        statusFilter: str | None = None,
        redriveFilter: str | None = None,
        maxResults: int = PAGE,
        nextToken: str | None = None,
    ) -> dict:
        """Newest first: by when they ended, and by when they were started or redriven if they still run."""
        machine = self._stored(stateMachineArn, caller, deleting=True).machine
        if machine.kind == "EXPRESS":
            raise AwsError(
                "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"
            )
        matching = [
            each
            for each in reversed(list(self._executions.by_arn.values()))
            if each.machine.arn == machine.arn
            and statusFilter in (None, each.status)
            and redriveFilter in (None, "REDRIVEN" if each.redrives else "NOT_REDRIVEN")
        ]
        matching.sort(key=_latest, reverse=True)
        page, token = _page(matching, maxResults, nextToken)
        keys = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate")
        shown = [
            {
                **{key: value for key, value in _described(each).items() if key in keys},
                "redriveCount": each.redrives,
                **({"redriveDate": each.redriven} if each.redriven else {}),
            }
            for each in page
        ]
        return _with_token({"executions": shown}, token)

    def GetExecutionHistory(
        self,
        caller: Caller,
        executionArn: str,
        maxResults: int = PAGE,
        reverseOrder: bool = False,
        nextToken: str | None = None,
        includeExecutionData: bool = True,
    ) -> dict:
        execution = self._execution(executionArn, caller)
        events = list(execution.history)
        if reverseOrder:
            events.reverse()
        page, token = _page(events, maxResults, nextToken)
        shown = [asl_history.history_event(execution, event, with_data=includeExecutionData) for event in page]
        return _with_token({"events": shown}, token)

    def DescribeStateMachineForExecution(self, caller: Caller, executionArn: str) -> dict:
        machine = self._execution(executionArn, caller).machine
        shown = {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "definition": machine.text,
            "roleArn": machine.role_arn,
            "updateDate": machine.updated,
            "loggingConfiguration": machine.logging,
            "tracingConfiguration": machine.tracing,
        }
        return {**shown, "revisionId": machine.revision} if machine.revision else shown

    # -- task tokens

    def SendTaskSuccess(self, caller: Caller, taskToken: str, output: str) -> dict:
        try:
            result = json.loads(output)
        except ValueError as error:
            raise AwsError("InvalidOutput", f"Invalid Output: {error}") from error
        return self._answer(caller, taskToken, lambda token: token.succeed(result))

    def SendTaskFailure(self, caller: Caller, taskToken: str, error: str = "", cause: str = "") -> dict:
        return self._answer(caller, taskToken, lambda token: token.fail(StateFailed(error, cause)))

    def SendTaskHeartbeat(self, caller: Caller, taskToken: str) -> dict:
        return self._answer(caller, taskToken, TaskToken.beat)

    def _answer(self, caller: Caller, text: str, answer: Any) -> dict:
        token = self._executions.tokens.get(text)
        if token is None or token.execution.machine.account != caller.account:
            raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'")
        if not self._executions.answer_token(token, answer):
            raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return {}

    # -- tags

    def TagResource(self, caller: Caller, resourceArn: str, tags: list[dict]) -> dict:
        with self.world.lock:
            self._tagged(caller, resourceArn).update({tag["key"]: tag["value"] for tag in tags})
        return {}

    def UntagResource(self, caller: Caller, resourceArn: str, tagKeys: list[str]) -> dict:
        with self.world.lock:
            for key in tagKeys:
                self._tagged(caller, resourceArn).pop(key, None)
        return {}

    def ListTagsForResource(self, caller: Caller, resourceArn: str) -> dict:
        tags = self._tagged(caller, resourceArn)
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _tagged(self, caller: Caller, arn: str) -> dict[str, str]:
        stored = self._machines.get(arn)
        if stored is None or stored.machine.account != caller.account:
            raise AwsError("ResourceNotFound", f"Resource not found: '{arn}'")
        return stored.tags

    # -- inside

    def _stored(self, arn: str, caller: Caller | None = None, *, deleting: bool = False) -> Stored:
        _check_arn(MACHINE_ARN, arn)
        if caller is not None:
            self._owned(arn, caller)
        stored = self._machines.get(arn)
        if stored is None:
            raise AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        if stored.deleting and not deleting:
            raise AwsError("StateMachineDeleting", f"State Machine is deleting: '{arn}'")
        return stored

    def _owned(self, arn: str, caller: Caller) -> None:
        # Step Functions has no resource policies: nobody reaches another account's machines by their ARN.
        if arn.split(":")[4] != caller.account:
            raise AwsError(
                "AccessDeniedException", f"User: {caller.arn} is not authorized to access this resource: {arn}"
            )

    def _execution(self, arn: str, caller: Caller) -> Execution:
        _check_arn(EXECUTION_ARN, arn)
        self._owned(arn, caller)
        execution = self._executions.by_arn.get(arn)
        if execution is None or execution.machine.kind == "EXPRESS":
            raise AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return execution

    def _checked_definition(self, text: str, kind: str) -> dict:
        try:
            return asl_validation.check(text, kind)
        except asl_validation.InvalidDefinition as error:
            raise AwsError("InvalidDefinition", str(error)) from error

    def _check_role(self, role_arn: str, machine_arn: str, logging: dict) -> None:
        """The role must trust Step Functions, and be allowed to set up the machine's log if it has one."""
        if not re.fullmatch(r"arn:aws:iam::\d{12}:role/.+", role_arn):
            raise AwsError("InvalidArn", f"Invalid Role Arn: '{role_arn}'")
        try:
            issued = identity.assume_as_service(self.world, role_arn, "states", STATES, machine_arn)
        except AwsError as error:
            raise AwsError(
                "AccessDeniedException",
                f"Neither the global service principal {STATES}, nor the regional one is authorized to assume "
                f"the provided role: {role_arn}",
            ) from error
        asl_logging.check_role(self.world, issued.caller, logging)

    def _start(self, stored: Stored, text: str, name: str | None) -> Execution:
        machine = stored.machine
        name = str(uuid.uuid4()) if name is None else name
        if not NAME.fullmatch(name):
            raise AwsError("InvalidName", f"Invalid Name: '{name}'")
        if len(text.encode()) > MAX_PAYLOAD_BYTES:
            raise AwsError(
                "ValidationException",
                "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_PAYLOAD_BYTES}",
            )
        try:
            json.loads(text)
        except ValueError as error:
            raise AwsError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from error
        place = f"{machine.region}:{machine.account}"
        if machine.kind == "EXPRESS":
            arn = f"arn:aws:states:{place}:express:{machine.name}:{name}:{uuid.uuid4()}"
        else:
            arn = f"arn:aws:states:{place}:execution:{machine.name}:{name}"
        with self.world.lock:
            existing = self._executions.by_arn.get(arn)
            if existing is not None and not self._name_is_free(existing):
                if existing.status == "RUNNING" and existing.input == text:
                    return existing
                raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            execution = Execution(arn, name, machine, text, self.world.now())
            self._executions.start(execution)
        return execution

    def _name_is_free(self, execution: Execution) -> bool:
        return execution.stopped is not None and execution.stopped + NAME_KEPT < self.world.now()

    def _changed(self, execution: Execution) -> None:
        """An execution has started or ended (called on the executions' thread)."""
        machine = execution.machine
        if machine.kind == "STANDARD":
            self.world.emit_event(
                machine.account,
                machine.region,
                "aws.states",
                "Step Functions Execution Status Change",
                asl_history.status_change(execution, self.world.now()),
                [execution.arn],
            )
        if execution.status == "RUNNING":
            self.world.activity("execution", machine.name, "redriven" if execution.redrives else "started")
            return
        failure = " ".join(text for text in (execution.error, execution.cause) if text)
        self.world.activity("execution", machine.name, execution.status + (f": {failure[:500]}" if failure else ""))
        self.world.submit(self._after_end, execution)

    def _after_end(self, execution: Execution) -> None:
        with self.world.lock:
            stored = self._machines.get(execution.machine.arn)
            if stored is not None and stored.deleting:
                self._remove_if_idle(stored)
        asl_logging.write(self.world, execution)

    def _is_deleting(self, execution: Execution) -> bool:
        stored = self._machines.get(execution.machine.arn)
        return stored is None or stored.deleting

    def _remove_if_idle(self, stored: Stored) -> None:
        arn = stored.machine.arn
        running = any(
            each.machine.arn == arn and each.status == "RUNNING" for each in list(self._executions.by_arn.values())
        )
        if not running:
            self._machines.pop(arn, None)


def _same(existing: Machine, asked: Machine) -> bool:
    """CreateStateMachine is idempotent by name, definition, type, logging and tracing."""
    return (existing.text, existing.kind, existing.logging, existing.tracing) == (
        asked.text,
        asked.kind,
        asked.logging,
        asked.tracing,
    )


def _described(execution: Execution) -> dict:
    shown: dict[str, Any] = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine.arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.started,
        "stopDate": execution.stopped,
        "input": execution.input,
        "inputDetails": {"included": True},
        "output": execution.output,
        "outputDetails": {"included": True} if execution.output is not None else None,
        "error": execution.error,
        "cause": execution.cause,
    }
    return {key: value for key, value in shown.items() if value is not None}


def _latest(execution: Execution) -> datetime:
    """When an execution ended or, while it runs, was started or redriven."""
    return execution.stopped or execution.redriven or execution.started


def _check_arn(form: re.Pattern[str], arn: str) -> None:
    if not form.fullmatch(arn):
        raise AwsError("InvalidArn", f"Invalid Arn: '{arn}'")


def _page(items: list, size: int, token: str | None) -> tuple[list, str | None]:
    """A page of a list, and the token of the next one. `size` 0 means the default."""
    if token is not None and not token.isdigit():
        raise AwsError("InvalidToken", f"Invalid Token: '{token}'")
    start = int(token or 0)
    end = start + min(size or PAGE, 1000)
    return items[start:end], str(end) if end < len(items) else None


def _with_token(answer: dict, token: str | None) -> dict:
    return {**answer, "nextToken": token} if token else answer
