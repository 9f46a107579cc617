"""Whatever is approved, denied and lost among all else that happens to a mesh: it comes to what is in force, and nobody
reads by what waits or was denied."""

from __future__ import annotations

import contextlib
import random
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ClientError
from convergence import histories
from convergence.ends import holds
from convergence.histories import STEPS, Exposure, History
from convergence.mesh_in_process import Crashed, MeshInProcess
from convergence.test_approval import asked_of
from tagmesh import approvals
from tagmesh.aws import approval_store
from tagmesh.governance import Governance, load

from cli import approve
from cli.mesh import NoMesh

CLOSED = histories.MESH_FILE.replace("confidential,", "{value: confidential, approval: required},")
HISTORIES = 300
A_TEST = 30


class ExposureInForce(Exposure):
    """The same, of the governance without what waits for approval or has expired."""

    def _after(self, service: str, operation: str, params: dict, caller: Any) -> None:
        if operation == "TransactWriteItems":
            self.look_again()
        super()._after(service, operation, params, caller)

    def look_again(self) -> None:
        item = self.mesh.tables.items("units").get(("governance",), {})
        version = item.get("version", {}).get("S", "")
        if version:
            files = histories._loaded(self.mesh.objects.buckets["tagmesh-governance"][f"versions/{version}.json"])
            self.governance = in_force(files, item.get("approved", {}).get("SS", []), self._today())
        self.day = self._today()
        self.tolerated = self._denied()

    def check(self, call: str) -> None:
        if self._today() != self.day:
            self.look_again()
        super().check(call)

    def _today(self) -> str:
        return self.mesh.world.now().strftime("%Y-%m-%d")


def in_force(files: Governance, approved: Any, day: str) -> Governance:
    return approvals.in_force(files, approved, approvals.expired(files, day))


class ApprovedHistory(History):
    """A mesh in which people decide, and in which machines and whole processes get lost."""

    def __init__(self, mesh: MeshInProcess, chance: random.Random) -> None:
        with mock.patch.object(histories, "Exposure", ExposureInForce):
            super().__init__(mesh, chance)

    def decide(self) -> None:
        asked = asked_of(self.mesh)
        with contextlib.suppress(ClientError, Crashed, approve.NotDecided, NoMesh):
            known = sorted(approvals.required(asked.governance))
            if known:
                yes = self.chance.random() < 0.7
                approve.decide(asked, self.chance.choice(known), "", approve=yes)
        self.mesh.crashed = False

    def lose_machines(self) -> None:
        self.mesh.lose_machines()

    def kill_a_process(self) -> None:
        """One of the next calls of deployed code, or of the command, is its last."""
        after, counted = self.chance.randint(0, 40), 0

        def kill(service: str, *_: Any) -> None:
            nonlocal counted
            counted += 1
            if counted > after and service != "lambda":
                self.mesh.on_call.remove(kill)
                self.mesh.crash()

        self.mesh.on_call.append(kill)

    def step(self) -> None:
        with mock.patch.object(histories, "STEPS", STEPS + OWN_STEPS):
            super().step()


OWN_STEPS = [
    (step.__name__, step)
    for step, weight in (
        (ApprovedHistory.decide, 12),
        (ApprovedHistory.lose_machines, 1),
        (ApprovedHistory.kill_a_process, 2),
    )
    for _ in range(weight)
]


def lives(seed: int) -> None:
    """One history, to its end."""
    chance = random.Random(seed)
    subscriptions = dict(histories.SUBSCRIPTIONS)
    for name in subscriptions:
        if chance.random() < 0.3:  # in the first night
            subscriptions[name] = subscriptions[name].replace("tags:", "expires: 2026-03-02, tags:")
    changed = mock.patch.multiple(histories, MESH_FILE=CLOSED, SUBSCRIPTIONS=subscriptions)
    with MeshInProcess() as mesh, changed:
        history = ApprovedHistory(mesh, chance)
        try:
            for _ in range(chance.randint(5, 20)):
                history.step()
            history.end()
            records = approval_store.read_all(mesh.client("dynamodb"))
            approved = [key for key, record in records.items() if record.approved]
            holds(mesh, in_force(load(history.wanted.files()), approved, mesh.world.now().strftime("%Y-%m-%d")))
        except BaseException as error:
            steps = ", ".join(history.told)
            raise AssertionError(f"history {seed} ({steps}): {error}; failed: {mesh.failed[-3:]}") from error


@pytest.mark.parametrize("seed", range(2))
def test_a_mesh_comes_to_what_is_approved(seed):
    lives(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, HISTORIES, A_TEST))
def test_hundreds_of_histories_come_to_what_is_approved(first):
    for seed in range(first, first + A_TEST):
        lives(seed)
