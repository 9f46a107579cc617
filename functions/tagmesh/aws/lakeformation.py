"""Lake Formation: LF-Tags, registered locations, permissions.

Answers with `Failures[]` come with status 200: each is an error here. Lake Formation refuses concurrent writers with
ConcurrentModificationException, which no SDK retries.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tagmesh.catalog import AssignedTags, Table, tags_from_api
from tagmesh.governance import DataProduct, Expression

CONCURRENT_ATTEMPTS = 6
BATCH = 20  # entries of BatchGrantPermissions and BatchRevokePermissions


FOR_GOOD = ("InvalidInputException", "ResourceNumberLimitExceededException")
"""Codes of what is refused however often one asks: the principal is not there, say, or has too many policies."""


class Refused(NamedTuple):
    """One entry of a batch that was refused. ``reason`` is for people; it has who, what and the ``code`` in it."""

    code: str
    reason: str


class LakeFormationRefused(Exception):
    """Lake Formation refused part of a call; the message says which part and why."""


def _patiently(lf: Any, call: Callable[[], Any]) -> Any:
    """Calls again while another writer is at it, at most six times within some seconds."""
    for attempt in range(1, CONCURRENT_ATTEMPTS + 1):
        try:
            return call()
        except lf.exceptions.ConcurrentModificationException:
            if attempt == CONCURRENT_ATTEMPTS:
                raise
            time.sleep(random.uniform(0, 0.1 * 2**attempt))
    raise AssertionError("unreachable")


# ── LF-Tags ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tags_of_database(lf: Any, database: str) -> dict[str, str]:
    """key -> value as assigned to a database."""
    answer = lf.get_resource_lf_tags(Resource={"Database": {"Name": database}})
    return dict(tags_from_api(answer).database)


def tags_of(lf: Any, table: Table) -> AssignedTags:
    """The LF-Tags that a table and its columns, partition keys included, carry now."""
    named = {"DatabaseName": table.database, "Name": table.name}
    columns = [column.name for column in table.all_columns]
    resource = {"TableWithColumns": {**named, "ColumnNames": columns}} if columns else {"Table": named}
    return tags_from_api(lf.get_resource_lf_tags(Resource=resource))


def tag_database(lf: Any, database: str, tags: Mapping[str, str]) -> None:
    """Assigns values to a database."""
    _assign(lf, {"Database": {"Name": database}}, tags)


def tag_table(lf: Any, database: str, table: str, tags: Mapping[str, str]) -> None:
    """Assigns values to a table: only ever ones that close it."""
    _assign(lf, {"Table": {"DatabaseName": database, "Name": table}}, tags)


def tag_columns(lf: Any, database: str, table: str, columns: Iterable[str], tags: Mapping[str, str]) -> None:
    """Assigns values to columns of a table."""
    resource = {"TableWithColumns": {"DatabaseName": database, "Name": table, "ColumnNames": list(columns)}}
    _assign(lf, resource, tags)


def _assign(lf: Any, resource: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    pairs = [{"TagKey": key, "TagValues": [value]} for key, value in sorted(tags.items())]
    answer = _patiently(lf, lambda: lf.add_lf_tags_to_resource(Resource=resource, LFTags=pairs))
    if answer.get("Failures"):
        failure = answer["Failures"][0]
        error = failure.get("Error", {})
        raise LakeFormationRefused(
            f"LF-Tag {failure.get('LFTag', {}).get('TagKey')} on {resource}: "
            f"{error.get('ErrorCode')} {error.get('ErrorMessage')} ({len(answer['Failures'])} refused)"
        )


def search_tables(lf: Any, expression: Expression) -> Iterator[tuple[str, str, AssignedTags]]:
    """(database, table, tags) of every table that matches, 100 a page. Eventually consistent."""
    wanted = [{"TagKey": key, "TagValues": list(values)} for key, values in expression]
    for page in lf.get_paginator("search_tables_by_lf_tags").paginate(Expression=wanted):
        for found in page["TableList"]:
            table = found["Table"]
            yield table["DatabaseName"], table["Name"], tags_from_api(found)


# ── Locations ─────────────────────────────────────────────────────────────────────────────────────────────────────


def ensure_location(lf: Any, product: DataProduct, role_arn: str) -> None:
    """Registers the data product's location with our role.

    The service-linked role cannot reach another account's bucket.
    [Lake Formation developer guide, Registering an Amazon S3 location in another AWS account]
    """
    try:
        lf.register_resource(ResourceArn=location_arn(product), UseServiceLinkedRole=False, RoleArn=role_arn)
    except lf.exceptions.AlreadyExistsException:
        registered = lf.describe_resource(ResourceArn=location_arn(product))["ResourceInfo"]
        if registered.get("RoleArn") != role_arn:
            raise LakeFormationRefused(
                f"{product.location} is registered with {registered.get('RoleArn')}: deregister it, so that it can be "
                f"registered with {role_arn}"
            ) from None


def location_arn(product: DataProduct) -> str:
    """The ARN that a location is registered under."""
    return f"arn:aws:s3:::{product.bucket}/{product.prefix}".rstrip("/")


def registered_with(lf: Any, arn: str) -> str | None:
    """The ARN of the role that a location is registered with; None where it is not registered."""
    try:
        return lf.describe_resource(ResourceArn=arn)["ResourceInfo"].get("RoleArn", "")
    except lf.exceptions.EntityNotFoundException:
        return None


def deregister(lf: Any, arn: str) -> None:
    """Deregisters a location; one that is not registered is done."""
    try:
        _patiently(lf, lambda: lf.deregister_resource(ResourceArn=arn))
    except lf.exceptions.EntityNotFoundException:
        return


# ── Permissions ───────────────────────────────────────────────────────────────────────────────────────────────────


def permissions(lf: Any, **filters: Any) -> Iterator[dict[str, Any]]:
    """Explicit grants, 1,000 a page, as ListPermissions answers them (boto3 has no paginator for it)."""
    page: dict[str, Any] = {}
    while True:
        more = {"NextToken": page["NextToken"]} if page else {}
        page = lf.list_permissions(MaxResults=1000, **more, **filters)
        yield from page["PrincipalResourcePermissions"]
        if not page.get("NextToken"):
            return


def grant(lf: Any, entries: Iterable[Mapping[str, Any]], **catalog: str) -> None:
    """Grants entries (Principal, Resource, Permissions, PermissionsWithGrantOption), 20 a call.

    Raises:
        LakeFormationRefused: with the first entry that was refused.
    """
    refused = _batch(lf, lf.batch_grant_permissions, list(entries), catalog)
    if refused:
        raise LakeFormationRefused(next(iter(refused.values())).reason)


def grant_each(lf: Any, entries: Iterable[Mapping[str, Any]], **catalog: str) -> dict[int, str]:
    """Grants entries, 20 a call; position -> reason of those that were refused for good: the others are granted.

    Raises:
        LakeFormationRefused: with the first entry that was refused and may be granted later.
    """
    refused = _batch(lf, lf.batch_grant_permissions, list(entries), catalog)
    for each in refused.values():
        if each.code not in FOR_GOOD:
            raise LakeFormationRefused(each.reason)
    return {number: each.reason for number, each in refused.items()}


def revoke(lf: Any, entries: Iterable[Mapping[str, Any]], **catalog: str) -> dict[int, str]:
    """Revokes entries, 20 a call; position -> reason of those that were refused.

    A refusal may mean that it is gone already: Lake Formation says of the unauthorised what it says of the absent.
    [Lake Formation developer guide, error message updates]
    """
    refused = _batch(lf, lf.batch_revoke_permissions, list(entries), catalog)
    return {number: each.reason for number, each in refused.items()}


def revoke_all(lf: Any, principal: str, resource: Mapping[str, Any]) -> None:
    """Revokes whatever a principal was granted on one resource; nothing where it holds nothing.

    Raises:
        LakeFormationRefused: it was refused, and is still there.
    """
    refused = revoke(lf, _held(lf, principal, resource))
    if refused and list(_held(lf, principal, resource)):
        raise LakeFormationRefused(next(iter(refused.values())))


def _held(lf: Any, principal: str, resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    # Listed by resource and filtered here: lists by principal come back empty for some kinds of principals.
    for row in permissions(lf, Resource=resource):
        if row["Principal"]["DataLakePrincipalIdentifier"] == principal:
            yield {
                "Principal": row["Principal"],
                "Resource": resource,
                "Permissions": row["Permissions"],
                "PermissionsWithGrantOption": row["PermissionsWithGrantOption"],
            }


def _batch(
    lf: Any, operation: Callable[..., Any], entries: list[Mapping[str, Any]], catalog: Mapping[str, str]
) -> dict[int, Refused]:
    """All entries, 20 a call, those that met another writer again; by position, the refused ones."""
    refused: dict[int, Refused] = {}
    numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
    for start in range(0, len(numbered), BATCH):
        waiting = numbered[start : start + BATCH]
        for attempt in range(1, CONCURRENT_ATTEMPTS + 1):
            answer = _patiently(lf, lambda request=waiting: operation(Entries=request, **catalog))
            again = set()
            for failure in answer.get("Failures", []):
                entry, error = failure["RequestEntry"], failure.get("Error", {})
                if error.get("ErrorCode") == "ConcurrentModificationException" and attempt < CONCURRENT_ATTEMPTS:
                    again.add(entry["Id"])
                    continue
                refused[int(entry["Id"])] = Refused(
                    error.get("ErrorCode", ""),
                    f"{entry['Principal']['DataLakePrincipalIdentifier']}: {', '.join(entry['Permissions'])} on "
                    f"{entry['Resource']}: {error.get('ErrorCode')} {error.get('ErrorMessage')}",
                )
            if not again:
                break
            waiting = [entry for entry in waiting if entry["Id"] in again]
            time.sleep(random.uniform(0, 0.1 * 2**attempt))
    return refused


# ── Settings ──────────────────────────────────────────────────────────────────────────────────────────────────────


#: What PutDataLakeSettings takes back of what GetDataLakeSettings tells. [API reference, DataLakeSettings]
WRITABLE_PARAMETERS = ("CROSS_ACCOUNT_VERSION", "SET_SOURCE_IDENTITY")


def writable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they may be put back."""
    parameters = {name: value for name, value in settings.get("Parameters", {}).items() if name in WRITABLE_PARAMETERS}
    return {**settings, "Parameters": parameters}


