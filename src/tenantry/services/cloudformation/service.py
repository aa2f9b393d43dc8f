"""AWS CloudFormation: the service's class, made of its operations by theme.

    stacks.py       create, update, delete, switches        change_sets.py   plan and execute
    reading.py      describe, list, get                      core.py          what they share
         |                                                        |
    planning.py     template -> desired state and changes    saga.py          desired state -> resources, and back
         |                                                        |
    template, parameters, intrinsics, graph, changes         actions.py, resources/ (one file per type)

Other services are called through `operations` only. Work in the background goes to `spawn`; `recover` takes up at start-up
what a crash interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tenantry.model.clock import Clock
from tenantry.services.cloudformation.change_sets import ChangeSetOperations
from tenantry.services.cloudformation.core import Spawn
from tenantry.services.cloudformation.planning import Planner
from tenantry.services.cloudformation.reading import ReadingOperations
from tenantry.services.cloudformation.resources.contract import Caller, ResourceType
from tenantry.services.cloudformation.resources.registry import RESOURCE_TYPES
from tenantry.services.cloudformation.saga import Saga
from tenantry.services.cloudformation.stacks import StackOperations
from tenantry.services.cloudformation.store import Store
from tenantry.services.cloudformation.transform import Transformer
from tenantry.store.documents import Documents


class CloudFormationService(StackOperations, ChangeSetOperations, ReadingOperations):
    """CloudFormation 2010-05-15.

    spawn: takes a coroutine and runs it in the background; the caller cancels it at shutdown, which a later `recover` mends.
    rewrite_outputs: whether outputs that name an API of ours are shown with an address that works here.
    answer_after_s: how long deletions and executions may hold their answer to give it when all is done.
    warm_up: called when somebody asks about stacks, which is how every deployment begins.
    """

    name = "cloudformation"

    def __init__(
        self,
        documents: Documents,
        operations: Caller,
        clock: Clock,
        spawn: Spawn,
        transformer: Transformer,
        *,
        rewrite_outputs: bool = True,
        answer_after_s: float = 0.0,
        warm_up: Callable[[], object] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        types: Mapping[str, ResourceType] = RESOURCE_TYPES,
    ) -> None:
        store = Store(documents, clock)
        saga = Saga(store, types, operations, clock, sleep)
        planner = Planner(store, saga, types, operations, transformer)
        super().__init__(
            store,
            saga,
            planner,
            operations,
            clock,
            spawn,
            rewrite_outputs=rewrite_outputs,
            answer_after_s=answer_after_s,
            warm_up=warm_up,
        )

    def recover(self) -> list[str]:
        """Take up interrupted operations: what was on its way forward is rolled back. Returns the names of their stacks.

        Call once, after every service that resources are made of has been added to the operations.
        """
        keys = self._saga.interrupted()
        for key in keys:
            self._start(key)
        return [self._store.stack(key).name for key in keys]
