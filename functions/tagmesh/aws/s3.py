"""Listing a data product's folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tagmesh.uploads import is_hidden


class BucketNotReadable(Exception):
    """The bucket is not there, or its policy does not admit the automation."""


@dataclass(frozen=True)
class Folders:
    """First-level folders (without slashes) below a prefix, and how many files lie beside them."""

    names: tuple[str, ...]
    files_at_root: int


def first_level_folders(s3: Any, bucket: str, prefix: str) -> Folders:
    """Lists what lies directly below `prefix` ("" or ending in a slash): one folder is one table.

    Names that begin with "_" or "." are hidden to queries and left out.

    Raises:
        BucketNotReadable: with what to do about it.
    """
    names: list[str] = []
    files = 0
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
            names += [entry["Prefix"][len(prefix) : -1] for entry in page.get("CommonPrefixes", [])]
            files += sum(1 for entry in page.get("Contents", []) if entry["Key"] != prefix and entry["Size"] > 0)
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("NoSuchBucket", "AccessDenied", "AllAccessDisabled"):
            raise
        raise BucketNotReadable(f"s3://{bucket}/{prefix}: {code}") from error
    return Folders(tuple(name for name in names if not is_hidden(name)), files)
