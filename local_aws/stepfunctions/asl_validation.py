"""Checking a state machine's definition, as CreateStateMachine and ValidateStateMachineDefinition do.

What AWS refuses is refused; what AWS takes and this interpreter does not do (JSONata, variables, distributed
Map, activities, HTTP tasks) is refused too, and says so. Sources: Step Functions developer guide, the pages
of each state; the Amazon States Language specification (states-language.net).
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from local_aws.stepfunctions import asl_choice, asl_intrinsics, asl_paths, asl_resources
from local_aws.stepfunctions.asl_errors import STATES_ERRORS

MAX_DEFINITION_BYTES = 1024 * 1024
MAX_SECONDS = 99_999_999
MAX_STATE_NAME = 80
SUBSTITUTION = re.compile(r"\$\{[^}]*\}")

TRANSITION = ("Next", "End")
INPUT_OUTPUT = ("InputPath", "OutputPath")
RESULT = ("ResultPath", "ResultSelector", "Retry", "Catch")
FIELDS = {
    "Pass": (*TRANSITION, *INPUT_OUTPUT, "Parameters", "Result", "ResultPath"),
    "Task": (
        *TRANSITION,
        *INPUT_OUTPUT,
        *RESULT,
        "Parameters",
        "Resource",
        "Credentials",
        "TimeoutSeconds",
        "TimeoutSecondsPath",
        "HeartbeatSeconds",
        "HeartbeatSecondsPath",
    ),
    "Choice": (*INPUT_OUTPUT, "Choices", "Default"),
    "Wait": (*TRANSITION, *INPUT_OUTPUT, "Seconds", "SecondsPath", "Timestamp", "TimestampPath"),
    "Succeed": INPUT_OUTPUT,
    "Fail": ("Error", "ErrorPath", "Cause", "CausePath"),
    "Parallel": (*TRANSITION, *INPUT_OUTPUT, *RESULT, "Parameters", "Branches"),
    "Map": (
        *TRANSITION,
        *INPUT_OUTPUT,
        *RESULT,
        "ItemProcessor",
        "Iterator",
        "ItemsPath",
        "ItemSelector",
        "Parameters",
        "MaxConcurrency",
        "MaxConcurrencyPath",
    ),
}
"""The fields of each state type, besides Type, Comment and QueryLanguage."""

NOT_BUILT = {
    "Assign": "workflow variables are not built in the local AWS",
    "Arguments": "JSONata is not built in the local AWS: use JSONPath",
    "Output": "JSONata is not built in the local AWS: use JSONPath",
    "Condition": "JSONata is not built in the local AWS: use JSONPath",
    "Items": "JSONata is not built in the local AWS: use JSONPath",
    **dict.fromkeys(
        (
            "ItemReader",
            "ItemBatcher",
            "ResultWriter",
            "Label",
            "ToleratedFailureCount",
            "ToleratedFailureCountPath",
            "ToleratedFailurePercentage",
            "ToleratedFailurePercentagePath",
        ),
        "distributed Map is not built in the local AWS",
    ),
}
FAIL_FUNCTIONS = {
    "States.Format",
    "States.JsonToString",
    "States.ArrayGetItem",
    "States.Base64Encode",
    "States.Base64Decode",
    "States.Hash",
    "States.UUID",
}
"""Functions that return text, which ErrorPath and CausePath may use."""


@dataclass(frozen=True)
class Problem:
    """A mistake in a definition: `code` and `location` as AWS writes them (/States/Crawl/Next)."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location or '/'}"


