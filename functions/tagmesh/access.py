"""Who can read what, and why, and why not. Pure.

First what the pipeline asks: tags and expressions in, column names out. The rules are those of Lake Formation's
tag-based access control (developer guide, "Lake Formation tag-based access control" and its considerations): keys are
ANDed, values ORed, and a column that lacks a key of the expression, or has another value, does not match.

Then what people ask of a mesh as it was seen (`tagmesh.observed`): `can` answers for one principal and one column with
the whole chain, from the governance files through grants, share, regrant and resource link to the registered location,
each link of it with what was seen, in which account, and how to mend it. Who reads through something that the
governance files did not give (a named grant, say) is readable all the same: the answer is what Athena would give.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import Consumer, DataProduct, Expression, Governance, Subscription, Withheld

if TYPE_CHECKING:
    from tagmesh.grants import Grant
    from tagmesh.observed import Account, Link, Location, Need, Observed, Tagged, Who

#: database -> table -> names of readable columns, partition keys included; nothing empty is listed.
Readable = dict[str, dict[str, frozenset[str]]]


def matches(tags: Mapping[str, str], expression: Expression) -> bool:
    """Whether a resource with these effective tags matches; an empty expression matches nothing."""
    return bool(expression) and all(tags.get(key) in values for key, values in expression)


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


# ── Of a mesh as it was seen ──────────────────────────────────────────────────────────────────────────────────────

OK, MISSING, UNKNOWN, BYPASSED = "ok", "missing", "unknown", "bypassed"
IAM_ALLOWED = "IAM_ALLOWED_PRINCIPALS"
OF_FILES = ("consumer", "subscription", "approval", "tags")
"""Links of the chain that the governance files decide: without them one may still read, by what others have granted."""
ATHENA = ("athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults")


@dataclass(frozen=True)
class ChainLink:
    """One link of the chain from the governance files to the rows. ``state``: ok, missing, unknown (it could not be
    seen), or bypassed (it is missing, and something else gives the access). ``mend`` is empty where nothing is to
    do."""

    name: str
    state: str
    account: str
    seen: str
    mend: str = ""


@dataclass(frozen=True)
class Answer:
    """Whether a principal can read a column, the reason in one line (the first missing link; if readable, through
    what), and the whole chain in order."""

    readable: bool
    reason: str
    chain: tuple[ChainLink, ...]

    def as_json(self) -> dict[str, Any]:
        """As `tagmesh can --json` prints it."""
        chain = [
            {"link": each.name, "state": each.state, "account": each.account, "seen": each.seen, "mend": each.mend}
            for each in self.chain
        ]
        return {"readable": self.readable, "reason": self.reason, "chain": chain}


def can(observed: Observed, who: Who, database: str, table: str, column: str) -> Answer:
    """Whether somebody can read a column with Athena: in the own account by its name, elsewhere through a resource link
    to its database. KeyError if there is no such table; the column must be one of it.

    What is read past Lake Formation, with rights on the bucket in another account, is not counted, nor what a grant on
    a data cells filter gives: `tagmesh doctor` looks for both. Nor is a registered role that cannot read the bucket.
    """
    tagged = observed.tables[database, table]
    files = _of_files(observed, who, tagged, column)
    accounts = min(_ways(observed, who, tagged, column), key=lambda way: sum(link.state == MISSING for link in way))
    readable = all(link.state != MISSING for link in accounts)
    if readable:
        files = [replace(link, state=BYPASSED, mend="") if link.state == MISSING else link for link in files]
    elif any(link.state == MISSING for link in files):
        follow = ("account_grant", "regrant", "database", "resource_link", "link_describe")
        accounts = [
            replace(link, mend=FOLLOWS) if link.state == MISSING and link.name in follow else link for link in accounts
        ]
    chain = (*files, *accounts)
    return Answer(readable, _reason(chain, readable), chain)


FOLLOWS = "nothing here: what the governance files do not give is not granted"


def first_missing(answer: Answer) -> ChainLink:
    """The first missing link of who cannot read."""
    return next(link for link in answer.chain if link.state == MISSING)


def through(chain: Iterable[ChainLink]) -> list[ChainLink]:
    """The links that say through what somebody reads: tags and rule, grants, share, resource link, location."""
    names = ("tags", "account_grant", "share", "regrant", "resource_link", "location")
    return [link for link in chain if link.name in names and link.state == OK]


def _reason(chain: tuple[ChainLink, ...], readable: bool) -> str:
    if not readable:
        first = next(link for link in chain if link.state == MISSING)
        return f"{first.seen} (account {first.account}); mend: {first.mend}"
    bypassed = [f"by no governance file: {link.seen}" for link in chain if link.state == BYPASSED]
    unknown = [link.seen for link in chain if link.state == UNKNOWN]
    return "; ".join([*bypassed[-1:], *(link.seen for link in through(chain)), *unknown])


# ── What the files say ────────────────────────────────────────────────────────────────────────────────────────────


def _of_files(o: Observed, who: Who, tagged: Tagged, column: str) -> list[ChainLink]:
    consumers = [each for each in o.governance.consumers if each.account == who.account]
    named = [(c, s) for c in consumers for s in c.subscriptions if who.is_one_of(s.principals)]
    held = [w for w in o.governance.withheld if w.account == who.account and who.is_one_of(w.subscription.principals)]
    reading = [each for each in named if _reads(each[1])]
    return [
        _consumer_link(o, who, consumers),
        _subscription_link(o, who, consumers, named, held),
        *_approval_link(o, reading, [each for each in held if _reads(each.subscription)], tagged, column),
        _tags_link(o, who, reading, tagged, column),
    ]


def _consumer_link(o: Observed, who: Who, consumers: list[Consumer]) -> ChainLink:
    if consumers:
        names = _and(consumer.name for consumer in consumers)
        seen = f"account {who.account} is the consumer {names} of the governance files"
        return ChainLink("consumer", OK, o.central, seen)
    seen = f"no governance file names account {who.account} as a consumer"
    return ChainLink("consumer", MISSING, o.central, seen, "add a file of it to consumers/ (docs/governance.md)")


def _subscription_link(
    o: Observed, who: Who, consumers: list[Consumer], named: list[tuple[Consumer, Subscription]], held: list[Withheld]
) -> ChainLink:
    all_named = [(c.name, s) for c, s in named] + [(each.consumer, each.subscription) for each in held]
    names = [f"{consumer}/{subscription.name}" for consumer, subscription in all_named if _reads(subscription)]
    if names:
        return ChainLink("subscription", OK, o.central, f"{who.written} is named by {_and(names)}")
    if all_named:
        without = _and(f"{consumer}/{subscription.name}" for consumer, subscription in all_named)
        seen = f"{without} names {who.written} without SELECT"
        return ChainLink("subscription", MISSING, o.central, seen, "add SELECT to its permissions")
    where = f"consumers/{consumers[0].name}.yaml" if consumers else "a consumer's file"
    mend = f"name it in a subscription of {where}"
    return ChainLink("subscription", MISSING, o.central, f"no subscription names {who.written}", mend)


def _reads(subscription: Subscription) -> bool:
    return "SELECT" in subscription.permissions


def _approval_link(
    o: Observed, reading: list[tuple[Consumer, Subscription]], held: list[Withheld], tagged: Tagged, column: str
) -> Iterator[ChainLink]:
    """What of the files would reach the column, and is not in force."""

    def reaches(subscription: Subscription) -> bool:
        return column in readable_columns(tagged.table, tagged.tags, subscription.table_expression)

    if any(reaches(subscription) for _, subscription in reading):
        return
    for each in held:
        if reaches(each.subscription):
            name = f"{each.consumer}/{each.subscription.name}"
            if each.key:
                needs = _and(f"{k}={v}" for k, v in each.reaches)
                told = f"was {o.denied[each.key]}" if each.key in o.denied else f"waits for approval of {needs}"
                seen = f"{name} reaches it, and {told}"
                mend = f"`tagmesh approve {name}`, by whom the data product's owner trusts with it"
            else:
                seen, mend = (
                    f"{name} reached it, and has expired on {each.subscription.expires}",
                    "set a later `expires`",
                )
            yield ChainLink("approval", MISSING, o.central, seen, mend)
            return


def _tags_link(
    o: Observed, who: Who, reading: list[tuple[Consumer, Subscription]], tagged: Tagged, column: str
) -> ChainLink:
    """Whether a subscription reaches the tags that the column carries, and which rule put the nearest ones there."""
    tags = tagged.tags.effective(column)
    place = f"{tagged.table.database}.{tagged.table.name}.{column}"
    for consumer, subscription in reading:
        if column in readable_columns(tagged.table, tagged.tags, subscription.table_expression):
            own = matches(tags, subscription.table_expression)
            what = _pairs(tags) if own else f"{_pairs(tags)}, but is a partition key, as readable as its table"
            why = _why_tagged(o, tagged, column, [key for key, _ in subscription.table_expression]) if own else ""
            seen = f"{place} has {what}{why}; {consumer.name}/{subscription.name} reaches that"
            return ChainLink("tags", OK, o.central, seen)
    if not reading:
        seen = f"{place} has {_pairs(tags) or 'no LF-Tags'}, and nothing of {who.written} reaches that"
        return ChainLink("tags", MISSING, o.central, seen, "name it in a subscription whose tags reach the column")
    nearest, out = min(
        ((each, _out_of_reach(tags, each[1].table_expression)) for each in reading),
        key=lambda found: (any(key in dict(found[0][1].database_expression) for key in found[1]), len(found[1])),
    )
    missed = _pairs({key: tags.get(key, "nothing") for key in out})
    reached = _expression_text((key, values) for key, values in nearest[1].table_expression if key in out)
    seen = f"{place} has {missed}{_why_tagged(o, tagged, column, out)}; "
    seen += f"{nearest[0].name}/{nearest[1].name} reaches only {reached}"
    defaults = {key.name: key.default for key in o.governance.lf_tags}
    if any(tags.get(key) == defaults.get(key) for key in out):
        mend = f"`tagmesh explain {place}` says what would open it"
    else:
        mend = f"if it should be readable: another subscription, or a rule (`tagmesh explain {place}`)"
    return ChainLink("tags", MISSING, o.central, seen, mend)


def _out_of_reach(tags: Mapping[str, str], expression: Expression) -> list[str]:
    return [key for key, values in expression if tags.get(key) not in values]


def _why_tagged(o: Observed, tagged: Tagged, column: str, keys: list[str]) -> str:
    """By which rules, or by what else, a column has its values of some keys."""
    decided = o.decisions.get((tagged.table.database, tagged.table.name))
    decisions = decided.columns.get(column, {}) if decided else {}
    carried, places = tagged.tags.effective(column), {rule.id: rule.place for rule in o.governance.rules}
    said: dict[str, list[str]] = {}
    for key in keys:
        decision = decisions.get(key)
        if decision is None:
            continue
        if decision.value != carried.get(key):
            why = f"it should be {decision.value}, which the next run assigns"
        elif decision.winners:
            rules = [f"{name} ({places[name]})" if places.get(name) else name for name in decision.rules]
            why = f"by {_and(rules)}"
        else:
            what = "the default" if decision.outcome == "default" else f"by {decision.outcome}"
            why = f"{what}, since {decision.because}"
        said.setdefault(why, []).append(key)
    if [*said.values()] == [[*keys]]:
        return f", {next(iter(said))}"
    return f" ({', '.join(f'{_and(of)} {why}' for why, of in said.items())})" if said else ""


# ── What the accounts have ────────────────────────────────────────────────────────────────────────────────────────


def _ways(o: Observed, who: Who, tagged: Tagged, column: str) -> Iterator[list[ChainLink]]:
    """The chains through the accounts by which somebody may come to a column: the central account's grant to the
    account, which that one passed on; or the central account's grant to the principal itself."""
    start = _principal_link(o, who)
    if who.account == o.central:
        yield [start, _granted_at_home(o, who, tagged, column), *_asked(o, who, tagged, tagged.table.database)]
        return
    link = _link_to(o, who, tagged.table.database)
    rest = [
        _door_link(o, who, tagged),
        _database_link(o, who, tagged.table.database),
        *_link_links(o, who, tagged.table.database, link),
        *_asked(o, who, tagged, link.name if link else tagged.table.database),
    ]
    yield [start, *_granted_by_account(o, who, tagged, column), *rest]
    for name in _names(who):
        if _opening(o, o.account(o.central).grants, [name], tagged, column):
            yield [start, *_granted_directly(o, who, name, tagged, column), *rest]


