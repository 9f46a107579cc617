"""The first values of each column of a Parquet file: footer, then the first pages of each column, and no more.

A reader of whole files (pyarrow: 166 MB of the 250 that a function may have) reads whole pages of whole row groups, and
what it says of a broken one may hold values. What is needed here is little: no rows are put together, so of the levels
only the number of values that are there counts.
Source: Apache Parquet format specification (parquet.thrift, Encodings.md, Data Pages, Logical Types).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from content.objects import NotReadable, RangedObject

MAGIC = b"PAR1"
MOST_METADATA = 16 * 1024 * 1024  # bytes of a footer
MOST_UNPACKED = 64 * 1024 * 1024  # bytes of a page
MOST_ENTRIES = 4_000_000  # of a page
MOST_HEADER = 64 * 1024  # bytes of a page's header, with its statistics

# Types of the format, as numbers in the file.
BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
REPEATED = 2
DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = range(4)
PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY = 0, 2, 3, 8
DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY = 5, 6, 7
#: Converted types, and logical types as (field of the union), that change what a value is.
MAP, MAP_KEY_VALUE, LIST, DECIMAL, DATE, TIMESTAMP_MILLIS, TIMESTAMP_MICROS = 1, 2, 3, 5, 6, 9, 10
LOGICAL = {2: MAP, 3: LIST, 5: DECIMAL, 6: DATE}
JULIAN_1970 = 2_440_588  # the Julian day of 1970-01-01, from which INT96 counts


@dataclass(frozen=True)
class Leaf:
    """A column that holds values. `path` is as the catalogue has it: without the groups that lists and maps are made
    of; `schema_path` as the file has it. `per_second`: of a point in time, its units. `most_definition`: the level of
    a value that is there."""

    path: tuple[str, ...]
    schema_path: tuple[str, ...]
    type: int
    length: int
    meaning: int | None
    scale: int
    per_second: int
    most_definition: int
    most_repetition: int


def columns(file: RangedObject, rows: int, wanted: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Iterator[Any]]]:
    """The path of each leaf of the wanted columns, in their order, with its first values, about so many. One whose
    pages are more than is left of the file's budget yields what was read before that, and then raises BudgetSpent.

    Raises:
        NotReadable: it is no Parquet file, or of a kind that is not read here.
    """
    footer = _metadata(file)
    groups = footer.get(4) or []
    places = {name: place for place, name in enumerate(wanted)}
    found = [leaf for leaf in leaves(footer.get(2) or []) if leaf.path[0] in places]
    for leaf in sorted(found, key=lambda leaf: places[leaf.path[0]]):
        if leaf.type not in (BOOLEAN, FLOAT, DOUBLE):
            chunks = [_chunk(group, leaf.schema_path) for group in groups]
            yield leaf.path, _values(file, leaf, [chunk for chunk in chunks if chunk], rows)


def _metadata(file: RangedObject) -> dict[int, Any]:
    tail = file.at(max(0, file.size - 8), 8)
    if len(tail) < 8 or tail[4:] != MAGIC:
        raise NotReadable("no Parquet file, or an encrypted one")
    size = int.from_bytes(tail[:4], "little")
    if size > min(MOST_METADATA, file.size - 12):
        raise NotReadable("a broken footer")
    return Thrift(file.at(file.size - 8 - size, size)).struct()


# -- the schema ------------------------------------------------------------------------------------------------------


class Node(NamedTuple):
    element: dict[int, Any]
    children: list[Node]


def leaves(schema: list[dict[int, Any]]) -> list[Leaf]:
    """The leaves of a schema, which the file has as a tree written depth first."""
    elements = iter(schema)
    root = _tree(elements, 0)
    found: list[Leaf] = []
    for child in root.children:
        _find_leaves(child, (), (), (0, 0), True, found)
    return found


def _tree(elements: Iterator[dict[int, Any]], depth: int) -> Node:
    element = next(elements, None)
    if element is None or depth > 64:
        raise NotReadable("a broken schema")
    return Node(element, [_tree(elements, depth + 1) for _ in range(element.get(5, 0))])


def _find_leaves(
    node: Node,
    path: tuple[str, ...],
    schema_path: tuple[str, ...],
    levels: tuple[int, int],
    named: bool,
    found: list[Leaf],
) -> None:
    """Adds the leaves of a node. `levels` are those of definition and repetition above it; a list's and a map's own
    groups are not `named`: `tags.list.element` is `tags`."""
    element, children = node
    name = element[4].decode("utf-8", "replace")
    repetition = element.get(3, 0)
    levels = (levels[0] + (repetition != 0), levels[1] + (repetition == REPEATED))
    schema_path = (*schema_path, name)
    path = (*path, name.lower()) if named else path
    if not children:
        found.append(_leaf(element, path, schema_path, levels))
        return
    inner = children[0]
    meaning = _meaning(element)
    if meaning == LIST and len(children) == 1:
        # Written today as list.element; by older writers the repeated node is the element itself.
        groups = len(inner.children) == 1 and inner.element[4] not in (b"array", name.encode() + b"_tuple")
        if groups:
            above = (levels[0] + 1, levels[1] + 1)
            below = (*schema_path, inner.element[4].decode("utf-8", "replace"))
            _find_leaves(inner.children[0], path, below, above, False, found)
        else:
            _find_leaves(inner, path, schema_path, levels, False, found)
    elif meaning in (MAP, MAP_KEY_VALUE) and len(children) == 1:
        above = (levels[0] + 1, levels[1] + 1)
        below = (*schema_path, inner.element[4].decode("utf-8", "replace"))
        for each in inner.children:
            _find_leaves(each, path, below, above, False, found)
    else:
        for each in children:
            _find_leaves(each, path, schema_path, levels, True, found)


def _meaning(element: dict[int, Any]) -> int | None:
    """What a node is beyond its physical type, as a converted type; None for what does not matter here."""
    logical = next(iter(element.get(10) or {}), None)
    return LOGICAL.get(logical, element.get(6)) if logical is not None else element.get(6)


def _leaf(
    element: dict[int, Any], path: tuple[str, ...], schema_path: tuple[str, ...], levels: tuple[int, int]
) -> Leaf:
    unit = ((element.get(10) or {}).get(8) or {}).get(2) or {}
    per_second = {1: 10**3, 2: 10**6, 3: 10**9}.get(next(iter(unit), 0), 0)
    per_second = per_second or {TIMESTAMP_MILLIS: 10**3, TIMESTAMP_MICROS: 10**6}.get(element.get(6, -1), 0)
    return Leaf(
        path,
        schema_path,
        element.get(1, -1),
        element.get(2, 0),
        _meaning(element),
        element.get(7, 0),
        per_second,
        *levels,
    )


def _chunk(group: dict[int, Any], schema_path: tuple[str, ...]) -> dict[int, Any] | None:
    """A leaf's column chunk in a row group, if it has values and lies in this file."""
    for chunk in group.get(1) or []:
        metadata = chunk.get(3)
        if metadata and tuple(part.decode("utf-8", "replace") for part in metadata.get(3) or ()) == schema_path:
            return None if chunk.get(1) or not metadata.get(5) else metadata
    return None


