"""Doing things at a time of the world's clock: schedules, waits, retries and timeouts all go through here."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_aws.world import World


class Alarm:
    """A call that is due at a moment."""

    def __init__(self, moment: datetime, call: Callable[[], None]) -> None:
        self.moment = moment
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        """Never call. Too late once the call has begun."""
        self.cancelled = True


class Alarms:
    """One daemon thread that makes calls when they are due. The calls must return at once."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self._heap: list[tuple[datetime, int, Alarm]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"alarms of {name}", daemon=True)
        self._thread.start()
        world.on_stop.append(self.stop)
        world.clock.watchers.append(self._look_again)
        world.clock.moments.append(self.next_moment)

    def at(self, moment: datetime, call: Callable[[], None]) -> Alarm:
        """Call at `moment` of the world's clock, or at once if that has passed."""
        alarm = Alarm(moment, call)
        with self._changed:
            heapq.heappush(self._heap, (moment, next(self._order), alarm))
            self._changed.notify()
        return alarm

    def next_moment(self) -> datetime | None:
        """When the next call is due, or None."""
        with self._changed:
            return min((moment for moment, _, alarm in self._heap if not alarm.cancelled), default=None)

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """End the thread; what is not due yet is never called."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            due = self._next_due()
            if due is None:
                return
            if not due.cancelled:
                due.call()

    def _next_due(self) -> Alarm | None:
        """Wait for the next alarm that is due. None when stopped."""
        with self._changed:
            while not self._stopped:
                while self._heap and self._heap[0][2].cancelled:
                    heapq.heappop(self._heap)
                if not self._heap:
                    self._changed.wait()
                    continue
                remaining = (self._heap[0][0] - self.world.now()).total_seconds()
                if remaining <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(remaining)
            return None
