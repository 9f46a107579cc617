"""Buses, their permissions, rules and targets: how they are made, listed, replaced, refused."""

import json

import pytest
from asl import queue, service_role
from botocore.config import Config
from bus import bus, name_of, policy, put, rule, rule_arn
from lab import refused


@pytest.fixture(scope="module")
def events(lab):
    return lab.client("events", "central")


def arn(lab, service, resource, part="central"):
    return f"arn:aws:{service}:{lab.region}:{lab.account(part)}:{resource}"


def tags_of(events, resource):
    return {tag["Key"]: tag["Value"] for tag in events.list_tags_for_resource(ResourceARN=resource)["Tags"]}


# -- buses ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("eventbridge.buses")
def test_every_account_has_a_default_bus_and_may_make_others(lab, events):
    assert events.describe_event_bus()["Arn"] == arn(lab, "events", "event-bus/default")
    made = bus(lab, Description="d", Tags=[{"Key": "k", "Value": "v"}, {"Key": "b", "Value": "1"}])
    name = name_of(made)
    with refused("ResourceAlreadyExistsException"):
        events.create_event_bus(Name=name)
    names = set()
    answer = events.list_event_buses(Limit=1)
    while True:
        names |= {each["Name"] for each in answer["EventBuses"]}
        assert len(answer["EventBuses"]) == 1
        if "NextToken" not in answer:
            break
        answer = events.list_event_buses(Limit=1, NextToken=answer["NextToken"])
    assert names >= {"default", name}
    assert [each["Name"] for each in events.list_event_buses(NamePrefix=name)["EventBuses"]] == [name]
    with refused("ValidationException"):
        events.list_event_buses(NextToken="nonsense")
    events.tag_resource(ResourceARN=made, Tags=[{"Key": "k", "Value": "w"}])
    events.untag_resource(ResourceARN=made, TagKeys=["b"])
    assert tags_of(events, made) == {"k": "w"}
    events.update_event_bus(Name=name, Description="other")
    assert events.describe_event_bus(Name=name)["Description"] == "other"
    others = [each["Name"] for each in lab.client("events", "consumer").list_event_buses()["EventBuses"]]
    assert "default" in others and name not in others
    with refused("ResourceNotFoundException"):
        events.describe_event_bus(Name=name + "x")
    with refused("ValidationException", "ResourceNotFoundException"):
        events.list_tags_for_resource(ResourceARN=made + "x")
    for invalid in ("a b", "a" * 257):
        with refused("ValidationException"):
            events.create_event_bus(Name=invalid)


@pytest.mark.statement("eventbridge.delete-bus")
def test_a_bus_with_rules_and_the_default_bus_cannot_be_deleted(lab, events):
    name = name_of(bus(lab))
    events.put_rule(Name="r", EventBusName=name, EventPattern='{"source": ["x"]}')
    with refused("ValidationException"):
        events.delete_event_bus(Name=name)
    events.delete_rule(Name="r", EventBusName=name)
    events.delete_event_bus(Name=name)
    with refused("ResourceNotFoundException"):
        events.describe_event_bus(Name=name)
    events.delete_event_bus(Name=name)  # again is no error
    with refused("ValidationException"):
        events.delete_event_bus(Name="default")


