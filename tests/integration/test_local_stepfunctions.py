"""Step Functions of the local AWS, over HTTP: machines, executions, tasks as the machine's role, tokens."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.server import LocalAws

ACCOUNT, OTHER = "111111111111", "222222222222"
REGION = "eu-west-1"
END = {"Type": "Pass", "End": True}


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_role(aws: LocalAws, name: str, *actions: str, account: str = ACCOUNT, trusted: str | None = None) -> str:
    iam = aws.session(account).client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted or trust("states.amazonaws.com"))["Role"][
        "Arn"
    ]
    if actions:
        iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=allow(*actions))
    return arn


class Machines:
    """A short way to make machines and run them."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.states = aws.session(ACCOUNT).client("stepfunctions")
        self.role = make_role(
            aws,
            "machine",
            "sqs:*",
            "dynamodb:*",
            "states:*",
            "events:PutEvents",
            "lambda:InvokeFunction",
            "sts:AssumeRole",
            "sns:Publish",
            "logs:*",
        )
        self.made = 0

    def create(self, definition: dict, role: str | None = None, **fields: Any) -> str:
        self.made += 1
        answer = self.states.create_state_machine(
            name=fields.pop("name", f"machine-{self.made}"),
            definition=json.dumps(definition),
            roleArn=role or self.role,
            **fields,
        )
        return answer["stateMachineArn"]

    def start(self, arn: str, data: object = None, **fields: Any) -> str:
        answer = self.states.start_execution(
            stateMachineArn=arn, input=json.dumps(data if data is not None else {}), **fields
        )
        return answer["executionArn"]

    def ended(self, execution: str, timeout: float = 20) -> dict:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            described = self.states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.02)
        raise AssertionError(f"{execution} still runs after {timeout} s")

    def run(self, definition: dict, data: object = None, role: str | None = None) -> dict:
        return self.ended(self.start(self.create(definition, role), data))

    def output(self, definition: dict, data: object = None) -> Any:
        described = self.run(definition, data)
        assert described["status"] == "SUCCEEDED", described
        return json.loads(described["output"])


@pytest.fixture(scope="module")
def machines(aws_module: LocalAws) -> Iterator[Machines]:
    yield Machines(aws_module)
    assert aws_module.world.failures == []


def machine(states: dict, **fields: object) -> dict:
    return {"StartAt": next(iter(states)), "States": states, **fields}


def task(resource: str, parameters: dict, **fields: object) -> dict:
    prefix = "" if resource.startswith("arn:") else "arn:aws:states:::"
    return machine(
        {"Work": {"Type": "Task", "Resource": prefix + resource, "Parameters": parameters, "End": True, **fields}}
    )


def error_code(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    return raised.value.response["Error"]["Code"]


# --- machines


def test_a_machine_is_made_described_updated_and_deleted(machines: Machines):
    states = machines.states
    arn = machines.create(machine({"A": END}), name="life", tags=[{"key": "team", "value": "mesh"}])
    described = states.describe_state_machine(stateMachineArn=arn)
    assert (described["name"], described["type"], described["status"]) == ("life", "STANDARD", "ACTIVE")
    assert json.loads(described["definition"]) == machine({"A": END})
    assert arn in [each["stateMachineArn"] for each in states.list_state_machines()["stateMachines"]]
    assert states.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "team", "value": "mesh"}]

    again = machine({"B": {"Type": "Pass", "Result": "second", "End": True}})
    revision = states.update_state_machine(stateMachineArn=arn, definition=json.dumps(again))["revisionId"]
    assert states.describe_state_machine(stateMachineArn=arn)["revisionId"] == revision
    assert machines.ended(machines.start(arn))["output"] == '"second"'

    states.delete_state_machine(stateMachineArn=arn)
    assert error_code(states.describe_state_machine, stateMachineArn=arn) == "StateMachineDoesNotExist"
    states.delete_state_machine(stateMachineArn=arn)  # again is no error


