"""What authorisation looks up in moto's backends: resource policies, owners, keys, names."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from local_aws.access import policy

if TYPE_CHECKING:
    from local_aws.world import World

Document = dict[str, Any]


# -- S3 -----------------------------------------------------------------------------------------------------------


def bucket(name: str) -> Any:
    """moto's bucket of a name, whoever owns it, or None."""
    from moto.s3.models import s3_backends

    found = s3_backends.bucket_accounts.get(name)
    return s3_backends[found[1]][found[0]].buckets.get(name) if found else None


def bucket_owner(name: str) -> str | None:
    """The account a bucket belongs to, or None if there is no such bucket."""
    found = bucket(name)
    return found.account_id if found else None


def bucket_key(name: str, encryption: str | None) -> str | None:
    """The customer key that objects of a bucket are encrypted under by default, if they are."""
    found = bucket(name)
    if found is None or not found.encryption or encryption not in (None, "aws:kms"):
        return None
    default = found.encryption["Rule"]["ApplyServerSideEncryptionByDefault"]
    return default.get("KMSMasterKeyID") if default["SSEAlgorithm"] == "aws:kms" else None


def object_key(name: str, key: str) -> str | None:
    """The customer key that an object is encrypted under, if it is."""
    found = bucket(name)
    stored = found.keys.get(key) if found else None
    return getattr(stored, "kms_key_id", None) if getattr(stored, "encryption", None) == "aws:kms" else None


# -- queues and keys ----------------------------------------------------------------------------------------------


def queue_of_url(url: str, account: str) -> tuple[str, str]:
    """(owner, name) of a queue URL; a bare name is a queue of the caller's."""
    parts = url.rstrip("/").split("/")
    return (parts[-2], parts[-1]) if len(parts) > 1 else (account, parts[-1])


def queue(account: str, region: str, name: str) -> Any:
    """moto's queue, or None."""
    from moto.sqs.models import sqs_backends

    return sqs_backends[account][region].queues.get(name)


def queue_key(account: str, region: str, name: str) -> str | None:
    """The KMS key a queue's messages are encrypted under, as its settings name it, or None (SSE-SQS or none)."""
    found = queue(account, region, name)
    return getattr(found, "kms_master_key_id", None) or None


def partition_key(account: str, region: str, table: str, index: str | None) -> str | None:
    """The partition key's name of a DynamoDB table (by name or ARN), or of an index of it; None if there is none."""
    from moto.dynamodb.models import dynamodb_backends

    if table.startswith("arn:"):
        _, _, _, region, account, table = table.split(":", 5)
    found = dynamodb_backends[account][region].tables.get(table.removeprefix("table/"))
    if found is None or index is None:
        return found.hash_key_attr if found else None
    indexes = {each.name: each for each in (*found.indexes, *found.global_indexes)}
    schema = indexes[index].schema if index in indexes else []
    return next((key["AttributeName"] for key in schema if key["KeyType"] == "HASH"), None)


def key_arn(account: str, region: str, name: str) -> str:
    """The ARN of a key given by id, ARN, alias or alias ARN. One that does not exist keeps its given name."""
    from moto.kms.models import kms_backends

    if name.startswith("arn:"):
        _, _, _, region, account, _ = name.split(":", 5)
    backend = kms_backends[account][region]
    plain = name.split(":")[-1].removeprefix("key/")
    if plain.startswith("alias/"):
        plain = next((key.id for key in backend.keys.values() if plain in key.aliases), plain)
    if plain.startswith("alias/"):
        return f"arn:aws:kms:{region}:{account}:{plain}"
    return f"arn:aws:kms:{region}:{account}:key/{plain}"


def key_state(arn: str) -> str | None:
    """The state of a key, or None where there is none."""
    from moto.kms.models import kms_backends

    _, _, _, region, account, resource = arn.split(":", 5)
    key = kms_backends[account][region].keys.get(resource.removeprefix("key/"))
    return key.key_state if key is not None else None


def key_of_ciphertext(blob: bytes) -> str:
    """The id of the key that a ciphertext names: moto puts it first."""
    return blob[:36].decode("ascii", "replace")


# -- IAM ----------------------------------------------------------------------------------------------------------


def iam_entity(arn: str) -> Any:
    """moto's role or user of an ARN, path included, or None."""
    from moto.iam.models import iam_backends

    found = re.fullmatch(r"arn:aws:iam::(\d{12}):(role|user)/.+", arn)
    if not found:
        return None
    backend = iam_backends[found[1]]["aws"]
    entities = backend.roles if found[2] == "role" else backend.users
    return next((entity for entity in list(entities.values()) if entity.arn == arn), None)


def iam_arn(account: str, kind: str, name: str, path: str) -> str:
    """The ARN of a role or user: of the one that exists by this name, else as it would be with this path."""
    from moto.iam.models import iam_backends

    backend = iam_backends[account]["aws"]
    entities = backend.roles if kind == "role" else backend.users
    found = next((entity for entity in list(entities.values()) if entity.name == name), None)
    return found.arn if found else f"arn:aws:iam::{account}:{kind}{path}{name}"


