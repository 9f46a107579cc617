"""`tagmesh coverage`: what the rules raise, clear and leave to people, and rules that would help with what is left."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tagmesh.column_types import type_family
from tagmesh.conditions import words_in
from tagmesh.governance import Governance
from tagmesh.wording import counted
from tagmesh.words import Vocabulary, entry, singular

from cli.classify import OUTCOMES, Classified

SHOWN = 10
LEAST = 2  # columns that a suggested rule is about
LONG_ENOUGH = 4  # letters: shorter words look alike by chance


@dataclass(frozen=True)
class Suggestion:
    """A rule that would decide some of what is left: by one word of their names and the families of their types.
    ``alike`` is the rule whose word is like it, and whose values it proposes."""

    word: str
    families: tuple[str, ...]
    columns: tuple[str, ...]
    alike: str
    raises: tuple[tuple[str, str], ...]
    clears: tuple[tuple[str, str], ...]

    def yaml(self) -> str:
        """As it may be pasted into a file below rules/."""
        tags = ", ".join(f"{key}: {value}" for key, value in self.raises)
        harmless = ", ".join(f"{key}: {value}" for key, value in self.clears)
        types = f", type: [{', '.join(self.families)}]" if self.families else ""
        why = f"like {self.alike}" if self.alike else "the strictest: nothing like it is known"
        return (
            f"  - id: new.{self.word}\n"
            f"    raise: {{{tags}}}  # {why}; if it is harmless, instead: clear: {{{harmless}}}\n"
            f'    when: {{column: {{words_any: ["{self.word}"]}}{types}}}\n'
            f'    because: ""  # {len(self.columns)} columns: {", ".join(self.columns[:4])}\n'
        )


@dataclass(frozen=True)
class Coverage:
    """``counts``: database -> outcome -> columns; ``left``: the columns at a default; ``suggestions``: the most useful
    first."""

    counts: dict[str, Counter]
    left: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]


def coverage(governance: Governance, found: Iterable[Classified]) -> Coverage:
    """What the decisions leave to people, and what would help."""
    counts: dict[str, Counter] = defaultdict(Counter)
    left: list[Classified] = []
    for each in found:
        outcome = each.outcome(governance)
        counts[each.database][outcome] += 1
        if outcome == "default":
            left.append(each)
    names = tuple(f"{each.database}.{each.table}.{each.column}" for each in left)
    return Coverage(dict(sorted(counts.items())), names, tuple(_suggestions(governance, left)))


def _suggestions(governance: Governance, left: list[Classified]) -> list[Suggestion]:
    """By words that no rule asks for, which is what keeps most columns closed: one after the other, each time the one
    that most of what is still left has in its name."""
    split = Vocabulary().split
    asked_for = {entry(word) for rule in governance.rules for word in words_in(rule.when)}
    by_word: dict[str, list[Classified]] = defaultdict(list)
    for each in left:
        for word in {singular(word) for word in split(each.column) if not word.isdigit() and len(word) > 1}:
            if word not in asked_for:
                by_word[word].append(each)
    known = _words_of_raises(governance)
    suggestions: list[Suggestion] = []
    done: set[int] = set()
    while len(suggestions) < SHOWN:
        rest = {word: [each for each in columns if id(each) not in done] for word, columns in by_word.items()}
        word = max(rest, key=lambda word: (len(rest[word]), word), default=None)
        if word is None or len(rest[word]) < LEAST:
            break
        done.update(id(each) for each in rest[word])
        suggestions.append(_suggestion(governance, word, rest[word], known))
    return suggestions


def _words_of_raises(governance: Governance) -> dict[str, str]:
    """word -> the first rule that raises columns with it."""
    found: dict[str, str] = {}
    for rule in governance.rules:
        if rule.raises:
            for word in words_in({"column": rule.when.get("column", {})}):
                if len(word) >= LONG_ENOUGH:
                    found.setdefault(entry(word), rule.id)
    return found


def _suggestion(governance: Governance, word: str, columns: list[Classified], known: dict[str, str]) -> Suggestion:
    close = get_close_matches(word, known, 1, cutoff=0.8) if len(word) >= LONG_ENOUGH else []
    rules = {rule.id: rule for rule in governance.rules}
    alike = known[close[0]] if close else ""
    keys = [key for key in governance.lf_tags if key.name in governance.ruled_keys]
    strictest = tuple((key.name, key.open_values[-1]) for key in keys)
    mildest = tuple((key.name, key.open_values[0]) for key in keys)
    families = {type_family(each.type) for each in columns}
    names = tuple(f"{each.database}.{each.table}.{each.column}" for each in columns)
    raises = rules[alike].raises if alike else strictest
    return Suggestion(word, () if "" in families else tuple(sorted(families)), names, alike, raises, mildest)


def lines(found: Coverage) -> list[str]:
    """For people."""
    header = ("database", *OUTCOMES, "columns")
    rows = [header]
    total: Counter = Counter()
    for database, counts in found.counts.items():
        total += counts
        rows.append((database, *(str(counts[outcome]) for outcome in OUTCOMES), str(counts.total())))
    rows.append(("all", *(_share(total[outcome], total.total()) for outcome in OUTCOMES), str(total.total())))
    widths = [max(len(row[n]) for row in rows) for n in range(len(header))]
    said = [
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    if not found.left:
        return [*said, "", "every column is decided"]
    said += ["", f"{counted(len(found.left), 'column')} that nobody reads until somebody decides, such as"]
    said += [f"  {name}" for name in found.left[:SHOWN]]
    if len(found.left) > SHOWN:
        said.append(f"  ... and {len(found.left) - SHOWN} more (--json has them all)")
    if found.suggestions:
        said += [
            "",
            "rules that would decide most of them, for a file below rules/; read each, and say why:",
            "",
            "rules:",
        ]
        said += [line for suggestion in found.suggestions for line in suggestion.yaml().rstrip("\n").split("\n")]
    return said


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def as_json(found: Coverage) -> dict[str, Any]:
    """The same, as JSON has it."""
    return {
        "databases": {database: dict(counts) for database, counts in found.counts.items()},
        "left": list(found.left),
        "suggestions": [
            {
                "word": each.word,
                "types": list(each.families),
                "columns": list(each.columns),
                "like": each.alike or None,
                "rule": each.yaml(),
            }
            for each in found.suggestions
        ],
    }
