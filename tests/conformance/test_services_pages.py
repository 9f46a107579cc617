"""Listings of what moto answers come in pages, and settings that are only kept come back."""

import json
from datetime import UTC, datetime

import pytest
from lab import refused
from policies import DENIED, allow, document, key, managed, queue, root, trust, trusting

PART = "central"


def sizes(call, items, size, token, returned, **params):
    """How many items each page has, the page's size being `size` (a parameter) 1; an empty last page left out."""
    answer, found = call(**params, **{size: 1}), []
    while True:
        found.append(len(answer[items]))
        if not answer.get(returned) or len(found) > 20:
            return [each for each in found if each]
        answer = call(**params, **{size: 1, token: answer[returned]})


@pytest.mark.statement("services.pages")
def test_roles_policies_and_what_they_have_are_listed_in_pages(lab):
    iam, path = lab.client("iam", PART), f"/{lab.name('pages', '-')}/"
    for _ in range(3):
        role = trusting(
            lab, PART, trust(root(lab, PART)), Path=path, Tags=[{"Key": each, "Value": "v"} for each in "abc"]
        )
        user = lab.name("user", "-")
        iam.create_user(UserName=user, Path=path, Tags=[{"Key": "a", "Value": "b"}])
        lab.at_end(iam.delete_user, UserName=user)
    for _ in range(2):
        name = lab.name("managed", "-")
        arn = iam.create_policy(
            PolicyName=name, Path=path, Description="d", PolicyDocument=document(allow("s3:*")),
            Tags=[{"Key": "a", "Value": "b"}],
        )["Policy"]["Arn"]  # fmt: skip
        lab.at_end(iam.delete_policy, PolicyArn=arn)
        iam.attach_role_policy(RoleName=role.name, PolicyArn=arn)
        lab.at_end(iam.detach_role_policy, RoleName=role.name, PolicyArn=arn)
        iam.attach_user_policy(UserName=user, PolicyArn=arn)
        lab.at_end(iam.detach_user_policy, UserName=user, PolicyArn=arn)
    managed(lab, PART, allow("s3:*"))
    page = {"size": "MaxItems", "token": "Marker", "returned": "Marker"}
    assert sizes(iam.list_roles, "Roles", **page, PathPrefix=path) == [1, 1, 1]
    assert sizes(iam.list_role_tags, "Tags", **page, RoleName=role.name) == [1, 1, 1]
    attached = {**page, "PathPrefix": path}
    assert sizes(iam.list_attached_role_policies, "AttachedPolicies", **attached, RoleName=role.name) == [1, 1]
    assert sizes(iam.list_attached_user_policies, "AttachedPolicies", **attached, UserName=user) == [1, 1]
    assert sizes(iam.list_policies, "Policies", **attached, Scope="Local", OnlyAttached=True) == [1, 1]
    assert len(iam.list_users(PathPrefix=path)["Users"]) == 3
    entities = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="Role")
    assert [each["RoleName"] for each in entities["PolicyRoles"]] == [role.name]
    assert not entities.get("PolicyUsers")


