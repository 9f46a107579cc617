"""Nothing is silently accepted: what the local AWS does not do is refused by name before anything happens."""

import gzip
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.session import get_session
from lab import refused
from policies import allow, document, queue, root, trust, trusting

from local_aws import allowed
from local_aws.allowed import entries, seen

ROOT = Path(__file__).parent.parent.parent
HERE_ONLY = "the allow-list is the local AWS's own"


@pytest.mark.statement("allowlist.refused")
@pytest.mark.local_only(HERE_ONLY)
@pytest.mark.parametrize(
    ("service", "operation", "params", "named"),
    [
        ("ec2", "describe_instances", {}, "the local AWS has no ec2 (there is no file local_aws/allowed/ec2.yaml)"),
        ("organizations", "list_accounts", {}, "does not do organizations:ListAccounts"),
        ("dynamodb", "execute_statement", {"Statement": "SELECT"}, "does not do dynamodb:ExecuteStatement (add it to"),
        ("dynamodbstreams", "list_streams", {}, "the local AWS has no dynamodbstreams"),
        ("resourcegroupstaggingapi", "get_resources", {}, "no resourcegroupstaggingapi"),
        ("s3", "put_object", {"Bucket": "bbb", "Key": "k", "GrantRead": "id=1"}, "parameter GrantRead of s3:PutObject"),
        ("s3", "put_bucket_versioning", {"Bucket": "bbb", "VersioningConfiguration": {"MFADelete": "Enabled"}},
         "VersioningConfiguration.MFADelete of s3:PutBucketVersioning (add it to local_aws/allowed/s3.yaml"),
        ("s3", "put_bucket_notification_configuration",
         {"Bucket": "bbb", "NotificationConfiguration": {
             "EventBridgeConfiguration": {}, "QueueConfigurations": [{"QueueArn": "arn:x", "Events": ["s3:*"]}]}},
         "NotificationConfiguration.QueueConfigurations"),
        ("sqs", "set_queue_attributes", {"QueueUrl": "q", "Attributes": {"RedriveAllowPolicy": "{}"}},
         "the attribute RedriveAllowPolicy of queues"),
        ("sns", "create_topic", {"Name": "t", "Attributes": {"FifoTopic": "true"}}, "the attribute FifoTopic of SNS"),
        ("sns", "set_topic_attributes", {"TopicArn": "arn:aws:sns:eu-west-1:111111111111:t",
         "AttributeName": "DeliveryPolicy", "AttributeValue": "{}"}, "the attribute DeliveryPolicy of SNS"),
        ("kms", "create_key", {"KeySpec": "RSA_2048"}, "no keys of KeySpec RSA_2048"),
        ("kms", "create_key", {"KeyUsage": "GENERATE_VERIFY_MAC"}, "no keys of KeyUsage GENERATE_VERIFY_MAC"),
        ("sns", "subscribe", {"TopicArn": "arn:aws:sns:eu-west-1:111111111111:t", "Protocol": "https", "Endpoint": "x"},
         "does not deliver to https subscriptions"),
    ],
    ids=lambda each: str(each)[:24],
)  # fmt: skip
def test_what_is_not_listed_is_refused_by_name(lab, service, operation, params, named):
    with refused("LocalAwsNotSupported", message=named):
        getattr(lab.client(service, "central"), operation)(**params)


@pytest.mark.statement("allowlist.before-anything")
@pytest.mark.local_only(HERE_ONLY)
def test_a_refusal_comes_before_permissions_and_before_anything_is_done(lab):
    bucket = lab.bucket("central")
    nobody = trusting(lab, "central", trust(root(lab, "central")))
    for who in ("central", nobody):
        with refused("LocalAwsNotSupported", message="ACL"):
            lab.client("s3", who).put_object(Bucket=bucket, Key="k", Body=b"1", ACL="public-read")
    assert "Contents" not in lab.client("s3", "central").list_objects_v2(Bucket=bucket)
    record = lab.aws.world.log[-2]
    assert (record.operation, record.verdict, record.error) == ("PutObject", "refused", "LocalAwsNotSupported")


@pytest.mark.statement("allowlist.entries")
@pytest.mark.local_only(HERE_ONLY)
def test_every_entry_is_an_operation_and_a_parameter_of_awss():
    session, wrong, count = get_session(), [], 0
    for service in sorted(allowed.services()):
        model = session.get_service_model(service)
        for operation, tree in allowed.operations(service).items():
            count += 1
            if operation in model.operation_names:
                wrong += [f"{service}:{operation}: {path}" for path in _unknown(model.operation_model(operation), tree)]
            else:
                wrong.append(f"{service}:{operation}")
    assert wrong == []
    assert count > 300


