"""The clock of a local AWS: this machine's, which can be moved forward.

It is moved for the whole process, so that moto's services follow (visible messages, dates of objects, log times), and
for the processes of functions, which read the offset from a file before each invocation (`functions/clocked.py`).
Deadlines that guard against something hanging are measured by `time.monotonic`, which nothing moves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

SETTLES_WITHIN = 120.0
"""Seconds of real time that what happens at one moment may take."""
NO_MOMENT = datetime.max.replace(tzinfo=UTC)


class Clock:
    """One world's time. `offset` is how far it is ahead of this machine's, in seconds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        """Holds the offset, once it is not zero."""
        self.offset = 0.0
        self.watchers: list[Callable[[], None]] = []
        """Called whenever the clock was moved."""
        self.moments: list[Callable[[], datetime | None]] = []
        """Functions that name the next moment at which something is due by itself, or None."""
        self._moved: time_machine.travel | None = None
        self._coordinates: time_machine.Traveller | None = None
        self._guard = threading.Lock()

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        """Move forward at once, over whatever lies between. `seconds` is not negative."""
        with self._guard:
            if self._coordinates is None:
                self._moved = time_machine.travel(self.now() + timedelta(seconds=seconds), tick=True)
                self._coordinates = self._moved.start()
            else:
                self._coordinates.shift(timedelta(seconds=seconds))
            self.offset += seconds
            waiting = self.file.with_suffix(".new")
            waiting.write_text(repr(self.offset), "utf-8")
            waiting.replace(self.file)  # read by other processes at any time
        for poke in self.watchers:
            poke()

    def next_moment(self) -> datetime:
        """When something is next due by itself; NO_MOMENT if nothing is."""
        return min((moment for each in self.moments if (moment := each()) is not None), default=NO_MOMENT)

    def pass_time(self, seconds: float, settle: Callable[[float], None]) -> int:
        """Let `seconds` pass: stop at each moment at which something is due until `settle` says that it is done.

        Returns how many such moments there were. `settle(timeout)` waits until nothing is under way but waits for the
        clock; it raises TimeoutError.
        """
        end, stops = self.now() + timedelta(seconds=seconds), 0
        settle(SETTLES_WITHIN)
        while (moment := self.next_moment()) <= end:
            ahead = (moment - self.now()).total_seconds()
            if ahead > 0:
                self.advance(ahead)
            self._wait_for_alarm(moment)
            settle(SETTLES_WITHIN)
            stops += 1
        if (ahead := (end - self.now()).total_seconds()) > 0:
            self.advance(ahead)
        settle(SETTLES_WITHIN)
        return stops

    def _wait_for_alarm(self, moment: datetime) -> None:
        """Wait until what is due at `moment` has begun: its alarm no longer stands there."""
        deadline = time.monotonic() + SETTLES_WITHIN
        while self.next_moment() <= min(moment, self.now()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"what is due at {moment:%Y-%m-%d %H:%M:%S} does not begin")
            time.sleep(0.002)

    def stop(self) -> None:
        """Give the process its own time back."""
        with self._guard:
            if self._moved is not None:
                self._moved.stop()
            self._moved = self._coordinates = None


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds_of(text: str) -> float:
    """A duration such as `90s`, `15m`, `2h30m` or `1d`, in seconds. Raises ValueError."""
    seconds, number = 0.0, ""
    for character in text.strip().lower():
        if character.isdigit() or character == ".":
            number += character
        elif character in UNITS and number:
            seconds, number = seconds + float(number) * UNITS[character], ""
        else:
            break
    else:
        if not number and text.strip():
            return seconds
    raise ValueError(f"{text!r} is no duration: write 90s, 15m, 2h30m or 1d")
