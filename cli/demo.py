"""`tagmesh demo`: the whole mesh on this machine, from governance files and a folder of data to queries."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text
from tagmesh import approvals, days
from tagmesh.governance import Governance, GovernanceError, load

from cli import demo_report as reports
from cli import local, mesh
from cli.demo_accounts import (
    Identity,
    Person,
    Place,
    accounts_of,
    become_doctor,
    create_organization,
    create_people,
    unused_account,
)
from cli.demo_deploy import DeployError, Stack, account_stacks, build, central_stack, deploy, project_with
from cli.demo_follow import Follower, NotSettled, now, read_executions, read_units, wait_until_settled
from cli.demo_queries import as_in_force, ask_everyone, read_catalogue
from cli.demo_report import Event, Failure, Report
from cli.demo_upload import DataFolderError, Upload, plan_uploads, upload_all
from cli.ends import NoFolder, files_of

DEAD_LETTERS = ("tagmesh-uploads-dlq", "tagmesh-events-dlq")
FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
EXPECTED_ERRORS = (DeployError, NotSettled, local.LocalAwsError, BotoCoreError, ClientError)


class Demo:
    """One run: what is known from the start, the report as it grows, and the terminal."""

    def __init__(self, governance: Governance, server_port: int, console: Console) -> None:
        self.governance = governance
        # Nobody approves anything while the demo runs.
        self.in_force = approvals.in_force(governance, (), approvals.expired(governance, days.today()))
        self.central = unused_account(governance)
        self.port = server_port
        self.console = console
        self.report = Report()
        self.began = now()
        self._clock = time.monotonic()

    def happened(self, event: Event, text: str = "") -> None:
        """Note something and show it, one line of the timeline."""
        self.report.timeline.append(event)
        line = f"{event.seconds:6.1f}  {event.stage:<9} {event.subject}" + (f"  {text}" if text else "")
        room = self.console.width
        self.console.print(Text(line if len(line) <= room else line[: room - 3] + "..."), no_wrap=True)

    def did(self, stage: str, subject: str, text: str = "") -> None:
        """Note something that the demo itself has just done."""
        self.happened(Event(stage, subject, round(time.monotonic() - self._clock, 2)), text)

    def failed(self, stage: str, subject: str, error: object) -> None:
        """Note a stage that failed; whatever does not depend on it goes on."""
        self.report.errors.append(Failure(stage, subject, str(error)))
        self.did(stage, subject, "FAILED (see the end)")

    def attempt(self, stage: str, subject: str, do: Callable[[], Any]) -> Any:
        """The result of a step, or None if it failed; the failure is noted."""
        try:
            return do()
        except EXPECTED_ERRORS as error:
            self.failed(stage, subject, error)
            return None


def run_demo(
    data: Path,
    governance_folder: Path,
    json_file: Path | None,
    port: int,
    *,
    host: str = local.HOST,
    keep: bool = False,
) -> int:
    """Run the demo. Returns the exit code: 0, or 1 if a stage failed or could not begin."""
    console = reports.make_console()
    try:
        governance = load(files_of(governance_folder))
        uploads, findings = plan_uploads(data, governance)
    except GovernanceError as error:
        lines = [f"{governance_folder}/{problem}" for problem in error.problems]
        print("the governance files have mistakes; nothing was started", *lines, sep="\n", file=sys.stderr)
        return 1
    except (DataFolderError, NoFolder) as error:
        print(f"{error}; nothing was started", file=sys.stderr)
        return 1
    demo = Demo(governance, port, console)
    demo.report.findings += findings
    region = governance.region or local.REGION
    with ThreadPoolExecutor(1) as aside:
        project = project_with(governance_folder)
        place = Place(f"http://127.0.0.1:{port}", region)
        building = aside.submit(
            build, project, governance_folder, place.environment(demo.central)
        )  # while the server starts
        with local.running(port, host, region, keep=keep) as server:
            demo.did("local AWS", server.endpoint, "started")
            people = _prepare_accounts(demo, server, place)
            follower = Follower(server, place.administrator(demo.central), demo.began, demo.happened)
            if _deploy_stacks(demo, project, place, building.result, follower):
                _publish(demo, place, uploads, follower)
                _query(demo, place, people)
                _note_what_is_left(demo, place)
            _note_what_happened(demo, server)
    _show(demo, json_file)
    if keep:
        _show_how_to_go_on(demo, place)
    return 1 if demo.report.errors else 0


# ── The steps ───────────────────────────────────────────────────────────────────────────────────────────────


def _prepare_accounts(demo: Demo, server: local.Server, place: Place) -> list[Person]:
    governance = demo.governance
    create_organization(server, governance, demo.central)
    demo.did("accounts", f"{len(accounts_of(governance)) + 1}", f"central {demo.central}")
    people = create_people(place, governance, demo.central)
    demo.did("people", f"{len(people)}", "roles, users and permission sets that the governance names")
    return people


def _deploy_stacks(demo: Demo, project: Path, place: Place, built: Callable[[], bool], follower: Follower) -> bool:
    """Build, deploy central, then the others side by side. Returns whether there is a mesh to use."""
    try:
        demo.did("build", "functions", "sam build" if built() else "sam build: unchanged since the last time")
    except DeployError as error:
        demo.failed("build", "functions", error)
        return False
    if not _deploy(demo, central_stack(demo.governance, demo.central), project, place):
        return False
    stacks = account_stacks(demo.governance, demo.central)
    with ThreadPoolExecutor(len(stacks)) as pool:
        for _ in pool.map(lambda stack: _deploy(demo, stack, project, place), stacks):
            demo.attempt("watch", "the mesh", follower.catch_up)
    return True


def _deploy(demo: Demo, stack: Stack, project: Path, place: Place) -> bool:
    seconds = demo.attempt("deploy", f"{stack.name} in {stack.account}", lambda: deploy(stack, project, place))
    if seconds is None:
        return False
    demo.did("deploy", stack.name, f"{stack.account}, {seconds:.1f} s")
    return True


def _publish(demo: Demo, place: Place, uploads: list[Upload], follower: Follower) -> None:
    """Upload, and watch until the mesh has come to rest."""
    demo.attempt("watch", "the mesh", follower.catch_up)  # what the deployments set going
    for folder, done in groupby(upload_all(uploads, place), key=lambda upload_and_error: upload_and_error[0].folder):
        outcomes = list(done)
        for upload, error in outcomes:
            if error:
                demo.failed("upload", f"s3://{upload.data_product.bucket}/{upload.key}", error)
        if count := sum(error is None for _, error in outcomes):
            demo.did("upload", folder, f"{count} file{'s'[: count != 1]}")
    expected = sorted({upload.data_product.unit for upload in uploads})
    say = partial(demo.did, "settle", "the mesh")
    settled = demo.attempt(
        "settle", "the mesh", lambda: wait_until_settled(follower, place.administrator(demo.central), expected, say)
    )
    if settled is not None:
        demo.did("settled", "the mesh", "nothing is left to do")


def _query(demo: Demo, place: Place, people: list[Person]) -> None:
    """Read the catalogue, and ask Athena as everyone."""
    report = demo.report

    def catalogue() -> list[reports.CatalogTable]:
        mesh.remember(demo.port, demo.central, place.region)
        return read_catalogue(become_doctor(place, demo.central))

    report.tables = demo.attempt("catalogue", demo.central, catalogue) or []
    answers = ask_everyone(as_in_force(people, demo.in_force), report.tables, demo.governance, demo.central)
    report.access += answers.access
    report.refused += answers.refused
    demo.did("query", f"{len(people)} principals", f"{len(report.tables)} tables")
    for failure in answers.failures:
        demo.failed(failure.stage, failure.subject, failure.message)


def _note_what_is_left(demo: Demo, place: Place) -> None:
    """Findings of the mesh; and events that nobody could take, which count as errors."""
    central = place.administrator(demo.central)
    units = demo.attempt("findings", "all", lambda: read_units(central)) or {}
    demo.report.findings += [finding for unit in units.values() for finding in unit.findings]
    for consumer in demo.in_force.consumers:
        demo.report.findings += approvals.findings(demo.in_force, {}, consumer.name)
        demo.report.findings += approvals.notices(demo.in_force, consumer.name)
    for queue, count in (demo.attempt("dead letters", "all", lambda: _dead_letters(central)) or {}).items():
        if count:
            demo.failed("dead letters", queue, f"{count} events could not be delivered or taken")


def _note_what_happened(demo: Demo, server: local.Server) -> None:
    """Executions and calls; runs that failed, and the local AWS's own failures, count as errors."""
    report = demo.report
    report.executions = demo.attempt("executions", "all", lambda: read_executions(server)) or []
    for execution in report.executions:
        if execution.status in FAILED:
            demo.failed(execution.state_machine, execution.name, execution.error or execution.status)
    calls = demo.attempt("calls", "all", lambda: local.ask(server, "calls")) or {"counts": {}, "failures": []}
    report.calls = calls["counts"]
    for trace in calls["failures"]:
        demo.failed("local AWS", server.endpoint, trace.strip().splitlines()[-1])


