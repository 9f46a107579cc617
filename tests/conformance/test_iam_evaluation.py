"""What one policy says: elements, patterns, conditions and variables, each asked of S3 under a session policy."""

import pytest
from botocore.exceptions import ClientError
from lab import refused
from policies import DENIED, allow, deny, document, managed, narrowed, root, trust, trusting

CALL = {"Prefix": "sales/", "Delimiter": "/", "MaxKeys": 100}


@pytest.fixture(scope="module")
def role(lab):
    """A role that may do everything with S3, IAM and SQS, so that only its session policy says no."""
    everything = allow(["s3:*", "iam:*", "sqs:*", "sts:*"])
    wide = trusting(lab, "central", trust(root(lab, "central")), may=(everything,), Path="/teams/")
    lab.client("iam", "central").tag_role(
        RoleName=wide.name, Tags=[{"Key": "team", "Value": "sales"}, {"Key": "any", "Value": "*"}]
    )
    return wide


@pytest.fixture(scope="module")
def bucket(lab):
    name = lab.bucket("central")
    for key in ("sales/a.csv", "hr/a.csv", "*/a.csv"):
        lab.put("central", name, key, "1")
    return name


def may_list(lab, role, bucket, *statements, **call):
    """Whether a session with these statements may list the bucket."""
    s3 = narrowed(lab, role, "s3", *statements)
    try:
        s3.list_objects_v2(Bucket=bucket, **{**CALL, **call})
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
        return False
    return True


def may_read(lab, role, bucket, key, *statements):
    """Whether a session with these statements may read an object that there is."""
    s3 = narrowed(lab, role, "s3", *statements)
    try:
        s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
        return False
    return True


@pytest.mark.statement("iam.explicit-deny")
@pytest.mark.parametrize("first", ["allow", "deny"])
def test_an_explicit_deny_wins_wherever_it_stands(lab, role, bucket, first):
    both = [allow("s3:*"), deny("s3:ListBucket")]
    assert not may_list(lab, role, bucket, *(both if first == "allow" else reversed(both)))


@pytest.mark.statement("iam.explicit-deny", "iam.condition-all")
def test_a_deny_whose_condition_does_not_hold_denies_nothing(lab, role, bucket):
    def denied(prefix):
        return deny("s3:ListBucket", Condition={"StringEquals": {"s3:prefix": prefix}})

    assert may_list(lab, role, bucket, allow("s3:*"), denied("hr/"))
    assert not may_list(lab, role, bucket, allow("s3:*"), denied("sales/"))


@pytest.mark.statement("iam.default-deny", "iam.actions-match")
@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("s3:ListBucket", True), ("S3:listbucket", True), ("s3:List*", True), ("s3:ListBucke?", True), ("*", True),
        (["s3:PutObject", "s3:ListBucket"], True),
        ("s3:ListBucketVersions", False), ("s3:Put*", False), ("glue:*", False), ("s3:ListBucket?", False),
    ],
)  # fmt: skip
def test_actions_match_without_regard_to_case_and_by_wildcards(lab, role, bucket, action, allowed):
    assert may_list(lab, role, bucket, allow(action)) is allowed


@pytest.mark.statement("iam.not-elements")
def test_not_action_is_every_other_action(lab, role, bucket):
    def said(*actions):
        return {"Effect": "Allow", "NotAction": list(actions), "Resource": "*"}

    assert may_list(lab, role, bucket, said("iam:*", "s3:DeleteObject"))
    assert not may_list(lab, role, bucket, said("iam:*", "s3:List*"))


@pytest.mark.statement("iam.resources-match")
@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("*", True), ("{bucket}/*", True), ("{bucket}/sales/*.csv", True), ("{bucket}/sales/?.csv", True),
        ("arn:aws:s3:::*", True), ("arn:*:s3:::*", True),
        ("{bucket}", False), ("{bucket}/Sales/*", False), ("{bucket}/hr/*", False),
    ],
)  # fmt: skip
def test_resources_match_with_regard_to_case_and_by_wildcards(lab, role, bucket, resource, allowed):
    resource = resource.format(bucket=f"arn:aws:s3:::{bucket}")
    assert may_read(lab, role, bucket, "sales/a.csv", allow("s3:GetObject", resource)) is allowed


@pytest.mark.statement("iam.not-elements")
def test_not_resource_is_every_other_resource(lab, role, bucket):
    closed = {"Effect": "Deny", "Action": "s3:*", "NotResource": f"arn:aws:s3:::{bucket}/sales/*"}
    assert may_read(lab, role, bucket, "sales/a.csv", allow("s3:*"), closed)
    assert not may_read(lab, role, bucket, "hr/a.csv", allow("s3:*"), closed)


