"""Globs and regular expressions of rules: what they may say, so that no name takes long to be held against one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tagmesh.words import fold

LONGEST_TEXT = 255  # of Glue's names and comments; patterns look no further
_MOST_WAYS = 300_000  # in which a regular expression may be tried on such a text
_MOST_STEPS = 3_000_000  # characters that it may hold against one of its parts

# One character, class or escape, and perhaps a repetition of just that.
_REGEX_ATOM = re.compile(
    r"(?:[^\\\[\](){}*+?|^$]|\\[dDwWsS.\-_/+*?(){}\[\]|^$]|\[\^?(?:[^\\\[\]]|\\[dDwWsS.\-_/\]\[^])+\])"
    r"(?P<repeat>[*+?]|\{\d{1,2}(?:,\d{0,2})?\})?"
)


def matcher(pattern: str, *, glob: bool) -> Callable[[str], Any]:
    """Whether a glob with * and ? matches all of a text, or a regular expression some of it.

    Args:
        pattern: a regular expression that ``unsafe_regex`` lets pass, or any glob.
    """
    if not glob:
        return re.compile(pattern, re.IGNORECASE).search
    glob_folded = fold(pattern)
    plain = glob_folded.strip("*")
    if "*" in plain or "?" in plain:
        from fnmatch import translate

        return re.compile(r"\A" + translate(glob_folded.replace("[", "[[]"))).search  # fnmatch's does not backtrack
    begins, ends = glob_folded.endswith("*"), glob_folded.startswith("*")
    if begins and ends:
        return lambda text: plain in text
    if begins:
        return lambda text: text.startswith(plain)
    return (lambda text: text.endswith(plain)) if ends else plain.__eq__


def unsafe_regex(pattern: str) -> str | None:
    """Why a regular expression is refused, or None.

    Allowed are characters, classes, escapes and repetitions of those, with ^ and $ at the ends: no groups, no
    alternatives (write several). So a search tries at most each place to begin at with each number of each repetition,
    and what follows with each of those: few enough for some milliseconds at worst."""
    body = pattern.removeprefix("^")
    ways = 1 if body != pattern else LONGEST_TEXT
    steps = 0
    body = body[:-1] if body.endswith("$") and not body.endswith("\\$") else body
    position = 0
    while position < len(body):
        atom = _REGEX_ATOM.match(body, position)
        if atom is None:
            return f"`{body[position]}` may not stand there in a regular expression: no groups, no alternatives"
        least, most = _times(atom["repeat"] or "")
        steps += ways * max(1, most)
        ways *= max(1, most - least + 1)
        position = atom.end()
    if ways > _MOST_WAYS or steps > _MOST_STEPS:
        return (
            "its repetitions could make the regular expression slow: one * or + may stand in it, two after ^; "
            "{1,9} and ? are cheaper, and so is a shorter text after them"
        )
    try:
        re.compile(pattern)
    except re.error as error:
        return f"not a regular expression: {error}"
    return None


def _times(repeat: str) -> tuple[int, int]:
    """How often a repetition may match, at least and at most."""
    if not repeat.startswith("{"):
        return {"": (1, 1), "?": (0, 1), "*": (0, LONGEST_TEXT), "+": (1, LONGEST_TEXT)}[repeat]
    least, comma, most = repeat[1:-1].partition(",")
    return int(least), int(most or LONGEST_TEXT) if comma else int(least)