def _names(who: Who) -> list[str]:
    """Whom a grant may name that somebody has: the principal, or all of its account."""
    return [*([who.arn] if who.arn else []), f"{who.account}:IAMPrincipals"]


def _principal_link(o: Observed, who: Who) -> ChainLink:
    if o.account(who.account).problem:
        seen = f"whether {who.written} is there cannot be told, since account {who.account} could not be looked at"
        return ChainLink("principal", UNKNOWN, who.account, seen, "deploy accounts/consumer.yaml there, and ask again")
    if who.arn is not None:
        return ChainLink("principal", OK, who.account, f"{who.arn} is there")
    mend = "create it, or mend the name; it is granted by the next sweep"
    return ChainLink("principal", MISSING, who.account, f"account {who.account} has no principal {who.written}", mend)


def _granted_at_home(o: Observed, who: Who, tagged: Tagged, column: str) -> ChainLink:
    """In the central account: by name or by tag, to the principal or to all of the account's. Where IAM alone decides,
    it does so for whoever is not opted in."""
    names = _names(who)
    alone = [] if _on_table(o, names, tagged) or _on_all_tables(o, names, tagged) else [IAM_ALLOWED]
    grant = _opening(o, o.account(o.central).grants, [*names, *alone], tagged, column)
    return _granted_link(o, "regrant", grant, o.central, f"the central account grants {who.written}")


