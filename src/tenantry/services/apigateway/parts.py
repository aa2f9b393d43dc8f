"""Operations on the smaller parts of an API: models, request validators, gateway responses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
from msgspec.structs import replace

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.base import Base, page
from tenantry.services.apigateway.gateway import DEFAULTS, GATEWAY_PARAMETER, default_record
from tenantry.services.apigateway.patch import entry, flag, patch, text
from tenantry.services.apigateway.records import GatewayResponse, Method, Model, RequestValidator, shape
from tenantry.services.apigateway.store import CHILD_ID_LENGTH, new_id
from tenantry.services.operation import Context, operation

_MODEL_NAME = re.compile(r"[A-Za-z0-9]{1,255}")
_STATUS = re.compile(r"[2-5]\d\d")
_MODEL_PATCHES = {"/description": text("description"), "/schema": text("schema")}
_VALIDATOR_PATCHES = {
    "/name": text("name"),
    "/validateRequestBody": flag("validateRequestBody"),
    "/validateRequestParameters": flag("validateRequestParameters"),
}
_GATEWAY_PATCHES = {
    "/statusCode": text("statusCode"),
    "/responseParameters/{key}": entry("responseParameters"),
    "/responseTemplates/{key}": entry("responseTemplates"),
}


class Parts(Base):
    """CreateModel, CreateRequestValidator, PutGatewayResponse and their kin."""

    @operation("CreateModel")
    async def create_model(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new model."""
        api = self._store.api(ctx.region, params["restApiId"])
        model = Model(
            id=new_id(CHILD_ID_LENGTH),
            name=params["name"],
            content_type=params["contentType"],
            description=params.get("description"),
            schema=params.get("schema"),
        )
        key = f"{ctx.region}/{api.id}/{model.name}"
        if key in self._store.models:
            raise errors.MODEL_EXISTS()
        check_model(model, self._store.known(f"{ctx.region}/{api.id}/").models)
        self._store.models.put(key, model)
        return shape(model)

    @operation("GetModel")
    async def get_model(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A model."""
        return shape(self._model(ctx, params))

    @operation("GetModels")
    async def get_models(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """All models, by name."""
        api = self._store.api(ctx.region, params["restApiId"])
        return page(((model.name, model) for model in self._store.models.values(f"{ctx.region}/{api.id}/")), params)

    @operation("UpdateModel")
    async def update_model(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change a model."""
        model = patch(self._model(ctx, params), params.get("patchOperations"), _MODEL_PATCHES)
        prefix = f"{ctx.region}/{params['restApiId']}/"
        check_model(model, self._store.known(prefix).models)
        self._store.models.put(prefix + model.name, model)
        return shape(model)

    @operation("DeleteModel")
    async def delete_model(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a model that no method refers to."""
        model = self._model(ctx, params)
        where = self._used(ctx, params, lambda method: model.name in method.request_models.values())
        if where is not None:
            raise errors.MODEL_IN_USE(name=model.name, where=where)
        self._store.models.delete(f"{ctx.region}/{params['restApiId']}/{model.name}")
        return {}

    def _model(self, ctx: Context, params: dict[str, Any]) -> Model:
        api = self._store.api(ctx.region, params["restApiId"])
        model = self._store.models.get(f"{ctx.region}/{api.id}/{params['modelName']}")
        if model is None:
            raise errors.NO_MODEL(name=params["modelName"])
        return model

    @operation("CreateRequestValidator")
    async def create_request_validator(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new validator."""
        api = self._store.api(ctx.region, params["restApiId"])
        validator = RequestValidator(
            id=new_id(CHILD_ID_LENGTH),
            name=params.get("name"),
            validate_request_body=bool(params.get("validateRequestBody")),
            validate_request_parameters=bool(params.get("validateRequestParameters")),
        )
        self._store.validators.put(f"{ctx.region}/{api.id}/{validator.id}", validator)
        return shape(validator)

    @operation("GetRequestValidator")
    async def get_request_validator(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A validator."""
        return shape(self._validator(ctx, params))

    @operation("GetRequestValidators")
    async def get_request_validators(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """All validators, by id."""
        api = self._store.api(ctx.region, params["restApiId"])
        return page(((item.id, item) for item in self._store.validators.values(f"{ctx.region}/{api.id}/")), params)

    @operation("UpdateRequestValidator")
    async def update_request_validator(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change a validator."""
        validator = patch(self._validator(ctx, params), params.get("patchOperations"), _VALIDATOR_PATCHES)
        self._store.validators.put(f"{ctx.region}/{params['restApiId']}/{validator.id}", validator)
        return shape(validator)

    @operation("DeleteRequestValidator")
    async def delete_request_validator(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a validator that no method refers to."""
        validator = self._validator(ctx, params)
        where = self._used(ctx, params, lambda method: method.request_validator_id == validator.id)
        if where is not None:
            raise errors.VALIDATOR_IN_USE(name=validator.name, where=where)
        self._store.validators.delete(f"{ctx.region}/{params['restApiId']}/{validator.id}")
        return {}

    def _validator(self, ctx: Context, params: dict[str, Any]) -> RequestValidator:
        api = self._store.api(ctx.region, params["restApiId"])
        validator = self._store.validators.get(f"{ctx.region}/{api.id}/{params['requestValidatorId']}")
        if validator is None:
            raise errors.NO_VALIDATOR()
        return validator

    @operation("PutGatewayResponse")
    async def put_gateway_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Customise one kind of the gateway's own answers; replaces what was said."""
        api = self._store.api(ctx.region, params["restApiId"])
        kind = params["responseType"]
        response = GatewayResponse(
            response_type=kind,
            status_code=params.get("statusCode") or default_record(kind).status_code,
            response_parameters=dict(params.get("responseParameters") or {}),
            response_templates=dict(params.get("responseTemplates") or {}),
        )
        check_gateway_response(response)
        self._store.gateway_responses.put(f"{ctx.region}/{api.id}/{kind}", response)
        return _gateway_shape(response)

    @operation("GetGatewayResponse")
    async def get_gateway_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """One kind of answer, customised or built in."""
        api = self._store.api(ctx.region, params["restApiId"])
        kind = params["responseType"]
        return _gateway_shape(self._store.gateway_responses.get(f"{ctx.region}/{api.id}/{kind}") or default_record(kind))

    @operation("GetGatewayResponses")
    async def get_gateway_responses(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Every kind of answer, by name."""
        api = self._store.api(ctx.region, params["restApiId"])
        custom = {item.response_type: item for item in self._store.gateway_responses.values(f"{ctx.region}/{api.id}/")}
        rows = ((kind, custom.get(kind) or default_record(kind)) for kind in sorted(DEFAULTS))
        answer = page(rows, {"limit": len(DEFAULTS), **params})
        return {**answer, "items": [_with_flag(item) for item in answer["items"]]}

    @operation("UpdateGatewayResponse")
    async def update_gateway_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change one kind of answer."""
        api = self._store.api(ctx.region, params["restApiId"])
        key = f"{ctx.region}/{api.id}/{params['responseType']}"
        old = self._store.gateway_responses.get(key) or default_record(params["responseType"])
        response = replace(patch(old, params.get("patchOperations"), _GATEWAY_PATCHES), default_response=False)
        check_gateway_response(response)
        self._store.gateway_responses.put(key, response)
        return _gateway_shape(response)

    @operation("DeleteGatewayResponse")
    async def delete_gateway_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Return to the built-in answer."""
        api = self._store.api(ctx.region, params["restApiId"])
        key = f"{ctx.region}/{api.id}/{params['responseType']}"
        if key not in self._store.gateway_responses:
            raise errors.NO_GATEWAY_RESPONSE()
        self._store.gateway_responses.delete(key)
        return {}

    def _used(self, ctx: Context, params: dict[str, Any], uses: Callable[[Method], bool]) -> str | None:
        """`path/METHOD` of a method that uses something, or None."""
        for resource in self._store.resources.values(f"{ctx.region}/{params['restApiId']}/"):
            for method in resource.resource_methods.values():
                if uses(method):
                    return f"{resource.path}/{method.http_method}"
        return None


_REFERENCE = re.compile(r"https://apigateway\.amazonaws\.com/restapis/([a-z0-9]+)/models/([A-Za-z0-9]+)")


def check_model(model: Model, models: frozenset[str]) -> None:
    """Refuse a model whose schema is not a JSON object, or refers to a model the API does not have."""
    if not _MODEL_NAME.fullmatch(model.name):
        raise errors.BAD_MODEL_NAME(name=model.name)
    if model.schema is None:
        return
    try:
        schema = orjson.loads(model.schema)
    except orjson.JSONDecodeError:
        raise errors.BAD_SCHEMA() from None
    if not isinstance(schema, dict):
        raise errors.BAD_SCHEMA()
    for reference in references(schema):
        found = _REFERENCE.fullmatch(reference.partition("#")[0])
        if reference.startswith("#") or (found and found[2] == model.name):
            continue
        if found is None or found[2] not in models:
            raise errors.UNKNOWN_REF(ref=reference)


def references(schema: Any) -> list[str]:
    """Every `$ref` in a schema."""
    found: list[str] = []
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.append(value["$ref"])
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def check_gateway_response(response: GatewayResponse) -> None:
    """Refuse what a gateway response may not say."""
    if response.status_code is not None and not _STATUS.fullmatch(response.status_code):
        raise errors.BAD_STATUS_CODE(value=response.status_code)
    for name, expression in response.response_parameters.items():
        if not GATEWAY_PARAMETER.fullmatch(name):
            raise errors.BAD_GATEWAY_PARAMETER(name=name)
        if "\r" in expression or "\n" in expression:
            raise errors.BAD_EXPRESSION(expression=expression)


def _gateway_shape(response: GatewayResponse) -> dict[str, Any]:
    return _with_flag(shape(response))


def _with_flag(answer: dict[str, Any]) -> dict[str, Any]:
    """`defaultResponse` is part of the answer also when it is false, as are empty parameters (recorded)."""
    return {"responseParameters": {}, "responseTemplates": {}, **answer}
