"""EventBridge Scheduler: schedules and their groups, when they fire, what they call, what cannot be delivered."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from asl import Machines, messages, one, queue, service_role
from botocore.config import Config
from bus import came, came_events, rule
from lab import refused

from local_aws.events import event_delivery
from local_aws.events import schedules as engine

SCHEDULER = "scheduler.amazonaws.com"
OFF = {"Mode": "OFF"}


class Schedules:
    """Schedules of the central account, with one role."""

    def __init__(self, lab):
        self.lab, self.client = lab, lab.client("scheduler", "central")
        self.role = service_role(lab, "central", SCHEDULER, "sqs:SendMessage", "states:*", "events:*", "lambda:*")

    def put(self, expression, target, name=None, **fields):
        """A new schedule's name."""
        name = name or self.lab.name("schedule", "-")
        settings = {"FlexibleTimeWindow": OFF, "Target": {"RoleArn": self.role, **target}, **fields}
        group = {"GroupName": fields["GroupName"]} if "GroupName" in fields else {}

        def make():
            self.client.create_schedule(Name=name, ScheduleExpression=expression, **settings)
            return name

        made = make() if self.lab.is_local else self.lab.eventually(make)
        self.lab.at_end(self.client.delete_schedule, Name=name, **group)
        return made

    def arn(self, name, group="default"):
        return f"arn:aws:scheduler:{self.lab.region}:{self.lab.account('central')}:schedule/{group}/{name}"

    def group(self, **fields):
        name = self.lab.name("group", "-")
        self.client.create_schedule_group(Name=name, **fields)
        self.lab.at_end(self.client.delete_schedule_group, Name=name)
        return name

    def pass_time(self, seconds):
        self.lab.aws.world.pass_time(seconds)


@pytest.fixture(scope="module")
def schedules(lab):
    return Schedules(lab)


@pytest.fixture(scope="module")
def inbox(lab):
    return queue(lab)


def now():
    return datetime.now(UTC)


def at(moment):
    return f"at({moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S})"


# -- schedules and groups -------------------------------------------------------------------------------------------


@pytest.mark.statement("scheduler.schedules")
def test_a_schedule_is_made_read_listed_replaced_and_deleted(schedules, inbox):
    client, target = schedules.client, {"Arn": inbox[1], "RoleArn": schedules.role}
    name = schedules.put("rate(1 days)", target, Description="d", State="DISABLED")
    got = client.get_schedule(Name=name)
    assert (got["Arn"], got["State"], got["Description"]) == (schedules.arn(name), "DISABLED", "d")
    assert (got["GroupName"], got["Target"]["Arn"], got["ActionAfterCompletion"]) == ("default", inbox[1], "NONE")
    assert got["ScheduleExpressionTimezone"] == "UTC"
    schedules.put("rate(1 days)", target, name=name + "-too")
    first = client.list_schedules(NamePrefix=name, MaxResults=1)
    second = client.list_schedules(NamePrefix=name, MaxResults=1, NextToken=first["NextToken"])
    assert [each["Name"] for each in [*first["Schedules"], *second["Schedules"]]] == [name, name + "-too"]
    assert "NextToken" not in second
    assert [each["Name"] for each in client.list_schedules(NamePrefix=name, State="DISABLED")["Schedules"]] == [name]
    others = schedules.lab.client("scheduler", "consumer").list_schedules(NamePrefix=name)
    assert others["Schedules"] == []
    with refused("ValidationException"):
        client.list_schedules(NextToken="nonsense")
    with refused("ConflictException"):
        schedules.put("rate(1 days)", target, name=name)
    client.update_schedule(Name=name, ScheduleExpression="rate(2 days)", FlexibleTimeWindow=OFF, Target=target)
    got = client.get_schedule(Name=name)
    assert (got["ScheduleExpression"], got["State"], "Description" in got) == ("rate(2 days)", "ENABLED", False)
    start, group = datetime(2030, 1, 1, tzinfo=UTC), schedules.group()
    schedules.put("rate(1 days)", target, name=name, GroupName=group, State="DISABLED")
    settings = {
        "ScheduleExpressionTimezone": "Asia/Tokyo",
        "StartDate": start,
        "EndDate": start + timedelta(days=1),
        "Description": "other",
        "ActionAfterCompletion": "DELETE",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
    }
    policy = {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60}
    fifo = {"Arn": inbox[1] + ".fifo", "SqsParameters": {"MessageGroupId": "g"}, "RetryPolicy": policy}
    bus = {"Arn": f"arn:aws:events:{schedules.lab.region}:{schedules.lab.account('central')}:event-bus/default"}
    bus |= {"EventBridgeParameters": {"Source": "s", "DetailType": "T"}, "DeadLetterConfig": {"Arn": inbox[1]}}
    for changed in (fifo, bus):
        given = {**settings, "Target": {**changed, "Input": "{}", "RoleArn": schedules.role}}
        client.update_schedule(Name=name, GroupName=group, ScheduleExpression="rate(2 days)", **given)
        got = client.get_schedule(Name=name, GroupName=group)
        assert {field: got[field] for field in given} == given
    client.delete_schedule(Name=name, GroupName=group)
    client.delete_schedule(Name=name)
    for call in (client.get_schedule, client.delete_schedule):
        with refused("ResourceNotFoundException"):
            call(Name=name)
    with refused("ResourceNotFoundException"):
        client.update_schedule(Name=name, ScheduleExpression="rate(2 days)", FlexibleTimeWindow=OFF, Target=target)


