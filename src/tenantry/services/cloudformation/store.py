"""Where CloudFormation's records live, and the small rules of keeping them: names, event times, what is forgotten when.

Every key starts with the region. Several writes that belong together go into one `transaction()`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import replace

from tenantry.model.clock import Clock
from tenantry.services.cloudformation import errors
from tenantry.services.cloudformation.parameters import MASK
from tenantry.services.cloudformation.records import ROOT_TYPE, ChangeSet, Deployment, Event, Resource, Stack, Step
from tenantry.store.documents import Documents

DELETED_STACKS_KEPT = 100  # of a region; AWS shows them for 90 days, this many is what a person may still look up


EVENTS_KEPT = 2000  # of a stack, when an update begins


class Store:
    """Typed access to the documents of this service."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._stacks = documents.collection("cloudformation.stacks", Stack)
        self._resources = documents.collection("cloudformation.resources", Resource)
        self._events = documents.collection("cloudformation.events", Event)
        self._change_sets = documents.collection("cloudformation.changesets", ChangeSet)
        self._deployments = documents.collection("cloudformation.deployments", Deployment)
        self._steps = documents.collection("cloudformation.steps", Step)

    def transaction(self) -> AbstractContextManager[None]:
        """All writes inside are kept together or not at all."""
        return self._documents.transaction()

    # ---- stacks
    def stack(self, key: str) -> Stack:
        """The stack under a key that is known to exist."""
        stack = self._stacks.get(key)
        if stack is None:
            raise errors.STACK_UNKNOWN(name=key.split("/")[1])
        return stack

    def find(self, region: str, name_or_id: str) -> Stack | None:
        """A stack by name (not a deleted one) or by ARN (deleted ones too)."""
        if name_or_id.startswith("arn:"):
            parts = name_or_id.split(":", 5)
            path = parts[5].split("/") if len(parts) == 6 else []
            return self._stacks.get(f"{parts[3]}/{path[1]}/{path[2]}") if len(path) == 3 and parts[3] == region else None
        for _, stack in self._stacks.items(f"{region}/{name_or_id}/"):
            if stack.status != "DELETE_COMPLETE":
                return stack
        return None

    def stacks(self, region: str) -> list[Stack]:
        """All stacks of a region, deleted ones too, newest first."""
        return sorted(self._stacks.values(f"{region}/"), key=lambda stack: (-stack.created_at, stack.name))

    def put_stack(self, stack: Stack) -> Stack:
        """Keep a stack."""
        self._stacks.put(stack.key, stack)
        return stack

    def forget_old(self, region: str) -> None:
        """Drop all but the newest deleted stacks, and what belongs to them."""
        deleted = [stack for stack in self.stacks(region) if stack.status == "DELETE_COMPLETE"]
        deleted.sort(key=lambda stack: -(stack.deleted_at or 0))
        for stack in deleted[DELETED_STACKS_KEPT:]:
            self.forget(stack)

    def forget(self, stack: Stack) -> None:
        """Drop a stack without a trace."""
        with self.transaction():
            for collection in (self._resources, self._events, self._change_sets):
                for key, _ in collection.items(f"{stack.key}/"):
                    collection.delete(key)
            self._stacks.delete(stack.key)

    # ---- events
    def record(self, stack: Stack, status: str, reason: str | None = None, token: str | None = None) -> Stack:
        """Move a stack to a status: the stack with that status, and its event, kept. Returns the stack."""
        moved = replace(stack, status=status, reason=reason, last_event_ms=self._next_ms(stack))
        event = Event(
            event_id=str(uuid.uuid4()),
            logical_id=stack.name,
            physical_id=stack.stack_id,
            type=ROOT_TYPE,
            status=status,
            at_ms=moved.last_event_ms,
            reason=reason,
            token=token,
        )
        with self.transaction():
            self._put_event(stack.key, event)
            self.put_stack(moved)
        return moved

    def record_resource(self, stack_key: str, resource: Resource, token: str | None = None, *, keep: bool = True) -> Resource:
        """Keep a resource in its status (unless `keep` is false) together with the event that says so."""
        stack = self.stack(stack_key)
        desired = stack.desired
        secrets = [desired.parameters[name] for name in desired.no_echo if desired.parameters.get(name)]
        at_ms = self._next_ms(stack)
        resource = replace(resource, updated_at=at_ms / 1000)
        event = Event(
            event_id=f"{resource.logical_id}-{resource.status}-{at_ms}",
            logical_id=resource.logical_id,
            physical_id=resource.physical_id,
            type=resource.type,
            status=resource.status,
            at_ms=at_ms,
            reason=resource.reason,
            properties=json.dumps(masked(resource.properties, secrets)) if resource.properties else None,
            token=token,
        )
        with self.transaction():
            self._put_event(stack_key, event)
            self.put_stack(replace(stack, last_event_ms=at_ms))
            if keep:
                self.put_resource(stack_key, resource)
        return resource

    def events(self, stack: Stack) -> list[Event]:
        """A stack's events, newest first."""
        return self._events.values(f"{stack.key}/")[::-1]

    def forget_old_events(self, stack: Stack) -> None:
        """Drop all but the newest events of a stack."""
        keys = [key for key, _ in self._events.items(f"{stack.key}/")]
        for key in keys[:-EVENTS_KEPT]:
            self._events.delete(key)

    def _put_event(self, stack_key: str, event: Event) -> None:
        self._events.put(f"{stack_key}/{event.at_ms:015d}", event)

    def _next_ms(self, stack: Stack) -> int:
        # Clients page by time and skip what is not newer (aws-behaviour 5.4 step 13), so no two events share a millisecond.
        return max(int(self._clock.now() * 1000), stack.last_event_ms + 1)

    # ---- resources
    def resource(self, stack_key: str, logical_id: str) -> Resource | None:
        """A resource of a stack."""
        return self._resources.get(f"{stack_key}/{logical_id}")

    def resources(self, stack_key: str) -> dict[str, Resource]:
        """The resources of a stack by logical id."""
        return {resource.logical_id: resource for resource in self._resources.values(f"{stack_key}/")}

    def put_resource(self, stack_key: str, resource: Resource) -> None:
        """Keep a resource without an event."""
        self._resources.put(f"{stack_key}/{resource.logical_id}", resource)

    def drop_resource(self, stack_key: str, logical_id: str) -> None:
        """A resource is no longer part of the stack."""
        self._resources.delete(f"{stack_key}/{logical_id}")

    def known_physical_ids(self, region: str, kind: str) -> set[str]:
        """Physical ids of every existing resource of a type in a region, over all stacks."""
        return {
            resource.physical_id
            for resource in self._resources.values(f"{region}/")
            if resource.type == kind and resource.exists
        }

    def owner(self, region: str, physical_id: str) -> Stack | None:
        """The stack that holds the resource with this physical id."""
        for key, resource in self._resources.items(f"{region}/"):
            if resource.physical_id == physical_id and resource.exists:
                return self._stacks.get(key.rsplit("/", 1)[0])
        return None

    # ---- change sets
    def change_set(self, key: str) -> ChangeSet | None:
        """A change set."""
        return self._change_sets.get(key)

    def change_sets(self, stack: Stack) -> list[ChangeSet]:
        """The change sets of a stack, oldest first."""
        return sorted(self._change_sets.values(f"{stack.key}/"), key=lambda change_set: change_set.created_at)

    def change_set_by_id(self, region: str, arn: str) -> ChangeSet | None:
        """A change set by ARN `...:changeSet/<name>/<unique>`."""
        name, _, unique = arn.partition(":changeSet/")[2].partition("/")
        for change_set in self._change_sets.values(f"{region}/"):
            if change_set.name == name and change_set.unique == unique:
                return change_set
        return None

    def put_change_set(self, change_set: ChangeSet) -> None:
        """Keep a change set."""
        self._change_sets.put(change_set.key, change_set)

    def drop_change_set(self, change_set: ChangeSet) -> None:
        """Forget a change set."""
        self._change_sets.delete(change_set.key)

    # ---- the journal
    def deployment(self, stack_key: str) -> Deployment | None:
        """The deployment under way for a stack."""
        return self._deployments.get(stack_key)

    def deployments(self) -> list[Deployment]:
        """Every deployment that has not ended."""
        return self._deployments.values()

    def put_deployment(self, deployment: Deployment) -> Deployment:
        """Keep the head of a journal."""
        self._deployments.put(deployment.stack_key, deployment)
        return deployment

    def put_step(self, stack_key: str, step: Step) -> Step:
        """Keep a step of a journal."""
        self._steps.put(f"{stack_key}/{step.number:06d}", step)
        return step

    def drop_step(self, stack_key: str, step: Step) -> None:
        """A step was undone."""
        self._steps.delete(f"{stack_key}/{step.number:06d}")

    def steps(self, stack_key: str) -> list[Step]:
        """The steps of a stack's journal, in the order they were taken."""
        return self._steps.values(f"{stack_key}/")

    def close_journal(self, stack_key: str) -> None:
        """The deployment has ended: nothing is left to undo."""
        with self.transaction():
            for key, _ in self._steps.items(f"{stack_key}/"):
                self._steps.delete(key)
            self._deployments.delete(stack_key)


def change_set_arn(stack: Stack, change_set: ChangeSet) -> str:
    """The ARN of a change set of a stack."""
    return f"{stack.stack_id.split(':stack/')[0]}:changeSet/{change_set.name}/{change_set.unique}"


def masked(value: Any, secrets: Sequence[str]) -> Any:
    """Properties with the values of NoEcho parameters made unreadable."""
    if isinstance(value, dict):
        return {name: masked(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
    return value


def paged(items: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    """One page of a list and the token of the next; a token that we did not give is refused with ValidationError."""
    if token is not None and not token.isdecimal():
        raise errors.BAD_TOKEN()
    start = int(token or 0)
    following = start + size
    return items[start:following], str(following) if following < len(items) else None
