"""The commands about a running mesh: what they print, and how they end (0 fine, 1 findings, 2 usage)."""

import sys
import time
from pathlib import Path

from tagmesh.governance import GovernanceError, load

from cli import approve as approving
from cli import doctor as doctors
from cli import history as histories
from cli import plan as planning
from cli import replay as replaying
from cli import status as states
from cli import sweep as sweeping
from cli.ends import FINDINGS, FINE, NOT_ASKED, at_port, files_of, refused, show, usage
from cli.mesh import clients_of, find


def plan(folder: Path, port: int | None, *, json: bool) -> int:
    """`tagmesh plan`."""
    try:
        new = load(files_of(folder))
        found = planning.of_mesh(find(port), new)
    except GovernanceError as error:
        return refused(error, "; nothing was done")
    except NOT_ASKED as error:
        return usage(error)
    show(json, lambda: planning.as_json(new, found), lambda: planning.lines(found))
    return FINE


def apply(folder: Path, port: int | None) -> int:
    """`tagmesh apply`."""
    try:
        files = files_of(folder)
        new = load(files)
        mesh = find(port)
        planning.apply(mesh, files)
    except GovernanceError as error:
        return refused(error, "; nothing was done")
    except NOT_ASKED as error:
        return usage(error)
    print(f"version {new.digest[:12]} is uploaded to account {mesh.account}, checked there once more, and put in force")
    print(f"follow it with: tagmesh status{at_port(port)}")
    return FINE


def doctor(asked: list[str], port: int | None, role: str | None, *, fix: bool, json: bool) -> int:
    """`tagmesh doctor`."""
    try:
        mesh = find(port)
        found = doctors.examine(mesh, asked)
        mended = list(doctors.mend(mesh, found, role)) if fix else []
    except NOT_ASKED as error:
        return usage(error)
    done = [door for door, why_not in mended if not why_not]
    left = [door for door in found if door not in done]
    for door, why_not in mended:
        outcome = f"could not be mended: {why_not}" if why_not else "mended"
        said = sys.stderr if json else sys.stdout
        print(f"{outcome}: {door.code} {door.subject} (account {door.account})", file=said)
    show(json, lambda: doctors.to_json(left), lambda: doctors.lines(left))
    if done and not json:
        print(f"\nwhat was closed for this opens with the next sweep: tagmesh sweep{at_port(port)}")
    return FINDINGS if any(door.severity != doctors.NOTICE for door in left) else FINE


def status(port: int | None, *, json: bool) -> int:
    """`tagmesh status`."""
    try:
        mesh = find(port)
        governance = mesh.governance
        found = states.of_mesh(mesh)
    except NOT_ASKED as error:
        return usage(error)
    show(json, lambda: states.as_json(governance, found), lambda: states.lines(governance, found))
    return FINDINGS if any(each.findings for each in found) else FINE


def watch(port: int | None, seconds: float) -> int:
    """`tagmesh watch`: prints what `tagmesh status` says whenever it changes, until it is interrupted."""
    said: list[str] = []
    try:
        while True:
            mesh = find(port)
            shown = states.lines(mesh.governance, states.of_mesh(mesh), ages=False)
            if shown != said:
                print("\n".join([time.strftime("── %H:%M:%S"), *shown, ""]), flush=True)
                said = shown
            time.sleep(seconds)
    except NOT_ASKED as error:
        return usage(error)
    except KeyboardInterrupt:
        return FINE


def decide(name: str, reason: str, port: int | None, *, approve: bool, json: bool) -> int:
    """`tagmesh approve` and `tagmesh deny`."""
    try:
        decided = approving.decide(find(port), name, reason, approve=approve)
    except (*NOT_ASKED, approving.NotDecided) as error:
        return usage(error)
    show(json, lambda: approving.as_json(decided), lambda: approving.lines(decided, at_port(port)))
    return FINE


def sweep(port: int | None, *, json: bool) -> int:
    """`tagmesh sweep`."""
    try:
        swept = sweeping.run(find(port))
    except NOT_ASKED as error:
        return usage(error)
    except sweeping.SweepFailed as error:
        print(f"tagmesh: {error}", file=sys.stderr)
        return FINDINGS
    show(json, lambda: sweeping.as_json(swept), lambda: sweeping.lines(swept, at_port(port)))
    return FINDINGS if swept.reason else FINE


def history(name: str, port: int | None, *, json: bool) -> int:
    """`tagmesh history`."""
    database, table, column = (*name.split("."), None)[:3] if name.count(".") in (1, 2) else (None, None, None)
    if not database or not table or column == "":
        return usage(ValueError(f"{name} is no table or column: write DATABASE.TABLE or DATABASE.TABLE.COLUMN"))
    try:
        changes = histories.of_mesh(find(port), database, table, column)
    except NOT_ASKED as error:
        return usage(error)
    show(json, lambda: histories.as_json(database, table, changes), lambda: histories.lines(database, table, changes))
    return FINE


def replay(queue: str | None, account: str | None, port: int | None, *, dry_run: bool, json: bool) -> int:
    """`tagmesh replay`."""
    try:
        found = replaying.of_account(clients_of(port, account), queue, dry_run=dry_run)
    except (*NOT_ASKED, replaying.NoSuchQueue) as error:
        return usage(error)
    show(json, lambda: replaying.as_json(found, dry_run=dry_run), lambda: replaying.lines(found))
    return FINDINGS if any(each.left for each in found) else FINE
