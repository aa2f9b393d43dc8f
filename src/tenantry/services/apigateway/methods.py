"""Operations on methods, their integrations and the responses of both.

What would not be enforced is refused by name: IAM and Cognito authorization, API keys, HTTP and VPC integrations, streaming.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from msgspec.structs import replace

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.base import Base
from tenantry.services.apigateway.expressions import (
    INTEGRATION_PARAMETER,
    REQUEST_PARAMETER,
    RESPONSE_HEADER,
    declared_sources,
    valid,
    valid_response,
)
from tenantry.services.apigateway.patch import boolean, entry, member, number, patch, refused, text
from tenantry.services.apigateway.records import (
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    Record,
    Resource,
    shape,
)
from tenantry.services.apigateway.store import Known
from tenantry.services.apigateway.targets import check_lambda_uri
from tenantry.services.apigateway.templates import check_template
from tenantry.services.operation import Context, operation

R = TypeVar("R", bound=Record)

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_PASSTHROUGH = ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")
_API_KEYS = "API keys and usage plans: apiKeyRequired would not be enforced"
_NO_HTTP = "integrations of type HTTP and HTTP_PROXY"
_STATUS = re.compile(r"[1-5]\d\d")

_METHOD_PATCHES = {
    "/authorizationType": text("authorizationType"),
    "/authorizerId": text("authorizerId"),
    "/apiKeyRequired": refused(_API_KEYS),
    "/operationName": text("operationName"),
    "/requestValidatorId": text("requestValidatorId"),
    "/requestParameters/{key}": entry("requestParameters", boolean),
    "/requestModels/{key}": entry("requestModels"),
}
_METHOD_RESPONSE_PATCHES = {
    "/responseParameters/{key}": entry("responseParameters", boolean),
    "/responseModels/{key}": entry("responseModels"),
}
_INTEGRATION_PATCHES = {
    "/uri": text("uri"),
    "/httpMethod": text("httpMethod"),
    "/credentials": text("credentials"),
    "/contentHandling": text("contentHandling"),
    "/passthroughBehavior": text("passthroughBehavior"),
    "/timeoutInMillis": number("timeoutInMillis"),
    "/cacheNamespace": text("cacheNamespace"),
    "/cacheKeyParameters/{key}": member("cacheKeyParameters"),
    "/requestParameters/{key}": entry("requestParameters"),
    "/requestTemplates/{key}": entry("requestTemplates"),
}
_INTEGRATION_RESPONSE_PATCHES = {
    "/selectionPattern": text("selectionPattern"),
    "/contentHandling": text("contentHandling"),
    "/responseParameters/{key}": entry("responseParameters"),
    "/responseTemplates/{key}": entry("responseTemplates"),
}


class Methods(Base):
    """PutMethod, PutIntegration and their kin."""

    @operation("PutMethod")
    async def put_method(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new method of a resource."""
        resource = self._resource(ctx, params)
        method = new_method(params)
        if method.http_method in resource.resource_methods:
            raise errors.METHOD_EXISTS()
        check_method(method, self._known(ctx, params))
        self._keep(ctx, params, resource, method)
        return shape(method)

    @operation("GetMethod")
    async def get_method(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A method with all that belongs to it."""
        return shape(self._method(ctx, params)[1])

    @operation("UpdateMethod")
    async def update_method(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change a method's own members."""
        resource, method = self._method(ctx, params)
        method = patch(method, params.get("patchOperations"), _METHOD_PATCHES)
        check_method(method, self._known(ctx, params))
        self._keep(ctx, params, resource, method)
        return shape(method)

    @operation("DeleteMethod")
    async def delete_method(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a method."""
        resource, method = self._method(ctx, params)
        rest = {name: item for name, item in resource.resource_methods.items() if name != method.http_method}
        key = f"{ctx.region}/{params['restApiId']}/{resource.id}"
        self._store.resources.put(key, replace(resource, resource_methods=rest))
        return {}

    @operation("PutMethodResponse")
    async def put_method_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Declare a status a method may answer with, and its headers."""
        resource, method = self._method(ctx, params)
        if params["statusCode"] in method.method_responses:
            raise errors.RESPONSE_EXISTS()
        response = MethodResponse(
            status_code=params["statusCode"],
            response_parameters=dict(params.get("responseParameters") or {}),
            response_models=dict(params.get("responseModels") or {}),
        )
        self._keep_method_response(ctx, params, resource, method, response)
        return shape(response)

    @operation("GetMethodResponse")
    async def get_method_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A declared response."""
        return shape(_response(self._method(ctx, params)[1].method_responses, params))

    @operation("UpdateMethodResponse")
    async def update_method_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change a declared response."""
        resource, method = self._method(ctx, params)
        response = _response(method.method_responses, params)
        response = patch(response, params.get("patchOperations"), _METHOD_RESPONSE_PATCHES)
        self._keep_method_response(ctx, params, resource, method, response)
        return shape(response)

    @operation("DeleteMethodResponse")
    async def delete_method_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a declared response."""
        resource, method = self._method(ctx, params)
        gone = _response(method.method_responses, params)
        rest = {code: item for code, item in method.method_responses.items() if code != gone.status_code}
        self._keep(ctx, params, resource, replace(method, method_responses=rest))
        return {}

    @operation("PutIntegration")
    async def put_integration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Say what stands behind a method; replaces what stood there."""
        resource, method = self._method(ctx, params)
        integration = new_integration(params, resource.id)
        check_integration(integration, method)
        self._keep(ctx, params, resource, replace(method, method_integration=integration))
        return shape(integration)

    @operation("GetIntegration")
    async def get_integration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """What stands behind a method."""
        return shape(self._integration(ctx, params)[2])

    @operation("UpdateIntegration")
    async def update_integration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change what stands behind a method."""
        resource, method, integration = self._integration(ctx, params)
        integration = patch(integration, params.get("patchOperations"), _INTEGRATION_PATCHES)
        check_integration(integration, method)
        self._keep(ctx, params, resource, replace(method, method_integration=integration))
        return shape(integration)

    @operation("DeleteIntegration")
    async def delete_integration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Leave a method without a backend; it cannot be deployed then."""
        resource, method, _ = self._integration(ctx, params)
        self._keep(ctx, params, resource, replace(method, method_integration=None))
        return {}

    @operation("PutIntegrationResponse")
    async def put_integration_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Say how a backend's answer becomes one of the method's responses; replaces what was said."""
        resource, method, integration = self._integration(ctx, params)
        response = new_integration_response(params)
        check_integration_response(response, method)
        self._keep_integration_response(ctx, params, resource, method, integration, response)
        return shape(response)

    @operation("GetIntegrationResponse")
    async def get_integration_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """How a backend's answer becomes one of the method's responses."""
        return shape(_response(self._integration(ctx, params)[2].integration_responses, params))

    @operation("UpdateIntegrationResponse")
    async def update_integration_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change it."""
        resource, method, integration = self._integration(ctx, params)
        response = _response(integration.integration_responses, params)
        response = patch(response, params.get("patchOperations"), _INTEGRATION_RESPONSE_PATCHES)
        check_integration_response(response, method)
        self._keep_integration_response(ctx, params, resource, method, integration, response)
        return shape(response)

    @operation("DeleteIntegrationResponse")
    async def delete_integration_response(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget it."""
        resource, method, integration = self._integration(ctx, params)
        gone = _response(integration.integration_responses, params)
        rest = {code: item for code, item in integration.integration_responses.items() if code != gone.status_code}
        integration = replace(integration, integration_responses=rest)
        self._keep(ctx, params, resource, replace(method, method_integration=integration))
        return {}

    def _known(self, ctx: Context, params: dict[str, Any]) -> Known:
        return self._store.known(f"{ctx.region}/{params['restApiId']}/")

    def _resource(self, ctx: Context, params: dict[str, Any]) -> Resource:
        return self._store.resource(ctx.region, params["restApiId"], params["resourceId"])

    def _method(self, ctx: Context, params: dict[str, Any]) -> tuple[Resource, Method]:
        resource = self._resource(ctx, params)
        method = resource.resource_methods.get(params["httpMethod"])
        if method is None:
            raise errors.NO_METHOD()
        return resource, method

    def _integration(self, ctx: Context, params: dict[str, Any]) -> tuple[Resource, Method, Integration]:
        resource, method = self._method(ctx, params)
        if method.method_integration is None:
            raise errors.NO_INTEGRATION()
        return resource, method, method.method_integration

    def _keep(self, ctx: Context, params: dict[str, Any], resource: Resource, method: Method) -> None:
        methods = {**resource.resource_methods, method.http_method: method}
        key = f"{ctx.region}/{params['restApiId']}/{resource.id}"
        self._store.resources.put(key, replace(resource, resource_methods=methods))

    def _keep_method_response(
        self, ctx: Context, params: dict[str, Any], resource: Resource, method: Method, response: MethodResponse
    ) -> None:
        check_method_response(response, self._known(ctx, params))
        responses = {**method.method_responses, response.status_code: response}
        self._keep(ctx, params, resource, replace(method, method_responses=responses))

    def _keep_integration_response(
        self,
        ctx: Context,
        params: dict[str, Any],
        resource: Resource,
        method: Method,
        integration: Integration,
        response: IntegrationResponse,
    ) -> None:
        responses = {**integration.integration_responses, response.status_code: response}
        integration = replace(integration, integration_responses=responses)
        self._keep(ctx, params, resource, replace(method, method_integration=integration))


def new_method(params: dict[str, Any]) -> Method:
    """A method from PutMethod's parameters."""
    if params["httpMethod"] not in (*METHODS, "ANY"):
        raise errors.BAD_METHOD()
    if params.get("apiKeyRequired"):
        raise errors.unsupported(_API_KEYS)
    return Method(
        http_method=params["httpMethod"],
        authorization_type=params["authorizationType"],
        authorizer_id=params.get("authorizerId"),
        request_validator_id=params.get("requestValidatorId"),
        operation_name=params.get("operationName"),
        request_parameters=dict(params.get("requestParameters") or {}),
        request_models=dict(params.get("requestModels") or {}),
    )


def check_method(method: Method, known: Known) -> None:
    """Refuse a method that refers to what its API does not have, or whose security would not be enforced."""
    if method.authorization_type == "CUSTOM":
        if method.authorizer_id not in known.authorizers:
            raise errors.UNKNOWN_AUTHORIZER()
    elif method.authorization_type != "NONE":
        raise errors.unsupported(f"authorizationType {method.authorization_type}: it would not be enforced")
    for name in method.request_parameters:
        if not REQUEST_PARAMETER.fullmatch(name):
            raise errors.BAD_EXPRESSION(expression=name)
    for name in method.request_models.values():
        if name not in known.models:
            raise errors.UNKNOWN_MODEL(name=name)
    if method.request_validator_id and method.request_validator_id not in known.validators:
        raise errors.UNKNOWN_VALIDATOR()


def check_method_response(response: MethodResponse, known: Known) -> None:
    """Refuse a declared response that does not fit."""
    if not _STATUS.fullmatch(response.status_code):
        raise errors.BAD_STATUS_CODE(value=response.status_code)
    for name in response.response_parameters:
        if not RESPONSE_HEADER.fullmatch(name):
            raise errors.BAD_EXPRESSION(expression=name)
    for name in response.response_models.values():
        if name not in known.models:
            raise errors.UNKNOWN_MODEL(name=name)


def new_integration(params: dict[str, Any], resource_id: str) -> Integration:
    """An integration from PutIntegration's parameters."""
    return Integration(
        type=params["type"],
        http_method=params.get("integrationHttpMethod"),
        uri=params.get("uri"),
        connection_type=params.get("connectionType"),
        credentials=params.get("credentials"),
        request_parameters=dict(params.get("requestParameters") or {}),
        request_templates=dict(params.get("requestTemplates") or {}),
        passthrough_behavior=params.get("passthroughBehavior") or "WHEN_NO_MATCH",
        content_handling=params.get("contentHandling"),
        timeout_in_millis=29_000 if params.get("timeoutInMillis") is None else params["timeoutInMillis"],
        cache_namespace=params.get("cacheNamespace") or resource_id,
        cache_key_parameters=tuple(params.get("cacheKeyParameters") or ()),
        response_transfer_mode=params.get("responseTransferMode"),
    )


def check_integration(integration: Integration, method: Method) -> None:
    """Refuse an integration that AWS would refuse, or that tenantry cannot carry out."""
    if integration.type in ("HTTP", "HTTP_PROXY"):
        raise errors.unsupported(_NO_HTTP)
    if integration.connection_type == "VPC_LINK":
        raise errors.unsupported("VPC links")
    if integration.response_transfer_mode == "STREAM":
        raise errors.unsupported("streamed integration responses")
    if integration.content_handling:
        raise errors.unsupported("contentHandling of integrations")
    if integration.type in ("AWS", "AWS_PROXY"):
        if not integration.http_method:
            raise errors.NO_HTTP_METHOD()
        check_lambda_uri(integration.uri or "", proxy=integration.type == "AWS_PROXY")
    if not 50 <= integration.timeout_in_millis <= 29_000:
        raise errors.BAD_TIMEOUT()
    if integration.passthrough_behavior not in _PASSTHROUGH:
        raise errors.BAD_PASSTHROUGH(value=integration.passthrough_behavior)
    for target, expression in integration.request_parameters.items():
        _check_mapping(target, expression, method)
    for template in integration.request_templates.values():
        check_template(template)


def _check_mapping(target: str, expression: str, method: Method) -> None:
    if not INTEGRATION_PARAMETER.fullmatch(target):
        raise errors.BAD_EXPRESSION(expression=target)
    if not valid(expression):
        raise errors.BAD_EXPRESSION(expression=expression)
    sources = declared_sources(expression)
    if sources and not any(source in method.request_parameters for source in sources):
        raise errors.UNDECLARED(expression=expression)


def new_integration_response(params: dict[str, Any]) -> IntegrationResponse:
    """An integration response from PutIntegrationResponse's parameters."""
    return IntegrationResponse(
        status_code=params["statusCode"],
        selection_pattern=params.get("selectionPattern") or None,
        response_parameters=dict(params.get("responseParameters") or {}),
        response_templates={kind: template or None for kind, template in (params.get("responseTemplates") or {}).items()},
        content_handling=params.get("contentHandling"),
    )


def check_integration_response(response: IntegrationResponse, method: Method) -> None:
    """Refuse an integration response that does not fit the method's declared responses."""
    declared = method.method_responses.get(response.status_code)
    if declared is None:
        raise errors.NO_STATUS_CODE()
    if response.content_handling:
        raise errors.unsupported("contentHandling of integration responses")
    if response.selection_pattern is not None:
        try:
            re.compile(response.selection_pattern)
        except re.error:
            raise errors.BAD_PATTERN(value=response.selection_pattern) from None
    for target, expression in response.response_parameters.items():
        if not RESPONSE_HEADER.fullmatch(target):
            raise errors.BAD_EXPRESSION(expression=target)
        if target not in declared.response_parameters:
            raise errors.UNDECLARED(expression=target)
        if not valid_response(expression):
            raise errors.BAD_EXPRESSION(expression=expression)
    for template in response.response_templates.values():
        check_template(template)


def _response(responses: dict[str, R], params: dict[str, Any]) -> R:
    response = responses.get(params["statusCode"])
    if response is None:
        raise errors.NO_STATUS_CODE()
    return response
