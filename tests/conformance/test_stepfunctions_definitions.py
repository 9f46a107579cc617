"""Definitions of state machines: what is refused when a machine is made or validated, and what is taken."""

import json

import pytest
from asl import END, FUNCTION, Machines, failing, machine, one, task
from lab import refused


@pytest.fixture(scope="module")
def machines(lab):
    return Machines(lab)


def choice(rule, **fields):
    return machine({"A": {"Type": "Choice", "Choices": [{"Next": "B", **rule}], **fields}, "B": END})


def retry(**fields):
    return task(FUNCTION, Retry=[{"ErrorEquals": ["E"], **fields}])


def branch(**state):
    """A Parallel whose only branch has one state."""
    return one(Type="Parallel", Branches=[machine({"X": {"Type": "Pass", "End": True, **state}})])


TEXT = {"Variable": "$.a", "StringEquals": "x"}
QUEUE = {"QueueUrl": "u", "MessageBody": "b"}
MAP = {"Type": "Map", "ItemProcessor": machine({"X": END})}

TRANSITIONS = {
    "StartAt to nowhere": (machine({"A": END}, "B"), "/StartAt"),
    "Next to nowhere": (machine({"A": {"Type": "Pass", "Next": "B"}}), "/States/A/Next"),
    "Default to nowhere": (choice(TEXT, Default="C"), "/States/A/Default"),
    "a choice rule to nowhere": (
        machine({"A": {"Type": "Choice", "Choices": [{**TEXT, "Next": "C"}], "Default": "B"}, "B": END}),
        "/States/A/Choices[0]/Next",
    ),
    "a catcher to nowhere": (
        task(FUNCTION, Catch=[{"ErrorEquals": ["E"], "Next": "B"}]),
        "/States/A/Catch[0]/Next",
    ),
    "a state that nothing leads to": (machine({"A": END, "B": END}), "/States/B"),
    "a circle that nothing leads to": (
        machine({"A": END, "B": {"Type": "Pass", "Next": "C"}, "C": {"Type": "Pass", "Next": "B"}}),
        "/States/C",
    ),
    "a branch that leads out of itself": (
        machine({"A": {**one()["States"]["A"], **branch(Next="B")["States"]["A"], "Next": "B"}, "B": END}),
        None,
    ),
    "a state that is reached from outside its branch only": (
        machine(
            {
                "A": {"Type": "Parallel", "Branches": [machine({"X": END})], "Next": "X"},
            }
        ),
        "/States/A/Next",
    ),
    "no way to an end": (machine({"A": {"Type": "Pass", "Next": "A"}}), "/States"),
    "no way to an end in a branch": (
        one(Type="Parallel", Branches=[machine({"X": {"Type": "Pass", "Next": "X"}})]),
        "/States/A/Branches[0]/States",
    ),
    "neither Next nor End": (machine({"A": {"Type": "Pass"}}), "/States/A"),
    "both Next and End": (machine({"A": {"Type": "Pass", "Next": "B", "End": True}, "B": END}), "/States/A"),
    "End that is false": (machine({"A": {"Type": "Pass", "End": False}}), "/States/A"),
    "Next that is no name": (machine({"A": {"Type": "Pass", "Next": 5}, "B": END}), "/States/A/Next"),
    "Succeed with Next": (machine({"A": {"Type": "Succeed", "Next": "B"}, "B": END}), "/States/A/Next"),
    "Fail with End": (machine({"A": {"Type": "Fail", "End": True}}), "/States/A/End"),
    "Choice with Next": (choice(TEXT, Next="B"), "/States/A/Next"),
}


@pytest.mark.statement("stepfunctions.transitions")
@pytest.mark.parametrize("name", TRANSITIONS)
def test_transitions_that_lead_nowhere_or_to_no_end_are_refused(machines, name):
    machines.refuses(*TRANSITIONS[name])


