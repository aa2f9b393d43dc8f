"""A deadline for one await: asyncio.timeout without what it costs on a path that is done in a few microseconds.

with Deadline(29.0):
    await invoker.invoke(request)      # TimeoutError once the time has passed
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Raises TimeoutError in place of the cancellation it causes; a cancellation from elsewhere passes through."""

    __slots__ = ("_expired", "_task", "_timeout_s", "_timer")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task to end")
        self._task = task
        self._timer = task.get_loop().call_later(self._timeout_s, self._expire)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        if self._expired and self._task.uncancel() <= 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
