"""AWS::ApiGateway::Method with its integration and responses.

An update puts the method anew: what stages serve is a frozen copy (aws-behaviour 4.1), so no request sees the gap.
"""

from __future__ import annotations

from typing import Any

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import BOOLEAN, INTEGER, STRING, map_of

_INTEGRATION_MEMBERS = {
    "type": "Type",
    "integrationHttpMethod": "IntegrationHttpMethod",
    "uri": "Uri",
    "connectionType": "ConnectionType",
    "connectionId": "ConnectionId",
    "credentials": "Credentials",
    "requestParameters": "RequestParameters",
    "requestTemplates": "RequestTemplates",
    "passthroughBehavior": "PassthroughBehavior",
    "cacheNamespace": "CacheNamespace",
    "cacheKeyParameters": "CacheKeyParameters",
    "contentHandling": "ContentHandling",
    "timeoutInMillis": "TimeoutInMillis",
}
_METHOD_MEMBERS = {
    "authorizationType": "AuthorizationType",
    "authorizerId": "AuthorizerId",
    "apiKeyRequired": "ApiKeyRequired",
    "operationName": "OperationName",
    "requestParameters": "RequestParameters",
    "requestModels": "RequestModels",
    "requestValidatorId": "RequestValidatorId",
    "authorizationScopes": "AuthorizationScopes",
}
_INTEGRATION_RESPONSE = {
    "StatusCode": STRING,
    "SelectionPattern": STRING,
    "ResponseParameters": map_of(STRING),
    "ResponseTemplates": map_of(STRING),
    "ContentHandling": STRING,
}
_METHOD_RESPONSE = {"StatusCode": STRING, "ResponseParameters": map_of(BOOLEAN), "ResponseModels": map_of(STRING)}


class Method(Base):
    """A method of a resource of an API."""

    schema = Schema(
        type="AWS::ApiGateway::Method",
        shape={
            "RestApiId": STRING,
            "ResourceId": STRING,
            "HttpMethod": STRING,
            "AuthorizationType": STRING,
            "AuthorizerId": STRING,
            "AuthorizationScopes": [STRING],
            "ApiKeyRequired": BOOLEAN,
            "OperationName": STRING,
            "RequestParameters": map_of(BOOLEAN),
            "RequestModels": map_of(STRING),
            "RequestValidatorId": STRING,
            "MethodResponses": [_METHOD_RESPONSE],
            "Integration": {
                "Type": STRING,
                "IntegrationHttpMethod": STRING,
                "Uri": STRING,
                "ConnectionType": STRING,
                "ConnectionId": STRING,
                "Credentials": STRING,
                "RequestParameters": map_of(STRING),
                "RequestTemplates": map_of(STRING),
                "PassthroughBehavior": STRING,
                "CacheNamespace": STRING,
                "CacheKeyParameters": [STRING],
                "ContentHandling": STRING,
                "TimeoutInMillis": INTEGER,
                "IntegrationResponses": [_INTEGRATION_RESPONSE],
            },
        },
        required=("RestApiId", "ResourceId", "HttpMethod"),
        create_only=frozenset({"RestApiId", "ResourceId", "HttpMethod"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return "|".join(properties[name] for name in ("RestApiId", "ResourceId", "HttpMethod"))

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        return await scope.call_unless_gone("apigateway", "GetMethod", **_place(properties)) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        place = _place(properties)
        given = {"AuthorizationType": "NONE", **properties}
        await scope.call("apigateway", "PutMethod", **place, **_renamed(given, _METHOD_MEMBERS))
        for response in properties.get("MethodResponses", []):
            await scope.call(
                "apigateway",
                "PutMethodResponse",
                **place,
                statusCode=response.get("StatusCode"),
                responseParameters=response.get("ResponseParameters"),
                responseModels=response.get("ResponseModels"),
            )
        integration = properties.get("Integration")
        if integration:
            await scope.call("apigateway", "PutIntegration", **place, **_renamed(integration, _INTEGRATION_MEMBERS))
            for response in integration.get("IntegrationResponses", []):
                await scope.call(
                    "apigateway",
                    "PutIntegrationResponse",
                    **place,
                    statusCode=response.get("StatusCode"),
                    selectionPattern=response.get("SelectionPattern"),
                    responseParameters=response.get("ResponseParameters"),
                    responseTemplates=response.get("ResponseTemplates"),
                    contentHandling=response.get("ContentHandling"),
                )
        return Made(str(physical_id))

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        await self.delete(scope, physical_id, new)
        return await self.create(scope, physical_id, new)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await scope.call_unless_gone("apigateway", "DeleteMethod", **_place(properties))


def _place(properties: Properties) -> dict[str, str]:
    return {
        "restApiId": properties["RestApiId"],
        "resourceId": properties["ResourceId"],
        "httpMethod": properties["HttpMethod"],
    }


def _renamed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {member: values[name] for member, name in names.items() if name in values}
