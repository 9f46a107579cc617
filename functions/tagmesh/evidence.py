"""Evidence from content: what is asked of sample_content, and what of its answers is kept. Pure.

What a sample showed of a column stays in force until the column is gone: a later sample that does not show it may have
missed it, and must not open what the earlier one closed. Evidence is of tables, paths of columns, kinds and shares; no
value of the data comes here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tagmesh.catalog import Finding, Table
from tagmesh.governance import ContentSample, DataProduct

#: The evidence of a data product: {"tables": {table: {"asked": digest, "seen": digest, "columns": {path: {kind: {share,
#: of, since}}}}}}. `asked` says which request its last whole sample answered, `seen` which objects that looked at.
Evidence = Mapping[str, Any]

#: What is looked at where only headers are.
HEADERS_ALONE = ContentSample(objects=20, rows=1, megabytes=1)

#: Outcomes of a sample after which the table need not be sampled again before its next crawl.
SAMPLED = ("sampled", "unchanged")


def content_of(kept: Evidence, table: str) -> dict[str, list[str]]:
    """column, or `column.path` of a field -> kinds: what rules are told of a table's content."""
    columns = kept.get("tables", {}).get(table, {}).get("columns", {})
    return {path: sorted(kinds) for path, kinds in columns.items()}


def request(product: DataProduct, tables: Iterable[Table], kept: Evidence, *, crawled: bool) -> dict[str, Any] | None:
    """What is asked of sample_content, as JSON has it; None where there is nothing to ask.

    Args:
        crawled: the data product has just been crawled, so that any table may hold something else. If not, only those
            are asked for that were not sampled as they are now.
    """
    bounds = product.sample_content or HEADERS_ALONE
    if product.sample_content is None and not (crawled and has_headers(product)):
        return None
    asked: list[tuple[bool, dict[str, Any]]] = []
    for table in tables:
        if not f"{table.location}/".startswith(product.location):
            continue
        layout = _layout(product, table)
        if product.sample_content is None and not layout["header"]:
            continue
        known = kept.get("tables", {}).get(table.name, {})
        up_to_date = known.get("asked") == digest_of_request(product, table)
        if crawled or not up_to_date:
            asked.append((up_to_date, {**layout, "seen": known.get("seen", "") if up_to_date else ""}))
    if not asked:
        return None
    # Those that were never sampled come first, in case the time is up before the last.
    in_order = [table for _, table in sorted(asked, key=lambda each: (each[0], each[1]["table"]))]
    values = product.sample_content is not None
    return {"unit": product.unit, "bucket": product.bucket, "values": values, **asdict(bounds), "tables": in_order}


def has_headers(product: DataProduct) -> bool:
    """Whether the files of a data product say their columns' names in their first line."""
    return product.csv is not None and product.csv.header == "present"


def misfits(asked: Mapping[str, Any], sampled: Mapping[str, Any] | None, before: Iterable[str]) -> set[str]:
    """The tables with objects whose CSV header stands otherwise than the table; of those that were not looked at now,
    as they were before.

    Args:
        asked: the request.
        sampled: table -> what sample_content says of it; None if it failed.
    """
    looked_at = {name for name, table in (sampled or {}).items() if table["outcome"] == "sampled"}
    found = {name for name in looked_at if sampled and sampled[name]["misfits"]}
    return found | (set(before) - looked_at)


def digest_of_request(product: DataProduct, table: Table) -> str:
    """What a sample of a table follows from, but for its objects."""
    bounds = asdict(product.sample_content) if product.sample_content else {}
    return hashlib.sha256(json.dumps([bounds, _layout(product, table)], sort_keys=True).encode()).hexdigest()


def _layout(product: DataProduct, table: Table) -> dict[str, Any]:
    """Where a table's objects lie, and how they are read."""
    library = table.serde.lower()
    parameters = {**table.parameters, **table.serde_parameters}
    kind = parameters.get("classification", "").lower()
    texts = {"json": ("json",), "csv": ("csv", "lazysimple")}
    found = [name for name, signs in texts.items() if kind == name or any(sign in library for sign in signs)]
    csv = product.csv
    opened = "opencsv" in library
    quoted = opened or parameters.get("areColumnsQuoted", "").lower() == "true"
    delimiter = parameters.get("separatorChar") or parameters.get("field.delim") or parameters.get("delimiter")
    quote = (parameters.get("quoteChar") or (csv and csv.quote) or '"') if quoted else None
    escape = parameters.get("escapeChar") or parameters.get("escape.delim") or ("\\" if opened else None)
    header = parameters.get("skip.header.line.count", "")
    return {
        "table": table.name,
        "prefix": table.location.partition(f"s3://{product.bucket}/")[2].rstrip("/") + "/",
        "format": found[0] if found else "binary",
        "delimiter": _character(delimiter or (csv and csv.delimiter) or ","),
        "quote": quote and _character(quote),
        "escape": escape and _character(escape),
        "skipped_lines": int(header) if header.isdecimal() else int(csv is not None and csv.header == "present"),
        "columns": [[column.name, column.type] for column in table.columns],
        "header": bool(found) and found[0] == "csv" and has_headers(product),
        "partition_keys": [[key.name, key.type] for key in table.partition_keys],
    }


