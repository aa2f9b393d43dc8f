"""The deployment saga: a stack operation from its first step to its last, whatever happens in between.

    create   CREATE_IN_PROGRESS -> CREATE_COMPLETE | ROLLBACK_... | CREATE_FAILED (rollback switched off)
    update   UPDATE_IN_PROGRESS -> UPDATE_COMPLETE_CLEANUP_IN_PROGRESS -> UPDATE_COMPLETE | UPDATE_ROLLBACK_... | UPDATE_FAILED
    delete   DELETE_IN_PROGRESS -> DELETE_COMPLETE | DELETE_FAILED

Steps run one after the other in dependency order, each journalled (`actions.py`); a failure undoes them in reverse. Once an
update holds, old resources go in a cleanup phase whose failures do not fail it. The journal outlives the process: `recover`
rolls back what was interrupted on its way forward, and goes on with what was already going back or away.

`begin_*` are synchronous: they check nothing, write status and journal in one transaction, and the caller then runs the
operation with `run` in the background.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation import errors, graph, outputs, parameters
from tenantry.services.cloudformation.actions import Actions, Run, StepError, Wanted
from tenantry.services.cloudformation.changes import checked_properties
from tenantry.services.cloudformation.intrinsics import Evaluator
from tenantry.services.cloudformation.records import Deployment, Desired, Output, Resource, Stack, Step, partition
from tenantry.services.cloudformation.resources.contract import Caller, ResourceType
from tenantry.services.cloudformation.store import Store

log = logging.getLogger(__name__)

USER = "User Initiated"
RESTARTED = "The platform was restarted during the operation."
_CANCELLED = "Update cancelled by user."


class Saga:
    """Runs stack operations. One instance for all stacks; at most one operation per stack at a time."""

    def __init__(
        self,
        store: Store,
        types: Mapping[str, ResourceType],
        operations: Caller,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._types = types
        self._clock = clock
        self._actions = Actions(store, types, operations, clock, sleep)
        self._cancelled: dict[str, str] = {}  # stack key -> what to do instead: rollback or delete

    # ---- beginnings
    def begin_create(self, stack: Stack, endpoint: str, token: str | None, change_set_key: str | None = None) -> Stack:
        """The stack starts to come into being."""
        with self._store.transaction():
            journal = Deployment(
                stack_key=stack.key,
                kind="create",
                phase="forward",
                endpoint=endpoint,
                token=token,
                change_set_key=change_set_key,
            )
            self._store.put_deployment(journal)
            return self._store.record(stack, "CREATE_IN_PROGRESS", USER, token)

    def begin_update(
        self, stack: Stack, desired: Desired, endpoint: str, token: str | None, change_set_key: str | None = None
    ) -> Stack:
        """The stack starts to become what is desired."""
        with self._store.transaction():
            journal = Deployment(
                stack_key=stack.key,
                kind="update",
                phase="forward",
                previous=stack,
                endpoint=endpoint,
                token=token,
                change_set_key=change_set_key,
            )
            self._store.put_deployment(journal)
            self._store.forget_old_events(stack)
            begun = replace(stack, desired=desired, updated_at=self._clock.now())
            return self._store.record(begun, "UPDATE_IN_PROGRESS", USER, token)

    def begin_delete(self, stack: Stack, endpoint: str, token: str | None, retain: tuple[str, ...] = ()) -> Stack:
        """The stack starts to go. What a failed rollback left in its journal goes with it."""
        removals = [_made_by(step) for step in self._store.steps(stack.key) if step.action != "update" and step.physical_id]
        existing = self._store.resources(stack.key)
        removals = [item for item in removals if item.physical_id != _physical(existing.get(item.logical_id))]
        with self._store.transaction():
            self._store.close_journal(stack.key)
            journal = Deployment(
                stack_key=stack.key,
                kind="delete",
                phase="cleanup",
                previous=stack,
                endpoint=endpoint,
                token=token,
                retain=retain,
                removals=tuple(removals),
            )
            self._store.put_deployment(journal)
            return self._store.record(stack, "DELETE_IN_PROGRESS", USER, token)

    def begin_rollback_again(self, stack: Stack, token: str | None) -> Stack:
        """An update's rollback that failed starts over."""
        return self._store.record(stack, "UPDATE_ROLLBACK_IN_PROGRESS", USER, token)

    def cancel(self, stack_key: str, instead: str) -> None:
        """Ask a running operation to stop after its current step. instead: rollback, or delete the stack then."""
        self._cancelled[stack_key] = instead

    # ---- running
    async def run(self, stack_key: str, skip: tuple[str, ...] = ()) -> None:
        """Carry on with a stack's operation from wherever its journal stands, to its end. skip: not to be rolled back."""
        journal = self._store.deployment(stack_key)
        try:
            await self._run(stack_key, skip)
        finally:
            instead = self._cancelled.pop(stack_key, None)
        stack = self._store.stack(stack_key)
        if instead == "delete" and journal is not None and stack.status != "DELETE_COMPLETE":
            self.begin_delete(stack, journal.endpoint, None)
            await self._run(stack_key, ())

    def interrupted(self) -> list[str]:
        """The keys of stacks whose operation did not end; each is to be run again."""
        keys = []
        for journal in self._store.deployments():
            stack = self._store.stack(journal.stack_key)
            if not stack.status.endswith("IN_PROGRESS"):
                continue  # a failed rollback waits for its user
            if journal.phase == "forward":
                self._start_rollback(journal, stack, RESTARTED)
            keys.append(journal.stack_key)
        return keys

    async def _run(self, stack_key: str, skip: tuple[str, ...]) -> None:
        journal = self._store.deployment(stack_key)
        if journal is None:
            return
        if journal.kind == "delete":
            await self._delete(journal)
        elif journal.phase == "forward":
            await self._forward(journal)
        elif journal.phase == "cleanup":
            await self._cleanup(journal)
        else:
            await self._rollback(journal, skip)

    async def _forward(self, journal: Deployment) -> None:
        run = self._context(journal)
        template = json.loads(run.stack.desired.processed)
        try:
            values = self._evaluator(run, template)
            await self._apply_all(run, template, values)
            found = self._outputs(run, template, values)
        except StepError as failure:
            await self._failed(journal, f"The following resource(s) failed to {failure.verb}: [{failure.logical_id}]. ")
            return
        except ServiceError as error:
            await self._failed(journal, f"{error.message} ")
            return
        except Exception as error:  # whatever it is, what has been made must not stay behind
            log.error("a deployment failed", exc_info=error)
            await self._failed(journal, f"Internal failure: {type(error).__name__}. ")
            return
        self._hold(journal, run, template, values, found)
        if journal.kind == "update":
            await self._cleanup(self._journal(journal.stack_key))

    async def _apply_all(self, run: Run, template: dict[str, Any], values: Evaluator) -> None:
        minutes = run.stack.timeout_minutes
        deadline = None if minutes is None else self._clock.monotonic() + minutes * 60
        resources = graph.effective(template, values.condition)
        for name, needs in graph.order(resources, values.condition).items():
            if run.key in self._cancelled:
                raise errors.ANY_TEXT(problem=_CANCELLED)
            if deadline is not None and self._clock.monotonic() > deadline:
                raise errors.ANY_TEXT(problem="Stack creation time exceeded the specified timeout.")
            await self._actions.apply(run, self._wanted(name, resources[name], needs, values))

    def _wanted(self, name: str, definition: Mapping[str, Any], needs: tuple[str, ...], values: Evaluator) -> Wanted:
        kind = definition["Type"]
        properties, problems = checked_properties(self._types[kind].schema, values.value(definition.get("Properties") or {}))
        if problems:
            raise errors.PROPERTIES(logical_id=name, problems=" ".join(problems))
        return Wanted(
            logical_id=name,
            type=kind,
            properties=properties,
            depends_on=needs,
            deletion_policy=str(values.value(definition.get("DeletionPolicy", "Delete"))),
            replace_policy=str(values.value(definition.get("UpdateReplacePolicy", "Delete"))),
            metadata=values.value(definition.get("Metadata")),
        )

    def _outputs(self, run: Run, template: dict[str, Any], values: Evaluator) -> tuple[Output, ...]:
        """The stack's outputs, exports checked against those of other stacks. Raises ServiceError."""
        found = outputs.compute(template, values)
        for output in found:
            if output.export_name is None:
                continue
            owner = self.exports(run.stack.region).get(output.export_name)
            if owner is not None and owner[0].key != run.key:
                raise errors.ANY_TEXT(
                    problem=f"Export with name {output.export_name} is already exported by stack {owner[0].name}."
                )
        exported = {output.export_name: output.value for output in found}
        for output in run.stack.outputs:
            if output.export_name is not None and exported.get(output.export_name) != output.value:
                users = self.importers(run.stack.region, output.export_name)
                if users:
                    verb = "updated" if output.export_name in exported else "deleted"
                    text = f"Export {output.export_name} cannot be {verb} as it is in use by {' and '.join(users)}"
                    raise errors.ANY_TEXT(problem=text)
        return found

    def _hold(
        self, journal: Deployment, run: Run, template: dict[str, Any], values: Evaluator, found: tuple[Output, ...]
    ) -> None:
        """The new state holds from here on: nothing of it is undone any more."""
        with self._store.transaction():
            stack = self._store.stack(run.key)
            imports = tuple(dict.fromkeys(run.imports))
            stack = replace(stack, outputs=found, imports=imports, change_set_id=stack.change_set_id)
            if journal.kind == "create":
                self._store.record(stack, "CREATE_COMPLETE", None, journal.token)
                self._close(journal, "EXECUTE_COMPLETE")
                return
            resources = graph.effective(template, values.condition)
            gone = [item for name, item in self._store.resources(run.key).items() if name not in resources]
            replaced = [step.old for step in self._store.steps(run.key) if step.action == "replace" and step.old is not None]
            self._store.record(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None, journal.token)
            self._store.put_deployment(replace(journal, phase="cleanup", removals=(*gone, *replaced)))

    async def _cleanup(self, journal: Deployment) -> None:
        """Remove what the new state no longer has. What cannot be removed stays behind, as on AWS, and an event says so."""
        run = self._context(journal)
        for resource in removal_order(journal.removals):
            current = self._store.resource(run.key, resource.logical_id)
            replaced = current is not None and current.physical_id != resource.physical_id
            if resource.exists and not self._still_ours(run.key, resource):
                policy = resource.replace_policy if replaced else resource.deletion_policy
                retain = policy in ("Retain", "RetainExceptOnCreate")
                with suppress(StepError):  # told in its event; AWS ends the update well all the same
                    await self._actions.remove(run, resource, keep=False, retain=retain)
            if not replaced:
                self._store.drop_resource(run.key, resource.logical_id)
        with self._store.transaction():
            self._store.record(self._store.stack(run.key), "UPDATE_COMPLETE", None, journal.token)
            self._close(journal, "EXECUTE_COMPLETE")

    def _still_ours(self, stack_key: str, resource: Resource) -> bool:
        """Whether the new state contains the same physical resource, under another logical id (or made anew under its own)."""
        create_only = self._types[resource.type].schema.create_only
        return any(
            other.type == resource.type
            and other.physical_id == resource.physical_id
            and all(other.properties.get(name) == resource.properties.get(name) for name in create_only)
            for other in self._store.resources(stack_key).values()
            if other.logical_id != resource.logical_id
        )

    async def _failed(self, journal: Deployment, reason: str) -> None:
        stack = self._store.stack(journal.stack_key)
        if stack.disable_rollback or (journal.kind == "create" and stack.on_failure == "DO_NOTHING"):
            run = self._context(journal)
            for step in reversed(self._store.steps(run.key)):
                if step.state != "done":  # the failed step leaves nothing half made; the others stay for another try
                    await self._undo_quietly(run, step)
            with self._store.transaction():
                status = "CREATE_FAILED" if journal.kind == "create" else "UPDATE_FAILED"
                self._store.record(self._store.stack(run.key), status, reason, journal.token)
                self._close(journal, "EXECUTE_FAILED")
            return
        self._start_rollback(journal, stack, reason)
        await self._rollback(self._journal(journal.stack_key), ())

    async def _undo_quietly(self, run: Run, step: Step) -> None:
        failed = self._store.resource(run.key, step.logical_id)
        try:
            await self._actions.undo(run, step)
        except StepError:
            return  # its event says why; the record keeps its physical id
        if failed is not None:
            created = step.action == "create"
            kept = replace(failed, physical_id="") if created else replace(failed, status="UPDATE_FAILED")
            self._store.put_resource(run.key, kept)

    def _start_rollback(self, journal: Deployment, stack: Stack, reason: str) -> None:
        with self._store.transaction():
            self._store.put_deployment(replace(journal, phase="rollback"))
            if journal.kind == "create":
                asked = f"{reason.rstrip()} Rollback requested by user."
                self._store.record(stack, "ROLLBACK_IN_PROGRESS", asked, journal.token)
            else:
                previous = stack if journal.previous is None else journal.previous
                restored = replace(stack, desired=previous.desired)
                self._store.record(restored, "UPDATE_ROLLBACK_IN_PROGRESS", reason, journal.token)

    async def _rollback(self, journal: Deployment, skip: tuple[str, ...]) -> None:
        run = self._context(journal)
        failed: list[StepError] = []
        for step in reversed(self._store.steps(run.key)):
            if step.logical_id in skip:
                self._store.drop_step(run.key, step)
                continue
            try:
                await self._actions.undo(run, step)
            except StepError as failure:
                failed.append(failure)
        stack = self._store.stack(run.key)
        if failed:
            verb = "delete" if journal.kind == "create" else "update"
            names = ", ".join(failure.logical_id for failure in failed)
            status = "ROLLBACK_FAILED" if journal.kind == "create" else "UPDATE_ROLLBACK_FAILED"
            self._store.record(stack, status, f"The following resource(s) failed to {verb}: [{names}]. ", journal.token)
            return
        with self._store.transaction():
            if journal.kind == "update":
                stack = self._store.record(stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None, journal.token)
            self._close(journal, "EXECUTE_FAILED")
            status = "ROLLBACK_COMPLETE" if journal.kind == "create" else "UPDATE_ROLLBACK_COMPLETE"
            stack = self._store.record(stack, status, None, journal.token)
        if journal.kind == "create" and stack.on_failure == "DELETE":
            self.begin_delete(stack, journal.endpoint, journal.token)
            await self._run(stack.key, ())

    async def _delete(self, journal: Deployment) -> None:
        run = self._context(journal)
        failed: list[str] = []
        blocked: set[str] = set()
        resources = self._store.resources(run.key)
        for resource in [*journal.removals, *removal_order(resources.values())]:
            if not resource.exists:
                continue
            if resource.logical_id in blocked:
                blocked.update(resource.depends_on)
                continue
            ours = resource.logical_id in resources and resources[resource.logical_id].physical_id == resource.physical_id
            retain = resource.logical_id in journal.retain or resource.deletion_policy in ("Retain", "RetainExceptOnCreate")
            try:
                await self._actions.remove(run, resource, keep=ours, retain=retain)
            except StepError as failure:
                failed.append(failure.logical_id)
                blocked.update(resource.depends_on)
        stack = self._store.stack(run.key)
        with self._store.transaction():
            if failed:
                reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
                self._store.record(stack, "DELETE_FAILED", reason, journal.token)
            else:
                self._store.record(replace(stack, deleted_at=self._clock.now()), "DELETE_COMPLETE", None, journal.token)
                for change_set in self._store.change_sets(stack):
                    self._store.drop_change_set(change_set)
            self._close(journal, "")
        self._store.forget_old(stack.region)

    # ---- what a deployment sees
    def exports(self, region: str) -> dict[str, tuple[Stack, str]]:
        """Every export of a region: name -> (stack, value)."""
        return {
            output.export_name: (stack, output.value)
            for stack in self._store.stacks(region)
            if stack.status != "DELETE_COMPLETE"
            for output in stack.outputs
            if output.export_name is not None
        }

    def importers(self, region: str, name: str) -> list[str]:
        """The names of the stacks that import an export."""
        return [
            stack.name for stack in self._store.stacks(region) if name in stack.imports and stack.status != "DELETE_COMPLETE"
        ]

    def _evaluator(self, run: Run, template: dict[str, Any]) -> Evaluator:
        def reference(logical_id: str, attribute: str | None) -> Any:
            resource = self._store.resource(run.key, logical_id)
            if resource is None or not resource.exists:
                raise errors.FORMAT(
                    problem=f"Unresolved resource dependencies [{logical_id}] in the Resources block of the template"
                )
            if attribute is None:
                return resource.physical_id
            if attribute not in resource.attributes:
                raise errors.TEMPLATE_ERROR(
                    problem=f"resource {logical_id} does not support attribute type {attribute} in Fn::GetAtt"
                )
            return resource.attributes[attribute]

        def imported(name: str) -> str:
            value = imported_value(self.exports(run.stack.region), name)
            run.imports.append(name)
            return value

        desired = run.stack.desired
        return Evaluator(
            template, parameters.typed(template, desired.parameters), pseudo_parameters(run.stack), reference, imported
        )

    def _context(self, journal: Deployment) -> Run:
        stack = self._store.stack(journal.stack_key)
        old_tags = journal.previous.desired.tags if journal.previous is not None else stack.desired.tags
        steps = self._store.steps(stack.key)
        return Run(
            stack=stack,
            endpoint=journal.endpoint,
            token=journal.token,
            tags=stack.desired.tags,
            old_tags=old_tags,
            retain_except_on_create=stack.retain_except_on_create,
            steps_taken=steps[-1].number if steps else 0,
        )

    def _journal(self, stack_key: str) -> Deployment:
        journal = self._store.deployment(stack_key)
        if journal is None:
            raise RuntimeError(f"no operation is under way for {stack_key}")
        return journal

    def _close(self, journal: Deployment, execution: str) -> None:
        """End the journal and, where a change set was executed, say how; after success the stack's other ones are obsolete."""
        self._store.close_journal(journal.stack_key)
        executed = self._store.change_set(journal.change_set_key) if journal.change_set_key else None
        if executed is None or not execution:
            return
        self._store.put_change_set(replace(executed, execution=execution))
        if execution == "EXECUTE_COMPLETE":
            for other in self._store.change_sets(self._store.stack(journal.stack_key)):
                if other.key != executed.key:
                    self._store.drop_change_set(other)


