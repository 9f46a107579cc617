"""What of the allow-list took part in a call that succeeded, for the check that each entry has a test; and what roles
needed, for the check that policies allow that and no more.

When the environment variable LOCAL_AWS_SEEN names a folder, every process writes files of its own there: `.txt` with
one line for each operation, parameter, resource type and property when it is first seen, and `.needs` with one for
each action that a role needed on a resource, and whether its policies allowed it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = os.environ.get("LOCAL_AWS_SEEN", "")
_known: set[str] = set()
_guard = threading.Lock()

Tree = dict[str, Any]


def call(service: str, operation: str, params: dict[str, Any], allowed: Tree) -> None:
    """Note a call that succeeded, and the allowed parameters that it gave."""
    if FOLDER:
        _note([f"{service} operations {operation}", *_lines(f"{service} operations {operation}", params, allowed)])


def resource(resource_type: str, properties: dict[str, Any], allowed: Tree) -> None:
    """Note a resource that was made or changed by CloudFormation, and the allowed properties that it has."""
    if FOLDER:
        entry = f"cloudformation resources {resource_type}"
        _note([entry, *_lines(entry, properties, allowed)])


def need(principal: str, action: str, resource: str, *, allowed: bool) -> None:
    """Note that a role or user needed an action on a resource. Of an object's key only the first folder
    and what follows the first dot of its name are kept."""
    if FOLDER:
        if resource.startswith("arn:aws:s3:::") and resource.count("/") > 1:
            bucket, folder, *_, name = resource.split("/")
            resource = f"{bucket}/{folder}/x{name[name.find('.') :] if '.' in name else ''}"
        _note([f"{'allowed' if allowed else 'denied'} {principal} {action} {resource}"], ".needs")


def _lines(entry: str, given: dict[str, Any], allowed: Tree) -> list[str]:
    return [f"{entry} {path}" for path in paths(given, allowed)]


def paths(value: Any, allowed: Tree | None, prefix: str = "") -> Iterator[str]:
    """The dotted names of the allow-list that are given in `value`, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from paths(item, allowed, prefix)
    elif isinstance(value, dict) and allowed is not None:
        for name, below in allowed.items():
            if value.get(name) is None:
                continue
            if below is None:
                yield f"{prefix}{name}"
            else:
                yield from paths(value[name], below, f"{prefix}{name}.")


def _note(lines: list[str], suffix: str = ".txt") -> None:
    with _guard:
        if new := [line for line in dict.fromkeys(lines) if line not in _known]:
            _known.update(new)
            Path(FOLDER).mkdir(parents=True, exist_ok=True)
            with Path(FOLDER, f"{os.getpid()}{suffix}").open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in new)
