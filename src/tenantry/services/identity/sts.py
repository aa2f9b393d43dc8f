"""The STS service: who calls, and temporary credentials.

Source: STS API reference. AssumeRole evaluates the role's trust policy: it must name the caller or the account; permissions
policies are not evaluated (docs/iam.md).
"""

from __future__ import annotations

import re
from typing import Any

from tenantry.model.identity import Credential
from tenantry.services.identity import errors
from tenantry.services.identity.credentials import PlatformCredentials
from tenantry.services.identity.directory import Directory
from tenantry.services.identity.policy import check_permissions, trusts
from tenantry.services.operation import Context, operation

CHAINED_MAX_S = 3600
ROOT_SESSION_MAX_S = 3600
DURATION_DEFAULT_S = 3600
_DURATION_MIN_S = 900
_PACKED_MAX = 2048
_ROLE_ARN = re.compile(r"arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]+")


class StsService:
    """GetCallerIdentity, AssumeRole, GetSessionToken."""

    name = "sts"

    def __init__(self, directory: Directory, credentials: PlatformCredentials) -> None:
        self._directory = directory
        self._credentials = credentials

    @operation("GetCallerIdentity")
    async def get_caller_identity(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Whose signature the request carries."""
        return {"UserId": ctx.principal.user_id, "Account": ctx.account_id, "Arn": ctx.principal.arn}

    @operation("AssumeRole")
    async def assume_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Credentials of a role's session. Raises AccessDenied (no role that trusts the caller), ValidationError."""
        arn, session = params["RoleArn"], params["RoleSessionName"]
        if not _ROLE_ARN.fullmatch(arn):
            raise errors.INVALID_ROLE_ARN(arn=arn)
        role, caller = self._directory.role_by_arn(arn), self._caller(ctx)
        if role is None or not trusts(role.trust, ctx.account_id, caller, params.get("ExternalId")):
            raise errors.NOT_AUTHORIZED(user=ctx.principal.arn, role=arn)
        seconds = _duration(params.get("DurationSeconds") or DURATION_DEFAULT_S)
        if len(caller) > 1 and seconds > CHAINED_MAX_S:
            raise errors.TOO_LONG_CHAINED()
        if seconds > role.max_session_s:
            raise errors.TOO_LONG()
        if params.get("Policy"):
            check_permissions(params["Policy"])
        credential = self._credentials.assume(arn, session, seconds)
        return {
            "Credentials": _shape(credential),
            "AssumedRoleUser": {"AssumedRoleId": credential.user_id, "Arn": credential.arn},
            "PackedPolicySize": min(100, -(-100 * len(params["Policy"]) // _PACKED_MAX)) if params.get("Policy") else None,
            "SourceIdentity": params.get("SourceIdentity"),
        }

    @operation("GetSessionToken")
    async def get_session_token(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Credentials of the caller itself; an hour at most for the root user. Raises AccessDenied for a session's key."""
        if ctx.principal.access_key_id.startswith("ASIA"):
            raise errors.SESSION_FROM_SESSION()
        seconds = min(_duration(params.get("DurationSeconds") or ROOT_SESSION_MAX_S), ROOT_SESSION_MAX_S)
        return {"Credentials": _shape(self._credentials.session(ctx.principal.arn, ctx.principal.user_id, seconds))}

    def _caller(self, ctx: Context) -> set[str]:
        """The ARNs that a trust policy may call the caller by: a session goes by its role's, too."""
        kind, _, rest = ctx.principal.arn.partition(":assumed-role/")
        if not rest:
            return {kind}
        name = rest.partition("/")[0]
        arns = {ctx.principal.arn, f"arn:aws:iam::{ctx.account_id}:role/{name}"}
        role = self._directory.find_role(name)
        return arns if role is None else arns | {role.arn}


def _duration(seconds: int) -> int:
    if seconds < _DURATION_MIN_S:
        raise errors.TOO_SHORT(seconds=seconds)
    return seconds


def _shape(credential: Credential) -> dict[str, Any]:
    return {
        "AccessKeyId": credential.access_key_id,
        "SecretAccessKey": credential.secret_access_key,
        "SessionToken": credential.session_token,
        "Expiration": credential.expires_at,
    }