def test_making_the_same_machine_again_gives_the_one_there_is(machines: Machines):
    first = machines.create(machine({"A": END}), name="same")
    assert machines.create(machine({"A": END}), name="same") == first
    assert error_code(machines.create, machine({"B": END}), name="same") == "StateMachineAlreadyExists"


def test_a_bad_definition_is_refused_and_validation_says_where(machines: Machines):
    bad = machine({"A": {"Type": "Pass", "Next": "B"}})
    assert error_code(machines.create, bad) == "InvalidDefinition"
    answer = machines.states.validate_state_machine_definition(definition=json.dumps(bad))
    assert answer["result"] == "FAIL"
    assert answer["diagnostics"][0]["location"] == "/States/A/Next"
    assert (
        machines.states.validate_state_machine_definition(definition=json.dumps(machine({"A": END})))["result"] == "OK"
    )


def test_a_role_must_trust_step_functions(machines: Machines, aws_module: LocalAws):
    stranger = make_role(aws_module, "for-lambda", trusted=trust("lambda.amazonaws.com"))
    assert error_code(machines.create, machine({"A": END}), stranger) == "AccessDeniedException"
    missing = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    assert error_code(machines.create, machine({"A": END}), missing) == "AccessDeniedException"
    assert error_code(machines.create, machine({"A": END}), "nobody") == "InvalidArn"


def test_what_is_not_built_is_refused_by_name(machines: Machines):
    states = machines.states
    assert error_code(states.create_activity, name="work") == "LocalAwsNotSupported"
    assert error_code(states.redrive_execution, executionArn=f"arn:aws:states:{REGION}:{ACCOUNT}:execution:a:b") == (
        "LocalAwsNotSupported"
    )


# --- executions


def test_an_execution_gets_its_input_and_gives_its_output(machines: Machines):
    arn = machines.create(
        machine({"A": {"Type": "Pass", "Parameters": {"got.$": "$.a", "name.$": "$$.Execution.Name"}, "End": True}})
    )
    described = machines.ended(machines.start(arn, {"a": 1}, name="first"))
    assert described["status"] == "SUCCEEDED"
    assert json.loads(described["input"]) == {"a": 1}
    assert json.loads(described["output"]) == {"got": 1, "name": "first"}
    assert described["executionArn"] == f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{arn.split(':')[-1]}:first"
    assert described["stopDate"] >= described["startDate"]
    assert (
        machines.states.describe_state_machine_for_execution(executionArn=described["executionArn"])["stateMachineArn"]
        == arn
    )


def test_starting_again_by_name(machines: Machines):
    arn = machines.create(machine({"W": {"Type": "Wait", "Seconds": 3600, "End": True}}))
    first = machines.start(arn, {"a": 1}, name="once")
    assert machines.start(arn, {"a": 1}, name="once") == first  # running, same input
    assert error_code(machines.start, arn, {"a": 2}, name="once") == "ExecutionAlreadyExists"
    machines.states.stop_execution(executionArn=first, error="Enough", cause="test")
    assert error_code(machines.start, arn, {"a": 1}, name="once") == "ExecutionAlreadyExists"  # closed
    described = machines.ended(first)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Enough", "test")
    assert machines.start(arn) != machines.start(arn)  # unnamed: each its own
    for execution in machines.states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]:
        machines.states.stop_execution(executionArn=execution["executionArn"])


def test_what_cannot_be_started(machines: Machines):
    arn = machines.create(machine({"A": END}))
    start = machines.states.start_execution
    assert error_code(start, stateMachineArn=arn, input="{") == "InvalidExecutionInput"
    assert error_code(start, stateMachineArn=arn, name="a b") == "InvalidName"
    assert error_code(start, stateMachineArn=arn, name="x" * 81) == "ValidationException"
    assert error_code(start, stateMachineArn=arn, input=json.dumps("x" * 262_144)) == "ValidationException"
    assert error_code(start, stateMachineArn=arn + "-missing") == "StateMachineDoesNotExist"
    assert error_code(start, stateMachineArn="nonsense") in ("InvalidArn", "AccessDeniedException")


