"""The IAM service: roles and managed policies, kept, checked for form and given back, but not evaluated (docs/iam.md).

`IamService` puts the operation classes (roles, policies) under one name; what is left here is the little there is about users.
"""

from __future__ import annotations

from typing import Any

from tenantry.model.clock import Clock
from tenantry.services.identity import errors
from tenantry.services.identity.directory import Directory
from tenantry.services.identity.policies import Policies
from tenantry.services.identity.roles import Roles
from tenantry.services.operation import Context, operation


class IamService(Roles, Policies):
    """IAM. There are no users but the account's root."""

    name = "iam"

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._started = float(int(clock.now()))

    @operation("GetUser")
    async def get_user(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The caller, when it is the root user. Raises NoSuchEntity for every name, ValidationError for a session."""
        name = params.get("UserName")
        if name is not None:
            raise errors.NO_USER(name=name)
        if ":assumed-role/" in ctx.principal.arn:
            raise errors.NOT_A_USER()
        root = f"arn:aws:iam::{ctx.account_id}:root"
        return {"User": {"UserId": ctx.account_id, "Arn": root, "CreateDate": self._started}}

    @operation("ListAccountAliases")
    async def list_account_aliases(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """None: the account has no alias."""
        return {"AccountAliases": [], "IsTruncated": False}
