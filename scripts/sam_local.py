"""Runs every function with `sam local invoke` against a running mesh. Called by sam-local.sh, which has the engine.

A function gets what Lambda gives it: its environment, its role's credentials, and an event: the one of events/,
brought up to date where it names a run (its fencing token and plan). A custom resource's answer is received here, as
CloudFormation would. `sam local invoke` ends well even where the function fails, so what it prints is read.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_dump, yaml_parse

from cli import local
from cli.demo_accounts import SAMPLE_CENTRAL_ACCOUNT, Identity, Place
from cli.demo_deploy import DeployError, host_parameters, sam
from cli.project import ROOT

BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
PORT = 4680
# What a function leaves is what the next one takes up.
ORDER = (
    *("configure_lake_formation", "deploy_governance", "load_governance", "sweep_mesh", "inspect_consumers"),
    "record_uploads",
    *("prepare_crawl", "classify_tables", "apply_tags", "sample_content", "grant_access", "link_consumer"),
    *("ask_approval", "start_share"),
)
# What a function rightly says of its sample event where the sample mesh has nothing for it to do.
REFUSALS = {"NothingToApprove"}


def main() -> int:
    """Exit code 0 if every function answered as it should."""
    parser = argparse.ArgumentParser(description="Run every function with sam local invoke.")
    parser.add_argument("--host-address", required=True, help="this machine's address as containers see it")
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with mesh(options.port):
        central = Place(f"http://127.0.0.1:{options.port}", local.REGION).administrator(SAMPLE_CENTRAL_ACCOUNT)
        endpoint = f"http://{options.host_address}:{options.port}"
        template = write_template()
        with custom_resource_answers() as (answers_port, answers):
            failed = []
            functions = functions_of(template)
            for name in sorted(functions, key=lambda name: (*ORDER, name).index(name)):
                event = up_to_date(
                    json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8")),
                    central,
                    f"http://{options.host_address}:{answers_port}/{name}",
                )
                problem = run(*functions[name], event, central, endpoint, template, answers)
                print(f"  {name:<26} {'FAILED: ' + problem if problem else 'ok'}", flush=True)
                failed += [name] if problem else []
    print(f"sam local invoke: {len(failed)} failed" if failed else "sam local invoke: every function answered well")
    return 1 if failed else 0


@contextmanager
def mesh(port: int) -> Iterator[None]:
    """A local AWS that containers can reach, with the sample mesh deployed and its data published."""
    print(f"sam-local: the sample mesh at port {port}", flush=True)
    command = [Path(sys.executable).parent / "tagmesh", "demo", "--port", str(port), "--host", "0.0.0.0", "--keep"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    try:
        if done.returncode:
            raise SystemExit(f"the demo failed:\n{done.stdout}")
        yield
    finally:
        if local.find(port):
            local.down(port)


# ── One function ────────────────────────────────────────────────────────────────────────────────────────────


def run(
    logical_id: str,
    function_name: str,
    event: dict[str, Any],
    central: Identity,
    endpoint: str,
    template: Path,
    answers: dict[str, Any],
) -> str:
    """What is wrong with the function's answer, or nothing."""
    environment = central.client("lambda").get_function_configuration(FunctionName=function_name)
    variables = environment["Environment"]["Variables"] | {"AWS_ENDPOINT_URL": endpoint}
    folder = template.parent
    (folder / "local-event.json").write_text(json.dumps(event), encoding="utf-8")
    (folder / "local-variables.json").write_text(json.dumps({"Parameters": variables}), encoding="utf-8")
    try:
        output = sam(
            ["local", "invoke", logical_id, "--template", str(template), "--skip-pull-image", "--no-memory-limit"]
            + ["--event", str(folder / "local-event.json"), "--env-vars", str(folder / "local-variables.json")]
            + ["--region", central.place.region]
            + ["--parameter-overrides", *(f"{key}={value}" for key, value in host_parameters())],
            ROOT,
            as_function(central, environment["Role"]),
        )
    except DeployError as error:
        return str(error)
    return problem_in(output, event, answers)


