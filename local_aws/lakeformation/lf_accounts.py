"""What Lake Formation looks up in other services: whether a principal exists, and whose a bucket is; and
which accounts an organization or an organizational unit has."""

from __future__ import annotations

from typing import Any

from local_aws.lakeformation.lf_model import account_of, is_organization


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


def has_member(world: Any, arn: str, account: str) -> bool:
    """Whether an account is in an organization, or in the unit of it, that an ARN names. Never where it names another
    organization, or another management account than the one that was told."""
    organization = world.organization
    told, (_, identity, *unit) = organization.get("management"), arn.rpartition(":")[2].split("/")
    if identity != organization["id"] or account not in organization["members"]:
        return False
    if told and arn.split(":")[4] != told:
        return False
    return not unit or account in organization.get("units", {}).get(arn, ())


def may_share_with(world: Any, owner: str, arn: str) -> bool:
    """Whether RAM shares an owner's resources with this organization, or unit: it is the owner's own, RAM sharing is
    enabled in it, and such a unit is there. [RAM user guide, Enable resource sharing within AWS Organizations]"""
    organization = world.organization
    whole = arn.split(":")[4], arn.rpartition(":")[2].split("/")[1]
    there = ":organization/" in arn or arn in organization.get("units", {})
    same = has_member(world, f"arn:aws:organizations::{whole[0]}:organization/{whole[1]}", owner)
    return bool(organization["ram_sharing"]) and there and same


def covers(world: Any, principal: str, account: str) -> bool:
    """Whether what is granted to a principal is granted to an account as a whole: it is that account, or an
    organization or unit that the account is in."""
    return principal == account or (is_organization(principal) and has_member(world, principal, account))


def bucket_owner(world: Any, bucket: str) -> str | None:
    """The account that owns a bucket, or None if there is no such bucket."""
    from moto.s3.models import s3_backends

    with world.moto_lock("s3"):
        found = s3_backends.bucket_accounts.get(bucket)
        return found[1] if found else None
