"""What each principal can query: asked of Athena as that principal, and compared with what the tags say."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from tagmesh import workgroups
from tagmesh.catalog import AssignedTags, Table, from_glue, tags_from_api
from tagmesh.governance import EVERYBODY, Governance, Subscription

from cli.athena_client import Answer, QueryFailed, QueryRefused, query, quoted
from cli.demo_accounts import Identity, Person
from cli.demo_report import Access, CatalogColumn, CatalogTable, Failure, Refusal

PRINCIPALS_AT_ONCE = 4


# ── The central catalogue ───────────────────────────────────────────────────────────────────────────────────


def read_catalogue(reader: Identity) -> list[CatalogTable]:
    """Every table of the central catalogue, sorted, with the LF-Tags in effect; links are left out."""
    glue, lakeformation = reader.client("glue"), reader.client("lakeformation")
    tables = []
    for database in _pages(glue, "get_databases", "DatabaseList"):
        if "TargetDatabase" in database:
            continue
        for shape in _pages(glue, "get_tables", "TableList", DatabaseName=database["Name"]):
            if "TargetTable" not in shape:
                tables.append(_catalog_table(lakeformation, from_glue(shape)))
    return sorted(tables, key=lambda table: (table.database, table.table))


def _catalog_table(lakeformation: Any, table: Table) -> CatalogTable:
    resource = {"Table": {"DatabaseName": table.database, "Name": table.name}}
    assigned = tags_from_api(lakeformation.get_resource_lf_tags(Resource=resource))

    def tagged(columns: Iterable[Any]) -> tuple[CatalogColumn, ...]:
        return tuple(CatalogColumn(c.name, c.type, _pairs(assigned, c.name)) for c in columns)

    return CatalogTable(table.database, table.name, table.location, tagged(table.partition_keys), tagged(table.columns))


def _pairs(assigned: AssignedTags, column: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(assigned.effective(column).items()))


def _pages(client: Any, operation: str, member: str, **arguments: Any) -> Iterable[Mapping[str, Any]]:
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page[member]


# ── What a principal can query ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Answers:
    """What was asked and how it went."""

    access: tuple[Access, ...]
    refused: tuple[Refusal, ...]
    failures: tuple[Failure, ...]


def ask_everyone(people: list[Person], tables: list[CatalogTable], governance: Governance, central: str) -> Answers:
    """Ask for every table as every principal; in the order of the people, then of the tables."""
    with ThreadPoolExecutor(PRINCIPALS_AT_ONCE) as pool:
        answers = list(pool.map(lambda person: _ask(person, tables, governance, central), people))
    return Answers(
        tuple(access for answer in answers for access in answer.access),
        tuple(refusal for answer in answers for refusal in answer.refused),
        tuple(failure for answer in answers for failure in answer.failures),
    )


def as_in_force(people: Iterable[Person], governance: Governance) -> list[Person]:
    """The people with the subscriptions in force: what waits for approval, or has expired, gives them nothing."""
    return [replace(person, consumer=governance.consumer(person.consumer.unit)) for person in people]


def _ask(person: Person, tables: list[CatalogTable], governance: Governance, central: str) -> Answers:
    names = _visible_databases(person, central)
    workgroup = workgroups.of_principal(governance, person.consumer.account, person.principal, central)
    ask = partial(query, person.identity.client("athena"), workgroup=workgroup)
    access: list[Access] = []
    refused: list[Refusal] = []
    failures: list[Failure] = []
    for table in tables:
        database = names.get(table.database, table.database)
        try:
            columns, rows, refusals = _ask_table(ask, database, table)
        except (QueryFailed, QueryRefused, ClientError) as error:
            failures.append(Failure("query", _subject(person, table), str(error)))
            continue
        if columns:
            access.append(Access(*_who(person), table.database, table.table, columns, rows))
        defaults = frozenset((key.name, key.default) for key in governance.lf_tags)
        refused += _refusals(person, table, refusals, defaults)
        failures += _contradictions(person, table, columns)
    return Answers(tuple(access), tuple(refused), tuple(failures))


def _visible_databases(person: Person, central: str) -> dict[str, str]:
    """Central database -> the name under which this principal sees it: a resource link, or itself at home."""
    databases = _pages(person.identity.client("glue"), "get_databases", "DatabaseList")
    names = {}
    for database in databases:
        target = database.get("TargetDatabase") or {}
        if target.get("CatalogId") == central:
            names[target["DatabaseName"]] = database["Name"]
        elif person.consumer.account == central:
            names[database["Name"]] = database["Name"]
    return names


def _ask_table(
    ask: Callable[[str, str], Answer], database: str, table: CatalogTable
) -> tuple[tuple[str, ...], int, dict[str, QueryRefused]]:
    """The readable columns, the number of rows, and why each other column was refused.

    Raises QueryFailed for any other failure, also for a column that answers though SELECT * does not show it.
    """
    source = f"{quoted(database)}.{quoted(table.table)}"
    try:
        columns = ask(f"SELECT * FROM {source} LIMIT 0", database).columns
    except QueryRefused as refusal:
        return (), 0, {column.name: refusal for column in table.all_columns}
    rows = int(ask(f"SELECT COUNT(*) FROM {source}", database).rows[0][0])
    refusals = {}
    for column in table.all_columns:
        if column.name in columns:
            continue
        try:
            ask(f"SELECT {quoted(column.name)} FROM {source} LIMIT 1", database)
        except QueryRefused as refusal:
            refusals[column.name] = refusal
        else:
            raise QueryFailed(f"column {column.name} is not in SELECT * and yet it can be selected")
    return columns, rows, refusals


# ── What the tags say ───────────────────────────────────────────────────────────────────────────────────────


def _refusals(
    person: Person,
    table: CatalogTable,
    refusals: Mapping[str, QueryRefused],
    defaults: frozenset[tuple[str, str]],
) -> list[Refusal]:
    """The refused columns, those with the same reason together, in the table's order; a whole table in one."""
    readings = _readings(person)
    if refusals and len(refusals) == len(table.all_columns):
        code = next(iter(refusals.values())).code
        groups = {f"{code}: {why_closed(table.all_columns, readings, defaults)}": list(refusals)}
    else:
        groups: dict[str, list[str]] = {}
        for column in table.all_columns:
            if column.name in refusals:
                reason = f"{refusals[column.name].code}: {why_closed([column], readings, defaults)}"
                groups.setdefault(reason, []).append(column.name)
    return [
        Refusal(*_who(person), table.database, table.table, tuple(columns), reason)
        for reason, columns in groups.items()
    ]


