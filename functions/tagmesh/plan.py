"""What to do: (desired, observed) -> actions, in an order that is safe after every single one. Pure.

Lake Formation reports failures per tag inside one answer, so a call that moves two keys may have moved one. A
plan is therefore safe only if every mixture of old and new is. It holds that of each column every state on the
way is its old one, its final one, or *closed*: some key at its default, which no subscription names (or without
a value, which no expression matches). Nothing is assumed about which expressions are granted, so this also
holds against grants that an older governance version left.

Within a phase the calls may be any, in any order (``rectangles.py`` finds the fewest): each column there is closed
until its last tag.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tagmesh.catalog import AssignedTags, Finding
from tagmesh.expressions import database_tags, sees_database
from tagmesh.governance import Consumer, DataProduct, Governance, LFTagKey, Principal, Subscription
from tagmesh.grants import Grant, Resource, Revoke, database, diff, from_api, lf_tag, tag_policy, to_api
from tagmesh.rectangles import rectangles
from tagmesh.resolution import Decision, TableDecision
from tagmesh.workgroups import Action as WorkgroupAction

__all__ = [
    "AssignTags",
    "CreateLink",
    "DeleteLink",
    "Grant",
    "Link",
    "PrincipalPlan",
    "Resource",
    "Revoke",
    "database",
    "diff",
    "from_api",
    "lf_tag",
    "plan_account_grants",
    "plan_database_tags",
    "plan_principal_grants",
    "plan_tags",
    "rectangles",
    "tag_policy",
    "to_api",
]


@dataclass(frozen=True)
class AssignTags:
    """One AddLFTagsToResource call: on the columns, on the table (no columns), or on the database (no table).

    ``loosens`` says that somebody may read more afterwards, if the resource was seen as it is."""

    database: str
    table: str | None
    columns: tuple[str, ...]
    tags: Mapping[str, str] = field(hash=False)
    loosens: bool
    why: str


# ---- LF-Tags ------------------------------------------------------------------------

MAX_COLUMNS = 1000  # a call; the API documents no limit


def plan_database_tags(
    governance: Governance, data_product: DataProduct, observed: Mapping[str, str]
) -> list[AssignTags]:
    """What the database must carry before a crawl: the default of every key that columns decide, so that what
    the crawl adds inherits it, and some value of each other key. ``observed``: key -> value on the database.

    The data product's own tags are assigned by ``plan_tags``, last: until then nobody sees the database."""
    own = dict(data_product.tags)
    tags = {
        key.name: key.default
        for key in governance.lf_tags
        if (key.name not in observed if key.name in own else observed.get(key.name) != key.default)
    }
    why = "closed before anything is crawled into it"
    return [AssignTags(data_product.database, None, (), tags, False, why)] if tags else []


def plan_tags(
    governance: Governance,
    data_product: DataProduct,
    database: Mapping[str, str],
    tables: Mapping[str, AssignedTags],
    decisions: Iterable[TableDecision],
) -> list[AssignTags]:
    """Everything that makes the database, its tables and columns carry what was decided; [] if they do.

    ``database``: key -> value observed on the database; ``tables``: table name -> observed tags; ``decisions``:
    one for each table. First what closes, then what moves while closed, then what opens: columns, and last the
    data product's own tags on the database. Permissive values are only ever assigned to columns; one that
    somebody put on a table or the database is closed there.

    Answers of Lake Formation do not always tell an inherited value from an assigned one that is equal. What
    must be closed is therefore closed at every level; a default assigned by hand below one that is inherited
    keeps its column closed until the next run, which sees the difference."""
    decisions = sorted(decisions, key=lambda decision: decision.table)
    plan = _TagPlan(governance, data_product)
    plan.parent(None, database, {})
    for decision in decisions:
        tags = tables.get(decision.table, AssignedTags())
        effective = {**database, **tags.table}
        plan.parent(decision.table, effective, database)
        plan.columns(decision, effective, tags.columns)
    return plan.calls()


