"""Operations that change stacks directly: create, update, delete, and the switches of a stack."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tenantry.services.cloudformation import errors
from tenantry.services.cloudformation.core import Core
from tenantry.services.cloudformation.planning import NO_CHANGES
from tenantry.services.cloudformation.source import template_text
from tenantry.services.operation import Context, operation

_DELETABLE_IN_PROGRESS = ("REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


class StackOperations(Core):
    """See the module's docstring."""

    @operation("CreateStack")
    async def create_stack(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Create a stack without a change set. The answer comes when its creation has begun."""
        name = params["StackName"]
        existing = self._store.find(ctx.region, name)
        if existing is not None and self._repeated(existing, params, "CreateStack"):
            return {"StackId": existing.stack_id}
        if existing is not None and existing.status != "REVIEW_IN_PROGRESS":
            raise errors.STACK_EXISTS(name=name)
        if "OnFailure" in params and "DisableRollback" in params:
            raise errors.DISABLE_AND_FAILURE()
        stack = existing or self._new_stack(ctx, name)
        prepared = await self._planner.prepare(ctx, params, stack, exists=False, direct=True)
        if self._store.find(ctx.region, name) != existing:  # somebody was faster while the template was transformed
            raise errors.STACK_EXISTS(name=name)
        stack = replace(
            self._with_token(stack, params, "CreateStack"),
            desired=prepared.desired,
            disable_rollback=params.get("DisableRollback", params.get("DeploymentConfig", {}).get("DisableRollback", False)),
            on_failure=params.get("OnFailure"),
            retain_except_on_create=params.get("RetainExceptOnCreate", False),
            termination_protection=params.get("EnableTerminationProtection", False),
            timeout_minutes=params.get("TimeoutInMinutes"),
            policy=params.get("StackPolicyBody"),
        )
        stack = self._saga.begin_create(stack, ctx.endpoint, params.get("ClientRequestToken"))
        self._start(stack.key)
        return {"StackId": stack.stack_id}

    @operation("UpdateStack")
    async def update_stack(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Update a stack without a change set. Raises ValidationError where nothing would change."""
        name = params["StackName"]
        stack = self._store.find(ctx.region, name)
        if stack is None or stack.status in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE"):
            raise errors.STACK_ABSENT(name=name)
        if self._repeated(stack, params, "UpdateStack"):
            return {"StackId": stack.stack_id}
        self._check_updatable(stack)
        prepared = await self._planner.prepare(ctx, params, stack, exists=True, direct=True)
        if prepared.failure == NO_CHANGES:
            raise errors.NO_CHANGES()
        now = self._store.stack(stack.key)
        self._check_updatable(now)
        now = replace(
            self._with_token(now, params, "UpdateStack"),
            disable_rollback=params.get("DisableRollback", params.get("DeploymentConfig", {}).get("DisableRollback", False)),
            retain_except_on_create=params.get("RetainExceptOnCreate", False),
            policy=params.get("StackPolicyBody", now.policy),
        )
        self._saga.begin_update(now, prepared.desired, ctx.endpoint, params.get("ClientRequestToken"))
        self._start(stack.key)
        return {"StackId": stack.stack_id}

    @operation("DeleteStack")
    async def delete_stack(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete a stack; for one that is not there, nothing happens."""
        stack = self._store.find(ctx.region, params["StackName"])
        if stack is None or stack.status == "DELETE_COMPLETE" or self._repeated(stack, params, "DeleteStack"):
            return {}
        retain = tuple(params.get("RetainResources", []))
        if stack.termination_protection:
            raise errors.STACK_PROTECTED(name=stack.name)
        if retain and stack.status != "DELETE_FAILED":
            raise errors.RETAIN_ONLY_AFTER_FAILURE(stack_id=stack.stack_id)
        if retain:
            known = self._store.resources(stack.key)
            unknown = [name for name in retain if name not in known]
            if unknown:
                raise errors.RETAIN_UNKNOWN(names=", ".join(unknown))
        if stack.status.endswith("IN_PROGRESS"):
            if stack.status not in _DELETABLE_IN_PROGRESS:
                raise errors.STACK_NOT_DELETABLE(name=stack.name, status=stack.status)
            if stack.status == "CREATE_IN_PROGRESS":
                self._saga.cancel(stack.key, "delete")
            if stack.status != "REVIEW_IN_PROGRESS":
                return {}
        for output in stack.outputs:
            users = self._saga.importers(ctx.region, output.export_name) if output.export_name else []
            users = [user for user in users if user != stack.name]
            if users:
                raise errors.EXPORT_IN_USE(name=output.export_name, stacks=" and ".join(users))
        token = params.get("ClientRequestToken")
        self._saga.begin_delete(self._with_token(stack, params, "DeleteStack"), ctx.endpoint, token, retain)
        self._start(stack.key)
        await self._soon(stack.key)
        return {}

    @operation("CancelUpdateStack")
    async def cancel_update_stack(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Stop an update after the step it is at, and roll it back."""
        stack = self._known(ctx, params["StackName"])
        if stack.status != "UPDATE_IN_PROGRESS":
            raise errors.NOT_UPDATING(status=stack.status)
        self._saga.cancel(stack.key, "rollback")
        return {}

    @operation("ContinueUpdateRollback")
    async def continue_update_rollback(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Try again to roll an update back; `ResourcesToSkip` are left as they are."""
        stack = self._known(ctx, params["StackName"])
        if self._repeated(stack, params, "ContinueUpdateRollback"):
            return {}
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise errors.NOT_ROLLED_BACK(stack_id=stack.stack_id, status=stack.status)
        begun = self._with_token(stack, params, "ContinueUpdateRollback")
        self._saga.begin_rollback_again(begun, params.get("ClientRequestToken"))
        self._start(stack.key, tuple(params.get("ResourcesToSkip", [])))
        return {}

    @operation("UpdateTerminationProtection")
    async def update_termination_protection(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forbid or allow deletion."""
        stack = self._known(ctx, params["StackName"])
        self._store.put_stack(replace(stack, termination_protection=params["EnableTerminationProtection"]))
        return {"StackId": stack.stack_id}

    @operation("SetStackPolicy")
    async def set_stack_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Keep a stack policy. It is returned by GetStackPolicy; nothing is refused because of it."""
        stack = self._known(ctx, params["StackName"])
        place = {"TemplateBody": params.get("StackPolicyBody"), "TemplateURL": params.get("StackPolicyURL")}
        given = {name: value for name, value in place.items() if value is not None}
        policy = await template_text(self._operations, ctx, given, None)
        self._store.put_stack(replace(self._store.stack(stack.key), policy=policy))
        return {}

    @operation("GetStackPolicy")
    async def get_stack_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The policy that was set, if any."""
        policy = self._known(ctx, params["StackName"]).policy
        return {} if policy is None else {"StackPolicyBody": policy}
