"""An OpenAPI document (Swagger 2.0 or OpenAPI 3.0, with `x-amazon-apigateway-*`) as an API's parts: SAM's APIs are such.

Understood: paths and methods (with ANY), parameters, bodies, responses and their headers, integrations, validators, Lambda
authorizers, models, gateway responses, binary media types. Security that would not be enforced (IAM, API keys, Cognito,
resource policies) is refused by name. The result is checked by the same rules as single operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import orjson

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.authorizers import new_authorizer
from tenantry.services.apigateway.methods import new_integration, new_integration_response
from tenantry.services.apigateway.records import (
    Authorizer,
    GatewayResponse,
    Integration,
    Method,
    MethodResponse,
    Model,
    RequestValidator,
)
from tenantry.services.apigateway.store import CHILD_ID_LENGTH, new_id

_METHODS = {name: name.upper() for name in ("delete", "get", "head", "options", "patch", "post", "put")}
_METHODS["x-amazon-apigateway-any-method"] = "ANY"
_PLACES = {"header": "header", "query": "querystring", "path": "path"}
_JSON = "application/json"


@dataclass(slots=True)
class Document:
    """The parts a document describes. `methods` are by path; resources are made of the paths by whoever keeps them."""

    title: str | None = None
    description: str | None = None
    version: str | None = None
    binary_media_types: tuple[str, ...] | None = None
    minimum_compression_size: int | None = None
    methods: dict[str, dict[str, Method]] = field(default_factory=dict)
    models: list[Model] = field(default_factory=list)
    validators: list[RequestValidator] = field(default_factory=list)
    authorizers: list[Authorizer] = field(default_factory=list)
    gateway_responses: list[GatewayResponse] = field(default_factory=list)


def parse(body: bytes) -> dict[str, Any]:
    """The document in a JSON or YAML text. Raises BadRequestException."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _from_yaml(body)
    if not isinstance(document, dict) or not isinstance(document.get("paths", {}), dict):
        raise errors.BAD_BODY()
    if str(document.get("swagger", "")) != "2.0" and not str(document.get("openapi", "")).startswith("3.0"):
        raise errors.UNKNOWN_SPEC()
    return document


def _from_yaml(body: bytes) -> Any:
    yaml = import_module("yaml")  # not at the top: CloudFormation and SAM send JSON, and start-up is short of time
    try:
        text = body.decode()
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise errors.unsupported("aliases in YAML: they could multiply without end")
        return yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError):
        raise errors.BAD_BODY() from None


def read(document: dict[str, Any], api_id: str) -> Document:
    """A document's parts, for the API with this id. Raises BadRequestException for what does not fit or is not supported."""
    if document.get("x-amazon-apigateway-policy"):
        raise errors.unsupported("resource policies of APIs: they would not be enforced")
    try:
        return _Reader(document, api_id).read()
    except (AttributeError, KeyError, TypeError, ValueError):
        raise errors.BAD_BODY() from None  # a list where an object belongs, and the like


