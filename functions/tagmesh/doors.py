"""Doors: what gives access to governed data past the LF-Tags, found in what was seen of the accounts. Pure.

A *door* defeats the policy; a *notice* does not by itself, and is worth knowing. The pipeline asks `of_grants` alone: a
data product with such a door is closed until it is mended. `tagmesh doctor` asks everything.

Sources, all of the Lake Formation developer guide: "Changing the default settings for your data lake", "Hybrid access
mode", "Requirements for roles used to register locations", "Underlying data access control", "Granting permissions on
resources shared with your account"; and of the Athena user guide, "Considerations and limitations" with Lake Formation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from tagmesh.catalog import AssignedTags, Finding, Table
from tagmesh.expressions import matches
from tagmesh.governance import DataProduct, Expression, Governance
from tagmesh.grants import Grant, Resource, single_values

DOOR, NOTICE, UNSEEN = "door", "notice", "unseen"
EVERYBODY = "IAM_ALLOWED_PRINCIPALS"
READING = frozenset({"ALL", "SELECT", "SUPER"})
OUR_READERS = ("tagmesh-automation", "tagmesh-crawler", "tagmesh-registration", "tagmesh-sample-content")
"""Roles of the central account that the producer's bucket policy lets in (accounts/producer.yaml)."""


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


# ── Grants of the central catalogue ───────────────────────────────────────────────────────────────────────────────


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
        if principal.upper() == EVERYBODY:
            whole = min(rows, key=lambda row: row.resource.kind)  # Database, or Table before TableWithColumns
            yield Door(
                DOOR,
                "open-to-iam",
                central,
                subject,
                f"IAMAllowedPrincipals has {_list(permissions)} on it: whoever IAM admits reads it, whatever its "
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
                f"{principal}, an administrator of Lake Formation, holds {_list(permissions)} on it by name{columns}",
                "revoke that when what it was for is done: he can grant it to himself again",
                product.unit,
            )
        elif "." in subject and permissions & READING:
            yield Door(
                DOOR,
                "named-grant",
                central,
                subject,
                f"{principal} was granted {_list(permissions)} on it by name{columns}: it reads that whatever its "
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
            f"{grant.principal} was granted {_list(grant.permissions)} on its data cells filter {content['Name']}: it "
            "reads what that lets through, whatever the LF-Tags are",
            "revoke that in Lake Formation, and give it a subscription instead",
            product.unit,
        )


CLOSING = ("open-to-iam", "named-grant")
"""Codes of the doors for which a data product is closed."""


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


KEPT = 20


def _first(unit: str, findings: list[Finding]) -> list[Finding]:
    ordered = sorted(findings, key=lambda f: (f.subject, f.message))
    kept, more = ordered[:KEPT], len(ordered) - KEPT
    if more <= 0:
        return kept
    message = f"and {more} more of its tables and grants, as {kept[-1].subject}: `tagmesh doctor` lists them all"
    return [*kept, Finding(kept[-1].code, unit, message, kept[-1].mend)]


def _named(resource: Resource) -> tuple[str, str]:
    """(database or database.table, which columns) of a resource."""
    content = resource.content
    if resource.kind == "Database":
        return content["Name"], ""
    wildcard = content.get("TableWildcard") is not None or content.get("Name", "").upper() == "ALL_TABLES"
    names = content.get("ColumnNames")
    place = f"{content['DatabaseName']}.{'*' if wildcard else content['Name']}"
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
        told = f"{name}, that is, {_expression(expression)}" if name else _expression(expression)
        reached = sorted({name for name, tags in columns if _reaches(expression, tags)})
        if reached:
            yield Door(
                DOOR,
                "foreign-tag-policy",
                central,
                grant.principal,
                f"it was granted {_list(grant.permissions)} by tags ({told}), and not by this mesh: "
                f"that opens columns of {_some(reached)}",
                "revoke that in Lake Formation, and give it a subscription instead",
            )


