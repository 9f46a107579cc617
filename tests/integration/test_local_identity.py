"""Who may do what in the local AWS: sessions, trust, identity and resource policies, across accounts."""

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


def deny(action: Any, resource: Any = "*", **more: Any) -> dict:
    return {**allow(action, resource, **more), "Effect": "Deny"}


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


def make_bucket(aws: LocalAws, account: str, name: str, *statements: dict) -> Any:
    s3 = aws.session(account).client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if statements:
        s3.put_bucket_policy(Bucket=name, Policy=policy(*statements))
    return s3


def refused(call: Any, **params: Any) -> str:
    """The message of the AccessDenied that a call meets."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    assert error["Code"] in ("AccessDenied", "AccessDeniedException", "AuthorizationError", "403"), error
    return error["Message"]


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


def test_sessions_end_with_their_time_and_with_their_role(aws: LocalAws) -> None:
    make_role(aws, A, "Analyst", allow("dynamodb:*"))
    session = aws.session(A, "Analyst").client("dynamodb")
    session.list_tables()
    iam = aws.session(A).client("iam")
    iam.delete_role_policy(RoleName="Analyst", PolicyName="main")
    iam.delete_role(RoleName="Analyst")
    assert error_code(session.list_tables) == "UnrecognizedClientException"
    make_role(aws, A, "Analyst", allow("dynamodb:*"))  # another role of the same name
    assert error_code(session.list_tables) == "UnrecognizedClientException"
    session = aws.session(A, "Analyst").client("dynamodb")
    aws.world.advance(13 * 3600)
    assert error_code(session.list_tables) == "ExpiredTokenException"


# -- assuming roles -----------------------------------------------------------------------------------------------


def assume(session: Any, arn: str, **more: Any) -> Any:
    return session.client("sts").assume_role(RoleArn=arn, RoleSessionName="link", **more)


def test_across_accounts_both_the_trust_policy_and_the_callers_policy_must_allow(aws: LocalAws) -> None:
    target = make_role(aws, B, "Consumer", trusts=trust(root(A)))
    make_role(aws, A, "May", allow("sts:AssumeRole", target))
    make_role(aws, A, "MayNot", allow("s3:*"))
    got = assume(aws.session(A, "May"), target)
    assert got["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{B}:assumed-role/Consumer/link"
    message = refused(aws.session(A, "MayNot").client("sts").assume_role, RoleArn=target, RoleSessionName="x1")
    assert message == (
        f"User: arn:aws:sts::{A}:assumed-role/MayNot/local is not authorized to perform: sts:AssumeRole "
        f"on resource: {target}"
    )
    stranger = make_role(aws, B, "Stranger", trusts=trust(root(B)))
    refused(aws.session(A).client("sts").assume_role, RoleArn=stranger, RoleSessionName="x1")
    refused(aws.session(A).client("sts").assume_role, RoleArn=f"{target}X", RoleSessionName="x1")


def test_the_credentials_of_an_assumed_role_are_that_roles(aws: LocalAws) -> None:
    target = make_role(aws, B, "Consumer", allow("dynamodb:ListTables"), trusts=trust(root(A)))
    keys = assume(aws.session(A), target)["Credentials"]
    session = aws.world.session_of(aws.world.credentials[keys["AccessKeyId"]])
    assert session.client("sts").get_caller_identity()["Account"] == B
    session.client("dynamodb").list_tables()
    refused(session.client("sqs").list_queues)


def test_within_an_account_a_named_principal_needs_no_policy_of_its_own_but_the_root_delegates(
    aws: LocalAws,
) -> None:
    caller = make_role(aws, A, "Caller")
    named = make_role(aws, A, "Named", trusts=trust({"AWS": caller}))
    delegated = make_role(aws, A, "Delegated", trusts=trust(root(A)))
    assume(aws.session(A, "Caller"), named)
    refused(aws.session(A, "Caller").client("sts").assume_role, RoleArn=delegated, RoleSessionName="x1")
    aws.session(A).client("iam").put_role_policy(
        RoleName="Caller", PolicyName="p", PolicyDocument=policy(allow("sts:AssumeRole", delegated))
    )
    assume(aws.session(A, "Caller"), delegated)


def test_own_permission_without_trust_is_not_enough(aws: LocalAws) -> None:
    make_role(aws, A, "Caller", allow("sts:*"))
    service_role = make_role(aws, A, "ForLambda")
    refused(aws.session(A, "Caller").client("sts").assume_role, RoleArn=service_role, RoleSessionName="x1")


@pytest.mark.parametrize(
    ("condition", "external_id", "admitted"),
    [
        ({"StringEquals": {"sts:ExternalId": f"tagmesh-{A}"}}, f"tagmesh-{A}", True),
        ({"StringEquals": {"sts:ExternalId": f"tagmesh-{A}"}}, "guess", False),
        ({"StringEquals": {"sts:ExternalId": f"tagmesh-{A}"}}, None, False),
        ({"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/mesh/Link"}}, None, True),
        ({"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/Other"}}, None, False),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-member0001"}}, None, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-other00001"}}, None, False),
    ],
)
def test_conditions_of_a_trust_policy(aws: LocalAws, condition: dict, external_id: str | None, admitted: bool) -> None:
    aws.world.organization.update(id="o-member0001", members={A, B})
    target = make_role(aws, B, "Consumer", trusts=trust(root(A), **condition))
    make_role(aws, A, "Link", allow("sts:AssumeRole", target), Path="/mesh/")
    given = {"ExternalId": external_id} if external_id else {}
    if admitted:
        assume(aws.session(A, "Link"), target, **given)
    else:
        sts = aws.session(A, "Link").client("sts")
        refused(sts.assume_role, RoleArn=target, RoleSessionName="x1", **given)


def test_an_account_outside_the_organization_has_no_organization_id(aws: LocalAws) -> None:
    aws.world.organization.update(id="o-member0001", members={B})
    condition = {"StringEquals": {"aws:PrincipalOrgID": "o-member0001"}}
    target = make_role(aws, B, "Consumer", trusts=trust({"AWS": "*"}, **condition))
    refused(aws.session(A).client("sts").assume_role, RoleArn=target, RoleSessionName="x1")


def test_a_session_policy_narrows(aws: LocalAws) -> None:
    target = make_role(aws, A, "Wide", allow(["dynamodb:*", "sqs:*"]), trusts=trust(root(A)))
    keys = assume(aws.session(A), target, Policy=policy(allow("dynamodb:*"), allow("s3:*")))["Credentials"]
    session = aws.world.session_of(aws.world.credentials[keys["AccessKeyId"]])
    session.client("dynamodb").list_tables()
    assert "no session policy allows" in refused(session.client("sqs").list_queues)
    assert "no identity-based policy allows" in refused(session.client("s3").list_buckets)


def test_how_long_a_session_may_last(aws: LocalAws) -> None:
    target = make_role(aws, A, "Long", trusts=trust(root(A)), MaxSessionDuration=7200)
    make_role(aws, A, "Chaining", allow("sts:AssumeRole"))
    assume(aws.session(A), target, DurationSeconds=7200)
    admin, chaining = aws.session(A).client("sts"), aws.session(A, "Chaining").client("sts")
    params = {"RoleArn": target, "RoleSessionName": "x1"}
    assert error_code(admin.assume_role, DurationSeconds=7201, **params) == "ValidationError"
    assert error_code(chaining.assume_role, DurationSeconds=7200, **params) == "ValidationError"


def test_policies_cannot_name_principals_that_do_not_exist(aws: LocalAws) -> None:
    gone = f"arn:aws:iam::{B}:role/Gone"
    iam = aws.session(A).client("iam")
    params = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": [gone]})}
    assert error_code(iam.create_role, **params) == "MalformedPolicyDocument"
    make_role(aws, A, "R")
    params = {"RoleName": "R", "PolicyDocument": trust({"AWS": gone})}
    assert error_code(iam.update_assume_role_policy, **params) == "MalformedPolicyDocument"
    s3 = make_bucket(aws, A, "guarded-bucket")
    said = allow("s3:GetObject", "arn:aws:s3:::guarded-bucket/*", Principal={"AWS": gone})
    assert error_code(s3.put_bucket_policy, Bucket="guarded-bucket", Policy=policy(said)) == "MalformedPolicy"
    make_role(aws, B, "Gone")
    s3.put_bucket_policy(Bucket="guarded-bucket", Policy=policy(said))


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


def test_a_service_needs_the_key_of_an_encrypted_queue(aws: LocalAws) -> None:
    events = {"Service": "events.amazonaws.com"}
    admits = allow("sqs:SendMessage", Principal=events)
    kms = aws.session(A).client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    url, arn = queue_with_policy(aws, admits, KmsMasterKeyId=key)

    def send() -> None:
        aws.world.authorize_service("events.amazonaws.com", "sqs:SendMessage", arn, "", A)

    with pytest.raises(AwsError, match="kms:GenerateDataKey"):
        send()
    own = allow("kms:*", Principal=root(A))
    document = policy(own, allow(["kms:GenerateDataKey*", "kms:Decrypt"], Principal=events))
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document)
    send()
    aws.session(A).client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "alias/aws/sqs"})
    with pytest.raises(AwsError, match="alias/aws/sqs, which admits no other service"):
        send()


# -- policies of an identity --------------------------------------------------------------------------------------


def test_a_role_may_do_what_its_policies_allow_and_hears_why_not(aws: LocalAws) -> None:
    make_role(aws, A, "Reader", allow("dynamodb:GetItem", f"arn:aws:dynamodb:{REGION}:{A}:table/units"))
    dynamodb = aws.session(A, "Reader").client("dynamodb")
    assert error_code(dynamodb.get_item, TableName="units", Key={"k": {"S": "1"}}) == "ResourceNotFoundException"
    assert refused(dynamodb.get_item, TableName="ledger", Key={"k": {"S": "1"}}) == (
        f"User: arn:aws:sts::{A}:assumed-role/Reader/local is not authorized to perform: dynamodb:GetItem on "
        f"resource: arn:aws:dynamodb:{REGION}:{A}:table/ledger because no identity-based policy allows the "
        "dynamodb:GetItem action"
    )


def test_managed_policies_count_in_their_default_version(aws: LocalAws) -> None:
    iam = aws.session(A).client("iam")
    make_role(aws, A, "Worker")
    arn = iam.create_policy(PolicyName="tables", PolicyDocument=policy(allow("dynamodb:ListTables")))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="Worker", PolicyArn=arn)
    dynamodb = aws.session(A, "Worker").client("dynamodb")
    dynamodb.list_tables()
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(allow("sqs:*")), SetAsDefault=True)
    refused(dynamodb.list_tables)
    iam.detach_role_policy(RoleName="Worker", PolicyArn=arn)
    refused(aws.session(A, "Worker").client("sqs").list_queues)


def test_awss_managed_policies_can_be_attached(aws: LocalAws) -> None:
    iam = aws.session(A).client("iam")
    make_role(aws, A, "Function")
    iam.attach_role_policy(
        RoleName="Function", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    )
    logs = aws.session(A, "Function").client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/f")
    refused(logs.describe_log_groups)
    missing = "arn:aws:iam::aws:policy/service-role/NoSuchPolicy"
    assert error_code(iam.attach_role_policy, RoleName="Function", PolicyArn=missing) == "NoSuchEntity"


def test_a_permissions_boundary_narrows(aws: LocalAws) -> None:
    iam = aws.session(A).client("iam")
    boundary = iam.create_policy(PolicyName="edge", PolicyDocument=policy(allow("sqs:*")))["Policy"]["Arn"]
    make_role(aws, A, "Bounded", allow(["dynamodb:*", "sqs:*"]), PermissionsBoundary=boundary)
    aws.session(A, "Bounded").client("sqs").list_queues()
    message = refused(aws.session(A, "Bounded").client("dynamodb").list_tables)
    assert "because no permissions boundary allows" in message


def test_an_explicit_deny_wins(aws: LocalAws) -> None:
    make_role(aws, A, "Mixed", allow("dynamodb:*"), deny("dynamodb:DeleteTable"))
    dynamodb = aws.session(A, "Mixed").client("dynamodb")
    dynamodb.list_tables()
    assert "with an explicit deny in an identity-based policy" in refused(dynamodb.delete_table, TableName="ttt")


def test_a_policy_that_is_not_understood_is_refused_not_guessed(aws: LocalAws) -> None:
    odd = {"StringEquals": {"dynamodb:MoonPhase": "full"}}
    make_role(aws, A, "Odd", allow("dynamodb:ListTables", Condition=odd))
    dynamodb = aws.session(A, "Odd").client("dynamodb")
    with pytest.raises(ClientError, match="LocalAwsNotSupported.*dynamodb:moonphase"):
        dynamodb.list_tables()


def test_a_user_is_held_to_its_policies(aws: LocalAws) -> None:
    iam = aws.session(A).client("iam")
    iam.create_user(UserName="ci")
    iam.put_user_policy(UserName="ci", PolicyName="p", PolicyDocument=policy(allow("sqs:ListQueues")))
    key = iam.create_access_key(UserName="ci")["AccessKey"]
    session = aws.world.session_of(
        identity.Credentials(key["AccessKeyId"], key["SecretAccessKey"], None, aws.world.now(), None)
    )
    session.client("sqs").list_queues()
    refused(session.client("dynamodb").list_tables)


def test_passing_a_role_needs_permission_for_that_service(aws: LocalAws) -> None:
    arn = make_role(aws, A, "ForMachine", trusts=trust({"Service": "states.amazonaws.com"}))
    may = allow("iam:PassRole", arn, Condition={"StringEquals": {"iam:PassedToService": "states.amazonaws.com"}})
    make_role(aws, A, "Deployer", allow(["states:*", "events:*", "lambda:*"]), may)
    make_role(aws, A, "Careless", allow("states:*"))
    definition = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})
    machine = {"name": "crawl", "roleArn": arn, "definition": definition}
    message = refused(aws.session(A, "Careless").client("stepfunctions").create_state_machine, **machine)
    assert f"iam:PassRole on resource: {arn}" in message
    aws.session(A, "Deployer").client("stepfunctions").create_state_machine(**machine)
    targets = {"Rule": "r", "Targets": [{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:{A}:q", "RoleArn": arn}]}
    message = refused(aws.session(A, "Deployer").client("events").put_targets, **targets)
    assert "iam:PassRole" in message
    elsewhere = {**machine, "roleArn": arn.replace(A, B)}
    message = refused(aws.session(A).client("stepfunctions").create_state_machine, **elsewhere)
    assert "Cross-account pass role" in message


# -- S3 -----------------------------------------------------------------------------------------------------------

LAKE = "arn:aws:s3:::the-lake"


def test_s3_operations_need_the_actions_s3_documents(aws: LocalAws) -> None:
    s3 = make_bucket(aws, A, "the-lake")
    s3.put_object(Bucket="the-lake", Key="sales/a.csv", Body=b"1")
    make_role(aws, A, "Reader", allow("s3:GetObject", f"{LAKE}/sales/*"))
    reader = aws.session(A, "Reader").client("s3")
    assert reader.get_object(Bucket="the-lake", Key="sales/a.csv")["Body"].read() == b"1"
    reader.head_object(Bucket="the-lake", Key="sales/a.csv")
    assert "s3:ListBucket" in refused(reader.list_objects_v2, Bucket="the-lake")
    assert '"arn:aws:s3:::the-lake/hr/a.csv"' in refused(reader.get_object, Bucket="the-lake", Key="hr/a.csv")
    assert "s3:PutObject" in refused(reader.put_object, Bucket="the-lake", Key="sales/b.csv", Body=b"")
    assert "s3:GetObjectVersion" in refused(reader.get_object, Bucket="the-lake", Key="sales/a.csv", VersionId="null")
    assert "s3:PutObject" in refused(reader.create_multipart_upload, Bucket="the-lake", Key="sales/b")
    assert "s3:PutEncryptionConfiguration" in refused(reader.delete_bucket_encryption, Bucket="the-lake")
    assert "s3:ListAllMyBuckets" in refused(reader.list_buckets)


def test_only_who_may_list_learns_that_an_object_is_missing(aws: LocalAws) -> None:
    make_bucket(aws, A, "the-lake")
    make_role(aws, A, "Reader", allow("s3:GetObject", f"{LAKE}/*"))
    make_role(aws, A, "Lister", allow("s3:GetObject", f"{LAKE}/*"), allow("s3:ListBucket", LAKE))
    reader, lister = aws.session(A, "Reader").client("s3"), aws.session(A, "Lister").client("s3")
    assert "s3:ListBucket" in refused(reader.get_object, Bucket="the-lake", Key="missing")
    refused(reader.head_object, Bucket="the-lake", Key="missing")
    assert error_code(lister.get_object, Bucket="the-lake", Key="missing") == "NoSuchKey"
    assert error_code(lister.head_object, Bucket="the-lake", Key="missing") == "404"
    assert error_code(aws.session(A).client("s3").get_object, Bucket="no-bucket-here", Key="k") == "NoSuchBucket"


def test_listing_can_be_limited_to_a_prefix(aws: LocalAws) -> None:
    make_bucket(aws, A, "the-lake")
    make_role(aws, A, "R", allow("s3:ListBucket", LAKE, Condition={"StringLike": {"s3:prefix": ["sales/*"]}}))
    s3 = aws.session(A, "R").client("s3")
    s3.list_objects_v2(Bucket="the-lake", Prefix="sales/2026/")
    refused(s3.list_objects_v2, Bucket="the-lake", Prefix="hr/")
    refused(s3.list_objects_v2, Bucket="the-lake")


def test_another_accounts_bucket_needs_both_policies(aws: LocalAws) -> None:
    owner = make_bucket(aws, A, "the-lake")
    owner.put_object(Bucket="the-lake", Key="a", Body=b"1")
    make_role(aws, B, "Registration", allow("s3:*"))
    make_role(aws, B, "Idle")
    read = {"Bucket": "the-lake", "Key": "a"}
    registration, idle = (aws.session(B, name).client("s3") for name in ("Registration", "Idle"))
    assert "no resource-based policy allows" in refused(registration.get_object, **read)
    condition = {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{B}:role/Registration"}}
    said = allow("s3:*Object", f"{LAKE}/*", Principal=root(B), Condition=condition)
    owner.put_bucket_policy(Bucket="the-lake", Policy=policy(said))
    assert registration.get_object(**read)["Body"].read() == b"1"
    assert "no identity-based policy allows" in refused(idle.get_object, **read)
    refused(aws.session(B).client("s3").get_object, **read)
    registration.put_object(Bucket="the-lake", Key="b", Body=b"2")
    assert owner.get_object(Bucket="the-lake", Key="b")["Body"].read() == b"2"


def test_a_bucket_policy_alone_admits_a_named_role_of_the_same_account_and_may_lock_all_out(aws: LocalAws) -> None:
    role = make_role(aws, A, "Named")
    owner = make_bucket(aws, A, "the-lake", allow("s3:GetObject", f"{LAKE}/*", Principal={"AWS": role}))
    owner.put_object(Bucket="the-lake", Key="a", Body=b"1")
    named = aws.session(A, "Named").client("s3")
    named.get_object(Bucket="the-lake", Key="a")
    insecure = deny("s3:*", [LAKE, f"{LAKE}/*"], Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    closed = deny("s3:GetObject", f"{LAKE}/hr/*", Principal="*")
    owner.put_bucket_policy(Bucket="the-lake", Policy=policy(insecure, closed))
    owner.get_object(Bucket="the-lake", Key="a")
    message = refused(owner.get_object, Bucket="the-lake", Key="hr/a")
    assert "with an explicit deny in a resource-based policy" in message


def test_new_buckets_take_no_public_policy(aws: LocalAws) -> None:
    owner = make_bucket(aws, A, "the-lake")

    def put(**condition: Any) -> None:
        said = allow("s3:GetObject", f"{LAKE}/*", Principal="*", **({"Condition": condition} if condition else {}))
        owner.put_bucket_policy(Bucket="the-lake", Policy=policy(said))

    assert "BlockPublicPolicy" in refused(put)
    refused(put, StringLike={"aws:PrincipalArn": "arn:aws:iam::*:role/Analyst"})
    refused(put, StringEquals={"s3:prefix": "sales/"})
    put(StringEquals={"aws:PrincipalOrgID": "o-member0001"})
    put(ArnEquals={"aws:PrincipalArn": f"arn:aws:iam::{B}:role/Analyst"})
    owner.delete_public_access_block(Bucket="the-lake")
    put()


def test_copying_needs_reading_the_source_and_writing_the_target(aws: LocalAws) -> None:
    s3 = make_bucket(aws, A, "the-lake")
    s3.put_object(Bucket="the-lake", Key="in/a b", Body=b"1")
    make_role(aws, A, "Both", allow("s3:GetObject", f"{LAKE}/in/*"), allow("s3:PutObject", f"{LAKE}/out/*"))
    copier = aws.session(A, "Both").client("s3")

    def copy(source: str, target: str) -> None:
        copier.copy_object(Bucket="the-lake", Key=target, CopySource={"Bucket": "the-lake", "Key": source})

    copy("in/a b", "out/a")
    assert "s3:GetObject" in refused(copy, source="out/a", target="out/b")
    assert "s3:PutObject" in refused(copy, source="in/a b", target="in/b")


def test_of_many_objects_only_the_allowed_are_deleted(aws: LocalAws) -> None:
    s3 = make_bucket(aws, A, "the-lake")
    for key in ("tmp/a", "tmp/b", "keep/c"):
        s3.put_object(Bucket="the-lake", Key=key, Body=b"")
    make_role(aws, A, "Cleaner", allow("s3:DeleteObject", f"{LAKE}/tmp/*"))
    objects = [{"Key": key} for key in ("tmp/a", "keep/c", "tmp/b", "tmp/never-there")]
    cleaner = aws.session(A, "Cleaner").client("s3")
    answer = cleaner.delete_objects(Bucket="the-lake", Delete={"Objects": objects})
    assert [each["Key"] for each in answer["Deleted"]] == ["tmp/a", "tmp/b", "tmp/never-there"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("keep/c", "AccessDenied")]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="the-lake")["Contents"]] == ["keep/c"]


def test_the_expected_owner_must_be_the_owner(aws: LocalAws) -> None:
    s3 = make_bucket(aws, A, "the-lake")
    s3.put_object(Bucket="the-lake", Key="a", Body=b"", ExpectedBucketOwner=A)
    refused(s3.put_object, Bucket="the-lake", Key="a", Body=b"", ExpectedBucketOwner=B)


def test_objects_under_a_customer_key_need_the_key(aws: LocalAws) -> None:
    key = aws.session(A).client("kms").create_key()["KeyMetadata"]["Arn"]
    owner = make_bucket(aws, A, "the-lake")
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    owner.put_bucket_encryption(
        Bucket="the-lake",
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
    )
    owner.put_object(Bucket="the-lake", Key="a", Body=b"1")
    make_role(aws, A, "NoKey", allow("s3:*"))
    make_role(aws, A, "Key", allow("s3:*"), allow(["kms:Decrypt", "kms:GenerateDataKey"], key))
    keyless, keyed = aws.session(A, "NoKey").client("s3"), aws.session(A, "Key").client("s3")
    assert "kms:Decrypt" in refused(keyless.get_object, Bucket="the-lake", Key="a")
    assert "kms:GenerateDataKey" in refused(keyless.put_object, Bucket="the-lake", Key="b", Body=b"")
    assert keyed.get_object(Bucket="the-lake", Key="a")["Body"].read() == b"1"
    keyed.put_object(Bucket="the-lake", Key="b", Body=b"")


# -- other resources with policies --------------------------------------------------------------------------------


def test_another_accounts_queue_is_reached_through_its_policy(aws: LocalAws) -> None:
    url, arn = queue_with_policy(aws, allow("sqs:SendMessage", Principal=root(B)))
    other = aws.session(B).client("sqs")
    other.send_message(QueueUrl=url, MessageBody="from B")
    assert "sqs:ReceiveMessage" in refused(other.receive_message, QueueUrl=url)
    got = aws.session(A).client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert [each["Body"] for each in got] == ["from B"]
    assert arn in aws.world.log[-2].resources


def test_a_keys_policy_decides_even_at_home(aws: LocalAws) -> None:
    role = make_role(aws, A, "Crypt", allow("kms:*"))
    kms = aws.session(A).client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    crypt = aws.session(A, "Crypt").client("kms")
    sealed = crypt.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    assert crypt.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    only_admin = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{A}:user/admin"})
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(only_admin))
    assert "kms:Decrypt" in refused(crypt.decrypt, CiphertextBlob=sealed)
    named = allow("kms:Decrypt", Principal={"AWS": role})
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(only_admin, named))
    assert crypt.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    kms.create_alias(AliasName="alias/mesh", TargetKeyId=key)
    assert "kms:Encrypt" in refused(crypt.encrypt, KeyId="alias/mesh", Plaintext=b"x")


def test_events_for_a_bus_that_does_not_admit_the_sender_fail_one_by_one(aws: LocalAws) -> None:
    bus = aws.session(B).client("events").create_event_bus(Name="open")["EventBusArn"]
    closed = aws.session(B).client("events").create_event_bus(Name="closed")["EventBusArn"]
    said = allow("events:PutEvents", bus, Principal={"AWS": A}, Sid="in")
    aws.session(B).client("events").put_permission(EventBusName="open", Policy=policy(said))
    make_role(aws, A, "Sender", allow("events:PutEvents", [bus, closed]))
    make_role(aws, A, "Mute")
    entry = {"Source": "tagmesh", "DetailType": "DataProductPublished", "Detail": "{}"}
    entries = [{**entry, "EventBusName": arn} for arn in (closed, bus, closed)]
    answer = aws.session(A, "Sender").client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 2
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [
        "AccessDeniedException", None, "AccessDeniedException",
    ]  # fmt: skip
    assert "EventId" in answer["Entries"][1]
    refused(aws.session(A, "Mute").client("events").put_events, Entries=entries[1:2])


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


def test_metrics_can_be_limited_to_a_namespace(aws: LocalAws) -> None:
    condition = {"StringEquals": {"cloudwatch:namespace": "tagmesh"}}
    make_role(aws, A, "Function", allow("cloudwatch:PutMetricData", Condition=condition))
    cloudwatch = aws.session(A, "Function").client("cloudwatch")
    data = [{"MetricName": "m", "Value": 1.0}]
    cloudwatch.put_metric_data(Namespace="tagmesh", MetricData=data)
    refused(cloudwatch.put_metric_data, Namespace="other", MetricData=data)


def test_a_log_group_is_named_with_what_is_below_it(aws: LocalAws) -> None:
    group = f"arn:aws:logs:{REGION}:{A}:log-group:/aws/lambda/f"
    make_role(aws, A, "Bare", allow("logs:*", group))
    make_role(aws, A, "Whole", allow("logs:*", f"{group}:*"))
    refused(aws.session(A, "Bare").client("logs").create_log_group, logGroupName="/aws/lambda/f")
    aws.session(A, "Whole").client("logs").create_log_group(logGroupName="/aws/lambda/f")


def test_needs_say_whose_a_resource_is(aws: LocalAws) -> None:
    make_bucket(aws, B, "of-the-other")
    caller = identity.admin(A, REGION).caller
    assert Need("s3:GetObject", "arn:aws:s3:::of-the-other/k").owner(caller) == B
    assert Need("s3:GetObject", "arn:aws:s3:::nobodys-bucket/k").owner(caller) == A
    assert Need("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{B}:q").owner(caller) == B
    assert Need("lakeformation:ListLFTags", "*").owner(caller) == A
