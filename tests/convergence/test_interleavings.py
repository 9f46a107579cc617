"""Two writers at once on the same units: every call of one may come between any two of the other's. No tag and no
grant is lost, and what an old version of the governance would open stays closed.

One pair of calls is not parted: the check that a governance version is in force, and the call that opens after it. What
is under way at that moment nobody can call back; the new version's own run, which waits for this one, closes it."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from convergence.ends import holds, recover
from convergence.histories import TYPES, Exposure, History, Wanted
from convergence.mesh_in_process import MeshInProcess
from tagmesh.aws import governance_store
from tagmesh.governance import load

INTERLEAVINGS = int(os.environ.get("INTERLEAVINGS", "1000"))
A_TEST = 50
OPENING = ("AddLFTagsToResource", "BatchGrantPermissions")


class Turns:
    """Threads of which one runs at a time: at each call of deployed code, another one may go on."""

    def __init__(self, mesh: MeshInProcess, chance: random.Random) -> None:
        self._chance = chance
        self._turns: dict[int, threading.Semaphore] = {}
        self._back = threading.Semaphore(0)
        self._checked: set[int] = set()
        """Threads that have just seen which version is in force."""
        self._broken: list[BaseException] = []
        self.switches = 0
        mesh.on_call.append(self._pause)

    def run(self, *works: Callable[[], None]) -> None:
        """Does these works at once; raises what one of them raises."""
        threads = [threading.Thread(target=self._work, args=(work,), daemon=True) for work in works]
        for thread in threads:
            self._turns[id(thread)] = threading.Semaphore(0)
            thread.start()
        last = None
        while alive := [thread for thread in threads if thread.is_alive()]:
            following = self._chance.choice(alive)
            self.switches += following is not last
            last = following
            self._turns[id(following)].release()
            self._back.acquire()
            if id(following) not in self._turns:
                following.join()
        if self._broken:
            raise self._broken[0]

    def _work(self, work: Callable[[], None]) -> None:
        own = id(threading.current_thread())
        self._turns[own].acquire()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._broken.append(error)
        finally:
            del self._turns[own]
            self._back.release()

    def _pause(self, service: str, operation: str, params: dict, caller: Any) -> None:
        own = id(threading.current_thread())
        turn = self._turns.get(own)
        if turn is None:
            return
        if own not in self._checked or operation not in OPENING:
            self._back.release()
            turn.acquire()
        self._checked.discard(own)
        if operation == "GetItem" and params["Key"] == governance_store.ITEM:
            self._checked.add(own)


def interleaves(seed: int) -> int:
    """One mesh with two writers at work; how often they took turns."""
    chance = random.Random(seed)
    with MeshInProcess() as mesh:
        history = History(mesh, chance)
        history.rest()
        history.edit_all()
        if chance.random() < 0.5:
            product = chance.choice(load(history.wanted.files()).data_products)
            mesh.upload(product, "second", tuple(TYPES.items())[:3], told=2)
        turns = Turns(mesh, chance)

        def first() -> None:
            for _ in range(6):
                history.work()

        def second() -> None:
            """Another version comes meanwhile, and leases may run out under the first."""
            for _ in range(3):
                history.work()
            if chance.random() < 0.7:
                mesh.wait(chance.choice((10, 1000)))
            if chance.random() < 0.7:
                history.edit_all()
            history.schedule()
            for _ in range(6):
                history.work()

        turns.run(first, second)
        recover(mesh)
        holds(mesh, load(history.wanted.files()))
        return turns.switches


@pytest.mark.parametrize("seed", range(2))
def test_two_writers_lose_nothing(seed):
    interleaves(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, INTERLEAVINGS, A_TEST))
def test_many_orders_of_two_writers_lose_nothing(first):
    switched = [interleaves(seed) for seed in range(first, first + A_TEST)]
    assert sum(switched) > 20 * A_TEST, "the writers hardly met"


OPEN = Wanted("usual", ("orders",), {"analytics": ("all",)})
CLOSED = Wanted("strict", ("orders",), {"analytics": ("open",)})


class Stop(Turns):
    """Another writer's whole work, before one call of the first."""

    def __init__(self, mesh: MeshInProcess, before: int) -> None:
        super().__init__(mesh, random.Random(0))
        self._before, self.calls = before, 0

    def _pause(self, service: str, operation: str, params: dict, caller: Any) -> None:
        own = id(threading.current_thread())
        if own in self._turns and (own not in self._checked or operation not in OPENING):
            self.calls += 1
            if self.calls - 1 == self._before:
                self._back.release()
                self._turns[own].acquire()
        self._checked.discard(own)
        if own in self._turns and operation == "GetItem" and params["Key"] == governance_store.ITEM:
            self._checked.add(own)

    def run(self, first: Callable[[], None], other: Callable[[], None]) -> bool:
        """Whether the first one made so many calls; else it ran alone."""
        thread = threading.Thread(target=self._work, args=(first,), daemon=True)
        self._turns[id(thread)] = turn = threading.Semaphore(0)
        thread.start()
        turn.release()
        self._back.acquire()
        stopped = id(thread) in self._turns
        if stopped:
            other()
            turn.release()
            self._back.acquire()
        thread.join()
        if self._broken:
            raise self._broken[0]
        return stopped


