"""`tagmesh doctor`: what gives access to governed data past the LF-Tags, in all accounts of a mesh."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tagmesh import doors, doors_granted, doors_policies, doors_settings, workgroups
from tagmesh.aws import glue, grants, lakeformation, ledger, observation, principals
from tagmesh.catalog import AssignedTags, Table
from tagmesh.doors import DOOR, NOTICE, Door
from tagmesh.governance import EVERYBODY, Consumer, DataProduct
from tagmesh.grants import Grant, Revoke, from_api, to_api
from tagmesh.wording import counted

from cli.local import LocalAwsError
from cli.mesh import Mesh

UNREACHABLE = (ClientError, BotoCoreError)


class UnknownAccount(LocalAwsError):
    """Nothing of the mesh is called that; the text says what there is."""


@dataclass(frozen=True)
class Doctor:
    """Looks into a mesh through its read-only roles."""

    mesh: Mesh
    _readers: dict[str, list[str]] = field(default_factory=dict, init=False)

    # ── What several examinations need ────────────────────────────────────────────────────────────────────────────

    @property
    def central(self) -> str:
        return self.mesh.account

    @cached_property
    def products(self) -> tuple[DataProduct, ...]:
        return self.mesh.governance.data_products

    @cached_property
    def consumers(self) -> Mapping[str, list[Consumer]]:
        """Account -> its consumers."""
        found: dict[str, list[Consumer]] = {}
        for consumer in self.mesh.governance.consumers:
            found.setdefault(consumer.account, []).append(consumer)
        return found

    @cached_property
    def made(self) -> list[tuple[str, Mapping[str, Any]]]:
        """(consumer, its entries in the ledger)."""
        dynamodb = self.mesh.clients("dynamodb")
        return [(each.unit, ledger.made_by(dynamodb, each.unit)) for each in self.mesh.governance.consumers]

    def made_in(self, account: str) -> list[Grant]:
        """The grants that the ledger says we made as an account's administrator."""
        return [grant for _, entries in self.made for grant in grants.made_in(entries, account)]

    @cached_property
    def tables(self) -> list[tuple[Table, AssignedTags]]:
        """Every governed table with its LF-Tags; the tags are read 100 tables a call."""
        lf, key = self.mesh.readers("lakeformation"), self.mesh.governance.lf_tags[0]
        tagged = {(d, t): tags for d, t, tags in lakeformation.search_tables(lf, ((key.name, key.values),))}
        return [
            (table, tagged.get((table.database, table.name), AssignedTags()))
            for product in self.products
            for table in self._tables(product)
        ]

    def _tables(self, product: DataProduct) -> list[Table]:
        if product.database not in self.databases:
            return []  # not crawled yet
        return list(glue.tables(self.mesh.readers("glue"), product.database))

    @cached_property
    def databases(self) -> Mapping[str, Mapping[str, Any]]:
        return glue.databases(self.mesh.readers("glue"))

    def readers(self, account: str) -> Collection[str]:
        """The ARNs of an account's principals that the files name, as far as they are there."""
        if account not in self._readers:
            named = {principal for consumer in self.consumers.get(account, ()) for principal in consumer.principals}
            people = sorted(named - {EVERYBODY})
            found = principals.find(self.mesh.readers_in(account)("iam"), people, account) if people else {}
            self._readers[account] = [arn for arn in found.values() if arn]
        return self._readers[account]

    def everybody(self, account: str) -> list[str]:
        """What Lake Formation calls an account's principals together, where the files name the account as a whole."""
        whole = any(EVERYBODY in consumer.principals for consumer in self.consumers.get(account, ()))
        return [f"{account}:{EVERYBODY.name}"] if whole else []

    def role(self, name: str, account: str = "") -> str:
        return f"arn:aws:iam::{account or self.central}:role/{name}"

    # ── The three kinds of accounts ───────────────────────────────────────────────────────────────────────────────

    def of_central(self) -> Iterator[Door]:
        """Settings, grants, locations, tables, and the catalogue's policy."""
        governance, clients, central = self.mesh.governance, self.mesh.readers, self.central
        lf = clients("lakeformation")
        settings = lf.get_data_lake_settings()["DataLakeSettings"]
        ours = [self.role(name) for name in ("tagmesh-automation", "tagmesh-doctor")]
        reading = [self.role(name) for name in doors_policies.OUR_READERS if name != "tagmesh-automation"]
        readers = [*reading, *self.readers(central)]
        yield from doors_settings.of_settings(settings, central, ours, readers, central=True)
        rows = [from_api(row, central) for row in lakeformation.permissions(lf)]
        crawling = [self.role(name) for name in ("tagmesh-automation", "tagmesh-crawler")]
        administrators = {each["DataLakePrincipalIdentifier"] for each in settings.get("DataLakeAdmins", ())}
        yield from doors_granted.of_grants(governance, central, rows, crawling, administrators)
        named = any("ExpressionName" in row.resource.content for row in rows)
        saved = observation.expressions(lf, central) if named else {}
        yield from doors_granted.of_tag_policies(governance, central, rows, self.made_in(central), self.tables, saved)
        locations = list(observation.pages(lf.list_resources, "ResourceInfoList"))
        hybrid = any(each.get("HybridAccessEnabled") for each in locations)
        opted_in = observation.pages(lf.list_lake_formation_opt_ins, "LakeFormationOptInsInfoList") if hybrid else ()
        people = {each["Principal"]["DataLakePrincipalIdentifier"] for each in opted_in}
        registration = self.role("tagmesh-registration")
        yield from doors_settings.of_locations(self.products, central, locations, registration, people)
        yield from doors_settings.of_databases(governance, central, self.databases.values())
        yield from doors_settings.of_tables(governance, central, self.tables)
        yield from doors_policies.of_catalogue_policy(_catalogue_policy(clients("glue")), central)

    def of_consumer(self, account: str) -> Iterator[Door]:
        """Settings, regrants, links and workgroups of a consuming account."""
        clients = self.mesh.readers_in(account)
        lf = clients("lakeformation")
        settings = lf.get_data_lake_settings()["DataLakeSettings"]
        ours = [self.role(name, account) for name in ("tagmesh-consumer", "tagmesh-consumer-doctor")]
        yield from doors_settings.of_settings(settings, account, ours, self.readers(account), central=False)
        own = [from_api(row, account) for row in lakeformation.permissions(lf)]
        links = {name for name, each in glue.databases(clients("glue")).items() if "TargetDatabase" in each}
        yield from doors_granted.of_links(account, own, links)
        regrants = observation.grants_of(lf, self.central, by_account=account)
        yield from doors_granted.of_regrants(account, regrants, self.made_in(account))
        athena = clients("athena")
        names = [each["Name"] for each in observation.pages(athena.list_work_groups, "WorkGroups")]
        groups = [athena.get_work_group(WorkGroup=name)["WorkGroup"] for name in names if name.startswith("tagmesh")]
        # Those that have a workgroup each share none; the account as a whole has none of its own.
        apart = workgroups.are_apart(self.mesh.governance, account)
        sharing = [*([] if apart else self.readers(account)), *self.everybody(account)]
        yield from doors_settings.of_workgroups(account, groups, sharing)

    def of_producer(self, products: Sequence[DataProduct]) -> Iterator[Door]:
        """Who reads the objects of data products themselves, which lie in one bucket."""
        account, bucket = products[0].account, products[0].bucket
        policy = _bucket_policy(self.mesh.readers_of(products[0])("s3"), bucket)
        readers: Collection[str] = ()
        try:
            readers = self.readers(account) if account in self.consumers else ()
        except UNREACHABLE as error:
            mend = f"deploy accounts/consumer.yaml in {account} with CentralAccountId={self.central}"
            yield doors.not_seen(account, f"readers of s3://{bucket}", str(error), mend)
        named = [*readers, *self.everybody(account)]
        found = [
            door for each in products for door in doors_policies.of_bucket_policy(each, policy, self.central, named)
        ]
        yield from {door.message: door for door in reversed(found)}.values()  # a statement is told of once
        if not readers:
            return
        iam, needs = self.mesh.readers_in(account)("iam"), {product.unit: _objects_of(product) for product in products}
        allowed = {arn: principals.allowed(iam, arn, needs.values()) for arn in readers}
        for product in products:
            reading = {arn: said[needs[product.unit]] for arn, said in allowed.items()}
            yield from doors_policies.of_readers(product, reading)


