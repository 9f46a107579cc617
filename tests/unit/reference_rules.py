"""Classification as docs/governance.md says it, slow and obvious: no index, no cache, nothing compiled.

Written beside the classifier so that they can be held against each other. Only values, constants and what a singular is
are shared.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Mapping
from functools import reduce
from itertools import product
from typing import Any

from tagmesh.catalog import Column, Table
from tagmesh.column_types import nested_fields, type_family
from tagmesh.common_words import COMMON_WORDS
from tagmesh.governance import DataProduct, Governance, LFTagKey, Rule
from tagmesh.words import singular

INFINITE = 10**6


# ---- Words ------------------------------------------------------------------------------------------------------


def folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in plain if not unicodedata.combining(c)))


def runs(name: str) -> list[str]:
    """Runs of letters and of digits: cut at anything else and at humps."""
    if not name.islower():
        name = "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
        lower, upper = ("".join(sorted({c for c in name if kind(c)})) or "_" for kind in (str.islower, str.isupper))
        name = re.sub(f"([{re.escape(lower)}])([{re.escape(upper)}])", r"\1_\2", name)
        name = re.sub(f"([{re.escape(upper)}])([{re.escape(upper)}][{re.escape(lower)}])", r"\1_\2", name)
    return re.findall(r"[^\W\d_]+|\d+", folded(name))


def common(word: str) -> bool:
    return word in COMMON_WORDS or singular(word) in COMMON_WORDS


def fewest(run: str, known: Any, memo: dict[str, tuple[str, ...] | None] | None = None) -> tuple[str, ...] | None:
    """The fewest words that make all of a run, of two ways as short the one with the longer first word."""
    memo = {} if memo is None else memo
    if run == "":
        return ()
    if run not in memo:
        ways = []
        for end in range(len(run), 1, -1):
            if known(run[:end]):
                rest = fewest(run[end:], known, memo)
                if rest is not None:
                    ways.append((run[:end], *rest))
        memo[run] = min(ways, key=len) if ways else None  # the first of the shortest: its first word is the longest
    return memo[run]


def cut(run: str) -> tuple[str, ...]:
    if len(run) < 4 or len(run) > 48 or run.isdigit() or common(run):
        return (run,)
    return made_by(run, common) or (run,)


def made_by(run: str, known: Any) -> tuple[str, ...] | None:
    """The fewest words that make a run; two letters each are by chance."""
    words = fewest(run, known)
    return words if words and any(len(word) > 2 for word in words) else None


def entry(word: str) -> str:
    return "".join(runs(word))


def is_found(wanted: str, name: str) -> bool:
    """Whether a word of a rule stands in a name."""
    words = [word for run in runs(name) for word in cut(run)]
    for start in range(len(words)):
        for end in range(start + 1, min(len(words), start + 5) + 1):
            head, last = "".join(words[start : end - 1]), words[end - 1]
            if wanted in (head + last, head + singular(last)):
                return True
    return any(stands_within(wanted, run) for run in runs(name))


def stands_within(wanted: str, run: str) -> bool:
    """Whether it stands in a run that is no common word, with common words around it."""
    if len(run) < 4 or len(run) > 48 or run.isdigit() or common(run):
        return False
    whole = made_by(run, common)
    for start in range(len(run)):
        for end in range(start + 2, len(run) + 1):
            if wanted in (run[start:end], singular(run[start:end])):
                before, after = fewest(run[:start], common), fewest(run[end:], common)
                if before is None or after is None:
                    continue
                if len(before) + 1 + len(after) <= (INFINITE if whole is None else len(whole)):
                    return True
    return False


def made_of(name: str, entries: set[str]) -> bool:
    """Whether a name is made of these entries alone; numbers do not count, but are not enough."""

    def known(word: str) -> bool:
        return word in entries or singular(word) in entries

    readings = []
    for run in runs(name):
        own = None if len(run) < 4 or len(run) > 48 or run.isdigit() or common(run) else made_by(run, known)
        plain = cut(run)
        if own is not None and (plain == (run,) or len(own) <= len(plain)):
            readings.append((plain, own))
        else:
            readings.append((plain,))
    for chosen in product(*readings):
        words = [word for reading in chosen for word in reading if not word.isdigit()]
        if words and partitioned(words, known):
            return True
    # A run may be an entry as it is.
    whole = [run for run in runs(name) if not run.isdigit()]
    return bool(whole) and all(run in entries for run in whole)


def partitioned(words: list[str], known: Any) -> bool:
    if not words:
        return True
    for end in range(1, min(5, len(words)) + 1):
        head, last = "".join(words[: end - 1]), words[end - 1]
        if (known(head + last) or known(head + singular(last))) and partitioned(words[end:], known):
            return True
    return False


# ---- Conditions -------------------------------------------------------------------------------------------------


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def text_holds(tests: Mapping[str, Any], text: str) -> bool:
    for test, value in tests.items():
        texts = listed(value)
        entries = {entry(each) for each in texts}
        if test == "words_any":
            holds = any(is_found(each, text) for each in entries)
        elif test == "words_all":
            holds = all(is_found(each, text) for each in entries)
        elif test == "words_none":
            holds = not any(is_found(each, text) for each in entries)
        elif test == "words_only":
            holds = made_of(text, entries)
        elif test == "equals":
            holds = folded(text) in {folded(each) for each in texts}
        elif test == "glob":
            globs = [folded(each).replace("[", "[[]") for each in texts]
            holds = any(fnmatch.fnmatchcase(folded(text)[:255], each) for each in globs)
        else:
            holds = any(re.search(each, folded(text)[:255], re.IGNORECASE) for each in texts)
        if not holds:
            return False
    return True


class Place:
    """What a condition looks at."""

    def __init__(
        self,
        data_product: DataProduct,
        table: Table,
        column: Column,
        path: str,
        family: str,
        content: Mapping[str, Any],
    ) -> None:
        name = f"{column.name}.{path}" if path else column.name
        self.texts = {
            "column": name,
            "comment": column.comment,
            "table": table.name,
            "database": table.database,
            "location": table.location,
            "bucket": data_product.bucket,
            "data_product": data_product.name,
            "producer": data_product.producer,
            "account": data_product.account,
        }
        self.path, self.family, self.column, self.table = path, family, column, table
        self.data_product = data_product
        self.partition_key = any(key.name == column.name for key in table.partition_keys)
        self.content = set(content.get(name, ()))


def holds(condition: Mapping[str, Any], place: Place) -> bool:
    for name, wanted in condition.items():
        if name == "all":
            held = all(holds(part, place) for part in wanted)
        elif name == "any":
            held = any(holds(part, place) for part in wanted)
        elif name == "not":
            held = not holds(wanted, place)
        elif name == "type":
            held = place.family in listed(wanted)
        elif name == "partition_key":
            held = place.partition_key is wanted
        elif name == "content":
            held = bool(place.content & set(listed(wanted)))
        elif name == "field":
            held = bool(place.path) and text_holds(wanted, place.path)
        elif name == "table_has":
            held = any(
                holds(wanted, Place(place.data_product, place.table, each, "", type_family(each.type), {}))
                for each in place.table.all_columns
            )
        elif name in ("column_parameters", "table_parameters"):
            parameters = place.column.parameters if name.startswith("column") else place.table.parameters
            held = all(key in parameters and text_holds(tests, parameters[key]) for key, tests in wanted.items())
        else:
            held = text_holds(wanted, place.texts[name])
        if not held:
            return False
    return True


# ---- Decisions --------------------------------------------------------------------------------------------------

Spoken = list[tuple[Rule, str, str]]  # the rule, its effect, its value
Decided = tuple[str, str, frozenset[str]]  # value, outcome, the rules that gave it


def spoken(governance: Governance, key: LFTagKey, place: Place) -> Spoken:
    found = []
    for rule in governance.rules:
        for effect, pairs in (("raise", rule.raises), ("assign", rule.assigns), ("clear", rule.clears)):
            found += [(rule, effect, value) for name, value in pairs if name == key.name and holds(rule.when, place)]
    return found


def resolved(key: LFTagKey, found: Spoken) -> Decided:
    over = {beaten for rule, effect, _ in found if effect == "clear" for beaten in rule.over}
    raises = [(rule, value) for rule, effect, value in found if effect == "raise" and rule.id not in over]
    assigns = [(rule, value) for rule, effect, value in found if effect == "assign"]
    clears = [(rule, value) for rule, effect, value in found if effect == "clear"]
    base, base_outcome = (assigns, "assigned") if assigns else (clears, "cleared")
    groups = [(each, outcome) for each, outcome in ((raises, "raised"), (base, base_outcome)) if each]
    if not groups:
        return key.default, "default", frozenset()
    value = reduce(key.join, [value for each, _ in groups for _, value in each])
    joined = [(each, outcome, reduce(key.join, [v for _, v in each])) for each, outcome in groups]
    giving = [(each, outcome) for each, outcome, of_group in joined if of_group == value] or groups
    speaking = [pair for each, _ in giving for pair in each]
    winners = {rule.id for rule, each in speaking if each == value} or {rule.id for rule, _ in speaking}
    return value, giving[0][1], frozenset(winners)


def column_decision(
    governance: Governance, key: LFTagKey, data_product: DataProduct, table: Table, column: Column, content: Mapping
) -> Decided:
    def at(path: str, family: str) -> Spoken:
        return spoken(governance, key, Place(data_product, table, column, path, family, content))

    own = at("", type_family(column.type))
    fields = nested_fields(column.type)
    if not fields:
        return resolved(key, own)
    parts = []
    if any(effect == "raise" for _, effect, _ in own):
        parts.append(resolved(key, own))
    for each in fields:
        of_field = at(each.path, each.family) if each.path else []
        if of_field or not own:
            parts.append(resolved(key, of_field))
        if own and all(effect == "raise" for _, effect, _ in of_field):  # also where no rule speaks of it
            parts.append(resolved(key, own))
    value = reduce(key.join, [part[0] for part in parts])
    deciding = [part for part in parts if part[0] == value] or parts
    outcome = "default" if value == key.default else ""
    return value, outcome, frozenset().union(*(part[2] for part in deciding))


def decide(
    governance: Governance, data_product: DataProduct, table: Table, today: str, content: Mapping[str, Any]
) -> dict[str, dict[str, Decided]]:
    """column -> key -> (value, outcome or "" where several fields give it, rules that gave it)."""
    assigned = {key for key, _ in data_product.tags}
    keys = [key for key in governance.lf_tags if key.name not in assigned]
    found = {
        column.name: {key.name: column_decision(governance, key, data_product, table, column, content) for key in keys}
        for column in table.all_columns
    }
    for override in governance.overrides:
        here = (override.producer, override.data_product, override.table)
        if here != (data_product.producer, data_product.name, table.name) or override.column not in found:
            continue
        if override.expires and today > override.expires:
            continue
        for key in keys:
            value = dict(override.tags).get(key.name)
            if value is None:
                continue
            looser = key.join(value, found[override.column][key.name][0]) != value
            if not looser or override.approved_by:
                found[override.column][key.name] = (value, "override", frozenset())
    for key in keys:
        for floor in [found[each.name][key.name] for each in table.partition_keys]:
            for decided in found.values():
                own = decided[key.name]
                value = key.join(own[0], floor[0])
                if value != own[0]:
                    outcome = "override" if floor[1] == "override" else "raised"
                    given = floor[2] if value == floor[0] else floor[2] | own[2]
                    decided[key.name] = (value, "default" if value == key.default else outcome, given)
    return found
