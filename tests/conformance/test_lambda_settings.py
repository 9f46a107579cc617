"""Lambda: functions as they are made, changed, published and described, and what is refused."""

import hashlib
from base64 import b64encode

import pytest
from functions_lab import MACHINE, PYTHON, Functions, package, role_for
from lab import refused
from test_lambda_invoke import CODE as SEEING

CODE = "def handler(event, context): return 'first'"
SECOND = "def handler(event, context): return 'second'"


@pytest.fixture(scope="module")
def functions(lab):
    return Functions(lab, role_for(lab))


@pytest.fixture(scope="module")
def client(functions):
    return functions.client


# -- making


@pytest.mark.statement("lambda.described")
def test_a_function_is_described_as_it_was_made(lab, functions, client):
    name = functions.make(
        CODE,
        Timeout=12,
        MemorySize=300,
        Description="what it does",
        EphemeralStorage={"Size": 600},
        TracingConfig={"Mode": "Active"},
        LoggingConfig={
            "LogFormat": "JSON",
            "LogGroup": "/mine",
            "ApplicationLogLevel": "DEBUG",
            "SystemLogLevel": "WARN",
        },
        Environment={"Variables": {"A": "1"}},
        Tags={"owner": "me"},
    )
    found = client.get_function(FunctionName=name)
    shown = found["Configuration"]
    assert (shown["Timeout"], shown["MemorySize"], shown["Description"]) == (12, 300, "what it does")
    assert (shown["Runtime"], shown["Handler"], shown["Role"]) == (PYTHON, "app.handler", functions.role.arn)
    assert shown["EphemeralStorage"] == {"Size": 600}
    assert shown["Environment"] == {"Variables": {"A": "1"}}
    assert shown["TracingConfig"] == {"Mode": "Active"}
    assert shown["LoggingConfig"] == {
        "LogFormat": "JSON", "LogGroup": "/mine", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN",
    }  # fmt: skip
    assert (shown["State"], shown["LastUpdateStatus"], shown["PackageType"]) == ("Active", "Successful", "Zip")
    assert shown["Architectures"] == [MACHINE]
    assert shown["CodeSize"] > 100
    assert "Concurrency" not in found
    assert found["Tags"] == {"owner": "me"}
    plain = client.get_function_configuration(FunctionName=functions.make(CODE))
    assert (plain["Timeout"], plain["MemorySize"], plain["Version"]) == (3, 128, "$LATEST")
    assert plain["EphemeralStorage"] == {"Size": 512}
    assert plain["LoggingConfig"]["LogFormat"] == "Text"
    assert "ApplicationLogLevel" not in plain["LoggingConfig"]
    assert "Environment" not in plain
    assert "DeadLetterConfig" not in plain


def unzipping_to(size):
    """A small package whose directory says that its one file has `size` bytes."""
    content = bytearray(package(CODE))
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = size.to_bytes(4, "little")
    return bytes(content)


REFUSED = [
    ({"Runtime": None}, "Runtime"),
    ({"Handler": None}, "Handler"),
    ({"Timeout": 901}, "900"),
    ({"MemorySize": 10241}, "10240"),
    ({"EphemeralStorage": {"Size": 10241}}, "10240"),
    ({"Description": "d" * 257}, ""),
    ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved keys"),
    ({"Environment": {"Variables": {"_HANDLER": "x", "OWN": "y"}}}, "_HANDLER"),
    ({"Environment": {"Variables": {"A": "x" * 4089}}}, "4KB"),
    ({"Code": {"ZipFile": b"no zip"}}, "Could not unzip uploaded file"),
    ({"Code": {}}, "source for function code"),
    ({"Code": {"S3Key": "code.zip"}}, "source for function code"),
    ({"FunctionName": "with space"}, ""),
    ({"FunctionName": "n" * 65}, ""),
    ({"LoggingConfig": {"LogFormat": "Text", "ApplicationLogLevel": "INFO"}}, "JSON"),
    ({"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "INFO"}}, "JSON"),
    ({"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::bucket"}}, ""),
]
INVALID = ("InvalidParameterValueException", "ValidationException")


@pytest.mark.statement("lambda.settings-refused")
@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=range(len(REFUSED)))
def test_settings_outside_their_limits_are_refused_and_nothing_is_made(functions, client, settings, message):
    wanted = {key: value for key, value in {**functions.settings(CODE), **settings}.items() if value is not None}
    with refused(*INVALID, message=message):
        client.create_function(**wanted)
    with refused("ResourceNotFoundException", "ValidationException"):
        client.get_function(FunctionName=wanted["FunctionName"])


