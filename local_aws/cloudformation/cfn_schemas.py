"""The schemas of CloudFormation's resource types, as AWS publishes them and cfn-lint ships them.

They say which properties a type has, which of them replace the resource when changed, and what values fit. Values are
brought to the declared type the way CloudFormation does it: "30" is a good integer and true a good string.
"""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from local_aws.cloudformation.cfn_intrinsics import text

# found, not imported: the import takes a second, the files are all that is wanted
_SCHEMAS = Path(importlib.util.find_spec("cfnlint").origin).parent / "data" / "schemas"
_REGION = "us-east-1"  # the region whose schemas cover every type used here
MAX_PROBLEMS = 20


class Misfit(ValueError):
    """A value does not fit its schema; the text starts with the path of the property."""


def schema_type(resource_type: str) -> str:
    """The type whose schema applies: all custom resources share one."""
    return "AWS::CloudFormation::CustomResource" if resource_type.startswith("Custom::") else resource_type


@cache
def _types() -> dict[str, str]:
    return json.loads((_SCHEMAS / "providers" / f"{_REGION}.json").read_text())


@cache
def schema(resource_type: str) -> dict[str, Any]:
    """The schema of a resource type. Raises KeyError for a type that AWS does not have."""
    file = _types()[schema_type(resource_type)]
    return json.loads((_SCHEMAS / "resources" / f"{file}.json").read_text())


@cache
def replacing_properties(resource_type: str) -> frozenset[str]:
    """Top-level properties whose change makes CloudFormation replace the resource."""
    paths = schema(resource_type).get("createOnlyProperties", []) + schema(resource_type).get(
        "conditionalCreateOnlyProperties", []
    )
    return frozenset(path.split("/")[2] for path in paths)


def conform(resource_type: str, properties: dict[str, Any]) -> dict[str, Any]:
    """`properties` (resolved) with each value of its declared type. Raises Misfit that names every misfit."""
    whole = schema(resource_type)
    problems: list[str] = []
    conformed = _fit(properties, whole, whole, "#", problems)
    read_only = {path.split("/")[2] for path in whole.get("readOnlyProperties", []) if path.count("/") == 2}
    if schema_type(resource_type) == resource_type:  # a custom resource's properties are its function's own
        problems += [f"#: extraneous key [{name}] is not permitted" for name in sorted(read_only & set(properties))]
    if problems:
        raise Misfit("\n".join(problems[:MAX_PROBLEMS]))
    return conformed


def _fit(value: Any, part: dict[str, Any], whole: dict[str, Any], path: str, problems: list[str]) -> Any:
    while "$ref" in part:
        part = whole["definitions"][part["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in part.items() if k != "$ref"}
    for keyword in ("anyOf", "oneOf"):
        if keyword in part and "properties" not in part and isinstance(alternatives := part[keyword], list):
            return _first_fit(value, part, alternatives, whole, path, problems)
    value = _typed(value, part.get("type"), path, problems)
    if isinstance(value, dict):
        return _fit_object(value, part, whole, path, problems)
    if isinstance(value, list):
        if not part.get("minItems", 0) <= len(value) <= part.get("maxItems", len(value)):
            problems.append(
                f"{path}: {len(value)} items, allowed are {part.get('minItems', 0)} to {part.get('maxItems', 'any')}"
            )
        return [_fit(item, part.get("items", {}), whole, f"{path}/{n}", problems) for n, item in enumerate(value)]
    _check_scalar(value, part, path, problems)
    return value


def _first_fit(value: Any, part: dict, alternatives: list[dict], whole: dict, path: str, problems: list[str]) -> Any:
    rest = {key: item for key, item in part.items() if key not in ("anyOf", "oneOf")}
    attempts = []
    for alternative in alternatives:
        attempt: list[str] = []
        fitted = _fit(value, rest | alternative, whole, path, attempt)
        if not attempt:
            return fitted
        attempts.append(attempt)
    problems += min(attempts, key=len)
    return value


def _fit_object(value: dict, part: dict, whole: dict, path: str, problems: list[str]) -> dict[str, Any]:
    properties, patterns = part.get("properties", {}), part.get("patternProperties", {})
    problems += [f"{path}: required key [{name}] not found" for name in part.get("required", []) if name not in value]
    if part.get("requiredXor") and sum(name in value for name in part["requiredXor"]) != 1:
        problems.append(f"{path}: exactly one of {part['requiredXor']} is required")
    if part.get("requiredOr") and not any(name in value for name in part["requiredOr"]):
        problems.append(f"{path}: one of {part['requiredOr']} is required")
    fitted = {}
    for name, item in value.items():
        inside = properties.get(name)
        if inside is None:
            inside = next((each for pattern, each in patterns.items() if _matches(pattern, str(name))), None)
        if inside is None:
            further = part.get("additionalProperties")
            if properties and further is False and not patterns:
                problems.append(f"{path}: extraneous key [{name}] is not permitted")
            inside = further if isinstance(further, dict) else {}
        fitted[name] = _fit(item, inside, whole, f"{path}/{name}", problems)
    return fitted


def _typed(value: Any, declared: Any, path: str, problems: list[str]) -> Any:
    """`value` as one of the declared JSON types; text, numbers and booleans stand for each other where they can."""
    if declared is None:
        return value
    kinds = [declared] if isinstance(declared, str) else declared
    for kind in kinds:
        if kind == "object" and isinstance(value, dict) or kind == "array" and isinstance(value, list):
            return value
        if kind == "string" and isinstance(value, str):
            return value
        if kind == "boolean" and isinstance(value, bool):
            return value
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if kind == "number" and number:
            return value
        if kind == "integer" and number and float(value).is_integer():
            return int(value)
    if not isinstance(value, (dict, list)):
        for kind in kinds:
            if kind == "string":
                return text(value)
            if kind == "integer" and re.fullmatch(r"[+-]?\d+", str(value)):
                return int(value)
            if kind == "number" and re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", str(value)):
                return float(value)
            if kind == "boolean" and str(value).lower() in ("true", "false"):
                return str(value).lower() == "true"
    found = {dict: "object", list: "array", bool: "boolean", str: "string", int: "integer"}.get(type(value), "number")
    problems.append(f"{path}: expected type: {'|'.join(kinds)}, found: {found}")
    return value


def _check_scalar(value: Any, part: dict[str, Any], path: str, problems: list[str]) -> None:
    if "enum" in part and value not in part["enum"]:
        problems.append(f"{path}: {value!r} is not a valid enum value, allowed are {part['enum']}")
    if isinstance(value, str):
        if not part.get("minLength", 0) <= len(value) <= part.get("maxLength", len(value)):
            limits = f"{part.get('minLength', 0)} to {part.get('maxLength', 'any')}"
            problems.append(f"{path}: length {len(value)}, allowed are {limits}")
        if "pattern" in part and not _matches(part["pattern"], value):
            problems.append(f"{path}: failed validation constraint for keyword [pattern] {part['pattern']}")
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and not part.get("minimum", value) <= value <= part.get("maximum", value):
        problems.append(f"{path}: {value} is not between {part.get('minimum')} and {part.get('maximum')}")


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:  # \p{...} classes: Python's re has none, and the service checks again
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.search(value) is not None
