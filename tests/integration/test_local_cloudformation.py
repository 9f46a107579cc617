"""CloudFormation of the local AWS: templates become real resources, changes are undone when they fail."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.functions import lambda_sandbox
from local_aws.server import LocalAws

ACCOUNT = "111111111111"
REGION = "eu-west-1"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
NAMED = ["CAPABILITY_NAMED_IAM"]
TRUST_LAMBDA = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

# A function for custom resources: keeps what it was asked, answers as the resource's properties say.
CUSTOM = """
import json, time, urllib.request

def handler(event, context):
    print(json.dumps({**event, "at": time.time()}))
    properties = event["ResourceProperties"]
    if event["RequestType"] != "Delete" and properties.get("Crash"):
        raise RuntimeError("crashed")
    if properties.get("Silent"):
        return
    failed = event["RequestType"] in properties.get("FailOn", "")
    answer = {
        "Status": "FAILED" if failed else "SUCCESS",
        "Reason": "as asked",
        "PhysicalResourceId": properties.get("Id", "thing"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Greeting": "hello " + properties.get("Name", "")},
    }
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request)
"""


class Cloud:
    """One account, its CloudFormation, and templates in it."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.session = aws.session(ACCOUNT)
        self._clients: dict[str, Any] = {}
        self.stacks = self.client("cloudformation")
        place = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration=place)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("app.py", CUSTOM)
        self.put("code.zip", content.getvalue())
        trust = json.dumps(TRUST_LAMBDA)
        self.role = self.client("iam").create_role(RoleName="runs", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        self.client("lambda").create_function(
            FunctionName="custom",
            Runtime=PYTHON,
            Handler="app.handler",
            Role=self.role,
            Code={"S3Bucket": "artifacts", "S3Key": "code.zip"},
            Timeout=10,
        )

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.client(service)
        return self._clients[service]

    def put(self, key: str, body: bytes) -> None:
        self.client("s3").put_object(Bucket="artifacts", Key=key, Body=body)

    def create(self, name: str, template: Any, **options: Any) -> dict:
        """Create a stack, wait, and describe it."""
        self.stacks.create_stack(StackName=name, TemplateBody=_body(template), **_shaped(options))
        return self.settled(name)

    def update(self, name: str, template: Any, **options: Any) -> dict:
        self.stacks.update_stack(StackName=name, TemplateBody=_body(template), **_shaped(options))
        return self.settled(name)

    def delete(self, name: str) -> str:
        """Delete a stack; returns its last status."""
        stack_id = self.stacks.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        self.stacks.delete_stack(StackName=name)
        return self.settled(stack_id)["StackStatus"]

    def settled(self, name: str) -> dict:
        deadline = time.monotonic() + 30
        while True:
            (stack,) = self.stacks.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack
            assert time.monotonic() < deadline, stack["StackStatus"]
            time.sleep(0.05)

    def outputs(self, name: str) -> dict[str, str]:
        (stack,) = self.stacks.describe_stacks(StackName=name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """(logical id, status, reason), oldest first."""
        found = self.stacks.describe_stack_events(StackName=name)["StackEvents"]
        return [
            (each["LogicalResourceId"], each["ResourceStatus"], each.get("ResourceStatusReason", ""))
            for each in reversed(found)
        ]

    def physical(self, name: str) -> dict[str, str]:
        """Logical id -> physical id of the resources that exist."""
        found = self.stacks.describe_stack_resources(StackName=name)["StackResources"]
        return {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in found}

    def requests(self, stack: str) -> list[dict]:
        """What the function for custom resources was asked for this stack (logged once it has returned)."""
        self.aws.world.wait_idle(10)
        events = self.client("logs").filter_log_events(logGroupName="/aws/lambda/custom")["events"]
        asked = [json.loads(each["message"]) for each in events if each["message"].startswith('{"RequestType"')]
        of_stack = [each for each in asked if f":stack/{stack}/" in each["StackId"]]
        return sorted(of_stack, key=lambda each: each["at"])


def _body(template: Any) -> str:
    return template if isinstance(template, str) else json.dumps(template)


def _shaped(options: dict) -> dict:
    if "Parameters" in options:
        given = options["Parameters"]
        options["Parameters"] = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    return options


def log_group(**properties: Any) -> dict:
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def refused(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def cloud(aws_module: LocalAws) -> Cloud:
    return Cloud(aws_module)


# -- templates: functions, parameters, conditions


FUNCTIONS = """
Parameters:
  Stage: {Type: String, Default: dev}
  Zones: {Type: CommaDelimitedList, Default: "a, b,c"}
  Days: {Type: Number, Default: 7}
Mappings:
  Sizes: {dev: {Small: s1}, prod: {Small: p1}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Either: !Or [!Condition IsProd, !Equals [!Ref Days, 7]]
  Both: !And [!Condition IsDev, !Condition Either]
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    Properties:
      LogGroupName: !Sub "/functions/${Stage}/${AWS::StackName}"
      RetentionInDays: !If [IsDev, !Ref Days, !Ref "AWS::NoValue"]
  OnlyProd: {Type: AWS::Logs::LogGroup, Condition: IsProd}
Outputs:
  Ref: {Value: !Ref Group}
  GetAtt: {Value: !GetAtt Group.Arn}
  SubWith: {Value: !Sub ["${Name}-${Stage}-${!Literal}-${Group.Arn}", {Name: !Ref Group}]}
  Join: {Value: !Join ["/", [!Ref "AWS::Partition", !Ref "AWS::URLSuffix", !Ref "AWS::AccountId", !Ref "AWS::Region"]]}
  Select: {Value: !Select [1, !Ref Zones]}
  Split: {Value: !Select [0, !Split ["-", "x-y"]]}
  Map: {Value: !FindInMap [Sizes, !Ref Stage, Small]}
  Base64: {Value: {"Fn::Base64": hello}}
  If: {Value: !If [Both, yes-both, no]}
  Prod: {Condition: IsProd, Value: !Ref OnlyProd}
"""


def test_functions_give_what_aws_documents(cloud: Cloud) -> None:
    cloud.create("functions", FUNCTIONS)
    group = "/functions/dev/functions"
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*"
    assert cloud.outputs("functions") == {
        "Ref": group,
        "GetAtt": arn,
        "SubWith": f"{group}-dev-${{Literal}}-{arn}",
        "Join": f"aws/amazonaws.com/{ACCOUNT}/{REGION}",
        "Select": "b",
        "Split": "x",
        "Map": "s1",
        "Base64": "aGVsbG8=",
        "If": "yes-both",
    }
    (made,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert made["retentionInDays"] == 7
    assert set(cloud.physical("functions")) == {"Group"}


def test_a_condition_that_turns_adds_and_removes_resources(cloud: Cloud) -> None:
    cloud.create("turns", FUNCTIONS.replace("functions", "turns"))
    cloud.update("turns", FUNCTIONS.replace("functions", "turns"), Parameters={"Stage": "prod"})
    assert set(cloud.physical("turns")) == {"Group", "OnlyProd"}
    assert "Prod" in cloud.outputs("turns")
    names = [each["logGroupName"] for each in cloud.client("logs").describe_log_groups()["logGroups"]]
    assert "/turns/dev/turns" not in names
    assert "/turns/prod/turns" in names


@pytest.mark.parametrize(
    ("parameter", "value", "reason"),
    [
        ({"Type": "String"}, None, "Parameters: [P] must have values"),
        ({"Type": "Number"}, "many", "must be a number"),
        ({"Type": "Number", "MinValue": 2}, "1", "not less than 2"),
        ({"Type": "Number", "MaxValue": 2}, "3", "not greater than 2"),
        ({"Type": "String", "AllowedValues": ["a", "b"]}, "c", "one of AllowedValues: [a, b]"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "A1", "match pattern [a-z]+"),
        ({"Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "small"}, "A", "'P' must be small"),
        ({"Type": "String", "MinLength": 3}, "ab", "at least 3 characters"),
        ({"Type": "String", "MaxLength": 1}, "ab", "at most 1 characters"),
        ({"Type": "List<Number>"}, "1,x", "must be a number"),
        ({"Type": "AWS::EC2::VPC::Id"}, "vpc-1", "has Type 'AWS::EC2::VPC::Id'"),
    ],
)
def test_parameters_are_held_to_their_constraints(cloud: Cloud, parameter: dict, value: Any, reason: str) -> None:
    template = {"Parameters": {"P": parameter}, "Resources": {"G": log_group()}}
    given = [] if value is None else [{"ParameterKey": "P", "ParameterValue": value}]
    message = refused(
        cloud.stacks.create_stack, StackName="constrained", TemplateBody=json.dumps(template), Parameters=given
    )
    assert reason in message


def test_a_parameter_keeps_its_previous_value_and_is_hidden_if_asked(cloud: Cloud) -> None:
    template = {
        "Parameters": {"Name": {"Type": "String"}, "Secret": {"Type": "String", "NoEcho": True}},
        "Resources": {"G": log_group(LogGroupName={"Fn::Sub": "/keeps/${Name}"})},
    }
    cloud.create("keeps", template, Parameters={"Name": "first", "Secret": "hush"})
    template["Resources"]["G"]["Properties"]["RetentionInDays"] = 1
    previous = [{"ParameterKey": key, "UsePreviousValue": True} for key in ("Name", "Secret")]
    cloud.stacks.update_stack(StackName="keeps", TemplateBody=json.dumps(template), Parameters=previous)
    stack = cloud.settled("keeps")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]} == {
        "Name": "first",
        "Secret": "****",
    }
    assert cloud.physical("keeps") == {"G": "/keeps/first"}


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"Resources": {}}, "At least one Resources member must be defined"),
        ({"Rules": {}, "Resources": {"G": log_group()}}, "'Rules' is not supported locally"),
        ({"Resources": {"G": log_group(LogGroupName={"Ref": "Nobody"})}}, "Unresolved resource dependencies [Nobody]"),
        (
            {
                "Resources": {
                    "A": log_group(LogGroupName={"Fn::Sub": "x${B}"}),
                    "B": log_group(LogGroupName={"Fn::Sub": "x${A}"}),
                }
            },
            "Circular dependency between resources: [A, B]",
        ),
        ({"Resources": {"G": {**log_group(), "DependsOn": "Gone"}}}, "Unresolved resource dependencies [Gone]"),
        (
            {"Resources": {"G": log_group()}, "Outputs": {"O": {"Value": {"Fn::GetAtt": ["G", "Size"]}}}},
            "does not support attribute Size",
        ),
        ("Resources: {G: {Type: AWS::Logs::LogGroup}, G: {Type: AWS::SQS::Queue}}", "key 'G' stands twice"),
        ("Resources: [", "Template format error"),
        ({"Transform": "AWS::LanguageExtensions", "Resources": {"G": log_group()}}, "not supported locally"),
        ({"Resources": {"G": {**log_group(), "CreationPolicy": {}}}}, "['CreationPolicy'] not supported locally"),
    ],
)
def test_a_template_that_cannot_be_deployed_is_refused_before_anything_is_made(
    cloud: Cloud, template: Any, reason: str
) -> None:
    assert reason in refused(cloud.stacks.create_stack, StackName="malformed", TemplateBody=_body(template))
    assert "does not exist" in refused(cloud.stacks.describe_stacks, StackName="malformed")


