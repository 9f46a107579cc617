"""`tagmesh can` says what the local Athena gives, for everybody and every column, in meshes made at random."""

from __future__ import annotations

import os

import pytest
from convergence.meshes_at_random import RandomMesh
from tagmesh.access import can

MESHES = 30
MANY = int(os.environ.get("TAGMESH_RANDOM_MESHES", "1000"))


def disagreements(seed: int) -> tuple[list[str], int, int]:
    """What `can` and Athena answer otherwise in the mesh of a seed; how many columns are readable, and how many not."""
    wrong, readable, closed = [], 0, 0
    with RandomMesh(seed) as mesh:
        seen = mesh.observed()
        for who in mesh.everybody():
            for (database, table), columns in mesh.tables.items():
                given = mesh.answered(who.arn, database, table)
                readable, closed = readable + len(given), closed + len(columns) - len(given)
                for column in columns:
                    answer = can(seen, who, database, table, column)
                    if answer.readable != (column in given):
                        wrong.append(f"seed {seed}: {who.arn} {database}.{table}.{column}: {answer}")
    return wrong, readable, closed


def test_can_agrees_with_athena_in_some_meshes():
    found = [disagreements(seed) for seed in range(MESHES)]

    assert [wrong for wrongs, _, _ in found for wrong in wrongs] == []
    assert min(sum(readable for _, readable, _ in found), sum(closed for _, _, closed in found)) > 10 * MESHES


@pytest.mark.slow
def test_can_agrees_with_athena_in_many_meshes():
    for seed in range(MESHES, MESHES + MANY):
        wrong, _, _ = disagreements(seed)
        assert not wrong, wrong
