"""How well the rules in mesh/rules/ tell what is sensitive, on columns labelled by the people who own them; how fast.

Needs the labelled columns (TAGMESH_SHARED, ../shared by default). Beside ours, in the same run, the column-name rules
of piicatcher, a public tool, which is installed into a folder of its own below .local/. Exit code 1 where leak or F1
over all sources miss their aims; benchmarks/README.md says what else is aimed at. Further files of labelled columns may
be given as arguments, with the same columns; they are scored apart and judge nothing.
"""

from __future__ import annotations

import csv
import gc
import json
import os
import statistics
import subprocess
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tagmesh.catalog import Column, Table
from tagmesh.governance import DataProduct, load, read_folder
from tagmesh.rules import Classifier
from tagmesh.words import Vocabulary

ROOT = Path(__file__).parents[1]
LABELLED = Path(os.environ.get("TAGMESH_SHARED", ROOT.parent / "shared")) / "data" / "labelled-columns.csv"
PUBLIC = "piicatcher==0.17.0"
MOST_LEAK, LEAST_F1 = 0.03, 0.65
OPEN = ("public", "internal")
LABELS = ("dataset", "table", "column", "type", "comment", "sensitive")
NOWHERE = DataProduct("benchmark", "benchmark", "111111111111", "bucket", "")
RUNS = 7
#: Lists of mesh/rules/words.yaml and people.yaml from which a source's own words are left out to score it.
TUNED = (
    "technology",
    "time",
    "measure",
    "process",
    "trade",
    "enterprise",
    "head",
    "person",
    "about_a_person",
    "personal",
    "private",
)


@dataclass
class Score:
    """Counts over columns: of sensitive ones how many were raised and how many can be read, of harmless ones how many
    were raised and how many nobody decided."""

    sensitive: int = 0
    harmless: int = 0
    raised: int = 0
    raised_wrongly: int = 0
    leaked: int = 0
    left: int = 0

    def count(self, sensitive: bool, raised: bool, opened: bool) -> None:
        self.sensitive += sensitive
        self.harmless += not sensitive
        self.raised += sensitive and raised
        self.raised_wrongly += not sensitive and raised
        self.leaked += sensitive and opened
        self.left += not (sensitive or raised or opened)

    @property
    def f1(self) -> float:
        return 2 * self.raised / max(1, self.sensitive + self.raised + self.raised_wrongly)

    @property
    def leak(self) -> float:
        return self.leaked / max(1, self.sensitive)

    def line(self, name: str) -> str:
        precision = self.raised / max(1, self.raised + self.raised_wrongly)
        recall = self.raised / max(1, self.sensitive)
        figures = (precision, recall, self.f1, self.leak, self.left / max(1, self.harmless))
        counts = f"{self.sensitive:>10}{self.harmless:>10}"
        return f"{name:<46}{counts}" + "".join(f"{figure:>10.3f}" for figure in figures)


HEADER = f"{'source':<46}" + "".join(
    f"{name:>10}" for name in ("sensitive", "harmless", "precision", "recall", "F1", "leak", "triage")
)


def read_tables(rows: list[dict[str, str]]) -> dict[tuple[str, str], Table]:
    """(source, table) -> the table, each column once."""
    columns: dict[tuple[str, str], dict[str, Column]] = defaultdict(dict)
    for row in rows:
        column = Column(row["column"], row["type"], row["comment"])
        columns[row["dataset"], row["table"]].setdefault(row["column"], column)
    return {place: Table(*place, tuple(found.values())) for place, found in columns.items()}


def verdicts(classifier: Classifier, tables: Mapping[Any, Table]) -> dict[tuple[str, str, str], tuple[bool, bool]]:
    """(source, table, column) -> whether it is raised as sensitive, and whether internal readers see it."""
    found = {}
    for (source, name), table in tables.items():
        for column, decided in classifier.decide(NOWHERE, table).columns.items():
            made = decided["sensitivity"]
            found[source, name, column] = (made.outcome == "raised", made.value in OPEN)
    return found