PRINCIPAL = "arn:aws:iam::{account}:role/teams/{role}"


@pytest.mark.statement("iam.condition-operators")
@pytest.mark.parametrize(
    ("operator", "key", "wanted", "holds"),
    [
        ("StringEquals", "s3:prefix", ["hr/", "sales/"], True),
        ("StringEquals", "s3:prefix", "sales/*", False),
        ("StringEquals", "S3:Prefix", "sales/", True),
        ("StringNotEquals", "s3:prefix", ["hr/", "sales/"], False),
        ("StringNotEquals", "s3:prefix", "hr/", True),
        ("StringEqualsIgnoreCase", "s3:prefix", "SALES/", True),
        ("StringNotEqualsIgnoreCase", "s3:prefix", "SALES/", False),
        ("StringLike", "s3:prefix", "sal*", True),
        ("StringLike", "s3:prefix", "sal?", False),
        ("StringNotLike", "s3:prefix", "sal*", False),
        ("NumericEquals", "s3:max-keys", "100", True),
        ("NumericNotEquals", "s3:max-keys", "100", False),
        ("NumericLessThan", "s3:max-keys", "100", False),
        ("NumericLessThan", "s3:max-keys", "101", True),
        ("NumericLessThanEquals", "s3:max-keys", "100", True),
        ("NumericLessThanEquals", "s3:max-keys", "99", False),
        ("NumericGreaterThan", "s3:max-keys", "99", True),
        ("NumericGreaterThan", "s3:max-keys", "100", False),
        ("NumericGreaterThanEquals", "s3:max-keys", "100", True),
        ("NumericGreaterThanEquals", "s3:max-keys", "101", False),
        ("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z", True),
        ("DateLessThan", "aws:CurrentTime", "2020-01-01T00:00:00Z", False),
        ("DateLessThanEquals", "aws:CurrentTime", "2099-01-01", True),
        ("DateGreaterThanEquals", "aws:EpochTime", "1600000000", True),
        ("Bool", "aws:SecureTransport", "true", True),
        ("Bool", "aws:SecureTransport", "false", False),
        ("Bool", "aws:PrincipalIsAWSService", "false", True),
        ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "0.0.0.0/0"], True),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", False),
        ("NotIpAddress", "aws:SourceIp", "0.0.0.0/0", False),
        ("ArnEquals", "aws:PrincipalArn", PRINCIPAL, True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/teams/*", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/other/*", False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam:*", False),
        ("ArnNotEquals", "aws:PrincipalArn", PRINCIPAL, False),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", True),
        ("StringEquals", "aws:PrincipalAccount", "{account}", True),
        ("StringEquals", "aws:PrincipalType", "AssumedRole", True),
        ("StringLike", "aws:userid", "AROA*:conformance", True),
        ("StringEquals", "aws:PrincipalTag/team", "sales", True),
        ("StringEquals", "aws:PrincipalTag/other", "sales", False),
        ("StringEquals", "aws:ResourceAccount", "{account}", True),
        ("StringEquals", "aws:RequestedRegion", "eu-west-1", True),
        ("Null", "aws:SourceVpce", "true", True),
        ("Null", "s3:prefix", "true", False),
        ("Null", "s3:prefix", "false", True),
    ],
)
def test_condition_operators_compare_as_documented(lab, role, bucket, operator, key, wanted, holds):
    def filled(text):
        return text.format(account=lab.account("central"), role=role.name) if isinstance(text, str) else text

    wanted = [filled(each) for each in wanted] if isinstance(wanted, list) else filled(wanted)
    assert may_list(lab, role, bucket, allow("s3:ListBucket", Condition={operator: {key: wanted}})) is holds


@pytest.mark.statement("iam.condition-missing-key")
@pytest.mark.parametrize(
    ("operator", "holds"),
    [
        ("StringEquals", False), ("StringNotEquals", True), ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True), ("StringLike", False), ("ForAnyValue:StringEquals", False),
        ("ForAllValues:StringEquals", True),
    ],
)  # fmt: skip
def test_a_key_that_the_request_does_not_have(lab, role, bucket, operator, holds):
    condition = {operator: {"aws:SourceVpce": "vpce-1"}}
    assert may_list(lab, role, bucket, allow("s3:ListBucket", Condition=condition)) is holds


@pytest.mark.statement("iam.condition-missing-key")
def test_if_exists_compares_a_key_that_is_there(lab, role, bucket):
    condition = {"StringEqualsIfExists": {"s3:prefix": "hr/"}}
    assert not may_list(lab, role, bucket, allow("s3:ListBucket", Condition=condition))


@pytest.mark.statement("iam.condition-all")
def test_all_operators_and_keys_of_a_condition_must_hold(lab, role, bucket):
    def said(prefix, account):
        equal = {"s3:prefix": prefix, "aws:PrincipalAccount": account}
        return allow("s3:ListBucket", Condition={"StringEquals": equal, "Null": {"s3:prefix": "false"}})

    account = lab.account("central")
    assert may_list(lab, role, bucket, said("sales/", account))
    assert not may_list(lab, role, bucket, said("hr/", account))
    assert not may_list(lab, role, bucket, said("sales/", "000000000000"))


@pytest.mark.statement("iam.condition-multivalued", "iam.request-tags")
@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost", "owner"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["owner"]}}, False),
        ({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["team"]}}, True),
        ({"ForAllValues:StringNotEquals": {"aws:TagKeys": ["team"]}}, False),
        ({"StringEquals": {"aws:RequestTag/team": "hr"}}, True),
        ({"StringEquals": {"aws:RequestTag/team": "sales"}}, False),
        ({"StringEquals": {"aws:RequestTag/owner": "x"}}, False),
        ({"Null": {"aws:RequestTag/owner": "true"}}, True),
    ],
)
def test_several_values_of_a_key_are_compared_by_the_sets_operators(lab, role, condition, holds):
    target = trusting(lab, "central", trust(root(lab, "central")))
    iam = narrowed(lab, role, "iam", allow("iam:TagRole", target.arn, Condition=condition))
    tags = [{"Key": "team", "Value": "hr"}, {"Key": "cost", "Value": "7"}]
    if holds:
        iam.tag_role(RoleName=target.name, Tags=tags)
    else:
        with refused(*DENIED):
            iam.tag_role(RoleName=target.name, Tags=tags)


@pytest.mark.statement("iam.variables")
@pytest.mark.parametrize(
    ("key", "resource", "allowed"),
    [
        ("sales/a.csv", "${aws:PrincipalTag/team}/*", True),
        ("hr/a.csv", "${aws:PrincipalTag/team}/*", False),
        ("sales/a.csv", "${aws:PrincipalTag/any}/a.csv", False),  # what a variable stands for is taken literally
        ("*/a.csv", "${aws:PrincipalTag/any}/a.csv", True),
        ("sales/a.csv", "${aws:PrincipalTag/nobody}*/a.csv", False),
        ("sales/a.csv", "${aws:PrincipalTag/nobody, 'sales'}/a.csv", True),
        ("sales/a.csv", "${aws:PrincipalTag/team, 'hr'}/a.csv", True),
        ("hr/a.csv", "${aws:PrincipalTag/team, 'hr'}/a.csv", False),
        ("sales/a.csv", "${*}/a.csv", False),
        ("*/a.csv", "${*}/a.csv", True),
    ],
)
def test_policy_variables_stand_for_what_the_request_has(lab, role, bucket, key, resource, allowed):
    said = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/{resource}")
    assert may_read(lab, role, bucket, key, said) is allowed


