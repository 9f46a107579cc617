"""CloudFormation: every resource type that can be deployed is made, changed and deleted, and says its name."""

import json

import pytest
from functions_lab import MACHINE, PYTHON, Functions, package, role_for
from lab import refused
from stacks import make

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
CUSTOM = """
import json, urllib.request

def handler(event, context):
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    greeting = "hello " + event["ResourceProperties"]["Name"]
    answer |= {"Status": "SUCCESS", "PhysicalResourceId": "thing", "Data": {"Greeting": greeting}}
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), method="PUT", headers={"Content-Type": ""}
    )
    urllib.request.urlopen(request)
"""


@pytest.mark.statement("cloudformation.types", "cloudformation.ref-and-get-att")
def test_every_type_is_made_changed_and_deleted(lab):
    account, p, bucket = lab.account("central"), lab.name("all", "-"), lab.bucket("central")
    lab.put("central", bucket, "code.zip", package(CUSTOM))
    functions = Functions(lab, role_for(lab))
    token = functions.arn(functions.make(CUSTOM, Timeout=10))
    capable = {"Capabilities": ["CAPABILITY_NAMED_IAM"]}

    stack = make(lab, everything(lab, account, p, bucket, token, 1), Tags=[{"Key": "owner", "Value": "me"}], **capable)
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    first = stack.outputs()
    check_references(lab, account, p, first, version=1)
    check_everything(lab, p, first, version=1)

    assert stack.update(everything(lab, account, p, bucket, token, 2), **capable) == "UPDATE_COMPLETE", stack.events()
    second = stack.outputs()
    kept = {name for name in first if name.startswith("Ref") and not name.startswith(("RefVersion", "RefPermission"))}
    assert {name: second[name] for name in kept} == {name: first[name] for name in kept}, "changed in place"
    check_everything(lab, p, second, version=2)

    assert stack.delete() == "DELETE_COMPLETE", stack.events()
    check_nothing_left(lab, p, second)


