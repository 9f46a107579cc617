"""The rules of a governance, as its files have them: what names lists and conditions is written out, and checked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tagmesh.governance import Example, Rule
from tagmesh.governance_tags import LFTags, items, once
from tagmesh.governance_yaml import At, Fields, Items, Report, Text, did_you_mean

_EFFECTS = ("raise", "clear", "assign")
#: What conditions and lists with a name may make of a few lines: no more than is compiled within seconds.
_MOST_WRITTEN_OUT = 300_000  # conditions and words
_DEEPEST_CONDITION = 50


class _Inside(NamedTuple):
    """What a condition stands in: a rule that opens, a `not`, a `table_has`, these named conditions."""

    opens: bool = False
    negated: bool = False
    table_has: bool = False
    names: tuple[str, ...] = ()


class _WrittenOut(NamedTuple):
    """A named condition, written out: how many conditions and words it is, and how deep they stand in one another."""

    condition: dict[str, Any]
    size: int
    depth: int


class RuleReader:
    """Reads the rules of all files together."""

    def __init__(self, report: Report, tags: LFTags) -> None:
        self._report = report
        self._tags = tags
        self._lists: dict[str, dict[str, None]] = {}  # name -> its words, each once
        self._conditions: dict[str, Fields] = {}
        self._named: dict[tuple[str, _Inside], _WrittenOut] = {}
        self._depth = self._deepest = 0  # of the condition that is being written out, and of those in it
        self._written_out = 0
        self._overgrown = False

    def read(self, documents: list[Fields]) -> tuple[Rule, ...]:
        """The rules, sorted by id, so that nothing depends on the order of files."""
        self._read_names(documents)
        seen: dict[str, Text] = {}
        over: list[tuple[Rule, Items]] = []
        rules: dict[str, Rule] = {}
        for fields in (fields for document in documents for fields in document.get("rules", ())):
            rule_id = fields["id"]
            once(self._report, seen, rule_id, f"the rule `{rule_id}`")
            raises, clears, assigns = (self._tags.pairs(fields.get(effect, Fields())) for effect in _EFFECTS)
            for key, value in fields.get("clear", Fields()).items():
                if key.lower() in self._tags.keys and value.lower() == self._tags.keys[key.lower()].default:
                    self._report(
                        value.at, f"`{value}` is the default of {key}: it clears nothing", "clear to another value"
                    )
            opens = bool(clears or assigns)
            examples = fields.get("examples", {})
            beats = items(fields.get("over", Items()))
            if beats and not clears:
                self._report(fields["over"].at, "only a rule that clears may stand over others", "remove `over`")
            rule = Rule(
                id=str(rule_id),
                raises=raises,
                clears=clears,
                assigns=assigns,
                when=self._condition(fields["when"], _Inside(opens=opens)),
                because=str(fields.get("because", "")),
                match=tuple(map(_example, examples.get("match", ()))),
                no_match=tuple(map(_example, examples.get("no_match", ()))),
                place=str(rule_id.at),
                over=tuple(sorted(map(str, beats))),
            )
            rules[rule.id] = rule
            over.append((rule, beats))
        for rule, beats in over:
            for name in beats:
                self._check_over(rule, name, rules)
        return tuple(sorted(rules.values(), key=lambda rule: rule.id))

    def _check_over(self, rule: Rule, name: Text, rules: Mapping[str, Rule]) -> None:
        beaten = rules.get(name)
        if beaten is None:
            self._report(name.at, f"there is no rule `{name}`{did_you_mean(name, rules)}", "write the id of a rule")
        elif not {key for key, _ in beaten.raises} & {key for key, _ in rule.clears}:
            mend = "name rules that raise what this one clears"
            self._report(name.at, f"`{name}` raises nothing that {rule.id} clears", mend)

    def _read_names(self, documents: list[Fields]) -> None:
        """The lists of words and the conditions that rules of any file may name."""
        lists: dict[str, Text] = {}
        conditions: dict[str, Text] = {}
        for document in documents:
            for name, words in document.get("words", Fields()).items():
                once(self._report, lists, name, f"the list of words `{name}`")
                listed = words.split() if isinstance(words, Text) else list(map(str, words))
                if any("$" in word for word in listed):
                    self._report(words.at, "a list of words names no other list", "write the words themselves")
                self._lists[str(name)] = dict.fromkeys(listed)
            for name, condition in document.get("conditions", Fields()).items():
                once(self._report, conditions, name, f"the condition `{name}`")
                self._conditions[str(name)] = condition
        for name in self._conditions:  # what no rule names is checked too
            self._named_condition(name, At("", 0, 0), _Inside(names=()))

    def _named_condition(self, name: str, at: At, inside: _Inside) -> Any:
        if name not in self._conditions:
            guess = did_you_mean(name, self._conditions)
            self._report(at, f"there is no condition `{name}`{guess}", "name one that stands under `conditions:`")
            return {}
        if name in inside.names:
            self._report(self._conditions[name].at, f"the condition `{name}` rests on itself", "write out one of them")
            return {}
        key = name, inside._replace(names=())
        known = self._named.get(key)
        if known is None:
            before, outer = self._written_out, self._deepest
            self._deepest = self._depth
            written = self._condition(self._conditions[name], inside._replace(names=(*inside.names, name)))
            known = self._named[key] = _WrittenOut(written, self._written_out - before, self._deepest - self._depth)
            self._deepest = max(outer, self._deepest)
        elif self._fits(at, known.size, known.depth):
            self._deepest = max(self._deepest, self._depth + known.depth)
        else:
            return {}
        return known.condition

    def _condition(self, node: Fields, inside: _Inside) -> dict[str, Any]:
        """A condition without positions, with what it names written out: plain strings, lists, booleans, mappings."""
        self._depth += 1
        self._deepest = max(self._deepest, self._depth)
        fits = self._fits(node.at, 1)
        written = self._entries(node, inside) if fits else {}
        self._depth -= 1
        return written

    def _fits(self, at: At, more: int, deeper: int = 0) -> bool:
        """Whether so many more conditions or words may be written out, so much deeper in one another; what is too much
        is reported once."""
        self._written_out += more
        too_deep = self._depth + deeper > _DEEPEST_CONDITION
        if not too_deep and self._written_out <= _MOST_WRITTEN_OUT:
            return True
        if not self._overgrown:
            self._overgrown = True
            deep = f"conditions stand more than {_DEEPEST_CONDITION} deep in one another"
            much = f"the rules hold more than {_MOST_WRITTEN_OUT:,} conditions and words"
            message = f"{deep if too_deep else much}, with what they name written out"
            self._report(at, message, "let fewer lists and conditions with a name build on one another")
        return False

    def _entries(self, node: Fields, inside: _Inside) -> dict[str, Any]:
        written: dict[str, Any] = {}
        every: list[Any] = []
        for name, value in node.items():
            if name == "is":
                every += [self._named_condition(str(each), each.at, inside) for each in items(value)]
            elif name in ("all", "any"):
                parts = [self._condition(each, inside) for each in value]
                if name == "all":
                    every += parts
                else:
                    written["any"] = parts
            elif name == "not":
                written["not"] = self._condition(value, inside._replace(negated=True))
            elif name == "table_has":
                if inside.table_has:
                    self._report(name.at, "`table_has` stands inside `table_has`", "write both beside each other")
                written[str(name)] = self._condition(value, inside._replace(table_has=True))
            elif name == "partition_key":
                written[str(name)] = value == "true"
            elif name in ("type", "content"):
                if name == "content":
                    self._check_content(name.at, inside)
                written[str(name)] = _plain(value)
            elif name.endswith("_parameters"):
                written[str(name)] = {str(each): self._text_test(tests) for each, tests in value.items()}
            else:
                written[str(name)] = self._text_test(value)
        if every:
            written["all"] = every
        return written

    def _check_content(self, at: At, inside: _Inside) -> None:
        if inside.opens or inside.negated:
            why = "a sample may miss what a column holds: what it shows can close a column, and never open one"
            self._report(at, why, "use `content` in rules that only raise, and not below `not`")
        if inside.table_has:
            self._report(at, "`content` is about the column itself, not about others", "take it out of `table_has`")

    def _text_test(self, tests: Fields) -> dict[str, Any]:
        return {
            str(test): self._words(value) if test.startswith("words_") else _plain(value)
            for test, value in tests.items()
        }

    def _words(self, node: Text | Items) -> list[str]:
        """Words, with named lists written out, each once: of `$person $number`, each of one list before each of the
        other."""
        words: dict[str, None] = {}
        for word in items(node):
            if "$" in word:
                parts = [self._listed(part, word.at) if part.startswith("$") else {part: None} for part in word.split()]
                if self._fits(word.at, math.prod(map(len, parts))):
                    if len(parts) == 1:
                        words |= parts[0]
                    else:
                        words.update(("_".join(chosen), None) for chosen in itertools.product(*parts))
            else:
                self._written_out += 1
                words[str(word)] = None
        return list(words)

    def _listed(self, name: str, at: At) -> dict[str, None]:
        if name[1:] in self._lists:
            return self._lists[name[1:]]
        guess = did_you_mean(name[1:], self._lists)
        self._report(at, f"there is no list of words `{name}`{guess}", "name one that stands under `words:`")
        return {}


def _plain(node: Text | Items) -> Any:
    return [str(item) for item in node] if isinstance(node, Items) else str(node)


def _example(node: Text | Fields) -> Example:
    if isinstance(node, Fields):
        column, type_name = _typed(node["column"])
        return Example(
            column,
            type_name,
            str(node.get("table", "")),
            tuple(_typed(each) for each in node.get("with", ())),
            str(node.get("comment", "")),
            tuple(map(str, items(node.get("content", Items())))),
            node.get("partition_key") == "true",
        )
    name, type_name = _typed(node)
    table, _, column = name.rpartition(".")
    return Example(column, type_name, table)


def _typed(text: str) -> tuple[str, str | None]:
    name, _, type_name = text.partition(":")
    return name, type_name or None
