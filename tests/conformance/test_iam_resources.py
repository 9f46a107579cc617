"""Policies of resources: buckets, queues, topics, keys and buses, at home and across accounts, and who they name."""

import json

import pytest
from botocore.exceptions import ClientError
from lab import refused
from policies import DENIED, allow, deny, document, key, let, queue, root, trust, trusting


@pytest.fixture(scope="module")
def idle(lab):
    """A role of the consumer that no policy of its own allows anything."""
    return trusting(lab, "consumer", trust(root(lab, "consumer")))


@pytest.fixture(scope="module")
def wide(lab):
    """A role of the consumer that may do everything that its account can allow."""
    return trusting(lab, "consumer", trust(root(lab, "consumer")), may=(allow("*"),))


def guarded_bucket(lab, *statements):
    """A new bucket of the central account with an object `a`, and a policy whose resources are below the bucket."""
    name = lab.bucket("central")
    lab.put("central", name, "a", "1")
    placed = [{**said, "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]} for said in statements]
    if placed:
        lab.client("s3", "central").put_bucket_policy(Bucket=name, Policy=document(*placed))
    return name


@pytest.mark.statement("iam.cross-account")
def test_another_accounts_bucket_takes_its_policy_and_the_callers(lab, idle, wide):
    closed = guarded_bucket(lab)
    with refused("AccessDenied", message="because no resource-based policy allows the s3:GetObject action"):
        lab.client("s3", wide).get_object(Bucket=closed, Key="a")
    opened = guarded_bucket(lab, allow(["s3:GetObject", "s3:PutObject"], Principal=root(lab, "consumer")))
    assert lab.client("s3", wide).get_object(Bucket=opened, Key="a")["Body"].read() == b"1"
    lab.client("s3", wide).put_object(Bucket=opened, Key="b", Body=b"2")
    with refused("AccessDenied", message="because no identity-based policy allows the s3:GetObject action"):
        lab.client("s3", idle).get_object(Bucket=opened, Key="a")
    named = guarded_bucket(lab, allow("s3:GetObject", Principal={"AWS": idle.arn}))
    with refused("AccessDenied", message="because no identity-based policy allows"):
        lab.client("s3", idle).get_object(Bucket=named, Key="a")
    with refused("AccessDenied", message="because no resource-based policy allows"):
        lab.client("s3", wide).get_object(Bucket=named, Key="a")


@pytest.mark.statement("iam.at-home")
def test_at_home_a_bucket_policy_alone_admits_a_named_role_but_not_by_its_account(lab):
    role = trusting(lab, "central", trust(root(lab, "central")))
    s3 = lab.client("s3", role)
    with refused("AccessDenied", message="because no identity-based policy allows"):
        s3.get_object(Bucket=guarded_bucket(lab, allow("s3:GetObject", Principal=root(lab, "central"))), Key="a")
    named = guarded_bucket(lab, allow("s3:GetObject", Principal={"AWS": role.arn}))
    lab.eventually(lambda: s3.get_object(Bucket=named, Key="a"))
    with refused("AccessDenied"):
        s3.put_object(Bucket=named, Key="a", Body=b"")


@pytest.mark.statement("iam.explicit-deny")
def test_a_bucket_policy_can_lock_out_the_administrator(lab):
    name = guarded_bucket(lab, deny("s3:GetObject", Principal="*"))
    s3 = lab.client("s3", "central")
    with refused("AccessDenied", message="with an explicit deny in a resource-based policy"):
        s3.get_object(Bucket=name, Key="a")
    s3.put_object(Bucket=name, Key="a", Body=b"2")
    s3.delete_bucket_policy(Bucket=name)
    lab.eventually(lambda: s3.get_object(Bucket=name, Key="a"))


@pytest.mark.statement("iam.not-principal")
def test_a_denial_of_all_but_some_spares_only_who_is_listed_with_account_and_role(lab):
    role = trusting(lab, "central", trust(root(lab, "central")), may=(allow("s3:*"),))
    account = f"arn:aws:iam::{lab.account('central')}:root"
    session = f"arn:aws:sts::{lab.account('central')}:assumed-role/{role.name}/local"

    def closed(*spared):
        said = {"Effect": "Deny", "Action": "s3:GetObject", "NotPrincipal": {"AWS": list(spared)}}
        return guarded_bucket(lab, said)

    with refused("AccessDenied", message="explicit deny in a resource-based policy"):
        lab.client("s3", role).get_object(Bucket=closed(role.arn), Key="a")
    if lab.is_local:  # whose sessions have this name
        spared = closed(account, lab.account("central"), role.arn, session)
        lab.client("s3", role).get_object(Bucket=spared, Key="a")


@pytest.mark.statement("iam.explanations")
def test_who_is_denied_hears_who_what_on_which_resource_and_why(lab, idle):
    me = f"arn:aws:sts::{lab.account('consumer')}:assumed-role/{idle.name}/"
    here = f"{lab.region}:{lab.account('consumer')}"
    with refused("AccessDeniedException", message=f"User: {me}") as caught:
        lab.client("dynamodb", idle).get_item(TableName="units", Key={"k": {"S": "1"}})
    assert caught.value.response["Error"]["Message"].partition(" is not ")[2] == (
        f"authorized to perform: dynamodb:GetItem on resource: arn:aws:dynamodb:{here}:table/units because no "
        "identity-based policy allows the dynamodb:GetItem action"
    )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    name = guarded_bucket(lab)
    with refused("AccessDenied", message=f'on resource: "arn:aws:s3:::{name}/a" because no'):
        lab.client("s3", idle).get_object(Bucket=name, Key="a")


@pytest.mark.statement("iam.explanations")
@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("iam", "list_roles", {}, "AccessDenied"),
        ("sns", "list_topics", {}, "AuthorizationError"),
        ("sqs", "list_queues", {}, "AccessDenied"),
        ("cloudformation", "list_stacks", {}, "AccessDenied"),
        ("cloudwatch", "list_metrics", {}, "AccessDenied"),
        ("kms", "list_keys", {}, "AccessDeniedException"),
        ("logs", "describe_log_groups", {}, "AccessDeniedException"),
        ("ssm", "describe_parameters", {}, "AccessDeniedException"),
        ("glue", "get_databases", {}, "AccessDeniedException"),
        ("lambda", "list_functions", {}, "AccessDeniedException"),
        ("stepfunctions", "list_state_machines", {}, "AccessDeniedException"),
    ],
)
def test_each_service_denies_under_its_own_code(lab, idle, service, operation, params, code):
    with refused(code, "AccessDenied" if service == "sqs" else code):
        getattr(lab.client(service, idle), operation)(**params)