def everything(lab, account, p, bucket, token, version):
    """A template with every type there is, in a first and a second version."""
    later = version == 2
    second = {"RetentionInDays": 14} if later else {}
    tags = [{"Key": "version", "Value": str(version)}]
    allow_all = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:*", "sqs:*"], "Resource": "*"}],
    }
    invoke = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}}
    arn = {"Fn::GetAtt": ["Queue", "Arn"]}
    states = {
        **TRUST,
        "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "states.amazonaws.com"}}],
    }
    scheduler = {
        **TRUST,
        "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "scheduler.amazonaws.com"}}],
    }
    resources = {
        "Role": (
            "AWS::IAM::Role",
            {
                "RoleName": f"{p}-role",
                "Path": "/deployed/",
                "Description": f"version {version}",
                "AssumeRolePolicyDocument": TRUST,
                "ManagedPolicyArns": [{"Ref": "Managed"}] if later else [],
                "Policies": [{"PolicyName": f"inline-{version}", "PolicyDocument": allow_all}],
                "Tags": tags,
            },
        ),
        "Managed": ("AWS::IAM::ManagedPolicy", {"PolicyDocument": {**allow_all, "Id": str(version)}}),
        "Policy": (
            "AWS::IAM::Policy",
            {"PolicyName": "added", "PolicyDocument": allow_all, "Roles": [{"Ref": "Role"}]},
        ),
        "Key": ("AWS::KMS::Key", {"EnableKeyRotation": later, "KeyPolicy": key_policy()}),
        "KeyAlias": ("AWS::KMS::Alias", {"AliasName": f"alias/{p}", "TargetKeyId": {"Ref": "Key"}}),
        "Bucket": (
            "AWS::S3::Bucket",
            {
                "VersioningConfiguration": {"Status": "Enabled"},
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
                },
                "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": "true"},
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
                "LifecycleConfiguration": {"Rules": [{"Id": "r", "Status": "Enabled", "ExpirationInDays": version}]},
                "Tags": tags,
            },
        ),
        "BucketPolicy": (
            "AWS::S3::BucketPolicy",
            {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": deny_insecure({"Fn::GetAtt": ["Bucket", "Arn"]}, version)},
        ),
        "Dead": ("AWS::SQS::Queue", {"SqsManagedSseEnabled": True}),
        "Queue": (
            "AWS::SQS::Queue",
            {
                "QueueName": f"{p}-queue",
                "VisibilityTimeout": 30 + version,
                "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 3},
                "Tags": tags,
            },
        ),
        "QueuePolicy": (
            "AWS::SQS::QueuePolicy",
            {
                "Queues": [{"Ref": "Queue"}],
                "PolicyDocument": {
                    "Statement": [{**invoke, "Sid": f"v{version}", "Action": "sqs:SendMessage", "Resource": arn}]
                },
            },
        ),
        "Topic": ("AWS::SNS::Topic", {"DisplayName": f"v{version}"}),
        "TopicPolicy": (
            "AWS::SNS::TopicPolicy",
            {
                "Topics": [{"Ref": "Topic"}],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {**invoke, "Sid": f"v{version}", "Action": "sns:Publish", "Resource": {"Ref": "Topic"}}
                    ],
                },
            },
        ),
        "Subscription": (
            "AWS::SNS::Subscription",
            {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": "on-call@example.com"},
        ),
        "Table": (
            "AWS::DynamoDB::Table",
            {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "gk")[:version]
                ],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": later},
                "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True},
                "SSESpecification": {"SSEEnabled": True},
                **({"GlobalSecondaryIndexes": [index()]} if later else {}),
            },
        ),
        "Group": ("AWS::Logs::LogGroup", {"LogGroupName": f"/{p}/group", **second}),
        "Function": (
            "AWS::Lambda::Function",
            {
                "Code": {"S3Bucket": bucket, "S3Key": "code.zip"},
                "Runtime": PYTHON,
                "Handler": "app.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Architectures": [MACHINE],
                "Timeout": str(version),
                "Environment": {"Variables": {"VERSION": version}},
                "LoggingConfig": {"LogGroup": {"Ref": "Group"}},
                "Tags": tags,
            },
        ),
        f"Version{version}": ("AWS::Lambda::Version", {"FunctionName": {"Ref": "Function"}}),
        "Live": (
            "AWS::Lambda::Alias",
            {
                "Name": "live",
                "FunctionName": {"Ref": "Function"},
                "FunctionVersion": {"Fn::GetAtt": [f"Version{version}", "Version"]},
            },
        ),
        "Permission": (
            "AWS::Lambda::Permission",
            {
                "FunctionName": {"Ref": "Live"},
                "Action": "lambda:InvokeFunction",
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]},
            },
        ),
        "Mapping": (
            "AWS::Lambda::EventSourceMapping",
            {
                "EventSourceArn": arn,
                "FunctionName": {"Ref": "Function"},
                "BatchSize": version,
                "Tags": [{"Key": "a", "Value": "b"}],
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        ),
        "InvokeConfig": (
            "AWS::Lambda::EventInvokeConfig",
            {"FunctionName": {"Ref": "Function"}, "Qualifier": "$LATEST", "MaximumRetryAttempts": version - 1},
        ),
        "Bus": ("AWS::Events::EventBus", {"Name": f"{p}-bus"}),
        "BusPolicy": (
            "AWS::Events::EventBusPolicy",
            {
                "EventBusName": {"Ref": "Bus"},
                "StatementId": "other",
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                    "Action": "events:PutEvents",
                    "Resource": {"Fn::GetAtt": ["Bus", "Arn"]},
                },
            },
        ),
        "Rule": (
            "AWS::Events::Rule",
            {
                "EventBusName": {"Ref": "Bus"},
                "EventPattern": {"source": [f"v{version}"]},
                "Targets": [{"Id": f"t{version}", "Arn": arn, "Input": '{"a": 1}'}],
            },
        ),
        "ScheduleRole": ("AWS::IAM::Role", {"AssumeRolePolicyDocument": scheduler}),
        "Schedule": (
            "AWS::Scheduler::Schedule",
            {
                "ScheduleExpression": f"rate({version} hours)" if later else "rate(1 hour)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {"Arn": arn, "RoleArn": {"Fn::GetAtt": ["ScheduleRole", "Arn"]}},
            },
        ),
        "MachineRole": ("AWS::IAM::Role", {"AssumeRolePolicyDocument": states}),
        "Machine": (
            "AWS::StepFunctions::StateMachine",
            {
                "RoleArn": {"Fn::GetAtt": ["MachineRole", "Arn"]},
                "DefinitionString": json.dumps(
                    {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "${Said}", "End": True}}}
                ),
                "DefinitionSubstitutions": {"Said": f"version {version}"},
                "Tags": tags,
            },
        ),
        "WorkGroup": (
            "AWS::Athena::WorkGroup",
            {
                "Name": f"{p}-work",
                "Description": f"v{version}",
                "RecursiveDeleteOption": True,
                "WorkGroupConfiguration": {
                    "EnforceWorkGroupConfiguration": True,
                    "ResultConfiguration": {"OutputLocation": {"Fn::Sub": "s3://${Bucket}/v" + str(version)}},
                },
            },
        ),
        "Settings": (
            "AWS::LakeFormation::DataLakeSettings",
            {"MutationType": "APPEND", "Admins": [{"DataLakePrincipalIdentifier": {"Fn::GetAtt": ["Role", "Arn"]}}]},
        ),
        "Alarm": (
            "AWS::CloudWatch::Alarm",
            {
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Dead", "QueueName"]}}],
                "Statistic": "Maximum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": version,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "AlarmActions": [{"Ref": "Topic"}],
            },
        ),
        "Dashboard": (
            "AWS::CloudWatch::Dashboard",
            {"DashboardBody": json.dumps({"widgets": [], "periodOverride": "auto" if later else "inherit"})},
        ),
        "Thing": (
            "Custom::Thing",
            {"ServiceToken": token, "Name": f"v{version}", "On": True},
        ),
    }
    attributes = (
        "Role.Arn", "Role.RoleId", "Managed.PolicyArn", "Key.Arn", "Key.KeyId", "Bucket.Arn", "Bucket.DomainName",
        "Bucket.RegionalDomainName", "Queue.Arn", "Queue.QueueName", "Queue.QueueUrl", "Topic.TopicArn",
        "Topic.TopicName", "Table.Arn", "Group.Arn", "Function.Arn", f"Version{version}.Version", "Live.AliasArn",
        "Mapping.Id", "Bus.Arn", "Bus.Name", "Rule.Arn", "Schedule.Arn", "Machine.Arn", "Machine.Name", "Alarm.Arn",
        "Thing.Greeting",
    )  # fmt: skip
    outputs = {name.replace(".", ""): {"Value": {"Fn::GetAtt": name.split(".")}} for name in attributes}
    return {
        "Resources": {name: {"Type": kind, "Properties": properties} for name, (kind, properties) in resources.items()},
        "Outputs": outputs | {f"Ref{name}": {"Value": {"Ref": name}} for name in resources},
    }


