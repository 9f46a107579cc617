"""Every operation that the allow-lists admit of the services that moto answers, used once through boto3.

An operation that nobody uses here has no proof that it works: it does not belong on the list.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws import allowed
from local_aws.access import actions_s3
from local_aws.server import LocalAws

pytestmark = pytest.mark.slow  # every admitted operation once

A = "111111111111"
REGION = "eu-west-1"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{A}:root"},
            "Action": "sts:AssumeRole",
        },
    }
)
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"}}
)
TAGS = [{"Key": "team", "Value": "mesh"}]


def missing(call: Callable, **params: Any) -> bool:
    """Whether a call finds nothing."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404)


def add_md5(request: Any, **_: Any) -> None:
    body = request.body if isinstance(request.body, bytes) else request.body.read()
    request.headers["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()


def use_s3(aws: LocalAws) -> None:
    s3 = aws.session(A).client("s3")
    name = "the-lake"
    bucket = {"Bucket": name}
    s3.create_bucket(**bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    bucket = {**bucket, "ExpectedBucketOwner": A}  # every operation on a bucket takes it
    for operation in (  # older clients send it, newer ones a checksum instead
        "PutBucketVersioning", "PutBucketEncryption", "PutPublicAccessBlock", "PutBucketOwnershipControls",
        "PutBucketTagging", "PutObjectTagging", "PutBucketPolicy", "DeleteObjects",
    ):  # fmt: skip
        s3.meta.events.register(f"before-sign.s3.{operation}", add_md5)
    s3.head_bucket(**bucket)
    assert s3.get_bucket_location(**bucket)["LocationConstraint"] == REGION
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == [name]

    said = {"Sid": "x", "Effect": "Allow", "Principal": {"AWS": A}, "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{name}/*"}  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": said})
    s3.put_bucket_policy(**bucket, Policy=document)
    assert json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"]["Sid"] == "x"
    s3.delete_bucket_policy(**bucket)
    assert missing(s3.get_bucket_policy, **bucket)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    kept = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert kept["ApplyServerSideEncryptionByDefault"] == rule["ApplyServerSideEncryptionByDefault"]
    s3.delete_bucket_encryption(**bucket)
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"] == block
    s3.delete_public_access_block(**bucket)
    ownership = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(**bucket, OwnershipControls=ownership)
    assert s3.get_bucket_ownership_controls(**bucket)["OwnershipControls"] == ownership
    s3.delete_bucket_ownership_controls(**bucket)
    s3.put_bucket_tagging(**bucket, Tagging={"TagSet": TAGS})
    assert s3.get_bucket_tagging(**bucket)["TagSet"] == TAGS
    s3.delete_bucket_tagging(**bucket)
    lifecycle = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [lifecycle]})
    assert s3.get_bucket_lifecycle_configuration(**bucket)["Rules"][0]["ID"] == "old"
    s3.delete_bucket_lifecycle(**bucket)
    s3.put_bucket_notification_configuration(**bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(**bucket)
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"

    key = {**bucket, "Key": "sales/a.csv"}
    version = s3.put_object(**key, Body=b"one", ContentType="text/csv", Tagging="a=b")["VersionId"]
    s3.put_object(**key, Body=b"two")
    assert s3.get_object(**key)["Body"].read() == b"two"
    assert s3.get_object(**key, VersionId=version, Range="bytes=1-")["Body"].read() == b"ne"
    assert s3.head_object(**key, VersionId=version)["ContentType"] == "text/csv"
    assert s3.get_object_tagging(**key, VersionId=version)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.put_object_tagging(**key, Tagging={"TagSet": TAGS})
    s3.delete_object_tagging(**key)
    assert s3.get_object_tagging(**key)["TagSet"] == []
    s3.copy_object(**bucket, Key="copy", CopySource={"Bucket": name, "Key": "sales/a.csv"})
    listed = s3.list_objects_v2(**bucket, Delimiter="/")
    assert [each["Prefix"] for each in listed["CommonPrefixes"]] == ["sales/"]
    assert [each["Key"] for each in s3.list_objects(**bucket)["Contents"]] == ["copy", "sales/a.csv"]
    assert len(s3.list_object_versions(**bucket, Prefix="sales/")["Versions"]) == 2

    upload = {**bucket, "Key": "big", "UploadId": s3.create_multipart_upload(**bucket, Key="big")["UploadId"]}
    assert [each["Key"] for each in s3.list_multipart_uploads(**bucket)["Uploads"]] == ["big"]
    s3.upload_part(**upload, PartNumber=1, Body=b"x" * 5 * 2**20)
    s3.upload_part_copy(**upload, PartNumber=2, CopySource={"Bucket": name, "Key": "copy"}, ExpectedSourceBucketOwner=A)
    parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in s3.list_parts(**upload)["Parts"]]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.head_object(**bucket, Key="big")["ContentLength"] == 5 * 2**20 + 3
    again = s3.create_multipart_upload(**bucket, Key="never")["UploadId"]
    s3.abort_multipart_upload(**bucket, Key="never", UploadId=again)

    s3.delete_object(**bucket, Key="copy")
    left = s3.list_object_versions(**bucket)
    objects = [{name: each[name] for name in ("Key", "VersionId")} for each in left["Versions"] + left["DeleteMarkers"]]
    s3.delete_objects(**bucket, Delete={"Objects": objects, "Quiet": True})
    s3.delete_bucket(**bucket)
    assert s3.list_buckets()["Buckets"] == []