def scores(rows: list[dict[str, str]], verdict: Callable[[dict[str, str]], tuple[bool, bool]]) -> dict[str, Score]:
    """source, and "all sources" -> score; columns labelled unknown do not count."""
    found: dict[str, Score] = defaultdict(Score)
    for row in rows:
        if row["sensitive"] != "unknown":
            for name in (row["dataset"], "all sources"):
                found[name].count(row["sensitive"] == "yes", *verdict(row))
    return dict(sorted(found.items(), key=lambda pair: (pair[0] == "all sources", pair[0])))


def without_own_words(files: Mapping[str, str], rows: list[dict[str, str]], source: str) -> dict[str, str]:
    """The files without those words of the shared lists that occur in the names of this source and of no other."""
    split = Vocabulary().split
    words: dict[bool, set[str]] = {True: set(), False: set()}
    for row in rows:
        words[row["dataset"] == source].update(split(row["column"]), split(row["table"]))
    own = words[True] - words[False]
    changed = dict(files)
    for name in ("rules/words.yaml", "rules/people.yaml"):
        content = yaml.load(files[name], Loader=yaml.BaseLoader)
        lists = content.get("words", {})
        for key in set(lists) & set(TUNED):
            lists[key] = [word for word in lists[key].split() if not own.intersection(split(word))]
        changed[name] = json.dumps(content)
    return changed


def public_tool() -> Callable[[str], bool]:
    """Whether piicatcher's rules for column names find something. Of what it imports and does not need for that,
    stand-ins are enough: its databases and language models are several hundred megabytes."""
    folder = ROOT / ".local" / "piicatcher"
    if not (folder / "piicatcher").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), PUBLIC]
        subprocess.run(command, check=True)
    names = ("spacy", "commonregex", "dbcat", "dbcat.catalog", "dbcat.catalog.models")
    modules = {name: types.ModuleType(name) for name in names}
    modules["commonregex"].CommonRegex = modules["dbcat.catalog"].Catalog = object
    for name in ("CatColumn", "CatSchema", "CatTable"):
        setattr(modules["dbcat.catalog.models"], name, object)
    modules["dbcat.catalog.models"].PiiTypes = _AnyName()
    package = types.ModuleType("piicatcher")
    package.__path__ = [str(folder / "piicatcher")]  # without its __init__, which imports the databases
    sys.modules |= {**modules, "piicatcher": package}
    import importlib

    scanner = importlib.import_module("piicatcher.scanner").ColumnNameScanner()
    return lambda name: bool(scanner.scan(name))


class _AnyName:
    def __getattr__(self, name: str) -> str:
        return name


def rate(work: Callable[[], None], columns: int) -> float:
    """Columns a second of processor time."""
    began = time.process_time()
    work()
    return columns / (time.process_time() - began)


def speeds(tables: Mapping[Any, Table], find: Callable[[str], bool]) -> None:
    governance = load(read_folder(ROOT / "mesh"))
    columns = sum(len(table.columns) for table in tables.values())
    distinct = len({(column.name, column.type) for table in tables.values() for column in table.columns})

    def all_of(classifier: Classifier, times: int = 1) -> Callable[[], None]:
        def work() -> None:
            for _ in range(times):
                for table in tables.values():
                    classifier.decide(NOWHERE, table)

        return work

    # What the benchmark holds besides, such as the labels, is no work of the classifier's.
    gc.collect()
    gc.freeze()

    def fresh() -> Classifier:
        gc.collect()  # nor is freeing the one before
        return Classifier(governance)

    cold = statistics.median(rate(all_of(fresh()), columns) for _ in range(5))
    classifier = fresh()
    estate = rate(all_of(classifier, times=20), 20 * columns)
    names = [column.name for table in tables.values() for column in table.columns]
    theirs = rate(lambda: [find(name) for name in names] and None, len(names))
    print(f"\ncolumns a second, one core, with reasons ({columns} columns, {distinct} distinct by name and type):")
    print(f"  {'each seen for the first time':<44}{cold:>12,.0f}")
    print(f"  {'an estate that holds each of them 20 times':<44}{estate:>12,.0f}")
    print(f"  {'piicatcher, names alone, without reasons':<44}{theirs:>12,.0f}")


