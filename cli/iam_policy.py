"""`tagmesh iam-policy`: the IAM policy that a reader needs beside Lake Formation's grants, and what of it they lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from tagmesh import expressions, workgroups
from tagmesh.aws import principals
from tagmesh.governance import EVERYBODY, Governance, Principal

from cli import principal
from cli.local import LocalAwsError

if TYPE_CHECKING:
    from cli.mesh import Mesh

QUERY = (
    "athena:StartQueryExecution",
    "athena:StopQueryExecution",
    "athena:GetQueryExecution",
    "athena:GetQueryResults",
    "athena:GetWorkGroup",
)
ON_DATABASES = ("glue:GetDatabase", "glue:GetDatabases")
ON_TABLES = ("glue:GetTable", "glue:GetTables", "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition")
ON_RESULTS = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
ON_RESULT = ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


class NotChecked(LocalAwsError):
    """What somebody's IAM policies allow could not be looked at; the text says why and what to do."""


@dataclass(frozen=True)
class Checked:
    """``missing``: (action, resource) that the policies of ``arn`` do not allow. ``arn`` is None where nobody is
    there."""

    arn: str | None
    missing: tuple[tuple[str, str], ...]


def reader_policy(
    region: str,
    account: str,
    central: str,
    databases: Iterable[str] | None = None,
    workgroup: str = workgroups.SHARED,
) -> Mapping[str, Any]:
    """The IAM policy of a reader of an account.

    Args:
        databases: those that it names, in either catalogue; None for all, so that one that is published tomorrow needs
            no other policy: which of them, and which of their columns, is for Lake Formation to say.
        workgroup: that it queries with; in one of its own it reads the results of no other.

    Source: Lake Formation developer guide, "Cross-account data sharing" and "How resource links work";
    Athena user guide, "Manage Lake Formation and Athena user permissions".
    """
    results = f"arn:aws:s3:::{workgroups.bucket_of(account, region)}"
    prefix = "" if workgroup == workgroups.SHARED else workgroups.prefix_of(workgroup)
    catalogs = [f"arn:aws:glue:{region}:{owner}" for owner in sorted({account, central})]
    names = ["*"] if databases is None else sorted({*databases, "default"})  # Athena asks for `default` too
    above = [arn for catalog in catalogs for arn in (f"{catalog}:catalog", *_each(catalog, "database/{}", names))]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("Query", QUERY, f"arn:aws:athena:{region}:{account}:workgroup/{workgroup}"),
            # The link in this catalogue, the table in the central one.
            _allow("ReadDatabasesOfBothCatalogues", ON_DATABASES, above),
            _allow(
                "ReadTablesOfBothCatalogues",
                ON_TABLES,
                [*above, *(arn for catalog in catalogs for arn in _each(catalog, "table/{}/*", names))],
            ),
            _allow("DataThroughLakeFormation", ("lakeformation:GetDataAccess",), "*"),  # no narrower resource works
            _allow("Results", ON_RESULTS, results),
            _allow("ResultObjects", ON_RESULT, f"{results}/{prefix}*"),
        ],
    }


def _each(catalog: str, form: str, names: Iterable[str]) -> list[str]:
    return [f"{catalog}:{form.format(name)}" for name in names]


def _allow(name: str, actions: Iterable[str], resources: str | list[str]) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": resources}


def policy_of(mesh: Mesh, written: str, *, exact: bool) -> Mapping[str, Any]:
    """The policy of somebody who is written as on the command line. Raises BadPrincipal."""
    asked = principal.parse(written, mesh.governance)
    named = databases_of(mesh.governance, asked) if exact else None
    return reader_policy(
        mesh.region, asked.account, mesh.account, named, workgroup_of(mesh.governance, asked, mesh.account)
    )


def workgroup_of(governance: Governance, asked: principal.Asked, central: str) -> str:
    """The workgroup that somebody is to query with: one of its own where the governance files name it, and say so.

    Raises BadPrincipal where it may be several with one each."""
    named = {each for consumer in asked.consumers for each in consumer.principals if _is_asked(asked, each)}
    found = {workgroups.of_principal(governance, asked.account, each, central) for each in named}
    if len(found) > 1:
        several = " or ".join(map(str, sorted(named)))
        raise principal.BadPrincipal(f"{asked.written} may be {several}: write the ARN")
    return found.pop() if found else workgroups.SHARED


