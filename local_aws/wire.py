"""HTTP to API calls and back, by botocore's service models.

A request becomes an operation model and parameters shaped as botocore's input shapes (aware UTC datetimes, bytes for
blobs); a result or an AwsError becomes a response of the service's protocol. Routing, parsing and serialising are
moto's (`moto.core.routing`, `.parse`, `.serialize`).
"""

from __future__ import annotations

import gzip
import io
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import moto.core.errors
from botocore.utils import parse_timestamp
from moto.core.parse import PROTOCOL_PARSERS, BaseJSONParser, RequestParserError
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from moto.core.model import OperationModel

    from local_aws.access.identity import Caller

# Errors that a service's model does not list (AccessDenied of S3, say) are no reason to warn.
moto.core.errors.warn = lambda *_args, **_kwargs: None

# moto's parser would take a body that is no JSON for an empty one. A ValueError is answered: see parse().
BaseJSONParser._parse_body_as_json = lambda _self, body: json.loads(body) if body else {}

SERVICE_OF_SIGNING_NAME = {
    "states": "stepfunctions",
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "sso": "sso-admin",
}
"""botocore's service name where it differs from the one that requests are signed for."""

CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request")


class AwsError(Exception):
    """An error as AWS would answer it. `fields` are further members of the error's shape."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        for name, value in fields.items():
            setattr(self, name, value)


@dataclass(frozen=True)
class Signature:
    """Who a request says it is from, and for which service and Region (empty: not said) it was signed."""

    access_key: str
    token: str | None
    region: str
    signing_name: str


@dataclass(frozen=True)
class Call:
    """One API call, ready to be judged and answered."""

    service: str
    operation: str
    params: dict[str, Any]
    caller: Caller
    model: OperationModel
    protocol: str
    request: Request
    body: bytes
    request_id: str


def read(environ: dict[str, Any]) -> tuple[Request, bytes]:
    """Read a whole WSGI request, so that moto can read it again.

    The body is un-chunked and, except for S3 objects, un-gzipped.
    """
    length = environ.get("CONTENT_LENGTH")
    stream = environ["wsgi.input"]
    body = stream.read() if environ.get("wsgi.input_terminated") else stream.read(int(length or 0))
    for_s3 = "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip" and not for_s3:
        body = gzip.decompress(body)
        del environ["HTTP_CONTENT_ENCODING"]
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("wsgi.input_terminated", None)
    rewind(environ, body)
    return Request(environ), body


def rewind(environ: dict[str, Any], body: bytes) -> None:
    """Make the body of a request readable (again) from its start."""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def signature(request: Request) -> Signature | None:
    """The signature's credential scope, from the header or a presigned URL. None for an unsigned request."""
    if found := CREDENTIAL.search(request.headers.get("Authorization", "")):
        token = request.headers.get("X-Amz-Security-Token")
    elif found := CREDENTIAL.search("Credential=" + request.args.get("X-Amz-Credential", "")):
        token = request.args.get("X-Amz-Security-Token")
    elif access_key := request.args.get("AWSAccessKeyId"):  # what boto3 presigns S3 URLs with by default
        return Signature(access_key, request.args.get("x-amz-security-token"), "", "s3")
    else:
        return None
    access_key, _, region, signing_name = found.groups()
    return Signature(access_key, token, region, signing_name.lower())


