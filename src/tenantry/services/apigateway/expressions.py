"""Mapping expressions: where a value for an integration, a backend header or a client header comes from (aws-behaviour 4.4).

    method.request.{header|querystring|path|multivalueheader|multivaluequerystring}.name     method.request.body[.jsonpath]
    context.<path>      stageVariables.<name>      'literal'

`read` compiles one into a function of a `Source`, once per deployment. A source that is absent gives None: no header is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

REQUEST_PARAMETER = re.compile(r"method\.request\.(?:header|querystring|path|multivalueheader|multivaluequerystring)\.[!-~]+")
RESPONSE_HEADER = re.compile(r"method\.response\.(?:header|multivalueheader)\.[!-~]+")
INTEGRATION_PARAMETER = re.compile(r"integration\.request\.(header|querystring|path)\.([!-~]+)")
INTEGRATION_RESPONSE_SOURCE = re.compile(r"integration\.response\.(?:(?:header|multivalueheader)\.[!-~]+|body(?:\..+)?)")
_BODY = re.compile(r"method\.request\.body(?:\.(.+))?")
_CONTEXT = re.compile(r"context\.([A-Za-z][\w.:\-]*)")
_STAGE_VARIABLE = re.compile(r"stageVariables\.(\w+)")
_LITERAL = re.compile(r"'(.*)'", re.DOTALL)
_STEP = re.compile(r"""\.?([^.\[\]]+)|\[(\d+)\]|\['([^']+)'\]""")


class Source(Protocol):
    """A request as expressions read it. Header names are compared without case: HTTP/2 delivers them in lower case."""

    body: bytes
    path_parameters: Mapping[str, str]
    stage_variables: Mapping[str, str]

    def header(self, name: str) -> str | None:
        """The last value of a header; the name is in lower case."""

    def header_values(self, name: str) -> list[str]:
        """All values of a header; the name is in lower case."""

    def query_values(self, name: str) -> list[str]:
        """All decoded values of a query parameter."""

    def context(self, path: str) -> str | None:
        """A value of `$context`, as text."""


Read = Callable[[Source], str | None]


def declared_sources(expression: str) -> tuple[str, ...]:
    """The method request parameters of which one must be declared for an expression; empty where none needs to be."""
    if not REQUEST_PARAMETER.fullmatch(expression):
        return ()
    return expression, expression.replace(".multivalueheader.", ".header.").replace(".multivaluequerystring.", ".querystring.")


def valid(expression: str) -> bool:
    """Whether an expression may stand in a request mapping."""
    return any(pattern.fullmatch(expression) for pattern in (REQUEST_PARAMETER, _BODY, _CONTEXT, _STAGE_VARIABLE, _LITERAL))


def valid_response(expression: str) -> bool:
    """Whether an expression may stand in a response mapping."""
    return any(pattern.fullmatch(expression) for pattern in (INTEGRATION_RESPONSE_SOURCE, _CONTEXT, _STAGE_VARIABLE, _LITERAL))


def read(expression: str) -> Read:
    """The function that evaluates a valid expression."""
    literal = _LITERAL.fullmatch(expression)
    if literal is not None:
        text = literal[1]
        return lambda source: text
    if expression.startswith("stageVariables."):
        name = expression.partition(".")[2]
        return lambda source: source.stage_variables.get(name)
    if expression.startswith("context."):
        name = expression.partition(".")[2]
        return lambda source: source.context(name)
    body = _BODY.fullmatch(expression)
    if body is not None:
        path = body[1]
        return lambda source: body_value(source.body, path)
    place, _, name = expression.removeprefix("method.request.").partition(".")
    return _PLACES[place](name)


def _header(name: str) -> Read:
    key = name.lower()
    return lambda source: source.header(key)


def _headers(name: str) -> Read:
    key = name.lower()
    return lambda source: ",".join(source.header_values(key)) or None


def _query(name: str) -> Read:
    def last(source: Source) -> str | None:
        values = source.query_values(name)
        return values[-1] if values else None

    return last


def _queries(name: str) -> Read:
    return lambda source: ",".join(source.query_values(name)) or None


def _path(name: str) -> Read:
    return lambda source: source.path_parameters.get(name)


_PLACES: dict[str, Callable[[str], Read]] = {
    "header": _header,
    "multivalueheader": _headers,
    "querystring": _query,
    "multivaluequerystring": _queries,
    "path": _path,
}


def body_value(body: bytes, path: str | None) -> str | None:
    """A JSON body's value at a path (`a.b[0]`), as text; the whole body without a path; None where there is none."""
    if path is None:
        return body.decode("utf-8", "replace") or None
    try:
        return as_text(walk(orjson.loads(body), path))
    except orjson.JSONDecodeError:
        return None


def walk(value: Any, path: str) -> Any:
    """The value at a simple JSON path (`$.a.b[0]['c']`, with or without `$`), or None."""
    for step in _STEP.finditer(path.removeprefix("$")):
        name, index, quoted = step.groups()
        key = name if name is not None else quoted
        if key is not None:
            value = value.get(key) if isinstance(value, dict) else None
        else:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        if value is None:
            return None
    return value


def as_text(value: Any) -> str | None:
    """A JSON value as a header carries it."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