def mark_of_tags(governance: Governance, observed: AssignedTags) -> int:
    """A number for the tags that a table was seen with: that of the decision if and only if `plan_tags` has nothing to
    do for it. The same within one process alone."""
    names = [key.name for key in governance.lf_tags]
    levels = [observed.database, observed.effective_table, *map(observed.effective, sorted(observed.columns))]
    return hash((*sorted(observed.columns), *(tuple(map(level.get, names)) for level in levels)))


def mark_of_decision(governance: Governance, data_product: DataProduct, decision: TableDecision) -> int:
    """The number of a table's tags that are as decided (`mark_of_tags`)."""
    columns = {column: decision.tags(column) for column in decision.columns}
    return mark_of_tags(governance, AssignedTags(database_tags(governance, data_product), {}, columns))


class _TagPlan:
    """The changes of one data product, collected by phase."""

    def __init__(self, governance: Governance, data_product: DataProduct) -> None:
        self._keys = governance.lf_tags
        self._database = data_product.database
        self._own = dict(data_product.tags)
        self._names = [key.name for key in self._keys]
        self._decided_names = [name for name in self._names if name not in self._own]
        self._resting = database_tags(governance, data_product)  # of the database and its tables
        # phase -> (table, column) -> key -> value; ("t", None) is the table t, (None, None) the database
        self._close: _Changes = {}
        self._move: _Changes = {}
        self._open: _Changes = {}
        self._reopen: _Changes = {}
        self._swaps: set[tuple[str | None, str | None]] = set()  # moved from open to open
        self._decided: dict[tuple[str | None, str | None], Mapping[str, Decision]] = {}
        self._known: dict[_Column, _Steps] = {}

    def parent(self, table: str | None, effective: Mapping[str, str], inherited: Mapping[str, str]) -> None:
        """The database (no table) or a table: closed where it has what it should not, opened again at the end."""
        for key in self._keys:
            value, resting = effective.get(key.name), self._resting[key.name]
            closed = value is None or value == key.default
            if value == resting or (closed and table is not None and value == inherited.get(key.name)):
                continue
            if not closed or key.name not in self._own:
                _add(self._close, (table, None), {key.name: key.default})
            if key.name in self._own:
                _add(self._reopen, (table, None), {key.name: resting})

    def columns(
        self, decision: TableDecision, inherited: Mapping[str, str], assigned: Mapping[str, Mapping[str, str]]
    ) -> None:
        """The columns of one table: what they inherit from it, and what each has besides."""
        names, above = self._names, tuple(map(inherited.get, self._names))
        for column, decided in decision.columns.items():
            own = assigned.get(column)
            state = tuple(map(own.get, names, above)) if own else above
            seen = (state, above, tuple([decided[name].value for name in self._decided_names]))
            steps = self._known.get(seen)
            if steps is None:  # most columns of an estate are like another
                steps = self._known[seen] = self._column(*seen)
            if steps is _NOTHING:
                continue
            place = (decision.table, column)
            for phase, tags in zip((self._close, self._move, self._open), steps.phases, strict=True):
                if tags:
                    phase[place] = tags
            if steps.swaps:
                self._swaps.add(place)
            self._decided[place] = decided

    def _column(self, has: _Values, inherits: _Values, decided: tuple[str, ...]) -> _Steps:
        """The changes of a column with these values of the keys, and these decided ones of those left to columns."""
        state = dict(zip(self._names, has, strict=True))
        inherited = dict(zip(self._names, inherits, strict=True))
        final = dict(zip(self._decided_names, decided, strict=True))
        held_closed, closing = False, {}
        for key in self._keys:
            name = key.name
            closed = state[name] in (None, key.default)
            follows = state[name] == inherited[name]
            settled = inherited[name] == self._resting[name]
            if follows and not settled:
                if not closed:  # inherited, or its own and equal: closed either way
                    closing[name] = key.default
                state[name] = key.default  # as its parent will be
            if name not in self._own:
                continue
            if not follows or not (settled or closed):
                final[name] = self._own[name]
            elif not settled:
                held_closed = True  # until its parent is opened, last
        present = {name: value for name, value in state.items() if value is not None}
        steps = _steps(self._keys, present, final, held_closed)
        close, move, opened = steps.phases
        if not (closing or close or move or opened):
            return _NOTHING
        return _Steps(({**closing, **close}, move, opened), steps.swaps)

    def calls(self) -> list[AssignTags]:
        return [
            *self._calls(self._close, "closed before it changes, or for good"),
            *self._calls(self._move, "changed while closed, or in one step"),
            *self._calls(self._open, "opened as decided", loosens=True),
            *self._calls(self._reopen, "the data product's own tags", loosens=True),
        ]

    def _calls(self, changes: _Changes, why: str, loosens: bool = False) -> Iterator[AssignTags]:
        by_table: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
        for (table, column), tags in changes.items():
            if column is None:
                yield AssignTags(self._database, table, (), tags, loosens, why)
            elif table is not None:
                by_table[table][column] = tags
        for table, columns in by_table.items():
            for names, tags in rectangles(columns):
                places = [(table, name) for name in names]
                decided = [each for place in places for each in self._decided[place].values()]
                rules = sorted({match.rule for each in decided for match in each.winners})
                opens = loosens or not self._swaps.isdisjoint(places)
                for start in range(0, len(names), MAX_COLUMNS):
                    chunk = names[start : start + MAX_COLUMNS]
                    reason = f"{why}; rules: {', '.join(rules) or 'none'}"
                    yield AssignTags(self._database, table, chunk, tags, opens, reason)