def _granted_by_account(o: Observed, who: Who, tagged: Tagged, column: str) -> Iterator[ChainLink]:
    account, of_central = o.account(who.account), o.account(o.central).grants
    grants = [(name, _opening(o, of_central, [name], tagged, column)) for name in _recipients(o, who.account)]
    recipient, grant = min(grants, key=lambda each: (each[1] is None, not _arrived(o, each[0], "table", who.account)))
    yield _granted_link(o, "account_grant", grant, o.central, f"the central account grants account {who.account}")
    yield _share_link(o, who, recipient)
    if account.problem:
        yield _not_looked("regrant", account)
        return
    regrant = _opening(o, account.regrants, _names(who), tagged, column)
    yield _granted_link(o, "regrant", regrant, who.account, f"account {who.account} passes on to {who.written}")


def _recipients(o: Observed, account: str) -> list[str]:
    """Whom the central account grants something that an account as a whole has."""
    units = {each.organizational_unit for each in o.governance.consumers if each.account == account}
    return [account, *sorted(unit for unit in units if unit)]


def _granted_directly(o: Observed, who: Who, name: str, tagged: Tagged, column: str) -> Iterator[ChainLink]:
    """Only the grantee sees such a grant, and nobody need pass it on. [Lake Formation developer guide, Cross-account
    data sharing best practices and considerations]"""
    grant = _opening(o, o.account(o.central).grants, [name], tagged, column)
    yield _granted_link(o, "account_grant", grant, o.central, f"the central account grants {name}")
    yield _share_link(o, who, name if name.startswith("arn:") else who.account)
    yield ChainLink("regrant", OK, who.account, f"nobody need pass it on: {name} was granted it by the central account")