# -- pages -----------------------------------------------------------------------------------------------------------


def _values(file: RangedObject, leaf: Leaf, chunks: list[dict[int, Any]], rows: int) -> Iterator[Any]:
    """The first values of a leaf, without those that are null, through as many chunks as it takes."""
    meaning = _converter(leaf)
    seen = 0
    for chunk in chunks:
        dictionary: list[Any] = []
        start = chunk.get(9, 0)
        if 0 < chunk.get(11, 0) < start:
            start = chunk[11]
        end = start + chunk.get(7, 0)
        while start < end and seen < rows:
            header, begins = _page_header(file, start)
            packed_size, unpacked_size = header.get(3, -1), header.get(2, -1)
            if not 0 <= packed_size <= end - begins or not 0 <= unpacked_size <= MOST_UNPACKED:
                raise NotReadable("a broken page")
            start = begins + packed_size
            if header[1] == INDEX_PAGE:
                continue
            page = file.at(begins, packed_size)
            if header[1] == DICTIONARY_PAGE:
                page = _unpack(page, chunk.get(4, 0), unpacked_size)
                dictionary = _plain(page, leaf, header[7][1])
                continue
            encoded, encoding, entries, there = _data_page(header, page, chunk.get(4, 0), unpacked_size, leaf)
            seen += entries
            yield from map(meaning, _decode(encoded, encoding, min(there, rows), leaf, dictionary))
        if seen >= rows:
            return


def _page_header(file: RangedObject, start: int) -> tuple[dict[int, Any], int]:
    """A page's header, and where the page itself begins. How long a header is, it does not say."""
    for size in (512, MOST_HEADER):
        reader = Thrift(file.at(start, size))
        try:
            header = reader.struct()
        except IndexError:
            continue
        return header, start + reader.position
    raise NotReadable("a broken page")


def _data_page(
    header: dict[int, Any], page: bytes, codec: int, unpacked_size: int, leaf: Leaf
) -> tuple[bytes, int, int, int]:
    """A data page's encoded values, their encoding, its number of entries, and how many of them are no nulls."""
    if header[1] == DATA_PAGE_V2:
        about = header[8]
        levels = about.get(6, 0) + about.get(5, 0)
        definitions = page[about.get(6, 0) : levels]
        packed = about.get(7, True)
        encoded = _unpack(page[levels:], codec, unpacked_size - levels) if packed else page[levels:]
        return encoded, about[4], about[1], _present(definitions, about[1], leaf)
    if header[1] != DATA_PAGE:
        raise NotReadable("a page of an unknown kind")
    about, page = header[5], _unpack(page, codec, unpacked_size)
    if leaf.most_repetition:
        _check_levels(about.get(4))
        page = page[4 + int.from_bytes(page[:4], "little") :]
    there = about[1]
    if leaf.most_definition:
        _check_levels(about.get(3))
        size = int.from_bytes(page[:4], "little")
        there = _present(page[4 : 4 + size], about[1], leaf)
        page = page[4 + size :]
    return page, about[2], about[1], there


