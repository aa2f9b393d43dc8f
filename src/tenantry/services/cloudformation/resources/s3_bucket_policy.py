"""AWS::S3::BucketPolicy. Its `Ref` is the bucket's name."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, document
from tenantry.services.cloudformation.resources.shape import JSON, STRING


class BucketPolicy(Base):
    """The policy of one bucket."""

    schema = Schema(
        type="AWS::S3::BucketPolicy",
        shape={"Bucket": STRING, "PolicyDocument": JSON},
        required=("Bucket", "PolicyDocument"),
        create_only=frozenset({"Bucket"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return str(properties["Bucket"])

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        return await scope.call_unless_gone("s3", "GetBucketPolicy", Bucket=physical_id) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await scope.call("s3", "PutBucketPolicy", Bucket=physical_id, Policy=document(properties["PolicyDocument"]))
        return Made(str(physical_id))

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        return await self.create(scope, physical_id, new)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await scope.call_unless_gone("s3", "DeleteBucketPolicy", Bucket=physical_id)
