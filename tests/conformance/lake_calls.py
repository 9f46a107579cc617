"""Short ways to call Glue, Lake Formation and RAM on a lab: resource shapes, grants, and what somebody sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from lab import PARTS, Lab, Role, Who

IAM_ALLOWED = "IAM_ALLOWED_PRINCIPALS"
LAKE_ACTIONS = ["glue:*", "lakeformation:*"]
SHARING_ACTIONS = ["ram:*", "glue:*", "lakeformation:*"]


# -- resources ----------------------------------------------------------------------------------------------------


def on_database(name: str, catalog: str | None = None) -> dict:
    return {"Database": _of(catalog, Name=name)}


def on_table(database: str, name: str | None, catalog: str | None = None) -> dict:
    """A table, or with None all tables of a database."""
    return {"Table": _of(catalog, DatabaseName=database, **({"Name": name} if name else {"TableWildcard": {}}))}


def on_columns(database: str, table: str, *columns: str, catalog: str | None = None) -> dict:
    return {"TableWithColumns": _of(catalog, DatabaseName=database, Name=table, ColumnNames=list(columns))}


def on_tag(key: str, *values: str, catalog: str | None = None) -> dict:
    return {"LFTag": _of(catalog, TagKey=key, TagValues=list(values))}


def on_policy(kind: str, tags: dict[str, list[str]], catalog: str | None = None) -> dict:
    """The DATABASEs or TABLEs that match an LF-Tag expression."""
    expression = [{"TagKey": key, "TagValues": values} for key, values in tags.items()]
    return {"LFTagPolicy": _of(catalog, ResourceType=kind, Expression=expression)}


def _of(catalog: str | None, **members: Any) -> dict:
    return {"CatalogId": catalog, **members} if catalog else members


# -- grants -------------------------------------------------------------------------------------------------------


def principal(lab: Lab, to: Who) -> dict:
    """A principal as the API names it: a role, an account by its part or id, or anything else as it is."""
    name = to.arn if isinstance(to, Role) else lab.account(to) if to in PARTS else to
    return {"DataLakePrincipalIdentifier": name}


def grant(lab: Lab, by: Who, to: Who, resource: dict, *permissions: str, options: bool | list[str] = False) -> None:
    """Grant permissions; `options`: those that may be passed on, True for all. Revoked when the lab closes."""
    lakeformation = lab.client("lakeformation", by)
    passed_on = list(permissions) if options is True else options or []
    given = {"Principal": principal(lab, to), "Resource": resource, "Permissions": list(permissions)}
    lakeformation.grant_permissions(**given, PermissionsWithGrantOption=passed_on)
    lab.at_end(lakeformation.revoke_permissions, **given, PermissionsWithGrantOption=passed_on)


def revoke(lab: Lab, by: Who, to: Who, resource: dict, *permissions: str) -> None:
    lab.client("lakeformation", by).revoke_permissions(
        Principal=principal(lab, to), Resource=resource, Permissions=list(permissions)
    )


def assign(lab: Lab, by: Who, resource: dict, **tags: str) -> None:
    """Assign LF-Tags: key -> value."""
    pairs = [{"TagKey": key, "TagValues": [value]} for key, value in tags.items()]
    answer = lab.client("lakeformation", by).add_lf_tags_to_resource(Resource=resource, LFTags=pairs)
    assert not answer.get("Failures"), answer["Failures"]


# -- links --------------------------------------------------------------------------------------------------------


def database_link(lab: Lab, by: Who, catalog: str, database: str, name: str | None = None) -> str:
    """A link's name."""
    glue, name = lab.client("glue", by), name or lab.name("link")
    glue.create_database(DatabaseInput={"Name": name, "TargetDatabase": _target(catalog, database)})
    lab.at_end(glue.delete_database, Name=name)
    return name


def table_link(lab: Lab, by: Who, into: str, catalog: str, database: str, table: str) -> str:
    """The name of a link in the database `into`."""
    glue, name = lab.client("glue", by), lab.name("link")
    given = {"Name": name, "TargetTable": {**_target(catalog, database), "Name": table}}
    glue.create_table(DatabaseName=into, TableInput=given)
    lab.at_end(glue.delete_table, DatabaseName=into, Name=name)
    return name


def _target(catalog: str, database: str) -> dict:
    return {"CatalogId": catalog, "DatabaseName": database}


# -- what somebody sees -------------------------------------------------------------------------------------------


def sees(lab: Lab, who: Who, database: str, table: str, catalog: str | None = None) -> list[str] | None:
    """The columns that GetTable shows, or None if for the caller there is no such table."""
    shown = shown_table(lab, who, database, table, catalog)
    return None if shown is None else [each["Name"] for each in shown["StorageDescriptor"]["Columns"]]


