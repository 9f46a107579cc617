"""Lake Formation's values: principals, resources and grants, and how the API writes them.

Shared by Lake Formation, the Glue catalogue and RAM. A resource always names the catalogue (account id) that owns it.
Sources: the Lake Formation developer guide, "Lake Formation permissions reference", and the service model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_aws.wire import AwsError

IAM_ALLOWED = "IAM_ALLOWED_PRINCIPALS"
"""The group of all principals of the owning account; with it, IAM alone decides."""

ALL_TABLES = "ALL_TABLES"
"""The table name that the API shows for a grant on every table of a database."""

DATABASE_PERMISSIONS = frozenset({"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"})
TABLE_PERMISSIONS = frozenset({"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT"})
LINK_PERMISSIONS = frozenset({"DESCRIBE", "DROP"})
CATALOG_PERMISSIONS = frozenset({"CREATE_DATABASE", "CREATE_LF_TAG", "CREATE_LF_TAG_EXPRESSION"})
LOCATION_PERMISSIONS = frozenset({"DATA_LOCATION_ACCESS"})
TAG_PERMISSIONS = frozenset({"ALTER", "DROP"})
TAG_VALUE_PERMISSIONS = frozenset({"ASSOCIATE", "DESCRIBE", "GRANT_WITH_LF_TAG_EXPRESSION"})
EXPRESSION_PERMISSIONS = frozenset({"ALTER", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"})


def invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", message)


def not_found(message: str) -> AwsError:
    return AwsError("EntityNotFoundException", message)


def denied(message: str) -> AwsError:
    return AwsError("AccessDeniedException", message)


def insufficient(permission: str, resource: str) -> AwsError:
    """The error of a call for which the caller lacks a Lake Formation permission on `resource`."""
    words = permission.replace("_", " ").title()
    return denied(f"Insufficient Lake Formation permission(s): Required {words} on {resource}")


def refused(message: str) -> AwsError:
    """Something AWS does and this local AWS does not: never answered with a guess."""
    return AwsError("LocalAwsNotSupported", message)


# -- catalogues and principals ----------------------------------------------------------------------------------


def catalog_of(caller: Any, catalog_id: str | None) -> str:
    """The catalogue that a call means: the caller's own unless `CatalogId` says another. InvalidInputException."""
    catalog = catalog_id or caller.account
    if not re.fullmatch(r"\d{12}", catalog):
        raise refused(f"CatalogId {catalog}: only the default catalogue of an account (12 digits) is built here")
    return catalog


def account_of(principal: str) -> str:
    """The account of a principal: of an IAM ARN, of `<account>:IAMPrincipals`, or of an account id itself. Of an
    organization or organizational unit none (""): the account in its ARN only manages it."""
    if is_organization(principal):
        return ""
    if principal.startswith("arn:"):
        return principal.split(":")[4]
    return principal.split(":")[0]


def is_account(principal: str) -> bool:
    return re.fullmatch(r"\d{12}", principal) is not None


def is_organization(principal: str) -> bool:
    """Whether it is the ARN of an organization or of an organizational unit, as Organizations and Lake Formation write
    their ids."""
    organization = r"arn:aws:organizations::\d{12}:(?:organization/o-[a-z0-9]{10,32}|ou/o-[a-z0-9]{10,32}/%s)"
    return re.fullmatch(organization % "ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}", principal) is not None


def group_of(account: str) -> str:
    """The group ALLIAMPrincipals of an account: every principal, held to Lake Formation and IAM alike."""
    return f"{account}:IAMPrincipals"


def principal_from_api(shape: dict[str, str]) -> str:
    """The principal that an API shape names. Existence is checked elsewhere.

    IAM users and roles, account ids, organizations and their units, IAM_ALLOWED_PRINCIPALS and
    `<account>:IAMPrincipals` are built; other documented principals are refused, and forms that AWS does not list are
    InvalidInputException.
    """
    principal = (shape or {}).get("DataLakePrincipalIdentifier", "")
    if principal.upper() == IAM_ALLOWED:
        return IAM_ALLOWED
    if is_account(principal) or is_organization(principal) or re.fullmatch(r"\d{12}:IAMPrincipals", principal):
        return principal
    if re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:(role|user)/[^*?]+", principal):
        return principal
    unbuilt = r"arn:aws[\w-]*:(quicksight|identitystore):.*|arn:aws[\w-]*:iam::\d{12}:saml-provider/.*"
    if re.fullmatch(unbuilt, principal):
        built = "IAM users and roles, accounts, their IAM groups, organizations and organizational units"
        raise refused(f"principal {principal}: only {built} are built here")
    raise invalid(f"Invalid principal: {principal or '(empty)'}")


