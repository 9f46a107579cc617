"""State machines and their executions: how they are made, started, listed, stopped, logged and told of."""

import json
from datetime import UTC, datetime

import pytest
from asl import END, Machines, machine, messages, one, queue, service_role
from lab import refused

FAILS = machine({"A": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "E", "Cause": "C"}})
LONG = one(Type="Wait", Seconds=3600)


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


# -- machines -------------------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.machine-life")
def test_a_machine_is_made_described_updated_and_deleted(machines):
    states, name = machines.states, machines.lab.name("life", "-")
    machines.create(LONG, tracingConfiguration={"enabled": True})  # so that there are pages
    arn = machines.create(machine({"A": END}), name=name)
    described = states.describe_state_machine(stateMachineArn=arn)
    assert (described["name"], described["type"], described["status"]) == (name, "STANDARD", "ACTIVE")
    assert (described["roleArn"], described["loggingConfiguration"]["level"]) == (machines.role, "OFF")
    assert json.loads(described["definition"]) == machine({"A": END})
    listed = states.get_paginator("list_state_machines").paginate(PaginationConfig={"PageSize": 1})
    assert arn in [each["stateMachineArn"] for page in listed for each in page["stateMachines"]]
    with refused("MissingRequiredParameter", "ValidationException"):
        states.update_state_machine(stateMachineArn=arn)
    with refused("InvalidDefinition"):
        states.update_state_machine(stateMachineArn=arn, definition="{}")
    with refused("InvalidArn"):
        states.update_state_machine(stateMachineArn=arn, roleArn="nobody")
    again = one(Type="Pass", Result="second")
    revision = states.update_state_machine(stateMachineArn=arn, definition=json.dumps(again))["revisionId"]
    assert states.describe_state_machine(stateMachineArn=arn)["revisionId"] == revision
    assert machines.ended(machines.start(arn))["output"] == '"second"'
    bare = states.describe_state_machine(stateMachineArn=arn, includedData="METADATA_ONLY")
    assert "Pass" not in bare.get("definition", "")
    other = service_role(machines.lab, "central", "states.amazonaws.com")
    machines.lab.eventually(lambda: states.update_state_machine(stateMachineArn=arn, roleArn=other))
    states.update_state_machine(stateMachineArn=arn, tracingConfiguration={"enabled": True})
    described = states.describe_state_machine(stateMachineArn=arn)
    assert (described["roleArn"], described["tracingConfiguration"]) == (other, {"enabled": True})

    states.delete_state_machine(stateMachineArn=arn)
    with refused("StateMachineDoesNotExist"):
        machines.lab.eventually(lambda: states.describe_state_machine(stateMachineArn=arn))
    states.delete_state_machine(stateMachineArn=arn)  # again is no error


@pytest.mark.statement("stepfunctions.create-idempotent")
def test_making_the_same_machine_again_gives_the_one_there_is(machines):
    name = machines.lab.name("same", "-")
    first = machines.create(machine({"A": END}), name=name)
    assert machines.create(machine({"A": END}), name=name) == first
    for fields in ({"definition": json.dumps(machine({"B": END}))}, {"tracingConfiguration": {"enabled": True}}):
        settings = {"definition": json.dumps(machine({"A": END})), "roleArn": machines.role, **fields}
        with refused("StateMachineAlreadyExists"):
            machines.states.create_state_machine(name=name, **settings)


@pytest.mark.statement("stepfunctions.names")
@pytest.mark.parametrize("name", ["a b", "a<b", "a*", "a#b", "a:b", "a/b", "x" * 81])
def test_names_have_80_characters_at_most_and_none_that_are_special(machines, name):
    with refused("InvalidName", "ValidationException"):
        machines.states.create_state_machine(name=name, definition=json.dumps(LONG), roleArn=machines.role)
    with refused("InvalidName", "ValidationException"):
        machines.states.start_execution(stateMachineArn=machines.create(LONG), name=name)


