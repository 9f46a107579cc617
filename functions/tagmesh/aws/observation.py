"""Looking at a mesh: what `tagmesh.access` answers from, read through clients of the accounts. Changes nothing.

What a question needs is read and no more: the databases that it is about, the accounts of those it is about. Grants are
listed whole and filtered here: lists by principal come back empty for some kinds of principals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tagmesh import access
from tagmesh.aws import glue, lakeformation
from tagmesh.aws import principals as iam_principals
from tagmesh.catalog import Table, from_glue
from tagmesh.governance import Expression, Governance
from tagmesh.grants import Grant, from_api, is_recipient
from tagmesh.observed import Account, Database, Link, Location, Need, Observed, OptIn, Tagged, Who

#: service -> client, in one account.
Clients = Callable[[str], Any]


class NotThere(Exception):
    """The central catalogue has no database of a name; the text says which."""


class NotReachable(Exception):
    """Nobody of ours can look into an account; the text says why."""


def observe(
    governance: Governance,
    central: str,
    region: str,
    clients_in: Callable[[str], Clients],
    databases: Iterable[str],
    accounts: Iterable[str],
    table: str | None = None,
    skip: bool = False,
) -> Observed:
    """A mesh as far as some databases and accounts go; of the databases all tables, or the one of a name.

    Args:
        clients_in: account -> what makes its clients. An account but the central one for which it raises NotReachable,
            or whose calls are refused, is one that could not be looked at.
        skip: databases that are not there yet are left out.

    Raises:
        NotThere: one of the databases is not in the central catalogue.
    """
    clients = clients_in(central)
    lf = clients("lakeformation")
    settings = lf.get_data_lake_settings()["DataLakeSettings"]
    seen, tables = {}, {}
    for name in databases:
        try:
            seen[name], of_database = _database(clients, name, table)
        except NotThere:
            if not skip:
                raise
            continue
        tables |= {(name, each.table.name): each for each in of_database}
    at_home = _account(clients, central, central)
    named = any("ExpressionName" in grant.resource.body for grant in at_home.grants)
    foreign = {each for each in accounts if each != central}
    return Observed(
        central=central,
        region=region,
        governance=governance,
        databases=seen,
        tables=tables,
        accounts={central: at_home, **{each: _elsewhere(clients_in, each, central) for each in sorted(foreign)}},
        shares=_shares(clients("ram")),
        version=int(settings.get("Parameters", {}).get("CROSS_ACCOUNT_VERSION", "1")),
        locations=_locations(lf),
        buckets={product.bucket: product.account for product in governance.data_products},
        opt_ins=frozenset(_opt_ins(lf)),
        expressions=expressions(lf, central) if named else {},
    )


def with_iam(observed: Observed, people: Iterable[Who], clients_in: Callable[[str], Clients]) -> Observed:
    """The same, with what IAM allows people of what the observed tables ask for."""
    allowed = dict(observed.allowed)
    for who in people:
        if who.arn is None or not who.arn.startswith("arn:"):
            continue
        needs: set[Need] = set()
        for database, table in observed.tables:
            of_table, workgroups = access.iam_needs(observed, who.arn, database, table)
            needs |= {*of_table, *(need for group in workgroups for need in group)}
        try:
            said = iam_principals.allowed(clients_in(who.account)("iam"), who.arn, needs)
        except (NotReachable, *_errors()):
            continue  # what could not be asked is unknown, and the answer says so
        allowed[who.arn] = said
    return replace(observed, allowed=allowed)


def _errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


# ── The central catalogue ─────────────────────────────────────────────────────────────────────────────────────────


def _database(clients: Clients, name: str, table: str | None) -> tuple[Database, list[Tagged]]:
    catalogue, lf = clients("glue"), clients("lakeformation")
    found = glue.database(catalogue, name)
    if found is None or "TargetDatabase" in found:
        raise NotThere(f"the central catalogue has no database {name} yet: its first crawl makes it")
    pages = catalogue.get_paginator("get_tables").paginate(DatabaseName=name)
    shapes = [shape for page in pages for shape in page["TableList"] if "TargetTable" not in shape]
    tables: list[Table] = [from_glue(shape) for shape in shapes]
    places = {each.name: each.location for each in tables}
    seen = Database(lakeformation.tags_of_database(lf, name), found.get("LocationUri", ""), places)
    wanted = [each for each in tables if table in (None, each.name)]
    return seen, [Tagged(each, lakeformation.tags_of(lf, each)) for each in wanted]


def _locations(lf: Any) -> dict[str, Location]:
    found = {}
    for each in pages(lf.list_resources, "ResourceInfoList"):
        path = each["ResourceArn"].partition(":::")[2].rstrip("/")
        found[path] = Location(each.get("RoleArn", ""), bool(each.get("HybridAccessEnabled")))
    return found


def _opt_ins(lf: Any) -> Iterator[OptIn]:
    for each in pages(lf.list_lake_formation_opt_ins, "LakeFormationOptInsInfoList"):
        principal, resource = each["Principal"]["DataLakePrincipalIdentifier"], each["Resource"]
        if "Database" in resource:
            yield OptIn(principal, resource["Database"]["Name"].lower())
        elif "Table" in resource:
            named = resource["Table"]
            every = named.get("TableWildcard") is not None or named.get("Name") == "ALL_TABLES"
            yield OptIn(principal, named["DatabaseName"].lower(), "*" if every else named["Name"].lower())


def expressions(lf: Any, central: str) -> dict[str, Expression]:
    """The LF-Tag expressions that are saved in the central catalogue, by name."""
    found = {}
    for each in pages(lf.list_lf_tag_expressions, "LFTagExpressions", CatalogId=central):
        found[each["Name"]] = tuple(
            (pair["TagKey"].lower(), tuple(value.lower() for value in pair["TagValues"])) for pair in each["Expression"]
        )
    return found


def _shares(ram: Any) -> dict[tuple[str, str], str]:
    """(whom the account shares with, database or table) -> the best status of its shares, which are asked for as their
    owner. [RAM API reference, GetResourceShareAssociations]"""
    kinds: dict[str, set[str]] = {}
    for page in ram.get_paginator("list_resources").paginate(resourceOwner="SELF"):
        for resource in page["resources"]:
            kinds.setdefault(resource["resourceShareArn"], set()).add(resource["type"].partition(":")[2].lower())
    found: dict[tuple[str, str], str] = {}
    pages = ram.get_paginator("get_resource_share_associations").paginate(associationType="PRINCIPAL")
    for each in (each for page in pages for each in page["resourceShareAssociations"]):
        for kind in kinds.get(each["resourceShareArn"], ()):
            at = (each["associatedEntity"], kind)
            found[at] = min(found.get(at, each["status"]), each["status"], key=_rank)
    return found


def _rank(status: str) -> int:
    return {"ASSOCIATED": 0, "ASSOCIATING": 1}.get(status, 2)


# ── Accounts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _elsewhere(clients_in: Callable[[str], Clients], account: str, central: str) -> Account:
    try:
        return _account(clients_in(account), account, central)
    except (NotReachable, *_errors()) as error:
        return Account(account, problem=str(error))


def _account(clients: Clients, account: str, central: str) -> Account:
    lf = clients("lakeformation")
    settings = lf.get_data_lake_settings()["DataLakeSettings"]
    admins = [*settings.get("DataLakeAdmins", ()), *settings.get("ReadOnlyAdmins", ())]
    links = tuple(_link(each) for each in glue.databases(clients("glue")).values())
    has_default = any(link.name == "default" and not link.catalog for link in links)
    foreign = list(lakeformation.permissions(lf, CatalogId=central)) if account != central else []
    granted = {row["Principal"]["DataLakePrincipalIdentifier"] for row in foreign}
    groups = pages(clients("athena").list_work_groups, "WorkGroups")
    return Account(
        account,
        links=links,
        grants=tuple(grants_of(lf, account)),
        regrants=tuple(_grants_in(foreign, central, account)),
        units=frozenset(each for each in granted if ":organizations:" in each),
        administrators=frozenset(each["DataLakePrincipalIdentifier"] for each in admins),
        default_tags=lakeformation.tags_of_database(lf, "default") if has_default else {},
        workgroups=tuple(each["Name"] for each in groups if each.get("State", "ENABLED") == "ENABLED"),
    )


def _link(database: Mapping[str, Any]) -> Link:
    target = database.get("TargetDatabase") or {}
    return Link(database["Name"].lower(), target.get("CatalogId", ""), target.get("DatabaseName", "").lower())


def grants_of(lf: Any, catalog: str, by_account: str | None = None) -> Iterator[Grant]:
    """The explicit grants on a catalogue's resources; or of them those that another account has passed on to its own
    principals: what that account was granted itself comes with the share that carries it.
    [Lake Formation API reference, PrincipalResourcePermissions, AdditionalDetails]"""
    return _grants_in(lakeformation.permissions(lf, CatalogId=catalog), catalog, by_account)


def _grants_in(rows: Iterable[Mapping[str, Any]], catalog: str, by_account: str | None) -> Iterator[Grant]:
    for row in rows:
        principal = row["Principal"]["DataLakePrincipalIdentifier"]
        if by_account is not None:
            shared = (row.get("AdditionalDetails") or {}).get("ResourceShare")
            if shared or is_recipient(principal):
                continue
        yield from_api(row, catalog)


def pages(operation: Callable[..., Any], member: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
    """The members of all pages of an operation that goes on with NextToken."""
    page: Mapping[str, Any] = {}
    while True:
        more = {"NextToken": page["NextToken"]} if page else {}
        page = operation(**asked, **more)
        yield from page.get(member, ())
        if not page.get("NextToken"):
            return
