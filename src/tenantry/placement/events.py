"""Asynchronous invocations: an in-memory queue with AWS's retries (aws-behaviour 2.5).

A refused event is refused before it is queued. A function's own error is retried after one and two minutes
(MaximumRetryAttempts), a throttle or a platform error with growing pauses for as long as the event may live; the request id
stays the same. The queue is lost with the process: a durable one is later work, and the README says so.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tenantry.environment.environment import EnvironmentFailed
from tenantry.environment.outcome import Outcome
from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.function import FunctionEntry, FunctionVersion
from tenantry.model.invocation import InvokeRequest
from tenantry.placement.admission import QUEUE_FULL

QUEUED_MAX = 10_000
QUEUED_BYTES_MAX = 256 << 20
RUNNING_MAX = 64
RETRY_PAUSES_S = (60.0, 120.0)
BACKOFF_S, BACKOFF_MAX_S = 1.0, 300.0
RETRIES_DEFAULT, AGE_DEFAULT_S = 2, 21_600

Run = Callable[[FunctionEntry, FunctionVersion, InvokeRequest, str], Awaitable[Outcome]]


@dataclass(slots=True)
class _Event:
    entry: FunctionEntry
    function: FunctionVersion
    request: InvokeRequest
    invoked_arn: str
    retries_left: int
    expires_at: float
    failures: int = 0
    throttles: int = 0


@dataclass(order=True, slots=True)
class _Due:
    at: float
    order: int
    event: _Event = field(compare=False)


class EventQueue:
    """Events waiting for their turn. `run` must be running for them to be taken."""

    def __init__(self, run: Run, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self._due: list[_Due] = []
        self._order = itertools.count()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._running = asyncio.Semaphore(RUNNING_MAX)
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._due)

    def put(self, entry: FunctionEntry, function: FunctionVersion, request: InvokeRequest, invoked_arn: str) -> None:
        """Queue an event. Raises ServiceError when the queue is full."""
        if len(self._due) >= QUEUED_MAX or self._bytes + len(request.payload) > QUEUED_BYTES_MAX:
            raise QUEUE_FULL()
        qualifier = request.qualifier or ""
        retries = entry.async_retries.get(qualifier, RETRIES_DEFAULT)
        age_s = entry.async_max_age_s.get(qualifier, AGE_DEFAULT_S)
        now = self._clock.monotonic()
        self._push(_Event(entry, function, request, invoked_arn, retries, now + age_s), now)

    async def run(self) -> None:
        """Take events as they fall due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wait_for_next()
                await self._running.acquire()
                due = heapq.heappop(self._due)
                self._bytes -= len(due.event.request.payload)
                group.create_task(self._attempt(due.event))

    async def _wait_for_next(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock.monotonic()
            if self._due and self._due[0].at <= now:
                return
            pause = self._due[0].at - now if self._due else None
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _attempt(self, event: _Event) -> None:
        try:
            outcome = await self._run(event.entry, event.function, event.request, event.invoked_arn)
        except (ServiceError, EnvironmentFailed):
            event.throttles += 1
            pause = min(BACKOFF_S * 2 ** (event.throttles - 1), BACKOFF_MAX_S)
        else:
            if outcome.function_error is None:
                return
            if event.retries_left == 0:
                self.dropped += 1
                return
            event.retries_left -= 1
            pause = RETRY_PAUSES_S[min(event.failures, len(RETRY_PAUSES_S) - 1)]
            event.failures += 1
        finally:
            self._running.release()
        at = self._clock.monotonic() + pause
        if at > event.expires_at:
            self.dropped += 1
            return
        self._push(event, at)

    def _push(self, event: _Event, at: float) -> None:
        heapq.heappush(self._due, _Due(at, next(self._order), event))
        self._bytes += len(event.request.payload)
        self._wake.set()