def test_what_is_not_built_is_refused_whole_and_named(cloud: Cloud) -> None:
    template = {
        "Resources": {
            "Fine": log_group(LogGroupName="/never"),
            "Alien": {"Type": "AWS::EC2::Instance", "Properties": {}},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"RedriveAllowPolicy": {}, "QueueName": "q"}},
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {"NotificationConfiguration": {"LambdaConfigurations": []}},
            },
        }
    }
    for call, more in (
        (cloud.stacks.create_stack, {}),
        (cloud.stacks.create_change_set, {"ChangeSetName": "c", "ChangeSetType": "CREATE"}),
    ):
        message = refused(call, StackName="alien", TemplateBody=json.dumps(template), **more)
        assert "Alien: resource type AWS::EC2::Instance" in message
        assert "Queue: property RedriveAllowPolicy of AWS::SQS::Queue" in message
        assert "Bucket: property NotificationConfiguration.LambdaConfigurations" in message
        assert "local_aws/allowed/cloudformation.yaml" in message
    assert cloud.client("logs").describe_log_groups(logGroupNamePrefix="/never")["logGroups"] == []


def test_property_values_are_held_to_awss_schemas(cloud: Cloud) -> None:
    bad = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": "soon", "DelaySeconds": 1000}}
    stack = cloud.create("schemas", {"Resources": {"Queue": bad}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    (why,) = [why for _, status, why in cloud.events("schemas") if status == "CREATE_FAILED"]
    assert "Properties validation failed for resource Queue" in why
    assert "#/VisibilityTimeout: expected type: integer" in why
    assert "#/DelaySeconds: 1000 is not between 0 and 900" in why


def test_iam_resources_need_their_capability(cloud: Cloud) -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST_LAMBDA}}
    named = {"Type": "AWS::IAM::Role", "Properties": {**role["Properties"], "RoleName": "capable"}}
    create = cloud.stacks.create_stack
    for resource, needed in ((role, "CAPABILITY_IAM"), (named, "CAPABILITY_NAMED_IAM")):
        body = json.dumps({"Resources": {"Role": resource}})
        assert f"[{needed}]" in refused(create, StackName="capable", TemplateBody=body)
        granted = ["CAPABILITY_IAM"] if needed == "CAPABILITY_NAMED_IAM" else []
        assert f"[{needed}]" in refused(create, StackName="capable", TemplateBody=body, Capabilities=granted)


