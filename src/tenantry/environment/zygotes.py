"""Keeps one warmed zygote for each function version that is in use, and makes environments from it.

A zygote is opened in the background when its function is published, so that the first request does not pay for it. When it
dies that is counted, and it is opened again within a second or at the next need (with a growing pause, so that a zygote that
cannot live does not keep the machine busy). Its environments live on; what is left of it ends with the last of them.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tenantry.environment import variables
from tenantry.model.clock import Clock
from tenantry.model.function import FunctionVersion
from tenantry.model.runtime import Runtimes
from tenantry.sandbox.driver import Driver, SandboxError, Zygote, ZygoteSpec

_OPENING_MAX = 2  # at a time: warming is CPU work
_PAUSE_S, _PAUSE_MAX_S = 0.1, 10.0
_SHORT_LIFE_S = 10.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    function: FunctionVersion
    task: asyncio.Task[Zygote] | None = None
    starts: int = 0
    deaths: int = 0
    failures: int = 0
    opened_at: float = 0.0
    retry_at: float = 0.0
    problem: str | None = None
    zygotes: list[Zygote] = field(default_factory=list)


class Zygotes:
    """Zygotes by (function ARN, version, revision). code_root holds unpacked packages by their sha256."""

    def __init__(self, driver: Driver, runtimes: Runtimes, code_root: Path, endpoint: str, clock: Clock) -> None:
        self._driver = driver
        self._runtimes = runtimes
        self._code_root = code_root
        self._endpoint = endpoint
        self._clock = clock
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._opening = asyncio.Semaphore(_OPENING_MAX)
        self._closed = False

    def warm(self, function: FunctionVersion) -> None:
        """Open the function version's zygote in the background, if it is not open."""
        self._task(function)

    async def get(self, function: FunctionVersion) -> Zygote:
        """The function version's living zygote. Raises SandboxError with what went wrong."""
        task = self._task(function)
        return await asyncio.shield(task)

    def snapshot_problem(self, function: FunctionVersion) -> str | None:
        """Why INIT mode `snapshot` does not work for this function (its import failed), or None."""
        entry = self._entries.get(_key(function))
        return entry.problem if entry else None

    def revive(self) -> None:
        """Open again, in the background, what has died. Called every second or so."""
        if self._closed:
            return
        for entry in self._entries.values():
            self._collect_dead(entry)
            if entry.task is None and entry.starts and self._clock.monotonic() >= entry.retry_at:
                self._task(entry.function)

    async def release(self, function: FunctionVersion) -> None:
        """The version is retired and has no environment left: close its zygote."""
        entry = self._entries.pop(_key(function), None)
        if entry is not None:
            await self._close(entry)

    async def close(self) -> None:
        """Close every zygote; the environments must have been killed before."""
        self._closed = True
        entries, self._entries = list(self._entries.values()), {}
        await asyncio.gather(*(self._close(entry) for entry in entries))

    def status(self) -> list[dict[str, object]]:
        """For `tenantry status`: one row a zygote."""
        return [
            {
                "function": entry.function.name,
                "version": entry.function.version,
                "alive": any(zygote.alive for zygote in entry.zygotes),
                "starts": entry.starts,
                "deaths": entry.deaths,
                "problem": entry.problem,
            }
            for entry in self._entries.values()
        ]

    def _task(self, function: FunctionVersion) -> asyncio.Task[Zygote]:
        entry = self._entries.setdefault(_key(function), _Entry(function))
        self._collect_dead(entry)
        task = entry.task
        if task is not None and task.done() and _failed(task) and self._clock.monotonic() >= entry.retry_at:
            task = None
        if task is None:
            task = entry.task = asyncio.get_running_loop().create_task(self._open(entry))
            task.add_done_callback(_retrieve)
        return task

    def _collect_dead(self, entry: _Entry) -> None:
        """Notice that the entry's zygote has died. It stays listed, to be closed, until nothing is left of it."""
        task = entry.task
        if task is None or not task.done() or _failed(task) or task.result().alive:
            return
        now = self._clock.monotonic()
        entry.task = None
        entry.deaths += 1
        if now - entry.opened_at < _SHORT_LIFE_S:
            entry.failures += 1
            entry.retry_at = now + _pause(entry.failures)
        entry.zygotes = [zygote for zygote in entry.zygotes if not zygote.ended]
        log.warning("the zygote of %s died; it has died %d times", entry.function.name, entry.deaths)

    async def _open(self, entry: _Entry) -> Zygote:
        if self._closed:
            raise SandboxError("the platform is shutting down")
        function = entry.function
        entry.starts += 1
        async with self._opening:
            try:
                spec = await self._spec(function)
                zygote = await self._driver.open(spec)
            except (SandboxError, OSError) as error:
                entry.failures += 1
                entry.retry_at = self._clock.monotonic() + _pause(entry.failures)
                entry.problem = str(error)
                raise SandboxError(str(error)) from None
        now = self._clock.monotonic()
        if now - entry.opened_at >= _SHORT_LIFE_S:
            entry.failures = 0
        entry.opened_at, entry.problem = now, zygote.snapshot_error
        entry.zygotes = [other for other in entry.zygotes if not other.ended]
        entry.zygotes.append(zygote)
        if zygote.snapshot_error:
            log.warning(
                "snapshot INIT of %s failed, its environments import for themselves: %s", function.name, zygote.snapshot_error
            )
        return zygote

    async def _spec(self, function: FunctionVersion) -> ZygoteSpec:
        resolved = self._runtimes.resolve(function.runtime)
        layers: tuple[Path, ...] = tuple(self._code_root / key for key in function.layer_keys)
        if len(layers) > 1:
            layers = (await asyncio.to_thread(merge_layers, self._code_root, function.layer_keys),)
        return ZygoteSpec(
            name=f"{function.name}:{function.version}",
            interpreter=Path(resolved.interpreter),
            code=self._code_root / function.code_key,
            layers=layers,
            environ=variables.common(function, self._endpoint),
            snapshot=function.init_mode == "snapshot",
            hosts=tuple(entry.rpartition(":")[0] for entry in function.egress),
        )

    async def _close(self, entry: _Entry) -> None:
        if entry.task is not None and not entry.task.done():
            entry.task.cancel()
            await asyncio.gather(entry.task, return_exceptions=True)
        await asyncio.gather(*(zygote.close() for zygote in entry.zygotes))


def merge_layers(code_root: Path, keys: tuple[str, ...]) -> Path:
    """One directory with the content of several layers, later ones over earlier ones; made once for each combination."""
    target = code_root / ("layers-" + "-".join(key[:16] for key in keys))
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        for key in keys:
            shutil.copytree(code_root / key, partial, symlinks=True, dirs_exist_ok=True, copy_function=_replace)
            for folder in (partial, *(path for path in partial.rglob("*") if path.is_dir() and not path.is_symlink())):
                folder.chmod(0o755)  # a package's folders are read-only; the next layer must get into them
        partial.rename(target)
    return target


def _replace(source: str, target: str) -> str:
    Path(target).unlink(missing_ok=True)
    return str(shutil.copy2(source, target, follow_symlinks=False))


def _pause(failures: int) -> float:
    return float(min(_PAUSE_S * 2 ** min(failures, 10), _PAUSE_MAX_S))


def _failed(task: asyncio.Task[Zygote]) -> bool:
    return task.cancelled() or task.exception() is not None


def _key(function: FunctionVersion) -> tuple[str, str, str]:
    return function.arn, function.version, function.revision


def _retrieve(task: asyncio.Task[Zygote]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waits is told; nobody may be waiting
