"""Events between accounts: bus policies, roles of targets, one hop; rules on another account's bus; functions."""

import io
import json
import zipfile

import pytest
from asl import queue, service_role
from bus import bus, came, came_events, name_of, policy, put, rule, rule_arn
from lab import refused

EVENTS = "events.amazonaws.com"
ANYTHING = {"source": [{"prefix": ""}]}


def admit(lab, arn, principal, *actions, resource=None, **condition):
    """Let a principal do something on a bus (or on its rules)."""
    statement = {"Sid": "s", "Effect": "Allow", "Principal": principal, "Action": list(actions) or "events:PutEvents"}
    statement |= {"Resource": resource or arn, **({"Condition": condition} if condition else {})}
    part = next(part for part in ("central", "consumer", "producer") if lab.account(part) == arn.split(":")[4])
    lab.client("events", part).put_permission(EventBusName=name_of(arn), Policy=policy(statement))


def root(lab, part):
    return {"AWS": f"arn:aws:iam::{lab.account(part)}:root"}


@pytest.fixture(scope="module")
def shared(lab):
    """The central account's bus, which admits the producer's account, and a queue of all that comes over it."""
    arn, (url, target) = bus(lab), queue(lab)
    admit(lab, arn, root(lab, "producer"))
    rule(lab, {"Arn": target}, pattern=ANYTHING, on=name_of(arn))
    return arn, url


@pytest.mark.statement("eventbridge.cross-account", "eventbridge.cross-account-envelope")
def test_events_go_to_another_accounts_bus_as_they_are(lab, shared):
    arn, url = shared
    role = service_role(lab, "producer", EVENTS, "events:PutEvents")
    source = rule(lab, {"Arn": arn, "RoleArn": role}, part="producer")
    answer = put(lab, source, "producer", Resources=["arn:aws:s3:::bucket"], Time="2024-05-01T10:00:00Z")
    (event,) = came_events(lab, url)
    assert (event["account"], event["id"]) == (lab.account("producer"), answer["EventId"])
    assert (event["resources"], event["time"]) == (["arn:aws:s3:::bucket"], "2024-05-01T10:00:00Z")


@pytest.mark.statement("eventbridge.receiver-matches-all")
def test_a_receiving_rule_matches_every_account_unless_it_names_some(lab):
    arn, (url, target) = bus(lab), queue(lab)
    name = name_of(arn)
    admit(lab, arn, "*")
    source = lab.name("source", "-")
    rule(lab, {"Arn": target, "Input": '"any"'}, pattern={"source": [source]}, on=name)
    own = {"source": [source], "account": [lab.account("producer")]}
    rule(lab, {"Arn": target, "Input": '"producer"'}, pattern=own, on=name)
    for part in ("producer", "consumer", "central"):
        assert "EventId" in put(lab, source, part, on=arn)
    assert sorted(each["Body"] for each in came(lab, url, 4)) == ['"any"', '"any"', '"any"', '"producer"']


@pytest.mark.statement("eventbridge.cross-account", "eventbridge.permission-no-retry")
@pytest.mark.parametrize("missing", ["permission", "trust", "bus policy"])
def test_role_trust_and_bus_policy_must_all_admit_a_cross_account_event(lab, shared, missing):
    arn, url = shared
    part = "consumer" if missing == "bus policy" else "producer"
    dead_url, dead = queue(lab, part)
    service = "lambda.amazonaws.com" if missing == "trust" else EVENTS
    role = service_role(lab, part, service, *([] if missing == "permission" else ["events:PutEvents"]))
    source = rule(lab, {"Arn": arn, "RoleArn": role, "DeadLetterConfig": {"Arn": dead}}, part=part)
    put(lab, source, part)
    told = came(lab, dead_url, part=part)[0]["attributes"]
    assert told["ERROR_CODE"] == ("FAILED_TO_ASSUME_ROLE" if missing == "trust" else "NO_PERMISSIONS")
    assert told["RETRY_ATTEMPTS"] == "0"
    came(lab, url, 0)


