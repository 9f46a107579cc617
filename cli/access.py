"""`tagmesh can`, `tagmesh access` and `tagmesh who`: who can read what, through what, and if not, why not."""

import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tagmesh.access import OF_FILES, can, first_missing, through
from tagmesh.access_chain import BYPASSED, MISSING, OK, UNKNOWN, Answer
from tagmesh.access_grants import opens
from tagmesh.aws import observation, principals
from tagmesh.governance import Principal
from tagmesh.grants import IAM_ALLOWED
from tagmesh.observed import Observed, Who

from cli import approve, principal
from cli.local import LocalAwsError
from cli.mesh import Mesh

SHOWN = 8  # names that a message holds


class NotFound(LocalAwsError):
    """There is no such database, table or column; the text names those that are alike."""


@dataclass(frozen=True)
class Place:
    """What was asked about: a database, and perhaps a table of it, and perhaps a column of that."""

    database: str
    table: str | None = None
    column: str | None = None

    @staticmethod
    def parse(written: str) -> "Place":
        """DB, DB.TABLE or DB.TABLE.COLUMN. Raises NotFound for what is none of these."""
        parts = written.lower().split(".", 2)
        if not all(parts):
            raise NotFound(f"{written} is no DATABASE, DATABASE.TABLE or DATABASE.TABLE.COLUMN")
        return Place(*parts)


@dataclass(frozen=True)
class Found:
    """What somebody can and cannot read of some tables: (database, table, column) -> the answer."""

    who: Who
    answers: dict[tuple[str, str, str], Answer]


# ── Asking ────────────────────────────────────────────────────────────────────────────────────────────────────────


def ask_can(mesh: Mesh, written: str, column: str) -> tuple[Who, Answer]:
    """Whether somebody can read one column. Raises LocalAwsError for who or what is not there to be asked about."""
    place = Place.parse(column)
    if place.column is None:
        raise NotFound(f"{column} is no column: write DATABASE.TABLE.COLUMN")
    found = ask_access(mesh, written, column)
    ((_, answer),) = found.answers.items()
    return found.who, answer


def ask_access(mesh: Mesh, written: str, about: str | None) -> Found:
    """What somebody can read: of everything, or of a database, a table or a column. Raises LocalAwsError."""
    asked = principal.parse(written, mesh.governance)
    places = _places(mesh, about)
    clients_in = _clients_in(mesh)
    try:
        who = principal.who(asked, clients_in(asked.account))
    except observation.NotReachable:
        # Whether they are there cannot be told; what the files and the central account say can.
        who = Who(written, asked.account, asked.arn, asked.candidates)
    seen = _observe(mesh, clients_in, places, [asked.account])
    seen = observation.with_iam(seen, [who], clients_in)
    return Found(who, {each: can(seen, who, *each) for each in _columns(seen, places)})


def ask_who(mesh: Mesh, column: str) -> list[tuple[Who, Answer]]:
    """Everybody whom the files name or a grant reaches, with whether they can read a column. Raises LocalAwsError."""
    place = Place.parse(column)
    if place.column is None:
        raise NotFound(f"{column} is no column: write DATABASE.TABLE.COLUMN")
    places, clients_in = _places(mesh, column), _clients_in(mesh)
    accounts = {consumer.account for consumer in mesh.governance.consumers}
    seen = _observe(mesh, clients_in, places, accounts)
    (asked,) = _columns(seen, places)
    people = list(everybody(seen, asked, clients_in))
    seen = observation.with_iam(seen, people, clients_in)
    return [(who, can(seen, who, *asked)) for who in people]


def _places(mesh: Mesh, about: str | None) -> list[Place]:
    """The databases asked about: those that data products have."""
    databases = [product.database for product in mesh.governance.data_products]
    if about is None:
        return [Place(database) for database in databases]
    place = Place.parse(about)
    if place.database not in databases:
        raise NotFound(f"no data product has the database {place.database}; {_some('there are', databases, about)}")
    return [place]


def _observe(mesh: Mesh, clients_in: Callable[[str], Any], places: list[Place], accounts: Iterable[str]) -> Observed:
    """The mesh as far as the places and accounts go, with what the rules say of the tables."""
    table = places[0].table if len(places) == 1 else None
    wanted = [place.database for place in places]
    try:
        seen = observation.observe(
            mesh.governance, mesh.account, mesh.region, clients_in, wanted, accounts, table, skip=len(places) > 1
        )
    except observation.NotThere as error:
        raise NotFound(str(error)) from error
    decisions = {}
    for database in seen.databases:
        product = mesh.governance.data_product_of_database(database)
        closed = mesh.closed(product)
        for (of, name), tagged in seen.tables.items():
            if of == database:
                content = mesh.content(product, name)
                decide = mesh.governance.classifier.decide
                decisions[of, name] = decide(product, tagged.table, content=content, closed=closed(name))
    decided = approve.records(mesh, mesh.governance).items()
    denied = {key: str(record.decision) for key, record in decided if record.decision and not record.approved}
    return replace(seen, decisions=decisions, denied=denied)