@pytest.mark.statement("eventbridge.bus-policy")
def test_permissions_of_a_bus_come_statement_by_statement_or_as_a_policy(lab, events):
    made, producer = bus(lab), lab.account("producer")
    name = name_of(made)
    settings = {"EventBusName": name, "Action": "events:PutEvents"}
    events.put_permission(**settings, StatementId="one", Principal=producer)
    condition = {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1234567890"}
    events.put_permission(**settings, StatementId="org", Principal="*", Condition=condition)
    events.put_permission(**settings, StatementId="one", Principal=lab.account("consumer"))  # replaced

    def statements():
        found = json.loads(events.describe_event_bus(Name=name)["Policy"])["Statement"]
        return {each["Sid"]: each for each in found}

    assert statements()["one"] == {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{lab.account('consumer')}:root"},
        "Action": "events:PutEvents",
        "Resource": made,
    }
    assert (statements()["org"]["Principal"], statements()["org"]["Condition"]) == (
        "*",
        {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}},
    )
    events.remove_permission(EventBusName=name, StatementId="one")
    assert list(statements()) == ["org"]
    with refused("ResourceNotFoundException"):
        events.remove_permission(EventBusName=name, StatementId="one")
    whole = {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": made}
    events.put_permission(EventBusName=name, Policy=policy(whole))
    assert statements() == {"all": whole}
    events.remove_permission(EventBusName=name, RemoveAllPermissions=True)
    assert "Policy" not in events.describe_event_bus(Name=name)
    with refused("ResourceNotFoundException"):
        events.remove_permission(EventBusName=name, StatementId="all")


@pytest.mark.statement("eventbridge.bus-policy")
def test_a_policy_must_be_one_and_has_ten_kilobytes_at_most(lab, events):
    name = name_of(bus(lab))
    for text in ("{", "[]", "{}", '{"Statement": "x"}'):
        with refused("ValidationException", "InvalidParameterValue"):
            events.put_permission(EventBusName=name, Policy=text)
    for given in ({"Principal": "*"}, {"Principal": "*", "StatementId": "s"}, {"Action": "events:PutEvents"}):
        with refused("ValidationException"):
            events.put_permission(EventBusName=name, **given)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus(lab)}
    with refused("PolicyLengthExceededException"):
        events.put_permission(EventBusName=name, Policy=policy({**statement, "Sid": "s" * 10_240}))
    room = 10_240 - len(policy({**statement, "Sid": ""}))
    events.put_permission(EventBusName=name, Policy=policy({**statement, "Sid": "s" * room}))


@pytest.mark.local_only("quotas of an account")
@pytest.mark.statement("eventbridge.bus-quota", "eventbridge.rule-quota")
def test_an_account_has_100_buses_and_a_bus_300_rules_at_most(lab):
    part = lab.fresh()
    there = lab.client("events", part)
    for number in range(100):
        there.create_event_bus(Name=f"bus-{number}")
    with refused("LimitExceededException"):
        there.create_event_bus(Name="one-more")
    for number in range(300):
        there.put_rule(Name=f"rule-{number}", EventPattern='{"source": ["x"]}')
    there.put_rule(Name="rule-0", EventPattern='{"source": ["y"]}')
    with refused("LimitExceededException"):
        there.put_rule(Name="one-more", EventPattern='{"source": ["x"]}')
    there.put_rule(Name="elsewhere", EventBusName="bus-1", EventPattern='{"source": ["x"]}')


# -- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("eventbridge.rules")
def test_rules_are_put_described_listed_and_deleted(lab, events):
    name = lab.name("life", "-")
    made = events.put_rule(
        Name=name, EventPattern='{"source": ["life"]}', Description="d", Tags=[{"Key": "k", "Value": "v"}]
    )
    lab.at_end(events.delete_rule, Name=name)
    assert made["RuleArn"] == rule_arn(lab, name)
    described = events.describe_rule(Name=name)
    assert (described["State"], described["Description"], described["EventBusName"]) == ("ENABLED", "d", "default")
    assert (described["CreatedBy"], described["EventPattern"]) == (lab.account("central"), '{"source": ["life"]}')
    events.put_rule(Name=name + "-too", EventPattern='{"source": ["life"]}', State="DISABLED")
    lab.at_end(events.delete_rule, Name=name + "-too")
    first = events.list_rules(NamePrefix=name, Limit=1)
    second = events.list_rules(NamePrefix=name, Limit=1, NextToken=first["NextToken"])
    assert [(each["Name"], each["State"]) for each in [*first["Rules"], *second["Rules"]]] == [
        (name, "ENABLED"),
        (name + "-too", "DISABLED"),
    ]
    assert "NextToken" not in second
    url, target = queue(lab)
    events.put_targets(Rule=name, Targets=[{"Id": "a", "Arn": target}, {"Id": "b", "Arn": target, "Input": "1"}])
    assert [each["Id"] for each in events.list_targets_by_rule(Rule=name)["Targets"]] == ["a", "b"]
    assert events.list_rule_names_by_target(TargetArn=target)["RuleNames"] == [name]
    with refused("ValidationException"):
        events.delete_rule(Name=name)
    answer = events.remove_targets(Rule=name, Ids=["a", "b", "c"])
    assert (answer["FailedEntryCount"], answer["FailedEntries"][0]["TargetId"]) == (1, "c")
    events.tag_resource(ResourceARN=made["RuleArn"], Tags=[{"Key": "b", "Value": "1"}])
    events.untag_resource(ResourceARN=made["RuleArn"], TagKeys=["k"])
    assert tags_of(events, made["RuleArn"]) == {"b": "1"}
    events.delete_rule(Name=name)
    with refused("ResourceNotFoundException"):
        events.describe_rule(Name=name)
    events.delete_rule(Name=name)  # again is no error
    with refused("ResourceNotFoundException"):
        events.list_tags_for_resource(ResourceARN=made["RuleArn"])
    with refused("ResourceNotFoundException"):
        events.put_targets(Rule=name, Targets=[{"Id": "a", "Arn": target}])


