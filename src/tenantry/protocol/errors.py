"""A ServiceError as the bytes its caller's protocol expects.

What an error says beyond code and message comes from its shape in the service's model: which members it has, whether its
message is `message` or `Message`, whether it carries a `Type` (Lambda: `User` or `Service`), which members go to headers
(`Retry-After`). An error that the model does not know has its code and message only.

Sources: aws-behaviour 1.6 and 3.2 (Lambda's bodies), 5.4 and 7 (query), S3's error documents.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from tenantry.model.errors import ServiceError
from tenantry.model.http import Response
from tenantry.protocol import cbor
from tenantry.protocol.bindings import header_writer, places
from tenantry.protocol.dialect import Dialect
from tenantry.protocol.model import ServiceModel, Shape
from tenantry.protocol.trees import TreeCodec
from tenantry.protocol.xml import DECLARATION, XmlCodec, escape

ErrorWriter = Callable[[ServiceError, str, str, str], Response]
"""(error, request id, method, path) -> response."""

_BODILESS = ("HEAD",)
_RESERVED = ("__headers__", "__status__")
"""Members that are not the error's: further headers, as in a result (serialize.py)."""


def error_writer(service: ServiceModel, protocol: str, dialect: Dialect) -> ErrorWriter:
    """How errors of this service look in this protocol."""
    if service.name == "s3":
        return _s3_writer
    if protocol == "query":
        return _XmlErrors(service).write
    if protocol == "rest-xml":
        return _XmlErrors(service).write
    return _TreeErrors(service, protocol, dialect).write


def error_value(shape: Shape, error: ServiceError) -> dict[str, Any]:
    """The error's members as its shape names them."""
    value = {name: one for name, one in error.members.items() if name not in _RESERVED}
    for name in shape.traits.get("members", {}):
        if name.lower() == "message":
            value.setdefault(name, error.message)
        elif name == "Type":
            value.setdefault(name, "User" if error.sender else "Service")
    return value


def further_headers(error: ServiceError) -> list[tuple[str, str]]:
    """The headers that an operation asked for with its error, under `__headers__`."""
    further = error.members.get("__headers__") or {}
    return list(further.items() if isinstance(further, dict) else further)


def s3_headers(request_id: str) -> list[tuple[str, str]]:
    """The two ids of every S3 answer: 16 hexadecimal digits, and a long opaque one."""
    short = request_id.replace("-", "").upper()[:16]
    return [
        ("x-amz-request-id", short),
        ("x-amz-id-2", base64.b64encode(hashlib.sha384(request_id.encode()).digest()).decode("ascii")),
    ]


class _TreeErrors:
    """rest-json, JSON 1.x and rpc-v2-cbor."""

    def __init__(self, service: ServiceModel, protocol: str, dialect: Dialect) -> None:
        self._service = service
        self._rest = protocol == "rest-json"
        self._binary = protocol == "smithy-rpc-v2-cbor"
        self._codec = TreeCodec(binary=self._binary)
        self._message_member = dialect.message_member
        version = service.metadata.get("jsonVersion", "1.0")
        self._content_type = (
            "application/cbor" if self._binary else "application/json" if self._rest else f"application/x-amz-json-{version}"
        )

    def write(self, error: ServiceError, request_id: str, method: str, path: str) -> Response:
        shape = self._service.errors.get(error.code)
        headers = [("Content-Type", self._content_type), ("x-amzn-RequestId", request_id)]
        if self._rest:
            headers.append(("x-amzn-ErrorType", error.code))
        if self._binary:
            headers.append(("smithy-protocol", "rpc-v2-cbor"))
        tree: dict[str, Any] = {} if self._rest else {"__type": error.code}
        headers += further_headers(error)
        if shape is None:
            tree[self._message_member] = error.message
            tree.update((name, value) for name, value in error.members.items() if name not in _RESERVED)
        else:
            self._fill(shape, error, tree, headers)
        if method in _BODILESS:
            return Response(error.status, headers)
        return Response(error.status, headers, cbor.encode(tree) if self._binary else orjson.dumps(tree))

    def _fill(self, shape: Shape, error: ServiceError, tree: dict[str, Any], headers: list[tuple[str, str]]) -> None:
        value = error_value(shape, error)
        found = places(shape, answer=True)
        header_writer(found)(value, headers)
        if "Type" in found.body:
            tree["Type"] = value["Type"]  # AWS puts it first
        tree.update(self._codec.members_writer(found.body)(value))
        if not any(name.lower() == "message" for name in tree) and error.message:
            tree[self._message_member] = error.message


class _XmlErrors:
    """The query protocol's ErrorResponse; rest-xml services other than S3 use it too."""

    def __init__(self, service: ServiceModel) -> None:
        self._service = service
        self._codec = XmlCodec()
        namespace = service.metadata.get("xmlNamespace")
        self._namespace = f' xmlns="{escape(namespace)}"' if namespace else ""

    def write(self, error: ServiceError, request_id: str, method: str, path: str) -> Response:
        shape = self._service.errors.get(error.code)
        headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id), *further_headers(error)]
        code = (shape.get("error") or {}).get("code", shape.name) if shape is not None else error.code
        out = [f"<ErrorResponse{self._namespace}>\n  <Error>\n    <Type>{'Sender' if error.sender else 'Receiver'}</Type>"]
        out.append(f"\n    <Code>{escape(code)}</Code>")
        if error.message:
            out.append(f"\n    <Message>{escape(error.message)}</Message>")
        if shape is not None:
            found = places(shape, answer=True)
            members = {name: member for name, member in found.body.items() if name.lower() not in ("message", "type")}
            self._codec.members_writer(members)(error.members, out)
            header_writer(found)(error.members, headers)
        out.append(f"\n  </Error>\n  <RequestId>{escape(request_id)}</RequestId>\n</ErrorResponse>\n")
        return Response(error.status, headers, b"" if method in _BODILESS else "".join(out).encode(errors="replace"))


def _s3_writer(error: ServiceError, request_id: str, method: str, path: str) -> Response:
    # S3 says some of an error in headers (a delete marker, a bucket's region): the reserved member carries them, as in results.
    ids = s3_headers(request_id)
    headers = [*ids, *further_headers(error)]
    if method in _BODILESS or error.status == 304:
        return Response(error.status, headers)
    members = {name: str(value) for name, value in error.members.items() if name not in _RESERVED}
    parts = {"Code": error.code, "Message": error.message, **members}
    parts.setdefault("Resource", path)
    parts.update({"RequestId": ids[0][1], "HostId": ids[1][1]})
    content = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items())
    body = f"{DECLARATION}<Error>{content}</Error>".encode(errors="replace")
    return Response(error.status, [("Content-Type", "application/xml"), *headers], body)
