"""Exclude patterns of crawlers: Unix-style globs, matched against keys relative to the include path.

Source: AWS Glue developer guide, "Include and exclude patterns". A pattern must match the whole of an object's path;
one that is not closed is refused (the guide does not say what becomes of it).
"""

from __future__ import annotations

import re


class BadPattern(ValueError):
    """A glob that cannot be read."""


def excluded_by(glob: str) -> re.Pattern[str]:
    """The expression that a relative path must match in full to be excluded. Raises BadPattern."""
    expression, position, grouped = "", 0, False
    while position < len(glob):
        character = glob[position]
        position += 1
        if character == "*":
            crossing = glob[position : position + 1] == "*"
            position += crossing
            expression += ".*" if crossing else "[^/]*"
        elif character == "?":
            expression += "[^/]"
        elif character == "\\":
            expression += re.escape(glob[position : position + 1] or "\\")
            position += 1
        elif character == "[":
            end = glob.find("]", position)
            if end <= position:
                raise BadPattern(f"the bracket of {glob!r} is not closed")
            expression += _one_of(glob[position:end])
            position = end + 1
        elif character == "{":
            if grouped:
                raise BadPattern(f"groups cannot be nested: {glob!r}")
            expression, grouped = expression + "(?:", True
        elif character == "}" and grouped:
            expression, grouped = expression + ")", False
        elif character == "," and grouped:
            expression += "|"
        else:
            expression += re.escape(character)
    if grouped:
        raise BadPattern(f"the brace of {glob!r} is not closed")
    try:
        return re.compile(expression, re.DOTALL)
    except re.error as error:
        raise BadPattern(f"{glob!r}: {error}") from error


def _one_of(characters: str) -> str:
    """A bracket expression: `*`, `?` and the backslash match themselves, and so does a hyphen that comes first."""
    negated, listed = characters[:1] == "!", characters.removeprefix("!")
    escaped = re.sub(r"[\\\[\]^&~|]", lambda found: "\\" + found[0], listed)
    escaped = re.sub(r"^-", r"\\-", escaped)
    return f"(?!/)[{'^' if negated else ''}{escaped}]"
