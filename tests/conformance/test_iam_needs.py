"""What calls need: the action and the resource of each, as who may do nothing hears it, and as it is recorded."""

import json
import urllib.request

import pytest
from botocore.exceptions import ClientError
from lab import refused
from policies import DENIED, allow, document, key, queue, root, trust, trusting

NEEDS = [
    ("glue", "get_table", {"DatabaseName": "d", "Name": "t"}, "glue:GetTable", "glue:{here}:catalog"),
    ("glue", "start_crawler", {"Name": "c"}, "glue:StartCrawler", "glue:{here}:crawler/c"),
    ("glue", "get_classifier", {"Name": "c"}, "glue:GetClassifier", "*"),
    ("lakeformation", "list_lf_tags", {}, "lakeformation:ListLFTags", "*"),
    ("dynamodb", "query", {"TableName": "ttt", "IndexName": "iii", "KeyConditionExpression": "k = :k"},
     "dynamodb:Query", "dynamodb:{here}:table/ttt/index/iii"),
    ("dynamodb", "transact_write_items",
     {"TransactItems": [{"ConditionCheck": {"TableName": "ttt", "Key": {}, "ConditionExpression": "x"}}]},
     "dynamodb:ConditionCheckItem", "dynamodb:{here}:table/ttt"),
    ("dynamodb", "transact_get_items", {"TransactItems": [{"Get": {"TableName": "ttt", "Key": {}}}]},
     "dynamodb:GetItem", "dynamodb:{here}:table/ttt"),
    ("dynamodb", "batch_get_item", {"RequestItems": {"ttt": {"Keys": [{"k": {"S": "1"}}]}}},
     "dynamodb:BatchGetItem", "dynamodb:{here}:table/ttt"),
    ("dynamodb", "list_tags_of_resource", {"ResourceArn": "arn:aws:dynamodb:{here}:table/ttt"},
     "dynamodb:ListTagsOfResource", "dynamodb:{here}:table/ttt"),
    ("lambda", "invoke", {"FunctionName": "fff", "Qualifier": "live"},
     "lambda:InvokeFunction", "lambda:{here}:function:fff:live"),
    ("lambda", "get_function", {"FunctionName": "{account}:function:fff"},
     "lambda:GetFunction", "lambda:{here}:function:fff"),
    ("stepfunctions", "describe_execution", {"executionArn": "arn:aws:states:{here}:execution:m:e"},
     "states:DescribeExecution", "states:{here}:execution:m:e"),
    ("events", "describe_rule", {"Name": "r"}, "events:DescribeRule", "events:{here}:rule/r"),
    ("events", "describe_rule", {"Name": "r", "EventBusName": "mesh"},
     "events:DescribeRule", "events:{here}:rule/mesh/r"),
    ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]},
     "events:PutEvents", "events:{here}:event-bus/default"),
    ("events", "create_event_bus", {"Name": "mesh"}, "events:CreateEventBus", "events:{here}:event-bus/mesh"),
    ("events", "list_event_buses", {}, "events:ListEventBuses", "*"),
    ("scheduler", "get_schedule", {"Name": "s"}, "scheduler:GetSchedule", "scheduler:{here}:schedule/default/s"),
    ("logs", "put_log_events",
     {"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]},
     "logs:PutLogEvents", "logs:{here}:log-group:g:log-stream:s"),
    ("logs", "describe_log_groups", {}, "logs:DescribeLogGroups", "logs:{here}:log-group::log-stream:"),
    ("cloudwatch", "delete_alarms", {"AlarmNames": ["a"]}, "cloudwatch:DeleteAlarms", "cloudwatch:{here}:alarm:a"),
    ("cloudwatch", "list_metrics", {}, "cloudwatch:ListMetrics", "*"),
    ("athena", "get_work_group", {"WorkGroup": "tagmesh"}, "athena:GetWorkGroup", "athena:{here}:workgroup/tagmesh"),
    ("ssm", "get_parameter", {"Name": "/a/b"}, "ssm:GetParameter", "ssm:{here}:parameter/a/b"),
    ("ssm", "get_parameters_by_path", {"Path": "/a"}, "ssm:GetParametersByPath", "ssm:{here}:parameter/a"),
    ("cloudformation", "describe_stacks", {"StackName": "central"},
     "cloudformation:DescribeStacks", "cloudformation:{here}:stack/central/*"),
    ("cloudformation", "describe_change_set", {"ChangeSetName": "arn:aws:cloudformation:{here}:changeSet/c/1"},
     "cloudformation:DescribeChangeSet", "cloudformation:{here}:changeSet/c/1"),
    ("iam", "get_role", {"RoleName": "R"}, "iam:GetRole", "iam::{account}:role/R"),
    ("iam", "create_role", {"RoleName": "R", "Path": "/p/", "AssumeRolePolicyDocument": "{}"},
     "iam:CreateRole", "iam::{account}:role/p/R"),
    ("iam", "create_policy", {"PolicyName": "P", "PolicyDocument": "{}"},
     "iam:CreatePolicy", "iam::{account}:policy/P"),
    ("iam", "get_user", {"UserName": "U"}, "iam:GetUser", "iam::{account}:user/U"),
    ("sqs", "get_queue_url", {"QueueName": "q"}, "sqs:GetQueueUrl", "sqs:{here}:q"),
    ("sns", "create_topic", {"Name": "t"}, "sns:CreateTopic", "sns:{here}:t"),
    ("sns", "unsubscribe", {"SubscriptionArn": "arn:aws:sns:{here}:t:1"}, "sns:Unsubscribe", "sns:{here}:t"),
    ("kms", "create_alias", {"AliasName": "alias/a", "TargetKeyId": "1"}, "kms:CreateAlias", "kms:{here}:alias/a"),
    ("kms", "create_key", {}, "kms:CreateKey", "*"),
    ("ram", "get_resource_shares", {"resourceOwner": "SELF"}, "ram:GetResourceShares", "*"),
]  # fmt: skip


