"""The commands about a running mesh: what they print, and how they end (0 fine, 1 findings, 2 usage)."""

import json as json_module
import sys
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from tagmesh.governance import GovernanceError, load, read_folder

from cli import approve as approving
from cli import doctor as doctors
from cli import history as histories
from cli import plan as planning
from cli import replay as replaying
from cli import status as states
from cli import sweep as sweeping
from cli.local import LocalAwsError
from cli.mesh import clients_of, find

FINE, FINDINGS, USAGE = 0, 1, 2


def plan(folder: Path, port: int | None, *, json: bool) -> int:
    """`tagmesh plan`."""
    try:
        new = load(read_folder(folder))
        found = planning.of_mesh(find(port), new)
    except GovernanceError as error:
        return _refused(error)
    except LocalAwsError as error:
        return _usage(error)
    if json:
        print(json_module.dumps(planning.as_json(new, found), indent=2, ensure_ascii=False))
    else:
        print("\n".join(planning.lines(found)))
    return FINE


def apply(folder: Path, port: int | None) -> int:
    """`tagmesh apply`."""
    try:
        files = read_folder(folder)
        new = load(files)
        mesh = find(port)
        planning.apply(mesh, files)
    except GovernanceError as error:
        return _refused(error)
    except LocalAwsError as error:
        return _usage(error)
    print(f"version {new.digest[:12]} is uploaded to account {mesh.account}, checked there once more, and put in force")
    print("follow it with: tagmesh status" + (f" --port {port}" if port else ""))
    return FINE


def doctor(asked: list[str], port: int | None, role: str | None, *, fix: bool, json: bool) -> int:
    """`tagmesh doctor`."""
    try:
        mesh = find(port)
        found = doctors.examine(mesh, asked)
        mended = list(doctors.mend(mesh, found, role)) if fix else []
    except (LocalAwsError, ClientError, BotoCoreError) as error:
        return _usage(error)
    done = [door for door, why_not in mended if not why_not]
    left = [door for door in found if door not in done]
    for door, why_not in mended:
        outcome = f"could not be mended: {why_not}" if why_not else "mended"
        said = sys.stderr if json else sys.stdout
        print(f"{outcome}: {door.code} {door.subject} (account {door.account})", file=said)
    if json:
        print(json_module.dumps(doctors.to_json(left), indent=2, ensure_ascii=False))
    else:
        print("\n".join(doctors.lines(left)))
        if done:
            print("\nwhat was closed for this opens with the next sweep: tagmesh sweep")
    return FINDINGS if any(door.severity != doctors.NOTICE for door in left) else FINE


def status(port: int | None, *, json: bool) -> int:
    """`tagmesh status`."""
    try:
        mesh = find(port)
        found = states.of_mesh(mesh)
        governance = mesh.governance
    except LocalAwsError as error:
        return _usage(error)
    if json:
        print(json_module.dumps(states.as_json(governance, found), indent=2, ensure_ascii=False))
    else:
        print("\n".join(states.lines(governance, found)))
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
    except LocalAwsError as error:
        return _usage(error)
    except KeyboardInterrupt:
        return FINE


def decide(name: str, reason: str, port: int | None, *, approve: bool, json: bool) -> int:
    """`tagmesh approve` and `tagmesh deny`."""
    try:
        decided = approving.decide(find(port), name, reason, approve=approve)
    except (LocalAwsError, approving.NotDecided, ClientError) as error:
        return _usage(error)
    print(json_module.dumps(approving.as_json(decided)) if json else "\n".join(approving.lines(decided)))
    return FINE


def sweep(port: int | None, *, json: bool) -> int:
    """`tagmesh sweep`."""
    try:
        swept = sweeping.run(find(port))
    except LocalAwsError as error:
        return _usage(error)
    except sweeping.SweepFailed as error:
        print(f"tagmesh: {error}", file=sys.stderr)
        return FINDINGS
    print(json_module.dumps(sweeping.as_json(swept)) if json else "\n".join(sweeping.lines(swept)))
    return FINDINGS if swept.reason else FINE


def history(name: str, port: int | None, *, json: bool) -> int:
    """`tagmesh history`."""
    database, table, column = (*name.split("."), None)[:3] if name.count(".") in (1, 2) else (None, None, None)
    if not database or not table or column == "":
        return _usage(ValueError(f"{name} is no table or column: write DATABASE.TABLE or DATABASE.TABLE.COLUMN"))
    try:
        changes = histories.of_mesh(find(port), database, table, column)
    except LocalAwsError as error:
        return _usage(error)
    if json:
        print(json_module.dumps(histories.as_json(database, table, changes), indent=2, ensure_ascii=False))
    else:
        print("\n".join(histories.lines(database, table, changes)))
    return FINE


def replay(queue: str | None, account: str | None, port: int | None, *, dry_run: bool, json: bool) -> int:
    """`tagmesh replay`."""
    try:
        found = replaying.of_account(clients_of(port, account), queue, dry_run=dry_run)
    except (LocalAwsError, replaying.NoSuchQueue, ClientError) as error:
        return _usage(error)
    if json:
        print(json_module.dumps(replaying.as_json(found, dry_run=dry_run), indent=2, ensure_ascii=False))
    else:
        print("\n".join(replaying.lines(found)))
    return FINDINGS if any(each.left for each in found) else FINE


def _refused(error: GovernanceError) -> int:
    for problem in error.problems:
        print(problem)
    print(f"{len(error.problems)} mistakes: the folder would be refused; nothing was done", file=sys.stderr)
    return FINDINGS


def _usage(error: Exception) -> int:
    print(f"tagmesh: {error}", file=sys.stderr)
    return USAGE
