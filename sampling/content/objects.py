"""Which objects of a table are looked at, and how they are read: by ranges, within a budget of bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

LISTED = 5  # pages of 1,000 names that are listed of one folder
DEEPEST = 12  # folders below a table's own
BLOCK = 128 * 1024  # bytes that one request brings at least, since requests cost more than bytes
ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}  # cannot be read without restoring them
#: What S3 refuses an object with -> what becomes of it.
REFUSALS = {"AccessDenied": "denied", "InvalidObjectState": "archived"}


class BudgetSpent(Exception):
    """So much of the object has been read as may be; what was read until then counts."""


class NotReadable(Exception):
    """An object that cannot be read as its table says. It names no cause: that could hold what the object holds."""


class Found(NamedTuple):
    """An object; `folders` are the names between its table's folder and its own name."""

    key: str
    size: int
    etag: str
    folders: tuple[str, ...]


class Choice(NamedTuple):
    """The objects to look at, and of each level of folders below the table's all names that were listed."""

    objects: tuple[Found, ...]
    folder_names: tuple[tuple[str, ...], ...]


def choose(s3: Any, bucket: str, prefix: str, wanted: int) -> Choice:
    """At most `wanted` objects below a table's folder (ends with a slash), spread over its folders by name; the last by
    name, which is mostly the newest, is among them. Hidden, empty and archived objects are left out.

    A folder is listed level by level, so that a table of many partitions takes few requests."""
    levels: list[dict[str, None]] = []
    objects = _choose(s3, bucket, prefix, wanted, (), levels)
    return Choice(tuple(objects), tuple(tuple(level) for level in levels))


def _choose(
    s3: Any, bucket: str, prefix: str, wanted: int, above: tuple[str, ...], levels: list[dict[str, None]]
) -> list[Found]:
    if len(above) > DEEPEST:
        return []
    files, folders = _listed(s3, bucket, prefix, above)
    if folders:
        if len(levels) == len(above):
            levels.append({})
        levels[len(above)].update(dict.fromkeys(folders))
    entries: list[Found | str] = [*_spread(files, wanted), *_spread(folders, wanted)]
    places = _spread(entries, wanted)
    parts: list[list[Found]] = []
    # From the last folder, mostly the newest, on: it gets what does not divide, and leaves the others what it has not.
    for entry in reversed(places):
        share = -(-(wanted - sum(map(len, parts))) // (len(places) - len(parts)))
        found = [entry]
        if isinstance(entry, str):
            found = _choose(s3, bucket, f"{prefix}{entry}/", share, (*above, entry), levels)
        parts.append(found)
    return [found for part in reversed(parts) for found in part]


def _listed(s3: Any, bucket: str, prefix: str, above: tuple[str, ...]) -> tuple[list[Found], list[str]]:
    """The objects and the names of folders directly below a prefix, in the order of names."""
    files: list[Found] = []
    folders: list[str] = []
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    for page in islice(pages, LISTED):
        folders += [entry["Prefix"][len(prefix) : -1] for entry in page.get("CommonPrefixes", [])]
        files += [
            Found(entry["Key"], entry["Size"], entry["ETag"], above)
            for entry in page.get("Contents", [])
            if entry["Size"] > 0
            and entry.get("StorageClass") not in ARCHIVED
            and not _is_hidden(entry["Key"][len(prefix) :])
        ]
    return files, [name for name in folders if not _is_hidden(name)]


def _is_hidden(name: str) -> bool:
    """Whether queries leave it out. [Athena user guide, Create tables: hidden files]"""
    return name[:1] in ("", "_", ".")


def _spread(entries: list[Any], wanted: int) -> list[Any]:
    """At most `wanted` of the entries, evenly spread, the first and the last among them; of one, the last."""
    if len(entries) <= wanted:
        return entries
    if wanted == 1:
        return entries[-1:]
    return [entries[round(place * (len(entries) - 1) / (wanted - 1))] for place in range(wanted)]


def partition_values(keys: tuple[str, ...], folder_names: tuple[tuple[str, ...], ...]) -> Iterator[tuple[str, str]]:
    """(partition key, value) of a table's folders: `year=2025`, or, as Glue names them without it, by level."""
    from urllib.parse import unquote

    for level, names in enumerate(folder_names):
        for name in names:
            key, equals, value = name.partition("=")
            if equals and key.lower() in keys:
                yield key.lower(), unquote(value)
            elif level < len(keys):
                yield keys[level], unquote(name)


class RangedObject(io.RawIOBase):
    """An object as a file that fetches what is asked for, in blocks. Raises BudgetSpent before it fetches more than
    `budget` bytes in all, NotReadable if the object was replaced or cannot be had."""

    def __init__(self, s3: Any, bucket: str, found: Found, budget: int) -> None:
        super().__init__()
        self.size = found.size
        self.fetched = 0
        self._s3, self._bucket, self._found, self._budget = s3, bucket, found, budget
        self._position = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        wanted = self.size if size is None or size < 0 else size
        data = self.at(self._position, wanted)
        self._position += len(data)
        return data

    def left(self) -> int:
        """Bytes that may still be fetched."""
        return self._budget - self.fetched

    def at(self, start: int, size: int) -> bytes:
        """So many bytes from a place on; fewer at the end of the object."""
        end = min(start + size, self.size)
        if start >= end:
            return b""
        first, last = start // BLOCK, (end - 1) // BLOCK
        missing = [number for number in range(first, last + 1) if number not in self._blocks]
        if missing:
            self._fetch(missing[0], missing[-1])
        whole = b"".join(self._blocks[number] for number in range(first, last + 1))
        return whole[start - first * BLOCK : end - first * BLOCK]

    def _fetch(self, first: int, last: int) -> None:
        """The blocks from the first to the last, in one request."""
        from botocore.exceptions import BotoCoreError, ClientError

        start, end = first * BLOCK, min((last + 1) * BLOCK, self.size)
        if end - start > self.left():
            raise BudgetSpent
        try:
            answer = self._s3.get_object(
                Bucket=self._bucket, Key=self._found.key, Range=f"bytes={start}-{end - 1}", IfMatch=self._found.etag
            )
            body = answer["Body"].read()
        except ClientError as error:
            raise NotReadable(REFUSALS.get(error.response["Error"]["Code"], "unreadable")) from None
        except BotoCoreError:
            raise NotReadable("unreadable") from None
        if len(body) != end - start:
            raise NotReadable("cut short")
        self.fetched += len(body)
        for number in range(first, last + 1):
            self._blocks[number] = body[(number - first) * BLOCK : (number - first + 1) * BLOCK]