def _columns(seen: Observed, places: list[Place]) -> list[tuple[str, str, str]]:
    """The columns asked about, in the tables' order. Raises NotFound where the table or the column is not there."""
    found = []
    for place in places:
        tables = {name: each.table for (database, name), each in seen.tables.items() if database == place.database}
        if place.table is not None and place.table not in tables:
            known = _some("it has", list(seen.databases[place.database].tables), place.table)
            raise NotFound(f"{place.database} has no table {place.table}; {known}")
        for name, table in tables.items():
            columns = [column.name for column in table.all_columns]
            if place.column is not None:
                if place.column not in columns:
                    known = _some("it has", columns, place.column)
                    raise NotFound(f"{place.database}.{name} has no column {place.column}; {known}")
                columns = [place.column]
            found += [(place.database, name, column) for column in columns]
    return found


def _some(what: str, names: list[str], wanted: str) -> str:
    shown = get_close_matches(wanted.lower(), names, SHOWN, cutoff=0.5) or sorted(names)[:SHOWN]
    more = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{what} {', '.join(shown)}{more}" if names else "there is none yet"


def _clients_in(mesh: Mesh) -> Callable[[str], Any]:
    """Account -> what makes clients that may look there; NotReachable where the role for that cannot be assumed."""

    @cache
    def clients_in(account: str) -> Callable[[str], Any]:
        try:
            return mesh.readers_in(account)
        except (ClientError, BotoCoreError) as error:
            raise observation.NotReachable(str(error)) from error

    return clients_in


def everybody(seen: Observed, column: tuple[str, str, str], clients_in: Callable[[str], Any]) -> Iterator[Who]:
    """Whom the files name, with their ARNs; then whoever else a grant that reaches the column names, be it all of an
    account."""
    known: set[str | None] = set()
    for consumer in sorted(seen.governance.consumers, key=lambda each: each.name):
        withheld = [each.subscription for each in seen.governance.withheld if each.consumer == consumer.name]
        for named in sorted({*consumer.principals, *(p for each in withheld for p in each.principals)}):
            arn = _find(clients_in, consumer.account, named)
            if arn is None or arn not in known:
                yield Who(f"{consumer.name}/{named.name}", consumer.account, arn, (named,))
            known.add(arn)
    tagged, name = seen.tables[column[:2]], column[2]
    grants = [grant for each in seen.accounts.values() for grant in each.regrants]
    grants += seen.account(seen.central).grants
    reached = {grant.principal for grant in grants if name in opens(seen, grant, tagged)}
    for each in sorted(reached - known):
        if each == IAM_ALLOWED:
            yield Who(f"everybody of account {seen.central} whom IAM lets", seen.central, IAM_ALLOWED)
        elif each.endswith(":IAMPrincipals"):
            account = each.partition(":")[0]
            yield Who(f"every principal of account {account} whom IAM lets", account, each)
        elif ":iam::" in each:
            account = each.split(":")[4]
            yield Who(each, account, each if _exists(clients_in, account, each) else None)


def _find(clients_in: Callable[[str], Any], account: str, named: Principal) -> str | None:
    try:
        return principals.find(clients_in(account)("iam"), [named], account)[named]
    except observation.NotReachable:
        return None


def _exists(clients_in: Callable[[str], Any], account: str, arn: str) -> bool:
    """Whether somebody is there; a grant may name who was deleted. Who cannot be looked for is taken to be."""
    try:
        return principal.exists(clients_in(account)("iam"), arn)
    except observation.NotReachable:
        return True


# ── Saying ────────────────────────────────────────────────────────────────────────────────────────────────────────

MARKS = {OK: "ok", MISSING: "MISSING", UNKNOWN: "unknown", BYPASSED: "without"}
WIDEST = 120  # characters of a line; a narrower terminal has narrower ones


def can_lines(who: Who, column: str, answer: Answer) -> list[str]:
    """For people: yes or no, why, what mends it, and the chain."""
    verdict = "yes: {} can read {}" if answer.readable else "no: {} cannot read {}"
    said = [verdict.format(who.written, column)]
    if answer.readable:
        said += _by_no_file(answer, "  ")
        said += [line for link in through(answer.chain) for line in _wrapped("  through  ", link.seen)]
    else:
        first = first_missing(answer)
        said += _wrapped("  why      ", f"{first.seen} (account {first.account})")
        said += _wrapped("  mend     ", first.mend)
    said += ["", "The chain, from the governance files to the rows:"]
    for link in answer.chain:
        head = f"  {MARKS[link.state]:7}  {link.name.replace('_', ' ')}, in {link.account}: "
        said += _wrapped(head, link.seen, indent=11)
    return said


