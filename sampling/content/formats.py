"""The values of an object's first rows: CSV, JSON Lines, Parquet and Avro; text plain or packed with gzip or bzip2.

What an object is, is seen by how it begins; how a text is to be read, its table says.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from content import parquet, types
from content.objects import BLOCK, BudgetSpent, NotReadable, RangedObject

#: Text that is unpacked, in multiples of what may be read; and the longest line, in characters.
UNPACKED = 8
LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True)
class Column:
    """A column of the catalogue: its name, lower-case, and its type."""

    name: str
    type: types.Type
    paths: frozenset[str] = field(hash=False)

    @classmethod
    def of(cls, name: str, type_name: str) -> Column:
        """From the catalogue's texts."""
        read = types.parse(type_name)
        return cls(name, read, frozenset(types.paths(name, read)))

    def values(self, value: Any) -> Iterator[tuple[str, Any]]:
        """(path, plain value) of what a value of this column holds; what stands at no path of its type is the column's
        own."""
        for path, each in types.walk(self.name, self.type, value):
            yield (path if path in self.paths else self.name), each


@dataclass(frozen=True)
class Table:
    """How a table's objects are read: `columns` in the catalogue's order; `format` csv or json for text; of CSV its
    characters, and the lines to leave out."""

    columns: tuple[Column, ...]
    format: str = "csv"
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    skipped_lines: int = 0


def values(file: RangedObject, table: Table, rows: int, first: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """(path, plain value) of an object's first rows. Ends where the object's budget is spent.

    Args:
        first: the columns' names, in the order in which they are worth to be read where not all can be.

    Raises:
        NotReadable: it is not what its table says, or broken. Values may have come before.
    """
    begins = file.at(0, 4)
    try:
        if begins == parquet.MAGIC:
            yield from _parquet(file, table, rows, first)
        elif begins == b"Obj\x01":
            yield from _avro(file, table, rows)
        elif table.format == "json":
            yield from _json(_lines(file, begins), table, rows)
        elif table.format == "csv":
            yield from _csv(_lines(file, begins), table, rows)
        else:
            raise NotReadable("a format that is not read here")
    except BudgetSpent:
        return
    except NotReadable:
        raise
    except Exception as error:  # noqa: BLE001 - no list of what broken data can make libraries raise is complete
        raise NotReadable(type(error).__name__) from None  # the message may hold what the data holds


def header_fits(file: RangedObject, table: Table) -> bool:
    """Whether the names in a CSV object's first line stand where the table has them: queries read by position, so that
    another order puts values under others' names. Lines that are shorter or longer than the table fit.

    Raises:
        NotReadable: it is no text, or broken.
    """
    begins = file.at(0, 4)
    if begins in (parquet.MAGIC, b"Obj\x01") or table.format != "csv":
        return True
    try:
        names = next(_rows(_lines(file, begins), table), [])
    except (NotReadable, BudgetSpent):
        raise NotReadable("unreadable") from None
    except Exception as error:  # noqa: BLE001 - as above
        raise NotReadable(type(error).__name__) from None
    return all(_plain(name) in ("", _plain(column.name)) for name, column in zip(names, table.columns, strict=False))


def _plain(name: str) -> str:
    """A name as crawlers fold it, of any way in which they do: letters and digits of lower case."""
    return "".join(character for character in name.lower() if character.isalnum())


# -- binary formats --------------------------------------------------------------------------------------------------


def _parquet(file: RangedObject, table: Table, rows: int, first: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """By the names of columns. A column that is too large for what is left of the budget ends there, and the next
    ones are tried."""
    by_name = {column.name: column for column in table.columns}
    for path, found in parquet.columns(file, rows, first):
        column = by_name[path[0]]
        full = ".".join(path)
        place = full if full in column.paths else column.name
        try:
            for value in found:
                yield place, value
        except BudgetSpent:
            continue


def _avro(file: RangedObject, table: Table, rows: int) -> Iterator[tuple[str, Any]]:
    import fastavro

    for record in islice(fastavro.reader(file), rows):
        yield from _of_record(record, table)


def _of_record(record: Any, table: Table) -> Iterator[tuple[str, Any]]:
    """The values of a record, by name without regard to case."""
    by_name = {str(name).lower(): value for name, value in record.items()}
    for column in table.columns:
        yield from column.values(by_name.get(column.name))


# -- text ------------------------------------------------------------------------------------------------------------


def _json(lines: Iterable[str], table: Table, rows: int) -> Iterator[tuple[str, Any]]:
    """One record a line; lines that are none are left out, as long as some are."""
    found = broken = 0
    for line in lines:
        if found >= rows or broken > rows:
            break
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            broken += 1
            continue
        if isinstance(record, dict):
            found += 1
            yield from _of_record(record, table)
        else:
            broken += 1
    if broken and not found:
        raise NotReadable("no JSON record stands on a line of its own")


def _csv(lines: Iterator[str], table: Table, rows: int) -> Iterator[tuple[str, Any]]:
    """By position, as queries read it."""
    for _ in islice(lines, table.skipped_lines):
        pass
    for row in islice(_rows(lines, table), rows):
        for column, cell in zip(table.columns, row, strict=False):
            if cell:
                yield from column.values(cell)


def _rows(lines: Iterator[str], table: Table) -> Iterator[list[str]]:
    quoting = csv.QUOTE_MINIMAL if table.quote else csv.QUOTE_NONE
    return csv.reader(lines, delimiter=table.delimiter, quotechar=table.quote, escapechar=table.escape, quoting=quoting)


def _lines(file: RangedObject, begins: bytes) -> Iterator[str]:
    """The lines of a text, each with its end; where it is cut by the budget, only whole ones."""
    pending = ""
    for piece in _decoded(_unpacked(_pieces(file), begins, file.left() * UNPACKED)):
        if "\0" in piece:
            raise NotReadable("no text")
        *whole, pending = (pending + piece).split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(pending) > LONGEST_LINE:
            raise NotReadable("a line without an end")
    if pending:
        yield pending


def _pieces(file: RangedObject) -> Iterator[bytes]:
    position = 0
    while piece := file.at(position, BLOCK):
        position += len(piece)
        yield piece


def _unpacked(pieces: Iterable[bytes], begins: bytes, most: int) -> Iterator[bytes]:
    """The pieces without their packing, up to `most` bytes."""
    if begins[:2] == b"\x1f\x8b":
        return _decompressed(pieces, lambda: zlib.decompressobj(wbits=31), most)
    if begins[:3] == b"BZh":
        return _decompressed(pieces, bz2.BZ2Decompressor, most)
    return iter(pieces)


def _decompressed(pieces: Iterable[bytes], new: Callable[[], Any], most: int) -> Iterator[bytes]:
    """A packed file may have several members, one after the other."""
    unpacker, size = new(), 0
    for piece in pieces:
        while piece or not getattr(unpacker, "needs_input", True):
            unpacked = unpacker.decompress(piece, BLOCK)
            size += len(unpacked)
            if unpacked:
                yield unpacked
            if size > most:
                raise BudgetSpent
            if unpacker.eof:
                piece, unpacker = unpacker.unused_data, new()
            else:
                piece = getattr(unpacker, "unconsumed_tail", b"")


def _decoded(pieces: Iterator[bytes]) -> Iterator[str]:
    """UTF-8, which is what queries read. Bytes that are none are replaced: they are in no value that is looked for."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)
