"""Lambda: asynchronous invocations, who may invoke, and where events end."""

import json

import pytest
from functions_lab import Functions, role_for
from lab import refused

CODE = """
import json, time

def handler(event, context):
    print(json.dumps({"event": event, "at": time.time(), "id": context.aws_request_id,
                      "client": bool(context.client_context)}))
    if isinstance(event, dict) and event.get("fail") == "sometimes" and "tried" not in globals():
        globals()["tried"] = True
        raise ValueError("not yet")
    if isinstance(event, dict) and "raise" in event:
        raise ValueError(event["raise"])
    return {"did": event}
"""
CLOCK = "moves the clock"


@pytest.fixture(scope="module")
def functions(lab):
    return Functions(lab, role_for(lab, "sqs:SendMessage", "sns:Publish", "events:PutEvents", "lambda:InvokeFunction"))


@pytest.fixture(scope="module")
def client(functions):
    return functions.client


@pytest.fixture
def queue(lab):
    """(URL, ARN) of a new queue."""
    sqs = lab.client("sqs", "central")
    url = sqs.create_queue(QueueName=lab.name("came", "-"))["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def came(lab, url):
    """The one message of a queue."""

    def receive():
        return (
            lab.client("sqs", "central")
            .receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=0 if lab.is_local else 5)
            .get("Messages", [])
        )

    (message,) = lab.eventually(lambda: receive() or [None])
    return message


def send(client, name, event, **more):
    return client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode(), **more)


@pytest.mark.statement("lambda.asynchronous")
def test_an_event_is_answered_202_with_nothing_and_runs_without_client_context(lab, functions, client):
    name = functions.make(CODE)
    answer = send(client, name, {"n": 1}, ClientContext="e30=")
    assert (answer["StatusCode"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (202, 202)
    assert answer["Payload"].read() == b""
    assert "FunctionError" not in answer
    assert "LogResult" not in answer
    (ran,) = lab.eventually(lambda: functions.printed(name))
    assert (ran["event"], ran["client"]) == ({"n": 1}, False)
    with refused("ResourceNotFoundException"):
        send(client, "nobody-" + name, {})


@pytest.mark.statement("lambda.retries", "lambda.dead-letters")
@pytest.mark.local_only(CLOCK)
def test_an_event_that_fails_is_tried_again_after_one_and_two_minutes_and_is_then_a_dead_letter(
    lab, functions, client, queue
):
    url, arn = queue
    name = functions.make(CODE, DeadLetterConfig={"TargetArn": arn})
    send(client, name, {"raise": "no"})
    lab.aws.world.pass_time(30)
    assert len(functions.printed(name)) == 1
    lab.aws.world.pass_time(200)
    runs = functions.printed(name)
    assert [each["event"] for each in runs] == [{"raise": "no"}] * 3
    assert len({each["id"] for each in runs}) == 1, "one event has one request id"
    between = [later["at"] - earlier["at"] for earlier, later in zip(runs, runs[1:], strict=False)]
    assert between == pytest.approx([60, 120], abs=5)
    letter = came(lab, url)
    assert json.loads(letter["Body"]) == {"raise": "no"}
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert attributes == {"RequestID": runs[0]["id"], "ErrorCode": "200", "ErrorMessage": "no"}


@pytest.mark.statement("lambda.retries")
@pytest.mark.local_only(CLOCK)
def test_an_event_that_succeeds_at_last_is_no_dead_letter(lab, functions, client, queue):
    url, arn = queue
    name = functions.make(CODE, DeadLetterConfig={"TargetArn": arn})
    send(client, name, {"fail": "sometimes"})
    lab.aws.world.pass_time(400)
    assert len(functions.printed(name)) == 2
    assert "Messages" not in lab.client("sqs", "central").receive_message(QueueUrl=url)


@pytest.mark.statement("lambda.retries")
@pytest.mark.local_only(CLOCK)
def test_an_event_of_a_function_that_goes_is_lost_and_the_world_knows_what_waits(lab, functions, client):
    name = functions.make(CODE)
    send(client, name, {"raise": "no"})
    lab.aws.world.pass_time(1)
    assert f"retry of an event of function {name} (1)" in lab.aws.world.busy()
    client.delete_function(FunctionName=name)
    lab.aws.world.pass_time(200)
    assert len(functions.printed(name)) == 1
    assert not [each for each in lab.aws.world.busy() if "retry of an event" in each]


@pytest.mark.statement("lambda.event-age")
@pytest.mark.local_only(CLOCK)
def test_an_event_that_is_too_old_for_another_attempt_is_given_up(lab, functions, client, queue):
    url, arn = queue
    name = functions.make(CODE)
    client.put_function_event_invoke_config(
        FunctionName=name, MaximumEventAgeInSeconds=90, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    send(client, name, {"raise": "no"})
    lab.aws.world.pass_time(600)
    assert len(functions.printed(name)) == 2
    record = json.loads(came(lab, url)["Body"])
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 2


@pytest.mark.statement("lambda.throttled-events")
@pytest.mark.local_only(CLOCK)
def test_a_throttled_event_waits_ever_longer_and_does_not_count_as_tried(lab, functions, client, queue):
    url, arn = queue
    name = functions.make(CODE)
    client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    iam = lab.client("iam", "central")
    trust = iam.get_role(RoleName=functions.role.name)["Role"]["AssumeRolePolicyDocument"]
    closed = json.loads(json.dumps(trust).replace("lambda.amazonaws.com", "glue.amazonaws.com"))
    iam.update_assume_role_policy(RoleName=functions.role.name, PolicyDocument=json.dumps(closed))
    send(client, name, {"n": 1})
    lab.aws.world.pass_time(20)
    assert functions.printed(name) == []
    iam.update_assume_role_policy(RoleName=functions.role.name, PolicyDocument=json.dumps(trust))
    lab.aws.world.pass_time(15)
    assert len(functions.printed(name)) == 1
    record = json.loads(came(lab, url)["Body"])
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == ("Success", 1)


@pytest.mark.statement("lambda.zero-reserved")
def test_without_any_reserved_concurrency_an_event_goes_to_its_destination_untried(lab, functions, client, queue):
    url, arn = queue
    name = functions.make(CODE)
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn}, "OnSuccess": {}}
    )
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    send(client, name, {"n": 1})
    record = json.loads(came(lab, url)["Body"])
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert "responsePayload" not in record
    assert functions.printed(name) == []