def _reaches(expression: tuple[tuple[str, tuple[str, ...]], ...], tags: Mapping[str, str]) -> bool:
    any_value = tuple(
        (key, (tags[key],)) if "*" in values and key in tags else (key, values) for key, values in expression
    )
    return matches(tags, any_value)


# ── Settings ──────────────────────────────────────────────────────────────────────────────────────────────────────


def of_settings(
    settings: Mapping[str, Any], account: str, ours: Collection[str], readers: Collection[str], *, central: bool
) -> Iterator[Door]:
    """Defaults that open what is made, and administrators who also read.

    Args:
        settings: DataLakeSettings of the account.
        ours: ARNs of our administrators there.
        readers: ARNs of principals of that account that the governance files name, and of our roles that read data.
    """
    opened = [
        name for name in ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions") if settings.get(name)
    ]
    if opened:
        yield Door(
            DOOR if central else NOTICE,
            "open-defaults",
            account,
            "settings",
            f"{' and '.join(opened)} give IAMAllowedPrincipals everything on what is made there: "
            + ("new databases are open until somebody closes them" if central else "also on the links of this mesh"),
            "switch them off (Lake Formation, Data Catalog settings)" + (": tagmesh doctor --fix" if central else ""),
            fix=Fix("close_defaults") if central else None,
        )
    for kind, severity in (("DataLakeAdmins", DOOR), ("ReadOnlyAdmins", NOTICE)):
        for entry in settings.get(kind, ()):
            principal = entry["DataLakePrincipalIdentifier"]
            if principal in readers and kind == "DataLakeAdmins":
                yield Door(
                    severity,
                    "reader-administers",
                    account,
                    principal,
                    "it reads data and is an administrator of Lake Formation there: it can grant itself everything "
                    + ("of the mesh" if central else "that the account was granted"),
                    "take it off the administrators, or let another role read",
                )
            elif principal not in ours and kind == "DataLakeAdmins":
                yield Door(
                    NOTICE,
                    "other-administrator",
                    account,
                    principal,
                    "it is an administrator of Lake Formation there, too: it can grant "
                    + ("anything on the mesh" if central else "to its own account's principals what the account has"),
                    "nothing, if that is meant; what it grants past the files, this command finds",
                )


# ── Locations ─────────────────────────────────────────────────────────────────────────────────────────────────────


def of_locations(
    products: Iterable[DataProduct],
    central: str,
    locations: Iterable[Mapping[str, Any]],
    registration_role: str,
    opted_in: Collection[str],
) -> Iterator[Door]:
    """Registered locations that lend other credentials than they should, or none.

    Args:
        locations: ResourceInfo of ListResources.
        opted_in: principals that hybrid mode holds to Lake Formation.
    """
    products = list(products)
    for location in locations:
        path = location["ResourceArn"].partition(":::")[2].rstrip("/") + "/"
        for product in products:
            own = f"{product.bucket}/{product.prefix}".rstrip("/") + "/"
            if not (own.startswith(path) or path.startswith(own)):
                continue
            subject, role = f"s3://{path}", location.get("RoleArn", "")
            if location.get("HybridAccessEnabled"):
                who = f"{len(opted_in)} principals are opted in" if opted_in else "nobody is opted in"
                yield Door(
                    DOOR,
                    "hybrid-location",
                    central,
                    subject,
                    f"it is registered in hybrid access mode ({who}): all others are held to IAM and S3 alone",
                    "register it without hybrid access",
                    product.unit,
                )
            if "/aws-service-role/" in role:
                yield Door(
                    DOOR,
                    "service-linked-location",
                    central,
                    subject,
                    f"it is registered with the service-linked role, which cannot reach account {product.account}'s "
                    "bucket: queries fail, or fall back on the caller's own rights",
                    f"deregister it and register it with {registration_role}",
                    product.unit,
                )
            elif role != registration_role:
                yield Door(
                    DOOR,
                    "foreign-location",
                    central,
                    subject,
                    f"it is registered with {role or 'no role that we can see'}, whose rights queries are lent",
                    f"deregister it and register it with {registration_role}",
                    product.unit,
                )
            elif path != own:
                yield Door(
                    NOTICE,
                    "overlapping-location",
                    central,
                    subject,
                    f"it overlaps {product.location}, which is registered by itself",
                    "deregister it, if nothing else needs it",
                    product.unit,
                )


