"""The proxy event (payload format 1.0) a function gets (aws-behaviour 4.3), put together from parts compiled per route.

What does not change from request to request is JSON text already; only what the client sent is encoded. Key order is AWS's.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import orjson

from tenantry.services.apigateway.call import Call, request_time

DROPPED = frozenset(
    {
        "connection",
        "content-length",
        "content-md5",
        "expect",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "te",
        "transfer-encoding",
        "trailer",
        "upgrade",
        "www-authenticate",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-proto",
    }
)
"""Client headers that a function does not see, and those that the gateway writes anew."""

_TITLED = {"authorization": "Authorization", "user-agent": "User-Agent", "host": "Host"}
_IDENTITY = (
    b'","identity":{"cognitoIdentityPoolId":null,"accountId":null,"cognitoIdentityId":null,"caller":null,"sourceIp":',
    b',"principalOrgId":null,"accessKey":null,"cognitoAuthenticationType":null,"cognitoAuthenticationProvider":null,'
    b'"userArn":null,"userAgent":',
    b',"user":null},"domainName":',
)
_dumps = orjson.dumps


class SecondClock:
    """The request time as text, made once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def text(self, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = request_time(now).encode()
        return self._text


class EventTemplate:
    """The event of one route. `kind` and `method_arn` are set for a REQUEST authorizer's event, which begins with them."""

    __slots__ = ("_a", "_b", "_binary", "_c", "_d", "_e", "_seconds")

    def __init__(
        self, facts: Mapping[str, str], stage_variables: Mapping[str, str], binary: tuple[str, ...], seconds: SecondClock
    ) -> None:
        text = {name: _dumps(value) for name, value in facts.items()}
        if "operationName" in facts:
            text["operationName"] = b',"operationName":' + text["operationName"]
        self._binary = binary
        self._seconds = seconds
        self._a = b'"resource":' + text["resourcePath"] + b',"path":'
        self._b = b',"httpMethod":' + text["httpMethod"] + b',"headers":'
        self._c = (
            b',"stageVariables":' + (_dumps(dict(stage_variables)) if stage_variables else b"null")
            + b',"requestContext":{"resourceId":' + text["resourceId"]
            + b',"resourcePath":' + text["resourcePath"]
            + text.get("operationName", b"")
            + b',"httpMethod":' + text["httpMethod"] + b',"extendedRequestId":"'
        )  # fmt: skip
        self._d = (
            b',"accountId":' + text["accountId"] + b',"protocol":"HTTP/1.1","stage":' + text["stage"]
            + b',"domainPrefix":' + text["domainPrefix"] + b',"requestTimeEpoch":'
        )  # fmt: skip
        self._e = _IDENTITY[2] + text["domainName"] + b',"deploymentId":' + text["deploymentId"] + b',"apiId":' + text["apiId"]

    def render(self, call: Call, stage: str, start: bytes = b"{", *, with_body: bool = True) -> bytes:
        """The event as JSON bytes. `start` opens the object; `with_body` False leaves the body out (authorizers)."""
        request = call.request
        headers, multi = event_headers(call)
        queries = call.queries()
        parameters = call.path_parameters
        agent = headers.get("User-Agent")
        body, encoded = self._body(call) if with_body else (b"", False)
        parts = [
            start,
            self._a,
            _dumps(call.path),
            self._b,
            _dumps(headers),
            b',"multiValueHeaders":',
            _dumps(multi),
            b',"queryStringParameters":',
            _dumps({name: values[-1] for name, values in queries.items()}) if queries else b"null",
            b',"multiValueQueryStringParameters":',
            _dumps(queries) if queries else b"null",
            b',"pathParameters":',
            _dumps(parameters) if parameters else b"null",
            self._c,
            call.extended_id.encode(),
            b'","requestTime":"',
            self._seconds.text(call.now),
            b'","path":',
            _dumps(f"/{stage}{call.path}"),
            self._d,
            b"%d" % (call.now * 1000),
            b',"requestId":"',
            call.request_id.encode(),
            _IDENTITY[0],
            _dumps(request.peer),
            _IDENTITY[1],
            b"null" if agent is None else _dumps(agent),
            self._e,
        ]
        if call.authorizer is not None:
            parts += (b',"authorizer":', _dumps(call.authorizer))
        if with_body:
            parts += (b'},"body":', body, b',"isBase64Encoded":true}' if encoded else b',"isBase64Encoded":false}')
        else:
            parts.append(b"}}")
        return b"".join(parts)

    def _body(self, call: Call) -> tuple[bytes, bool]:
        raw = call.body
        if not raw:
            return b"null", False
        if self._binary and matches_binary(self._binary, call.header("content-type") or ""):
            return b'"' + b64encode(raw) + b'"', True
        return _dumps(raw.decode("utf-8", "replace")), False


def event_headers(call: Call) -> tuple[dict[str, str], dict[str, list[str]]]:
    """(headers, multiValueHeaders) with what the gateway adds; the client's case is kept, the last value wins."""
    single: dict[str, str] = {}
    multi: dict[str, list[str]] = {}
    forwarded = call.request.peer
    for name, value in call.request.headers:
        key = name.lower()
        if key in DROPPED:
            if key == "x-forwarded-for" and value:
                forwarded = f"{value}, {forwarded}"
            continue
        name = _TITLED.get(key, name)
        values = multi.get(name)
        if values is None:
            multi[name] = [value]
        else:
            values.append(value)
        single[name] = value
    root = call.trace_id.partition(";")[0]
    single["X-Amzn-Trace-Id"] = root
    single["X-Forwarded-For"] = forwarded
    single["X-Forwarded-Port"] = "443"
    single["X-Forwarded-Proto"] = "https"
    multi["X-Amzn-Trace-Id"] = [root]
    multi["X-Forwarded-For"] = [forwarded]
    multi["X-Forwarded-Port"] = ["443"]
    multi["X-Forwarded-Proto"] = ["https"]
    return single, multi


def matches_binary(binary: tuple[str, ...], content_type: str) -> bool:
    """Whether a media type is one of an API's binary ones (`*/*` and `image/*` stand for many)."""
    media = content_type.partition(",")[0].partition(";")[0].strip().lower()
    return any(
        kind == "*/*" or kind.lower() == media or (kind.endswith("/*") and media.startswith(kind[:-1].lower()))
        for kind in binary
    )


def request_event_start(kind: str, method_arn: str) -> bytes:
    """The beginning of a REQUEST authorizer's event."""
    head: dict[str, Any] = {"type": kind, "methodArn": method_arn}
    return _dumps(head)[:-1] + b","
