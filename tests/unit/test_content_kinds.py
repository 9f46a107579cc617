"""What values are told apart, and what must not be mistaken for a person's."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from content import national_ids
from content.kinds import LEAST_VALUES, judge, text_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stdnum import luhn

TODAY = date(2026, 11, 27)


def shown(values: Iterable[object], countries: tuple[str, ...] = ()) -> set[str]:
    texts = {text for value in values if (text := text_of(value)) is not None}
    return set(judge(sorted(texts), countries, TODAY))


def numbers(seed: int, count: int = 60) -> random.Random:
    return random.Random(f"{seed}-{count}")


def with_luhn(prefix: str, length: int, count: int = 40) -> list[str]:
    """Different numbers of a length that begin with a prefix and are right by Luhn's formula."""
    chosen = random.Random(prefix)
    bodies = {prefix + "".join(chosen.choices("0123456789", k=length - len(prefix) - 1)) for _ in range(count)}
    return [body + luhn.calc_check_digit(body) for body in bodies]


def births(count: int = 200) -> list[date]:
    chosen = random.Random(3)
    return [date(1942, 3, 1) + timedelta(chosen.randrange(23_000)) for _ in range(count)]


def pesel(born: date, serial: int) -> str:
    century = {1900: 0, 2000: 20}[born.year // 100 * 100]
    body = f"{born.year % 100:02d}{born.month + century:02d}{born.day:02d}{serial:04d}"
    return body + str(-sum(w * int(d) for w, d in zip((1, 3, 7, 9) * 3, body, strict=False)) % 10)


def iban(country: str, bban: str) -> str:
    digits = "".join(str(int(each, 36)) for each in f"{bban}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{bban}"


# ── What is found ───────────────────────────────────────────────────────────────────────────────────────────


FOUND = {
    "plain": ("email", [f"ann.lee{n}@example.org" for n in range(20)]),
    "signed": ("email", [f"Ann Lee <ann{n}@mail.example.co.uk>" for n in range(20)]),
    "of other scripts": ("email", [f"jörg{n}@bücher.example" for n in range(20)]),
    "among others": ("email", [*(f"a{n}@example.org" for n in range(10)), "search", "direct", "social", "none"]),
    "in a sentence": ("email", [f"call her, or write to a{n}@example.org." for n in range(20)]),
    "with a plus": ("phone", [f"+44 20 7946 {n:04d}" for n in range(40)]),
    "with two noughts": ("phone", [f"0044207946{n:04d}" for n in range(40)]),
    "as a link": ("phone", [f"tel:+1-212-736-{n:04d}" for n in range(40)]),
    "of Britain": ("phone", [f"020 7946 {n:04d}" for n in range(40)]),
    "of North America": ("phone", [f"(212) 736-{n:04d}" for n in range(40)]),
    "of Germany": ("phone", [f"0171/{n + 2_000_000}" for n in range(0, 900_000, 20_011)]),
    "of France": ("phone", [f"06 12 34 {n:02d} 11" for n in range(40)]),
    "Visa": ("card", with_luhn("4", 16)),
    "Mastercard, in groups": ("card", [f"{c[:4]} {c[4:8]} {c[8:12]} {c[12:]}" for c in with_luhn("54", 16)]),
    "American Express": ("card", with_luhn("37", 15)),
    "a number in the catalogue": ("card", [int(card) for card in with_luhn("51", 16)]),
    "through a floating point number": ("card", [f"{card}.0" for card in with_luhn("4", 16)]),
    "German": ("iban", [iban("DE", f"37040044{n:010d}") for n in range(40)]),
    "in groups": ("iban", [f"{i[:4]} {i[4:8]} {i[8:]}" for i in (iban("NL", f"ABNA{n:010d}") for n in range(40))]),
    "Polish": ("national_id", [pesel(born, n) for n, born in enumerate(births(60))]),
    "American": ("national_id", [f"{n + 101}-{n % 90 + 1:02d}-{n * 97 % 9999 + 1:04d}" for n in range(40)]),
    "British": ("national_id", [f"AB{n * 7919 % 10**6:06d}{'ABCD'[n % 4]}" for n in range(40)]),
    "IPv4": ("machine_address", [f"203.0.113.{n}" for n in range(60, 200)]),
    "of a local network": ("machine_address", [f"10.0.{n // 200}.{n % 250}" for n in range(400)]),
    "IPv6": ("machine_address", [f"2001:db8::{n:x}:1" for n in range(40)]),
    "MAC": ("machine_address", [f"00:1a:2b:3c:4d:{n:02x}" for n in range(40)]),
    "with ports": ("machine_address", [f"198.51.100.{n}:{n + 3000}" for n in range(40)]),
    "days": ("birth_date", births()),
    "days in ISO's form": ("birth_date", [born.isoformat() for born in births()]),
    "in the European form": ("birth_date", [born.strftime("%d.%m.%Y") for born in births()]),
    "in the American form": ("birth_date", [born.strftime("%m/%d/%Y") for born in births()]),
    "without separators": ("birth_date", [int(born.strftime("%Y%m%d")) for born in births()]),
    "midnights": ("birth_date", [datetime(b.year, b.month, b.day, tzinfo=UTC) for b in births()]),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "values"), FOUND.values(), ids=FOUND)
def test_a_column_of_a_kind_shows_it(kind: str, values: list[object]):
    assert kind in shown(values)


@pytest.mark.parametrize(
    ("country", "number"),
    {
        "AR": "20-05536168-2", "AT": "1237 010180", "AU": "123 456 782", "BE": "85.07.30-033 28", "BG": "752316 926 3",
        "BR": "390.533.447-05", "CA": "123-456-782", "CH": "756.9217.0769.85", "CL": "12.531.909-2",
        "CN": "11010519491231002X", "CZ": "710319 2745", "DE": "36 574 261 809", "DK": "211062-5629",
        "DO": "001-1391820-5", "EC": "171430710-3", "EE": "36805280109", "ES": "54362315-K", "FI": "131052-308T",
        "FR": "2 95 10 99 126 111 93", "GB": "401 023 2137", "GR": "01013099997", "HR": "33392005961",
        "IE": "6433435F", "IL": "039337423", "IN": "2341 2341 2346", "IS": "120174-3399", "IT": "RCCMNL83S18D969H",
        "KR": "971013-9019902", "LT": "33309240064", "LV": "161175-19997", "MX": "BOXW310820HNERXN09",
        "NL": "111222333", "NO": "15108695088", "NZ": "49-091-850",
        "PL": "44051401359", "PT": "00000000 0 ZZ4", "RO": "1630615123457",
        "SE": "880320-0016", "SI": "0101006500006", "TH": "1-2345-45678-78-1", "TR": "17291716060", "UA": "1759013776",
        "US": "536-90-4399", "ZA": "7503305044089",
    }.items(),
)  # fmt: skip
def test_a_national_id_is_known_as_its_countries(country: str, number: str):
    assert country in national_ids.countries_of(number)


@pytest.mark.parametrize(
    "number",
    [
        "536904399",  # American, without the hyphens
        "QQ123456C", "DA123456C",  # prefixes that Britain does not give
        "211062-5628",  # Danish, with a check digit that is wrong since 2007
        "6812181", "123456789012345678901234567890", "no number", "１２３４５６７８２",
    ],
)  # fmt: skip
def test_what_would_match_any_number_is_no_national_id(number: str):
    assert "US" not in national_ids.countries_of(number)
    assert not national_ids.countries_of(number) & {"GB", "DK"}


def test_only_numbers_of_the_countries_that_are_named_count():
    polish = [pesel(born, n) for n, born in enumerate(births(60))]
    assert shown(polish, ("PL",)) == {"national_id"}
    assert shown(polish, ("GB", "FR")) == set()
    british = [f"020 7946 {n:04d}" for n in range(40)]
    assert shown(british, ("GB",)) == {"phone"}
    assert shown(british, ("ES",)) == set()


def test_digits_alone_are_a_telephone_number_only_where_its_country_is_named():
    numbers = [f"0612{n:06d}" for n in range(0, 900_000, 20_011)]
    assert shown(numbers) == set()
    assert shown(numbers, ("FR",)) == {"phone"}


# ── What is not ─────────────────────────────────────────────────────────────────────────────────────────────


def days(first: date, last: date, count: int = 300) -> list[date]:
    chosen = random.Random(9)
    return [first + timedelta(chosen.randrange((last - first).days)) for _ in range(count)]


NEAR_MISSES = {
    "handles": [f"@ann{n}" for n in range(40)],
    "packages": [f"react@{n}.1.0" for n in range(40)],
    "pictures": [f"logo{n}@2x.png" for n in range(40)],
    "repositories": [f"git@github.example:team/repo{n}.git" for n in range(40)],
    "connections": [f"postgres://app:secret{n}@db{n}.example.com:5432/shop" for n in range(40)],
    "one address in many texts": [f"order {n}: questions to shop@example.com" for n in range(40)],
    "versions of three parts": [f"{n // 10}.{n % 10}.{n % 7}" for n in range(60)],
    "versions of four parts": [f"1.{n % 20}.{n % 31}.{n // 5}" for n in range(60)],
    "builds": [f"10.0.{19041 + n}.{n}" for n in range(60)],
    "times": [f"{n % 24:02d}:{n:02d}:30" for n in range(60)],
    "scopes": [f"std::vector{n}" for n in range(40)],
    "article numbers": [f"{n:013d}" for n in range(4_006_381_333_900, 4_006_381_334_300)],
    "amounts": [f"{n * 37 % 9973},{n % 100:02d}" for n in range(200)],
    "amounts as numbers": [Decimal(n * 37 % 9973) / 100 for n in range(200)],
    "post codes": [f"{n:05d}" for n in range(10_000, 99_000, 301)],
    "moments in seconds": list(range(1_700_000_000, 1_700_500_000, 617)),
    "moments in milliseconds": list(range(1_700_000_000_000, 1_700_500_000_000, 617_003)),
    "moments in ISO's form": [(datetime(2024, 1, 1) + timedelta(hours=n)).isoformat() for n in range(300)],
    "snowflakes": [(1_700_000_000_000 + n * 917 << 22) + n % 7 for n in range(300)],
    "orders": days(date(2023, 1, 1), date(2026, 11, 1)),
    "orders in the European form": [day.strftime("%d.%m.%Y") for day in days(date(2023, 1, 1), date(2026, 11, 1))],
    "hires, on working days": [d for d in days(date(1985, 1, 1), date(2020, 1, 1), 500) if d.weekday() < 5],
    "one day after the other": [date(1950, 1, 1) + timedelta(n) for n in range(300)],
    "foundations, on firsts of January": [date(year, 1, 1) for year in range(1920, 2005)],
    "ends of months": [date(year, month, 28) for year in range(1950, 2000) for month in (3, 6, 9, 12)],
    "contracts that end in the future": days(date(2026, 1, 1), date(2060, 1, 1)),
    "births with a time of day": [datetime(1950 + n % 50, n % 12 + 1, n % 28 + 1, n % 23, 7) for n in range(200)],
    "cards of no issuer": [f"9{n:014d}{luhn.calc_check_digit(f'9{n:014d}')}" for n in range(60)],
    "numbers beside cards": [str(int(card) + 1) for card in with_luhn("4", 16)],
    "account numbers beside IBANs": [f"DE{n % 90 + 10:02d}37040044{n:010d}" for n in range(1, 60)],
    "accounts that no country has": [f"XX00TEST{n:010d}" for n in range(60)],
    "American numbers without separators": list(range(2_125_550_000, 2_125_550_300)),
    "codes with hyphens": [f"{n % 90 + 10}-{n:04d}-{n % 7}" for n in range(100)],
    "hashes": [uuid.UUID(int=n * 7919 ** 9 % 2**128).hex for n in range(1, 100)],
    "truth values": [True, False] * 20,
    "nothing": [None, "", "  "] * 20,
}  # fmt: skip


@pytest.mark.parametrize("values", NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_a_near_miss_shows_nothing(values: list[object]):
    assert shown(values) == set()


@settings(max_examples=60, deadline=None)
@example(1_125_899_900_998_108, 100, 148)  # of the form of Indonesian ids, which have no check digit
@given(st.integers(0, 10**19), st.sampled_from([1, 2, 3, 5, 7, 10, 13, 100, 1000]), st.integers(20, 150))
def test_numbers_that_count_up_show_nothing(start: int, step: int, count: int):
    """With zeros to fill a column, more than two: 00 and digits may be a telephone number, and count as one."""
    assert shown(range(start, start + step * count, step)) == set()
    assert shown(f"{n:020d}" for n in range(start, start + step * count, step)) == set()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 19))