def _granted_link(o: Observed, name: str, grant: Grant | None, account: str, who_grants_whom: str) -> ChainLink:
    if grant is not None:
        return ChainLink(name, OK, account, f"{_grant_text(grant)} is granted to {grant.principal}")
    seen = f"{who_grants_whom} nothing that reaches the column"
    if name == "account_grant" and o.version < 3:
        seen += f", and its CROSS_ACCOUNT_VERSION {o.version} is too low for it"
        return ChainLink(
            name, MISSING, account, seen, "deploy template.yaml again, which raises it; then `tagmesh sweep`"
        )
    return ChainLink(name, MISSING, account, seen, "`tagmesh sweep` grants what the governance files give")


def _arrived(o: Observed, recipient: str, kind: str, account: str) -> bool:
    """Whether a share with a recipient is there, and an account has it: one that is not in the unit sees no grant to
    it."""
    return o.shares.get((recipient, kind)) == "ASSOCIATED" and not _is_elsewhere(o, recipient, account)


def _is_elsewhere(o: Observed, recipient: str, account: str) -> bool:
    """Whether the recipient is an organizational unit that an account is not in."""
    of_account = o.account(account)
    return ":organizations:" in recipient and not of_account.problem and recipient not in of_account.units


def _share_link(o: Observed, who: Who, recipient: str) -> ChainLink:
    if _arrived(o, recipient, "table", who.account):
        return ChainLink("share", OK, who.account, f"the share of tables has reached {recipient}")
    return _no_share(o, who, recipient, "table", "share")


def _no_share(o: Observed, who: Who, recipient: str, kind: str, name: str) -> ChainLink:
    status = o.shares.get((recipient, kind))
    if status == "ASSOCIATING":
        seen = f"account {who.account} has not accepted the invitation to the share of {kind}s"
        mend = "`tagmesh sweep` accepts it by the role of accounts/consumer.yaml, which must be deployed there"
        return ChainLink(name, MISSING, who.account, seen, mend)
    if status == "ASSOCIATED" and _is_elsewhere(o, recipient, who.account):
        seen = f"account {who.account} is not in {recipient}, which the share of {kind}s is with"
        mend = "move the account there, or mend `organizational_unit` in its consumers' files"
        return ChainLink(name, MISSING, who.account, seen, mend)
    seen = f"no share of {kind}s reaches {recipient}" + (f": it is {status}" if status else "")
    return ChainLink(name, MISSING, who.account, seen, "`tagmesh sweep` makes the grants, and so the share, again")