@pytest.mark.statement("eventbridge.rules")
def test_rules_of_another_bus_are_listed_by_their_target_in_pages(lab, events):
    on, target = name_of(bus(lab)), queue(lab)[1]
    role = service_role(lab, "central", "events.amazonaws.com")
    names = [rule(lab, {"Arn": target}, on=on) for _ in range(2)]
    events.put_rule(Name=names[0], EventBusName=on, EventPattern='{"source": ["a"]}', RoleArn=role)
    assert [(each["Name"], each.get("RoleArn")) for each in events.list_rules(EventBusName=on)["Rules"]] == [
        (names[0], role),
        (names[1], None),
    ]
    asked = {"TargetArn": target, "EventBusName": on, "Limit": 1}
    first = events.list_rule_names_by_target(**asked)
    second = events.list_rule_names_by_target(**asked, NextToken=first["NextToken"])
    assert [*first["RuleNames"], *second["RuleNames"]] == names
    assert events.list_rule_names_by_target(TargetArn=target)["RuleNames"] == []


@pytest.mark.statement("eventbridge.rules", "eventbridge.buses")
def test_a_rule_and_a_bus_of_one_name_have_tags_of_their_own(lab, events):
    name = lab.name("same", "-")
    of_rule = events.put_rule(Name=name, EventPattern='{"source": ["a"]}', Tags=[{"Key": "k", "Value": "rule"}])[
        "RuleArn"
    ]
    lab.at_end(events.delete_rule, Name=name)
    of_bus = arn(lab, "events", f"event-bus/{name}")
    with refused("ResourceNotFoundException"):
        tags_of(events, of_bus)
    events.create_event_bus(Name=name, Tags=[{"Key": "k", "Value": "bus"}])
    lab.at_end(events.delete_event_bus, Name=name)
    assert (tags_of(events, of_rule), tags_of(events, of_bus)) == ({"k": "rule"}, {"k": "bus"})
    for resource in (f"rule/nowhere-{name}/r", f"archive/{name}"):
        with refused("ResourceNotFoundException", "ValidationException"):
            tags_of(events, arn(lab, "events", resource))
    with refused("ResourceNotFoundException", "AccessDeniedException"):
        tags_of(lab.client("events", "consumer"), of_bus)


@pytest.mark.statement("eventbridge.put-rule-replaces")
def test_a_rule_is_replaced_whole_but_keeps_its_targets_and_tags(lab, events):
    name, tags = lab.name("replaced", "-"), [{"Key": "k", "Value": "v"}]
    made = events.put_rule(Name=name, EventPattern='{"source": ["a"]}', Description="d", Tags=tags, State="DISABLED")
    events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": queue(lab)[1]}])
    lab.at_end(events.delete_rule, Name=name)
    lab.at_end(events.remove_targets, Rule=name, Ids=["t"])
    events.put_rule(Name=name, EventPattern='{"source": ["b"]}', Tags=[{"Key": "other", "Value": "x"}])
    described = events.describe_rule(Name=name)
    assert ("Description" in described, described["State"]) == (False, "ENABLED")
    assert len(events.list_targets_by_rule(Rule=name)["Targets"]) == 1
    assert tags_of(events, made["RuleArn"]) == {"k": "v"}


