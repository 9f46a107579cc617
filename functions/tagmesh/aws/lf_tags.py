"""The keys and values of LF-Tags, made where they are missing.

The item "governance" of the units table has which ones were last made, so that only a new version asks for them; the
sweep looks whether they are still there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tagmesh.aws import governance_store, units
from tagmesh.governance import Governance, LFTagKey

VALUES_A_CALL = 50


def ensure_noted(dynamodb: Any, lf: Any, governance: Governance) -> None:
    """Makes missing keys and adds missing values, where that was not done for these before; what others defined stays.

    Raises:
        LakeFormationRefused: a key exists that we may not extend.
    """
    if governance_store.lf_tags_made(dynamodb) != governance.lf_tags_version:
        _make(lf, governance.lf_tags, _found(lf))
        governance_store.note_lf_tags(dynamodb, governance.lf_tags_version)


def ensure_still(dynamodb: Any, lf: Any, governance: Governance) -> None:
    """The same, whatever was done before; and notes at each consumer, before, which keys somebody has deleted. With a
    key go its assignments; policies that use it give nothing any more, though they are still listed.
    [API reference, DeleteLFTag; aws/aws-cli#6393]

    Raises:
        LakeFormationRefused: a key exists that we may not extend.
    """
    found = _found(lf)
    noted = governance_store.lf_tags_made(dynamodb) == governance.lf_tags_version
    if noted:
        deleted = {key.name for key in governance.lf_tags} - found.keys()
        for consumer in governance.consumers if deleted else ():
            units.doubt(dynamodb, consumer.unit, void=deleted)
    _make(lf, governance.lf_tags, found)
    if not noted:
        governance_store.note_lf_tags(dynamodb, governance.lf_tags_version)


def _found(lf: Any) -> dict[str, set[str]]:
    """key -> values, of all that there are."""
    found: dict[str, set[str]] = {}
    for page in lf.get_paginator("list_lf_tags").paginate():
        for tag in page["LFTags"]:
            found.setdefault(tag["TagKey"], set()).update(tag["TagValues"])
    return found


def _make(lf: Any, keys: Iterable[LFTagKey], found: dict[str, set[str]]) -> None:
    for key in keys:
        if key.name not in found:
            first, *more = _some(key.values)
            try:
                lf.create_lf_tag(TagKey=key.name, TagValues=list(first))
            except lf.exceptions.InvalidInputException as error:
                # There is no AlreadyExists for tags: another run was faster, or the key is malformed.
                if "already exists" not in str(error):
                    raise
                more = [first, *more]
        else:
            more = _some([value for value in key.values if value not in found[key.name]])
        for values in more:
            lf.update_lf_tag(TagKey=key.name, TagValuesToAdd=list(values))


def _some(values: Iterable[str]) -> list[tuple[str, ...]]:
    values = tuple(values)
    return [values[start : start + VALUES_A_CALL] for start in range(0, len(values), VALUES_A_CALL)]
