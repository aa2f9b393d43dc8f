"""The platform's side of one environment's processes: messages with its keeper and its runtime, and its end.

Runs on the event loop and never blocks.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenantry.guest import wire
from tenantry.linux.cgroups import Group
from tenantry.linux.kernel import Kernel
from tenantry.sandbox.driver import SandboxEvents
from tenantry.sandbox.ids import Ids

_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_CLEANING_UP_S = 3.0  # for a keeper without a pid namespace; code under the same user id may have stopped it

log = logging.getLogger(__name__)


class SandboxProcess:
    """A running environment's processes; see driver.Sandbox for the contract."""

    def __init__(
        self, identifier: str, ids: Ids, outer: int, group: Group | None, kernel: Kernel, temporary: Path | None = None
    ) -> None:
        self.id = identifier
        self.ended = asyncio.Event()
        self.on_made: Callable[[str], None] | None = None
        """Called once, with its first id: its keeper runs, or never will."""
        self.on_zygote_ended: Callable[[str], None] | None = None
        """Called with the reason, when what seals it says so: it may know before the zygote's end is seen."""
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
            asyncio.get_running_loop().call_later(_CLEANING_UP_S, self._end_keeper)
            return
        self._end_keeper()

    def _end_keeper(self) -> None:
        if self._gone or self._pidfd is None:
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

    def not_forked(self, reason: str, *, again: bool) -> None:
        """The zygote could not make it; again: because it has ended, and another zygote may."""
        if not self._gone and self._pidfd is None:
            self._failed(reason, again=again)
            self._finish()

    def _failed(self, reason: str, *, again: bool = False) -> None:
        if self._events is not None:
            self._events.failed(reason, again=again)
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
            again = message["zygote ended"] is True
            if again and self.on_zygote_ended is not None:
                self.on_zygote_ended(message["error"])  # before anybody tries again
            self._give_up(f"step {message['step']!r} of sealing an environment failed: {message['error']}", again=again)
        elif self._killed:
            return  # by its own failure, or by order: what it says of its end is known
        elif self._events is None:
            self._give_up(f"it ended, or spoke, before anybody began it ({message})")
        elif say == "exited" and not self._starts:
            self.kill()  # killed, for it did not say what failed: it has run nobody's code, and another can take its place
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

    def _give_up(self, reason: str, *, again: bool = False) -> None:
        """It cannot be what it should be: say so, once, and end it."""
        if not self._broken:
            self._broken = True
            self._failed(reason, again=again)
        self.kill()

    def _watch(self, pid: int) -> None:
        try:
            pidfd = self._kernel.pidfd_open(pid)
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                self._give_up("the platform has no file descriptors left to watch the environment")
            return  # else it has ended already; the channel's end says so
        if wire.hung_up(self._channel):
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
