"""Writes docs/conformance.md: each documented statement with its source and the tests that show it.

    python scripts/conformance_table.py            # write it
    python scripts/conformance_table.py --check    # exit code 1 if it would be written otherwise, or a test is missing

The text above the first table is kept as it stands in the file.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "tests" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"
BEGINS = "<!-- from here on written by scripts/conformance_table.py -->\n"


class Collected:
    """A pytest plugin that keeps which tests name which statements, and runs nothing."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = defaultdict(set)
        self.local_only: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            test = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
            if item.get_closest_marker("local_only"):
                self.local_only.add(test)
            for mark in item.iter_markers("statement"):
                for name in mark.args:
                    self.tests[name].add(test)


def collect() -> Collected:
    """What the suite shows. Raises SystemExit with pytest's words if it cannot be collected."""
    found, said = Collected(), io.StringIO()
    os.chdir(ROOT)
    with contextlib.redirect_stdout(said):
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", str(SUITE)], plugins=[found])
    if code != 0:
        raise SystemExit(said.getvalue())
    return found


def tables(found: Collected) -> str:
    """The page below its introduction, in Markdown."""
    from statements import STATEMENTS, TESTED

    statements = list(STATEMENTS.values())
    tested = [each for each in statements if each.status in TESTED]
    lines = [
        f"{len(statements)} statements: {len(tested)} shown by {len(set().union(*found.tests.values()))} tests, "
        f"{sum(each.status == 'unconfirmed' for each in statements)} open, "
        f"{sum(each.status == 'absent' for each in statements)} not built and refused.",
        "",
    ]
    for domain in sorted({each.id.partition(".")[0] for each in statements}):
        here = [each for each in tested if each.id.partition(".")[0] == domain]
        if here:
            lines += [f"## {domain}", "", "| Statement | Source | Shown by |", "|---|---|---|"]
        for each in here:
            kind = "" if each.status == "documented" else f" *({each.status})*"
            lines.append(f"| {_cell(each.says)}{kind} | {_cell(each.source)} | {_tests(found, each.id)} |")
        lines += [""] if here else []
    for status, title in (
        ("unconfirmed", "Open: no documentation says it, and nobody has shown it"),
        ("absent", "Documented, not built here, and refused"),
    ):
        lines += [f"## {title}", "", "| Statement | Source | What the local AWS does |", "|---|---|---|"]
        lines += [
            f"| {_cell(each.says)} | {_cell(each.source)} | {_cell(each.note)} |"
            for each in statements
            if each.status == status
        ]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _tests(found: Collected, statement: str) -> str:
    return "<br>".join(
        f"`{test}`" + (" (local only)" if test in found.local_only else "") for test in sorted(found.tests[statement])
    )


def main() -> None:
    check = "--check" in sys.argv[1:]
    sys.path[:0] = [str(ROOT), str(SUITE)]
    from statements import STATEMENTS, TESTED

    found = collect()
    if missing := [each.id for each in STATEMENTS.values() if each.status in TESTED and not found.tests.get(each.id)]:
        raise SystemExit("statements that no test shows: " + ", ".join(missing))
    old = PAGE.read_text("utf-8")
    new = old.partition(BEGINS)[0] + BEGINS + "\n" + tables(found)
    if check and new != old:
        raise SystemExit("docs/conformance.md is not current: run .venv/bin/python scripts/conformance_table.py")
    if not check:
        PAGE.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
