"""What an existing bucket needs: printed from accounts/producer.yaml, never applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).parents[1] / "accounts" / "producer.yaml"
OF_THE_BUCKET = ("DataBucket", "DataBucketPolicy")


def statements(bucket: str, central: str) -> list[dict[str, Any]]:
    """The bucket policy's statements for the central account's roles, as plain JSON values."""
    template = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    policy = template["Resources"]["DataBucketPolicy"]["Properties"]["PolicyDocument"]
    values = {
        "AWS::Partition": "aws",
        "CentralAccountId": central,
        "DataBucket": bucket,
        "DataBucket.Arn": f"arn:aws:s3:::{bucket}",
    }
    return [_resolved(statement, values) for statement in policy["Statement"] if statement["Effect"] == "Allow"]


def uploads_rule(bucket: str, central: str) -> dict[str, Any]:
    """A template with all of accounts/producer.yaml but the bucket and its policy, its parameters given defaults."""
    template = json.loads(json.dumps(yaml_parse(TEMPLATE.read_text(encoding="utf-8"))))
    for name in OF_THE_BUCKET:
        del template["Resources"][name]
    template["Parameters"]["CentralAccountId"]["Default"] = central
    template["Parameters"]["BucketName"]["Default"] = bucket
    template["Outputs"] = {
        name: output for name, output in template["Outputs"].items() if output["Value"] != {"Ref": "DataBucket"}
    }
    return json.loads(json.dumps(template).replace('{"Ref": "DataBucket"}', '{"Ref": "BucketName"}'))


def _resolved(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolved(entry, values) for entry in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return values[value["Ref"]]
    if set(value) == {"Fn::GetAtt"}:
        name = value["Fn::GetAtt"]
        return values[name if isinstance(name, str) else ".".join(name)]
    if set(value) == {"Fn::Sub"}:
        text = value["Fn::Sub"]
        for name, replacement in values.items():
            text = text.replace(f"${{{name}}}", replacement)
        return text
    return {key: _resolved(entry, values) for key, entry in value.items()}
