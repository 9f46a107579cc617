"""What reaches the targets of rules, in which form, and what becomes of what cannot be delivered."""

import json
from datetime import UTC, datetime

import pytest
from asl import Machines, one, queue, service_role
from bus import bus, came, came_events, name_of, policy, put, rule, rule_arn

from local_aws.events import event_delivery

EVENTS = "events.amazonaws.com"


@pytest.fixture(scope="module")
def events(lab):
    return lab.client("events", "central")


def gone(lab):
    return f"arn:aws:sqs:{lab.region}:{lab.account('central')}:{lab.name('gone', '-')}"


# -- routing --------------------------------------------------------------------------------------------------------


@pytest.mark.statement("eventbridge.envelope")
def test_an_event_reaches_the_targets_of_the_rules_that_match(lab):
    url, arn = queue(lab)
    source = rule(lab, {"Arn": arn})
    answer = put(lab, source, Resources=["arn:aws:s3:::b"], Time="2024-05-01T10:00:00Z")
    put(lab, "something else")
    assert came_events(lab, url) == [
        {
            "version": "0",
            "id": answer["EventId"],
            "detail-type": "Test",
            "source": source,
            "account": lab.account("central"),
            "time": "2024-05-01T10:00:00Z",
            "region": lab.region,
            "resources": ["arn:aws:s3:::b"],
            "detail": {"n": 1},
        }
    ]
    put(lab, source)
    (event,) = came_events(lab, url)
    assert event["resources"] == []
    assert abs((datetime.now(UTC) - datetime.fromisoformat(event["time"])).total_seconds()) < 60


@pytest.mark.statement("eventbridge.disabled", "eventbridge.buses")
def test_rules_match_on_their_own_bus_only_and_when_they_are_enabled(lab, events):
    (url, arn), on = queue(lab), name_of(bus(lab))
    source = rule(lab, {"Arn": arn}, on=on)
    put(lab, source)
    put(lab, source, on=on)
    assert len(came(lab, url)) == 1
    events.disable_rule(Name=source, EventBusName=on)
    put(lab, source, on=on)
    came(lab, url, 0)
    events.enable_rule(Name=source, EventBusName=on)
    put(lab, source, on=on)
    came(lab, url)
    events.put_rule(Name=source, EventBusName=on, EventPattern=json.dumps({"source": [source]}), State="DISABLED")
    put(lab, source, on=on)
    came(lab, url, 0)


@pytest.mark.local_only("an event of a service, made up")
@pytest.mark.statement("eventbridge.service-events")
def test_service_events_come_over_the_default_bus(lab):
    url, arn = queue(lab)
    rule(lab, {"Arn": arn}, pattern={"source": ["aws.glue"], "detail": {"crawlerName": [{"prefix": "conformance-"}]}})
    detail = {"crawlerName": "conformance-x"}
    account = lab.account("central")
    lab.aws.world.emit_event(account, lab.region, "aws.glue", "Glue Crawler State Change", detail, ["r"])
    (event,) = came_events(lab, url)
    assert (event["source"], event["account"], event["resources"]) == ("aws.glue", account, ["r"])


# -- input ----------------------------------------------------------------------------------------------------------

PATHS = {
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "resource": "$.resources[0]",
    "sizes": "$.detail.disks[*].gb",
    "detail": "$.detail",
    "nothing": "$.detail.nothing",
}
DETAIL = {"instance-id": "i-0123456789", "state": "RUNNING", "disks": [{"gb": 8}, {"gb": 16}]}
TEMPLATES = {
    '"instance <instance> is in <state>"': '"instance i-0123456789 is in RUNNING"',
    '{"instance": <instance>, "state": <state>}': '{"instance": "i-0123456789", "state": "RUNNING"}',
    '{"state": [9, <state>, true]}': '{"state": [9, "RUNNING", true]}',
    "[<resource>]": '["arn:r"]',
    '{"text": "instance \\"<instance>\\""}': '{"text": "instance \\"i-0123456789\\""}',
    '{"sizes": <sizes>}': '{"sizes": [8, 16]}',
    '"of <detail>"': '"of {instance-id: i-0123456789, state: RUNNING, disks: [{gb: 8}, {gb: 16}]}"',
    '"nothing: <nothing>!"': '"nothing: !"',
    "plain <state>": 'plain "RUNNING"',
}


