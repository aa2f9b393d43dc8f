"""`LogsService`: CloudWatch Logs, put together from its parts, and the sweeper that lets old events go.

The service is what gives the log store its groups: an environment's first line makes the group's record.
"""

from __future__ import annotations

import asyncio

from tenantry.model.clock import Clock
from tenantry.services.logs.base import TAIL_INTERVAL_S
from tenantry.services.logs.events import Events
from tenantry.services.logs.groups import Groups
from tenantry.services.logs.live_tail import LiveTail
from tenantry.services.logs.queries import Queries
from tenantry.services.logs.streams import Streams
from tenantry.store.documents import Documents
from tenantry.store.logs.store import LogStore, LogStoreUnavailableError

SWEEP_S = 1800.0


class LogsService(Groups, Streams, Events, Queries, LiveTail):
    """Every operation of `logs`. `store` is started and closed by whoever made it, around `start` and `close`."""

    name = "logs"

    def __init__(
        self, documents: Documents, store: LogStore, clock: Clock, account_id: str, *, tail_interval_s: float = TAIL_INTERVAL_S
    ) -> None:
        super().__init__(documents, store, clock, account_id, tail_interval_s=tail_interval_s)
        store.on_new_group(self.ensure_group)
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to sweep, now and every half hour."""
        self._sweeper = asyncio.create_task(self._keep_sweeping(), name="logs-sweeper")

    async def close(self) -> None:
        """Stop what runs in the background. Safe to call twice."""
        await self.stop_queries()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    async def sweep(self) -> None:
        """Let every group's expired events go (they are invisible already)."""
        for group in self._groups.values():
            if group.retention_days:
                await self._store.expire(group.region, group.name, self._oldest_ms(group))

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except LogStoreUnavailableError as error:
                asyncio.get_running_loop().call_exception_handler({"message": "old log events stay", "exception": error})
            await asyncio.sleep(SWEEP_S)