def _not_looked(name: str, account: Account) -> ChainLink:
    seen = f"account {account.id} could not be looked at: {account.problem}"
    return ChainLink(name, MISSING, account.id, seen, "deploy accounts/consumer.yaml there, and ask again")


def _door_link(o: Observed, who: Who, tagged: Tagged) -> ChainLink:
    """While IAMAllowedPrincipals has access, other accounts have none, unless opted in on what is in hybrid mode.
    [Lake Formation developer guide, Cross-account prerequisites; Hybrid access mode]"""
    name, database = "iam_allowed_principals", tagged.table.database
    iam_alone = [grant for grant in o.account(o.central).grants if grant.principal == IAM_ALLOWED]
    on_database = any(_is_on_database(grant, database) for grant in iam_alone)
    on_table = any(_is_on_table(grant, tagged.table) for grant in iam_alone)
    names = [*_names(who), who.account]
    places = [o.databases[database].location, *o.databases[database].tables.values()]
    to_database = _on_database(o, names, database) and o.version >= 4 and any(_is_hybrid(o, place) for place in places)
    on_all = _on_all_tables(o, names, tagged) and _on_database(o, names, database)
    to_table = (_on_table(o, names, tagged) or on_all) and o.version >= 4 and _is_hybrid(o, tagged.table.location)
    if (on_database and not to_database) or ((on_database or on_table) and not to_table):
        what = database if on_database else f"{database}.{tagged.table.name}"
        seen = f"IAMAllowedPrincipals still has access to {what}, which keeps every other account out"
        mend = f"`tagmesh doctor --fix`, or revoke all that {IAM_ALLOWED} holds on it"
        return ChainLink(name, MISSING, o.central, seen, mend)
    return ChainLink(name, OK, o.central, f"IAMAllowedPrincipals keeps nobody out of {database}.{tagged.table.name}")


def _database_link(o: Observed, who: Who, database: str) -> ChainLink:
    """Who asks through a resource link must see its target. [Lake Formation developer guide, How resource links
    work]"""
    name, account, of_central = "database", o.account(who.account), o.account(o.central).grants
    for grantee in _names(who):
        if _showing(o, of_central, [grantee], database) and _arrived(o, _recipient(grantee), "database", who.account):
            return ChainLink(name, OK, o.central, f"{grantee} sees {database}: the central account granted it")
    for recipient in _recipients(o, who.account):
        if _showing(o, of_central, [recipient], database):
            break
    else:
        seen = f"the central account shows account {who.account} no database {database} (DESCRIBE)"
        return ChainLink(name, MISSING, o.central, seen, "`tagmesh sweep` grants what the governance files give")
    if not _arrived(o, recipient, "database", who.account):
        return _no_share(o, who, recipient, "database", name)
    if account.problem:
        return _not_looked(name, account)
    grant = _showing(o, account.regrants, _names(who), database)
    if grant is None and who.arn not in account.administrators:
        seen = f"account {who.account} does not pass on DESCRIBE on database {database} to {who.written}"
        return ChainLink(name, MISSING, who.account, seen, "`tagmesh sweep` grants what the governance files give")
    how = f"by {_grant_text(grant)}" if grant else "as an administrator of its account"
    return ChainLink(name, OK, who.account, f"{who.written} sees {database} of the central account {how}")


def _recipient(grantee: str) -> str:
    """Whom RAM shares with for a grant: for one to all of an account's principals, that account."""
    return grantee if grantee.startswith("arn:") else grantee.partition(":")[0]


def _link_to(o: Observed, who: Who, database: str) -> Link | None:
    """The resource link by which somebody asks: one that is seen, of those the one of the database's own name."""
    links = [link for link in o.account(who.account).links if (link.catalog, link.database) == (o.central, database)]
    return min(links, key=lambda link: (not _sees_own(o, who, link.name), link.name != database), default=None)


def _link_links(o: Observed, who: Who, database: str, link: Link | None) -> list[ChainLink]:
    account = o.account(who.account)
    if account.problem:
        return [_not_looked("resource_link", account)]
    if link is None:
        taken = next((each for each in account.links if each.name == database), None)
        if taken:
            what = f"a link to {taken.database} of {taken.catalog}" if taken.catalog else "a database of its own"
            seen = f"account {who.account} has no resource link to {database}: {what} has that name"
            mend = "rename that one; tagmesh never touches it, and makes the link then"
        else:
            seen = f"account {who.account} has no resource link to {database}"
            mend = "`tagmesh sweep` makes it, once a column of the database is readable there"
        return [ChainLink("resource_link", MISSING, who.account, seen, mend)]
    found = ChainLink("resource_link", OK, who.account, f"resource link {link.name} leads to {database} of {o.central}")
    if _sees_own(o, who, link.name):
        return [found, ChainLink("link_describe", OK, who.account, f"{who.written} sees the link {link.name}")]
    seen = f"{who.written} has no DESCRIBE on the resource link {link.name}"
    mend = "`tagmesh sweep` grants it to whom the governance files name"
    return [found, ChainLink("link_describe", MISSING, who.account, seen, mend)]


