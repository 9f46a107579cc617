"""Lambda functions for tests: packages, roles, and ways to call them and to read what they printed."""

from __future__ import annotations

import base64
import io
import json
import platform
import sys
import zipfile
from typing import Any

from lab import Lab, Role, Who

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")


def package(code: str, **files: str) -> bytes:
    """A deployment package: `code` as app.py, and more modules."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in {"app": code, **files}.items():
            archive.writestr(f"{name}.py", text)
    return content.getvalue()


def role_for(lab: Lab, *actions: str, part: str = "central", service: str = "lambda.amazonaws.com") -> Role:
    """A role that a service may assume, allowed `actions` on everything."""
    iam, name = lab.client("iam", part), lab.name("function", "-")
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = Role(part, name, iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"])
    lab.at_end(iam.delete_role, RoleName=name)
    lab.allow(made, *LOGS, *actions)
    return made


class Functions:
    """The functions of one account, as a caller sees them."""

    def __init__(self, lab: Lab, role: Role, who: Who = "central") -> None:
        self.lab = lab
        self.role = role
        self.client = lab.client("lambda", who)

    def settings(self, code: str, **more: Any) -> dict[str, Any]:
        """Parameters of CreateFunction."""
        return {
            "FunctionName": self.lab.name("fn", "-"),
            "Runtime": PYTHON,
            "Handler": "app.handler",
            "Role": self.role.arn,
            "Architectures": [MACHINE],
            "Code": {"ZipFile": package(code)},
            **more,
        }

    def make(self, code: str, **more: Any) -> str:
        """A new function's name."""
        settings = self.settings(code, **more)
        name = settings["FunctionName"]
        self.lab.eventually(lambda: self.client.create_function(**settings))
        self.lab.at_end(self.client.delete_function, FunctionName=name)
        self.active(name)
        return name

    def active(self, name: str) -> None:
        """Wait until a function that was made or changed can be invoked."""
        if not self.lab.is_local:
            self.client.get_waiter("function_active_v2").wait(FunctionName=name)
            self.client.get_waiter("function_updated_v2").wait(FunctionName=name)

    def arn(self, name: str) -> str:
        return self.client.get_function_configuration(FunctionName=name)["FunctionArn"]

    def invoke(self, name: str, event: Any = None, **more: Any) -> dict[str, Any]:
        """What Invoke answers, its payload parsed, its log decoded."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event or {}).encode(), **more)
        text = answer["Payload"].read()
        log = base64.b64decode(answer.get("LogResult", "")).decode()
        return {**answer, "Payload": json.loads(text) if text else None, "LogResult": log}

    def call(self, name: str, event: Any = None, **more: Any) -> Any:
        """What the function returned, or its error document."""
        return self.invoke(name, event, **more)["Payload"]

    def printed(self, name: str) -> list[Any]:
        """The JSON documents that a function printed, a line each, oldest first."""
        logs = self.lab.client("logs", self.role.account)
        try:
            events = [
                event
                for page in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
                for event in page["events"]
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []
        found = [json.loads(each["message"]) for each in events if each["message"].startswith("{")]
        return sorted(found, key=lambda each: each.get("at", 0))