def use_iam(aws: LocalAws) -> None:
    iam = aws.session(A).client("iam")
    role = {"RoleName": "Analyst"}
    arn = iam.create_role(**role, AssumeRolePolicyDocument=TRUST, Path="/teams/", Tags=TAGS)["Role"]["Arn"]
    assert arn == f"arn:aws:iam::{A}:role/teams/Analyst"
    iam.update_role(**role, Description="reads", MaxSessionDuration=7200)
    assert iam.get_role(**role)["Role"]["Description"] == "reads"
    iam.update_assume_role_policy(**role, PolicyDocument=TRUST)
    assert [each["Arn"] for each in iam.list_roles(PathPrefix="/teams/")["Roles"]] == [arn]
    iam.tag_role(**role, Tags=[{"Key": "a", "Value": "b"}])
    iam.untag_role(**role, TagKeys=["a"])
    assert iam.list_role_tags(**role)["Tags"] == TAGS
    assert iam.list_instance_profiles_for_role(**role)["InstanceProfiles"] == []

    iam.put_role_policy(**role, PolicyName="in", PolicyDocument=POLICY)
    assert iam.list_role_policies(**role)["PolicyNames"] == ["in"]
    assert iam.get_role_policy(**role, PolicyName="in")["PolicyDocument"] == json.loads(POLICY)
    said = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject"])["EvaluationResults"]
    assert [each["EvalDecision"] for each in said] == ["implicitDeny"]
    iam.delete_role_policy(**role, PolicyName="in")

    policy = {"PolicyArn": iam.create_policy(PolicyName="p", PolicyDocument=POLICY)["Policy"]["Arn"]}
    assert iam.get_policy(**policy)["Policy"]["DefaultVersionId"] == "v1"
    iam.create_policy_version(**policy, PolicyDocument=POLICY, SetAsDefault=True)
    assert len(iam.list_policy_versions(**policy)["Versions"]) == 2
    assert iam.get_policy_version(**policy, VersionId="v2")["PolicyVersion"]["IsDefaultVersion"]
    iam.delete_policy_version(**policy, VersionId="v1")
    iam.attach_role_policy(**role, **policy)
    assert [each["PolicyName"] for each in iam.list_attached_role_policies(**role)["AttachedPolicies"]] == ["p"]
    assert [each["RoleName"] for each in iam.list_entities_for_policy(**policy)["PolicyRoles"]] == ["Analyst"]
    iam.detach_role_policy(**role, **policy)
    iam.put_role_permissions_boundary(**role, PermissionsBoundary=policy["PolicyArn"])
    assert "PermissionsBoundary" in iam.get_role(**role)["Role"]
    iam.delete_role_permissions_boundary(**role)
    assert [each["Arn"] for each in iam.list_policies(Scope="Local")["Policies"]] == [policy["PolicyArn"]]
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS")
    assert sum(len(page["Policies"]) for page in pages) > 1000

    user = {"UserName": "ci"}
    iam.create_user(**user)
    assert iam.get_user(**user)["User"]["Arn"].endswith(":user/ci")
    assert [each["UserName"] for each in iam.list_users()["Users"]] == ["ci"]
    iam.put_user_policy(**user, PolicyName="in", PolicyDocument=POLICY)
    assert iam.list_user_policies(**user)["PolicyNames"] == ["in"]
    assert iam.get_user_policy(**user, PolicyName="in")["PolicyDocument"] == json.loads(POLICY)
    iam.delete_user_policy(**user, PolicyName="in")
    iam.attach_user_policy(**user, **policy)
    assert len(iam.list_attached_user_policies(**user)["AttachedPolicies"]) == 1
    iam.detach_user_policy(**user, **policy)
    key = iam.create_access_key(**user)["AccessKey"]["AccessKeyId"]
    assert [each["AccessKeyId"] for each in iam.list_access_keys(**user)["AccessKeyMetadata"]] == [key]
    iam.delete_access_key(**user, AccessKeyId=key)
    iam.delete_user(**user)
    iam.delete_policy(**policy)
    iam.delete_role(**role)
    assert missing(iam.get_role, **role)
    assert iam.list_account_aliases()["AccountAliases"] == []


