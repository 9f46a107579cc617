"""What of a governance folder is right and still makes no sense: rules that can never speak, or that say nothing.

Only what can be decided from the files is said: a rule that is not reported may still be useless.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from tagmesh import days
from tagmesh.conditions import listed
from tagmesh.examples import check_examples
from tagmesh.governance import Governance, Rule
from tagmesh.words import Vocabulary, entry

SOON = 14  # days before something expires in which that is said


@dataclass(frozen=True, order=True)
class Warning:
    """``place`` is file:line; ``code`` is stable, for filters."""

    place: str
    code: str
    message: str
    mend: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.code}]; mend: {self.mend}"


def lint(governance: Governance, files: Mapping[str, str], hit: Iterable[str] | None = None) -> list[Warning]:
    """Everything that is worth saying, by place.

    Args:
        files: the texts that the governance was loaded from.
        hit: the ids of the rules that matched some column of an estate, if there was one to look at.
    """
    found = [*_examples(governance), *_unreachable(governance), *_redundant(governance), *_shadowed(governance)]
    found += [*_unused(files), *_overrides(governance), *_subscriptions(governance), *_undocumented(governance)]
    if hit is not None:
        found += _never_hit(governance, set(hit))
    return sorted(set(found))


def _examples(governance: Governance) -> Iterator[Warning]:
    for rule, wrong in check_examples(governance):
        mend = "mend the condition, or the example"
        yield Warning(rule.place, "example", f"{rule.id}: the example {wrong}", mend)


def _undocumented(governance: Governance) -> Iterator[Warning]:
    for rule in governance.rules:
        if not rule.because:
            mend = "write `because:`, for the person who asks why a column is closed"
            yield Warning(rule.place, "no-reason", f"{rule.id} does not say why", mend)
        if not rule.match or not rule.no_match:
            missing = "match" if not rule.match else "no_match"
            mend = f"write `examples: {{{missing}: [...]}}`: they are checked, and tell a reader what is meant"
            yield Warning(rule.place, "no-examples", f"{rule.id} has no examples under {missing}", mend)


def _subscriptions(governance: Governance) -> Iterator[Warning]:
    now = days.today()
    soon = days.days_after(now, SOON)
    for consumer in governance.consumers:
        for subscription in consumer.subscriptions:
            where = f"{consumer.name}/{subscription.name}"
            if subscription.expires and subscription.expires < now:
                message = f"the subscription {where} has expired on {subscription.expires}: it gives nothing any more"
                yield Warning(subscription.place, "subscription-expired", message, "remove it, or write another day")
            elif subscription.expires and subscription.expires <= soon:
                message = f"the subscription {where} expires on {subscription.expires}"
                yield Warning(subscription.place, "subscription-expires", message, "write another day, or let it end")


def _overrides(governance: Governance) -> Iterator[Warning]:
    now = days.today()
    soon = days.days_after(now, SOON)
    for override in governance.overrides:
        where = f"{override.producer}/{override.data_product} {override.table}.{override.column}"
        if override.expires and override.expires < now:
            message = f"the override of {where} has expired on {override.expires}: the rules hold"
            yield Warning(override.place, "override-expired", message, "remove it, or decide again")
        elif override.expires and override.expires <= soon:
            message = f"the override of {where} expires on {override.expires}"
            yield Warning(override.place, "override-expires", message, "decide again, or write a rule, before that day")


def _unused(files: Mapping[str, str]) -> Iterator[Warning]:
    """Lists of words and conditions that no rule names, by itself or through another condition."""
    documents = {
        file: yaml.load(text, Loader=yaml.BaseLoader) for file, text in files.items() if file.startswith("rules/")
    }
    used = set(_names(list(documents.values())))
    for file, document in documents.items():
        for section, prefix, what in (("words", "$", "list of words"), ("conditions", "", "condition")):
            for name in document.get(section) or ():
                if prefix + name not in used:
                    line = next(
                        (
                            n
                            for n, text in enumerate(files[file].splitlines(), 1)
                            if text.strip().startswith(f"{name}:")
                        ),
                        1,
                    )
                    message = f"the {what} `{prefix}{name}` is named by no rule"
                    yield Warning(f"{file}:{line}", "unused", message, "remove it, or name it")


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "is":
                yield from listed(value)
            else:
                yield from _names(value)
    elif isinstance(node, list):
        for each in node:
            yield from _names(each)
    elif isinstance(node, str) and "$" in node:
        yield from (part for part in node.split() if part.startswith("$"))


def _never_hit(governance: Governance, hit: set[str]) -> Iterator[Warning]:
    for rule in governance.rules:
        if rule.id not in hit:
            mend = "keep it for what may come, or remove it"
            yield Warning(rule.place, "never-hit", f"{rule.id} speaks about no column", mend)


# ---- Rules that can never speak ---------------------------------------------------------------------------------


def _unreachable(governance: Governance) -> Iterator[Warning]:
    for rule in governance.rules:
        if why := contradiction(rule.when):
            yield Warning(rule.place, "unreachable", f"{rule.id} can never match: {why}", "mend the condition")


def contradiction(condition: Mapping[str, Any]) -> str | None:
    """Why a condition cannot hold, whatever the column; None where that cannot be told."""
    for name in ("column", "table", "comment", "field", "database", "data_product", "producer"):
        if name in condition and (why := _text_contradiction(name, condition[name])):
            return why
    excluded = condition.get("not", {})
    if "type" in condition and set(excluded) == {"type"}:
        wanted, unwanted = set(listed(condition["type"])), set(listed(excluded["type"]))
        if wanted <= unwanted:
            return f"its type must be {' or '.join(sorted(wanted))}, and must not"
    if excluded and all(
        name in condition and implies({name: condition[name]}, {name: excluded[name]}) for name in excluded
    ):
        return "what it asks for, its `not` excludes"
    if "any" in condition:
        reasons = [contradiction(part) for part in condition["any"]]
        if all(reasons):
            return f"none of its alternatives can: {reasons[0]}"
    return next((why for part in condition.get("all", ()) if (why := contradiction(part))), None)


def _text_contradiction(name: str, tests: Mapping[str, Any]) -> str | None:
    def entries(test: str) -> dict[str, str]:
        return {entry(word): word for word in listed(tests.get(test, []))}

    none, only = entries("words_none"), entries("words_only")
    for test in ("words_all", "words_any"):
        wanted = entries(test)
        hopeless = [word for key, word in wanted.items() if key in none or (only and not _covered(word, only))]
        if hopeless and (test == "words_all" or len(hopeless) == len(wanted)):
            why = "words_none excludes it" if entry(hopeless[0]) in none else "words_only leaves it out"
            return f"{name} must have the word {hopeless[0]}, and {why}"
    if only and set(only) <= set(none):
        return f"words_none excludes every word of {name} that words_only leaves"
    return None


def _covered(word: str, only: Mapping[str, str]) -> bool:
    return Vocabulary(only.values()).covers(word, frozenset(only))


# ---- Rules that say nothing -------------------------------------------------------------------------------------


def _effects(rule: Rule) -> tuple:
    return (rule.raises, rule.clears, rule.assigns, rule.over)


def _redundant(governance: Governance) -> Iterator[Warning]:
    """Rules all of whose columns another rule says the same about."""
    for rule in governance.rules:
        for other in governance.rules:
            if other.id == rule.id or _effects(other) != _effects(rule) or not implies(rule.when, other.when):
                continue
            if implies(other.when, rule.when):
                if other.id < rule.id:
                    message = f"{rule.id} is {other.id} ({other.place}) once more"
                    yield Warning(rule.place, "duplicate", message, "remove one of the two")
            else:
                message = f"{rule.id} says nothing that {other.id} ({other.place}) does not say of more columns"
                yield Warning(rule.place, "duplicate", message, "remove it, or let it say something else")
            break


def _shadowed(governance: Governance) -> Iterator[Warning]:
    """Rules that open, all of whose columns another rule raises, so that they never decide anything."""
    for rule in governance.rules:
        opened = {key for key, _ in rule.clears + rule.assigns}
        if not opened or rule.raises:
            continue
        for other in governance.rules:
            raised = {key for key, _ in other.raises}
            if opened <= raised and other.id not in rule.over and implies(rule.when, other.when):
                message = f"{rule.id} never decides: {other.id} ({other.place}) raises all that it is about"
                mend = f"write `over: {other.id}` if it is to win, or narrow one of the two"
                yield Warning(rule.place, "shadowed", message, mend)
                break


def implies(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether, as far as their form tells, the other condition holds wherever the one does."""
    if "any" in one:
        rest = {name: wanted for name, wanted in one.items() if name != "any"}
        return all(implies({**rest, "all": [*rest.get("all", []), part]}, other) for part in one["any"])
    flat = _flat(one)
    return all(any(_entry_implies(mine, name, wanted) for mine in flat) for name, wanted in other.items())