def test_executions_are_listed_newest_first_by_status_and_in_pages(machines: Machines):
    arn = machines.create(
        machine(
            {
                "C": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "F"}],
                    "Default": "S",
                },
                "F": {"Type": "Fail", "Error": "E", "Cause": "C"},
                "S": {"Type": "Succeed"},
            }
        )
    )
    made = [machines.start(arn, {"fail": number % 2 == 0}, name=f"run-{number}") for number in range(5)]
    for execution in made:
        machines.ended(execution)
    listed: list[str] = []
    for page in machines.states.get_paginator("list_executions").paginate(
        stateMachineArn=arn, PaginationConfig={"PageSize": 2}
    ):
        listed += [each["executionArn"] for each in page["executions"]]
    assert listed == made[::-1]
    failed = machines.states.list_executions(stateMachineArn=arn, statusFilter="FAILED")["executions"]
    assert [each["name"] for each in failed] == ["run-4", "run-2", "run-0"]


def test_the_history_tells_what_happened_in_pages_and_backwards(machines: Machines):
    described = machines.run(
        machine({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Fail", "Error": "E", "Cause": "C"}})
    )
    arn = described["executionArn"]
    events: list[dict] = []
    for page in machines.states.get_paginator("get_execution_history").paginate(
        executionArn=arn, PaginationConfig={"PageSize": 2}
    ):
        events += page["events"]
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "FailStateEntered",
        "ExecutionFailed",
    ]
    assert [event["id"] for event in events] == [1, 2, 3, 4, 5]
    assert events[0]["executionStartedEventDetails"]["roleArn"] == machines.role
    assert events[1]["stateEnteredEventDetails"]["name"] == "A"
    assert events[4]["executionFailedEventDetails"] == {"error": "E", "cause": "C"}
    backwards = machines.states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)
    assert backwards["events"][0]["type"] == "ExecutionFailed"
    bare = machines.states.get_execution_history(executionArn=arn, includeExecutionData=False)["events"]
    assert "input" not in bare[0]["executionStartedEventDetails"]


def test_another_account_cannot_reach_a_machine(machines: Machines, aws_module: LocalAws):
    arn = machines.create(machine({"A": END}))
    elsewhere = aws_module.session(OTHER).client("stepfunctions")
    assert error_code(elsewhere.start_execution, stateMachineArn=arn) == "AccessDeniedException"
    assert arn not in [each["stateMachineArn"] for each in elsewhere.list_state_machines()["stateMachines"]]


def test_a_machine_that_is_deleted_lets_its_executions_end(machines: Machines):
    arn = machines.create(machine({"W": {"Type": "Wait", "Seconds": 3600, "End": True}}))
    execution = machines.start(arn)
    machines.states.delete_state_machine(stateMachineArn=arn)
    assert machines.states.describe_state_machine(stateMachineArn=arn)["status"] == "DELETING"
    assert error_code(machines.start, arn) == "StateMachineDeleting"
    machines.states.stop_execution(executionArn=execution)
    machines.aws.world.wait_idle(10)
    assert error_code(machines.states.describe_state_machine, stateMachineArn=arn) == "StateMachineDoesNotExist"


# --- tasks


def test_sdk_tasks_run_as_the_machines_role(machines: Machines, aws_module: LocalAws):
    aws_module.session(ACCOUNT).client("sqs").create_queue(QueueName="orders")
    url = machines.output(task("aws-sdk:sqs:getQueueUrl", {"QueueName": "orders"}))["QueueUrl"]
    assert url.endswith(f"/{ACCOUNT}/orders")
    call = [each for each in aws_module.world.log if each.operation == "GetQueueUrl"][-1]
    assert call.principal == machines.role


