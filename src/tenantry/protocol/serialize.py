"""From an operation's result to a response: one compiled serialiser per (operation, wire protocol).

A result is the output shape as a dictionary (blobs as bytes, timestamps as epoch seconds or datetime, None left out). Two
reserved keys let a handler say what no output shape can:

    "__status__": 206                         the HTTP status, instead of the operation's
    "__headers__": {"x-amz-meta-a": "b"}      further headers (a dictionary, or a list of pairs)

A streaming blob may be bytes or an async iterator of bytes; an event stream is an async iterator of one-key dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from tenantry.model.http import Response
from tenantry.protocol import cbor, eventstream
from tenantry.protocol.bindings import Places, header_writer, places
from tenantry.protocol.errors import s3_headers
from tenantry.protocol.model import Operation, ServiceModel, Shape
from tenantry.protocol.trees import TreeCodec
from tenantry.protocol.xml import DECLARATION, XmlCodec, escape

Serializer = Callable[[dict[str, Any], str], Response]
"""(result, request id) -> response."""

BodyWriter = Callable[[dict[str, Any]], Any]

S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
S3_ROOTS = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CopyObject": "CopyObjectResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
    "UploadPartCopy": "CopyPartResult",
}
"""S3's own names of its answers' root elements, which the model does not have. SDKs do not look at them; people do."""


class Serializers:
    """Compiles the serialisers of one service."""

    def __init__(self, service: ServiceModel) -> None:
        self._service = service
        self._s3 = service.name == "s3"
        self._json = TreeCodec(binary=False)
        self._cbor = TreeCodec(binary=True)
        self._xml = XmlCodec(milliseconds=self._s3)

    def compile(self, operation: Operation, protocol: str) -> Serializer:
        """The serialiser of an operation."""
        if protocol == "query":
            return self._query(operation)
        if protocol in ("json", "smithy-rpc-v2-cbor"):
            return self._rpc(operation, binary=protocol == "smithy-rpc-v2-cbor")
        return self._rest(operation, protocol)

    def _query(self, operation: Operation) -> Serializer:
        shape = operation.output()
        namespace = self._service.metadata.get("xmlNamespace")
        name, wrapper = operation.name, operation.result_wrapper
        opening = f"<{name}Response" + (f' xmlns="{escape(namespace)}">' if namespace else ">")
        if wrapper:
            opening += f"<{wrapper}>"
        middle = (f"</{wrapper}>" if wrapper else "") + "<ResponseMetadata><RequestId>"
        closing = f"</RequestId></ResponseMetadata></{name}Response>"
        write = self._xml.members_writer(shape.members()) if shape is not None else None

        def serialize(result: dict[str, Any], request_id: str) -> Response:
            out = [opening]
            if write is not None:
                write(result, out)
            out += (middle, escape(request_id), closing)
            headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
            return _finish(result, 200, headers, "".join(out).encode(errors="replace"))

        return serialize

    def _rpc(self, operation: Operation, *, binary: bool) -> Serializer:
        shape = operation.output()
        version = self._service.metadata.get("jsonVersion", "1.0")
        content_type = "application/cbor" if binary else f"application/x-amz-json-{version}"
        fixed = [("smithy-protocol", "rpc-v2-cbor")] if binary else []
        encode: Callable[[Any], bytes] = cbor.encode if binary else orjson.dumps
        codec = self._cbor if binary else self._json
        if shape is not None and shape.event_stream() is not None:
            return self._rpc_events(shape, codec, encode, content_type)
        write = codec.members_writer(shape.members()) if shape is not None else None

        def serialize(result: dict[str, Any], request_id: str) -> Response:
            headers = [("x-amzn-RequestId", request_id), *fixed]
            if write is None:
                if not binary:
                    headers.append(("Content-Type", content_type))
                return _finish(result, 200, headers, b"")
            headers.append(("Content-Type", content_type))
            return _finish(result, 200, headers, encode(write(result)))

        return serialize

    def _rpc_events(self, shape: Shape, codec: TreeCodec, encode: Callable[[Any], bytes], content_type: str) -> Serializer:
        found = shape.event_stream()
        assert found is not None
        name, union = found
        first = codec.members_writer({key: member for key, member in shape.members().items() if key != name})
        events = eventstream.EventWriter(union, lambda event: _encoded(codec.writer(event), encode), content_type)

        def serialize(result: dict[str, Any], request_id: str) -> Response:
            headers = [("Content-Type", eventstream.CONTENT_TYPE), ("x-amzn-RequestId", request_id)]
            return _finish(result, 200, headers, events.stream(result[name], encode(first(result))))

        return serialize

    def _rest(self, operation: Operation, protocol: str) -> Serializer:
        shape = operation.output()
        ids = s3_headers if self._s3 else _request_id
        status = operation.response_code
        if shape is None:
            return lambda result, request_id: _finish(result, status, ids(request_id), b"")
        members = places(shape, answer=True)
        if shape.event_stream() is not None:
            # The body is a stream of events, whatever type the operation says that its content has (InvokeWithResponseStream).
            of_content = [name for name, member in members.header.items() if member.get("locationName") == "Content-Type"]
            for name in of_content:
                del members.header[name]
        write_headers = header_writer(members)
        status_member = next(iter(members.status_code), None)
        body, content_type = self._rest_body(operation, shape, members, protocol)
        own_type = any(member.get("locationName", "").lower() == "content-type" for member in members.header.values())
        if operation.method == "HEAD":
            body, content_type = _nothing, ""

        def serialize(result: dict[str, Any], request_id: str) -> Response:
            headers = ids(request_id)
            write_headers(result, headers)
            content = body(result)
            if content_type and content != b"" and not (own_type and any(key.lower() == "content-type" for key, _ in headers)):
                headers.append(("Content-Type", content_type))
            code = result.get(status_member, status) if status_member else status
            return _finish(result, code, headers, content)

        return serialize

    def _rest_body(self, operation: Operation, shape: Shape, members: Places, protocol: str) -> tuple[BodyWriter, str]:
        """(the writer of the body, its content type)."""
        xml = protocol == "rest-xml"
        structured = "application/xml" if xml else "application/json"
        if self._s3 and operation.name == "GetBucketLocation":
            return _bucket_location, structured
        payload = shape.payload()
        if payload is not None:
            name, member = payload
            if member.is_event_stream:
                return self._event_body(name, member, xml=xml), eventstream.CONTENT_TYPE
            if member.type in ("blob", "string"):
                return _raw_body(name), "binary/octet-stream" if xml else structured
            if xml:
                return self._xml_payload(operation, name, member), structured
            write = self._json.writer(member)
            return (lambda result: orjson.dumps(write(result[name])) if result.get(name) is not None else b""), structured
        if not members.body:
            return _nothing, ""
        if xml:
            return self._xml_body(operation, shape, members.body), structured
        write_body = self._json.members_writer(members.body)
        return (lambda result: orjson.dumps(write_body(result))), structured

    def _event_body(self, name: str, union: Shape, *, xml: bool) -> BodyWriter:
        if xml:
            events = eventstream.EventWriter(union, self._xml_event, "text/xml")
        else:
            events = eventstream.EventWriter(
                union, lambda event: _encoded(self._json.writer(event), orjson.dumps), "application/json"
            )
        return lambda result: events.stream(result[name])

    def _xml_event(self, shape: Shape) -> Callable[[Any], bytes]:
        write = self._xml.writer(shape, shape.name)

        def encode(value: Any) -> bytes:
            out: list[str] = []
            write(value, out)
            return "".join(out).encode(errors="replace")

        return encode

    def _root(self, operation: Operation, shape: Shape) -> str:
        given = S3_ROOTS.get(operation.name) if self._s3 else None
        return given or str(shape.get("locationName") or shape.get("rootName") or shape.name)

    def _xml_payload(self, operation: Operation, name: str, shape: Shape) -> BodyWriter:
        write = self._xml.writer(self._in_namespace(shape), self._root(operation, shape))

        def body(result: dict[str, Any]) -> bytes:
            value = result.get(name)
            if value is None:
                return b""
            out = [DECLARATION]
            write(value, out)
            return "".join(out).encode(errors="replace")

        return body

    def _xml_body(self, operation: Operation, shape: Shape, members: dict[str, Shape]) -> BodyWriter:
        root = self._root(operation, shape)
        namespace = self._in_namespace(shape).get("xmlNamespace")
        uri = namespace.get("uri") if isinstance(namespace, dict) else namespace
        opening = f"{DECLARATION}<{root}" + (f' xmlns="{escape(uri)}"' if uri else "")
        closing = f"</{root}>"
        attributes = self._xml.attributes_writer(members)
        write = self._xml.members_writer(members)

        def body(result: dict[str, Any]) -> bytes:
            out = [opening, attributes(result), ">"]
            write(result, out)
            out.append(closing)
            return "".join(out).encode(errors="replace")

        return body

    def _in_namespace(self, shape: Shape) -> Shape:
        if not self._s3 or shape.get("xmlNamespace"):
            return shape
        return Shape(self._service, shape.name, {**shape.traits, "xmlNamespace": S3_NAMESPACE})


def _encoded(write: Callable[[Any], Any], encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda value: encode(write(value))


def _request_id(request_id: str) -> list[tuple[str, str]]:
    return [("x-amzn-RequestId", request_id)]


def _nothing(result: dict[str, Any]) -> bytes:
    return b""


def _raw_body(name: str) -> BodyWriter:
    def body(result: dict[str, Any]) -> Any:
        value = result.get(name)
        if value is None:
            return b""
        return value.encode() if isinstance(value, str) else value

    return body


def _bucket_location(result: dict[str, Any]) -> bytes:
    """The one S3 answer whose root is the value; us-east-1 is said by saying nothing."""
    where = escape(result.get("LocationConstraint") or "")
    return f'{DECLARATION}<LocationConstraint xmlns="{S3_NAMESPACE}">{where}</LocationConstraint>'.encode()


def _finish(result: dict[str, Any], status: int, headers: list[tuple[str, str]], body: Any) -> Response:
    further = result.get("__headers__")
    if further:
        headers.extend(further.items() if isinstance(further, dict) else further)
    return Response(result.get("__status__", status), headers, body)
