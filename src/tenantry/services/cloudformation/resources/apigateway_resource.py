"""AWS::ApiGateway::Resource: one part of a path below another resource."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import STRING


class Resource(Base):
    """A path part; everything about it is create-only."""

    schema = Schema(
        type="AWS::ApiGateway::Resource",
        shape={"RestApiId": STRING, "ParentId": STRING, "PathPart": STRING},
        required=("RestApiId", "ParentId", "PathPart"),
        create_only=frozenset({"RestApiId", "ParentId", "PathPart"}),
        attributes=frozenset({"ResourceId"}),
    )

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        answer = await scope.call(
            "apigateway",
            "CreateResource",
            restApiId=properties["RestApiId"],
            parentId=properties["ParentId"],
            pathPart=properties["PathPart"],
        )
        scope.claim(answer["id"])
        return Made(answer["id"], {"ResourceId": answer["id"]})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await scope.call_unless_gone("apigateway", "DeleteResource", restApiId=properties["RestApiId"], resourceId=physical_id)

    async def find(self, scope: Scope, properties: Properties, since_s: float) -> list[str]:
        answer = await scope.call_unless_gone("apigateway", "GetResources", restApiId=properties["RestApiId"], limit=500)
        return [
            item["id"]
            for item in (answer or {}).get("items", [])
            if item.get("parentId") == properties["ParentId"] and item.get("pathPart") == properties["PathPart"]
        ]