def _unknown(operation, tree):
    return _unknown_below(operation.input_shape, tree)


def _unknown_below(shape, tree):
    while shape is not None and shape.type_name in ("list", "map"):
        shape = shape.member if shape.type_name == "list" else shape.value
    members = shape.members if shape is not None and shape.type_name == "structure" else {}
    unknown = []
    for name, below in (tree or {}).items():
        if name not in members:
            unknown.append(name)
        elif below is not None:
            unknown += [f"{name}.{deeper}" for deeper in _unknown_below(members[name], below)]
    return unknown


@pytest.mark.statement("allowlist.faithful")
@pytest.mark.local_only(HERE_ONLY)
def test_an_entry_says_how_faithful_it_is():
    read = entries.read(
        "x.yaml",
        """
        faithful: kept
        operations:
          Put: [Name, {Tags: kept}, {Filters: {partly: only by name}}]
          Get: {faithful: exact, parameters: [Name]}
          List: {faithful: {partly: no pages}}
          Delete:
        """,
    )
    found = {entry.name: entry for entry in read["operations"]}
    assert {name: str(entry.faithful) for name, entry in found.items()} == {
        "Put": "kept", "Get": "exact", "List": "partly: no pages", "Delete": "kept",
    }  # fmt: skip
    assert {name: str(level) for name, level in found["Put"].items.items()} == {
        "Name": "exact", "Tags": "kept", "Filters": "partly: only by name",
    }  # fmt: skip
    assert list(found["Get"].items) == ["Name"] and found["List"].items == {}


@pytest.mark.statement("allowlist.faithful")
@pytest.mark.local_only(HERE_ONLY)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("operation: {}", "unknown key operation; a file has"),
        ("operations: {Put: {parameter: [A]}}", "x.yaml: Put: unknown key parameter; an entry has"),
        ("operations: {Put: {properties: [A]}}", "unknown key properties"),
        ("operations: {Put: A}", "parameters must be a list"),
        ("operations: {Put: [A, B, A]}", "A is listed twice"),
        ("operations: {Put: [A], Get: [], Put: [B]}", "Put is listed twice"),
        ("operations: {Put: [{A: kept, B: kept}]}", "an item is a name or one pair"),
        ("operations: {Put: [[A]]}", "an item is a name or one pair"),
        ("operations: {Put: [{A: good}]}", "Put.A: how faithful must be exact, kept or partly"),
        ("operations: {Put: [{A: {partly: }}]}", "how faithful must be"),
        ("operations: {Put: [{A: {partly: ''}}]}", "how faithful must be"),
        ("operations: {Put: [{A: {partly: 1}}]}", "how faithful must be"),
        ("operations: {Put: [{A: {partly: x, kept: y}}]}", "how faithful must be"),
        ("operations: {Put: [{A: [kept]}]}", "how faithful must be"),
        ("operations: {Put: {faithful: mostly}}", "how faithful must be"),
        ("faithful: true", "how faithful must be"),
    ],
)
def test_a_mistake_in_the_allow_list_is_refused_when_it_is_read(text, said):
    with pytest.raises(entries.EntryError, match=said):
        entries.read("x.yaml", text)


@pytest.mark.statement("allowlist.faithful")
@pytest.mark.local_only(HERE_ONLY)
def test_two_files_of_a_service_may_not_list_the_same(tmp_path, monkeypatch):
    for name in ("svc.yaml", "svc-more.yaml"):
        (tmp_path / name).write_text("operations: {Put: []}")
    paths = sorted(tmp_path.glob("*.yaml"))
    monkeypatch.setattr(entries, "files", lambda: {"svc": paths})
    with pytest.raises(entries.EntryError, match="Put is listed twice"):
        entries.of.__wrapped__("svc", "operations")


@pytest.mark.statement("allowlist.names-nest")
@pytest.mark.local_only(HERE_ONLY)
def test_a_name_allows_what_is_below_it_and_a_dotted_one_no_more_than_it_says():
    tree = allowed.tree(["A", "B.C", "B.D.E", "F.G", "F"])
    given = {"A": {"x": 1}, "B": [{"C": 1}, {"D": {"E": 1}}], "F": {"H": 1}}
    assert allowed.unlisted(given, tree) == []
    assert allowed.unlisted({"B": [{"C": 1}, {"X": 1}], "Z": 0, "B2": None}, tree) == ["B.X", "Z"]
    assert sorted(seen.paths({**given, "Z": 1, "B": [{"C": 1}, {"D": None}]}, tree)) == ["A", "B.C", "F"]