# -- queues and topics ---------------------------------------------------------------------------------------------


@pytest.mark.statement("iam.cross-account", "sqs.policy")
def test_another_accounts_queue_is_used_through_its_policy(lab, wide, idle):
    said = allow(["sqs:SendMessage", "sqs:GetQueueAttributes"], Principal=root(lab, "consumer"))
    url, _ = queue(lab, "central", Policy=document(said))
    sqs = lab.client("sqs", wide)
    sqs.send_message(QueueUrl=url, MessageBody="from the consumer")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "and again"}])
    with refused(*DENIED, message="sqs:ReceiveMessage"):
        sqs.receive_message(QueueUrl=url)
    with refused(*DENIED, message="no identity-based policy"):
        lab.client("sqs", idle).send_message(QueueUrl=url, MessageBody="x")
    with refused(*DENIED):
        lab.client("sqs", "producer").send_message(QueueUrl=url, MessageBody="x")
    got = lab.client("sqs", "central").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(each["Body"] for each in got) == ["and again", "from the consumer"]


@pytest.mark.statement("iam.at-home", "sqs.policy")
def test_at_home_a_queues_policy_alone_admits_a_named_role(lab):
    role = trusting(lab, "central", trust(root(lab, "central")))
    url, _ = queue(lab, "central", Policy=document(allow("sqs:SendMessage", Principal={"AWS": role.arn})))
    lab.eventually(lambda: lab.client("sqs", role).send_message(QueueUrl=url, MessageBody="x"))
    with refused(*DENIED):
        lab.client("sqs", role).purge_queue(QueueUrl=url)


@pytest.fixture
def topic(lab):
    sns = lab.client("sns", "central")
    arn = sns.create_topic(Name=lab.name("topic", "-"))["TopicArn"]
    lab.at_end(sns.delete_topic, TopicArn=arn)
    return arn


@pytest.mark.statement("iam.cross-account", "services.topic-policy")
def test_a_topic_is_its_owners_until_its_policy_admits_another_account(lab, wide, topic):
    publish = {"TopicArn": topic, "Message": "m"}
    with refused("AuthorizationError", message="no resource-based policy allows the sns:Publish action"):
        lab.client("sns", wide).publish(**publish)
    said = allow("sns:Publish", topic, Principal=root(lab, "consumer"))
    sns = lab.client("sns", "central")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(said))
    lab.eventually(lambda: lab.client("sns", wide).publish(**publish))
    sns.publish(**publish)
    with refused("AuthorizationError"):
        lab.client("sns", wide).get_topic_attributes(TopicArn=topic)


