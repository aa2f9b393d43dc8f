"""Log events: PutLogEvents, GetLogEvents, FilterLogEvents (aws-behaviour 6.2).

Pages follow positions (timestamp, then arrival), so that a walk through them yields no event twice and leaves none out that was
there when it began, whatever arrives meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tenantry.services.logs import errors
from tenantry.services.logs.base import Base, make_token, read_token
from tenantry.services.logs.patterns import PatternError, compile_pattern
from tenantry.services.logs.records import (
    BATCH_BYTES_MAX,
    DAY_MS,
    EVENT_BYTES_MAX,
    EVENTS_PER_PAGE,
    PAGE_BYTES_MAX,
    LogGroup,
)
from tenantry.services.logs.streams import SEQUENCE_TOKEN
from tenantry.services.operation import Context, operation
from tenantry.store.logs.records import Event, LogReader, Position, Scan
from tenantry.store.logs.store import LogStoreUnavailableError
from tenantry.store.logs.writer import event_bytes

_TOO_NEW_MS = 2 * 3_600_000
_TOO_OLD_MS = 14 * DAY_MS
_SCANNED_MAX = 100_000  # events looked at for one page; beyond it a page may hold fewer events than asked for, even none
_SCAN_SECONDS_MAX = 1.0
_GET_TOKEN = re.compile(r"([fb])/(\d{56})/s", re.ASCII)
_FIRST = Position(0, 0)


@dataclass(frozen=True, slots=True)
class _Page:
    """Events as scanned, and where the next page starts; None at the end."""

    events: list[Event]
    next: Position | None


class Events(Base):
    """Operations on log events."""

    @operation("PutLogEvents")
    async def put_log_events(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        group, stream = self._group(ctx, params["logGroupName"]), params["logStreamName"]
        events = [(event["timestamp"], event["message"]) for event in params["logEvents"]]
        _check_batch(events)
        await self._known_stream(group, stream)
        accepted, rejected = self._split(group, events)
        if accepted:
            try:
                await self._store.put(ctx.region, group.name, stream, accepted)
            except LogStoreUnavailableError:
                raise errors.UNAVAILABLE() from None
        return {"nextSequenceToken": SEQUENCE_TOKEN, "rejectedLogEventsInfo": rejected or None}

    @operation("GetLogEvents")
    async def get_log_events(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._settled()
        group, stream = self._chosen(ctx, params), params["logStreamName"]
        await self._known_stream(group, stream)
        forward, place = _read_get_token(params.get("nextToken"), params.get("startFromHead", False))
        scan = Scan(
            ctx.region,
            group.name,
            (stream,),
            start_ms=max(params.get("startTime", 0), self._oldest_ms(group)),
            end_ms=params["endTime"] - 1 if "endTime" in params else 2**62,  # the end is exclusive here, not in a filter
            after=place if forward else None,
            before=None if forward else place,
            newest_first=not forward,
        )
        limit = params.get("limit", EVENTS_PER_PAGE)
        page = await self._read(lambda reader: self._page(reader.scan(scan), lambda message: True, limit))
        events = page.events if forward else page.events[::-1]
        first, last = _edges(events, forward, place)
        return {
            "events": [
                {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested_ms} for event in events
            ],
            "nextForwardToken": f"f/{last.event_id()}/s",
            "nextBackwardToken": f"b/{first.event_id()}/s",
        }

    @operation("FilterLogEvents")
    async def filter_log_events(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix")
        if names and prefix:
            raise errors.BAD_STREAM_CHOICE()
        pattern = params.get("filterPattern", "")
        matches = compiled(pattern)
        await self._settled()
        group = self._chosen(ctx, params)
        for name in names or ():
            await self._known_stream(group, name)
        newest_first = not params.get("startFromHead", True)
        start, end = params.get("startTime", 0), params.get("endTime", 2**62)
        query = ("events", group.key, names, prefix, pattern, start, end, newest_first)
        place = read_token(params.get("nextToken"), tuple[int, int], *query)
        position = None if place is None else Position(*place)
        scan = Scan(
            ctx.region,
            group.name,
            tuple(dict.fromkeys(names)) if names else None,
            prefix,
            start_ms=max(start, self._oldest_ms(group)),
            end_ms=end,
            after=None if newest_first else position,
            before=position if newest_first else None,
            newest_first=newest_first,
        )
        limit = params.get("limit", EVENTS_PER_PAGE)
        page = await self._read(lambda reader: self._page(reader.scan(scan), matches, limit))
        return {
            "events": [
                {
                    "logStreamName": event.stream,
                    "timestamp": event.timestamp,
                    "message": event.message,
                    "ingestionTime": event.ingested_ms,
                    "eventId": event.position.event_id(),
                }
                for event in page.events
            ],
            "searchedLogStreams": [],
            "nextToken": None if page.next is None else make_token(list(page.next), *query),
        }

    async def _known_stream(self, group: LogGroup, name: str) -> None:
        def ask(reader: LogReader) -> bool:
            return reader.stream(group.region, group.name, name) is not None

        if not await self._read(ask):
            raise errors.STREAM_NOT_FOUND()

    def _split(self, group: LogGroup, events: list[tuple[int, str]]) -> tuple[list[tuple[int, str]], dict[str, int]]:
        """The events to keep, and what is said of the others: how far they reach from the start, from where to the end."""
        now = self._now_ms()
        too_old, expired, too_new = now - _TOO_OLD_MS, self._oldest_ms(group), now + _TOO_NEW_MS
        times = [timestamp for timestamp, _ in events]
        old_end = sum(time < too_old for time in times)
        expired_end = sum(time < expired for time in times)
        new_start = next((index for index, time in enumerate(times) if time > too_new), len(times))
        rejected = {}
        if new_start < len(times):
            rejected["tooNewLogEventStartIndex"] = new_start
        if old_end:
            rejected["tooOldLogEventEndIndex"] = old_end
        if expired_end > old_end:
            rejected["expiredLogEventEndIndex"] = expired_end
        return events[max(old_end, expired_end) : new_start], rejected

    def _page(self, events: Iterable[Event], matches: Callable[[str], bool], limit: int) -> _Page:
        """The first events that match, as many as one page takes. Runs in a reader thread, for a bounded time."""
        found: list[Event] = []
        size, last, deadline = 0, None, self._clock.monotonic() + _SCAN_SECONDS_MAX
        for number, event in enumerate(events):
            if number >= _SCANNED_MAX or (number and self._clock.monotonic() > deadline):
                return _Page(found, last)
            if matches(event.message):
                size += event_bytes(event.message)
                if len(found) >= limit or (found and size > PAGE_BYTES_MAX):
                    return _Page(found, last)
                found.append(event)
            last = event.position
        return _Page(found, None)


def compiled(pattern: str) -> Callable[[str], bool]:
    """A filter pattern's predicate; InvalidParameterException for one that cannot be read."""
    try:
        return compile_pattern(pattern)
    except PatternError:
        raise errors.BAD_PATTERN() from None


