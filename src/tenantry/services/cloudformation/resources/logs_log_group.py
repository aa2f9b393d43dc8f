"""AWS::Logs::LogGroup. Its name is its `Ref`; a rename makes a new group."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, tag_changes
from tenantry.services.cloudformation.resources.shape import BOOLEAN, INTEGER, STRING, TAGS

_NAME_MAX = 512


class LogGroup(Base):
    """A log group with its retention and tags."""

    schema = Schema(
        type="AWS::Logs::LogGroup",
        shape={
            "LogGroupName": STRING,
            "RetentionInDays": INTEGER,
            "LogGroupClass": STRING,
            "KmsKeyId": STRING,
            "DeletionProtectionEnabled": BOOLEAN,
            "Tags": TAGS,
        },
        create_only=frozenset({"LogGroupName", "LogGroupClass", "KmsKeyId", "DeletionProtectionEnabled"}),
        attributes=frozenset({"Arn"}),
        tagged=True,
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return properties.get("LogGroupName") or scope.generated_name(_NAME_MAX)

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        answer = await scope.call("logs", "DescribeLogGroups", logGroupNamePrefix=physical_id, limit=1)
        return any(group["logGroupName"] == physical_id for group in answer.get("logGroups", []))

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await scope.call(
            "logs",
            "CreateLogGroup",
            logGroupName=physical_id,
            logGroupClass=properties.get("LogGroupClass"),
            kmsKeyId=properties.get("KmsKeyId"),
            deletionProtectionEnabled=properties.get("DeletionProtectionEnabled"),
            tags=scope.all_tags(properties.get("Tags")) or None,
        )
        await _retain(scope, str(physical_id), properties)
        return self._made(scope, str(physical_id))

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        if old.get("RetentionInDays") != new.get("RetentionInDays"):
            await _retain(scope, physical_id, new)
        made = self._made(scope, physical_id)
        arn = made.attributes["Arn"].removesuffix(":*")
        before = (await scope.call("logs", "ListTagsForResource", resourceArn=arn)).get("tags", {})
        put, drop = tag_changes(before, scope.all_tags(new.get("Tags")))
        if put:
            await scope.call("logs", "TagResource", resourceArn=arn, tags=put)
        if drop:
            await scope.call("logs", "UntagResource", resourceArn=arn, tagKeys=drop)
        return made

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await scope.call_unless_gone("logs", "DeleteLogGroup", logGroupName=physical_id)

    def _made(self, scope: Scope, name: str) -> Made:
        ctx = scope.ctx
        return Made(name, {"Arn": f"arn:{scope.partition}:logs:{ctx.region}:{ctx.account_id}:log-group:{name}:*"})


async def _retain(scope: Scope, name: str, properties: Properties) -> None:
    if "RetentionInDays" in properties:
        days = properties["RetentionInDays"]
        await scope.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=days)
    else:
        await scope.call("logs", "DeleteRetentionPolicy", logGroupName=name)
