"""LF-Tags: definitions, assignment, inheritance."""

import pytest


@pytest.mark.statement("lf-tags.folded")
def test_keys_and_values_are_kept_in_lower_case(lab):
    lab.lake("central")
    lakeformation, key = lab.client("lakeformation", "central"), lab.name("Domain")
    lakeformation.create_lf_tag(TagKey=key, TagValues=["Sales", "HR"])
    lab.at_end(lakeformation.delete_lf_tag, TagKey=key)
    kept = lakeformation.get_lf_tag(TagKey=key.upper())
    assert (kept["TagKey"], sorted(kept["TagValues"])) == (key.lower(), ["hr", "sales"])