def shown_table(lab: Lab, who: Who, database: str, table: str, catalog: str | None = None) -> dict | None:
    """The table that GetTable shows, or None if for the caller there is no such table."""
    where = _of(catalog, DatabaseName=database, Name=table)
    return _unless_missing(lambda: lab.client("glue", who).get_table(**where)["Table"])


def shown_database(lab: Lab, who: Who, name: str, catalog: str | None = None) -> dict | None:
    """The database that GetDatabase shows, or None if for the caller there is none."""
    return _unless_missing(lambda: lab.client("glue", who).get_database(**_of(catalog, Name=name))["Database"])


def _unless_missing(call: Callable[[], dict]) -> dict | None:
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        return None


def table_names(lab: Lab, who: Who, database: str, **where: Any) -> list[str]:
    """The names that GetTables lists."""
    return [each["Name"] for each in lab.client("glue", who).get_tables(DatabaseName=database, **where)["TableList"]]


def holds(lab: Lab, who: Who, resource: dict) -> set[str]:
    """The permissions that a principal effectively has on a database or table, as it is told itself."""
    asked = {"Principal": principal(lab, who), "Resource": resource}
    found = lab.client("lakeformation", who).list_permissions(**asked)["PrincipalResourcePermissions"]
    return {permission for each in found for permission in each["Permissions"]}


# -- shares -------------------------------------------------------------------------------------------------------


def pending(lab: Lab, who: Who) -> list[dict]:
    """The invitations that an account has not answered, oldest first."""
    found = lab.client("ram", who).get_resource_share_invitations()["resourceShareInvitations"]
    return [each for each in found if each["status"] == "PENDING"]


def accept(lab: Lab, who: Who) -> int:
    """Accept all pending invitations. Returns how many."""
    arns = [each["resourceShareInvitationArn"] for each in pending(lab, who)]
    for arn in arns:
        lab.client("ram", who).accept_resource_share_invitation(resourceShareInvitationArn=arn)
    return len(arns)


def shared_resources(lab: Lab, who: Who, whose: str) -> list[str]:
    """The resources (what follows the account in their ARNs) that an account shares (SELF) or that are shared with it
    (OTHER-ACCOUNTS)."""
    found = lab.client("ram", who).list_resources(resourceOwner=whose)["resources"]
    return sorted(each["arn"].split(":", 5)[5] for each in found)


# -- a data product -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Product:
    """A database of an account with one table `orders`, tagged: the database `domain=sales` and `pii=unknown`, the
    columns id and total `pii=none`, email `pii=contact`. Keys and names are new for each product."""

    lab: Lab
    owner: str
    """The account's part."""
    database: str
    table: str
    domain: str
    pii: str

    @property
    def catalog(self) -> str:
        return self.lab.account(self.owner)

    def tables(self, *values: str, catalog: str | None = None) -> dict:
        """The TABLE policy of the product's domain and these values of pii."""
        return on_policy("TABLE", {self.domain: ["sales"], self.pii: list(values)}, catalog)

    def databases(self, catalog: str | None = None) -> dict:
        return on_policy("DATABASE", {self.domain: ["sales"]}, catalog)

    def share(self, to: str, *, options: bool = True) -> None:
        """What a central account grants a consumer account, by tags."""
        grant(self.lab, self.owner, to, self.tables("none"), "SELECT", "DESCRIBE", options=options)
        grant(self.lab, self.owner, to, self.databases(), "DESCRIBE", options=options)
        for tag in (on_tag(self.pii, "none"), on_tag(self.domain, "sales")):
            grant(self.lab, self.owner, to, tag, "DESCRIBE", options=options)

    def regrant(self, by: str, to: Who) -> None:
        """What a consumer's administrator passes on to a principal."""
        grant(self.lab, by, to, self.databases(self.catalog), "DESCRIBE")
        grant(self.lab, by, to, self.tables("none", catalog=self.catalog), "SELECT", "DESCRIBE")


def data_product(lab: Lab, owner: str = "central", location: str = "s3://nowhere-in-particular/data") -> Product:
    """A new tagged data product of an account whose administrator governs a lake."""
    domain, pii = lab.lf_tag(owner, "domain", "sales", "hr"), lab.lf_tag(owner, "pii", "none", "contact", "unknown")
    database = lab.database(owner, "sales")
    table = lab.table(owner, database, "orders", location=location)
    assign(lab, owner, on_database(database), **{domain: "sales", pii: "unknown"})
    assign(lab, owner, on_columns(database, table, "id", "total"), **{pii: "none"})
    assign(lab, owner, on_columns(database, table, "email"), **{pii: "contact"})
    return Product(lab, owner, database, table, domain, pii)


def one_organization(lab: Lab) -> None:
    """Central, consumer and producer are in one organization with RAM sharing, outsider is not: real accounts already
    are."""
    if lab.is_local:
        lab.organization("central", "consumer", "producer")