@pytest.mark.statement("eventbridge.bus-conditions")
def test_a_bus_can_admit_by_source_and_type_of_events(lab):
    arn, (url, target) = bus(lab), queue(lab)
    source = lab.name("source", "-")
    rule(lab, {"Arn": target}, pattern=ANYTHING, on=name_of(arn))
    condition = {"StringEquals": {"events:source": source, "events:detail-type": "Good"}}
    admit(lab, arn, root(lab, "producer"), **condition)
    assert "EventId" in put(lab, source, "producer", on=arn, DetailType="Good")
    for given, kind in ((source, "Bad"), ("other", "Good")):
        assert put(lab, given, "producer", on=arn, DetailType=kind)["ErrorCode"] == "AccessDeniedException"
    role = service_role(lab, "producer", EVENTS, "events:PutEvents")
    rule(lab, {"Arn": arn, "RoleArn": role}, pattern={"source": [source]}, part="producer")
    put(lab, source, "producer", DetailType="Good")
    put(lab, source, "producer", DetailType="Bad")
    assert {event["detail-type"] for event in came_events(lab, url, 2)} == {"Good"}


@pytest.mark.statement("eventbridge.third-account")
def test_an_event_is_not_sent_on_to_a_third_account(lab):
    middle, last = bus(lab), bus(lab, "consumer")
    admit(lab, middle, root(lab, "producer"))
    admit(lab, last, "*")
    (last_url, last_queue), (dead_url, dead) = queue(lab, "consumer"), queue(lab)
    rule(lab, {"Arn": last_queue}, pattern=ANYTHING, part="consumer", on=name_of(last))
    onward = service_role(lab, "central", EVENTS, "events:PutEvents")
    target = {"Arn": last, "RoleArn": onward, "DeadLetterConfig": {"Arn": dead}}
    rule(lab, target, pattern=ANYTHING, on=name_of(middle))

    put(lab, "of central itself", on=name_of(middle))  # the first hop is fine
    assert len(came(lab, last_url, part="consumer")) == 1
    role = service_role(lab, "producer", EVENTS, "events:PutEvents")
    put(lab, rule(lab, {"Arn": middle, "RoleArn": role}, part="producer"), "producer")
    put(lab, "put directly", "producer", on=middle)
    codes = {each["attributes"]["ERROR_CODE"] for each in came(lab, dead_url, 2)}
    assert codes == {"THIRD_ACCOUNT_HOP_DETECTED"}
    came(lab, last_url, 0, part="consumer")


@pytest.mark.statement("eventbridge.missing-target-no-retry")
def test_a_bus_that_is_gone_goes_to_the_dead_letters(lab):
    dead_url, dead = queue(lab)
    role = service_role(lab, "central", EVENTS, "events:PutEvents")
    arn = f"arn:aws:events:{lab.region}:{lab.account('producer')}:event-bus/nothing-of-this-name"
    put(lab, rule(lab, {"Arn": arn, "RoleArn": role, "DeadLetterConfig": {"Arn": dead}}))
    told = came(lab, dead_url)[0]["attributes"]
    assert told["ERROR_CODE"] in ("NO_RESOURCE", "NO_PERMISSIONS")


@pytest.mark.statement("eventbridge.put-events-policy")
def test_put_events_to_another_accounts_bus_needs_its_policy_and_the_callers(lab, shared):
    arn, url = shared
    able, unable = lab.role("producer", allow=["events:PutEvents"]), lab.role("producer", allow=["events:ListRules"])
    assert "EventId" in put(lab, "direct", able, on=arn)
    (event,) = came_events(lab, url)
    assert (event["account"], event["source"]) == (lab.account("producer"), "direct")
    with refused("AccessDeniedException"):
        put(lab, "direct", unable, on=arn)
    outside = lab.client("events", "consumer")
    entry = {"Source": "s", "DetailType": "T", "Detail": "{}"}
    answer = outside.put_events(Entries=[entry, {**entry, "EventBusName": arn}, entry])
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [None, "AccessDeniedException", None]
    assert answer["FailedEntryCount"] == 1
    came(lab, url, 0)