def access_lines(found: Found) -> list[str]:
    """For people: table by table which columns are read, by which tags and rules, and through which grants and links;
    and why the others are not."""
    said = [f"{found.who.written} ({found.who.arn or 'not there'}, account {found.who.account})"]
    tables: dict[tuple[str, str], dict[str, Answer]] = {}
    for (database, table, column), answer in found.answers.items():
        tables.setdefault((database, table), {})[column] = answer
    for (database, table), answers in tables.items():
        readable = {column: answer for column, answer in answers.items() if answer.readable}
        said += ["", f"{database}.{table}: reads {len(readable)} of {len(answers)} columns"]
        ways: dict[tuple[str, ...], None] = {}
        wide = max(map(len, answers))
        for column, answer in readable.items():
            tags, *way = _way(answer, f"{database}.{table}.{column} ")
            ways |= {tuple(way): None}
            said += _wrapped(f"  reads  {column:{wide}}  ", tags)
        for reason, columns in _reasons(answers, f"{database}.{table}").items():
            said += (
                _wrapped(f"  not    {columns[0]:{wide}}  ", reason)
                if len(columns) == 1
                else [
                    *_wrapped("  not    ", ", ".join(columns)),
                    *_wrapped(f"         {'':{wide}}  ", reason),
                ]
            )
        said += [line for way in ways for each in way for line in _wrapped("  by     ", each)]
    if not tables:
        said += ["", "nothing has been crawled yet"]
    return said


def _way(answer: Answer, column: str) -> list[str]:
    """Through what a column is read, said without its name: its tags first."""
    by_no_file = [line.strip() for line in _by_no_file(answer, "")]
    return [*by_no_file, *(link.seen.removeprefix(column) for link in through(answer.chain))]


def _by_no_file(answer: Answer, indent: str) -> list[str]:
    """That nothing of the governance files gives what is readable all the same."""
    bypassed = [link for link in answer.chain if link.state == BYPASSED]
    return _wrapped(f"{indent}BY NO FILE  ", bypassed[-1].seen) if bypassed else []


def _reasons(answers: dict[str, Answer], table: str) -> dict[str, list[str]]:
    """First missing link -> the columns for which it is."""
    found: dict[str, list[str]] = {}
    for column, answer in answers.items():
        if not answer.readable:
            seen = first_missing(answer).seen.removeprefix(f"{table}.{column} ")
            found.setdefault(seen, []).append(column)
    return found


def who_lines(column: str, found: list[tuple[Who, Answer]]) -> list[str]:
    """For people: who reads it and through what; then whom the files or a grant name, and who does not."""
    readers = [(who, answer) for who, answer in found if answer.readable]
    others = [(who, answer) for who, answer in found if not answer.readable]
    said = [f"{column} is read by {len(readers)} of the {len(found)} whom a file, or a grant that reaches it, names"]
    for who, answer in readers:
        said += ["", f"{who.written} ({who.arn}, account {who.account})"]
        said += [line for each in _way(answer, f"{column} ") for line in _wrapped("  by  ", each)]
    said += ["", "Not by"] if others else []
    for who, answer in others:
        missing = [link for link in answer.chain if link.state == MISSING]
        if any(link.name == "subscription" for link in missing):  # a grant names it, and that is not enough
            missing = [link for link in missing if link.name not in OF_FILES]
        said += _wrapped(f"  {who.written}: ", missing[0].seen.removeprefix(f"{column} "), indent=4)
    return said


def _wrapped(head: str, text: str, indent: int | None = None) -> list[str]:
    """A line, and what does not fit into it below: the text, or as far in as said."""
    width = max(min(shutil.get_terminal_size().columns, WIDEST), 60)
    below = " " * (min(len(head), 24) if indent is None else indent)
    return textwrap.wrap(head + text, width, subsequent_indent=below, break_long_words=False, break_on_hyphens=False)


def access_json(found: Found) -> dict[str, Any]:
    """Every column asked about, with whether it is readable, the reason, and through what."""
    tables: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (database, table, column), answer in found.answers.items():
        tables.setdefault((database, table), []).append({"column": column, **_told(answer)})
    return {
        "principal": found.who.written,
        "arn": found.who.arn,
        "account": found.who.account,
        "tables": [{"database": d, "table": t, "columns": columns} for (d, t), columns in tables.items()],
    }


def who_json(column: str, found: list[tuple[Who, Answer]]) -> dict[str, Any]:
    """Readers, and those who are named and do not read."""
    told = [{"principal": w.written, "arn": w.arn, "account": w.account, **_told(answer)} for w, answer in found]
    return {
        "column": column,
        "readers": [each for each in told if each["readable"]],
        "others": [each for each in told if not each["readable"]],
    }


def _told(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"readable": answer.readable, "reason": answer.reason}
    if answer.readable:
        told["through"] = {link.name: link.seen for link in through(answer.chain)}
    else:
        told["missing"] = first_missing(answer).name
    return told
