"""The platform's side of a zygote: messages over a SEQPACKET socket, descriptors, process ids.

Everything here runs on the event loop and never blocks: sockets are read in reader callbacks, and orders that a zygote has not
taken yet wait in a queue here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenantry.guest import wire
from tenantry.linux.kernel import Kernel
from tenantry.sandbox.driver import NoSnapshotError, SandboxError, ZygoteEndedError
from tenantry.sandbox.ids import Ids
from tenantry.sandbox.process import SandboxProcess

_READY_TIMEOUT_S = 30.0
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_PACKAGE_ROOT = str(Path(__file__).parent.parent.parent)
_START = f"import sys; sys.path.insert(0, {_PACKAGE_ROOT!r}); from tenantry.guest.zygote import main; sys.path.pop(0); main()"

log = logging.getLogger(__name__)


class ZygoteProcess:
    """A running zygote. Made by `open_zygote`; see driver.Zygote for the contract."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, ids: Ids, kernel: Kernel) -> None:
        self._alive = True
        self._process = process
        self._channel = channel
        self._ids = ids
        self._kernel = kernel
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._children: dict[str, SandboxProcess] = {}
        self._waiting: deque[tuple[dict[str, Any], tuple[int, ...]]] = deque()
        self._end_watch: int | None = None
        self.on_end: Callable[[], object] = _nothing
        """Called once, when it can fork no more."""

    @property
    def alive(self) -> bool:
        """Whether it can still fork. Its end shows here before the event loop comes to it."""
        return self._alive and not wire.hung_up(self._channel)

    @property
    def ended(self) -> bool:
        """Whether the launcher has ended and been collected, and with it everything inside."""
        return self._process.returncode is not None

    async def begin(self, order: dict[str, Any]) -> None:
        """Send the setup order and wait until the zygote is warm."""
        asyncio.get_running_loop().add_reader(self._channel, self._readable)
        try:
            wire.send(self._channel, order)
            async with asyncio.timeout(_READY_TIMEOUT_S):
                await self._ready
        except TimeoutError:
            await self.close()
            raise SandboxError(f"the zygote did not become ready within {_READY_TIMEOUT_S:.0f} s") from None
        except BaseException:
            await self.close()
            raise

    def fork(self, sandbox: SandboxProcess, request: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        """Ask for an environment; the descriptors stay the caller's. Raises SandboxError."""
        if not self.alive:
            raise ZygoteEndedError("the zygote of this function has ended")
        self._children[sandbox.id] = sandbox
        sandbox.on_made, sandbox.on_zygote_ended = self._made, self._end
        try:
            if self._waiting or not self._send(request, descriptors):
                self._waiting.append((request, _duplicates(descriptors)))
                asyncio.get_running_loop().add_writer(self._channel, self._writable)
        except OSError as error:
            del self._children[sandbox.id]
            if error.errno in _NO_DESCRIPTORS:
                raise SandboxError(f"the zygote cannot be asked: {error}") from None
            self._end(f"it does not take orders: {error}")
            raise ZygoteEndedError(f"the zygote does not take orders: {error}") from None

    def _made(self, identifier: str) -> None:
        self._children.pop(identifier, None)

    def _send(self, request: dict[str, Any], descriptors: tuple[int, ...]) -> bool:
        """False when there is no room in the socket: a burst of new tenants is more than it holds."""
        try:
            wire.send(self._channel, request, descriptors)
        except BlockingIOError:
            return False
        return True

    def _writable(self) -> None:
        """There is room again for what waits."""
        try:
            while self._waiting and self._send(*self._waiting[0]):
                for descriptor in self._waiting.popleft()[1]:
                    os.close(descriptor)
        except OSError as error:
            self._end(f"it does not take orders: {error}")
            return
        if not self._waiting:
            asyncio.get_running_loop().remove_writer(self._channel)

    async def close(self) -> None:
        """End the zygote and wait for its launcher. Environments that are still alive go with it: kill them first."""
        self._end("closed")
        if self._process.poll() is None:
            await asyncio.to_thread(self._wait)
        self._collect()

    def _wait(self) -> None:
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _readable(self) -> None:
        try:
            received = wire.receive(self._channel)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._end(f"it cannot be understood: {error}")
            return
        if received is None:
            self._end("it ended without a word")
            return
        message, descriptors = received
        for descriptor in descriptors:  # it has none to give
            os.close(descriptor)
        try:
            self._heard(message)
        except (KeyError, TypeError) as error:
            # With INIT mode `snapshot` the function's own code runs in there, and may say anything.
            self._end(f"it spoke out of turn: {error!r}")

    def _heard(self, message: dict[str, Any]) -> None:
        handlers = {
            "map": self._on_map,
            "ready": self._on_ready,
            "no snapshot": self._on_no_snapshot,
            "failed": self._on_failed,
            "not forked": self._on_not_forked,
        }
        handlers[message["say"]](message)

    def _on_map(self, message: dict[str, Any]) -> None:
        # The launcher is our direct child, so its pid is the one we know; what it says of itself is not needed.
        try:
            self._ids.map_zygote(self._process.pid)
            wire.send(self._channel, {"do": "mapped"})
        except OSError as error:
            self._end(f"its user ids could not be mapped: {error}")

    def _on_ready(self, message: dict[str, Any]) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_no_snapshot(self, message: dict[str, Any]) -> None:
        if not self._ready.done():
            self._ready.set_exception(NoSnapshotError(str(message["why"])))

    def _on_failed(self, message: dict[str, Any]) -> None:
        self._end(f"step {message['step']!r} failed: {message['error']}")

    def _on_not_forked(self, message: dict[str, Any]) -> None:
        sandbox = self._children.pop(message["id"], None)
        if sandbox is not None:
            sandbox.not_forked(message["error"], again=False)

    def _end(self, reason: str) -> None:
        if not self._alive:
            return
        self._alive = False
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._channel)
        loop.remove_writer(self._channel)
        self._channel.close()
        for _, descriptors in self._waiting:
            for descriptor in descriptors:
                os.close(descriptor)
        self._waiting.clear()
        self._watch_end()
        if not self._ready.done():
            self._ready.set_exception(SandboxError(f"the zygote could not be made: {reason}"))
            self._ready.exception()  # begin() may not be waiting any more
        waiting, self._children = list(self._children.values()), {}
        for sandbox in waiting:
            sandbox.not_forked(f"the zygote ended: {reason}", again=True)
        self.on_end()

    def _watch_end(self) -> None:
        """Collect the launcher whenever it ends: it stays for as long as environments of a dead zygote live."""
        try:
            self._end_watch = self._kernel.pidfd_open(self._process.pid)
        except OSError:
            return  # `close` collects it
        asyncio.get_running_loop().add_reader(self._end_watch, self._collect)

    def _collect(self) -> None:
        self._process.poll()
        if self._end_watch is not None:
            asyncio.get_running_loop().remove_reader(self._end_watch)
            os.close(self._end_watch)
            self._end_watch = None


def start_zygote(interpreter: Path, ids: Ids, kernel: Kernel, *, inherit: bool = False) -> ZygoteProcess:
    """Start the launcher process of a zygote; `begin` must follow. The parent must be the thread that lives as long as the
    platform."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setblocking(False)
    try:
        process = subprocess.Popen(
            [str(interpreter), "-I", "-S", "-B", "-X", "utf8", "-c", _START, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None,
            pass_fds=(theirs.fileno(),),
            env=None if inherit else {"LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        mine.close()
        raise SandboxError(f"the interpreter {interpreter} does not start: {error}") from None
    finally:
        theirs.close()
    return ZygoteProcess(process, mine, ids, kernel)


def _nothing() -> None:
    """Nobody wants to know."""


def _duplicates(descriptors: tuple[int, ...]) -> tuple[int, ...]:
    made: list[int] = []
    try:
        for descriptor in descriptors:
            made.append(os.dup(descriptor))
    except OSError:
        for descriptor in made:
            os.close(descriptor)
        raise
    return tuple(made)


def own_interpreter() -> Path:
    """The interpreter tenantry itself runs on, without its virtual environment."""
    return Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
