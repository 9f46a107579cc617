"""House rules of the templates, the state machines and the files beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
PATHS = (ROOT / "template.yaml", *sorted(ROOT.glob("accounts/*.yaml")))
TEMPLATES = {path.name: yaml_parse(path.read_text()) for path in PATHS}
CENTRAL = TEMPLATES["template.yaml"]
MACHINES = {path.name.removesuffix(".asl.json"): json.loads(path.read_text()) for path in ROOT.glob("statemachines/*")}
CODE = {path.stem: path.parent for folder in ("functions", "sampling") for path in (ROOT / folder).glob("*.py")}
HANDLERS = sorted(CODE)


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def of_type(template: dict, kind: str) -> dict[str, dict]:
    return {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == kind}


def statements(template: dict):
    """Every statement of every role's own policies, with the role's logical id."""
    for name, properties in of_type(template, "AWS::IAM::Role").items():
        for policy in properties.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def test_file_function_and_state_share_one_name():
    functions = of_type(CENTRAL, "AWS::Serverless::Function")
    assert sorted(functions) == sorted(f"{camel(name)}Function" for name in HANDLERS)
    for name in HANDLERS:
        function = functions[f"{camel(name)}Function"]
        assert function["Handler"] == f"{name}.handler"
        assert function["FunctionName"] == f"tagmesh-{name.replace('_', '-')}"
        assert function["Description"]
        own = function.get("CodeUri", CENTRAL["Globals"]["Function"]["CodeUri"])
        assert ROOT / own == CODE[name]
    invoked = {
        state["Parameters"]["FunctionName"]: name
        for machine in MACHINES.values()
        for name, state in machine["States"].items()
        if state.get("Resource", "").startswith("arn:aws:states:::lambda:invoke")
    }
    assert invoked == {f"${{{state}FunctionArn}}": state for state in invoked.values()}


def test_every_function_has_a_sample_event():
    assert sorted(path.stem for path in (ROOT / "events").glob("*.json")) == HANDLERS


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_substitutions_match_both_ways(name):
    text = (ROOT / f"statemachines/{name}.asl.json").read_text()
    machine = of_type(CENTRAL, "AWS::Serverless::StateMachine")[f"{camel(name)}StateMachine"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(machine["DefinitionSubstitutions"])
    assert machine["DefinitionUri"] == f"statemachines/{name}.asl.json"


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_every_state_has_a_comment_and_can_be_reached(name):
    machine = MACHINES[name]
    assert all(state.get("Comment") for state in machine["States"].values())
    reached, waiting = set(), [machine["StartAt"]]
    while waiting:
        state = machine["States"][waiting.pop()]
        targets = [state.get("Next"), state.get("Default")]
        targets += [choice["Next"] for choice in [*state.get("Choices", []), *state.get("Catch", [])]]
        waiting += [target for target in targets if target and target not in reached]
        reached.update(target for target in targets if target)
    assert reached | {machine["StartAt"]} == set(machine["States"])


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_no_state_takes_an_arn_from_its_input(name):
    for state in MACHINES[name]["States"].values():
        assert "Resource.$" not in state
        assert not any(key.endswith(("Arn.$", "FunctionName.$", "RoleArn.$")) for key in state.get("Parameters", {}))


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_parameters_and_outputs_are_described(name):
    template = TEMPLATES[name]
    described = [*template["Parameters"].values(), *template["Outputs"].values()]
    assert all(entry.get("Description") for entry in described)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_queues_are_encrypted_with_a_key_that_eventbridge_can_use(name):
    for queue in of_type(TEMPLATES[name], "AWS::SQS::Queue").values():
        assert queue.get("SqsManagedSseEnabled") is True


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_queue_whose_messages_are_worked_has_a_dead_letter_queue(name):
    queues = of_type(TEMPLATES[name], "AWS::SQS::Queue")
    redriven = {
        q["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0] for q in queues.values() if "RedrivePolicy" in q
    }
    without = {logical for logical, queue in queues.items() if "RedrivePolicy" not in queue}
    dead_letters = {logical for logical in without if queues[logical]["QueueName"] and "dlq" in str(queues[logical])}
    assert redriven <= without == dead_letters


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_buckets_are_private_encrypted_and_refuse_plain_connections(name):
    template = TEMPLATES[name]
    denied = {
        policy["Bucket"]["Ref"]
        for policy in of_type(template, "AWS::S3::BucketPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and "aws:SecureTransport" in statement["Condition"].get("Bool", {})
    }
    buckets = of_type(template, "AWS::S3::Bucket")
    assert denied == set(buckets)
    for bucket in buckets.values():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_rules_that_deliver_have_a_dead_letter_queue(name):
    for rule in of_type(TEMPLATES[name], "AWS::Events::Rule").values():
        assert all("DeadLetterConfig" in target for target in rule["Targets"])


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_log_groups_forget(name):
    assert all(group["RetentionInDays"] for group in of_type(TEMPLATES[name], "AWS::Logs::LogGroup").values())


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_statement_of_a_role_names_its_actions(name):
    for role, statement in statements(TEMPLATES[name]):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action) for action in actions), (role, actions)


def test_nobody_of_ours_may_ask_lake_formation_for_data():
    """The administrator can grant itself anything; without GetDataAccess it can still read nothing."""
    readers = [
        (name, role)
        for name, template in TEMPLATES.items()
        for role, statement in statements(template)
        if "lakeformation:GetDataAccess" in statement["Action"]
    ]
    assert readers == []


def test_only_one_function_may_read_data_and_it_can_do_nothing_else_with_it():
    """What reads producers' objects reaches neither the catalogue, nor state, nor the bus, nor plans and decisions."""
    functions = of_type(CENTRAL, "AWS::Serverless::Function")
    roles = {name: function["Role"]["Fn::GetAtt"][0] for name, function in functions.items()}
    of_producers = "${AWS::Partition}:s3:::*"
    readers = {
        role
        for role, statement in statements(CENTRAL)
        if role in roles.values() and "s3:GetObject" in statement["Action"] and of_producers in str(statement)
    }
    assert readers == {"SampleContentRole"}
    assert [name for name, role in roles.items() if role == "SampleContentRole"] == ["SampleContentFunction"]
    allowed = {s["Sid"]: (s["Action"], str(s["Resource"])) for role, s in statements(CENTRAL) if role in readers}
    assert list(allowed) == ["ReadProducers", "Decrypt", "ReadRequest", "WriteEvidence", "Logs", "Traces"]
    assert allowed["ReadProducers"][0] == ["s3:GetObject", "s3:ListBucket"]
    assert allowed["ReadRequest"][0] == "s3:GetObject" and "/plans/*.request.json" in allowed["ReadRequest"][1]
    assert allowed["WriteEvidence"][0] == "s3:PutObject" and "/plans/*.evidence.json" in allowed["WriteEvidence"][1]


