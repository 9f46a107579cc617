"""Doors in what is granted past the governance files (`tagmesh.doors`). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tagmesh.catalog import AssignedTags, Table
from tagmesh.doors import DOOR, NOTICE, Door, Fix
from tagmesh.expressions import matches
from tagmesh.governance import Expression, Governance
from tagmesh.grants import IAM_ALLOWED, Grant, Resource, is_every_table, single_values, written
from tagmesh.wording import listed, some, written_expression

READING = frozenset({"ALL", "SELECT", "SUPER"})


def of_grants(
    governance: Governance,
    central: str,
    grants: Iterable[Grant],
    ours: Collection[str],
    administrators: Collection[str] = (),
) -> Iterator[Door]:
    """What is granted by name on governed databases and tables: to everybody whom IAM admits, or to somebody. What an
    administrator of Lake Formation holds is a notice: assigning LF-Tags by hand takes it, and whoever may grant himself
    everything gains nothing by it.

    Args:
        grants: explicit ones of the central catalogue; those on other resources do not count.
        ours: ARNs of the crawler's and the automation's roles, which hold what making and tagging tables takes.
        administrators: ARNs of the data lake administrators.
    """
    held: dict[tuple[str, str, str], list[Grant]] = {}
    for grant in grants:
        if grant.resource.kind == "DataCellsFilter":
            yield from _of_cells(governance, central, grant)
        elif grant.resource.kind in ("Database", "Table", "TableWithColumns") and grant.principal not in ours:
            # Table and TableWithColumns tell of one grant.
            held.setdefault((grant.principal, *_named(grant.resource)), []).append(grant)
    for (principal, subject, columns), rows in held.items():
        product = governance.data_product_of_database(subject.partition(".")[0])
        permissions = frozenset().union(*(row.permissions for row in rows))
        if product is None:
            continue
        if principal.upper() == IAM_ALLOWED:
            whole = min(rows, key=lambda row: row.resource.kind)  # Database, or Table before TableWithColumns
            yield Door(
                DOOR,
                "open-to-iam",
                central,
                subject,
                f"IAMAllowedPrincipals has {listed(permissions)} on it: whoever IAM admits reads it, whatever its "
                "LF-Tags are, and it cannot be shared",
                "revoke that: tagmesh doctor --fix",
                product.unit,
                Fix("revoke", replace(whole, permissions=permissions & {"ALL"} or permissions)),
            )
        elif principal in administrators and "." in subject and permissions & READING:
            yield Door(
                NOTICE,
                "administrator-grant",
                central,
                subject,
                f"{principal}, an administrator of Lake Formation, holds {listed(permissions)} on it by name{columns}",
                "revoke that when what it was for is done: he can grant it to himself again",
                product.unit,
            )
        elif "." in subject and permissions & READING:
            yield Door(
                DOOR,
                "named-grant",
                central,
                subject,
                f"{principal} was granted {listed(permissions)} on it by name{columns}: it reads that whatever its "
                "LF-Tags are",
                "revoke that in Lake Formation, and give it a subscription instead",
                product.unit,
            )


def _of_cells(governance: Governance, central: str, grant: Grant) -> Iterator[Door]:
    """A grant on a data cells filter gives SELECT on its rows and columns, whatever the LF-Tags are. [Lake Formation
    developer guide, Data filtering and cell-level security]"""
    content = grant.resource.content
    database, table = content["DatabaseName"].lower(), content["TableName"].lower()
    product = governance.data_product_of_database(database)
    if product is not None and grant.permissions & READING:
        yield Door(
            DOOR,
            "cells-grant",
            central,
            f"{database}.{table}",
            f"{grant.principal} was granted {listed(grant.permissions)} on its data cells filter {content['Name']}: it "
            "reads what that lets through, whatever the LF-Tags are",
            "revoke that in Lake Formation, and give it a subscription instead",
            product.unit,
        )


def _named(resource: Resource) -> tuple[str, str]:
    """(database or database.table, which columns) of a resource."""
    content = resource.content
    if resource.kind == "Database":
        return content["Name"], ""
    names = content.get("ColumnNames")
    place = f"{content['DatabaseName']}.{'*' if is_every_table(content) else content['Name']}"
    return place, f" ({', '.join(names)})" if names else ""


def of_tag_policies(
    governance: Governance,
    central: str,
    grants: Iterable[Grant],
    made: Iterable[Grant],
    tables: Iterable[tuple[Table, AssignedTags]],
    expressions: Mapping[str, Expression] = MappingProxyType({}),
) -> Iterator[Door]:
    """Tag policies that nobody of ours made and that reach columns of governed tables.

    Args:
        made: what the ledger says we made in the central account.
        expressions: the saved LF-Tag expressions, by name, that policies may refer to.
    """
    ours = {
        (grant.principal, one) for grant in made if grant.permissions & READING for one in single_values(grant.resource)
    }
    columns = [
        (f"{table.database}.{table.name}", tags.effective(column.name))
        for table, tags in tables
        if governance.data_product_of_database(table.database)
        for column in table.all_columns
    ]
    for grant in grants:
        if grant.resource.kind != "LFTagPolicy" or not grant.permissions & READING:
            continue
        content = grant.resource.content
        if content["ResourceType"] != "TABLE" or (grant.principal, grant.resource) in ours:
            continue
        name = content.get("ExpressionName", "")
        if name:
            expression = tuple(expressions.get(name, ()))
        else:
            expression = tuple((pair["TagKey"], tuple(pair["TagValues"])) for pair in content.get("Expression", ()))
        told = f"{name}, that is, {written_expression(expression)}" if name else written_expression(expression)
        reached = sorted({name for name, tags in columns if matches(tags, expression)})
        if reached:
            yield Door(
                DOOR,
                "foreign-tag-policy",
                central,
                grant.principal,
                f"it was granted {listed(grant.permissions)} by tags ({told}), and not by this mesh: "
                f"that opens columns of {some(reached)}",
                "revoke that in Lake Formation, and give it a subscription instead",
            )


def of_regrants(account: str, regrants: Iterable[Grant], made: Iterable[Grant]) -> Iterator[Door]:
    """What an administrator of a consuming account has passed on to its own principals, past the files.

    Args:
        regrants: of the account on the central catalogue.
        made: what the ledger says we made there.
    """
    ours: dict[tuple[str, Any], frozenset[str]] = {}
    for grant in made:
        for one in single_values(grant.resource):
            ours[grant.principal, one] = ours.get((grant.principal, one), frozenset()) | grant.permissions
    for grant in regrants:
        if grant.resource.kind == "LFTag":
            continue  # naming values reads nothing
        more = grant.permissions - ours.get((grant.principal, grant.resource), frozenset())
        if more & READING:
            yield Door(
                DOOR,
                "regrant",
                account,
                grant.principal,
                f"an administrator of the account passed on to it {written(replace(grant, permissions=more))}, and no "
                "subscription says so",
                f"revoke that as an administrator of {account}, or name it in a subscription",
            )


def of_links(account: str, grants: Iterable[Grant], links: Collection[str]) -> Iterator[Door]:
    """Resource links that everybody in a consuming account sees. What they lead to is not open by that."""
    open_ones = sorted(
        {
            grant.resource.content["Name"]
            for grant in grants
            if grant.principal.upper() == IAM_ALLOWED and grant.resource.kind == "Database"
        }
        & set(links)
    )
    if open_ones:
        yield Door(
            NOTICE,
            "open-links",
            account,
            ", ".join(open_ones),
            "IAMAllowedPrincipals has permissions on these resource links: whoever IAM admits sees their names, and "
            "not the data behind them",
            "revoke that in Lake Formation of that account",
        )