# -- resources --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CatalogResource:
    catalog: str


@dataclass(frozen=True)
class DatabaseResource:
    catalog: str
    name: str


@dataclass(frozen=True)
class TableResource:
    """A table, or with name None every table of the database."""

    catalog: str
    database: str
    name: str | None


@dataclass(frozen=True)
class ColumnsResource:
    """SELECT on columns of a table (name None: of every table).

    `included` None means all columns but the `excluded`; with nothing excluded this is SELECT on the whole table, which
    is how Lake Formation keeps that permission.
    """

    catalog: str
    database: str
    name: str | None
    included: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()

    @property
    def filtered(self) -> bool:
        return self.included is not None or bool(self.excluded)


@dataclass(frozen=True)
class LocationResource:
    """An S3 path without scheme and trailing slash: `bucket/prefix`."""

    catalog: str
    path: str


@dataclass(frozen=True)
class TagResource:
    """One value of an LF-Tag, or `*` for all of them."""

    catalog: str
    key: str
    value: str


Expression = tuple[tuple[str, frozenset[str]], ...]
"""Keys that are ANDed, each with values that are ORed; folded and sorted, so that equal ones are identical."""


@dataclass(frozen=True)
class PolicyResource:
    """An LF-Tag expression over DATABASE or TABLE resources of a catalogue: inline, or that of a name (`named`), whose
    body may change."""

    catalog: str
    kind: str
    expression: Expression
    named: str | None = None


@dataclass(frozen=True)
class ExpressionResource:
    """A named LF-Tag expression itself."""

    catalog: str
    name: str


Resource = (
    CatalogResource
    | DatabaseResource
    | TableResource
    | ColumnsResource
    | LocationResource
    | TagResource
    | PolicyResource
    | ExpressionResource
)


@dataclass(frozen=True)
class Grant:
    """What one account's grantors gave one principal on one resource.

    `grantor` is the account that granted: the owner of the catalogue, or a consumer that regrants what it was given.
    `by` is the principal that made the last change, at `updated`. `void` marks an LF-Tag policy whose tag was deleted.
    """

    principal: str
    resource: Resource
    permissions: frozenset[str]
    grantable: frozenset[str]
    grantor: str
    updated: datetime
    by: str
    void: bool = False


def expression_from_api(conditions: list[dict[str, Any]]) -> Expression:
    """A folded expression. InvalidInputException for none, or a repeated key."""
    if not conditions:
        raise invalid("LF-Tag expression is empty")
    expression: dict[str, frozenset[str]] = {}
    for condition in conditions:
        key = condition["TagKey"].lower()
        values = frozenset(value.lower() for value in condition["TagValues"])
        if key in expression:
            raise invalid(f"LF-Tag key {key} is repeated in the expression")
        expression[key] = values
    return tuple(sorted(expression.items()))


def expression_to_api(expression: Expression) -> list[dict[str, Any]]:
    """The Expression shape of an expression."""
    return [{"TagKey": key, "TagValues": sorted(values)} for key, values in expression]


def s3_path(arn_or_url: str) -> str:
    """`bucket/prefix` of an S3 ARN or URL, without a trailing slash. InvalidInputException for anything else."""
    found = re.fullmatch(r"(?:arn:aws[\w-]*:s3:::|s3[an]?://)([^/*]+(?:/.*)?)", arn_or_url)
    if not found:
        raise invalid(f"not an Amazon S3 location: {arn_or_url}")
    return found[1].rstrip("/")


def is_below(path: str, prefix: str) -> bool:
    """Whether an S3 path is `prefix` or lies below it."""
    return path == prefix or path.startswith(prefix + "/")


def resource_member(shape: dict[str, Any]) -> str:
    """The one member of a Resource shape that is set. InvalidInputException if not exactly one is."""
    if len(shape) != 1:
        raise invalid(f"Resource must have exactly one member, not {len(shape)}: {', '.join(sorted(shape))}")
    (member,) = shape
    return member


def table_from_api(shape: dict[str, Any], catalog: str) -> TableResource:
    """A Table shape; with TableWildcard, or the name ALL_TABLES that lists show for it, every table."""
    owner, database, name = shape.get("CatalogId") or catalog, shape["DatabaseName"].lower(), shape.get("Name")
    wildcard = shape.get("TableWildcard") is not None
    if name == ALL_TABLES:
        name, wildcard = None, True
    if bool(name) == wildcard:
        raise invalid("Table needs either Name or TableWildcard")
    return TableResource(owner, database, None if wildcard else name.lower())


