"""Queries through the Athena API, and what their failures mean."""

import re
import time
from dataclasses import dataclass
from typing import Any

WORKGROUP = "tagmesh"
QUERY_TIMEOUT = 60.0  # seconds

# Athena reports a missing permission in StateChangeReason, as a thing that is not there or as what it is
# (Athena user guide, "Use Athena to query data registered with AWS Lake Formation", "Troubleshooting").
REFUSALS = re.compile(
    r"^(COLUMN_NOT_FOUND|TABLE_NOT_FOUND|SCHEMA_NOT_FOUND|PERMISSION_DENIED|INSUFFICIENT_LAKEFORMATION_PERMISSION|"
    r"Insufficient (Lake Formation )?[Pp]ermission)"
)


class QueryRefused(Exception):
    """Lake Formation does not let this principal do that; `code` is the name of Athena's error."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.partition(":")[0].strip()


class QueryFailed(Exception):
    """A query ended in any other way than an answer or a refusal."""


@dataclass(frozen=True)
class Answer:
    """Column names and, as text (None for NULL), the rows of the first page, the header row left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def query(athena: Any, sql: str, database: str, workgroup: str = WORKGROUP) -> Answer:
    """Run one statement in a workgroup with a boto3 Athena client and wait for its answer.

    Raises QueryRefused where the principal lacks a permission on what it names, QueryFailed otherwise.
    """
    started = athena.start_query_execution(
        QueryString=sql, WorkGroup=workgroup, QueryExecutionContext={"Database": database}
    )
    execution_id = started["QueryExecutionId"]
    status = _wait(athena, execution_id, sql)
    if status["State"] != "SUCCEEDED":
        reason = status.get("StateChangeReason") or status["State"]
        raise (QueryRefused if REFUSALS.match(reason) else QueryFailed)(reason)
    results = athena.get_query_results(QueryExecutionId=execution_id)["ResultSet"]
    columns = tuple(column["Name"] for column in results["ResultSetMetadata"]["ColumnInfo"])
    rows = tuple(tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in results["Rows"])
    return Answer(columns, rows[1:])  # the first row of a SELECT's first page repeats the column names


def _wait(athena: Any, execution_id: str, sql: str) -> dict:
    deadline = time.monotonic() + QUERY_TIMEOUT
    pause = 0.01
    while True:
        status = athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]["Status"]
        if status["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return status
        if time.monotonic() > deadline:
            raise QueryFailed(f"no answer within {QUERY_TIMEOUT:.0f} s: {sql}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def quoted(name: str) -> str:
    """A name as Trino wants it in a statement."""
    return '"' + name.replace('"', '""') + '"'