@pytest.mark.statement("services.pages")
def test_logs_queues_tables_and_parameters_are_listed_in_pages(lab):
    logs, group = lab.client("logs", PART), lab.name("/conformance/pages", "-")
    for name in (group, f"{group}-2"):
        logs.create_log_group(logGroupName=name)
        lab.at_end(logs.delete_log_group, logGroupName=name)
    now = int(datetime.now(UTC).timestamp() * 1000)
    for name in ("s1", "s2"):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        events = [{"timestamp": now + n, "message": f"m{n}"} for n in range(2)]
        logs.put_log_events(logGroupName=group, logStreamName=name, logEvents=events, sequenceToken="ignored")
    page = {"size": "limit", "token": "nextToken", "returned": "nextToken"}
    assert sizes(logs.describe_log_groups, "logGroups", **page, logGroupNamePrefix=group) == [1, 1]
    streams = {**page, "logGroupName": group}
    assert sizes(logs.describe_log_streams, "logStreams", **streams, logStreamNamePrefix="s") == [1, 1]
    newest = {**streams, "orderBy": "LastEventTime", "descending": True}
    assert sizes(logs.describe_log_streams, "logStreams", **newest) == [1, 1]
    lab.eventually(lambda: sum(sizes(logs.filter_log_events, "events", **streams)) == 4)
    first = logs.get_log_events(logGroupName=group, logStreamName="s1", startFromHead=True, limit=1)
    second = logs.get_log_events(
        logGroupName=group, logStreamName="s1", startFromHead=True, limit=1, nextToken=first["nextForwardToken"]
    )
    assert [each["message"] for each in first["events"] + second["events"]] == ["m0", "m1"]
    sqs, prefix = lab.client("sqs", PART), lab.name("pages", "-")
    for n in range(2):
        lab.at_end(sqs.delete_queue, QueueUrl=sqs.create_queue(QueueName=f"{prefix}-{n}")["QueueUrl"])
    listing = {"token": "NextToken", "returned": "NextToken", "size": "MaxResults"}
    lab.eventually(lambda: sizes(sqs.list_queues, "QueueUrls", **listing, QueueNamePrefix=prefix) == [1, 1])
    ssm = lab.client("ssm", PART)
    for n in range(2):
        ssm.put_parameter(Name=f"/{prefix}/{n}", Value="v", Type="String", Tags=[{"Key": "a", "Value": "b"}])
        lab.at_end(ssm.delete_parameter, Name=f"/{prefix}/{n}")
    assert sizes(ssm.get_parameters_by_path, "Parameters", **listing, Path=f"/{prefix}") == [1, 1]
    for name in ("Filters", "ParameterFilters"):
        wanted = [{"Key": "Name", "Values": [f"/{prefix}/1"]}]
        found = ssm.describe_parameters(**{name: wanted})["Parameters"]
        assert [each["Name"] for each in found] == [f"/{prefix}/1"]
    with refused("ValidationException"):
        ssm.get_parameters_by_path(Path=f"/{prefix}", MaxResults=11)


@pytest.mark.statement("services.pages")
def test_objects_uploads_and_tables_are_listed_in_pages(lab):
    s3, bucket = lab.client("s3", PART), lab.bucket(PART)
    for name in ("k1", "k2"):
        s3.put_object(
            Bucket=bucket, Key=name, Body=b"1", ContentDisposition="attachment", ContentEncoding="identity",
            ContentLanguage="en", StorageClass="STANDARD_IA",
        )  # fmt: skip
    versions, found = {"KeyMarker": "", "VersionIdMarker": ""}, []
    while True:
        given = {name: value for name, value in versions.items() if value}
        answer = s3.list_object_versions(Bucket=bucket, MaxKeys=1, Delimiter="/", **given)
        found += [each["Key"] for each in answer["Versions"]]
        if not answer["IsTruncated"]:
            break
        versions = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
    assert found == ["k1", "k2"]
    head = s3.head_object(Bucket=bucket, Key="k1", ChecksumMode="ENABLED")
    assert (head["ContentLanguage"], head["StorageClass"]) == ("en", "STANDARD_IA")
    assert head["ContentDisposition"] == "attachment" and "ChecksumCRC32" in head
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="m", ContentDisposition="attachment", ContentEncoding="identity", Tagging="a=b",
        StorageClass="STANDARD_IA",
    )["UploadId"]  # fmt: skip
    for number in (1, 2):
        s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=b"1")
    first = s3.list_parts(Bucket=bucket, Key="m", UploadId=upload, MaxParts=1)
    marker = first["NextPartNumberMarker"]
    second = s3.list_parts(Bucket=bucket, Key="m", UploadId=upload, MaxParts=1, PartNumberMarker=marker)
    assert [each["PartNumber"] for each in first["Parts"] + second["Parts"]] == [1, 2]
    listed = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", EncodingType="url", Prefix="m")
    assert [each["UploadId"] for each in listed["Uploads"]] == [upload]
    s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    mine = s3.list_buckets(MaxBuckets=1000, Prefix=bucket, BucketRegion=lab.region)["Buckets"]
    assert [each["Name"] for each in mine] == [bucket]
    s3.put_object_tagging(Bucket=bucket, Key="k1", VersionId="null", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="k1", VersionId="null")
    assert s3.get_object_tagging(Bucket=bucket, Key="k1")["TagSet"] == []


