"""The conformance suite on other accounts than its own: profiles that lead to a second local AWS stand in for AWS."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "tests" / "conformance"
ACCOUNTS = {
    "central": "111122223333",
    "consumer": "444455556666",
    "producer": "777788889999",
    "outsider": "121212121212",
}

pytestmark = pytest.mark.slow  # each starts a server and a test run of its own

AS_IT_IS = "from local_aws.server import main; main()"
OTHERWISE = "from local_aws.lakeformation import lf_tags; lf_tags.LONGEST = 60; " + AS_IT_IS
"""An AWS that takes keys and values longer than is documented."""


@pytest.fixture
def conformance(tmp_path):
    """Runs one test file of the suite, also against an AWS that a program starts; returns the completed process."""
    servers = []

    def run(program: str, test: str) -> subprocess.CompletedProcess:
        port = _free_port()
        command = [sys.executable, "-c", program, "--port", str(port), "--state-dir", str(tmp_path / "state")]
        servers.append(subprocess.Popen(command, cwd=ROOT))
        _wait_until_it_answers(port)
        config = tmp_path / "config"
        config.write_text("".join(map(_profile, ACCOUNTS.items(), [port] * len(ACCOUNTS))), "utf-8")
        profiles = ",".join(f"{part}=the-{part}" for part in ACCOUNTS)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(SUITE / test), "--profiles", profiles],
            cwd=ROOT,
            env={**os.environ, "CONFORMANCE_AWS_CONFIG": str(config)},
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    for server in servers:
        server.terminate()
        server.wait()


def _profile(account: tuple[str, str], port: int) -> str:
    part, number = account
    return (
        f"[profile the-{part}]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:{port}\n"
        f"aws_access_key_id = LOCALADMIN{number}\naws_secret_access_key = local\n"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_answers(port: int) -> None:
    session = requests.Session()
    session.mount(
        "http://", requests.adapters.HTTPAdapter(max_retries=requests.adapters.Retry(30, backoff_factor=0.05))
    )
    assert session.get(f"http://127.0.0.1:{port}/_local/health", timeout=10).ok


def test_accounts_that_behave_alike_pass_and_nothing_differs(conformance):
    done = conformance(AS_IT_IS, "test_lf_tags.py")
    assert done.returncode == 0, done.stdout
    assert "; 0 went differently" in done.stdout
    assert "0 tests ran on both" not in done.stdout


def test_where_an_account_behaves_otherwise_the_run_says_which_statement_and_how(conformance):
    done = conformance(OTHERWISE, "test_lf_tags.py")
    assert done.returncode == 1
    report = done.stdout.partition("the local AWS beside AWS")[2]
    assert re.search(r"; [1-9]\d* went differently", report), done.stdout
    assert "fails on AWS" in report
    assert "lf-tags." in report and "[LF:" in report