class InvalidDefinition(ValueError):
    """The definition is refused. `problems` lists what is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("Invalid State Machine Definition: '" + ", ".join(str(problem) for problem in problems) + "'")
        self.problems = problems


def check(text: str, kind: str = "STANDARD") -> dict:
    """The definition as a dict, for a machine of this type. Raises InvalidDefinition with every mistake."""
    definition, problems = parse(text, kind)
    if problems:
        raise InvalidDefinition(problems)
    return definition


def parse(text: str, kind: str = "STANDARD") -> tuple[dict, list[Problem]]:
    """The definition and every mistake in it, for a STANDARD or EXPRESS machine."""
    if len(text.encode()) > MAX_DEFINITION_BYTES:
        return {}, [Problem("SCHEMA_VALIDATION_FAILED", "The definition is larger than 1 MB", "")]
    try:
        definition = json.loads(text, object_pairs_hook=_without_duplicates)
    except ValueError as error:
        return {}, [Problem("INVALID_JSON_DESCRIPTION", str(error), "")]
    if not isinstance(definition, dict):
        return {}, [Problem("INVALID_JSON_DESCRIPTION", "The definition is not an object", "")]
    checker = _Checker(kind)
    checker.machine(definition)
    return definition, checker.problems


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict:
    names = [name for name, _ in pairs]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Duplicate field '{duplicates[0]}'")
    return dict(pairs)


class _Checker:
    """Walks a definition and collects problems."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.problems: list[Problem] = []
        self.places_of_names: dict[str, str] = {}

    def refuse(self, location: str, message: str, code: str = "SCHEMA_VALIDATION_FAILED") -> None:
        self.problems.append(Problem(code, message, location))

    def refuse_all(self, found: Iterator[tuple[str, str]]) -> None:
        for location, message in found:
            self.refuse(location, message)

    # -- machines

    def machine(self, machine: dict) -> None:
        self.known_fields(machine, ("Comment", "StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"), "")
        if machine.get("Version", "1.0") != "1.0":
            self.refuse("/Version", "The version must be '1.0'")
        self.query_language(machine, "")
        self.integer(machine, "TimeoutSeconds", "", least=1, most=MAX_SECONDS)
        self.states(machine, "")
        self.substitutions(machine, "")

    def states(self, machine: dict, location: str) -> None:
        """StartAt and States of a machine, a branch or an item processor."""
        states = machine.get("States")
        start = machine.get("StartAt")
        if not isinstance(start, str):
            self.refuse(location, "StartAt is required and must be a string")
        if not isinstance(states, dict) or not states:
            self.refuse(location, "States is required and must be a non-empty object")
            return
        here = f"{location}/States"
        targets: set[str] = set()
        for name, state in states.items():
            self.state_name(name, f"{here}/{name}")
            if not isinstance(state, dict):
                self.refuse(f"{here}/{name}", "A state must be an object")
                continue
            self.state(state, f"{here}/{name}")
            for target, place in _transitions(state, f"{here}/{name}"):
                targets.add(target)
                if target not in states:
                    self.missing_target(target, place)
        if isinstance(start, str) and start not in states:
            self.missing_target(start, f"{location}/StartAt")
        reached = _reachable(states, start)
        for name in states:
            if name not in reached:
                self.refuse(f"{here}/{name}", f'State "{name}" is not reachable.', "MISSING_TRANSITION_TARGET")
        if not any(_is_terminal(state) for state in states.values()):
            self.refuse(here, "No terminal state: none has End, and none is Succeed or Fail")

    def missing_target(self, target: str, place: str) -> None:
        field = place.rsplit("/", 1)[-1]
        self.refuse(place, f"Missing '{field}' target: {target}", "MISSING_TRANSITION_TARGET")

    def state_name(self, name: str, location: str) -> None:
        if not name or len(name) > MAX_STATE_NAME:
            self.refuse(location, f"A state's name must have 1 to {MAX_STATE_NAME} characters")
        if name in self.places_of_names:
            self.refuse(
                location,
                f"Duplicate State name: {name} (also at {self.places_of_names[name]})",
                "DUPLICATE_STATE_NAME",
            )
        self.places_of_names[name] = location

    def substitutions(self, node: Any, location: str) -> None:
        """Refuse `${Name}` left over from a template, except in comments."""
        if isinstance(node, dict):
            for name, value in node.items():
                if name != "Comment":
                    self.substitutions(value, f"{location}/{name}")
        elif isinstance(node, list):
            for index, value in enumerate(node):
                self.substitutions(value, f"{location}[{index}]")
        elif isinstance(node, str) and (found := SUBSTITUTION.search(node)):
            self.refuse(location, f"Substitution {found.group()} was not replaced")

    # -- states

    def state(self, state: dict, location: str) -> None:
        kind = state.get("Type")
        if kind not in FIELDS:
            self.refuse(f"{location}/Type", f"Type must be one of {', '.join(FIELDS)}")
            return
        self.known_fields(state, ("Type", "Comment", "QueryLanguage", *FIELDS[kind]), location)
        self.query_language(state, location)
        if "Next" in FIELDS[kind]:
            self.transition(state, location)
        for field in ("InputPath", "OutputPath"):
            self.path(state, field, location, asl_paths.compile_path, nullable=True)
        self.result_path(state, location)
        for field in ("Parameters", "ItemSelector", "ResultSelector"):
            if field in state:
                self.refuse_all(asl_intrinsics.template_problems(state[field], f"{location}/{field}"))
        if "ResultSelector" in state and not isinstance(state["ResultSelector"], dict):
            self.refuse(f"{location}/ResultSelector", "ResultSelector must be an object")
        self.error_handlers(state, location)
        specific: dict[str, Callable[[dict, str], None]] = {
            "Task": self.task,
            "Choice": self.choice,
            "Wait": self.wait,
            "Fail": self.fail,
            "Parallel": self.parallel,
            "Map": self.map,
        }
        if kind in specific:
            specific[kind](state, location)

    def transition(self, state: dict, location: str) -> None:
        if "Next" in state and "End" in state:
            self.refuse(location, "A state must not have both Next and End")
        elif "Next" in state:
            if not isinstance(state["Next"], str):
                self.refuse(f"{location}/Next", "Next must be a string")
        elif state.get("End") is not True:
            self.refuse(location, "A state needs Next, or End: true")

    def task(self, state: dict, location: str) -> None:
        for name in ("TimeoutSeconds", "HeartbeatSeconds"):
            self.integer(state, name, location, least=1, most=MAX_SECONDS)
            self.path(state, f"{name}Path", location, asl_paths.reference_path)
            self.one_of(state, (name, f"{name}Path"), location, required=False)
        timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
            self.refuse(f"{location}/HeartbeatSeconds", "HeartbeatSeconds must be less than TimeoutSeconds")
        self.credentials(state, location)
        resource = state.get("Resource")
        if not isinstance(resource, str):
            self.refuse(location, "A Task needs a Resource")
            return
        if SUBSTITUTION.search(resource):
            return  # reported once, as what it is
        try:
            parsed = asl_resources.parse_resource(resource)
        except asl_resources.InvalidResource as error:
            self.refuse(f"{location}/Resource", str(error))
            return
        if parsed.pattern and self.kind == "EXPRESS":
            self.refuse(f"{location}/Resource", "Express state machines only support Request Response")
        if "Parameters" in state or parsed.kind == "optimized":
            parameters = state.get("Parameters", {})
            self.refuse_all(asl_resources.parameter_problems(parsed, parameters, f"{location}/Parameters"))
        if parsed.pattern == asl_resources.TOKEN and "$$.Task.Token" not in json.dumps(state.get("Parameters")):
            self.refuse(f"{location}/Parameters", "$$.Task.Token must be passed with .waitForTaskToken")

    def credentials(self, state: dict, location: str) -> None:
        if "Credentials" not in state:
            return
        credentials = state["Credentials"]
        here = f"{location}/Credentials"
        if not isinstance(credentials, dict) or list(credentials) not in (["RoleArn"], ["RoleArn.$"]):
            self.refuse(here, "Credentials must hold RoleArn or RoleArn.$ and nothing else")
        elif "RoleArn" in credentials and not isinstance(credentials["RoleArn"], str):
            self.refuse(here, "RoleArn must be a string")
        else:
            self.refuse_all(asl_intrinsics.template_problems(credentials, here))

    def choice(self, state: dict, location: str) -> None:
        choices = state.get("Choices")
        if not isinstance(choices, list) or not choices:
            self.refuse(location, "A Choice needs Choices, a non-empty array of choice rules")
            return
        for index, rule in enumerate(choices):
            self.refuse_all(asl_choice.problems(rule, f"{location}/Choices[{index}]"))

    def wait(self, state: dict, location: str) -> None:
        self.one_of(state, ("Seconds", "SecondsPath", "Timestamp", "TimestampPath"), location, required=True)
        self.integer(state, "Seconds", location, least=0, most=MAX_SECONDS)
        for field in ("SecondsPath", "TimestampPath"):
            self.path(state, field, location, asl_paths.reference_path)
        if "Timestamp" in state and asl_choice.timestamp(state["Timestamp"]) is None:
            self.refuse(f"{location}/Timestamp", "Timestamp must look like 2016-03-14T01:59:00Z")

    def fail(self, state: dict, location: str) -> None:
        for field in ("Error", "Cause"):
            self.one_of(state, (field, f"{field}Path"), location, required=False)
            if field in state and not isinstance(state[field], str):
                self.refuse(f"{location}/{field}", f"{field} must be a string")
            self.path(state, f"{field}Path", location, _text_expression)

    def parallel(self, state: dict, location: str) -> None:
        branches = state.get("Branches")
        if not isinstance(branches, list) or not branches:
            self.refuse(location, "A Parallel needs Branches, a non-empty array")
            return
        for index, branch in enumerate(branches):
            self.branch(branch, ("StartAt", "States", "Comment"), f"{location}/Branches[{index}]")

    def map(self, state: dict, location: str) -> None:
        self.one_of(state, ("ItemProcessor", "Iterator"), location, required=True)
        self.one_of(state, ("ItemSelector", "Parameters"), location, required=False)
        self.one_of(state, ("MaxConcurrency", "MaxConcurrencyPath"), location, required=False)
        self.path(state, "ItemsPath", location, asl_paths.reference_path)
        self.path(state, "MaxConcurrencyPath", location, asl_paths.reference_path)
        self.integer(state, "MaxConcurrency", location, least=0)
        if "Iterator" in state:
            self.branch(state["Iterator"], ("StartAt", "States", "Comment"), f"{location}/Iterator")
        if "ItemProcessor" in state:
            here = f"{location}/ItemProcessor"
            processor = state["ItemProcessor"]
            self.branch(processor, ("StartAt", "States", "Comment", "ProcessorConfig"), here)
            config = processor.get("ProcessorConfig", {}) if isinstance(processor, dict) else {}
            if config not in ({}, {"Mode": "INLINE"}):
                self.refuse(f"{here}/ProcessorConfig", "Mode must be INLINE: distributed Map is not built here")

    def branch(self, branch: Any, fields: tuple[str, ...], location: str) -> None:
        if not isinstance(branch, dict):
            self.refuse(location, "Must be an object with StartAt and States")
            return
        self.known_fields(branch, fields, location)
        self.states(branch, location)

    # -- fields

    def known_fields(self, node: dict, known: tuple[str, ...], location: str) -> None:
        for name in node:
            if name not in known:
                reason = NOT_BUILT.get(name, "the field is not known here")
                self.refuse(f"{location}/{name}", f"Field '{name}' is not supported: {reason}")

    def query_language(self, node: dict, location: str) -> None:
        if node.get("QueryLanguage", "JSONPath") != "JSONPath":
            self.refuse(f"{location}/QueryLanguage", "Only JSONPath is built in the local AWS")

    def one_of(self, node: dict, names: tuple[str, ...], location: str, *, required: bool) -> None:
        given = [name for name in names if name in node]
        if len(given) > 1:
            self.refuse(location, f"Only one of {', '.join(given)} may be given")
        if required and not given:
            self.refuse(location, f"One of {', '.join(names)} is required")

    def integer(self, node: dict, name: str, location: str, *, least: int, most: int | None = None) -> None:
        if name not in node:
            return
        value = node[name]
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not fits or (most is not None and value > most):
            limits = f"from {least}" + (f" to {most}" if most is not None else "")
            self.refuse(f"{location}/{name}", f"{name} must be an integer {limits}")

    def path(self, node: dict, name: str, location: str, read: Callable[[str], Any], *, nullable: bool = False) -> None:
        if name not in node or (nullable and node[name] is None):
            return
        try:
            if not isinstance(node[name], str):
                raise asl_paths.InvalidPath(f"a string is expected, not {node[name]!r}")
            read(node[name])
        except (asl_paths.InvalidPath, asl_intrinsics.InvalidExpression) as error:
            self.refuse(f"{location}/{name}", f"The value for the field '{name}' must be a valid path: {error}")

    def result_path(self, node: dict, location: str) -> None:
        self.path(node, "ResultPath", location, _result_path, nullable=True)

    # -- Retry and Catch

    def error_handlers(self, state: dict, location: str) -> None:
        for field, check_one in (("Retry", self.retrier), ("Catch", self.catcher)):
            if field not in state:
                continue
            handlers = state[field]
            if not isinstance(handlers, list):
                self.refuse(f"{location}/{field}", f"{field} must be an array")
                continue
            for index, handler in enumerate(handlers):
                here = f"{location}/{field}[{index}]"
                if not isinstance(handler, dict):
                    self.refuse(here, "Must be an object")
                    continue
                self.error_equals(handler.get("ErrorEquals"), here, last=index == len(handlers) - 1)
                check_one(handler, here)

    def error_equals(self, names: Any, location: str, *, last: bool) -> None:
        here = f"{location}/ErrorEquals"
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            self.refuse(here, "ErrorEquals must be a non-empty array of strings")
            return
        for name in names:
            if name.startswith("States.") and name not in STATES_ERRORS:
                self.refuse(here, f"There is no error {name}: names may not start with 'States.'")
        if "States.ALL" in names and (len(names) > 1 or not last):
            self.refuse(here, "States.ALL must appear alone, and in the last element")

    def retrier(self, retrier: dict, location: str) -> None:
        names = "ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy Comment"
        self.known_fields(retrier, tuple(names.split()), location)
        self.integer(retrier, "IntervalSeconds", location, least=1, most=MAX_SECONDS)
        self.integer(retrier, "MaxAttempts", location, least=0, most=MAX_SECONDS)
        self.integer(retrier, "MaxDelaySeconds", location, least=1, most=31_622_400)
        rate = retrier.get("BackoffRate", 2)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or rate < 1:
            self.refuse(f"{location}/BackoffRate", "BackoffRate must be a number from 1.0")
        if retrier.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
            self.refuse(f"{location}/JitterStrategy", "JitterStrategy must be FULL or NONE")

    def catcher(self, catcher: dict, location: str) -> None:
        self.known_fields(catcher, ("ErrorEquals", "Next", "ResultPath", "Comment"), location)
        if not isinstance(catcher.get("Next"), str):
            self.refuse(location, "A catcher needs a Next")
        self.result_path(catcher, location)


