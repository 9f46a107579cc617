"""The words of a name: `customerEMail2`, `customer_e_mail.2` and `customeremail2` all speak of an e-mail."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from tagmesh.common_words import COMMON_WORDS

_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NONE: frozenset[str] = frozenset()
_SHORT_PLURALS = frozenset({"ips"})  # of words so short that an s at their end mostly is their own
_LONGEST_RUN = 48  # letters: a longer run without a break is no run of words
_LONGEST_ENTRY = 5  # words that an entry of a rule may span
#: The set of words that every name holds an entry of.
ANY = 1
_ALL = -1  # every set
_MOST_REMEMBERED = 65536


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


class _Run:
    """What is to be known of a run of letters or digits: its words; each of them, its singular, and every entry that
    stands within; whether it is no common word, and so might be made of other words; and sets of entries, as bits:
    those of which it holds one, those that alone make it, and those that have an entry which it begins with."""

    __slots__ = ("alone", "begun", "marks", "odd", "phrases", "text", "words")

    def __init__(self, text: str, words: tuple[str, ...], phrases: frozenset[str], odd: bool) -> None:
        self.text = text
        self.words = words
        self.phrases = phrases
        self.odd = odd
        self.marks = self.begun = 0
        self.alone = _ALL


class Name:
    """What is to be known of a name. ``words``: its words, lower-case, in order. ``joined``: the entries that are
    several of them in a row; ``spans``: those that are, where numbers do not count. Sets of entries, as bits
    (``Vocabulary.mark``): ``marks``, those of which it holds an entry; ``alone``, those whose entries alone make it;
    ``perhaps``, those that might beside these: ``Vocabulary.made_of`` tells."""

    __slots__ = ("_phrases", "alone", "joined", "marks", "perhaps", "runs", "spans", "words")

    def __init__(self, runs: list[_Run], words: tuple[str, ...]) -> None:
        self.runs = runs
        self.words = words
        self.joined = self.spans = _NONE
        self.marks = self.alone = self.perhaps = 0
        self._phrases: frozenset[str] | None = None

    @property
    def phrases(self) -> frozenset[str]:
        """Each word and its singular, and every entry that the name holds."""
        if self._phrases is None:
            self._phrases = self.joined.union(*[run.phrases for run in self.runs])
        return self._phrases


class _Remembered(dict[str, Any]):
    """text -> what was found out of it, found out when it is asked for; forgotten where it becomes too much."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, text: str) -> Any:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        found = self[text] = self._find(text)
        return found


