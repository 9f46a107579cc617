"""CloudFormation: values are held to AWS's schemas, and what single resource types do beyond their properties."""

import json

import pytest
from functions_lab import MACHINE, PYTHON, package, role_for
from stacks import group, make, queue


def typed(kind, **properties):
    return {"Resources": {"X": {"Type": kind, "Properties": properties}}}


def dynamo(**properties):
    needed = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    return typed("AWS::DynamoDB::Table", **{**needed, **properties})


def alarm(**properties):
    needed = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 1}
    return typed("AWS::CloudWatch::Alarm", **{**needed, **properties})


def function_of(lab, *actions):
    """The properties of a function that returns 1; its role is allowed `actions`."""
    bucket = lab.bucket("central")
    lab.put("central", bucket, "code.zip", package("def handler(event, context): return 1"))
    code = {"S3Bucket": bucket, "S3Key": "code.zip"}
    role = role_for(lab, *actions).arn
    return {"Role": role, "Handler": "app.handler", "Runtime": PYTHON, "Architectures": [MACHINE], "Code": code}


METRIC = {"Namespace": "N", "MetricName": "M", "Statistic": "Sum", "Period": 60}

KEY_STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
    "Action": "kms:*",
    "Resource": "*",
}

MISFITS = [
    (typed("AWS::SQS::Queue", VisibilityTimeout="soon"), "VisibilityTimeout"),
    (typed("AWS::SQS::Queue", VisibilityTimeout="1.5"), "VisibilityTimeout"),
    (typed("AWS::SQS::Queue", VisibilityTimeout=True), "VisibilityTimeout"),
    (typed("AWS::SQS::Queue", VisibilityTimeout=[1]), "VisibilityTimeout"),
    (typed("AWS::SQS::Queue", DelaySeconds=1000), "DelaySeconds"),
    (typed("AWS::SQS::Queue", SqsManagedSseEnabled="perhaps"), "SqsManagedSseEnabled"),
    (typed("AWS::SQS::Queue", QueueName=["a"]), "QueueName"),
    (typed("AWS::SQS::Queue", QueueName={"a": "b"}), "QueueName"),
    (typed("AWS::SQS::Queue", Tags={"Key": "a", "Value": "b"}), "Tags"),
    (typed("AWS::SQS::Queue", Tags=["a"]), "Tags"),
    (typed("AWS::SQS::Queue", Tags=[{"Key": "a"}]), "Value"),
    (typed("AWS::SQS::QueuePolicy", PolicyDocument={"Statement": []}), "Queues"),
    (typed("AWS::Logs::LogGroup", LogGroupName="with space"), "LogGroupName"),
    (typed("AWS::Logs::LogGroup", LogGroupName="x" * 513), "LogGroupName"),
    (typed("AWS::Logs::LogGroup", RetentionInDays=2), "RetentionInDays"),
    (typed("AWS::Logs::LogGroup", KmsKeyId=["a"]), "KmsKeyId"),
    (typed("AWS::Events::EventBus", Description="no name"), "Name"),
    (typed("AWS::Events::Rule", Description="neither pattern nor schedule"), "EventPattern"),
    (alarm(**METRIC, Threshold="high"), "Threshold"),
    (alarm(), "Metrics"),
    (dynamo(AttributeDefinitions="pk"), "AttributeDefinitions"),
    (typed("AWS::IAM::Role", AssumeRolePolicyDocument={}, MaxSessionDuration=1), "MaxSessionDuration"),
]


@pytest.mark.statement("cloudformation.schemas")
@pytest.mark.parametrize(("template", "named"), MISFITS, ids=range(len(MISFITS)))
def test_a_value_that_does_not_fit_its_property_fails_the_resource_and_nothing_is_made(lab, template, named):
    stack = make(lab, template, Capabilities=["CAPABILITY_IAM"])
    assert stack.status == "ROLLBACK_COMPLETE"
    assert named in stack.reasons("CREATE_FAILED")
    assert "Properties validation failed" in stack.reasons("CREATE_FAILED")
    assert stack.physical() == {}