def use_sts(aws: LocalAws) -> None:
    aws.session(A).client("iam").create_role(RoleName="R", AssumeRolePolicyDocument=TRUST)
    sts = aws.session(A).client("sts")
    sts.get_caller_identity()
    sts.assume_role(RoleArn=f"arn:aws:iam::{A}:role/R", RoleSessionName="x1")


def use_sqs(aws: LocalAws) -> None:
    sqs = aws.session(A).client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    dead_arn = f"arn:aws:sqs:{REGION}:{A}:dead"
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    queue = {"QueueUrl": sqs.create_queue(QueueName="uploads", Attributes={"RedrivePolicy": redrive})["QueueUrl"]}
    assert sqs.get_queue_url(QueueName="uploads")["QueueUrl"] == queue["QueueUrl"]
    sqs.set_queue_attributes(**queue, Attributes={"VisibilityTimeout": "7"})
    assert sqs.get_queue_attributes(**queue, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"] == "7"
    assert len(sqs.list_queues()["QueueUrls"]) == 2
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue["QueueUrl"]]
    sqs.tag_queue(**queue, Tags={"a": "b", "c": "d"})
    sqs.untag_queue(**queue, TagKeys=["a"])
    assert sqs.list_queue_tags(**queue)["Tags"] == {"c": "d"}
    sqs.send_message(**queue, MessageBody="1", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}})
    sqs.send_message_batch(**queue, Entries=[{"Id": each, "MessageBody": each} for each in ("2", "3")])
    got = sqs.receive_message(**queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    assert sorted(each["Body"] for each in got) == ["1", "2", "3"]
    handles = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(got)]
    sqs.change_message_visibility(**queue, ReceiptHandle=handles[0]["ReceiptHandle"], VisibilityTimeout=0)
    again = sqs.receive_message(**queue)["Messages"]
    assert [each["Body"] for each in again] == [got[0]["Body"]]
    sqs.delete_message(**queue, ReceiptHandle=again[0]["ReceiptHandle"])
    visible = [{**each, "VisibilityTimeout": 0} for each in handles[1:]]
    sqs.change_message_visibility_batch(**queue, Entries=visible)
    entries = [
        {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
        for n, each in enumerate(sqs.receive_message(**queue, MaxNumberOfMessages=10)["Messages"])
    ]
    assert len(sqs.delete_message_batch(**queue, Entries=entries)["Successful"]) == 2
    sqs.purge_queue(**queue)
    sqs.delete_queue(**queue)
    assert missing(sqs.get_queue_url, QueueName="uploads")


def use_dynamodb(aws: LocalAws) -> None:
    dynamodb = aws.session(A).client("dynamodb")
    table = {"TableName": "units"}
    arn = dynamodb.create_table(
        **table,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        SSESpecification={"Enabled": True},
    )["TableDescription"]["TableArn"]
    assert dynamodb.list_tables()["TableNames"] == ["units"]
    assert dynamodb.describe_table(**table)["Table"]["TableStatus"] == "ACTIVE"
    dynamodb.update_table(**table, DeletionProtectionEnabled=False)
    dynamodb.update_time_to_live(**table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
    assert dynamodb.describe_time_to_live(**table)["TimeToLiveDescription"]["AttributeName"] == "until"
    recovery = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(**table, PointInTimeRecoverySpecification=recovery)
    backups = dynamodb.describe_continuous_backups(**table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    dynamodb.tag_resource(ResourceArn=arn, Tags=TAGS)
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["other"])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == TAGS

    def key(name: str) -> dict:
        return {"k": {"S": name}}

    absent = {"ConditionExpression": "attribute_not_exists(k)"}
    dynamodb.put_item(**table, Item={**key("a"), "n": {"N": "1"}}, **absent)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.put_item(**table, Item=key("a"), **absent)
    more = {"ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":one": {"N": "1"}}}
    updated = dynamodb.update_item(
        **table, Key=key("a"), UpdateExpression="ADD #n :one", ReturnValues="ALL_NEW", **more
    )
    assert updated["Attributes"]["n"] == {"N": "2"}
    assert dynamodb.get_item(**table, Key=key("a"), ConsistentRead=True)["Item"]["n"] == {"N": "2"}
    put = [{"PutRequest": {"Item": key(name)}} for name in ("b", "c")]
    assert dynamodb.batch_write_item(RequestItems={"units": put})["UnprocessedItems"] == {}
    got = dynamodb.batch_get_item(RequestItems={"units": {"Keys": [key("b"), key("c")]}})["Responses"]["units"]
    assert len(got) == 2
    dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {**table, "Item": key("d")}},
            {"ConditionCheck": {**table, "Key": key("a"), "ConditionExpression": "attribute_exists(k)"}},
            {"Delete": {**table, "Key": key("c")}},
        ]
    )
    answers = dynamodb.transact_get_items(TransactItems=[{"Get": {**table, "Key": key(name)}} for name in "cd"])
    assert ["Item" in each for each in answers["Responses"]] == [False, True]
    found = dynamodb.query(**table, KeyConditionExpression="k = :k", ExpressionAttributeValues={":k": {"S": "a"}})
    assert found["Count"] == 1
    assert dynamodb.scan(**table)["Count"] == 3
    dynamodb.delete_item(**table, Key=key("a"), ConditionExpression="attribute_exists(k)")
    dynamodb.delete_table(**table)
    assert dynamodb.list_tables()["TableNames"] == []


