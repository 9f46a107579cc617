"""The types of columns, as Glue and other databases write them: their families, and the fields inside them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagmesh.catalog import Column, Table
from tagmesh.column_types import FAMILIES, nested_fields, type_family
from tagmesh.rules import decide
from test_rules import ORDERS, mesh, rule


def fields(type_name: str) -> dict[str, str]:
    """path -> family of each."""
    return dict(nested_fields(type_name))


# ---- Families ------------------------------------------------------------------------------------------------------

WRITTEN = {
    "string": "string varchar(20) char(1) text citext CHARACTER·VARYING(255) nvarchar(max) enum('a','b') inet",
    "integer": "int bigint SMALLINT tinyint(1) INT64 int4 bigint·unsigned bigserial year integer",
    "decimal": "decimal(10,2) double·precision FLOAT8 real NUMERIC money number(38,0) float",
    "boolean": "boolean BOOL bit",
    "timestamp": "timestamp datetime datetime2(7) timestamp(3)·without·time·zone timestamptz TIMESTAMP_NTZ time",
    "date": "date DATE",
    "uuid": "uuid uniqueidentifier guid",
    "binary": "binary bytea varbinary(16) blob BYTES",
    "struct": "struct<a:int> json row(a·int) variant STRUCT<a·INT64> record JSONB",
    "array": "array<int> string[] integer[][] numeric(10,2)[] ARRAY<STRUCT<a·INT64>> struct<a:int>[] text[3]",
    "map": "map<string,int> MAP(varchar,·integer)",
    "": "geometry hyperloglog void tsvector interval·day uniontype<int,string> stringy 日付 <> _text",
}


@pytest.mark.parametrize("family", WRITTEN)
def test_types_of_any_database_have_a_family_and_an_unknown_one_has_none(family: str):
    for written in WRITTEN[family].split():
        type_name = written.replace("·", " ")
        assert (type_name, type_family(type_name)) == (type_name, family)
        assert type_family(f"  {type_name.upper()} ") == family


def test_every_family_is_one_that_a_rule_may_ask_for():
    assert set(WRITTEN) - {""} == set(FAMILIES)
    for family in FAMILIES:
        found = decide(
            mesh(rule("r", {"type": family}, raises={"pii": "contact"})),
            ORDERS,
            Table(
                "d",
                "t",
                tuple(Column(f"c{n}", t.split()[-1].replace("·", " ")) for n, t in enumerate(WRITTEN.values())),
            ),
        )
        spoken = [name for name, keys in found.columns.items() if keys["pii"].outcome == "raised"]
        assert spoken == [f"c{list(WRITTEN).index(family)}"]


def test_no_condition_on_types_holds_for_an_unknown_type_and_none_of_it_is_an_error():
    anything = rule("r", {"type": list(FAMILIES)}, clears={"pii": "none"})
    found = decide(mesh(anything), ORDERS, Table("d", "t", (Column("a", "geometry"), Column("b", ""))))

    assert {name: keys["pii"].value for name, keys in found.columns.items()} == {"a": "unknown", "b": "unknown"}


# ---- Fields --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "expected"),
    [
        ("struct<a:int,b:string>", {"a": "integer", "b": "string"}),
        ("struct< a : int , b : decimal(10, 2) >", {"a": "integer", "b": "decimal"}),
        ("struct<a:struct<b:struct<c:date>>>", {"a.b.c": "date"}),
        ("array<struct<a:int>>", {"a": "integer"}),
        ("array<array<struct<a:int>>>", {"a": "integer"}),
        ("map<string,struct<a:int>>", {"": "map", "a": "integer"}),  # its keys are data too
        ("struct<m:map<string,struct<a:int>>>", {"m": "map", "m.a": "integer"}),
        ("struct<l:array<string>>", {"l": "array"}),
        ("STRUCT<a INT64, b ARRAY<STRUCT<c STRING>>>", {"a": "integer", "b.c": "string"}),
        ('ROW("x y" varchar, z row(q timestamp with time zone))', {"x y": "string", "z.q": "timestamp"}),
        ("struct<`a b`:int,größe:int>", {"a b": "integer", "größe": "integer"}),
        ("struct<a:int NOT NULL,b:struct<c:int> NOT NULL,d:date> NOT NULL", dict.fromkeys(["a", "b.c"], "integer")
         | {"d": "date"}),
        # Arrays as DuckDB and PostgreSQL write them.
        ("STRUCT(a INTEGER, b VARCHAR)[]", {"a": "integer", "b": "string"}),
        ("struct<a:struct<b:int>[],c:int[]>", {"a.b": "integer", "c": "array"}),
        ("struct<a:decimal(10,2)[],b:varchar(9) [3]>", {"a": "array", "b": "array"}),
        ("STRUCT(a INTEGER)[3][]", {"a": "integer"}),
        ("MAP(VARCHAR, STRUCT(a DATE))[]", {"": "map", "a": "date"}),
        # None to see.
        ("string", {}), ("array<string>", {}), ("map<string,int>", {}), ("jsonb", {}), ("struct", {}), ("struct<>", {}),
        # What cannot be read has none.
        ("struct<a:int", {}), ("struct<a:int>>", {}), ("struct<a", {}), ("struct<a:int>,b:int", {}), ("array<", {}),
        ("map<string>", {}), ("<a:int>", {}),
    ],
)  # fmt: skip
def test_the_fields_of_a_type(type_name: str, expected: dict[str, str]):
    assert fields(type_name) == expected


@pytest.mark.parametrize("written", ["struct<ssn:string>", "array<struct<ssn:string>>", "STRUCT(ssn VARCHAR)[]"])
def test_however_it_is_written_a_field_that_rules_close_closes_its_column(written: str):
    rules = [
        rule("people", {"column": {"words_any": "people"}}, clears={"sensitivity": "public"}),
        rule("ssn", {"field": {"words_any": "ssn"}}, raises={"sensitivity": "restricted"}),
    ]
    found = decide(mesh(*rules), ORDERS, Table("d", "t", (Column("people", written),)))

    assert found.tags("people")["sensitivity"] == "restricted"


SCALARS = {"int": "integer", "string": "string", "decimal(10,2)": "decimal", "date": "date"}
names = st.from_regex(r"\A[a-z][a-z0-9_]{0,5}\Z").filter(lambda name: name not in ("struct", "array", "map", "row"))
trees = st.recursive(
    st.sampled_from(sorted(SCALARS)),
    lambda inner: (
        st.dictionaries(names, inner, min_size=1, max_size=3)
        | st.tuples(st.just("array"), inner)
        | st.tuples(st.just("map"), inner)
    ),
    max_leaves=8,
)
DIALECTS = {
    "glue": ("struct<", ":", ">", "array<{}>", "map<string,{}>"),
    "bigquery": ("STRUCT<", " ", ">", "ARRAY<{}>", "MAP<STRING, {}>"),
    "trino": ("row(", " ", ")", "array({})", "map(varchar, {})"),
    "duckdb": ("STRUCT(", " ", ")", "{}[]", "MAP(VARCHAR, {})"),
}


def write(tree: Any, dialect: str) -> str:
    start, between, end, array, mapping = DIALECTS[dialect]
    if isinstance(tree, str):
        return tree
    if isinstance(tree, dict):
        return start + ", ".join(f"{name}{between}{write(each, dialect)}" for name, each in tree.items()) + end
    return (array if tree[0] == "array" else mapping).format(write(tree[1], dialect))


def leaves(tree: Any, path: str = "") -> list[tuple[str, str]]:
    """(path, family) of what is not made of fields itself; an array or a map of those is where it stands."""
    if isinstance(tree, str):
        return [(path, SCALARS[tree])]
    if isinstance(tree, dict):
        return [leaf for name, each in tree.items() for leaf in leaves(each, f"{path}.{name}" if path else name)]
    kind, inner = tree
    below = [] if isinstance(inner, str) else leaves(inner, path)
    return [(path, kind), *below] if kind == "map" else below or [(path, kind)]


def told_once(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without the arrays in a map: the map says that there are values."""
    known = dict.fromkeys(map(tuple, found))
    return [(path, family) for path, family in known if family != "array" or (path, "map") not in known]


