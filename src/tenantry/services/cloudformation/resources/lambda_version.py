"""AWS::Lambda::Version: publishes the function as it is. Its `Ref` is the version's ARN; every change publishes anew."""

from __future__ import annotations

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import STRING


class Version(Base):
    """A published version. Publishing unchanged code would give an older version, which belongs to somebody else."""

    schema = Schema(
        type="AWS::Lambda::Version",
        shape={"FunctionName": STRING, "Description": STRING, "CodeSha256": STRING},
        required=("FunctionName",),
        create_only=frozenset({"FunctionName", "Description", "CodeSha256"}),
        attributes=frozenset({"Version", "FunctionArn"}),
    )

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        name = properties["FunctionName"]
        before = await scope.call("lambda", "ListVersionsByFunction", FunctionName=name)
        answer = await scope.call(
            "lambda",
            "PublishVersion",
            FunctionName=name,
            Description=properties.get("Description"),
            CodeSha256=properties.get("CodeSha256"),
        )
        number, arn = answer["Version"], answer["FunctionArn"]
        if any(version["Version"] == number for version in before["Versions"]):
            raise ServiceError(
                "ResourceConflictException",
                f"A version for this Lambda function exists ( {number} ). Modify the function to create a new version.",
                status=409,
            )
        scope.claim(arn)
        return Made(arn, {"Version": number, "FunctionArn": arn})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        name, _, number = physical_id.rpartition(":")
        await scope.call_unless_gone("lambda", "DeleteFunction", FunctionName=name, Qualifier=number)
