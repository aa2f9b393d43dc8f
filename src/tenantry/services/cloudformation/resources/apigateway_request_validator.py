"""AWS::ApiGateway::RequestValidator. Its `Ref` is its id."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.patches import scalars
from tenantry.services.cloudformation.resources.shape import BOOLEAN, STRING


class RequestValidator(Base):
    """What of a request is checked before the integration is called."""

    schema = Schema(
        type="AWS::ApiGateway::RequestValidator",
        shape={"RestApiId": STRING, "Name": STRING, "ValidateRequestBody": BOOLEAN, "ValidateRequestParameters": BOOLEAN},
        required=("RestApiId",),
        create_only=frozenset({"RestApiId", "Name"}),
        attributes=frozenset({"RequestValidatorId"}),
    )

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        answer = await scope.call(
            "apigateway",
            "CreateRequestValidator",
            restApiId=properties["RestApiId"],
            name=properties.get("Name", scope.logical_id),
            validateRequestBody=properties.get("ValidateRequestBody"),
            validateRequestParameters=properties.get("ValidateRequestParameters"),
        )
        scope.claim(answer["id"])
        return Made(answer["id"], {"RequestValidatorId": answer["id"]})

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        paths = {
            "ValidateRequestBody": ("/validateRequestBody", False),
            "ValidateRequestParameters": ("/validateRequestParameters", False),
        }
        names = {"restApiId": new["RestApiId"], "requestValidatorId": physical_id}
        await scope.call("apigateway", "UpdateRequestValidator", **names, patchOperations=scalars(old, new, paths))
        return Made(physical_id, {"RequestValidatorId": physical_id})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        names = {"restApiId": properties["RestApiId"], "requestValidatorId": physical_id}
        await scope.call_unless_gone("apigateway", "DeleteRequestValidator", **names)

    async def find(self, scope: Scope, properties: Properties, since_s: float) -> list[str]:
        api, name = properties["RestApiId"], properties.get("Name", scope.logical_id)
        answer = await scope.call_unless_gone("apigateway", "GetRequestValidators", restApiId=api, limit=500)
        return [item["id"] for item in (answer or {}).get("items", []) if item.get("name") == name]