@pytest.mark.statement("stepfunctions.diagnostics")
def test_a_dangling_state_is_told_with_its_code_and_every_mistake_at_once(machines):
    found = machines.refuses(machine({"A": {"Type": "Pass", "Next": "B"}, "C": END, "D": {"Type": "Pass"}}))
    codes = {each["location"]: each["code"] for each in found}
    assert codes["/States/A/Next"] == codes["/States/C"] == "MISSING_TRANSITION_TARGET"
    assert codes["/States/D"] in ("SCHEMA_VALIDATION_FAILED", "MISSING_TRANSITION_TARGET")
    assert {each["severity"] for each in found} == {"ERROR"}
    text = json.dumps(machine({"A": {"Type": "Pass", "Next": "B"}, "C": END}))
    first = machines.states.validate_state_machine_definition(definition=text, maxResults=1, severity="ERROR")
    assert (len(first["diagnostics"]), first["truncated"]) == (1, True)
    assert machines.states.validate_state_machine_definition(definition=text)["truncated"] is False


SCHEMA = {
    "no JSON": ("{", None),
    "no object": ("[]", None),
    "a field given twice": ('{"StartAt": "A", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', None),
    "no states": ({"StartAt": "A", "States": {}}, None),
    "States that is no object": ({"StartAt": "A", "States": [END]}, None),
    "no StartAt": ({"States": {"A": END}}, None),
    "another version": (machine({"A": END}, Version="2.0"), "/Version"),
    "a state that is no object": (machine({"A": END, "B": "Pass"}), "/States/B"),
    "an unknown type": (machine({"A": {"Type": "Job", "End": True}}), "/States/A/Type"),
    "no type": (machine({"A": {"End": True}}), "/States/A/Type"),
    "an unknown field of the machine": (machine({"A": END}, Name="x"), "/Name"),
    "an unknown field of a state": (one(Type="Pass", Retries=[]), "/States/A/Retries"),
    "a field of another type of state": (one(Type="Pass", Retry=[]), "/States/A/Retry"),
    "an unknown field of a branch": (
        one(Type="Parallel", Branches=[machine({"X": END}, TimeoutSeconds=5)]),
        "/States/A/Branches[0]/TimeoutSeconds",
    ),
    "a machine's timeout of zero": (machine({"A": END}, TimeoutSeconds=0), "/TimeoutSeconds"),
    "a machine's timeout as text": (machine({"A": END}, TimeoutSeconds="60"), "/TimeoutSeconds"),
    "a machine's timeout that is true": (machine({"A": END}, TimeoutSeconds=True), "/TimeoutSeconds"),
    "a machine's timeout above its limit": (machine({"A": END}, TimeoutSeconds=100_000_000), "/TimeoutSeconds"),
    "an InputPath that is no path": (one(Type="Pass", InputPath="a.b"), "/States/A/InputPath"),
    "an InputPath that is no text": (one(Type="Pass", InputPath=1), "/States/A/InputPath"),
    "an OutputPath that is no path": (one(Type="Pass", OutputPath="$.a["), "/States/A/OutputPath"),
    "a ResultPath to several nodes": (one(Type="Pass", ResultPath="$.a[*]"), "/States/A/ResultPath"),
    "a ResultPath into the context": (one(Type="Pass", ResultPath="$$.a"), "/States/A/ResultPath"),
    "a template's field that is no path": (one(Type="Pass", Parameters={"a.$": "b"}), "/States/A/Parameters/a.$"),
    "a template's field that is no text": (one(Type="Pass", Parameters={"a.$": 1}), "/States/A/Parameters/a.$"),
    "a template's field given both ways": (
        one(Type="Pass", Parameters={"a": 1, "a.$": "$.a"}),
        "/States/A/Parameters/a.$",
    ),
    "a mistake deep in a template": (
        one(Type="Pass", Parameters={"a": [{"b.$": "$.c["}]}),
        "/States/A/Parameters/a[0]/b.$",
    ),
    "a ResultSelector that is no object": (
        task("aws-sdk:glue:getTables", {"DatabaseName": "d"}, ResultSelector="$.a"),
        "/States/A/ResultSelector",
    ),
    "an unknown function": (one(Type="Pass", Parameters={"a.$": "States.Foo()"}), "/States/A/Parameters/a.$"),
    "Choice without rules": (machine({"A": {"Type": "Choice", "Default": "B"}, "B": END}), "/States/A"),
    "Choice with no rule": (machine({"A": {"Type": "Choice", "Choices": [], "Default": "B"}, "B": END}), "/States/A"),
    "Wait without a time": (one(Type="Wait"), "/States/A"),
    "Wait with two times": (one(Type="Wait", Seconds=1, SecondsPath="$.s"), "/States/A"),
    "Wait for less than nothing": (one(Type="Wait", Seconds=-1), "/States/A/Seconds"),
    "Wait above its limit": (one(Type="Wait", Seconds=100_000_000), "/States/A/Seconds"),
    "Wait for a path to several": (one(Type="Wait", SecondsPath="$.s[*]"), "/States/A/SecondsPath"),
    "Wait for no timestamp": (one(Type="Wait", Timestamp="tomorrow"), "/States/A/Timestamp"),
    "Wait for a day that is not": (one(Type="Wait", Timestamp="2024-02-31T00:00:00Z"), "/States/A/Timestamp"),
    "Fail with two errors": (machine({"A": {"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}}), "/States/A"),
    "Fail with two causes": (machine({"A": {"Type": "Fail", "Cause": "c", "CausePath": "$.c"}}), "/States/A"),
    "Fail with a number": (machine({"A": {"Type": "Fail", "Error": 5}}), "/States/A/Error"),
    "Fail with a function that gives no text": (
        machine({"A": {"Type": "Fail", "CausePath": "States.ArrayLength($.a)"}}),
        "/States/A/CausePath",
    ),
    "Fail with a path to several": (machine({"A": {"Type": "Fail", "CausePath": "$.a[*]"}}), "/States/A/CausePath"),
    "Parallel without branches": (one(Type="Parallel"), "/States/A"),
    "Parallel with no branch": (one(Type="Parallel", Branches=[]), "/States/A"),
    "a branch that is no object": (one(Type="Parallel", Branches=["X"]), "/States/A/Branches[0]"),
    "Map without a processor": (one(Type="Map"), "/States/A"),
    "Map with two processors": (one(**MAP, Iterator=machine({"Y": END})), "/States/A"),
    "Map with two selectors": (one(**MAP, ItemSelector={}, Parameters={}), "/States/A"),
    "Map with two concurrencies": (one(**MAP, MaxConcurrency=1, MaxConcurrencyPath="$.n"), "/States/A"),
    "Map with a negative concurrency": (one(**MAP, MaxConcurrency=-1), "/States/A/MaxConcurrency"),
    "Map over several arrays": (one(**MAP, ItemsPath="$.a[*]"), "/States/A/ItemsPath"),
    "Map with a concurrency from several": (one(**MAP, MaxConcurrencyPath="$.a[*]"), "/States/A/MaxConcurrencyPath"),
    "Map with a mistake in its older processor": (
        one(Type="Map", Iterator=machine({"X": {"Type": "Pass", "Next": "Y"}})),
        "/States/A/Iterator/States/X/Next",
    ),
}


@pytest.mark.statement("stepfunctions.schema")
@pytest.mark.parametrize("name", SCHEMA)
def test_a_definition_that_breaks_the_language_is_refused(machines, name):
    machines.refuses(*SCHEMA[name])


NAMES = {
    "beside": None,
    "in a branch": one(Type="Parallel", Branches=[machine({"A": END})]),
    "in two branches": one(Type="Parallel", Branches=[machine({"X": END}), machine({"X": END})]),
    "in a Map": one(Type="Map", ItemProcessor=machine({"A": END})),
    "too long": machine({"A" * 81: END}),
    "empty": machine({"": END}),
}


@pytest.mark.statement("stepfunctions.state-names")
@pytest.mark.parametrize("name", [name for name, definition in NAMES.items() if definition])
def test_names_of_states_are_unique_in_the_whole_machine_and_have_80_characters_at_most(machines, name):
    machines.refuses(NAMES[name])
    machines.takes(machine({"A" * 80: END}))


@pytest.mark.statement("stepfunctions.substitutions")
def test_substitutions_left_over_are_refused_but_not_in_comments(machines):
    machines.refuses(one(Type="Pass", Result={"a": ["${Name}"]}), "/States/A/Result/a[0]")
    machines.refuses(task("${Arn}"), "/States/A/Resource")
    machines.takes(one(Type="Pass", Comment="was ${Name}"))


ERROR_NAMES = {
    "an unknown States error in Retry": (retry(ErrorEquals=["States.Failed"]), "/States/A/Retry[0]/ErrorEquals"),
    "an unknown States error in Catch": (
        machine({"A": failing("E", Catch=[{"ErrorEquals": ["States.Oops"], "Next": "B"}], Next="B"), "B": END}),
        "/States/A/Catch[0]/ErrorEquals",
    ),
    "States.ALL beside others": (retry(ErrorEquals=["States.ALL", "E"]), "/States/A/Retry[0]/ErrorEquals"),
    "States.ALL before others": (
        task(FUNCTION, Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]),
        "/States/A/Retry[0]/ErrorEquals",
    ),
    "no names": (retry(ErrorEquals=[]), "/States/A/Retry[0]/ErrorEquals"),
    "names that are no list": (retry(ErrorEquals="E"), "/States/A/Retry[0]/ErrorEquals"),
    "a name that is no text": (retry(ErrorEquals=[5]), "/States/A/Retry[0]/ErrorEquals"),
}
HANDLERS = {
    "Retry that is no list": (task(FUNCTION, Retry={}), "/States/A/Retry"),
    "a retrier that is no object": (task(FUNCTION, Retry=["E"]), "/States/A/Retry[0]"),
    "an unknown field of a retrier": (retry(Delay=1), "/States/A/Retry[0]/Delay"),
    "an interval of zero": (retry(IntervalSeconds=0), "/States/A/Retry[0]/IntervalSeconds"),
    "an interval above its limit": (retry(IntervalSeconds=100_000_000), "/States/A/Retry[0]/IntervalSeconds"),
    "less than no attempts": (retry(MaxAttempts=-1), "/States/A/Retry[0]/MaxAttempts"),
    "attempts above their limit": (retry(MaxAttempts=100_000_000), "/States/A/Retry[0]/MaxAttempts"),
    "a rate below one": (retry(BackoffRate=0.9), "/States/A/Retry[0]/BackoffRate"),
    "a rate that is no number": (retry(BackoffRate="2"), "/States/A/Retry[0]/BackoffRate"),
    "a rate that is true": (retry(BackoffRate=True), "/States/A/Retry[0]/BackoffRate"),
    "a longest delay of zero": (retry(MaxDelaySeconds=0), "/States/A/Retry[0]/MaxDelaySeconds"),
    "a longest delay above its limit": (retry(MaxDelaySeconds=31_622_401), "/States/A/Retry[0]/MaxDelaySeconds"),
    "an unknown jitter": (retry(JitterStrategy="HALF"), "/States/A/Retry[0]/JitterStrategy"),
    "a catcher without Next": (task(FUNCTION, Catch=[{"ErrorEquals": ["E"]}]), "/States/A/Catch[0]"),
    "a catcher with an unknown field": (
        machine(
            {
                "A": {
                    **task(FUNCTION)["States"]["A"],
                    "Catch": [{"ErrorEquals": ["E"], "Next": "B", "OutputPath": "$"}],
                },
                "B": END,
            }
        ),
        "/States/A/Catch[0]/OutputPath",
    ),
    "a catcher with a bad ResultPath": (
        machine(
            {"A": failing("E", Catch=[{"ErrorEquals": ["E"], "Next": "B", "ResultPath": "e"}], Next="B"), "B": END}
        ),
        "/States/A/Catch[0]/ResultPath",
    ),
}


@pytest.mark.statement("stepfunctions.error-names")
@pytest.mark.parametrize("name", ERROR_NAMES)
def test_error_names_of_the_reserved_prefix_must_exist_and_states_all_stands_alone_and_last(machines, name):
    machines.refuses(*ERROR_NAMES[name])


@pytest.mark.statement("stepfunctions.handlers")
@pytest.mark.parametrize("name", HANDLERS)
def test_retriers_and_catchers_keep_to_their_fields_and_limits(machines, name):
    machines.refuses(*HANDLERS[name])


@pytest.mark.statement("stepfunctions.handlers")
def test_retriers_at_their_limits_are_taken(machines):
    limits = {"IntervalSeconds": 99_999_999, "MaxAttempts": 99_999_999, "MaxDelaySeconds": 31_622_400, "BackoffRate": 1}
    machines.takes(retry(**limits, JitterStrategy="NONE"))
    machines.takes(machine({"A": END}, TimeoutSeconds=99_999_999))
    machines.takes(one(Type="Wait", Seconds=99_999_999))


TASKS = {
    "no Resource": (one(Type="Task"), "/States/A"),
    "a Resource that is no ARN": (task("arn:aws:states"), "/States/A/Resource"),
    "an unknown integration": (task("foo:bar"), "/States/A/Resource"),
    "an unknown SDK service": (task("aws-sdk:nothing:here"), "/States/A/Resource"),
    "an unknown SDK action": (task("aws-sdk:glue:startCrawlers"), "/States/A/Resource"),
    "an SDK action in upper case": (task("aws-sdk:glue:StartCrawler"), "/States/A/Resource"),
    "an SDK action that is not supported": (task("aws-sdk:sts:assumeRole"), "/States/A/Resource"),
    "a crawler waited for": (task("aws-sdk:glue:startCrawler.sync"), "/States/A/Resource"),
    "an invocation waited for": (task("lambda:invoke.sync"), "/States/A/Resource"),
    "a parameter that the API lacks": (
        task("aws-sdk:glue:startCrawler", {"Name": "c", "Crawler": "c"}),
        "/States/A/Parameters/Crawler",
    ),
    "a parameter of a parameter that the API lacks": (
        task("dynamodb:getItem", {"TableName": "t", "Key": {"unit": {"Text": "x"}}}),
        "/States/A/Parameters/Key/unit/Text",
    ),
    "a parameter that the integration lacks": (
        task("lambda:invoke", {"FunctionName": "f", "LogType": "Tail"}),
        "/States/A/Parameters/LogType",
    ),
    "a parameter that is missing": (task("aws-sdk:glue:startCrawler", {}), "/States/A/Parameters"),
    "parameters that are missing": (task("sqs:sendMessage"), "/States/A/Parameters"),
    "parameters that are no object": (task("aws-sdk:glue:startCrawler", ["c"]), "/States/A/Parameters"),
    "a text where the API wants a number": (
        task("aws-sdk:glue:getTables", {"DatabaseName": "d", "MaxResults": "9"}),
        "/States/A/Parameters/MaxResults",
    ),
    "true where the API wants a number": (
        task("aws-sdk:glue:getTables", {"DatabaseName": "d", "MaxResults": True}),
        "/States/A/Parameters/MaxResults",
    ),
    "true where the API wants a fraction": (
        task("aws-sdk:cloudwatch:putMetricAlarm", {"AlarmName": "a", "Threshold": True}),
        "/States/A/Parameters/Threshold",
    ),
    "a number where the API wants a text": (
        task("aws-sdk:glue:startCrawler", {"Name": 5}),
        "/States/A/Parameters/Name",
    ),
    "a text where the API wants a yes or no": (
        task("dynamodb:getItem", {"TableName": "t", "Key": {}, "ConsistentRead": "true"}),
        "/States/A/Parameters/ConsistentRead",
    ),
    "a list where the API wants a structure": (
        task("aws-sdk:glue:createDatabase", {"DatabaseInput": ["n"]}),
        "/States/A/Parameters/DatabaseInput",
    ),
    "a text where the API wants a list": (
        task("aws-sdk:glue:batchGetCrawlers", {"CrawlerNames": "c"}),
        "/States/A/Parameters/CrawlerNames",
    ),
    "a list where the API wants a map": (
        task("dynamodb:getItem", {"TableName": "t", "Key": []}),
        "/States/A/Parameters/Key",
    ),
    "JSON for the text of an SDK call": (
        task("aws-sdk:sqs:sendMessage", {"QueueUrl": "u", "MessageBody": {"a": 1}}),
        "/States/A/Parameters/MessageBody",
    ),
    "a timeout of zero": (task(FUNCTION, TimeoutSeconds=0), "/States/A/TimeoutSeconds"),
    "two timeouts": (task(FUNCTION, TimeoutSeconds=5, TimeoutSecondsPath="$.t"), "/States/A"),
    "two heartbeats": (task(FUNCTION, HeartbeatSeconds=5, HeartbeatSecondsPath="$.t"), "/States/A"),
    "a timeout from several": (task(FUNCTION, TimeoutSecondsPath="$.t[*]"), "/States/A/TimeoutSecondsPath"),
    "a heartbeat as long as the timeout": (
        task(FUNCTION, TimeoutSeconds=5, HeartbeatSeconds=5),
        "/States/A/HeartbeatSeconds",
    ),
}


@pytest.mark.statement("stepfunctions.resources", "stepfunctions.sdk-arns")
@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_no_integration_could_do_is_refused(machines, name):
    machines.refuses(*TASKS[name])


@pytest.mark.statement("stepfunctions.token-passed")
def test_a_task_that_waits_for_its_token_must_pass_it_on(machines):
    machines.refuses(task("sqs:sendMessage.waitForTaskToken", QUEUE), "/States/A/Parameters")
    machines.takes(task("sqs:sendMessage.waitForTaskToken", {**QUEUE, "MessageBody": {"t.$": "$$.Task.Token"}}))


@pytest.mark.statement("stepfunctions.express-patterns")
def test_express_machines_make_request_response_calls_only(machines):
    start = {"StateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:m"}
    token = {**QUEUE, "MessageBody": {"t.$": "$$.Task.Token"}}
    for definition in (task("states:startExecution.sync:2", start), task("sqs:sendMessage.waitForTaskToken", token)):
        machines.refuses(definition, "/States/A/Resource", kind="EXPRESS")
        machines.takes(definition)
    machines.takes(task("states:startExecution", start), kind="EXPRESS")


CREDENTIALS = {
    "no object": "arn:aws:iam::111122223333:role/r",
    "more than a role": {"RoleArn": "r", "ExternalId": "x"},
    "another field": {"Role": "r"},
    "a role that is no text": {"RoleArn": 5},
    "a role from no path": {"RoleArn.$": "role"},
}


@pytest.mark.statement("stepfunctions.credentials-form")
@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_hold_one_role(machines, name):
    machines.refuses(task(FUNCTION, Credentials=CREDENTIALS[name]))


@pytest.mark.statement("stepfunctions.credentials-form")
def test_a_role_may_be_fixed_a_path_or_a_function(machines):
    for role in ({"RoleArn": "arn:r"}, {"RoleArn.$": "$.r"}, {"RoleArn.$": "States.Format('a{}', $.r)"}):
        machines.takes(task(FUNCTION, Credentials=role))


NOT_BUILT = {
    "JSONata": (machine({"A": END}, QueryLanguage="JSONata"), "/QueryLanguage"),
    "JSONata in a state": (one(Type="Pass", QueryLanguage="JSONata"), "/States/A/QueryLanguage"),
    "Arguments": (task(FUNCTION, Arguments={}), "/States/A/Arguments"),
    "Output": (one(Type="Pass", Output="{% 1 %}"), "/States/A/Output"),
    "variables": (one(Type="Pass", Assign={"x": 1}), "/States/A/Assign"),
    "distributed Map": (
        one(Type="Map", ItemProcessor=machine({"X": END}, ProcessorConfig={"Mode": "DISTRIBUTED"})),
        "/States/A/ItemProcessor/ProcessorConfig",
    ),
    "ItemReader": (one(**MAP, ItemReader={}), "/States/A/ItemReader"),
    "activities": (task("arn:aws:states:eu-west-1:111122223333:activity:work"), "/States/A/Resource"),
    "HTTP tasks": (task("http:invoke", {}), "/States/A/Resource"),
}


@pytest.mark.local_only("AWS has them")
@pytest.mark.statement("stepfunctions.not-built")
@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_is_not_built_is_refused_when_the_machine_is_made(machines, name):
    machines.refuses(*NOT_BUILT[name])


@pytest.mark.statement("stepfunctions.definition-size")
def test_a_definition_has_one_megabyte_at_most(machines):
    empty = len(json.dumps(one(Type="Pass", Result="")))
    machines.takes(one(Type="Pass", Result="x" * (1024 * 1024 - empty)))
    for result in ("x" * (1024 * 1024 + 1 - empty), "é" * (512 * 1024)):
        text = json.dumps(one(Type="Pass", Result=result), ensure_ascii=False)
        with refused("InvalidDefinition", "ValidationException"):
            machines.states.create_state_machine(name="large", definition=text, roleArn=machines.role)
