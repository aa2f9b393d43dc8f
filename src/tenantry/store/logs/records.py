"""Values of the log store, and `LogReader`: the questions that any storage of log events answers.

Events are ordered by `Position`: their timestamp, then the number that the writer gave them, which only grows. Numbers are
never used twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

_NUMBER_BITS = 144
EVENT_ID_DIGITS = 56


class Position(NamedTuple):
    """A place in the order of events: timestamp in epoch milliseconds, then the event's number."""

    timestamp: int
    number: int

    def event_id(self) -> str:
        """CloudWatch's form: 56 decimal digits that grow with the time, and with the arrival within a millisecond."""
        return f"{(self.timestamp << _NUMBER_BITS) + self.number:0{EVENT_ID_DIGITS}d}"

    @classmethod
    def of_event_id(cls, text: str) -> Position:
        """The reverse. ValueError for anything that is no number of 56 digits."""
        if len(text) != EVENT_ID_DIGITS or not text.isascii() or not text.isdecimal():
            raise ValueError("not an event id")
        value = int(text)
        return cls(value >> _NUMBER_BITS, value & ((1 << _NUMBER_BITS) - 1))


class Event(NamedTuple):
    """A stored event. Times in epoch milliseconds. A tuple, because scans make very many of them."""

    timestamp: int
    number: int
    ingested_ms: int
    stream: str
    message: str

    @property
    def position(self) -> Position:
        return Position(self.timestamp, self.number)


@dataclass(frozen=True, slots=True)
class Stream:
    """A log stream. Times in epoch milliseconds; None where it has no events."""

    name: str
    created_ms: int
    first_ms: int | None
    last_ms: int | None
    ingested_ms: int | None


@dataclass(frozen=True, slots=True)
class Scan:
    """Which events, in which direction.

    streams: exactly these; prefix: streams whose name starts so; start_ms, end_ms: both inclusive; after, before: exclusive.
    """

    region: str
    group: str
    streams: tuple[str, ...] | None = None
    prefix: str | None = None
    start_ms: int = 0
    end_ms: int = 2**62
    after: Position | None = None
    before: Position | None = None
    newest_first: bool = False


class LogReader(Protocol):
    """Answers from one consistent view, in a thread of its own. Groups and streams that do not exist have no events."""

    def scan(self, scan: Scan) -> Iterator[Event]:
        """The events in order, read as they are asked for."""

    def stream(self, region: str, group: str, name: str) -> Stream | None:
        """One stream."""

    def streams_by_name(
        self, region: str, group: str, *, prefix: str, after: str | None, descending: bool, limit: int
    ) -> list[Stream]:
        """Streams in the order of their names, beyond `after`."""

    def streams_by_time(
        self, region: str, group: str, *, after: tuple[int, str] | None, descending: bool, limit: int
    ) -> list[Stream]:
        """Streams in the order of (last event, name), beyond `after`; a stream without events counts as time 0."""

    def stored_bytes(self, region: str, groups: Sequence[str]) -> dict[str, int]:
        """Bytes of events by group."""

    def newest(self) -> int:
        """The highest event number in use."""

    def arrived_after(self, number: int, region: str, groups: Sequence[str], limit: int) -> list[tuple[str, Event]]:
        """(group, event) of events with a higher number, in the order of their arrival."""
