"""Who may become whom: trust policies, external ids, chained roles, and how long a session lasts."""

import pytest
from lab import Role, refused
from policies import DENIED, allow, assume, deny, document, let, narrowed, root, trust, trusting

from local_aws.wire import AwsError


def not_trusted(lab, who, role, **more):
    with refused("AccessDenied", message=f"is not authorized to perform: sts:AssumeRole on resource: {role.arn}"):
        assume(lab, who, role, **more)


@pytest.mark.statement("iam.caller-identity")
def test_the_caller_is_the_session_of_the_role_that_was_assumed(lab):
    role = trusting(lab, "consumer", trust(root(lab, "central")), Path="/mesh/")
    given = lab.eventually(lambda: assume(lab, "central", role, session="link"))
    account = lab.account("consumer")
    arn = f"arn:aws:sts::{account}:assumed-role/{role.name}/link"
    assert given["AssumedRoleUser"]["Arn"] == arn
    me = lab.session_of(given["Credentials"]).client("sts").get_caller_identity()
    assert (me["Account"], me["Arn"]) == (account, arn)
    unique = lab.client("iam", "consumer").get_role(RoleName=role.name)["Role"]["RoleId"]
    assert me["UserId"] == given["AssumedRoleUser"]["AssumedRoleId"] == f"{unique}:link"


@pytest.mark.statement("iam.assume-both-sides")
def test_across_accounts_the_trust_policy_and_the_callers_own_policy_must_allow(lab):
    target = trusting(lab, "consumer", trust(root(lab, "central")))
    may = trusting(lab, "central", trust(root(lab, "central")), may=(allow("sts:AssumeRole", target.arn),))
    may_not = trusting(lab, "central", trust(root(lab, "central")), may=(allow("s3:*"),))
    lab.eventually(lambda: assume(lab, may, target))
    not_trusted(lab, may_not, target)
    not_trusted(lab, "producer", target)
    stranger = trusting(lab, "consumer", trust(root(lab, "consumer")))
    not_trusted(lab, "central", stranger)
    not_trusted(lab, "central", Role("consumer", "nobody", f"{target.arn}X"))


@pytest.mark.statement("iam.assume-at-home")
def test_at_home_a_named_principal_needs_no_policy_of_its_own_but_the_root_only_delegates(lab):
    caller = trusting(lab, "central", trust(root(lab, "central")))
    named = trusting(lab, "central", trust({"AWS": caller.arn}))
    delegated = trusting(lab, "central", trust(root(lab, "central")))
    lab.eventually(lambda: assume(lab, caller, named))
    not_trusted(lab, caller, delegated)
    let(lab, caller, allow("sts:AssumeRole", delegated.arn))
    lab.eventually(lambda: assume(lab, caller, delegated))


@pytest.mark.statement("iam.assume-at-home")
def test_own_permission_without_trust_is_not_enough(lab):
    caller = trusting(lab, "central", trust(root(lab, "central")), may=(allow("sts:*"),))
    for_a_service = trusting(lab, "central", trust({"Service": "lambda.amazonaws.com"}))
    not_trusted(lab, caller, for_a_service)
    itself = trusting(lab, "central", trust({"AWS": caller.arn}), may=(allow("sts:*"),))
    not_trusted(lab, itself, itself)


@pytest.mark.statement("iam.trust-conditions", "iam.external-id", "iam.principal-arn")
@pytest.mark.parametrize(
    ("condition", "external_id", "admitted"),
    [
        ({"StringEquals": {"sts:ExternalId": "tagmesh-1"}}, "tagmesh-1", True),
        ({"StringEquals": {"sts:ExternalId": "tagmesh-1"}}, "guess-1", False),
        ({"StringEquals": {"sts:ExternalId": "tagmesh-1"}}, None, False),
        ({"ArnEquals": {"aws:PrincipalArn": "{caller}"}}, None, True),
        ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::000000000000:role/Other"}}, None, False),
        ({"StringEquals": {"sts:RoleSessionName": "conformance"}}, None, True),
        ({"StringEquals": {"sts:RoleSessionName": "another"}}, None, False),
        ({"StringEquals": {"aws:PrincipalTag/team": "mesh"}}, None, True),
        ({"StringEquals": {"aws:PrincipalTag/team": "other"}}, None, False),
        ({"Null": {"aws:SourceAccount": "false"}}, None, False),
    ],
)
def test_the_conditions_of_a_trust_policy_decide(lab, condition, external_id, admitted):
    caller = trusting(
        lab, "central", trust(root(lab, "central")), may=(allow("sts:*"),), Path="/mesh/",
        Tags=[{"Key": "team", "Value": "mesh"}],
    )  # fmt: skip
    filled = {
        operator: {key: wanted.replace("{caller}", caller.arn) for key, wanted in keys.items()}
        for operator, keys in condition.items()
    }
    target = trusting(lab, "consumer", trust(root(lab, "central"), **filled))
    given = {"ExternalId": external_id} if external_id else {}
    if admitted:
        lab.eventually(lambda: assume(lab, caller, target, **given))
    else:
        not_trusted(lab, caller, target, **given)


