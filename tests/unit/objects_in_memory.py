"""S3 objects in memory, as far as samples ask for them; it counts what is fetched."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError


def refused(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "refused"}}, operation)


class Bucket:
    """`objects`: key -> bytes. `denied` keys are listed and may not be read; `archived` ones are listed as such."""

    def __init__(self, objects: dict[str, bytes], denied: tuple[str, ...] = (), archived: tuple[str, ...] = ()) -> None:
        self.objects, self.denied, self.archived = objects, denied, archived
        self.fetched: dict[str, int] = {}
        self.listings = 0
        self.may_list = True

    def get_object(self, Bucket: str, Key: str, Range: str, IfMatch: str) -> dict[str, Any]:
        if Key in self.denied:
            raise refused("AccessDenied", "GetObject")
        body = self.objects[Key]
        if IfMatch != _etag(body):
            raise refused("PreconditionFailed", "GetObject")
        first, _, last = Range.removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last) + 1]
        self.fetched[Key] = self.fetched.get(Key, 0) + len(part)
        return {"Body": io.BytesIO(part)}

    def get_paginator(self, operation: str) -> Bucket:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str, Delimiter: str) -> Iterator[dict[str, Any]]:
        if not self.may_list:
            raise refused("AccessDenied", "ListObjectsV2")
        entries: dict[str, bool] = {}
        for key in self.objects:
            if key.startswith(Prefix):
                name, slash, _ = key[len(Prefix) :].partition(Delimiter)
                entries[f"{Prefix}{name}{slash}"] = bool(slash)
        names = sorted(entries)
        for start in range(0, max(1, len(names)), 1000):
            self.listings += 1
            page = names[start : start + 1000]
            yield {
                "CommonPrefixes": [{"Prefix": name} for name in page if entries[name]],
                "Contents": [self._listed(name) for name in page if not entries[name]],
            }

    def _listed(self, key: str) -> dict[str, Any]:
        kind = "GLACIER" if key in self.archived else "STANDARD"
        return {"Key": key, "Size": len(self.objects[key]), "ETag": _etag(self.objects[key]), "StorageClass": kind}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
