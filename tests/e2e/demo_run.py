"""Running the `tagmesh` command from tests."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

from cli.project import ROOT


@dataclass(frozen=True)
class Run:
    """A finished `tagmesh demo`: its exit code, what it printed, and its JSON."""

    code: int
    printed: str
    told: dict
    port: int

    def readable(self, consumer, principal):
        """table -> the columns that a principal could query, as a set."""
        return {
            f"{entry['database']}.{entry['table']}": set(entry["columns"])
            for entry in self.told["access"]
            if (entry["consumer"], entry["principal"]) == (consumer, principal)
        }

    def rows(self, consumer, principal):
        """table -> number of rows that a principal could count."""
        return {
            f"{entry['database']}.{entry['table']}": entry["rows"]
            for entry in self.told["access"]
            if (entry["consumer"], entry["principal"]) == (consumer, principal)
        }

    def refused(self, consumer, principal):
        """table -> the columns that a principal was refused, as a set."""
        refused = {}
        for entry in self.told["refused"]:
            if (entry["consumer"], entry["principal"]) == (consumer, principal):
                refused.setdefault(f"{entry['database']}.{entry['table']}", set()).update(entry["columns"])
        return refused


def tagmesh(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "80", "TERM": "dumb"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_demo(folder, *arguments):
    port = free_port()
    done = tagmesh("demo", "--port", port, "--json", folder / "told.json", *arguments)
    assert (folder / "told.json").is_file(), done.stdout
    return Run(done.returncode, done.stdout, json.loads((folder / "told.json").read_text(encoding="utf-8")), port)