def test_a_role_without_permission_fails_the_task(machines: Machines, aws_module: LocalAws):
    aws_module.session(ACCOUNT).client("dynamodb").create_table(
        TableName="forbidden",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    powerless = make_role(aws_module, "powerless")
    key = {"TableName": "forbidden", "Key": {"k": {"S": "1"}}}
    described = machines.run(task("dynamodb:getItem", key), role=powerless)
    assert described["status"] == "FAILED"
    assert described["error"] == "DynamoDB.AmazonDynamoDBException"
    assert "not authorized to perform: dynamodb:GetItem" in described["cause"]
    assert machines.run(task("aws-sdk:dynamodb:getItem", key), role=powerless)["error"] == "DynamoDb.DynamoDbException"


def test_errors_of_an_api_can_be_caught_by_name(machines: Machines):
    definition = machine(
        {
            "Find": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
                "Parameters": {"QueueName": "no-such-queue"},
                "Catch": [{"ErrorEquals": ["Sqs.QueueDoesNotExistException"], "ResultPath": "$.error", "Next": "Gone"}],
                "End": True,
            },
            "Gone": {"Type": "Pass", "Result": "gone", "End": True},
        }
    )
    assert machines.output(definition) == "gone"


def test_dynamodb_tasks_and_conditions(machines: Machines, aws_module: LocalAws):
    aws_module.session(ACCOUNT).client("dynamodb").create_table(
        TableName="units",
        KeySchema=[{"AttributeName": "unit", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "unit", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    put = task("dynamodb:putItem", {"TableName": "units", "Item": {"unit": {"S.$": "$.unit"}, "token": {"N": "7"}}})
    assert machines.output(put, {"unit": "sales/orders"})["SdkHttpMetadata"] == {"HttpStatusCode": 200}
    mark = {
        "TableName": "units",
        "Key": {"unit": {"S.$": "$.unit"}},
        "UpdateExpression": "SET #phase = :waiting",
        "ConditionExpression": "#token = :token",
        "ExpressionAttributeNames": {"#phase": "phase", "#token": "token"},
        "ExpressionAttributeValues": {
            ":waiting": {"S": "waiting"},
            ":token": {"N.$": "States.Format('{}', $.token)"},
        },
    }
    machines.output(task("dynamodb:updateItem", mark), {"unit": "sales/orders", "token": 7})
    got = machines.output(task("dynamodb:getItem", {"TableName": "units", "Key": {"unit": {"S": "sales/orders"}}}))
    assert got["Item"] == {"unit": {"S": "sales/orders"}, "token": {"N": "7"}, "phase": {"S": "waiting"}}
    lost = machines.run(task("dynamodb:updateItem", mark), {"unit": "sales/orders", "token": 8})
    assert lost["error"] == "DynamoDB.ConditionalCheckFailedException"


def test_a_number_where_the_api_wants_text_cannot_start_the_task(machines: Machines):
    definition = task("dynamodb:getItem", {"TableName": "units", "Key": {"unit": {"S.$": "$.unit"}}})
    described = machines.run(definition, {"unit": 5})
    assert described["error"] == "States.Runtime"
    assert "could not be used to start the Task" in described["cause"]


def test_credentials_take_a_task_to_another_account(machines: Machines, aws_module: LocalAws):
    aws_module.session(OTHER).client("sqs").create_queue(QueueName="theirs")
    definition = machine(
        {
            "Ask": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
                "Parameters": {"QueueName": "theirs"},
                "Credentials": {"RoleArn.$": "$.role"},
                "End": True,
            }
        }
    )
    arn = machines.create(definition, name="abroad")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": arn}},
    }
    trusted = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    guest = make_role(aws_module, "guest", "sqs:GetQueueUrl", account=OTHER, trusted=trusted)
    reached = machines.ended(machines.start(arn, {"role": guest}))
    assert json.loads(reached["output"])["QueueUrl"].endswith(f"/{OTHER}/theirs")
    hostile = make_role(aws_module, "hostile", "sqs:GetQueueUrl", account=OTHER)
    refused = machines.ended(machines.start(arn, {"role": hostile}))
    assert (refused["status"], refused["error"]) == ("FAILED", "States.Permissions")


CODE = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("bad input")
    return {"doubled": event["n"] * 2}
"""


@pytest.fixture(scope="module")
def function(aws_module: LocalAws) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", CODE)
    return (
        aws_module.session(ACCOUNT)
        .client("lambda")
        .create_function(
            FunctionName="double",
            Runtime="python3.11",
            Handler="app.handler",
            Role=make_role(aws_module, "function", trusted=trust("lambda.amazonaws.com")),
            Code={"ZipFile": packed.getvalue()},
        )["FunctionArn"]
    )


def test_functions_are_invoked_and_their_errors_are_errors_of_the_task(machines: Machines, function: str):
    invoke = task("lambda:invoke", {"FunctionName": function, "Payload": {"n.$": "$.n"}})
    output = machines.output(invoke, {"n": 21})
    assert (output["Payload"], output["StatusCode"], output["ExecutedVersion"]) == ({"doubled": 42}, 200, "$LATEST")
    direct = machine({"Work": {"Type": "Task", "Resource": function, "End": True}})
    assert machines.output(direct, {"n": 4}) == {"doubled": 8}
    failed = machines.run(direct, {"fail": True})
    assert failed["error"] == "ValueError"
    assert json.loads(failed["cause"])["errorMessage"] == "bad input"
    missing = machines.run(task("lambda:invoke", {"FunctionName": function + "-missing"}))
    assert missing["error"] == "Lambda.ResourceNotFoundException"


# --- nested executions, tokens, events


def test_a_machine_starts_another_and_waits_for_it_or_not(machines: Machines):
    child = machines.create(machine({"A": {"Type": "Pass", "Parameters": {"got.$": "$.x"}, "End": True}}))
    start = {"StateMachineArn": child, "Input": {"x.$": "$.v"}}
    assert machines.output(task("states:startExecution", start), {"v": 1})["ExecutionArn"].startswith("arn:")
    synced = machines.output(task("states:startExecution.sync", start), {"v": 2})
    assert (synced["Status"], json.loads(synced["Output"])) == ("SUCCEEDED", {"got": 2})
    assert machines.output(task("states:startExecution.sync:2", start), {"v": 3})["Output"] == {"got": 3}


def test_a_nested_execution_that_fails_fails_its_parent(machines: Machines):
    child = machines.create(machine({"F": {"Type": "Fail", "Error": "Broken", "Cause": "deep down"}}))
    described = machines.run(task("states:startExecution.sync:2", {"StateMachineArn": child}))
    assert described["error"] == "States.TaskFailed"
    assert json.loads(described["cause"])["Error"] == "Broken"


def test_stopping_a_parent_stops_what_it_waits_for(machines: Machines):
    child = machines.create(machine({"W": {"Type": "Wait", "Seconds": 3600, "End": True}}))
    parent = machines.start(
        machines.create(task("states:startExecution.sync", {"StateMachineArn": child, "Name": "kid"}))
    )
    kid = f"{child.replace('stateMachine', 'execution')}:kid"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not machines.states.list_executions(stateMachineArn=child)["executions"]:
        time.sleep(0.02)
    machines.states.stop_execution(executionArn=parent)
    assert machines.ended(kid)["status"] == "ABORTED"


def token_from(machines: Machines, queue_url: str) -> str:
    message = (
        machines.aws.session(ACCOUNT)
        .client("sqs")
        .receive_message(QueueUrl=queue_url, WaitTimeSeconds=5)["Messages"][0]
    )
    return json.loads(message["Body"])["token"]


def test_a_task_waits_until_its_token_is_answered(machines: Machines):
    sqs, states = machines.aws.session(ACCOUNT).client("sqs"), machines.states
    url = sqs.create_queue(QueueName="tokens")["QueueUrl"]
    body = {"token.$": "$$.Task.Token", "ask.$": "$.ask"}
    arn = machines.create(task("sqs:sendMessage.waitForTaskToken", {"QueueUrl": url, "MessageBody": body}))

    approved = machines.start(arn, {"ask": 1})
    token = token_from(machines, url)
    machines.aws.world.wait_idle(10)  # waiting for a token is no work under way
    states.send_task_heartbeat(taskToken=token)
    assert error_code(states.send_task_success, taskToken=token, output="{") == "InvalidOutput"
    states.send_task_success(taskToken=token, output='{"approved": true}')
    assert json.loads(machines.ended(approved)["output"]) == {"approved": True}
    assert error_code(states.send_task_success, taskToken=token, output="{}") == "TaskTimedOut"
    assert error_code(states.send_task_success, taskToken="made up", output="{}") == "InvalidToken"

    declined = machines.start(arn, {"ask": 2})
    states.send_task_failure(taskToken=token_from(machines, url), error="Declined", cause="too late")
    described = machines.ended(declined)
    assert (described["error"], described["cause"]) == ("Declined", "too late")


def test_events_are_put_with_the_execution_among_their_resources(machines: Machines):
    session = machines.aws.session(ACCOUNT)
    events, sqs = session.client("events"), session.client("sqs")
    url = sqs.create_queue(QueueName="announced")["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:announced"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    )
    events.put_rule(Name="announced", EventPattern=json.dumps({"source": ["mesh"]}))
    events.put_targets(Rule="announced", Targets=[{"Id": "q", "Arn": queue}])

    entry = {"Source": "mesh", "DetailType": "DataProductPublished", "Detail": {"product.$": "$.p"}}
    described = machines.run(task("events:putEvents", {"Entries": [entry]}), {"p": "orders"})
    assert described["status"] == "SUCCEEDED"
    machines.aws.world.wait_idle(10)
    received = json.loads(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"])
    assert received["detail"] == {"product": "orders"}
    assert described["executionArn"] in received["resources"]

    refused = machines.run(task("events:putEvents", {"Entries": [{**entry, "Source": "aws.mesh"}]}), {"p": "x"})
    assert refused["error"] == "EventBridge.FailedEntry"


def test_messages_are_published(machines: Machines):
    sns, sqs = machines.aws.session(ACCOUNT).client("sns"), machines.aws.session(ACCOUNT).client("sqs")
    topic = sns.create_topic(Name="news")["TopicArn"]
    output = machines.output(task("sns:publish", {"TopicArn": topic, "Message": {"n.$": "$.n"}}), {"n": 1})
    assert output["MessageId"]
    url = sqs.create_queue(QueueName="sent")["QueueUrl"]
    machines.output(task("sqs:sendMessage", {"QueueUrl": url, "MessageBody": {"n.$": "$.n"}}), {"n": 2})
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == '{"n":2}'
    gone = machines.run(task("sqs:sendMessage", {"QueueUrl": url + "-gone", "MessageBody": "x"}))
    assert gone["error"] == "SQS.QueueDoesNotExistException"


def test_status_changes_of_standard_executions_are_events(machines: Machines):
    session = machines.aws.session(ACCOUNT)
    events, sqs = session.client("events"), session.client("sqs")
    arn = machines.create(machine({"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}), name="observed")
    url = sqs.create_queue(QueueName="changes")["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:changes"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    )
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [arn], "status": ["FAILED"]}}
    events.put_rule(Name="changes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="changes", Targets=[{"Id": "q", "Arn": queue}])
    execution = machines.start(arn, {"a": 1})
    machines.aws.world.wait_idle(10)
    event = json.loads(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"])
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert event["resources"] == [execution]
    detail = event["detail"]
    assert (detail["executionArn"], detail["error"], detail["cause"]) == (execution, "E", "C")
    assert json.loads(detail["input"]) == {"a": 1}
    assert detail["output"] is None
    assert detail["stopDate"] >= detail["startDate"] > 1_600_000_000_000


# --- express, logs, what others read


def test_express_machines_answer_synchronously(machines: Machines):
    arn = machines.create(machine({"A": {"Type": "Pass", "Result": 1, "End": True}}), type="EXPRESS")
    states = machines.aws.session(ACCOUNT).client("stepfunctions", config=Config(inject_host_prefix=False))
    answer = states.start_sync_execution(stateMachineArn=arn, input="{}", name="again")
    assert (answer["status"], answer["output"]) == ("SUCCEEDED", "1")
    assert states.start_sync_execution(stateMachineArn=arn, name="again")["status"] == "SUCCEEDED"
    assert error_code(states.describe_execution, executionArn=answer["executionArn"]) == "ExecutionDoesNotExist"
    standard = machines.create(machine({"A": END}))
    assert error_code(states.start_sync_execution, stateMachineArn=standard) == "StateMachineTypeNotSupported"


def test_failures_are_logged_without_their_data(machines: Machines):
    logs = machines.aws.session(ACCOUNT).client("logs")
    logs.create_log_group(logGroupName="/tagmesh/machines")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/tagmesh/machines:*"
    configuration = {
        "level": "ERROR",
        "includeExecutionData": False,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }
    arn = machines.create(
        machine({"F": {"Type": "Fail", "Error": "E", "Cause": "secret"}}), loggingConfiguration=configuration
    )
    machines.ended(machines.start(arn, {"password": "secret"}))
    machines.aws.world.wait_idle(10)
    events = logs.filter_log_events(logGroupName="/tagmesh/machines")["events"]
    assert [json.loads(event["message"])["type"] for event in events] == ["FailStateEntered", "ExecutionFailed"]
    assert "secret" not in json.dumps(events)
    silent = make_role(machines.aws, "silent")
    refused = error_code(machines.create, machine({"A": END}), silent, loggingConfiguration=configuration)
    assert refused == "AccessDeniedException"
    bad = {**configuration, "destinations": []}
    assert error_code(machines.create, machine({"A": END}), loggingConfiguration=bad) == "InvalidLoggingConfiguration"


def test_executions_are_told_to_the_admin_and_the_live_view(machines: Machines):
    arn = machines.create(
        machine({"A": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "E", "Cause": "C"}}), name="told"
    )
    execution = machines.start(arn)
    machines.ended(execution)
    told = next(each for each in machines.aws.world.engines["stepfunctions"].executions() if each["arn"] == execution)
    assert (told["stateMachine"], told["status"], told["error"], told["cause"]) == ("told", "FAILED", "E", "C")
    assert told["transitions"] == 2
    texts = [line["text"] for line in machines.aws.world.activity_after(0) if line["subject"] == "told"]
    assert texts == ["started", "FAILED: E C"]


def test_the_crawl_machine_of_the_product_ends_with_its_functions_error(machines: Machines, function: str):
    """Its catcher leads to the Fail state, which reports what the function raised."""
    text = (Path(__file__).parents[2] / "statemachines" / "crawl.asl.json").read_text()
    text = text.replace("${PrepareCrawlFunctionArn}", function).replace("${UnitsTable}", "units")
    described = machines.run(json.loads(text), {"unit": "u", "token": 7, "correlation_id": "c"})
    assert (described["status"], described["error"]) == ("FAILED", "KeyError")


# --- time: last, because moto's logs take no lines from a clock that is hours ahead


def test_waits_and_timeouts_follow_the_worlds_clock(machines: Machines):
    world = machines.aws.world
    waiting = machines.start(machines.create(machine({"W": {"Type": "Wait", "Seconds": 7200, "End": True}})))
    timed = machines.start(
        machines.create(machine({"W": {"Type": "Wait", "Seconds": 7200, "End": True}}, TimeoutSeconds=600))
    )
    world.wait_idle(10)  # a long wait is no work under way
    world.advance(3600)
    assert machines.ended(timed)["status"] == "TIMED_OUT"
    assert machines.states.describe_execution(executionArn=waiting)["status"] == "RUNNING"
    world.advance(3700)
    assert machines.ended(waiting)["status"] == "SUCCEEDED"
    last = machines.states.get_execution_history(executionArn=timed, reverseOrder=True, maxResults=1)["events"][0]
    assert last["type"] == "ExecutionTimedOut"


def test_a_short_wait_counts_as_work_under_way(machines: Machines):
    execution = machines.start(machines.create(machine({"W": {"Type": "Wait", "Seconds": 1, "End": True}})))
    machines.aws.world.wait_idle(10)
    assert machines.states.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
