"""Pages of a list: NextToken and MaxResults, as Glue, Lake Formation and RAM have them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

from local_aws.wire import AwsError


def page(
    items: Sequence[Any], token: str | None, wanted: int | None, usual: int, error: str = "InvalidInputException"
) -> tuple[list[Any], str | None]:
    """The next page of `items` and the token of the page after it, or None at the end. See `chosen_page`."""
    return chosen_page(items, lambda item: item, token, wanted, usual, error)


def chosen_page(
    items: Sequence[Any],
    chosen: Callable[[Any], Any],
    token: str | None,
    wanted: int | None,
    usual: int,
    error: str = "InvalidInputException",
) -> tuple[list[Any], str | None]:
    """The next page of what `chosen` makes of `items`, and the token of the page after it, or None at the end.

    `chosen` is asked only about the items of the page; those it answers None for are left out. `usual` is the service's
    page size where the caller has not `wanted` another, which its model limits. A token is a position in `items`, so a
    list that changes between two pages may repeat or skip items, as AWS's eventually consistent lists may.
    Raises AwsError with the service's code `error` for a token that it never gave.
    """
    at = _position(token, error)
    shown: list[Any] = []
    while at < len(items):
        if (each := chosen(items[at])) is not None:
            if len(shown) == (wanted or usual):
                return shown, base64.urlsafe_b64encode(f"after:{at}".encode()).decode()
            shown.append(each)
        at += 1
    return shown, None


def _position(token: str | None, error: str) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("after:"))
    except (ValueError, binascii.Error) as unreadable:
        raise AwsError(error, "NextToken is not valid") from unreadable


def with_token(answer: dict[str, Any], following: str | None, name: str = "NextToken") -> dict[str, Any]:
    """`answer` with the token of the next page, where there is one."""
    return {**answer, name: following} if following else answer