class Vocabulary:
    """The words that names are cut into: common ones; and the entries that rules ask for, in sets.

    Whether a rule finds its words in a name depends on the common words and on that rule alone: no other rule hides
    one or brings one to light, so that adding a rule that raises never opens a column."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._sets: dict[frozenset[str], int] = {}  # entries -> the bit of their set
        self._marks: dict[str, int] = {}  # entry -> the sets that it is in
        self._names, self._runs, self._continued = map(_Remembered, (self._read, self._read_run, self._begins))
        self.read: Callable[[str], Name] = self._names.__getitem__
        self._cut = lru_cache(maxsize=65536)(_cut_into)
        self.mark(frozenset(map(entry, words)))

    def mark(self, entries: frozenset[str]) -> int:
        """The bit that a set of entries has in names, which are read anew after a set that was not known."""
        bit = self._sets.get(entries)
        if bit is None:
            bit = self._sets[entries] = ANY << len(self._sets) + 1
            marks = self._marks
            for each in entries:
                if each:
                    marks[each] = marks.get(each, 0) | bit
            for known in (self._names, self._runs, self._continued):
                known.clear()
            for name in ("_sorted", "_written"):
                self.__dict__.pop(name, None)
        return bit

    # Names without odd runs, and loading, need neither of these.
    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._marks)

    @cached_property
    def _written(self) -> _Words:
        """Entries, and plurals of them."""
        return _by_start(frozenset(_with_plurals(self._marks)))

    def _read_run(self, text: str) -> _Run:
        """A run, cut into words, and the sets of entries that it is to do with.

        A run that is no common word is cut into the fewest common words that make all of it; of two ways as short,
        the one with the longer first word. One that cannot be cut so, or into words of two letters alone, stays whole.
        An entry that is no common word is found in it where what is left and right of it can be cut, into no more words
        altogether."""
        if len(text) < 4 or len(text) > _LONGEST_RUN or text in _COMMON or text.isdigit():
            return self._run(text, (text,), odd=len(text) > _LONGEST_RUN and not text.isdigit())
        written, lengths = self._written
        before = _reached(text, _COMMON_FORWARDS)
        seen = [
            (start, start + length)
            for start in before
            if start < len(text) - 1
            for length in (*lengths.get(text[start : start + 3], ()), 2)
            if start + length <= len(text) and text[start : start + length] in written
        ]
        if not seen and len(text) not in before:
            return self._run(text, (text,))
        after = _fewest(text, _COMMON_FORWARDS)
        if after[0] and _by_chance(after[0]):
            after[0] = None
        words = after[0] or (text,)
        if not seen:
            return self._run(text, words)
        whole = _NEVER if after[0] is None else len(words)
        found = [
            text[start:end]
            for start, end in seen
            if (rest := after[end]) is not None and before[start] + 1 + len(rest) <= whole
        ]
        run = self._run(text, words, self._entries_of(found))
        for start, end in seen:
            if start == 0:
                run.begun |= self._marks_of(text[:end])
        return run

    def _run(self, text: str, words: tuple[str, ...], within: frozenset[str] = _NONE, *, odd: bool = True) -> _Run:
        """A run with its sets."""
        run = _Run(text, words, within.union(words, map(singular, words)), odd)
        marks = self._marks
        for phrase in run.phrases:
            run.marks |= marks.get(phrase, 0)
        if text.isdigit():
            return run  # numbers do not count
        for word in words:
            run.alone &= self._marks_of(word)
        if odd:
            run.alone |= marks.get(text, 0)
        return run

    def _marks_of(self, word: str) -> int:
        """The sets that hold a word as it is or its singular."""
        return self._marks.get(word, 0) | self._marks.get(singular(word), 0)

    def _entries_of(self, written: Iterable[str]) -> frozenset[str]:
        """The entries that are written so, and those of which that is the plural: one of a rule hides none of
        another's."""
        return frozenset(each for word in written for each in (word, singular(word)) if each in self._marks)

    def _read(self, name: str) -> Name:
        """Cut at everything that is no letter, at humps, between letters and digits, and, where a run of letters is
        no word itself, into the fewest common words. `e_mail` and `email` are one entry, and `eMail`, `e-mail`,
        `emails` all hold it."""
        runs = [self._runs[part] for part in _parts(name)]
        words: list[str] = []
        marks, alone, perhaps, odd = ANY, _ALL, 0, False
        for run in runs:
            words += run.words
            marks |= run.marks
            alone &= run.alone
            if run.odd:
                odd = True
                perhaps |= run.begun
        read = Name(runs, tuple(words))
        if len(words) > 1:
            read.joined = read.spans = self._joined(words)
            plain = [word for run in runs if run.alone != _ALL for word in run.words]
            if len(plain) < len(words):
                read.spans = self._joined(plain)
                if odd and any(len(run.words) > 1 for run in runs):
                    perhaps = _ALL
            for each in read.joined:
                marks |= self._marks[each]
            for each in read.spans:
                perhaps |= self._marks[each]
        read.marks = marks
        read.alone = 0 if alone == _ALL else alone
        read.perhaps = perhaps & ~read.alone
        return read

    def _joined(self, words: Sequence[str]) -> frozenset[str]:
        """The entries that are several words in a row, the last as it is or its singular."""
        entries = self._marks
        found: list[str] = []
        last = len(words) - 1
        for start in range(last):
            phrase = words[start]
            for end in range(start + 1, min(last, start + _LONGEST_ENTRY - 1) + 1):
                word = words[end]
                if word[-1] == "s" and (one := phrase + singular(word)) in entries:
                    found.append(one)
                phrase += word
                if phrase in entries:
                    found.append(phrase)
                if end < last and not self._continued[phrase]:
                    break
        return frozenset(found) if found else _NONE

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

    def covers(self, name: str, entries: frozenset[str]) -> bool:
        """Whether a name is made of these entries alone; numbers in it do not count, but are not enough."""
        return self.made_of(self.read(name), entries)

    def made_of(self, read: Name, entries: frozenset[str]) -> bool:
        """The same, of a name that was read."""
        words: list[str] = []
        unknown = cut_otherwise = False
        for run in read.runs:
            if run.text in entries:
                words.append(run.text)
            elif run.text.isdigit():
                continue
            elif all(word in entries or singular(word) in entries for word in run.words):
                words += run.words
            elif run.odd and (own := self._cut(run.text, entries)) and _as_few(own, run.text, run.words):
                words += own
                cut_otherwise = True
            else:
                words += run.words
                unknown = True
        if not unknown:
            return any(not word.isdigit() for word in words)
        # Whether entries of several words may stand in it, beside those that runs were cut into.
        several = any(len(run.words) > 1 for run in read.runs) and any(run.text.isdigit() for run in read.runs)
        return (cut_otherwise or several or not entries.isdisjoint(read.spans)) and _made_of(words, entries)


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
    if len(run) > _LONGEST_RUN or run in _COMMON:
        return None
    known = _starts_of(entries)
    own = _fewest(run, known)[0] if len(run) in _reached(run, known) else None
    return None if own and _by_chance(own) else own


def _by_chance(words: Iterable[str]) -> bool:
    """Whether words that make a run are of two letters each, as `up in` for `upin`."""
    return max(map(len, words)) == 2


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