@pytest.mark.statement("iam.organization-id")
@pytest.mark.local_only("accounts are put into an organization")
def test_the_organizations_id_is_its_members_and_never_an_outsiders(lab):
    lab.organization("central", "consumer")
    inside = {"StringEquals": {"aws:PrincipalOrgID": "o-conformance"}}
    target = trusting(lab, "consumer", trust({"AWS": "*"}, **inside))
    assume(lab, "central", target)
    not_trusted(lab, "outsider", target)
    other = trusting(lab, "consumer", trust({"AWS": "*"}, StringEquals={"aws:PrincipalOrgID": "o-other"}))
    not_trusted(lab, "central", other)
    s3, name = lab.client("s3", "consumer"), lab.bucket("consumer")
    s3.put_bucket_policy(
        Bucket=name,
        Policy=document(allow("s3:ListBucket", f"arn:aws:s3:::{name}", Principal="*", Condition=inside)),
    )
    lab.client("s3", "central").list_objects_v2(Bucket=name)
    with refused("AccessDenied"):
        lab.client("s3", "outsider").list_objects_v2(Bucket=name)
    caller = trusting(
        lab,
        "central",
        trust(root(lab, "central")),
        may=(allow("s3:*", Condition={"StringEquals": {"aws:ResourceOrgID": "o-conformance"}}),),
    )
    lab.client("s3", caller).list_objects_v2(Bucket=name)
    lab.organization()
    with refused("AccessDenied"):
        lab.client("s3", caller).list_objects_v2(Bucket=name)


@pytest.mark.statement("iam.explicit-deny", "iam.principal-elements")
def test_a_denying_statement_of_a_trust_policy_wins(lab):
    closed = {**trust(root(lab, "consumer")), "Effect": "Deny"}
    target = trusting(lab, "central", trust({"AWS": "*"}), closed)
    lab.eventually(lambda: assume(lab, "producer", target))
    with refused("AccessDenied"):
        assume(lab, "consumer", target)


@pytest.mark.statement("iam.principals-exist")
def test_a_trust_policy_that_names_nobody_who_exists_is_refused(lab):
    iam, name = lab.client("iam", "central"), lab.name("role", "-")
    gone = f"arn:aws:iam::{lab.account('consumer')}:role/{name}"
    with refused("MalformedPolicyDocument", message="invalid principal in policy"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust({"AWS": [gone]})))
    role = trusting(lab, "central", trust(root(lab, "central")))
    with refused("MalformedPolicyDocument", message="invalid principal in policy"):
        iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=document(trust({"AWS": gone})))
    user = f"arn:aws:iam::{lab.account('consumer')}:user/{name}"
    with refused("MalformedPolicyDocument", message="invalid principal in policy"):
        iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=document(trust({"AWS": user})))
    session = f"arn:aws:sts::{lab.account('consumer')}:assumed-role/{name}/x"
    with refused("MalformedPolicyDocument", message="invalid principal in policy"):
        iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=document(trust({"AWS": session})))


@pytest.mark.statement("iam.unique-ids")
def test_a_role_deleted_and_made_again_is_no_longer_the_one_that_policies_named(lab):
    caller = trusting(lab, "central", trust(root(lab, "central")), may=(allow(["sts:*", "s3:*"]),))
    target = trusting(lab, "consumer", trust({"AWS": caller.arn}))
    by_condition = trusting(
        lab, "consumer", trust(root(lab, "central"), ArnEquals={"aws:PrincipalArn": caller.arn})
    )  # fmt: skip
    s3, name = lab.client("s3", "consumer"), lab.bucket("consumer")
    said = document(allow("s3:ListBucket", f"arn:aws:s3:::{name}", Principal={"AWS": caller.arn}))
    s3.put_bucket_policy(Bucket=name, Policy=said)
    lab.eventually(lambda: assume(lab, caller, target))
    lab.eventually(lambda: lab.client("s3", caller).list_objects_v2(Bucket=name))

    iam = lab.client("iam", "central")
    for inline in iam.list_role_policies(RoleName=caller.name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=caller.name, PolicyName=inline)
    iam.delete_role(RoleName=caller.name)
    iam.create_role(RoleName=caller.name, AssumeRolePolicyDocument=document(trust(root(lab, "central"))))
    let(lab, caller, allow(["sts:*", "s3:*"]))

    again = lab.session_of(lab.eventually(lambda: assume(lab, "central", caller))["Credentials"])
    parameters = {"RoleArn": target.arn, "RoleSessionName": "x1"}
    with refused("AccessDenied"):
        again.client("sts").assume_role(**parameters)
    with refused("AccessDenied", message="no resource-based policy allows"):
        again.client("s3").list_objects_v2(Bucket=name)
    lab.eventually(lambda: again.client("sts").assume_role(**{**parameters, "RoleArn": by_condition.arn}))
    s3.put_bucket_policy(Bucket=name, Policy=said)
    lab.eventually(lambda: again.client("s3").list_objects_v2(Bucket=name))