def _check_batch(events: list[tuple[int, str]]) -> None:
    """PutLogEvents' rules for a batch as a whole (aws-behaviour 6.2)."""
    size = 0
    for _, message in events:
        bytes_ = event_bytes(message)
        if bytes_ > EVENT_BYTES_MAX:
            raise errors.EVENT_TOO_LARGE(size=bytes_, limit=EVENT_BYTES_MAX)
        size += bytes_
    if size > BATCH_BYTES_MAX:
        raise errors.BATCH_TOO_LARGE(size=size, limit=BATCH_BYTES_MAX)
    times = [timestamp for timestamp, _ in events]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise errors.NOT_CHRONOLOGICAL()
    if times[-1] - times[0] > DAY_MS:
        raise errors.SPAN_TOO_LONG()


def _read_get_token(token: str | None, from_head: bool) -> tuple[bool, Position | None]:
    """GetLogEvents' direction and place: `f/<event id>/s` goes on after it, `b/<event id>/s` back before it."""
    if token is None:
        return from_head, None
    match = _GET_TOKEN.fullmatch(token)
    if match is None:
        raise errors.BAD_TOKEN()
    return match[1] == "f", Position.of_event_id(match[2])


def _edges(events: list[Event], forward: bool, place: Position | None) -> tuple[Position, Position]:
    """Where the tokens backward and forward stand. Without events the given token stays, and the other one turns round
    right there; a stream not yet written is before its first event.
    """
    if events:
        return events[0].position, events[-1].position
    if place is None:
        return _FIRST, _FIRST
    if forward:
        return Position(place.timestamp, place.number + 1), place
    return place, Position(place.timestamp, place.number - 1) if place.number else place
