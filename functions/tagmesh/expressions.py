"""What LF-Tags and tag expressions make readable. Pure: tags and expressions in, column names out.

The rules are those of Lake Formation's tag-based access control (developer guide, "Lake Formation tag-based access
control" and its considerations): keys are ANDed, values ORed, and a column that lacks a key of the expression, or has
another value, does not match.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import DataProduct, Expression, Governance, Subscription

#: database -> table -> names of readable columns, partition keys included; nothing empty is listed.
Readable = dict[str, dict[str, frozenset[str]]]


def matches(tags: Mapping[str, str], expression: Expression) -> bool:
    """Whether a resource with these effective tags matches; an empty expression matches nothing. The value `*`, which
    others' policies may have, means any. [Lake Formation API reference, LFTag]"""
    return bool(expression) and all(
        tags.get(key) in values or ("*" in values and key in tags) for key, values in expression
    )


def readable_columns(table: Table, tags: AssignedTags, expression: Expression) -> frozenset[str]:
    """The columns that SELECT on the expression opens.

    Whoever reads one column reads every partition key: Lake Formation cannot restrict them by named grants,
    and no page says that tags do (design.md, 2.3)."""
    names = (column.name for column in table.all_columns)
    open_columns = {name for name in names if matches(tags.effective(name), expression)}
    if open_columns:
        open_columns.update(key.name for key in table.partition_keys)
    return frozenset(open_columns)


def readable(tables: Iterable[tuple[Table, AssignedTags]], subscriptions: Iterable[Subscription]) -> Readable:
    """What these subscriptions together open with SELECT. Grants add up: the union of what each opens."""
    expressions = {s.table_expression for s in subscriptions if "SELECT" in s.permissions}
    found: Readable = {}
    for table, tags in tables:
        columns = frozenset().union(*(readable_columns(table, tags, each) for each in expressions))
        if columns:
            found.setdefault(table.database, {})[table.name] = columns
    return found


def database_tags(governance: Governance, data_product: DataProduct) -> dict[str, str]:
    """The tags of a published data product's database: its own, and the default of every other key."""
    return {key.name: key.default for key in governance.lf_tags} | dict(data_product.tags)


def sees_database(governance: Governance, subscription: Subscription, data_product: DataProduct) -> bool:
    """Whether the subscription's DATABASE grant matches the data product's database."""
    return matches(database_tags(governance, data_product), subscription.database_expression)


def fingerprint(readable_tables: Mapping[str, Iterable[str]]) -> str:
    """A stable name (sha256, hex) for what a consumer can read in one data product: table -> columns.
    Equal exactly if the same columns are readable; tables without a readable column do not count."""
    import hashlib

    content = {table: sorted(columns) for table, columns in readable_tables.items() if columns}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
