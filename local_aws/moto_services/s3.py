"""What moto's S3 lacks: events to EventBridge, and judging each object of a multi-object delete.

Events: Amazon S3 user guide, "Amazon S3 event notifications with EventBridge". They go to the default bus of the
bucket's owner, once for each object written or deleted, when the bucket's notification configuration says so.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from local_aws.access import authorization, lookup
from local_aws.access.iam import missing_principals
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

    def GetBucketNotificationConfiguration(self, caller: Caller, Bucket: str, **_: Any) -> dict:  # noqa: N802, N803
        """Whether events go to EventBridge: moto does not say."""
        return {"EventBridgeConfiguration": {}} if _tells(_bucket(Bucket)) else {}

    def DeleteObjects(self, caller: Caller, Bucket: str, Delete: dict, **_: Any) -> dict:  # noqa: N802, N803
        """Delete objects, each if the caller may; what it may not is an entry of `Errors`."""
        found = _bucket(Bucket)
        if not Delete.get("Objects"):
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
    if call.operation == "PutBucketPolicy":
        _check_policy(call.params["Policy"], lookup.bucket(name))
    if call.operation == "DeleteObject" and (bucket := lookup.bucket(name)) is not None:
        return _exists(bucket, call.params["Key"], call.params.get("VersionId"))
    return None


def _source(call: Call) -> tuple[str | None, str]:
    bucket, _, key = unquote(call.params.get("CopySource", "")).lstrip("/").partition("/")
    return bucket or None, key


def _check_policy(text: str, bucket: Any) -> None:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise AwsError("MalformedPolicy", f"Policies must be valid JSON: {error}") from error
    if missing := missing_principals(document):
        raise AwsError("MalformedPolicy", f"Invalid principal in policy: {missing[0]}")
    block = bucket.public_access_block if bucket else None
    if block and block.block_public_policy and is_public(document):
        message = "public policies are blocked by the BlockPublicPolicy block public access setting."
        raise AwsError("AccessDenied", f"s3:PutBucketPolicy on {bucket.name} is denied because {message}", 403)


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