@pytest.mark.statement("cloudformation.schemas")
def test_text_numbers_and_booleans_stand_for_each_other(lab):
    template = {
        "Resources": {
            "Q": queue(VisibilityTimeout="12", DelaySeconds=3.0, SqsManagedSseEnabled="True", Tags=[]),
            "R": queue(Tags=[{"Key": "number", "Value": 7}, {"Key": "truth", "Value": True}], MaximumMessageSize=1024),
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {"EventPattern": {"source": ["s"]}, "State": "DISABLED", "Targets": []},
            },
            "Board": {
                "Type": "AWS::CloudWatch::Dashboard",
                "Properties": {"DashboardBody": json.dumps({"widgets": []})},
            },
            "Alarm": alarm(**METRIC, Threshold="1.5")["Resources"]["X"],
            "Log": group(lab.name("/typed", "-"), RetentionInDays="3"),
        }
    }
    stack = make(lab, template)
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    sqs, made = lab.client("sqs", "central"), stack.physical()
    attributes = sqs.get_queue_attributes(QueueUrl=made["Q"], AttributeNames=["All"])["Attributes"]
    assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("12", "3")
    tags = sqs.list_queue_tags(QueueUrl=made["R"])["Tags"]
    assert (tags["number"], tags["truth"]) == ("7", "true")
    dashboard = lab.client("cloudwatch", "central").get_dashboard(DashboardName=made["Board"])
    assert json.loads(dashboard["DashboardBody"]) == {"widgets": []}
    (seen,) = lab.client("cloudwatch", "central").describe_alarms(AlarmNames=[made["Alarm"]])["MetricAlarms"]
    assert seen["Threshold"] == 1.5


# -- names that are taken


@pytest.mark.statement("cloudformation.existing")
@pytest.mark.parametrize(
    ("kind", "named_by", "more"),
    [
        ("AWS::SQS::Queue", "QueueName", {}),
        ("AWS::SNS::Topic", "TopicName", {}),
        ("AWS::Events::Rule", "Name", {"EventPattern": {"source": ["s"]}}),
        ("AWS::CloudWatch::Alarm", "AlarmName", alarm(**METRIC)["Resources"]["X"]["Properties"]),
        ("AWS::CloudWatch::Dashboard", "DashboardName", {"DashboardBody": '{"widgets": []}'}),
        ("AWS::Logs::LogGroup", "LogGroupName", {}),
        ("AWS::Events::EventBus", "Name", {}),
        ("AWS::DynamoDB::Table", "TableName", dynamo()["Resources"]["X"]["Properties"]),
    ],
)
def test_what_exists_already_is_not_adopted(lab, kind, named_by, more):
    name = lab.name("exists", "-")
    template = typed(kind, **{named_by: name}, **more)
    first = make(lab, template)
    assert first.status == "CREATE_COMPLETE", first.reasons("CREATE_FAILED")
    second = make(lab, template)
    assert second.status == "ROLLBACK_COMPLETE"
    assert "exist" in second.reasons("CREATE_FAILED")
    assert first.delete() == "DELETE_COMPLETE", "the first one is still there"


# -- single types


@pytest.mark.statement("cloudformation.bus-policy")
def test_statements_of_several_bus_policies_stand_side_by_side(lab):
    events, bus = lab.client("events", "central"), lab.name("bus", "-")

    def policy(sid, action="events:PutEvents"):
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
            "Action": action,
            "Resource": {"Fn::GetAtt": ["Bus", "Arn"]},
        }
        properties = {"EventBusName": {"Ref": "Bus"}, "StatementId": sid, "Statement": statement}
        return {"Type": "AWS::Events::EventBusPolicy", "Properties": properties}

    resources = {
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": bus}},
        "One": policy("one"),
        "Two": policy("two"),
        "Open": {
            "Type": "AWS::Events::EventBusPolicy",
            "Properties": {
                "EventBusName": {"Ref": "Bus"},
                "StatementId": "open",
                "Action": "events:PutEvents",
                "Principal": lab.account("consumer"),
            },
        },
    }

    def sids():
        policy = events.describe_event_bus(Name=bus).get("Policy", '{"Statement": []}')
        return sorted(each["Sid"] for each in json.loads(policy)["Statement"])

    stack = make(lab, {"Resources": resources})
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    assert sids() == ["one", "open", "two"]
    resources["Two"] = policy("two", "events:PutRule")
    del resources["One"]
    assert stack.update({"Resources": resources}) == "UPDATE_COMPLETE"
    assert sids() == ["open", "two"]