@pytest.fixture(scope="module")
def nobody(lab):
    return trusting(lab, "central", trust(root(lab, "central")))


@pytest.mark.statement("iam.needs")
@pytest.mark.parametrize(
    ("service", "operation", "params", "action", "resource"), NEEDS, ids=lambda each: str(each)[:30]
)
def test_a_call_needs_its_documented_action_on_its_resource(lab, nobody, service, operation, params, action, resource):
    here = f"{lab.region}:{lab.account('central')}"
    fill = {"{here}": here, "{account}": lab.account("central")}
    for mark, value in fill.items():
        params = json.loads(json.dumps(params).replace(mark, value))
        resource = resource.replace(mark, value)
    arn = resource if resource == "*" else f"arn:aws:{resource}"
    with refused(*DENIED, message=f"is not authorized to perform: {action} on resource: {arn}") as caught:
        getattr(lab.client(service, nobody), operation)(**params)
    assert f"resource: {arn} because" in caught.value.response["Error"]["Message"]


@pytest.mark.statement("iam.needs")
@pytest.mark.parametrize(
    ("operation", "params", "action", "of_object"),
    [
        ("list_objects_v2", {}, "s3:ListBucket", False),
        ("head_bucket", {}, "", False),
        ("list_object_versions", {}, "s3:ListBucketVersions", False),
        ("list_multipart_uploads", {}, "s3:ListBucketMultipartUploads", False),
        ("delete_bucket_encryption", {}, "s3:PutEncryptionConfiguration", False),
        ("get_public_access_block", {}, "s3:GetBucketPublicAccessBlock", False),
        ("delete_bucket_tagging", {}, "s3:PutBucketTagging", False),
        ("get_bucket_lifecycle_configuration", {}, "s3:GetLifecycleConfiguration", False),
        ("get_bucket_notification_configuration", {}, "s3:GetBucketNotification", False),
        ("get_object", {"Key": "k"}, "s3:GetObject", True),
        ("get_object", {"Key": "k", "VersionId": "null"}, "s3:GetObjectVersion", True),
        ("delete_object", {"Key": "k", "VersionId": "null"}, "s3:DeleteObjectVersion", True),
        ("get_object_tagging", {"Key": "k", "VersionId": "null"}, "s3:GetObjectVersionTagging", True),
        ("put_object", {"Key": "k", "Body": b""}, "s3:PutObject", True),
        ("create_multipart_upload", {"Key": "k"}, "s3:PutObject", True),
        ("list_parts", {"Key": "k", "UploadId": "u"}, "s3:ListMultipartUploadParts", True),
        ("abort_multipart_upload", {"Key": "k", "UploadId": "u"}, "s3:AbortMultipartUpload", True),
        ("copy_object", {"Key": "k", "CopySource": "from/x"}, "s3:PutObject", True),
    ],
)
def test_operations_of_s3_need_the_actions_that_s3_documents(lab, nobody, operation, params, action, of_object):
    bucket = _bucket(lab)
    if not action:
        with refused("403"):
            getattr(lab.client("s3", nobody), operation)(Bucket=bucket, **params)
        return
    arn = f"arn:aws:s3:::{bucket}/k" if of_object else f"arn:aws:s3:::{bucket}"
    with refused("AccessDenied", message=f'perform: {action} on resource: "{arn}"'):
        getattr(lab.client("s3", nobody), operation)(Bucket=bucket, **params)


