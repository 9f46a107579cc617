"""CloudFormation resource types of S3, DynamoDB and CloudWatch Logs."""

from __future__ import annotations

import json
from typing import Any

from local_aws.cloudformation.cfn_resources import (
    Made,
    NothingDone,
    Properties,
    ResourceType,
    Site,
    changed,
    given,
    tag_changes,
    tag_list,
    tag_map,
    tolerating,
)

# -- AWS::S3::Bucket -------------------------------------------------------------------------------------------------


def _lifecycle_rule(rule: Properties) -> dict[str, Any]:
    """A lifecycle rule of the template in the shape of PutBucketLifecycleConfiguration."""
    expiration = given(
        Days=rule.get("ExpirationInDays"),
        Date=rule.get("ExpirationDate"),
        ExpiredObjectDeleteMarker=rule.get("ExpiredObjectDeleteMarker"),
    )
    noncurrent = dict(rule.get("NoncurrentVersionExpiration", {}))
    if "NoncurrentVersionExpirationInDays" in rule:
        noncurrent["NoncurrentDays"] = rule["NoncurrentVersionExpirationInDays"]
    return given(
        ID=rule.get("Id"),
        Status=rule["Status"],
        Filter={"Prefix": rule.get("Prefix", "")},
        Expiration=expiration or None,
        NoncurrentVersionExpiration=given(
            NoncurrentDays=noncurrent.get("NoncurrentDays"),
            NewerNoncurrentVersions=noncurrent.get("NewerNoncurrentVersions"),
        )
        or None,
        AbortIncompleteMultipartUpload=rule.get("AbortIncompleteMultipartUpload"),
    )


def _configure_bucket(site: Site, bucket: str, old: Properties, new: Properties) -> None:
    """Bring a bucket from the `old` properties ({} when new) to the `new` ones."""
    s3 = site.client("s3")
    if changed(old, new, "OwnershipControls"):
        controls = new.get("OwnershipControls", {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    if changed(old, new, "PublicAccessBlockConfiguration"):
        if new.get("PublicAccessBlockConfiguration"):
            s3.put_public_access_block(
                Bucket=bucket, PublicAccessBlockConfiguration=new["PublicAccessBlockConfiguration"]
            )
        else:
            s3.delete_public_access_block(Bucket=bucket)
    if changed(old, new, "BucketEncryption"):
        _put_encryption(s3, bucket, new.get("BucketEncryption"))
    if changed(old, new, "VersioningConfiguration"):
        status = new.get("VersioningConfiguration", {}).get("Status", "Suspended")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    if changed(old, new, "LifecycleConfiguration"):
        rules = [_lifecycle_rule(rule) for rule in new.get("LifecycleConfiguration", {}).get("Rules", ())]
        if rules:
            s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
        else:
            s3.delete_bucket_lifecycle(Bucket=bucket)
    if changed(old, new, "NotificationConfiguration"):
        bridge = new.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {"EventBridgeEnabled": False})
        on = bridge.get("EventBridgeEnabled", True)
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}} if on else {}
        )
    if tag_map(old) != tag_map(new):
        if tag_map(new):
            s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(tag_map(new))})
        else:
            s3.delete_bucket_tagging(Bucket=bucket)