TIMED = {
    "import of tagmesh.rules": (
        "import time; t = time.perf_counter(); import tagmesh.rules; print(time.perf_counter() - t)"
    ),
    "load of mesh/ and compilation": (
        "import time; from tagmesh import governance, governance_files, rules; f = governance.read_folder('mesh'); "
        "t = time.perf_counter(); governance.load(f).classifier; print(time.perf_counter() - t)"
    ),
}


def starts() -> None:
    """What starting costs, in fresh interpreters."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions"), "PYTHONDONTWRITEBYTECODE": ""}
    print(f"\nmilliseconds, median and most of {RUNS} fresh interpreters:")
    for what, code in TIMED.items():
        runs = [
            float(
                subprocess.run(
                    [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
                ).stdout
            )
            for _ in range(RUNS + 1)
        ][1:]
        print(f"  {what:<44}{statistics.median(runs) * 1000:>8.0f}{max(runs) * 1000:>8.0f}")


def is_labelled(path: Path) -> bool:
    """Whether a file can be read as labelled columns."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return set(LABELS) <= set(next(csv.reader(file), []))


def read_labelled(path: Path) -> list[dict[str, str]]:
    """LABELS (sensitive is yes, no or unknown), and perhaps more, of each labelled column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(others: list[str]) -> int:
    if wrong := [other for other in others if not is_labelled(Path(other))]:
        print(
            f"no file of labelled columns: {', '.join(wrong)}; mend: give CSV files with the columns of the labelled "
            f"ones, {', '.join(LABELS)}",
            file=sys.stderr,
        )
        return 2
    if not LABELLED.is_file():
        print(f"skipped: shared data is missing ({LABELLED}; TAGMESH_SHARED says where)", file=sys.stderr)
        return 0
    rows = read_labelled(LABELLED)
    files = read_folder(ROOT / "mesh")
    tables = read_tables(rows)
    ours = verdicts(Classifier(load(files)), tables)

    def place(row: dict[str, str]) -> tuple[str, str, str]:
        return row["dataset"], row["table"], row["column"]

    found = scores(rows, lambda row: ours[place(row)])
    print("the starter pack\n" + HEADER)
    for name, score in found.items():
        print(score.line(name))
    held_out: dict[tuple[str, str, str], tuple[bool, bool]] = {}
    for source in sorted({row["dataset"] for row in rows}):
        classifier = Classifier(load(without_own_words(files, rows, source)))
        held_out |= verdicts(classifier, {key: table for key, table in tables.items() if key[0] == source})
    print("\neach source without the words of the lists that only it has\n" + HEADER)
    for name, score in scores(rows, lambda row: held_out[place(row)]).items():
        print(score.line(name))
    for other in others:
        labelled = read_labelled(Path(other))
        of_other = verdicts(Classifier(load(files)), read_tables(labelled))
        print(f"\n{other}\n" + HEADER)
        for name, score in scores(labelled, lambda row, found=of_other: found[place(row)]).items():
            print(score.line(name))
    find = public_tool()
    print("\npiicatcher's rules for column names, what they do not find being open\n" + HEADER)
    for name, score in scores(rows, lambda row: (find(row["column"]), not find(row["column"]))).items():
        print(score.line(name))
    speeds(tables, find)
    starts()
    total = found["all sources"]
    return 0 if total.leak <= MOST_LEAK and total.f1 >= LEAST_F1 else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
