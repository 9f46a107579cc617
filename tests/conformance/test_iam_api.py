"""IAM itself: what it keeps, what it refuses, and that policies count as they are now."""

import pytest
from lab import refused
from policies import DENIED, allow, deny, document, let, managed, root, trust, trusting


@pytest.fixture(scope="module")
def role(lab):
    return trusting(lab, "central", trust(root(lab, "central")))


@pytest.mark.statement("iam.managed-policies")
def test_a_managed_policy_counts_in_its_default_version_while_it_is_attached(lab, role):
    iam, name = lab.client("iam", "central"), role.name
    arn = managed(lab, "central", allow("dynamodb:ListTables"))
    dynamodb, sqs = lab.client("dynamodb", role), lab.client("sqs", role)
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    lab.eventually(lambda: dynamodb.list_tables())
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("sqs:ListQueues")))
    assert second["PolicyVersion"]["IsDefaultVersion"] is False
    dynamodb.list_tables()
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("sqs:ListQueues")), SetAsDefault=True)
    lab.eventually(lambda: sqs.list_queues())
    with refused(*DENIED):
        dynamodb.list_tables()
    with refused("DeleteConflict"):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    with refused("DeleteConflict", message="attached to entities"):
        iam.delete_policy(PolicyArn=arn)
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    with refused(*DENIED):
        sqs.list_queues()
    with refused("DeleteConflict", message="more than one version"):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    with refused("DeleteConflict", message="more than one version"):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)


@pytest.mark.statement("iam.managed-policies")
def test_a_managed_policy_has_at_most_five_versions(lab):
    iam, arn = lab.client("iam", "central"), managed(lab, "central", allow("s3:*"))
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("s3:*")))
    with refused("LimitExceeded"):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("s3:*")))
    for version in ("v2", "v3", "v4", "v5"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)


@pytest.mark.statement("iam.aws-policies")
def test_awss_own_policies_can_be_attached_and_the_others_of_that_name_are_not_there(lab, role):
    iam, aws = lab.client("iam", "central"), "arn:aws:iam::aws:policy/"
    basic = f"{aws}service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName=role.name, PolicyArn=basic)
    lab.at_end(iam.detach_role_policy, RoleName=role.name, PolicyArn=basic)
    group = lab.name("/conformance/basic", "-")
    lab.eventually(lambda: lab.client("logs", role).create_log_group(logGroupName=group))
    lab.at_end(lab.client("logs", "central").delete_log_group, logGroupName=group)
    with refused(*DENIED):
        lab.client("logs", role).describe_log_groups()
    with refused("NoSuchEntity"):
        iam.attach_role_policy(RoleName=role.name, PolicyArn=f"{aws}service-role/NoSuchPolicy")
    assert iam.list_policies(Scope="AWS", MaxItems=5)["Policies"][0]["Arn"].startswith(aws)
    local = iam.list_policies(Scope="Local", MaxItems=100)["Policies"]
    assert not [each for each in local if each["Arn"].startswith(aws)]
    bounded = trusting(
        lab, "central", trust(root(lab, "central")), may=(allow("*"),), PermissionsBoundary=f"{aws}ReadOnlyAccess"
    )
    lab.eventually(lambda: lab.client("dynamodb", bounded).list_tables())
    with refused(*DENIED, message="no permissions boundary allows"):
        lab.client("dynamodb", bounded).delete_table(TableName="ttt")


@pytest.mark.statement("iam.inline-now")
def test_inline_policies_count_as_soon_as_they_are_put_and_no_longer_when_they_are_deleted(lab, role):
    iam, dynamodb = lab.client("iam", "central"), lab.client("dynamodb", role)
    inline = let(lab, role, allow("dynamodb:ListTables"))
    lab.eventually(lambda: dynamodb.list_tables())
    assert inline in iam.list_role_policies(RoleName=role.name)["PolicyNames"]
    kept = iam.get_role_policy(RoleName=role.name, PolicyName=inline)["PolicyDocument"]
    assert kept["Statement"][0]["Action"] == "dynamodb:ListTables"
    iam.delete_role_policy(RoleName=role.name, PolicyName=inline)
    with refused(*DENIED):
        dynamodb.list_tables()
    with refused("NoSuchEntity"):
        iam.get_role_policy(RoleName=role.name, PolicyName=inline)


