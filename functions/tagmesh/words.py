"""The words of a name: `customerEMail2`, `customer_e_mail.2` and `customeremail2` all speak of an e-mail."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from tagmesh.common_words import COMMON_WORDS

_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NONE: frozenset[str] = frozenset()
_SHORT_PLURALS = frozenset({"ips"})  # of words so short that an s at their end mostly is their own
_LONGEST_RUN = 48  # letters: a longer run without a break is no run of words
_LONGEST_ENTRY = 5  # words that an entry of a rule may span


def fold(name: str) -> str:
    """Lower-case letters without accents: what names are compared as."""
    if name.isascii():
        return name.lower()
    # Decomposed before and after: what a letter stands for may be a capital, and what that becomes may have accents.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """An English word without the s of its plural, as far as its letters tell: addresses, categories, emails; and, of
    a common word, without the es: aliases, statuses."""
    if word in _SHORT_PLURALS:
        return word[:-1]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith("ses") and word[:-2] in COMMON_WORDS and word[:-1] not in COMMON_WORDS:
        return word[:-2]
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]


class _Run(NamedTuple):
    """A run of letters or digits: as it is, its words, each with its singular, those of them that are no number, all of
    these and the entries found in it besides, those entries, the entries it begins with, and whether it is made of
    letters and no common word."""

    text: str
    words: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]
    phrases: frozenset[str]
    within: frozenset[str]
    alike: frozenset[str]
    odd: bool


class Name(NamedTuple):
    """What is to be known of a name. ``words``: its words, lower-case, in order; ``phrases``: each of them and its
    singular, and every entry that it holds; ``joined``: the entries that are several words in a row, written together;
    ``within``: those found within a run of letters; ``alike``: those that such a run begins with; ``runs``: its runs of
    letters and of digits; ``plain``: each word that is no number, and its singular; ``spans``: the entries that are
    several of those in a row; ``odd``: whether a run of letters is no common word, and so might be made of other words;
    ``cut``: whether one has several words."""

    words: tuple[str, ...]
    phrases: frozenset[str]
    joined: frozenset[str]
    within: frozenset[str]
    alike: frozenset[str]
    runs: tuple[_Run, ...]
    plain: tuple[tuple[str, str], ...]
    spans: frozenset[str]
    odd: bool
    cut: bool


class Vocabulary:
    """The words that names are cut into: common ones; and the entries that rules ask for.

    Whether a rule finds its words in a name depends on the common words and on that rule alone: no other rule hides
    one or brings one to light, so that adding a rule that raises never opens a column."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        entries = {key for word in words if (key := entry(word))}
        self._entries = frozenset(entries)
        self.read = lru_cache(maxsize=65536)(self._read)
        self._read_run = lru_cache(maxsize=65536)(self._read_run)
        self._goes_on = lru_cache(maxsize=65536)(self._begins)
        self._cut = lru_cache(maxsize=65536)(_cut_into)

    # Names without odd runs, and loading, need neither of these.
    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._entries)

    @cached_property
    def _written(self) -> _Words:
        """Entries, and plurals of them."""
        return _by_start(frozenset(_with_plurals(self._entries)))

    def _read_run(self, run: str) -> _Run:
        """What is to be known of a run of letters or digits.

        A run that is no common word is cut into the fewest common words that make all of it; of two ways as short,
        the one with the longer first word. One that cannot be cut so stays whole. An entry that is no common word
        is found in it where what is left and right of it can be cut, into no more words altogether."""
        if len(run) < 4 or len(run) > _LONGEST_RUN or run.isdigit() or _knows(run):
            return _run(run, (run,), odd=len(run) > _LONGEST_RUN and not run.isdigit())
        written, lengths = self._written
        before = _reached(run, _COMMON_FORWARDS)
        seen = [
            (start, start + length)
            for start in before
            if start < len(run) - 1
            for length in (*lengths.get(run[start : start + 3], ()), 2)
            if start + length <= len(run) and run[start : start + length] in written
        ]
        if not seen and len(run) not in before:
            return _run(run, (run,))
        after = _fewest(run, _COMMON_FORWARDS)
        if not seen:
            return _run(run, after[0] or (run,))
        whole = _NEVER if after[0] is None else len(after[0])
        found = [
            run[start:end]
            for start, end in seen
            if (rest := after[end]) is not None and before[start] + 1 + len(rest) <= whole
        ]
        first = [run[:end] for start, end in seen if start == 0]
        return _run(run, after[0] or (run,), self._entries_of(found), self._entries_of(first))

    def _entries_of(self, written: Iterable[str]) -> frozenset[str]:
        """The entries that are written so, and those of which that is the plural: one of a rule hides none of
        another's."""
        return self._entries.intersection(each for word in written for each in (word, singular(word)))

    def _read(self, name: str) -> Name:
        """Cut at everything that is no letter, at humps, between letters and digits, and, where a run of letters is
        no word itself, into the fewest common words. `e_mail` and `email` are one entry, and `eMail`, `e-mail`,
        `emails` all hold it."""
        runs = tuple([self._read_run(run) for run in _parts(name)])
        if len(runs) == 1:
            (run,) = runs
            joined = self._joined(run.pairs) if len(run.pairs) > 1 else _NONE
            held = run.phrases | joined if joined else run.phrases
            cut = len(run.words) > 1
            return Name(run.words, held, joined, run.within, run.alike, runs, run.plain, joined, run.odd, cut)
        pairs = [pair for run in runs for pair in run.pairs]
        plain = tuple([pair for run in runs for pair in run.plain])
        joined = spans = self._joined(pairs)
        if len(plain) < len(pairs) and len(plain) > 1:
            spans = self._joined(plain)
        within = alike = _NONE
        odd = cut = False
        for run in runs:
            if run.odd:
                odd = True
                cut = cut or len(run.words) > 1
                within |= run.within
                alike |= run.alike
        held = joined.union(*[run.phrases for run in runs])
        return Name(tuple([word for word, _ in pairs]), held, joined, within, alike, runs, plain, spans, odd, cut)

    def _joined(self, pairs: Sequence[tuple[str, str]]) -> frozenset[str]:
        """The entries that are several words in a row, the last as it is or its singular."""
        found = _NONE
        for start in range(len(pairs) - 1):
            phrase = pairs[start][0]
            if not self._goes_on(phrase):
                continue
            for word, one in pairs[start + 1 : start + _LONGEST_ENTRY]:
                found |= {each for each in (phrase + word, phrase + one) if each in self._entries}
                phrase += word
                if not self._goes_on(phrase):
                    break
        return found

    def _begins(self, text: str) -> bool:
        """Whether a longer entry begins with a text."""
        after = bisect_right(self._sorted, text)
        return after < len(self._sorted) and self._sorted[after].startswith(text)

    def split(self, name: str) -> tuple[str, ...]:
        """The words of a name."""
        return self.read(name).words

    def phrases(self, name: str) -> frozenset[str]:
        """What the entries of a rule are looked up in."""
        return self.read(name).phrases

    def hints(self, name: str) -> frozenset[str]:
        """Every entry that a test of words could find in a name, and perhaps more: what rules are looked up by."""
        read = self.read(name)
        return read.phrases | read.alike

    def covers(self, name: str, entries: frozenset[str]) -> bool:
        """Whether a name is made of these entries alone; numbers in it do not count, but are not enough."""
        read = self.read(name)
        for word, one in read.plain:
            if word not in entries and one not in entries:
                break
        else:
            return bool(read.plain)
        # Whether it can be nothing but these words one by one.
        apart = entries.isdisjoint(read.spans) and not (read.cut and len(read.plain) < len(read.words))
        if apart and not read.odd:
            return False
        words: list[str] = []
        unknown = cut_otherwise = False
        for run, cut, *_ in read.runs:
            if run in entries:
                words.append(run)
                continue
            if all(word in entries or singular(word) in entries for word in cut):
                words += cut
            elif run.isdigit():
                continue
            elif read.odd and len(run) > 3 and (own := self._cut(run, entries)) and _as_few(own, run, cut):
                words += own
                cut_otherwise = True
            else:
                words += cut
                unknown = True
        if not unknown:
            return any(not word.isdigit() for word in words)
        return (cut_otherwise or not apart) and _made_of(words, entries)