def _flat(condition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A condition and all that stands under its `all`: each must hold."""
    parts = [condition]
    for part in condition.get("all", ()):
        parts += _flat(part)
    return parts


def _entry_implies(one: Mapping[str, Any], name: str, wanted: Any) -> bool:
    if name == "any":
        return any(implies(one, part) for part in wanted)
    if name == "all":
        return all(implies(one, part) for part in wanted)
    if name not in one:
        return False
    if json.dumps(one[name], sort_keys=True) == json.dumps(wanted, sort_keys=True):
        return True
    if name in ("type", "content"):
        return set(listed(one[name])) <= set(listed(wanted))
    if name == "not":
        # Where more is excluded, less is left.
        return implies(wanted, one["not"])
    if name in ("partition_key", "table_has", "column_parameters", "table_parameters"):
        return False
    return _text_implies(one[name], wanted)


def _text_implies(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def entries(tests: Mapping[str, Any], test: str) -> set[str]:
        return {entry(word) for word in listed(tests.get(test, []))}

    for test, texts in other.items():
        wanted = entries(other, test) if test.startswith("words_") else set(listed(texts))
        if test == "words_any":
            mine = [entries(one, name) for name in ("words_any", "words_only") if name in one]
            if not (entries(one, "words_all") & wanted or any(found <= wanted for found in mine)):
                return False
        elif test in ("words_all", "words_none"):
            if not wanted <= entries(one, test):
                return False
        elif test == "words_only":
            if not entries(one, test) or not entries(one, test) <= wanted:
                return False
        elif not set(listed(one.get(test, []))) or not set(listed(one[test])) <= wanted:
            return False
    return True
