"""boto3 clients: the function's own, and those of a consumer's role.

boto3 is imported only under this folder, and only when the first client is made: importing it takes longer than
most of what a handler does.
"""

from __future__ import annotations

import functools
import re
from typing import Any

CONSUMER_ROLE = "tagmesh-consumer"


class ConsumerNotReachable(Exception):
    """A consumer's role could not be assumed: its stack is not deployed, or names another central account."""


def _config() -> Any:
    from botocore.config import Config

    # "standard" retries what AWS marks as throttled or transient, with backoff and jitter.
    return Config(retries={"mode": "standard", "max_attempts": 6}, connect_timeout=5, read_timeout=30)


@functools.cache
def client(service: str) -> Any:
    """A boto3 client of this function's own role, kept for the life of the process."""
    import boto3

    return boto3.client(service, config=_config())


@functools.cache
def own_account() -> str:
    """The account this function runs in: twelve digits."""
    return client("sts").get_caller_identity()["Account"]


def consumer_session(account: str, session_name: str) -> Any:
    """A boto3 Session of the consumer's role, for one run.

    The ARN is built from the governance files' account and a fixed name, never from an event. The external id is
    the one that accounts/consumer.yaml asks for.

    Raises:
        ConsumerNotReachable: the role is not there, or does not trust us.
    """
    import boto3
    from botocore.exceptions import ClientError

    arn = f"arn:aws:iam::{account}:role/{CONSUMER_ROLE}"
    try:
        credentials = client("sts").assume_role(
            RoleArn=arn,
            RoleSessionName=re.sub(r"[^\w+=,.@-]", "-", session_name)[:64],
            ExternalId=f"tagmesh-{own_account()}",
            DurationSeconds=900,
        )["Credentials"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        raise ConsumerNotReachable(f"{arn} cannot be assumed: {error.response['Error']['Message']}") from error
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=client("sts").meta.region_name,
    )


def client_of(session: Any, service: str) -> Any:
    """A client of an assumed session, with the same retries as our own."""
    return session.client(service, config=_config())