def _run(
    text: str, words: tuple[str, ...], within: frozenset[str] = _NONE, alike: frozenset[str] = _NONE, odd: bool = True
) -> _Run:
    pairs = tuple((word, singular(word)) for word in words)
    plain = () if text.isdigit() else pairs
    return _Run(text, words, pairs, plain, within.union(*pairs), within, alike, odd)


def _as_few(own: tuple[str, ...], run: str, cut: tuple[str, ...]) -> bool:
    """Whether a run is cut into no more words by the entries of a rule than by common words, if by those at all."""
    return cut == (run,) or len(own) <= len(cut)


def _made_of(words: list[str], entries: frozenset[str]) -> bool:
    """Whether words in a row are entries, each of one or several of them."""
    words = [word for word in words if not word.isdigit()]
    reached = {0}
    for end in range(1, len(words) + 1):
        last = singular(words[end - 1])
        for start in range(max(0, end - _LONGEST_ENTRY), end):
            if start in reached:
                head = "".join(words[start : end - 1])
                if head + words[end - 1] in entries or head + last in entries:
                    reached.add(end)
    return bool(words) and len(words) in reached


_NEVER = 1000
_HISSING = ("s", "x", "ch", "sh")


def _with_plurals(words: Iterable[str]) -> dict[str, str]:
    """Each word, and its plural -> the word."""
    known = {}
    for word in words:
        plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}es" if word.endswith(_HISSING) else f"{word}s"
        for each in (plural, f"{word}s"):
            if each not in known and singular(each) == word:
                known[each] = word
        known[word] = word
    return known


