"""What is documented of AWS and a mesh rests on: one value per statement, read from `statements/*.yaml`.

    - id: lf-tags.folded                 # <file>.<words>
      says: Keys and values of LF-Tags are kept in lower case.
      source: LF:lf-tag-considerations   # LF, GL, ... are listed in docs/conformance.md
      status: documented

`documented` and `inferred` (from what is documented) statements, and each `choice` (the documentation is silent; this
is what the local AWS does), have a test. `unconfirmed` ones are open: nobody has shown them, and `note` says what the
local AWS does. `absent` is documented but not built: the local AWS refuses it, and `note` says where that shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "statements"
STATUSES = ("documented", "inferred", "choice", "unconfirmed", "absent")
TESTED = ("documented", "inferred", "choice")


@dataclass(frozen=True)
class Statement:
    id: str
    says: str
    source: str
    status: str = "documented"
    note: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.id}: status {self.status}; there are {', '.join(STATUSES)}")
        if not self.says or not self.source:
            raise ValueError(f"{self.id}: says and source are needed")
        if self.status not in TESTED and not self.note:
            raise ValueError(f"{self.id}: {self.status} needs a note")


def read(folder: Path = FOLDER) -> dict[str, Statement]:
    """All statements by id, file by file. Raises ValueError for a mistake."""
    found: dict[str, Statement] = {}
    for path in sorted(folder.glob("*.yaml")):
        for given in yaml.safe_load(path.read_text("utf-8")) or []:
            statement = Statement(**given)
            if statement.id.partition(".")[0] != path.stem or statement.id in found:
                raise ValueError(f"{path.name}: the id {statement.id} must be new and begin with {path.stem}.")
            found[statement.id] = statement
    return found


STATEMENTS = read()