def why_closed(
    columns: Iterable[CatalogColumn],
    subscriptions: Iterable[Subscription],
    defaults: frozenset[tuple[str, str]],
) -> str:
    """Which tags of some columns, all of which are closed, the nearest of some subscriptions does not reach."""
    columns = list(columns)
    distances = []
    for subscription in subscriptions:
        out_of_reach = [_out_of_reach(column, subscription) for column in columns]
        if not all(out_of_reach):
            return f"{subscription.name} reaches the tags of this"
        everywhere = [tag for tag in out_of_reach[0] if all(tag in tags for tags in out_of_reach)]
        of_database = dict(subscription.database_expression)
        other_database = any(key in of_database for tags in out_of_reach for key, _ in tags)
        distances.append((other_database, len(everywhere), subscription.name, everywhere))
    if not distances:
        return "no subscription lets this principal select anything"
    *_, nearest, tags = min(distances)
    named = [f"{key}={value}" + (" (nobody classified it)" if (key, value) in defaults else "") for key, value in tags]
    return f"{nearest} does not reach {', '.join(named) or 'the tags of any of its columns'}"


def _out_of_reach(column: CatalogColumn, subscription: Subscription) -> list[tuple[str, str]]:
    tags = dict(column.lf_tags)
    return [(key, tags.get(key, "")) for key, values in subscription.table_expression if tags.get(key) not in values]


def _contradictions(person: Person, table: CatalogTable, columns: tuple[str, ...]) -> list[Failure]:
    """Where what Athena gives is not what the tags and the subscriptions say: always a defect."""
    open_by_tags = {
        column.name
        for column in table.all_columns
        if any(not _out_of_reach(column, subscription) for subscription in _readings(person))
    }
    failures = []
    if leaked := sorted(set(columns) - open_by_tags):
        failures.append(f"can be read though no subscription reaches them: {', '.join(leaked)}")
    if missing := sorted(open_by_tags - set(columns)):
        failures.append(f"cannot be read though a subscription reaches them: {', '.join(missing)}")
    return [Failure("query", _subject(person, table), message) for message in failures]


def _readings(person: Person) -> list[Subscription]:
    return [
        subscription
        for subscription in person.consumer.subscriptions
        if {person.principal, EVERYBODY} & {*subscription.principals} and "SELECT" in subscription.permissions
    ]


def _who(person: Person) -> tuple[str, str, str, str]:
    principal = person.principal
    return person.consumer.name, person.consumer.account, principal.kind, principal.name


def _subject(person: Person, table: CatalogTable) -> str:
    return f"{person.consumer.name}/{person.principal.name} on {table.database}.{table.table}"