def _put_encryption(s3: Any, bucket: str, encryption: Properties | None) -> None:
    if not encryption:
        s3.delete_bucket_encryption(Bucket=bucket)
        return
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            **given(BucketKeyEnabled=rule.get("BucketKeyEnabled")),
        }
        for rule in encryption["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _bucket(site: Site, name: str) -> Made:
    return Made(
        name,
        {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{site.region}.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{site.region}.amazonaws.com",
        },
    )


def _create_bucket(site: Site, properties: Properties) -> Made:
    name = properties.get("BucketName") or site.generated_name(63, lower=True)
    constraint = (
        {} if site.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": site.region}}
    )
    site.client("s3").create_bucket(Bucket=name, **constraint)
    site.created(name)
    _configure_bucket(site, name, {}, properties)
    return _bucket(site, name)


def _update_bucket(site: Site, name: str, old: Properties, new: Properties) -> Made:
    _configure_bucket(site, name, old, new)
    return _bucket(site, name)


def _delete_bucket(site: Site, name: str, _properties: Properties) -> None:
    with tolerating("NoSuchBucket"):
        site.client("s3").delete_bucket(Bucket=name)


def _put_bucket_policy(site: Site, properties: Properties) -> Made:
    bucket, document = properties["Bucket"], properties["PolicyDocument"]
    policy = document if isinstance(document, str) else json.dumps(document)
    site.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    return Made(bucket)


def _delete_bucket_policy(site: Site, bucket: str, _properties: Properties) -> None:
    with tolerating("NoSuchBucket", "NoSuchBucketPolicy"):
        site.client("s3").delete_bucket_policy(Bucket=bucket)


# -- AWS::DynamoDB::Table --------------------------------------------------------------------------------------------

_TABLE_BASICS = (
    "AttributeDefinitions", "KeySchema", "BillingMode", "ProvisionedThroughput", "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes", "TableClass", "DeletionProtectionEnabled",
)  # fmt: skip


def _encryption(properties: Properties) -> dict[str, Any] | None:
    """The template says SSEEnabled, the API Enabled."""
    encryption = properties.get("SSESpecification")
    if not encryption:
        return None
    return {"Enabled": encryption["SSEEnabled"], **{k: v for k, v in encryption.items() if k != "SSEEnabled"}}


def _table(site: Site, name: str) -> Made:
    table = site.client("dynamodb").describe_table(TableName=name)["Table"]
    return Made(name, {"Arn": table["TableArn"]})


def _await_active(site: Site, name: str) -> None:
    site.client("dynamodb").get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def _create_table(site: Site, properties: Properties) -> Made:
    dynamodb = site.client("dynamodb")
    name = properties.get("TableName") or site.generated_name(255)
    basics = {key: properties[key] for key in _TABLE_BASICS if key in properties}
    dynamodb.create_table(
        TableName=name,
        **basics,
        **given(
            SSESpecification=_encryption(properties),
            Tags=properties.get("Tags"),
        ),
    )
    site.created(name)
    _await_active(site, name)
    _configure_table(site, name, {}, properties)
    return _table(site, name)


def _configure_table(site: Site, name: str, old: Properties, new: Properties) -> None:
    """Time to live and point-in-time recovery, which CreateTable does not take."""
    dynamodb = site.client("dynamodb")
    if changed(old, new, "TimeToLiveSpecification"):
        ttl = new.get("TimeToLiveSpecification") or {**old["TimeToLiveSpecification"], "Enabled": False}
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    if changed(old, new, "PointInTimeRecoverySpecification"):
        recovery = new.get("PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": False})
        dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)


def _update_table(site: Site, name: str, old: Properties, new: Properties) -> Made:
    _check_indexes(name, old, new)
    dynamodb = site.client("dynamodb")
    direct = ("BillingMode", "ProvisionedThroughput", "TableClass", "DeletionProtectionEnabled")
    settings = {key: new[key] for key in direct if changed(old, new, key) and key in new}
    if changed(old, new, "SSESpecification"):
        settings["SSESpecification"] = _encryption(new) or {"Enabled": False}
    if settings:
        dynamodb.update_table(TableName=name, **settings)
        _await_active(site, name)
    _update_indexes(site, name, old, new)
    _configure_table(site, name, old, new)
    to_set, to_remove = tag_changes(old, new)
    arn = site.arn("dynamodb", f"table/{name}")
    if to_remove:
        dynamodb.untag_resource(ResourceArn=arn, TagKeys=to_remove)
    if to_set:
        dynamodb.tag_resource(ResourceArn=arn, Tags=tag_list(to_set))
    return _table(site, name)


def _indexes(properties: Properties) -> dict[str, Any]:
    return {index["IndexName"]: index for index in properties.get("GlobalSecondaryIndexes", ())}


