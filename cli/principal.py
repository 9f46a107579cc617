"""Who is meant on the command line: `<consumer>/<role, user or permission set>`, or an IAM ARN.

A principal that no governance file names is a principal all the same: what it may do is a good question.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from botocore.exceptions import ClientError
from tagmesh.aws import principals
from tagmesh.governance import Consumer, Governance, Principal
from tagmesh.observed import Who

from cli.local import LocalAwsError

SHOWN = 8  # names that a message holds
KINDS = ("role", "permission_set", "user")
ARN = re.compile(r"arn:(?P<partition>aws[\w-]*):iam::(?P<account>\d{12}):(?P<kind>role|user)/(?P<name>[\w+=,.@/-]+)")
SESSION = re.compile(r"arn:(?P<partition>aws[\w-]*):sts::(?P<account>\d{12}):assumed-role/(?P<name>[\w+=,.@-]+)/.+")
NAME = re.compile(r"[\w+=,.@/-]+", re.ASCII)
"""Characters of names and paths in IAM. [IAM API reference, CreateRole]"""


class BadPrincipal(LocalAwsError):
    """What was written names nobody that there could be; the text says how to write it."""


@dataclass(frozen=True)
class Asked:
    """Who was asked about.

    ``consumers`` are those of the account, which may be several, or none; ``candidates`` what the name may mean there:
    those that the governance files name come alone, else one of each kind. ``arn`` is given where an ARN was written.
    """

    written: str
    account: str
    consumers: tuple[Consumer, ...]
    candidates: tuple[Principal, ...]
    arn: str | None = None


def parse(written: str, governance: Governance) -> Asked:
    """What is written, understood; nothing is asked of AWS. Raises BadPrincipal."""
    if written.startswith("arn:"):
        return _of_arn(written, governance)
    name, slash, who = written.partition("/")
    if not slash or not name or not NAME.fullmatch(who) or who.endswith("/"):
        raise BadPrincipal(
            f"{written} is no principal: write CONSUMER/NAME (of a role, user or permission set of the consumer's "
            "account), or the ARN of an IAM role or user"
        )
    consumer = governance.consumer(f"consumer/{name}")
    if consumer is None:
        raise BadPrincipal(f"no governance file names a consumer {name}; {_some(name, governance)}")
    withheld = {p for w in governance.withheld if w.consumer == name for p in w.subscription.principals}
    known = sorted({*consumer.principals, *withheld})
    named = tuple(p for p in known if p.name == who or p.name.rpartition("/")[2] == who)
    candidates = named or tuple(Principal(kind, who) for kind in KINDS)
    return Asked(written, consumer.account, _consumers(governance, consumer.account), candidates)


def _of_arn(written: str, governance: Governance) -> Asked:
    found = ARN.fullmatch(written)
    if found:
        account = found["account"]
        return Asked(written, account, _consumers(governance, account), (), written)
    session = SESSION.fullmatch(written)
    if session:
        # The ARN of a session leaves out the path of its role, so the role is looked up by its name.
        account, role = session["account"], Principal("role", session["name"])
        return Asked(written, account, _consumers(governance, account), (role,))
    raise BadPrincipal(
        f"{written} is no ARN of an IAM role or user: such a one is arn:aws:iam::<12 digits>:role/NAME or :user/NAME"
    )


def _consumers(governance: Governance, account: str) -> tuple[Consumer, ...]:
    return tuple(consumer for consumer in governance.consumers if consumer.account == account)


def _some(name: str, governance: Governance) -> str:
    known = [consumer.name for consumer in governance.consumers]
    shown = get_close_matches(name, known, SHOWN, cutoff=0.5) or sorted(known)[:SHOWN]
    return f"there are {', '.join(shown)}" if shown else "there is none yet"


def find(asked: Asked, clients: Callable[[str], Any]) -> str | None:
    """The ARN of who was asked about, or None where the account has nobody of that name.

    Args:
        clients: of the account, by service.

    Raises:
        BadPrincipal: several are meant; the text has their ARNs.
    """
    iam = clients("iam")
    if asked.arn is not None:
        return asked.arn if exists(iam, asked.arn) else None
    found = principals.find(iam, asked.candidates, asked.account)
    arns = sorted({arn for arn in found.values() if arn})
    if len(arns) > 1:
        raise BadPrincipal(f"{asked.written} may be {' or '.join(arns)}: write the ARN")
    return arns[0] if arns else None


def exists(iam: Any, arn: str) -> bool:
    """Whether there is a role or user of exactly this ARN, its path included."""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    try:
        last = name.rpartition("/")[2]
        found = iam.get_user(UserName=last)["User"] if kind == "user" else iam.get_role(RoleName=last)["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return False
        raise
    return found["Arn"] == arn


def who(asked: Asked, clients: Callable[[str], Any]) -> Who:
    """Who was asked about, looked up in the account. Raises BadPrincipal as `find` does."""
    return Who(asked.written, asked.account, find(asked, clients), asked.candidates)