def _check_levels(encoding: int | None) -> None:
    if encoding != RLE:
        raise NotReadable("levels in an encoding that nobody writes any more")


def _present(levels: bytes, entries: int, leaf: Leaf) -> int:
    """How many of the entries have a value."""
    if not leaf.most_definition:
        return entries
    if not 0 <= entries <= MOST_ENTRIES:
        raise NotReadable("a broken page")
    most = leaf.most_definition
    return sum(level == most for level in _hybrid(levels, most.bit_length(), entries))


def _unpack(page: bytes, codec: int, size: int) -> bytes:
    """A page without its compression, which holds at most MOST_UNPACKED bytes."""
    import cramjam

    size = max(size, 0)
    if codec == 0:
        return page
    if codec == 2:
        return zlib.decompressobj(wbits=47).decompress(page, size or 1)
    unpackers: dict[int, Callable[[], Any]] = {
        1: lambda: cramjam.snappy.decompress_raw(_of_size(page, size)),
        4: lambda: _into(cramjam.brotli, page, size),
        5: lambda: _hadoop_lz4(page, size),
        6: lambda: _into(cramjam.zstd, page, size),
        7: lambda: cramjam.lz4.decompress_block(page, output_len=size),
    }
    if codec not in unpackers:
        raise NotReadable("a compression that is not read here")
    return bytes(unpackers[codec]()) if page else b""


def _into(packing: Any, page: bytes, size: int) -> bytearray:
    """A page unpacked to the size that its header says, and no further."""
    unpacked = bytearray(size)
    packing.decompress_into(page, unpacked)
    return unpacked


def _of_size(page: bytes, size: int) -> bytes:
    """A Snappy page that says itself how long it will be: as long as its header says, and no longer."""
    if page and _varint(page, 0)[0] != size:
        raise NotReadable("a broken page")
    return page


def _hadoop_lz4(page: bytes, size: int) -> bytes:
    """The LZ4 of older writers: blocks, each after its two sizes; or, of some, one block."""
    import cramjam

    if len(page) > 8:
        unpacked, packed = struct.unpack(">II", page[:8])
        if unpacked <= size and packed <= len(page) - 8:
            first = bytes(cramjam.lz4.decompress_block(page[8 : 8 + packed], output_len=unpacked))
            return first + (_hadoop_lz4(page[8 + packed :], size - unpacked) if len(page) > 8 + packed else b"")
    return bytes(cramjam.lz4.decompress_block(page, output_len=size))


# -- values ----------------------------------------------------------------------------------------------------------


def _decode(data: bytes, encoding: int, wanted: int, leaf: Leaf, dictionary: list[Any]) -> list[Any]:
    """The first values of a data page: whole numbers, or bytes."""
    if encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY):
        return [dictionary[index] for index in _hybrid(data[1:], data[0], wanted)] if data and wanted else []
    if encoding == PLAIN:
        return _plain(data, leaf, wanted)
    if encoding == DELTA_BINARY_PACKED and leaf.type in (INT32, INT64):
        return _deltas(data, wanted)[0]
    if encoding == DELTA_LENGTH_BYTE_ARRAY:
        return _delta_lengths(data, wanted)
    if encoding == DELTA_BYTE_ARRAY:
        return _delta_bytes(data, wanted)
    raise NotReadable("an encoding that is not read here")