# ── The catalogue ─────────────────────────────────────────────────────────────────────────────────────────────────


def of_databases(governance: Governance, central: str, databases: Iterable[Mapping[str, Any]]) -> Iterator[Door]:
    """Governed databases that give their tables default permissions.

    Args:
        databases: as Glue has them.
    """
    for database in databases:
        product = governance.data_product_of_database(database["Name"].lower())
        if product and database.get("CreateTableDefaultPermissions"):
            yield Door(
                DOOR,
                "open-database",
                central,
                database["Name"],
                "its CreateTableDefaultPermissions open each table that a crawl adds, before it is classified",
                "set CreateTableDefaultPermissions of the database to []; until then nothing is crawled into it",
                product.unit,
            )


def of_tables(governance: Governance, central: str, tables: Iterable[tuple[Table, AssignedTags]]) -> Iterator[Door]:
    """Tables that lie outside their data product, and properties that spell out closed columns."""
    expressions = {
        subscription.table_expression for consumer in governance.consumers for subscription in consumer.subscriptions
    }
    for table, tags in tables:
        product = governance.data_product_of_database(table.database)
        if product is None:
            continue
        subject = f"{table.database}.{table.name}"
        if table.location and not (table.location.rstrip("/") + "/").startswith(product.location.rstrip("/") + "/"):
            yield Door(
                DOOR,
                "table-outside",
                central,
                subject,
                f"it lies outside {product.location}: where that is not registered, the caller's own rights decide",
                "drop it, or make a data product of it",
                product.unit,
            )
        spelled = _spelled_out(table)
        for expression in sorted(expressions):
            seen = {c.name for c in table.all_columns if matches(tags.effective(c.name), expression)}
            hidden = sorted(spelled & ({c.name for c in table.all_columns} - seen))
            if seen and hidden:
                yield Door(
                    DOOR,
                    "avro-schema",
                    central,
                    subject,
                    f"its properties spell out the Avro schema: who reads some of its columns sees the names and types "
                    f"of {_some(hidden)} as well",
                    "remove avro.schema.literal from the table's and its SerDe's parameters, or publish it as Parquet",
                    product.unit,
                )
                break


def _spelled_out(table: Table) -> set[str]:
    """The columns that the table's and its SerDe's properties name."""
    names: set[str] = set()
    for parameters in (table.parameters, table.serde_parameters):
        try:
            schema = json.loads(parameters.get("avro.schema.literal", "null"))
        except ValueError:
            continue
        fields = schema.get("fields", []) if isinstance(schema, dict) else []
        names |= {str(field.get("name", "")).lower() for field in fields if isinstance(field, dict)}
    return names


def of_catalogue_policy(policy: Mapping[str, Any] | None, central: str) -> Iterator[Door]:
    """Accounts that the Glue resource policy lets in, besides what RAM needs to share."""
    for statement in _statements(policy):
        who = sorted(_principals(statement))
        if statement.get("Effect") != "Allow" or who == ["ram.amazonaws.com"]:
            continue
        if any(_account_of(each) != central for each in who):
            yield Door(
                NOTICE,
                "catalogue-policy",
                central,
                "Glue resource policy",
                f"it lets {_some(who)} call {_some(_as_list(statement.get('Action', statement.get('NotAction'))))}: "
                "tables that IAMAllowedPrincipals can read are open to them",
                "remove the statement, if nothing else needs it",
            )


# ── Buckets ───────────────────────────────────────────────────────────────────────────────────────────────────────