@pytest.mark.statement("lambda.destinations")
def test_a_destination_gets_what_was_asked_and_what_came_of_it(lab, functions, client, queue):
    url, arn = queue
    name = functions.make(CODE, Publish=True)
    client.put_function_event_invoke_config(
        FunctionName=name,
        Qualifier="1",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}, "OnSuccess": {"Destination": arn}},
    )
    sqs = lab.client("sqs", "central")
    for event, condition in (({"raise": "no"}, "RetriesExhausted"), ({"n": 1}, "Success")):
        send(client, name, event, Qualifier="1")
        message = came(lab, url)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        record = json.loads(message["Body"])
        context = record["requestContext"]
        assert (context["condition"], context["approximateInvokeCount"]) == (condition, 1)
        assert context["functionArn"].endswith(f":function:{name}:1")
        assert record["requestPayload"] == event
        assert record["responseContext"]["executedVersion"] == "1"
        if condition == "Success":
            assert record["responsePayload"] == {"did": event}
            assert "functionError" not in record["responseContext"]
        else:
            assert record["responsePayload"]["errorType"] == "ValueError"
            assert record["responseContext"]["functionError"] == "Unhandled"
    send(client, name, {"n": 2})  # $LATEST has no configuration
    lab.eventually(lambda: len(functions.printed(name)) == 3)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


@pytest.mark.statement("lambda.destinations")
def test_functions_topics_and_event_buses_are_destinations(lab, functions, client, queue):
    url, arn = queue
    sqs, sns, events = (lab.client(each, "central") for each in ("sqs", "sns", "events"))
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
    topic = sns.create_topic(Name=lab.name("told", "-"))["TopicArn"]
    lab.at_end(sns.delete_topic, TopicArn=topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    rule, source = lab.name("rule", "-"), {"source": ["lambda"]}
    bus = events.create_event_bus(Name=lab.name("bus", "-"))["EventBusArn"]
    bus_name = bus.split("/")[1]
    lab.at_end(events.delete_event_bus, Name=bus_name)
    events.put_rule(Name=rule, EventBusName=bus_name, EventPattern=json.dumps(source))
    lab.at_end(events.delete_rule, Name=rule, EventBusName=bus_name)
    events.put_targets(Rule=rule, EventBusName=bus_name, Targets=[{"Id": "q", "Arn": arn}])
    lab.at_end(events.remove_targets, Rule=rule, EventBusName=bus_name, Ids=["q"])
    follower = functions.make(CODE)
    name = functions.make(CODE)
    for destination in (topic, bus, functions.arn(follower)):
        client.put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": destination}}
        )
        send(client, name, {"to": destination})
        if destination.endswith(follower):
            (ran,) = lab.eventually(lambda: functions.printed(follower))
            record = ran["event"]
        else:
            message = came(lab, url)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            record = json.loads(message["Body"])
        if destination == bus:
            assert record["detail-type"] == "Lambda Function Invocation Result - Success"
            assert functions.arn(name) + ":$LATEST" in record["resources"]
            record = record["detail"]
        assert record["requestPayload"] == {"to": destination}


