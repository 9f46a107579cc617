"""`tagmesh can` says what the local Athena gives, for everybody and every column, in meshes made at random."""

from __future__ import annotations

import os
import random

import pytest
from convergence.doubles import CENTRAL, REGION
from convergence.histories import History
from convergence.mesh_in_process import MeshInProcess
from convergence.meshes_at_random import Iam, RandomMesh
from tagmesh.access import can
from tagmesh.access_chain import MISSING
from tagmesh.aws import observation
from tagmesh.governance import load
from tagmesh.grants import IAM_ALLOWED
from tagmesh.observed import Observed, Who

from cli.access import everybody
from local_aws.access import identity
from local_aws.athena.engine import Athena

MESHES = 8
MANY = int(os.environ.get("TAGMESH_RANDOM_MESHES", "1000"))


Given = dict[tuple[str, str, str], frozenset[str]]
"""(principal ARN, database, table) -> the columns that Athena gives."""


def disagreements(seed: int) -> tuple[list[str], int, int]:
    """What `can` and Athena answer otherwise in the mesh of a seed, and whom `who` leaves out; how many columns are
    readable, and how many not."""
    wrong, asked, given = [], 0, {}
    with RandomMesh(seed) as mesh:
        seen = mesh.observed()
        for who in mesh.everybody():
            for (database, table), columns in mesh.tables.items():
                columns_given = given[who.arn, database, table] = mesh.answered(who.arn, database, table)
                for column in columns:
                    asked, answer = asked + 1, can(seen, who, database, table, column)
                    if answer.readable != (column in columns_given):
                        wrong.append(f"seed {seed}: {who.arn} {database}.{table}.{column}: {answer}")
        wrong += [f"seed {seed}: `who` leaves out {each}" for each in left_out(mesh, seen, given)]
    readable = sum(map(len, given.values()))
    return wrong, readable, asked - readable


def left_out(mesh: RandomMesh, seen: Observed, given: Given) -> list[str]:
    """Who reads the first column of a table, and is not among those whom `who` looks at."""
    missed = []
    for (database, table), (column, *_) in mesh.tables.items():
        readers = {arn for arn, *place in given if place == [database, table] and column in given[arn, *place]}
        looked_at = {who.arn for who in everybody(seen, (database, table, column), mesh.clients_in)} if readers else ()
        for arn in readers:
            account = arn.split(":")[4]
            meant = {arn, f"{account}:IAMPrincipals", *([IAM_ALLOWED] if account == CENTRAL else [])}
            if meant.isdisjoint(looked_at):
                missed.append(f"{arn} of {database}.{table}.{column}")
    return missed


def test_can_agrees_with_athena_in_some_meshes():
    found = [disagreements(seed) for seed in range(MESHES)]

    assert [wrong for wrongs, _, _ in found for wrong in wrongs] == []
    assert min(sum(readable for _, readable, _ in found), sum(closed for _, _, closed in found)) > 10 * MESHES


@pytest.mark.slow
def test_can_agrees_with_athena_in_many_meshes():
    for seed in range(MESHES, MESHES + MANY):
        wrong, _, _ = disagreements(seed)
        assert not wrong, wrong


# ── While the pipeline makes and changes a mesh ───────────────────────────────────────────────────────────────────

HISTORIES = int(os.environ.get("TAGMESH_ACCESS_HISTORIES", "60"))
NOT_LAKE_FORMATION = ("iam", "location", "default_database")


def said_by_can(mesh: MeshInProcess, files: dict[str, str]) -> set[tuple[str, str, str]]:
    """(principal ARN, database.table, column) of what `can` says that Lake Formation lets be read by its links."""
    callers = {CENTRAL: mesh.automation}
    for account in mesh.accounts - {CENTRAL}:
        callers[account] = identity.issue(mesh.world, f"arn:aws:iam::{account}:role/tagmesh-consumer", "test").caller

    def clients_in(account: str):
        return lambda service: mesh.client(service, callers[account])

    databases = [each.name for each in mesh._databases()]
    seen = observation.observe(load(files), CENTRAL, REGION, clients_in, databases, sorted(callers))
    found = set()
    for arn in mesh.analysts():
        who = Who(arn, arn.split(":")[4], arn)
        for (database, table), tagged in seen.tables.items():
            for column in tagged.table.all_columns:
                chain = can(seen, who, database, table, column.name).chain
                start = [link.name for link in chain].index("principal")
                if all(link.state != MISSING or link.name in NOT_LAKE_FORMATION for link in chain[start:]):
                    found.add((arn, f"{database}.{table}", column.name))
    return found


def agrees_all_along(seed: int) -> int:
    """Asserts in a history of a mesh, after each of its steps, that `can` says what can be queried; how often
    something could."""
    chance, readable = random.Random(seed), 0
    with MeshInProcess() as mesh:
        mesh._doubles["iam"] = Iam(mesh.world)
        mesh.with_engine(Athena(mesh.world))
        history = History(mesh, chance)
        for _ in range(chance.randint(4, 8)):
            history.step()
            watched = mesh.on_call, mesh.after_call, mesh.around, mesh.crashed
            mesh.on_call, mesh.after_call, mesh.around, mesh.crashed = [], [], lambda do, *_: do(), False
            assert said_by_can(mesh, history.wanted.files()) == mesh.queryable(), (seed, history.told)
            mesh.on_call, mesh.after_call, mesh.around, mesh.crashed = watched
            readable += bool(mesh.queryable())
    return readable


def test_can_agrees_with_lake_formation_while_a_mesh_is_made_and_changed():
    assert sum(agrees_all_along(seed) for seed in range(2)) > 3


@pytest.mark.slow
def test_can_agrees_with_lake_formation_in_many_histories():
    assert sum(agrees_all_along(seed) for seed in range(2, HISTORIES)) > HISTORIES