@pytest.mark.statement("allowlist.exercised")
@pytest.mark.local_only(HERE_ONLY)
def test_what_successful_calls_use_is_recorded_and_what_nothing_uses_is_named(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(seen, "FOLDER", str(tmp_path))
    monkeypatch.setattr(seen, "_known", set())
    url, _ = queue(lab, "central", DelaySeconds="1")
    with refused("InvalidParameterValue"):
        lab.client("sqs", "central").receive_message(QueueUrl=url, MaxNumberOfMessages=11)
    with refused("AccessDenied", "AccessDeniedException"):
        lab.client("sqs", "outsider").purge_queue(QueueUrl=url)
    lab.client("s3", "central").put_bucket_versioning(
        Bucket=lab.bucket("central"), VersioningConfiguration={"Status": "Enabled"}
    )
    (record,) = tmp_path.glob("*.txt")
    lines = record.read_text().splitlines()
    assert len(lines) == len(set(lines))
    assert {line for line in lines if line.startswith("sqs ")} == {
        "sqs operations CreateQueue", "sqs operations CreateQueue QueueName", "sqs operations CreateQueue Attributes",
    }  # fmt: skip
    assert "s3 operations PutBucketVersioning VersioningConfiguration.Status" in lines
    check = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_allowed.py"), str(tmp_path)], capture_output=True, text=True
    )
    assert check.returncode == 1
    unused = check.stdout.splitlines()
    assert "sqs: CreateQueue tags" in unused and "sqs: PurgeQueue" in unused
    assert "sqs: CreateQueue QueueName" not in unused and "sqs: CreateQueue" not in unused
    assert "cloudformation: AWS::SQS::Queue" in unused


@pytest.mark.statement("allowlist.coverage")
@pytest.mark.local_only(HERE_ONLY)
def test_the_coverage_is_printed_in_counts_in_detail_and_as_json():
    from typer.testing import CliRunner

    from cli.main import app

    def printed(*arguments):
        return CliRunner().invoke(app, ["local", "coverage", *arguments])

    counts = printed().stdout
    assert "service" in counts and "dynamodb" in counts
    detail = printed("s3").stdout
    assert "PutObject" in detail and "Tagging" in detail
    whole = json.loads(printed("--json").stdout)
    assert whole["s3"]["operations"]["GetObject"]["parameters"]["Range"] == "exact"
    assert whole["s3"]["operations"]["PutBucketTagging"]["faithful"] == "kept"
    assert whole["kms"]["operations"]["CreateKey"]["parameters"]["KeySpec"] == "partly: SYMMETRIC_DEFAULT"
    assert "AWS::SQS::Queue" in whole["cloudformation"]["resources"]
    assert set(whole) == set(allowed.services())
    assert "the local AWS has no ec2" in str(printed("ec2").exception)


# -- on the wire ---------------------------------------------------------------------------------------------------


@pytest.mark.statement("allowlist.model")
@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"Name": "n"}, "Value null at 'value' failed to satisfy constraint: Member must not be null"),
        ({"Name": "n", "Value": "v", "Type": "Number"}, "Member must satisfy enum value set: [String, StringList"),
        ({"Name": "n" * 2049, "Value": "v"}, "'name' failed to satisfy constraint: Member must have length less than"),
        ({"Name": "", "Value": "v"}, "have length greater than or equal to 1"),
        ({"Name": "n", "Value": "v", "Tags": [{"Key": "a"}]}, "Value null at 'tags.1.member.value'"),
        ({"Name": "n", "Value": "v", "Tags": [{"Key": "a" * 129, "Value": "b"}]}, "'tags.1.member.key' failed"),
        ({}, "2 validation errors detected"),
    ],
    ids=["missing", "enum", "too long", "too short", "missing below", "too long below", "two"],
)  # fmt: skip
def test_parameters_are_held_to_the_services_model(lab, params, said):
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    ssm = lab.session("central").client("ssm", config=config)
    with refused("ValidationException", message=said):
        ssm.put_parameter(**params)


@pytest.mark.statement("allowlist.model")
def test_numbers_and_types_too(lab):
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    ssm, iam = (lab.session("central").client(service, config=config) for service in ("ssm", "iam"))
    with refused("ValidationException", message="Member must have value less than or equal to 10"):
        ssm.get_parameters_by_path(Path="/a", MaxResults=11)
    with refused("ValidationException", message="Member must have value greater than or equal to 1"):
        ssm.get_parameters_by_path(Path="/a", MaxResults=0)
    with refused("ValidationError", message="'maxItems' failed to satisfy constraint"):
        iam.list_roles(MaxItems=1001)
    with refused("ValidationException", "SerializationException"):
        ssm.put_parameter(Name=["not", "text"], Value="v")
    iam.list_roles(MaxItems=1000)


