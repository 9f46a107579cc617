"""Lambda: what a function sees, how invocations end, and how many there are at a time."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from functions_lab import PYTHON, Functions, package, role_for
from lab import refused

CODE = """
import json, os, time

calls = 0

def handler(event, context):
    global calls
    calls += 1
    if "say" in event:
        print(event["say"])
    time.sleep(event.get("sleep", 0))
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "big" in event:
        return "x" * event["big"]
    if "nonsense" in event:
        return {1, 2}
    return {
        "calls": calls, "process": os.getpid(), "environment": dict(os.environ), "event": event,
        "left": context.get_remaining_time_in_millis(), "arn": context.invoked_function_arn,
        "id": context.aws_request_id, "version": context.function_version, "name": context.function_name,
        "memory": context.memory_limit_in_mb, "group": context.log_group_name, "stream": context.log_stream_name,
        "client": context.client_context and context.client_context.custom,
    }

def who(event, context):
    import boto3
    return boto3.client("sts").get_caller_identity()["Arn"]

def queues(event, context):
    import boto3
    return boto3.client("sqs").list_queues().get("QueueUrls", [])
"""


@pytest.fixture(scope="module")
def functions(lab):
    return Functions(lab, role_for(lab))


@pytest.fixture(scope="module")
def usual(functions):
    """The function most tests invoke."""
    return functions.make(CODE, Timeout=7, MemorySize=256, Environment={"Variables": {"COLOUR": "blue"}})


@pytest.fixture(scope="module")
def hasty(functions):
    """A function with a second's time."""
    return functions.make(CODE, Timeout=1)


# -- what a function sees


