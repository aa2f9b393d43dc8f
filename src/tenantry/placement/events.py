"""Asynchronous invocations: an in-memory queue with AWS's retries (aws-behaviour 2.5).

A refused event is refused before it is queued. A function's own error is retried after one and two minutes
(MaximumRetryAttempts), a throttle or a platform error with growing pauses for as long as the event may live; the request id
and the tenant stay the same. What an event holds is the request alone: which function, version and alias it means is looked up
again at every attempt, so a retry runs the code that is there by then, and an event whose function is gone is dropped. The
queue is lost with the process: a durable one is later work, and the README says so.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tenantry.environment.environment import EnvironmentFailed
from tenantry.environment.outcome import Outcome
from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.function import FunctionEntry
from tenantry.model.invocation import InvokeRequest
from tenantry.placement.admission import QUEUE_FULL, THROTTLED

QUEUED_MAX = 10_000
QUEUED_BYTES_MAX = 256 << 20
RUNNING_MAX = 64
RETRY_PAUSES_S = (60.0, 120.0)
BACKOFF_S, BACKOFF_MAX_S = 1.0, 300.0
RETRIES_DEFAULT, AGE_DEFAULT_S = 2, 21_600

_WRONG_STATE = 409

Run = Callable[[InvokeRequest], Awaitable[Outcome]]
Pause = Callable[[asyncio.Event, float | None], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Event:
    request: InvokeRequest
    retries_left: int
    expires_at: float
    failures: int = 0
    throttles: int = 0


@dataclass(order=True, slots=True)
class _Due:
    at: float
    order: int
    event: _Event = field(compare=False)


async def _sleep(wake: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return


class EventQueue:
    """Events waiting for their turn. `run` must be running for them to be taken.

    run: one attempt, resolving the function anew; it raises ServiceError or EnvironmentFailed where no invocation came about.
    pause: waits until its event is set or the seconds are over (None: for ever).
    """

    def __init__(self, run: Run, clock: Clock, pause: Pause = _sleep) -> None:
        self._run = run
        self._clock = clock
        self._pause = pause
        self._due: list[_Due] = []
        self._order = itertools.count()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._running = asyncio.Semaphore(RUNNING_MAX)
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._due)

    def put(self, entry: FunctionEntry, request: InvokeRequest) -> None:
        """Queue an event. Raises ServiceError when the queue is full."""
        if len(self._due) >= QUEUED_MAX or self._bytes + len(request.payload) > QUEUED_BYTES_MAX:
            raise QUEUE_FULL()
        qualifier = request.qualifier or ""
        retries = entry.async_retries.get(qualifier, RETRIES_DEFAULT)
        age_s = entry.async_max_age_s.get(qualifier, AGE_DEFAULT_S)
        now = self._clock.monotonic()
        self._push(_Event(request, retries, now + age_s), now)

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
            await self._pause(self._wake, self._due[0].at - now if self._due else None)

    async def _attempt(self, event: _Event) -> None:
        try:
            pause = await self._pause_after(event)
        except Exception:
            # One event that cannot be handled must not end the queue for all the others.
            log.exception("an asynchronous invocation of %s was dropped", event.request.function)
            pause = None
            self.dropped += 1
        finally:
            self._running.release()
        if pause is None:
            return
        at = self._clock.monotonic() + pause
        if at > event.expires_at:
            self.dropped += 1
            return
        self._push(event, at)

    async def _pause_after(self, event: _Event) -> float | None:
        """Run the event once. Seconds until it is to be run again; None when it is done with, one way or another."""
        try:
            outcome = await self._run(event.request)
        except (ServiceError, EnvironmentFailed) as error:
            if isinstance(error, ServiceError) and not _passes(error):
                self.dropped += 1
                return None
            event.throttles += 1
            return min(BACKOFF_S * (1 << min(event.throttles - 1, 10)), BACKOFF_MAX_S)
        if outcome.function_error is None:
            return None
        if event.retries_left == 0:
            self.dropped += 1
            return None
        event.retries_left -= 1
        event.failures += 1
        return RETRY_PAUSES_S[min(event.failures, len(RETRY_PAUSES_S)) - 1]

    def _push(self, event: _Event, at: float) -> None:
        heapq.heappush(self._due, _Due(at, next(self._order), event))
        self._bytes += len(event.request.payload)
        self._wake.set()


def _passes(error: ServiceError) -> bool:
    """Whether waiting can help: a throttle, a defect of ours, a function that is not ready. One that is gone never comes."""
    return error.status >= 500 or error.status in (THROTTLED.status, _WRONG_STATE)
