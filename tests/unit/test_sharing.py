"""What the central account needs before others are granted anything: its version, and its catalogue's policy."""

from __future__ import annotations

import json

import pytest
from tagmesh import sharing

REGION, CENTRAL = "eu-west-1", "555555555555"
CATALOGUE = f"arn:aws:glue:{REGION}:{CENTRAL}"
SHARED = [f"{CATALOGUE}:catalog", f"{CATALOGUE}:database/*", f"{CATALOGUE}:table/*/*"]
THEIRS = {
    "Sid": "Analysts",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::777777777777:root"},
    "Action": ["glue:GetTable"],
    "Resource": [f"{CATALOGUE}:table/old/*"],
    "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-one"}},
}
FOR_RAM = {"Effect": "Allow", "Principal": {"Service": "ram.amazonaws.com"}, "Action": "glue:ShareResource"}
ALLOWED = {**FOR_RAM, "Resource": SHARED}


def policy(*statements: dict, **more: str) -> str:
    return json.dumps({"Version": "2012-10-17", **more, "Statement": list(statements)})


@pytest.mark.parametrize(
    ("parameters", "may"),
    [({}, False), ("1", False), ("2", False), ("3", True), ("4", True), ("5", True), ("new", False)],
)
def test_accounts_are_granted_to_from_cross_account_version_3_on(parameters, may):
    settings = {"Parameters": {"CROSS_ACCOUNT_VERSION": parameters}} if parameters else {}
    found = sharing.of_version(settings, CENTRAL)
    assert (found is None) == may
    if found:
        assert found.code == "cross-account-version"
        assert "version 3 or 4" in found.mend  # never the one that cannot be taken back


@pytest.mark.parametrize(
    "there",
    [
        policy(THEIRS),
        policy(THEIRS, Id="theirs"),
        policy(),
        policy(THEIRS, {**ALLOWED, "Resource": SHARED[:2]}),
        policy({**ALLOWED, "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}),
        policy({**ALLOWED, "Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
        policy({**ALLOWED, "Action": "glue:Get*"}),
        policy({**ALLOWED, "Principal": {"Service": "glue.amazonaws.com"}}),
        policy({**ALLOWED, "Sid": "LetRamShare", "Resource": SHARED[0]}),
        json.dumps({"Version": "2012-10-17", "Statement": THEIRS}),
    ],
)
def test_what_ram_needs_is_added_once_and_everything_else_is_kept(there):
    merged = sharing.with_sharing(there, REGION, CENTRAL)

    before, after = json.loads(there), json.loads(merged)
    theirs = before["Statement"] if isinstance(before["Statement"], list) else [before["Statement"]]
    *kept, added = after["Statement"]
    assert kept == theirs
    assert {**after, "Statement": 0} == {**before, "Statement": 0}
    assert {key: added[key] for key in ALLOWED} == ALLOWED
    assert added["Sid"] not in {each.get("Sid") for each in theirs}
    assert sharing.with_sharing(merged, REGION, CENTRAL) == merged


@pytest.mark.parametrize(
    "there",
    [
        policy(ALLOWED),
        policy(THEIRS, {**FOR_RAM, "Resource": f"{CATALOGUE}:*"}),
        policy({**ALLOWED, "Action": ["glue:GetTable", "glue:Share*"], "Principal": "*", "Resource": "*"}),
        policy(*({**FOR_RAM, "Resource": each} for each in SHARED)),
        policy({**ALLOWED, "Action": "GLUE:shareresource"}),
        policy({**ALLOWED, "Principal": {"Service": ["glue.amazonaws.com", "ram.amazonaws.com"]}}),
    ],
)
def test_a_policy_that_lets_ram_share_is_left_alone_to_the_letter(there):
    assert sharing.with_sharing(there, REGION, CENTRAL) == there
    assert sharing.denied_by(there, REGION, CENTRAL) is None


@pytest.mark.parametrize(
    "denial",
    [
        {"Principal": {"Service": "ram.amazonaws.com"}, "Action": "glue:ShareResource", "Resource": SHARED[1]},
        {"Principal": "*", "Action": "glue:*", "Resource": "*"},
        {"Principal": "*", "NotAction": ["glue:Get*"], "Resource": "*"},
        {"NotPrincipal": {"AWS": "arn:aws:iam::555555555555:root"}, "Action": "*", "Resource": "*"},
        {"Principal": "*", "Action": "glue:*", "NotResource": f"{CATALOGUE}:table/old/*"},
    ],
)
def test_a_denial_that_nothing_can_allow_past_is_said_with_its_statement(denial):
    found = sharing.denied_by(policy(ALLOWED, {"Sid": "Closed", "Effect": "Deny", **denial}), REGION, CENTRAL)
    assert found
    assert (found.code, found.subject) == ("catalogue-policy-denies", CENTRAL)
    assert "statement Closed" in found.message


@pytest.mark.parametrize(
    "denial",
    [
        {"Principal": {"AWS": "777777777777"}, "Action": "glue:*", "Resource": "*"},
        {"Principal": "*", "Action": "glue:DeleteTable", "Resource": "*"},
        {"Principal": "*", "Action": "glue:*", "Resource": f"{CATALOGUE}:table/secret/*"},
        {"Principal": "*", "NotAction": "glue:Share*", "Resource": "*"},
        {"NotPrincipal": {"Service": "ram.amazonaws.com"}, "Action": "*", "Resource": "*"},
        {"Principal": "*", "Action": "glue:*", "Resource": "*", "Condition": {"Null": {"aws:SourceVpc": "true"}}},
    ],
)
def test_a_denial_of_something_else_is_nothing_to_speak_of(denial):
    assert sharing.denied_by(policy({"Effect": "Deny", **denial}), REGION, CENTRAL) is None