@pytest.mark.statement("iam.users")
def test_a_user_is_who_its_key_says_and_may_what_its_policies_say(lab):
    iam, name = lab.client("iam", "central"), lab.name("user", "-")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    lab.at_end(iam.delete_user, UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="in", PolicyDocument=document(allow("sqs:ListQueues")))
    lab.at_end(iam.delete_user_policy, UserName=name, PolicyName="in")
    key = iam.create_access_key(UserName=name)["AccessKey"]
    lab.at_end(iam.delete_access_key, UserName=name, AccessKeyId=key["AccessKeyId"])
    other = lab.name("other", "-")
    iam.create_user(UserName=other)
    lab.at_end(iam.delete_user, UserName=other)
    session = lab.session_of(key)
    assert lab.eventually(lambda: session.client("sts").get_caller_identity())["Arn"] == arn
    lab.eventually(lambda: session.client("sqs").list_queues())
    with refused(*DENIED, message=f"User: {arn} is not authorized"):
        session.client("dynamodb").list_tables()
    policy = managed(lab, "central", allow("dynamodb:*"))
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    lab.eventually(lambda: session.client("dynamodb").list_tables())
    iam.detach_user_policy(UserName=name, PolicyArn=policy)
    with refused("InvalidClientTokenId"):
        lab.session_of({**key, "SessionToken": "x"}).client("sts").get_caller_identity()
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    if lab.is_local:  # AWS's keys end after a while
        with refused("InvalidClientTokenId"):
            session.client("sts").get_caller_identity()


@pytest.mark.statement("iam.users")
def test_a_bucket_policy_names_a_user_and_knows_his_name(lab):
    iam, name, bucket = lab.client("iam", "central"), lab.name("user", "-"), lab.bucket("central")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    lab.at_end(iam.delete_user, UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    lab.at_end(iam.delete_access_key, UserName=name, AccessKeyId=key["AccessKeyId"])
    home = allow("s3:PutObject", f"arn:aws:s3:::{bucket}/home/${{aws:username}}/*", Principal={"AWS": arn})
    lab.eventually(lambda: lab.client("s3", "central").put_bucket_policy(Bucket=bucket, Policy=document(home)))
    s3 = lab.session_of(key).client("s3")
    lab.eventually(lambda: s3.put_object(Bucket=bucket, Key=f"home/{name}/a", Body=b""))
    with refused("AccessDenied"):
        s3.put_object(Bucket=bucket, Key="home/another/a", Body=b"")


@pytest.mark.statement("iam.identity-policy-form")
@pytest.mark.parametrize(
    "policy",
    [
        "{",
        document({"Effect": "Allow", "Resource": "*"}),
        document({"Effect": "Allow", "Action": "s3:*"}),
        document({"Effect": "Perhaps", "Action": "s3:*", "Resource": "*"}),
        document(allow("s3:*"), version="2020-01-01"),
        document(allow("s3:*", Condition={"StringSounds": {"aws:userid": "x"}})),
        document(allow("s3:*", Principal="*")),
        document(allow("s3:*", NotPrincipal={"AWS": "*"})),
    ],
)
def test_a_policy_of_an_identity_that_is_none_is_refused(lab, role, policy):
    iam = lab.client("iam", "central")
    with refused("MalformedPolicyDocument"):
        iam.put_role_policy(RoleName=role.name, PolicyName="broken", PolicyDocument=policy)
    with refused("MalformedPolicyDocument"):
        iam.create_policy(PolicyName=lab.name("broken", "-"), PolicyDocument=policy)


@pytest.mark.statement("iam.trust-form")
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ({"Resource": "*"}, "prohibited field Resource"),
        ({"NotResource": "arn:aws:s3:::x"}, "prohibited field Resource"),
        ({"Action": "s3:GetObject"}, "may only specify STS AssumeRole actions"),
        ({"Action": ["sts:AssumeRole", "iam:*"]}, "may only specify STS AssumeRole actions"),
        ({"Principal": None}, "Missing required field Principal"),
    ],
)
def test_a_trust_policy_says_who_may_assume_and_nothing_else(lab, role, statement, said):
    whole = {**trust(root(lab, "central")), **statement}
    broken = document({name: value for name, value in whole.items() if value is not None})
    iam = lab.client("iam", "central")
    with refused("MalformedPolicyDocument", message=said):
        iam.create_role(RoleName=lab.name("broken", "-"), AssumeRolePolicyDocument=broken)
    with refused("MalformedPolicyDocument", message=said):
        iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=broken)


