"""What moto's S3 lacks: events to EventBridge, and judging each object of a multi-object delete.

Events: Amazon S3 user guide, "Amazon S3 event notifications with EventBridge". They go to the default bus of the
bucket's owner, once for each object written or deleted, when the bucket's notification configuration says so.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import secrets
import zlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from local_aws.access import authorization, lookup
from local_aws.access.need import Need
from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from local_aws.access.identity import Caller
    from local_aws.world import World

CREATED = {
    "PutObject": "PutObject",
    "CopyObject": "CopyObject",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}
"""Operation -> the `reason` of the event it causes."""

_sequence = itertools.count(1)


def quiet_moto() -> None:
    """Take over from moto what is done here: its events, and its own reading of bucket policies."""
    import moto.s3.models
    import moto.s3.notifications
    from moto.iam.access_control import PermissionResult

    moto.s3.notifications._send_event_bridge_message = lambda *_args, **_kwargs: None
    moto.s3.models.events_send_notification = lambda *_args, **_kwargs: None
    moto.s3.models.FakeBucket.get_permission = lambda *_args: PermissionResult.NEUTRAL


class S3:
    """Amazon S3, the part that moto does not answer."""

    service = "s3"

    def __init__(self, world: World) -> None:
        self.world = world
        quiet_moto()

    def GetBucketNotificationConfiguration(self, caller: Caller, Bucket: str, **_: Any) -> dict:
        """Whether events go to EventBridge: moto does not say."""
        return {"EventBridgeConfiguration": {}} if _tells(_bucket(Bucket)) else {}

    def DeleteObjects(self, caller: Caller, Bucket: str, Delete: dict, **_: Any) -> dict:
        """Delete objects, each if the caller may; what it may not is an entry of `Errors`."""
        found = _bucket(Bucket)
        if not 1 <= len(Delete.get("Objects", [])) <= MOST_DELETED:
            raise AwsError("MalformedXML", "The XML you provided was not well-formed or did not validate")
        deleted, errors = [], []
        for wanted in Delete["Objects"]:
            key, version = wanted["Key"], wanted.get("VersionId")
            action = "s3:DeleteObjectVersion" if version else "s3:DeleteObject"
            need = Need(action, f"arn:aws:s3:::{Bucket}/{key}", {"s3:VersionId": version})
            if denied := authorization.denial(self.world, caller, need):
                message = authorization.error(caller, "s3", denied).message
                errors.append({"Key": key, "Code": "AccessDenied", "Message": message, "VersionId": version})
                continue
            deleted.append(self._delete(caller, found, key, version))
        return {"Deleted": [] if Delete.get("Quiet") else deleted, "Errors": errors}

    def _delete(self, caller: Caller, bucket: Any, key: str, version: str | None) -> dict[str, Any]:
        """Delete one object, tell of it, and return its entry in `Deleted`."""
        from moto.s3.models import s3_backends

        with self.world.moto_lock("s3"):
            existed = _exists(bucket, key, version)
            _, meta = s3_backends[bucket.account_id]["aws"].delete_object(bucket.name, key, version)
        marker = meta.get("version-id") if meta.get("delete-marker") and not version else None
        if existed or marker:
            self.deleted(caller, bucket, key, version or marker, marker_created=bool(marker))
        entry = {"Key": key, "VersionId": version, "DeleteMarkerVersionId": marker}
        return {**{name: value for name, value in entry.items() if value}, **({"DeleteMarker": True} if marker else {})}

    # -- events

    def created(self, caller: Caller, name: str, key: str, reason: str) -> None:
        """Tell that an object was written."""
        bucket = lookup.bucket(name)
        stored = bucket.keys.get(key) if bucket else None
        if stored is None or not _tells(bucket):
            return
        described = {"key": key, "size": stored.size, "etag": stored.etag.strip('"')}
        if bucket.versioning_status:
            described["version-id"] = str(stored.version_id)
        self._tell(caller, bucket, "Object Created", described, {"reason": reason})

    def deleted(self, caller: Caller, bucket: Any, key: str, version: str | None, marker_created: bool) -> None:
        """Tell that an object was deleted, for good or behind a delete marker."""
        if not _tells(bucket):
            return
        described: dict[str, Any] = {"key": key}
        if version:
            described["version-id"] = version
        kind = "Delete Marker Created" if marker_created else "Permanently Deleted"
        self._tell(caller, bucket, "Object Deleted", described, {"reason": "DeleteObject", "deletion-type": kind})

    def _tell(
        self, caller: Caller, bucket: Any, detail_type: str, described: dict[str, Any], more: dict[str, str]
    ) -> None:
        sequencer = f"{int(self.world.now().timestamp() * 1000):012X}{next(_sequence):06X}"
        detail = {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": {**described, "sequencer": sequencer},
            "request-id": secrets.token_hex(8).upper(),
            "requester": caller.account,
            "source-ip-address": "127.0.0.1",
            **more,
        }
        arn = f"arn:aws:s3:::{bucket.name}"
        self.world.emit_event(bucket.account_id, bucket.region_name, "aws.s3", detail_type, detail, [arn])


def _bucket(name: str) -> Any:
    found = lookup.bucket(name)
    if found is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=name)
    return found


def _tells(bucket: Any) -> bool:
    configuration = bucket.notification_configuration
    return configuration is not None and configuration.event_bridge is not None


def _exists(bucket: Any, key: str, version: str | None) -> bool:
    """Whether there is an object, or this version of it."""
    stored = bucket.keys.getlist(key, [])
    return any(version is None or str(each.version_id) == version for each in stored)


# -- around moto --------------------------------------------------------------------------------------------------


def before(_world: World, call: Call) -> Any:
    """Refuse what AWS refuses and moto lets pass. Returns what `after` needs to know of the state before the call."""
    name = call.params.get("Bucket")
    for parameter, bucket in (("ExpectedBucketOwner", name), ("ExpectedSourceBucketOwner", _source(call)[0])):
        expected = call.params.get(parameter)
        if expected and lookup.bucket_owner(bucket) not in (None, expected):
            raise AwsError("AccessDenied", "Access Denied", 403)
    if call.operation == "CreateBucket" and not _is_bucket_name(name):
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", 400, BucketName=name)
    if len(call.params.get("Key", "").encode()) > LONGEST_KEY:
        raise AwsError("KeyTooLongError", "Your key is too long")
    _check_digests(call)
    if call.params.get("VersioningConfiguration", {}).get("Status") == "Suspended" and _is_versioned(name):
        # moto would lose the versions that there are
        raise AwsError("LocalAwsNotSupported", "the local AWS does not suspend the versioning of a bucket")
    if call.operation == "PutBucketPolicy":
        _check_policy(call.params["Policy"], lookup.bucket(name))
    if "UploadId" in call.params:
        _check_upload(call, lookup.bucket(name))
    if call.operation == "DeleteObject" and (bucket := lookup.bucket(name)) is not None:
        return _exists(bucket, call.params["Key"], call.params.get("VersionId"))
    return None


BUCKET_NAME = re.compile(r"(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
LONGEST_KEY = 1024
"""Bytes of a key in UTF-8."""
MOST_DELETED = 1000
"""Objects that one DeleteObjects may name."""
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "ContentMD5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "ChecksumCRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "ChecksumSHA1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "ChecksumSHA256": lambda body: hashlib.sha256(body).digest(),
}


def _is_bucket_name(name: str) -> bool:
    """Amazon S3 user guide, "General purpose bucket naming rules"."""
    reserved = name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"))
    address = re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name)
    return bool(BUCKET_NAME.fullmatch(name)) and not reserved and not address


def _check_digests(call: Call) -> None:
    """What is said of a body must be true of it (S3 API reference, PutObject).

    Not looked at: bodies sent in chunks, whose checksum follows them, and the checksum of a whole multipart upload.
    """
    if call.request.headers.get("X-Amz-Content-Sha256", "").startswith("STREAMING-"):
        return
    for parameter, digest in DIGESTS.items():
        said = call.params.get(parameter) if "Body" in call.params or parameter == "ContentMD5" else None
        if said and base64.b64encode(digest(call.body)).decode() != said:
            name = parameter.removeprefix("Checksum").removeprefix("Content")
            raise AwsError("BadDigest", f"The {name} you specified did not match the calculated checksum.")


def _check_upload(call: Call, bucket: Any) -> None:
    """moto knows neither an upload that is not there, nor the order of parts."""
    upload = bucket.multiparts.get(call.params["UploadId"]) if bucket else None
    if bucket and (upload is None or upload.key_name != call.params["Key"]):
        message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been"
        raise AwsError("NoSuchUpload", f"{message} aborted or completed.", 404)
    numbers = [part.get("PartNumber") for part in call.params.get("MultipartUpload", {}).get("Parts", [])]
    if numbers != sorted(set(numbers)):
        raise AwsError("InvalidPartOrder", "The list of parts was not in ascending order.")


def _is_versioned(name: str) -> bool:
    bucket = lookup.bucket(name)
    return bucket is not None and bucket.is_versioned


def _source(call: Call) -> tuple[str | None, str]:
    bucket, _, key = unquote(call.params.get("CopySource", "")).lstrip("/").partition("/")
    return bucket or None, key


def _check_policy(text: str, bucket: Any) -> None:
    """A bucket policy is about that bucket and S3's actions, and not public where that is blocked."""
    document = json.loads(text)
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        for action in _texts(statement.get("Action", statement.get("NotAction", "*"))):
            if action != "*" and not action.lower().startswith("s3:"):
                raise AwsError("MalformedPolicy", "Policy has invalid action")
        for resource in _texts(statement.get("Resource", statement.get("NotResource", []))):
            if bucket and not _is_of(bucket, resource):
                raise AwsError("MalformedPolicy", "Policy has invalid resource")
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise AwsError("MalformedPolicy", "Missing required field Principal")
    block = bucket.public_access_block if bucket else None
    if block and block.block_public_policy and is_public(document):
        message = "public policies are blocked by the BlockPublicPolicy block public access setting."
        raise AwsError("AccessDenied", f"s3:PutBucketPolicy on {bucket.name} is denied because {message}", 403)


