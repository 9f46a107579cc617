"""Packed files: how one is packed, and what is in it.

Glue's crawlers know BZIP, GZIP, LZ4, Snappy and ZIP with a single file [AWS Glue developer guide, "Built-in
classifiers"] by how a file begins. Athena reads text by the extension of its name and leaves ZIP alone [Athena user
guide, "Use compression in Athena"]. Of LZ4 and Snappy the framed formats are built; Hadoop's, and LZO, are not.
"""

from __future__ import annotations

import bz2
import io
import zipfile
import zlib

import cramjam

NONE = "none"
GZIP = b"\x1f\x8b"
BEGINNINGS = {
    GZIP: "gzip",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
}
EXTENSIONS = {"gz": "gzip", "bz2": "bzip2", "lz4": "lz4", "snappy": "snappy", "zst": "zstd"}
"""What Athena unpacks, by the end of a key."""


class Unreadable(ValueError):
    """A file that claims a format and is not of it, or broken."""


def packing_of(body: bytes) -> str:
    """How a file is packed, by how it begins; `none` if it is not (or in a way that crawlers do not know)."""
    return next((name for start, name in BEGINNINGS.items() if body.startswith(start)), NONE)


def packing_by_name(path: str) -> str:
    """How Athena takes a text file to be packed."""
    return EXTENSIONS.get(path.rpartition("/")[2].rpartition(".")[2].lower(), NONE)


def unpack(body: bytes, packing: str, limit: int | None = None) -> bytes | None:
    """The content of a file, or its first `limit` bytes; None for a ZIP archive of several files. Raises Unreadable."""
    try:
        if packing == "gzip":
            content = _gunzip(body, limit)
        elif packing == "bzip2":
            content = bz2.decompress(body)
        elif packing == "zip":
            return _unzip(body, limit)
        elif packing in ("lz4", "snappy", "zstd"):
            content = bytes(getattr(cramjam, packing).decompress(body))
        else:
            content = body
    except (zlib.error, OSError, ValueError, cramjam.DecompressionError) as error:
        raise Unreadable(f"not a {packing} file: {error}") from error
    return content if limit is None else content[:limit]


def _gunzip(body: bytes, limit: int | None) -> bytes:
    """A gzip file may have several members."""
    if not body.startswith(GZIP):
        raise ValueError("it does not begin as one")
    parts: list[bytes] = []
    size = 0
    while body.startswith(GZIP) and (limit is None or size < limit):
        member = zlib.decompressobj(wbits=31)
        parts.append(member.decompress(body, 0 if limit is None else limit - size))
        size += len(parts[-1])
        if not member.eof and not member.unconsumed_tail:
            raise ValueError("it ends too early")
        body = member.unused_data
    return b"".join(parts)


def _unzip(body: bytes, limit: int | None) -> bytes | None:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = [each for each in archive.infolist() if not each.is_dir()]
            if len(files) != 1:
                return None
            with archive.open(files[0]) as file:
                return file.read() if limit is None else file.read(limit)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise Unreadable(f"not a zip file: {error}") from error
