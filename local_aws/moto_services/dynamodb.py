"""What moto's DynamoDB gets wrong: of an item that an update makes, its key counts among what was updated."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from local_aws.wire import Call
    from local_aws.world import World


def after(_world: World, call: Call, response: Response, _before: Any) -> Response:
    """UPDATED_NEW and UPDATED_OLD are the updated attributes only (API reference, UpdateItem, "ReturnValues")."""
    asked = call.params.get("ReturnValues", "")
    if call.operation != "UpdateItem" or not asked.startswith("UPDATED_") or response.status_code >= 300:
        return response
    answer = json.loads(response.get_data())
    attributes = answer.get("Attributes", {})
    for name in call.params["Key"]:
        attributes.pop(name, None)
    body = json.dumps(answer).encode()
    changed = Response(body, status=response.status_code, content_type=response.content_type)
    changed.headers["x-amzn-RequestId"] = call.request_id
    changed.headers["x-amz-crc32"] = str(zlib.crc32(body))
    return changed
