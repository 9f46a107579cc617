"""Functions as Lambda keeps them: settings, versions, aliases, policies; and the code they run.

Source: Lambda developer guide and API reference (CreateFunction, PublishVersion, AddPermission, quotas).
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import threading
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from local_aws.access import lookup
from local_aws.functions import lambda_sandbox
from local_aws.functions.lambda_sandbox import Launch
from local_aws.wire import AwsError

NAME = re.compile("[a-zA-Z0-9-_]{1,64}")
ARN = re.compile(r"arn:aws:lambda:([a-z0-9-]+):(\d{12}):function:([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?")
RESERVED_VARIABLES = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
}  # fmt: skip
MAX_ZIPPED = 50 * 1024 * 1024
"""Of a package that is part of the request; what lies in S3 is only held to MAX_UNZIPPED."""
MAX_UNZIPPED = 262_144_000
PLACE = r"arn:aws:(?:sqs|sns):[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]+"
DEAD_LETTERS = re.compile(PLACE)
DESTINATION = re.compile(
    PLACE + r"|arn:aws:lambda:[a-z0-9-]+:\d{12}:function:.+|arn:aws:events:[a-z0-9-]+:\d{12}:event-bus/.+"
)
"""Standard queues and topics, functions, event buses. AWS has buckets too, for failures."""
LATEST = "$LATEST"


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)


def not_found(arn: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404)


# -- code ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """A deployment package: its digest (base64 of SHA-256), size in bytes, and where it lies zipped."""

    sha256: str
    size: int
    package: Path

    @property
    def folder(self) -> Path:
        return self.package.with_suffix("")


_unzipping = threading.Lock()


def store_code(package: bytes, state_dir: Path) -> Code:
    """Keep a deployment package, once for all functions that share it. Raises AwsError if it is no usable zip."""
    digest = hashlib.sha256(package).digest()
    code = Code(base64.b64encode(digest).decode(), len(package), state_dir / "functions" / f"{digest.hex()}.zip")
    if code.package.exists():
        return code
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            unzipped = sum(each.file_size for each in archive.infolist())
    except zipfile.BadZipFile:
        raise invalid("Could not unzip uploaded file. Please check your file, then try to upload again.") from None
    if unzipped > MAX_UNZIPPED:
        raise invalid(f"Unzipped size must be smaller than {MAX_UNZIPPED} bytes")
    code.package.parent.mkdir(parents=True, exist_ok=True)
    partial = code.package.with_suffix(f".{uuid.uuid4().hex}")
    partial.write_bytes(package)
    partial.rename(code.package)
    return code


def unzipped(code: Code) -> Path:
    """The folder with the package's files, unzipped at the first call."""
    with _unzipping:
        if not code.folder.exists():
            partial = code.package.with_suffix(f".{uuid.uuid4().hex}")
            try:
                with zipfile.ZipFile(code.package) as archive:
                    archive.extractall(partial)
                partial.rename(code.folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return code.folder


# -- settings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Code and configuration of one version of a function."""

    code: Code
    runtime: str
    handler: str
    role: str
    version: str = LATEST
    description: str = ""
    timeout: int = 3
    memory: int = 128
    storage: int = 512
    architecture: str = "x86_64"
    variables: Mapping[str, str] = field(default_factory=dict)
    dead_letters: str | None = None
    tracing: str = "PassThrough"
    log_format: str = "Text"
    log_group: str | None = None
    log_level: str | None = None
    system_log_level: str | None = None
    modified: datetime | None = None
    revision: str = ""

    @property
    def python(self) -> str:
        return self.runtime.removeprefix("python")


def with_configuration(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """`settings` with members of the API's configuration shape applied; others are ignored."""
    simple = {
        "Runtime": "runtime", "Handler": "handler", "Role": "role", "Description": "description", "Timeout": "timeout",
        "MemorySize": "memory",
    }  # fmt: skip
    found: dict[str, Any] = {name: changes[key] for key, name in simple.items() if key in changes}
    if "EphemeralStorage" in changes:
        found["storage"] = changes["EphemeralStorage"]["Size"]
    if "Architectures" in changes:
        found["architecture"] = changes["Architectures"][0]
    if "Environment" in changes:
        found["variables"] = dict(changes["Environment"].get("Variables") or {})
    if "DeadLetterConfig" in changes:
        found["dead_letters"] = changes["DeadLetterConfig"].get("TargetArn") or None
    if "TracingConfig" in changes:
        found["tracing"] = changes["TracingConfig"].get("Mode", "PassThrough")
    if "LoggingConfig" in changes:
        logging = changes["LoggingConfig"]
        found["log_format"] = logging.get("LogFormat", "Text")
        found["log_group"] = logging.get("LogGroup")
        found["log_level"] = logging.get("ApplicationLogLevel")
        found["system_log_level"] = logging.get("SystemLogLevel")
    return replace(settings, **found)


def check_settings(settings: Settings, state_dir: Path) -> None:
    """Raise AwsError for settings that Lambda refuses, or that this machine cannot run."""
    if not re.fullmatch(r"python3\.\d+", settings.runtime):
        raise AwsError(
            "LocalAwsNotSupported",
            f"runtime {settings.runtime}: only python3.x runs locally (local_aws/functions/lambda_sandbox.py)",
        )
    if settings.architecture != lambda_sandbox.MACHINE:
        raise invalid(
            f"This machine is {lambda_sandbox.MACHINE}: it cannot run {settings.architecture} functions. "
            "Deploy with Architectures set to the machine's."
        )
    if lambda_sandbox.interpreter(settings.python, state_dir) is None:
        raise invalid(
            f"This machine has no Python {settings.python} that can run functions (with awslambdaric and boto3). "
            "Deploy with Runtime set to that of the interpreter which runs the local AWS."
        )
    for name, value, most in (
        ("timeout", settings.timeout, 900),
        ("memorySize", settings.memory, 10240),
        ("ephemeralStorage.size", settings.storage, 10240),
    ):  # the API's model has the least values; its most are those of Lambda's managed instances
        if value > most:
            raise invalid(
                f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
                f"Member must have value less than or equal to {most}"
            )
    if used := sorted(RESERVED_VARIABLES & set(settings.variables)):
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(used)}"
        )
    if len(json.dumps(dict(settings.variables), separators=(",", ":")).encode()) > 4096:
        raise invalid("Lambda was unable to configure your environment variables because they exceed the 4KB limit.")
    if settings.dead_letters and not re.fullmatch(DEAD_LETTERS, settings.dead_letters):
        raise invalid(f"'{settings.dead_letters}' at 'deadLetterConfig.targetArn' is no standard queue or topic")
    if settings.log_format != "JSON" and (settings.log_level or settings.system_log_level):
        raise invalid("To use ApplicationLogLevel or SystemLogLevel, set LogFormat to JSON.")