def problem_in(output: str, event: dict[str, Any], answers: dict[str, Any]) -> str:
    """What is wrong with what the function answered, which is the last line on standard output."""
    try:
        answer = json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return f"no answer: {output}"
    if isinstance(answer, dict):
        if answer.get("errorType") in REFUSALS:
            return ""
        if "errorMessage" in answer:
            return f"{answer.get('errorType')}: {answer['errorMessage']}"
        if answer.get("batchItemFailures"):
            return "the batch was not taken"
        if "another run" in answer.get("reason", ""):
            return f"it did nothing: {answer['reason']}"
    if "ResponseURL" in event:
        told = answers.pop(event["ResponseURL"].rpartition("/")[2], {"Reason": "nothing was answered"})
        return "" if told.get("Status") == "SUCCESS" else f"CloudFormation was told {told}"
    return ""


def up_to_date(event: dict[str, Any], central: Identity, response_url: str) -> dict[str, Any]:
    """The event with the token that its unit has now, its newest plan or request, and a place for the answer."""
    if "ResponseURL" in event:
        return event | {"ResponseURL": response_url}
    if not {"unit", "token"} <= set(event):  # a task token is no unit's
        return event
    dynamodb, s3 = central.client("dynamodb"), central.client("s3")
    item = dynamodb.get_item(TableName="tagmesh-units", Key={"unit": {"S": event["unit"]}})["Item"]
    event = event | {"token": int(item["token"]["N"])}
    for name, ending in (("plan", r"/\d+\.json"), ("request", r"/\d+\.request\.json")):
        if name in event:
            bucket = f"tagmesh-governance-{SAMPLE_CENTRAL_ACCOUNT}-{central.place.region}"
            listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"plans/{event['unit']}/")["Contents"]
            found = [each for each in listed if re.search(f"{ending}$", each["Key"])]
            event = event | {name: max(found, key=lambda each: each["LastModified"])["Key"]}
    return event


def as_function(central: Identity, role_arn: str) -> dict[str, str]:
    """The environment of a developer who has let herself into the function's role."""
    iam = central.client("iam")
    role = iam.get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
    trust = role["AssumeRolePolicyDocument"]
    me = {"AWS": f"arn:aws:iam::{SAMPLE_CENTRAL_ACCOUNT}:root"}
    if all(statement["Principal"] != me for statement in trust["Statement"]):
        trust["Statement"].append({"Effect": "Allow", "Principal": me, "Action": "sts:AssumeRole"})
        iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trust))
    issued = central.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="sam-local")["Credentials"]
    return central.place.environment(SAMPLE_CENTRAL_ACCOUNT) | {
        "AWS_ACCESS_KEY_ID": issued["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": issued["SecretAccessKey"],
        "AWS_SESSION_TOKEN": issued["SessionToken"],
    }


# ── What surrounds it ───────────────────────────────────────────────────────────────────────────────────────


def write_template() -> Path:
    """The built template, with a variable for the endpoint: sam local sets only variables that a template declares."""
    template = yaml_parse(BUILT.read_text(encoding="utf-8"))
    template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = ""
    path = BUILT.with_name("local-invoke.yaml")
    path.write_text(yaml_dump(template), encoding="utf-8")
    return path


def functions_of(template: Path) -> dict[str, tuple[str, str]]:
    """File name without .py -> logical id and function name, of every function in the template."""
    resources = yaml_parse(template.read_text(encoding="utf-8"))["Resources"]
    return {
        resource["Properties"]["Handler"].partition(".")[0]: (logical_id, resource["Properties"]["FunctionName"])
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


@contextmanager
def custom_resource_answers() -> Iterator[tuple[int, dict[str, Any]]]:
    """Receives what custom resources put to their response URL: the port, and the answers by last path segment."""
    answers: dict[str, Any] = {}

    class Receiver(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers[self.path.rpartition("/")[2]] = json.loads(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("0.0.0.0", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, answers
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
