"""What a resource type is to a deployment, and the help its implementations share.

One file per type; one row each in `registry.py`. A type calls other services only through its `Scope`. Rules:

- `create` tells `scope.claim(physical_id)` as soon as a service has given an id, before any further call, so that a half made
  resource can be undone. A type whose id is chosen here says it beforehand with `identity`.
- `update` brings a resource from `old` to `new` properties and must also work where that happened in part or already: it is
  how changes are undone.
- `delete` succeeds where there is nothing to delete.
- Properties arrive resolved and shaped (see `shape.py`). A refusal is the ServiceError of the called service.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.records import partition
from tenantry.services.operation import Context

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_NAME_SUFFIX_LENGTH = 12

Properties = dict[str, Any]


class Caller(Protocol):
    """The operation interface of the platform (`services.operation.Operations`)."""

    async def call(self, service: str, name: str, params: dict[str, Any], ctx: Context) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Schema:
    """What a type is called and takes.

    shape: property name to its shape, every supported property and no other; create_only: properties whose change needs a
    new resource; attributes: names for Fn::GetAtt; tagged: whether tags of the stack are passed on.
    """

    type: str
    shape: Mapping[str, Any]
    required: tuple[str, ...] = ()
    create_only: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    tagged: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A resource that exists: the value of its `Ref`, its attributes, and what a person should know about it (told as an
    event)."""

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What an action on one resource may use."""

    operations: Caller
    ctx: Context
    stack_name: str
    stack_id: str
    logical_id: str
    tags: Mapping[str, str]
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    claim: Callable[[str], None]

    async def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Call an operation of a service; members that are None are left out, of what is sent and of the answer."""
        given = {name: value for name, value in params.items() if value is not None}
        answer: dict[str, Any] = _present(await self.operations.call(service, operation, given, self.ctx))
        return answer

    async def call_unless_gone(self, service: str, operation: str, **params: Any) -> dict[str, Any] | None:
        """Call an operation; None where the service says that the thing is not there."""
        try:
            return await self.call(service, operation, **params)
        except ServiceError as error:
            if not_found(error):
                return None
            raise

    @property
    def partition(self) -> str:
        """The AWS partition of the stack's region."""
        return partition(self.ctx.region)

    def generated_name(self, limit: int) -> str:
        """`<stack>-<logical id>-<12 random characters>`, its parts cut to fit `limit` characters as AWS cuts them."""
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(_NAME_SUFFIX_LENGTH))
        room = limit - len(suffix) - 2
        stack, logical = self.stack_name, self.logical_id
        if len(stack) + len(logical) > room:
            stack = stack[: max(room // 2, room - len(logical))]
            logical = logical[: room - len(stack)]
        return f"{stack}-{logical}-{suffix}"

    def all_tags(self, own: list[dict[str, str]] | None) -> dict[str, str]:
        """The stack's tags and the resource's own; the latter win."""
        return {**self.tags, **{tag["Key"]: tag["Value"] for tag in own or []}}

    def with_tags(self, tags: Mapping[str, str]) -> Scope:
        """The same scope with other stack tags (the ones before an update, when it is undone)."""
        return replace(self, tags=tags)


class ResourceType(Protocol):
    """See the module's docstring for the rules."""

    schema: Schema

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        """The physical id, where it is known before creation: the name in the properties, or a generated one."""

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        """Whether a resource of that identity is there already. Only asked where `identity` gave one."""

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        """Make it. `physical_id` is what `identity` said."""

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        """Change it in place."""

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        """Remove it."""

    async def find(self, scope: Scope, properties: Properties, since_s: float) -> list[str]:
        """Physical ids of what an interrupted `create` may have made at or after `since_s` without claiming it.

        The caller leaves out what belongs to a stack. Only asked where `identity` gave none.
        """


class Base:
    """Defaults for types whose id the service assigns and that are never updated."""

    schema: Schema

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return None

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        return False

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        raise ServiceError("NotUpdatable", f"Resource type {self.schema.type} does not support updates.")

    async def find(self, scope: Scope, properties: Properties, since_s: float) -> list[str]:
        return []


def not_found(error: ServiceError) -> bool:
    """Whether a refusal says that the thing is not there."""
    return error.status == 404 or error.code.startswith("NoSuch") or error.code.endswith(("NotFound", "NotFoundException"))


def _present(value: Any) -> Any:
    """An answer as it would be after the wire, which carries no member that is None."""
    if isinstance(value, dict):
        return {name: _present(item) for name, item in value.items() if item is not None}
    return [_present(item) for item in value] if isinstance(value, list) else value


def document(value: Any) -> str:
    """A policy or schema as the JSON text that services take."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]] | None:
    """Tags in the list form; None for none."""
    return [{"Key": key, "Value": value} for key, value in tags.items()] or None


def tag_changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """(tags to set, keys to take away) between two sets of tags."""
    return {key: value for key, value in new.items() if old.get(key) != value}, [key for key in old if key not in new]