def of_bucket_policy(
    product: DataProduct, policy: Mapping[str, Any] | None, central: str, readers: Collection[str] = ()
) -> Iterator[Door]:
    """Whom the policy of a data product's bucket lets read its objects, besides the central account's roles and the
    account that owns it.

    Args:
        readers: ARNs of principals of the bucket's account that the files name: in its own account a bucket policy
            lets in whom it names, whatever his IAM policies say. [S3 user guide, How Amazon S3 authorizes a request]
    """
    allowed = {f"arn:aws:iam::{central}:role/{name}" for name in OUR_READERS}
    for statement in _statements(policy):
        if statement.get("Effect") != "Allow" or not _reads_below(statement, f"{product.bucket}/{product.prefix}"):
            continue
        named, narrowed = _principals(statement), _only_principals(statement)
        let_in = named if narrowed is None else narrowed
        who = {each for each in let_in - allowed if _account_of(each) != product.account}
        everybody_there = "*" in named and product.account in let_in
        who |= {each for each in readers if everybody_there or any(fnmatchcase(each, like) for like in let_in)}
        if who:
            yield Door(
                DOOR,
                "bucket-readable",
                product.account,
                f"s3://{product.bucket}",
                f"its policy lets {_some(sorted(who))} read the objects themselves, with every column",
                "take that statement out of the bucket policy; accounts/producer.yaml has those that are needed",
                product.unit,
            )


def of_readers(product: DataProduct, readers: Mapping[str, bool]) -> Iterator[Door]:
    """Readers whom IAM lets read the bucket of their own account.

    Args:
        readers: ARN -> whether its policies allow s3:GetObject on the data product's objects; of the bucket's account.
    """
    for arn in sorted(arn for arn, allowed in readers.items() if allowed):
        yield Door(
            DOOR,
            "reader-reads-bucket",
            product.account,
            arn,
            f"its IAM policies let it read the objects of {product.location} themselves, with every column",
            "take s3:GetObject on that bucket from it: queries are lent what they need (tagmesh iam-policy)",
            product.unit,
        )


# ── Consumers' accounts ───────────────────────────────────────────────────────────────────────────────────────────


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
                f"an administrator of the account granted it {_list(more)} on what the account was granted "
                f"({_of(grant)}), and no subscription says so",
                f"revoke that as an administrator of {account}, or name it in a subscription",
            )


