"""One resource at a time: create, replace, update, remove, undo; each journalled before it acts and told in events.

The saga (`saga.py`) decides what happens in which order; here is how one step happens. A step is written down before its
action and again as soon as a physical id is known, so that whatever the moment of a crash, `undo` knows what to take back.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal
from tenantry.services.cloudformation.changes import differing
from tenantry.services.cloudformation.intrinsics import same
from tenantry.services.cloudformation.records import Resource, Stack, Step
from tenantry.services.cloudformation.resources.contract import Caller, Made, ResourceType, Scope, not_found
from tenantry.services.cloudformation.store import Store
from tenantry.services.operation import Context

log = logging.getLogger(__name__)

REPLACING = "Requested update requires the creation of a new physical resource; hence creating one."
INITIATED = "Resource creation Initiated"
CUSTOM_NAME = (
    "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
    "Rename {name} and update the stack again."
)
_SERVICE_NAMES = {
    "lambda": "Lambda",
    "iam": "Iam",
    "logs": "CloudWatchLogs",
    "apigateway": "ApiGateway",
    "s3": "S3",
}


class StepError(Exception):
    """A step failed; the resource's events say so already. `verb` is create, update or delete."""

    def __init__(self, logical_id: str, verb: str, reason: str) -> None:
        super().__init__(reason)
        self.logical_id = logical_id
        self.verb = verb
        self.reason = reason


