"""Athena on the seed sample. What is documented of it is in tests/conformance/test_athena_*.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from athena_desk import OPEN_CSV, Desk, desk
from lab import LocalLab

SHARED = Path(os.environ.get("TAGMESH_SHARED", "../shared"))
SEED = SHARED / "data/seed-sample/classicmodels/sales"
SKIP = {"skip.header.line.count": "1"}


@pytest.fixture
def here() -> Iterator[Desk]:
    lab = LocalLab()
    yield desk(lab)
    lab.close()


@pytest.mark.skipif(not SEED.is_dir(), reason=f"shared data is missing: {SEED}")
def test_the_seed_sample_can_be_queried(here: Desk) -> None:
    files = {folder.name: {file.name: file.read_bytes() for file in folder.glob("*.csv")} for folder in SEED.iterdir()}
    columns = dict.fromkeys("abcdefghi", "string") | {"i": "double"}
    here.table(columns, OPEN_CSV, name="products", files=files["products"], **SKIP)
    names = ("number", "name", "last", "first", "phone", "a1", "a2", "city", "state", "zip", "country", "rep")
    columns = dict.fromkeys(names, "string") | {"credit": "double"}
    here.table(columns, OPEN_CSV, name="customers", files=files["customers"], **SKIP)

    assert here.rows("SELECT count(*), count(DISTINCT c), round(max(i), 2) FROM products") == [("110", "7", "214.3")]
    sql = "SELECT name, a1 FROM customers WHERE number = '103'"
    assert here.rows(sql) == [("Atelier graphique", "54, rue Royale")]
