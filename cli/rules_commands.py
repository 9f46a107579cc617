"""The commands about rules: what they read, what they print, and how they end (0 fine, 1 findings, 2 usage)."""

import json as json_module
import sys
from pathlib import Path

from tagmesh.governance import Governance, GovernanceError, load
from tagmesh.wording import counted

from cli import classify as classification
from cli import column_file, lint
from cli import coverage as covering
from cli import explain as explaining
from cli.ends import FINDINGS, FINE, NOT_ASKED, NoFolder, files_of, refused, usage
from cli.local import LocalAwsError
from cli.mesh import Mesh, find

FORMATS = ("table", "csv", "json")


class Usage(LocalAwsError):
    """The arguments do not go together; the text says how they would."""


def validate(folder: Path, columns: Path | None, port: int | None, *, json: bool) -> int:
    """`tagmesh validate`."""
    try:
        files = files_of(folder)
        governance = load(files)
    except GovernanceError as error:
        if json:
            problems = [
                {"file": p.file, "line": p.line, "column": p.column, "message": p.message, "mend": p.mend}
                for p in error.problems
            ]
            print(json_module.dumps({"errors": problems, "warnings": []}, indent=2, ensure_ascii=False))
            return FINDINGS
        return refused(error, "")
    except NoFolder as error:
        return usage(error)
    try:
        hit = _hit(governance, columns, port)
    except NOT_ASKED as error:
        return usage(error)
    found = lint.lint(governance, files, hit)
    if json:
        warnings = [{"place": w.place, "code": w.code, "message": w.message, "mend": w.mend} for w in found]
        print(json_module.dumps({"errors": [], "warnings": warnings}, indent=2, ensure_ascii=False))
        return FINDINGS if found else FINE
    for warning in found:
        print(warning)
    told = f"{len(governance.rules)} rules, {len(governance.data_products)} data products, "
    told += f"{len(governance.consumers)} consumers, version {governance.digest[:12]}"
    print(f"{counted(len(found), 'warning')}; {told}" if found else f"fine: {told}", file=sys.stderr)
    return FINDINGS if found else FINE


def _hit(governance: Governance, columns: Path | None, port: int | None) -> set[str] | None:
    """The rules that match some column of a file or of a mesh; None where there is neither to look at."""
    if columns is not None:
        found = classification.of_file(governance, column_file.read(columns))
    elif port is not None:
        found = list(classification.of_mesh(governance, find(port)))
    else:
        return None
    return {
        match.rule
        for each in found
        for decision in each.decisions.values()
        for match in decision.winners + decision.losers
    }


def classify(file: Path | None, folder: Path, format_: str, from_catalog: bool, port: int | None) -> int:
    """`tagmesh classify`."""
    try:
        if format_ not in FORMATS:
            raise Usage(f"--format {format_} is none of {', '.join(FORMATS)}")
        if (file is None) == (not from_catalog):
            raise Usage("give a CSV file of columns, or --from-catalog, and not both")
        governance = _governance(folder)
        columns = column_file.read(file) if file else None
        found = classification.of_file(governance, columns) if columns else None
        if found is None:
            found = list(classification.of_mesh(governance, find(port)))
    except (*NOT_ASKED, GovernanceError) as error:
        return usage(error)
    if format_ == "csv":
        classification.write_csv(governance, columns, found)
    elif format_ == "json":
        classification.write_json(governance, found)
    else:
        classification.write_table(governance, found)
    return FINE


def explain(name: str, source: Path | None, folder: Path | None, port: int | None, *, json: bool) -> int:
    """`tagmesh explain`."""
    try:
        parts = name.split(".", 2)
        if len(parts) < 2 or not all(parts):
            raise Usage(f"{name} is no DATABASE.TABLE or DATABASE.TABLE.COLUMN")
        column = parts[2] if len(parts) == 3 else None
        if source is not None:
            governance = _governance(folder or Path("mesh"))
            found = explaining.of_file(governance, column_file.read(source), parts[0], parts[1])
        else:
            mesh = _with_governance(find(port), folder)
            governance = mesh.governance
            found = explaining.of_mesh(mesh, parts[0], parts[1])
        names = explaining.columns_of(found, column)
    except (*NOT_ASKED, GovernanceError) as error:
        return usage(error)
    if json:
        print(json_module.dumps(explaining.as_json(governance, found, names), indent=2, ensure_ascii=False))
    else:
        print("\n".join(explaining.lines(governance, found, names)))
    return FINE


def coverage(source: Path | None, folder: Path | None, port: int | None, *, json: bool) -> int:
    """`tagmesh coverage`."""
    try:
        if source is not None:
            governance = _governance(folder or Path("mesh"))
            found = classification.of_file(governance, column_file.read(source))
        else:
            mesh = _with_governance(find(port), folder)
            governance = mesh.governance
            found = list(classification.of_mesh(governance, mesh))
    except (*NOT_ASKED, GovernanceError) as error:
        return usage(error)
    covered = covering.coverage(governance, found)
    if json:
        print(json_module.dumps(covering.as_json(covered), indent=2, ensure_ascii=False))
    else:
        print("\n".join(covering.lines(covered)))
    return FINDINGS if covered.left else FINE


def _governance(folder: Path) -> Governance:
    return load(files_of(folder))


def _with_governance(mesh: Mesh, folder: Path | None) -> Mesh:
    """The mesh, seen under the files of a folder instead of its version in force, where one is given."""
    if folder is not None:
        mesh.__dict__["governance"] = _governance(folder)  # a cached property: it is not asked for again
    return mesh