@dataclass(slots=True)
class Run:
    """What all steps of one stack operation share. `tags` are the stack's after it, `old_tags` those before."""

    stack: Stack
    endpoint: str
    token: str | None
    tags: Mapping[str, str]
    old_tags: Mapping[str, str]
    retain_except_on_create: bool = False
    steps_taken: int = 0
    imports: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The stack's key."""
        return self.stack.key


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource as the template wants it, resolved."""

    logical_id: str
    type: str
    properties: dict[str, Any]
    depends_on: tuple[str, ...]
    deletion_policy: str
    replace_policy: str
    metadata: Any


class Actions:
    """See the module's docstring."""

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
        self._operations = operations
        self._clock = clock
        self._sleep = sleep

    async def apply(self, run: Run, wanted: Wanted) -> None:
        """Bring one resource to what is wanted. Raises StepError."""
        old = self._store.resource(run.key, wanted.logical_id)
        if old is None or not old.exists:
            await self._create(run, wanted, None)
            return
        schema = self._types[wanted.type].schema
        changed = differing(old.properties, wanted.properties)
        retagged = schema.tagged and dict(run.tags) != old.tags
        if schema.create_only.intersection(changed):
            await self._create(run, wanted, old)
        elif changed or retagged:
            await self._update(run, wanted, old)
        elif not _described_alike(old, wanted):
            with self._store.transaction():
                step = self._step(run, wanted, "describe", old)
                self._store.put_step(run.key, replace(step, state="done"))
                self._store.put_resource(run.key, _described(old, wanted))

    async def remove(self, run: Run, resource: Resource, *, keep: bool, retain: bool) -> None:
        """Delete one resource, or let go of it. keep: whether its record stays. Raises StepError."""
        if retain:
            self._tell(run, replace(resource, status="DELETE_SKIPPED", reason=None), keep=keep)
            return
        self._tell(run, replace(resource, status="DELETE_IN_PROGRESS", reason=None), keep=keep)
        try:
            await self._delete(run, resource)
        except Exception as error:  # whatever went wrong, the others still have to be removed
            reason = self._reason(error)
            self._tell(run, replace(resource, status="DELETE_FAILED", reason=reason), keep=keep)
            raise StepError(resource.logical_id, "delete", reason) from error
        self._tell(run, replace(resource, status="DELETE_COMPLETE", reason=None), keep=keep)

    async def undo(self, run: Run, step: Step) -> None:
        """Take one step back; its journal entry goes with it. Raises StepError."""
        if step.action == "describe" and step.old is not None:
            with self._store.transaction():
                self._store.put_resource(run.key, step.old)
                self._store.drop_step(run.key, step)
        elif step.action == "update":
            await self._undo_update(run, step)
        else:
            await self._undo_create(run, step)

    # ---- create and replace
    async def _create(self, run: Run, wanted: Wanted, old: Resource | None) -> None:
        kind = self._types[wanted.type]
        record = Resource(
            logical_id=wanted.logical_id,
            type=wanted.type,
            status="CREATE_IN_PROGRESS",
            updated_at=0,
            properties=wanted.properties,
            depends_on=wanted.depends_on,
            deletion_policy=wanted.deletion_policy,
            replace_policy=wanted.replace_policy,
            metadata=wanted.metadata,
            tags=dict(run.tags) if kind.schema.tagged else {},
        )
        verb = "CREATE"
        if old is not None:
            verb, record = "UPDATE", replace(record, status="UPDATE_IN_PROGRESS", physical_id=old.physical_id, reason=REPLACING)
        self._tell(run, record, keep=old is None)
        step = self._step(run, wanted, "create" if old is None else "replace", old)

        def claim(physical_id: str) -> None:
            nonlocal step
            step = replace(step, physical_id=physical_id)
            with self._store.transaction():
                self._store.put_step(run.key, step)
                self._tell(run, replace(record, physical_id=physical_id, reason=INITIATED), keep=old is None)

        scope = self._scope(run, wanted.logical_id, run.tags, claim)
        try:
            identity = kind.identity(scope, wanted.properties)
            if identity is not None and await kind.exists(scope, identity, wanted.properties):
                raise _already_exists(wanted, identity, old)
            if identity is not None:
                claim(identity)
            made = await kind.create(scope, identity, wanted.properties)
        except Exception as error:  # a fault in a service must be undone like a refusal
            self._refused(run, step, error)
            reason = self._reason(error)
            shown = record if old is None else replace(record, physical_id=old.physical_id)
            failed = replace(shown, status=f"{verb}_FAILED", reason=reason, physical_id=step.physical_id or shown.physical_id)
            self._tell(run, failed, keep=old is None)
            raise StepError(wanted.logical_id, verb.lower(), reason) from error
        self._done(run, step, record, made, verb)

    def _refused(self, run: Run, step: Step, error: Exception) -> None:
        """Note in the journal how a creation ended that did not succeed: what exists already is not ours to remove."""
        if isinstance(error, ServiceError) and handler_code(error) == "AlreadyExists":
            step = replace(step, physical_id="")
        self._store.put_step(run.key, replace(step, state="failed"))

    async def _undo_create(self, run: Run, step: Step) -> None:
        record = self._store.resource(run.key, step.logical_id) if step.action == "create" else None
        policy = record.deletion_policy if record is not None else "Delete"
        made = Resource(
            logical_id=step.logical_id,
            type=step.type,
            status="DELETE_IN_PROGRESS",
            updated_at=0,
            physical_id=step.physical_id,
            properties=step.properties,
            deletion_policy=policy,
        )
        for physical_id in await self._leftovers(run, step):
            made = replace(made, physical_id=physical_id)
        if made.physical_id:
            retain = policy == "Retain" and step.state == "done" and not run.retain_except_on_create
            await self.remove(run, made, keep=step.action == "create", retain=retain)
        elif step.action == "create":
            self._tell(run, replace(made, status="DELETE_COMPLETE"), keep=True)
        with self._store.transaction():
            if step.old is not None:
                self._tell(run, replace(step.old, status="UPDATE_COMPLETE", reason=None), keep=True)
            elif run.stack.status != "ROLLBACK_IN_PROGRESS":
                self._store.drop_resource(run.key, step.logical_id)  # an update that is undone never had it
            self._store.drop_step(run.key, step)

    async def _leftovers(self, run: Run, step: Step) -> list[str]:
        """What a creation made that a crash interrupted before its id was written down."""
        if step.physical_id or step.state != "started":
            return []
        scope = self._scope(run, step.logical_id, run.old_tags, _claimed)
        try:
            found = await self._types[step.type].find(scope, step.properties, step.started_at)
        except ServiceError as error:
            raise StepError(step.logical_id, "delete", self._reason(error)) from error
        known = self._store.known_physical_ids(run.stack.region, step.type)
        return [physical_id for physical_id in found if physical_id not in known][:1]

    # ---- update
    async def _update(self, run: Run, wanted: Wanted, old: Resource) -> None:
        record = _described(replace(old, status="UPDATE_IN_PROGRESS", reason=None), wanted)
        self._tell(run, record, keep=True)
        step = self._step(run, wanted, "update", old)
        scope = self._scope(run, wanted.logical_id, run.tags, _claimed)
        try:
            made = await self._types[wanted.type].update(scope, old.physical_id, old.properties, wanted.properties)
        except Exception as error:  # a fault in a service must be undone like a refusal
            self._store.put_step(run.key, replace(step, state="failed"))
            reason = self._reason(error)
            self._tell(run, replace(old, status="UPDATE_FAILED", reason=reason), keep=True)
            raise StepError(wanted.logical_id, "update", reason) from error
        tags = dict(run.tags) if self._types[wanted.type].schema.tagged else {}
        self._done(run, step, replace(record, properties=wanted.properties, tags=tags), made, "UPDATE")

    async def _undo_update(self, run: Run, step: Step) -> None:
        old = step.old
        if old is None:
            raise ValueError(f"step {step.number} updates nothing")
        self._tell(run, replace(old, status="UPDATE_IN_PROGRESS", reason=None), keep=True)
        scope = self._scope(run, step.logical_id, run.old_tags, _claimed)
        try:
            await self._types[step.type].update(scope, old.physical_id, step.properties, old.properties)
        except Exception as error:  # whatever went wrong, the others still have to be undone
            reason = self._reason(error)
            self._tell(run, replace(old, status="UPDATE_FAILED", reason=reason), keep=True)
            raise StepError(step.logical_id, "update", reason) from error
        with self._store.transaction():
            self._tell(run, replace(old, status="UPDATE_COMPLETE", reason=None), keep=True)
            self._store.drop_step(run.key, step)

    # ---- what they share
    async def _delete(self, run: Run, resource: Resource) -> None:
        scope = self._scope(run, resource.logical_id, run.old_tags, _claimed)
        await self._types[resource.type].delete(scope, resource.physical_id, resource.properties)

    def _step(self, run: Run, wanted: Wanted, action: str, old: Resource | None) -> Step:
        run.steps_taken += 1
        step = Step(
            number=run.steps_taken,
            logical_id=wanted.logical_id,
            type=wanted.type,
            action=action,
            state="started",
            started_at=self._clock.now(),
            properties=wanted.properties,
            physical_id=old.physical_id if action == "update" and old is not None else "",
            old=old,
        )
        return self._store.put_step(run.key, step)

    def _done(self, run: Run, step: Step, record: Resource, made: Made, verb: str) -> None:
        with self._store.transaction():
            self._store.put_step(run.key, replace(step, state="done", physical_id=made.physical_id))
            complete = replace(
                record, status=f"{verb}_COMPLETE", reason=made.warning, physical_id=made.physical_id, attributes=made.attributes
            )
            self._tell(run, complete, keep=True)

    def _tell(self, run: Run, resource: Resource, *, keep: bool) -> None:
        self._store.record_resource(run.key, resource, run.token, keep=keep)

    def _scope(self, run: Run, logical_id: str, tags: Mapping[str, str], claim: Callable[[str], None]) -> Scope:
        stack = run.stack
        root = Principal(
            arn=f"arn:aws:iam::{stack.account_id}:root", user_id=stack.account_id, service="cloudformation.amazonaws.com"
        )
        return Scope(
            operations=self._operations,
            ctx=Context(stack.region, stack.account_id, str(uuid.uuid4()), root, run.endpoint),
            stack_name=stack.name,
            stack_id=stack.stack_id,
            logical_id=logical_id,
            tags=tags,
            clock=self._clock,
            sleep=self._sleep,
            claim=claim,
        )

    def _reason(self, error: Exception) -> str:
        if isinstance(error, ServiceError):
            return handler_reason(error)
        log.error("a resource handler failed", exc_info=error)
        fault = ServiceError("InternalFailure", f"Internal error: {type(error).__name__}", status=500, sender=False)
        return handler_reason(fault)


