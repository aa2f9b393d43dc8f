"""The platform's side of a zygote and its environments: messages over SEQPACKET sockets, descriptors, process ids.

Everything here runs on the event loop and never blocks: sockets are read in reader callbacks, and orders that a zygote has not
taken yet wait in a queue here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenantry.guest import wire
from tenantry.linux.cgroups import Group
from tenantry.linux.kernel import Kernel
from tenantry.sandbox.driver import NoSnapshotError, SandboxError, SandboxEvents

_READY_TIMEOUT_S = 30.0
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_PACKAGE_ROOT = str(Path(__file__).parent.parent.parent)
_START = f"import sys; sys.path.insert(0, {_PACKAGE_ROOT!r}); from tenantry.guest.zygote import main; sys.path.pop(0); main()"

log = logging.getLogger(__name__)


class Ids:
    """The user ids of one zygote and its environments: a private range of the host's, an id for each.

    With root: `start .. start + 65535` of the host, mapped into the zygote's user namespace as 0..65535; 0 is the zygote, each
    environment takes one of the others. Without: the one id of the user who runs the platform, known inside as 1 (the kernel
    lets nobody without a capability hand on an id known as 0).
    """

    SIZE = 65_536

    def __init__(self, rootless: bool, start: int) -> None:
        self.rootless = rootless
        self._start = start
        self._free: list[int] = []
        self._next = 1

    def take(self) -> int:
        """An id (as the zygote sees it) for a new environment."""
        if self.rootless:
            return 1
        if self._free:
            return self._free.pop()
        if self._next >= self.SIZE:
            raise SandboxError("all 65,535 user ids for environments of this function are taken")
        self._next += 1
        return self._next - 1

    def give_back(self, identifier: int) -> None:
        """The id of an environment that is gone."""
        if not self.rootless:
            self._free.append(identifier)

    def map_zygote(self, pid: int) -> None:
        """Write the id maps of the zygote's new user namespace."""
        base = Path(f"/proc/{pid}")
        uids, gids = (f"1 {os.getuid()} 1", f"1 {os.getgid()} 1") if self.rootless else (f"0 {self._start} {self.SIZE}",) * 2
        if self.rootless:
            (base / "setgroups").write_text("deny")
        (base / "uid_map").write_text(uids)
        (base / "gid_map").write_text(gids)


class ZygoteProcess:
    """A running zygote. Made by `open_zygote`; see driver.Zygote for the contract."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, ids: Ids, kernel: Kernel) -> None:
        self.alive = True
        self._process = process
        self._channel = channel
        self._ids = ids
        self._kernel = kernel
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._children: dict[str, SandboxProcess] = {}
        self._waiting: deque[tuple[dict[str, Any], tuple[int, ...]]] = deque()
        self._end_watch: int | None = None
        self.on_end: Callable[[], None] = _nothing
        """Called once, when it can fork no more."""

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
        """Ask for an environment; the descriptors stay the caller's. Raises SandboxError when the zygote has ended."""
        if not self.alive:
            raise SandboxError("the zygote of this function has ended")
        self._children[sandbox.id] = sandbox
        sandbox.on_made = self._made
        try:
            if self._waiting or not self._send(request, descriptors):
                self._waiting.append((request, _duplicates(descriptors)))
                asyncio.get_running_loop().add_writer(self._channel, self._writable)
        except OSError as error:
            del self._children[sandbox.id]
            if error.errno not in _NO_DESCRIPTORS:
                self._end(f"it does not take orders: {error}")
            raise SandboxError(f"the zygote does not take orders: {error}") from None

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
            sandbox.not_forked(message["error"])

    def _end(self, reason: str) -> None:
        if not self.alive:
            return
        self.alive = False
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
            sandbox.not_forked(f"the zygote ended: {reason}")
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