_Changes = dict[tuple[str | None, str | None], dict[str, str]]
_Values = tuple[str | None, ...]
_Column = tuple[_Values, _Values, tuple[str, ...]]


def _add(changes: _Changes, place: tuple[str | None, str | None], tags: Mapping[str, str]) -> None:
    if tags:
        changes.setdefault(place, {}).update(tags)


class _Steps(NamedTuple):
    """The changes of one column: (close, move, open); ``swaps``: the move leads from open to open."""

    phases: tuple[dict[str, str], dict[str, str], dict[str, str]]
    swaps: bool = False


_NOTHING = _Steps(({}, {}, {}))


def _steps(keys: Iterable[LFTagKey], state: Mapping[str, str], final: Mapping[str, str], held_closed: bool) -> _Steps:
    """How one column gets from ``state`` to ``final`` so that every mixture on the way is one of the two, or
    closed. ``held_closed``: a key outside ``final`` stays at its default meanwhile."""
    known = {key.name: key for key in keys if key.name in final}
    changed = [name for name in known if state.get(name) != final[name]]
    new = {name: final[name] for name in changed}
    from_closed = {name: new[name] for name in changed if state.get(name, known[name].default) == known[name].default}
    to_closed = {name: new[name] for name in changed if new[name] == known[name].default}
    stays_closed = any(name not in new and final[name] == known[name].default for name in known)
    if held_closed or stays_closed:
        return _Steps(({}, new, {}))
    if to_closed:
        return _Steps((to_closed, _without(new, to_closed), {}))
    if from_closed:
        return _Steps(({}, _without(new, from_closed), from_closed))
    if len(new) <= 1:
        return _Steps(({}, new, {}), swaps=bool(new))
    # Open before and after, and two keys move: one is closed first and opened last.
    hold = next((name for name in changed if known[name].ordered), changed[0])
    return _Steps(({hold: known[hold].default}, _without(new, {hold}), {hold: new[hold]}))


