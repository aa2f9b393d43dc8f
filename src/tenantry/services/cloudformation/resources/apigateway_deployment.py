"""AWS::ApiGateway::Deployment: a frozen copy of an API, with a stage of its own where `StageName` asks for one."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.apigateway_rest_api import seconds
from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.patches import replaced
from tenantry.services.cloudformation.resources.shape import STRING


class Deployment(Base):
    """A deployment. Only its description can change."""

    schema = Schema(
        type="AWS::ApiGateway::Deployment",
        shape={"RestApiId": STRING, "Description": STRING, "StageName": STRING},
        required=("RestApiId",),
        create_only=frozenset({"RestApiId", "StageName"}),
        attributes=frozenset({"DeploymentId"}),
    )

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        answer = await scope.call(
            "apigateway",
            "CreateDeployment",
            restApiId=properties["RestApiId"],
            description=properties.get("Description"),
            stageName=properties.get("StageName"),
        )
        scope.claim(answer["id"])
        return Made(answer["id"], {"DeploymentId": answer["id"]})

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        patches = [replaced("/description", new.get("Description", ""))]
        names = {"restApiId": new["RestApiId"], "deploymentId": physical_id}
        await scope.call("apigateway", "UpdateDeployment", **names, patchOperations=patches)
        return Made(physical_id, {"DeploymentId": physical_id})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        api = properties["RestApiId"]
        if "StageName" in properties:
            # The stage goes with the deployment that made it, unless a later deployment has taken it over.
            names = {"restApiId": api, "stageName": properties["StageName"]}
            stage = await scope.call_unless_gone("apigateway", "GetStage", **names)
            if stage is not None and stage.get("deploymentId") == physical_id:
                await scope.call_unless_gone("apigateway", "DeleteStage", **names)
        await scope.call_unless_gone("apigateway", "DeleteDeployment", restApiId=api, deploymentId=physical_id)

    async def find(self, scope: Scope, properties: Properties, since_s: float) -> list[str]:
        answer = await scope.call_unless_gone("apigateway", "GetDeployments", restApiId=properties["RestApiId"], limit=500)
        found = (answer or {}).get("items", [])
        return [item["id"] for item in found if seconds(item.get("createdDate")) >= int(since_s)]