class SandboxProcess:
    """A running environment's processes; see driver.Sandbox for the contract."""

    def __init__(
        self, identifier: str, ids: Ids, outer: int, group: Group | None, kernel: Kernel, temporary: Path | None = None
    ) -> None:
        self.id = identifier
        self.ended = asyncio.Event()
        self.on_made: Callable[[str], None] | None = None
        """Called once, with its first id: its keeper runs, or never will."""
        self._made_as = identifier
        self._events: SandboxEvents | None = None  # nobody's yet
        self._sockets: list[socket.socket] | None = None  # made inside, and not handed on
        self._ids = ids
        self._outer = outer
        self._group = group
        self._kernel = kernel
        self._temporary = temporary
        self._pidfd: int | None = None
        self._begun: tuple[dict[str, str], int] | None = None  # variables and output: each start of its runtime gets them
        self._runtime_api = ""  # the address, as it is known inside
        self._resets = 0
        self._starts = 0
        self._killed = False
        self._broken = False
        self._gone = False
        self._ended_by_memory = False
        mine, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._channel = mine
        asyncio.get_running_loop().add_reader(mine, self._readable)

    @property
    def sealed(self) -> bool:
        """Whether it waits, alive, for somebody to begin it."""
        return self._sockets is not None and self._events is None and not (self._gone or self._killed)

    def begin(self, identifier: str, environ: dict[str, str], output: int, events: SandboxEvents) -> None:
        """Start its runtime for `events`, or as soon as it is sealed; `output` is its own then. OSError: it has ended."""
        wire.send(self._channel, {"do": "start", "environ": environ}, (output,))
        self._begun = environ, output
        self.id = identifier
        self._events = events
        if self._sockets is not None:
            asyncio.get_running_loop().call_soon(self._hand_on)

    def _hand_on(self) -> None:
        sockets, self._sockets = self._sockets, None
        if sockets is not None and self._events is not None:
            self._events.listening(sockets[0], sockets[1] if len(sockets) > 1 else None, sockets[2:])

    def reset(self) -> None:
        """See driver.Sandbox."""
        if self._gone or self._killed:
            return
        if self._begun is None:
            raise AssertionError("an environment was reset that has not started")
        environ, output = self._begun
        self._resets += 1
        message = {"do": "reset", "resets": self._resets, "environ": environ, "runtime_api": self._runtime_api}
        try:
            wire.send(self._channel, message, (output,))
            self._nudge()
        except OSError:
            self.kill()

    def _nudge(self) -> None:
        """Make the keeper look for its orders; later, if it is not heard of yet."""
        if self._pidfd is not None:
            self._kernel.pidfd_kill(self._pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """See driver.Sandbox."""
        self._killed = True
        if self._gone:
            return
        if self._pidfd is None or self._temporary is not None:
            # Not heard of yet, or without a pid namespace of its own, where the keeper must clean up behind itself: the end of
            # the channel makes it kill its processes and end as soon as it looks.
            self._channel.shutdown(socket.SHUT_RDWR)
            return
        try:
            self._kernel.pidfd_kill(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return  # it has ended by itself: `gone` is on its way

    def memory_peak_bytes(self) -> int | None:
        """See driver.Sandbox."""
        return None if self._group is None else self._group.memory_peak_bytes()

    def out_of_memory(self) -> bool:
        """See driver.Sandbox. After the end: whether memory was what ended it."""
        if self._gone:
            return self._ended_by_memory
        return self._group is not None and self._group.out_of_memory()

    def discard(self) -> None:
        """It was never asked for: give up its channel, without a word to its owner."""
        self._gone = True
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self.theirs.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _made(self) -> None:
        made, self.on_made = self.on_made, None
        if made is not None:
            made(self._made_as)

    def not_forked(self, reason: str) -> None:
        """The zygote could not make it."""
        if not self._gone and self._pidfd is None:
            self._failed(reason)
            self._finish()

    def _failed(self, reason: str) -> None:
        if self._events is not None:
            self._events.failed(reason)
        else:
            log.warning("an environment sealed ahead of time is gone: %s", reason)

    def _readable(self) -> None:
        self._take()

    def _take(self) -> bool:
        """Read one message and act on it; False when there is none."""
        try:
            message, descriptors, pid = wire.receive_from(self._channel)
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            message, descriptors, pid = None, [], 0
        if message is None:
            self._hung_up()
            return False
        try:
            self._heard(message, descriptors, pid)
        except (KeyError, TypeError) as error:
            # With INIT mode `snapshot` the function's own code was imported before it was sealed, and may say anything.
            self._give_up(f"it spoke out of turn: {error!r}")
        return True

    def _heard(self, message: dict[str, Any], descriptors: list[int], pid: int) -> None:
        say = message["say"]
        if say == "keeper":
            self._made()
            if self._pidfd is None:
                self._watch(pid)
        elif say == "listening":
            self._on_listening(message, descriptors)
        elif say == "failed":
            self._give_up(f"step {message['step']!r} of sealing an environment failed: {message['error']}")
        elif self._killed:
            return  # by its own failure, or by order: what it says of its end is known
        elif self._events is None or (say == "exited" and not self._starts):
            self._give_up(f"it ended, or spoke, while it was being sealed ({message})")
        elif say == "started":
            # A reset may overtake the start before it.
            while self._starts <= min(message["resets"], self._resets) and not self._killed:
                self._starts += 1
                self._events.started()
        elif say == "exited":
            self._events.exited(message["status"])

    def _on_listening(self, message: dict[str, Any], descriptors: list[int]) -> None:
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if len(sockets) != message["count"]:
            for server in sockets:
                server.close()
            self._give_up("the platform has no file descriptors left for the environment's sockets")
            return
        self._sockets, self._runtime_api = sockets, message["runtime_api"]
        if self._events is not None:
            self._hand_on()

    def _give_up(self, reason: str) -> None:
        """It cannot be what it should be: say so, once, and end it."""
        if not self._broken:
            self._broken = True
            self._failed(reason)
        self.kill()

    def _watch(self, pid: int) -> None:
        try:
            pidfd = self._kernel.pidfd_open(pid)
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                self._give_up("the platform has no file descriptors left to watch the environment")
            return  # else it has ended already; the channel's end says so
        if _hung_up(self._channel):
            os.close(pidfd)  # ended before it was opened: the number may be another process's by now
            return
        self._pidfd = pidfd
        asyncio.get_running_loop().add_reader(self._pidfd, self._finish)
        if self._killed:
            self.kill()
        elif self._resets:
            self._nudge()

    def _hung_up(self) -> None:
        asyncio.get_running_loop().remove_reader(self._channel)
        if self._pidfd is None:
            self._finish()

    def _finish(self) -> None:
        """The keeper has ended, and with it every process of its pid namespace."""
        if self._gone:
            return
        self._made()
        while self._pidfd is not None and self._take():
            continue  # its last words, such as the step that failed, may come after its end
        self._ended_by_memory = self._group is not None and self._group.out_of_memory()
        self._gone = True
        for server in self._sockets or ():
            server.close()
        self._sockets = None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._channel)
        self._channel.close()
        self.theirs.close()
        if self._pidfd is not None:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        if self._begun is not None:
            os.close(self._begun[1])
        self._ids.give_back(self._outer)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._release_group()

    def _release_group(self, attempts: int = 200) -> None:
        try:
            removed = self._group is None or self._group.remove()
        except OSError as error:
            log.warning("the control group of an environment could not be removed: %s", error)
            removed = True
        if not removed and attempts:
            asyncio.get_running_loop().call_later(0.01, self._release_group, attempts - 1)
            return
        self.ended.set()
        if self._events is not None:
            self._events.gone()


def _nothing() -> None:
    """Nobody wants to know."""


def _hung_up(channel: socket.socket) -> bool:
    """Whether the other side has closed (there may be messages left to read)."""
    poller = select.poll()
    poller.register(channel, 0)
    return bool(poller.poll(0))


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
