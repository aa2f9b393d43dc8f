"""AWS::ApiGateway::GatewayResponse: what an API answers when it, not the integration, refuses."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import STRING, map_of


class GatewayResponse(Base):
    """One customised response type of an API; removing it brings the default back."""

    schema = Schema(
        type="AWS::ApiGateway::GatewayResponse",
        shape={
            "RestApiId": STRING,
            "ResponseType": STRING,
            "StatusCode": STRING,
            "ResponseParameters": map_of(STRING),
            "ResponseTemplates": map_of(STRING),
        },
        required=("RestApiId", "ResponseType"),
        create_only=frozenset({"RestApiId", "ResponseType"}),
        attributes=frozenset({"Id"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return f"{properties['RestApiId']}:{properties['ResponseType']}"

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await scope.call(
            "apigateway",
            "PutGatewayResponse",
            restApiId=properties["RestApiId"],
            responseType=properties["ResponseType"],
            statusCode=properties.get("StatusCode"),
            responseParameters=properties.get("ResponseParameters"),
            responseTemplates=properties.get("ResponseTemplates"),
        )
        return Made(str(physical_id), {"Id": str(physical_id)})

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        return await self.create(scope, physical_id, new)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        names = {"restApiId": properties["RestApiId"], "responseType": properties["ResponseType"]}
        await scope.call_unless_gone("apigateway", "DeleteGatewayResponse", **names)