@pytest.mark.statement("lambda.event-config")
def test_the_settings_of_events_are_kept_by_version_and_held_to_their_ranges(lab, functions, client, queue):
    name = functions.make(CODE)
    with refused("ResourceNotFoundException"):
        client.get_function_event_invoke_config(FunctionName=name)
    with refused("ResourceNotFoundException"):
        client.put_function_event_invoke_config(FunctionName=name, Qualifier="7", MaximumRetryAttempts=1)
    put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    assert put["FunctionArn"].endswith(f"{name}:$LATEST")
    kept = client.get_function_event_invoke_config(FunctionName=name, Qualifier="$LATEST")
    assert kept["MaximumRetryAttempts"] == 1
    assert "MaximumEventAgeInSeconds" not in client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=2
    )
    fifo = queue[1] + ".fifo"
    for wrong in (
        {"MaximumRetryAttempts": 3},
        {"MaximumEventAgeInSeconds": 21601},
        {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:dynamodb:eu-west-1:111111111111:table/t"}}},
        {"DestinationConfig": {"OnSuccess": {"Destination": fifo}}},
    ):
        with refused("InvalidParameterValueException", "ValidationException"):
            client.put_function_event_invoke_config(FunctionName=name, **wrong)
    client.delete_function_event_invoke_config(FunctionName=name)
    for call in (client.get_function_event_invoke_config, client.delete_function_event_invoke_config):
        with refused("ResourceNotFoundException"):
            call(FunctionName=name)


@pytest.mark.statement("lambda.bucket-destination")
@pytest.mark.local_only("what is not built is refused here only")
def test_a_bucket_as_destination_is_refused(functions, client):
    with refused("LocalAwsNotSupported", message="no buckets"):
        client.put_function_event_invoke_config(
            FunctionName=functions.make(CODE), DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}
        )


# -- who may invoke


@pytest.mark.statement("lambda.cross-account")
def test_another_account_needs_both_its_own_and_the_functions_permission(lab, functions, client):
    name = functions.make(CODE, Publish=True)
    arn = functions.arn(name)
    there = lab.client("lambda", lab.role("consumer", allow=["lambda:InvokeFunction"]))
    nobody = lab.client("lambda", lab.role("consumer"))
    with refused("AccessDeniedException"):
        there.invoke(FunctionName=arn)
    client.add_permission(
        FunctionName=name, StatementId="other", Action="lambda:InvokeFunction", Principal=lab.account("consumer")
    )
    lab.eventually(lambda: there.invoke(FunctionName=arn)["StatusCode"] == 200)
    with refused("AccessDeniedException"):
        nobody.invoke(FunctionName=arn)
    with refused("AccessDeniedException"):
        there.invoke(FunctionName=arn, Qualifier="1")
    client.add_permission(
        FunctionName=name,
        StatementId="version",
        Action="lambda:InvokeFunction",
        Principal=lab.account("consumer"),
        Qualifier="1",
    )
    lab.eventually(lambda: there.invoke(FunctionName=f"{arn}:1")["ExecutedVersion"] == "1")
    client.remove_permission(FunctionName=name, StatementId="other")
    with refused("AccessDeniedException"):
        there.invoke(FunctionName=arn)


