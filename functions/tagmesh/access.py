"""Who can read what of a mesh as it was seen (`tagmesh.observed`), and why, and why not. Pure.

`can` answers for one principal and one column with the whole chain, from the governance files (`access_files`) through
grants, share, regrant and resource link (`access_accounts`) to IAM and the registered location (`access_data`), each
link of it with what was seen, in which account, and how to mend it. Who reads through something that the governance
files did not give (a named grant, say) is readable all the same: the answer is what Athena would give.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tagmesh.access_accounts import link_to, ways
from tagmesh.access_chain import BYPASSED, MISSING, OK, UNKNOWN, Answer, ChainLink
from tagmesh.access_data import needs_of
from tagmesh.access_files import of_files
from tagmesh.observed import Need, Observed, Who

OF_FILES = ("consumer", "subscription", "approval", "tags")
"""Links of the chain that the governance files decide: without them one may still read, by what others have granted."""


def can(observed: Observed, who: Who, database: str, table: str, column: str) -> Answer:
    """Whether somebody can read a column with Athena: in the own account by its name, elsewhere through a resource link
    to its database. KeyError if there is no such table; the column must be one of it.

    What is read past Lake Formation, with rights on the bucket in another account, is not counted, nor what a grant on
    a data cells filter gives: `tagmesh doctor` looks for both. Nor is a registered role that cannot read the bucket.
    """
    tagged = observed.tables[database, table]
    files = of_files(observed, who, tagged, column)
    accounts = min(ways(observed, who, tagged, column), key=lambda way: sum(link.state == MISSING for link in way))
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


def iam_needs(observed: Observed, arn: str, database: str, table: str) -> tuple[list[Need], list[list[Need]]]:
    """What IAM must allow a principal so that it can query a table: all of the first, and all of one of the second, a
    workgroup each. A call on a table needs its action on the catalogue, the database and the table, of the link and of
    its target alike. [Glue guide, Resource ARNs; Lake Formation developer guide, How resource links work]"""
    who = Who(arn, arn.split(":")[4], arn)
    tagged = observed.tables[database, table]
    link = link_to(observed, who, database) if who.account != observed.central else None
    return needs_of(observed, who, tagged, link.name if link else database)
