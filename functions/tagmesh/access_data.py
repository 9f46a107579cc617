"""The last links of the chain: what IAM allows, and whether Lake Formation lends access to the data. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tagmesh.access_chain import MISSING, OK, UNKNOWN, ChainLink
from tagmesh.access_grants import names_of
from tagmesh.observed import Location, Need, Observed, Tagged, Who
from tagmesh.wording import joined

ATHENA = ("athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults")


def needs_of(o: Observed, who: Who, tagged: Tagged, name: str) -> tuple[list[Need], list[list[Need]]]:
    """What IAM must allow somebody who asks for a table in the database, or by the resource link, of a name: see
    `access.iam_needs`."""
    partition = who.arn.split(":")[1] if who.arn and who.arn.startswith("arn:") else "aws"
    table, needs = tagged.table, []
    for catalog, database in dict.fromkeys([(who.account, name), (o.central, table.database)]):
        glue = f"arn:{partition}:glue:{o.region}:{catalog}"
        of_database = [f"{glue}:catalog", f"{glue}:database/{database}"]
        of_table = [*of_database, f"{glue}:table/{database}/{table.name}"]
        needs += [("glue:GetDatabase", arn) for arn in of_database]
        needs += [("glue:GetTable", arn) for arn in of_table]
        if table.partition_keys and (catalog, database) == (o.central, table.database):
            needs += [("glue:GetPartitions", arn) for arn in of_table]
    if _is_lent(o, who, tagged):
        needs.append(("lakeformation:GetDataAccess", "*"))
    else:
        bucket = f"arn:{partition}:s3:::{_path(table.location).partition('/')[0]}"
        needs += [("s3:ListBucket", bucket), ("s3:GetObject", f"arn:{partition}:s3:::{_path(table.location)}/*")]
    groups = o.account(who.account).workgroups
    where = [f"arn:{partition}:athena:{o.region}:{who.account}:workgroup/{group}" for group in groups]
    return needs, [[(action, arn) for action in ATHENA] for arn in where]


def iam_link(o: Observed, who: Who, tagged: Tagged, name: str) -> ChainLink:
    if who.arn is None:
        return ChainLink("iam", UNKNOWN, who.account, "its IAM policies cannot be looked at, since it is not there")
    allowed = o.allowed.get(who.arn)
    needs, workgroups = needs_of(o, who, tagged, name)
    if allowed is None:
        seen = f"what IAM allows {who.written} could not be looked at, and is taken to be enough"
        return ChainLink("iam", UNKNOWN, who.account, seen, f"`tagmesh iam-policy {who.written} --check` looks again")
    lacking = [need for need in needs if not allowed.get(need, False)]
    athena = [[need for need in group if not allowed.get(need, False)] for group in workgroups]
    lacking += min(athena, key=len, default=[])
    if not workgroups:
        lacking.append((ATHENA[0], f"any workgroup: account {who.account} has none"))
    if not lacking:
        return ChainLink(
            "iam", OK, who.account, f"IAM allows {who.written} what Athena, Glue and Lake Formation ask for"
        )
    actions = dict.fromkeys(action for action, _ in lacking)
    seen = f"IAM does not allow {who.written} {joined(actions)} (on {lacking[0][1]})"
    mend = f"attach the IAM policy that `tagmesh iam-policy {who.written}` prints, and see that nothing denies it"
    return ChainLink("iam", MISSING, who.account, seen, mend)


def location_link(o: Observed, who: Who, tagged: Tagged) -> ChainLink:
    """Data below a registered location is read with the role that Lake Formation lends, other data with one's own
    rights. [Lake Formation developer guide, Underlying data access control]"""
    path, name = _path(tagged.table.location), "location"
    registered = _registered(o, path)
    if _is_lent(o, who, tagged):
        seen = f"s3://{registered[0]} is registered with {registered[1].role.rpartition('/')[2]}"
        return ChainLink(name, OK, o.central, seen)
    why = f"s3://{path} is not registered with Lake Formation"
    mend = "`tagmesh sweep` registers it"
    if registered:
        why = f"s3://{registered[0]} is in hybrid mode, and {who.written} is not opted in"
        mend = "opt it in, or register the location without hybrid mode (`tagmesh doctor` says what that means)"
    if o.buckets.get(path.partition("/")[0]) == who.account:
        return ChainLink(name, OK, who.account, f"{why}; the bucket is its own account's, and IAM decides")
    return ChainLink(name, MISSING, o.central, f"{why}, so nobody is lent access to the data", mend)


def _is_lent(o: Observed, who: Who, tagged: Tagged) -> bool:
    """Whether Lake Formation lends somebody the registered role for a table's data."""
    registered = _registered(o, _path(tagged.table.location))
    if registered is None:
        return False
    names = [*names_of(who), *([who.account] if who.account != o.central else [])]
    return not registered[1].hybrid or opted_in_to_table(o, names, tagged) or opted_in_to_all_tables(o, names, tagged)


def _path(location: str) -> str:
    """`bucket/prefix` of an S3 location, without a last slash."""
    return location.partition("://")[2].rstrip("/")


def _registered(o: Observed, path: str) -> tuple[str, Location] | None:
    """The longest registered path that a path is, or lies below."""
    covering = [place for place in o.locations if path == place or path.startswith(f"{place}/")]
    longest = max(covering, key=len, default=None)
    return None if longest is None else (longest, o.locations[longest])


def is_hybrid(o: Observed, location: str) -> bool:
    registered = _registered(o, _path(location))
    return registered is not None and registered[1].hybrid


def opted_in_to_database(o: Observed, names: Iterable[str], database: str) -> bool:
    return any(each.principal in names and (each.database, each.table) == (database, "") for each in o.opt_ins)


def opted_in_to_table(o: Observed, names: Iterable[str], tagged: Tagged) -> bool:
    place = (tagged.table.database, tagged.table.name)
    return any(each.principal in names and (each.database, each.table) == place for each in o.opt_ins)


def opted_in_to_all_tables(o: Observed, names: Iterable[str], tagged: Tagged) -> bool:
    place = (tagged.table.database, "*")
    return any(each.principal in names and (each.database, each.table) == place for each in o.opt_ins)
