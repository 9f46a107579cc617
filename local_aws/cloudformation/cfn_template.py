"""A CloudFormation template: read, checked, its parameters and conditions settled, its resources put in order.

Source: CloudFormation user guide, "Template sections", "Parameters", "DependsOn attribute".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import yaml

from local_aws.cloudformation.cfn_intrinsics import (
    NO_VALUE,
    Scope,
    TemplateError,
    choose,
    evaluate_condition,
    references,
    resolve,
    text,
)

HERE = "local_aws/cloudformation/cfn_template.py"

SECTIONS = {
    "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Transform",
    "Resources", "Outputs", "Globals",
}  # fmt: skip
RESOURCE_ATTRIBUTES = {
    "Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata",
}  # fmt: skip
PARAMETER_TYPES = {"String", "Number", "List<Number>", "List<String>", "CommaDelimitedList"}
POLICIES = {"DeletionPolicy": {"Delete", "Retain", "RetainExceptOnCreate"}, "UpdateReplacePolicy": {"Delete", "Retain"}}
MAX_RESOURCES = 500
MAX_DECLARED = {"Mappings": 200, "Parameters": 200, "Outputs": 200}
MAX_NAME = 255
MAX_DESCRIPTION = 1024
MAX_VALUE = 4096
"""Bytes of one parameter's value. Source: CloudFormation user guide, "Understand CloudFormation quotas"."""


@dataclass(frozen=True)
class Resource:
    """A resource as the template declares it, once conditions are settled (Refs and the like still stand)."""

    logical_id: str
    type: str
    properties: dict[str, Any]
    depends_on: frozenset[str]
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settled:
    """A template with given parameter values: what shall exist, in an order in which it can be made."""

    parameters: dict[str, Any]
    hidden: frozenset[str]
    mappings: dict[str, Any]
    resources: dict[str, Resource]
    outputs: dict[str, dict[str, Any]]


# -- reading ---------------------------------------------------------------------------------------------------------


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as CloudFormation reads it: short forms of functions, dates stay text, no key twice."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        argument: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            argument = argument.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    else:
        argument = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": argument}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[dict[Any, Any]]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise TemplateError(f"Template format error: key {key!r} stands twice, line {key_node.start_mark.line + 1}")
        seen.add(key)
    mapping: dict[Any, Any] = {}
    yield mapping
    mapping.update(loader.construct_mapping(node, deep=True))


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read(body: str) -> dict[str, Any]:
    """The template in `body` (JSON or YAML) with short forms written out. Raises TemplateError."""
    try:
        template = json.loads(body) if body.lstrip().startswith("{") else yaml.load(body, Loader=_Loader)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise TemplateError(f"Template format error: {error}") from None
    if not isinstance(template, dict):
        raise TemplateError("Template format error: unsupported structure.")
    return template


def place(url: str) -> tuple[str, str, str | None]:
    """(bucket, key, version) of a template's URL, on amazonaws.com or here, in path or virtual-host style.

    Raises TemplateError.
    """
    parsed = urlparse(url)
    host, path = parsed.hostname or "", unquote(parsed.path.lstrip("/"))
    version = parse_qs(parsed.query).get("versionId", [None])[0]
    hosted = re.fullmatch(r"(.+)\.s3[.-][a-z0-9.-]*amazonaws\.com", host)
    bucket, _, key = (hosted[1], "", path) if hosted else path.partition("/")
    if parsed.scheme not in ("http", "https") or not key:
        raise TemplateError("TemplateURL must be a supported URL.")
    return bucket, key, version


def transforms(template: Mapping[str, Any]) -> list[str]:
    """Names of the template's transforms."""
    declared = template.get("Transform") or []
    return [declared] if isinstance(declared, str) else list(declared)


# -- checking --------------------------------------------------------------------------------------------------------


def check_structure(template: Mapping[str, Any]) -> None:
    """Raise TemplateError if sections, parameters, resources or outputs are not what CloudFormation (or we) take."""
    for section in template:
        if section not in SECTIONS:
            where = "is not supported locally" if section in ("Rules", "Hooks") else "is not a template section"
            raise TemplateError(f"Template format error: {section!r} {where} ({HERE})")
    if template.get("AWSTemplateFormatVersion", "2010-09-09") != "2010-09-09":
        raise TemplateError("Template format error: AWSTemplateFormatVersion must be 2010-09-09")
    resources = template.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    if len(resources) > MAX_RESOURCES:
        raise TemplateError(f"Template format error: Number of resources, {len(resources)}, is greater than 500")
    for section, most in MAX_DECLARED.items():
        names = list(template.get(section) or {})
        if len(names) > most:
            raise TemplateError(f"Template format error: Number of {section}, {len(names)}, is greater than {most}")
        if too_long := [name for name in names if len(str(name)) > MAX_NAME]:
            raise TemplateError(f"Template format error: {section}: the name {too_long[0]} is longer than {MAX_NAME}")
    if len(str(template.get("Description") or "").encode()) > MAX_DESCRIPTION:
        raise TemplateError(f"Template format error: 'Description' length is greater than {MAX_DESCRIPTION} bytes.")
    check_parameters(template)
    for logical_id, resource in resources.items():
        _check_resource(logical_id, resource)
    for name, output in (template.get("Outputs") or {}).items():
        if not isinstance(output, dict) or "Value" not in output:
            raise TemplateError(f"Template format error: Output {name} is malformed: it needs a Value")


