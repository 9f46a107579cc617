"""The words of a name: `customerEMail2`, `customer_e_mail.2` and `customeremail2` all speak of an e-mail."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST_RUN = 48  # letters: a longer run without a break is no run of words
_LONGEST_ENTRY = 5  # words that an entry of a rule may span

#: Common words of column names, so that names run together are cut where a reader would cut them. Glue folds
#: `postalCode` to `postalcode`, and what a longer word holds by chance (`state` in `estate`) must not be found.
COMMON_WORDS = frozenset(
    """
    abstract account accounts action active activity actual added additional address addresses adjusted
    admin age agent agreement alert alias allocation allowed amount amounts annual answer application
    applied approval approved area array article assigned attachment attempt attribute audience author
    authority auto available avatar average awarded back balance bank base basic batch begin benefit
    bill billing birth blob block board body bonus book boolean box branch brand browser bucket budget
    building business buy buyer by calendar call campaign cancelled capacity card cart case category
    cause cell change channel charge check child citizen city claim class client closed code collection
    color colour column comment comments commission company complete completed condition confirmed
    connection consent contact content contract cost count country county coupon course created creator
    credit criteria currency current custom customer customers cycle daily data database date day days
    dead debit decision declined default degree deleted delivery department deposit depth description
    destination detail details device diagnosis digit digital direct disabled discount display distance
    district document domain done draft driver due duration early earnings education effective element
    eligible email employee employees employer employment enabled encrypted end ended engine entered
    entity entry error estate ethnic ethnicity event exam exchange expected expense expires expiry
    extension external extra factor failed family fax feature fee feedback field file filing final
    finance financial finish first fiscal flag floor folder following for foreign forename form format
    free freight frequency from full function gender given goods grade grand grant granted gross group
    guest has hash head header height hidden hire hired history holder holiday home host hour hours
    house html id image import in inactive income index industry initial inserted inspection instruction
    insurance interest internal interview inventory invoice is item items job join joined key kind label
    language last late latitude lead leave legal length level licence license limit line lines link list
    loan local location lock locked login logo long longitude lookup maiden mail main manager marital
    mark market marketing married master match maximum measure media medical member memo message
    messages meta method middle minimum minute missing mobile mode model modified module month monthly
    mother move name names national nationality net network new next nick no note notebook notes notice number
    object occupation occurred of offer office officer offices old on online open opened operation
    option order ordered orders organisation organization origin original other outcome output owner
    package page paid parent part partner party passport password patient pay payee payer payment
    payments payroll pension people per percent percentage performance period person personal phone
    photo picture place plan platform point policy position post postal postcode preferred premium
    present previous price prices primary principal priority private procedure process product products
    profile program progress project promo property provider public published purchase purpose quality
    quantity quarter query question queue quote race rank rate rating reason receipt received record
    reference referral region registered registration rejected relation release religion remark remarks
    reminder rent rep reply report reports request required reset residence resource response result
    results retail return returned revenue review role room root round route row salary sale sales
    sample scale schedule scheduled school scope score second secret section security segment seller
    send sender sent sequence serial series service session setting sex sexual orientation shift ship shipment shipped
    shipping shop short signature signed site size slug social sort source staff stage standard start
    started state statement station status step stock stop store street student subject submitted
    subscription success suffix sum summary supplier supply support surname survey symptom system table
    target task tax team telephone template term territory test text thread threshold ticket time times
    title to token topic total town track tracking trade transaction transfer transport treatment trial
    type unit units unsubscribed update updated upload uploaded url usage user users valid value values
    variant vehicle vendor verified version view visit visitor volume voucher warehouse web website week
    weight width window with work worked worker year years zip zone
    """.split()  # noqa: SIM905
)


def fold(name: str) -> str:
    """Lower-case letters without accents: what names are compared as."""
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """An English word without the s of its plural, as far as its letters tell: addresses, categories, emails."""
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]


class Name(NamedTuple):
    """What is to be known of a name. ``words``: its words, lower-case, in order; ``phrases``: every run of consecutive
    words, written together, and its singular, and the entries found in runs of letters besides; ``hints``: those and
    whatever else a part of it looks like; ``runs``: (run of letters or digits, its words); ``strange``: whether a run
    is no common word."""

    words: tuple[str, ...]
    phrases: frozenset[str]
    hints: frozenset[str]
    runs: tuple[tuple[str, tuple[str, ...]], ...]
    strange: bool


class Vocabulary:
    """The words that names are cut into: common ones; and the entries that rules ask for.

    Whether a rule finds its words in a name depends on the common words and on that rule alone: no other rule hides
    one or brings one to light, so that adding a rule that raises never opens a column."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._entries = _with_plurals(key for word in words if (key := entry(word)))
        self._entries_by_start = _by_start(self._entries)
        self.read = lru_cache(maxsize=65536)(self._read)
        self._read_run = lru_cache(maxsize=65536)(self._read_run)
        self._cut = lru_cache(maxsize=65536)(_cut_into)

    def _read_run(self, run: str) -> tuple[tuple[str, ...], frozenset[str], frozenset[str]]:
        """The words of a run of letters or digits, the entries that are found in it besides, and every entry that a
        part of it looks like.

        A run that is no common word is cut into the fewest common words that make all of it; of two ways as short,
        the one with the longer first word. One that cannot be cut so stays whole. An entry that is no common word
        is found in it where what is left and right of it can be cut, into no more words altogether."""
        if len(run) < 4 or len(run) > _LONGEST_RUN or run.isdigit() or _knows(run):
            return (run,), _NONE, _NONE
        after = _fewest(run, _COMMON_BY_START)
        seen = [
            (start, start + len(word), self._entries[word])
            for start in range(len(run) - 1)
            for word in self._entries_by_start.get(run[start : start + 2], ())
            if run.startswith(word, start)
        ]
        if not seen:
            return after[0] or (run,), _NONE, _NONE
        before = [_NEVER if words is None else len(words) for words in _fewest(run[::-1], _COMMON_BACKWARDS)][::-1]
        whole = _NEVER if after[0] is None else len(after[0])
        found = {
            known
            for start, end, known in seen
            if (rest := after[end]) is not None and before[start] + 1 + len(rest) <= whole
        }
        return after[0] or (run,), frozenset(found), frozenset(known for _, _, known in seen)

    def _read(self, name: str) -> Name:
        """Cut at everything that is no letter, at humps, between letters and digits, and, where a run of letters is
        no word itself, into the fewest common words. `e_mail` and `email` are one entry, and `eMail`, `e-mail`,
        `emails` all hold it."""
        words: list[str] = []
        runs = []
        phrases: set[str] = set()
        alike = _NONE
        for run in _parts(name):
            cut, besides, looks = self._read_run(run)
            words += cut
            runs.append((run, cut))
            phrases |= besides
            alike |= looks
        for start in range(len(words)):
            phrase = ""
            for word in words[start : start + _LONGEST_ENTRY]:
                phrases.add(phrase + singular(word))
                phrase += word
                phrases.add(phrase)
        held = frozenset(phrases)
        strange = any(len(cut) > 1 or not _knows(run) for run, cut in runs)
        return Name(tuple(words), held, held | alike if alike else held, tuple(runs), strange)

    def split(self, name: str) -> tuple[str, ...]:
        """The words of a name."""
        return self.read(name).words

    def phrases(self, name: str) -> frozenset[str]:
        """What the entries of a rule are looked up in."""
        return self.read(name).phrases

    def hints(self, name: str) -> frozenset[str]:
        """Every entry that a test of words could find in a name, and perhaps more: what rules are looked up by."""
        return self.read(name).hints

    def covers(self, name: str, entries: frozenset[str]) -> bool:
        """Whether a name is made of these entries alone; numbers in it do not count, but are not enough."""
        read = self.read(name)
        words = [word for word in read.words if not word.isdigit()]
        for word in words:
            if word not in entries and singular(word) not in entries:
                break
        else:
            return bool(words)
        return (read.strange or not _spanning(entries).isdisjoint(read.phrases)) and self._made_of(read, entries)

    def _made_of(self, read: Name, entries: frozenset[str]) -> bool:
        """The same, where entries may span several words, or be found in a run that is no common word."""
        words: list[str] = []
        for run, cut in read.runs:
            own = None if run in entries or run.isdigit() or len(run) < 4 else self._cut(run, entries)
            words += own if own is not None and (cut == (run,) or len(own) <= len(cut)) else cut
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


