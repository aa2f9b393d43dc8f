"""Captures what an environment writes: lines of stdout and stderr, and the framed records of awslambdaric's logger, in order.

Both arrive on one pipe, so that a print and a log record keep their order. A frame is recognised by its magic number
(aws-behaviour 2.2); a function that forges one only mangles its own stream. The rate is bounded: a flood is cut and counted,
never queued.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

_MAGIC = b"\xa5\x5a\x00"
_HEADER_BYTES = 16
_MESSAGE_BYTES_MAX = 262_144
_READ_BYTES = 65_536
RATE_BYTES_PER_S = 4 << 20
BURST_BYTES = 8 << 20

Event = tuple[int, str]  # (epoch milliseconds, message)


class Output:
    """Reads one output pipe. `emit(events)` gets (time, message) pairs; `dropped` is reported through it as well.

    The owner calls `readable` when the pipe has data, and `drain` when an invocation ends (what the function wrote before it
    answered is in the pipe by then). Both return without blocking. `now` gives epoch seconds.
    """

    def __init__(self, descriptor: int, now: Callable[[], float], emit: Callable[[list[Event]], None]) -> None:
        self.descriptor = descriptor
        self.dropped_records = 0
        self.dropped_bytes = 0
        self._now = now
        self._emit = emit
        self._buffer = b""
        self._allowance = float(BURST_BYTES)
        self._refilled = now()
        os.set_blocking(descriptor, False)

    def readable(self) -> bool:
        """Take what is there, one read. False at the end of the pipe."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            self._finish()
            return False
        self._take(data)
        return True

    def drain(self) -> None:
        """Take everything that was written before now, at most a pipe's capacity (a writer that never stops cannot hold us)."""
        for _ in range(16):
            try:
                data = os.read(self.descriptor, _READ_BYTES)
            except OSError:
                return  # nothing left
            if not data:
                return
            self._take(data)
            if len(data) < _READ_BYTES:
                return

    def take_dropped(self) -> tuple[int, int]:
        """(records, bytes) dropped since the last call."""
        figures = self.dropped_records, self.dropped_bytes
        self.dropped_records = self.dropped_bytes = 0
        return figures

    def close(self) -> None:
        """Stop reading."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _take(self, data: bytes) -> None:
        now = self._now()
        self._allowance = min(BURST_BYTES, self._allowance + (now - self._refilled) * RATE_BYTES_PER_S)
        self._refilled = now
        buffer = self._buffer + data if self._buffer else data
        events: list[Event] = []
        rest = self._split(buffer, int(now * 1000), events)
        self._buffer = rest
        if events:
            self._pass_on(events)

    def _split(self, buffer: bytes, now_ms: int, events: list[Event]) -> bytes:
        position, size = 0, len(buffer)
        while position < size:
            if buffer.startswith(_MAGIC, position):
                taken = self._frame(buffer, position, events)
                if taken is None:
                    return buffer[position:]
                position += taken
                continue
            end = buffer.find(b"\n", position)
            frame = buffer.find(_MAGIC, position, end if end >= 0 else size)
            stop = frame if frame >= 0 else end + 1 if end >= 0 else None
            if stop is None:
                if size - position < _MESSAGE_BYTES_MAX:
                    return buffer[position:]
                stop = position + _MESSAGE_BYTES_MAX
            events.append((now_ms, buffer[position:stop].decode("utf-8", "replace")))
            position = stop
        return b""

    def _frame(self, buffer: bytes, position: int, events: list[Event]) -> int | None:
        """Length of the frame at `position`, its message appended; None while it is incomplete."""
        if len(buffer) - position < _HEADER_BYTES:
            return None
        length: int
        stamp_us: int
        length, stamp_us = struct.unpack_from(">IQ", buffer, position + 4)
        length = min(length, _MESSAGE_BYTES_MAX)
        start = position + _HEADER_BYTES
        if len(buffer) - start < length:
            return None
        message = buffer[start : start + length].decode("utf-8", "replace")
        events.append((stamp_us // 1000, message if message.endswith("\n") else message + "\n"))
        return _HEADER_BYTES + length

    def _pass_on(self, events: list[Event]) -> None:
        kept = []
        for event in events:
            size = len(event[1])
            if size > self._allowance:
                self.dropped_records += 1
                self.dropped_bytes += size
                continue
            self._allowance -= size
            kept.append(event)
        if kept:
            self._emit(kept)

    def _finish(self) -> None:
        if self._buffer:
            rest, self._buffer = self._buffer, b""
            self._pass_on([(int(self._now() * 1000), rest.decode("utf-8", "replace"))])
