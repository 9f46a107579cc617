"""Whatever happens to a mesh, and in whatever order: it comes to what the governance says, and nobody reads too much
on the way."""

from __future__ import annotations

import os
import random

import pytest
from convergence.ends import holds
from convergence.histories import History
from convergence.mesh_in_process import MeshInProcess
from tagmesh.governance import load

FIRST = int(os.environ.get("HISTORIES_FROM", "0"))
HISTORIES = int(os.environ.get("HISTORIES", "2000"))
A_TEST = 100


def lives(seed: int) -> None:
    """One history, to its end."""
    chance = random.Random(seed)
    with MeshInProcess() as mesh:
        history = History(mesh, chance)
        try:
            for _ in range(chance.randint(5, 20)):
                history.step()
            history.end()
            holds(mesh, load(history.wanted.files()))
        except BaseException as error:
            steps = ", ".join(history.told)
            raise AssertionError(f"history {seed} ({steps}): {error}; failed: {mesh.failed[-3:]}") from error


@pytest.mark.parametrize("seed", range(4))
def test_a_mesh_comes_to_what_the_governance_says(seed):
    lives(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FIRST, FIRST + HISTORIES, A_TEST))
def test_thousands_of_histories_come_to_what_the_governance_says(first):
    for seed in range(first, min(first + A_TEST, FIRST + HISTORIES)):
        lives(seed)