def examine(mesh: Mesh, asked: Collection[str] = ()) -> list[Door]:
    """Every door, notice, and what could not be looked at; of some accounts, consumers or producers alone, if asked.

    Raises:
        UnknownAccount: what was asked for is none of the mesh.
    """
    doctor, wanted = Doctor(mesh), _wanted(mesh, asked)
    found: list[Door] = []
    if mesh.account in wanted:
        found += doctor.of_central()
    for account in sorted({*doctor.consumers} - {mesh.account}):
        if account in wanted:
            names = ", ".join(consumer.name for consumer in doctor.consumers[account])
            mend = f"deploy accounts/consumer.yaml in {account} with CentralAccountId={mesh.account}"
            found += _tried(lambda a=account: doctor.of_consumer(a), account, f"consumer {names}", mend)
    buckets: dict[str, list[DataProduct]] = {}
    for product in doctor.products:
        if product.account in wanted:
            buckets.setdefault(product.bucket, []).append(product)
    for bucket, products in buckets.items():
        account = products[0].account
        mend = (
            f"deploy accounts/producer.yaml in {account} with BucketName={bucket} and CentralAccountId={mesh.account}"
        )
        found += _tried(lambda some=products: doctor.of_producer(some), account, f"s3://{bucket}", mend)
    order = (DOOR, doors.UNSEEN, NOTICE)
    return sorted(found, key=lambda door: (order.index(door.severity), door.account, door.code, door.subject))