@pytest.mark.statement("iam.trust-form")
def test_a_trust_policy_may_tag_sessions_and_spare_principals(lab, role):
    tagging = {**trust(root(lab, "central")), "Action": ["sts:AssumeRole", "sts:TagSession"]}
    closed = {"Effect": "Deny", "NotPrincipal": root(lab, "central"), "Action": "sts:AssumeRole"}
    policy = document(tagging, closed)
    lab.client("iam", "central").update_assume_role_policy(RoleName=role.name, PolicyDocument=policy)


@pytest.mark.statement("iam.names")
@pytest.mark.parametrize("name", ["with space", "with/slash", "ä"])
def test_names_have_only_some_characters(lab, role, name):
    iam, whole = lab.client("iam", "central"), document(trust(root(lab, "central")))
    with refused("ValidationError"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=whole)
    with refused("ValidationError"):
        iam.create_user(UserName=name)
    with refused("ValidationError"):
        iam.create_policy(PolicyName=name, PolicyDocument=document(allow("s3:*")))
    with refused("ValidationError"):
        iam.put_role_policy(RoleName=role.name, PolicyName=name, PolicyDocument=document(allow("s3:*")))


@pytest.mark.statement("iam.conflicts")
def test_what_is_there_already_what_is_missing_and_what_is_in_use(lab):
    iam = lab.client("iam", "central")
    whole = document(trust(root(lab, "central")))
    role = trusting(lab, "central", trust(root(lab, "central")))
    with refused("EntityAlreadyExists"):
        iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=whole)
    with refused("NoSuchEntity"):
        iam.get_role(RoleName=f"{role.name}x")
    with refused("NoSuchEntity"):
        iam.attach_role_policy(RoleName=role.name, PolicyArn=f"arn:aws:iam::{lab.account('central')}:policy/none-such")
    inline = let(lab, role, allow("s3:*"))
    with refused("DeleteConflict"):
        iam.delete_role(RoleName=role.name)
    iam.delete_role_policy(RoleName=role.name, PolicyName=inline)
    iam.delete_role(RoleName=role.name)


@pytest.mark.statement("iam.boundary")
def test_a_boundary_is_a_policy_that_there_is_and_stays_while_it_is_one(lab):
    iam = lab.client("iam", "central")
    none_such = f"arn:aws:iam::{lab.account('central')}:policy/none-such"
    with refused("NoSuchEntity", message="does not exist or is not attachable"):
        trusting(lab, "central", trust(root(lab, "central")), PermissionsBoundary=none_such)
    edge = managed(lab, "central", allow("s3:*"))
    role = trusting(lab, "central", trust(root(lab, "central")), PermissionsBoundary=edge)
    kept = iam.get_role(RoleName=role.name)["Role"]["PermissionsBoundary"]
    assert kept["PermissionsBoundaryArn"] == edge
    with refused("DeleteConflict"):
        iam.delete_policy(PolicyArn=edge)
    iam.delete_role_permissions_boundary(RoleName=role.name)
    iam.delete_policy(PolicyArn=edge)


@pytest.mark.statement("iam.roles-listed")
def test_roles_are_found_by_their_path_with_tags_and_duration(lab):
    iam, path = lab.client("iam", "central"), f"/{lab.name('sso', '-')}/eu-west-1/"
    role = trusting(
        lab, "central", trust(root(lab, "central")), Path=path, Description="reads", MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "mesh"}],
    )  # fmt: skip
    assert role.arn == f"arn:aws:iam::{lab.account('central')}:role{path}{role.name}"
    found = lab.eventually(lambda: iam.list_roles(PathPrefix=path, MaxItems=10)["Roles"])
    assert [(each["Arn"], each["Path"]) for each in found] == [(role.arn, path)]
    kept = iam.get_role(RoleName=role.name)["Role"]
    assert (kept["Description"], kept["MaxSessionDuration"]) == ("reads", 7200)
    assert kept["Tags"] == [{"Key": "team", "Value": "mesh"}]
    iam.update_role(RoleName=role.name, Description="writes", MaxSessionDuration=3600)
    assert iam.get_role(RoleName=role.name)["Role"]["Description"] == "writes"
    iam.untag_role(RoleName=role.name, TagKeys=["team"])
    assert iam.list_role_tags(RoleName=role.name)["Tags"] == []