def presigned_until(request: Request) -> datetime | None:
    """When a presigned URL ends, or None for a request that is signed otherwise."""
    if expires := request.args.get("Expires"):
        return datetime.fromtimestamp(int(expires), UTC)
    if seconds := request.args.get("X-Amz-Expires"):
        signed = datetime.strptime(request.args["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return signed + timedelta(seconds=int(seconds))
    return None


def service_of(request: Request, signing_name: str) -> str:
    """botocore's name of the service that a request is for."""
    if signing_name == "dynamodb" and request.headers.get("X-Amz-Target", "").startswith("DynamoDBStreams"):
        return "dynamodbstreams"
    if signing_name == "s3" and request.raw_path.startswith("/v20180820/"):
        return "s3control"
    return SERVICE_OF_SIGNING_NAME.get(signing_name, signing_name)


def likely_service(request: Request) -> str:
    """A service whose way of saying no fits a request that is not signed, so that nobody knows whom it is for."""
    if "X-Amz-Target" in request.headers:
        return "json"
    return "sts" if (request.content_type or "").startswith("application/x-www-form-urlencoded") else "s3"


def request_keys(call: Call) -> dict[str, Any]:
    """The condition keys of a request that do not depend on what it is for."""
    given = call.params.get("Tags") or call.params.get("tags") or []
    if isinstance(given, dict):
        tags = {str(key): str(value) for key, value in given.items()}
    else:
        pairs = [{name.lower(): value for name, value in tag.items()} for tag in given if isinstance(tag, dict)]
        tags = {pair["key"]: pair.get("value", "") for pair in pairs if "key" in pair}
    return {
        "aws:SourceIp": call.request.remote_addr,
        "aws:UserAgent": call.request.headers.get("User-Agent"),
        "aws:TagKeys": list(tags) or None,
        **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
    }


def parse(request: Request, body: bytes, service: str) -> tuple[OperationModel, dict[str, Any], str]:
    """The operation that a request is for, its parameters, and its protocol.

    Raises AwsError UnknownOperationException, SerializationException or MalformedXML.
    """
    model = get_service_model(service)
    try:
        protocol = determine_request_protocol(model, request.content_type)
        operation, uri = get_service_router(service).match(request)
    except (NotFound, NotImplementedError) as error:
        raise AwsError("UnknownOperationException", f"no operation of {service} fits this request", 404) from error
    rest = protocol.startswith("rest")
    parser = PROTOCOL_PARSERS[protocol](operation, timestamp_parser=_timestamp)
    try:
        params = parser.parse(
            {
                "method": request.method,
                "values": request.args if rest else request.values,
                "headers": request.headers,
                "body": body,
                "url_path": request.path,
                "url_params": uri,
            }
        )
    except RequestParserError as error:
        raise AwsError("MalformedXML", str(error)) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        message = f"{operation.name}: a parameter has the wrong type: {error}"
        raise AwsError("SerializationException", message) from error
    required = operation.input_shape.required_members if operation.input_shape and "json" in protocol else ()
    given = {
        name: value for name, value in params.items() if value not in (None, []) or value == [] and name in required
    }
    return operation, given, protocol


def check_constraints(call: Call) -> None:
    """Hold the parameters of a call to what the service's model says: required members, lengths, ranges, enums.

    boto3 checks only some of it, and only its own callers. Raises AwsError ValidationException in AWS's words;
    Athena's API has InvalidRequestException instead.
    """
    if call.model.input_shape is None:
        return
    faults = list(_faults(call.params, call.model.input_shape, ""))
    if faults:
        plural = "error" if len(faults) == 1 else "errors"
        code = "ValidationError" if call.protocol == "query" else "ValidationException"
        if call.model.service_model.service_name == "athena":
            code = "InvalidRequestException"
        raise AwsError(code, f"{len(faults)} validation {plural} detected: {'; '.join(faults)}")


PYTHON_TYPES = {"string": str, "list": list, "map": dict, "boolean": bool}


def _faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    def fault(constraint: str) -> str:
        return f"Value at '{path}' failed to satisfy constraint: Member must {constraint}"

    kind = shape.type_name
    expected = PYTHON_TYPES.get(kind)
    if expected and not isinstance(value, expected):
        yield f"Value at '{path}' must be a {kind}"
        return
    if kind == "structure" and isinstance(value, dict):
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"Value null at '{_below(path, name)}' failed to satisfy constraint: Member must not be null"
        for name, below in value.items():
            if name in shape.members and below is not None:
                yield from _faults(below, shape.members[name], _below(path, name))
    elif kind == "list" and isinstance(value, list):
        for index, item in enumerate(value, 1):
            yield from _faults(item, shape.member, f"{path}.{index}.member")
    elif kind == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(item, shape.value, f"{path}.{key}.member")
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if kind in ("string", "list", "blob") and isinstance(value, (str, list, bytes)):
        if least is not None and len(value) < least:
            yield fault(f"have length greater than or equal to {least}")
        if most is not None and len(value) > most:
            yield fault(f"have length less than or equal to {most}")
        if kind == "string" and (known := shape.metadata.get("enum")) and value not in known:
            yield fault(f"satisfy enum value set: [{', '.join(known)}]")
    elif kind in ("integer", "long") and isinstance(value, int):
        if least is not None and value < least:
            yield fault(f"have value greater than or equal to {least}")
        if most is not None and value > most:
            yield fault(f"have value less than or equal to {most}")


def _below(path: str, name: str) -> str:
    lower = name[:1].lower() + name[1:]
    return f"{path}.{lower}" if path else lower


def _timestamp(value: Any) -> datetime:
    return parse_timestamp(value).astimezone(UTC)


def result_response(call: Call, result: dict[str, Any] | None) -> Response:
    """The response to a call that an engine answered with `result` (shaped as the output shape)."""
    return _serialize(call.model, call.protocol, call.request_id, result or {})


def error_response(call: Call, error: AwsError) -> Response:
    """The response to a call that failed."""
    return _serialize(call.model, call.protocol, call.request_id, error)


def _serialize(model: OperationModel, protocol: str, request_id: str, result: Any) -> Response:
    serializer = get_serializer_class(model.service_model.service_name, protocol)
    serialized = serializer(model, context=SerializationContext(request_id)).serialize(result)
    status = serialized["status_code"]
    if isinstance(result, AwsError):
        status = result.status if result.status != 400 else status
    elif model.output_shape is not None:  # an answer may name its own status: 202 for an accepted event
        for name, shape in model.output_shape.members.items():
            if shape.serialization.get("location") == "statusCode":
                status = result.get(name, status)
    response = Response(serialized["body"], status=status, headers=dict(serialized["headers"]))
    return with_request_id(response, request_id)


def with_request_id(response: Response, request_id: str) -> Response:
    """Name the request in the response, under both spellings that services use."""
    response.headers["x-amzn-RequestId"] = request_id
    response.headers["x-amz-request-id"] = request_id
    return response


def unroutable_response(request: Request, error: AwsError) -> Response:
    """The response to a request of which not even the operation is known, in the likeliest protocol."""
    request_id = new_request_id()
    if "X-Amz-Target" in request.headers or "json" in (request.content_type or ""):
        body = json.dumps({"__type": error.code, "message": error.message})
        content_type = "application/x-amz-json-1.1"
    else:
        code, message = escape(error.code), escape(error.message)
        fault = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if (request.content_type or "").startswith("application/x-www-form-urlencoded"):
            fault = f"<ErrorResponse>{fault}<RequestId>{request_id}</RequestId></ErrorResponse>"
        body, content_type = fault, "application/xml"
    response = Response(body, status=error.status, content_type=content_type)
    response.headers["x-amzn-ErrorType"] = error.code
    return with_request_id(response, request_id)


def error_code(response: Response) -> str | None:
    """The error code in a response of any protocol, or its HTTP status where it has none (HEAD requests).

    None for a response that tells of no error.
    """
    if response.status_code < 400:
        return None
    if code := response.headers.get("x-amzn-ErrorType"):
        return code.split("#")[-1].split(":")[0]
    text = response.get_data(as_text=True)
    if found := re.search(r'<Code>([^<]+)</Code>|"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"', text):
        return found[1] or found[2]
    return str(response.status_code)


def new_request_id() -> str:
    return str(uuid.uuid4())
