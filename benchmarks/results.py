"""Planning, calls and a burst: prints one report, and writes results.json.

Planning runs first and alone, since a clock is read there; calls and the burst side by side, since none is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import burst
import calls

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def started(script: str, *arguments: str) -> tuple[subprocess.Popen, Any]:
    """A benchmark in a process of its own, and the file that its JSON goes to."""
    answer = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the process has ended
    command = [sys.executable, str(HERE / script), *arguments]
    return subprocess.Popen(command, stdout=answer), answer


def ended(process: subprocess.Popen, answer: Any) -> dict[str, Any]:
    if process.wait():
        raise SystemExit(f"{process.args[1]} failed")
    answer.seek(0)
    return json.load(answer)


def planning(found: dict[str, Any]) -> None:
    print(
        f"{found['tables']:,} tables x {found['columns_per_table']} columns decided and planned on one core: "
        f"{found['seconds']} s (at most 60), {found['peak_mb']} MiB (at most 1,024), {found['calls']:,} calls planned\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    calls.add_throttles(parser)
    parser.parse_args()
    figures = {"planning": ended(*started("planning.py"))}
    planning(figures["planning"])
    running = started("calls.py", "--json", *sys.argv[1:]), started("burst.py", "--json")
    figures |= ended(*running[0])
    figures["burst"] = ended(*running[1])
    calls.report(figures)
    print()
    burst.report(figures["burst"])
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
