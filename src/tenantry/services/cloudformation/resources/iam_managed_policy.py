"""AWS::IAM::ManagedPolicy. Its `Ref` is its ARN."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, document
from tenantry.services.cloudformation.resources.shape import JSON, STRING

_NAME_MAX = 128


class ManagedPolicy(Base):
    """A customer managed policy, attached to the roles that it names."""

    schema = Schema(
        type="AWS::IAM::ManagedPolicy",
        shape={
            "ManagedPolicyName": STRING,
            "Description": STRING,
            "Path": STRING,
            "PolicyDocument": JSON,
            "Roles": [STRING],
        },
        required=("PolicyDocument",),
        create_only=frozenset({"ManagedPolicyName", "Description", "Path"}),
        attributes=frozenset({"PolicyArn"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        name = properties.get("ManagedPolicyName") or scope.generated_name(_NAME_MAX)
        return f"arn:{scope.partition}:iam::{scope.ctx.account_id}:policy{properties.get('Path', '/')}{name}"

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        return await scope.call_unless_gone("iam", "GetPolicy", PolicyArn=physical_id) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        arn = str(physical_id)
        await scope.call(
            "iam",
            "CreatePolicy",
            PolicyName=arn.rsplit("/", 1)[1],
            Path=properties.get("Path"),
            Description=properties.get("Description"),
            PolicyDocument=document(properties["PolicyDocument"]),
        )
        await _attach(scope, arn, [], properties.get("Roles", []))
        return Made(arn, {"PolicyArn": arn})

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        if document(old["PolicyDocument"]) != document(new["PolicyDocument"]):
            # A policy has at most five versions: the ones that are not the default make room.
            for version in (await scope.call("iam", "ListPolicyVersions", PolicyArn=physical_id)).get("Versions", []):
                if not version.get("IsDefaultVersion"):
                    number = version["VersionId"]
                    await scope.call_unless_gone("iam", "DeletePolicyVersion", PolicyArn=physical_id, VersionId=number)
            text = document(new["PolicyDocument"])
            await scope.call("iam", "CreatePolicyVersion", PolicyArn=physical_id, PolicyDocument=text, SetAsDefault=True)
        await _attach(scope, physical_id, old.get("Roles", []), new.get("Roles", []))
        return Made(physical_id, {"PolicyArn": physical_id})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await _attach(scope, physical_id, properties.get("Roles", []), [])
        versions = await scope.call_unless_gone("iam", "ListPolicyVersions", PolicyArn=physical_id)
        for version in (versions or {}).get("Versions", []):
            if not version.get("IsDefaultVersion"):
                number = version["VersionId"]
                await scope.call_unless_gone("iam", "DeletePolicyVersion", PolicyArn=physical_id, VersionId=number)
        await scope.call_unless_gone("iam", "DeletePolicy", PolicyArn=physical_id)


async def _attach(scope: Scope, arn: str, old: list[str], new: list[str]) -> None:
    for role in new:
        if role not in old:
            await scope.call("iam", "AttachRolePolicy", RoleName=role, PolicyArn=arn)
    for role in old:
        if role not in new:
            await scope.call_unless_gone("iam", "DetachRolePolicy", RoleName=role, PolicyArn=arn)