@pytest.mark.statement("scheduler.groups", "scheduler.group-deleted")
def test_a_group_holds_schedules_and_takes_them_with_it(schedules, inbox):
    client, target = schedules.client, {"Arn": inbox[1]}
    group = schedules.group(Tags=[{"Key": "k", "Value": "v"}, {"Key": "b", "Value": "1"}])
    got = client.get_schedule_group(Name=group)
    assert (got["State"], got["Arn"].rsplit("/", 1)[1]) == ("ACTIVE", group)
    client.tag_resource(ResourceArn=got["Arn"], Tags=[{"Key": "k", "Value": "w"}])
    client.untag_resource(ResourceArn=got["Arn"], TagKeys=["b"])
    assert client.list_tags_for_resource(ResourceArn=got["Arn"])["Tags"] == [{"Key": "k", "Value": "w"}]
    with refused("ResourceNotFoundException"):
        client.list_tags_for_resource(ResourceArn=got["Arn"] + "x")
    assert client.get_schedule_group(Name="default")["State"] == "ACTIVE"
    first = client.list_schedule_groups(MaxResults=1)
    rest = client.list_schedule_groups(NextToken=first["NextToken"])
    assert {"default", group} <= {each["Name"] for each in [*first["ScheduleGroups"], *rest["ScheduleGroups"]]}
    assert [each["Name"] for each in client.list_schedule_groups(NamePrefix=group)["ScheduleGroups"]] == [group]
    theirs = schedules.lab.client("scheduler", "consumer").list_schedule_groups(NamePrefix=group)
    assert theirs["ScheduleGroups"] == []

    name = schedules.put("rate(1 days)", target, GroupName=group, State="DISABLED")
    outside = schedules.put("rate(1 days)", target, name=name, State="DISABLED")  # the same name in another group
    assert client.get_schedule(Name=name, GroupName=group)["Arn"] == schedules.arn(name, group)
    assert [each["Name"] for each in client.list_schedules(GroupName=group)["Schedules"]] == [name]
    with refused("ResourceNotFoundException"):
        client.list_schedules(GroupName=group + "x")
    with refused("ConflictException"):
        client.create_schedule_group(Name=group)
    with refused("ConflictException", "ValidationException"):
        client.create_schedule_group(Name="default")
    with refused("ValidationException"):
        client.create_schedule_group(Name="a b")
    with refused("ValidationException"):
        client.delete_schedule_group(Name="default")
    client.delete_schedule_group(Name=group)
    with refused("ResourceNotFoundException"):
        schedules.lab.eventually(lambda: client.get_schedule_group(Name=group))
    with refused("ResourceNotFoundException"):
        client.get_schedule(Name=name, GroupName=group)
    assert client.get_schedule(Name=outside)["GroupName"] == "default"
    with refused("ResourceNotFoundException"):
        client.delete_schedule_group(Name=group)


