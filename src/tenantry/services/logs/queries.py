"""Insights: StartQuery, GetQueryResults, StopQuery, DescribeQueries, GetLogRecord (aws-behaviour 6.4).

Queries and their results are kept in memory, the latest _QUERIES_KEPT of them. Each runs in a worker process, at most
QUERIES_RUNNING_MAX at a time; the others are Scheduled.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import Any

from tenantry.services.logs import errors
from tenantry.services.logs.base import Base, make_token, read_token
from tenantry.services.logs.insights.functions import text
from tenantry.services.logs.insights.rows import discover
from tenantry.services.logs.insights.syntax import parse_query
from tenantry.services.logs.insights.tokens import QueryError
from tenantry.services.logs.records import QUERIES_RUNNING_MAX, LogGroup, Query
from tenantry.services.operation import Context, operation
from tenantry.store.logs.records import Event, LogReader, Position, Scan
from tenantry.store.logs.store import LogStoreUnavailableError

_GROUPS_MAX = 50
_LIMIT_DEFAULT = 10_000
_RESULTS_PER_PAGE = 10_000
_WAITING_MAX = 28
_QUERIES_KEPT = 100
_TIMEOUT_S = 60.0
_ACTIVE = ("Scheduled", "Running")


class Queries(Base):
    """Operations on queries."""

    @operation("StartQuery")
    async def start_query(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("queryLanguage", "CWLI") != "CWLI":
            raise errors.QUERY_LANGUAGE()
        await self._settled()
        groups = self._queried(ctx, params)
        start, end = params["startTime"], params["endTime"]
        if start > end:
            raise errors.BAD_TIME_RANGE()
        try:
            parse_query(params["queryString"])
        except QueryError as error:
            raise errors.QUERY_MALFORMED(reason=str(error)) from None
        active = sum(query.status in _ACTIVE for query in self._queries.values())
        if active >= QUERIES_RUNNING_MAX + _WAITING_MAX:
            raise errors.QUERIES_RUNNING(limit=QUERIES_RUNNING_MAX + _WAITING_MAX)
        request = {
            "folder": str(self._store.root),
            "region": ctx.region,
            "groups": [[group.name, f"{group.account_id}:{group.name}", self._oldest_ms(group)] for group in groups],
            "start_ms": start * 1000,
            "end_ms": end * 1000 + 999,  # seconds, the last one included
            "query": params["queryString"],
            "limit": params.get("limit", _LIMIT_DEFAULT),
        }
        query = Query(
            query_id=str(uuid.uuid4()),
            region=ctx.region,
            text=params["queryString"],
            groups=tuple(group.name for group in groups),
            user=ctx.principal.arn,
            created_ms=self._now_ms(),
        )
        self._remember(query)
        query.task = asyncio.create_task(self._run(query, request), name=f"logs-query-{query.query_id}")
        return {"queryId": query.query_id}

    @operation("GetQueryResults")
    async def get_query_results(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        query = self._query(ctx, params["queryId"])
        (start,) = read_token(params.get("nextToken"), tuple[int], "results", query.query_id) or (0,)
        end = start + (params.get("maxItems") or _RESULTS_PER_PAGE)
        counted = query.statistics
        return {
            "queryLanguage": "CWLI",
            "results": [[{"field": name, "value": value} for name, value in row] for row in query.results[start:end]],
            "statistics": {
                "recordsMatched": float(counted.get("matched", 0)),
                "recordsScanned": float(counted.get("scanned", 0)),
                "bytesScanned": float(counted.get("scanned_bytes", 0)),
                "estimatedRecordsSkipped": 0.0,
                "estimatedBytesSkipped": 0.0,
                "logGroupsScanned": float(len(query.groups)),
            },
            "status": query.status,
            "nextToken": make_token([end], "results", query.query_id) if end < len(query.results) else None,
        }

    @operation("StopQuery")
    async def stop_query(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        query = self._query(ctx, params["queryId"])
        if query.status not in _ACTIVE or query.task is None:
            raise errors.QUERY_ENDED(status=query.status)
        query.status = "Cancelled"
        query.task.cancel()
        return {"success": True}

    @operation("DescribeQueries")
    async def describe_queries(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        group, status, language = params.get("logGroupName"), params.get("status"), params.get("queryLanguage", "CWLI")
        if group is not None:
            self._group(ctx, group)
        matching = [
            query
            for query in reversed(self._queries.values())
            if query.region == ctx.region and (group is None or group in query.groups) and status in (None, query.status)
        ]
        asked = ("queries", ctx.region, group, status, language)
        (start,) = read_token(params.get("nextToken"), tuple[int], *asked) or (0,)
        end = start + params.get("maxResults", 1000)
        return {
            "queries": [_described(query) for query in matching[start:end] if language == "CWLI"],
            "nextToken": make_token([end], *asked) if end < len(matching) else None,
        }

    @operation("GetLogRecord")
    async def get_log_record(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The fields of the event that a result's `@ptr` names."""
        log, position = _read_pointer(params["logRecordPointer"])
        account, _, name = log.partition(":")
        if account != ctx.account_id:
            raise errors.RECORD_NOT_FOUND()
        group = self._group(ctx, name)
        before, after = Position(position.timestamp, position.number - 1), Position(position.timestamp, position.number + 1)

        def ask(reader: LogReader) -> Event | None:
            return next(reader.scan(Scan(ctx.region, group.name, after=before, before=after)), None)

        event = await self._read(ask)
        if event is None or event.timestamp < self._oldest_ms(group):
            raise errors.RECORD_NOT_FOUND()
        fields = {
            **discover(event.message),
            "@timestamp": event.timestamp,
            "@message": event.message,
            "@logStream": event.stream,
            "@log": log,
            "@ingestionTime": event.ingested_ms,
            "@ptr": params["logRecordPointer"],
        }
        return {"logRecord": {name: text(value) for name, value in fields.items()}}

    async def stop_queries(self) -> None:
        """End every query that runs."""
        tasks = [query.task for query in self._queries.values() if query.task is not None and not query.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, query: Query, request: dict[str, Any]) -> None:
        began = self._clock.monotonic()
        try:
            async with self._query_turns:
                query.status = "Running"
                await self._store.flush()
                async with asyncio.timeout(_TIMEOUT_S):
                    answer = await self._run_query(request)
            query.results = answer.get("results", [])
            query.statistics = answer.get("statistics", {})
            query.status = "Failed" if "error" in answer else "Complete"
        except TimeoutError:
            query.status = "Timeout"
        except asyncio.CancelledError:
            query.status = "Cancelled"
            raise
        except (OSError, ValueError, LogStoreUnavailableError):  # no process to be had, or one that answers nonsense
            query.status = "Failed"
        finally:
            query.duration_ms = int((self._clock.monotonic() - began) * 1000)

    def _queried(self, ctx: Context, params: dict[str, Any]) -> list[LogGroup]:
        """The groups of a query, each once."""
        name, names, identifiers = (params.get(key) for key in ("logGroupName", "logGroupNames", "logGroupIdentifiers"))
        given = [choice for choice in ([name] if name else None, names, identifiers) if choice]
        if len(given) != 1:
            raise errors.QUERY_GROUPS()
        if len(given[0]) > _GROUPS_MAX:
            raise errors.QUERY_TOO_MANY_GROUPS(limit=_GROUPS_MAX)
        groups = [self._identified(ctx, one) if identifiers else self._group(ctx, one) for one in given[0]]
        return list({group.name: group for group in groups}.values())

    def _query(self, ctx: Context, query_id: str) -> Query:
        query = self._queries.get(query_id)
        if query is None or query.region != ctx.region:
            raise errors.QUERY_NOT_FOUND(query_id=query_id)
        return query

    def _remember(self, query: Query) -> None:
        ended = [old for old in self._queries.values() if old.status not in _ACTIVE]
        for old in ended[: max(len(self._queries) + 1 - _QUERIES_KEPT, 0)]:
            del self._queries[old.query_id]
        self._queries[query.query_id] = query


def _described(query: Query) -> dict[str, Any]:
    return {
        "queryLanguage": "CWLI",
        "queryId": query.query_id,
        "queryString": query.text,
        "status": query.status,
        "createTime": query.created_ms,
        "logGroupName": query.groups[0],
        "queryDuration": query.duration_ms,
        "bytesScanned": float(query.statistics.get("scanned_bytes", 0)),
        "userIdentity": query.user,
    }


def _read_pointer(pointer: str) -> tuple[str, Position]:
    try:
        log, _, event_id = base64.b64decode(pointer, validate=True).decode().rpartition(" ")
        return log, Position.of_event_id(event_id)
    except ValueError:
        raise errors.BAD_POINTER() from None