@pytest.mark.statement("services.topic-delivers", "iam.source-arn")
def test_a_topic_delivers_to_queues_whose_policy_admits_it_and_silently_not_to_others(lab, topic):
    sns, sqs = lab.client("sns", "central"), lab.client("sqs", "central")
    account = lab.account("central")

    def admits(**condition):
        service = {"Service": "sns.amazonaws.com"}
        return document(allow("sqs:SendMessage", Principal=service, Condition=condition))

    policies = {
        "by arn": admits(ArnEquals={"aws:SourceArn": topic}),
        "by account": admits(StringEquals={"aws:SourceAccount": account}),
        "another arn": admits(ArnEquals={"aws:SourceArn": f"{topic}-2"}),
        "another account": admits(StringEquals={"aws:SourceAccount": lab.account("consumer")}),
        "another service": admits().replace("sns.amazonaws.com", "events.amazonaws.com"),
        "another action": admits().replace("sqs:SendMessage", "sqs:ReceiveMessage"),
        "none": "",
    }
    urls = {}
    for name, policy in policies.items():
        urls[name], arn = queue(lab, "central", **({"Policy": policy} if policy else {}))
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="down")

    def received(url):
        return [json.loads(each["Body"])["Message"] for each in sqs.receive_message(QueueUrl=url).get("Messages", [])]

    lab.eventually(lambda: received(urls["by arn"]) == ["down"])
    assert {name: received(url) for name, url in urls.items() if name != "by arn"} == {
        "by account": ["down"], "another arn": [], "another account": [], "another service": [],
        "another action": [], "none": [],
    }  # fmt: skip


@pytest.mark.statement("sqs.encrypted-delivery")
@pytest.mark.local_only("a refused delivery shows on AWS only as a metric")
def test_a_service_needs_the_key_of_an_encrypted_queue_and_cannot_have_awss_own(lab, topic):
    sns, sqs, kms = (lab.client(service, "central") for service in ("sns", "sqs", "kms"))
    service = {"Service": "sns.amazonaws.com"}
    key_id, _ = key(lab, "central")
    url, arn = queue(
        lab, "central", Policy=document(allow("sqs:SendMessage", Principal=service)), KmsMasterKeyId=key_id
    )
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def arrives():
        sns.publish(TopicArn=topic, Message="m")
        return "Messages" in sqs.receive_message(QueueUrl=url)

    own = allow("kms:*", Principal=root(lab, "central"))
    assert not arrives()
    needed = ["kms:GenerateDataKey*", "kms:Decrypt"]
    for actions, enough in ((needed[0], False), (needed[1], False), (needed, True)):
        policy = document(own, allow(actions, Principal=service))
        kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=policy)
        assert arrives() is enough
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "alias/aws/sqs"})
    assert not arrives()
    assert any("AWS managed key" in line["text"] for line in lab.aws.world.activity_after(0))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": ""})
    assert arrives()


# -- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("services.key-policy")
def test_a_keys_policy_decides_even_at_home_and_the_default_one_leaves_it_to_iam(lab):
    kms = lab.client("kms", "central")
    key_id, arn = key(lab, "central")
    crypt = trusting(lab, "central", trust(root(lab, "central")), may=(allow("kms:*"),))
    nobody = trusting(lab, "central", trust(root(lab, "central")))
    encrypt = {"KeyId": key_id, "Plaintext": b"secret"}
    sealed = lab.eventually(lambda: lab.client("kms", crypt).encrypt(**encrypt))["CiphertextBlob"]
    assert lab.client("kms", crypt).decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    with refused("AccessDeniedException", message="no identity-based policy allows the kms:Encrypt action"):
        lab.client("kms", nobody).encrypt(**encrypt)
    me = lab.client("sts", "central").get_caller_identity()["Arn"]
    mine = allow("kms:*", Principal={"AWS": me})
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=document(mine))
    with refused("AccessDeniedException", message="no resource-based policy allows the kms:Decrypt action"):
        lab.client("kms", crypt).decrypt(CiphertextBlob=sealed)
    with refused("AccessDeniedException", message=arn):
        lab.client("kms", crypt).describe_key(KeyId=arn)
    named = allow("kms:Decrypt", Principal={"AWS": [nobody.arn]})
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=document(mine, named))
    opened = lab.eventually(lambda: lab.client("kms", nobody).decrypt(CiphertextBlob=sealed))
    assert opened["Plaintext"] == b"secret"
    alias = f"alias/{lab.name('key', '-')}"
    kms.create_alias(AliasName=alias, TargetKeyId=key_id)
    lab.at_end(kms.delete_alias, AliasName=alias)
    with refused("AccessDeniedException", message=f"kms:Encrypt on resource: {arn}"):
        lab.client("kms", crypt).encrypt(KeyId=alias, Plaintext=b"x")