@pytest.mark.statement("cloudformation.rule-targets")
def test_a_rules_targets_follow_the_template_and_a_target_that_is_refused_fails_it(lab):
    def template(*targets, source=None):
        properties = {
            "EventPattern": {"source": [source]} if source else json.dumps({"source": ["s"], "detail": {"1": ["a"]}}),
            "Targets": [{"Id": each, "Arn": {"Fn::GetAtt": ["Q", "Arn"]}} for each in targets],
        }
        return {"Resources": {"Q": queue(), "Rule": {"Type": "AWS::Events::Rule", "Properties": properties}}}

    events = lab.client("events", "central")
    stack = make(lab, template("a", "b"))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    rule = stack.physical()["Rule"]
    assert json.loads(events.describe_rule(Name=rule)["EventPattern"])["source"] == ["s"]
    for source in ("t", "u"):
        assert stack.update(template("b", "c", source=source)) == "UPDATE_COMPLETE"
        targets = events.list_targets_by_rule(Rule=rule)["Targets"]
        assert sorted(each["Id"] for each in targets) == ["b", "c"]
        assert json.loads(events.describe_rule(Name=rule)["EventPattern"]) == {"source": [source]}
    broken = make(lab, template(*(f"t{n}" for n in range(6))))
    assert broken.status == "ROLLBACK_COMPLETE", "five targets a rule"


@pytest.mark.statement("cloudformation.table-indexes")
def test_a_tables_indexes_change_one_at_a_time(lab):
    def index(name, key="gk"):
        keys = [{"AttributeName": key, "KeyType": "HASH"}]
        return {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}

    def template(*indexes, **more):
        names = {"pk", *(each["KeySchema"][0]["AttributeName"] for each in indexes)}
        definitions = [{"AttributeName": each, "AttributeType": "S"} for each in sorted(names)]
        secondary = {"GlobalSecondaryIndexes": list(indexes)} if indexes else {}
        return dynamo(AttributeDefinitions=definitions, **secondary, **more)

    dynamodb = lab.client("dynamodb", "central")
    stack = make(lab, template(index("first")))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    table = stack.physical()["X"]

    def names():
        described = dynamodb.describe_table(TableName=table)["Table"]
        return sorted(each["IndexName"] for each in described.get("GlobalSecondaryIndexes", ()))

    assert stack.update(template(index("first"), index("second"))) == "UPDATE_COMPLETE"
    assert names() == ["first", "second"]
    assert stack.update(template(index("third"), index("second"))) == "UPDATE_ROLLBACK_COMPLETE"
    assert "more than one GSI" in stack.reasons("UPDATE_FAILED")
    assert names() == ["first", "second"]
    assert stack.update(template(index("second"))) == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
    assert names() == ["second"]


