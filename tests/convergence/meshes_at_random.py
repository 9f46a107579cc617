"""Meshes made at random, right in most places and wrong in some, and what the local Athena gives everybody in them.

Everything is done through the local AWS's own API, as the accounts' administrators: what it refuses does not happen.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from convergence.doubles import CENTRAL, REGION, Identities
from convergence.mesh_in_process import MeshInProcess
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from tagmesh.aws import observation
from tagmesh.governance import Governance, load
from tagmesh.observed import Observed, Who

from local_aws.access import actions, authorization, identity
from local_aws.access.simulator import PolicySimulator
from local_aws.athena.engine import Athena
from local_aws.wire import AwsError

PRODUCER, INSIDE, OUTSIDE = "111111111111", "333333333333", "444444444444"
RAW = f"raw-{PRODUCER}"
DOMAINS, LEVELS = ("sales", "hr"), ("open", "inner", "secret", "unknown")
GRANTABLE = ("SELECT", "DESCRIBE")
IAM_ALLOWED = "IAM_ALLOWED_PRINCIPALS"
CREATES = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"},
}


class Iam(Identities):
    """IAM as observers ask it, the policy simulator included."""

    def __init__(self, world: Any) -> None:
        self.SimulatePrincipalPolicy = PolicySimulator(world).SimulatePrincipalPolicy


class Results:
    """The S3 clients with which Athena writes results, and with which it would read files: here there are none."""

    class Nowhere:
        def put_object(self, **_: Any) -> None:
            """Takes what it is given."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def of_caller(self, caller: Any) -> tuple[Any, Any]:
        return self.Nowhere(), caller

    def of_role(self, role_arn: str, _region: str) -> tuple[Any, Any]:
        issued = identity.assume_as_service(self._world, role_arn, "athena", "lakeformation.amazonaws.com")
        return self.Nowhere(), issued.caller


ORGANIZATION = "o-examplemesh1"
UNIT = f"arn:aws:organizations::{CENTRAL}:ou/{ORGANIZATION}/ou-exam-readers12"


@cache
def governance(unit: bool = False) -> Governance:
    """Two data products and four consumers: one in the organization, one outside, the producer's account, the central
    one. With `unit`, two are granted to as the organizational unit that they are in."""

    def consumer(name: str, account: str, *subscriptions: str) -> str:
        of_unit = f"organizational_unit: {UNIT}\n" if unit and account in (INSIDE, PRODUCER) else ""
        return f'consumer: {name}\naccount: "{account}"\n{of_unit}subscriptions:\n' + "".join(subscriptions)

    def subscription(name: str, tags: str, *roles: str) -> str:
        named = "".join(f"      - role: {role}\n" for role in roles)
        return f"  - name: {name}\n    tags: {tags}\n    principals:\n{named}"

    products = "".join(
        f"  - name: {domain}\n    location: s3://{RAW}/{domain}/\n    tags: {{domain: {domain}}}\n"
        for domain in DOMAINS
    )
    files = {
        "mesh.yaml": (
            "version: 1\nlf_tags:\n"
            "  domain: {values: [sales, hr, none], default: none}\n"
            f"  level: {{values: [{', '.join(LEVELS)}], ordered: true, default: unknown}}\n"
        ),
        "producers/p.yaml": f'producer: p\naccount: "{PRODUCER}"\ndata_products:\n{products}',
        "consumers/inside.yaml": consumer(
            "inside",
            INSIDE,
            subscription("some", "{domain: [sales], level: [open]}", "Ann", "Bob"),
            subscription("more", "{domain: [sales, hr], level: [open, inner]}", "Bob"),
        ),
        "consumers/outside.yaml": consumer(
            "outside", OUTSIDE, subscription("all", "{domain: [sales, hr]}", "Ann", "Bob")
        ),
        "consumers/own.yaml": consumer("own", PRODUCER, subscription("hr", "{domain: [hr], level: [open]}", "Ann")),
        "consumers/home.yaml": consumer("home", CENTRAL, subscription("sales", "{domain: [sales]}", "Ann", "Bob")),
    }
    return load(files)