@pytest.mark.statement("services.key-cross-account")
def test_another_accounts_key_takes_both_policies(lab, wide, idle):
    both = [allow("kms:*", Principal=root(lab, who)) for who in ("central", "consumer")]
    _, open_key = key(lab, "central", Policy=document(*both))
    _, closed_key = key(lab, "central")
    kms = lab.client("kms", wide)
    sealed = lab.eventually(lambda: kms.encrypt(KeyId=open_key, Plaintext=b"x"))["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed, KeyId=open_key)["Plaintext"] == b"x"
    with refused("AccessDeniedException", message="no resource-based policy"):
        kms.encrypt(KeyId=closed_key, Plaintext=b"x")
    with refused("AccessDeniedException", message="no identity-based policy"):
        lab.client("kms", idle).encrypt(KeyId=open_key, Plaintext=b"x")


@pytest.mark.statement("services.key-lockout")
def test_a_key_policy_must_let_its_author_set_it_again(lab):
    kms = lab.client("kms", "central")
    locked = document(allow("kms:*", Principal=root(lab, "consumer")))
    with refused("MalformedPolicyDocumentException", message="will not allow you to update the key policy"):
        kms.create_key(Policy=locked)
    key_id, _ = key(lab, "central")
    with refused("MalformedPolicyDocumentException", message="will not allow you to update the key policy"):
        kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=locked)
    use = document(allow(["kms:Encrypt", "kms:Decrypt"], Principal=root(lab, "central")))
    with refused("MalformedPolicyDocumentException"):
        kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=use)
    mine = document(allow("kms:*", Principal={"AWS": lab.client("sts", "central").get_caller_identity()["Arn"]}))
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=mine)
    own = document(allow("kms:*", Principal=root(lab, "central")))
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=own)


@pytest.mark.statement("services.key-lockout")
@pytest.mark.local_only("it leaves a key that nobody can delete")
def test_the_lockout_check_can_be_bypassed(lab):
    kms = lab.client("kms", "central")
    key_id, _ = key(lab, "central")
    locked = document(allow("kms:*", Principal=root(lab, "consumer")))
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=locked, BypassPolicyLockoutSafetyCheck=True)
    with refused("AccessDeniedException"):
        kms.describe_key(KeyId=key_id)
    made = kms.create_key(Policy=locked, BypassPolicyLockoutSafetyCheck=True)["KeyMetadata"]["KeyId"]
    with refused("AccessDeniedException"):
        kms.encrypt(KeyId=made, Plaintext=b"x")
    unclear = document(allow("kms:*", Principal="*", Condition={"StringEquals": {"kms:MoonPhase": "full"}}))
    with refused("LocalAwsNotSupported", message="kms:moonphase"):
        kms.create_key(Policy=unclear)


# -- whom a policy names ------------------------------------------------------------------------------------------


@pytest.mark.statement("iam.principals-exist")
def test_policies_of_resources_cannot_name_who_does_not_exist(lab, topic):
    gone = {"AWS": [lab.account("consumer"), f"arn:aws:iam::{lab.account('consumer')}:role/{lab.name('gone', '-')}"]}
    name = lab.bucket("central")
    with refused("MalformedPolicy", message="invalid principal in policy"):
        said = allow("s3:GetObject", f"arn:aws:s3:::{name}/*", Principal=gone)
        lab.client("s3", "central").put_bucket_policy(Bucket=name, Policy=document(said))
    url, _ = queue(lab, "central")
    said = allow("sqs:SendMessage", Principal=gone)
    with refused("InvalidAttributeValue", message="invalid value for the parameter policy"):
        lab.client("sqs", "central").set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(said)})
    with refused("InvalidParameter", message="PrincipalNotFound"):
        lab.client("sns", "central").set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue=document(allow("sns:Publish", Principal=gone))
        )
    key_id, _ = key(lab, "central")
    with refused("MalformedPolicyDocumentException", message="one or more invalid principals"):
        own = allow("kms:*", Principal=root(lab, "central"))
        policy = document(own, allow("kms:Decrypt", Principal=gone))
        lab.client("kms", "central").put_key_policy(KeyId=key_id, PolicyName="default", Policy=policy)