@pytest.mark.statement("cloudformation.index-change")
@pytest.mark.local_only("what is not built is refused here only")
def test_an_index_that_changes_is_refused(lab):
    def template(kind):
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
        index = {"IndexName": "idx", "KeySchema": keys, "Projection": {"ProjectionType": kind}}
        return dynamo(GlobalSecondaryIndexes=[index])

    stack = make(lab, template("ALL"))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    assert stack.update(template("KEYS_ONLY")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "is not supported locally" in stack.reasons("UPDATE_FAILED")


@pytest.mark.statement("cloudformation.managed-policy-versions")
def test_a_managed_policy_has_many_versions_over_time(lab):
    def template(version):
        statement = {"Sid": f"v{version}", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        return typed("AWS::IAM::ManagedPolicy", PolicyDocument={"Version": "2012-10-17", "Statement": [statement]})

    capable = {"Capabilities": ["CAPABILITY_IAM"]}
    stack = make(lab, template(1), **capable)
    for version in range(2, 8):
        assert stack.update(template(version), **capable) == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
    iam, arn = lab.client("iam", "central"), stack.physical()["X"]
    default = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=default)["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Sid"] == "v7"
    assert stack.delete() == "DELETE_COMPLETE"

    stack = make(lab, template(1), **capable)
    arn = stack.physical()["X"]
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=False)
    assert stack.update(template(2), **capable) == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
    kept = {each["VersionId"]: each["IsDefaultVersion"] for each in iam.list_policy_versions(PolicyArn=arn)["Versions"]}
    assert kept == {"v1": False, "v3": False, "v4": False, "v5": False, "v6": True}, "the default one is not deleted"


@pytest.mark.statement("cloudformation.only-what-changed")
def test_a_property_that_goes_keeps_what_has_no_default_and_numbers_may_be_keys(lab):
    key = {"EnableKeyRotation": True, "KeyPolicy": {"Version": "2012-10-17", "Statement": [KEY_STATEMENT]}}
    template = """
    Resources:
      Rule: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [s], detail: {1: [a]}}}}
    """
    events, rule = lab.client("events", "central"), make(lab, template).physical()["Rule"]
    assert json.loads(events.describe_rule(Name=rule)["EventPattern"])["detail"] == {"1": ["a"]}
    stack = make(lab, {"Resources": {"Key": {"Type": "AWS::KMS::Key", "Properties": key}, **dynamo()["Resources"]}})
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    kms, made = lab.client("kms", "central"), stack.physical()
    before = kms.get_key_policy(KeyId=made["Key"], PolicyName="default")["Policy"]
    changed = dynamo(DeletionProtectionEnabled=False)["Resources"]
    changed["Key"] = {"Type": "AWS::KMS::Key", "Properties": {"Description": "other"}}
    assert stack.update({"Resources": changed}) == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
    assert json.loads(kms.get_key_policy(KeyId=made["Key"], PolicyName="default")["Policy"]) == json.loads(before)
    assert kms.get_key_rotation_status(KeyId=made["Key"])["KeyRotationEnabled"] is False
    assert stack.update({"Resources": {**changed, **dynamo()["Resources"]}}) == "UPDATE_COMPLETE", stack.events()


@pytest.mark.statement("cloudformation.tags-change")
def test_tags_that_go_are_taken_off_others_stay(lab):
    def template(**tags):
        return {"Resources": {"Q": queue(Tags=[{"Key": key, "Value": value} for key, value in tags.items()])}}

    stack = make(lab, template(stays="1", changes="1", goes="1"))
    sqs, url = lab.client("sqs", "central"), stack.physical()["Q"]
    sqs.tag_queue(QueueUrl=url, Tags={"by-hand": "1", "stays": "by hand"})
    assert stack.update(template(stays="1", changes="2")) == "UPDATE_COMPLETE"
    seen = {key: value for key, value in sqs.list_queue_tags(QueueUrl=url)["Tags"].items() if key[:4] != "aws:"}
    assert seen == {"stays": "by hand", "changes": "2", "by-hand": "1"}


@pytest.mark.statement("cloudformation.only-what-changed")
def test_an_update_sets_what_changed_and_leaves_what_was_set_by_hand(lab):
    stack = make(lab, {"Resources": {"Q": queue(VisibilityTimeout=10, DelaySeconds=1)}})
    sqs, url = lab.client("sqs", "central"), stack.physical()["Q"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "9"})
    assert stack.update({"Resources": {"Q": queue(VisibilityTimeout=20, DelaySeconds=1)}}) == "UPDATE_COMPLETE"
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("20", "9")
    assert stack.update({"Resources": {"Q": queue(DelaySeconds=1)}}) == "UPDATE_COMPLETE"
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "30", "a property that goes has its default again"


