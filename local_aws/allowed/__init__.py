"""The allow-list: what this local AWS is known to do, checked before anything else sees a request.

One YAML file per service, named as botocore names it; a long one may go on in `<service>-<part>.yaml`:

    faithful: exact                              # of entries that do not say; exact if left out
    operations:
      PutItem: [TableName, Item, ReturnValues]   # a bare parameter allows all that is nested below it
      CreateTable:
        - TableName
        - KeySchema.AttributeName                # dotted: only these, through lists and structures alike
        - Tags: kept
      PutDashboard:
        faithful: kept                           # the operation as a whole
        parameters: [DashboardName, DashboardBody]
      ListTables: []                             # no parameter at all

How faithful something is: `exact` does what AWS documents, `kept` is stored and returned while nothing acts on it, and
`partly: <words>` does what is documented but for what the words say. `tagmesh local coverage` prints it.

An operation or a parameter that is not listed is refused with `LocalAwsNotSupported`. An entry arrives with a test
that uses it: `scripts/check_allowed.py`. `cloudformation.yaml` has `resources` besides: resource type -> list of
(dotted) properties, or `faithful` and `properties`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from local_aws.allowed import entries, seen
from local_aws.wire import AwsError

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
    return frozenset(entries.files())


def _trees(service: str, section: str) -> dict[str, Tree]:
    return {name: tree(list(entry.items)) for name, entry in entries.of(service, section).items()}


@cache
def operations(service: str) -> dict[str, Tree]:
    """Operation -> allowed parameters, of one service."""
    return _trees(service, "operations")


@cache
def resources() -> dict[str, Tree]:
    """CloudFormation resource type -> allowed properties."""
    return _trees("cloudformation", "resources")


def no_such_service(service: str) -> str:
    """What to say of a service without an allow-list."""
    return f"the local AWS has no {service} (there is no file local_aws/allowed/{service}.yaml)"


def check(service: str, operation: str, params: dict[str, Any]) -> None:
    """Refuse what is not listed of one of the `services`.

    Raises AwsError LocalAwsNotSupported that names it, and the file to add it to.
    """
    add = f"(add it to local_aws/allowed/{service}.yaml, with a test)"
    if operation not in operations(service):
        raise AwsError(REFUSED, f"the local AWS does not do {service}:{operation} {add}")
    if names := unlisted(params, operations(service)[operation]):
        listed = ", ".join(names)
        raise AwsError(REFUSED, f"the local AWS does not do the parameter {listed} of {service}:{operation} {add}")


def succeeded(service: str, operation: str, params: dict[str, Any]) -> None:
    """Note what a call that succeeded used of the allow-list, where that is asked for."""
    seen.call(service, operation, params, operations(service)[operation])


def made(resource_type: str, properties: dict[str, Any]) -> None:
    """The same of a resource that CloudFormation made or changed."""
    seen.resource(resource_type, properties, resources()[resource_type])


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
