"""One operation at a time: the lake's engines share state, so each holds the world's lock while it answers."""

from __future__ import annotations

from functools import wraps
from typing import Any


def serialized(engine: type) -> type:
    """Class decorator: every API operation (a method named as in AWS) runs under `self.world.lock`."""
    for name, method in list(vars(engine).items()):
        if name[0].isupper() and callable(method):
            setattr(engine, name, _locked(method))
    return engine


def _locked(method: Any) -> Any:
    @wraps(method)
    def answer(self: Any, caller: Any, **params: Any) -> dict:
        with self.world.lock:
            return method(self, caller, **params)

    return answer