def _wanted(mesh: Mesh, asked: Collection[str]) -> set[str]:
    """The accounts asked for: ids, or names of consumers and producers; all, if none is."""
    named = {member.name: member.account for member in (*mesh.governance.producers, *mesh.governance.consumers)}
    known = {mesh.account, *named.values()}
    found = set()
    for each in asked:
        if each not in named and each not in known:
            raise UnknownAccount(
                f"{each} is no account, consumer or producer of the mesh; there are {', '.join(sorted(named))} and the "
                f"central account {mesh.account}"
            )
        found.add(named.get(each, each))
    return found or known


def _tried(look: Callable[[], Iterator[Door]], account: str, subject: str, mend: str) -> list[Door]:
    """What was found, also before something could not be looked at."""
    found: list[Door] = []
    try:
        for door in look():
            found.append(door)
    except UNREACHABLE as error:
        found.append(doors.not_seen(account, subject, str(error), mend))
    return found


def _catalogue_policy(client: Any) -> Mapping[str, Any] | None:
    try:
        return json.loads(client.get_resource_policy()["PolicyInJson"])
    except client.exceptions.EntityNotFoundException:
        return None


def _bucket_policy(s3: Any, bucket: str) -> Mapping[str, Any] | None:
    try:
        return json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        return None


def _objects_of(product: DataProduct) -> tuple[str, str]:
    return "s3:GetObject", f"arn:aws:s3:::{product.bucket}/{product.prefix}*"


_WHO_MENDS = "be an administrator of Lake Formation in {}, or name a role that is with --as"


# ── Mending ───────────────────────────────────────────────────────────────────────────────────────────────────────


def mend(mesh: Mesh, found: Collection[Door], role: str | None = None) -> Iterator[tuple[Door, str]]:
    """Mends what can be mended safely, with the caller's own rights or those of a role that he assumes; each door with
    why it could not be ("" where it is)."""
    lf = (mesh.assume(mesh.clients, role) if role else mesh.clients)("lakeformation")
    for door in found:
        if door.fix is None:
            continue
        try:
            if door.fix.kind == "close_defaults":
                settings = lf.get_data_lake_settings()["DataLakeSettings"]
                closed = {"CreateDatabaseDefaultPermissions": [], "CreateTableDefaultPermissions": []}
                lf.put_data_lake_settings(DataLakeSettings={**lakeformation.writable(settings), **closed})
            else:
                grant = door.fix.grant
                revoke = Revoke(grant.principal, grant.resource, grant.permissions)
                refused = lakeformation.revoke(lf, [to_api(revoke)])
                if refused:
                    yield door, f"{refused[0]}; {_WHO_MENDS.format(door.account)}"
                    continue
        except UNREACHABLE as error:
            yield door, f"{error}; {_WHO_MENDS.format(door.account)}"
            continue
        yield door, ""


# ── Saying ────────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(found: Collection[Door]) -> list[str]:
    """For people: each door with what it means and what to do."""
    count = {severity: sum(door.severity == severity for door in found) for severity in (DOOR, doors.UNSEEN, NOTICE)}
    said = [
        f"{counted(count[DOOR], 'door')}, {counted(count[NOTICE], 'notice')}"
        + (f", {counted(count[doors.UNSEEN], 'place')} that could not be looked at" if count[doors.UNSEEN] else "")
    ]
    for door in found:
        said += ["", f"{door.severity.upper():7} {door.code}  {door.subject} (account {door.account})"]
        said += [f"        {door.message}", f"        mend: {door.mend}"]
    return said


def to_json(found: Collection[Door]) -> list[dict[str, Any]]:
    """As `tagmesh doctor --json` prints it."""
    return [
        {
            "severity": door.severity,
            "code": door.code,
            "account": door.account,
            "subject": door.subject,
            "unit": door.unit or None,
            "message": door.message,
            "mend": door.mend,
            "fixable": door.fix is not None,
        }
        for door in found
    ]
