"""What a column's sampled values are: judged by patterns and checksums, and by how many of them agree.

One value proves nothing: a tenth of all numbers has a valid check digit. A column shows a kind if it has enough
different values and a large enough share of them is of that kind, all national ids of one country, all telephone
numbers without `+` of one country.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any, NamedTuple

from content import national_ids

#: Different values that a column must have, and how many of them must match, before its sample says anything.
LEAST_VALUES = 10
LEAST_MATCHING = 5
#: kind -> the share of a column's different values that must match. The surer a single match, the less it takes.
SHARES = {
    "email": 0.2,
    "iban": 0.3,
    "card": 0.6,
    "phone": 0.6,
    "national_id": 0.7,
    "machine_address": 0.7,
    "birth_date": 0.9,
}
LONGEST = 1000  # characters of a value that are looked at


class Shown(NamedTuple):
    """So many of a column's different values are of a kind."""

    matching: int
    of: int


def text_of(value: Any) -> str | None:
    """A value as it is judged: text without outer blanks, a whole number, or a day; None for what says nothing."""
    if isinstance(value, str):
        text = value.strip()[:LONGEST]
        # Whole numbers that have been through a floating point number (4111111111111111.0).
        return re.sub(r"^(\d{8,19})\.0$", r"\1", text) or None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (float, Decimal)):
        whole = value == value and abs(value) < 10**19 and value == int(value)
        return str(int(value)) if whole else None
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d" if (value.hour, value.minute, value.second) == (0, 0, 0) else "%Y-%m-%dT%H:%M")
    if isinstance(value, date):
        return value.isoformat()
    return None


def judge(texts: Collection[str], countries: Collection[str], today: date) -> dict[str, Shown]:
    """kind -> how many match, of the kinds that a column's different texts show.

    Args:
        countries: those whose national ids and telephone numbers are looked for (`GB`); all that are known if empty.
    """
    if len(texts) < LEAST_VALUES:
        return {}
    counts: dict[str, Callable[[], int]] = {
        "email": lambda: _addresses(texts),
        "iban": lambda: sum(map(_is_iban, texts)),
        "card": lambda: sum(map(_is_card, texts)),
        "phone": lambda: _phones(texts, countries),
        "national_id": lambda: _national_ids(texts, countries),
        "machine_address": lambda: sum(map(_is_machine_address, texts)),
        "birth_date": lambda: _birth_dates(texts, today),
    }
    found = {kind: Shown(count(), len(texts)) for kind, count in counts.items()}
    return {
        kind: shown for kind, shown in found.items() if shown.matching >= max(LEAST_MATCHING, SHARES[kind] * len(texts))
    }


# -- e-mail ----------------------------------------------------------------------------------------------------------

