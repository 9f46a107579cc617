"""`tagmesh explain`: the decision about a column, and its whole reason, for a person who did not write the rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import DataProduct, Governance
from tagmesh.resolution import Decision, Match, TableDecision

from cli.column_file import ColumnFile, data_product
from cli.local import LocalAwsError
from cli.mesh import Mesh

SHOWN = 8  # names that a message holds


class NotFound(LocalAwsError):
    """There is no such table or column; the text names those that are alike."""


@dataclass(frozen=True)
class Explained:
    """A table with the decisions about its columns, and, of a running mesh, the LF-Tags that it carries now."""

    product: DataProduct
    table: Table
    decision: TableDecision
    carried: AssignedTags | None = None


def of_file(governance: Governance, file: ColumnFile, database: str, table: str) -> Explained:
    """What the rules say of a table of a file. Raises NotFound."""
    tables = {(place[0].lower(), place[1].lower()): found for place, found in file.tables().items()}
    found = tables.get((database.lower(), table.lower()))
    if found is None:
        name = f"{database}.{table}"
        raise NotFound(f"the file has no table {name}; {_some('it has', [f'{d}.{t}' for d, t in tables], name)}")
    product = data_product(governance, found.database)
    return Explained(product, found, governance.classifier.decide(product, found))


def of_mesh(mesh: Mesh, database: str, table: str) -> Explained:
    """What the governance in force says of a table of the mesh. Raises NotFound."""
    governance = mesh.governance
    product = governance.data_product_of_database(database.lower())
    if product is None:
        known = [product.database for product in governance.data_products]
        raise NotFound(f"no data product has the database {database}; {_some('there are', known, database)}")
    tables = {found.name: found for found in mesh.tables(product)}
    found = tables.get(table.lower())
    if found is None:
        raise NotFound(f"{database} has no table {table}; {_some('it has', list(tables), table)}")
    content, closed = mesh.content(product, found.name), mesh.closed(product)(found.name)
    decided = governance.classifier.decide(product, found, content=content, closed=closed)
    return Explained(product, found, decided, mesh.tags(found))


def columns_of(explained: Explained, column: str | None) -> list[str]:
    """The columns that were asked for, as the table has them: one, or all. Raises NotFound."""
    names = [each.name for each in explained.table.all_columns]
    if column is None:
        return names
    alike = [name for name in names if name.lower() == column.lower()]
    if not alike:
        place = f"{explained.table.database}.{explained.table.name}"
        raise NotFound(f"{place} has no column {column}; {_some('it has', names, column)}")
    return alike


def _some(what: str, names: list[str], wanted: str) -> str:
    """Those that are alike, or the first."""
    shown = get_close_matches(wanted.lower(), names, SHOWN, cutoff=0.5) or sorted(names)[:SHOWN]
    more = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{what} {', '.join(shown)}{more}" if names else "there is none yet"


def lines(governance: Governance, explained: Explained, names: Iterable[str]) -> list[str]:
    """For people: each column with its LF-Tags and why it has them."""
    said: list[str] = []
    types = {column.name: column.type for column in explained.table.all_columns}
    places = {rule.id: rule.place for rule in governance.rules}
    keys = {key.name for key in explained.table.partition_keys}
    spoken_of = governance.ruled_keys
    for name in names:
        kind = ", a partition key" if name in keys else ""
        described = f" ({types[name]}{kind})" if types[name] or kind else ""
        said += ["", f"{explained.table.database}.{explained.table.name}.{name}{described}"]
        for key, value in explained.product.tags:
            said.append(f"  {key} = {value}: the data product {_product(explained.product)} has it")
        for key, decision in explained.decision.columns[name].items():
            if key in spoken_of or decision.outcome != "default":
                said += _decision(key, decision, places)
        said += _carried(explained, name)
    for finding in explained.decision.findings:
        if not finding.subject.endswith(tuple(f".{name}" for name in names)):
            continue
        said += ["", f"finding {finding.code}: {finding.message}", f"  mend: {finding.mend}"]
    return [*said[1:], "", f"governance version {governance.digest[:12]}"]


def _product(product: DataProduct) -> str:
    return f"{product.producer}/{product.name}"


def _decision(key: str, decision: Decision, places: Mapping[str, str]) -> list[str]:
    said = [f"  {key} = {decision.value}: {decision.outcome}, because {decision.because}"]
    said += [f"    by {_match(match, places)}" for match in decision.winners]
    said += [f"    not by {_match(match, places)}: {match.lost}" for match in decision.losers]
    return [*said, f"    to change it: {_change(decision)}"]


def _match(match: Match, places: Mapping[str, str]) -> str:
    effect = {"raise": "raises it to", "clear": "clears it to", "assign": "assigns"}[match.effect]
    return f"{match.rule} ({places.get(match.rule, '?')}), which {effect} {match.value}, matching {_and(match.matched)}"


def _and(matched: tuple[str, ...]) -> str:
    shown = list(matched[:6]) + ([f"{len(matched) - 6} more"] if len(matched) > 6 else [])
    return " and ".join(shown) if shown else "whatever the column"


def _change(decision: Decision) -> str:
    rules = ", ".join(decision.rules)
    if decision.outcome == "raised" and rules:
        return f"a rule that clears it `over: {rules}`, or an override that a second person approves"
    if decision.outcome == "override":
        return "remove the override; the rules then hold"
    if decision.outcome == "by hand":
        return f"remove the tag in Lake Formation; the rules then give {decision.ruled}"
    if decision.outcome == "default":
        return "write a rule that speaks of it (`tagmesh coverage` suggests some), or an approved override"
    return "a rule that raises it, or an override"


def _carried(explained: Explained, name: str) -> list[str]:
    if explained.carried is None:
        return []
    carried = explained.carried.effective(name)
    wanted = {key: decision.value for key, decision in explained.decision.columns[name].items()}
    differing = {key: value for key, value in wanted.items() if carried.get(key) != value}
    if not differing:
        return ["  Lake Formation carries these values"]
    return [
        f"  Lake Formation carries {key} = {carried.get(key, 'nothing')}: the next run assigns {value}, or keeps a "
        "person's stricter tag"
        for key, value in differing.items()
    ]


def as_json(governance: Governance, explained: Explained, names: Iterable[str]) -> dict[str, Any]:
    """The same, as JSON has it."""
    places = {rule.id: rule.place for rule in governance.rules}
    return {
        "database": explained.table.database,
        "table": explained.table.name,
        "version": governance.digest,
        "data_product": _product(explained.product) if explained.product.name else None,
        "columns": {
            name: {
                "assigned": dict(explained.product.tags),
                "decisions": {
                    key: {**decision.as_json(), "change": _change(decision)}
                    for key, decision in explained.decision.columns[name].items()
                },
                **({"carried": explained.carried.effective(name)} if explained.carried is not None else {}),
            }
            for name in names
        },
        "rules": {rule: places[rule] for rule in sorted(_spoken(explained, names)) if rule in places},
        "findings": [
            {"code": f.code, "subject": f.subject, "message": f.message, "mend": f.mend}
            for f in explained.decision.findings
        ],
    }


def _spoken(explained: Explained, names: Iterable[str]) -> set[str]:
    return {
        match.rule
        for name in names
        for decision in explained.decision.columns[name].values()
        for match in decision.winners + decision.losers
    }