@pytest.mark.statement("eventbridge.input-transformer", "eventbridge.transformer-missing")
def test_a_template_is_filled_as_documented(lab, events):
    url, arn = queue(lab)
    source, listed = lab.name("source", "-"), list(TEMPLATES)
    for start in range(0, len(listed), 5):
        transformers = [{"InputPathsMap": PATHS, "InputTemplate": each} for each in listed[start : start + 5]]
        given = [{"Arn": arn, "InputTransformer": each} for each in transformers]
        rule(lab, *given, pattern={"source": [source]})
    put(lab, source, Detail=json.dumps(DETAIL), Resources=["arn:r"])
    assert sorted(each["Body"] for each in came(lab, url, len(listed))) == sorted(TEMPLATES.values())


@pytest.mark.statement("eventbridge.predefined-variables")
def test_rule_event_and_time_can_be_named(lab, events):
    url, arn = queue(lab)
    template = (
        '{"name": <aws.events.rule-name>, "arn": <aws.events.rule-arn>, "at": <aws.events.event.ingestion-time>, '
        '"event": <aws.events.event>, "all": <aws.events.event.json>}'
    )
    source = rule(lab, {"Arn": arn, "InputTransformer": {"InputTemplate": template}})
    put(lab, source, Time="2024-05-01T10:00:00Z")
    (told,) = came_events(lab, url)
    assert (told["name"], told["arn"]) == (source, rule_arn(lab, source))
    assert datetime.fromisoformat(told["at"]) > datetime(2026, 1, 1, tzinfo=UTC)
    assert (told["all"]["source"], told["all"]["detail"]) == (source, {"n": 1})
    assert told["event"] == {name: value for name, value in told["all"].items() if name != "detail"}


@pytest.mark.statement("eventbridge.input", "eventbridge.input-path")
def test_input_replaces_the_event_and_input_path_passes_a_part(lab):
    url, arn = queue(lab)
    dead_url, dead = queue(lab)
    nothing = {"Arn": arn, "InputPath": "$.detail.nothing", "DeadLetterConfig": {"Arn": dead}}
    source = rule(
        lab,
        {"Arn": arn, "Input": '{"constant": true}'},
        {"Arn": arn, "InputPath": "$.detail"},
        {"Arn": arn, "InputPath": "$.detail.n"},
        nothing,
    )
    put(lab, source)
    bodies = sorted(each["Body"].replace(" ", "") for each in came(lab, url, 3))
    assert bodies == sorted(['{"constant":true}', '{"n":1}', "1"])
    assert came(lab, dead_url)[0]["attributes"]["ERROR_CODE"] == "INVALID_PARAMETER"


# -- kinds of targets -----------------------------------------------------------------------------------------------


@pytest.mark.statement("eventbridge.fifo")
def test_a_fifo_queue_receives_events_in_their_group(lab):
    (url, arn), role = queue(lab, fifo=True), service_role(lab, "central", EVENTS, "sqs:SendMessage")
    target = {"Arn": arn, "SqsParameters": {"MessageGroupId": "g"}}
    source = rule(lab, target, {**target, "RoleArn": role, "Input": '"as a role"'})
    put(lab, source)
    assert {each["Attributes"]["MessageGroupId"] for each in came(lab, url, 2)} == {"g"}


@pytest.mark.statement("eventbridge.queue-policy", "eventbridge.permission-no-retry", "eventbridge.dead-letters")
def test_a_queue_must_admit_eventbridge_for_the_rule(lab, events):
    (url, closed), (dead_url, dead) = queue(lab, admit=None), queue(lab)
    source = rule(lab, {"Arn": closed, "DeadLetterConfig": {"Arn": dead}})
    put(lab, source)
    (letter,) = came(lab, dead_url)
    assert json.loads(letter["Body"])["source"] == source
    told = letter["attributes"]
    assert "sqs:SendMessage" in told.pop("ERROR_MESSAGE")
    assert told == {
        "ERROR_CODE": "NO_PERMISSIONS",
        "RULE_ARN": rule_arn(lab, source),
        "TARGET_ARN": closed,
        "RETRY_ATTEMPTS": "0",
    }
    came(lab, url, 0)

    other, this = queue(lab, admit=rule_arn(lab, source) + "-other"), queue(lab, admit=rule_arn(lab, source))
    events.put_targets(Rule=source, Targets=[{"Id": "0", "Arn": other[1]}, {"Id": "1", "Arn": this[1]}])
    lab.at_end(events.remove_targets, Rule=source, Ids=["1"])
    put(lab, source)
    came(lab, this[0])
    came(lab, other[0], 0)


