"""What a governance version would change in a mesh as it is: tags, grants, links, and who can read what. Pure.

The mesh as it is: its tables with the LF-Tags that they carry, whatever the files say. What the version decides is
decided as the pipeline does it, so that a preview and what then happens cannot differ for the same catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from tagmesh import plan
from tagmesh.catalog import AssignedTags, Finding, Table
from tagmesh.expressions import Readable, database_tags, readable
from tagmesh.governance import EVERYBODY, Consumer, Governance, Principal, Subscription
from tagmesh.grants import Grant, Revoke, diff
from tagmesh.plan import AssignTags
from tagmesh.resolution import TableDecision
from tagmesh.rules import decide

#: Seconds a call of a plan takes where Lake Formation takes five writes a second and nothing else is at it.
SECONDS_A_WRITE = 0.2
BATCH = 20  # grants or revokes a call
TABLES_A_CALL = 100  # that are deleted

Decide = Callable[..., TableDecision]


@dataclass(frozen=True)
class ColumnChange:
    """A column that somebody gains or loses; ``because`` tells why it carries the tags that it then has, ``raised``
    that a rule raised it: what it holds is about people."""

    name: str
    tags: tuple[tuple[str, str], ...]
    because: str = ""
    raised: bool = False


@dataclass(frozen=True)
class AccessChange:
    """What one principal gains and loses in one table."""

    consumer: str
    account: str
    principal: Principal
    database: str
    table: str
    gained: tuple[ColumnChange, ...]
    lost: tuple[ColumnChange, ...]


@dataclass(frozen=True)
class Made:
    """What was made for a data product and is there: ``crawlers`` by name, ``locations`` as ``s3://bucket/folder``, its
    ``database`` ("" where it is gone; ``owns_database``: we made it). Its tables are those that ``crawler`` made."""

    crawler: str
    database: str
    owns_database: bool
    crawlers: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Removal:
    """What is taken back of a data product that leaves the files, or that they drop (``dropped``): of what was made for
    it the ``crawlers`` and registered ``locations`` that no other needs; and of one that is dropped its ``tables``, and
    its ``database``, but for ``kept`` tables, which no crawl of ours made, and which keep their database
    (``keeps_database``: as one that was there before stays)."""

    unit: str
    database: str
    dropped: bool
    crawlers: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    keeps_database: bool = True

    @property
    def calls(self) -> int:
        """Writing calls: a crawler with its classifier and its grant; tables, 100 a call; a location and its grant."""
        deleted = -(-len(self.tables) // TABLES_A_CALL) + (not self.keeps_database)
        return 3 * len(self.crawlers) + deleted + 2 * len(self.locations)


@dataclass(frozen=True)
class Preview:
    """``tags``: the calls that assign LF-Tags, in order; ``grants``: what is granted and revoked, of the two versions;
    ``links`` and ``unlinks``: resource links that come and go, as ``account/name``; ``removals``: what is taken back of
    data products that leave or are dropped, those first; ``access``: what opens first;
    ``findings``: what decisions would report; ``tables``: how many there are."""

    tags: tuple[AssignTags, ...] = ()
    grants: tuple[Grant | Revoke, ...] = ()
    links: tuple[str, ...] = ()
    unlinks: tuple[str, ...] = ()
    access: tuple[AccessChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    tables: int = 0
    removals: tuple[Removal, ...] = ()

    @property
    def calls(self) -> int:
        """Writing calls: grants go in batches, an account's revokes and grants apart."""
        batches = {(type(each), each.principal) for each in self.grants}
        full = sum(-(-sum((type(e), e.principal) == batch for e in self.grants) // BATCH) for batch in batches)
        removing = sum(each.calls for each in self.removals)
        return len(self.tags) + full + len(self.links) + len(self.unlinks) + removing

    @property
    def seconds(self) -> float:
        """What the calls take at least."""
        return self.calls * SECONDS_A_WRITE


def preview(
    now: Governance | None,
    new: Governance,
    mesh: Iterable[tuple[Table, AssignedTags]],
    central: str,
    *,
    content: Mapping[tuple[str, str], Mapping[str, Collection[str]]] | None = None,
    closed: Mapping[tuple[str, str], str] = {},
    made: Mapping[str, Made] | None = None,
    today: str | None = None,
) -> Preview:
    """What changes when ``new`` takes the place of ``now`` (None: no version is in force).

    Args:
        mesh: every table of the mesh's databases with the tags that it carries.
        central: the central account.
        content: (database, table) -> what samples of its content showed, as ``rules.decide`` takes it.
        closed: (database, table) -> why it is closed whatever the rules say.
        made: data product unit -> what was made for it, of those that are not in ``new``.
        today: the day that expiries are held against, as ``rules.decide`` takes it.
    """
    mesh = list(mesh)
    by_database: dict[str, list[tuple[Table, AssignedTags]]] = {}
    for table, tags in mesh:
        by_database.setdefault(table.database, []).append((table, tags))
    after: list[tuple[Table, AssignedTags]] = []
    decisions: dict[tuple[str, str], TableDecision] = {}
    actions: list[AssignTags] = []
    findings: list[Finding] = []
    for database, tables in sorted(by_database.items()):
        product = new.data_product_of_database(database)
        if product is None:  # it leaves the files: its database closes, and with it what its own keys opened
            closed = {key.name: key.default for key in new.lf_tags}
            after += [(table, AssignedTags(closed, {}, _own(tags))) for table, tags in tables]
            continue
        decided = [
            decide(
                new,
                product,
                table,
                today=today,
                content=(content or {}).get((database, table.name)),
                closed=closed.get((database, table.name), ""),
            )
            for table, _ in tables
        ]
        observed = {table.name: tags for table, tags in tables}
        actions += plan.plan_tags(new, product, dict(tables[0][1].database), observed, decided)
        resting = database_tags(new, product)
        for (table, _), decision in zip(tables, decided, strict=True):
            decisions[database, table.name] = decision
            findings += decision.findings
            after.append((table, AssignedTags(resting, {}, {name: decision.tags(name) for name in decision.columns})))
    databases = sorted(by_database)
    before, then = (_granted(each, central, databases) for each in (now, new))
    links, wanted = ({link for _, found in each for link in found} for each in (before, then))
    granted, to_grant = ([grant for found, _ in each for grant in found] for each in (before, then))
    return Preview(
        tuple(actions),
        tuple(diff(to_grant, granted, granted)),
        tuple(sorted(wanted - links)),
        tuple(sorted(links - wanted)),
        tuple(_changes(now, new, mesh, after, decisions)),
        tuple(findings),
        len(mesh),
        tuple(_removals(new, by_database, made or {})),
    )


def _removals(
    new: Governance, by_database: Mapping[str, list[tuple[Table, AssignedTags]]], made: Mapping[str, Made]
) -> list[Removal]:
    """As removal.py carries it out. Of whom nothing was made, or is left, nothing is taken back."""
    needed = {product.location.rstrip("/") for product in new.data_products}
    found = []
    for unit, each in made.items():
        dropped = unit in new.dropped
        if new.data_product(unit) or not (each.crawlers or each.locations or (dropped and each.database)):
            continue
        tables = [table for table, _ in by_database.get(each.database, ())] if dropped else []
        ours = tuple(table.name for table in tables if table.crawler == each.crawler)
        kept = tuple(table.name for table in tables if table.name not in ours)
        locations = tuple(location for location in each.locations if location not in needed)
        keeps = not dropped or not each.owns_database or bool(kept)
        found.append(Removal(unit, each.database, dropped, each.crawlers, locations, ours, kept, keeps))
    return sorted(found, key=lambda removal: (not removal.dropped, removal.unit))


def _granted(
    governance: Governance | None, central: str, databases: Collection[str]
) -> list[tuple[list[Grant], list[str]]]:
    """For each consuming account what a version grants there and to it, and its links. Principals stand by name."""
    found = []
    for account in sorted({consumer.account for consumer in governance.consumers}) if governance else ():
        named = {p for consumer in governance.consumers if consumer.account == account for p in consumer.principals}
        in_account = plan.plan_principal_grants(
            governance,
            account,
            central,
            principals={p: _called(account, p) for p in named},
            databases=databases,
            catalog=[plan.Link("default")],
            observed=[],
            made=[],
            made_links=[],
        )
        grants = [action for action in in_account.actions if isinstance(action, Grant)]
        links = [f"{account}/{action.name}" for action in in_account.actions if isinstance(action, plan.CreateLink)]
        found.append((grants, links))
    for recipient in sorted({consumer.recipient for consumer in governance.consumers}) if governance else ():
        granted = plan.plan_account_grants(governance, [recipient], central, [], [])
        found.append(([action for action in granted if isinstance(action, Grant)], []))
    return found


def _called(account: str, principal: Principal) -> str:
    if principal == EVERYBODY:
        return f"{account}:{principal.name}"
    return f"arn:aws:iam::{account}:{principal.kind.replace('permission_set', 'role')}/{principal.name}"


def _own(tags: AssignedTags) -> dict[str, dict[str, str]]:
    """The values that columns carry themselves, as far as they can be told from inherited ones."""
    inherited = tags.effective_table
    return {
        column: {key: value for key, value in own.items() if value != inherited.get(key)}
        for column, own in tags.columns.items()
    }


def _changes(
    now: Governance | None,
    new: Governance,
    before: list[tuple[Table, AssignedTags]],
    after: list[tuple[Table, AssignedTags]],
    decisions: Mapping[tuple[str, str], TableDecision],
) -> list[AccessChange]:
    carried = {(table.database, table.name): tags for table, tags in before}
    found = []
    for who, consumer in sorted({**_principals(now), **_principals(new)}.items()):
        name, principal = who
        reads = readable(before, _subscriptions(now, name, principal))
        will_read = readable(after, _subscriptions(new, name, principal))
        for database, table in sorted(_tables(reads) | _tables(will_read)):
            had = reads.get(database, {}).get(table, frozenset())
            has = will_read.get(database, {}).get(table, frozenset())
            if had == has:
                continue
            decision = decisions.get((database, table))
            tags = carried[database, table]
            gained = tuple(_column(name, tags, decision) for name in sorted(has - had))
            lost = tuple(_column(name, tags, decision) for name in sorted(had - has))
            found.append(AccessChange(name, consumer.account, principal, database, table, gained, lost))
    # What opens comes first, and of that what is about people.
    return sorted(found, key=lambda change: (not any(c.raised for c in change.gained), not change.gained))


def _column(name: str, tags: AssignedTags, decision: TableDecision | None) -> ColumnChange:
    if decision is None or name not in decision.columns:
        return ColumnChange(name, tuple(sorted(tags.effective(name).items())))
    decided = decision.columns[name]
    because = "; ".join(dict.fromkeys(each.because for each in decided.values()))
    raised = any(each.outcome == "raised" for each in decided.values())
    return ColumnChange(name, tuple((key, each.value) for key, each in decided.items()), because, raised)


def _principals(governance: Governance | None) -> dict[tuple[str, Principal], Consumer]:
    consumers = governance.consumers if governance else ()
    return {(consumer.name, principal): consumer for consumer in consumers for principal in consumer.principals}


def _subscriptions(governance: Governance | None, consumer: str, principal: Principal) -> list[Subscription]:
    found = governance.consumer(f"consumer/{consumer}") if governance else None
    return [each for each in found.subscriptions if principal in each.principals] if found else []


def _tables(reads: Readable) -> set[tuple[str, str]]:
    return {(database, table) for database, tables in reads.items() for table in tables}
