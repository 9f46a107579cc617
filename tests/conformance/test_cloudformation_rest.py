"""CloudFormation: lists in pages, service roles, and properties that few templates give."""

import json
from functools import partial

import pytest
from functions_lab import role_for
from stacks import body, make, queue

from local_aws.cloudformation import cfn_answers


def of(kind, **properties):
    return {"Type": kind, "Properties": properties}


def exporting(name):
    return {"Resources": {"Q": queue(), "R": queue()}, "Outputs": {"O": {"Value": "v", "Export": {"Name": name}}}}


def paged(call, member, **arguments):
    """All items of a list, and in how many pages they came."""
    items, pages, token = [], 0, {}
    while True:
        answer = call(**arguments, **token)
        items += answer[member]
        pages += 1
        if "NextToken" not in answer:
            return items, pages
        token = {"NextToken": answer["NextToken"]}


@pytest.mark.statement("cloudformation.pages")
@pytest.mark.local_only("pages of one need no hundred stacks")
def test_every_list_comes_in_pages(lab, monkeypatch):
    cloudformation = lab.client("cloudformation", "central")
    first, second = lab.name("export", "-"), lab.name("export", "-")
    stack = make(lab, exporting(first))
    make(lab, exporting(second))
    named = {"Fn::Join": ["-", [{"Ref": "AWS::StackName"}, {"Fn::ImportValue": first}]]}
    importing = {"Resources": {"Q": queue(QueueName=named)}}
    users = [make(lab, importing) for _ in range(2)]
    assert {each.status for each in users} == {"CREATE_COMPLETE"}
    for name in ("one", "two"):
        template = exporting(first)
        template["Resources"] |= {"S": queue(), "T": queue()}
        cloudformation.create_change_set(StackName=stack.id, ChangeSetName=name, TemplateBody=body(template))
    cloudformation.get_waiter("change_set_create_complete").wait(
        StackName=stack.id, ChangeSetName="two", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )

    monkeypatch.setattr(cfn_answers, "PAGE", 1)
    named = {"StackName": stack.id}
    for call, member, arguments in (
        (cloudformation.describe_stacks, "Stacks", {}),
        (cloudformation.list_stacks, "StackSummaries", {}),
        (cloudformation.list_stack_resources, "StackResourceSummaries", named),
        (cloudformation.list_exports, "Exports", {}),
        (cloudformation.list_imports, "Imports", {"ExportName": first}),
        (cloudformation.list_change_sets, "Summaries", named),
        (cloudformation.describe_change_set, "Changes", named | {"ChangeSetName": "two"}),
    ):
        items, pages = paged(call, member, **arguments)
        assert len(items) == pages >= 2, member


@pytest.mark.statement("cloudformation.service-role")
def test_updates_change_sets_and_deletions_are_made_as_the_role_that_is_given(lab):
    cloudformation = lab.client("cloudformation", "central")
    role = role_for(lab, "sqs:*", service="cloudformation.amazonaws.com")
    stack = make(lab, {"Resources": {"Q": queue(DelaySeconds=1)}})
    assert stack.update({"Resources": {"Q": queue(DelaySeconds=2)}}, RoleARN=role.arn) == "UPDATE_COMPLETE"
    topic = {"Resources": {"Q": queue(DelaySeconds=2), "T": of("AWS::SNS::Topic")}}
    cloudformation.create_change_set(
        StackName=stack.id, ChangeSetName="topic", TemplateBody=body(topic), RoleARN=role.arn
    )
    cloudformation.get_waiter("change_set_create_complete").wait(
        StackName=stack.id, ChangeSetName="topic", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    cloudformation.execute_change_set(StackName=stack.id, ChangeSetName="topic")
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"  # the role may not make topics
    cloudformation.delete_stack(StackName=stack.id, RoleARN=role.arn)
    assert stack.status == "DELETE_COMPLETE"


@pytest.mark.statement("cloudformation.types")
def test_messages_logs_and_workgroups_with_what_few_give(lab):
    account, bucket = lab.account("central"), lab.bucket("central")
    everything = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root", "Service": "logs.amazonaws.com"},
        "Action": "kms:*",
        "Resource": "*",
    }
    send = role_for(lab, "sqs:SendMessage", service="scheduler.amazonaws.com")
    rules = role_for(lab, "sqs:SendMessage", service="events.amazonaws.com")
    in_organization = {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-example1234"}
    dead = {"deadLetterTargetArn": {"Fn::GetAtt": ["Q", "Arn"]}}
    stack = make(
        lab,
        {
            "Resources": {
                "K": of("AWS::KMS::Key", Enabled=True, KeyPolicy={"Version": "2012-10-17", "Statement": [everything]}),
                "Q": queue(),
                "T": of("AWS::SNS::Topic", KmsMasterKeyId={"Ref": "K"}),
                "S": of(
                    "AWS::SNS::Subscription",
                    TopicArn={"Ref": "T"},
                    Protocol="sqs",
                    Endpoint={"Fn::GetAtt": ["Q", "Arn"]},
                    RawMessageDelivery=True,
                    RedrivePolicy=dead,
                ),
                "L": of("AWS::Logs::LogGroup", KmsKeyId={"Fn::GetAtt": ["K", "Arn"]}),
                "C": of(
                    "AWS::Scheduler::Schedule",
                    ScheduleExpression="rate(1 day)",
                    State="DISABLED",
                    FlexibleTimeWindow={"Mode": "OFF"},
                    Target={"Arn": {"Fn::GetAtt": ["Q", "Arn"]}, "RoleArn": send.arn},
                ),
                "B": of("AWS::Events::EventBus", Name=lab.name("bus", "-")),
                "P": of(
                    "AWS::Events::EventBusPolicy",
                    EventBusName={"Ref": "B"},
                    StatementId="org",
                    Action="events:PutEvents",
                    Principal="*",
                    Condition=in_organization,
                ),
                "R": of(
                    "AWS::Events::Rule", EventPattern={"source": ["a"]}, RoleArn=rules.arn, EventBusName={"Ref": "B"}
                ),
                "W": of(
                    "AWS::Athena::WorkGroup",
                    Name=lab.name("group", "-"),
                    RecursiveDeleteOption=True,
                    WorkGroupConfiguration={
                        "BytesScannedCutoffPerQuery": 10_000_000,
                        "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
                        "ResultConfiguration": {"OutputLocation": f"s3://{bucket}/", "ExpectedBucketOwner": account},
                    },
                ),
            }
        },
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    made, client = stack.physical(), partial(lab.client, who="central")
    attributes = client("sns").get_subscription_attributes(SubscriptionArn=made["S"])["Attributes"]
    assert (attributes["RawMessageDelivery"], "deadLetterTargetArn" in attributes["RedrivePolicy"]) == ("true", True)
    assert client("scheduler").get_schedule(Name=made["C"])["State"] == "DISABLED"
    policy = json.loads(client("events").describe_event_bus(Name=made["B"])["Policy"])
    assert "o-example1234" in json.dumps(policy)
    group = client("athena").get_work_group(WorkGroup=made["W"])["WorkGroup"]["Configuration"]
    assert group["BytesScannedCutoffPerQuery"] == 10_000_000
