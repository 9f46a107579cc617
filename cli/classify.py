"""`tagmesh classify`: the LF-Tags that the rules give columns of a file, or of a mesh's catalogue."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tagmesh.governance import Governance
from tagmesh.resolution import Decision

from cli import column_file
from cli.column_file import ColumnFile
from cli.mesh import Mesh

#: Outcomes, the weightiest first: what is said of a governance without an ordered LF-Tag.
OUTCOMES = ("override", "raised", "assigned", "cleared", "default")


@dataclass(frozen=True)
class Classified:
    """A column with its decisions: key -> Decision of the keys that rules decide; ``assigned`` are those that its data
    product assigns to the database."""

    database: str
    table: str
    column: str
    type: str
    assigned: Mapping[str, str]
    decisions: Mapping[str, Decision]

    def values(self, governance: Governance) -> dict[str, str]:
        """key -> value, of every LF-Tag that is decided or assigned, in the order of mesh.yaml."""
        decided = {key: decision.value for key, decision in self.decisions.items()}
        merged = {**self.assigned, **decided}
        return {key.name: merged[key.name] for key in governance.lf_tags if key.name in merged}

    def outcome(self, governance: Governance) -> str:
        """The outcome of the ordered LF-Tag, or of the first that is decided where none is ordered."""
        ordered = [key.name for key in governance.lf_tags if key.ordered and key.name in self.decisions]
        names = ordered or list(self.decisions)
        return self.decisions[names[0]].outcome if names else "assigned"

    def rules(self) -> list[str]:
        """The rules that gave any of the values."""
        return sorted({rule for decision in self.decisions.values() for rule in decision.rules})


def of_file(governance: Governance, file: ColumnFile) -> list[Classified]:
    """One for each row, in its order. Rows of a table are decided together, wherever they stand."""
    decided = {
        place: (
            dict(column_file.data_product(governance, place[0]).tags),
            governance.classifier.decide(column_file.data_product(governance, place[0]), table).columns,
        )
        for place, table in file.tables().items()
    }
    found = []
    for row in file.rows:
        assigned, columns = decided[row["database"], row["table"]]
        found.append(
            Classified(
                row["database"], row["table"], row["column"], row.get("type", ""), assigned, columns[row["column"]]
            )
        )
    return found


def of_mesh(governance: Governance, mesh: Mesh) -> Iterator[Classified]:
    """One for each column and partition key of the data products' tables."""
    for product in governance.data_products:
        closed = mesh.closed(product)
        for table in mesh.tables(product):
            content = mesh.content(product, table.name)
            decided = governance.classifier.decide(product, table, content=content, closed=closed(table.name))
            for column in table.all_columns:
                yield Classified(
                    table.database,
                    table.name,
                    column.name,
                    column.type,
                    dict(product.tags),
                    decided.columns[column.name],
                )


def write_csv(governance: Governance, file: ColumnFile | None, found: Iterable[Classified]) -> None:
    """To standard output: the columns of the file, then one for each LF-Tag, `outcome` and `rules`."""
    fields = file.fields if file else ("database", "table", "column", "type")
    rows = file.rows if file else None
    keys = _keys(governance)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*fields, *keys, "outcome", "rules"])
    for number, each in enumerate(found):
        given = [rows[number][name] for name in fields] if rows else [each.database, each.table, each.column, each.type]
        values = each.values(governance)
        writer.writerow(
            [*given, *(values.get(key, "") for key in keys), each.outcome(governance), ";".join(each.rules())]
        )
    sys.stdout.write(out.getvalue())


def _keys(governance: Governance) -> list[str]:
    """The LF-Tags that get a column: those that rules decide anywhere, or that data products assign."""
    return [key.name for key in governance.lf_tags]


def write_json(governance: Governance, found: Iterable[Classified]) -> None:
    """To standard output: a list, each column with its decisions and their whole reasons."""
    said = [
        {
            "database": each.database,
            "table": each.table,
            "column": each.column,
            "type": each.type,
            "tags": each.values(governance),
            "outcome": each.outcome(governance),
            "rules": each.rules(),
            "decisions": {key: decision.as_json() for key, decision in each.decisions.items()},
        }
        for each in found
    ]
    print(json.dumps({"version": governance.digest, "columns": said}, indent=2, ensure_ascii=False))


def write_table(governance: Governance, found: Iterable[Classified]) -> None:
    """To standard output: for people."""
    rows = [
        (
            f"{each.database}.{each.table}.{each.column}",
            *(each.values(governance).get(key, "") for key in _keys(governance)),
            each.outcome(governance),
            " ".join(each.rules()),
        )
        for each in found
    ]
    header = ("column", *_keys(governance), "outcome", "rules")
    widths = [max(len(row[n]) for row in [header, *rows]) for n in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