class _Words(NamedTuple):
    """Words, and of how many letters those are that begin with the same three, the longest first."""

    words: Collection[str]
    lengths: dict[str, tuple[int, ...]]


def _by_start(words: Collection[str]) -> _Words:
    lengths: dict[str, set[int]] = {}
    for word in words:
        lengths.setdefault(word[:3], set()).add(len(word))
    return _Words(words, {start: tuple(sorted(found, reverse=True)) for start, found in lengths.items()})


_COMMON = frozenset(_with_plurals(COMMON_WORDS))
_COMMON_FORWARDS = _by_start(_COMMON)


def _knows(word: str) -> bool:
    return word in _COMMON


def _reached(run: str, known: _Words) -> dict[int, int]:
    """The positions of a run that words lead to from its beginning -> the fewest words that do. Most runs that
    cannot be cut end soon."""
    words, lengths = known
    reached = {0: 0}
    ahead = [0]
    for start in ahead:
        steps = reached[start] + 1
        for length in (*lengths.get(run[start : start + 3], ()), 2):
            end = start + length
            if end <= len(run) and run[start:end] in words:
                if end not in reached:
                    insort(ahead, end)
                    reached[end] = steps
                elif steps < reached[end]:
                    reached[end] = steps
    return reached


def _fewest(run: str, known: _Words) -> list[tuple[str, ...] | None]:
    """For each position of a run the fewest words that make all from there to the end, of several ways the one with
    the longest first word, or None; the last is (), for nothing."""
    words, lengths = known
    best: list[tuple[str, ...] | None] = [None] * len(run) + [()]
    for start in range(len(run) - 2, -1, -1):
        fewest: tuple[str, ...] | None = None
        left = len(run) - start
        for length in (*lengths.get(run[start : start + 3], ()), 2):
            if length > left:
                continue
            rest = best[start + length]
            if rest is None or (fewest is not None and len(rest) + 1 >= len(fewest)):
                continue
            word = run[start : start + length]
            if word in words:
                fewest = (word, *rest)
        best[start] = fewest
    return best


@lru_cache(maxsize=4096)
def _starts_of(entries: frozenset[str]) -> _Words:
    return _by_start(_with_plurals(entries))


def _cut_into(run: str, entries: frozenset[str]) -> tuple[str, ...] | None:
    """A run as the fewest of these entries, where it is no common word and can be made of them."""
    if len(run) > _LONGEST_RUN or _knows(run):
        return None
    known = _starts_of(entries)
    return _fewest(run, known)[0] if len(run) in _reached(run, known) else None


@lru_cache(maxsize=65536)
def entry(word: str) -> str:
    """An entry of a rule (`e_mail`) as it is looked up among the phrases of a name; "" if it has no letter."""
    plain = word.replace("_", "")
    if plain.isascii() and plain.isalpha() and plain.islower():  # nearly all are
        return plain
    return "".join(_parts(word))


def _parts(name: str) -> list[str]:
    """The runs of letters and of digits of a name, lower-case: cut at anything else, and at humps."""
    return _TOKEN.findall(fold(name if name.islower() else _with_humps_cut(name)))


def _with_humps_cut(name: str) -> str:
    """`fooBar` and `FOOBar` as foo_Bar and FOO_Bar, in any alphabet and with any accent."""
    if name.isascii():
        return _HUMP.sub("_", name)
    letters = [c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c)]
    cut = []
    for before, here, after in zip(["", *letters], letters, [*letters[1:], ""], strict=False):
        if here.isupper() and (before.islower() or (before.isupper() and after.islower())):
            cut.append("_")
        cut.append(here)
    return "".join(cut)
