"""rate(), cron() and at(): when they fire, and what is no expression. The local clock is moved over a year."""

import json
from datetime import UTC, datetime

import pytest
from asl import Machines, one, service_role
from lab import refused

OFF = {"Mode": "OFF"}


@pytest.fixture(scope="module")
def role(lab):
    return service_role(lab, "central", "scheduler.amazonaws.com", "sqs:SendMessage")


BAD = ["rate(0 minutes)", "rate(5 minute)", "rate(5 seconds)", "rate(-1 minutes)", "rate(1.5 hours)", "every 5 minutes"]
BAD += ["cron(* * * * *)", "cron(* * * * * *)", "cron(0 0 ? * ? *)", "cron(60 0 * * ? *)", "cron(0 24 * * ? *)"]
BAD += ["cron(0 0 32 * ? *)", "cron(0 0 0 * ? *)", "cron(0 0 * FOO ? *)", "cron(0 0 * 13 ? *)", "cron(0/0 0 * * ? *)"]
BAD += ["cron(0/x 0 * * ? *)", "cron(0 0 ? * 8 *)", "cron(0 0 ? * 0 *)", "cron(0 0 ? * 3#6 *)", "cron(0 0 32W * ? *)"]
BAD += [
    "cron(0 0 0W * ? *)",
    "cron(0 0 ? * XL *)",
    "cron(0 0 * * ? 1969)",
    "cron(0 0 * * ? 2200)",
    "cron(0-61 0 * * ? *)",
]
BAD += ["cron(0 0 ? * 9#1 *)", "cron(a 0 * * ? *)", "cron(+5 0 * * ? *)", "cron(1_0 0 * * ? *)"]
BAD += ["cron(0/+5 0 * * ? *)", "cron(60-5 0 * * ? *)", "rate(2 minute)"]
BAD += ["cron(\u0665 0 * * ? *)", "rate(\u0665 minutes)"]  # a digit, though none of ours


@pytest.mark.statement("scheduler.expressions", "eventbridge.schedule-expressions")
@pytest.mark.parametrize("text", BAD)
def test_what_is_no_expression_is_refused_for_schedules_and_rules(lab, role, text):
    target = {"Arn": f"arn:aws:sqs:{lab.region}:{lab.account('central')}:q", "RoleArn": role}
    with refused("ValidationException"):
        lab.client("scheduler", "central").create_schedule(
            Name="bad", ScheduleExpression=text, FlexibleTimeWindow=OFF, Target=target
        )
    with refused("ValidationException"):
        lab.client("events", "central").put_rule(Name="bad", ScheduleExpression=text)


@pytest.mark.statement("eventbridge.schedule-expressions")
def test_a_rules_rate_of_one_is_in_the_singular(lab):
    events = lab.client("events", "central")
    with refused("ValidationException"):
        events.put_rule(Name="bad", ScheduleExpression="rate(1 minutes)")
    for text in ("rate(1 minute)", "rate(2 days)", "cron(0 8 ? * MON-FRI *)", "cron(0/15 * L * ? 2199)"):
        events.put_rule(Name="good", ScheduleExpression=text, State="DISABLED")
    lab.at_end(events.delete_rule, Name="good")


