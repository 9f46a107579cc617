"""What waits for approval, is approved, denied, changed or expires: who reads what, whatever gets lost on the way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from json import loads
from typing import Any
from unittest import mock

import pytest
from convergence import histories
from convergence.doubles import CENTRAL, REGION
from convergence.ends import holds, recover, written
from convergence.histories import TYPES, Wanted
from convergence.mesh_in_process import Crashed, MeshInProcess
from tagmesh import approvals
from tagmesh.aws import approval_store, governance_store
from tagmesh.governance import load
from typer.testing import CliRunner

from cli import approve, mesh_commands, plan, status
from cli.main import app
from cli.mesh import Mesh
from local_aws.wire import AwsError

ALL = Wanted("usual", ("orders",), {"analytics": ("open", "contacts"), "finance": ("open",)})
WITHOUT = Wanted("usual", ("orders",), {"analytics": ("open",), "finance": ("open",)})
CONTACTS = "analytics/contacts"
READER = "arn:aws:iam::333333333333:role/analytics-contacts"
EVENING = datetime(2026, 3, 2, 23, 59, 30, tzinfo=UTC)
SOMEBODY = f"arn:aws:iam::{CENTRAL}:user/somebody"


def files(wanted: Wanted = ALL) -> dict[str, str]:
    """Nobody reads confidential columns unapproved."""
    made = wanted.files()
    required = "public, internal, {value: confidential, approval: required},"
    return {**made, "mesh.yaml": made["mesh.yaml"].replace("public, internal, confidential,", required)}


def edited(old: str, new: str) -> dict[str, str]:
    made = files()
    assert old in made["consumers/analytics.yaml"]
    return {**made, "consumers/analytics.yaml": made["consumers/analytics.yaml"].replace(old, new)}


def expiring(day: str) -> dict[str, str]:
    return edited("[{role: analytics-open}]", f"[{{role: analytics-open}}], expires: {day}")


@pytest.fixture
def mesh():
    with MeshInProcess() as mesh:
        begin(mesh, files())
        yield mesh


def begin(mesh: MeshInProcess, made: dict[str, str]) -> None:
    mesh.apply(made)
    mesh.settle()
    mesh.upload(load(made).data_products[0], "first", tuple(TYPES.items()))
    mesh.settle()


def asked_of(mesh: MeshInProcess) -> Mesh:
    """The mesh as the commands see it, with somebody's own credentials."""

    def clients(service: str) -> Any:
        if service == "sts":
            return mock.Mock(get_caller_identity=lambda: {"Arn": SOMEBODY})
        return mesh.client(service, mesh.automation)

    with mock.patch.dict(os.environ):
        asked = Mesh(CENTRAL, REGION, clients, lambda issued: clients)
    vars(asked)["readers"] = clients  # the read-only role is not there: what it may see is tried on a deployed mesh
    return asked


def decide(mesh: MeshInProcess, name: str = CONTACTS, reason: str = "", *, yes: bool) -> approve.Decided:
    return approve.decide(asked_of(mesh), name, reason, approve=yes)


def findings(mesh: MeshInProcess, unit: str = "consumer/analytics") -> list[tuple[str, str]]:
    (line,) = (each for each in status.of_mesh(asked_of(mesh)) if each.name == unit)
    return [(each["code"], each["message"]) for each in line.findings]


def readers(mesh: MeshInProcess) -> set[str]:
    return {principal for principal, *_ in mesh.queryable()}


def key(mesh: MeshInProcess) -> str:
    (found,) = approvals.required(asked_of(mesh).governance)
    return found


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_nobody_reads_by_what_waits_and_everybody_else_does(mesh):
    assert READER not in readers(mesh)
    holds(mesh, load(WITHOUT.files()))  # as if it were not written
    ((code, message),) = findings(mesh)
    assert code == "waits-for-approval"
    assert "sensitivity=confidential" in message and "role analytics-contacts" in message and key(mesh)[:12] in message
    assert findings(mesh, "consumer/finance") == []


