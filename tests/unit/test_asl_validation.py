"""The product's state machines pass the check of definitions; the check itself: tests/conformance."""

import json
import re
from pathlib import Path

import pytest

from local_aws.stepfunctions.asl_validation import InvalidDefinition, check, parse

ROOT = Path(__file__).parents[2]
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:FailFunction"


def found(text: str) -> list[str]:
    return [str(problem) for problem in parse(text)[1]]


def replaced(path: str) -> str:
    """A state machine of the product with its substitutions made."""
    text = (ROOT / "statemachines" / path).read_text()
    text = re.sub(r"\$\{\w*FunctionArn\}", FUNCTION, text)
    return re.sub(r"\$\{\w+\}", "name", text)


@pytest.mark.parametrize("path", sorted(path.name for path in (ROOT / "statemachines").glob("*.asl.json")))
def test_the_machines_of_the_product_are_taken_only_with_their_substitutions(path: str):
    assert found(replaced(path)) == []
    assert "Substitution" in found((ROOT / "statemachines" / path).read_text())[0]


def test_the_message_tells_every_mistake_in_words():
    states = {"A": {"Type": "Pass", "Next": "B"}, "C": {"Type": "Task", "End": True}}
    with pytest.raises(InvalidDefinition) as raised:
        check(json.dumps({"StartAt": "A", "States": states}))
    message = str(raised.value)
    assert message.startswith("Invalid State Machine Definition: '")
    assert "Missing 'Next' target: B" in message
    assert "not reachable" in message
    assert "needs a Resource" in message