_buckets: dict = {}


def _bucket(lab):
    if lab not in _buckets:
        _buckets[lab] = lab.bucket("central")
    return _buckets[lab]


def _allowed(lab, *statements):
    return trusting(lab, "central", trust(root(lab, "central")), may=statements)


@pytest.mark.statement("iam.needs-each")
def test_every_permission_that_a_call_needs_must_be_there(lab):
    """Each role lacks one of them."""
    bucket = _bucket(lab)
    lab.put("central", bucket, "from/a b", "1")
    here = f"arn:aws:s3:::{bucket}"
    reader = allow("s3:GetObject", f"{here}/from/*")
    writer = allow("s3:PutObject", f"{here}/to/*")
    copy = {"Bucket": bucket, "Key": "to/a", "CopySource": {"Bucket": bucket, "Key": "from/a b"}}
    lab.eventually(lambda: lab.client("s3", _allowed(lab, reader, writer)).copy_object(**copy))
    with refused("AccessDenied", message="s3:GetObject on"):
        lab.client("s3", _allowed(lab, writer)).copy_object(**copy)
    with refused("AccessDenied", message="s3:PutObject on"):
        lab.client("s3", _allowed(lab, reader)).copy_object(**copy)
    with refused("AccessDenied", message="s3:GetObjectVersion on"):
        version = {**copy["CopySource"], "VersionId": "null"}
        lab.client("s3", _allowed(lab, reader, writer)).copy_object(**{**copy, "CopySource": version})
    tagged = {"Bucket": bucket, "Key": "to/b", "Body": b"", "Tagging": "a=b"}
    with refused("AccessDenied", message="s3:PutObjectTagging on"):
        lab.client("s3", _allowed(lab, writer)).put_object(**tagged)
    tagger = allow("s3:PutObjectTagging")
    lab.eventually(lambda: lab.client("s3", _allowed(lab, writer, tagger)).put_object(**tagged))
    of_a_version = {
        "Bucket": bucket,
        "Key": "to/b",
        "VersionId": "null",
        "Tagging": {"TagSet": [{"Key": "a", "Value": "c"}]},
    }
    with refused("AccessDenied", message="s3:PutObjectVersionTagging on"):
        lab.client("s3", _allowed(lab, tagger)).put_object_tagging(**of_a_version)
    version_tagger = _allowed(lab, allow("s3:PutObjectVersionTagging"))
    lab.eventually(lambda: lab.client("s3", version_tagger).put_object_tagging(**of_a_version))
    catalog = f"arn:aws:glue:{lab.region}:{lab.account('central')}"
    table = {"DatabaseName": "ddd", "Name": "ttt"}
    for lacking in ("catalog", "database/ddd", "table/ddd/ttt"):
        rest = [f"{catalog}:{each}" for each in ("catalog", "database/ddd", "table/ddd/ttt") if each != lacking]
        with refused("AccessDeniedException", message=f"glue:GetTable on resource: {catalog}:{lacking} because"):
            lab.client("glue", _allowed(lab, allow("glue:GetTable", rest))).get_table(**table)