def test_random_numbers_ids_and_versions_show_nothing(seed: int, digits: int):
    chosen = numbers(seed)
    assert shown(chosen.randrange(10**digits) for _ in range(60)) == set()
    assert shown(f"{chosen.randrange(10**digits):0{digits}d}" for _ in range(60)) == set()
    assert shown(uuid.UUID(int=chosen.getrandbits(128)) for _ in range(60)) == set()
    assert shown(str(uuid.UUID(int=chosen.getrandbits(128))) for _ in range(60)) == set()
    assert shown(".".join(str(chosen.randrange(30)) for _ in range(4)) for _ in range(60)) == set()
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    assert shown(f"{chosen.choice(letters)}{chosen.randrange(10**digits)}" for _ in range(60)) == set()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_random_days_of_the_last_years_are_no_births(seed: int, years: int):
    chosen = numbers(seed)
    assert shown(date(2026 - years, 1, 1) + timedelta(chosen.randrange(330 + 365 * years)) for _ in range(150)) == set()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=40))
def test_any_text_can_be_judged(texts: list[str]):
    assert judge(texts, (), TODAY) is not None
    assert judge(texts, ("DE", "XX"), TODAY) is not None


# ── How much it takes ───────────────────────────────────────────────────────────────────────────────────────


def test_few_values_say_nothing():
    addresses = [f"a{n}@example.org" for n in range(LEAST_VALUES)]
    assert shown(addresses[:-1]) == set()
    assert shown(addresses[:-1] * 50) == set(), "the same values again are no further ones"
    assert shown(addresses) == {"email"}


def test_a_small_share_says_nothing():
    addresses = [f"a{n}@example.org" for n in range(10)]
    assert shown([*addresses, *(f"word {n}" for n in range(90))]) == set()
    cards = with_luhn("4", 16)
    assert shown([*cards[:20], *(f"{n:016d}" for n in range(20))]) == set()


def test_long_values_are_looked_at_in_part():
    assert shown("x" * 100_000 + f" a{n}@example.org" for n in range(20)) == set()