def of_links(account: str, grants: Iterable[Grant], links: Collection[str]) -> Iterator[Door]:
    """Resource links that everybody in a consuming account sees. What they lead to is not open by that."""
    open_ones = sorted(
        {
            grant.resource.content["Name"]
            for grant in grants
            if grant.principal.upper() == EVERYBODY and grant.resource.kind == "Database"
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


def of_workgroups(account: str, workgroups: Iterable[Mapping[str, Any]], readers: Collection[str]) -> Iterator[Door]:
    """Workgroups of the mesh whose results go where somebody else reads them.

    Args:
        workgroups: as Athena has them; those of the mesh alone count.
        readers: the account's principals that the files name and that query with the shared workgroup; for the whole
            account, what Lake Formation calls it.
    """
    places: dict[str, list[str]] = {}
    for group in workgroups:
        if not (group["Name"] == "tagmesh" or group["Name"].startswith("tagmesh-")):
            continue
        configuration = group.get("Configuration", {})
        place = configuration.get("ResultConfiguration", {}).get("OutputLocation", "")
        places.setdefault(place, []).append(group["Name"])
        if not configuration.get("EnforceWorkGroupConfiguration"):
            yield Door(
                DOOR,
                "workgroup-not-enforced",
                account,
                group["Name"],
                "its settings are not enforced: results can be sent to any bucket that its users may write to",
                "enforce the workgroup configuration, as accounts/consumer.yaml does",
            )
    everybody = any(each.endswith(":IAMPrincipals") for each in readers)
    if "tagmesh" in [name for names in places.values() for name in names] and (everybody or len(readers) > 1):
        who = "all of the account's principals" if everybody else f"{len(readers)} principals"
        yield Door(
            NOTICE,
            "shared-results",
            account,
            "tagmesh",
            f"{who} send results to one place: each can read what the others queried",
            "write `results: apart` in the consumer's file, and name each principal, where that must not be",
        )
    for place, names in sorted(places.items()):
        if len(names) > 1:
            yield Door(
                DOOR,
                "same-results",
                account,
                ", ".join(sorted(names)),
                f"these workgroups send results to the same place, {place or 'which none of them names'}",
                "give each a prefix of its own",
            )


# ── Policies of IAM ───────────────────────────────────────────────────────────────────────────────────────────────


def _statements(policy: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return _as_list(policy.get("Statement", [])) if policy else []


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _reads_below(statement: Mapping[str, Any], place: str) -> bool:
    """Whether a statement may be about reading objects below ``bucket/prefix``. Who may read versions reads objects of
    any bucket: those without versions have the version "null"."""

    def among(name: str, action: str) -> bool:
        return any(fnmatchcase(action, str(each).lower()) for each in _as_list(statement.get(name, [])))

    reading = ("s3:getobject", "s3:getobjectversion")
    if "NotAction" in statement:
        reads = not all(among("NotAction", action) for action in reading)
    else:
        reads = any(among("Action", action) for action in reading)
    return reads and any(_meets(str(each), place) for each in _as_list(statement.get("Resource", "*")))


def _meets(pattern: str, place: str) -> bool:
    """Whether an ARN with wildcards may be one of an object below ``bucket/prefix``."""
    of_s3 = re.fullmatch(r"arn:[\w-]+:s3:::(.*)", re.sub(r"\$\{[^}]*\}", "*", pattern))
    if of_s3 is None:
        return True  # wildcards, as far as the service
    told = of_s3.group(1)
    # The places in the pattern at which one may be, after each character of the prefix.
    reached = _past_stars(told, {0})
    for character in place:
        stay = {at for at in reached if told[at : at + 1] == "*"}
        step = {at + 1 for at in reached if told[at : at + 1] in ("?", character)}
        reached = _past_stars(told, stay | step)
    return bool(reached)


def _past_stars(pattern: str, places: set[int]) -> set[int]:
    """These places of a pattern, and those behind the stars that stand there."""
    found = set(places)
    for at in places:
        while pattern[at : at + 1] == "*":
            at += 1
            found.add(at)
    return found


def _principals(statement: Mapping[str, Any]) -> set[str]:
    """Whom a statement names: ARNs, account ids, ``*``; one that says whom it does not name, everybody."""
    if "NotPrincipal" in statement:
        return {"*"}
    named = statement.get("Principal", {})
    if isinstance(named, str):
        return {named}
    return {str(each) for kind in named.values() for each in _as_list(kind)}


def _only_principals(statement: Mapping[str, Any]) -> set[str] | None:
    """The ARNs, or else the accounts, that a condition narrows a statement to; None where there is none."""
    found: dict[str, set[str]] = {}
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            if (key.lower(), operator) in _NARROWING:
                found.setdefault(key.lower(), {str(value) for value in _as_list(values)})
    return found.get("aws:principalarn", found.get("aws:principalaccount"))


_NARROWING = {
    *(("aws:principalarn", operator) for operator in ("ArnEquals", "ArnLike", "StringEquals", "StringLike")),
    ("aws:principalaccount", "StringEquals"),
}


def _account_of(principal: str) -> str:
    return principal if principal.isdigit() else (principal.split(":") + [""] * 5)[4]


# ── Words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _list(permissions: Iterable[str]) -> str:
    return ", ".join(sorted(permissions))


def _some(names: Collection[Any], shown: int = 5) -> str:
    told = [str(name) for name in names]
    return ", ".join(told[:shown]) + (f" and {len(told) - shown} more" if len(told) > shown else "")


def _expression(expression: Iterable[tuple[str, Iterable[str]]]) -> str:
    return "; ".join(f"{key}: {', '.join(values)}" for key, values in expression)


def _of(grant: Grant) -> str:
    content = grant.resource.content
    if grant.resource.kind in ("Database", "Table", "TableWithColumns"):
        return _named(grant.resource)[0]
    pairs = [(pair["TagKey"], pair["TagValues"]) for pair in content.get("Expression", ())]
    return f"tables with {_expression(pairs)}"
