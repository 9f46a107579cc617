"""rate(), cron() and at(): when they fire next, and what is no expression."""

from datetime import UTC, datetime, timedelta

import pytest

from local_aws.events.schedule_expressions import At, Cron, InvalidExpression, Rate, parse

MONDAY = datetime(2026, 11, 23, 22, 0, 30, tzinfo=UTC)


def after(text: str, moment: datetime = MONDAY, zone: str = "UTC") -> str | None:
    expression = parse(text, zone=zone)
    assert isinstance(expression, Cron)
    found = expression.after(moment)
    return found.strftime("%Y-%m-%d %H:%M") if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cron(0/15 * * * ? *)", "2026-11-23 22:15"),
        ("cron(15 10 * * ? *)", "2026-11-24 10:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-24 18:00"),
        ("cron(0/30 20-2 ? * MON-FRI *)", "2026-11-23 22:30"),
        ("cron(0 8 1 * ? *)", "2026-12-01 08:00"),
        ("cron(0 8 1W * ? *)", "2026-12-01 08:00"),
        ("cron(0 8 6W 12 ? *)", "2026-12-07 08:00"),  # the sixth is a Sunday
        ("cron(0 0 L * ? *)", "2026-11-30 00:00"),
        ("cron(15 10 ? * 6L 2022-2030)", "2026-11-27 10:15"),  # the last Friday
        ("cron(0 8 ? * 3#2 *)", "2026-12-08 08:00"),  # the second Tuesday
        ("cron(0 10 ? * L *)", "2026-11-28 10:00"),  # Saturday
        ("cron(0 12 1 JAN,JUL ? 2027)", "2027-01-01 12:00"),
        ("cron(5,35 14 * * ? *)", "2026-11-24 14:05"),
        ("cron(0 0 29 2 ? *)", "2028-02-29 00:00"),
        ("cron(0 0 31 2 ? *)", None),
        ("cron(0 0 1 1 ? 2020)", None),
    ],
)
def test_cron_fires_at_the_next_time_that_fits(text: str, expected: str | None):
    assert after(text) == expected


def test_cron_skips_a_local_time_that_daylight_saving_leaves_out():
    before = datetime(2026, 3, 7, 12, 0, tzinfo=UTC)
    assert after("cron(30 2 * * ? *)", before, "America/Los_Angeles") == "2026-03-09 09:30"


def test_cron_fires_once_at_a_local_time_that_daylight_saving_repeats():
    first = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)  # 01:30 for the first time
    assert after("cron(30 1 * * ? *)", first, "America/Los_Angeles") == "2026-11-02 09:30"


def test_rates_and_one_time_expressions():
    assert parse("rate(1 minute)") == Rate(timedelta(minutes=1))
    assert parse("rate(12 hours)") == Rate(timedelta(hours=12))
    assert parse("rate(1 days)", one_time=True) == Rate(timedelta(days=1))
    moment = parse("at(2022-11-20T13:00:00)", one_time=True, zone="America/Los_Angeles")
    assert moment == At(datetime(2022, 11, 20, 21, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "rate(0 minutes)",
        "rate(5 minute)",
        "rate(1 minutes)",
        "rate(5 seconds)",
        "every 5 minutes",
        "cron(* * * * *)",
        "cron(* * * * * *)",
        "cron(0 0 ? * ? *)",
        "cron(60 0 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 * FOO ? *)",
        "cron(0/0 0 * * ? *)",
        "cron(0 0 ? * 8 *)",
        "at(2022-11-20T13:00:00)",
    ],
)
def test_what_is_no_expression_is_refused(text: str):
    with pytest.raises(InvalidExpression):
        parse(text)


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(InvalidExpression):
        parse("rate(5 minutes)", zone="Mars/Olympus")