def test_people_are_asked_once_and_told_what_it_would_open_and_what_to_run():
    with MeshInProcess() as mesh:
        mesh.apply(files(WITHOUT))
        mesh.settle()
        mesh.upload(load(files()).data_products[0], "first", tuple(TYPES.items()))
        mesh.settle()
        assert mesh.topics.told == []
        mesh.apply(files())
        for _ in range(3):
            mesh.settle()
            mesh.wait(3600)
            mesh.sweep()

        ((topic, subject, message),) = mesh.topics.told
        assert topic.endswith(":tagmesh-approvals")
        assert "analytics" in subject
        assert "sales_orders.first: amount, email" in message
        assert f"tagmesh approve {key(mesh)[:12]}" in message


def test_the_task_token_is_in_the_ledger_and_nowhere_else(mesh):
    (execution,) = mesh.waiting
    (token,) = (each.text for each in execution.tokens)
    assert approval_store.read(mesh.client("dynamodb"), key(mesh)).token == token

    entries = mesh.tables.items("ledger")
    assert [entry for entry, item in entries.items() if token in str(item)] == [("approvals", key(mesh))]
    elsewhere = [mesh.topics.told, mesh.buses.events, mesh.tables.items("units"), mesh.objects.buckets, findings(mesh)]
    assert token not in repr(elsewhere)


def test_a_mesh_in_which_something_waits_is_at_rest(mesh):
    mesh.sweep()
    mesh.counts.clear()
    mesh.wait(1000)
    mesh.sweep()

    assert written(mesh) == {}
    assert mesh.counts["dynamodb:Query"] <= 5


def test_who_is_not_answered_within_a_week_is_asked_again(mesh):
    mesh.wait(6 * 86400)
    mesh.sweep()
    assert len(mesh.topics.told) == 1

    mesh.wait(1.5 * 86400)
    mesh.sweep()
    mesh.sweep()
    assert len(mesh.topics.told) == 2
    assert len(mesh.waiting) == 1
    decide(mesh, yes=True)
    mesh.settle()
    holds(mesh, load(ALL.files()))


def test_a_plan_says_what_would_wait():
    with MeshInProcess() as mesh:
        begin(mesh, files(WITHOUT))
        with mock.patch.dict(os.environ):
            found = plan.of_mesh(asked_of(mesh), load(files()))

        assert [each.code for each in found.findings] == ["waits-for-approval"]
        assert not any(change.principal.name == "analytics-contacts" for change in found.access)
        assert "tagmesh approve" in "\n".join(plan.lines(found))


# -- deciding --------------------------------------------------------------------------------------------------------


def test_what_is_approved_is_read_without_a_sweep(mesh):
    decided = decide(mesh, reason="audited", yes=True)
    mesh.settle()

    assert decided.started
    assert mesh.waiting == []
    record = approval_store.read(mesh.client("dynamodb"), key(mesh))
    assert (record.decision.by, record.decision.reason) == (SOMEBODY, "audited")
    assert record.version == record.decision.version == load(files()).digest
    assert findings(mesh) == []
    holds(mesh, load(ALL.files()))


def test_what_is_denied_stays_closed_with_the_reason_and_nobody_is_asked_again(mesh):
    decide(mesh, reason="not needed", yes=False)
    for _ in range(3):
        mesh.settle()
        mesh.wait(8 * 86400)
        mesh.sweep()

    ((code, message),) = findings(mesh)
    assert code == "approval-denied"
    assert f"denied by {SOMEBODY}" in message and "not needed" in message
    assert len(mesh.topics.told) == 1
    holds(mesh, load(WITHOUT.files()))

    decide(mesh, yes=True)
    mesh.settle()
    holds(mesh, load(ALL.files()))


