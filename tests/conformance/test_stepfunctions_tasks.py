"""Tasks: what they call, as whom, what they give, and how their errors are named."""

import io
import json
import zipfile

import pytest
from asl import Machines, machine, messages, one, queue, service_role, task
from lab import refused


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


@pytest.fixture(scope="module")
def table(lab):
    dynamodb, name = lab.client("dynamodb", "central"), lab.name("units", "-")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "unit", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "unit", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    lab.at_end(dynamodb.delete_table, TableName=name)
    lab.eventually(lambda: dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE")
    return name


CODE = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("bad input")
    if event.get("quit"):
        import os
        os._exit(1)
    return {"doubled": event["n"] * 2}
"""


@pytest.fixture(scope="module")
def function(lab):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", CODE)
    functions, name = lab.client("lambda", "central"), lab.name("double", "-")
    role = service_role(lab, "central", "lambda.amazonaws.com")
    settings = {"Runtime": "python3.11", "Handler": "app.handler", "Role": role, "Code": {"ZipFile": packed.getvalue()}}

    def make():
        return functions.create_function(FunctionName=name, **settings)["FunctionArn"]

    arn = make() if lab.is_local else lab.eventually(make)
    lab.at_end(functions.delete_function, FunctionName=name)
    lab.eventually(
        lambda: functions.get_function(FunctionName=name)["Configuration"].get("State", "Active") == "Active"
    )
    return arn


# -- the AWS SDK ----------------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.sdk-arns", "stepfunctions.role")
def test_sdk_tasks_call_the_api_as_the_machines_role_and_answer_in_pascal_case(lab, machines):
    url, arn = queue(lab)
    name = arn.rsplit(":", 1)[1]
    assert machines.output(task("aws-sdk:sqs:getQueueUrl", {"QueueName": name})) == {"QueueUrl": url}
    started = machines.run(
        task(
            "aws-sdk:sfn:startExecution",
            {"StateMachineArn": machines.create(machine({"A": {"Type": "Succeed"}})), "Input": "{}"},
        )
    )
    output = json.loads(started["output"])
    assert output["ExecutionArn"].startswith("arn:aws:states:")
    assert output["StartDate"][10] == "T" and output["StartDate"].endswith("Z")
    assert "ResponseMetadata" not in output
    bucket = lab.bucket("central")
    lab.put("central", bucket, "k", "text")
    reader = service_role(lab, "central", "states.amazonaws.com", "s3:GetObject")
    arn = machines.create(task("aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "k"}), roleArn=reader)
    assert json.loads(machines.ended(machines.start(arn))["output"])["Body"] == "text"


@pytest.mark.local_only("a record of calls")
@pytest.mark.statement("stepfunctions.role")
def test_the_call_is_the_roles(lab, machines):
    name = queue(lab)[1].rsplit(":", 1)[1]
    machines.output(task("aws-sdk:sqs:getQueueUrl", {"QueueName": name}))
    assert [each for each in lab.aws.world.log if each.operation == "GetQueueUrl"][-1].principal == machines.role


NOWHERE = "nothing-of-this-name"
SDK_ERRORS = {
    "Glue": ("glue:getDatabase", {"Name": NOWHERE}, "Glue.EntityNotFoundException"),
    "Lake Formation": ("lakeformation:getLFTag", {"TagKey": NOWHERE}, "LakeFormation.EntityNotFoundException"),
    "SQS, of two codes": ("sqs:getQueueUrl", {"QueueName": NOWHERE}, "Sqs.QueueDoesNotExistException"),
    "DynamoDB": ("dynamodb:describeTable", {"TableName": NOWHERE}, "DynamoDb.ResourceNotFoundException"),
    "EventBridge": ("eventbridge:describeRule", {"Name": NOWHERE}, "EventBridge.ResourceNotFoundException"),
    "S3": ("s3:getObject", {"Bucket": "no-such-bucket-anywhere-0", "Key": "k"}, "S3.NoSuchBucketException"),
    "Step Functions": (
        "sfn:describeExecution",
        {"ExecutionArn": "arn:aws:states:eu-west-1:ACCOUNT:execution:a:b"},
        "Sfn.ExecutionDoesNotExistException",
    ),
}


@pytest.fixture(scope="module")
def mighty(lab):
    return service_role(lab, "central", "states.amazonaws.com", "*")


@pytest.mark.statement("stepfunctions.sdk-errors")
@pytest.mark.parametrize("name", SDK_ERRORS)
def test_errors_of_an_api_have_the_services_prefix_and_end_in_exception(lab, machines, mighty, name):
    lab.lake("central")
    action, parameters, error = SDK_ERRORS[name]
    given = {key: value.replace("ACCOUNT", lab.account("central")) for key, value in parameters.items()}
    arn = machines.create(task(f"aws-sdk:{action}", given), roleArn=mighty)
    described = machines.ended(machines.start(arn))
    assert described["error"] in (error, "S3.S3Exception" if name == "S3" else error)
    assert "(Service: " in described["cause"] and "Status Code: 4" in described["cause"]


@pytest.mark.statement("stepfunctions.sdk-errors")
def test_an_error_that_the_api_does_not_define_has_the_services_own_name(machines, table):
    powerless = service_role(machines.lab, "central", "states.amazonaws.com")
    key = {"TableName": table, "Key": {"unit": {"S": "1"}}}
    for resource, error in (
        ("dynamodb:getItem", "DynamoDB.AmazonDynamoDBException"),
        ("aws-sdk:dynamodb:getItem", "DynamoDb.DynamoDbException"),
    ):
        described = machines.ended(machines.start(machines.create(task(resource, key), roleArn=powerless)))
        assert (described["status"], described["error"]) == ("FAILED", error)
        assert "not authorized to perform: dynamodb:GetItem" in described["cause"]


@pytest.mark.statement("stepfunctions.sdk-errors", "stepfunctions.error-matching")
def test_an_apis_error_can_be_caught_by_name(machines):
    definition = task("aws-sdk:sqs:getQueueUrl", {"QueueName": NOWHERE})
    catch = [{"ErrorEquals": ["Sqs.QueueDoesNotExistException"], "ResultPath": "$.error", "Next": "Gone"}]
    definition["States"]["A"]["Catch"] = catch
    definition["States"]["Gone"] = {"Type": "Pass", "Result": "gone", "End": True}
    assert machines.output(definition) == "gone"


@pytest.mark.statement("stepfunctions.parameters-unusable")
@pytest.mark.parametrize("value", [5, None, True, ["x"]])
def test_a_value_that_the_api_has_no_place_for_cannot_start_the_task(machines, table, value):
    definition = task("dynamodb:getItem", {"TableName": table, "Key": {"unit": {"S.$": "$.unit"}}})
    definition["States"]["A"]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    definition["States"]["B"] = {"Type": "Succeed"}
    answer = machines.quick(definition, {"unit": value})
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")
    assert "could not be used to start the Task" in answer["cause"]


# -- optimized integrations -----------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.dynamodb")
def test_items_are_put_read_and_changed_on_conditions(machines, table):
    put = task("dynamodb:putItem", {"TableName": table, "Item": {"unit": {"S.$": "$.unit"}, "token": {"N": "7"}}})
    assert machines.output(put, {"unit": "sales"})["SdkHttpMetadata"]["HttpStatusCode"] == 200
    mark = {
        "TableName": table,
        "Key": {"unit": {"S.$": "$.unit"}},
        "UpdateExpression": "SET #phase = :waiting",
        "ConditionExpression": "#token = :token",
        "ExpressionAttributeNames": {"#phase": "phase", "#token": "token"},
        "ExpressionAttributeValues": {":waiting": {"S": "w"}, ":token": {"N.$": "States.Format('{}', $.token)"}},
    }
    machines.output(task("dynamodb:updateItem", mark), {"unit": "sales", "token": 7})
    got = machines.output(task("dynamodb:getItem", {"TableName": table, "Key": {"unit": {"S": "sales"}}}))
    assert got["Item"] == {"unit": {"S": "sales"}, "token": {"N": "7"}, "phase": {"S": "w"}}
    lost = machines.error(task("dynamodb:updateItem", mark), {"unit": "sales", "token": 8})
    assert lost == "DynamoDB.ConditionalCheckFailedException"
    machines.output(task("dynamodb:deleteItem", {"TableName": table, "Key": {"unit": {"S": "sales"}}}))
    left = machines.output(task("dynamodb:getItem", {"TableName": table, "Key": {"unit": {"S": "sales"}}}))
    assert "Item" not in left


@pytest.mark.statement("stepfunctions.lambda", "stepfunctions.function-errors")
def test_functions_are_invoked_and_their_errors_are_the_tasks(machines, function):
    invoke = task("lambda:invoke", {"FunctionName": function, "Payload": {"n.$": "$.n"}})
    output = machines.output(invoke, {"n": 21})
    assert (output["Payload"], output["StatusCode"], output["ExecutedVersion"]) == ({"doubled": 42}, 200, "$LATEST")
    direct = task(function)
    described = machines.run(direct, {"n": 4})
    assert json.loads(described["output"]) == {"doubled": 8}
    types = machines.types(described["executionArn"])
    assert types[2:5] == ["LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionSucceeded"]
    failed = machines.run(direct, {"fail": True})
    assert (failed["error"], json.loads(failed["cause"])["errorMessage"]) == ("ValueError", "bad input")
    assert "LambdaFunctionFailed" in machines.types(failed["executionArn"])
    assert machines.error(task("lambda:invoke", {"FunctionName": function + "-gone"})) == (
        "Lambda.ResourceNotFoundException"
    )
    assert machines.error(invoke, {"n": None}) == "TypeError"


@pytest.mark.statement("stepfunctions.events", "stepfunctions.failed-entries")
def test_events_are_put_with_the_execution_among_their_resources(lab, machines):
    events, name = lab.client("events", "central"), lab.name("announced", "-")
    url, target = queue(lab)
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    lab.at_end(events.delete_rule, Name=name)
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": target}])
    lab.at_end(events.remove_targets, Rule=name, Ids=["q"])
    entry = {"Source": name, "DetailType": "T", "Detail": {"product.$": "$.p"}, "Resources": ["r"]}
    described = machines.run(task("events:putEvents", {"Entries": [entry]}), {"p": "orders"})
    (message,) = lab.eventually(lambda: messages(lab, url))
    event = json.loads(message["Body"])
    assert event["detail"] == {"product": "orders"}
    assert set(event["resources"]) == {
        "r",
        described["executionArn"],
        described["executionArn"].rsplit(":", 1)[0].replace(":execution:", ":stateMachine:"),
    }
    bad = task("events:putEvents", {"Entries": [{**entry, "Source": "aws.mesh"}]})
    assert machines.error(bad, {"p": "x"}) == "EventBridge.FailedEntry"


@pytest.mark.statement("stepfunctions.json-text")
def test_json_may_be_given_for_messages(lab, machines):
    sns, url = lab.client("sns", "central"), queue(lab)[0]
    topic = sns.create_topic(Name=lab.name("news", "-"))["TopicArn"]
    lab.at_end(sns.delete_topic, TopicArn=topic)
    assert machines.output(task("sns:publish", {"TopicArn": topic, "Message": {"n": 1}}))["MessageId"]
    machines.output(task("sqs:sendMessage", {"QueueUrl": url, "MessageBody": {"n.$": "$.n"}}), {"n": 2})
    machines.output(task("sqs:sendMessage", {"QueueUrl": url, "MessageBody.$": "$.t"}), {"t": "plain"})
    assert sorted(each["Body"] for each in messages(lab, url)) == ["plain", '{"n":2}']
    gone = task("sqs:sendMessage", {"QueueUrl": url + "-gone", "MessageBody": "x"})
    assert machines.error(gone) == "SQS.QueueDoesNotExistException"


# -- other accounts -------------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.credentials", "stepfunctions.credentials-trust", "stepfunctions.credentials-form")
def test_credentials_take_a_task_to_another_account(lab, machines):
    name = queue(lab, "producer", admit=None)[1].rsplit(":", 1)[1]
    definition = task("aws-sdk:sqs:getQueueUrl", {"QueueName": name}, Credentials={"RoleArn.$": "$.role"})
    arn = machines.create(definition)

    def guest(condition, *actions):
        root = {"AWS": f"arn:aws:iam::{lab.account('central')}:root"}
        trusted = {"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole", "Condition": condition}
        return service_role(lab, "producer", "", *actions, trusted=trusted)

    def reached(role, machine_arn=arn):
        return machines.ended(machines.start(machine_arn, {"role": role}))

    mine = {"StringEquals": {"sts:ExternalId": arn}}
    welcome = guest(mine, "sqs:GetQueueUrl")
    output = lab.eventually(lambda: json.loads(reached(welcome).get("output", "null")))
    assert output["QueueUrl"].endswith(f"/{lab.account('producer')}/{name}")
    history = machines.history(machines.start(arn, {"role": welcome}))
    fixed = machines.create({**task("aws-sdk:sqs:getQueueUrl", {"QueueName": name}, Credentials={"RoleArn": welcome})})
    for role, of_machine in (
        (guest({"StringEquals": {"sts:ExternalId": arn + "x"}}, "sqs:GetQueueUrl"), arn),
        (service_role(lab, "producer", "states.amazonaws.com", "sqs:GetQueueUrl"), arn),
        (welcome, fixed),  # the trust is in the first machine only
    ):
        described = reached(role, of_machine)
        assert (described["status"], described["error"]) == ("FAILED", "States.Permissions")
    assert reached(guest(mine))["error"] == "Sqs.SqsException"  # assumed, and allowed nothing
    assert history[0]["type"] == "ExecutionStarted"
    idle = service_role(lab, "central", "states.amazonaws.com", "sqs:GetQueueUrl")
    machines.states.update_state_machine(stateMachineArn=arn, roleArn=idle)
    assert reached(welcome)["error"] == "States.Permissions"  # the machine's role may not assume it


# -- nested executions and task tokens ------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.sync")
def test_a_machine_starts_another_and_waits_for_it_or_not(machines):
    child = machines.create(one(Type="Pass", Parameters={"got.$": "$.x"}))
    start = {"StateMachineArn": child, "Input": {"x.$": "$.v"}}
    assert machines.output(task("states:startExecution", start), {"v": 1})["ExecutionArn"].startswith("arn:")
    synced = json.loads(machines.run(task("states:startExecution.sync", start), {"v": 2})["output"])
    assert (synced["Status"], json.loads(synced["Output"]), json.loads(synced["Input"])) == (
        "SUCCEEDED",
        {"got": 2},
        {"x": 2},
    )
    parsed = json.loads(machines.run(task("states:startExecution.sync:2", start), {"v": 3})["output"])
    assert (parsed["Output"], parsed["Input"]) == ({"got": 3}, {"x": 3})
    broken = machines.create(machine({"F": {"Type": "Fail", "Error": "Broken", "Cause": "deep"}}))
    described = machines.run(task("states:startExecution.sync:2", {"StateMachineArn": broken}))
    assert described["error"] == "States.TaskFailed"
    assert json.loads(described["cause"])["Error"] == "Broken"


@pytest.mark.statement("stepfunctions.sync-stopped")
def test_stopping_a_parent_stops_what_it_waits_for(machines):
    child = machines.create(one(Type="Wait", Seconds=3600))
    parent = machines.start(
        machines.create(task("states:startExecution.sync", {"StateMachineArn": child, "Name": "kid"}))
    )
    kid = child.replace(":stateMachine:", ":execution:") + ":kid"
    machines.soon(lambda: machines.states.list_executions(stateMachineArn=child)["executions"])
    machines.states.stop_execution(executionArn=parent)
    assert machines.ended(kid)["status"] == "ABORTED"


@pytest.mark.statement("stepfunctions.task-token", "stepfunctions.token-answers")
def test_a_task_waits_until_its_token_is_answered(lab, machines):
    url, states = queue(lab)[0], machines.states
    body = {"token.$": "$$.Task.Token"}
    arn = machines.create(task("sqs:sendMessage.waitForTaskToken", {"QueueUrl": url, "MessageBody": body}))

    def begun():
        execution = machines.start(arn)
        (message,) = lab.eventually(lambda: messages(lab, url))
        return execution, json.loads(message["Body"])["token"]

    approved, token = begun()
    states.send_task_heartbeat(taskToken=token)
    with refused("InvalidOutput"):
        states.send_task_success(taskToken=token, output="{")
    with refused("InvalidToken", "AccessDeniedException"):
        lab.client("stepfunctions", "consumer").send_task_success(taskToken=token, output="{}")
    states.send_task_success(taskToken=token, output='{"approved": true}')
    assert json.loads(machines.ended(approved)["output"]) == {"approved": True}
    types = machines.types(approved)
    assert types[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    for call in (states.send_task_success, states.send_task_failure, states.send_task_heartbeat):
        with refused("TaskTimedOut"):
            call(taskToken=token, **({"output": "{}"} if call == states.send_task_success else {}))
    with refused("InvalidToken"):
        states.send_task_success(taskToken="made up", output="{}")

    declined, token = begun()
    states.send_task_failure(taskToken=token, error="Declined", cause="too late")
    described = machines.ended(declined)
    assert (described["error"], described["cause"]) == ("Declined", "too late")
    stopped, token = begun()
    states.stop_execution(executionArn=stopped)
    with refused("TaskTimedOut"):
        states.send_task_success(taskToken=token, output="{}")