def _is_of(bucket: Any, resource: str) -> bool:
    """Whether a policy's resource is a bucket or of its objects."""
    named = resource.partition("/")[0]
    return named.startswith("arn:aws:s3:::") and fnmatchcase(bucket.name, named.removeprefix("arn:aws:s3:::"))


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


NARROWING_KEYS = frozenset(
    key.lower()
    for key in (
        "aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:SourceAccount", "aws:SourceArn",
        "aws:SourceIp", "aws:SourceOrgID", "aws:SourceOwner", "aws:SourceVpc", "aws:SourceVpce", "aws:userid",
        "s3:DataAccessPointAccount", "s3:DataAccessPointArn",
    )
)  # fmt: skip
"""Condition keys that make a statement for everybody not public, if their values are fixed."""


def is_public(document: dict[str, Any]) -> bool:
    """Whether a bucket policy is public (Amazon S3 user guide, "The meaning of public")."""
    statements = document.get("Statement", [])
    return any(
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        and not _narrowed(statement.get("Condition", {}))
        for statement in (statements if isinstance(statements, list) else [statements])
    )


def _narrowed(conditions: dict[str, dict[str, Any]]) -> bool:
    for operator, keys in conditions.items():
        for key, wanted in keys.items():
            fixed = not re.search(r"[*?]|\$\{", json.dumps(wanted))
            if key.lower() in NARROWING_KEYS and fixed and "Not" not in operator and "IfExists" not in operator:
                return True
    return False