def test_an_approval_that_is_taken_back_takes_its_access_along_and_nothing_else(mesh):
    decide(mesh, yes=True)
    mesh.settle()
    assert READER in readers(mesh)

    decide(mesh, reason="left", yes=False)
    mesh.settle()
    assert READER not in readers(mesh)
    holds(mesh, load(WITHOUT.files()))

    decide(mesh, yes=True)
    mesh.settle()
    assert len(approval_store.read(mesh.client("dynamodb"), key(mesh)).decisions) == 3
    holds(mesh, load(ALL.files()))


def test_two_subscriptions_that_differ_in_name_alone_are_asked_for_once_and_decided_by_either_name():
    twice = histories.SUBSCRIPTIONS | {"again": histories.SUBSCRIPTIONS["contacts"].replace("contacts,", "again,")}
    wanted = Wanted("usual", ("orders",), {"analytics": ("contacts", "again")})
    with MeshInProcess() as mesh, mock.patch.object(histories, "SUBSCRIPTIONS", twice):
        made = files(wanted)
        same = "principals: [{role: analytics-contacts}]"
        both = made["consumers/analytics.yaml"].replace("principals: [{role: analytics-again}]", same)
        begin(mesh, {**made, "consumers/analytics.yaml": both})
        assert len(mesh.topics.told) == 1
        assert len(findings(mesh)) == 2
        decide(mesh, "analytics/again", yes=True)
        mesh.settle()
        assert readers(mesh) == {READER}
        decide(mesh, CONTACTS, yes=False)
        mesh.settle()
        assert readers(mesh) == set()


def test_a_key_or_its_beginning_names_it_too(mesh):
    assert decide(mesh, key(mesh)[:8].upper(), yes=True).withheld.key == key(mesh)


@pytest.mark.parametrize("yes", [True, False])
def test_the_decision_counts_where_the_machine_is_lost(mesh, yes):
    mesh.lose_machines()
    decide(mesh, yes=yes)
    mesh.settle()

    holds(mesh, load((ALL if yes else WITHOUT).files()))
    assert len(mesh.topics.told) == 1


def test_the_decision_counts_where_no_machine_can_be_started(mesh):
    mesh.lose_machines()

    def refuse(service, operation, params, caller):
        if service == "stepfunctions":
            raise AwsError("AccessDeniedException", "not authorized", 403)

    mesh.on_call.append(refuse)
    assert not decide(mesh, yes=True).started
    mesh.on_call.remove(refuse)
    mesh.settle()
    assert READER not in readers(mesh)

    mesh.sweep()
    holds(mesh, load(ALL.files()))


def test_what_is_decided_before_anybody_was_told_is_carried_out_and_nobody_is_told():
    with MeshInProcess() as mesh:
        mesh.apply(files())
        mesh.events.pop(0)()  # the upload's event, and then the sweep alone: the machine that asks is started, no more
        mesh.executions.pop(0)()
        decide(mesh, yes=True)
        mesh.upload(load(files()).data_products[0], "first", tuple(TYPES.items()))
        mesh.settle()

        assert mesh.topics.told == []
        assert not mesh.failed
        holds(mesh, load(ALL.files()))


def test_two_approvals_at_once_are_two(mesh):
    mesh.apply(files(Wanted("usual", ("orders",), {"analytics": ("open", "contacts"), "finance": ("contacts",)})))
    mesh.settle()
    assert len(mesh.waiting) == 2
    decide(mesh, yes=True)
    decide(mesh, "finance/contacts", yes=True)
    mesh.settle()

    holds(mesh, load(Wanted("usual", ("orders",), {**ALL.subscriptions, "finance": ("contacts",)}).files()))


