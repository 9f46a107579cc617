"""The Data Catalog's resource policy of each account: kept, and asked whether RAM may share the catalogue.

It grants nobody access here: cross-account access by it (cross-account versions 1 and 2) is not built.
Sources: the Glue service model; the Lake Formation developer guide, "Managing cross-account permissions using both AWS
Glue and Lake Formation" and "Prerequisites".
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_aws.lakeformation.lf_model import invalid, not_found
from local_aws.wire import AwsError


@dataclass(frozen=True)
class Policy:
    text: str
    created: datetime
    updated: datetime

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


class Policies:
    """The resource policies of all accounts' catalogues."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._policies: dict[str, Policy] = {}

    def admits_ram(self, account: str) -> bool:
        """Whether RAM may share: no policy, or one that allows `ram.amazonaws.com` `glue:ShareResource` on the
        catalogue, all databases and all tables, and denies it on none of them. Conditions are not looked at, but for a
        denial on a condition, which denies nothing here."""
        policy = self._policies.get(account)
        if policy is None:
            return True
        prefix = f"arn:aws:glue:{self._world.region}:{account}"
        shared = {f"{prefix}:catalog", f"{prefix}:database/*", f"{prefix}:table/*/*"}
        needed = shared.copy()
        for statement in _listed(json.loads(policy.text).get("Statement")):
            principal = statement.get("Principal", {})
            services = _listed(principal.get("Service")) if isinstance(principal, dict) else [principal]
            actions = _listed(statement.get("Action"))
            admitted = {"ram.amazonaws.com", "*"} & set(services)
            shares = any(fnmatch.fnmatch("glue:ShareResource", action) for action in actions)
            if not (admitted and shares):
                continue
            patterns = _listed(statement.get("Resource"))
            meant = {arn for arn in shared if any(fnmatch.fnmatch(arn, pattern) for pattern in patterns)}
            if statement.get("Effect") == "Allow":
                needed -= meant
            elif meant and not statement.get("Condition"):
                return False
        return not needed

    def put(self, account: str, text: str, condition: str | None, expected: str, hybrid: str | None) -> dict:
        """PutResourcePolicy.

        InvalidInputException for what is no JSON policy, or without EnableHybrid once the account has shared through
        RAM; ConditionCheckFailureException, EntityNotFoundException as conditions ask.
        """
        before = self._policies.get(account)
        self._check(before, condition, expected)
        try:
            well_formed = isinstance(json.loads(text), dict)
        except json.JSONDecodeError:
            well_formed = False
        if not well_formed:
            raise invalid("PolicyInJson is no JSON policy document")
        if hybrid != "TRUE" and self._world.engines["ram"].has_shares(account):
            raise invalid("EnableHybrid must be TRUE: the account has cross-account grants through AWS RAM")
        now = self._world.now()
        policy = self._policies[account] = Policy(text, before.created if before else now, now)
        return {"PolicyHash": policy.hash}

    def _check(self, before: Policy | None, condition: str | None, expected: str) -> None:
        if expected == "MUST_EXIST" and before is None:
            raise not_found("Policy not found")
        if expected == "NOT_EXIST" and before is not None:
            raise AwsError("ConditionCheckFailureException", "a policy exists")
        if condition and (before is None or before.hash != condition):
            raise AwsError("ConditionCheckFailureException", "PolicyHashCondition does not match")

    def get(self, account: str) -> dict:
        """GetResourcePolicy. EntityNotFoundException."""
        if account not in self._policies:
            raise not_found("Policy not found")
        return _to_api(self._policies[account])

    def delete(self, account: str, condition: str | None) -> dict:
        """DeleteResourcePolicy. EntityNotFoundException, ConditionCheckFailureException."""
        self._check(self._policies.get(account), condition, "MUST_EXIST")
        del self._policies[account]
        return {}

    def list(self, account: str) -> dict:
        """GetResourcePolicies: the account's own, if there is one."""
        policy = self._policies.get(account)
        return {"GetResourcePoliciesResponseList": [_to_api(policy)] if policy else []}


def _listed(value: Any) -> list:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _to_api(policy: Policy) -> dict:
    return {
        "PolicyInJson": policy.text,
        "PolicyHash": policy.hash,
        "CreateTime": policy.created,
        "UpdateTime": policy.updated,
    }