@pytest.mark.statement("lambda.policy")
def test_a_permission_is_a_statement_of_the_functions_policy(lab, functions, client):
    name = functions.make(CODE, Publish=True)
    arn = functions.arn(name)
    with refused("ResourceNotFoundException"):
        client.get_policy(FunctionName=name)
    role = lab.role("consumer")
    rule = f"arn:aws:events:{lab.region}:{lab.account('central')}:rule/mine"
    wanted = {
        "service": (
            {"Principal": "events.amazonaws.com", "SourceArn": rule},
            {"Principal": {"Service": "events.amazonaws.com"}, "Condition": {"ArnLike": {"AWS:SourceArn": rule}}},
        ),
        "source-account": (
            {"Principal": "s3.amazonaws.com", "SourceAccount": lab.account("consumer")},
            {
                "Principal": {"Service": "s3.amazonaws.com"},
                "Condition": {"StringEquals": {"AWS:SourceAccount": lab.account("consumer")}},
            },
        ),
        "account": (
            {"Principal": lab.account("consumer")},
            {"Principal": {"AWS": f"arn:aws:iam::{lab.account('consumer')}:root"}},
        ),
        "root": (
            {"Principal": f"arn:aws:iam::{lab.account('consumer')}:root"},
            {"Principal": {"AWS": f"arn:aws:iam::{lab.account('consumer')}:root"}},
        ),
        "role": ({"Principal": role.arn}, {"Principal": {"AWS": role.arn}}),
        "organization": (
            {"Principal": "*", "PrincipalOrgID": "o-abcdefghij"},
            {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}},
        ),
    }
    for sid, (parameters, _) in wanted.items():
        client.add_permission(FunctionName=name, StatementId=sid, Action="lambda:InvokeFunction", **parameters)
    policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    statements = {each["Sid"]: each for each in policy["Statement"]}
    for sid, (_, expected) in wanted.items():
        shown = statements[sid]
        assert (shown["Effect"], shown["Action"], shown["Resource"]) == ("Allow", "lambda:InvokeFunction", arn)
        assert expected.items() <= shown.items()
        assert ("Condition" in shown) == ("Condition" in expected)
    with refused("ResourceNotFoundException"):
        client.get_policy(FunctionName=name, Qualifier="1")
    with refused("ResourceConflictException", message="already exists"):
        client.add_permission(
            FunctionName=name, StatementId="role", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        )
    with refused("ResourceNotFoundException"):
        client.remove_permission(FunctionName=name, StatementId="nobody")
    for refused_one in ({"Qualifier": "$LATEST"}, {"Principal": role.arn + "-nobody"}, {"Principal": "somebody"}):
        with refused("InvalidParameterValueException"):
            client.add_permission(
                **{
                    "FunctionName": name,
                    "StatementId": "s",
                    "Action": "lambda:InvokeFunction",
                    "Principal": "s3.amazonaws.com",
                    **refused_one,
                }
            )
    with refused("ResourceNotFoundException"):
        client.add_permission(
            FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="*", Qualifier="7"
        )


@pytest.mark.statement("lambda.service-permission")
def test_a_service_invokes_only_what_the_functions_policy_admits(lab, functions, client):
    name, rule = functions.make(CODE), lab.name("rule", "-")
    events, source = lab.client("events", "central"), lab.name("source", ".")
    arn = events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))["RuleArn"]
    lab.at_end(events.delete_rule, Name=rule)
    events.put_targets(Rule=rule, Targets=[{"Id": "f", "Arn": functions.arn(name)}])
    lab.at_end(events.remove_targets, Rule=rule, Ids=["f"])

    def put(n):
        entry = {"Source": source, "DetailType": "T", "Detail": json.dumps({"n": n})}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    def seen():
        return [each["event"]["detail"]["n"] for each in functions.printed(name)]

    def allow(sid, source_arn):
        client.add_permission(
            FunctionName=name,
            StatementId=sid,
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=source_arn,
        )

    put(1)
    allow("other", arn + "-other")
    put(2)
    lab.eventually(lambda: seen() == [])
    allow("this", arn)
    put(3)
    lab.eventually(lambda: seen() == [3])
    client.remove_permission(FunctionName=name, StatementId="this")
    put(4)
    lab.eventually(lambda: seen() == [3])


@pytest.mark.statement("lambda.policy-by-version")
def test_a_permission_of_a_version_is_removed_there_and_the_functions_own_stays(lab, functions, client):
    name = functions.make(CODE)
    version = client.publish_version(FunctionName=name)["Version"]
    given = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    client.add_permission(FunctionName=name, **given)
    client.add_permission(FunctionName=name, Qualifier=version, **given)

    client.remove_permission(FunctionName=name, StatementId="s", Qualifier=version)

    with refused("ResourceNotFoundException"):
        client.remove_permission(FunctionName=name, StatementId="s", Qualifier=version)
    client.remove_permission(FunctionName=name, StatementId="s")
    with refused("ResourceNotFoundException"):
        client.remove_permission(FunctionName=name, StatementId="s")