class _Reader:
    def __init__(self, document: dict[str, Any], api_id: str) -> None:
        self._document = document
        self._api_id = api_id
        self._components = document.get("components") or {}
        self._schemas = document.get("definitions") or self._components.get("schemas") or {}
        self._validators: dict[str, RequestValidator] = {}
        self._authorizers: dict[str, Authorizer] = {}
        self._schemes = document.get("securityDefinitions") or self._components.get("securitySchemes") or {}

    def read(self) -> Document:
        document, info = self._document, self._document.get("info") or {}
        binary = document.get("x-amazon-apigateway-binary-media-types")
        result = Document(
            title=info.get("title"),
            description=info.get("description"),
            version=None if info.get("version") is None else str(info["version"]),
            binary_media_types=tuple(map(str, binary)) if binary else None,
            minimum_compression_size=document.get("x-amazon-apigateway-minimum-compression-size"),
        )
        result.models = [self._model(name, schema) for name, schema in self._schemas.items()]
        for name, given in (document.get("x-amazon-apigateway-request-validators") or {}).items():
            self._validators[name] = RequestValidator(
                id=new_id(CHILD_ID_LENGTH),
                name=name,
                validate_request_body=bool(given.get("validateRequestBody")),
                validate_request_parameters=bool(given.get("validateRequestParameters")),
            )
        for path, item in (document.get("paths") or {}).items():
            shared = item.get("parameters") or []
            result.methods[path] = {
                _METHODS[name]: self._method(_METHODS[name], operation or {}, shared)
                for name, operation in item.items()
                if name in _METHODS
            }
        result.gateway_responses = list(self._gateway_responses())
        result.validators = list(self._validators.values())
        result.authorizers = list(self._authorizers.values())
        return result

    def _model(self, name: str, schema: Any) -> Model:
        text = orjson.dumps(self._with_urls(schema)).decode()
        return Model(id=new_id(CHILD_ID_LENGTH), name=name, description=None, schema=text)

    def _with_urls(self, schema: Any) -> Any:
        """References inside the document as references between the API's models."""
        if isinstance(schema, list):
            return [self._with_urls(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        changed = {str(key): self._with_urls(value) for key, value in schema.items()}
        name = _local(changed.get("$ref"))
        if name is not None:
            changed["$ref"] = f"https://apigateway.amazonaws.com/restapis/{self._api_id}/models/{name}"
        return changed

    def _method(self, name: str, operation: dict[str, Any], shared: list[Any]) -> Method:
        parameters = [self._resolved(item) for item in (*shared, *(operation.get("parameters") or []))]
        validator = operation.get("x-amazon-apigateway-request-validator") or self._document.get(
            "x-amazon-apigateway-request-validator"
        )
        if validator is not None and validator not in self._validators:
            raise errors.UNKNOWN_VALIDATOR()
        authorization, authorizer_id = self._security(operation)
        integration = self._integration(operation.get("x-amazon-apigateway-integration"))
        responses = dict(self._responses(operation))
        for code in integration.integration_responses if integration is not None else ():
            responses.setdefault(code, MethodResponse(status_code=code))  # documents often leave the plain ones undeclared
        return Method(
            http_method=name,
            authorization_type=authorization,
            authorizer_id=authorizer_id,
            request_validator_id=self._validators[validator].id if validator is not None else None,
            operation_name=operation.get("operationId"),
            request_parameters={
                f"method.request.{_PLACES[item['in']]}.{item['name']}": bool(item.get("required"))
                for item in parameters
                if item.get("in") in _PLACES
            },
            request_models=self._request_models(operation, parameters),
            method_responses=responses,
            method_integration=integration,
        )

    def _resolved(self, parameter: dict[str, Any]) -> dict[str, Any]:
        name = _local(parameter.get("$ref"))
        if name is None:
            return parameter
        found: dict[str, Any] = (self._document.get("parameters") or self._components.get("parameters") or {})[name]
        return found

    def _request_models(self, operation: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, str]:
        models: dict[str, str] = {}
        for item in parameters:
            name = _local((item.get("schema") or {}).get("$ref")) if item.get("in") == "body" else None
            if name is not None:
                for media in operation.get("consumes") or self._document.get("consumes") or [_JSON]:
                    models[media] = name
        for media, content in ((operation.get("requestBody") or {}).get("content") or {}).items():
            name = _local((content.get("schema") or {}).get("$ref"))
            if name is not None:
                models[media] = name
        return models

    def _responses(self, operation: dict[str, Any]) -> Iterator[tuple[str, MethodResponse]]:
        for code, response in (operation.get("responses") or {}).items():
            if str(code) == "default":
                continue
            response = response or {}
            name = _local((response.get("schema") or {}).get("$ref"))
            models = {_JSON: name} if name is not None else {}
            for media, content in (response.get("content") or {}).items():
                name = _local((content.get("schema") or {}).get("$ref"))
                if name is not None:
                    models[media] = name
            headers = {f"method.response.header.{header}": False for header in response.get("headers") or {}}
            yield str(code), MethodResponse(status_code=str(code), response_parameters=headers, response_models=models)

    def _integration(self, given: dict[str, Any] | None) -> Integration | None:
        if given is None:
            return None
        passthrough = given.get("passthroughBehavior")
        parameters = {
            **given,
            "type": given["type"].upper(),
            "integrationHttpMethod": given.get("httpMethod"),
            "passthroughBehavior": passthrough.upper() if passthrough else None,
        }
        answers = {}
        for pattern, response in (given.get("responses") or {}).items():
            response = {**response, "statusCode": str(response["statusCode"])}
            if pattern != "default":
                response["selectionPattern"] = str(pattern)
            answers[response["statusCode"]] = new_integration_response(response)
        made = new_integration(parameters, given.get("cacheNamespace") or new_id(CHILD_ID_LENGTH))
        return Integration(**{**_fields(made), "integration_responses": answers})

    def _security(self, operation: dict[str, Any]) -> tuple[str, str | None]:
        """(authorizationType, authorizerId) of an operation."""
        if operation.get("x-amazon-apigateway-auth"):
            kind = operation["x-amazon-apigateway-auth"].get("type", "NONE")
            if kind != "NONE":
                raise errors.unsupported(f"authorizationType {kind}: it would not be enforced")
        required = operation.get("security", self._document.get("security")) or []
        names = [name for requirement in required for name in requirement if name != "NONE"]
        if not names:
            return "NONE", None
        if len(names) > 1:
            raise errors.unsupported(f"more than one security scheme for a method ({', '.join(names)})")
        return "CUSTOM", self._authorizer(names[0]).id

    def _authorizer(self, name: str) -> Authorizer:
        found = self._authorizers.get(name)
        if found is not None:
            return found
        scheme = self._schemes.get(name) or {}
        given = scheme.get("x-amazon-apigateway-authorizer")
        if given is None:
            kind = scheme.get("x-amazon-apigateway-authtype") or "API key"
            raise errors.unsupported(f"the security scheme {name} ({kind}): it would not be enforced")
        source = given.get("identitySource")
        if source is None and given["type"].lower() == "token":
            source = f"method.request.header.{scheme['name']}"
        made = new_authorizer({**given, "name": name, "type": given["type"].upper(), "identitySource": source})
        self._authorizers[name] = made
        return made

    def _gateway_responses(self) -> Iterator[GatewayResponse]:
        for kind, given in (self._document.get("x-amazon-apigateway-gateway-responses") or {}).items():
            status = given.get("statusCode")
            yield GatewayResponse(
                response_type=kind,
                status_code=None if status is None else str(status),
                response_parameters=dict(given.get("responseParameters") or {}),
                response_templates=dict(given.get("responseTemplates") or {}),
            )


def _local(reference: Any) -> str | None:
    """The name a reference inside the document (`#/definitions/X`) leads to, or None."""
    return reference.rpartition("/")[2] if isinstance(reference, str) and reference.startswith("#/") else None


def _fields(record: Integration) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}
