"""Accounts to try statements on: the local AWS, or real accounts by their profiles. Both look the same to a test.

A test asks for accounts by their part in a mesh (`central`, `consumer`, `producer`, `outsider`: one that is in no
organization with the others). Whatever it makes has a name of its own (`lab.name`) and is taken away at the end
(`lab.at_end`), since real accounts outlive the run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.server import LocalAws
from local_aws.sessions import LocalSession

PARTS = ("central", "consumer", "producer", "outsider")
PATIENCE = 60
"""Seconds in which a real account must show what was changed in it: no propagation bound is documented."""


@dataclass(frozen=True)
class Role:
    """An IAM role that a test made: a principal."""

    account: str
    """Its account's part."""
    name: str
    arn: str


Who = str | Role
"""Who calls: the administrator of an account (by its part), or a role."""


class Lab:
    """Accounts, principals, clients, and what is taken away at the end."""

    is_local: bool
    region = "eu-west-1"

    def __init__(self) -> None:
        self._run = secrets.token_hex(3)
        self._names = itertools.count()
        self._clients: dict[tuple[str, Who], Any] = {}
        self._sessions: dict[Who, boto3.Session] = {}
        self._ending = contextlib.ExitStack()

    # -- what differs ---------------------------------------------------------------------------------------------

    def account(self, part: str) -> str:
        """The id of the account that plays a part."""
        raise NotImplementedError

    def session(self, who: Who) -> boto3.Session:
        """A session of the administrator of an account, or of a role."""
        raise NotImplementedError

    def session_of(self, given: dict[str, Any]) -> boto3.Session:
        """A session with the credentials that STS or IAM gave (`Credentials` of AssumeRole, `AccessKey` of a user)."""
        raise NotImplementedError

    def eventually(self, check: Callable[[], Any]) -> Any:
        """What `check` returns once it neither raises nor is false. The local AWS is asked once."""
        raise NotImplementedError

    # -- what is the same -----------------------------------------------------------------------------------------

    def client(self, service: str, who: Who) -> Any:
        """A boto3 client that does not retry."""
        if (service, who) not in self._clients:
            config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            if who not in self._sessions:
                self._sessions[who] = self.session(who)
            self._clients[service, who] = self._sessions[who].client(service, config=config)
        return self._clients[service, who]

    def name(self, hint: str, separator: str = "_") -> str:
        """A name that nobody else has, lower case."""
        return f"{hint}{separator}{self._run}{next(self._names)}"

    def at_end(self, undo: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `undo` when the lab closes, newest first. Errors of AWS in it are let pass: it may be gone already."""
        self._ending.callback(_let_pass, undo, *args, **kwargs)

    def close(self) -> None:
        """Take away what was made, and end the clients' connections."""
        self._ending.close()
        self.end_connections()

    def end_connections(self) -> None:
        for client in self._clients.values():
            client.close()

    def role(self, part: str, hint: str = "role", *, allow: list[str] | None = None, path: str = "/") -> Role:
        """A role of an account that its administrator may assume, allowed the IAM actions `allow` on everything."""
        iam, name = self.client("iam", part), self.name(hint, "-")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{self.account(part)}:root"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
        self.at_end(iam.delete_role, RoleName=name)
        if allow:
            self.allow(Role(part, name, made["Arn"]), *allow)
        return Role(part, name, made["Arn"])

    def allow(self, role: Role, *actions: str, resource: str | list[str] = "*") -> None:
        """Give a role one more inline policy that allows actions."""
        iam, name = self.client("iam", role.account), self.name("policy", "-")
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role.name, PolicyName=name, PolicyDocument=document)
        self.at_end(iam.delete_role_policy, RoleName=role.name, PolicyName=name)

    def bucket(self, part: str) -> str:
        """A new bucket's name; emptied and deleted at the end."""
        s3, name = self.client("s3", part), self.name("conformance", "-")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": self.region})
        self.at_end(s3.delete_bucket, Bucket=name)
        self.at_end(_empty, s3, name)
        return name

    def put(self, part: str, bucket: str, key: str, body: bytes | str) -> None:
        """Write an object as the administrator of an account."""
        self.client("s3", part).put_object(Bucket=bucket, Key=key, Body=body)

    # -- Lake Formation -------------------------------------------------------------------------------------------

    def lake(self, part: str, *more_admins: str, version: str = "4") -> None:
        """Make an account a governed one: its caller (and `more_admins`, ARNs) administers Lake Formation, new
        databases and tables are nobody's. The settings are as before at the end."""
        lakeformation = self.client("lakeformation", part)
        settings = lakeformation.get_data_lake_settings()["DataLakeSettings"]
        me = self.client("sts", part).get_caller_identity()["Arn"]
        admins = {each["DataLakePrincipalIdentifier"] for each in settings.get("DataLakeAdmins", [])}
        wanted = {
            **settings,
            "DataLakeAdmins": [
                {"DataLakePrincipalIdentifier": each} for each in sorted(admins | {_principal(me), *more_admins})
            ],
            "CreateDatabaseDefaultPermissions": [],
            "CreateTableDefaultPermissions": [],
            "Parameters": {**settings.get("Parameters", {}), "CROSS_ACCOUNT_VERSION": version},
        }
        lakeformation.put_data_lake_settings(DataLakeSettings=wanted)
        self.at_end(lakeformation.put_data_lake_settings, DataLakeSettings=settings)

    def lf_tag(self, part: str, hint: str, *values: str) -> str:
        """A new LF-Tag's key."""
        lakeformation, key = self.client("lakeformation", part), self.name(hint)
        lakeformation.create_lf_tag(TagKey=key, TagValues=list(values))
        self.at_end(lakeformation.delete_lf_tag, TagKey=key)
        return key

    def database(self, who: Who, hint: str = "db", **more: Any) -> str:
        """A new database's name."""
        glue, name = self.client("glue", who), self.name(hint)
        glue.create_database(DatabaseInput={"Name": name, **more})
        self.at_end(glue.delete_database, Name=name)
        return name

    def table(
        self,
        who: Who,
        database: str,
        hint: str = "t",
        columns: tuple[str, ...] = ("id", "email", "total"),
        keys: tuple[str, ...] = (),
        location: str = "s3://nowhere-in-particular/data",
    ) -> str:
        """A new table's name; all its columns and partition keys are strings."""
        glue, name = self.client("glue", who), self.name(hint)
        glue.create_table(
            DatabaseName=database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "StorageDescriptor": {
                    "Columns": [{"Name": each, "Type": "string"} for each in columns],
                    "Location": location,
                },
                "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
            },
        )
        self.at_end(glue.delete_table, DatabaseName=database, Name=name)
        return name


