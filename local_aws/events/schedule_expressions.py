"""rate(), cron() and at() expressions of EventBridge rules and EventBridge Scheduler.

Sources: EventBridge user guide, "Cron and rate expressions"; EventBridge Scheduler user guide, "Schedule
types in EventBridge Scheduler" (fields, wildcards, time zones, daylight saving).
"""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

RATE = re.compile(r"rate\(([0-9]+) (minute|hour|day)(s?)\)")
CRON = re.compile(rf"cron\({' '.join(['([!-~]+)'] * 6)}\)")  # six fields of printable ASCII: other digits are none
AT = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")
STEP = re.compile(r"[1-9][0-9]*")
MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
LAST_YEAR = 2199


class InvalidExpression(ValueError):
    """The text is no schedule expression."""


@dataclass(frozen=True)
class Rate:
    interval: timedelta


@dataclass(frozen=True)
class At:
    moment: datetime


@dataclass(frozen=True)
class Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    on_day: Callable[[date], bool]
    months: frozenset[int]
    years: frozenset[int]
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`, aware UTC; None if there is none before the year 2200.

        Local times that daylight saving skips are left out; those that it repeats count once.
        """
        start = (moment.astimezone(self.zone) + timedelta(minutes=1)).replace(second=0, microsecond=0)
        day = start.date()
        while day.year <= LAST_YEAR:
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1) if day.year < LAST_YEAR else date(LAST_YEAR + 1, 1, 1)
                continue
            if day.month in self.months and self.on_day(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        found = self._instant(day, hour, minute)
                        if found is not None and found > moment:
                            return found
            day += timedelta(days=1)
        return None

    def _instant(self, day: date, hour: int, minute: int) -> datetime | None:
        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
        instant = local.astimezone(UTC)
        exists = instant.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None)
        return instant if exists else None


Expression = Rate | At | Cron


def parse(text: str, *, one_time: bool = False, zone: str = "UTC") -> Expression:
    """Read an expression; at() only where `one_time` schedules are possible. Raises InvalidExpression."""
    try:
        timezone = ZoneInfo(zone)
    except (KeyError, ValueError) as error:
        raise InvalidExpression(f"{zone} is no time zone") from error
    if found := RATE.fullmatch(text):
        value, unit, plural = int(found[1]), found[2], found[3]
        if value < 1 or (value == 1 and plural and not one_time) or (value > 1 and not plural):
            raise InvalidExpression(f"{text}: a positive number, and the unit in the plural unless it is 1")
        return Rate(timedelta(**{f"{unit}s": value}))
    if found := CRON.fullmatch(text):
        return _cron(text, found.groups(), timezone)
    if one_time and (found := AT.fullmatch(text)):
        try:
            return At(datetime.fromisoformat(found[1]).replace(tzinfo=timezone).astimezone(UTC))
        except ValueError as error:
            raise InvalidExpression(f"{text}: {error}") from error
    raise InvalidExpression(f"{text}: not an expression")


def _cron(text: str, fields: tuple[str, ...], zone: ZoneInfo) -> Cron:
    minutes, hours, month_day, months, week_day, years = fields
    if (month_day == "?") == (week_day == "?"):
        raise InvalidExpression(f"{text}: exactly one of day-of-month and day-of-week must be '?'")
    try:
        on_day = _month_day(month_day) if week_day == "?" else _week_day(week_day)
        return Cron(
            minutes=_values(minutes, 0, 59),
            hours=_values(hours, 0, 23),
            on_day=on_day,
            months=_values(months, 1, 12, MONTHS),
            years=_values(years, 1970, LAST_YEAR),
            zone=zone,
        )
    except ValueError as error:
        raise InvalidExpression(f"{text}: {error}") from error


def _values(field: str, least: int, most: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """The values of a field of numbers, lists, ranges, steps and `*`."""
    values: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not STEP.fullmatch(step):
            raise ValueError(f"'{part}' has no step")
        if span == "*":
            first, last = least, most
        else:
            low, dash, high = span.partition("-")
            first = _number(low, names)
            last = _number(high, names) if dash else (most if slash else first)
        if not least <= first <= most or not least <= last <= most:
            raise ValueError(f"'{part}' is not within {least} and {most}")
        wraps = first > last  # as FRI-MON does
        among = [*range(first, most + 1), *range(least, last + 1)] if wraps else range(first, last + 1)
        values.update(among[:: int(step) if slash else 1])
    return frozenset(values)


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text.upper() in names:
        return names[text.upper()]
    if not text.isdigit():
        raise ValueError(f"'{text}' is not a value")
    return int(text)


def _month_day(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: day.day == _days_in(day)
    if found := re.fullmatch(r"(\d{1,2})W", field):
        wanted = int(found[1])
        if not 1 <= wanted <= 31:
            raise ValueError(f"'{field}' is no day")
        return lambda day: day == _nearest_weekday(day, wanted)
    values = _values(field, 1, 31)
    return lambda day: day.day in values


def _week_day(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: _weekday(day) == 7
    if found := re.fullmatch(r"(\w{1,3})L", field):
        wanted = _checked_weekday(found[1])
        return lambda day: _weekday(day) == wanted and day.day + 7 > _days_in(day)
    if found := re.fullmatch(r"(\w{1,3})#([1-5])", field):
        wanted, instance = _checked_weekday(found[1]), int(found[2])
        return lambda day: _weekday(day) == wanted and (day.day - 1) // 7 + 1 == instance
    values = _values(field, 1, 7, WEEKDAYS)
    return lambda day: _weekday(day) in values


def _checked_weekday(text: str) -> int:
    (value,) = _values(text, 1, 7, WEEKDAYS)
    return value


def _weekday(day: date) -> int:
    """1 is Sunday, 7 is Saturday."""
    return day.isoweekday() % 7 + 1


def _days_in(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_weekday(day: date, wanted: int) -> date | None:
    """The weekday nearest to a day of the month, within the month."""
    if wanted > _days_in(day):
        return None
    target = day.replace(day=wanted)
    if target.isoweekday() == 6:
        return target - timedelta(days=1) if wanted > 1 else target + timedelta(days=2)
    if target.isoweekday() == 7:
        return target + timedelta(days=1) if wanted < _days_in(day) else target - timedelta(days=2)
    return target
