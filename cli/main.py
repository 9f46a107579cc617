"""The `tagmesh` command."""

import json as json_module
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import local
from cli.project import ROOT

app = typer.Typer(
    help="A data mesh on AWS Lake Formation that runs itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
local_app = typer.Typer(help="AWS on this machine.", no_args_is_help=True)
app.add_typer(local_app, name="local")
clock_app = typer.Typer(help="The clock of the local AWS, which can be moved forward.")
local_app.add_typer(clock_app, name="clock")

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets containers reach it.")]
Port = Annotated[int, typer.Option(help="Port of the local AWS.", min=1, max=65535)]


@local_app.command("up")
def local_up(port: Port = local.DEFAULT_PORT, host: Host = local.HOST) -> None:
    """Start the local AWS and leave it running."""
    server = local.up(port, host)
    print(f"local AWS at {server.endpoint} (pid {server.pid}), log {server.log}")
    print(f"stop it with: tagmesh local down --port {port}")


@local_app.command("down")
def local_down(port: Port = local.DEFAULT_PORT) -> None:
    """Stop the local AWS; everything in it is gone."""
    server = local.down(port)
    print(f"stopped the local AWS at port {port} (pid {server.pid})")


@local_app.command("status")
def local_status(port: Port = local.DEFAULT_PORT) -> None:
    """Say what runs, and what has happened in it so far."""
    for line in local.status(port):
        print(line)


@local_app.command("coverage")
def local_coverage_of(
    service: Annotated[str | None, typer.Argument(help="A service, for all its details.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Say what the local AWS does, and how faithfully. Nothing needs to be running."""
    from cli import local_coverage  # what it imports takes longer than the other commands run

    if json:
        print(json_module.dumps(local_coverage.coverage(), indent=2))
        return
    for line in local_coverage.lines(service):
        print(line)


@clock_app.callback(invoke_without_command=True)
def local_clock(context: typer.Context, port: Port = local.DEFAULT_PORT) -> None:
    """Say what time it is there, and when something is due next."""
    if context.invoked_subcommand is None:
        for line in local.clock(port):
            print(line)


@clock_app.command("advance")
def local_clock_advance(
    context: typer.Context,
    duration: Annotated[str, typer.Argument(help="How long: 90s, 15m, 2h30m, 1d.")],
    port: Annotated[int | None, typer.Option(help="Port of the local AWS.", min=1, max=65535)] = None,
    skip: Annotated[
        bool, typer.Option("--skip", help="Jump: what is due in between is late, or does not happen.")
    ] = False,
) -> None:
    """Let time pass, fast: schedules, waits, retries and expiries happen at their moments."""
    for line in local.advance_clock(port or context.parent.params["port"], duration, skip=skip):
        print(line)


@app.command("bucket-policy")
def print_bucket_policy(
    bucket: Annotated[str, typer.Argument(help="A bucket that already exists.")],
    central: Annotated[str, typer.Option(help="The central catalog account: twelve digits.")],
    rule: Annotated[
        bool, typer.Option("--rule", help="Print a template of the rule to the central bus instead.")
    ] = False,
) -> None:
    """Print what an existing bucket needs; nothing is changed. See docs/existing-buckets.md."""
    from cli.bucket_policy import statements, uploads_rule

    _check_account("--central", central)
    printed = uploads_rule(bucket, central) if rule else statements(bucket, central)
    print(json_module.dumps(printed, indent=2))


Governance = Annotated[Path, typer.Option(help="Folder of governance files.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
MeshPort = Annotated[
    int | None,
    typer.Option("--port", help="Ask the mesh of the local AWS at this port, not AWS.", min=1, max=65535),
]


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="Folder of governance files.")],
    columns: Annotated[
        Path | None, typer.Option(help="CSV of columns (database,table,column,type,comment): which rules hit none?")
    ] = None,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Check governance files, and say which rules make no sense. Exit code 1 where there is something to say."""
    from cli import rules_commands

    raise typer.Exit(rules_commands.validate(folder, columns, port, json=json))


@app.command()
def classify(
    file: Annotated[Path | None, typer.Argument(help="CSV of columns: database,table,column,type,comment.")] = None,
    governance: Governance = Path("mesh"),
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
    from_catalog: Annotated[bool, typer.Option("--from-catalog", help="The tables of a mesh instead.")] = False,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Say which LF-Tags the rules give columns, and by which rules."""
    from cli import rules_commands

    raise typer.Exit(rules_commands.classify(file, governance, "json" if json else format, from_catalog, port))


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="DATABASE.TABLE or DATABASE.TABLE.COLUMN.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="CSV of columns, not a mesh: database,table,column,type,comment.")
    ] = None,
    governance: Annotated[
        Path | None, typer.Option(help="Folder of governance files; of a mesh, its version in force if not given.")
    ] = None,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Say what was decided of a table's columns, and why: each rule that spoke, and what would change it."""
    from cli import rules_commands

    raise typer.Exit(rules_commands.explain(name, source, governance, port, json=json))


@app.command()
def coverage(
    source: Annotated[Path | None, typer.Option("--from", help="CSV of columns, not a mesh.")] = None,
    governance: Annotated[
        Path | None, typer.Option(help="Folder of governance files; of a mesh, its version in force if not given.")
    ] = None,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Say what the rules raise, clear and leave to people, and suggest rules. Exit code 1 where something is left."""
    from cli import rules_commands

    raise typer.Exit(rules_commands.coverage(source, governance, port, json=json))


@app.command()
def plan(
    folder: Annotated[Path, typer.Argument(help="Folder of governance files.")],
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Say what governance files would change in a mesh: who gains and loses which columns, and the calls it takes."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.plan(folder, port, json=json))


@app.command()
def apply(
    folder: Annotated[Path, typer.Argument(help="Folder of governance files.")],
    port: MeshPort = None,
) -> None:
    """Put governance files in force. A folder with a mistake is refused, and the last good version stays."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.apply(folder, port))


Who = Annotated[
    str, typer.Argument(metavar="PRINCIPAL", help="CONSUMER/NAME of a role, user or permission set, or an ARN.")
]
OneColumn = Annotated[str, typer.Argument(metavar="DATABASE.TABLE.COLUMN", help="Names of the central catalogue.")]


@app.command()
def can(
    principal: Who,
    verb: Annotated[str, typer.Argument(metavar="read", help="What is asked about: read.")],
    column: OneColumn,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Say whether somebody can read a column; if not, the first thing that is missing, and how to mend it.

    Exit code 0 yes, 1 no."""
    from cli import access_commands

    raise typer.Exit(access_commands.can(principal, verb, column, port, json=json))


@app.command()
def access(
    principal: Who,
    about: Annotated[
        str | None,
        typer.Argument(metavar="[DATABASE[.TABLE[.COLUMN]]]", help="Of this alone; of everything if not given."),
    ] = None,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Say what somebody can read, and through which tag, rule, grant, share and link. Exit code 1: nothing."""
    from cli import access_commands

    raise typer.Exit(access_commands.access(principal, about, port, json=json))


@app.command()
def who(column: OneColumn, json: Json = False, port: MeshPort = None) -> None:
    """Say who can read a column, and through what; and who is named and cannot. Exit code 1 where it is nobody."""
    from cli import access_commands

    raise typer.Exit(access_commands.who(column, port, json=json))


@app.command("iam-policy")
def iam_policy(
    principal: Who,
    exact: Annotated[
        bool, typer.Option("--exact", help="Name each database that there is now: a new one needs a new policy.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Say instead what its own policies lack of it. Exit code 1: something.")
    ] = False,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Print the IAM policy that somebody needs to query what Lake Formation grants."""
    from cli import access_commands

    raise typer.Exit(access_commands.iam_policy(principal, port, exact=exact, check=check, json=json))


@app.command()
def doctor(
    asked: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ACCOUNT...]", help="Account ids, consumers or producers; all if none is given."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely, with your own rights.")] = False,
    role: Annotated[
        str | None, typer.Option("--as", help="ARN of a role to mend as: an administrator of Lake Formation.")
    ] = None,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Find what gives access past the LF-Tags, in every account, and say how to mend it. Exit code 1 where there is
    something, or somewhere nobody could look."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.doctor(asked or [], port, role, fix=fix, json=json))


@app.command()
def status(json: Json = False, port: MeshPort = None) -> None:
    """Say what every data product and consumer is at. Exit code 1 where people must mend something."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.status(port, json=json))


@app.command()
def watch(
    port: MeshPort = None,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2)] = 5.0,
) -> None:
    """Follow the mesh: say what `status` says whenever it changes, until Ctrl-C."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.watch(port, every))


Decided = Annotated[str, typer.Argument(help="Its key, or the first characters of it, or CONSUMER/SUBSCRIPTION.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the ledger.")]


@app.command()
def approve(name: Decided, reason: Reason = "", json: Json = False, port: MeshPort = None) -> None:
    """Approve a subscription that waits for it: exactly this expression, for these principals."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.decide(name, reason, port, approve=True, json=json))


@app.command()
def deny(name: Decided, reason: Reason = "", json: Json = False, port: MeshPort = None) -> None:
    """Deny a subscription that waits for approval; of one that is approved, take away what it gave."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.decide(name, reason, port, approve=False, json=json))


@app.command()
def sweep(json: Json = False, port: MeshPort = None) -> None:
    """Look at everything now: what was lost, what is due, and what others changed. Exit code 1 where it failed."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.sweep(port, json=json))


@app.command()
def history(
    name: Annotated[str, typer.Argument(help="DATABASE.TABLE or DATABASE.TABLE.COLUMN.")],
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Say what was decided of a table's columns over time: when, why, and by which governance version."""
    from cli import mesh_commands

    raise typer.Exit(mesh_commands.history(name, port, json=json))


@app.command()
def replay(
    queue: Annotated[str | None, typer.Option(help="This dead-letter queue alone.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Of a local mesh, an account that is not the central one: twelve digits.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is there, and where it would go.")] = False,
    json: Json = False,
    port: MeshPort = None,
) -> None:
    """Deliver what dead-letter queues hold to where it should have gone. Exit code 1 where something is left."""
    from cli import mesh_commands

    if account is not None:
        _check_account("--account", account)
    raise typer.Exit(mesh_commands.replay(queue, account, port, dry_run=dry_run, json=json))


@app.command()
def demo(
    data: Annotated[Path, typer.Option(help="Folder laid out <producer>/<data product>/<table>/.../files.")] = ROOT
    / "sample_data",
    governance: Annotated[Path, typer.Option(help="Folder of governance files.")] = ROOT / "mesh",
    json: Annotated[Path | None, typer.Option("--json", help="Also write the whole result here.")] = None,
    port: Port = local.DEFAULT_PORT,
    host: Host = local.HOST,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the local AWS running afterwards.")] = False,
) -> None:
    """Run the whole mesh here: deploy it, upload data, watch it being published, and query it."""
    from cli.demo import run_demo  # what it imports takes longer than the other commands run

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    raise typer.Exit(run_demo(data, governance, json, port, host=host, keep=keep))


def _check_account(option: str, written: str) -> None:
    if not (len(written) == 12 and written.isdigit()):
        print(f"{option} {written} is no account id: give twelve digits, leading zeros included", file=sys.stderr)
        raise typer.Exit(2)


def main() -> None:
    """Entry point. Errors that speak to a person are printed as they are, without a traceback."""
    try:
        app()
    except local.LocalAwsError as error:
        print(f"tagmesh: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