@pytest.mark.statement("eventbridge.message-size")
def test_an_event_larger_than_its_queue_takes_is_not_delivered(lab):
    (url, arn), (dead_url, dead) = queue(lab), queue(lab)
    lab.client("sqs", "central").set_queue_attributes(QueueUrl=url, Attributes={"MaximumMessageSize": "1024"})
    fits, larger = (json.dumps("x" * size) for size in (1022, 1023))
    targets = [{"Arn": arn, "Input": text, "DeadLetterConfig": {"Arn": dead}} for text in (fits, larger)]
    put(lab, rule(lab, *targets))
    assert came(lab, url)[0]["Body"] == fits
    assert came(lab, dead_url)[0]["attributes"]["ERROR_CODE"] == "INVALID_PARAMETER"


@pytest.mark.statement("eventbridge.managed-key")
def test_nothing_is_delivered_under_the_managed_key_of_queues(lab):
    (url, arn), (dead_url, dead) = queue(lab), queue(lab)
    lab.client("sqs", "central").set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "alias/aws/sqs"})
    put(lab, rule(lab, {"Arn": arn, "DeadLetterConfig": {"Arn": dead}}))
    assert came(lab, dead_url)[0]["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"
    came(lab, url, 0)


@pytest.mark.statement("eventbridge.target-role", "eventbridge.permission-no-retry")
def test_a_target_with_a_role_is_reached_as_that_role(lab):
    (url, closed), (dead_url, dead) = queue(lab, admit=None), queue(lab)
    letters = {"DeadLetterConfig": {"Arn": dead}}
    able = service_role(lab, "central", EVENTS, "sqs:SendMessage")
    put(lab, rule(lab, {"Arn": closed, "RoleArn": able}))
    came(lab, url)
    for role, code in (
        (service_role(lab, "central", EVENTS), "NO_PERMISSIONS"),
        (service_role(lab, "central", "lambda.amazonaws.com", "sqs:SendMessage"), "FAILED_TO_ASSUME_ROLE"),
    ):
        put(lab, rule(lab, {"Arn": closed, "RoleArn": role, **letters}))
        assert came(lab, dead_url)[0]["attributes"]["ERROR_CODE"] == code
    put(lab, rule(lab, {"Arn": gone(lab), "RoleArn": able, **letters}))
    assert came(lab, dead_url)[0]["attributes"]["ERROR_CODE"] == "NO_RESOURCE"


@pytest.mark.statement("eventbridge.role-gone")
def test_a_target_whose_role_is_gone_is_not_reached(lab):
    (url, arn), (dead_url, dead), iam = queue(lab), queue(lab), lab.client("iam", "central")
    role = service_role(lab, "central", EVENTS)
    source = rule(lab, {"Arn": arn, "RoleArn": role, "DeadLetterConfig": {"Arn": dead}})
    iam.delete_role(RoleName=name_of(role))
    put(lab, source)
    told = came(lab, dead_url)[0]["attributes"]
    assert (told["ERROR_CODE"], told["RETRY_ATTEMPTS"]) == ("FAILED_TO_ASSUME_ROLE", "0")
    came(lab, url, 0)


@pytest.mark.statement("eventbridge.machine-role", "eventbridge.duplicates")
def test_a_machine_is_started_anew_for_each_delivery(lab):
    machines, (dead_url, dead) = Machines(lab), queue(lab)
    machine = machines.create(one(Type="Pass"))
    role = service_role(lab, "central", EVENTS, "states:StartExecution")
    transformer = {"InputPathsMap": {"n": "$.detail.n", "x": "$.detail.missing"}, "InputTemplate": '{"n": <n>}'}
    source = rule(lab, {"Arn": machine, "RoleArn": role, "InputTransformer": transformer})
    put(lab, source)
    put(lab, source)

    def started():
        found = machines.states.list_executions(stateMachineArn=machine)["executions"]
        return found if len(found) == 2 else None

    executions = lab.eventually(started)
    assert len({execution["name"] for execution in executions}) == 2
    described = machines.states.describe_execution(executionArn=executions[0]["executionArn"])
    assert json.loads(described["input"]) == {"n": 1}

    letters = {"DeadLetterConfig": {"Arn": dead}}
    broken = {**transformer, "InputTemplate": '{"x": <x>}'}
    away = machine + "-gone"
    for target, code in (
        ({"Arn": machine, "RoleArn": service_role(lab, "central", EVENTS)}, "NO_PERMISSIONS"),
        ({"Arn": machine, "RoleArn": role, "InputTransformer": broken}, "INVALID_JSON"),
        ({"Arn": away, "RoleArn": role}, "NO_RESOURCE"),
    ):
        put(lab, rule(lab, {**target, **letters}))
        assert came(lab, dead_url)[0]["attributes"]["ERROR_CODE"] == code
    assert len(machines.states.list_executions(stateMachineArn=machine)["executions"]) == 2


# -- retries and dead letters ---------------------------------------------------------------------------------------


@pytest.mark.statement("eventbridge.missing-target-no-retry")
def test_a_target_that_is_gone_goes_to_the_dead_letters_at_once(lab):
    dead_url, dead = queue(lab)
    target = gone(lab)
    put(lab, rule(lab, {"Arn": target, "DeadLetterConfig": {"Arn": dead}}))
    told = came(lab, dead_url)[0]["attributes"]
    assert (told["ERROR_CODE"], told["TARGET_ARN"], told["RETRY_ATTEMPTS"]) == ("NO_RESOURCE", target, "0")


@pytest.mark.statement("eventbridge.dead-letter-policy")
def test_a_dead_letter_queue_must_admit_eventbridge_whatever_role_the_target_has(lab):
    dead_url, dead = queue(lab, admit=None)
    role = service_role(lab, "central", EVENTS, "sqs:*")
    put(lab, rule(lab, {"Arn": gone(lab), "RoleArn": role, "DeadLetterConfig": {"Arn": dead}}))
    came(lab, dead_url, 0)


@pytest.fixture
def throttled(monkeypatch):
    """Lets the first deliveries to queues fail as throttled: set how many."""
    state = {"times": 0, "tries": []}
    admitted = event_delivery._admitted

    def busy(sender, action, resource):
        if not resource.rpartition(":")[2].startswith("queue-dead"):
            state["tries"].append(sender.world.now())
            if len(state["tries"]) <= state["times"]:
                raise event_delivery.Undeliverable("THROTTLING", "slow down", transient=True)
        return admitted(sender, action, resource)

    monkeypatch.setattr(event_delivery, "_admitted", busy)
    return state


@pytest.mark.local_only("a target that is throttled")
@pytest.mark.statement("eventbridge.retries")
def test_what_may_pass_is_tried_again_after_growing_delays(lab, throttled):
    url, arn = queue(lab)
    throttled["times"] = 9
    put(lab, rule(lab, {"Arn": arn}))
    lab.aws.world.pass_time(3600)
    assert len(came(lab, url)) == 1
    tries = throttled["tries"]
    delays = [(later - earlier).total_seconds() for earlier, later in zip(tries, tries[1:], strict=False)]
    assert len(delays) == 9
    for number, delay in enumerate(delays):
        longest = min(2**number, 600)
        assert longest * 0.4 < delay < longest + 3, (number, delay)


def throttled_target(lab, retry):
    """An event whose target stays throttled: (URL of its queue, URL of its dead letters)."""
    (url, arn), name = queue(lab), lab.name("queue-dead", "-")
    dead = f"arn:aws:sqs:{lab.region}:{lab.account('central')}:{name}"
    admit = {"Effect": "Allow", "Principal": {"Service": EVENTS}, "Action": "sqs:SendMessage", "Resource": dead}
    sqs = lab.client("sqs", "central")
    dead_url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy(admit)})["QueueUrl"]
    put(lab, rule(lab, {"Arn": arn, "RetryPolicy": retry, "DeadLetterConfig": {"Arn": dead}}))
    return url, dead_url