@pytest.mark.local_only("a quota of an account")
@pytest.mark.statement("scheduler.group-quota")
def test_an_account_has_500_groups_at_most(lab):
    client = lab.client("scheduler", lab.fresh())
    for number in range(500):
        client.create_schedule_group(Name=f"g{number}")
    with refused("ServiceQuotaExceededException"):
        client.create_schedule_group(Name="one-more")


@pytest.mark.statement("scheduler.client-token")
def test_a_repeated_request_with_its_client_token_is_answered_as_before(schedules, inbox):
    client, name, token = schedules.client, schedules.lab.name("once", "-"), {"ClientToken": "token-1"}
    settings = {"ScheduleExpression": "rate(1 days)", "FlexibleTimeWindow": OFF, "State": "DISABLED"}
    given = {"Name": name, "Target": {"Arn": inbox[1], "RoleArn": schedules.role}, **settings}
    first = client.create_schedule(**given, **token)
    schedules.lab.at_end(client.delete_schedule, Name=name)
    assert client.create_schedule(**given, **token)["ScheduleArn"] == first["ScheduleArn"]
    with refused("ConflictException"):
        client.create_schedule(**given, ClientToken="token-2")
    with refused("ConflictException"):
        client.create_schedule(**{**given, "Name": name + "-too"}, **token)
    client.update_schedule(**given, ClientToken="token-3")
    client.update_schedule(**given, ClientToken="token-3")
    client.delete_schedule(Name=name, ClientToken="token-4")
    client.delete_schedule(Name=name, ClientToken="token-4")
    group = schedules.group(ClientToken="token-5")
    client.create_schedule_group(Name=group, ClientToken="token-5")
    client.delete_schedule_group(Name=group, ClientToken="token-6")
    client.delete_schedule_group(Name=group, ClientToken="token-6")


