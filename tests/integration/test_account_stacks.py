"""The account templates deploy alone, in any order, and both into one account."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

ROOT = Path(__file__).parents[2]
CENTRAL = "555555555555"


def deploy(aws, account, name, **parameters):
    cloudformation = aws.session(account).client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=(ROOT / f"accounts/{name}.yaml").read_text(encoding="utf-8"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return cloudformation


def test_producer_and_consumer_need_no_central_account_yet(aws):
    deploy(aws, "222222222222", "consumer", CentralAccountId=CENTRAL)
    deploy(aws, "222222222222", "producer", CentralAccountId=CENTRAL, BucketName="hr-raw-222222222222")
    session = aws.session("222222222222")

    events = session.client("s3").get_bucket_notification_configuration(Bucket="hr-raw-222222222222")
    administrators = session.client("lakeformation").get_data_lake_settings()["DataLakeSettings"]["DataLakeAdmins"]

    assert "EventBridgeConfiguration" in events
    assert [entry["DataLakePrincipalIdentifier"] for entry in administrators] == [
        "arn:aws:iam::222222222222:role/tagmesh-consumer"
    ]


def test_a_deleted_producer_stack_leaves_the_data(aws):
    cloudformation = deploy(aws, "111111111111", "producer", CentralAccountId=CENTRAL, BucketName="sales-raw")
    s3 = aws.session("111111111111").client("s3")
    s3.put_object(Bucket="sales-raw", Key="orders/orders/a.csv", Body=b"a,b\n1,2\n")

    cloudformation.delete_stack(StackName="producer")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="producer", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )

    assert s3.get_object(Bucket="sales-raw", Key="orders/orders/a.csv")["Body"].read() == b"a,b\n1,2\n"


def become_consumer(aws, account, role, external_id):
    """The answer to somebody who may assume anything, as far as his own account is concerned."""
    iam = aws.session(account).client("iam")
    anything = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [{**anything, "Principal": {"AWS": account}}]}
    policy = {"Version": "2012-10-17", "Statement": [{**anything, "Resource": "*"}]}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=role, PolicyName="any", PolicyDocument=json.dumps(policy))
    sts = aws.session(account, role).client("sts")
    return sts.assume_role(
        RoleArn="arn:aws:iam::333333333333:role/tagmesh-consumer", RoleSessionName="test", ExternalId=external_id
    )


def test_the_central_accounts_one_role_becomes_the_consumer(aws):
    deploy(aws, "333333333333", "consumer", CentralAccountId=CENTRAL)

    assert become_consumer(aws, CENTRAL, "tagmesh-link-consumer", f"tagmesh-{CENTRAL}")["Credentials"]


@pytest.mark.parametrize(
    ("account", "role", "external_id"),
    [
        (CENTRAL, "somebody", f"tagmesh-{CENTRAL}"),
        (CENTRAL, "tagmesh-link-consumer", "another"),
        ("666666666666", "tagmesh-link-consumer", f"tagmesh-{CENTRAL}"),
    ],
)
def test_nobody_else_becomes_the_consumer(aws, account, role, external_id):
    deploy(aws, "333333333333", "consumer", CentralAccountId=CENTRAL)

    with pytest.raises(ClientError, match="AccessDenied"):
        become_consumer(aws, account, role, external_id)
