"""Identity, inside: sessions, services that act as roles, and what calls need. What AWS documents of it is shown in
tests/conformance/test_iam_*.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.access import actions, identity
from local_aws.access.need import Need
from local_aws.server import LocalAws
from local_aws.wire import AwsError
from local_aws.world import World

A, B = "111111111111", "222222222222"
REGION = "eu-west-1"


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal: Any, **condition: Any) -> str:
    said = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return policy({**said, "Condition": condition} if condition else said)


def root(account: str) -> dict:
    return {"AWS": f"arn:aws:iam::{account}:root"}


def make_role(aws: LocalAws, account: str, name: str, *statements: dict, trusts: str = "", **more: Any) -> str:
    """A role with an inline policy; returns its ARN."""
    iam = aws.session(account).client("iam")
    document = trusts or trust({"Service": "lambda.amazonaws.com"})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **more)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="main", PolicyDocument=policy(*statements))
    return arn


def error_code(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


# -- who am I -----------------------------------------------------------------------------------------------------


def test_the_administrator_a_role_and_a_user_know_who_they_are(aws: LocalAws) -> None:
    make_role(aws, A, "Analyst", Path="/teams/")
    iam = aws.session(A).client("iam")
    iam.create_user(UserName="ci")
    key = iam.create_access_key(UserName="ci")["AccessKey"]

    def who(session: Any) -> str:
        return session.client("sts").get_caller_identity()["Arn"]

    assert who(aws.session(A)) == f"arn:aws:iam::{A}:user/admin"
    assert who(aws.session(A, "Analyst")) == f"arn:aws:sts::{A}:assumed-role/Analyst/local"
    user = identity.Credentials(key["AccessKeyId"], key["SecretAccessKey"], None, aws.world.now(), None)
    assert who(aws.world.session_of(user)) == f"arn:aws:iam::{A}:user/ci"
    iam.delete_access_key(UserName="ci", AccessKeyId=key["AccessKeyId"])
    assert error_code(aws.world.session_of(user).client("sts").get_caller_identity) == "InvalidClientTokenId"


def test_a_session_of_a_role_that_is_not_there_is_refused(aws: LocalAws) -> None:
    with pytest.raises(AwsError, match="NoSuchEntity"):
        aws.session(A, "Nobody")
    with pytest.raises(AwsError, match="NoSuchEntity"):
        aws.world.session(f"arn:aws:iam::{A}:role/Nobody", "s")


# -- services that act as roles -----------------------------------------------------------------------------------


def test_a_service_assumes_only_roles_that_trust_it(aws: LocalAws) -> None:
    arn = make_role(aws, A, "ForEvents", allow("sqs:*"), trusts=trust({"Service": "events.amazonaws.com"}))
    session = aws.world.session(arn, "rule", service="events.amazonaws.com")
    assert session.client("sts").get_caller_identity()["Arn"].endswith("assumed-role/ForEvents/rule")
    with pytest.raises(AwsError, match=r"glue.amazonaws.com is not authorized .* sts:AssumeRole .*trust policy"):
        aws.world.session(arn, "crawl", service="glue.amazonaws.com")
    with pytest.raises(AwsError, match="NoSuchEntity"):
        aws.world.session(f"{arn}X", "rule", service="events.amazonaws.com")


def test_a_service_must_come_from_the_account_and_resource_the_trust_policy_names(aws: LocalAws) -> None:
    rule = f"arn:aws:events:{REGION}:{A}:rule/uploads"
    condition = {"StringEquals": {"aws:SourceAccount": A}, "ArnLike": {"aws:SourceArn": rule}}
    arn = make_role(aws, A, "ForRule", trusts=trust({"Service": "events.amazonaws.com"}, **condition))
    identity.assume_as_service(aws.world, arn, "x1", "events.amazonaws.com", rule)
    for source in (None, f"{rule}-2", rule.replace(A, B)):
        with pytest.raises(AwsError, match="AccessDenied"):
            identity.assume_as_service(aws.world, arn, "x1", "events.amazonaws.com", source)


def queue_with_policy(aws: LocalAws, *statements: dict, **attributes: str) -> tuple[str, str]:
    sqs = aws.session(A).client("sqs")
    if statements:
        attributes["Policy"] = policy(*statements)
    url = sqs.create_queue(QueueName="uploads", Attributes=attributes)["QueueUrl"]
    return url, f"arn:aws:sqs:{REGION}:{A}:uploads"


def test_a_service_needs_the_queues_policy_for_its_source(aws: LocalAws) -> None:
    rule = f"arn:aws:events:{REGION}:{A}:rule/mesh/uploads"
    _, arn = queue_with_policy(
        aws,
        allow(
            "sqs:SendMessage",
            f"arn:aws:sqs:{REGION}:{A}:uploads",
            Principal={"Service": "events.amazonaws.com"},
            Condition={"ArnEquals": {"aws:SourceArn": rule}},
        ),
    )
    aws.world.authorize_service("events.amazonaws.com", "sqs:SendMessage", arn, rule, A)
    for service, action, source in [
        ("events.amazonaws.com", "sqs:SendMessage", f"{rule}-2"),
        ("events.amazonaws.com", "sqs:ReceiveMessage", rule),
        ("s3.amazonaws.com", "sqs:SendMessage", rule),
    ]:
        with pytest.raises(AwsError, match="its policy does not allow it"):
            aws.world.authorize_service(service, action, arn, source, A)


# -- what a call needs --------------------------------------------------------------------------------------------

GLUE, TABLES = f"arn:aws:glue:{REGION}:{A}", f"arn:aws:dynamodb:{REGION}:{A}:table"


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"),
    [
        ("sts", "GetCallerIdentity", {}, []),
        ("lakeformation", "GrantPermissions", {"Principal": {}}, ["lakeformation:GrantPermissions *"]),
        ("glue", "GetTable", {"DatabaseName": "d", "Name": "t"},
         [f"glue:GetTable {GLUE}:catalog", f"glue:GetTable {GLUE}:database/d", f"glue:GetTable {GLUE}:table/d/t"]),
        ("glue", "CreateTable", {"CatalogId": B, "DatabaseName": "d", "TableInput": {"Name": "t"}},
         [f"glue:CreateTable arn:aws:glue:{REGION}:{B}:{each}" for each in ("catalog", "database/d", "table/d/t")]),
        ("glue", "GetTables", {"DatabaseName": "d"},
         [f"glue:GetTables {GLUE}:{each}" for each in ("catalog", "database/d", "table/d/*")]),
        ("glue", "GetDatabases", {}, [f"glue:GetDatabases {GLUE}:{each}" for each in ("catalog", "database/*")]),
        ("glue", "CreateDatabase", {"DatabaseInput": {"Name": "d"}},
         [f"glue:CreateDatabase {GLUE}:{each}" for each in ("catalog", "database/d")]),
        ("glue", "BatchCreatePartition", {"DatabaseName": "d", "TableName": "t"},
         [f"glue:BatchCreatePartition {GLUE}:{each}" for each in ("catalog", "database/d", "table/d/t")]),
        ("glue", "StartCrawler", {"Name": "c"}, [f"glue:StartCrawler {GLUE}:crawler/c"]),
        ("glue", "ListCrawls", {"CrawlerName": "c"}, [f"glue:ListCrawls {GLUE}:crawler/c"]),
        ("glue", "GetClassifier", {"Name": "c"}, ["glue:GetClassifier *"]),
        ("glue", "CreateCrawler", {"Name": "c", "Role": "mesh/Crawl"},
         [f"glue:CreateCrawler {GLUE}:crawler/c", f"iam:PassRole arn:aws:iam::{A}:role/mesh/Crawl"]),
        ("lakeformation", "RegisterResource", {"RoleArn": f"arn:aws:iam::{A}:role/R", "ResourceArn": "x"},
         ["lakeformation:RegisterResource *", f"iam:PassRole arn:aws:iam::{A}:role/R"]),
        ("dynamodb", "Query", {"TableName": "t", "IndexName": "i"}, [f"dynamodb:Query {TABLES}/t/index/i"]),
        ("dynamodb", "TransactWriteItems",
         {"TransactItems": [{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "u"}}]},
         [f"dynamodb:PutItem {TABLES}/t", f"dynamodb:ConditionCheckItem {TABLES}/u"]),
        ("dynamodb", "BatchWriteItem", {"RequestItems": {"t": [], "u": []}},
         [f"dynamodb:BatchWriteItem {TABLES}/t", f"dynamodb:BatchWriteItem {TABLES}/u"]),
        ("lambda", "Invoke", {"FunctionName": "f"}, [f"lambda:InvokeFunction arn:aws:lambda:{REGION}:{A}:function:f"]),
        ("lambda", "Invoke", {"FunctionName": f"{B}:function:f", "Qualifier": "live"},
         [f"lambda:InvokeFunction arn:aws:lambda:{REGION}:{B}:function:f:live"]),
        ("stepfunctions", "StartExecution", {"stateMachineArn": "arn:x"}, ["states:StartExecution arn:x"]),
        ("events", "PutRule", {"Name": "r"}, [f"events:PutRule arn:aws:events:{REGION}:{A}:rule/r"]),
        ("events", "PutTargets", {"Rule": "r", "EventBusName": "mesh", "Targets": []},
         [f"events:PutTargets arn:aws:events:{REGION}:{A}:rule/mesh/r"]),
        ("events", "PutEvents", {"Entries": [{}, {"EventBusName": "mesh"}]},
         [f"events:PutEvents arn:aws:events:{REGION}:{A}:event-bus/{bus}" for bus in ("default", "mesh")]),
        ("scheduler", "CreateSchedule", {"Name": "s", "Target": {"RoleArn": f"arn:aws:iam::{A}:role/R"}},
         [f"scheduler:CreateSchedule arn:aws:scheduler:{REGION}:{A}:schedule/default/s",
          f"iam:PassRole arn:aws:iam::{A}:role/R"]),
        ("logs", "PutLogEvents", {"logGroupName": "g", "logStreamName": "s"},
         [f"logs:PutLogEvents arn:aws:logs:{REGION}:{A}:log-group:g:log-stream:s"]),
        ("cloudwatch", "PutMetricAlarm", {"AlarmName": "a"},
         [f"cloudwatch:PutMetricAlarm arn:aws:cloudwatch:{REGION}:{A}:alarm:a"]),
        ("athena", "StartQueryExecution", {"QueryString": "", "WorkGroup": "tagmesh"},
         [f"athena:StartQueryExecution arn:aws:athena:{REGION}:{A}:workgroup/tagmesh"]),
        ("ssm", "GetParameters", {"Names": ["/a/b", "c"]},
         [f"ssm:GetParameters arn:aws:ssm:{REGION}:{A}:parameter/{name}" for name in ("a/b", "c")]),
        ("cloudformation", "DescribeStacks", {"StackName": "central"},
         [f"cloudformation:DescribeStacks arn:aws:cloudformation:{REGION}:{A}:stack/central/*"]),
        ("organizations", "ListAccounts", {}, ["organizations:ListAccounts *"]),
    ],
)  # fmt: skip
def test_what_calls_need(service: str, operation: str, params: dict, expected: list[str]) -> None:
    caller = identity.admin(A, REGION).caller
    needed = actions.needs(World(), caller, service, operation, params)
    assert [f"{need.action} {need.resource}" for need in needed] == expected


def test_needs_say_whose_a_resource_is(aws: LocalAws) -> None:
    aws.session(B).client("s3").create_bucket(
        Bucket="of-the-other", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    caller = identity.admin(A, REGION).caller
    assert Need("s3:GetObject", "arn:aws:s3:::of-the-other/k").owner(caller) == B
    assert Need("s3:GetObject", "arn:aws:s3:::nobodys-bucket/k").owner(caller) == A
    assert Need("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{B}:q").owner(caller) == B
    assert Need("lakeformation:ListLFTags", "*").owner(caller) == A
