"""Lints every policy of the templates with parliament: actions that are none, resources that an action does not take,
statements that a condition key does not fit, and ways for somebody to become more than he is.

    python scripts/lint_policies.py template.yaml accounts/*.yaml      # exit code 1 if there is a finding

Runs in .venv-lint/, where parliament lives. A finding that is meant is listed in ACCEPTED with its reason.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parliament
from cfnlint.decode import cfn_yaml

ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:eu-west-1:123456789012:table/name",
    "AWS::Events::EventBus": "arn:aws:events:eu-west-1:123456789012:event-bus/name",
    "AWS::Events::Rule": "arn:aws:events:eu-west-1:123456789012:rule/name",
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/name",
    "AWS::Lambda::Function": "arn:aws:lambda:eu-west-1:123456789012:function:name",
    "AWS::Logs::LogGroup": "arn:aws:logs:eu-west-1:123456789012:log-group:name:*",
    "AWS::S3::Bucket": "arn:aws:s3:::name",
    "AWS::SNS::Topic": "arn:aws:sns:eu-west-1:123456789012:name",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-west-1:123456789012:name",
    "AWS::Serverless::Function": "arn:aws:lambda:eu-west-1:123456789012:function:name",
    "AWS::Serverless::StateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:name",
    "AWS::KMS::Key": "arn:aws:kms:eu-west-1:123456789012:key/name",
}
PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": "123456789012", "AWS::Region": "eu-west-1"}
PARAMETERS = {"CentralAccountId": "210987654321"}

#: (template, role, parliament's issue) -> why it is meant.
ACCEPTED: dict[tuple[str, str, str], str] = {
    ("template.yaml", "AutomationRole", "UNKNOWN_CONDITION_FOR_ACTION"): (
        "ram:PermissionArn with AssociateResourceSharePermission is how AWSLakeFormationCrossAccountManager narrows it"
    ),
    ("template.yaml", "AutomationRole", "INVALID_ARN"): "RAM's own permissions are of the account `aws`",
}


def resolved(value: Any, resources: dict[str, Any]) -> Any:
    """A policy with what only a deployment knows filled in."""
    if isinstance(value, list):
        return [resolved(each, resources) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        name = value["Ref"]
        kind = resources.get(name, {}).get("Type", "")
        # A topic's, bus's or machine's Ref is its ARN or a name; where a resource stands, only ARNs are written.
        return PSEUDO.get(name) or PARAMETERS.get(name) or ARNS.get(kind, "name")
    if set(value) == {"Fn::GetAtt"}:
        named = value["Fn::GetAtt"]
        name = named if isinstance(named, str) else named[0]
        return ARNS[resources[name.partition(".")[0]]["Type"]]
    if set(value) == {"Fn::Sub"}:
        text = value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0]

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if name.endswith(".Arn"):
                return ARNS[resources[name[:-4]]["Type"]]
            return PSEUDO.get(name) or PARAMETERS.get(name) or "name"

        return re.sub(r"\$\{([^}]+)\}", fill, text)
    if len(value) == 1 and next(iter(value)).startswith("Fn::"):
        return "name"
    return {key: resolved(each, resources) for key, each in value.items()}


def policies(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(role, document) of every inline policy of a template's roles."""
    resources = json.loads(json.dumps(cfn_yaml.load(path)))["Resources"]
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", ()):
                yield name, resolved(policy["PolicyDocument"], resources)


def main(paths: list[str]) -> int:
    found, count = 0, 0
    for path in paths:
        for role, document in policies(path):
            count += 1
            analyzed = parliament.analyze_policy_string(json.dumps(document))
            for finding in analyzed.findings:
                if (Path(path).name, role, finding.issue) in ACCEPTED:
                    continue
                found += 1
                print(f"{path}: {role}: {finding.issue}: {finding.detail} {finding.location.get('string', '')}")
    print(f"{count} policies, {found} findings")
    return 1 if found or not count else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