# -- functions -----------------------------------------------------------------------------------------------------


@dataclass
class Function:
    """A function with its versions and aliases. `policies` are statements by Sid, per qualifier (None: unqualified)."""

    name: str
    account: str
    region: str
    latest: Settings
    versions: dict[str, Settings] = field(default_factory=dict)
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str | None, dict[str, dict[str, Any]]] = field(default_factory=dict)
    invoke_configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    published: int = 0
    deleted: bool = False

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"

    def settings(self, qualifier: str | None) -> Settings:
        """Those of a version or alias; of $LATEST without one. Raises AwsError ResourceNotFoundException."""
        if qualifier in (None, LATEST):
            return self.latest
        version = self.aliases[qualifier]["FunctionVersion"] if qualifier in self.aliases else qualifier
        if version == LATEST:
            return self.latest
        if version not in self.versions:
            raise not_found(f"{self.arn}:{qualifier}")
        return self.versions[version]

    def policy(self, qualifier: str | None) -> dict[str, Any] | None:
        """The resource policy that governs invocations by this qualifier, or None."""
        statements = self.policies.get(None if qualifier == LATEST else qualifier)
        if not statements:
            return None
        return {"Version": "2012-10-17", "Id": "default", "Statement": list(statements.values())}

    def launch(self, settings: Settings, code: Path) -> Launch:
        return Launch(
            self.arn,
            settings.version,
            code,
            settings.handler,
            settings.python,
            settings.memory,
            settings.role,
            self.region,
            tuple(sorted(settings.variables.items())),
            settings.log_group or f"/aws/lambda/{self.name}",
            settings.log_format,
            settings.log_level or ("INFO" if settings.log_format == "JSON" else None),
        )

    def described(self, settings: Settings, qualified: bool = False) -> dict[str, Any]:
        """The API's FunctionConfiguration of one version."""
        logging = {
            "LogFormat": settings.log_format,
            "LogGroup": settings.log_group or f"/aws/lambda/{self.name}",
            "ApplicationLogLevel": settings.log_level,
            "SystemLogLevel": settings.system_log_level,
        }
        described = {
            "FunctionName": self.name,
            "FunctionArn": f"{self.arn}:{settings.version}" if qualified else self.arn,
            "Runtime": settings.runtime,
            "Role": settings.role,
            "Handler": settings.handler,
            "CodeSize": settings.code.size,
            "CodeSha256": settings.code.sha256,
            "Description": settings.description,
            "Timeout": settings.timeout,
            "MemorySize": settings.memory,
            "LastModified": settings.modified.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
            "Version": settings.version,
            "TracingConfig": {"Mode": settings.tracing},
            "RevisionId": settings.revision,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": [settings.architecture],
            "EphemeralStorage": {"Size": settings.storage},
            "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
            "LoggingConfig": {key: value for key, value in logging.items() if value is not None},
        }
        if settings.variables:
            described["Environment"] = {"Variables": dict(settings.variables)}
        if settings.dead_letters:
            described["DeadLetterConfig"] = {"TargetArn": settings.dead_letters}
        return described


