"""Days in UTC, written as the governance files write theirs: ``2027-03-31``."""

from __future__ import annotations

import time


def today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def days_after(day: str, count: int = 1) -> str:
    """The day so many days later. Raises OverflowError after the last day that there is, 9999-12-31."""
    from datetime import date, timedelta

    return (date.fromisoformat(day) + timedelta(days=count)).isoformat()
