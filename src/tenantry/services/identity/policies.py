"""IAM managed policies: the account's own with their versions, and AWS's, which can only be read and attached.

Source: IAM API reference; quotas from the IAM user guide, "IAM and AWS STS quotas".
"""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.model.clock import Clock
from tenantry.services.identity import errors
from tenantry.services.identity.directory import Directory, Policy, PolicyVersion, escaped, new_id, paged, read_tags, tag_list
from tenantry.services.identity.managed import CREATED, MANAGED, ManagedPolicy
from tenantry.services.identity.policy import check_permissions, compact_size
from tenantry.services.identity.roles import policy_path
from tenantry.services.operation import Context, operation

POLICIES_MAX = 1500
VERSIONS_MAX = 5
DOCUMENT_CHARACTERS_MAX = 6144


class Policies:
    """The managed policy operations of IAM."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    @operation("CreatePolicy")
    async def create_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Make a policy with its first version, `v1`. Raises EntityAlreadyExists, MalformedPolicyDocument, LimitExceeded."""
        name, path, text = params["PolicyName"], params.get("Path") or "/", params["PolicyDocument"]
        if self._directory.has_policy_named(name):
            raise errors.POLICY_EXISTS(name=name)
        _check(text)
        if len(self._directory.policies()) >= POLICIES_MAX:
            raise errors.QUOTA(quota="PoliciesPerAccount", limit=POLICIES_MAX)
        now = float(int(self._clock.now()))
        policy = Policy(
            name=name,
            path=path,
            policy_id=new_id("ANPA"),
            arn=f"arn:aws:iam::{ctx.account_id}:policy{path}{name}",
            created=now,
            updated=now,
            description=params.get("Description") or "",
            default="v1",
            next_version=2,
            versions=(PolicyVersion("v1", text, now),),
            tags=read_tags(params.get("Tags") or []),
        )
        self._directory.put_policy(policy)
        return {"Policy": self._shape(policy)}

    @operation("GetPolicy")
    async def get_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A policy, without its document."""
        policy = self._find(params["PolicyArn"])
        row = self._shape(policy)
        if isinstance(policy, Policy):
            row |= {"Description": policy.description or None, "Tags": tag_list(policy.tags)}
        return {"Policy": row}

    @operation("ListPolicies")
    async def list_policies(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Policies of a scope (All, AWS, Local) below a path."""
        scope, prefix = params.get("Scope") or "All", params.get("PathPrefix") or "/"
        found: list[Policy | ManagedPolicy] = []
        if scope in ("All", "AWS"):
            found += MANAGED.values()
        if scope in ("All", "Local"):
            found += self._directory.policies()
        rows = [(policy.arn, self._shape(policy)) for policy in found if policy.path.startswith(prefix)]
        if params.get("OnlyAttached"):
            rows = [(arn, row) for arn, row in rows if row["AttachmentCount"]]
        usage = {"PermissionsPolicy": "AttachmentCount", "PermissionsBoundary": "PermissionsBoundaryUsageCount"}
        if params.get("PolicyUsageFilter") in usage:
            rows = [(arn, row) for arn, row in rows if row[usage[params["PolicyUsageFilter"]]]]
        return paged(params, sorted(rows, key=lambda pair: pair[0]), "Policies")

    @operation("DeletePolicy")
    async def delete_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete a policy that nothing uses and that has one version left. Raises DeleteConflict."""
        policy = self._own(ctx, params["PolicyArn"], "iam:DeletePolicy")
        if self._directory.attached_to(policy.arn) or self._directory.bounded_by(policy.arn):
            raise errors.POLICY_ATTACHED()
        if len(policy.versions) > 1:
            raise errors.POLICY_HAS_VERSIONS()
        self._directory.delete_policy(policy)
        return {}

    @operation("ListEntitiesForPolicy")
    async def list_entities_for_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The roles a policy is attached to, or bounds. There are no users and groups."""
        arn = self._find(params["PolicyArn"]).arn
        boundary = params.get("PolicyUsageFilter") == "PermissionsBoundary"
        roles = self._directory.bounded_by(arn) if boundary else self._directory.attached_to(arn)
        wanted = params.get("EntityFilter") in (None, "Role", "LocalManagedPolicy", "AWSManagedPolicy")
        prefix = params.get("PathPrefix") or "/"
        rows = [
            (role.name.lower(), {"RoleName": role.name, "RoleId": role.role_id})
            for role in roles
            if wanted and role.path.startswith(prefix)
        ]
        return paged(params, rows, "PolicyRoles") | {"PolicyUsers": [], "PolicyGroups": []}

    # Versions

    @operation("CreatePolicyVersion")
    async def create_policy_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Add a version, up to five. Raises LimitExceeded, MalformedPolicyDocument."""
        policy = self._own(ctx, params["PolicyArn"], "iam:CreatePolicyVersion")
        _check(params["PolicyDocument"])
        if len(policy.versions) >= VERSIONS_MAX:
            raise errors.POLICY_VERSIONS(limit=VERSIONS_MAX)
        now = float(int(self._clock.now()))
        version = PolicyVersion(f"v{policy.next_version}", params["PolicyDocument"], now)
        policy = msgspec.structs.replace(
            policy,
            versions=(*policy.versions, version),
            next_version=policy.next_version + 1,
            updated=now,
            default=version.version_id if params.get("SetAsDefault") else policy.default,
        )
        self._directory.put_policy(policy)
        return {"PolicyVersion": _version(version, policy.default, with_document=False)}

    @operation("GetPolicyVersion")
    async def get_policy_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A version with its document, percent-encoded."""
        policy = self._find(params["PolicyArn"])
        return {"PolicyVersion": _version(_pick(policy, params["VersionId"]), _default(policy))}

    @operation("ListPolicyVersions")
    async def list_policy_versions(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The versions of a policy, newest first, without their documents."""
        policy = self._find(params["PolicyArn"])
        newest_first = reversed(_versions(policy))
        rows = [
            (f"{index:02d}", _version(version, _default(policy), with_document=False))
            for index, version in enumerate(newest_first)
        ]
        return paged(params, rows, "Versions")

    @operation("SetDefaultPolicyVersion")
    async def set_default_policy_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Choose the version in force."""
        policy = self._own(ctx, params["PolicyArn"], "iam:SetDefaultPolicyVersion")
        version = _pick(policy, params["VersionId"])
        changed = msgspec.structs.replace(policy, default=version.version_id, updated=float(int(self._clock.now())))
        self._directory.put_policy(changed)
        return {}

    @operation("DeletePolicyVersion")
    async def delete_policy_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete a version that is not the default. Raises DeleteConflict."""
        policy = self._own(ctx, params["PolicyArn"], "iam:DeletePolicyVersion")
        gone = _pick(policy, params["VersionId"])
        if gone.version_id == policy.default:
            raise errors.DEFAULT_VERSION()
        versions = tuple(version for version in policy.versions if version.version_id != gone.version_id)
        self._directory.put_policy(msgspec.structs.replace(policy, versions=versions))
        return {}

    def _find(self, arn: str) -> Policy | ManagedPolicy:
        return MANAGED.get(arn) or self._directory.policy(arn)

    def _own(self, ctx: Context, arn: str, action: str) -> Policy:
        """A policy that may be changed: AWS's may not."""
        if arn in MANAGED:
            raise errors.AWS_MANAGED(user=ctx.principal.arn, action=action, arn=arn)
        return self._directory.policy(arn)

    def _shape(self, policy: Policy | ManagedPolicy) -> dict[str, Any]:
        return {
            "PolicyName": policy.name,
            "PolicyId": policy.policy_id,
            "Arn": policy.arn,
            "Path": policy_path(policy.arn),
            "DefaultVersionId": _default(policy),
            "AttachmentCount": len(self._directory.attached_to(policy.arn)),
            "PermissionsBoundaryUsageCount": len(self._directory.bounded_by(policy.arn)),
            "IsAttachable": True,
            "CreateDate": policy.created if isinstance(policy, Policy) else CREATED,
            "UpdateDate": policy.updated if isinstance(policy, Policy) else CREATED,
        }


def _check(text: str) -> None:
    if compact_size(text) > DOCUMENT_CHARACTERS_MAX:
        raise errors.QUOTA(quota="PolicySize", limit=DOCUMENT_CHARACTERS_MAX)
    check_permissions(text)


def _default(policy: Policy | ManagedPolicy) -> str:
    return policy.default if isinstance(policy, Policy) else "v1"


def _versions(policy: Policy | ManagedPolicy) -> tuple[PolicyVersion, ...]:
    return policy.versions if isinstance(policy, Policy) else (PolicyVersion("v1", policy.document, CREATED),)


def _pick(policy: Policy | ManagedPolicy, version_id: str) -> PolicyVersion:
    for version in _versions(policy):
        if version.version_id == version_id:
            return version
    raise errors.NO_POLICY_VERSION(arn=policy.arn, version=version_id)


def _version(version: PolicyVersion, default: str, with_document: bool = True) -> dict[str, Any]:
    return {
        "VersionId": version.version_id,
        "IsDefaultVersion": version.version_id == default,
        "CreateDate": version.created,
        "Document": escaped(version.document) if with_document else None,
    }
