"""A function's result as the client's response (aws-behaviour 4.7).

The result is a JSON object of `statusCode`, `headers`, `multiValueHeaders`, `body`, `isBase64Encoded` and nothing else; all may
be missing. Anything else is malformed: the client gets 502.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

import orjson

from tenantry.model.http import Response
from tenantry.services.apigateway.call import Call
from tenantry.services.apigateway.event import matches_binary

_KEYS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})
_REMAPPED = {
    name.lower(): f"x-amzn-Remapped-{name}"
    for name in (
        "Authorization",
        "Connection",
        "Content-Length",
        "Content-MD5",
        "Date",
        "Expect",
        "Host",
        "Max-Forwards",
        "Proxy-Authenticate",
        "Server",
        "TE",
        "Trailer",
        "Upgrade",
        "User-Agent",
        "WWW-Authenticate",
    )
}
_OURS = frozenset({"x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id", "transfer-encoding"})
_SPECIAL = _OURS | _REMAPPED.keys()
_JSON = ("Content-Type", "application/json")


class MalformedError(Exception):
    """A result that is no proxy response."""


def proxy_response(payload: bytes, call: Call, binary: tuple[str, ...]) -> Response:
    """The response a result asks for. Raises MalformedError."""
    try:
        result = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise MalformedError("the result is not JSON") from None
    if type(result) is not dict or not result.keys() <= _KEYS:
        raise MalformedError("the result is not an object of the five members a proxy response may have")
    headers = [("x-amzn-RequestId", call.request_id), ("x-amz-apigw-id", call.extended_id), ("X-Amzn-Trace-Id", call.trace_id)]
    if not _add_headers(headers, result.get("headers"), result.get("multiValueHeaders")):
        headers.append(_JSON)
    return Response(_status(result.get("statusCode")), headers, _body(result, call, binary))


def _status(value: Any) -> int:
    if value is None:
        return 200
    if type(value) is str and value.isascii() and value.isdigit():
        value = int(value)
    if type(value) is not int or not 200 <= value <= 599:
        raise MalformedError("statusCode is not a status of a final response")
    return value


def _body(result: dict[str, Any], call: Call, binary: tuple[str, ...]) -> bytes:
    body, encoded = result.get("body"), result.get("isBase64Encoded")
    if encoded is not None and type(encoded) is not bool:
        raise MalformedError("isBase64Encoded is not a boolean")
    if body is None:
        return b""
    if type(body) is not str:
        raise MalformedError("body is not a string")
    if encoded and binary and matches_binary(binary, call.header("accept") or ""):
        try:
            return b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise MalformedError("body is not base64") from None
    return body.encode()


def _add_headers(out: list[tuple[str, str]], single: Any, multi: Any) -> bool:
    """Append the result's headers; True when Content-Type is among them.

    Of a name in both maps, multiValueHeaders' values and casing come first; the other's follows unless it is there.
    """
    typed = False
    seen: dict[str, tuple[str, list[str]]] = {}
    if multi is not None:
        if type(multi) is not dict:
            raise MalformedError("multiValueHeaders is not an object")
        for name, values in multi.items():
            if type(values) is not list:
                raise MalformedError("a value of multiValueHeaders is not a list")
            texts = [_text(value) for value in values]
            seen[name.lower()] = name, texts
            typed |= _emit(out, name, texts)
    if single is not None:
        if type(single) is not dict:
            raise MalformedError("headers is not an object")
        for name, value in single.items():
            text = value if type(value) is str else _text(value)
            key = name.lower()
            if not seen and key not in _SPECIAL and text.isprintable():
                out.append((name, text))  # nearly every header there is
                typed |= key == "content-type"
                continue
            earlier = seen.get(key)
            if earlier is None:
                typed |= _emit(out, name, (text,))
            elif text not in earlier[1]:
                _emit(out, earlier[0], (text,))
    return typed


def _emit(out: list[tuple[str, str]], name: str, values: list[str] | tuple[str, ...]) -> bool:
    key = name.lower()
    if key in _OURS:
        return False
    name = _REMAPPED.get(key, name)
    for value in values:
        if "\n" in value or "\r" in value or "\0" in value:
            raise MalformedError("a header's value holds a line end")
        out.append((name, value))
    return key == "content-type" and bool(values)


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    raise MalformedError("a header's value is neither a string nor a boolean")
