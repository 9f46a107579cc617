"""A running mesh, as the commands see it: its governance in force, and its catalogue with the LF-Tags it carries."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tagmesh import days, evidence
from tagmesh.aws import decisions, evidence_store, glue, governance_store, lakeformation, ledger, removal, units
from tagmesh.catalog import AssignedTags, Table
from tagmesh.governance import DataProduct, Governance
from tagmesh.preview import Made

from cli import local
from cli.demo_accounts import Identity, Place
from cli.project import state_folder

UNITS_TABLE, LEDGER_TABLE = "tagmesh-units", "tagmesh-ledger"
DOCTOR = "tagmesh-doctor"
"""The read-only role of the central account, which reads the catalogue, and from which the others are assumed."""

Clients = Callable[[str], Any]
"""service -> boto3 client, of one account as one principal."""


class NoMesh(local.LocalAwsError):
    """There is no mesh to ask; the text says what to do."""


def remember(port: int, central: str, region: str) -> None:
    """Notes which account of a local AWS is the central one, for the commands that ask it."""
    (state_folder(port) / "mesh.json").write_text(json.dumps({"central": central, "region": region}), encoding="utf-8")


@dataclass(frozen=True)
class Mesh:
    """The central account, through whose clients everything is read. ``clients`` are the operator's own;
    ``signed_in`` makes clients from what AssumeRole answers (its Credentials). ``day`` is the day there (UTC), "" where
    it is that of this machine."""

    account: str
    region: str
    clients: Clients
    signed_in: Callable[[Mapping[str, Any]], Clients]
    day: str = ""

    def __post_init__(self) -> None:
        # As the template tells the functions, whose modules read them here too.
        os.environ["GOVERNANCE_BUCKET"] = f"tagmesh-governance-{self.account}-{self.region}"
        os.environ["UNITS_TABLE"] = UNITS_TABLE
        os.environ["LEDGER_TABLE"] = LEDGER_TABLE
        machines = f"arn:aws:states:{self.region}:{self.account}:stateMachine"
        os.environ["APPROVE_MACHINE_ARN"] = f"{machines}:tagmesh-approve"

    @property
    def today(self) -> str:
        """The day that expiries are held against: 2027-03-31."""
        return self.day or days.today()

    @cached_property
    def readers(self) -> Clients:
        """The central account as its read-only role sees it. Raises NoMesh where that cannot be assumed."""
        try:
            return self.assume(self.clients, f"arn:aws:iam::{self.account}:role/{DOCTOR}")
        except ClientError as error:
            raise NoMesh(
                f"the role {DOCTOR} of account {self.account} cannot be assumed: {error}; deploy template.yaml there, "
                "and allow sts:AssumeRole on that role to whom the credentials in the environment are of"
            ) from error

    def readers_in(self, consumer_account: str) -> Clients:
        """A consumer's account as its read-only role sees it; the central one as `readers` do.

        Raises ClientError where the role cannot be assumed: accounts/consumer.yaml is not deployed there, say."""
        if consumer_account == self.account:
            return self.readers
        return self.assume(self.readers, f"arn:aws:iam::{consumer_account}:role/tagmesh-consumer-doctor")

    def readers_of(self, product: DataProduct) -> Clients:
        """A data product's bucket as the read-only role of its producer's stack sees it.

        Raises ClientError where the role cannot be assumed: accounts/producer.yaml is not deployed for that bucket."""
        role = f"arn:aws:iam::{product.account}:role/tagmesh-producer-doctor/{product.bucket}"
        return self.assume(self.readers, role)

    def assume(self, clients: Clients, role: str) -> Clients:
        """Clients of a role, by its ARN, that those of somebody else may assume. Raises ClientError."""
        sts = clients("sts")
        issued = sts.assume_role(RoleArn=role, RoleSessionName="tagmesh", ExternalId=f"tagmesh-{self.account}")
        return self.signed_in(issued["Credentials"])

    @cached_property
    def governance(self) -> Governance:
        """The version in force. Raises NoMesh if there is none."""
        s3, dynamodb = self.clients("s3"), self.clients("dynamodb")
        try:
            return governance_store.current(s3, dynamodb, self.today)
        except (governance_store.NoGovernance, dynamodb.exceptions.ResourceNotFoundException) as error:
            raise NoMesh(
                f"account {self.account} in {self.region} has no mesh with a governance version: {error}"
            ) from error

    def tables(self, product: DataProduct) -> Iterator[Table]:
        """The tables of a data product, as crawled; none before its first crawl."""
        return glue.tables(self.readers("glue"), product.database)

    def tags(self, table: Table) -> AssignedTags:
        """The LF-Tags that a table and its columns carry now."""
        return lakeformation.tags_of(self.readers("lakeformation"), table)

    def content(self, product: DataProduct, table: str) -> dict[str, list[str]]:
        """What samples of its content showed: column or ``column.path`` -> kinds."""
        if product.sample_content is None:
            return {}
        kept = evidence_store.read_kept(self.clients("s3"), product)
        return evidence.content_of(kept, table)

    def closed(self, product: DataProduct) -> Callable[[str], str]:
        """Table -> why it is closed whatever the rules say; "" where it is not."""
        unit = units.read(self.clients("dynamodb"), product.unit)
        return lambda table: decisions.closed_because(unit, table)

    def made(self, product: DataProduct) -> Made:
        """What was made for a data product, as the ledger has it, and whether its database is there."""
        entries = ledger.made_by(self.clients("dynamodb"), product.unit)
        found = glue.database(self.readers("glue"), product.database)

        def of(kind: str) -> list[str]:
            return [key.removeprefix(kind) for key in entries if key.startswith(kind)]

        return Made(
            crawler=product.crawler,
            database=product.database if found else "",
            owns_database=found is not None and bool(of(removal.DATABASE)) and glue.is_ours(product, found),
            crawlers=tuple(of(removal.CRAWLER)),
            locations=tuple(arn.replace("arn:aws:s3:::", "s3://") for arn in of(removal.LOCATION)),
        )


def find(port: int | None) -> Mesh:
    """The mesh of the local AWS at a port, or, without one, of the account whose credentials are in the environment.

    Raises NoMesh where there is none."""
    return _local(port) if port is not None else _real()


def clients_of(port: int | None, account: str | None) -> Clients:
    """What makes an administrator's clients, of any account of the mesh: of the local AWS at a port, where the central
    one is meant if none is said, or of the account whose credentials are in the environment.

    Raises NoMesh where there is none, or the credentials are another account's."""
    if port is not None:
        noted = _noted(port)
        return Place(f"http://127.0.0.1:{port}", noted["region"]).administrator(account or noted["central"]).client
    mesh = _real()
    if account not in (None, mesh.account):
        raise NoMesh(f"the credentials in the environment are of account {mesh.account}, not of {account}")
    return mesh.clients


