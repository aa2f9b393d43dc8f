"""From a request to an operation's parameters: one compiled parser per (operation, wire protocol).

A parser is `parse(request, labels) -> params`, where `labels` are the path's variable parts as the router found them. It raises
`Malformed` for anything the model does not allow to be read; constraints (lengths, patterns, required) are validate.py's.
Timestamps come as epoch seconds, blobs as bytes. Members that were not sent are absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from tenantry.model.http import Request
from tenantry.protocol import cbor
from tenantry.protocol.bindings import Fill, input_reader, places
from tenantry.protocol.model import Operation, Shape
from tenantry.protocol.query import QueryCodec, fold, read_form
from tenantry.protocol.scalars import Malformed, MalformedParameter
from tenantry.protocol.trees import TreeCodec
from tenantry.protocol.xml import XmlCodec, parse_document

Parser = Callable[[Request, Sequence[str]], dict[str, Any]]
BodyFill = Callable[[bytes, dict[str, Any]], None]


class Parsers:
    """Compiles the parsers of one service; the operations share the closures of the shapes they share."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._json = TreeCodec(binary=False)
        self._cbor = TreeCodec(binary=True)
        self._xml = XmlCodec()
        self._query = QueryCodec()

    def compile(self, operation: Operation, protocol: str) -> Parser:
        """The parser of an operation."""
        shape = operation.input()
        if shape is None:
            return lambda request, labels: {}
        if protocol == "query":
            return _guarded(self._query_parser(shape))
        if protocol in ("json", "smithy-rpc-v2-cbor"):
            read = self._cbor_tree(shape) if protocol == "smithy-rpc-v2-cbor" else self._json_tree(shape)
            return _guarded(_body_parser(read))
        return _guarded(self._rest_parser(operation, shape, protocol))

    def _query_parser(self, shape: Shape) -> Parser:
        read = self._query.reader(shape)

        def parse(request: Request, labels: Sequence[str]) -> dict[str, Any]:
            # The front end of AWS takes parameters from both places; the body's win.
            fields = read_form(request.query) if request.query else {}
            if request.body:
                fields.update(read_form(request.body.decode("utf-8", "replace")))
            fields.pop("Action", None)
            fields.pop("Version", None)
            return dict(read(fold(fields)))

        return parse

    def _json_tree(self, shape: Shape) -> BodyFill:
        return _json_object(self._json.members_reader(shape.members()))

    def _cbor_tree(self, shape: Shape) -> BodyFill:
        fill = self._cbor.members_reader(shape.members())

        def read(body: bytes, into: dict[str, Any]) -> None:
            tree = cbor.decode(body) if body else {}
            if type(tree) is not dict:
                raise Malformed("Unexpected field type")
            fill(tree, into)

        return read

    def _rest_parser(self, operation: Operation, shape: Shape, protocol: str) -> Parser:
        members = places(shape)
        fill_http = input_reader(members, operation.request_uri, lower_prefixed=self._service == "s3")
        payload = shape.payload()
        fill_body: BodyFill | None = None
        if payload is not None:
            fill_body = self._payload(*payload, protocol)
        elif members.body and protocol == "rest-json":
            fill_body = _json_object(self._json.members_reader(members.body))
        elif members.body:
            fill_body = _xml_root(self._xml.members_reader(members.body))
        return _rest_parser(fill_http, fill_body)

    def _payload(self, name: str, shape: Shape, protocol: str) -> BodyFill:
        if shape.type == "blob" or shape.is_event_stream:
            return lambda body, into: into.__setitem__(name, body) if body else None
        if shape.type == "string":
            return lambda body, into: into.__setitem__(name, _text(body)) if body else None
        if protocol == "rest-json":
            read = self._json.reader(shape)
            return lambda body, into: into.__setitem__(name, read(_json(body))) if body else None
        read_element = self._xml.reader(shape)
        return lambda body, into: into.__setitem__(name, read_element(parse_document(body))) if body else None


def _body_parser(read: BodyFill) -> Parser:
    def parse(request: Request, labels: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        read(request.body, found)
        return found

    return parse


def _rest_parser(fill_http: Fill, fill_body: BodyFill | None) -> Parser:
    def parse(request: Request, labels: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            fill_http(request, labels, found)
        except Malformed as error:
            raise MalformedParameter(error.reason) from None
        if fill_body is not None:
            fill_body(request.body, found)
        return found

    return parse


def _guarded(parse: Parser) -> Parser:
    def guarded(request: Request, labels: Sequence[str]) -> dict[str, Any]:
        try:
            return parse(request, labels)
        except RecursionError:
            # A recursive shape lets a client nest as deep as it likes; Python's stack ends first.
            raise Malformed("The request is nested too deeply") from None

    return guarded


def _json_object(fill: Callable[[dict[str, Any], dict[str, Any]], None]) -> BodyFill:
    def read(body: bytes, into: dict[str, Any]) -> None:
        if not body:
            return
        tree = _json(body)
        if type(tree) is not dict:
            raise Malformed("Unexpected field type")
        fill(tree, into)

    return read


def _xml_root(fill: Callable[[Any, dict[str, Any]], None]) -> BodyFill:
    def read(body: bytes, into: dict[str, Any]) -> None:
        if body:
            fill(parse_document(body), into)

    return read


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed("Could not parse request body into json: the body is not valid JSON") from None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8") from None