@pytest.mark.statement("iam.sessions-end")
@pytest.mark.local_only("AWS lets a deleted role's sessions fail only after a while")
def test_the_sessions_of_a_deleted_role_are_nobodys_even_if_it_is_made_again(lab):
    role = trusting(lab, "central", trust(root(lab, "central")))
    sts = lab.client("sts", role)
    sts.get_caller_identity()
    iam = lab.client("iam", "central")
    iam.delete_role(RoleName=role.name)
    with refused("InvalidClientTokenId"):
        sts.get_caller_identity()
    iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=document(trust(root(lab, "central"))))
    with refused("InvalidClientTokenId"):
        sts.get_caller_identity()


@pytest.mark.statement("iam.conflicts")
@pytest.mark.local_only("sessions are given out without AssumeRole")
def test_there_are_no_sessions_of_roles_that_do_not_exist_or_of_users(lab):
    account, name = lab.account("central"), lab.name("user", "-")
    lab.client("iam", "central").create_user(UserName=name)
    for who in ("Nobody", f"arn:aws:iam::{account}:role/Nobody", f"arn:aws:iam::{account}:user/{name}"):
        with pytest.raises(AwsError, match="NoSuchEntity"):
            lab.aws.session(account, who)


@pytest.mark.statement("iam.session-duration")
def test_how_long_a_session_may_last(lab):
    target = trusting(lab, "central", trust(root(lab, "central")), MaxSessionDuration=7200)
    caller = trusting(lab, "central", trust(root(lab, "central")), may=(allow("sts:AssumeRole"),))
    assume(lab, "central", target, DurationSeconds=900)
    assume(lab, "central", target, DurationSeconds=7200)
    with refused("ValidationError", message="MaxSessionDuration set for this role"):
        assume(lab, "central", target, DurationSeconds=7201)
    with refused("ValidationError"):
        assume(lab, "central", trusting(lab, "central", trust(root(lab, "central"))), DurationSeconds=3601)
    lab.eventually(lambda: assume(lab, caller, target, DurationSeconds=3600))
    with refused("ValidationError", message="1 hour session limit for roles assumed by role chaining"):
        assume(lab, caller, target, DurationSeconds=3601)


@pytest.mark.statement("iam.session-name")
@pytest.mark.parametrize("name", ["a b", "ä1", "a/b", "a" * 65])
def test_the_name_of_a_session_has_only_some_characters(lab, name):
    with refused("ValidationError"):
        assume(lab, "central", Role("central", "any", _role(lab).arn), session=name)


def _role(lab, kept={}):  # noqa: B006 - kept on purpose: one role for all names
    if lab not in kept:
        kept[lab] = trusting(lab, "central", trust(root(lab, "central")))
    return kept[lab]


@pytest.mark.statement("iam.session-policy")
def test_a_session_policy_must_be_a_policy_of_at_most_2048_characters(lab):
    def passing(policy):
        return assume(lab, "central", _role(lab), Policy=policy)

    with refused("MalformedPolicyDocument"):
        passing("{")
    with refused("MalformedPolicyDocument"):
        passing(document({"Effect": "Allow", "Resource": "*"}))
    longest = document(allow("s3:*", Sid="x"))
    longest = document(allow("s3:*", Sid="x" * (2049 - len(longest))))
    assert passing(longest)
    with refused("ValidationError", message="length less than or equal to 2048"):
        passing(longest.replace("xx", "xxx", 1))


@pytest.mark.statement("iam.sessions-end")
@pytest.mark.local_only("an hour passes")
def test_a_sessions_credentials_end_with_its_time(lab):
    given = assume(lab, "central", _role(lab), DurationSeconds=900)["Credentials"]
    session = lab.session_of(given)
    lab.aws.world.advance(880)
    session.client("sts").get_caller_identity()
    lab.aws.world.advance(30)
    with refused("ExpiredToken"):
        session.client("sts").get_caller_identity()
    with refused("ExpiredTokenException"):
        session.client("dynamodb").list_tables()
    with refused("ExpiredToken"):
        session.client("s3").list_buckets()