def _dead_letters(central: Identity) -> dict[str, int]:
    sqs = central.client("sqs")
    attribute = "ApproximateNumberOfMessages"
    waiting = {}
    for queue in DEAD_LETTERS:
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])
        waiting[queue] = int(answer["Attributes"][attribute])
    return waiting


# ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────


def _show(demo: Demo, json_file: Path | None) -> None:
    console, report = demo.console, demo.report
    if report.access or report.refused:
        console.print("\nWhat each principal can query (Athena, workgroup tagmesh):")
        console.print(reports.access_tables(report))
    if report.findings:
        console.print("\nFindings, for people to mend:")
        console.print(reports.findings_text(report.findings))
    if report.errors:
        console.print("\nErrors:")
        console.print(reports.failures_text(report.errors))
    if json_file:
        json_file.write_text(json.dumps(reports.to_json(report), indent=2) + "\n", encoding="utf-8")
        console.print(Text(f"\nThe whole result is in {json_file}"), soft_wrap=True)


def _show_how_to_go_on(demo: Demo, place: Place) -> None:
    """After --keep: how to use what runs, and how to stop it."""
    lines = []
    if refused := demo.report.refused[:1]:
        (first,) = refused
        column = f"{first.database}.{first.table}.{first.columns[0]}"
        lines = [
            "Ask it who can read what, why, and why not:",
            f"  tagmesh can {first.consumer}/{first.principal} read {column} --port {demo.port}",
            f"  tagmesh access {first.consumer}/{first.principal} --port {demo.port}",
            f"  tagmesh who {column} --port {demo.port}",
            f"  tagmesh doctor --port {demo.port}",
        ]
    lines += [
        f"The local AWS goes on at {place.endpoint}. Stop it with:",
        f"  tagmesh local down --port {demo.port}",
        "To be the administrator of an account (here the central one) with the AWS CLI or boto3:",
        *(f"  export {name}={value}" for name, value in place.environment(demo.central).items()),
    ]
    demo.console.print(Text("\n" + "\n".join(lines)), soft_wrap=True)
