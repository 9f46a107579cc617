"""CSV files of columns: `database,table,column,type,comment`, the last two perhaps empty or absent, and more beside."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tagmesh.catalog import Column, Table
from tagmesh.governance import DataProduct, Governance

from cli.local import LocalAwsError

NEEDED = ("database", "table", "column")
#: Where tables of databases that no data product names are classified: every LF-Tag that rules decide is decided.
NOWHERE = DataProduct("", "", "", "", "")


class BadColumns(LocalAwsError):
    """The file cannot be read as columns; the text says where and what to do."""


@dataclass(frozen=True)
class ColumnFile:
    """A file as read: the names of its columns, and its rows, in its order."""

    fields: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def tables(self) -> dict[tuple[str, str], Table]:
        """(database, table) -> the table with all its columns, wherever their rows stand; a column that stands twice is
        the first one's."""
        columns: dict[tuple[str, str], dict[str, Column]] = {}
        for row in self.rows:
            column = Column(row["column"], row.get("type") or "", row.get("comment") or "")
            columns.setdefault((row["database"], row["table"]), {}).setdefault(row["column"], column)
        return {place: Table(*place, tuple(found.values())) for place, found in columns.items()}


def read(path: Path) -> ColumnFile:
    """The columns of a file. Raises BadColumns."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise BadColumns(f"{path}: there is no such file") from None
    except OSError as error:
        raise BadColumns(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise BadColumns(f"{path}:{line}: not UTF-8: save the file as UTF-8 text") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    fields = tuple(reader.fieldnames or ())
    if missing := [name for name in NEEDED if name not in fields]:
        raise BadColumns(
            f"{path}:1: the first line names no {' and no '.join(missing)}: "
            "write database,table,column,type,comment; the last two may be left out"
        )
    if len(set(fields)) < len(fields):
        raise BadColumns(f"{path}:1: a name stands twice in the first line: rename one")
    return ColumnFile(fields, tuple(_rows(path, reader)))


def _rows(path: Path, reader: csv.DictReader) -> Iterable[dict[str, str]]:
    try:
        for row in reader:
            if None in row:
                raise BadColumns(f"{path}:{reader.line_num}: more values than the first line has names: quote commas")
            if empty := [name for name in NEEDED if not row[name]]:
                raise BadColumns(f"{path}:{reader.line_num}: no {' and no '.join(empty)} is written")
            yield {name: value or "" for name, value in row.items()}
    except csv.Error as error:
        raise BadColumns(f"{path}:{reader.line_num}: not CSV: {error}") from error


def data_product(governance: Governance, database: str) -> DataProduct:
    """The data product of a database; one that assigns nothing, for a database that no data product names."""
    return governance.data_product_of_database(database.lower()) or NOWHERE
