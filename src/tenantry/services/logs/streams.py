"""Log streams: CreateLogStream, DeleteLogStream, DescribeLogStreams (aws-behaviour 6.2)."""

from __future__ import annotations

from typing import Any

from tenantry.services.logs import errors
from tenantry.services.logs.base import Base, make_token, read_token
from tenantry.services.logs.records import GROUPS_PER_PAGE, LogGroup
from tenantry.services.operation import Context, operation
from tenantry.store.logs.records import LogReader, Stream
from tenantry.store.logs.store import LogStoreUnavailableError

SEQUENCE_TOKEN = "49039859627367384372095480211594" + "0" * 24
"""Sequence tokens are ignored by AWS since 2023 and still answered: 56 digits."""


class Streams(Base):
    """Operations on log streams."""

    @operation("CreateLogStream")
    async def create_log_stream(self, ctx: Context, params: dict[str, Any]) -> None:
        group, name = self._group(ctx, params["logGroupName"]), params["logStreamName"]
        try:
            made = await self._store.create_stream(ctx.region, group.name, name)
        except LogStoreUnavailableError:
            raise errors.UNAVAILABLE() from None
        if not made:
            raise errors.STREAM_EXISTS()

    @operation("DeleteLogStream")
    async def delete_log_stream(self, ctx: Context, params: dict[str, Any]) -> None:
        group, name = self._group(ctx, params["logGroupName"]), params["logStreamName"]
        try:
            gone = await self._store.delete_stream(ctx.region, group.name, name)
        except LogStoreUnavailableError:
            raise errors.UNAVAILABLE() from None
        if not gone:
            raise errors.STREAM_NOT_FOUND()

    @operation("DescribeLogStreams")
    async def describe_log_streams(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._settled()
        group = self._chosen(ctx, params)
        prefix = params.get("logStreamNamePrefix", "")
        by_time = params.get("orderBy", "LogStreamName") == "LastEventTime"
        descending = params.get("descending", False)
        if by_time and prefix:
            raise errors.BAD_ORDER()
        limit = params.get("limit", GROUPS_PER_PAGE)
        query = ("streams", group.key, prefix, by_time, descending)
        after = read_token(params.get("nextToken"), tuple[int, str], *query)

        def ask(reader: LogReader) -> list[Stream]:
            if by_time:
                return reader.streams_by_time(ctx.region, group.name, after=after, descending=descending, limit=limit + 1)
            name = None if after is None else after[1]
            return reader.streams_by_name(
                ctx.region, group.name, prefix=prefix, after=name, descending=descending, limit=limit + 1
            )

        found = await self._read(ask)
        page = found[:limit]
        return {
            "logStreams": [_shape(group, stream) for stream in page],
            "nextToken": make_token([page[-1].last_ms or 0, page[-1].name], *query) if len(found) > limit else None,
        }


def _shape(group: LogGroup, stream: Stream) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "firstEventTimestamp": stream.first_ms,
        "lastEventTimestamp": stream.last_ms,
        "lastIngestionTime": stream.ingested_ms,
        "uploadSequenceToken": SEQUENCE_TOKEN,
        "arn": f"{group.arn}:log-stream:{stream.name}",
        "storedBytes": 0,
    }
