"""The account templates deploy alone, in any order, and both into one account."""

import contextlib
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


BUCKET = "sales-raw-333333333333"
#: role of ours in another account -> the one role of the central account that it trusts
TRUSTED = {
    "tagmesh-consumer": "tagmesh-link-consumer",
    "tagmesh-consumer-doctor": "tagmesh-doctor",
    f"tagmesh-producer-doctor/{BUCKET}": "tagmesh-doctor",
}


def become(aws, ours, account, role, external_id):
    """The answer to somebody who may assume anything, as far as his own account is concerned."""
    iam = aws.session(account).client("iam")
    anything = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [{**anything, "Principal": {"AWS": account}}]}
    policy = {"Version": "2012-10-17", "Statement": [{**anything, "Resource": "*"}]}
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=role, PolicyName="any", PolicyDocument=json.dumps(policy))
    sts = aws.session(account, role).client("sts")
    named = {"ExternalId": external_id} if external_id else {}
    return sts.assume_role(RoleArn=f"arn:aws:iam::333333333333:role/{ours}", RoleSessionName="test", **named)


@pytest.fixture
def stacks(aws):
    deploy(aws, "333333333333", "consumer", CentralAccountId=CENTRAL)
    deploy(aws, "333333333333", "producer", CentralAccountId=CENTRAL, BucketName=BUCKET)
    return aws


def test_the_central_accounts_one_role_becomes_each_of_ours(stacks):
    for ours, trusted in TRUSTED.items():
        assert become(stacks, ours, CENTRAL, trusted, f"tagmesh-{CENTRAL}")["Credentials"]


def test_nobody_else_becomes_one_of_ours(stacks):
    for ours, trusted in TRUSTED.items():
        others = [each for each in {*TRUSTED.values(), "somebody"} if each != trusted]
        for account, role, external_id in (
            *((CENTRAL, other, f"tagmesh-{CENTRAL}") for other in others),
            ("666666666666", trusted, f"tagmesh-{CENTRAL}"),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                become(stacks, ours, account, role, external_id)


def test_the_right_role_without_the_meshs_external_id_becomes_none_of_ours(stacks):
    for ours, trusted in TRUSTED.items():
        for external_id in ("another", ""):
            with pytest.raises(ClientError, match="AccessDenied"):
                become(stacks, ours, CENTRAL, trusted, external_id)