# -- every resource type


def everything(version: int) -> dict:
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
        **TRUST_LAMBDA,
        "Statement": [{**TRUST_LAMBDA["Statement"][0], "Principal": {"Service": "states.amazonaws.com"}}],
    }
    scheduler = {
        **TRUST_LAMBDA,
        "Statement": [{**TRUST_LAMBDA["Statement"][0], "Principal": {"Service": "scheduler.amazonaws.com"}}],
    }
    resources: dict[str, Any] = {
        "Role": (
            "AWS::IAM::Role",
            {
                "RoleName": "all-role",
                "Path": "/deployed/",
                "Description": f"version {version}",
                "AssumeRolePolicyDocument": TRUST_LAMBDA,
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
        "KeyAlias": ("AWS::KMS::Alias", {"AliasName": "alias/all", "TargetKeyId": {"Ref": "Key"}}),
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
                "QueueName": "all-queue",
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
        "Group": ("AWS::Logs::LogGroup", {"LogGroupName": "/all/group", **second}),
        "Function": (
            "AWS::Lambda::Function",
            {
                "Code": {"S3Bucket": "artifacts", "S3Key": "code.zip"},
                "Runtime": PYTHON,
                "Handler": "app.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Architectures": [lambda_sandbox.MACHINE],
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
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        ),
        "InvokeConfig": (
            "AWS::Lambda::EventInvokeConfig",
            {"FunctionName": {"Ref": "Function"}, "Qualifier": "$LATEST", "MaximumRetryAttempts": version - 1},
        ),
        "Bus": ("AWS::Events::EventBus", {"Name": "all-bus"}),
        "BusPolicy": (
            "AWS::Events::EventBusPolicy",
            {
                "EventBusName": {"Ref": "Bus"},
                "StatementId": "other",
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
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
                "Name": "all-work",
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
            {"ServiceToken": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:custom", "Name": f"v{version}", "On": True},
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


def index() -> dict:
    key = [{"AttributeName": "gk", "KeyType": "HASH"}]
    return {"IndexName": "by-gk", "KeySchema": key, "Projection": {"ProjectionType": "ALL"}}


def key_policy() -> dict:
    root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    statement = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def deny_insecure(bucket: Any, version: int) -> dict:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    statement = {"Sid": f"v{version}", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": bucket}
    return {"Version": "2012-10-17", "Statement": [{**statement, "Condition": condition}]}


def test_every_type_is_made_changed_and_deleted(aws_module: LocalAws, cloud: Cloud) -> None:
    if "athena" not in aws_module.world.engines:
        pytest.skip("no Athena engine yet")
    created = cloud.create("all", everything(1), Capabilities=NAMED, Tags=[{"Key": "owner", "Value": "me"}])
    assert created["StackStatus"] == "CREATE_COMPLETE", failures(cloud, "all")
    first = cloud.outputs("all")
    check_references(first, version=1)
    check_everything(cloud, first, version=1)

    updated = cloud.update("all", everything(2), Capabilities=NAMED)
    assert updated["StackStatus"] == "UPDATE_COMPLETE", failures(cloud, "all")
    second = cloud.outputs("all")
    kept = {name for name in first if name.startswith("Ref") and not name.startswith(("RefVersion", "RefPermission"))}
    assert {name: second[name] for name in kept} == {name: first[name] for name in kept}, "changed in place"
    check_everything(cloud, second, version=2)

    assert cloud.delete("all") == "DELETE_COMPLETE"
    check_nothing_left(cloud, second)


def failures(cloud: Cloud, name: str) -> list[Any]:
    return [event for event in cloud.events(name) if "FAILED" in event[1] or "ROLLBACK" in event[1]]


def check_references(outputs: dict[str, str], version: int) -> None:
    """Ref and Fn::GetAtt give what the template reference documents for each type."""
    function = outputs["RefFunction"]
    assert outputs["RefRole"] == "all-role"
    assert outputs["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/deployed/all-role"
    assert outputs["RefManaged"] == outputs["ManagedPolicyArn"]
    assert outputs["RefKey"] == outputs["KeyKeyId"]
    assert outputs["KeyArn"] == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{outputs['RefKey']}"
    assert outputs["RefKeyAlias"] == "alias/all"
    assert outputs["BucketArn"] == f"arn:aws:s3:::{outputs['RefBucket']}"
    assert outputs["BucketDomainName"] == f"{outputs['RefBucket']}.s3.amazonaws.com"
    assert outputs["RefQueue"] == outputs["QueueQueueUrl"]
    assert outputs["RefQueue"].endswith(f"/{ACCOUNT}/all-queue")
    assert outputs["QueueArn"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:all-queue"
    assert (
        outputs["RefTopic"] == outputs["TopicTopicArn"] == f"arn:aws:sns:{REGION}:{ACCOUNT}:{outputs['TopicTopicName']}"
    )
    assert outputs["TableArn"] == f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{outputs['RefTable']}"
    assert outputs["GroupArn"] == f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/all/group:*"
    assert outputs["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
    assert outputs[f"RefVersion{version}"] == f"{outputs['FunctionArn']}:{version}"
    assert outputs["RefLive"] == outputs["LiveAliasArn"] == f"{outputs['FunctionArn']}:live"
    assert outputs["RefMapping"] == outputs["MappingId"]
    assert outputs["RefBus"] == outputs["BusName"] == "all-bus"
    assert outputs["BusArn"] == f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/all-bus"
    bus, rule = outputs["RefRule"].split("|")
    assert (bus, outputs["RuleArn"]) == ("all-bus", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/all-bus/{rule}")
    assert outputs["ScheduleArn"] == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{outputs['RefSchedule']}"
    assert outputs["RefMachine"] == outputs["MachineArn"]
    assert outputs["RefMachine"].endswith(f":stateMachine:{outputs['MachineName']}")
    assert outputs["RefWorkGroup"] == "all-work"
    assert outputs["AlarmArn"] == f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{outputs['RefAlarm']}"
    assert (outputs["RefThing"], outputs["ThingGreeting"]) == ("thing", f"hello v{version}")


def check_everything(cloud: Cloud, outputs: dict[str, str], version: int) -> None:
    """Each service itself says that the resource is as the template wants it."""
    iam, s3, sqs, sns = cloud.client("iam"), cloud.client("s3"), cloud.client("sqs"), cloud.client("sns")
    later = version == 2
    role = iam.get_role(RoleName="all-role")["Role"]
    assert role["Description"] == f"version {version}"
    assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == {"version": str(version), "owner": "me"}
    assert sorted(iam.list_role_policies(RoleName="all-role")["PolicyNames"]) == ["added", f"inline-{version}"]
    attached = iam.list_attached_role_policies(RoleName="all-role")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == ([outputs["RefManaged"]] if later else [])
    default = iam.get_policy(PolicyArn=outputs["RefManaged"])["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=outputs["RefManaged"], VersionId=default)["PolicyVersion"]["Document"]
    assert document["Id"] == str(version)
    assert cloud.client("kms").get_key_rotation_status(KeyId=outputs["RefKey"])["KeyRotationEnabled"] is later

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

    dynamodb = cloud.client("dynamodb")
    table = dynamodb.describe_table(TableName=outputs["RefTable"])["Table"]
    assert len(table.get("GlobalSecondaryIndexes", [])) == version - 1
    backups = dynamodb.describe_continuous_backups(TableName=outputs["RefTable"])["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    assert recovery == ("ENABLED" if later else "DISABLED")
    (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/all/group")["logGroups"]
    assert group.get("retentionInDays") == (14 if later else None)

    functions = cloud.client("lambda")
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

    events = cloud.client("events")
    assert "222222222222" in events.describe_event_bus(Name="all-bus")["Policy"]
    name = outputs["RefRule"].split("|")[1]
    described = events.describe_rule(Name=name, EventBusName="all-bus")
    assert json.loads(described["EventPattern"]) == {"source": [f"v{version}"]}
    targets = events.list_targets_by_rule(Rule=name, EventBusName="all-bus")["Targets"]
    assert [(each["Id"], each["Input"]) for each in targets] == [(f"t{version}", '{"a": 1}')]
    schedule = cloud.client("scheduler").get_schedule(Name=outputs["RefSchedule"])
    assert schedule["ScheduleExpression"] == ("rate(2 hours)" if later else "rate(1 hour)")
    machine = cloud.client("stepfunctions").describe_state_machine(stateMachineArn=outputs["RefMachine"])
    assert json.loads(machine["definition"])["States"]["A"]["Result"] == f"version {version}"

    group = cloud.client("athena").get_work_group(WorkGroup="all-work")["WorkGroup"]
    location = group["Configuration"]["ResultConfiguration"]["OutputLocation"]
    assert (group["Description"], location.rstrip("/")) == (f"v{version}", f"s3://{bucket}/v{version}")
    admins = cloud.client("lakeformation").get_data_lake_settings()["DataLakeSettings"]["DataLakeAdmins"]
    assert {"DataLakePrincipalIdentifier": outputs["RoleArn"]} in admins
    (alarm,) = cloud.client("cloudwatch").describe_alarms(AlarmNames=[outputs["RefAlarm"]])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["AlarmActions"]) == (version, [outputs["RefTopic"]])
    dashboard = cloud.client("cloudwatch").get_dashboard(DashboardName=outputs["RefDashboard"])
    assert ("auto" in dashboard["DashboardBody"]) is later


def check_nothing_left(cloud: Cloud, outputs: dict[str, str]) -> None:
    roles = {each["RoleName"] for each in cloud.client("iam").list_roles()["Roles"]}
    assert not {outputs["RefRole"], outputs["RefMachineRole"], outputs["RefScheduleRole"]} & roles
    assert outputs["RefBucket"] not in [each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]]
    assert outputs["RefQueue"] not in cloud.client("sqs").list_queues().get("QueueUrls", [])
    assert outputs["RefTable"] not in cloud.client("dynamodb").list_tables()["TableNames"]
    names = [each["FunctionName"] for each in cloud.client("lambda").list_functions()["Functions"]]
    assert outputs["RefFunction"] not in names
    assert cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    assert cloud.client("sns").list_topics()["Topics"] == []
    assert "all-bus" not in [each["Name"] for each in cloud.client("events").list_event_buses()["EventBuses"]]
    assert cloud.client("scheduler").list_schedules()["Schedules"] == []
    assert cloud.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert "all-work" not in [each["Name"] for each in cloud.client("athena").list_work_groups()["WorkGroups"]]
    settings = cloud.client("lakeformation").get_data_lake_settings()["DataLakeSettings"]
    assert outputs["RoleArn"] not in [each["DataLakePrincipalIdentifier"] for each in settings["DataLakeAdmins"]]
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    key = cloud.client("kms").describe_key(KeyId=outputs["RefKey"])["KeyMetadata"]
    assert key["KeyState"] == "PendingDeletion"


# -- updates and rollbacks


def test_a_change_that_replaces_makes_the_new_one_before_the_old_one_goes(cloud: Cloud) -> None:
    template = {
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "old-name"}},
            "Group": log_group(LogGroupName={"Fn::Sub": "/of/${Queue.QueueName}"}),
        }
    }
    cloud.create("replaces", template)
    template["Resources"]["Queue"]["Properties"]["QueueName"] = "new-name"
    assert cloud.update("replaces", template)["StackStatus"] == "UPDATE_COMPLETE"
    steps = [(name, status) for name, status, _ in cloud.events("replaces")]
    assert steps.index(("Queue", "UPDATE_COMPLETE")) < steps.index(("Queue", "DELETE_IN_PROGRESS"))
    urls = " ".join(cloud.client("sqs").list_queues()["QueueUrls"])
    assert "new-name" in urls
    assert "old-name" not in urls
    assert cloud.physical("replaces")["Group"] == "/of/new-name"


def test_a_custom_named_resource_is_not_replaced_by_one_of_the_same_name(cloud: Cloud) -> None:
    role = {"AssumeRolePolicyDocument": TRUST_LAMBDA, "RoleName": "same-name", "Path": "/a/"}
    template = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": role}}}
    cloud.create("same", template, Capabilities=NAMED)
    role["Path"] = "/b/"
    assert cloud.update("same", template, Capabilities=NAMED)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert any("Rename same-name and update the stack again" in why for _, _, why in cloud.events("same"))
    assert cloud.client("iam").get_role(RoleName="same-name")["Role"]["Path"] == "/a/"


def taken(name: str) -> dict:
    """A queue that cannot be made, after `name` was: its name is taken."""
    return {"Type": "AWS::SQS::Queue", "DependsOn": name, "Properties": {"QueueName": "taken"}}


@pytest.fixture(scope="module")
def taken_queue(cloud: Cloud) -> None:
    cloud.client("sqs").create_queue(QueueName="taken")


def test_a_creation_that_fails_takes_everything_back(cloud: Cloud, taken_queue: None) -> None:
    template = {"Resources": {"Group": log_group(LogGroupName="/taken/back"), "Queue": taken("Group")}}
    stack = cloud.create("back", template)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert cloud.client("logs").describe_log_groups(logGroupNamePrefix="/taken/back")["logGroups"] == []
    events = cloud.events("back")
    assert any(
        name == "Queue" and status == "CREATE_FAILED" and "already exists" in why for name, status, why in events
    )
    assert ("Group", "DELETE_COMPLETE", "") in events
    message = refused(cloud.stacks.update_stack, StackName="back", TemplateBody=json.dumps(template))
    assert "ROLLBACK_COMPLETE state and can not be updated" in message
    assert cloud.delete("back") == "DELETE_COMPLETE"
    assert cloud.client("sqs").get_queue_url(QueueName="taken"), "what the stack did not make stays"


def test_without_rollback_what_was_made_stays(cloud: Cloud, taken_queue: None) -> None:
    template = {"Resources": {"Group": log_group(LogGroupName="/stays"), "Queue": taken("Group")}}
    stack = cloud.create("stays", template, DisableRollback=True)
    assert stack["StackStatus"] == "CREATE_FAILED"
    assert cloud.client("logs").describe_log_groups(logGroupNamePrefix="/stays")["logGroups"]
    template["Resources"]["Queue"]["Properties"]["QueueName"] = "free"
    assert cloud.update("stays", template)["StackStatus"] == "UPDATE_COMPLETE"
    assert cloud.physical("stays")["Queue"].endswith("/free")


def test_an_update_that_fails_leaves_the_stack_as_it_was(cloud: Cloud, taken_queue: None) -> None:
    template = {
        "Resources": {
            "Group": log_group(LogGroupName="/as/it/was", RetentionInDays=1),
            "Moves": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "stays-here"}},
        },
        "Outputs": {"Days": {"Value": "1"}},
    }
    cloud.create("was", template)
    changed = json.loads(json.dumps(template))
    changed["Resources"]["Group"]["Properties"]["RetentionInDays"] = 30
    changed["Resources"]["Moves"]["Properties"]["QueueName"] = "goes-there"
    changed["Resources"] |= {"Added": {**log_group(LogGroupName="/added")}, "Queue": taken("Added")}
    changed["Resources"]["Added"]["DependsOn"] = ["Group", "Moves"]
    changed["Outputs"]["Days"]["Value"] = "30"
    stack = cloud.update("was", changed)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/as/it/was")["logGroups"]
    assert group["retentionInDays"] == 1
    assert cloud.client("logs").describe_log_groups(logGroupNamePrefix="/added")["logGroups"] == []
    urls = " ".join(cloud.client("sqs").list_queues()["QueueUrls"])
    assert "stays-here" in urls
    assert "goes-there" not in urls
    assert cloud.outputs("was") == {"Days": "1"}
    assert set(cloud.physical("was")) == {"Group", "Moves"}
    changed["Resources"]["Queue"]["Properties"]["QueueName"] = "free-now"
    assert cloud.update("was", changed)["StackStatus"] == "UPDATE_COMPLETE"


def test_retained_resources_outlive_their_stack(cloud: Cloud) -> None:
    template = {
        "Resources": {
            "Kept": {**log_group(LogGroupName="/kept"), "DeletionPolicy": "Retain"},
            "Gone": log_group(LogGroupName="/gone"),
        }
    }
    cloud.create("retains", template)
    assert cloud.delete("retains") == "DELETE_COMPLETE"
    names = [each["logGroupName"] for each in cloud.client("logs").describe_log_groups()["logGroups"]]
    assert "/kept" in names
    assert "/gone" not in names


def test_a_stack_that_cannot_be_deleted_says_why_and_can_retain(cloud: Cloud) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "full-bucket"}}
    cloud.create("full", {"Resources": {"Bucket": bucket, "Group": log_group()}})
    cloud.client("s3").put_object(Bucket="full-bucket", Key="k", Body=b"x")
    assert cloud.delete("full") == "DELETE_FAILED"
    assert any(name == "Bucket" and "BucketNotEmpty" in why for name, _, why in cloud.events("full"))
    cloud.stacks.delete_stack(StackName="full", RetainResources=["Bucket"])
    assert "does not exist" in refused(cloud.stacks.describe_stacks, StackName="full")
    assert cloud.client("s3").head_bucket(Bucket="full-bucket")


def test_what_is_deployed_is_deployed_with_the_callers_permissions(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="deployer", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    allowed = {"Effect": "Allow", "Action": ["cloudformation:*", "logs:*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="deployer", PolicyName="allowed", PolicyDocument=document)
    stacks = cloud.aws.session(ACCOUNT, "deployer").client("cloudformation")
    template = {"Resources": {"Group": log_group(), "Queue": {"Type": "AWS::SQS::Queue", "DependsOn": "Group"}}}
    stacks.create_stack(StackName="limited", TemplateBody=json.dumps(template))
    assert cloud.settled("limited")["StackStatus"] == "ROLLBACK_COMPLETE"
    (why,) = [why for name, status, why in cloud.events("limited") if status == "CREATE_FAILED"]
    assert "is not authorized to perform: sqs:CreateQueue" in why


# -- custom resources

TOKEN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:custom"


def thing(**properties: Any) -> dict:
    return {
        "Resources": {"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": TOKEN, **properties}}},
        "Outputs": {"Greeting": {"Value": {"Fn::GetAtt": ["Thing", "Greeting"]}}, "Id": {"Value": {"Ref": "Thing"}}},
    }


def test_a_custom_resource_is_asked_as_documented(cloud: Cloud) -> None:
    cloud.create("asked", thing(Name="a", Number=3, Flag=True, Nested={"List": [1, "x"]}))
    assert cloud.outputs("asked") == {"Greeting": "hello a", "Id": "thing"}
    cloud.update("asked", thing(Name="b"))
    assert cloud.outputs("asked")["Greeting"] == "hello b"
    assert cloud.delete("asked") == "DELETE_COMPLETE"
    create, update, delete = cloud.requests("asked")
    assert [each["RequestType"] for each in (create, update, delete)] == ["Create", "Update", "Delete"]
    assert create["ResourceProperties"] == {
        "ServiceToken": TOKEN,
        "Name": "a",
        "Number": "3",
        "Flag": "true",
        "Nested": {"List": ["1", "x"]},
    }
    assert (create["ResourceType"], create["LogicalResourceId"]) == ("Custom::Thing", "Thing")
    assert "PhysicalResourceId" not in create
    assert update["OldResourceProperties"] == create["ResourceProperties"]
    assert update["PhysicalResourceId"] == delete["PhysicalResourceId"] == "thing"
    assert delete["ResourceProperties"] == {"ServiceToken": TOKEN, "Name": "b"}
    assert len({each["RequestId"] for each in (create, update, delete)}) == 3


def test_a_new_physical_id_has_the_old_one_deleted(cloud: Cloud) -> None:
    cloud.create("moves", thing(Id="one"))
    cloud.update("moves", thing(Id="two"))
    assert [(each["RequestType"], each.get("PhysicalResourceId")) for each in cloud.requests("moves")] == [
        ("Create", None),
        ("Update", "one"),
        ("Delete", "one"),
    ]
    assert cloud.outputs("moves")["Id"] == "two"


def test_a_custom_resource_that_fails_is_deleted_and_its_reason_shown(cloud: Cloud) -> None:
    stack = cloud.create("broken", thing(FailOn="Create", Id="half-made"))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("Message returned: as asked" in why for _, _, why in cloud.events("broken"))
    assert [(each["RequestType"], each.get("PhysicalResourceId")) for each in cloud.requests("broken")] == [
        ("Create", None),
        ("Delete", "half-made"),
    ]


def test_a_failed_update_of_a_custom_resource_is_taken_back(cloud: Cloud) -> None:
    cloud.create("unbroken", thing(Name="a"))
    assert cloud.update("unbroken", thing(Name="b", FailOn="Update"))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    last = cloud.requests("unbroken")[-1]
    assert (last["RequestType"], last["ResourceProperties"]["Name"]) == ("Update", "a")
    assert cloud.outputs("unbroken")["Greeting"] == "hello a"


def test_a_function_that_never_answers_fails_the_resource(cloud: Cloud) -> None:
    crashed = cloud.create("crashed", thing(Crash=True))
    assert crashed["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("RuntimeError" in why for _, _, why in cloud.events("crashed"))
    began = time.monotonic()
    cloud.create("silent", thing(Silent=True, ServiceTimeout=1), DisableRollback=True)
    assert time.monotonic() - began < 8
    assert any("did not receive a response" in why for _, _, why in cloud.events("silent"))


# -- change sets, exports, the rest of the API


def test_a_change_set_shows_what_it_will_do_and_does_it(cloud: Cloud) -> None:
    template = {
        "Resources": {
            "Same": log_group(LogGroupName="/set/same"),
            "Changes": log_group(LogGroupName="/set/changes"),
            "Moves": log_group(LogGroupName="/set/moves"),
            "Goes": log_group(LogGroupName="/set/goes"),
        }
    }
    stacks = cloud.stacks
    made = stacks.create_change_set(
        StackName="set", ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=json.dumps(template)
    )
    (stack,) = stacks.describe_stacks(StackName="set")["Stacks"]
    assert stack["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert cloud.client("logs").describe_log_groups(logGroupNamePrefix="/set/")["logGroups"] == []
    assert stacks.describe_change_set(ChangeSetName=made["Id"])["Status"] == "CREATE_COMPLETE"
    stacks.execute_change_set(StackName="set", ChangeSetName="first")
    assert cloud.settled("set")["StackStatus"] == "CREATE_COMPLETE"

    resources = template["Resources"]
    resources["Changes"]["Properties"]["RetentionInDays"] = 3
    resources["Moves"]["Properties"]["LogGroupName"] = "/set/moved"
    resources["New"] = log_group(LogGroupName="/set/new")
    del resources["Goes"]
    stacks.create_change_set(StackName="set", ChangeSetName="second", TemplateBody=json.dumps(template))
    changes = stacks.describe_change_set(StackName="set", ChangeSetName="second")["Changes"]
    shown = {
        each["LogicalResourceId"]: (each["Action"], each.get("Replacement"))
        for each in (change["ResourceChange"] for change in changes)
    }
    assert shown == {
        "Changes": ("Modify", "False"),
        "Moves": ("Modify", "True"),
        "New": ("Add", None),
        "Goes": ("Remove", None),
    }
    stacks.execute_change_set(StackName="set", ChangeSetName="second")
    assert cloud.settled("set")["StackStatus"] == "UPDATE_COMPLETE"
    names = {
        each["logGroupName"]
        for each in cloud.client("logs").describe_log_groups(logGroupNamePrefix="/set/")["logGroups"]
    }
    assert names == {"/set/same", "/set/changes", "/set/moved", "/set/new"}

    stacks.create_change_set(StackName="set", ChangeSetName="third", TemplateBody=json.dumps(template))
    empty = stacks.describe_change_set(StackName="set", ChangeSetName="third")
    assert (empty["Status"], empty["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in empty["StatusReason"]
    assert "No updates are to be performed" in refused(
        stacks.update_stack, StackName="set", TemplateBody=json.dumps(template)
    )
    stacks.delete_change_set(StackName="set", ChangeSetName="third")
    (executed,) = stacks.list_change_sets(StackName="set")["Summaries"]
    assert (executed["ChangeSetName"], executed["ExecutionStatus"]) == ("second", "EXECUTE_COMPLETE")


def test_a_stack_is_described_to_tools(cloud: Cloud) -> None:
    template = {
        "Description": "what it is",
        "Parameters": {"Days": {"Type": "Number", "Default": 3, "AllowedValues": [1, 3], "Description": "how long"}},
        "Resources": {"G": {**log_group(LogGroupName="/told"), "Metadata": {"Note": "mine"}}},
        "Outputs": {"Name": {"Value": {"Ref": "G"}, "Export": {"Name": "told"}, "Description": "the group"}},
    }
    cloud.create("told", template, Tags=[{"Key": "owner", "Value": "me"}])
    stacks = cloud.stacks
    (stack,) = stacks.describe_stacks(StackName="told")["Stacks"]
    assert (stack["Description"], stack["Tags"]) == ("what it is", [{"Key": "owner", "Value": "me"}])
    assert stack["Outputs"] == [
        {"OutputKey": "Name", "OutputValue": "/told", "Description": "the group", "ExportName": "told"}
    ]
    assert "told" in [each["StackName"] for each in stacks.list_stacks()["StackSummaries"]]
    deleted = stacks.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert {each["StackStatus"] for each in deleted} <= {"DELETE_COMPLETE"}
    detail = stacks.describe_stack_resource(StackName="told", LogicalResourceId="G")["StackResourceDetail"]
    assert (detail["PhysicalResourceId"], json.loads(detail["Metadata"])) == ("/told", {"Note": "mine"})
    (found,) = stacks.describe_stack_resources(PhysicalResourceId="/told")["StackResources"]
    assert (found["StackName"], found["LogicalResourceId"]) == ("told", "G")
    assert {"Name": "told", "Value": "/told"}.items() <= stacks.list_exports()["Exports"][-1].items()
    summary = stacks.get_template_summary(StackName="told")
    (parameter,) = summary["Parameters"]
    assert (parameter["ParameterType"], parameter["DefaultValue"]) == ("Number", "3")
    assert parameter["ParameterConstraints"] == {"AllowedValues": ["1", "3"]}
    assert summary["ResourceTypes"] == ["AWS::Logs::LogGroup"]
    assert cloud.client("logs").list_tags_log_group(logGroupName="/told")["tags"] == {"owner": "me"}


def test_a_template_is_read_from_s3_however_its_url_is_spelt(cloud: Cloud) -> None:
    cloud.put("template.json", json.dumps({"Resources": {"G": log_group()}, "Description": "stored"}).encode())
    for url in (
        f"{cloud.aws.endpoint}/artifacts/template.json",
        f"https://s3.{REGION}.amazonaws.com/artifacts/template.json",
        f"https://artifacts.s3.{REGION}.amazonaws.com/template.json",
    ):
        assert cloud.stacks.validate_template(TemplateURL=url)["Description"] == "stored"
    cloud.stacks.create_stack(StackName="by-url", TemplateURL=url)
    assert cloud.settled("by-url")["StackStatus"] == "CREATE_COMPLETE"
    assert cloud.stacks.get_template(StackName="by-url")["TemplateBody"]["Description"] == "stored"
    message = refused(cloud.stacks.create_stack, StackName="lost", TemplateURL=url.replace("template", "none"))
    assert "S3 error" in message


def test_a_protected_stack_is_not_deleted(cloud: Cloud) -> None:
    cloud.create("protected", {"Resources": {"G": log_group()}}, EnableTerminationProtection=True)
    assert "TerminationProtection is enabled" in refused(cloud.stacks.delete_stack, StackName="protected")


def test_stacks_belong_to_their_account_and_region(cloud: Cloud) -> None:
    cloud.create("here", {"Resources": {"G": log_group(LogGroupName="/here")}})
    for session in (cloud.aws.session("222222222222"), cloud.aws.session(ACCOUNT, region="us-east-1")):
        stacks = session.client("cloudformation")
        assert "does not exist" in refused(stacks.describe_stacks, StackName="here")
        stacks.create_stack(
            StackName="here", TemplateBody=json.dumps({"Resources": {"G": log_group(LogGroupName="/here")}})
        )
        assert stacks.describe_stacks(StackName="here")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def test_sixty_resources_take_a_moment(cloud: Cloud) -> None:
    groups = {f"G{n}": log_group(LogGroupName=f"/many/{n}", RetentionInDays=7) for n in range(30)}
    queues = {f"Q{n}": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"many-{n}"}} for n in range(30)}
    began = time.monotonic()
    assert cloud.create("many", {"Resources": groups | queues})["StackStatus"] == "CREATE_COMPLETE"
    assert time.monotonic() - began < 5, "1 s on an idle machine"
    assert len(cloud.stacks.list_stack_resources(StackName="many")["StackResourceSummaries"]) == 60


# -- SAM

SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Stage: {Type: String, Default: dev}}
Globals:
  Function: {Runtime: PYTHON, Timeout: 10, CodeUri: s3://artifacts/sam.zip}
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Take:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${Stage}-take"
      Handler: app.handler
      AutoPublishAlias: live
      Policies: [AWSLambdaBasicExecutionRole, {SQSSendMessagePolicy: {QueueName: !GetAtt Queue.QueueName}}]
      Events: {Messages: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: s3://artifacts/machine.asl.json
      DefinitionSubstitutions: {Take: !Ref Take.Alias}
      Policies: [{LambdaInvokePolicy: {FunctionName: !Ref Take}}]
Outputs:
  Machine: {Value: !Ref Machine}
  Queue: {Value: !Ref Queue}
""".replace("PYTHON", PYTHON)


def test_a_serverless_template_runs(cloud: Cloud) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(
            "app.py", "def handler(event, context):\n    print('took', len(event['Records']))\n    return 'taken'"
        )
    cloud.put("sam.zip", content.getvalue())
    task = {"Type": "Task", "Resource": "${Take}", "End": True}
    cloud.put("machine.asl.json", json.dumps({"StartAt": "Take", "States": {"Take": task}}).encode())
    stacks = cloud.stacks
    options = {"StackName": "sam", "TemplateBody": SAM, "Capabilities": ["CAPABILITY_IAM"]}
    stacks.create_change_set(ChangeSetName="c", ChangeSetType="CREATE", **options)
    stacks.execute_change_set(StackName="sam", ChangeSetName="c")
    assert cloud.settled("sam")["StackStatus"] == "CREATE_COMPLETE", failures(cloud, "sam")
    outputs = cloud.outputs("sam")
    cloud.client("sqs").send_message(QueueUrl=outputs["Queue"], MessageBody="m")
    cloud.aws.world.wait_idle(20)
    logs = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/dev-take")["events"]
    assert "took 1\n" in [each["message"] for each in logs]
    states = cloud.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=outputs["Machine"], input='{"Records": []}')["executionArn"]
    cloud.aws.world.wait_idle(20)
    described = states.describe_execution(executionArn=execution)
    assert (described["status"], described.get("output")) == ("SUCCEEDED", '"taken"'), described.get("cause")
    processed = stacks.get_template(StackName="sam", TemplateStage="Processed")["TemplateBody"]
    assert processed["Resources"]["Take"]["Type"] == "AWS::Lambda::Function"
    assert "AWS::Serverless::Function" in json.dumps(stacks.get_template(StackName="sam")["TemplateBody"])
    stacks.delete_stack(StackName="sam")


def test_a_deployed_function_is_started_before_it_is_called(cloud: Cloud) -> None:
    code = {"S3Bucket": "artifacts", "S3Key": "code.zip"}
    settings = {"Code": code, "Runtime": PYTHON, "Handler": "app.handler", "Role": cloud.role}
    function = {"Type": "AWS::Lambda::Function", "Properties": {**settings, "FunctionName": "ready"}}
    cloud.create("ready", {"Resources": {"Ready": function}})
    pool = cloud.aws.world.engines["lambda"].runner.pool
    deadline = time.monotonic() + 10
    while not any(launch.name == "ready" and idle for launch, idle in pool._idle.items()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_serverless_template_with_a_mistake_makes_a_failed_change_set(cloud: Cloud) -> None:
    mistaken = SAM.replace("Handler: app.handler", "Handlr: app.handler")
    cloud.stacks.create_change_set(
        StackName="mistaken",
        ChangeSetName="c",
        ChangeSetType="CREATE",
        TemplateBody=mistaken,
        Capabilities=["CAPABILITY_IAM"],
    )
    shown = cloud.stacks.describe_change_set(StackName="mistaken", ChangeSetName="c")
    assert shown["Status"] == "FAILED"
    assert shown["StatusReason"].startswith("Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless")
    assert "Handlr" in shown["StatusReason"]
    assert "CAPABILITY_AUTO_EXPAND" in refused(
        cloud.stacks.create_stack, StackName="direct", TemplateBody=SAM, Capabilities=["CAPABILITY_IAM"]
    )
