"""boto3 sessions whose clients speak to a local AWS."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.hooks import HierarchicalEmitter
from botocore.loaders import Loader

NO_PROXY = Config(proxies={})
"""The server is on this machine: a proxy set in the environment must not come between."""


@cache
def _loader() -> Loader:
    """One loader for all sessions: it caches the parsed service models, which are most of a client's cost."""
    return botocore.session.Session().get_component("data_loader")


@cache
def _handlers() -> HierarchicalEmitter:
    """What botocore registers for each session: registering it anew takes most of a session's time."""
    hooks = HierarchicalEmitter()
    botocore.session.Session(event_hooks=hooks)
    return hooks


class LocalSession(boto3.Session):
    """A boto3 session whose clients and resources use `endpoint` unless told otherwise."""

    def __init__(self, endpoint: str, **credentials: Any) -> None:
        core = botocore.session.Session(event_hooks=copy.copy(_handlers()), include_builtin_handlers=False)
        core.register_component("data_loader", _loader())
        super().__init__(botocore_session=core, **credentials)
        self.endpoint = endpoint

    def client(self, service_name: str, *args: Any, **options: Any) -> Any:
        """As boto3.Session.client, on the local endpoint."""
        options["endpoint_url"] = options.get("endpoint_url") or self.endpoint
        config = options.get("config")
        options["config"] = NO_PROXY.merge(config) if config else NO_PROXY
        return super().client(service_name, *args, **options)

    def resource(self, service_name: str, *args: Any, **options: Any) -> Any:
        """As boto3.Session.resource, on the local endpoint."""
        options["endpoint_url"] = options.get("endpoint_url") or self.endpoint
        return super().resource(service_name, *args, **options)
