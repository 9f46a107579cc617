"""Writes docs/roles.md: every role of the templates, who may assume it, and each of its statements with its reason.

    python scripts/roles_table.py            # write it
    python scripts/roles_table.py --check    # exit code 1 if it would be written otherwise, or a reason is missing

The reasons are the comments behind the statements' Sids in the templates.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[1]
TEMPLATES = (ROOT / "template.yaml", *sorted(ROOT.glob("accounts/*.yaml")))
PAGE = ROOT / "docs" / "roles.md"
HEAD = """# Roles

What every role of the three stacks may do, and why; written by `scripts/roles_table.py` from the templates.
[security.md](security.md) says what holds this.
"""


class MissingReason(Exception):
    """A statement of a role has no comment behind its Sid."""


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def shown(value: Any) -> str:
    """A resource or condition value as the template writes it."""
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::GetAtt":
            return f"`{'.'.join(argument) if isinstance(argument, list) else argument}`"
        if function in ("Fn::Sub", "Ref"):
            return f"`{argument}`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def trusted(document: dict[str, Any]) -> Iterator[str]:
    """Who may assume a role, and on which conditions."""
    for statement in document["Statement"]:
        who = ", ".join(shown(each) for kind in statement["Principal"].values() for each in listed(kind))
        conditions = [
            f"{key} {', '.join(shown(each) for each in listed(value))}"
            for keys in statement.get("Condition", {}).values()
            for key, value in keys.items()
        ]
        yield who + (f" where {' and '.join(conditions)}" if conditions else "")


def reasons(text: str) -> Iterator[tuple[str, str]]:
    """(Sid, comment) of each statement, in the order of the template."""
    for match in re.finditer(r"^ *- Sid: (\w+)(?: +# (.*))?$", text, re.MULTILINE):
        yield match.group(1), match.group(2) or ""


def page() -> str:
    lines = [HEAD]
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        told = list(reasons(text))
        lines += [f"## {path.relative_to(ROOT)}", ""]
        for logical, resource in yaml_parse(text)["Resources"].items():
            if resource["Type"] != "AWS::IAM::Role":
                continue
            properties = resource["Properties"]
            name = properties.get("RoleName", logical)
            lines += [f"### {name if isinstance(name, str) else logical}", ""]
            lines += [
                properties["Description"],
                "",
                f"Assumed by {'; '.join(trusted(properties['AssumeRolePolicyDocument']))}.",
                "",
            ]
            lines += ["| Statement | Why | Actions | Resources |", "|---|---|---|---|"]
            for policy in properties.get("Policies", ()):
                for statement in policy["PolicyDocument"]["Statement"]:
                    lines.append(row(path, logical, policy["PolicyName"], statement, told))
            lines.append("")
    return "\n".join(lines)


def row(path: Path, logical: str, policy: str, statement: dict[str, Any], told: list[tuple[str, str]]) -> str:
    sid = statement.get("Sid", "")
    why = policy.replace("-", " ")
    if sid:  # statements stand in the template in the order in which they are read
        while told[0][0] != sid:
            told.pop(0)
        why = told.pop(0)[1]
    if not why:
        raise MissingReason(
            f"{path.name}: {logical}: the statement {sid} has no reason: write it behind its Sid, as a comment"
        )
    actions = " ".join(f"`{action}`" for action in listed(statement["Action"]))
    resources = " ".join(shown(each) for each in listed(statement["Resource"]))
    return f"| {sid} | {why} | {actions} | {resources} |".replace("  ", " ")


def main() -> int:
    written = page()
    if sys.argv[1:] == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == written:
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not current: run .venv/bin/python scripts/roles_table.py")
        return 1
    PAGE.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
