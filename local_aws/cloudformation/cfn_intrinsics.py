"""CloudFormation's intrinsic functions, as pure functions over parsed templates.

Two passes, because conditions depend on parameters alone and references on what exists:
`choose` settles Fn::If and AWS::NoValue, `resolve` replaces every other function by its value.
Source: CloudFormation user guide, "Intrinsic function reference".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

HERE = "local_aws/cloudformation/cfn_intrinsics.py"
NO_VALUE = object()
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
CONDITION_FUNCTIONS = ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals", "Condition")
VALUE_FUNCTIONS = (
    "Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap", "Fn::ImportValue",
    "Fn::Base64",
)  # fmt: skip


class TemplateError(ValueError):
    """The template cannot be used; the text says where and why, as CloudFormation words it."""


@dataclass(frozen=True)
class Scope:
    """What references are resolved against.

    `ref(logical_id)` and `attribute(logical_id, name)` give a resource's values, `imported(name)` an export's;
    each raises TemplateError when there is none. `parameters` includes the pseudo parameters.
    """

    parameters: Mapping[str, Any]
    mappings: Mapping[str, Any]
    ref: Callable[[str], Any]
    attribute: Callable[[str, str], Any]
    imported: Callable[[str], str]


def function_of(value: Any) -> tuple[str, Any] | None:
    """(name, argument) if `value` is a call of an intrinsic function, else None."""
    if not isinstance(value, dict):
        return None
    names = [key for key in value if key == "Ref" or (isinstance(key, str) and key.startswith("Fn::"))]
    if not names:
        return None
    if len(value) != 1:
        raise TemplateError(f"Template format error: {names[0]} must be the only key of its object, in {value!r}")
    return names[0], value[names[0]]


def text(value: Any) -> str:
    """A scalar as CloudFormation writes it into a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TemplateError(f"Template error: a string is needed, not {value!r}")


def evaluate_condition(body: Any, conditions: Mapping[str, Any], scope: Scope, under: tuple[str, ...] = ()) -> bool:
    """The truth of a condition's body; other conditions are looked up by name in `conditions` (bodies)."""
    if isinstance(body, str):  # Condition: Name inside a resource
        return _named_condition(body, conditions, scope, under)
    if not isinstance(body, dict) or len(body) != 1:
        raise TemplateError(f"Template format error: conditions take one function each, not {body!r}")
    name, argument = next(iter(body.items()))
    if name == "Condition":
        return _named_condition(argument, conditions, scope, under)
    if name == "Fn::Equals":
        left, right = _exactly(name, argument, 2)
        left, right = resolve(left, scope), resolve(right, scope)
        return left == right if isinstance(left, (list, dict)) else text(left) == text(right)
    if name == "Fn::Not":
        (only,) = _exactly(name, argument, 1)
        return not evaluate_condition(only, conditions, scope, under)
    if name in ("Fn::And", "Fn::Or"):
        if not isinstance(argument, list) or not 2 <= len(argument) <= 10:
            raise TemplateError(f"Template validation error: {name} takes 2 to 10 conditions")
        truths = [evaluate_condition(each, conditions, scope, under) for each in argument]
        return all(truths) if name == "Fn::And" else any(truths)
    raise TemplateError(f"Template format error: {name} cannot be used as a condition")


def _named_condition(name: Any, conditions: Mapping[str, Any], scope: Scope, under: tuple[str, ...]) -> bool:
    if name not in conditions:
        raise TemplateError(f"Template format error: Unresolved condition {name!r}")
    if name in under:
        raise TemplateError(f"Template format error: Circular dependency between conditions {list(under)}")
    return evaluate_condition(conditions[name], conditions, scope, (*under, name))


def choose(value: Any, truths: Mapping[str, bool]) -> Any:
    """`value` with each Fn::If replaced by its branch and each {Ref: AWS::NoValue} left out (NO_VALUE at the top)."""
    if isinstance(value, list):
        return [each for each in (choose(item, truths) for item in value) if each is not NO_VALUE]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "AWS::NoValue"}:
        return NO_VALUE
    if "Fn::If" in value and function_of(value):
        condition, then, otherwise = _exactly("Fn::If", value["Fn::If"], 3)
        if condition not in truths:
            raise TemplateError(f"Template error: unresolved condition dependency {condition!r} in Fn::If")
        return choose(then if truths[condition] else otherwise, truths)
    chosen = {key: choose(item, truths) for key, item in value.items()}
    return {key: item for key, item in chosen.items() if item is not NO_VALUE}