def check_parameters(template: Mapping[str, Any]) -> None:
    """Raise TemplateError if parameters are not declared as CloudFormation (or we) take them."""
    for name, parameter in (template.get("Parameters") or {}).items():
        _check_parameter(name, parameter)


def _check_parameter(name: str, parameter: Any) -> None:
    kind = parameter.get("Type") if isinstance(parameter, dict) else None
    if kind not in PARAMETER_TYPES:
        raise TemplateError(
            f"Template format error: parameter {name} has Type {kind!r}; supported here are {sorted(PARAMETER_TYPES)}"
        )
    known = {
        "Type", "Default", "Description", "AllowedValues", "AllowedPattern", "ConstraintDescription", "MinValue",
        "MaxValue", "MinLength", "MaxLength", "NoEcho",
    }  # fmt: skip
    if unknown := set(parameter) - known:
        raise TemplateError(f"Template format error: Invalid property {sorted(unknown)} in parameter {name}")


def _check_resource(logical_id: str, resource: Any) -> None:
    if not re.fullmatch("[A-Za-z0-9]{1,255}", str(logical_id)):
        raise TemplateError(f"Template format error: Resource name {logical_id} is non alphanumeric.")
    if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
        raise TemplateError(
            f"Template format error: [/Resources/{logical_id}] Every Resources object must contain a Type member."
        )
    if unknown := set(resource) - RESOURCE_ATTRIBUTES:
        raise TemplateError(f"Resource {logical_id}: {sorted(unknown)} not supported locally ({HERE})")
    if not isinstance(resource.get("Properties") or {}, dict):
        raise TemplateError(f"Template format error: [/Resources/{logical_id}/Properties] must be an object")
    for attribute, allowed in POLICIES.items():
        if str(resource.get(attribute, "Delete")) not in allowed:
            raise TemplateError(
                f"Resource {logical_id}: {attribute} {resource[attribute]!r} is not supported locally, "
                f"only {sorted(allowed)}"
            )


# -- parameters ------------------------------------------------------------------------------------------------------


def parameter_values(
    template: Mapping[str, Any], given: list[Mapping[str, Any]], previous: Mapping[str, str]
) -> dict[str, str]:
    """The text value of every declared parameter, from `given` (API shape), the stack's `previous` values, defaults.

    Raises TemplateError for values missing, undeclared, or outside their constraints.
    """
    declared = template.get("Parameters") or {}
    values: dict[str, str] = {}
    for each in given:
        name = each["ParameterKey"]
        if name not in declared:
            raise TemplateError(f"Parameters: [{name}] do not exist in the template")
        if each.get("UsePreviousValue"):
            if name not in previous:
                raise TemplateError(
                    f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as true for a parameter "
                    "key not in the previous template"
                )
            values[name] = previous[name]
        else:
            values[name] = each.get("ParameterValue", "")
    missing = []
    for name, parameter in declared.items():
        if name in values:
            continue
        if "Default" not in parameter:
            missing.append(name)
            continue
        default = parameter["Default"]
        values[name] = ",".join(text(item) for item in default) if isinstance(default, list) else text(default)
    if missing:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    for name, value in values.items():
        _check_value(name, value, declared[name])
    return values


def _check_value(name: str, value: str, parameter: Mapping[str, Any]) -> None:
    def refuse(reason: str) -> None:
        explained = parameter.get("ConstraintDescription")
        raise TemplateError(
            f"Parameter '{name}' must be {explained}" if explained else f"Parameter '{name}' must {reason}"
        )

    if len(value.encode()) > MAX_VALUE:
        raise TemplateError(f"Parameter '{name}' must be no longer than {MAX_VALUE} bytes.")
    items = _items(value) if parameter["Type"] != "String" and parameter["Type"] != "Number" else [value]
    for item in items:
        if parameter["Type"] in ("Number", "List<Number>"):
            try:
                number = float(item)
            except ValueError:
                raise TemplateError(f"Parameter '{name}' must be a number.") from None
            if "MinValue" in parameter and number < float(parameter["MinValue"]):
                refuse(f"be a number not less than {parameter['MinValue']}")
            if "MaxValue" in parameter and number > float(parameter["MaxValue"]):
                refuse(f"be a number not greater than {parameter['MaxValue']}")
        allowed = parameter.get("AllowedValues")
        if allowed is not None and item not in [text(each) for each in allowed]:
            refuse(f"be one of AllowedValues: [{', '.join(text(each) for each in allowed)}]")
        if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], item):
            refuse(f"match pattern {parameter['AllowedPattern']}")
    if parameter["Type"] == "String":
        if "MinLength" in parameter and len(value) < int(parameter["MinLength"]):
            refuse(f"contain at least {parameter['MinLength']} characters")
        if "MaxLength" in parameter and len(value) > int(parameter["MaxLength"]):
            refuse(f"contain at most {parameter['MaxLength']} characters")