def run_of(mesh: MeshInProcess, machine: str) -> Callable[[], None]:
    """The next run of this machine, taken out: whatever comes before it is done."""
    while True:
        for run in mesh.executions:
            if run.args[0] == machine:
                mesh.executions.remove(run)
                return run
        waiting = next(each for each in (mesh.executions, mesh.events, mesh.crawls) if each)
        waiting.pop(0)()


def overtaken(machine: str, before: int) -> bool:
    """A run of the first version is overtaken by all work of the second, its lease over, before one of its calls."""
    with MeshInProcess() as mesh:
        mesh.provide(load(OPEN.files()))
        mesh.provide(load(CLOSED.files()))
        Exposure(mesh)
        product = load(OPEN.files()).data_products[0]
        mesh.apply(OPEN.files())
        mesh.settle()
        mesh.upload(product, "first", tuple(TYPES.items()))
        old = run_of(mesh, machine)

        def other() -> None:
            mesh.wait(1000)
            mesh.apply(CLOSED.files())
            mesh.settle()
            mesh.sweep()

        stopped = Stop(mesh, before).run(old, other)
        recover(mesh)
        holds(mesh, load(CLOSED.files() if stopped else OPEN.files()))
        return stopped


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["crawl", "publish", "share"])
def test_an_old_run_that_is_overtaken_at_any_of_its_calls_opens_nothing(machine):
    calls = 0
    while overtaken(machine, calls):
        calls += 1
    assert calls > 10


FEW = Wanted("usual", ("orders",), {"analytics": ("open",)})
GIVING = Wanted("usual", ("orders",), {"analytics": ("open", "contacts")})
BETWEEN = Wanted("swapped", ("orders",), {"analytics": ("open", "contacts")})


def another_between(machine: str, before: int) -> bool:
    """Before one of the calls of a run, another version comes, is carried out and gives way to the run's own again."""
    with MeshInProcess() as mesh:
        mesh.provide(load(GIVING.files()))
        Exposure(mesh)
        mesh.apply(FEW.files())
        mesh.settle()
        mesh.upload(load(FEW.files()).data_products[0], "first", tuple(TYPES.items()))
        mesh.settle()
        mesh.apply(GIVING.files())
        going = run_of(mesh, machine)

        def other() -> None:
            mesh.apply(BETWEEN.files())
            mesh.settle()
            mesh.apply(GIVING.files())
            run_of(mesh, "sweep")()  # the version is in force again, and nothing of it is done yet

        stopped = Stop(mesh, before).run(going, other)
        mesh.settle()
        recover(mesh)
        holds(mesh, load(GIVING.files()))
        return stopped


@pytest.mark.slow
def test_a_run_whose_version_was_away_meanwhile_grants_nothing():
    calls = 0
    while another_between("share", calls):
        calls += 1
    assert calls > 10


FORTH = Wanted("swapped", ("orders",), {"analytics": ("open", "all")})
BACK = Wanted("usual", ("orders",), {"analytics": ("contacts",)})


def taken_back(machine: str, runs: int, before: int) -> bool:
    """A version gives way to another, which is taken back before one of the calls of a run that carries it out, after
    so many others of its machine."""
    with MeshInProcess() as mesh:
        mesh.provide(load(Wanted("usual", ("orders",), {"analytics": ("open", "contacts", "all")}).files()))
        Exposure(mesh)
        product = load(BACK.files()).data_products[0]
        mesh.apply(BACK.files())
        mesh.settle()
        mesh.upload(product, "first", tuple(TYPES.items()))
        mesh.settle()
        mesh.apply(FORTH.files())
        for _ in range(runs):
            run_of(mesh, machine)()
        going = run_of(mesh, machine)

        def other() -> None:
            mesh.apply(BACK.files())
            mesh.settle()

        stopped = Stop(mesh, before).run(going, other)
        mesh.settle()
        recover(mesh)
        holds(mesh, load(BACK.files() if stopped else FORTH.files()))
        return stopped


@pytest.mark.slow
@pytest.mark.parametrize("runs", [0, 1])
@pytest.mark.parametrize("machine", ["publish", "share"])
def test_a_version_that_comes_back_before_the_one_between_is_carried_out_finds_nothing_settled(machine, runs):
    calls = 0
    while taken_back(machine, runs, calls):
        calls += 1
    assert calls > 10