def test_the_account_templates_need_no_transform():
    assert all("Transform" not in template for name, template in TEMPLATES.items() if name != "template.yaml")


def test_foreign_accounts_are_trusted_by_their_root_with_a_condition_on_the_role():
    """A policy that names roles is refused before they exist, and stops matching one that was made again."""
    for name in ("producer.yaml", "consumer.yaml"):
        text = (ROOT / f"accounts/{name}").read_text()
        principals = re.findall(r"Principal: \{ AWS: (.+) \}", text)
        assert principals and all(principal.endswith(':root"') for principal in principals)
        assert len(re.findall(r"aws:PrincipalArn", text)) == len(principals)


def test_a_consumer_may_accept_the_central_accounts_invitations_alone():
    (accept,) = [s for _, s in statements(TEMPLATES["consumer.yaml"]) if "Accept" in str(s["Action"])]
    assert accept["Action"] == "ram:AcceptResourceShareInvitation"
    assert ":${CentralAccountId}:resource-share-invitation/" in accept["Resource"]["Fn::Sub"]


#: Actions that AWS's service authorization reference lists without a resource type, and lists in which any would do.
TAKE_NO_RESOURCE = re.compile(
    r"lakeformation:\w+|xray:\w+|logs:\w*(LogDeliver|ResourcePolic|DescribeLogGroups)\w*|iam:ListRoles|athena:ListWorkGroups"
    r"|ram:(Get|List)\w+|ram:CreateResourceShare|organizations:DescribeOrganization"
    r"|glue:(Get|Create|Update|Delete)Classifiers?|glue:CreateCrawler"
)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_only_actions_that_take_no_resource_have_a_wildcard(name):
    for role, statement in statements(TEMPLATES[name]):
        if statement["Resource"] == "*":
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert [action for action in actions if not TAKE_NO_RESOURCE.fullmatch(action)] == [], (
                role,
                statement["Sid"],
            )


def test_the_doctors_read_and_change_nothing():
    """Nor can they read data: no object of a producer, no query, no credentials."""
    looks = re.compile(r"(lakeformation|glue|ram|iam|athena|s3):(Get|List|Search|Simulate)\w+|sts:AssumeRole")
    for template in TEMPLATES.values():
        actions = [s["Action"] for role, s in statements(template) if role == "DoctorRole"]
        assert actions
        named = [action for each in actions for action in (each if isinstance(each, list) else [each])]
        assert [action for action in named if not looks.fullmatch(action)] == []
        assert not {"s3:GetObject", "lakeformation:GetDataAccess", "athena:GetQueryResults"} & set(named)


def test_every_test_that_the_threat_model_names_is_there():
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 20
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (file, test)
    boundaries = [line for line in text.split("## Boundaries")[1].split("## ")[0].splitlines() if line.startswith("| ")]
    assert all("::test_" in line for line in boundaries[1:]), "a boundary without a test"


def test_roles_of_services_that_say_for_whom_they_act_are_for_this_account():
    for template in TEMPLATES.values():
        for name, properties in of_type(template, "AWS::IAM::Role").items():
            for statement in properties["AssumeRolePolicyDocument"]["Statement"]:
                services = statement["Principal"].get("Service", [])
                says = {"states.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"}
                if says & {*(services if isinstance(services, list) else [services])}:
                    condition = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
                    assert statement.get("Condition") == condition, name
