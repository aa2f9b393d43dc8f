"""AWS::ApiGateway::Model. Its `Ref` is its name."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, document
from tenantry.services.cloudformation.resources.patches import replaced
from tenantry.services.cloudformation.resources.shape import JSON, STRING

_NAME_MAX = 128


class Model(Base):
    """A JSON schema of an API."""

    schema = Schema(
        type="AWS::ApiGateway::Model",
        shape={"RestApiId": STRING, "Name": STRING, "ContentType": STRING, "Description": STRING, "Schema": JSON},
        required=("RestApiId",),
        create_only=frozenset({"RestApiId", "Name", "ContentType"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        # A model's name is alphanumeric.
        return properties.get("Name") or scope.generated_name(_NAME_MAX).replace("-", "")

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        names = {"restApiId": properties["RestApiId"], "modelName": physical_id}
        return await scope.call_unless_gone("apigateway", "GetModel", **names) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await scope.call(
            "apigateway",
            "CreateModel",
            restApiId=properties["RestApiId"],
            name=physical_id,
            contentType=properties.get("ContentType", "application/json"),
            description=properties.get("Description"),
            schema=document(properties.get("Schema", {})),
        )
        return Made(str(physical_id))

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        patches = [replaced("/schema", document(new.get("Schema", {}))), replaced("/description", new.get("Description", ""))]
        names = {"restApiId": new["RestApiId"], "modelName": physical_id}
        await scope.call("apigateway", "UpdateModel", **names, patchOperations=patches)
        return Made(physical_id)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        names = {"restApiId": properties["RestApiId"], "modelName": physical_id}
        await scope.call_unless_gone("apigateway", "DeleteModel", **names)