@pytest.mark.statement("services.tables")
def test_tables_have_settings_that_are_kept_and_indexes_that_work(lab):
    dynamodb = lab.client("dynamodb", PART)
    names = [lab.name("table") for _ in range(2)]
    for name in names:
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in "abc"],
            KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}],
            BillingMode="PROVISIONED",
            ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
            TableClass="STANDARD",
            Tags=[{"Key": "a", "Value": "b"}],
            LocalSecondaryIndexes=[
                {
                    "IndexName": "by_c",
                    "KeySchema": [
                        {"AttributeName": "a", "KeyType": "HASH"},
                        {"AttributeName": "c", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        lab.at_end(dynamodb.delete_table, TableName=name)
    table = {"TableName": names[0]}
    page = {"size": "Limit", "token": "ExclusiveStartTableName", "returned": "LastEvaluatedTableName"}
    assert sum(sizes(dynamodb.list_tables, "TableNames", **page)) >= 2
    lab.eventually(lambda: dynamodb.describe_table(**table)["Table"]["TableStatus"] == "ACTIVE")
    throughput = {"ReadCapacityUnits": 2, "WriteCapacityUnits": 2}
    dynamodb.update_table(**table, BillingMode="PROVISIONED", ProvisionedThroughput=throughput)
    lab.eventually(lambda: dynamodb.describe_table(**table)["Table"]["TableStatus"] == "ACTIVE")
    dynamodb.update_table(**table, BillingMode="PAY_PER_REQUEST", SSESpecification={"Enabled": True})
    lab.eventually(lambda: dynamodb.describe_table(**table)["Table"]["TableStatus"] == "ACTIVE")
    index = {
        "IndexName": "by_d", "KeySchema": [{"AttributeName": "d", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }  # fmt: skip
    definitions = [{"AttributeName": each, "AttributeType": "S"} for each in "abcd"]
    dynamodb.update_table(
        **table, AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[{"Create": index}]
    )  # fmt: skip
    cost = {"ReturnConsumedCapacity": "TOTAL"}
    item = {each: {"S": each} for each in "abcd"}
    where = {"a": {"S": "a"}, "b": {"S": "b"}}
    assert "ConsumedCapacity" in dynamodb.put_item(**table, Item=item, **cost)
    values = {"ExpressionAttributeValues": {":x": {"S": "x"}}, "ExpressionAttributeNames": {"#c": "c"}}
    held = {"ConditionExpression": "#c = :x", **values}
    for call, more in (
        (dynamodb.update_item, {"Key": where, "UpdateExpression": "SET e = :x"}),
        (dynamodb.put_item, {"Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
    ):
        with refused("ConditionalCheckFailedException"):
            call(**table, **more, **held)
        free = {**held, "ConditionExpression": "#c <> :x"}
        call(**table, **more, **free, **cost)
    dynamodb.delete_item(**table, Key=where, **{**held, "ConditionExpression": "#c <> :x"}, **cost)
    dynamodb.put_item(**table, Item=item)
    assert dynamodb.put_item(**table, Item=item, ReturnValues="ALL_OLD")["Attributes"]["a"] == {"S": "a"}
    query = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}}
    assert dynamodb.query(**table, IndexName="by_c", **query, **cost)["Count"] == 1
    (got,) = dynamodb.scan(
        **table, IndexName="by_d", ProjectionExpression="#a", ExpressionAttributeNames={"#a": "a"}, **cost
    )["Items"]  # fmt: skip
    assert got == {"a": {"S": "a"}}
    assert dynamodb.scan(**table, Select="COUNT")["Count"] == 1
    assert "Item" in dynamodb.get_item(**table, Key=where, **cost)
    assert dynamodb.batch_get_item(RequestItems={names[0]: {"Keys": [where]}}, **cost)["Responses"]
    dynamodb.transact_get_items(TransactItems=[{"Get": {**table, "Key": where}}], **cost)
    dynamodb.transact_write_items(TransactItems=[{"Put": {**table, "Item": item}}], **cost)
    dynamodb.batch_write_item(RequestItems={names[0]: [{"DeleteRequest": {"Key": where}}]}, **cost)


@pytest.mark.statement("services.alarms")
def test_alarms_of_expressions_and_percentiles_are_kept_with_their_actions(lab):
    cloudwatch, name = lab.client("cloudwatch", PART), lab.name("alarm", "-")
    topic = f"arn:aws:sns:{lab.region}:{lab.account(PART)}:alarms"
    rest = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0}
    metric = {"Metric": {"Namespace": "mesh", "MetricName": "Failed"}, "Period": 60, "Stat": "Sum"}
    actions = dict.fromkeys(("AlarmActions", "OKActions", "InsufficientDataActions"), [topic])
    cloudwatch.put_metric_alarm(AlarmName=name, **rest, **actions, Metrics=[{"Id": "m", "MetricStat": metric}])
    lab.at_end(cloudwatch.delete_alarms, AlarmNames=[name])
    (kept,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert {each: kept[each] for each in actions} == actions
    assert kept["Metrics"][0]["MetricStat"]["Stat"] == "Sum"
    plain = {"Namespace": "mesh", "MetricName": "Failed", "Period": 60, "Unit": "Count"}
    cloudwatch.put_metric_alarm(AlarmName=name, **rest, **plain, ExtendedStatistic="p90")
    (kept,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (kept["ExtendedStatistic"], kept["Unit"]) == ("p90", "Count")


@pytest.mark.statement("services.kept-encryption")
def test_what_is_encrypted_names_its_key_and_whoever_writes_needs_it(lab):
    s3, bucket = lab.client("s3", PART), lab.bucket(PART)
    _, arn = key(lab, PART, KeyUsage="ENCRYPT_DECRYPT", KeySpec="SYMMETRIC_DEFAULT", MultiRegion=False)
    given = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    copied = s3.copy_object(
        Bucket=bucket, Key="b", CopySource=f"{bucket}/a", StorageClass="STANDARD_IA", **given
    )  # fmt: skip
    assert copied["ServerSideEncryption"] == "aws:kms"
    assert s3.head_object(Bucket=bucket, Key="b")["SSEKMSKeyId"] == arn
    upload = s3.create_multipart_upload(Bucket=bucket, Key="c", **given)["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="c", UploadId=upload)
    keyless = trusting(lab, PART, trust(root(lab, PART)), may=(allow("s3:*"),))
    with refused("AccessDenied", message="kms:GenerateDataKey"):
        lab.client("s3", keyless).create_multipart_upload(Bucket=bucket, Key="c", **given)
    by_default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [by_default]})
    logs, group = lab.client("logs", PART), lab.name("/conformance/sealed", "-")
    if lab.is_local:  # AWS asks the key's policy for the service
        logs.create_log_group(logGroupName=group, kmsKeyId=arn)
        lab.at_end(logs.delete_log_group, logGroupName=group)
        assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["kmsKeyId"] == arn
    ssm, name = lab.client("ssm", PART), f"/{lab.name('sealed', '-')}"
    ssm.put_parameter(Name=name, Value="v", Type="SecureString", KeyId=arn, DataType="text")
    lab.at_end(ssm.delete_parameter, Name=name)
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "v"


@pytest.mark.statement("s3.expected-owner")
def test_a_bucket_is_made_with_its_ownership(lab):
    s3, name = lab.client("s3", PART), lab.name("owned", "-")
    s3.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": lab.region},
        ObjectOwnership="BucketOwnerEnforced",
    )
    lab.at_end(s3.delete_bucket, Bucket=name)
    s3.head_bucket(Bucket=name, ExpectedBucketOwner=lab.account(PART))
    with refused("403"):
        s3.head_bucket(Bucket=name, ExpectedBucketOwner=lab.account("consumer"))


@pytest.mark.statement("sqs.policy")
def test_a_queue_admits_nobody_by_a_policy_about_another_queue(lab):
    _, other = queue(lab, PART)
    said = {**allow("sqs:SendMessage", other), "Principal": root(lab, "consumer")}
    url, _ = queue(lab, PART, Policy=json.dumps({"Version": "2012-10-17", "Statement": said}))
    with refused(*DENIED):
        lab.client("sqs", "consumer").send_message(QueueUrl=url, MessageBody="x")