_ADDRESS = re.compile(
    r"(?<![\w.%+'/@-])([\w.%+'-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,30}))"
    r"(?![\w@:/-]|\.\w)"
)
#: What follows the last dot of files and of no domain (logo@2x.png).
_FILES = ("png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "json", "html", "pdf", "txt")


def _addresses(texts: Iterable[str]) -> int:
    """Texts in which an e-mail address stands, at most one for each address."""
    found = {match.group(1).lower() for text in texts if "@" in text and (match := _ADDRESS.search(text))}
    return sum(not address.endswith(tuple(f".{ending}" for ending in _FILES)) for address in found)


# -- numbers of accounts and cards -----------------------------------------------------------------------------------


def _is_iban(text: str) -> bool:
    """An IBAN of a country that has them, of its length and form, and right modulo 97."""
    from stdnum import iban

    compact = re.sub(r"[ -]", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d\d[A-Z0-9]{11,30}", compact, re.ASCII):
        return False
    return bool(iban.is_valid(compact, check_country=False))


#: First digits -> lengths of card numbers. [ISO/IEC 7812; the issuers' published ranges]
_ISSUERS = re.compile(
    r"""
      4\d{15}(?:\d{3})?                                                       # Visa
    | (?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}        # Mastercard
    | 3[47]\d{13}                                                             # American Express
    | (?:6011|64[4-9]\d|65\d\d)\d{12}(?:\d{3})?                               # Discover
    | 3(?:0[0-5]|[689]\d)\d{11}(?:\d{2})?                                     # Diners Club
    | 35(?:2[89]|[3-8]\d)\d{12}(?:\d{3})?                                     # JCB
    | 62\d{14,17}                                                             # UnionPay
    | (?:5018|5020|5038|5893|6304|6759|676[1-3])\d{12}(?:\d{3})?              # Maestro
    | 220[0-4]\d{12}(?:\d{3})?                                                # Mir
    | (?:60|8[12])\d{14}                                                      # RuPay
    """,
    re.VERBOSE | re.ASCII,
)


def _is_card(text: str) -> bool:
    """A card number: of an issuer's range and length, and right by Luhn's formula; in one run, or in groups of four or
    so."""
    if not re.fullmatch(r"\d{14,19}|\d{4}([ -])\d{4,6}\1\d{4,5}(?:\1\d{1,4}){0,2}", text, re.ASCII):
        return False
    digits = re.sub(r"\D", "", text)
    return bool(_ISSUERS.fullmatch(digits)) and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


# -- national ids ----------------------------------------------------------------------------------------------------


_TRIED_FIRST = 40  # since testing a number against all countries is most of the work


def _national_ids(texts: Collection[str], countries: Collection[str]) -> int:
    """Texts that are national ids of one country; of any of the countries, where some are named. 0 if of some that are
    tried first hardly any is, or if they count up: some countries' ids have no check digit, and people's are no
    series."""
    first = list(islice(texts, 0, None, max(1, len(texts) // _TRIED_FIRST)))
    if _most(first, countries) < len(first) * SHARES["national_id"] / 2:
        return 0
    return 0 if _count_up(texts) else _most(texts, countries)


def _count_up(texts: Collection[str]) -> bool:
    """Whether texts are numbers of which most follow upon another at one distance."""
    if not all(text.isascii() and text.isdigit() for text in texts):
        return False
    rising = sorted(map(int, texts))
    distances = Counter(later - earlier for earlier, later in pairwise(rising))
    return max(distances.values(), default=0) > len(texts) / 2


def _most(texts: Iterable[str], countries: Collection[str]) -> int:
    if countries:
        return sum(bool(national_ids.countries_of(text) & set(countries)) for text in texts)
    counted = Counter(country for text in texts for country in national_ids.countries_of(text))
    return max(counted.values(), default=0)


# -- telephone -------------------------------------------------------------------------------------------------------

_INTERNATIONAL = re.compile(r"(?:tel:)?(?:\+|00)[ ]?[1-9][\d ().\-/]{5,24}\d", re.ASCII)
_NATIONAL = re.compile(r"[(]?\d[\d ().\-/]{6,24}\d", re.ASCII)
#: North American numbers as they are written; ten digits alone may be anything.
_NORTH_AMERICAN = re.compile(r"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}", re.ASCII)
_DATE_OR_NUMBER = re.compile(r"\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|\d+[.,]\d+|\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
#: Countries whose numbers begin with a 0 within the country, so that a 0 and separators tell them from other numbers.
_WITH_TRUNK_PREFIX = ("AT", "AU", "BE", "CH", "DE", "FR", "GB", "IE", "IN", "JP", "NL", "NZ", "SE", "TR", "ZA")


def _phones(texts: Collection[str], countries: Collection[str]) -> int:
    """Texts that are valid telephone numbers: with `+`, or as they are written within one country.

    Digits alone are none: any number could be one. Only where countries are named, a 0 before them is enough."""
    international = {text for text in texts if _INTERNATIONAL.fullmatch(text) and _is_phone(text, None)}
    others = [text for text in texts if text not in international and _is_national_form(text, bool(countries))]
    if len(others) * 10 < len(texts):
        return len(international)
    regions = tuple(countries) or ("US", *_WITH_TRUNK_PREFIX)
    first = list(islice(others, 50))
    best = max(regions, key=lambda region: sum(_is_phone(text, region) for text in first))
    return len(international) + sum(_is_phone(text, best) for text in others)


def _is_national_form(text: str, countries_named: bool) -> bool:
    if _NORTH_AMERICAN.fullmatch(text):
        return True
    if not _NATIONAL.fullmatch(text) or _DATE_OR_NUMBER.fullmatch(text):
        return False
    parted = bool(re.search(r"[ ()\-/.]", text))
    if countries_named:
        return parted or text.startswith("0")
    return parted and text.lstrip("(").startswith("0")


def _is_phone(text: str, region: str | None) -> bool:
    import phonenumbers

    if region is None:
        text = re.sub(r"^(?:tel:)?(?:\+|00) ?", "+", text)
    elif region == "US" and not _NORTH_AMERICAN.fullmatch(text):
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


# -- addresses of machines -------------------------------------------------------------------------------------------

_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}", re.I)
LOCAL_NETWORKS = (10, 127, 169, 172, 192)  # the first numbers of addresses that many organisations use inside
_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::\d{1,5}|/\d{1,2})?", re.ASCII)


def _is_machine_address(text: str) -> bool:
    """An IPv4, IPv6 or MAC address. Four small numbers may be a version (1.4.0.2), and are taken for an address only in
    networks that are no likely version."""
    if matched := _IPV4.fullmatch(text):
        parts = [int(part) for part in matched.groups()]
        if max(parts) > 255 or any(part.startswith("0") and part != "0" for part in matched.groups()):
            return False
        return max(parts) >= 64 or parts[0] in LOCAL_NETWORKS and max(parts) >= 32
    if _MAC.fullmatch(text):
        return True
    if text.count(":") < 2 or len(text) > 50:
        return False
    try:
        address = ipaddress.IPv6Address(text.partition("/")[0].partition("%")[0])
    except ValueError:
        return False
    return len([part for part in text.split(":") if part]) >= 3 or address.is_loopback


# -- dates of birth --------------------------------------------------------------------------------------------------

_DAY = re.compile(
    r"(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?)?"
    r"|(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})",
    re.ASCII,
)
_DIFFERENT_DAYS = 20


def _birth_dates(texts: Collection[str], today: date) -> int:
    """Texts that are days, if they are spread as days of birth are; else 0.

    Days of orders, hires and contracts are days too. Those of births lie up to a century back and hardly any in the
    last years, are spread over decades, fall on weekends as on other days, on all days of the month alike, and have no
    time of day."""
    days = sorted({day for text in texts if (day := _day(text)) is not None})
    if len(days) < max(_DIFFERENT_DAYS, SHARES["birth_date"] * len(texts)):
        return 0
    born = [day for day in days if today.year - 110 <= day.year and day <= today]
    grown = [day for day in born if day.year <= today.year - 15 and day.year >= 1920]
    middle = days[len(days) // 20 : -(len(days) // 20) or None]
    years = middle[-1].year - middle[0].year
    weekends = sum(day.weekday() >= 5 for day in days)
    firsts = Counter(day.day for day in days).most_common(1)[0][1]
    months = len({day.month for day in days})
    as_births = (
        len(born) >= 0.95 * len(days)
        and len(grown) >= 0.75 * len(days)
        and years >= 20
        and weekends >= 0.12 * len(days)
        and firsts <= 0.3 * len(days)
        and months >= 8
    )
    return sum(_day(text) is not None for text in texts) if as_births else 0


def _day(text: str) -> date | None:
    """The day that a text names; of 03/04/1985 either."""
    matched = _DAY.fullmatch(text)
    if not matched:
        return None
    year, month, day, first, second, last = matched.groups()
    ways = ((year, month, day),) if year else ((last, second, first), (last, first, second))
    for numbers in ways:
        try:
            return date(*map(int, numbers))
        except ValueError:
            continue
    return None
