"""Whatever happens to a mesh, and in whatever order: it comes to what the governance says, and nobody reads too much
on the way."""

from __future__ import annotations

import os
import random

import pytest
from convergence.histories import History, allowed_now, not_catalogued
from convergence.mesh_in_process import MeshInProcess
from tagmesh.governance import load

WRITES = ("Add", "Remove", "Batch", "Create", "Delete", "Update", "Put", "Register", "Start", "Accept")


def lives(seed: int) -> None:
    """One history, to its end."""
    chance = random.Random(seed)
    with MeshInProcess() as mesh:
        history = History(mesh, chance)
        try:
            for _ in range(chance.randint(5, 20)):
                history.step()
            history.end()
            governance = load(history.wanted.files())
            assert not not_catalogued(mesh, governance)
            read, wanted = mesh.readable(), allowed_now(mesh, governance)
            assert read == wanted, f"too much: {sorted(read - wanted)}, too little: {sorted(wanted - read)}"
            assert mesh.queryable() == wanted, f"not by its link: {sorted(wanted - mesh.queryable())}"
            mesh.counts.clear()
            mesh.sweep()
            written = {
                name: count
                for name, count in mesh.counts.items()
                if name.partition(":")[2].startswith(WRITES) and not name.startswith("lambda:")
            }
            assert not written, f"the second pass writes: {written}"
        except BaseException as error:
            steps = ", ".join(history.told)
            raise AssertionError(f"history {seed} ({steps}): {error}; failed: {mesh.failed[-3:]}") from error


@pytest.mark.parametrize(
    "seed", range(int(os.environ.get("HISTORIES_FROM", "0")), int(os.environ.get("HISTORIES", "40")))
)
def test_a_mesh_comes_to_what_the_governance_says(seed):
    lives(seed)