@pytest.mark.statement("eventbridge.put-rule-refused", "eventbridge.schedule-bus")
def test_a_rule_that_eventbridge_refuses(lab, events):
    other = name_of(bus(lab))
    cases = [
        ({}, "ValidationException"),
        ({"ScheduleExpression": "every day"}, "ValidationException"),
        ({"ScheduleExpression": "at(2030-01-01T00:00:00)"}, "ValidationException"),
        ({"ScheduleExpression": "rate(1 hour)", "EventBusName": other}, "ValidationException"),
        ({"EventPattern": '{"source": ["a"]}', "EventBusName": "nowhere"}, "ResourceNotFoundException"),
        ({"EventPattern": '{"source": ["a"]}', "Name": "a b"}, "ValidationException"),
        ({"EventPattern": '{"source": ["a"]}', "Name": "a" * 65}, "ValidationException"),
    ]
    for fields, code in cases:
        with refused(code):
            events.put_rule(**{"Name": lab.name("bad", "-"), **fields})
    for call in (events.enable_rule, events.disable_rule, events.describe_rule):
        with refused("ResourceNotFoundException"):
            call(Name="nothing-of-this-name")


@pytest.mark.local_only("what is not built")
@pytest.mark.statement("eventbridge.not-built")
def test_what_is_not_built_is_refused_by_name(lab, events):
    elsewhere = f"arn:aws:events:us-east-1:{lab.account('central')}:event-bus/default"
    theirs = arn(lab, "events", "event-bus/default", "consumer")
    state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
    for call, given in (
        (events.list_archives, {}),
        (events.create_event_bus, {"Name": "b", "KmsKeyIdentifier": "k"}),
        (events.put_rule, {"Name": "r", "EventBusName": elsewhere, "EventPattern": '{"source": ["x"]}'}),
        (events.put_rule, {"Name": "r", "State": state, "EventPattern": '{"source": ["x"]}'}),
        (events.list_rule_names_by_target, {"TargetArn": elsewhere, "EventBusName": theirs}),
    ):
        with refused("LocalAwsNotSupported"):
            call(**given)


# -- targets --------------------------------------------------------------------------------------------------------