@pytest.mark.statement("stepfunctions.role-trust")
def test_a_machines_role_must_trust_step_functions(machines):
    stranger = service_role(machines.lab, "central", "lambda.amazonaws.com")
    missing = f"arn:aws:iam::{machines.lab.account('central')}:role/nobody"
    settings = {"name": machines.lab.name("role", "-"), "definition": json.dumps(LONG)}
    for role in (stranger, missing):
        with refused("AccessDeniedException"):
            machines.states.create_state_machine(**settings, roleArn=role)
    with refused("InvalidArn"):
        machines.states.create_state_machine(**settings, roleArn="nobody")


@pytest.mark.statement("stepfunctions.tags")
def test_machines_carry_tags(machines):
    arn = machines.create(machine({"A": END}), tags=[{"key": "team", "value": "mesh"}, {"key": "b", "value": "1"}])
    states = machines.states
    states.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}, {"key": "c", "value": "3"}])
    states.untag_resource(resourceArn=arn, tagKeys=["c", "nothing"])
    tags = states.list_tags_for_resource(resourceArn=arn)["tags"]
    assert {tag["key"]: tag["value"] for tag in tags} == {"team": "mesh", "b": "2"}
    with refused("ResourceNotFound"):
        states.list_tags_for_resource(resourceArn=arn + "-missing")
    with refused("ResourceNotFound", "AccessDeniedException"):
        machines.lab.client("stepfunctions", "consumer").list_tags_for_resource(resourceArn=arn)


@pytest.mark.statement("stepfunctions.no-resource-policy")
def test_another_account_reaches_neither_a_machine_nor_its_executions(machines):
    arn = machines.create(LONG)
    execution = machines.start(arn)
    elsewhere = machines.lab.client("stepfunctions", "consumer")
    with refused("AccessDeniedException"):
        elsewhere.start_execution(stateMachineArn=arn)
    with refused("AccessDeniedException"):
        elsewhere.describe_state_machine(stateMachineArn=arn)
    with refused("AccessDeniedException"):
        elsewhere.stop_execution(executionArn=execution)
    assert arn not in [each["stateMachineArn"] for each in elsewhere.list_state_machines()["stateMachines"]]
    machines.states.stop_execution(executionArn=execution)


@pytest.mark.local_only("another Region")
@pytest.mark.statement("stepfunctions.machine-life")
def test_machines_are_listed_in_their_region(lab, machines):
    arn = machines.create(LONG)
    there = lab.session("central").client("stepfunctions", region_name="us-east-1")
    assert arn not in [each["stateMachineArn"] for each in there.list_state_machines()["stateMachines"]]


@pytest.mark.statement("stepfunctions.deleting")
def test_a_machine_that_is_deleted_lets_its_executions_end(machines):
    arn = machines.create(LONG)
    execution = machines.start(arn)
    states = machines.states
    states.delete_state_machine(stateMachineArn=arn)
    assert states.describe_state_machine(stateMachineArn=arn)["status"] == "DELETING"
    with refused("StateMachineDeleting"):
        machines.start(arn)
    with refused("StateMachineDeleting"):
        states.update_state_machine(stateMachineArn=arn, definition=json.dumps(FAILS))
    with refused("StateMachineDeleting"):
        machines.create(LONG, name=arn.rsplit(":", 1)[1])
    states.stop_execution(executionArn=execution)
    assert machines.lab.eventually(lambda: machines.ended(execution)["status"] == "ABORTED")
    with refused("StateMachineDoesNotExist"):
        states.describe_state_machine(stateMachineArn=arn)