def _sees_own(o: Observed, who: Who, database: str) -> bool:
    """Whether somebody sees a database or resource link of the own account's catalogue."""
    account = o.account(who.account)
    names = [*_names(who), IAM_ALLOWED]
    tags = account.default_tags if database == "default" else {}
    return who.arn in account.administrators or any(
        grant.principal in names and _shows(o, grant, database, tags) for grant in account.grants
    )


def _asked(o: Observed, who: Who, tagged: Tagged, name: str) -> Iterator[ChainLink]:
    """What a query needs besides the catalogue's grants: `default`, IAM, and the data itself."""
    account = o.account(who.account)
    if any(link.name == "default" for link in account.links):
        if _sees_own(o, who, "default"):
            yield ChainLink("default_database", OK, who.account, f"{who.written} sees the database default")
        else:
            seen = f"{who.written} has no DESCRIBE on the database default, which Athena asks for"
            mend = "`tagmesh sweep` grants it to whom the governance files name"
            yield ChainLink("default_database", MISSING, who.account, seen, mend)
    yield _iam_link(o, who, tagged, name)
    yield _location_link(o, who, tagged)


# ── IAM and the data ──────────────────────────────────────────────────────────────────────────────────────────────


def iam_needs(observed: Observed, arn: str, database: str, table: str) -> tuple[list[Need], list[list[Need]]]:
    """What IAM must allow a principal so that it can query a table: all of the first, and all of one of the second, a
    workgroup each. A call on a table needs its action on the catalogue, the database and the table, of the link and of
    its target alike. [Glue guide, Resource ARNs; Lake Formation developer guide, How resource links work]"""
    who = _who(arn)
    tagged = observed.tables[database, table]
    link = _link_to(observed, who, database) if who.account != observed.central else None
    return _needs(observed, who, tagged, link.name if link else database)


def _who(arn: str) -> Who:
    from tagmesh.observed import Who

    return Who(arn, arn.split(":")[4], arn)


def _needs(o: Observed, who: Who, tagged: Tagged, name: str) -> tuple[list[Need], list[list[Need]]]:
    partition = who.arn.split(":")[1] if who.arn and who.arn.startswith("arn:") else "aws"
    table, needs = tagged.table, []
    for catalog, database in dict.fromkeys([(who.account, name), (o.central, table.database)]):
        glue = f"arn:{partition}:glue:{o.region}:{catalog}"
        of_database = [f"{glue}:catalog", f"{glue}:database/{database}"]
        of_table = [*of_database, f"{glue}:table/{database}/{table.name}"]
        needs += [("glue:GetDatabase", arn) for arn in of_database]
        needs += [("glue:GetTable", arn) for arn in of_table]
        if table.partition_keys and (catalog, database) == (o.central, table.database):
            needs += [("glue:GetPartitions", arn) for arn in of_table]
    if _is_lent(o, who, tagged):
        needs.append(("lakeformation:GetDataAccess", "*"))
    else:
        bucket = f"arn:{partition}:s3:::{_path(table.location).partition('/')[0]}"
        needs += [("s3:ListBucket", bucket), ("s3:GetObject", f"arn:{partition}:s3:::{_path(table.location)}/*")]
    groups = o.account(who.account).workgroups
    where = [f"arn:{partition}:athena:{o.region}:{who.account}:workgroup/{group}" for group in groups]
    return needs, [[(action, arn) for action in ATHENA] for arn in where]


