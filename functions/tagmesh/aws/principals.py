"""From the principals that the governance files name to IAM ARNs in a consumer's account."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tagmesh.governance import Principal

PERMISSION_SETS = "/aws-reserved/sso.amazonaws.com/"


def find(iam: Any, principals: Iterable[Principal]) -> dict[Principal, str | None]:
    """The ARN of each principal, or None where the account has none by that name.

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
            if principal.kind == "permission_set":
                found[principal] = reserved.get(principal.name)
            elif principal.kind == "user":
                found[principal] = iam.get_user(UserName=name)["User"]["Arn"]
            else:
                found[principal] = iam.get_role(RoleName=name)["Role"]["Arn"]
        except iam.exceptions.NoSuchEntityException:
            found[principal] = None
    return found
