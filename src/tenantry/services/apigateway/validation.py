"""Request validation (aws-behaviour 4.5): what a method requires of a request before its integration is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from tenantry.services.apigateway.call import Call
from tenantry.services.apigateway.records import Method, Model, RequestValidator

DEFAULT_TYPE = "application/json"
_PLACES = {"header": 0, "path": 1, "querystring": 2, "multivalueheader": 0, "multivaluequerystring": 2}


class Schema(Protocol):
    """A compiled JSON schema."""

    def accepts(self, value: Any) -> bool:
        """Whether a JSON value fits."""


class SchemaEngine(Protocol):
    """Compiles JSON schemas (draft 4)."""

    def compile(self, name: str, models: Mapping[str, str]) -> Schema:
        """The schema of the model `name`; references between `models` (schema texts by name) are resolved."""


class Validation:
    """The checks of one method."""

    __slots__ = ("_bodies", "_required")

    def __init__(self, required: list[tuple[int, str]], bodies: dict[str, Schema]) -> None:
        self._required = tuple((place, name, name.lower()) for place, name in required)
        self._bodies = bodies

    def missing(self, call: Call) -> str | None:
        """The names of required parameters that are missing, as AWS lists them, or None. An empty header counts as missing."""
        absent = []
        for place, name, key in self._required:
            if place == 0:
                found = bool(call.header(key))
            elif place == 1:
                found = name in call.path_parameters
            else:
                found = name in call.queries()
            if not found:
                absent.append(name)
        return ", ".join(absent) if absent else None

    def body_fits(self, call: Call) -> bool:
        """Whether the body fits the model of its content type. No body counts as `{}`; a type without a model fits."""
        if not self._bodies:
            return True
        media = (call.header("content-type") or DEFAULT_TYPE).partition(";")[0].strip().lower()
        schema = self._bodies.get(media)
        if schema is None:
            return True
        try:
            return schema.accepts(orjson.loads(call.body or b"{}"))
        except orjson.JSONDecodeError:
            return False


def needs_schemas(method: Method, validators: Mapping[str, RequestValidator]) -> bool:
    """Whether compiling a method's validation needs the schema engine."""
    validator = validators.get(method.request_validator_id or "")
    return validator is not None and validator.validate_request_body and bool(method.request_models)


def compile_validation(
    method: Method,
    validators: Mapping[str, RequestValidator],
    models: Mapping[str, Model],
    engine: SchemaEngine | None,
) -> Validation | None:
    """A method's checks, or None where there is nothing to check."""
    validator = validators.get(method.request_validator_id or "")
    if validator is None:
        return None
    required: list[tuple[int, str]] = []
    if validator.validate_request_parameters:
        for name, needed in method.request_parameters.items():
            place, _, rest = name.removeprefix("method.request.").partition(".")
            if needed:
                required.append((_PLACES[place], rest))
        required.sort()
    bodies: dict[str, Schema] = {}
    if engine is not None and needs_schemas(method, validators):
        texts = {name: model.schema for name, model in models.items() if model.schema}
        for media, name in method.request_models.items():
            if name in texts:
                bodies[media.lower()] = engine.compile(name, texts)
    return Validation(required, bodies) if required or bodies else None