def _iam_link(o: Observed, who: Who, tagged: Tagged, name: str) -> ChainLink:
    if who.arn is None:
        return ChainLink("iam", UNKNOWN, who.account, "its IAM policies cannot be looked at, since it is not there")
    allowed = o.allowed.get(who.arn)
    needs, workgroups = _needs(o, who, tagged, name)
    if allowed is None:
        seen = f"what IAM allows {who.written} could not be looked at, and is taken to be enough"
        return ChainLink("iam", UNKNOWN, who.account, seen, f"`tagmesh iam-policy {who.written} --check` looks again")
    lacking = [need for need in needs if not allowed.get(need, False)]
    athena = [[need for need in group if not allowed.get(need, False)] for group in workgroups]
    lacking += min(athena, key=len, default=[])
    if not workgroups:
        lacking.append((ATHENA[0], f"any workgroup: account {who.account} has none"))
    if not lacking:
        return ChainLink(
            "iam", OK, who.account, f"IAM allows {who.written} what Athena, Glue and Lake Formation ask for"
        )
    actions = dict.fromkeys(action for action, _ in lacking)
    seen = f"IAM does not allow {who.written} {_and(actions)} (on {lacking[0][1]})"
    mend = f"attach the IAM policy that `tagmesh iam-policy {who.written}` prints, and see that nothing denies it"
    return ChainLink("iam", MISSING, who.account, seen, mend)


def _location_link(o: Observed, who: Who, tagged: Tagged) -> ChainLink:
    """Data below a registered location is read with the role that Lake Formation lends, other data with one's own
    rights. [Lake Formation developer guide, Underlying data access control]"""
    path, name = _path(tagged.table.location), "location"
    registered = _registered(o, path)
    if _is_lent(o, who, tagged):
        seen = f"s3://{registered[0]} is registered with {registered[1].role.rpartition('/')[2]}"
        return ChainLink(name, OK, o.central, seen)
    why = f"s3://{path} is not registered with Lake Formation"
    mend = "`tagmesh sweep` registers it"
    if registered:
        why = f"s3://{registered[0]} is in hybrid mode, and {who.written} is not opted in"
        mend = "opt it in, or register the location without hybrid mode (`tagmesh doctor` says what that means)"
    if o.buckets.get(path.partition("/")[0]) == who.account:
        return ChainLink(name, OK, who.account, f"{why}; the bucket is its own account's, and IAM decides")
    return ChainLink(name, MISSING, o.central, f"{why}, so nobody is lent access to the data", mend)


def _is_lent(o: Observed, who: Who, tagged: Tagged) -> bool:
    """Whether Lake Formation lends somebody the registered role for a table's data."""
    registered = _registered(o, _path(tagged.table.location))
    if registered is None:
        return False
    names = [*_names(who), *([who.account] if who.account != o.central else [])]
    return not registered[1].hybrid or _on_table(o, names, tagged) or _on_all_tables(o, names, tagged)


def _path(location: str) -> str:
    """`bucket/prefix` of an S3 location, without a last slash."""
    return location.partition("://")[2].rstrip("/")


def _registered(o: Observed, path: str) -> tuple[str, Location] | None:
    """The longest registered path that a path is, or lies below."""
    covering = [place for place in o.locations if path == place or path.startswith(f"{place}/")]
    longest = max(covering, key=len, default=None)
    return None if longest is None else (longest, o.locations[longest])


def _is_hybrid(o: Observed, location: str) -> bool:
    registered = _registered(o, _path(location))
    return registered is not None and registered[1].hybrid


def _on_database(o: Observed, names: Iterable[str], database: str) -> bool:
    return any(each.principal in names and (each.database, each.table) == (database, "") for each in o.opt_ins)


def _on_table(o: Observed, names: Iterable[str], tagged: Tagged) -> bool:
    place = (tagged.table.database, tagged.table.name)
    return any(each.principal in names and (each.database, each.table) == place for each in o.opt_ins)


def _on_all_tables(o: Observed, names: Iterable[str], tagged: Tagged) -> bool:
    place = (tagged.table.database, "*")
    return any(each.principal in names and (each.database, each.table) == place for each in o.opt_ins)


# ── What one grant gives ──────────────────────────────────────────────────────────────────────────────────────────


def _opening(o: Observed, grants: Iterable[Grant], names: Iterable[str], tagged: Tagged, column: str) -> Grant | None:
    """The first grant to one of some grantees that opens a column."""
    names = set(names)
    found = (grant for grant in grants if grant.principal in names and column in opens(o, grant, tagged))
    return next(found, None)


def _showing(o: Observed, grants: Iterable[Grant], names: Iterable[str], database: str) -> Grant | None:
    """The first grant to one of some grantees that shows a central database."""
    names, seen = set(names), o.databases.get(database)
    tags = seen.tags if seen else {}
    return next((grant for grant in grants if grant.principal in names and _shows(o, grant, database, tags)), None)