def references(value: Any) -> Iterator[tuple[str, str | None]]:
    """Each (name, attribute or None) that `value` refers to by Ref, Fn::GetAtt or Fn::Sub."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    if not isinstance(value, dict):
        return
    call = function_of(value)
    if call is None:
        for item in value.values():
            yield from references(item)
        return
    name, argument = call
    if name == "Ref":
        yield _referred(argument), None
    elif name == "Fn::GetAtt":
        logical_id, attribute = _get_att(argument)
        yield logical_id, attribute if isinstance(attribute, str) else None
        yield from references(attribute)
    elif name == "Fn::Sub":
        template, given = _sub_arguments(argument)
        yield from references(given)
        for placeholder in _PLACEHOLDER.findall(template):
            if not placeholder.startswith("!") and placeholder not in given:
                referred, _, attribute = placeholder.partition(".")
                yield referred, attribute or None
    else:
        yield from references(argument)


def unsupported(value: Any) -> Iterator[str]:
    """What `value` (with Fn::If settled) uses that is not built here: functions and dynamic references."""
    if isinstance(value, str) and "{{resolve:" in value:
        yield f"dynamic references are not supported locally: {value!r} ({HERE})"
    elif isinstance(value, list):
        for item in value:
            yield from unsupported(item)
    elif isinstance(value, dict):
        call = function_of(value)
        if call and call[0] not in VALUE_FUNCTIONS:
            yield f"{call[0]} is not supported locally ({HERE})"
        for item in value.values():
            yield from unsupported(item)


def resolve(value: Any, scope: Scope) -> Any:
    """`value` (after `choose`) with every intrinsic function replaced by what it gives. Raises TemplateError."""
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    call = function_of(value)
    if call is None:
        return {key: resolve(item, scope) for key, item in value.items()}
    return _call(*call, scope)


def _call(name: str, argument: Any, scope: Scope) -> Any:
    match name:
        case "Ref":
            return _ref(argument, scope)
        case "Fn::GetAtt":
            logical_id, attribute = _get_att(argument)
            return scope.attribute(logical_id, text(resolve(attribute, scope)))
        case "Fn::Sub":
            return _sub(argument, scope)
        case "Fn::Join":
            delimiter, items = _exactly(name, argument, 2)
            return text(delimiter).join(text(item) for item in _list(name, resolve(items, scope)))
        case "Fn::Select":
            index, items = _exactly(name, argument, 2)
            chosen, of = int(text(resolve(index, scope))), _list(name, resolve(items, scope))
            if not 0 <= chosen < len(of):
                raise TemplateError(f"Template error: Fn::Select cannot select nonexistent value at index {chosen}")
            return of[chosen]
        case "Fn::Split":
            delimiter, source = _exactly(name, argument, 2)
            return text(resolve(source, scope)).split(text(delimiter))
        case "Fn::FindInMap":
            return _find_in_map(_exactly(name, argument, 3), scope)
        case "Fn::ImportValue":
            return scope.imported(text(resolve(argument, scope)))
        case "Fn::Base64":
            return base64.b64encode(text(resolve(argument, scope)).encode()).decode()
    raise TemplateError(f"{name} is not supported locally ({HERE})")


def _referred(name: Any) -> str:
    if not isinstance(name, str):
        raise TemplateError(f"Template format error: Ref and Fn::GetAtt take a name, not {name!r}")
    return name


def _ref(name: Any, scope: Scope) -> Any:
    name = _referred(name)
    return scope.parameters[name] if name in scope.parameters else scope.ref(name)


def _sub(argument: Any, scope: Scope) -> str:
    template, given = _sub_arguments(argument)

    def replacement(match: re.Match[str]) -> str:
        placeholder = match.group(1)
        if placeholder.startswith("!"):
            return "${" + placeholder[1:] + "}"
        if placeholder in given:
            return text(resolve(given[placeholder], scope))
        name, dot, attribute = placeholder.strip().partition(".")
        return text(scope.attribute(name, attribute) if dot else _ref(name, scope))

    return _PLACEHOLDER.sub(replacement, template)


def _sub_arguments(argument: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(argument, str):
        return argument, {}
    template, given = _exactly("Fn::Sub", argument, 2)
    if not isinstance(template, str) or not isinstance(given, dict):
        raise TemplateError("Template error: Fn::Sub takes a string, or a list of a string and a map of values")
    return template, given


def _get_att(argument: Any) -> tuple[str, Any]:
    if isinstance(argument, str):
        argument = argument.split(".", 1)
    logical_id, attribute = _exactly("Fn::GetAtt", argument, 2)
    return _referred(logical_id), attribute


def _find_in_map(argument: list[Any], scope: Scope) -> Any:
    name, top, second = (text(resolve(each, scope)) for each in argument)
    try:
        return scope.mappings[name][top][second]
    except KeyError:
        raise TemplateError(f"Template error: Unable to get mapping for {name}::{top}::{second}") from None


def _exactly(name: str, argument: Any, count: int) -> list[Any]:
    if not isinstance(argument, list) or len(argument) != count:
        raise TemplateError(f"Template error: {name} takes a list of {count} values, not {argument!r}")
    return argument


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TemplateError(f"Template error: {name} takes a list of values, not {value!r}")
    return value