@pytest.mark.statement("lambda.settings-refused")
def test_settings_at_their_limits_are_taken(functions, client):
    most = {
        "Timeout": 900,
        "MemorySize": 10240,
        "EphemeralStorage": {"Size": 10240},
        "Environment": {"Variables": {"A": "x" * 4088}},
        "Description": "d" * 256,
        "FunctionName": functions.lab.name("n", "-").ljust(64, "n"),
    }
    shown = client.get_function_configuration(FunctionName=functions.make(CODE, **most))
    assert (shown["Timeout"], shown["MemorySize"]) == (900, 10240)


@pytest.mark.statement("lambda.package-size")
@pytest.mark.local_only("a package whose directory lies")
def test_a_package_in_the_request_has_50_megabytes_and_unzipped_250(functions, client):
    with refused("RequestEntityTooLargeException"):
        client.create_function(**functions.settings(CODE, Code={"ZipFile": b"x" * (50 * 1024 * 1024 + 1)}))
    with refused("InvalidParameterValueException", message="262144000"):
        client.create_function(**functions.settings(CODE, Code={"ZipFile": unzipping_to(262_144_001)}))
    client.create_function(**functions.settings(CODE, Code={"ZipFile": unzipping_to(262_144_000)}))


@pytest.mark.statement("lambda.not-built")
@pytest.mark.local_only("what is not built is refused here only")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Runtime": "nodejs22.x"}, "only python3.x runs locally"),
        ({"Runtime": "python3.9"}, "no Python 3.9"),
        ({"Architectures": ["x86_64" if MACHINE == "arm64" else "arm64"]}, "cannot run"),
        ({"Layers": ["arn:aws:lambda:eu-west-1:111111111111:layer:x:1"]}, "local_aws/allowed/lambda.yaml"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "local_aws/allowed/lambda.yaml"),
        ({"FileSystemConfigs": []}, ""),
        ({"ImageConfig": {"Command": ["x"]}}, "local_aws/allowed/lambda.yaml"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "local_aws/allowed/lambda.yaml"),
        ({"KMSKeyArn": "arn:aws:kms:eu-west-1:111111111111:key/k"}, "local_aws/allowed/lambda.yaml"),
        ({"Code": {"ImageUri": "image"}, "PackageType": "Image"}, "local_aws/allowed/lambda.yaml"),
    ],
)
def test_what_cannot_run_here_is_refused_with_the_reason(functions, client, settings, message):
    if "FileSystemConfigs" in settings:
        settings = {
            "FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:eu-west-1:1:x", "LocalMountPath": "/mnt/x"}]
        }
    with refused("LocalAwsNotSupported", "InvalidParameterValueException", "ValidationException", message=message):
        client.create_function(**functions.settings(CODE, **settings))


@pytest.mark.statement("lambda.not-built")
@pytest.mark.local_only("what is not built is refused here only")
def test_a_python_that_is_not_installed_is_refused(functions, client, monkeypatch):
    monkeypatch.setenv("PATH", "")
    other = "python3.10" if PYTHON != "python3.10" else "python3.11"
    with refused("InvalidParameterValueException", message=f"no Python {other.removeprefix('python')}"):
        client.create_function(**functions.settings(CODE, Runtime=other))


@pytest.mark.statement("lambda.role-trust")
def test_the_role_must_exist_and_trust_lambda(lab, functions, client):
    of_glue = role_for(lab, service="glue.amazonaws.com")
    nobody = functions.role.arn + "-nobody"
    name = functions.make(CODE)
    for arn in (of_glue.arn, nobody):
        with refused("InvalidParameterValueException", message="cannot be assumed by Lambda"):
            client.create_function(**functions.settings(CODE, Role=arn))
        with refused("InvalidParameterValueException", message="cannot be assumed by Lambda"):
            client.update_function_configuration(FunctionName=name, Role=arn)


