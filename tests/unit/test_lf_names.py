"""LF-Tag keys and values: what Lake Formation takes, folds and stores, so that what a file says is what is granted.

Lake Formation developer guide, "Lake Formation tag-based access control considerations": lower-case, at most 50
characters; letters, separators, digits and _ . : / = + - @ %.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tagmesh.catalog import Column, Table
from tagmesh.governance import Governance, GovernanceError, Problem, load
from tagmesh.grants import tag_policy
from tagmesh.rules import decide

from local_aws.lakeformation.lf_tags import TagStore

SPECIAL = "_.:/=+-@%"
letters = st.characters(categories=("L", "N"))
inner = st.characters(categories=("L", "N", "Z"), include_characters=SPECIAL)
#: What Lake Formation takes, as somebody may write it.
right = (
    st.tuples(letters, st.text(inner, max_size=48), letters)
    .map("".join)
    .filter(lambda text: "İ" not in text)  # the one letter that is two characters in lower case
)
wrong = st.characters(categories=("M", "P", "S", "Cc", "Cf", "Co", "Cn"), exclude_characters=SPECIAL)


def quoted(text: str) -> str:
    """A text in YAML, whatever its characters."""
    return '"' + "".join(char if char.isascii() and char.isalnum() else f"\\U{ord(char):08x}" for char in text) + '"'


def mesh(key: str, value: str, other: str = "the rest") -> str:
    """mesh.yaml with one LF-Tag: its key on line 3, its values on lines 4 to 6."""
    return (
        f"version: 1\nlf_tags:\n  {quoted(key)}:\n    values: [\n"
        f"      {quoted(value)},\n      {quoted(other)}]\n    default: {quoted(other)}\n"
    )


def problems(files: dict[str, str]) -> tuple[Problem, ...]:
    with pytest.raises(GovernanceError) as caught:
        load(files)
    return caught.value.problems


def places(files: dict[str, str]) -> set[tuple[str, int]]:
    return {(problem.file, problem.line) for problem in problems(files)}


# ---- Characters and lengths ----------------------------------------------------------------------------------------


@given(right, right)
def test_what_lake_formation_takes_is_taken_and_stored_as_it_stores_it(key: str, value: str):
    assume(value.lower() != "the rest")
    (lf_tag,) = load({"mesh.yaml": mesh(key, value)}).lf_tags
    stored = TagStore().create("111111111111", key, [value], "somebody")

    assert (lf_tag.name, lf_tag.values[0]) == (stored.key, stored.values[0])
    assert TagStore().create("1", lf_tag.name, lf_tag.values, "x").values == list(lf_tag.values), "it is as it was"


@given(right, wrong, st.data())
def test_any_other_character_is_refused_where_it_stands_and_named(text: str, character: str, data: st.DataObject):
    at = data.draw(st.integers(0, len(text)))
    text = (text[:at] + character + text[at:])[:50]
    assume(character in text)

    for files, line in (({"mesh.yaml": mesh(text, "open")}, 3), ({"mesh.yaml": mesh("key", text)}, 5)):
        (problem,) = problems(files)
        assert (problem.file, problem.line) == ("mesh.yaml", line)
        assert problem.message.endswith(f"has a character that Lake Formation does not take: {character.lower()!r}")
        assert "letters, digits, spaces and _ . : / = + - @ %" in problem.mend


@pytest.mark.parametrize(
    "text", ["é", "日本", "٣", "²", "Ⅷ", "ª", "a b", "a\u00a0b", "a\u3000b", *(f"a{c}b" for c in SPECIAL)]
)
def test_characters_that_are_taken(text: str):
    (lf_tag,) = load({"mesh.yaml": mesh(text, text)}).lf_tags

    assert (lf_tag.name, lf_tag.values) == (text.lower(), (text.lower(), "the rest"))


@pytest.mark.parametrize(
    "text", ["*", "a*", "a,b", "a!", "a#b", "e\u0301", "a\tb", "a\u200db", "😀", "a|b", "a\\b", "a(b)", " a", "a ", "İ"]
)
def test_characters_that_are_not(text: str):
    """A star above all: in a grant it is every value. An accent of its own is no letter, as the I with a dot is none
    once it is folded. And no space stands first or last."""
    assert places({"mesh.yaml": mesh(text, "open")}) == {("mesh.yaml", 3)}
    assert places({"mesh.yaml": mesh("key", text)}) == {("mesh.yaml", 5)}


@pytest.mark.parametrize("letter", ["a", "É", "日", "-"])
def test_fifty_characters_are_taken_and_no_more(letter: str):
    assert len(load({"mesh.yaml": mesh(letter * 50, letter * 50)}).lf_tags[0].name) == 50
    for files, line in (
        ({"mesh.yaml": mesh(letter * 51, "open")}, 3),
        ({"mesh.yaml": mesh("key", letter * 51)}, 5),
    ):
        (problem,) = problems(files)
        assert problem.line == line
        assert problem.message.endswith("has 51 characters; Lake Formation takes 50")


# ---- What is one once it is folded ---------------------------------------------------------------------------------


@st.composite
def alike(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts that are written differently and are one to Lake Formation."""
    text = draw(right)
    other = "".join(draw(st.sampled_from([char, char.upper(), char.lower()])) for char in text)
    assume(other != text and other.lower() == text.lower() and len(other) <= 50)
    return text, other


