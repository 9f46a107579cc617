"""Workgroups of single principals: their names, and the IAM policies that open them."""

from __future__ import annotations

import re

import pytest
from tagmesh import workgroups
from tagmesh.governance import EVERYBODY, Principal, load

from cli import iam_policy, principal

ACCOUNT, CENTRAL, REGION = "333333333333", "555555555555", "eu-west-1"
FILES = {
    "mesh.yaml": (
        "version: 1\nlf_tags:\n  domain: {values: [sales, none], default: none}\n"
        "  level: {values: [open, unknown], default: unknown}\n"
    ),
    "producers/p.yaml": (
        'producer: p\naccount: "111111111111"\ndata_products:\n'
        "  - {name: orders, location: s3://raw/orders/, tags: {domain: sales}}\n"
    ),
    "consumers/c.yaml": (
        f'consumer: c\naccount: "{ACCOUNT}"\nresults: apart\nsubscriptions:\n'
        "  - name: some\n    tags: {domain: [sales]}\n    principals: [{role: Ann}, {user: Ann}, {role: Bob}]\n"
    ),
}
APART = load(FILES)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("role", "Analyst", "tagmesh-role-Analyst"),
        ("role", "team/Analyst", "tagmesh-role-Analyst"),
        ("permission_set", "Data_Analyst", "tagmesh-permission-set-Data_Analyst"),
        ("user", "ann@example.com", r"tagmesh-user-ann-example\.com-[0-9a-f]{8}"),
        ("user", "a" * 63 + "+", r"tagmesh-user-a{63}--[0-9a-f]{8}"),
    ],
)
def test_names_are_such_as_athena_takes(kind, name, expected):
    made = workgroups.name_of(Principal(kind, name))

    assert re.fullmatch(expected, made)
    assert re.fullmatch(r"[a-zA-Z0-9._-]{1,128}", made)


def test_no_two_principals_of_an_account_have_the_same():
    people = [Principal("role", "Ann"), Principal("user", "Ann"), Principal("user", "a@b"), Principal("user", "a+b")]
    people += [Principal("user", "a-b"), Principal("permission_set", "Ann")]

    assert len({workgroups.name_of(each) for each in people}) == len(people)


@pytest.mark.parametrize("written", ["c/Bob", f"arn:aws:iam::{ACCOUNT}:role/Bob"])
def test_the_policy_of_who_has_results_apart_opens_its_own_workgroup_and_prefix(written):
    asked = principal.parse(written, APART)
    group = iam_policy.workgroup_of(APART, asked, CENTRAL)
    policy = iam_policy.reader_policy(REGION, ACCOUNT, CENTRAL, workgroup=group)

    resources = {each["Sid"]: each["Resource"] for each in policy["Statement"]}
    assert resources["Query"] == f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/tagmesh-role-Bob"
    (made,) = workgroups.wanted(APART, ACCOUNT, REGION, [Principal("role", "Bob")])
    assert resources["ResultObjects"] == made.location.replace("s3://", "arn:aws:s3:::") + "*"


def test_a_name_that_means_two_with_a_workgroup_each_is_to_be_written_as_an_arn():
    with pytest.raises(principal.BadPrincipal, match="may be role Ann or user Ann: write the ARN"):
        iam_policy.workgroup_of(APART, principal.parse("c/Ann", APART), CENTRAL)


def test_who_shares_results_or_is_in_no_file_has_the_workgroup_of_the_stack():
    shared = load({**FILES, "consumers/c.yaml": FILES["consumers/c.yaml"].replace("results: apart\n", "")})

    assert iam_policy.workgroup_of(shared, principal.parse("c/Bob", shared), CENTRAL) == "tagmesh"
    assert iam_policy.workgroup_of(APART, principal.parse("c/Nobody", APART), CENTRAL) == "tagmesh"
    assert iam_policy.workgroup_of(APART, principal.parse("c/Bob", APART), central=ACCOUNT) == "tagmesh"
    assert workgroups.wanted(shared, ACCOUNT, REGION, [Principal("role", "Bob")]) == []
    assert workgroups.wanted(APART, ACCOUNT, REGION, [EVERYBODY]) == []
