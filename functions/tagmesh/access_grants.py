"""What one grant of Lake Formation gives of a mesh as it was seen. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tagmesh.catalog import Table
from tagmesh.expressions import matches, readable_columns
from tagmesh.governance import Expression
from tagmesh.grants import Grant, is_every_table
from tagmesh.observed import Observed, Tagged, Who


def names_of(who: Who) -> list[str]:
    """Whom a grant may name that somebody has: the principal, or all of its account."""
    return [*([who.arn] if who.arn else []), f"{who.account}:IAMPrincipals"]


def opens(observed: Observed, grant: Grant, tagged: Tagged) -> frozenset[str]:
    """The columns of a table that a grant gives SELECT on, by name or by tag; who reads one of them reads the partition
    keys. [Lake Formation developer guide, permissions reference; TBAC considerations]"""
    if not grant.permissions & {"SELECT", "ALL"}:
        return frozenset()
    table, content = tagged.table, _content(grant)
    if grant.resource.kind == "LFTagPolicy":
        if content["ResourceType"] != "TABLE":
            return frozenset()
        return readable_columns(table, tagged.tags, _expression(observed, content))
    if not is_on_table(grant, table):
        return frozenset()
    every = frozenset(column.name for column in table.all_columns)
    if grant.resource.kind == "Table":
        return every
    chosen = frozenset(column.name for column in table.columns)
    if content.get("ColumnNames"):
        chosen &= frozenset(content["ColumnNames"])
    else:
        excluded = {name.lower() for name in (content.get("ColumnWildcard") or {}).get("ExcludedColumnNames") or ()}
        if not excluded:
            return every
        chosen -= excluded
    return chosen | {key.name for key in table.partition_keys} if chosen else chosen


def shows(o: Observed, grant: Grant, database: str, tags: Mapping[str, str]) -> bool:
    """Whether a grant shows a database that has these LF-Tags: any permission on it does, and any on all of its tables.
    [Lake Formation developer guide, permissions reference]"""
    content = _content(grant)
    if grant.resource.kind == "LFTagPolicy":
        of_databases = content["ResourceType"] == "DATABASE"
        return of_databases and matches(tags, _expression(o, content))
    if grant.resource.kind in ("Table", "TableWithColumns"):
        return content["DatabaseName"] == database and is_every_table(content)
    return is_on_database(grant, database)


def is_on_database(grant: Grant, database: str) -> bool:
    return grant.resource.kind == "Database" and _content(grant)["Name"] == database


def is_on_table(grant: Grant, table: Table) -> bool:
    if grant.resource.kind not in ("Table", "TableWithColumns"):
        return False
    content = _content(grant)
    return content["DatabaseName"] == table.database and (is_every_table(content) or content.get("Name") == table.name)


def _expression(o: Observed, content: Mapping[str, Any]) -> Expression:
    """The expression of a policy; one that gives nothing, where its named expression or one of its keys is gone."""
    if content.get("ExpressionName"):
        expression = o.expressions.get(content["ExpressionName"], ())
    else:
        expression = tuple((pair["TagKey"], tuple(pair["TagValues"])) for pair in content["Expression"])
    return () if any(key in o.void for key, _ in expression) else expression


def _content(grant: Grant) -> dict[str, Any]:
    return _parsed(grant.resource.body)


@lru_cache(maxsize=4096)
def _parsed(body: str) -> dict[str, Any]:
    return json.loads(body)
