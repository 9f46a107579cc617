"""Loosens rules of local_aws/, one at a time, and asks whether the conformance suite notices.

A mutant is the tree with one rule loosened in memory (no file is changed):

    guard      a condition before a `raise` never holds
    limit      a comparison before a `raise` lets one more pass
    condition  one of several alternatives before a `raise`, or of several requirements for anything else, is dropped
    filter     a condition of a comprehension is dropped

Conformance tests that run the function which holds the rule are run, eight files at most; a mutant is caught when one
of them fails or hangs. Exit code 1 if fewer than 90 % are caught, or if a run over everything has fewer than 100.

    python scripts/mutants.py                       # two of each module
    python scripts/mutants.py --only athena --each 0    # every rule of a package or file
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.abc
import importlib.util
import json
import os
import re
import select
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SUITE = ROOT / "tests" / "conformance"
RECORD = ROOT / ".local" / "mutants"
HANGS = 90
"""Seconds beyond its usual time after which a test file counts as hanging."""
WANTED = 0.9
ENOUGH = 100
TRIES = 8
"""Test files that a mutant is tried on, the nearest first: that so few must notice keeps a run short."""
NAMED_ELSE = {
    "access": {"iam"},
    "admin": {"clock", "control"},
    "alarms": {"clock", "scheduler"},
    "allowed": {"allowlist"},
    "events": {"eventbridge"},
    "faults": {"control"},
    "lakeformation": {"lf"},
    "schedule": {"scheduler"},
    "schedules": {"scheduler"},
    "server": {"allowlist", "iam", "objects"},
    "wire": {"calls", "services"},
}
"""Packages and modules whose test files have other names than they."""
NOT_RULES = {"__main__.py", "sessions.py", "seen.py"}
"""Modules that decide nothing: a start, how our own clients are made, what tests used."""


NO_RULE = re.compile(r"monotonic\(|stopping\.is_set\(|^if self\._closed:")
"""What guards the local AWS itself, against hanging and at its end, is no rule of AWS: `_closed` is a pool of processes
that the end of the local AWS has emptied, of which nobody may take another one."""


@dataclass(frozen=True)
class Mutant:
    """One loosened rule: `text` is the module's source with it."""

    path: Path
    line: int
    function: str
    kind: str
    was: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def module(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# -- what can be loosened --------------------------------------------------------------------------------------------


def mutants_of(path: Path) -> list[Mutant]:
    """Every mutant of a module's functions, in the order of its lines."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    found = []
    for function, node in _with_functions(tree):
        for kind, part, new in _loosened(node):
            text = _replaced(source, part, new)
            was = " ".join(ast.get_source_segment(source, part).split())
            if text is not None and function and not NO_RULE.search(ast.unparse(node)):
                found.append(Mutant(path, part.lineno, function, kind, was[:100], text))
    return sorted(found, key=lambda each: (each.line, each.kind))


def _with_functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(tree):
        name = inside
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{inside}.{child.name}" if inside else child.name
        yield name, child
        yield from _with_functions(child, name)


def _loosened(node: ast.AST) -> Iterator[tuple[str, ast.expr, str]]:
    if isinstance(node, ast.If) and node.body and isinstance(node.body[-1], ast.Raise):
        yield "guard", node.test, _never(node.test)
        for part in ast.walk(node.test):
            if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], ast.Gt | ast.GtE):
                yield "limit", part.comparators[0], f"({ast.unparse(part.comparators[0])}) + 1"
        if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.Or):
            for dropped in node.test.values:
                yield "condition", dropped, _never(dropped)
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for dropped in node.values:
            if not any(isinstance(part, ast.NamedExpr) for part in ast.walk(dropped)):
                yield "condition", dropped, "True"
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        for generator in node.generators:
            for condition in generator.ifs:
                if not any(isinstance(part, ast.NamedExpr) for part in ast.walk(condition)):
                    yield "filter", condition, "True"


def _never(test: ast.expr) -> str:
    """False, but names that the condition binds are bound."""
    binds = any(isinstance(part, ast.NamedExpr) for part in ast.walk(test))
    return f"(({ast.unparse(test)}) and False)" if binds else "False"


def _replaced(source: str, part: ast.expr, new: str) -> str | None:
    lines = source.encode().split(b"\n")
    before = lines[: part.lineno - 1]
    after = lines[part.end_lineno :]
    head = lines[part.lineno - 1][: part.col_offset]
    tail = lines[part.end_lineno - 1][part.end_col_offset :]
    text = b"\n".join([*before, head + new.encode() + tail, *after]).decode()
    try:
        ast.parse(text)
    except SyntaxError:  # inside an f-string of an older Python, where positions are not exact
        return None
    return text


def chosen(only: list[str], each: int) -> list[Mutant]:
    """`each` mutants of every module (0: all), guards first, spread over its lines."""
    picked = []
    for path in sorted((ROOT / "local_aws").rglob("*.py")):
        name = str(path.relative_to(ROOT / "local_aws"))
        if path.name in NOT_RULES or (only and not any(name.startswith(each_of) for each_of in only)):
            continue
        found = mutants_of(path)
        if each and len(found) > each:
            found = _spread([m for m in found if m.kind == "guard"], found, each)
        picked += found
    return picked


def _spread(first: list[Mutant], rest: list[Mutant], count: int) -> list[Mutant]:
    """`count` of `first`, evenly spaced; filled up from `rest` where there are too few."""
    pool = first if len(first) >= count else first + [m for m in rest if m not in first]
    if len(first) < count:
        return pool[:count]
    return [pool[(2 * n + 1) * len(pool) // (2 * count)] for n in range(count)]


# -- which tests run what -------------------------------------------------------------------------------


def recorded(jobs: int) -> dict[str, dict]:
    """Test file -> {"functions": what of local_aws it runs, "seconds": how long it takes}. Kept by the file's hash."""
    RECORD.mkdir(parents=True, exist_ok=True)
    records, work = {}, []
    for path in sorted(SUITE.glob("test_*.py")):
        key = hashlib.sha256(path.read_bytes() + b"".join(_helpers())).hexdigest()[:16]
        kept = RECORD / f"{path.stem}-{key}.json"
        if kept.exists():
            records[path.name] = json.loads(kept.read_text("utf-8"))
        else:
            work.append((path, kept))
    for (path, kept), status in _in_children([(item, _record, item) for item in work], jobs, 600):
        if status != 0 and _again(path, kept) != 0:
            raise SystemExit(f"{path.name} fails without any mutant: run pytest tests/conformance/{path.name}")
        records[path.name] = json.loads(kept.read_text("utf-8"))
    return records


def _again(path: Path, kept: Path) -> int:
    """The status of a second recording: while others record beside it, a machine may be too slow for a test."""
    return next(status for _, status in _in_children([(path, _record, (path, kept))], 1, 600))


def _helpers() -> list[bytes]:
    return [path.read_bytes() for path in sorted(SUITE.glob("*.py")) if not path.name.startswith("test_")]


def _record(path: Path, kept: Path) -> int:
    import coverage

    watch = coverage.Coverage(data_file=None, include=[str(ROOT / "local_aws" / "*")])
    watch.start()
    began = time.monotonic()
    status = _pytest(path)
    seconds = time.monotonic() - began
    watch.stop()
    functions = set()
    data = watch.get_data()
    for file in data.measured_files():
        lines = set(data.lines(file) or ())
        module = str(Path(file).relative_to(ROOT))
        functions |= {f"{module}:{name}" for name, body in _bodies(Path(file)) if lines & body}
    if status == 0:
        kept.write_text(json.dumps({"functions": sorted(functions), "seconds": seconds}), "utf-8")
    return status


def _bodies(path: Path) -> Iterator[tuple[str, set[int]]]:
    """Function -> the lines of its body."""
    tree = ast.parse(path.read_text("utf-8"))
    for name, node in _with_functions(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, set(range(node.body[0].lineno, node.end_lineno + 1))


def _pytest(path: Path) -> int:
    import pytest

    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", str(path)]))


# -- trying them -------------------------------------------------------------------------------


class _Loosened(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a mutant's text."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> object:
        if name != self.mutant.module:
            return None
        package = [str(self.mutant.path.parent)] if self.mutant.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, self.mutant.path, loader=self, submodule_search_locations=package
        )

    def exec_module(self, module: object) -> None:
        exec(compile(self.mutant.text, str(self.mutant.path), "exec"), module.__dict__)


def _try(mutant: Mutant, test: Path) -> int:
    sys.meta_path.insert(0, _Loosened(mutant))
    return _pytest(test)


def _tests_for(mutant: Mutant, records: dict[str, dict]) -> list[str]:
    """The test files that run a mutant's function, the most telling first: named like its module, like its package,
    then quick ones."""
    file = str(mutant.path.relative_to(ROOT))
    module, package = _names(mutant.path.stem.split("_")), _names([mutant.path.parent.name])
    enclosing = {f"{file}:{name}" for name in _enclosing(mutant.function)}

    def order(name: str) -> tuple[int, int, float]:
        words = set(name.removesuffix(".py").split("_"))
        return -len(module & words), -len(package & words), len(records[name]["functions"]) * records[name]["seconds"]

    running = [name for name, record in records.items() if enclosing & set(record["functions"])]
    return sorted(running, key=order)[:TRIES]


def _names(words: list[str]) -> set[str]:
    return {*words, *(name for word in words for name in NAMED_ELSE.get(word, ()))}


def _enclosing(function: str) -> Iterator[str]:
    """A function's dotted name, and those of the functions that it stands in."""
    while function:
        yield function
        function = function.rpartition(".")[0]


def caught(mutants: list[Mutant], records: dict[str, dict], jobs: int) -> dict[Mutant, str]:
    """Mutant -> the test file that caught it, or "" where none did. Prints each as it is known."""
    waiting = {mutant: _tests_for(mutant, records) for mutant in mutants}
    verdicts: dict[Mutant, str] = {}
    while waiting:
        round_ = [(mutant, tests.pop(0)) for mutant, tests in waiting.items() if tests]
        for mutant in [mutant for mutant in waiting if all(mutant is not each for each, _ in round_)]:
            verdicts[mutant] = ""
            _say(mutant, "")
            del waiting[mutant]
        work = [((mutant, test), _try, (mutant, SUITE / test)) for mutant, test in round_]
        for (mutant, test), status in _in_children(work, jobs, HANGS):
            if status != 0:
                verdicts[mutant] = test
                _say(mutant, test)
                del waiting[mutant]
            else:
                print(f"{mutant.where:55} {mutant.kind:9} not by {test}", flush=True)
    return verdicts


def _say(mutant: Mutant, test: str) -> None:
    verdict = f"caught by {test}" if test else "SURVIVED"
    print(f"{mutant.where:55} {mutant.kind:9} {verdict:40} {mutant.was}", flush=True)


def _in_children(work: list, jobs: int, seconds: float) -> Iterator[tuple[object, int]]:
    """Run (key, function, arguments) in forks of this process, `jobs` at once; yield key and exit status.

    Forks share what was imported already. A child that takes longer than `seconds` is killed: status -1.
    """
    running: dict[int, tuple[object, float, int]] = {}
    queue = list(work)
    while queue or running:
        while queue and len(running) < jobs:
            key, function, arguments = queue.pop(0)
            done, signalled = os.pipe()
            child = os.fork()
            if child == 0:
                _child(function, arguments)
            os.close(signalled)
            running[child] = (key, time.monotonic() + seconds, done)
        select.select([done for _, _, done in running.values()], [], [], 1.0)
        for child, (key, deadline, done) in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and time.monotonic() < deadline:
                continue
            if not ended:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
            os.close(done)
            del running[child]
            yield key, os.waitstatus_to_exitcode(status) if ended else -1


def _child(function: object, arguments: tuple) -> None:
    """The forked process: run the function, silent, and end with its status. Never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        status = function(*arguments)
    finally:
        os._exit(status)


def _import_what_all_need() -> None:
    """Imports that every child would make for itself, without anything of local_aws."""
    import duckdb  # noqa: F401
    import moto.core.responses
    import moto.moto_server.werkzeug_app  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pytest  # noqa: F401
    import samtranslator.translator.transform  # noqa: F401
    import sqlglot  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="a package or file below local_aws/")
    parser.add_argument("--each", type=int, default=2, help="how many of each module; 0: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--list", action="store_true", help="only say what would be loosened")
    options = parser.parse_args()
    mutants = chosen(options.only, options.each)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.where:55} {mutant.kind:9} {mutant.was}")
        print(f"{len(mutants)} mutants in {len({m.path for m in mutants})} modules")
        return
    sys.path[:0] = [str(ROOT), str(SUITE)]
    os.chdir(ROOT)
    _import_what_all_need()
    verdicts = caught(mutants, recorded(options.jobs), options.jobs)
    raise SystemExit(_report(verdicts, complete=not options.only))


def _report(verdicts: dict[Mutant, str], *, complete: bool) -> int:
    by_package: dict[str, Counter] = defaultdict(Counter)
    for mutant, test in verdicts.items():
        by_package[str(mutant.path.parent.relative_to(ROOT))][bool(test)] += 1
    for package, counts in sorted(by_package.items()):
        print(f"{package:30} {counts[True]:4} of {counts.total():4} caught")
    total, noticed = len(verdicts), sum(map(bool, verdicts.values()))
    share = noticed / total if total else 0.0
    print(f"{noticed} of {total} mutants caught: {share:.1%} (at least {WANTED:.0%} wanted)")
    if complete and total < ENOUGH:
        print(f"only {total} mutants: at least {ENOUGH} are wanted")
        return 1
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    main()