def pseudo_parameters(stack: Stack) -> dict[str, Any]:
    """The pseudo parameters of a stack (AWS::NoValue apart, which is no value)."""
    suffix = "amazonaws.com.cn" if stack.region.startswith("cn-") else "amazonaws.com"
    return {
        "AWS::AccountId": stack.account_id,
        "AWS::NotificationARNs": list(stack.desired.notification_arns),
        "AWS::Partition": partition(stack.region),
        "AWS::Region": stack.region,
        "AWS::StackId": stack.stack_id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": suffix,
    }


def imported_value(exports: Mapping[str, tuple[Stack, str]], name: str) -> str:
    """The value of an export. Raises ValidationError where there is none."""
    if name not in exports:
        raise errors.ANY_TEXT(problem=f"No export named {name} found.")
    return exports[name][1]


def removal_order(resources: Any) -> list[Resource]:
    """Resources with each one before those it depends on."""
    by_name: dict[str, Resource] = {resource.logical_id: resource for resource in resources}
    ordered: dict[str, Resource] = {}
    for first in by_name:
        pending = [(first, False)]
        while pending:
            name, children_done = pending.pop()
            if children_done:
                ordered.setdefault(name, by_name[name])
            elif name not in ordered:
                pending.append((name, True))
                pending += [(other, False) for other in by_name[name].depends_on if other in by_name and other not in ordered]
    return list(reversed(ordered.values()))


def _made_by(step: Step) -> Resource:
    return Resource(
        logical_id=step.logical_id,
        type=step.type,
        status="CREATE_COMPLETE",
        updated_at=step.started_at,
        physical_id=step.physical_id,
        properties=step.properties,
    )


def _physical(resource: Resource | None) -> str:
    return resource.physical_id if resource is not None else ""
