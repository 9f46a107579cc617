"""Plans of running work and decisions with their reasons, in the governance bucket: state payloads carry keys only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any


def key(unit: str, token: int) -> str:
    """Where the plan of a run lies; such plans expire."""
    return f"plans/{unit}/{token}.json"


def write(s3: Any, key: str, plan: Mapping[str, Any]) -> str:
    """Writes a plan, or decisions with their reasons (JSON values), and returns the key."""
    body = json.dumps(plan, sort_keys=True).encode()
    s3.put_object(Bucket=os.environ["GOVERNANCE_BUCKET"], Key=key, Body=body, ContentType="application/json")
    return key


def read(s3: Any, key: str) -> dict[str, Any]:
    """What `write` wrote under a key."""
    return json.loads(s3.get_object(Bucket=os.environ["GOVERNANCE_BUCKET"], Key=key)["Body"].read())
