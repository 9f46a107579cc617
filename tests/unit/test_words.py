"""The words of a name: however it is written a rule finds its words, and in no part of another word."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagmesh.common_words import COMMON_WORDS
from tagmesh.words import Vocabulary, entry, fold, singular

COMMON = Vocabulary()
#: Common words that are cut at nothing, whatever stands beside them.
PLAIN = random.Random(1).sample(sorted(word for word in COMMON_WORDS if len(word) > 3 and word.isascii()), 400)


# ---- How names are cut ---------------------------------------------------------------------------------------------

STYLES = {
    "snake": "_".join,
    "kebab": "-".join,
    "dots": ".".join,
    "spaces": " ".join,
    "shouted": lambda words: "_".join(words).upper(),
    "pascal": lambda words: "".join(word.capitalize() for word in words),
    "camel": lambda words: words[0] + "".join(word.capitalize() for word in words[1:]),
    "digits": lambda words: "".join(f"{word}7" for word in words),
}


@given(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=4), st.sampled_from(sorted(STYLES)))
def test_in_every_style_the_words_are_the_same(words: list[str], style: str):
    found = COMMON.split(STYLES[style](words))

    assert [word for word in found if word != "7"] == words
    assert found.count("7") == (len(words) if style == "digits" else 0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("postalcode", "postal code"),
        ("unitprice", "unit price"),
        ("dateofbirth", "date of birth"),
        ("firstnamelastname", "first name last name"),
        ("passwordhash", "password hash"),
        ("customeraddresses", "customer addresses"),
        ("zipcode", "zip code"),
        ("upin", "upin"),  # two letters each are by chance
        ("upinid", "upinid"),
        ("orderid", "order id"),
        ("estimatediscount", "estimate discount"),  # and not estimated is count
        ("HTTPServerName", "http server name"),
        ("userID", "user id"),
        ("iPhone", "i phone"),
        ("line1text", "line 1 text"),
        ("user2fa", "user 2 fa"),
        ("x²", "x 2"),
        ("①", "1"),
        ("straßenName", "strassen name"),
        ("ﬁrstname", "first name"),
        ("ÉcoleID", "ecole id"),
        ("order no.", "order no"),
        ("a\u200db", "a b"),
        ("_.-", ""),
        ("a" * 60, "a" * 60),
        ("emailzqx", "emailzqx"),
    ],
)
def test_a_name_is_cut_where_a_reader_sees_words(name: str, words: str):
    assert COMMON.split(name) == tuple(words.split())


PIECES = [*PLAIN[:50], "E", "iD", "_", ".", "é", "e\u0301", "ß", "İ", "Σς", "7", "٣", "日本", "\ud800", "x" * 49]
#: Any text, but for letters that are capitals only once they are decomposed: see the test that is expected to fail.
names = (st.text(max_size=30) | st.lists(st.sampled_from(PIECES)).map("".join)).filter(
    lambda name: fold(fold(name)) == fold(name)
)


@settings(max_examples=120)
@given(names)
def test_any_name_is_cut_and_no_letter_and_no_digit_is_lost(name: str):
    words = COMMON.split(name)

    assert all(words)
    assert "".join(words) == "".join(char for char in fold(name) if char.isalnum())
    assert all(word.isdecimal() or not any(char.isdecimal() for char in word) for word in words)
    assert COMMON.split("_".join(words)) == words, "words are not cut again"
    assert set(words) <= COMMON.phrases(name)


@given(names)
def test_accents_and_how_they_are_stored_make_no_difference(name: str):
    composed, decomposed = (unicodedata.normalize(form, name.casefold()) for form in ("NFC", "NFD"))

    assert fold(composed) == fold(decomposed) == fold(name)
    assert COMMON.split(composed) == COMMON.split(decomposed)


def test_letters_that_are_capitals_once_decomposed_are_folded_too():
    assert fold("𝐄mail") == "email"
    assert COMMON.split("㏗_value") == ("ph", "value")


def test_a_hump_with_an_accent_is_a_hump():
    assert COMMON.split("zorbÉtat") == ("zorb", "etat")
    assert COMMON.split("zorbE\u0301tat") == ("zorb", "etat")


def test_a_very_long_name_takes_no_longer_for_being_one_run():
    """A run of more than 48 letters is no run of words; one of 48 is."""
    assert COMMON.split("name" * 12) == ("name",) * 12
    assert COMMON.split("name" * 13) == ("name" * 13,)
    assert len(COMMON.split("name_" * 20_000)) == 20_000


# ---- What a rule finds ---------------------------------------------------------------------------------------------


def finds(wanted: str, name: str) -> bool:
    return entry(wanted) in Vocabulary([wanted]).phrases(name)


@pytest.mark.parametrize("wanted", ["postal_code", "postalcode", "postalCode", "Postal-Code"])
@pytest.mark.parametrize("name", ["postalcode", "postal_code", "PostalCode", "home.postal.code2", "POSTAL_CODES"])
def test_an_entry_is_found_however_it_and_the_name_are_written(wanted: str, name: str):
    assert finds(wanted, name)


@pytest.mark.parametrize(
    ("wanted", "names", "others"),
    [
        ("address", ["addresses", "emailaddresses", "address2", "IPAddresses"], ["addressee", "readdressed"]),
        ("category", ["categories", "productCategories"], ["categorical"]),
        ("email", ["emails", "work_emails"], ["emailed"]),
        ("tax", ["taxes", "tax_id"], ["taxi", "syntax"]),
        ("box", ["boxes"], ["boxer"]),
        ("batch", ["batches"], ["batched"]),
        ("iban", ["ibans", "customeriban", "ibancode"], ["ibanx", "xiban"]),
        ("state", ["states", "home_state"], ["estate", "statement"]),
        ("date_of_birth", ["dateofbirth", "date_of_birth", "DateOfBirth"], ["birth_date", "date_birth"]),
        ("ssn", ["ssn", "customer_ssns", "customerssn"], ["ssnx", "classname"]),
        ("bus", ["bus", "bus_line"], ["busy", "business"]),
        ("new", ["new"], ["newest", "renew"]),
    ],
)
def test_an_entry_and_its_plural_are_found_and_no_part_of_a_word(wanted: str, names: list[str], others: list[str]):
    assert [name for name in names if not finds(wanted, name)] == []
    assert [name for name in others if finds(wanted, name)] == []


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        *[("alias", "aliases"), ("status", "statuses"), ("ip", "ips"), ("client_ip", "clientIps")],
        pytest.param(
            *("iris", "irises"),
            marks=pytest.mark.xfail(strict=True, reason="no common word: whether the e is its own is not known"),
        ),
    ],
)
def test_so_is_the_plural_of_an_entry_that_ends_with_s_or_is_short(wanted: str, name: str):
    assert finds(wanted, name)


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        *[("emails", "email"), ("addresses", "address"), ("categories", "category"), ("taxes", "tax")],
        *[("boxes", "box"), ("batches", "batch"), ("dishes", "dish"), ("prices", "price"), ("houses", "house")],
        # No plurals.
        *[(word, word) for word in ("status", "analysis", "class", "gas", "bus", "ids", "s", "", "email")],
    ],
)
def test_the_singular_of_a_word(plural: str, one: str):
    assert singular(plural) == one


made_up = st.from_regex(r"\A[bcdfghjklmnpqrtvwxz]{5,8}\Z")


@given(made_up, st.lists(st.sampled_from(PLAIN), max_size=2), st.lists(st.sampled_from(PLAIN), max_size=2))
def test_a_word_that_only_the_rules_know_is_found_between_common_words(word: str, before: list[str], after: list[str]):
    name = "".join([*before, word, *after])
    vocabulary = Vocabulary([word])

    if len(name) <= 48:
        assert word in vocabulary.phrases(name)
    assert word not in vocabulary.phrases(f"{word}q{word}")


entries = st.lists(made_up | st.sampled_from(PLAIN), min_size=1, max_size=3, unique=True)


@given(st.lists(entries, min_size=1, max_size=3), names)
def test_the_sets_of_a_name_are_those_whose_entries_it_holds_and_those_that_may_make_it(lists: list, name: str):
    """By these bits the rules are looked up that are tried on a name at all."""
    vocabulary = Vocabulary()
    sets = {frozenset(words): vocabulary.mark(frozenset(words)) for words in lists}
    for text in (name, *map("".join, lists), *map("_7".join, lists), "_".join(lists[0]) + name):
        read = vocabulary.read(text)
        for words, bit in sets.items():
            assert bool(read.marks & bit) == (not words.isdisjoint(read.phrases))
            covered = vocabulary.covers(text, words)
            assert bool(read.alone & bit) <= covered <= bool((read.alone | read.perhaps) & bit)
            if covered:
                assert read.marks & bit or read.perhaps & bit


def test_a_set_that_is_marked_later_is_in_names_that_were_read_before():
    vocabulary = Vocabulary()
    assert vocabulary.phrases("orderqxyz") == {"orderqxyz"}
    bit = vocabulary.mark(frozenset({"qxyz"}))

    assert vocabulary.read("orderqxyz").marks & bit
    assert vocabulary.mark(frozenset({"qxyz"})) == bit


@given(entries, st.lists(made_up, max_size=4), names)
def test_the_words_of_other_rules_make_no_difference(words: list[str], others: list[str], name: str):
    for text in (name, "".join(words), "_".join([*words, *others])):
        found = {word for word in words if word in Vocabulary(words).phrases(text)}
        assert found == {word for word in words if word in Vocabulary([*words, *others]).phrases(text)}
        alone = Vocabulary(words).covers(text, frozenset(words))
        assert alone is Vocabulary([*words, *others]).covers(text, frozenset(words))


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("order_status", True),
        ("orderstatus", True),
        ("OrderStatus2", True),
        ("orders", True),
        ("status_of_order", False),
        ("order_zorb", False),
        ("2", False),
        ("", False),
        ("order_estatus", False),
    ],
)
def test_a_name_is_made_of_some_words_alone(name: str, covered: bool):
    assert Vocabulary(["order", "status"]).covers(name, frozenset({"order", "status"})) is covered


@settings(max_examples=100)
@given(names)
def test_an_entry_is_what_is_left_of_a_word_without_marks_between(word: str):
    key = entry(word)

    assert key == "".join(COMMON.split(word))
    assert not re.search(r"[\W_]", key)
    assert key == entry(f"_{word}_") == entry(key)
