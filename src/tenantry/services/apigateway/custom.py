"""Integrations with templates: MOCK (aws-behaviour 4.8), and AWS (a Lambda function behind request and response templates).

Compiled per method: the request templates by content type and the responses by selection pattern. A template with nothing to
evaluate is a constant; the others need the Velocity engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tenantry.model.http import Response
from tenantry.services.apigateway.call import Call
from tenantry.services.apigateway.expressions import Read, body_value, read
from tenantry.services.apigateway.records import Integration, IntegrationResponse
from tenantry.services.apigateway.templates import Engine, TemplateError, constant

JSON = "application/json"
_LENIENT_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})\b""")


class UnsupportedMediaTypeError(Exception):
    """No request template for the content type, and the payload may not pass: 415."""


class ConfigurationError(Exception):
    """The integration cannot answer as it is configured: 500."""


@dataclass(frozen=True, slots=True)
class _Template:
    """A template: its text when constant, else its source."""

    text: str | None
    source: str


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    pattern: re.Pattern[str] | None
    headers: tuple[tuple[str, str | None, Read | None], ...]
    templates: dict[str, _Template]


class Custom:
    """The compiled templates of one method's integration."""

    def __init__(self, integration: Integration, engine: Engine | None) -> None:
        self._engine = engine
        self._passthrough = integration.passthrough_behavior
        self._requests = {kind.lower(): _template(text) for kind, text in integration.request_templates.items()}
        self._answers = [_answer(item) for item in integration.integration_responses.values()]

    def request(self, call: Call, context: dict[str, Any]) -> str:
        """The payload for the backend. `context` is `$context`, which the template may change.

        Raises UnsupportedMediaTypeError, TemplateError.
        """
        media = (call.header("content-type") or JSON).partition(";")[0].strip().lower()
        template = self._requests.get(media)
        if template is not None:
            return self._render(template, call, call.body.decode("utf-8", "replace"), context)
        if self._passthrough == "NEVER" or (self._passthrough == "WHEN_NO_TEMPLATES" and self._requests):
            raise UnsupportedMediaTypeError(media)
        return call.body.decode("utf-8", "replace")

    def mock(self, call: Call, context: dict[str, Any]) -> Response:
        """A MOCK integration's answer. Raises UnsupportedMediaTypeError, ConfigurationError, TemplateError."""
        payload = self.request(call, context)
        status = _status_of(payload)
        if status is None:
            raise ConfigurationError("the mock's request template gives no statusCode")
        answer = self._by_pattern(status) or next((item for item in self._answers if str(item.status) == status), None)
        return self._response(answer or self._default(), call, payload if payload != "{}" else "", {}, context, mock=True)

    def answer(
        self, call: Call, payload: str, error: str | None, headers: Mapping[str, str], context: dict[str, Any]
    ) -> Response:
        """The client's answer to a backend's: `error` is the function's error message, None on success."""
        found = self._by_pattern(error) if error else None
        return self._response(found or self._default(), call, payload, headers, context, mock=False)

    def _by_pattern(self, text: str) -> _Answer | None:
        return next((item for item in self._answers if item.pattern is not None and item.pattern.fullmatch(text)), None)

    def _default(self) -> _Answer:
        for item in self._answers:
            if item.pattern is None:
                return item
        raise ConfigurationError("no integration response fits")

    def _response(
        self, answer: _Answer, call: Call, payload: str, headers: Mapping[str, str], context: dict[str, Any], *, mock: bool
    ) -> Response:
        content_type, template = _accepted(answer.templates, call)
        body = "" if mock else payload
        if template is not None:
            body = self._render(template, call, payload, context)
        out = [("Content-Type", content_type), ("x-amzn-RequestId", call.request_id), ("x-amz-apigw-id", call.extended_id)]
        for name, expression, reader in answer.headers:
            value = reader(call) if reader is not None else _backend_value(expression or "", payload, headers)
            if value is not None and "\n" not in value and "\r" not in value:
                out = [pair for pair in out if pair[0].lower() != name.lower()]
                out.append((name, value))
        override = context.get("responseOverride") or {}
        for name, value in (override.get("header") or {}).items():
            out = [pair for pair in out if pair[0].lower() != str(name).lower()]
            out.append((str(name), str(value)))
        return Response(_overridden(override.get("status"), answer.status), out, body.encode())

    def _render(self, template: _Template, call: Call, payload: str, context: dict[str, Any]) -> str:
        if template.text is not None:
            return template.text
        if self._engine is None:
            raise TemplateError("the template engine is not loaded")
        names = {
            "body": payload,
            "params": {
                "path": dict(call.path_parameters),
                "querystring": {name: values[-1] for name, values in call.queries().items()},
                "header": dict(call.request.headers),
            },
            "context": context,
            "stageVariables": dict(call.stage_variables),
        }
        return self._engine.render(template.source, names)


def needs_engine(integration: Integration) -> bool:
    """Whether an integration has a template that must be evaluated."""
    texts = [*integration.request_templates.values()]
    for response in integration.integration_responses.values():
        texts.extend(response.response_templates.values())
    return any(constant(text) is None for text in texts)


def _template(text: str | None) -> _Template:
    return _Template(constant(text), text or "")


def _answer(response: IntegrationResponse) -> _Answer:
    headers: list[tuple[str, str | None, Read | None]] = []
    for target, expression in response.response_parameters.items():
        name = target.removeprefix("method.response.").partition(".")[2]
        backend = expression.startswith("integration.response.")
        headers.append((name, expression, None) if backend else (name, None, read(expression)))
    return _Answer(
        status=int(response.status_code),
        pattern=re.compile(response.selection_pattern) if response.selection_pattern else None,
        headers=tuple(headers),
        templates={kind: _template(text) for kind, text in response.response_templates.items()},
    )


def _accepted(templates: Mapping[str, _Template], call: Call) -> tuple[str, _Template | None]:
    accept = (call.header("accept") or "").partition(",")[0].partition(";")[0].strip()
    for kind in (accept, JSON, *templates):
        if kind in templates:
            return kind, templates[kind]
    return JSON, None


def _status_of(payload: str) -> str | None:
    """The statusCode in a mock's payload; API Gateway reads it leniently (`{statusCode: 200}`)."""
    try:
        value = orjson.loads(payload)
        found = value.get("statusCode") if isinstance(value, dict) else None
        return None if found is None else str(found)
    except orjson.JSONDecodeError:
        match = _LENIENT_STATUS.search(payload)
        return match[1] if match is not None else None


def _backend_value(expression: str, payload: str, headers: Mapping[str, str]) -> str | None:
    place, _, rest = expression.removeprefix("integration.response.").partition(".")
    if place == "body":
        return body_value(payload.encode(), rest or None)
    return headers.get(rest.lower())


def _overridden(value: Any, status: int) -> int:
    text = str(value)
    return int(text) if value is not None and text.isdigit() and 200 <= int(text) <= 599 else status
