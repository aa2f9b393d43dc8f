"""AWS::ApiGateway::Authorizer. Its `Ref` is its id."""

from __future__ import annotations

from typing import Any

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.patches import scalars
from tenantry.services.cloudformation.resources.shape import INTEGER, STRING

# CreateAuthorizer member -> property
_MEMBERS = {
    "name": "Name",
    "type": "Type",
    "authType": "AuthType",
    "authorizerUri": "AuthorizerUri",
    "authorizerCredentials": "AuthorizerCredentials",
    "identitySource": "IdentitySource",
    "identityValidationExpression": "IdentityValidationExpression",
    "authorizerResultTtlInSeconds": "AuthorizerResultTtlInSeconds",
}
_PATHS: dict[str, tuple[str, Any]] = {
    "Name": ("/name", ""),
    "AuthorizerUri": ("/authorizerUri", ""),
    "AuthorizerCredentials": ("/authorizerCredentials", ""),
    "IdentitySource": ("/identitySource", ""),
    "IdentityValidationExpression": ("/identityValidationExpression", ""),
    "AuthorizerResultTtlInSeconds": ("/authorizerResultTtlInSeconds", 300),
}


class Authorizer(Base):
    """Who decides whether a request may pass, and whose tenant it is."""

    schema = Schema(
        type="AWS::ApiGateway::Authorizer",
        shape={
            "RestApiId": STRING,
            "Name": STRING,
            "Type": STRING,
            "AuthType": STRING,
            "AuthorizerUri": STRING,
            "AuthorizerCredentials": STRING,
            "IdentitySource": STRING,
            "IdentityValidationExpression": STRING,
            "AuthorizerResultTtlInSeconds": INTEGER,
        },
        required=("RestApiId", "Name", "Type"),
        create_only=frozenset({"RestApiId", "Type", "AuthType"}),
        attributes=frozenset({"AuthorizerId"}),
    )

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        given = {member: properties[name] for member, name in _MEMBERS.items() if name in properties}
        answer = await scope.call("apigateway", "CreateAuthorizer", restApiId=properties["RestApiId"], **given)
        scope.claim(answer["id"])
        return Made(answer["id"], {"AuthorizerId": answer["id"]})

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        patches = scalars(old, new, _PATHS)
        if patches:
            names = {"restApiId": new["RestApiId"], "authorizerId": physical_id}
            await scope.call("apigateway", "UpdateAuthorizer", **names, patchOperations=patches)
        return Made(physical_id, {"AuthorizerId": physical_id})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        names = {"restApiId": properties["RestApiId"], "authorizerId": physical_id}
        await scope.call_unless_gone("apigateway", "DeleteAuthorizer", **names)

    async def find(self, scope: Scope, properties: Properties, since_s: float) -> list[str]:
        answer = await scope.call_unless_gone("apigateway", "GetAuthorizers", restApiId=properties["RestApiId"], limit=500)
        return [item["id"] for item in (answer or {}).get("items", []) if item.get("name") == properties["Name"]]
