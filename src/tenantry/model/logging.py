"""Log records on their way to the log store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class LogSink(Protocol):
    """Takes log events from environments without ever making them wait."""

    def append(self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Queue events, each (epoch milliseconds, message), for a stream; group and stream are made on first use.

        Returns at once and does no I/O; the events are durable some milliseconds later, and visible to every query
        that starts after this call.
        """
