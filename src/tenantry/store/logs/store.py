"""LogStore: takes log events without making anybody wait, gets them written by another process, answers queries.

    append()  -> _pending (a list)  -- at most 20 ms, or as much as a frame holds -->  _unacknowledged (frames) -> writer
    read(f)   -> flush()  (everything appended before is committed)  -> f(reader) in a reader thread

The writer (writer.py) acknowledges each frame after its commit. When it dies it is started again; it says up to which sequence
number it committed, and the later frames are sent again: nothing twice, nothing lost. Frames are bounded, and so is what waits
to become one: beyond the limit the oldest appended events are dropped and counted. What was given to `put` is never dropped.

Durable means here: survives `kill -9` of the platform and of the writer (SQLite WAL, synchronous=NORMAL).
"""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from tenantry.model.clock import Clock
from tenantry.store.logs import writer
from tenantry.store.logs.reader import SqliteReader
from tenantry.store.logs.records import LogReader

T = TypeVar("T")

_EVENT_OVERHEAD_BYTES = 100  # what an event costs in memory besides its text, roughly


@dataclass(frozen=True, slots=True)
class LogStoreLimits:
    """flush_s: how long an event may wait in memory; frame_bytes: when it waits no longer; window_bytes: sent and not yet
    acknowledged; pending_bytes: waiting, beyond it the oldest are dropped; deadline_s: for whoever waits for the writer;
    restart_s: the pause before the writer is started again, doubled up to restart_max_s; threads: readers at a time.
    """

    flush_s: float = 0.02
    frame_bytes: int = 1 << 20
    window_bytes: int = 8 << 20
    pending_bytes: int = 64 << 20
    pending_entries: int = 200_000
    deadline_s: float = 15.0
    restart_s: float = 0.05
    restart_max_s: float = 2.0
    threads: int = 2


class LogStoreUnavailableError(Exception):
    """The writer did not answer within the deadline, or the store is closed."""


@dataclass(slots=True)
class _Entry:
    """Something for the writer. `size` in bytes; `answer` is set for what somebody waits for and must not be dropped."""

    value: tuple[Any, ...]
    size: int
    answer: asyncio.Future[Any] | None = None


@dataclass(slots=True)
class _Frame:
    """A frame on its way. `covers`: how many entries were ever given to the store when its last one was."""

    sequence: int
    data: bytes
    covers: int
    answers: list[tuple[int, asyncio.Future[Any]]]


