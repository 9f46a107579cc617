"""House rules of what tells people that something is wrong: dead-letter queues, alarms, metrics, the dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
TEMPLATES = {
    path.name: yaml_parse(path.read_text(encoding="utf-8"))
    for path in (ROOT / "template.yaml", *sorted(ROOT.glob("accounts/*.yaml")))
}
CENTRAL = TEMPLATES["template.yaml"]
COMMANDS = {"replay", "status", "coverage", "validate", "apply"}
MACHINES = {path.name.removesuffix(".asl.json") for path in ROOT.glob("statemachines/*.json")}

FROM_CODE = {
    name
    for path in (ROOT / "functions").glob("*.py")
    for name in re.findall(r'add_metric\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
}


def of_type(template: dict, kind: str) -> dict[str, dict]:
    return {name: r.get("Properties", {}) for name, r in template["Resources"].items() if r["Type"] == kind}


def alarms():
    for template in TEMPLATES.values():
        for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
            yield pytest.param(template, alarm, id=name)


def dead_letters(template: dict) -> set[str]:
    """The logical ids of queues that something that failed goes to."""
    queues = of_type(template, "AWS::SQS::Queue").values()
    arns = [queue["RedrivePolicy"]["deadLetterTargetArn"] for queue in queues if "RedrivePolicy" in queue]
    targets = [target for rule in of_type(template, "AWS::Events::Rule").values() for target in rule["Targets"]]
    targets += [schedule["Target"] for schedule in of_type(template, "AWS::Scheduler::Schedule").values()]
    arns += [target["DeadLetterConfig"]["Arn"] for target in targets if "DeadLetterConfig" in target]
    return {arn["Fn::GetAtt"][0] for arn in arns}


def dimension(alarm: dict) -> tuple:
    """(name, logical id or text) of an alarm's one dimension."""
    (found,) = alarm["Dimensions"]
    value = found["Value"]
    if isinstance(value, dict):
        value = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    return found["Name"], value


# ── Dead-letter queues ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_whatever_delivers_asynchronously_has_a_dead_letter_queue(name):
    template = TEMPLATES[name]
    targets = [(rule, t) for rule, p in of_type(template, "AWS::Events::Rule").items() for t in p["Targets"]]
    targets += [(each, p["Target"]) for each, p in of_type(template, "AWS::Scheduler::Schedule").items()]
    assert [where for where, target in targets if "DeadLetterConfig" not in target] == []
    buried = dead_letters(template)
    for queue, properties in of_type(template, "AWS::SQS::Queue").items():
        assert queue in buried or "RedrivePolicy" in properties, f"{queue} gives up without a trace"
    # Functions are invoked by machines, which wait for them, by a queue, or by a deployment, which fails with them.
    for function, properties in of_type(template, "AWS::Serverless::Function").items():
        for event in properties.get("Events", {}).values():
            assert event["Type"] == "SQS", f"{function} is invoked asynchronously"


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_dead_letters_are_kept_for_two_weeks_and_found_by_their_name(name):
    queues = of_type(TEMPLATES[name], "AWS::SQS::Queue")
    for queue in dead_letters(TEMPLATES[name]):
        assert queues[queue]["MessageRetentionPeriod"] == 1209600
        named = queues[queue]["QueueName"]
        assert re.fullmatch(r"tagmesh-.+-dlq", named["Fn::Sub"] if isinstance(named, dict) else named)


def test_the_longest_bucket_name_makes_a_queue_name_that_sqs_takes():
    pattern = TEMPLATES["producer.yaml"]["Resources"]["UndeliveredUploads"]["Properties"]["QueueName"]["Fn::Sub"]
    assert len(pattern.replace("${BucketName}", "b" * 63)) <= 80


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_only_our_own_rules_may_write_to_queues(name):
    for policy in of_type(TEMPLATES[name], "AWS::SQS::QueuePolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Principal"] == {"Service": "events.amazonaws.com"}
            assert statement["Action"] == "sqs:SendMessage"
            assert statement["Condition"]["ArnEquals"]["aws:SourceArn"]
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_each_rule_may_write_to_its_dead_letter_queue():
    for template in TEMPLATES.values():
        policies = of_type(template, "AWS::SQS::QueuePolicy").values()
        admitted = {}
        for statement in (s for policy in policies for s in policy["PolicyDocument"]["Statement"]):
            sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
            sources = sources if isinstance(sources, list) else [sources]
            admitted[statement["Resource"]["Fn::GetAtt"][0]] = {source["Fn::GetAtt"][0] for source in sources}
        for name, rule in of_type(template, "AWS::Events::Rule").items():
            for target in rule["Targets"]:
                assert name in admitted[target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]]


def test_the_schedules_role_may_write_to_its_dead_letter_queue():
    (schedule,) = of_type(CENTRAL, "AWS::Scheduler::Schedule").values()
    role = of_type(CENTRAL, "AWS::IAM::Role")[schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]]
    allowed = [(s["Action"], s["Resource"]) for p in role["Policies"] for s in p["PolicyDocument"]["Statement"]]
    assert ("sqs:SendMessage", schedule["Target"]["DeadLetterConfig"]["Arn"]) in allowed


