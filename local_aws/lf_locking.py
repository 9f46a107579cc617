"""One operation at a time, in one Region: the lake's engines share state, so each holds the world's lock.

There is one Data Catalog an account here, that of the world's Region: calls to others are refused, not mixed with it.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from local_aws.lf_model import refused


def serialized(engine: type) -> type:
    """Class decorator: every API operation (a method named as in AWS) runs under `self.world.lock`.

    LocalAwsNotSupported for a caller in another Region than the world's.
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
        with self.world.lock:
            return method(self, caller, **params)

    return answer
