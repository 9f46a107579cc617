"""Lambda of the local AWS: real code in real processes, as the function's role."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.functions import lambda_async
from local_aws.server import LocalAws
from local_aws.wire import AwsError

ACCOUNT = "111111111111"
OTHER = "222222222222"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"

CODE = """
import json, os, sys, time

started = time.time()
calls = 0

def handler(event, context):
    global calls
    calls += 1
    print("handling", event.get("say", ""))
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "big" in event:
        return "x" * event["big"]
    return {
        "calls": calls, "pid": os.getpid(), "environment": dict(os.environ), "event": event,
        "left": context.get_remaining_time_in_millis(), "arn": context.invoked_function_arn,
        "id": context.aws_request_id, "version": context.function_version,
    }

def who(event, context):
    import boto3
    return boto3.client("sts").get_caller_identity()["Arn"]

def read(event, context):
    import boto3
    return boto3.client("s3").get_object(Bucket=event["bucket"], Key="k")["Body"].read().decode()
"""


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return content.getvalue()


def make_role(session: Any, name: str, *statements: dict, service: str = "lambda.amazonaws.com") -> str:
    iam = session.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    if statements:
        allowed = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=allowed)
    return role["Arn"]


def allow(*actions: str, resource: str = "*") -> dict:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


class Functions:
    """The function under test and ways to call it."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.session = aws.session(ACCOUNT)
        self.client = self.session.client("lambda")
        self.role = make_role(self.session, "function", allow("s3:GetObject", resource="arn:aws:s3:::mine/*"))

    def make(self, name: str, handler: str = "app.handler", code: str = CODE, **settings: Any) -> str:
        made = self.client.create_function(
            FunctionName=name,
            Runtime=PYTHON,
            Handler=handler,
            Role=settings.pop("Role", self.role),
            Code={"ZipFile": zipped(app=code)},
            **settings,
        )
        return made["FunctionArn"]

    def call(self, name: str, event: Any = None, **options: Any) -> Any:
        """What the function returned; its error document if it failed."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event or {}).encode(), **options)
        return json.loads(answer["Payload"].read())


@pytest.fixture(scope="module")
def functions(aws_module: LocalAws) -> Functions:
    return Functions(aws_module)


def fault_of(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    fault = raised.value.response["Error"]
    return fault["Code"], fault["Message"]


# -- what a function sees


def test_a_function_runs_as_its_role(functions: Functions) -> None:
    functions.make("who", "app.who")
    assert functions.call("who") == f"arn:aws:sts::{ACCOUNT}:assumed-role/function/who"


def test_a_function_may_do_what_its_role_may(functions: Functions) -> None:
    s3 = functions.session.client("s3")
    for bucket in ("mine", "theirs"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    functions.make("read", "app.read")
    assert functions.call("read", {"bucket": "mine"}) == "content"
    assert "AccessDenied" in functions.call("read", {"bucket": "theirs"})["errorMessage"]


def test_a_function_sees_lambdas_environment_and_nothing_of_the_servers(functions: Functions, monkeypatch: Any) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    functions.make("env", Environment={"Variables": {"COLOUR": "blue"}}, MemorySize=256, Timeout=7)
    seen = functions.call("env")
    environment = seen["environment"]
    assert environment["COLOUR"] == "blue"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "env"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_REGION"] == "eu-west-1"
    assert environment["_HANDLER"] == "app.handler"
    assert environment["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{PYTHON}"
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "SECRET_OF_THE_SERVER" not in environment
    assert 5000 < seen["left"] <= 7000
    assert seen["arn"] == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:env"


def test_a_dependency_that_the_artifact_lacks_is_missing(functions: Functions) -> None:
    import yaml  # noqa: F401 - this interpreter has it

    functions.make("lacks", code="import yaml\ndef handler(event, context): return 1")
    functions.make("brings", code="import boto3, botocore, dateutil, urllib3, jmespath\ndef handler(e, c): return 1")
    fault = functions.call("lacks")
    assert fault["errorType"] == "Runtime.ImportModuleError"
    assert fault["errorMessage"] == "Unable to import module 'app': No module named 'yaml'"
    assert functions.call("brings") == 1


# -- how invocations end


def test_an_exception_is_answered_as_the_runtime_answers_it(functions: Functions) -> None:
    functions.make("raises")
    answer = functions.client.invoke(FunctionName="raises", Payload=b'{"raise": "no"}', LogType="Tail")
    fault = json.loads(answer["Payload"].read())
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (fault["errorType"], fault["errorMessage"]) == ("ValueError", "no")
    assert "in handler" in fault["stackTrace"][0]
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert tail.startswith(f"START RequestId: {fault['requestId']} Version: $LATEST\nhandling")
    assert "[ERROR] ValueError: no" in tail
    assert f"REPORT RequestId: {fault['requestId']}\tDuration: " in tail
    assert functions.call("raises")["calls"] == 2, "an exception does not end the process"


def test_a_function_that_takes_too_long_is_killed(functions: Functions) -> None:
    functions.make("slow", Timeout=1)
    pid = functions.call("slow")["pid"]
    began = time.monotonic()
    fault = functions.call("slow", {"sleep": 30})
    assert time.monotonic() - began < 3
    assert fault["errorType"] == "Sandbox.Timedout"
    assert fault["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert not os.path.exists(f"/proc/{pid}")
    assert functions.call("slow")["calls"] == 1, "the next invocation has a new process"


def test_a_process_that_ends_is_an_exit_error(functions: Functions) -> None:
    functions.make("exits")
    fault = functions.call("exits", {"exit": 3})
    assert fault["errorType"] == "Runtime.ExitError"
    assert fault["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert functions.call("exits")["calls"] == 1


def test_a_handler_that_is_not_there_is_named(functions: Functions) -> None:
    functions.make("no-handler", "app.nothing")
    fault = functions.call("no-handler")
    assert fault["errorType"] == "Runtime.HandlerNotFound"
    assert fault["errorMessage"] == "Handler 'nothing' missing on module 'app'"


def test_payloads_beyond_six_megabytes_are_refused_both_ways(functions: Functions) -> None:
    functions.make("big", MemorySize=512)
    code, _ = fault_of(functions.client.invoke, FunctionName="big", Payload=json.dumps({"x": "y" * 6_291_456}).encode())
    assert code == "RequestTooLargeException"
    assert functions.call("big", {"big": 6_300_000})["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(functions.call("big", {"big": 6_000_000})) == 6_000_000
    code, _ = fault_of(functions.client.invoke, FunctionName="big", Payload=b"{not json")
    assert code == "InvalidRequestContentException"


# -- processes


def test_a_process_is_used_again_until_the_function_changes(functions: Functions) -> None:
    functions.make("warm")
    first, second = functions.call("warm"), functions.call("warm")
    assert (first["pid"], first["calls"]) == (second["pid"], 1)
    assert second["calls"] == 2
    functions.client.update_function_configuration(FunctionName="warm", Environment={"Variables": {"NEW": "1"}})
    third = functions.call("warm")
    assert third["calls"] == 1
    assert third["environment"]["NEW"] == "1"
    functions.client.update_function_code(
        FunctionName="warm", ZipFile=zipped(app="def handler(event, context): return 'new code'")
    )
    assert functions.call("warm") == "new code"


def test_invocations_at_the_same_time_have_a_process_each(functions: Functions) -> None:
    functions.make("parallel", Timeout=10)
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: functions.call("parallel", {"sleep": 0.5}), range(3)))
    assert len({answer["pid"] for answer in answers}) == 3


def test_reserved_concurrency_throttles(functions: Functions) -> None:
    functions.make("reserved", Timeout=10)
    functions.client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=1)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(functions.call, "reserved", {"sleep": 1})
        time.sleep(0.4)
        once = functions.session.client("lambda", config=Config(retries={"max_attempts": 0}))
        code, message = fault_of(once.invoke, FunctionName="reserved")
        assert (code, message) == ("TooManyRequestsException", "Rate Exceeded.")
        assert running.result()["calls"] == 1
    functions.client.delete_function_concurrency(FunctionName="reserved")
    assert functions.call("reserved")["calls"] == 2


# -- versions, aliases, settings


def test_a_version_keeps_its_code_and_an_alias_points_at_it(functions: Functions) -> None:
    functions.make("versioned", code="def handler(event, context): return 'first'")
    client = functions.client
    assert client.publish_version(FunctionName="versioned")["Version"] == "1"
    assert client.publish_version(FunctionName="versioned")["Version"] == "1", "nothing changed: the same version"
    alias = client.create_alias(FunctionName="versioned", Name="live", FunctionVersion="1")
    client.update_function_code(
        FunctionName="versioned", ZipFile=zipped(app="def handler(event, context): return 'second'")
    )
    assert client.publish_version(FunctionName="versioned")["Version"] == "2"
    assert functions.call("versioned") == "second"
    assert functions.call("versioned", Qualifier="1") == "first"
    assert functions.call(alias["AliasArn"]) == "first"
    client.update_alias(FunctionName="versioned", Name="live", FunctionVersion="2")
    assert functions.call("versioned:live") == "second"
    versions = client.list_versions_by_function(FunctionName="versioned")["Versions"]
    assert [each["Version"] for each in versions] == ["$LATEST", "1", "2"]


def test_a_function_is_described_as_it_was_made(functions: Functions) -> None:
    arn = functions.make(
        "described",
        Timeout=12,
        MemorySize=300,
        Description="what it does",
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON", "LogGroup": "/mine"},
        Tags={"owner": "me"},
    )
    found = functions.client.get_function(FunctionName=arn)
    shown = found["Configuration"]
    assert (shown["Timeout"], shown["MemorySize"], shown["Description"]) == (12, 300, "what it does")
    assert shown["TracingConfig"] == {"Mode": "Active"}
    assert shown["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": "/mine"}
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert found["Tags"] == {"owner": "me"}
    functions.client.delete_function(FunctionName="described")
    assert fault_of(functions.client.get_function, FunctionName="described")[0] == "ResourceNotFoundException"
    assert fault_of(functions.client.invoke, FunctionName="described")[0] == "ResourceNotFoundException"


def test_functions_aliases_tags_and_limits_are_listed_and_removed(functions: Functions) -> None:
    arn = functions.make("listed", Tags={"a": "1", "b": "2"}, Publish=True)
    client = functions.client
    client.create_alias(FunctionName="listed", Name="live", FunctionVersion="1", Description="in use")
    assert arn.endswith(":listed:1")
    assert "listed" in [each["FunctionName"] for each in client.list_functions()["Functions"]]
    assert client.get_function_configuration(FunctionName="listed", Qualifier="live")["Version"] == "1"
    assert [each["Name"] for each in client.list_aliases(FunctionName="listed")["Aliases"]] == ["live"]
    with pytest.raises(ClientError, match="Version 1 is used by an alias"):
        client.delete_function(FunctionName="listed", Qualifier="1")
    client.delete_alias(FunctionName="listed", Name="live")
    assert fault_of(client.get_alias, FunctionName="listed", Name="live")[0] == "ResourceNotFoundException"
    client.delete_function(FunctionName="listed", Qualifier="1")
    assert fault_of(client.invoke, FunctionName="listed:1")[0] == "ResourceNotFoundException"
    unqualified = arn.removesuffix(":1")
    client.tag_resource(Resource=unqualified, Tags={"c": "3"})
    client.untag_resource(Resource=unqualified, TagKeys=["a"])
    assert client.list_tags(Resource=unqualified)["Tags"] == {"b": "2", "c": "3"}
    client.put_function_concurrency(FunctionName="listed", ReservedConcurrentExecutions=0)
    assert client.get_function_concurrency(FunctionName="listed")["ReservedConcurrentExecutions"] == 0
    once = functions.session.client("lambda", config=Config(retries={"max_attempts": 0}))
    assert fault_of(once.invoke, FunctionName="listed")[0] == "TooManyRequestsException"


def test_a_change_made_to_an_older_revision_is_refused(functions: Functions) -> None:
    functions.make("revised")
    revision = functions.client.get_function_configuration(FunctionName="revised")["RevisionId"]
    functions.client.update_function_configuration(FunctionName="revised", Timeout=4, RevisionId=revision)
    code, _ = fault_of(
        functions.client.update_function_configuration, FunctionName="revised", Timeout=5, RevisionId=revision
    )
    assert code == "PreconditionFailedException"
    assert functions.client.get_function_configuration(FunctionName="revised")["Timeout"] == 4


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"Runtime": "python3.9"}, "no Python 3.9"),
        ({"Runtime": "nodejs22.x"}, "only python3.x runs locally"),
        ({"Architectures": ["arm64" if os.uname().machine == "x86_64" else "x86_64"]}, "it cannot run"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved keys"),
        ({"Environment": {"Variables": {"A": "x" * 4096}}}, "4KB limit"),
        ({"Code": {"ZipFile": b"no zip"}}, "Could not unzip uploaded file"),
        ({"Role": f"arn:aws:iam::{ACCOUNT}:role/nobody"}, "cannot be assumed by Lambda"),
        ({"Layers": ["arn:aws:lambda:eu-west-1:1:layer:x:1"]}, "local_aws/allowed/lambda.yaml"),
    ],
)
def test_what_cannot_run_is_refused_with_the_reason(functions: Functions, settings: dict, reason: str) -> None:
    parameters = {
        "FunctionName": "refused",
        "Runtime": PYTHON,
        "Handler": "app.handler",
        "Role": functions.role,
        "Code": {"ZipFile": zipped(app=CODE)},
    }
    _, message = fault_of(functions.client.create_function, **{**parameters, **settings})
    assert reason in message
    assert fault_of(functions.client.get_function, FunctionName="refused")[0] == "ResourceNotFoundException"


def test_a_role_that_does_not_trust_lambda_is_refused(functions: Functions) -> None:
    role = make_role(functions.session, "glues", service="glue.amazonaws.com")
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        functions.make("untrusted", Role=role)


# -- who may invoke


def test_a_service_may_invoke_only_what_the_functions_policy_admits(functions: Functions) -> None:
    arn = functions.make("admits", code="def handler(event, context): return 'ran'")
    engine = functions.aws.world.engines["lambda"]
    rule = f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/mine"
    with pytest.raises(AwsError, match="not authorized to perform: lambda:InvokeFunction"):
        engine.invoke(arn, b"{}", service="events.amazonaws.com", source_arn=rule)
    functions.client.add_permission(
        FunctionName="admits",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    payload, error, log = engine.invoke(arn, b"{}", service="events.amazonaws.com", source_arn=rule)
    assert (payload, error) == (b'"ran"', None)
    assert "REPORT RequestId" in log
    with pytest.raises(AwsError):
        engine.invoke(arn, b"{}", service="events.amazonaws.com", source_arn=rule + "-other")
    functions.client.remove_permission(FunctionName="admits", StatementId="rule")
    with pytest.raises(AwsError):
        engine.invoke(arn, b"{}", service="events.amazonaws.com", source_arn=rule)


def test_another_account_needs_both_its_own_and_the_functions_permission(functions: Functions) -> None:
    arn = functions.make("shared", code="def handler(event, context): return 'ran'")
    there = functions.aws.session(OTHER)
    make_role(there, "caller", allow("lambda:InvokeFunction"), service="ec2.amazonaws.com")
    caller = functions.aws.session(OTHER, "caller").client("lambda")
    assert fault_of(caller.invoke, FunctionName=arn)[0] == "AccessDeniedException"
    functions.client.add_permission(
        FunctionName="shared", StatementId="other", Action="lambda:InvokeFunction", Principal=OTHER
    )
    assert json.loads(caller.invoke(FunctionName=arn)["Payload"].read()) == "ran"
    policy = json.loads(functions.client.get_policy(FunctionName="shared")["Policy"])
    assert policy["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{OTHER}:root"}


# -- asynchronous invocations


@pytest.fixture
def soon(monkeypatch: Any) -> None:
    """Retries without the wait between."""
    monkeypatch.setattr(lambda_async, "RETRY_SECONDS", (0.01, 0.01))


def test_an_event_that_fails_is_retried_twice_and_then_a_dead_letter(functions: Functions, soon: None) -> None:
    sqs = functions.session.client("sqs")
    url = sqs.create_queue(QueueName="async-dead")["QueueUrl"]
    queue_arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:async-dead"
    role = make_role(functions.session, "async", allow("sqs:SendMessage", resource=queue_arn))
    functions.make("async-fails", Role=role, DeadLetterConfig={"TargetArn": queue_arn})
    functions.client.invoke(FunctionName="async-fails", InvocationType="Event", Payload=b'{"raise": "no"}')
    functions.aws.world.wait_idle(20)
    assert [e["text"].split(" in ")[0] for e in runs(functions, "async-fails")] == ["failed: ValueError"] * 3
    (letter,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(letter["Body"]) == {"raise": "no"}
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "no"


def test_a_failed_event_goes_to_its_destination_with_what_happened(functions: Functions, soon: None) -> None:
    sqs = functions.session.client("sqs")
    url = sqs.create_queue(QueueName="destination")["QueueUrl"]
    arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:destination"
    role = make_role(functions.session, "destined", allow("sqs:SendMessage", resource=arn))
    functions.make("destined", Role=role)
    functions.client.put_function_event_invoke_config(
        FunctionName="destined", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    functions.client.invoke(FunctionName="destined", InvocationType="Event", Payload=b'{"raise": "no"}')
    functions.aws.world.wait_idle(20)
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["requestPayload"] == {"raise": "no"}
    assert record["responsePayload"]["errorType"] == "ValueError"


def runs(functions: Functions, name: str) -> list[dict]:
    return [e for e in functions.aws.world.activity_after(0) if (e["stage"], e["subject"]) == ("function", name)]


# -- logs


def test_what_a_function_prints_is_in_its_log_group(functions: Functions) -> None:
    logs = functions.session.client("logs")
    logs.create_log_group(logGroupName="chosen")
    functions.make("logs", LoggingConfig={"LogGroup": "chosen"})
    request_id = functions.call("logs", {"say": "something"})["id"]
    messages = [event["message"] for event in logs.filter_log_events(logGroupName="chosen")["events"]]
    assert messages[0] == f"START RequestId: {request_id} Version: $LATEST\n"
    assert messages[1] == "handling something\n"
    assert messages[2] == f"END RequestId: {request_id}\n"
    assert "Init Duration" in messages[3]
