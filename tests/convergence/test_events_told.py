"""What a mesh tells, whatever happens to it, is of its schema, and it tells of repaired drift if there was any."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from convergence import histories
from convergence.histories import History
from convergence.mesh_in_process import MeshInProcess
from jsonschema import Draft202012Validator

pytestmark = pytest.mark.slow

SCHEMAS = {
    path.name.removesuffix(".schema.json"): Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
    for path in (Path(__file__).parents[2] / "docs" / "events").glob("*.schema.json")
}
BY_HAND = ("by_hand", "drop_")
OWN_WORK = [step for step in histories.STEPS if not any(word in step[0] for word in BY_HAND)]


def told(seed: int) -> tuple[list[str], list[tuple[str, dict]]]:
    """The steps of one history, and (detail type, detail) of every event."""
    chance = random.Random(seed)
    with MeshInProcess() as mesh:
        history = History(mesh, chance)
        for _ in range(chance.randint(5, 20)):
            history.step()
        history.end()
        for _, name, detail in mesh.buses.events:
            SCHEMAS[name].validate(detail)
        return history.told, [(name, detail) for _, name, detail in mesh.buses.events]


@pytest.mark.parametrize("seed", range(20))
def test_a_mesh_that_nobody_meddles_with_tells_of_no_drift(seed, monkeypatch):
    monkeypatch.setattr(histories, "STEPS", OWN_WORK)
    steps, events = told(seed)
    assert [detail for name, detail in events if name == "DriftRepaired"] == [], steps


def test_what_people_changed_past_the_files_is_told():
    assert any(name == "DriftRepaired" for seed in range(6) for name, _ in told(seed)[1])
