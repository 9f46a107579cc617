"""What samples of tables show: from a request of classify_tables to evidence for it. Names and counts go in and out.

A table's columns are held to what they showed before by whoever keeps the evidence; here each sample speaks for itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

from content import formats, kinds, objects
from content.objects import NotReadable, RangedObject

#: Changes with what is judged and how, so that objects that have been looked at are looked at again.
JUDGED_AS = "2"
#: Of a table in a request, how its text is read: the fields of `formats.Table`.
LAYOUT = ("format", "delimiter", "quote", "escape", "skipped_lines")
DISTINCT = 300  # different values of a column that are judged
AT_ONCE = 8  # tables
MEGABYTES_AT_ONCE = 128  # of all tables that are read at the same time


def sample(s3: Any, request: Mapping[str, Any], time_is_up: Callable[[], bool]) -> dict[str, dict[str, Any]]:
    """table -> {outcome, objects, skipped, seen, columns, misfits} of every table that there was time for.

    `outcome` is sampled, unchanged (`seen` is what the request has: nothing was read), empty, denied (its bucket does
    not let us), or unreadable (there are objects, and none could be read). `skipped` counts those that could not.
    `columns`: path -> kind -> {share, of}: the share of so many different values, rounded down to tenths.
    `misfits`: how many objects have a header whose names stand elsewhere than the table's.
    """
    at_once = max(1, min(AT_ONCE, MEGABYTES_AT_ONCE // request["megabytes"]))

    def each(table: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        return None if time_is_up() else (table["table"], sample_table(s3, request, table, time_is_up))

    with ThreadPoolExecutor(at_once) as pool:
        return dict(found for found in pool.map(each, request["tables"]) if found is not None)


def sample_table(
    s3: Any, request: Mapping[str, Any], table: Mapping[str, Any], time_is_up: Callable[[], bool]
) -> dict[str, Any]:
    """One table's part of what `sample` gives."""
    from botocore.exceptions import ClientError

    keys = tuple(name for name, _ in table["partition_keys"])
    try:
        chosen = objects.choose(s3, request["bucket"], table["prefix"], request["objects"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "NoSuchBucket", "AllAccessDisabled"):
            raise
        return _told("denied")
    seen = _fingerprint(request, table, chosen)
    if seen == table["seen"]:
        return _told("unchanged", seen=seen)
    if not chosen.objects:
        return _told("empty")
    texts: dict[str, dict[str, None]] = {}
    for key, value in objects.partition_values(keys, chosen.folder_names):
        _keep(texts, key, value, DISTINCT)
    columns = tuple(formats.Column.of(name, type_name) for name, type_name in table["columns"])
    layout = formats.Table(columns, **{name: table[name] for name in LAYOUT})
    most = -(-DISTINCT // max(1, len(chosen.objects)))
    read, skipped, whole, misfits = 0, Counter(), True, 0
    for found in chosen.objects:
        if time_is_up():
            whole = False
            break
        file = RangedObject(s3, request["bucket"], found, request["megabytes"] * 1024 * 1024)
        outcome = ""
        if table["header"]:
            outcome, fits = _header(file, layout)
            misfits += not fits
        if request["values"] and not outcome:
            outcome = _sample_object(file, layout, request["rows"], texts, most)
        read += not outcome
        skipped.update([outcome] if outcome else [])
    today = datetime.now(UTC).date()
    told = _told(
        "sampled" if read or not whole else "denied" if skipped["denied"] else "unreadable",
        # What was not looked at, or only in part, is looked at again.
        seen=seen if read and whole else "",
        columns=_shown(texts, request["countries"], today),
    )
    return {**told, "objects": read, "skipped": dict(sorted(skipped.items())), "misfits": misfits}


def _told(outcome: str, seen: str = "", columns: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"outcome": outcome, "objects": 0, "skipped": {}, "seen": seen, "columns": dict(columns or {}), "misfits": 0}


def _fingerprint(request: Mapping[str, Any], table: Mapping[str, Any], chosen: objects.Choice) -> str:
    """What the evidence of a table follows from, as a digest: object names, and so values of partition keys, cannot be
    read from it."""
    follows_from = [
        JUDGED_AS,
        [request[name] for name in ("objects", "rows", "megabytes", "countries")],
        {name: value for name, value in table.items() if name != "seen"},
        [[found.key, found.etag] for found in chosen.objects],
    ]
    return hashlib.sha256(json.dumps(follows_from, sort_keys=True).encode()).hexdigest()


def _header(file: RangedObject, layout: formats.Table) -> tuple[str, bool]:
    """Why an object's header could not be read, or ""; and whether it fits as far as it could."""
    try:
        return "", formats.header_fits(file, layout)
    except NotReadable as error:
        return (error.args[0] if error.args[0] in ("denied", "archived") else "unreadable"), True


def _sample_object(
    file: RangedObject, layout: formats.Table, rows: int, texts: dict[str, dict[str, None]], most: int
) -> str:
    """Adds an object's values to the texts, of each path at most so many; "" or why that was not possible."""
    here: dict[str, dict[str, None]] = {}
    # Of an object that is wider than may be read, the columns of which least is known come first.
    known = {column.name: sum(len(texts.get(path, ())) for path in column.paths) for column in layout.columns}
    try:
        for path, value in formats.values(file, layout, rows, sorted(known, key=known.__getitem__)):
            _keep(here, path, value, most)
    except NotReadable as error:
        return error.args[0] if error.args[0] in ("denied", "archived") else "unreadable"
    finally:
        for path, values in here.items():
            texts.setdefault(path, {}).update(values)
    return ""


def _keep(texts: dict[str, dict[str, None]], path: str, value: Any, most: int) -> None:
    kept = texts.setdefault(path, {})
    if len(kept) < most and (text := kinds.text_of(value)) is not None:
        kept[text] = None


def _shown(
    texts: Mapping[str, Iterable[str]], countries: Iterable[str], today: date
) -> dict[str, dict[str, dict[str, Any]]]:
    found = {path: kinds.judge(list(values), list(countries), today) for path, values in sorted(texts.items())}
    return {
        path: {kind: {"share": shown.matching * 10 // shown.of / 10, "of": shown.of} for kind, shown in each.items()}
        for path, each in found.items()
        if each
    }