@pytest.mark.statement("cloudformation.only-what-changed")
def test_a_keys_policy_that_was_set_by_hand_stays_while_the_templates_is_the_same(lab):
    policy = {"Version": "2012-10-17", "Statement": [KEY_STATEMENT]}

    def template(description):
        return typed("AWS::KMS::Key", KeyPolicy=policy, Description=description)

    root = {"AWS": f"arn:aws:iam::{lab.account('central')}:root"}
    stack, kms = make(lab, template("one")), lab.client("kms", "central")
    key = stack.physical()["X"]
    by_hand = {**policy, "Statement": [{**KEY_STATEMENT, "Sid": "byhand", "Principal": root}]}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(by_hand))
    assert stack.update(template("two")) == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Description"] == "two"
    assert json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]) == by_hand


@pytest.mark.statement("cloudformation.only-what-changed")
def test_settings_of_functions_and_mappings_that_were_set_by_hand_stay(lab):
    function = function_of(lab, "sqs:*")

    def template(memory, batch):
        mapping = {"FunctionName": {"Ref": "F"}, "EventSourceArn": {"Fn::GetAtt": ["Q", "Arn"]}, "BatchSize": batch}
        return {
            "Resources": {
                "Q": queue(),
                "F": {"Type": "AWS::Lambda::Function", "Properties": {**function, "MemorySize": memory}},
                "M": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping},
            }
        }

    stack, functions = make(lab, template(128, 1)), lab.client("lambda", "central")
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    made = stack.physical()
    functions.update_function_configuration(FunctionName=made["F"], Timeout=9)
    functions.update_event_source_mapping(UUID=made["M"], MaximumBatchingWindowInSeconds=7)
    lab.eventually(lambda: functions.get_event_source_mapping(UUID=made["M"])["State"] == "Enabled")
    assert stack.update(template(256, 2)) == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
    shown = functions.get_function_configuration(FunctionName=made["F"])
    assert (shown["MemorySize"], shown["Timeout"]) == (256, 9)
    mapping = functions.get_event_source_mapping(UUID=made["M"])
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (2, 7)


@pytest.mark.statement("cloudformation.version-anew")
def test_a_version_of_a_function_that_did_not_change_since_the_last_one_fails(lab):
    function = function_of(lab)

    def template(*versions, **changed):
        properties = {**function, **changed}
        resources = {"F": {"Type": "AWS::Lambda::Function", "Properties": properties}}
        for each in versions:
            resources[each] = {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "F"}}}
        return {"Resources": resources}

    stack = make(lab, template("V1"))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    first = stack.physical()["V1"]
    assert stack.update(template("V1", "V2")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "A version for this Lambda function exists ( 1 )" in stack.reasons("CREATE_FAILED")
    lab.client("lambda", "central").get_function(FunctionName=first)
    assert stack.update(template("V1", "V2", Timeout=9)) == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
    assert stack.physical()["V2"].endswith(":2")


@pytest.mark.statement("cloudformation.deleted-by-hand")
def test_what_was_deleted_by_hand_does_not_keep_a_stack(lab):
    name = lab.name("/by-hand", "-")
    resources = {"Q": queue(), "G": group(name), "T": {"Type": "AWS::SNS::Topic"}, **dynamo()["Resources"]}
    stack = make(lab, {"Resources": resources})
    made = stack.physical()
    lab.client("sqs", "central").delete_queue(QueueUrl=made["Q"])
    lab.client("logs", "central").delete_log_group(logGroupName=name)
    lab.client("sns", "central").delete_topic(TopicArn=made["T"])
    lab.client("dynamodb", "central").delete_table(TableName=made["X"])
    assert stack.delete() == "DELETE_COMPLETE"
