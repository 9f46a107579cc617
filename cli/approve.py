"""`tagmesh approve` and `tagmesh deny`: a person decides what waits for approval."""

import json
import time
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Any

from botocore.exceptions import ClientError
from tagmesh import approvals
from tagmesh.approvals import SHOWN, Decision, Record
from tagmesh.aws import approval_store, governance_store, runs
from tagmesh.governance import Governance, Withheld

from cli.mesh import Mesh

TRIES = 5  # each fails only where somebody else has written meanwhile
LEAST = 6  # characters of a key


class NotDecided(Exception):
    """There is nothing to decide; the text says why, and what there is."""


@dataclass(frozen=True)
class Decided:
    """``started``: whether the consumer's run was set going; else the next sweep does it."""

    withheld: Withheld
    decision: Decision
    started: bool


def decide(mesh: Mesh, name: str, reason: str, *, approve: bool) -> Decided:
    """Records what the caller decides, and sets going what follows from it.

    Args:
        name: a key, or its first characters, or ``consumer/subscription``.

    Raises:
        NoMesh: there is no mesh.
        NotDecided: nothing of that name waits or is approved, or it is decided so already.
    """
    governance = mesh.governance
    dynamodb = mesh.clients("dynamodb")
    withheld = find(governance, name)
    caller = mesh.clients("sts").get_caller_identity()["Arn"]
    for _ in range(TRIES):
        before = approval_store.read(dynamodb, withheld.key)
        if before is not None and before.decision is not None and before.approved is approve:
            _end_waiting(mesh, before)  # whoever decided may not have come so far
            raise NotDecided(f"{approvals.subject_of(withheld)} is decided already: {before.decision}")
        decision = Decision(approve, caller, int(time.time()), governance.digest, reason)
        if approval_store.decide(dynamodb, withheld, before, decision):
            known = before or Record(approvals.subject_of(withheld))
            after = replace(known, decisions=(*known.decisions, decision))
            return Decided(withheld, decision, _carry_out(mesh, withheld, after, governance))
    raise NotDecided(f"others decide {approvals.subject_of(withheld)} at the same time: run tagmesh status, then again")


def find(governance: Governance, name: str) -> Withheld:
    """What a person means. Raises NotDecided if that is nothing, or more than one."""
    known = approvals.required(governance)
    named = [each for each in approvals.concerned(governance) if approvals.subject_of(each) == name]
    by_key = [each for key, each in known.items() if len(name) >= LEAST and key.startswith(name.lower())]
    found = named or by_key
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(each.key for each in found)
        raise NotDecided(f"{name} is the beginning of several keys: give more of {keys}")
    for each in governance.withheld:
        if not each.key and approvals.subject_of(each) == name:
            raise NotDecided(f"{name} has expired on {each.subscription.expires}: nothing is left to decide")
    listed = ", ".join(f"{approvals.subject_of(each)} ({key[:SHOWN]})" for key, each in sorted(known.items())[:20])
    there = f"give one of {listed}" if listed else "no subscription in force reaches a value with `approval: required`"
    raise NotDecided(f"nothing called {name} needs approval: {there}")


def _carry_out(mesh: Mesh, withheld: Withheld, record: Record, governance: Governance) -> bool:
    """Ends the machine that waits, or starts one that need not; whether one goes on. Else the sweep does as much."""
    if _end_waiting(mesh, record):
        return True
    dynamodb, sfn = mesh.clients("dynamodb"), mesh.clients("stepfunctions")
    try:
        return runs.start_approve(dynamodb, sfn, withheld, record, governance.digest, str(uuid.uuid4()))
    except ClientError:
        return False


def _end_waiting(mesh: Mesh, record: Record) -> bool:
    """Ends the machine that waits for the decision; whether one did."""
    if not record.token:
        return False
    output = json.dumps({"approved": record.approved})
    try:
        mesh.clients("stepfunctions").send_task_success(taskToken=record.token, output=output)
    except ClientError:  # nobody waits for it any more, or the caller may not: then another machine, or the sweep
        return False
    return True


def lines(decided: Decided, at: str = "") -> list[str]:
    """For people; ``at`` is what commands need to ask the same mesh."""
    what = "approved" if decided.decision.approved else "denied"
    said = [f"{approvals.subject_of(decided.withheld)} ({decided.withheld.key[:SHOWN]}) is {what}"]
    follows = f"its consumer's run is on its way: tagmesh status{at}"
    return [*said, follows if decided.started else f"the next sweep carries it out; now: tagmesh sweep{at}"]


def as_json(decided: Decided) -> dict[str, Any]:
    """The same, as JSON has it."""
    return {
        "key": decided.withheld.key,
        "subscription": approvals.subject_of(decided.withheld),
        **asdict(decided.decision),
        "started": decided.started,
    }


def in_force(mesh: Mesh, files: Governance) -> Governance:
    """What of governance files would be in force in a mesh: not what waits for approval there, or has expired."""
    approved = governance_store.approved(mesh.clients("dynamodb"))
    return approvals.in_force(files, approved, approvals.expired(files, mesh.today))


def records(mesh: Mesh, governance: Governance) -> dict[str, Record]:
    """What the ledger has of approvals, where the governance needs any."""
    return approval_store.read_all(mesh.clients("dynamodb")) if approvals.required(governance) else {}
