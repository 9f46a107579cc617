"""Rules files as the loader reads them: lists and conditions with a name, what they may not say, and mutated files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagmesh.catalog import Column, Table
from tagmesh.governance import Governance, GovernanceError, load, read_folder

ROOT = Path(__file__).parents[2]
SAMPLE = read_folder(ROOT / "mesh")
MESH = """version: 1
lf_tags:
  domain: {values: [sales, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, confidential, unclassified], ordered: true, default: unclassified}
"""
PRODUCER = """producer: s
account: "111111111111"
data_products: [{name: o, location: s3://bucket-s/o/, tags: {domain: sales}}]
"""


def loaded(rules: str, **more: str) -> Governance:
    return load({"mesh.yaml": MESH, "producers/s.yaml": PRODUCER, "rules/a.yaml": rules, **more})


def problems(rules: str, **more: str) -> list[tuple[str, str]]:
    """(place, message) of each."""
    with pytest.raises(GovernanceError) as caught:
        loaded(rules, **more)
    assert all(problem.mend for problem in caught.value.problems)
    return [(f"{p.file}:{p.line}:{p.column}", p.message) for p in caught.value.problems]


def rule(when: str, effect: str = "raise: {sensitivity: confidential}", rule_id: str = "r") -> str:
    return f"rules:\n  - id: {rule_id}\n    {effect}\n    when: {when}\n"


def test_lists_and_conditions_of_any_file_are_written_out():
    names = (
        "words: {person: customer patient, number: [id, 'no']}\nconditions: {people: {table: {words_any: $person}}}\n"
    )
    found = loaded(rule("{column: {words_any: [$person $number, email]}, is: people}"), **{"rules/z.yaml": names})

    assert found.rules[0].when == {
        "column": {"words_any": ["customer_id", "customer_no", "patient_id", "patient_no", "email"]},
        "all": [{"table": {"words_any": ["customer", "patient"]}}],
    }


def test_the_order_of_files_makes_no_difference():
    one = "words: {person: customer}\n"
    two = rule("{column: {words_any: $person}}")

    assert loaded(one, **{"rules/b.yaml": two}).rules[0].when == loaded(two, **{"rules/b.yaml": one}).rules[0].when


@pytest.mark.parametrize(
    ("rules", "place", "message"),
    [
        (rule("{column: {words_any: [$nobody]}}"), "4:33", "there is no list of words `$nobody`"),
        ("words: {person: a}\n" + rule("{column: {words_any: $persn}}"), "5:32", "did you mean `person`?"),
        ("words: {a: '$b c', b: d}\n" + rule("{type: date}"), "1:12", "a list of words names no other list"),
        ("words: {a: x x}\n" + rule("{type: date}"), "1:12", "stands there twice"),
        (rule("{is: people}"), "4:16", "there is no condition `people`"),
        ("conditions: {a: {is: b}, b: {is: a}}\n" + rule("{type: date}"), "1:17", "rests on itself"),
        ("conditions: {a: {column: {words: b}}}\n" + rule("{type: date}"), "1:27", "unknown key `words`"),
        (rule("{content: email}", "clear: {sensitivity: public}"), "4:12", "can close a column, and never open one"),
        (rule("{not: {content: email}}"), "4:18", "can close a column, and never open one"),
        (rule("{content: fingerprints}"), "4:21", "`fingerprints` is not allowed here"),
        (rule("{table_has: {table_has: {type: date}}}"), "4:24", "inside `table_has`"),
        (rule("{table_has: {content: email}}"), "4:24", "about the column itself"),
        (rule("{type: date}", "raise: {sensitivity: public}\n    over: r"), "4:11", "only a rule that clears"),
        (rule("{type: date}", "clear: {sensitivity: public}\n    over: q"), "4:11", "there is no rule `q`"),
        (rule("{type: date}", "clear: {sensitivity: public}\n    over: r"), "4:11", "raises nothing that r clears"),
        ("conditions: {a: {type: date}}\n" * 2, "2:1", "`conditions` stands here twice"),
        ("words: {}\n", "1:8", "the mapping is empty"),
        ("{}\n", "1:1", "of rules, words, conditions none is given"),
    ],
)
def test_what_rules_may_not_say_is_told_with_its_place(rules: str, place: str, message: str):
    found = problems(rules)

    assert any(at == f"rules/a.yaml:{place}" and message in said for at, said in found), found


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("approved_by: Ann", "Ann approves what ann decided"),
        ("expires: 2027-02-30", "there is no day 2027-02-30"),
        ("expires: soon", "`soon` is not a day such as 2027-03-31"),
    ],
)
def test_what_overrides_may_not_say(fields: str, message: str):
    override = (
        "overrides:\n  - {data_product: s/o, table: t, column: c, tags: {sensitivity: internal}, author: ann, "
        f"reason: r, {fields}}}\n"
    )
    found = problems(rule("{type: date}"), **{"overrides/o.yaml": override})

    assert [said for _, said in found] == [message]


def chain(length: int, link: str) -> str:
    """Conditions c0, c1 ..., each of which names the next with ``link``; a rule rests on the first."""
    links = "".join(f"  c{number}: {link.replace('NEXT', f'c{number + 1}')}\n" for number in range(length))
    return f"conditions:\n{links}  c{length}: {{type: date}}\n{rule('{is: c0}')}"


def test_conditions_may_rest_on_others_but_not_without_end():
    assert loaded(chain(40, "{is: NEXT}")).rules
    for length in (60, 3000):  # of 3,000 each is in order, and all of them more than Python nests
        ((place, message),) = problems(chain(length, "{is: NEXT}"))
        assert place.startswith("rules/a.yaml:")
        assert message.startswith("conditions stand more than 50 deep in one another")


@pytest.mark.parametrize(("above", "message"), [(15, None), (40, "conditions stand more than 50 deep in one another")])
def test_a_condition_that_was_written_out_before_counts_where_it_stands_again(above: int, message: str | None):
    """Of conditions that name those before them each is written out once; how deep it is and how much counts anew."""
    links = "".join(f"  c{number}: {{not: {{is: c{number - 1}}}}}\n" for number in range(1, 15))
    when = "{not: " * above + "{is: c14}" + "}" * above
    text = f"conditions:\n  c0: {{type: date}}\n{links}{rule(when)}"

    assert [said.partition(",")[0] for _, said in (problems(text) if message else [])] == ([message] if message else [])
    if not message:
        assert loaded(text).rules


@pytest.mark.slow
@pytest.mark.parametrize(
    "rules",
    [
        # Twenty-four lines that would be sixteen million conditions.
        chain(23, "{any: [{is: NEXT}, {is: NEXT, type: date}]}"),
        # A line that would be 26 words to the power of 9.
        "words: {a: a b c d e f g h i j k l m n o p q r s t u v w x y z}\n"
        + rule("{column: {words_any: ['$a $a $a $a $a $a $a $a $a']}}"),
    ],
)
def test_names_may_not_make_millions_of_conditions_of_a_few_lines(rules: str):
    ((_, message),) = problems(rules)

    assert message.startswith("the rules hold more than 300,000 conditions and words")


def test_a_broken_file_of_rules_is_reported_once_and_not_by_those_that_name_its_lists():
    broken = "words: {person: [a, a]}\n"

    assert len(problems(rule("{column: {words_any: $person}}"), **{"rules/z.yaml": broken})) == 1


# ---- Mutated files ----------------------------------------------------------------------------------------------

PIECES = [
    "$",
    "*",
    "&a ",
    "!x ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "\t",
    "#",
    "|",
    "\n",
    "  ",
    "\0",
    "é",
    "null",
    "~",
]


def mutated(text: str, shuffle: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(shuffle.randint(1, 3)):
        at = shuffle.randrange(len(lines))
        line = lines[at]
        kind = shuffle.randrange(6)
        if kind == 0:
            del lines[at]
            lines = lines or [""]
        elif kind == 1:
            lines.insert(at, shuffle.choice(lines))
        elif kind == 2:
            lines[at] = " " * shuffle.randint(0, 6) + line.lstrip()
        else:
            cut = shuffle.randint(0, len(line))
            piece = shuffle.choice(PIECES) * shuffle.choice([1, 1, 1, 60])
            lines[at] = line[:cut] + piece + line[cut + shuffle.randint(0, 3) :]
    return "\n".join(lines)


def check(file: str, shuffle: random.Random) -> None:
    text = mutated(SAMPLE[file], shuffle)
    try:
        found = load({**SAMPLE, file: text})
    except GovernanceError as error:
        for problem in error.problems:
            assert problem.message
            assert problem.mend
            assert problem.file in (*SAMPLE, "mesh.yaml")
            lines = (text if problem.file == file else SAMPLE[problem.file]).count("\n") + 2
            assert 1 <= problem.line <= lines
            assert problem.column >= 1
    else:
        table = Table("d", "customers", (Column("email"), Column("zorb")))
        decided = found.classifier.decide(found.data_products[0], table)
        assert set(decided.columns) == {"email", "zorb"}


@settings(max_examples=60)
@given(st.sampled_from(sorted(SAMPLE)), st.randoms(use_true_random=False))
def test_a_mutated_file_is_refused_with_its_places_or_classifies(file: str, shuffle: random.Random):
    check(file, shuffle)


@pytest.mark.slow
@settings(max_examples=800)
@given(st.sampled_from(sorted(SAMPLE)), st.randoms(use_true_random=False))
def test_so_are_many_more(file: str, shuffle: random.Random):
    check(file, shuffle)


@settings(max_examples=100)
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_a_file_of_anything_is_refused_or_read(text: str):
    try:
        load({"mesh.yaml": MESH, "rules/a.yaml": text})
    except GovernanceError as error:
        assert all(problem.file == "rules/a.yaml" and problem.mend for problem in error.problems)
