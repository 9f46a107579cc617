"""The events that `sam local invoke` is tried with have the fields that the machines send."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from convergence.histories import TYPES, Wanted
from convergence.mesh_in_process import HANDLERS, MeshInProcess
from tagmesh.governance import load

EVENTS = Path(__file__).parents[2] / "events"
WANTED = Wanted("usual", ("orders",), {"analytics": ("open", "contacts")})
FILES = WANTED.files()
FILES["mesh.yaml"] = FILES["mesh.yaml"].replace("confidential,", "{value: confidential, approval: required},")


@pytest.fixture(scope="module")
def sent() -> dict[str, set[frozenset[str]]]:
    """Function -> the fields of each event that a machine sent it in the life of a mesh."""
    found: dict[str, set[frozenset[str]]] = {}
    with MeshInProcess() as mesh:

        def note(service: str, operation: str, params: dict, caller: object) -> None:
            if (service, operation) == ("lambda", "Invoke"):
                fields = frozenset(json.loads(params["Payload"]))
                found.setdefault(params["FunctionName"], set()).add(fields)

        mesh.on_call.append(note)
        mesh.apply(FILES)
        mesh.settle()
        ((token,),) = ([each.text for each in execution.tokens] for execution in mesh.waiting)
        mesh.client("stepfunctions").send_task_success(taskToken=token, output="{}")
        mesh.upload(load(FILES).data_products[0], "first", tuple(TYPES.items()))
        mesh.settle()
        mesh.sweep()
    return found


@pytest.mark.parametrize("function", HANDLERS)
def test_a_sample_event_is_one_that_is_sent(sent, function):
    event = json.loads((EVENTS / f"{function}.json").read_text("utf-8"))
    assert frozenset(event) in sent[function]