def _local(port: int) -> Mesh:
    noted = _noted(port)
    admin = Place(f"http://127.0.0.1:{port}", noted["region"]).administrator(noted["central"])

    def signed_in(issued: Mapping[str, Any]) -> Clients:
        keys = (issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])
        return Identity(admin.place, *keys).client

    day = local.today(port)  # its clock may have been moved
    return Mesh(noted["central"], noted["region"], admin.client, signed_in, day)


def _noted(port: int) -> dict[str, str]:
    """What is noted of the mesh of the local AWS at a port. Raises NoMesh where there is none."""
    if local.find(port) is None:
        raise NoMesh(f"no local AWS runs at port {port}: start a mesh there with `tagmesh demo --keep --port {port}`")
    try:
        return json.loads(Path(state_folder(port) / "mesh.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoMesh(
            f"the local AWS at port {port} has no mesh: `tagmesh demo --keep --port {port}` makes one"
        ) from None


def _real() -> Mesh:
    import boto3

    session = boto3.Session()
    if session.region_name is None:
        raise NoMesh(
            "no Region is set: set AWS_DEFAULT_REGION, or the profile's region, to the central account's, or ask a "
            "local mesh with --port"
        )
    try:
        account = session.client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise NoMesh(
            f"no AWS credentials that work ({error}): use the central account's, as somebody who reads its catalogue, "
            "or ask a local mesh with --port"
        ) from error

    def signed_in(issued: Mapping[str, Any]) -> Clients:
        keys = {"aws_access_key_id": issued["AccessKeyId"], "aws_secret_access_key": issued["SecretAccessKey"]}
        token = issued["SessionToken"]
        return boto3.Session(**keys, aws_session_token=token, region_name=session.region_name).client

    return Mesh(account, session.region_name, session.client, signed_in)