@pytest.mark.parametrize("first", [True, False])
def test_of_two_people_who_decide_otherwise_at_once_the_later_one_counts(mesh, first):
    """The other one decides after the first has read, and before it writes."""

    def between(service, operation, params, caller):
        if operation == "TransactWriteItems":
            mesh.on_call.remove(between)
            decide(mesh, yes=first)

    mesh.on_call.append(between)
    decide(mesh, yes=not first)
    mesh.settle()

    record = approval_store.read(mesh.client("dynamodb"), key(mesh))
    assert [each.approved for each in record.decisions] == [first, not first]
    holds(mesh, load((WITHOUT if first else ALL).files()))


def interrupt(mesh: MeshInProcess, nth: int, happens: Callable[[], Any]) -> list[str]:
    """Lets something happen right before the nth grant of what needs approval; the grants of it from that one on."""
    granting, after = count(), []

    def watch(service, operation, params, caller):
        if operation.endswith("GrantPermissions") and ("confidential" in str(params) or READER in str(params)):
            number = next(granting)
            if number >= nth:
                after.append(operation)
            if number == nth:
                happens()

    mesh.on_call.append(watch)
    return after


@pytest.mark.parametrize("nth", range(3))
def test_a_run_that_began_before_a_denial_grants_no_more_and_leaves_nothing_of_what_it_has_granted(mesh, nth):
    """However far it has come, from the first call with which it grants something to the last."""
    decide(mesh, yes=True)
    granted = interrupt(mesh, nth, lambda: decide(mesh, yes=False))
    mesh.settle()

    assert len(granted) == 1, "the one that was on its way"
    assert READER not in readers(mesh)
    holds(mesh, load(WITHOUT.files()))


@pytest.mark.parametrize("nth", range(3))
def test_a_run_that_began_before_midnight_grants_nothing_of_what_has_expired(nth):
    with MeshInProcess() as mesh:
        begin(mesh, edited("[{role: analytics-contacts}]", "[{role: analytics-contacts}], expires: 2026-03-02"))
        mesh.wait((EVENING - mesh.world.now()).total_seconds())
        decide(mesh, yes=True)
        granted = interrupt(mesh, nth, lambda: mesh.wait(60))
        mesh.settle()

        assert len(granted) == 1, "the one that was on its way"
        mesh.sweep()
        assert READER not in readers(mesh)
        holds(mesh, load(WITHOUT.files()))


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("analytics/nothing", f"give one of {CONTACTS}"),
        ("0123456789abcdef", "nothing called 0123456789abcdef needs approval"),
        ("analytics/open", "nothing called analytics/open needs approval"),
        ("a", "nothing called a needs approval"),
    ],
)
def test_what_needs_no_approval_is_no_answer(mesh, name, said):
    with pytest.raises(approve.NotDecided, match=said):
        decide(mesh, name, yes=True)


@pytest.mark.parametrize("yes", [True, False])
def test_what_is_decided_so_already_is_said(mesh, yes):
    decide(mesh, yes=yes)
    with pytest.raises(approve.NotDecided, match=f"decided already: .* by {SOMEBODY}"):
        decide(mesh, yes=yes)
    assert len(approval_store.read(mesh.client("dynamodb"), key(mesh)).decisions) == 1


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_without_a_mesh_it_is_said_what_makes_one(command):
    told = CliRunner().invoke(app, [command, CONTACTS, "--port", "1"])

    assert told.exit_code == 2
    assert "tagmesh demo --keep --port 1" in told.stderr


@pytest.mark.parametrize("json", [True, False])
def test_the_command_says_what_was_decided_and_by_whom(mesh, json, capsys):
    with mock.patch.object(mesh_commands, "find", lambda port: asked_of(mesh)):
        assert mesh_commands.decide(CONTACTS, "audited", None, approve=True, json=json) == 0
        said = capsys.readouterr().out
        assert mesh_commands.decide(CONTACTS, "", None, approve=True, json=json) == 2
    assert "decided already: approved by" in capsys.readouterr().err
    if json:
        told = loads(said)
        assert (told["key"], told["subscription"], told["approved"]) == (key(mesh), CONTACTS, True)
        assert (told["by"], told["reason"], told["started"]) == (SOMEBODY, "audited", True)
    else:
        assert f"{CONTACTS} ({key(mesh)[:12]}) is approved" in said