def _items(value: str) -> list[str]:
    """An empty list parameter is a list with one empty string, as in CloudFormation."""
    return [item.strip() for item in value.split(",")]


# -- settling --------------------------------------------------------------------------------------------------------


def settle(template: Mapping[str, Any], values: Mapping[str, str], pseudo: Mapping[str, Any]) -> Settled:
    """What `template` declares with these parameter `values` and pseudo parameters, in order. Or TemplateError."""
    declared = template.get("Parameters") or {}
    parameters = dict(pseudo) | {
        name: value if declared[name]["Type"] in ("String", "Number") else _items(value)
        for name, value in values.items()
    }
    mappings = template.get("Mappings") or {}

    def nothing(*asked: str) -> Any:
        raise TemplateError(
            f"Template format error: Unresolved dependencies {list(asked)}. Conditions see parameters only"
        )

    scope = Scope(parameters, mappings, nothing, nothing, nothing)
    conditions = template.get("Conditions") or {}
    truths = {name: evaluate_condition(body, conditions, scope, (name,)) for name, body in conditions.items()}

    def included(name: str, declaration: Mapping[str, Any]) -> bool:
        condition = declaration.get("Condition")
        if condition is None:
            return True
        if condition not in truths:
            raise TemplateError(f"Template format error: Unresolved condition {condition!r} in {name}")
        return truths[condition]

    resources = {
        logical_id: _declared(logical_id, declaration, truths)
        for logical_id, declaration in template["Resources"].items()
        if included(logical_id, declaration)
    }
    outputs = {
        name: choose({key: item for key, item in output.items() if key != "Condition"}, truths)
        for name, output in (template.get("Outputs") or {}).items()
        if included(name, output)
    }
    for name, output in outputs.items():
        for referred, _ in references(output):
            if referred not in parameters and referred not in resources:
                raise TemplateError(
                    f"Template format error: Unresolved resource dependencies [{referred}] in Outputs: {name}"
                )
    hidden = frozenset(name for name, parameter in declared.items() if text(parameter.get("NoEcho", False)) == "true")
    return Settled(parameters, hidden, mappings, _ordered(resources, set(template["Resources"]), parameters), outputs)


def _declared(logical_id: str, declaration: Mapping[str, Any], truths: Mapping[str, bool]) -> Resource:
    properties = choose(declaration.get("Properties") or {}, truths)
    depends_on = declaration.get("DependsOn") or []
    return Resource(
        logical_id,
        declaration["Type"],
        {} if properties is NO_VALUE else properties,
        frozenset([depends_on] if isinstance(depends_on, str) else depends_on),
        declaration.get("DeletionPolicy", "Delete"),
        declaration.get("UpdateReplacePolicy", "Delete"),
        declaration.get("Metadata") or {},
    )


def _ordered(
    resources: Mapping[str, Resource], in_template: set[str], parameters: Mapping[str, Any]
) -> dict[str, Resource]:
    """`resources`, each after all it refers to; otherwise as in the template."""
    needs: dict[str, set[str]] = {}
    for logical_id, resource in resources.items():
        referred = {name for name, _ in references(resource.properties)} - set(parameters)
        if unresolved := referred - set(resources):
            raise TemplateError(
                f"Template format error: Unresolved resource dependencies [{', '.join(sorted(unresolved))}] "
                f"in the Resources block of the template (in {logical_id})"
            )
        if unknown := resource.depends_on - in_template:
            raise TemplateError(
                f"Template format error: Unresolved resource dependencies [{', '.join(sorted(unknown))}] "
                f"in DependsOn of {logical_id}"
            )
        needs[logical_id] = (referred | resource.depends_on) & set(resources)
    ordered: dict[str, Resource] = {}
    while len(ordered) < len(resources):
        ready = [each for each in resources if each not in ordered and needs[each] <= ordered.keys()]
        if not ready:
            circle = sorted(set(resources) - ordered.keys())
            raise TemplateError(f"Circular dependency between resources: [{', '.join(circle)}]")
        ordered |= {each: resources[each] for each in ready}
    return ordered


def tokens(settled: Settled, value: Any) -> Any:
    """`value` with parameters and mappings filled in and references to resources as stable text.

    Two templates ask for the same thing exactly if their tokens are equal, whatever exists already.
    """
    scope = Scope(
        settled.parameters,
        settled.mappings,
        lambda name: f"<{name}>",
        lambda name, attribute: f"<{name}.{attribute}>",
        lambda name: f"<import {name}>",
    )
    return _tokens(value, scope)


def _tokens(value: Any, scope: Scope) -> Any:
    try:
        return resolve(value, scope)
    except TemplateError:
        # a function over a list that is not known yet (Fn::Join of a resource's list attribute): compare it as written
        if isinstance(value, dict) and len(value) != 1:
            return {key: _tokens(item, scope) for key, item in value.items()}
        return value