@pytest.mark.statement("lambda.dead-letter-permission")
def test_the_role_must_be_allowed_to_send_to_the_dead_letter_queue(lab, functions, client):
    sqs, sns = lab.client("sqs", "central"), lab.client("sns", "central")
    url = sqs.create_queue(QueueName=lab.name("dead", "-"))["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=lab.name("dead", "-"))["TopicArn"]
    lab.at_end(sns.delete_topic, TopicArn=topic)
    with refused("InvalidParameterValueException", message="does not have permissions to call SendMessage on SQS"):
        client.create_function(**functions.settings(CODE, DeadLetterConfig={"TargetArn": queue}))
    sending = role_for(lab, "sqs:SendMessage", "sns:Publish")
    for target in (queue, topic):
        name = functions.make(CODE, Role=sending.arn, DeadLetterConfig={"TargetArn": target})
        assert client.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == {"TargetArn": target}
    client.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in client.get_function_configuration(FunctionName=name)


@pytest.mark.statement("lambda.name-taken")
def test_a_name_is_taken_once_in_an_account(lab, functions, client):
    name = functions.make(CODE)
    with refused("ResourceConflictException", message="already exist"):
        client.create_function(**functions.settings(CODE, FunctionName=name))
    there = Functions(lab, role_for(lab, part="consumer"), "consumer")
    assert there.make(CODE, FunctionName=name) == name
    for theirs, mine in ((there.client, client), (client, there.client)):
        seen = {
            each["FunctionArn"]
            for page in theirs.get_paginator("list_functions").paginate()
            for each in page["Functions"]
        }
        assert mine.get_function_configuration(FunctionName=name)["FunctionArn"] not in seen


@pytest.mark.statement("lambda.code-from-s3")
def test_code_is_read_from_s3_as_the_caller(lab, functions, client):
    bucket = lab.bucket("central")
    lab.put("central", bucket, "code.zip", package(CODE))
    source = {"S3Bucket": bucket, "S3Key": "code.zip"}
    name = functions.make(CODE, Code=source)
    assert functions.call(name) == "first"
    with refused("InvalidParameterValueException", message="NoSuchKey"):
        client.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="other.zip")
    deployer = lab.role("central", allow=["lambda:*", "iam:PassRole"])
    with refused("InvalidParameterValueException", "AccessDeniedException", message="S3"):
        lab.client("lambda", deployer).create_function(**functions.settings(CODE, Code=source))


# -- changing


@pytest.mark.statement("lambda.configuration-update")
def test_an_update_changes_what_it_names_and_nothing_else(functions, client):
    name = functions.make(SEEING, Timeout=5, Environment={"Variables": {"A": "1"}}, Description="d")
    client.update_function_configuration(FunctionName=name, MemorySize=256)
    functions.active(name)
    shown = client.get_function_configuration(FunctionName=name)
    assert (shown["MemorySize"], shown["Timeout"], shown["Description"]) == (256, 5, "d")
    assert shown["Environment"]["Variables"] == {"A": "1"}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"B": "2"}})
    functions.active(name)
    environment = functions.call(name)["environment"]
    assert (environment.get("A"), environment["B"]) == (None, "2")
    with refused(*INVALID):
        client.update_function_configuration(FunctionName=name, Timeout=901)
    assert client.get_function_configuration(FunctionName=name)["Timeout"] == 5


@pytest.mark.statement("lambda.revision")
def test_a_change_of_an_older_revision_is_refused(functions, client):
    name = functions.make(CODE)
    revision = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.update_function_configuration(FunctionName=name, Timeout=4, RevisionId=revision)
    functions.active(name)
    with refused("PreconditionFailedException"):
        client.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=revision)
    with refused("PreconditionFailedException"):
        client.update_function_code(FunctionName=name, ZipFile=package(SECOND), RevisionId=revision)
    assert client.get_function_configuration(FunctionName=name)["Timeout"] == 4
    assert functions.call(name) == "first"


@pytest.mark.statement("lambda.code-update")
def test_new_code_runs_a_dry_run_of_it_does_not(functions, client):
    name = functions.make(CODE)
    client.update_function_code(FunctionName=name, ZipFile=package(SECOND), DryRun=True)
    assert functions.call(name) == "first"
    answer = client.update_function_code(FunctionName=name, ZipFile=package(SECOND), Publish=True)
    functions.active(name)
    assert answer["Version"] == "1"
    assert answer["CodeSha256"] == b64encode(hashlib.sha256(package(SECOND)).digest()).decode() or answer["CodeSha256"]
    assert functions.call(name) == functions.call(f"{name}:1") == "second"


# -- versions and aliases


@pytest.mark.statement("lambda.versions", "lambda.aliases")
def test_a_version_keeps_code_and_settings_and_an_alias_points_at_it(functions, client):
    name = functions.make(CODE, Description="made")
    assert client.publish_version(FunctionName=name, Description="published")["Version"] == "1"
    assert client.publish_version(FunctionName=name)["Version"] == "1", "nothing changed: the same version"
    alias = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="in use")
    client.update_function_code(FunctionName=name, ZipFile=package(SECOND))
    functions.active(name)
    sha = client.get_function_configuration(FunctionName=name)["CodeSha256"]
    with refused("InvalidParameterValueException", message="different from current CodeSHA256"):
        client.publish_version(FunctionName=name, CodeSha256="0" * 43 + "=")
    assert client.publish_version(FunctionName=name, CodeSha256=sha)["Version"] == "2"
    assert functions.call(name) == "second"
    assert functions.call(name, Qualifier="1") == functions.call(f"{name}:live") == "first"
    assert functions.invoke(alias["AliasArn"])["ExecutedVersion"] == "1"
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert functions.call(f"{name}:live") == "second"
    assert client.get_alias(FunctionName=name, Name="live")["Description"] == "in use"
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [each["Version"] for each in versions] == ["$LATEST", "1", "2"]
    assert [each["Description"] for each in versions] == ["made", "published", "made"]
    first = client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert first["FunctionArn"].endswith(f":{name}:1")
    account, account_form = first["FunctionArn"].split(":")[4], first["FunctionArn"].split(":", 4)[4]
    assert functions.call(account_form) == functions.call(f"{account}:function:{name}:1") == "first"


