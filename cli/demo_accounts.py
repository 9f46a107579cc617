"""The accounts of a local mesh: their administrators, their organization, and the people in them.

In real accounts these people are there before the mesh; here the demo makes them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.config import Config
from tagmesh import workgroups
from tagmesh.governance import EVERYBODY, Consumer, Governance, Principal

from cli import iam_policy, local
from local_aws.sessions import LocalSession

ORGANIZATION_ID = "o-examplemesh1"
SAMPLE_CENTRAL_ACCOUNT = "555555555555"  # the one that samconfig.toml names for the sample governance


@dataclass(frozen=True)
class Place:
    """A local AWS and a Region of it."""

    endpoint: str
    region: str

    def environment(self, account: str) -> dict[str, str]:
        """Variables with which the AWS CLI, SAM CLI and boto3 act as the account's administrator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": f"LOCALADMIN{account}",
            "AWS_SECRET_ACCESS_KEY": "local",
        }

    def administrator(self, account: str) -> "Identity":
        return Identity(self, f"LOCALADMIN{account}", "local")


@dataclass(frozen=True)
class Identity:
    """Credentials at a place."""

    place: Place
    access_key: str
    secret_key: str
    token: str | None = None

    def client(self, service: str) -> Any:
        """A boto3 client that calls the local AWS with these credentials; the same one each time."""
        return _client(self, service)


@cache
def _client(identity: Identity, service: str) -> Any:
    session = LocalSession(
        identity.place.endpoint,
        aws_access_key_id=identity.access_key,
        aws_secret_access_key=identity.secret_key,
        aws_session_token=identity.token,
        region_name=identity.place.region,
    )
    return session.client(service, config=Config(max_pool_connections=20))


@dataclass(frozen=True)
class Person:
    """A principal of a consumer, as it is in the account. `arn` is the role's or user's, with its path."""

    consumer: Consumer
    principal: Principal
    arn: str
    identity: Identity


def unused_account(governance: Governance) -> str:
    """A central account id that no governance file names."""
    taken = accounts_of(governance)
    if SAMPLE_CENTRAL_ACCOUNT not in taken:
        return SAMPLE_CENTRAL_ACCOUNT
    return next(account for n in range(10**12 - 1, 0, -1) if (account := f"{n:012d}") not in taken)


def accounts_of(governance: Governance) -> set[str]:
    """Every account that the files name."""
    return {member.account for member in (*governance.producers, *governance.consumers)}


def external_accounts(governance: Governance) -> tuple[str, ...]:
    """Accounts that a file marks as outside the organization, sorted."""
    return tuple(sorted({m.account for m in (*governance.producers, *governance.consumers) if m.external}))


def create_organization(server: local.Server, governance: Governance, central: str) -> None:
    """One organization with RAM sharing, of all accounts but those that the files mark as external."""
    members = (accounts_of(governance) | {central}) - set(external_accounts(governance))
    local.tell(
        server,
        "PUT",
        "organization",
        {"id": ORGANIZATION_ID, "members": sorted(members), "ram_sharing": True},
    )


# ── The people ──────────────────────────────────────────────────────────────────────────────────────────────


def create_people(place: Place, governance: Governance, central: str) -> list[Person]:
    """Make the roles, users and permission-set roles that the consumers' files name, as readers.

    A permission set's role stands under its reserved path, as IAM Identity Center makes it; but there it
    trusts the identity provider, while here the account's administrator signs in for everyone.
    """
    arns: dict[tuple[str, Principal], str] = {}
    people = []
    for consumer in governance.consumers:
        admin = place.administrator(consumer.account)
        iam = admin.client("iam")
        # Of an account that is named whole, those that are named by themselves too.
        for principal in (each for each in consumer.principals if each != EVERYBODY):
            at = (consumer.account, principal)
            if at not in arns:
                workgroup = workgroups.of_principal(governance, *at, central)
                policy = iam_policy.reader_policy(place.region, consumer.account, central, workgroup=workgroup)
                arns[at] = _create_principal(iam, place.region, consumer.account, principal, policy)
            people.append(Person(consumer, principal, arns[at], _sign_in(admin, principal, arns[at])))
    return people


def _create_principal(iam: Any, region: str, account: str, principal: Principal, of_reader: Mapping[str, Any]) -> str:
    path, _, name = f"/{principal.name}".rpartition("/")
    policy = {"PolicyName": "query-the-mesh", "PolicyDocument": json.dumps(of_reader)}
    if principal.kind == "user":
        arn = iam.create_user(Path=f"{path}/", UserName=name)["User"]["Arn"]
        iam.put_user_policy(UserName=name, **policy)
        return arn
    if principal.kind == "permission_set":
        path = f"/aws-reserved/sso.amazonaws.com/{region}"
        name = f"AWSReservedSSO_{name}_{hashlib.sha256(f'{account}/{name}'.encode()).hexdigest()[:16]}"
    trust = json.dumps(_trust(f"arn:aws:iam::{account}:root"))
    role = iam.create_role(Path=f"{path}/", RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
    iam.put_role_policy(RoleName=name, **policy)
    return role["Arn"]


def _sign_in(admin: Identity, principal: Principal, arn: str) -> Identity:
    if principal.kind == "user":
        key = admin.client("iam").create_access_key(UserName=arn.rpartition("/")[2])["AccessKey"]
        return Identity(admin.place, key["AccessKeyId"], key["SecretAccessKey"])
    return _assume(admin, arn)


def become_doctor(place: Place, central: str) -> Identity:
    """The mesh's own read-only role of the central account, which sees the whole catalogue and no data."""
    return _assume(place.administrator(central), f"arn:aws:iam::{central}:role/tagmesh-doctor")


def _assume(admin: Identity, role_arn: str) -> Identity:
    issued = admin.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="demo")["Credentials"]
    return Identity(admin.place, issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def _trust(who: str) -> dict[str, object]:
    allowed = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [allowed]}