def handler_code(error: ServiceError) -> str:
    """CloudFormation's HandlerErrorCode for a service's refusal."""
    text = f"{error.code} {error.message}".lower()
    if "already exist" in text or "alreadyexist" in text or "alreadyowned" in text:
        return "AlreadyExists"
    if error.code == "NotStabilized":
        return "NotStabilized"
    if not_found(error):
        return "NotFound"
    if error.status == 429 or "throttl" in text:
        return "Throttling"
    if error.status == 403:
        return "AccessDenied"
    if error.status >= 500:
        return "ServiceInternalError" if error.status != 501 else "UnsupportedOperation"
    return "ResourceConflict" if error.status == 409 else "InvalidRequest"


def handler_reason(error: ServiceError) -> str:
    """The status reason of a resource whose handler was refused (aws-behaviour 5.6)."""
    return (
        f'Resource handler returned message: "{error.message}" '
        f"(RequestToken: {uuid.uuid4()}, HandlerErrorCode: {handler_code(error)})"
    )


def _already_exists(wanted: Wanted, identity: str, old: Resource | None) -> ServiceError:
    if old is not None and old.physical_id == identity:
        return ServiceError("NotUpdatable", CUSTOM_NAME.format(name=identity))
    message = f"Resource of type '{wanted.type}' with identifier '{identity}' already exists."
    return ServiceError("AlreadyExists", message, status=409)


def _described_alike(old: Resource, wanted: Wanted) -> bool:
    return (
        old.deletion_policy == wanted.deletion_policy
        and old.replace_policy == wanted.replace_policy
        and old.depends_on == wanted.depends_on
        and same(old.metadata, wanted.metadata)
    )


def _described(old: Resource, wanted: Wanted) -> Resource:
    """The resource with everything of the wanted one that no service is told."""
    return replace(
        old,
        deletion_policy=wanted.deletion_policy,
        replace_policy=wanted.replace_policy,
        depends_on=wanted.depends_on,
        metadata=wanted.metadata,
    )


def _claimed(physical_id: str) -> None:
    """Outside creation there is nothing to claim."""