def user_of_access_key(access_key: str) -> Any:
    """moto's IAM user with this active access key, in whichever account, or None."""
    from moto.iam.models import iam_backends

    for account in list(iam_backends.values()):
        for user in list(account["aws"].users.values()):
            for key in user.access_keys:
                if key.access_key_id == access_key and key.status == "Active":
                    return user
    return None


def roles(account: str) -> list[Any]:
    """moto's roles of an account."""
    from moto.iam.models import iam_backends

    return list(iam_backends[account]["aws"].roles.values())


def inline_policies(entity: Any) -> list[str]:
    """The inline policies of a role or user, as JSON texts."""
    return list(entity.policies.values())


def managed_policy(account: str, arn: str) -> str:
    """The text of a managed policy's default version. One that is gone allows nothing."""
    from moto.iam.models import iam_backends

    managed = iam_backends[account]["aws"].managed_policies.get(arn)
    return default_version(managed) if managed else '{"Statement": []}'


def default_version(managed: Any) -> str:
    """The text of the default version of one of moto's managed policies."""
    return next(each.document for each in managed.versions if each.version_id == managed.default_version_id)


def tags(entity: Any) -> dict[str, str]:
    """The tags of a role or user."""
    if isinstance(entity.tags, dict):
        return {key: str(value) for key, value in entity.tags.items()}
    return {tag["Key"]: tag["Value"] for tag in entity.tags or []}


# -- resource policies --------------------------------------------------------------------------------------------


def resource_policy(world: World, arn: str) -> Document | None:
    """The policy attached to a resource, or None where it has none (or there is no such resource)."""
    _, _, service, region, account, resource = arn.split(":", 5) if arn.count(":") >= 5 else [""] * 6
    find = RESOURCE_POLICIES.get(service)
    return find(world, account, region, resource) if find else None


def _bucket_policy(_world: World, _account: str, _region: str, resource: str) -> Document | None:
    found = bucket(resource.partition("/")[0])
    return policy.parse(found.policy.decode()) if found is not None and found.policy else None


def _queue_policy(_world: World, account: str, region: str, resource: str) -> Document | None:
    found = queue(account, region, resource)
    return policy.parse(found.policy) if found is not None and found.policy else None


def _topic_policy(_world: World, account: str, region: str, resource: str) -> Document | None:
    from moto.sns.models import sns_backends

    topic = sns_backends[account][region].topics.get(f"arn:aws:sns:{region}:{account}:{resource}")
    return policy.parse(topic.policy) if topic is not None else None


def _key_policy(_world: World, account: str, region: str, resource: str) -> Document | None:
    from moto.kms.models import kms_backends

    key = kms_backends[account][region].keys.get(resource.removeprefix("key/"))
    return policy.parse(key.policy) if key is not None else None


def _trust_policy(_world: World, account: str, _region: str, resource: str) -> Document | None:
    role = iam_entity(f"arn:aws:iam::{account}:{resource}") if resource.startswith("role/") else None
    return policy.parse(role.assume_role_policy_document) if role is not None else None


def _bus_policy(world: World, account: str, region: str, resource: str) -> Document | None:
    engine = world.engines.get("events")
    if not hasattr(engine, "bus_policy"):
        return None
    kind, _, name = resource.partition("/")
    if kind == "rule":  # a rule's policy is that of its bus
        name = name.partition("/")[0] if "/" in name else "default"
    return _document(engine.bus_policy(account, region, name)) if kind in ("event-bus", "rule") else None


def _function_policy(world: World, account: str, region: str, resource: str) -> Document | None:
    engine = world.engines.get("lambda")
    if not resource.startswith("function:") or not hasattr(engine, "function_policy"):
        return None
    return _document(engine.function_policy(account, region, resource.split(":")[1]))


def _log_policy(_world: World, account: str, region: str, _resource: str) -> Document | None:
    """All resource policies of an account's logs as one: each says which log groups it is for."""
    from moto.logs.models import logs_backends

    documents = [
        policy.parse(each.policy_document) for each in logs_backends[account][region].resource_policies.values()
    ]
    statements = [
        statement
        for document in documents
        for statement in (document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]])
    ]
    return {"Version": "2012-10-17", "Statement": statements} if statements else None


def _document(found: Document | str | None) -> Document | None:
    return json.loads(found) if isinstance(found, str) else found


RESOURCE_POLICIES = {
    "s3": _bucket_policy,
    "sqs": _queue_policy,
    "sns": _topic_policy,
    "kms": _key_policy,
    "iam": _trust_policy,
    "events": _bus_policy,
    "lambda": _function_policy,
    "logs": _log_policy,
}
"""By the service in an ARN. A role's policy says who may assume it."""