@pytest.mark.statement("allowlist.unsigned")
@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("s3", "list_objects_v2", {"Bucket": "closed-to-all"}, "AccessDenied"),
        ("dynamodb", "list_tables", {}, "MissingAuthenticationTokenException"),
        ("sts", "get_caller_identity", {}, "MissingAuthenticationToken"),
    ],
)
@pytest.mark.local_only("the bucket must be there")
def test_a_request_that_is_not_signed_is_refused(lab, service, operation, params, code):
    unsigned = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    client = boto3.client(service, lab.region, endpoint_url=lab.aws.endpoint, config=unsigned)
    with refused(code):
        getattr(client, operation)(**params)


@pytest.mark.statement("allowlist.unknown-key")
@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("iam", "list_roles", "InvalidClientTokenId"),
        ("dynamodb", "list_tables", "UnrecognizedClientException"),
        ("lakeformation", "list_lf_tags", "UnrecognizedClientException"),
    ],
)
def test_an_unknown_access_key_is_refused_in_the_words_of_each_service(lab, service, operation, code):
    unknown = lab.session_of({"AccessKeyId": "AKIAUNKNOWNUNKNOWN00", "SecretAccessKey": "x"})
    with refused(code):
        getattr(unknown.client(service), operation)()


@pytest.mark.statement("allowlist.presigned")
@pytest.mark.parametrize("version", ["s3v4", None])
@pytest.mark.local_only("an hour passes")
def test_presigned_urls_work_until_they_end(lab, version):
    bucket = lab.bucket("central")
    s3 = lab.session("central").client("s3", config=Config(signature_version=version, s3={"addressing_style": "path"}))
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "a b"}, ExpiresIn=3600)
    urllib.request.urlopen(urllib.request.Request(put, b"hello", method="PUT")).close()
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a b"}, ExpiresIn=3600)
    with urllib.request.urlopen(get) as response:
        assert response.read() == b"hello"
    nobody = trusting(lab, "central", trust(root(lab, "central")))
    lab.client("s3", nobody)
    role = lab.session(nobody).client("s3", config=Config(signature_version=version))
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(role.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a b"}))
    assert caught.value.code == 403 and b"AccessDenied" in caught.value.read()
    lab.aws.world.advance(3601)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(get)
    assert caught.value.code == 403 and b"Request has expired" in caught.value.read()


@pytest.mark.statement("allowlist.unroutable")
@pytest.mark.local_only("raw requests to the local server")
def test_a_request_that_is_no_operation_is_refused_in_its_protocol(lab):
    def ask(service, headers, body=b"{}", path="/", method="POST"):
        request = AWSRequest(method, f"{lab.aws.endpoint}{path}", headers=headers, data=body)
        credentials = lab.session("central").get_credentials()
        SigV4Auth(credentials, service, lab.region).add_auth(request)
        prepared = request.prepare()
        return urllib.request.urlopen(urllib.request.Request(prepared.url, body, prepared.headers, method=method))

    json_type = {"Content-Type": "application/x-amz-json-1.0"}
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask("dynamodb", {**json_type, "X-Amz-Target": "DynamoDB_20120810.FlyToTheMoon"})
    assert json.load(caught.value)["__type"].endswith("UnknownOperationException")
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # boto3 names a character set besides
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask("iam", form, b"Action=Fly&Version=2010-05-08")
    assert b"<ErrorResponse>" in caught.value.read()
    with ask("iam", form, b"Action=ListRoles&Version=2010-05-08") as response:
        assert b"<ListRolesResult>" in response.read()
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask("dynamodb", {**json_type, "X-Amz-Target": "DynamoDB_20120810.ListTables"}, b"[")
    assert caught.value.code == 400
    packed = gzip.compress(b'{"Limit": 1}')
    target = {**json_type, "X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Encoding": "gzip"}
    with ask("dynamodb", target, packed) as response:
        assert "TableNames" in json.load(response)


@pytest.mark.statement("allowlist.public-nothing")
def test_nobody_is_let_in_by_a_policy_for_everybody_who_does_not_say_who_he_is(lab):
    """A choice: requests without a signature are refused, whatever a bucket's policy says."""
    bucket = lab.bucket("central")
    s3 = lab.client("s3", "central")
    s3.delete_public_access_block(Bucket=bucket)
    said = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal="*")
    s3.put_bucket_policy(Bucket=bucket, Policy=document(said))
    if lab.is_local:
        unsigned = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
        with refused("AccessDenied"):
            boto3.client("s3", lab.region, endpoint_url=lab.aws.endpoint, config=unsigned).list_objects_v2(
                Bucket=bucket
            )
    lab.eventually(lambda: lab.client("s3", "outsider").list_objects_v2(Bucket=bucket))
