"""CloudFormation and Lambda: the properties and parameters that templates seldom give reach their service."""

import json

import pytest
from functions_lab import MACHINE, PYTHON, Functions, package, role_for
from stacks import Stack, body, given, make, queue


def of(kind, **properties):
    return {"Type": kind, "Properties": properties}


def trust(service):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "logs:*"], "Resource": "*"}]}
STORED = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "${Said}", "End": True}}}


def deploy(lab, resources):
    capable = {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
    stack = make(lab, {"Resources": resources}, **capable)
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    return stack


@pytest.mark.statement("cloudformation.types")
def test_queues_topics_and_log_groups(lab):
    stack = deploy(
        lab,
        {
            "Q": queue(MessageRetentionPeriod=600, ReceiveMessageWaitTimeSeconds=2),
            "Fifo": queue(FifoQueue=True, ContentBasedDeduplication=True),
            "T": of("AWS::SNS::Topic", Subscription=[{"Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["Q", "Arn"]}}]),
            "S": of(
                "AWS::SNS::Subscription",
                TopicArn={"Ref": "T"},
                Protocol="email",
                Endpoint="on-call@example.com",
                FilterPolicy={"a": ["b"]},
                FilterPolicyScope="MessageAttributes",
            ),
        },
    )
    sqs, made = lab.client("sqs", "central"), stack.physical()
    attributes = sqs.get_queue_attributes(QueueUrl=made["Q"], AttributeNames=["All"])["Attributes"]
    assert (attributes["MessageRetentionPeriod"], attributes["ReceiveMessageWaitTimeSeconds"]) == ("600", "2")
    assert made["Fifo"].endswith(".fifo")
    subscriptions = lab.client("sns", "central").list_subscriptions_by_topic(TopicArn=made["T"])["Subscriptions"]
    assert {each["Protocol"] for each in subscriptions} == {"sqs", "email"}


@pytest.mark.statement("cloudformation.types")
def test_roles_and_policies(lab):
    boundary = of("AWS::IAM::ManagedPolicy", PolicyDocument=ALLOW, Description="d", Path="/p/")
    stack = deploy(
        lab,
        {
            "Boundary": boundary,
            "R": of(
                "AWS::IAM::Role",
                AssumeRolePolicyDocument=trust("lambda.amazonaws.com"),
                MaxSessionDuration=7200,
                PermissionsBoundary={"Ref": "Boundary"},
            ),
            "M": of(
                "AWS::IAM::ManagedPolicy",
                ManagedPolicyName=lab.name("policy", "-"),
                PolicyDocument=ALLOW,
                Roles=[{"Ref": "R"}],
            ),
        },
    )
    iam, made = lab.client("iam", "central"), stack.physical()
    role = iam.get_role(RoleName=made["R"])["Role"]
    assert (role["MaxSessionDuration"], role["PermissionsBoundary"]["PermissionsBoundaryArn"]) == (
        7200,
        made["Boundary"],
    )
    attached = iam.list_attached_role_policies(RoleName=made["R"])["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == [made["M"]]


@pytest.mark.statement("cloudformation.types")
def test_rules_and_alarms(lab):
    q = {"Fn::GetAtt": ["Q", "Arn"]}
    transformer = {"InputPathsMap": {"d": "$.detail"}, "InputTemplate": "<d>"}
    retry = {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60}
    metric = {
        "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 2, "Threshold": 1, "Namespace": "N",
        "MetricName": "M", "Period": 60,
    }  # fmt: skip
    stack = deploy(
        lab,
        {
            "Q": queue(),
            "Bus": of("AWS::Events::EventBus", Name=lab.name("bus", "-"), Description="d"),
            "Pattern": of(
                "AWS::Events::Rule",
                Description="d",
                EventPattern={"source": ["s"]},
                Targets=[
                    {
                        "Id": "a",
                        "Arn": q,
                        "InputPath": "$.detail",
                        "RetryPolicy": retry,
                        "DeadLetterConfig": {"Arn": q},
                    },
                    {"Id": "b", "Arn": q, "InputTransformer": transformer},
                ],
            ),
            "Schedule": of("AWS::Events::Rule", ScheduleExpression="rate(1 day)", State="DISABLED"),
            "A": of(
                "AWS::CloudWatch::Alarm",
                **metric,
                AlarmDescription="d",
                ActionsEnabled=False,
                Statistic="Sum",
                DatapointsToAlarm=1,
                TreatMissingData="notBreaching",
                Unit="Count",
            ),
        },
    )
    made = stack.physical()
    events = lab.client("events", "central")
    targets = {each["Id"]: each for each in events.list_targets_by_rule(Rule=made["Pattern"])["Targets"]}
    assert (targets["a"]["InputPath"], targets["a"]["RetryPolicy"]) == ("$.detail", retry)
    assert targets["b"]["InputTransformer"] == transformer
    rule = events.describe_rule(Name=made["Schedule"])
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 day)", "DISABLED")
    (alarm,) = lab.client("cloudwatch", "central").describe_alarms(AlarmNames=[made["A"]])["MetricAlarms"]
    assert (alarm["TreatMissingData"], alarm["DatapointsToAlarm"], alarm["Unit"]) == ("notBreaching", 1, "Count")


@pytest.mark.statement("cloudformation.types")
def test_buckets_rules_of_life_and_state_machines(lab):
    bucket = lab.bucket("central")
    lab.put("central", bucket, "machine.json", json.dumps(STORED))
    life = [
        {
            "Id": "a", "Status": "Enabled", "Prefix": "p/", "ExpirationInDays": 1,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        },
    ]  # fmt: skip
    common = {"RoleArn": {"Fn::GetAtt": ["R", "Arn"]}, "DefinitionSubstitutions": {"Said": "yes"}}
    stack = deploy(
        lab,
        {
            "B": of("AWS::S3::Bucket", LifecycleConfiguration={"Rules": life}),
            "R": of("AWS::IAM::Role", AssumeRolePolicyDocument=trust("states.amazonaws.com")),
            "Object": of(
                "AWS::StepFunctions::StateMachine",
                **common,
                StateMachineName=lab.name("machine", "-"),
                StateMachineType="STANDARD",
                Definition=STORED,
                TracingConfiguration={"Enabled": False},
            ),
            "Stored": of(
                "AWS::StepFunctions::StateMachine",
                **common,
                DefinitionS3Location={"Bucket": bucket, "Key": "machine.json"},
            ),
        },
    )
    made = stack.physical()
    (rule,) = lab.client("s3", "central").get_bucket_lifecycle_configuration(Bucket=made["B"])["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 3}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    for each in ("Object", "Stored"):
        described = lab.client("stepfunctions", "central").describe_state_machine(stateMachineArn=made[each])
        assert json.loads(described["definition"])["States"]["A"]["Result"] == "yes"


@pytest.mark.statement("cloudformation.types")
def test_functions_with_all_their_settings(lab):
    bucket = lab.bucket("central")
    lab.put("central", bucket, "code.zip", package("def handler(event, context): return 1"))
    q = {"Fn::GetAtt": ["Q", "Arn"]}
    stack = deploy(
        lab,
        {
            "Q": queue(),
            "R": of(
                "AWS::IAM::Role",
                AssumeRolePolicyDocument=trust("lambda.amazonaws.com"),
                Policies=[{"PolicyName": "p", "PolicyDocument": ALLOW}],
            ),
            "F": of(
                "AWS::Lambda::Function",
                FunctionName=lab.name("fn", "-"),
                Description="d",
                Code={"S3Bucket": bucket, "S3Key": "code.zip"},
                Runtime=PYTHON,
                Handler="app.handler",
                Architectures=[MACHINE],
                Role={"Fn::GetAtt": ["R", "Arn"]},
                MemorySize=256,
                EphemeralStorage={"Size": 600},
                TracingConfig={"Mode": "Active"},
                ReservedConcurrentExecutions=5,
                DeadLetterConfig={"TargetArn": q},
            ),
            "V": of("AWS::Lambda::Version", FunctionName={"Ref": "F"}, Description="one"),
            "A": of(
                "AWS::Lambda::Alias",
                FunctionName={"Ref": "F"},
                Name="live",
                FunctionVersion={"Fn::GetAtt": ["V", "Version"]},
                Description="in use",
            ),
            "P": of(
                "AWS::Lambda::Permission",
                FunctionName={"Ref": "F"},
                Action="lambda:InvokeFunction",
                Principal="s3.amazonaws.com",
                SourceAccount={"Ref": "AWS::AccountId"},
            ),
            "M": of(
                "AWS::Lambda::EventSourceMapping",
                FunctionName={"Ref": "A"},
                EventSourceArn=q,
                Enabled=False,
                BatchSize=20,
                MaximumBatchingWindowInSeconds=5,
                ScalingConfig={"MaximumConcurrency": 3},
            ),
            "C": of(
                "AWS::Lambda::EventInvokeConfig",
                FunctionName={"Ref": "F"},
                Qualifier="$LATEST",
                MaximumEventAgeInSeconds=90,
                DestinationConfig={"OnFailure": {"Destination": q}},
            ),
        },
    )
    client, made = lab.client("lambda", "central"), stack.physical()
    found = client.get_function(FunctionName=made["F"])
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    assert (found["Configuration"]["MemorySize"], found["Configuration"]["EphemeralStorage"]) == (256, {"Size": 600})
    mapping = client.get_event_source_mapping(UUID=made["M"])
    assert (mapping["State"], mapping["ScalingConfig"]) == ("Disabled", {"MaximumConcurrency": 3})
    config = client.get_function_event_invoke_config(FunctionName=made["F"], Qualifier="$LATEST")
    assert config["MaximumEventAgeInSeconds"] == 90


@pytest.mark.statement("cloudformation.template-url", "cloudformation.change-set")
def test_stacks_and_change_sets_from_s3_with_parameters_and_tags(lab):
    bucket = lab.bucket("central")
    template = {
        "Parameters": {"Seconds": {"Type": "Number"}},
        "Resources": {"Q": queue(VisibilityTimeout={"Ref": "Seconds"})},
    }
    lab.put("central", bucket, "t.json", body(template))
    url = f"https://{bucket}.s3.{lab.region}.amazonaws.com/t.json"
    stack = Stack(lab, lab.name("stored", "-"), "central")
    cloudformation = stack.cloudformation
    assert cloudformation.get_template_summary(TemplateURL=url)["ResourceTypes"] == ["AWS::SQS::Queue"]
    assert cloudformation.get_template_summary(TemplateBody=body(template))["ResourceTypes"] == ["AWS::SQS::Queue"]
    tags = [{"Key": "a", "Value": "b"}]
    cloudformation.create_stack(
        StackName=stack.name, TemplateURL=url, Parameters=given(Seconds="7"), ClientRequestToken="one"
    )
    lab.at_end(cloudformation.delete_stack, StackName=stack.name)
    assert stack.status == "CREATE_COMPLETE"
    cloudformation.update_stack(
        StackName=stack.name, TemplateURL=url, Parameters=given(Seconds="8"), ClientRequestToken="two"
    )
    assert stack.status == "UPDATE_COMPLETE"
    cloudformation.update_stack(StackName=stack.name, UsePreviousTemplate=True, Parameters=given(Seconds="9"))
    assert stack.status == "UPDATE_COMPLETE"
    for name, source in (("first", {"TemplateURL": url}), ("second", {"UsePreviousTemplate": True})):
        cloudformation.create_change_set(
            StackName=stack.name,
            ChangeSetName=name,
            Parameters=given(Seconds="1" + str(len(name))),
            Tags=tags,
            **source,
        )
        lab.eventually(
            lambda name=name: (
                cloudformation.describe_change_set(StackName=stack.name, ChangeSetName=name)["Status"]
                == "CREATE_COMPLETE"
            )
        )
        cloudformation.execute_change_set(StackName=stack.name, ChangeSetName=name, ClientRequestToken=name)
        assert stack.status == "UPDATE_COMPLETE"
    url_of = stack.physical()["Q"]
    attributes = lab.client("sqs", "central").get_queue_attributes(
        QueueUrl=url_of, AttributeNames=["VisibilityTimeout"]
    )
    assert attributes["Attributes"]["VisibilityTimeout"] == "16"
    assert stack.described()["Tags"] == tags
    cloudformation.delete_stack(StackName=stack.name, ClientRequestToken="end")


@pytest.mark.statement("lambda.configuration-update", "lambda.pages")
def test_the_rest_of_lambdas_parameters(lab):
    functions = Functions(lab, role_for(lab))
    client, bucket = functions.client, lab.bucket("central")
    lab.put("central", bucket, "code.zip", package("def handler(event, context): return 'stored'"))
    name = functions.make("def handler(event, context): return 1", PackageType="Zip", Publish=True)
    other = role_for(lab)
    revision = client.update_function_configuration(
        FunctionName=name,
        Runtime=PYTHON,
        Role=other.arn,
        Handler="app.handler",
        Description="d",
        EphemeralStorage={"Size": 700},
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON"},
    )["RevisionId"]
    functions.active(name)
    client.update_function_code(
        FunctionName=name, S3Bucket=bucket, S3Key="code.zip", Architectures=[MACHINE], RevisionId=revision
    )
    functions.active(name)
    assert functions.call(name) == "stored"
    shown = client.get_function(FunctionName=name, Qualifier="$LATEST")["Configuration"]
    assert (shown["Role"], shown["EphemeralStorage"]) == (other.arn, {"Size": 700})
    for alias in ("a", "b"):
        client.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")
    first = client.list_aliases(FunctionName=name, MaxItems=1)
    second = client.list_aliases(FunctionName=name, MaxItems=1, Marker=first["NextMarker"])
    assert [each["Aliases"][0]["Name"] for each in (first, second)] == ["a", "b"]
    first = client.list_versions_by_function(FunctionName=name, MaxItems=1)
    second = client.list_versions_by_function(FunctionName=name, MaxItems=1, Marker=first["NextMarker"])
    assert [each["Versions"][0]["Version"] for each in (first, second)] == ["$LATEST", "1"]
    client.add_permission(
        FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", Qualifier="1"
    )
    assert "Statement" in json.loads(client.get_policy(FunctionName=name, Qualifier="1")["Policy"])
    client.publish_version(FunctionName=name)
    client.delete_function(FunctionName=name, Qualifier="2")


@pytest.mark.statement("cloudformation.types")
def test_keys_and_what_they_guard(lab):
    root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    everything = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    rule = {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "K"}},
        "BucketKeyEnabled": True,
    }
    stack = deploy(
        lab,
        {
            "K": of(
                "AWS::KMS::Key",
                KeyPolicy={"Version": "2012-10-17", "Statement": [everything]},
                KeySpec="SYMMETRIC_DEFAULT",
                KeyUsage="ENCRYPT_DECRYPT",
                PendingWindowInDays=7,
            ),
            "Q": queue(KmsMasterKeyId={"Ref": "K"}),
            "B": of("AWS::S3::Bucket", BucketEncryption={"ServerSideEncryptionConfiguration": [rule]}),
        },
    )
    made = stack.physical()
    attributes = lab.client("sqs", "central").get_queue_attributes(QueueUrl=made["Q"], AttributeNames=["All"])
    assert attributes["Attributes"]["KmsMasterKeyId"] == made["K"]
    kept = lab.client("s3", "central").get_bucket_encryption(Bucket=made["B"])["ServerSideEncryptionConfiguration"]
    assert kept["Rules"][0]["BucketKeyEnabled"] is True
    stack.delete()
    key = lab.client("kms", "central").describe_key(KeyId=made["K"])["KeyMetadata"]
    assert key["KeyState"] == "PendingDeletion"


@pytest.mark.statement("cloudformation.types")
def test_schedules_with_a_time_zone_and_an_end_and_machines_that_log(lab):
    role = role_for(lab, "logs:*", service="states.amazonaws.com")
    stack = deploy(
        lab,
        {
            "G": of("AWS::Logs::LogGroup"),
            "M": of(
                "AWS::StepFunctions::StateMachine",
                DefinitionString=json.dumps(STORED | {"States": {"A": {"Type": "Pass", "End": True}}}),
                RoleArn=role.arn,
                LoggingConfiguration={
                    "Level": "ALL",
                    "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["G", "Arn"]}}}],
                },
            ),
            "Q": queue(),
            "S": of(
                "AWS::Scheduler::Schedule",
                GroupName="default",
                ScheduleExpression="cron(0 6 * * ? *)",
                ScheduleExpressionTimezone="Europe/Vienna",
                StartDate="2030-01-01T00:00:00Z",
                EndDate="2031-01-01T00:00:00Z",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target={
                    "Arn": {"Fn::GetAtt": ["Q", "Arn"]},
                    "RoleArn": role_for(lab, "sqs:SendMessage", service="scheduler.amazonaws.com").arn,
                },
            ),
        },
    )
    made = stack.physical()
    schedule = lab.client("scheduler", "central").get_schedule(Name=made["S"])
    assert (schedule["ScheduleExpressionTimezone"], schedule["EndDate"].year) == ("Europe/Vienna", 2031)
    machine = lab.client("stepfunctions", "central").describe_state_machine(stateMachineArn=made["M"])
    assert machine["loggingConfiguration"]["level"] == "ALL"