PAIRS = [("Domain", "domain"), ("STRASSE", "Strasse"), ("\u212a", "k"), ("Ω", "\u2126"), ("ÉTÉ", "été")]


def check_alike(one: str, other: str) -> None:
    keys = mesh(one, "open") + f"  {quoted(other)}: {{values: [a, b], default: b}}\n"
    values = mesh("key", one, other)
    (of_keys,) = problems({"mesh.yaml": keys})
    (of_values,) = problems({"mesh.yaml": values})

    assert (of_keys.file, of_keys.line) == ("mesh.yaml", 8)
    assert of_keys.message.endswith("is declared twice")
    assert (of_values.file, of_values.line) == ("mesh.yaml", 6)
    assert of_values.message.endswith("stands among the values of key twice")
    assert "stores" in of_keys.mend
    assert "stores" in of_values.mend


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_keys_and_values_that_become_one_are_refused_where_the_second_stands(one: str, other: str):
    check_alike(one, other)


@given(alike())
def test_so_are_any(pair: tuple[str, str]):
    check_alike(*pair)


MESH = """version: 1
lf_tags:
  Domain: {values: [Sales, Nobody], default: NOBODY}
  Sensitivity: {values: [Public, Internal, Closed], ordered: true, default: cLOSED}
  PII: {values: [None, Contact, Both, Unknown], default: UNKNOWN, conflict: BOTH}
"""
FILES = {
    "mesh.yaml": MESH,
    "producers/p.yaml": """producer: sales
account: "111111111111"
data_products:
  - name: orders
    location: s3://bucket/orders/
    tags: {DOMAIN: SALES}
""",
    "consumers/c.yaml": """consumer: analytics
account: "222222222222"
subscriptions:
  - name: all
    tags: {domaiN: [saleS], SENSITIVITY: [INTERNAL, PUBLIC]}
    principals: [{role: r}]
""",
    "rules/r.yaml": """rules:
  - id: email
    raise: {PIi: CONTACT, SENSitivity: INTERNAL}
    when: {column: {words_any: email}}
  - id: city
    clear: {Pii: NONE}
    assign: {sensitivitY: PUBLIC}
    when: {column: {words_any: city}}
""",
    "overrides/o.yaml": """overrides:
  - {data_product: sales/orders, table: t, column: zorb, author: a, reason: r, approved_by: b,
     tags: {SENSITIVITY: PUBLIC, pii: nONE}}
""",
}


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("producers/p.yaml", "{DOMAIN: SALES}", "{DOMAIN: SALES, domain: sales}", 6),
        ("consumers/c.yaml", "SENSITIVITY: [INTERNAL, PUBLIC]", "SENSITIVITY: [INTERNAL], Sensitivity: [PUBLIC]", 5),
        ("consumers/c.yaml", "[INTERNAL, PUBLIC]", "[INTERNAL, PUBLIC, Internal]", 5),
        ("rules/r.yaml", "{PIi: CONTACT,", "{PIi: CONTACT, pii: none,", 3),
        ("rules/r.yaml", "{Pii: NONE}", "{Pii: NONE, PII: CONTACT}", 6),
        ("rules/r.yaml", "{sensitivitY: PUBLIC}", "{sensitivitY: PUBLIC, sensitivity: public}", 7),
        ("overrides/o.yaml", "pii: nONE", "pii: nONE, PII: CONTACT", 3),
        # What opens nothing, however it is written.
        ("consumers/c.yaml", "[INTERNAL, PUBLIC]", "[INTERNAL, ClOSED]", 5),
        ("producers/p.yaml", "SALES", "NoBODY", 6),
        ("rules/r.yaml", "Pii: NONE", "Pii: UNKNown", 6),
    ],
)
def test_what_is_given_twice_or_is_a_default_once_folded_is_refused_with_its_place(
    file: str, old: str, new: str, line: int
):
    assert old in FILES[file]
    assert (file, line) in places({**FILES, file: FILES[file].replace(old, new)})


