"""From the principals that the governance files name to IAM ARNs in a consumer's account."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from tagmesh.governance import EVERYBODY, Principal

RESOURCES_A_CALL = 100  # of a simulation
PERMISSION_SETS = "/aws-reserved/sso.amazonaws.com/"


def find(iam: Any, principals: Iterable[Principal], account: str) -> dict[Principal, str | None]:
    """The ARN of each principal of an account, or None where it has none by that name; of the whole account what Lake
    Formation calls it.

    A permission set is a role under IAM Identity Center's reserved path, with or without the home Region in it, whose
    name ends in a suffix that changes when all its assignments are removed and made again: found by name each time.
    [IAM Identity Center user guide, Referencing permission sets in resource policies]
    """
    principals = list(principals)
    found: dict[Principal, str | None] = {}
    reserved: dict[str, str] = {}
    if any(principal.kind == "permission_set" for principal in principals):
        for page in iam.get_paginator("list_roles").paginate(PathPrefix=PERMISSION_SETS):
            for role in page["Roles"]:
                matched = re.fullmatch(r"AWSReservedSSO_(.+)_[0-9a-f]{16}", role["RoleName"])
                if matched:
                    reserved[matched.group(1)] = role["Arn"]
    for principal in principals:
        name = principal.name.rpartition("/")[2]
        try:
            if principal == EVERYBODY:
                found[principal] = f"{account}:{principal.name}"
            elif principal.kind == "permission_set":
                found[principal] = reserved.get(principal.name)
            elif principal.kind == "user":
                found[principal] = iam.get_user(UserName=name)["User"]["Arn"]
            else:
                found[principal] = iam.get_role(RoleName=name)["Role"]["Arn"]
        except iam.exceptions.NoSuchEntityException:
            found[principal] = None
    return found


def allowed(iam: Any, arn: str, needs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bool]:
    """(action, resource ARN or `*`) -> whether the policies of a role or user allow it, permissions boundary included,
    by IAM's own policy simulator; what depends on conditions is not allowed. Raises NoSuchEntity for who is not there.
    [IAM API reference, SimulatePrincipalPolicy]"""
    wanted = set(needs)
    said: dict[tuple[str, str], bool] = {}
    pages = iam.get_paginator("simulate_principal_policy")
    for _, some in groupby(sorted(wanted), key=lambda need: (need[0].partition(":")[0], need[1] == "*")):
        of_service = list(some)
        actions = sorted({action for action, _ in of_service})
        resources = sorted({resource for _, resource in of_service})
        for start in range(0, len(resources), RESOURCES_A_CALL):
            asked = resources[start : start + RESOURCES_A_CALL]
            for page in pages.paginate(PolicySourceArn=arn, ActionNames=actions, ResourceArns=asked):
                for each in page["EvaluationResults"]:
                    at = (each["EvalActionName"], each["EvalResourceName"])
                    said[at] = each["EvalDecision"] == "allowed"
    return {need: said.get(need, False) for need in wanted}
