"""What a call of S3 needs: its names of operations and actions are all its own.

Source: Amazon S3 user guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

from urllib.parse import unquote

from local_aws.access import lookup
from local_aws.access.need import Asked, Need

BUCKET = {
    "CreateBucket": "CreateBucket",
    "DeleteBucket": "DeleteBucket",
    "HeadBucket": "ListBucket",
    "GetBucketLocation": "GetBucketLocation",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketVersioning": "GetBucketVersioning",
    "PutBucketVersioning": "PutBucketVersioning",
    "GetBucketPolicy": "GetBucketPolicy",
    "PutBucketPolicy": "PutBucketPolicy",
    "DeleteBucketPolicy": "DeleteBucketPolicy",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketOwnershipControls": "GetBucketOwnershipControls",
    "PutBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "GetBucketTagging": "GetBucketTagging",
    "PutBucketTagging": "PutBucketTagging",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
}
"""S3 operation on a bucket -> IAM action."""

OBJECT = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "CopyObject": "PutObject",
    "DeleteObject": "DeleteObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
    "GetObjectTagging": "GetObjectTagging",
    "PutObjectTagging": "PutObjectTagging",
    "DeleteObjectTagging": "DeleteObjectTagging",
}
"""S3 operation on an object -> IAM action; with a VersionId `...ObjectVersion...`."""


def needs(asked: Asked) -> list[Need]:
    """The permissions that a call of S3 needs, all of them."""
    params = asked.params
    if asked.operation == "ListBuckets":
        return [Need("s3:ListAllMyBuckets", "*")]
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    if asked.operation == "DeleteObjects":
        return []  # judged object by object: s3.py
    keys = {
        "s3:prefix": params.get("Prefix", "") if asked.operation.startswith("List") else None,
        "s3:delimiter": params.get("Delimiter"),
        "s3:max-keys": str(params["MaxKeys"]) if "MaxKeys" in params else None,
        "s3:VersionId": params.get("VersionId"),
        "s3:x-amz-server-side-encryption": params.get("ServerSideEncryption"),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": params.get("SSEKMSKeyId"),
        "s3:x-amz-storage-class": params.get("StorageClass"),
        "s3:x-amz-copy-source": params.get("CopySource"),
        "s3:x-amz-metadata-directive": params.get("MetadataDirective"),
    }
    if asked.operation in BUCKET:
        creates = asked.operation == "CreateBucket"
        return [Need(f"s3:{BUCKET[asked.operation]}", bucket, keys, creates)]
    action = OBJECT[asked.operation]
    if params.get("VersionId"):
        action = action.replace("Object", "ObjectVersion")
    needed = [Need(f"s3:{action}", f"{bucket}/{params['Key']}", keys)]
    if params.get("Tagging") and action == "PutObject":
        needed.append(Need("s3:PutObjectTagging", f"{bucket}/{params['Key']}", keys))
    if source := params.get("CopySource"):
        needed.append(_copy_source(source))
    return needed + _encryption_keys(asked)


def _copy_source(source: str) -> Need:
    path, _, version = source.partition("?versionId=")
    action = "s3:GetObjectVersion" if version else "s3:GetObject"
    return Need(action, f"arn:aws:s3:::{unquote(path).lstrip('/')}")


def _encryption_keys(asked: Asked) -> list[Need]:
    """With SSE-KMS under a customer key, whoever writes needs a data key and whoever reads decrypts."""
    action, key = None, None
    if asked.operation in ("PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart"):
        encryption = asked.params.get("ServerSideEncryption")
        given = asked.params.get("SSEKMSKeyId") if encryption == "aws:kms" else None
        action, key = "kms:GenerateDataKey", given or lookup.bucket_key(asked.params["Bucket"], encryption)
    elif asked.operation in ("GetObject", "HeadObject"):
        action, key = "kms:Decrypt", lookup.object_key(asked.params["Bucket"], asked.params["Key"])
    if not key:
        return []
    return [Need(action, lookup.key_arn(asked.caller.account, asked.caller.region, key))]
