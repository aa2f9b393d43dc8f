"""AWS::Lambda::LayerVersion: publishes a layer from an archive in S3. Its `Ref` is the layer version's ARN."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import STRING


class LayerVersion(Base):
    """One version of a layer; every change publishes another."""

    schema = Schema(
        type="AWS::Lambda::LayerVersion",
        shape={
            "LayerName": STRING,
            "Description": STRING,
            "Content": {"S3Bucket": STRING, "S3Key": STRING, "S3ObjectVersion": STRING},
            "CompatibleRuntimes": [STRING],
            "CompatibleArchitectures": [STRING],
            "LicenseInfo": STRING,
        },
        required=("Content",),
        create_only=frozenset(
            {"LayerName", "Description", "Content", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"}
        ),
        attributes=frozenset({"LayerVersionArn"}),
    )

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        given = {"LayerName": scope.logical_id, **properties}
        answer = await scope.call("lambda", "PublishLayerVersion", **given)
        arn = answer["LayerVersionArn"]
        scope.claim(arn)
        return Made(arn, {"LayerVersionArn": arn})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        layer, _, number = physical_id.rpartition(":")
        await scope.call_unless_gone("lambda", "DeleteLayerVersion", LayerName=layer, VersionNumber=int(number))
