"""One operation at a time, in one Region: the lake's engines share state, so each holds the world's lock.

There is one Data Catalog an account here, that of the world's Region: calls to others are refused, not mixed with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

from local_aws.lakeformation.lf_model import refused
from local_aws.wire import AwsError


def serialized(engine: type) -> type:
    """Class decorator: every API operation (a method named as in AWS) runs under `self.world.lock`.

    An engine with a method `under_way(operation, params)` is asked before it waits for the lock: the context manager
    it gives is held meanwhile. LocalAwsNotSupported for a caller in another Region than the world's.
    """
    for name, method in list(vars(engine).items()):
        if name[0].isupper() and callable(method):
            setattr(engine, name, _locked(method))
    return engine


def _locked(method: Any) -> Any:
    @wraps(method)
    def answer(self: Any, caller: Any, **params: Any) -> dict:
        if caller.region != self.world.region:
            raise refused(f"{self.service} in Region {caller.region}: the lake here is in {self.world.region} alone")
        waiting = self.under_way(method.__name__, params) if hasattr(self, "under_way") else nullcontext()
        with waiting, self.world.lock:
            return method(self, caller, **params)

    return answer


class UnderWay:
    """Who is being worked on by a call that has not ended yet."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._guard = threading.Lock()

    @contextmanager
    def on(self, names: set[str]) -> Iterator[None]:
        """Work on `names`. ConcurrentModificationException if another call is at work on one of them."""
        with self._guard:
            if busy := self._names & names:
                message = f"another grant or revocation is under way for {', '.join(sorted(busy))}: retry"
                raise AwsError("ConcurrentModificationException", message)
            self._names |= names
        try:
            yield
        finally:
            with self._guard:
                self._names -= names
