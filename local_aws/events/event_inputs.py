"""What a target receives of an event: the event itself, or what Input, InputPath or InputTransformer make of it.

Source: EventBridge user guide, "Amazon EventBridge input transformation"; API reference, PutTargets.
"""

import json
import re
from typing import Any

from local_aws.stepfunctions import asl_paths

MAX_VARIABLES = 100
PREDEFINED = (
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
)
VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class InvalidInput(ValueError):
    """The target's input settings are refused; the message says why."""


class NoInput(LookupError):
    """The event has nothing at the InputPath."""


def check(target: dict) -> None:
    """Refuse input settings that EventBridge refuses. Raises InvalidInput."""
    given = [name for name in ("Input", "InputPath", "InputTransformer") if name in target]
    name = target["Id"]
    if len(given) > 1:
        raise InvalidInput(f"Only one of Input, InputPath, or InputTransformer must be provided for target {name}.")
    if "Input" in target:
        try:
            json.loads(target["Input"])
        except ValueError as error:
            raise InvalidInput(f"JSON syntax error in input for target {name} : {error}.") from error
    if "InputPath" in target:
        _checked_path(target["InputPath"], name)
    if "InputTransformer" in target:
        _check_transformer(target["InputTransformer"], name)


def _check_transformer(transformer: dict, name: str) -> None:
    template, paths = transformer["InputTemplate"], transformer.get("InputPathsMap", {})
    if len(paths) > MAX_VARIABLES:
        raise InvalidInput(f"InputTransformer for target {name} has more than {MAX_VARIABLES} variables.")
    for variable, path in paths.items():
        if variable.lower().startswith("aws") or not re.fullmatch(r"[A-Za-z0-9_-]+", variable):
            raise InvalidInput(f"Invalid variable name {variable} in InputPathsMap for target {name}.")
        _checked_path(path, name)
    for variable in VARIABLE.findall(template):
        if variable not in paths and variable not in PREDEFINED:
            raise InvalidInput(f"Invalid InputTemplate for target {name} : <{variable}> is not in InputPathsMap.")
    if template.lstrip().startswith(("{", "[")):
        # Any value does for the syntax: a variable stands for JSON, or for text where it is within quotes.
        trial = _render(template, dict.fromkeys([*paths, *PREDEFINED], "x"))
        try:
            json.loads(trial)
        except ValueError as error:
            raise InvalidInput(f"Invalid InputTemplate for target {name} : {error}.") from error


def _checked_path(text: str, name: str) -> asl_paths.Path:
    """Field names, array indices and wildcards only, as EventBridge documents."""
    try:
        path = asl_paths.compile_path(text)
    except asl_paths.InvalidPath as error:
        raise InvalidInput(f"Invalid path for target {name} : {error}") from error
    simple = (asl_paths.Names, asl_paths.Indexes, asl_paths.Wildcard)
    if path.context or any(step.deep or not isinstance(step.selector, simple) for step in path.steps):
        raise InvalidInput(f"Invalid path for target {name} : {text}")
    return path


def payload(target: dict, event: dict, rule_arn: str, ingestion_time: str) -> str:
    """The text that the target receives. Raises NoInput."""
    if "Input" in target:
        return target["Input"]
    if "InputPath" in target:
        try:
            return json.dumps(asl_paths.read(asl_paths.compile_path(target["InputPath"]), event, None))
        except asl_paths.PathNotFound as error:
            raise NoInput(f"the event has nothing at {target['InputPath']}") from error
    if "InputTransformer" in target:
        transformer = target["InputTransformer"]
        values = _values(transformer.get("InputPathsMap", {}), event, rule_arn, ingestion_time)
        return _render(transformer["InputTemplate"], values)
    return json.dumps(event)


def _values(paths: dict[str, str], event: dict, rule_arn: str, ingestion_time: str) -> dict[str, Any]:
    values: dict[str, Any] = {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rsplit("/", 1)[-1],
        "aws.events.event.ingestion-time": ingestion_time,
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }
    for variable, path in paths.items():
        try:
            values[variable] = asl_paths.read(asl_paths.compile_path(path), event, None)
        except asl_paths.PathNotFound:
            continue  # the variable is not made, and nothing stands in its place
    return values


def _render(template: str, values: dict[str, Any]) -> str:
    """The template with its variables replaced: as JSON, or as bare text within a quoted string."""
    rendered = []
    position = 0
    for quoted in STRING.finditer(template):
        rendered.append(_replaced(template[position : quoted.start()], values, _as_json))
        rendered.append(_replaced(quoted.group(), values, _as_text))
        position = quoted.end()
    rendered.append(_replaced(template[position:], values, _as_json))
    return "".join(rendered)


def _replaced(text: str, values: dict[str, Any], write: Any) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] in values:
            return write(values[found[1]])
        return ""

    return VARIABLE.sub(value, text)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_text(value: Any) -> str:
    """Within quotes: strings as they are, not escaped; of anything else the JSON without its quotes."""
    return value if isinstance(value, str) else _as_json(value).replace('"', "")
