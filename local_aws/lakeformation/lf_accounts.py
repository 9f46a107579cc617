"""What Lake Formation looks up in other services: whether a principal exists, and whose a bucket is."""

from __future__ import annotations

from typing import Any

from local_aws.lakeformation.lf_model import account_of


def principal_exists(world: Any, arn: str) -> bool:
    """Whether an IAM role or user with exactly this ARN, path included, exists.

    The administrator whom every account has here (`user/admin`) is no IAM user, and exists.
    """
    from moto.iam.models import iam_backends

    account = account_of(arn)
    if arn == f"arn:aws:iam::{account}:user/admin":
        return True
    with world.moto_lock("iam"):
        backend = iam_backends[account]["aws"]
        entities = backend.roles if ":role/" in arn else backend.users
        return any(entity.arn == arn for entity in entities.values())


def bucket_owner(world: Any, bucket: str) -> str | None:
    """The account that owns a bucket, or None if there is no such bucket."""
    from moto.s3.models import s3_backends

    with world.moto_lock("s3"):
        found = s3_backends.bucket_accounts.get(bucket)
        return found[1] if found else None
