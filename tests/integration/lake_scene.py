"""A world with only the lake's engines, and a short way to call them as somebody: shared by the lake's tests.

Calls go to the engines directly, but are held to the same gates as over HTTP: botocore's input shapes, the allow-list,
and botocore's output shapes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from local_aws import allowed
from local_aws.access.identity import Caller
from local_aws.glue.glue_catalog import Glue
from local_aws.lakeformation.engine import LakeFormation
from local_aws.lakeformation.lf_model import account_of
from local_aws.lakeformation.ram import Ram
from local_aws.wire import AwsError
from local_aws.world import World

_accounts = itertools.count(510_000_000_000)
_models = botocore.session.Session()
TRUST = '{"Version": "2012-10-17", "Statement": []}'
EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
IAM_ONLY = [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]


class Lake:
    """A world of accounts with Lake Formation, Glue and RAM."""

    def __init__(self) -> None:
        self.world = World()
        for engine in (Glue(self.world), LakeFormation(self.world), Ram(self.world)):
            self.world.add_engine(engine)

    # -- accounts and principals --------------------------------------------------------------------------------------

    def account(self) -> str:
        """A fresh account: no administrators, IAM-only defaults."""
        return str(next(_accounts))

    def role(self, account: str, name: str, path: str = "/") -> str:
        """A new IAM role's ARN."""
        role = iam_backends[account]["aws"].create_role(
            role_name=name,
            assume_role_policy_document=TRUST,
            path=path,
            permissions_boundary=None,
            description="",
            tags=[],
            max_session_duration="3600",
        )
        iam_backends[account]["aws"].put_role_policy(name, "everything", EVERYTHING)
        return role.arn

    def bucket(self, account: str) -> str:
        """A new bucket's name."""
        name = f"bucket-{next(_accounts)}"
        s3_backends[account]["aws"].create_bucket(name, "eu-west-1")
        return name

    def governed(self, version: str = "4") -> tuple[str, str]:
        """An account in Lake Formation mode (no IAM-only defaults) and its administrator's ARN."""
        account = self.account()
        admin = self.role(account, "lake-admin")
        self.settings(account, [admin], version)
        return account, admin

    def settings(self, account: str, admins: list[str], version: str = "4", **more: Any) -> None:
        shape = {
            "DataLakeAdmins": [{"DataLakePrincipalIdentifier": admin} for admin in admins],
            "CreateDatabaseDefaultPermissions": [],
            "CreateTableDefaultPermissions": [],
            "Parameters": {"CROSS_ACCOUNT_VERSION": version},
            **more,
        }
        self.call(root(account), "lakeformation:PutDataLakeSettings", DataLakeSettings=shape)

    # -- calls --------------------------------------------------------------------------------------------------------

    def call(self, principal: str, operation: str, **params: Any) -> dict:
        """Make one API call as an IAM principal (ARN): `glue:GetTable`, ..."""
        service, name = operation.split(":")
        model = _models.get_service_model(service).operation_model(name)
        _fits(params, model.input_shape, f"parameters of {operation}")
        allowed.check(service, name, params)
        caller = Caller(account_of(principal), self.world.region, principal, principal)
        result = self.world.handler(service, name)(caller, **params)
        optional = {name for name in result if name not in (model.output_shape.required_members if result else ())}
        shown = {name: value for name, value in result.items() if value != [] or name not in optional}
        _fits(shown, model.output_shape, f"result of {operation}")
        return result

    def pages(self, principal: str, operation: str, member: str, token: str = "NextToken", **params: Any) -> list:
        """All items of a paged call."""
        items, answer = [], {}
        while True:
            answer = self.call(principal, operation, **params)
            items += answer[member]
            if token not in answer:
                return items
            params[token] = answer[token]

    # -- the lake -----------------------------------------------------------------------------------------------------

    def database(self, admin: str, name: str, **more: Any) -> None:
        self.call(admin, "glue:CreateDatabase", DatabaseInput={"Name": name, **more})

    def table(
        self,
        owner: str,
        database: str,
        name: str,
        columns: tuple[str, ...] = ("id", "email", "total"),
        keys: tuple[str, ...] = (),
        location: str = "s3://lake/somewhere",
    ) -> None:
        given = table_input(name, columns, keys, location)
        self.call(owner, "glue:CreateTable", DatabaseName=database, TableInput=given)

    def tag(self, admin: str, key: str, *values: str) -> None:
        self.call(admin, "lakeformation:CreateLFTag", TagKey=key, TagValues=list(values))

    def assign(self, admin: str, resource: dict, **tags: str) -> None:
        pairs = [{"TagKey": key, "TagValues": [value]} for key, value in tags.items()]
        answer = self.call(admin, "lakeformation:AddLFTagsToResource", Resource=resource, LFTags=pairs)
        assert answer["Failures"] == []

    def grant(
        self, by: str, to: str, resource: dict, *permissions: str, grantable: tuple[str, ...] | bool = (), **more: Any
    ) -> None:
        """Grant; `grantable=True` gives the grant option on all that is granted."""
        options = permissions if grantable is True else grantable or ()
        self.call(by, "lakeformation:GrantPermissions", **grant_of(to, resource, permissions, options), **more)

    def revoke(self, by: str, to: str, resource: dict, *permissions: str, grantable: tuple[str, ...] = ()) -> None:
        self.call(by, "lakeformation:RevokePermissions", **grant_of(to, resource, permissions, grantable))

    # -- what is seen and read ----------------------------------------------------------------------------------------

    def reads(self, principal: str, database: str, table: str, catalog: str | None = None) -> set[str]:
        """The columns whose data a principal may read; empty if it does not even see the table."""
        lake, account = self.world.engines["lakeformation"], account_of(principal)
        try:
            return set(lake.resolve_table(principal, account, catalog, database, table).readable)
        except AwsError as error:
            assert error.code in ("EntityNotFoundException", "AccessDeniedException")
            return set()

    def sees(self, principal: str, database: str, table: str, **where: Any) -> list[str] | None:
        """The columns that GetTable shows, or None if there is no such table for the principal."""
        try:
            shape = self.call(principal, "glue:GetTable", DatabaseName=database, Name=table, **where)["Table"]
        except AwsError as error:
            assert error.code == "EntityNotFoundException"
            return None
        return [column["Name"] for column in shape["StorageDescriptor"]["Columns"]]

    def sees_database(self, principal: str, name: str, **where: Any) -> bool:
        try:
            self.call(principal, "glue:GetDatabase", Name=name, **where)
        except AwsError as error:
            assert error.code == "EntityNotFoundException"
            return False
        return True


