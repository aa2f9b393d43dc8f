"""Change sets: planned when created, executed later. Creation is answered when the plan is made, so its first look is final."""

from __future__ import annotations

import uuid
from typing import Any

from msgspec.structs import replace

from tenantry.services.cloudformation import errors, parameters
from tenantry.services.cloudformation.core import Core
from tenantry.services.cloudformation.records import ChangeSet, Stack
from tenantry.services.cloudformation.store import change_set_arn, paged
from tenantry.services.operation import Context, operation

CHANGE_SETS_MAX = 1000  # of one stack; failed ones make room first
_PAGE = 100


class ChangeSetOperations(Core):
    """See the module's docstring."""

    @operation("CreateChangeSet")
    async def create_change_set(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Plan a change. For type CREATE the stack comes into being in REVIEW_IN_PROGRESS, with its first event."""
        kind = params.get("ChangeSetType", "UPDATE")
        if kind not in ("CREATE", "UPDATE"):
            raise errors.CHANGE_SET_TYPE(kind=kind)
        existing = self._store.find(ctx.region, params["StackName"])
        stack = self._target(ctx, params, kind, existing)
        earlier = self._store.change_set(f"{stack.key}/{params['ChangeSetName']}")
        if earlier is not None:
            if earlier.token is not None and earlier.token == params.get("ClientToken"):
                return {"Id": change_set_arn(stack, earlier), "StackId": stack.stack_id}
            raise errors.CHANGE_SET_EXISTS(change_set_id=change_set_arn(stack, earlier))
        self._make_room(stack)
        prepared = await self._planner.prepare(ctx, params, stack, exists=kind == "UPDATE", direct=False)
        now = self._store.find(ctx.region, params["StackName"])
        self._target(ctx, params, kind, now)  # refused if somebody was faster while the template was transformed
        stack = now or stack
        change_set = ChangeSet(
            name=params["ChangeSetName"],
            unique=str(uuid.uuid4()),
            stack_key=stack.key,
            kind=kind,
            status="CREATE_COMPLETE" if prepared.failure is None else "FAILED",
            execution="AVAILABLE" if prepared.failure is None else "UNAVAILABLE",
            reason=prepared.failure,
            created_at=self._clock.now(),
            desired=prepared.desired,
            changes=prepared.changes,
            description=params.get("Description"),
            token=params.get("ClientToken"),
            on_failure=params.get("OnStackFailure"),
            deployment_mode=params.get("DeploymentConfig", {}).get("Mode"),
            disable_rollback=params.get("DeploymentConfig", {}).get("DisableRollback", False),
        )
        with self._store.transaction():
            self._store.put_change_set(change_set)
            if now is None:
                shown = replace(stack, desired=prepared.desired, change_set_id=change_set_arn(stack, change_set))
                self._store.record(shown, "REVIEW_IN_PROGRESS", "User Initiated", params.get("ClientToken"))
        return {"Id": change_set_arn(stack, change_set), "StackId": stack.stack_id}

    @operation("DescribeChangeSet")
    async def describe_change_set(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A change set with its changes, a page at a time."""
        stack, change_set = self._change_set(ctx, params)
        desired = change_set.desired
        page, token = paged(list(change_set.changes), params.get("NextToken"), _PAGE)
        rollback = desired.rollback_configuration or {}
        return _given(
            {
                **self._summary(stack, change_set),
                "Parameters": parameters.shown(desired.parameters, desired.no_echo),
                "Capabilities": list(desired.capabilities),
                "Tags": [{"Key": key, "Value": value} for key, value in desired.tags.items()],
                "NotificationARNs": list(desired.notification_arns),
                "RollbackConfiguration": rollback,
                "Changes": [{"Type": "Resource", "ResourceChange": change} for change in page],
                "NextToken": token,
                "OnStackFailure": change_set.on_failure,
                "DeploymentConfig": {"Mode": change_set.deployment_mode} if change_set.deployment_mode else None,
            }
        )

    @operation("ListChangeSets")
    async def list_change_sets(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The change sets of a stack."""
        stack = self._store.find(ctx.region, params["StackName"])
        if stack is None:
            raise errors.STACK_ABSENT(name=params["StackName"])
        page, token = paged(self._store.change_sets(stack), params.get("NextToken"), _PAGE)
        return _given({"Summaries": [_given(self._summary(stack, item)) for item in page], "NextToken": token})

    @operation("ExecuteChangeSet")
    async def execute_change_set(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Carry a change set out. The answer comes when the deployment has begun."""
        stack, change_set = self._change_set(ctx, params)
        if self._repeated(stack, params, "ExecuteChangeSet"):
            return {}
        if change_set.execution != "AVAILABLE":
            status = change_set.status if change_set.status == "FAILED" else change_set.execution
            raise errors.CHANGE_SET_STATUS(change_set_id=change_set_arn(stack, change_set), status=status)
        fresh = stack.status == "REVIEW_IN_PROGRESS"
        if not fresh:
            self._check_updatable(stack)
        rollback_off = params.get("DisableRollback", change_set.disable_rollback)
        failure = change_set.on_failure
        stack = replace(
            self._with_token(stack, params, "ExecuteChangeSet"),
            change_set_id=change_set_arn(stack, change_set),
            disable_rollback=rollback_off or failure == "DO_NOTHING",
            retain_except_on_create=params.get("RetainExceptOnCreate", False),
        )
        token = params.get("ClientRequestToken")
        with self._store.transaction():
            self._store.put_change_set(replace(change_set, execution="EXECUTE_IN_PROGRESS"))
            if fresh:
                stack = replace(stack, desired=change_set.desired, on_failure=failure)
                self._saga.begin_create(stack, ctx.endpoint, token, change_set.key)
            else:
                self._saga.begin_update(stack, change_set.desired, ctx.endpoint, token, change_set.key)
        self._start(stack.key)
        await self._soon(stack.key)
        return {}

    @operation("DeleteChangeSet")
    async def delete_change_set(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a change set; for one that is not there, nothing happens."""
        name = params["ChangeSetName"]
        if name.startswith("arn:") and self._store.change_set_by_id(ctx.region, name) is None:
            return {}
        stack, change_set = self._change_set(ctx, params)
        if change_set.execution == "EXECUTE_IN_PROGRESS":
            raise errors.CHANGE_SET_STATUS(change_set_id=change_set_arn(stack, change_set), status=change_set.execution)
        self._store.drop_change_set(change_set)
        return {}

    def _target(self, ctx: Context, params: dict[str, Any], kind: str, existing: Stack | None) -> Stack:
        """The stack that a change set is for, as it is or would be. Raises ValidationError where the type does not fit it."""
        name = params["StackName"]
        if kind == "CREATE":
            if existing is not None and existing.status != "REVIEW_IN_PROGRESS":
                raise errors.STACK_NOT_FOR_CREATION(name=existing.name, change_set=params["ChangeSetName"])
            return existing or self._new_stack(ctx, name)
        if existing is None or existing.status in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE"):
            raise errors.STACK_ABSENT(name=name)
        self._check_updatable(existing)
        return existing

    def _make_room(self, stack: Stack) -> None:
        kept = self._store.change_sets(stack)
        if len(kept) < CHANGE_SETS_MAX:
            return
        failed = next((item for item in kept if item.status == "FAILED"), None)
        if failed is None:
            raise errors.CHANGE_SETS_MAX(name=stack.name, limit=CHANGE_SETS_MAX)
        self._store.drop_change_set(failed)

    def _summary(self, stack: Stack, change_set: ChangeSet) -> dict[str, Any]:
        return {
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "ChangeSetId": change_set_arn(stack, change_set),
            "ChangeSetName": change_set.name,
            "ExecutionStatus": change_set.execution,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "CreationTime": change_set.created_at,
            "Description": change_set.description,
            "IncludeNestedStacks": False,
            "ImportExistingResources": False,
        }


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
