"""The proxy event (payload format 1.0) a function gets (aws-behaviour 4.3), put together from parts compiled per route.

What does not change from request to request is JSON text already; only what the client sent is encoded. Key order is AWS's.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

import orjson

from tenantry.services.apigateway.call import Call, request_time

_HEADERS = (
    b'"headers":{"X-Amzn-Trace-Id":%b,"X-Forwarded-For":%b,"X-Forwarded-Port":"443","X-Forwarded-Proto":"https"%b,'
    b'"multiValueHeaders":{"X-Amzn-Trace-Id":[%b],"X-Forwarded-For":[%b],"X-Forwarded-Port":["443"],'
    b'"X-Forwarded-Proto":["https"]%b,'
)
_IDENTITY = (
    b'"identity":{"cognitoIdentityPoolId":null,"accountId":null,"cognitoIdentityId":null,"caller":null,"sourceIp":%b,'
    b'"principalOrgId":null,"accessKey":null,"cognitoAuthenticationType":null,"cognitoAuthenticationProvider":null,'
    b'"userArn":null,"userAgent":%b,"user":null},'
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
    """The event of one route: one template with places for what each request brings (`%%` where it is itself made from one)."""

    __slots__ = ("_binary", "_event", "_inner", "_seconds")

    def __init__(
        self, facts: Mapping[str, str], stage_variables: Mapping[str, str], binary: tuple[str, ...], seconds: SecondClock
    ) -> None:
        text = {name: _dumps(value).replace(b"%", b"%%") for name, value in facts.items()}
        variables = _dumps(dict(stage_variables)).replace(b"%", b"%%") if stage_variables else b"null"
        operation = b',"operationName":' + text["operationName"] if "operationName" in text else b""
        self._binary = binary
        self._seconds = seconds
        self._inner = b"".join(
            (
                b'"resource":%b,"path":%%b,"httpMethod":%b,' % (text["resourcePath"], text["httpMethod"]),
                _HEADERS,
                b'"queryStringParameters":%b,"multiValueQueryStringParameters":%b,"pathParameters":%b,',
                b'"stageVariables":%b,"requestContext":{"resourceId":%b,' % (variables, text["resourceId"]),
                b'"resourcePath":%b%b,"httpMethod":%b,' % (text["resourcePath"], operation, text["httpMethod"]),
                b'"extendedRequestId":"%%b","requestTime":"%%b","path":"/%b%%b,' % text["stage"][1:-1],
                b'"accountId":%b,"protocol":"HTTP/1.1","stage":%b,' % (text["accountId"], text["stage"]),
                b'"domainPrefix":%b,"requestTimeEpoch":%%d,"requestId":"%%b",' % text["domainPrefix"],
                _IDENTITY,
                b'"domainName":%b,"deploymentId":%b,' % (text["domainName"], text["deploymentId"]),
                b'"apiId":%b%%b}' % text["apiId"],
            )
        )
        self._event = b"{" + self._inner + b',"body":%b,"isBase64Encoded":%b}'

    def render(self, call: Call) -> bytes:
        """The event as JSON bytes."""
        body, encoded = self._body(call) if call.body else (b"null", b"false")
        return self._event % (*self._values(call), body, encoded)

    def render_for_authorizer(self, call: Call, method_arn: str) -> bytes:
        """A REQUEST authorizer's event: the same without a body, and what it is asked about."""
        head = _dumps({"type": "REQUEST", "methodArn": method_arn})[:-1] + b","
        return head + self._inner % self._values(call) + b"}"

    def _values(self, call: Call) -> tuple[bytes | int, ...]:
        """The values for the template's places, in order. In both header maps what the gateway adds comes first."""
        path = _dumps(call.path)
        trace = _dumps(call.trace_id.partition(";")[0])
        forwarded = _dumps(call.forwarded)
        agent = call.single.get("User-Agent")
        queries = call.queries() if call.request.query else None
        return (
            path,
            trace,
            forwarded,
            _rest(_dumps(call.single)),
            trace,
            forwarded,
            _rest(_dumps(call.multi)),
            _dumps({name: values[-1] for name, values in queries.items()}) if queries else b"null",
            _dumps(queries) if queries else b"null",
            _dumps(call.path_parameters) if call.path_parameters else b"null",
            call.extended_id.encode(),
            self._seconds.text(call.now),
            path[1:],
            int(call.now * 1000),
            call.request_id.encode(),
            _dumps(call.request.peer),
            b"null" if agent is None else _dumps(agent),
            b"" if call.authorizer is None else b',"authorizer":' + _dumps(call.authorizer),
        )

    def _body(self, call: Call) -> tuple[bytes, bytes]:
        if self._binary and matches_binary(self._binary, call.header("content-type") or ""):
            return b'"' + b64encode(call.body) + b'"', b"true"
        return _dumps(call.body.decode("utf-8", "replace")), b"false"


def _rest(rendered: bytes) -> bytes:
    """The members of a rendered object, to follow others, with the closing brace."""
    return b"," + rendered[1:] if rendered != b"{}" else b"}"


def matches_binary(binary: tuple[str, ...], content_type: str) -> bool:
    """Whether a media type is one of an API's binary ones (`*/*` and `image/*` stand for many)."""
    media = content_type.partition(",")[0].partition(";")[0].strip().lower()
    return any(
        kind == "*/*" or kind.lower() == media or (kind.endswith("/*") and media.startswith(kind[:-1].lower()))
        for kind in binary
    )
