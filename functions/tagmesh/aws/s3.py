"""Listing what lies in a data product's location."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from tagmesh.uploads import is_hidden

PAGES = 5  # of 1,000 objects each: beyond them only folders are listed


class BucketNotReadable(Exception):
    """The bucket is not there, or its policy does not admit the automation."""


@dataclass(frozen=True)
class Listed:
    """First-level folders (without slashes) below a prefix, how many files lie beside them, and a stable name (sha256,
    hex) for all objects in folders, keys and ETags; "" where they are too many to list."""

    folders: tuple[str, ...]
    files_at_root: int
    objects: str


def look(s3: Any, bucket: str, prefix: str) -> Listed:
    """Lists what lies below `prefix` ("" or ending in a slash): one folder is one table.

    Names that begin with "_" or "." are hidden to queries and left out.

    Raises:
        BucketNotReadable: with what to do about it.
    """
    pages = s3.get_paginator("list_objects_v2")
    digest, folders, files, listed = hashlib.sha256(), dict[str, None](), 0, 0
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            listed += 1
            if listed > PAGES:
                return _folders(pages.paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"), prefix)
            for entry in page.get("Contents", []):
                folder, slash, _ = entry["Key"][len(prefix) :].partition("/")
                if not slash:
                    files += bool(folder) and entry["Size"] > 0
                elif not is_hidden(folder):
                    folders[folder] = None
                    digest.update(f"{entry['Key']}\n{entry['ETag']}\n".encode())
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("NoSuchBucket", "AccessDenied", "AllAccessDisabled"):
            raise
        raise BucketNotReadable(f"s3://{bucket}/{prefix}: {code}") from error
    return Listed(tuple(folders), files, digest.hexdigest())


def _folders(pages: Any, prefix: str) -> Listed:
    names: list[str] = []
    files = 0
    for page in pages:
        names += [entry["Prefix"][len(prefix) : -1] for entry in page.get("CommonPrefixes", [])]
        files += sum(1 for entry in page.get("Contents", []) if entry["Key"] != prefix and entry["Size"] > 0)
    return Listed(tuple(name for name in names if not is_hidden(name)), files, "")
