"""The commands about access: what they print, and how they end (0 yes, 1 no, 2 usage or no mesh)."""

import sys
from collections.abc import Callable

from cli import access as asking
from cli import iam_policy as policies
from cli.ends import NOT_ASKED, show, usage
from cli.mesh import find

YES, NO = 0, 1


def can(who: str, verb: str, column: str, port: int | None, *, json: bool) -> int:
    """`tagmesh can PRINCIPAL read DB.TABLE.COLUMN`."""

    def ask() -> int:
        if verb != "read":
            raise asking.NotFound(f"{verb} is nothing that can be asked: write `tagmesh can PRINCIPAL read {column}`")
        found, answer = asking.ask_can(find(port), who, column)
        show(json, lambda: answer.as_json(), lambda: asking.can_lines(found, column.lower(), answer))
        return YES if answer.readable else NO

    return _asked(ask)


def access(who: str, about: str | None, port: int | None, *, json: bool) -> int:
    """`tagmesh access PRINCIPAL [DB[.TABLE[.COLUMN]]]`."""

    def ask() -> int:
        found = asking.ask_access(find(port), who, about)
        show(json, lambda: asking.access_json(found), lambda: asking.access_lines(found))
        return YES if any(answer.readable for answer in found.answers.values()) else NO

    return _asked(ask)


def who(column: str, port: int | None, *, json: bool) -> int:
    """`tagmesh who DB.TABLE.COLUMN`."""

    def ask() -> int:
        found = asking.ask_who(find(port), column)
        name = column.lower()
        show(json, lambda: asking.who_json(name, found), lambda: asking.who_lines(name, found))
        return YES if any(answer.readable for _, answer in found) else NO

    return _asked(ask)


def iam_policy(who: str, port: int | None, *, exact: bool, check: bool, json: bool) -> int:
    """`tagmesh iam-policy PRINCIPAL`."""

    def ask() -> int:
        mesh = find(port)
        if not check:
            policy = policies.policy_of(mesh, who, exact=exact)
            show(True, lambda: dict(policy), list)  # ready to be attached, either way
            if not policies.is_named(mesh.governance, who):
                print(f"no subscription names {who}: with this policy alone it reads nothing", file=sys.stderr)
            return YES
        found = policies.check(mesh, who)
        show(json, lambda: policies.as_json(who, found), lambda: policies.lines(who, found))
        return YES if found.arn and not found.missing else NO

    return _asked(ask)


def _asked(ask: Callable[[], int]) -> int:
    try:
        return ask()
    except NOT_ASKED as error:
        return usage(error)