@pytest.mark.local_only("a target that is throttled")
@pytest.mark.statement("eventbridge.retries", "eventbridge.dead-letters")
@pytest.mark.parametrize(
    ("retry", "condition", "seconds", "retries"),
    [
        ({"MaximumRetryAttempts": 0}, "MaximumRetryAttempts", 1, 0),
        ({"MaximumRetryAttempts": 3}, "MaximumRetryAttempts", 60, 3),
        ({"MaximumEventAgeInSeconds": 60}, "MaximumEventAgeInSeconds", 90, None),
    ],
    ids=str,
)
def test_retries_end_at_their_number_or_the_events_age(lab, throttled, retry, condition, seconds, retries):
    throttled["times"] = 10_000
    url, dead_url = throttled_target(lab, retry)
    lab.aws.world.pass_time(seconds)
    told = came(lab, dead_url)[0]["attributes"]
    assert (told["ERROR_CODE"], told["EXHAUSTED_RETRY_CONDITION"]) == ("THROTTLING", condition)
    assert int(told["RETRY_ATTEMPTS"]) == len(throttled["tries"]) - 1
    assert retries in (None, len(throttled["tries"]) - 1)
    came(lab, url, 0)


@pytest.mark.local_only("a target that is throttled, for a day")
@pytest.mark.statement("eventbridge.retries")
def test_by_default_retries_end_after_a_day_or_185_of_them(lab, throttled, monkeypatch):
    throttled["times"] = 10_000
    monkeypatch.setattr(event_delivery, "FIRST_DELAY", 200)  # no retry is so near that one would wait for it
    _, dead_url = throttled_target(lab, {})
    lab.aws.world.pass_time(1)
    lab.aws.world.advance(86_400 - 700)
    came(lab, dead_url, 0)
    lab.aws.world.pass_time(700)
    told = came(lab, dead_url)[0]["attributes"]
    assert told["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"

    monkeypatch.setattr(event_delivery, "FIRST_DELAY", 0)
    throttled["tries"].clear()
    _, dead_url = throttled_target(lab, {})
    told = came(lab, dead_url)[0]["attributes"]
    assert (told["EXHAUSTED_RETRY_CONDITION"], told["RETRY_ATTEMPTS"]) == ("MaximumRetryAttempts", "185")


# -- rules on a schedule --------------------------------------------------------------------------------------------


@pytest.mark.local_only("hours")
@pytest.mark.statement("eventbridge.schedule-rules", "eventbridge.disabled")
def test_a_rule_on_a_schedule_fires_after_each_interval_while_it_is_enabled(lab, events):
    (url, arn), name = queue(lab), lab.name("hourly", "-")
    events.put_rule(Name=name, ScheduleExpression="rate(1 hour)")
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    put(lab, name)
    came(lab, url, 0)  # no event matches it, and its time has not come
    lab.aws.world.pass_time(3601)
    (event,) = came_events(lab, url)
    assert (event["source"], event["detail-type"], event["resources"]) == (
        "aws.events",
        "Scheduled Event",
        [rule_arn(lab, name)],
    )
    lab.aws.world.pass_time(7200)
    came(lab, url, 2)
    events.disable_rule(Name=name)
    lab.aws.world.pass_time(7200)
    came(lab, url, 0)
    events.enable_rule(Name=name)
    lab.aws.world.pass_time(3601)
    came(lab, url)
    events.put_rule(Name=name, ScheduleExpression="cron(30 * * * ? *)")
    lab.aws.world.pass_time(3600)
    (event,) = came_events(lab, url)
    assert event["time"][14:16] == "30"
    events.remove_targets(Rule=name, Ids=["q"])
    events.delete_rule(Name=name)
    lab.aws.world.pass_time(3600)
    came(lab, url, 0)


@pytest.mark.statement("eventbridge.schedule-rules")
def test_a_rule_can_have_a_pattern_and_a_schedule(lab, events):
    (url, arn), name = queue(lab), lab.name("both", "-")
    events.put_rule(Name=name, ScheduleExpression="rate(1 day)", EventPattern=json.dumps({"source": [name]}))
    lab.at_end(events.delete_rule, Name=name)
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    lab.at_end(events.remove_targets, Rule=name, Ids=["q"])
    put(lab, name)
    came(lab, url)