class LocalLab(Lab):
    """Accounts of a local AWS of its own."""

    is_local = True

    def __init__(self) -> None:
        super().__init__()
        self.aws = LocalAws(region=self.region)
        self.aws.start()
        self._accounts = {part: str(111_111_111_111 * (1 + n)) for n, part in enumerate(PARTS)}
        self._fresh = itertools.count(700_000_000_000)

    def account(self, part: str) -> str:
        return self._accounts[part]

    def fresh(self) -> str:
        """The part of an account that nobody has used yet. Only a local AWS has such."""
        account = str(next(self._fresh))
        self._accounts[account] = account
        return account

    def session(self, who: Who) -> boto3.Session:
        if isinstance(who, Role):
            return self.aws.session(self.account(who.account), who.arn)
        return self.aws.session(self.account(who))

    def session_of(self, given: dict[str, Any]) -> boto3.Session:
        return LocalSession(self.aws.endpoint, **_keys(given), region_name=self.region)

    def eventually(self, check: Callable[[], Any]) -> Any:
        self.aws.world.wait_idle(30)
        found = check()
        assert found or found is None
        return found

    def organization(self, *parts: str, ram_sharing: bool = True) -> None:
        """Put accounts in one organization, and no others."""
        members = {self.account(part) for part in parts}
        self.aws.world.organization.update(id="o-conformance", members=members, ram_sharing=ram_sharing)

    def close(self) -> None:
        """Nothing need be taken away: the whole world goes."""
        failures = list(self.aws.world.failures)
        self.end_connections()
        self.aws.stop()
        assert failures == [], "the local AWS broke: " + "\n".join(failures)


class RealLab(Lab):
    """Accounts that exist: profile names by part."""

    is_local = False

    def __init__(self, profiles: dict[str, str]) -> None:
        super().__init__()
        self._names_of = profiles
        self._profiles = {part: _of_profile(name) for part, name in profiles.items()}
        regions = {session.region_name for session in self._profiles.values()}
        if len(regions) != 1 or None in regions:
            raise pytest.UsageError(f"the profiles must name one Region, all the same: they name {regions}")
        self.region = regions.pop()
        self._ids: dict[str, str] = {}

    def account(self, part: str) -> str:
        if part not in self._profiles:
            pytest.skip(f"no profile plays {part}: name one with --profiles {part}=NAME")
        if part not in self._ids:
            self._ids[part] = self._profiles[part].client("sts").get_caller_identity()["Account"]
        return self._ids[part]

    def session(self, who: Who) -> boto3.Session:
        if isinstance(who, str):
            self.account(who)
            return self._profiles[who]
        sts = self.client("sts", who.account)
        given = self.eventually(lambda: sts.assume_role(RoleArn=who.arn, RoleSessionName="conformance"))["Credentials"]
        return _of_profile(
            self._names_of[who.account], given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
        )

    def session_of(self, given: dict[str, Any]) -> boto3.Session:
        return boto3.Session(**_keys(given), region_name=self.region)

    def eventually(self, check: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if (found := check()) or found is None:
                    return found
            except (AssertionError, ClientError):
                if time.monotonic() > deadline:
                    raise
            assert time.monotonic() < deadline, f"not so after {PATIENCE} s"
            time.sleep(2)


@contextlib.contextmanager
def refused(*codes: str, message: str = "") -> Iterator[Any]:
    """The call inside must fail with one of these error codes, and with `message` somewhere in its text."""
    with pytest.raises(ClientError) as caught:
        yield caught
    error = caught.value.response["Error"]
    assert error["Code"] in codes, error
    assert message.lower() in error.get("Message", "").lower(), error


def _of_profile(name: str, *credentials: str) -> boto3.Session:
    """A session with the settings of a profile, and its credentials unless others are given."""
    session = botocore.session.Session(profile=name)
    session.set_config_variable("config_file", os.environ["CONFORMANCE_AWS_CONFIG"])
    session.set_config_variable("credentials_file", os.environ["CONFORMANCE_AWS_CREDENTIALS"])
    if credentials:
        session.set_credentials(*credentials)
    return boto3.Session(botocore_session=session)


def _keys(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given.get("SessionToken"),
    }


def _let_pass(undo: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    with contextlib.suppress(ClientError):
        undo(*args, **kwargs)


def _empty(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])


def _principal(arn: str) -> str:
    """The IAM role behind a session's ARN (roles with a path cannot be told from it), or the user itself."""
    if ":assumed-role/" not in arn:
        return arn
    account, name = arn.split(":")[4], arn.split("/")[1]
    return f"arn:aws:iam::{account}:role/{name}"