def _without(tags: Mapping[str, str], keys: Collection[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in keys}


# ---- Grants -------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateLink:
    """A resource link ``name`` in the consumer's catalogue to ``database`` of the catalogue ``catalog``."""

    name: str
    catalog: str
    database: str


@dataclass(frozen=True)
class DeleteLink:
    name: str


@dataclass(frozen=True)
class Link:
    """A database of the consumer's catalogue as observed: a link to ``database`` of ``catalog``, or, without
    those, a real database."""

    name: str
    catalog: str | None = None
    database: str | None = None


@dataclass(frozen=True)
class PrincipalPlan:
    """What to do in a consumer's account, in order, and what a person must mend."""

    actions: tuple[Grant | Revoke | CreateLink | DeleteLink | WorkgroupAction, ...]
    findings: tuple[Finding, ...]


def plan_account_grants(
    governance: Governance,
    recipients: Collection[str],
    central_account: str,
    observed: Iterable[Grant],
    made: Iterable[Grant],
) -> list[Grant | Revoke]:
    """In central: what consuming accounts, or organizational units of them, are granted, with grant option.

    ``recipients``: the consumer's account or unit, and any other that the ledger says we granted to for it: one that it
    has left, say. ``observed``: grants of the central catalogue (others' may be among them); ``made``: the ledger's.
    What another consumer of such a recipient wants is not taken away, also if that is in another account of the unit.
    The central account is granted nothing here."""
    wanted = [
        grant
        for consumer in governance.consumers
        if consumer.recipient in recipients and consumer.account != central_account
        for subscription in consumer.subscriptions
        for grant in _account_grants(subscription, consumer, central_account)
    ]
    return diff(
        wanted,
        (grant for grant in observed if grant.principal in recipients),
        (grant for grant in made if grant.principal in recipients),
    )


def _account_grants(subscription: Subscription, consumer: Consumer, central: str) -> Iterator[Grant]:
    """A regrant needs the identical expression with grant option, and DESCRIBE on its LF-Tags to name it
    (developer guide, permission cascading rules)."""
    why = f"subscription {consumer.name}/{subscription.name}"
    describe, permissions = frozenset({"DESCRIBE"}), frozenset(subscription.permissions)
    for key, values in subscription.table_expression:
        yield Grant(consumer.recipient, lf_tag(central, key, values), describe, describe, why)
    for grant in _policies(subscription, consumer.recipient, central, why):
        yield replace(grant, grantable=permissions if grant.permissions == permissions else describe)


def _policies(subscription: Subscription, principal: str, central: str, why: str) -> Iterator[Grant]:
    """The two tag policies of a subscription, without grant option."""
    databases = tag_policy(central, "DATABASE", subscription.database_expression)
    tables = tag_policy(central, "TABLE", subscription.table_expression)
    yield Grant(principal, databases, frozenset({"DESCRIBE"}), why=why)
    yield Grant(principal, tables, frozenset(subscription.permissions), why=why)


def plan_principal_grants(
    governance: Governance,
    account: str,
    central_account: str,
    *,
    principals: Mapping[Principal, str],
    databases: Collection[str],
    catalog: Iterable[Link],
    observed: Iterable[Grant],
    made: Iterable[Grant],
    made_links: Collection[str],
) -> PrincipalPlan:
    """In one consuming account: links, DESCRIBE on them and on ``default``, and each principal's regrants on the
    central catalogue, for all consumers of that account; an account that none is of any more loses what we made.
    In the central account: its principals' grants there, and no links.

    ``principals``: those of the account's consumers that exist -> ARN. ``databases``: the central databases that
    exist and are published. ``catalog``: all databases and links of the account's catalogue. ``observed``: grants
    of the account's own catalogue, and those of the central one as listed in that account. ``made``,
    ``made_links``: what the ledger says we made there."""
    present = {link.name: link for link in catalog}
    usable: set[str] = set()
    create, findings = [], []
    local = account == central_account
    consumers = [consumer for consumer in governance.consumers if consumer.account == account]
    wanted_links = (
        set()
        if local
        else {
            product.database
            for consumer in consumers
            for subscription in consumer.subscriptions
            for product in _databases(governance, subscription, databases)
        }
    )
    for name in sorted(wanted_links):
        link = present.get(name)
        if link is None:
            create.append(CreateLink(name, central_account, name))
        elif (link.catalog, link.database) != (central_account, name):
            findings.append(_name_taken(account, link, central_account))
            continue
        usable.add(name)
    gone = sorted(
        name
        for name in set(made_links) - wanted_links
        if name in present and present[name].catalog == central_account  # never a real database
    )
    wanted = [
        grant
        for consumer in consumers
        for subscription in consumer.subscriptions
        for principal in subscription.principals
        if principal in principals
        for grant in _principal_grants(
            governance, consumer, subscription, principals[principal], central_account, usable, "default" in present
        )
    ]
    findings.extend(
        Finding(
            "principal-missing",
            f"{consumer.unit}/{principal.name}",
            f"there is no {principal} in account {account}, so nothing is granted to it",
            "create it, or mend the name; it is granted by the next sweep",
        )
        for consumer in consumers
        for principal in consumer.principals
        if principal not in principals
    )
    observed, made = list(observed), list(made)
    changes = diff(wanted, observed, made)
    revokes = [change for change in changes if isinstance(change, Revoke)]
    # What the ledger alone knows of is revoked too, and forgotten when Lake Formation says that it is not there.
    known = {(grant.principal, grant.resource) for grant in (*wanted, *observed)}
    revokes += [
        Revoke(grant.principal, grant.resource, grant.permissions, grant.grantable)
        for grant in made
        if (grant.principal, grant.resource) not in known
    ]
    grants = [change for change in changes if isinstance(change, Grant)]
    return PrincipalPlan((*revokes, *map(DeleteLink, gone), *create, *grants), tuple(findings))


def loses_regrants(governance: Governance, account: str, central_account: str, made: Iterable[Grant]) -> bool:
    """Whether a principal of the account holds something by a tag policy of ours that no subscription gives it any
    more. Looks at the ledger alone, so it can be told before the account is asked anything.

    ``made``: what the ledger says we made as the account's administrator."""
    wanted = [
        (principal, policy)
        for consumer in governance.consumers
        if consumer.account == account
        for subscription in consumer.subscriptions
        for policy in _policies(subscription, "", central_account, "")
        for principal in subscription.principals
    ]
    return any(
        grant.permissions
        - frozenset().union(
            *(
                policy.permissions
                for principal, policy in wanted
                if policy.resource == grant.resource and principal.is_named_by(grant.principal)
            )
        )
        for grant in made
        if grant.resource.kind == "LFTagPolicy"
    )


def _databases(governance: Governance, subscription: Subscription, existing: Collection[str]) -> list[DataProduct]:
    return [
        product
        for product in governance.data_products
        if product.database in existing and sees_database(governance, subscription, product)
    ]


def _principal_grants(
    governance: Governance,
    consumer: Consumer,
    subscription: Subscription,
    principal: str,
    central: str,
    links: set[str],
    has_default: bool,
) -> Iterator[Grant]:
    why = f"subscription {consumer.name}/{subscription.name}"
    describe = frozenset({"DESCRIBE"})
    yield from _policies(subscription, principal, central, why)
    for product in _databases(governance, subscription, links):
        yield Grant(principal, database(consumer.account, product.database), describe, why=why)
    if has_default:  # Athena asks for it (Athena user guide, Lake Formation limitations)
        yield Grant(principal, database(consumer.account, "default"), describe, why=why)


def _name_taken(account: str, link: Link, central: str) -> Finding:
    what = f"a link to {link.database} of {link.catalog}" if link.catalog else "a database of its own"
    return Finding(
        "link-name-taken",
        f"{account}/{link.name}",
        f"account {account} has {what} named {link.name}, where the link to {central} should be",
        "rename or remove it there; tagmesh never touches it",
    )
