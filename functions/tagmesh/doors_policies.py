"""Doors in policies: of the producers' buckets, of readers, of the Data Catalog (`tagmesh.doors`). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tagmesh.doors import DOOR, NOTICE, Door
from tagmesh.governance import DataProduct
from tagmesh.policy_documents import account_of, as_list, is_like, only_principals, principals, reads_below, statements
from tagmesh.wording import some

OUR_READERS = ("tagmesh-automation", "tagmesh-crawler", "tagmesh-registration", "tagmesh-sample-content")
"""Roles of the central account that the producer's bucket policy lets in (accounts/producer.yaml)."""


def of_catalogue_policy(policy: Mapping[str, Any] | None, central: str) -> Iterator[Door]:
    """Accounts that the Glue resource policy lets in, besides what RAM needs to share."""
    for statement in statements(policy):
        who = sorted(principals(statement))
        if statement.get("Effect") != "Allow" or who == ["ram.amazonaws.com"]:
            continue
        if any(account_of(each) != central for each in who):
            yield Door(
                NOTICE,
                "catalogue-policy",
                central,
                "Glue resource policy",
                f"it lets {some(who)} call {some(as_list(statement.get('Action', statement.get('NotAction'))))}: "
                "tables that IAMAllowedPrincipals can read are open to them",
                "remove the statement, if nothing else needs it",
            )


def of_bucket_policy(
    product: DataProduct, policy: Mapping[str, Any] | None, central: str, readers: Collection[str] = ()
) -> Iterator[Door]:
    """Whom the policy of a data product's bucket lets read its objects, besides the central account's roles and the
    account that owns it.

    Args:
        readers: ARNs of principals of the bucket's account that the files name: in its own account a bucket policy
            lets in whom it names, whatever his IAM policies say. [S3 user guide, How Amazon S3 authorizes a request]
    """
    allowed = {f"arn:aws:iam::{central}:role/{name}" for name in OUR_READERS}
    for statement in statements(policy):
        if statement.get("Effect") != "Allow" or not reads_below(statement, f"{product.bucket}/{product.prefix}"):
            continue
        named, narrowed = principals(statement), only_principals(statement)
        let_in = named if narrowed is None else narrowed
        who = {each for each in let_in - allowed if account_of(each) != product.account}
        everybody_there = "*" in named and product.account in let_in
        who |= {each for each in readers if everybody_there or any(is_like(each, like) for like in let_in)}
        if who:
            yield Door(
                DOOR,
                "bucket-readable",
                product.account,
                f"s3://{product.bucket}",
                f"its policy lets {some(sorted(who))} read the objects themselves, with every column",
                "take that statement out of the bucket policy; accounts/producer.yaml has those that are needed",
                product.unit,
            )


def of_readers(product: DataProduct, readers: Mapping[str, bool]) -> Iterator[Door]:
    """Readers whom IAM lets read the bucket of their own account.

    Args:
        readers: ARN -> whether its policies allow s3:GetObject on the data product's objects; of the bucket's account.
    """
    for arn in sorted(arn for arn, allowed in readers.items() if allowed):
        yield Door(
            DOOR,
            "reader-reads-bucket",
            product.account,
            arn,
            f"its IAM policies let it read the objects of {product.location} themselves, with every column",
            "take s3:GetObject on that bucket from it: queries are lent what they need (tagmesh iam-policy)",
            product.unit,
        )
