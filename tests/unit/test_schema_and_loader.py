"""The JSON Schema that editors use, held to the loader on folders that nobody wrote: where the loader finds nothing
wrong, an editor underlines nothing, and a mistake of shape is underlined while it is written."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tagmesh.column_types import FAMILIES
from tagmesh.governance import GovernanceError, load
from tagmesh.governance_shapes import CONTENT

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[2] / "docs/governance.schema.json").read_text()))
#: What the loader says of a mistake that needs no other field to be seen.
OF_SHAPE = re.compile(
    r"unknown key|is missing$|stands? (where|without quotes)|is not allowed here|is given$|is empty$|is no number|"
    r"nothing is written here"
)
quick = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def problems(documents: dict[str, Any]) -> list[str]:
    try:
        load({file: written(document) for file, document in documents.items()})
    except GovernanceError as error:
        return [problem.message for problem in error.problems]
    return []


def written(document: Any) -> str:
    """JSON is YAML; numbers and truth values so stand without quotes, and after a colon None is nothing at all."""
    return json.dumps(document, ensure_ascii=False).replace(": null", ": ")


# ---- Folders that are right ----------------------------------------------------------------------------------------


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def record(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    given_too = {name.rstrip("_"): values for name, values in optional.items()}
    return st.fixed_dictionaries(
        {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in required.items()},
        optional=given_too,
    )


def at_least_one(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(some(*values), min_size=1, max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: values[name] for name in names})
    )


def listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3, unique=True)


def one_or_listed(*values: Any) -> st.SearchStrategy[Any]:
    return some(*values) | listed(some(*values))


texts = some("Ann", "x y", "é", "2024-01-01", "no", "3", 7, 2.5, True)  # plain texts: numbers are what was written
LEVELS = (1, 2, "three", False)
VALUES = {
    "sensitivity": some("public", "Internal"),
    "PII": some("none", "contact"),
    "level": some(*LEVELS[:3]),
}
tags = at_least_one(VALUES)
owners = {"owner": texts, "organization": some("member", "external"), "region": st.just("eu-west-1")}
meshes = record(
    {
        "version": 1,
        "lf_tags": record(
            {
                "domain": {"values": ["sales", "hr", "unassigned"], "default": "unassigned"},
                "sensitivity": {"values": ["public", "internal", "closed"], "default": "closed", "ordered": True},
                "pii": record(
                    {"values": ["none", "contact", "unknown"], "default": "unknown"},
                    ordered=st.just(False),
                    conflict=st.just("contact"),
                ),
                "level": record({"values": list(LEVELS), "default": LEVELS[-1]}, ordered=st.booleans()),
            }
        ),
    },
    region=st.just("eu-west-1"),
)
samples = at_least_one(
    {
        "objects": st.integers(1, 50),
        "rows": st.integers(10, 10_000),
        "megabytes": st.integers(1, 64),
        "countries": listed(some("GB", "NO", "DE")),
    }
)


def data_product(name: Any) -> st.SearchStrategy[dict[str, Any]]:
    return record(
        {"name": name, "location": f"s3://bucket-1/{name}/", "tags": {"domain": "Sales"}},
        csv=record({}, header=some("present", "absent", "guess"), delimiter=some(";", "|", 1), quote=some('"', "'")),
        sample_content=st.booleans() | samples,
        crawl_at_most_every=some("90s", "15m", "1d"),
        owner=texts,
    )


producers = record(
    {
        "producer": "sales",
        "account": "111111111111",
        "data_products": st.tuples(data_product("orders"), data_product(2024)).map(list) | data_product("orders").map(
            lambda only: [only]
        ),
    },
    **owners,
)  # fmt: skip
subscriptions = record(
    {
        "name": "all",
        "tags": record(
            {"domain": ["sales"]},
            sensitivity=listed(VALUES["sensitivity"]),
            Level=listed(VALUES["level"]),
        ),
        "principals": listed(
            st.tuples(some("role", "user", "permission_set"), some("Ann", "team/Bo", 7))
        ).map(lambda pairs: [{kind: name} for kind, name in pairs]),
    },
    permissions=listed(some("SELECT", "DESCRIBE")),
)  # fmt: skip
consumers = record(
    {"consumer": some("analytics", 3), "account": "222222222222", "subscriptions": subscriptions.map(lambda s: [s])},
    **owners,
)

words = one_or_listed("email", "first_name", "$person", "$person no", 42)
text_tests = at_least_one(
    {
        **dict.fromkeys(["words_any", "words_all", "words_only", "words_none"], words),
        "equals": texts | listed(some("x", 5)),
        "glob": one_or_listed("*_id", "?", 5),
        "regex": one_or_listed("^a+$", r"\d{1,3}x", 5),
    }
)
of_text = ("column", "field", "comment", "table", "location", "bucket", "database", "data_product", "producer")
leaves = at_least_one(
    {
        **dict.fromkeys((*of_text, "account"), text_tests),
        "column_parameters": st.dictionaries(some("note", "x y"), text_tests, min_size=1),
        "table_parameters": st.dictionaries(some("note"), text_tests, min_size=1),
        "type": one_or_listed(*FAMILIES),
        "partition_key": st.booleans(),
        "is": one_or_listed("people", "dates"),
        "table_has": st.builds(lambda test: {"column": test}, text_tests),
    }
)
conditions = st.recursive(
    leaves,
    lambda inner: at_least_one(
        {"all": st.lists(inner, min_size=1, max_size=2), "any": st.lists(inner, min_size=1, max_size=2), "not": inner}
    ),
    max_leaves=3,
)
examples = record(
    {},
    match=st.lists(
        some("email", "table.email", "email:varchar(20)", "é", 7)
        | record(
            {"column": some("email", "email:text", 7)},
            table=texts,
            with_=listed(some("name", "no:int", 7)),
            comment=texts,
            content=one_or_listed(*CONTENT),
            partition_key=st.booleans(),
        ),
        min_size=1,
        max_size=3,
        unique_by=str,
    ),
    no_match=listed(some("zorb", "t.zorb")),
)
about = {"because": texts, "examples": examples}
rules = st.one_of(
    record({"raise": tags, "when": conditions | st.just({"content": ["email", "iban"]})}, **about),
    record({"clear": tags, "when": conditions}, assign=tags, **about),
    record({"clear": {"pii": "none"}, "over": one_or_listed("base"), "when": conditions}, **about),
)
NAMED = {
    "words": {"person": "customer patient", "number": ["no", "id", 7]},
    "conditions": {"people": {"table": {"words_any": "$person"}}, "dates": {"type": "date"}},
}
BASE = {"id": "base", "raise": {"pii": "contact"}, "when": {"is": "people"}}


@st.composite
def rules_files(draw: st.DrawFn) -> dict[str, Any]:
    found = draw(st.lists(rules, max_size=2))
    return {**NAMED, "rules": [BASE, *({"id": number, **rule} for number, rule in enumerate(found))]}


@st.composite
def overrides_files(draw: st.DrawFn) -> dict[str, Any]:
    each = record(
        {"data_product": "sales/orders", "table": texts, "tags": tags, "author": some("cy", 5), "reason": texts},
        approved_by=texts,
        expires=some("2027-03-31", "2024-02-29"),
    )
    found = draw(st.lists(each, min_size=1, max_size=2))
    return {"overrides": [{**override, "column": number} for number, override in enumerate(found)]}


folders = st.fixed_dictionaries(
    {"mesh.yaml": meshes, "producers/p.yaml": producers, "rules/r.yaml": rules_files()},
    optional={"consumers/c.yaml": consumers, "overrides/o.yaml": overrides_files()},
)


@settings(quick, max_examples=40)
@given(folders)
def test_an_editor_finds_nothing_wrong_in_a_folder_that_loads(documents: dict[str, Any]):
    assert problems(documents) == []
    for file, document in documents.items():
        assert not [error.message for error in SCHEMA.iter_errors(document)], (file, document)


@pytest.mark.slow
@settings(quick, max_examples=2000)
@given(folders)
def test_nor_in_many_more(documents: dict[str, Any]):
    assert problems(documents) == []
    assert all(map(SCHEMA.is_valid, documents.values()))


@pytest.mark.parametrize(
    ("file", "document"),
    [
        # What a person writes without quotes is a number or a truth value to an editor, and a text to the loader.
        ("mesh.yaml", {"version": 1, "lf_tags": {"level": {"values": [1, 2.5, True], "default": True}}}),
        ("rules/r.yaml", {"words": {"year": 2024}}),
        ("rules/r.yaml", {"rules": [{"id": 1, "raise": {"pii": "none"}, "when": {"column": {"equals": 1}}}]}),
        # The same condition twice is odd, and no mistake.
        ("rules/r.yaml", {"conditions": {"a": {"any": [{"type": "date"}, {"type": "date"}]}}}),
    ],
)
def test_what_loads_is_no_mistake_to_an_editor(file: str, document: dict[str, Any]):
    mesh = {"version": 1, "lf_tags": {"pii": {"values": ["none", "unknown"], "default": "unknown"}}}

    assert problems({"mesh.yaml": mesh, file: document}) == []
    assert [error.message for error in SCHEMA.iter_errors(document)] == []


# ---- Folders with a mistake ----------------------------------------------------------------------------------------


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """(the mapping or list around, key or number) of everything in a document."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