# ── Alarms ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_dead_letter_queue_has_an_alarm_when_it_is_not_empty(name):
    watched = {
        dimension(alarm)[1]
        for alarm in of_type(TEMPLATES[name], "AWS::CloudWatch::Alarm").values()
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
        and (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    }
    assert watched == dead_letters(TEMPLATES[name])


@pytest.mark.parametrize(("template", "alarm"), alarms())
def test_every_alarm_says_what_it_means_and_what_to_do_and_tells_somebody(template, alarm):
    text = alarm["AlarmDescription"]
    assert re.match(r"[A-Z].{40,}", text) and len(text) <= 1024
    commands = re.findall(r"tagmesh (\w+)(?= |,|:|\.|;|$)", text)
    assert commands and set(commands) <= COMMANDS, text
    (topic,) = alarm["AlarmActions"]
    assert template["Resources"][topic["Ref"]]["Type"] == "AWS::SNS::Topic"
    name = alarm["AlarmName"]
    assert (name["Fn::Sub"] if isinstance(name, dict) else name).startswith("tagmesh-")
    assert alarm["TreatMissingData"] in ("notBreaching", "breaching", "ignore")


@pytest.mark.parametrize("name", ["producer.yaml", "template.yaml"])
def test_cloudwatch_and_nobody_else_may_tell_alarms(name):
    (policy,) = of_type(TEMPLATES[name], "AWS::SNS::TopicPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert {"ArnLike", "ArnEquals"} & set(statement["Condition"])
    subscriptions = of_type(TEMPLATES[name], "AWS::SNS::Subscription")
    assert {each: s for each, s in subscriptions.items() if s["TopicArn"] == {"Ref": "AlarmTopic"}} == {
        "AlarmEmailSubscription": {
            "TopicArn": {"Ref": "AlarmTopic"},
            "Protocol": "email",
            "Endpoint": {"Ref": "AlarmEmail"},
        }
    }


@pytest.mark.parametrize("metric", ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionThrottled"])
def test_every_machine_has_its_alarms(metric):
    watched = {
        dimension(alarm)
        for alarm in of_type(CENTRAL, "AWS::CloudWatch::Alarm").values()
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/States", metric)
    }
    assert watched == {("StateMachineArn", f"{name.capitalize()}StateMachine") for name in MACHINES}


def test_what_else_is_watched():
    watched = {(a["Namespace"], a["MetricName"]) for a in of_type(CENTRAL, "AWS::CloudWatch::Alarm").values()}
    ours = {"OldestWorkSeconds", "Sweeps", "UnclassifiedColumns", "UploadsRefused", "GovernanceRefused"}
    assert {("tagmesh", name) for name in ours} <= watched
    assert {("AWS/SQS", "ApproximateAgeOfOldestMessage"), ("AWS/Lambda", "Throttles")} <= watched


def test_our_own_metrics_are_watched_as_powertools_emits_them():
    variables = CENTRAL["Globals"]["Function"]["Environment"]["Variables"]
    for alarm in of_type(CENTRAL, "AWS::CloudWatch::Alarm").values():
        if not alarm["Namespace"].startswith("AWS/"):
            assert alarm["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
            assert dimension(alarm) == ("service", variables["POWERTOOLS_SERVICE_NAME"])
            assert alarm["MetricName"] in FROM_CODE


def test_a_sweep_that_is_missed_three_times_is_an_alarm_whatever_its_rate():
    alarm = CENTRAL["Resources"]["SweepNotRunAlarm"]["Properties"]
    rates = CENTRAL["Parameters"]["SweepMinutes"]["AllowedValues"]
    seconds = {int(minutes): each["Seconds"] for minutes, each in CENTRAL["Mappings"]["SweepPeriods"].items()}
    assert seconds == {minutes: minutes * 60 for minutes in rates}
    assert alarm["Period"] == {"Fn::FindInMap": ["SweepPeriods", {"Ref": "SweepMinutes"}, "Seconds"]}
    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (3, "breaching")
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    schedule = CENTRAL["Resources"]["SweepSchedule"]["Properties"]["ScheduleExpression"]
    assert schedule == {"Fn::Sub": "rate(${SweepMinutes} minutes)"}


# ── The dashboard ───────────────────────────────────────────────────────────────────────────────────────────


def widgets() -> list[dict]:
    body = CENTRAL["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    return json.loads(body)["widgets"]


def test_the_dashboard_shows_every_alarm_and_metrics_that_there_are():
    (shown,) = [widget["properties"]["alarms"] for widget in widgets() if widget["type"] == "alarm"]
    names = {alarm["AlarmName"] for alarm in of_type(CENTRAL, "AWS::CloudWatch::Alarm").values()}
    assert {arn.rsplit(":", 1)[1] for arn in shown} == names
    ours = {
        metric[1]
        for widget in widgets()
        for metric in widget["properties"].get("metrics", [])
        if metric[0] == CENTRAL["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
    }
    assert ours <= FROM_CODE
    text = json.dumps(widgets())
    for name in re.findall(r"\$\{(\w+)(?:\.\w+)?\}", text):
        assert name in CENTRAL["Resources"], name


def test_widgets_of_the_dashboard_do_not_overlap_and_fit():
    taken = set()
    for widget in widgets():
        cells = {(x, y) for x in range(widget["x"], widget["x"] + widget["width"])
                 for y in range(widget["y"], widget["y"] + widget["height"])}  # fmt: skip
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
