"""`tagmesh can`, `access` and `who` without a mesh, and with arguments that nobody can answer."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from cli.access import NotFound, Place
from cli.main import app


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and errors of a command."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stderr


def a_port_with_nothing() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    "asked",
    [("can", "c/Ann", "read", "a.b.c"), ("access", "c/Ann"), ("access", "c/Ann", "a.b"), ("who", "a.b.c")],
    ids=" ".join,
)
def test_without_a_mesh_they_end_with_2_and_say_how_to_start_one(asked: tuple[str, ...]):
    code, said = run(*asked, "--port", a_port_with_nothing())

    assert code == 2
    assert "tagmesh demo --keep" in said


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (("can", "c/Ann", "write", "a.b.c"), "can PRINCIPAL read"),
        (("can", "c/Ann", "read"), "DATABASE.TABLE.COLUMN"),
        (("can", "c/Ann"), "read"),
        (("who",), "DATABASE.TABLE.COLUMN"),
        (("access",), "PRINCIPAL"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_arguments_that_are_missing_or_no_question_are_refused(asked: tuple[str, ...], part: str):
    code, said = run(*asked)

    assert (code, part in " ".join(said.split())) == (2, True), said


def test_a_place_is_a_database_a_table_or_a_column_in_lower_case():
    assert Place.parse("Sales_Orders") == Place("sales_orders")
    assert Place.parse("sales_orders.Orders") == Place("sales_orders", "orders")
    assert Place.parse("s.o.order.id") == Place("s", "o", "order.id"), "a column's name may have dots"
    for wrong in ("", "a.", ".b", "a..c"):
        with pytest.raises(NotFound, match="is no DATABASE"):
            Place.parse(wrong)


@pytest.mark.parametrize(
    "asked", [("replay", "--account", "12"), ("bucket-policy", "b", "--central", "12")], ids=" ".join
)
def test_an_account_id_that_is_none_is_refused(asked: tuple[str, ...]):
    code, said = run(*asked)

    assert (code, "give twelve digits" in said) == (2, True), said