US = "America/Los_Angeles"
CRONS = [  # zone, expression, from and to (days), the times at which it fires
    ("UTC", "cron(0/20 4 * * ? *)", "0104", "0105", ["20270104T0400", "20270104T0420", "20270104T0440"]),
    ("UTC", "cron(15 10 * * ? *)", "0105", "0107", ["20270105T1015", "20270106T1015"]),
    ("UTC", "cron(0 18 ? * MON-FRI *)", "0108", "0112", ["20270108T1800", "20270111T1800"]),
    (
        "UTC",
        "cron(0/30 23-0 ? * TUE *)",
        "0112",
        "0113",
        ["20270112T0000", "20270112T0030", "20270112T2300", "20270112T2330"],
    ),
    ("UTC", "cron(0 9 ? * FRI-MON/2 *)", "0115", "0119", ["20270115T0900", "20270117T0900"]),
    ("UTC", "cron(0 9 ? * SAT-SUN *)", "0115", "0119", ["20270116T0900", "20270117T0900"]),
    ("UTC", "cron(0 9 ? * 1,3-4 *)", "0115", "0122", ["20270117T0900", "20270119T0900", "20270120T0900"]),
    ("UTC", "cron(0 8 1 * ? *)", "0115", "0315", ["20270201T0800", "20270301T0800"]),
    ("UTC", "cron(0 8 6W 3 ? *)", "0101", "1231", ["20270305T0800"]),  # the sixth is a Saturday
    ("UTC", "cron(0 8 7W 3 ? *)", "0101", "1231", ["20270308T0800"]),  # a Sunday
    ("UTC", "cron(0 8 1W 5 ? *)", "0101", "1231", ["20270503T0800"]),  # a Saturday: within the month
    ("UTC", "cron(0 8 31W 1 ? *)", "0101", "1231", ["20270129T0800"]),  # a Sunday: within the month
    ("UTC", "cron(0 0 30W 2,3 ? *)", "0101", "1231", ["20270330T0000"]),  # February has none
    ("UTC", "cron(0 0 L 2,4 ? *)", "0101", "1231", ["20270228T0000", "20270430T0000"]),
    ("UTC", "cron(15 10 ? 3 6L 2022-2030)", "0101", "1231", ["20270326T1015"]),  # the last Friday
    ("UTC", "cron(15 10 ? 3 FRIL 2028)", "0101", "1231", []),
    ("UTC", "cron(0 8 ? 6 3#2 *)", "0101", "1231", ["20270608T0800"]),  # the second Tuesday
    ("UTC", "cron(0 10 ? 7 L *)", "0701", "0711", ["20270703T1000", "20270710T1000"]),  # Saturdays
    ("UTC", "cron(0 12 1 JAN,JUL ? 2027)", "0201", "1231", ["20270701T1200"]),
    (
        "UTC",
        "cron(5,35 14 10/15 8 ? *)",
        "0801",
        "0830",
        ["20270810T1405", "20270810T1435", "20270825T1405", "20270825T1435"],
    ),
    ("UTC", "cron(0 0 29 2 ? *)", "0101", "1231", []),
    ("UTC", "cron(0 0 31 2 ? *)", "0101", "1231", []),
    (US, "cron(30 2 13-15 3 ? *)", "0101", "1231", ["20270313T1030", "20270315T0930"]),  # one 02:30 is left out
    (
        US,
        "cron(30 1 6-8 11 ? *)",
        "0101",
        "1231",
        ["20271106T0830", "20271107T0830", "20271108T0930"],
    ),  # or comes twice
    ("Asia/Tokyo", "at(2027-02-03T09:00:00)", "0101", "1231", ["20270203T0000"]),
    ("Europe/Paris", "cron(0 12 1 2,7 ? *)", "0101", "1231", ["20270201T1100", "20270701T1000"]),
]


@pytest.mark.local_only("a year")
@pytest.mark.statement("scheduler.cron", "scheduler.time-zone", "scheduler.daylight-saving", "scheduler.start-end")
def test_cron_fires_at_the_times_that_fit(lab):
    """All in one year. Each starts a machine: messages would not be kept for so long."""
    scheduler, machines, world = lab.client("scheduler", "central"), Machines(lab), lab.aws.world
    machine = machines.create(one(Type="Pass"))
    role = service_role(lab, "central", "scheduler.amazonaws.com", "states:StartExecution")

    def day(text):
        return datetime.strptime("2027" + text, "%Y%m%d").replace(tzinfo=UTC)

    for number, (zone, expression, start, end, _) in enumerate(CRONS):
        text = json.dumps({"n": number, "at": "<aws.scheduler.scheduled-time>"})
        scheduler.create_schedule(
            Name=f"c{number}",
            ScheduleExpression=expression,
            ScheduleExpressionTimezone=zone,
            FlexibleTimeWindow=OFF,
            Target={"Arn": machine, "RoleArn": role, "Input": text},
            StartDate=day(start),
            EndDate=day(end),
        )
    world.pass_time((day("1231") - world.now()).total_seconds())
    fired = [[] for _ in CRONS]
    for execution in machines.states.list_executions(stateMachineArn=machine, maxResults=1000)["executions"]:
        told = json.loads(machines.states.describe_execution(executionArn=execution["executionArn"])["input"])
        fired[told["n"]].append(datetime.fromisoformat(told["at"]).strftime("%Y%m%dT%H%M"))
    assert {cron[1]: sorted(each) for cron, each in zip(CRONS, fired, strict=True)} == {
        cron[1]: cron[4] for cron in CRONS
    }