def opens(observed: Observed, grant: Grant, tagged: Tagged) -> frozenset[str]:
    """The columns of a table that a grant gives SELECT on, by name or by tag; who reads one of them reads the partition
    keys. [Lake Formation developer guide, permissions reference; TBAC considerations]"""
    if not grant.permissions & {"SELECT", "ALL"}:
        return frozenset()
    table, content = tagged.table, _content(grant)
    if grant.resource.kind == "LFTagPolicy":
        if content["ResourceType"] != "TABLE" or grant.permissions.isdisjoint({"SELECT", "ALL"}):
            return frozenset()
        return readable_columns(table, tagged.tags, _expression(observed, content, tagged.tags))
    if not _is_on_table(grant, table):
        return frozenset()
    every = frozenset(column.name for column in table.all_columns)
    if grant.resource.kind == "Table":
        return every
    chosen = frozenset(column.name for column in table.columns)
    if content.get("ColumnNames"):
        chosen &= frozenset(content["ColumnNames"])
    else:
        excluded = {name.lower() for name in (content.get("ColumnWildcard") or {}).get("ExcludedColumnNames") or ()}
        if not excluded:
            return every
        chosen -= excluded
    return chosen | {key.name for key in table.partition_keys} if chosen else chosen


def _shows(o: Observed, grant: Grant, database: str, tags: Mapping[str, str]) -> bool:
    """Whether a grant shows a database that has these LF-Tags: any permission on it does, and any on all of its tables.
    [Lake Formation developer guide, permissions reference]"""
    content = _content(grant)
    if grant.resource.kind == "LFTagPolicy":
        of_databases = content["ResourceType"] == "DATABASE"
        return of_databases and matches(tags, _expression(o, content, AssignedTags(tags)))
    if grant.resource.kind in ("Table", "TableWithColumns"):
        return content["DatabaseName"] == database and _is_every_table(content)
    return _is_on_database(grant, database)


def _is_on_database(grant: Grant, database: str) -> bool:
    return grant.resource.kind == "Database" and _content(grant)["Name"] == database


def _is_on_table(grant: Grant, table: Table) -> bool:
    if grant.resource.kind not in ("Table", "TableWithColumns"):
        return False
    content = _content(grant)
    return content["DatabaseName"] == table.database and (_is_every_table(content) or content.get("Name") == table.name)


def _is_every_table(content: Mapping[str, Any]) -> bool:
    """The name ALL_TABLES is how Lake Formation lists a grant on every table of a database."""
    return content.get("TableWildcard") is not None or content.get("Name") == "all_tables"


def _expression(o: Observed, content: Mapping[str, Any], tags: AssignedTags) -> Expression:
    """The expression of a policy; one that gives nothing, where its named expression or one of its keys is gone."""
    if content.get("ExpressionName"):
        expression = o.expressions.get(content["ExpressionName"], ())
    else:
        expression = tuple((pair["TagKey"], tuple(pair["TagValues"])) for pair in content["Expression"])
    return () if any(key in o.void for key, _ in expression) else _spelled_out(expression, tags)


def _spelled_out(expression: Expression, tags: AssignedTags) -> Expression:
    """An expression with every value that the tags have of a key in place of `*`, which means any."""
    if not any("*" in values for _, values in expression):
        return expression
    levels = [tags.database, tags.table, *tags.columns.values()]
    return tuple(
        (key, tuple({level[key] for level in levels if key in level}) if "*" in values else values)
        for key, values in expression
    )


def _content(grant: Grant) -> dict[str, Any]:
    return _parsed(grant.resource.body)


@lru_cache(maxsize=4096)
def _parsed(body: str) -> dict[str, Any]:
    return json.loads(body)


# ── Words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _grant_text(grant: Grant) -> str:
    content = _content(grant)
    permissions = "+".join(sorted(grant.permissions))
    if grant.resource.kind == "LFTagPolicy":
        of = content["ResourceType"].lower()
        if content.get("ExpressionName"):
            return f"{permissions} on {of}s of the LF-Tag expression {content['ExpressionName']}"
        pairs = ((pair["TagKey"], pair["TagValues"]) for pair in content["Expression"])
        return f"{permissions} on {of}s with {_expression_text(pairs)}"
    if grant.resource.kind == "Database":
        return f"{permissions} on database {content['Name']} by name"
    if _is_every_table(content):
        return f"{permissions} on all tables of {content['DatabaseName']} by name"
    return f"{permissions} on {content['DatabaseName']}.{content['Name']} by name"


def _expression_text(expression: Iterable[tuple[str, Iterable[str]]]) -> str:
    return " and ".join(
        f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({', '.join(values)})"
        for key, values in ((key, list(values)) for key, values in expression)
    )


def _pairs(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags.items())


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)
