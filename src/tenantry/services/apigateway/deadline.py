"""Deadlines of invocations: asyncio.timeout without its price, which is a fifth of a request's.

    with deadlines.within(29.0):
        await invoker.invoke(request)      # TimeoutError once the time has passed

Deadlines of one length end in the order they began, so each length needs one timer, for the oldest, instead of one a request.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """Deadlines of every length, on one event loop."""

    def __init__(self) -> None:
        self._queues: dict[float, _Queue] = {}

    def within(self, timeout_s: float) -> Deadline:
        """A deadline `timeout_s` from when it is entered."""
        queue = self._queues.get(timeout_s)
        if queue is None:
            queue = self._queues[timeout_s] = _Queue(timeout_s)
        return Deadline(queue)


class Deadline:
    """Raises TimeoutError in place of the cancellation it causes; a cancellation from elsewhere passes through."""

    __slots__ = ("_queue", "expired", "task")

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue
        self.expired = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline needs a task to end")
        self.task = task
        self._queue.add(self, loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._queue.waiting.pop(self, None)
        if self.expired and self.task.uncancel() <= 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error


class _Queue:
    """Deadlines of one length, the oldest first. The timer is armed while any is waiting, and one time after that."""

    __slots__ = ("_armed", "_timeout_s", "waiting")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._armed = False
        self.waiting: dict[Deadline, float] = {}

    def add(self, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> None:
        self.waiting[deadline] = loop.time() + self._timeout_s
        if not self._armed:
            self._armed = True
            loop.call_later(self._timeout_s, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self.waiting:
            deadline, at = next(iter(self.waiting.items()))
            if at > now:
                loop.call_at(at, self._sweep, loop)
                return
            del self.waiting[deadline]
            deadline.expired = True
            deadline.task.cancel()
        self._armed = False
