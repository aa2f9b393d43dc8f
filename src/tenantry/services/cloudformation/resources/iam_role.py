"""AWS::IAM::Role with its inline and attached policies."""

from __future__ import annotations

from typing import Any

from tenantry.services.cloudformation.resources.contract import (
    Base,
    Made,
    Properties,
    Schema,
    Scope,
    document,
    tag_changes,
    tag_list,
)
from tenantry.services.cloudformation.resources.shape import INTEGER, JSON, STRING, TAGS

_NAME_MAX = 64


class Role(Base):
    """A role. Deleting it detaches and removes its policies first, as IAM demands."""

    schema = Schema(
        type="AWS::IAM::Role",
        shape={
            "AssumeRolePolicyDocument": JSON,
            "RoleName": STRING,
            "Path": STRING,
            "Description": STRING,
            "MaxSessionDuration": INTEGER,
            "PermissionsBoundary": STRING,
            "ManagedPolicyArns": [STRING],
            "Policies": [{"PolicyName": STRING, "PolicyDocument": JSON}],
            "Tags": TAGS,
        },
        required=("AssumeRolePolicyDocument",),
        create_only=frozenset({"RoleName", "Path"}),
        attributes=frozenset({"Arn", "RoleId"}),
        tagged=True,
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return properties.get("RoleName") or scope.generated_name(_NAME_MAX)

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        return await scope.call_unless_gone("iam", "GetRole", RoleName=physical_id) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        answer = await scope.call(
            "iam",
            "CreateRole",
            RoleName=physical_id,
            AssumeRolePolicyDocument=document(properties["AssumeRolePolicyDocument"]),
            Path=properties.get("Path"),
            Description=properties.get("Description"),
            MaxSessionDuration=properties.get("MaxSessionDuration"),
            PermissionsBoundary=properties.get("PermissionsBoundary"),
            Tags=tag_list(scope.all_tags(properties.get("Tags"))),
        )
        await _attach(scope, str(physical_id), {}, properties)
        return _made(answer["Role"])

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        if old.get("AssumeRolePolicyDocument") != new["AssumeRolePolicyDocument"]:
            text = document(new["AssumeRolePolicyDocument"])
            await scope.call("iam", "UpdateAssumeRolePolicy", RoleName=physical_id, PolicyDocument=text)
        if any(old.get(name) != new.get(name) for name in ("Description", "MaxSessionDuration")):
            description, duration = new.get("Description", ""), new.get("MaxSessionDuration", 3600)
            await scope.call("iam", "UpdateRole", RoleName=physical_id, Description=description, MaxSessionDuration=duration)
        if old.get("PermissionsBoundary") != new.get("PermissionsBoundary"):
            if "PermissionsBoundary" in new:
                boundary = new["PermissionsBoundary"]
                await scope.call("iam", "PutRolePermissionsBoundary", RoleName=physical_id, PermissionsBoundary=boundary)
            else:
                await scope.call_unless_gone("iam", "DeleteRolePermissionsBoundary", RoleName=physical_id)
        await _attach(scope, physical_id, old, new)
        role = (await scope.call("iam", "GetRole", RoleName=physical_id))["Role"]
        before = {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])}
        put, drop = tag_changes(before, scope.all_tags(new.get("Tags")))
        if put:
            await scope.call("iam", "TagRole", RoleName=physical_id, Tags=tag_list(put))
        if drop:
            await scope.call("iam", "UntagRole", RoleName=physical_id, TagKeys=drop)
        return _made(role)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        attached = await scope.call_unless_gone("iam", "ListAttachedRolePolicies", RoleName=physical_id)
        if attached is None:
            return
        # Only what this resource brought is taken away; a policy that somebody else attached keeps the role, as on AWS.
        for arn in properties.get("ManagedPolicyArns", []):
            await scope.call_unless_gone("iam", "DetachRolePolicy", RoleName=physical_id, PolicyArn=arn)
        for policy in properties.get("Policies", []):
            await scope.call_unless_gone("iam", "DeleteRolePolicy", RoleName=physical_id, PolicyName=policy["PolicyName"])
        await scope.call_unless_gone("iam", "DeleteRole", RoleName=physical_id)


async def _attach(scope: Scope, name: str, old: Properties, new: Properties) -> None:
    before, after = old.get("ManagedPolicyArns", []), new.get("ManagedPolicyArns", [])
    for arn in after:
        if arn not in before:
            await scope.call("iam", "AttachRolePolicy", RoleName=name, PolicyArn=arn)
    for arn in before:
        if arn not in after:
            await scope.call_unless_gone("iam", "DetachRolePolicy", RoleName=name, PolicyArn=arn)
    inline_before, inline_after = _inline(old), _inline(new)
    for policy, text in inline_after.items():
        if inline_before.get(policy) != text:
            await scope.call("iam", "PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=text)
    for policy in inline_before:
        if policy not in inline_after:
            await scope.call_unless_gone("iam", "DeleteRolePolicy", RoleName=name, PolicyName=policy)


def _inline(properties: Properties) -> dict[str, str]:
    return {policy["PolicyName"]: document(policy["PolicyDocument"]) for policy in properties.get("Policies", [])}


def _made(role: dict[str, Any]) -> Made:
    return Made(role["RoleName"], {"Arn": role["Arn"], "RoleId": role["RoleId"]})