# -- executions -----------------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.execution")
def test_an_execution_gets_its_input_and_gives_its_output(machines):
    arn = machines.create(one(Type="Pass", Parameters={"got.$": "$.a"}))
    described = machines.ended(machines.start(arn, {"a": 1}, name="first"))
    assert described["status"] == "SUCCEEDED"
    assert (json.loads(described["input"]), json.loads(described["output"])) == ({"a": 1}, {"got": 1})
    assert described["executionArn"] == arn.replace(":stateMachine:", ":execution:") + ":first"
    assert described["stopDate"] >= described["startDate"]
    bare = machines.states.describe_execution(executionArn=described["executionArn"], includedData="METADATA_ONLY")
    assert "input" not in bare and "output" not in bare
    of_machine = machines.states.describe_state_machine_for_execution(executionArn=described["executionArn"])
    assert (of_machine["stateMachineArn"], of_machine["roleArn"]) == (arn, machines.role)
    assert json.loads(of_machine["definition"])["StartAt"] == "A"


@pytest.mark.statement("stepfunctions.name-idempotent", "stepfunctions.stop")
def test_a_name_starts_one_execution_and_again_only_the_one_that_runs_with_the_same_input(machines):
    arn = machines.create(LONG)
    first = machines.start(arn, {"a": 1}, name="once")
    assert machines.start(arn, {"a": 1}, name="once") == first
    with refused("ExecutionAlreadyExists"):
        machines.start(arn, {"a": 2}, name="once")
    machines.states.stop_execution(executionArn=first, error="Enough", cause="test")
    with refused("ExecutionAlreadyExists"):
        machines.start(arn, {"a": 1}, name="once")
    described = machines.ended(first)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Enough", "test")
    assert machines.types(first)[-1] == "ExecutionAborted"
    again = machines.states.stop_execution(executionArn=first)
    assert again["stopDate"] == described["stopDate"]
    unnamed = [machines.start(arn), machines.start(arn)]
    assert unnamed[0] != unnamed[1]
    for execution in unnamed:
        machines.states.stop_execution(executionArn=execution)


@pytest.mark.local_only("90 days")
@pytest.mark.statement("stepfunctions.name-reused")
def test_a_name_is_free_again_ninety_days_after_its_execution_ended(lab, machines):
    arn = machines.create(one(Type="Pass", Result=1))
    first = machines.start(arn, name="n")
    machines.ended(first)
    lab.aws.world.advance(90 * 86_400 - 60)
    with refused("ExecutionAlreadyExists"):
        machines.start(arn, name="n")
    lab.aws.world.advance(120)
    assert machines.start(arn, name="n") == first


@pytest.mark.statement("stepfunctions.start-refused", "stepfunctions.payload-limit")
def test_what_cannot_be_started(machines):
    arn, start = machines.create(machine({"A": END})), machines.states.start_execution
    with refused("InvalidExecutionInput"):
        start(stateMachineArn=arn, input="{")
    with refused("ValidationException", "InvalidExecutionInput"):
        start(stateMachineArn=arn, input=json.dumps("x" * 262_143))
    with refused("ValidationException", "InvalidExecutionInput"):
        start(stateMachineArn=arn, input=json.dumps("é" * 140_000, ensure_ascii=False))
    wide = "é" * 131_071  # with its quotes 262,144 bytes
    with refused("ValidationException", "InvalidExecutionInput"):
        start(stateMachineArn=arn, input=json.dumps(wide + "x", ensure_ascii=False))
    start(stateMachineArn=arn, input=json.dumps(wide, ensure_ascii=False))
    start(stateMachineArn=arn, input=json.dumps("x" * 262_142))
    with refused("StateMachineDoesNotExist"):
        start(stateMachineArn=arn + "-missing")
    with refused("InvalidArn", "AccessDeniedException"):
        start(stateMachineArn="nonsense")
    with refused("InvalidArn", "AccessDeniedException"):
        machines.states.describe_execution(executionArn=arn)
    with refused("ExecutionDoesNotExist"):
        machines.states.describe_execution(executionArn=arn.replace(":stateMachine:", ":execution:") + ":nowhere")


