"""Listing and classifying the files of a crawl's targets, and what a crawler remembers of earlier crawls.

A file that has not changed is not classified again, even by a changed classifier: a new crawler is needed for that
[AWS Glue developer guide, "Defining and managing classifiers"]. With CRAWL_NEW_FOLDERS_ONLY the folders of earlier
crawls are not looked into at all ["Scheduling incremental crawls for adding new partitions"].
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_aws.crawlers.crawl import (
    Changes,
    CrawledFile,
    Settings,
    Stopped,
    Target,
    detect,
    holds_data,
    split_s3,
)
from local_aws.crawlers.exclusions import excluded_by
from local_aws.files.formats import FileFormat, classify, not_read
from local_aws.files.packing import Unreadable

SAMPLED_FILES = 1000
"""At most so many files of a target are opened, evenly spread; of the rest only names and sizes are taken."""


@dataclass
class Memory:
    """What a crawler knows from its crawls that succeeded."""

    files: dict[str, tuple[str, int, FileFormat | None]] = field(default_factory=dict)
    """ETag, size and what was found (None: not opened), by `s3://bucket/key`."""
    folders: set[str] = field(default_factory=set)
    """Folders that were crawled, as `s3://bucket/folder`."""


@dataclass(frozen=True)
class Listed:
    key: str
    size: int
    etag: str


def list_files(s3: Any, target: Target) -> Iterator[Listed]:
    """The files below a target that hold data and that none of its patterns excludes."""
    bucket, prefix = split_s3(target.path)
    patterns = [excluded_by(each) for each in target.exclusions]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            key = each["Key"]
            excluded = any(pattern.fullmatch(key[len(prefix) :]) for pattern in patterns)
            if holds_data(key, each["Size"], prefix) and not excluded:
                yield Listed(key, each["Size"], each["ETag"])


def read_target(
    s3: Any,
    target: Target,
    settings: Settings,
    before: Memory,
    after: Memory,
    changes: Changes,
    stop: threading.Event,
) -> list[CrawledFile]:
    """The files of one target, classified; `after` gets to know them. A broken one is left out with a warning.

    Raises what S3 refuses (ClientError), NotBuilt for formats this local AWS does not read, Stopped.
    """
    bucket, _ = split_s3(target.path)
    listed = list(list_files(s3, target))
    opened = _sample(listed, target.sample_size)
    old, new = [], []
    for each in listed:
        if stop.is_set():
            raise Stopped
        uri = f"s3://{bucket}/{each.key}"
        etag, _, known = before.files.get(uri, ("", 0, None))
        crawled = uri.rpartition("/")[0] in before.folders
        if settings.only_new_folders and crawled:
            if uri in before.files:
                after.files[uri] = before.files[uri]
                old.append(CrawledFile(each.key, before.files[uri][1], known))
            continue
        found = known if etag == each.etag else None
        if found is None and each.key in opened:
            body = s3.get_object(Bucket=bucket, Key=each.key)["Body"].read()
            try:
                found = _classify(each.key, body, settings)
            except Unreadable as error:
                changes.warnings.append(f"{uri} was left out: {error}")
                continue
        after.files[uri] = (each.etag, each.size, found)
        new.append(CrawledFile(each.key, each.size, found))
    after.folders |= {uri.rpartition("/")[0] for uri in after.files}
    return _fitting(target, old, new, settings, changes) if old else new


def _classify(key: str, body: bytes, settings: Settings) -> FileFormat:
    if key.endswith(".snappy") and not body.startswith(b"\xff\x06\x00\x00sNaPpY"):
        raise not_read("a file in Hadoop's Snappy format")
    return classify(body, settings.classifiers)


def _sample(listed: Sequence[Listed], sample_size: int | None) -> set[str]:
    """The keys of the files to open: all, up to SAMPLED_FILES; with a sample size so many of each leaf folder."""
    if sample_size is None:
        step = max(1.0, len(listed) / SAMPLED_FILES)
        return {listed[int(number * step)].key for number in range(min(len(listed), SAMPLED_FILES))}
    return {each.key for inside in _by_folder(listed).values() for each in inside[:sample_size]}


def _fitting(
    target: Target, old: list[CrawledFile], new: list[CrawledFile], settings: Settings, changes: Changes
) -> list[CrawledFile]:
    """The files of earlier crawls, and those of new folders that leave the tables of the earlier ones as they are.

    What does not is ignored, as the guide says of schemas that differ too much.
    """

    def roots(files: list[CrawledFile]) -> set[str]:
        return {table.location for table in detect(target, files, settings)}

    kept, known = list(old), roots(old)
    for folder, inside in _by_folder(new).items():
        if known <= roots([*kept, *inside]):
            kept += inside
        else:
            changes.warnings.append(f"the files of {folder} do not fit the table there and were ignored")
    return kept


def _by_folder(files: Iterable[Any]) -> dict[str, list[Any]]:
    folders: dict[str, list[Any]] = defaultdict(list)
    for each in files:
        folders[each.key.rpartition("/")[0]].append(each)
    return folders
