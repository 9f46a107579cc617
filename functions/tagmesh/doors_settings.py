"""Doors in Lake Formation's settings and locations, in databases and tables, and in Athena's workgroups
(`tagmesh.doors`). Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tagmesh.catalog import AssignedTags, Table
from tagmesh.doors import DOOR, NOTICE, Door, Fix
from tagmesh.expressions import matches
from tagmesh.governance import DataProduct, Governance
from tagmesh.wording import some


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
    for entry in settings.get("DataLakeAdmins", ()):
        principal = entry["DataLakePrincipalIdentifier"]
        if principal in readers:
            yield Door(
                DOOR,
                "reader-administers",
                account,
                principal,
                "it reads data and is an administrator of Lake Formation there: it can grant itself everything "
                + ("of the mesh" if central else "that the account was granted"),
                "take it off the administrators, or let another role read",
            )
        elif principal not in ours:
            yield Door(
                NOTICE,
                "other-administrator",
                account,
                principal,
                "it is an administrator of Lake Formation there, too: it can grant "
                + ("anything on the mesh" if central else "to its own account's principals what the account has"),
                "nothing, if that is meant; what it grants past the files, this command finds",
            )


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
                    f"of {some(hidden)} as well",
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
