"""What must be true of the central account before Lake Formation can share with other accounts. Pure.

Sources: Lake Formation developer guide, "Cross-account data sharing prerequisites", "Updating cross-account data
sharing version settings" and "Managing cross-account permissions using both AWS Glue and Lake Formation".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tagmesh.catalog import Finding
from tagmesh.policy_documents import are_like, as_list, name_action, statements

LEAST_VERSION = 3
"""The first cross-account version that shares LF-Tag grants through AWS RAM, to accounts and to organizations."""
POLICY_BYTES = 10240  # of a Data Catalog resource policy [Glue developer guide, AWS Glue resource policies]
RAM, SHARE = "ram.amazonaws.com", "glue:ShareResource"
OLD_VERSION, POLICY_DENIES, POLICY_NOT_WRITTEN = "cross-account-version", "catalogue-policy-denies", "catalogue-policy"
STILL_PASSED_ON = "unit-passes-on"
HOLDS = (OLD_VERSION, POLICY_DENIES, POLICY_NOT_WRITTEN, STILL_PASSED_ON)
"""Codes of findings that hold up every grant to another account, and nothing else."""


def of_version(settings: Mapping[str, Any], central: str) -> Finding | None:
    """What is wrong with the cross-account version in DataLakeSettings. None is set on one's behalf here: versions can
    change what others share, and 5 cannot be taken back."""
    version = str(settings.get("Parameters", {}).get("CROSS_ACCOUNT_VERSION", "1"))
    if version.isdigit() and int(version) >= LEAST_VERSION:
        return None
    return Finding(
        OLD_VERSION,
        central,
        f"Lake Formation of account {central} has cross-account version {version}: what is granted by LF-Tags to other "
        f"accounts reaches them from version {LEAST_VERSION} on, so nothing is granted to them",
        f"set cross-account version {LEAST_VERSION} or 4 in the Data Catalog settings of {central}, or deploy "
        "template.yaml again, which does; the sweep then grants",
    )


def still_passed_on(unit: str, recipient: str, accounts: Iterable[str]) -> Finding:
    """What accounts of an organizational unit pass on, and the governance files no longer give, would be read again
    with what the unit is granted next."""
    return Finding(
        STILL_PASSED_ON,
        unit,
        f"in {', '.join(sorted(accounts))} somebody is still passed on what no subscription gives them any more, and "
        f"would read with it what {recipient} is granted next: nothing more is granted to it",
        "deploy accounts/consumer.yaml there again, so that it is revoked; the sweep then grants",
    )


def with_sharing(policy: str, region: str, central: str) -> str:
    """A Data Catalog resource policy that lets RAM share: the policy itself where it does already; else with one
    statement more, and everything that it says kept as it is.

    Args:
        policy: as GetResourcePolicy answers it, JSON.
    """
    document = json.loads(policy)
    present = statements(document)
    missing = [arn for arn in _shared(region, central) if not any(_allows_ram(statement, arn) for statement in present)]
    if not missing:
        return policy
    names = {statement.get("Sid") for statement in present}
    name = next(n for n in ("LetRamShare", *(f"LetRamShare{number}" for number in range(2, 99))) if n not in names)
    ours = {
        "Sid": name,
        "Effect": "Allow",
        "Principal": {"Service": RAM},
        "Action": SHARE,
        "Resource": _shared(region, central),
    }
    return json.dumps({**document, "Statement": [*present, ours]})


def denied_by(policy: str, region: str, central: str) -> Finding | None:
    """What in a Data Catalog resource policy keeps RAM from sharing whatever else it allows. A denial on a condition is
    none: whether it holds for RAM is for AWS to say, and a share that it breaks is made again by the sweep."""
    for number, statement in enumerate(statements(json.loads(policy)), 1):
        arn = next((arn for arn in _shared(region, central) if _denies_ram(statement, arn)), None)
        if arn:
            return Finding(
                POLICY_DENIES,
                central,
                f"statement {statement.get('Sid', number)} of the Data Catalog resource policy of account {central} "
                f"denies {RAM} {SHARE} on {arn}: shares with other accounts would fail, so nothing is granted to them",
                f"let it leave out {RAM} or {SHARE}; the sweep then grants",
            )
    return None


def not_written(central: str, why: str) -> Finding:
    """The statement that RAM needs could not be added to the Data Catalog resource policy."""
    return Finding(
        POLICY_NOT_WRITTEN,
        central,
        f"the Data Catalog resource policy of account {central} does not let {RAM} share, and could not be changed: "
        f"{why}; nothing is granted to other accounts",
        f"add a statement that allows {RAM} {SHARE} on the catalog, database/* and table/*/* of {central}; the sweep "
        "then grants",
    )


def _shared(region: str, central: str) -> list[str]:
    prefix = f"arn:aws:glue:{region}:{central}"
    return [f"{prefix}:catalog", f"{prefix}:database/*", f"{prefix}:table/*/*"]


def _allows_ram(statement: Mapping[str, Any], arn: str) -> bool:
    who = statement.get("Principal")
    named = who == "*" or (isinstance(who, Mapping) and RAM in as_list(who.get("Service")))
    return (
        statement.get("Effect") == "Allow"
        and named
        and "Condition" not in statement
        and name_action(SHARE, statement.get("Action"))
        and are_like(arn, statement.get("Resource"))
    )


def _denies_ram(statement: Mapping[str, Any], arn: str) -> bool:
    if statement.get("Effect") != "Deny" or statement.get("Condition"):
        return False
    who, not_who = statement.get("Principal"), statement.get("NotPrincipal")
    if who is not None:
        named = who == "*" or (isinstance(who, Mapping) and RAM in as_list(who.get("Service")))
    else:
        named = not_who is not None and not (isinstance(not_who, Mapping) and RAM in as_list(not_who.get("Service")))
    if "NotAction" in statement:
        does = not name_action(SHARE, statement["NotAction"])
    else:
        does = name_action(SHARE, statement.get("Action"))
    if "NotResource" in statement:
        there = not are_like(arn, statement["NotResource"])
    else:
        there = are_like(arn, statement.get("Resource"))
    return named and does and there