@pytest.mark.statement("iam.session-names-get-more")
def test_a_policy_that_names_a_session_is_not_narrowed_by_its_session_policy(lab):
    role = trusting(lab, "central", trust(root(lab, "central")))
    account = lab.account("central")
    session = f"arn:aws:sts::{account}:assumed-role/{role.name}/conformance"
    s3, name = lab.client("s3", "central"), lab.bucket("central")

    def admit(principal):
        said = allow("s3:ListBucket", f"arn:aws:s3:::{name}", Principal=principal)
        s3.put_bucket_policy(Bucket=name, Policy=document(said))

    admit({"AWS": role.arn})
    with refused("AccessDenied", message="because no session policy allows"):
        narrowed(lab, role, "s3", allow("sqs:*")).list_objects_v2(Bucket=name)
    narrowed(lab, role, "s3", allow("s3:*")).list_objects_v2(Bucket=name)
    admit({"AWS": session})
    lab.eventually(lambda: narrowed(lab, role, "s3", allow("sqs:*")).list_objects_v2(Bucket=name))
    with refused("AccessDenied", message="explicit deny in a session policy"):
        narrowed(lab, role, "s3", deny("s3:*")).list_objects_v2(Bucket=name)
    theirs = lab.bucket("consumer")
    said = allow("s3:ListBucket", f"arn:aws:s3:::{theirs}", Principal={"AWS": session})
    lab.client("s3", "consumer").put_bucket_policy(Bucket=theirs, Policy=document(said))
    wide = let(lab, role, allow("s3:*"))
    lab.eventually(lambda: narrowed(lab, role, "s3", allow("s3:*")).list_objects_v2(Bucket=theirs))
    with refused("AccessDenied", message="because no session policy allows"):
        narrowed(lab, role, "s3", allow("sqs:*")).list_objects_v2(Bucket=theirs)
    lab.client("iam", "central").delete_role_policy(RoleName=role.name, PolicyName=wide)
    s3.delete_public_access_block(Bucket=name)
    admit("*")
    with refused("AccessDenied", message="because no session policy allows"):
        narrowed(lab, role, "s3", allow("sqs:*")).list_objects_v2(Bucket=name)


@pytest.mark.statement("iam.temporary-credentials")
def test_temporary_credentials_need_their_token(lab):
    given = assume(lab, "central", _role(lab))["Credentials"]
    with refused("InvalidClientTokenId"):
        lab.session_of({**given, "SessionToken": "another"}).client("sts").get_caller_identity()
    with refused("InvalidClientTokenId"):
        lab.session_of({**given, "SessionToken": None}).client("sts").get_caller_identity()
    with refused("UnrecognizedClientException"):
        lab.session_of({**given, "SessionToken": None}).client("dynamodb").list_tables()
    with refused("InvalidToken", "InvalidAccessKeyId"):
        lab.session_of({**given, "SessionToken": "another"}).client("s3").list_buckets()


@pytest.mark.statement("iam.pass-role")
def test_to_pass_a_role_to_a_service_takes_permission_for_that_role_and_service(lab):
    passed = trusting(lab, "central", trust({"Service": "states.amazonaws.com"}))
    may = allow("iam:PassRole", passed.arn, Condition={"StringEquals": {"iam:PassedToService": "states.amazonaws.com"}})
    deployer = trusting(
        lab, "central", trust(root(lab, "central")), may=(allow(["states:*", "events:*", "sqs:*"]), may)
    )
    careless = trusting(lab, "central", trust(root(lab, "central")), may=(allow("states:*"),))
    machine = {
        "name": lab.name("machine", "-"),
        "roleArn": passed.arn,
        "definition": '{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}',
    }
    with refused("AccessDeniedException", message=f"iam:PassRole on resource: {passed.arn}"):
        lab.client("stepfunctions", careless).create_state_machine(**machine)
    states = lab.client("stepfunctions", deployer)
    made = lab.eventually(lambda: states.create_state_machine(**machine))["stateMachineArn"]
    lab.at_end(states.delete_state_machine, stateMachineArn=made)
    rule = lab.name("rule", "-")
    target = {"Id": "1", "Arn": made, "RoleArn": passed.arn}
    with refused("AccessDeniedException", message="iam:PassRole"):
        lab.client("events", deployer).put_targets(Rule=rule, Targets=[target])
    with refused("AccessDeniedException", message="Cross-account pass role is not allowed"):
        elsewhere = passed.arn.replace(lab.account("central"), lab.account("consumer"))
        lab.client("stepfunctions", "central").create_state_machine(**{**machine, "roleArn": elsewhere})


@pytest.mark.statement("iam.identity-policies")
def test_without_any_policy_a_role_may_do_nothing_but_ask_who_it_is(lab):
    role = trusting(lab, "central", trust(root(lab, "central")))
    lab.client("sts", role).get_caller_identity()
    with refused(*DENIED, message="because no identity-based policy allows the dynamodb:ListTables action"):
        lab.client("dynamodb", role).list_tables()
