"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from local_aws.server import LocalAws

# Machines are shared: how long an example takes says nothing. Properties that need more examples say so, or have a slow
# test beside them.
settings.register_profile("tagmesh", deadline=None, max_examples=50)
settings.load_profile("tagmesh")

# Whatever the machine is configured for, tests speak to the local AWS alone. (The conformance suite may be told
# otherwise, by profile: tests/conformance/lab.py reads the files that are remembered here.)
os.environ.setdefault("CONFORMANCE_AWS_CONFIG", os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"))
os.environ.setdefault(
    "CONFORMANCE_AWS_CREDENTIALS", os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
)
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    """A local AWS, empty, for one test."""
    with LocalAws() as local:
        yield local


@pytest.fixture(scope="module")
def aws_module() -> Iterator[LocalAws]:
    """A local AWS that the tests of one module share. Use it or `aws` in a module, not both."""
    with LocalAws() as local:
        yield local