def _is_asked(asked: principal.Asked, each: Principal) -> bool:
    return each in asked.candidates or each.includes(asked.arn or "")


def is_named(governance: Governance, written: str) -> bool:
    """Whether a subscription names somebody, one that waits for approval included. Raises BadPrincipal."""
    asked = principal.parse(written, governance)
    named = {each for consumer in asked.consumers for each in consumer.principals}
    held = {p for w in governance.withheld if w.account == asked.account for p in w.subscription.principals}
    return any(_is_asked(asked, each) for each in named | held)


def databases_of(governance: Governance, asked: principal.Asked) -> list[str]:
    """The databases in which the governance files may give somebody something."""
    subscriptions = [
        subscription
        for consumer in asked.consumers
        for subscription in consumer.subscriptions
        if any(_is_asked(asked, each) for each in subscription.principals)
    ]
    return sorted(
        product.database
        for product in governance.data_products
        if any(expressions.sees_database(governance, subscription, product) for subscription in subscriptions)
    )


def check(mesh: Mesh, written: str) -> Checked:
    """What somebody's own policies, and their permissions boundary, lack of what they need for what is published now:
    IAM's policy simulator says. Policies on resources and of the organization are not looked at.

    Raises:
        BadPrincipal: it names nobody that there could be.
        NotChecked: the account's read-only role cannot be assumed, or the simulator refuses.
    """
    asked = principal.parse(written, mesh.governance)
    if EVERYBODY in asked.candidates:
        raise NotChecked(f"{written} is every principal of {asked.account}: ask about one of them, by its name or ARN")
    wanted = needs(mesh, asked)
    try:
        clients = mesh.readers_in(asked.account)
        arn = principal.find(asked, clients)
        if arn is None:
            return Checked(None, ())
        said = principals.allowed(clients("iam"), arn, wanted)
    except (ClientError, BotoCoreError) as error:
        raise NotChecked(
            f"the policies of {written} cannot be looked at: {error}; deploy accounts/consumer.yaml in {asked.account} "
            f"with CentralAccountId={mesh.account}"
        ) from error
    return Checked(arn, tuple(sorted(need for need, may in said.items() if not may)))


def needs(mesh: Mesh, asked: principal.Asked) -> list[tuple[str, str]]:
    """(action, resource) that a query takes, on the databases and tables that there are now."""
    named = set(databases_of(mesh.governance, asked))
    tables = {
        product.database: [table.name for table in mesh.tables(product)]
        for product in mesh.governance.data_products
        if product.database in named
    }
    found = []
    workgroup = workgroup_of(mesh.governance, asked, mesh.account)
    for statement in reader_policy(mesh.region, asked.account, mesh.account, tables, workgroup)["Statement"]:
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            found += [(action, each) for action in statement["Action"] for each in _examples(resource, tables)]
    return found


def _examples(resource: str, tables: Mapping[str, list[str]]) -> list[str]:
    """What a resource of the policy stands for: tables by their names, an object of a bucket by one that may be."""
    if resource.endswith("/*") and ":table/" in resource:
        start = resource.removesuffix("*")
        database = start.rstrip("/").rpartition("/")[2]
        return [f"{start}{table}" for table in tables.get(database, ())]
    return [f"{resource.removesuffix('*')}some-query.csv"] if resource.endswith("/*") else [resource]


def lines(written: str, checked: Checked) -> list[str]:
    """What `--check` prints."""
    if checked.arn is None:
        return [f"there is no {written}, so there are no policies to look at; create it, or mend the name"]
    if not checked.missing:
        return [f"IAM allows {written} ({checked.arn}) all that a query needs"]
    by_action: dict[str, list[str]] = {}
    for action, resource in checked.missing:
        by_action.setdefault(action, []).append(resource)
    told = [
        f"  {action} on {resources[0]}{f' and {len(resources) - 1} more' if resources[1:] else ''}"
        for action, resources in by_action.items()
    ]
    mend = f"mend: attach what `tagmesh iam-policy {written}` prints, and see that nothing denies it"
    return [f"IAM does not allow {written} ({checked.arn})", *told, mend]


def as_json(written: str, checked: Checked) -> dict[str, Any]:
    """What `--check --json` prints."""
    missing = [{"action": action, "resource": resource} for action, resource in checked.missing]
    return {"principal": written, "arn": checked.arn, "allowed": checked.arn is not None and not missing} | {
        "missing": missing
    }
