"""The allow-list: what this local AWS is known to do, checked before anything else sees a request.

One YAML file per service, named as botocore names it:

    operations:
      PutItem: [TableName, Item, ReturnValues]     # a bare parameter allows all that is nested below it
      CreateTable:
        - TableName
        - KeySchema.AttributeName                  # dotted: only these, through lists and structures alike
      ListTables: []                               # no parameter at all

A service's list may be split: `glue.yaml` and `glue-*.yaml` both belong to glue.

An operation or a parameter that is not listed is refused with `LocalAwsNotSupported`. An entry arrives with a test.
`cloudformation.yaml` has `resources` besides: resource type -> list of (dotted) properties.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local_aws.wire import AwsError

FOLDER = Path(__file__).parent
REFUSED = "LocalAwsNotSupported"

Tree = dict[str, Any]
"""Allowed names: name -> Tree of what is allowed below it, or None when all of it is."""


def tree(paths: list[str]) -> Tree:
    """Dotted paths as nested names. A bare `a` wins over `a.b`."""
    root: Tree = {}
    for path in paths:
        branch = root
        *above, last = path.split(".")
        for name in above:
            below = branch.setdefault(name, {})
            if below is None:
                break
            branch = below
        else:
            branch[last] = None
    return root


@cache
def services() -> frozenset[str]:
    """The services that have an allow-list."""
    return frozenset(path.stem for path in FOLDER.glob("*.yaml") if not _part_of(path.stem))


def _part_of(stem: str) -> str | None:
    """The service of which a file is a part: `glue-crawlers` of glue. None for a service's own file."""
    service = stem.rpartition("-")[0]
    return service if service and (FOLDER / f"{service}.yaml").exists() else None


@cache
def _files(service: str) -> list[dict[str, Any]]:
    """The contents of a service's file and of its parts."""
    paths = [FOLDER / f"{service}.yaml", *sorted(FOLDER.glob(f"{service}-*.yaml"))]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [
        yaml.load(path.read_text("utf-8"), Loader=loader) or {}  # noqa: S506 - our own files
        for path in paths
        if path.stem == service or _part_of(path.stem) == service
    ]


@cache
def operations(service: str) -> dict[str, Tree]:
    """Operation -> allowed parameters, of one service."""
    return {
        name: tree(paths or [])
        for content in _files(service)
        for name, paths in (content.get("operations") or {}).items()
    }


@cache
def resources() -> dict[str, Tree]:
    """CloudFormation resource type -> allowed properties."""
    return {
        name: tree(paths or [])
        for content in _files("cloudformation")
        for name, paths in (content.get("resources") or {}).items()
    }


def check(service: str, operation: str, params: dict[str, Any]) -> None:
    """Refuse what is not listed. Raises AwsError LocalAwsNotSupported that names it and the file to add it to."""
    if service not in services():
        raise AwsError(REFUSED, f"the local AWS has no {service} (no file local_aws/allowed/{service}.yaml)")
    allowed = operations(service).get(operation)
    where = f"local_aws/allowed/{service}.yaml"
    if operation not in operations(service):
        raise AwsError(REFUSED, f"the local AWS does not do {service}:{operation} (add it to {where} with a test)")
    if unlisted := sorted(set(_unlisted(params, allowed, ""))):
        names = ", ".join(unlisted)
        raise AwsError(
            REFUSED,
            f"the local AWS does not do the parameter {names} of {service}:{operation} (add it to {where} with a test)",
        )


def unlisted(value: Any, allowed: Tree | None) -> list[str]:
    """The dotted names in `value` (dicts and lists, nested) that are not in the tree of allowed names."""
    return sorted(set(_unlisted(value, allowed, "")))


def _unlisted(value: Any, allowed: Tree | None, prefix: str) -> list[str]:
    if allowed is None:
        return []
    if isinstance(value, list):
        return [name for item in value for name in _unlisted(item, allowed, prefix)]
    if not isinstance(value, dict):
        return []
    found = []
    for name, below in value.items():
        if below is None:
            continue
        path = f"{prefix}{name}"
        found += _unlisted(below, allowed[name], f"{path}.") if name in allowed else [path]
    return found
