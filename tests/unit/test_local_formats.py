"""Hive's names of types. What files are classified and read as is in tests/conformance/test_files_*.py."""

from __future__ import annotations

import pytest

from local_aws.files.hive_types import UnknownType, arrow_type, hive_type


@pytest.mark.parametrize(
    "name",
    ["bigint", "decimal(10,2)", "array<struct<a:int,b:map<string,double>>>", "struct<x:array<date>,y:timestamp>"],
)
def test_hive_types_survive_the_way_there_and_back(name: str) -> None:
    assert hive_type(arrow_type(name)) == name


@pytest.mark.parametrize("name", ["uniontype<int,string>", "array<int", "struct<a:int", "struct<", "wrong", ""])
def test_broken_hive_types_are_refused(name: str) -> None:
    with pytest.raises(UnknownType):
        arrow_type(name)
