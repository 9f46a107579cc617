"""docs/local-aws.md, "Your own templates": its files and commands, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.server import LocalAws

GUIDE = Path(__file__).parents[2] / "docs" / "local-aws.md"
ACCOUNT = "111111111111"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"

pytestmark = pytest.mark.slow  # builds and deploys


def _section() -> str:
    return GUIDE.read_text("utf-8").partition("## Your own templates")[2].partition("\n## ")[0]


def _block(kind: str) -> str:
    return re.search(rf"```{kind}\n(.*?)```", _section(), re.DOTALL)[1]


@pytest.fixture
def deployed(aws: LocalAws, tmp_path: Path) -> dict[str, str]:
    """The stack's outputs."""
    (tmp_path / "src").mkdir()
    (tmp_path / "template.yaml").write_text(_block("yaml"), "utf-8")
    (tmp_path / "src" / "app.py").write_text(_block("python"), "utf-8")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ACCESS_KEY_ID": f"LOCALADMIN{ACCOUNT}",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "SAM_CLI_TELEMETRY": "0",
    }
    commands = [line.partition("#")[0].split() for line in _section().splitlines() if line.startswith("sam ")]
    assert [command[:2] for command in commands] == [["sam", "build"], ["sam", "deploy"]]
    for command in commands:
        words = [word.replace("python3.11", PYTHON) for word in command]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    stack = aws.session(ACCOUNT).client("cloudformation").describe_stacks(StackName="mine")["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_a_template_of_ones_own_deploys_unchanged_and_does_its_work(aws: LocalAws, deployed: dict[str, str]) -> None:
    session = aws.session(ACCOUNT)
    session.client("s3").put_object(Bucket=deployed["Bucket"], Key="a.csv", Body=b"x")
    aws.world.wait_idle()
    aws.world.pass_time(86_400)
    items = session.client("dynamodb").scan(TableName=deployed["Table"])["Items"]
    assert {item["id"]["S"]: item["n"]["N"] for item in items} == {"Object Created": "1", "Scheduled Event": "24"}