OTHERS = ("surprise", 5, True, [], {}, ["surprise"], [{}], {"surprise": "x"}, None)


def damaged(around: Any, key: Any) -> Iterator[None]:
    """A document with one mistake after the other at one place, and as it was in the end."""
    before = copy.copy(around)

    def undo() -> None:
        around.clear()
        around.update(before) if isinstance(around, dict) else around.extend(before)

    changed = [other for other in OTHERS if other is not None or isinstance(around, dict)]
    for other in changed:
        around[key] = copy.deepcopy(other)
        yield
        undo()
    del around[key]
    yield
    undo()
    if isinstance(around, list):
        around.append(copy.deepcopy(around[key]))
    else:
        around["surprise"] = copy.deepcopy(around[key])
    yield
    undo()


def check(documents: dict[str, Any], file: str) -> None:
    found = problems(documents)
    fits = SCHEMA.is_valid(documents[file])
    if not fits:
        assert found, f"an editor refuses what loads: {written(documents[file])}"
    if any(map(OF_SHAPE.search, found)):
        assert not fits, f"an editor says nothing of {found} in {written(documents[file])}"


#: Every field once.
WHOLE = {
    "mesh.yaml": {
        "version": 1,
        "region": "eu-west-1",
        "lf_tags": {
            "domain": {"values": ["sales", "none"], "default": "none"},
            "pii": {"values": ["no", "yes", "x"], "default": "x", "ordered": False, "conflict": "yes"},
        },
    },
    "producers/p.yaml": {
        "producer": "sales",
        "account": "111111111111",
        "owner": "ann",
        "organization": "member",
        "region": "eu-west-1",
        "data_products": [
            {
                "name": "orders",
                "location": "s3://bucket/",
                "tags": {"domain": "sales"},
                "csv": {"header": "guess", "delimiter": ";", "quote": "'"},
                "sample_content": {"objects": 50, "rows": 10_000, "megabytes": 64, "countries": ["GB"]},
                "crawl_at_most_every": "15m",
                "owner": "bo",
            },
            {"name": "lines", "location": "s3://bucket-2/", "sample_content": True},
        ],
    },
    "consumers/c.yaml": {
        "consumer": "analytics",
        "account": "222222222222",
        "owner": "ann",
        "organization": "member",
        "organizational_unit": "arn:aws:organizations::555555555555:ou/o-example1234/ou-exam-readers12",
        "region": "eu-west-1",
        "results": "shared",
        "subscriptions": [
            {
                "name": "all",
                "tags": {"domain": ["sales"]},
                "permissions": ["SELECT"],
                "principals": [{"role": "r"}, {"user": "u"}, {"permission_set": "p"}, {"whole_account": True}],
            }
        ],
    },
    "rules/r.yaml": {
        "words": {"person": "customer patient", "number": ["no", "id"]},
        "conditions": {"people": {"table": {"words_any": "$person"}}},
        "rules": [
            {
                "id": "a",
                "raise": {"pii": "yes"},
                "when": {"content": ["email"], "type": ["string"], "partition_key": False, "is": ["people"]},
                "because": "why",
                "examples": {
                    "match": ["a", {"column": "b", "table": "t", "with": ["c"], "comment": "d", "content": ["email"]}],
                    "no_match": ["a.b", {"column": "b", "partition_key": True}],
                },
            },
            {
                "id": "b",
                "clear": {"pii": "no"},
                "assign": {"pii": "yes"},
                "over": ["a"],
                "when": {
                    "all": [{"not": {"type": "date"}}],
                    "any": [{"table_has": {"comment": {"words_all": ["a"], "words_only": "a", "words_none": "b"}}}],
                    "column": {"equals": ["x"], "glob": "*", "regex": ["a"]},
                    "column_parameters": {"note": {"equals": "y"}},
                },
            },
        ],
    },
    "overrides/o.yaml": {
        "overrides": [
            {
                "data_product": "sales/orders",
                "table": "t",
                "column": "c",
                "tags": {"pii": "no"},
                "author": "ann",
                "reason": "why",
                "approved_by": "bo",
                "expires": "2027-03-31",
            }
        ]
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("file", WHOLE)
def test_an_editor_and_the_loader_see_the_same_mistakes_at_every_place(file: str):
    documents = copy.deepcopy(WHOLE)
    assert problems(documents) == []
    assert SCHEMA.is_valid(documents[file])
    for around, key in list(places(documents[file])):
        for _ in damaged(around, key):
            check(documents, file)
    assert documents == WHOLE


def test_of_some_fields_an_editor_and_the_loader_want_exactly_one():
    documents = copy.deepcopy(WHOLE)
    documents["consumers/c.yaml"]["subscriptions"][0]["principals"][0]["user"] = "u2"

    assert problems(documents) == ["of role, user, permission_set, whole_account role and user is given"]
    assert not SCHEMA.is_valid(documents["consumers/c.yaml"])


def test_the_name_of_a_principal_has_the_letters_that_iam_has():
    documents = copy.deepcopy(WHOLE)
    for name, right in (("team/a_b+c=d,e.f@g-h", True), ("Müller", False), ("a b", False), ("a" * 65, False)):
        documents["consumers/c.yaml"]["subscriptions"][0]["principals"][0]["role"] = name

        assert (problems(documents) == []) is right
        assert SCHEMA.is_valid(documents["consumers/c.yaml"]) is right


def check_damage(documents: dict[str, Any], data: st.DataObject) -> None:
    documents = copy.deepcopy(documents)
    file = data.draw(st.sampled_from(sorted(documents)))
    around, key = data.draw(st.sampled_from(list(places(documents[file]))))
    for _ in damaged(around, key):
        check(documents, file)


@settings(quick, max_examples=10)
@given(folders, st.data())
def test_an_editor_and_the_loader_see_the_same_mistakes_of_shape(documents: dict[str, Any], data: st.DataObject):
    check_damage(documents, data)


@pytest.mark.slow
@settings(quick, max_examples=600)
@given(folders, st.data())
def test_so_they_do_of_many_more(documents: dict[str, Any], data: st.DataObject):
    check_damage(documents, data)