@pytest.mark.statement("eventbridge.put-rule-cross-account", "eventbridge.creator-account")
def test_rules_can_be_put_on_another_accounts_bus_where_its_policy_admits_it(lab):
    arn, theirs = bus(lab), lab.client("events", "producer")
    name, there = name_of(arn), {"EventBusName": arn}
    wanted = {"Name": lab.name("theirs", "-"), **there}
    with refused("AccessDeniedException"):
        theirs.put_rule(**wanted, EventPattern='{"source": ["a"]}')
    rules = f"arn:aws:events:{lab.region}:{lab.account('central')}:rule/{name}/*"
    actions = [
        f"events:{each}"
        for each in (
            "PutRule",
            "DeleteRule",
            "DescribeRule",
            "DisableRule",
            "EnableRule",
            "PutTargets",
            "RemoveTargets",
            "ListTargetsByRule",
        )
    ]
    creator = {"events:creatorAccount": "${aws:PrincipalAccount}", "events:source": "webstore"}
    admit(lab, arn, root(lab, "producer"), *actions, resource=rules, StringEqualsIfExists=creator)

    with refused("AccessDeniedException"):
        theirs.put_rule(**wanted, EventPattern='{"source": ["bank"]}')
    made = theirs.put_rule(**wanted, EventPattern='{"source": ["webstore"]}')["RuleArn"]
    assert made == rules.replace("*", wanted["Name"])
    mine = lab.client("events", "central")
    assert mine.describe_rule(Name=wanted["Name"], EventBusName=name)["CreatedBy"] == lab.account("producer")
    url, target = queue(lab, "producer")
    theirs.put_targets(Rule=wanted["Name"], **there, Targets=[{"Id": "q", "Arn": target}])
    assert theirs.list_targets_by_rule(Rule=wanted["Name"], **there)["Targets"][0]["Arn"] == target
    put(lab, "webstore", on=name)
    came(lab, url, part="producer")
    theirs.disable_rule(**wanted)
    put(lab, "webstore", on=name)
    came(lab, url, 0, part="producer")
    theirs.enable_rule(**wanted)
    theirs.remove_targets(Rule=wanted["Name"], **there, Ids=["q"])
    theirs.delete_rule(**wanted)

    own = rule(lab, pattern={"source": ["webstore"]}, on=name)  # the owner's rules stay the owner's
    for call in (theirs.disable_rule, theirs.delete_rule, theirs.describe_rule):
        with refused("AccessDeniedException"):
            call(Name=own, **there)


CODE = """
def handler(event, context):
    print("received", event["detail"]["n"], event["source"])
"""


@pytest.mark.statement("eventbridge.function-policy")
def test_a_function_is_invoked_if_its_policy_admits_the_rule(lab):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", CODE)
    functions, name = lab.client("lambda", "central"), lab.name("listener", "-")
    role = service_role(lab, "central", "lambda.amazonaws.com", "logs:*")
    settings = {"Runtime": "python3.11", "Handler": "app.handler", "Role": role, "Code": {"ZipFile": packed.getvalue()}}

    def make():
        return functions.create_function(FunctionName=name, **settings)["FunctionArn"]

    function = make() if lab.is_local else lab.eventually(make)
    lab.at_end(functions.delete_function, FunctionName=name)
    (url, dead), role = queue(lab), service_role(lab, "central", EVENTS, "lambda:InvokeFunction")
    source = rule(lab, {"Arn": function, "DeadLetterConfig": {"Arn": dead}})
    put(lab, source)
    assert came(lab, url)[0]["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"
    plain = rule(lab, {"Arn": function, "RoleArn": role, "Input": '{"detail": {"n": 2}, "source": "as a role"}'})
    put(lab, plain)
    functions.add_permission(
        FunctionName=name,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal=EVENTS,
        SourceArn=rule_arn(lab, source),
    )
    put(lab, source)
    logs = lab.client("logs", "central")

    def told():
        text = json.dumps(logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"])
        return f"received 1 {source}" in text and "received 2 as a role" in text

    lab.eventually(told)
    text = {"InputTemplate": '{"x": <n>}', "InputPathsMap": {"n": "$.detail.missing"}}
    for target, code in (
        ({"Arn": function, "InputTransformer": text}, "INVALID_JSON"),
        ({"Arn": function + "-gone"}, "NO_RESOURCE"),
    ):
        put(lab, rule(lab, {**target, "DeadLetterConfig": {"Arn": dead}}))
        assert came(lab, url)[0]["attributes"]["ERROR_CODE"] in (
            code,
            "NO_PERMISSIONS" if "gone" in target["Arn"] else code,
        )