# ---- What is granted -----------------------------------------------------------------------------------------------


def lake_formation(governance: Governance) -> TagStore:
    """The LF-Tags of a governance in the local AWS."""
    store = TagStore()
    for key in governance.lf_tags:
        store.create("1", key.name, key.values, "x")
    return store


def test_whatever_the_case_in_the_files_every_pair_that_is_assigned_or_granted_is_one_that_is_stored():
    governance = load(FILES)
    store = lake_formation(governance)
    product, subscription = governance.data_products[0], governance.consumers[0].subscriptions[0]
    found = decide(governance, product, Table("sales_orders", "t", tuple(map(Column, ("email", "city", "zorb", "x")))))

    assert product.tags == (("domain", "sales"),)
    assert {(key.name, key.default, key.conflict) for key in governance.lf_tags} == {
        ("domain", "nobody", None),
        ("sensitivity", "closed", None),
        ("pii", "unknown", "both"),
    }
    assert {name: found.tags(name) for name in found.columns} == {
        "email": {"sensitivity": "internal", "pii": "contact"},
        "city": {"sensitivity": "public", "pii": "none"},
        "zorb": {"sensitivity": "public", "pii": "none"},
        "x": {"sensitivity": "closed", "pii": "unknown"},
    }
    assert subscription.table_expression == (
        ("domain", ("sales",)),
        ("sensitivity", ("public", "internal")),
        ("pii", ("none", "contact", "both")),
    )
    for key, values in subscription.table_expression + subscription.database_expression:
        assert store.has("1", key, values)
    for name in found.columns:
        assert all(store.has("1", key, [value]) for key, value in found.tags(name).items())


@given(right, st.lists(right, min_size=2, max_size=4, unique_by=str.lower), st.randoms(use_true_random=False))
def test_what_is_granted_is_what_was_declared_as_it_is_stored(key: str, values: list[str], chance: Any):
    def somehow(text: str) -> str:
        written = "".join(chance.choice([char, char.upper(), char.lower()]) for char in text)
        return written if written.lower() == text.lower() else text

    assume(key.lower() != "domain")
    *named, default = values
    declared, wanted = ", ".join(map(quoted, values)), ", ".join(quoted(somehow(value)) for value in named)
    lf_tag = f"  {quoted(key)}: {{values: [{declared}], default: {quoted(somehow(default))}}}\n"
    tags = f"{{domain: [sales], {quoted(somehow(key))}: [{wanted}]}}"
    files = {
        "mesh.yaml": "version: 1\nlf_tags:\n  domain: {values: [sales, nobody], default: nobody}\n" + lf_tag,
        "producers/p.yaml": FILES["producers/p.yaml"],
        "consumers/c.yaml": FILES["consumers/c.yaml"].replace(
            "{domaiN: [saleS], SENSITIVITY: [INTERNAL, PUBLIC]}", tags
        ),
    }
    governance = load(files)
    expression = governance.consumers[0].subscriptions[0].table_expression
    granted = tag_policy("1", "TABLE", expression).content["Expression"]

    assert expression == (("domain", ("sales",)), (key.lower(), tuple(value.lower() for value in named)))
    assert {pair["TagKey"]: set(pair["TagValues"]) for pair in granted} == {k: set(v) for k, v in expression}
    assert all(lake_formation(governance).has("1", pair["TagKey"], pair["TagValues"]) for pair in granted)