def _fits(params: dict, shape: Any, what: str) -> None:
    if shape is not None:
        report = ParamValidator().validate(params, shape)
        assert not report.has_errors(), f"{what}: {report.generate_report()}"


def root(account: str) -> str:
    """The administrator that every account has."""
    return f"arn:aws:iam::{account}:user/admin"


def table_input(
    name: str, columns: tuple[str, ...] = ("id",), keys: tuple[str, ...] = (), location: str = "s3://lake/somewhere"
) -> dict:
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {"Columns": [{"Name": c, "Type": "string"} for c in columns], "Location": location},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
    }


def grant_of(to: str, resource: dict, permissions: Any, grantable: Any = ()) -> dict:
    return {
        "Principal": {"DataLakePrincipalIdentifier": to},
        "Resource": resource,
        "Permissions": list(permissions),
        "PermissionsWithGrantOption": list(grantable),
    }


def on_database(name: str, catalog: str | None = None) -> dict:
    return {"Database": _named(catalog, Name=name)}


def on_table(database: str, name: str | None, catalog: str | None = None) -> dict:
    """A table, or with None all tables."""
    which = {"Name": name} if name else {"TableWildcard": {}}
    return {"Table": _named(catalog, DatabaseName=database, **which)}


def on_columns(database: str, table: str, *columns: str, catalog: str | None = None) -> dict:
    return {"TableWithColumns": _named(catalog, DatabaseName=database, Name=table, ColumnNames=list(columns))}


def on_policy(kind: str, catalog: str | None = None, **tags: list[str]) -> dict:
    """An LF-Tag policy: `on_policy("TABLE", domain=["sales"])`."""
    expression = [{"TagKey": key, "TagValues": values} for key, values in tags.items()]
    return {"LFTagPolicy": _named(catalog, ResourceType=kind, Expression=expression)}


def on_tag(key: str, *values: str, catalog: str | None = None) -> dict:
    return {"LFTag": _named(catalog, TagKey=key, TagValues=list(values))}


def on_location(path: str, catalog: str | None = None) -> dict:
    return {"DataLocation": _named(catalog, ResourceArn=f"arn:aws:s3:::{path}")}


def _named(catalog: str | None, **members: Any) -> dict:
    return {"CatalogId": catalog, **members} if catalog else members


@contextmanager
def refused_with(code: str, text: str = "") -> Iterator[None]:
    """The call inside must fail with this error code, and with `text` in its message."""
    with pytest.raises(AwsError) as caught:
        yield
    assert caught.value.code == code, caught.value
    assert text.lower() in caught.value.message.lower(), caught.value


@contextmanager
def lake_world() -> Iterator[Lake]:
    """An empty lake for one test."""
    lake = Lake()
    yield lake
    assert lake.world.failures == []
    lake.world.stop()
