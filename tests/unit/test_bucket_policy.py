"""What an existing bucket is told to add is what the producer stack would have made."""

from __future__ import annotations

import json

from cfnlint.api import lint_all

from cli.bucket_policy import statements, uploads_rule


def test_the_statements_admit_the_central_roles_to_this_bucket_only():
    found = statements("my-bucket", "555555555555")
    text = json.dumps(found)
    assert "Fn::" not in text and "${" not in text
    assert {entry["Sid"] for entry in found} == {"CatalogListsFolders", "CatalogReadsObjects"}
    assert [entry["Resource"] for entry in found] == ["arn:aws:s3:::my-bucket", "arn:aws:s3:::my-bucket/*"]
    assert found[1]["Condition"]["ArnEquals"]["aws:PrincipalArn"] == [
        "arn:aws:iam::555555555555:role/tagmesh-crawler",
        "arn:aws:iam::555555555555:role/tagmesh-registration",
        "arn:aws:iam::555555555555:role/tagmesh-sample-content",
    ]


def test_the_rule_alone_is_a_whole_template():
    template = uploads_rule("my-bucket", "555555555555")
    assert "AWS::S3::Bucket" not in {resource["Type"] for resource in template["Resources"].values()}
    assert template["Resources"]["UploadsRule"]["Properties"]["EventPattern"]["detail"]["bucket"]["name"] == [
        {"Ref": "BucketName"}
    ]
    assert [match for match in lint_all(json.dumps(template)) if match.rule.id[0] in "EW"] == []
