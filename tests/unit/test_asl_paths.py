"""Paths: what they select, what they may not be, and where a result is placed."""

import pytest

from local_aws.stepfunctions import asl_paths
from local_aws.stepfunctions.asl_paths import CannotPlace, InvalidPath, PathNotFound

DATA = {
    "foo": 123,
    "bar": ["a", "b", "c"],
    "car": {"cdr": True},
    "list": [{"t": "x", "n": 1}, {"t": "y", "n": 2}],
    "b-c": {"d": 1},
    "nothing": None,
    "empty": [],
    "text": "v",
    "def ghi": 7,
}


def read(text: str, context: object = None) -> object:
    return asl_paths.read(asl_paths.compile_path(text), DATA, context)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", DATA),
        ("$.foo", 123),
        ("$.bar", ["a", "b", "c"]),
        ("$.car.cdr", True),
        ("$['car']['cdr']", True),
        ('$["foo"]', 123),
        ("$.['def ghi']", 7),
        ("$.b-c.d", 1),
        ("$.nothing", None),
        ("$.bar[0]", "a"),
        ("$.bar[-1]", "c"),
        ("$.empty", []),
        ("$.list[1].t", "y"),
        ("$['foo','text']", {"foo": 123, "text": "v"}),
    ],
)
def test_a_definite_path_gives_one_value(path: str, expected: object):
    assert read(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.bar[0:2]", ["a", "b"]),
        ("$.bar[1:]", ["b", "c"]),
        ("$.bar[-1:]", ["c"]),
        ("$.bar[0,2]", ["a", "c"]),
        ("$.list[*].n", [1, 2]),
        ("$.list[*].missing", []),
        ("$.empty[*]", []),
        ("$..n", [1, 2]),
        ("$.car.*", [True]),
        ("$.list[?(@.t == 'x')]", [{"t": "x", "n": 1}]),
        ("$.list[?(@.t == 'q')]", []),
        ("$.list[?(@.n > 1)].t", ["y"]),
        ("$.list[?(@.t == 'x' && @.n == 1)].n", [1]),
        ("$.list[?(@.n == 2 || @.t == 'x')].n", [1, 2]),
        ("$.list[?(!(@.n == 2))].n", [1]),
        ("$.list[?(@.t in ['y', 'z'])].n", [2]),
        ("$.list[?(@.t nin ['y', 'z'])].n", [1]),
        ("$.list[?(@.n)].n", [1, 2]),
        ("$.list[?(@.missing)]", []),
        ("$.list[?(@.missing != 1)].n", [1, 2]),
        ("$.list[?(@.t < 1)]", []),  # text and number do not compare
        ("$.list[?($.foo == 123)].n", [1, 2]),
    ],
)
def test_an_indefinite_path_gives_a_list(path: str, expected: list):
    assert read(path) == expected


@pytest.mark.parametrize("path", ["$.missing", "$.car.missing", "$.bar[9]", "$.text[0]", "$.bar.name", "$.missing[*]"])
def test_a_definite_path_to_nothing_is_an_error(path: str):
    with pytest.raises(PathNotFound):
        read(path)


def test_two_dollars_select_from_the_context_object():
    assert read("$$.Execution.Name", {"Execution": {"Name": "run"}}) == "run"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "foo",
        "$foo",
        "$.",
        "$.a b",
        "$.a[",
        "$.a['x]",
        "$.a[]",
        "$.a[x]",
        "$.a.length()",
        "$.a[(@.length-1)]",
        "$.a[?(@.b =~ /x/)]",
        "$.a[?(1)]",
        "$.a[?(@.b ==)]",
    ],
)
def test_what_is_no_path_is_refused(path: str):
    with pytest.raises(InvalidPath):
        asl_paths.compile_path(path)


@pytest.mark.parametrize("path", ["$.a[*]", "$..a", "$.a[0,1]", "$.a[0:1]", "$.a[?(@.b)]", "$.a[-1]", "$['a','b']"])
def test_a_reference_path_names_one_node_only(path: str):
    with pytest.raises(InvalidPath, match="not a Reference Path"):
        asl_paths.reference_path(path)


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("$", {"a": 1}, "result"),
        ("$.b", {"a": 1}, {"a": 1, "b": "result"}),
        ("$.a", {"a": 1}, {"a": "result"}),
        ("$.b.c.d", {"a": 1}, {"a": 1, "b": {"c": {"d": "result"}}}),
        ("$.a[1]", {"a": [1, 2, 3]}, {"a": [1, "result", 3]}),
        ("$.a[0].b", {"a": [{"c": 1}]}, {"a": [{"c": 1, "b": "result"}]}),
    ],
)
def test_a_result_is_placed_and_the_way_to_it_is_made(path: str, data: object, expected: object):
    assert asl_paths.place(asl_paths.compile_path(path), data, "result") == expected


@pytest.mark.parametrize(("path", "data"), [("$.a.b", {"a": 1}), ("$.b", [1]), ("$.a[3]", {"a": [1]}), ("$.b", "text")])
def test_a_result_cannot_be_placed_through_what_is_no_object(path: str, data: object):
    with pytest.raises(CannotPlace):
        asl_paths.place(asl_paths.compile_path(path), data, "result")


def test_placing_does_not_change_the_input():
    data = {"a": {"b": 1}}
    asl_paths.place(asl_paths.compile_path("$.a.b"), data, 2)
    assert data == {"a": {"b": 1}}