_NONE: frozenset[str] = frozenset()
_NEVER = 1000


def _with_plurals(words: Iterable[str]) -> dict[str, str]:
    """Each word, and its plural -> the word."""
    known = {}
    for word in words:
        for plural in (f"{word}s", f"{word}es", f"{word[:-1]}ies"):
            if singular(plural) == word:
                known.setdefault(plural, word)
        known[word] = word
    return known


def _by_start(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The first two letters -> the words that begin so, the longest first."""
    found: dict[str, list[str]] = {}
    for word in sorted(words, key=lambda word: (-len(word), word)):
        found.setdefault(word[:2], []).append(word)
    return {start: tuple(words) for start, words in found.items() if len(start) == 2}


_COMMON = frozenset(_with_plurals(COMMON_WORDS))
_COMMON_BY_START = _by_start(_COMMON)
_COMMON_BACKWARDS = _by_start(word[::-1] for word in _COMMON)


def _knows(word: str) -> bool:
    return word in _COMMON


def _fewest(run: str, words: Mapping[str, tuple[str, ...]]) -> list[tuple[str, ...] | None]:
    """For each position of a run the fewest words (by their start) that make all from there to the end, of several
    ways the one with the longest first word, or None; the last is (), for nothing."""
    best: list[tuple[str, ...] | None] = [None] * len(run) + [()]
    for start in range(len(run) - 2, -1, -1):
        fewest: tuple[str, ...] | None = None
        for word in words.get(run[start : start + 2], ()):
            if run.startswith(word, start):
                rest = best[start + len(word)]
                if rest is not None and (fewest is None or len(rest) + 1 < len(fewest)):
                    fewest = (word, *rest)
        best[start] = fewest
    return best


@lru_cache(maxsize=4096)
def _spanning(entries: frozenset[str]) -> frozenset[str]:
    """The entries that may be made of several words."""
    return frozenset(each for each in entries if each not in _COMMON)


@lru_cache(maxsize=4096)
def _starts_of(entries: frozenset[str]) -> dict[str, tuple[str, ...]]:
    return _by_start(_with_plurals(entries))


def _cut_into(run: str, entries: frozenset[str]) -> tuple[str, ...] | None:
    """A run as the fewest of these entries, where it is no common word and can be made of them."""
    if len(run) > _LONGEST_RUN or _knows(run):
        return None
    return _fewest(run, _starts_of(entries))[0]


def entry(word: str) -> str:
    """An entry of a rule (`e_mail`) as it is looked up among the phrases of a name; "" if it has no letter."""
    return "".join(_parts(word))


def _parts(name: str) -> list[str]:
    """The runs of letters and of digits of a name, lower-case: cut at anything else, and at humps."""
    return _TOKEN.findall(fold(name if name.islower() else _HUMP.sub("_", name)))
