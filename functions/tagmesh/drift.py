"""What people did by hand: observed tags against what we last wrote. Pure.

A tag that a person made stricter is kept, a looser one is restored; both are findings. What counts as a person's is a
value that a column carries itself, that is not what we last wrote, and that no unfinished run of ours can have left.
An inherited value is nobody's: that of a column that was dropped and made again, or whose own tag was removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tagmesh.catalog import AssignedTags, Finding
from tagmesh.governance import LFTagKey
from tagmesh.resolution import Decision, Match, TableDecision

#: column -> key -> value
Tags = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Written:
    """What we wrote of one table: the tags of the last run that was carried out whole, and those of runs that broke off
    since; of those, a column may carry any value, or a default that it was closed with."""

    whole: Tags
    unfinished: Sequence[Tags] = ()


def moved_by_hand(decision: TableDecision, database: Mapping[str, str], observed: AssignedTags) -> bool:
    """Whether some column itself carries a value that is not the decided one: only then is it worth knowing what we
    wrote."""
    inherited = {**database, **observed.table}
    return any(
        key in decided and value not in (decided[key].value, inherited.get(key))
        for column, tags in observed.columns.items()
        if (decided := decision.columns.get(column)) is not None
        for key, value in tags.items()
    )


def keep_stricter(
    keys: Iterable[LFTagKey],
    decision: TableDecision,
    database: Mapping[str, str],
    observed: AssignedTags,
    written: Written,
) -> TableDecision:
    """The decision with the stricter tags of people kept, as outcome ``by hand``, and a finding for each of their tags.

    ``database``: key -> value observed on the database; ``observed``: the tags of the table and its columns."""
    inherited = {**database, **observed.table}
    columns = dict(decision.columns)
    findings = []
    for column, tags in observed.columns.items():
        for key in keys:
            decided = columns.get(column, {}).get(key.name)
            value = tags.get(key.name)
            if decided is None or value in (None, decided.value, inherited.get(key.name)):
                continue
            if value in _ours(key, column, written):
                continue
            subject = f"{decision.database}.{decision.table}.{column}"
            if key.join(value, decided.value) == value:
                columns[column] = {**columns[column], key.name: _kept(value, decided)}
                message = (
                    f"somebody assigned {key.name}={value}, stricter than {decided.value} of the rules; it is kept"
                )
                mend = "make it a rule or an override, or remove it from the column to let the rules decide"
                findings.append(Finding("stricter-by-hand", subject, message, mend))
            else:
                message = f"somebody assigned {key.name}={value}, looser than {decided.value}, which is restored"
                mend = "see AddLFTagsToResource in CloudTrail for who; what is to be open needs a rule or an override"
                findings.append(Finding("looser-by-hand", subject, message, mend))
    return replace(decision, columns=columns, findings=(*decision.findings, *findings))


def _ours(key: LFTagKey, column: str, written: Written) -> set[str]:
    """The values that a run of ours may have left on a column; none if we never wrote there."""
    left = [tags[column].get(key.name) for tags in (written.whole, *written.unfinished) if column in tags]
    ours = {value for value in left if value is not None}
    return ours | {key.default} if written.unfinished else ours


def _kept(value: str, decided: Decision) -> Decision:
    because = f"somebody assigned it by hand, stricter than {decided.value} ({decided.because})"
    losers: tuple[Match, ...] = tuple(
        match._replace(lost=match.lost or "a person's stricter tag is kept")
        for match in decided.winners + decided.losers
    )
    return Decision(value, "by hand", because, losers=losers, ruled=decided.value)
