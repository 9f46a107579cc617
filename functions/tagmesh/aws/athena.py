"""Athena: the workgroups of single principals, in a consumer's account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tagmesh.workgroups import Workgroup

DESCRIPTION = "Queries of one principal, whose results nobody else reads. Made by tagmesh."


def workgroups(athena: Any, names: Iterable[str]) -> dict[str, Workgroup]:
    """Those of the named workgroups that are there."""
    found = {}
    for name in names:
        try:
            group = athena.get_work_group(WorkGroup=name)["WorkGroup"]
        except athena.exceptions.InvalidRequestException as error:
            if "not found" not in str(error):
                raise
            continue
        configuration = group.get("Configuration", {})
        found[name] = Workgroup(
            name,
            configuration.get("ResultConfiguration", {}).get("OutputLocation", ""),
            bool(configuration.get("EnforceWorkGroupConfiguration")),
            group.get("State", "ENABLED") == "ENABLED",
        )
    return found


def make(athena: Any, workgroup: Workgroup, *, there: bool) -> None:
    """Creates a workgroup, or changes one that is there."""
    results = {"OutputLocation": workgroup.location, "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"}}
    if not there:
        configuration = {"EnforceWorkGroupConfiguration": workgroup.enforced, "ResultConfiguration": results}
        try:
            athena.create_work_group(Name=workgroup.name, Description=DESCRIPTION, Configuration=configuration)
            return
        except athena.exceptions.InvalidRequestException as error:
            if "already" not in str(error):
                raise  # else a run before this one made it, and did not come to see it
    updates = {"EnforceWorkGroupConfiguration": workgroup.enforced, "ResultConfigurationUpdates": results}
    athena.update_work_group(WorkGroup=workgroup.name, State="ENABLED", ConfigurationUpdates=updates)


def close(athena: Any, name: str) -> bool:
    """Deletes a workgroup; one with queries is disabled, so that no history and no saved query is lost. Whether it is
    gone. [Athena API reference, DeleteWorkGroup]"""
    try:
        athena.delete_work_group(WorkGroup=name)
    except athena.exceptions.InvalidRequestException as error:
        if "not found" in str(error):
            return True
        athena.update_work_group(WorkGroup=name, State="DISABLED")
        return False
    return True