MACHINE = "arn:aws:states:eu-west-1:111122223333:stateMachine:m"
FIFO = "arn:aws:sqs:eu-west-1:111122223333:q.fifo"
REFUSED = {
    "seconds": {"ScheduleExpression": "rate(5 seconds)"},
    "five fields": {"ScheduleExpression": "cron(* * * * *)"},
    "no such zone": {"ScheduleExpressionTimezone": "Mars/Olympus"},
    "no such day": {"ScheduleExpression": "at(2030-02-31T00:00:00)"},
    "a flexible window without its length": {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
    "a length without a flexible window": {"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}},
    "a window too long": {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441}},
    "a name with a space": {"Name": "a b"},
    "a name too long": {"Name": "a" * 65},
    "input for a machine that is no JSON": {"Target": {"Input": "{", "Arn": MACHINE}},
    "a bus without its parameters": {"Target": {"Arn": "arn:aws:events:eu-west-1:111122223333:event-bus/default"}},
    "a FIFO queue without its group": {"Target": {"Arn": FIFO}},
    "too many attempts": {"Target": {"RetryPolicy": {"MaximumRetryAttempts": 186}}},
    "too short an age": {"Target": {"RetryPolicy": {"MaximumEventAgeInSeconds": 59}}},
    "too long an age": {"Target": {"RetryPolicy": {"MaximumEventAgeInSeconds": 86_401}}},
    "a FIFO queue for dead letters": {"Target": {"DeadLetterConfig": {"Arn": FIFO}}},
    "a role that is not there": {"Target": {"RoleArn": "arn:aws:iam::ACCOUNT:role/nobody"}},
    "an end before the start": {
        "StartDate": datetime(2030, 1, 2, tzinfo=UTC),
        "EndDate": datetime(2030, 1, 1, tzinfo=UTC),
    },
}


@pytest.mark.statement("scheduler.refused", "scheduler.expressions", "scheduler.flexible-window")
@pytest.mark.parametrize("case", REFUSED)
def test_a_schedule_that_is_refused(lab, schedules, inbox, case):
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    raw = lab.session("central").client("scheduler", config=config)
    fields = dict(REFUSED[case])
    target = {"Arn": inbox[1], "RoleArn": schedules.role, **fields.pop("Target", {})}
    target["RoleArn"] = target["RoleArn"].replace("ACCOUNT", lab.account("central"))
    settings = {"Name": "bad", "ScheduleExpression": "rate(1 hours)", "FlexibleTimeWindow": OFF, **fields}
    with refused("ValidationException"):
        raw.create_schedule(Target=target, **settings)
    with refused("ResourceNotFoundException"):
        schedules.client.get_schedule(Name="bad")


@pytest.mark.statement("scheduler.role-trust", "scheduler.groups")
def test_a_role_must_trust_the_scheduler_and_a_group_must_be_there(lab, schedules, inbox):
    stranger = service_role(lab, "central", "events.amazonaws.com")
    settings = {"Name": "bad", "ScheduleExpression": "rate(1 hours)", "FlexibleTimeWindow": OFF}
    with refused("ValidationException"):
        schedules.client.create_schedule(Target={"Arn": inbox[1], "RoleArn": stranger}, **settings)
    with refused("ResourceNotFoundException"):
        target = {"Arn": inbox[1], "RoleArn": schedules.role}
        schedules.client.create_schedule(GroupName="nothing-of-this-name", Target=target, **settings)


@pytest.mark.local_only("AWS has them")
@pytest.mark.statement("scheduler.not-built")
def test_universal_targets_are_refused(schedules):
    with refused("LocalAwsNotSupported"):
        schedules.put("rate(1 hours)", {"Arn": "arn:aws:scheduler:::aws-sdk:glue:startCrawler"})


# -- when schedules fire --------------------------------------------------------------------------------------------


@pytest.mark.local_only("hours")
@pytest.mark.statement("scheduler.rate")
def test_a_rate_fires_at_once_and_then_after_each_interval(lab, schedules):
    url, arn = queue(lab)
    name = schedules.put("rate(15 minutes)", {"Arn": arn, "Input": "ping"})
    assert came(lab, url)[0]["Body"] == "ping"
    schedules.pass_time(14 * 60)
    came(lab, url, 0)
    schedules.pass_time(32 * 60)
    came(lab, url, 3)
    lab.aws.world.advance(3600)  # what the clock jumps over is not made up for
    came(lab, url, 1)
    schedules.client.delete_schedule(Name=name)
    schedules.pass_time(3600)
    came(lab, url, 0)


@pytest.mark.local_only("hours")
@pytest.mark.statement("scheduler.start-end")
def test_a_schedule_fires_from_its_start_to_its_end(lab, schedules):
    url, arn = queue(lab)
    start = now() + timedelta(hours=2)
    schedules.put("rate(1 hours)", {"Arn": arn}, StartDate=start, EndDate=start + timedelta(minutes=90))
    cron = f"cron({start.minute} * * * ? *)"
    schedules.put(
        cron,
        {"Arn": arn, "Input": "cron"},
        StartDate=start + timedelta(minutes=30),
        EndDate=start + timedelta(hours=2, minutes=1),
    )
    schedules.pass_time(2 * 3600 - 60)
    came(lab, url, 0)
    schedules.pass_time(6 * 3600)
    bodies = [each["Body"] for each in came(lab, url, 4)]
    assert bodies.count("cron") == 2


@pytest.mark.local_only("minutes")
@pytest.mark.statement("scheduler.one-time", "scheduler.after-completion")
def test_a_one_time_schedule_fires_once_and_can_delete_itself(lab, schedules):
    url, arn = queue(lab)
    moment = now() + timedelta(minutes=10)
    once = schedules.put(at(moment), {"Arn": arn}, ActionAfterCompletion="DELETE")
    kept = schedules.put(at(moment), {"Arn": arn})
    ending = schedules.put(
        "rate(5 minutes)", {"Arn": arn}, EndDate=moment - timedelta(minutes=3), ActionAfterCompletion="DELETE"
    )
    schedules.put(at(now() - timedelta(minutes=10)), {"Arn": arn})
    came(lab, url, 1)  # the rate's first
    schedules.pass_time(605)
    came(lab, url, 3)
    for name in (once, ending):
        with refused("ResourceNotFoundException"):
            schedules.client.get_schedule(Name=name)
    assert schedules.client.get_schedule(Name=kept)["ScheduleExpression"] == at(moment)
    schedules.pass_time(3600)
    came(lab, url, 0)


@pytest.mark.local_only("minutes")
@pytest.mark.statement("scheduler.time-zone")
def test_cron_and_at_are_in_their_time_zone(lab, schedules):
    url, arn = queue(lab)
    there = (now() + timedelta(minutes=30)).astimezone(ZoneInfo("Asia/Tokyo"))
    zone = {"ScheduleExpressionTimezone": "Asia/Tokyo"}
    schedules.put(f"cron({there.minute} {there.hour} * * ? *)", {"Arn": arn}, **zone)
    schedules.put(f"at({there:%Y-%m-%dT%H:%M:%S})", {"Arn": arn}, **zone)
    schedules.pass_time(28 * 60)
    came(lab, url, 0)
    schedules.pass_time(3 * 60)
    came(lab, url, 2)


@pytest.mark.local_only("hours")
@pytest.mark.statement("scheduler.disabled")
def test_a_disabled_schedule_does_not_fire_until_it_is_enabled(lab, schedules):
    url, arn = queue(lab)
    name = schedules.put("rate(1 hours)", {"Arn": arn}, State="DISABLED")
    schedules.pass_time(7200)
    came(lab, url, 0)
    settings = {"ScheduleExpression": "rate(1 hours)", "FlexibleTimeWindow": OFF}
    target = {"Arn": arn, "RoleArn": schedules.role}
    schedules.client.update_schedule(Name=name, Target=target, **settings)
    came(lab, url, 1)
    schedules.client.update_schedule(Name=name, Target=target, **settings, State="DISABLED")
    schedules.pass_time(7200)
    came(lab, url, 0)


@pytest.mark.local_only("hours")
@pytest.mark.statement("scheduler.flexible-window")
def test_a_flexible_schedule_fires_at_some_moment_of_its_window(lab, schedules):
    url, arn = queue(lab)
    moment = (now() + timedelta(minutes=10)).replace(microsecond=0)
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60}
    for _ in range(8):
        schedules.put(at(moment), {"Arn": arn, "Input": "<aws.scheduler.scheduled-time>"}, FlexibleTimeWindow=window)
    schedules.pass_time(9 * 60)
    came(lab, url, 0)
    schedules.pass_time(72 * 60)
    found = came(lab, url, 8)
    assert {each["Body"] for each in found} == {f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    sent = sorted(int(each["Attributes"]["SentTimestamp"]) / 1000 - moment.timestamp() for each in found)
    assert sent[0] >= -1 and sent[-1] <= 3601
    assert sent[-1] - sent[0] > 60


# -- what schedules call --------------------------------------------------------------------------------------------


@pytest.mark.statement("scheduler.input")
def test_the_default_input_tells_of_the_schedule_and_context_attributes_are_filled_in(lab, schedules):
    url, arn = queue(lab)
    name = schedules.put("rate(1 days)", {"Arn": arn})
    (notice,) = came_events(lab, url)
    assert (notice["source"], notice["detail-type"], notice["resources"]) == (
        "aws.scheduler",
        "Scheduled Event",
        [schedules.arn(name)],
    )
    text = "<aws.scheduler.schedule-arn> <aws.scheduler.attempt-number> <aws.scheduler.execution-id> <other>"
    named = schedules.put("rate(1 days)", {"Arn": arn, "Input": text})
    told, attempt, execution, other = came(lab, url)[0]["Body"].split()
    assert (told, attempt, other) == (schedules.arn(named), "1", "<other>")
    assert len(execution) >= 16


@pytest.mark.statement("scheduler.targets")
def test_a_schedule_starts_a_machine_puts_an_event_and_fills_a_fifo_queue(lab, schedules):
    machines = Machines(lab)
    machine = machines.create(one(Type="Pass"))
    schedules.put("rate(1 days)", {"Arn": machine, "Input": '{"reason": "schedule"}'})

    def started():
        found = machines.states.list_executions(stateMachineArn=machine)["executions"]
        return machines.ended(found[0]["executionArn"]) if found else None

    assert json.loads(lab.eventually(started)["input"]) == {"reason": "schedule"}
    (url, target), (fifo_url, fifo) = queue(lab), queue(lab, fifo=True)
    source = rule(lab, {"Arn": target})
    bus = f"arn:aws:events:{lab.region}:{lab.account('central')}:event-bus/default"
    parameters = {"EventBridgeParameters": {"Source": source, "DetailType": "Tick"}}
    schedules.put("rate(1 days)", {"Arn": bus, **parameters, "Input": '{"n": 1}'})
    (event,) = came_events(lab, url)
    assert (event["detail-type"], event["detail"]) == ("Tick", {"n": 1})
    schedules.put("rate(1 days)", {"Arn": fifo, "SqsParameters": {"MessageGroupId": "g"}, "Input": "x"})
    assert came(lab, fifo_url)[0]["Attributes"]["MessageGroupId"] == "g"


@pytest.mark.statement("scheduler.dead-letters", "scheduler.role")
def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue(lab, schedules):
    url, dead = queue(lab)
    gone = f"arn:aws:sqs:{lab.region}:{lab.account('central')}:{lab.name('gone', '-')}"
    letters = {"DeadLetterConfig": {"Arn": dead}}
    name = schedules.put("rate(1 days)", {"Arn": gone, "Input": "x", **letters})
    (letter,) = came(lab, url)
    told = letter["attributes"]
    assert json.loads(letter["Body"])["MessageBody"] == "x"
    assert "NonExistentQueue" in told["ERROR_CODE"] or told["ERROR_CODE"] == "QueueDoesNotExist"
    assert (told["SCHEDULE_ARN"], told["RETRY_ATTEMPTS"]) == (schedules.arn(name), "0")
    assert told["TARGET_ARN"] == "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"
    assert told["EXECUTION_ID"] and told["SCHEDULED_TIME"].endswith("Z")

    (forbidden_url, forbidden), (elsewhere_url, elsewhere) = queue(lab), queue(lab, admit=None)
    only = service_role(lab, "central", SCHEDULER)
    iam = lab.client("iam", "central")
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": elsewhere}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=only.rsplit("/", 1)[1], PolicyName="dead", PolicyDocument=document)
    lab.at_end(iam.delete_role_policy, RoleName=only.rsplit("/", 1)[1], PolicyName="dead")
    schedules.put("rate(1 days)", {"Arn": forbidden, "RoleArn": only, "DeadLetterConfig": {"Arn": elsewhere}})
    assert "AccessDenied" in came(lab, elsewhere_url)[0]["attributes"]["ERROR_CODE"]
    came(lab, forbidden_url, 0)


@pytest.mark.local_only("a target that is throttled")
@pytest.mark.statement("scheduler.retries", "scheduler.input")
def test_what_may_pass_is_tried_again_and_attempts_are_counted(lab, schedules, monkeypatch):
    (url, arn), (dead_url, dead) = queue(lab), queue(lab)
    tries, called = [], engine.call

    def throttled(method, **parameters):
        if "MessageAttributes" not in parameters and len(tries) < limit:
            tries.append(parameters)
            raise event_delivery.Undeliverable("THROTTLING", "slow down", transient=True)
        return called(method, **parameters)

    monkeypatch.setattr(engine, "call", throttled)
    limit = 2
    schedules.put("rate(1 days)", {"Arn": arn, "Input": "<aws.scheduler.attempt-number>"})
    schedules.pass_time(60)
    assert came(lab, url)[0]["Body"] == "3"
    tries.clear()
    limit = 1000
    policy = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 600}
    schedules.put("rate(1 days)", {"Arn": arn, "RetryPolicy": policy, "DeadLetterConfig": {"Arn": dead}})
    schedules.pass_time(60)
    told = came(lab, dead_url)[0]["attributes"]
    assert (told["EXHAUSTED_RETRY_CONDITION"], told["RETRY_ATTEMPTS"], len(tries)) == ("MaximumRetryAttempts", "2", 3)
    assert messages(lab, url) == []
