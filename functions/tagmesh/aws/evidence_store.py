"""Requests for samples of content, the answers, and the evidence that is kept, in the governance bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagmesh.aws import plans
from tagmesh.governance import DataProduct


def request_key(unit: str, token: int) -> str:
    """Where a run's request lies; its answer lies beside it, as `.evidence.json`, and both expire as plans do."""
    return f"plans/{unit}/{token}.request.json"


def read_kept(s3: Any, product: DataProduct) -> dict[str, Any]:
    """The evidence of a data product that is in force; {} before its first sample."""
    try:
        return plans.read(s3, _kept_key(product))
    except s3.exceptions.NoSuchKey:
        return {}


def keep(s3: Any, product: DataProduct, evidence: Mapping[str, Any]) -> None:
    """Puts evidence in force. It does not expire; who wants it forgotten deletes the object."""
    plans.write(s3, _kept_key(product), evidence)


def _kept_key(product: DataProduct) -> str:
    return f"evidence/{product.unit}.json"