def _result_path(text: str) -> asl_paths.Path:
    path = asl_paths.reference_path(text)
    if path.context:
        raise asl_paths.InvalidPath("a result cannot be placed in the context object")
    return path


def _text_expression(text: str) -> None:
    if text.startswith("$"):
        asl_paths.reference_path(text)
        return
    expression = asl_intrinsics.compile_expression(text)
    if isinstance(expression, asl_intrinsics.Invocation) and expression.function not in FAIL_FUNCTIONS:
        raise asl_intrinsics.InvalidExpression(f"{expression.function} does not return text")


def _transitions(state: dict, location: str) -> Iterator[tuple[str, str]]:
    """(target, location) of each transition out of a state."""
    for field in ("Next", "Default"):
        if isinstance(state.get(field), str):
            yield state[field], f"{location}/{field}"
    for field in ("Catch", "Choices"):
        handlers = state.get(field)
        for index, handler in enumerate(handlers if isinstance(handlers, list) else []):
            if isinstance(handler, dict) and isinstance(handler.get("Next"), str):
                yield handler["Next"], f"{location}/{field}[{index}]/Next"


def _reachable(states: dict, start: Any) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in reached or not isinstance(states.get(name), dict):
            continue
        reached.add(name)
        waiting += [target for target, _ in _transitions(states[name], "")]
    return reached


def _is_terminal(state: Any) -> bool:
    return isinstance(state, dict) and (state.get("End") is True or state.get("Type") in ("Succeed", "Fail"))