def check_principal(principal: str) -> None:
    """Raise AwsError for a principal of AddPermission that IAM does not know."""
    named = principal == "*" or principal.endswith(".amazonaws.com") or re.fullmatch(r"\d{12}", principal)
    of_account = re.fullmatch(r"arn:aws:iam::\d{12}:root", principal)
    if not named and not of_account and lookup.iam_entity(principal) is None:
        raise invalid("The provided principal was invalid. Please check the principal and try again.")


def check_destinations(destinations: Mapping[str, Any]) -> None:
    """Raise AwsError for destinations of events that Lambda refuses, or that are not built here."""
    for name, each in destinations.items():
        arn = each.get("Destination", "")
        if arn.startswith("arn:aws:s3:::"):
            raise AwsError("LocalAwsNotSupported", f"{name} {arn}: no buckets (local_aws/functions/lambda_async.py)")
        if arn and not DESTINATION.fullmatch(arn):
            raise invalid(f"The provided destination config {name} is invalid: {arn}")


def permission_statement(arn: str, request: Mapping[str, Any], account: str) -> dict[str, Any]:
    """The policy statement that AddPermission makes."""
    principal = request["Principal"]
    if principal.endswith(".amazonaws.com"):
        who: Any = {"Service": principal}
    elif re.fullmatch(r"\d{12}", principal):
        who = {"AWS": f"arn:aws:iam::{principal}:root"}
    else:
        who = principal if principal == "*" else {"AWS": principal}
    conditions: dict[str, dict[str, str]] = {}
    if "SourceArn" in request:
        conditions["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    equals = {"AWS:SourceAccount": request.get("SourceAccount"), "aws:PrincipalOrgID": request.get("PrincipalOrgID")}
    if given := {key: value for key, value in equals.items() if value}:
        conditions["StringEquals"] = given
    return {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": who,
        "Action": request["Action"],
        "Resource": arn,
        **({"Condition": conditions} if conditions else {}),
    }
