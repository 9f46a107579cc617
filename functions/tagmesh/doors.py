"""Doors: what gives access to governed data past the LF-Tags. Pure.

A *door* defeats the policy; a *notice* does not by itself, and is worth knowing. They are found in what was seen of the
accounts: in what is granted (`doors_granted`), in settings, locations, tables and workgroups (`doors_settings`), and in
policies (`doors_policies`). The pipeline asks `doors_granted.of_grants` alone: a data product with such a door is
closed until it is mended. `tagmesh doctor` asks everything.

Sources, all of the Lake Formation developer guide: "Changing the default settings for your data lake", "Hybrid access
mode", "Requirements for roles used to register locations", "Underlying data access control", "Granting permissions on
resources shared with your account"; and of the Athena user guide, "Considerations and limitations" with Lake Formation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tagmesh.catalog import Finding
from tagmesh.grants import Grant

DOOR, NOTICE, UNSEEN = "door", "notice", "unseen"


@dataclass(frozen=True)
class Fix:
    """What can be mended safely: ``close_defaults`` of the account's settings, or ``revoke`` of a grant."""

    kind: str
    grant: Grant | None = None


@dataclass(frozen=True)
class Door:
    """One way past the tags, or a notice. ``subject`` names the thing, ``unit`` the data product or consumer that it is
    about ("" for an account's settings), ``message`` says what it means, ``mend`` what to do."""

    severity: str
    code: str
    account: str
    subject: str
    message: str
    mend: str
    unit: str = ""
    fix: Fix | None = None

    @property
    def finding(self) -> Finding:
        return Finding(self.code, self.subject, self.message, self.mend)


def not_seen(account: str, subject: str, why: str, mend: str) -> Door:
    """What could not be looked at, so that nobody knows of doors there."""
    return Door(UNSEEN, "not-seen", account, subject, f"it could not be looked at: {why}", mend)


CLOSING = ("open-to-iam", "named-grant")
"""Codes of the doors for which a data product is closed."""
KEPT = 20  # findings of a code that are kept of a data product


def told(findings: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Those of a data product's findings that are about what it is closed for. A run that publishes nothing leaves them
    as they are: they say with which doors the data product was published last."""
    return [finding for finding in findings if finding["code"] in CLOSING]


def blocking(doors: Iterable[Door]) -> dict[str, tuple[Finding, ...]]:
    """Data product -> what keeps it closed, sorted; of many, `KEPT` of each kind and how many more there are, since
    they are kept with the data product: an item of DynamoDB has 400 KB. [DynamoDB developer guide, Quotas]"""
    found: dict[str, dict[str, list[Finding]]] = {}
    for door in doors:
        if door.code in CLOSING:
            found.setdefault(door.unit, {}).setdefault(door.code, []).append(door.finding)
    return {
        unit: tuple(finding for code in sorted(by_code) for finding in _first(unit, by_code[code]))
        for unit, by_code in found.items()
    }


def _first(unit: str, findings: list[Finding]) -> list[Finding]:
    ordered = sorted(findings, key=lambda f: (f.subject, f.message))
    kept, more = ordered[:KEPT], len(ordered) - KEPT
    if more <= 0:
        return kept
    message = f"and {more} more of its tables and grants, as {kept[-1].subject}: `tagmesh doctor` lists them all"
    return [*kept, Finding(kept[-1].code, unit, message, kept[-1].mend)]
