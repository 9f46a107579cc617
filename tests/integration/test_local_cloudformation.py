"""CloudFormation of the local AWS beyond what it shares with AWS: speed, SAM from end to end, Regions, prewarming."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws

ACCOUNT = "111111111111"
REGION = "eu-west-1"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
TRUST_LAMBDA = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
CODE = """
def handler(event, context):
    print("took", len(event["Records"]))
    return "taken"
"""


class Cloud:
    """One account, its CloudFormation, and code in a bucket."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.session = aws.session(ACCOUNT)
        self.stacks = self.client("cloudformation")
        place = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration=place)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("app.py", CODE)
        self.put("code.zip", content.getvalue())

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def put(self, key: str, body: bytes) -> None:
        self.client("s3").put_object(Bucket="artifacts", Key=key, Body=body)

    def create(self, name: str, template: Any) -> dict:
        """Create a stack, wait, and describe it."""
        self.stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
        return self.settled(name)

    def settled(self, name: str) -> dict:
        deadline = time.monotonic() + 30
        while True:
            (stack,) = self.stacks.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack
            assert time.monotonic() < deadline, stack["StackStatus"]
            time.sleep(0.05)

    def outputs(self, name: str) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self.settled(name).get("Outputs", ())}


def log_group(**properties: Any) -> dict:
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


@pytest.fixture(scope="module")
def cloud(aws_module: LocalAws) -> Cloud:
    return Cloud(aws_module)


def test_stacks_belong_to_their_region(cloud: Cloud) -> None:
    template = {"Resources": {"G": log_group(LogGroupName="/here")}}
    cloud.create("here", template)
    stacks = cloud.aws.session(ACCOUNT, region="us-east-1").client("cloudformation")
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe_stacks(StackName="here")
    stacks.create_stack(StackName="here", TemplateBody=json.dumps(template))
    assert stacks.describe_stacks(StackName="here")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def test_a_stack_may_have_sixty_resources(cloud: Cloud) -> None:
    groups = {f"G{n}": log_group(LogGroupName=f"/many/{n}", RetentionInDays=7) for n in range(30)}
    queues = {f"Q{n}": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"many-{n}"}} for n in range(30)}
    assert cloud.create("many", {"Resources": groups | queues})["StackStatus"] == "CREATE_COMPLETE"
    assert len(cloud.stacks.list_stack_resources(StackName="many")["StackResourceSummaries"]) == 60


# -- SAM

SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Stage: {Type: String, Default: dev}}
Globals:
  Function: {Runtime: PYTHON, Timeout: 10, CodeUri: s3://artifacts/code.zip}
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
    task = {"Type": "Task", "Resource": "${Take}", "End": True}
    cloud.put("machine.asl.json", json.dumps({"StartAt": "Take", "States": {"Take": task}}).encode())
    stacks = cloud.stacks
    options = {"StackName": "sam", "TemplateBody": SAM, "Capabilities": ["CAPABILITY_IAM"]}
    stacks.create_change_set(ChangeSetName="c", ChangeSetType="CREATE", **options)
    stacks.execute_change_set(StackName="sam", ChangeSetName="c")
    assert cloud.settled("sam")["StackStatus"] == "CREATE_COMPLETE"
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
    trust = json.dumps(TRUST_LAMBDA)
    role = cloud.client("iam").create_role(RoleName="runs", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    code = {"S3Bucket": "artifacts", "S3Key": "code.zip"}
    settings = {"Code": code, "Runtime": PYTHON, "Handler": "app.handler", "Role": role}
    function = {"Type": "AWS::Lambda::Function", "Properties": {**settings, "FunctionName": "ready"}}
    cloud.create("ready", {"Resources": {"Ready": function}})
    pool = cloud.aws.world.engines["lambda"].runner.pool
    deadline = time.monotonic() + 10
    while not any(launch.name == "ready" and idle for launch, idle in pool._idle.items()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
