"""Holds the roles of the templates to what the tests needed: no permission that nothing used, none that lacked.

    LOCAL_AWS_SEEN=.local/seen python -m pytest ...        # any number of runs on deployed meshes
    python scripts/check_privileges.py .local/seen         # exit code 1 if there is something to say

The local AWS enforces the policies, and notes each action that a role needed on a resource, and whether its policies
allowed it. What is allowed and was never used must stand in tests/unused_permissions.yaml with a reason, and what
stands there must not have been used; what was denied must stand there as planted by a test.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[1]
TEMPLATES = (ROOT / "template.yaml", *sorted(ROOT.glob("accounts/*.yaml")))
LISTED = ROOT / "tests" / "unused_permissions.yaml"


@dataclass(frozen=True)
class Permission:
    """One action of one statement of a role; ``resources`` are expressions that resources of it match."""

    role: str
    sid: str
    action: str
    resources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.role} {self.sid} {self.action}"


@dataclass(frozen=True)
class Need:
    """What a role needed; ``role`` is the template's name of it."""

    role: str
    action: str
    resource: str
    allowed: bool


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def pattern(value: Any, resources: dict[str, Any]) -> str:
    """An expression for the resources that a policy's Resource means, as exact as the template tells."""
    if isinstance(value, dict) and set(value) == {"Fn::GetAtt"}:
        named = value["Fn::GetAtt"]
        return f".*{_name(named[0] if isinstance(named, list) else named.partition('.')[0], resources)}.*"
    if isinstance(value, dict) and set(value) == {"Ref"}:
        return f".*{_name(value['Ref'], resources)}.*"
    if isinstance(value, dict) and set(value) == {"Fn::Sub"}:
        text = value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0]
        parts = re.split(r"(\$\{[^}]+\}|\*)", text)
        return "".join(_part(part, resources) for part in parts)
    return "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", str(value)))


def _part(part: str, resources: dict[str, Any]) -> str:
    if part == "*":
        return ".*"
    if part.startswith("${"):
        named = part[2:-1]
        return f".*{_name(named[:-4], resources)}" if named.endswith(".Arn") else ".*"
    return re.escape(part)


def _name(logical: str, resources: dict[str, Any]) -> str:
    """A resource's fixed name, or whatever it may be called."""
    properties = resources.get(logical, {}).get("Properties", {})
    for key in (
        "TableName",
        "RoleName",
        "FunctionName",
        "QueueName",
        "BucketName",
        "Name",
        "LogGroupName",
        "TopicName",
    ):
        if isinstance(properties.get(key), str):
            return re.escape(properties[key])
        if isinstance(properties.get(key), dict):
            return pattern(properties[key], resources)
    return ".*"


def permissions() -> Iterator[Permission]:
    """Every action of every statement of every role."""
    for path in TEMPLATES:
        resources = yaml_parse(path.read_text(encoding="utf-8"))["Resources"]
        for logical, resource in resources.items():
            if resource["Type"] != "AWS::IAM::Role":
                continue
            for policy in resource["Properties"].get("Policies", ()):
                for statement in policy["PolicyDocument"]["Statement"]:
                    meant = tuple(pattern(each, resources) for each in listed(statement["Resource"]))
                    for action in listed(statement["Action"]):
                        yield Permission(
                            _role(path, logical), statement.get("Sid", policy["PolicyName"]), action, meant
                        )


def _role(path: Path, logical: str) -> str:
    return f"{path.stem}/{logical}"


def roles() -> dict[str, str]:
    """The template's name of each role -> an expression for its ARN."""
    found = {}
    for path in TEMPLATES:
        resources = yaml_parse(path.read_text(encoding="utf-8"))["Resources"]
        for logical, resource in resources.items():
            if resource["Type"] == "AWS::IAM::Role":
                properties = resource["Properties"]
                folder = re.escape(properties.get("Path", "/"))
                own = properties.get("RoleName")
                name = (
                    rf"[\w-]+-{logical}-\w+" if own is None else r"[\w.-]+" if isinstance(own, dict) else re.escape(own)
                )
                found[_role(path, logical)] = rf"arn:aws:iam::\d+:role{folder}{name}"
    return found


def needs(folder: Path) -> set[Need]:
    """What the roles of the templates needed in the runs that wrote into a folder."""
    named = {role: re.compile(expression) for role, expression in roles().items()}
    lines = {line for path in folder.glob("*.needs") for line in path.read_text("utf-8").splitlines()}
    if not lines:
        raise SystemExit(f"nothing was recorded in {folder}: run the tests with LOCAL_AWS_SEEN={folder}")
    found = set()
    for line in lines:
        verdict, principal, action, resource = line.split(" ", 3)
        for role, expression in named.items():
            if expression.fullmatch(principal):
                found.add(Need(role, action, resource, verdict == "allowed"))
    return found


def check(folder: Path) -> list[str]:
    """What there is to say."""
    needed, told = needs(folder), yaml.safe_load(LISTED.read_text(encoding="utf-8"))
    everywhere = told["unused"].pop("every role")
    unused = {f"{role} {name}": reason for role, each in told["unused"].items() for name, reason in each.items()}
    denied = {f"{role} {name}": reason for role, each in told["denied"].items() for name, reason in each.items()}
    by_action: dict[tuple[str, str], set[str]] = defaultdict(set)
    for need in needed:
        if need.allowed:
            by_action[need.role, need.action].add(need.resource)
    said, known = [], set()
    for permission in permissions():
        met = [
            resource
            for resource in by_action[permission.role, permission.action]
            if any(re.fullmatch(expression, resource) for expression in permission.resources)
        ]
        if not met and f"{permission.sid} {permission.action}" in everywhere:
            continue
        # A whole statement may be listed, or one action of it.
        names = (str(permission), f"{permission.role} {permission.sid}")
        reasons = [unused[name] for name in names if name in unused]
        known.update(name for name in names if name in unused and not met)
        if not met and not reasons:
            said.append(f"nothing used it: {permission}; take it out of the template, or say why in {LISTED.name}")
        if met and names[0] in unused:
            said.append(f"it was used, on {met[0]}: {permission}; take it off {LISTED.name}")
    said += [
        f"no policy has it, or all of it is used: {name}; take it off {LISTED.name}"
        for name in sorted({*unused} - known)
    ]
    for need in sorted(needed, key=str):
        if not need.allowed and f"{need.role} {need.action}" not in denied:
            said.append(f"it was needed and denied: {need.role} {need.action} on {need.resource}")
    missing = sorted({*denied} - {f"{need.role} {need.action}" for need in needed if not need.allowed})
    return said + [f"no test denies it any more: {name}; take it off {LISTED.name}" for name in missing]


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    said = check(Path(sys.argv[1]))
    for line in said:
        print(line)
    print(f"{sum(1 for _ in permissions())} permissions of {len(roles())} roles; {len(said)} to mend")
    raise SystemExit(1 if said else 0)


if __name__ == "__main__":
    main()
