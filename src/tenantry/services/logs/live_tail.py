"""StartLiveTail: what arrives in some groups, as a stream of events (aws-behaviour 6.2)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from tenantry.services.logs import errors
from tenantry.services.logs.base import Base
from tenantry.services.logs.events import compiled
from tenantry.services.logs.records import LogGroup
from tenantry.services.operation import Context, operation
from tenantry.store.logs.records import Event, LogReader

_SESSIONS_MAX = 15
_SESSION_S = 3 * 3600
_EVENTS_PER_UPDATE = 500
_READ_PER_UPDATE = 5_000

Wanted = Callable[[Event], bool]


class LiveTail(Base):
    """The live tail. A session is an iterator: closing it ends the session."""

    @operation("StartLiveTail")
    async def start_live_tail(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._settled()
        identifiers = params["logGroupIdentifiers"]
        for identifier in identifiers:
            if not identifier.startswith("arn:"):
                raise errors.TAIL_BY_ARN(identifier=identifier)
        groups = [self._identified(ctx, identifier) for identifier in identifiers]
        names, prefixes = params.get("logStreamNames"), params.get("logStreamNamePrefixes")
        if (names and prefixes) or ((names or prefixes) and len(groups) > 1):
            raise errors.TAIL_STREAMS()
        matches = compiled(params.get("logEventFilterPattern", ""))
        if self._tails >= _SESSIONS_MAX:
            raise errors.TAIL_LIMIT(limit=_SESSIONS_MAX)
        chosen, starts = frozenset(names or ()), tuple(prefixes or ())

        def wanted(event: Event) -> bool:
            return (
                (not chosen or event.stream in chosen)
                and (not starts or event.stream.startswith(starts))
                and matches(event.message)
            )

        newest = await self._read(lambda reader: reader.newest())
        start = {
            "requestId": ctx.request_id,
            "sessionId": str(uuid.uuid4()),
            "logGroupIdentifiers": identifiers,
            "logStreamNames": names,
            "logStreamNamePrefixes": prefixes,
            "logEventFilterPattern": params.get("logEventFilterPattern", ""),
        }
        return {"responseStream": self._session(ctx.region, groups, wanted, newest, start)}

    async def _session(
        self, region: str, groups: list[LogGroup], wanted: Wanted, newest: int, start: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        self._tails += 1
        try:
            yield {"sessionStart": start}
            deadline = self._clock.monotonic() + _SESSION_S
            while self._clock.monotonic() < deadline:
                await asyncio.sleep(self._tail_interval_s)
                found, sampled, newest = await self._arrivals(region, groups, wanted, newest)
                yield {"sessionUpdate": {"sessionMetadata": {"sampled": sampled}, "sessionResults": found}}
            raise errors.TAIL_TIMEOUT()
        finally:
            self._tails -= 1

    async def _arrivals(
        self, region: str, groups: list[LogGroup], wanted: Wanted, newest: int
    ) -> tuple[list[dict[str, Any]], bool, int]:
        """What arrived since event `newest`, whether that is only a part of it, and the newest event now."""
        accounts = {group.name: group.account_id for group in groups}

        def ask(reader: LogReader) -> tuple[list[tuple[str, Event]], bool, int]:
            arrived = reader.arrived_after(newest, region, list(accounts), _READ_PER_UPDATE)
            cut = len(arrived) == _READ_PER_UPDATE
            last = reader.newest() if cut else arrived[-1][1].number if arrived else newest
            return [(name, event) for name, event in arrived if wanted(event)], cut, last

        kept, cut, last = await self._read(ask)
        results = [
            {
                "logStreamName": event.stream,
                "logGroupIdentifier": f"{accounts[name]}:{name}",
                "message": event.message,
                "timestamp": event.timestamp,
                "ingestionTime": event.ingested_ms,
            }
            for name, event in kept[:_EVENTS_PER_UPDATE]
        ]
        return results, cut or len(kept) > _EVENTS_PER_UPDATE, last