# -- the simulator ------------------------------------------------------------------------------------------------


def simulated(lab, role, actions, *resources, **more):
    """{(action, resource): decision}, all pages."""
    pages = lab.client("iam", role.account).get_paginator("simulate_principal_policy")
    asked = {"PolicySourceArn": role.arn, "ActionNames": actions, "ResourceArns": list(resources), **more}
    return {
        (each["EvalActionName"], each["EvalResourceName"]): each["EvalDecision"]
        for page in pages.paginate(**asked)
        for each in page["EvaluationResults"]
    }


@pytest.mark.statement("iam.simulator")
def test_the_simulator_says_what_policies_allow_on_each_resource(lab):
    table = "arn:aws:glue:eu-west-1:123456789012:table/sales/orders"
    other = "arn:aws:glue:eu-west-1:123456789012:table/hr/people"
    may = (allow("glue:Get*", table), allow("s3:*"), deny("s3:DeleteObject"))
    role = trusting(lab, "central", trust(root(lab, "central")), may=may)
    lab.eventually(lambda: simulated(lab, role, ["glue:GetTable"], table) == {("glue:GetTable", table): "allowed"})
    assert simulated(lab, role, ["glue:GetTable", "glue:DeleteTable"], table, other) == {
        ("glue:GetTable", table): "allowed",
        ("glue:GetTable", other): "implicitDeny",
        ("glue:DeleteTable", table): "implicitDeny",
        ("glue:DeleteTable", other): "implicitDeny",
    }
    paged = simulated(lab, role, ["s3:GetObject", "s3:DeleteObject"], "*", PaginationConfig={"PageSize": 1})
    assert paged == {("s3:GetObject", "*"): "allowed", ("s3:DeleteObject", "*"): "explicitDeny"}
    boundary = managed(lab, "central", allow("s3:*"), deny("s3:PutObject"))
    lab.client("iam", "central").put_role_permissions_boundary(RoleName=role.name, PermissionsBoundary=boundary)
    lab.eventually(lambda: simulated(lab, role, ["glue:GetTable"], table) == {("glue:GetTable", table): "implicitDeny"})
    bounded = simulated(lab, role, ["s3:GetObject", "s3:PutObject"], "*")
    assert bounded == {("s3:GetObject", "*"): "allowed", ("s3:PutObject", "*"): "explicitDeny"}
    lab.client("iam", "central").delete_role_permissions_boundary(RoleName=role.name)


@pytest.mark.statement("iam.simulator-keys")
def test_the_simulator_names_the_condition_keys_that_it_was_not_given(lab):
    within = allow("s3:GetObject", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-any"}})
    role = trusting(lab, "central", trust(root(lab, "central")), may=(within,))

    def result(action):
        asked = {"PolicySourceArn": role.arn, "ActionNames": [action]}
        (found,) = lab.client("iam", "central").simulate_principal_policy(**asked)["EvaluationResults"]
        return found["EvalResourceName"], found["EvalDecision"], found["MissingContextValues"]

    lab.eventually(lambda: result("s3:GetObject") == ("*", "implicitDeny", ["aws:PrincipalOrgID"]))
    assert result("s3:PutObject") == ("*", "implicitDeny", [])


@pytest.mark.statement("iam.simulator-errors")
def test_who_is_not_there_cannot_be_simulated(lab):
    nobody = f"arn:aws:iam::{lab.account('central')}:role/nobody-of-this-name"
    with refused("NoSuchEntity"):
        lab.client("iam", "central").simulate_principal_policy(PolicySourceArn=nobody, ActionNames=["s3:GetObject"])