@pytest.mark.statement("stepfunctions.list-executions")
def test_executions_are_listed_newest_first_by_status_and_in_pages(machines):
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "F"}], "Default": "S"}
    arn = machines.create(machine({"C": choice, "F": {"Type": "Fail", "Error": "E"}, "S": {"Type": "Succeed"}}))
    made = []
    for number in range(5):
        made.append(machines.start(arn, {"fail": number % 2 == 0}, name=f"run-{number}"))
        machines.ended(made[-1])
    pages = machines.states.get_paginator("list_executions").paginate(
        stateMachineArn=arn, PaginationConfig={"PageSize": 2}
    )
    assert [each["executionArn"] for page in pages for each in page["executions"]] == made[::-1]
    failed = machines.states.list_executions(stateMachineArn=arn, statusFilter="FAILED")["executions"]
    assert [each["name"] for each in failed] == ["run-4", "run-2", "run-0"]
    with refused("InvalidToken"):
        machines.states.list_executions(stateMachineArn=arn, nextToken="nonsense")
    express = machines.create(machine({"A": END}), type="EXPRESS")
    with refused("StateMachineTypeNotSupported"):
        machines.states.list_executions(stateMachineArn=express)


@pytest.mark.statement("stepfunctions.list-executions")
def test_an_execution_that_ended_last_or_was_started_last_comes_first(machines):
    arn = machines.create(one(Type="Wait", SecondsPath="$.s"))
    slow = machines.start(arn, {"s": 3}, name="slow")
    quick = machines.start(arn, {"s": 1}, name="quick")
    machines.pass_time(4)
    machines.ended(slow), machines.ended(quick)
    running = machines.start(arn, {"s": 3600}, name="running")
    listed = machines.states.list_executions(stateMachineArn=arn)["executions"]
    assert [each["name"] for each in listed] == ["running", "slow", "quick"]
    machines.states.stop_execution(executionArn=running)


@pytest.mark.statement("stepfunctions.history")
def test_the_history_tells_what_happened_in_pages_and_backwards(machines):
    described = machines.run(FAILS, {"a": 1})
    arn = described["executionArn"]
    events = machines.history(arn, PaginationConfig={"PageSize": 2})
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "FailStateEntered",
        "ExecutionFailed",
    ]
    assert [event["id"] for event in events] == [1, 2, 3, 4, 5]
    started = events[0]["executionStartedEventDetails"]
    assert (json.loads(started["input"]), started["roleArn"]) == ({"a": 1}, machines.role)
    assert events[1]["stateEnteredEventDetails"]["name"] == "A"
    assert json.loads(events[2]["stateExitedEventDetails"]["output"]) == {"a": 1}
    assert events[4]["executionFailedEventDetails"] == {"error": "E", "cause": "C"}
    backwards = machines.states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)
    assert backwards["events"][0]["type"] == "ExecutionFailed"
    bare = machines.history(arn, includeExecutionData=False)
    assert "input" not in bare[0]["executionStartedEventDetails"]
    with refused("InvalidToken"):
        machines.states.get_execution_history(executionArn=arn, nextToken="nonsense")


# -- express --------------------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.express")
def test_express_machines_answer_synchronously_and_are_not_idempotent(machines):
    arn = machines.create(one(Type="Pass", Result=1), type="EXPRESS")
    answer = machines.express.start_sync_execution(stateMachineArn=arn, input="{}", name="again")
    assert (answer["status"], answer["output"], answer["name"]) == ("SUCCEEDED", "1", "again")
    assert answer["billingDetails"]["billedDurationInMilliseconds"] >= 100
    second = machines.express.start_sync_execution(stateMachineArn=arn, name="again")
    assert second["executionArn"] != answer["executionArn"]
    for call in (machines.states.describe_execution, machines.states.redrive_execution):
        with refused("ExecutionDoesNotExist", "InvalidArn", "StateMachineTypeNotSupported", "ValidationException"):
            call(executionArn=answer["executionArn"])
    with refused("StateMachineTypeNotSupported"):
        machines.express.start_sync_execution(stateMachineArn=machines.create(LONG))


