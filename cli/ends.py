"""How commands end: 0 fine, 1 findings, 2 arguments that lead nowhere, or a mesh that could not be asked."""

import json as json_module
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tagmesh.governance import GovernanceError, read_folder
from tagmesh.wording import counted

from cli.local import LocalAwsError

FINE, FINDINGS, USAGE = 0, 1, 2
NOT_ASKED = (LocalAwsError, ClientError, BotoCoreError)
"""Why a mesh could not be asked; `usage` says it."""
_ELSEWHERE = ("AccessDenied", "NotFound", "NoSuch", "NotExist", "UnrecognizedClient", "InvalidClientToken", "Expired")


class NoFolder(LocalAwsError):
    """There is no such folder of governance files."""


def files_of(folder: Path) -> dict[str, str]:
    """Every governance file of a folder: relative path -> text. Raises NoFolder, and GovernanceError where one cannot
    be read."""
    if not folder.is_dir():
        raise NoFolder(f"there is no folder {folder}: give the one that holds mesh.yaml")
    return read_folder(folder)


def usage(error: Exception) -> int:
    """Says on the error stream why a command did nothing; exit code 2."""
    print(f"tagmesh: {error}", file=sys.stderr)
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if any(part in code for part in _ELSEWHERE):
        print(
            "tagmesh: the credentials and the Region in the environment must be those of the central account, and of "
            "somebody who may read its mesh (docs/access.md)",
            file=sys.stderr,
        )
    return USAGE


def refused(error: GovernanceError, then: str) -> int:
    """Prints every mistake of governance files; exit code 1."""
    for problem in error.problems:
        print(problem)
    print(f"{counted(len(error.problems), 'mistake')}: the folder would be refused{then}", file=sys.stderr)
    return FINDINGS


def show(json: bool, as_json: Callable[[], Any], lines: Callable[[], list[str]]) -> None:
    """Prints an answer, for programs or for people."""
    print(json_module.dumps(as_json(), indent=2, ensure_ascii=False) if json else "\n".join(lines()))


def at_port(port: int | None) -> str:
    """What a command that is told to people needs so that it asks the same mesh."""
    return f" --port {port}" if port else ""
