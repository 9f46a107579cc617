"""`tagmesh demo` on mistakes: told before anything starts."""

import shutil
import socket

from demo_run import free_port, tagmesh

from cli.project import ROOT


def test_a_mistake_in_the_governance_files_stops_everything_before_it_starts(tmp_path):
    shutil.copytree(ROOT / "mesh", tmp_path / "mesh")
    file = tmp_path / "mesh" / "producers" / "sales.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines.append("ownr: somebody@example.com")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    port = free_port()

    refused = tagmesh("demo", "--governance", tmp_path / "mesh", "--port", port, "--json", tmp_path / "told.json")

    assert refused.returncode == 1
    assert f"mesh/producers/sales.yaml:{len(lines)}:" in refused.stdout
    assert "did you mean `owner`" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert not (tmp_path / "told.json").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_data_folder_that_is_not_there_is_said_so(tmp_path):
    refused = tagmesh("demo", "--data", tmp_path / "nowhere", "--port", free_port())

    assert refused.returncode == 1
    assert "there is no folder" in refused.stdout