def after(world: World, call: Call, response: Response, before_call: Any) -> Response:
    """Tell of what a call that moto answered did; hide what the caller may not know."""
    if response.status_code == 404 and call.operation in ("GetObject", "HeadObject"):
        return _hide_missing(world, call, response)
    if response.status_code >= 300:
        return response
    if call.operation == "CreateBucket":
        _block_public_access(call.params["Bucket"])
    engine: S3 = world.engines["s3"]
    if call.operation in CREATED:
        if b"<Error>" not in response.get_data()[:300]:
            engine.created(call.caller, call.params["Bucket"], call.params["Key"], CREATED[call.operation])
    elif call.operation == "DeleteObject":
        bucket = lookup.bucket(call.params["Bucket"])
        version = call.params.get("VersionId")
        marker = None if version else response.headers.get("x-amz-version-id")
        if bucket is not None and (before_call or marker):
            engine.deleted(call.caller, bucket, call.params["Key"], version or marker, marker_created=bool(marker))
    return response


def _block_public_access(name: str) -> None:
    """As AWS does for each new bucket since 2023."""
    from moto.s3.models import PublicAccessBlock

    bucket = lookup.bucket(name)
    if bucket.public_access_block is None:
        bucket.public_access_block = PublicAccessBlock(True, True, True, True)


def _hide_missing(world: World, call: Call, response: Response) -> Response:
    """Only who may list a bucket learns that an object is missing (S3 API reference, GetObject, "Permissions")."""
    if call.operation == "GetObject" and not re.search(rb"NoSuchKey|NoSuchVersion", response.get_data()):
        return response
    if lookup.bucket(call.params["Bucket"]) is None:
        return response
    need = Need("s3:ListBucket", f"arn:aws:s3:::{call.params['Bucket']}", {"s3:prefix": call.params["Key"]})
    if denied := authorization.denial(world, call.caller, need):
        raise authorization.error(call.caller, "s3", denied)
    return response