def columns_from_api(shape: dict[str, Any], catalog: str) -> ColumnsResource:
    """A TableWithColumns shape."""
    names, wildcard = shape.get("ColumnNames"), shape.get("ColumnWildcard")
    if bool(names) == (wildcard is not None):
        raise invalid("TableWithColumns needs either ColumnNames or ColumnWildcard")
    table = None if shape["Name"] == ALL_TABLES else shape["Name"].lower()
    if table is None and (names or wildcard.get("ExcludedColumnNames")):
        raise invalid("columns of all tables cannot be listed")
    owner, database = shape.get("CatalogId") or catalog, shape["DatabaseName"].lower()
    if names:
        return ColumnsResource(owner, database, table, frozenset(names))
    return ColumnsResource(owner, database, table, None, frozenset(wildcard.get("ExcludedColumnNames") or ()))


def policy_from_api(shape: dict[str, Any], catalog: str) -> PolicyResource:
    """An LFTagPolicy shape, with an expression or the name of one. InvalidInputException for both."""
    owner, name = shape.get("CatalogId") or catalog, shape.get("ExpressionName")
    if name and shape.get("Expression"):
        raise invalid("LFTagPolicy takes either Expression or ExpressionName")
    if name:
        return PolicyResource(owner, shape["ResourceType"], (), name)
    return PolicyResource(owner, shape["ResourceType"], expression_from_api(shape.get("Expression") or []))


def resource_to_api(resource: Resource, values: Iterable[str] = ()) -> dict[str, Any]:
    """The Resource shape of a resource. `values`: the values to show for an LF-Tag, by default its own one."""
    match resource:
        case CatalogResource(catalog):
            return {"Catalog": {"Id": catalog}}
        case DatabaseResource(catalog, name):
            return {"Database": {"CatalogId": catalog, "Name": name}}
        case TableResource(catalog, database, None):
            table = {"CatalogId": catalog, "DatabaseName": database, "Name": ALL_TABLES, "TableWildcard": {}}
            return {"Table": table}
        case TableResource(catalog, database, name):
            return {"Table": {"CatalogId": catalog, "DatabaseName": database, "Name": name}}
        case ColumnsResource(catalog, database, name, included, excluded):
            table = {"CatalogId": catalog, "DatabaseName": database, "Name": name or ALL_TABLES}
            if included is not None:
                return {"TableWithColumns": {**table, "ColumnNames": sorted(included)}}
            wildcard = {"ExcludedColumnNames": sorted(excluded)} if excluded else {}
            return {"TableWithColumns": {**table, "ColumnWildcard": wildcard}}
        case LocationResource(catalog, path):
            return {"DataLocation": {"CatalogId": catalog, "ResourceArn": f"arn:aws:s3:::{path}"}}
        case TagResource(catalog, key, value):
            return {"LFTag": {"CatalogId": catalog, "TagKey": key, "TagValues": sorted(values) or [value]}}
        case PolicyResource(catalog, kind, _, str(named)):
            return {"LFTagPolicy": {"CatalogId": catalog, "ResourceType": kind, "ExpressionName": named}}
        case PolicyResource(catalog, kind, expression):
            written = expression_to_api(expression)
            return {"LFTagPolicy": {"CatalogId": catalog, "ResourceType": kind, "Expression": written}}
        case ExpressionResource(catalog, name):
            return {"LFTagExpression": {"CatalogId": catalog, "Name": name}}


def describe(resource: Resource) -> str:
    """A resource in the words of an error message."""
    match resource:
        case CatalogResource():
            return "Catalog"
        case DatabaseResource(_, name) | TableResource(_, _, str(name)) | ColumnsResource(_, _, str(name)):
            return name
        case TableResource(_, database) | ColumnsResource(_, database):
            return f"all tables of {database}"
        case LocationResource(_, path):
            return f"s3://{path}"
        case TagResource(_, key, value):
            return f"LF-Tag {key}={value}"
        case PolicyResource(_, kind, _, str(named)):
            return f"{kind.lower()}s with LF-Tag expression {named}"
        case ExpressionResource(_, name):
            return f"LF-Tag expression {name}"
        case PolicyResource(_, kind, expression):
            terms = " and ".join(f"{key} in ({', '.join(sorted(values))})" for key, values in expression)
            return f"{kind.lower()}s with {terms}"