@pytest.mark.statement("lambda.environment", "lambda.context", "lambda.memory-fact")
def test_a_function_sees_lambdas_environment_and_its_context(lab, functions, usual):
    seen = functions.call(usual, {"a": 1})
    arn = f"arn:aws:lambda:{lab.region}:{lab.account('central')}:function:{usual}"
    expected = {
        "COLOUR": "blue",
        "AWS_LAMBDA_FUNCTION_NAME": usual,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{usual}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": lab.region,
        "AWS_DEFAULT_REGION": lab.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{PYTHON}",
        "_HANDLER": "app.handler",
        "TZ": ":UTC",
    }
    assert expected.items() <= seen["environment"].items()
    assert seen["environment"]["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "LAMBDA_TASK_ROOT"} <= seen["environment"].keys()
    assert 4000 < seen["left"] <= 7000
    assert (seen["arn"], seen["version"], seen["name"]) == (arn, "$LATEST", usual)
    assert int(seen["memory"]) == 256
    assert seen["event"] == {"a": 1}
    assert seen["stream"] == seen["environment"]["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert "[$LATEST]" in seen["stream"]


@pytest.mark.statement("lambda.environment")
@pytest.mark.local_only("asks of the environment of the server")
def test_a_function_sees_nothing_of_the_servers_environment(functions, usual, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    name = functions.make(CODE)
    assert "SECRET_OF_THE_SERVER" not in functions.call(name)["environment"]


@pytest.mark.statement("lambda.as-its-role")
def test_a_function_runs_as_its_role_and_may_do_what_that_may(lab, functions):
    account, role = lab.account("central"), functions.role.name
    name = functions.make(CODE, Handler="app.who")
    assert functions.call(name) == f"arn:aws:sts::{account}:assumed-role/{role}/{name}"
    curious = functions.make(CODE, Handler="app.queues", Timeout=10)
    assert "AccessDenied" in functions.call(curious)["errorMessage"]
    lab.allow(functions.role, "sqs:ListQueues")
    lab.eventually(lambda: isinstance(functions.call(curious), list))


@pytest.mark.statement("lambda.runtime-packages")
def test_what_the_package_lacks_is_missing_but_for_the_sdk_of_the_runtime(functions):
    lacking = functions.make("import yaml\ndef handler(event, context): return 1")
    fault = functions.call(lacking)
    assert fault["errorType"] == "Runtime.ImportModuleError"
    assert fault["errorMessage"] == "Unable to import module 'app': No module named 'yaml'"
    bringing = functions.make(
        "import boto3, botocore, dateutil, urllib3, jmespath, own\ndef handler(e, c): return own.VALUE",
        Code={"ZipFile": package("import boto3, own\ndef handler(e, c): return own.VALUE", own="VALUE = 7")},
    )
    assert functions.call(bringing) == 7


# -- how invocations end


@pytest.mark.statement("lambda.synchronous", "lambda.log-tail")
def test_a_synchronous_invocation_answers_with_result_version_and_log(functions, usual):
    answer = functions.invoke(usual, {"say": "something"}, LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "FunctionError" not in answer
    request_id = answer["Payload"]["id"]
    log = answer["LogResult"]
    assert log.startswith(f"START RequestId: {request_id} Version: $LATEST\nsomething\n")
    assert f"END RequestId: {request_id}\n" in log
    assert f"REPORT RequestId: {request_id}\tDuration: " in log
    assert "Memory Size: 256 MB" in log
    assert functions.invoke(usual)["LogResult"] == ""
    long = functions.invoke(usual, {"say": "long " * 2000}, LogType="Tail")["LogResult"]
    assert len(long) <= 4096
    assert "REPORT RequestId" in long


@pytest.mark.statement("lambda.log-memory")
def test_the_log_says_how_much_memory_was_used(functions, usual):
    log = functions.invoke(usual, LogType="Tail")["LogResult"]
    used = int(log.split("Max Memory Used: ")[1].split(" MB")[0])
    assert 5 < used < 256


@pytest.mark.statement("lambda.function-error")
def test_an_exception_is_answered_as_the_runtime_answers_it(functions, usual):
    before = functions.call(usual)
    answer = functions.invoke(usual, {"raise": "no"}, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    fault = answer["Payload"]
    assert (fault["errorType"], fault["errorMessage"]) == ("ValueError", "no")
    assert "in handler" in fault["stackTrace"][0]
    assert "[ERROR] ValueError: no" in answer["LogResult"]
    after = functions.call(usual)
    assert (after["process"], after["calls"]) == (before["process"], before["calls"] + 2), "the process goes on"


@pytest.mark.statement("lambda.function-error")
def test_what_cannot_be_written_as_json_is_a_marshal_error(functions, usual):
    assert functions.call(usual, {"nonsense": True})["errorType"] == "Runtime.MarshalError"


@pytest.mark.statement("lambda.timeout")
def test_a_function_that_takes_too_long_is_ended(functions, hasty):
    first = functions.call(hasty)
    began = time.monotonic()
    answer = functions.invoke(hasty, {"sleep": 30}, LogType="Tail")
    assert time.monotonic() - began < 10
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert "Task timed out after 1.00 seconds" in answer["LogResult"]
    again = functions.call(hasty)
    assert again["calls"] == 1, "the next invocation begins anew"
    assert first["calls"] == 1


@pytest.mark.statement("lambda.exit")
def test_a_process_that_ends_is_an_exit_error_and_the_next_begins_anew(functions, usual):
    functions.call(usual)
    fault = functions.call(usual, {"exit": 3})
    assert fault["errorType"] == "Runtime.ExitError"
    assert fault["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert functions.call(usual)["calls"] == 1


@pytest.mark.statement("lambda.handler")
def test_a_handler_that_is_not_there_is_named(functions):
    name = functions.make(CODE, Handler="app.nothing")
    fault = functions.call(name)
    assert fault["errorType"] == "Runtime.HandlerNotFound"
    assert fault["errorMessage"] == "Handler 'nothing' missing on module 'app'"


@pytest.mark.statement("lambda.payload-limits")
def test_six_megabytes_go_in_and_out_of_a_synchronous_invocation(functions, usual):
    def of_size(size):
        return json.dumps({"sleep": 0, "x": ""}).replace('""', f'"{"y" * (size - 21)}"').encode()

    assert len(of_size(100)) == 100
    client = functions.client
    assert client.invoke(FunctionName=usual, Payload=of_size(6_291_456 // 2))["StatusCode"] == 200
    assert client.invoke(FunctionName=usual, Payload=of_size(6_291_456), InvocationType="DryRun")["StatusCode"] == 204
    with refused("RequestTooLargeException", "RequestEntityTooLargeException"):
        client.invoke(FunctionName=usual, Payload=of_size(6_291_457), InvocationType="DryRun")
    assert len(functions.call(usual, {"big": 6_291_400})) == 6_291_400
    assert functions.call(usual, {"big": 6_300_000})["errorType"] == "Function.ResponseSizeTooLarge"
    with refused("RequestTooLargeException", "RequestEntityTooLargeException"):
        client.invoke(FunctionName=usual, Payload=of_size(1_048_577), InvocationType="Event")
    with refused("InvalidRequestContentException"):
        client.invoke(FunctionName=usual, Payload=b"{not json")


@pytest.mark.statement("lambda.dry-run")
def test_a_dry_run_runs_nothing_but_checks_the_permission(lab, functions, usual):
    before = functions.call(usual)["calls"]
    answer = functions.client.invoke(FunctionName=usual, InvocationType="DryRun")
    assert (answer["StatusCode"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (204, 204)
    assert functions.call(usual)["calls"] == before + 1
    nobody = lab.role("central")
    with refused("AccessDeniedException"):
        lab.client("lambda", nobody).invoke(FunctionName=usual, InvocationType="DryRun")


@pytest.mark.statement("lambda.client-context")
def test_a_synchronous_function_gets_the_client_context(functions, usual):
    context = base64.b64encode(json.dumps({"custom": {"mood": "good"}}).encode()).decode()
    assert functions.call(usual, ClientContext=context)["client"] == {"mood": "good"}


@pytest.mark.statement("lambda.not-found")
def test_a_function_or_version_that_is_not_there_is_not_found(lab, functions, usual):
    for name in ("nobody", f"{usual}:7", f"{usual}:nobody"):
        with refused("ResourceNotFoundException", message="not found"):
            functions.client.invoke(FunctionName=name)
    with refused("AccessDeniedException", "ResourceNotFoundException"):
        functions.client.invoke(
            FunctionName=functions.arn(usual).replace(lab.account("central"), lab.account("producer"))
        )


# -- processes and concurrency


@pytest.mark.statement("lambda.warm")
def test_a_process_is_used_again_until_the_function_changes(functions):
    name, other = functions.make(CODE), functions.make(CODE)
    first, second, apart = functions.call(name), functions.call(name), functions.call(other)
    assert (first["process"], first["calls"], second["calls"]) == (second["process"], 1, 2)
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"NEW": "1"}})
    functions.active(name)
    third = functions.call(name)
    assert (third["calls"], third["environment"]["NEW"]) == (1, "1")
    functions.client.update_function_code(FunctionName=name, ZipFile=package("def handler(e, c): return 'new code'"))
    functions.active(name)
    assert functions.call(name) == "new code"
    assert functions.call(other)["process"] == apart["process"]


ENDING = """
import os, threading

def handler(event, context):
    if event:
        threading.Timer(0.1, os._exit, [1]).start()
    return os.getpid()
"""


@pytest.mark.statement("lambda.warm")
@pytest.mark.local_only("AWS stops a process between two invocations: it cannot end there")
def test_a_process_that_ended_is_not_used_again(functions):
    name = functions.make(ENDING)
    ended = functions.call(name, {"end": True})
    time.sleep(0.5)
    started = functions.call(name)
    assert isinstance(started, int) and started != ended


@pytest.mark.statement("lambda.warm")
def test_many_other_functions_do_not_end_a_functions_process(functions):
    name, *others = [functions.make(CODE) for _ in range(9)]
    process = functions.call(name)["process"]
    for other in others:
        functions.call(other)
    assert functions.call(name)["process"] == process


@pytest.mark.statement("lambda.warm")
@pytest.mark.local_only("moves the clock")
def test_a_process_is_not_used_for_hours(lab, functions, usual):
    before = functions.call(usual)["process"]
    lab.aws.world.advance(3700)
    assert functions.call(usual)["process"] != before


@pytest.mark.statement("lambda.concurrent")
def test_invocations_at_the_same_time_have_a_process_each(functions, usual):
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: functions.call(usual, {"sleep": 0.3}), range(3)))
    assert len({answer["process"] for answer in answers}) == 3


@pytest.mark.statement("lambda.reserved-concurrency")
def test_no_more_run_at_a_time_than_are_reserved(lab, functions, usual):
    client = functions.client
    functions.call(usual)
    client.put_function_concurrency(FunctionName=usual, ReservedConcurrentExecutions=1)
    assert client.get_function_concurrency(FunctionName=usual)["ReservedConcurrentExecutions"] == 1
    assert client.get_function(FunctionName=usual)["Concurrency"]["ReservedConcurrentExecutions"] == 1
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(functions.call, usual, {"sleep": 1})
        time.sleep(0.4)
        with refused("TooManyRequestsException", message="Rate Exceeded"):
            client.invoke(FunctionName=usual)
        assert "calls" in running.result()
    client.put_function_concurrency(FunctionName=usual, ReservedConcurrentExecutions=0)
    with refused("TooManyRequestsException"):
        client.invoke(FunctionName=usual)
    client.delete_function_concurrency(FunctionName=usual)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=usual)
    lab.eventually(lambda: "calls" in functions.call(usual))


@pytest.mark.statement("lambda.unreserved-concurrency")
@pytest.mark.local_only("the concurrency of a real account is whatever its quota says")
def test_a_hundred_executions_stay_unreserved(functions, usual, hasty):
    client = functions.client
    client.put_function_concurrency(FunctionName=hasty, ReservedConcurrentExecutions=200)
    with refused("InvalidParameterValueException", message="below its minimum value of [100]"):
        client.put_function_concurrency(FunctionName=usual, ReservedConcurrentExecutions=701)
    client.put_function_concurrency(FunctionName=usual, ReservedConcurrentExecutions=700)
    client.put_function_concurrency(FunctionName=usual, ReservedConcurrentExecutions=700)
    for name in (usual, hasty):
        client.delete_function_concurrency(FunctionName=name)


# -- logs


@pytest.mark.statement("lambda.logs")
def test_what_a_function_prints_is_in_its_log_group_between_lambdas_lines(lab, functions):
    group, logs = lab.name("/chosen", "-"), lab.client("logs", "central")
    logs.create_log_group(logGroupName=group)
    lab.at_end(logs.delete_log_group, logGroupName=group)
    name = functions.make(CODE, LoggingConfig={"LogGroup": group})
    request_id = functions.call(name, {"say": "first\n\nsecond"})["id"]

    def lines():
        found = [each["message"] for each in logs.filter_log_events(logGroupName=group)["events"]]
        return found if any(each.startswith("REPORT") for each in found) else None

    messages = [each for each in lab.eventually(lines) if not each.startswith("INIT_START")]
    assert messages[0] == f"START RequestId: {request_id} Version: $LATEST\n"
    assert messages[1:3] == ["first\n", "second\n"]
    assert messages[3] == f"END RequestId: {request_id}\n"
    assert "Init Duration" in messages[4]


@pytest.mark.statement("lambda.json-logs")
def test_with_json_logs_lambdas_lines_are_json(functions):
    name = functions.make(CODE, LoggingConfig={"LogFormat": "JSON"})
    for event, status in (({}, "success"), ({"raise": "no"}, "error")):
        lines = functions.invoke(name, event, LogType="Tail")["LogResult"].strip().splitlines()
        documents = [json.loads(line) for line in lines]
        assert documents[0]["type"] == "platform.start"
        assert (documents[-1]["type"], documents[-1]["record"]["status"]) == ("platform.report", status)
    environment = functions.call(name)["environment"]
    assert (environment["AWS_LAMBDA_LOG_FORMAT"], environment["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "INFO")
