"""People who query, and the policies that let them: shared by Athena's tests."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from local_aws.server import LocalAws

OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
SKIP = {"skip.header.line.count": "1"}


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, resources: Any = "*") -> dict:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}


def deny(*actions: str, resources: Any = "*") -> dict:
    return {**allow(*actions, resources=resources), "Effect": "Deny"}


def trust(**principal: str) -> str:
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


@dataclass
class Person:
    """Somebody who queries: a role of an account, or its administrator."""

    aws: LocalAws
    account: str
    role: str | None = None
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.aws.session(self.account, self.role).client(service)
        return self.clients[service]

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role/{self.role}"

    def start(self, sql: str, database: str | None = "db", **options: Any) -> str:
        context = {"QueryExecutionContext": {"Database": database}} if database else {}
        started = self.client("athena").start_query_execution(QueryString=sql, **{**context, **options})
        return started["QueryExecutionId"]

    def execution(self, query_id: str) -> dict:
        """The execution, once it has ended."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = self.client("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if found["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return found
            time.sleep(0.005)
        raise TimeoutError(query_id)

    def rows(self, query_id: str) -> list[tuple]:
        pages = self.client("athena").get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
        rows = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
        return [tuple(cell.get("VarCharValue") for cell in row) for row in rows]

    def query(self, sql: str, database: str | None = "db", **options: Any) -> list[tuple]:
        """The rows of a query, column names first."""
        query_id = self.start(sql, database, **options)
        status = self.execution(query_id)["Status"]
        assert status["State"] == "SUCCEEDED", status
        return self.rows(query_id)

    def failure(self, sql: str, database: str | None = "db", **options: Any) -> str:
        """Why a query failed."""
        status = self.execution(self.start(sql, database, **options))["Status"]
        assert status["State"] == "FAILED", status
        return status["StateChangeReason"]


def new_role(admin: Person, name: str, trusted: str, *statements: dict) -> Person:
    admin.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trusted)
    if statements:
        permit(admin, name, *statements)
    return Person(admin.aws, admin.account, name)


def permit(admin: Person, name: str, *statements: dict) -> None:
    admin.client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))


def new_bucket(admin: Person, name: str) -> str:
    place = {"LocationConstraint": "eu-west-1"}
    admin.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
    return name