@pytest.mark.statement("iam.variables")
def test_variables_in_conditions_and_a_policy_of_2008_that_knows_none(lab, role, bucket):
    said = allow("s3:ListBucket", Condition={"StringLike": {"s3:prefix": "${aws:PrincipalTag/team}/*"}})
    assert may_list(lab, role, bucket, said)
    assert not may_list(lab, role, bucket, said, Prefix="hr/")
    consumer = trusting(lab, "consumer", trust(root(lab, "consumer")), may=(allow("s3:*"),))
    lab.client("iam", "consumer").tag_role(RoleName=consumer.name, Tags=[{"Key": "team", "Value": "sales"}])
    for version in ("2012-10-17", "2008-10-17"):
        own = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/team}}/*")
        policy = document({**own, "Principal": root(lab, "consumer")}, version=version)
        lab.client("s3", "central").put_bucket_policy(Bucket=bucket, Policy=policy)
        if version == "2012-10-17":
            lab.eventually(lambda: lab.client("s3", consumer).get_object(Bucket=bucket, Key="sales/a.csv"))
    with refused("AccessDenied", message="no resource-based policy"):
        lab.client("s3", consumer).get_object(Bucket=bucket, Key="sales/a.csv")
    lab.client("s3", "central").delete_bucket_policy(Bucket=bucket)


@pytest.mark.statement("iam.unknown-refused")
@pytest.mark.local_only("AWS knows keys that are not built here")
def test_a_condition_key_that_is_not_known_here_refuses_whoever_it_would_decide_on(lab, role, bucket):
    unclear = allow("s3:ListBucket", Condition={"StringEquals": {"s3:unheard-of": "x"}})
    with refused("LocalAwsNotSupported", message="condition key s3:unheard-of"):
        narrowed(lab, role, "s3", unclear).list_objects_v2(Bucket=bucket)
    assert may_list(lab, role, bucket, unclear, allow("s3:*"))
    with refused("LocalAwsNotSupported", message="s3:unheard-of"):
        narrowed(lab, role, "s3", {**unclear, "Effect": "Deny"}, allow("s3:*")).list_objects_v2(Bucket=bucket)
    elsewhere = allow("glue:*", Condition={"StringEquals": {"s3:unheard-of": "x"}})
    assert not may_list(lab, role, bucket, elsewhere)
    with refused("LocalAwsNotSupported", message="policy variable aws:TagKeys of several values"):
        target = trusting(lab, "central", trust(root(lab, "central")))
        said = allow("iam:TagRole", f"arn:aws:iam::{lab.account('central')}:role/${{aws:TagKeys}}")
        narrowed(lab, role, "iam", said).tag_role(RoleName=target.name, Tags=[{"Key": "a", "Value": "b"}])


@pytest.mark.statement("iam.unknown-refused")
@pytest.mark.local_only("S3 refuses some of these when they are set")
@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"Condition": {"StringSounds": {"s3:prefix": "x"}}}, "condition operator StringSounds"),
        ({"Condition": {"Sometimes:StringEquals": {"s3:prefix": "x"}}}, "condition operator Sometimes:StringEquals"),
        ({"Wish": "x"}, "policy element Wish"),
        ({"Effect": "Perhaps"}, "policy effect 'Perhaps'"),
        ({"Principal": {"Spirit": "x"}}, "principal type Spirit"),
        ({"Principal": {}, "NotPrincipal": {"AWS": "*"}}, "NotPrincipal with Allow"),
    ],
)
def test_what_a_resource_policy_says_and_is_not_understood_is_refused_never_guessed(lab, bucket, broken, named):
    s3 = lab.client("s3", "central")
    name = lab.bucket("central")
    said = {"Effect": "Allow", "Principal": root(lab, "consumer"), "Action": "s3:ListBucket"}
    s3.put_bucket_policy(Bucket=name, Policy=document({**said, "Resource": f"arn:aws:s3:::{name}", **broken}))
    with refused("LocalAwsNotSupported", message=named):
        lab.client("s3", "consumer").list_objects_v2(Bucket=name)


@pytest.mark.statement("iam.boundary")
def test_a_permissions_boundary_narrows_and_gives_nothing(lab, bucket):
    edge = managed(lab, "central", allow("s3:ListBucket"), allow("s3:GetObject"))
    bounded = trusting(
        lab,
        "central",
        trust(root(lab, "central")),
        may=(allow(["s3:ListBucket", "s3:PutObject"]),),
        PermissionsBoundary=edge,
    )
    s3 = lab.client("s3", bounded)
    lab.eventually(lambda: s3.list_objects_v2(Bucket=bucket))
    with refused("AccessDenied", message="because no permissions boundary allows the s3:PutObject action"):
        s3.put_object(Bucket=bucket, Key="x", Body=b"")
    with refused("AccessDenied", message="because no identity-based policy allows the s3:GetObject action"):
        s3.get_object(Bucket=bucket, Key="sales/a.csv")
    iam = lab.client("iam", "central")
    iam.delete_role_permissions_boundary(RoleName=bounded.name)
    lab.eventually(lambda: s3.put_object(Bucket=bucket, Key="bounded", Body=b""))
    closed = managed(lab, "central", deny("s3:*"))
    iam.put_role_permissions_boundary(RoleName=bounded.name, PermissionsBoundary=closed)
    with refused("AccessDenied", message="with an explicit deny in a permissions boundary"):
        s3.list_objects_v2(Bucket=bucket)
    iam.delete_role_permissions_boundary(RoleName=bounded.name)


@pytest.mark.statement("iam.session-policy")
def test_a_session_policy_narrows_and_gives_nothing(lab, role, bucket):
    s3 = narrowed(lab, role, "s3", allow("s3:ListBucket"))
    s3.list_objects_v2(Bucket=bucket)
    with refused("AccessDenied", message="because no session policy allows the s3:GetObject action"):
        s3.get_object(Bucket=bucket, Key="sales/a.csv")
    with refused("AccessDenied", message="with an explicit deny in a session policy"):
        narrowed(lab, role, "s3", allow("s3:*"), deny("s3:List*")).list_objects_v2(Bucket=bucket)
    with refused(*DENIED, message="because no identity-based policy allows"):
        narrowed(lab, role, "dynamodb", allow("*")).list_tables()