def administrators(lf: Any) -> set[str]:
    """The ARNs of the account's data lake administrators, without the read-only ones."""
    settings = lf.get_data_lake_settings()["DataLakeSettings"]
    return {entry["DataLakePrincipalIdentifier"] for entry in settings.get("DataLakeAdmins", ())}


def merged_settings(
    settings: Mapping[str, Any], administrator: str, reader: str, cross_account_version: str
) -> dict[str, Any]:
    """The settings of an account with the mesh's needs merged in: everything else is kept.

    Our administrator and our read-only administrator are added, new databases and tables get no permissions for
    everybody whom IAM admits, and the cross-account version is at least the one asked for (a higher one cannot always
    be taken back).
    """
    parameters = writable(settings)["Parameters"]
    version = max(int(parameters.get("CROSS_ACCOUNT_VERSION", "1")), int(cross_account_version))
    return {
        **settings,
        "DataLakeAdmins": _with(settings.get("DataLakeAdmins", []), administrator),
        "ReadOnlyAdmins": _with(settings.get("ReadOnlyAdmins", []), reader),
        "CreateDatabaseDefaultPermissions": [],
        "CreateTableDefaultPermissions": [],
        "Parameters": {**parameters, "CROSS_ACCOUNT_VERSION": str(version)},
    }


def settings_without(settings: Mapping[str, Any], *ours: str) -> dict[str, Any]:
    """The settings as they may be put back, with these principals no administrators any more."""
    left = {
        kind: [entry for entry in settings.get(kind, []) if entry["DataLakePrincipalIdentifier"] not in ours]
        for kind in ("DataLakeAdmins", "ReadOnlyAdmins")
    }
    return {**writable(settings), **left}


def _with(administrators: list[dict[str, str]], principal: str) -> list[dict[str, str]]:
    if principal in [entry["DataLakePrincipalIdentifier"] for entry in administrators]:
        return administrators
    return [*administrators, {"DataLakePrincipalIdentifier": principal}]