def test_where_nothing_needs_approval_it_is_said():
    with MeshInProcess() as mesh:
        begin(mesh, ALL.files())
        with pytest.raises(approve.NotDecided, match="no subscription in force reaches a value"):
            decide(mesh, yes=True)


# -- changes of the files --------------------------------------------------------------------------------------------


def test_another_expression_or_principal_waits_anew(mesh):
    decide(mesh, yes=True)
    mesh.settle()
    mesh.apply(edited("sensitivity: [internal, confidential]", "sensitivity: [confidential]"))
    mesh.settle()
    assert READER not in readers(mesh)
    assert len(mesh.topics.told) == 2

    mesh.apply(files())  # what was approved, again
    mesh.settle()
    assert READER in readers(mesh)
    assert len(mesh.waiting) == 1  # it waits for nothing any more, and ends when its time is up
    holds(mesh, load(ALL.files()))


def test_another_name_or_order_takes_nothing_away_for_a_moment(mesh):
    decide(mesh, yes=True)
    mesh.settle()
    read = mesh.readable()
    less = []
    mesh.after_call.append(
        lambda service, *_: less.append(service) if service == "lakeformation" and mesh.readable() < read else None
    )
    mesh.apply(edited("{name: contacts, tags: {domain: [sales], ", "{name: secrets, tags: {domain: [sales], "))
    mesh.settle()

    assert less == []
    assert len(mesh.topics.told) == 1
    assert READER in readers(mesh)


def test_marking_a_value_closes_what_was_read_by_it_and_tags_nothing():
    with MeshInProcess() as mesh:
        begin(mesh, ALL.files())
        assert READER in readers(mesh)
        mesh.counts.clear()
        mesh.apply(files())
        mesh.settle()

        assert READER not in readers(mesh)
        assert not mesh.counts["lakeformation:AddLFTagsToResource"]
        holds(mesh, load(WITHOUT.files()))


# -- expiry ----------------------------------------------------------------------------------------------------------


def test_the_first_sweep_of_the_day_after_takes_away_what_has_expired():
    with MeshInProcess() as mesh:
        begin(mesh, expiring("2026-03-04"))
        opened = "arn:aws:iam::333333333333:role/analytics-open"
        mesh.wait(2 * 86400 + 15 * 3600)  # the evening of its last day
        mesh.sweep()
        assert opened in readers(mesh)

        mesh.wait(2 * 3600)
        mesh.sweep()
        assert opened not in readers(mesh)
        (line,) = (each for each in status.of_mesh(asked_of(mesh)) if each.name == "consumer/analytics")
        assert [each["code"] for each in line.notices] == ["subscription-expired"]
        assert [each["code"] for each in line.findings] == ["waits-for-approval"]  # of its sibling
        holds(mesh, load(Wanted("usual", ("orders",), {"finance": ("open",)}).files()))
        with pytest.raises(approve.NotDecided, match="has expired on 2026-03-04"):
            decide(mesh, "analytics/open", yes=True)


@pytest.mark.parametrize(("at", "sweeps"), [("link_consumer", 0), (0, 0), (1, 1), (2, 1)])
def test_a_run_over_midnight_leaves_nothing_of_what_expires_behind(at, sweeps):
    """Midnight comes between its two steps, or at one of its grants: before the next one it notices by itself; after
    the last one the next sweep does."""
    opened = "arn:aws:iam::333333333333:role/analytics-open"
    with MeshInProcess() as mesh:
        begin(mesh, expiring("2026-03-02"))
        granting = count()

        def midnight(service, operation, params, caller):
            grants = operation.endswith("GrantPermissions")
            if params.get("FunctionName") == at or (grants and next(granting) == at):
                mesh.on_call.remove(midnight)
                mesh.wait(60)

        mesh.wait((EVENING - mesh.world.now()).total_seconds())
        decide(mesh, yes=True)
        mesh.on_call.append(midnight)
        assert opened in readers(mesh)
        mesh.settle()

        assert midnight not in mesh.on_call
        for _ in range(sweeps):
            mesh.sweep()
        assert opened not in readers(mesh)
        assert "DriftRepaired" not in {told for _, told, _ in mesh.buses.events}
        holds(mesh, load(Wanted("usual", ("orders",), {"analytics": ("contacts",), "finance": ("open",)}).files()))