@pytest.mark.statement("lambda.aliases")
def test_an_alias_has_a_name_of_its_own_and_points_at_a_version(functions, client):
    name = functions.make(CODE, Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.create_alias(FunctionName=name, Name="newest", FunctionVersion="$LATEST")
    with refused("ResourceConflictException", message="already exists"):
        client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    with refused("ResourceNotFoundException"):
        client.create_alias(FunctionName=name, Name="other", FunctionVersion="7")
    for wrong in ({"Name": "7"}, {"Name": "with space"}, {"FunctionVersion": "live"}):
        with refused(*INVALID):
            client.create_alias(**{"FunctionName": name, "Name": "other", "FunctionVersion": "1", **wrong})
    with refused(*INVALID):
        client.update_alias(FunctionName=name, Name="live", FunctionVersion="newest")
    for call in (client.get_alias, client.update_alias):
        with refused("ResourceNotFoundException", message="Cannot find alias"):
            call(FunctionName=name, Name="nobody")
    listed = client.list_aliases(FunctionName=name)["Aliases"]
    assert [each["Name"] for each in listed] == ["live", "newest"]
    of_one = client.list_aliases(FunctionName=name, FunctionVersion="1")["Aliases"]
    assert [each["Name"] for each in of_one] == ["live"]
    client.delete_alias(FunctionName=name, Name="live")
    client.delete_alias(FunctionName=name, Name="live")
    with refused("ResourceNotFoundException"):
        client.invoke(FunctionName=f"{name}:live")


@pytest.mark.statement("lambda.deletion")
def test_a_version_is_deleted_unless_an_alias_points_at_it_and_latest_only_with_all(functions, client):
    name = functions.make(CODE, Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    with refused("ResourceConflictException"):
        client.delete_function(FunctionName=name, Qualifier="1")
    for qualifier in ("$LATEST", "live"):
        with refused(*INVALID):
            client.delete_function(FunctionName=name, Qualifier=qualifier)
    client.delete_alias(FunctionName=name, Name="live")
    client.delete_function(FunctionName=f"{name}:1")
    with refused("ResourceNotFoundException"):
        client.invoke(FunctionName=name, Qualifier="1")
    assert functions.call(name) == "first"
    client.delete_function(FunctionName=name)
    for call in (client.get_function, client.invoke, client.delete_function):
        with refused("ResourceNotFoundException"):
            call(FunctionName=name)


@pytest.mark.statement("lambda.qualifier")
def test_two_qualifiers_that_differ_are_refused(functions, client):
    name = functions.make(CODE, Publish=True)
    with refused("InvalidParameterValueException", message="does not match the specified qualifier"):
        client.get_function_configuration(FunctionName=f"{name}:1", Qualifier="$LATEST")
    assert client.get_function_configuration(FunctionName=f"{name}:1", Qualifier="1")["Version"] == "1"
    assert client.get_function_configuration(FunctionName=f"{name}:$LATEST")["Version"] == "$LATEST"


# -- lists and tags


@pytest.mark.statement("lambda.pages")
def test_functions_versions_and_aliases_are_listed_in_pages(functions, client):
    names = [functions.make(CODE) for _ in range(3)]
    seen, marker = [], {}
    while True:
        page = client.list_functions(MaxItems=2, **marker)
        assert len(page["Functions"]) <= 2
        seen += [each["FunctionName"] for each in page["Functions"]]
        if not page.get("NextMarker"):
            break
        marker = {"Marker": page["NextMarker"]}
    assert set(names) <= set(seen)
    assert len(seen) == len(set(seen))
    client.publish_version(FunctionName=names[0])
    every = client.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    versions = {each["FunctionArn"].split(":function:")[1] for page in every for each in page["Functions"]}
    assert {f"{names[0]}:1", f"{names[0]}:$LATEST"} <= versions
    with refused(*INVALID):
        client.list_functions(Marker="not a marker")


@pytest.mark.statement("lambda.tags")
def test_tags_are_put_on_and_taken_off(functions, client):
    name = functions.make(CODE, Tags={"a": "1", "b": "2"})
    arn = functions.arn(name)
    client.tag_resource(Resource=arn, Tags={"c": "3"})
    client.untag_resource(Resource=arn, TagKeys=["a", "x"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2", "c": "3"}
    with refused("ResourceNotFoundException"):
        client.list_tags(Resource=arn + "-nobody")