# -- events and logs ------------------------------------------------------------------------------------------------


@pytest.mark.statement("stepfunctions.status-events")
def test_changes_of_a_standard_executions_status_are_events(lab, machines):
    events, name, arn = lab.client("events", "central"), lab.name("changes", "-"), machines.create(FAILS)
    url, target = queue(lab)
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [arn]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    lab.at_end(events.delete_rule, Name=name)
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": target}])
    lab.at_end(events.remove_targets, Rule=name, Ids=["q"])
    execution = machines.start(arn, {"a": 1})
    machines.ended(execution)
    machines.lab.eventually(lambda: True)
    machines.states.redrive_execution(executionArn=execution)
    machines.ended(execution)
    found = []

    def all_came():
        found.extend(json.loads(each["Body"]) for each in messages(lab, url))
        return len(found) == 4

    lab.eventually(all_came)
    found.sort(key=lambda event: (event["detail"]["redriveCount"], event["detail"]["status"] != "RUNNING"))
    assert {event["detail-type"] for event in found} == {"Step Functions Execution Status Change"}
    assert {tuple(event["resources"]) for event in found} == {(execution,)}
    running, failed, redriven, again = (event["detail"] for event in found)
    assert (running["status"], running["redriveStatus"], running["stopDate"]) == ("RUNNING", "NOT_REDRIVABLE", None)
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "E", "C")
    assert (json.loads(failed["input"]), failed["output"], failed["inputDetails"]) == (
        {"a": 1},
        None,
        {"included": True},
    )
    assert failed["stopDate"] >= failed["startDate"] > 1_600_000_000_000
    assert (failed["redriveCount"], failed["redriveDate"], failed["redriveStatus"]) == (0, None, "REDRIVABLE")
    assert (redriven["status"], redriven["redriveCount"]) == ("RUNNING", 1)
    assert (again["status"], again["redriveCount"]) == ("FAILED", 1)
    assert again["redriveDate"] >= failed["stopDate"]


@pytest.mark.statement("stepfunctions.status-events")
def test_an_event_leaves_out_data_that_is_too_large(lab, machines):
    events, name = lab.client("events", "central"), lab.name("large", "-")
    arn = machines.create(one(Type="Pass", Parameters={"b.$": "$.a", "c.$": "$.c"}))
    url, target = queue(lab)
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [arn], "status": ["SUCCEEDED"]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    lab.at_end(events.delete_rule, Name=name)
    paths = {"i": "$.detail.inputDetails.included", "o": "$.detail.outputDetails.included", "n": "$.detail.name"}
    transformer = {"InputPathsMap": paths, "InputTemplate": '{"i": <i>, "o": <o>, "n": <n>}'}
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": target, "InputTransformer": transformer}])
    lab.at_end(events.remove_targets, Rule=name, Ids=["q"])
    # both fit; only the output fits beside itself; neither fits
    sizes = {"both": 1000, "one": 150_000, "none": 250 * 1024}
    for each, size in sizes.items():
        machines.ended(machines.start(arn, {"a": "x" * size, "c": 1}, name=each))
    found = {}

    def all_came():
        found.update({json.loads(each["Body"])["n"]: json.loads(each["Body"]) for each in messages(lab, url)})
        return len(found) == 3

    lab.eventually(all_came)
    assert {each: (found[each]["i"], found[each]["o"]) for each in sizes} == {
        "both": (True, True),
        "one": (False, True),
        "none": (False, False),
    }


def logging(lab, level, *, data=False):
    """A new log group's name and a LoggingConfiguration for it."""
    logs, name = lab.client("logs", "central"), "/aws/vendedlogs/states/" + lab.name("log", "-")
    logs.create_log_group(logGroupName=name)
    lab.at_end(logs.delete_log_group, logGroupName=name)
    arn = f"arn:aws:logs:{lab.region}:{lab.account('central')}:log-group:{name}:*"
    destinations = [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]
    return name, {"level": level, "includeExecutionData": data, "destinations": destinations}


