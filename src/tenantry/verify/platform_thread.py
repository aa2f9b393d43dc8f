"""A platform on a thread of its own: the laboratory's, which attacks it from another."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from tenantry.app import Platform, new_event_loop
from tenantry.config import Config
from tenantry.sandbox.driver import Driver

ENDING_S = 60.0
"""How long a platform may take to end; most take a tenth of a second."""


class NotEndedError(Exception):
    """A platform does not end; the text says where it waits."""


class PlatformThread:
    """See the module's docstring. `stop` waits until nothing of the platform is left."""

    def __init__(self, config: Config, make_driver: Callable[[], Driver] | None) -> None:
        self._config = config
        self._make_driver = make_driver
        self._started = threading.Event()
        self._problem: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.platform: Platform | None = None
        # A daemon: one that cannot end must not keep the process, which has reported it, from ending.
        self._thread = threading.Thread(target=self._run, name="tenantry-verify", daemon=True)

    def start(self) -> Platform:
        """The platform, answering. Raises what kept it from starting."""
        self._thread.start()
        self._started.wait()
        if self._problem is not None:
            self._thread.join()
            raise self._problem
        assert self.platform is not None
        return self.platform

    def stop(self) -> None:
        """End it. Raises NotEndedError."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ENDING_S)
        if self._thread.is_alive():
            raise NotEndedError(f"the platform has not ended after {ENDING_S:.0f} s. It waits here:\n{self._where()}")

    def _where(self) -> str:
        """Where the thread and its tasks are."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        parts = traceback.format_stack(frame, 1) if frame is not None else ["  nowhere: its Python code has ended\n"]
        for task in asyncio.all_tasks(self._loop) if self._loop is not None else ():
            parts += [f"  task {task.get_name()}\n", *traceback.format_list(_awaits(task))]
        return "".join(parts)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            driver = self._make_driver() if self._make_driver is not None else None
            async with Platform(self._config, driver=driver) as platform:
                self.platform = platform
                self._started.set()
                await self._stop.wait()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for the start
            self._problem = error
        finally:
            self._started.set()


def _awaits(task: asyncio.Task[object]) -> traceback.StackSummary:
    """The calls a suspended task is in, down to the one that waits (`Task.get_stack` knows only the outermost)."""
    frames: list[tuple[FrameType, int]] = []
    at: Any = task.get_coro()
    while (frame := getattr(at, "cr_frame", None)) is not None:
        frames.append((frame, frame.f_lineno))
        at = at.cr_await
    return traceback.StackSummary.extract(iter(frames))