class RandomMesh:
    """One mesh of a seed. Use as a context manager; at most one at a time in a process."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.by_unit = seed % 4 == 3
        self.governance = governance(self.by_unit)
        self._readers: dict[str, identity.Caller] = {}

    def __enter__(self) -> RandomMesh:
        self._mesh = MeshInProcess().__enter__()
        self.world = self._mesh.world
        self.world.submit = lambda work, *given: work(*given)
        self._mesh._doubles["iam"] = Iam(self.world)
        self.athena = Athena(self.world)
        self.athena._tables.clients = Results(self.world)
        self._mesh.with_engine(self.athena)
        self._make()
        return self

    def __exit__(self, *_: object) -> None:
        self._mesh.__exit__()

    def often(self) -> bool:
        return self.chance.random() < 0.97

    def seldom(self) -> bool:
        return self.chance.random() < 0.1

    # -- making ---------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        self._accounts()
        self._catalogue()
        steps = [self._share, self._doors, self._tags, self._locations]
        if self.seldom():
            self.chance.shuffle(steps)
        for step in steps:
            step()
        for consumer in self.governance.consumers:
            if consumer.account != CENTRAL:
                self._accept(consumer.account)
                self._consume(consumer)
        self._wrongs()

    def do(self, account: str, service: str, operation: str, **given: Any) -> Any:
        """A call as an account's administrator; None where it is refused."""
        try:
            return self.world.handler(service, operation)(self.admins[account], **given)
        except AwsError as error:
            assert error.code != "LocalAwsNotSupported", error.message
            return None

    def _accounts(self) -> None:
        mesh, inside = self._mesh, self.chance.random() < 0.8
        self.world.organization["ram_sharing"] = inside
        if self.by_unit:
            accounts = [INSIDE, PRODUCER] if self.often() else [INSIDE]
            self.world.organization.update(id=ORGANIZATION, units={UNIT: accounts})
        self.admins = {CENTRAL: mesh.automation}
        for account in (INSIDE, OUTSIDE, PRODUCER):
            mesh.account(account, "tagmesh-consumer", organization=account != OUTSIDE)
            arn = f"arn:aws:iam::{account}:role/tagmesh-consumer"
            self.admins[account] = identity.issue(self.world, arn, "test").caller
        version = self.chance.choice("1333344444444445")
        settings = self.world.handler("lakeformation", "GetDataLakeSettings")(mesh.automation)["DataLakeSettings"]
        settings["Parameters"] = {"CROSS_ACCOUNT_VERSION": version}
        self.do(CENTRAL, "lakeformation", "PutDataLakeSettings", DataLakeSettings=settings)
        s3_backends[PRODUCER]["aws"].create_bucket(RAW, REGION)
        self._registration_role()
        self.people: dict[str, str] = {}
        for account in (INSIDE, OUTSIDE, PRODUCER, CENTRAL):
            s3_backends[account]["aws"].create_bucket(f"results-{account}", REGION)
            where = {"ResultConfiguration": {"OutputLocation": f"s3://results-{account}/"}}
            self.do(account, "athena", "CreateWorkGroup", Name="tagmesh", Configuration=where)
            for name in ("Ann", "Bob", "Eve"):
                if name == "Eve" or self.often():
                    self.people[self._role(account, name)] = name

    def _registration_role(self) -> None:
        """The role that Lake Formation lends, and a bucket that admits it."""
        backend = iam_backends[CENTRAL]["aws"]
        trusted = {
            "Effect": "Allow",
            "Principal": {"Service": "lakeformation.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        name = "tagmesh-registration"
        backend.get_role(name).assume_role_policy_document = json.dumps(
            {"Version": "2012-10-17", "Statement": [trusted]}
        )
        admitted = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:role/{name}"},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{RAW}", f"arn:aws:s3:::{RAW}/*"],
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [admitted]})
        s3_backends[PRODUCER]["aws"].put_bucket_policy(RAW, document.encode())

    def _role(self, account: str, name: str) -> str:
        """A role whose IAM is enough for a reader, or lacks something."""
        statements = [
            {"Effect": "Allow", "Action": ["athena:*"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["glue:Get*"], "Resource": "*"},
            {"Effect": "Allow", "Action": "lakeformation:GetDataAccess", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation", "s3:PutObject", "s3:GetObject", "s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::results-{account}", f"arn:aws:s3:::results-{account}/*"],
            },
        ]
        if self.seldom():
            glue = f"arn:aws:glue:{REGION}"
            lacks = self.chance.choice(
                [
                    {"Effect": "Deny", "Action": "lakeformation:GetDataAccess", "Resource": "*"},
                    {"Effect": "Deny", "Action": "glue:GetTable", "Resource": f"{glue}:{CENTRAL}:*"},
                    {"Effect": "Deny", "Action": "glue:GetDatabase", "Resource": f"{glue}:{account}:database/p_hr"},
                    {"Effect": "Deny", "Action": "glue:GetPartitions", "Resource": "*"},
                    {"Effect": "Deny", "Action": "glue:*", "Resource": f"{glue}:*:table/p_sales/t0"},
                    {"Effect": "Deny", "Action": "athena:GetQueryResults", "Resource": "*"},
                    {"Effect": "Deny", "Action": "athena:Start*", "Resource": "arn:aws:athena:*:*:workgroup/tagmesh"},
                ]
            )
            statements.append(lacks)
        if self.seldom():
            statements.append({"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"})
        if self.chance.random() < 0.03:
            statements = statements[self.chance.randrange(1, 4) :]
        arn = self._mesh.role(account, name)
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam_backends[account]["aws"].put_role_policy(name, "everything", document)
        return arn

    def _catalogue(self) -> None:
        for key, values in (("domain", [*DOMAINS, "none"]), ("level", list(LEVELS))):
            self.do(CENTRAL, "lakeformation", "CreateLFTag", TagKey=key, TagValues=values)
        self.tables: dict[tuple[str, str], list[str]] = {}
        for product in self.governance.data_products:
            given = {"Name": product.database, "LocationUri": product.location, "CreateTableDefaultPermissions": []}
            self.do(CENTRAL, "glue", "CreateDatabase", DatabaseInput=given)
            for number in range(self.chance.choice((1, 2, 2, 3))):
                self._table(product.database, f"t{number}", f"{product.location}t{number}/")

    def _table(self, database: str, name: str, location: str) -> None:
        columns = [f"c{number}" for number in range(self.chance.choice((1, 2, 3, 4)))]
        keys = [f"k{number}" for number in range(self.chance.choice((0, 0, 1, 2)))]
        storage = {"Columns": [{"Name": c, "Type": "string"} for c in columns], "Location": location, **CREATES}
        made = {
            "Name": name,
            "StorageDescriptor": storage,
            "PartitionKeys": [{"Name": k, "Type": "string"} for k in keys],
        }
        self.do(CENTRAL, "glue", "CreateTable", DatabaseName=database, TableInput=made)
        self.tables[database, name] = columns + keys
        if keys:
            part = {"Values": ["1"] * len(keys), "StorageDescriptor": {**storage, "Location": f"{location}1/"}}
            self.do(CENTRAL, "glue", "CreatePartition", DatabaseName=database, TableName=name, PartitionInput=part)

    # -- tags, locations ------------------------------------------------------------------------------------------

    def _assign(self, resource: dict, key: str, value: str) -> None:
        pair = {"TagKey": key, "TagValues": [value]}
        self.do(CENTRAL, "lakeformation", "AddLFTagsToResource", Resource=resource, LFTags=[pair])

    def _tags(self) -> None:
        for product in self.governance.data_products:
            if self.often():
                domain = product.name if self.often() else self.chance.choice(DOMAINS)
                self._assign({"Database": {"Name": product.database}}, "domain", domain)
            if self.often():
                self._assign({"Database": {"Name": product.database}}, "level", "unknown")
        for (database, table), columns in self.tables.items():
            if self.seldom():
                level = self.chance.choice(LEVELS)
                self._assign({"Table": {"DatabaseName": database, "Name": table}}, "level", level)
            for column in columns:
                if self.chance.random() < 0.75:
                    self._tag_column(database, table, column)

    def _tag_column(self, database: str, table: str, column: str) -> None:
        named = {"DatabaseName": database, "Name": table, "ColumnNames": [column]}
        key, values = ("level", LEVELS) if self.often() else ("domain", DOMAINS)
        self._assign({"TableWithColumns": named}, key, self.chance.choice(values))

    def _locations(self) -> None:
        role = f"arn:aws:iam::{CENTRAL}:role/tagmesh-registration"
        places = [f"{RAW}/{domain}" for domain in DOMAINS if self.often()]
        places += [f"{RAW}/sales/t0"] if self.seldom() else []
        for place in places:
            arn, hybrid = f"arn:aws:s3:::{place}", self.chance.random() < 0.2
            given = {"ResourceArn": arn, "RoleArn": role, "UseServiceLinkedRole": False, "HybridAccessEnabled": hybrid}
            self.do(CENTRAL, "lakeformation", "RegisterResource", **given)
            if hybrid:
                self._opt_in_below(place)

    def _opt_in_below(self, place: str) -> None:
        """Opts some in on what lies in a place that is in hybrid mode."""
        for database, table in self.tables:
            if database.removeprefix("p_") in place:
                for _ in range(self.chance.randint(0, 2)):
                    self._opt_in(database, table)

    # -- grants ---------------------------------------------------------------------------------------------------

    def grant(self, by: str, to: str, resource: dict, permissions: Any, options: Any = ()) -> None:
        given = {
            "Principal": {"DataLakePrincipalIdentifier": to},
            "Resource": resource,
            "Permissions": list(permissions),
            "PermissionsWithGrantOption": list(options),
        }
        self.do(by, "lakeformation", "GrantPermissions", **given)

    @staticmethod
    def policy(kind: str, expression: Any) -> dict:
        pairs = [{"TagKey": key, "TagValues": list(values)} for key, values in expression]
        return {"LFTagPolicy": {"CatalogId": CENTRAL, "ResourceType": kind, "Expression": pairs}}

    def _share(self) -> None:
        """What the central account grants to accounts, and to its own principals."""
        for consumer in self.governance.consumers:
            for each in consumer.subscriptions:
                tables = self.policy("TABLE", each.table_expression)
                databases = self.policy("DATABASE", each.database_expression)
                if consumer.account == CENTRAL:
                    self._to_people(consumer, each, tables, databases)
                    continue
                options = self.often()
                if self.often():
                    self.grant(CENTRAL, consumer.recipient, tables, GRANTABLE, GRANTABLE if options else ())
                if self.often():
                    self.grant(CENTRAL, consumer.recipient, databases, ["DESCRIBE"], ["DESCRIBE"])
                for key, values in each.table_expression:
                    if self.often():
                        tag = {"LFTag": {"CatalogId": CENTRAL, "TagKey": key, "TagValues": list(values)}}
                        self.grant(CENTRAL, consumer.recipient, tag, ["DESCRIBE"], ["DESCRIBE"])

    def _to_people(self, consumer: Any, subscription: Any, tables: dict, databases: dict) -> None:
        for principal in subscription.principals:
            arn = f"arn:aws:iam::{consumer.account}:role/{principal.name}"
            if self.often():
                self.grant(consumer.account, arn, tables, GRANTABLE)
            if self.often():
                self.grant(consumer.account, arn, databases, ["DESCRIBE"])

    def _accept(self, account: str) -> None:
        found = self.do(account, "ram", "GetResourceShareInvitations")["resourceShareInvitations"]
        for each in found:
            if each["status"] == "PENDING" and self.often():
                arn = each["resourceShareInvitationArn"]
                operation = "AcceptResourceShareInvitation" if self.often() else "RejectResourceShareInvitation"
                self.do(account, "ram", operation, resourceShareInvitationArn=arn)

    def _consume(self, consumer: Any) -> None:
        """Links, DESCRIBE on them and on `default`, and regrants in a consumer's account."""
        account = consumer.account
        if self.chance.random() < 0.4:
            self.do(account, "glue", "CreateDatabase", DatabaseInput={"Name": "default"})
        for product in self.governance.data_products:
            if self.often():
                name = product.database if self.often() else f"my_{product.name}"
                target = {"CatalogId": CENTRAL, "DatabaseName": product.database}
                link = {"Name": name, "TargetDatabase": target}
                self.do(account, "glue", "CreateDatabase", DatabaseInput=link)
                self._describe(consumer, name)
            elif self.seldom():
                self.do(account, "glue", "CreateDatabase", DatabaseInput={"Name": product.database})
        self._describe(consumer, "default")
        for each in consumer.subscriptions:
            tables = self.policy("TABLE", each.table_expression)
            databases = self.policy("DATABASE", each.database_expression)
            self._to_people(consumer, each, tables, databases)

    def _describe(self, consumer: Any, database: str) -> None:
        names = {p.name for p in consumer.principals} | ({"Eve"} if self.seldom() else set())
        for name in sorted(names):
            if self.often():
                arn = f"arn:aws:iam::{consumer.account}:role/{name}"
                self.grant(consumer.account, arn, {"Database": {"Name": database}}, ["DESCRIBE"])

    # -- what is wrong --------------------------------------------------------------------------------------------

    def _doors(self) -> None:
        """What IAMAllowedPrincipals has, and who is opted in on what is in hybrid mode."""
        for database, table in self.tables:
            if self.chance.random() < 0.03:
                self.grant(CENTRAL, IAM_ALLOWED, {"Database": {"Name": database}}, ["ALL"])
            if self.chance.random() < 0.06:
                self.grant(CENTRAL, IAM_ALLOWED, {"Table": {"DatabaseName": database, "Name": table}}, ["ALL"])
            if self.seldom():
                self._opt_in(database, table)

    def _opt_in(self, database: str, table: str) -> None:
        resources = [
            {"Database": {"Name": database}},
            {"Table": {"DatabaseName": database, "Name": table}},
            {"Table": {"DatabaseName": database, "TableWildcard": {}}},
        ]
        for resource in resources:
            if self.chance.random() < 0.6:
                who = {"DataLakePrincipalIdentifier": self._somebody()}
                self.do(CENTRAL, "lakeformation", "CreateLakeFormationOptIn", Principal=who, Resource=resource)

    def _somebody(self) -> str:
        account = self.chance.choice((INSIDE, OUTSIDE, PRODUCER, CENTRAL))
        people = sorted(arn for arn in self.people if f"::{account}:" in arn)
        return self.chance.choice([*people, *people, f"{account}:IAMPrincipals", account])

    def _wrongs(self) -> None:
        """Some of what people do by hand."""
        acts = [
            self._named_grant,
            self._named_grant,
            self._grant_at_home,
            self._grant_at_home,
            self._grant_at_home,
            self._regrant,
            self._regrant,
            self._tag_expression,
            self._retag,
            self._retag,
            self._administrator,
            self._direct_grant,
            self._direct_grant,
            self._takes_away,
            self._takes_away,
            self._takes_away,
            self._lose,
            self._doors,
            self._on_link,
        ]
        for _ in range(self.chance.choice((0, 1, 3, 6, 12))):
            self.chance.choice(acts)()

    def _resource(self, catalog: str | None = CENTRAL) -> tuple[dict, list[str]]:
        """Something in the central catalogue, and permissions on it."""
        database, table = self.chance.choice(sorted(self.tables))
        of_table = {"CatalogId": catalog, "DatabaseName": database}
        columns = self.tables[database, table]
        some = self.chance.sample(columns, self.chance.randint(1, len(columns)))
        level = ["*"] if self.seldom() else self.chance.sample(LEVELS, self.chance.randint(1, 3))
        expressions = [[("level", level)], [("domain", self.chance.sample(DOMAINS, 1)), ("level", level)]]
        return self.chance.choice(
            [
                ({"Database": {"CatalogId": catalog, "Name": database}}, ["DESCRIBE"]),
                ({"Database": {"CatalogId": catalog, "Name": database}}, ["ALTER"]),
                ({"Table": {**of_table, "Name": table}}, ["SELECT", "DESCRIBE"]),
                ({"Table": {**of_table, "Name": table}}, ["DESCRIBE"]),
                ({"Table": {**of_table, "Name": table}}, ["ALL"]),
                ({"Table": {**of_table, "TableWildcard": {}}}, ["SELECT"]),
                ({"TableWithColumns": {**of_table, "Name": table, "ColumnNames": some}}, ["SELECT"]),
                (
                    {
                        "TableWithColumns": {
                            **of_table,
                            "Name": table,
                            "ColumnWildcard": {"ExcludedColumnNames": [some[0]]},
                        }
                    },
                    ["SELECT"],
                ),
                (self.policy("TABLE", self.chance.choice(expressions)), ["SELECT"]),
                (self.policy("TABLE", self.chance.choice(expressions)), ["ALL"]),
                (self.policy("DATABASE", [("domain", self.chance.sample(DOMAINS, 1))]), ["DESCRIBE"]),
            ]
        )

    def _named_grant(self) -> None:
        resource, permissions = self._resource()
        options = permissions if self.chance.random() < 0.4 else []
        self.grant(CENTRAL, self._somebody(), resource, permissions, options)

    def _grant_at_home(self) -> None:
        people = sorted(arn for arn in self.people if f"::{CENTRAL}:" in arn)
        self.grant(CENTRAL, self.chance.choice([*people, f"{CENTRAL}:IAMPrincipals"]), *self._resource())

    def _direct_grant(self) -> None:
        """The central account grants a principal of another account a table, and mostly what it needs besides."""
        account = self.chance.choice((INSIDE, OUTSIDE, PRODUCER))
        people = sorted(arn for arn in self.people if f"::{account}:" in arn)
        to = self.chance.choice([*people, f"{account}:IAMPrincipals"])
        resource, permissions = self._resource()
        self.grant(CENTRAL, to, resource, permissions)
        for product in self.governance.data_products:
            if self.often():
                self.grant(CENTRAL, to, {"Database": {"Name": product.database}}, ["DESCRIBE"])
                self.grant(account, to, {"Database": {"Name": product.database}}, ["DESCRIBE"])
        if self.chance.random() < 0.5:
            self._accept(account)

    def _regrant(self) -> None:
        account = self.chance.choice((INSIDE, OUTSIDE, PRODUCER))
        people = sorted(arn for arn in self.people if f"::{account}:" in arn)
        resource, permissions = self._resource()
        self.grant(account, self.chance.choice([*people, f"{account}:IAMPrincipals"]), resource, permissions)

    def _tag_expression(self) -> None:
        """A named LF-Tag expression, of which the local AWS grants only at home."""
        level = self.chance.sample(LEVELS, 2)
        body = [{"TagKey": "level", "TagValues": level}]
        self.do(CENTRAL, "lakeformation", "CreateLFTagExpression", Name="Named", Expression=body)
        policy = {"LFTagPolicy": {"CatalogId": CENTRAL, "ResourceType": "TABLE", "ExpressionName": "Named"}}
        people = sorted(arn for arn in self.people if f"::{CENTRAL}:" in arn)
        self.grant(CENTRAL, self.chance.choice(people), policy, ["SELECT", "DESCRIBE"])

    def _retag(self) -> None:
        database, table = self.chance.choice(sorted(self.tables))
        self._tag_column(database, table, self.chance.choice(self.tables[database, table]))

    def _administrator(self) -> None:
        arn = self.chance.choice(sorted(self.people))
        account = arn.split(":")[4]
        handler = self.world.handler("lakeformation", "GetDataLakeSettings")
        settings = handler(self.admins[account])["DataLakeSettings"]
        settings[self.chance.choice(("DataLakeAdmins", "ReadOnlyAdmins"))].append({"DataLakePrincipalIdentifier": arn})
        self.do(account, "lakeformation", "PutDataLakeSettings", DataLakeSettings=settings)

    def _takes_away(self) -> None:
        """Revokes one of the grants that there are."""
        account = self.chance.choice([CENTRAL, CENTRAL, *sorted(self.admins)])
        rows = self.do(account, "lakeformation", "ListPermissions", CatalogId=CENTRAL)["PrincipalResourcePermissions"]
        rows = [row for row in rows if "tagmesh-" not in row["Principal"]["DataLakePrincipalIdentifier"]]
        if rows:
            row = self.chance.choice(rows)
            members = ("Principal", "Resource", "Permissions", "PermissionsWithGrantOption")
            self.do(account, "lakeformation", "RevokePermissions", **{name: row[name] for name in members})

    def _lose(self) -> None:
        """Something goes: an LF-Tag, a link, a registered location, a role."""
        kind = self.chance.choice(("tag", "link", "location", "role"))
        account = self.chance.choice((INSIDE, OUTSIDE, PRODUCER))
        if kind == "tag" and self.seldom():
            self.do(CENTRAL, "lakeformation", "DeleteLFTag", TagKey=self.chance.choice(("domain", "level")))
        elif kind == "link":
            self.do(account, "glue", "DeleteDatabase", Name=self.chance.choice(("p_sales", "p_hr", "my_sales")))
        elif kind == "location":
            self.do(CENTRAL, "lakeformation", "DeregisterResource", ResourceArn=f"arn:aws:s3:::{RAW}/sales")
        elif kind == "role" and self.seldom():
            arn = self.chance.choice(sorted(self.people))
            backend = iam_backends[arn.split(":")[4]]["aws"]
            with suppress(Exception):
                backend.delete_role_policy(self.people[arn], "everything")

    def _on_link(self) -> None:
        """Grants on what is in a consumer's own catalogue."""
        account = self.chance.choice((INSIDE, OUTSIDE, PRODUCER))
        people = sorted(arn for arn in self.people if f"::{account}:" in arn)
        to = self.chance.choice([*people, f"{account}:IAMPrincipals", IAM_ALLOWED])
        name = self.chance.choice(("p_sales", "p_hr", "default", "my_hr"))
        resource = self.chance.choice(
            [{"Database": {"Name": name}}, {"Table": {"DatabaseName": name, "TableWildcard": {}}}]
        )
        self.grant(
            account, to, resource, ["DESCRIBE"] if "Table" in resource else self.chance.choice([["DESCRIBE"], ["DROP"]])
        )

    # -- looking --------------------------------------------------------------------------------------------------

    def clients_in(self, account: str) -> Any:
        return lambda service: self._mesh.client(service, self.admins[account])

    def observed(self) -> Observed:
        """What a person with the right to look sees."""
        databases = {database for database, _ in self.tables}
        seen = observation.observe(
            self.governance, CENTRAL, REGION, self.clients_in, sorted(databases), sorted(self.admins)
        )
        return observation.with_iam(seen, self.everybody(), self.clients_in)

    def everybody(self) -> list[Who]:
        return [Who(arn, arn.split(":")[4], arn) for arn in sorted(self.people)]

    def answered(self, arn: str, database: str, table: str) -> frozenset[str]:
        """The columns of a central table that the local Athena gives somebody, by whichever name."""
        account, columns = arn.split(":")[4], set()
        for name in self._names(account, database):
            columns |= self._asked(arn, f'SELECT * FROM "{name}"."{table}"')
        return frozenset(columns)

    def _names(self, account: str, database: str) -> Iterator[str]:
        if account == CENTRAL:
            yield database
        for found in self.world.engines["glue"].lookup.databases(account):
            if found.target and (found.target.catalog, found.target.database) == (CENTRAL, database):
                yield found.name

    def _asked(self, arn: str, sql: str) -> set[str]:
        """The columns of an answer; none where the query is refused."""
        caller = self._readers.get(arn) or identity.issue(self.world, arn, "reader").caller
        self._readers[arn] = caller
        for group in ("tagmesh", "primary"):
            given: dict[str, Any] = {"QueryString": sql, "WorkGroup": group}
            if group == "primary":
                given["ResultConfiguration"] = {"OutputLocation": f"s3://results-{caller.account}/"}
            try:
                self._authorized(caller, "StartQueryExecution", given)
                query = self.athena.StartQueryExecution(caller, **given)
                for operation in ("GetQueryExecution", "GetQueryResults"):
                    self._authorized(caller, operation, query)
            except AwsError:
                continue  # perhaps in the other workgroup
            found = self.athena.GetQueryExecution(caller, **query)["QueryExecution"]
            reason = found["Status"].get("StateChangeReason", "")
            assert "broke" not in reason, reason
            if found["Status"]["State"] == "SUCCEEDED":
                return {column.name for column in self.athena._queries[query["QueryExecutionId"]].columns}
            assert "Insufficient" in reason or "does not exist" in reason or "accessible" in reason, reason
            return set()
        return set()

    def _authorized(self, caller: Any, operation: str, given: dict) -> None:
        needs = actions.needs(self.world, caller, "athena", operation, given)
        authorization.authorize(self.world, caller, "athena", needs)
