"""What the operations of this service have in common: its parts, finding stacks, tokens, and running in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from tenantry.model.clock import Clock
from tenantry.services.cloudformation import errors
from tenantry.services.cloudformation.planning import Planner
from tenantry.services.cloudformation.records import ChangeSet, Desired, Stack
from tenantry.services.cloudformation.resources.contract import Caller
from tenantry.services.cloudformation.saga import Saga
from tenantry.services.cloudformation.store import Store
from tenantry.services.operation import Context

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], object]

UPDATABLE = (
    "CREATE_COMPLETE",
    "CREATE_FAILED",
    "UPDATE_COMPLETE",
    "UPDATE_FAILED",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
)
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]*")
_NAME_MAX = 128


class Core:
    """Base of the operation classes."""

    def __init__(
        self,
        store: Store,
        saga: Saga,
        planner: Planner,
        operations: Caller,
        clock: Clock,
        spawn: Spawn,
        *,
        rewrite_outputs: bool,
        answer_after_s: float = 0.0,
        warm_up: Callable[[], object] = lambda: None,
    ) -> None:
        self._store = store
        self._saga = saga
        self._planner = planner
        self._operations = operations
        self._clock = clock
        self._spawn = spawn
        self._rewrite_outputs = rewrite_outputs
        self._answer_after_s = answer_after_s
        self._warm_up = warm_up
        self._under_way: dict[str, asyncio.Event] = {}

    def _known(self, ctx: Context, name_or_id: str) -> Stack:
        """A stack by name or ARN. Raises ValidationError in the words that `sam` looks for."""
        stack = self._store.find(ctx.region, name_or_id)
        if stack is None:
            raise errors.STACK_UNKNOWN(name=name_or_id)
        return stack

    def _change_set(self, ctx: Context, params: dict[str, Any]) -> tuple[Stack, ChangeSet]:
        """A change set by ARN, or by name and stack. Raises ChangeSetNotFound."""
        name = params["ChangeSetName"]
        if name.startswith("arn:"):
            change_set = self._store.change_set_by_id(ctx.region, name)
        elif "StackName" not in params:
            raise errors.CHANGE_SET_NEEDS_STACK()
        else:
            stack = self._store.find(ctx.region, params["StackName"])
            if stack is None:
                raise errors.STACK_ABSENT(name=params["StackName"])
            change_set = self._store.change_set(f"{stack.key}/{name}")
        if change_set is None:
            raise errors.CHANGE_SET_UNKNOWN(name=name)
        return self._store.stack(change_set.stack_key), change_set

    def _new_stack(self, ctx: Context, name: str) -> Stack:
        """A stack that does not exist yet. Raises ValidationError for a name that cannot be one."""
        if len(name) > _NAME_MAX:
            raise errors.LONG_NAME(name=name)
        if not _NAME.fullmatch(name):
            raise errors.BAD_NAME(name=name)
        return Stack(
            name=name,
            unique=str(uuid.uuid4()),
            region=ctx.region,
            account_id=ctx.account_id,
            status="REVIEW_IN_PROGRESS",
            created_at=self._clock.now(),
            desired=Desired(original="", processed="", parameters={}),
        )

    def _check_updatable(self, stack: Stack) -> None:
        if stack.status not in UPDATABLE:
            raise errors.STACK_BUSY(stack_id=stack.stack_id, status=stack.status)

    def _repeated(self, stack: Stack, params: dict[str, Any], operation: str) -> bool:
        """Whether this very request was accepted before. Raises TokenAlreadyExists for another operation's token."""
        token = params.get("ClientRequestToken")
        if token is None or stack.token is None or stack.token[0] != token:
            return False
        if stack.token[1] != operation:
            raise errors.TOKEN_TAKEN(token=token)
        return True

    def _with_token(self, stack: Stack, params: dict[str, Any], operation: str) -> Stack:
        token = params.get("ClientRequestToken")
        return replace(stack, token=(token, operation)) if token is not None else stack

    def _start(self, stack_key: str, skip: tuple[str, ...] = ()) -> None:
        """Run a stack's operation in the background."""
        done = self._under_way[stack_key] = asyncio.Event()
        self._spawn(self._operate(stack_key, skip, done))

    async def _soon(self, stack_key: str) -> None:
        """Hold the answer until the operation has ended, a little while at most.

        Clients ask how it went at once, and then only every 30 seconds: an operation of milliseconds should not cost them that.
        """
        done = self._under_way.get(stack_key)
        if done is not None and self._answer_after_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._answer_after_s):
                    await done.wait()

    async def _operate(self, stack_key: str, skip: tuple[str, ...], done: asyncio.Event) -> None:
        try:
            await self._saga.run(stack_key, skip)
        except Exception:
            # The journal stays, so the next start of the platform takes it up; the platform itself must go on.
            log.exception("the operation of stack %s broke off", stack_key)
        finally:
            done.set()
            if self._under_way.get(stack_key) is done:
                del self._under_way[stack_key]