def _check_indexes(name: str, old: Properties, new: Properties) -> None:
    """Refuse what one update cannot do to a table's indexes."""
    before, after = _indexes(old), _indexes(new)
    if len(before.keys() ^ after.keys()) > 1:
        raise NothingDone(
            "Cannot perform more than one GSI creation or deletion in a single update "
            "(HandlerErrorCode: InvalidRequest)"
        )
    if any(before[each] != after[each] for each in before.keys() & after.keys()):
        raise NothingDone(f"Changing an index of table {name} is not supported locally ({__name__})")


def _update_indexes(site: Site, name: str, old: Properties, new: Properties) -> None:
    """Make and delete indexes. What is there is asked for: an update may have failed before it came to them."""
    table = site.client("dynamodb").describe_table(TableName=name)["Table"]
    present = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
    after = _indexes(new)
    added, removed = after.keys() - present, (_indexes(old).keys() & present) - after.keys()
    for each in removed:
        site.client("dynamodb").update_table(
            TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": each}}]
        )
    for each in added:
        site.client("dynamodb").update_table(
            TableName=name,
            AttributeDefinitions=new["AttributeDefinitions"],
            GlobalSecondaryIndexUpdates=[{"Create": after[each]}],
        )
    if added or removed:
        _await_active(site, name)


def _delete_table(site: Site, name: str, _properties: Properties) -> None:
    with tolerating("ResourceNotFoundException"):
        site.client("dynamodb").delete_table(TableName=name)


# -- AWS::Logs::LogGroup ---------------------------------------------------------------------------------------------


def _log_group(site: Site, name: str) -> Made:
    return Made(name, {"Arn": site.arn("logs", f"log-group:{name}:*")})


def _create_log_group(site: Site, properties: Properties) -> Made:
    logs = site.client("logs")
    name = properties.get("LogGroupName") or site.generated_name(512)
    logs.create_log_group(
        logGroupName=name, **given(kmsKeyId=properties.get("KmsKeyId"), tags=tag_map(properties) or None)
    )
    site.created(name)
    if "RetentionInDays" in properties:
        logs.put_retention_policy(logGroupName=name, retentionInDays=properties["RetentionInDays"])
    return _log_group(site, name)


def _update_log_group(site: Site, name: str, old: Properties, new: Properties) -> Made:
    logs = site.client("logs")
    if changed(old, new, "RetentionInDays"):
        if "RetentionInDays" in new:
            logs.put_retention_policy(logGroupName=name, retentionInDays=new["RetentionInDays"])
        else:
            logs.delete_retention_policy(logGroupName=name)
    to_set, to_remove = tag_changes(old, new)
    arn = site.arn("logs", f"log-group:{name}")
    if to_remove:
        logs.untag_resource(resourceArn=arn, tagKeys=to_remove)
    if to_set:
        logs.tag_resource(resourceArn=arn, tags=to_set)
    return _log_group(site, name)


def _delete_log_group(site: Site, name: str, _properties: Properties) -> None:
    with tolerating("ResourceNotFoundException"):
        site.client("logs").delete_log_group(logGroupName=name)


TYPES = {
    "AWS::S3::Bucket": ResourceType(
        _create_bucket,
        _update_bucket,
        _delete_bucket,
        frozenset({"Arn", "DomainName", "RegionalDomainName", "DualStackDomainName"}),
        named_by="BucketName",
    ),
    "AWS::S3::BucketPolicy": ResourceType(
        _put_bucket_policy, lambda site, _id, _old, new: _put_bucket_policy(site, new), _delete_bucket_policy
    ),
    "AWS::DynamoDB::Table": ResourceType(
        _create_table, _update_table, _delete_table, frozenset({"Arn"}), named_by="TableName"
    ),
    "AWS::Logs::LogGroup": ResourceType(
        _create_log_group, _update_log_group, _delete_log_group, frozenset({"Arn"}), named_by="LogGroupName"
    ),
}
