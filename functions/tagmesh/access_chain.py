"""The chain from the governance files to the rows that `tagmesh.access` answers with, in values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OK, MISSING, UNKNOWN, BYPASSED = "ok", "missing", "unknown", "bypassed"


@dataclass(frozen=True)
class ChainLink:
    """One link of the chain from the governance files to the rows. ``state``: ok, missing, unknown (it could not be
    seen), or bypassed (it is missing, and something else gives the access). ``mend`` is empty where nothing is to
    do."""

    name: str
    state: str
    account: str
    seen: str
    mend: str = ""


@dataclass(frozen=True)
class Answer:
    """Whether a principal can read a column, the reason in one line (the first missing link; if readable, through
    what), and the whole chain in order."""

    readable: bool
    reason: str
    chain: tuple[ChainLink, ...]

    def as_json(self) -> dict[str, Any]:
        """As `tagmesh can --json` prints it."""
        chain = [
            {"link": each.name, "state": each.state, "account": each.account, "seen": each.seen, "mend": each.mend}
            for each in self.chain
        ]
        return {"readable": self.readable, "reason": self.reason, "chain": chain}