def targets(lab):
    there = arn(lab, "sqs", "q")
    transformer = {"InputTransformer": {"InputTemplate": '{"a": <b>}'}}
    nested = {"InputPathsMap": {"a": "$.id"}, "InputTemplate": '{"a": <a>'}
    many = {"InputPathsMap": {f"v{n}": "$.id" for n in range(101)}, "InputTemplate": "1"}
    return {
        "a machine without a role": {"Arn": arn(lab, "states", "stateMachine:m")},
        "another account's bus without a role": {"Arn": arn(lab, "events", "event-bus/default", "producer")},
        "another bus without a role": {"Arn": arn(lab, "events", "event-bus/other")},
        "a FIFO queue without a group": {"Arn": arn(lab, "sqs", "q.fifo")},
        "a FIFO queue with an empty group": {"Arn": arn(lab, "sqs", "q.fifo"), "SqsParameters": {}},
        "another account's bus with an input": {
            "Arn": arn(lab, "events", "event-bus/default", "producer"),
            "RoleArn": f"arn:aws:iam::{lab.account('central')}:role/r",
            "Input": "1",
        },
        "Input that is no JSON": {"Arn": there, "Input": "{"},
        "Input beside InputPath": {"Arn": there, "Input": "1", "InputPath": "$"},
        "InputPath beside InputTransformer": {"Arn": there, "InputPath": "$", **transformer},
        "an Input too long": {"Arn": there, "Input": json.dumps("x" * 8191)},
        "an InputPath that is none": {"Arn": there, "InputPath": "$.detail["},
        "an InputPath with a filter": {"Arn": there, "InputPath": "$.a[?(@.b)]"},
        "an InputPath of all descendants": {"Arn": there, "InputPath": "$..a"},
        "an InputPath into a context": {"Arn": there, "InputPath": "$$.a"},
        "a variable that is not there": {"Arn": there, **transformer},
        "a variable that is not there, in a text": {
            "Arn": there,
            "InputTransformer": {"InputTemplate": '"text <b>"'},
        },
        "a template that is no JSON": {"Arn": there, "InputTransformer": nested},
        "a template that is no list": {"Arn": there, "InputTransformer": {"InputTemplate": "[1, 2"}},
        "a template too long": {"Arn": there, "InputTransformer": {"InputTemplate": json.dumps("x" * 8191)}},
        "too many variables": {"Arn": there, "InputTransformer": many},
        "a reserved variable": {
            "Arn": there,
            "InputTransformer": {"InputPathsMap": {"aws.x": "$.id"}, "InputTemplate": "1"},
        },
        "a variable that begins like the reserved ones": {
            "Arn": there,
            "InputTransformer": {"InputPathsMap": {"awsId": "$.id"}, "InputTemplate": "1"},
        },
        "a variable with a dot": {
            "Arn": there,
            "InputTransformer": {"InputPathsMap": {"a.x": "$.id"}, "InputTemplate": "1"},
        },
        "a variable of no path": {
            "Arn": there,
            "InputTransformer": {"InputPathsMap": {"a": "id"}, "InputTemplate": "1"},
        },
        "a FIFO queue for dead letters": {"Arn": there, "DeadLetterConfig": {"Arn": arn(lab, "sqs", "d.fifo")}},
        "a topic for dead letters": {"Arn": there, "DeadLetterConfig": {"Arn": arn(lab, "sns", "topic")}},
        "a bus for dead letters": {"Arn": there, "DeadLetterConfig": {"Arn": arn(lab, "events", "event-bus/b")}},
        "another Region's queue for dead letters": {
            "Arn": there,
            "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-2:{lab.account('central')}:q"},
        },
        "too many attempts": {"Arn": there, "RetryPolicy": {"MaximumRetryAttempts": 186}},
        "too short an age": {"Arn": there, "RetryPolicy": {"MaximumEventAgeInSeconds": 59}},
        "too long an age": {"Arn": there, "RetryPolicy": {"MaximumEventAgeInSeconds": 86_401}},
    }


@pytest.mark.statement(
    "eventbridge.target-refused",
    "eventbridge.bus-role",
    "eventbridge.machine-role",
    "eventbridge.input-limit",
    "eventbridge.dead-letter-queue",
    "eventbridge.retry-limits",
)
def test_targets_that_eventbridge_refuses(lab):
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    events = lab.session("central").client("events", config=config)
    name, taken = rule(lab), []
    for case, target in targets(lab).items():
        try:
            with refused("ValidationException"):
                events.put_targets(Rule=name, Targets=[{"Id": "t", **target}])
        except (AssertionError, pytest.fail.Exception) as error:
            taken.append((case, str(error)[:200]))
    assert taken == []
    with refused("ValidationException"):
        events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": arn(lab, "sqs", "q")}] * 2)
    assert events.list_targets_by_rule(Rule=name)["Targets"] == []


