"""The gateway's own answers: errors that no integration made, built in or customised (aws-behaviour 4.6).

Lookup: the API's answer for the very type, else its DEFAULT_4XX or DEFAULT_5XX, else the table below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from tenantry.model.http import Response
from tenantry.services.apigateway.call import Call
from tenantry.services.apigateway.expressions import Read, read, valid
from tenantry.services.apigateway.records import GatewayResponse

GATEWAY_PARAMETER = re.compile(r"gatewayresponse\.header\.[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"\$\{?(context\.[A-Za-z][\w.]*\w|stageVariables\.\w+)\}?")
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of gateway response. `body` is the default, `%s` the message as JSON; AWS spaces them unevenly."""

    status: int | None
    error: str
    message: str | None
    body: str = '{"message":%s}'


_SPACED = '{"message": %s}'
_BROKEN = "Internal server error"
_SERVER = "InternalServerErrorException"

DEFAULTS: dict[str, Kind] = {
    "ACCESS_DENIED": Kind(403, "AccessDeniedException", "User is not authorized to access this resource", '{"Message":%s}'),
    "API_CONFIGURATION_ERROR": Kind(500, _SERVER, _BROKEN, _SPACED),
    "AUTHORIZER_CONFIGURATION_ERROR": Kind(500, "AuthorizerConfigurationException", None),
    "AUTHORIZER_FAILURE": Kind(500, "AuthorizerConfigurationException", None),
    "BAD_REQUEST_BODY": Kind(400, "BadRequestException", "Invalid request body", _SPACED),
    "BAD_REQUEST_PARAMETERS": Kind(400, "BadRequestException", "Bad Request", _SPACED),
    "DEFAULT_4XX": Kind(None, "BadRequestException", "Bad Request", _SPACED),
    "DEFAULT_5XX": Kind(None, _SERVER, _BROKEN, _SPACED),
    "EXPIRED_TOKEN": Kind(403, "ExpiredTokenException", "The security token included in the request is expired"),
    "INTEGRATION_FAILURE": Kind(504, _SERVER, _BROKEN, _SPACED),
    "INTEGRATION_TIMEOUT": Kind(504, _SERVER, "Endpoint request timed out", _SPACED),
    "INVALID_API_KEY": Kind(403, "ForbiddenException", "Forbidden"),
    "INVALID_SIGNATURE": Kind(403, "InvalidSignatureException", "The request signature does not match"),
    "MISSING_AUTHENTICATION_TOKEN": Kind(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "QUOTA_EXCEEDED": Kind(429, "LimitExceededException", "Limit Exceeded"),
    "REQUEST_TOO_LARGE": Kind(413, "RequestTooLargeException", "Request Too Long"),
    "RESOURCE_NOT_FOUND": Kind(404, "NotFoundException", "Not Found"),
    "THROTTLED": Kind(429, "TooManyRequestsException", "Too Many Requests"),
    "UNAUTHORIZED": Kind(401, "UnauthorizedException", "Unauthorized"),
    "UNSUPPORTED_MEDIA_TYPE": Kind(415, "BadRequestException", "Unsupported Media Type"),
    "WAF_FILTERED": Kind(403, "ForbiddenException", "Forbidden"),
}


def default_record(kind: str) -> GatewayResponse:
    """The built-in answer as the control plane shows it."""
    status = DEFAULTS[kind].status
    return GatewayResponse(
        response_type=kind,
        status_code=str(status) if status is not None else None,
        response_templates={_JSON: '{"message":$context.error.messageString}'},
        default_response=True,
    )


Render = Callable[[Call, str | None, str], str]
"""(call, message, type) -> a body."""


@dataclass(frozen=True, slots=True)
class _Custom:
    status: int | None
    headers: tuple[tuple[str, Read], ...]
    templates: dict[str, Render]


class Gateway:
    """The answers of one deployment."""

    def __init__(self, responses: Iterable[GatewayResponse] = ()) -> None:
        self._custom = {response.response_type: _compile(response) for response in responses}

    def answer(self, kind: str, call: Call, message: str | None = None, status: int | None = None) -> Response:
        """The response of a type; `message` and `status` stand in for the type's own."""
        row = DEFAULTS[kind]
        status = status or row.status or 500
        message = row.message if message is None else message
        headers = [
            ("Content-Type", _JSON),
            ("x-amzn-RequestId", call.request_id),
            ("x-amz-apigw-id", call.extended_id),
            ("x-amzn-ErrorType", row.error),
        ]
        custom = self._custom.get(kind) or self._custom.get("DEFAULT_4XX" if status < 500 else "DEFAULT_5XX")
        if custom is None:
            return Response(status, headers, (row.body % orjson.dumps(message).decode()).encode())
        content_type, render = _chosen(custom.templates, call)
        body = render(call, message, kind) if render else row.body % orjson.dumps(message).decode()
        own = {name.lower(): (name, value) for name, reader in custom.headers if (value := reader(call)) is not None}
        safe = [pair for pair in own.values() if "\n" not in pair[1] and "\r" not in pair[1]]
        headers[0] = ("Content-Type", content_type)
        headers = [pair for pair in headers if pair[0].lower() not in own]
        return Response(custom.status or status, headers + safe, body.encode())


def _compile(response: GatewayResponse) -> _Custom:
    return _Custom(
        status=int(response.status_code) if response.status_code else None,
        headers=tuple(
            (name.removeprefix("gatewayresponse.header."), read(expression))
            for name, expression in response.response_parameters.items()
            if valid(expression)
        ),
        templates={kind: _renderer(template) for kind, template in response.response_templates.items()},
    )


def _chosen(templates: dict[str, Render], call: Call) -> tuple[str, Render | None]:
    """The template for what the client accepts first, else JSON's, else the first."""
    accepted = (call.header("accept") or "").partition(",")[0].partition(";")[0].strip()
    for content_type in (accepted, _JSON, *templates):
        if content_type in templates:
            return content_type, templates[content_type]
    return _JSON, None


def _renderer(template: str) -> Render:
    """Gateway responses take `$context` and `$stageVariables` only: they are filled in without an engine."""

    def render(call: Call, message: str | None, kind: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name == "context.error.messageString":
                return orjson.dumps(message).decode()
            if name == "context.error.message":
                return message or ""
            if name == "context.error.responseType":
                return kind
            root, _, rest = name.partition(".")
            found = call.stage_variables.get(rest) if root == "stageVariables" else call.context(rest)
            return found or ""

        return _VARIABLE.sub(value, template)

    return render