def use_logs(aws: LocalAws) -> None:
    logs = aws.session(A).client("logs")
    group = {"logGroupName": "/aws/lambda/f"}
    stream = {**group, "logStreamName": "s"}
    logs.create_log_group(**group, tags={"a": "b"})
    assert logs.list_tags_log_group(**group)["tags"] == {"a": "b"}
    logs.tag_log_group(**group, tags={"c": "d"})
    arn = f"arn:aws:logs:{REGION}:{A}:log-group:/aws/lambda/f"
    logs.tag_resource(resourceArn=arn, tags={"e": "f"})
    logs.untag_resource(resourceArn=arn, tagKeys=["a", "c"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"e": "f"}
    logs.put_retention_policy(**group, retentionInDays=30)
    assert logs.describe_log_groups(logGroupNamePrefix="/aws")["logGroups"][0]["retentionInDays"] == 30
    logs.delete_retention_policy(**group)
    logs.create_log_stream(**stream)
    now = int(datetime.now(UTC).timestamp() * 1000)
    events = [{"timestamp": now + n, "message": message} for n, message in enumerate(("start", "ERROR no"))]
    logs.put_log_events(**stream, logEvents=events)
    assert [each["message"] for each in logs.get_log_events(**stream)["events"]] == ["start", "ERROR no"]
    found = logs.filter_log_events(**group, filterPattern="ERROR")["events"]
    assert [each["message"] for each in found] == ["ERROR no"]
    assert [each["logStreamName"] for each in logs.describe_log_streams(**group)["logStreams"]] == ["s"]
    logs.delete_log_stream(**stream)
    logs.put_resource_policy(policyName="p", policyDocument=POLICY)
    assert [each["policyName"] for each in logs.describe_resource_policies()["resourcePolicies"]] == ["p"]
    logs.delete_resource_policy(policyName="p")
    logs.delete_log_group(**group)
    assert logs.describe_log_groups()["logGroups"] == []


def use_sns(aws: LocalAws) -> None:
    sns = aws.session(A).client("sns")
    topic = {"TopicArn": sns.create_topic(Name="alarms", Tags=TAGS)["TopicArn"]}
    assert [each["TopicArn"] for each in sns.list_topics()["Topics"]] == [topic["TopicArn"]]
    sns.set_topic_attributes(**topic, AttributeName="DisplayName", AttributeValue="Alarms")
    assert sns.get_topic_attributes(**topic)["Attributes"]["DisplayName"] == "Alarms"
    subscribed = sns.subscribe(**topic, Protocol="email", Endpoint="a@example.com", ReturnSubscriptionArn=True)
    subscription = {"SubscriptionArn": subscribed["SubscriptionArn"]}
    assert len(sns.list_subscriptions()["Subscriptions"]) == 1
    assert len(sns.list_subscriptions_by_topic(**topic)["Subscriptions"]) == 1
    sns.set_subscription_attributes(**subscription, AttributeName="RawMessageDelivery", AttributeValue="true")
    kept = sns.get_subscription_attributes(**subscription)["Attributes"]
    assert kept["RawMessageDelivery"] == "true"
    with pytest.raises(ClientError, match="LocalAwsNotSupported.*lambda"):
        sns.subscribe(**topic, Protocol="lambda", Endpoint=f"arn:aws:lambda:{REGION}:{A}:function:f")
    sns.publish(**topic, Message="down", Subject="alarm")
    sns.tag_resource(ResourceArn=topic["TopicArn"], Tags=[{"Key": "a", "Value": "b"}])
    sns.untag_resource(ResourceArn=topic["TopicArn"], TagKeys=["a"])
    assert sns.list_tags_for_resource(ResourceArn=topic["TopicArn"])["Tags"] == TAGS
    for number in range(101):  # a page has 100
        sns.subscribe(**topic, Protocol="email", Endpoint=f"{number}@example.com")
        sns.create_topic(Name=f"topic-{number}")
    for listing, items, of in (
        ("list_topics", "Topics", {}), ("list_subscriptions", "Subscriptions", {}),
        ("list_subscriptions_by_topic", "Subscriptions", topic),
    ):  # fmt: skip
        assert sum(len(page[items]) for page in sns.get_paginator(listing).paginate(**of)) == 102
    sns.unsubscribe(**subscription)
    for page in sns.list_topics()["Topics"], sns.list_topics()["Topics"]:
        for each in page:
            sns.delete_topic(**each)
    for each in sns.list_topics()["Topics"]:
        sns.delete_topic(**each)
    assert sns.list_topics()["Topics"] == []


def use_kms(aws: LocalAws) -> None:
    kms = aws.session(A).client("kms")
    metadata = kms.create_key(Description="lake", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    key = {"KeyId": metadata["KeyId"]}
    kms.update_key_description(**key, Description="the lake")
    assert kms.describe_key(**key)["KeyMetadata"]["Description"] == "the lake"
    assert [each["KeyId"] for each in kms.list_keys()["Keys"]] == [key["KeyId"]]
    kms.enable_key_rotation(**key)
    assert kms.get_key_rotation_status(**key)["KeyRotationEnabled"]
    kms.disable_key_rotation(**key)
    policy = kms.get_key_policy(**key, PolicyName="default")["Policy"]
    kms.put_key_policy(**key, PolicyName="default", Policy=policy)
    kms.create_alias(AliasName="alias/lake", TargetKeyId=key["KeyId"])
    kms.update_alias(AliasName="alias/lake", TargetKeyId=key["KeyId"])
    assert "alias/lake" in [each["AliasName"] for each in kms.list_aliases(**key)["Aliases"]]
    kms.tag_resource(**key, Tags=[{"TagKey": "c", "TagValue": "d"}])
    kms.untag_resource(**key, TagKeys=["a"])
    assert kms.list_resource_tags(**key)["Tags"] == [{"TagKey": "c", "TagValue": "d"}]
    sealed = kms.encrypt(KeyId="alias/lake", Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"x"
    fresh = kms.generate_data_key(**key, KeySpec="AES_256")
    assert kms.decrypt(CiphertextBlob=fresh["CiphertextBlob"])["Plaintext"] == fresh["Plaintext"]
    kms.disable_key(**key)
    kms.enable_key(**key)
    kms.delete_alias(AliasName="alias/lake")
    kms.schedule_key_deletion(**key, PendingWindowInDays=7)
    kms.cancel_key_deletion(**key)
    assert kms.describe_key(**key)["KeyMetadata"]["KeyState"] == "Disabled"


def use_cloudwatch(aws: LocalAws) -> None:
    cloudwatch = aws.session(A).client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="failed", MetricName="Failed", Namespace="tagmesh", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold",
    )  # fmt: skip
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["failed"])["MetricAlarms"]
    cloudwatch.tag_resource(ResourceARN=alarm["AlarmArn"], Tags=TAGS)
    assert cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"] == TAGS
    cloudwatch.delete_alarms(AlarmNames=["failed"])
    cloudwatch.put_metric_data(Namespace="tagmesh", MetricData=[{"MetricName": "Failed", "Value": 2}])
    assert len(cloudwatch.list_metrics(Namespace="tagmesh")["Metrics"]) == 1
    now = datetime.now(UTC)
    span = {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(hours=1)}
    metric = {"Namespace": "tagmesh", "MetricName": "Failed"}
    points = cloudwatch.get_metric_statistics(**metric, **span, Period=60, Statistics=["Sum"])["Datapoints"]
    assert [each["Sum"] for each in points] == [2.0]
    query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    assert cloudwatch.get_metric_data(MetricDataQueries=[query], **span)["MetricDataResults"][0]["Values"] == [2.0]
    cloudwatch.put_dashboard(DashboardName="mesh", DashboardBody='{"widgets": []}')
    assert cloudwatch.get_dashboard(DashboardName="mesh")["DashboardBody"] == '{"widgets": []}'
    cloudwatch.delete_dashboards(DashboardNames=["mesh"])


def use_ssm(aws: LocalAws) -> None:
    ssm = aws.session(A).client("ssm")
    ssm.put_parameter(Name="/mesh/id", Value="1", Type="String")
    assert ssm.get_parameter(Name="/mesh/id")["Parameter"]["Value"] == "1"
    assert len(ssm.get_parameters(Names=["/mesh/id"])["Parameters"]) == 1
    assert len(ssm.get_parameters_by_path(Path="/mesh")["Parameters"]) == 1
    assert len(ssm.describe_parameters()["Parameters"]) == 1
    of = {"ResourceType": "Parameter", "ResourceId": "/mesh/id"}
    ssm.add_tags_to_resource(**of, Tags=TAGS)
    assert ssm.list_tags_for_resource(**of)["TagList"] == TAGS
    ssm.remove_tags_from_resource(**of, TagKeys=["team"])
    ssm.delete_parameter(Name="/mesh/id")
    ssm.put_parameter(Name="b", Value="2", Type="String")
    assert ssm.delete_parameters(Names=["b"])["DeletedParameters"] == ["b"]


USES = {
    "s3": use_s3,
    "iam": use_iam,
    "sts": use_sts,
    "sqs": use_sqs,
    "dynamodb": use_dynamodb,
    "logs": use_logs,
    "sns": use_sns,
    "kms": use_kms,
    "cloudwatch": use_cloudwatch,
    "ssm": use_ssm,
}


@pytest.mark.parametrize("service", USES)
def test_every_allowed_operation_works(aws: LocalAws, service: str) -> None:
    USES[service](aws)
    used = {name.partition(":")[2] for name in aws.world.counts if name.startswith(f"{service}:")}
    assert used == set(allowed.operations(service))
    assert aws.world.failures == []


def test_every_allowed_operation_of_s3_has_its_action() -> None:
    known = {*actions_s3.BUCKET, *actions_s3.OBJECT, "ListBuckets", "DeleteObjects"}
    assert set(allowed.operations("s3")) == known