@pytest.mark.statement("iam.policy-json")
@pytest.mark.parametrize("text", ["{", "[]", '"text"'])
def test_a_policy_is_a_json_object(lab, text):
    url, _ = queue(lab, "central")
    with refused("InvalidAttributeValue"):
        lab.client("sqs", "central").set_queue_attributes(QueueUrl=url, Attributes={"Policy": text})
    with refused("MalformedPolicy"):
        lab.client("s3", "central").put_bucket_policy(Bucket=lab.bucket("central"), Policy=text)
    with refused("MalformedPolicyDocument"):
        lab.client("iam", "central").create_role(RoleName=lab.name("r", "-"), AssumeRolePolicyDocument=text)


@pytest.mark.statement("iam.unique-ids")
def test_queues_topics_and_keys_too_do_not_know_a_role_that_was_made_again(lab, topic):
    role = trusting(lab, "consumer", trust(root(lab, "consumer")), may=(allow("*"),))
    iam = lab.client("iam", "consumer")
    session = f"arn:aws:sts::{lab.account('consumer')}:assumed-role/{role.name}/local"
    url, _ = queue(lab, "central", Policy=document(allow("sqs:SendMessage", Principal={"AWS": role.arn})))
    by_session, _ = queue(lab, "central", Policy=document(allow("sqs:SendMessage", Principal={"AWS": session})))
    said = allow("sns:Publish", Principal={"AWS": [role.arn]})
    lab.client("sns", "central").set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=document(said)
    )
    own = allow("kms:*", Principal=root(lab, "central"))
    new_key = document(own, allow("kms:*", Principal={"AWS": role.arn}))
    _, at_creation = key(lab, "central", Policy=new_key)
    denied = {"Effect": "Deny", "Action": "sqs:*", "Resource": "*", "Principal": {"AWS": role.arn}}
    everybody = allow("sqs:SendMessage", Principal=root(lab, "consumer"))
    not_him, _ = queue(lab, "central", Policy=document(denied, everybody))

    def reaches(client):
        codes = []
        for call, params in (
            (client("sqs").send_message, {"QueueUrl": url, "MessageBody": "x"}),
            (client("sqs").send_message, {"QueueUrl": by_session, "MessageBody": "x"}),
            (client("sns").publish, {"TopicArn": topic, "Message": "x"}),
            (client("kms").encrypt, {"KeyId": at_creation, "Plaintext": b"x"}),
            (client("sqs").send_message, {"QueueUrl": not_him, "MessageBody": "x"}),
        ):
            try:
                call(**params)
                codes.append(True)
            except ClientError as error:
                assert error.response["Error"]["Code"] in DENIED
                codes.append(False)
        return codes

    before = reaches(lambda service: lab.client(service, role))
    assert before in ([True, True, True, True, False], [True, False, True, True, False])
    for inline in iam.list_role_policies(RoleName=role.name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role.name, PolicyName=inline)
    iam.delete_role(RoleName=role.name)
    iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=document(trust(root(lab, "consumer"))))
    let(lab, role, allow("*"))
    sts = lab.client("sts", "consumer")
    given = lab.eventually(lambda: sts.assume_role(RoleArn=role.arn, RoleSessionName="local"))["Credentials"]
    assert reaches(lambda service: lab.session_of(given).client(service)) == [False, False, False, False, True]


@pytest.mark.statement("iam.put-events-one-by-one")
def test_events_for_a_bus_that_does_not_admit_the_sender_fail_one_by_one(lab):
    events = lab.client("events", "consumer")
    buses = {}
    for name in ("open", "closed"):
        bus = lab.name(name, "-")
        buses[name] = events.create_event_bus(Name=bus)["EventBusArn"]
        lab.at_end(events.delete_event_bus, Name=bus)
    said = allow("events:PutEvents", buses["open"], Principal=root(lab, "central"), Sid="in")
    events.put_permission(EventBusName=buses["open"].rpartition("/")[2], Policy=document(said))
    may = allow("events:PutEvents", list(buses.values()))
    sender = trusting(lab, "central", trust(root(lab, "central")), may=(may,))
    mute = trusting(lab, "central", trust(root(lab, "central")))
    entry = {"Source": "tagmesh", "DetailType": "DataProductPublished", "Detail": "{}"}
    entries = [{**entry, "EventBusName": buses[name]} for name in ("closed", "open", "closed")]
    answer = lab.eventually(lambda: lab.client("events", sender).put_events(Entries=entries))
    assert answer["FailedEntryCount"] == 2
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [
        "AccessDeniedException", None, "AccessDeniedException",
    ]  # fmt: skip
    assert "EventId" in answer["Entries"][1]
    with refused("AccessDeniedException", message="no identity-based policy"):
        lab.client("events", mute).put_events(Entries=entries[1:2])