class LogStore:
    """The log store in `root` (a folder, made where missing). Implements `model.logging.LogSink`.

    All methods belong to the event loop's thread. `append` may be called before `start`; events then wait in memory.
    """

    def __init__(self, root: Path, clock: Clock, limits: LogStoreLimits | None = None) -> None:
        self.dropped = 0
        self._root = root
        self._clock = clock
        self._limits = limits or LogStoreLimits()
        self._on_group: Callable[[str, str], None] = _ignore
        self._unnamed: set[tuple[str, str]] = set()
        self._fresh: list[tuple[str, str, str, Sequence[tuple[int, str]]]] = []
        self._pending: deque[_Entry] = deque()
        self._pending_bytes = 0
        self._given = 0
        self._written = 0
        self._unacknowledged: deque[_Frame] = deque()
        self._window_bytes = 0
        self._sequence = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: _Link | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._readers: queue.SimpleQueue[SqliteReader] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
        self._closing = False

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the writer; returns without waiting for it."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(self._limits.threads, "logs-reader")
        self._keeper = asyncio.create_task(self._keep_writer(), name="logs-writer")

    async def close(self) -> None:
        """Write everything, stop the writer, close. Safe to call twice."""
        if self._keeper is None or self._closing:
            return
        try:
            await self.flush()
        except LogStoreUnavailableError:
            self.dropped += self._count_pending()
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        link = self._link
        if link is None:
            self._keeper.cancel()  # between two writers
        else:
            link.close()  # the writer reads to the end, commits and ends, and so does the task that keeps it
            await asyncio.wait([self._keeper], timeout=self._limits.deadline_s)
            link.process.kill()  # one that hangs; nothing happens to one that has ended
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None:  # its keeper was called off while the writer began or ended
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._fail_waiters()
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown)
        while not self._readers.empty():
            self._readers.get().close()

    def on_new_group(self, hook: Callable[[str, str], None]) -> None:
        """Call `hook(region, group)` for groups that get events, before those can be read; often for groups it knows."""
        self._on_group = hook

    @property
    def root(self) -> Path:
        """The folder of the store's files; another process may read them with a SqliteReader."""
        return self._root

    @property
    def writer_pid(self) -> int | None:
        """The writer's process id, while it is connected."""
        return self._link.process.pid if self._link else None

    @property
    def backlog(self) -> int:
        """Entries given and not yet on disk."""
        return self._given - self._written

    # -- writing ------------------------------------------------------------------------------------------------------

    def append(self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """See LogSink. `events` must not be changed afterwards."""
        self._fresh.append((region, group, stream, events))
        self._given += 1
        if self._timer is None and self._loop is not None and not self._closing:
            self._timer = self._loop.call_later(self._limits.flush_s, self._tick)
        if len(self._fresh) > self._limits.pending_entries:
            self._tally()

    async def put(self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Store events and return when they are durable."""
        await self._command((writer.EVENTS, region, group, stream, list(events)), sum(_size(event) for event in events))

    async def create_stream(self, region: str, group: str, stream: str) -> bool:
        """Make a stream; False when it was there already."""
        return await self._command((writer.CREATE_STREAM, region, group, stream)) is not False

    async def delete_stream(self, region: str, group: str, stream: str) -> bool:
        """Delete a stream and its events; False when there was none."""
        return await self._command((writer.DELETE_STREAM, region, group, stream)) is not False

    async def delete_group(self, region: str, group: str) -> None:
        """Delete all streams and events of a group."""
        await self._command((writer.DELETE_GROUP, region, group))

    async def expire(self, region: str, group: str, before_ms: int) -> None:
        """Let go of a group's events that are older than `before_ms`; they disappear little by little."""
        await self._command((writer.EXPIRE, region, group, before_ms))

    async def flush(self) -> None:
        """Return when everything given before this call is durable. LogStoreUnavailableError after the deadline."""
        if self._written >= self._given:
            return
        done: asyncio.Future[None] = self._running().create_future()
        self._waiting.append((self._given, done))
        self._seal()
        self._wake()
        await self._in_time(done)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def read(self, question: Callable[[LogReader], T]) -> T:
        """Ask a reader, in a reader thread; it sees everything that was appended before this call."""
        await self.flush()
        loop = self._running()
        if self._link is None or not self._link.ready.done():  # nothing was ever given, or the writer is being replaced
            await self._in_time(self._writer_ready())
        return await loop.run_in_executor(self._threads, self._ask, question)

    def _ask(self, question: Callable[[LogReader], T]) -> T:
        try:
            reader = self._readers.get_nowait()
        except queue.Empty:
            reader = SqliteReader(self._root)
        try:
            return question(reader)
        finally:
            self._readers.put(reader)

    # -- batching -----------------------------------------------------------------------------------------------------

    async def _command(self, value: tuple[Any, ...], size: int = 0) -> Any:
        self._tally()
        answer = self._running().create_future()
        self._pending.append(_Entry(value, size + _EVENT_OVERHEAD_BYTES, answer))
        self._pending_bytes += size + _EVENT_OVERHEAD_BYTES
        self._given += 1
        self._seal()
        return await self._in_time(answer)

    def _tick(self) -> None:
        self._timer = None
        self._seal()

    def _seal(self) -> None:
        """Make frames of what is pending and send them, as far as the window allows; then name the groups."""
        self._tally()
        link = self._link
        if link is not None and link.ready.done():
            while self._pending and self._window_bytes < self._limits.window_bytes:
                frame = self._frame()
                self._unacknowledged.append(frame)
                self._window_bytes += len(frame.data)
                link.send(frame.data)
        while self._unnamed:
            self._on_group(*self._unnamed.pop())

    def _frame(self) -> _Frame:
        entries: list[tuple[Any, ...]] = []
        answers, size = [], 0
        while self._pending and size < self._limits.frame_bytes:
            entry = self._pending.popleft()
            if entry.answer is not None:
                answers.append((len(entries), entry.answer))
            entries.append(entry.value)
            size += entry.size
        self._pending_bytes -= size
        self._sequence += 1
        data = writer.pack((self._sequence, int(self._clock.now() * 1000), entries))
        return _Frame(self._sequence, data, self._given - len(self._pending), answers)

    def _tally(self) -> None:
        """Weigh what was appended since the last time, and drop the oldest beyond the limit."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, []
        for region, group, stream, events in fresh:
            size = sum(map(_size, events)) + _EVENT_OVERHEAD_BYTES
            self._pending.append(_Entry((writer.EVENTS, region, group, stream, list(events)), size))
            self._pending_bytes += size
            self._unnamed.add((region, group))
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        limits = self._limits
        if self._pending_bytes <= limits.pending_bytes and len(self._pending) <= limits.pending_entries:
            return
        kept: deque[_Entry] = deque()
        while self._pending and (
            self._pending_bytes > limits.pending_bytes or len(self._pending) + len(kept) > limits.pending_entries
        ):
            entry = self._pending.popleft()
            if entry.answer is not None:
                kept.append(entry)
                continue
            self._pending_bytes -= entry.size
            self.dropped += len(entry.value[4])
        self._pending.extendleft(reversed(kept))

    def _count_pending(self) -> int:
        waiting = [entry.value for entry in self._pending if entry.answer is None]
        return sum(len(value[4]) for value in waiting) + sum(len(entry[3]) for entry in self._fresh)

    # -- the writer ---------------------------------------------------------------------------------------------------

    async def _keep_writer(self) -> None:
        """Have a writer running until the store closes."""
        pause = self._limits.restart_s
        while True:
            began = self._clock.monotonic()
            try:
                self._link = await self._start_writer()
                await self._link.gone.wait()
            except OSError as error:  # no process or descriptor to be had: wait, as for a writer that fails
                self._running().call_exception_handler({"message": "the log writer cannot be started", "exception": error})
            self._link = None
            if self._process is not None:
                await asyncio.to_thread(self._process.wait)
                self._process = None
            if self._closing:
                return
            if self._clock.monotonic() - began > self._limits.restart_max_s:
                pause = self._limits.restart_s
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._limits.restart_max_s)

    async def _start_writer(self) -> _Link:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = process = _spawn(self._root, theirs.fileno())
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        link = _Link(process, loop.create_future(), self._acknowledged)
        await loop.create_unix_connection(lambda: link, sock=ours)
        return link

    def _acknowledged(self, link: _Link, sequence: int, results: list[Any] | None) -> None:
        if results is None:
            self._resume(link, sequence)
            return
        self._settle(sequence, results)
        self._seal()

    def _resume(self, link: _Link, committed: int) -> None:
        """A writer is there, and has everything up to `committed`: send it the rest."""
        if self._unacknowledged:
            for frame in list(self._unacknowledged):
                if frame.sequence <= committed:
                    self._settle(frame.sequence, [])
                else:
                    link.send(frame.data)
        else:
            self._sequence = max(self._sequence, committed)
        link.ready.set_result(None)
        self._wake()
        self._seal()

    def _settle(self, sequence: int, results: list[Any]) -> None:
        while self._unacknowledged and self._unacknowledged[0].sequence <= sequence:
            frame = self._unacknowledged.popleft()
            self._window_bytes -= len(frame.data)
            self._written = frame.covers
            for index, answer in frame.answers:
                if not answer.done():
                    answer.set_result(results[index] if results else None)
        self._wake()

    def _wake(self) -> None:
        """Tell those whose entries are all written (or dropped)."""
        if not self._pending and not self._unacknowledged and not self._fresh:
            self._written = self._given
        ready = self._link is not None and self._link.ready.done()
        still = []
        for target, done in self._waiting:
            if target > self._written or not ready:
                still.append((target, done))
            elif not done.done():
                done.set_result(None)
        self._waiting = still

    def _writer_ready(self) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self._running().create_future()
        self._waiting.append((0, done))
        return done

    def _fail_waiters(self) -> None:
        error = LogStoreUnavailableError("the log store is closed")
        pending = [entry.answer for entry in self._pending]
        sent = [answer for frame in self._unacknowledged for _, answer in frame.answers]
        for waiter in [*pending, *sent, *(done for _, done in self._waiting)]:
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
        self._waiting = []

    async def _in_time(self, waiter: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(waiter, self._limits.deadline_s)
        except TimeoutError:
            raise LogStoreUnavailableError("the log writer does not answer") from None

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._closing:
            raise LogStoreUnavailableError("the log store is closed")
        return self._loop


class _Link(asyncio.Protocol):
    """The connection to one writer process. `ready` is done when it said hello, `gone` set when the connection ended."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        ready: asyncio.Future[None],
        acknowledged: Callable[[_Link, int, list[Any] | None], None],
    ) -> None:
        self.process = process
        self.ready = ready
        self.gone = asyncio.Event()
        self._acknowledged = acknowledged
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not say that it is one

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for sequence, results in writer.unpack(self._buffer):
            self._acknowledged(self, sequence, results)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close our end after sending what is buffered."""
        if self._transport is not None:
            self._transport.close()


def _spawn(root: Path, descriptor: int) -> subprocess.Popen[bytes]:
    """Start a writer by its file, without site packages: half the start-up time, and no way to import anything else."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", writer.__file__, str(root), str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        start_new_session=True,
        env={"PATH": os.defpath},
    )


def _size(event: tuple[int, str]) -> int:
    return len(event[1]) + _EVENT_OVERHEAD_BYTES


def _ignore(region: str, group: str) -> None:
    """Nobody wants to know about groups."""