@pytest.mark.statement("eventbridge.input-limit", "eventbridge.retry-limits")
def test_targets_at_their_limits_are_taken(lab, events):
    name, there = rule(lab), arn(lab, "sqs", "q")
    many = {"InputPathsMap": {f"v-{n}_A": "$.resources[*]" for n in range(100)}, "InputTemplate": '{"a": <v-1_A>}'}
    listed = [
        {"Input": json.dumps("x" * 8190), "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 60}},
        {"InputTransformer": many, "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 86_400}},
        {"InputTransformer": {"InputTemplate": json.dumps("x" * 8190)}},
        {"InputPath": "$.detail.a[0]"},
        {"DeadLetterConfig": {"Arn": there}},
    ]
    given = [{"Id": str(number), "Arn": there, **each} for number, each in enumerate(listed)]
    assert events.put_targets(Rule=name, Targets=given)["FailedEntryCount"] == 0
    lab.at_end(events.remove_targets, Rule=name, Ids=[each["Id"] for each in given])
    with refused("LimitExceededException"):
        events.put_targets(Rule=name, Targets=[{"Id": "six", "Arn": there}])
    events.put_targets(Rule=name, Targets=[{"Id": "0", "Arn": there}])  # replaced, not added
    pages = [events.list_targets_by_rule(Rule=name, Limit=3)]
    pages.append(events.list_targets_by_rule(Rule=name, Limit=3, NextToken=pages[0]["NextToken"]))
    assert sorted(each["Id"] for page in pages for each in page["Targets"]) == ["0", "1", "2", "3", "4"]
    assert "Input" not in pages[0]["Targets"][0]


@pytest.mark.local_only("AWS has them")
@pytest.mark.statement("eventbridge.not-built")
def test_other_kinds_of_targets_are_refused(lab, events):
    name, own = rule(lab), bus(lab)
    role = f"arn:aws:iam::{lab.account('central')}:role/r"
    for target in (
        {"Arn": arn(lab, "kinesis", "stream/s")},
        {"Arn": "nonsense"},
        {"Arn": arn(lab, "sqs", "q/x")},
        {"Arn": arn(lab, "sqs", "q"), "KinesisParameters": {"PartitionKeyPath": "$.id"}},
        {"Arn": own, "RoleArn": role, "Input": "1"},
    ):
        with refused("LocalAwsNotSupported", "AccessDeniedException"):
            events.put_targets(Rule=name, Targets=[{"Id": "t", **target}])


# -- putting events -------------------------------------------------------------------------------------------------


@pytest.mark.statement("eventbridge.entries")
def test_entries_that_are_wrong_fail_one_by_one(lab, events):
    source = lab.name("source", "-")
    good = {"Source": source, "DetailType": "T", "Detail": "{}"}
    bad = [
        {**good, "Detail": "not json"},
        {**good, "Detail": "[1]"},
        {"Source": source, "Detail": "{}"},
        {"Source": source, "DetailType": "T"},
        {"DetailType": "T", "Detail": "{}"},
        {**good, "Source": ""},
        {**good, "Source": "aws.s3"},
    ]
    answer = events.put_events(Entries=[good, *bad])
    assert answer["FailedEntryCount"] == 7
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "MalformedDetail",
        "InvalidArgument",
        "InvalidArgument",
        "InvalidArgument",
        "InvalidArgument",
        "NotAuthorizedForSourceException",
    ]
    assert answer["Entries"][0]["EventId"]


@pytest.mark.statement("eventbridge.entries-limit", "eventbridge.entries-size")
def test_a_request_has_ten_entries_and_one_megabyte_at_most(lab, events):
    entry = {"Source": "s", "DetailType": "T", "Detail": "{}"}
    assert events.put_events(Entries=[entry] * 10)["FailedEntryCount"] == 0
    with refused("ValidationException"):
        events.put_events(Entries=[entry] * 11)
    room = 1_048_576 - len("sT") - len('{"x": ""}') - 14 - len("r")
    fits = {**entry, "Detail": '{"x": "' + "y" * room + '"}', "Time": "2024-05-01T10:00:00Z", "Resources": ["r"]}
    assert events.put_events(Entries=[fits])["FailedEntryCount"] == 0
    for larger in ({"Resources": ["rr"]}, {"Source": "ss"}, {"DetailType": "é"}):
        with refused("ValidationException"):
            events.put_events(Entries=[{**fits, **larger}])


@pytest.mark.statement("eventbridge.no-such-bus")
def test_events_for_a_bus_that_is_not_there_are_dropped_without_an_error(lab):
    assert "EventId" in put(lab, "x", on="nothing-of-this-name")
