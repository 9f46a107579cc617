"""Every call of deployed code fails once, in every way that AWS has: the mesh comes to what the governance says, and
nobody reads too much on the way."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from convergence.ends import holds, recover
from convergence.histories import TYPES, Exposure, Wanted
from convergence.mesh_in_process import ROOT, MeshInProcess
from tagmesh.governance import load

from local_aws.faults import LISTED, LONGEST_STALE, OF_CALLS, error_of
from local_aws.wire import AwsError

PARTS = 16
FUNCTIONS = str(ROOT / "functions")
FAULTS = [fault for fault in OF_CALLS if fault != "stale"]  # stale answers have a test of their own
Site = tuple[str, ...]
"""Where a call is made: the operation, and file and line of each function of deployed code on the way to it."""

FIRST = Wanted("usual", ("orders",), {"analytics": ("open",), "finance": ("contacts",)})
SECOND = Wanted("swapped", ("orders", "people"), {"analytics": ("open", "all")})


def live(mesh: MeshInProcess) -> None:
    """What happens: a mesh begins, data comes, a version takes away from some, gives to others, and closes."""
    product = load(FIRST.files()).data_products[0]
    mesh.apply(FIRST.files())
    mesh.settle()
    mesh.upload(product, "first", tuple(TYPES.items()))
    mesh.settle()
    mesh.apply(SECOND.files())
    mesh.settle()
    mesh.upload(product, "second", (("note", "string"), ("city", "string")))
    mesh.wait(60)
    mesh.settle()
    mesh.wait(1000)
    mesh.sweep()


@dataclass
class Fault:
    """One fault at one call site, the first time that it is passed."""

    kind: str
    site: Site
    at: int
    """The number of the call, from 0."""
    mesh: MeshInProcess
    seen: int = field(default=0, init=False)
    hit: bool = field(default=False, init=False)

    def __call__(self, do: Callable[[], dict], service: str, operation: str, params: dict, caller: Any) -> dict:
        if service == "lambda":
            return do()
        self.seen += 1
        if self.seen - 1 != self.at:
            return do()
        self.hit = True
        if error := error_of(self.kind, service, operation, caller.principal):
            raise error
        if self.kind in ("failures", "partial"):
            return self._failures(do, operation, params)
        if self.kind.endswith("_after"):
            do()
        if self.kind.startswith("crash") and any("functions" in part for part in self.site):
            self.mesh.crash()
        if caller.principal.endswith("/tagmesh-crawler"):  # a call of Glue's own, in a crawl: the crawl fails
            raise AwsError("InternalServiceException", "broken by a test", 500)
        raise ConnectionClosedError(endpoint_url="https://aws")

    def _failures(self, do: Callable[[], dict], operation: str, params: dict) -> dict:
        name, failure = LISTED[operation]
        asked = list(params[name])
        done = len(asked) // 2 if self.kind == "partial" else 0
        if done:
            params[name] = asked[:done]
            do()
        error = {"ErrorCode": "InternalServiceException", "ErrorMessage": "Internal service error."}
        return {"Failures": [failure(each, error) for each in asked[done:]]}


def sites() -> dict[Site, list[int]]:
    """Every call site of the life, and the numbers of its calls."""
    found: dict[Site, list[int]] = {}

    def note(do: Callable[[], dict], service: str, operation: str, params: dict, caller: Any) -> dict:
        if service != "lambda":
            number = sum(map(len, found.values()))
            found.setdefault((f"{service}:{operation}", *_stack()), []).append(number)
        return do()

    with MeshInProcess() as mesh:
        mesh.provide(load(SECOND.files()))
        mesh.around = note
        live(mesh)
    return found


def _stack() -> Iterator[str]:
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(FUNCTIONS):
            yield f"functions{name.removeprefix(FUNCTIONS)}:{frame.f_lineno}"
        frame = frame.f_back


@cache
def cases() -> list[tuple[str, Site, int]]:
    """(fault, call site, number of the call): each site where it is passed first."""
    return [
        (kind, site, numbers[0])
        for site, numbers in sites().items()
        for kind in FAULTS
        if kind not in ("failures", "partial") or site[0].partition(":")[2] in LISTED
    ]


def survives(kind: str, site: Site, at: int) -> None:
    with MeshInProcess() as mesh:
        mesh.provide(load(SECOND.files()))
        Exposure(mesh)
        fault = mesh.around = Fault(kind, site, at, mesh)
        live(mesh)
        assert fault.hit
        recover(mesh)
        holds(mesh, load(SECOND.files()))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_may_fail_in_every_way(part):
    """In parts: what the call sites are is known only after a first run."""
    broken = []
    for kind, site, at in cases()[part::PARTS]:
        try:
            survives(kind, site, at)
        except AssertionError as error:
            broken.append(f"{kind} at call {at}, {' < '.join(site)}: {error}")
    assert not broken, "\n\n".join([f"{len(broken)} faults:", *broken])


@pytest.mark.parametrize("kind", ["crash_after"])
def test_a_call_that_opens_may_fail(kind):
    site, at = next((site, at) for _, site, at in cases() if site[0] == "lakeformation:AddLFTagsToResource")
    survives(kind, site, at)


READS = (
    "lakeformation:ListLFTags",
    "lakeformation:ListPermissions",
    "lakeformation:GetResourceLFTags",
    "lakeformation:SearchTablesByLFTags",
    "glue:GetCrawler",
    "glue:GetDatabase",
    "glue:GetDatabases",
    "glue:GetTables",
    "ram:GetResourceShareInvitations",
    "ram:GetResourceShareAssociations",
    "iam:GetRole",
)


class Stale:
    """For a minute, the same question of one kind gets the answer that it got first."""

    def __init__(self, mesh: MeshInProcess, read: str) -> None:
        self._mesh, self._read = mesh, read
        self._answers: dict[str, tuple[float, dict]] = {}
        self.repeated = 0

    def __call__(self, do: Callable[[], dict], service: str, operation: str, params: dict, caller: Any) -> dict:
        if f"{service}:{operation}" != self._read:
            return do()
        asked, now = f"{caller.account} {params}", time.time()
        at, known = self._answers.get(asked, (0.0, None))
        if known is None or now >= at + LONGEST_STALE:
            known = copy.deepcopy(do())
            self._answers[asked] = (now, known)
        else:
            self.repeated += 1
        return copy.deepcopy(known)


@pytest.mark.slow
@pytest.mark.parametrize("read", READS)
def test_answers_may_be_a_minute_old(read):
    with MeshInProcess() as mesh:
        mesh.provide(load(SECOND.files()))
        Exposure(mesh)
        mesh.around = Stale(mesh, read)
        live(mesh)
        recover(mesh)
        holds(mesh, load(SECOND.files()))
