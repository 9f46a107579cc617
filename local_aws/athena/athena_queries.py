"""Query executions of Athena as values, and as its API describes them and their failures."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
from botocore.exceptions import ClientError

from local_aws.athena.athena_data import Scan
from local_aws.athena.athena_results import Column
from local_aws.athena.athena_sql import Statement
from local_aws.athena.athena_types import SqlError
from local_aws.athena.athena_workgroups import WorkGroup

if TYPE_CHECKING:
    from local_aws.access.identity import Caller

DEFAULT_DATABASE = "default"
STATE_CHANGE = "Athena Query State Change"


BROKEN = 100
"""ErrorType of an internal error."""


@dataclass
class Query:
    """One query execution."""

    id: str
    caller: Caller
    statement: Statement
    workgroup: WorkGroup
    context: dict[str, str]
    output: str
    result_configuration: dict[str, Any]
    submitted: datetime
    token: str | None
    request: tuple
    state: str = "QUEUED"
    reason: str | None = None
    error_type: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
    scan: Scan = field(default_factory=Scan)
    columns: tuple[Column, ...] = ()
    interrupt: Any = None
    transitions: int = 0

    @property
    def database(self) -> str:
        return self.context.get("Database", DEFAULT_DATABASE).lower()


def milliseconds(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))


def described(query: Query, now: datetime) -> dict[str, Any]:
    status: dict[str, Any] = {"State": query.state, "SubmissionDateTime": query.submitted}
    if query.ended:
        status["CompletionDateTime"] = query.ended
    if query.reason:
        status["StateChangeReason"] = query.reason
    if query.error_type is not None:
        status["AthenaError"] = _error(query)
    started, end = query.started or now, query.ended or now
    return {
        "QueryExecutionId": query.id,
        "Query": query.statement.sql,
        "StatementType": query.statement.type,
        "SubstatementType": query.statement.kind,
        "ResultConfiguration": {**query.result_configuration, "OutputLocation": query.output},
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        "QueryExecutionContext": query.context,
        "Status": status,
        "Statistics": {
            "EngineExecutionTimeInMillis": milliseconds(started, end) if query.started else 0,
            "DataScannedInBytes": query.scan.bytes,
            "TotalExecutionTimeInMillis": milliseconds(query.submitted, end),
            "QueryQueueTimeInMillis": milliseconds(query.submitted, started),
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": {"ReusedPreviousResult": False},
        },
        "WorkGroup": query.workgroup.name,
        "EngineVersion": query.workgroup.engine_version(),
    }


def _error(query: Query) -> dict[str, Any]:
    """AthenaError: a system's error (category 1) is one of ours, all others are the user's."""
    ours = query.error_type == BROKEN
    return {
        "ErrorCategory": 1 if ours else 2,
        "ErrorType": query.error_type,
        "Retryable": False,
        "ErrorMessage": query.reason,
    }


def state_change(query: Query, before: str | None) -> dict[str, Any]:
    """The detail of the event about a query's latest transition. Source: Athena user guide, "Monitor Athena query
    events with EventBridge"; that the first one, into QUEUED, has no previous state is a choice.
    """
    query.transitions += 1
    detail = {
        "versionId": "0",
        "currentState": query.state,
        "statementType": query.statement.type,
        "queryExecutionId": query.id,
        "workgroupName": query.workgroup.name,
        "sequenceNumber": str(query.transitions),
    }
    if before:
        detail["previousState"] = before
    if query.state == "FAILED":
        error = _error(query)
        detail["athenaError"] = {name[0].lower() + name[1:]: value for name, value in error.items()}
    return detail


def engine_error(error: duckdb.Error) -> SqlError:
    """DuckDB's complaint about a query that was translated, in Athena's words."""
    text = str(error).split("\n")[0]
    if found := re.search(r"\b([A-Z]+(?:_[A-Z]+)+): (.*)", text):
        return SqlError(found[1], found[2])
    if "ivision by zero" in text:
        return SqlError("DIVISION_BY_ZERO", "Division by zero")
    if "ore than one row returned" in text:
        return SqlError("SUBQUERY_MULTIPLE_ROWS", "Scalar sub-query has returned multiple rows")
    if found := re.search(r'column "([^"]+)" must appear in the GROUP BY clause', text):
        what = f"'{found[1]}' must be an aggregate expression or appear in GROUP BY clause"
        return SqlError("EXPRESSION_NOT_AGGREGATE", what)
    if found := re.search(r'Could not parse string "(.*)" according to format', text):
        return SqlError("INVALID_FUNCTION_ARGUMENT", f'Invalid format: "{found[1]}"')
    if isinstance(error, duckdb.ConversionException):
        return SqlError("INVALID_CAST_ARGUMENT", text.partition(": ")[2] or text)
    if isinstance(error, duckdb.OutOfRangeException):
        return SqlError("NUMERIC_VALUE_OUT_OF_RANGE", text.partition(": ")[2] or text)
    return SqlError("NOT_SUPPORTED", f"the local AWS cannot run this query: {text}")


def unwritable(query: Query, error: ClientError) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code != "AccessDenied":
        return f"{code}: {message} ({query.output})"
    return (
        f"Access denied when writing output to url: {query.output} . Please ensure you are allowed to access the S3"
        " bucket. If you are encrypting query results with KMS key, please ensure you are allowed to access your KMS"
        f" key. ({message})"
    )