def index():
    key = [{"AttributeName": "gk", "KeyType": "HASH"}]
    return {"IndexName": "by-gk", "KeySchema": key, "Projection": {"ProjectionType": "ALL"}}


def key_policy():
    root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    statement = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def deny_insecure(bucket, version):
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    statement = {"Sid": f"v{version}", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": bucket}
    return {"Version": "2012-10-17", "Statement": [{**statement, "Condition": condition}]}


def check_references(lab, account, p, outputs, version):
    """Ref and Fn::GetAtt give what the template reference documents for each type."""
    function = outputs["RefFunction"]
    assert outputs["RefRole"] == f"{p}-role"
    assert outputs["RoleArn"] == f"arn:aws:iam::{account}:role/deployed/{p}-role"
    assert outputs["RefManaged"] == outputs["ManagedPolicyArn"]
    assert outputs["RefKey"] == outputs["KeyKeyId"]
    assert outputs["KeyArn"] == f"arn:aws:kms:{lab.region}:{account}:key/{outputs['RefKey']}"
    assert outputs["RefKeyAlias"] == f"alias/{p}"
    assert outputs["BucketArn"] == f"arn:aws:s3:::{outputs['RefBucket']}"
    assert outputs["BucketDomainName"] == f"{outputs['RefBucket']}.s3.amazonaws.com"
    assert outputs["RefQueue"] == outputs["QueueQueueUrl"]
    assert outputs["RefQueue"].endswith(f"/{account}/{p}-queue")
    assert outputs["QueueArn"] == f"arn:aws:sqs:{lab.region}:{account}:{p}-queue"
    assert (
        outputs["RefTopic"]
        == outputs["TopicTopicArn"]
        == f"arn:aws:sns:{lab.region}:{account}:{outputs['TopicTopicName']}"
    )
    assert outputs["TableArn"] == f"arn:aws:dynamodb:{lab.region}:{account}:table/{outputs['RefTable']}"
    assert outputs["GroupArn"] == f"arn:aws:logs:{lab.region}:{account}:log-group:/{p}/group:*"
    assert outputs["FunctionArn"] == f"arn:aws:lambda:{lab.region}:{account}:function:{function}"
    assert outputs[f"RefVersion{version}"] == f"{outputs['FunctionArn']}:{version}"
    assert outputs["RefLive"] == outputs["LiveAliasArn"] == f"{outputs['FunctionArn']}:live"
    assert outputs["RefMapping"] == outputs["MappingId"]
    assert outputs["RefBus"] == outputs["BusName"] == f"{p}-bus"
    assert outputs["BusArn"] == f"arn:aws:events:{lab.region}:{account}:event-bus/{p}-bus"
    bus, rule = outputs["RefRule"].split("|")
    assert (bus, outputs["RuleArn"]) == (f"{p}-bus", f"arn:aws:events:{lab.region}:{account}:rule/{p}-bus/{rule}")
    assert (
        outputs["ScheduleArn"] == f"arn:aws:scheduler:{lab.region}:{account}:schedule/default/{outputs['RefSchedule']}"
    )
    assert outputs["RefMachine"] == outputs["MachineArn"]
    assert outputs["RefMachine"].endswith(f":stateMachine:{outputs['MachineName']}")
    assert outputs["RefWorkGroup"] == f"{p}-work"
    assert outputs["AlarmArn"] == f"arn:aws:cloudwatch:{lab.region}:{account}:alarm:{outputs['RefAlarm']}"
    assert (outputs["RefThing"], outputs["ThingGreeting"]) == ("thing", f"hello v{version}")


def check_everything(lab, p, outputs, version):
    """Each service itself says that the resource is as the template wants it."""
    iam, s3, sqs, sns = (
        lab.client("iam", "central"),
        lab.client("s3", "central"),
        lab.client("sqs", "central"),
        lab.client("sns", "central"),
    )
    later = version == 2
    role = iam.get_role(RoleName=f"{p}-role")["Role"]
    assert role["Description"] == f"version {version}"
    assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == {"version": str(version), "owner": "me"}
    assert sorted(iam.list_role_policies(RoleName=f"{p}-role")["PolicyNames"]) == ["added", f"inline-{version}"]
    attached = iam.list_attached_role_policies(RoleName=f"{p}-role")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == ([outputs["RefManaged"]] if later else [])
    default = iam.get_policy(PolicyArn=outputs["RefManaged"])["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=outputs["RefManaged"], VersionId=default)["PolicyVersion"]["Document"]
    assert document["Id"] == str(version)
    assert lab.client("kms", "central").get_key_rotation_status(KeyId=outputs["RefKey"])["KeyRotationEnabled"] is later

    bucket = outputs["RefBucket"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["Expiration"] == {"Days": version}
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] is True
    assert f'"v{version}"' in s3.get_bucket_policy(Bucket=bucket)["Policy"]

    queue = sqs.get_queue_attributes(QueueUrl=outputs["RefQueue"], AttributeNames=["All"])["Attributes"]
    assert queue["VisibilityTimeout"] == str(30 + version)
    assert json.loads(queue["RedrivePolicy"])["maxReceiveCount"] == 3
    assert f'"v{version}"' in queue["Policy"]
    topic = sns.get_topic_attributes(TopicArn=outputs["RefTopic"])["Attributes"]
    assert (topic["DisplayName"], f'"v{version}"' in topic["Policy"]) == (f"v{version}", True)
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=outputs["RefTopic"])["Subscriptions"]
    assert [each["Endpoint"] for each in subscriptions] == ["on-call@example.com"]

    dynamodb = lab.client("dynamodb", "central")
    table = dynamodb.describe_table(TableName=outputs["RefTable"])["Table"]
    assert len(table.get("GlobalSecondaryIndexes", [])) == version - 1
    backups = dynamodb.describe_continuous_backups(TableName=outputs["RefTable"])["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    assert recovery == ("ENABLED" if later else "DISABLED")
    (group,) = lab.client("logs", "central").describe_log_groups(logGroupNamePrefix=f"/{p}/group")["logGroups"]
    assert group.get("retentionInDays") == (14 if later else None)

    functions = lab.client("lambda", "central")
    function = functions.get_function(FunctionName=outputs["RefFunction"])
    assert function["Configuration"]["Timeout"] == version
    assert function["Configuration"]["Environment"]["Variables"] == {"VERSION": str(version)}
    assert function["Tags"] == {"version": str(version), "owner": "me"}
    alias = functions.get_alias(FunctionName=outputs["RefFunction"], Name="live")
    assert alias["FunctionVersion"] == str(version)
    policy = json.loads(functions.get_policy(FunctionName=outputs["RefLive"])["Policy"])
    assert policy["Statement"][0]["Condition"]["ArnLike"] == {"AWS:SourceArn": outputs["RuleArn"]}
    assert functions.get_event_source_mapping(UUID=outputs["RefMapping"])["BatchSize"] == version
    config = functions.get_function_event_invoke_config(FunctionName=outputs["RefFunction"], Qualifier="$LATEST")
    assert config["MaximumRetryAttempts"] == version - 1

    events = lab.client("events", "central")
    assert lab.account("central") in events.describe_event_bus(Name=f"{p}-bus")["Policy"]
    name = outputs["RefRule"].split("|")[1]
    described = events.describe_rule(Name=name, EventBusName=f"{p}-bus")
    assert json.loads(described["EventPattern"]) == {"source": [f"v{version}"]}
    targets = events.list_targets_by_rule(Rule=name, EventBusName=f"{p}-bus")["Targets"]
    assert [(each["Id"], each["Input"]) for each in targets] == [(f"t{version}", '{"a": 1}')]
    schedule = lab.client("scheduler", "central").get_schedule(Name=outputs["RefSchedule"])
    assert schedule["ScheduleExpression"] == ("rate(2 hours)" if later else "rate(1 hour)")
    machine = lab.client("stepfunctions", "central").describe_state_machine(stateMachineArn=outputs["RefMachine"])
    assert json.loads(machine["definition"])["States"]["A"]["Result"] == f"version {version}"

    group = lab.client("athena", "central").get_work_group(WorkGroup=f"{p}-work")["WorkGroup"]
    location = group["Configuration"]["ResultConfiguration"]["OutputLocation"]
    assert (group["Description"], location.rstrip("/")) == (f"v{version}", f"s3://{bucket}/v{version}")
    admins = lab.client("lakeformation", "central").get_data_lake_settings()["DataLakeSettings"]["DataLakeAdmins"]
    assert {"DataLakePrincipalIdentifier": outputs["RoleArn"]} in admins
    (alarm,) = lab.client("cloudwatch", "central").describe_alarms(AlarmNames=[outputs["RefAlarm"]])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["AlarmActions"]) == (version, [outputs["RefTopic"]])
    dashboard = lab.client("cloudwatch", "central").get_dashboard(DashboardName=outputs["RefDashboard"])
    assert ("auto" in dashboard["DashboardBody"]) is later


def check_nothing_left(lab, p, outputs):
    def client(service):
        return lab.client(service, "central")

    roles = {
        each["RoleName"] for page in client("iam").get_paginator("list_roles").paginate() for each in page["Roles"]
    }
    assert not {outputs["RefRole"], outputs["RefMachineRole"], outputs["RefScheduleRole"]} & roles
    assert outputs["RefBucket"] not in [each["Name"] for each in client("s3").list_buckets()["Buckets"]]
    assert "QueueUrls" not in client("sqs").list_queues(QueueNamePrefix=f"{p}-queue")
    for call, parameters, codes in (
        (client("dynamodb").describe_table, {"TableName": outputs["RefTable"]}, ["ResourceNotFoundException"]),
        (client("lambda").get_function, {"FunctionName": outputs["RefFunction"]}, ["ResourceNotFoundException"]),
        (client("lambda").get_event_source_mapping, {"UUID": outputs["RefMapping"]}, ["ResourceNotFoundException"]),
        (client("sns").get_topic_attributes, {"TopicArn": outputs["RefTopic"]}, ["NotFound", "NotFoundException"]),
        (client("events").describe_event_bus, {"Name": f"{p}-bus"}, ["ResourceNotFoundException"]),
        (client("scheduler").get_schedule, {"Name": outputs["RefSchedule"]}, ["ResourceNotFoundException"]),
        (
            client("stepfunctions").describe_state_machine,
            {"stateMachineArn": outputs["RefMachine"]},
            ["StateMachineDoesNotExist"],
        ),
        (client("athena").get_work_group, {"WorkGroup": f"{p}-work"}, ["InvalidRequestException"]),
        (client("cloudwatch").get_dashboard, {"DashboardName": outputs["RefDashboard"]}, ["ResourceNotFound"]),
    ):
        with refused(*codes):
            call(**parameters)
    assert client("cloudwatch").describe_alarms(AlarmNames=[outputs["RefAlarm"]])["MetricAlarms"] == []
    settings = client("lakeformation").get_data_lake_settings()["DataLakeSettings"]
    assert outputs["RoleArn"] not in [each["DataLakePrincipalIdentifier"] for each in settings["DataLakeAdmins"]]
    key = client("kms").describe_key(KeyId=outputs["RefKey"])["KeyMetadata"]
    assert key["KeyState"] == "PendingDeletion"
