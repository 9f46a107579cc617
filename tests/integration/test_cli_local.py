"""`tagmesh local`: starting, finding and stopping the local AWS as a process."""

import json
import os
import socket
import subprocess
import sys

import pytest
import requests

from cli.project import ROOT

pytestmark = pytest.mark.slow  # each starts servers of its own


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The state folder."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def tagmesh(state):
    """Runs the command with a state folder of its own: `tagmesh("local", "up")` -> the completed process."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT,
            env=os.environ | {"TAGMESH_STATE": str(state)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def up(tagmesh):
    """A local AWS that is up: its port. It is stopped after the last test."""
    port = free_port()
    started = tagmesh("local", "up", "--port", str(port))
    assert started.returncode == 0, started.stderr
    yield port
    tagmesh("local", "down", "--port", str(port))


def test_up_answers_and_down_stops_it(tagmesh):
    port = free_port()

    started = tagmesh("local", "up", "--port", str(port))

    assert started.returncode == 0, started.stderr
    assert requests.get(f"http://127.0.0.1:{port}/_local/health", timeout=5).json()["status"] == "ok"
    stopped = tagmesh("local", "down", "--port", str(port))
    assert stopped.returncode == 0, stopped.stderr
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/_local/health", timeout=5)


def test_a_second_up_says_that_one_is_running(tagmesh, up):
    again = tagmesh("local", "up", "--port", str(up))

    assert again.returncode == 1
    assert "already running" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_port_that_another_program_has_is_left_alone(tagmesh):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        refused = tagmesh("local", "up", "--port", str(port))
        demo = tagmesh("demo", "--port", str(port))

    assert refused.returncode == demo.returncode == 1
    assert f"port {port} is in use by another program" in refused.stderr
    assert f"port {port} is in use by another program" in demo.stderr


@pytest.mark.parametrize("command", ["down", "status"])
def test_what_is_not_running_is_said_so(tagmesh, command):
    port = free_port()

    answer = tagmesh("local", command, "--port", str(port))

    assert answer.returncode == 1
    assert f"no local AWS is running at port {port}" in answer.stderr


def test_down_touches_no_process_that_was_given_the_same_pid(tagmesh, up, state):
    note = state / str(up) / "server.json"
    server = json.loads(note.read_text())
    note.write_text(json.dumps(server | {"started": "1"}))  # as if the pid had been given to another since

    refused = tagmesh("local", "down", "--port", str(up))
    note.write_text(json.dumps(server))

    assert refused.returncode == 1
    assert requests.get(f"http://127.0.0.1:{up}/_local/health", timeout=5).ok


def test_status_names_accounts_and_stacks(tagmesh, up):
    template = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    client = _client(up, "123456789012", "cloudformation")
    client.create_stack(StackName="a-stack", TemplateBody=template)

    status = tagmesh("local", "status", "--port", str(up))

    assert status.returncode == 0, status.stderr
    assert f"http://127.0.0.1:{up}" in status.stdout
    assert "account 123456789012  stacks: a-stack CREATE_COMPLETE" in status.stdout


def _client(port, account, service):
    from cli.demo_accounts import Place

    return Place(f"http://127.0.0.1:{port}", "eu-west-1").administrator(account).client(service)


@pytest.mark.parametrize("command", [["status"], ["plan", "mesh"], ["apply", "mesh"], ["sweep"], ["explain", "a.b"]])
@pytest.mark.parametrize("region", ["eu-west-1", None])
def test_who_asks_where_no_mesh_is_learns_what_to_set(tagmesh, up, command, region):
    """As of another account's credentials, or of another Region."""
    keys = {"AWS_ACCESS_KEY_ID": "LOCALADMIN111111111111", "AWS_SECRET_ACCESS_KEY": "local"}
    place = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{up}", **({"AWS_DEFAULT_REGION": region} if region else {})}
    told = tagmesh(*command, **keys, **place)

    assert told.returncode == 2, told.stderr
    assert "Traceback" not in told.stderr
    said = ("account 111111111111", "of the central account") if region else ("set AWS_DEFAULT_REGION",)
    assert any(each in told.stderr for each in said), told.stderr


def test_the_clock_of_the_port_is_moved_wherever_it_is_written(tagmesh, up):
    before = json.loads(requests.get(f"http://127.0.0.1:{up}/_local/clock", timeout=10).text)["now"]
    told = tagmesh("local", "clock", "--port", str(up), "advance", "1d")
    after = json.loads(requests.get(f"http://127.0.0.1:{up}/_local/clock", timeout=10).text)["now"]

    assert told.returncode == 0, told.stderr
    assert after[:10] > before[:10]
