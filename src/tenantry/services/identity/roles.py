"""IAM roles: made, read, changed, deleted, with their inline and attached policies and tags.

Source: IAM API reference; quotas from the IAM user guide, "IAM and AWS STS quotas".
"""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.model.clock import Clock
from tenantry.services.identity import errors
from tenantry.services.identity.directory import Directory, Role, escaped, new_id, paged, read_tags, tag_list
from tenantry.services.identity.policy import check_permissions, check_trust, compact_size
from tenantry.services.operation import Context, operation

ROLES_MAX = 1000
TRUST_CHARACTERS_MAX = 2048
INLINE_CHARACTERS_MAX = 10_240
ATTACHED_MAX = 10
_SESSION_RANGE_S = (3600, 43_200)


class Roles:
    """The role operations of IAM."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    @operation("CreateRole")
    async def create_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Make a role. Raises EntityAlreadyExists, MalformedPolicyDocument, LimitExceeded, InvalidInput."""
        name, path = params["RoleName"], params.get("Path") or "/"
        if self._directory.find_role(name) is not None:
            raise errors.ROLE_EXISTS(name=name)
        _check_trust(params["AssumeRolePolicyDocument"])
        self._check_boundary(params.get("PermissionsBoundary"))
        if len(self._directory.roles()) >= ROLES_MAX:
            raise errors.QUOTA(quota="RolesPerAccount", limit=ROLES_MAX)
        role = Role(
            name=name,
            path=path,
            role_id=new_id("AROA"),
            arn=f"arn:aws:iam::{ctx.account_id}:role{path}{name}",
            created=float(int(self._clock.now())),
            trust=params["AssumeRolePolicyDocument"],
            description=params.get("Description") or "",
            max_session_s=_session(params),
            boundary=params.get("PermissionsBoundary"),
            tags=read_tags(params.get("Tags") or []),
        )
        self._directory.put_role(role)
        return {"Role": _shape(role)}

    @operation("GetRole")
    async def get_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A role with its tags. Its trust policy is percent-encoded, as IAM answers it."""
        return {"Role": _shape(self._directory.role(params["RoleName"])) | {"RoleLastUsed": {}}}

    @operation("ListRoles")
    async def list_roles(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Roles below a path, by name; without tags and boundaries, as on AWS."""
        prefix, found = params.get("PathPrefix") or "/", []
        for role in self._directory.roles():
            if role.path.startswith(prefix):
                row = _shape(role)
                row.pop("Tags")
                row.pop("PermissionsBoundary")
                found.append((role.name.lower(), row))
        return paged(params, found, "Roles")

    @operation("UpdateRole")
    async def update_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change the description and the longest session."""
        role = self._directory.role(params["RoleName"])
        if params.get("Description") is not None:
            role = msgspec.structs.replace(role, description=params["Description"])
        if params.get("MaxSessionDuration") is not None:
            role = msgspec.structs.replace(role, max_session_s=_session(params))
        self._directory.put_role(role)
        return {}

    @operation("UpdateAssumeRolePolicy")
    async def update_assume_role_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Replace the trust policy."""
        role = self._directory.role(params["RoleName"])
        _check_trust(params["PolicyDocument"])
        self._directory.put_role(msgspec.structs.replace(role, trust=params["PolicyDocument"]))
        return {}

    @operation("DeleteRole")
    async def delete_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete a role without policies. Raises DeleteConflict."""
        role = self._directory.role(params["RoleName"])
        if role.attached:
            raise errors.MUST_DETACH()
        if role.inline:
            raise errors.MUST_DELETE_INLINE()
        self._directory.delete_role(role)
        return {}

    @operation("PutRolePermissionsBoundary")
    async def put_role_permissions_boundary(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Set the boundary. It is kept and shown, not enforced."""
        role = self._directory.role(params["RoleName"])
        self._check_boundary(params["PermissionsBoundary"])
        self._directory.put_role(msgspec.structs.replace(role, boundary=params["PermissionsBoundary"]))
        return {}

    @operation("DeleteRolePermissionsBoundary")
    async def delete_role_permissions_boundary(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Take the boundary away."""
        role = self._directory.role(params["RoleName"])
        self._directory.put_role(msgspec.structs.replace(role, boundary=None))
        return {}

    # Inline policies

    @operation("PutRolePolicy")
    async def put_role_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Give a role an inline policy, new or replaced."""
        role, text = self._directory.role(params["RoleName"]), params["PolicyDocument"]
        check_permissions(text)
        inline = {**role.inline, params["PolicyName"]: text}
        if sum(compact_size(document) for document in inline.values()) > INLINE_CHARACTERS_MAX:
            raise errors.INLINE_SIZE(limit=INLINE_CHARACTERS_MAX, name=role.name)
        self._directory.put_role(msgspec.structs.replace(role, inline=inline))
        return {}

    @operation("GetRolePolicy")
    async def get_role_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """An inline policy, percent-encoded."""
        role, name = self._inline(params)
        return {"RoleName": role.name, "PolicyName": name, "PolicyDocument": escaped(role.inline[name])}

    @operation("ListRolePolicies")
    async def list_role_policies(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The names of a role's inline policies."""
        names = sorted(self._directory.role(params["RoleName"]).inline)
        return paged(params, [(name, name) for name in names], "PolicyNames")

    @operation("DeleteRolePolicy")
    async def delete_role_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Take an inline policy away."""
        role, name = self._inline(params)
        inline = {key: text for key, text in role.inline.items() if key != name}
        self._directory.put_role(msgspec.structs.replace(role, inline=inline))
        return {}

    def _inline(self, params: dict[str, Any]) -> tuple[Role, str]:
        role, name = self._directory.role(params["RoleName"]), params["PolicyName"]
        if name not in role.inline:
            raise errors.NO_INLINE_POLICY(name=name)
        return role, name

    # Attached policies

    @operation("AttachRolePolicy")
    async def attach_role_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Attach a managed policy, AWS's or the account's. Attaching it again changes nothing."""
        role, arn = self._directory.role(params["RoleName"]), params["PolicyArn"]
        if not arn.startswith("arn:"):
            raise errors.INVALID_ARN(arn=arn)
        if not self._directory.has_policy(arn):
            raise errors.NOT_ATTACHABLE(arn=arn)
        if arn not in role.attached:
            if len(role.attached) >= ATTACHED_MAX:
                raise errors.QUOTA(quota="PoliciesPerRole", limit=ATTACHED_MAX)
            self._directory.put_role(msgspec.structs.replace(role, attached=(*role.attached, arn)))
        return {}

    @operation("DetachRolePolicy")
    async def detach_role_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Detach a managed policy."""
        role, arn = self._directory.role(params["RoleName"]), params["PolicyArn"]
        if arn not in role.attached:
            raise errors.NO_POLICY(arn=arn)
        attached = tuple(other for other in role.attached if other != arn)
        self._directory.put_role(msgspec.structs.replace(role, attached=attached))
        return {}

    @operation("ListAttachedRolePolicies")
    async def list_attached_role_policies(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The managed policies of a role, by name."""
        role, prefix = self._directory.role(params["RoleName"]), params.get("PathPrefix") or "/"
        found = sorted((arn.rpartition("/")[2], arn) for arn in role.attached if policy_path(arn).startswith(prefix))
        rows = [(f"{name} {arn}", {"PolicyName": name, "PolicyArn": arn}) for name, arn in found]
        return paged(params, rows, "AttachedPolicies")

    # Tags

    @operation("TagRole")
    async def tag_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Add tags, replacing those of the same key."""
        role = self._directory.role(params["RoleName"])
        self._directory.put_role(msgspec.structs.replace(role, tags=read_tags(params["Tags"], role.tags)))
        return {}

    @operation("UntagRole")
    async def untag_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Take tags off; keys that are not there are passed over."""
        role, gone = self._directory.role(params["RoleName"]), {key.lower() for key in params["TagKeys"]}
        tags = {key: value for key, value in role.tags.items() if key.lower() not in gone}
        self._directory.put_role(msgspec.structs.replace(role, tags=tags))
        return {}

    @operation("ListRoleTags")
    async def list_role_tags(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A role's tags, by key."""
        tags = sorted(self._directory.role(params["RoleName"]).tags.items())
        return paged(params, [(key, {"Key": key, "Value": value}) for key, value in tags], "Tags")

    def _check_boundary(self, arn: str | None) -> None:
        if arn is not None and not self._directory.has_policy(arn):
            raise errors.NO_BOUNDARY(arn=arn)


def policy_path(arn: str) -> str:
    """The path of a policy, from its ARN."""
    return "/" + arn.partition(":policy/")[2].rpartition("/")[0] + ("/" if "/" in arn.partition(":policy/")[2] else "")


def _check_trust(text: str) -> None:
    if compact_size(text) > TRUST_CHARACTERS_MAX:
        raise errors.QUOTA(quota="ACLSizePerRole", limit=TRUST_CHARACTERS_MAX)
    check_trust(text)


def _session(params: dict[str, Any]) -> int:
    """The longest session. The model's own limits are checked before; this holds for calls from inside as well."""
    seconds = int(params.get("MaxSessionDuration") or _SESSION_RANGE_S[0])
    if not _SESSION_RANGE_S[0] <= seconds <= _SESSION_RANGE_S[1]:
        raise errors.INVALID_INPUT(reason="MaxSessionDuration must be between 3600 and 43200 seconds")
    return seconds


def _shape(role: Role) -> dict[str, Any]:
    boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": role.boundary} if role.boundary else None
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.role_id,
        "Arn": role.arn,
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": escaped(role.trust),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session_s,
        "PermissionsBoundary": boundary,
        "Tags": tag_list(role.tags) or None,
    }