def _plain(data: bytes, leaf: Leaf, wanted: int) -> list[Any]:
    if leaf.type == BYTE_ARRAY:
        values, position = [], 0
        for _ in range(wanted):
            if position + 4 > len(data):
                break
            size = int.from_bytes(data[position : position + 4], "little")
            values.append(data[position + 4 : position + 4 + size])
            position += 4 + size
        return values
    width = {INT32: 4, INT64: 8, INT96: 12, FIXED: leaf.length}.get(leaf.type, 0)
    if width <= 0:
        raise NotReadable("a type that is not known")
    pieces = [data[at : at + width] for at in range(0, min(len(data) // width, wanted) * width, width)]
    if leaf.type in (INT32, INT64):
        return [int.from_bytes(piece, "little", signed=True) for piece in pieces]
    return pieces


def _hybrid(data: bytes, width: int, wanted: int) -> list[int]:
    """Runs of equal and of bit-packed numbers of `width` bits."""
    if width == 0:
        return [0] * wanted
    if width > 32:
        raise NotReadable("a broken page")
    values: list[int] = []
    position, size, mask = 0, (width + 7) // 8, (1 << width) - 1
    while len(values) < wanted and position < len(data):
        header, position = _varint(data, position)
        if header & 1:
            groups = min(header >> 1, -(-(wanted - len(values)) // 8))
            bits = int.from_bytes(data[position : position + groups * width], "little")
            values += [bits >> at & mask for at in range(0, groups * 8 * width, width)]
            position += (header >> 1) * width
        else:
            value = int.from_bytes(data[position : position + size], "little")
            values += [value] * min(header >> 1, wanted - len(values))
            position += size
    return values[:wanted]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 70:
            raise NotReadable("a broken number")


def _zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _deltas(data: bytes, wanted: int) -> tuple[list[int], int]:
    """Whole numbers as differences, and where they end. All are read where `wanted` is negative."""
    block, position = _varint(data, 0)
    minis, position = _varint(data, position)
    total, position = _varint(data, position)
    first, position = _varint(data, position)
    if not minis or block % minis or total > MOST_UNPACKED:
        raise NotReadable("a broken page")
    count = total if wanted < 0 else min(total, wanted)
    values, per_mini = [_zigzag(first)], block // minis
    while len(values) < count:
        least, position = _varint(data, position)
        widths = data[position : position + minis]
        position += minis
        for width in widths:
            if len(values) >= total:
                break
            bits = int.from_bytes(data[position : position + per_mini * width // 8], "little")
            mask = (1 << width) - 1
            for at in range(min(per_mini, total - len(values))):
                values.append(values[-1] + _zigzag(least) + (bits >> at * width & mask))
            position += per_mini * width // 8
        if not widths:
            raise NotReadable("a broken page")
    return values[:count], position


def _delta_lengths(data: bytes, wanted: int) -> list[bytes]:
    lengths, position = _deltas(data, -1)
    values = []
    for length in lengths[:wanted]:
        values.append(data[position : position + length])
        position += length
    return values


def _delta_bytes(data: bytes, wanted: int) -> list[bytes]:
    prefixes, position = _deltas(data, -1)
    values: list[bytes] = []
    before = b""
    for prefix, suffix in zip(prefixes, _delta_lengths(data[position:], wanted), strict=False):
        before = before[:prefix] + suffix
        values.append(before)
    return values


def _converter(leaf: Leaf) -> Callable[[Any], Any]:
    """From what the file stores to what it means; what it cannot mean is None."""
    if leaf.meaning == DATE:
        return _day
    if leaf.per_second:
        return lambda value: _moment(value / leaf.per_second)
    if leaf.type == INT96:
        return lambda value: _moment(
            (int.from_bytes(value[8:], "little") - JULIAN_1970) * 86_400 + int.from_bytes(value[:8], "little") / 1e9
        )
    if leaf.meaning == DECIMAL:
        return lambda value: Decimal(
            value if isinstance(value, int) else int.from_bytes(value, "big", signed=True)
        ).scaleb(-leaf.scale)
    if leaf.type in (BYTE_ARRAY, FIXED):
        return _text
    return lambda value: value


def _day(value: int) -> date | None:
    try:
        return date(1970, 1, 1) + timedelta(days=value)
    except OverflowError:
        return None


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None  # binary


# -- Thrift ----------------------------------------------------------------------------------------------------------


class Thrift:
    """Reads Thrift's compact protocol: a struct is a dict from field number to value. Raises IndexError where the data
    ends too early, NotReadable where it is no such thing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while True:
            header = self._byte()
            if header == 0:
                return fields
            kind, step = header & 0x0F, header >> 4
            number = number + step if step else _zigzag(self._varint())
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Any:
        if depth > 32:
            raise NotReadable("too deep")
        if kind in (1, 2):  # in a list, a truth value is a byte
            return self._byte() == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return _zigzag(self._varint())
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            header = self._byte()
            size = header >> 4 if header >> 4 < 15 else self._varint()
            if size > len(self._data):
                raise IndexError("more elements than bytes")
            return [self._value(header & 0x0F, depth + 1) for _ in range(size)]
        if kind == 11:
            size = self._varint()
            kinds = self._byte() if size else 0
            if size > len(self._data):
                raise IndexError("more elements than bytes")
            return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 0x0F, depth + 1)) for _ in range(size)]
        if kind == 12:
            return self.struct(depth + 1)
        raise NotReadable("no Thrift")

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _bytes(self, size: int) -> bytes:
        if self.position + size > len(self._data):
            raise IndexError("it ends too early")
        self.position += size
        return self._data[self.position - size : self.position]

    def _varint(self) -> int:
        value, self.position = _varint(self._data, self.position)
        return value
