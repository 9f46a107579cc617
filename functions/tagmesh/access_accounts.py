"""The links of the chain through the accounts: principal, grants, shares, doors, databases, resource links. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tagmesh.access_chain import MISSING, OK, UNKNOWN, ChainLink
from tagmesh.access_data import (
    iam_link,
    is_hybrid,
    location_link,
    opted_in_to_all_tables,
    opted_in_to_database,
    opted_in_to_table,
)
from tagmesh.access_grants import is_on_database, is_on_table, names_of, opens, shows
from tagmesh.grants import IAM_ALLOWED, Grant, written
from tagmesh.observed import Account, Link, Observed, Tagged, Who


def ways(o: Observed, who: Who, tagged: Tagged, column: str) -> Iterator[list[ChainLink]]:
    """The chains through the accounts by which somebody may come to a column: the central account's grant to the
    account, which that one passed on; or the central account's grant to the principal itself."""
    start = _principal_link(o, who)
    if who.account == o.central:
        yield [start, _granted_at_home(o, who, tagged, column), *_asked(o, who, tagged, tagged.table.database)]
        return
    link = link_to(o, who, tagged.table.database)
    rest = [
        _door_link(o, who, tagged),
        _database_link(o, who, tagged.table.database),
        *_link_links(o, who, tagged.table.database, link),
        *_asked(o, who, tagged, link.name if link else tagged.table.database),
    ]
    yield [start, *_granted_by_account(o, who, tagged, column), *rest]
    for name in names_of(who):
        if _opening(o, o.account(o.central).grants, [name], tagged, column):
            yield [start, *_granted_directly(o, who, name, tagged, column), *rest]


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
    names = names_of(who)
    alone = [] if opted_in_to_table(o, names, tagged) or opted_in_to_all_tables(o, names, tagged) else [IAM_ALLOWED]
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
    regrant = _opening(o, account.regrants, names_of(who), tagged, column)
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
        return ChainLink(name, OK, account, f"{written(grant)} is granted to {grant.principal}")
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
    on_database = any(is_on_database(grant, database) for grant in iam_alone)
    on_table = any(is_on_table(grant, tagged.table) for grant in iam_alone)
    names = [*names_of(who), who.account]
    places = [o.databases[database].location, *o.databases[database].tables.values()]
    in_hybrid = any(is_hybrid(o, place) for place in places)
    to_database = opted_in_to_database(o, names, database) and o.version >= 4 and in_hybrid
    on_all = opted_in_to_all_tables(o, names, tagged) and opted_in_to_database(o, names, database)
    opted_in = opted_in_to_table(o, names, tagged) or on_all
    to_table = opted_in and o.version >= 4 and is_hybrid(o, tagged.table.location)
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
    for grantee in names_of(who):
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
    grant = _showing(o, account.regrants, names_of(who), database)
    if grant is None and who.arn not in account.administrators:
        seen = f"account {who.account} does not pass on DESCRIBE on database {database} to {who.written}"
        return ChainLink(name, MISSING, who.account, seen, "`tagmesh sweep` grants what the governance files give")
    how = f"by {written(grant)}" if grant else "as an administrator of its account"
    return ChainLink(name, OK, who.account, f"{who.written} sees {database} of the central account {how}")


def _recipient(grantee: str) -> str:
    """Whom RAM shares with for a grant: for one to all of an account's principals, that account."""
    return grantee if grantee.startswith("arn:") else grantee.partition(":")[0]


def link_to(o: Observed, who: Who, database: str) -> Link | None:
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
    names = [*names_of(who), IAM_ALLOWED]
    tags = account.default_tags if database == "default" else {}
    return who.arn in account.administrators or any(
        grant.principal in names and shows(o, grant, database, tags) for grant in account.grants
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
    yield iam_link(o, who, tagged, name)
    yield location_link(o, who, tagged)


def _opening(o: Observed, grants: Iterable[Grant], names: Iterable[str], tagged: Tagged, column: str) -> Grant | None:
    """The first grant to one of some grantees that opens a column."""
    names = set(names)
    found = (grant for grant in grants if grant.principal in names and column in opens(o, grant, tagged))
    return next(found, None)


def _showing(o: Observed, grants: Iterable[Grant], names: Iterable[str], database: str) -> Grant | None:
    """The first grant to one of some grantees that shows a central database."""
    names, seen = set(names), o.databases.get(database)
    tags = seen.tags if seen else {}
    return next((grant for grant in grants if grant.principal in names and shows(o, grant, database, tags)), None)
