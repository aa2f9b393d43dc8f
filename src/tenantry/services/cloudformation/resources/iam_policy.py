"""AWS::IAM::Policy: one inline policy, put on the roles that it names."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, document
from tenantry.services.cloudformation.resources.shape import JSON, STRING

_NAME_MAX = 128


class Policy(Base):
    """An inline policy of roles. Users and groups are no part of the platform, so only `Roles` is taken."""

    schema = Schema(
        type="AWS::IAM::Policy",
        shape={"PolicyName": STRING, "PolicyDocument": JSON, "Roles": [STRING]},
        required=("PolicyName", "PolicyDocument"),
        attributes=frozenset({"Id"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return scope.generated_name(_NAME_MAX)

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await _put(scope, properties)
        return Made(str(physical_id), {"Id": str(physical_id)})

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        await _put(scope, new)
        kept = {(new["PolicyName"], role) for role in new.get("Roles", [])}
        for role in old.get("Roles", []):
            if (old["PolicyName"], role) not in kept:
                await scope.call_unless_gone("iam", "DeleteRolePolicy", RoleName=role, PolicyName=old["PolicyName"])
        return Made(physical_id, {"Id": physical_id})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        for role in properties.get("Roles", []):
            await scope.call_unless_gone("iam", "DeleteRolePolicy", RoleName=role, PolicyName=properties["PolicyName"])


async def _put(scope: Scope, properties: Properties) -> None:
    text = document(properties["PolicyDocument"])
    for role in properties.get("Roles", []):
        await scope.call("iam", "PutRolePolicy", RoleName=role, PolicyName=properties["PolicyName"], PolicyDocument=text)