# -- what gets lost --------------------------------------------------------------------------------------------------


def test_what_the_ledger_says_comes_in_force_again_where_the_units_were_made_anew(mesh):
    decide(mesh, yes=True)
    mesh.settle()
    dynamodb = mesh.client("dynamodb")
    for approved, wanted in ((False, ALL), (True, WITHOUT)):
        if approved:
            decide(mesh, yes=False)
            mesh.settle()
        # As a table that is restored to an earlier moment has it.
        dynamodb.update_item(**governance_store.approving(key(mesh), approve=approved))
        mesh.sweep()
        holds(mesh, load(wanted.files()))


def test_an_approval_that_is_not_in_the_ledger_is_none(mesh):
    mesh.client("dynamodb").update_item(**governance_store.approving(key(mesh), approve=True))
    mesh.sweep()

    holds(mesh, load(WITHOUT.files()))
    decide(mesh, yes=True)
    mesh.settle()
    holds(mesh, load(ALL.files()))


def killed(mesh: MeshInProcess, timing: str, site: int, work: Callable[[], Any]) -> bool:
    """Does something, in which the process is killed before or after the site-th of its calls; whether there were so
    many."""
    calls = count()

    def kill(service, operation, params, caller):
        if service in ("dynamodb", "sns", "stepfunctions") and next(calls) == site:
            mesh.crash()

    watched = mesh.on_call if timing == "before" else mesh.after_call
    watched.append(kill)
    with contextlib.suppress(Crashed, approve.NotDecided):
        work()
    watched.remove(kill)
    mesh.crashed = False
    return next(calls) > site


@pytest.mark.slow
@pytest.mark.parametrize("timing", ["before", "after"])
def test_it_is_asked_for_and_waits_wherever_a_process_is_killed(timing):
    for site in count():
        with MeshInProcess() as mesh:
            begin(mesh, files(WITHOUT))

            def ask(mesh=mesh):
                mesh.apply(files())
                mesh.settle()

            hit = killed(mesh, timing, site, ask)
            recover(mesh, sweeps=1)
            assert mesh.topics.told
            holds(mesh, load(WITHOUT.files()))
            decide(mesh, yes=True)
            mesh.settle()
            holds(mesh, load(ALL.files()))
            if not hit:
                assert site > 10
                return


@pytest.mark.slow
@pytest.mark.parametrize("timing", ["before", "after"])
@pytest.mark.parametrize("yes", [True, False])
def test_it_is_carried_out_wherever_a_process_is_killed(timing, yes):
    """Also that of the command, which the person then runs again."""
    for site in count():
        with MeshInProcess() as mesh:
            begin(mesh, files())
            if not yes:
                decide(mesh, yes=True)
                mesh.settle()

            def carry_out(mesh=mesh):
                decide(mesh, yes=yes)
                mesh.settle()

            hit = killed(mesh, timing, site, carry_out)
            with contextlib.suppress(approve.NotDecided):
                decide(mesh, yes=yes)
            recover(mesh, sweeps=1)
            assert approval_store.read(mesh.client("dynamodb"), key(mesh)).approved is yes
            holds(mesh, load((ALL if yes else WITHOUT).files()))
            if not hit:
                assert site > 10
                return