def _character(written: str) -> str:
    """A character as the catalogue has it, which may be an escape (`\\t`, `\\u0001`)."""
    if len(written) > 1 and written.startswith("\\"):
        escapes = {"t": "\t", "n": "\n", "\\": "\\"}
        hexadecimal = written[2:] if written[1] == "u" else ""
        try:
            return chr(int(hexadecimal, 16)) if hexadecimal else escapes.get(written[1], written)
        except (ValueError, OverflowError):
            return written
    return written


def keep(
    product: DataProduct, tables: Iterable[Table], kept: Evidence, sampled: Mapping[str, Any], today: str
) -> dict[str, Any]:
    """The evidence that is in force after a sample: what was shown before and now, of the tables and columns that are
    there.

    Args:
        sampled: table -> what sample_content says of it; {} if it says nothing.
        today: the day (`2027-03-31`) since which what is shown for the first time is known.
    """
    known: dict[str, Any] = {}
    for table in tables:
        before, now = kept.get("tables", {}).get(table.name, {}), sampled.get(table.name, {})
        names = {column.name for column in table.all_columns}
        columns = {path: dict(kinds) for path, kinds in before.get("columns", {}).items() if _column(path, names)}
        for path, kinds in now.get("columns", {}).items():
            if _column(path, names):
                for kind, shown in kinds.items():
                    columns.setdefault(path, {}).setdefault(kind, {**shown, "since": today})
        entry = {"columns": columns, "asked": before.get("asked", ""), "seen": before.get("seen", "")}
        if now.get("outcome") in SAMPLED and now.get("seen"):
            entry |= {"asked": digest_of_request(product, table), "seen": now["seen"]}
        if any(entry.values()):
            known[table.name] = entry
    return {"tables": known}


def recheck(of_rules: str, not_sampled: Iterable[Finding], today: str) -> str:
    """The day from which on the data product is published again though nothing has changed: that of the rules ("" if
    there is none), and the next one where a sample could not be had."""
    from datetime import date, timedelta

    tomorrow = (date.fromisoformat(today) + timedelta(days=1)).isoformat() if list(not_sampled) else ""
    return min((day for day in (of_rules, tomorrow) if day), default="")


def _column(path: str, names: set[str]) -> bool:
    """Whether a path leads to a column that is there (whose own name may hold dots)."""
    return any(path == name or path.startswith(f"{name}.") for name in names)


def findings(product: DataProduct, asked: Mapping[str, Any], sampled: Mapping[str, Any] | None) -> list[Finding]:
    """What people must mend so that the content is looked at; until then, what earlier samples showed is in force.

    Args:
        asked: the request.
        sampled: table -> what sample_content says of it; None if it failed.
    """
    if sampled is None:
        message = "the sample of its content failed; what earlier samples showed still holds"
        mend = "see the errors of tagmesh-sample-content in its log; it is tried again tomorrow, or at the next crawl"
        return [Finding("content-not-sampled", product.unit, message, mend)]
    found = []
    denied = sorted(name for name, table in sampled.items() if table["outcome"] == "denied")
    if denied:
        message = f"the objects of {', '.join(denied[:5])}{' ...' if denied[5:] else ''} may not be read for a sample"
        mend = (
            f"deploy accounts/producer.yaml again in {product.account} with BucketName={product.bucket}, or give an "
            "existing bucket the policy that docs/existing-buckets.md prints; or take out sample_content and csv.header"
        )
        found.append(Finding("content-not-sampled", product.unit, message, mend))
    for name, table in sorted(sampled.items()):
        if table["outcome"] == "unreadable":
            skipped = sum(table["skipped"].values())
            message = f"none of the {skipped} objects that were tried could be read for a sample"
            mend = "see that they are CSV, JSON Lines, Parquet or Avro, as the table says, and not archived"
            found.append(Finding("content-not-sampled", f"{product.database}.{name}", message, mend))
    late = [table["table"] for table in asked["tables"] if table["table"] not in sampled]
    if late:
        message = f"there was no time to sample {len(late)} of {len(asked['tables'])} tables"
        mend = "the next run goes on from there; ask for fewer `objects`, `rows` or `megabytes` if it happens again"
        found.append(Finding("content-not-sampled", product.unit, message, mend))
    return found