@pytest.mark.statement("iam.needs-kms")
def test_objects_and_messages_under_a_customers_key_need_the_key(lab):
    _, arn = key(lab, "central")
    bucket = lab.bucket("central")
    s3 = lab.client("s3", "central")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    url, _ = queue(lab, "central", KmsMasterKeyId=arn)
    everything = allow(["s3:*", "sqs:*"])
    keyless = _allowed(lab, everything)
    generating = _allowed(lab, everything, allow("kms:GenerateDataKey", arn))
    keyed = _allowed(lab, everything, allow(["kms:Decrypt", "kms:GenerateDataKey"], arn))
    with refused("AccessDenied", message=f'kms:Decrypt on resource: "{arn}"'):
        lab.client("s3", keyless).get_object(Bucket=bucket, Key="a")
    with refused("AccessDenied", message="kms:GenerateDataKey"):
        lab.client("s3", keyless).put_object(Bucket=bucket, Key="b", Body=b"")
    lab.client("s3", keyless).put_object(Bucket=bucket, Key="b", Body=b"", ServerSideEncryption="AES256")
    given = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    with refused("AccessDenied", message="kms:GenerateDataKey"):
        lab.client("s3", keyless).put_object(Bucket=_bucket(lab), Key="c", Body=b"", **given)
    with refused(*DENIED, message="kms:GenerateDataKey"):
        lab.client("sqs", keyless).send_message(QueueUrl=url, MessageBody="x")
    with refused(*DENIED, message="kms:Decrypt"):
        lab.client("sqs", generating).send_message(QueueUrl=url, MessageBody="x")
    with refused(*DENIED, message="kms:Decrypt"):
        lab.client("sqs", generating).receive_message(QueueUrl=url)
    assert lab.client("s3", keyed).get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    lab.client("s3", keyed).put_object(Bucket=_bucket(lab), Key="c", Body=b"2", **given)
    lab.client("sqs", keyed).send_message(QueueUrl=url, MessageBody="x")
    assert "Messages" in lab.client("sqs", keyed).receive_message(QueueUrl=url)


@pytest.mark.statement("iam.needs-kms")
def test_a_ciphertext_is_decrypted_under_the_key_that_it_names(lab):
    _, ours = key(lab, "central")
    _, another = key(lab, "central")
    sealed = lab.client("kms", "central").encrypt(KeyId=ours, Plaintext=b"x")["CiphertextBlob"]
    lab.eventually(lambda: lab.client("kms", _allowed(lab, allow("kms:Decrypt", ours))).decrypt(CiphertextBlob=sealed))
    with refused("AccessDeniedException", message=f"kms:Decrypt on resource: {ours}"):
        lab.client("kms", _allowed(lab, allow("kms:Decrypt", another))).decrypt(CiphertextBlob=sealed)
    with refused("AccessDeniedException", message=another):
        lab.client("kms", _allowed(lab, allow("kms:Decrypt", ours))).decrypt(CiphertextBlob=sealed, KeyId=another)


@pytest.mark.statement("iam.needs-keys")
def test_condition_keys_that_are_particular_to_a_call(lab):
    def metrics(namespace, wanted):
        said = allow("cloudwatch:PutMetricData", Condition={"StringEquals": {"cloudwatch:namespace": wanted}})
        cloudwatch = lab.client("cloudwatch", _allowed(lab, said))
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": 1}])

    metrics("tagmesh", "tagmesh")
    with refused("AccessDenied"):
        metrics("other", "tagmesh")
    bus = allow("events:PutEvents", Condition={"StringEquals": {"events:source": "mesh", "events:detail-type": "Done"}})
    events = lab.client("events", _allowed(lab, bus))
    entry = {"Source": "mesh", "DetailType": "Done", "Detail": "{}"}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    for other in ({"Source": "x"}, {"DetailType": "x"}):
        with refused("AccessDeniedException"):
            events.put_events(Entries=[entry, {**entry, **other}])


