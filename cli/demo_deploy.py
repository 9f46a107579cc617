"""The stacks of a local mesh: the real `sam build` and `sam deploy` of the files that users deploy."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError
from tagmesh.governance import Governance

from cli.demo_accounts import ORGANIZATION_ID, Place, external_accounts
from cli.project import ROOT, state_folder

SOURCES = ("template.yaml", "samconfig.toml", "accounts", "statemachines", "functions", "sampling")
SAM_AT_ONCE = 3  # starting the SAM CLI costs two seconds of processor time: more at once only wait for each other


class DeployError(Exception):
    """`sam build` or `sam deploy` failed; the text is its last output."""


@dataclass(frozen=True)
class Stack:
    """One deployment: `config_env` of samconfig.toml, and what differs from the values there."""

    name: str
    account: str
    config_env: str
    parameters: tuple[tuple[str, str], ...]


def host_parameters() -> tuple[tuple[str, str], ...]:
    """PythonRuntime and Architecture of this machine, for build and deploy alike."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    return ("PythonRuntime", version), ("Architecture", architecture)


def central_stack(governance: Governance, account: str) -> Stack:
    """The central catalog account's stack. Uploads are gathered for two seconds only: people are waiting."""
    parameters = [("OrganizationId", ORGANIZATION_ID), *host_parameters()]
    if external := external_accounts(governance):
        parameters.append(("ExternalAccountIds", ",".join(external)))
    parameters += [("UploadBatchingSeconds", "2"), ("LogRetentionDays", "1")]
    return Stack("tagmesh-central", account, "local", tuple(parameters))


def account_stacks(governance: Governance, central: str) -> list[Stack]:
    """A producer stack for each bucket and a consumer stack for each consuming account, sorted."""
    buckets = {(product.account, product.bucket) for product in governance.data_products}
    consuming = {consumer.account for consumer in governance.consumers}
    at_central = ("CentralAccountId", central)
    return [
        Stack(f"tagmesh-producer-{bucket}", account, "producer", (at_central, ("BucketName", bucket)))
        for account, bucket in sorted(buckets)
    ] + [Stack("tagmesh-consumer", account, "consumer", (at_central,)) for account in sorted(consuming)]


# ── Build ───────────────────────────────────────────────────────────────────────────────────────────────


def project_with(governance_folder: Path) -> Path:
    """The folder to build and deploy: this project, or, for another mesh/, one for a copy of its sources."""
    folder = governance_folder.resolve()
    if folder == (ROOT / "mesh").resolve():
        return ROOT
    return state_folder(f"project-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}")


def build(project: Path, governance_folder: Path, environment: dict[str, str]) -> bool:
    """`sam build`, unless it was done for the same sources. Returns whether it was. Raises DeployError."""
    output = project / ".aws-sam"
    output.mkdir(parents=True, exist_ok=True)
    with _only_one(output / "lock"):
        digest = _digest_of_sources(governance_folder)
        noted = output / "built-from"
        if noted.is_file() and noted.read_text(encoding="utf-8") == digest:
            return False
        noted.unlink(missing_ok=True)
        if project != ROOT:
            _copy_sources(project, governance_folder)
        overrides = [f"{key}={value}" for key, value in host_parameters()]
        sam(["build", "--config-env", "local", "--parameter-overrides", *overrides], project, environment)
        noted.write_text(digest, encoding="utf-8")
        return True


def _copy_sources(project: Path, governance_folder: Path) -> None:
    for name in SOURCES:
        source, target = ROOT / name, project / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "mesh"))
        else:
            shutil.copy2(source, target)
    (project / "functions" / "mesh").symlink_to(governance_folder.resolve())


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Two demos may not build into one folder at the same time."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest_of_sources(governance_folder: Path) -> str:
    """Changes with any file that is deployed, with the interpreter and with the processor."""
    digest = hashlib.sha256(repr(host_parameters()).encode())
    for root in [*(ROOT / name for name in SOURCES), governance_folder.resolve()]:
        for file in sorted([root, *root.rglob("*")]):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\0{file.relative_to(root.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


# ── Deploy ──────────────────────────────────────────────────────────────────────────────────────────────


def deploy(stack: Stack, project: Path, place: Place) -> float:
    """`sam deploy` one stack as its account's administrator; the seconds it took. Raises DeployError."""
    started = time.monotonic()
    overrides = [f"{key}={value}" for key, value in stack.parameters]
    arguments = ["deploy", "--config-env", stack.config_env, "--stack-name", stack.name]
    arguments += ["--region", place.region, "--parameter-overrides", *overrides]
    with _sam_places:
        try:
            sam(arguments, project, place.environment(stack.account))
        except DeployError as error:
            raise DeployError("\n".join([*_why_resources_failed(stack, place), str(error)])) from error
    return time.monotonic() - started


def _why_resources_failed(stack: Stack, place: Place) -> list[str]:
    """The stack's own account of what went wrong, in the order in which it happened."""
    cloudformation = place.administrator(stack.account).client("cloudformation")
    try:
        events = cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    except ClientError:
        return []  # it failed before there was a stack
    return [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED")
    ]


_sam_places = threading.BoundedSemaphore(SAM_AT_ONCE)


def sam(arguments: list[str], project: Path, environment: dict[str, str]) -> str:
    """Run this virtual environment's SAM CLI in the project's folder; what it answered. Raises DeployError."""
    bin_folder = Path(sys.executable).parent
    done = subprocess.run(
        [bin_folder / "sam", *arguments],
        cwd=project,
        env=_sam_environment(bin_folder) | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise DeployError(f"`sam {' '.join(arguments)}` failed:\n" + "\n".join(lines[-8:]))
    return done.stdout


def _sam_environment(bin_folder: Path) -> dict[str, str]:
    """The environment without anybody's AWS settings, and a SAM CLI that polls often and asks nobody."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    return kept | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",  # sam build looks for python3.X there
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.3",  # seconds
        "__SAM_CLI_APP_DIR": str(_sam_settings()),
    }


def _sam_settings() -> Path:
    """A settings folder that says the weekly look for a newer version has just been done."""
    folder = ROOT / ".aws-sam" / "cli"
    if not (folder / "metadata.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"telemetryEnabled": False, "lastVersionCheck": time.time() + 10 * 365 * 86400}
        (folder / "metadata.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
