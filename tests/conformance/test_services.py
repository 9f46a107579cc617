"""What else a mesh asks of AWS: keys, topics, logs, metrics and parameters."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from lab import refused
from policies import key, queue

PART = "central"


def admitted_queue(lab, topic):
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": "*", "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        },
    }  # fmt: skip
    return queue(lab, PART, Policy=json.dumps(policy))


# -- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("services.key-states")
def test_a_key_is_used_only_while_it_is_enabled(lab):
    kms, (key_id, arn) = lab.client("kms", PART), key(lab, PART, Description="lake")
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key_id)
    for call, params in (
        (kms.encrypt, {"KeyId": key_id, "Plaintext": b"x"}),
        (kms.decrypt, {"CiphertextBlob": sealed}),
        (kms.generate_data_key, {"KeyId": key_id, "KeySpec": "AES_256"}),
    ):
        with refused("DisabledException"):
            call(**params)
    kms.enable_key(KeyId=key_id)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"x"
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    with refused("KMSInvalidStateException"):
        kms.encrypt(KeyId=key_id, Plaintext=b"x")
    kms.cancel_key_deletion(KeyId=key_id)
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Disabled"


@pytest.mark.statement("services.encryption-context")
def test_what_was_encrypted_is_decrypted_with_the_same_context_and_key(lab):
    kms, (key_id, arn) = lab.client("kms", PART), key(lab, PART)
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"x", EncryptionContext={"a": "b"})
    assert sealed["KeyId"] == arn
    blob = sealed["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})["Plaintext"] == b"x"
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "c"})
    fresh = kms.generate_data_key(KeyId=key_id, NumberOfBytes=32, EncryptionContext={"a": "b"})
    opened = kms.decrypt(CiphertextBlob=fresh["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert opened["Plaintext"] == fresh["Plaintext"] and len(fresh["Plaintext"]) == 32
    with refused("NotFoundException"):
        kms.describe_key(KeyId=f"{key_id[:-4]}0000")


@pytest.mark.statement("services.key-aliases")
def test_an_alias_stands_for_a_key_and_can_be_moved(lab):
    kms, (one, _), (two, _) = lab.client("kms", PART), key(lab, PART), key(lab, PART)
    alias = f"alias/{lab.name('lake', '-')}"
    kms.create_alias(AliasName=alias, TargetKeyId=one)
    lab.at_end(kms.delete_alias, AliasName=alias)
    with refused("AlreadyExistsException"):
        kms.create_alias(AliasName=alias, TargetKeyId=two)
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == one
    kms.update_alias(AliasName=alias, TargetKeyId=two)
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == two
    assert [each["AliasName"] for each in kms.list_aliases(KeyId=two)["Aliases"]] == [alias]
    kms.delete_alias(AliasName=alias)
    with refused("NotFoundException"):
        kms.describe_key(KeyId=alias)


# -- topics --------------------------------------------------------------------------------------------------------


@pytest.mark.statement("services.topics")
def test_a_subscriber_gets_what_its_filter_lets_through_in_an_envelope_or_raw(lab):
    sns, sqs = lab.client("sns", PART), lab.client("sqs", PART)
    name = lab.name("topic", "-")
    topic = sns.create_topic(Name=name, Attributes={"DisplayName": "mesh"}, Tags=[{"Key": "a", "Value": "b"}])
    topic = topic["TopicArn"]
    lab.at_end(sns.delete_topic, TopicArn=topic)
    assert sns.create_topic(Name=name)["TopicArn"] == topic
    (raw_url, raw), (url, wrapped) = admitted_queue(lab, topic), admitted_queue(lab, topic)
    narrow = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"kind": ["finding"]})}
    first = sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=raw, Attributes=narrow, ReturnSubscriptionArn=True
    )["SubscriptionArn"]  # fmt: skip
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=wrapped)
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="someone@example.com")
    for kind in ("finding", "other"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=f"a {kind}", Subject="s", MessageAttributes=attributes)

    def received(queue_url, count):
        got = []
        lab.eventually(lambda: None)
        while len(got) < count:
            got += sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
        return sorted(each["Body"] for each in got)

    assert received(raw_url, 1) == ["a finding"]
    envelopes = [json.loads(each) for each in received(url, 2)]
    assert sorted((each["Message"], each["Subject"], each["TopicArn"]) for each in envelopes) == [
        ("a finding", "s", topic), ("a other", "s", topic),
    ]  # fmt: skip
    assert sns.get_subscription_attributes(SubscriptionArn=first)["Attributes"]["RawMessageDelivery"] == "true"
    sns.set_subscription_attributes(SubscriptionArn=first, AttributeName="RawMessageDelivery", AttributeValue="false")
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert {each["Protocol"] for each in listed} == {"sqs", "email"}
    sns.unsubscribe(SubscriptionArn=first)
    sns.publish(TopicArn=topic, Message="later")
    assert len(received(url, 1)) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=raw_url)
    with refused("NotFound"):
        sns.publish(TopicArn=f"{topic}-not", Message="x")


# -- logs, metrics, parameters -------------------------------------------------------------------------------------


@pytest.mark.statement("services.logs")
def test_log_events_are_kept_in_groups_and_streams_and_found_by_time_and_words(lab):
    logs, group = lab.client("logs", PART), lab.name("/conformance/logs", "-")
    logs.create_log_group(logGroupName=group, tags={"a": "b"})
    lab.at_end(logs.delete_log_group, logGroupName=group)
    with refused("ResourceAlreadyExistsException"):
        logs.create_log_group(logGroupName=group)
    stream = {"logGroupName": group, "logStreamName": "s1"}
    logs.create_log_stream(**stream)
    with refused("ResourceAlreadyExistsException"):
        logs.create_log_stream(**stream)
    now = int(datetime.now(UTC).timestamp() * 1000)
    texts = ["first error", "second", "third error"]
    logs.put_log_events(**stream, logEvents=[{"timestamp": now + n, "message": text} for n, text in enumerate(texts)])
    with refused("ResourceNotFoundException"):
        logs.put_log_events(logGroupName=group, logStreamName="none", logEvents=[{"timestamp": now, "message": "x"}])

    def found(**more):
        events = logs.filter_log_events(logGroupName=group, **more)["events"]
        return [each["message"] for each in events]

    lab.eventually(lambda: found() == texts)
    assert found(filterPattern="error") == ["first error", "third error"]
    assert found(startTime=now + 1, endTime=now + 2, limit=10, interleaved=True)[:1] == ["second"]
    assert found(logStreamNames=["s1"]) == found(logStreamNamePrefix="s") == texts
    got = logs.get_log_events(**stream, startFromHead=True, startTime=now, endTime=now + 10, limit=2)["events"]
    assert [each["message"] for each in got] == texts[:2]
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group, limit=1)["logGroups"]
    assert described["retentionInDays"] == 7
    logs.delete_retention_policy(logGroupName=group)
    logs.delete_log_stream(**stream)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []


@pytest.mark.statement("services.metrics")
def test_metrics_are_added_up_by_period_and_dimension(lab):
    cloudwatch, namespace = lab.client("cloudwatch", PART), lab.name("Mesh")
    dimensions = [{"Name": "product", "Value": "sales"}]
    data = [{"MetricName": "Failed", "Value": value, "Dimensions": dimensions} for value in (2.0, 3.0)]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    now = datetime.now(UTC) if not lab.is_local else lab.aws.world.now()
    span = {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(hours=1)}
    metric = {"Namespace": namespace, "MetricName": "Failed", "Dimensions": dimensions}

    def points():
        return cloudwatch.get_metric_statistics(**metric, **span, Period=7200, Statistics=["Sum"])["Datapoints"]

    lab.eventually(lambda: sum(each["Sum"] for each in points()) == 5.0)
    query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 7200, "Stat": "Sum"}}
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=[query], **span, ScanBy="TimestampAscending")[
        "MetricDataResults"
    ]
    assert sum(result["Values"]) == 5.0
    listed = cloudwatch.list_metrics(Namespace=namespace, MetricName="Failed", Dimensions=dimensions)["Metrics"]
    assert len(listed) == 1


@pytest.mark.statement("services.alarms")
def test_an_alarm_is_kept_as_it_was_put(lab):
    cloudwatch, name = lab.client("cloudwatch", PART), lab.name("alarm", "-")
    given = {
        "MetricName": "Failed", "Namespace": "tagmesh", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 2,
        "DatapointsToAlarm": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching", "AlarmDescription": "failed", "ActionsEnabled": False,
        "Dimensions": [{"Name": "a", "Value": "b"}],
    }  # fmt: skip
    cloudwatch.put_metric_alarm(AlarmName=name, **given, Tags=[{"Key": "a", "Value": "b"}])
    lab.at_end(cloudwatch.delete_alarms, AlarmNames=[name])
    (kept,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert {field: kept[field] for field in given} == given
    found = cloudwatch.describe_alarms(AlarmNamePrefix=name, AlarmTypes=["MetricAlarm"])
    assert [each["AlarmName"] for each in found["MetricAlarms"]] == [name]


@pytest.mark.statement("services.parameters")
def test_parameters_have_versions_paths_and_types(lab):
    ssm, path = lab.client("ssm", PART), f"/{lab.name('mesh', '-')}"
    for name, value, kind in ((f"{path}/id", "1", "String"), (f"{path}/deep/key", "s", "SecureString")):
        ssm.put_parameter(Name=name, Value=value, Type=kind, Description="d", Tier="Standard")
        lab.at_end(ssm.delete_parameter, Name=name)
    with refused("ParameterAlreadyExists"):
        ssm.put_parameter(Name=f"{path}/id", Value="2", Type="String")
    assert ssm.put_parameter(Name=f"{path}/id", Value="2", Type="String", Overwrite=True)["Version"] == 2
    assert ssm.get_parameter(Name=f"{path}/id")["Parameter"]["Value"] == "2"
    hidden = ssm.get_parameter(Name=f"{path}/deep/key")["Parameter"]["Value"]
    assert hidden != "s"
    assert ssm.get_parameter(Name=f"{path}/deep/key", WithDecryption=True)["Parameter"]["Value"] == "s"
    direct = ssm.get_parameters_by_path(Path=path, MaxResults=5)["Parameters"]
    assert [each["Name"] for each in direct] == [f"{path}/id"]
    deep = ssm.get_parameters_by_path(Path=path, Recursive=True, WithDecryption=True)["Parameters"]
    assert sorted(each["Value"] for each in deep) == ["2", "s"]
    some = ssm.get_parameters(Names=[f"{path}/id", f"{path}/none"], WithDecryption=True)
    assert (len(some["Parameters"]), some["InvalidParameters"]) == (1, [f"{path}/none"])
    with refused("ParameterNotFound"):
        ssm.get_parameter(Name=f"{path}/none")