@pytest.mark.statement("iam.log-groups")
def test_a_log_group_is_named_with_what_is_below_it(lab):
    group = lab.name("/conformance/group", "-")
    arn = f"arn:aws:logs:{lab.region}:{lab.account('central')}:log-group:{group}"
    with refused("AccessDeniedException"):
        lab.client("logs", _allowed(lab, allow("logs:CreateLogGroup", arn))).create_log_group(logGroupName=group)
    logs = lab.client("logs", _allowed(lab, allow("logs:CreateLogGroup", f"{arn}:*")))
    logs.create_log_group(logGroupName=group)
    lab.at_end(lab.client("logs", "central").delete_log_group, logGroupName=group)


@pytest.mark.statement("iam.calls-recorded")
@pytest.mark.local_only("AWS keeps such records in CloudTrail")
def test_every_call_is_recorded_with_its_caller_actions_resources_and_verdict(lab, nobody):
    def calls(after=0):
        with urllib.request.urlopen(f"{lab.aws.endpoint}/_local/calls?after={after}") as response:
            return json.load(response)

    bucket = _bucket(lab)
    before = calls()
    last = before["log"][-1]["n"]
    lab.put("central", bucket, "recorded", "secret text")
    s3 = lab.client("s3", nobody)
    with refused("AccessDenied"):
        s3.get_object(Bucket=bucket, Key="recorded")
    with refused("LocalAwsNotSupported"):
        s3.get_bucket_acl(Bucket=bucket)
    with refused("NoSuchBucket"):
        lab.client("s3", "central").list_objects_v2(Bucket=f"{bucket}-not")
    unknown = lab.session_of({"AccessKeyId": "AKIAUNKNOWNUNKNOWN00", "SecretAccessKey": "x"})
    with refused("InvalidAccessKeyId"):
        unknown.client("s3").list_buckets()
    after = calls(last)
    said = [(each["operation"], each["verdict"], each["error"]) for each in after["log"]]
    assert said == [
        ("PutObject", "allow", None),
        ("GetObject", "deny", "AccessDenied"),
        ("GetBucketAcl", "refused", "LocalAwsNotSupported"),
        ("ListObjectsV2", "allow", "NoSuchBucket"),
        ("ListBuckets", "unauthenticated", "InvalidAccessKeyId"),
    ]
    denied = after["log"][1]
    assert (denied["account"], denied["principal"]) == (lab.account("central"), nobody.arn)
    assert (denied["service"], denied["region"]) == ("s3", lab.region)
    assert (denied["actions"], denied["resources"]) == (["s3:GetObject"], [f"arn:aws:s3:::{bucket}/recorded"])
    assert denied["milliseconds"] > 0 and denied["time"].endswith("Z")
    assert after["counts"]["s3:GetObject"] == before["counts"].get("s3:GetObject", 0) + 1
    assert after["failures"] == []
    assert "secret text" not in json.dumps(after)
    assert calls(after["log"][-1]["n"])["log"] == []


@pytest.mark.statement("iam.explicit-deny")
def test_a_managed_policy_denies_over_an_inline_one(lab):
    iam = lab.client("iam", "central")
    role = _allowed(lab, allow("dynamodb:*"))
    name = lab.name("managed", "-")
    policy = iam.create_policy(
        PolicyName=name, PolicyDocument=document({**allow("dynamodb:ListTables"), "Effect": "Deny"})
    )["Policy"]["Arn"]
    lab.at_end(iam.delete_policy, PolicyArn=policy)
    lab.eventually(lambda: lab.client("dynamodb", role).list_tables())
    iam.attach_role_policy(RoleName=role.name, PolicyArn=policy)
    lab.at_end(iam.detach_role_policy, RoleName=role.name, PolicyArn=policy)
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
        lab.client("dynamodb", role).list_tables()
