"""Pages of a list: NextToken and MaxResults, as Glue, Lake Formation and RAM have them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from local_aws.wire import AwsError


def page(
    items: Sequence[Any], token: str | None, wanted: int | None, largest: int, error: str = "InvalidInputException"
) -> tuple[list[Any], str | None]:
    """The next page of `items` and the token of the page after it, or None at the end.

    `largest` is both the service's page size and the most a caller may ask for. A token is a position in the list, so
    a list that changes between two pages may repeat or skip items, as AWS's eventually consistent lists may.
    Raises AwsError with the service's code `error` for a token or a size that it never gives or takes.
    """
    if wanted is not None and not 1 <= wanted <= largest:
        raise AwsError(error, f"MaxResults must be between 1 and {largest}, not {wanted}")
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("after:"))
        except (ValueError, binascii.Error) as unreadable:
            raise AwsError(error, "NextToken is not valid") from unreadable
    end = start + (wanted or largest)
    following = base64.urlsafe_b64encode(f"after:{end}".encode()).decode() if end < len(items) else None
    return list(items[start:end]), following


def with_token(answer: dict[str, Any], following: str | None, name: str = "NextToken") -> dict[str, Any]:
    """`answer` with the token of the next page, where there is one."""
    return {**answer, name: following} if following else answer