LEVELS = {
    "ALL": ["ExecutionStarted", "PassStateEntered", "PassStateExited", "FailStateEntered", "ExecutionFailed"],
    "ERROR": ["FailStateEntered", "ExecutionFailed"],
    "FATAL": ["ExecutionFailed"],
    "OFF": [],
}


@pytest.mark.statement("stepfunctions.log-levels")
@pytest.mark.parametrize("level", LEVELS)
def test_the_log_holds_what_its_level_says(lab, machines, level):
    group, settings = logging(lab, level)
    arn = machines.create(FAILS, loggingConfiguration=settings)
    execution = machines.start(arn, {"password": "secret"})
    machines.ended(execution)
    logs = lab.client("logs", "central")

    def written():
        found = [json.loads(each["message"]) for each in logs.filter_log_events(logGroupName=group)["events"]]
        assert [each["type"] for each in sorted(found, key=lambda each: int(each["id"]))] == LEVELS[level]
        return [found]

    (found,) = lab.eventually(written)
    assert "secret" not in json.dumps(found)
    assert {each["execution_arn"] for each in found} <= {execution}
    if level == "FATAL":
        machines.states.redrive_execution(executionArn=execution)
        machines.ended(execution)

        def again():
            lines = logs.filter_log_events(logGroupName=group)["events"]
            return sorted(json.loads(each["message"])["redrive_count"] for each in lines) == ["0", "1"]

        lab.eventually(again)


@pytest.mark.statement("stepfunctions.log-levels")
def test_the_log_holds_data_if_it_is_to(lab, machines):
    group, settings = logging(lab, "ALL", data=True)
    machines.ended(machines.start(machines.create(FAILS, loggingConfiguration=settings), {"word": "known"}))
    logs = lab.client("logs", "central")
    lab.eventually(lambda: "known" in json.dumps(logs.filter_log_events(logGroupName=group)["events"]))


@pytest.mark.statement("stepfunctions.log-setup")
def test_a_log_needs_one_group_and_a_role_that_may_set_it_up(lab, machines):
    _, settings = logging(lab, "ERROR")
    silent = service_role(lab, "central", "states.amazonaws.com")
    make = {"name": lab.name("logged", "-"), "definition": json.dumps(FAILS)}
    with refused("AccessDeniedException"):
        machines.states.create_state_machine(**make, roleArn=silent, loggingConfiguration=settings)
    named = settings["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"]
    bare = [{"cloudWatchLogsLogGroup": {"logGroupArn": named.removesuffix(":*")}}]
    for destinations in ([], bare):
        with refused("InvalidLoggingConfiguration"):
            machines.states.create_state_machine(
                **make, roleArn=machines.role, loggingConfiguration={**settings, "destinations": destinations}
            )
    arn = machines.create(FAILS)
    with refused("InvalidLoggingConfiguration"):
        machines.states.update_state_machine(
            stateMachineArn=arn, loggingConfiguration={**settings, "destinations": bare}
        )
    machines.states.update_state_machine(stateMachineArn=arn, loggingConfiguration=settings)
    assert machines.states.describe_state_machine(stateMachineArn=arn)["loggingConfiguration"]["level"] == "ERROR"


@pytest.mark.local_only("AWS has them")
@pytest.mark.statement("stepfunctions.not-built")
def test_activities_and_versions_are_refused_by_name(machines):
    with refused("LocalAwsNotSupported"):
        machines.states.create_activity(name="work")
    with refused("LocalAwsNotSupported"):
        machines.states.publish_state_machine_version(stateMachineArn=machines.create(LONG))


@pytest.mark.local_only("what the clock says")
@pytest.mark.statement("stepfunctions.execution")
def test_times_are_those_of_the_clock(lab, machines):
    described = machines.run(machine({"A": END}))
    assert abs((described["startDate"] - datetime.now(UTC)).total_seconds()) < 60