@settings(max_examples=100)
@given(trees, st.sampled_from(sorted(DIALECTS)))
def test_each_field_of_a_type_is_found_in_every_dialect(tree: Any, dialect: str):
    expected = leaves(tree)

    found = told_once(nested_fields(write(tree, dialect)))
    assert found == (told_once(expected) if any(path for path, _ in expected) else [])


@pytest.mark.parametrize("around", ["struct<a:", "array<struct<a:", "map<string,struct<a:", "row(a "])
def test_nesting_is_read_to_a_depth_and_no_deeper(around: str):
    def nested(times: int) -> str:
        closing = "".join({"<": ">", "(": ")"}.get(char, "") for char in reversed(around))
        return around * times + "int" + closing * times

    assert ("a", "integer") in nested_fields(nested(1))
    assert (".".join("a" * 16), "integer") in nested_fields(nested(16))
    assert nested_fields(nested(40)) == ()
    assert nested_fields(nested(50_000)) == ()
    assert type_family(nested(50_000)) in ("struct", "array", "map")


@pytest.mark.parametrize(
    "text", ["struct<" * 50_000, "array<" * 50_000, "(" * 100_000, "map<" * 50_000, "array<(" * 9_999]
)
def test_however_deep_it_is_the_stack_stays_flat(text: str):
    limit = sys.getrecursionlimit()
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 120)
    try:
        assert nested_fields(text) == ()
    finally:
        sys.setrecursionlimit(limit)


def test_a_struct_of_very_many_fields_is_read_and_one_of_endlessly_many_is_not():
    def wide(number: int) -> str:
        return f"struct<{','.join(f'f{n}:int' for n in range(number))}>"

    assert len(nested_fields(wide(5_000))) == 5_000
    assert nested_fields(wide(20_000)) == ()
