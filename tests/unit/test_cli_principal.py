"""Who is meant on the command line, and how a mistake is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tagmesh.governance import Principal, load, read_folder

from cli.iam_policy import is_named
from cli.principal import BadPrincipal, find, parse, who

MESH = load(read_folder(Path(__file__).parents[2] / "mesh"))
ACCOUNT = "333333333333"
RESERVED = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_DataAnalyst_{'a' * 16}"


class NoSuchEntityException(ClientError):
    def __init__(self, name: str) -> None:
        super().__init__({"Error": {"Code": "NoSuchEntity", "Message": name}}, "GetRole")


class Iam:
    """IAM of an account with these roles and users, by ARN."""

    class exceptions:
        NoSuchEntityException = NoSuchEntityException

    def __init__(self, *arns: str) -> None:
        self.arns = arns

    def _get(self, kind: str, name: str) -> dict:
        for arn in self.arns:
            if f":{kind}/" in arn and arn.rpartition("/")[2] == name:
                return {kind.title(): {"Arn": arn}}
        raise NoSuchEntityException(name)

    def get_role(self, RoleName: str) -> dict:
        return self._get("role", RoleName)

    def get_user(self, UserName: str) -> dict:
        return self._get("user", UserName)

    def get_paginator(self, _operation: str) -> Iam:
        return self

    def paginate(self, PathPrefix: str) -> list[dict]:
        return [
            {"Roles": [{"RoleName": a.rpartition("/")[2], "Arn": a} for a in self.arns if f":role{PathPrefix}" in a]}
        ]


def arn_of(written: str, *arns: str) -> str | None:
    return find(parse(written, MESH), lambda _service: Iam(*arns))


def test_a_consumers_principal_is_found_by_its_name_whatever_its_kind():
    role, user = f"arn:aws:iam::{ACCOUNT}:role/team/Analyst", f"arn:aws:iam::{ACCOUNT}:user/ann"

    assert parse("analytics/Analyst", MESH).candidates == (Principal("role", "Analyst"),)
    assert parse("analytics/Analyst", MESH).account == ACCOUNT
    assert arn_of("analytics/Analyst", role) == role
    assert arn_of("analytics/DataAnalyst", RESERVED) == RESERVED
    assert arn_of("analytics/ann", user) == user, "no file names her, and she is there"
    assert arn_of("analytics/nobody", role, user) is None


def test_a_name_that_a_file_gives_is_not_taken_for_another_kind():
    assert arn_of("analytics/Analyst", f"arn:aws:iam::{ACCOUNT}:user/Analyst") is None


def test_a_name_that_means_several_is_refused_with_their_arns():
    both = f"arn:aws:iam::{ACCOUNT}:role/ann", f"arn:aws:iam::{ACCOUNT}:user/ann"

    with pytest.raises(BadPrincipal, match=r"role/ann or arn:aws:iam::333333333333:user/ann: write the ARN"):
        arn_of("analytics/ann", *both)


def test_an_arn_says_itself_who_is_meant():
    asked = parse(RESERVED, MESH)

    assert (asked.account, asked.arn) == (ACCOUNT, RESERVED)
    assert [consumer.name for consumer in asked.consumers] == ["analytics"]
    assert who(asked, lambda _service: Iam(RESERVED)).is_one_of(asked.consumers[0].principals)
    session = parse(f"arn:aws:sts::{ACCOUNT}:assumed-role/Analyst/ann@example.com", MESH)
    assert session.candidates == (Principal("role", "Analyst"),)
    assert parse("arn:aws:iam::999999999999:role/Stranger", MESH).consumers == ()
    assert arn_of(RESERVED, RESERVED) == RESERVED
    assert arn_of(f"arn:aws:iam::{ACCOUNT}:role/{RESERVED.rpartition('/')[2]}", RESERVED) is None, "without its path"
    assert arn_of(f"arn:aws:iam::{ACCOUNT}:user/ann") is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Analyst", "write CONSUMER/NAME"),
        ("analytics/", "write CONSUMER/NAME"),
        ("/Analyst", "write CONSUMER/NAME"),
        ("analytics/An alyst", "write CONSUMER/NAME"),
        ("analytic/Analyst", "no governance file names a consumer analytic; there are analytics"),
        ("arn:aws:iam::33333333333:role/Analyst", "12 digits"),
        ("arn:aws:s3:::bucket", "no ARN of an IAM role or user"),
        (f"arn:aws:iam::{ACCOUNT}:group/analysts", "no ARN of an IAM role or user"),
        (f"arn:aws:iam::{ACCOUNT}:role/*", "no ARN of an IAM role or user"),
    ],
)
def test_what_names_nobody_is_refused_and_says_how_to_write_it(written: str, said: str):
    with pytest.raises(BadPrincipal, match=said):
        parse(written, MESH)


def test_whom_no_subscription_names_is_said_so_with_the_policy():
    assert is_named(MESH, "analytics/Analyst")
    assert not is_named(MESH, "analytics/Nobody")
